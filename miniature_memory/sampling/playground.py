"""Playground: a page where the model continues a text, and shows how likely it considered each token.

Reads   checkpoints/*.pt, checkpoints/history/*.pt, data/tokenizer/, playground.html
Alone   python3 sample.py --serve [PORT]

    GET  /           the page
    GET  /models     the models there are and the initial settings
    POST /continue   the name of a model and the settings of [sample]; answers with a line of JSON for each token

It listens on 127.0.0.1. A request must name this server as its Host and, to get text, as its Origin, so that neither
another site's page nor a foreign name that resolves to this machine can use it. One answer is written at a time while
others queue; when a browser disconnects, its answer ends.
"""

import dataclasses
import functools
import json
import logging
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np

from miniature_memory.core.config import build_config
from miniature_memory.core.errors import EXIT_DONE, ConfigError, StageError, Stopped
from miniature_memory.core.paths import command
from miniature_memory.core.text import strip_control
from miniature_memory.sampling.config import SampleConfig
from miniature_memory.sampling.decoder import softmax
from miniature_memory.sampling.generation import Loaded, load_model, write
from miniature_memory.training.checkpoint import load_state

logger = logging.getLogger(__name__)

PAGE = Path(__file__).with_name("playground.html")
MOST_BODY_BYTES = 1_000_000
MOST_PROMPT_CHARS = 20_000  # the model sees about the last two hundred words
MOST = {"max_new_tokens": 2000, "temperature": 5.0, "repetition_penalty": 5.0, "num_samples": 1}
MOST_STOPS, MOST_STOP_CHARS = 8, 100
MOST_WAITING = 8  # requests in the queue; more are rejected
OTHERS = 6  # most likely tokens, shown next to the chosen one
CLIENT_SEC = 30  # a browser that neither reads nor sends for so long has disconnected
HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
           "Cross-Origin-Resource-Policy": "same-origin", "Connection": "close"}
POLICY = ("default-src 'none'; style-src 'nonce-{0}'; script-src 'nonce-{0}'; connect-src 'self'; img-src data:; "
          "base-uri 'none'; form-action 'none'; frame-ancestors 'none'")


def model_files(root: Path) -> list[Path]:
    """The release, earlier releases from the newest to the oldest, then the checkpoints of training."""
    folder = root / "checkpoints"
    earlier = sorted(folder.glob("history/*.pt"), reverse=True)
    return [path for path in (folder / "release.pt", *earlier, folder / "ckpt.pt", folder / "ckpt.prev.pt")
            if path.exists()]


def describe(root: Path) -> list[dict[str, Any]]:
    """The models to choose from: each file's name, iteration, bits per byte and time, without unreadable ones and the
    copy of the release."""
    entries: list[dict[str, Any]] = []
    for path in model_files(root):
        try:
            state = load_state(path, mmap=True) or {}
        except StageError as error:
            logger.warning("%s", error)
            continue
        figures = {"iteration": state.get("iter_num"), "bits_per_byte": state.get("scores", {}).get("val_bpb")}
        if path.parent.name != "history" or not entries or figures != {key: entries[0][key] for key in figures}:
            entries.append({"name": path.relative_to(root / "checkpoints").as_posix(), "time": path.stat().st_mtime,
                            **figures})
    return entries


@functools.lru_cache(maxsize=2)  # two, to compare
def _load(root: Path, path: Path, _changed: int) -> Loaded:
    return load_model(root, path)


def settings_of(request: object, config: SampleConfig) -> SampleConfig:
    """The settings of a request laid over `config`. Raises ConfigError for an invalid or too large value."""
    if not isinstance(request, dict):
        raise ConfigError("The request is not a JSON object.")
    names = {item.name for item in dataclasses.fields(SampleConfig)} - {"kept_prompts"}
    if unknown := sorted(set(request) - names - {"model"}):
        raise ConfigError(f"There is no setting {str(unknown[0])[:40]!r}. Settings: {', '.join(sorted(names))}.")
    table = {**vars(config), "num_samples": 1, **request}
    asked: SampleConfig = build_config(SampleConfig, "sample", {"sample": table})
    if len(asked.prompt) > MOST_PROMPT_CHARS:
        raise ConfigError(f"The prompt has {len(asked.prompt):,} characters; expected at most {MOST_PROMPT_CHARS:,}. "
                          "The model sees only its end, so remove the beginning.")
    for name, most in MOST.items():
        if getattr(asked, name) > most:
            raise ConfigError(f"{name} = {getattr(asked, name)}; expected at most {most}.")
    if len(asked.stop) > MOST_STOPS or any(len(text) > MOST_STOP_CHARS for text in asked.stop):
        raise ConfigError(f"stop: expected at most {MOST_STOPS} texts of at most {MOST_STOP_CHARS} characters.")
    return asked


def answer(loaded: Loaded, config: SampleConfig) -> Iterator[dict[str, Any]]:
    """A line for each token: its text, its probability, and the most likely tokens, before any setting applies."""
    def shown(token: int) -> str:
        return "" if token == loaded.tokenizer.eot_token else strip_control(loaded.tokenizer.decode([token]))

    began, n = time.monotonic(), 0
    for step in write(loaded, config):
        n += 1
        p = softmax(step.logits)
        likeliest = np.argpartition(p, -OTHERS)[-OTHERS:]
        likeliest = likeliest[np.argsort(-p[likeliest])]
        yield {"text": step.text, "token": shown(step.token), "p": round(float(p[step.token]), 5),
               "likeliest": [[shown(token), round(float(p[token]), 5)] for token in likeliest.tolist()]}
    yield {"done": n, "seconds": round(time.monotonic() - began, 3)}


class RequestError(Exception):
    """A rejected request: a status and a sentence with the reason."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, config: SampleConfig, root: Path, port: int) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.config, self.root = config, root
        self.turn = threading.Lock()  # held by the answer that is being written
        self.places = threading.BoundedSemaphore(1 + MOST_WAITING)
        self.names = {f"{host}:{self.server_port}" for host in ("127.0.0.1", "localhost")}


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
            self._send(error.status, "application/json", json.dumps({"error": str(error)}).encode() + b"\n")
        except OSError:
            logger.debug("%s %s: the browser disconnected", self.command, self.path)

    def _get(self) -> None:
        if self.path == "/":
            nonce = secrets.token_urlsafe(16)
            page = PAGE.read_text(encoding="utf-8").replace("NONCE", nonce)
            self._send(200, "text/html; charset=utf-8", page.encode(),
                       **{"Content-Security-Policy": POLICY.format(nonce)})
        elif self.path == "/models":
            content = {"models": describe(self.server.root), "settings": vars(self.server.config)}
            self._send(200, "application/json", json.dumps(content).encode())
        else:
            raise RequestError(404, "There is no such page.")

    def _post(self) -> None:
        if self.path != "/continue":
            raise RequestError(404, "There is no such page.")
        if self.headers.get("Origin", "").removeprefix("http://") not in self.server.names:
            raise RequestError(403, "Only this server's own page may request text.")
        if self.headers.get_content_type() != "application/json":
            raise RequestError(415, "A request must be application/json.")
        length = self.headers.get("Content-Length", "")
        if not (length.isdecimal() and length.isascii() and int(length[:12]) <= MOST_BODY_BYTES):
            raise RequestError(413, f"A request must state its length, {MOST_BODY_BYTES:,} bytes at most.")
        try:
            request = json.loads(self.rfile.read(int(length)), parse_constant=lambda _: None)
            config = settings_of(request, self.server.config)
        except ConfigError as error:
            raise RequestError(400, strip_control(str(error).removeprefix("[sample] "))) from None
        except (ValueError, RecursionError):  # no JSON, or no UTF-8
            raise RequestError(400, "The request is not JSON.") from None
        path = next((path for path in model_files(self.server.root)
                     if path.relative_to(self.server.root / "checkpoints").as_posix() == request.get("model")), None)
        if path is None:
            raise RequestError(404, "This model no longer exists; reload the page.")
        if not self.server.places.acquire(blocking=False):
            raise RequestError(503, f"{MOST_WAITING} others are already waiting; try again in a moment.")
        try:
            self._answer(path, config)
        finally:
            self.server.places.release()

    def _answer(self, path: Path, config: SampleConfig) -> None:
        """Wait in the queue, then send each token as it is written."""
        self._send(200, "application/x-ndjson")
        while not self.server.turn.acquire(timeout=1):
            self._line({"waiting": True})  # fails, and so leaves the queue, when the browser has disconnected
        try:
            for line in answer(_load(self.server.root, path, path.stat().st_mtime_ns), config):
                self._line(line)
        except StageError as error:
            self._line({"error": str(error)})
        finally:
            self.server.turn.release()
        self.wfile.write(b"0\r\n\r\n")

    def _line(self, content: dict[str, Any]) -> None:
        line = json.dumps(content).encode() + b"\n"
        self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))  # not buffered

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
    """Serve until Ctrl-C. Raises StageError if there is no model or the port cannot be used."""
    load_model(root)
    try:
        server = Server(config, root, port)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or "ports have numbers from 0 to 65535"
        raise StageError(f"Port {port} cannot be used ({reason}).", "a free port.", "let the system choose one with "
                         + command("sample.py", root, "--serve 0")) from None
    with server:
        print(f"http://127.0.0.1:{server.server_port}/     Ctrl-C stops it", flush=True)
        try:
            server.serve_forever()
        except Stopped:
            logger.info("playground stopped")
    return EXIT_DONE
