"""Aside: a file or folder that is written next to its place, and appears there whole or not at all."""

import contextlib
import fcntl
import os
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

from miniature_memory.core.errors import StageError
from miniature_memory.core.paths import fsync_folder, make_folder, shown
from miniature_memory.storage.disk import in_words
from miniature_memory.storage.files import free_name


@contextlib.contextmanager
def written_aside(target: Path) -> Iterator[Path]:
    """Yield a path for a file or folder that becomes `target` if the block ends without an error; else nothing stays.

    What else is put into the parent of that path is removed at the end. Raises StageError if there is such a file, or
    such a folder that is not empty, or if another export writes it.
    """
    place = Path(os.path.realpath(target))
    folder = make_folder(place.parent / f".{place.name}.unfinished")
    with _locked(folder, target):
        try:
            if place.exists() and not (place.is_dir() and not any(place.iterdir())):
                raise _taken(target, place)
            for entry in folder.iterdir():  # of an export that was killed
                _remove(entry)
            yield folder / place.name
            _sync(folder / place.name)
            os.replace(folder / place.name, place)
            fsync_folder(place.parent)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _taken(target: Path, place: Path) -> StageError:
    quoted, other = shlex.quote(shown(target)), shlex.quote(shown(free_name(place.parent / f"{place.name}.old")))
    move = f", or move it: mv {quoted} {other}" if place.is_file() or place.is_dir() else ""  # no device
    return StageError(f"{shown(target)} is already there.", "a name that is not taken, or an empty folder.",
                      f"choose another name{move}")


def check_room(target: Path, n_bytes: int) -> None:
    """Raise StageError unless the disk of `target`, whose folder is there, has room for so many bytes."""
    free = shutil.disk_usage(target.parent).free
    if free < n_bytes:
        raise StageError(f"{shown(target)} may take {in_words(n_bytes)}, and its disk has {in_words(free)} free.",
                         "enough for all of it.", "make room, or choose a folder on another disk.")


@contextlib.contextmanager
def _locked(folder: Path, target: Path) -> Iterator[None]:
    try:
        descriptor = os.open(folder, os.O_RDONLY)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.stat(folder)  # the other export may have ended, and removed it, in between
    except (BlockingIOError, FileNotFoundError):
        raise StageError(f"{shown(target)} is being written by another export.", "one at a time.",
                         "wait until it ends, or choose another name.") from None
    try:
        yield
    finally:
        os.close(descriptor)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def _sync(path: Path) -> None:
    """Sync a file, or everything in a folder, to the disk."""
    if path.is_dir():
        for entry in path.iterdir():
            _sync(entry)
        fsync_folder(path)
        return
    with open(path, "rb") as stream:
        os.fsync(stream.fileno())
