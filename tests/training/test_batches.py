"""python3 -m pytest tests/training/test_batches.py"""

import dataclasses
from pathlib import Path

import numpy as np

from miniature_memory.training.batches import Batches, Position, epoch_windows, position_for, read_windows


def targets_of(windows: np.ndarray, block_size: int) -> list[int]:
    return sorted((windows[:, None] + 1 + np.arange(block_size)).ravel().tolist())


def test_an_epoch_has_each_token_once() -> None:
    position = Position([[1003, 0]])
    windows = epoch_windows(position, 8, 0.5, seed=1)
    targets = targets_of(windows, 8)
    assert targets == list(range(targets[0], targets[-1] + 1))
    assert targets[0] <= 8 and targets[-1] >= 1002 - 8


def test_epochs_differ_in_order_and_in_grid() -> None:
    first, again, second = (epoch_windows(Position([[1003, 0]], epoch=e), 8, 0.5, seed=1) for e in (0, 0, 1))
    assert first.tolist() == again.tolist() != sorted(first)
    assert set(first % 8) != set(second % 8)


def test_growth_plan_has_all_new_windows_once_and_a_share_of_old_ones() -> None:
    position = Position([[1000, 0], [1163, 0]], plan=2, old_tokens=1000)
    windows = epoch_windows(position, 8, 0.5, seed=1)
    new, old = windows[windows + 8 >= 1000], windows[windows + 8 < 1000]
    assert targets_of(new, 8)[-163:] == list(range(1000, 1163))
    assert len(new) == 21 and len(old) == round(0.5 * 21)
    assert len(set(old)) == len(old)
    assert len(epoch_windows(dataclasses.replace(position, epoch=1), 8, 0.5, seed=1)) >= 144


def test_new_plan_begins_when_the_bins_have_grown() -> None:
    position = Position([[1000, 50]], epoch=3, index=7)
    assert position_for(position, [[1000, 50]]) is position
    grown = position_for(position, [[1000, 50], [1500, 80]])
    assert (grown.plan, grown.old_tokens, grown.old_val_tokens, grown.epoch, grown.index) == (2, 1000, 50, 0, 0)


def test_text_not_read_once_is_still_new_in_the_next_plan() -> None:
    position = Position([[1000, 50], [1500, 80]], plan=2, old_tokens=1000, epoch=0, index=3)
    assert position_for(position, [[1000, 50], [1500, 80], [1600, 90]]).old_tokens == 1000


def test_rebuilt_bins_are_all_new() -> None:
    assert position_for(Position([[1000, 50]], epoch=1), [[1100, 50]]) == Position([[1100, 50]], plan=2)


def test_batch_is_the_text_and_its_next_token(root: Path) -> None:
    tokens = np.fromfile(root / "data/train.bin", dtype="<u2")
    idx, targets = read_windows(root / "data/train.bin", np.array([3, 500]), 8)
    assert idx.tolist() == [tokens[3:11].tolist(), tokens[500:508].tolist()]
    assert targets.tolist() == [tokens[4:12].tolist(), tokens[501:509].tolist()]


def test_fewer_windows_than_a_batch_wrap_around(root: Path) -> None:
    batches = Batches(root / "data/train.bin", Position([[20, 0]]), 8, 0.5, seed=1)
    assert batches.next(50)[0].shape == (50, 8)
    assert batches.position.epoch >= 24


def test_growth_of_validation_text_alone_continues_with_all_text(root: Path) -> None:
    position = Position([[1000, 50], [1000, 60]], plan=2, old_tokens=1000)
    batches = Batches(root / "data/train.bin", position, 8, 0.5, seed=1)
    assert batches.next(4)[0].shape == (4, 8)
    assert batches.position.epoch == 1
