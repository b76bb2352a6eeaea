"""Common Crawl: how fast does extract.py --warc read a large WARC file, and does its memory stay flat?

    .venv/bin/python -m bench.common_crawl                     1 GB: a night, or half of one
    .venv/bin/python -m bench.common_crawl --megabytes 100     some minutes

The file is made from the pages of the sample site, the documentation in /usr/share/doc and that of the packages in
.venv; from the second time on, with some of their words changed. On one machine it has the same bytes each time. The
memory of all processes of the stage is sampled five times a second. Prints one JSON line at the end: pages per second
and the peak of memory until a tenth of the file was read, and until its end.
"""

import argparse
import gzip
import html
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from collections.abc import Iterator
from itertools import count
from pathlib import Path

from miniature_memory.core.errors import StageError
from miniature_memory.core.paths import PROJECT
from miniature_memory.core.process import process_tree, pss_kb
from miniature_memory.crawl.warc import exchange_records
from miniature_memory.crawl.web import Fetched
from miniature_memory.demo_site.site import Site
from miniature_memory.storage.catalog import Catalog
from miniature_memory.storage.local_files import POSITIONS

AT = "2026-01-01T00:00:00Z"
DOCUMENTATION = ("/usr/share/doc", sys.prefix)
ENDINGS = (".html", ".md", ".rst", ".txt", ".gz", "METADATA", "copyright", "changelog", "README")
MOST_CHARS = 100_000  # of one page
CHANGED_FRAC = 0.05  # of the words of a repetition
LONGEST_SEC = 12 * 3600


def pages() -> Iterator[str]:
    """The HTML of each source, always in the same order."""
    site = Site()
    for scene in site.scenes:
        yield site.answer(scene.path)[0].body.decode()
    for folder in DOCUMENTATION:
        for path in sorted(Path(folder).rglob("*")):
            if path.name.endswith(ENDINGS) and path.is_file() and not path.is_symlink():
                try:
                    data = path.read_bytes()
                    text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode()
                except (OSError, EOFError, UnicodeDecodeError, zlib.error):
                    continue
                yield text[:MOST_CHARS] if path.suffix == ".html" else as_html(path.name, text[:MOST_CHARS])


def as_html(title: str, text: str) -> str:
    paragraphs = "".join(f"<p>{html.escape(paragraph)}</p>\n" for paragraph in re.split(r"\n\s*\n", text))
    return (f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title></head>'
            f"<body><nav><a href='/'>Home</a></nav><article><h1>{html.escape(title)}</h1>{paragraphs}</article></body>")


def changed(page: str, dice: random.Random) -> str:
    """A page with some of the words between its tags replaced by others of it."""
    pieces = re.split(r"(<[^>]*>|\s+)", page)
    words = [n for n, piece in enumerate(pieces) if piece.isalpha()]
    for n in dice.sample(words, int(len(words) * CHANGED_FRAC)):
        pieces[n] = pieces[dice.choice(words)]
    return "".join(pieces)


def write_warc(path: Path, n_bytes: int) -> int:
    """Returns how many pages are in it."""
    sources, n_pages = list(pages()), 0
    with open(path, "wb") as stream:
        for repetition in count():
            dice = random.Random(repetition)
            for page in sources:
                if stream.tell() >= n_bytes:
                    return n_pages
                body = (changed(page, dice) if repetition else page).encode()
                answer = Fetched(f"http://site-{n_pages % 1000}.example/{n_pages}", 200, "OK",
                                 [("Content-Type", "text/html; charset=utf-8")], body, body)
                identity = {"WARC-Record-ID": f"<urn:uuid:00000000-0000-4000-8000-{n_pages:012}>"}
                stream.write(exchange_records(answer, AT, identity).response)
                n_pages += 1
    return n_pages


class Watch(threading.Thread):
    """The peak of memory of all processes of the stage, at a tenth of the file and so far."""

    def __init__(self, pid: int, root: Path, tenth: int) -> None:
        super().__init__(daemon=True)
        self.pid, self.root, self.tenth = pid, root, tenth
        self.peak_mb = self.tenth_mb = self.tenth_sec = 0.0

    def run(self) -> None:
        started = time.monotonic()
        while True:
            self.peak_mb = max(self.peak_mb, sum(map(pss_kb, process_tree(self.pid))) * 1024 / 1e6)
            if not self.tenth_sec and self.position() >= self.tenth:
                self.tenth_mb, self.tenth_sec = self.peak_mb, time.monotonic() - started
            time.sleep(0.2)

    def position(self) -> int:
        try:
            with Catalog(self.root, read_only=True) as catalog:
                return max((offset for _, offset in catalog.state(POSITIONS, {}).values()), default=0)
        except StageError:  # the stage has not begun
            return 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=1000)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="common-crawl-") as temporary:
        file, root = Path(temporary) / "pages.warc.gz", Path(temporary) / "root"
        started = time.monotonic()
        n_pages = write_warc(file, args.megabytes * 1_000_000)
        os.utime(file, (1e9, 1e9))  # a file that was just written may still change
        making_sec, n_bytes = time.monotonic() - started, file.stat().st_size
        process = subprocess.Popen([sys.executable, str(PROJECT / "extract.py"), "--root", str(root), "--json",
                                    "--warc", str(file)], stdout=subprocess.PIPE)
        watch = Watch(process.pid, root, n_bytes // 10)
        watch.start()
        stats = json.loads(process.communicate(timeout=LONGEST_SEC)[0].splitlines()[-1])
    print(json.dumps({"bench": "common_crawl", "megabytes": round(n_bytes / 1e6, 1), "pages": n_pages,
                      "making_sec": round(making_sec, 1), "documents": stats["n_out"], "dropped": stats["dropped"],
                      "pages_per_sec": round(n_pages / stats["elapsed_sec"], 1), "seconds": stats["elapsed_sec"],
                      "tenth_sec": round(watch.tenth_sec, 1), "tenth_peak_mb": round(watch.tenth_mb, 1),
                      "peak_mb": round(watch.peak_mb, 1)}))


if __name__ == "__main__":
    main()
