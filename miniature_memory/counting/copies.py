"""Copies: which parts of a text occur word for word in the training text."""

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
    """The most tokens in a row that occur in the training text, 0 below LONGEST."""
    return max((last - first for first, last in stretches(suffixes, tokens, LONGEST)), default=0)


def stretches(suffixes: Suffixes, tokens: list[int], least: int = DEPTH) -> list[tuple[int, int]]:
    """(first, last + 1) of each stretch of `least` tokens or more that stands in the training text and is part of no
    longer one, ascending. least: DEPTH at most. What stands in more than MOST_PLACES places may be found in parts."""
    text, ids, found = suffixes.text, np.array(tokens, np.int32), list[list[int]]()
    for order, begin, end in suffixes.segments():
        found += find_stretches(text, order, begin, end, ids, least).tolist()
    longest: list[tuple[int, int]] = []
    for first, last in sorted(found, key=lambda pair: (pair[0], -pair[1])):
        if not longest or last > longest[-1][1]:
            longest.append((first, last))
    return longest


def places_of(suffixes: Suffixes, runs: list[list[int]]) -> list[np.ndarray]:
    """Where each run of tokens occurs as a whole in the training text: int64, ascending."""
    text, ids = suffixes.text, [np.array(run, np.int32) for run in runs]
    found: list[list[np.ndarray]] = [[] for _ in runs]
    for order, begin, end in suffixes.segments():
        for run, places_found in zip(ids, found, strict=True):
            places = find_places(text, order, begin, end, run[:DEPTH])
            places = places[places + len(run) <= len(text)]
            for offset in range(DEPTH, len(run)):
                places = places[text[places + offset] == run[offset]]
            places_found.append(places)
    return [np.sort(np.concatenate(places)) for places in found]


@compiled
def find_places(text: np.ndarray, order: np.ndarray, begin: int, end: int, tokens: np.ndarray) -> np.ndarray:
    """Where all of these tokens, DEPTH at most, stand in the segment text[begin:end]: int64, MOST_PLACES at most, and
    those that cross its end."""
    n, low, high = len(tokens), 0, len(order)
    for offset in range(n):
        if low < high:
            low, high = narrow(text, order, end, low, high, offset, tokens[offset])
    high = min(high, low + MOST_PLACES)
    found, n_found = np.empty(high - low + n, np.int64), high - low
    found[:n_found] = order[low:high]
    for place in range(max(begin, end - n + 1), min(end, len(text) - n + 1)):
        if (text[place:place + n] == tokens).all():
            found[n_found] = place
            n_found += 1
    return found[:n_found]


@compiled
def find_stretches(text: np.ndarray, order: np.ndarray, begin: int, end: int, tokens: np.ndarray,
                   least: int) -> np.ndarray:
    """The stretches that begin in the segment text[begin:end], or of which a part does: int64 (n, 2)."""
    n, n_found, reach, i = len(tokens), 0, 0, 0
    found = np.empty((n, 2), np.int64)
    while i <= n - least and reach < n:  # what begins later than one that ends at n ends there, too
        last, place = max(reach, i + least - 1), -1
        for start in find_places(text, order, begin, end, tokens[i:i + least]):
            if last == n or start + last - i >= len(text) or text[start + last - i] != tokens[last]:
                continue  # not longer than what was found
            other = i
            while other < n and start + other - i < len(text) and text[start + other - i] == tokens[other]:
                other += 1
            if other > last:
                last, place = other, start
        if place >= 0:
            first = i
            while first > 0 and place > 0 and text[place - 1] == tokens[first - 1]:  # in too many places until here
                first, place = first - 1, place - 1
            while n_found and found[n_found - 1, 0] >= first:
                n_found -= 1
            found[n_found, 0], found[n_found, 1] = first, last
            n_found, reach = n_found + 1, last
            # What begins before `across` and is no part of this one holds all tokens from there to the next after it
            across = reach - least + 1
            if reach < n and not len(find_places(text, order, begin, end, tokens[across:reach + 1])):
                i = across
        i += 1
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
