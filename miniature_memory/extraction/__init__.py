"""Extraction: a page in, its text out. Imports core."""
