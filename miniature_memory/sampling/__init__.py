"""Sampling: the decoder, generation, kept samples, the playground. Imports core, storage, training and model.py."""
