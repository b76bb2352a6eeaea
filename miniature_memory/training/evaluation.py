"""Evaluation: validation loss in nats per token, and in bits per byte, which compares across tokenizers."""

import math
from collections.abc import Iterator
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from miniature_memory.counting.mixture import Mixture, Stretch
from miniature_memory.training.batches import read_windows
from miniature_memory.training.mixing import Stretches
from model import GPT

Scores = dict[str, float | None]

STRETCH = 256  # tokens that are mixed at once
MOST_EVALUATED = 1 << 18  # tokens of validation text: of a longer one, runs of windows that are evenly spread
RUN_TOKENS = 1 << 13  # at least, of such a run: so the counts see most of its documents from their beginning. Guess


@torch.no_grad()
def evaluate(model: GPT, path: Path, n_tokens: int, old_tokens: int, token_bytes: np.ndarray | None,
             batch_size: int, max_windows: int = 0) -> Scores:
    """The network's validation loss (nats per token) and bits per byte, over consecutive windows: of all, of the first
    `old_tokens` (_old), of the rest (_new).

    token_bytes: int32 (vocab_size,), 0 for special tokens, which do not count in bits per byte; None: no bits per byte.
    A figure is None where there is nothing to measure.
    """
    sums, device = Sums(token_bytes, old_tokens), next(model.parameters()).device
    for starts, length in val_batches(n_tokens, model.config.block_size, batch_size, max_windows):
        idx, targets = read_windows(path, starts, length)
        logits = model(idx.to(device)).float()  # (B, T, V)
        sums.add(starts, targets, nats_of(logits.log_softmax(-1), targets.to(device)))
    return sums.scores()


@torch.no_grad()
def evaluate_both(model: GPT, mixture: Mixture, path: Path, n_tokens: int, old_tokens: int, token_bytes: np.ndarray,
                  batch_size: int, workers: Executor) -> Scores:
    """The mixture's figures, and as val_loss_network and val_bpb_network the network's: it reads the same windows as in
    evaluate(), the counts each document from its beginning."""
    whole, network = Sums(token_bytes, old_tokens), Sums(token_bytes, old_tokens)
    stretches, device = Stretches(mixture.end_of_text, model.config.n_embd), next(model.parameters()).device
    run_end = -1

    def nats(stretch: Stretch) -> np.ndarray:
        log_p = mixture.log_probs(stretch)
        found: np.ndarray = -log_p[np.arange(len(log_p)), stretch.document[stretch.first:]].astype(np.float64)
        return found

    for starts, length in val_batches(n_tokens, model.config.block_size, batch_size):
        idx, targets = read_windows(path, starts, length)
        states = model.stream(idx.to(device))  # (B, T, C)
        states, logits = states.float().cpu(), model.head(states).float().cpu()
        network.add(starts, targets, nats_of(logits.log_softmax(-1), targets))
        if starts[0] != run_end:
            stretches.begin(int(read_windows(path, starts[:1], 1)[0]))
        run_end = starts[-1] + length
        cut = stretches.cut(targets.flatten().numpy(), states.flatten(0, 1).numpy(), logits.flatten(0, 1).numpy(),
                            STRETCH)
        whole.add(starts, targets, np.concatenate(list(workers.map(nats, cut))).reshape(targets.shape))
    of_network = network.scores()
    return whole.scores() | {f"{name}_network": of_network[name] for name in ("val_loss", "val_bpb")}


def nats_of(log_p: Tensor, targets: Tensor) -> np.ndarray:
    """float64, of the targets' shape."""
    nats: np.ndarray = -log_p.gather(-1, targets.long().unsqueeze(-1)).squeeze(-1).cpu().double().numpy()
    return nats


class Sums:
    """Losses added up: of old and of new text."""

    def __init__(self, token_bytes: np.ndarray | None, old_tokens: int) -> None:
        self.token_bytes, self.old_tokens = token_bytes, old_tokens
        self.sums = np.zeros((2, 4))  # old, new: nats, targets, nats of targets that have bytes, bytes

    def add(self, starts: np.ndarray, targets: Tensor, nats: np.ndarray) -> None:
        """targets and nats: (B, T), of the windows at `starts`."""
        n_bytes = self.token_bytes[targets.cpu().numpy()] if self.token_bytes is not None else np.zeros(nats.shape)
        is_old = starts[:, None] + 1 + np.arange(nats.shape[1]) < self.old_tokens
        for total, part in zip(self.sums, (is_old, ~is_old), strict=True):
            total += (nats[part].sum(), part.sum(), nats[part & (n_bytes > 0)].sum(), n_bytes[part].sum())

    def scores(self) -> Scores:
        scores: Scores = {}
        for suffix, row in (("", self.sums.sum(0)), ("_old", self.sums[0]), ("_new", self.sums[1])):
            all_nats, n, nats, n_bytes = row.tolist()
            scores[f"val_loss{suffix}"] = all_nats / n if n else None
            scores[f"val_bpb{suffix}"] = nats / n_bytes / math.log(2) if n_bytes else None
        return scores


def val_batches(n_tokens: int, block_size: int, batch_size: int,
                max_windows: int = 0) -> Iterator[tuple[np.ndarray, int]]:
    """(starts, length) of consecutive non-overlapping windows that have each token but the first as a target once; in a
    text longer than MOST_EVALUATED, of evenly spread runs of them, each of whole batches.

    With `max_windows` no more than that many, evenly spread.
    """
    starts, run = np.arange(0, n_tokens - 1, block_size), 1
    if not max_windows and n_tokens > MOST_EVALUATED:
        max_windows, run = MOST_EVALUATED // block_size, batch_size * math.ceil(RUN_TOKENS / (batch_size * block_size))
    if max_windows and len(starts) > max(max_windows, run):
        firsts = np.linspace(0, len(starts) - run, max(1, max_windows // run)).astype(int)
        starts = starts[(firsts[:, None] + np.arange(run)).ravel()]
    full = starts[starts < n_tokens - block_size]
    for first in range(0, len(full), batch_size):
        yield full[first:first + batch_size], block_size
    if len(starts) > len(full):
        yield starts[-1:], int(n_tokens - 1 - starts[-1])


def figure(entry: dict[str, Any]) -> float:
    """The score by which releases are compared: bits per byte, or the loss if there are none."""
    return float(entry["val_loss"] if entry["val_bpb"] is None else entry["val_bpb"])


def format_scores(scores: Scores) -> str:
    if scores["val_bpb"] is None:
        return f"{scores['val_loss']:.3f} nats per token"
    network = scores.get("val_bpb_network")
    alone = f"; the network alone {network:.3f}" if network else ""
    return f"{scores['val_bpb']:.3f} bits per byte ({scores['val_loss']:.3f} nats per token{alone})"
