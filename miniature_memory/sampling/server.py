"""Server: the playground, the collection and the completions API, to this machine alone.

Reads   checkpoints/*.pt, checkpoints/history/*.pt, data/tokenizer/, playground.html; what collection/ reads
Alone   python3 sample.py --serve [PORT]

It listens on 127.0.0.1. A request must name this server as its Host and, to get text, as its Origin, so that neither
another site's page nor a foreign name that resolves to this machine can use it. Programs have no Origin, and browsers
always send theirs with a POST, so the API answers without one. One answer is written at a time while others queue; when
a client disconnects, its answer ends.
"""

import contextlib
import dataclasses
import functools
import json
import logging
import secrets
import select
import socket
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

from miniature_memory.collection import pages
from miniature_memory.core.errors import EXIT_DONE, ConfigError, StageError, Stopped
from miniature_memory.core.paths import command
from miniature_memory.core.text import strip_control
from miniature_memory.sampling import completions, playground
from miniature_memory.sampling.config import SampleConfig
from miniature_memory.sampling.generation import Loaded, load_model, no_model
from miniature_memory.storage import clean_documents
from miniature_memory.storage.catalog import Catalog

logger = logging.getLogger(__name__)

MOST_BODY_BYTES = 1_000_000
MOST_WAITING = 8  # requests in the queue; more are rejected
MOST_READING = 4  # pages of the collection that are made at once; more are rejected
CLIENT_SEC = 30  # a client that neither reads nor sends for so long has disconnected
DISCARD_SEC, DISCARD_READS = 1, 128  # of a rejected request's body, 64 kB at a time
HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
           "Cross-Origin-Resource-Policy": "same-origin", "Connection": "close"}
POLICY = ("default-src 'none'; style-src 'nonce-{0}'; script-src 'nonce-{0}'; connect-src 'self'; img-src data:; "
          "base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
COLLECTION_POLICY = ("default-src 'none'; style-src 'nonce-{}'; img-src data:; base-uri 'none'; form-action 'self'; "
                     "frame-ancestors 'none'")


class Form(NamedTuple):
    """How a stream looks: what stands around each value, what is sent while it waits, and its end."""

    content_type: str
    before: bytes
    after: bytes
    waiting: bytes
    end: bytes = b""


LINES = Form("application/x-ndjson", b"", b"\n", b'{"waiting": true}\n')
EVENTS = Form("text/event-stream", b"data: ", b"\n\n", b": waiting\n\n", b"data: [DONE]\n\n")  # WHATWG HTML, 9.2.5


@functools.lru_cache(maxsize=2)  # two, to compare
def _load(root: Path, path: Path, _changed: int) -> Loaded:
    return load_model(root, path)


class RequestError(Exception):
    """A rejected request: a status and a sentence with the reason."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128  # connections that wait to be accepted: more than come at once

    def __init__(self, config: SampleConfig, root: Path, port: int) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.config, self.root = config, root
        self.turn = threading.Lock()  # held by the answer that is being written
        self.places = threading.BoundedSemaphore(1 + MOST_WAITING)
        self.reading = threading.BoundedSemaphore(MOST_READING)
        self.names = {f"{host}:{self.server_port}" for host in ("127.0.0.1", "localhost")}

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that leaves in the middle of its request is no news."""
        if isinstance(sys.exc_info()[1], OSError):
            logger.debug("the client disconnected")
        else:
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"  # which tells the end of an answer from a broken connection
    timeout = CLIENT_SEC
    server_version, sys_version = "miniature-memory", ""

    def do_GET(self) -> None:
        self._guarded(self._get)

    def do_POST(self) -> None:
        self._guarded(self._post)

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            if self.headers.get("Host") not in self.server.names:
                raise RequestError(403, f"This server answers only to {' and '.join(sorted(self.server.names))}.")
            work()
        except RequestError as error:
            with contextlib.suppress(OSError):
                self._send_json(error.status, completions.error(error.status, str(error)))
                self._discard_body()
        except OSError:
            logger.debug("%s %s: the client disconnected", self.command, self.path)

    def _get(self) -> None:
        root, config = self.server.root, self.server.config
        if self.path == "/":
            has_model, nonce = bool(playground.model_files(root)), secrets.token_urlsafe(16)
            page = playground.page(nonce) if has_model else pages.instead_of_playground(str(no_model(root)), nonce)
            policy = POLICY if has_model else COLLECTION_POLICY
            self._send(200, "text/html; charset=utf-8", page, **{"Content-Security-Policy": policy.format(nonce)})
        elif self.path == "/models":
            self._send_json(200, {"models": playground.list_models(root), "settings": vars(config),
                                  "examples": playground.examples(config, root)})
        elif self.path == "/v1/models":
            self._send_json(200, completions.models(root))
        elif self.path.partition("?")[0] in pages.PATHS:
            self._collection()
        else:
            raise self._nothing_here()

    def _collection(self) -> None:
        if not self.server.reading.acquire(blocking=False):
            raise RequestError(503, f"{MOST_READING} others are searching; try again in a moment.")
        try:
            nonce = secrets.token_urlsafe(16)
            status, page = pages.answer(self.server.root, self.path, nonce)
        finally:
            self.server.reading.release()
        self._send(status, "text/html; charset=utf-8", page,
                   **{"Content-Security-Policy": COLLECTION_POLICY.format(nonce)})

    def _post(self) -> None:
        if self.path not in ("/continue", "/v1/completions"):
            raise self._nothing_here()
        origin = self.headers.get("Origin", "" if self.path == "/continue" else None)
        if origin is not None and origin.removeprefix("http://") not in self.server.names:
            raise RequestError(403, "Only this server's own page may request text.")
        request = self._read_json()
        try:
            if self.path == "/continue":
                self._continue(request)
            else:
                self._complete(completions.read_request(request, self.server.config))
        except ConfigError as error:
            raise RequestError(400, strip_control(str(error).removeprefix("[sample] "))) from None

    def _nothing_here(self) -> RequestError:
        return RequestError(404, "Expected: GET /v1/models or POST /v1/completions; the models continue a text and do "
                                 "not chat." if self.path.startswith("/v1/") else "There is no such page.")

    def _read_json(self) -> Any:
        if self.headers.get_content_type() != "application/json":
            raise RequestError(415, "Expected: the header Content-Type: application/json.")
        length = self.headers.get("Content-Length", "")
        if not (length.isdecimal() and length.isascii() and len(length) < 12 and int(length) <= MOST_BODY_BYTES):
            raise RequestError(413, f"A request must state its length, {MOST_BODY_BYTES:,} bytes at most.")
        try:
            return json.loads(self.rfile.read(int(length)), parse_constant=lambda _: "not a number")
        except (ValueError, RecursionError):  # no JSON, or no UTF-8
            raise RequestError(400, "The request is not JSON.") from None

    # --- answers ---------------------------------------------------------------------------------

    def _continue(self, request: Any) -> None:
        config = playground.settings_of(request, self.server.config)
        path = playground.model_files(self.server.root).get(str(request.get("model")))
        if path is None:
            raise RequestError(404, "This model no longer exists; reload the page.")
        self._stream(LINES, path, lambda loaded: playground.answer(loaded, config, self.server.root))

    def _complete(self, asked: completions.Asked) -> None:
        files = playground.model_files(self.server.root)
        name = asked.model or next(iter(files), "")
        if not files:
            raise RequestError(404, str(no_model(self.server.root)))
        if name not in files:
            raise RequestError(404, f"There is no model {name[:80]!r}. Models: {', '.join(files)}.")
        asked, path = dataclasses.replace(asked, model=name), files[name]
        if asked.stream:
            self._stream(EVENTS, path, lambda loaded: completions.chunks(loaded, asked,
                                                                         completions.pieces(loaded, asked)))
        else:
            self._send_whole(path, asked)

    def _stream(self, form: Form, path: Path, values: Callable[[Loaded], Iterable[dict[str, Any]]]) -> None:
        """Wait in the queue, then send each value as it is written."""
        with self._place():
            self._send(200, form.content_type)
            # Sending fails when the client has disconnected, and so ends the waiting and the writing.
            with self._turn(lambda: self._chunk(form.waiting)):
                try:
                    for value in values(_load(self.server.root, path, path.stat().st_mtime_ns)):
                        self._chunk(form.before + json.dumps(value).encode() + form.after)
                except StageError as error:
                    self._chunk(form.before + json.dumps(completions.error(500, str(error))).encode() + form.after)
            if form.end:
                self._chunk(form.end)
            self.wfile.write(b"0\r\n\r\n")

    def _send_whole(self, path: Path, asked: completions.Asked) -> None:
        """Wait in the queue, then send all samples at once."""
        written = []
        with self._place(), self._turn(self._check_client):
            try:
                loaded = _load(self.server.root, path, path.stat().st_mtime_ns)
            except StageError as error:
                raise RequestError(500, str(error)) from None
            for piece in completions.pieces(loaded, asked):
                self._check_client()
                written.append(piece)
        self._send_json(200, completions.whole(loaded, asked, written))

    @contextlib.contextmanager
    def _place(self) -> Iterator[None]:
        """A place in the queue."""
        if not self.server.places.acquire(blocking=False):
            raise RequestError(503, f"{MOST_WAITING} others are already waiting; try again in a moment.")
        try:
            yield
        finally:
            self.server.places.release()

    @contextlib.contextmanager
    def _turn(self, each_second: Callable[[], None]) -> Iterator[None]:
        """The right to write. Until it comes, `each_second` is called."""
        while not self.server.turn.acquire(timeout=1):
            each_second()
        try:
            yield
        finally:
            self.server.turn.release()

    # --- the connection --------------------------------------------------------------------------

    def _check_client(self) -> None:
        """Raise ConnectionError if the client has disconnected."""
        poll = select.poll()
        poll.register(self.connection, select.POLLIN)
        if poll.poll(0) and not self.connection.recv(1, socket.MSG_PEEK):
            raise ConnectionAbortedError

    def _discard_body(self) -> None:
        """Read on for a moment: closing a connection with unread bytes resets it, and the client loses the reason."""
        self.connection.settimeout(DISCARD_SEC)
        for _ in range(DISCARD_READS):
            if not self.rfile.read1(1 << 16):
                break

    def _chunk(self, content: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(content), content))  # not buffered

    def _send_json(self, status: int, content: Any) -> None:
        self._send(status, "application/json", json.dumps(content).encode() + b"\n")

    def _send(self, status: int, content_type: str, body: bytes | None = None, **more: str) -> None:
        """Status, headers and the body; None: the body follows in chunks."""
        self.send_response(status)
        size = {"Transfer-Encoding": "chunked"} if body is None else {"Content-Length": str(len(body))}
        for name, value in {"Content-Type": content_type, **size, **HEADERS, **more}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body or b"")

    def log_message(self, format: str, *args: Any) -> None:
        logger.debug(format, *args)


def serve(config: SampleConfig, root: Path, port: int) -> int:
    """Serve until Ctrl-C. Raises StageError if there is neither a model nor a document, or the port cannot be used."""
    if has_model := bool(playground.model_files(root)):
        load_model(root)
    elif not _has_documents(root):
        raise no_model(root)
    try:
        server = Server(config, root, port)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or "ports have numbers from 0 to 65535"
        raise StageError(f"Port {port} cannot be used ({reason}).", "a free port.", "let the system choose one with "
                         + command("sample.py", root, "--serve 0")) from None
    with server:
        address = f"http://127.0.0.1:{server.server_port}/"
        served = (f"{address}      the playground; Ctrl-C stops it\n{address}v1    OpenAI's completions API"
                  if has_model else f"{address}collection    the collection; Ctrl-C stops it")
        print(served, flush=True)
        if not has_model:
            logger.warning("%s", no_model(root))
        try:
            server.serve_forever()
        except Stopped:
            logger.info("server stopped")
    return EXIT_DONE


def _has_documents(root: Path) -> bool:
    try:
        with Catalog(root, read_only=True) as catalog:
            return clean_documents.are_there_any(catalog)
    except StageError:
        return False
