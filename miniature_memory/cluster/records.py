"""Records: sorted arrays on disk, of which another task reads the part that it needs; files that appear as a whole."""

import bisect
import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from miniature_memory.core.errors import naming
from miniature_memory.core.paths import fsync_folder, make_folder


@contextlib.contextmanager
def written(path: Path) -> Iterator[BinaryIO]:
    """A stream whose bytes become the file `path` if the block ends without an error."""
    make_folder(path.parent)
    aside = path.with_name(f"{path.name}.{os.getpid()}.tmp")  # another machine may still be at work on this task
    try:
        with naming(path), open(aside, "wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(aside, path)
        fsync_folder(path.parent)
    finally:
        with contextlib.suppress(OSError):
            aside.unlink()


def save(path: Path, array: np.ndarray, *by: str) -> None:
    """Save records in the order of the fields `by`, the most important first."""
    with written(path) as stream:
        np.save(stream, np.sort(array, order=list(by), kind="stable") if by else array)


def load(path: Path) -> np.ndarray:
    """Mapped, so that only what is looked at is read."""
    array: np.ndarray = np.load(path, mmap_mode="r")
    return array


def bucket(paths: Iterable[Path], field: str, number: int, buckets: int, dtype: np.dtype) -> np.ndarray:
    """The records of all `paths` whose `field`, uint64, lies in the part `number` of its range, with their `rank`: the
    place of their file among `paths`."""
    first, end = number * (1 << 64) // buckets, (number + 1) * (1 << 64) // buckets
    return _gathered(((rank, _between(load(path), field, first, end)) for rank, path in enumerate(paths)), dtype)


def of_rank(paths: Iterable[Path], rank: int, dtype: np.dtype) -> np.ndarray:
    """The records of all `paths` with this `rank`."""
    return _gathered(((rank, _between(load(path), "rank", rank, rank + 1)) for path in paths), dtype)


def _between(array: np.ndarray, field: str, first: int, end: int) -> np.ndarray:
    column = array[field]  # bisect looks at a few records; np.searchsorted would copy them all
    return array[bisect.bisect_left(column, first):bisect.bisect_left(column, end)]


def _gathered(parts: Iterable[tuple[int, np.ndarray]], dtype: np.dtype) -> np.ndarray:
    arrays = []
    for rank, part in parts:
        array = np.empty(len(part), dtype)
        for name in part.dtype.names or ():
            array[name] = part[name]
        array["rank"] = rank
        arrays.append(array)
    return np.concatenate(arrays) if arrays else np.empty(0, dtype)
