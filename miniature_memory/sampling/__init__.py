"""Sampling: the decoder, generation, the playground. Imports core, training and model.py."""
