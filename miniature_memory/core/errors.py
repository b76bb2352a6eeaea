"""Errors that a person can fix, and the exit codes that they end with."""

from __future__ import annotations

import errno
import signal
from pathlib import Path

EXIT_DONE, EXIT_STAGE, EXIT_CONFIG, EXIT_LOCKED = 0, 1, 2, 75  # 75: EX_TEMPFAIL of sysexits.h


# --- errors --------------------------------------------------------------------------------------


class ConfigError(Exception):
    """A bad configuration or command line: exit code 2."""


class StageError(Exception):
    """A stage cannot go on: exit code 1. Says what was found, what was expected, and what fixes it."""

    def __init__(self, found: str, expected: str, fix: str) -> None:
        super().__init__(f"{found} Expected: {expected} Fix: {fix}")
        self.found, self.fix = found, fix


class LockedError(Exception):
    """Another run works on this root: exit code 75."""


class Stopped(KeyboardInterrupt):
    """SIGINT or SIGTERM arrived. Whatever holds unsaved work saves it and lets this pass on."""

    def __init__(self, signum: int) -> None:
        super().__init__(signal.Signals(signum).name)
        self.exit_code = 128 + signum


def cannot_write(path: Path | str, error: OSError) -> StageError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT) or "full" in (error.strerror or ""):
        return StageError(f"There is no space left for {path}.", "free space on its disk.",
                          "make room, then run the same command again; all that was committed is kept.")
    return StageError(f"{path} cannot be written ({error.strerror}).", "a folder that this user may write to.",
                      f"check its owner and free space (ls -ld {path}; df -h {path}), or choose another with --root.")
