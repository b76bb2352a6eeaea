"""Logging: messages to stderr, and with their times to data/run.log."""

import contextlib
import logging
import os
from pathlib import Path
from urllib.parse import quote

from miniature_memory.core.process import LOCK_FD_VARIABLE

HIDE_BARS_VARIABLE = "MINIATURE_MEMORY_HIDE_BARS"  # set by --quiet
LOG_BYTES, LOG_FILES = 5_000_000, 3
# The first parts of our loggers' names
OURS = {"__main__", "miniature_memory", "run", "search", "scrape", "extract", "validate", "clean", "prepare", "train",
        "sample"}
DETAIL = 15  # a level between DEBUG and INFO: for the log file alone
_secrets: set[str] = set()


def print_messages(quiet: bool) -> None:
    """Log to stderr alone, for a script that is no stage of a root; quiet: errors only, and no progress bars."""
    if quiet:
        os.environ[HIDE_BARS_VARIABLE] = "1"
    logging.basicConfig(level=logging.ERROR if quiet else logging.INFO, format="%(message)s", force=True)


def hide(secret: str) -> None:
    """Show "[key]" instead of `secret` in whatever is logged from now on, tracebacks included."""
    _secrets.update((secret, quote(secret, safe="")))


class _Masking(logging.Formatter):
    """The last resort: nothing is meant to log a key in the first place."""

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        for secret in sorted(_secrets, key=len, reverse=True):
            text = text.replace(secret, "[key]")
        return text


def start_logging(root: Path | None, quiet: bool) -> None:
    """Log to stderr and to data/run.log. Only run.py's own start, or that of a stage run alone, rotates the file.

    root: None leaves the file to another process.
    """
    if quiet:
        os.environ[HIDE_BARS_VARIABLE] = "1"
    path = root / "data" / "run.log" if root else Path(os.devnull)
    with contextlib.suppress(OSError):
        if LOCK_FD_VARIABLE not in os.environ and path.stat().st_size > LOG_BYTES:
            for n in range(LOG_FILES - 1, 0, -1):
                older = path.with_name(f"run.log.{n}")
                (path.with_name(f"run.log.{n - 1}") if n > 1 else path).replace(older)
    screen = logging.StreamHandler()
    screen.setLevel(logging.ERROR if quiet else logging.INFO)
    screen.setFormatter(_Masking("%(message)s"))
    handlers: list[logging.Handler] = [screen]
    with contextlib.suppress(OSError):
        file = logging.FileHandler(path, encoding="utf-8")
        file.setFormatter(_Masking("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        handlers.append(file)
    logging.raiseExceptions = False  # a log that cannot be written, on a full disk, is no reason for tracebacks
    for handler in handlers:
        handler.addFilter(_is_ours_or_a_warning)
    logging.addLevelName(DETAIL, "DETAIL")
    logging.basicConfig(level=DETAIL, handlers=handlers, force=True)


def _is_ours_or_a_warning(record: logging.LogRecord) -> bool:
    """Libraries may warn, but their progress is noise."""
    return record.levelno >= logging.WARNING or record.name.partition(".")[0] in OURS
