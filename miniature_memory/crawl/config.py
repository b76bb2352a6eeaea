"""Settings of scrape and the web."""

import re
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from miniature_memory.core.config import setting


def _is_proxy(address: str) -> bool:
    try:
        parts = urlsplit(address)
        return bool(re.fullmatch(r"https?://\S+?/?", address, re.ASCII) and parts.hostname and parts.path in ("", "/")
                    and parts.port != 0 and all(parts.hostname.strip(".").split(".")))
    except ValueError:  # a port or an IPv6 address that is none
        return False


@dataclass(frozen=True)
class WebConfig:
    """The table [web]: how requests are sent."""

    contact: str = setting("", "e-mail or web address, sent with every request so that site owners can reach you")
    allow_private: list[str] = setting([],
        "hosts that may have a private address, as \"host:port\", such as [\"wiki.lan:80\"]")
    proxy: str = setting("",
        "address of a proxy, such as \"http://proxy.lan:3128\"; names are still resolved and checked here first")
    connect_to: list[str] = setting([],
        "\"host=address:port\": connect to that address instead; for the demonstration and tests")
    fetch_deadline_sec: float = setting(30.0,
        "seconds for one fetch, redirects included", least=0.1)  # trafilatura's, settings.cfg
    max_bytes: int = setting(5_000_000,
        "maximum bytes per page, as received and as unpacked; a larger one is rejected", least=1)

    def __post_init__(self) -> None:
        if not (self.contact.isascii() and self.contact.isprintable()):
            raise ValueError(f"contact = {self.contact!r}: expected an e-mail or web address in ASCII")
        if self.proxy and not _is_proxy(self.proxy):
            raise ValueError(f"proxy = {self.proxy!r}: expected an address such as http://proxy.lan:3128, or \"\"")
        for entry in self.allow_private:
            if not re.fullmatch(r"\S+:\d+", entry):
                raise ValueError(f"allow_private = {entry!r}: expected host:port, such as wiki.lan:80")
        for entry in self.connect_to:
            if not re.fullmatch(r"[^\s=]+=[^\s=:]+:\d+", entry):
                raise ValueError(f"connect_to = {entry!r}: expected host=address:port")

    def is_named(self, host: str, port: int) -> bool:
        """Whether the user has named this host as their own."""
        return f"{host}:{port}" in self.allow_private or any(one.startswith(f"{host}=") for one in self.connect_to)


@dataclass(frozen=True)
class ScrapeLimits:
    """What search needs of the table [scrape]: how many due URLs are enough for one run."""

    max_pages: int = setting(300, "URLs visited in one run; search stops when this many are due")
    max_pages_per_host: int = setting(50, "URLs of one host visited in one run, redirects to it included")


@dataclass(frozen=True)
class BlocklistConfig:
    """What scrape needs of the table [search]."""

    blocklists: list[str] = field(default_factory=list)
    block_adult: bool = True
    language: str = "en"


@dataclass(frozen=True)
class ScrapeConfig(ScrapeLimits):
    """The table [scrape]: how much is fetched, and how fast."""

    max_minutes: float = setting(3.0, "minutes for the whole stage; the rest stays due", most=525_600)
    delay_sec: float = setting(5.0, "seconds from the end of an answer to the next request to that host; its "
        "Crawl-delay if longer")  # trafilatura's, settings.cfg
    workers: int = setting(16, "threads, each for one host at a time", most=1000)
    revisit_days: float = setting(7.0,
        "days until a page is visited again; halved if it has changed by then, else doubled")
    respect_noai: bool = setting(True, "reject pages marked noindex or noai, or reserved from training in another way")
    follow_links: bool = setting(False, "add a page's links to its own host")
    max_link_depth: int = setting(2, "maximum links between a URL that search found and one that is added")
    max_links_per_host: int = setting(1000, "maximum URLs of one host ever added by following links")
    render: str = setting("off", "\"auto\": pages that say nothing without scripts are rendered in a browser without a "
        "network, if Chromium is installed")
    keep_pages: bool = setting(True, "false: the next run deletes WARC files whose pages are all extracted")
    web: WebConfig = field(default_factory=WebConfig)
    search: BlocklistConfig = field(default_factory=BlocklistConfig)

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise ValueError(f"workers = {self.workers}: expected at least 1")
        if self.render not in ("off", "auto"):
            raise ValueError(f'render = {self.render!r}: expected "off" or "auto"')
