"""Settings of search, scrape and the web."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from miniature_memory.crawl.guard import Guard
from miniature_memory.crawl.urls import canonical_url

# In the order in which they are asked; crawl/providers.py has a function for each.
PROVIDER_NAMES = ("google", "ddgs", "searxng", "mediawiki", "commoncrawl", "feeds", "sitemaps", "seeds")


@dataclass(frozen=True)
class WebConfig:
    """The table [web]; config/default.toml says what each key means, and its unit."""

    contact: str = ""  # mail or web address, sent with every request
    allow_private: list[str] = field(default_factory=list)  # "host:port" that may be at a private address
    proxy: str = ""  # the environment's proxies are never used
    connect_to: list[str] = field(default_factory=list)  # "host=address:port", after curl's --connect-to
    connect_timeout_sec: float = 5.0  # of each: resolving, connecting, the TLS handshake
    read_timeout_sec: float = 10.0  # between two bytes
    fetch_deadline_sec: float = 30.0  # trafilatura's, settings.cfg
    max_bytes: int = 5_000_000  # received, and unpacked
    max_redirects: int = 5  # RFC 9309 asks for five

    def __post_init__(self) -> None:
        if not (self.contact.isascii() and self.contact.isprintable()):
            raise ValueError(f"contact = {self.contact!r}: expected a mail or web address in ASCII")
        if self.proxy and not re.fullmatch(r"https?://[^\s/]+(:\d+)?/?", self.proxy):
            raise ValueError(f"proxy = {self.proxy!r}: expected such as http://proxy.lan:3128, or \"\"")
        for entry in self.allow_private:
            if not re.fullmatch(r"\S+:\d+", entry):
                raise ValueError(f"allow_private = {entry!r}: expected host:port, such as wiki.lan:80")
        for entry in self.connect_to:
            if not re.fullmatch(r"[^\s=]+=[^\s=:]+:\d+", entry):
                raise ValueError(f"connect_to = {entry!r}: expected host=address:port")

    def guard(self) -> Guard:
        stand_ins = {}
        for entry in self.connect_to:
            host, address, port = re.split("[=:]", entry)
            stand_ins[host.lower()] = (address, int(port))
        return Guard(stand_ins, frozenset(entry.lower() for entry in self.allow_private), self.connect_timeout_sec)


@dataclass(frozen=True)
class ProviderConfig:
    """What of the table [search] a provider has to know."""

    searxng_url: str = ""  # "": off
    wikis: list[str] = field(default_factory=lambda: [
        "https://{language}.wikipedia.org/w/api.php", "https://{language}.wikisource.org/w/api.php"])
    sitemaps_per_seed: int = 10
    safe_search: bool = True
    language: str = "en"
    region: str = "us"
    web: WebConfig = field(default_factory=WebConfig)


@dataclass(frozen=True)
class SearchConfig(ProviderConfig):
    """The table [search]; config/default.toml says what each key means, and its unit."""

    providers: list[str] = field(default_factory=lambda: list(PROVIDER_NAMES))
    queries_per_run: int = 5
    results_per_query: int = 10
    pages_per_query: int = 5
    requery_days: float = 7.0
    pause_sec: float = 5.0
    max_minutes: float = 1.0
    give_up_sec: float = 15.0
    provider_sec: float = 10.0
    enough_urls: int = 300
    enough_per_host: int = 50
    urls_per_seed: int = 1000
    seed_delay_sec: float = 1.0
    blocklists: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        if unknown := [name for name in self.providers if name not in PROVIDER_NAMES]:
            raise ValueError(f"providers: there is no {unknown[0]!r}. There are: {', '.join(PROVIDER_NAMES)}")
        for key, url in [("searxng_url", self.searxng_url), *(("wikis", wiki) for wiki in self.wikis)]:
            if url and not canonical_url(url.replace("{language}", "en")):
                raise ValueError(f"{key} = {url!r}: expected a web address")


@dataclass(frozen=True)
class BlocklistConfig:
    """What of the table [search] scrape has to know."""

    blocklists: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class ScrapeConfig:
    """The table [scrape]; config/default.toml says what each key means, and its unit."""

    max_pages: int = 300
    max_pages_per_host: int = 50
    max_minutes: float = 3.0
    delay_sec: float = 5.0  # trafilatura's, settings.cfg
    workers: int = 16
    revisit_days: float = 7.0
    retry_days: float = 1.0
    host_pause_sec: float = 3600.0
    respect_noai: bool = True
    follow_links: bool = False
    max_link_depth: int = 2
    max_links_per_host: int = 1000
    keep_pages: bool = True
    web: WebConfig = field(default_factory=WebConfig)
    search: BlocklistConfig = field(default_factory=BlocklistConfig)

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise ValueError(f"workers = {self.workers}: expected at least 1")
