"""What reads bytes from outside: each parser as a function of bytes, the errors that it may raise, and some seeds."""

import gzip
import hashlib
import io
import json
import sqlite3
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import brotli
import zstandard

from miniature_memory.collection import passages, query
from miniature_memory.core.config import _read_toml
from miniature_memory.core.errors import ConfigError
from miniature_memory.crawl import seeds, urls
from miniature_memory.crawl.page_signals import feed_of, links, needs_js, refresh_target
from miniature_memory.crawl.robots_txt import RobotsTxt, sitemaps_of
from miniature_memory.crawl.warc import archived_page
from miniature_memory.crawl.web import FetchError, retry_after_sec
from miniature_memory.crawl.yields import Topic
from miniature_memory.exporting import restore
from miniature_memory.exporting.contents import from_manifest
from miniature_memory.extraction import file_kinds
from miniature_memory.extraction.long_texts import divide
from miniature_memory.extraction.page import extract_page
from miniature_memory.extraction.reading import Input
from miniature_memory.providers.feed_reader import Listing
from miniature_memory.responses.charset import decode_page
from miniature_memory.responses.coding import UnpackError, unpack
from miniature_memory.responses.media_type import media_type, page_rejection
from miniature_memory.responses.signals import read_signals
from miniature_memory.sampling.completions import read_request
from miniature_memory.sampling.config import SampleConfig
from miniature_memory.storage import url_keys
from miniature_memory.storage.full_text import BEGIN, END
from miniature_memory.training.tokenizer import Tokenizer
from miniature_memory.training.tokenizer_json import from_json, to_json

URL = "https://example.org/a/page?x=1"
MOST_UNPACKED = 1 << 20


class Parser(NamedTuple):
    read: Callable[[bytes], object]
    raises: tuple[type[Exception], ...]  # what it may raise, each with a sentence for people
    seeds: list[bytes]


def text_of(data: bytes) -> str:
    return data.decode("utf-8", "replace")


# --- pages and their answers -----------------------------------------------------------------------------


def read_page(data: bytes) -> None:
    extract_page(data, URL)


def read_headers_and_links(data: bytes) -> None:
    head, _, body = data.partition(b"\n\n")
    headers = [(name, value.strip()) for name, _, value in (line.partition(":") for line in text_of(head).split("\n"))]
    signals = read_signals(headers, body)
    essence, _ = media_type(value for _, value in headers)
    page_rejection(essence, body[:512])
    links(signals, headers, body, URL, Topic(["bread baking"], "en"))
    feed_of(signals, body, URL)
    refresh_target(signals, URL)
    needs_js(body)
    for _, value in headers:
        retry_after_sec(value)


def read_charset(data: bytes) -> None:
    label, _, body = data.partition(b"\n")
    decode_page(body, label.decode("latin-1"))


def read_coding(data: bytes) -> None:
    encoding, _, body = data.partition(b"\n")
    for truncate in (False, True):
        assert len(unpack(body, encoding.decode("latin-1"), MOST_UNPACKED, truncate)) <= max(MOST_UNPACKED, len(body))


def read_archived(data: bytes) -> None:
    archived_page(data, URL, MOST_UNPACKED)


PAGE = b"""<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>Bread</title><base href="/x/">
<meta name="robots" content="noindex, max-snippet:20"><link rel="alternate" type="application/rss+xml" href="feed">
<script type="application/ld+json">{"@type": "Article", "author": {"name": "A"}, "datePublished": "2026-01-01"}</script>
</head><body><nav><a href="/">Home</a></nav><article><h1>Dough</h1><p>Flour, water, salt &amp; time make a dough that
rises over night in a cold kitchen, if it is <b>folded</b> now and then.</p><pre>x = <span>1</span>
  y</pre><table><tr><th>a<td>1<tr><th>b<td>2</table><ul><li>one<li>two</ul><math><mi>x</mi></math></article></html>"""
HEADERS = b"Content-Type: text/html; charset=utf-8\nX-Robots-Tag: otherbot: nofollow\nRefresh: 0; url=b\nRetry-After: 9"


# --- lists, feeds and addresses --------------------------------------------------------------------------


def read_listing(data: bytes) -> None:
    for encoding in ("", "gzip"):
        Listing(URL).read(iter([data[:100], data[100:]]), encoding=encoding)


def read_robots(data: bytes) -> None:
    text = text_of(data)
    sitemaps_of(text)
    RobotsTxt(text).allows(URL)


def read_url(data: bytes) -> None:
    text = text_of(data)
    seeds.seed_of(text)
    if url := urls.browser_url(text) or urls.joined(URL, text):
        assert urls.browser_url(url) == url, "a spelling that is not final"
        url_keys.url_key(url)
        RobotsTxt("User-agent: *\nDisallow: /*a$").allows(url)


FEED = b"""<?xml version="1.0" encoding="utf-8"?><rss version="2.0"><channel><link>https://example.org/</link><item>
<title>A &amp; B</title><link>https://example.org/1</link><guid isPermaLink="false">7</guid></item><item>
<link><![CDATA[https://example.org/2?a=1&amp;b=2]]></link></item></channel></rss>"""
SITEMAP = b"""<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"><url><loc>https://example.org/1</loc><lastmod>
2026-01-01</lastmod></url></urlset>"""
ROBOTS = b"""# all
User-agent: *
Crawl-delay: 1.5
Disallow: /private/*.html$
Allow: /private/a%41
Sitemap: https://example.org/s.xml
Content-Signal: ai-train=no
User-agent: miniature-memory
Disallow:"""


# --- files of people -------------------------------------------------------------------------------------


def read_kind(ending: str) -> Callable[[bytes], None]:
    """Reads a file of one ending, as --import and --texts do, with the workers' part."""
    def read(data: bytes) -> None:
        origin = Input(f"file:///a{ending}", "", None, source=f"file:///a{ending}")
        for found in file_kinds.read_safely(file_kinds.ENDINGS[ending], io.BytesIO(data), origin):
            if found.kind:
                file_kinds.read_document(found)
            elif found.html is not None:
                extract_page(found.html, found.url, found.charset)
            elif found.text:
                list(divide(found.text))
    return read


WARC = (b"WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: https://example.org/a/page?x=1\r\n"
        b"WARC-Date: 2026-01-01T00:00:00Z\r\nContent-Type: application/http; msgtype=response\r\nContent-Length: 67\r\n"
        b"\r\nHTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<p>Some text of it</p>\r\n\r\n\r\n")
MAIL = (b"From: A <a@example.org>\nSubject: =?utf-8?q?Br=C3=B6d?=\nContent-Type: text/plain; charset=utf-8\n\n"
        b"Text\n> quoted\n-- \nA\n")
W, ODF = "http://schemas.openxmlformats.org/wordprocessingml/2006/main", "urn:oasis:names:tc:opendocument:xmlns"


def zipped(members: dict[str, str | bytes]) -> bytes:
    """An archive that is not compressed, so that changes reach what is in it."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return data.getvalue()


FILES = {
    ".html": PAGE, ".txt": b"A line\nthat is wrapped\n\nand another.\n", ".csv": b"text,url\n\"a, b\",https://e.org\n",
    ".tsv": b"text\ttitle\na\tb\n", ".json": b'[{"text": "a", "title": "b", "split": "val"}]',
    ".jsonl": b'{"text": "a"}\n{"content": "b"}\n', ".mbox": b"From a\n" + MAIL + b"\nFrom b\n" + MAIL, ".eml": MAIL,
    ".warc": WARC, ".rst": b"Title\n=====\n\n.. note:: a\n\n  - b ``c``\n\n::\n\n  code\n",
    ".tex": b"\\documentclass{a}\\begin{document}\\section{A}$x^2$ % n\n\\emph{b}\\cite{c}\\end{document}",
    ".srt": b"1\n00:00:01,000 --> 00:00:02,000\n<i>Hello</i>\n\n",
    ".vtt": b"WEBVTT\n\n00:01.000 --> 00:02.000\nHello\n",
    ".zip": zipped({"a.txt": "A text.", "b/c.html": PAGE, "d.zip": b""}), ".gz": gzip.compress(PAGE, 0),
    ".docx": zipped({"word/document.xml": f'<w:document xmlns:w="{W}"><w:body><w:p><w:pPr><w:pStyle w:val="Heading1"/>'
                     "</w:pPr><w:r><w:t>A</w:t><w:tab/></w:r></w:p><w:tbl><w:tr><w:tc><w:p><w:r><w:t>b</w:t></w:r>"
                     "</w:p></w:tc></w:tr></w:tbl></w:body></w:document>"}),
    ".odt": zipped({"content.xml": f'<office:document-content xmlns:office="{ODF}:office:1.0" '
                    f'xmlns:text="{ODF}:text:1.0">'
                    '<office:body><office:text><text:h text:outline-level="1">A</text:h><text:p>b<text:s text:c="3"/>c'
                    "<text:line-break/></text:p></office:text></office:body></office:document-content>"}),
    ".epub": zipped({"META-INF/container.xml": '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container">'
                     '<rootfiles><rootfile full-path="c.opf"/></rootfiles></container>',
                     "c.opf": '<package xmlns="http://www.idpf.org/2007/opf"><manifest><item id="a" href="a.xhtml" '
                     'media-type="application/xhtml+xml"/></manifest><spine><itemref idref="a"/></spine></package>',
                     "a.xhtml": PAGE}),
}


# --- what a person or a program asks for -----------------------------------------------------------------


def read_settings(data: bytes) -> None:
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        _read_toml(Path(file.name))


def search(data: bytes) -> None:
    """A query as it is searched for: FTS5 itself must take what plain_words makes of it."""
    asked = query.typed(text_of(data))
    query.expression(asked)
    if words := query.plain_words(asked):
        with sqlite3.connect(":memory:") as db:
            db.execute("CREATE VIRTUAL TABLE t USING fts5(text)")
            db.execute("SELECT * FROM t WHERE t MATCH ?", [" ".join(words)]).fetchall()


def show_passage(data: bytes) -> None:
    passages.best_passage(text_of(data)).plain()


def read_json_request(data: bytes) -> None:
    read_request(json.loads(data), SampleConfig())


def read_tokenizer(data: bytes) -> None:
    from_json(json.loads(data))


def read_bundle(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as file:
        file.write(data)
        file.seek(0)
        restore.unpack(file, ".tar.gz" if data[:2] == b"\x1f\x8b" else ".tar", Path(folder), Path(folder))


REQUEST = (b'{"prompt": "The ", "max_tokens": 5, "temperature": 0.8, "stop": ["."], "n": 1, "stream": false, '
           b'"top_p": 0.9, "seed": 7, "logprobs": null}')
MANIFEST = b"""{"format": "miniature-memory bundle", "version": 1, "release": "1", "made": "", "files": [
{"path": "data/catalog.sqlite3", "n_bytes": 1, "sha256": "%s"}]}""" % hashlib.sha256(b"a").hexdigest().encode()
RANKS = {bytes([byte]): byte for byte in range(256)} | {b"ab": 256}
TOKENIZER = json.dumps(to_json(Tokenizer("bpe", r"\w+|\W", RANKS, False))).encode()
NOT_JSON = (ValueError, RecursionError)  # of json.loads itself, which the callers catch


def bundle() -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        for name, content in (("manifest.json", MANIFEST), ("data/catalog.sqlite3", b"a")):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return gzip.compress(data.getvalue()[:6 * 512], 0)


PARSERS: dict[str, Parser] = {
    "page": Parser(read_page, (), [PAGE]),
    "headers": Parser(read_headers_and_links, (), [HEADERS + b"\n\n" + PAGE]),
    "charset": Parser(read_charset, (), [b"windows-1252\n" + PAGE, b"\nr\xe9sum\xe9", b"utf-16\n\xff\xfea\0"]),
    "coding": Parser(read_coding, (UnpackError,), [
        b"gzip\n" + gzip.compress(b"abc"), b"deflate\n" + zlib.compress(b"abc"), b"br\n" + brotli.compress(b"abc"),
        b"zstd\n" + zstandard.compress(b"abc")]),
    "archived": Parser(read_archived, (FetchError, UnpackError), [WARC]),
    "listing": Parser(read_listing, (), [FEED, SITEMAP, b'{"items": [{"url": "/a.b"}]}', b"https://a.b/\n"]),
    "robots": Parser(read_robots, (), [ROBOTS]),
    "url": Parser(read_url, (), [b"https://user@ex\xc3\xa4mple.org:8080/a/../b;c?d=%41&e#f", b"//a.b/\\", b"page a.b"]),
    **{ending: Parser(read_kind(ending), (), [seed]) for ending, seed in FILES.items()},
    "settings": Parser(read_settings, (ConfigError,), [b'[train]\nsize = "4x"\n"a.b" = [{x = 2}]\n[a.b.c]\nd = 1e9\n']),
    "search": Parser(search, (ConfigError,), ['dough AND "wild yeast" NOT (a* OR b) NEAR(c d, 5) 麦 -don’t'.encode()]),
    "passage": Parser(show_passage, (), [f"a {BEGIN}hit{END} in. A {BEGIN}text{END} of more\n\nwords".encode()]),
    "request": Parser(read_json_request, (ConfigError, *NOT_JSON), [REQUEST]),
    "tokenizer": Parser(read_tokenizer, NOT_JSON, [TOKENIZER]),
    "manifest": Parser(from_manifest, (ValueError,), [MANIFEST]),
    "bundle": Parser(read_bundle, (*restore.DAMAGE, gzip.BadGzipFile), [bundle()]),
}
