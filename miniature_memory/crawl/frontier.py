"""Frontier: which of the known URLs are visited next, and when again. Search and scrape both add to it."""

import math
import sqlite3
import time
from collections.abc import Collection

from miniature_memory.core.paths import command
from miniature_memory.crawl import yields
from miniature_memory.crawl.outcomes import reason_in_words
from miniature_memory.storage import backoffs, urls
from miniature_memory.storage.catalog import Catalog
from miniature_memory.storage.urls import NextVisit

DAY_SEC = 86400.0
MIN_REVISIT_DAYS, MAX_REVISIT_DAYS = 1.0, 90.0  # guess
RETRY_DAYS, MAX_RETRY_DAYS = 1.0, 30.0  # after the first failure, doubled with each further one; guess
NEVER_AGAIN = {"http_410", "not_html"}
NO_FAILURE = {"fetched", "not_modified", "unchanged", "duplicate_payload", "redirected", "robots", "noindex", "noai",
              "needs_js", "still_empty", "forgotten", "blocked_host", "blocked_word", "blocked_address", "service_page",
              "not_html_ending"}
SETTLED_BY_PAGE = {"fetched", "unchanged", "duplicate_payload", "noindex", "noai", "needs_js"}
MOST_HOSTS_SHOWN = 40


def due_urls(catalog: Catalog, limit: int, per_host: int, unlimited: Collection[str] = ()) -> list[sqlite3.Row]:
    """The URLs to visit next: those that are likely to give most, see yields.py; as long as nothing is known of that,
    one of each host, then a second of each, and so on. At most `per_host` of one.

    The hosts in `unlimited` come on top, with all that they have.
    """
    now = time.time()
    rows = [row for host in unlimited for row in urls.due(catalog, host, now)]
    chosen = yields.choose(catalog, now, limit, per_host, unlimited)
    if chosen is None:
        chosen = in_turn(catalog, now, limit, per_host, unlimited)
    return rows + [row for *_, row in sorted((turn, row["due_at"], row["id"], row) for turn, row in chosen)]


def in_turn(catalog: Catalog, now: float, limit: int, per_host: int,
            without: Collection[str]) -> list[tuple[int, sqlite3.Row]]:
    """The URLs of all hosts in turn, longest due first, each with its turn at its host."""
    hosts = list(urls.hosts_due(catalog, now, limit, without))
    share = min(per_host, math.ceil(limit / max(len(hosts), 1)))
    found: list[list[sqlite3.Row]] = []
    while share > 0:
        found = [urls.due(catalog, host, now, share) for host in hosts]
        if share == per_host or sum(map(len, found)) >= limit or all(len(of_host) < share for of_host in found):
            break
        share = min(per_host, share * 4)  # some hosts had less to offer than their share
    turns = sorted((turn, row["due_at"], row["id"], row) for of_host in found for turn, row in enumerate(of_host))
    return [(turn, row) for turn, *_, row in turns[:limit]]


def next_visit(row: sqlite3.Row, reason: str, first_days: float) -> NextVisit:
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
        wait = min(RETRY_DAYS * 2.0 ** min(row["failures"], 30), MAX_RETRY_DAYS)
    gone = reason in NEVER_AGAIN or reason == row["state"] == "http_404"
    gone = gone or (row["archive"] is not None and reason in SETTLED_BY_PAGE)  # an archived copy stays as it is
    return NextVisit(None if gone else time.time() + wait * DAY_SEC, days, failures)


def status_table(catalog: Catalog) -> str:
    """How many URLs are in which state, by host: a text table, the hosts with most URLs first."""
    hosts = urls.hosts_by_size(catalog)
    if not hosts:
        return "No URLs are known yet. Fix: " + command("run.py", catalog.root, "--only search")
    shown = hosts[:MOST_HOSTS_SHOWN]
    width = min(50, max(map(len, ["all hosts", *shown])))
    table = []
    for name, host in [("all hosts", ""), *((host, host) for host in shown)]:
        of_host = urls.states(catalog, host)
        parts = ", ".join(f"{n:,} {reason_in_words(state)}" for state, n in of_host)
        table.append(f"{name:<{width}}  {sum(n for _, n in of_host):>9,}  {parts}")
    if len(hosts) > len(shown):
        table.append(f"... and {len(hosts) - len(shown):,} more hosts")
    for host, backoff in list(backoffs.active(catalog, backoffs.HOST, time.time()).items())[:MOST_HOSTS_SHOWN]:
        clock = time.strftime("%d %b %H:%M", time.localtime(backoff.until))
        table.append(f"{host:<{width}}  paused until {clock}: {reason_in_words(backoff.reason)}")
    return "\n".join(table)
