"""The process: signals, the lock of a root, memory, and the parent that started it."""

import contextlib
import fcntl
import os
import re
import resource
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from miniature_memory.core.errors import DeadlineError, LockedError, Stopped, cannot_write, naming
from miniature_memory.core.interpreter import ENDING, PARENT_VARIABLE
from miniature_memory.core.paths import make_folder

LOCK_FD_VARIABLE = "MINIATURE_MEMORY_LOCK_FD"  # the descriptor on which run.py holds the lock for its stages

TORCHRUN_VARIABLE = "TORCHELASTIC_RUN_ID"  # set for what torchrun starts

# --- signals -------------------------------------------------------------------------------------


class _Interruption:
    depth = 0  # how many uninterrupted() blocks are open
    pending: int | None = None  # the signal that is held back


def _on_signal(signum: int, _frame: object) -> None:
    if _Interruption.depth:
        _Interruption.pending = signum
    else:
        raise Stopped(signum)


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Hold SIGINT and SIGTERM back until the block has ended, so that no step is left half done."""
    _Interruption.depth += 1
    try:
        yield
    finally:
        _Interruption.depth -= 1
    if not _Interruption.depth and _Interruption.pending is not None:
        signum, _Interruption.pending = _Interruption.pending, None
        raise Stopped(signum)


def catch_signals() -> None:
    """Let SIGINT and SIGTERM raise Stopped, also where a destructor would swallow it: then they come again."""
    def again(unraisable: "sys.UnraisableHookArgs") -> None:
        if isinstance(unraisable.exc_value, Stopped):
            threading.Timer(0.05, os.kill, (os.getpid(), unraisable.exc_value.exit_code - 128)).start()
        else:
            sys.__unraisablehook__(unraisable)

    sys.unraisablehook = again
    for signum in ENDING:
        signal.signal(signum, _on_signal)


@contextlib.contextmanager
def deadline(sec: float) -> Iterator[None]:
    """Raise DeadlineError out of the block after `sec` seconds of this process's own computing.

    Computing, not the clock's time: whether a document passes must not depend on what else the machine does, or on a
    lid that was closed. The exception may come between any two steps of Python, so the block must be pure, or throw
    away what it had begun. In the main thread only. No effect on C code that never looks at signals (re and regex do).
    """
    def on_alarm(_signum: int, _frame: object) -> None:
        raise DeadlineError

    before = signal.signal(signal.SIGVTALRM, on_alarm)
    try:
        signal.setitimer(signal.ITIMER_VIRTUAL, sec, sec)  # again and again: a destructor swallows exceptions
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


# --- memory --------------------------------------------------------------------------------------


class PeakMemory(threading.Thread):
    """Peak of the proportional set size (PSS) of process `pid` and all that it started, in MB.

    PSS counts a page shared by n processes as 1/n to each, so that the sum over a tree is what the tree really
    holds. Systems without /proc/PID/smaps_rollup (macOS) report the largest resident set size instead.
    """

    def __init__(self, pid: int | None = None, interval_sec: float = 0.2) -> None:
        super().__init__(daemon=True)
        self.pid = pid or os.getpid()
        self.interval_sec = interval_sec
        self.peak_mb = 0.0
        self._ended = threading.Event()

    def run(self) -> None:
        while not self._ended.wait(self.interval_sec):
            self._sample()

    def stop(self) -> float:
        self._ended.set()
        self._sample()
        return self.peak_mb

    def _sample(self) -> None:
        total_kb = sum(pss_kb(pid) for pid in process_tree(self.pid))
        if not total_kb:
            scale = 1024 if sys.platform == "darwin" else 1  # bytes there, KB elsewhere
            total_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // scale
        self.peak_mb = max(self.peak_mb, total_kb * 1024 / 1e6)


def process_tree(pid: int) -> list[int]:
    """`pid` and its descendants, from /proc."""
    tree = [pid]
    for parent in tree:  # grows while it is walked
        with contextlib.suppress(OSError):  # it has ended, or there is no /proc
            for task in os.listdir(f"/proc/{parent}/task"):
                with open(f"/proc/{parent}/task/{task}/children", "rb") as children:
                    tree += map(int, children.read().split())
    return tree


def pss_kb(pid: int) -> int:
    """The proportional set size of one process in KB; 0 where it cannot be read."""
    with contextlib.suppress(OSError):  # it has ended
        with open(f"/proc/{pid}/smaps_rollup", "rb") as rollup:
            match = re.search(rb"^Pss:\s+(\d+)", rollup.read(), re.MULTILINE)
        return int(match[1]) if match else 0
    return 0


# --- the lock, and the parent that holds it -------------------------------------------------------


@contextlib.contextmanager
def run_lock(root: Path) -> Iterator[int]:
    """Hold the root's lock; yield its file descriptor. Raises LockedError naming the holder's process id.

    A stage started by run.py inherits the descriptor, so that the lock outlives a run.py that was killed while its
    stage still writes.
    """
    if LOCK_FD_VARIABLE in os.environ:
        yield int(os.environ[LOCK_FD_VARIABLE])
        return
    with file_lock(make_folder(root / "data") / "run.lock", root) as descriptor:
        yield descriptor


@contextlib.contextmanager
def file_lock(path: Path, folder: Path) -> Iterator[int]:
    """Hold the lock of `folder`, which is the file `path`. Raises LockedError naming the holder's process id."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise cannot_write(path, error) from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(descriptor, 32).decode("ascii", "replace").strip()
        os.close(descriptor)
        raise LockedError(f"Another run (process {holder}) is working in {folder}; this one did nothing. "
                          f"Fix: wait until it ends, or stop it: kill {holder}") from None
    try:
        with naming(path):
            os.ftruncate(descriptor, 0)
            os.write(descriptor, f"{os.getpid()}\n".encode())
        yield descriptor
    finally:
        os.close(descriptor)


def lock_holder(root: Path) -> str:
    """The process id of the run that is working in `root`; '' if there is none. Creates nothing, never waits."""
    try:
        with open(root / "data" / "run.lock", "rb") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)  # given back at once
            except BlockingIOError:
                return stream.read(32).decode("ascii", "replace").strip() or "unknown"
    except OSError:
        return ""
    return ""


def die_with_parent() -> None:
    """Under run.py or torchrun: stop as if by SIGTERM when it is gone, so that kill -9 leaves no stage behind."""
    if LOCK_FD_VARIABLE not in os.environ and TORCHRUN_VARIABLE not in os.environ:
        return
    end_with(int(os.environ.get(PARENT_VARIABLE, os.getppid())))  # run.py may be gone before we ask


def end_with(parent: int) -> None:
    """Stop as if by SIGTERM when the process `parent`, which started this one, is gone."""
    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()
