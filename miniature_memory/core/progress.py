"""Progress: on a terminal a bar with its rate and the time left; elsewhere (in a log, under cron) a line per minute."""

import io
import logging
import os
import sys
from collections.abc import Iterable
from typing import Any

from tqdm import tqdm

from miniature_memory.core.log import HIDE_BARS_VARIABLE
from miniature_memory.core.text import strip_control

logger = logging.getLogger(__name__)

LINE_SEC = 60.0  # from one line to the next
LINE = "{desc}: {percentage:.0f} % of {total_fmt}{unit}, {rate_fmt}, {remaining} left"
LINE_WITHOUT_TOTAL = "{desc}: {n_fmt}{unit}, {rate_fmt}"


class Progress(tqdm):  # type: ignore[type-arg]  # tqdm is generic in its types alone
    """tqdm that also works without a terminal. No colors; with --quiet, nothing."""

    monitor_interval = 0  # no thread: with miniters at 0 each step may show itself

    def __init__(self, iterable: Iterable[Any] | None = None, desc: str = "", total: float | None = None,
                 **kwargs: Any) -> None:
        self.is_bar = sys.stderr.isatty()
        if not self.is_bar:
            line = kwargs.get("bar_format", LINE).replace("|{bar}|", "")
            kwargs |= {"bar_format": line, "file": io.StringIO(), "mininterval": LINE_SEC, "delay": LINE_SEC,
                       "leave": False}
        super().__init__(iterable, desc, total, miniters=0, disable=bool(os.environ.get(HIDE_BARS_VARIABLE)), **kwargs)
        if not self.is_bar and not self.disable and self.total is None:
            self.bar_format = LINE_WITHOUT_TOTAL

    def display(self, msg: str | None = None, pos: int | None = None) -> None:
        if self.is_bar:
            super().display(msg, pos)
        elif msg is None:  # else tqdm clears it
            logger.info("%s", strip_control(str(self)))
