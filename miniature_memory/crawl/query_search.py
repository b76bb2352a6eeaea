"""Query search: each query goes to the first provider that answers, one page of results at a time."""

import logging
import random
import re
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

from miniature_memory.core.log import DETAIL
from miniature_memory.crawl.discovery import Discovery
from miniature_memory.crawl.feed_reader import Listing
from miniature_memory.crawl.frontier import DAY_SEC
from miniature_memory.crawl.guard import FetchError, bounded
from miniature_memory.crawl.provider import BACKOFF_SEC, Ask, Found, ProviderError
from miniature_memory.crawl.provider_registry import PROVIDERS
from miniature_memory.storage import backoffs, provider_answers

logger = logging.getLogger(__name__)

RESULTS_PER_PAGE = 10  # asked for
PROVIDER_SEC = 10.0  # for one answer of a search engine
CANARY = "wikipedia"  # a query that has results: an engine without any for it gives none to anyone
RELATED_FRAC = 0.25  # of the results contain a word of the query, or they belong to another query. Guess


class QuerySearch:
    """Asks the providers that take queries, and those that are asked by host."""

    def __init__(self, discovery: Discovery, fetch: Callable[[str], Listing]) -> None:
        self.discovery, self.config, self.catalog = discovery, discovery.config, discovery.catalog
        self.fetch = fetch
        self.n_queries = 0  # pages of results that were asked for
        self.canary: dict[str, bool] = {}  # provider -> whether it passed
        self.memory: dict[str, dict[str, Any]] = {}  # provider -> what it keeps for this run
        self.asked_at: dict[str, float] = {}  # provider -> when its last answer ended

    def work_through(self, names: list[str], queries: list[str], others_wait: bool) -> None:
        """Work on the list of queries from where the last run stopped, one page of results at a time."""
        failed, exhausted = self.discovery.failed, 0
        while (self.n_queries < self.config.queries_per_run and exhausted < len(queries)
               and not self.discovery.has_enough()):
            at = self.catalog.state("search.next_query", 0) % len(queries)
            before = set(failed)
            provider = self.ask_first(names, queries[at], others_wait)
            refused = any(failed[name] in BACKOFF_SEC for name in names if name in failed.keys() - before)
            if provider is None and not refused:
                return  # the query waits for the next run; one that all have refused had its turn
            exhausted = 0 if provider else exhausted + 1
            with self.catalog.record():
                self.catalog.set_state("search.next_query", (at + 1) % len(queries))
            self.catalog.commit()  # the next answer may take a while
            if provider is None:
                return

    def ask_first(self, names: list[str], query: str, others_wait: bool) -> str | None:
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
        if last.results and last.page + 1 < self.config.pages_per_query:
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
        self.n_queries += PROVIDERS[name].takes == "query"
        found = self.call(name, what, page, seconds)
        self.asked_at[name] = time.monotonic()
        if found is None:
            return None
        self.discovery.time.answered |= bool(found)
        doubt = "" if related(what, found) else "unrelated"
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
                  self.memory.setdefault(name, {}))
        try:
            return answer_of(name, ask, seconds)
        except ProviderError as error:
            self.discovery.give_up(name, error.reason, error.retry_after_sec)
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
    described = [f"{result.text} {unquote(result.url)}".casefold() for result in found if result.text]
    # of scripts that put no spaces between words: pairs of letters
    words = re.findall(r"[\u0e00-\u0eff\u3040-\u9fff\uac00-\ud7af]{2}|\w{3,}", query.casefold())
    beginnings = [word[:5] for word in words]  # so that "history" finds "historical"
    hits = sum(any(beginning in text for beginning in beginnings) for text in described)
    return len(described) < 3 or not beginnings or hits >= RELATED_FRAC * len(described)
