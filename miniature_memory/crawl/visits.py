"""Visits to URLs: what the worker threads are given, what they do, and what they bring back."""

from __future__ import annotations

import hashlib
import queue
import sqlite3
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from miniature_memory.core.text import host_of, timestamp
from miniature_memory.crawl import page_signals
from miniature_memory.crawl.config import ScrapeConfig
from miniature_memory.crawl.guard import FetchError
from miniature_memory.crawl.robots import Rules, fetch_rules
from miniature_memory.crawl.warc import Exchange, archived_page, exchange_records
from miniature_memory.crawl.web import Fetched, Web
from miniature_memory.crawl.yields import Topic
from miniature_memory.responses.media_type import HTML_TYPES
from miniature_memory.responses.signals import Signals, read_signals

ARCHIVE = "https://data.commoncrawl.org/"
NO_NETWORK_HOSTS = 5  # unreachable before anything has answered: there is no network
BINARY = (b"ID3", b"%PDF", b"\x89PNG", b"GIF8", b"\xff\xd8\xff", b"PK\3\4", b"RIFF", b"OggS", b"\x7fELF")


@dataclass(eq=False)
class Visit:
    """A URL of the catalog that is due, and how far its redirects have led."""

    row: sqlite3.Row
    target: str  # the URL itself, or what it redirected to, or the archive's file
    hops: int = 0
    tries: int = 0
    refreshed: bool = False  # a page on the way led on by a refresh: a conditional GET would be answered for that page

    @classmethod
    def of(cls, row: sqlite3.Row) -> Visit:
        return cls(row, ARCHIVE + row["archive"] if row["archive"] else row["url"])

    def headers(self) -> dict[str, str]:
        """Those of a conditional GET, or the range of an archive's file."""
        row = self.row
        if row["archive"]:
            return {"Range": f"bytes={row['archive_offset']}-{row['archive_offset'] + row['archive_length'] - 1}"}
        pairs = {"If-None-Match": row["etag"], "If-Modified-Since": row["last_modified"]}
        return {name: value for name, value in pairs.items() if value and row["payload_hash"]}


@dataclass(eq=False)
class Host:
    name: str
    rules: Rules | None  # None: robots.txt is not known yet
    delay_sec: float
    visits: deque[Visit] = field(default_factory=deque)
    robots_fetches: deque[RobotsFetch] = field(default_factory=deque)  # before any visit
    checked: Visit | None = None  # the first of the visits, if the rules allow it
    asking: bool = False  # for the rules
    ready_at: float = 0.0  # the earliest time.monotonic() of the next request
    queued: bool = False  # in line, or a worker is busy with it
    answered: bool = False  # in this run
    failures: int = 0  # in a row
    backed_off: bool = False  # in earlier runs, and has not answered since
    planned: int = 0  # visits of this run


@dataclass(eq=False)
class RobotsFetch:
    """The robots.txt of a host, or where it redirects to."""

    host: Host
    url: str
    hops: int = 0


@dataclass
class Network:
    """Whether there is one, as far as this run knows."""

    answered: bool = False  # anything has answered
    unreachable_hosts: int = 0

    @property
    def is_down(self) -> bool:
        return self.unreachable_hosts >= NO_NETWORK_HOSTS and not self.answered


class Page(NamedTuple):
    """An answer, ready to be written."""

    answer: Fetched
    fetched_at: str = ""
    body_hash: str = ""  # sha256, in hex
    records: Exchange | None = None
    links: Mapping[str, int] = {}  # URL -> what it promises
    rejection: str = ""  # why only its links are of use
    feed: str = ""  # that it announces
    is_shell: bool = False  # it says nothing until a browser has run its scripts, or has said nothing until then


class Job(NamedTuple):
    host: Host
    request: Visit | RobotsFetch


class Done(NamedTuple):
    host: Host
    request: Visit | RobotsFetch
    outcome: Page | Rules | str | Exception  # str: where a robots.txt redirects to
    began: float  # time.monotonic()
    ended: float


def work(web: Web, config: ScrapeConfig, topic: Topic, jobs: queue.SimpleQueue[Job],
         done: queue.SimpleQueue[Done]) -> None:
    """A worker thread: fetch pages and robots.txt files."""
    while True:
        host, request = jobs.get()
        began = time.monotonic()
        outcome: Page | Rules | str | Exception
        try:
            if isinstance(request, Visit):
                outcome = fetch_page(web, config, topic, request)
            else:
                outcome = fetch_rules(web, request.url, request.hops)
        except Exception as error:  # a FetchError, or a bug, which the main thread raises again
            outcome = error
        done.put(Done(host, request, outcome, began, time.monotonic()))


def fetch_page(web: Web, config: ScrapeConfig, topic: Topic, visit: Visit) -> Page:
    """Fetch one page and prepare its records. Raises FetchError with the reason if there is no page to keep."""
    at = timestamp()
    row, source = visit.row, {}
    if row["archive"]:
        part = web.fetch(visit.target, headers=visit.headers(), truncate=True)
        answer, date = archived_page(part.payload[:row["archive_length"]], row["url"], web.config.max_bytes)
        source = {"WARC-Source-URI": visit.target, "WARC-Source-Range": visit.headers()["Range"]}
        at = date or at
    else:
        answer = web.fetch(visit.target, accept=HTML_TYPES, headers=visit.headers(), follow=False)
    if answer.location:
        return Page(answer, at, records=exchange_records(answer, at))
    if answer.status == 304:
        return Page(answer)
    body = answer.body
    if not body.strip(b"\0 \t\r\n"):
        raise FetchError("empty")
    if body.startswith(BINARY):
        raise FetchError("not_html")
    signals = read_signals(answer.headers, body)
    if target := page_signals.refresh_target(signals, answer.url):
        if row["archive"]:
            raise FetchError("redirected")  # the archive may have the other page, too
        return Page(replace(answer, location=target), at, records=exchange_records(answer, at))
    rejection = signals.rejection if config.respect_noai else ""
    if not rejection and page_signals.needs_js(body):
        if config.render == "off" or row["archive"]:  # the archive does not have what its scripts ask for
            raise FetchError("needs_js")
        return Page(answer, at, records=exchange_records(answer, at), is_shell=True)
    found = links_to_follow(config, topic, row, signals, answer.headers, body, answer.url)
    if rejection:  # which says nothing of what it leads to
        return Page(answer, links=found, rejection=rejection)
    return Page(answer, at, hashlib.sha256(body).hexdigest(), exchange_records(answer, at, source), found,
                feed=page_signals.feed_of(signals, body, answer.url))


def links_to_follow(config: ScrapeConfig, topic: Topic, row: sqlite3.Row, signals: Signals,
                    headers: list[tuple[str, str]], body: bytes, url: str) -> dict[str, int]:
    """The URLs on its own host that a page leads to, each with what it promises; none if links are not followed."""
    if not config.follow_links or row["depth"] >= config.max_link_depth:
        return {}
    found = page_signals.links(signals, headers, body, url, topic)
    return {target: promise for target, promise in found.items() if host_of(target) == host_of(url)}
