"""Errors that a person can fix, and the exit codes that they end with."""

import contextlib
import errno
import itertools
import os
import shlex
import signal
from collections.abc import Iterator
from pathlib import Path

EXIT_DONE, EXIT_STAGE, EXIT_CONFIG, EXIT_LOCKED = 0, 1, 2, 75  # 75: EX_TEMPFAIL of sysexits.h
NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
OF_THE_DISK = (errno.EROFS, errno.EACCES, errno.EPERM, errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.EIO,
               errno.ELOOP, errno.ENAMETOOLONG)
CHECK_DISK = "check the disk (df -h; sudo dmesg | tail), then run the same command again; everything committed is kept."


class ConfigError(Exception):
    """A bad configuration or command line."""

    exit_code = EXIT_CONFIG


class StageError(Exception):
    """A stage cannot continue. Each part is one or more sentences."""

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


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Let an error of writing name `path` if the system does not name the file."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = str(path)
        raise


def cannot_write(path: Path | str, error: OSError) -> StageError:
    if error.errno in NO_SPACE or "full" in (error.strerror or ""):
        return StageError(f"There is no space left for {path}.", "free space on its disk.",
                          "make room, then run the same command again; everything committed is kept.")
    if error.errno == errno.EFBIG:
        return StageError(f"{path} has reached the largest size that this process may write.", "no limit.",
                          "ulimit -f unlimited, then run the same command again; everything committed is kept.")
    if error.errno == errno.ENAMETOOLONG:
        return StageError(f"The name {Path(path).name[:80]}... is too long.", "at most 200 bytes, 4,000 with folders.",
                          "choose a shorter name.")
    return _other_kind(path, error) or StageError(
        f"{path} cannot be written ({error.strerror}).", "a file or folder that this user may write to.",
        f"{_remedy(Path(path), error)}, or choose another folder with --root.")


def cannot_read(path: Path | str, error: OSError) -> StageError:
    return _other_kind(path, error) or StageError(
        f"{path} cannot be read ({error.strerror}).", "a file that this user may read.",
        f"{_remedy(Path(path), error)}, then run again.")


def disk_error(error: OSError) -> StageError | None:
    """`error` as a person can fix it; None if the disk has nothing to do with it."""
    path = error.filename2 if error.errno == errno.EISDIR and error.filename2 else error.filename  # of a renaming
    if error.errno in (*NO_SPACE, errno.EFBIG):
        return cannot_write(path or "the files of this run", error)
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return StageError(f"{path or 'A file'} cannot be opened: too many files are open.", "a limit of 1,024.",
                          "ulimit -n 1024, then run the same command again; everything committed is kept.")
    if error.errno == errno.EIO:  # for which the system names no file
        return StageError(f"{path or 'A file of this run'} cannot be read or written ({error.strerror}).",
                          "a disk without errors.", CHECK_DISK)
    if error.errno not in OF_THE_DISK or not isinstance(path, str):
        return None
    return _other_kind(path, error) or StageError(
        f"{path} cannot be opened ({error.strerror}).", "a file or folder that this user may read and write.",
        f"{_remedy(Path(path), error)}, then run again.")


def _other_kind(path: Path | str, error: OSError) -> StageError | None:
    """There is a folder where a file is expected, or the other way round."""
    if error.errno not in (errno.EISDIR, errno.ENOTDIR, errno.EEXIST):
        return None
    there = next((one for one in (*reversed(Path(path).parents), Path(path)) if os.path.isfile(one)), Path(path))
    is_folder = os.path.isdir(there)
    names = itertools.chain([f"{there}.aside"], (f"{there}.aside.{n}" for n in itertools.count(1)))
    aside = next(name for name in names if not os.path.lexists(name))
    return StageError(f"{there} is a {'folder' if is_folder else 'file'}.", "a file." if is_folder else "a folder.",
                      f"mv {shlex.quote(str(there))} {shlex.quote(aside)}")


def _remedy(path: Path, error: OSError) -> str:
    """What lets this user read and write `path`: a command for what is below a folder of their own."""
    whole = path.absolute()
    there = [one for one in (*reversed(whole.parents), whole) if os.path.lexists(one)]
    closed = next((one for one in there if not os.access(one, os.R_OK | os.W_OK if one == whole else os.X_OK)),
                  there[-1])
    quoted, above = shlex.quote(str(closed)), closed.parent
    if error.errno in (errno.EACCES, errno.EPERM) and not os.access(closed, os.R_OK | os.W_OK):
        if _owner(closed) == os.geteuid():
            return f"chmod u+rwX {quoted}"
        if _owner(above) == os.geteuid():
            return f'sudo chown -R "$(id -u)" {quoted} && chmod -R u+rwX {quoted}'
    return f"check its owner, permissions and disk (ls -ld {quoted}; df -h {quoted})"


def _owner(path: Path) -> int:
    return os.stat(path, follow_symlinks=False).st_uid
