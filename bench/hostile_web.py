"""Hostile web: does anything that the web throws back crash, hang or bloat the crawl?

    .venv/bin/python -m bench.hostile_web                      every case, about a minute
    .venv/bin/python -m bench.hostile_web --only 'robots_'     the cases whose name matches this pattern
    .venv/bin/python -m bench.hostile_web --strict             exit code 1 if any requirement is not met

Each case of bench/hostile_cases.py is a host of its own on loopback (127.0.2.1, 127.0.2.2, ..., all at one port), since
a host that fails often is paused. scrape.py fetches them all with short limits, extract.py reads what was kept.
Required: no crash, no fetch past its deadline, at most 300 MB, an expected reason in the catalog for each case, the
right words from each charset, and no connection to the canary, a port on loopback that is not allowed. The last line is
JSON.
"""

import argparse
import contextlib
import json
import multiprocessing
import re
import select
import selectors
import shutil
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

from bench.hostile_cases import CASES, NOTHING, RESET, Asked, Case, Lazy, Piece, say, sized
from miniature_memory.core.paths import PROJECT
from miniature_memory.core.process import PeakMemory
from miniature_memory.crawl.urls import browser_url
from miniature_memory.storage import urls as catalog_urls
from miniature_memory.storage.catalog import Catalog

DEADLINE_SEC, PAGE_DEADLINE_SEC, WORKERS = 3.0, 5.0, 16
GRACE_SEC = 1.0  # that a fetch may take beyond its deadline: the machine is busy
SPARE_SEC = 10.0  # for the start of the stage, its pauses before a second try, and all that is no fetch
MAX_MB = 300
SERVER_SEC, STAGE_SEC, ANSWER_SEC = 180.0, 75.0, 20.0  # each ends by then
ANSWER_BYTES, MOST_CONNECTIONS = 400_000_000, 5000


class Fetch(NamedTuple):
    """One line of the server's log; times are time.monotonic(), which all processes of a machine share."""

    name: str
    began: float
    ended: float


def serve(connection: Connection, addresses: dict[str, str], canary: int, folder: Path) -> None:
    """The server process: one thread per connection, until the parent ends it or time is up."""
    contexts = {path.stem: ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) for path in folder.glob("*.pem")}
    for name, context in contexts.items():
        context.load_cert_chain(folder / f"{name}.pem")
    port, selector = 0, selectors.DefaultSelector()
    for case in CASES:
        if case.name in addresses:
            for large in (case.answer, case.robots):
                if isinstance(large, Lazy):
                    large.made()
            listener = socket.create_server((addresses[case.name], port))
            port = listener.getsockname()[1]
            selector.register(listener, selectors.EVENT_READ, case)
    connection.send(port)
    log: list[Fetch] = []
    ends, connections = time.monotonic() + SERVER_SEC, 0
    while time.monotonic() < ends and connections < MOST_CONNECTIONS and not connection.poll():
        for key, _ in selector.select(0.2):
            assert isinstance(key.fileobj, socket.socket)
            sock, connections = key.fileobj.accept()[0], connections + 1
            threading.Thread(target=converse, args=(sock, key.data, contexts.get(key.data.certificate), canary, log),
                             daemon=True).start()
    connection.send(log.copy())


def converse(sock: socket.socket, case: Case, tls: ssl.SSLContext | None, canary: int, log: list[Fetch]) -> None:
    """Answer one connection: a usual robots.txt keeps it open, any other answer closes it."""
    host = "{}:{}".format(*sock.getsockname())
    usual = say(sized(b"User-agent: *\nDisallow: /private/", b"HTTP/1.1 200 OK\r\n"))
    answer = usual
    with contextlib.suppress(OSError), contextlib.ExitStack() as stack:  # clients hang up: that is what is tested
        sock.settimeout(ANSWER_SEC)
        sock = stack.enter_context(tls.wrap_socket(sock, server_side=True) if tls else sock)
        while answer is usual and (path := read_path(sock)):
            answer, began = (case.robots or usual) if path == "/robots.txt" else case.answer, time.monotonic()
            try:
                send(sock, answer(Asked(host, path, canary)))
            finally:
                log.append(Fetch(case.name, began, time.monotonic()))


def read_path(sock: socket.socket) -> str:
    """The path of the next request; "/tls" when the client speaks TLS to a host that does not."""
    request = b""
    while b"\r\n\r\n" not in request and len(request) < 1 << 16:
        piece = sock.recv(1 << 16)
        request += piece
        if not piece or request[0] == 0x16:
            return "/tls" if piece else ""
    return request.split(b" ")[1].decode("latin-1")


def send(sock: socket.socket, pieces: Iterator[Piece]) -> None:
    ends, sent = time.monotonic() + ANSWER_SEC, 0
    for piece in pieces:
        if piece is RESET:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # closing sends a RST
        elif isinstance(piece, bytes):
            sock.sendall(piece)
            sent += len(piece)
        elif select.select([sock], [], [], piece)[0]:
            return  # the client hung up
        if time.monotonic() > ends or sent > ANSWER_BYTES:
            return


def make_certificates(folder: Path, addresses: dict[str, str]) -> None:
    """NAME.pem with key and certificate for each of `addresses`, and the authority's ca.crt."""
    def openssl(*command: str) -> None:
        subprocess.run(["openssl", *command], cwd=folder, check=True, capture_output=True, timeout=30)

    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout"]
    openssl("req", "-x509", *key, "ca.key", "-out", "ca.crt", "-days", "2", "-subj", "/CN=bench")
    for name, address in addresses.items():
        named = "127.0.0.99" if name == "wrong_name" else address
        openssl("req", "-new", *key, "key", "-out", "csr", "-subj", "/CN=x", "-addext", f"subjectAltName=IP:{named}")
        signer = ["-signkey", "key"] if name == "self_signed" else ["-CA", "ca.crt", "-CAkey", "ca.key"]
        openssl("x509", "-req", "-in", "csr", "-out", "crt", *signer, "-copy_extensions", "copy",
                "-days", "-1" if name == "expired" else "2")
        (folder / f"{name}.pem").write_bytes((folder / "key").read_bytes() + (folder / "crt").read_bytes())


# scrape.py with one more certificate authority: only a trusted certificate can have a wrong name or date
TRUSTING = ("import sys, requests.adapters; requests.adapters.DEFAULT_CA_BUNDLE_PATH = sys.argv.pop(1); "
            "import scrape; sys.exit(scrape.main())")


class Stage(NamedTuple):
    killed: bool
    crashed: bool
    report: dict[str, Any]
    seconds: float
    peak_mb: float


def run_stage(command: list[str], root: Path, settings: dict[str, Any]) -> Stage:
    overrides = [part for key, value in settings.items() for part in ("--set", f"{key}={json.dumps(value)}")]
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        started = time.monotonic()
        process = subprocess.Popen([sys.executable, *command, "--root", str(root), *overrides], cwd=PROJECT,
                                   stdin=subprocess.DEVNULL, stdout=out, stderr=err)
        memory = PeakMemory(process.pid)
        memory.start()
        try:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=STAGE_SEC)
            code, seconds, peak_mb = process.poll(), time.monotonic() - started, memory.stop()
        finally:
            process.kill()
            process.wait()
        out.seek(0)
        err.seek(0)
        printed, stderr = out.read().decode().splitlines(), err.read().decode(errors="replace")
    print(stderr[-5000:], file=sys.stderr, end="")
    report = json.loads(printed[-1]) if printed and code == 0 else {}
    return Stage(code is None, code not in (0, None) or "Traceback" in stderr, report, seconds,
                 round(max(peak_mb, report.get("peak_mb", 0.0)), 1))


def open_canary() -> list[socket.socket]:
    """A port on loopback of both families that accepts connections, which are counted later."""
    canary = [socket.create_server(("127.0.0.1", 0))]
    with contextlib.suppress(OSError):  # a machine without IPv6
        canary.append(socket.create_server(("::1", canary[0].getsockname()[1]), family=socket.AF_INET6))
    return canary


def count_connections(canary: list[socket.socket]) -> int:
    count = 0
    for listener in canary:
        listener.setblocking(False)
        with contextlib.suppress(BlockingIOError), listener:
            while True:
                listener.accept()[0].close()
                count += 1
    return count


def judge(chosen: list[Case], urls: dict[str, str], root: Path) -> dict[str, Any]:
    """The catalog and the documents, compared with what was expected."""
    with Catalog(root, read_only=True) as catalog:
        states = dict(catalog.execute("SELECT url, state FROM urls").fetchall())
    lines = [json.loads(line) for path in sorted((root / "data/raw").glob("*.jsonl"))
             for line in path.read_text(encoding="utf-8").splitlines()]
    documents = {line["metadata"]["url"]: " ".join(line["text"].split()) for line in lines}
    ended = {case.name: states.get(urls[case.name], "bad_url") for case in chosen}  # a bad URL never came to be known
    texts = {case.name: case.text in documents.get(urls[case.name], "") for case in chosen if case.text}
    return {"wrong_reasons": [[case.name, ended[case.name], case.expected] for case in chosen
                              if ended[case.name] not in case.expected.split()],
            "texts": len(texts), "texts_right": sum(texts.values()),
            "texts_wrong": [name for name, right in texts.items() if not right], "documents": len(documents),
            "rubbish_documents": [c.name for c in chosen if c.text == NOTHING and urls[c.name] in documents]}


def judge_times(log: list[Fetch], scrape: Stage, extract: Stage) -> dict[str, Any]:
    """Which fetches took too long, and whether the stage took longer than its fetches explain."""
    of_host: dict[str, float] = defaultdict(float)
    for fetch in log:
        of_host[fetch.name] += min(fetch.ended - fetch.began, DEADLINE_SEC)
    implied = max(sum(of_host.values()) / WORKERS, *of_host.values(), 0.0)
    late = [[fetch.name, round(fetch.ended - fetch.began, 1)] for fetch in log
            if fetch.ended - fetch.began > DEADLINE_SEC + GRACE_SEC]
    overtime = scrape.killed or scrape.seconds > implied + SPARE_SEC
    return {"hangs": len(late) + overtime + extract.killed, "late": late, "fetches": len(log),
            "scrape_seconds": round(scrape.seconds, 1), "implied_seconds": round(implied, 1)}


def measure(chosen: list[Case], folder: Path) -> dict[str, Any]:
    root, certificates = folder / "root", folder / "certificates"
    root.mkdir()
    certificates.mkdir()
    addresses = {case.name: f"127.0.{2 + n // 250}.{1 + n % 250}" for n, case in enumerate(chosen)}
    command = ["scrape.py"]
    if shutil.which("openssl"):
        make_certificates(certificates, {c.certificate: addresses[c.name] for c in chosen if c.certificate})
        command = ["-c", TRUSTING, str(certificates / "ca.crt")]
    canary = open_canary()
    canary_port = canary[0].getsockname()[1]
    context = multiprocessing.get_context("spawn")
    connection, theirs = context.Pipe()
    server = context.Process(target=serve, args=(theirs, addresses, canary_port, certificates), daemon=True)
    server.start()
    try:
        if not connection.poll(30):
            raise SystemExit("the server did not start")
        port = connection.recv()
        hosts = {name: f"{address}:{port}" for name, address in addresses.items()}
        urls = {case.name: browser_url(case.url.format(host=hosts[case.name], canary=canary_port)) for case in chosen}
        with Catalog(root) as catalog, catalog.record():
            for url in filter(None, urls.values()):
                catalog_urls.add(catalog, url, "bench")
        scrape = run_stage(command, root, {
            "web.allow_private": list(hosts.values()), "web.fetch_deadline_sec": DEADLINE_SEC,
            "scrape.workers": WORKERS, "scrape.max_minutes": 1.0,
            "scrape.max_pages": 2 * len(chosen), "scrape.follow_links": True, "scrape.max_links_per_host": 5,
            "scrape.delay_sec": 0.01})  # not 0: then a Crawl-delay does not count either
        extract = run_stage(["extract.py"], root, {"extract.page_deadline_sec": PAGE_DEADLINE_SEC})
        connection.send("end")
        log = connection.recv() if connection.poll(10) else []
    finally:
        server.kill()
        server.join()
    return {"cases": len(chosen), "tls": "tested" if len(command) > 1 else "no openssl: without certificates",
            "crashes": scrape.crashed + extract.crashed, **judge_times(log, scrape, extract),
            **judge(chosen, urls, root), "canary_connections": count_connections(canary),
            "scrape_peak_mb": scrape.peak_mb, "extract_seconds": round(extract.seconds, 1),
            "extract_peak_mb": extract.peak_mb, "scrape_dropped": scrape.report.get("dropped"),
            "extract_dropped": extract.report.get("dropped")}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", metavar="PATTERN", help="a regular expression for names of cases")
    parser.add_argument("--strict", action="store_true", help="exit with 1 if any requirement is not met")
    args = parser.parse_args()
    chosen = [case for case in CASES if re.search(args.only, case.name)]
    if not shutil.which("openssl"):
        chosen = [case for case in chosen if not case.certificate]
    with tempfile.TemporaryDirectory(prefix="hostile-web-") as temporary:
        result = measure(chosen, Path(temporary))
    faults = ("crashes", "hangs", "canary_connections", "wrong_reasons", "texts_wrong", "rubbish_documents")
    as_asked = (not any(result[key] for key in faults)
                and max(result["scrape_peak_mb"], result["extract_peak_mb"]) <= MAX_MB)
    print(json.dumps({"bench": "hostile_web", "as_asked": as_asked, **result}, ensure_ascii=False))
    return int(args.strict and not as_asked)


if __name__ == "__main__":
    raise SystemExit(main())
