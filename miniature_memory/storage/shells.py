"""Shells: archived responses that say nothing without scripts, and wait for a browser.

Functions that write are called within a record() block.
"""

import sqlite3

from miniature_memory.storage.catalog import Catalog
from miniature_memory.storage.record_reader import Place


def add(catalog: Catalog, url_id: int, url: str, place: Place) -> None:
    """Let a URL wait with its newest response, which came from `url`."""
    catalog.execute("INSERT OR REPLACE INTO shells (url_id, url, file, offset, length) VALUES (?, ?, ?, ?, ?)",
                    [url_id, url, *place])


def remove(catalog: Catalog, url_id: int) -> None:
    catalog.execute("DELETE FROM shells WHERE url_id = ?", [url_id])


def waiting(catalog: Catalog, limit: int) -> list[sqlite3.Row]:
    """The rows of the URLs that wait, longest first, with the place of the response and its URL as `answered_url`."""
    return catalog.execute("SELECT urls.*, shells.url AS answered_url, file, offset, length FROM shells "
                           "JOIN urls ON urls.id = url_id ORDER BY seq LIMIT ?", [limit]).fetchall()


def count(catalog: Catalog) -> int:
    return int(catalog.value("SELECT count(*) FROM shells"))
