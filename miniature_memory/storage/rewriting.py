"""Rewriting: a committed file written again without some of its records, and swapped in. Only forgetting does it.

A file of lines becomes shorter. In a WARC file nothing moves: documents name the places in it.
"""

import os
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from miniature_memory.core.errors import naming
from miniature_memory.storage import records
from miniature_memory.storage.catalog import Catalog
from miniature_memory.storage.files import CHUNK_BYTES
from miniature_memory.storage.record_reader import Place


class Rewritten(NamedTuple):
    """A new file, fsynced, that waits next to the old one."""

    path: str
    new: str
    offsets: list[tuple[int, int]]  # (offset, sequence number) of each record that has moved


def without_rows(catalog: Catalog, path: str, seqs: Collection[int] = ()) -> Rewritten:
    """The lines of a file but for those of the rows `seqs`, and for bytes that no row names.

    Raises StageError if a line is not as it was written: rewritten, damage would have a checksum that is right.
    """
    new, offsets, end = f"{path}.new", [], 0
    rows = catalog.execute(f"SELECT seq, offset, length FROM {records.table_of(path)} WHERE file = ? ORDER BY offset",
                           [path])
    with naming(catalog.root / new), open(catalog.root / new, "wb") as stream:
        for seq, offset, length in rows:
            if seq not in seqs:
                catalog.log.reader.verify(Place(path, offset, length))
                stream.write(catalog.read(path, offset, length))
                offsets.append((end, seq))
                end += length
        stream.flush()
        os.fsync(stream.fileno())
    return Rewritten(path, new, offsets)


def with_parts(catalog: Catalog, path: str, parts: Mapping[int, bytes]) -> Rewritten:
    """A file with other bytes at some offsets. Raises StageError if the file is not as it was written."""
    new, length = f"{path}.new", catalog.length(path)
    catalog.log.reader.verify(Place(path, 0, length))
    with naming(catalog.root / new), open(catalog.root / path, "rb") as old, open(catalog.root / new, "wb") as stream:
        for offset, part in [*sorted(parts.items()), (length, b"")]:
            while chunk := old.read(min(offset - old.tell(), CHUNK_BYTES)):
                stream.write(chunk)
            stream.write(part)
            old.seek(len(part), os.SEEK_CUR)
        stream.flush()
        os.fsync(stream.fileno())
    return Rewritten(path, new, [])


def take(catalog: Catalog, files: Iterable[Rewritten], others: Mapping[str, str | None] | None = None) -> None:
    """Let rows and checksums follow, within a record() block, after which catalog.finish_swap() renames the files.

    others: as Catalog.swap() has them.
    """
    files = list(files)
    for file in (file for file in files if file.offsets):
        catalog.db.executemany(f"UPDATE {records.table_of(file.path)} SET offset = ? WHERE seq = ?", file.offsets)
    catalog.swap({file.path: file.new for file in files}, others)


def files_with_gaps(catalog: Catalog, table: str) -> list[str]:
    """The files of a table that have bytes which none of its rows names: what was forgotten."""
    folder = next(folder for folder, one in records.TABLES.items() if one == table)
    return [path for (path,) in catalog.execute(
        f"SELECT path FROM files WHERE path LIKE ? AND NOT dropped "
        f"AND length > (SELECT coalesce(sum(length), 0) FROM {table} WHERE file = path) ORDER BY path",
        [f"{folder}/%"])]
