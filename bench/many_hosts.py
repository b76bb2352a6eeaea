"""Many hosts: a web of N small hosts on loopback, for the benchmarks that crawl.

    .venv/bin/python -m bench.many_hosts --hosts 3 --longest-sec 60     prints the hosts, ends with Ctrl-C

Each host has its own address (127.0.1.1, 127.0.1.2, ...), all at one port, with a robots.txt that forbids /private/ and
pages of about 10 KB of prose, the same at every visit. One process, one thread and no parsing beyond the request line
and headers, so that the web is faster than any crawler. Its log shows what was requested, when and by whom.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

PRIVATE = "/private/x.html"
FIRST_ADDRESS = (127 << 24) + (1 << 8) + 1  # 127.0.1.1
MOST_HOSTS, PER_NETWORK = 2000, 254
MOST_REQUESTS = 500_000  # then the server ends
WORDS = ("the of and to in a ship harbour captain sky morning light cargo weather week water with that have be old new "
         "long still men mate deck sails looked spoke said listened ready filled night tide anchor rope letter island "
         "nothing under after before wind every voice hand years again found sea road stood house came went")


class Request(NamedTuple):
    """One line of the server's log; times are time.monotonic(), which all processes of a machine share."""

    host: str  # address:port
    path: str
    started: float  # the first byte of the request was read
    ended: float  # just before the last byte of the answer was written, or when the crawler hung up
    status: int  # 0: it hung up
    agent: str


Parts = tuple[bytes, ...]  # of an answer; pages share their paragraphs, which keeps thousands of hosts small


def make_paragraphs() -> list[bytes]:
    rng, words = random.Random("many hosts"), WORDS.split()
    paragraphs = []
    for _ in range(200):
        sentences = (" ".join(rng.choices(words, k=rng.randint(6, 24))).capitalize() for _ in range(6))
        paragraphs.append(f"<p>{'. '.join(sentences)}.</p>\n".encode())
    return paragraphs


def make_page(host: str, path: str, pages: int, paragraphs: list[bytes]) -> Parts:
    """About 10 KB of prose with links to ten other pages and to one that robots.txt forbids."""
    rng = random.Random(f"{host.partition(':')[0]}{path}")
    links = "".join(f'<li><a href="/page-{n}.html">The log of day {n}</a></li>\n'
                    for n in sorted(rng.choices(range(pages), k=10)))
    title = " ".join(rng.choices(WORDS.split(), k=5)).capitalize()
    begin = (f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title></head>\n<body>'
             f'<nav><ul>{links}<li><a href="{PRIVATE}">The crew only</a></li></ul></nav>\n<article><h1>{title}</h1>\n')
    return (begin.encode(), *rng.sample(paragraphs, 18), b"</article></body></html>\n")


def with_head(status: str, kind: str, body: Parts) -> Parts:
    return (f"HTTP/1.1 {status}\r\nServer: many-hosts\r\nContent-Type: {kind}\r\n"
            f"Content-Length: {sum(map(len, body))}\r\n\r\n".encode(), *body)


class Site:
    """All hosts: their answers, and the log."""

    def __init__(self, pages: int, latency_sec: float) -> None:
        self.pages, self.latency_sec = pages, latency_sec
        self.log: list[Request] = []
        self.requests = 0
        self.ended = asyncio.Event()
        self._paragraphs = make_paragraphs()
        self._known = {f"/page-{n}.html" for n in range(pages)} | {PRIVATE}
        self._answers: dict[tuple[str, str], Parts] = {}
        self._robots = with_head("200 OK", "text/plain", (b"User-agent: *\nDisallow: /private/\n",))
        self._none = with_head("404 Not Found", "text/html", (b"<p>None</p>",))

    def answer(self, host: str, path: str) -> tuple[int, bytes]:
        """Status and bytes of the whole answer."""
        if path == "/robots.txt":
            return 200, b"".join(self._robots)
        if path not in self._known:
            return 404, b"".join(self._none)
        parts = self._answers.get((host, path))
        if not parts:
            page = make_page(host, path, self.pages, self._paragraphs)
            parts = self._answers[host, path] = with_head("200 OK", "text/html; charset=utf-8", page)
        return 200, b"".join(parts)

    def prepare(self, hosts: list[str]) -> None:
        """Make all pages in advance: the first crawl of this web is as fast as the second."""
        for host in hosts:
            for path in self._known:
                self.answer(host, path)

    def wait_sec(self, host: str, path: str) -> float:
        """Half to one and a half times the latency, the same at every visit."""
        return self.latency_sec and self.latency_sec * random.Random(f"{path}{host}").uniform(0.5, 1.5)


class Connection(asyncio.Protocol):
    """One connection with a crawler: a request, its answer, the next request."""

    transport: asyncio.Transport

    def __init__(self, site: Site, host: str) -> None:
        self.site, self.host = site, host
        self.received = b""
        self.started = 0.0
        self.busy = False  # an answer is under way
        self.pending: Request | None = None  # it is answered, but not all of it has been written

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.set_write_buffer_limits(0)  # resume_writing is then called when all is written

    def data_received(self, data: bytes) -> None:
        if not self.received:
            self.started = time.monotonic()
        self.received += data
        self.take_request()

    def take_request(self) -> None:
        if self.busy or b"\r\n\r\n" not in self.received:
            return
        head, _, self.received = self.received.partition(b"\r\n\r\n")
        self.site.requests += 1
        if self.site.requests > MOST_REQUESTS:
            self.site.ended.set()
            self.transport.abort()
            return
        self.busy = True
        lines = head.decode("latin-1").split("\r\n")
        path = lines[0].split(" ")[1] if lines[0].count(" ") == 2 else ""
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        close = fields.get("connection", "").lower() == "close"
        status, answer = self.site.answer(self.host, path)
        self.pending = Request(self.host, path, self.started, 0.0, status, fields.get("user-agent", ""))
        if wait := self.site.wait_sec(self.host, path):
            asyncio.get_running_loop().call_later(wait, self.send, answer, close)
        else:
            self.send(answer, close)

    def send(self, answer: bytes, close: bool) -> None:
        if self.transport.is_closing():  # connection_lost has logged it
            return
        ended = time.monotonic()  # before writing: the crawler may read faster than we look at the clock
        self.transport.write(answer)
        if not self.transport.get_write_buffer_size():
            self.finish(ended)
        if close:
            self.transport.close()

    def resume_writing(self) -> None:
        self.finish(time.monotonic())

    def finish(self, ended: float) -> None:
        if self.pending:
            self.site.log.append(self.pending._replace(ended=ended))
            self.pending, self.busy = None, False
            if self.received:
                self.started = time.monotonic()  # it came during the answer before it
                self.take_request()

    def connection_lost(self, error: Exception | None) -> None:
        if self.pending:
            self.site.log.append(self.pending._replace(ended=time.monotonic(), status=0))
            self.pending = None


def listen(hosts: int) -> list[socket.socket]:
    """A listening socket at each address, all at the same port."""
    addresses = [f"127.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}" for n in
                 (FIRST_ADDRESS + (i // PER_NETWORK << 8) + i % PER_NETWORK for i in range(hosts))]
    for _ in range(20):
        sockets: list[socket.socket] = []
        try:
            for address in addresses:
                sockets.append(socket.create_server((address, sockets[0].getsockname()[1] if sockets else 0)))
            return sockets
        except OSError:  # the port is taken at one of the addresses: try another
            for sock in sockets:
                sock.close()
    raise OSError("no port is free at all addresses")


async def serve(site: Site, sockets: list[socket.socket], longest_sec: float) -> None:
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, site.ended.set)
    hosts = ["{}:{}".format(*sock.getsockname()[:2]) for sock in sockets]
    site.prepare(hosts)
    for host, sock in zip(hosts, sockets, strict=True):
        await loop.create_server(lambda host=host: Connection(site, host), sock=sock)  # type: ignore[misc]
    print(json.dumps(hosts), flush=True)
    with_parent = os.getppid()
    ends = time.monotonic() + longest_sec
    while not site.ended.is_set() and time.monotonic() < ends and os.getppid() == with_parent:
        try:
            await asyncio.wait_for(site.ended.wait(), 1.0)
        except TimeoutError:
            pass


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hosts", type=int, default=3, choices=range(1, MOST_HOSTS + 1), metavar=f"1..{MOST_HOSTS}")
    parser.add_argument("--pages", type=int, default=20, help="of each host")
    parser.add_argument("--latency", type=float, default=0.0, help="mean seconds before an answer")
    parser.add_argument("--longest-sec", type=float, default=600.0, help="the server ends by then")
    parser.add_argument("--log", type=Path, help="where to write the log at the end")
    args = parser.parse_args()
    sockets = listen(args.hosts)

    async def work() -> Site:
        site = Site(args.pages, args.latency)
        await serve(site, sockets, args.longest_sec)
        return site

    site = asyncio.run(work())
    if args.log:
        with open(args.log, "w", encoding="utf-8") as stream:
            stream.writelines(json.dumps(request) + "\n" for request in site.log)


class ManyHosts:
    """The server in a process of its own, until the end of the with block; then its log can be read."""

    def __init__(self, folder: Path, hosts: int, pages: int, latency_sec: float = 0.0,
                 longest_sec: float = 600.0) -> None:
        self.pages = pages
        self.log_file = folder / f"requests-{time.monotonic_ns()}.jsonl"
        self.names: list[str] = []  # address:port of each host
        self._command = [sys.executable, "-m", "bench.many_hosts", "--hosts", str(hosts), "--pages", str(pages),
                         "--latency", str(latency_sec), "--longest-sec", str(longest_sec), "--log", str(self.log_file)]

    def __enter__(self) -> ManyHosts:
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
        assert self._process.stdout
        line = self._process.stdout.readline()  # the server ends after longest_sec, so this cannot hang
        if not line:
            raise RuntimeError(f"the server ended at once, with code {self._process.wait()}")
        self.names = json.loads(line)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._process.terminate()
        try:
            self._process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        assert self._process.stdout
        self._process.stdout.close()

    def page_urls(self) -> list[str]:
        """The first page of each host, then the second of each, and so on."""
        return [f"http://{name}/page-{n}.html" for n in range(self.pages) for name in self.names]

    def private_urls(self) -> list[str]:
        """One of each host that robots.txt forbids."""
        return [f"http://{name}{PRIVATE}" for name in self.names]

    def log(self) -> list[Request]:
        """All requests, in the order in which they began."""
        lines = self.log_file.read_text(encoding="utf-8").splitlines()
        return sorted((Request(*json.loads(line)) for line in lines), key=lambda request: request.started)


if __name__ == "__main__":
    main()
