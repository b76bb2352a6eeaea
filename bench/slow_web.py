"""Slow web: do the defaults keep a first run's collecting short when hosts answer as slowly as real ones do?

    .venv/bin/python -m bench.slow_web                 8 hosts: too few for 300 pages in three minutes at 5 s per host
    .venv/bin/python -m bench.slow_web --hosts 40      many hosts: the page limit is reached first

Each host has its own address on loopback, with a feed of pages that take 0.3 to 3 seconds to answer; one host in ten
accepts connections and never answers. search.py and scrape.py run with their defaults except for the seeds. With
train.max_minutes = 5 a whole first run takes collect_seconds + process_seconds + 300. The last line is JSON.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from miniature_memory.core.paths import PROJECT

PAGES_PER_HOST = 60
TEXT = ("the of and to in a ship harbour captain sky morning light cargo weather week water with that have be old new "
         "long still men mate deck sails looked spoke said listened ready filled")
LONGEST_RUN_SEC = 900  # the servers end by then


class SlowHost(BaseHTTPRequestHandler):
    """Answers after 0.3 to 3 s: robots.txt, a feed, and pages of prose, the same at every visit."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        rng = random.Random(f"{self.server.server_address}{self.path}")
        if self.server.never_answers:  # type: ignore[attr-defined]
            time.sleep(60)
            self.close_connection = True
            return
        time.sleep(min(3.0, rng.lognormvariate(-0.4, 0.6) + 0.3))
        kind, body = "text/html", ""
        if self.path == "/robots.txt":
            kind, body = "text/plain", "User-agent: *\nDisallow: /private/\n"
        elif self.path == "/feed.xml":
            links = "".join(f"<item><link>http://{self.headers['Host']}/page-{n}.html</link></item>"
                            for n in range(PAGES_PER_HOST))
            kind, body = "application/rss+xml", f"<rss><channel>{links}</channel></rss>"
        else:
            text = "".join(f"<p>{' '.join(rng.choices(TEXT.split(), k=80))}.</p>" for _ in range(8))
            body = f"<html><head><title>{self.path}</title></head><body><article>{text}</article></body></html>"
        data = body.encode()
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        pass


def serve(hosts: int) -> list[ThreadingHTTPServer]:
    """A server at each of 127.0.0.2, 127.0.0.3, ..., every tenth of which never answers."""
    servers = []
    for n in range(hosts):
        server = ThreadingHTTPServer((f"127.0.0.{n + 2}", 0), SlowHost)
        server.daemon_threads = True
        server.never_answers = n % 10 == 9  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
    return servers


def run_stage(stage: str, root: Path, settings: list[str]) -> dict[str, Any]:
    command = [sys.executable, str(PROJECT / f"{stage}.py"), "--root", str(root), *settings]
    output = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=LONGEST_RUN_SEC).stdout
    report: dict[str, Any] = json.loads(output.splitlines()[-1])
    return report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hosts", type=int, default=8, choices=range(1, 201), metavar="1..200")
    args = parser.parse_args()
    servers = serve(args.hosts)
    names = ["{}:{}".format(*server.server_address[:2]) for server in servers]
    with tempfile.TemporaryDirectory(prefix="slow-web-") as temporary:
        root = Path(temporary)
        (root / "config").mkdir()
        (root / "config/queries.txt").write_text("")
        (root / "config/seeds.txt").write_text("".join(f"feed http://{name}/feed.xml\n" for name in names))
        settings = ["--set", f"web.allow_private={json.dumps(names)}", "--set", 'search.providers=["feeds"]']
        reports = {stage: run_stage(stage, root, settings)
                   for stage in ("search", "scrape", "extract", "validate", "clean", "prepare")}
    for server in servers:
        server.shutdown()
    seconds = {stage: report["elapsed_sec"] for stage, report in reports.items()}
    print(json.dumps({
        "bench": "slow_web", "hosts": args.hosts, "pages": reports["scrape"]["n_out"],
        "dropped": reports["scrape"]["dropped"], "search_seconds": seconds["search"],
        "scrape_seconds": seconds["scrape"], "collect_seconds": round(seconds["search"] + seconds["scrape"], 1),
        "process_seconds": round(sum(seconds.values()) - seconds["search"] - seconds["scrape"], 1)}))


if __name__ == "__main__":
    main()
