"""Validation: what a raw document and a whole dataset must be. Imports core and storage."""
