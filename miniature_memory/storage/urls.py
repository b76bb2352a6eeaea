"""URLs and hosts: what is known of the web, and when each URL is due.

A URL is kept and requested as it was found first, and known by its key: any spelling finds the same row.
Every query here is as fast with a million URLs as with a thousand: triggers keep, for each host, when the first of its
URLs is due. Functions that write are called within a record() block.
"""

import json
import sqlite3
import time
from collections.abc import Collection, Iterator
from typing import NamedTuple

from miniature_memory.core.text import host_of
from miniature_memory.storage.catalog import Catalog
from miniature_memory.storage.url_keys import url_key
from miniature_memory.storage.yields import ONLY_COSTS, VISITED

_FOREIGN, _FOREIGN_LIST = "other_shard", "other_shard_list"  # state of what another shard crawls
_NOT_PAUSED = "host NOT IN (SELECT name FROM backoffs WHERE kind = 'host' AND until > ?)"  # parameter: now


class Archived(NamedTuple):
    """Where Common Crawl keeps a page: a WARC file of its bucket, and the record in it."""

    file: str
    offset: int
    length: int


class Foreign(NamedTuple):
    """A URL that another shard crawls, with what add() takes of it."""

    url: str
    source: str
    query: str
    depth: int
    is_list: bool  # a feed or sitemap, or what may be one: it is read, not added


class NextVisit(NamedTuple):
    due_at: float | None  # epoch seconds; None: never
    revisit_days: float | None  # None: every visit has failed
    failures: int  # in a row


class Seen(NamedTuple):
    """What a visit has seen of a page, for the next, conditional request."""

    payload_hash: str  # sha256 of the body, unpacked
    etag: str
    last_modified: str


def add(catalog: Catalog, url: str, source: str, query: str = "", depth: int = 0,
        archived: Archived | None = None, promise: int = 0) -> str:
    """Add a URL as crawl/urls.py spells it, due at once. Returns '', or 'already_known'.

    query: what `source` was asked for, or the address of the seed or page in which the URL stands. promise: see
    crawl/yields.py.

    A known URL is due again in two cases: it came from an archive that has a newer copy, or its key, which is all that
    older catalogs kept, never gave a page, and now its spelling is found. There it also replaces the key of what was
    not visited yet.
    """
    now, key = time.time(), url_key(url)
    spelling = None if url == key else url
    if catalog.execute(
            "INSERT OR IGNORE INTO urls (key, spelling, host, source, query, found_at, due_at, depth, archive, "
            "archive_offset, archive_length, promise) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (key, spelling, host_of(url), source, query, now, now, depth, *(archived or (None, None, None)),
             promise)).rowcount:
        return ""
    if spelling:
        catalog.execute("UPDATE urls SET spelling = ?, due_at = ? WHERE key = ? AND spelling IS NULL "
                        "AND fetched_at IS NULL AND (state != 'new' OR found_at < "
                        "(SELECT CAST(value AS REAL) FROM state WHERE key = 'urls.spelled_since'))",
                        [spelling, now, key])
    if archived:
        catalog.execute("UPDATE urls SET archive = ?, archive_offset = ?, archive_length = ?, due_at = ? "
                        "WHERE key = ? AND archive < ?", [*archived, now, key, archived.file])
    return "already_known"


def add_foreign(catalog: Catalog, url: str, source: str, query: str = "", depth: int = 0,
                is_list: bool = False) -> None:
    """Remember a URL that another shard crawls. It is never due. What may be a list is handed over as one, also if it
    was found as a page: reading it tells."""
    key = url_key(url)
    catalog.execute("INSERT INTO urls (key, spelling, host, source, query, found_at, state, depth) "
                    "VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO UPDATE SET state = excluded.state "
                    "WHERE state = ? AND excluded.state = ?",
                    [key, None if url == key else url, host_of(url), source, query, time.time(),
                     _FOREIGN_LIST if is_list else _FOREIGN, depth, _FOREIGN, _FOREIGN_LIST])


def foreign(catalog: Catalog) -> Iterator[Foreign]:
    """The URLs that other shards crawl, the oldest first."""
    for url, source, query, depth, state in catalog.execute(
            "SELECT url, source, query, depth, state FROM urls WHERE state IN (?, ?) ORDER BY id",
            [_FOREIGN, _FOREIGN_LIST]):
        yield Foreign(url, source, query, depth, state == _FOREIGN_LIST)


def count_foreign(catalog: Catalog) -> int:
    return int(catalog.value("SELECT count(*) FROM urls WHERE state IN (?, ?)", [_FOREIGN, _FOREIGN_LIST]))


def finish_visit(catalog: Catalog, url_id: int, reason: str, following: NextVisit, seen: Seen | None = None) -> None:
    """Note how a visit ended, and when the next one is due."""
    values: dict[str, object] = {"state": reason, **following._asdict()}
    if seen:
        values |= {"fetched_at": time.time(), **seen._asdict()}
    names = ", ".join(f"{name} = ?" for name in values)
    catalog.execute(f"UPDATE urls SET {names} WHERE id = ?", [*values.values(), url_id])


def get(catalog: Catalog, url: str) -> sqlite3.Row | None:
    row: sqlite3.Row | None = catalog.execute("SELECT * FROM urls WHERE key = ?", [url_key(url)]).fetchone()
    return row


def found_by(catalog: Catalog, url_id: int) -> str:
    """What found a URL first: a provider's name and its query, feed, sitemap or seed, or "links" and the page's URL."""
    row = catalog.execute("SELECT source, query FROM urls WHERE id = ?", [url_id]).fetchone()
    return ": ".join(filter(None, row)) if row else ""


def is_another(catalog: Catalog, url: str, url_id: int) -> bool:
    """Whether the catalog knows this URL, as another one than `url_id`."""
    return catalog.value("SELECT 1 FROM urls WHERE key = ? AND id != ?", [url_key(url), url_id]) is not None


def hosts_due(catalog: Catalog, now: float, limit: int = -1, without: Collection[str] = ()) -> Iterator[str]:
    """The hosts with a URL that is due, longest due first; none that is paused."""
    marks = ", ".join("?" * len(without))
    for (host,) in catalog.execute(f"SELECT host FROM hosts WHERE due_at <= ? AND {_NOT_PAUSED} "
                                   f"AND host NOT IN ({marks}) ORDER BY due_at LIMIT ?", [now, now, *without, limit]):
        yield host


def due(catalog: Catalog, host: str, now: float, limit: int = -1) -> list[sqlite3.Row]:
    """The URLs of a host that are due, longest due first."""
    return catalog.execute("SELECT * FROM urls WHERE host = ? AND due_at <= ? ORDER BY due_at, id LIMIT ?",
                           (host, now, limit)).fetchall()


def promises_due(catalog: Catalog, host: str, now: float, limit: int) -> list[sqlite3.Row]:
    """(id, source, promise) of the URLs of a host that are due, longest due first. The index has all of it."""
    return catalog.execute("SELECT id, source, promise FROM urls WHERE host = ? AND due_at <= ? ORDER BY due_at, id "
                           "LIMIT ?", [host, now, limit]).fetchall()


def rows(catalog: Catalog, ids: list[int]) -> list[sqlite3.Row]:
    """The URLs with these ids, in this order."""
    found = {row["id"]: row for row in catalog.execute(
        "SELECT * FROM urls WHERE id IN (SELECT value FROM json_each(?))", [json.dumps(ids)])}
    return [found[id] for id in ids]


def enough_due(catalog: Catalog, enough: int, per_host: int) -> bool:
    """Whether at least `enough` URLs that were never visited are due, where `per_host` of one host count at most, and
    none of a host that has only cost visits."""
    now, n = time.time(), 0
    costly = {host for (host,) in catalog.execute(f"SELECT host FROM yields GROUP BY host HAVING {ONLY_COSTS}")}
    for host in hosts_due(catalog, now):
        if host in costly:
            continue
        n += catalog.value("SELECT count(*) FROM (SELECT 1 FROM urls WHERE host = ? AND due_at <= ? AND promise != ? "
                           "LIMIT ?)", (host, now, VISITED, per_host))
        if n >= enough:
            return True
    return n >= enough


def count_due(catalog: Catalog) -> int:
    return int(catalog.value("SELECT count(*) FROM urls WHERE due_at <= ?", [time.time()]))


def count(catalog: Catalog) -> int:
    return int(catalog.value("SELECT count(*) FROM urls"))


def states(catalog: Catalog, host: str = "") -> list[tuple[str, int]]:
    """How many URLs are in which state, the commonest first; of one host, or of all."""
    of_host, values = ("WHERE host = ?", [host]) if host else ("", [])
    rows = catalog.execute(f"SELECT state, count(*) FROM urls {of_host} GROUP BY state ORDER BY count(*) DESC", values)
    return [(state, n) for state, n in rows]


def hosts_by_size(catalog: Catalog) -> list[str]:
    """Those with most URLs first."""
    return [host for (host,) in catalog.execute("SELECT host FROM urls GROUP BY host ORDER BY count(*) DESC, host")]


def robots(catalog: Catalog, host: str, since: float) -> str | None:
    """The robots.txt that was read at this epoch second or later."""
    text: str | None = catalog.value("SELECT robots FROM hosts WHERE host = ? AND robots_at > ?", [host, since])
    return text


def keep_robots(catalog: Catalog, host: str, text: str) -> None:
    catalog.execute("INSERT INTO hosts (host, robots, robots_at) VALUES (?, ?, ?) ON CONFLICT (host) DO UPDATE "
                    "SET robots = excluded.robots, robots_at = excluded.robots_at", [host, text, time.time()])


def feed(catalog: Catalog, host: str) -> str:
    """The feed that a page of this host announced last; '' if none did."""
    return catalog.value("SELECT feed FROM hosts WHERE host = ?", [host]) or ""


def keep_feed(catalog: Catalog, host: str, url: str) -> None:
    catalog.execute("UPDATE hosts SET feed = ? WHERE host = ? AND feed IS NOT ?", [url, host, url])


def links_added(catalog: Catalog, host: str) -> int:
    """How many URLs of a host were found by following links, ever."""
    return catalog.value("SELECT links FROM hosts WHERE host = ?", [host]) or 0


def count_links(catalog: Catalog, host: str, n: int) -> None:
    catalog.execute("UPDATE hosts SET links = links + ? WHERE host = ?", [n, host])
