"""Fit, labels: which words of the reference text each block of a page provides."""

from collections import Counter, defaultdict

import numpy as np


def align(tokens: list[list[str]], reference: list[str]) -> np.ndarray:
    """Share of each block's words that the reference takes from this very block.

    Long blocks are placed first, as anchors; short ones then have to be found in the reference between the
    anchors around them. Each word of the reference is assigned once, so that a menu that repeats a headline
    gets nothing.
    """
    alignment = Alignment(tokens, reference)
    repeats = Counter(tuple(own) for own in tokens)
    for block, own in enumerate(tokens):
        if len(own) >= 8 and repeats[tuple(own)] == 1:  # first what cannot be meant elsewhere
            alignment.place(block, max(alignment.anchors(block)[0], 0), 0, len(reference))
    for least in (8, 5, 3, 1):
        for block, own in enumerate(tokens):
            if alignment.start[block] < 0 and len(own) >= least:
                alignment.place(block, *alignment.range_for(block, least))
    return alignment.shares


class Alignment:
    """Which words of the reference are assigned, and to which block."""

    def __init__(self, tokens: list[list[str]], reference: list[str]) -> None:
        self.tokens, self.reference = tokens, reference
        self.shares = np.zeros(len(tokens))
        self.used = np.zeros(len(reference) + 1, bool)
        self.start, self.stop = np.full(len(tokens), -1), np.full(len(tokens), -1)  # of each block placed
        self.places: dict[tuple[str, ...], list[int]] = defaultdict(list)  # of each word and each three words
        for size in (1, 3):
            for i in range(len(reference) - size + 1):
                self.places[tuple(reference[i : i + size])].append(i)

    def anchors(self, block: int) -> tuple[int, int]:
        """Where the nearest placed block before ends and where the nearest one after begins; -1 for none."""
        before = next((int(self.stop[i]) for i in range(block - 1, -1, -1) if self.stop[i] >= 0), -1)
        after = next((int(self.start[i]) for i in range(block + 1, len(self.start)) if self.start[i] >= 0), -1)
        return before, after

    def range_for(self, block: int, least: int) -> tuple[int, int, int]:
        """(expected place, lowest, highest) of a block of at least `least` words."""
        before, after = self.anchors(block)
        n, whole = len(self.tokens[block]), len(self.reference)
        if least == 8:
            return max(before if before >= 0 else after, 0), 0, whole
        if before < 0 and after < 0:
            return whole, 0, whole
        slack = 10 if least == 1 else 40
        low = before - 2 if before >= 0 else after - slack - n
        high = after + 2 if after >= 0 else before + slack + n
        if high < low:
            low, high = before - 2, before + slack
        if before >= 0 and high - low > 3 * slack and least < 5:  # a wide gap proves nothing for two words
            high = before + slack + n
        return before if before >= 0 else high, max(low, 0), min(high, whole)

    def place(self, block: int, expected: int, low: int, high: int) -> None:
        """Give the block the runs of its words in the unused reference [low, high), if they are half of it."""
        own = self.tokens[block]
        size = 3 if len(own) >= 3 else 1
        runs: list[tuple[int, int]] = []
        i = 0
        while i <= len(own) - size:
            found = self._free(tuple(own[i : i + size]), low, high)
            if not found:
                i += 1
                continue
            begin = min(found, key=lambda at: abs(at - expected))
            expected = self._run_end(own[i:], begin, size, high)
            self.used[begin:expected] = True
            runs.append((begin, expected))
            i += expected - begin
        share = sum(end - begin for begin, end in runs) / len(own)
        if share < 0.5 or (size == 1 and share < 1):
            for begin, end in runs:
                self.used[begin:end] = False
            return
        self.shares[block] = share
        self.start[block], self.stop[block] = runs[0][0], runs[-1][1]

    def _free(self, words: tuple[str, ...], low: int, high: int) -> list[int]:
        return [at for at in self.places.get(words, ())
                if low <= at < high and not self.used[at : at + len(words)].any()]

    def _run_end(self, own: list[str], begin: int, size: int, high: int) -> int:
        """How far the reference continues as the block does, from `begin` on, where `size` words are known to match."""
        length = size
        for word, at in zip(own[size:], range(begin + size, high), strict=False):
            if word != self.reference[at] or self.used[at]:
                break
            length += 1
        return begin + length
