"""Clean: valid raw documents in, kept documents out.

Reads   data/raw/*.jsonl      id, text, metadata; append-only; up to the last validated document
Writes  data/clean/*.jsonl    the kept ones, in raw order, each with its raw id;  data/rejected.jsonl  the rest
        data/index.sqlite3    which of the kept ones have which words, for run.py --find; derived
Alone   python3 clean.py --set clean.thresholds.min_words=30
        python3 clean.py --explain ID     print what became of a document, and why
        python3 clean.py --histograms     print how the documents are spread around each threshold
        python3 clean.py --rebuild        rebuild the clean set from raw with the current settings
        python3 clean.py --index          rebuild the full-text index from the clean set

Four steps, in miniature_memory/cleaning/: the text is normalized (normalize.py) and loses its boilerplate
(boilerplate.py), the quality rules judge it (filters.py), personal data is masked (privacy.py), and what an earlier
document has already said is rejected (minhash.py). In a topic, so is what is not about it (topic.py). Every decision
depends only on the document and on earlier ones in raw order, never on where a run ended.
"""

from __future__ import annotations

from miniature_memory.core.interpreter import use_own_python

if __name__ == "__main__":
    use_own_python()

import argparse
from pathlib import Path

from miniature_memory.cleaning.cleaner import Cleaner
from miniature_memory.cleaning.config import CleanConfig
from miniature_memory.cleaning.explain import explain
from miniature_memory.cleaning.filters import c4_quality, fineweb_quality, gopher_quality, gopher_repetition
from miniature_memory.cleaning.histograms import histograms
from miniature_memory.cleaning.rebuild import rebuild_clean
from miniature_memory.core.progress import Progress
from miniature_memory.core.stage import StageStats, View, stage_main
from miniature_memory.core.text import counted
from miniature_memory.storage import documents, full_text, yields
from miniature_memory.storage.catalog import Catalog
from miniature_memory.storage.files import QUERIES, read_list

__all__ = ["c4_quality", "fineweb_quality", "gopher_quality", "gopher_repetition", "main", "run"]


def run(config: CleanConfig, root: Path, rebuild: bool = False, index: bool = False) -> StageStats:
    stats = StageStats("clean")
    with Catalog(root, may_be_new=not (rebuild or index)) as catalog:
        if rebuild:
            rebuild_clean(catalog, config, stats)
        elif not index:
            clean_new_documents(catalog, config, stats)
        stats.facts["indexed"] = full_text.grow(catalog, index)
        if index:
            stats.facts["summary"] = f"{counted(stats.facts['indexed'], 'document')} indexed"
    return stats


def clean_new_documents(catalog: Catalog, config: CleanConfig, stats: StageStats) -> None:
    cleaner = Cleaner(catalog, config, stats, read_list(catalog.root / QUERIES))
    until = catalog.cursor("validate")
    rows = catalog.new_rows("clean", "documents", until)
    for row in Progress(rows, "clean", catalog.count_new("clean", "documents", until), unit=" documents"):
        judged = None
        if row["validation"] == documents.VALID:
            judged = cleaner.judge(documents.read(catalog, row), row["url"], row["language"])
        with catalog.record():
            if judged:
                cleaner.add(judged)
            catalog.advance("clean", row["seq"])
    yields.settle(catalog)
    stats.facts = cleaner.facts()


def main(argv: list[str] | None = None) -> int:
    views = {"--explain": View(explain, "print what became of a document, and why", "ID"),
             "--histograms": View(histograms, "draw a histogram for each quality rule"),
             "--report": View(histograms, argparse.SUPPRESS)}  # its old name
    options = {"--rebuild": {"action": "store_true", "help": "rebuild the clean set from raw and swap it in"},
               "--index": {"action": "store_true", "help": "rebuild the full-text index; nothing else"}}
    return stage_main(run, CleanConfig, "clean", argv, views, options)


if __name__ == "__main__":
    raise SystemExit(main())
