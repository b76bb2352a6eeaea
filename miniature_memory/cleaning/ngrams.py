"""Repeated n-grams: how much of a text do they cover?"""

from typing import NamedTuple

import numpy as np

_ZERO = np.zeros(1, dtype=np.int64)
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # of the hash of n-grams: 2^64 / golden ratio, odd


class NgramShares(NamedTuple):
    """Shares of the characters of a text, by n."""

    top: dict[int, float]  # in the commonest n-gram of 2 to 4 words, spaces between them included
    duplicate: dict[int, float]  # in n-grams of 5 to 10 words that occurred before, none counted twice


def ngram_shares(ids: np.ndarray, chars: np.ndarray, n_chars: int) -> NgramShares:
    """ids, chars: the number and the length of each word, int32 (n_words,). n_chars: of the whole text.

    An n-gram that occurs twice is two of n - 1 words that do, one after the other: each n looks only where the n
    before it found something.
    """
    top, duplicate = dict.fromkeys(range(2, 5), 0.0), dict.fromkeys(range(5, 11), 0.0)
    words = ids.astype(np.uint64)
    places, keys = np.arange(len(words)), words  # where an n-gram that may occur twice begins, and its hash
    starts_at = np.concatenate(([0], np.cumsum(chars)))  # characters before each word, without spaces
    bits = np.uint64(len(words).bit_length())
    low = (np.uint64(1) << bits) - np.uint64(1)
    for n in range(2, 11):
        if not len(places) and n > 4:
            break
        if len(places) and places[-1] + n > len(words):
            places, keys = places[:-1], keys[:-1]
        keys = keys * _MULTIPLIER + words[places + n - 1]
        in_order = np.sort(keys << bits | np.arange(len(keys), dtype=np.uint64))  # many times as fast as argsort
        order, same = (in_order & low).astype(np.int64), in_order[1:] >> bits == in_order[:-1] >> bits
        if n in top and len(words) >= n:
            starts = np.concatenate((_ZERO, np.flatnonzero(~same) + 1, [len(order)]))
            counts = starts[1:] - starts[:-1]
            most = max(1, int(counts.max()))
            # Of several, the first.
            first = int(places[order[starts[:-1][counts == most]]].min()) if most > 1 else 0
            top[n] = most * (int(chars[first:first + n].sum()) + n - 1) / n_chars
        if not same.any():
            places, keys = places[:0], keys[:0]
            continue
        repeated = np.zeros(len(keys), dtype=bool)
        repeated[order[1:][same]] = repeated[order[:-1][same]] = True
        if n in duplicate:
            found = places[repeated]
            lengths = starts_at[found + n] - starts_at[found]
            duplicate[n] = _duplicate_chars(found.tolist(), keys[repeated].tolist(), lengths.tolist(), n) / n_chars
        repeated[:-1] &= repeated[1:] & (places[1:] - places[:-1] == 1)
        repeated[-1:] = False
        places, keys = places[repeated], keys[repeated]
    return NgramShares(top, duplicate)


def _duplicate_chars(places: list[int], keys: list[int], lengths: list[int], n: int) -> int:
    """The characters of those repeated n-grams that occurred before, none overlapping the one counted last."""
    seen, end, total = set(), 0, 0
    for place, key, n_chars in zip(places, keys, lengths, strict=True):
        if place >= end:
            if key in seen:
                total, end = total + n_chars, place + n
            else:
                seen.add(key)
    return total
