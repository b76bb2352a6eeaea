"""Signals: what a page asks of robots: not to index it, not to train on it, not to follow its links, to go elsewhere.

Read where a browser that runs scripts has them in its document: at any depth, entities decoded; not in comments,
scripts, styles, text fields, titles, templates or <noscript>. Pure and linear in the length of the page: most pages
are settled by a search for the words alone.
"""

import html
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from miniature_memory.responses.charset import decode_html
from miniature_memory.responses.media_type import media_type

NAME = "miniature-memory"  # how a site may address us
MAX_REFRESH_SEC = 30  # a page that stays longer is one to read. Guess
MOST_METAS, META_BYTES = 500, 2000  # looked at for words; a page with more of them, or longer, is read as a whole
REFRESH_CHARS = 4000  # more than any URL that is fetched

VALUED = ("unavailable_after", "max-snippet", "max-image-preview", "max-video-preview")  # rules, despite their colon
_NO_INDEX, _NO_TRAINING, _NO_LINKS = {"noindex", "none"}, {"noai", "notrain", "noml"}, {"nofollow", "none"}
_AGENT = re.compile(r"[a-z][a-z0-9_-]*(/[\w.]*)?")
_OURS = re.compile(rf"(^|[\s,;(\"'*]){NAME}(?![\w-]|\.[a-z])", re.IGNORECASE)
_BETWEEN = re.compile(r"[\s,;/]+")  # "/": content=noindex/>


class Signals(NamedTuple):
    words: set[str]  # of X-Robots-Tag and <meta name=robots>, in lower case
    refresh: str  # the URL of a refresh header or <meta>, as it is written; '' if there is none
    base: str  # of the page's <base>, if there is a refresh

    @property
    def rejection(self) -> str:
        """Why this page must not be used: noindex, noai, or ''."""
        return "noai" if self.words & _NO_TRAINING else "noindex" if self.words & _NO_INDEX else ""

    @property
    def nofollow(self) -> bool:
        return bool(self.words & _NO_LINKS)


def read_signals(headers: Iterable[tuple[str, str]], body: bytes) -> Signals:
    """What a page and its HTTP headers say.

    X-Robots-Tag and <meta name=robots> (developers.google.com/search/docs/crawling-indexing/robots-meta-tag), noai in
    the same places (DeviantArt, 2022), TDM-Reservation (W3C community group, tdmrep), Content-Usage and Content-Signal
    (IETF aipref draft; contentsignals.org), Refresh (HTML standard, shared declarative refresh steps).
    """
    pairs = [(name.lower(), value) for name, value in headers]
    words, refresh, base = _header_words(value for name, value in pairs if name == "x-robots-tag"), "", ""
    for name, value in pairs:
        reserved = value.strip() == "1" if name == "tdm-reservation" else (
            name in ("content-usage", "content-signal") and forbids_training(value))
        words |= {"noai"} if reserved else set()
        refresh = refresh or (_refresh_url(value) if name == "refresh" else "")
    if _may_say_something(body):
        essence, charset = media_type(value for name, value in pairs if name == "content-type")
        for tag, attributes in _elements(decode_html(body, charset), is_xml=essence.endswith(("/xml", "+xml"))):
            name, content = attributes.get("name", "").strip().lower(), attributes.get("content", "")
            if tag == "base":
                base = base or attributes.get("href", "")
            elif name == "robots" or names_us(name):
                words |= set(_BETWEEN.split(content.lower()))
            elif name == "tdm-reservation" and content.strip() == "1":
                words.add("noai")
            elif attributes.get("http-equiv", "").strip().lower() == "refresh":
                refresh = refresh or _refresh_url(content)
    return Signals(words, refresh, base)


def names_us(text: str) -> bool:
    """Whether a site means us by this name of a robot: our own as a whole word, perhaps as a log has it."""
    return _OURS.search(text) is not None


def forbids_training(value: str) -> bool:
    """Whether a Content-Signal or Content-Usage forbids the training of models."""
    return bool(re.search(r"\b(ai-train|train-ai|train-genai)\s*=\s*(no|n)\b", value.lower()))


def _header_words(values: Iterable[str]) -> set[str]:
    """The rules of X-Robots-Tag for every robot or for us; it looks like "noindex, otherbot: nofollow"."""
    words: set[str] = set()
    for value in values:
        ours = True
        for part in re.split("[,;]", value.lower()):
            name, colon, rest = part.partition(":")
            name = name.strip(" \t\"'")
            if colon and _AGENT.fullmatch(name) and name not in VALUED:
                ours, part = names_us(name), rest
            words |= {word.strip("\"'") for word in part.split()} if ours else set()
    return words


def _refresh_url(content: str) -> str:
    """The URL of "0; url=/elsewhere", as browsers read it; '' if there is none, or only after a long time."""
    found = re.match(r"\s*+(\d*+)([\d.]*+)(?:\s*+[;,]\s*+|\s++)(?:url\s*+=\s*+)?+(.++)", content[:REFRESH_CHARS],
                     re.IGNORECASE | re.DOTALL)
    if not found or not (found[1] or found[2]) or int(found[1][:9] or 0) > MAX_REFRESH_SEC:
        return ""
    url = found[3].strip()
    return url[1:].partition(url[0])[0].strip() if url[0] in "\"'" else url


# --- the elements of a page that may hold signals, as a browser finds them ------------------------

# What has no elements in it: up to its end tag (HTML standard, 13.2.6.4), here with scripts running
_TEXT_ONLY = frozenset(["script", "style", "textarea", "title", "xmp", "iframe", "noembed", "noframes", "noscript"])
# Attributes, tags, comments, declarations. Possessive: each character is looked at once, whatever follows.
_ATTRIBUTES = r"""(?:[\s/]*+[^\s/>][^\s/>=]*+(?:\s*+=\s*+(?:"[^"]*+(?:"|\Z)|'[^']*+(?:'|\Z)|[^\s>"'][^\s>]*+)?+)?+)*+"""
_MARKUP = re.compile(rf"""<!--(?:-?>|(?P<comment>)) | <[!?][^>]*+>? | </(?![a-zA-Z])[^>]*+>?
    | <(?P<end>/?)(?P<name>[a-zA-Z][^\s/>]*+) (?P<attributes>{_ATTRIBUTES}) [\s/]*+ (?P<close>>?)""",
                     re.VERBOSE | re.ASCII)
_ATTRIBUTE = re.compile(r"""([^\s/>][^\s/>=]*+)(?:\s*+=\s*+("[^"]*+"|'[^']*+'|[^\s>"'][^\s>]*+)?+)?+""",
                        re.ASCII)
_META = re.compile(_ATTRIBUTES.encode())
_TELLING = re.compile(rb"refresh|tdm-reservation|noindex|none|nofollow|noai|notrain|noml")
_COMMENT_END = re.compile(r"--!?>")
_IN_SCRIPT = re.compile(r"<!--(?!-?>)|-->|<(?P<tag>/?)script(?=[\s/>])", re.IGNORECASE)


def _may_say_something(body: bytes) -> bool:
    """Whether a <meta> of this page may be a signal, going by its words. Cheap, since every page is asked."""
    if b"\0" in body[:100]:
        return True  # UTF-16
    low, at = body.lower(), 0
    for _ in range(MOST_METAS):
        at = low.find(b"<meta", at) + 5
        if at < 5:
            return False
        attributes = _META.match(low, at, at + META_BYTES)
        assert attributes
        if attributes.end() == at + META_BYTES:
            return True
        tag = attributes[0] if b"&" not in attributes[0] else html.unescape(attributes[0].decode("latin-1")).lower()
        if _TELLING.search(tag if isinstance(tag, bytes) else tag.encode("latin-1", "ignore")):
            return True
    return True


def _elements(text: str, is_xml: bool) -> Iterator[tuple[str, dict[str, str]]]:
    """(name, attributes) of each <meta> and <base> of a page's document. is_xml: <script/> is closed, as in SVG."""
    at, templates, foreign = 0, 0, 0
    while found := _MARKUP.search(text, at):
        at = found.end()
        if found["comment"] is not None:
            end = _COMMENT_END.search(text, at)
            if not end:
                return
            at = end.end()
        if not found["name"]:
            continue
        if not found["close"]:
            return  # the page ends within a tag
        name, is_closed = found["name"].lower(), text.endswith("/>", at - 2, at)
        if name in ("svg", "math"):
            foreign = max(0, foreign + (-1 if found["end"] else not is_closed))
        elif name == "template":
            templates = max(0, templates + (-1 if found["end"] else 1))
        elif found["end"]:
            continue
        elif name in ("meta", "base") and not templates:
            yield name, _attributes(found["attributes"])
        elif name in _TEXT_ONLY and not (is_closed and (is_xml or foreign)):
            end = _script_end(text, at) if name == "script" else re.compile(
                rf"</{name}(?=[\s/>])", re.IGNORECASE).search(text, at)
            if not end:
                return
            at = end.start()
        elif name == "plaintext":
            return


def _script_end(text: str, at: int) -> re.Match[str] | None:
    """The end tag of a script. One within <!-- <script> is none: HTML standard, script data double escaped state."""
    escaped = doubly = False
    for found in _IN_SCRIPT.finditer(text, at):
        if found["tag"] is None:
            escaped, doubly = found[0] == "<!--", doubly and found[0] == "<!--"
        elif found["tag"]:
            if not doubly:
                return found
            doubly = False
        else:
            doubly = escaped
    return None


def _attributes(text: str) -> dict[str, str]:
    """Of two attributes with one name the first counts, as in browsers."""
    found: dict[str, str] = {}
    for name, value in _ATTRIBUTE.findall(text):
        value = value[1:-1] if value[:1] in ("'", '"') else value
        found.setdefault(name.lower(), html.unescape(value))
    return found
