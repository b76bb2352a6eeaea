"""Efficiency: how close does training come to the rate of matrix products, where does its time go, and how much memory?

    .venv/bin/python -m bench.efficiency                                                    the default configuration
    .venv/bin/python -m bench.efficiency --seconds 60 --set 'size="8x512"' --set block_size=256 --set batch_size=4 \
        --set gradient_accumulation_steps=32                           25 M parameters, 32,768 tokens per iteration

Trains on random tokens. FLOPs per token are those of PaLM (arXiv 2204.02311, appendix B): only matrix products count.
They are compared with one float32 product of two 1,024 x 1,024 matrices after each iteration; medians of both. Shares
of the time are those of calls; the forward and backward passes of two workers run side by side, and both count. Ends
in one JSON line.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

import train as train_script  # noqa: F401 (sets up torch's threads, so it comes first)

# isort: split
import torch

from miniature_memory.core.config import build_config, read_tables
from miniature_memory.core.paths import PROJECT
from miniature_memory.core.process import PeakMemory
from miniature_memory.training.bins import open_bins
from miniature_memory.training.config import TrainConfig
from miniature_memory.training.trainer import Trainer
from model import flops_per_token

VOCAB_SIZE = 2048


def product_sec() -> float:
    """Of one product of two 1,024 x 1,024 matrices."""
    a, b = torch.ones(1024, 1024), torch.ones(1024, 1024)
    a @ b
    began = time.perf_counter()
    a @ b
    return time.perf_counter() - began


class Stopwatch:
    """Seconds spent in calls, by name."""

    def __init__(self) -> None:
        self.sec: dict[str, float] = {}

    def around(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*args: Any, **kwargs: Any) -> Any:
            began = time.perf_counter()
            result = call(*args, **kwargs)
            self.sec[name] = self.sec.get(name, 0.0) + time.perf_counter() - began
            return result

        return timed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of train")
    args = parser.parse_args()
    overrides = [f"train.{setting}" for setting in (f"vocab_size={VOCAB_SIZE}", *args.set)]
    config = build_config(TrainConfig, "train", read_tables(PROJECT, overrides=overrides))
    memory = PeakMemory()
    memory.start()
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "data").mkdir()
        for name, n in (("train", 2_000_000), ("val", 1000)):
            np.random.default_rng(0).integers(0, VOCAB_SIZE, n).astype("<u2").tofile(Path(folder) / f"data/{name}.bin")
        trainer = Trainer(config, Path(folder), open_bins(Path(folder), VOCAB_SIZE), time.monotonic())
        clock = Stopwatch()
        trainer.bar.disable = True
        trainer.iterate()
        trainer.batches.next = clock.around("data", trainer.batches.next)  # type: ignore[method-assign]
        trainer.model.loss = clock.around("forward", trainer.model.loss)  # type: ignore[method-assign]
        torch.autograd.grad = clock.around("backward", torch.autograd.grad)
        trainer.optimizer.step = clock.around("optimizer", trainer.optimizer.step)  # type: ignore[method-assign]
        iterations: list[float] = []
        products: list[float] = []
        while sum(iterations) < args.seconds:
            began = time.perf_counter()
            trainer.iterate()
            iterations.append(time.perf_counter() - began)
            products.append(product_sec())
    shape, tokens = trainer.model.config, trainer.config.tokens_per_iter
    limit, total = 2 * 1024**3 / median(products), sum(iterations)
    rate = flops_per_token(shape) * tokens / median(iterations)
    print(json.dumps({
        "bench": "efficiency", "size": trainer.config.size, "matrix_parameters": shape.matrix_parameters,
        "tokens_per_iter": tokens, "flops_per_token": flops_per_token(shape), "product_gflops": round(limit / 1e9, 1),
        "training_gflops": round(rate / 1e9, 1), "efficiency": round(rate / limit, 3),
        "best_product_gflops": round(2 * 1024**3 / min(products) / 1e9, 1),
        "tok_per_sec": round(tokens / median(iterations)), "iterations": len(iterations),
        "threads": torch.get_num_threads(),
        "workers": trainer.n_workers, "shares": {name: round(sec / total, 3) for name, sec in clock.sec.items()},
        "peak_mb": round(memory.stop()), "estimate_mb": trainer.memory_mb}))


if __name__ == "__main__":
    main()
