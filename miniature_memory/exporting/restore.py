"""Restore: a bundle becomes a root again. It may be a stranger's, so nothing of it is trusted.

tarfile only takes the archive apart; it extracts nothing. A member is written if it is a plain file with the name and
the size that the manifest has for this place, under a name that only a root's own files have (contents.FILES): no link,
device or path leads outside. What is read is bounded by the manifest, and that by the room on the disk. The new root
appears once every checksum is right and its catalog names no file but these.
"""

import argparse
import hashlib
import os
import stat
import tarfile
import zlib
from pathlib import Path
from typing import BinaryIO, cast

import zstandard

from miniature_memory.core.errors import ConfigError, StageError, cannot_read, naming
from miniature_memory.core.paths import PROJECT, command, make_folder, shown
from miniature_memory.core.progress import Progress
from miniature_memory.core.text import counted, strip_control
from miniature_memory.exporting.aside import check_room, written_aside
from miniature_memory.exporting.contents import (
    MANIFEST,
    MOST_MANIFEST_BYTES,
    Entry,
    ending_of,
    expanded,
    from_manifest,
    is_ours,
)
from miniature_memory.storage import snapshot
from miniature_memory.storage.disk import in_words
from miniature_memory.storage.files import CHUNK_BYTES
from miniature_memory.storage.snapshot import CATALOG

MOST_HEADER_BYTES = 1 << 17  # of one member: tarfile reads as much ahead, and keeps long names in memory. Guess
MOST_RATIO, FREE_BYTES = 200, 50_000_000  # of expanded to compressed bytes, beyond the latter; as for local archives
DAMAGE = (tarfile.TarError, zstandard.ZstdError, zlib.error, EOFError, ValueError, LookupError, TypeError,
          AttributeError, ArithmeticError, RecursionError)  # what parsers raise for a damaged file


def restore_bundle(root: Path, target: Path, args: argparse.Namespace) -> str:
    """Make `root`, which must be new or empty, of the bundle `target`; return in words what was restored."""
    ending = ending_of(target)
    if Path(os.path.realpath(root)) == PROJECT:
        raise ConfigError("restore needs the name of a new root. Fix: add --root DIR, or --topic WORDS")
    try:
        if not stat.S_ISREG(os.stat(target).st_mode):
            raise not_whole(target, "it is not a file")
        stream = open(target, "rb")  # noqa: SIM115 (an error of it is not one of the root)
    except OSError as error:
        raise cannot_read(shown(target), error) from None
    with stream, written_aside(root) as folder:
        try:
            entries = unpack(stream, ending, folder, root)
        except DAMAGE as error:
            raise not_whole(target, " ".join(strip_control(str(error)).split())[:200] or type(error).__name__) from None
        except OSError as error:
            if error.errno is not None:
                raise
            raise not_whole(target, str(error)) from None  # gzip's
        sizes = {entry.path: entry.n_bytes for entry in entries}
        if fault := snapshot.fault(folder / CATALOG, sizes, is_ours):
            raise not_whole(target, fault)
    return (f"{counted(len(entries), 'file')} of {in_words(sum(sizes.values()))} in {shown(root)}; continue with "
            f"{command('run.py', root)}")


def unpack(stream: BinaryIO, ending: str, folder: Path, root: Path) -> list[Entry]:
    """Write the files of a bundle into `folder`. Raises ValueError, and what else is in DAMAGE, if it is not whole."""
    bounded = _Bounded(expanded(stream, ending))
    n_packed = os.fstat(stream.fileno()).st_size
    bounded.limit(MOST_MANIFEST_BYTES)
    with tarfile.open(fileobj=cast(BinaryIO, bounded), mode="r|") as tar:
        manifest = tar.next()
        if manifest is None or manifest.name != MANIFEST or not manifest.isreg():
            raise ValueError(f"it does not begin with {MANIFEST}")
        entries = from_manifest(_content(tar, manifest).read(MOST_MANIFEST_BYTES))
        n_bytes = sum(entry.n_bytes for entry in entries)
        if n_bytes > max(FREE_BYTES, MOST_RATIO * n_packed):
            raise ValueError(f"{in_words(n_packed)} would become {in_words(n_bytes)}")
        check_room(root, n_bytes)
        for entry in Progress(entries, "restore", unit=" files"):
            bounded.limit(MOST_HEADER_BYTES)
            found = tar.next()
            tar.members.clear()  # type: ignore[attr-defined]  # it would keep all of them
            if found is None or (found.name, found.size) != (entry.path, entry.n_bytes) or not _is_plain(found):
                raise ValueError(f"{entry.path} is missing, or is not the file that its manifest lists")
            bounded.limit(entry.n_bytes + MOST_HEADER_BYTES)
            _write(_content(tar, found), folder / entry.path, entry)
        bounded.limit(MOST_HEADER_BYTES)
        if tar.next() is not None:
            raise ValueError("it holds more files than its manifest lists")
    return entries


class _Bounded:
    """A stream that ends in a ValueError when more is read of it than was expected."""

    def __init__(self, stream: BinaryIO) -> None:
        self.stream, self.left = stream, 0

    def limit(self, n_bytes: int) -> None:
        self.left = n_bytes

    def read(self, size: int) -> bytes:
        data = self.stream.read(size)
        self.left -= len(data)
        if self.left < 0:
            raise ValueError("it holds more than its manifest lists")
        return data


def _is_plain(member: tarfile.TarInfo) -> bool:
    return member.type in (tarfile.REGTYPE, tarfile.AREGTYPE) and not member.issparse()


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> BinaryIO:
    return cast(BinaryIO, tar.extractfile(member))


def _write(content: BinaryIO, path: Path, entry: Entry) -> None:
    sha256 = hashlib.sha256()
    make_folder(path.parent)
    with naming(path), open(path, "xb") as out:
        while chunk := content.read(CHUNK_BYTES):
            sha256.update(chunk)
            out.write(chunk)
    if path.stat().st_size != entry.n_bytes or sha256.hexdigest() != entry.sha256:
        raise ValueError(f"the checksum of {entry.path} is wrong")


def not_whole(path: Path, what: str) -> StageError:
    return StageError(f"{shown(path)} is not a whole bundle: {what}. Nothing was restored.",
                      "a file as export.py bundle writes it, of this release or an earlier one.",
                      "copy it again from where it was made, or bundle that root again.")
