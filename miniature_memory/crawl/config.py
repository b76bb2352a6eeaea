"""Settings of search, scrape and the web."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from miniature_memory.core.config import setting

# In the order in which they are asked; crawl/providers.py has a function for each.
PROVIDER_NAMES = ("google", "ddgs", "searxng", "mediawiki", "commoncrawl", "feeds", "sitemaps", "seeds")


@dataclass(frozen=True)
class WebConfig:
    """The table [web]: how requests are sent."""

    contact: str = setting("", "e-mail or web address, sent with every request so that a site's owner can reach you")
    allow_private: list[str] = setting([],
        "\"host:port\" that may be at a private address, such as [\"wiki.lan:80\"]")
    proxy: str = setting("", "such as \"http://proxy.lan:3128\"; names are still resolved and checked here first")
    connect_to: list[str] = setting([],
        "\"host=address:port\", the address to connect to instead; for the demonstration and tests")
    fetch_deadline_sec: float = setting(30.0,
        "seconds that one fetch may take, redirects included")  # trafilatura's, settings.cfg
    max_bytes: int = setting(5_000_000, "of one page, as received and as unpacked")

    def __post_init__(self) -> None:
        if not (self.contact.isascii() and self.contact.isprintable()):
            raise ValueError(f"contact = {self.contact!r}: expected an e-mail or web address in ASCII")
        if self.proxy and not re.fullmatch(r"https?://[^\s/]+(:\d+)?/?", self.proxy):
            raise ValueError(f"proxy = {self.proxy!r}: expected an address such as http://proxy.lan:3128, or \"\"")
        for entry in self.allow_private:
            if not re.fullmatch(r"\S+:\d+", entry):
                raise ValueError(f"allow_private = {entry!r}: expected host:port, such as wiki.lan:80")
        for entry in self.connect_to:
            if not re.fullmatch(r"[^\s=]+=[^\s=:]+:\d+", entry):
                raise ValueError(f"connect_to = {entry!r}: expected host=address:port")


@dataclass(frozen=True)
class ProviderConfig:
    """What of the table [search] a provider has to know."""

    searxng_url: str = setting("", "your own SearXNG, with json among its search.formats; \"\" is off")
    wikis: list[str] = setting([ "https://{language}.wikipedia.org/w/api.php", "https://{language}.wikisource.org/w/api.php"],
        "api.php of each",
        heading="The wikis that the provider mediawiki searches, by their Action API; it is off until web.contact is "
                "set.")
    sitemaps_per_seed: int = setting(10, "most sitemaps read of an index, those changed last first")
    safe_search: bool = setting(True, "ask the engines to leave out adult results")
    language: str = setting("en", "of results, ISO 639-1")
    region: str = setting("us", "that results are meant for, ISO 3166-1")
    web: WebConfig = field(default_factory=WebConfig)


@dataclass(frozen=True)
class SearchConfig(ProviderConfig):
    """The table [search]; config/default.toml says what each key means, and its unit."""

    providers: list[str] = setting(list(PROVIDER_NAMES),
        "in their order",
        heading="A query goes to the first provider, from google to mediawiki, that answers. Then the seed list is "
                "read: Common Crawl's copies of its hosts' pages, its feeds, its sitemaps, its single pages.")
    queries_per_run: int = setting(5,
        "pages of results asked for, down config/queries.txt from where the last run stopped; what it takes to learn "
        "that a provider refuses comes on top")
    results_per_query: int = setting(10, "on one page of results")
    pages_per_query: int = setting(5, "of results, one each time that the query's turn comes")
    requery_days: float = setting(7.0, "after its last page a query rests so long, then begins again at the first")
    pause_sec: float = setting(5.0, "between two queries to one provider, give or take: 0.75 to 1.5 times that")
    max_minutes: float = setting(1.0, "of the whole stage")
    give_up_sec: float = setting(15.0, "when nothing at all has answered by then, the rest is not tried")
    provider_sec: float = setting(10.0, "for one answer of a search engine")
    enough_urls: int = setting(300, "so many URLs due for scrape, and search stops early")
    enough_per_host: int = setting(50, "most URLs of one host that count for that")
    urls_per_seed: int = setting(1000, "most new URLs taken from one feed or sitemap in one run")
    seed_delay_sec: float = setting(1.0,
        "between two requests for seeds to one host; its Crawl-delay if that is longer")
    blocklists: list[str] = setting([], "files of hosts never to ask, a domain a line or in hosts form, such as UT1's")

    def __post_init__(self) -> None:
        if unknown := [name for name in self.providers if name not in PROVIDER_NAMES]:
            raise ValueError(f"providers: there is no {unknown[0]!r}. There are: {', '.join(PROVIDER_NAMES)}")
        for key, url in [("searxng_url", self.searxng_url), *(("wikis", wiki) for wiki in self.wikis)]:
            if url and not re.fullmatch(r"https?://[^\s/?#]+\S*", url):
                raise ValueError(f"{key} = {url!r}: expected a web address")


@dataclass(frozen=True)
class BlocklistConfig:
    """What scrape needs of the table [search]."""

    blocklists: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class ScrapeConfig:
    """The table [scrape]: how much is fetched, and how fast."""

    max_pages: int = setting(300, "URLs visited in one run")
    max_pages_per_host: int = setting(50, "of these, at one host, redirects to it included")
    max_minutes: float = setting(3.0, "of the whole stage; the rest stays due")
    delay_sec: float = setting(5.0, "seconds from the end of an answer to the next request to that host; its "
        "Crawl-delay if that is longer")  # trafilatura's, settings.cfg
    workers: int = setting(16, "threads, each with a host of its own")
    revisit_days: float = setting(7.0, "until a page is visited again; halved if it has changed by then, else doubled")
    respect_noai: bool = setting(True, "reject pages marked noindex or noai, or reserved from training in another way")
    follow_links: bool = setting(False, "add a page's links to its own host")
    max_link_depth: int = setting(2, "links between a URL that search found and one that is added")
    max_links_per_host: int = setting(1000, "URLs of one host that are added by following links, ever")
    keep_pages: bool = setting(True, "false: the next run removes WARC files that have been extracted completely")
    web: WebConfig = field(default_factory=WebConfig)
    search: BlocklistConfig = field(default_factory=BlocklistConfig)

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise ValueError(f"workers = {self.workers}: expected at least 1")
