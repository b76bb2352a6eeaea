"""Forget: documents and addresses leave everything that is used, all at once or not at all.

One transaction keeps their hashes, deletes their rows, and swaps in clean shards without them; bins and whatever else
holds their text goes with it. Prepare then rebuilds the bins from what is left, in the same split. The bytes in raw
and pages stay where they are until purge.py, but no row names them any more, so that no stage can read them.
"""

import contextlib
import json
import os
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from miniature_memory.cleaning.minhash import keys_of, normalized_words
from miniature_memory.crawl import handover
from miniature_memory.storage import clean_documents, forgotten, full_text, growth, last_asked, rewriting
from miniature_memory.storage.catalog import Catalog
from miniature_memory.storage.files import write_aside
from miniature_memory.storage.forgotten import Forgotten, Found
from miniature_memory.storage.rejections import REJECTED
from miniature_memory.storage.rewriting import Rewritten

BINS = ("data/train.bin", "data/val.bin")
SAMPLES = "data/samples.jsonl"
# What is made again from the clean documents that are left, by whoever needs it; a rebuild of clean begins again
DERIVED = ("data/suffixes.bin", "data/suffixes.json", "data/report.html", "data/rebuild", *full_text.FILES)
QUOTE_WORDS = 8  # in a row, by which a sample quotes a document. Guess


class Rejections(NamedTuple):
    """What data/rejected.jsonl says of the documents that are found."""

    n_lines: int  # of them, and of their duplicates
    duplicates: list[str]  # addresses of documents that were rejected as duplicates of theirs
    originals: list[str]  # ids of documents that stay, and of which these are duplicates


def forget(catalog: Catalog, found: Found, new_model: bool = False) -> None:
    """Take back all that was found. new_model: remove the models, too."""
    others, has_bins = dict[str, str | None]({handover.FILE: None}), bool(found.clean) and is_prepared(catalog)
    files = [rewriting.without_rows(catalog, path, seqs) for path, seqs in _by_file(found).items()]
    if rejections_of(catalog, found, keep_others=True).n_lines:
        files.append(Rewritten(REJECTED, f"{REJECTED}.new", []))
    else:
        (catalog.root / f"{REJECTED}.new").unlink(missing_ok=True)
    if found.clean:
        if (samples := unquoting_samples(catalog, found)) is not None:
            write_aside(catalog.root / f"{SAMPLES}.new", b"".join(samples))
            others[SAMPLES] = f"{SAMPLES}.new"
        others |= dict.fromkeys([*DERIVED, *(BINS if has_bins else ())])
    if new_model:
        others |= dict.fromkeys(path.relative_to(catalog.root).as_posix() for path in models(catalog.root))
    signatures = [row["signature"] or _signature(catalog, row["id"]) for row in found.clean]
    with catalog.record():
        forgotten.remove(catalog, found, signatures)
        last_asked.clear(catalog)
        if has_bins:
            _without_bins(catalog)
        rewriting.take(catalog, files, others)
    catalog.finish_swap()


def models(root: Path) -> list[Path]:
    """Whatever is in checkpoints/: all of it has learned, or tells of it."""
    return sorted(path for path in (root / "checkpoints").glob("*") if not path.name.startswith("."))


def _by_file(found: Found) -> dict[str, set[int]]:
    """The clean documents of each shard."""
    by_file: dict[str, set[int]] = defaultdict(set)
    for row in found.clean:
        by_file[row["file"]].add(row["seq"])
    return by_file


def _signature(catalog: Catalog, document_id: str) -> bytes:
    """The keys of a clean document of an earlier release, which has none; none if it is damaged."""
    document = clean_documents.read(catalog, document_id)
    return keys_of(document["text"]).astype("<i8").tobytes() if document else b""


def is_prepared(catalog: Catalog) -> bool:
    """Whether the bins, if there are any, were made of clean documents."""
    return bool(catalog.cursor("prepare") or catalog.state("prepare.stale"))


def _without_bins(catalog: Catalog) -> None:
    """Let prepare make the bins again, within a record() block that removes their files."""
    for path in BINS:
        catalog.log.shorten(path, 0)
    growth.clear(catalog)
    catalog.set_state("prepare.held", [0, 0])
    catalog.set_state("prepare.stale", True)
    catalog.advance("prepare", 0)


# --- what quotes them ----------------------------------------------------------------------------


def rejections_of(catalog: Catalog, found: Found, keep_others: bool = False) -> Rejections:
    """The lines of data/rejected.jsonl about what was found and about its duplicates, which quote it.

    keep_others: whether all other lines are written to data/rejected.jsonl.new.
    """
    gone, ids = Forgotten(found.entries), {row["id"] for row in found.documents}
    n_lines, duplicates, originals = 0, list[str](), list[str]()
    with contextlib.ExitStack() as files:
        path = catalog.root / REJECTED
        lines = files.enter_context(open(path, "rb")) if path.exists() else ()
        others = files.enter_context(open(f"{path}.new", "wb")) if keep_others and path.exists() else None
        for line in lines:
            id, url, original = _rejection(line)
            if id in ids or url in gone:
                originals.extend([original] * (original not in ("", *ids)))
            elif original in ids:
                duplicates.append(url)
            else:
                if others:
                    others.write(line)
                continue
            n_lines += 1
        if others:
            others.flush()
            os.fsync(others.fileno())
    return Rejections(n_lines, duplicates, originals)


def _rejection(line: bytes) -> tuple[str, str, str]:
    """(id, address, id of the document that it is a duplicate of or "") of a line; "" for what a person has edited."""
    try:
        values = json.loads(line)
        is_duplicate = str(values["reason"]).endswith("_duplicate")
        return str(values["id"]), str(values["url"]), str(values["value"]) if is_duplicate else ""
    except (ValueError, LookupError, TypeError, RecursionError):
        return "", "", ""


def unquoting_samples(catalog: Catalog, found: Found) -> list[bytes] | None:
    """The lines of data/samples.jsonl that share no QUOTE_WORDS words in a row with a document; None: all of them."""
    path = catalog.root / SAMPLES
    lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
    where: dict[int, set[int]] = defaultdict(set)  # quote -> lines
    for n, line in enumerate(lines):
        for text in _strings(line):
            for quote in _quotes(text):
                where[quote].add(n)
    quoting: set[int] = set()
    for row in found.clean if where else ():
        if document := clean_documents.read(catalog, row["id"]):
            quoting.update(*(where[quote] for quote in _quotes(document["text"]) if quote in where))
    return [line for n, line in enumerate(lines) if n not in quoting] if quoting else None


def _quotes(text: str) -> Iterator[int]:
    words = normalized_words(text)
    for first in range(len(words) - QUOTE_WORDS + 1):
        yield hash(tuple(words[first:first + QUOTE_WORDS]))


def _strings(line: bytes) -> Iterator[str]:
    """The texts of a line of samples."""
    try:
        values = json.loads(line)
    except (ValueError, RecursionError):
        return
    for key in ("prompts", "texts", "originals") if isinstance(values, dict) else ():
        found = values.get(key)
        yield from (text for text in found if isinstance(text, str)) if isinstance(found, list) else ()
