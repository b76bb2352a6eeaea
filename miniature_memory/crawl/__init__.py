"""Crawl: everything that speaks to the web. Imports core, responses and storage."""
