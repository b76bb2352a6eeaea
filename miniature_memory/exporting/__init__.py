"""Exporting: the model in the forms in which it leaves the project.

Imports core, storage, training, sampling and model.py.
"""
