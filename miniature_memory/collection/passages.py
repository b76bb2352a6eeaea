"""Passages: the part of a text that best shows why it was found."""

import re
from collections import Counter
from itertools import pairwise
from typing import NamedTuple

from miniature_memory.storage.full_text import BEGIN, END

PASSAGE_CHARS = 240
LEAD_CHARS = 80  # of these at most before the first hit

_EDGES = re.compile(r"[.!?…]\s+|[。！？]|\n"), re.compile(r"\s")  # of sentences and lines, of words
_MARK = re.compile(f"[{BEGIN}{END}]")


class Passage(NamedTuple):
    pieces: list[str]  # in turns: text, what was searched for, text, ...
    is_cut: tuple[bool, bool]  # whether the text goes on before and after it

    def plain(self) -> str:
        return "".join(self.pieces)

    def shown(self, begin: str, end: str) -> str:
        """In one line, with `begin` and `end` around what was searched for."""
        marked = "".join(f"{begin}{piece}{end}" if n % 2 else piece for n, piece in enumerate(self.pieces))
        return "… " * self.is_cut[0] + " ".join(marked.split()) + " …" * self.is_cut[1]


class Hit(NamedTuple):
    start: int
    end: int
    word: str


def best_passage(marked: str) -> Passage:
    """Of a text with BEGIN and END around each hit: where most different ones are together, the rarest above all."""
    text, hits = _hits(marked)
    n_all = Counter(hit.word for hit in hits)
    inside, first, best, best_worth = Counter[str](), 0, 0, 0.0
    for hit in hits:
        inside[hit.word] += 1
        while hit.end - hits[first].start > PASSAGE_CHARS - LEAD_CHARS and hits[first] is not hit:
            inside[hits[first].word] -= 1
            first += 1
        worth = sum(1 / n_all[word] for word, n in inside.items() if n)
        if worth > best_worth:
            best, best_worth = first, worth
    begin, end = _bounds(text, hits[best].start if hits else 0)
    ends = [at for hit in hits if begin <= hit.start and hit.end <= end for at in (hit.start, hit.end)]
    edges = [begin, *ends, end]
    return Passage([text[a:b] for a, b in pairwise(edges)], (begin > 0, end < len(text)))


def _hits(marked: str) -> tuple[str, list[Hit]]:
    pieces, at, hits = _MARK.split(marked), 0, []
    for n, piece in enumerate(pieces):
        if n % 2:
            hits.append(Hit(at, at + len(piece), piece.casefold()))
        at += len(piece)
    return "".join(pieces), hits


def _bounds(text: str, at: int) -> tuple[int, int]:
    """Where a passage with a hit at `at` begins and ends: at the edges of sentences or lines, or else of words."""
    begin = earliest = max(0, at - LEAD_CHARS)
    if earliest:
        before = text[earliest:at]
        begin += next((edge.end() for pattern in _EDGES if (edge := pattern.search(before))), 0)
    end = min(len(text), begin + PASSAGE_CHARS)
    if end < len(text) and (space := max(text.rfind(" ", at, end), text.rfind("\n", at, end))) > end - LEAD_CHARS:
        end = space
    return begin, end
