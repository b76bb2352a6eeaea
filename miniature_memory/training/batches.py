"""Batches: which windows of train.bin to train on, in which order.

A plan lasts until the bins grow. The first epoch after growth has all new windows and a share of old ones; every other
epoch has all there are. Nothing is drawn twice within an epoch, and (plan, epoch, index) says exactly where one stands.
"""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from miniature_memory.core.errors import StageError
from miniature_memory.core.paths import command
from miniature_memory.training.checkpoint import move_aside

NOTHING = np.empty((0, 2), np.int64)  # held back


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
    has_grown = growth[:len(position.growth)] == position.growth  # if not, the bins were rebuilt: all is new
    seen = position.tokens if position.epoch else position.old_tokens  # text not yet read once is still new
    return Position(growth, position.plan + 1, seen if has_grown else 0)


def epoch_windows(position: Position, block_size: int, replay_share: float, seed: int,
                  held_back: np.ndarray = NOTHING) -> np.ndarray:
    """Where the windows of one epoch start in train.bin, shuffled; int64. A window is block_size tokens and a target.

    Windows do not overlap, and their grid moves from epoch to epoch. The first epoch after growth has
    all new windows and `replay_share` times as many old ones; every other epoch has all there are. Windows that overlap
    `held_back`, int64 (n, 2) and ascending, are skipped.
    """
    rng = np.random.default_rng([seed, position.plan, position.epoch])
    n, old = position.tokens, position.old_tokens
    if position.epoch or not old:
        return rng.permutation(_outside(held_back, _grid(rng, n, block_size), block_size))
    n_new = -(-(n - old) // block_size)  # the first one reaches back into old text if they do not come out even
    new = np.arange(n - 1 - n_new * block_size, n - 1, block_size)
    replayed = rng.permutation(_grid(rng, old, block_size))[:round(replay_share * n_new)]
    return rng.permutation(_outside(held_back, np.concatenate((np.maximum(new, 0), replayed)), block_size))


def _grid(rng: np.random.Generator, n: int, block_size: int) -> np.ndarray:
    """Starts of non-overlapping windows in the first n tokens, from an offset below block_size."""
    if n <= block_size:
        return np.empty(0, dtype=np.int64)
    return np.arange(rng.integers(min(block_size, n - block_size)), n - block_size, block_size)


def _outside(held_back: np.ndarray, starts: np.ndarray, block_size: int) -> np.ndarray:
    """Those of the windows at `starts` that touch none of the ranges."""
    if not len(held_back):
        return starts
    next_range = np.searchsorted(held_back[:, 1], starts, "right")
    begins = np.append(held_back[:, 0], np.iinfo(np.int64).max)[next_range]
    return starts[begins > starts + block_size]


class Batches:
    """Hands out windows of train.bin in their planned order, and knows where it stands."""

    def __init__(self, path: Path, position: Position, block_size: int, replay_share: float, seed: int,
                 held_back: np.ndarray = NOTHING) -> None:
        if position.tokens <= block_size:
            raise StageError(f"{path} holds {position.tokens} tokens.", f"more than train.block_size = {block_size}.",
                             f"collect more text: {command('run.py', path.parents[1])}; or start a new model "
                             f"with a shorter context: --set train.block_size={max(1, position.tokens // 2)} (after: "
                             f"{move_aside(path.parents[1] / 'checkpoints/ckpt.pt')})")
        self.path, self.position = path, position
        self.block_size, self.replay_share, self.seed, self.held_back = block_size, replay_share, seed, held_back
        self.starts = self._epoch_windows()

    def _epoch_windows(self) -> np.ndarray:
        return epoch_windows(self.position, self.block_size, self.replay_share, self.seed, self.held_back)

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
    # The map is made each time: kept, every page it ever touched would count as memory of ours (nanoGPT PR 428).
    tokens = np.memmap(path, dtype="<u2", mode="r")
    windows = torch.from_numpy(tokens[starts[:, None] + np.arange(length + 1)].astype(np.int64))
    return windows[:, :-1], windows[:, 1:]
