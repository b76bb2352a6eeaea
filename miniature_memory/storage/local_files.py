"""Files from elsewhere as they were when extract last read them, so that an unchanged one is not read again, nor that
part of a long one which was read before a run was interrupted."""

import logging
from typing import Protocol

from miniature_memory.core.text import counted
from miniature_memory.storage.catalog import Catalog

logger = logging.getLogger(__name__)

MAY_BE_READ_LATER = ("needs_", "cannot_be_read", "extraction_", "extractor_")  # how these reasons begin
POSITIONS = "extract.positions"  # state: address -> [mark, offset] of each WARC file of which the rest was not read yet


class Source(Protocol):
    """A page or text, and the file that it came from."""

    @property
    def source(self) -> str: ...  # the address of the file
    @property
    def mark(self) -> str: ...  # of its content, another one once that has changed; "" if that is not sure
    @property
    def warc_offset(self) -> str: ...  # in a WARC file


class KnownFiles:
    """Files that need not be read again: unchanged since all their documents were stored.

    Read again is also what another release or other settings might read differently, and what could not be read.
    """

    def __init__(self, catalog: Catalog, read_with: str) -> None:
        """read_with: the release and the settings."""
        self.catalog, self.read_with, self.n_skipped = catalog, read_with, 0
        self.current: Source | None = None  # the last one whose documents were stored
        self.is_read = True  # all of its file

    def has(self, origin: Source) -> bool:
        is_known = bool(origin.mark) and self.catalog.value(
            "SELECT 1 FROM local_files WHERE address = ? AND mark = ?", [origin.source, self._mark(origin)]) is not None
        self.n_skipped += is_known
        return is_known

    def start(self, origin: Source) -> int | None:
        """Where to begin to read a WARC file; None if it is known."""
        if self.has(origin):
            return None
        mark, offset = self.catalog.state(POSITIONS, {}).get(origin.source, ("", 0))
        if not origin.mark or mark != self._mark(origin) or not offset:
            return 0
        logger.info("%s: continuing at byte %s, where an earlier run stopped", origin.source, f"{offset:,}")
        return int(offset)

    def follow(self, source: Source, reason: str) -> None:
        """Before the first document of `source` is stored: remember the file before it, if this is another one, and
        how far this one was read. reason: why `source` has no document."""
        if not self.current or source.source != self.current.source:
            self._remember()
            self.is_read = True
        elif source.mark and source.warc_offset:
            self._keep_position(source, int(source.warc_offset))
        self.current = source
        self.is_read = self.is_read and not reason.startswith(MAY_BE_READ_LATER)

    def end(self) -> None:
        self._remember()
        if self.n_skipped:
            logger.info("skipped: %s", counted(self.n_skipped, "unchanged file"))

    def _remember(self) -> None:
        """The current file was read to its end."""
        if not self.current or not self.current.mark:
            return
        self._keep_position(self.current, 0)
        if self.is_read:
            with self.catalog.record():
                self.catalog.execute("INSERT OR REPLACE INTO local_files VALUES (?, ?)",
                                     [self.current.source, self._mark(self.current)])

    def _keep_position(self, source: Source, offset: int) -> None:
        positions = self.catalog.state(POSITIONS, {})
        if offset or positions.pop(source.source, None):
            with self.catalog.record():
                self.catalog.set_state(POSITIONS, positions | (
                    {source.source: [self._mark(source), offset]} if offset else {}))

    def _mark(self, origin: Source) -> str:
        return f"{origin.mark} {self.read_with}"
