"""Clean documents: what clean kept, in raw order."""

from __future__ import annotations

import sqlite3

from miniature_memory.storage.append_log import Place
from miniature_memory.storage.catalog import Catalog


def add(catalog: Catalog, document_id: str, place: Place, text_bytes: int) -> int:
    """Add a document that was kept, within a record() block. Returns its sequence number."""
    return catalog.execute("INSERT INTO clean_documents (id, file, offset, length, text_bytes) VALUES (?, ?, ?, ?, ?)",
                           [document_id, *place, text_bytes]).lastrowid or 0


def count(catalog: Catalog) -> int:
    return int(catalog.value("SELECT count(*) FROM clean_documents"))


def has(catalog: Catalog, document_id: str) -> bool:
    return catalog.value("SELECT 1 FROM clean_documents WHERE id = ?", [document_id]) is not None


def find(catalog: Catalog, document_id: str) -> sqlite3.Row | None:
    row: sqlite3.Row | None = catalog.execute("SELECT * FROM clean_documents WHERE id = ?", [document_id]).fetchone()
    return row
