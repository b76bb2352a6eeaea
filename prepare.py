"""Prepare: clean documents in, token bins out.

Reads   data/clean/*.jsonl    id, text, metadata
Writes  data/tokenizer/       ranks.tiktoken, meta.json
        data/train.bin, val.bin   headerless little-endian uint16 ids, the end-of-text token after each document
        data/bins.json        what is in them; derived, for readers
Alone   .venv/bin/python prepare.py --set prepare.vocab_size=1024
Anew    .venv/bin/python prepare.py --retokenize

While there is less than `freeze_bytes` of text, tokenizer and bins are made anew each time; from then on the tokenizer
is frozen and the bins only grow. When the clean documents were made anew (clean.py --rebuild) or the bins were damaged
(validate.py --repair), the setting prepare.stale says so, and the bins are made anew with the same frozen tokenizer.

Text of another kind than that the tokenizer learned from takes more tokens; when that drift is large, the stage says
so. --retokenize then trains another tokenizer on the text of today and makes the bins anew beside the old; both are
swapped in together, each document stays in its split, and bins.json names the tokenizers before in retokenized_from.
"""

from __future__ import annotations

import json
import logging
import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import tokenizer as tokenizers
from catalog import Catalog, make_folder, write_aside
from pipeline import Report, StageError, stage_main, timestamp
from progress import Progress
from tokenizer import RETOKENIZE, Tokenizer

logger = logging.getLogger(__name__)

BATCH_DOCUMENTS, BATCH_BYTES = 64, 1 << 20  # of text: a batch is full at the one or the other
BATCHES_AHEAD = 2  # encoded or waiting for it while one is written
MIN_TOKENS = 2  # of a bin: a window and its target
DRIFT_BYTES = 1_000_000  # of new text, of as many nights as it takes, before drift is judged


@dataclass(frozen=True)
class PrepareConfig:
    tokenizer: str = "bpe"            # bpe, gpt2, char or byte
    vocab_size: int = 2048            # most tokens of a bpe or char tokenizer, end of text included
    freeze_bytes: int = 1_000_000     # of clean text; below, the tokenizer is provisional
    tokenizer_bytes: int = 50_000_000  # of clean text that the tokenizer learns from, at most
    min_val_tokens: int = 512         # in the first bins: two contexts of the default model
    # Of the bytes a token that new text may fall short of the text the tokenizer learned from, before it is drift. Of
    # 2k and 8k tokens: web pages after 1 MB of web pages 0.03-0.13, the last plays after the first 0.09-0.11; web pages
    # after plays 0.24-0.28, plays after web pages 0.22-0.33, Python code 0.22-0.50, French 0.33-0.45.
    drift_frac: float = 0.15

    def __post_init__(self) -> None:
        if self.tokenizer not in tokenizers.KINDS:
            raise ValueError(f"tokenizer = {self.tokenizer!r}; expected one of {', '.join(tokenizers.KINDS)}")
        if not 257 <= self.vocab_size <= tokenizers.MAX_VOCAB_SIZE:
            raise ValueError(f"vocab_size = {self.vocab_size}; expected 257 (the bytes and the end-of-text token) to "
                             f"{tokenizers.MAX_VOCAB_SIZE} (the bins are uint16)")


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
    counted = catalog.setting("prepare.held")  # kept, since counting would take longer the more there is
    if counted is None:  # a dataset of an earlier release
        counted = catalog.execute("SELECT count(*), coalesce(sum(text_bytes), 0) FROM clean_documents WHERE seq <= ?",
                                  [catalog.cursor("prepare")]).fetchone()
    documents, text_bytes = counted
    return Held(documents, text_bytes, tokens)


def remember_frozen(catalog: Catalog, tokenizer: Tokenizer) -> None:
    """Note the hash of a frozen tokenizer among those that the bins were ever made with, within a record() block."""
    known = catalog.setting("prepare.tokenizers", [])
    if not tokenizer.provisional and tokenizer.hash not in known:
        catalog.remember("prepare.tokenizers", [*known, tokenizer.hash])


# --- bins made anew ------------------------------------------------------------------------------


def rebuild(catalog: Catalog, config: PrepareConfig, report: Report, kept: Tokenizer | None = None) -> Tokenizer:
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
    was_frozen = catalog.setting("prepare.tokenizers")
    moved = choose_splits(catalog, tokenizer, MIN_TOKENS if was_frozen else config.min_val_tokens)
    documents, text_bytes, last = catalog.execute(
        "SELECT count(*), sum(text_bytes), max(seq) FROM clean_documents").fetchone()
    n_bytes = _write_new_bins(catalog, tokenizer, moved, documents)
    report.bytes_written += n_bytes
    new_files |= {f"data/{split}.bin": f"data/{split}.bin.new" for split in ("train", "val")}
    tokens = n_bytes // 2
    learned = catalog.setting("prepare.judged", {}).get("learned") if kept else text_bytes / tokens
    catalog.db.create_function("split_of", 1, split_of, deterministic=True)
    with catalog.record():
        catalog.execute("DELETE FROM growth")
        catalog.execute("UPDATE clean_documents SET split = split_of(id) WHERE split = ''")
        for seq, split in moved.items():
            catalog.execute("UPDATE clean_documents SET split = ? WHERE seq = ?", [split, seq])
        catalog.advance("prepare", last)
        catalog.remember("prepare.stale", False)
        catalog.remember("prepare.held", [documents, text_bytes])
        catalog.remember("prepare.judged", {"learned": learned, "text_bytes": text_bytes, "tokens": tokens})
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


def extend(catalog: Catalog, tokenizer: Tokenizer, total: int, report: Report) -> None:
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
            catalog.remember("prepare.held", [documents, text_bytes])
            catalog.advance("prepare", batch[-1][0]["seq"])


def measure_drift(catalog: Catalog, tokenizer: Tokenizer) -> float | None:
    """Which part of its bytes a token the tokenizer has lost on the text since the last verdict; negative: it gained.

    None while that is less than DRIFT_BYTES: short nights add up. None also where the figure says nothing: bytes a
    token of the other kinds tell scripts apart, and what an earlier release's tokenizer learned from is unknown.
    """
    judged, now = catalog.setting("prepare.judged", {}), held(catalog)
    if tokenizer.kind != "bpe" or not judged.get("learned") or now.text_bytes < judged["text_bytes"] + DRIFT_BYTES:
        return None
    with catalog.record():
        catalog.remember("prepare.judged", judged | {"text_bytes": now.text_bytes, "tokens": now.tokens})
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
    before = [name for name in catalog.setting("prepare.tokenizers", []) if name != tokenizer.hash]
    content = {"tokenizer_hash": tokenizer.hash, "vocab_size": tokenizer.vocab_size, "retokenized_from": before,
               "growth": growth}
    write_aside(catalog.root / "data/bins.json", json.dumps(content, indent=1).encode() + b"\n")
    return growth


def load_tokenizer(catalog: Catalog, retokenize: bool) -> Tokenizer | None:
    """The tokenizer of the bins; None before the first, or when it is lost and another one will take its place."""
    folder = catalog.root / "data/tokenizer"
    made_before = catalog.cursor("prepare") or catalog.value("SELECT 1 FROM growth")
    if not made_before and not (folder / tokenizers.META_FILE).exists():
        return None
    try:
        tokenizer = tokenizers.load(folder)
    except StageError as error:
        if not retokenize:
            raise
        logger.info("%s A new one is made now.", error)
        return None
    with catalog.record():
        remember_frozen(catalog, tokenizer)  # of a dataset of an earlier release
    return tokenizer


def can_retokenize(tokenizer: Tokenizer, config: PrepareConfig) -> bool:
    """Whether another tokenizer may come of it; says what else there is to know."""
    if tokenizer.kind == config.tokenizer not in tokenizers.TRAINED_KINDS:
        logger.info("the tokenizer stays: %s is the same whatever the text; another kind can be had with "
                    "prepare.tokenizer", tokenizer.kind)
        return False
    if tokenizer.provisional:
        logger.info("the tokenizer is provisional: up to %d bytes of text (prepare.freeze_bytes) it is made anew with "
                    "every new document, also without --retokenize", config.freeze_bytes)
    return True


def update(catalog: Catalog, config: PrepareConfig, report: Report, tokenizer: Tokenizer | None) -> Tokenizer:
    """Bring the bins up to date, anew or by appending; return their tokenizer. Without one, it is made anew too."""
    stale = catalog.setting("prepare.stale", False)
    if tokenizer is None or (tokenizer.provisional and (report.n_in or stale)):
        return rebuild(catalog, config, report)
    if stale:
        logger.info("the bins are made anew, with the tokenizer that they had")
        return rebuild(catalog, config, report, tokenizer)
    if report.n_in:
        if tokenizer.kind != config.tokenizer:
            logger.info("the tokenizer stays %s: it is frozen since the bins were made with it; to change it: %s",
                        tokenizer.kind, RETOKENIZE)
        extend(catalog, tokenizer, report.n_in, report)
    return tokenizer


def warn_of_drift(drift: float, config: PrepareConfig) -> None:
    if drift > config.drift_frac:
        logger.warning("the newest text gives %.0f %% fewer bytes a token than the text the tokenizer was made for; "
                       "expected: at most %.0f %% fewer (prepare.drift_frac), else the model sees less of it at a time "
                       "and learns it more slowly; to mend it: %s, after which the model keeps its layers and learns "
                       "its embeddings and logits afresh", 100 * drift, 100 * config.drift_frac, RETOKENIZE)


def run(config: PrepareConfig, root: Path, retokenize: bool = False) -> Report:
    report = Report("prepare")
    with Catalog(root) as catalog:
        report.n_in = report.n_out = catalog.count_new("prepare", "clean_documents")
        if not catalog.value("SELECT 1 FROM clean_documents LIMIT 1"):
            return report
        old, tokenizer = held(catalog), load_tokenizer(catalog, retokenize)
        retokenize = retokenize and (tokenizer is None or can_retokenize(tokenizer, config))
        tokenizer = update(catalog, config, report, None if retokenize else tokenizer)
        record_growth(catalog)
        drift = measure_drift(catalog, tokenizer)
        catalog.commit()
        growth = write_bins_json(catalog, tokenizer)
        train_tokens, val_tokens = growth[-1]["train_tokens"], growth[-1]["val_tokens"]
        now = held(catalog)
        report.facts = {"documents": now.documents, "train_tokens": train_tokens, "val_tokens": val_tokens,
                        "vocab_size": tokenizer.vocab_size, "provisional": tokenizer.provisional,
                        "bytes_per_token": round(now.text_bytes / now.tokens, 3)}
        if drift is not None:
            report.facts["drift_frac"] = round(drift, 3)
            warn_of_drift(drift, config)
        report.facts["summary"] = (f"{report.n_out:,} new documents; {now.tokens:,} tokens in all ({val_tokens:,} for "
                                   f"validation), vocabulary {tokenizer.vocab_size:,}"
                                   f"{', provisional' if tokenizer.provisional else ''}")
        if retokenize and old.tokens:
            report.facts["summary"] += (f"; retokenized: {old.text_bytes / old.tokens:.2f} bytes a token before, "
                                        f"{now.text_bytes / now.tokens:.2f} now")
    return report


def main(argv: list[str] | None = None) -> int:
    return stage_main(run, PrepareConfig, "prepare", argv, options={
        "--retokenize": {"action": "store_true", "help": "train a new tokenizer and make the bins anew with it"}})


if __name__ == "__main__":
    raise SystemExit(main())
