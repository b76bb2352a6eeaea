"""Executors: datatrove's, each with what it lacks; and the step of its pipeline, which runs one task.

datatrove 0.10.1 divides the work into ranks, starts them and remembers which are done. Three of its faults are worked
around here: its local pool waits forever for a process that was killed, as does the pool within each of its Ray actors;
its Ray executor says nothing of errors of the application; its Slurm executor returns before the jobs have begun.
"""

import contextlib
import logging
import os
import re
import shlex
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from importlib import import_module
from pathlib import Path
from typing import Any

from datatrove.executor.base import PipelineExecutor
from datatrove.executor.local import LocalPipelineExecutor
from datatrove.executor.ray import RayPipelineExecutor
from datatrove.executor.slurm import SlurmPipelineExecutor
from datatrove.pipeline.base import PipelineStep
from loguru import logger as datatrove_log

from miniature_memory.core.errors import StageError
from miniature_memory.core.interpreter import setup_command
from miniature_memory.core.paths import PROJECT, make_folder, own_program

RETRIES = 2  # of a task whose process was killed
MEMORY_GB = 2  # reserved for a task, by Ray and Slurm
CONNECT_SEC = 10.0
POLL_SEC = 5.0  # between two looks at a Slurm queue
SETTLE_SEC = 30.0  # until a shared folder shows what another machine wrote; NFS caches attributes for as long
QUEUE = "squeue", "--noheader", "--format=%T", "--jobs"

_running: set[subprocess.Popen[bytes]] = set()
_lock, _stopping = threading.Lock(), threading.Event()


class TaskStep(PipelineStep):  # type: ignore[misc]  # datatrove has no types
    """A stage as a step of datatrove: each rank is one task."""

    type = "miniature-memory"

    def __init__(self, out: str, stage: str) -> None:
        self.out, self.stage, self.name = out, stage, stage
        super().__init__()

    def run(self, data: Any, rank: int = 0, world_size: int = 1) -> Any:
        run_task(Path(self.out), self.stage, rank)
        return ()


def run_task(out: Path, stage: str, rank: int) -> None:
    """Run one task in a process of its own, again if that is killed. Raises RuntimeError with what it said last."""
    folder = out / "work" / stage
    failed, log = folder / "failed" / f"{rank:06d}", make_folder(folder / "logs") / f"{rank:06d}.log"
    command = [sys.executable, "-m", "miniature_memory.cluster.task", str(out), stage, str(rank)]
    code = -1
    for _ in range(1 + RETRIES):
        with open(log, "wb") as stream, _lock:
            process = subprocess.Popen(command, cwd=PROJECT, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream)
            _running.add(process)
        try:
            code = process.wait()
        finally:
            process.kill()
            _running.discard(process)
        if code >= 0 or _stopping.is_set():
            break
    if code:
        said = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
        what = said[0] if code > 0 and said else f"{stage} {rank}: its process was killed {1 + RETRIES} times " \
                                                 f"(signal {-code}; out of memory?)"
        with contextlib.suppress(OSError):  # the disk may be full, which is what the error says
            make_folder(failed.parent)
            failed.write_text(what, encoding="utf-8")
        raise RuntimeError(what)
    failed.unlink(missing_ok=True)


def stop_tasks() -> None:
    """Stop the tasks that this process runs, for good."""
    _stopping.set()
    with _lock:
        for process in _running:
            process.terminate()


class LocalExecutor(LocalPipelineExecutor):  # type: ignore[misc]
    """On this machine: a thread waits for each task's process."""

    def run(self) -> None:
        with ThreadPoolExecutor(self.workers) as pool:
            futures = [pool.submit(self._run_for_rank, rank, 1) for rank in self.get_incomplete_ranks()]
            try:
                wait(futures)
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                stop_tasks()
                raise


class SlurmExecutor(SlurmPipelineExecutor):  # type: ignore[misc]
    """By sbatch: one array per stage; run() returns when it has left the queue."""

    def run(self) -> None:
        if "SLURM_ARRAY_TASK_ID" in os.environ:
            super().run()
            return
        try:
            self.launch_job()
        except (OSError, subprocess.CalledProcessError) as error:
            raise StageError(f"sbatch failed ({error}).", "a Slurm cluster that accepts the job.",
                             "run this where sbatch works; --sbatch KEY=VALUE passes what the cluster demands, such as "
                             "--sbatch partition=cpu.") from None
        try:
            while self.get_incomplete_ranks() and self._is_queued():
                time.sleep(POLL_SEC)
        except BaseException:
            subprocess.run(["scancel", str(self.job_id)], check=False)
            raise
        until = time.monotonic() + SETTLE_SEC
        while self.get_incomplete_ranks() and not self._failures() and time.monotonic() < until:
            time.sleep(1)

    def _is_queued(self) -> bool:
        found = subprocess.run([*QUEUE, str(self.job_id)], capture_output=True, text=True, check=False)
        return found.returncode == 0 and bool(found.stdout.strip())

    def _failures(self) -> bool:
        return any(Path(self.logging_dir.path).parent.glob("failed/*"))

    def launch_merge_stats(self) -> None:
        """Nothing: the driver adds up what the tasks counted."""

    def get_distributed_env(self, node_rank: int = -1) -> dict[str, str]:
        """What datatrove tells its own distributed steps, without scontrol."""
        return {"datatrove_node_ips": "", "datatrove_cpus_per_task": "1", "datatrove_mem_per_cpu": "",
                "datatrove_gpus_on_node": "0", "datatrove_executor": "SLURM"}


class RayExecutor(RayPipelineExecutor):  # type: ignore[misc]
    """On a Ray cluster that is running. What its log would hide is raised."""

    def run(self) -> None:
        hidden: list[str] = []
        sink = datatrove_log.add(lambda message: hidden.append(str(message)), level="DEBUG", format="{message}",
                                 filter="datatrove.executor.ray")
        datatrove_log.enable("datatrove.executor.ray")
        try:
            super().run()
        finally:
            datatrove_log.disable("datatrove")
            datatrove_log.remove(sink)
        failed = [line for line in hidden if "failed" in line]
        if failed and not any(Path(self.logging_dir.path).parent.glob("failed/*")):
            raise StageError(f"Ray could not run {len(failed)} tasks: {failed[0].strip().splitlines()[-1][:500]}",
                             f"on each machine the folder {PROJECT} with the same packages.",
                             f"{setup_command()} --with cluster there, then run the same command again.")


def make_executor(kind: str, out: Path, stage: str, n_tasks: int, workers: int,
                  sbatch: Mapping[str, str]) -> PipelineExecutor:
    """workers: how many tasks run at once; 0: one per core here, as many as there is room for on a cluster."""
    datatrove_log.disable("datatrove")  # the driver says what happens
    folder = make_folder(out / "work" / stage / "datatrove")
    common = {"pipeline": [TaskStep(str(out), stage)], "tasks": n_tasks, "logging_dir": str(folder)}
    if kind == "local":
        return LocalExecutor(**common, workers=workers or os.cpu_count() or 1)
    if kind == "ray":
        return RayExecutor(**common, workers=workers or -1, mem_per_cpu_gb=MEMORY_GB)
    python = shlex.quote(str(Path(sys.executable).parent))
    return SlurmExecutor(**common, workers=workers or -1, job_name=f"cluster-{stage}", time="24:00:00",
                         partition=sbatch.get("partition", ""), qos=None, mem_per_cpu_gb=MEMORY_GB,
                         sbatch_args=dict(sbatch), requeue_signals=None,
                         env_command=f"export PATH={python}:$PATH PYTHONPATH={shlex.quote(str(PROJECT))}")


def join_ray() -> None:
    """Connect to the Ray cluster of this machine, or to that of RAY_ADDRESS."""
    program = own_program("ray")
    try:
        ray = import_module("ray")
    except ImportError:
        raise StageError("Ray is not installed.", "the package ray.", f"{setup_command()} --with cluster") from None
    address = os.environ.get("RAY_ADDRESS", "auto")
    try:
        if found := re.fullmatch(r"(?:\[?([^/]+?)\]?):(\d{1,5})", address):  # else ray ends this process by itself
            socket.create_connection((found[1], int(found[2])), CONNECT_SEC).close()
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR,
                 runtime_env={"env_vars": {"PYTHONPATH": str(PROJECT)}})
    except (OSError, RuntimeError, ValueError, OverflowError) as error:
        raise StageError(f"No Ray cluster answers ({' '.join(str(error).split())[:200]}).",
                         "one that is running, and whose head is this machine or RAY_ADDRESS.",
                         f"{program} start --head here, and on each other machine {program} start "
                         "--address=THIS_MACHINE:6379") from None
    cores, memory = ray.cluster_resources().get("CPU", 0), ray.cluster_resources().get("memory", 0)
    if cores < 1 or memory < MEMORY_GB << 30:
        raise StageError(f"The Ray cluster has {cores:g} cores and {memory / (1 << 30):.1f} GB of memory.",
                         f"a core and {MEMORY_GB} GB for each task.",
                         f"{program} stop, then {program} start with --num-cpus and --memory (bytes) as the machine "
                         "has them.")
