"""Catalog: the SQLite memory of the project, and the one place where files are appended to and committed.

Every stage reads what is new since its own cursor, appends its result to a file that only grows, and commits the new
cursor and the new file length in one transaction:

    with Catalog(root) as catalog:
        for row in catalog.new_rows("clean", "documents"):
            with catalog.record():                                     # all of this, or nothing
                place = catalog.append("data/clean", ".jsonl", line)   # file, offset, length
                clean_documents.add(catalog, ...)
                catalog.advance("clean", row["seq"])

Records are committed in groups, closed after 64 records or one second: append, flush, one fsync, one transaction. A
crash loses at most the open group, which is then done again; what the files hold beyond their committed length is cut
off when the catalog is opened. The files are the business of append_log.py; each table has a module of its own here.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from miniature_memory.core.errors import StageError
from miniature_memory.core.paths import command, make_folder, shown
from miniature_memory.core.process import uninterrupted
from miniature_memory.storage import clock
from miniature_memory.storage.append_log import AppendLog
from miniature_memory.storage.errors import explained, stage_error
from miniature_memory.storage.record_reader import Place
from miniature_memory.storage.rejections import REJECTED, Rejection, line_of
from miniature_memory.storage.schema import CACHE_KB, open_database

GROUP_RECORDS = 64
GROUP_SEC = 1.0
LAST = 1 << 62  # no row has so high a sequence number


class Catalog:
    """The catalog of one root, open for one process. A context manager: leaving it commits whole records."""

    def __init__(self, root: Path, read_only: bool = False, may_be_new: bool = True,
                 cache_kb: int = CACHE_KB) -> None:
        self.root = root
        self.path = root / "data" / "catalog.sqlite3"
        if (read_only or not may_be_new) and not self.path.exists():
            raise StageError(f"There is no {shown(self.path)}.", "the catalog of an earlier run.",
                             f"run {command('run.py', root)} first.")
        if not read_only:
            make_folder(self.path.parent)
        self.db = open_database(self.path, read_only, cache_kb)
        self.log = AppendLog(root, self.db)
        self._in_record = False
        self._group_records, self._group_started = 0, 0.0
        if not read_only:
            with explained(self.path):
                self._finish_swap()
                self.log.cut_back()
                clock.forget_the_future(self.db)

    # --- rows, cursors and state ---------------------------------------------

    def execute(self, sql: str, parameters: Iterable[Any] = ()) -> sqlite3.Cursor:
        return self.db.execute(sql, tuple(parameters))

    def value(self, sql: str, parameters: Iterable[Any] = ()) -> Any:
        """The first column of the first row, or None."""
        row = self.execute(sql, parameters).fetchone()
        return row[0] if row else None

    def cursor(self, stage: str) -> int:
        """The sequence number of the last row that `stage` has handled; 0 at first."""
        return self.value("SELECT seq FROM cursors WHERE stage = ?", [stage]) or 0

    def advance(self, stage: str, seq: int) -> None:
        """Set the cursor of `stage`, within a record() block."""
        self.execute("INSERT OR REPLACE INTO cursors VALUES (?, ?)", [stage, seq])

    def new_rows(self, stage: str, table: str, until: int | None = None) -> Iterator[sqlite3.Row]:
        """The rows of `table` after the cursor of `stage`, up to and including `until`, in order.

        Read in blocks, so that memory stays flat; the caller may write to the catalog between two rows.
        """
        return self.rows_after(self.cursor(stage), table, until)

    def rows_after(self, seq: int, table: str, until: int | None = None) -> Iterator[sqlite3.Row]:
        last = LAST if until is None else until
        while rows := self.execute(f"SELECT * FROM {table} WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT 256",
                                   [seq, last]).fetchall():
            yield from rows
            seq = rows[-1]["seq"]

    def count_new(self, stage: str, table: str, until: int | None = None) -> int:
        return self.count_after(self.cursor(stage), table, until)

    def count_after(self, seq: int, table: str, until: int | None = None) -> int:
        return int(self.value(f"SELECT count(*) FROM {table} WHERE seq > ? AND seq <= ?",
                              [seq, LAST if until is None else until]))

    def state(self, key: str, default: Any = None) -> Any:
        """The JSON value that is kept by `key`."""
        text = self.value("SELECT value FROM state WHERE key = ?", [key])
        return default if text is None else json.loads(text)

    def set_state(self, key: str, value: Any) -> None:
        """Keep a JSON value by its key, within a record() block."""
        self.execute("INSERT OR REPLACE INTO state VALUES (?, ?)", [key, json.dumps(value)])

    # --- files ---------------------------------------------------------------

    def read(self, file: str, offset: int, length: int) -> bytes:
        """One committed record. Raises StageError if its bytes are not there any more."""
        return self.log.reader.read(Place(file, offset, length))

    def length(self, path: str) -> int:
        """Committed and pending bytes of an append-only file, 0 if there is none."""
        return self.log.length(path)

    def shard(self, folder: str, suffix: str, n_bytes: int) -> str:
        """The shard of `folder` that takes the next `n_bytes`; of length 0 when it is a new one."""
        return self.log.shard(folder, suffix, n_bytes)

    def append(self, folder: str, suffix: str, data: bytes) -> Place:
        """Append one record to the last shard of `folder`, or to a new one when that is full; in a record() block."""
        return self.log.append(self.log.shard(folder, suffix, len(data)), data)

    def append_to(self, path: str, data: bytes) -> Place:
        """Append bytes to the file `path` (relative to the root), within a record() block."""
        return self.log.append(path, data)

    def reject(self, stage: str, rejection: Rejection, document_id: str, url: str, text: str) -> None:
        """Keep one line about a rejected document in data/rejected.jsonl, within a record() block."""
        self.append_to(REJECTED, line_of(stage, rejection, document_id, url, text))

    # --- the commit rule -----------------------------------------------------

    @contextlib.contextmanager
    def record(self) -> Iterator[None]:
        """What happens in this block is committed as a whole or not at all, together with its group."""
        assert not self._in_record, "record() blocks do not nest: the inner one might commit half of the outer one"
        with uninterrupted(), self._abandoning():
            if not self.db.in_transaction:
                self.db.execute("BEGIN IMMEDIATE")
                self._group_started = time.monotonic()
            before = self.log.mark()
            self.db.execute("SAVEPOINT record")
            self._in_record = True
            try:
                yield
            except (OSError, sqlite3.Error):
                raise  # nobody knows what was written: _abandoning deals with the whole group
            except BaseException:
                self.db.execute("ROLLBACK TO record")
                self.db.execute("RELEASE record")
                self.log.back_to(before)
                raise
            finally:
                self._in_record = False
            self.db.execute("RELEASE record")
            self._group_records += 1
            self.commit_if_due()

    def commit_if_due(self) -> None:
        """Close the group when it is full or a second old. Call it also while waiting for the next record."""
        if self._group_records >= GROUP_RECORDS or time.monotonic() - self._group_started >= GROUP_SEC:
            self.commit()

    def commit(self) -> None:
        """Close the group: flush and fsync the files, then one transaction with the lengths and the cursors."""
        if self.db.in_transaction:
            with uninterrupted(), self._abandoning():
                self.log.sync()
                if self._group_records:
                    clock.note(self.db)
                self.db.execute("COMMIT")
                self._group_records = 0

    @contextlib.contextmanager
    def _abandoning(self) -> Iterator[None]:
        """When the disk or the database fails, abandon the open group: it was in flight, and is done again."""
        try:
            yield
        except (OSError, sqlite3.Error) as error:
            self.log.abandon()
            self._group_records = 0
            with contextlib.suppress(sqlite3.Error):
                self.db.execute("ROLLBACK")
            if isinstance(error, sqlite3.Error) and (trouble := stage_error(error, self.path)):
                raise trouble from None
            raise

    def swap(self, new_files: Mapping[str, str], others: Mapping[str, str | None] | None = None) -> None:
        """Replace files by others, all of them or none, within a record() block that also changes the rows.

        new_files: path -> the finished, fsynced new file. others: the same of what is not append-only; None removes it.
        The intent is committed first; if the machine dies before the renaming, the next opening finishes it.
        """
        for path, new in new_files.items():
            self.log.replace(path, new)
        self.set_state("swap", {**new_files, **(others or {})})

    def finish_swap(self) -> None:
        """Commit a swap and rename its files."""
        with uninterrupted():
            self.commit()
            self._finish_swap()

    def _finish_swap(self) -> None:
        if (new_files := self.state("swap")) is not None:
            self.log.rename(new_files)
            self.db.execute("DELETE FROM state WHERE key = 'swap'")

    def drop(self, path: str) -> int:
        """Remove a file for good and return its length; a crash in between is fixed on opening."""
        length = self.length(path)
        self.commit()
        with self.record():
            self.log.drop(path)
        self.commit()
        (self.root / path).unlink(missing_ok=True)
        return length

    def close(self) -> None:
        self.log.close()
        self.db.close()

    def __enter__(self) -> Catalog:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        with explained(self.path):
            try:
                self.commit()  # records are whole even when the loop around them failed
            finally:
                self.close()
            if isinstance(error, sqlite3.Error):  # of reading a damaged catalog, for one
                raise error
