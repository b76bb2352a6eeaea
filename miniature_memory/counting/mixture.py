"""The mixture of a network and counts: the distribution that a release writes and is measured with.

    counts        = sum over the experts of gate x shares                        (V,)
    log p         = log_softmax(a x log p of the network + b x log counts)      (V,)

The gates, which sum to one, and the powers a and b come from a small network of their own, the gate. It sees how often
each context stood before and how many tokens followed, how sure the network is, and how long the document is. It is
fitted to text that the network was not trained on (training/mixing.py): only there does either show what it is worth
elsewhere. A sum of experts (Jelinek and Mercer 1980) lets rare contexts speak; a product with the network (Hinton 2002)
lets each veto what the other knows to be wrong.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from miniature_memory.counting.experts import (
    N_EXPERTS,
    N_FEATURES,
    SHARPNESS,
    Bigrams,
    Predictions,
    count_bigrams,
    gather,
    mix,
    mix_backward,
    number_tokens,
)
from miniature_memory.counting.suffixes import Suffixes

HIDDEN = 64  # units of the gate
N_NETWORK_FEATURES = 4
FLOOR = 1e-6  # probability that counts leave to all tokens together, so that none is impossible
MOST_DEVIATIONS = 5.0  # of a feature from its mean


class Stretch(NamedTuple):
    """Tokens of a document to be predicted, and what the network knows of them."""

    document: np.ndarray  # int32, from its beginning or the last MEMORY tokens of it, the end-of-text token before it
    first: int  # the first token that is predicted; those from there on are
    states: Tensor  # float32 (len(document) - 1, C), the network's after each token
    logits: Tensor  # float32 (len(document) - first, V), the network's
    position: int = 0  # of document[0] in the whole document


class Evidence(NamedTuple):
    """What the mixture of a stretch depends on."""

    log_p: Tensor  # float32 (n, V), the network's
    predictions: Predictions  # the experts'
    features: Tensor  # float32 (n, N_FEATURES + N_NETWORK_FEATURES)
    is_empty: Tensor  # bool (n, N_EXPERTS), which experts say nothing


class Gate(nn.Module):
    """From features to gates, (n, N_EXPERTS + 1) with that of the uniform distribution last, and powers, (n, 2)."""

    mean: Tensor
    deviation: Tensor

    def __init__(self) -> None:
        super().__init__()
        n = N_FEATURES + N_NETWORK_FEATURES
        self.register_buffer("mean", torch.zeros(n))
        self.register_buffer("deviation", torch.ones(n))
        self.up, self.down = nn.Linear(n, HIDDEN), nn.Linear(HIDDEN, N_EXPERTS + 3)
        nn.init.zeros_(self.down.weight)
        with torch.no_grad():
            self.down.bias.zero_()
            self.down.bias[-2:] = 0.5

    def forward(self, features: Tensor, is_empty: Tensor) -> tuple[Tensor, Tensor]:
        x = ((features - self.mean) / self.deviation).clamp(-MOST_DEVIATIONS, MOST_DEVIATIONS)
        gates, powers = self.down(F.relu(self.up(x))).split([N_EXPERTS + 1, 2], -1)
        return gates.masked_fill(F.pad(is_empty, (0, 1)), -torch.inf).softmax(-1), powers


class Mixture:
    """A network's logits and states in, the log-probabilities of the next tokens out."""

    def __init__(self, suffixes: Suffixes, vocab_size: int, gate: Gate, end_of_text: int) -> None:
        self.suffixes, self.gate, self.end_of_text = suffixes, gate, end_of_text
        self.bigrams = count_bigrams(suffixes, vocab_size)

    def gather(self, stretch: Stretch) -> Evidence:
        document, first, states, logits, position = stretch
        n, vocab_size = logits.shape
        cosine = states[first - 1:] @ states.T / states.size(1)  # (n, len(document) - 1): their norm is sqrt(C)
        cosine = cosine.masked_fill(torch.ones_like(cosine, dtype=torch.bool).triu(first - 1), -1.0)
        near = torch.exp(SHARPNESS[1] * cosine)
        own_tokens, own = number_tokens(document, vocab_size)
        tokens, shares, ends, own_shares, features = gather(
            *self.suffixes, self.bigrams.starts, document, own, len(own_tokens), first, near.numpy(), self.end_of_text,
            np.zeros(vocab_size, np.float32))
        before = document[first - 1:-1]
        predictions = Predictions(before, tokens, shares, ends, own_tokens, own_shares)
        is_empty = np.concatenate(((self.bigrams.starts[before + 1] == self.bigrams.starts[before])[:, None],
                                   ends[:, 1:] == ends[:, :-1], own_shares.sum(-1) == 0), 1)
        log_p = logits.float().log_softmax(-1)
        places = torch.arange(position + first, position + first + n)
        of_network = (-(log_p.exp() * log_p).sum(-1), log_p.amax(-1), cosine.amax(-1), places.float().log1p())
        return Evidence(log_p, predictions, torch.cat((torch.from_numpy(features), torch.stack(of_network, -1)), -1),
                        torch.from_numpy(is_empty))

    def log_probs(self, stretch: Stretch) -> Tensor:
        """float32 (n, V)."""
        evidence = self.gather(stretch)
        return self.combine(evidence, *self.gate(evidence.features, evidence.is_empty))

    def combine(self, evidence: Evidence, gates: Tensor, powers: Tensor) -> Tensor:
        """float32 (n, V)."""
        counted: Tensor = SumOfExperts.apply(  # type: ignore[no-untyped-call]
            gates[:, :-1], self.bigrams, evidence)
        counted = counted + (gates[:, -1:] + FLOOR) / counted.size(-1)
        return (powers[:, :1] * evidence.log_p + powers[:, 1:] * counted.log()).log_softmax(-1)


class SumOfExperts(torch.autograd.Function):
    """Each expert's shares times its gate, summed: (n, V)."""

    @staticmethod
    def forward(ctx: Any, gates: Tensor, bigrams: Bigrams, evidence: Evidence) -> Tensor:
        ctx.bigrams, ctx.predictions = bigrams, evidence.predictions
        return torch.from_numpy(mix(bigrams, evidence.predictions, gates.contiguous().numpy(),
                                    evidence.log_p.size(-1)))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        return torch.from_numpy(mix_backward(ctx.bigrams, ctx.predictions, grad.contiguous().numpy())), None, None
