"""Train: token bins in, a model out that continues learning in the next run.

Reads   data/train.bin, val.bin     uint16 token ids; data/bins.json and data/tokenizer/ give them a meaning
Writes  data/suffixes.bin, .json    where each n-gram of train.bin occurs; derived, for the counts next to the network
        checkpoints/ckpt.pt         the model at its stable learning rate, from which the next run continues
        checkpoints/ckpt.prev.pt    the one before, in case ckpt.pt is damaged or missing
        checkpoints/release.pt      a branch of it whose learning rate fell to zero: the model to use
        checkpoints/history/*.pt    small copies of the last releases, for the playground
        checkpoints/ckpt.json       a readable description of ckpt.pt
Alone   python3 train.py --set train.max_minutes=30; in several processes: docs/cluster_training.md

A run has three phases: the stable rate, the decay, the release. It also trains on nanoGPT's bins, which have no
bins.json: --set train.vocab_size=N.
"""

from __future__ import annotations

from miniature_memory.core.interpreter import use_own_python

if __name__ == "__main__":
    use_own_python()

import logging
import math
import os
import time
from collections.abc import Callable
from pathlib import Path

IMPORT_STARTED = time.monotonic()  # train.max_minutes includes the import of torch
# Threads that wait for each other give way soon. While another program wants a core, torch's default (300,000 turns of
# an empty loop) made training forty times slower here, this half; on idle cores both are equally fast.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before numpy, whose products are small here and run on each worker

import torch

from miniature_memory.core.errors import Stopped
from miniature_memory.core.paths import shown
from miniature_memory.core.stage import StageStats, stage_main
from miniature_memory.core.text import counted, rounded
from miniature_memory.training.bins import open_bins
from miniature_memory.training.checkpoint import State, rename_history
from miniature_memory.training.config import TrainConfig
from miniature_memory.training.distributed import joined, rank_and_size
from miniature_memory.training.evaluation import format_scores
from miniature_memory.training.releases import keep_copy, load_release, make_release, stop_reason, update_counts
from miniature_memory.training.trainer import Trainer

IMPORT_SEC = time.monotonic() - IMPORT_STARTED
EVAL_WINDOWS = 64  # of block_size tokens, for a look at the loss in between; a release is measured on more

logger = logging.getLogger(__name__)


def run(config: TrainConfig, root: Path) -> StageStats:
    return train(config, root, started=time.monotonic() - IMPORT_SEC)


def train(config: TrainConfig, root: Path, started: float, on_iteration: Callable[[int, float], None] | None = None,
          clock: Callable[[], float] = time.monotonic) -> StageStats:
    """One run. on_iteration gets the number and the loss of each iteration.

    started: when the process started, by `clock`.
    """
    bins = open_bins(root, config.vocab_size)
    with joined(config, bins) as team:
        trainer = Trainer(config, root, bins, started, on_iteration, clock, team)
        for decayed in team.iterations():  # of a process that follows
            trainer.iterate(decayed)
        return lead(trainer, config)
    return StageStats("train")  # of a process that followed until the end


def lead(trainer: Trainer, config: TrainConfig) -> StageStats:
    """What one process does alone: decide, save, evaluate and release."""
    rename_history(trainer.root)
    log_model(trainer)
    released = load_release(trainer.root, trainer.bins)
    if released and (reason := stop_reason(trainer, released)):
        logger.info("training skipped: %s", reason)
        if config.counts or released.get("gate"):
            update_counts(trainer)
        trainer.bytes_written += keep_copy(trainer.root, released, config.keep_releases)  # if that was killed
        return make_stats(trainer, released, reason)
    if config.counts and trainer.bins.tokenizer:
        update_counts(trainer)  # before the training, which gets the rest of max_minutes
    with trainer.bar:
        train_stable(trainer)
        train_decay(trainer)
    return make_stats(trainer, make_release(trainer))


def log_model(trainer: Trainer) -> None:
    shape, n_processes = trainer.model.config, trainer.team.size
    threads = counted(torch.get_num_threads(), "thread")
    if n_processes > 1:
        threads += f" in each of {n_processes} processes"
    start = (f"continues from iteration {trainer.iter_num:,}, where the learning rate began to fall"
             if trainer.iter_num else f"starts from the model in {shown(Path(trainer.init_from))}"
             if trainer.init_from else "starts at iteration 0")
    logger.info("the model has %d layer%s of %d%s, %.1f M parameters (%.1f M of them a table of n-grams); it trains in "
                "%s on %s (%s), takes about %d MB and %s", shape.n_layer, "s" * (shape.n_layer != 1),
                shape.n_embd, " (sized to the time budget)" if trainer.is_sized else "",
                trainer.model.num_parameters() / 1e6, shape.table_rows * shape.n_embd / 1e6,
                str(trainer.dtype).removeprefix("torch."), trainer.device, threads, trainer.memory_mb, start)


# --- phase 1: the stable learning rate -----------------------------------------------------------


def train_stable(trainer: Trainer) -> None:
    """Train until it is time for the decay; then, or when stopped, save ckpt.pt."""
    evaluated_at = trainer.budget.loop_started = trainer.budget.clock()
    try:
        while not is_stable_over(trainer):
            trainer.iterate()
            if trainer.budget.clock() - evaluated_at >= 60 * trainer.config.eval_minutes:
                trainer.save()
                log_evaluation(trainer)
                evaluated_at = trainer.budget.clock()
    except Stopped:
        trainer.save()
        raise
    trainer.save()


def is_stable_over(trainer: Trainer) -> bool:
    config = trainer.config
    if config.max_iters and trainer.iter_num >= config.stable_iters:
        return True
    return is_text_read(trainer) or trainer.budget.is_time_to_decay(config.decay_frac)


def is_text_read(trainer: Trainer) -> bool:
    """Whether the text was read as often as it may be."""
    return 0 < trainer.config.max_epochs <= trainer.batches.position.epoch


def log_evaluation(trainer: Trainer) -> None:
    """Validation loss on a few windows, for people."""
    scores = trainer.evaluate(EVAL_WINDOWS)
    trainer.bar.clear()
    logger.info("iter %s: train loss %.3f, validation %s", f"{trainer.iter_num:,}",
                trainer.train_loss or math.nan, format_scores(scores))


# --- phase 2: the decay --------------------------------------------------------------------------


def train_decay(trainer: Trainer) -> None:
    """Lower the learning rate to zero. ckpt.pt is saved already: a stop loses this branch and nothing else."""
    budget, first_iter, last_iter = trainer.budget, trainer.iter_num, last_decay_iter(trainer)
    whole_sec = max(1e-9, budget.left_sec())
    while trainer.iter_num < last_iter and (left_sec := budget.left_sec()) > 0:
        decayed = (trainer.iter_num - first_iter) / (last_iter - first_iter)
        if whole_sec < math.inf:
            decayed = max(decayed, 1 - left_sec / whole_sec)
        trainer.iterate(min(max(decayed, 0.0), 1.0))


def last_decay_iter(trainer: Trainer) -> float:
    """Where the decay ends by count; it may end earlier by time."""
    config, last = trainer.config, trainer.config.max_iters or math.inf
    if is_text_read(trainer):
        last = min(last, trainer.iter_num + round(config.decay_frac / (1 - config.decay_frac) * trainer.iter_num))
    return last


# --- phase 3: the release, in miniature_memory/training/releases.py; and what the run did --------


def make_stats(trainer: Trainer, released: State, reason: str = "") -> StageStats:
    """The figures of the model in release.pt and of this run's work. reason: why there was none."""
    position, rate = trainer.batches.position, trainer.budget.tok_per_sec
    facts = {
        "iter_num": released["iter_num"], "train_loss": trainer.train_loss, **released["scores"],
        "tok_per_sec": round(rate), "tokens_seen": released["tokens_seen"],
        "epoch": round(position.epoch + position.index / max(1, len(trainer.batches.starts)), 2),
        "growth_step": len(trainer.bins.growth), "parameters": trainer.model.num_parameters(),
        "device": trainer.device, "dtype": str(trainer.dtype).removeprefix("torch."),
        "processes": trainer.team.size, "threads": torch.get_num_threads(), "memory_estimate_mb": trainer.memory_mb,
        "stop_reason": reason,
    }
    facts["summary"] = f"skipped: {reason}" if reason else (
        f"{counted(trainer.iter_num, 'iteration')}, {rounded(trainer.tokens_seen)} tokens, "
        f"{rate / 1000:.1f} k tokens/s, validation {format_scores(released['scores'])}"
        + f"; ended early: the text was read {position.epoch} times (train.max_epochs)" * is_text_read(trainer))
    return StageStats("train", bytes_written=trainer.bytes_written, facts=facts)


def main(argv: list[str] | None = None) -> int:
    return stage_main(run, TrainConfig, "train", argv, follows=rank_and_size()[0] > 0)


if __name__ == "__main__":
    raise SystemExit(main())
