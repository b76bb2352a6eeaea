"""Audit: does the dataset still hold what was written? And what is to be done where it does not.

1. Each file has its committed length, and each of its extents its CRC-32. What older versions wrote has none.
2. Each document says what its row says: the id of a raw one is the SHA-256 of its text. Pages are unpacked and held
   against their digests only where 1 proves nothing. No id stands twice: rows have it once, and lines as their rows.
3. The catalog agrees with itself: cursors, tokenizer, the lengths of the bins.

Each finding says what was found, where, and how to fix it, and brings its own repair. A repair copies what is damaged
to data/damaged/ and lets the catalog pass it over; no file of the dataset is rewritten, and nothing is deleted. What
can be told singly is set aside singly. If an extent is broken and each of its records is whole by itself, then the
change is where a record does not show it, and the extent is the smallest thing that can be named.

Memory stays flat: rows are read in order, and only broken extents are remembered.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import sqlite3
import time
import zlib
from array import array
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from warcio.archiveiterator import ArchiveIterator
from warcio.exceptions import ArchiveLoadFailed
from warcio.statusandheaders import StatusAndHeadersParserException

from miniature_memory.core.errors import StageError
from miniature_memory.core.paths import make_folder
from miniature_memory.core.progress import Progress
from miniature_memory.core.text import timestamp
from miniature_memory.storage.catalog import Catalog
from miniature_memory.storage.duplicates import forget
from miniature_memory.storage.files import CHUNK_BYTES, crc32_of, free_name, fsync_folder
from miniature_memory.storage.rejections import REJECTED
from miniature_memory.training import tokenizer as tokenizers
from miniature_memory.validation.documents import DAMAGED, NOT_WHOLE, parse

ASIDE = "data/damaged"
MAX_RECORD_BYTES = 1 << 28  # of a page, unpacked: damage may look like a bomb. Guess: fifty times web.max_bytes
TABLES = {"data/raw": "documents", "data/clean": "clean_documents", "data/pages": "pages"}
READS = {"extract": "pages", "validate": "documents", "clean": "documents", "prepare": "clean_documents"}
BINS = ("data/train.bin", "data/val.bin")
PREPARE = "python3 run.py --only prepare"
REBUILD = ".venv/bin/python clean.py --rebuild"


class Finding(NamedTuple):
    """Something that is not as it should be, in sentences."""

    found: str  # what and where
    fix: str
    repair: Callable[[], None] | None  # None: only a person can fix it


@dataclass
class Span:
    """Bytes of a file that no checksum proves."""

    offset: int
    end: int
    suspect: bool  # their checksum is wrong, and no finding has told why yet


@dataclass
class Tally:
    """What was counted while reading."""

    raw_documents: int = 0  # whole ones
    raw_words: int = 0
    clean_words: array[int] = field(default_factory=lambda: array("I"))  # of each document
    days: Counter[str] = field(default_factory=Counter)  # on which raw documents were fetched
    damaged: int = 0  # raw documents that were found so this time


class Audit:
    """One walk through the dataset of an open catalog."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self.there: dict[str, int] = {}  # file -> bytes that can be read of its committed ones
        self.short: set[str] = set()  # files with fewer than those
        self.spans: dict[str, list[Span]] = {}  # file -> in their order
        self.tally = Tally()

    def findings(self) -> Iterator[Finding]:
        """Every finding. The caller may repair one before it asks for the next, and then finds no consequences of it.

        Raises StageError if the catalog itself is damaged: then nothing can be said of the rest.
        """
        try:
            self.check_catalog()
            yield from self.files()
            yield from self.raw()
            yield from self.clean()
            yield from self.pages()
            yield from self.tokenizer_and_bins()
            yield from self.cursors()
        except sqlite3.DatabaseError as error:
            raise damaged_catalog(str(error)) from None

    def check_catalog(self) -> None:
        answer = self.catalog.value("PRAGMA integrity_check(1)")
        if answer != "ok":
            raise damaged_catalog(answer)

    # --- files ---------------------------------------------------------------

    def files(self) -> Iterator[Finding]:
        """Files that are too short. On the way, what no checksum proves is noted."""
        rows = self.catalog.execute("SELECT path, length FROM files WHERE NOT dropped AND path != ? ORDER BY path",
                                    [REJECTED]).fetchall()
        progress = Progress(desc="files", total=sum(row["length"] for row in rows), unit="B", unit_scale=True)
        for path, length in rows:
            file = self.catalog.root / path
            self.there[path] = min(length, file.stat().st_size) if file.exists() else 0
            if self.there[path] < length and self._table_of(path):
                self.short.add(path)
                yield self._short_file(path, length)
            self.spans[path] = self._unproven(path, min(length, self.catalog.length(path)))
            progress.update(length)
        progress.close()

    def _table_of(self, path: str) -> str:
        return TABLES.get(path.rpartition("/")[0], "")

    def _short_file(self, path: str, length: int) -> Finding:
        there, table = self.there[path], self._table_of(path)
        lost = self.catalog.value(f"SELECT count(*) FROM {table} WHERE file = ? AND offset + length > ?", [path, there])
        what = f"ends at byte {there}" if (self.catalog.root / path).exists() else "is missing"
        return Finding(f"{path} {what}; {length} bytes of it were committed, and {count(lost, table)} lie beyond.",
                       f"put the file back from a copy; or --repair goes on without them.{how_to_get_back(table)}",
                       partial(self._cut, path))

    def _cut(self, path: str) -> None:
        """Go on from the last whole record that is there."""
        table = self._table_of(path)
        whole = "AND validation != 'damaged'" if table == "documents" else ""
        end = self.catalog.value(f"SELECT max(offset + length) FROM {table} WHERE file = ? AND offset + length <= ? "
                                 f"{whole}", [path, self.there[path]]) or 0
        self._copy(path, end, self.there[path] - end)
        with self.catalog.record():
            self._pass_over(table, "file = ? AND offset + length > ?", [path, end])
            self.catalog.log.shorten(path, end)

    def _unproven(self, path: str, length: int) -> list[Span]:
        """Where checksums are wrong or missing, in the bytes that are there."""
        spans, end, there = [], 0, min(self.there[path], length)
        for offset, n_bytes, crc in self.catalog.execute(
                "SELECT offset, length, crc32 FROM extents WHERE path = ? AND offset < ? ORDER BY offset",
                [path, there]).fetchall():
            if offset > end:
                spans.append(Span(end, offset, False))
            end = offset + n_bytes
            if end > there:
                spans.append(Span(offset, there, False))  # the finding about the file's length tells why
            elif not self._is_as_written(path, offset, n_bytes, crc):
                spans.append(Span(offset, end, True))
        return spans + ([Span(end, there, False)] if end < there else [])

    def _is_as_written(self, path: str, offset: int, length: int, crc: int) -> bool:
        try:
            return crc32_of(self.catalog.root / path, offset, length) == crc
        except OSError:  # a bad place on the disk
            return False

    def _unproven_at(self, row: sqlite3.Row) -> list[Span]:
        """The spans that a record touches."""
        spans = self.spans.get(row["file"], [])
        first = last = bisect_right(spans, row["offset"], key=lambda span: span.end)
        while last < len(spans) and spans[last].offset < row["offset"] + row["length"]:
            last += 1
        return spans[first:last]

    def _suspects(self, folder: str) -> Iterator[tuple[str, Span]]:
        """Spans whose checksum is wrong though each record in them is whole by itself."""
        for path, spans in self.spans.items():
            if path.startswith(folder):
                yield from ((path, span) for span in spans if span.suspect)

    # --- records -------------------------------------------------------------

    def _rows(self, table: str) -> Iterator[sqlite3.Row]:
        """The rows whose records should be whole and are not known to be missing."""
        total = self.catalog.count_new("nobody", table)
        for row in Progress(self.catalog.new_rows("nobody", table), table, total, unit=" rows"):
            known = table == "documents" and row["validation"] in NOT_WHOLE
            lost = row["file"] in self.short and row["offset"] + row["length"] > self.there[row["file"]]
            if not known and not lost:
                yield row

    def _read(self, row: sqlite3.Row) -> tuple[bytes, str]:
        """(record, why it cannot be read)."""
        try:
            return self.catalog.read(row["file"], row["offset"], row["length"]), ""
        except StageError:
            return b"", "the catalog names bytes that its file does not have"
        except OSError as error:
            return b"", f"it cannot be read: {error.strerror}"

    def _damaged(self, table: str, row: sqlite3.Row, name: str, why: str) -> Finding:
        for span in self._unproven_at(row):
            span.suspect = False
        return Finding(f"{row['file']}, byte {row['offset']}: {name} is damaged ({why}).",
                       f"--repair sets it aside.{how_to_get_back(table)}", partial(self._set_aside, table, row))

    def raw(self) -> Iterator[Finding]:
        for row in self._rows("documents"):
            line, why = self._read(row)
            document, refusal = parse(line, row["id"])
            if refusal or document["metadata"]["url"] != row["url"]:
                why = why or (f"{refusal.reason}: {refusal.value}" if refusal else "another address")
                self.tally.damaged += 1
                yield self._damaged("documents", row, f"document {row['id']} of {row['url']}", why)
                continue
            self.tally.raw_documents += 1
            self.tally.raw_words += len(document["text"].split())
            self.tally.days[document["metadata"]["fetched_at"][:10]] += 1
        for path, span in self._suspects("data/raw/"):
            yield Finding(f"{path}, bytes {span.offset} to {span.end}: titles or other metadata have changed since "
                          "they were written; the texts are whole, by their SHA-256.",
                          "--repair copies these bytes and takes them as they are.", partial(self._accept, path, span))

    def clean(self) -> Iterator[Finding]:
        for row in self._rows("clean_documents"):
            line, why = self._read(row)
            text, fault = clean_fault(line, row)
            if not fault and not self.catalog.value("SELECT 1 FROM documents WHERE id = ?", [row["id"]]):
                fault = "no raw document has its id"
            if why or fault:
                yield self._damaged("clean_documents", row, f"document {row['id']}", why or fault)
            else:
                self.tally.clean_words.append(len(text.split()))
        for path, span in self._suspects("data/clean/"):
            n = self.catalog.value("SELECT count(*) FROM clean_documents WHERE file = ? AND offset < ? "
                                   "AND offset + length > ?", [path, span.end, span.offset])
            yield Finding(f"{path}, bytes {span.offset} to {span.end}: something in {count(n, 'clean_documents')} has "
                          "changed since it was written; which one of them cannot be told.",
                          f"--repair sets all of them aside.{how_to_get_back('clean_documents')}",
                          partial(self._set_span_aside, path, span))

    def pages(self) -> Iterator[Finding]:
        for row in self._rows("pages"):
            if self._unproven_at(row):
                member, why = self._read(row)
                if why := why or page_fault(member, row["url"]):
                    yield self._damaged("pages", row, f"the page {row['url']}", why)
        for path, span in self._suspects("data/pages/"):
            offset = first_bad_member(self.catalog.root / path, span)
            yield Finding(f"{path}, byte {offset}: a record that is no page (a request, a redirect) is damaged; the "
                          "pages are whole.",
                          "--repair copies these bytes and passes them over; nothing depends on them.",
                          partial(self._accept, path, span))

    # --- tokenizer and bins --------------------------------------------------

    def tokenizer_and_bins(self) -> Iterator[Finding]:
        vocab_size = tokenizers.MAX_VOCAB_SIZE
        if self.catalog.value("SELECT 1 FROM growth") or any(map(self.catalog.length, BINS)):
            try:
                tokenizer = tokenizers.load(self.catalog.root / "data/tokenizer")
            except StageError as error:
                yield Finding(str(error), "put the two files back from a copy: the bins and the model are of this "
                              "tokenizer alone.", None)
            else:
                vocab_size = tokenizer.vocab_size
                yield from self._tokenizer_changes(tokenizer.hash)
        faults = [fault for path in BINS if (fault := self._bin_fault(path, vocab_size))]
        for fault in faults:
            yield Finding(fault, f"--repair sets both bins aside; {PREPARE} makes them anew from the clean documents.",
                          self._set_bins_aside)
        if not faults:
            yield from self._growth()

    def _tokenizer_changes(self, tokenizer_hash: str) -> Iterator[Finding]:
        changed = list(self._suspects("data/tokenizer/"))
        for path, span in changed:
            yield Finding(f"{path}, bytes {span.offset} to {span.end}: changed since they were written.",
                          "put the file back from a copy; or --repair takes it as it is, for it can be loaded.",
                          partial(self._accept, path, span))
        bins_json = self.catalog.root / "data/bins.json"
        try:
            found = json.loads(bins_json.read_text(encoding="utf-8"))["tokenizer_hash"]
        except FileNotFoundError:
            return  # it is derived: prepare writes it
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            found = ""
        if found != tokenizer_hash:
            yield Finding("data/bins.json does not name the tokenizer that lies in data/tokenizer.",
                          "put back the tokenizer that the bins were made with." if changed else
                          f"--repair sets it aside, and {PREPARE} writes it anew.",
                          None if changed else partial(self._rename_aside, bins_json))

    def _bin_fault(self, path: str, vocab_size: int) -> str:
        """What is wrong with a bin, in a sentence; or ""."""
        length = self.catalog.length(path)
        if self.there.get(path, 0) < length:
            return f"{path} holds {self.there[path]} bytes; {length} were committed."
        if length % 2:
            return f"{path} has an odd number of bytes ({length}); a token takes two."
        if span := next((span for span in self.spans.get(path, []) if span.suspect), None):
            return f"{path}, bytes {span.offset} to {span.end}: changed since they were written."
        bad = tokenizers.first_bad_id(self.catalog.root / path, length // 2, vocab_size) if length else None
        return f"{path}, byte {2 * bad.place}: an id that is not below {vocab_size}." if bad else ""

    def _growth(self) -> Iterator[Finding]:
        last = self.catalog.execute("SELECT train_tokens, val_tokens FROM growth ORDER BY step DESC LIMIT 1").fetchone()
        told, held = list(last or (0, 0)), [self.catalog.length(path) // 2 for path in BINS]
        is_stale = self.catalog.state("prepare.stale", False) and not any(held)
        if told == held or is_stale:
            return
        what = (f"The bins hold {held[0]} and {held[1]} tokens; after the last growth step they held "
                f"{told[0]} and {told[1]}.")
        if held[0] < told[0] or held[1] < told[1]:
            yield Finding(what, f"--repair sets both bins aside; {PREPARE} makes them anew.",
                          self._set_bins_aside)
        elif not self.catalog.count_new("prepare", "clean_documents"):  # else a run was stopped, and goes on by itself
            yield Finding(what, f"--repair adds the growth step; so does {PREPARE}.",
                          partial(self._add_growth, held))

    # --- cursors -------------------------------------------------------------

    def cursors(self) -> Iterator[Finding]:
        for stage, table in READS.items():
            at, last = self.catalog.cursor(stage), self._last(table)
            if at > last:
                yield Finding(f"The cursor of {stage} stands at {at}, but the last row of {table} is {last}: what is "
                              "added next would be passed over.", "--repair sets it back to there.",
                              partial(self._set_cursor, stage, last))
        clean, validate = self.catalog.cursor("clean"), self.catalog.cursor("validate")
        if clean > validate:
            kept = self.catalog.value("SELECT max(seq) FROM documents WHERE seq > ? AND id IN "
                                      "(SELECT id FROM clean_documents)", [validate])
            yield Finding(f"The cursor of clean stands at {clean}, beyond that of validate at {validate}.",
                          f"run {REBUILD}, for clean has kept documents that were not judged." if kept else
                          "--repair sets it back to there.",
                          None if kept else partial(self._set_cursor, "clean", validate))

    def _last(self, table: str) -> int:
        return self.catalog.value(f"SELECT max(seq) FROM {table}") or 0

    # --- repairs -------------------------------------------------------------

    def _set_aside(self, table: str, row: sqlite3.Row) -> None:
        self._copy(row["file"], row["offset"], row["length"])
        with self.catalog.record():
            self._pass_over(table, "seq = ?", [row["seq"]])
            self._take_as_it_is(row["file"], row["offset"], row["length"])

    def _set_span_aside(self, path: str, span: Span) -> None:
        """Set all clean documents aside that touch a span."""
        self._copy(path, span.offset, span.end - span.offset)
        with self.catalog.record():
            self._pass_over("clean_documents", "file = ? AND offset < ? AND offset + length > ?",
                            [path, span.end, span.offset])
            self._take_as_it_is(path, span.offset, span.end - span.offset)

    def _accept(self, path: str, span: Span) -> None:
        self._copy(path, span.offset, span.end - span.offset)
        with self.catalog.record():
            self._take_as_it_is(path, span.offset, span.end - span.offset)

    def _take_as_it_is(self, path: str, offset: int, length: int) -> None:
        with contextlib.suppress(OSError):  # it cannot be read and stays a finding: the disk is failing
            self.catalog.log.accept(path, offset, length)

    def _pass_over(self, table: str, where: str, parameters: list[Any]) -> None:
        """Let no stage read these rows' records again, within a record() block."""
        if table == "documents":
            self.catalog.execute(f"UPDATE documents SET validation = '{DAMAGED}' WHERE {where}", parameters)
            return
        if table == "pages":  # what extract has not read yet is fetched anew
            self.catalog.execute(
                "UPDATE urls SET due_at = ?, etag = '', last_modified = '', payload_hash = '' WHERE id IN "
                f"(SELECT url_id FROM pages WHERE {where} AND seq > ?)",
                [time.time(), *parameters, self.catalog.cursor("extract")])
        if table == "clean_documents":
            forget(self.catalog, where, parameters)
        self.catalog.execute(f"DELETE FROM {table} WHERE {where}", parameters)
        for stage in (stage for stage, reads in READS.items() if reads == table):  # seq goes on from the last row
            self.catalog.execute("UPDATE cursors SET seq = min(seq, ?) WHERE stage = ?", [self._last(table), stage])

    def _set_bins_aside(self) -> None:
        for path in BINS:
            self._rename_aside(self.catalog.root / path)
        with self.catalog.record():
            for path in BINS:
                self.catalog.log.shorten(path, 0)
            self.catalog.set_state("prepare.stale", True)

    def _add_growth(self, held: list[int]) -> None:
        with self.catalog.record():
            self.catalog.execute(
                "INSERT INTO growth (at, documents, train_tokens, val_tokens) SELECT ?, count(*), ?, ? "
                "FROM clean_documents WHERE seq <= ?",
                [timestamp(), *held, self.catalog.cursor("prepare")])

    def _set_cursor(self, stage: str, seq: int) -> None:
        with self.catalog.record():
            self.catalog.advance(stage, seq)

    def _rename_aside(self, path: Path) -> None:
        if path.exists():
            os.rename(path, free_name(make_folder(self.catalog.root / ASIDE) / path.name))
            fsync_folder(self.catalog.root / ASIDE)

    def _copy(self, path: str, offset: int, length: int) -> None:
        """Copy a part of a file, as much of it as can be read, to data/damaged/FOLDER-FILE.OFFSET."""
        source = self.catalog.root / path
        if length <= 0 or not source.exists():
            return
        name = f"{Path(path).parent.name}-{Path(path).name}.{offset}"
        with open(source, "rb") as stream, \
                open(free_name(make_folder(self.catalog.root / ASIDE) / name), "xb") as copy:
            stream.seek(offset)
            with contextlib.suppress(OSError):
                while length and (chunk := stream.read(min(length, CHUNK_BYTES))):
                    copy.write(chunk)
                    length -= len(chunk)
            copy.flush()
            os.fsync(copy.fileno())
        fsync_folder(self.catalog.root / ASIDE)


def damaged_catalog(why: str) -> StageError:
    return StageError(f"data/catalog.sqlite3 is damaged ({why}).", "a whole SQLite database.",
                      "put back a copy, or save what is left of it: sqlite3 data/catalog.sqlite3 .recover")


def count(n: int, table: str) -> str:
    noun = "page" if table == "pages" else "document"
    return f"{n} {noun}{'s' if n != 1 else ''}"


def how_to_get_back(table: str) -> str:
    return {"documents": f" A clean copy, where there is one, stays in use until {REBUILD}.",
            "clean_documents": f" {REBUILD} makes it anew from raw.",
            "pages": " What was extracted from it stays; if nothing was, it is fetched anew."}[table]


# --- one record ----------------------------------------------------------------------------------


def clean_fault(line: bytes, row: sqlite3.Row) -> tuple[str, str]:
    """(text, what is wrong with the line of a clean document)."""
    try:
        document = json.loads(line.decode("utf-8"))
        found, text = document["id"], document["text"]
        n_bytes = len(text.encode())
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        return "", f"{type(error).__name__}: no document in JSON"
    if found != row["id"]:
        return text, "another id"
    return text, "" if n_bytes == row["text_bytes"] else f"a text of {n_bytes} bytes, not {row['text_bytes']}"


def page_fault(member: bytes, url: str) -> str:
    """What is wrong with the gzip member of a page's WARC record; or ""."""
    try:
        unpacker = zlib.decompressobj(wbits=31)
        record_bytes = unpacker.decompress(member, MAX_RECORD_BYTES)  # zlib checks the CRC-32 at its end
        if not unpacker.eof or unpacker.unused_data:
            return "not just one gzip member"
        for record in ArchiveIterator(io.BytesIO(record_bytes), check_digests=True):
            record.raw_stream.read()
            if record.digest_checker.passed is False:
                return str(record.digest_checker.problems[0])[:100]
            found = record.rec_headers.get_header("WARC-Target-URI")
            return "" if found == url else "another address"
    except (zlib.error, ArchiveLoadFailed, StatusAndHeadersParserException, ValueError, EOFError) as error:
        return str(error)[:100]
    return "no WARC record"


def first_bad_member(path: Path, span: Span) -> int:
    """Where the first gzip member of a span begins that is not whole; the span's beginning if all are."""
    begin = at = span.offset
    unpacker = zlib.decompressobj(wbits=31)
    with open(path, "rb") as stream, contextlib.suppress(zlib.error, OSError):
        stream.seek(at)
        while chunk := stream.read(min(CHUNK_BYTES, span.end - at)):
            at += len(chunk)
            while chunk:
                unpacker.decompress(chunk, CHUNK_BYTES)
                ended, chunk = unpacker.eof, unpacker.unused_data or unpacker.unconsumed_tail
                if ended:
                    begin, unpacker = at - len(chunk), zlib.decompressobj(wbits=31)
        return begin if begin < span.end else span.offset
    return begin
