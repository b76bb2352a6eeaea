"""Handover: the addresses that this shard has found and other shards crawl, in a file that people carry there.

Search results, feeds, sitemaps and redirects lead to hosts of all shards. What belongs to another shard is kept in the
catalog, never due, and written to data/handover.jsonl: one JSON object per line, the oldest first. Each shard may take
the files of all others, any number of times: it skips what it knows, and what is not its own.
"""

import json
import logging
import re
import shlex
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from miniature_memory.core.errors import StageError
from miniature_memory.core.paths import shown, unreadable
from miniature_memory.core.text import counted, strip_control
from miniature_memory.crawl.urls import MAX_URL_CHARS, browser_url
from miniature_memory.storage import shards, urls
from miniature_memory.storage.catalog import Catalog
from miniature_memory.storage.files import write_aside
from miniature_memory.storage.urls import Foreign

logger = logging.getLogger(__name__)

FILE = "data/handover.jsonl"
MAX_LINE_BYTES = 8 * MAX_URL_CHARS  # two addresses, of which JSON may escape each character
MAX_DEPTH = 1000  # guess


def write(catalog: Catalog) -> None:
    """Write the file again, if this root is a shard."""
    if not (shard := shards.of(catalog)):
        return
    catalog.commit()
    lines = (json.dumps(one._asdict(), ensure_ascii=False).encode() + b"\n" for one in urls.foreign(catalog))
    write_aside(catalog.root / FILE, lines)
    logger.info("shard %s: %s for other shards in %s", shard, counted(urls.count_foreign(catalog), "URL"),
                shown(catalog.root / FILE))


def read(paths: Iterable[Path]) -> Iterator[Foreign]:
    """The addresses in such files. Raises StageError if a file cannot be read or has lines, and none is an address."""
    for path in paths:
        n_good = n_bad = 0
        try:
            with open(path, "rb") as stream:
                while line := stream.readline(MAX_LINE_BYTES):
                    if found := _foreign(line):
                        n_good += 1
                        yield found
                    else:
                        n_bad += bool(line.strip())
        except OSError as error:
            raise unreadable(path, error, f"a file that another shard wrote as {FILE}") from None
        if n_bad and not n_good:
            raise StageError(f"{shown(path)} contains no address ({counted(n_bad, 'line')} in another format).",
                             f"a file that another shard wrote as {FILE}.",
                             f"head -n 1 {shlex.quote(shown(path))} shows what it is; addresses of your own go into "
                             "config/seeds.txt.")
        if n_bad:
            logger.warning("%s: ignored %s without an address", shown(path), counted(n_bad, "line"))


def _foreign(line: bytes) -> Foreign | None:
    """The address of a line; None if it is of another form."""
    try:
        value: Any = json.loads(line)
        url, source, query, depth, is_list = (value[name] for name in Foreign._fields)
    except (ValueError, LookupError, TypeError, RecursionError):
        return None
    if not (isinstance(url, str) and isinstance(source, str) and isinstance(query, str) and type(is_list) is bool):
        return None
    url = browser_url(url)
    if not (url and re.fullmatch(r"[\w-]{1,60}", source) and type(depth) is int and 0 <= depth <= MAX_DEPTH):
        return None
    return Foreign(url, source, strip_control(query)[:MAX_URL_CHARS], depth, is_list)
