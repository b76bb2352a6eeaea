"""Million URLs: does a catalog that knows 1,000,000 URLs stay fast and small?

    .venv/bin/python -m bench.million_urls                    a million, in a few minutes
    .venv/bin/python -m bench.million_urls --urls 50000       a short trial

The URLs are like those of the web: five hosts with a tenth of them each and thousands of small hosts, some URLs with an
upper-case host, a fragment, tracking parameters or an unsorted query. They are spelled as browsers do, filtered and
added; the keys of those kept are then added to a new catalog, and to the same once more. The hosts take turns, which is
the worst order for an index. Choosing what to visit next is timed when all are due, when a large host is paused, when
half of them have been visited in vain, when two thirds of those hosts gave something, when all hosts are paused, and
when nothing is due; each time is the median of several.
Memory is the proportional set size of this process, which keeps no list of the URLs. The last line is JSON.
"""

import argparse
import json
import random
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any

from miniature_memory.core.process import PeakMemory
from miniature_memory.crawl import frontier
from miniature_memory.crawl.blocklists import Blocklist, url_rejection
from miniature_memory.crawl.urls import browser_url
from miniature_memory.crawl.yields import Topic
from miniature_memory.storage import backoffs, urls, yields
from miniature_memory.storage.catalog import Catalog
from miniature_memory.storage.schema import URLS_CACHE_KB

HUGE_HOSTS, HUGE_SHARE = 5, 0.1  # of the URLs, each
URLS_OF_A_SMALL_HOST = 60
REJECTED_EVERY = 50  # URLs that are kept for each one that is filtered: an image, a document
URLS_A_RECORD = 1000  # search.urls_per_seed: what one feed or sitemap brings
LIMIT, PER_HOST, CALLS = 1000, 50, 9  # of due_urls
LONGEST_SEC = 900.0  # of everything
TOPICS = re.findall(r"\w+", "history science weather travel music garden letters harbour stars trains kitchen village "
                            "winter rivers bridges painting language birds islands markets")


def make_urls(n: int) -> Iterator[str]:
    """`n` URLs of distinct pages, and between them some that the filter rejects."""
    rng = random.Random(1337)
    n_huge = round(n * HUGE_SHARE)
    small = max(1, (n - HUGE_HOSTS * n_huge) // URLS_OF_A_SMALL_HOST)
    for i in range(n):
        huge = i % 10 < HUGE_HOSTS * HUGE_SHARE * 10
        number = rng.randrange(small)
        host = f"www.big-{i % 10}.example.com" if huge else f"{TOPICS[number % 20]}-{number}.example.org"
        yield decorated(host, i, rng)
        if i % REJECTED_EVERY == 0:
            yield f"https://{host}/images/{i}.{rng.choice(['jpg', 'pdf', 'zip', 'mp4'])}"


def decorated(host: str, i: int, rng: random.Random) -> str:
    """A page of `host` that no other `i` has, in one of the ways in which URLs are written on the web."""
    topic, other = rng.choice(TOPICS), rng.choice(TOPICS)
    path = rng.choice((f"/{topic}/{2000 + i % 25}/{1 + i % 12:02d}/{other}-of-the-{topic}-{i}",
                       f"/articles/{i}/{topic}-and-{other}.html", f"/wiki/{topic.capitalize()}_({i})",
                       f"/{topic}/{other}/{i}/"))
    query = f"?page={1 + i % 9}&id={i}&lang=en" if rng.random() < 0.15 else ""
    if rng.random() < 0.1:
        query += f"{'&' if query else '?'}utm_source=newsletter&utm_medium=mail&utm_campaign={other}"
    fragment = f"#{other}" if rng.random() < 0.1 else ""
    shown = host.upper() if rng.random() < 0.05 else host.title() if rng.random() < 0.05 else host
    return f"{'http' if rng.random() < 0.1 else 'https'}://{shown}{path}{query}{fragment}"


def write_urls(path: Path, urls: Iterator[str]) -> None:
    with open(path, "w", encoding="ascii") as stream:
        stream.writelines(url + "\n" for url in urls)


def read_urls(path: Path) -> Iterator[str]:
    with open(path, encoding="ascii") as stream:
        yield from (line[:-1] for line in stream)


class Stopwatch:
    """Prints progress and memory to stderr, and ends what takes too long."""

    def __init__(self) -> None:
        self.memory = PeakMemory()
        self.memory.start()
        self.ends = time.monotonic() + LONGEST_SEC

    def look(self, n: int, started: float, what: str) -> None:
        if time.monotonic() > self.ends:
            raise TimeoutError(f"not done after {LONGEST_SEC} s, in: {what}")
        if n % 100_000 == 0:
            print(f"{what}: {n:,} in {time.monotonic() - started:.1f} s, peak {self.memory.peak_mb:.0f} MB",
                  file=sys.stderr)


def add_all(catalog: Catalog, path: Path, raw: bool, watch: Stopwatch, what: str) -> dict[str, Any]:
    """Add the URLs of a file; seconds, and the reasons of the filter and of urls.add with their counts."""
    n, said, peaks, started = 0, {"added": 0}, {}, time.monotonic()
    lines, blocklist, topic = read_urls(path), Blocklist(), Topic(["history of science", "river travel"], "en")
    while block := list(islice(lines, URLS_A_RECORD)):
        with catalog.record():
            for url in block:
                reason = ""
                if raw:
                    url = browser_url(url)
                    reason = url_rejection(url, blocklist)
                reason = reason or urls.add(catalog, url, "bench", promise=topic.promise(url))
                said[reason or "added"] = said.get(reason or "added", 0) + 1
        n += len(block)
        if n == 100_000:
            peaks["peak_mb_at_100k"] = round(watch.memory.peak_mb, 1)
        watch.look(n, started, what)
    catalog.commit()
    seconds = time.monotonic() - started
    return {"seconds": round(seconds, 1), "urls_per_sec": round(n / seconds), **peaks,
            "peak_mb": round(watch.memory.peak_mb, 1), **said}


def time_due(catalog: Catalog) -> dict[str, Any]:
    """Median and longest of several calls, in milliseconds, and what they chose."""
    times, rows = [], []
    for _ in range(CALLS):
        started = time.perf_counter()
        rows = frontier.due_urls(catalog, LIMIT, PER_HOST)
        times.append((time.perf_counter() - started) * 1000)
    return {"ms": round(statistics.median(times), 1), "longest_ms": round(max(times), 1), "rows": len(rows),
            "hosts": len({row["host"] for row in rows})}


def visit(catalog: Catalog, odd: bool, watch: Stopwatch) -> float:
    """Mark every second URL as visited and due in a week, as a crawl does; the seconds that this took."""
    started, n = time.monotonic(), 0
    highest = catalog.value("SELECT max(id) FROM urls")
    for first in range(1, highest + 1, 2 * URLS_A_RECORD):
        with catalog.record():
            for row in catalog.execute("SELECT * FROM urls WHERE id >= ? AND id < ? AND id % 2 = ?",
                                       [first, first + 2 * URLS_A_RECORD, odd]).fetchall():
                urls.finish_visit(catalog, row["id"], "fetched", frontier.next_visit(row, "fetched", 7.0),
                                  urls.Seen(f"{row['id']:064x}", "", ""))
                yields.end_visit(catalog, row["id"], counts=True)
                n += 1
        watch.look(n, started, "visited")
    catalog.commit()
    return time.monotonic() - started


def choose(catalog: Catalog, watch: Stopwatch) -> dict[str, Any]:
    result: dict[str, Any] = {"all_due": time_due(catalog)}
    with catalog.record():
        backoffs.extend(catalog, "host", "www.big-0.example.com", 3600.0, "bench")
    catalog.commit()
    result["a_large_host_paused"] = time_due(catalog)
    result["visit_seconds"] = round(visit(catalog, False, watch), 1)
    result["half_visited"] = time_due(catalog)
    with catalog.record():
        catalog.execute("UPDATE yields SET kept = visits / 2, kept_bytes = visits * 2000 WHERE length(host) % 3")
    result["half_visited_with_gain"] = time_due(catalog)
    with catalog.record():
        catalog.execute("INSERT OR REPLACE INTO backoffs SELECT 'host', host, ?, 'bench', 1 FROM hosts",
                        [time.time() + 3600])
    catalog.commit()
    result["all_hosts_paused"] = time_due(catalog)
    with catalog.record():
        catalog.execute("DELETE FROM backoffs")
    visit(catalog, True, watch)
    result["nothing_due"] = time_due(catalog)
    return result


def measure(folder: Path, n: int) -> dict[str, Any]:
    raw, kept = folder / "raw.txt", folder / "kept.txt"
    write_urls(raw, make_urls(n))
    watch = Stopwatch()
    result: dict[str, Any] = {}
    with Catalog(folder / "first", cache_kb=URLS_CACHE_KB) as catalog:
        result["raw"] = add_all(catalog, raw, True, watch, "raw")
        write_urls(kept, (row["key"] for row in catalog.execute("SELECT key FROM urls ORDER BY id")))
        result["hosts"] = catalog.value("SELECT count(DISTINCT host) FROM urls")
    result["raw"]["catalog_mb"] = round((folder / "first/data/catalog.sqlite3").stat().st_size / 1e6, 1)
    with Catalog(folder / "second", cache_kb=URLS_CACHE_KB) as catalog:
        result["canonical"] = add_all(catalog, kept, False, watch, "canonical")
        result["again"] = add_all(catalog, kept, False, watch, "again")
        result["due_urls"] = choose(catalog, watch)
    result["peak_mb"] = round(watch.memory.stop(), 1)
    if result["raw"]["added"] != n or result["again"].get("already_known") != n:
        raise AssertionError(f"not all of {n} distinct URLs were added once: {result}")
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--urls", type=int, default=1_000_000, choices=range(1000, 10_000_001),
                        metavar="1000..10000000")
    args = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="million-urls-")))
        result = measure(folder, args.urls)
    print(json.dumps({"bench": "million_urls", "urls": args.urls, **result}))


if __name__ == "__main__":
    main()
