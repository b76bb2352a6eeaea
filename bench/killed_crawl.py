"""Killed crawl: what does a SIGKILL cost?

    .venv/bin/python -m bench.killed_crawl             2,000 pages, killed 50 times, restarted each time
    .venv/bin/python -m bench.killed_crawl --kills 5   shorter

scrape.py crawls bench/many_hosts.py and is killed up to 2.2 seconds after it took the lock of its root, at moments
drawn from a seed. After each kill the catalog is read without repairing anything: every page that it knew before must
be where it was, and every page must be a whole WARC record within the committed length of its file. At the end the
web's log shows which pages were requested again. The last line is JSON.
"""

import argparse
import contextlib
import gzip
import hashlib
import io
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from warcio.archiveiterator import ArchiveIterator

from bench.many_hosts import ManyHosts, Request
from miniature_memory.core.paths import PROJECT
from miniature_memory.storage import urls
from miniature_memory.storage.catalog import GROUP_RECORDS, Catalog

HOSTS, LATENCY_SEC = 20, 0.25  # so that 2,000 pages last longer than 50 kills: at most 80 of them come in a second
EARLIEST_SEC, LATEST_SEC = 0.05, 2.2  # after the start of the work; the first commit comes after about 1.3
LONGEST_SEC = 600.0  # of everything


class Page(NamedTuple):
    """A row of the table of pages."""

    seq: int
    url_id: int
    url: str
    file: str
    offset: int
    length: int


@dataclass
class Findings:
    """What was found after the kills."""

    pages: dict[int, Page] = field(default_factory=dict)  # by seq, as known after the last kill
    digests: dict[int, str] = field(default_factory=dict)  # seq -> of its bytes, once they were found to be a record
    lost: int = 0  # known pages that are gone or different
    unreadable: int = 0
    doubled: int = 0  # the most pages that the catalog had twice
    amid_writing: int = 0  # kills that left bytes behind which were not committed
    begun: list[float] = field(default_factory=list)  # time.monotonic() just before each kill
    at: list[float] = field(default_factory=list)  # and when the process was gone
    known: list[set[str]] = field(default_factory=list)  # URLs that were committed at each kill


def crawl_command(root: Path, web: ManyHosts, overrides: list[str]) -> list[str]:
    settings = ["scrape.delay_sec=0.0", "scrape.max_pages=1000000", "scrape.max_pages_per_host=1000000",
                f"scrape.max_minutes={LONGEST_SEC / 60}", f"web.allow_private={json.dumps(web.names)}", *overrides]
    return [sys.executable, str(PROJECT / "scrape.py"), "--root", str(root), "--quiet",
            *(part for setting in settings for part in ("--set", setting))]


def start(command: list[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL, start_new_session=True)


def wait_for_work(process: subprocess.Popen[bytes], root: Path) -> None:
    """Until the crawl has taken the lock of its root: it opens the catalog next."""
    lock, mine = root / "data/run.lock", f"{process.pid}\n"
    while process.poll() is None and not (lock.exists() and lock.read_text() == mine):
        time.sleep(0.005)


def kill(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # a group of its own: itself and all that it started
    process.wait()


def read_catalog(root: Path) -> tuple[list[Page], dict[str, int]]:
    """(pages, file -> committed length), by SQLite alone and without writing."""
    path = root / "data/catalog.sqlite3"
    with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as db:
        pages = db.execute("SELECT seq, url_id, url, file, offset, length FROM pages ORDER BY seq").fetchall()
        return [Page(*row) for row in pages], dict(db.execute("SELECT path, length FROM files"))


def is_whole(member: bytes, page: Page) -> bool:
    """Whether these bytes are one WARC response record of that page, digests included."""
    try:
        gzip.decompress(member)  # checks that the member ends here, and its checksum
        record = next(iter(ArchiveIterator(io.BytesIO(member), check_digests=True)))
        body = record.content_stream().read()
        return bool(body and record.rec_type == "response" and record.digest_checker.passed
                    and record.rec_headers.get_header("WARC-Target-URI") == page.url)
    except Exception as error:  # whatever warcio makes of a torn record
        print(f"{page.url}: {error!r}", file=sys.stderr)
        return False


def look(root: Path, findings: Findings) -> None:
    """Compare what the catalog knows with what it knew before, and with the files."""
    pages, lengths = read_catalog(root)
    now = {page.seq: page for page in pages}
    findings.lost += sum(now.get(seq) != page for seq, page in findings.pages.items())
    findings.doubled = max(findings.doubled, len(pages) - len({page.url_id for page in pages}),
                           len(pages) - len({page.url for page in pages}))
    committed = {}
    for file, length in lengths.items():
        data = (root / file).read_bytes() if (root / file).exists() else b""
        findings.lost += len(data) < length
        committed[file] = data[:length]
    for page in pages:
        member = committed[page.file][page.offset:page.offset + page.length]
        digest = hashlib.sha256(member).hexdigest()
        if page.seq in findings.digests:
            findings.lost += digest != findings.digests[page.seq]
        elif is_whole(member, page):
            findings.digests[page.seq] = digest
        else:
            findings.unreadable += 1
    findings.pages = now


def uncommitted_bytes(root: Path) -> int:
    """Bytes of the WARC files beyond what the catalog knows of."""
    lengths = read_catalog(root)[1]
    return sum(file.stat().st_size - lengths.get(str(file.relative_to(root)), 0)
               for file in (root / "data/pages").glob("*.warc.gz"))


def warc_check(root: Path) -> bool:
    files = [str(file) for file in sorted((root / "data/pages").glob("*.warc.gz"))]
    return subprocess.run([sys.executable, "-m", "warcio.cli", "check", *files], stdout=sys.stderr).returncode == 0


def judge(log: list[Request], findings: Findings) -> dict[str, Any]:
    """What was requested again, after which kill."""
    pages = [request for request in log if request.path.startswith("/page-")]
    last: dict[str, int] = {}  # URL -> in which run it was asked for last
    refetched: Counter[int] = Counter()
    committed_refetched = 0
    for request in pages:
        url = f"http://{request.host}{request.path}"
        run = sum(at < request.started for at in findings.at)
        if url in last:
            refetched[last[url]] += 1
        committed_refetched += bool(run) and url in findings.known[run - 1]
        last[url] = run
    in_flight = [sum(request.started < at < request.ended for request in pages) for at in findings.begun]
    return {"page_requests": len(pages), "refetched": refetched.total(), "committed_refetched": committed_refetched,
            "most_refetched_after_a_kill": max(refetched.values(), default=0),
            "most_allowed": GROUP_RECORDS + HOSTS, "most_in_flight_at_a_kill": max(in_flight, default=0),
            "robots_requests": sum(request.path == "/robots.txt" for request in log)}


def measure(folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    rng, findings, started = random.Random(args.seed), Findings(), time.monotonic()
    root = folder / "root"
    (root / "config").mkdir(parents=True)
    process = None
    with ManyHosts(folder, HOSTS, args.pages // HOSTS, latency_sec=LATENCY_SEC, longest_sec=LONGEST_SEC) as web:
        with Catalog(root) as catalog, catalog.record():
            for url in web.page_urls():
                urls.add(catalog, url, "bench")
        command = crawl_command(root, web, args.overrides)
        try:
            while time.monotonic() < started + LONGEST_SEC:
                process = start(command)
                if len(findings.at) == args.kills:
                    code = process.wait(timeout=max(started + LONGEST_SEC - time.monotonic(), 1.0))
                    break
                wait_for_work(process, root)
                time.sleep(rng.uniform(EARLIEST_SEC, LATEST_SEC))
                if process.poll() is not None:  # there was nothing left to do, or it failed
                    code = process.wait()
                    break
                findings.begun.append(time.monotonic())
                kill(process)
                findings.at.append(time.monotonic())
                findings.amid_writing += uncommitted_bytes(root) > 0
                look(root, findings)
                findings.known.append({page.url for page in findings.pages.values()})
                print(f"kill {len(findings.at)}: {len(findings.pages)} pages are committed", file=sys.stderr)
            else:
                raise TimeoutError(f"not done after {LONGEST_SEC} s and {len(findings.at)} kills")
        finally:
            if process:
                kill(process)
        if code:
            raise subprocess.CalledProcessError(code, command[:2])
    look(root, findings)
    with Catalog(root, read_only=True) as catalog:
        states = dict(urls.states(catalog))
    return {"kills": len(findings.at), "kills_amid_writing": findings.amid_writing, "pages": len(findings.pages),
            "states": states, "lost": findings.lost, "unreadable": findings.unreadable, "doubled": findings.doubled,
            **judge(web.log(), findings), "warc_check": warc_check(root),
            "seconds": round(time.monotonic() - started, 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--pages", type=int, default=2000, help="in all")
    parser.add_argument("--seed", type=int, default=1337)
    parser.add_argument("--set", action="append", default=[], dest="overrides", metavar="TABLE.KEY=VALUE")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="killed-crawl-") as temporary:
        result = measure(Path(temporary), args)
    print(json.dumps({"bench": "killed_crawl", "seed": args.seed, "settings": args.overrides, **result}))


if __name__ == "__main__":
    main()
