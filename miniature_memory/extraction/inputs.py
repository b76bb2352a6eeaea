"""Inputs: pages and texts that did not come from the crawl: other people's WARC files, local files, standard input.

Read as streams, one page at a time, so that a WARC file of a gigabyte takes no more memory than its largest page.
A new kind of file is a line in file_kinds.py.
"""

import io
import logging
import os
import re
import shlex
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from warcio.archiveiterator import ArchiveIterator
from warcio.exceptions import ArchiveLoadFailed
from warcio.recordloader import ArcWarcRecord

from miniature_memory.core.errors import StageError
from miniature_memory.core.paths import shown
from miniature_memory.core.text import strip_control, timestamp
from miniature_memory.extraction.file_kinds import ENDINGS, ending_of, is_hidden, read_html, read_safely, read_text
from miniature_memory.extraction.reading import MAX_BYTES, Input, Reader, Unreadable

logger = logging.getLogger(__name__)

HTML_TYPES = ("text/html", "application/xhtml+xml")
LOOKS_LIKE_HTML = re.compile(rb"\s*(\xef\xbb\xbf)?\s*<(!doctype|html|\?xml|head|body|!--)", re.IGNORECASE)


# --- WARC files ----------------------------------------------------------------------------------


def read_warc(path: Path) -> Iterator[Input]:
    """The HTML pages of a WARC file, gzipped or not, Common Crawl's too. Raises StageError if it is damaged."""
    try:
        with open(path, "rb") as stream:
            yield from _pages(stream)
    except OSError as error:
        raise _unreadable(path, error, "a WARC file") from None
    except (ArchiveLoadFailed, EOFError, ValueError) as error:
        what = " ".join(strip_control(str(error)).split())[:100]
        old, new = shlex.quote(shown(path)), shlex.quote(f"{shown(path)}.new.warc.gz")
        raise StageError(f"{shown(path)} is not a whole WARC file ({what}).",
                         "WARC 1.0 or 1.1, plain or with one gzip member per record.",
                         "download it again; or, if it is one gzip stream, rewrite it and use the new file: "
                         f".venv/bin/warcio recompress {old} {new}") from None


def _pages(stream: BinaryIO) -> Iterator[Input]:
    for record in ArchiveIterator(stream):
        if record.rec_type == "response" and (found := _page_of(record)):
            yield found


def _split_warc(stream: BinaryIO, origin: Input) -> Iterator[Input]:
    """A WARC file among others, of which damage is counted and no error."""
    try:
        yield from _pages(stream)
    except ArchiveLoadFailed:
        raise Unreadable("damaged") from None


def _page_of(record: ArcWarcRecord) -> Input | None:
    """The page of a response record; None if it is not an HTML page."""
    headers = record.http_headers
    kind = (headers.get_header("Content-Type") or "").lower() if headers else ""
    if not headers or headers.get_statuscode() != "200" or kind.partition(";")[0].strip() not in HTML_TYPES:
        return None
    url = strip_control(record.rec_headers.get_header("WARC-Target-URI") or "")[:2000]
    date = strip_control(record.rec_headers.get_header("WARC-Date") or "")[:40]
    return next(read_html(record.content_stream(), Input(url, date, None, charset_of(kind))))


def charset_of(content_type: str) -> str:
    found = re.search(r"charset\s*=\s*\"?([\w.:-]+)", content_type, re.IGNORECASE)
    return found[1] if found else ""


# --- files and standard input --------------------------------------------------------------------


def read_files(paths: Iterable[Path]) -> Iterator[Input]:
    """Local files, and all in local folders whose kind is known. A file that is named itself is always read."""
    reasons: Counter[str] = Counter()
    for path in paths:
        for one in _read_folder(path) if path.is_dir() else _read_file(path):
            reasons[one.reason] += 1
            yield one
    if n_pdfs := reasons["needs_pypdfium2"]:
        logger.warning("skipped: %d .pdf, since the package that reads them is not installed. "
                       "Fix: ./setup.sh --with texts", n_pdfs)


def _read_folder(folder: Path) -> Iterator[Input]:
    """The files of a folder and the folders in it, in order. Links to folders, which may go round, are not followed."""
    unknown: Counter[str] = Counter()
    n_known = 0
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not is_hidden(name))
        for file in (Path(parent, name) for name in sorted(names) if not is_hidden(name)):
            if not file.is_file():  # a pipe would wait for ever
                continue
            ending = ending_of(file.name)
            if ending in READERS:
                n_known += 1
                yield from _read_file(file, in_folder=True)
            else:
                unknown[ending or "without an ending"] += 1
                yield _origin(file)._replace(reason="unknown_kind")
    if unknown:
        logger.warning("%s: skipped: %s. A file that is named itself is read as plain text.", shown(folder),
                       ", ".join(f"{n} {ending}" for ending, n in unknown.most_common(20)))
    if not n_known:
        logger.warning("%s contains no file that ends in %s", shown(folder), ", ".join(READERS))


def _read_file(file: Path, in_folder: bool = False) -> Iterator[Input]:
    try:
        with open(file, "rb") as stream:
            yield from read_safely(READERS.get(ending_of(file.name), read_text), stream, _origin(file))
    except OSError as error:
        if not in_folder:
            raise _unreadable(file, error, f"a folder, or a file that ends in {', '.join(READERS)}") from None
        yield _origin(file)._replace(reason="cannot_be_read")


def _origin(file: Path) -> Input:
    return Input(file.absolute().as_uri(), timestamp(file.stat().st_mtime), None, title=file.stem)


def read_stdin() -> Iterator[Input]:
    """One page or text from standard input: a page if it begins like HTML."""
    data = sys.stdin.buffer.read(MAX_BYTES + 1)
    read = read_html if LOOKS_LIKE_HTML.match(data[:1000]) else read_text
    yield from read_safely(read, io.BytesIO(data), Input("stdin:", timestamp(), None))


def _unreadable(path: Path, error: OSError, expected: str) -> StageError:
    return StageError(f"{shown(path)} cannot be read ({error.strerror or error}).", f"{expected}.",
                      f"check its name and who may read it: ls -l {shlex.quote(shown(path.parent))}")


READERS: dict[str, Reader] = {**ENDINGS, ".warc": _split_warc, ".warc.gz": _split_warc}
