"""Checksums: which of the committed bytes are there, and which of those no checksum proves."""

import contextlib
import os
import sqlite3
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

from miniature_memory.storage import records
from miniature_memory.storage.catalog import Catalog
from miniature_memory.storage.files import crc32_of


@dataclass
class Span:
    """Bytes of a file that no checksum proves."""

    offset: int
    end: int
    suspect: bool  # their checksum is wrong, and no problem has explained it yet


class Checksums:
    """What was found of each file that the audit has looked at."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self.there: dict[str, int] = {}  # file -> bytes that can be read of its committed ones
        self.spans: dict[str, list[Span]] = {}  # file -> in their order

    def measure(self, path: str, length: int) -> int:
        """How many of the `length` committed bytes of a file are there. Raises OSError for one that is there and closed
        to this user: it is not damaged."""
        self.there[path] = 0
        with contextlib.suppress(FileNotFoundError), open(self.catalog.root / path, "rb") as stream:
            self.there[path] = min(length, stream.seek(0, os.SEEK_END))
        return self.there[path]

    def verify(self, path: str, length: int) -> None:
        """Read the bytes that are there, and note where checksums are wrong or missing."""
        there = min(self.there[path], length)
        spans, end = list[Span](), 0
        for offset, n_bytes, crc in records.extents(self.catalog, path, there):
            if offset > end:
                spans.append(Span(end, offset, False))
            end = offset + n_bytes
            if end > there:
                spans.append(Span(offset, there, False))  # the problem with the file's length explains it
            elif not self._is_as_written(path, offset, n_bytes, crc):
                spans.append(Span(offset, end, True))
        self.spans[path] = spans + ([Span(end, there, False)] if end < there else [])

    def _is_as_written(self, path: str, offset: int, length: int, crc: int) -> bool:
        try:
            return crc32_of(self.catalog.root / path, offset, length) == crc
        except OSError:  # a bad place on the disk
            return False

    def unproven_at(self, row: sqlite3.Row) -> list[Span]:
        """The spans that a record touches."""
        spans = self.spans.get(row["file"], [])
        first = last = bisect_right(spans, row["offset"], key=lambda span: span.end)
        while last < len(spans) and spans[last].offset < row["offset"] + row["length"]:
            last += 1
        return spans[first:last]

    def suspects(self, folder: str) -> Iterator[tuple[str, Span]]:
        """(file, span) where the checksum is wrong though each record in the span is whole by itself."""
        for path, spans in self.spans.items():
            if path.startswith(folder):
                yield from ((path, span) for span in spans if span.suspect)
