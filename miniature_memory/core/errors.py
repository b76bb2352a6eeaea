"""Errors that a person can fix, and the exit codes that they end with."""

import errno
import os
import shlex
import signal
from pathlib import Path

EXIT_DONE, EXIT_STAGE, EXIT_CONFIG, EXIT_LOCKED = 0, 1, 2, 75  # 75: EX_TEMPFAIL of sysexits.h
NO_SPACE = (errno.ENOSPC, errno.EDQUOT)


class ConfigError(Exception):
    """A bad configuration or command line."""

    exit_code = EXIT_CONFIG


class StageError(Exception):
    """A stage cannot go on. Each part is one or more sentences."""

    exit_code = EXIT_STAGE

    def __init__(self, found: str, expected: str, fix: str) -> None:
        super().__init__(f"{found} Expected: {expected} Fix: {fix}")
        self.found, self.fix = found, fix


class LockedError(Exception):
    """Another run holds the lock of this root."""

    exit_code = EXIT_LOCKED


class DeadlineError(Exception):
    """One document took longer than its deadline; raised by core.process.deadline()."""


class Stopped(KeyboardInterrupt):
    """SIGINT or SIGTERM arrived. Whoever holds unsaved work saves it and raises this again."""

    def __init__(self, signum: int) -> None:
        super().__init__(signal.Signals(signum).name)
        self.exit_code = 128 + signum
        self.leaves_thread = False  # a thread of other languages is running, which the interpreter's end would crash


def cannot_write(path: Path | str, error: OSError) -> StageError:
    if error.errno in NO_SPACE or "full" in (error.strerror or ""):
        return StageError(f"There is no space left for {path}.", "free space on its disk.",
                          "make room, then run the same command again; everything committed is kept.")
    return StageError(f"{path} cannot be written ({error.strerror}).", "a folder that this user may write to.",
                      f"check its owner and free space ({_look_at(path)}), or choose another folder with --root.")


def disk_error(error: OSError) -> StageError | None:
    """`error` as a person can fix it; None if the disk has nothing to do with it."""
    if error.errno in NO_SPACE:
        return cannot_write(error.filename or "the files of this run", error)
    if error.errno not in (errno.EROFS, errno.EACCES, errno.EPERM) or not isinstance(error.filename, str):
        return None
    if os.path.exists(error.filename) and not os.access(error.filename, os.R_OK):
        return StageError(f"{error.filename} cannot be read ({error.strerror}).", "a file that this user may read.",
                          f"check its owner and permissions ({_look_at(error.filename)}).")
    return cannot_write(error.filename, error)


def _look_at(path: Path | str) -> str:
    """The commands that show who owns `path`, or the nearest folder above it, and how full its disk is."""
    there = next(str(one) for one in (Path(path), *Path(path).absolute().parents) if os.path.exists(one))
    return f"ls -ld {shlex.quote(there)}; df -h {shlex.quote(there)}"
