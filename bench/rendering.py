"""Rendering: what does a page that needs JavaScript cost, and what comes of it?

    .venv/bin/python -m bench.rendering             thirty applications on loopback, frameworks from npm included
    .venv/bin/python -m bench.rendering --runs 3    each three times

Needs Debian's chromium-headless-shell, and npm for the ten applications that use a framework. Prints for each
application what its visit ended with, the seconds of scrape.py, its peak of memory with the browser and without, and
how many parts were fetched; the last line is JSON.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from bench.app_site import APPS, AppSite, install
from miniature_memory.core.paths import PROJECT
from miniature_memory.core.stage import StageStats
from miniature_memory.storage import urls
from miniature_memory.storage.catalog import Catalog

LONGEST_SEC = 120.0  # of one visit


def render(root: Path, site: AppSite, name: str) -> dict[str, Any]:
    """Visit one application with scrape.py, in a root of its own."""
    with Catalog(root) as catalog, catalog.record():
        urls.add(catalog, f"{site.url}/{name}/", "bench")
    settings = ['scrape.render="auto"', "scrape.delay_sec=0.0", f"web.allow_private={json.dumps(site.private)}"]
    done = subprocess.run([sys.executable, PROJECT / "scrape.py", "--root", root, "--quiet", "--json",
                           *(part for setting in settings for part in ("--set", setting))],
                          stdout=subprocess.PIPE, text=True, check=True, timeout=LONGEST_SEC)
    stats = StageStats.from_json(done.stdout.splitlines()[-1])
    rendering = stats.facts.get("rendering") or sys.exit("There is no browser.")
    return {"name": name, "state": next(iter(stats.dropped), "fetched"), "expected": APPS[name].outcome,
            "seconds": stats.elapsed_sec, "stage_mb": round(stats.peak_mb), "browser_mb": rendering["peak_mb"],
            "parts": rendering["parts"]}


def measure(runs: int) -> dict[str, Any]:
    trouble = install()
    if trouble:
        print(f"Without the applications that use a framework: {trouble}", file=sys.stderr)
    found = []
    with AppSite() as site:
        for name, app in APPS.items():
            if trouble and app.needs_npm:
                continue
            for _ in range(runs):
                with tempfile.TemporaryDirectory() as folder:
                    one = render(Path(folder), site, name)
                found.append(one)
                print(f"{name:<18} {one['state']:<16} {one['seconds']:>6.2f} s {one['stage_mb']:>5} MB "
                      f"{one['browser_mb']:>5} MB {one['parts']:>4} parts"
                      f"{'' if one['state'] == one['expected'] else '  UNEXPECTED'}", flush=True)
        with_text = [one for one in found if one["state"] == "fetched"]
        states = Counter(one["state"] for one in found)
        return {"pages": len(found), "rendered": states.pop("fetched", 0), "still_empty": states.pop("still_empty", 0),
                "given_up": dict(states), "unexpected": sum(one["state"] != one["expected"] for one in found),
                "median_sec": statistics.median(one["seconds"] for one in with_text),
                "median_mb": statistics.median(one["stage_mb"] for one in with_text),
                "peak_mb": max(one["stage_mb"] for one in with_text),
                "peak_mb_of_all": max(one["stage_mb"] for one in found),
                "peak_browser_mb_of_all": max(one["browser_mb"] for one in found),
                "connections_past_the_web_room": len(site.refused)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1, help="of each application")
    print(json.dumps(measure(parser.parse_args().runs)))


if __name__ == "__main__":
    main()
