"""Evaluation: validation loss in nats per token, and in bits per byte, which compares across tokenizers."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from miniature_memory.training.batches import read_windows
from model import GPT

Scores = dict[str, float | None]


@torch.no_grad()
def evaluate(model: GPT, path: Path, n_tokens: int, old_tokens: int, token_bytes: np.ndarray | None,
             batch_size: int, max_windows: int = 0) -> Scores:
    """Validation loss (nats per token) and bits per byte: of all, of the first `old_tokens` (_old), of the rest (_new).

    token_bytes: int32 (vocab_size,), 0 for special tokens, which do not count in bits per byte; None: no bits per byte.
    A figure is None where there is nothing to measure.
    """
    device = next(model.parameters()).device
    sums = np.zeros((2, 4))  # old, new: nats, targets, nats of targets that have bytes, bytes
    for starts, length in val_batches(n_tokens, model.config.block_size, batch_size, max_windows):
        idx, targets = read_windows(path, starts, length)
        logits = model(idx.to(device)).float()  # (B, T, V)
        losses = F.cross_entropy(logits.flatten(0, 1), targets.flatten().to(device), reduction="none")
        nats = losses.view(targets.shape).cpu().double().numpy()  # (B, T)
        n_bytes = token_bytes[targets.numpy()] if token_bytes is not None else np.zeros(nats.shape)
        is_old = starts[:, None] + 1 + np.arange(length) < old_tokens
        for total, part in zip(sums, (is_old, ~is_old), strict=True):
            total += (nats[part].sum(), part.sum(), nats[part & (n_bytes > 0)].sum(), n_bytes[part].sum())
    scores: Scores = {}
    for suffix, row in (("", sums.sum(0)), ("_old", sums[0]), ("_new", sums[1])):
        all_nats, n, nats, n_bytes = row.tolist()
        scores[f"val_loss{suffix}"] = all_nats / n if n else None
        scores[f"val_bpb{suffix}"] = nats / n_bytes / math.log(2) if n_bytes else None
    return scores


def val_batches(n_tokens: int, block_size: int, batch_size: int,
                max_windows: int = 0) -> Iterator[tuple[np.ndarray, int]]:
    """(starts, length) of consecutive non-overlapping windows that have each token but the first as a target once.

    With `max_windows` no more than that many, evenly spread.
    """
    starts = np.arange(0, n_tokens - 1, block_size)
    if max_windows and len(starts) > max_windows:
        starts = starts[np.linspace(0, len(starts) - 1, max_windows).astype(int)]
    full = starts[starts < n_tokens - block_size]
    for first in range(0, len(full), batch_size):
        yield full[first:first + batch_size], block_size
    if len(starts) > len(full):
        yield starts[-1:], int(n_tokens - 1 - starts[-1])


def figure(entry: dict[str, Any]) -> float:
    """What releases are compared by: bits per byte, or the loss where there are none."""
    return float(entry["val_loss"] if entry["val_bpb"] is None else entry["val_bpb"])


def format_scores(scores: Scores) -> str:
    if scores["val_bpb"] is None:
        return f"{scores['val_loss']:.3f} nats per token"
    return f"{scores['val_bpb']:.3f} bits per byte ({scores['val_loss']:.3f} nats per token)"
