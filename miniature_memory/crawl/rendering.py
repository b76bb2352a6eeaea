"""Rendering: the second round of scrape, in which a browser runs the scripts of pages that say nothing without them.

One page at a time, each in a browser of its own (tab.py), which has no network (browser.py). What comes of a page is
archived as a conversion record next to its response.
"""

import hashlib
import logging
import sqlite3
import time
from collections import Counter
from typing import Any

from miniature_memory.core.errors import StageError
from miniature_memory.core.text import counted, timestamp
from miniature_memory.crawl import page_signals
from miniature_memory.crawl.blocklists import OTHER_SHARD, Blocklist, url_rejection
from miniature_memory.crawl.browser import BrowserError, Found
from miniature_memory.crawl.config import ScrapeConfig
from miniature_memory.crawl.guard import FetchError
from miniature_memory.crawl.outcomes import reason_in_words
from miniature_memory.crawl.page_parts import PageParts
from miniature_memory.crawl.recorder import Recorder
from miniature_memory.crawl.scheduler import Scheduler
from miniature_memory.crawl.tab import LOOK_SEC, Tab
from miniature_memory.crawl.visits import Page, Visit, links_to_follow
from miniature_memory.crawl.warc import RENDERED_TYPE, Exchange, archived_page, conversion_record, digest
from miniature_memory.crawl.web import Fetched, Web
from miniature_memory.crawl.yields import Topic
from miniature_memory.responses.signals import read_signals
from miniature_memory.storage import shells, urls
from miniature_memory.storage.catalog import Catalog

logger = logging.getLogger(__name__)

PAGE_SEC = 20.0  # for one page. Guess
MAX_FAILURES = 3  # in a row, before it had a page
MAX_WAITING = 1000  # pages looked at in one round


class Rendering:
    """The second round: which page is next, and what becomes of it."""

    def __init__(self, config: ScrapeConfig, catalog: Catalog, web: Web, scheduler: Scheduler, recorder: Recorder,
                 blocklist: Blocklist, browser_found: Found, topic: Topic) -> None:
        self.topic = topic
        self.config, self.catalog, self.web = config, catalog, web
        self.scheduler, self.recorder, self.blocklist, self.found = scheduler, recorder, blocklist, browser_found
        self.parts = PageParts(config, web, scheduler, blocklist)
        self.outcomes: Counter[str] = Counter()
        self.peak_mb = 0.0
        self.failures = 0  # of the browser, in a row

    def run(self, deadline: float) -> None:
        """Render what waits, until time.monotonic() is `deadline`; the rest waits on."""
        self.catalog.commit()  # only what is committed can be read
        waiting = shells.waiting(self.catalog, MAX_WAITING)
        while waiting:
            row = min(waiting, key=lambda row: self.scheduler.host_for(row["answered_url"]).ready_at)
            waiting.remove(row)
            host = self.scheduler.host_for(row["answered_url"])
            if host.rules and host.rules.rejection:
                continue  # it wants a pause, and gets it
            if max(host.ready_at, time.monotonic()) + min(PAGE_SEC, 60 * self.config.max_minutes / 4) > deadline:
                break
            if self.failures == MAX_FAILURES:
                logger.warning("The browser has failed %d times in a row; the other pages wait. Fix: see what it "
                               "says: %s --dump-dom about:blank", MAX_FAILURES, self.found.program)
                break
            while (wait := host.ready_at - time.monotonic()) > 0:
                time.sleep(min(wait, LOOK_SEC))
                self.catalog.commit_if_due()
            self.render(row, min(deadline, time.monotonic() + PAGE_SEC))
        self.report()

    def render(self, row: sqlite3.Row, until: float) -> None:
        """Render one page and record what became of it."""
        visit = Visit.of(row)
        visit.refreshed = True  # of the next visit, too, the document counts, not the response
        try:
            response = self.catalog.read(row["file"], row["offset"], row["length"])
        except StageError:  # the file is gone or damaged; validate.py reports that
            return self._finish(visit, "record_lost")
        try:
            page = archived_page(response, row["answered_url"], self.web.config.max_bytes)[0]
            tab = Tab(self.found, self.parts, page, until, self.catalog.commit_if_due)
            try:
                html = tab.document()
            finally:
                self.peak_mb = max(self.peak_mb, tab.browser.peak_mb)
                self.parts.end()
        except (FetchError, BrowserError) as error:
            self.failures = self.failures + 1 if error.reason == "browser_failed" else 0
            return self._finish(visit, error.reason)
        self.failures = 0
        self._record(visit, tab, page, response, html)

    def _record(self, visit: Visit, tab: Tab, page: Fetched, response: bytes, html: bytes) -> None:
        """Record a document that came of a page. response: the page's WARC record."""
        at, row = timestamp(), visit.row
        headers = [pair for pair in page.headers if pair[0].lower() != "content-type"]
        headers.append(("Content-Type", RENDERED_TYPE))
        signals = read_signals(headers, html)
        links = links_to_follow(self.config, self.topic, row, signals, headers, html, page.url)
        rendered = Page(page, at, hashlib.sha256(html).hexdigest(),
                        Exchange(conversion_record(response, page.url, at, html), b"", digest(html)), links,
                        is_shell=True, feed=page_signals.feed_of(signals, html, page.url))
        if self.config.respect_noai and signals.rejection:
            self._finish(visit, signals.rejection)
        elif not page_signals.has_text(html):
            return self._finish(visit, "redirected" if self._add_moved(visit, tab.moved_to) else "still_empty")
        else:
            self.outcomes["rendered"] += 1
            self.recorder.page(visit, rendered)
        self.recorder.add_links(visit, rendered)

    def _finish(self, visit: Visit, reason: str) -> None:
        self.outcomes[reason] += 1
        self.recorder.finish_visit(visit, reason)

    def _add_moved(self, visit: Visit, url: str) -> bool:
        """Let the page have a visit of its own to which a script sends its readers, if it does."""
        row, reason = visit.row, url_rejection(url, self.blocklist)
        if reason not in ("", OTHER_SHARD):
            return False
        with self.catalog.record():
            add = urls.add_foreign if reason else urls.add
            add(self.catalog, url, row["source"], row["query"], row["depth"])
        return True

    def facts(self) -> dict[str, Any]:
        given_up = {reason: n for reason, n in self.outcomes.items() if reason not in ("rendered", "still_empty")}
        return {"rendered": self.outcomes["rendered"], "still_empty": self.outcomes["still_empty"],
                "given_up": given_up, "waiting": shells.count(self.catalog), "parts": self.parts.fetched,
                "refused": dict(self.parts.refused), "peak_mb": round(self.peak_mb)}

    def report(self) -> None:
        facts = self.facts()
        reasons = ", ".join(f"{n:,} {reason_in_words(reason)}" for reason, n in facts["given_up"].items())
        if n := self.outcomes.total():
            logger.info("%s rendered in a browser: %d with text, %d still empty%s; %d wait for the next run.",
                        counted(n, "page"), facts["rendered"], facts["still_empty"],
                        f", given up: {reasons}" if reasons else "", facts["waiting"])
