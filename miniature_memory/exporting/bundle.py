"""Bundle: everything of a root in one archive, as it was at one moment, also during a run.

The order makes it whole: the checkpoints are opened first and the catalog is copied last, so that the catalog knows all
text that the model has learned from. What is renamed over an open file meanwhile does not matter. Append-only files are
taken up to their length in the copied catalog, after their checksums are verified.
"""

import argparse
import contextlib
import hashlib
import io
import os
import shutil
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

from miniature_memory.core.errors import StageError, naming
from miniature_memory.core.paths import shown
from miniature_memory.core.process import lock_holder
from miniature_memory.core.progress import Progress
from miniature_memory.core.text import counted, timestamp
from miniature_memory.core.version import VERSION
from miniature_memory.exporting.aside import check_room, written_aside
from miniature_memory.exporting.contents import MANIFEST, Entry, compressed, ending_of, is_ours, member, to_manifest
from miniature_memory.storage import snapshot
from miniature_memory.storage.catalog import Catalog
from miniature_memory.storage.disk import in_words
from miniature_memory.storage.files import CHUNK_BYTES
from miniature_memory.storage.record_reader import Place, RecordReader
from miniature_memory.storage.rejections import REJECTED
from miniature_memory.storage.snapshot import CATALOG

FOLDERS = ("checkpoints/history", "checkpoints", "config")  # of which all files are opened, in this order
BINS = "data/bins.json"
SUFFIXES = ("data/suffixes.json", "data/suffixes.bin")  # train replaces one after the other, and can make them again
LISTS = ("data/runs.jsonl", "data/samples.jsonl")
TRIES = 5  # to find bins.json and the catalog in agreement while a run replaces both
COMPRESSED = (".gz", ".pt")  # endings of files that do not become smaller


class Source(NamedTuple):
    """A file to take along: its first n_bytes."""

    path: str
    n_bytes: int
    stream: BinaryIO | None = None  # None: an append-only file of the root, opened when its turn comes


def write_bundle(root: Path, target: Path, args: argparse.Namespace) -> str:
    """Write the archive `target`; return in words what was written."""
    ending = ending_of(target)
    with written_aside(target) as archive, contextlib.ExitStack() as stack:
        sources = gather(root, archive.parent / "copy", stack)
        check_room(target, sum(one.n_bytes // (1 if one.path.endswith(COMPRESSED) else 2) for one in sources))
        entries = [Entry(one.path, one.n_bytes, _checksum(root, one))
                   for one in Progress(sources, "checksums", unit=" files")]
        _check_not_replaced(root, archive.parent / "copy")  # since it was verified
        with naming(target), open(archive, "wb") as stream, compressed(stream, ending) as packed, \
                tarfile.open(fileobj=packed, mode="w|") as tar:
            manifest = to_manifest(entries, VERSION, timestamp())
            tar.addfile(member(MANIFEST, len(manifest)), io.BytesIO(manifest))
            for source, entry in zip(Progress(sources, "bundle", unit=" files"), entries, strict=True):
                _add(tar, root, source, entry)
        n_packed = archive.stat().st_size
    paths, n_bytes = {one.path for one in sources}, sum(one.n_bytes for one in sources)
    is_without = any((root / path).exists() and path not in paths for path in SUFFIXES)
    return (f"{counted(len(paths), 'file')} of {in_words(n_bytes)} in {shown(target)} ({in_words(n_packed)})"
            + "; without data/suffixes.bin, since a run is at work: the next training makes it again" * is_without)


def gather(root: Path, copy: Path, stack: contextlib.ExitStack) -> list[Source]:
    """What a bundle of `root` takes along. copy: a folder for the copied catalog. Raises StageError if there is no
    catalog, or if a file is not what was committed."""
    is_running = bool(lock_holder(root))
    for _ in range(TRIES):
        opened = list(_open_all(root, [] if is_running else SUFFIXES, stack))
        if (root / CATALOG).exists():
            check_room(copy, (root / CATALOG).stat().st_size)
        shutil.rmtree(copy, ignore_errors=True)
        snapshot.copy_catalog(root, copy)
        if all(_is_in_place(root, one) for one in opened if one.path == BINS):
            break
    else:
        raise StageError(f"The bins of {shown(root)} kept being replaced.", "a second without changes.",
                         "run the same command again.")
    return [*opened, *_committed(root, copy), _opened(CATALOG, copy, stack)]


def _open_all(root: Path, suffixes: Iterable[str], stack: contextlib.ExitStack) -> Iterator[Source]:
    """The files that are no part of the append log, open."""
    names = [path.relative_to(root).as_posix() for folder in FOLDERS for path in sorted((root / folder).glob("*"))]
    for name in [*filter(is_ours, names), *LISTS, *suffixes, BINS]:
        with contextlib.suppress(FileNotFoundError):  # a release of the history that has gone meanwhile
            yield _opened(name, root, stack)


def _opened(path: str, root: Path, stack: contextlib.ExitStack) -> Source:
    stream = stack.enter_context(open(root / path, "rb"))  # noqa: SIM115 (the stack closes it)
    return Source(path, os.fstat(stream.fileno()).st_size, stream)


def _is_in_place(root: Path, source: Source) -> bool:
    """Whether no other file has been renamed over an open one."""
    assert source.stream
    with contextlib.suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(source.stream.fileno()), os.stat(root / source.path))
    return False


def _committed(root: Path, copy: Path) -> Iterator[Source]:
    """The append-only files and what is replaced together with them, up to their committed lengths, verified."""
    with Catalog(copy, read_only=True) as catalog:
        reader = RecordReader(root, catalog.db)
        for path, n_bytes in snapshot.files(catalog):
            if path == REJECTED:  # which a person may have shortened or removed
                n_bytes = min(n_bytes, (root / path).stat().st_size if (root / path).exists() else 0)
            if n_bytes:
                try:
                    reader.verify(Place(path, 0, n_bytes))
                except StageError:
                    _check_not_replaced(root, copy)  # which would look like damage
                    raise
                yield Source(path, n_bytes)
        reader.stop()


def _check_not_replaced(root: Path, copy: Path) -> None:
    """Raise StageError if a run has replaced a file whose old bytes the copied catalog knows."""
    with Catalog(copy, read_only=True) as catalog:
        if path := snapshot.replaced(root, catalog):
            raise _changed(path)


# --- reading and writing ---------------------------------------------------------------------------


def _open(root: Path, source: Source) -> contextlib.AbstractContextManager[BinaryIO]:
    if source.stream is None:
        return open(root / source.path, "rb")
    source.stream.seek(0)
    return contextlib.nullcontext(source.stream)


def _checksum(root: Path, source: Source) -> str:
    sha256, left = hashlib.sha256(), source.n_bytes
    with _open(root, source) as stream:
        while left and (chunk := stream.read(min(left, CHUNK_BYTES))):
            sha256.update(chunk)
            left -= len(chunk)
    if left:
        raise _changed(source.path)
    return sha256.hexdigest()


class _Hashed:
    """A stream that knows the checksum of what was read from it."""

    def __init__(self, stream: BinaryIO) -> None:
        self.stream, self.sha256 = stream, hashlib.sha256()

    def read(self, size: int) -> bytes:
        data = self.stream.read(size)
        self.sha256.update(data)
        return data


def _add(tar: tarfile.TarFile, root: Path, source: Source, entry: Entry) -> None:
    with _open(root, source) as stream:
        hashed = _Hashed(stream)
        try:
            tar.addfile(member(entry.path, entry.n_bytes), cast(BinaryIO, hashed))
        except OSError as error:
            if error.errno is None:  # tarfile's: the stream has ended
                raise _changed(source.path) from None
            raise
    if hashed.sha256.hexdigest() != entry.sha256:
        raise _changed(source.path)


def _changed(path: str) -> StageError:
    return StageError(f"{path} changed while it was bundled.", "a file that only grows, or is replaced as a "
                      "whole.", "wait until the run that rebuilds it has ended, then run the same command again.")
