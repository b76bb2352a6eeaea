"""Stage read: the pages of a task to raw documents, each validated. What needs no other document is done here."""

import json
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from miniature_memory.cleaning.boilerplate import counted_lines
from miniature_memory.cleaning.cleaner import license_rejection
from miniature_memory.cleaning.minhash import hash64
from miniature_memory.cleaning.normalize import normalize_text
from miniature_memory.cluster.job import Job
from miniature_memory.cluster.order import HOST, ID
from miniature_memory.cluster.records import save, written
from miniature_memory.cluster.sources import read_source
from miniature_memory.core.errors import DeadlineError
from miniature_memory.core.process import deadline
from miniature_memory.core.stage import StageStats
from miniature_memory.core.text import hostname
from miniature_memory.extraction.raw_documents import origin_of_input, parts_of, to_document
from miniature_memory.extraction.reading import Input
from miniature_memory.extraction.workers import extract_all
from miniature_memory.validation.documents import validate


def read(job: Job, rank: int) -> list[StageStats]:
    """Writes raw lines with their verdicts (language, rejection), ids by their hash, and the lines of each host."""
    extracting = replace(job.config("extract"), workers=1)
    validating, cleaning = job.config("validate"), job.config("clean")
    extracted, validated = StageStats("extract"), StageStats("validate")
    ids: list[tuple[int, int, int]] = []
    hosts: list[tuple[int, int, int, int]] = []
    hashes, n_hashes = [np.empty(0, np.uint64)], 0
    with written(job.data("read", rank, "jsonl")) as raw, written(job.data("read", rank, "verdicts")) as verdicts:
        for source, page in extract_all(((one, one) for one in _inputs(job, rank)), extracting):
            for part, url in parts_of(page, source):
                extracted.n_in += 1
                if part.reason:
                    extracted.dropped[part.reason] += 1
                    continue
                document_id, line = to_document(part, origin_of_input(source)._replace(url=url))
                document, rejection, language = validate(line, document_id, validating)
                raw.write(line)
                verdicts.write(json.dumps([language, rejection]).encode() + b"\n")
                first, rest = np.frombuffer(bytes.fromhex(document_id)[:16], ">u8").tolist()
                ids.append((first, rest, len(ids)))
                host = hostname(url)
                if host and not rejection and not license_rejection(document, cleaning.require_license):
                    lines = _line_hashes(document["text"], cleaning.document_deadline_sec)
                    if lines is not None:
                        hosts.append((hash64(host), len(ids) - 1, n_hashes, n_hashes + len(lines)))
                        hashes.append(lines)
                        n_hashes += len(lines)
    save(job.data("read", rank, "ids.npy"), np.array(ids, ID), "id")
    save(job.data("read", rank, "hosts.npy"), np.array(hosts, HOST), "host")
    save(job.data("read", rank, "lines.npy"), np.concatenate(hashes))
    return [extracted, validated]


def _inputs(job: Job, rank: int) -> Iterator[Input]:
    first, end = job.tasks[rank]
    for source in job.sources[first:end]:
        yield from read_source(source)


def _line_hashes(text: str, sec: float) -> np.ndarray | None:
    """Those of the lines that a site learns; None for a text that takes too long, which teaches nothing."""
    try:
        with deadline(sec):
            return counted_lines([line.strip() for line in normalize_text(text).split("\n")])[1]
    except DeadlineError:
        return None
