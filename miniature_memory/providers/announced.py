"""Announced: the feeds and sitemaps of hosts whose pages were kept: in robots.txt, and in the head of their pages."""

import time
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from miniature_memory.core.text import host_of
from miniature_memory.crawl.frontier import DAY_SEC
from miniature_memory.crawl.robots_txt import sitemaps_of
from miniature_memory.crawl.seeds import Seed
from miniature_memory.crawl.urls import browser_url
from miniature_memory.providers.config import SearchConfig
from miniature_memory.storage import clean_documents, provider_answers, urls
from miniature_memory.storage.catalog import Catalog

KEPT_DOCUMENTS = 1000  # the newest ones tell which hosts are worth following
LEAST_KEPT = 2  # of the pages of one host: a single one may be chance. Guess
HOSTS_PER_RUN = 10  # so that other pages have their share of a run. Guess
SITEMAPS_PER_HOST = 5
PROVIDER_OF = {"feed": "feeds", "sitemap": "sitemaps"}


class Announced(NamedTuple):
    host: str
    seed: Seed
    turn: int  # how often it was read


def announced(catalog: Catalog, config: SearchConfig, seeds: Iterable[Seed]) -> Iterator[Announced]:
    """One listing of each host; the hosts of most kept pages come first. What is among the seeds is read as one.

    A listing that was read rests for search.requery_days, like a query; then the host's next one has its turn.
    """
    kept = Counter(host_of(url) for address in clean_documents.newest_urls(catalog, KEPT_DOCUMENTS)
                   if (url := browser_url(address)))
    listed = {browser_url(seed.url) for seed in seeds}
    n_hosts, since = 0, time.time() - config.requery_days * DAY_SEC
    for host, n in kept.most_common():
        if n < LEAST_KEPT or n_hosts == HOSTS_PER_RUN:
            return
        for seed in listings_of(catalog, host):
            if browser_url(seed.url) in listed:
                continue
            last = provider_answers.last(catalog, PROVIDER_OF[seed.kind], seed.url)
            if PROVIDER_OF[seed.kind] in config.providers and (not last or last.asked_at < since):
                yield Announced(host, seed, last.page + 1 if last else 0)
                n_hosts += 1
                break


def listings_of(catalog: Catalog, host: str) -> list[Seed]:
    """What a host announces, its feed first: that names what is new."""
    feed = urls.feed(catalog, host)
    robots = urls.robots(catalog, host, since=0.0) or ""
    return [Seed("feed", feed)] * bool(feed) + [Seed("sitemap", url) for url in sitemaps_of(robots)[:SITEMAPS_PER_HOST]]


def of_host(url: str, host: str) -> bool:
    """Whether a page is on this host, with or without www."""
    url = browser_url(url)
    return bool(url) and host_of(url).removeprefix("www.") == host.removeprefix("www.")
