"""Providers: where URLs come from: search engines, wikis, Common Crawl's index, feeds, sitemaps, the seed list.

A provider is one function: an Ask in, a list of Found out; it raises ProviderError (or FetchError) when it has none to
give. With a line in PROVIDERS, at the end, that says what it is asked with, that is all there is to adding one.

What libraries send goes through web.py too, so that addresses, deadlines and caps hold, and a refusal is seen as it
came. Nothing imitates a browser, except that googlesearch-python sends the user agent that it sends.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from miniature_memory.crawl.config import ProviderConfig
from miniature_memory.crawl.engines import commoncrawl, ddgs, google, mediawiki, searxng
from miniature_memory.crawl.listings import feeds, seeds, sitemaps
from miniature_memory.crawl.provider import Ask, Found

# --- all of them ---------------------------------------------------------------------------------


class Provider(NamedTuple):
    ask: Callable[[Ask], list[Found]]
    takes: str  # what it is asked with: "query", a seed's kind ("page", "feed", "sitemap"), or "host" for each seed's
    off: Callable[[ProviderConfig], str] = lambda config: ""  # why it cannot be asked as it is configured
    zero_may_lie: bool = False  # whether it reads pages for people, on which a wall looks like no result


PROVIDERS = {
    "google": Provider(google, "query", zero_may_lie=True),
    "ddgs": Provider(ddgs, "query", zero_may_lie=True),
    "searxng": Provider(searxng, "query", lambda config: "" if config.searxng_url else
                        "off until search.searxng_url names one"),
    "mediawiki": Provider(mediawiki, "query", lambda config: "" if config.web.contact else
                          "off until web.contact names a mail or web address of yours"),
    "commoncrawl": Provider(commoncrawl, "host"),
    "feeds": Provider(feeds, "feed"),
    "sitemaps": Provider(sitemaps, "sitemap"),
    "seeds": Provider(seeds, "page"),
}
