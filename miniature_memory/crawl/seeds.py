"""config/queries.txt and config/seeds.txt."""

import logging
import shlex
from pathlib import Path
from typing import NamedTuple

from miniature_memory.core.errors import StageError
from miniature_memory.core.paths import shown
from miniature_memory.core.text import strip_control
from miniature_memory.crawl.urls import browser_url

logger = logging.getLogger(__name__)


class Seed(NamedTuple):
    kind: str  # page, feed or sitemap
    url: str


def read_lines(path: Path) -> list[str]:
    """The lines of a text file except comments and empty ones. Raises StageError if it is not UTF-8."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        return []
    except UnicodeDecodeError as error:
        name, new = shlex.quote(shown(path)), shlex.quote(f"{shown(path)}.new")
        raise StageError(f"{shown(path)} is not UTF-8: byte {error.start} is {error.object[error.start]:#04x}.",
                         "a UTF-8 text file.", "save it as UTF-8 in your editor, or convert it: "
                         f"iconv -f WINDOWS-1252 -t UTF-8 {name} > {new} && mv {new} {name}") from None
    lines = (strip_control(line).strip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def read_seeds(path: Path) -> list[Seed]:
    seeds = []
    for line in read_lines(path):
        kind, _, url = line.partition(" ")
        if kind in ("page", "feed", "sitemap") and browser_url(url):
            seeds.append(Seed(kind, browser_url(url)))
        else:
            logger.warning("%s: %r is not a seed and is ignored. Expected: page, feed or sitemap, a space, and a web "
                           "address.", shown(path), line)
    return seeds
