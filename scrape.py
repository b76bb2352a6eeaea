"""Scrape: URLs that are due in, pages out.

Reads   the catalog's urls that are due
Writes  data/pages/*.warc.gz    WARC 1.1 response records, payload as it came over the wire, one gzip member a record
Alone   .venv/bin/python scrape.py --set scrape.max_pages=20

Many hosts at once, one request a host at a time, and from the end of one answer to the next request at least
scrape.delay_sec or the host's own Crawl-delay. The main thread decides and writes; the workers only fetch.
"""

from __future__ import annotations

import hashlib
import heapq
import io
import itertools
import logging
import math
import queue
import sqlite3
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tqdm import tqdm
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from catalog import Catalog
from guard import FetchError
from pipeline import Report, hide_bars, stage_main, strip_control
from urls import host_of, url_refusal
from web import AGENT, HTML_TYPES, Fetched, Rules, Web, WebConfig, close_host, fetch_rules, known_rules, remember_rules

logger = logging.getLogger(__name__)

PAGES, SUFFIX = "data/pages", ".warc.gz"
DAY_SEC = 86400.0
MAX_RETRY_DAYS = 30.0
NEVER_AGAIN = {"http_404", "http_410", "not_html"}
NO_FAILURE = {"fetched", "not_modified", "unchanged", "redirected", "robots", "blocked_host", "blocked_word",
              "blocked_address", "not_html_ending"}  # asked again when the next visit is due
HOST_REASONS = {"unreachable", "tls_error", "blocked_address"}  # hold for all pages of a host
PAUSE_REASONS = {"http_429", "http_503"}  # the host asks to be left alone
MAX_HOST_FAILURES = 3  # in a row: the rest of this host waits for the next run
NO_NETWORK_HOSTS = 5  # unreachable before anything has answered: there is no network
TICK_SEC = 0.2  # how often a waiting crawl looks after its deadline and its group of records


@dataclass(frozen=True)
class ScrapeConfig:
    """The table [scrape]; config/default.toml says what each key means, and its unit."""

    max_pages: int = 300
    max_pages_per_host: int = 50
    max_minutes: float = 3.0
    delay_sec: float = 5.0  # trafilatura's, settings.cfg
    workers: int = 16
    revisit_days: float = 7.0
    retry_days: float = 1.0
    host_pause_sec: float = 3600.0
    web: WebConfig = field(default_factory=WebConfig)

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise ValueError(f"workers = {self.workers}: expected at least 1")


@dataclass
class Visit:
    """A URL of the catalog that is due, and where the way to it has come so far."""

    row: sqlite3.Row
    target: str  # the URL itself, or what it redirected to
    hops: int = 0

    def conditions(self) -> dict[str, str]:
        """The headers of a conditional GET."""
        pairs = {"If-None-Match": self.row["etag"], "If-Modified-Since": self.row["last_modified"]}
        return {name: value for name, value in pairs.items() if value and self.row["payload_hash"]}


@dataclass
class Host:
    name: str
    rules: Rules | None  # None: robots.txt is still to be read
    visits: deque[Visit] = field(default_factory=deque)
    ready_at: float = 0.0  # time.monotonic() of the next request, at the earliest
    queued: bool = False  # it stands in line, or a worker is busy with it
    failures: int = 0  # in a row


# --- what is due ---------------------------------------------------------------------------------


def due_visits(catalog: Catalog, config: ScrapeConfig, stand_ins: list[str]) -> list[Visit]:
    """The URLs to visit in this run, one of each host, then a second of each, and so on. No caps for stand-ins."""
    marks = ", ".join("?" * len(stand_ins))
    rows = _due(catalog, f"host NOT IN ({marks})", stand_ins, config.max_pages_per_host, config.max_pages)
    rows += _due(catalog, f"host IN ({marks})", stand_ins, -1, -1)
    return [Visit(row, row["url"]) for row in rows]


def _due(catalog: Catalog, which: str, names: list[str], per_host: int, limit: int) -> list[sqlite3.Row]:
    now = time.time()
    return catalog.execute(
        "SELECT * FROM (SELECT *, row_number() OVER (PARTITION BY host ORDER BY due_at, id) AS turn FROM urls "
        f"WHERE due_at <= ? AND {which} AND host NOT IN (SELECT host FROM hosts WHERE closed_until > ?)) "
        "WHERE turn <= ? OR ? < 0 ORDER BY turn, due_at, id LIMIT ?",
        [now, *names, now, per_host, per_host, limit]).fetchall()


def next_due(reason: str, failures: int, config: ScrapeConfig) -> float | None:
    """When to visit again a URL whose visit ended with `reason`; failures: before this one. None: never."""
    if reason in NEVER_AGAIN:
        return None
    days = config.revisit_days
    if reason not in NO_FAILURE:
        days = min(config.retry_days * 2.0**min(failures, 30), MAX_RETRY_DAYS)
    return time.time() + days * DAY_SEC


# --- WARC ----------------------------------------------------------------------------------------


def warc_response(page: Fetched, fetched_at: str) -> bytes:
    """A WARC response record, one gzip member. What undoing the chunking made untrue is renamed, as Common Crawl
    does it: a reader would look for chunks again."""
    headers = [("X-Crawl-" + name if name.lower() == "transfer-encoding" else name, _one_line(value))
               for name, value in page.headers if name.isascii()]
    buffer = io.BytesIO()
    writer = WARCWriter(buffer, gzip=True, warc_version="1.1")
    writer.write_record(writer.create_warc_record(
        page.url, "response", payload=io.BytesIO(page.payload), length=len(page.payload),
        http_headers=StatusAndHeaders(f"{page.status} {_one_line(page.phrase)}".strip(), headers, protocol="HTTP/1.1"),
        warc_headers_dict={"WARC-Date": fetched_at}))
    return buffer.getvalue()


def _one_line(text: str) -> str:
    """`text` of a header as it may stand in a file: headers are Latin-1 to HTTP, and ASCII to warcio."""
    return " ".join(strip_control(text).encode("ascii", "replace").decode().split("\n"))


def warc_info(filename: str, agent: str) -> bytes:
    """The record that every WARC file begins with."""
    buffer = io.BytesIO()
    writer = WARCWriter(buffer, gzip=True, warc_version="1.1")
    writer.write_record(writer.create_warcinfo_record(filename, {
        "software": AGENT, "http-header-user-agent": agent, "robots": "obey", "format": "WARC File Format 1.1"}))
    return buffer.getvalue()


# --- the crawl -----------------------------------------------------------------------------------

Outcome = Fetched | Rules | Exception


def work(web: Web, jobs: queue.SimpleQueue[tuple[Host, Visit | None]],
         done: queue.SimpleQueue[tuple[Host, Visit | None, Outcome, float]]) -> None:
    """A worker thread: fetch what is asked for, a page or (visit is None) a robots.txt."""
    while True:
        host, visit = jobs.get()
        outcome: Outcome
        try:
            if visit is None:
                outcome = fetch_rules(web, host.visits[0].target)
            else:
                outcome = web.fetch(visit.target, accept=HTML_TYPES, headers=visit.conditions(), follow=False)
        except Exception as error:  # a FetchError, or a bug, which the main thread raises again
            outcome = error
        done.put((host, visit, outcome, time.monotonic()))


class Crawl:
    """One run: the hosts in line, what the workers are busy with, and what came of it."""

    def __init__(self, config: ScrapeConfig, catalog: Catalog, report: Report) -> None:
        self.config, self.catalog, self.report = config, catalog, report
        self.web = Web(config.web)
        self.hosts: dict[str, Host] = {}
        self.line: list[tuple[float, int, Host]] = []  # a heap by ready_at
        self.order = itertools.count()
        self.jobs: queue.SimpleQueue[tuple[Host, Visit | None]] = queue.SimpleQueue()
        self.done: queue.SimpleQueue[tuple[Host, Visit | None, Outcome, float]] = queue.SimpleQueue()
        self.busy = 0  # workers
        self.answered = False  # whether anything has answered: then there is a network
        self.unreachable_hosts = 0

    def run(self, visits: list[Visit]) -> None:
        """Make the visits, for max_minutes at most. What is not done by then stays due."""
        lifted = all(self.web.is_stand_in(visit.target) for visit in visits)
        deadline = time.monotonic() + (math.inf if lifted else self.config.max_minutes * 60)
        for visit in visits:
            self.host_for(visit.target).visits.append(visit)
        for host in self.hosts.values():
            self.enqueue(host)
        for _ in range(min(self.config.workers, len(visits))):
            threading.Thread(target=work, args=(self.web, self.jobs, self.done), daemon=True).start()
        with tqdm(total=len(visits), unit="page", disable=hide_bars(), leave=False) as self.progress:
            while time.monotonic() < deadline and (self.busy or (self.line and self.line[0][0] < deadline)):
                if self.unreachable_hosts >= NO_NETWORK_HOSTS and not self.answered:
                    logger.warning("the first %d hosts are all out of reach: there is no network",
                                   self.unreachable_hosts)
                    return
                self.hand_out()
                self.receive(deadline)

    def host_for(self, url: str) -> Host:
        name = host_of(url)
        if name not in self.hosts:
            self.hosts[name] = Host(name, known_rules(self.catalog, name))
        return self.hosts[name]

    def enqueue(self, host: Host) -> None:
        """Put a host in line for its next request, if it has one and is not there already."""
        if host.visits and not host.queued:
            host.queued = True
            heapq.heappush(self.line, (host.ready_at, next(self.order), host))

    def hand_out(self) -> None:
        """Give the hosts whose time has come to idle workers."""
        while self.line and self.busy < self.config.workers and self.line[0][0] <= time.monotonic():
            host = heapq.heappop(self.line)[2]
            visit = None
            if host.rules:
                visit = self.next_allowed(host, host.rules)
                if not visit:
                    host.queued = False
                    continue
            self.busy += 1
            self.jobs.put((host, visit))

    def next_allowed(self, host: Host, rules: Rules) -> Visit | None:
        while host.visits:
            visit = host.visits.popleft()
            reason = rules.refuse(visit.target)
            if not reason:
                return visit
            self.settle(visit, reason)
        return None

    def receive(self, deadline: float) -> None:
        """Wait for a worker or for a host's turn, and deal with what came."""
        turn = self.line[0][0] if self.line and self.busy < self.config.workers else math.inf
        wait = min(turn, deadline, time.monotonic() + TICK_SEC) - time.monotonic()
        try:
            host, visit, outcome, ended = self.done.get(timeout=max(wait, 0.0))
        except queue.Empty:
            self.catalog.commit_if_due()
            return
        self.busy -= 1
        host.queued = False
        if isinstance(outcome, Rules):
            self.learn(host, outcome)
        delay = 0.0 if self.web.is_stand_in(f"http://{host.name}/") else self.config.delay_sec
        host.ready_at = ended + max(delay, host.rules.delay_sec if host.rules and delay else 0.0)
        if visit and isinstance(outcome, FetchError):
            self.fail(host, visit, outcome)
        elif isinstance(outcome, Exception):
            raise outcome
        self.enqueue(host)
        self.hand_out()  # the worker goes on while the page is written
        if visit and isinstance(outcome, Fetched):
            self.answered, host.failures = True, 0
            self.take(visit, outcome)

    def learn(self, host: Host, rules: Rules) -> None:
        """The robots.txt of a host has come, or the reason why it cannot be had."""
        host.rules = rules
        self.answered = self.answered or rules.refusal not in ("unreachable", "blocked_address")
        self.unreachable_hosts += rules.refusal == "unreachable"
        with self.catalog.record():
            remember_rules(self.catalog, host.name, rules)
        if rules.refusal:
            self.next_allowed(host, rules)  # settles all of them

    def fail(self, host: Host, visit: Visit, error: FetchError) -> None:
        reason = error.reason
        self.settle(visit, reason)
        if reason in HOST_REASONS:
            self.learn(host, Rules(refusal=reason))
        else:
            self.answered = True
        if reason in PAUSE_REASONS:
            with self.catalog.record():
                seconds = min(error.retry_after_sec or self.config.host_pause_sec, MAX_RETRY_DAYS * DAY_SEC)
                close_host(self.catalog, host.name, seconds, reason)
        failed = reason == "timeout" or reason == "bad_response" or reason.startswith("http_5")
        host.failures = host.failures + 1 if failed else 0
        if reason in PAUSE_REASONS or host.failures == MAX_HOST_FAILURES:
            self.progress.total = (self.progress.total or 0) - len(host.visits)
            host.visits.clear()  # they stay due

    def take(self, visit: Visit, page: Fetched) -> None:
        """Deal with an answer: a redirect, nothing new, or a page to keep."""
        if page.location:
            self.redirect(visit, page.location)
        elif page.status == 304:
            self.settle(visit, "not_modified")
        elif not page.body.strip():
            self.settle(visit, "empty")
        else:
            self.store(visit, page)

    def redirect(self, visit: Visit, location: str) -> None:
        """Go on to where a page redirects, as a request in the line of that host; unless it has a visit of its own."""
        reason = url_refusal(location)
        if self.catalog.value("SELECT 1 FROM urls WHERE url = ? AND id != ?", [location, visit.row["id"]]):
            reason = "redirected"
        if visit.hops == self.config.web.max_redirects:
            reason = "too_many_redirects"
        if reason:
            self.settle(visit, reason)
            return
        visit.target, visit.hops = location, visit.hops + 1
        host = self.host_for(location)
        host.visits.appendleft(visit)
        self.enqueue(host)

    def store(self, visit: Visit, page: Fetched) -> None:
        digest = hashlib.sha256(page.body).hexdigest()
        if digest == visit.row["payload_hash"]:
            self.settle(visit, "unchanged", page, digest)
            return
        fetched_at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        member = warc_response(page, fetched_at)
        with self.catalog.record():
            shard = self.catalog.shard(PAGES, SUFFIX, len(member))
            if not self.catalog.length(shard):
                info = warc_info(Path(shard).name, self.web.agent)
                self.report.bytes_written += self.catalog.append_to(shard, info).length
            place = self.catalog.append_to(shard, member)
            self.catalog.execute("INSERT INTO pages (url_id, url, fetched_at, file, offset, length) "
                                 "VALUES (?, ?, ?, ?, ?, ?)", [visit.row["id"], page.url, fetched_at, *place])
            self.update(visit, "fetched", page, digest)
        self.report.n_in += 1
        self.report.n_out += 1
        self.report.bytes_written += place.length
        self.progress.update()

    def settle(self, visit: Visit, reason: str, page: Fetched | None = None, digest: str = "") -> None:
        """End a visit without a new page."""
        with self.catalog.record():
            self.update(visit, reason, page, digest)
        self.report.n_in += 1
        self.report.dropped[reason] += 1
        self.progress.update()

    def update(self, visit: Visit, reason: str, page: Fetched | None, digest: str) -> None:
        """Write down how a visit ended, within a record() block."""
        row = visit.row
        due_at, failures = next_due(reason, row["failures"], self.config), row["failures"] + 1
        if reason == "unreachable" and not self.answered:
            due_at, failures = row["due_at"], row["failures"]  # no network is not this page's fault
        elif reason in NO_FAILURE:
            failures = 0
        values: dict[str, Any] = {"state": reason, "due_at": due_at, "failures": failures}
        if page:
            values |= {"fetched_at": time.time(), "payload_hash": digest, "etag": _short(page.header("ETag")),
                       "last_modified": _short(page.header("Last-Modified"))}
        names = ", ".join(f"{name} = ?" for name in values)
        self.catalog.execute(f"UPDATE urls SET {names} WHERE id = ?", [*values.values(), row["id"]])


def _short(header: str) -> str:
    """A header to send back later; '' if it is unfit for that."""
    return header if len(header) <= 500 and header == strip_control(header) and header.isascii() else ""


def run(config: ScrapeConfig, root: Path) -> Report:
    report = Report("scrape")
    with Catalog(root) as catalog:
        crawl, started = Crawl(config, catalog, report), time.monotonic()
        visits = due_visits(catalog, config, list(crawl.web.guard.connect_to))
        if visits:
            crawl.run(visits)
        else:
            logger.info("no URL is due")
        still_due = catalog.value("SELECT count(*) FROM urls WHERE due_at <= ?", [time.time()])
        report.facts = {"hosts": len(crawl.hosts), "still_due": still_due, "pages_per_sec": round(
            report.n_in / max(time.monotonic() - started, 1e-9), 1)}
    return report


def main(argv: list[str] | None = None) -> int:
    return stage_main(run, ScrapeConfig, "scrape", argv)


if __name__ == "__main__":
    raise SystemExit(main())
