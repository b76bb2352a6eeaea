"""Page text: a second text for the benchmarks that train, made of real pages by the whole pipeline.

    .venv/bin/python -m bench.page_text --data wcxb-dev.jsonl.xz --root DIR     some minutes; DIR must be new

The pages of WCXB (see extraction.py) are served on loopback under their own hosts and addresses. These addresses are
the seeds in DIR/config/seeds.txt, from which search, scrape, extract, validate, clean and prepare make token bins, with
the default settings but one: a single scraping thread keeps the documents in the same order in each run. Nothing is
trained. Ends in one JSON line.
"""

import argparse
import contextlib
import gzip
import json
import tempfile
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import run
import scrape
import search
from bench.discovery import serve_tls
from bench.extraction import read_pages
from miniature_memory.crawl.urls import browser_url
from miniature_memory.storage import pages
from miniature_memory.storage.catalog import Catalog
from miniature_memory.training.bins import open_bins


def packed_pages(data: Path) -> dict[str, bytes]:
    """Address -> page, packed by gzip; five of the 1,497 pages have no address."""
    addressed = ((browser_url(page["url"] or ""), page["html"]) for page in read_pages(data, 1))
    return {url: gzip.compress(html.encode("utf-8", "replace"), 1, mtime=0) for url, html in addressed if url}


@contextlib.contextmanager
def serve(web: dict[str, bytes]) -> Iterator[list[str]]:
    """A server for these pages; yields web.connect_to. They have no robots.txt."""
    class Plain(BaseHTTPRequestHandler):
        scheme = "http"

        def do_GET(self) -> None:
            body = web.get(f"{self.scheme}://{self.headers['Host']}{self.path}")
            self.send_response(404 if body is None else 200)
            if body is not None:
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.send_header("Content-Encoding", "gzip")
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, format: str, *args: object) -> None:
            pass

    class Secure(Plain):
        scheme = "https"

    hosts = {scheme: {urlsplit(url).netloc for url in web if url.startswith(f"{scheme}:")}
             for scheme in ("http", "https")}
    plain = ThreadingHTTPServer(("127.0.0.1", 0), Plain)
    threading.Thread(target=plain.serve_forever, args=(0.05,), daemon=True).start()
    try:
        with tempfile.TemporaryDirectory() as folder, serve_tls(sorted(hosts["https"]), Secure, Path(folder)) as port:
            ports = {"http": plain.server_address[1], "https": port}
            yield [f"{host}=127.0.0.1:{ports[scheme]}" for scheme in ports for host in sorted(hosts[scheme])]
    finally:
        plain.shutdown()
        plain.server_close()


def collect(root: Path, web: dict[str, bytes]) -> None:
    """What run.py does with these seeds; search and scrape in this process, which trusts the server."""
    (root / "config").mkdir(parents=True)
    (root / "config/seeds.txt").write_text("".join(f"page {url}\n" for url in web), encoding="utf-8")
    with serve(web) as connect_to:
        settings = {"search.providers": ["seeds"], "web.connect_to": connect_to, "scrape.max_pages": len(web),
                    "scrape.max_minutes": 30, "scrape.workers": 1}
        argv = ["--root", str(root)]
        for key, value in settings.items():
            argv += ["--set", f"{key}={json.dumps(value)}"]
        failed = search.main(argv) or scrape.main(argv)
    if failed or run.main(["--root", str(root), "--skip-search", "--skip-scraping", "--skip-training"]):
        raise SystemExit("a stage failed")


def measure(root: Path) -> dict[str, Any]:
    bins = open_bins(root, 0)
    with Catalog(root, read_only=True) as catalog:
        n_bytes = dict(catalog.execute("SELECT split, sum(text_bytes) FROM clean_documents GROUP BY split").fetchall())
        kept = catalog.value("SELECT count(*) FROM clean_documents")
        fetched = pages.count_urls(catalog)
    return {"fetched": fetched, "kept": kept, "bytes": sum(n_bytes.values()),
            "train_tokens": bins.train_tokens, "train_bytes": n_bytes["train"],
            "val_tokens": bins.val_tokens, "val_bytes": n_bytes["val"], "vocab_size": bins.vocab_size}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, metavar="FILE")
    parser.add_argument("--root", type=Path, required=True, metavar="DIR")
    args = parser.parse_args()
    started, web = time.monotonic(), packed_pages(args.data)
    collect(args.root, web)
    print(json.dumps({"bench": "page_text", "pages": len(web), **measure(args.root),
                      "seconds": round(time.monotonic() - started, 1)}))


if __name__ == "__main__":
    main()
