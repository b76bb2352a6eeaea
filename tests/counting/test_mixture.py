"""python3 -m pytest tests/counting/test_mixture.py: the experts, their mixture, and what is copied."""

import numpy as np
import pytest
import torch
from counting.conftest import VOCAB, make_suffixes

from miniature_memory.counting.copies import copied
from miniature_memory.counting.experts import MATCH_ORDERS, N_EXPERTS, SHARPNESS, STATIC_ORDERS, mix
from miniature_memory.counting.mixture import Evidence, Gate, Mixture, Stretch

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
    random = torch.Generator().manual_seed(3)
    states = torch.randn(len(document) - 1, 4, generator=random)
    states *= 2 / states.norm(dim=1, keepdim=True)
    logits = torch.randn(len(document) - first, VOCAB, generator=random)
    return Stretch(document.astype(np.int32), first, states, logits)


@pytest.fixture
def document(text: np.ndarray) -> np.ndarray:
    """Some of the text, and new words."""
    new = np.random.default_rng(8).integers(0, VOCAB - 1, 20)
    return np.concatenate(([END], text[40:80][text[40:80] != END], new, text[40:60][text[40:60] != END], [END]))


@pytest.mark.parametrize("segments", [1, 3])
def test_experts_equal_slow_ones(text: np.ndarray, document: np.ndarray, segments: int) -> None:
    suffixes = make_suffixes(text, *[300, 301][:segments - 1])
    pieces = np.split(text, [300, 301][:segments - 1])  # an n-gram that crosses the end of one stands in none
    mixture = Mixture(suffixes, VOCAB, Gate(), END)
    for first in (1, 2, len(document) - 9):
        stretch = stretch_of(document, first)
        evidence = mixture.gather(stretch)
        for i in range(first, len(document)):
            expected = slow_experts(pieces, document, i, stretch.states.numpy())
            for e in range(N_EXPERTS):
                gates = torch.zeros(len(document) - first, N_EXPERTS + 1)
                gates[:, e] = 1
                found = counted(mixture, evidence, gates)[i - first]
                assert found == pytest.approx(expected[e], abs=1e-6), (first, i, e)
                assert bool(evidence.is_empty[i - first, e]) == (not expected[e].any())


def counted(mixture: Mixture, evidence: Evidence, gates: torch.Tensor) -> np.ndarray:
    return mix(mixture.bigrams, evidence.predictions, gates[:, :-1].contiguous().numpy(), VOCAB)


def random_gate() -> Gate:
    gate = Gate()
    for p in gate.parameters():
        torch.nn.init.normal_(p, std=0.5, generator=torch.Generator().manual_seed(1))
    return gate


def test_every_distribution_sums_to_one(text: np.ndarray, document: np.ndarray) -> None:
    mixture = Mixture(make_suffixes(text, 250), VOCAB, random_gate(), END)
    for first in range(1, len(document)):
        log_p = mixture.log_probs(stretch_of(document, first))
        assert log_p.shape == (len(document) - first, VOCAB)
        assert torch.isfinite(log_p).all()
        assert log_p.double().exp().sum(-1).sub(1).abs().max() < 1e-5


def test_a_stretch_at_once_equals_token_by_token(text: np.ndarray, document: np.ndarray) -> None:
    mixture, whole = Mixture(make_suffixes(text), VOCAB, random_gate(), END), stretch_of(document, 1)
    at_once = mixture.log_probs(whole)
    for i in range(1, len(document)):
        one = Stretch(whole.document[:i + 1], i, whole.states[:i], whole.logits[i - 1:i])
        unknown = one._replace(document=np.append(one.document[:-1], np.int32(0)))  # writing does not know it
        for stretch in (one, unknown):
            torch.testing.assert_close(mixture.log_probs(stretch)[0], at_once[i - 1], atol=1e-5, rtol=1e-4)


def test_the_gradient_is_that_of_the_loss(text: np.ndarray, document: np.ndarray) -> None:
    mixture, stretch = Mixture(make_suffixes(text), VOCAB, Gate().double(), END), stretch_of(document, 1)
    evidence = mixture.gather(stretch)
    random = torch.Generator().manual_seed(0)
    gates = torch.rand(len(document) - 1, N_EXPERTS + 1, generator=random)
    powers = torch.rand(len(document) - 1, 2, generator=random)

    def loss(some: torch.Tensor) -> torch.Tensor:
        targets = torch.from_numpy(stretch.document[1:].astype(np.int64))
        return -mixture.combine(evidence, some, powers).gather(1, targets[:, None]).double().sum()

    asked = gates.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(asked), asked)
    for e in range(N_EXPERTS + 1):
        step = torch.zeros_like(gates)
        step[:, e] = 1e-2
        slope = (loss(gates + step) - loss(gates - step)) / 2e-2
        assert gradient[:, e].double().sum().item() == pytest.approx(slope.item(), rel=0.02, abs=0.02)


def test_positions_that_are_left_out_count_for_nothing(text: np.ndarray) -> None:
    ranges = np.array([[10, 60], [200, 1000]])
    left = make_suffixes(text, 250).without(ranges)
    out = np.zeros(len(text), bool)
    for first, last in ranges:
        out[first:last] = True
    assert sorted(left.order) == np.flatnonzero(~out).tolist()
    assert left.bounds.tolist() == [0, (~out[:250]).sum(), (~out).sum()]
    assert left.order[:left.bounds[1]].max() < 250 <= left.order[left.bounds[1]:].min()


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
    assert copied(suffixes, written[:5], 3)[0] == 0
