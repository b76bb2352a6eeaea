"""Copies: which parts of a text stand word for word in the training text."""

import numpy as np

from miniature_memory.counting.experts import LONGEST, compiled, narrow
from miniature_memory.counting.suffixes import DEPTH, Suffixes

MOST_PLACES = 4096  # in a segment, of the same tokens, that are looked at; guess


def copied(suffixes: Suffixes, tokens: np.ndarray, most: int) -> tuple[int, np.ndarray]:
    """How many of the last `tokens` (int32) stand in the training text in a row, 0 below LONGEST; and, if these are
    `most` or more, which tokens would go on with the copy. most: LONGEST or more."""
    length, followers = find_copies(*suffixes, tokens, most)
    return int(length), followers


def longest_copy(suffixes: Suffixes, tokens: list[int]) -> int:
    """The most tokens in a row that stand in the training text, 0 below LONGEST."""
    return max((last - first for first, last in stretches(suffixes, tokens, LONGEST)), default=0)


def stretches(suffixes: Suffixes, tokens: list[int], least: int = DEPTH) -> list[tuple[int, int]]:
    """(first, last + 1) of each stretch of `least` tokens or more that stands in the training text and is part of no
    longer one, ascending. least: DEPTH at most. What stands in more than MOST_PLACES places may be found in parts."""
    found = find_stretches(*suffixes, np.array(tokens, np.int32), least)
    return [(first, end) for first, end in found.tolist()]


def places_of(suffixes: Suffixes, tokens: list[int]) -> np.ndarray:
    """Where all of these tokens stand in the training text: int64, ascending."""
    ids = np.array(tokens, np.int32)
    places = find_places(*suffixes, ids[:DEPTH])
    places = np.sort(places[places + len(ids) <= len(suffixes.text)])
    for offset in range(DEPTH, len(ids)):
        places = places[suffixes.text[places + offset] == ids[offset]]
    return places


@compiled
def find_places(text: np.ndarray, order: np.ndarray, bounds: np.ndarray, text_ends: np.ndarray,
                tokens: np.ndarray) -> np.ndarray:
    """Where all of these tokens, DEPTH at most, stand: int64, MOST_PLACES per segment at most."""
    n = len(tokens)
    found, n_found = np.empty((len(bounds) - 1) * (MOST_PLACES + n), np.int64), 0
    for s in range(len(bounds) - 1):
        low, high = bounds[s], bounds[s + 1]
        for offset in range(n):
            if low < high:
                low, high = narrow(text, order, text_ends[s], low, high, offset, tokens[offset])
        for j in range(low, min(high, low + MOST_PLACES)):
            found[n_found] = order[j]
            n_found += 1
        begin = text_ends[s - 1] if s else 0
        for place in range(max(begin, text_ends[s] - n + 1), min(text_ends[s], len(text) - n + 1)):  # across its end
            if (text[place:place + n] == tokens).all():
                found[n_found] = place
                n_found += 1
    return found[:n_found]


@compiled
def find_stretches(text: np.ndarray, order: np.ndarray, bounds: np.ndarray, text_ends: np.ndarray,
                   tokens: np.ndarray, least: int) -> np.ndarray:
    """What stretches() returns, int64 (n, 2)."""
    n, n_found, reach = len(tokens), 0, 0
    found = np.empty((n, 2), np.int64)
    for i in range(n - least + 1):
        if reach == n:  # what begins later ends there, too
            break
        end, place = max(reach, i + least - 1), -1
        for start in find_places(text, order, bounds, text_ends, tokens[i:i + least]):
            if end == n or start + end - i >= len(text) or text[start + end - i] != tokens[end]:
                continue  # not longer than what was found
            other = i
            while other < n and start + other - i < len(text) and text[start + other - i] == tokens[other]:
                other += 1
            if other > end:
                end, place = other, start
        if place >= 0:
            first = i
            while first > 0 and place > 0 and text[place - 1] == tokens[first - 1]:  # in too many places until here
                first, place = first - 1, place - 1
            while n_found and found[n_found - 1, 0] >= first:
                n_found -= 1
            found[n_found, 0], found[n_found, 1] = first, end
            n_found, reach = n_found + 1, end
    return found[:n_found]


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
