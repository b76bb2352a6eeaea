"""Extract: fetched pages in, raw documents out: the text that a browser's read mode would show.

Reads   data/pages/*.warc.gz   WARC response records, as they came over the wire
Writes  data/raw/*.jsonl       id, text, metadata; append-only, never rewritten
Alone   .venv/bin/python extract.py --set extract.workers=1
        .venv/bin/python extract.py --file PAGE.html             prints the text of a page
        .venv/bin/python extract.py --explain PAGE.html          its type; every block, whether it is kept, and why
        .venv/bin/python extract.py --warc FILE... --files PATH...   takes pages and texts from elsewhere

The work is done by worker processes, which may be killed by a page without harm to the stage.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from miniature_memory.core.progress import Progress
from miniature_memory.core.stage import StageStats, View, stage_main
from miniature_memory.core.text import hostname
from miniature_memory.extraction import blocks, classifier
from miniature_memory.extraction.charset import decode_html
from miniature_memory.extraction.config import ExtractConfig
from miniature_memory.extraction.inputs import Input, read_files, read_stdin, read_warc
from miniature_memory.extraction.page import Extracted
from miniature_memory.extraction.workers import Job, extract_all, extract_job
from miniature_memory.storage.catalog import Catalog

# --- the stage -----------------------------------------------------------------------------------


def to_document(extracted: Extracted, url: str, fetched_at: str) -> tuple[str, bytes]:
    """(id, JSON line) of a raw document. Every metadata key is always there and a string: "" for unknown."""
    document_id = hashlib.sha256(extracted.text.encode()).hexdigest()
    metadata = {"url": url, "title": extracted.title, "author": extracted.author, "published": extracted.published,
                "language": extracted.language_hint, "host": hostname(url), "fetched_at": fetched_at,
                "extractor": extracted.extractor, "page_type": extracted.page_type}
    line = json.dumps({"id": document_id, "text": extracted.text, "metadata": metadata}, ensure_ascii=False)
    return document_id, line.encode() + b"\n"


def run(config: ExtractConfig, root: Path, warc: Sequence[Path] = (), files: Sequence[Path] = (),
        stdin: bool = False) -> StageStats:
    """Extract the pages that are new; or, if any are named, what WARC files, other files or standard input hold."""
    report = StageStats("extract")
    with Catalog(root) as catalog:
        if warc or files or stdin:
            inputs = chain(*map(read_warc, warc), read_files(files), read_stdin() if stdin else ())
            jobs: Iterable[tuple[Any, Job]] = ((one, one) for one in inputs)
            total = None
        else:
            total = catalog.count_new("extract", "pages")
            if not total:
                return report
            rows = catalog.new_rows("extract", "pages")
            jobs = ((row, catalog.read(row["file"], row["offset"], row["length"])) for row in rows)
        for key, extracted in Progress(extract_all(jobs, config), "extract", total, unit=" pages"):
            report.n_in += 1
            with catalog.record():
                url, at = (key.url, key.fetched_at) if isinstance(key, Input) else (key["url"], key["fetched_at"])
                reason = extracted.reason or _store(catalog, extracted, url, at, report)
                if reason:
                    report.dropped[reason] += 1
                else:
                    report.n_out += 1
                if not isinstance(key, Input):
                    catalog.advance("extract", key["seq"])
    return report


def _store(catalog: Catalog, extracted: Extracted, url: str, fetched_at: str, report: StageStats) -> str:
    """Append the document; the reason if it is already there."""
    document_id, line = to_document(extracted, url, fetched_at)
    if catalog.value("SELECT 1 FROM documents WHERE id = ?", [document_id]):
        catalog.execute("INSERT OR IGNORE INTO also_at VALUES (?, ?)", [document_id, url])
        return "duplicate_text"
    place = catalog.append("data/raw", ".jsonl", line)
    catalog.execute("INSERT INTO documents (id, url, file, offset, length) VALUES (?, ?, ?, ?, ?)",
                    [document_id, url, *place])
    report.bytes_written += len(line)
    return ""


def show_file(config: ExtractConfig, root: Path, value: str) -> str:
    return next((extract_job(one, config).text for one in read_files([Path(value)])), "")


def show_blocks(config: ExtractConfig, root: Path, value: str) -> str:
    page = next(iter(read_files([Path(value)])), None)
    tree = blocks.parse(decode_html(page.html, page.charset)) if page and page.html else None
    return "no page" if page is None or tree is None else classifier.explain(tree, page.url)


def main(argv: list[str] | None = None) -> int:
    return stage_main(run, ExtractConfig, "extract", argv,
                      {"--file": View(show_file, "print the text of one local page, and do nothing else", "PAGE"),
                       "--explain": View(show_blocks, "print a page's type, and why each block is kept or dropped",
                                         "PAGE")},
                      {"--warc": {"nargs": "+", "type": Path, "default": [], "metavar": "FILE",
                                  "help": "read these WARC files rather than the crawl's"},
                       "--files": {"nargs": "+", "type": Path, "default": [], "metavar": "PATH",
                                   "help": "read local files and folders: .html .txt .md .jsonl"},
                       "--stdin": {"action": "store_true", "help": "read one page or text from standard input"}})


if __name__ == "__main__":
    raise SystemExit(main())
