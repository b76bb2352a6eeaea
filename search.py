"""Search: queries, feeds and sitemaps in, URLs out.

Reads   config/queries.txt    a query a line; # begins a comment
        config/seeds.txt      "page URL", "feed URL" or "sitemap URL" a line
Writes  the catalog's urls, due at once
Alone   .venv/bin/python search.py --set search.queries_per_run=2

Search engines refuse more often than they answer, so none is relied on: each query goes to the first provider that
answers, and the seed list is read in any case. What a provider has answered is remembered: a page of results is asked
for once, and the next time the query's turn comes, the page after it.
"""

from __future__ import annotations

import logging
from pathlib import Path

from miniature_memory.core.errors import StageError
from miniature_memory.core.paths import config_path
from miniature_memory.core.stage import StageStats, stage_main
from miniature_memory.crawl.config import SearchConfig
from miniature_memory.crawl.discovery import Search, outcome
from miniature_memory.crawl.seeds import read_lines, read_seeds
from miniature_memory.storage.catalog import Catalog

logger = logging.getLogger(__name__)

def run(config: SearchConfig, root: Path) -> StageStats:
    report = StageStats("search", facts={"seeds_failed": {}})
    queries_path, seeds_path = config_path(root, "queries.txt"), config_path(root, "seeds.txt")
    queries, seeds = read_lines(queries_path), read_seeds(seeds_path)
    with Catalog(root) as catalog:
        collected = any(catalog.value(f"SELECT 1 FROM {table} LIMIT 1") for table in ("urls", "documents"))
        if not (queries or seeds or collected):
            raise StageError(f"{queries_path} holds no query and {seeds_path} no seed, and nothing was collected yet.",
                             "a query a line, such as: history of astronomy.", f"write some into {queries_path}.")
        search = Search(config, catalog, report)
        idle = "not asked, enough URLs are due" if search.has_enough() else "not asked"
        search.run(queries, seeds)
        report.facts["providers"] = {name: outcome(search, name) or idle for name in config.providers}
    logger.info("%s", "; ".join(f"{name}: {text}" for name, text in report.facts["providers"].items()))
    return report


def main(argv: list[str] | None = None) -> int:
    return stage_main(run, SearchConfig, "search", argv)


if __name__ == "__main__":
    raise SystemExit(main())
