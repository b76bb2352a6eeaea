"""Errors of the database that come from the disk, another program or damage, not from a mistake in our SQL."""

import contextlib
import errno
import os
import resource
import shlex
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from miniature_memory.core.errors import CHECK_DISK, StageError, cannot_write, disk_error
from miniature_memory.core.paths import shown

A_LITTLE = 1 << 20  # bytes; SQLite asks for less at a time


def stage_error(error: sqlite3.Error, path: Path) -> StageError | None:
    """What a person can do about an error of the database at `path`; None if it is a mistake of ours."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF  # the upper bits only tell details
    name, folder = shown(path), shlex.quote(shown(path.parent))
    may_be_closed = code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR)
    refusal = _refusal(path) if may_be_closed else None
    if refusal and (known := disk_error(refusal)):
        return known
    match code:
        case sqlite3.SQLITE_FULL:
            return cannot_write(_full(path), OSError(errno.ENOSPC, str(error)))
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_CANTOPEN:
            return StageError(f"{name} cannot be opened ({error}).", "a catalog that this user may read and write.",
                              f"check who owns it (ls -l {folder}), or choose another folder with --root.")
        case sqlite3.SQLITE_IOERR:
            if resource.getrlimit(resource.RLIMIT_FSIZE)[0] != resource.RLIM_INFINITY:
                return cannot_write(path, OSError(errno.EFBIG, str(error)))
            if shutil.disk_usage(path.parent).free < A_LITTLE:  # for the file that it shares with others by mmap
                return cannot_write(_full(path), OSError(errno.ENOSPC, str(error)))
            return StageError(f"{name} cannot be read or written ({error}).", "a disk without errors.", CHECK_DISK)
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return StageError(f"{name} is in use by another program ({error}).", "no other program that writes to it.",
                              "close the program that has it open, then run the same command again.")
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            return damaged(path, str(error))
    return None


def _refusal(path: Path) -> OSError | None:
    """Why this user may not use the database or its folder, where SQLite keeps two more files."""
    try:
        open(path, "r+b").close()
    except OSError as error:
        return error
    if os.access(path.parent, os.W_OK):
        return None
    return PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path.parent))


def _full(path: Path) -> Path:
    """What is full: the disk of the database, or else that of SQLite's temporary files."""
    if shutil.disk_usage(path.parent).free < A_LITTLE:
        return path
    return Path(os.environ.get("SQLITE_TMPDIR") or os.environ.get("TMPDIR") or "/var/tmp")


def damaged(path: Path, why: str) -> StageError:
    quoted, folder = shlex.quote(shown(path)), shlex.quote(shown(path.parent))
    return StageError(f"{shown(path)} is damaged ({why}).", "an SQLite database.",
                      f"put it back from a copy, save what is left of it (sqlite3 {quoted} .recover), or start again: "
                      f"mv {folder} {folder}.damaged. Its .jsonl and .warc.gz files stay readable.")


@contextlib.contextmanager
def explained(path: Path) -> Iterator[None]:
    """Raise errors of the database at `path` as StageErrors; a mistake of ours stays the error that it is."""
    try:
        yield
    except sqlite3.Error as error:
        if trouble := stage_error(error, path):
            raise trouble from None
        raise
