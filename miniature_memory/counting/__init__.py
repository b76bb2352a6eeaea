"""Counting: what followed where the same tokens occurred before, in the training text and in the document so far, and
the mixture of these counts with the network."""
