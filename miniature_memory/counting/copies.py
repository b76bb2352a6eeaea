"""Copies: how much of the end of a text stands word for word in the training text."""

import numpy as np

from miniature_memory.counting.experts import LONGEST, compiled, narrow
from miniature_memory.counting.suffixes import Suffixes


def copied(suffixes: Suffixes, tokens: np.ndarray, most: int) -> tuple[int, np.ndarray]:
    """How many of the last `tokens` (int32) stand in the training text in a row, 0 below LONGEST; and, if these are
    `most` or more, which tokens would go on with the copy. most: LONGEST or more."""
    length, followers = find_copies(*suffixes, tokens, most)
    return int(length), followers


def longest_copy(suffixes: Suffixes, tokens: list[int]) -> int:
    """The most tokens in a row that stand in the training text, 0 below LONGEST."""
    ids = np.array(tokens, np.int32)
    return max((copied(suffixes, ids[:end], len(ids))[0] for end in range(LONGEST, len(ids) + 1)), default=0)


@compiled
def find_copies(text: np.ndarray, order: np.ndarray, bounds: np.ndarray, text_ends: np.ndarray,
                tokens: np.ndarray, most: int) -> tuple[int, np.ndarray]:
    n, longest, found = len(tokens), 0, np.empty(0, np.int64)
    for s in range(len(bounds) - 1):
        low, high = bounds[s], bounds[s + 1]
        if n < LONGEST:
            break
        for offset in range(LONGEST):
            if low < high:
                low, high = narrow(text, order, text_ends[s], low, high, offset, tokens[n - LONGEST + offset])
        followers, n_found = np.empty(high - low, np.int64), 0
        for j in range(low, high):
            place, length = int(order[j]), LONGEST
            while length < n and place > 0 and text[place - 1] == tokens[n - 1 - length]:
                place -= 1
                length += 1
            longest = max(longest, length)
            if length >= most and order[j] + LONGEST < len(text):
                followers[n_found] = text[order[j] + LONGEST]
                n_found += 1
        found = np.concatenate((found, followers[:n_found]))
    return longest, found
