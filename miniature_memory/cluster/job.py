"""Job: what is to be done: which inputs, in which order, divided into which tasks; and where everything lies.

DIR/raw, clean, rejected           one file of JSON lines per task
DIR/train.bin, val.bin, bins.json, meta.pkl, tokenizer/    as in data/ of a root
DIR/work/job.json                  the plan, which every task reads
DIR/work/STAGE/data                what later stages read; removed when they are done
DIR/work/STAGE/done, failed, logs  of each task: its counts, why it failed, what it printed
DIR/work/STAGE/datatrove           which tasks are done
"""

import json
import shlex
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from miniature_memory.cleaning.config import CleanConfig
from miniature_memory.core.config import build_config
from miniature_memory.core.errors import StageError
from miniature_memory.core.paths import shown
from miniature_memory.core.version import VERSION
from miniature_memory.extraction.config import ExtractConfig
from miniature_memory.storage.files import free_name, write_aside
from miniature_memory.training.config import PrepareConfig
from miniature_memory.validation.config import ValidateConfig

MOST_TASKS = 1000  # of a stage: a Slurm array has 1,001 by default
TASK_BYTES = 64 << 20  # of input; compressed pages of this size take some 20 s. More tasks only for few bytes
TASKS_PER_WORKER = 4  # so that none waits long for the last one
BUCKET_BYTES = 4 << 30  # of input whose keys one task compares: 1 GB of memory at most. Guess: two million short texts
PLAN = "work/job.json"
CONFIGS = {"extract": ExtractConfig, "validate": ValidateConfig, "clean": CleanConfig, "prepare": PrepareConfig}


class Source(NamedTuple):
    """One file. named: it was named itself, so that it is read whatever its ending."""

    address: str  # an absolute path, or a URL
    n_bytes: int
    named: bool


@dataclass(frozen=True)
class Job:
    """Documents are in the order of the inputs, whoever reads them: by task, then by their place in it."""

    out: Path  # absolute
    sources: list[Source]
    tasks: list[tuple[int, int]]  # of each task: its first source, and the one after its last
    buckets: int  # parts in which what belongs together is compared
    settings: dict[str, Any]  # all tables, as core.config reads them
    queries: list[str]  # of the topic

    def config(self, table: str) -> Any:
        """The settings of a stage of the small pipeline."""
        return build_config(CONFIGS[table], table, self.settings)

    def folder(self, stage: str, name: str) -> Path:
        return self.out / "work" / stage / name

    def data(self, stage: str, number: int, ending: str) -> Path:
        return self.folder(stage, "data") / f"{number:06d}.{ending}"

    def of_tasks(self, stage: str, ending: str) -> list[Path]:
        return [self.data(stage, rank, ending) for rank in range(len(self.tasks))]

    def of_buckets(self, stage: str) -> list[Path]:
        return [self.data(stage, number, "npy") for number in range(self.buckets)]

    def result(self, folder: str, rank: int) -> Path:
        return self.out / folder / f"{rank:06d}.jsonl"


def check(settings: dict[str, Any]) -> None:
    """Raise ConfigError if a setting of any stage is out of its range."""
    for table, kind in CONFIGS.items():
        build_config(kind, table, settings)


def plan(out: Path, sources: list[Source], workers: int, settings: dict[str, Any], queries: list[str],
         buckets: int = 0) -> Job:
    total = sum(source.n_bytes for source in sources)
    most = min(len(sources), MOST_TASKS, max(total // TASK_BYTES, TASKS_PER_WORKER * workers))
    return Job(out.absolute(), sources, divided(sources, most), buckets or 1 + total // BUCKET_BYTES, settings, queries)


def divided(sources: list[Source], most: int) -> list[tuple[int, int]]:
    """At most so many tasks of neighboring sources and about the same number of bytes."""
    total, seen, groups = sum(max(1, source.n_bytes) for source in sources), 0, []
    for source in sources:
        groups.append(seen * most // total)
        seen += max(1, source.n_bytes)
    starts = [i for i in range(len(groups)) if not i or groups[i] != groups[i - 1]]
    return list(zip(starts, [*starts[1:], len(sources)], strict=True))


def begin(job: Job) -> Job:
    """The job as it was begun in its folder, or this one. Raises StageError if the folder holds another one."""
    path = job.out / PLAN
    if not path.exists():
        taken = [name for name in ("raw", "clean", "rejected", "train.bin") if (job.out / name).exists()]
        if taken:
            raise _other(job.out, f"already holds {taken[0]}, which another program wrote")
        write_aside(path, json.dumps({"version": VERSION, **asdict(job), "out": ""}).encode())
        return job
    begun, content = load(job.out), json.loads(path.read_bytes())
    if (content.get("version"), begun.sources, begun.settings, begun.queries) != (
            VERSION, job.sources, job.settings, job.queries):
        raise _other(job.out, "was begun with other inputs or settings, or by another release")
    return begun


def _other(out: Path, what: str) -> StageError:
    return StageError(f"{shown(out)} {what}.", "an empty folder, or the job that was begun there.", _elsewhere(out))


def _elsewhere(out: Path) -> str:
    aside = free_name(out.with_name(f"{out.name}.old"))
    return f"choose another --out, or move it: mv {shlex.quote(shown(out))} {shlex.quote(shown(aside))}"


def load(out: Path) -> Job:
    """The job of a folder. Raises StageError if its plan is missing or damaged."""
    try:
        content = json.loads((out / PLAN).read_bytes())
        return Job(out.absolute(), [Source(*source) for source in content["sources"]],
                   [(first, end) for first, end in content["tasks"]], content["buckets"], content["settings"],
                   content["queries"])
    except (OSError, ValueError, LookupError, TypeError) as error:
        why = error.strerror if isinstance(error, OSError) else "damaged"
        raise StageError(f"{shown(out / PLAN)} cannot be read ({why}).", "the plan of the job.",
                         _elsewhere(out)) from None
