"""When search has asked a host last, so that scrape, which begins right after it, keeps the host's delay, too."""

import time

from miniature_memory.storage.catalog import Catalog

ASKED = "search.asked"  # state: host -> the time of the last answer, of those that were asked within the last minutes
KEPT_SEC = 600.0  # guess: longer than most delays


def note(catalog: Catalog, host: str) -> None:
    """The host has just answered, or failed to; within a record() block."""
    now = time.time()
    recent = {name: at for name, at in catalog.state(ASKED, {}).items() if now - KEPT_SEC < at <= now}
    catalog.set_state(ASKED, {**recent, host: now})


def clear(catalog: Catalog) -> None:
    """Within a record() block: names of hosts go when one of them is forgotten."""
    catalog.set_state(ASKED, {})


def seconds_since(catalog: Catalog) -> dict[str, float]:
    """Of each host that was asked lately; of no time in the future, which says that the clock was wrong."""
    now = time.time()
    return {name: now - at for name, at in catalog.state(ASKED, {}).items() if at <= now}
