"""Pages: the WARC records that scrape appended and extract reads."""

import sqlite3

from miniature_memory.storage.catalog import Catalog
from miniature_memory.storage.record_reader import Place

FOLDER, SUFFIX = "data/pages", ".warc.gz"


def count(catalog: Catalog) -> int:
    return int(catalog.value("SELECT count(*) FROM pages"))


def count_urls(catalog: Catalog) -> int:
    return int(catalog.value("SELECT count(DISTINCT url) FROM pages"))


def add(catalog: Catalog, url_id: int, url: str, fetched_at: str, place: Place, payload_digest: str) -> None:
    """Add a response record, within a record() block and before the visit to its URL ends."""
    catalog.execute("INSERT INTO pages (url_id, url, fetched_at, file, offset, length, payload_hash, promise) "
                    "VALUES (?, ?, ?, ?, ?, ?, ?, coalesce((SELECT promise FROM urls WHERE id = ?), 0))",
                    [url_id, url, fetched_at, *place, payload_digest, url_id])


def with_payload(catalog: Catalog, payload_digest: str) -> sqlite3.Row | None:
    """The first page that had this payload."""
    row: sqlite3.Row | None = catalog.execute(
        "SELECT url, fetched_at FROM pages WHERE payload_hash = ? AND payload_hash != '' LIMIT 1",
        [payload_digest]).fetchone()
    return row


def extracted_files(catalog: Catalog) -> list[str]:
    """The WARC files that extract has read to their end, and in which no page waits for a browser, oldest first."""
    return [path for (path,) in catalog.execute(
        "SELECT path FROM files WHERE path LIKE ? AND length > 0 "
        "AND NOT EXISTS (SELECT 1 FROM pages WHERE file = path AND seq > ?) "
        "AND NOT EXISTS (SELECT 1 FROM shells WHERE file = path) ORDER BY path",
        [FOLDER + "/%", catalog.cursor("extract")])]


def removable_files(catalog: Catalog) -> list[str]:
    """Those, but for the one that scrape appends to."""
    last = catalog.value("SELECT max(path) FROM files WHERE path LIKE ?", [FOLDER + "/%"])
    return [path for path in extracted_files(catalog) if path != last]


def count_removed(catalog: Catalog) -> int:
    """How many WARC files were removed on purpose."""
    return int(catalog.value("SELECT count(*) FROM files WHERE path LIKE ? AND dropped", [FOLDER + "/%"]))
