"""Yields: what the visits to each host have given, by how their URLs were found and what was promised of them.

A visit that brings no new page is counted when it ends, one that brings a page once clean has judged its document:
until then nobody knows what it was worth. A document that comes from no page, such as a local file, counts nowhere.
"""

import sqlite3
from typing import NamedTuple

from miniature_memory.storage.catalog import LAST, Catalog

VISITED = -1  # the promise of a URL that was visited before
ONLY_COSTS = "sum(visits) >= 5 AND sum(kept) = 0"  # of a host; a guess
_ADD = ("ON CONFLICT DO UPDATE SET visits = visits + excluded.visits, kept = kept + excluded.kept, "
        "kept_bytes = kept_bytes + excluded.kept_bytes")


class Gain(NamedTuple):
    """What some visits yielded."""

    visits: int
    kept: int  # documents
    kept_bytes: int  # of their text, times its topic fit where that is known


class HostGain(NamedTuple):
    host: str
    visits: int
    kept: int
    kept_bytes: int


def end_visit(catalog: Catalog, url_id: int, counts: bool) -> None:
    """A URL was visited, within a record() block. counts: it brought no page, and that is the host's doing."""
    if counts:
        catalog.execute("INSERT INTO yields SELECT host, source, promise, 1, 0, 0 FROM urls WHERE id = ? " + _ADD,
                        [url_id])
    catalog.execute("UPDATE urls SET promise = ? WHERE id = ?", [VISITED, url_id])


def settle(catalog: Catalog) -> None:
    """Count the visits whose pages have passed through all stages up to clean since this was called last."""
    waiting = catalog.value("SELECT min(page) FROM documents WHERE seq > ?", [catalog.cursor("clean")]) or LAST
    start, end = catalog.cursor("yields"), min(catalog.cursor("extract"), waiting - 1)
    if end > start:
        with catalog.record():
            _count_pages(catalog, start, end, "1")
            catalog.advance("yields", end)


def count_kept_again(catalog: Catalog) -> None:
    """After the clean set was rebuilt: what is kept of the same visits now, within a record() block."""
    catalog.execute("UPDATE yields SET kept = 0, kept_bytes = 0")
    _count_pages(catalog, 0, catalog.cursor("yields"), "0")


def _count_pages(catalog: Catalog, start: int, end: int, visits: str) -> None:
    catalog.execute(
        f"INSERT INTO yields SELECT host, source, pages.promise, {visits}, clean_documents.id IS NOT NULL, "
        "CAST(coalesce(text_bytes * min(coalesce(topic_fit, 1), 1), 0) AS INTEGER) FROM pages "
        "JOIN urls ON urls.id = url_id LEFT JOIN documents ON page = pages.seq "
        f"LEFT JOIN clean_documents ON clean_documents.id = documents.id WHERE pages.seq > ? AND pages.seq <= ? {_ADD}",
        [start, end])


def any_kept(catalog: Catalog) -> bool:
    return catalog.value("SELECT 1 FROM yields WHERE kept > 0 LIMIT 1") is not None


def by_kind(catalog: Catalog) -> dict[tuple[str, int], Gain]:
    """(source, promise) -> what visits to such URLs gave."""
    return {(source, promise): Gain(*gain) for source, promise, *gain in catalog.execute(
        "SELECT source, promise, sum(visits), sum(kept), sum(kept_bytes) FROM yields GROUP BY source, promise")}


def by_host(catalog: Catalog, rates: dict[tuple[str, int], float]) -> sqlite3.Cursor:
    """(host, visits, documents kept, bytes of them, expected) of each host. expected: the sum of its visits' rates."""
    catalog.db.create_function("rate", 2, lambda source, promise: rates[source, promise], deterministic=True)
    return catalog.execute("SELECT host, sum(visits), sum(kept), sum(kept_bytes), "
                           "sum(visits * rate(source, promise)) FROM yields GROUP BY host")


def give_most(catalog: Catalog, most: int) -> list[HostGain]:
    """The hosts that yielded most."""
    return _of_hosts(catalog, "gain > 0 ORDER BY gain DESC, host LIMIT ?", most)


def only_cost(catalog: Catalog, most: int) -> list[HostGain]:
    """The hosts that yielded nothing in many visits, those with most visits first."""
    return _of_hosts(catalog, f"{ONLY_COSTS} ORDER BY n DESC, host LIMIT ?", most)


def _of_hosts(catalog: Catalog, having: str, most: int) -> list[HostGain]:
    return [HostGain(*row) for row in catalog.execute(
        "SELECT host, sum(visits) AS n, sum(kept), sum(kept_bytes) AS gain FROM yields GROUP BY host "
        f"HAVING {having}", [most])]
