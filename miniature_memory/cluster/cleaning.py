"""Stages clean and write: the texts once it is known what the earlier documents have; then those that are kept."""

import json
from collections.abc import Iterator
from functools import lru_cache
from itertools import count
from typing import Any

import numpy as np

from miniature_memory.cleaning.cleaner import Judged, cleaned_document, config_checks, duplicate_rejection, judge
from miniature_memory.cluster.job import Job
from miniature_memory.cluster.order import KEY, OPEN_FILES, duplicates_of, lines_of
from miniature_memory.cluster.records import load, save, written
from miniature_memory.core.stage import StageStats
from miniature_memory.core.text import hostname
from miniature_memory.storage.clean_documents import SPLITS
from miniature_memory.storage.rejections import Rejection, line_of

KEPT = np.dtype([("id", "S64"), ("offset", "<u8"), ("length", "<u4"), ("text_bytes", "<u4"), ("split", "S5")])
NO_LINES = np.empty(0, np.uint64)


class KnownLines:
    """In the place of a Site: the lines of it that recur before one document."""

    def __init__(self, hashes: np.ndarray) -> None:
        self.hashes = hashes

    def recurring(self, hashes: np.ndarray) -> np.ndarray:
        return np.isin(hashes, self.hashes)

    def learn(self, hashes: np.ndarray) -> None:
        pass


def clean(job: Job, rank: int) -> list[StageStats]:
    """Writes DIR/raw; and what passes the rules, with keys of MinHash that decide compares."""
    config = job.config("clean")
    checks = config_checks(config)
    extracted, validated, cleaned = (StageStats(stage) for stage in ("extract", "validate", "clean"))
    same, lines = duplicates_of(job, rank), lines_of(job, rank)
    keys, ids = [np.empty((0, 15), np.int64)], []
    with (open(job.data("read", rank, "jsonl"), "rb") as read, open(job.data("read", rank, "verdicts"), "rb") as known,
          written(job.result("raw", rank)) as raw, written(job.data("clean", rank, "rejected")) as rejected,
          written(job.data("clean", rank, "jsonl")) as out, written(job.data("clean", rank, "notes")) as notes):
        for index, line, verdict in zip(count(), read, known, strict=False):
            if index in same:
                extracted.dropped["duplicate_text"] += 1
                continue
            raw.write(line)
            document, (language, fault) = json.loads(line), json.loads(verdict)
            host = hostname(document["metadata"]["url"])
            judged = Judged(document, document["metadata"]["url"], language, host,
                            KnownLines(lines.get(index, NO_LINES)) if host else None)
            extracted.n_out += 1
            validated.n_in += 1
            if fault:
                _reject(rejected, validated, Rejection(*fault), judged)
                continue
            validated.n_out += 1
            cleaned.n_in += 1
            judge(judged, config, checks)
            if judged.rejection:
                _reject(rejected, cleaned, judged.rejection, judged)
                continue
            out.write(json.dumps(cleaned_document(judged), ensure_ascii=False).encode() + b"\n")
            notes.write(json.dumps({"lines": [reason for _, reason in judged.removed], "masked": judged.masked,
                                    "text": document["text"][:200]}, ensure_ascii=False).encode() + b"\n")
            keys.append(judged.keys[None])
            ids.append(document["id"])
    save(job.data("clean", rank, "keys.npy"), _records(np.concatenate(keys)), "key")
    save(job.data("clean", rank, "ids.npy"), np.array(ids, "S64"))
    return [extracted, validated, cleaned]


def _reject(stream: Any, stats: StageStats, rejection: Rejection, judged: Judged) -> None:
    stats.dropped[rejection.reason] += 1
    stream.write(line_of(stats.stage, rejection, judged.document["id"], judged.url, judged.document["text"]))


def _records(keys: np.ndarray) -> np.ndarray:
    """The keys of all documents, int64 (n, 15), as records."""
    found = np.empty(keys.size, KEY)
    found["key"] = keys.ravel().view(np.uint64)
    found["index"] = np.repeat(np.arange(len(keys)), keys.shape[1])
    found["whole"] = np.tile(np.arange(keys.shape[1]) == 0, len(keys))
    return found


def write(job: Job, rank: int) -> list[StageStats]:
    """Writes DIR/clean and DIR/rejected."""
    stats = StageStats("clean")
    kept, offset = [], 0
    with written(job.result("clean", rank)) as out, written(job.result("rejected", rank)) as rejected:
        rejected.write(job.data("clean", rank, "rejected").read_bytes())
        for line, note, rejection in _decided(job, rank):
            document = json.loads(line)
            if rejection:
                stats.dropped[rejection.reason] += 1
                rejected.write(line_of("clean", rejection, document["id"], document["metadata"]["url"], note["text"]))
                continue
            if note["fit"] is not None:
                document["metadata"]["topic_fit"] = str(note["fit"])
                line = json.dumps(document, ensure_ascii=False).encode() + b"\n"
            stats.n_out += 1
            stats.bytes_written += len(line)
            out.write(line)
            split = document["metadata"].get("split", "")
            kept.append((document["id"], offset, len(line), len(document["text"].encode()),
                         split if split in SPLITS else ""))
            offset += len(line)
            for fact, of_document in (("lines_dropped", note["lines"]), ("masked", note["masked"])):
                counts = stats.facts.setdefault(fact, {})
                for name in of_document:
                    counts[name] = counts.get(name, 0) + (of_document[name] if fact == "masked" else 1)
    save(job.data("write", rank, "kept.npy"), np.array(kept, KEPT))
    return [stats]


def _decided(job: Job, rank: int) -> Iterator[tuple[bytes, dict[str, Any], Rejection | None]]:
    """Each cleaned document of a task, what was noted of it, and why it is rejected, if it is."""
    duplicates = {index: first for index, *first in load(job.data("decide", rank, "npy")).tolist()}
    fits = [json.loads(line) for line in job.data("decide", rank, "fits").read_bytes().splitlines()]
    ids = lru_cache(OPEN_FILES)(lambda rank: load(job.data("clean", rank, "ids.npy")))
    with (open(job.data("clean", rank, "jsonl"), "rb") as lines, open(job.data("clean", rank, "notes"), "rb") as notes):
        for index, line, text in zip(count(), lines, notes, strict=False):
            note = json.loads(text)
            note["fit"], fault = fits[index] if fits else (None, None)
            rejection = Rejection(*fault) if fault else None
            if index in duplicates:
                first_rank, first, exact = duplicates[index]
                rejection = duplicate_rejection(ids(first_rank)[first].decode(), exact)
            yield line, note, rejection
