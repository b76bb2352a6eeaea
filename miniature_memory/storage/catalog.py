"""Catalog: the SQLite memory of the project, and the one place where files are appended to and committed.

Every stage reads what is new since its own cursor, appends its result to a file that only grows, and commits the new
cursor and the new file length in one transaction:

    with Catalog(root) as catalog:
        for row in catalog.new_rows("clean", "documents"):
            with catalog.record():                                     # all of this, or nothing
                place = catalog.append("data/clean", ".jsonl", line)   # file, offset, length
                catalog.execute("INSERT INTO clean_documents ...", ...)
                catalog.advance("clean", row["seq"])

Records are committed in groups, closed after 64 records or one second: append, flush, one fsync, one transaction. A
crash loses at most the open group, which is then done again; what the files hold beyond their committed length is cut
off when the catalog is opened. Each commit keeps the CRC-32 of what it appended (the table extents), so that damage
can be found later: audit.py.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sqlite3
import time
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, NamedTuple

from miniature_memory.core.errors import StageError, cannot_write
from miniature_memory.core.paths import make_folder
from miniature_memory.core.process import uninterrupted
from miniature_memory.storage.files import crc32_of, fsync_folder
from miniature_memory.storage.rejections import REJECTED, Rejection
from miniature_memory.storage.schema import open_database

logger = logging.getLogger(__name__)

GROUP_RECORDS = 64
GROUP_SEC = 1.0
SET_ASIDE = "set aside what is damaged: .venv/bin/python validate.py --full --repair"
EXTENT_BYTES = 1 << 18  # of a file that is replaced as a whole: some 64 documents, as in a group
SHARD_BYTES = {"data/raw": 64 << 20, "data/clean": 64 << 20, "data/pages": 256 << 20}


class Place(NamedTuple):
    """Where a record lies: file relative to the root, byte offset, byte length."""

    file: str
    offset: int
    length: int


class Catalog:
    """The catalog of one root, open for one process. A context manager: leaving it commits whole records."""

    def __init__(self, root: Path, read_only: bool = False) -> None:
        self.root = root
        path = root / "data" / "catalog.sqlite3"
        if read_only and not path.exists():
            raise StageError(f"There is no {path}.", "the catalog of an earlier run.", "run python3 run.py first.")
        if not read_only:
            make_folder(path.parent)
        self.db = open_database(path, read_only)
        self._appending: dict[str, BinaryIO] = {}  # path -> open file, of the group in progress and earlier ones
        self._lengths: dict[str, int] = {}  # path -> length including what is not committed yet
        self._crcs: dict[str, int] = {}  # path -> CRC-32 of what is not committed yet
        self._shards: dict[str, str] = {}  # folder -> its last shard
        self._reading: tuple[str, BinaryIO] | None = None
        self._in_record = False
        self._group_records = 0
        self._group_started = 0.0
        if not read_only:
            self._finish_swap()
            self._cut_back()

    # --- reading -------------------------------------------------------------

    def execute(self, sql: str, parameters: Iterable[Any] = ()) -> sqlite3.Cursor:
        return self.db.execute(sql, tuple(parameters))

    def value(self, sql: str, parameters: Iterable[Any] = ()) -> Any:
        """The first column of the first row, or None."""
        row = self.execute(sql, parameters).fetchone()
        return row[0] if row else None

    def cursor(self, stage: str) -> int:
        """The sequence number of the last row that `stage` has handled; 0 at first."""
        return self.value("SELECT seq FROM cursors WHERE stage = ?", [stage]) or 0

    def new_rows(self, stage: str, table: str, until: int | None = None) -> Iterator[sqlite3.Row]:
        """The rows of `table` after the cursor of `stage`, up to and including `until`, in order.

        Read in blocks, so that memory stays flat; the caller may write to the catalog between two rows.
        """
        return self.rows_after(self.cursor(stage), table, until)

    def rows_after(self, seq: int, table: str, until: int | None = None) -> Iterator[sqlite3.Row]:
        while rows := self.execute(f"SELECT * FROM {table} WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT 256",
                                   [seq, until if until is not None else 1 << 62]).fetchall():
            yield from rows
            seq = rows[-1]["seq"]

    def count_new(self, stage: str, table: str, until: int | None = None) -> int:
        return int(self.value(f"SELECT count(*) FROM {table} WHERE seq > ? AND seq <= ?",
                              [self.cursor(stage), until if until is not None else 1 << 62]))

    def read(self, file: str, offset: int, length: int) -> bytes:
        """The bytes of one committed record. Raises StageError if they are not there any more."""
        if self._reading is None or self._reading[0] != file:
            if self._reading:
                self._reading[1].close()
            self._reading = None
            try:
                self._reading = (file, open(self.root / file, "rb"))  # noqa: SIM115 (stays open for the next record)
            except OSError as error:
                raise StageError(f"{file} cannot be read ({error.strerror}).", "the file that the catalog names.",
                                 f"put it back, or {SET_ASIDE}") from None
        stream = self._reading[1]
        stream.seek(offset)
        data = stream.read(length)
        if len(data) != length:
            raise StageError(f"{file} ends before byte {offset + length}.", "a file that is at least as long.",
                             f"put the file back as it was, or {SET_ASIDE}")
        return data

    def state(self, key: str, default: Any = None) -> Any:
        text = self.value("SELECT value FROM state WHERE key = ?", [key])
        return default if text is None else json.loads(text)

    def length(self, path: str) -> int:
        """Committed and pending bytes of an append-only file, 0 if there is none."""
        if path not in self._lengths:
            self._lengths[path] = self.value("SELECT length FROM files WHERE path = ?", [path]) or 0
        return self._lengths[path]

    # --- appending and committing --------------------------------------------

    @contextlib.contextmanager
    def record(self) -> Iterator[None]:
        """What happens in this block is committed as a whole or not at all, together with its group."""
        assert not self._in_record, "record() blocks do not nest: the inner one might commit half of the outer one"
        with uninterrupted(), self._abandoning():
            self._begin()
            before = dict(self._lengths), dict(self._crcs)
            self.db.execute("SAVEPOINT record")
            self._in_record = True
            try:
                yield
            except (OSError, sqlite3.OperationalError):
                raise  # the disk is full or gone: _abandoning deals with the whole group
            except BaseException:
                self.db.execute("ROLLBACK TO record")
                self.db.execute("RELEASE record")
                self._truncate(*before)
                raise
            finally:
                self._in_record = False
            self.db.execute("RELEASE record")
            self._group_records += 1
            self.commit_if_due()

    def append(self, folder: str, suffix: str, data: bytes) -> Place:
        """Append one record to the last shard of `folder`, or to a new one when that is full."""
        return self.append_to(self.shard(folder, suffix, len(data)), data)

    def shard(self, folder: str, suffix: str, n_bytes: int) -> str:
        """The shard of `folder` that takes the next `n_bytes`; of length 0 when it is a new one."""
        shard = self._shards.get(folder)
        if not shard:
            shard = self.value("SELECT max(path) FROM files WHERE path LIKE ?", [f"{folder}/%{suffix}"])
            shard = shard or f"{folder}/000000{suffix}"
        full = self.length(shard) and self.length(shard) + n_bytes > SHARD_BYTES[folder]
        if full or (folder not in self._shards and self.value("SELECT dropped FROM files WHERE path = ?", [shard])):
            shard = f"{folder}/{int(Path(shard).name[:6]) + 1:06d}{suffix}"
        self._shards[folder] = shard
        return shard

    def drop(self, path: str) -> int:
        """Remove a file for good and return its length; a crash in between is fixed on opening."""
        length = self.length(path)
        self.commit()
        if path in self._appending:
            self._appending.pop(path).close()
        self._shards.clear()
        with self.record():
            self.execute("UPDATE files SET dropped = 1, length = 0 WHERE path = ?", [path])
            self.execute("DELETE FROM extents WHERE path = ?", [path])
            self._lengths[path] = 0
        self.commit()
        (self.root / path).unlink(missing_ok=True)
        return length

    def append_to(self, path: str, data: bytes) -> Place:
        """Append bytes to the file `path` (relative to the root), within a record() block."""
        offset = self.length(path)
        if path not in self._appending:
            make_folder((self.root / path).parent)
            self._set_stray_aside(path)
            try:
                stream = open(self.root / path, "ab")  # noqa: SIM115 (stays open for the next record)
            except OSError as error:
                raise cannot_write(self.root / path, error) from None
            stream.truncate(min(offset, stream.tell()))  # bytes of a group that was abandoned
            if stream.tell() < offset:
                raise StageError(f"{path} holds {stream.tell()} bytes.", f"the {offset} that the catalog knows of.",
                                 f"put the file back as it was, or {SET_ASIDE}")
            self._appending[path] = stream
        if not offset:
            self.execute("INSERT OR IGNORE INTO files (path, length) VALUES (?, 0)", [path])
        self._lengths[path] = offset + len(data)
        self._crcs[path] = zlib.crc32(data, self._crcs.get(path, 0))
        self._appending[path].write(data)
        return Place(path, offset, len(data))

    def _set_stray_aside(self, path: str) -> None:
        """Rename a file that the catalog does not know: of a first group in flight, or of a catalog that was lost."""
        file = self.root / path
        if not self.value("SELECT 1 FROM files WHERE path = ?", [path]) and file.exists() and file.stat().st_size:
            aside = next(name for n in range(1 << 30) if not (name := Path(f"{file}.stray{n}")).exists())
            os.rename(file, aside)
            logger.warning("%s is unknown to the catalog, so nothing reads it; it is kept as %s, and may be removed",
                           path, aside.name)

    def reject(self, stage: str, refusal: Rejection, document_id: str, url: str, text: str) -> None:
        """Keep one line in data/rejected.jsonl about a refused document, within a record() block."""
        line = {"id": document_id, "url": url, "stage": stage, **refusal._asdict(), "text": text[:200]}
        self.append_to(REJECTED, (json.dumps(line, ensure_ascii=False) + "\n").encode())

    def advance(self, stage: str, seq: int) -> None:
        """Set the cursor of `stage`, within a record() block."""
        self.execute("INSERT OR REPLACE INTO cursors VALUES (?, ?)", [stage, seq])

    def set_state(self, key: str, value: Any) -> None:
        """Keep a value by its key, within a record() block."""
        self.execute("INSERT OR REPLACE INTO state VALUES (?, ?)", [key, json.dumps(value)])

    def commit_if_due(self) -> None:
        """Close the group when it is full or a second old. Call it also while waiting for the next record."""
        if self._group_records >= GROUP_RECORDS or time.monotonic() - self._group_started >= GROUP_SEC:
            self.commit()

    def commit(self) -> None:
        """Close the group: flush, fsync, then one transaction with the lengths and the cursors."""
        if not self.db.in_transaction:
            return
        with uninterrupted(), self._abandoning():
            for path, stream in self._appending.items():
                committed = self.value("SELECT length FROM files WHERE path = ?", [path]) or 0
                if committed != self.length(path):
                    stream.flush()
                    os.fsync(stream.fileno())
                    if not committed:
                        fsync_folder((self.root / path).parent)
                    self._commit_length(path, committed)
            self.db.execute("COMMIT")
            self._crcs.clear()
            self._group_records = 0

    def _commit_length(self, path: str, committed: int) -> None:
        self.execute("UPDATE files SET length = ? WHERE path = ?", [self._lengths[path], path])
        if path != REJECTED:
            self.execute("INSERT INTO extents (path, offset, length, crc32) VALUES (?, ?, ?, ?)",
                         [path, committed, self._lengths[path] - committed, self._crcs[path]])

    def _begin(self) -> None:
        if not self.db.in_transaction:
            self.db.execute("BEGIN IMMEDIATE")
            self._group_started = time.monotonic()

    @contextlib.contextmanager
    def _abandoning(self) -> Iterator[None]:
        """When the disk fails, drop the open group: it was in flight, and the next opening cuts the files back."""
        try:
            yield
        except (OSError, sqlite3.OperationalError) as error:
            for stream in self._appending.values():
                with contextlib.suppress(OSError):  # what was buffered cannot be written either
                    stream.close()
            self._appending.clear()
            self._lengths.clear()
            self._crcs.clear()
            self._shards.clear()
            self._group_records = 0
            with contextlib.suppress(sqlite3.Error):
                self.db.execute("ROLLBACK")
            if isinstance(error, OSError):
                raise
            raise cannot_write(self.root / "data/catalog.sqlite3", OSError(0, str(error))) from None

    def _truncate(self, lengths: dict[str, int], crcs: dict[str, int]) -> None:
        """Cut files that grew in a failed record back to their lengths before it."""
        grown = [path for path in self._appending if self._lengths[path] != lengths.get(path)]
        self._lengths, self._crcs = lengths, crcs
        for path in grown:
            self._appending[path].truncate(self.length(path))  # stays open: earlier records are still to be committed

    def _cut_back(self) -> None:
        """Cut every file back to its committed length: what lies beyond was in flight when a run died."""
        for path, committed, dropped in self.execute("SELECT path, length, dropped FROM files").fetchall():
            file = self.root / path
            if dropped:
                file.unlink(missing_ok=True)
                continue
            found = file.stat().st_size if file.exists() else 0
            if found > committed:
                os.truncate(file, committed)
                logger.info("%s: cut %d bytes that an interrupted run had not finished; that work is done again",
                            path, found - committed)
            elif found < committed and path == REJECTED:
                logger.info("%s is shorter than it was: it goes on from byte %d", path, found)
                self.db.execute("UPDATE files SET length = ? WHERE path = ?", [found, path])
            elif found < committed:
                logger.warning("%s holds %d bytes, the catalog knows of %d: a part of it is missing; put it back "
                               "from a copy, or %s", path, found, committed, SET_ASIDE)

    # --- replacing files as a whole ------------------------------------------

    def swap(self, new_files: dict[str, str]) -> None:
        """Replace files by others, all of them or none, within a record() block that also changes the rows.

        new_files: final path -> path of the finished, fsynced new file. The intent is committed first, then the files
        are renamed; if the machine dies in between, the next opening of the catalog finishes the renaming.
        """
        for path, aside in new_files.items():
            self._begin_anew(path, (self.root / aside).stat().st_size)
            self.execute("INSERT OR REPLACE INTO files (path, length) VALUES (?, ?)", [path, self._lengths[path]])
            self.execute("DELETE FROM extents WHERE path = ?", [path])
            for offset in range(0, self._lengths[path] if path != REJECTED else 0, EXTENT_BYTES):
                length = min(EXTENT_BYTES, self._lengths[path] - offset)
                self.execute("INSERT INTO extents (path, offset, length, crc32) VALUES (?, ?, ?, ?)",
                             [path, offset, length, crc32_of(self.root / aside, offset, length)])
        self.set_state("swap", new_files)

    def _begin_anew(self, path: str, length: int) -> None:
        """Let go of what is known of an open file: it is another one now, or a shorter one."""
        if path in self._appending:
            self._appending.pop(path).close()
        if self._reading and self._reading[0] == path:
            self._reading[1].close()
            self._reading = None
        self._lengths[path] = length
        self._crcs.pop(path, None)
        self._shards.clear()

    def finish_swap(self) -> None:
        """Commit a swap and rename its files."""
        with uninterrupted():
            self.commit()
            self._finish_swap()

    def _finish_swap(self) -> None:
        pending = self.state("swap")
        if not pending:
            return
        if self._reading and self._reading[0] in pending:
            self._reading[1].close()
            self._reading = None
        for path, aside in pending.items():
            if (self.root / aside).exists():
                os.replace(self.root / aside, self.root / path)
                fsync_folder((self.root / path).parent)
        self.db.execute("DELETE FROM state WHERE key = 'swap'")

    # --- after damage --------------------------------------------------------

    def shorten(self, path: str, length: int) -> None:
        """A file has lost its end: go on appending from `length`, within a record() block."""
        self._begin_anew(path, length)
        self.execute("UPDATE files SET length = ? WHERE path = ?", [length, path])
        self.execute("DELETE FROM extents WHERE path = ? AND offset >= ?", [path, length])
        self.execute("UPDATE extents SET length = ? - offset WHERE path = ? AND offset + length > ?",
                     [length, path, length])
        self.accept(path, length - 1, 1)

    def accept(self, path: str, offset: int, length: int) -> None:
        """Take the bytes of a file as they are now for right, within a record() block: fix their checksums."""
        touched = self.execute("SELECT * FROM extents WHERE path = ? AND offset < ? AND offset + length > ?",
                               [path, offset + length, offset]).fetchall()
        for extent in touched:
            crc = crc32_of(self.root / path, extent["offset"], extent["length"])
            self.execute("UPDATE extents SET crc32 = ? WHERE path = ? AND offset = ?", [crc, path, extent["offset"]])

    # --- closing -------------------------------------------------------------

    def close(self) -> None:
        for stream in self._appending.values():
            stream.close()
        if self._reading:
            self._reading[1].close()
        self.db.close()

    def __enter__(self) -> Catalog:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        try:
            self.commit()  # records are whole even when the loop around them failed
        finally:
            self.close()
