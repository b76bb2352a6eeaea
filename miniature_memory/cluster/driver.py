"""Driver: one stage after the other, what failed, and what came of it all."""

import contextlib
import shutil
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from miniature_memory.cluster.counts import results
from miniature_memory.cluster.executors import join_ray, make_executor
from miniature_memory.cluster.job import Job
from miniature_memory.cluster.stages import STAGES
from miniature_memory.core.errors import StageError
from miniature_memory.core.paths import shown
from miniature_memory.core.progress import Progress
from miniature_memory.core.stage import StageStats
from miniature_memory.core.text import counted, strip_control

LOOK_SEC = 1.0  # between two looks at which tasks are done
SHOWN_FAILURES = 5


def run(job: Job, kind: str, workers: int, sbatch: Mapping[str, str]) -> list[StageStats]:
    """Run what is left of a job. Raises StageError if a task fails, once the others of its stage are done."""
    if kind == "ray":
        join_ray()
    total = sum(stage.count(job) for stage in STAGES.values())
    with Progress(desc="cluster", total=total, unit=" tasks") as progress:
        for name, stage in STAGES.items():
            progress.set_description_str(f"cluster: {name}", refresh=False)
            executor = make_executor(kind, job.out, name, stage.count(job), workers, sbatch)
            if executor.get_incomplete_ranks():
                shutil.rmtree(job.folder(name, "failed"), ignore_errors=True)  # of an earlier run
                with _shown(progress, job.folder(name, "done")):
                    executor.run()
            else:
                progress.update(stage.count(job))
            if missing := executor.get_incomplete_ranks():
                raise _failure(job, name, missing)
            for needed in stage.last_need:
                shutil.rmtree(job.folder(needed, "data"), ignore_errors=True)
    return results(job)


@contextlib.contextmanager
def _shown(progress: Progress, folder: Path) -> Iterator[None]:
    """While the block runs, let `progress` follow the tasks that are done."""
    before, ended = progress.n, threading.Event()

    def look() -> None:
        n_done = sum(1 for path in folder.glob("*.json"))
        progress.update(max(0, before + n_done - progress.n))

    def follow() -> None:
        while not ended.wait(LOOK_SEC):
            look()

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        look()


def _failure(job: Job, stage: str, missing: list[int]) -> StageError:
    said: Counter[str] = Counter()
    for rank in missing:
        try:
            text = (job.folder(stage, "failed") / f"{rank:06d}").read_text(encoding="utf-8", errors="replace")
        except OSError:
            text = "it ended without a word: killed with its machine, or its disk is full"
        said[text.partition(": ")[2] or text] += 1
    causes = "\n".join(f"  {counted(n, 'task')}: {text[:500]}" for text, n in said.most_common(SHOWN_FAILURES))
    n_tasks = STAGES[stage].count(job)
    return StageError(strip_control(f"{len(missing)} of {counted(n_tasks, 'task')} of the stage {stage} failed:\n"
                                    f"{causes}\n"), "all of them done.",
                      f"remove the cause, then run the same command again: it continues from the tasks that are done. "
                      f"What the tasks printed: {shown(job.folder(stage, 'logs'))}.")
