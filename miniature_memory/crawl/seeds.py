"""config/queries.txt and config/seeds.txt."""

import codecs
import logging
import re
import shlex
from pathlib import Path
from typing import NamedTuple

from miniature_memory.core.errors import StageError
from miniature_memory.core.paths import shown
from miniature_memory.core.text import strip_control
from miniature_memory.crawl.urls import browser_url

logger = logging.getLogger(__name__)

UNKNOWN = "unknown"  # the kind of a seed that is only an address: asking for it tells
_KIND = re.compile(r"(page|feed|sitemap)(?:\s+|:\s+|:(?=https?:|//))", re.IGNORECASE)
_AROUND = "<>\"'\ufeff\u200b\u200e\u200f\u2060"  # an address that was copied
_HOST_FIRST = re.compile(r"(//)?([^\W_]([\w-]*[^\W_])?\.)+[^\W\d_]{2,}\.?(:\d+)?([/?#]|$)")


class Seed(NamedTuple):
    kind: str  # page, feed, sitemap or UNKNOWN
    url: str


def read_lines(path: Path) -> list[str]:
    """The lines of a text file except comments and empty ones. Raises StageError if it is not UTF-8."""
    return [line for _, line in _numbered_lines(path)]


def read_seeds(path: Path) -> list[Seed]:
    """The seeds of a list. Raises StageError if it has lines and none of them is a seed."""
    seeds, bad = [], []
    for number, line in _numbered_lines(path):
        seed = seed_of(line)
        if seed:
            seeds.append(seed)
        else:
            bad.append(f"line {number}: {line[:200]!r}")
    if bad and not seeds:
        more = f", and {len(bad) - 3} more" if len(bad) > 3 else ""
        raise StageError(f"No line of {shown(path)} is a seed ({'; '.join(bad[:3])}{more}).",
                         "one web address per line, such as https://example.org/blog.",
                         "correct its lines, or delete them to search by queries alone.")
    for line in bad:
        logger.warning("%s, %s is not a seed and is ignored. Expected: a web address, alone or behind page, feed or "
                       "sitemap. Fix: correct the line, or put # before it.", shown(path), line)
    return seeds


def seed_of(line: str) -> Seed | None:
    """The seed of a line; None if it is none.

    An address is a seed; page, feed or sitemap before it says what it is. Without a scheme it is read as https. Quotes
    may stand around it. Behind the address, # begins a comment.
    """
    line = line.strip(_AROUND)
    kind = _KIND.match(line)
    address, _, rest = line[kind.end() if kind else 0:].partition(" ")
    if rest.strip() and not rest.strip().startswith("#"):
        return None
    address = address.strip(_AROUND)
    if _HOST_FIRST.match(address):
        address = "https://" + address.removeprefix("//")
    url = browser_url(address)
    return Seed(kind[1].lower() if kind else UNKNOWN, url) if url else None


def _numbered_lines(path: Path) -> list[tuple[int, str]]:
    try:
        data = path.read_bytes()
        text = data.decode("utf-8-sig")
    except FileNotFoundError:
        return []
    except UnicodeDecodeError as error:
        encoding = "UTF-16" if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "WINDOWS-1252"
        name, new = shlex.quote(shown(path)), shlex.quote(f"{shown(path)}.new")
        raise StageError(f"{shown(path)} is not UTF-8: byte {error.start} is {error.object[error.start]:#04x}.",
                         "a UTF-8 text file.", "save it as UTF-8 in your editor, or convert it: "
                         f"iconv -f {encoding} -t UTF-8 {name} > {new} && mv {new} {name}") from None
    lines = (strip_control(line.expandtabs(1)).strip() for line in text.splitlines())
    return [(number, line) for number, line in enumerate(lines, 1) if line and not line.startswith("#")]
