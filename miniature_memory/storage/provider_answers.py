"""Answers: which pages of results each provider has given, so that none is asked for again too soon."""

import time
from typing import NamedTuple

from miniature_memory.storage.catalog import Catalog


class Answer(NamedTuple):
    page: int  # of results, from 0
    asked_at: float  # epoch seconds
    results: int


def last(catalog: Catalog, provider: str, query: str) -> Answer | None:
    """The last page of results that a provider gave for a query."""
    row = catalog.execute("SELECT page, asked_at, results FROM answers WHERE provider = ? AND query = ? "
                          "ORDER BY page DESC LIMIT 1", [provider, query]).fetchone()
    return Answer(*row) if row else None


def keep(catalog: Catalog, provider: str, query: str, page: int, results: int, new: int) -> None:
    """Note one page of results, within a record() block. new: how many of them were not known."""
    catalog.execute("INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?, ?, ?)",
                    [provider, query, page, time.time(), results, new])


def forget(catalog: Catalog, provider: str, query: str) -> None:
    """The query starts again at its first page. Within a record() block."""
    catalog.execute("DELETE FROM answers WHERE provider = ? AND query = ?", [provider, query])


def count(catalog: Catalog, provider: str) -> int:
    return int(catalog.value("SELECT count(*) FROM answers WHERE provider = ?", [provider]))
