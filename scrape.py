"""Scrape: URLs that are due in, pages out.

Reads   the catalog's URLs that are due
Writes  data/pages/*.warc.gz    WARC 1.1: responses as received, their requests, revisits, rendered pages
        data/handover.jsonl     redirects to hosts of other shards, if this root is a shard
Alone   python3 scrape.py --set scrape.max_pages=20
        python3 scrape.py --status          what became of every URL, by host and reason

Many hosts at once, one request at a time to each, with at least scrape.delay_sec or the host's own Crawl-delay between
an answer and the next request. The main thread schedules and writes; worker threads fetch and examine pages.
"""

from __future__ import annotations

from miniature_memory.core.interpreter import use_own_python

if __name__ == "__main__":
    use_own_python()

import logging
import time
from pathlib import Path

from miniature_memory.core.stage import StageStats, View, stage_main
from miniature_memory.crawl import handover
from miniature_memory.crawl.config import ScrapeConfig
from miniature_memory.crawl.crawler import Crawler
from miniature_memory.crawl.frontier import due_urls, status_table
from miniature_memory.storage import pages, urls
from miniature_memory.storage.catalog import Catalog
from miniature_memory.storage.schema import URLS_CACHE_KB

logger = logging.getLogger(__name__)


def run(config: ScrapeConfig, root: Path) -> StageStats:
    stats = StageStats("scrape")
    with Catalog(root, cache_kb=URLS_CACHE_KB) as catalog:
        if not config.keep_pages:
            remove_extracted(catalog)
        crawler, started = Crawler(config, catalog, stats), time.monotonic()
        stand_ins = list(crawler.web.guard.connect_to)
        rows = due_urls(catalog, config.max_pages, most_per_host(config), stand_ins)
        if not rows and urls.count(catalog):
            logger.info("No URL is due: search found no new one, and the known ones are due later.")
        crawler.run(rows)
        handover.write(catalog)
        seconds = max(time.monotonic() - started, 1e-9)
        stats.facts = {"hosts": len(crawler.scheduler.hosts), "still_due": urls.count_due(catalog),
                       "pages_per_sec": round(stats.n_in / seconds, 1)}
        if crawler.recorder.links:
            stats.facts["links"] = dict(crawler.recorder.links)
        if crawler.rendering:
            stats.facts["rendering"] = crawler.rendering.facts()
    return stats


def most_per_host(config: ScrapeConfig) -> int:
    """URLs of one host that are planned: no more than its delay leaves time for, since others can use the rest."""
    in_time = 1 + int(config.max_minutes * 60 / config.delay_sec) if config.delay_sec else config.max_pages_per_host
    return min(config.max_pages_per_host, in_time)


def remove_extracted(catalog: Catalog) -> None:
    """Remove the WARC files that extract has read to their end."""
    if freed := sum(catalog.drop(path) for path in pages.extracted_files(catalog)):
        logger.info("Removed %.1f MB of pages that have been extracted (scrape.keep_pages = false).", freed / 1e6)


def show_status(config: ScrapeConfig, root: Path, value: str) -> str:
    with Catalog(root, read_only=True) as catalog:
        return status_table(catalog)


def main(argv: list[str] | None = None) -> int:
    return stage_main(run, ScrapeConfig, "scrape", argv, {
        "--status": View(show_status, "print what became of every URL, by host and reason")})


if __name__ == "__main__":
    raise SystemExit(main())
