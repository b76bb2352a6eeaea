"""python3 -m pytest tests/training/test_train.py"""

import dataclasses
import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import TINY, write_bins

from miniature_memory.core.errors import Stopped
from miniature_memory.core.paths import PROJECT
from miniature_memory.core.process import catch_signals
from miniature_memory.core.stage import StageStats
from miniature_memory.counting.suffixes import MOST_TOKENS
from miniature_memory.training import optim, sizing
from miniature_memory.training.bins import open_bins
from miniature_memory.training.checkpoint import load_state
from miniature_memory.training.config import TrainConfig
from miniature_memory.training.evaluation import evaluate
from miniature_memory.training.optim import rate_at
from miniature_memory.training.sizing import check_memory, choose_device, choose_size, model_config
from miniature_memory.training.trainer import Trainer, ngram_dropout
from model import GPT, GPTConfig
from train import run, train

pytestmark = pytest.mark.usefixtures("one_thread")


def losses_of(config: TrainConfig, root: Path) -> dict[int, float]:
    """The loss of each iteration of one run."""
    losses: dict[int, float] = {}
    train(config, root, time.monotonic(), losses.__setitem__)
    return losses


def checkpoint(root: Path, name: str = "ckpt.pt") -> dict:
    state = load_state(root / "checkpoints" / name)
    assert state is not None
    return state


# --- schedule and evaluation ---------------------------------------------------------------------


def test_learning_rate_rises_stays_and_falls() -> None:
    config = TrainConfig(warmup_iters=9)
    assert [rate_at(i, 0.0, config) for i in (0, 4, 9, 10_000)] == [0.1, 0.5, 1.0, 1.0]
    assert [rate_at(100, x, config) for x in (0.25, 1.0)] == [0.5, 0.0]


def test_each_epoch_drops_more_ngrams(root: Path) -> None:
    config = TrainConfig(dropout=0.1, dropout_growth=1.5)
    assert [ngram_dropout(config, epoch) for epoch in (0, 1, 2, 100)] == pytest.approx([0.1, 0.25, 0.4, 0.7])
    assert [ngram_dropout(TrainConfig(dropout=dropout), 9) for dropout in (0.0, 0.9)] == [0.0, 0.9]
    assert ngram_dropout(TrainConfig(dropout_growth=0.0), 9) == TrainConfig().dropout
    trainer = Trainer(dataclasses.replace(TINY, dropout=0.1), root, open_bins(root, 0), time.monotonic())
    while trainer.batches.position.epoch < 1:
        trainer.iterate()
    trainer.iterate()
    assert trainer.model.embedding.dropout == pytest.approx(0.25) and trainer.model.config.dropout == 0.1


def slow_scores(model: GPT, tokens: np.ndarray, token_bytes: np.ndarray, first: int, last: int) -> tuple[float, float]:
    """Nats per token and bits per byte of targets first .. last - 1, one at a time."""
    nats, nats_with_bytes, n_bytes, block_size = [], 0.0, 0, model.config.block_size
    for target in range(first, last):
        start = (target - 1) // block_size * block_size
        logits = model(torch.from_numpy(tokens[start:target].astype(np.int64))[None])[0, -1]
        nats.append(-torch.log_softmax(logits, -1)[tokens[target]].item())
        if token_bytes[tokens[target]]:
            nats_with_bytes += nats[-1]
            n_bytes += token_bytes[tokens[target]]
    return sum(nats) / len(nats), nats_with_bytes / n_bytes / math.log(2)


def test_evaluation_equals_a_slow_one(root: Path) -> None:
    torch.manual_seed(0)
    model = GPT(GPTConfig(block_size=8, vocab_size=257, n_layer=1, n_head=2, n_embd=16, ngram_rows=512))
    torch.nn.init.normal_(model.head.weight, std=0.3)
    tokens = np.fromfile(root / "data/val.bin", dtype="<u2")[:93]
    token_bytes = np.arange(257, dtype=np.int32) % 4 * (np.arange(257) < 256)
    scores = evaluate(model, root / "data/val.bin", 93, 40, token_bytes, batch_size=4)
    for suffix, first, last in (("", 1, 93), ("_old", 1, 40), ("_new", 40, 93)):
        expected = slow_scores(model, tokens, token_bytes, first, last)
        assert (scores[f"val_loss{suffix}"], scores[f"val_bpb{suffix}"]) == pytest.approx(expected, rel=1e-5)
    assert evaluate(model, root / "data/val.bin", 93, 0, None, batch_size=4)["val_bpb"] is None


# --- stop and go ---------------------------------------------------------------------------------


@pytest.mark.parametrize("n_threads", [1, 2])
def test_resumed_run_has_the_losses_of_an_uninterrupted_one(tmp_path: Path, n_threads: int) -> None:
    torch.set_num_threads(n_threads)  # from two on each computes windows of its own
    config = dataclasses.replace(TINY, dropout=0.1, max_iters=30)
    stop_at = int(np.random.default_rng().integers(1, 24))
    losses, whole = {}, tmp_path / "whole"
    for folder in (whole, tmp_path):
        write_bins(folder, [700])

    def stop(iter_num: int, loss: float) -> None:
        losses[iter_num] = loss
        if iter_num == stop_at:
            os.kill(os.getpid(), signal.SIGTERM)

    catch_signals()
    with pytest.raises(Stopped):
        train(config, tmp_path, time.monotonic(), stop)
    assert checkpoint(tmp_path)["iter_num"] == stop_at
    assert losses | losses_of(config, tmp_path) == losses_of(config, whole)
    assert len(losses) == stop_at


def test_workers_share_a_step(root: Path) -> None:
    gradients = []
    config = dataclasses.replace(TINY, dropout=0.0, gradient_accumulation_steps=2)
    for n_threads, n_workers in ((1, 1), (2, 2), (4, 4), (3, 1)):
        torch.set_num_threads(n_threads)
        trainer = Trainer(config, root, open_bins(root, 0), time.monotonic())
        assert trainer.n_workers == n_workers
        torch.nn.init.normal_(trainer.model.head.weight)
        torch.nn.init.normal_(trainer.model.blocks[0].mlp.proj.weight)
        loss = trainer._accumulate_gradients()
        gradients.append([torch.tensor(loss), *(p.grad.to_dense() for p in trainer.model.parameters())])
    for others in gradients[1:]:
        for ours, theirs in zip(others, gradients[0], strict=True):
            torch.testing.assert_close(ours, theirs)


def test_run_killed_with_9_resumes_to_the_same_losses(tmp_path: Path) -> None:
    for folder in ("killed", "whole"):
        write_bins(tmp_path / folder, [700])
    config = dataclasses.replace(TINY, max_iters=200, eval_minutes=0.002)
    whole = losses_of(config, tmp_path / "whole")
    program = ("import sys, time, train, torch; from pathlib import Path; from train import TrainConfig\n"
               "def slow(i, loss): time.sleep(0.005); i == 100 and print(flush=True)\n"
               f"torch.set_num_threads(1); train.train({config!r}, Path(sys.argv[1]), time.monotonic(), slow)")
    with subprocess.Popen([sys.executable, "-c", program, str(tmp_path / "killed")], stdout=subprocess.PIPE,
                          cwd=PROJECT) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.kill()
    resumed = losses_of(config, tmp_path / "killed")
    assert 1 < min(resumed) <= 161 and max(resumed) == 200
    assert resumed == {i: loss for i, loss in whole.items() if i >= min(resumed)}


def test_release_is_decayed_and_the_checkpoint_is_not(root: Path) -> None:
    run(TINY, root)
    assert checkpoint(root)["iter_num"] == 16 and checkpoint(root, "release.pt")["iter_num"] == 20
    assert "optimizer" not in checkpoint(root, "release.pt")
    assert not torch.equal(checkpoint(root)["model"]["head.weight"],
                           checkpoint(root, "release.pt")["model"]["head.weight"])


def test_second_run_continues_from_the_checkpoint_and_improves(root: Path) -> None:
    first = run(dataclasses.replace(TINY, max_iters=50), root)
    second = run(dataclasses.replace(TINY, max_iters=150), root)
    assert second.facts["iter_num"] == 150
    assert second.facts["val_bpb"] < first.facts["val_bpb"]
    assert (root / "checkpoints/ckpt.prev.pt").exists()
    assert [entry["iter_num"] for entry in checkpoint(root, "release.pt")["history"]] == [50, 150]


def test_run_that_has_reached_max_iters_is_skipped(root: Path) -> None:
    first, second = run(TINY, root), run(TINY, root)
    assert first.facts["stop_reason"] == "" and second.facts["stop_reason"] == "train.max_iters = 20 is reached"
    assert second.facts["summary"] == f"skipped: {second.facts['stop_reason']}"
    assert second.facts["val_bpb"] == first.facts["val_bpb"]


def test_run_ends_in_time(root: Path) -> None:
    now = [100.0]

    def take_a_while(iter_num: int, loss: float) -> None:
        now[0] += 0.01 if iter_num % 100 else 0.2

    config = dataclasses.replace(TINY, max_iters=0, max_minutes=0.05)
    stats = train(config, root, 99.5, take_a_while, lambda: now[0])
    assert 101.5 < now[0] <= 99.5 + 3 - 0.5  # reserved for the end of the process
    assert stats.facts["iter_num"] > checkpoint(root)["iter_num"] > 0


def test_training_stops_when_the_text_was_read_often_enough(root: Path) -> None:
    config = dataclasses.replace(TINY, max_iters=0, max_epochs=2)
    assert "the text was read 2 times" in run(config, root).facts["summary"]
    assert checkpoint(root)["position"]["epoch"] == 2
    assert "max_epochs" in run(config, root).facts["stop_reason"]


def test_growth_starts_a_plan_and_two_losses_are_reported(root: Path) -> None:
    config = dataclasses.replace(TINY, max_iters=50)
    assert run(config, root).facts["val_bpb_old"] is None
    write_bins(root, [1000, 1400])
    facts = run(dataclasses.replace(TINY, max_iters=100), root).facts
    assert facts["val_bpb_old"] and facts["val_bpb_new"] and facts["growth_step"] == 2
    assert checkpoint(root)["position"]["plan"] == 2


def test_worse_release_does_not_replace_a_better_one(root: Path) -> None:
    run(dataclasses.replace(TINY, max_iters=100), root)
    better = checkpoint(root, "release.pt")["model"]
    report = run(dataclasses.replace(TINY, max_iters=120, head_learning_rate=30.0), root)
    release = checkpoint(root, "release.pt")
    assert report.facts["iter_num"] == release["iter_num"] == 100
    assert torch.equal(release["model"]["head.weight"], better["head.weight"])
    assert [entry["iter_num"] for entry in release["history"]] == [100, 120]


def test_small_copies_of_the_last_releases_stay(root: Path) -> None:
    config, folder = dataclasses.replace(TINY, keep_releases=2), root / "checkpoints/history"
    folder.mkdir(parents=True)
    for name in ("2020-01-01-000000.pt", "2020-01-02-000000.pt"):
        (folder / name).touch()
    run(config, root)
    first, second = sorted(folder.glob("*.pt"))
    copy, release = checkpoint(root, f"history/{second.name}"), checkpoint(root, "release.pt")
    assert first.name == "2020-01-02-000000.pt"
    assert copy["iter_num"] == release["iter_num"] and copy["scores"] == release["scores"]
    model = GPT(GPTConfig(**copy["model_args"]))
    model.load_state_dict(copy["model"])
    assert torch.allclose(model.head.weight, release["model"]["head.weight"], atol=1e-3)
    assert second.stat().st_size < 0.6 * (root / "checkpoints/release.pt").stat().st_size
    run(dataclasses.replace(config, max_iters=80, keep_releases=0), root)
    assert not list(folder.glob("*"))


def test_training_is_skipped_when_releases_became_worse_twice(root: Path) -> None:
    run(TINY, root)
    path, state = root / "checkpoints/release.pt", checkpoint(root, "release.pt")
    entry = state["history"][0]
    state["history"] = [entry | {"val_bpb": bpb} for bpb in (1.0, 1.1, 1.2)]
    torch.save(state, path)
    assert "worse twice" in run(dataclasses.replace(TINY, max_iters=100), root).facts["stop_reason"]


def test_checkpoint_keeps_the_model_as_it_was_made(root: Path) -> None:
    run(TINY, root)
    report = run(dataclasses.replace(TINY, size="3x16", block_size=4, max_iters=40), root)
    assert checkpoint(root)["model_args"]["n_layer"] == 1 and checkpoint(root)["model_args"]["block_size"] == 8
    assert report.facts["iter_num"] == 40


# --- numbers, devices and sizes ------------------------------------------------------------------


def test_after_a_leap_of_the_loss_the_checkpoint_comes_back_without_the_batch(
        root: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    run(TINY, root)
    honest, calls = Trainer._accumulate_gradients, []

    def leaping(self: Trainer) -> float:
        loss = honest(self)
        calls.append(self.iter_num)
        return {5: math.nan, 130: 1e3}.get(len(calls), loss)

    monkeypatch.setattr(Trainer, "_accumulate_gradients", leaping)
    losses = losses_of(dataclasses.replace(TINY, max_iters=200), root)
    assert calls[5] == 16 and calls[130] == 16  # back at the checkpoint, twice
    assert sum("going back to iteration 16" in record.message for record in caplog.records) == 2
    assert max(losses) == 200 and all(math.isfinite(loss) for loss in losses.values())


def test_warm_start_keeps_the_layers_alone(root: Path) -> None:
    run(TINY, root)
    first = checkpoint(root)
    write_bins(root, [1000], seed=1)
    bins_json = json.loads((root / "data/bins.json").read_text())
    (root / "data/bins.json").write_text(json.dumps(bins_json | {"retokenized_from": [first["tokenizer_hash"]]}))
    state = Trainer(TINY, root, open_bins(root, 0), time.monotonic()).state()
    assert torch.equal(state["model"]["blocks.0.mlp.up.weight"], first["model"]["blocks.0.mlp.up.weight"])
    assert state["iter_num"] == 0 and not state["model"]["head.weight"].any()
    assert run(TINY, root).facts["iter_num"] == 20
    assert checkpoint(root, "ckpt.prev.pt")["tokenizer_hash"] == first["tokenizer_hash"]


@pytest.mark.parametrize(("capability", "expected"), [((9, 0), torch.bfloat16), ((8, 0), torch.bfloat16),
                                                      ((7, 5), torch.float16), (None, torch.float32)])
def test_device_and_type_are_found(monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int] | None,
                                   expected: torch.dtype) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: capability is not None)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert choose_device("auto", "auto") == ("cuda" if capability else "cpu", expected)
    assert choose_device("auto", "float32")[1] == torch.float32
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert choose_device("auto", "auto") == ("mps", torch.float32)


def test_float16_lifts_the_loss_and_lowers_it_when_it_overflows(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = optim.LossScale
    monkeypatch.setattr(first, "__init__", lambda self: vars(self).update(factor=1e37, good_steps=0))
    trainer = Trainer(dataclasses.replace(TINY, dtype="float16"), root,
                                     open_bins(root, 0), time.monotonic())
    for _ in range(200):
        trainer.iterate()
    assert trainer.loss_scale and 1 <= trainer.loss_scale.factor < 1e37
    assert 0 < trainer.iter_num < 200 and trainer.losses[-1] < trainer.losses[0]


def test_size_grows_with_the_time_and_with_the_text(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sizing, "matmul_rate", lambda device, dtype: 150e9)
    bins = dataclasses.replace(open_bins(root, 0), vocab_size=2048, growth=[[50_000_000, 1000]])

    def size(minutes: float, text: int = 50_000_000, **other: int) -> str:
        config = TrainConfig(max_minutes=minutes, **other)
        return choose_size(config, dataclasses.replace(bins, growth=[[text, 1000]]), "cpu", torch.float32)

    assert size(1) == size(5) == "2x128"
    sizes = [int(size(minutes).split("x")[1]) for minutes in (5, 60, 480, 5000)]
    assert sizes == sorted(set(sizes))
    assert size(5000, text=100_000) == "2x128" and size(5000, memory_limit_mb=400) == "2x128"


def test_counts_of_a_text_of_any_length_fit_the_memory(root: Path) -> None:
    bins, config = dataclasses.replace(open_bins(root, 0), vocab_size=2048), TrainConfig()

    def need_mb(n_tokens: int) -> int:
        return check_memory(config, model_config(config, "4x256", 2048),
                            dataclasses.replace(bins, growth=[[n_tokens, 1000]]))

    assert need_mb(10_000_000) < need_mb(MOST_TOKENS) == need_mb(10 * MOST_TOKENS) < 1500


@pytest.mark.parametrize("wrong", [{"size": "4x"}, {"size": "2x150"}, {"size": "0x128"}, {"batch_size": 0},
                                   {"decay_frac": 1.0}, {"dtype": "float8"},
                                   {"max_minutes": 0.0, "max_iters": 0, "max_epochs": 0}])
def test_impossible_settings_are_rejected(wrong: dict) -> None:
    with pytest.raises(ValueError, match="expected"):
        TrainConfig(**wrong)


def test_training_does_not_import_the_compiler(root: Path) -> None:
    program = (f"import sys; from pathlib import Path; from train import TrainConfig, run\n"
               f"run({TINY!r}, Path(sys.argv[1])); assert 'torch._dynamo' not in sys.modules")
    subprocess.run([sys.executable, "-c", program, str(root)], check=True, cwd=PROJECT)


def test_stats_are_one_line_of_json(root: Path) -> None:
    report = run(TINY, root)
    assert StageStats.from_json(report.to_json()).facts == report.facts
    assert "20 iterations" in report.facts["summary"]

