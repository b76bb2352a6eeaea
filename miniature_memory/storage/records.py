"""Records: rows of any table that name bytes of a file. What an audit reads of them, and what a repair changes."""

import sqlite3
import time
from typing import NamedTuple

from miniature_memory.storage import clean_documents, duplicates
from miniature_memory.storage.catalog import LAST, Catalog
from miniature_memory.storage.documents import DAMAGED
from miniature_memory.storage.rejections import REJECTED

TABLES = {"data/raw": "documents", "data/clean": "clean_documents", "data/pages": "pages"}
READS = {"extract": "pages", "yields": "pages", "validate": "documents", "clean": "documents",
         "prepare": "clean_documents"}


class Extent(NamedTuple):
    """Bytes that one commit appended to a file."""

    offset: int
    length: int
    crc32: int


class Rows(NamedTuple):
    """Some rows of one table."""

    table: str
    where: str
    parameters: list[object]


def damage(catalog: Catalog) -> str:
    """The first thing that SQLite's own check finds wrong with the database; "" if there is none."""
    answer = str(catalog.value("PRAGMA integrity_check(1)"))
    return "" if answer == "ok" else answer


def files(catalog: Catalog) -> list[tuple[str, int]]:
    """(path, committed length) of every file, but for the list of the rejected, which a person may remove."""
    return [tuple(row) for row in catalog.execute(
        "SELECT path, length FROM files WHERE NOT dropped AND path != ? ORDER BY path", [REJECTED])]


def extents(catalog: Catalog, path: str, end: int) -> list[Extent]:
    """The extents of a file that begin before `end`, in order."""
    return [Extent(*row) for row in catalog.execute(
        "SELECT offset, length, crc32 FROM extents WHERE path = ? AND offset < ? ORDER BY offset", [path, end])]


def table_of(path: str) -> str:
    """The table whose rows name bytes of the file `path`; '' if there is none."""
    return TABLES.get(path.rpartition("/")[0], "")


def one(table: str, row: sqlite3.Row) -> Rows:
    return Rows(table, "seq = ?", [row["seq"]])


def touching(path: str, offset: int, end: int = LAST) -> Rows:
    """The rows whose records have bytes of the file `path` between `offset` and `end`."""
    return Rows(table_of(path), "file = ? AND offset < ? AND offset + length > ?", [path, end, offset])


def count(catalog: Catalog, rows: Rows) -> int:
    return int(catalog.value(f"SELECT count(*) FROM {rows.table} WHERE {rows.where}", rows.parameters))


def last(catalog: Catalog, table: str) -> int:
    """The sequence number of the last row; 0 if there is none."""
    return catalog.value(f"SELECT max(seq) FROM {table}") or 0


def end_of_last_whole(catalog: Catalog, path: str, length: int) -> int:
    """Where the last record of a file ends that is within its first `length` bytes."""
    table = table_of(path)
    whole = f"AND validation != '{DAMAGED}'" if table == "documents" else ""
    return catalog.value(f"SELECT max(offset + length) FROM {table} WHERE file = ? AND offset + length <= ? {whole}",
                         [path, length]) or 0


def pass_over(catalog: Catalog, rows: Rows) -> None:
    """Let no stage read these rows' records again, within a record() block."""
    if rows.table == "documents":
        catalog.execute(f"UPDATE documents SET validation = '{DAMAGED}' WHERE {rows.where}", rows.parameters)
        return
    if rows.table == "pages":  # what extract has not read yet is fetched again
        catalog.execute("UPDATE urls SET due_at = ?, etag = '', last_modified = '', payload_hash = '' WHERE id IN "
                        f"(SELECT url_id FROM pages WHERE {rows.where} AND seq > ?)",
                        [time.time(), *rows.parameters, catalog.cursor("extract")])
    delete(catalog, rows)


def delete(catalog: Catalog, rows: Rows) -> None:
    """Delete rows, within a record() block: no stage finds their records any more."""
    if rows.table == "pages":
        catalog.execute(f"UPDATE documents SET page = NULL WHERE page IN (SELECT seq FROM pages WHERE {rows.where})",
                        rows.parameters)
    if rows.table == "clean_documents":
        duplicates.forget(catalog, rows.where, rows.parameters)
        clean_documents.begin_generation(catalog)
    catalog.execute(f"DELETE FROM {rows.table} WHERE {rows.where}", rows.parameters)
    for stage in (stage for stage, table in READS.items() if table == rows.table):  # seq continues from the last row
        catalog.execute("UPDATE cursors SET seq = min(seq, ?) WHERE stage = ?", [last(catalog, rows.table), stage])
