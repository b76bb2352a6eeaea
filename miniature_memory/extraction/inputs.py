"""Inputs: pages and texts that did not come from the crawl: local files and standard input; archives.py has WARC files.

Read as streams, one page at a time. A new file format is one reader and its line in ENDINGS.
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

from miniature_memory.core.errors import StageError
from miniature_memory.core.mojibake import mend_encoding
from miniature_memory.core.paths import shown
from miniature_memory.core.text import strip_control, timestamp
from miniature_memory.extraction.license_names import MOST_CHARS, of_text
from miniature_memory.extraction.long_texts import divide
from miniature_memory.extraction.metadata import one_line
from miniature_memory.responses.charset import decode_text

logger = logging.getLogger(__name__)

MAX_BYTES = 5_000_000  # of one page or text, as web.max_bytes; a longer one is rejected
MAX_TEXT_BYTES = 64_000_000  # of a text, which is divided: ten times the longest novels
LOOKS_LIKE_HTML = re.compile(rb"\s*+(?:\xef\xbb\xbf\s*+)?<(!doctype|html|\?xml|head|body|!--)", re.IGNORECASE)


class Input(NamedTuple):
    """A page (`html`, with the charset that its server declared), or a text as it is (`html` is None)."""

    url: str
    fetched_at: str  # ISO 8601, UTC
    html: bytes | None
    charset: str = ""
    text: str = ""
    title: str = ""
    reason: str = ""  # why it is rejected
    headers: tuple[tuple[str, str], ...] = ()  # of the HTTP response
    source: str = ""  # the file that it came from
    license: str = ""  # as that file names it; a page's own is read later
    warc_offset: str = ""  # in `source`, where that is a WARC file


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
                    origin = Input(file.absolute().as_uri(), timestamp(file.stat().st_mtime), None, title=file.stem,
                                   source=file.absolute().as_uri())
                    for one in ENDINGS.get(file.suffix.lower(), _read_text)(stream, origin):
                        yield from divided(one)
            except OSError as error:
                raise unreadable(file, error, f"a folder, or a file that ends in {', '.join(ENDINGS)}") from None


def divided(origin: Input) -> Iterator[Input]:
    """A long text in parts that know their book and their place; anything else as it is."""
    parts = divide(origin.text)
    for number, part in enumerate(parts, 1):
        place = f"#part={number}" if len(parts) > 1 else ""
        title = ", ".join(filter(None, (origin.title, part.heading)))
        yield origin._replace(url=origin.url + place, title=title, text=part.text)


def read_stdin() -> Iterator[Input]:
    """One page or text from standard input: a page if it begins like HTML."""
    data = sys.stdin.buffer.read(MAX_BYTES + 1)
    read = _read_html if LOOKS_LIKE_HTML.match(data[:1000]) else _read_text
    yield from read(io.BytesIO(data), Input("stdin:", timestamp(), None, source="stdin:"))


def unreadable(path: Path, error: OSError, expected: str) -> StageError:
    return StageError(f"{shown(path)} cannot be read ({error.strerror or error}).", f"{expected}.",
                      f"check its name and who may read it: ls -l {shlex.quote(shown(path.parent))}")


# --- formats -------------------------------------------------------------------------------------


def _read_html(stream: BinaryIO, origin: Input) -> Iterator[Input]:
    data = stream.read(MAX_BYTES + 1)
    yield origin._replace(html=data) if len(data) <= MAX_BYTES else origin._replace(reason="too_big")


def _read_text(stream: BinaryIO, origin: Input) -> Iterator[Input]:
    data = stream.read(MAX_TEXT_BYTES + 1)
    is_whole = len(data) <= MAX_TEXT_BYTES
    yield origin._replace(text=plain_text(data)) if is_whole else origin._replace(reason="too_big")


def plain_text(data: bytes, charset: str = "") -> str:
    """The text in the bytes of a file, with "\\n" for every line end."""
    text = mend_encoding(decode_text(data, charset))
    return strip_control(text.replace("\r\n", "\n").replace("\r", "\n")).strip("\n")


def _read_json_lines(stream: BinaryIO, origin: Input) -> Iterator[Input]:
    """JSON lines with a "text", as datatrove and datasets write them, or with an "html"."""
    while line := stream.readline(2 * MAX_BYTES):
        if not line.strip():
            continue
        try:
            content = json.loads(decode_text(line))
            text, html, metadata = content.get("text"), content.get("html"), content.get("metadata")
        except (ValueError, AttributeError, RecursionError):
            yield origin._replace(reason="bad_json")
            continue
        metadata = metadata if isinstance(metadata, dict) else content
        own = origin._replace(url=_string(metadata.get("url")) or origin.url, title=_string(metadata.get("title")),
                              license=_license(metadata.get("license")))
        if isinstance(html, str) and not (isinstance(text, str) and text.strip()):
            yield own._replace(html=html.encode("utf-8", "replace"), charset="utf-8")
        elif isinstance(text, str):
            yield own._replace(text=strip_control(mend_encoding(text)), reason="" if text.strip() else "no_text")
        else:
            yield own._replace(reason="no_text" if text is None else "text_is_no_string")


def _string(value: object) -> str:
    return strip_control(value) if isinstance(value, str) else ""


def _license(value: object) -> str:
    """A license by its name where that is known, else as the file has it."""
    stated = one_line(_string(value)[:MOST_CHARS])
    return of_text(stated) or stated


Reader = Callable[[BinaryIO, Input], Iterator[Input]]  # (the file, its URL, time and title) -> what it contains
ENDINGS: dict[str, Reader] = {
    ".html": _read_html, ".htm": _read_html, ".xhtml": _read_html,
    ".txt": _read_text, ".md": _read_text,
    ".jsonl": _read_json_lines,
}
