"""Growth: how long the bins were after each growth step."""

from __future__ import annotations

from miniature_memory.storage.catalog import Catalog


def last_tokens(catalog: Catalog) -> tuple[int, int] | None:
    """(train tokens, val tokens) after the last growth step, or None."""
    row = catalog.execute("SELECT train_tokens, val_tokens FROM growth ORDER BY step DESC LIMIT 1").fetchone()
    return tuple(row) if row else None


def add(catalog: Catalog, at: str, documents: int, train_tokens: int, val_tokens: int) -> None:
    """Within a record() block."""
    catalog.execute("INSERT INTO growth (at, documents, train_tokens, val_tokens) VALUES (?, ?, ?, ?)",
                    [at, documents, train_tokens, val_tokens])
