"""The crawl: which host is asked next, and what came of it."""

from __future__ import annotations

import heapq
import itertools
import logging
import math
import queue
import random
import re
import sqlite3
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

from miniature_memory.core.progress import Progress
from miniature_memory.core.stage import StageStats
from miniature_memory.core.text import host_of, strip_control, timestamp
from miniature_memory.crawl.blocklists import Blocklist, url_refusal
from miniature_memory.crawl.config import ScrapeConfig
from miniature_memory.crawl.frontier import add_url, next_visit
from miniature_memory.crawl.guard import FetchError
from miniature_memory.crawl.robots import Rules, known_rules, remember_rules, robots_url
from miniature_memory.crawl.visits import ARCHIVE, Done, Host, Job, Outcome, Page, RobotsFetch, Visit, work
from miniature_memory.crawl.warc import info_record, revisit_record
from miniature_memory.crawl.web import Web
from miniature_memory.storage import backoffs
from miniature_memory.storage.catalog import Catalog

logger = logging.getLogger(__name__)

PAGES, SUFFIX = "data/pages", ".warc.gz"
ARCHIVE_DELAY_SEC = 1.0  # "no faster than once a second" (commoncrawl.org, status page)
HOST_REASONS = {"unreachable", "tls_error", "blocked_address"}  # of a host's first page hold for all its pages
PAUSE_REASONS = {"http_429", "http_503"}  # the host asks to be left alone
DENIALS = {"http_401", "http_403"}  # will be no better in a while, but three in a row are meant for all we ask
FAILURES = re.compile(r"timeout|bad_response|unreachable|http_5..|http_429|http_40[13]")  # of a host
MAX_TRIES = 2  # of one page in one run
MAX_HOST_FAILURES = 3  # in a row: the host is closed, for twice as long as the last time
BACKOFF_SEC = 2.0  # after a host's first failure, doubled with each further one
MAX_WAIT_SEC = 30.0  # a host that asks for more patience than that is left to a later run
MAX_CLOSED_SEC = 7 * 86400.0
NO_NETWORK_HOSTS = 5  # unreachable before anything has answered: there is no network
LATENCY_SEC = 0.005  # of answers for each worker that is busy, beyond two: measured, see Crawl.hand_out
TICK_SEC = 0.2  # how often a waiting crawl looks after its deadline and its group of records


# --- the crawl -----------------------------------------------------------------------------------


class Crawl:
    """One run: the hosts in line, what the workers are busy with, and what came of it."""

    def __init__(self, config: ScrapeConfig, catalog: Catalog, report: StageStats) -> None:
        self.config, self.catalog, self.report = config, catalog, report
        self.web = Web(config.web)
        self.blocklist = Blocklist.load(catalog.root, config.search.blocklists)
        self.hosts: dict[str, Host] = {}
        self.line: list[tuple[float, int, Host]] = []  # a heap by ready_at
        self.order = itertools.count()
        self.jobs: queue.SimpleQueue[Job] = queue.SimpleQueue()
        self.done: queue.SimpleQueue[Done] = queue.SimpleQueue()
        self.busy = 0  # workers
        self.room = config.workers  # how many of them may be busy now
        self.latency_sec = TICK_SEC  # of an answer, smoothed
        self.answered = False  # whether anything has answered: then there is a network
        self.unreachable_hosts = 0
        self.planned = 0  # visits of this run
        self.redirected_to: dict[str, Visit] = {}  # who comes first to where several URLs redirect
        self.links: Counter[str] = Counter()  # of pages that were followed: added, or why not
        self.deadline = math.inf
        self.progress = Progress(desc="scrape", total=0, unit=" pages", leave=False)

    def run(self, rows: list[sqlite3.Row]) -> None:
        """Visit these URLs, for max_minutes at most. What is not done by then stays due."""
        if not all(self.web.is_stand_in(row["url"]) for row in rows):
            self.deadline = time.monotonic() + self.config.max_minutes * 60
        for row in rows:
            self.plan(row)
        for _ in range(min(self.config.workers, len(rows))):
            threading.Thread(target=work, args=(self.web, self.config, self.jobs, self.done), daemon=True).start()
        with self.progress:
            while time.monotonic() < self.deadline and (self.busy or (self.line and self.line[0][0] < self.deadline)):
                if self.no_network() and not self.busy:
                    logger.warning("the first %d hosts are all out of reach: there is no network. Fix: connect "
                                   "this machine; python3 run.py --doctor tells who answers",
                                   self.unreachable_hosts)
                    return
                self.hand_out()
                self.receive()
            while not self.done.empty():  # fetched in time, but not yet written down
                self.receive()

    def no_network(self) -> bool:
        return self.unreachable_hosts >= NO_NETWORK_HOSTS and not self.answered

    def plan(self, row: sqlite3.Row) -> None:
        """Put a URL in the line of its host; not within a record() block, since it may end here."""
        visit = Visit.of(row)
        host = self.host_for(visit.target)
        if row["archive"] and host.rules and host.rules.refusal:
            return  # the archive is closed: that is not this page's fault
        host.planned += 1
        self.planned += 1
        self.progress.total = self.planned
        if reason := url_refusal(row["url"], self.blocklist):  # a block list may be newer than the URL
            self.finish_visit(visit, reason)
            return
        host.visits.append(visit)
        self.enqueue(host)

    def host_for(self, url: str) -> Host:
        name = host_of(url)
        if name not in self.hosts:
            own = ARCHIVE_DELAY_SEC if url.startswith(ARCHIVE) else self.config.delay_sec
            backoff = backoffs.get(self.catalog, backoffs.HOST, name)
            self.hosts[name] = Host(name, known_rules(self.catalog, name), 0.0 if self.web.is_stand_in(url) else own,
                                    backed_off=backoff is not None)
        return self.hosts[name]

    def enqueue(self, host: Host) -> None:
        """Put a host in line for its next request, if it has one and is not there already."""
        if host.visits and not host.rules and not host.asking:
            host.asking = True
            host.robots_fetches.append(RobotsFetch(host, robots_url(host.visits[0].target)))
        if host.queued:
            return
        while host.visits and (reason := self.refusal(host)):
            self.finish_visit(host.visits.popleft(), reason)
        if host.robots_fetches or (host.visits and host.rules):
            host.queued = True
            heapq.heappush(self.line, (host.ready_at, next(self.order), host))
        elif host.rules:
            host.rules.forget()

    def refusal(self, host: Host) -> str:
        """Why a host's next visit must not be made; '' if nothing is known against it."""
        if not host.rules or host.visits[0] is host.checked:
            return ""
        reason = host.rules.refuse(host.visits[0].target)
        reason = reason or ("noai" if self.config.respect_noai and host.rules.forbids_training else "")
        host.checked = None if reason else host.visits[0]
        return reason

    def hand_out(self) -> None:
        """Give the hosts whose time has come to idle workers, to few of them where answers come at once: more would
        only fight over the interpreter's lock."""
        self.room = min(self.config.workers, 2 + int(self.latency_sec / LATENCY_SEC))
        now = time.monotonic()
        while self.line and self.busy < self.room and self.line[0][0] <= now < self.deadline and not self.no_network():
            host = heapq.heappop(self.line)[2]
            if not host.robots_fetches and self.refusal(host):  # a redirect has come in between
                host.queued = False
                self.enqueue(host)
                continue
            self.busy += 1
            self.jobs.put((host, host.robots_fetches.popleft() if host.robots_fetches else host.visits.popleft()))

    def receive(self) -> None:
        """Wait for a worker or for a host's turn, and deal with what came."""
        turn = self.line[0][0] if self.line and self.busy < self.room else math.inf
        wait = min(turn, self.deadline, time.monotonic() + TICK_SEC) - time.monotonic()
        try:
            host, job, outcome, began, ended = self.done.get(timeout=max(wait, 0.0))
        except queue.Empty:
            self.latency_sec = max(self.latency_sec, wait)  # those who are busy wait for somebody slow
            self.catalog.commit_if_due()
            return
        self.busy -= 1
        self.latency_sec += 0.1 * (ended - began - self.latency_sec)
        host.queued = False
        crawl_delay = host.rules.delay_sec if host.rules and host.delay_sec else 0.0
        host.ready_at = ended + max(host.delay_sec, crawl_delay)
        if isinstance(job, RobotsFetch):
            self.run_on(job, outcome, ended)
        elif isinstance(outcome, FetchError):
            self.fail(host, job, outcome)
        elif isinstance(outcome, Exception):
            raise outcome
        self.enqueue(host)
        self.hand_out()  # the worker goes on while the page is written
        if isinstance(job, Visit) and isinstance(outcome, Page):
            self.answered = host.answered = True
            host.failures = 0
            if host.backed_off:
                host.backed_off = False
                with self.catalog.record():
                    backoffs.clear(self.catalog, backoffs.HOST, host.name)
            self.on_response(job, outcome)

    def run_on(self, errand: RobotsFetch, outcome: Outcome, ended: float) -> None:
        """A robots.txt has come, or leads on to another host, in whose line the errand waits then."""
        if isinstance(outcome, Exception):
            raise outcome
        if isinstance(outcome, str):
            self.answered = True
            there = self.host_for(outcome)
            there.robots_fetches.append(RobotsFetch(errand.host, outcome, errand.hops + 1))
            self.enqueue(there)
            return
        assert isinstance(outcome, Rules)
        host = errand.host
        self.learn(host, outcome)
        if host.delay_sec:
            host.ready_at = max(host.ready_at, ended + outcome.delay_sec)
        self.enqueue(host)

    def learn(self, host: Host, rules: Rules) -> None:
        """The robots.txt of a host is known, or the reason why it cannot be had."""
        host.rules = rules
        self.answered = self.answered or rules.refusal not in ("unreachable", "blocked_address")
        self.unreachable_hosts += rules.refusal == "unreachable"
        with self.catalog.record():
            remember_rules(self.catalog, host.name, rules)

    # --- what came -----------------------------------------------------------

    def fail(self, host: Host, visit: Visit, error: FetchError) -> None:
        """No page: try again in a while, or write down why; a host that fails again and again is left alone."""
        reason = error.reason
        if reason in HOST_REASONS and not host.answered:
            self.finish_visit(visit, reason)
            self.learn(host, Rules(refusal=reason))  # for all its visits
            return
        self.answered = host.answered = True
        if not FAILURES.fullmatch(reason):
            host.failures = 0
            self.finish_visit(visit, reason)
            return
        host.failures += 1
        visit.tries += 1
        wait = error.retry_after_sec
        if wait is None and reason in PAUSE_REASONS:
            wait = self.config.host_pause_sec
        if wait is None:
            wait = BACKOFF_SEC * 2 ** (host.failures - 1) * random.uniform(0.5, 1.5)
        host.ready_at = max(host.ready_at, time.monotonic() + wait)
        patient = wait <= MAX_WAIT_SEC and host.ready_at < self.deadline
        if host.failures >= MAX_HOST_FAILURES or not patient:
            self.finish_visit(visit, reason)
            self.leave_alone(host, error.retry_after_sec, reason)
        elif visit.tries < MAX_TRIES and reason not in DENIALS:
            host.visits.append(visit)
        else:
            self.finish_visit(visit, reason)

    def leave_alone(self, host: Host, asked_sec: float | None, reason: str) -> None:
        """Close a host for what it asked or host_pause_sec, twice that the next time, a week at most. Its other URLs
        stay due."""
        self.progress.total = (self.progress.total or 0) - len(host.visits)
        host.visits.clear()
        host.rules = Rules(refusal=reason)  # for what may yet redirect to it
        with self.catalog.record():
            backoffs.extend(self.catalog, backoffs.HOST, host.name, asked_sec or self.config.host_pause_sec, reason,
                            at_most_sec=MAX_CLOSED_SEC)

    def on_response(self, visit: Visit, page: Page) -> None:
        """Deal with an answer: a redirect, nothing new, or a page to keep."""
        if page.answer.location:
            self.redirect(visit, page)
        elif page.answer.status == 304:
            self.finish_visit(visit, "not_modified")
        else:
            self.store(visit, page)
            self.follow(visit, page)

    def redirect(self, visit: Visit, page: Page) -> None:
        """Go on to where a page redirects, as a request in the line of that host; unless it has a visit of its own."""
        location = page.answer.location
        assert page.records
        with self.catalog.record():
            self.append(page.records.response + page.records.request)
        host = self.host_for(location)
        moves = host_of(visit.target) != host.name
        known = self.catalog.value("SELECT 1 FROM urls WHERE url = ? AND id != ?", [location, visit.row["id"]])
        known = known or self.redirected_to.setdefault(location, visit) is not visit
        full = moves and host.planned >= self.config.max_pages_per_host and not self.web.is_stand_in(location)
        reason = "too_many_redirects" if visit.hops == self.config.web.max_redirects else ""
        reason = reason or url_refusal(location, self.blocklist) or (host.rules.refusal if host.rules else "")
        reason = reason or ("redirected" if known else "too_many_pages" if full else "")
        if reason:
            self.finish_visit(visit, reason)
            return
        host.planned += moves
        visit.target, visit.hops = location, visit.hops + 1
        host.visits.appendleft(visit)
        self.enqueue(host)

    def store(self, visit: Visit, page: Page) -> None:
        """Append a page that is new; of a payload that is known already, a revisit record."""
        row, answer = visit.row, page.answer
        assert page.records
        same_body = page.body_hash == row["payload_hash"]
        known = self.catalog.execute("SELECT url, fetched_at FROM pages WHERE payload_hash = ? AND payload_hash != '' "
                                     "LIMIT 1", [page.records.payload_digest]).fetchone()
        if known or same_body:
            revisit = b"" if not known else page.records.request + revisit_record(
                answer, page.fetched_at, known["url"], known["fetched_at"])
            self.finish_visit(visit, "unchanged" if same_body else "duplicate_payload", page, revisit)
            return
        with self.catalog.record():
            file, offset, length = self.append(page.records.response + page.records.request)
            self.catalog.execute(
                "INSERT INTO pages (url_id, url, fetched_at, file, offset, length, payload_hash) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                [row["id"], answer.url, page.fetched_at, file, offset, length - len(page.records.request),
                 page.records.payload_digest])
            self.update(visit, "fetched", page)
        self.report.n_in += 1
        self.report.n_out += 1
        self.progress.update()

    def append(self, members: bytes) -> Any:
        """Append records to the last WARC file, within a record() block."""
        shard = self.catalog.shard(PAGES, SUFFIX, len(members))
        if not self.catalog.length(shard):
            info = info_record(Path(shard).name, self.web.agent, timestamp())
            self.report.bytes_written += self.catalog.append_to(shard, info).length
        place = self.catalog.append_to(shard, members)
        self.report.bytes_written += place.length
        return place

    def follow(self, visit: Visit, page: Page) -> None:
        """Add a page's links to the frontier, and to this run if it has room for them."""
        if not page.links:
            return
        name, added = host_of(page.answer.url), list[str]()
        known = self.catalog.value("SELECT links FROM hosts WHERE host = ?", [name]) or 0
        with self.catalog.record():
            for url in page.links:
                reason = "too_many_links" if known + len(added) >= self.config.max_links_per_host else ""
                reason = reason or url_refusal(url, self.blocklist)
                reason = reason or add_url(self.catalog, url, "links", depth=visit.row["depth"] + 1)
                self.links[reason or "added"] += 1
                added += [url] if not reason else []
            self.catalog.execute("UPDATE hosts SET links = links + ? WHERE host = ?", [len(added), name])
        host = self.host_for(page.answer.url)
        for url in added:
            room = self.planned < self.config.max_pages and host.planned < self.config.max_pages_per_host
            if room or self.web.is_stand_in(url):
                self.plan(self.catalog.execute("SELECT * FROM urls WHERE url = ?", [url]).fetchone())

    def finish_visit(self, visit: Visit, reason: str, page: Page | None = None, records: bytes = b"") -> None:
        """End a visit without a new page."""
        with self.catalog.record():
            if records:
                self.append(records)
            self.update(visit, reason, page)
        self.report.n_in += 1
        self.report.dropped[reason] += 1
        self.progress.update()

    def update(self, visit: Visit, reason: str, page: Page | None) -> None:
        """Write down how a visit ended, within a record() block."""
        row = visit.row
        due_at, days, failures = next_visit(row, reason, self.config.revisit_days, self.config.retry_days)
        if reason == "unreachable" and not self.answered:
            # not this page's fault, but it goes to the end of the line: there may be a network after all
            due_at, days, failures = time.time(), row["revisit_days"], row["failures"]
        values: dict[str, Any] = {"state": reason, "due_at": due_at, "revisit_days": days, "failures": failures}
        if page:
            values |= {"fetched_at": time.time(), "payload_hash": page.body_hash,
                       "etag": _short(page.answer.header("ETag")),
                       "last_modified": _short(page.answer.header("Last-Modified"))}
        names = ", ".join(f"{name} = ?" for name in values)
        self.catalog.execute(f"UPDATE urls SET {names} WHERE id = ?", [*values.values(), row["id"]])


def _short(header: str) -> str:
    """A header to send back later; '' if it is unfit for that."""
    return header if len(header) <= 500 and header == strip_control(header) and header.isascii() else ""
