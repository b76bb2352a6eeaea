"""Providers that take a seed: pages, feeds, sitemaps."""

import logging
from typing import Any, NamedTuple

from lxml import etree

from miniature_memory.crawl.guard import FetchError
from miniature_memory.crawl.outcomes import reason_in_words
from miniature_memory.crawl.provider import Ask, Found
from miniature_memory.crawl.urls import joined
from miniature_memory.crawl.web import unpack

logger = logging.getLogger(__name__)

SITEMAPS_PER_SEED = 10  # read of an index in one run


def seeds(ask: Ask) -> list[Found]:
    return [Found(ask.what)]


def feeds(ask: Ask) -> list[Found]:
    return [Found(url) for url in feed_links(ask.fetch(ask.what), ask.what)]


def sitemaps(ask: Ask) -> list[Found]:
    """The pages of a sitemap, or of those that an index names: the protocol knows no index of indexes.

    Of a long index, each run reads the sitemap that changed last, and some of the others in turn.
    """
    most_bytes = ask.config.web.max_bytes
    sitemap = read_sitemap(ask.fetch(ask.what), ask.what, most_bytes)
    urls, parts, most = sitemap.pages, sitemap.sitemaps, SITEMAPS_PER_SEED
    if len(parts) > most and not ask.web.is_stand_in(ask.what):
        others = parts[1:] * 2
        start = ask.page * (most - 1) % (len(parts) - 1)
        parts = parts[:1] + others[start:start + most - 1]
    for url in parts:
        try:
            urls += read_sitemap(ask.fetch(url), url, most_bytes).pages
        except FetchError as error:
            logger.info("the sitemap %s could not be read: %s", url, reason_in_words(error.reason))
            if error.reason == "no_time_left":
                break
    return [Found(url) for url in urls]


def feed_links(data: bytes, base: str) -> list[str]:
    """The pages that an RSS (0.9 to 2.0) or Atom feed names, in its order."""
    links = []
    for item in _elements(_parse_xml(data), "item", "entry"):
        link = ""
        for child in (child for child in item if _local_name(child) in ("link", "guid")):
            if child.get("href") and child.get("rel", "alternate") == "alternate":  # Atom
                link = child.get("href", "")
                break
            if _local_name(child) == "link" or child.get("isPermaLink", "true") == "true":  # RSS
                link = link or (child.text or "").strip()
        if link:
            links.append(joined(base, link))
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
            entries.append((texts.get("lastmod", ""), joined(base, texts["loc"])))
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
