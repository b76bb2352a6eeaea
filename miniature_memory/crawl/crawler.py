"""The crawler: its loop hands requests out to worker threads and deals with what they bring back.

The scheduler decides which host is asked next, the workers (visits.py) fetch and look at pages, the recorder writes.
Scheduler and recorder run in the main thread alone.
"""

import logging
import math
import queue
import sqlite3
import threading
import time

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
from miniature_memory.storage.catalog import Catalog

logger = logging.getLogger(__name__)

LATENCY_SEC = 0.005  # of answers for each busy worker beyond two: measured, see hand_out()
TICK_SEC = 0.2  # how often a waiting crawler checks its deadline and its open group of records


class Crawler:
    """One run: the queues to and from the workers, and how many of them may be busy."""

    def __init__(self, config: ScrapeConfig, catalog: Catalog, stats: StageStats) -> None:
        self.config, self.catalog, self.stats = config, catalog, stats
        self.web, self.network = Web(config.web), Network()
        self.topic = Topic.load(catalog.root, config.search.language)
        blocklist = Blocklist.load(catalog.root, config.search.blocklists, config.search.block_adult)
        self.recorder = Recorder(config, catalog, stats, self.web.agent, blocklist, self.network)
        self.scheduler = Scheduler(config, catalog, self.web, blocklist, self.network, self.recorder.finish_visit)
        self.jobs: queue.SimpleQueue[Job] = queue.SimpleQueue()
        self.done: queue.SimpleQueue[Done] = queue.SimpleQueue()
        self.busy = 0  # workers
        self.room = config.workers  # how many of them may be busy now
        self.latency_sec = TICK_SEC  # of an answer, smoothed

    def run(self, rows: list[sqlite3.Row]) -> None:
        """Visit these URLs, for max_minutes at most. What is not done by then stays due."""
        if not all(self.web.is_stand_in(row["url"]) for row in rows):
            self.scheduler.deadline = time.monotonic() + self.config.max_minutes * 60
        for row in rows:
            self.scheduler.plan(row)
        shared = (self.web, self.config, self.topic, self.jobs, self.done)
        for _ in range(min(self.config.workers, len(rows))):
            threading.Thread(target=work, args=shared, daemon=True).start()
        deadline = self.scheduler.deadline
        with Progress(desc="scrape", total=0, unit=" pages", leave=False) as progress:
            while time.monotonic() < deadline and (self.busy or self.scheduler.next_turn() < deadline):
                if self.network.is_down and not self.busy:
                    logger.warning("None of the first %d hosts can be reached: there seems to be no network. Fix: "
                                   "connect this machine to one; %s shows which hosts answer.",
                                   self.network.unreachable_hosts, command("run.py", self.catalog.root, "--doctor"))
                    return
                self.hand_out()
                self.receive()
                progress.total = self.scheduler.planned - self.scheduler.postponed
                progress.update(self.stats.n_in - progress.n)
            while not self.done.empty():  # fetched in time, but not yet written
                self.receive()

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
        else:
            if page.rejection:
                self.recorder.finish_visit(visit, page.rejection)
            else:
                self.recorder.page(visit, page)
            for url in self.recorder.add_links(visit, page):
                self.scheduler.plan_if_room(url)
