"""Providers: where URLs come from: search engines, wikis and other open sources, Common Crawl's index, seeds.

A provider is a function that takes an Ask and returns a list of Found; it raises ProviderError (or FetchError) when it
has none to give. To add one, write the function and add a line to PROVIDERS and to PROVIDER_NAMES in config.py; an
engine with a key needs a table in engines.toml only.

What libraries send goes through web.py too, so that its limits apply and refusals are seen as they came. Nothing
imitates a browser, except that googlesearch-python sends its own user agent.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from miniature_memory.crawl.seeds import UNKNOWN
from miniature_memory.providers.commoncrawl import commoncrawl
from miniature_memory.providers.config import ProviderConfig
from miniature_memory.providers.keyed_engines import ask_engine, max_pages, why_off
from miniature_memory.providers.listings import listings, seeds
from miniature_memory.providers.open_sources import hackernews, internetarchive, marginalia, stackexchange
from miniature_memory.providers.provider import Ask, Found
from miniature_memory.providers.search_engines import ddgs, google, searxng
from miniature_memory.providers.wikis import mediawiki, wikilinks


class Provider(NamedTuple):
    ask: Callable[[Ask], list[Found]]
    takes: str  # what it is asked with: "query", a seed's kind ("page", "feed", "sitemap"), or "host" for each seed's
    off: Callable[[ProviderConfig], str] = lambda config: ""  # why it cannot be asked as it is configured
    zero_may_lie: bool = False  # it reads pages for people, where a refusal may look like no results
    is_open: bool = False  # it answers machines by design: asked in addition to the engine that answers
    shares: str = ""  # another provider that asks the same hosts, whose memory it uses
    is_paid: bool = False  # its results need no second look, which would cost as well
    max_pages: Callable[[ProviderConfig], int] = lambda config: 1 << 30  # of results that one query may have

    def reads(self, kind: str) -> bool:
        """Whether it is asked for seeds of this kind."""
        return self.takes in (kind, "host") or (self.takes == "page" and kind == UNKNOWN)


def _unless_english(config: ProviderConfig) -> str:
    return "" if config.language.lower().startswith("en") else "english_only"


class Providers(dict[str, Provider]):
    """By name; every other name is that of an engine with a key."""

    def __missing__(self, name: str) -> Provider:
        return Provider(partial(ask_engine, name), "query", partial(why_off, name), is_paid=True,
                        max_pages=partial(max_pages, name))


PROVIDERS = Providers({
    "google": Provider(google, "query", zero_may_lie=True),
    "ddgs": Provider(ddgs, "query", zero_may_lie=True),
    "searxng": Provider(searxng, "query", lambda config: "" if config.searxng_url else "no_searxng_url"),
    "mediawiki": Provider(mediawiki, "query", is_open=True),
    "wikilinks": Provider(wikilinks, "query", is_open=True, shares="mediawiki"),
    "marginalia": Provider(marginalia, "query", _unless_english, is_open=True),
    "hackernews": Provider(hackernews, "query", _unless_english, is_open=True),
    "internetarchive": Provider(internetarchive, "query", is_open=True),
    "stackexchange": Provider(stackexchange, "query", _unless_english, is_open=True),
    "commoncrawl": Provider(commoncrawl, "host"),
    "feeds": Provider(listings, "feed"),
    "sitemaps": Provider(listings, "sitemap"),
    "seeds": Provider(seeds, "page"),
})
