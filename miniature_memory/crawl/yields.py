"""Yields: what a visit to a URL is likely to give, in bytes of text that clean keeps, and which visits are worth most.

A focused crawler visits the most promising URLs first (Chakrabarti, van den Berg and Dom, Focused Crawling, 1999). What
promises something is what Shark-Search (Hersovici et al., 1998) goes by: the topic's words in a link's text and
address, and the page in which it stands. How much each promise is worth is not assumed but counted, and so is what each
host gives beyond its promises:

    expected bytes of a visit = rate(source, promise) x factor(host)

Rates and factors are fitted by turns to the visits so far. Either is shrunk to what is usual by a gamma prior worth a
few visits, as in the mapping of rare diseases (Clayton and Kaldor, Biometrics 43, 1987): one visit that gave nothing
condemns no host. A tenth of the visits go to hosts that nobody knows, drawn uniformly: without that, a host that began
badly or was found late would never be known (epsilon-greedy; Sutton and Barto, Reinforcement Learning, 2.2).
"""

import random
import re
import sqlite3
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from heapq import heappush, heappushpop
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from miniature_memory.core.languages import language_of, lower
from miniature_memory.crawl.seeds import read_lines
from miniature_memory.storage import urls, yields
from miniature_memory.storage.catalog import Catalog
from miniature_memory.storage.yields import VISITED, Yield

EXPLORED_FRAC = 0.1  # of the visits
KNOWN_VISITS = 1  # from which on a host is known
HOST_VISITS, RATE_VISITS = 2.0, 20.0  # that the priors are worth
ROUNDS = 3  # of fitting
WINDOW = 4  # times as many URLs of a host are compared as may be visited
MOST_COMPARED = 30  # times as many URLs as are chosen

STEM_CHARS = 5  # of a word count: its endings make no difference
TELLING_WORDS = 3  # fewer say nothing of what a URL leads to
ABOUT = (0.003, 0.01)  # shares of the topic's words among a page's: hardly, partly, about the topic
MAX_CHARS = 300_000  # of a page, and
MAX_LINK_CHARS = 300  # of what stands at a link

_WORD = re.compile(r"[^\W\d_]+")
_UNSPACED = "\u2e80"  # from here on: scripts that put no space between words


def stems(text: str) -> Iterator[str]:
    """The words of a text, cut short; where no space divides them, each two neighboring characters."""
    for word in _WORD.findall(lower(text)):
        if word[0] >= _UNSPACED:
            yield from map("".join, zip(word, word[1:], strict=False))
        elif len(word) > 2:
            yield word.rstrip("s")[:STEM_CHARS]


class Topic:
    """The words that a topic's queries are made of. Without any, nothing is promised, and hosts alone differ."""

    def __init__(self, queries: Iterable[str], language: str) -> None:
        function_words = language_of(language).function_words
        words = (word for query in queries for word in _WORD.findall(lower(query)))
        self.stems = {stem for word in words if not (function_words and function_words.has(word))
                      for stem in stems(word)}

    @classmethod
    def load(cls, root: Path, language: str) -> "Topic":
        return cls(read_lines(root / "config/queries.txt"), language)

    def promise(self, url: str, text: str = "", parent: int = 0) -> int:
        """What the text at a link or of a search result, its address and the page that it is on promise together: 0 to
        15. It is no measure, but a name for URLs of one kind: what they give is counted. parent: see about()."""
        path = url.partition("://")[2].partition("/")[2]
        found = set(stems(f"{text[:MAX_LINK_CHARS]} {unquote(path)}"))
        if len(found) < TELLING_WORDS:
            return 4 * parent
        return 4 * parent + 1 + min(len(found & self.stems), 2)

    def about(self, text: str) -> int:
        """1: a page has hardly any of the topic's words; 2: some; 3: many. 0 stands for no page."""
        words = list(stems(text[:MAX_CHARS]))
        share = sum(word in self.stems for word in words) / max(len(words), 1)
        return 1 + sum(share >= least for least in ABOUT)


class Estimate:
    """What visits give, fitted to what they gave."""

    def __init__(self, found: list[Yield]) -> None:
        self.visits: Counter[str] = Counter()  # of each host
        for one in found:
            self.visits[one.host] += one.visits
        self.mean = sum(one.kept_bytes for one in found) / max(self.visits.total(), 1)  # bytes
        self.rates: dict[tuple[str, int], float] = {}  # (source, promise) -> bytes
        self.of_promise: dict[int, float] = {}  # for sources without such a promise so far
        self.factors: dict[str, float] = {}
        self.usual = 1.0  # factor of a host
        for _ in range(ROUNDS):
            self._fit_rates(found)
            self._fit_factors(found)

    def rate(self, source: str, promise: int) -> float:
        """Bytes that a visit gives at a host of factor 1."""
        return self.rates.get((source, promise)) or self.of_promise.get(promise, self.mean)

    def factor(self, host: str) -> float:
        return self.factors.get(host, self.usual)

    def _fit_rates(self, found: list[Yield]) -> None:
        gained, spent = Counter[object](), Counter[object]()
        for one in found:
            for key in (one.promise, (one.source, one.promise)):
                gained[key] += one.kept_bytes
                spent[key] += one.visits * self.factor(one.host)
        for promise in {one.promise for one in found}:
            self.of_promise[promise] = _shrunk(gained[promise], spent[promise], self.mean, RATE_VISITS)
        for key in {(one.source, one.promise) for one in found}:
            self.rates[key] = _shrunk(gained[key], spent[key], self.of_promise[key[1]], RATE_VISITS)

    def _fit_factors(self, found: list[Yield]) -> None:
        gained, expected = Counter[str](), Counter[str]()
        for one in found:
            gained[one.host] += one.kept_bytes
            expected[one.host] += one.visits * self.rate(one.source, one.promise)
        prior = HOST_VISITS * self.mean
        self.factors = {host: _shrunk(gained[host], expected[host], self.usual, prior) for host in expected}
        self.usual = sum(self.factors.values()) / len(self.factors)


def _shrunk(gained: float, spent: float, usual: float, prior: float) -> float:
    """The mean of a gamma distribution that is as certain of `usual` as if `prior` had been spent on it already."""
    return (gained + prior * usual) / (spent + prior)


def choose(catalog: Catalog, now: float, limit: int, per_host: int,
           without: Collection[str]) -> list[tuple[int, sqlite3.Row]] | None:
    """The URLs to visit next, each with its turn at its host; None if no visit has given anything yet."""
    found = yields.of_all(catalog)
    if not any(one.kept_bytes for one in found):
        return None
    estimate, hosts = Estimate(found), list(urls.hosts_due(catalog, now, without=without))
    choice = _Choice(catalog, estimate, now, per_host)
    unknown = [host for host in hosts if estimate.visits[host] < KNOWN_VISITS]
    dice = random.Random(estimate.visits.total())  # the same catalog, the same choice
    explored = dice.sample(unknown, min(len(unknown), round(limit * EXPLORED_FRAC)))
    ids = [id for host in explored for *_, id in choice.of_host(host)[:1]]
    ids += choice.best(sorted(hosts, key=estimate.factor, reverse=True), limit - len(ids), set(ids))
    turns = Counter[str]()
    chosen = []
    for row in urls.rows(catalog, ids):
        chosen.append((turns[row["host"]], row))
        turns[row["host"]] += 1
    return chosen


class _Choice:
    def __init__(self, catalog: Catalog, estimate: Estimate, now: float, per_host: int) -> None:
        self.catalog, self.estimate, self.now, self.per_host = catalog, estimate, now, per_host
        self.compared = 0

    def of_host(self, host: str) -> list[tuple[bool, float, int, int]]:
        """(trusted, bytes expected, - turn, id) of the best URLs of a host, the best first."""
        due = urls.promises_due(self.catalog, host, self.now, WINDOW * self.per_host)
        self.compared += len(due)
        factor, trust = self.estimate.factor(host), 2 + 2 * self.estimate.visits[host]
        worth = sorted(((self.estimate.rate(row["source"], row["promise"]) * factor, -place, row["id"])
                        for place, row in enumerate(due)), reverse=True)
        return [(turn < trust, value, -turn, id) for turn, (value, _, id) in enumerate(worth[:self.per_host])]

    def best(self, hosts: list[str], n: int, without: set[int]) -> list[int]:
        """The ids of the best URLs of all hosts, which come in the order of their factors."""
        heap: list[tuple[bool, float, int, int]] = []
        most = max(self.estimate.rates.values())
        for host in hosts:
            if len(heap) == n and (heap[0] >= (True, most * self.estimate.factor(host))
                                   or self.compared > MOST_COMPARED * n):
                break
            for one in self.of_host(host):
                if one[-1] in without:
                    continue
                if len(heap) < n:
                    heappush(heap, one)
                else:
                    heappushpop(heap, one)
        return [id for *_, id in sorted(heap, reverse=True)]
