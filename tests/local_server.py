"""A web server on loopback for tests: answers by path, and remembers who asked what, and when."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

HTML = {"Content-Type": "text/html; charset=utf-8"}
Answer = tuple[int, dict[str, str], bytes] | Callable[[Any], None]  # status, headers, body; or what a handler does


@dataclass
class Request:
    path: str
    headers: dict[str, str]
    began: float  # time.monotonic()
    ended: float = 0.0


class LocalServer(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, routes: dict[str, Answer], default: Answer = (404, HTML, b"<p>none"),
                 address: str = "127.0.0.1") -> None:
        self.routes, self.default = routes, default
        self.log: list[Request] = []
        super().__init__((address, 0), _Handler)

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    @property
    def url(self) -> str:
        return f"http://{self.server_address[0]!s}:{self.port}"

    @property
    def paths(self) -> list[str]:
        return [request.path for request in self.log]

    def handle_error(self, request: object, client_address: object) -> None:
        pass  # clients hang up: that is what is tested


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: LocalServer

    def do_GET(self) -> None:
        request = Request(self.path, dict(self.headers), time.monotonic())
        self.server.log.append(request)
        routes = self.server.routes
        answer = routes.get(self.path) or routes.get(self.path.partition("?")[0], self.server.default)
        try:
            if callable(answer):
                self.close_connection = True
                answer(self)
            else:
                status, headers, body = answer
                body = body.replace(b"{path}", self.path.encode())
                self.send_response(status)
                for name, value in ({} if status == 304 else {"Content-Length": str(len(body))} | headers).items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)
        finally:
            request.ended = time.monotonic()

    def do_POST(self) -> None:
        self.body = self.rfile.read(int(self.headers["Content-Length"]))
        self.do_GET()

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextlib.contextmanager
def serve(routes: dict[str, Answer] | None = None, default: Answer = (404, HTML, b"<p>none"),
          address: str = "127.0.0.1") -> Iterator[LocalServer]:
    server = LocalServer(routes or {}, default, address)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def page(body: str = "<p>A page at {path}", status: int = 200, **headers: str) -> tuple[int, dict[str, str], bytes]:
    return status, HTML | {name.replace("_", "-"): value for name, value in headers.items()}, body.encode()


def raw(data: bytes, drops: bytes = b"", most_sec: float = 3.0) -> Callable[[Any], None]:
    """Writes `data` as it is, status line included, and then the bytes of `drops`, one each 50 ms."""
    def answer(handler: Any) -> None:
        end = time.monotonic() + most_sec
        handler.wfile.write(data)
        for n in range(len(drops)):
            time.sleep(0.05)
            handler.wfile.write(drops[n:n + 1])
            if time.monotonic() > end:
                return
    return answer


OK_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"
