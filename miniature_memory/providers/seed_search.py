"""Seed search: feeds, sitemaps, single pages, and an index of the seeds' hosts."""

import contextlib
import logging
import math
import time
from collections import Counter
from collections.abc import Iterator

from miniature_memory.core.text import host_of, hostname
from miniature_memory.crawl.blocklists import OTHER_SHARD, host_rejection
from miniature_memory.crawl.frontier import SETTLED_BY_PAGE
from miniature_memory.crawl.guard import FetchError
from miniature_memory.crawl.outcomes import NO_ANSWER, reason_in_words
from miniature_memory.crawl.robots import Rules, fetch_rules, known_rules, remember_rules, robots_url
from miniature_memory.crawl.scheduler import HOST_PAUSE_SEC, MAX_PAUSE_SEC, PAUSE_REASONS
from miniature_memory.crawl.seeds import UNKNOWN, Seed
from miniature_memory.crawl.urls import browser_url
from miniature_memory.crawl.web import MAX_REDIRECTS
from miniature_memory.providers.announced import PROVIDER_OF, announced, of_host
from miniature_memory.providers.discovery import Discovery
from miniature_memory.providers.feed_markup import MAX_BYTES
from miniature_memory.providers.feed_reader import Listing
from miniature_memory.providers.provider import Ask, Found
from miniature_memory.providers.provider_registry import PROVIDERS
from miniature_memory.providers.query_search import QuerySearch
from miniature_memory.storage import backoffs, last_asked, provider_answers, urls

logger = logging.getLogger(__name__)

SEED_DELAY_SEC = 1.0  # between two requests for seeds to one host; its Crawl-delay if that is longer
DEAD_SEEDS = 3  # so many seeds out of reach and no answer from anywhere: there is no network


class SeedFetcher:
    """Fetches feeds and sitemaps: obeys block lists and robots.txt, and keeps the delay of each host. Those of other
    shards are handed over."""

    def __init__(self, discovery: Discovery) -> None:
        self.discovery = discovery
        self.web, self.catalog, self.time = discovery.web, discovery.catalog, discovery.time
        self.blocklist = discovery.blocklist
        self.asked_at: dict[str, float] = {}  # host -> when the last request there ended

    def fetch(self, url: str) -> Listing:
        """A feed or sitemap; the beginning of one that is too long. Each redirect waits for the turn of its host."""
        url = browser_url(url)
        for _ in range(MAX_REDIRECTS + 1):
            reason = host_rejection(url, self.blocklist) if url else "bad_url"
            if not reason and self.blocklist.is_of_other_shard(hostname(url)):
                self.hand_over(url)
                reason = OTHER_SHARD
            if reason := reason or self.rules_for(url).rejection_of(url):
                raise FetchError(reason)
            listing = Listing(url)
            with self.turn(url):
                url = self.request(url, listing)
            self.time.answered = True
            if not url:
                return listing
        raise FetchError("too_many_redirects")

    def hand_over(self, url: str) -> None:
        """Let another shard read a list that a seed leads to. Of one that a host announces, only the pages of that host
        would be taken, and only here."""
        if self.discovery.seed:
            with self.catalog.record():
                urls.add_foreign(self.catalog, url, "seeds", self.discovery.seed, is_list=True)

    def request(self, url: str, listing: Listing) -> str:
        """Ask once, and fill the listing as it arrives. Returns where a redirect points to, or ''."""
        seconds = min(max(self.time.seconds_left(), 0.1), self.web.config.fetch_deadline_sec)
        try:
            answer = self.web.fetch(url, headers={"Accept-Encoding": "gzip"}, follow=False, max_bytes=MAX_BYTES,
                                    seconds=seconds, read=lambda pieces, coding: listing.read(pieces, seconds, coding))
        except FetchError as error:
            if error.reason in PAUSE_REASONS:
                with self.catalog.record():
                    backoffs.extend(self.catalog, backoffs.HOST, host_of(url), error.retry_after_sec or HOST_PAUSE_SEC,
                                    error.reason, at_most_sec=MAX_PAUSE_SEC)
            if not (listing.pages or listing.sitemaps):
                raise
            return ""  # what came before the connection broke
        return answer.location

    def rules_for(self, url: str) -> Rules:
        """The robots.txt of the host of `url`, from the catalog or from the host, wherever that redirects to."""
        rules: Rules | str | None = known_rules(self.catalog, host_of(url))
        at, hops = robots_url(url), 0
        while not isinstance(rules, Rules):
            with self.turn(at):
                rules = fetch_rules(self.web, at, hops, max(self.time.seconds_left(), 0.1))
            if isinstance(rules, str):
                at, hops, self.time.answered = rules, hops + 1, True
                continue
            self.time.answered |= rules.rejection not in ("unreachable", "blocked_address")
            if rules.rejection == "robots_unavailable" and self.time.seconds_left() <= 0:
                raise FetchError("no_time_left")  # our own time may have cut it short, and the answer holds for a day
            with self.catalog.record():
                remember_rules(self.catalog, host_of(url), rules)
        return rules

    @contextlib.contextmanager
    def turn(self, url: str) -> Iterator[None]:
        """Wait until the host of `url` may be asked, and note when that was. Raises FetchError without the time."""
        host = host_of(url)
        rules = known_rules(self.catalog, host)
        delay = max(SEED_DELAY_SEC, rules.delay_sec if rules else 0.0)
        wait = 0.0 if self.web.is_stand_in(url) else self.asked_at.get(host, -math.inf) + delay - time.monotonic()
        if self.time.seconds_left() <= max(wait, 0.0):
            raise FetchError("no_time_left")
        time.sleep(max(wait, 0.0))
        try:
            yield
        finally:
            self.asked_at[host] = time.monotonic()
            with self.catalog.record():
                last_asked.note(self.catalog, host)


class SeedSearch:
    """Asks the providers that take seeds."""

    def __init__(self, discovery: Discovery, queries: QuerySearch) -> None:
        self.discovery, self.config, self.catalog = discovery, discovery.config, discovery.catalog
        self.queries, self.fetch = queries, queries.fetch
        self.n_dead = 0  # seeds out of reach before anything has answered
        self.n_new = 0  # URLs that seeds gave

    def work_through(self, name: str, seeds: list[Seed]) -> None:
        """Ask a provider for its seeds, beginning where the last run stopped, each one once at most. Other shards have
        the same seeds, and read those of their hosts."""
        takes, failed, blocklist = PROVIDERS[name].takes, self.discovery.failed, self.discovery.blocklist
        seeds = [seed for seed in seeds if PROVIDERS[name].reads(seed.kind)
                 and not blocklist.is_of_other_shard(hostname(seed.url))]
        if takes == "host":
            seeds = list({host_of(seed.url): seed for seed in seeds}.values())
        key, reasons = f"search.next_{name}", Counter[str]()
        first = self.catalog.state(key, 0)
        for at in range(first, first + len(seeds)):
            if name in failed or self.has_enough():
                break
            n_before = self.discovery.stats.n_out
            seed, turn = self.as_known(seeds[at % len(seeds)]), at // len(seeds)
            if (takes == "host" or seed.kind != "page") and self.is_hopeless():
                if takes == "page":
                    continue  # the pages behind it need no answer
                break
            found: list[Found] = []
            if takes == "host":
                self.queries.ask_for_host(name, host_of(seed.url), seed.url)
                self.n_dead += failed.get(name) in ("unreachable", "timeout") and not self.discovery.time.answered
            else:
                found = self.ask(name, seed, turn, reasons)
            if name in failed:
                break  # this host's turn comes again
            most_new = 1 << 30 if self.discovery.web.is_stand_in(seed.url) else self.config.urls_per_seed
            before = self.discovery.stats.dropped.copy()
            n_new = self.discovery.add(found, name, seed.url, most_new)
            self.n_new += self.discovery.stats.n_out - n_before
            with self.catalog.record():
                self.catalog.set_state(key, at + 1)
            self.catalog.commit()
            rejected = self.discovery.stats.dropped - before
            if rejected and not n_new and rejected.keys().isdisjoint(("already_known", OTHER_SHARD)):
                self.note_failure(seed, rejected.most_common(1)[0][0], reasons)
        if reasons and not self.discovery.found[name]:
            failed[name] = reasons.most_common(1)[0][0]

    def has_enough(self) -> bool:
        """Whether enough URLs were due before this run, or seeds gave so many. What queries find does not count: they
        come first, and might find enough every night."""
        return self.discovery.started_with_enough or (
            self.n_new >= self.config.scrape.max_pages and self.discovery.has_enough())

    def as_known(self, seed: Seed) -> Seed:
        """A seed of unknown kind that proved to be a page in an earlier run is not asked for again."""
        row = urls.get(self.catalog, seed.url) if seed.kind == UNKNOWN else None
        is_page = row and (row["source"] == "seeds" or row["state"] in SETTLED_BY_PAGE)
        return seed._replace(kind="page") if is_page else seed

    def is_hopeless(self) -> bool:
        """Whether there is no time left, or no network."""
        return self.discovery.time.seconds_left() <= 0 or self.n_dead >= DEAD_SEEDS

    def ask(self, name: str, seed: Seed, turn: int, reasons: Counter[str]) -> list[Found]:
        """The URLs of a feed, a sitemap or a page; if it cannot be read none, and its reason is counted."""
        self.discovery.seed = seed.url
        try:
            return self.read(name, seed, turn)
        except FetchError as error:
            if error.reason != OTHER_SHARD:
                self.note_failure(seed, error.reason, reasons)
            self.n_dead += error.reason == "unreachable" and not self.discovery.time.answered
            return []
        finally:
            self.discovery.seed = ""

    def read(self, name: str, seed: Seed, turn: int) -> list[Found]:
        self.discovery.asked.add(name)
        return PROVIDERS[name].ask(Ask(seed.url, 0, turn, self.config, self.discovery.web, self.fetch, kind=seed.kind))

    def follow_announced(self, seeds: list[Seed]) -> None:
        """Read the listings that the hosts of kept pages announce, for as many of their pages as one run visits."""
        most_new = min(self.config.urls_per_seed, self.config.scrape.max_pages_per_host)
        for host, seed, turn in announced(self.catalog, self.config, seeds):
            if self.has_enough() or self.is_hopeless():
                return
            name, found = PROVIDER_OF[seed.kind], list[Found]()
            try:
                found = [page for page in self.read(name, seed, turn) if of_host(page.url, host)]
            except FetchError as error:
                logger.info("%s, which %s announces, gave no pages: %s", seed.url, host, reason_in_words(error.reason))
                if error.reason == "no_time_left":
                    return
                if error.reason in NO_ANSWER and not self.discovery.time.answered:
                    self.n_dead += 1
                    continue  # there may be no network: it is not remembered
            n_new = self.discovery.add(found, name, seed.url, most_new)
            with self.catalog.record():
                provider_answers.keep(self.catalog, name, seed.url, turn, len(found), n_new)
            self.catalog.commit()

    def note_failure(self, seed: Seed, reason: str, reasons: Counter[str]) -> None:
        logger.info("the seed %s gave no pages: %s", seed.url, reason_in_words(reason))
        self.discovery.stats.facts["seeds_failed"][seed.url] = reason
        reasons[reason] += 1
