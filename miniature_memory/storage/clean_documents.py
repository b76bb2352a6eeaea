"""Clean documents: what clean kept, in raw order."""

import contextlib
import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from miniature_memory.core.errors import StageError
from miniature_memory.storage.catalog import Catalog
from miniature_memory.storage.record_reader import Place

SPLITS = ("train", "val")
GENERATION = "clean.generation"  # state


def split_of(document_id: str) -> str:
    """"val" for one document in twenty, by its id alone, so that the split holds for good."""
    return "val" if int(document_id[:8], 16) % 1000 < 50 else "train"


def drawn_split(row: sqlite3.Row | Mapping[str, Any]) -> str:
    """The split of a clean document that was decided before, or else by its id."""
    return row["split"] or split_of(row["id"])


def add(catalog: Catalog, document_id: str, place: Place, text_bytes: int, split: str = "") -> int:
    """Add a document that was kept, within a record() block. Returns its sequence number.

    split: of SPLITS, if the document came with one; else prepare decides.
    """
    split = split if split in SPLITS else ""
    return catalog.execute("INSERT INTO clean_documents (id, file, offset, length, text_bytes, split) "
                           "VALUES (?, ?, ?, ?, ?, ?)", [document_id, *place, text_bytes, split]).lastrowid or 0


def count(catalog: Catalog) -> int:
    return int(catalog.value("SELECT count(*) FROM clean_documents"))


def find(catalog: Catalog, document_id: str) -> sqlite3.Row | None:
    row: sqlite3.Row | None = catalog.execute("SELECT * FROM clean_documents WHERE id = ?", [document_id]).fetchone()
    return row


def at(catalog: Catalog, seq: int) -> sqlite3.Row | None:
    row: sqlite3.Row | None = catalog.execute("SELECT * FROM clean_documents WHERE seq = ?", [seq]).fetchone()
    return row


def read(catalog: Catalog, document_id: str) -> dict[str, Any] | None:
    """A clean document; None if it is not there any more, or damaged, which is for an audit to report."""
    row = find(catalog, document_id)
    return read_row(catalog, row) if row else None


def read_row(catalog: Catalog, row: sqlite3.Row) -> dict[str, Any] | None:
    """The same of a row; None if it is damaged."""
    with contextlib.suppress(StageError, ValueError, LookupError, TypeError, RecursionError):
        document: dict[str, Any] = json.loads(catalog.read(row["file"], row["offset"], row["length"]))
        if document["id"] == row["id"] and document["text"] + document["metadata"]["title"]:
            return document
    return None


def sizes_of_training(catalog: Catalog) -> list[tuple[int, int]]:
    """(sequence number, bytes of text) of the documents that are not held out for validation, in the order of the
    training text."""
    return [tuple(row) for row in catalog.execute(
        "SELECT seq, text_bytes FROM clean_documents WHERE split != 'val' ORDER BY seq")]


def read_at(catalog: Catalog, seq: int) -> dict[str, Any] | None:
    """The clean document of this sequence number, as read() does."""
    row = at(catalog, seq)
    return read_row(catalog, row) if row else None


def generation(catalog: Catalog) -> int:
    """A number that changes when clean documents are removed or replaced, but not when some are added."""
    return int(catalog.state(GENERATION, 0))


def begin_generation(catalog: Catalog) -> None:
    """Within a record() block."""
    catalog.set_state(GENERATION, generation(catalog) + 1)


def newest_urls(catalog: Catalog, most: int) -> list[str]:
    """Where the documents that were kept last come from."""
    return [url for (url,) in catalog.execute(
        "SELECT url FROM (SELECT id FROM clean_documents ORDER BY seq DESC LIMIT ?) JOIN documents USING (id)", [most])]


class Totals(NamedTuple):
    documents: int
    text_bytes: int
    last_seq: int


def totals(catalog: Catalog) -> Totals:
    """Reads all rows, so it takes longer the more there are."""
    return Totals(*catalog.execute("SELECT count(*), coalesce(sum(text_bytes), 0), coalesce(max(seq), 0) "
                                   "FROM clean_documents").fetchone())


def are_there_any(catalog: Catalog) -> bool:
    return bool(catalog.value("SELECT 1 FROM clean_documents LIMIT 1"))


def in_order(catalog: Catalog) -> Iterator[sqlite3.Row]:
    return catalog.rows_after(0, "clean_documents")


def by_id(catalog: Catalog) -> sqlite3.Cursor:
    return catalog.execute("SELECT * FROM clean_documents ORDER BY id")


def last_by_id(catalog: Catalog) -> int:
    """The sequence number of the document with the highest id."""
    return int(catalog.value("SELECT seq FROM clean_documents ORDER BY id DESC LIMIT 1"))


def read_text(catalog: Catalog, row: sqlite3.Row) -> str:
    """The text of a clean document. Raises StageError if it is not as it was written."""
    text: str = read_whole(catalog, row)["text"]
    return text


def read_whole(catalog: Catalog, row: sqlite3.Row) -> dict[str, Any]:
    """A clean document. Raises StageError if it is not as it was written: by the checksum of its extent, or where there
    is none, by its line."""
    place = Place(row["file"], row["offset"], row["length"])
    catalog.log.reader.verify(place)
    try:
        document: dict[str, Any] = json.loads(catalog.read(*place))
        if len(document["text"].encode()) == row["text_bytes"]:
            return document
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        pass
    raise catalog.log.reader.changed(f"{place.file}, byte {place.offset}: the document {row['id']} has changed "
                                     "since it was written.")


def set_splits(catalog: Catalog, splits: Iterable[tuple[int, str]]) -> None:
    """Store (sequence number, "train" or "val") pairs for good, within a record() block."""
    catalog.db.executemany("UPDATE clean_documents SET split = ? WHERE seq = ?",
                           [(split, seq) for seq, split in splits])


def set_missing_splits(catalog: Catalog, split_of: Callable[[str], str]) -> None:
    """Store the split that `split_of` gives an id where none is stored yet, within a record() block."""
    catalog.db.create_function("split_of", 1, split_of, deterministic=True)
    catalog.execute("UPDATE clean_documents SET split = split_of(id) WHERE split = ''")
