"""Clean documents: what clean kept, in raw order."""

from __future__ import annotations

from miniature_memory.storage.catalog import Catalog


def count(catalog: Catalog) -> int:
    return int(catalog.value("SELECT count(*) FROM clean_documents"))


def has(catalog: Catalog, document_id: str) -> bool:
    return catalog.value("SELECT 1 FROM clean_documents WHERE id = ?", [document_id]) is not None
