"""Training on several processes: what do two gain on one machine, what do they send, what would eight machines gain?

    .venv/bin/python -m bench.scale_training --root demo                                      the default configuration
    .venv/bin/python -m bench.scale_training --root demo --set 'size="6x320"' --seconds 30    4.2 times the matrices

Trains on the bins of --root, from fresh weights, and writes nothing there. Processes meet on loopback, as torchrun
starts them. "communication" is what rank 0 spends in all_reduce, all_gather and orders, waiting for the other included.

Arithmetic for M = 8 machines like this one on 1 Gbit/s, of which TCP leaves 117 MB/s: with D bytes of the matrices'
gradients and R bytes of the rows that one machine has looked up, 2 (M - 1) / M x D + (M - 1) x R pass through each
machine's port per iteration, while nobody computes. Latency (21 messages of about 0.1 ms) is ignored. Ends in one JSON
line.
"""

import argparse
import dataclasses
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import train as train_script  # noqa: F401 (sets up torch's threads, so it comes first)

# isort: split
import torch.distributed as dist

from miniature_memory.core.config import build_config, read_tables
from miniature_memory.core.paths import PROJECT
from miniature_memory.training.batches import read_windows
from miniature_memory.training.bins import open_bins
from miniature_memory.training.config import TrainConfig
from miniature_memory.training.distributed import joined
from miniature_memory.training.trainer import Trainer

RUNS = {"1 process": (1, 1, 1), "1 process, 2 threads": (1, 2, 1), "2 processes, same batch": (2, 1, 1),
        "2 processes, twice the batch": (2, 1, 2)}  # processes, threads of each, times the batch
ETHERNET_BYTES_PER_SEC, MACHINES = 117e6, 8
WINDOWS = (1, 4, 16, 64)  # of each machine, per iteration
WARM_UP = 5  # iterations


class Meter:
    """Seconds and bytes of each iteration's messages."""

    def __init__(self) -> None:
        self.sec = 0.0
        self.n_bytes: dict[str, int] = {}

    def around(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*args: Any, **kwargs: Any) -> Any:
            began = time.perf_counter()
            result = call(*args, **kwargs)
            self.sec += time.perf_counter() - began
            tensor = args[1] if name == "all_gather" else args[0]
            self.n_bytes[name] = self.n_bytes.get(name, 0) + tensor.nbytes
            return result

        return timed


def child(root: Path, settings: list[str], seconds: float, times: int) -> None:
    """One process of a run; rank 0 prints what it measured."""
    config = build_config(TrainConfig, "train", read_tables(PROJECT, overrides=[f"train.{one}" for one in settings]))
    config = dataclasses.replace(config, batch_size=times * config.batch_size)
    bins = open_bins(root, config.vocab_size)
    with joined(config, bins) as team:
        trainer = Trainer(config, root, bins, time.monotonic(), team=team)
        trainer.bar.disable = True
        for decayed in team.iterations():
            trainer.iterate(decayed)
        meter = Meter()
        iterations: list[float] = []
        talks: list[float] = []
        for name in ("all_reduce", "all_gather", "broadcast"):
            setattr(dist, name, meter.around(name, getattr(dist, name)))
        for _ in range(WARM_UP):
            trainer.iterate()
        meter.n_bytes.clear()
        while sum(iterations) < seconds:
            meter.sec, began = 0.0, time.perf_counter()
            trainer.iterate()
            iterations.append(time.perf_counter() - began)
            talks.append(meter.sec)
        n_bytes = {name: round(n / len(iterations)) for name, n in meter.n_bytes.items()}
        tokens = trainer.config.tokens_per_iter
        starts = trainer.batches.starts[:max(WINDOWS)]
        rows = trainer.model.embedding.rows(read_windows(bins.train, starts, trainer.config.block_size)[0])
        width = trainer.model.config.n_embd + 2
        print(json.dumps({
            "tokens_per_iter": tokens, "block_size": trainer.config.block_size,
            "tok_per_sec": round(tokens / median(iterations)),
            "iteration_ms": round(1e3 * median(iterations), 2), "communication_ms": round(1e3 * median(talks), 2),
            "loss": trainer.train_loss, "bytes_sent_by_each": n_bytes, "size": trainer.config.size,
            "matrix_bytes": 4 * trainer.model.config.matrix_parameters,
            "row_bytes": {n: 4 * width * len(rows[:n].unique()) for n in WINDOWS}}), flush=True)


def measure(root: Path, args: argparse.Namespace, processes: int, threads: int, times: int) -> dict[str, Any]:
    module = ["-m", "bench.scale_training", "--root", str(root), "--child", str(times), "--seconds", str(args.seconds),
              *(part for one in args.set for part in ("--set", one))]
    if processes > 1:
        module = ["-m", "torch.distributed.run", "--standalone", "--local-addr=127.0.0.1",
                  f"--nproc_per_node={processes}", *module]
    environment = os.environ | {"OMP_NUM_THREADS": str(threads), "GLOO_SOCKET_IFNAME": "lo"}
    done = subprocess.run([sys.executable, *module], env=environment, cwd=PROJECT, check=True, text=True,
                          stdout=subprocess.PIPE)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def machines(one: dict[str, Any]) -> list[dict[str, Any]]:
    """MACHINES that are each as fast as the run `one`, by how many windows each has per iteration."""
    found = []
    for n in WINDOWS:
        compute_sec = n * one["block_size"] / one["tok_per_sec"]
        sent = 2 * (MACHINES - 1) / MACHINES * one["matrix_bytes"] + (MACHINES - 1) * one["row_bytes"][str(n)]
        talk_sec = sent / ETHERNET_BYTES_PER_SEC
        found.append({"windows_of_each": n, "compute_ms": round(1e3 * compute_sec, 1), "sent_mb": round(sent / 1e6, 1),
                      "communication_ms": round(1e3 * talk_sec, 1),
                      "times_one_machine": round(MACHINES * compute_sec / (compute_sec + talk_sec), 2)})
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, required=True, help="a folder with data/train.bin")
    parser.add_argument("--seconds", type=float, default=15.0, help="of each run")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of train")
    parser.add_argument("--child", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        child(args.root, args.set, args.seconds, args.child)
        return
    with tempfile.TemporaryDirectory() as folder:  # without its checkpoints
        (Path(folder) / "data").symlink_to(args.root.resolve() / "data")
        runs = {}
        for name, (processes, threads, times) in RUNS.items():
            runs[name] = measure(Path(folder), args, processes, threads, times)
            print(f"{name}: {runs[name]}", file=sys.stderr)
    eight = machines(runs["1 process, 2 threads"])
    for line in eight:
        print(f"{MACHINES} machines on 1 Gbit/s: {line}", file=sys.stderr)
    print(json.dumps({"bench": "scale_training", "runs": runs, "machines": MACHINES, "ethernet": eight}))


if __name__ == "__main__":
    main()
