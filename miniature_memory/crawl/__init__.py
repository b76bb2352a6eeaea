"""Crawl: everything that speaks to the web. Imports core and storage."""
