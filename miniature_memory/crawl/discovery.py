"""Discovery: ask the providers in order, within the time there is."""

from __future__ import annotations

import contextlib
import itertools
import logging
import math
import random
import re
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import unquote

from miniature_memory.core.stage import StageStats
from miniature_memory.core.text import host_of
from miniature_memory.crawl.blocklists import Blocklist, url_rejection
from miniature_memory.crawl.config import SearchConfig
from miniature_memory.crawl.frontier import DAY_SEC
from miniature_memory.crawl.guard import FetchError, bounded
from miniature_memory.crawl.provider import BLOCK_SEC, Ask, Found, ProviderError
from miniature_memory.crawl.providers import PROVIDERS
from miniature_memory.crawl.robots import Rules, fetch_rules, known_rules, remember_rules, robots_url
from miniature_memory.crawl.seeds import Seed
from miniature_memory.crawl.urls import canonical_url
from miniature_memory.crawl.web import MAX_REDIRECTS, Web
from miniature_memory.storage import backoffs, urls
from miniature_memory.storage.catalog import Catalog

logger = logging.getLogger(__name__)

ENGINES_FRAC = 0.6  # of the time is for the engines, so that some is left for the seeds. Guess
MAX_BLOCK_SEC = 30 * DAY_SEC  # a provider's back-off doubles no further
DEAD_SEEDS = 3  # so many seeds out of reach and no answer from anywhere: there is no network
CANARY = "wikipedia"  # a query that has results: an engine without one for it gives none to anything
RELATED_FRAC = 0.25  # of the results have a word of the query in them, or they belong to another one. Guess


# --- one run -------------------------------------------------------------------------------------


class Search:
    """One run: how much time is left, which providers have answered, and what came of it."""

    def __init__(self, config: SearchConfig, catalog: Catalog, report: StageStats) -> None:
        self.config, self.catalog, self.report = config, catalog, report
        self.web = Web(config.web)
        self.blocklist = Blocklist.load(catalog.root, config.blocklists)
        self.started = time.monotonic()
        self.ends_at = 1.0  # of the time: when the provider that is being asked has to be done
        self.answered = False  # whether anything has answered at all: then there is a network
        self.n_queries = 0  # pages of results that were asked for
        self.dead_seeds = 0  # out of reach before anything has answered
        self.found: Counter[str] = Counter()  # provider -> results
        self.canary: dict[str, bool] = {}  # provider -> whether it knew the canary query
        self.memory: dict[str, dict[str, Any]] = {}  # provider -> what it keeps for this run
        self.asked_at: dict[str, float] = {}  # host or provider -> when the last request there ended
        self.failed: dict[str, str] = {}  # provider -> why it is not asked (any more) in this run
        for name in config.providers:
            if reason := PROVIDERS[name].off(config) or self.closed(name):
                self.failed[name] = reason

    def seconds_left(self, waiting: int = 1) -> float:
        """What the next request may take. As long as nothing has answered, that is its part of give_up_sec, which it
        shares with the `waiting` providers that have not been tried."""
        passed = time.monotonic() - self.started
        left = self.config.max_minutes * 60 * self.ends_at - passed
        return left if self.answered else min(left, (self.config.give_up_sec - passed) / waiting)

    def has_enough(self) -> bool:
        """Whether scrape has enough to do. Only some URLs of one host count: it may be asked only so often."""
        enough = self.config.enough_urls
        return urls.enough_due(self.catalog, enough, self.config.enough_per_host)

    def add(self, found: Iterable[Found], provider: str, query: str = "", most_new: int = 1 << 30) -> int:
        """Put URLs into the catalog until `most_new` of them were not known, within a record() block."""
        before = self.report.n_out
        for url, _, archived in found:
            if self.report.n_out - before == most_new:
                break
            url = canonical_url(url)
            reason = url_rejection(url, self.blocklist)
            reason = reason or urls.add(self.catalog, url, provider, query, archived=archived)
            self.found[provider] += 1
            self.report.n_in += 1
            if reason:
                self.report.dropped[reason] += 1
            else:
                self.report.n_out += 1
        return self.report.n_out - before

    def closed(self, name: str) -> str:
        """Why a provider is left alone since an earlier run; '' when it is not."""
        backoff = backoffs.get(self.catalog, backoffs.PROVIDER, name)
        if not backoff or backoff.until <= time.time():
            return ""
        return f"{backoff.reason}, left alone until {time.strftime('%d %b %H:%M', time.localtime(backoff.until))}"

    def run(self, queries: list[str], seeds: list[Seed]) -> None:
        """Ask all providers in order. Those that take queries and follow each other stand in for one another."""
        steps = [(takes, list(names)) for takes, names in itertools.groupby(
            self.config.providers, key=lambda name: PROVIDERS[name].takes)]
        for n, (takes, names) in enumerate(steps):
            spent = (time.monotonic() - self.started) / (self.config.max_minutes * 60)
            last = n == len(steps) - 1
            self.ends_at = 1.0 if last else ENGINES_FRAC if takes == "query" else spent + (1 - spent) / (len(steps) - n)
            if takes == "query":
                self.ask_engines(names, queries, bool(seeds) and not last)
            else:
                for name in names:
                    self.ask_listing(name, [seed for seed in seeds if takes in (seed.kind, "host")])

    # --- providers that take queries -----------------------------------------

    def ask_engines(self, names: list[str], queries: list[str], others_wait: bool) -> None:
        """Work on the list of queries from where the last run stopped, round and round, a page of results a time."""
        skipped = 0
        while self.n_queries < self.config.queries_per_run and skipped < len(queries) and not self.has_enough():
            at = self.catalog.state("search.next_query", 0) % len(queries)
            before = set(self.failed)
            provider = self.ask(names, queries[at], others_wait)
            refused = any(self.failed[name] in BLOCK_SEC for name in names if name in self.failed.keys() - before)
            if provider is None and not refused:
                return  # the query waits for the next run; one that all have refused had its turn
            skipped = 0 if provider else skipped + 1
            with self.catalog.record():
                self.catalog.set_state("search.next_query", (at + 1) % len(queries))
            self.catalog.commit()  # the next answer may take a while
            if provider is None:
                return

    def ask(self, names: list[str], query: str, others_wait: bool) -> str | None:
        """The first provider that has results for `query`; '' if it is exhausted; None if nobody could be asked."""
        for name in names:
            if name in self.failed:
                continue
            page = self.next_page(name, query)
            if page is None:
                continue
            waiting = sum(other not in self.failed for other in names[names.index(name):]) + others_wait
            found = self.ask_one(name, query, page, waiting)
            if found is None:
                if name not in self.failed:
                    return None  # no time
                continue
            with self.catalog.record():
                new = self.add(found, name, query)
                self.remember_answer(name, query, page, len(found), new)
            if found:
                return name
        return "" if any(name not in self.failed for name in names) else None

    def next_page(self, name: str, query: str) -> int | None:
        """The page of results to ask for; None while the query is exhausted there."""
        last = self.catalog.execute("SELECT * FROM answers WHERE provider = ? AND query = ? ORDER BY page DESC LIMIT 1",
                                    [name, query]).fetchone()
        if not last:
            return 0
        if last["results"] and last["page"] + 1 < self.config.pages_per_query:
            return int(last["page"]) + 1
        if last["asked_at"] > time.time() - self.config.requery_days * DAY_SEC:
            return None
        with self.catalog.record():
            self.catalog.execute("DELETE FROM answers WHERE provider = ? AND query = ?", [name, query])
        return 0

    def remember_answer(self, name: str, query: str, page: int, results: int, new: int) -> None:
        self.catalog.execute("INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?, ?, ?)",
                             [name, query, page, time.time(), results, new])

    def ask_one(self, name: str, query: str, page: int, waiting: int) -> list[Found] | None:
        """The results of one provider; None if it failed, or if there is no time left."""
        if not self.pause(name):
            return None
        seconds = min(self.config.provider_sec, self.seconds_left(waiting))
        if seconds <= 0:
            self.give_up(name, "no_time_left")
            return None
        ask = Ask(query, self.config.results_per_query, page, self.config, self.web, self.fetch,
                  self.memory.setdefault(name, {}))
        self.n_queries += PROVIDERS[name].takes == "query"
        try:
            found = bounded(seconds, lambda: PROVIDERS[name].ask(ask))
        except TimeoutError:
            self.give_up(name, "timeout")
        except FetchError as error:
            refusal = ProviderError.of(error)
            self.give_up(name, refusal.reason, refusal.retry_after_sec)
        except ProviderError as error:
            self.give_up(name, error.reason, error.retry_after_sec)
        except Exception as error:  # a library that reads other people's pages may fail in any way
            self.give_up(name, type(error).__name__)
        else:
            self.asked_at[name] = time.monotonic()
            self.answered = self.answered or bool(found)
            doubt = "" if related(query, found) else "unrelated"
            if not found and page == 0 and PROVIDERS[name].zero_may_lie:
                doubt = "silent"
            if doubt and query != CANARY and not self.passes_canary(name, waiting):
                if name not in self.failed:
                    self.give_up(name, doubt)
                return None
            if found and not doubt:
                with self.catalog.record():
                    backoffs.clear(self.catalog, backoffs.PROVIDER, name)
            return found
        self.asked_at[name] = time.monotonic()
        return None

    def passes_canary(self, name: str, waiting: int) -> bool:
        """Whether a provider whose answer is in doubt knows the canary query; asked once a run. True without the time
        to ask: it is not to blame for that."""
        if name not in self.canary:
            found = self.ask_one(name, CANARY, 0, waiting)
            if found is None and name not in self.failed:
                return True
            self.canary[name] = bool(found and related(CANARY, found))
        return self.canary[name]

    def pause(self, name: str) -> bool:
        """Wait until a provider may be asked again. False if there is no time for it."""
        own = name == "searxng" and self.web.is_stand_in(self.config.searxng_url)
        if name not in self.asked_at or own:
            return True
        pause = self.config.pause_sec * random.uniform(0.75, 1.5)
        wait = self.asked_at[name] + pause - time.monotonic()
        if wait >= self.seconds_left():
            return False
        time.sleep(max(wait, 0.0))
        return True

    def give_up(self, name: str, reason: str, retry_after_sec: float | None = None) -> None:
        """Ask a provider no more in this run, and after a refusal not for hours: a refusal is respected."""
        self.failed[name] = reason
        if reason not in BLOCK_SEC:
            logger.info("%s gives nothing in this run: %s", name, reason)
            return
        self.answered = True
        with self.catalog.record():
            seconds = backoffs.extend(self.catalog, backoffs.PROVIDER, name, BLOCK_SEC[reason], reason,
                                      retry_after_sec or 0.0, MAX_BLOCK_SEC)
        logger.info("%s refuses (%s) and is left alone for %.0f hours", name, reason, seconds / 3600)

    # --- providers that take seeds -------------------------------------------

    def ask_listing(self, name: str, seeds: list[Seed]) -> None:
        """Read the seeds of one kind, or the index for the hosts of all, beginning where the last run stopped."""
        by_host, costs = PROVIDERS[name].takes == "host", PROVIDERS[name].takes != "page"
        if by_host:
            seeds = list({host_of(seed.url): seed for seed in seeds}.values())
        key, failed = f"search.next_{name}", Counter[str]()
        first = self.catalog.state(key, 0)
        for at in range(first, first + len(seeds)):
            if name in self.failed or self.has_enough():
                break
            if costs and (self.seconds_left() <= 0 or self.dead_seeds >= DEAD_SEEDS):
                break
            seed, page = seeds[at % len(seeds)], at // len(seeds)
            found: list[Found] = []
            if by_host:
                self.ask_index(name, seed)
            else:
                try:
                    found = PROVIDERS[name].ask(Ask(seed.url, 0, page, self.config, self.web, self.fetch))
                except FetchError as error:
                    logger.info("the %s %s gives nothing: %s", seed.kind, seed.url, error.reason)
                    self.report.facts["seeds_failed"][seed.url] = error.reason
                    failed[error.reason] += 1
                    self.dead_seeds += error.reason == "unreachable" and not self.answered
            if name in self.failed:
                break  # this host's turn comes again
            most_new = 1 << 30 if self.web.is_stand_in(seed.url) else self.config.urls_per_seed
            with self.catalog.record():
                self.add(found, name, most_new=most_new)
                self.catalog.set_state(key, at + 1)
            self.catalog.commit()
        if failed and not self.found[name]:
            self.failed[name] = failed.most_common(1)[0][0]

    def ask_index(self, name: str, seed: Seed) -> None:
        """Add the next page of what an index has of a seed's host."""
        host = host_of(seed.url)
        page = self.next_page(name, host)
        found = self.ask_one(name, seed.url, page, 2) if page is not None else None
        if page is None or found is None:
            self.dead_seeds += self.failed.get(name) in ("unreachable", "timeout") and not self.answered
            return
        with self.catalog.record():
            self.remember_answer(name, host, page, len(found), self.add(found, name))

    def fetch(self, url: str) -> bytes:
        """A feed or sitemap; the beginning of one that is too long. Each hop waits until its host may be asked."""
        for _ in range(MAX_REDIRECTS + 1):
            if reason := self.rules_for(url).rejection_of(url):
                raise FetchError(reason)
            with self.turn(url):
                answer = self.web.fetch(url, follow=False, truncate=True, seconds=max(self.seconds_left(), 0.1))
            self.answered = True
            if not answer.location:
                return answer.body
            url = answer.location
        raise FetchError("too_many_redirects")

    def rules_for(self, url: str) -> Rules:
        """The robots.txt of the host of `url`, from the catalog or from the host, wherever that redirects to."""
        rules: Rules | str | None = known_rules(self.catalog, host_of(url))
        at, hops = robots_url(url), 0
        while not isinstance(rules, Rules):
            with self.turn(at):
                rules = fetch_rules(self.web, at, hops, max(self.seconds_left(), 0.1))
            if isinstance(rules, str):
                at, hops, self.answered = rules, hops + 1, True
                continue
            self.answered = self.answered or rules.rejection not in ("unreachable", "blocked_address")
            with self.catalog.record():
                remember_rules(self.catalog, host_of(url), rules)
        return rules

    @contextlib.contextmanager
    def turn(self, url: str) -> Iterator[None]:
        """Wait until the host of `url` may be asked, and note when that was. Raises FetchError without the time."""
        host = host_of(url)
        rules = known_rules(self.catalog, host)
        delay = max(self.config.seed_delay_sec, rules.delay_sec if rules else 0.0)
        wait = self.asked_at.get(host, -math.inf) + delay - time.monotonic()
        if self.seconds_left() <= 0 or (wait > self.seconds_left() and not self.web.is_stand_in(url)):
            raise FetchError("no_time_left")
        if wait > 0 and not self.web.is_stand_in(url):
            time.sleep(wait)
        try:
            yield
        finally:
            self.asked_at[host] = time.monotonic()


def related(query: str, found: list[Found]) -> bool:
    """Whether results have to do with the query: some engines answer a robot with what is popular instead."""
    described = [f"{result.text} {unquote(result.url)}".casefold() for result in found if result.text]
    # of scripts that put no spaces between words: pairs of letters
    words = re.findall(r"[\u0e00-\u0eff\u3040-\u9fff\uac00-\ud7af]{2}|\w{3,}", query.casefold())
    beginnings = [word[:5] for word in words]  # so that "history" finds "historical"
    hits = sum(any(beginning in text for beginning in beginnings) for text in described)
    return len(described) < 3 or not beginnings or hits >= RELATED_FRAC * len(described)


def outcome(search: Search, name: str) -> str:
    """What a provider gave, and why it gave no more."""
    found = f"{search.found[name]} results" if search.found[name] else ""
    return ", then ".join(text for text in (found, search.failed.get(name)) if text)
