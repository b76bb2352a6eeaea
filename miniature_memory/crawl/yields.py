"""Yields: how many kept documents a visit to a URL is likely to give, and so which URLs are visited next.

A focused crawler visits the most promising URLs first (Chakrabarti, van den Berg and Dom, Focused Crawling, 1999). The
promise of a URL is that of Shark-Search (Hersovici et al., 1998): the topic's words in the link's text and address, and
in the page that links there. What a promise is worth is not assumed but counted, and so is what each host gives beyond
its promises:

    documents that a visit is likely to give = rate(source, promise) x factor(host)

A factor is what a host gave, divided by what the rates predict for its visits, and shrunk to 1 by a gamma prior worth a
few visits, as maps of rare diseases are (Clayton and Kaldor, Biometrics 43, 1987): one visit in vain condemns no host.
The rates are shrunk likewise. A tenth of the visits go to unknown hosts, drawn uniformly (epsilon-greedy; Sutton and
Barto, Reinforcement Learning, 2.2), and a host gets more visits only as fast as it becomes known.
"""

import random
import re
import sqlite3
from collections import Counter
from collections.abc import Collection, Iterable
from heapq import heappush, heappushpop
from pathlib import Path
from urllib.parse import unquote

from miniature_memory.core.languages import language_of, lower
from miniature_memory.crawl.seeds import read_lines
from miniature_memory.storage import urls, yields
from miniature_memory.storage.catalog import Catalog
from miniature_memory.storage.yields import Gain

EXPLORED_FRAC = 0.1  # of the visits
HOST_VISITS, RATE_VISITS = 4.0, 5.0  # that the priors are worth; tuned by bench.which_address
TRUST = 2  # visits in a night to a host that is unknown, and as many more for each visit before; others come first
WINDOW = 4  # times as many URLs of a host are compared as may be visited
MOST_COMPARED = 20_000  # URLs, once there are enough: they take 20 ms

STEM_CHARS = 5  # of a word count: its endings make no difference
FEW_STEMS = 24
TELLING_CHARS = 20  # fewer, without a word of the topic, say nothing of what a URL leads to. Guess
ABOUT = (0.003, 0.01)  # shares of the topic's words among a page's: hardly, partly, about the topic. Guess
MAX_CHARS = 20_000  # of a page, and
MAX_LINK_CHARS = 300  # of what stands at a link

_WORD = re.compile(r"[^\W\d_]{2,}")
_ASCII_STEM = re.compile(f"([a-z]{{3,{STEM_CHARS}}})[a-z]*")
_UNSPACED = "\u2e80"  # from here on: scripts that put no space between words


class Topic:
    """The words that a topic's queries are made of. Without any, nothing is promised, and hosts alone differ."""

    def __init__(self, queries: Iterable[str], language: str) -> None:
        known = language_of(language)
        ignored = {word for template in known.queries for word in _WORD.findall(lower(template))}
        words = {word for query in queries for word in _WORD.findall(lower(query)) if word not in ignored
                 and not (known.function_words and known.function_words.has(word))}
        self.stems = {stem for word in words for form in (word, word.rstrip("s"), word + "s")
                      for stem in stems_of(form)}
        # Most URLs have none of a few stems, which a search sees sooner than a look at all words
        self.any_stem = re.compile("|".join(sorted(self.stems)) if 0 < len(self.stems) <= FEW_STEMS else "")

    @classmethod
    def load(cls, root: Path, language: str) -> "Topic":
        return cls(read_lines(root / "config/queries.txt"), language)

    def promise(self, url: str, text: str = "", parent: int = 0) -> int:
        """What the text at a link or of a search result, its address and the page that it is on promise together: 0 to
        15. It is no measure, but a name for URLs of one kind: what they give is counted. parent: see about().

        It takes a microsecond, since a sitemap has thousands of URLs.
        """
        said = url[url.find("/", 8) + 1:]
        if "%" in said:
            said = unquote(said)
        if text:
            said = f"{text[:MAX_LINK_CHARS]} {said}"
        n = len(self.stems.intersection(stems_of(said))) if self.any_stem.search(said.lower()) else 0
        return 4 * parent + (1 + min(n, 2) if n else len(said) >= TELLING_CHARS)

    def about(self, text: str) -> int:
        """1: a page has hardly any of the topic's words; 2: some; 3: many. 0 stands for no page."""
        found = stems_of(text[:MAX_CHARS])
        n = sum(stem in self.stems for stem in found)
        return 1 + sum(n >= least * max(len(found), 1) for least in ABOUT)


def stems_of(text: str) -> list[str]:
    """The beginnings of all words; where no space divides them, each two neighboring characters."""
    if text.isascii():
        return _ASCII_STEM.findall(text.lower())
    return [stem for word in _WORD.findall(lower(text)) for stem in (
        [word[:STEM_CHARS]] if word[0] < _UNSPACED else [word[at:at + 2] for at in range(len(word) - 1)])]


class Estimate:
    """What visits give, by what they gave.

    It is counted in documents, each worth the mean of 1 and its length over the mean length: lengths differ so much
    that one long document would pass for a good host.
    """

    def __init__(self, catalog: Catalog) -> None:
        """Raises ZeroDivisionError if no visit has given anything."""
        kinds = yields.by_kind(catalog)
        visits, kept, n_bytes = (sum(column) for column in zip(*kinds.values(), strict=True))
        self.length: float = n_bytes / kept
        self.mean: float = kept / visits
        self.of_promise: dict[int, float] = {}  # documents per visit, for sources without such a promise so far
        self.rates: dict[tuple[str, int], float] = {}  # (source, promise) -> documents per visit
        self._count_rates(kinds)
        self.visits: dict[str, int] = {}  # of each host that is known
        self.factors: dict[str, float] = {}  # host -> what it gave, over what the rates let expect
        prior = HOST_VISITS * self.mean
        for host, visits, kept, n_bytes, expected in yields.by_host(catalog, self.rates):
            self.visits[host] = visits
            self.factors[host] = _shrunk(self._worth(kept, n_bytes), expected, 1.0, prior)
        self.usual = sum(self.factors.values()) / len(self.factors)

    def rate(self, source: str, promise: int) -> float:
        return self.rates.get((source, promise)) or self.of_promise.get(promise, self.mean)

    def factor(self, host: str) -> float:
        return self.factors.get(host, self.usual)

    def _worth(self, kept: int, n_bytes: int) -> float:
        return (kept + n_bytes / self.length) / 2

    def _count_rates(self, kinds: dict[tuple[str, int], Gain]) -> None:
        for promise in {promise for _, promise in kinds}:
            gains = [gain for kind, gain in kinds.items() if kind[1] == promise]
            visits, kept, n_bytes = (sum(column) for column in zip(*gains, strict=True))
            self.of_promise[promise] = _shrunk(self._worth(kept, n_bytes), visits, self.mean, RATE_VISITS)
        for kind, gain in kinds.items():
            self.rates[kind] = _shrunk(self._worth(gain.kept, gain.kept_bytes), gain.visits, self.of_promise[kind[1]],
                                       RATE_VISITS)


def _shrunk(gained: float, spent: float, usual: float, prior: float) -> float:
    """The mean of a gamma distribution that is as certain of `usual` as if `prior` had been spent on it already."""
    return (gained + prior * usual) / (spent + prior)


def choose(catalog: Catalog, now: float, limit: int, per_host: int,
           without: Collection[str]) -> list[tuple[int, sqlite3.Row]] | None:
    """The URLs to visit next, each with its turn at its host; None if no visit has given anything yet."""
    if not yields.any_kept(catalog):
        return None
    if not (hosts := list(urls.hosts_due(catalog, now, without=without))):
        return []
    estimate = Estimate(catalog)
    choice = _Choice(catalog, estimate, now, per_host)
    unknown = [host for host in hosts if host not in estimate.visits]
    dice = random.Random(sum(estimate.visits.values()))  # the same catalog, the same choice
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
    """How the due URLs of tonight compare."""

    def __init__(self, catalog: Catalog, estimate: Estimate, now: float, per_host: int) -> None:
        self.catalog, self.estimate, self.now, self.per_host = catalog, estimate, now, per_host
        self.compared = 0

    def of_host(self, host: str) -> list[tuple[bool, float, int, int]]:
        """(trusted, documents expected, - turn, id) of the best URLs of a host, the best first."""
        due = urls.promises_due(self.catalog, host, self.now, WINDOW * self.per_host)
        self.compared += len(due)
        factor, trust = self.estimate.factor(host), TRUST * (1 + self.estimate.visits.get(host, 0))
        worth = sorted(((self.estimate.rate(row["source"], row["promise"]) * factor, -place, row["id"])
                        for place, row in enumerate(due)), reverse=True)
        return [(turn < trust, value, -turn, id) for turn, (value, _, id) in enumerate(worth[:self.per_host])]

    def best(self, hosts: list[str], n: int, without: set[int]) -> list[int]:
        """The ids of the best URLs of all hosts, which come in the order of their factors."""
        heap: list[tuple[bool, float, int, int]] = []
        most = max(self.estimate.rates.values())
        for host in hosts if n else ():
            if len(heap) == n and (heap[0] >= (True, most * self.estimate.factor(host))
                                   or self.compared > MOST_COMPARED):
                break
            for one in self.of_host(host):
                if one[-1] in without:
                    continue
                if len(heap) < n:
                    heappush(heap, one)
                else:
                    heappushpop(heap, one)
        return [id for *_, id in sorted(heap, reverse=True)]
