"""Extract: fetched pages in, raw documents out: the text that a browser's read mode would show.

Reads   data/pages/*.warc.gz   WARC response records, as they came over the wire
Writes  data/raw/*.jsonl       id, text, metadata; append-only, never rewritten
Alone   .venv/bin/python extract.py --set extract.workers=1
        .venv/bin/python extract.py --file PAGE.html             prints the text of a page
        .venv/bin/python extract.py --explain PAGE.html          its type; every block, whether it is kept, and why
        .venv/bin/python extract.py --warc FILE... --files PATH...   takes pages and texts from elsewhere

The work is done by worker processes, which may be killed by a page without harm to the stage.
"""

from __future__ import annotations

import codecs
import contextlib
import hashlib
import io
import json
import logging
import multiprocessing
import os
import re
import signal
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

from bs4 import BeautifulSoup, NavigableString, PageElement, Tag
from bs4.element import PreformattedString
from readability import Document
from warcio.archiveiterator import ArchiveIterator

import blocks
import judge
from catalog import Catalog
from inputs import Input, charset_of, read_files, read_stdin, read_warc
from pipeline import Report, View, stage_main, strip_control
from progress import Progress
from urls import hostname

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ExtractConfig:
    workers: int = 0                  # processes; 0: as many as cores
    page_deadline_sec: float = 20.0   # a page that takes longer is given up; guess: 100 times the usual
    pages_per_worker: int = 1000      # then a fresh process: extractors leak (adbar/trafilatura#216)
    mode: str = "blocks"              # or "readability": read mode alone
    min_chars: int = 200              # less: the next way is tried; guess
    max_text_chars: int = 2_000_000   # more is cut off at a line's end

    def __post_init__(self) -> None:
        if self.workers < 0 or self.pages_per_worker < 1 or self.page_deadline_sec <= 0:
            raise ValueError("workers must be at least 0, pages_per_worker 1, page_deadline_sec above 0")


@dataclass(frozen=True)
class Extracted:
    """What a page says. `text` is empty when `reason` tells why there is none."""

    text: str = ""
    title: str = ""
    author: str = ""
    published: str = ""
    language_hint: str = ""  # as the page declares it; not checked
    page_type: str = ""  # article, collection, documentation, forum, listing, product, service; "" for unknown
    extractor: str = ""  # which way found the text; flat_ before it: of a page that was nested too deep
    reason: str = ""


# --- one page ------------------------------------------------------------------------------------

MAX_TAGS = 300_000  # a tree of more takes hundreds of megabytes (adbar/trafilatura#704). Guess


def extract_page(html: bytes | str, url: str | None = None, charset: str = "",
                 config: ExtractConfig | None = None) -> Extracted:
    """The main text of one page. Pure; bad HTML raises nothing but gives an empty text with a reason.

    1. Decode: BOM, the charset of the HTTP header, <meta>, UTF-8, Windows-1252.
    2. Guard: what is no HTML, or more tags than memory is for, is refused; what is nested too deep is flattened.
    3. Blocks: each piece of text is judged by itself and its surroundings (judge.py), and so is the type of the page.
    4. If that is next to nothing, or extract.mode says so: read mode, readability-lxml.
    5. If that is next to nothing, too, the whole of <main>, <article> or <body> without its navigation.
    """
    config = config or ExtractConfig()
    source = decode_html(html, charset) if isinstance(html, bytes) else html
    source = source.replace("\x00", "").removeprefix("\ufeff")
    if "<" not in source:
        return Extracted(reason="not_html")
    if source.count("<") > MAX_TAGS:
        return Extracted(reason="too_many_tags")
    root, form = blocks.parse(source), ""
    if root is not None and blocks.is_cut_short(root):
        source, form = blocks.flatten(source), "flat_"
        root = blocks.parse(source)
    if root is None:
        return Extracted(reason="no_text")
    about = _metadata(root)
    text, extractor, page_type = "", "blocks", ""
    if config.mode == "blocks":
        text, page_type = judge.judge(root, url or "")
    del root  # the other ways make trees of their own
    for name, way in (("readability", read_mode), ("whole_page", whole_page)):
        if len(text) < config.min_chars:
            text, extractor = way(source, url or ""), name
    text = strip_control(text)
    if len(text) > config.max_text_chars:
        cut = text[:config.max_text_chars]
        text = cut.rpartition("\n")[0] or cut
    if not text:
        return Extracted(title=about["title"], reason="no_text")
    return Extracted(text, **about, page_type=page_type, extractor=form + extractor)


def read_mode(source: str, url: str = "") -> str:
    """What a browser's read mode shows: the element that readability-lxml scores best."""
    try:
        return text_of(BeautifulSoup(Document(source, url=url or None).summary(html_partial=True), "lxml"))
    except Exception as error:  # readability raises its own, lxml's and plain ValueErrors on bad HTML
        logger.debug("%s: read mode failed: %s", url, error)
        return ""


def whole_page(source: str, url: str = "") -> str:
    """The text of <main>, <article> or <body> without its navigation."""
    return text_of(_without_navigation(BeautifulSoup(source, "lxml")))


def _metadata(root: Any) -> dict[str, str]:
    """What a page says of itself in its head; '' for what it does not say."""
    said: dict[str, str] = {}
    for meta in root.iter("meta"):
        name = (meta.get("property") or meta.get("name") or "").lower()
        said.setdefault(name, meta.get("content") or "")
    title = root.find(".//title")
    return {"title": _one_line(said.get("og:title") or (title.text or "" if title is not None else "")),
            "author": _one_line(said.get("author") or said.get("article:author") or ""),
            "published": _one_line(said.get("article:published_time") or said.get("date") or ""),
            "language_hint": _one_line(root.get("lang") or "")}


WESTERN = {"ascii", "iso8859-1", "cp1252"}


def decode_html(data: bytes, charset: str = "") -> str:
    """`data` as text: by its BOM, the HTTP header's `charset`, its <meta>, as UTF-8, else as Windows-1252.

    A declared Western charset is Windows-1252, as to browsers, and is believed only of what is not UTF-8.
    """
    for bom, encoding in ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"),
                          (codecs.BOM_UTF16_BE, "utf-16-be")):
        if data.startswith(bom):
            return data[len(bom):].decode(encoding, errors="replace")
    declared = re.search(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([\w.:-]+)", data[:4096], re.IGNORECASE)
    named = [_codec(charset), _codec(declared[1].decode("ascii")) if declared else ""]
    if named[1].startswith("utf-16"):
        named[1] = "utf-8"  # a <meta> that can be read says so itself; and so do browsers
    tries = [name for name in named if name and name not in WESTERN] + ["utf-8"]
    for encoding in tries:
        with contextlib.suppress(UnicodeDecodeError):
            return data.decode(encoding)
    for encoding in tries:
        text = data.decode(encoding, errors="replace")
        if text.count("\ufffd") * 11 < len(text) - len(text.encode("ascii", "ignore")):  # most of it is sound
            return text
    return data.decode("windows-1252", errors="replace")


def _codec(label: str) -> str:
    """Python's codec for a label as browsers take it (encoding.spec.whatwg.org); '' for what is none of the web."""
    label = label.strip().lower()
    label = BROWSER_CODECS.get(label, label)
    try:
        name = codecs.lookup(label).name
    except (LookupError, ValueError):
        return ""
    name = BROWSER_CODECS.get(name, name)
    return name if WEB_CODEC.fullmatch(name) else ""


BROWSER_CODECS = {
    "gb2312": "gb18030", "gbk": "gb18030", "x-gbk": "gb18030", "shift_jis": "cp932", "x-sjis": "cp932",
    "windows-31j": "cp932", "euc_kr": "cp949", "windows-949": "cp949", "big5": "big5hkscs", "x-x-big5": "big5hkscs",
    "iso8859-9": "cp1254", "windows-874": "cp874", "dos-874": "cp874", "iso8859-11": "cp874", "tis-620": "cp874",
    "iso-8859-8-i": "iso8859-8", "unicode-1-1-utf-8": "utf-8", "x-cp1250": "cp1250", "x-cp1251": "cp1251",
    "x-cp1252": "cp1252", "x-mac-cyrillic": "mac-cyrillic", "x-euc-jp": "euc_jp", "utf-16": "utf-16-le"}
WEB_CODEC = re.compile(r"ascii|utf-8|utf-16-[lb]e|iso8859-\d+|cp(125\d|866|874|932|949)|koi8-[ru]|mac-(roman|cyrillic)"
                       r"|euc_jp|iso2022_jp|gb18030|big5hkscs")


def _one_line(text: str) -> str:
    return " ".join(strip_control(text).split())[:500]


NAVIGATION = ["nav", "header", "footer", "aside", "form", "button", "select", "dialog", "iframe"]


def _without_navigation(soup: BeautifulSoup) -> Tag:
    root = soup.find("main") or soup.find("article") or soup.body or soup
    assert isinstance(root, Tag)
    for tag in root.find_all(NAVIGATION):
        tag.decompose()
    return root


# --- text of an element --------------------------------------------------------------------------

PARAGRAPHS = {"p", "div", "h1", "h2", "h3", "h4", "h5", "h6", "blockquote", "pre", "ul", "ol", "dl", "table", "section",
              "article", "main", "header", "footer", "figure", "figcaption", "address", "hr"}
LINES = {"li", "tr", "dt", "dd", "caption", "option"}
HIDDEN = {"script", "style", "noscript", "template", "head", "title", "svg", "math", "textarea", "object"}
_SPACE = re.compile(r"\s+")  # the no-break space too
_INVISIBLE = re.compile(r"[\u00ad\u200b\u2060\ufeff]")  # soft hyphen, zero-width characters


def text_of(element: Tag) -> str:
    """The element's text: paragraphs divided by a blank line, <br>, items and table rows a line each, code as it is.

    Inline elements neither glue nor split words.
    """
    pieces: list[str] = []
    _collect(element, pieces)
    text = _INVISIBLE.sub("", strip_control("".join(pieces)))
    lines = [line.rstrip() for line in text.split("\n")]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip("\n")


def _collect(root: Tag, pieces: list[str]) -> None:
    """Append the pieces of `root`'s text. Walks with a stack of its own: nesting may be deeper than Python's."""
    stack: list[PageElement | _End] = [root]
    in_pre = False
    while stack:
        node = stack.pop()
        if isinstance(node, _End):
            in_pre = in_pre and not node.of_pre
            _break(pieces, node.newlines)
            if node.cell:
                pieces.append(" | ")
        elif isinstance(node, Tag) and node.name == "br":
            pieces.append("\n")
        elif isinstance(node, Tag) and node.name not in HIDDEN:
            newlines = 2 if node.name in PARAGRAPHS else 1 if node.name in LINES else 0
            in_pre = in_pre or node.name == "pre"
            _break(pieces, newlines)
            in_row = node.name in ("td", "th") and node.find_next_sibling(["td", "th"]) is not None
            stack.append(_End(newlines, in_row, node.name == "pre"))
            stack.extend(reversed(node.contents))
        elif isinstance(node, NavigableString) and not isinstance(node, PreformattedString):  # no comment, no doctype
            _add(pieces, str(node), in_pre)


class _End(NamedTuple):
    """Stands on the stack below an element's children: what the end of the element adds."""

    newlines: int
    cell: bool  # another cell of the row follows
    of_pre: bool


def _break(pieces: list[str], newlines: int) -> None:
    """Let the text so far end in at least `newlines` line breaks."""
    found = 0
    for piece in reversed(pieces[-3:]):
        found += len(piece) - len(piece.rstrip("\n"))
        if piece.strip("\n"):
            break
    if newlines > found:
        pieces.append("\n" * (newlines - found))


def _add(pieces: list[str], text: str, keep_space: bool) -> None:
    if not keep_space:
        text = _SPACE.sub(" ", text)
        if not pieces or pieces[-1][-1] in " \n":
            text = text.lstrip(" ")
    if text:
        pieces.append(text)


# --- worker processes ----------------------------------------------------------------------------


Job = bytes | Input  # the gzip member of a WARC response record, or what came from elsewhere


def extract_job(job: Job, config: ExtractConfig) -> Extracted:
    """The main text of one page; a text from elsewhere is taken as it is."""
    if isinstance(job, bytes):
        record = next(iter(ArchiveIterator(io.BytesIO(job))))
        content_type = record.http_headers.get_header("Content-Type") or "" if record.http_headers else ""
        url = record.rec_headers.get_header("WARC-Target-URI") or ""
        return extract_page(record.content_stream().read(), url, charset_of(content_type), config)
    if job.html is None:
        reason = job.reason or ("" if job.text.strip() else "no_text")
        return Extracted(job.text, _one_line(job.title), extractor="as_it_is", reason=reason)
    return extract_page(job.html, job.url, job.charset, config)


def serve(connection: Connection, config: ExtractConfig) -> None:
    """A worker's life: a page in, its Extracted out, until the pipe closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which closes the pipe
    while True:
        try:
            job = connection.recv()
        except EOFError:
            return
        try:
            connection.send(extract_job(job, config))
        except Exception as error:  # one bad page is a counted reason, whatever a parser raised
            connection.send(Extracted(reason=f"extractor_{type(error).__name__}"))


WORKER_TARGET = serve  # a test puts a page that crashes in its place


class Worker:
    """One worker process with one page in flight; replaced after a failure and after `pages_per_worker` pages."""

    def __init__(self, config: ExtractConfig) -> None:
        self.config = config
        self._start()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")  # not fork: the parent has threads and an open database
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=WORKER_TARGET, args=(theirs, self.config), daemon=True)
        self.process.start()
        theirs.close()
        self.pages = 0

    def submit(self, job: Job) -> None:
        if self.pages >= self.config.pages_per_worker:
            self.stop()
            self._start()
        self.pages += 1
        with contextlib.suppress(OSError):  # it died; result() says so
            self.connection.send(job)

    def result(self) -> Extracted:
        try:
            if self.connection.poll(self.config.page_deadline_sec):
                answer: Extracted = self.connection.recv()
                return answer
            reason = "extraction_timeout"
        except (EOFError, OSError):
            reason = "extraction_crashed"
        self.stop()
        self._start()
        return Extracted(reason=reason)

    def stop(self) -> None:
        self.connection.close()
        self.process.kill()
        self.process.join()


def extract_all(jobs: Iterable[tuple[Any, Job]], config: ExtractConfig) -> Iterator[tuple[Any, Extracted]]:
    """(key, Extracted) for each (key, job), in order, with one page in flight a worker."""
    workers = [Worker(config) for _ in range(config.workers or os.cpu_count() or 1)]
    waiting: list[tuple[Any, Worker]] = []
    try:
        for i, (key, job) in enumerate(jobs):
            worker = workers[i % len(workers)]
            if len(waiting) == len(workers):
                first_key, first = waiting.pop(0)
                yield first_key, first.result()
            worker.submit(job)
            waiting.append((key, worker))
        for key, worker in waiting:
            yield key, worker.result()
    finally:
        for worker in workers:
            worker.stop()


# --- the stage -----------------------------------------------------------------------------------


def to_document(extracted: Extracted, url: str, fetched_at: str) -> tuple[str, bytes]:
    """(id, JSON line) of a raw document. Every metadata key is always there and a string: "" for unknown."""
    document_id = hashlib.sha256(extracted.text.encode()).hexdigest()
    metadata = {"url": url, "title": extracted.title, "author": extracted.author, "published": extracted.published,
                "language": extracted.language_hint, "host": hostname(url), "fetched_at": fetched_at,
                "extractor": extracted.extractor, "page_type": extracted.page_type}
    line = json.dumps({"id": document_id, "text": extracted.text, "metadata": metadata}, ensure_ascii=False)
    return document_id, line.encode() + b"\n"


def run(config: ExtractConfig, root: Path, warc: Sequence[Path] = (), files: Sequence[Path] = (),
        stdin: bool = False) -> Report:
    """Extract the pages that are new; or, if any are named, what WARC files, other files or standard input hold."""
    report = Report("extract")
    with Catalog(root) as catalog:
        if warc or files or stdin:
            inputs = chain(*map(read_warc, warc), read_files(files), read_stdin() if stdin else ())
            jobs: Iterable[tuple[Any, Job]] = ((one, one) for one in inputs)
            total = None
        else:
            total = catalog.count_new("extract", "pages")
            if not total:
                return report
            rows = catalog.new_rows("extract", "pages")
            jobs = ((row, catalog.read(row["file"], row["offset"], row["length"])) for row in rows)
        for key, extracted in Progress(extract_all(jobs, config), "extract", total, unit=" pages"):
            report.n_in += 1
            with catalog.record():
                url, at = (key.url, key.fetched_at) if isinstance(key, Input) else (key["url"], key["fetched_at"])
                reason = extracted.reason or _store(catalog, extracted, url, at, report)
                if reason:
                    report.dropped[reason] += 1
                else:
                    report.n_out += 1
                if not isinstance(key, Input):
                    catalog.advance("extract", key["seq"])
    return report


def _store(catalog: Catalog, extracted: Extracted, url: str, fetched_at: str, report: Report) -> str:
    """Append the document; the reason if it is already there."""
    document_id, line = to_document(extracted, url, fetched_at)
    if catalog.value("SELECT 1 FROM documents WHERE id = ?", [document_id]):
        catalog.execute("INSERT OR IGNORE INTO also_at VALUES (?, ?)", [document_id, url])
        return "duplicate_text"
    place = catalog.append("data/raw", ".jsonl", line)
    catalog.execute("INSERT INTO documents (id, url, file, offset, length) VALUES (?, ?, ?, ?, ?)",
                    [document_id, url, *place])
    report.bytes_written += len(line)
    return ""


def show_file(config: ExtractConfig, root: Path, value: str) -> str:
    return next((extract_job(one, config).text for one in read_files([Path(value)])), "")


def show_blocks(config: ExtractConfig, root: Path, value: str) -> str:
    page = next(iter(read_files([Path(value)])), None)
    tree = blocks.parse(decode_html(page.html, page.charset)) if page and page.html else None
    return "no page" if page is None or tree is None else judge.explain(tree, page.url)


def main(argv: list[str] | None = None) -> int:
    return stage_main(run, ExtractConfig, "extract", argv,
                      {"--file": View(show_file, "print the text of one local page, and do nothing else", "PAGE"),
                       "--explain": View(show_blocks, "print a page's type, and why each block is kept or dropped",
                                         "PAGE")},
                      {"--warc": {"nargs": "+", "type": Path, "default": [], "metavar": "FILE",
                                  "help": "read these WARC files rather than the crawl's"},
                       "--files": {"nargs": "+", "type": Path, "default": [], "metavar": "PATH",
                                   "help": "read local files and folders: .html .txt .md .jsonl"},
                       "--stdin": {"action": "store_true", "help": "read one page or text from standard input"}})


if __name__ == "__main__":
    raise SystemExit(main())
