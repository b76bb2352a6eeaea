"""Inputs: pages and texts that did not come from the crawl: WARC files of others, local files, standard input.

Read as streams, one at a time, so that a WARC file of a gigabyte takes no more memory than its largest page.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from warcio.archiveiterator import ArchiveIterator
from warcio.exceptions import ArchiveLoadFailed

from miniature_memory.core.errors import StageError
from miniature_memory.core.text import strip_control, timestamp

logger = logging.getLogger(__name__)

MAX_BYTES = 5_000_000  # of one page or text, as web.max_bytes; what is longer is passed over
HTML_TYPES = ("text/html", "application/xhtml+xml")
ENDINGS = (".html", ".htm", ".xhtml", ".txt", ".md", ".jsonl")


class Input(NamedTuple):
    """A page (`html`, with what its server said of its charset), or a text as it is (`html` is None)."""

    url: str
    fetched_at: str  # ISO 8601, UTC
    html: bytes | None
    charset: str = ""
    text: str = ""
    title: str = ""
    reason: str = ""  # why nothing can be made of it


def read_warc(path: Path) -> Iterator[Input]:
    """The HTML pages of a WARC file, gzipped or not, Common Crawl's too. Raises StageError if it is none."""
    try:
        with open(path, "rb") as stream:
            for record in ArchiveIterator(stream):
                if record.rec_type == "response" and (found := _page_of(record)):
                    yield found
    except OSError as error:
        raise StageError(f"{path} cannot be read ({error.strerror or error}).", "a WARC file.",
                         "check its name and owner.") from None
    except (ArchiveLoadFailed, EOFError, ValueError) as error:
        raise StageError(f"{path} is no whole WARC file ({strip_control(str(error))[:100]}).", "WARC 1.0 or 1.1, "
                         "plain or with a gzip member a record.", "check it with: .venv/bin/warcio check FILE. What "
                         "came before the damage was taken.") from None


def _page_of(record: Any) -> Input | None:
    """The page of a response record; None if it is no HTML page."""
    headers = record.http_headers
    kind = (headers.get_header("Content-Type") or "").lower() if headers else ""
    if not headers or headers.get_statuscode() != "200" or kind.partition(";")[0].strip() not in HTML_TYPES:
        return None
    url = strip_control(record.rec_headers.get_header("WARC-Target-URI") or "")[:2000]
    date = strip_control(record.rec_headers.get_header("WARC-Date") or "")[:40]
    html = record.content_stream().read(MAX_BYTES + 1)
    if len(html) > MAX_BYTES:
        return Input(url, date, None, reason="too_big")
    return Input(url, date, html, charset_of(kind))


def charset_of(content_type: str) -> str:
    found = re.search(r"charset\s*=\s*\"?([\w.:-]+)", content_type, re.IGNORECASE)
    return found[1] if found else ""


def read_files(paths: Iterable[Path]) -> Iterator[Input]:
    """Local files, and those in folders: .html, .txt, .md, and .jsonl with a "text" a line."""
    for path in paths:
        files = sorted(p for p in path.rglob("*") if p.suffix.lower() in ENDINGS) if path.is_dir() else [path]
        if not files:
            logger.warning("%s holds no file that ends in %s", path, ", ".join(ENDINGS))
        for file in files:
            yield from _read_file(file)


def _read_file(path: Path) -> Iterator[Input]:
    try:
        with open(path, "rb") as stream:
            at = timestamp(path.stat().st_mtime)
            if path.suffix.lower() == ".jsonl":
                yield from read_lines(stream, path.absolute().as_uri(), at)
                return
            data = stream.read(MAX_BYTES + 1)
    except OSError as error:
        expected = f"a folder, or a file that ends in {', '.join(ENDINGS)}."
        raise StageError(f"{path} cannot be read ({error.strerror or error}).", expected,
                         "check its name and owner.") from None
    url = path.absolute().as_uri()
    if len(data) > MAX_BYTES:
        yield Input(url, at, None, reason="too_big")
    elif path.suffix.lower() in (".html", ".htm", ".xhtml"):
        yield Input(url, at, data)
    else:
        yield Input(url, at, None, text=_plain(data), title=path.stem)


def read_lines(stream: BinaryIO, url: str, at: str) -> Iterator[Input]:
    """JSON lines with a "text", as datatrove and datasets write them, or with an "html"."""
    while line := stream.readline(2 * MAX_BYTES):
        if not line.strip():
            continue
        try:
            content = json.loads(line)
            text, html = str(content.get("text", "")), content.get("html")
            metadata = content.get("metadata") or content
            own_url, title = str(metadata.get("url") or url), str(metadata.get("title") or "")
        except (ValueError, AttributeError, RecursionError):
            yield Input(url, at, None, reason="bad_json")
            continue
        if isinstance(html, str) and not text:
            yield Input(own_url, at, html.encode("utf-8", "replace"), "utf-8")
        else:
            yield Input(own_url, at, None, text=strip_control(text), title=strip_control(title),
                        reason="" if text.strip() else "no_text")


def read_stdin() -> Iterator[Input]:
    """One page or text from standard input: HTML if it begins like that."""
    data = sys.stdin.buffer.read(MAX_BYTES + 1)
    at = timestamp()
    if len(data) > MAX_BYTES:
        yield Input("stdin:", at, None, reason="too_big")
    elif re.match(rb"\s*(\xef\xbb\xbf)?\s*<(!doctype|html|\?xml|head|body|!--)", data[:1000], re.IGNORECASE):
        yield Input("stdin:", at, data)
    else:
        yield Input("stdin:", at, None, text=_plain(data))


def _plain(data: bytes) -> str:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("windows-1252", errors="replace")
    return strip_control(text.replace("\r\n", "\n").replace("\r", "\n")).strip("\n")
