"""Inputs: pages and texts that did not come from the crawl: local files and standard input; archives.py has WARC files.

Read as streams, one page at a time.
A new kind of file is a line in file_kinds.py.
"""

import errno
import io
import logging
import os
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from miniature_memory.core.interpreter import setup_command
from miniature_memory.core.paths import shown, unreadable
from miniature_memory.core.text import timestamp
from miniature_memory.extraction.file_kinds import (
    ENDINGS,
    NEEDS,
    ending_of,
    is_hidden,
    read_html,
    read_safely,
    read_text,
)
from miniature_memory.extraction.reading import MAX_BYTES, Input, address_of, mark_of

logger = logging.getLogger(__name__)

LOOKS_LIKE_HTML = re.compile(rb"\s*+(?:\xef\xbb\xbf\s*+)?<(!doctype|html|\?xml|head|body|!--)", re.IGNORECASE)


# --- files and standard input --------------------------------------------------------------------


def read_files(paths: Iterable[Path], is_known: Callable[[Input], bool] = lambda origin: False) -> Iterator[Input]:
    """Local files, and all in local folders whose kind is known. A file that is named itself may be of any kind.

    is_known: whether a file, by its `source` and `mark`, need not be read.
    """
    reasons: Counter[str] = Counter()
    for path in paths:
        for one in _read_folder(path, is_known) if path.is_dir() else read_file(path, is_known):
            reasons[one.reason] += 1
            yield one
    for reason in NEEDS.keys() & reasons.keys():
        logger.warning("skipped: %d %s, since the package that reads them is not installed. "
                       "Fix: %s --with %s", reasons[reason], NEEDS[reason].ending, setup_command(), NEEDS[reason].extra)


def _read_folder(folder: Path, is_known: Callable[[Input], bool]) -> Iterator[Input]:
    unknown: Counter[str] = Counter()
    n_known = 0
    for file in files_in(folder):
        ending = ending_of(file.name)
        if ending in ENDINGS:
            n_known += 1
            yield from read_file(file, is_known, in_folder=True)
        else:
            unknown[ending or "without an ending"] += 1
            yield _origin(file)._replace(reason="unknown_kind", mark="")
    if unknown:
        logger.warning("%s: skipped: %s. Name such a file itself to read it as text.", shown(folder),
                       ", ".join(f"{n} {ending}" for ending, n in unknown.most_common(20)))
    if not n_known:
        logger.warning("%s contains no file that ends in %s", shown(folder), ", ".join(ENDINGS))


def files_in(folder: Path) -> Iterator[Path]:
    """The files of a folder and the folders in it, in order. Links to folders, which may go round, are not followed."""
    for parent, folders, names in os.walk(folder, onerror=_name_unreadable):
        folders[:] = sorted(name for name in folders if not is_hidden(name))
        for file in (Path(parent, name) for name in sorted(names) if not is_hidden(name)):
            if os.path.isfile(file):  # a pipe would wait for ever
                yield file
            elif not os.access(parent, os.X_OK):  # nothing in it can be looked at
                logger.warning("skipped: the folder %s (%s)", parent, os.strerror(errno.EACCES))
                break


def _name_unreadable(error: OSError) -> None:
    logger.warning("skipped: the folder %s (%s)", error.filename, error.strerror)


def read_file(file: Path, is_known: Callable[[Input], bool] = lambda origin: False,
              in_folder: bool = False) -> Iterator[Input]:
    """What is in one file. A StageError if it cannot be read; from a folder, that is a reason."""
    try:
        origin = _origin(file)
        if is_known(origin):
            return
        with open(file, "rb") as stream:
            yield from read_safely(ENDINGS.get(ending_of(file.name), read_text), stream, origin)
    except OSError as error:
        if not in_folder:
            raise unreadable(file, error, f"a folder, or a file that ends in {', '.join(ENDINGS)}") from None
        yield Input(address_of(file), timestamp(), None, reason="cannot_be_read")


def _origin(file: Path) -> Input:
    name = address_of(file)
    return Input(name, timestamp(file.stat().st_mtime), None, title=file.stem, source=name, mark=mark_of(file))


def read_stdin() -> Iterator[Input]:
    """One page or text from standard input: a page if it begins like HTML."""
    data = sys.stdin.buffer.read(MAX_BYTES + 1)
    read = read_html if LOOKS_LIKE_HTML.match(data[:1000]) else read_text
    yield from read_safely(read, io.BytesIO(data), Input("stdin:", timestamp(), None, source="stdin:"))
