"""Sampling: the decoder, generation, kept samples, and the server with the playground and the completions API.

Imports core, storage, training and model.py, and collection for its pages.
"""
