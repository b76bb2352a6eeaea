"""Stages: the table of all stages of a job, in order."""

from collections.abc import Callable
from typing import NamedTuple

from miniature_memory.cluster import cleaning, order, reading, tokens
from miniature_memory.cluster.job import Job
from miniature_memory.core.stage import StageStats


class Stage(NamedTuple):
    run: Callable[[Job, int], list[StageStats]]  # one task; returns what it counted for stages of the small pipeline
    count: Callable[[Job], int]  # how many tasks there are
    last_need: tuple[str, ...] = ()  # stages whose data nobody needs after this one


def _of_inputs(job: Job) -> int:
    return len(job.tasks)


def _of_buckets(job: Job) -> int:
    return job.buckets


def _one(_job: Job) -> int:
    return 1


STAGES = {
    "read": Stage(reading.read, _of_inputs),
    "same": Stage(order.same, _of_buckets),
    "sites": Stage(order.sites, _of_buckets),
    "clean": Stage(cleaning.clean, _of_inputs, ("read", "same", "sites")),
    "keys": Stage(order.keys, _of_buckets),
    "decide": Stage(order.decide, _one),
    "write": Stage(cleaning.write, _of_inputs, ("clean", "keys", "decide")),
    "learn": Stage(tokens.learn, _one),
    "encode": Stage(tokens.encode, _of_inputs),
    "join": Stage(tokens.join, _one, ("write", "learn", "encode")),
}
