"""Raw documents: what an input becomes once it is extracted: one document, or the parts of a long text."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from miniature_memory.core.text import hostname
from miniature_memory.extraction.long_texts import divide
from miniature_memory.extraction.page import Extracted
from miniature_memory.extraction.reading import Input


def parts_of(extracted: Extracted, source: Input) -> Iterator[tuple[Extracted, str]]:
    """The parts of a long text, which name their book and place; a page, or a dataset's own document, as it is."""
    parts = divide(extracted.text) if source.html is None and not source.split else []
    if len(parts) < 2:
        yield extracted, source.url
        return
    for number, part in enumerate(parts, 1):
        title = ", ".join(filter(None, (extracted.title, part.heading)))
        yield replace(extracted, text=part.text, title=title), source.at(f"part={number}")


class Origin(NamedTuple):
    """Where a page or text comes from, as its document's metadata has it."""

    url: str
    fetched_at: str
    source: str  # by which its URL was found: "ddgs: the query", "links: the page", or the file that it was read from
    warc_file: str  # that holds the response, relative to the root if it is the crawl's; "" for none
    warc_offset: str  # of its record, in bytes
    split: str = ""  # "train" or "val", if it came from a dataset that has one


def origin_of_input(one: Input) -> Origin:
    return Origin(one.url, one.fetched_at, one.source, one.source if one.warc_offset else "", one.warc_offset,
                  one.split)


def to_document(extracted: Extracted, origin: Origin) -> tuple[str, bytes]:
    """(id, JSON line) of a raw document. Every metadata key is always there and a string: "" for unknown."""
    document_id = hashlib.sha256(extracted.text.encode()).hexdigest()
    metadata = {"url": origin.url, "title": extracted.title, "author": extracted.author,
                "published": extracted.published, "language": extracted.language_hint, "host": hostname(origin.url),
                "fetched_at": origin.fetched_at, "extractor": extracted.extractor, "page_type": extracted.page_type,
                "license": extracted.license, "source": origin.source, "warc_file": origin.warc_file,
                "warc_offset": origin.warc_offset, "split": origin.split}
    line = json.dumps({"id": document_id, "text": extracted.text, "metadata": metadata}, ensure_ascii=False)
    return document_id, line.encode() + b"\n"
