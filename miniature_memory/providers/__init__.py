"""Providers: where URLs come from, and how each is asked. Imports core, crawl, responses and storage."""
