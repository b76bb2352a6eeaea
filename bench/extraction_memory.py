"""Extraction memory: does the memory of extract's workers stay constant over thousands of pages?

    .venv/bin/python -m bench.extraction_memory --data wcxb-dev.jsonl.xz                10,000 pages, some minutes
    .venv/bin/python -m bench.extraction_memory --data wcxb-dev.jsonl.xz --pages 2000

The pages of WCXB (see extraction.py), repeated, as a WARC file that extract.py reads. The proportional set size of each
process of the stage is sampled five times a second, and printed per thousand pages. Prints one JSON line at the end.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from itertools import chain, count, islice
from pathlib import Path

from bench.extraction import read_pages
from miniature_memory.core.paths import PROJECT
from miniature_memory.core.process import process_tree, pss_kb
from miniature_memory.crawl.warc import exchange_records
from miniature_memory.crawl.web import Fetched
from miniature_memory.storage import pages
from miniature_memory.storage.catalog import Catalog

LONGEST_SEC = 3600
AT = "2026-01-01T00:00:00Z"


def add_pages(root: Path, data: Path, n_pages: int) -> None:
    """Put the pages into a catalog as scrape does."""
    endless = chain.from_iterable(read_pages(data, 1) for _ in count())
    with Catalog(root) as catalog:
        for n, row in enumerate(islice(endless, n_pages)):
            html = row["html"].encode()
            page = Fetched(f"http://page-{n}.example/", 200, "OK", [("Content-Type", "text/html; charset=utf-8")], html,
                           html)
            with catalog.record():
                place = catalog.append("data/pages", ".warc.gz", exchange_records(page, AT, {}).response)
                pages.add(catalog, n, page.url, AT, place, "")


class Watch(threading.Thread):
    """The memory of the largest worker and of all processes, by thousands of pages."""

    def __init__(self, pid: int, root: Path) -> None:
        super().__init__(daemon=True)
        self.pid, self.root = pid, root
        self.worker_mb: dict[int, float] = {}
        self.tree_mb: dict[int, float] = {}

    def run(self) -> None:
        with Catalog(self.root, read_only=True) as catalog:
            while True:
                thousand = catalog.cursor("extract") // 1000
                sizes = [pss_kb(pid) * 1024 / 1e6 for pid in process_tree(self.pid)]
                self.worker_mb[thousand] = max([self.worker_mb.get(thousand, 0.0), *sizes[1:]])
                self.tree_mb[thousand] = max(self.tree_mb.get(thousand, 0.0), sum(sizes))
                time.sleep(0.2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, metavar="FILE")
    parser.add_argument("--pages", type=int, default=10_000)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="extraction-memory-") as temporary:
        root = Path(temporary)
        add_pages(root, args.data, args.pages)
        started = time.monotonic()
        process = subprocess.Popen([sys.executable, str(PROJECT / "extract.py"), "--root", str(root), "--json"],
                                   stdout=subprocess.PIPE)
        watch = Watch(process.pid, root)
        watch.start()
        stats = json.loads(process.communicate(timeout=LONGEST_SEC)[0].splitlines()[-1])
        seconds = time.monotonic() - started
    print(json.dumps({"bench": "extraction_memory", "pages": args.pages, "seconds": round(seconds, 1),
                      "pages_per_sec": round(args.pages / seconds, 1), "dropped": stats["dropped"],
                      "peak_mb": stats["peak_mb"], "worker_peak_mb": round(max(watch.worker_mb.values()), 1),
                      "worker_mb_by_thousand": {n: round(mb, 1) for n, mb in sorted(watch.worker_mb.items())},
                      "tree_mb_by_thousand": {n: round(mb, 1) for n, mb in sorted(watch.tree_mb.items())}}))


if __name__ == "__main__":
    main()
