"""Browser: a headless Chromium that has no network, for one page; spoken to over two pipes.

The kernel keeps it in: it runs in namespaces of its own, where there is no network but a loopback that is down, and no
process but its own; as an unprivileged user where root starts it; with Chromium's own sandbox; and it dies with its
whole tree when the program that started it does. Its flags say the same once more: a dead proxy, no resolver.
Where the kernel does not permit that, there is no browser.

The protocol is DevTools' (chromedevtools.github.io/devtools-protocol) over --remote-debugging-pipe: JSON messages,
each ended by a zero byte, on descriptors 3 and 4. No port is opened.
"""

import contextlib
import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from miniature_memory.core.process import process_tree, pss_kb

PROGRAMS = ("chromium-headless-shell", "chrome-headless-shell")  # the whole Chromium takes 430 MB for one page
MEMORY_MB = 240  # of all its processes, PSS: 180 with a small page, of which most is the program itself
DOUBT_MB = 20  # beyond that, no exact look is needed: what its processes may share since they were forked
SCRIPT_MB = 128  # of it for the page's JavaScript objects
WATCH_SEC, LOOK_SEC = 0.01, 0.2  # between two looks at the clock; at the memory
OFF = 'set render = "off" under [scrape] in config/default.toml'
PROBE_SEC, END_SEC = 10.0, 2.0
MESSAGE_BYTES = 64 << 20
NOBODY = 65534
PIPES = 'ulimit -c 0; exec "$@" 3<&0 4>&1 </dev/null >/dev/null'  # this process's two pipes, where DevTools has them
FLAGS = (
    "--headless", "--remote-debugging-pipe", "--no-first-run", "--no-default-browser-check", "--incognito",
    # no network, if the kernel let it have one
    "--proxy-server=http://127.0.0.1:9", "--proxy-bypass-list=<-loopback>", "--host-resolver-rules=MAP * ~NOTFOUND",
    "--force-webrtc-ip-handling-policy=disable_non_proxied_udp", "--disable-quic", "--dns-prefetch-disable",
    "--no-pings", "--disable-background-networking", "--disable-component-update", "--disable-domain-reliability",
    "--disable-sync", "--disable-breakpad", "--disable-default-apps", "--disable-extensions",
    # little memory: nothing is painted
    "--disable-gpu", "--disable-software-rasterizer", "--in-process-gpu", "--disable-dev-shm-usage",
    "--renderer-process-limit=1", "--disable-site-isolation-trials", "--disable-remote-fonts", "--mute-audio",
    "--blink-settings=imagesEnabled=false", f"--js-flags=--max-old-space-size={SCRIPT_MB}",
    "--disable-features=WebRtcHideLocalIpsWithMdns,OptimizationHints,MediaRouter,Translate,DialMediaRouteProvider,"
    "BackForwardCache,SpareRendererForSitePerProcess,site-per-process,IsolateOrigins",
    "--enable-features=NetworkServiceInProcess2")

Message = dict[str, Any]


class BrowserError(Exception):
    """The browser has ended, or does not do what it is told; `reason` is a fact."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Found(NamedTuple):
    """A browser and what keeps it in; or why there is none, and the fix."""

    program: str = ""
    walls: tuple[str, ...] = ()  # the beginning of its command line
    trouble: str = ""
    fix: str = ""


def find() -> Found:
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    is_root = os.geteuid() == 0
    if sys.platform != "linux":
        return Found(trouble="the browser can be kept off the network on Linux alone", fix=OFF)
    if not program:
        install = f"apt-get install {PROGRAMS[0]}"
        return Found(trouble=f"{PROGRAMS[0]} is not installed", fix=install if is_root else f"sudo {install}")
    own = ["--net", "--pid", "--fork", "--kill-child", "--mount-proc"]  # namespaces
    user = [f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"] if is_root else []
    own += [] if user else ["--user", "--map-current-user"]
    walls = ("setpriv", "--pdeathsig=KILL", "unshare", *own, "setpriv", *user, "--no-new-privs")
    try:  # the browser's sandbox needs more of the same
        done = subprocess.run([*walls, "unshare", "--user", "--net", "true"], capture_output=True, timeout=PROBE_SEC)
        trouble = f"{done.stderr.decode(errors='replace').strip()}, exit code {done.returncode}" * bool(done.returncode)
    except (OSError, subprocess.SubprocessError) as error:
        trouble = str(error)
    if trouble:
        return Found(trouble="this system does not permit the namespaces that keep a browser off the network "
                     f"({trouble[-200:]})", fix=f"{OFF}, or permit them as docs/troubleshooting.md describes")
    return Found(program, walls)


class Browser:
    """One running browser: a context manager, after which nothing of it is left.

    messages: what the browser sends, None when it has ended; other threads may put in what handle() shall see, too.
    handle(message) deals with all that is no reply to a call.
    """

    def __init__(self, found: Found, agent: str, deadline: float, handle: Callable[[Any], None]) -> None:
        """deadline: time.monotonic(), when the browser is killed whatever it does."""
        self.deadline, self.handle = deadline, handle
        self.messages: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.peak_mb = 0.0
        self.reason = ""  # why it was killed
        self._replies: dict[int, Message] = {}
        self._n_calls = 0
        self._ended = threading.Event()
        shared = "/tmp" if os.geteuid() == 0 else None  # a TMPDIR of root's own may be closed to others
        self._folder = tempfile.TemporaryDirectory(prefix="render-", dir=shared, ignore_cleanup_errors=True)
        if shared:
            os.chown(self._folder.name, NOBODY, NOBODY)
        command = [*found.walls, found.program, *FLAGS, f"--user-agent={agent}",
                   f"--user-data-dir={self._folder.name}/profile"]
        environment = {"PATH": os.environ.get("PATH", os.defpath), "HOME": self._folder.name,
                       "TMPDIR": self._folder.name, "LANG": "C.UTF-8", "TZ": "UTC"}
        try:
            self.process = subprocess.Popen(
                ["sh", "-c", PIPES, "sh", *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL, cwd=self._folder.name, env=environment, start_new_session=True)
        except OSError:
            self._folder.cleanup()
            raise BrowserError("browser_failed") from None
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._read, self._watch)]
        for thread in self._threads:
            thread.start()

    def __enter__(self) -> "Browser":
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self.kill()
        try:
            self.process.wait(END_SEC)
        except subprocess.TimeoutExpired:  # it was only about to start the others
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        for thread in self._threads:
            thread.join()
        for pipe in (self.process.stdin, self.process.stdout):
            with contextlib.suppress(OSError):  # what was not written yet
                pipe.close()  # type: ignore[union-attr]
        self._folder.cleanup()

    def kill(self, reason: str = "") -> None:
        """End the browser. The first process of its namespace takes all others with it, and `unshare` follows."""
        self.reason = self.reason or reason
        for pid in process_tree(self.process.pid)[1:2]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def send(self, method: str, params: Message | None = None, session: str = "") -> int:
        """Send a command without waiting for its reply. Returns its number."""
        self._n_calls += 1
        message = {"id": self._n_calls, "method": method, "params": params or {}}
        data = json.dumps(message | ({"sessionId": session} if session else {})).encode() + b"\0"
        try:
            while data:
                data = data[os.write(self.process.stdin.fileno(), data):]  # type: ignore[union-attr]
        except OSError:
            raise BrowserError(self.reason or "browser_crashed") from None
        return self._n_calls

    def call(self, method: str, params: Message | None = None, session: str = "",
             until: float = float("inf")) -> Message:
        """The result of a command. Raises BrowserError if it failed, or has no reply by `until`."""
        number = self.send(method, params, session)
        self._replies[number] = {}
        while not (reply := self._replies[number]):
            if time.monotonic() >= until:
                del self._replies[number]
                raise BrowserError("render_timeout")
            self.pump(0.1)
        del self._replies[number]
        if "error" in reply:
            raise BrowserError("browser_failed")
        result: Message = reply["result"]
        return result

    def pump(self, seconds: float) -> None:
        """Deal with one message, or wait for one so long."""
        try:
            message = self.messages.get(timeout=seconds)
        except queue.Empty:
            return
        if message is None:
            raise BrowserError(self.reason or "browser_crashed")
        if isinstance(message, dict) and "id" in message:
            if message["id"] in self._replies:
                self._replies[message["id"]] = message
        else:
            self.handle(message)

    def _read(self) -> None:
        pieces: list[bytes] = []
        size = 0
        with contextlib.suppress(OSError, ValueError):
            while data := os.read(self.process.stdout.fileno(), 1 << 16):  # type: ignore[union-attr]
                *ends, rest = data.split(b"\0")
                for end in ends:
                    self.messages.put(json.loads(b"".join([*pieces, end])))
                    pieces, size = [], 0
                pieces.append(rest)
                size += len(rest)
                if size > MESSAGE_BYTES:
                    self.kill("too_big")
        self.messages.put(None)

    def _watch(self) -> None:
        """Kill the browser beyond its limits. Its PSS takes 10 ms to read, and far longer while it grows: in between,
        what is resident tells whether to look again, and what no other process shares whether there is no need to: a
        page may take a gigabyte in a second, and in a process that has just begun."""
        looked_at = used_mb = resident_mb = own_mb = 0.0
        while not self._ended.wait(WATCH_SEC):
            now, tree = time.monotonic(), process_tree(self.process.pid)
            resident_now, own_now = map(sum, zip(*map(_memory_mb, tree), strict=True))
            if used_mb + own_now - own_mb > MEMORY_MB + DOUBT_MB:
                self.kill("render_memory")
            if now - looked_at >= LOOK_SEC or used_mb + resident_now - resident_mb > MEMORY_MB:
                looked_at, resident_mb, own_mb = now, resident_now, own_now
                used_mb = sum(map(pss_kb, tree)) * 1024 / 1e6
                self.peak_mb = max(self.peak_mb, used_mb)
            if used_mb > MEMORY_MB:
                self.kill("render_memory")
            elif now > self.deadline:
                self.kill("render_timeout")


def _memory_mb(pid: int) -> tuple[float, float]:
    """The resident set of a process, and the part of it that is neither a file's nor shared memory, MB; 0 where it
    cannot be read. What was not written to since a fork counts for both processes."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/statm", "rb") as statm:
        resident, shared = (int(n) * os.sysconf("SC_PAGE_SIZE") / 1e6 for n in statm.read().split()[1:3])
        return resident, resident - shared
    return 0.0, 0.0
