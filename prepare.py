"""Prepare: clean documents in, token bins out.

Reads   data/clean/*.jsonl    id, text, metadata
Writes  data/tokenizer/       ranks.tiktoken, meta.json
        data/train.bin, val.bin   headerless little-endian uint16 ids, the end-of-text token after each document
        data/bins.json        what is in them; derived, for readers
Alone   .venv/bin/python prepare.py --set prepare.vocab_size=1024

While there is less than `freeze_bytes` of text, tokenizer and bins are made anew each time; from then on the tokenizer
is frozen and the bins only grow.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from tqdm import tqdm

import tokenizer as tokenizers
from catalog import Catalog, make_folder, write_aside
from pipeline import Report, hide_bars, stage_main
from tokenizer import Tokenizer

logger = logging.getLogger(__name__)

BATCH_DOCUMENTS = 64


@dataclass(frozen=True)
class PrepareConfig:
    tokenizer: str = "bpe"            # bpe, gpt2, char or byte
    vocab_size: int = 2048            # most tokens of a bpe or char tokenizer, end of text included
    freeze_bytes: int = 1_000_000     # of clean text; below, the tokenizer is provisional
    tokenizer_bytes: int = 50_000_000  # of clean text that the tokenizer learns from, at most
    min_val_tokens: int = 256         # in the first bins: two contexts of the default model

    def __post_init__(self) -> None:
        if self.tokenizer not in tokenizers.KINDS:
            raise ValueError(f"tokenizer = {self.tokenizer!r}; expected one of {', '.join(tokenizers.KINDS)}")
        if not 257 <= self.vocab_size <= tokenizers.MAX_VOCAB_SIZE:
            raise ValueError(f"vocab_size = {self.vocab_size}; expected 257 (the bytes and the end-of-text token) to "
                             f"{tokenizers.MAX_VOCAB_SIZE} (the bins are uint16)")


def split_of(document_id: str) -> str:
    """"val" for one document in twenty, by its id alone, so that the verdict is the same for ever."""
    return "val" if int(document_id[:8], 16) % 1000 < 50 else "train"


# --- reading -------------------------------------------------------------------------------------


def read_rows(catalog: Catalog, rows: Iterator[Any]) -> Iterator[tuple[Any, str]]:
    """(row, text) of clean documents."""
    for row in rows:
        yield row, json.loads(catalog.read(row["file"], row["offset"], row["length"]))["text"]


def all_rows(catalog: Catalog) -> Iterator[Any]:
    return catalog.new_rows("nobody", "clean_documents")  # a stage without a cursor begins at the first


def batches(items: Iterable[Any]) -> Iterator[list[Any]]:
    iterator = iter(items)
    while batch := list(islice(iterator, BATCH_DOCUMENTS)):
        yield batch


# --- bins made anew ------------------------------------------------------------------------------


def rebuild(catalog: Catalog, config: PrepareConfig, report: Report) -> Tokenizer:
    """Train the tokenizer and write all bins beside the old, then swap them in together with their rows."""
    total_bytes = catalog.value("SELECT sum(text_bytes) FROM clean_documents")
    texts = tokenizers.read_texts((text for _, text in read_rows(catalog, all_rows(catalog))), config.tokenizer_bytes)
    tokenizer = tokenizers.train(config.tokenizer, texts, config.vocab_size, total_bytes < config.freeze_bytes)
    new_files = {}
    for name, data in tokenizer.files().items():
        new_files[f"data/tokenizer/{name}"] = f"data/tokenizer/{name}.new"
        write_aside(catalog.root / f"data/tokenizer/{name}.new", data)
    splits = choose_splits(catalog, tokenizer, config.min_val_tokens)
    report.bytes_written += _write_new_bins(catalog, tokenizer, splits)
    new_files |= {f"data/{split}.bin": f"data/{split}.bin.new" for split in ("train", "val")}
    with catalog.record():
        catalog.execute("DELETE FROM growth")
        for seq, split in splits.items():
            catalog.execute("UPDATE clean_documents SET split = ? WHERE seq = ?", [split, seq])
        catalog.advance("prepare", max(splits))
        catalog.swap(new_files)
    catalog.finish_swap()
    return tokenizer


def choose_splits(catalog: Catalog, tokenizer: Tokenizer, min_val_tokens: int) -> dict[int, str]:
    """The split of each document, by its seq. If validation is too short, the documents of the lowest ids join it."""
    rows = catalog.execute("SELECT seq, id, split FROM clean_documents ORDER BY id").fetchall()
    splits = {row["seq"]: row["split"] or split_of(row["id"]) for row in rows}
    n_val = 0
    for wanted in ("val", "train"):  # count what is there, then let others join; one is left to train on
        for row in rows[:-1] if wanted == "train" else rows:
            if n_val >= min_val_tokens:
                break
            if splits[row["seq"]] == wanted:
                splits[row["seq"]] = "val"
                clean = catalog.execute("SELECT * FROM clean_documents WHERE seq = ?", [row["seq"]])
                n_val += sum(len(tokenizer.encode(text)) + 1 for _, text in read_rows(catalog, clean))
    if "train" not in splits.values():  # a handful of documents, all drawn for validation
        splits[rows[-1]["seq"]] = "train"
    return splits


def _write_new_bins(catalog: Catalog, tokenizer: Tokenizer, splits: dict[int, str]) -> int:
    """Write and fsync data/train.bin.new and val.bin.new; return their bytes."""
    make_folder(catalog.root / "data")
    paths = {split: catalog.root / f"data/{split}.bin.new" for split in ("train", "val")}
    with open(paths["train"], "wb") as train, open(paths["val"], "wb") as val:
        for batch in batches(read_rows(catalog, all_rows(catalog))):
            for (row, _), ids in zip(batch, tokenizer.encode_documents([text for _, text in batch]), strict=True):
                (val if splits[row["seq"]] == "val" else train).write(ids.tobytes())
        for stream in (train, val):
            stream.flush()
            os.fsync(stream.fileno())
    return sum(path.stat().st_size for path in paths.values())


# --- bins that grow ------------------------------------------------------------------------------


def extend(catalog: Catalog, tokenizer: Tokenizer, total: int, report: Report) -> None:
    """Append the new documents' ids to the bins."""
    new = read_rows(catalog, catalog.new_rows("prepare", "clean_documents"))
    progress = tqdm(total=total, desc="prepare", unit=" documents", disable=hide_bars())
    for batch in batches(new):
        encoded = tokenizer.encode_documents([text for _, text in batch])
        with catalog.record():
            for (row, _), ids in zip(batch, encoded, strict=True):
                split = split_of(row["id"])
                catalog.append_to(f"data/{split}.bin", ids.tobytes())
                catalog.execute("UPDATE clean_documents SET split = ? WHERE seq = ?", [split, row["seq"]])
                report.bytes_written += ids.nbytes
            catalog.advance("prepare", batch[-1][0]["seq"])
        progress.update(len(batch))
    progress.close()


# --- the stage -----------------------------------------------------------------------------------


def record_growth(catalog: Catalog) -> None:
    """Add a growth step if the bins are longer than after the last one."""
    lengths = [catalog.length(f"data/{split}.bin") // 2 for split in ("train", "val")]
    last = catalog.execute("SELECT * FROM growth ORDER BY step DESC LIMIT 1").fetchone()
    if last and lengths == [last["train_tokens"], last["val_tokens"]]:
        return
    documents = catalog.value("SELECT count(*) FROM clean_documents WHERE seq <= ?", [catalog.cursor("prepare")])
    with catalog.record():
        catalog.execute("INSERT INTO growth (at, documents, train_tokens, val_tokens) VALUES (?, ?, ?, ?)",
                        [time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), documents, *lengths])


def write_bins_json(catalog: Catalog, tokenizer: Tokenizer) -> list[dict[str, Any]]:
    """Write data/bins.json; return the growth steps."""
    growth = [dict(row) for row in catalog.execute("SELECT * FROM growth ORDER BY step")]
    content = {"tokenizer_hash": tokenizer.hash, "vocab_size": tokenizer.vocab_size, "growth": growth}
    write_aside(catalog.root / "data/bins.json", json.dumps(content, indent=1).encode() + b"\n")
    return growth


def run(config: PrepareConfig, root: Path) -> Report:
    report = Report("prepare")
    with Catalog(root) as catalog:
        report.n_in = report.n_out = catalog.count_new("prepare", "clean_documents")
        has_tokenizer = (root / "data/tokenizer" / tokenizers.META_FILE).exists()
        if not report.n_in and not catalog.cursor("prepare"):
            return report
        tokenizer = tokenizers.load(root / "data/tokenizer") if has_tokenizer or catalog.cursor("prepare") else None
        if tokenizer is None or (tokenizer.provisional and report.n_in):
            tokenizer = rebuild(catalog, config, report)
        elif report.n_in:
            if tokenizer.kind != config.tokenizer:
                logger.info("the tokenizer stays %s: it is frozen since the bins were made with it", tokenizer.kind)
            extend(catalog, tokenizer, report.n_in, report)
        record_growth(catalog)
        catalog.commit()
        growth = write_bins_json(catalog, tokenizer)
        train_tokens, val_tokens = growth[-1]["train_tokens"], growth[-1]["val_tokens"]
        text_bytes = catalog.value("SELECT sum(text_bytes) FROM clean_documents WHERE seq <= ?",
                                   [catalog.cursor("prepare")])
        report.facts = {"documents": growth[-1]["documents"], "train_tokens": train_tokens, "val_tokens": val_tokens,
                        "vocab_size": tokenizer.vocab_size, "provisional": tokenizer.provisional,
                        "bytes_per_token": round(text_bytes / (train_tokens + val_tokens), 3)}
        report.facts["summary"] = (f"{report.n_in} in, {report.n_out} out; {train_tokens + val_tokens:,} tokens in all "
                                   f"({val_tokens:,} for validation), vocabulary {tokenizer.vocab_size}"
                                   f"{', provisional' if tokenizer.provisional else ''}")
    return report


def main(argv: list[str] | None = None) -> int:
    return stage_main(run, PrepareConfig, "prepare", argv)


if __name__ == "__main__":
    raise SystemExit(main())
