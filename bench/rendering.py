"""Rendering: what does a page that needs JavaScript cost, and what comes of it?

    .venv/bin/python -m bench.rendering             thirty applications on loopback, frameworks from npm included
    .venv/bin/python -m bench.rendering --runs 3    each three times

Needs Debian's chromium-headless-shell, and npm for the ten applications that use a framework. Prints for each
application what its visit ended with, seconds, and memory of this process with the browser; the last line is JSON.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from bench.app_site import AppSite, install
from miniature_memory.core.stage import StageStats
from miniature_memory.crawl.config import ScrapeConfig, WebConfig
from miniature_memory.crawl.crawler import Crawler
from miniature_memory.storage import urls
from miniature_memory.storage.catalog import Catalog


def render(root: Path, site: AppSite, name: str) -> dict[str, Any]:
    """Visit one application in a root of its own."""
    url, stats = f"{site.url}/{name}/", StageStats("scrape")
    config = ScrapeConfig(delay_sec=0.0, render="auto",
                          web=WebConfig(allow_private=[site.url.removeprefix("http://")]))
    with Catalog(root) as catalog:
        with catalog.record():
            urls.add(catalog, url, "bench")
        row, crawler = urls.get(catalog, url), Crawler(config, catalog, stats)
        if not crawler.browser:
            sys.exit("There is no browser.")
        started = time.monotonic()
        crawler.run([row] if row else [])
        seconds = time.monotonic() - started
        state = catalog.value("SELECT state FROM urls WHERE id = 1")
        rendering = crawler.rendering.facts() if crawler.rendering else {}
    return {"name": name, "state": state, "expected": site.apps[name].outcome, "seconds": round(seconds, 2),
            "peak_mb": rendering.get("peak_mb", 0), "parts": rendering.get("parts", 0)}


def measure(runs: int) -> dict[str, Any]:
    trouble = install()
    if trouble:
        print(f"Without the applications that use a framework: {trouble}", file=sys.stderr)
    found = []
    with AppSite() as site:
        for name, app in site.apps.items():
            if trouble and app.needs_npm:
                continue
            for _ in range(runs):
                with tempfile.TemporaryDirectory() as folder:
                    one = render(Path(folder), site, name)
                found.append(one)
                print(f"{name:<18} {one['state']:<16} {one['seconds']:>6.2f} s {one['peak_mb']:>5} MB "
                      f"{one['parts']:>4} parts{'' if one['state'] == one['expected'] else '  UNEXPECTED'}")
        with_text = [one for one in found if one["state"] == "fetched"]
        states = Counter(one["state"] for one in found)
        return {"pages": len(found), "rendered": states.pop("fetched", 0), "still_empty": states.pop("still_empty", 0),
                "given_up": dict(states), "unexpected": sum(one["state"] != one["expected"] for one in found),
                "median_sec": statistics.median(one["seconds"] for one in with_text),
                "median_mb": statistics.median(one["peak_mb"] for one in with_text),
                "peak_mb": max(one["peak_mb"] for one in with_text),
                "peak_mb_of_all": max(one["peak_mb"] for one in found),
                "connections_past_the_web_room": len(site.refused)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1, help="of each application")
    print(json.dumps(measure(parser.parse_args().runs)))


if __name__ == "__main__":
    main()
