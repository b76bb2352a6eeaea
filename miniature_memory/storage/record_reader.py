"""Record reader: what the append log has committed is read again, and verified against its checksums."""

import contextlib
import errno
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from miniature_memory.core.errors import StageError, cannot_read
from miniature_memory.core.paths import command
from miniature_memory.storage.files import crc32_of


class Place(NamedTuple):
    """Where a record is: file relative to the root, byte offset, byte length."""

    file: str
    offset: int
    length: int


class RecordReader:
    """Reads records of one root, mostly one after the other."""

    def __init__(self, root: Path, db: sqlite3.Connection) -> None:
        self.root, self.db = root, db
        self._reading: tuple[str, BinaryIO] | None = None
        self._verified = ("", 0, 0)  # (path, first byte, end) of the extents that were verified last

    def read(self, place: Place) -> bytes:
        """One committed record. Raises StageError if its bytes are not there any more."""
        if self._reading is None or self._reading[0] != place.file:
            self.stop()
            with self._reading_errors(place.file):
                self._reading = (place.file, open(self.root / place.file, "rb"))  # noqa: SIM115 (for the next record)
        with self._reading_errors(place.file):
            self._reading[1].seek(place.offset)
            data = self._reading[1].read(place.length)
        if len(data) != place.length:
            raise StageError(f"{place.file} ends before byte {place.offset + place.length}.",
                             "a file that is at least as long.", damage_fix(self.root))
        return data

    def verify(self, place: Place) -> None:
        """Raise StageError unless the extents that a record is in have the checksums that they were committed with.

        Records are read in their order, so only the extents of the last one are known to be whole. What older versions
        wrote has no checksums.
        """
        path, first, end = place.file, place.offset, place.offset + place.length
        if path == self._verified[0] and self._verified[1] <= first and end <= self._verified[2]:
            return
        verified = (first, end)
        for extent in self.db.execute("SELECT * FROM extents WHERE path = ? AND offset < ? ORDER BY offset DESC",
                                      [path, end]):
            begins, ends = extent["offset"], extent["offset"] + extent["length"]
            if ends <= first:
                break
            with self._reading_errors(path):
                found = crc32_of(self.root / path, begins, extent["length"])
            if found != extent["crc32"]:
                raise self.changed(f"{path}, bytes {begins} to {ends}: changed since they were written.")
            verified = (min(begins, verified[0]), max(ends, verified[1]))
        self._verified = (path, *verified)

    def changed(self, found: str) -> StageError:
        return StageError(found, "the bytes that were committed.", damage_fix(self.root))

    def stop(self) -> None:
        """Close the file: it was replaced."""
        if self._reading:
            self._reading[1].close()
        self._reading, self._verified = None, ("", 0, 0)

    @contextlib.contextmanager
    def _reading_errors(self, path: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.EIO):  # it is there, and not damaged
                raise cannot_read(self.root / path, error) from None
            raise StageError(f"{path} cannot be read ({error.strerror}).", "the file that the catalog names.",
                             damage_fix(self.root)) from None


def damage_fix(root: Path) -> str:
    return ("put the file back from a copy, or set aside what is damaged: "
            + command("validate.py", root, "--repair"))
