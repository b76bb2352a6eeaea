"""The append log: files that only grow. What was appended counts once the catalog has committed its length.

The tables `files` and `extents` are its own: the committed length of each file, and the CRC-32 of what each commit
appended, by which damage is found later. All SQL here runs in the transaction that the catalog has opened.
"""

import contextlib
import logging
import os
import shutil
import sqlite3
import zlib
from pathlib import Path
from typing import BinaryIO, NamedTuple

from miniature_memory.core.errors import StageError, cannot_write, naming
from miniature_memory.core.paths import fsync_folder, make_folder
from miniature_memory.core.text import counted
from miniature_memory.storage.files import crc32_of, free_name, remove
from miniature_memory.storage.record_reader import Place, RecordReader, damage_fix
from miniature_memory.storage.rejections import REJECTED

logger = logging.getLogger(__name__)

MOST_NAMED = 3  # files that have lost something, in messages
EXTENT_BYTES = 1 << 18  # of a file that is replaced as a whole: some 64 documents, as in a group
SHARD_BYTES = {"data/raw": 64 << 20, "data/clean": 64 << 20, "data/pages": 256 << 20}


class Mark(NamedTuple):
    """How much had been appended at some moment of a group."""

    lengths: dict[str, int]
    crcs: dict[str, int]


class AppendLog:
    """The append-only files of one root."""

    def __init__(self, root: Path, db: sqlite3.Connection) -> None:
        self.root, self.db = root, db
        self._appending: dict[str, BinaryIO] = {}  # path -> open file, of the group in progress and earlier ones
        self._lengths: dict[str, int] = {}  # path -> length including what is not committed yet
        self._crcs: dict[str, int] = {}  # path -> CRC-32 of what is not committed yet
        self._shards: dict[str, str] = {}  # folder -> its last shard
        self.reader = RecordReader(root, db)

    def length(self, path: str) -> int:
        """Committed and pending bytes of a file, 0 if there is none."""
        if path not in self._lengths:
            self._lengths[path] = self._committed(path) or 0
        return self._lengths[path]

    def shard(self, folder: str, suffix: str, n_bytes: int) -> str:
        """The shard of `folder` that takes the next `n_bytes`; of length 0 when it is a new one."""
        shard, is_dropped = self._shards.get(folder), False
        if not shard:
            last = self.db.execute("SELECT path, dropped FROM files WHERE path LIKE ? ORDER BY path DESC LIMIT 1",
                                   [f"{folder}/%{suffix}"]).fetchone()
            shard, is_dropped = last or (f"{folder}/000000{suffix}", False)
        if is_dropped or (self.length(shard) and self.length(shard) + n_bytes > SHARD_BYTES[folder]):
            shard = f"{folder}/{int(Path(shard).name[:6]) + 1:06d}{suffix}"
        self._shards[folder] = shard
        return shard

    def append(self, path: str, data: bytes) -> Place:
        offset = self.length(path)
        if path not in self._appending:
            self._appending[path] = self._open(path, offset)
        if not offset:
            self.db.execute("INSERT OR IGNORE INTO files (path, length) VALUES (?, 0)", [path])
        self._lengths[path] = offset + len(data)
        self._crcs[path] = zlib.crc32(data, self._crcs.get(path, 0))
        with naming(self.root / path):
            self._appending[path].write(data)
        return Place(path, offset, len(data))

    def _open(self, path: str, offset: int) -> BinaryIO:
        """A file to append to from `offset`."""
        file = self.root / path
        make_folder(file.parent)
        if self._committed(path) is None and file.exists() and file.stat().st_size:
            stray = free_name(file.with_name(f"{file.name}.stray0"))  # of a catalog that was lost
            os.rename(file, stray)
            logger.warning("%s is unknown to the catalog, so nothing reads it; it is kept as %s, which you may remove.",
                           path, stray.name)
        try:
            stream = open(file, "ab")  # noqa: SIM115 (stays open for the next record)
        except OSError as error:
            raise cannot_write(file, error) from None
        with naming(file):
            stream.truncate(min(offset, stream.tell()))  # bytes of a group that was abandoned
        if stream.tell() < offset:
            raise StageError(f"{path} holds {stream.tell()} bytes.", f"the {offset} bytes that were committed.",
                             damage_fix(self.root))
        return stream

    def mark(self) -> Mark:
        return Mark(dict(self._lengths), dict(self._crcs))

    def back_to(self, mark: Mark) -> None:
        """Cut off what a failed record appended. Files stay open: earlier records are still to be committed."""
        grown = [path for path in self._appending if self._lengths[path] != mark.lengths.get(path)]
        self._lengths, self._crcs = mark
        for path in grown:
            with naming(self.root / path):
                self._appending[path].truncate(self.length(path))

    def sync(self) -> None:
        """Sync what was appended to the disk, then write its lengths and checksums."""
        for path, stream in self._appending.items():
            committed, length = self._committed(path) or 0, self.length(path)
            if committed == length:
                continue
            with naming(self.root / path):
                stream.flush()
                os.fsync(stream.fileno())
            if not committed:
                fsync_folder((self.root / path).parent)
            self.db.execute("UPDATE files SET length = ? WHERE path = ?", [length, path])
            if path != REJECTED:
                self.db.execute("INSERT INTO extents (path, offset, length, crc32) VALUES (?, ?, ?, ?)",
                                [path, committed, length - committed, self._crcs[path]])
        self._crcs.clear()

    def abandon(self) -> None:
        """Forget the open group; what it appended is cut off when a file is opened the next time."""
        for stream in self._appending.values():
            with contextlib.suppress(OSError):  # what was buffered cannot be written either
                stream.close()
        for pending in (self._appending, self._lengths, self._crcs, self._shards):
            pending.clear()

    def cut_back(self) -> None:
        """Cut every file back to its committed length: what is beyond was in flight when a run died."""
        short = []
        for path, committed, dropped in self.db.execute("SELECT path, length, dropped FROM files").fetchall():
            file = self.root / path
            if dropped:
                file.unlink(missing_ok=True)
                continue
            found = file.stat().st_size if file.exists() else 0
            if found > committed:
                self._keep_of_others(path)
                os.truncate(file, committed)
                logger.info("%s: cut %d bytes that an interrupted run had not finished; that work is done again.",
                            path, found - committed)
            elif found < committed and path == REJECTED:
                logger.info("%s is shorter than it was; it continues from byte %d.", path, found)
                self.db.execute("UPDATE files SET length = ? WHERE path = ?", [found, path])
            elif found < committed:
                short.append(f"{path} holds {found} bytes; {committed} were committed.")
        for i, words in enumerate(short[:MOST_NAMED], 1):
            if i == MOST_NAMED < len(short):
                words += f" {counted(len(short) - i, 'more file')} lost bytes, too."
            logger.warning("%s Fix: %s", words, damage_fix(self.root))

    def _keep_of_others(self, path: str) -> None:
        """Copy a file that is about to be cut and was written with another catalog, whose documents it holds."""
        newest, file = self.db.execute("SELECT offset, length, crc32 FROM extents WHERE path = ? ORDER BY offset DESC "
                                       "LIMIT 1", [path]).fetchone(), self.root / path
        if newest and crc32_of(file, newest[0], newest[1]) != newest[2]:
            kept = free_name(make_folder(self.root / "data/damaged") / f"{file.parent.name}-{file.name}")
            shutil.copyfile(file, kept)
            with open(kept, "rb") as stream:
                os.fsync(stream.fileno())
            fsync_folder(kept.parent)
            logger.warning("%s does not hold what the catalog committed. It is cut; as it was, it is now %s.", path,
                           kept)

    def close(self) -> None:
        for path, stream in self._appending.items():
            with naming(self.root / path):
                stream.close()
        self.reader.stop()

    def drop(self, path: str) -> None:
        """Take a file out of the log; its name is not used again."""
        self._let_go(path, 0)
        self.db.execute("UPDATE files SET dropped = 1, length = 0 WHERE path = ?", [path])
        self.db.execute("DELETE FROM extents WHERE path = ?", [path])

    def replace(self, path: str, new: str) -> None:
        """Take the length and the checksums of `new`, which is renamed to `path` after the commit."""
        length = (self.root / new).stat().st_size
        fsync_folder((self.root / new).parent)  # else a power cut after the commit might take it without a trace
        self._let_go(path, length)
        self.db.execute("INSERT OR REPLACE INTO files (path, length) VALUES (?, ?)", [path, length])
        self.db.execute("DELETE FROM extents WHERE path = ?", [path])
        for offset in range(0, length if path != REJECTED else 0, EXTENT_BYTES):
            n_bytes = min(EXTENT_BYTES, length - offset)
            self.db.execute("INSERT INTO extents (path, offset, length, crc32) VALUES (?, ?, ?, ?)",
                            [path, offset, n_bytes, crc32_of(self.root / new, offset, n_bytes)])

    def rename(self, new_files: dict[str, str | None]) -> None:
        """Put new files in the places of the old ones; those that are there already are skipped. None: remove it."""
        self.reader.stop()
        for path, new in new_files.items():
            if new is None:
                remove(self.root / path)
            elif (self.root / new).exists():
                make_folder((self.root / path).parent)
                os.replace(self.root / new, self.root / path)
                fsync_folder((self.root / path).parent)

    def shorten(self, path: str, length: int) -> None:
        """Continue a file that has lost its end from `length`."""
        self._let_go(path, length)
        self.db.execute("UPDATE files SET length = ? WHERE path = ?", [length, path])
        self.db.execute("DELETE FROM extents WHERE path = ? AND offset >= ?", [path, length])
        self.db.execute("UPDATE extents SET length = ? - offset WHERE path = ? AND offset + length > ?",
                        [length, path, length])
        self.accept(path, length - 1, 1)

    def accept(self, path: str, offset: int, length: int) -> None:
        """Accept these bytes of a file as they are now: compute their checksums again."""
        touched = self.db.execute("SELECT * FROM extents WHERE path = ? AND offset < ? AND offset + length > ?",
                                  [path, offset + length, offset]).fetchall()
        for extent in touched:
            crc = crc32_of(self.root / path, extent["offset"], extent["length"])
            self.db.execute("UPDATE extents SET crc32 = ? WHERE path = ? AND offset = ?", [crc, path, extent["offset"]])

    def _let_go(self, path: str, length: int) -> None:
        """Close a file that was replaced or shortened."""
        if path in self._appending:
            self._appending.pop(path).close()
        self.reader.stop()
        self._lengths[path] = length
        self._crcs.pop(path, None)
        self._shards.clear()

    def _committed(self, path: str) -> int | None:
        row = self.db.execute("SELECT length FROM files WHERE path = ?", [path]).fetchone()
        return row[0] if row else None
