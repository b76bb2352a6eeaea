"""What a page leads to: links, its feed, the page that it sends its readers on to, or nothing without scripts. Pure."""

import html
import re
from collections.abc import Iterable

from lxml import etree
from lxml import html as lxml_html

from miniature_memory.core.text import host_of
from miniature_memory.crawl.urls import joined
from miniature_memory.crawl.yields import Topic
from miniature_memory.responses.charset import decode_page
from miniature_memory.responses.media_type import media_type
from miniature_memory.responses.signals import Signals

SHELL_BYTES = 1 << 18  # a longer page is assumed to have text
SHELL_CHARS = 200  # of visible text; a page with less that runs scripts is a shell. Guess
LINKS_CHARS = 1 << 20  # of a page, searched for links
FEED_BYTES = 1 << 16  # of a page, searched for its feed: that stands in its head

_BLOCK = re.compile(rb"<(/?)(script|style|noscript|svg|template)\b([^<>]{0,300})>", re.IGNORECASE)
_TAG = re.compile(rb"<[^<>]*>")
_LINK = re.compile(rb"<link\s([^<>]*)>", re.IGNORECASE)
_OF_LINK = re.compile(r"""\b(rel|type|href)\s*=\s*("[^"]*"|'[^']*'|[^\s"'>]+)""", re.IGNORECASE)
_NO_NEWS = re.compile(r"comment|recentchanges", re.IGNORECASE)  # a wiki's every edit


def needs_js(body: bytes) -> bool:
    """Whether this page is a shell for scripts to fill."""
    return len(body) <= SHELL_BYTES and b"<script" in body.lower() and not has_text(body)


def has_text(body: bytes) -> bool:
    """Whether a page has more than hardly any visible text, or data for machines."""
    if len(body) > SHELL_BYTES:
        return True
    n_chars, at, hidden, data_bytes, is_data = 0, 0, b"", 0, False
    for match in _BLOCK.finditer(body):
        name = match[2].lower()
        if match[3].endswith(b"/"):
            continue  # closed, in XHTML and SVG
        if not match[1] and not hidden:
            n_chars += _visible_chars(body[at:match.start()])
            if n_chars >= SHELL_CHARS:
                return True
            hidden, at = name, match.end()
            is_data = name == b"script" and b"json" in match[3].lower()  # for machines; extract may read it
        elif match[1] and name == hidden:
            data_bytes += (match.start() - at) * is_data
            hidden, at = b"", match.end()
    if not hidden:
        n_chars += _visible_chars(body[at:])
    return n_chars >= SHELL_CHARS or data_bytes >= 2 * SHELL_CHARS


def _visible_chars(piece: bytes) -> int:
    """Letters and signs outside of tags; counting stops when they are enough for a page with text."""
    n = 0
    for start in range(0, len(piece), 2048):
        n += sum(map(len, _TAG.sub(b" ", piece[start:start + 2048]).split()))
        if n >= SHELL_CHARS:
            break
    return n


def links(signals: Signals, headers: Iterable[tuple[str, str]], body: bytes, url: str, topic: Topic) -> dict[str, int]:
    """The URLs of a page's links and frames, in order, without those that robots must not follow; with each the most
    that any of its links promises."""
    if signals.nofollow:
        return {}
    charset = media_type(value for name, value in headers if name.lower() == "content-type")[1]
    text, encoding = decode_page(body, charset)
    data = text[:LINKS_CHARS].encode("utf-8", "replace")
    try:
        root = lxml_html.document_fromstring(data, parser=lxml_html.HTMLParser(encoding="utf-8"))
    except (etree.ParserError, ValueError):
        return {}
    etree.strip_elements(root, "template", with_tail=False)  # no part of the document until a script takes it
    bases = (element.get("href", "") for element in root.iter("base"))
    base = joined(url, next(filter(None, bases), "")) or url
    about, found = topic.about(visible_text(root)), dict[str, int]()
    for element in root.iter("a", "area", "frame"):
        if "nofollow" not in element.get("rel", "").lower().split():
            target = joined(base, element.get("src" if element.tag == "frame" else "href", ""), encoding)
            promise = topic.promise(target, "".join(map(str, element.itertext())), about)
            found[target] = max(promise, found.get(target, 0))
    found.pop("", None)
    return found


def visible_text(root: etree._Element) -> str:
    found = root.xpath("//body//text()[not(parent::script or parent::style)]")
    return " ".join(map(str, found)) if isinstance(found, list) else ""


def feed_of(signals: Signals, body: bytes, url: str) -> str:
    """The first feed on its own host that a page announces (rssboard.org/rss-autodiscovery); '' if there is none."""
    if signals.nofollow or body.find(b"+xml", 0, FEED_BYTES) < 0:
        return ""
    for tag in _LINK.finditer(body[:FEED_BYTES]):
        attributes = _OF_LINK.findall(tag[1].decode("utf-8", "replace"))
        values = {name.lower(): value.strip("\"'") for name, value in attributes}
        if ("alternate" in values.get("rel", "").lower().split()
                and values.get("type", "").lower() in ("application/rss+xml", "application/atom+xml")):
            feed = joined(url, html.unescape(values.get("href", "")))
            if feed and host_of(feed) == host_of(url) and not _NO_NEWS.search(feed):
                return feed
    return ""


def refresh_target(signals: Signals, url: str) -> str:
    """The URL that a page sends its readers on to; '' if to none, or to itself in the same spelling."""
    target = joined(joined(url, signals.base) or url, signals.refresh) if signals.refresh else ""
    return "" if target == url else target
