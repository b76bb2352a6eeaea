"""Settings of search, scrape and the web."""

import re
from dataclasses import dataclass, field

from miniature_memory.core.config import setting

# In the order in which they are asked; provider_registry.py has a line for each
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
        "seconds for one fetch, redirects included", least=0.1)  # trafilatura's, settings.cfg
    max_bytes: int = setting(5_000_000, "bytes of one page, as received and as unpacked; a larger one is rejected",
                             least=1)

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
class ScrapeLimits:
    """What search needs of the table [scrape]: how many due URLs are enough for one run."""

    max_pages: int = setting(300, "URLs visited in one run; search stops when so many are due")
    max_pages_per_host: int = setting(50, "URLs of one host visited in one run, redirects to it included")


@dataclass(frozen=True)
class ProviderConfig:
    """What a provider needs of the table [search]."""

    searxng_url: str = setting("",
        "address of your own SearXNG, with json in search.formats of its settings.yml; \"\": searxng is off")
    wikis: list[str] = setting(
        ["https://{language}.wikipedia.org/w/api.php", "https://{language}.wikisource.org/w/api.php"],
        "address of each wiki's api.php",
        heading="The wikis that mediawiki searches. It is off until web.contact is set.")
    safe_search: bool = setting(True, "ask search engines to omit adult results")
    language: str = setting("en", "of the results, ISO 639-1 code")
    region: str = setting("us", "that the results are meant for, ISO 3166-1 code")
    web: WebConfig = field(default_factory=WebConfig)


@dataclass(frozen=True)
class SearchConfig(ProviderConfig):
    """The table [search]: where URLs come from, and how often each provider is asked."""

    providers: list[str] = setting(list(PROVIDER_NAMES),
        "asked in this order",
        heading="A query goes to the first of google, ddgs, searxng and mediawiki that answers. Then config/seeds.txt "
                "is read: commoncrawl finds archived pages of its hosts; feeds, sitemaps and seeds read its lines.")
    queries_per_run: int = setting(5,
        "pages of results requested in one run, continuing in config/queries.txt where the last run stopped; "
        "requests that are refused come on top")
    pages_per_query: int = setting(5, "pages of results requested for one query, one each time its turn comes", least=1)
    requery_days: float = setting(7.0, "days between a query's last page of results and its first page again")
    pause_sec: float = setting(5.0, "seconds between two queries to one provider, varied from 0.75 to 1.5 times that")
    max_minutes: float = setting(1.0, "minutes for the whole stage")
    urls_per_seed: int = setting(1000, "new URLs taken from one feed or sitemap in one run, at most")
    blocklists: list[str] = setting([],
        "files of hosts that are never visited: one domain per line, or in hosts format, such as UT1's")
    block_adult: bool = setting(True, "reject known adult hosts, and URLs that contain an adult word")
    scrape: ScrapeLimits = field(default_factory=ScrapeLimits)

    def __post_init__(self) -> None:
        if unknown := [name for name in self.providers if name not in PROVIDER_NAMES]:
            raise ValueError(f"providers: {unknown[0]!r} is unknown; expected some of {', '.join(PROVIDER_NAMES)}")
        for name in ("language", "region"):
            if not re.fullmatch("[A-Za-z]{2,3}(-[A-Za-z]{2,8})?", code := getattr(self, name)):
                raise ValueError(f"{name} = {code!r}: expected a code such as {'en' if name == 'language' else 'us'}")
        for key, url in [("searxng_url", self.searxng_url), *(("wikis", wiki) for wiki in self.wikis)]:
            if url and not re.fullmatch(r"https?://[^\s/?#]+\S*", url):
                raise ValueError(f"{key} = {url!r}: expected a web address")


@dataclass(frozen=True)
class BlocklistConfig:
    """What scrape needs of the table [search]."""

    blocklists: list[str] = field(default_factory=list)
    block_adult: bool = True
    language: str = "en"


@dataclass(frozen=True)
class ScrapeConfig(ScrapeLimits):
    """The table [scrape]: how much is fetched, and how fast."""

    max_minutes: float = setting(3.0, "minutes for the whole stage; the rest stays due")
    delay_sec: float = setting(5.0, "seconds from the end of an answer to the next request to that host; its "
        "Crawl-delay if that is longer")  # trafilatura's, settings.cfg
    workers: int = setting(16, "threads, each with a host of its own", most=1000)
    revisit_days: float = setting(7.0,
        "days until a page is visited again; halved if it has changed by then, else doubled")
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
