"""Mixing: fits the gate between network and counts to text that the network is not trained on."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor
from pathlib import Path

import numpy as np
import torch

from miniature_memory.counting.experts import MEMORY
from miniature_memory.counting.mixture import Evidence, Forward, Gate, Mixture, Stretch, gate_from
from miniature_memory.counting.suffixes import Suffixes
from miniature_memory.training.bins import find_ends
from miniature_memory.training.checkpoint import State
from miniature_memory.training.optim import AdamW, Group
from model import GPT

HELD_BACK_FRAC = 0.02  # of the training text, for the gate
MOST_HELD_BACK, LEAST_HELD_BACK = 131_072, 4096  # tokens of one growth step
LEAST_TEXT = 10 * LEAST_HELD_BACK  # tokens of a growth step from which any are held back
LEARNING_RATE = 1e-2
FIT_STRETCH = 64  # tokens
STRETCHES_PER_STEP = 4
EPOCHS = 3
FEWEST_STEPS, MOST_STEPS = 60, 1600

# --- which text ----------------------------------------------------------------------------------


def held_back(path: Path, growth: list[list[int]], end_of_text: int) -> np.ndarray:
    """The documents, or beginnings of documents, of train.bin that only the gate learns from: int64 (n, 2), ascending.

    Each growth step's are drawn from its own text alone, so that they stay the same as the bins grow.
    """
    found, first = [], 0
    for last, _ in growth:
        wanted = min(max(round(HELD_BACK_FRAC * (last - first)), LEAST_HELD_BACK), MOST_HELD_BACK)
        if last - first >= LEAST_TEXT:
            ends = 1 + find_ends(path, end_of_text, first, last)
            starts = np.append(first, ends[:-1])
            for i in np.random.default_rng([first, last]).permutation(len(ends)):
                length = min(int(ends[i] - starts[i]), wanted)
                found.append((int(starts[i]), int(starts[i]) + length))
                wanted -= length
                if wanted <= 0:
                    break
        first = last
    return np.array(sorted(found), np.int64).reshape(-1, 2)


# --- from a text to stretches of documents -------------------------------------------------------


class Stretches:
    """Cuts a text, as the network reads it, into stretches of documents."""

    def __init__(self, end_of_text: int, n_embd: int) -> None:
        self.end_of_text, self.no_states = end_of_text, np.zeros((0, n_embd), np.float32)
        self.begin(end_of_text)

    def begin(self, token: int) -> None:
        self.document, self.states, self.position = np.array([token], np.int32), self.no_states, 0

    def cut(self, targets: np.ndarray, states: np.ndarray, logits: np.ndarray, most: int) -> Iterator[Stretch]:
        """The stretches, of up to `most` tokens, of the next tokens: targets (n,), the state before each (n, C), and
        the logits (n, V)."""
        ends = 1 + np.flatnonzero(targets == self.end_of_text)
        first = 0
        while first < len(targets):
            last = min(first + most, len(targets), *ends[np.searchsorted(ends, first, "right"):][:1])
            n_before = len(self.document)
            self.document = np.concatenate((self.document, targets[first:last].astype(np.int32)))
            self.states = np.concatenate((self.states, states[first:last]))
            yield Stretch(self.document, n_before, self.states, logits[first:last], self.position)
            if self.document[-1] == self.end_of_text:
                self.begin(self.end_of_text)
            elif (surplus := len(self.document) - MEMORY) > 0:
                self.document, self.states = self.document[surplus:], self.states[surplus:]
                self.position += surplus
            first = last


@torch.no_grad()
def read_ranges(model: GPT, text: np.ndarray, ranges: np.ndarray, end_of_text: int) -> Iterator[Stretch]:
    """The stretches of `ranges` of the text, of FIT_STRETCH tokens, without logits: they would take too much memory."""
    no_logits, device = np.empty((0, 0), np.float32), next(model.parameters()).device
    for begin, end in ranges:
        document = np.append(end_of_text, text[begin:end].astype(np.int32)).astype(np.int32)
        tokens = torch.from_numpy(document[None, :-1].astype(np.int64))
        states = torch.cat([model.stream(window.to(device))[0].float().cpu()
                            for window in tokens.split(model.config.block_size, 1)]).numpy()
        for first in range(1, len(document), FIT_STRETCH):
            last, oldest = min(first + FIT_STRETCH, len(document)), max(0, first - MEMORY)
            yield Stretch(document[oldest:last], first - oldest, states[oldest:last - 1], no_logits, oldest)


# --- the fit -------------------------------------------------------------------------------------


def steps_for(max_minutes: float) -> int:
    """How many steps the fit may take in a run of so many minutes; 0: no limit. A tenth of the first half minute, less
    and less of a longer run."""
    steps = round(min(360 * max_minutes, 300 * max_minutes**0.5))
    return min(max(steps, FEWEST_STEPS), MOST_STEPS) if max_minutes else MOST_STEPS


def shuffled(n: int, random: np.random.Generator) -> Iterator[int]:
    """0 to n - 1, each once in random order, over and over."""
    while True:
        yield from random.permutation(n).tolist()


def fit(model: GPT, suffixes: Suffixes, ranges: np.ndarray, end_of_text: int, seed: int, n_steps: int,
        workers: Executor) -> Mixture:
    """A mixture whose gate is fitted to the text in `ranges`, with the counts of the rest; then it counts all."""
    gate = fit_gate(model, suffixes, ranges, end_of_text, seed, n_steps, workers)  # whose counts are gone by now
    return Mixture(suffixes, model.config.vocab_size, gate, end_of_text)


def fit_gate(model: GPT, suffixes: Suffixes, ranges: np.ndarray, end_of_text: int, seed: int, n_steps: int,
             workers: Executor) -> Gate:
    """The same of the gate alone: EPOCHS times to as much of the text as n_steps allow."""
    random, head = np.random.default_rng(seed), model.head.weight.detach().float().cpu().numpy().T
    gate = Gate.new(random)
    rest = Mixture(suffixes.without(ranges), model.config.vocab_size, gate, end_of_text)
    n_stretches = max(1, n_steps * STRETCHES_PER_STEP // EPOCHS)
    some = random.permutation(ranges)
    lengths = np.cumsum(some[:, 1] - some[:, 0])
    some = some[:1 + np.searchsorted(lengths, 2 * FIT_STRETCH * n_stretches)]
    stretches = list(read_ranges(model, suffixes.text, some, end_of_text))
    stretches = [stretches[i] for i in random.permutation(len(stretches))[:n_stretches]]

    def gather(i: int) -> Evidence:
        stretch = stretches[i]
        return rest.gather(stretch._replace(logits=stretch.states[stretch.first - 1:] @ head))

    def gradients(i: int) -> list[np.ndarray]:
        return Forward(rest, gather(i)).gradients(stretches[i].document[stretches[i].first:])

    features = np.concatenate([evidence.features for evidence in workers.map(gather, range(len(stretches)))])
    gate.mean, gate.deviation = features.mean(0), features.std(0) + np.float32(1e-2)
    weights = [torch.from_numpy(array) for array in gate.weights]  # the same memory
    optimizer = AdamW([Group(weights, LEARNING_RATE)])
    draws = shuffled(len(stretches), random)
    for step in range(n_steps):
        parts = list(workers.map(gradients, [next(draws) for _ in range(STRETCHES_PER_STEP)]))
        for weight, *each in zip(weights, *parts, strict=True):
            weight.grad = torch.from_numpy(sum(each) / np.float32(FIT_STRETCH * STRETCHES_PER_STEP))
        optimizer.step(1 - step / n_steps)
    return gate


def gate_of(state: State) -> Gate | None:
    """The gate that a release holds; None if it is of another release of this program."""
    return gate_from({name: value.float().numpy() for name, value in state["gate"].items()
                      if isinstance(value, torch.Tensor) and value.layout is torch.strided})
