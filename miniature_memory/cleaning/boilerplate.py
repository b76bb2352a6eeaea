"""Boilerplate: lines that are not part of a text, by their words or because most pages of the same site have them.

Two kinds are removed. Lines that no text needs: notices, counters, bare numbers, calls to action and printers' filler
(notices.py), unless what stands around them says that they are text. And lines that recur on most of the earlier
documents of one host. What recurs is learned from document to document, so it depends on their order alone and never on
where a run ended.

Not taken from RefinedWeb: lines in capitals and lines of one word. They are speakers, headings and steps of recipes.
"""

import re
from collections import Counter
from typing import Protocol

import numpy as np

from miniature_memory.cleaning.minhash import hash64
from miniature_memory.cleaning.notices import COUNTED, is_filler, is_notice
from miniature_memory.storage import duplicates
from miniature_memory.storage.catalog import Catalog

MIN_DOCUMENTS = 5  # with a line, before it counts as recurring
MIN_FRAC = 0.5  # of the host's documents since it was first seen
MIN_EDGE_WORDS = 2  # of a recurring line at the beginning or the end: "Exeunt" belongs to the text
MIN_INNER_WORDS = 4  # of one within the text: shorter ones may be speakers' names
MAX_IN_PAGE = 2  # times in one document; a line that occurs more often is a refrain
MAX_LINE_CHARS = 300
PRUNE_EVERY = 16  # documents of a host: then lines that did not recur are forgotten
PRUNE_FRAC = 0.2
MAX_LINES = 4096  # remembered per host: 64 KB

SHORT = ("counter", "call", "number")  # reasons for which a line is removed whatever it is about
MIN_ANNOUNCING_WORDS = 4  # guess: "Page:" announces no answer
MIN_NAMED = 2  # numbers of a list, each under its name
_CODE_SIGN = re.compile(r"[={}`]|;\s?$|^\s{0,40}(?:>>>|\.\.\.|[$%]|#!|(?:In|Out) ?\[\d{1,4}\]:) ?")

_LINE = np.dtype([("hash", "<u8"), ("first", "<u4"), ("count", "<u4")])


class Site:
    """What is known about the lines of one host after `documents` of its documents."""

    def __init__(self, documents: int = 0, lines: bytes = b"") -> None:
        self.documents = documents
        self.lines = np.frombuffer(lines, dtype=_LINE)  # in order of hash

    def recurring(self, hashes: np.ndarray) -> np.ndarray:
        """Which of the lines with these hashes recur, bool (n,)."""
        if not len(self.lines):
            return np.zeros(len(hashes), dtype=bool)
        places = np.minimum(np.searchsorted(self.lines["hash"], hashes), len(self.lines) - 1)
        known = self.lines[places]
        since = self.documents - known["first"].astype(np.int64)
        recurs: np.ndarray = (
            (known["hash"] == hashes) & (known["count"] >= MIN_DOCUMENTS) & (known["count"] > MIN_FRAC * since))
        return recurs

    def learn(self, hashes: np.ndarray) -> None:
        """Count the lines of one more document; `hashes` are distinct."""
        old = self.lines
        count = old["count"] + np.isin(old["hash"], hashes)
        new = np.setdiff1d(hashes, old["hash"])
        lines = np.empty(len(old) + len(new), dtype=_LINE)
        lines["hash"] = np.concatenate((old["hash"], new))
        lines["first"] = np.concatenate((old["first"], np.full(len(new), self.documents)))
        lines["count"] = np.concatenate((count, np.ones(len(new))))
        self.documents += 1
        if self.documents % PRUNE_EVERY == 0:
            lines = lines[lines["count"] >= PRUNE_FRAC * (self.documents - lines["first"].astype(np.int64))]
        if len(lines) > MAX_LINES:
            lines = lines[np.argsort(lines["count"], kind="stable")[-MAX_LINES:]]
        self.lines = np.sort(lines, order="hash")


class Lines(Protocol):
    """What tells which lines of a site recur: a Site, or what one has told before."""

    def recurring(self, hashes: np.ndarray) -> np.ndarray: ...

    def learn(self, hashes: np.ndarray) -> None: ...


def remove_boilerplate(text: str, site: Lines | None = None, filler: bool = True) -> tuple[str, list[tuple[str, str]]]:
    """`text` without boilerplate, and the lines that were removed, each with its reason. `site` learns the text.

    A recurring line is removed at the beginning and the end of the text, up to the first line that stays; within the
    text only if it is longer. filler: whether lines of lorem ipsum are removed.
    """
    lines = text.split("\n")
    stripped = [line.strip() for line in lines]
    reasons = [is_notice(line) or "filler" * (filler and is_filler(line)) for line in lines]
    if any(map(SHORT.__contains__, reasons)):
        _spare_text(stripped, reasons)
    if site is not None:
        times, hashes = counted_lines(stripped)
        recurs = {line for line, yes in zip(times, site.recurring(hashes), strict=True)
                  if yes and times[line] <= MAX_IN_PAGE}
        site.learn(hashes)
        if recurs:
            _mark_recurring(stripped, recurs, reasons)
    if not any(reasons):
        return text, []
    for i, line in enumerate(stripped):  # the new first line, where indentation means nothing
        if line and not reasons[i]:
            reasons[i] = is_notice(line) if lines[i][0].isspace() else ""
            if not reasons[i]:
                break
    removed = [(line, reason) for line, reason in zip(stripped, reasons, strict=True) if reason]
    kept = "\n".join(line for line, reason in zip(lines, reasons, strict=True) if not reason)
    return re.sub(r"\n{3,}", "\n\n", kept).strip("\n"), removed


def counted_lines(lines: list[str]) -> tuple[Counter[str], np.ndarray]:
    """How often each of a text's stripped lines that may recur occurs in it, and their hashes, uint64 (n,)."""
    times = Counter(line for line in lines if line and len(line) <= MAX_LINE_CHARS)
    return times, np.fromiter(map(hash64, times), dtype=np.uint64, count=len(times))


def _spare_text(lines: list[str], reasons: list[str]) -> None:
    """Clear the reasons of short lines that are text: in code, under what announces them, under their names."""
    start, announced = 0, False
    for end in [*(i for i, line in enumerate(lines) if not line), len(lines)]:
        block = range(start, end)
        start = end + 1
        if not block:
            continue
        if any(reasons[i] in SHORT for i in block):
            if any(not reasons[i] and _is_code(lines[i]) for i in block):
                spared = [i for i in block if reasons[i] in SHORT]
            else:
                spared = _numbers_of_text(lines, reasons, block, announced)
            for i in spared:
                reasons[i] = ""
        announced = not reasons[block[-1]] and _announces(lines[block[-1]])


def _numbers_of_text(lines: list[str], reasons: list[str], block: range, announced: bool) -> list[int]:
    """The bare numbers of a block that an announcement precedes, or that stand under their names, two or more."""
    due, named = [], []
    for i in block:
        if reasons[i] == "number":
            if announced:
                due.append(i)
            elif i > block[0] and not reasons[i - 1] and any(map(str.isalpha, lines[i - 1])) \
                    and not COUNTED.fullmatch(lines[i - 1].lower()):
                named.append(i)
        else:
            announced = not reasons[i] and _announces(lines[i])
    return due + (named if len(named) >= MIN_NAMED else [])


def _announces(line: str) -> bool:
    return line.endswith((":", "：")) and len(line.split()) >= MIN_ANNOUNCING_WORDS


def _is_code(line: str) -> bool:
    return _CODE_SIGN.search(line) is not None or (line.endswith(")") and re.search(r"\w\(", line) is not None)


def _mark_recurring(lines: list[str], recurs: set[str], reasons: list[str]) -> None:
    """Set the reason "recurring" for those of `recurs` that are removed."""
    for order in (range(len(lines)), range(len(lines) - 1, -1, -1)):  # from both ends, up to the text
        for i in order:
            if lines[i] in recurs and len(lines[i].split()) >= MIN_EDGE_WORDS:
                reasons[i] = "recurring"
            elif lines[i] and not reasons[i]:
                break
    for i, line in enumerate(lines):
        if line in recurs and len(line.split()) >= MIN_INNER_WORDS:
            reasons[i] = "recurring"


def load_site(catalog: Catalog, host: str) -> Site:
    return Site(*duplicates.site_lines(catalog, host))


def store_site(catalog: Catalog, host: str, site: Site) -> None:
    """Within a record() block."""
    duplicates.set_site_lines(catalog, host, site.documents, site.lines.tobytes())
