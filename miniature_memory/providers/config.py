"""Settings of search."""

import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from miniature_memory.core.config import setting
from miniature_memory.crawl.config import ScrapeLimits, WebConfig
from miniature_memory.providers.engines import Key, engines_of

KEYED = "keyed"  # in search.providers: every engine that there is a key for, in their order
# In the order in which they are asked; provider_registry.py has a line for each
PROVIDER_NAMES = (KEYED, "google", "ddgs", "searxng",
                  "mediawiki", "wikilinks", "marginalia", "hackernews", "internetarchive", "stackexchange",
                  "commoncrawl", "feeds", "sitemaps", "seeds")


@dataclass(frozen=True)
class ProviderConfig:
    """What a provider needs of the table [search]."""

    searxng_url: str = setting("",
        "address of your own SearXNG, whose settings.yml must list json in search.formats; \"\": off")
    wikis: list[str] = setting(
        ["https://{language}.wikipedia.org/w/api.php", "https://{language}.wikisource.org/w/api.php"],
        "address of each wiki's api.php",
        heading="The wikis that mediawiki and wikilinks ask. They want a contact address: set web.contact.")
    safe_search: bool = setting(True, "ask search engines to omit adult results")
    language: str = setting("en", "language of the results, ISO 639-1 code")
    region: str = setting("us", "region that the results are meant for, ISO 3166-1 code")
    monthly_queries: int = setting(100,
        "maximum requests to all engines with a key together in a calendar month (UTC), over all topics; 0: none")
    engines: dict[str, Any] = setting({},
        "changes to engines with a key, and your own, one table [search.engines.NAME] each; see docs/engines.md")
    web: WebConfig = field(default_factory=WebConfig)
    keys: dict[str, Key] = field(default_factory=dict)  # no setting: engine_keys.py finds them


@dataclass(frozen=True)
class SearchConfig(ProviderConfig):
    """The table [search]: where URLs come from, and how often each provider is asked."""

    providers: list[str] = setting(list(PROVIDER_NAMES),
        "asked in this order",
        heading="A query goes to the first of these that answers: keyed (each engine that you have a key for, see "
                "docs/engines.md), google, ddgs and searxng; and unless enough URLs are due then, to each of the open "
                "sources, mediawiki to stackexchange. Then config/seeds.txt is read: commoncrawl finds archived pages "
                "of its hosts; feeds, sitemaps and seeds read its lines. Finally, feeds and sitemaps follow what the "
                "hosts of kept pages announce.")
    queries_per_run: int = setting(5,
        "requests to search engines in one run, continuing in config/queries.txt where the last run stopped; a query "
        "that goes to open sources only counts as one")
    pages_per_query: int = setting(5, "pages of results requested for one query, one each time its turn comes", least=1)
    requery_days: float = setting(7.0, "days between a query's last page of results and its first page again")
    pause_sec: float = setting(5.0, "seconds between two queries to one provider, varied from 0.75 to 1.5 times that")
    max_minutes: float = setting(1.0, "minutes for the whole stage")
    urls_per_seed: int = setting(1000, "maximum new URLs from one feed or sitemap in one run")
    blocklists: list[str] = setting([],
        "files of hosts never to visit: one domain per line, or in hosts format, such as UT1's")
    block_adult: bool = setting(True, "reject known adult hosts, and URLs that contain an adult word")
    scrape: ScrapeLimits = field(default_factory=ScrapeLimits)

    def __post_init__(self) -> None:
        others = [name for name in self.providers if name not in PROVIDER_NAMES]
        if self.engines or others:
            self._check_engines(others)
        for name in ("language", "region"):
            if not re.fullmatch("[A-Za-z]{2,3}(-[A-Za-z]{2,8})?", code := getattr(self, name)):
                raise ValueError(f"{name} = {code!r}: expected a code such as {'en' if name == 'language' else 'us'}")
        for key, url in [("searxng_url", self.searxng_url), *(("wikis", wiki) for wiki in self.wikis)]:
            if url and not re.fullmatch(r"https?://[^\s/?#]++\S*", url):
                raise ValueError(f"{key} = {url!r}: expected a web address")

    def _check_engines(self, names: list[str]) -> None:
        """names: of providers that must be engines with a key."""
        engines = engines_of(self.engines)
        if unknown := [name for name in names if name not in engines]:
            expected = ", ".join([*PROVIDER_NAMES, *engines])
            raise ValueError(f"providers: {unknown[0]!r} is unknown; expected some of {expected}")
        if taken := [name for name in engines if name in PROVIDER_NAMES]:
            raise ValueError(f"engines.{taken[0]}: that name is taken; expected another one")
        for name, engine in engines.items():
            parts = urlsplit(engine.url)
            if parts.scheme == "http" and not self.web.is_named(parts.hostname or "", parts.port or 80):
                raise ValueError(f"engines.{name}.url would send its key to {parts.netloc} in the clear; expected "
                                 "https, or that host in web.allow_private")
