"""The machine on which cases run: commands as a person types them, and calls that fail when they are told to.

Commands see a python3 that asks warm.py, which forks, and calls.c, compiled and preloaded. The two share a file with
this process, of the struct in calls.c.
"""

import contextlib
import ctypes
import mmap
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from miniature_memory.core.paths import PROJECT

HERE = Path(__file__).parent
WRITE, SYNC, NAME, CUT, OPEN, READ, LINK = (1 << n for n in range(7))  # kinds of calls
COUNT, FAIL_ONCE, FAIL_FROM, KILL_ALL, KILL_ONE, RECORD = range(1, 7)  # what happens at a call
RECORD_BYTES = 1 << 27
NOBODY = 65534
COMMAND_SEC = 120  # of which none takes a tenth
SHIM = """#!{python} -IS
import json, os, socket, sys
server = socket.socket(socket.AF_UNIX)
server.connect({socket!r})
mask = os.umask(0)
request = dict(argv=sys.argv[1:], env=dict(os.environ), cwd=os.getcwd(), umask=mask)
request = json.dumps(request).encode() + b"\\n"
socket.send_fds(server, [request[:1000]], [0, 1, 2])
server.sendall(request[1000:])
code = int(server.recv(16) or 137)
sys.exit(code if code >= 0 else 128 - code)
"""


class Shared(ctypes.Structure):
    """The struct of calls.c."""

    _fields_ = (("action", ctypes.c_int32), ("error", ctypes.c_int32), ("calls", ctypes.c_int32),
                ("n_pids", ctypes.c_int32), ("target", ctypes.c_int64), ("counter", ctypes.c_int64),
                ("pids", ctypes.c_int32 * 4096), ("folder", ctypes.c_char * 1024), ("what", ctypes.c_char * 1024),
                ("recorded", ctypes.c_int64), ("is_locked", ctypes.c_int32), ("is_full", ctypes.c_int32),
                ("record", ctypes.c_char * RECORD_BYTES))


class Done(NamedTuple):
    command: str
    code: int
    output: str  # stderr and stdout

    @property
    def is_bug(self) -> bool:
        return any(sign in self.output for sign in ("Traceback (most recent", "this is a bug", "Fatal Python error"))


class Machine:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.chmod(0o755)
        subprocess.run([compiler(), "-O1", "-shared", "-fPIC", "-o", folder / "calls.so", HERE / "calls.c", "-ldl"],
                       check=True)
        with open(folder / "shared", "w+b") as stream:
            stream.truncate(ctypes.sizeof(Shared))
            self.memory = mmap.mmap(stream.fileno(), ctypes.sizeof(Shared))
        (folder / "shared").chmod(0o666)
        self.shared = Shared.from_buffer(self.memory)
        (folder / "bin").mkdir()
        client = shutil.which("python3", path="/usr/bin:/bin") or sys.executable
        for name in ("python3", "python"):
            shim = folder / "bin" / name
            shim.write_text(SHIM.format(python=client, socket=str(folder / "socket")))
            shim.chmod(0o755)
        (folder / "state").mkdir(mode=0o777)
        (folder / "state").chmod(0o777)
        self.env = {"PATH": f"{folder / 'bin'}:/usr/bin:/bin", "HOME": str(folder), "OMP_NUM_THREADS": "1",
                    "GOMP_SPINCOUNT": "1000", "OPENBLAS_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1",
                    "XDG_STATE_HOME": str(folder / "state"), "LC_ALL": "C.UTF-8", "TMPDIR": "/tmp"}
        self.warm = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.warm", str(folder / "socket")], cwd=PROJECT, start_new_session=True,
            env=self.env | {"LD_PRELOAD": str(folder / "calls.so"), "FAULTS_SHARED": str(folder / "shared")})
        until = time.monotonic() + 60
        while not (folder / "socket").exists():
            assert self.warm.poll() is None and time.monotonic() < until, "warm.py did not start"
            time.sleep(0.05)

    def run(self, command: str, uid: int = 0, cwd: Path = PROJECT, **env: str) -> Done:
        """A shell command. uid: of the user, if it is not this one."""
        who = {"user": uid, "group": uid, "extra_groups": []} if uid else {}
        process = subprocess.Popen(["/bin/sh", "-c", command], cwd=cwd, env=self.env | env, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
                                   **who)  # type: ignore[call-overload]
        try:
            output = process.communicate(timeout=COMMAND_SEC)[0].decode(errors="replace")
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            return Done(command, 124, f"Traceback (most recent call last: none; it took {COMMAND_SEC} s)")
        return Done(command, process.returncode, output)

    @contextlib.contextmanager
    def watching(self, root: Path, action: int, calls: int, target: int = 0, error: int = 0) -> Iterator[Shared]:
        """While this block runs, calls below `root` are counted, and at the one of number `target` something happens.
        """
        shared = self.shared
        shared.n_pids, shared.counter, shared.target, shared.error = 0, 0, target, error
        shared.recorded = shared.is_locked = shared.is_full = 0
        shared.folder, shared.what, shared.calls = bytes(root), b"", calls
        shared.action = action
        try:
            yield shared
        finally:
            shared.action = 0

    def record(self) -> bytes:
        """What has changed while RECORD was watching, as calls.c notes it."""
        assert not self.shared.is_full, "the record of calls.c is too small"
        first = Shared.record.offset
        return self.memory[first:first + self.shared.recorded]

    def close(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.warm.pid, signal.SIGKILL)
        self.warm.wait()


def compiler() -> str | None:
    return shutil.which("cc") or shutil.which("gcc")
