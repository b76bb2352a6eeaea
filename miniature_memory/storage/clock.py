"""Clock: a system's clock may be ahead until it is set right. What was noted meanwhile has times in the future, which
count as unknown: pages, robots.txt and queries are due again, and no back-off lasts.

All SQL here is that of the catalog that is being opened or committed.
"""

import json
import logging
import sqlite3
import time

logger = logging.getLogger(__name__)

KEY = "clock"  # of the state: the last time at which anything was committed
DAY_SEC = 24 * 3600.0
TOLERANCE_SEC = 2 * DAY_SEC  # a shorter lead is soon over, and small machines boot with a clock that is behind
LONGEST_WAIT_SEC = 90 * DAY_SEC  # from one visit to the next (crawl/frontier.py)
FORGET = (
    "UPDATE urls SET due_at = :now WHERE due_at > :now "
    "AND (due_at > :now + :longest_wait OR fetched_at > :now OR found_at > :now)",
    "UPDATE urls SET found_at = :now WHERE found_at > :now",
    "UPDATE urls SET fetched_at = :now WHERE fetched_at > :now",
    "UPDATE hosts SET robots = NULL, robots_at = NULL WHERE robots_at > :now",
    "UPDATE answers SET asked_at = 0 WHERE asked_at > :now",
    "UPDATE backoffs SET until = :now WHERE until > :now",
)


def note(db: sqlite3.Connection) -> None:
    """Within the transaction of a group."""
    db.execute("INSERT OR REPLACE INTO state VALUES (?, ?)", [KEY, json.dumps(time.time())])


def forget_the_future(db: sqlite3.Connection) -> None:
    """Forget times that are still in the future, if there are any."""
    row, now = db.execute("SELECT value FROM state WHERE key = ?", [KEY]).fetchone(), time.time()
    ahead_sec = json.loads(row[0]) - now if row else 0.0
    if ahead_sec <= TOLERANCE_SEC:
        return
    db.execute("BEGIN IMMEDIATE")
    for statement in FORGET:
        db.execute(statement, {"now": now, "longest_wait": LONGEST_WAIT_SEC})
    note(db)
    db.execute("COMMIT")
    logger.warning("this system's clock was %.0f days ahead in an earlier run; what was noted then counts as unknown: "
                   "its pages, robots.txt and queries are due again", ahead_sec / DAY_SEC)
