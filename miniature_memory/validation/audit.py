"""Audit: does the dataset still hold what was written, and if not, what can be done?

1. Each file has its committed length, and each of its extents its CRC-32. What older versions wrote has none.
2. Each document is what its row says: the id of a raw one is the SHA-256 of its text. Pages are unpacked and verified
   against their digests only where 1 proves nothing. No id occurs twice: rows have it once, and lines as their rows.
3. The catalog agrees with itself: cursors, tokenizer, the lengths of the bins; each checkpoint with its own checksums,
   and the full-text index with itself (consistency.py).

Each problem names what was found, where, and how to fix it, and brings its own repair (repairs.py). What can be
identified is set aside singly. If an extent is broken and each of its records is whole by itself, then the change is
where a record does not show it, and the extent is the smallest thing that can be named.

Memory stays flat: rows are read in order, and only broken extents are remembered.
"""

from __future__ import annotations

import sqlite3
from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial

from miniature_memory.core.errors import StageError
from miniature_memory.core.progress import Progress
from miniature_memory.storage import documents, records
from miniature_memory.storage.catalog import Catalog
from miniature_memory.storage.errors import damaged, explained
from miniature_memory.validation import consistency, repairs
from miniature_memory.validation.checksums import Checksums
from miniature_memory.validation.contents import clean_fault, first_bad_member, page_fault
from miniature_memory.validation.documents import NOT_WHOLE, parse
from miniature_memory.validation.repairs import Problem, rebuild_command, repair_command


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
        self.checksums = Checksums(catalog)
        self.short: set[str] = set()  # files that have lost their end
        self.tally = Tally()
        self.repair = repair_command(catalog.root)
        rebuild = rebuild_command(catalog.root)
        self.afterwards = {  # what becomes of a record that is set aside
            "documents": f" A clean copy, if there is one, stays in use until you run {rebuild}.",
            "clean_documents": f" {rebuild} then makes it again from its raw document.",
            "pages": " What was extracted from it stays; if nothing was, it is fetched again."}

    def problems(self) -> Iterator[Problem]:
        """Every problem. The caller may repair one before it asks for the next, and then finds no consequences of it.

        Raises StageError if the catalog itself is damaged: then nothing can be said of the rest.
        """
        with explained(self.catalog.path):
            if damage := records.damage(self.catalog):
                raise damaged(self.catalog.path, damage)
            yield from self.files()
            yield from self.raw()
            yield from self.clean()
            yield from self.pages()
            yield from consistency.tokenizer_and_bins(self.catalog, self.checksums)
            yield from consistency.cursors(self.catalog)
            yield from consistency.checkpoints(self.catalog.root)
            yield from consistency.index(self.catalog)

    # --- files ---------------------------------------------------------------

    def files(self) -> Iterator[Problem]:
        """Files that are too short. On the way, what no checksum proves is noted."""
        files = records.files(self.catalog)
        with Progress(desc="files", total=sum(length for _, length in files), unit="B", unit_scale=True) as progress:
            for path, length in files:
                there = self.checksums.measure(path, length)
                if there < length and records.table_of(path):
                    self.short.add(path)
                    yield self._short_file(path, length, there)
                self.checksums.verify(path, min(length, self.catalog.length(path)))
                progress.update(length)

    def _short_file(self, path: str, length: int, there: int) -> Problem:
        rows = records.touching(path, there)
        what = f"ends at byte {there}" if (self.catalog.root / path).exists() else "is missing"
        return Problem(f"{path} {what}; {length} bytes were committed, with {self._count(rows)} in what is missing.",
                       f"put the file back from a copy, or run {self.repair}, which continues without them."
                       f"{self.afterwards[rows.table]}", partial(repairs.cut, self.catalog, path, there))

    def _count(self, rows: records.Rows) -> str:
        n, noun = records.count(self.catalog, rows), "page" if rows.table == "pages" else "document"
        return f"{n} {noun}{'s' * (n != 1)}"

    # --- records -------------------------------------------------------------

    def _rows(self, table: str) -> Iterator[sqlite3.Row]:
        """The rows whose records should be whole and are not known to be missing."""
        total = self.catalog.count_after(0, table)
        for row in Progress(self.catalog.rows_after(0, table), table.replace("_", " "), total, unit=" rows"):
            known = table == "documents" and row["validation"] in NOT_WHOLE
            lost = row["file"] in self.short and row["offset"] + row["length"] > self.checksums.there[row["file"]]
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

    def _damaged(self, table: str, row: sqlite3.Row, name: str, why: str) -> Problem:
        for span in self.checksums.unproven_at(row):
            span.suspect = False
        return Problem(f"{row['file']}, byte {row['offset']}: {name} is damaged ({why}).",
                       f"run {self.repair}, which sets it aside.{self.afterwards[table]}",
                       partial(repairs.set_aside, self.catalog, row["file"], row["offset"],
                               row["offset"] + row["length"], records.one(table, row)))

    def raw(self) -> Iterator[Problem]:
        for row in self._rows("documents"):
            line, why = self._read(row)
            document, rejection = parse(line, row["id"])
            if rejection or document["metadata"]["url"] != row["url"]:
                why = why or (f"{rejection.reason}: {rejection.value}" if rejection else "another URL")
                self.tally.damaged += 1
                yield self._damaged("documents", row, f"document {row['id']} of {row['url']}", why)
                continue
            self.tally.raw_documents += 1
            self.tally.raw_words += len(document["text"].split())
            self.tally.days[document["metadata"]["fetched_at"][:10]] += 1
        for path, span in self.checksums.suspects("data/raw/"):
            yield Problem(f"{path}, bytes {span.offset} to {span.end}: titles or other metadata have changed since "
                          "they were written; the texts are whole, by their SHA-256.",
                          f"run {self.repair}, which copies these bytes and accepts them as they are.",
                          partial(repairs.set_aside, self.catalog, path, span.offset, span.end))

    def clean(self) -> Iterator[Problem]:
        for row in self._rows("clean_documents"):
            line, why = self._read(row)
            text, fault = clean_fault(line, row)
            if not fault and not documents.has(self.catalog, row["id"]):
                fault = "no raw document has its id"
            if why or fault:
                yield self._damaged("clean_documents", row, f"document {row['id']}", why or fault)
            else:
                self.tally.clean_words.append(len(text.split()))
        for path, span in self.checksums.suspects("data/clean/"):
            rows = records.touching(path, span.offset, span.end)
            yield Problem(f"{path}, bytes {span.offset} to {span.end}: something in {self._count(rows)} has changed "
                          "since it was written, but nothing shows which one it is.",
                          f"run {self.repair}, which sets all of them aside. {rebuild_command(self.catalog.root)} then "
                          "makes them again from their raw documents.",
                          partial(repairs.set_aside, self.catalog, path, span.offset, span.end, rows))

    def pages(self) -> Iterator[Problem]:
        for row in self._rows("pages"):
            if self.checksums.unproven_at(row):
                member, why = self._read(row)
                if why := why or page_fault(member, row["url"]):
                    yield self._damaged("pages", row, f"the page {row['url']}", why)
        for path, span in self.checksums.suspects("data/pages/"):
            offset = first_bad_member(self.catalog.root / path, span)
            yield Problem(f"{path}, byte {offset}: a record that is not a page (a request, a redirect) is damaged; the "
                          "pages are whole.",
                          f"run {self.repair}, which copies these bytes and ignores them; nothing depends on them.",
                          partial(repairs.set_aside, self.catalog, path, span.offset, span.end))
