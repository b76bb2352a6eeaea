"""Paid queries: how many this user has sent to engines with a key, by month, over all roots: a key has one bill.

They are counted in a small database in the user's own folder for state, and in no root's catalog. Each query is
committed before its request is sent, so that the limit holds through kills, power cuts and several runs at once; one
that was counted and never sent stays counted. Setting the clock back does not begin an earlier month again.
"""

import contextlib
import os
import shlex
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

from miniature_memory.core.errors import StageError
from miniature_memory.core.paths import new_folder, shown

WAIT_SEC = 5.0  # for another run, which holds the database for milliseconds
TABLE = """
CREATE TABLE IF NOT EXISTS paid_queries (
    month TEXT NOT NULL, engine TEXT NOT NULL, sent INTEGER NOT NULL, PRIMARY KEY (month, engine)) WITHOUT ROWID"""


def path() -> Path:
    """Where they are counted: in $XDG_STATE_HOME, which must be absolute as its specification says, or its default."""
    folder = os.environ.get("XDG_STATE_HOME", "")
    try:
        state = Path(folder) if os.path.isabs(folder) else Path.home() / ".local/state"
    except RuntimeError:
        raise StageError("Paid queries cannot be counted: this user has no home folder.", "a folder to count them in.",
                         "name one with export XDG_STATE_HOME=DIR") from None
    return state / "miniature-memory" / "paid_queries.sqlite3"


def this_month() -> str:
    """In UTC, such as 2026-11."""
    return time.strftime("%Y-%m", time.gmtime())


def used() -> dict[str, int]:
    """The queries of this month by engine."""
    return month_used()[1]


def month_used() -> tuple[str, dict[str, int]]:
    """The month that is counted, and its queries by engine."""
    if not os.path.exists(path()):
        return this_month(), {}
    with _open() as db:
        if not db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            return this_month(), {}  # a run was killed before it had counted anything
        month = _month(db)
        return month, dict(db.execute("SELECT engine, sent FROM paid_queries WHERE month = ? ORDER BY engine",
                               [month]).fetchall())


def take(engine: str, limit: int) -> bool:
    """Count one query that is about to be sent. False if `limit` queries of this month have been counted already."""
    with _open() as db:
        db.execute("BEGIN IMMEDIATE")  # until COMMIT, no other run reads or counts
        db.execute(TABLE)
        month = _month(db)
        (sent,) = db.execute("SELECT coalesce(sum(sent), 0) FROM paid_queries WHERE month = ?", [month]).fetchone()
        if sent >= limit:
            return False
        db.execute("INSERT INTO paid_queries VALUES (?, ?, 1) ON CONFLICT DO UPDATE SET sent = sent + 1",
                   [month, engine])
        db.execute("COMMIT")
        return True


def _month(db: sqlite3.Connection) -> str:
    """This month, or the last one that was counted if that is later."""
    (last,) = db.execute("SELECT max(month) FROM paid_queries").fetchone()
    return max(this_month(), last or "")


@contextlib.contextmanager
def _open() -> Iterator[sqlite3.Connection]:
    """Raises StageError where the database cannot be used."""
    try:
        new_folder(path().parent, 0o700)
        with contextlib.closing(sqlite3.connect(path(), timeout=WAIT_SEC, isolation_level=None)) as db:
            db.execute("PRAGMA synchronous = EXTRA")  # what is committed survives a power cut
            yield db
    except (OSError, sqlite3.Error) as error:
        name = shlex.quote(shown(path()))
        raise StageError(f"{name}, which counts paid queries, cannot be used ({error}).",
                         "a file that this user may write; without it, no engine with a key is asked.",
                         f"see whose it is with ls -ld {name}. If it is damaged, mv {name} {name}.damaged begins to "
                         "count again at 0.") from None
