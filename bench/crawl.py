"""Crawl: how many pages per second, in how much memory, and how politely?

    .venv/bin/python -m bench.crawl                  200 hosts of 20 pages without any delay: the top speed of scrape.py
    .venv/bin/python -m bench.crawl --peer scrapy    compared with Scrapy: in turns, the median of three runs each
    .venv/bin/python -m bench.crawl --delay 1        a second between two requests to a host: is no time wasted?

Both crawlers get every page's URL and one per host that robots.txt forbids, and keep the pages on disk. The web is
bench/many_hosts.py; its log shows what was requested twice, too soon, at once, or against robots.txt. Pages per second
are given for the whole process, start-up included, and from the first page's request to the last page's answer.
Memory is the proportional set size of the crawler and all its processes. The peer is the fastest Scrapy that we could
configure, with one request at a time per host, as ours. The last line is JSON.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from itertools import pairwise
from pathlib import Path
from typing import Any

from bench.many_hosts import ManyHosts, Request
from miniature_memory.core.paths import PROJECT
from miniature_memory.core.process import PeakMemory
from miniature_memory.storage import pages, urls
from miniature_memory.storage.catalog import Catalog

MAX_RUN_SEC = 600.0

# What Scrapy does not need for this work is switched off; each body goes to a file, since scrape.py keeps them, too.
SCRAPY = '''
import json, logging, sys
from pathlib import Path

import scrapy
from scrapy.crawler import AsyncCrawlerProcess

urls, folder, settings = Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3])


class Pages(scrapy.Spider):
    name = "pages"
    n = 0

    async def start(self):
        for url in urls.read_text().split():
            yield scrapy.Request(url, dont_filter=True)

    def parse(self, response):
        if response.headers.get("Content-Type", b"").startswith((b"text/html", b"application/xhtml+xml")):
            self.n += 1
            (folder / f"{self.n:06d}.html").write_bytes(response.body)


if __name__ == "__main__":
    logging.disable(logging.WARNING)
    process = AsyncCrawlerProcess(settings)
    process.crawl(Pages)
    process.start()
'''
SCRAPY_SETTINGS: dict[str, Any] = {
    "ROBOTSTXT_OBEY": True, "USER_AGENT": "scrapy-bench", "DOWNLOAD_TIMEOUT": 30,
    "CONCURRENT_REQUESTS_PER_DOMAIN": 1, "DOWNLOAD_DELAY_JITTER": 0.0,
    "CONCURRENT_ITEMS": 1,  # there are none, but Scrapy creates this many tasks for each answer
    "LOG_LEVEL": "ERROR", "STATS_DUMP": False, "DOWNLOADER_STATS": False, "HTTPPROXY_ENABLED": False,
    # no telnet, memory watch, statistics, cookies, retries, redirects or Referer
    "EXTENSIONS_BASE": {},
    "DOWNLOADER_MIDDLEWARES_BASE": {"scrapy.downloadermiddlewares.robotstxt.RobotsTxtMiddleware": 100,
                                    "scrapy.downloadermiddlewares.downloadtimeout.DownloadTimeoutMiddleware": 350,
                                    "scrapy.downloadermiddlewares.useragent.UserAgentMiddleware": 500},
    "SPIDER_MIDDLEWARES_BASE": {"scrapy.spidermiddlewares.start.StartSpiderMiddleware": 25,
                                "scrapy.spidermiddlewares.httperror.HttpErrorMiddleware": 50}}


def prepare_ours(folder: Path, web: ManyHosts, args: argparse.Namespace) -> list[str]:
    """A root with all URLs in its catalog; returns the command that crawls it."""
    addresses = web.page_urls() + web.private_urls()
    (folder / "config").mkdir()
    with Catalog(folder) as catalog, catalog.record():
        for url in addresses:
            urls.add(catalog, url, "bench")
    settings = [f"scrape.delay_sec={args.delay}", f"scrape.max_pages={len(addresses)}",
                f"scrape.max_pages_per_host={args.pages + 1}", f"scrape.max_minutes={MAX_RUN_SEC / 60}",
                f"web.allow_private={json.dumps(web.names)}", *args.overrides]
    return [sys.executable, str(PROJECT / "scrape.py"), "--root", str(folder), "--quiet",
            *(part for setting in settings for part in ("--set", setting))]


def prepare_scrapy(folder: Path, web: ManyHosts, args: argparse.Namespace) -> list[str]:
    (folder / "urls.txt").write_text("\n".join(web.page_urls() + web.private_urls()))
    (folder / "spider.py").write_text(SCRAPY)
    (folder / "pages").mkdir()
    requests = 2 * args.hosts if args.delay else 64  # those that wait for their host's turn count, too
    settings = SCRAPY_SETTINGS | {"DOWNLOAD_DELAY": args.delay, "CONCURRENT_REQUESTS": requests,
                                  "TWISTED_REACTOR_ENABLED": False}
    return [sys.executable, str(folder / "spider.py"), str(folder / "urls.txt"), str(folder / "pages"),
            json.dumps(settings)]


def stored(folder: Path, crawler: str) -> int:
    if crawler == "scrapy":
        return len(os.listdir(folder / "pages"))
    with Catalog(folder, read_only=True) as catalog:
        return pages.count(catalog)


def crawl(crawler: str, args: argparse.Namespace) -> dict[str, Any]:
    """One run of one crawler over a web of its own: seconds, memory, and what the web's log shows."""
    with tempfile.TemporaryDirectory(prefix="crawl-") as temporary:
        folder = Path(temporary) / crawler
        folder.mkdir()
        with ManyHosts(Path(temporary), args.hosts, args.pages, latency_sec=args.latency,
                       longest_sec=MAX_RUN_SEC + 60) as web:
            command = (prepare_scrapy if crawler == "scrapy" else prepare_ours)(folder, web, args)
            seconds, peak_mb, cpu_sec = timed(command)
        log = web.log()
        result = {"seconds": round(seconds, 2), "peak_mb": round(peak_mb, 1), "cpu_seconds": round(cpu_sec, 2),
                  "stored": stored(folder, crawler), **judge(log, args)}
    result["pages_per_sec"] = round(result["stored"] / seconds, 1)
    print(f"{crawler}: {result['stored']} pages in {seconds:.1f} s, {result['pages_per_sec']:.0f} per second, "
          f"{peak_mb:.0f} MB", file=sys.stderr)
    return result


def timed(command: list[str]) -> tuple[float, float, float]:
    """(seconds, peak MB, CPU seconds) of a command and its children. Raises CalledProcessError if it fails."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    memory = PeakMemory(process.pid)
    memory.start()
    try:
        code = process.wait(timeout=MAX_RUN_SEC + 30)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    seconds, peak_mb = time.monotonic() - started, memory.stop()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if code:
        raise subprocess.CalledProcessError(code, command[:2])
    return seconds, peak_mb, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def judge(log: list[Request], args: argparse.Namespace) -> dict[str, Any]:
    """Speed and manners, from the web's log alone."""
    pages = [request for request in log if request.path.startswith("/page-")]
    times = Counter((request.host, request.path) for request in pages)
    answered = {(request.host, request.path) for request in pages if request.status == 200}
    by_host: dict[str, list[Request]] = defaultdict(list)
    for request in log:
        by_host[request.host].append(request)
    waits = [after.started - before.ended for requests in by_host.values() for before, after in pairwise(requests)]
    page_sec = max(request.ended for request in pages) - min(request.started for request in pages)
    whole_sec = max(request.ended for request in log) - min(request.started for request in log)
    # robots.txt, then each page after a delay, and the time that the answers took: no host can be faster
    least_sec = max(args.pages * args.delay + sum(request.ended - request.started for request in requests)
                    for requests in by_host.values())
    return {"log_pages_per_sec": round(len(pages) / max(page_sec, 1e-9), 1),
            "schedule_frac": round(least_sec / max(whole_sec, 1e-9), 4) if args.delay else None,
            "forbidden": sum(request.path.startswith("/private/") for request in log),
            "too_soon": sum(wait < args.delay for wait in waits), "shortest_wait_sec": round(min(waits), 4),
            "at_once": sum(wait < 0 for wait in waits), "twice": sum(n - 1 for n in times.values()),
            "missing": args.hosts * args.pages - len(answered),
            "robots_requests": sum(request.path == "/robots.txt" for request in log),
            "agents": sorted({request.agent for request in log})}


def summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Medians of measurements; sums of what must not happen."""
    keys = ["pages_per_sec", "log_pages_per_sec", "seconds", "peak_mb", "cpu_seconds"]
    result: dict[str, Any] = {key: round(statistics.median(run[key] for run in runs), 2) for key in keys}
    if runs[0]["schedule_frac"]:
        result["schedule_frac"] = min(run["schedule_frac"] for run in runs)
    result |= {key: sum(run[key] for run in runs) for key in ("forbidden", "too_soon", "at_once", "twice", "missing")}
    result |= {"shortest_wait_sec": min(run["shortest_wait_sec"] for run in runs),
               "robots_requests": max(run["robots_requests"] for run in runs),
               "stored": min(run["stored"] for run in runs), "agents": runs[0]["agents"],
               "runs_pages_per_sec": [run["pages_per_sec"] for run in runs]}
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hosts", type=int, default=200, choices=range(1, 2001), metavar="1..2000")
    parser.add_argument("--pages", type=int, default=20, help="per host")
    parser.add_argument("--delay", type=float, default=0.0, help="scrape.delay_sec, Scrapy's DOWNLOAD_DELAY")
    parser.add_argument("--latency", type=float, default=0.0, help="mean seconds before an answer")
    parser.add_argument("--peer", choices=["scrapy"])
    parser.add_argument("--runs", type=int, default=0, help="per crawler; default: 3 with a peer, else 1")
    parser.add_argument("--set", action="append", default=[], dest="overrides", metavar="TABLE.KEY=VALUE")
    args = parser.parse_args()
    runs: dict[str, list[dict[str, Any]]] = {crawler: [] for crawler in ("ours", args.peer) if crawler}
    for _ in range(args.runs or (3 if args.peer else 1)):
        for crawler, found in runs.items():
            found.append(crawl(crawler, args))
    results = {crawler: summary(found) for crawler, found in runs.items()}
    ratios = {}
    if args.peer:
        ours, peer = results["ours"], results[args.peer]
        ratios = {f"{key}_ratio": round(ours[key] / peer[key], 3)
                  for key in ("pages_per_sec", "log_pages_per_sec", "peak_mb", "cpu_seconds")}
    print(json.dumps({"bench": "crawl", "hosts": args.hosts, "pages": args.pages, "delay_sec": args.delay,
                      "latency_sec": args.latency, "settings": args.overrides, "cores": os.cpu_count(),
                      **ratios, **results}))


if __name__ == "__main__":
    main()
