"""Inputs: pages and texts that did not come from the crawl: other people's WARC files, local files, standard input.

Read as streams, one page at a time, so that a WARC file of a gigabyte takes no more memory than its largest page.
A new file format is one reader and its line in ENDINGS.
"""

import io
import json
import logging
import re
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from warcio.archiveiterator import ArchiveIterator
from warcio.exceptions import ArchiveLoadFailed
from warcio.recordloader import ArcWarcRecord

from miniature_memory.core.errors import StageError
from miniature_memory.core.mojibake import mend_encoding
from miniature_memory.core.paths import shown
from miniature_memory.core.text import strip_control, timestamp

logger = logging.getLogger(__name__)

MAX_BYTES = 5_000_000  # of one page or text, as web.max_bytes; a longer one is rejected
HTML_TYPES = ("text/html", "application/xhtml+xml")
LOOKS_LIKE_HTML = re.compile(rb"\s*(\xef\xbb\xbf)?\s*<(!doctype|html|\?xml|head|body|!--)", re.IGNORECASE)


class Input(NamedTuple):
    """A page (`html`, with the charset that its server declared), or a text as it is (`html` is None)."""

    url: str
    fetched_at: str  # ISO 8601, UTC
    html: bytes | None
    charset: str = ""
    text: str = ""
    title: str = ""
    reason: str = ""  # why it is rejected


# --- WARC files ----------------------------------------------------------------------------------


def read_warc(path: Path) -> Iterator[Input]:
    """The HTML pages of a WARC file, gzipped or not, Common Crawl's too. Raises StageError if it is damaged."""
    try:
        with open(path, "rb") as stream:
            for record in ArchiveIterator(stream):
                if record.rec_type == "response" and (found := _page_of(record)):
                    yield found
    except OSError as error:
        raise _unreadable(path, error, "a WARC file") from None
    except (ArchiveLoadFailed, EOFError, ValueError) as error:
        what = " ".join(strip_control(str(error)).split())[:100]
        old, new = shlex.quote(shown(path)), shlex.quote(f"{shown(path)}.new.warc.gz")
        raise StageError(f"{shown(path)} is not a whole WARC file ({what}).",
                         "WARC 1.0 or 1.1, plain or with one gzip member per record.",
                         "download it again; or, if it is one gzip stream, rewrite it and use the new file: "
                         f".venv/bin/warcio recompress {old} {new}") from None


def _page_of(record: ArcWarcRecord) -> Input | None:
    """The page of a response record; None if it is not an HTML page."""
    headers = record.http_headers
    kind = (headers.get_header("Content-Type") or "").lower() if headers else ""
    if not headers or headers.get_statuscode() != "200" or kind.partition(";")[0].strip() not in HTML_TYPES:
        return None
    url = strip_control(record.rec_headers.get_header("WARC-Target-URI") or "")[:2000]
    date = strip_control(record.rec_headers.get_header("WARC-Date") or "")[:40]
    return next(_read_html(record.content_stream(), Input(url, date, None, charset_of(kind))))


def charset_of(content_type: str) -> str:
    found = re.search(r"charset\s*=\s*\"?([\w.:-]+)", content_type, re.IGNORECASE)
    return found[1] if found else ""


# --- files and standard input --------------------------------------------------------------------


def read_files(paths: Iterable[Path]) -> Iterator[Input]:
    """Local files, and all in local folders that have one of ENDINGS; a file of another ending is read as a text."""
    for path in paths:
        files = sorted(p for p in path.rglob("*") if p.suffix.lower() in ENDINGS) if path.is_dir() else [path]
        if not files:
            logger.warning("%s contains no file that ends in %s", shown(path), ", ".join(ENDINGS))
        for file in files:
            try:
                with open(file, "rb") as stream:
                    origin = Input(file.absolute().as_uri(), timestamp(file.stat().st_mtime), None, title=file.stem)
                    yield from ENDINGS.get(file.suffix.lower(), _read_text)(stream, origin)
            except OSError as error:
                raise _unreadable(file, error, f"a folder, or a file that ends in {', '.join(ENDINGS)}") from None


def read_stdin() -> Iterator[Input]:
    """One page or text from standard input: a page if it begins like HTML."""
    data = sys.stdin.buffer.read(MAX_BYTES + 1)
    read = _read_html if LOOKS_LIKE_HTML.match(data[:1000]) else _read_text
    yield from read(io.BytesIO(data), Input("stdin:", timestamp(), None))


def _unreadable(path: Path, error: OSError, expected: str) -> StageError:
    return StageError(f"{shown(path)} cannot be read ({error.strerror or error}).", f"{expected}.",
                      f"check its name and who may read it: ls -l {shlex.quote(shown(path.parent))}")


# --- formats -------------------------------------------------------------------------------------


def _read_html(stream: BinaryIO, origin: Input) -> Iterator[Input]:
    data = stream.read(MAX_BYTES + 1)
    yield origin._replace(html=data) if len(data) <= MAX_BYTES else origin._replace(reason="too_big")


def _read_text(stream: BinaryIO, origin: Input) -> Iterator[Input]:
    data = stream.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        yield origin._replace(reason="too_big")
        return
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("windows-1252", errors="replace")
    yield origin._replace(text=strip_control(mend_encoding(text.replace("\r\n", "\n").replace("\r", "\n"))).strip("\n"))


def _read_json_lines(stream: BinaryIO, origin: Input) -> Iterator[Input]:
    """JSON lines with a "text", as datatrove and datasets write them, or with an "html"."""
    while line := stream.readline(2 * MAX_BYTES):
        if not line.strip():
            continue
        try:
            content = json.loads(line)
            text, html = str(content.get("text", "")), content.get("html")
            metadata = content.get("metadata") or content
            own = origin._replace(url=str(metadata.get("url") or origin.url),
                                  title=strip_control(str(metadata.get("title") or "")))
        except (ValueError, AttributeError, RecursionError):
            yield origin._replace(reason="bad_json")
            continue
        if isinstance(html, str) and not text:
            yield own._replace(html=html.encode("utf-8", "replace"), charset="utf-8")
        else:
            yield own._replace(text=strip_control(mend_encoding(text)), reason="" if text.strip() else "no_text")


Reader = Callable[[BinaryIO, Input], Iterator[Input]]  # (the file, its URL, time and title) -> what it contains
ENDINGS: dict[str, Reader] = {
    ".html": _read_html, ".htm": _read_html, ".xhtml": _read_html,
    ".txt": _read_text, ".md": _read_text,
    ".jsonl": _read_json_lines,
}
