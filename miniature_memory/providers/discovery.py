"""Discovery: what one search run knows: its time, its results, and which providers it may still ask."""

import logging
import time
from collections import Counter
from collections.abc import Iterable
from itertools import islice

from miniature_memory.core.log import DETAIL
from miniature_memory.core.stage import StageStats
from miniature_memory.core.text import hostname
from miniature_memory.crawl.blocklists import OTHER_SHARD, Blocklist, url_rejection
from miniature_memory.crawl.frontier import DAY_SEC
from miniature_memory.crawl.outcomes import BACKED_OFF, FAILED, NOT_ASKED, OFF, OK, Outcome, in_words, reason_in_words
from miniature_memory.crawl.seeds import UNKNOWN, Seed
from miniature_memory.crawl.urls import browser_url
from miniature_memory.crawl.web import Web
from miniature_memory.crawl.yields import Topic
from miniature_memory.providers.config import SearchConfig
from miniature_memory.providers.provider import BACKOFF_SEC, Found
from miniature_memory.providers.provider_registry import PROVIDERS
from miniature_memory.storage import backoffs, forgotten, shards, urls
from miniature_memory.storage.catalog import Catalog
from miniature_memory.storage.urls import Archived, Foreign

logger = logging.getLogger(__name__)

GIVE_UP_SEC = 15.0  # if nothing at all has answered by then, nothing else is tried
ENGINES_FRAC = 0.6  # of the time is for the engines, so that some is left for the seeds. Guess
URLS_PER_RECORD = 100  # a signal waits for the end of a record
MOST_LISTS = 10_000  # handed over, that are read in one run: more than its time allows
MAX_BACKOFF_SEC = 30 * DAY_SEC  # a provider's back-off doubles no further


class TimeBudget:
    """How long the next request may take."""

    def __init__(self, minutes: float) -> None:
        self.started = time.monotonic()
        self.total_sec = self.step_ends_sec = minutes * 60  # from the start
        self.answered = False  # whether anything has answered at all: then there is a network

    def passed_sec(self) -> float:
        return time.monotonic() - self.started

    def begin_step(self, with_engines: bool, steps_left: int) -> None:
        """Give the next step its share of the time. steps_left: with this one."""
        passed = self.passed_sec()
        share = self.total_sec * ENGINES_FRAC if with_engines else passed + (self.total_sec - passed) / steps_left
        self.step_ends_sec = share if steps_left > 1 else self.total_sec

    def seconds_left(self, waiting: int = 1) -> float:
        """Of the current step. As long as nothing has answered, a request gets its part of GIVE_UP_SEC, which it
        shares with the `waiting` providers that have not been tried."""
        passed = self.passed_sec()
        left = self.step_ends_sec - passed
        return left if self.answered else min(left, (GIVE_UP_SEC - passed) / waiting)


class Discovery:
    """Takes in what providers find, and keeps what came of asking them."""

    def __init__(self, config: SearchConfig, catalog: Catalog, stats: StageStats) -> None:
        self.config, self.catalog, self.stats = config, catalog, stats
        self.web = Web(config.web)
        self.blocklist = Blocklist.load(catalog.root, config.blocklists, config.block_adult,
                                        forgotten.load(catalog), shards.of(catalog))
        self.topic = Topic.load(catalog.root, config.language)
        self.time = TimeBudget(config.max_minutes)
        self.seed = ""  # the address of the one that is being read, if any
        self.asked: set[str] = set()  # providers
        self.found: Counter[str] = Counter()  # provider -> results
        self.failed: dict[str, str] = {}  # provider -> why it is not asked (any more) in this run
        self.paused_until: dict[str, float] = {}  # provider -> epoch seconds
        self.off = {name for name in config.providers if PROVIDERS[name].off(config)}
        self.started_with_enough = self.has_enough()
        for name in config.providers:
            backoff = backoffs.get(catalog, backoffs.PROVIDER, name)
            if name in self.off:
                self.failed[name] = PROVIDERS[name].off(config)
            elif backoff and backoff.until > time.time():
                self.failed[name], self.paused_until[name] = backoff.reason, backoff.until

    def has_enough(self) -> bool:
        """Whether scrape has enough to do. Only as many URLs of one host count as scrape visits there in one run."""
        limits = self.config.scrape
        return urls.enough_due(self.catalog, limits.max_pages, limits.max_pages_per_host)

    def add(self, found: Iterable[Found], provider: str, query: str = "", most_new: int = 1 << 30) -> int:
        """Put URLs into the catalog until `most_new` of them were not known, a few in one record, so that a signal need
        not wait for the end of a long sitemap."""
        before, left = self.stats.n_out, iter(found)
        while block := list(islice(left, URLS_PER_RECORD)):
            with self.catalog.record():
                for url, text, archived in block:
                    if self.stats.n_out - before == most_new:
                        return most_new
                    self._add_one(Foreign(browser_url(url), provider, query, 0, False), text, archived)
                    self.found[provider] += 1
        return self.stats.n_out - before

    def take_over(self, handed_over: Iterable[Foreign]) -> list[Seed]:
        """Add what other shards have found of this one's hosts. Returns the feeds and sitemaps among it, as seeds, each
        one once: several shards find the same."""
        lists, left = dict[str, Seed](), iter(handed_over)
        while block := list(islice(left, URLS_PER_RECORD)):
            with self.catalog.record():
                for one in block:
                    if self.blocklist.is_of_other_shard(hostname(one.url)):
                        continue  # it is in the file for yet another shard
                    if not one.is_list:
                        self._add_one(one)
                    elif len(lists) < MOST_LISTS:
                        lists[one.url] = Seed(UNKNOWN, one.url)
        return list(lists.values())

    def _add_one(self, found: Foreign, text: str = "", archived: Archived | None = None) -> None:
        """Add a URL, or count why not. One that another shard crawls is kept for that."""
        url, source, query, depth, _ = found
        reason = url_rejection(url, self.blocklist)
        if reason == OTHER_SHARD:
            urls.add_foreign(self.catalog, url, source, query, depth)
        reason = reason or urls.add(self.catalog, url, source, query, depth, archived, self.topic.promise(url, text))
        self.stats.n_in += 1
        if reason:
            self.stats.dropped[reason] += 1
        else:
            self.stats.n_out += 1

    def give_up(self, name: str, reason: str, retry_after_sec: float | None = None) -> None:
        """Ask a provider no more in this run; after a refusal it gets a back-off."""
        self.failed[name] = reason
        if reason == "library_changed":
            self.off.add(name)
        if reason not in BACKOFF_SEC:
            logger.log(DETAIL, "%s is not asked again in this run: %s", name, reason_in_words(reason))
            return
        self.time.answered = True
        with self.catalog.record():
            seconds = backoffs.extend(self.catalog, backoffs.PROVIDER, name, BACKOFF_SEC[reason], reason,
                                      retry_after_sec or 0.0, MAX_BACKOFF_SEC)
        self.paused_until[name] = time.time() + seconds
        logger.info("%s refused the query: %s", name, in_words({**self.outcome(name), "results": 0}))

    def outcome(self, name: str) -> Outcome:
        """What a provider gave, and why it gave no more."""
        reason, until = self.failed.get(name, ""), self.paused_until.get(name)
        if name in self.off:
            status = OFF
        elif reason:
            status = BACKED_OFF if until else FAILED
        else:
            status = OK if name in self.asked else NOT_ASKED
        if status == NOT_ASKED and self.started_with_enough:
            reason = "enough_due"
        return Outcome(status=status, results=self.found[name], reason=reason, until=until)
