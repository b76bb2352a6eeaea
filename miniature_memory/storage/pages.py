"""Pages: the WARC records that scrape appended and extract reads."""

from __future__ import annotations

from miniature_memory.storage.append_log import Place
from miniature_memory.storage.catalog import Catalog


def count(catalog: Catalog) -> int:
    return int(catalog.value("SELECT count(*) FROM pages"))


def count_urls(catalog: Catalog) -> int:
    return int(catalog.value("SELECT count(DISTINCT url) FROM pages"))


def add(catalog: Catalog, url_id: int, url: str, fetched_at: str, place: Place, payload_digest: str) -> None:
    """Add a response record, within a record() block."""
    catalog.execute("INSERT INTO pages (url_id, url, fetched_at, file, offset, length, payload_hash) "
                    "VALUES (?, ?, ?, ?, ?, ?, ?)", [url_id, url, fetched_at, *place, payload_digest])
