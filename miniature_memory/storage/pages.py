"""Pages: the WARC records that scrape appended and extract reads."""

from __future__ import annotations

from miniature_memory.storage.catalog import Catalog


def count(catalog: Catalog) -> int:
    return int(catalog.value("SELECT count(*) FROM pages"))
