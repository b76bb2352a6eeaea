"""Frontier: the URLs that are known, which of them is visited next, and when again.

Search and scrape both add to it; it lies in the catalog. Every function here is as fast with a million URLs as with
a thousand: the catalog keeps, for each host, when the first of its URLs is due.
"""

from __future__ import annotations

import math
import sqlite3
import time
from collections.abc import Collection
from typing import NamedTuple

from miniature_memory.core.text import host_of
from miniature_memory.storage import backoffs
from miniature_memory.storage.catalog import Catalog

DAY_SEC = 86400.0
_OPEN = "host NOT IN (SELECT name FROM backoffs WHERE kind = 'host' AND until > ?)"  # parameter: now
MIN_REVISIT_DAYS, MAX_REVISIT_DAYS = 1.0, 90.0  # guess
MAX_RETRY_DAYS = 30.0
NEVER_AGAIN = {"http_410", "not_html"}
NO_FAILURE = {"fetched", "not_modified", "unchanged", "duplicate_payload", "redirected", "robots", "noindex", "noai",
              "needs_js", "blocked_host", "blocked_word", "blocked_address", "service_page", "not_html_ending"}
SETTLED_BY_PAGE = {"fetched", "unchanged", "duplicate_payload", "noindex", "noai", "needs_js"}


class Archived(NamedTuple):
    """Where Common Crawl keeps a page: a WARC file of its bucket, and the record in it."""

    file: str
    offset: int
    length: int


def add_url(catalog: Catalog, url: str, source: str, query: str = "", depth: int = 0,
            archived: Archived | None = None) -> str:
    """Add a canonical URL, due at once, within a record() block. Returns '', or 'already_known'.

    A known URL that came from an archive is due again when that has a newer copy.
    """
    now = time.time()
    if catalog.execute(
            "INSERT OR IGNORE INTO urls (url, host, source, query, found_at, due_at, depth, archive, archive_offset, "
            "archive_length) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (url, host_of(url), source, query, now, now, depth, *(archived or (None, None, None)))).rowcount:
        return ""
    if archived:
        catalog.execute("UPDATE urls SET archive = ?, archive_offset = ?, archive_length = ?, due_at = ? "
                        "WHERE url = ? AND archive < ?", [*archived, now, url, archived.file])
    return "already_known"


# --- what is due ---------------------------------------------------------------------------------


def due_urls(catalog: Catalog, limit: int, per_host: int, unlimited: Collection[str] = ()) -> list[sqlite3.Row]:
    """The URLs to visit next: one of each host, then a second of each, and so on, at most `per_host` of one.

    The hosts in `unlimited` come on top, with all that they have.
    """
    now = time.time()
    rows = []
    for host in unlimited:
        rows += _of_host(catalog, host, now, 1 << 40)
    marks = ", ".join("?" * len(unlimited))
    hosts = [host for (host,) in catalog.execute(
        f"SELECT host FROM hosts WHERE due_at <= ? AND {_OPEN} AND host NOT IN ({marks}) "
        "ORDER BY due_at LIMIT ?", [now, now, *unlimited, limit])]
    share = min(per_host, math.ceil(limit / max(len(hosts), 1)))
    found: list[list[sqlite3.Row]] = []
    while share > 0:
        found = [_of_host(catalog, host, now, share) for host in hosts]
        if share == per_host or sum(map(len, found)) >= limit or all(len(of_host) < share for of_host in found):
            break
        share = min(per_host, share * 4)  # some hosts had less to offer than their share
    turns = sorted((turn, row["due_at"], row["id"], row) for of_host in found for turn, row in enumerate(of_host))
    return rows + [row for *_, row in turns[:limit]]


def _of_host(catalog: Catalog, host: str, now: float, limit: int) -> list[sqlite3.Row]:
    return catalog.execute("SELECT * FROM urls WHERE host = ? AND due_at <= ? ORDER BY due_at, id LIMIT ?",
                           (host, now, limit)).fetchall()


def count_due(catalog: Catalog, enough: int, per_host: int) -> int:
    """How many URLs are due, `per_host` of one host at most; counting stops at `enough`."""
    now, n = time.time(), 0
    for (host,) in catalog.execute(f"SELECT host FROM hosts WHERE due_at <= ? AND {_OPEN} ORDER BY due_at", [now, now]):
        n += catalog.value("SELECT count(*) FROM (SELECT 1 FROM urls WHERE host = ? AND due_at <= ? LIMIT ?)",
                           (host, now, per_host))
        if n >= enough:
            break
    return n


# --- when to come again --------------------------------------------------------------------------


class NextVisit(NamedTuple):
    due_at: float | None  # epoch seconds; None: never
    revisit_days: float | None  # None: every visit has failed
    failures: int


def next_visit(row: sqlite3.Row, reason: str, first_days: float, retry_days: float) -> NextVisit:
    """When to visit again a URL of the catalog whose visit has just ended with `reason`.

    The interval is halved for a page that has changed and doubled for one that has not, so that it finds the page's
    own rhythm (after Cho and Garcia-Molina, Effective Page Refresh Policies for Web Crawlers, 2003).
    """
    days, failures = row["revisit_days"], 0
    if reason == "fetched":
        days = max(days / 2, MIN_REVISIT_DAYS) if days else first_days
    elif reason in NO_FAILURE:
        days = min((days or first_days) * 2, MAX_REVISIT_DAYS)
    wait = days or first_days
    if reason not in NO_FAILURE:
        failures = row["failures"] + 1
        wait = min(retry_days * 2.0 ** min(row["failures"], 30), MAX_RETRY_DAYS)
    gone = reason in NEVER_AGAIN or reason == row["state"] == "http_404"
    gone = gone or (row["archive"] is not None and reason in SETTLED_BY_PAGE)  # an archived copy stays as it is
    return NextVisit(None if gone else time.time() + wait * DAY_SEC, days, failures)


# --- what became of them -------------------------------------------------------------------------


def status_table(catalog: Catalog, most_hosts: int = 40) -> str:
    """How many URLs are in which state, by host: a text table, the hosts with most URLs first."""
    states = catalog.execute("SELECT state, count(*) FROM urls GROUP BY state ORDER BY count(*) DESC").fetchall()
    if not states:
        return "no URL is known yet: run search.py first, or python3 run.py"
    hosts = catalog.execute("SELECT host, count(*) AS n FROM urls GROUP BY host ORDER BY n DESC, host LIMIT ?",
                            [most_hosts + 1]).fetchall()
    lines = [("all hosts", states)]
    for host, _ in hosts[:most_hosts]:
        lines.append((host, catalog.execute("SELECT state, count(*) FROM urls WHERE host = ? GROUP BY state "
                                            "ORDER BY count(*) DESC", [host]).fetchall()))
    width = min(50, max(len(name) for name, _ in lines))
    table = []
    for name, of_host in lines:
        parts = ", ".join(f"{state} {n:,}" for state, n in of_host)
        table.append(f"{name:<{width}}  {sum(n for _, n in of_host):>9,}  {parts}")
    if len(hosts) > most_hosts:
        table.append(f"... and {catalog.value('SELECT count(DISTINCT host) FROM urls') - most_hosts:,} hosts more")
    for host, backoff in list(backoffs.active(catalog, backoffs.HOST, time.time()).items())[:most_hosts]:
        clock = time.strftime("%d %b %H:%M", time.localtime(backoff.until))
        table.append(f"{host:<{width}}  left alone until {clock}: {backoff.reason}")
    return "\n".join(table)
