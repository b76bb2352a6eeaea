"""Extract: fetched pages in, raw documents out: the text that a browser's read mode would show.

Reads   data/pages/*.warc.gz   WARC response records, as they came over the wire
Writes  data/raw/*.jsonl       id, text, metadata; append-only; only run.py --purge rewrites it
Alone   python3 extract.py --set extract.workers=1
        python3 extract.py --print PAGE.html            print the text of a page; - is standard input
        python3 extract.py --explain PAGE.html          print its type, and why each block is kept or dropped
        python3 extract.py --import PATH... --warc FILE|URL...   add your own files, and WARC files

Worker processes do the work, so that a page that kills its process does not harm the stage.
"""

from __future__ import annotations

from miniature_memory.core.interpreter import setup_command, use_own_python

if __name__ == "__main__":
    use_own_python()

import io
import logging
import shlex
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

from miniature_memory.core.command_line import OldSpelling, path_or_address
from miniature_memory.core.errors import StageError
from miniature_memory.core.log import DETAIL
from miniature_memory.core.paths import command
from miniature_memory.core.progress import Progress
from miniature_memory.core.stage import StageStats, View, stage_main
from miniature_memory.core.version import VERSION
from miniature_memory.extraction.archives import read_warc, read_warc_stream
from miniature_memory.extraction.classifier import explain
from miniature_memory.extraction.config import ExtractConfig
from miniature_memory.extraction.file_kinds import ENDINGS, NEEDS
from miniature_memory.extraction.inputs import read_files, read_stdin
from miniature_memory.extraction.metadata import one_line
from miniature_memory.extraction.page import Extracted, extract_page
from miniature_memory.extraction.parsing import parse
from miniature_memory.extraction.raw_documents import Origin, origin_of_input, parts_of, to_document
from miniature_memory.extraction.reading import Input
from miniature_memory.extraction.workers import Job, extract_all, extract_job
from miniature_memory.responses.charset import decode_html
from miniature_memory.storage import documents, forgotten, urls
from miniature_memory.storage.catalog import Catalog
from miniature_memory.storage.local_files import KnownFiles

logger = logging.getLogger(__name__)

__all__ = ["ExtractConfig", "extract_page", "main", "run"]
MOST_NAMED = 100  # guess: files that the log names per reason; the others are only counted


def run(config: ExtractConfig, root: Path, warc: Sequence[Path | str] = (), files: Sequence[Path] = (),
        stdin: bool = False) -> StageStats:
    """Extract the new pages; or, if any are named, the WARC files, other files and standard input instead.

    warc: paths, and addresses as text.
    """
    stats = StageStats("extract")
    with Catalog(root) as catalog:
        if warc or files or stdin:
            known = KnownFiles(
                catalog, f"{VERSION} {config.mode} {config.max_text_chars} {config.respect_noai}")
            inputs = chain(chain.from_iterable(_read_warc(place, config, known) for place in warc),
                           read_files(files, known.has), read_stdin() if stdin else ())
            for source, extracted in Progress(extract_all(((one, one) for one in inputs), config), "extract",
                                              unit=" pages"):
                known.follow(source, extracted.reason)
                if extracted.reason and stats.dropped[extracted.reason] < MOST_NAMED:
                    logger.log(DETAIL, "%s skipped: %s", source.url, extracted.reason)
                for part, url in parts_of(extracted, source):
                    with catalog.record():
                        _store(catalog, part, origin_of_input(source)._replace(url=url), stats)
            known.end()
            stats.facts["came"] = "text" if files else "page"  # what a file gives: a chapter, a row, a page
        elif total := catalog.count_new("extract", "pages"):
            for page, extracted in Progress(extract_all(_new_pages(catalog), config), "extract", total, unit=" pages"):
                with catalog.record():
                    _store(catalog, extracted, origin_of_page(catalog, page), stats, page["seq"])
                    catalog.advance("extract", page["seq"])
    return stats


def _new_pages(catalog: Catalog) -> Iterator[tuple[sqlite3.Row, Job]]:
    """(row, WARC record) of the pages that scrape has added since the last run."""
    for row in catalog.new_rows("extract", "pages"):
        yield row, catalog.read(row["file"], row["offset"], row["length"])


def _read_warc(place: Path | str, config: ExtractConfig, known: KnownFiles) -> Iterator[Input]:
    """What is in the WARC file at a path or an address, from where an earlier run was interrupted."""
    if isinstance(place, Path):
        return read_warc(place, known.start)
    from miniature_memory.crawl.ranges import RangeFile  # these take 0.2 s
    from miniature_memory.crawl.web import Web

    file = RangeFile(Web(config.web), place)
    return read_warc_stream(io.BufferedReader(file), Input(file.name, "", None, source=file.name, mark=file.mark),
                            known.start)


def origin_of_page(catalog: Catalog, page: sqlite3.Row) -> Origin:
    source = one_line(urls.found_by(catalog, page["url_id"]))
    return Origin(page["url"], page["fetched_at"], source, page["file"], str(page["offset"]))


def _store(catalog: Catalog, extracted: Extracted, origin: Origin, stats: StageStats,
           page: int | None = None) -> None:
    """Append the document, or count why there is none. A known text is not stored again; its further URL is noted."""
    stats.n_in += 1
    if extracted.reason:
        stats.dropped[extracted.reason] += 1
        return
    document_id, line = to_document(extracted, origin)
    if forgotten.refuses(catalog, origin.url, document_id):
        stats.dropped["forgotten"] += 1
        return
    if documents.has(catalog, document_id):
        documents.add_url(catalog, document_id, origin.url)
        stats.dropped["duplicate_text"] += 1
        return
    place = catalog.append("data/raw", ".jsonl", line)
    documents.add(catalog, document_id, origin.url, place, extracted.license, page)
    stats.n_out += 1
    stats.bytes_written += len(line)


# --- looking at one page -------------------------------------------------------------------------


def print_page(config: ExtractConfig, root: Path, value: str) -> str:
    """The text of the page or file at `value`."""
    extracted = extract_job(_only(value), replace(config, respect_noai=False))  # to look at a page is not to use it
    if not extracted.text:
        raise StageError(f"{value} has no text ({extracted.reason.replace('_', ' ')}).", "a page or a text.",
                         f"{setup_command()} --with {NEEDS[extracted.reason].extra}" if extracted.reason in NEEDS else
                         "look at its blocks: " + command("extract.py", root, f"--explain {shlex.quote(value)}"))
    return extracted.text


def explain_page(config: ExtractConfig, root: Path, value: str) -> str:
    """The type of the page at `value`, and each block with what decided it."""
    page = _only(value)
    tree = parse(decode_html(page.html, page.charset)) if page.html else None
    return "The page has no blocks." if tree is None else explain(tree, page.url)


def _only(value: str) -> Input:
    """The one page or text at the path `value`; the first one of a file of several."""
    found: Iterable[Input] = read_stdin() if value == "-" else read_files([Path(value)])
    page = next(iter(found), None)
    if page is None:
        raise StageError(f"{value} contains no page.",
                         f"a file that ends in {', '.join(ENDINGS)}, or - for standard input.",
                         "name such a file, or a folder that contains one.")
    return page


# --- the command line ----------------------------------------------------------------------------


def main(argv: list[str] | None = None) -> int:
    views = {"--print": View(print_page, "print the text of one page and do nothing else; - is standard input", "PAGE"),
             "--explain": View(explain_page, "print a page's type, and why each block is kept or dropped", "PAGE")}
    paths: dict[str, Any] = {"nargs": "+", "type": Path, "default": []}
    options = {"--warc": {**paths, "type": path_or_address, "metavar": "FILE|URL",
                          "help": "read these WARC files instead of the crawl's; also at https:// and s3://"},
               "--import": {**paths, "metavar": "PATH", "dest": "files",
                            "help": f"read local files and folders of them: {' '.join(sorted(ENDINGS))}"},
               "--files": {**paths, "dest": "files", "action": OldSpelling, "new": "--import"},
               "--file": {"dest": "print", "action": OldSpelling, "new": "--print"},
               "--stdin": {"action": "store_true", "help": "read one page or text from standard input"}}
    return stage_main(run, ExtractConfig, "extract", argv, views, options)


if __name__ == "__main__":
    raise SystemExit(main())
