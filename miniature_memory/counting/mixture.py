"""The mixture of a network and counts: the distribution that a release writes from and is measured by.

    counts   = sum over the experts of gate x shares                                (V,)
    log p    = log softmax of (a x log p of the network + b x log of the counts)    (V,)

The gates, which sum to one, and the powers a and b come from a small network of their own, the gate. It sees how often
each context occurred before and how many tokens followed, how likely the network finds the commonest of them, how sure
it is, and how long the document is. It is fitted to text that the network was not trained on (training/mixing.py),
since on training text both look better than they are. A sum of experts (Jelinek and Mercer 1980) lets one of them alone
make a token likely; the product with the network (Hinton 2002) lets each side veto the other.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np

from miniature_memory.counting.experts import (
    N_EXPERTS,
    N_FEATURES,
    N_MATCH,
    N_STATIC,
    SHARPNESS,
    Predictions,
    count_bigrams,
    find_firsts,
    gather,
    judge,
    mix,
    mix_backward,
    number_tokens,
)
from miniature_memory.counting.suffixes import Suffixes

HIDDEN = 64  # units of the gate
N_NETWORK_FEATURES = 4 + N_STATIC + N_MATCH
FLOOR = 1e-6  # probability that counts leave to all tokens together, so that none is impossible
MOST_DEVIATIONS = 5.0  # of a feature from its mean
IMPOSSIBLE = -1e9  # logit of an expert that says nothing


class Stretch(NamedTuple):
    """Tokens of a document to be predicted, and what the network knows of them."""

    document: np.ndarray  # int32, from its beginning or the last MEMORY tokens of it, the end-of-text token before it
    first: int  # the first token that is predicted; those from there on are
    states: np.ndarray  # float32 (len(document) - 1, C), the network's after each token
    logits: np.ndarray  # float32 (len(document) - first, V), the network's
    position: int = 0  # of document[0] in the whole document
    n_given: int = 1 << 62  # tokens of the document that others wrote; the rest, the model's own, is not matched


class Evidence(NamedTuple):
    """What the mixture of a stretch depends on."""

    log_p: np.ndarray  # float32 (n, V), the network's
    predictions: Predictions  # the experts'
    features: np.ndarray  # float32 (n, N_FEATURES + N_NETWORK_FEATURES)
    is_empty: np.ndarray  # bool (n, N_EXPERTS), which experts say nothing


@dataclass
class Gate:
    """Weights, float32: features in; N_EXPERTS + 1 gates, the last of the uniform distribution, and 2 powers out."""

    mean: np.ndarray
    deviation: np.ndarray
    up: np.ndarray
    up_bias: np.ndarray
    down: np.ndarray
    down_bias: np.ndarray

    @classmethod
    def new(cls, random: np.random.Generator) -> Gate:
        """A gate that trusts all experts equally, and the network as much as the counts."""
        n, n_out = N_FEATURES + N_NETWORK_FEATURES, N_EXPERTS + 3
        bias = np.zeros(n_out, np.float32)
        bias[-2:] = 0.5
        up = random.uniform(-1, 1, (n, HIDDEN)).astype(np.float32) / np.float32(n**0.5)
        return cls(np.zeros(n, np.float32), np.ones(n, np.float32), up, np.zeros(HIDDEN, np.float32),
                   np.zeros((HIDDEN, n_out), np.float32), bias)

    @property
    def weights(self) -> list[np.ndarray]:
        """What is learned by gradients."""
        return [self.up, self.up_bias, self.down, self.down_bias]


class Mixture:
    """A network's logits and states in, the log-probabilities of the next tokens out."""

    def __init__(self, suffixes: Suffixes, vocab_size: int, gate: Gate, end_of_text: int) -> None:
        self.suffixes, self.gate, self.end_of_text = suffixes, gate, end_of_text
        self.bigrams, self.firsts = count_bigrams(suffixes, vocab_size), find_firsts(suffixes, vocab_size)

    def gather(self, stretch: Stretch) -> Evidence:
        document, first, states, logits, position, n_given = stretch
        n, vocab_size = logits.shape
        cosine = states[first - 1:] @ states.T / np.float32(states.shape[1])  # (n, len(document) - 1)
        cosine[np.arange(cosine.shape[1]) >= first - 1 + np.arange(n)[:, None]] = -1  # itself and what comes later
        own_tokens, own = number_tokens(document, vocab_size)
        tokens, shares, ends, own_shares, features = gather(
            *self.suffixes, self.firsts, self.bigrams.starts, document, own, len(own_tokens), first,
            np.exp(np.float32(SHARPNESS[1]) * cosine), self.end_of_text, n_given, np.zeros(vocab_size, np.float32))
        before, log_p = document[first - 1:-1], log_softmax(logits)
        has_pairs = self.bigrams.starts[before + 1] > self.bigrams.starts[before]
        is_empty = np.concatenate((~has_pairs[:, None], ends[:, 1:] == ends[:, :-1],
                                   own_shares.sum(-1, dtype=np.float32) == 0), 1)
        of_network = np.stack((-np.vecdot(np.exp(log_p), log_p), log_p.max(-1), cosine.max(-1),
                               np.log1p(np.arange(position + first, position + first + n, dtype=np.float32))), -1)
        of_experts = judge(log_p, self.bigrams, before, tokens, shares, ends)
        return Evidence(log_p, Predictions(before, tokens, shares, ends, own_tokens, own_shares),
                        np.concatenate((features, of_network, of_experts), 1), is_empty)

    def log_probs(self, stretch: Stretch) -> np.ndarray:
        """float32 (n, V)."""
        return Forward(self, self.gather(stretch)).log_p


class Forward:
    """The mixture of a stretch, and what its gradients need."""

    def __init__(self, mixture: Mixture, evidence: Evidence) -> None:
        self.mixture, self.evidence, gate = mixture, evidence, mixture.gate
        self.x = np.clip((evidence.features - gate.mean) / gate.deviation, -MOST_DEVIATIONS, MOST_DEVIATIONS)
        self.hidden = np.maximum(self.x @ gate.up + gate.up_bias, 0)  # (n, HIDDEN)
        out = self.hidden @ gate.down + gate.down_bias
        out[:, :N_EXPERTS][evidence.is_empty] = IMPOSSIBLE
        self.gates, self.powers = np.exp(log_softmax(out[:, :-2])), out[:, -2:]
        self.counts = mix(mixture.bigrams, evidence.predictions, self.gates, evidence.log_p.shape[1])
        self.counts += (self.gates[:, -1:] + np.float32(FLOOR)) / np.float32(self.counts.shape[1])
        self.log_counts = np.log(self.counts)
        self.log_p = log_softmax(self.powers[:, :1] * evidence.log_p + self.powers[:, 1:] * self.log_counts)

    def gradients(self, targets: np.ndarray) -> list[np.ndarray]:
        """Of the summed cross entropy, nats, by the gate's weights. targets: int (n,)."""
        evidence, gate = self.evidence, self.mixture.gate
        grad = np.exp(self.log_p)
        grad[np.arange(len(targets)), targets] -= 1  # by the logits that the powers make
        by_counts = self.powers[:, 1:] * grad / self.counts
        by_gates = mix_backward(self.mixture.bigrams, evidence.predictions, by_counts)
        by_gates = np.concatenate((by_gates, by_counts.mean(-1, keepdims=True)), 1)
        by_out = self.gates * (by_gates - np.vecdot(self.gates, by_gates)[:, None])
        by_powers = np.stack((np.vecdot(grad, evidence.log_p), np.vecdot(grad, self.log_counts)), -1)
        by_out = np.concatenate((by_out, by_powers), 1)
        by_hidden = (by_out @ gate.down.T) * (self.hidden > 0)
        return [self.x.T @ by_hidden, by_hidden.sum(0), self.hidden.T @ by_out, by_out.sum(0)]


def log_softmax(x: np.ndarray) -> np.ndarray:
    """Over the last dimension."""
    x = x - x.max(-1, keepdims=True)
    x -= np.log(np.exp(x).sum(-1, keepdims=True))
    return x


def gate_from(arrays: dict[str, np.ndarray]) -> Gate | None:
    """The gate of these weights; None if they are not those of one."""
    expected = Gate.new(np.random.default_rng(0))
    shapes = {field.name: getattr(expected, field.name).shape for field in fields(Gate)}
    if {name: array.shape for name, array in arrays.items() if np.isfinite(array).all()} != shapes:
        return None
    return Gate(**{name: np.ascontiguousarray(array, np.float32) for name, array in arrays.items()})
