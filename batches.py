"""Batches: the token bins, and which windows of them to train on in which order.

A plan lasts until the bins grow. The first epoch after growth has all new windows and a share of old ones; every other
epoch has all there are. Nothing is drawn twice within an epoch, and (plan, epoch, index) says exactly where one stands.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

import tokenizer as tokenizers
from pipeline import StageError

MAKE_BINS = "run python3 run.py --only prepare."


# --- the bins ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Bins:
    """Training and validation tokens, and how long both were after each growth step."""

    train: Path
    val: Path
    growth: list[list[int]]  # [train tokens, val tokens] after each growth step, cumulative
    vocab_size: int
    tokenizer: tokenizers.Tokenizer | None = None  # None: bins of unknown origin, without bits a byte
    retokenized_from: tuple[str, ...] = ()  # hashes of the tokenizers before this one

    @property
    def tokenizer_hash(self) -> str:
        return self.tokenizer.hash if self.tokenizer else ""


def open_bins(root: Path, vocab_size: int) -> Bins:
    """The bins of `root`, checked. Raises StageError if they are missing, torn or of another tokenizer."""
    train, val = root / "data/train.bin", root / "data/val.bin"
    growth, tokenizer = [[count_tokens(train), count_tokens(val)]], None
    earlier: list[str] = []
    if (root / "data/bins.json").exists():
        tokenizer = tokenizers.load(root / "data/tokenizer")
        growth, earlier = read_bins_json(root / "data/bins.json", growth[0], tokenizer)
        vocab_size = tokenizer.vocab_size
    elif not vocab_size:
        raise StageError("There is no data/bins.json beside the bins.",
                         "this file, which tells the size of the vocabulary.",
                         "run python3 run.py --only prepare, or give --set train.vocab_size=N.")
    if growth[-1][1] < 2:
        raise StageError(f"{val} holds {growth[-1][1]} tokens.", "at least two.",
                         f"collect more text, then {MAKE_BINS}")
    for path, n_tokens in zip((train, val), growth[-1], strict=True):
        check_ids(path, n_tokens, vocab_size)
    return Bins(train, val, growth, vocab_size, tokenizer, tuple(earlier))


def read_bins_json(path: Path, lengths: list[int],
                   tokenizer: tokenizers.Tokenizer) -> tuple[list[list[int]], list[str]]:
    """The growth steps, and the hashes of earlier tokenizers. What the bins hold beyond the last step is not committed
    and not read."""
    try:
        info = json.loads(path.read_text(encoding="utf-8"))
        growth = [[int(step["train_tokens"]), int(step["val_tokens"])] for step in info["growth"]]
        if info["tokenizer_hash"] == tokenizer.hash and lengths[0] >= growth[-1][0] and lengths[1] >= growth[-1][1]:
            return growth, [str(earlier) for earlier in info.get("retokenized_from", [])]
    except (ValueError, KeyError, TypeError, IndexError):
        pass
    raise StageError(f"{path} does not fit the bins and the tokenizer beside it.", "files that were made together.",
                     MAKE_BINS)


def count_tokens(path: Path) -> int:
    try:
        n_bytes = path.stat().st_size
    except FileNotFoundError:
        raise StageError(f"There is no {path}.", "token bins.", MAKE_BINS) from None
    if n_bytes % 2:
        raise StageError(f"{path} has an odd number of bytes ({n_bytes}).", "two bytes a token.",
                         MAKE_BINS)
    return n_bytes // 2


def check_ids(path: Path, n_tokens: int, vocab_size: int) -> None:
    """Raises StageError for an id outside of the vocabulary."""
    if bad := tokenizers.first_bad_id(path, n_tokens, vocab_size):
        raise StageError(f"{path} holds the id {bad.id}.", f"ids below vocab_size = {vocab_size}.",
                         "run python3 run.py --only prepare, or correct train.vocab_size.")


# --- the order of the data -----------------------------------------------------------------------


@dataclass(frozen=True)
class Position:
    """Where training stands in its data. A plan lasts until the bins grow."""

    growth: list[list[int]]  # of the bins, as the plan found them
    plan: int = 1
    old_tokens: int = 0  # how much of train.bin the model knew before this plan
    epoch: int = 0
    index: int = 0  # windows of this epoch that were handed out

    @property
    def tokens(self) -> int:
        return self.growth[-1][0]

    @property
    def old_val_tokens(self) -> int:
        return max((val for train, val in self.growth if train <= self.old_tokens), default=0)


def position_for(position: Position | None, growth: list[list[int]]) -> Position:
    """`position` if the bins are as it knows them, else the beginning of a new plan."""
    if position is None:
        return Position(growth)
    if position.growth == growth:
        return position
    has_grown = growth[:len(position.growth)] == position.growth  # if not, the bins were made anew: all is new
    seen = position.tokens if position.epoch else position.old_tokens  # text not yet gone through is still new
    return Position(growth, position.plan + 1, seen if has_grown else 0)


def epoch_windows(position: Position, block_size: int, replay_share: float, seed: int) -> np.ndarray:
    """Where the windows of one epoch start in train.bin, shuffled; int64. A window is block_size tokens and a target.

    Windows do not overlap, and the grid on which they lie moves from epoch to epoch. The first epoch after growth has
    all new windows and `replay_share` times as many old ones; every other epoch has all there are.
    """
    rng = np.random.default_rng([seed, position.plan, position.epoch])
    n, old = position.tokens, position.old_tokens
    if position.epoch or not old:
        return rng.permutation(_grid(rng, n, block_size))
    n_new = -(-(n - old) // block_size)  # the first one reaches back into old text if they do not come out even
    new = np.arange(n - 1 - n_new * block_size, n - 1, block_size)
    replayed = rng.permutation(_grid(rng, old, block_size))[:round(replay_share * n_new)]
    return rng.permutation(np.concatenate((np.maximum(new, 0), replayed)))


def _grid(rng: np.random.Generator, n: int, block_size: int) -> np.ndarray:
    """Starts of non-overlapping windows in the first n tokens, from an offset below block_size."""
    if n <= block_size:
        return np.empty(0, dtype=np.int64)
    return np.arange(rng.integers(min(block_size, n - block_size)), n - block_size, block_size)


class Batches:
    """Hands out windows of train.bin in their planned order, and knows where it stands."""

    def __init__(self, path: Path, position: Position, block_size: int, replay_share: float, seed: int) -> None:
        if position.tokens <= block_size:
            raise StageError(f"{path} holds {position.tokens} tokens.", f"more than block_size = {block_size}.",
                             "collect more text, or make train.block_size smaller and remove checkpoints/ckpt.pt.")
        self.path, self.position = path, position
        self.block_size, self.replay_share, self.seed = block_size, replay_share, seed
        self.starts = self._epoch_windows()

    def _epoch_windows(self) -> np.ndarray:
        return epoch_windows(self.position, self.block_size, self.replay_share, self.seed)

    def next(self, batch_size: int) -> tuple[Tensor, Tensor]:
        """idx and targets, int64 (batch_size, block_size); across the end of an epoch when it comes."""
        parts, missing = [], batch_size
        while missing:
            if self.position.index == len(self.starts):
                self.position = dataclasses.replace(self.position, epoch=self.position.epoch + 1, index=0)
                self.starts = self._epoch_windows()
            index = self.position.index
            parts.append(self.starts[index:index + missing])
            self.position = dataclasses.replace(self.position, index=index + len(parts[-1]))
            missing -= len(parts[-1])
        return read_windows(self.path, np.concatenate(parts), self.block_size)


def read_windows(path: Path, starts: np.ndarray, length: int) -> tuple[Tensor, Tensor]:
    """The windows at `starts`: idx and targets, int64 (len(starts), length)."""
    # The map is made anew each time: kept, every page it ever touched would count as memory of ours (nanoGPT PR 428).
    tokens = np.memmap(path, dtype="<u2", mode="r")
    windows = torch.from_numpy(tokens[starts[:, None] + np.arange(length + 1)].astype(np.int64))
    return windows[:, :-1], windows[:, 1:]
