"""Clean: valid raw documents in, kept documents out.

Reads   data/raw/*.jsonl      id, text, metadata; append-only, never rewritten; up to where validate has come
Writes  data/clean/*.jsonl    the kept ones, in raw order, each with its raw id;  data/rejected.jsonl  the rest
Alone   .venv/bin/python clean.py --set clean.min_words=30
        .venv/bin/python clean.py --explain ID    why a document was dropped, or what became of it
        .venv/bin/python clean.py --report        how the documents lie about each threshold
        .venv/bin/python clean.py --rebuild       the clean set anew from raw, with the settings as they are now

Four steps: the text is fixed and loses its boilerplate (boilerplate.py), the rules judge it (rules.py), what leads to
a person is masked (privacy.py), and what an earlier document has said already is dropped (duplicates.py). Every
decision depends on the document and on earlier ones in raw order alone, never on where a night ended.
"""

from __future__ import annotations

from pathlib import Path

from miniature_memory.cleaning.cleaner import Cleaner, read_document
from miniature_memory.cleaning.config import CleanConfig
from miniature_memory.cleaning.rebuild import rebuild_clean
from miniature_memory.cleaning.views import explain, show_report
from miniature_memory.core.progress import Progress
from miniature_memory.core.stage import StageStats, View, stage_main
from miniature_memory.storage.catalog import Catalog


def run(config: CleanConfig, root: Path, rebuild: bool = False) -> StageStats:
    report = StageStats("clean")
    with Catalog(root) as catalog:
        if rebuild:
            rebuild_clean(catalog, config, report)
            return report
        cleaner = Cleaner(catalog, config, report)
        until = catalog.cursor("validate")
        rows = catalog.new_rows("clean", "documents", until)
        for row in Progress(rows, "clean", catalog.count_new("clean", "documents", until), unit=" documents"):
            with catalog.record():
                if row["validation"] == "valid":
                    cleaner.add(read_document(catalog, row), row["url"], row["language"])
                catalog.advance("clean", row["seq"])
        report.facts = cleaner.facts()
    return report


def main(argv: list[str] | None = None) -> int:
    views = {"--explain": View(explain, "tell what became of a document and why", "ID"),
             "--report": View(show_report, "draw a histogram for each rule")}
    options = {"--rebuild": {"action": "store_true", "help": "make the clean set anew from raw and swap it in"}}
    return stage_main(run, CleanConfig, "clean", argv, views, options)


if __name__ == "__main__":
    raise SystemExit(main())
