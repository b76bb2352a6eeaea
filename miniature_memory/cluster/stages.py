"""Stages: the table of all stages of a job, in order."""

from collections.abc import Callable
from importlib import import_module
from typing import NamedTuple

from miniature_memory.cluster.job import Job
from miniature_memory.core.stage import StageStats

Run = Callable[[Job, int], list[StageStats]]  # one task; returns what it counted, for stages of the small pipeline


class Stage(NamedTuple):
    module: str  # whose function of the stage's name runs a task; each task imports its own, which takes long enough
    count: Callable[[Job], int]  # how many tasks there are
    last_need: tuple[str, ...] = ()  # stages whose data nobody needs after this one


def _of_inputs(job: Job) -> int:
    return len(job.tasks)


def _of_buckets(job: Job) -> int:
    return job.buckets


def _one(_job: Job) -> int:
    return 1


STAGES = {
    "read": Stage("reading", _of_inputs),
    "same": Stage("order", _of_buckets),
    "sites": Stage("order", _of_buckets),
    "clean": Stage("cleaning", _of_inputs, ("read", "same", "sites")),
    "keys": Stage("order", _of_buckets),
    "decide": Stage("order", _one),
    "write": Stage("cleaning", _of_inputs, ("clean", "keys", "decide")),
    "learn": Stage("tokens", _one),
    "encode": Stage("tokens", _of_inputs),
    "join": Stage("tokens", _one, ("write", "learn", "encode")),
}


def run_stage(job: Job, stage: str, rank: int) -> list[StageStats]:
    """Run one task here."""
    run: Run = getattr(import_module(f"{__package__}.{STAGES[stage].module}"), stage)
    return run(job, rank)
