"""An interpreter that has imported everything, and forks instead of starting others: a command takes 0.1 s, not 2.

    python -m tests.faults.warm SOCKET      serves until it is ended; the shim python3 of machine.py asks it

A child executes the script from its file as __main__, as a fresh interpreter would; only imports are there already.
"""

import atexit
import encodings
import importlib
import inspect
import json
import logging
import multiprocessing.util
import os
import pkgutil
import runpy
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import miniature_memory

MOST_OPEN = 4096
LATE = ("concurrent.futures.process", "concurrent.futures.thread", "csv", "difflib", "email.header", "email.parser",
        "fractions", "html.parser", "http.client", "http.server", "importlib.metadata", "importlib.resources",
        "mailbox", "multiprocessing.popen_spawn_posix", "multiprocessing.resource_tracker", "multiprocessing.spawn",
        "pdb", "readline", "sqlite3", "statistics", "tarfile", "tomllib", "unicodedata", "xml.etree.ElementTree",
        "zipfile")
_kept: list[object] = []  # what a child must never close: the numbers of its files are others' from now on


def import_all() -> None:
    """Also what is imported late: a user who is nobody may not be able to read this interpreter's own files."""
    ours = (module.name for module in pkgutil.walk_packages(miniature_memory.__path__, "miniature_memory."))
    codecs = (f"encodings.{module.name}" for module in pkgutil.iter_modules(encodings.__path__))
    for name in [*ours, *codecs, *LATE]:
        try:
            importlib.import_module(name)
        except ImportError:
            pass  # of another system, or not installed


def serve(path: str) -> NoReturn:
    import_all()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    os.chmod(path, 0o666)
    listener.listen(64)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        connection, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            answer(connection)
        connection.close()


def answer(connection: socket.socket) -> NoReturn:
    """Run one command for whoever asks, as their user; send its exit code; end it when they are gone."""
    data, fds, _, _ = socket.recv_fds(connection, 1 << 20, 3)
    while not data.endswith(b"\n"):
        data += connection.recv(1 << 20)
    request = json.loads(data)
    _, uid, gid = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    pid = os.fork()
    if pid == 0:
        for n, fd in enumerate(fds):
            os.dup2(fd, n)
        if uid != os.getuid():
            os.setgroups([])
            os.setgid(gid)
            os.setuid(uid)
        os.umask(request["umask"])
        become(request["argv"], request["env"], request["cwd"], [])
    ended = os.pidfd_open(pid)
    ready, _, _ = select.select([connection, ended], [], [])
    if ended not in ready:
        os.kill(pid, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    try:
        connection.sendall(b"%d" % code)
    finally:
        os._exit(0)


def become(argv: Sequence[str], env: Mapping[str, str], cwd: str, fds: Sequence[int]) -> NoReturn:
    """Be `python argv` from now on, with these open files besides the first three."""
    code = 1
    try:
        _kept.append(logging.root.handlers[:])
        logging.root.handlers.clear()
        logging.root.setLevel(logging.WARNING)
        last = 2
        for fd in [*sorted(fds), MOST_OPEN]:
            os.closerange(last + 1, fd)
            last = fd
        for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGVTALRM):
            signal.signal(signum, signal.SIG_DFL if signum != signal.SIGINT else signal.default_int_handler)
        sys.excepthook, sys.unraisablehook = sys.__excepthook__, sys.__unraisablehook__
        os.environ.clear()
        os.environ.update(env)
        os.chdir(cwd)
        sys.stdin = open(0, closefd=False)  # noqa: SIM115
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", closefd=False, buffering=1, errors="backslashreplace")  # noqa: SIM115
        try:
            execute(list(argv))
            code = 0
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else 0 if error.code is None else 1
            if code == 1 and isinstance(error.code, str):
                sys.stderr.write(error.code + "\n")
        except BaseException as error:
            sys.excepthook(type(error), error, error.__traceback__)
        for end in (sys.stdout.flush, sys.stderr.flush, threading._shutdown, atexit._run_exitfuncs, sys.stdout.flush):
            try:
                end()
            except Exception:
                pass  # forked in a thread, or a reader who is gone
    finally:
        os._exit(code)


def execute(argv: list[str]) -> None:
    while argv[0] in ("-S", "-E", "-I", "-B", "-u"):
        argv.pop(0)
    if argv[0] == "-c":
        sys.argv = ["-c", *argv[2:]]
        module = types.ModuleType("__main__")
        sys.modules["__main__"] = module
        exec(compile(argv[1], "<string>", "exec"), module.__dict__)
    elif argv[0] == "-m":
        sys.argv = argv[1:]
        runpy.run_module(argv[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv, sys.path[0] = argv, str(Path(argv[0]).resolve().parent)
        runpy.run_path(argv[0], run_name="__main__")


# --- what a child starts in turn ----------------------------------------------------------------------


class ForkingPopen(subprocess.Popen):  # type: ignore[type-arg]
    """Forks where the command is this interpreter."""

    def _execute_child(self, *values: Any) -> None:
        of = inspect.signature(super()._execute_child).bind(*values).arguments  # type: ignore[misc]
        args = of["args"]
        if isinstance(args, str) or args[0] != sys.executable:
            super()._execute_child(*values)  # type: ignore[misc]
            return
        sys.stdout.flush()
        pid = os.fork()
        if pid == 0:
            if of["start_new_session"]:
                os.setsid()
            for n, fd in enumerate((of["p2cread"], of["c2pwrite"], of["errwrite"])):
                if fd not in (-1, n):
                    os.dup2(fd, n)
            become([str(one) for one in args[1:]], of["env"] or dict(os.environ), str(of["cwd"] or os.getcwd()),
                   of["pass_fds"])
        self.pid, self._child_created = pid, True
        self._close_pipe_fds(of["p2cread"], of["p2cwrite"], of["c2pread"],  # type: ignore[attr-defined]
                             of["c2pwrite"], of["errread"], of["errwrite"])


def spawn(path: bytes, args: Sequence[str | bytes], passfds: Sequence[int]) -> int:
    """In the place of multiprocessing's."""
    pid = os.fork()
    if pid == 0:
        become([os.fsdecode(one) for one in args[1:]], dict(os.environ), os.getcwd(), list(passfds))
    return pid


if __name__ == "__main__":
    sys.modules["tests.faults.warm"] = sys.modules["__main__"]  # __main__ will be others
    subprocess.Popen = ForkingPopen  # type: ignore[misc]
    multiprocessing.util.spawnv_passfds = spawn
    serve(sys.argv[1])
