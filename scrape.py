"""Scrape: URLs that are due in, pages out.

Reads   the catalog's urls that are due
Writes  data/pages/*.warc.gz    WARC 1.1: responses as they came over the wire, their requests, revisits
Alone   .venv/bin/python scrape.py --set scrape.max_pages=20
        .venv/bin/python scrape.py --status          what became of every URL, by host and reason

Many hosts at once, one request a host at a time, and from the end of one answer to the next request at least
scrape.delay_sec or the host's own Crawl-delay. The main thread decides and writes; the workers fetch and look at pages.
"""

from __future__ import annotations

import logging
import time
from pathlib import Path

from miniature_memory.core.stage import StageStats, View, stage_main
from miniature_memory.crawl.config import ScrapeConfig
from miniature_memory.crawl.frontier import due_urls, status_table
from miniature_memory.crawl.scheduler import PAGES, Crawl
from miniature_memory.storage.catalog import Catalog

logger = logging.getLogger(__name__)

# --- the stage -----------------------------------------------------------------------------------


def drop_extracted(catalog: Catalog) -> int:
    """Remove the WARC files that extract has read to their end; the bytes that this frees."""
    freed = 0
    for path, in catalog.execute("SELECT path FROM files WHERE path LIKE ? AND length > 0", [PAGES + "/%"]).fetchall():
        waiting = catalog.value("SELECT 1 FROM pages WHERE file = ? AND seq > ? LIMIT 1",
                                [path, catalog.cursor("extract")])
        freed += 0 if waiting else catalog.drop(path)
    return freed



def run(config: ScrapeConfig, root: Path) -> StageStats:
    report = StageStats("scrape")
    with Catalog(root) as catalog:
        if not config.keep_pages and (freed := drop_extracted(catalog)):
            logger.info("dropped %.1f MB of pages that have been extracted (scrape.keep_pages = false)", freed / 1e6)
        crawl, started = Crawl(config, catalog, report), time.monotonic()
        rows = due_urls(catalog, config.max_pages, config.max_pages_per_host, list(crawl.web.guard.connect_to))
        if rows:
            crawl.run(rows)
        else:
            logger.info("no address is due: search found no new one, and the known ones are visited again later")
        still_due = catalog.value("SELECT count(*) FROM urls WHERE due_at <= ?", [time.time()])
        report.facts = {"hosts": len(crawl.hosts), "still_due": still_due, "pages_per_sec": round(
            report.n_in / max(time.monotonic() - started, 1e-9), 1)}
        if crawl.links:
            report.facts["links"] = dict(crawl.links)
    return report


def show_status(config: ScrapeConfig, root: Path, value: str) -> str:
    with Catalog(root, read_only=True) as catalog:
        return status_table(catalog)


def main(argv: list[str] | None = None) -> int:
    return stage_main(run, ScrapeConfig, "scrape", argv, {
        "--status": View(show_status, "print what became of every URL, by host and reason")})


if __name__ == "__main__":
    raise SystemExit(main())
