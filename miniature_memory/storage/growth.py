"""The table growth: how long the bins were after each growth step."""

from __future__ import annotations

from typing import NamedTuple

from miniature_memory.core.text import timestamp
from miniature_memory.storage.catalog import Catalog


class GrowthStep(NamedTuple):
    """The bins after a growth step; all counts are cumulative."""

    step: int
    at: str
    documents: int
    train_tokens: int
    val_tokens: int


def steps(catalog: Catalog, last: int = 1 << 62) -> list[GrowthStep]:
    """The last growth steps, oldest first."""
    rows = catalog.execute("SELECT step, at, documents, train_tokens, val_tokens FROM growth ORDER BY step DESC LIMIT ?",
                           [last]).fetchall()
    return [GrowthStep(*row) for row in reversed(rows)]


def last_step(catalog: Catalog) -> GrowthStep | None:
    return next(iter(steps(catalog, last=1)), None)


def add_step(catalog: Catalog, documents: int, train_tokens: int, val_tokens: int) -> None:
    """Add a step, within a record() block."""
    catalog.execute("INSERT INTO growth (at, documents, train_tokens, val_tokens) VALUES (?, ?, ?, ?)",
                    [timestamp(), documents, train_tokens, val_tokens])


def clear(catalog: Catalog) -> None:
    """Forget all steps, within a record() block: the bins are rebuilt."""
    catalog.execute("DELETE FROM growth")
