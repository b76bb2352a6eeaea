"""Crawl: how pages are chosen, fetched, rendered and archived. Imports core, responses and storage."""
