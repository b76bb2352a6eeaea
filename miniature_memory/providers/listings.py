"""Providers that take a seed: pages, feeds, sitemaps."""

import logging
import re
from collections import deque
from urllib.parse import urlsplit

from miniature_memory.crawl.guard import FetchError
from miniature_memory.crawl.outcomes import reason_in_words
from miniature_memory.crawl.seeds import UNKNOWN
from miniature_memory.providers.feed_reader import FEED, SITEMAP, Listing
from miniature_memory.providers.provider import Ask, Found

logger = logging.getLogger(__name__)

SITEMAPS_PER_SEED = 10  # read of an index in one run


def seeds(ask: Ask) -> list[Found]:
    """A page, or what a seed of unknown kind proves to be. What is no feed and no sitemap, scrape looks at."""
    if ask.kind != UNKNOWN:
        return [Found(ask.what)]
    listing = ask.fetch(ask.what)
    if listing.kind in (FEED, SITEMAP):
        return pages_of(listing, ask)
    if listing.is_empty:
        raise FetchError("empty")
    return [Found(ask.what)]


def listings(ask: Ask) -> list[Found]:
    """The pages of a feed or a sitemap. What it is, its content says: a sitemap may be a feed."""
    return pages_of(ask.fetch(ask.what), ask)


def pages_of(listing: Listing, ask: Ask) -> list[Found]:
    """The pages of a listing and of the sitemaps that it names. Raises FetchError with the reason if there are none.

    Of a long index, each run reads the sitemap that changed last, and some of the others in turn.
    """
    pages, most = listing.pages, SITEMAPS_PER_SEED
    parts = [url for _, url in sorted(listing.sitemaps, key=lambda part: part[0], reverse=True)]
    if ask.web.is_stand_in(ask.what):
        most = 1 << 30
    if len(parts) > most:
        others = parts[1:] * 2
        start = ask.page * (most - 1) % (len(parts) - 1)
        parts = parts[:1] + others[start:start + most - 1]
    waiting, seen, n_read, problem = deque(parts), {ask.what, listing.url}, 0, ""
    while waiting and n_read < most:
        url = waiting.popleft()
        if url in seen:
            continue
        seen.add(url)
        n_read += 1
        try:
            part = ask.fetch(url)
            if part.kind not in (FEED, SITEMAP) and (part.is_empty or _looks_like_a_listing(url)):
                raise FetchError(part.why_nothing())
        except FetchError as error:
            logger.info("the sitemap %s could not be read: %s", url, reason_in_words(error.reason))
            problem = error.reason
            if problem == "no_time_left":
                break
            continue
        pages += part.pages if part.kind in (FEED, SITEMAP) else [url]  # an index may name pages
        waiting.extend(url for _, url in part.sitemaps)  # or other indexes, though the protocol knows none
    if not pages:
        raise FetchError(problem or listing.why_nothing())
    return [Found(url) for url in pages]


def _looks_like_a_listing(url: str) -> bool:
    return bool(re.search(r"\.(xml|gz|txt)$", urlsplit(url).path.lower()))
