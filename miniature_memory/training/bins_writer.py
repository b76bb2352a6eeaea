"""How the bins are written: rebuilt from all clean documents, or extended by the new ones."""

import json
import os
import pickle
import sqlite3
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from miniature_memory.core.errors import naming
from miniature_memory.core.paths import make_folder
from miniature_memory.core.progress import Progress
from miniature_memory.core.stage import StageStats
from miniature_memory.core.text import timestamp
from miniature_memory.storage import clean_documents, growth
from miniature_memory.storage.catalog import Catalog
from miniature_memory.storage.clean_documents import drawn_split, split_of
from miniature_memory.storage.files import write_aside
from miniature_memory.training import tokenizer as tokenizers
from miniature_memory.training.config import PrepareConfig
from miniature_memory.training.init_from import read_tokenizer
from miniature_memory.training.tokenizer import Tokenizer

TRAIN_BIN, VAL_BIN = "data/train.bin", "data/val.bin"
BATCH_DOCUMENTS, BATCH_BYTES = 64, 1 << 20  # of text: a batch is full at the one or the other
BATCHES_AHEAD = 2  # encoded or waiting for it while one is written
MIN_TOKENS = 2  # of a bin: a window and its target
MIN_VAL_TOKENS = 512  # of validation text in the first bins: two contexts of the default model
TOKENIZER_BYTES = 50_000_000  # of clean text that the tokenizer learns from, at most

Row = sqlite3.Row | Mapping[str, Any]  # of a clean document: seq, id, split, text_bytes
Encoded = list[tuple[Row, np.ndarray]]  # clean documents with their uint16 ids


# --- the split -----------------------------------------------------------------------------------


def choose_splits(by_id: Callable[[], Iterable[Row]], last: int, read_text: Callable[[Row], str],
                  tokenizer: Tokenizer, min_val_tokens: int) -> dict[int, str]:
    """Which documents change their split, by seq. If validation is too short, those of the lowest ids join it; one
    document is left to train on.

    by_id: the rows of all documents in the order of their ids. last: the seq of the last of them.
    """
    moved: dict[int, str] = {}
    n_val = 0
    for wanted in ("val", "train"):  # count what is there, then let others join
        for row in by_id():
            if n_val >= min_val_tokens:
                break
            if drawn_split(row) == wanted and not (wanted == "train" and row["seq"] == last):
                n_val += len(tokenizer.encode_document(read_text(row)))
                if wanted == "train":
                    moved[row["seq"]] = "val"
    if all(drawn_split(row) == "val" or row["seq"] in moved for row in by_id()):
        moved[last] = "train"  # a handful of documents, all drawn for validation
    return moved


# --- reading and encoding ------------------------------------------------------------------------


def batches(rows: Iterable[sqlite3.Row]) -> Iterator[list[sqlite3.Row]]:
    batch: list[sqlite3.Row] = []
    n_bytes = 0
    for row in rows:
        batch.append(row)
        n_bytes += row["text_bytes"]
        if len(batch) == BATCH_DOCUMENTS or n_bytes >= BATCH_BYTES:
            yield batch
            batch, n_bytes = [], 0
    if batch:
        yield batch


def encode_rows(catalog: Catalog, tokenizer: Tokenizer, rows: Iterable[sqlite3.Row], total: int) -> Iterator[Encoded]:
    """Batches of documents and their ids, in the order of the rows.

    While two threads encode, without holding the interpreter, the next batch is read and the caller writes the last.
    """
    ahead: deque[tuple[list[sqlite3.Row], Iterator[np.ndarray]]] = deque()
    with ThreadPoolExecutor(2) as pool:
        for batch in batches(Progress(rows, "prepare", total, unit=" documents")):
            texts = [clean_documents.read_text(catalog, row) for row in batch]
            ahead.append((batch, pool.map(tokenizer.encode_document, texts)))
            if len(ahead) > BATCHES_AHEAD:
                yield list(zip(*ahead.popleft(), strict=True))
        while ahead:
            yield list(zip(*ahead.popleft(), strict=True))


def bytes_by_split(batch: Encoded, moved: dict[int, str]) -> dict[str, bytes]:
    """What a batch adds to each bin. moved: splits by seq that replace those drawn."""
    parts: dict[str, list[np.ndarray]] = {}
    for row, ids in batch:
        parts.setdefault(moved.get(row["seq"]) or drawn_split(row), []).append(ids)
    return {split: np.concatenate(arrays).tobytes() for split, arrays in parts.items()}


# --- what the bins hold --------------------------------------------------------------------------


class Held(NamedTuple):
    """What both bins hold together."""

    documents: int
    text_bytes: int
    tokens: int

    @property
    def bytes_per_token(self) -> float:
        return self.text_bytes / self.tokens


def held(catalog: Catalog) -> Held:
    """From the catalog's state: counting would take longer the more there is."""
    documents, text_bytes = catalog.state("prepare.held", [0, 0])
    return Held(documents, text_bytes, sum(token_counts(catalog)))


def token_counts(catalog: Catalog) -> tuple[int, int]:
    """Of train.bin and val.bin."""
    return catalog.length(TRAIN_BIN) // 2, catalog.length(VAL_BIN) // 2


def are_whole(catalog: Catalog) -> bool:
    """Whether both bins are there in their committed lengths."""
    paths = {name: catalog.root / name for name in (TRAIN_BIN, VAL_BIN)}
    return all((path.stat().st_size if path.exists() else 0) >= catalog.length(name) for name, path in paths.items())


# --- rebuilding ----------------------------------------------------------------------------------


def rebuild(catalog: Catalog, config: PrepareConfig, stats: StageStats, kept: Tokenizer | None = None) -> Tokenizer:
    """Write new bins next to the old, then swap them in together with their rows. Until then the old ones are whole.

    kept: the tokenizer to use; without it, a new one. Returns the tokenizer.
    """
    tokenizer = kept or new_tokenizer(config, clean_documents.in_order(catalog), clean_documents.totals(
        catalog).text_bytes, partial(clean_documents.read_text, catalog))
    new_files = {name: f"{name}.new" for name in (TRAIN_BIN, VAL_BIN)}
    if not kept:
        for name, data in tokenizer.files().items():
            new_files[f"data/tokenizer/{name}"] = f"data/tokenizer/{name}.new"
            write_aside(catalog.root / f"data/tokenizer/{name}.new", data)
    # Text that a model has learned from joins the validation later only if there would be none at all.
    was_frozen = catalog.state("prepare.tokenizers")
    moved = choose_splits(partial(clean_documents.by_id, catalog), clean_documents.last_by_id(catalog),
                          partial(clean_documents.read_text, catalog), tokenizer,
                          MIN_TOKENS if was_frozen else MIN_VAL_TOKENS)
    total = clean_documents.totals(catalog)
    n_bytes = write_new_bins(catalog, tokenizer, moved, total.documents)
    stats.bytes_written += n_bytes
    tokens = n_bytes // 2
    learned = catalog.state("prepare.judged", {}).get("learned") if kept else total.text_bytes / tokens
    with catalog.record():
        growth.clear(catalog)
        clean_documents.set_missing_splits(catalog, split_of)
        clean_documents.set_splits(catalog, moved.items())
        catalog.advance("prepare", total.last_seq)
        catalog.set_state("prepare.stale", False)
        catalog.set_state("prepare.held", [total.documents, total.text_bytes])
        catalog.set_state("prepare.judged", {"learned": learned, "text_bytes": total.text_bytes, "tokens": tokens})
        remember_frozen(catalog, tokenizer)
        catalog.swap(new_files)
    catalog.finish_swap()
    return tokenizer


def new_tokenizer(config: PrepareConfig, rows: Iterable[Row], total_bytes: int,
                  read_text: Callable[[Row], str]) -> Tokenizer:
    """That of train.init_from, or one trained on the text of the rows, which is `total_bytes` long."""
    if config.train.init_from:
        return read_tokenizer(Path(config.train.init_from))
    texts = map(read_text, sample_evenly(rows, TOKENIZER_BYTES / max(1, total_bytes)))
    return tokenizers.train(config.tokenizer, texts, config.vocab_size, total_bytes < config.freeze_bytes)


def sample_evenly(rows: Iterable[Row], share: float) -> Iterator[Row]:
    """So many of the rows that `share` of all text is taken, early and late alike; all of them from a share of 1 on."""
    seen = taken = 0
    for row in rows:
        if taken <= share * seen:
            taken += row["text_bytes"]
            yield row
        seen += row["text_bytes"]


def remember_frozen(catalog: Catalog, tokenizer: Tokenizer) -> None:
    """Add a frozen tokenizer to those that the bins were ever made with, within a record() block."""
    known = catalog.state("prepare.tokenizers", [])
    if not tokenizer.provisional and tokenizer.hash not in known:
        catalog.set_state("prepare.tokenizers", [*known, tokenizer.hash])


def write_new_bins(catalog: Catalog, tokenizer: Tokenizer, moved: dict[int, str], total: int) -> int:
    """Write and fsync data/train.bin.new and val.bin.new; return their bytes."""
    make_folder(catalog.root / "data")
    paths = [catalog.root / f"{name}.new" for name in (TRAIN_BIN, VAL_BIN)]
    with naming(paths[0]), open(paths[0], "wb") as train, open(paths[1], "wb") as val:
        for batch in encode_rows(catalog, tokenizer, clean_documents.in_order(catalog), total):
            for split, ids in bytes_by_split(batch, moved).items():
                (val if split == "val" else train).write(ids)
        for stream in (train, val):
            stream.flush()
            os.fsync(stream.fileno())
    return sum(path.stat().st_size for path in paths)


# --- extending -----------------------------------------------------------------------------------


def extend(catalog: Catalog, tokenizer: Tokenizer, stats: StageStats) -> None:
    """Append the ids of the new documents, stats.n_in of them, to the bins."""
    documents, text_bytes, _ = held(catalog)
    for batch in encode_rows(catalog, tokenizer, catalog.new_rows("prepare", "clean_documents"), stats.n_in):
        documents += len(batch)
        text_bytes += sum(row["text_bytes"] for row, _ in batch)
        with catalog.record():
            for split, ids in bytes_by_split(batch, {}).items():
                catalog.append_to(VAL_BIN if split == "val" else TRAIN_BIN, ids)
                stats.bytes_written += len(ids)
            clean_documents.set_splits(catalog, [(row["seq"], drawn_split(row)) for row, _ in batch])
            catalog.set_state("prepare.held", [documents, text_bytes])
            catalog.advance("prepare", batch[-1][0]["seq"])


def record_growth(catalog: Catalog) -> None:
    """Add a growth step if the bins are longer than after the last one."""
    if token_counts(catalog) != growth.last_tokens(catalog):
        with catalog.record():
            growth.add(catalog, timestamp(), held(catalog).documents, *token_counts(catalog))


def write_bins_json(folder: Path, tokenizer: Tokenizer, growth: Iterable[Mapping[str, Any]],
                    earlier: Iterable[str] = ()) -> None:
    """Write bins.json, which training reads and which holds nothing that the catalog does not.

    growth: what the bins held after each growth step. earlier: hashes of the tokenizers before this one.
    """
    content = {"tokenizer_hash": tokenizer.hash, "vocab_size": tokenizer.vocab_size,
               "retokenized_from": [name for name in earlier if name != tokenizer.hash], "growth": list(growth)}
    write_aside(folder / "bins.json", json.dumps(content, indent=1).encode() + b"\n")


def write_meta_pkl(folder: Path, tokenizer: Tokenizer) -> None:
    """Write meta.pkl, for nanoGPT alone: its train.py takes the vocabulary's size from it, its sample.py stoi and
    itos. Plain dicts, so that it loads without this package.

    itos: id -> text of the token; U+FFFD for bytes that are no whole character, "" for the end of text. stoi is its
    inverse for whole characters. nanoGPT encodes a prompt one character at a time, so a character that is no token of
    its own is unknown to it.
    """
    stoi, itos = {}, {tokenizer.eot_token: ""}
    for token, i in sorted(tokenizer.ranks.items(), key=lambda item: item[1]):
        itos[i] = token.decode(errors="replace")
        if itos[i].encode() == token:
            stoi[itos[i]] = i
    write_aside(folder / "meta.pkl", pickle.dumps({"vocab_size": tokenizer.vocab_size, "stoi": stoi, "itos": itos}))
