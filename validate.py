"""Validate: is each new raw document intact, and in a wanted language?

Reads   data/raw/*.jsonl      id, text, metadata
Writes  to the catalog whether each is valid;  data/rejected.jsonl  the rejected ones, each with its reason
Alone   python3 validate.py --set 'validate.languages=["en", "de"]'
        python3 validate.py --full      audit the whole dataset and print what it consists of
        python3 validate.py --repair    the same, and set aside what is damaged: copies go to data/damaged/

Validate checks integrity and language, clean checks quality. The raw files are never changed.
"""

from __future__ import annotations

from miniature_memory.core.interpreter import use_own_python

if __name__ == "__main__":
    use_own_python()

import logging
import sqlite3
from dataclasses import asdict
from pathlib import Path
from typing import Any

from miniature_memory.core.errors import StageError
from miniature_memory.core.log import DETAIL
from miniature_memory.core.paths import shown
from miniature_memory.core.progress import Progress
from miniature_memory.core.stage import StageStats, stage_main
from miniature_memory.core.text import strip_control
from miniature_memory.storage import documents
from miniature_memory.storage.catalog import Catalog
from miniature_memory.storage.documents import DAMAGED, VALID
from miniature_memory.storage.rejections import Rejection
from miniature_memory.validation.audit import Audit
from miniature_memory.validation.config import ValidateConfig
from miniature_memory.validation.documents import validate
from miniature_memory.validation.repairs import repair_command
from miniature_memory.validation.statistics import screen, statistics

logger = logging.getLogger(__name__)

MAX_PRINTED = 50  # problems on the screen; the others are in data/run.log


def run(config: ValidateConfig, root: Path, full: bool = False, repair: bool = False) -> StageStats:
    """Validate the documents that are new; or audit the whole dataset, and repair it."""
    with Catalog(root, may_be_new=not (full or repair)) as catalog:
        return audit(catalog, repair) if full or repair else validate_new(catalog, config)


def validate_new(catalog: Catalog, config: ValidateConfig) -> StageStats:
    stats = StageStats("validate")
    total = catalog.count_new("validate", "documents")
    if total and catalog.state("validate.config") != asdict(config):
        with catalog.record():  # of all documents; none if they were judged by different ones: clean.py --rebuild
            catalog.set_state("validate.config", None if catalog.cursor("validate") else asdict(config))
    for row in Progress(catalog.new_rows("validate", "documents"), "validate", total, unit=" documents"):
        stats.n_in += 1
        if row["validation"] == DAMAGED:  # set aside by a repair before it was validated
            with catalog.record():
                stats.dropped[DAMAGED] += 1
                catalog.advance("validate", row["seq"])
        else:
            line = catalog.read(row["file"], row["offset"], row["length"])
            judged = validate(line, row["id"], config)  # before the record, so that a signal can stop it
            with catalog.record():
                store(catalog, row, judged, stats)
                catalog.advance("validate", row["seq"])
    return stats


def store(catalog: Catalog, row: sqlite3.Row, judged: tuple[dict[str, Any], Rejection | None, str],
          stats: StageStats) -> None:
    document, rejection, language = judged
    if rejection:
        stats.dropped[rejection.reason] += 1
        catalog.reject("validate", rejection, row["id"], row["url"], document.get("text", ""))
    else:
        stats.n_out += 1
    documents.set_validation(catalog, row["seq"], rejection.reason if rejection else VALID, language)


def audit(catalog: Catalog, repair: bool) -> StageStats:
    """Report every problem and the statistics. Raises StageError if a problem is left that was not fixed."""
    walk, n_found, n_left, log = Audit(catalog), 0, 0, shown(catalog.root / "data/run.log")
    can_repair = False
    for problem in walk.problems():
        n_found += 1
        n_left += not (repair and problem.repair)
        can_repair = can_repair or bool(problem.repair)
        logger.log(logging.WARNING if n_found <= MAX_PRINTED else DETAIL, "%s",
                   strip_control(f"{problem.found} Fix: {problem.fix}"))
        if repair and problem.repair:
            problem.repair()
    catalog.commit()
    if n_found > MAX_PRINTED:
        logger.warning("%d more problems are listed in %s.", n_found - MAX_PRINTED, log)
    n_whole, n_damaged = walk.tally.raw_documents, walk.tally.damaged
    stats = StageStats("validate", n_whole + n_damaged, n_whole)
    if n_damaged:
        stats.dropped[DAMAGED] = n_damaged
    stats.facts = {"problems": n_found, "fixed": n_found - n_left, **statistics(catalog, walk.tally)}
    logger.info("%s", strip_control(screen(stats.facts)))
    if n_left:
        raise StageError(f"The dataset has {n_left} problem{'s' * (n_left != 1)}, listed above and in {log}.",
                         "none.", "follow the fix of each; --repair cannot do it." if repair or not can_repair else
                         f"run {repair_command(catalog.root)}, which sets aside what is damaged and deletes nothing.")
    stats.facts["summary"] = (f"{stats.n_in:,} documents read, {n_whole:,} of them whole; {n_found:,} "
                              f"problem{'s' * (n_found != 1)}{', all fixed' * (n_found > 0)}")
    return stats


def main(argv: list[str] | None = None) -> int:
    return stage_main(run, ValidateConfig, "validate", argv, options={
        "--full": {"action": "store_true", "help": "audit the whole dataset and print what it consists of"},
        "--repair": {"action": "store_true", "help": "the same, and set aside what is damaged; deletes nothing"}})


if __name__ == "__main__":
    raise SystemExit(main())
