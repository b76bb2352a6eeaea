"""Stages same, sites, keys and decide: what depends on earlier documents, whoever read them.

Only hashes come together here, never texts. same, sites and keys each divide theirs into buckets, so that what belongs
together (a text, a host, a key) is in one bucket; decide, where each decision needs the one before, is one process.
"""

import json
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from miniature_memory.cleaning.boilerplate import Site
from miniature_memory.cleaning.minhash import earliest
from miniature_memory.cluster.job import Job
from miniature_memory.cluster.records import bucket, load, of_rank, save, written
from miniature_memory.core.stage import StageStats
from miniature_memory.core.text import hostname

if TYPE_CHECKING:
    from miniature_memory.cleaning.cleaner import Judged
    from miniature_memory.cleaning.config import CleanConfig
    from miniature_memory.cleaning.topic import Topic

ID = np.dtype([("id", "<u8"), ("rest", "<u8"), ("index", "<u4")])  # the first 16 bytes of a document's id
HOST = np.dtype([("host", "<u8"), ("index", "<u4"), ("first", "<u8"), ("end", "<u8")])  # of its lines' hashes
OPEN_FILES = 256  # at once; systems allow 1,024
WITH_RANK = [("rank", "<u4")]
SAME = np.dtype([("rank", "<u4"), ("index", "<u4")])  # a document whose text an earlier one has
LINE = np.dtype([("rank", "<u4"), ("index", "<u4"), ("line", "<u8")])  # one that recurs on the site of a document
KEY = np.dtype([("key", "<u8"), ("index", "<u4"), ("whole", "?")])  # of MinHash; whole: of all words
SHARED = np.dtype([("rank", "<u4"), ("index", "<u4"), ("key", "<u8"), ("whole", "?")])
DUPLICATE = np.dtype([("index", "<u4"), ("first_rank", "<u4"), ("first", "<u4"), ("exact", "?")])


def same(job: Job, number: int) -> list[StageStats]:
    """Which documents have the same text as an earlier one."""
    found = bucket(job.of_tasks("read", "ids.npy"), "id", number, job.buckets, np.dtype(ID.descr + WITH_RANK))
    found = found[np.lexsort((found["index"], found["rank"], found["rest"], found["id"]))]
    again = np.zeros(len(found), dtype=bool)
    again[1:] = (found["id"][1:] == found["id"][:-1]) & (found["rest"][1:] == found["rest"][:-1])
    save(job.data("same", number, "npy"), _fields(found[again], SAME), "rank", "index")
    return []


def sites(job: Job, number: int) -> list[StageStats]:
    """Which lines recur on the site of each document, judging by the site's earlier documents."""
    found = bucket(job.of_tasks("read", "hosts.npy"), "host", number, job.buckets, np.dtype(HOST.descr + WITH_RANK))
    found = found[np.lexsort((found["index"], found["rank"], found["host"]))]
    hashes = lru_cache(OPEN_FILES)(lambda rank: load(job.data("read", rank, "lines.npy")))
    skipped = {rank: duplicates_of(job, rank) for rank in range(len(job.tasks))}
    recurring, site, host = [np.empty(0, LINE)], Site(), None
    for of_host, index, first, end, rank in found.tolist():
        if index in skipped[rank]:
            continue
        if of_host != host:
            site, host = Site(), of_host
        lines = np.array(hashes(rank)[first:end])
        recurs = lines[site.recurring(lines)]
        site.learn(lines)
        if len(recurs):
            recurring.append(np.array([(rank, index, line) for line in recurs.tolist()], LINE))
    save(job.data("sites", number, "npy"), np.concatenate(recurring), "rank", "index")
    return []


def duplicates_of(job: Job, rank: int) -> set[int]:
    """The documents of a task whose text an earlier document has."""
    return set(of_rank(job.of_buckets("same"), rank, SAME)["index"].tolist())


def lines_of(job: Job, rank: int) -> dict[int, np.ndarray]:
    """The hashes of recurring lines of each document of a task that has any."""
    found, groups = grouped(of_rank(job.of_buckets("sites"), rank, LINE))
    return {index: found["line"][first:end] for index, (first, end) in groups.items()}


def grouped(found: np.ndarray) -> tuple[np.ndarray, dict[int, tuple[int, int]]]:
    """Records in the order of their `index`, and for each index where its records begin and end."""
    found = found[np.argsort(found["index"], kind="stable")]
    indexes, starts = np.unique(found["index"], return_index=True)
    ends = [*starts[1:].tolist(), len(found)]
    return found, dict(zip(indexes.tolist(), zip(starts.tolist(), ends, strict=False), strict=False))


def keys(job: Job, number: int) -> list[StageStats]:
    """Which keys of MinHash several documents have."""
    dtype = np.dtype(KEY.descr + WITH_RANK)
    found = bucket(job.of_tasks("clean", "keys.npy"), "key", number, job.buckets, dtype)
    _, places, counts = np.unique(found["key"], return_inverse=True, return_counts=True)
    save(job.data("keys", number, "npy"), _fields(found[counts[places] > 1], SHARED), "rank", "index")
    return []


def decide(job: Job, _rank: int) -> list[StageStats]:
    """Which documents are near duplicates of earlier kept ones, and in a topic which are off topic."""
    config, topic = job.config("clean"), None
    if config.min_topic_fit:
        from miniature_memory.cleaning.topic import Topic  # other jobs need not wait for its words

        topic = Topic(config.run.topic, job.queries)
    first_with: dict[int, int] = {}  # key -> the earliest kept document that has it: its task and its place
    for rank in range(len(job.tasks)):
        shared, groups = grouped(of_rank(job.of_buckets("keys"), rank, SHARED))
        all_keys, is_whole = shared["key"].tolist(), shared["whole"].tolist()
        duplicates: list[tuple[int, int, int, bool]] = []
        fits: list[tuple[float | None, object]] = []
        for index, judged in _judged(job, rank, topic, config, groups):
            if judged:
                fits.append((judged.topic_fit, judged.rejection))
                if judged.rejection:
                    continue
            first, end = groups.get(index, (0, 0))
            wanted = all_keys[first:end]
            if found := {key: first_with[key] for key in wanted if key in first_with}:
                whole = next((key for key, yes in zip(wanted, is_whole[first:end], strict=True) if yes), -1)
                place, exact = earliest(found, whole)
                duplicates.append((index, place >> 32, place & 0xFFFFFFFF, exact))
                continue
            for key in wanted:
                first_with.setdefault(key, rank << 32 | index)
            if judged and topic:
                topic.learn(judged.document["id"], judged.terms, judged.language,
                            judged.document["metadata"].get("source", ""), judged.topic_fit)
        save(job.data("decide", rank, "npy"), np.array(duplicates, DUPLICATE), "index")
        with written(job.data("decide", rank, "fits")) as stream:
            stream.writelines(json.dumps(fit).encode() + b"\n" for fit in fits)
    return []


def _judged(job: Job, rank: int, topic: "Topic | None", config: "CleanConfig",
            shared: Iterable[int]) -> Iterator[tuple[int, "Judged | None"]]:
    """The documents to decide about: all of them, with their fit to the topic, where there is one; else those that
    share a key."""
    if not topic:
        yield from ((index, None) for index in shared)
        return
    from miniature_memory.cleaning.cleaner import Judged, judge_topic

    with open(job.data("clean", rank, "jsonl"), "rb") as lines:
        for index, line in enumerate(lines):
            document = json.loads(line)
            judged = Judged(document, document["metadata"]["url"], document["metadata"]["language"],
                            hostname(document["metadata"]["url"]), text=document["text"])
            judge_topic(judged, topic, config)
            yield index, judged


def _fields(array: np.ndarray, dtype: np.dtype) -> np.ndarray:
    found = np.empty(len(array), dtype)
    for name in dtype.names or ():
        found[name] = array[name]
    return found
