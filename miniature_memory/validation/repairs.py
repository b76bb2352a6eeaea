"""Repairs: copy what is damaged to data/damaged/, and let the catalog skip it.

No file of the dataset is rewritten, and nothing is deleted.
"""

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from miniature_memory.core.paths import command, fsync_folder, make_folder
from miniature_memory.core.text import timestamp
from miniature_memory.storage import growth, records
from miniature_memory.storage.catalog import Catalog
from miniature_memory.storage.files import CHUNK_BYTES, free_name
from miniature_memory.storage.records import Rows

ASIDE = "data/damaged"
BINS = ("data/train.bin", "data/val.bin")


class Problem(NamedTuple):
    """Something in the dataset that is wrong, in sentences."""

    found: str  # what and where
    fix: str
    repair: Callable[[], object] | None  # what --repair does; None: only a person can fix it


def repair_command(root: Path) -> str:
    return command("validate.py", root, "--repair")


def rebuild_command(root: Path) -> str:
    return command("clean.py", root, "--rebuild")


def prepare_command(root: Path) -> str:
    return command("run.py", root, "--only prepare")


def set_aside(catalog: Catalog, path: str, offset: int, end: int, rows: Rows | None = None) -> None:
    """Copy bytes of a file, let the catalog skip `rows`, and accept the bytes as they are."""
    copy_aside(catalog, path, offset, end - offset)
    with catalog.record():
        if rows:
            records.pass_over(catalog, rows)
        with contextlib.suppress(OSError):  # they cannot be read and stay a problem: the disk is failing
            catalog.log.accept(path, offset, end - offset)


def cut(catalog: Catalog, path: str, there: int) -> None:
    """Continue a file from the last whole record within the `there` bytes that it still has."""
    end = records.end_of_last_whole(catalog, path, there)
    copy_aside(catalog, path, end, there - end)
    with catalog.record():
        records.pass_over(catalog, records.touching(path, end))
        catalog.log.shorten(path, end)


def set_bins_aside(catalog: Catalog) -> None:
    for path in BINS:
        rename_aside(catalog.root, path)
    with catalog.record():
        for path in BINS:
            catalog.log.shorten(path, 0)
        catalog.set_state("prepare.stale", True)


def add_growth_step(catalog: Catalog, train_tokens: int, val_tokens: int) -> None:
    documents = catalog.count_after(0, "clean_documents", catalog.cursor("prepare"))
    with catalog.record():
        growth.add(catalog, timestamp(), documents, train_tokens, val_tokens)


def set_cursor(catalog: Catalog, stage: str, seq: int) -> None:
    with catalog.record():
        catalog.advance(stage, seq)


def rename_aside(root: Path, path: str) -> None:
    file, folder = root / path, root / ASIDE
    if file.exists():
        os.rename(file, free_name(make_folder(folder) / file.name))
        fsync_folder(folder)


def copy_aside(catalog: Catalog, path: str, offset: int, length: int) -> None:
    """Copy a part of a file, as much of it as can be read, to data/damaged/FOLDER-FILE.OFFSET."""
    source, folder = catalog.root / path, catalog.root / ASIDE
    if length <= 0 or not source.exists():
        return
    name = f"{source.parent.name}-{source.name}.{offset}"
    with open(source, "rb") as stream, open(free_name(make_folder(folder) / name), "xb") as copy:
        stream.seek(offset)
        with contextlib.suppress(OSError):
            while length and (chunk := stream.read(min(length, CHUNK_BYTES))):
                copy.write(chunk)
                length -= len(chunk)
        copy.flush()
        os.fsync(copy.fileno())
    fsync_folder(folder)
