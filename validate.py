"""Validate: is each new raw document whole, and in a language that is wanted?

Reads   data/raw/*.jsonl      id, text, metadata
Writes  verdicts in the catalog;  data/rejected.jsonl  the refused, each with its reason
Alone   .venv/bin/python validate.py --set 'validate.languages=["en", "de"]'
        .venv/bin/python validate.py --full      audits all files of the dataset and prints what there is
        .venv/bin/python validate.py --repair    the same, and sets aside what is damaged: copies go to data/damaged/

Validate owns integrity and language, clean owns quality. Raw itself is never changed.
"""

from __future__ import annotations

import logging
import shlex
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from miniature_memory.core.errors import StageError
from miniature_memory.core.log import DETAIL
from miniature_memory.core.paths import PROJECT
from miniature_memory.core.progress import Progress
from miniature_memory.core.stage import StageStats, stage_main
from miniature_memory.core.text import hostname, strip_control
from miniature_memory.storage.catalog import Catalog
from miniature_memory.validation.audit import Audit, Tally
from miniature_memory.validation.config import ValidateConfig
from miniature_memory.validation.documents import DAMAGED, judge

logger = logging.getLogger(__name__)

MAX_TOLD = 50  # findings on the screen; the others are in data/run.log
TOP = 8  # hosts, languages and days of the statistics


# --- new documents -------------------------------------------------------------------------------


def run(config: ValidateConfig, root: Path, full: bool = False, repair: bool = False) -> StageStats:
    """Judge the documents that are new; or audit the whole dataset, and fix it."""
    with Catalog(root) as catalog:
        return audit_all(catalog, repair) if full or repair else judge_new(catalog, config)


def judge_new(catalog: Catalog, config: ValidateConfig) -> StageStats:
    report = StageStats("validate")
    if catalog.state("validate.config") != asdict(config):
        with catalog.record():
            catalog.set_state("validate.config", asdict(config))
    total = catalog.count_new("validate", "documents")
    for row in Progress(catalog.new_rows("validate", "documents"), "validate", total, unit=" documents"):
        report.n_in += 1
        with catalog.record():
            if row["validation"] == DAMAGED:  # set aside by a repair before it was judged
                report.dropped[DAMAGED] += 1
            else:
                _judge_one(catalog, row, config, report)
            catalog.advance("validate", row["seq"])
    return report


def _judge_one(catalog: Catalog, row: Any, config: ValidateConfig, report: StageStats) -> None:
    line = catalog.read(row["file"], row["offset"], row["length"])
    document, refusal, language = judge(line, row["id"], config)
    if refusal:
        report.dropped[refusal.reason] += 1
        catalog.reject("validate", refusal, row["id"], row["url"], document.get("text", ""))
    else:
        report.n_out += 1
    catalog.execute("UPDATE documents SET validation = ?, language = ? WHERE seq = ?",
                    [refusal.reason if refusal else "valid", language, row["seq"]])


# --- all of it -----------------------------------------------------------------------------------


def audit_all(catalog: Catalog, repair: bool) -> StageStats:
    """Tell every finding and the statistics. Raises StageError if one is left that was not fixed."""
    audit, n_found, n_left = Audit(catalog), 0, 0
    for finding in audit.findings():
        n_found += 1
        n_left += not (repair and finding.repair)
        logger.log(logging.WARNING if n_found <= MAX_TOLD else DETAIL, "%s",
                   strip_control(f"{finding.found} Fix: {finding.fix}"))
        if repair and finding.repair:
            finding.repair()
    catalog.commit()
    if n_found > MAX_TOLD:
        logger.warning("%d more findings are told in data/run.log", n_found - MAX_TOLD)
    report = StageStats("validate", audit.tally.raw_documents + audit.tally.damaged, audit.tally.raw_documents)
    if audit.tally.damaged:
        report.dropped[DAMAGED] = audit.tally.damaged
    report.facts = {"findings": n_found, "fixed": n_found - n_left, **statistics(catalog, audit.tally)}
    logger.info("%s", strip_control(screen(report.facts)))
    if n_left:
        where = "" if catalog.root.resolve() == PROJECT else f" --root {shlex.quote(str(catalog.root))}"
        raise StageError(f"The dataset has {n_left} findings, told above and in data/run.log.", "none.",
                         f"run .venv/bin/python validate.py --full --repair{where}, which sets aside what is damaged "
                         "and deletes nothing." if not repair else "do what they say; --repair cannot.")
    report.facts["summary"] = (f"{report.n_in} documents read, {report.n_out} whole; "
                               f"{n_found} findings{', all fixed' if n_found else ''}")
    return report


def statistics(catalog: Catalog, tally: Tally) -> dict[str, Any]:
    """What the dataset consists of, as plain values."""
    catalog.db.create_function("hostname", 1, hostname, deterministic=True)
    top = f"GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT {TOP}"
    words = np.frombuffer(tally.clean_words, dtype=np.uint32)
    days = sorted(tally.days.items())
    return {
        "documents": {"raw": catalog.value("SELECT count(*) FROM documents"),
                      "valid": catalog.value("SELECT count(*) FROM documents WHERE validation = 'valid'"),
                      "clean": catalog.value("SELECT count(*) FROM clean_documents")},
        "words": {"raw": tally.raw_words, "clean": int(words.sum())},
        "languages": dict(map(tuple, catalog.execute(
            f"SELECT language, count(*) FROM documents WHERE validation = 'valid' {top}"))),
        "hosts": dict(map(tuple, catalog.execute(
            f"SELECT hostname(url), count(*) FROM documents WHERE validation = 'valid' {top}"))),
        "words_a_document": {f"{share:.0%}": int(np.quantile(words, share, method="nearest"))
                             for share in (0.0, 0.1, 0.5, 0.9, 0.99, 1.0)} if len(words) else {},
        "days": len(days), "documents_a_day": dict(days[-TOP:]),
        "bytes": dict(map(tuple, catalog.execute(
            "SELECT substr(path, 6, instr(substr(path, 6) || '/', '/') - 1), sum(length) FROM files "
            "WHERE NOT dropped GROUP BY 1")))}


def screen(facts: dict[str, Any]) -> str:
    """The statistics for people: a line each."""
    def listed(values: dict[str, int]) -> str:
        return " · ".join(f"{name or 'none'} {n:,}" for name, n in values.items()) or "none"

    sizes = {name: f"{n / 1e6:,.1f} MB" for name, n in facts["bytes"].items()}
    rows = {"documents": listed(facts["documents"]), "words": listed(facts["words"]),
            "languages": listed(facts["languages"]), "hosts": listed(facts["hosts"]),
            "words in one": listed(facts["words_a_document"]),
            "growth": f"{facts['days']} days; documents a day: {listed(facts['documents_a_day'])}",
            "files": " · ".join(f"{name} {size}" for name, size in sizes.items()) or "none",
            "findings": f"{facts['findings']:,}, fixed {facts['fixed']:,}"}
    return "\n".join(f"{name:<14}{value}" for name, value in rows.items())


def main(argv: list[str] | None = None) -> int:
    return stage_main(run, ValidateConfig, "validate", argv, options={
        "--full": {"action": "store_true", "help": "audit the whole dataset, print every finding and what there is"},
        "--repair": {"action": "store_true", "help": "--full, and set aside what is damaged; nothing is deleted"}})


if __name__ == "__main__":
    raise SystemExit(main())
