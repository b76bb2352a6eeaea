"""Reading: what the readers of all kinds of files share: what they yield, their limits, and how they give up."""

import io
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, Protocol
from urllib.parse import quote

from miniature_memory.core.mojibake import mend_encoding
from miniature_memory.core.text import strip_control
from miniature_memory.responses.charset import decode_text

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

MAX_BYTES = 5_000_000  # of one page or text, as web.max_bytes; a longer one is rejected
MAX_FILE_BYTES = 50_000_000  # of a file that is read as a whole, such as a PDF file with its pictures. Guess
SETTLED_SEC = 2.0  # between two times of a file that every file system tells apart; FAT counts in steps of two
AHEAD_SEC = 86_400.0  # that another machine's clock may be ahead of ours; later times are no clock's. Guess
MAX_RATIO = 200  # of expanded to compressed bytes, beyond MAX_FILE_BYTES; text has 2 to 20, a zip bomb 1,000. Guess


class Input(NamedTuple):
    """A page (`html`, with the charset that its server declared), a file (`data`) of a `kind`, or else a text."""

    url: str
    fetched_at: str  # ISO 8601, UTC
    html: bytes | None
    charset: str = ""
    text: str = ""
    title: str = ""
    reason: str = ""  # why it is rejected
    headers: tuple[tuple[str, str], ...] = ()  # of the HTTP response
    author: str = ""
    kind: str = ""  # in file_kinds.DOCUMENTS
    data: bytes = b""
    source: str = ""  # the file that it came from
    license: str = ""  # as that file names it; a page's own is read later
    warc_offset: str = ""  # in `source`, where that is a WARC file
    published: str = ""  # this and the next two as a table or dataset has them
    language: str = ""
    split: str = ""  # of a document that a dataset's maker has already put there: "train" or "val"
    mark: str = ""  # size and time of the local file `source`, another one once it has changed; "" if that is not sure

    def at(self, place: str) -> str:
        """The URL of a place within this file; within an archive, of one within its member."""
        return f"{self.url}{'/' if '#' in self.url else '#'}{quote(place, safe='/=')}"


Reader = Callable[[BinaryIO, Input], Iterator[Input]]  # (the file, its URL, time and title) -> what it contains


class Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


class Unreadable(Exception):
    """A file, or the rest of it, cannot be read. `reason` is what is counted."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def read_page(stream: BinaryIO) -> bytes:
    """A page or text. Raises Unreadable if it is longer than one may be."""
    return read_whole(stream, MAX_BYTES)


def read_whole(stream: Readable, max_bytes: int = MAX_FILE_BYTES) -> bytes:
    data = stream.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise Unreadable("too_big")
    return data


def seekable(stream: BinaryIO) -> BinaryIO:
    """A stream of the same content that can be read from anywhere."""
    return stream if stream.seekable() else io.BytesIO(read_whole(stream))


def address_of(file: Path) -> str:
    """file:///... without the dots of a relative path, so that a file has one address from wherever it is named."""
    return Path(os.path.abspath(file)).as_uri()


def mark_of(file: Path) -> str:
    """The `mark` of a local file. Raises OSError if there is none."""
    found = file.stat()
    may_change = -AHEAD_SEC < time.time() - found.st_mtime <= SETTLED_SEC
    return "" if may_change else f"{found.st_size} {found.st_mtime_ns}"


def is_binary(data: bytes) -> bool:
    """Whether bytes are no text in any encoding: a NUL or many control characters at their beginning."""
    begin = decode_text(data[:8000])
    n_controls = sum(char < " " and char not in "\t\n\r\f" for char in begin)
    return "\x00" in begin or n_controls * 10 > len(begin)  # guess: terminal logs have some


def text_of_file(data: bytes) -> str:
    """The text of a file. Raises Unreadable for a binary."""
    if is_binary(data):
        raise Unreadable("binary")
    return plain_text(data)


def plain_text(data: bytes, charset: str = "") -> str:
    """The text in bytes, with "\\n" for every line end."""
    text = mend_encoding(decode_text(data, charset))
    return strip_control(text.replace("\r\n", "\n").replace("\r", "\n")).strip("\n")


class Allowance:
    """How many bytes a compressed file may still expand to, over all its members."""

    def __init__(self, compressed: BinaryIO) -> None:
        self.left = MAX_FILE_BYTES
        if compressed.seekable():  # what is within an archive is not
            self.left = max(self.left, MAX_RATIO * compressed.seek(0, io.SEEK_END))
            compressed.seek(0)

    def take(self, n_bytes: int) -> None:
        self.left -= n_bytes
        if self.left < 0:
            raise Unreadable("expands_too_much")

    def limit(self, expanded: Readable) -> BinaryIO:
        """`expanded` as a stream that raises Unreadable once the allowance is used up."""
        return io.BufferedReader(_Limited(expanded, self))


class _Limited(io.RawIOBase):
    def __init__(self, stream: Readable, allowance: Allowance) -> None:
        self.stream, self.allowance = stream, allowance

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        view = memoryview(buffer)
        data = self.stream.read(len(view))
        self.allowance.take(len(data))
        view[:len(data)] = data
        return len(data)
