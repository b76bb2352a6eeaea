"""Query search: each query goes to the first engine that answers and, if more is needed, to every open source."""

import logging
import random
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import unquote

from miniature_memory.core.log import DETAIL
from miniature_memory.crawl.frontier import DAY_SEC
from miniature_memory.crawl.guard import FetchError, bounded
from miniature_memory.providers.discovery import Discovery
from miniature_memory.providers.feed_reader import Listing
from miniature_memory.providers.provider import BACKOFF_SEC, Ask, Found, ProviderError, words_in
from miniature_memory.providers.provider_registry import PROVIDERS
from miniature_memory.storage import backoffs, provider_answers

logger = logging.getLogger(__name__)

RESULTS_PER_PAGE = 10  # asked for
PROVIDER_SEC = 10.0  # for one answer of a provider
ANSWER_FRAC = 0.9  # of that is for its requests: what came by then counts
CANARY = "wikipedia"  # a query that has results: an engine without any for it gives none to anyone
RELATED_FRAC = 0.25  # of the results contain a word of the query, or they belong to another query. Guess


class QuerySearch:
    """Asks the providers that take queries, and those that are asked by host."""

    def __init__(self, discovery: Discovery, fetch: Callable[[str], Listing]) -> None:
        self.discovery, self.config, self.catalog = discovery, discovery.config, discovery.catalog
        self.fetch = fetch
        self.n_queries = 0  # requests to engines; 1 for a query that open sources alone are asked
        self.canary: dict[str, bool] = {}  # provider -> whether it passed
        self.memory: dict[str, dict[str, Any]] = {}  # provider -> what it keeps for this run
        self.asked_at: dict[str, float] = {}  # provider -> when its last answer ended

    def work_through(self, names: list[str], queries: list[str], others_wait: bool) -> None:
        """Work on the list of queries from where the last run stopped, one page of results of each provider at a
        time."""
        engines = [name for name in names if not PROVIDERS[name].is_open]
        sources = [name for name in names if PROVIDERS[name].is_open]
        failed, exhausted = self.discovery.failed, 0
        while (self.n_queries < self.config.queries_per_run and exhausted < len(queries)
               and not self.discovery.has_enough()):
            n_before = self.n_queries
            at = self.catalog.state("search.next_query", 0) % len(queries)
            before = set(failed)
            answers = [self.ask_first(engines, queries[at], bool(sources) + others_wait),
                       *self.ask_each(sources, queries[at], others_wait)]
            provider = next(filter(None, answers), "" if "" in answers else None)
            self.n_queries = max(self.n_queries, n_before + 1)
            refused = any(failed[name] in BACKOFF_SEC for name in names if name in failed.keys() - before)
            if provider is None and not refused:
                return  # the query waits for the next run; one that all have refused had its turn
            exhausted = 0 if provider else exhausted + 1
            with self.catalog.record():
                self.catalog.set_state("search.next_query", (at + 1) % len(queries))
            self.catalog.commit()  # the next answer may take a while
            if provider is None:
                return

    def ask_each(self, sources: list[str], query: str, others_wait: int) -> Iterator[str | None]:
        """Ask each open source for a page of `query` unless enough URLs are due: one alone would make a narrow set.

        Yields what ask_first() returns.
        """
        for n, name in enumerate([] if self.discovery.has_enough() else sources, 1):
            yield self.ask_first([name], query, others_wait + len(sources) - n)

    def ask_first(self, names: list[str], query: str, others_wait: int) -> str | None:
        """The first provider that has results for `query`; '' if it is exhausted; None if nobody could be asked."""
        failed = self.discovery.failed
        for name in names:
            page = None if name in failed else self.next_page(name, query)
            if page is None:
                continue
            waiting = sum(other not in failed for other in names[names.index(name):]) + others_wait
            found = self.ask(name, query, page, waiting)
            if found is None:
                if name not in failed:
                    return None  # no time
                continue
            self.keep(name, query, page, found, query)
            if found:
                return name
        return "" if any(name not in failed for name in names) else None

    def ask_for_host(self, name: str, host: str, url: str) -> None:
        """Add the next page of what an index has of a host. url: one of its seeds."""
        page = self.next_page(name, host)
        found = self.ask(name, url, page, waiting=2) if page is not None else None
        if page is not None and found is not None:
            self.keep(name, host, page, found)

    def next_page(self, name: str, query: str) -> int | None:
        """The page of results to ask for; None while the query is exhausted there."""
        last = provider_answers.last(self.catalog, name, query)
        if not last:
            return 0
        if last.results and last.page + 1 < min(self.config.pages_per_query, PROVIDERS[name].max_pages(self.config)):
            return last.page + 1
        if last.asked_at > time.time() - self.config.requery_days * DAY_SEC:
            return None
        with self.catalog.record():
            provider_answers.forget(self.catalog, name, query)
        return 0

    def keep(self, name: str, key: str, page: int, found: list[Found], query: str = "") -> None:
        new = self.discovery.add(found, name, query)
        with self.catalog.record():
            provider_answers.keep(self.catalog, name, key, page, len(found), new)

    # --- one provider --------------------------------------------------------

    def ask(self, name: str, what: str, page: int, waiting: int) -> list[Found] | None:
        """The results of one provider; None if it failed, or if there is no time left."""
        if not self.wait_for_turn(name):
            return None
        seconds = min(PROVIDER_SEC, self.discovery.time.seconds_left(waiting))
        if seconds <= 0:
            self.discovery.give_up(name, "no_time_left")
            return None
        self.discovery.asked.add(name)
        self.n_queries += PROVIDERS[name].takes == "query" and not PROVIDERS[name].is_open
        found = self.call(name, what, page, seconds)
        self.asked_at[name] = time.monotonic()
        if found is None:
            return None
        self.discovery.time.answered |= bool(found)
        doubt = "" if PROVIDERS[name].is_paid or related(what, found) else "unrelated"
        if not found and page == 0 and PROVIDERS[name].zero_may_lie:
            doubt = "silent"
        if doubt and what != CANARY and not self.passes_canary(name, waiting):
            if name not in self.discovery.failed:
                self.discovery.give_up(name, doubt)
            return None
        if found and not doubt:
            with self.catalog.record():
                backoffs.clear(self.catalog, backoffs.PROVIDER, name)
        return found

    def call(self, name: str, what: str, page: int, seconds: float) -> list[Found] | None:
        """What a provider's function returns; None if it raises or takes too long."""
        ask = Ask(what, RESULTS_PER_PAGE, page, self.config, self.discovery.web, self.fetch,
                  self.memory.setdefault(PROVIDERS[name].shares or name, {}),
                  deadline=time.monotonic() + ANSWER_FRAC * seconds)
        try:
            return answer_of(name, ask, seconds)
        except ProviderError as error:
            self.discovery.give_up(name, error.reason, error.retry_after_sec)
            if error.advice:
                logger.warning("%s", error.advice)
        return None

    def passes_canary(self, name: str, waiting: int) -> bool:
        """Whether a provider whose answer is in doubt has results for the canary query, which is asked once per run.

        True if there is no time to ask: that is not the provider's fault.
        """
        if name not in self.canary:
            found = self.ask(name, CANARY, 0, waiting)
            if found is None and name not in self.discovery.failed:
                return True
            self.canary[name] = bool(found and related(CANARY, found))
        return self.canary[name]

    def wait_for_turn(self, name: str) -> bool:
        """Wait until a provider may be asked again. False if there is no time for it."""
        own = name == "searxng" and self.discovery.web.is_stand_in(self.config.searxng_url)
        if name not in self.asked_at or own:
            return True
        pause = self.config.pause_sec * random.uniform(0.75, 1.5)
        wait = self.asked_at[name] + pause - time.monotonic()
        if wait >= self.discovery.time.seconds_left():
            return False
        time.sleep(max(wait, 0.0))
        return True


def answer_of(name: str, ask: Ask, seconds: float) -> list[Found]:
    """What a provider's function returns. Raises ProviderError, whatever it raises, and if it takes too long."""
    try:
        return bounded(seconds, lambda: PROVIDERS[name].ask(ask))
    except ProviderError:
        raise
    except FetchError as error:
        raise ProviderError.of(error) from None
    except TimeoutError:
        raise ProviderError("timeout") from None
    except Exception:  # a library that reads other people's pages may fail in any way
        logger.log(DETAIL, "%s failed on %r", name, ask.what, exc_info=True)
        raise ProviderError("library_error") from None


def related(query: str, found: list[Found]) -> bool:
    """Whether results have to do with the query: some engines answer a robot with what is popular instead."""
    described = [f"{result.text} {unquote(result.url)}" for result in found if result.text]
    hits = sum(words_in(query, text) > 0 for text in described)
    return len(described) < 3 or hits >= RELATED_FRAC * len(described)
