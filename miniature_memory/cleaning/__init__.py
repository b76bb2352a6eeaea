"""Cleaning: text normalization, boilerplate, quality filters, personal data, near duplicates, the rebuild.

Imports core and storage; also validation.config and validation.documents because a rebuild validates documents again.
"""
