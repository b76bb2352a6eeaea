"""Counts: what status and report print of the whole dataset."""

from __future__ import annotations

from miniature_memory.storage.catalog import Catalog


def bytes_by_folder(catalog: Catalog) -> dict[str, int]:
    """Committed bytes of each folder or file of data/."""
    return dict(catalog.execute("SELECT substr(path, 6, instr(substr(path, 6) || '/', '/') - 1), sum(length) "
                                "FROM files WHERE NOT dropped GROUP BY 1").fetchall())
