"""Search: queries, feeds and sitemaps in, URLs out.

Reads   config/queries.txt    a query a line; # begins a comment
        config/seeds.txt      "page URL", "feed URL" or "sitemap URL" a line
Writes  the catalog's urls, due at once
Alone   .venv/bin/python search.py --set search.queries_per_run=2

Search engines refuse more often than they answer, so none is relied on: each query goes to the first provider that
answers, and the seeds are read in any case.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from catalog import Catalog
from guard import FetchError, bounded
from pipeline import Report, StageError, config_path, stage_main, strip_control
from providers import BLOCK_SEC, ENGINES, EngineConfig, ProviderError, Sitemap, feed_links, read_sitemap
from urls import canonical_url, host_of, url_refusal
from web import Web, fetch_rules, known_rules, remember_rules

logger = logging.getLogger(__name__)

ENGINES_FRAC = 0.6  # of the time is for the engines, so that some is left for the seeds. Guess
MAX_BLOCK_SEC = 30 * 86400.0  # a provider's breaker doubles no further
DEAD_SEEDS = 3  # so many seeds out of reach and no answer from anywhere: there is no network


@dataclass(frozen=True)
class SearchConfig(EngineConfig):
    """The table [search]; config/default.toml says what each key means, and its unit."""

    providers: list[str] = field(default_factory=lambda: ["google", "ddgs", "searxng", "seeds"])
    queries_per_run: int = 5
    results_per_query: int = 10
    pause_sec: float = 5.0
    max_minutes: float = 1.0
    give_up_sec: float = 15.0
    provider_sec: float = 10.0
    enough_urls: int = 300
    enough_per_host: int = 50
    urls_per_seed: int = 1000
    sitemaps_per_seed: int = 10
    seed_delay_sec: float = 1.0

    def __post_init__(self) -> None:
        if unknown := [name for name in self.providers if name not in (*ENGINES, "seeds")]:
            raise ValueError(f"providers: there is no {unknown[0]!r}. There are: {', '.join((*ENGINES, 'seeds'))}")
        if self.searxng_url and not canonical_url(self.searxng_url):
            raise ValueError(f"searxng_url = {self.searxng_url!r}: expected a web address, or \"\"")


# --- what the user wrote -------------------------------------------------------------------------


class Seed(NamedTuple):
    kind: str  # page, feed or sitemap
    url: str


def read_lines(path: Path) -> list[str]:
    """The lines of a text file without comments and empty ones. Raises StageError if it is not UTF-8."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        return []
    except UnicodeDecodeError as error:
        raise StageError(f"{path} is not UTF-8: byte {error.start} is {error.object[error.start]:#04x}.",
                         "a UTF-8 text file.", "save it as UTF-8 in your editor, or convert it: "
                         f"iconv -f WINDOWS-1252 -t UTF-8 {path} > new.txt && mv new.txt {path}") from None
    lines = (strip_control(line).strip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def read_seeds(path: Path) -> list[Seed]:
    seeds = []
    for line in read_lines(path):
        kind, _, url = line.partition(" ")
        if kind in ("page", "feed", "sitemap") and canonical_url(url):
            seeds.append(Seed(kind, canonical_url(url)))
        else:
            logger.warning("%s: %r is no seed. Expected: page, feed or sitemap, a space, and a web address", path, line)
    return seeds


# --- one run -------------------------------------------------------------------------------------


class Search:
    """One run: how much time is left, which providers have answered, and what came of it."""

    def __init__(self, config: SearchConfig, catalog: Catalog, report: Report) -> None:
        self.config, self.catalog, self.report = config, catalog, report
        self.web = Web(config.web)
        self.started = time.monotonic()
        self.answered = False  # whether anything has answered at all: then there is a network
        self.found: Counter[str] = Counter()  # provider -> results
        self.empty: Counter[str] = Counter()  # provider -> answers without a result, in a row
        self.asked_at: dict[str, float] = {}  # host -> when the last request for a seed there ended
        self.failed: dict[str, str] = {}  # provider -> why it is not asked (any more) in this run
        for name in self.engines_left():
            if reason := self.closed(name):
                self.failed[name] = reason

    def seconds_left(self, frac: float = 1.0, waiting: int = 1) -> float:
        """What the next request may take of this run, or of `frac` of it. As long as nothing has answered, that is
        its part of give_up_sec, which it shares with the `waiting` providers that have not been tried."""
        passed = time.monotonic() - self.started
        left = self.config.max_minutes * 60 * frac - passed
        return left if self.answered else min(left, (self.config.give_up_sec - passed) / waiting)

    def has_enough(self) -> bool:
        """Whether scrape has enough to do. Only some URLs of one host count: it may be asked only so often."""
        due = self.catalog.value("SELECT sum(min(n, ?)) FROM (SELECT count(*) AS n FROM urls WHERE due_at <= ? "
                                 "GROUP BY host)", [self.config.enough_per_host, time.time()])
        return (due or 0) >= self.config.enough_urls

    def add(self, urls: Iterable[str], source: str, query: str = "", most_new: int = 1 << 30) -> None:
        """Put URLs into the catalog until `most_new` of them were not known, within a record() block."""
        enough = self.report.n_out + most_new
        for url in map(canonical_url, urls):
            if self.report.n_out == enough:
                return
            reason = url_refusal(url)
            if not reason:
                added = self.catalog.execute(
                    "INSERT OR IGNORE INTO urls (url, host, source, query, found_at, due_at) VALUES (?, ?, ?, ?, ?, ?)",
                    [url, host_of(url), source, query, time.time(), time.time()]).rowcount
                reason = "" if added else "already_known"
            self.found[source] += 1
            self.report.n_in += 1
            if reason:
                self.report.dropped[reason] += 1
            else:
                self.report.n_out += 1

    # --- engines -------------------------------------------------------------

    def engines_left(self) -> list[str]:
        return [name for name in self.config.providers if name != "seeds" and name not in self.failed]

    def closed(self, name: str) -> str:
        """Why a provider cannot be asked; '' when it can."""
        if name == "searxng" and not self.config.searxng_url:
            return "off"
        row = self.catalog.execute("SELECT * FROM breakers WHERE provider = ?", [name]).fetchone()
        if not row or row["closed_until"] <= time.time():
            return ""
        return f"{row['reason']}, left alone until {time.strftime('%d %b %H:%M', time.localtime(row['closed_until']))}"

    def ask_engines(self, queries: list[str]) -> None:
        """Work on the list of queries from where the last run stopped."""
        first = self.catalog.setting("search.next_query", 0)
        for n in range(min(self.config.queries_per_run, len(queries))):
            if self.has_enough() or (n and not self.pause()):
                return
            query = queries[(first + n) % len(queries)]
            provider, urls = self.ask(query)
            if not self.engines_left():
                return  # the query waits for the next run
            with self.catalog.record():
                self.add(urls, provider, query)
                self.catalog.remember("search.next_query", (first + n + 1) % len(queries))
            self.catalog.commit()  # the next answer may take a while

    def pause(self) -> bool:
        """Wait before the next query. False if there is no time for it."""
        wait = 0.0 if self.web.is_stand_in(self.config.searxng_url) else self.config.pause_sec
        if wait >= self.seconds_left(ENGINES_FRAC):
            return False
        time.sleep(wait)
        return True

    def ask(self, query: str) -> tuple[str, list[str]]:
        """The first provider that has results for `query`, and these."""
        engines = self.engines_left()
        for n, name in enumerate(engines):
            waiting = len(engines) - n + ("seeds" in self.config.providers)
            if urls := self.ask_one(name, query, waiting):
                return name, urls
        return "", []

    def ask_one(self, name: str, query: str, waiting: int) -> list[str]:
        seconds = min(self.config.provider_sec, self.seconds_left(ENGINES_FRAC, waiting))
        if seconds <= 0:
            self.give_up(name, "no_time_left")
            return []
        try:
            urls = bounded(seconds, lambda: ENGINES[name](query, self.config.results_per_query, self.config))
        except TimeoutError:
            self.give_up(name, "timeout")
        except ProviderError as error:
            self.give_up(name, error.reason, error.retry_after_sec)
        except Exception as error:  # a library that reads other people's pages may fail in any way
            self.give_up(name, type(error).__name__)
        else:
            self.empty[name] = 0 if urls else self.empty[name] + 1
            if self.empty[name] == 2:  # a single query may really have no result
                self.give_up(name, "no_results")
            if urls:
                self.answered = True
                with self.catalog.record():
                    self.catalog.execute("DELETE FROM breakers WHERE provider = ?", [name])
            return urls
        return []

    def give_up(self, name: str, reason: str, retry_after_sec: float | None = None) -> None:
        """Ask a provider no more in this run, and after a refusal not for hours: a refusal is respected."""
        logger.info("%s: %s", name, reason)
        self.failed[name] = reason
        if reason not in BLOCK_SEC:
            return
        self.answered = True
        repeats = self.catalog.value("SELECT repeats FROM breakers WHERE provider = ?", [name]) or 0
        seconds = min(max(BLOCK_SEC[reason] * 2**repeats, retry_after_sec or 0), MAX_BLOCK_SEC)
        with self.catalog.record():
            self.catalog.execute("INSERT OR REPLACE INTO breakers VALUES (?, ?, ?, ?)",
                                 [name, time.time() + seconds, reason, repeats + 1])

    # --- seeds ---------------------------------------------------------------

    def ask_seeds(self, seeds: list[Seed]) -> None:
        """Read the seeds, beginning where the last run stopped."""
        first, dead = self.catalog.setting("search.next_seed", 0), 0
        for n in range(len(seeds)):
            seed = seeds[(first + n) % len(seeds)]
            if self.has_enough() or self.seconds_left() <= 0 or dead == DEAD_SEEDS:
                break
            urls: list[str] = []
            try:
                urls = self.urls_of(seed)
            except FetchError as error:
                logger.info("%s %s: %s", seed.kind, seed.url, error.reason)
                self.report.facts["seeds_failed"][seed.url] = error.reason
                dead += error.reason == "unreachable" and not self.answered
            most_new = 1 << 30 if self.web.is_stand_in(seed.url) else self.config.urls_per_seed
            with self.catalog.record():
                self.add(urls, "seeds", most_new=most_new)
                self.catalog.remember("search.next_seed", (first + n + 1) % len(seeds))
            self.catalog.commit()
        reasons = Counter(self.report.facts["seeds_failed"].values())
        if reasons and not self.found["seeds"]:
            self.failed["seeds"] = reasons.most_common(1)[0][0]

    def urls_of(self, seed: Seed) -> list[str]:
        """The pages that a seed names. Raises FetchError if it cannot be had."""
        if seed.kind == "page":
            return [seed.url]
        if seed.kind == "feed":
            return feed_links(self.fetch(seed.url), seed.url)
        sitemap = self.sitemap(seed.url)
        urls = sitemap.pages
        most = len(sitemap.sitemaps) if self.web.is_stand_in(seed.url) else self.config.sitemaps_per_seed
        for url in sitemap.sitemaps[:most]:  # the protocol knows no index of indexes
            if self.seconds_left() <= 0:
                break
            try:
                urls += self.sitemap(url).pages
            except FetchError as error:
                logger.info("sitemap %s: %s", url, error.reason)
        return urls

    def sitemap(self, url: str) -> Sitemap:
        return read_sitemap(self.fetch(url), url, self.config.web.max_bytes)

    def fetch(self, url: str) -> bytes:
        """A feed or sitemap; the beginning of one that is too long. Waits until its host may be asked."""
        if reason := self.refusal(url):
            raise FetchError(reason)
        self.wait_for(url)
        try:
            answer = self.web.fetch(url, allowed=self.refusal, truncate=True, seconds=max(self.seconds_left(), 0.1))
        finally:
            self.asked_at[host_of(url)] = time.monotonic()
        return answer.body

    def refusal(self, url: str) -> str:
        """Why `url` must not be asked for; '' when it may."""
        rules = known_rules(self.catalog, host_of(url))
        if not rules:
            rules = fetch_rules(self.web, url, seconds=max(self.seconds_left(), 0.1))
            self.answered = self.answered or rules.refusal not in ("unreachable", "blocked_address")
            with self.catalog.record():
                remember_rules(self.catalog, host_of(url), rules)
        return rules.refuse(url)

    def wait_for(self, url: str) -> None:
        host = host_of(url)
        if host not in self.asked_at or self.web.is_stand_in(url):
            return
        rules = known_rules(self.catalog, host)
        delay = max(self.config.seed_delay_sec, rules.delay_sec if rules else 0.0)
        wait = self.asked_at[host] + delay - time.monotonic()
        if wait > self.seconds_left():
            raise FetchError("no_time_left")
        time.sleep(max(wait, 0.0))


def run(config: SearchConfig, root: Path) -> Report:
    report = Report("search", facts={"seeds_failed": {}})
    queries_path, seeds_path = config_path(root, "queries.txt"), config_path(root, "seeds.txt")
    queries, seeds = read_lines(queries_path), read_seeds(seeds_path)
    with Catalog(root) as catalog:
        collected = any(catalog.value(f"SELECT 1 FROM {table} LIMIT 1") for table in ("urls", "documents"))
        if not (queries or seeds or collected):
            raise StageError(f"{queries_path} holds no query and {seeds_path} no seed, and nothing was collected yet.",
                             "a query a line, such as: history of astronomy.", f"write some into {queries_path}.")
        search = Search(config, catalog, report)
        idle = "not asked, enough URLs are due" if search.has_enough() else "not asked"
        seeds_first = config.providers[:1] == ["seeds"]
        if seeds_first:
            search.ask_seeds(seeds)
        search.ask_engines(queries)
        if "seeds" in config.providers and not seeds_first:
            search.ask_seeds(seeds)
        report.facts["providers"] = {name: outcome(search, name) or idle for name in config.providers}
    logger.info("%s", "; ".join(f"{name}: {text}" for name, text in report.facts["providers"].items()))
    return report


def outcome(search: Search, name: str) -> str:
    """What a provider gave, and why it gave no more."""
    found = f"{search.found[name]} results" if search.found[name] else ""
    return ", then ".join(text for text in (found, search.failed.get(name)) if text)


def main(argv: list[str] | None = None) -> int:
    return stage_main(run, SearchConfig, "search", argv)


if __name__ == "__main__":
    raise SystemExit(main())
