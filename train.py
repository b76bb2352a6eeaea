"""Train: token bins in, a model out that goes on learning where it left off.

Reads   data/train.bin, val.bin    uint16 token ids; data/bins.json and data/tokenizer/ say what they mean
Writes  checkpoints/ckpt.pt        the model at its stable learning rate: the one that goes on next time
        checkpoints/ckpt.prev.pt   the one before, should ckpt.pt be damaged
        checkpoints/release.pt     a branch of it with the learning rate brought down: the one to use
        checkpoints/history/*.pt    small copies of the last releases, for the playground
        checkpoints/ckpt.json      what ckpt.pt holds, for people
Alone   .venv/bin/python train.py --set train.max_minutes=30

nanoGPT's bins train too, with --set train.vocab_size=N where there is no bins.json.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from pathlib import Path

IMPORT_STARTED = time.monotonic()  # train.max_minutes counts the import of torch too
# Threads that wait for each other give way soon. While another program wants a core, torch's default (300,000 turns of
# an empty loop) made training forty times slower here, this half; on idle cores both are equally fast.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")

import torch  # noqa: E402

from miniature_memory.core.stage import StageStats, stage_main  # noqa: E402
from miniature_memory.training.bins import open_bins  # noqa: E402
from miniature_memory.training.checkpoint import load_release  # noqa: E402
from miniature_memory.training.config import TrainConfig  # noqa: E402
from miniature_memory.training.trainer import Trainer, make_report, stop_reason  # noqa: E402

IMPORT_SEC = time.monotonic() - IMPORT_STARTED

logger = logging.getLogger(__name__)


def train(config: TrainConfig, root: Path, started: float,
          on_iteration: Callable[[int, float], None] | None = None) -> StageStats:
    """One run: at the stable rate, the decay, the release.

    started: of the whole process, by time.monotonic(); on_iteration is told of each iteration's number and loss.
    """
    trainer = Trainer(config, root, open_bins(root, config.vocab_size), started, on_iteration)
    shape = trainer.model.config
    logger.info("the model has %d layers of %d%s, %.2f M parameters and %.1f M of n-grams; it learns in %s on %s (%d "
                "threads), takes about %d MB and goes on from iteration %s", shape.n_layer, shape.n_embd,
                " (chosen for the time)" if trainer.is_fresh and config.size == "auto" else "",
                shape.matrix_parameters / 1e6, shape.table_rows * shape.n_embd / 1e6,
                str(trainer.dtype).removeprefix("torch."), trainer.device, torch.get_num_threads(), trainer.memory_mb,
                f"{trainer.iter_num:,}")
    released = load_release(root, trainer.bins)
    rest = stop_reason(trainer, released)
    if rest and released:
        logger.info("training rests: %s", rest)
        return make_report(trainer, released, rest)
    with trainer.bar:
        trainer.train_stable()
        trainer.train_decay()
    return make_report(trainer, trainer.release(), "")


def run(config: TrainConfig, root: Path) -> StageStats:
    return train(config, root, started=time.monotonic() - IMPORT_SEC)


def main(argv: list[str] | None = None) -> int:
    return stage_main(run, TrainConfig, "train", argv)


if __name__ == "__main__":
    raise SystemExit(main())
