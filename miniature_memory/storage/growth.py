"""Growth: how long the bins were after each growth step."""

from typing import NamedTuple

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
    rows = catalog.execute("SELECT step, at, documents, train_tokens, val_tokens FROM growth "
                           "ORDER BY step DESC LIMIT ?", [last])
    return [GrowthStep(*row) for row in rows][::-1]


def last_tokens(catalog: Catalog) -> tuple[int, int] | None:
    """(train tokens, val tokens) after the last growth step, or None."""
    found = steps(catalog, last=1)
    return (found[0].train_tokens, found[0].val_tokens) if found else None


def add(catalog: Catalog, at: str, documents: int, train_tokens: int, val_tokens: int) -> None:
    """Within a record() block."""
    catalog.execute("INSERT INTO growth (at, documents, train_tokens, val_tokens) VALUES (?, ?, ?, ?)",
                    [at, documents, train_tokens, val_tokens])


def clear(catalog: Catalog) -> None:
    """Forget all steps, since the bins are rebuilt, within a record() block."""
    catalog.execute("DELETE FROM growth")
