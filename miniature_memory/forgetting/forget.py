"""Forget: documents and addresses leave everything that is used, all at once or not at all.

One transaction keeps their hashes, deletes their rows, and swaps in clean shards without them; bins and whatever else
holds their text goes with it. Prepare then makes the bins again from what is left, in the same split. The bytes in raw
and pages stay where they are until purge.py, but no row names them any more, so that no stage can read them.
"""

import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from miniature_memory.cleaning.minhash import keys_of, normalized_words
from miniature_memory.storage import clean_documents, forgotten, growth, rewriting
from miniature_memory.storage.catalog import Catalog
from miniature_memory.storage.files import write_aside
from miniature_memory.storage.forgotten import Forgotten, Found
from miniature_memory.storage.rejections import REJECTED
from miniature_memory.storage.rewriting import Rewritten

BINS = ("data/train.bin", "data/val.bin")
SAMPLES = "data/samples.jsonl"
# What is made again from the clean documents that are left, by whoever needs it; a rebuild of clean begins again
DERIVED = ("data/suffixes.bin", "data/suffixes.json", "data/report.html", "data/rebuild",
           *(f"data/index.sqlite3{ending}" for ending in ("", "-wal", "-shm")))
QUOTE_WORDS = 8  # in a row, by which a sample quotes a document. Guess


class Rejections(NamedTuple):
    """What data/rejected.jsonl has to do with the documents that are found."""

    lines: list[bytes]  # that stay
    n_gone: int
    duplicates: list[str]  # addresses of documents that were rejected as duplicates of theirs
    originals: list[str]  # ids of documents that stay, and of which these are duplicates


def forget(catalog: Catalog, found: Found, new_model: bool = False) -> None:
    """Take back all that was found. new_model: remove the models, too."""
    others: dict[str, str | None] = {}
    files = [rewriting.without_rows(catalog, path, seqs) for path, seqs in _by_file(found).items()]
    if (sifted := sift_rejections(catalog, found)).n_gone:
        write_aside(catalog.root / f"{REJECTED}.new", b"".join(sifted.lines))
        files.append(Rewritten(REJECTED, f"{REJECTED}.new", []))
    if found.clean:
        if (samples := unquoting_samples(catalog, found)) is not None:
            write_aside(catalog.root / f"{SAMPLES}.new", b"".join(samples))
            others[SAMPLES] = f"{SAMPLES}.new"
        others |= dict.fromkeys(DERIVED)
        others |= dict.fromkeys(BINS if is_prepared(catalog) else ())
    if new_model:
        others |= dict.fromkeys(path.relative_to(catalog.root).as_posix() for path in models(catalog.root))
    signatures = [row["signature"] or _signature(catalog, row["id"]) for row in found.clean]
    with catalog.record():
        forgotten.remove(catalog, found, signatures)
        if found.clean and is_prepared(catalog):
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


def sift_rejections(catalog: Catalog, found: Found) -> Rejections:
    """The lines of data/rejected.jsonl without those of what was found and of its duplicates, which quote it."""
    gone, ids = Forgotten(found.entries), {row["id"] for row in found.documents}
    sifted = Rejections([], 0, [], [])
    n_gone, path = 0, catalog.root / REJECTED
    for line in path.read_bytes().splitlines(keepends=True) if path.exists() else ():
        try:
            values = json.loads(line)
            id, url, other = str(values["id"]), str(values["url"]), values["value"]
        except (ValueError, LookupError, TypeError, RecursionError):  # damaged, or edited by hand
            sifted.lines.append(line)
            continue
        is_duplicate = str(values.get("reason")).endswith("_duplicate")
        if id in ids or url in gone:
            sifted.originals.extend([other] * (is_duplicate and other not in ids))
        elif is_duplicate and other in ids:
            sifted.duplicates.append(url)
        else:
            sifted.lines.append(line)
            continue
        n_gone += 1
    return sifted._replace(n_gone=n_gone)


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
