"""Back-offs: providers and hosts that refused or failed, and are paused until a time. Each repeat doubles it."""

import math
import time
from typing import NamedTuple

from miniature_memory.storage.catalog import Catalog

PROVIDER, HOST = "provider", "host"  # kinds


class Backoff(NamedTuple):
    until: float  # epoch seconds
    reason: str
    repeats: int  # in a row


def get(catalog: Catalog, kind: str, name: str) -> Backoff | None:
    """The last back-off, which may be over, unless it was cleared."""
    row = catalog.execute("SELECT until, reason, repeats FROM backoffs WHERE kind = ? AND name = ?",
                          [kind, name]).fetchone()
    return Backoff(*row) if row else None


def extend(catalog: Catalog, kind: str, name: str, base_sec: float, reason: str, at_least_sec: float = 0.0,
           at_most_sec: float = math.inf) -> float:
    """Pause it for `base_sec`, twice that the next time, and so on, within a record() block.

    Returns the seconds; never less than `at_least_sec` (which it asked for), never more than `at_most_sec`.
    """
    known = get(catalog, kind, name)
    repeats = known.repeats if known else 0
    seconds = min(max(base_sec * 2.0 ** min(repeats, 30), at_least_sec), at_most_sec)
    catalog.execute("INSERT OR REPLACE INTO backoffs (kind, name, until, reason, repeats) VALUES (?, ?, ?, ?, ?)",
                    [kind, name, time.time() + seconds, reason, repeats + 1])
    return seconds


def clear(catalog: Catalog, kind: str, name: str) -> None:
    """It answered: the next back-off begins at its base again. Within a record() block."""
    catalog.execute("DELETE FROM backoffs WHERE kind = ? AND name = ?", [kind, name])


def active(catalog: Catalog, kind: str, now: float) -> dict[str, Backoff]:
    """Who is paused now, by name; those whose pause ends first are first."""
    return {name: Backoff(*backoff) for name, *backoff in catalog.execute(
        "SELECT name, until, reason, repeats FROM backoffs WHERE kind = ? AND until > ? ORDER BY until, name",
        [kind, now])}
