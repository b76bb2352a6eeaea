"""Sampling: how many tokens per second, compared with nanoGPT? Does text beyond the context stay as good as within it?

    .venv/bin/python -m bench.sampling --nanogpt DIR                 speed, about 2 minutes
    .venv/bin/python -m bench.sampling --nanogpt DIR --root demo     also memory and bits per byte of the model there

DIR is a checkout of karpathy/nanoGPT. Both continue a prompt that fills the context, with random weights and models of
one shape, in turns: ours with generation.generate, nanoGPT with model.generate as its sample.py calls it. With --root,
"with counts" is the model there and its counts, compared with nanoGPT's of that shape. nanoGPT runs with all of torch's
threads in one turn and with one thread in the next; the faster counts. cpu_ratio compares tokens per second of CPU time
with one thread each, so it holds on a busy machine too. Tokens per second include reading the prompt.
megabytes_per_token is the weights plus what is kept of the context; the limit is how fast they could be read, measured
by the dot product of as many numbers with themselves.

Bits per byte are those of the first --tokens of val.bin. windows: context by context, as train.py reports them;
sliding: by the decoder, in one pass; recomputed: each token from the block_size tokens before it, all computed again,
as nanoGPT does beyond its context. The last two are measured on every --step-th token from the second context on, in
quarters of the text. Ends in one JSON line.
"""

import argparse
import importlib.util
import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # as train.py has it: torch's threads give way to other programs
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as sample.py has it, before numpy

import numpy as np
import torch
import torch.nn.functional as F

from miniature_memory.core.paths import PROJECT
from miniature_memory.core.process import PeakMemory
from miniature_memory.counting.mixture import Mixture
from miniature_memory.sampling.config import SampleConfig
from miniature_memory.sampling.decoder import Decoder
from miniature_memory.sampling.generation import generate, load_model
from miniature_memory.training.evaluation import evaluate
from model import GPT, GPTConfig

SHAPES = {"default": GPTConfig(), "6x256": GPTConfig(block_size=256, n_layer=6, n_head=4, n_embd=256)}
NEW_TOKENS = 500  # of ours, as in nanoGPT's sample.py; nanoGPT writes a tenth, all at the same cost
THREADS = torch.get_num_threads()


# --- speed ---------------------------------------------------------------------------------------


def nanogpt_model(folder: Path, shape: GPTConfig) -> Any:
    spec = importlib.util.spec_from_file_location("nanogpt_model", folder / "model.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["nanogpt_model"] = module  # its dataclass looks itself up there
    spec.loader.exec_module(module)
    return module.GPT(module.GPTConfig(shape.block_size, shape.vocab_size, shape.n_layer, shape.n_head, shape.n_embd,
                                       dropout=0.0, bias=False)).eval()


def rates_of(n: int, make: Callable[[int], object]) -> tuple[float, float]:
    """Tokens per second, and per second of CPU time."""
    began, cpu_began = time.perf_counter(), time.process_time()
    make(n)
    return n / (time.perf_counter() - began), n / (time.process_time() - cpu_began)


def read_rate(n_bytes: int) -> float:
    """Bytes per second of numbers that were just read."""
    numbers = np.ones(n_bytes // 4, np.float32)
    seconds = []
    for _ in range(20):
        began = time.perf_counter()
        numbers.dot(numbers)
        seconds.append(time.perf_counter() - began)
    return n_bytes / median(seconds)


def random_model(shape: GPTConfig) -> GPT:
    torch.manual_seed(0)
    model = GPT(shape)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.02)
    return model


def speed(name: str, ours: GPT, mixture: Mixture | None, prompt: torch.Tensor, nanogpt: Path,
          rounds: int) -> dict[str, Any]:
    """prompt: int64 (1, block_size)."""
    shape, n = ours.config, NEW_TOKENS
    theirs = nanogpt_model(nanogpt, shape)

    def make_ours(n: int) -> None:
        made = sum(1 for _ in generate(ours, prompt[0].tolist(), SampleConfig(max_new_tokens=n), -1, mixture))
        assert made == n

    def make_theirs(n: int) -> None:
        with torch.no_grad():
            theirs.generate(prompt, n, temperature=0.8, top_k=50)

    n_bytes = 4 * (shape.matrix_parameters + 2 * shape.n_layer * shape.n_embd * shape.block_size)
    rates: dict[str, list[float]] = {}
    for i in range(rounds + 1):
        turn = {}
        turn["nanogpt"], _ = rates_of(n // 10, make_theirs)
        torch.set_num_threads(1)
        turn["nanogpt_1_thread"], turn["nanogpt_cpu"] = rates_of(n // 10, make_theirs)
        turn["ours"], turn["ours_cpu"] = rates_of(n, make_ours)
        torch.set_num_threads(THREADS)
        turn["limit"] = read_rate(n_bytes) / n_bytes
        print(name, {one: round(value, 1) for one, value in turn.items()}, file=sys.stderr)
        for one, value in turn.items() if i else ():  # the first round warms up
            rates.setdefault(one, []).append(value)
    best = max(("nanogpt", "nanogpt_1_thread"), key=lambda one: median(rates[one]))
    ratios, cpu_ratios, of_limit = ([a / b for a, b in zip(rates[ours], rates[other], strict=True)] for ours, other in
                                    (("ours", best), ("ours_cpu", "nanogpt_cpu"), ("ours", "limit")))
    return {"tok_per_sec": {one: round(median(values), 1) for one, values in rates.items()},
            "ratio": round(median(ratios), 1), "ratio_range": [round(min(ratios), 1), round(max(ratios), 1)],
            "cpu_ratio": round(median(cpu_ratios), 1), "megabytes_per_token": round(n_bytes / 1e6, 2),
            "of_limit": round(median(of_limit), 2)}


# --- memory, and text beyond the context ---------------------------------------------------------


def sampling_mb(root: Path) -> int:
    """The most memory (PSS) that sample.py takes for a thousand tokens."""
    command = [sys.executable, str(PROJECT / "sample.py"), "--root", str(root), "--set", "sample.max_new_tokens=1000"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    memory = PeakMemory(process.pid, interval_sec=0.05)
    memory.start()
    process.wait()
    return round(memory.stop())


def nats_of(logits: np.ndarray, target: int) -> float:
    top = float(logits.max())
    return top + math.log(float(np.exp(logits - top).sum())) - float(logits[target])


@torch.no_grad()
def beyond_the_context(root: Path, n_tokens: int, step: int) -> dict[str, Any]:
    loaded = load_model(root)
    model, tokenizer = loaded.model.eval(), loaded.tokenizer
    S, sizes = model.config.block_size, tokenizer.token_bytes()
    ids = np.fromfile(root / "data/val.bin", dtype="<u2", count=n_tokens).astype(np.int64)
    decoder = Decoder(model)
    rows = []  # one per target: nats sliding, nats recomputed, bytes
    for i, token in enumerate(ids[:-1].tolist()):
        logits = decoder.read([token])
        if i >= S and i % step == 0 and sizes[ids[i + 1]]:
            logits_again = model.head(model.stream(torch.from_numpy(ids[None, i + 1 - S:i + 1]))[:, -1])
            nats = F.cross_entropy(logits_again, torch.from_numpy(ids[i + 1:i + 2])).item()
            rows.append((nats_of(logits, ids[i + 1]), nats, sizes[ids[i + 1]]))

    def bits_per_byte(part: np.ndarray) -> dict[str, float]:
        return {name: round(float(part[:, i].sum() / part[:, 2].sum() / math.log(2)), 4)
                for i, name in enumerate(("sliding", "recomputed"))}

    table = np.array(rows)
    windows = evaluate(model, root / "data/val.bin", len(ids), 0, sizes, 8)["val_bpb"]
    return {"windows": round(windows or 0, 4), **bits_per_byte(table), "targets": len(table),
            "quarters": [bits_per_byte(part) for part in np.array_split(table, 4)]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nanogpt", type=Path, metavar="DIR")
    parser.add_argument("--root", type=Path, metavar="DIR", help="the folder of a trained model")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--tokens", type=int, default=40_000)
    parser.add_argument("--step", type=int, default=4)
    args = parser.parse_args()
    result: dict[str, Any] = {"bench": "sampling", "threads": THREADS}
    if args.root:
        result["peak_mb"] = sampling_mb(args.root)
        result["bits_per_byte"] = beyond_the_context(args.root, args.tokens, args.step)
    if args.nanogpt:
        for name, shape in SHAPES.items():
            prompt = torch.randint(shape.vocab_size, (1, shape.block_size))
            result[name] = speed(name, random_model(shape), None, prompt, args.nanogpt, args.rounds)
        if args.root:
            loaded = load_model(args.root)
            ids = np.fromfile(args.root / "data/val.bin", dtype="<u2", count=loaded.model.config.block_size)
            prompt = torch.from_numpy(ids.astype(np.int64))[None]
            result["with counts"] = speed("with counts", loaded.model, loaded.mixture, prompt, args.nanogpt,
                                          args.rounds)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
