"""Kinds of files: which reader reads which. A new kind is a line in ENDINGS, or in DOCUMENTS if a file is one document.

Readers run in the process that feeds the workers, and only take files apart; what parses a document is called in a
worker, with its deadline (read_document). Archives are never unpacked to disk, and an archive within one is not opened.
"""

import gzip
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import PurePosixPath
from typing import BinaryIO, NamedTuple
from urllib.parse import unquote

from lxml import etree

from miniature_memory.core.text import strip_control
from miniature_memory.extraction.archives import split_warc
from miniature_memory.extraction.mail import read_mail, split_mbox
from miniature_memory.extraction.markup import read_rst, read_subtitles
from miniature_memory.extraction.metadata import one_line
from miniature_memory.extraction.office import check_member, open_zip, read_chapter, read_docx, read_odt, split_epub
from miniature_memory.extraction.page import Extracted
from miniature_memory.extraction.parquet import split_parquet
from miniature_memory.extraction.pdf import HAS_PDFIUM, read_pdf
from miniature_memory.extraction.reading import (
    Allowance,
    Input,
    Reader,
    Unreadable,
    read_page,
    read_whole,
    text_of_file,
)
from miniature_memory.extraction.tables import split_json, split_json_lines, split_table
from miniature_memory.extraction.tex import read_tex
from miniature_memory.extraction.wrapped_lines import unwrap

MAX_MEMBERS = 20_000  # guess: of an archive
NOT_SHOWN = ("__pycache__", "__MACOSX", "node_modules")  # folders that hold no texts of the user's own
DAMAGE = (zipfile.BadZipFile, zlib.error, etree.LxmlError, EOFError, OSError, LookupError, ValueError, TypeError,
          AttributeError, NotImplementedError, RecursionError)  # what parsers raise for a damaged file

DOCUMENTS: dict[str, Callable[[bytes], Extracted]] = {
    ".docx": read_docx, ".odt": read_odt, ".pdf": read_pdf, ".rst": read_rst, ".tex": read_tex,
    ".srt": read_subtitles, ".vtt": read_subtitles, ".eml": read_mail, "chapter": read_chapter,
}


def read_document(job: Input) -> Extracted:
    """The text of a file that is one document of a kind in DOCUMENTS."""
    try:
        found = DOCUMENTS[job.kind](job.data)
    except Unreadable as error:
        return Extracted(reason=error.reason)
    except DAMAGE:
        return Extracted(reason="damaged")
    text = strip_control(found.text).strip("\n")
    return replace(found, text=text, title=one_line(found.title or job.title), license=found.license or job.license,
                   author=one_line(found.author or job.author),
                   reason=found.reason or ("" if text.strip() else "no_text"))


def read_safely(read: Reader, stream: BinaryIO, origin: Input) -> Iterator[Input]:
    """What `read` finds; if the file is damaged or is not read, what came before that, and then the reason."""
    try:
        yield from read(stream, origin)
    except Unreadable as error:
        yield origin._replace(reason=error.reason)
    except DAMAGE:
        yield origin._replace(reason="damaged")


def ending_of(name: str) -> str:
    """The ending that decides how a file is read: the longest known one, else the last one, in lower case."""
    suffixes = [suffix.lower() for suffix in PurePosixPath(name).suffixes[-2:]]
    both = "".join(suffixes)
    return both if both in ENDINGS else "".join(suffixes[-1:])


def is_hidden(name: str) -> bool:
    return any(part.startswith(".") or part in NOT_SHOWN for part in PurePosixPath(name).parts)


# --- readers -------------------------------------------------------------------------------------


def read_html(stream: BinaryIO, origin: Input) -> Iterator[Input]:
    yield origin._replace(html=read_page(stream))


def read_text(stream: BinaryIO, origin: Input) -> Iterator[Input]:
    yield origin._replace(text=unwrap(text_of_file(read_whole(stream))))  # a long one is divided


def take_document(stream: BinaryIO, origin: Input) -> Iterator[Input]:
    """A file for read_document."""
    kind = ending_of(unquote(origin.url))
    if kind == ".pdf" and not HAS_PDFIUM:
        raise Unreadable("needs_pypdfium2")
    yield origin._replace(kind=kind, data=read_whole(stream))


def read_gzip(stream: BinaryIO, origin: Input) -> Iterator[Input]:
    inner = PurePosixPath(unquote(origin.url)).name[:-len(".gz")]
    allowance = Allowance(stream)
    with gzip.GzipFile(fileobj=stream) as expanded:
        yield from _read_inner(allowance.limit(expanded), origin._replace(url=origin.url[:-len(".gz")]), inner)


def read_zip(stream: BinaryIO, origin: Input) -> Iterator[Input]:
    allowance = Allowance(stream)
    with open_zip(stream) as archive:
        members = [info for info in archive.infolist() if not info.is_dir() and not is_hidden(info.filename)]
        if len(members) > MAX_MEMBERS:
            raise Unreadable("too_many_files")
        for info in members:
            own = origin._replace(url=origin.at(info.filename))
            try:
                check_member(info)
                with archive.open(info) as expanded:
                    yield from _read_inner(allowance.limit(expanded), own, info.filename)
            except Unreadable as error:
                yield own._replace(reason=error.reason)
                if error.reason == "expands_too_much":
                    return
            except DAMAGE:
                yield own._replace(reason="damaged")


def _read_inner(stream: BinaryIO, origin: Input, name: str) -> Iterator[Input]:
    ending = ending_of(name)
    if ending in ARCHIVES:
        raise Unreadable("archive_in_archive")
    if ending not in ENDINGS:
        raise Unreadable("unknown_kind")
    yield from ENDINGS[ending](stream, origin._replace(title=PurePosixPath(name).stem))


class Need(NamedTuple):
    """Which files are not read without a package that is not installed by default."""

    ending: str
    extra: str  # of ./setup.sh --with


NEEDS = {"needs_pypdfium2": Need(".pdf", "texts"), "needs_pyarrow": Need(".parquet", "export")}  # by the reason
ARCHIVES: dict[str, Reader] = {".gz": read_gzip, ".zip": read_zip, ".parquet": split_parquet}  # of compressed parts
ENDINGS: dict[str, Reader] = {
    ".html": read_html, ".htm": read_html, ".xhtml": read_html, ".txt": read_text, ".md": read_text,
    ".csv": split_table, ".tsv": split_table, ".json": split_json, ".jsonl": split_json_lines,
    ".epub": split_epub, ".mbox": split_mbox, ".warc": split_warc, ".warc.gz": split_warc, ".warc.zst": split_warc,
    **{kind: take_document for kind in DOCUMENTS if kind.startswith(".")}, **ARCHIVES,
}
