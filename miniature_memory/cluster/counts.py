"""Counts: what all tasks of a job counted, as the stages of the small pipeline count it."""

import json
from collections import Counter
from collections.abc import Mapping

from miniature_memory.cluster.job import Job
from miniature_memory.cluster.stages import STAGES
from miniature_memory.core.stage import StageStats
from miniature_memory.core.text import counted

_CHARGED = {"read": "extract", "learn": "prepare", "encode": "prepare", "join": "prepare"}  # others: clean


def results(job: Job) -> list[StageStats]:
    """What the job did, as the stages of the small pipeline count it: seconds of all workers, memory of one task."""
    found = {stage: StageStats(stage) for stage in ("extract", "validate", "clean", "prepare")}
    for name, stage in STAGES.items():
        for rank in range(stage.count(job)):
            done = json.loads((job.folder(name, "done") / f"{rank:06d}.json").read_bytes())
            for values in done["counts"]:
                _add(found[values["stage"]], values)
            into = found[_CHARGED.get(name, "clean")]
            into.elapsed_sec = round(into.elapsed_sec + done["sec"], 3)
            into.peak_mb = max(into.peak_mb, done["peak_mb"])
    facts = found["prepare"].facts
    if facts:
        found["prepare"].facts["summary"] = (
            f"{counted(found['prepare'].n_out, 'document')}; {facts['train_tokens'] + facts['val_tokens']:,} tokens in "
            f"all ({facts['val_tokens']:,} for validation), vocabulary {facts['vocab_size']:,}"
            f"{', provisional: there is little text' if facts['provisional'] else ''}")
    return list(found.values())


def _add(stats: StageStats, values: Mapping[str, object]) -> None:
    other = StageStats.from_json(json.dumps(values))
    stats.n_in += other.n_in
    stats.n_out += other.n_out
    stats.dropped += other.dropped
    stats.bytes_written += other.bytes_written
    for name, fact in other.facts.items():
        stats.facts[name] = dict(Counter(stats.facts.get(name, {})) + Counter(fact)) if isinstance(fact, dict) else fact
