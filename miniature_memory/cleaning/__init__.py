"""Cleaning: filters, masks, boilerplate and near duplicates. Imports core and storage."""
