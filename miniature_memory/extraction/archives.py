"""Archives: the pages and texts of other people's WARC and ARC files, read as streams, one record at a time.

Every record is accounted for: as a page, as a text, or by the reason why it is neither.
"""

import os
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast

import zstandard
from warcio.archiveiterator import ArchiveIterator
from warcio.bufferedreaders import BufferedReader, ChunkedDataReader
from warcio.exceptions import ArchiveLoadFailed
from warcio.limitreader import LimitReader
from warcio.recordloader import ArcWarcRecord

from miniature_memory.core.errors import StageError
from miniature_memory.core.paths import own_program, shown, unreadable
from miniature_memory.core.text import strip_control
from miniature_memory.extraction.reading import (
    MAX_BYTES,
    Input,
    Unreadable,
    address_of,
    mark_of,
    plain_text,
    seekable,
)
from miniature_memory.responses.coding import UnpackError, unpack
from miniature_memory.responses.media_type import PAGE_STATUSES, media_type, page_rejection

MAX_URL_CHARS = 4096  # as crawl/urls.py
MAX_HEADER_LINES, MAX_HEADER_BYTES = 10_000, 1 << 20  # of a record; servers allow some 64 KB. Guess
MAX_DICTIONARY_BYTES = 20_000_000  # of a .warc.zst file; guess
FREE_BYTES, MOST_EXPANSION = 1 << 30, 1000  # that a .zst file may unpack to, and for each byte of it; gzip's limit
_ZSTD, _ZSTD_DICTIONARY = b"\x28\xb5\x2f\xfd", b"\x5d\x2a\x4d\x18"


Start = Callable[[Input], int | None]  # (a file, by its `source` and `mark`) -> where to begin; None: not to read it


def read_warc(path: Path, start: Start = lambda origin: 0) -> Iterator[Input]:
    """What is in a WARC or ARC file, plain, gzipped or .zst: Common Crawl's WARC and WET files, too.

    Raises StageError if the file is damaged.
    """
    try:
        with open(path, "rb") as stream:
            name = address_of(path)
            yield from read_warc_stream(stream, Input(name, "", None, source=name, mark=mark_of(path)), start, path)
    except OSError as error:
        raise unreadable(path, error, "a WARC file") from None


def read_warc_stream(stream: BinaryIO, origin: Input, start: Start, path: Path | None = None) -> Iterator[Input]:
    """The same of an open file. origin: its `source` and `mark`. path: where it is, if it is a local one."""
    if (first := start(origin)) is None:
        return
    try:
        yield from _inputs_of(stream, origin, first)
    except (ArchiveLoadFailed, EOFError, ValueError, OverflowError, zstandard.ZstdError) as error:
        raise _damaged(path, origin.source, " ".join(strip_control(str(error)).split())[:100]) from None
    except AttributeError:  # warcio's
        raise _damaged(path, origin.source, "a record without an address") from None


def split_warc(stream: BinaryIO, origin: Input) -> Iterator[Input]:
    """A WARC file among files of other kinds, whose damage is counted and ends nothing."""
    try:
        yield from _inputs_of(seekable(stream), origin)
    except (ArchiveLoadFailed, OverflowError, zstandard.ZstdError):  # the second: a length without end
        raise Unreadable("damaged") from None


def _inputs_of(stream: BinaryIO, origin: Input, start: int = 0) -> Iterator[Input]:
    """start: where a record begins in the file as it is, compressed or not."""
    unpacked = _unpacked(stream)
    if start:
        stream.seek(start)
    records = ArchiveIterator(unpacked)
    headers = _HeaderLimit(records.reader)
    for record in records:
        headers.begin()
        offset = str(records.offset) if records.fh is stream else ""  # else of what was unpacked
        yield _input_of(record)._replace(source=origin.source, mark=origin.mark, warc_offset=offset)
    if records.fh is stream and _is_left(stream, records.offset):
        yield origin._replace(reason="record_cut_short")


class _HeaderLimit:
    """Ends a file of which one record has more headers than can be meant: warcio keeps them all in memory."""

    def __init__(self, reader: BufferedReader) -> None:
        self._readline, reader.readline = reader.readline, self
        self.begin()

    def begin(self) -> None:
        self._lines, self._bytes = MAX_HEADER_LINES, MAX_HEADER_BYTES

    def __call__(self, length: int | None = None) -> bytes:
        line: bytes = self._readline(min(length or self._bytes, self._bytes))
        self._lines, self._bytes = self._lines - 1, self._bytes - len(line)
        if self._lines <= 0 or self._bytes <= 0:
            raise ArchiveLoadFailed("a record with too many headers")
        return line


def _damaged(path: Path | None, source: str, what: str) -> StageError:
    name = shown(path) if path else source
    file = shown(path) if path else PurePosixPath(source).name
    old, new = shlex.quote(file), shlex.quote(f"{file}.new.warc.gz")
    fix = "download it" + " again" * bool(path)
    if not file.endswith(".zst"):
        fix += (f"; or, if it is one gzip stream, rewrite it and use the new file: {own_program('warcio')} recompress "
                f"{old} {new}")
    return StageError(f"{name} is not a whole WARC file ({what}).",
                      "WARC 1.0 or 1.1, plain, .zst or with one gzip member per record.", fix)


def _unpacked(stream: BinaryIO) -> BinaryIO:
    """The stream, or what is in a .zst file, which may begin with a dictionary for its frames (IIPC, zstd in WARC)."""
    head = stream.read(8)
    stream.seek(0)
    if head[:4] not in (_ZSTD, _ZSTD_DICTIONARY):
        return stream
    dictionary = None
    if head[:4] == _ZSTD_DICTIONARY:
        size = int.from_bytes(head[4:], "little")
        if size > MAX_DICTIONARY_BYTES:
            raise ValueError("its dictionary is too big")
        stream.seek(8)
        dictionary = zstandard.ZstdCompressionDict(unpack(stream.read(size), "", MAX_DICTIONARY_BYTES))
    return cast(BinaryIO, _Unzstd(stream, dictionary))


class _Unzstd:
    """What is in a .zst file, as warcio reads it. Raises ArchiveLoadFailed if that is more than can be meant."""

    def __init__(self, stream: BinaryIO, dictionary: zstandard.ZstdCompressionDict | None) -> None:
        self.stream = stream
        self.unpacked = zstandard.ZstdDecompressor(dict_data=dictionary).stream_reader(stream, read_across_frames=True)

    def read(self, size: int = -1) -> bytes:
        data: bytes = self.unpacked.read(size)
        if self.tell() > FREE_BYTES + MOST_EXPANSION * self.stream.tell():
            raise ArchiveLoadFailed(f"it unpacks to more than {MOST_EXPANSION:,} times its size")
        return data

    def tell(self) -> int:
        return int(self.unpacked.tell())


def _is_left(stream: BinaryIO, offset: int) -> bool:
    """Whether something follows the last record: the beginning of another one."""
    stream.seek(0, os.SEEK_END)
    stream.seek(min(offset, stream.tell()))
    return bool(stream.read(1000).strip())


# --- records -------------------------------------------------------------------------------------


def _input_of(record: ArcWarcRecord) -> Input:
    """The page or text of a record, or why it has none."""
    named, http = record.rec_headers, record.http_headers
    url = strip_control(named.get_header("WARC-Target-URI") or named.get_header("uri") or "")[:MAX_URL_CHARS]
    date = strip_control(named.get_header("WARC-Date") or _iso_date(named.get_header("archive-date") or ""))[:40]
    origin = Input(url, date, None, headers=tuple(http.headers) if http else ())
    if record.rec_type == "revisit":
        return origin._replace(reason="revisit_record")  # its page is in another record
    if record.rec_type not in ("response", "resource", "conversion"):
        return origin._replace(reason="record_without_page")
    status = http.get_statuscode() if http else "200"
    if not (len(status) == 3 and status.isdecimal()):  # Python takes no number of thousands of digits
        return origin._replace(reason="bad_response")
    if int(status) not in PAGE_STATUSES:
        return origin._replace(reason=f"http_{status}")
    try:
        body = _body_of(record)
    except UnpackError as error:
        return origin._replace(reason=error.reason)
    if isinstance(record.raw_stream, LimitReader) and record.raw_stream.limit > 0:
        return origin._replace(reason="record_cut_short")
    types = [value for name, value in origin.headers if name.lower() == "content-type"] if http else \
        [named.get_header("Content-Type") or named.get_header("content-type") or ""]
    essence, charset = media_type(types)
    if essence == "text/plain" and not http:  # WET files
        return origin._replace(text=plain_text(body, charset))
    reason = page_rejection(essence, body[:2000])
    return origin._replace(reason=reason) if reason else origin._replace(html=body, charset=charset)


def _body_of(record: ArcWarcRecord) -> bytes:
    """The unpacked body. Raises UnpackError."""
    fields = {name.lower(): value.lower() for name, value in record.http_headers.headers} if record.http_headers else {}
    stream = record.raw_stream
    if fields.get("transfer-encoding") == "chunked":
        stream = ChunkedDataReader(stream, decomp_type=None)
    payload = stream.read(MAX_BYTES + 1)
    if len(payload) > MAX_BYTES:
        raise UnpackError("too_big")
    # only the beginning was kept, and the record says so
    is_truncated = bool(record.rec_headers.get_header("WARC-Truncated"))
    return unpack(payload, fields.get("content-encoding", ""), MAX_BYTES, truncate=is_truncated)


def _iso_date(digits: str) -> str:
    """ARC's date, 20261231235959, as WARC has it."""
    if len(digits) != 14 or not digits.isdecimal():
        return ""
    return f"{digits[:4]}-{digits[4:6]}-{digits[6:8]}T{digits[8:10]}:{digits[10:12]}:{digits[12:]}Z"
