"""Tables: the documents in .csv, .tsv, .json and .jsonl files, one per row or object. parquet.py has .parquet."""

import codecs
import csv
import io
import json
import re
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import chain, islice
from statistics import median
from typing import BinaryIO

from miniature_memory.core.text import strip_control
from miniature_memory.extraction.license_names import MOST_CHARS, of_text
from miniature_memory.extraction.metadata import one_line
from miniature_memory.extraction.reading import MAX_BYTES, Input, Unreadable, read_whole, text_of_file
from miniature_memory.responses.charset import decode_text

MAX_JSON_BYTES = 20_000_000  # guess: of a .json file, whose objects take up to 25 times as much memory
UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)  # what a text begins with whose lines end in two bytes
TEXT_NAMES = ("text", "content", "body", "document", "article", "story", "message", "review", "comment", "poem")
# Field of Input -> the columns that may hold it, the likeliest first
ABOUT = {"url": ("url", "link"), "title": ("title", "headline", "name", "subject"), "author": ("author", "by"),
         "published": ("published", "date"), "language": ("language", "lang"), "fetched_at": ("fetched_at",)}
SPLITS = {"train": "train", "validation": "val", "valid": "val", "val": "val", "dev": "val"}  # as datasets call ours
ISO_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
SAMPLE_ROWS, MAX_COLUMNS = 50, 1000  # guesses
PROSE_WORDS = 8  # guess: the median cell of a column of prose has at least so many words
CHUNK_BYTES = 1_000_000  # whose encoding is found at once


def split_table(stream: BinaryIO, origin: Input) -> Iterator[Input]:
    """The rows of a table, by its column of text: one of TEXT_NAMES, or the only one that is prose (RFC 4180)."""
    lines = _lines(stream)
    first = next(lines, "")
    csv.field_size_limit(MAX_BYTES)
    try:
        rows = csv.reader(chain([first], lines), delimiter=max("\t,;|", key=first.count))
        yield from _documents(rows, origin)
    except csv.Error:
        raise Unreadable("damaged") from None


def _documents(rows: Iterator[list[str]], origin: Input) -> Iterator[Input]:
    header = next(rows, [])
    names = [name.strip().lower() for name in header]
    sample = list(islice(rows, SAMPLE_ROWS))
    column = next((names.index(name) for name in TEXT_NAMES if name in names), -1)
    has_header = column >= 0
    if column < 0:
        if len(header) > MAX_COLUMNS:
            raise Unreadable("no_text_column")
        prose = [i for i in range(len(header)) if median(_n_words(row, i) for row in sample or [header]) >= PROSE_WORDS]
        if len(prose) != 1:
            raise Unreadable("no_text_column")
        column = prose[0]
        has_header = _n_words(header, column) < PROSE_WORDS // 2
    for number, row in enumerate(chain([] if has_header else [header], sample, rows), 1):
        about = dict(zip(names, row, strict=False)) if has_header else {}
        yield _document(about, row[column] if column < len(row) else "", f"row={number}", origin)


def _n_words(row: list[str], column: int) -> int:
    return len(row[column].split()) if column < len(row) else 0


def _lines(stream: BinaryIO) -> Iterator[str]:
    while chunk := stream.read(CHUNK_BYTES):
        chunk += read_whole(stream) if chunk[:2] in UTF_16 else stream.readline(MAX_BYTES)
        yield from io.StringIO(text_of_file(chunk))


def split_json(stream: BinaryIO, origin: Input) -> Iterator[Input]:
    """The texts and objects of a list, the list that an object has under one of its names, or an object with a text."""
    try:
        content = json.loads(text_of_file(read_whole(stream, MAX_JSON_BYTES)))
    except (ValueError, RecursionError):
        raise Unreadable("bad_json") from None
    if isinstance(content, dict) and _text_name(content) is None:
        content = next((value for value in content.values() if isinstance(value, list)), content)
    several = isinstance(content, list)
    for number, one in enumerate(content if several else [content]):
        yield _of_json(one, str(number) if several else "", origin)


def split_json_lines(stream: BinaryIO, origin: Input) -> Iterator[Input]:
    """JSON lines with a "text", as datatrove and datasets write them, or with an "html"."""
    first = stream.readline(2 * MAX_BYTES)
    lines: Iterable[bytes] = chain([first], iter(partial(stream.readline, 2 * MAX_BYTES), b""))
    if first[:2] in UTF_16:
        lines = text_of_file(first + read_whole(stream)).encode(errors="replace").split(b"\n")
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            yield _of_json(json.loads(decode_text(line)), f"line={number}", origin)
        except (ValueError, RecursionError):
            yield origin._replace(url=origin.at(f"line={number}"), reason="bad_json")


def _text_name(content: dict[str, object]) -> str | None:
    return next((name for name in TEXT_NAMES if isinstance(content.get(name), str)), None)


def _of_json(content: object, place: str, origin: Input) -> Input:
    """The document of one value: a text, or an object with one of TEXT_NAMES or an "html"."""
    if isinstance(content, str):
        return _document({}, content, place, origin)
    if not isinstance(content, dict):
        return origin._replace(reason="bad_json")
    metadata = content.get("metadata")
    names = content | metadata if isinstance(metadata, dict) else content
    about = {str(name).lower(): value for name, value in names.items() if isinstance(value, str)}
    name, html = _text_name(content), content.get("html")
    if isinstance(html, str) and not (name and content[name].strip()):
        page = _document(about, "", place, origin)
        return page._replace(html=html.encode("utf-8", "replace"), charset="utf-8", reason="")
    found = _document(about, content[name] if name else "", place, origin)
    return found if name or content.get("text") is None else found._replace(reason="text_is_no_string")


def _document(about: dict[str, str], text: str, place: str, origin: Input) -> Input:
    known = {field: next((strip_control(about[name])[:2000] for name in names if about.get(name)), "")
             for field, names in ABOUT.items()}
    if "://" not in known["url"]:
        known["url"] = origin.at(place) if place else origin.url
    if not ISO_TIME.fullmatch(known["fetched_at"]):
        known["fetched_at"] = origin.fetched_at
    stated = one_line(strip_control(about.get("license", "")[:MOST_CHARS]))
    found = origin._replace(text=strip_control(text.replace("\r\n", "\n")), license=of_text(stated) or stated,
                            split=SPLITS.get(about.get("split", ""), ""), reason="" if text.strip() else "no_text")
    return found._replace(**known)  # type: ignore[arg-type]  # fields of text alone
