"""Signals: what a page asks of robots: not to index it, not to train on it, which links to follow. Pure, no network.

Read from the headers and the beginning of the page by a few linear patterns, before anything is parsed.
"""

import re
from collections.abc import Iterable

from lxml import etree
from lxml import html as lxml_html

from miniature_memory.crawl.urls import joined

HEAD_BYTES = 1 << 16  # of a page, searched for <meta> elements
SHELL_BYTES = 1 << 18  # a longer page is assumed to have text
SHELL_CHARS = 200  # of visible text; a page with less that runs scripts is a shell. Guess
LINKS_BYTES = 1 << 20  # of a page, searched for links

VALUED = ("unavailable_after", "max-snippet", "max-image-preview", "max-video-preview")  # rules, despite their colon
_AGENT = re.compile(r"[a-z][a-z0-9_-]*")
_META = re.compile(rb"<meta\b([^<>]{1,500})>", re.IGNORECASE)
_ATTRIBUTE = re.compile(rb"""([a-z-]{1,30})\s{0,9}=\s{0,9}("[^"]*"|'[^']*'|[^\s"'>]+)""", re.IGNORECASE)


def rejection(headers: Iterable[tuple[str, str]], body: bytes, agent: str) -> str:
    """Why this page must not be used: noindex, noai, or ''.

    X-Robots-Tag and <meta name=robots> (developers.google.com/search/docs/crawling-indexing/robots-meta-tag), noai in
    the same places (DeviantArt, 2022), TDM-Reservation (W3C community group, tdmrep), Content-Usage and Content-Signal
    (IETF aipref draft; contentsignals.org). agent: our own name, by which a site may address us.
    """
    words = _header_words(headers, agent)
    for name, value in headers:
        unwanted = value.strip() == "1" if name.lower() == "tdm-reservation" else (
            name.lower() in ("content-usage", "content-signal") and forbids_training(value))
        words |= {"noai"} if unwanted else set()
    for match in _META.finditer(body[:HEAD_BYTES]):
        pairs = {key.lower(): value.strip(b"\"'").decode("latin-1") for key, value in _ATTRIBUTE.findall(match[1])}
        meta, content = pairs.get(b"name", "").lower(), pairs.get(b"content", "")
        if meta in ("robots", agent):
            words |= set(re.split(r"[\s,]+", content.lower()))
        elif meta == "tdm-reservation" and content.strip() == "1":
            words.add("noai")
    if words & {"noai", "notrain", "noml"}:
        return "noai"
    return "noindex" if words & {"noindex", "none"} else ""


def _header_words(headers: Iterable[tuple[str, str]], agent: str) -> set[str]:
    """The rules of X-Robots-Tag for every robot or for us; it looks like "noindex, otherbot: nofollow"."""
    words: set[str] = set()
    for value in (value.lower() for name, value in headers if name.lower() == "x-robots-tag"):
        ours = True
        for part in value.split(","):
            name, colon, rest = part.partition(":")
            if colon and _AGENT.fullmatch(name.strip()) and name.strip() not in VALUED:
                ours, part = name.strip() == agent, rest
            words |= {part.strip()} if ours else set()
    return words


def forbids_training(value: str) -> bool:
    """Whether a Content-Signal or Content-Usage forbids the training of models."""
    return bool(re.search(r"\b(ai-train|train-ai|train-genai)\s*=\s*(no|n)\b", value.lower()))


def robots_forbid_training(text: str, agent: str) -> bool:
    """Whether a Content-Signal or Content-Usage line of a robots.txt forbids training to us.

    The group that names us counts, else that for every robot; so does a line before any group.
    """
    forbidden: dict[str, bool] = {}  # of the groups for us and for everybody, if there are such
    names, in_rules = {"*"}, True
    for line in text.splitlines():
        key, _, value = line.partition("#")[0].partition(":")
        key = key.strip().lower()
        if key == "user-agent":
            if in_rules:
                names, in_rules = set(), False
            if (name := value.strip().lower()) in (agent, "*"):
                names.add(name)
                forbidden.setdefault(name, False)
        elif key:
            in_rules = True
            if key in ("content-signal", "content-usage") and forbids_training(value):
                forbidden |= dict.fromkeys(names, True)
    return forbidden.get(agent, forbidden.get("*", False))


_BLOCK = re.compile(rb"<(/?)(script|style|noscript|svg|template)\b([^<>]{0,300})>", re.IGNORECASE)
_TAG = re.compile(rb"<[^<>]*>")


def needs_js(body: bytes) -> bool:
    """Whether this page is a shell for scripts to fill: hardly any visible text, and no data for machines."""
    if len(body) > SHELL_BYTES or b"<script" not in body.lower():
        return False
    n_chars, at, hidden, data_bytes, is_data = 0, 0, b"", 0, False
    for match in _BLOCK.finditer(body):
        name = match[2].lower()
        if not match[1] and not hidden:
            n_chars += _visible_chars(body[at:match.start()])
            if n_chars >= SHELL_CHARS:
                return False
            hidden, at = name, match.end()
            is_data = name == b"script" and b"json" in match[3].lower()  # for machines; extract may read it
        elif match[1] and name == hidden:
            data_bytes += (match.start() - at) * is_data
            hidden, at = b"", match.end()
    if not hidden:
        n_chars += _visible_chars(body[at:])
    return n_chars < SHELL_CHARS and data_bytes < 2 * SHELL_CHARS


def _visible_chars(piece: bytes) -> int:
    """Letters and signs outside of tags; counting stops when they are enough for a page with text."""
    n = 0
    for start in range(0, len(piece), 2048):
        n += sum(map(len, _TAG.sub(b" ", piece[start:start + 2048]).split()))
        if n >= SHELL_CHARS:
            break
    return n


def links(headers: Iterable[tuple[str, str]], body: bytes, url: str, agent: str) -> list[str]:
    """The URLs of a page's links, in order, each once, without those that robots must not follow."""
    if _header_words(headers, agent) & {"nofollow", "none"}:
        return []
    try:
        root = lxml_html.document_fromstring(body[:LINKS_BYTES])
    except (etree.ParserError, ValueError):
        return []
    base = url
    found: dict[str, None] = {}
    for element in root.iter("base", "meta", "a"):
        if element.tag == "base" and element.get("href"):
            base = joined(url, element.get("href", ""))
        elif element.tag == "meta":
            words = element.get("content", "").lower()
            if element.get("name", "").lower() in ("robots", agent) and re.search(r"\b(nofollow|none)\b", words):
                return []
        elif "nofollow" not in element.get("rel", "").lower().split():
            found[joined(base, element.get("href", ""))] = None
    found.pop("", None)
    return list(found)
