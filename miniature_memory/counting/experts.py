"""Experts: what followed in earlier text where the same tokens occurred, as shares of the tokens that did.

For a position in a document there is one expert for each of
    STATIC_ORDERS   what followed the last n tokens in the training text
    MATCH_ORDERS    what followed the last n tokens in this document so far
    SHARPNESS       all tokens of this document so far, each weighted by how similar the network's state was before it:
                    by the exponential of so many times the cosine (neural cache, arXiv 1612.04426); 0: all alike
An expert is tokens and their shares, which sum to one; it is empty where nothing stood before. A document is its tokens
from the beginning, with the end-of-text token before it. The loops are compiled by Numba.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar, cast

import numpy as np
from numba import njit

from miniature_memory.counting.suffixes import Suffixes

Loop = TypeVar("Loop", bound=Callable[..., Any])

STATIC_ORDERS = (1, 2, 3, 4, 5, 6)
MATCH_ORDERS = (1, 2, 3, 4, 5, 6, 8, 12, 20)
SHARPNESS = (0, 8, 16, 32)  # from 8 on each twice the one before, so that its weight is the square
N_STATIC, N_MATCH, N_STATE = len(STATIC_ORDERS), len(MATCH_ORDERS), len(SHARPNESS)
N_EXPERTS = N_STATIC + N_MATCH + N_STATE
N_FEATURES = 4 * (N_STATIC + N_MATCH)
MEMORY = 8192  # tokens of the document that are looked back on

LONGEST, LONGEST_MATCH = STATIC_ORDERS[-1], MATCH_ORDERS[-1]


def compiled(loop: Loop) -> Loop:
    """The function compiled at its first call, which takes seconds; kept in __pycache__ if that can be written."""
    try:
        return cast(Loop, njit(nogil=True, cache=True)(loop))
    except RuntimeError:  # no folder for it
        return cast(Loop, njit(nogil=True)(loop))


class Bigrams(NamedTuple):
    """What followed each token in the training text: of token t in tokens[starts[t]:starts[t + 1]], and `shares`.

    Most lists of this order are long, so they are made once.
    """

    starts: np.ndarray  # int64 (V + 1,)
    tokens: np.ndarray  # uint16
    shares: np.ndarray  # float32


class Predictions(NamedTuple):
    """What the experts say of n tokens of a document."""

    before: np.ndarray  # int32 (n,), the tokens before them, whose lists in Bigrams are the first expert
    tokens: np.ndarray  # uint16: the lists of the next experts, one after the other,
    shares: np.ndarray  # float32
    ends: np.ndarray  # int64 (n, N_STATIC + N_MATCH): and their ends in both
    own_tokens: np.ndarray  # int32 (d,), the tokens of the document
    own_shares: np.ndarray  # float32 (n, N_STATE, d): the last experts; zeros before the first token


def count_bigrams(suffixes: Suffixes, vocab_size: int) -> Bigrams:
    text = suffixes.text
    pairs, counts = [np.zeros(0, np.uint32)], [np.zeros(0, np.int64)]
    for part, _, end in suffixes.segments():
        places = part[part < end - 1]
        pair = text[places].astype(np.uint32) * np.uint32(vocab_size) + text[places + 1]  # ids are uint16
        starts = np.flatnonzero(np.concatenate(([True], pair[1:] != pair[:-1]))) if len(pair) else places
        pairs.append(pair[starts])
        counts.append(np.diff(np.append(starts, len(pair))))
    all_pairs, of = np.unique(np.concatenate(pairs), return_inverse=True)
    count = np.bincount(of, np.concatenate(counts))
    token, followed = np.divmod(all_pairs, vocab_size)
    shares = count / np.bincount(token, count, vocab_size)[token]
    return Bigrams(np.searchsorted(token, np.arange(vocab_size + 1)), followed.astype(np.uint16),
                   shares.astype(np.float32))


def find_firsts(suffixes: Suffixes, vocab_size: int) -> np.ndarray:
    """Where in the order of each segment the suffixes that begin with each token begin: int64 (segments, V + 1)."""
    firsts = np.empty((len(suffixes.ends), vocab_size + 1), np.int64)
    for s, (part, *_) in enumerate(suffixes.segments()):
        counts = np.bincount(suffixes.text[part], minlength=vocab_size)
        firsts[s] = suffixes.bounds[s] + np.concatenate(([0], np.cumsum(counts)))
    return firsts


# --- the training text ---------------------------------------------------------------------------


@compiled
def narrow(text: np.ndarray, order: np.ndarray, end: int, low: int, high: int, offset: int,
           token: int) -> tuple[int, int]:
    """The part of order[low:high], suffixes alike in `offset` tokens, where `token` follows: its two ends.

    end: of the text of these suffixes.
    """
    last = high
    while low < last:
        middle = (low + last) // 2
        place = order[middle] + offset
        if place >= end or text[place] < token:  # a suffix that ends is the lowest
            low = middle + 1
        else:
            last = middle
    last = low
    while last < high:
        middle = (last + high) // 2
        if text[order[middle] + offset] == token:
            last = middle + 1
        else:
            high = middle
    return low, last


@compiled
def extend_ranges(ranges: np.ndarray, text: np.ndarray, order: np.ndarray, text_ends: np.ndarray, firsts: np.ndarray,
                  token: int, longest: int) -> None:
    """Find, in place, where the last 1 to LONGEST tokens stand once `token` is read.

    ranges: int64 (segments, LONGEST, 2), ends in `order`, those of n tokens at n - 1. firsts: int64 (segments, V + 1),
    where the suffixes that begin with each token begin. longest: how many tokens may be looked for, 1 at a document's
    start.
    """
    for s in range(len(ranges)):
        for n in range(LONGEST - 1, 0, -1):
            low, high = ranges[s, n - 1]
            if n >= longest:
                low = high
            if low < high:
                low, high = narrow(text, order, text_ends[s], low, high, n, token)
            ranges[s, n, 0], ranges[s, n, 1] = low, high
        ranges[s, 0, 0], ranges[s, 0, 1] = firsts[s, token], firsts[s, token + 1]


@compiled
def list_followers(text: np.ndarray, order: np.ndarray, end: int, low: int, high: int, offset: int,
                   tokens: np.ndarray, counts: np.ndarray, n: int) -> int:
    """Append the tokens that follow in order[low:high] and how often; returns the new length of the lists."""
    while low < high and order[low] + offset >= end:
        low += 1
    while low < high:
        token = text[order[low] + offset]
        first, step = low, 1  # gallop to the end of the run, then halve the distance
        while first + step < high and text[order[first + step] + offset] == token:
            first += step
            step *= 2
        last = min(first + step, high)
        first += 1
        while first < last:
            middle = (first + last) // 2
            if text[order[middle] + offset] == token:
                first = middle + 1
            else:
                last = middle
        tokens[n], counts[n] = token, first - low
        n += 1
        low = first
    return n


# --- one position --------------------------------------------------------------------------------


@compiled
def describe(features: np.ndarray, e: int, n_places: float, n_types: float) -> None:
    """Four features of expert e: how often its context stood before, and how many different tokens followed."""
    if n_places:
        features[4 * e], features[4 * e + 1] = np.log1p(n_places), np.log1p(n_types)
        features[4 * e + 2], features[4 * e + 3] = n_types / n_places, 1


@compiled
def list_static(text: np.ndarray, order: np.ndarray, text_ends: np.ndarray, ranges: np.ndarray, tokens: np.ndarray,
                shares: np.ndarray, ends: np.ndarray, features: np.ndarray) -> None:
    """The experts of STATIC_ORDERS but the first, appended from ends[0] on."""
    n = ends[0]
    for e in range(1, N_STATIC):
        total = 0.0
        for s in range(len(ranges)):
            n = list_followers(text, order, text_ends[s], ranges[s, e, 0], ranges[s, e, 1], e + 1, tokens,
                               shares, n)
        for j in range(ends[e - 1], n):
            total += shares[j]
        for j in range(ends[e - 1], n):
            shares[j] /= total
        describe(features, e, total, n - ends[e - 1])
        ends[e] = n


@compiled
def list_matches(document: np.ndarray, first: int, i: int, end: int, tokens: np.ndarray, shares: np.ndarray,
                 ends: np.ndarray, features: np.ndarray, scratch: np.ndarray) -> None:
    """The experts of MATCH_ORDERS on document[i] after document[first:i], of what followed in document[first:end],
    appended from ends[N_STATIC - 1] on."""
    places, lengths, m = np.empty(i, np.int32), np.empty(i, np.int32), 0
    n_places, n_types = np.zeros(LONGEST_MATCH + 2, np.int64), np.zeros(LONGEST_MATCH + 2, np.int64)
    for j in range(first + 1, end):
        if document[j - 1] == document[i - 1]:
            length = 1
            while (length < LONGEST_MATCH and j - 1 - length >= first
                   and document[j - 1 - length] == document[i - 1 - length]):
                length += 1
            places[m], lengths[m] = j, length
            m += 1
            n_places[length] += 1
            scratch[document[j]] = max(scratch[document[j]], length)
    for j in range(m):  # each token counts once, for the longest context that it followed
        n_types[int(scratch[document[places[j]]])] += 1
        scratch[document[places[j]]] = 0
    for length in range(LONGEST_MATCH - 1, 0, -1):
        n_places[length] += n_places[length + 1]
        n_types[length] += n_types[length + 1]
    n = ends[N_STATIC - 1]
    for e in range(N_MATCH):
        k = MATCH_ORDERS[e]
        describe(features, N_STATIC + e, n_places[k], n_types[k])
        if n_places[k]:
            for j in range(m):
                if lengths[j] >= k:
                    tokens[n], shares[n] = document[places[j]], np.float32(1) / n_places[k]
                    n += 1
        ends[N_STATIC + e] = n


@compiled
def share_by_state(own: np.ndarray, first: int, i: int, near: np.ndarray, shares: np.ndarray) -> None:
    """The experts of SHARPNESS: shares, float32 (N_STATE, d), of the tokens own[first + 1:i], numbers below d.

    near: float32 (i - 1,) at least, exp(SHARPNESS[1] * cosine) of the states before them and the last one.
    """
    for j in range(first + 1, i):
        weight = near[j - 1]
        shares[0, own[j]] += 1
        for e in range(1, N_STATE):
            shares[e, own[j]] += weight
            weight *= weight
    for e in range(N_STATE):
        total = shares[e].sum()
        if total:
            shares[e] /= total


# --- a stretch of a document ---------------------------------------------------------------------


@compiled
def gather(text: np.ndarray, order: np.ndarray, bounds: np.ndarray, text_ends: np.ndarray, firsts: np.ndarray,
           starts: np.ndarray, document: np.ndarray, own: np.ndarray, n_own: int, first: int, near: np.ndarray,
           end_of_text: int, n_given: int,
           scratch: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """tokens, shares, ends and own_shares of Predictions for document[first:], and features, float32 (n, N_FEATURES).

    n_given: how many tokens of the document may be matched. own: int32 (len(document),), the document in numbers below
    n_own. near: float32 (n, len(document) - 1). scratch: float32 (V,) of zeros.
    """
    n, room = len(document) - first, N_STATIC * (len(bounds) - 1) * len(scratch) + N_MATCH * MEMORY
    ranges = np.zeros((len(bounds) - 1, LONGEST, 2), np.int64)
    tokens, shares = np.empty(room + 512 * n, np.uint16), np.empty(room + 512 * n, np.float32)
    ends, features = np.zeros((n, N_STATIC + N_MATCH), np.int64), np.zeros((n, N_FEATURES), np.float32)
    own_shares = np.zeros((n, N_STATE, n_own), np.float32)
    for i in range(max(0, first - LONGEST), len(document)):
        row, begin = i - first, max(0, i - MEMORY)
        if row >= 0:
            if row:
                ends[row, 0] = ends[row - 1, -1]
            if ends[row, 0] + room > len(tokens):
                tokens = np.concatenate((tokens, np.empty(room + 512 * n, np.uint16)))
                shares = np.concatenate((shares, np.empty(room + 512 * n, np.float32)))
            describe(features[row], 0, ranges[:, 0, 1].sum() - ranges[:, 0, 0].sum(),
                     starts[document[i - 1] + 1] - starts[document[i - 1]])
            list_static(text, order, text_ends, ranges, tokens, shares, ends[row], features[row])
            list_matches(document, begin, i, min(i, n_given), tokens, shares, ends[row], features[row], scratch)
            share_by_state(own, begin, i, near[row], own_shares[row])
        extend_ranges(ranges, text, order, text_ends, firsts, document[i], 1 if document[i] == end_of_text else LONGEST)
    return tokens, shares, ends, own_shares, features


@compiled
def judge(log_p: np.ndarray, bigrams: Bigrams, before: np.ndarray, tokens: np.ndarray, shares: np.ndarray,
          ends: np.ndarray) -> np.ndarray:
    """What the network gives the likeliest token of each expert but those of SHARPNESS, of several the last: its
    log p, float32 (n, N_STATIC + N_MATCH); 0 for an empty expert. log_p: float32 (n, V)."""
    starts, followers, follower_shares = bigrams
    found = np.zeros(ends.shape, np.float32)
    for i in range(len(before)):
        best = np.float32(0)
        for j in range(starts[before[i]], starts[before[i] + 1]):
            if follower_shares[j] >= best:
                best, found[i, 0] = follower_shares[j], log_p[i, followers[j]]
        for e in range(1, ends.shape[1]):
            best = np.float32(0)
            for j in range(ends[i, e - 1], ends[i, e]):
                if shares[j] >= best:
                    best, found[i, e] = shares[j], log_p[i, tokens[j]]
    return found


@compiled
def number_tokens(document: np.ndarray, vocab_size: int) -> tuple[np.ndarray, np.ndarray]:
    """The tokens of the document, each once, int32 (d,); and which of them each of its tokens is, int32."""
    numbers, own = np.full(vocab_size, -1, np.int32), np.empty(len(document), np.int32)
    tokens, n = np.empty(len(document), np.int32), 0
    for j in range(len(document)):
        if numbers[document[j]] < 0:
            numbers[document[j]] = n
            tokens[n] = document[j]
            n += 1
        own[j] = numbers[document[j]]
    return tokens[:n], own


@compiled
def mix(bigrams: Bigrams, predictions: Predictions, gates: np.ndarray, vocab_size: int) -> np.ndarray:
    """The sum of the experts, each times its gate: float32 (n, V). gates: float32 (n, N_EXPERTS)."""
    starts, followers, follower_shares = bigrams
    before, tokens, shares, ends, own_tokens, own_shares = predictions
    q = np.zeros((len(gates), vocab_size), np.float32)
    for i in range(len(gates)):
        for j in range(starts[before[i]], starts[before[i] + 1]):
            q[i, followers[j]] += gates[i, 0] * follower_shares[j]
        for e in range(1, N_STATIC + N_MATCH):
            for j in range(ends[i, e - 1], ends[i, e]):
                q[i, tokens[j]] += gates[i, e] * shares[j]
        for e in range(N_STATE):
            for j in range(len(own_tokens)):
                q[i, own_tokens[j]] += gates[i, N_STATIC + N_MATCH + e] * own_shares[i, e, j]
    return q


@compiled
def mix_backward(bigrams: Bigrams, predictions: Predictions, grad: np.ndarray) -> np.ndarray:
    """The gradient of the gates, float32 (n, N_EXPERTS), from that of the sums."""
    starts, followers, follower_shares = bigrams
    before, tokens, shares, ends, own_tokens, own_shares = predictions
    d_gates = np.zeros((len(grad), N_EXPERTS), np.float32)
    for i in range(len(grad)):
        for j in range(starts[before[i]], starts[before[i] + 1]):
            d_gates[i, 0] += grad[i, followers[j]] * follower_shares[j]
        for e in range(1, N_STATIC + N_MATCH):
            for j in range(ends[i, e - 1], ends[i, e]):
                d_gates[i, e] += grad[i, tokens[j]] * shares[j]
        for e in range(N_STATE):
            for j in range(len(own_tokens)):
                d_gates[i, N_STATIC + N_MATCH + e] += grad[i, own_tokens[j]] * own_shares[i, e, j]
    return d_gates
