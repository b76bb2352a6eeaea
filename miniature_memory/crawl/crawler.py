"""The crawler: its loop hands requests out to worker threads and deals with what they bring back.

The scheduler decides which host is asked next, the workers (visits.py) fetch and look at pages, the recorder writes.
Scheduler and recorder run in the main thread alone.
"""

from __future__ import annotations

import logging
import math
import queue
import sqlite3
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from miniature_memory.core.paths import command
from miniature_memory.core.progress import Progress
from miniature_memory.core.stage import StageStats
from miniature_memory.crawl.blocklists import Blocklist
from miniature_memory.crawl.config import ScrapeConfig
from miniature_memory.crawl.guard import FetchError
from miniature_memory.crawl.recorder import Recorder
from miniature_memory.crawl.scheduler import Scheduler
from miniature_memory.crawl.visits import Done, Job, Network, Page, RobotsFetch, Visit, work
from miniature_memory.crawl.web import Web
from miniature_memory.crawl.yields import Topic
from miniature_memory.storage import forgotten, shards, shells
from miniature_memory.storage.catalog import Catalog

if TYPE_CHECKING:
    from miniature_memory.crawl.browser import Found
    from miniature_memory.crawl.rendering import Rendering

logger = logging.getLogger(__name__)

LATENCY_SEC = 0.005  # of answers for each busy worker beyond two: measured, see hand_out()
RENDER_SHARE = 0.25  # of the time, if pages wait for a browser; more if the first round leaves more
COLLECT_SEC = 10.0  # that the second round waits for requests of the first. Guess
TICK_SEC = 0.2  # how often a waiting crawler checks its deadline and its open group of records


def find_browser() -> Found | None:
    """The browser for scrape.render; None, with a warning, where there is none."""
    from miniature_memory.crawl import browser  # of use to few

    found = browser.find()
    if found.trouble:
        logger.warning("Pages that need JavaScript are skipped: %s. Fix: %s", found.trouble, found.fix)
    return None if found.trouble else found


class Crawler:
    """One run: the queues to and from the workers, and how many of them may be busy."""

    def __init__(self, config: ScrapeConfig, catalog: Catalog, stats: StageStats) -> None:
        self.browser = find_browser() if config.render == "auto" else None
        if not self.browser:
            config = replace(config, render="off")
        self.rendering: Rendering | None = None  # the second round
        self.config, self.catalog, self.stats = config, catalog, stats
        self.web, self.network = Web(config.web), Network()
        self.topic = Topic.load(catalog.root, config.search.language)
        self.blocklist = Blocklist.load(catalog.root, config.search.blocklists, config.search.block_adult,
                                        forgotten.load(catalog), shards.of(catalog))
        self.recorder = Recorder(config, catalog, stats, self.web.agent, self.blocklist, self.network)
        self.scheduler = Scheduler(config, catalog, self.web, self.blocklist, self.network, self.recorder.finish_visit)
        self.jobs: queue.SimpleQueue[Job] = queue.SimpleQueue()
        self.done: queue.SimpleQueue[Done] = queue.SimpleQueue()
        self.busy = 0  # workers
        self.room = config.workers  # how many of them may be busy now
        self.latency_sec = TICK_SEC  # of an answer, smoothed
        self.leaves_time = False  # for the second round

    def run(self, rows: list[sqlite3.Row]) -> None:
        """Visit these URLs, then render what needs it, for max_minutes at most. What is not done by then stays due."""
        deadline = math.inf
        if not rows or not all(self.web.is_stand_in(row["url"]) for row in rows):
            deadline = self.scheduler.deadline = time.monotonic() + self.config.max_minutes * 60
        if self.browser and shells.count(self.catalog):
            self.leave_time()
        self.visit(rows)
        if self.browser and not self.network.is_down and shells.count(self.catalog):
            self.collect(min(time.monotonic() + COLLECT_SEC, deadline))
            self.render(self.browser, deadline)
            self.collect(0.0)
        if waiting := len(self.recorder.shells):  # of this run's pages
            self.stats.n_in += waiting
            self.stats.dropped["needs_js"] += waiting

    def render(self, browser: Found, deadline: float) -> None:
        """The second round."""
        from miniature_memory.crawl.rendering import Rendering  # of use to few

        self.rendering = Rendering(self.config, self.catalog, self.web, self.scheduler, self.recorder, self.blocklist,
                                   browser, self.topic)
        self.rendering.run(deadline)

    def collect(self, until: float) -> None:
        """Deal with what the first round has left: with what has come, and until then with what workers still fetch."""
        while not self.done.empty() or (self.busy and time.monotonic() < until):
            if self.done.empty():
                time.sleep(0.01)
                self.catalog.commit_if_due()
            else:
                self.receive()

    def leave_time(self) -> None:
        """End the first round earlier: there are pages to render."""
        if not self.leaves_time:
            self.leaves_time = True
            self.scheduler.deadline -= RENDER_SHARE * self.config.max_minutes * 60

    def visit(self, rows: list[sqlite3.Row]) -> None:
        """The first round: without a browser."""
        for row in rows:
            self.scheduler.plan(row)
        shared = (self.web, self.config, self.topic, self.jobs, self.done)
        for _ in range(min(self.config.workers, len(rows))):
            threading.Thread(target=work, args=shared, daemon=True).start()
        with Progress(desc="scrape", total=0, unit=" pages", leave=False) as progress:
            while time.monotonic() < (until := self.scheduler.deadline) and (
                    self.busy or self.scheduler.next_turn() < until):
                if self.network.is_down and not self.busy:
                    logger.warning("None of the first %d hosts can be reached: there seems to be no network. Fix: "
                                   "connect this machine to one; %s shows which hosts answer.",
                                   self.network.unreachable_hosts, command("run.py", self.catalog.root, "--doctor"))
                    return
                self.hand_out()
                self.receive()
                progress.total = self.scheduler.planned - self.scheduler.postponed
                progress.update(self.stats.n_in - progress.n)
            self.collect(0.0)  # what was fetched in time, but not yet written

    def hand_out(self) -> None:
        """Give idle workers the requests whose time has come. Where answers come at once, few workers are used: more
        would only compete for the interpreter's lock."""
        self.room = min(self.config.workers, 2 + int(self.latency_sec / LATENCY_SEC))
        while self.busy < self.room and not self.network.is_down and (job := self.scheduler.next_job()):
            self.busy += 1
            self.jobs.put(job)

    def receive(self) -> None:
        """Wait for a worker or for a host's turn, and deal with what came."""
        turn = self.scheduler.next_turn() if self.busy < self.room else math.inf
        wait = min(turn, self.scheduler.deadline, time.monotonic() + TICK_SEC) - time.monotonic()
        try:
            host, request, outcome, began, ended = self.done.get(timeout=max(wait, 0.0))
        except queue.Empty:
            self.latency_sec = max(self.latency_sec, wait)  # the busy workers wait for slow hosts
            self.catalog.commit_if_due()
            return
        self.busy -= 1
        self.latency_sec += 0.1 * (ended - began - self.latency_sec)
        if isinstance(outcome, Exception) and not isinstance(outcome, FetchError):
            raise outcome  # a bug
        self.scheduler.rest(host, ended)
        if isinstance(request, RobotsFetch):
            assert not isinstance(outcome, Page | Exception)  # fetch_rules makes rules of every failure
            self.scheduler.on_robots(request, outcome, ended)
        elif isinstance(outcome, FetchError):
            self.scheduler.on_failure(host, request, outcome)
        self.scheduler.enqueue(host)
        self.hand_out()  # the worker continues while the page is written
        if isinstance(request, Visit) and isinstance(outcome, Page):
            self.scheduler.on_answer(host)
            self.on_response(request, outcome)

    def on_response(self, visit: Visit, page: Page) -> None:
        """Deal with an answer: a redirect, nothing new, or a page to keep."""
        if page.answer.location:
            self.recorder.redirect(page)
            visit.refreshed |= page.answer.status < 300
            if reason := self.scheduler.redirect(visit, page.answer.location):
                self.recorder.finish_visit(visit, reason)
        elif page.answer.status == 304:
            self.recorder.finish_visit(visit, "not_modified")
        elif page.is_shell:
            self.recorder.shell(visit, page)
            self.leave_time()
        else:
            if page.rejection:
                self.recorder.finish_visit(visit, page.rejection)
            else:
                self.recorder.page(visit, page)
            for url in self.recorder.add_links(visit, page):
                self.scheduler.plan_if_room(url)
