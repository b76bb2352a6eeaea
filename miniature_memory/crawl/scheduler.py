"""The scheduler: which host is asked next, how fast, and when it is paused.

One request at a time to each host, and a delay from the end of one answer to the next request. A robots.txt that
redirects to another host waits for that host's turn, and so does a page.
"""

import heapq
import itertools
import math
import random
import re
import sqlite3
import time
from collections.abc import Callable

from miniature_memory.core.text import host_of
from miniature_memory.crawl.blocklists import OTHER_SHARD, Blocklist, url_rejection
from miniature_memory.crawl.config import ScrapeConfig
from miniature_memory.crawl.guard import FetchError
from miniature_memory.crawl.robots import Rules, known_rules, remember_rules, robots_url
from miniature_memory.crawl.visits import ARCHIVE, Host, Job, Network, RobotsFetch, Visit
from miniature_memory.crawl.web import MAX_REDIRECTS, Web
from miniature_memory.storage import backoffs, last_asked, urls
from miniature_memory.storage.catalog import Catalog
from miniature_memory.storage.url_keys import url_key

ARCHIVE_DELAY_SEC = 1.0  # "no faster than once a second" (commoncrawl.org, status page)
HOST_REASONS = {"unreachable", "tls_error", "blocked_address"}  # for a host's first page hold for all its pages
PAUSE_REASONS = {"http_429", "http_503"}  # the host asks for a pause
DENIALS = {"http_401", "http_403"}  # not worth a second try, but three in a row are meant for the whole host
FAILURES = re.compile(r"timeout|bad_response|unreachable|http_5..|http_429|http_40[13]")  # of a host
MAX_TRIES = 2  # of one page in one run
MAX_HOST_FAILURES = 3  # in a row, then the host is paused
BACKOFF_SEC = 2.0  # after a host's first failure, doubled with each further one
MAX_WAIT_SEC = 30.0  # a host that asks for a longer wait is left to a later run
HOST_PAUSE_SEC = 3600.0  # for a host that answers 429, 503 or nothing; doubled each time in a row
MAX_PAUSE_SEC = 7 * 86400.0


class Scheduler:
    """The hosts in line, and the visits that wait at each of them."""

    def __init__(self, config: ScrapeConfig, catalog: Catalog, web: Web, blocklist: Blocklist,
                 network: Network, reject: Callable[[Visit, str], None]) -> None:
        """reject(visit, reason) ends a visit without a request."""
        self.config, self.catalog, self.web, self.blocklist = config, catalog, web, blocklist
        self.network, self.reject = network, reject
        self.hosts: dict[str, Host] = {}
        self.line: list[tuple[float, int, Host]] = []  # a heap by ready_at
        self.order = itertools.count()
        self.planned = 0  # visits of this run
        self.postponed = 0  # of these, those that are left to a later run
        self.redirected_to: dict[str, Visit] = {}  # URL key -> the first visit that was redirected there
        self.deadline = math.inf  # time.monotonic() of the end of this run
        self.started = time.monotonic()
        self.since_asked = last_asked.seconds_since(catalog)

    # --- who waits -----------------------------------------------------------

    def plan(self, row: sqlite3.Row) -> None:
        """Put a URL in the line of its host; not within a record() block, since it may be rejected here."""
        visit = Visit.of(row)
        host = self.host_for(visit.target)
        if row["archive"] and host.rules and host.rules.rejection:
            return  # the archive is closed, which is not this page's fault
        host.planned += 1
        self.planned += 1
        if reason := url_rejection(row["url"], self.blocklist):  # a block list may be newer than the URL
            self.reject(visit, reason)
            return
        host.visits.append(visit)
        self.enqueue(host)

    def plan_if_room(self, url: str) -> None:
        """Plan a visit to a URL that was just added, if the limits of this run have room for it."""
        room = (self.planned < self.config.max_pages
                and self.host_for(url).planned < self.config.max_pages_per_host) or self.web.is_stand_in(url)
        if room and (row := urls.get(self.catalog, url)):
            self.plan(row)

    def host_for(self, url: str) -> Host:
        name = host_of(url)
        if name not in self.hosts:
            own = ARCHIVE_DELAY_SEC if url.startswith(ARCHIVE) else self.config.delay_sec
            backoff = backoffs.get(self.catalog, backoffs.HOST, name)
            host = Host(name, known_rules(self.catalog, name), 0.0 if self.web.is_stand_in(url) else own,
                        backed_off=backoff is not None)
            self.hosts[name] = host
            if name in self.since_asked:
                self.rest(host, self.started - self.since_asked[name])
        return self.hosts[name]

    def enqueue(self, host: Host) -> None:
        """Put a host in line for its next request, if it has one and is not in line already."""
        if host.visits and not host.rules and not host.asking:
            host.asking = True
            host.robots_fetches.append(RobotsFetch(host, robots_url(host.visits[0].target)))
        if host.queued:
            return
        while host.visits and (reason := self.rejection(host)):
            self.reject(host.visits.popleft(), reason)
        if host.robots_fetches or (host.visits and host.rules):
            host.queued = True
            heapq.heappush(self.line, (host.ready_at, next(self.order), host))
        elif host.rules:
            host.rules.forget()

    def rejection(self, host: Host) -> str:
        """Why a host's next visit must not be made; '' if it may, or if robots.txt is not known yet."""
        if not host.rules or host.visits[0] is host.checked:
            return ""
        reason = host.rules.rejection_of(host.visits[0].target)
        reason = reason or ("noai" if self.config.respect_noai and host.rules.forbids_training else "")
        host.checked = None if reason else host.visits[0]
        return reason

    # --- whose turn it is ----------------------------------------------------

    def next_turn(self) -> float:
        """time.monotonic() of the next request; infinite if no host is in line."""
        return self.line[0][0] if self.line else math.inf

    def next_job(self) -> Job | None:
        """The request whose turn it is, if its time has come."""
        now = time.monotonic()
        while self.next_turn() <= now < self.deadline:
            host = heapq.heappop(self.line)[2]
            if host.robots_fetches:
                return Job(host, host.robots_fetches.popleft())
            if not self.rejection(host):
                return Job(host, host.visits.popleft())
            host.queued = False  # a redirect has put a rejected URL first
            self.enqueue(host)
        return None

    def rest(self, host: Host, ended: float) -> None:
        """An answer has ended: the host's next request waits for its delay."""
        host.queued = False
        crawl_delay = host.rules.delay_sec if host.rules and host.delay_sec else 0.0
        host.ready_at = ended + max(host.delay_sec, crawl_delay)

    # --- what came -----------------------------------------------------------

    def on_robots(self, fetch: RobotsFetch, found: Rules | str, ended: float) -> None:
        """A robots.txt has come, or redirects to another host, where it waits for that host's turn."""
        if isinstance(found, str):
            self.network.answered = True
            there = self.host_for(found)
            there.robots_fetches.append(RobotsFetch(fetch.host, found, fetch.hops + 1))
            self.enqueue(there)
            return
        self.learn(fetch.host, found)
        if fetch.host.delay_sec:
            fetch.host.ready_at = max(fetch.host.ready_at, ended + found.delay_sec)
        self.enqueue(fetch.host)

    def learn(self, host: Host, rules: Rules) -> None:
        """The robots.txt of a host is known, or the reason why it cannot be had."""
        host.rules = rules
        self.network.answered |= rules.rejection not in ("unreachable", "blocked_address")
        self.network.unreachable_hosts += rules.rejection == "unreachable"
        with self.catalog.record():
            remember_rules(self.catalog, host.name, rules)

    def on_answer(self, host: Host) -> None:
        """A page has come: the host is well, and its next back-off begins at the shortest again."""
        self.network.answered = host.answered = True
        host.failures = 0
        if host.backed_off:
            host.backed_off = False
            with self.catalog.record():
                backoffs.clear(self.catalog, backoffs.HOST, host.name)

    def on_failure(self, host: Host, visit: Visit, error: FetchError) -> None:
        """No page: try again later, or reject it with the reason. A host that fails again and again is paused."""
        reason = error.reason
        if reason in HOST_REASONS and not host.answered:
            self.reject(visit, reason)
            self.learn(host, Rules(rejection=reason))  # for all its visits
            return
        self.network.answered = host.answered = True
        if not FAILURES.fullmatch(reason):
            host.failures = 0
            self.reject(visit, reason)
            return
        host.failures += 1
        visit.tries += 1
        wait = error.retry_after_sec
        if wait is None:
            wait = HOST_PAUSE_SEC if reason in PAUSE_REASONS else (
                BACKOFF_SEC * 2 ** (host.failures - 1) * random.uniform(0.5, 1.5))
        host.ready_at = max(host.ready_at, time.monotonic() + wait)
        pause = host.failures >= MAX_HOST_FAILURES or wait > MAX_WAIT_SEC or host.ready_at >= self.deadline
        if not pause and visit.tries < MAX_TRIES and reason not in DENIALS:
            host.visits.append(visit)
            return
        self.reject(visit, reason)
        if pause:
            self.pause(host, error.retry_after_sec, reason)

    def pause(self, host: Host, asked_sec: float | None, reason: str) -> None:
        """Pause a host for as long as it asked or HOST_PAUSE_SEC, twice that the next time, a week at most. Its
        other URLs stay due."""
        self.postponed += len(host.visits)
        host.visits.clear()
        host.rules = Rules(rejection=reason)  # for redirects to it
        with self.catalog.record():
            backoffs.extend(self.catalog, backoffs.HOST, host.name, asked_sec or HOST_PAUSE_SEC, reason,
                            at_most_sec=MAX_PAUSE_SEC)

    def redirect(self, visit: Visit, location: str) -> str:
        """Continue a visit in the line of the host that it was redirected to. Returns '', or why it ends here: a page
        that is known already has a visit of its own, and so has one that another shard crawls; this visit's own page,
        in another spelling, has this one."""
        if url_rejection(location, self.blocklist) == OTHER_SHARD:
            with self.catalog.record():
                urls.add_foreign(self.catalog, location, *(visit.row[name] for name in ("source", "query", "depth")))
            return "redirected"
        host = self.host_for(location)
        moves = host_of(visit.target) != host.name
        known = urls.is_another(self.catalog, location, visit.row["id"])
        known = known or self.redirected_to.setdefault(url_key(location), visit) is not visit
        full = moves and host.planned >= self.config.max_pages_per_host and not self.web.is_stand_in(location)
        reason = "too_many_redirects" if visit.hops == MAX_REDIRECTS else ""
        reason = reason or url_rejection(location, self.blocklist) or (host.rules.rejection if host.rules else "")
        reason = reason or ("redirected" if known else "too_many_pages" if full else "")
        if not reason:
            host.planned += moves
            visit.target, visit.hops = location, visit.hops + 1
            host.checked = None  # robots.txt may allow where the visit came from, but not where it leads
            host.visits.appendleft(visit)
            self.enqueue(host)
        return reason
