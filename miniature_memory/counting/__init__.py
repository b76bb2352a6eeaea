"""Counting: what followed where the same tokens stood before, in all of the training text and in the document so far,
and its mixture with the network."""
