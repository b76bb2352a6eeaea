"""Search: queries, feeds and sitemaps in, URLs out.

Reads   config/queries.txt    one query per line; # starts a comment
        config/seeds.txt      addresses of pages, feeds and sitemaps, one per line
Writes  the catalog's urls, due at once
        data/handover.jsonl   the URLs that other shards crawl, if this root is a shard
Alone   python3 search.py --set search.queries_per_run=2

Search engines refuse more often than they answer, so none is relied on: each query goes to the first one that answers
and to open sources. Then the seed list is read, and what the hosts of kept pages announce. Answers are remembered: each
page of results is requested once, and the next one when it is the query's turn again.
"""

from __future__ import annotations

from miniature_memory.core.interpreter import use_own_python

if __name__ == "__main__":
    use_own_python()

import itertools
import logging
import shlex
from collections.abc import Sequence
from pathlib import Path

from miniature_memory.core.errors import StageError
from miniature_memory.core.paths import PROJECT, command, shown
from miniature_memory.core.stage import StageStats, stage_main
from miniature_memory.crawl.handover import read as read_handover
from miniature_memory.crawl.handover import write as write_handover
from miniature_memory.crawl.outcomes import all_in_words
from miniature_memory.crawl.seeds import Seed, read_lines, read_seeds
from miniature_memory.providers.config import SearchConfig
from miniature_memory.providers.discovery import Discovery
from miniature_memory.providers.engine_keys import announce, with_keys
from miniature_memory.providers.provider_registry import PROVIDERS
from miniature_memory.providers.query_search import QuerySearch
from miniature_memory.providers.seed_search import SeedFetcher, SeedSearch
from miniature_memory.storage import counts
from miniature_memory.storage.catalog import Catalog
from miniature_memory.storage.schema import URLS_CACHE_KB

logger = logging.getLogger(__name__)


def run(config: SearchConfig, root: Path, handover: Sequence[Path] = ()) -> StageStats:
    """handover: files of other shards, whose addresses come first."""
    stats = StageStats("search", facts={"seeds_failed": {}})
    queries, seeds = read_lines(root / "config/queries.txt"), read_seeds(root / "config/seeds.txt")
    config = with_keys(config, root)
    announce(config)
    with Catalog(root, cache_kb=URLS_CACHE_KB) as catalog:
        if not (handover or queries or seeds or counts.has_collected(catalog)):
            raise nothing_to_search_for(root)
        discovery = Discovery(config, catalog, stats)
        handed_over, known = discovery.take_over(read_handover(handover)), {seed.url for seed in seeds}
        seeds += [seed for seed in handed_over if seed.url not in known]
        ask_in_order(discovery, queries, seeds)
        write_handover(catalog)
        stats.facts["providers"] = {name: discovery.outcome(name) for name in config.providers}
    if asked := stats.facts["providers"]:
        logger.info("%s", all_in_words(asked))
    return stats


def ask_in_order(discovery: Discovery, queries: list[str], seeds: list[Seed]) -> None:
    """Ask all providers, as search.providers lists them; neighbors that take queries are asked together."""
    query_search = QuerySearch(discovery, SeedFetcher(discovery).fetch)
    seed_search = SeedSearch(discovery, query_search)
    steps = [(takes, list(names)) for takes, names in itertools.groupby(
        discovery.config.providers, key=lambda name: PROVIDERS[name].takes)]
    for n, (takes, names) in enumerate(steps):
        steps_left = len(steps) - n
        discovery.time.begin_step(takes == "query", steps_left)
        if takes == "query":
            query_search.work_through(names, queries, others_wait=bool(seeds) and steps_left > 1)
        else:
            for name in names:
                seed_search.work_through(name, seeds)
    seed_search.follow_announced(seeds)


def nothing_to_search_for(root: Path) -> StageError:
    folder, queries = (shlex.quote(shown(root / "config" / name)) for name in ("", "queries.txt"))
    return StageError(f"There are no queries in {shown(root / 'config/queries.txt')}, no seeds in "
                      f"{shown(root / 'config/seeds.txt')}, and nothing was collected before.",
                      "one query per line, such as: history of astronomy; or texts of your own "
                      f"({command('run.py', root, '--texts FILE...')}), or a topic with a folder of its own "
                      f"({command('run.py', PROJECT, '--topic WORDS')}).",
                      f"mkdir -p {folder}; echo 'history of astronomy' >> {queries}; " + command("run.py", root))


def main(argv: list[str] | None = None) -> int:
    return stage_main(run, SearchConfig, "search", argv, options={
        "--handover": {"nargs": "+", "type": Path, "default": [], "metavar": "FILE",
                       "help": "also take the addresses that other shards wrote to data/handover.jsonl"}})


if __name__ == "__main__":
    raise SystemExit(main())
