"""python3 -m pytest tests/counting/test_mixture.py: the experts, their mixture, and what is copied."""

import tracemalloc

import numpy as np
import pytest
from counting.conftest import VOCAB, make_suffixes

from miniature_memory.counting.copies import MOST_PLACES, copied, longest_copy, places_of, stretches
from miniature_memory.counting.experts import MATCH_ORDERS, N_EXPERTS, SHARPNESS, STATIC_ORDERS, mix
from miniature_memory.counting.mixture import Evidence, Forward, Gate, Mixture, Stretch
from miniature_memory.counting.suffixes import Suffixes

END = VOCAB - 1


def shares(places: list[int], text: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    counts = np.bincount(text[places], weights, VOCAB) if len(places) else np.zeros(VOCAB)
    return counts / max(counts.sum(), 1e-30)


def slow_experts(pieces: list[np.ndarray], document: np.ndarray, i: int, states: np.ndarray) -> list[np.ndarray]:
    """What each expert says of document[i], one place at a time."""
    result = []
    for n in STATIC_ORDERS:
        context = document[max(0, i - n):i]
        usable = len(context) == n and END not in context[1:]
        followers = [piece[p] for piece in pieces for p in range(n, len(piece))
                     if usable and np.array_equal(piece[p - n:p], context)]
        result.append(shares(list(range(len(followers))), np.array(followers, int)))
    for n in MATCH_ORDERS:
        result.append(shares([p for p in range(n, i) if np.array_equal(document[p - n:p], document[i - n:i])],
                             document))
    cosine = states @ states[i - 1] / states.shape[1]
    for sharpness in SHARPNESS:
        result.append(shares(list(range(1, i)), document, np.exp(sharpness * cosine[:i - 1])))
    return result


def stretch_of(document: np.ndarray, first: int) -> Stretch:
    random = np.random.default_rng(3)
    states = random.normal(size=(len(document) - 1, 4)).astype(np.float32)
    states *= 2 / np.linalg.norm(states, axis=1, keepdims=True)
    logits = random.normal(size=(len(document), VOCAB)).astype(np.float32)
    return Stretch(document.astype(np.int32), first, states, logits[first:])


@pytest.fixture
def document(text: np.ndarray) -> np.ndarray:
    """Some of the text, and new words."""
    new = np.random.default_rng(8).integers(0, VOCAB - 1, 20)
    return np.concatenate(([END], text[40:80][text[40:80] != END], new, text[40:60][text[40:60] != END], [END]))


@pytest.mark.parametrize("segments", [1, 3])
def test_experts_equal_slow_ones(text: np.ndarray, document: np.ndarray, segments: int) -> None:
    suffixes = make_suffixes(text, *[300, 301][:segments - 1])
    pieces = np.split(text, [300, 301][:segments - 1])  # an n-gram that crosses the end of one stands in none
    mixture = Mixture(suffixes, VOCAB, random_gate(), END)
    for first in (1, 2, len(document) - 9):
        stretch = stretch_of(document, first)
        evidence = mixture.gather(stretch)
        for i in range(first, len(document)):
            expected = slow_experts(pieces, document, i, stretch.states)
            for e in range(N_EXPERTS):
                found = said_by(e, mixture, evidence)[i - first]
                assert found == pytest.approx(expected[e], abs=1e-6), (first, i, e)
                assert bool(evidence.is_empty[i - first, e]) == (not expected[e].any())


def said_by(e: int, mixture: Mixture, evidence: Evidence) -> np.ndarray:
    gates = np.zeros((len(evidence.log_p), N_EXPERTS), np.float32)
    gates[:, e] = 1
    return mix(mixture.bigrams, evidence.predictions, gates, VOCAB)


def test_what_the_model_wrote_is_not_matched(text: np.ndarray, document: np.ndarray) -> None:
    mixture, stretch = Mixture(make_suffixes(text), VOCAB, random_gate(), END), stretch_of(document, 30)
    evidence = mixture.gather(stretch._replace(n_given=12))
    for i in range(30, len(document)):
        for e, n in enumerate(MATCH_ORDERS, len(STATIC_ORDERS)):
            places = [p for p in range(n, 12) if np.array_equal(document[p - n:p], document[i - n:i])]
            assert said_by(e, mixture, evidence)[i - 30] == pytest.approx(shares(places, document), abs=1e-6)


def random_gate() -> Gate:
    random = np.random.default_rng(1)
    gate = Gate.new(random)
    for weight in gate.weights:
        weight += random.normal(0, 0.3, weight.shape).astype(np.float32)
    return gate


def test_every_distribution_sums_to_one(text: np.ndarray, document: np.ndarray) -> None:
    mixture = Mixture(make_suffixes(text, 250), VOCAB, random_gate(), END)
    for first in range(1, len(document)):
        log_p = mixture.log_probs(stretch_of(document, first))
        assert log_p.shape == (len(document) - first, VOCAB)
        assert np.isfinite(log_p).all()
        assert np.abs(np.exp(log_p.astype(np.float64)).sum(-1) - 1).max() < 1e-5


def test_a_stretch_at_once_equals_token_by_token(text: np.ndarray, document: np.ndarray) -> None:
    mixture, whole = Mixture(make_suffixes(text), VOCAB, random_gate(), END), stretch_of(document, 1)
    at_once = mixture.log_probs(whole)
    for i in range(1, len(document)):
        one = Stretch(whole.document[:i + 1], i, whole.states[:i], whole.logits[i - 1:i])
        unknown = one._replace(document=np.append(one.document[:-1], np.int32(0)))  # writing does not know it
        for stretch in (one, unknown):
            assert mixture.log_probs(stretch)[0] == pytest.approx(at_once[i - 1], rel=1e-4, abs=1e-5)


def test_the_gradients_are_those_of_the_loss(text: np.ndarray, document: np.ndarray) -> None:
    mixture, stretch = Mixture(make_suffixes(text), VOCAB, random_gate(), END), stretch_of(document, 1)
    evidence, targets = mixture.gather(stretch), document[1:]
    gradients = Forward(mixture, evidence).gradients(targets)
    random = np.random.default_rng(2)
    for weight, gradient in zip(mixture.gate.weights, gradients, strict=True):
        assert gradient.shape == weight.shape
        direction = random.normal(size=weight.shape).astype(np.float32)
        before, losses = weight.copy(), []
        for step in (1e-4, -1e-4):  # small: beyond a bend of the gate's units the slope is another
            weight[...] = before + np.float32(step) * direction
            log_p = Forward(mixture, evidence).log_p.astype(np.float64)
            losses.append(-log_p[np.arange(len(targets)), targets].sum())
        weight[...] = before
        assert (losses[0] - losses[1]) / 2e-4 == pytest.approx((gradient * direction).sum(), rel=0.02, abs=0.02)


def test_positions_that_are_left_out_count_for_nothing(text: np.ndarray) -> None:
    ranges = np.array([[10, 60], [200, 1000]])
    left = make_suffixes(text, 250).without(ranges)
    out = np.zeros(len(text), bool)
    for first, last in ranges:
        out[first:last] = True
    assert sorted(left.order) == np.flatnonzero(~out).tolist()
    assert left.bounds.tolist() == [0, (~out[:250]).sum(), (~out).sum()]
    assert left.order[:left.bounds[1]].max() < 250 <= left.order[left.bounds[1]:].min()


def test_to_leave_positions_out_takes_little_more_memory_than_the_array() -> None:
    n = 1_000_000
    text, order = np.zeros(n, np.uint16), np.arange(n, dtype=np.uint32)
    whole = Suffixes(text, order, np.arange(0, n + 1, n // 10), np.arange(n // 10, n + 1, n // 10))
    tracemalloc.start()
    whole.without(np.array([[10, 60]]))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 6.5 * n


# --- copies --------------------------------------------------------------------------------------


def test_copies_are_as_long_as_they_are(text: np.ndarray) -> None:
    suffixes = make_suffixes(text, 250)
    written = np.concatenate(([1, 1, 1, 1, 1, 1, 1], text[100:130])).astype(np.int32)
    expected = max(n for n in range(1, len(written) + 1)
                   if any(np.array_equal(text[p:p + n], written[-n:]) for p in range(len(text) - n + 1)))
    assert copied(suffixes, written, 1000)[0] == expected
    length, followers = copied(suffixes, written, 30)
    assert text[130] in followers and length >= 30
    assert len(copied(suffixes, written, length + 1)[1]) == 0
    assert copied(suffixes, written[:5], 6)[0] == 0


def test_every_follower_of_a_copy_is_found() -> None:
    text = np.tile(np.array([1, 2, 3, 4, 5, 6, 0], np.uint16), 200)
    text[6::7] = np.arange(200) % 8  # what follows: seldom the same
    followers = copied(make_suffixes(text, 700), np.array([1, 2, 3, 4, 5, 6], np.int32), 6)[1]
    assert set(followers.tolist()) == set(range(8))


def slow_stretches(text: np.ndarray, tokens: list[int], least: int) -> list[tuple[int, int]]:
    """One place at a time."""
    found: list[tuple[int, int]] = []
    for first in range(len(tokens)):
        end = max((first + n for place in range(len(text)) for n in range(len(tokens) - first + 1)
                   if text[place:place + n].tolist() == tokens[first:first + n]), default=0)
        if end - first >= least and (not found or end > found[-1][1]):
            found.append((first, end))
    return found


@pytest.mark.parametrize("seed", range(5))
def test_stretches_equal_slow_ones_also_across_segments(seed: int) -> None:
    random = np.random.default_rng(seed)
    words = [random.integers(0, END, random.integers(1, 7)) for _ in range(12)]
    text = np.concatenate([words[i] for i in random.integers(0, 12, 40)]).astype(np.uint16)
    tokens = np.concatenate([words[i] for i in random.integers(0, 12, 15)]).tolist()
    suffixes = make_suffixes(text, *sorted(random.choice(np.arange(1, len(text)), 6, replace=False)))
    for least in (6, 8):
        assert stretches(suffixes, tokens, least) == slow_stretches(text, tokens, least)
    found = stretches(suffixes, tokens)
    assert longest_copy(suffixes, tokens) == max((end - first for first, end in slow_stretches(text, tokens, 6)),
                                                 default=0)
    for (first, end), places in zip(found, places_of(suffixes, [tokens[a:b] for a, b in found]), strict=True):
        assert places.tolist() == [p for p in range(len(text)) if text[p:p + end - first].tolist() == tokens[first:end]]


def test_what_stands_in_too_many_places_is_found_with_what_does_not() -> None:
    common, rare = [1, 2, 3, 4, 5, 6, 7, 0], [7, 7, 6, 5, 4, 3, 2, 1, 2]
    text = np.array([*common * (2 * MOST_PLACES), *rare, END], np.uint16)
    suffixes = make_suffixes(text)
    assert stretches(suffixes, [8, *common, *common, *rare, 7]) == [(1, 26)]
    assert stretches(suffixes, common * 3) == [(0, 24)]


def test_too_few_tokens_are_no_stretch(text: np.ndarray) -> None:
    assert stretches(make_suffixes(text), []) == stretches(make_suffixes(text), text[:7].tolist()) == []
