"""Feeds and sitemaps as people publish them: which pages they name.

RSS 0.9 to 2.0, RDF, Atom and JSON Feed; sitemaps and indexes of sitemaps (sitemaps.org/protocol.html), as XML or as
lines of text. The content decides what a file is, and as much of it is read as possible. An address is taken exactly as
written or not at all: not if it is not closed, contains a tag, or needs an entity that is not HTML's.
"""

import contextlib
import itertools
import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from w3lib.encoding import resolve_encoding

from miniature_memory.crawl.urls import joined
from miniature_memory.providers.feed_markup import (
    DOCTYPE,
    END,
    START,
    TEXT,
    CutOff,
    attributes_of,
    tokens,
    unescaped,
    utf8_blocks,
)

FEED, SITEMAP, HTML = "feed", "sitemap", "html"
MAX_ADDRESSES = 50_000  # in one file (sitemaps.org/protocol.html)
MAX_FIELD_BYTES = 1 << 13  # an address that is longer is none
MAX_JSON_BYTES = 5_000_000  # of a JSON Feed, which cannot be read in parts
MAX_DEPTH = 30  # of tags in an entry; what is deeper is not told apart
PAGE_TYPES = ("", "text/html", "application/xhtml+xml")  # of an Atom link

_ROOTS = {b"rss": FEED, b"rdf": FEED, b"feed": FEED, b"channel": FEED, b"urlset": SITEMAP, b"sitemapindex": SITEMAP,
          b"html": HTML, b"head": HTML, b"body": HTML}
_ENTRIES = {b"item": FEED, b"entry": FEED, b"url": SITEMAP, b"sitemap": SITEMAP}
_FIELDS = {FEED: (b"link", b"guid"), SITEMAP: (b"loc", b"lastmod")}
_NO_FIELDS = frozenset([b"title", b"category", b"comments", b"pubdate", b"date", b"id", b"updated", b"published",
                       b"priority", b"changefreq"])  # within these: if one seems to be, they are not closed
_MARKUP = re.compile(rb"<[A-Za-z_!?/]")
_BLANK = b"\0 \t\r\n\xef\xbb\xbf"
_DECLARED = re.compile(rb"<\?xml\s[^>]{0,200}?encoding\s{0,9}=\s{0,9}[\"']([\w.:-]{1,40})")
_WEB_ADDRESS = re.compile(r"https?://[^/\s]", re.IGNORECASE)
_OTHER_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:|https?/", re.IGNORECASE)
_NO_REFERENCE = re.compile(r"""^\#|[\s<>"{}|\\^`]""")  # RFC 3986, appendix A
_INVISIBLE = "\ufeff\u200b\u200e\u200f\u2060"  # may stand around a pasted address


@dataclass
class Listing:
    """What a feed or sitemap names; read() fills it, also if it fails halfway."""

    url: str  # relative addresses are resolved against it
    kind: str = ""  # FEED, SITEMAP, HTML, or '' for anything else
    is_empty: bool = True
    pages: list[str] = field(default_factory=list)
    sitemaps: list[tuple[str, str]] = field(default_factory=list)  # (when it changed, its URL), of an index
    codec: str = "cp1252"  # of an address that is not UTF-8
    declares_entities: bool = False

    @property
    def is_full(self) -> bool:
        return len(self.pages) + len(self.sitemaps) >= MAX_ADDRESSES

    def read(self, pieces: Iterator[bytes], seconds: float = math.inf, encoding: str = "") -> None:
        """Read a file that arrives in pieces, packed or not. Stops early once it proves to be an HTML page.

        seconds: after which the rest is left. encoding: the Content-Encoding.
        """
        with contextlib.suppress(CutOff):
            blocks = utf8_blocks(pieces, seconds, encoding)
            first = next((block for block in blocks if block.strip(_BLANK)), b"")
            self.is_empty = not first
            blocks = itertools.chain([first], blocks)
            declared = _DECLARED.search(first[:1 << 12])
            codec = resolve_encoding(declared[1].decode("ascii")) if declared else None
            if codec and not codec.startswith("utf"):  # what is not UTF-8 despite its label is mostly of the West
                self.codec = codec
            if first.lstrip()[:1] == b"{":
                self._read_json(blocks)
            elif _MARKUP.search(first):
                _Markup(self).read(blocks)
            else:
                self._read_lines(blocks)

    def why_nothing(self) -> str:
        """A reason for the lack of any address."""
        if self.kind in (FEED, SITEMAP):
            return "no_links"
        return "empty" if self.is_empty else "html_page" if self.kind == HTML else "no_listing"

    def address(self, raw: bytes, base: str, is_reference: bool = False) -> str:
        """The absolute address that a field holds; '' if it holds none. is_reference: it may be relative, as Atom's."""
        text = unescaped(self.text(raw)).strip().strip(_INVISIBLE).strip()
        if self.kind == FEED:
            text = text.replace("&amp;", "&")  # escaped twice, or escaped within CDATA; feed readers do so
        if not text or re.search(r"[\x00-\x1f\ufffd]|\shttp", text) or (
                self.declares_entities and re.search(r"&\w+;", text)):
            return ""
        if _WEB_ADDRESS.match(text):
            return text
        if _OTHER_SCHEME.match(text) or _NO_REFERENCE.search(text):
            return ""
        parts = urlsplit(self.url)
        if text.lower().startswith(("www.", f"{parts.netloc}/".lower())):
            return f"{parts.scheme}://{text}"
        # RSS and sitemaps ask for absolute addresses. "/about" comes from a missing setting and is plain, as "a.html"
        # is to readers of RSS, and anything where xml:base is set; "None" and a sitemap's "undefined/about" are bugs.
        is_reference |= self.kind == FEED and bool(base != self.url or re.search(r"[/.?]", text))
        if is_reference or text.startswith("/"):
            return joined(base, text)
        return ""

    def text(self, raw: bytes) -> str:
        """A field as UTF-8, else in the encoding that the file declares; labels are often wrong. '' if in neither."""
        for codec in ("utf-8", self.codec):
            with contextlib.suppress(UnicodeDecodeError):
                return raw.decode(codec)
        return ""

    def add(self, address: str) -> None:
        if address and not self.is_full:
            self.pages.append(address)

    def _read_lines(self, blocks: Iterator[bytes]) -> None:
        """A text sitemap: one address per line. It is one if at least half of its lines are addresses."""
        n_lines, rest = 0, b""
        try:
            for block in blocks:
                lines = (rest + block).splitlines(keepends=True)
                rest = lines.pop() if lines and len(lines[-1]) <= MAX_FIELD_BYTES else b""
                n_lines += self._add_lines(lines)
                if self.is_full:
                    return
            n_lines += self._add_lines([rest])
        finally:
            self.kind = SITEMAP if 0 < n_lines <= 2 * len(self.pages) else ""

    def _add_lines(self, lines: list[bytes]) -> int:
        texts = [words[0] for line in lines if len(line) <= MAX_FIELD_BYTES and (words := self.text(line).split())]
        for text in texts:
            address = text.strip(_INVISIBLE)
            self.add(address if _WEB_ADDRESS.match(address) and "\ufffd" not in address else "")
        return len(texts)

    def _read_json(self, blocks: Iterator[bytes]) -> None:
        """A JSON Feed (jsonfeed.org/version/1.1)."""
        data = b""
        for block in blocks:
            data += block
            if len(data) > MAX_JSON_BYTES:
                return
        try:
            content = json.loads(data)
        except (ValueError, RecursionError):
            return
        items = content.get("items")
        if not isinstance(items, list):
            return
        self.kind = FEED
        for item in items:
            url = item.get("url") if isinstance(item, dict) else None
            if isinstance(url, str):
                self.add(self.address(url.replace("&", "&amp;").encode("utf-8", "replace"), self.url))


@dataclass
class _Entry:
    """An item of a feed, or a <url> or <sitemap>, which is still open."""

    name: bytes
    prefix: bytes
    base: str
    inner: list[bytes] = field(default_factory=list)  # names of the tags that are open in it
    found: dict[bytes, str] = field(default_factory=dict)  # field -> the address that counts
    changed: str = ""


class _Markup:
    """Reads the markup of a listing: the fields that stand directly in an entry, and no others.

    Names are compared without their prefix, but a field of an entry has the prefix of the entry: <image:loc> is no
    page. Atom's <link href> may have any.
    """

    def __init__(self, listing: Listing) -> None:
        self.listing, self.base = listing, listing.url
        self.entry: _Entry | None = None
        self.root = b""
        self.is_html = False  # as its document type says
        self.field: bytes | None = None  # that is open
        self.field_base, self.parts, self.n_bytes = "", [b""], 0

    def read(self, blocks: Iterator[bytes]) -> None:
        try:
            for kind, value, attributes in tokens(blocks):
                if kind == TEXT:
                    if self.field:
                        self.add_text(value)
                elif kind == START:
                    self.start(value, attributes)
                elif kind == END:
                    self.end(value)
                elif kind == DOCTYPE:
                    self.doctype(value)
                if self.listing.kind == HTML or self.listing.is_full:
                    return
        finally:  # also of a file that is cut off
            self.finish(is_closed=False)
            if self.is_html and not self.listing.kind:
                self.listing.kind = HTML

    def doctype(self, value: bytes) -> None:
        self.listing.declares_entities |= value.endswith(b"[")
        self.is_html |= value[:9].upper() == b"<!DOCTYPE" and value[9:].lower().split()[:1] == [b"html"]

    def add_text(self, value: bytes) -> None:
        self.n_bytes += len(value)
        if value.startswith(b"<"):
            self.field = None  # a tag that is garbled or cut off
        elif self.n_bytes <= MAX_FIELD_BYTES:
            self.parts.append(value)

    def start(self, name: bytes, attributes: bytes) -> None:
        prefix, _, local = name.lower().rpartition(b":")
        self.field = None  # an address ends where a tag begins
        entry, listing = self.entry, self.listing
        if local in _ENTRIES and listing.kind in ("", _ENTRIES[local]) and (
                not entry or (local, prefix) == (entry.name, entry.prefix)):
            self.finish(is_closed=False)
            listing.kind = _ENTRIES[local]
            self.entry = _Entry(local, prefix, self.base_of(attributes, self.base))
        elif not entry and local in _ROOTS:
            listing.kind, self.root = listing.kind or _ROOTS[local], local
            self.base = self.base_of(attributes, self.base)
        elif not entry and local == b"loc" and listing.kind == SITEMAP:  # without a <url> around it
            self.entry = _Entry(b"sitemap" if self.root == b"sitemapindex" else b"url", prefix, self.base)
            self.open(local, attributes, self.entry)
        elif entry:
            if local in _FIELDS[listing.kind] and entry.inner:
                if entry.inner[0].rpartition(b":")[2] in _NO_FIELDS:
                    entry.inner.clear()
                elif entry.inner[-1] == name.lower():
                    entry.inner.pop()  # a field is not closed before it begins again
            if not entry.inner and local in _FIELDS[listing.kind]:
                self.open(local if prefix == entry.prefix else b"", attributes, entry)
            if attributes.rstrip().endswith(b"/"):
                self.field = None
            elif len(entry.inner) < MAX_DEPTH:
                entry.inner.append(name.lower())

    def open(self, name: bytes, attributes: bytes, entry: _Entry) -> None:
        """A field begins. name: '' for one with another prefix than its entry's."""
        values = attributes_of(attributes) if attributes else {}
        self.field_base = self.base_of(attributes, entry.base)
        if "href" in values:
            relations = self.listing.text(values.get("rel") or b"alternate").lower().split()
            type_ = self.listing.text(values.get("type", b"")).partition(";")[0].strip().lower()
            address = self.listing.address(values["href"], self.field_base, is_reference=True)
            if address and type_ in PAGE_TYPES and any(one.rpartition("/")[2] == "alternate" for one in relations):
                entry.found.setdefault(b"href", address)
        elif name and not (name == b"guid" and values.get("ispermalink", b"").strip().lower() == b"false"):
            self.field, self.parts, self.n_bytes = name, [], 0

    def base_of(self, attributes: bytes, base: str) -> str:
        """The base of what stands in a tag: its own xml:base, resolved against that around it."""
        own = attributes_of(attributes).get("xml:base", b"") if b"base" in attributes.lower() else b""
        return joined(base, unescaped(self.listing.text(own))) or base if own else base

    def end(self, name: bytes) -> None:
        entry, name = self.entry, name.lower()
        if not entry:
            return
        local = name.rpartition(b":")[2]
        if self.field == local and self.n_bytes <= MAX_FIELD_BYTES:
            self.keep(local, b"".join(self.parts), entry)
        self.field = None
        if name in entry.inner:
            while entry.inner.pop() != name:
                pass
        elif local == entry.name:
            self.finish(is_closed=True)

    def keep(self, local: bytes, raw: bytes, entry: _Entry) -> None:
        """A field has ended."""
        if local == b"lastmod":
            entry.changed = self.listing.text(raw).strip()
        elif local == b"guid":
            address = self.listing.text(raw).strip()
            entry.found[local] = self.listing.address(raw, self.field_base) if _WEB_ADDRESS.match(address) else ""
        elif address := self.listing.address(raw, self.field_base):
            if local in entry.found and local == b"loc":  # two pages whose tags are not closed in between
                self.finish(is_closed=True)
                self.entry = _Entry(entry.name, entry.prefix, entry.base)
            (self.entry or entry).found.setdefault(local, address)

    def finish(self, is_closed: bool) -> None:
        """An entry has ended. Without its end, a guid does not stand in for a link, which may have followed."""
        entry, self.entry, self.field = self.entry, None, None
        if not entry:
            return
        order = (b"loc", b"link", b"href", b"guid") if is_closed else (b"loc", b"link", b"href")
        address = next((entry.found[name] for name in order if entry.found.get(name)), "")
        ending = re.search(r"\.xml(\.gz)?$", address.partition("?")[0].lower()) if entry.name == b"url" else None
        if address and (entry.name == b"sitemap" or ending):
            self.listing.sitemaps.append((entry.changed, address))
        else:
            self.listing.add(address)
