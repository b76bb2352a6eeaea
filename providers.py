"""Providers: where URLs come from: search engines, feeds, sitemaps.

A search engine is one function (query, n, config) -> URLs that raises ProviderError when it has none to give, and a
name in ENGINES; that is all there is to adding one.
"""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import urlencode, urljoin, urlsplit

import requests
from lxml import etree

from guard import FetchError
from urls import canonical_url
from web import Web, WebConfig, unpack

DDGS_BACKENDS = "duckduckgo, brave, mojeek, wikipedia"  # of ddgs 9.16; its google and bing were switched off
DDGS_TIMEOUT_SEC = 3  # of each backend; its threads outlive our patience and hold up the end of the process
# How long a provider that refused is left alone: SearXNG's suspended_times (settings.yml)
BLOCK_SEC = {"too_many_requests": 3600.0, "denied": 86400.0, "captcha": 86400.0}


@dataclass(frozen=True)
class EngineConfig:
    """What of the table [search] a search engine has to know."""

    searxng_url: str = ""  # "": off
    safe_search: bool = True
    language: str = "en"
    region: str = "us"
    web: WebConfig = field(default_factory=WebConfig)


class ProviderError(Exception):
    """A provider gave no result; `reason` is a fact, and one of BLOCK_SEC if it refused to."""

    def __init__(self, reason: str, retry_after_sec: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_after_sec = retry_after_sec


# --- search engines ------------------------------------------------------------------------------
# The libraries are imported where they are used: together they cost 40 MB and a second.


def google(query: str, n: int, config: EngineConfig) -> list[str]:
    import googlesearch

    found: list[str] = []
    try:
        for url in googlesearch.search(query, num_results=n, lang=config.language, region=config.region, timeout=5,
                                       safe="active" if config.safe_search else "off", sleep_interval=2,
                                       proxy=config.web.proxy or None):
            found.append(url)
    except requests.HTTPError as error:
        if not found:
            captcha = "/sorry/" in error.response.url
            raise ProviderError("captcha" if captcha else _http_reason(error.response.status_code)) from error
    except requests.RequestException as error:
        if not found:
            raise ProviderError("unreachable") from error
    return [url for url in found if url]


def ddgs(query: str, n: int, config: EngineConfig) -> list[str]:
    from ddgs import DDGS
    from ddgs.exceptions import DDGSException

    logging.getLogger("ddgs").setLevel(logging.WARNING)  # it reports each engine's failure
    try:
        rows = DDGS(proxy=config.web.proxy or None, timeout=DDGS_TIMEOUT_SEC).text(
            query, region=f"{config.region}-{config.language}", safesearch="on" if config.safe_search else "off",
            max_results=n, backend=DDGS_BACKENDS)
    except DDGSException as error:  # the one type it raises, whatever happened
        text = str(error).lower()
        if "no results" in text:
            return []
        if "ratelimit" in text or " 429" in text or " 202" in text:
            raise ProviderError("too_many_requests") from error
        raise ProviderError("denied" if " 403" in text else "unreachable") from error
    return [str(row.get("href", "")) for row in rows]


def searxng(query: str, n: int, config: EngineConfig) -> list[str]:
    """SearXNG's JSON API. The instance is the user's own, so that it may be at a private address."""
    base = canonical_url(config.searxng_url)
    parts = urlsplit(base)
    own = f"{parts.hostname}:{parts.port or {'http': 80, 'https': 443}[parts.scheme]}"
    web = Web(dataclasses.replace(config.web, allow_private=[*config.web.allow_private, own]))
    url = base.partition("?")[0].rstrip("/").removesuffix("/search") + "/search?" + urlencode({
        "q": query, "format": "json", "language": config.language, "safesearch": 2 if config.safe_search else 0})
    try:
        answer = json.loads(web.fetch(url, accept=("application/json",)).body)
        found = [str(result["url"]) for result in answer["results"]]
    except FetchError as error:
        http = error.reason.startswith("http_")
        reason = _http_reason(int(error.reason[5:])) if http else error.reason
        raise ProviderError(reason, error.retry_after_sec) from error
    except (ValueError, KeyError, TypeError) as error:
        raise ProviderError("bad_answer") from error
    if not found and answer.get("unresponsive_engines"):
        raise ProviderError("engines_unresponsive")
    return found[:n]


def _http_reason(status: int) -> str:
    return {429: "too_many_requests", 503: "too_many_requests", 403: "denied"}.get(status, f"http_{status}")


ENGINES: dict[str, Callable[[str, int, EngineConfig], list[str]]] = {
    "google": google, "ddgs": ddgs, "searxng": searxng}


# --- feeds and sitemaps --------------------------------------------------------------------------


def feed_links(data: bytes, base: str) -> list[str]:
    """The pages that an RSS (0.9 to 2.0) or Atom feed names, in its order."""
    links = []
    for item in _elements(_parse_xml(data), "item", "entry"):
        link = ""
        for child in _elements(item, "link", "guid"):
            if child.get("href") and child.get("rel", "alternate") == "alternate":  # Atom
                link = child.get("href", "")
                break
            if _local_name(child) == "link" or child.get("isPermaLink", "true") == "true":  # RSS
                link = link or (child.text or "").strip()
        if link:
            links.append(urljoin(base, link))
    return links


class Sitemap(NamedTuple):
    pages: list[str]
    sitemaps: list[str]  # of an index; those changed last first


def read_sitemap(data: bytes, base: str, max_bytes: int) -> Sitemap:
    """A sitemap or an index of sitemaps, as XML or plain text, gzipped or not."""
    if data.startswith(b"\x1f\x8b"):
        data = unpack(data, "gzip", max_bytes, truncate=True)
    root = _parse_xml(data)
    if root is None:
        lines = data.decode("utf-8", "replace").split()
        return Sitemap([line for line in lines if line.startswith("http")], [])
    entries = []
    for entry in _elements(root, "url", "sitemap"):
        texts = {_local_name(child): (child.text or "").strip() for child in entry}
        if texts.get("loc"):
            entries.append((texts.get("lastmod", ""), urljoin(base, texts["loc"])))
    if _local_name(root) == "sitemapindex":
        return Sitemap([], [url for _, url in sorted(entries, key=lambda entry: entry[0], reverse=True)])
    return Sitemap([url for _, url in entries], [])


def _parse_xml(data: bytes) -> Any:
    """The root element, or None. No entity is expanded and nothing is loaded; the rest of what is broken is read."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, recover=True,
                             remove_comments=True, remove_pis=True)
    try:
        return etree.fromstring(data.lstrip(), parser)
    except (etree.XMLSyntaxError, ValueError):
        return None


def _elements(root: Any, *names: str) -> list[Any]:
    return [] if root is None else [element for element in root.iter() if _local_name(element) in names]


def _local_name(element: Any) -> str:
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""
