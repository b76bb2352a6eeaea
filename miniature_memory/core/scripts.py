"""The project's scripts, each started in an interpreter of its own: memory goes back to the system when it ends."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from miniature_memory.core import paths
from miniature_memory.core.errors import EXIT_DONE, StageError, Stopped
from miniature_memory.core.interpreter import ENDING, PARENT_VARIABLE
from miniature_memory.core.paths import PROJECT
from miniature_memory.core.process import LOCK_FD_VARIABLE, uninterrupted
from miniature_memory.core.stage import StageStats


class Options(NamedTuple):
    """What run.py passes on to each script."""

    root: Path
    config: Path | None
    overrides: Sequence[str]
    quiet: bool


def command_line(script: str, options: Options) -> list[str]:
    command = [sys.executable, str(PROJECT / script), "--root", str(options.root)]
    command += ["--config", str(options.config)] if options.config else []
    for override in options.overrides:
        command += ["--set", override]
    return command + (["--quiet"] if options.quiet else [])


def run_script(command: list[str], lock: int | None = None) -> tuple[int, bytes]:
    """Run a script; return its exit code and, if it is a stage, what it printed. A stage inherits the lock.

    It has a session of its own, so that it gets a signal once, from here; what comes after that waits for its end.
    Raises Stopped also if somebody has stopped it alone.
    """
    environment, is_stage, output = {**os.environ, PARENT_VARIABLE: str(os.getpid())}, lock is not None, b""
    environment |= {LOCK_FD_VARIABLE: str(lock)} if is_stage else {}
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)  # the script inherits that, and unblocks them once it catches them
    process = subprocess.Popen(command, stdout=subprocess.PIPE if is_stage else None, env=environment,
                               pass_fds=[lock] if lock is not None else [], start_new_session=True)
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
        output = process.stdout.read() if process.stdout else b""
        process.wait()
    except Stopped as stop:
        with uninterrupted():
            process.send_signal(stop.exit_code - 128)
            process.wait()
        raise
    if process.returncode in (128 + signum for signum in ENDING):
        raise Stopped(process.returncode - 128)
    return process.returncode, output


def run_stage(stage: str, command: list[str], lock: int, root: Path) -> tuple[int, StageStats | None]:
    """Run a stage. Returns its exit code and, if that is 0, its StageStats."""
    code, output = run_script(command, lock)
    if code < 0:
        raise StageError(f"{stage} was ended by {signal.Signals(-code).name}; everything committed is "
                         "kept.", "a stage that runs to its end.",
                         "run the same command again to resume. If the system ran out of memory ("
                         f"{paths.command('run.py', root, '--doctor')} shows how much there is), choose a smaller "
                         "train.batch_size.")
    stats = StageStats.from_json(output.decode().strip().split("\n")[-1]) if code == EXIT_DONE else None
    return code, stats
