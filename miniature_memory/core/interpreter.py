"""Start of every script: continue in .venv. Runs on any Python 3, so that an old one prints a sentence."""

from __future__ import annotations

import importlib.util
import os
import shlex
import signal
import sys
from pathlib import Path
from types import TracebackType

PROJECT = Path(__file__).resolve().parents[2]
NEEDED = (3, 11)
ENDING = (signal.SIGINT, signal.SIGTERM)
PARENT_VARIABLE = "MINIATURE_MEMORY_PARENT"  # the process id of the run.py that started this script


def setup_command() -> str:
    """How setup.sh is started from the current folder."""
    return "./setup.sh" if Path.cwd() == PROJECT else shlex.quote(str(PROJECT / "setup.sh"))


def use_own_python() -> None:
    """Continue in .venv, if setup.sh made one and no other virtual environment is active.

    Until the script catches signals itself, Ctrl-C and SIGTERM end its imports with one line.
    """
    for signum in ENDING:
        signal.signal(signum, _stop)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
    sys.excepthook = _explain
    use_utf8()
    open_missing()
    script, arguments = Path(sys.argv[0]).name, set(sys.argv[1:]) if sys.argv[0].endswith("run.py") else set()
    if sys.version_info >= NEEDED and arguments & {"--status", "--topics"}:
        return  # they need no package
    own = PROJECT / ".venv" / "bin" / "python"
    in_environment = sys.prefix != sys.base_prefix
    ready = sys.version_info >= NEEDED and all(map(importlib.util.find_spec, ("torch", "requests", "rustbpe")))
    if Path(sys.prefix) != own.parent.parent and os.path.exists(own) and not (in_environment and ready):
        try:
            signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)  # until the other has come to this function
            os.execv(str(own), [str(own), *sys.argv])
        except OSError as error:
            sys.exit(f"{script}: {own} cannot be started ({error.strerror}). Fix: {setup_command()}, which rebuilds "
                     "it.")
    if sys.version_info < NEEDED or (not ready and "--doctor" not in arguments):
        found = f"this is Python {sys.version.split()[0]}" if sys.version_info < NEEDED else "packages are missing"
        sys.exit(f"{script}: {found} in {sys.prefix}. Expected: Python 3.11 or newer with the packages of "
                 f"requirements.txt. Fix: {setup_command()}, then run the same command again.")


def open_missing() -> None:
    """Let standard input and output that are closed be empty; a current folder that was removed ends the script."""
    sys.stdin = sys.stdin or open(os.devnull)  # noqa: SIM115 (until the end)
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115
    try:
        os.getcwd()
    except FileNotFoundError:
        sys.exit(f"{Path(sys.argv[0]).name}: the current folder was removed. Expected: one that is there. "
                 f"Fix: cd {shlex.quote(str(PROJECT))}, then run the same command again.")


def use_utf8() -> None:
    """Start again in UTF-8 mode where file names are not UTF-8 by themselves, as under LC_ALL=C with PYTHONUTF8=0: else
    a topic's folder could not have its name. What is printed keeps the encoding that the terminal expects."""
    if sys.getfilesystemencoding() != "utf-8" and sys.stdout:
        os.environ["PYTHONUTF8"] = "1"
        os.environ.setdefault("PYTHONIOENCODING", sys.stdout.encoding)
        signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
        os.execv(sys.executable, [sys.executable, *sys.argv])


def _explain(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """A package that is missing, as in an environment of an earlier release, is a sentence; the rest a traceback."""
    name = (getattr(error, "name", None) or "").partition(".")[0]
    is_ours = (PROJECT / name).exists() or (PROJECT / f"{name}.py").exists()
    if is_ours or not issubclass(kind, ModuleNotFoundError):
        sys.__excepthook__(kind, error, trace)
        return
    sys.stderr.write(f"{Path(sys.argv[0]).name}: the package {name} is missing in {sys.prefix}. Expected: all packages "
                     f"of requirements.txt. Fix: {setup_command()}, then run the same command again.\n")


def _stop(signum: int, _frame: object) -> None:
    if PARENT_VARIABLE not in os.environ:  # else run.py prints the line
        sys.stderr.write(f"{Path(sys.argv[0]).name}: stopped by {signal.Signals(signum).name}\n")
        sys.stderr.flush()
    os._exit(128 + signum)
