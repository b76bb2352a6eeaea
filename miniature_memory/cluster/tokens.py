"""Stages learn, encode and join: the tokenizer, the tokens of each task, and the bins of them all."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from miniature_memory.cluster.job import Job
from miniature_memory.cluster.records import load, written
from miniature_memory.core.stage import StageStats
from miniature_memory.core.text import timestamp
from miniature_memory.storage.clean_documents import SPLITS
from miniature_memory.storage.growth import GrowthStep
from miniature_memory.training import bins_writer
from miniature_memory.training import tokenizer as tokenizers
from miniature_memory.training.bins_writer import Row


def learn(job: Job, _rank: int) -> list[StageStats]:
    """The tokenizer, from an even part of all clean text, and which documents change their split: as prepare.py."""
    config, stats = job.config("prepare"), StageStats("prepare")
    kept = [load(path) for path in job.of_tasks("write", "kept.npy")]
    stats.n_in = stats.n_out = sum(map(len, kept))
    total_bytes = sum(int(of_task["text_bytes"].sum()) for of_task in kept)
    if not stats.n_in:
        return [stats]
    first_of = np.cumsum([0, *map(len, kept)])  # the number of the first document of each task

    def row_of(rank: int, index: int) -> Row:
        return _row(kept[rank][index], rank, int(first_of[rank]) + index)

    def rows() -> Iterator[Row]:
        for rank, of_task in enumerate(kept):
            yield from (row_of(rank, index) for index in range(len(of_task)))

    ids = np.concatenate([of_task["id"] for of_task in kept])
    order = np.argsort(ids, kind="stable")

    def by_id() -> Iterator[Row]:
        for seq in order.tolist():
            rank = int(np.searchsorted(first_of, seq, side="right")) - 1
            yield row_of(rank, seq - int(first_of[rank]))

    def read_text(row: Row) -> str:
        return _read_text(job, row)

    tokenizer = bins_writer.new_tokenizer(config, rows(), total_bytes, read_text)
    moved = bins_writer.choose_splits(by_id, int(order[-1]), read_text, tokenizer, bins_writer.MIN_VAL_TOKENS)
    for name, content in tokenizer.files().items():
        with written(_tokenizer(job) / name) as stream:
            stream.write(content)
    with written(job.data("learn", 0, "json")) as stream:
        stream.write(json.dumps({"moved": list(moved.items()), "first_of": first_of.tolist()}).encode())
    return [stats]


def _row(record: np.void, rank: int, seq: int) -> Row:
    """A clean document as the catalog has it, and which task wrote it."""
    return {"seq": seq, "rank": rank, "id": record["id"].decode(), "split": record["split"].decode(),
            "offset": int(record["offset"]), "length": int(record["length"]), "text_bytes": int(record["text_bytes"])}


def _read_text(job: Job, row: Row) -> str:
    with open(job.result("clean", row["rank"]), "rb") as stream:
        stream.seek(row["offset"])
        text: str = json.loads(stream.read(row["length"]))["text"]
        return text


def _tokenizer(job: Job) -> Path:
    return job.folder("learn", "data") / "tokenizer"


def encode(job: Job, rank: int) -> list[StageStats]:
    """The tokens of a task's documents, for each bin."""
    if not _tokenizer(job).exists():
        return []
    tokenizer = tokenizers.load(_tokenizer(job))
    learned = json.loads(job.data("learn", 0, "json").read_bytes())
    moved, first = dict(learned["moved"]), learned["first_of"][rank]
    with (open(job.result("clean", rank), "rb") as lines, written(job.data("encode", rank, "train")) as train,
          written(job.data("encode", rank, "val")) as val):
        for seq, (record, line) in enumerate(zip(load(job.data("write", rank, "kept.npy")), lines, strict=True), first):
            ids = tokenizer.encode_document(json.loads(line)["text"])
            for split, tokens in bins_writer.bytes_by_split([(_row(record, rank, seq), ids)], moved).items():
                (val if split == "val" else train).write(tokens)
    return []


def join(job: Job, _rank: int) -> list[StageStats]:
    """The bins, one task after the other, and the tokenizer."""
    if not _tokenizer(job).exists():
        return []
    tokenizer = tokenizers.load(_tokenizer(job))
    n_tokens: dict[str, int] = {}
    for split in SPLITS:
        with written(job.out / f"{split}.bin") as stream:
            for path in job.of_tasks("encode", split):
                with open(path, "rb") as part:
                    shutil.copyfileobj(part, stream, 1 << 20)
            n_tokens[f"{split}_tokens"] = stream.tell() // 2
    for name, content in tokenizer.files().items():
        with written(job.out / "tokenizer" / name) as stream:
            stream.write(content)
    documents = sum(len(load(path)) for path in job.of_tasks("write", "kept.npy"))
    step = GrowthStep(1, timestamp(), documents, **n_tokens)
    bins_writer.write_bins_json(job.out, tokenizer, [step._asdict()])
    bins_writer.write_meta_pkl(job.out, tokenizer)
    return [StageStats("prepare", facts={**n_tokens, "vocab_size": tokenizer.vocab_size,
                                         "provisional": tokenizer.provisional})]
