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
from miniature_memory.core.interpreter import ENDING
from miniature_memory.core.paths import PROJECT
from miniature_memory.core.process import LOCK_FD_VARIABLE, PARENT_VARIABLE
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


def run_stage(stage: str, command: list[str], lock: int, root: Path) -> tuple[int, StageStats | None]:
    """Run a stage that inherits the lock. Returns its exit code and, if that is 0, its StageStats."""
    environment = {**os.environ, LOCK_FD_VARIABLE: str(lock), PARENT_VARIABLE: str(os.getpid())}
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)  # the stage inherits that, and unblocks them once it catches them
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, pass_fds=[lock],
                               start_new_session=True)
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
        output = process.communicate()[0]
    except Stopped as stop:  # the stage has a session of its own, so that it gets the signal once, from here
        process.send_signal(stop.exit_code - 128)
        process.communicate()
        raise
    if process.returncode < 0:
        raise StageError(f"{stage} was ended by {signal.Signals(-process.returncode).name}; everything committed is "
                         "kept.", "a stage that ends by itself.",
                         "run the same command again to resume. If the system ran out of memory ("
                         f"{paths.command('run.py', root, '--doctor')} shows how much there is), choose a smaller "
                         "train.batch_size.")
    stats = StageStats.from_json(output.decode().strip().split("\n")[-1]) if process.returncode == EXIT_DONE else None
    return process.returncode, stats
