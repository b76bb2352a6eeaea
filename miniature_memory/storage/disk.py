"""Disk: how much space a root takes, and what is removed when that is too much."""

import logging
import os
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from miniature_memory.core.paths import shown
from miniature_memory.core.text import counted
from miniature_memory.storage import counts, pages
from miniature_memory.storage.catalog import Catalog

logger = logging.getLogger(__name__)

MOST_LOOKED_AT = 2_000  # files and folders of a root, for a screen that must appear at once
FOLDERS = ("pages", "raw", "clean")
HISTORY = "checkpoints/history"
# The part that a file of data/ belongs to, by the beginning of its name; folders are parts by their own names
PARTS = {"train.bin": "bins", "val.bin": "bins", "bins.json": "bins", "meta.pkl": "bins", "tokenizer": "bins",
         "suffixes": "counts", "catalog.sqlite3": "catalog", "index.sqlite3": "index",
         "run.": "logs", "runs.jsonl": "logs", "rejected.jsonl": "logs", "samples.jsonl": "logs",
         "report.html": "logs", **{folder: folder for folder in FOLDERS}}


class Usage(NamedTuple):
    parts: dict[str, int]  # bytes, the largest part first
    is_whole: bool  # False: there are more files than were looked at

    @property
    def total(self) -> int:
        return sum(self.parts.values())


def usage(root: Path, most: int | None = MOST_LOOKED_AT, known: Mapping[str, int] | None = None) -> Usage:
    """Bytes of each part of data/ and checkpoints/.

    most: files and folders that are looked at; None: all. known: bytes of folders of data/ that need no look.
    """
    found, seen, n = Counter(known or {}), set[int](), 0
    for name, entry in islice(_entries(root, {f"data/{folder}" for folder in known or {}}), most):
        n += 1
        status = entry.stat(follow_symlinks=False)
        if entry.is_dir(follow_symlinks=False) or (status.st_nlink > 1 and status.st_ino in seen):
            continue  # ckpt.prev.pt may be a second name of ckpt.pt
        seen.add(status.st_ino)
        found[part_of(name)] += status.st_size
    return Usage(dict(found.most_common()), most is None or n < most)


def committed(catalog: Catalog) -> dict[str, int]:
    """Bytes of the folders of many files, as the catalog has them: there may be thousands of each."""
    return {name: n for name, n in counts.bytes_by_folder(catalog).items() if name in FOLDERS}


def part_of(name: str) -> str:
    """The part that a path such as data/pages/000000.warc.gz belongs to."""
    if not name.startswith("data/"):
        return "earlier models" if name.startswith(HISTORY) else "checkpoints"
    return next((part for beginning, part in PARTS.items() if name.startswith(f"data/{beginning}")), "other")


def _entries(root: Path, without: Collection[str]) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """(path below the root, entry) of all that is in data/ and checkpoints/. What disappears meanwhile is skipped."""
    folders = ["data", "checkpoints"]
    while folders:
        folder = folders.pop(0)  # the large files are at the top, the many in folders of their own
        try:
            entries = list(os.scandir(root / folder))
        except OSError:
            continue
        for entry in entries:
            if f"{folder}/{entry.name}" in without:
                continue
            try:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(f"{folder}/{entry.name}")
                entry.stat(follow_symlinks=False)  # keeps its answer
            except OSError:
                continue
            yield f"{folder}/{entry.name}", entry


def in_words(n_bytes: int) -> str:
    size, unit = next(((size, unit) for size, unit in ((1e9, "GB"), (1e6, "MB")) if n_bytes >= size), (1e3, "kB"))
    return f"{n_bytes / size:.{0 if n_bytes >= 100 * size or size == 1e3 else 1}f} {unit}"


# --- not too much --------------------------------------------------------------------------------


def keep_within(root: Path, max_gb: float) -> None:
    """Remove what may go, oldest first, until a root takes at most `max_gb`; 0: nothing. Logs one line if it took more.

    Removed are models of checkpoints/history but the newest, then WARC files that extract has read to their end but the
    one that scrape appends to. The catalog remembers which: nothing misses them, and no page is fetched again for it.
    """
    limit = round(max_gb * 1e9)
    total = usage(root, None).total if limit else 0
    if total <= limit:
        return
    models, archives, n_models, n_archives = sorted((root / HISTORY).glob("*.pt"))[:-1], list[str](), 0, 0
    while models and total > limit:
        path, n_models = models.pop(0), n_models + 1
        total -= path.stat().st_size
        path.unlink()
    if total > limit and (root / "data/catalog.sqlite3").exists():
        with Catalog(root) as catalog:
            archives = pages.removable_files(catalog)
            while archives and total > limit:
                total, n_archives = total - catalog.drop(archives.pop(0)), n_archives + 1
    removed = [counted(n_models, "earlier model")] * bool(n_models)
    removed += [f"{counted(n_archives, 'WARC file')} that had been extracted"] * bool(n_archives)
    logger.log(logging.INFO if total <= limit else logging.WARNING,
               "%s may take %s (storage.max_gb): removed %s; %s are left%s", shown(root), in_words(limit),
               " and ".join(removed) or "nothing", in_words(total),
               "" if total <= limit else ", and none of that may go. Fix: raise storage.max_gb, or move this folder")
