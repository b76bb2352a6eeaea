"""Bins that grow with the clean set."""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np

from miniature_memory.core.paths import make_folder
from miniature_memory.core.progress import Progress
from miniature_memory.core.stage import StageStats
from miniature_memory.core.text import timestamp
from miniature_memory.storage.catalog import Catalog
from miniature_memory.storage.files import write_aside
from miniature_memory.training import tokenizer as tokenizers
from miniature_memory.training.config import PrepareConfig
from miniature_memory.training.tokenizer import Tokenizer

BATCH_DOCUMENTS, BATCH_BYTES = 64, 1 << 20  # of text: a batch is full at the one or the other
BATCHES_AHEAD = 2  # encoded or waiting for it while one is written
MIN_TOKENS = 2  # of a bin: a window and its target
DRIFT_BYTES = 1_000_000  # of new text, of as many nights as it takes, before drift is judged


def split_of(document_id: str) -> str:
    """"val" for one document in twenty, by its id alone, so that the verdict is the same for ever."""
    return "val" if int(document_id[:8], 16) % 1000 < 50 else "train"


def drawn_split(row: Any) -> str:
    """The split of a clean document that was decided before, or else by its id."""
    return row["split"] or split_of(row["id"])


# --- reading and encoding ------------------------------------------------------------------------


def read_text(catalog: Catalog, row: Any) -> str:
    text: str = json.loads(catalog.read(row["file"], row["offset"], row["length"]))["text"]
    return text


def batches(rows: Iterable[Any]) -> Iterator[list[Any]]:
    batch, n_bytes = [], 0
    for row in rows:
        batch.append(row)
        n_bytes += row["text_bytes"]
        if len(batch) == BATCH_DOCUMENTS or n_bytes >= BATCH_BYTES:
            yield batch
            batch, n_bytes = [], 0
    if batch:
        yield batch


def encode_rows(catalog: Catalog, tokenizer: Tokenizer, rows: Iterable[Any], total: int,
                ) -> Iterator[list[tuple[Any, np.ndarray]]]:
    """Batches of (row, uint16 ids), in the order of the rows.

    While two threads encode, without holding the interpreter, the next batch is read and the caller writes the last.
    """
    ahead: deque[tuple[list[Any], Iterator[np.ndarray]]] = deque()
    with ThreadPoolExecutor(2) as pool:
        for batch in batches(Progress(rows, "prepare", total, unit=" documents")):
            ahead.append((batch, pool.map(tokenizer.encode_document, [read_text(catalog, row) for row in batch])))
            if len(ahead) > BATCHES_AHEAD:
                yield list(zip(*ahead.popleft(), strict=True))
        while ahead:
            yield list(zip(*ahead.popleft(), strict=True))


def by_split(batch: list[tuple[Any, np.ndarray]], moved: dict[int, str]) -> dict[str, bytes]:
    """What a batch adds to each bin. moved: splits by seq that take the place of those drawn."""
    parts: dict[str, list[np.ndarray]] = {}
    for row, ids in batch:
        parts.setdefault(moved.get(row["seq"]) or drawn_split(row), []).append(ids)
    return {split: np.concatenate(arrays).tobytes() for split, arrays in parts.items()}


# --- what the bins hold --------------------------------------------------------------------------


class Held(NamedTuple):
    """How much is in both bins together."""

    documents: int
    text_bytes: int
    tokens: int


def held(catalog: Catalog) -> Held:
    tokens = sum(catalog.length(f"data/{split}.bin") // 2 for split in ("train", "val"))
    counted = catalog.state("prepare.held")  # kept, since counting would take longer the more there is
    if counted is None:  # a dataset of an earlier release
        counted = catalog.execute("SELECT count(*), coalesce(sum(text_bytes), 0) FROM clean_documents WHERE seq <= ?",
                                  [catalog.cursor("prepare")]).fetchone()
    documents, text_bytes = counted
    return Held(documents, text_bytes, tokens)


def remember_frozen(catalog: Catalog, tokenizer: Tokenizer) -> None:
    """Note the hash of a frozen tokenizer among those that the bins were ever made with, within a record() block."""
    known = catalog.state("prepare.tokenizers", [])
    if not tokenizer.provisional and tokenizer.hash not in known:
        catalog.set_state("prepare.tokenizers", [*known, tokenizer.hash])


# --- bins made anew ------------------------------------------------------------------------------


def rebuild(catalog: Catalog, config: PrepareConfig, report: StageStats, kept: Tokenizer | None = None) -> Tokenizer:
    """Write all bins beside the old, then swap them in together with their rows. Until then the old ones are whole.

    kept: the tokenizer to go on with; without it one is trained on the text that is there. Returns the tokenizer.
    """
    tokenizer = kept or train_tokenizer(catalog, config)
    new_files = {}
    if not kept:
        for name, data in tokenizer.files().items():
            new_files[f"data/tokenizer/{name}"] = f"data/tokenizer/{name}.new"
            write_aside(catalog.root / f"data/tokenizer/{name}.new", data)
    # What a model has learned from joins the validation later on only if there would be none at all.
    was_frozen = catalog.state("prepare.tokenizers")
    moved = choose_splits(catalog, tokenizer, MIN_TOKENS if was_frozen else config.min_val_tokens)
    documents, text_bytes, last = catalog.execute(
        "SELECT count(*), sum(text_bytes), max(seq) FROM clean_documents").fetchone()
    n_bytes = _write_new_bins(catalog, tokenizer, moved, documents)
    report.bytes_written += n_bytes
    new_files |= {f"data/{split}.bin": f"data/{split}.bin.new" for split in ("train", "val")}
    tokens = n_bytes // 2
    learned = catalog.state("prepare.judged", {}).get("learned") if kept else text_bytes / tokens
    catalog.db.create_function("split_of", 1, split_of, deterministic=True)
    with catalog.record():
        catalog.execute("DELETE FROM growth")
        catalog.execute("UPDATE clean_documents SET split = split_of(id) WHERE split = ''")
        for seq, split in moved.items():
            catalog.execute("UPDATE clean_documents SET split = ? WHERE seq = ?", [split, seq])
        catalog.advance("prepare", last)
        catalog.set_state("prepare.stale", False)
        catalog.set_state("prepare.held", [documents, text_bytes])
        catalog.set_state("prepare.judged", {"learned": learned, "text_bytes": text_bytes, "tokens": tokens})
        remember_frozen(catalog, tokenizer)
        catalog.swap(new_files)
    catalog.finish_swap()
    return tokenizer


def train_tokenizer(catalog: Catalog, config: PrepareConfig) -> Tokenizer:
    total_bytes = catalog.value("SELECT sum(text_bytes) FROM clean_documents")
    rows = sample_evenly(catalog.rows_after(0, "clean_documents"), config.tokenizer_bytes / max(1, total_bytes))
    return tokenizers.train(config.tokenizer, (read_text(catalog, row) for row in rows), config.vocab_size,
                            total_bytes < config.freeze_bytes)


def sample_evenly(rows: Iterable[Any], share: float) -> Iterator[Any]:
    """So many of the rows that `share` of all text is taken, early and late alike; all of them from a share of 1 on."""
    seen = taken = 0
    for row in rows:
        if taken <= share * seen:
            taken += row["text_bytes"]
            yield row
        seen += row["text_bytes"]


def choose_splits(catalog: Catalog, tokenizer: Tokenizer, min_val_tokens: int) -> dict[int, str]:
    """Which documents change their split, by seq. If validation is too short, those of the lowest ids join it; one
    document is left to train on."""
    by_id = "SELECT * FROM clean_documents ORDER BY id"
    last = catalog.value("SELECT seq FROM clean_documents ORDER BY id DESC LIMIT 1")
    moved: dict[int, str] = {}
    n_val = 0
    for wanted in ("val", "train"):  # count what is there, then let others join
        for row in catalog.execute(by_id):
            if n_val >= min_val_tokens:
                break
            if drawn_split(row) == wanted and not (wanted == "train" and row["seq"] == last):
                n_val += len(tokenizer.encode_document(read_text(catalog, row)))
                if wanted == "train":
                    moved[row["seq"]] = "val"
    if all(drawn_split(row) == "val" or row["seq"] in moved for row in catalog.execute(by_id)):
        moved[last] = "train"  # a handful of documents, all drawn for validation
    return moved


def _write_new_bins(catalog: Catalog, tokenizer: Tokenizer, moved: dict[int, str], total: int) -> int:
    """Write and fsync data/train.bin.new and val.bin.new; return their bytes."""
    make_folder(catalog.root / "data")
    paths = {split: catalog.root / f"data/{split}.bin.new" for split in ("train", "val")}
    with open(paths["train"], "wb") as train, open(paths["val"], "wb") as val:
        for batch in encode_rows(catalog, tokenizer, catalog.rows_after(0, "clean_documents"), total):
            for split, ids in by_split(batch, moved).items():
                (val if split == "val" else train).write(ids)
        for stream in (train, val):
            stream.flush()
            os.fsync(stream.fileno())
    return sum(path.stat().st_size for path in paths.values())


# --- bins that grow ------------------------------------------------------------------------------


def extend(catalog: Catalog, tokenizer: Tokenizer, total: int, report: StageStats) -> None:
    """Append the new documents' ids to the bins."""
    documents, text_bytes, _ = held(catalog)
    for batch in encode_rows(catalog, tokenizer, catalog.new_rows("prepare", "clean_documents"), total):
        documents += len(batch)
        text_bytes += sum(row["text_bytes"] for row, _ in batch)
        with catalog.record():
            for split, ids in by_split(batch, {}).items():
                catalog.append_to(f"data/{split}.bin", ids)
                report.bytes_written += len(ids)
            catalog.db.executemany("UPDATE clean_documents SET split = ? WHERE seq = ?",
                                   [(drawn_split(row), row["seq"]) for row, _ in batch])
            catalog.set_state("prepare.held", [documents, text_bytes])
            catalog.advance("prepare", batch[-1][0]["seq"])


def measure_drift(catalog: Catalog, tokenizer: Tokenizer) -> float | None:
    """Which part of its bytes a token the tokenizer has lost on the text since the last verdict; negative: it gained.

    None while that is less than DRIFT_BYTES: short nights add up. None also where the figure says nothing: bytes a
    token of the other kinds tell scripts apart, and what an earlier release's tokenizer learned from is unknown.
    """
    judged, now = catalog.state("prepare.judged", {}), held(catalog)
    if tokenizer.kind != "bpe" or not judged.get("learned") or now.text_bytes < judged["text_bytes"] + DRIFT_BYTES:
        return None
    with catalog.record():
        catalog.set_state("prepare.judged", judged | {"text_bytes": now.text_bytes, "tokens": now.tokens})
    compression = (now.text_bytes - judged["text_bytes"]) / (now.tokens - judged["tokens"])
    return float(1 - compression / judged["learned"])


# --- the stage -----------------------------------------------------------------------------------


def record_growth(catalog: Catalog) -> None:
    """Add a growth step if the bins are longer than after the last one."""
    lengths = [catalog.length(f"data/{split}.bin") // 2 for split in ("train", "val")]
    last = catalog.execute("SELECT * FROM growth ORDER BY step DESC LIMIT 1").fetchone()
    if last and lengths == [last["train_tokens"], last["val_tokens"]]:
        return
    with catalog.record():
        catalog.execute("INSERT INTO growth (at, documents, train_tokens, val_tokens) VALUES (?, ?, ?, ?)",
                        [timestamp(), held(catalog).documents, *lengths])


def write_bins_json(catalog: Catalog, tokenizer: Tokenizer) -> list[dict[str, Any]]:
    """Write data/bins.json; return the growth steps."""
    growth = [dict(row) for row in catalog.execute("SELECT * FROM growth ORDER BY step")]
    before = [name for name in catalog.state("prepare.tokenizers", []) if name != tokenizer.hash]
    content = {"tokenizer_hash": tokenizer.hash, "vocab_size": tokenizer.vocab_size, "retokenized_from": before,
               "growth": growth}
    write_aside(catalog.root / "data/bins.json", json.dumps(content, indent=1).encode() + b"\n")
    return growth
