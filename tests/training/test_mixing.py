"""python3 -m pytest tests/training/test_mixing.py: the text that is held back, the fit, and the figures of both."""

import dataclasses
import math
import time
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import TINY, write_bins

from miniature_memory.counting.mixture import Mixture, Stretch
from miniature_memory.training import evaluation, mixing
from miniature_memory.training.batches import NOTHING, Position, epoch_windows
from miniature_memory.training.bins import open_bins
from miniature_memory.training.checkpoint import load_state
from miniature_memory.training.evaluation import evaluate, evaluate_both, val_batches
from miniature_memory.training.mixing import held_back
from miniature_memory.training.releases import mix_and_evaluate
from miniature_memory.training.trainer import Trainer
from train import train

pytestmark = pytest.mark.usefixtures("one_thread")
END = 256


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred tokens are enough to hold some back, and the fit is short."""
    for name, value in {"LEAST_HELD_BACK": 40, "LEAST_TEXT": 100, "FEWEST_STEPS": 3, "MOST_STEPS": 12}.items():
        monkeypatch.setattr(mixing, name, value)


@pytest.fixture
def trainer(root: Path) -> Iterator[Trainer]:
    write_bins(root, [2000])
    yield Trainer(TINY, root, open_bins(root, 0), time.monotonic())


# --- the text that is held back ------------------------------------------------------------------


def test_what_is_held_back_stays_so_as_the_bins_grow(root: Path) -> None:
    write_bins(root, [1000, 1060, 3000])
    path, growth = root / "data/train.bin", [[1000, 0], [1060, 0], [3000, 0]]
    first, all_steps = held_back(path, growth[:1], END), held_back(path, growth, END)
    assert len(first) and np.array_equal(first, all_steps[:len(first)])
    assert all_steps[len(first):].min() >= 1060  # a step of 60 tokens is too short
    assert (np.diff(all_steps, axis=1) > 0).all() and (all_steps[1:, 0] >= all_steps[:-1, 1]).all()
    text = np.fromfile(path, "<u2")
    for begin, _ in all_steps:
        assert begin == 0 or text[begin - 1] == END
    assert np.diff(first).sum() == 40


def test_no_window_touches_what_is_held_back() -> None:
    ranges = np.array([[0, 10], [100, 101], [333, 400]])
    for position in (Position([[1000, 0]]), Position([[600, 0], [1000, 0]], plan=2, old_tokens=600),
                     Position([[1000, 0]], epoch=3)):
        everything = epoch_windows(position, 8, 0.5, 7)
        starts = epoch_windows(position, 8, 0.5, 7, ranges)
        touches = [any(s < last and first < s + 9 for first, last in ranges) for s in everything]
        assert sorted(starts) == sorted(everything[~np.array(touches)])
        assert any(touches)


def test_without_counts_nothing_is_held_back(root: Path) -> None:
    write_bins(root, [2000])
    config = dataclasses.replace(TINY, counts=False)
    assert len(Trainer(config, root, open_bins(root, 0), time.monotonic()).held_back) == 0
    released = train(config, root, time.monotonic()).facts
    state = load_state(root / "checkpoints/release.pt")
    assert state is not None and state["gate"] == {}
    assert "val_bpb_network" not in released


def test_a_text_too_short_is_trained_on_whole(root: Path) -> None:
    assert held_back(root / "data/train.bin", [[99, 0]], END).shape == NOTHING.shape


def test_what_is_held_back_is_found_in_a_text_of_any_length(tmp_path: Path) -> None:
    text = np.zeros(8_000_000, "<u2")
    text[999::1000] = END
    text.tofile(tmp_path / "train.bin")
    tracemalloc.start()
    ranges = held_back(tmp_path / "train.bin", [[len(text), 0]], END)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert np.diff(ranges).sum() == mixing.MOST_HELD_BACK
    assert peak < 6_000_000  # one bool per token would be 8 MB


# --- the release ---------------------------------------------------------------------------------


def test_a_release_has_a_gate_and_the_figures_of_both(root: Path) -> None:
    write_bins(root, [2000])
    facts = train(dataclasses.replace(TINY, max_iters=40), root, time.monotonic()).facts
    state = load_state(root / "checkpoints/release.pt")
    assert state is not None and state["gate"]
    assert facts["val_bpb"] < facts["val_bpb_network"]  # the text is a loop of twenty letters
    kept = load_state(next((root / "checkpoints/history").glob("*.pt")))
    assert kept is not None and all(torch.equal(kept["gate"][name], state["gate"][name]) for name in state["gate"])


def test_the_same_seed_fits_the_same_gate(trainer: Trainer) -> None:
    gates = [mix_and_evaluate(trainer)[0].gate.weights for _ in range(2)]  # type: ignore[union-attr]
    assert all(np.array_equal(a, b) for a, b in zip(*gates, strict=True))
    assert gates[0][2].any()


def slow_nats(trainer: Trainer, mixture: Mixture, ids: np.ndarray) -> list[float]:
    """Of each token but the first, one after the other: the network sees its window, the counts the document."""
    model, nats, states = trainer.model, [], torch.zeros(0, trainer.model.config.n_embd)
    for target in range(1, len(ids)):
        window = (target - 1) // 8 * 8
        stream = model.stream(torch.from_numpy(ids[None, window:target].astype(np.int64)))[0, -1:].detach()
        begin = max([p for p in range(target) if ids[p] == END], default=0)
        states = torch.cat((states, stream)) if target - 1 > begin else stream
        stretch = Stretch(ids[begin:target + 1].astype(np.int32), target - begin, states.numpy(),
                          model.head(stream).detach().numpy())
        nats.append(-mixture.log_probs(stretch)[0, ids[target]].item())
    return nats


def test_figures_equal_slow_ones(trainer: Trainer) -> None:
    for _ in range(30):
        trainer.iterate()
    mixture, _ = mix_and_evaluate(trainer)
    assert mixture is not None
    path, n = trainer.bins.val, 150
    sizes = np.arange(257, dtype=np.int32) % 4 * (np.arange(257) < 256)
    with ThreadPoolExecutor(1) as pool:
        scores = evaluate_both(trainer.model, mixture, path, n, 40, sizes, 4, pool)
    nats = np.array(slow_nats(trainer, mixture, np.fromfile(path, "<u2")[:n]))
    assert scores["val_loss"] == pytest.approx(nats.mean(), rel=1e-4)
    assert scores["val_loss_old"] == pytest.approx(nats[:39].mean(), rel=1e-4)
    n_bytes = sizes[np.fromfile(path, "<u2")[1:n]]
    assert scores["val_bpb"] == pytest.approx(nats[n_bytes > 0].sum() / n_bytes.sum() / math.log(2), rel=1e-4)
    alone = evaluate(trainer.model, path, n, 0, sizes, 4)
    assert scores["val_bpb_network"] == pytest.approx(alone["val_bpb"])
    assert scores["val_loss_network"] == pytest.approx(alone["val_loss"])


def test_a_long_text_is_measured_in_runs_of_windows(trainer: Trainer, monkeypatch: pytest.MonkeyPatch) -> None:
    mixture, _ = mix_and_evaluate(trainer)
    assert mixture is not None
    monkeypatch.setattr(evaluation, "MOST_EVALUATED", 100)
    monkeypatch.setattr(evaluation, "RUN_TOKENS", 20)
    path, sizes = trainer.bins.val, np.ones(257, dtype=np.int32)
    found = [(int(start), length) for starts, length in val_batches(190, 8, 4) for start in starts]
    assert found == [*[(8 * i, 8) for first in (0, 10, 20) for i in range(first, first + 4)][:-1], (184, 5)]
    with ThreadPoolExecutor(1) as pool:
        scores = evaluate_both(trainer.model, mixture, path, 190, 0, sizes, 4, pool)
    ids = np.fromfile(path, "<u2")
    nats = [slow_nats(trainer, mixture, ids[begin:end]) for begin, end in ((0, 33), (80, 113), (160, 190))]
    assert scores["val_loss"] == pytest.approx(np.concatenate(nats).mean(), rel=1e-4)
    assert evaluate(trainer.model, path, 190, 0, sizes, 4)["val_loss"] == pytest.approx(scores["val_loss_network"])


def test_a_document_longer_than_the_memory_is_cut(trainer: Trainer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mixing, "MEMORY", 20)
    stretches = mixing.Stretches(END, 4)
    ids = np.full(100, 97)
    found = list(stretches.cut(ids, np.arange(400.0).reshape(100, 4), np.zeros((100, 2)), 7))
    assert sum(len(each.document) - each.first for each in found) == 100
    for each in found:
        assert len(each.document) <= 27 and len(each.states) == len(each.document) - 1
        assert each.position + len(each.document) <= 101
        assert np.array_equal(each.states[-1], np.arange(400.0).reshape(100, 4)[each.position + len(each.document) - 2])
