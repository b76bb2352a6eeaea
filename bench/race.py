"""Race: how soon does training on characters reach a loss, and what loss does it reach in a given time?

    .venv/bin/python -m bench.race --text FILE --seconds 9                     to nanoGPT's CPU figure
    .venv/bin/python -m bench.race --text FILE --seconds 138 --nanogpt DIR     in nanoGPT's time, compared with nanoGPT
    .venv/bin/python -m bench.race --text FILE --seconds 1800 --target 1.4697  to nanoGPT's GPU figure
    .venv/bin/python -m bench.race --text FILE --seconds 60 --target 1.4697 --counts  the same, with counts in the end

FILE is tinyshakespeare, DIR a checkout of karpathy/nanoGPT. Characters are the tokens and the last tenth is validation,
as in nanoGPT. Ours is train.py's own Trainer, whose learning rate falls in the last two fifths of the time, or the last
half of a long one; the first look at the loss is when a fifth of that is over. Both are scored by evaluation.evaluate:
the whole validation part in consecutive windows, each character a target once, nothing carried over. Seconds are those
of the training loop, without evaluation; process_sec is everything from the start of the process.

With --counts the network is not trained on eight parts of the text, which fit a gate between it and counts, as train.py
does. The whole validation part is one document then, of which the counts remember the last 8,192 characters, where the
network sees a window. Ends in one JSON line.
"""

import argparse
import importlib.util
import json
import pickle
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import Any

import numpy as np

import train as train_script  # noqa: F401 (sets up torch's threads, so it comes first)

# isort: split
import torch

from miniature_memory.core.config import build_config, read_tables
from miniature_memory.counting.suffixes import load_suffixes, update_suffixes
from miniature_memory.training.batches import Batches, position_for
from miniature_memory.training.bins import open_bins
from miniature_memory.training.config import TrainConfig
from miniature_memory.training.evaluation import evaluate, evaluate_both
from miniature_memory.training.mixing import fit, steps_for
from miniature_memory.training.trainer import Trainer

# What a person would choose for characters and the time given: found by some tries on this text.
CHARACTERS = ["block_size=128", "batch_size=6", "match_order=12", "head_learning_rate=4e-3", "warmup_iters=20",
              "decay_frac=0.4", "dropout=0.0", "dropout_growth=0.0", "embedding_prior=0.0"]
BY_SECONDS = (
    (20, ['size="1x64"', "block_size=64", "batch_size=12", "ngram_order=4"]),
    (300, ['size="2x128"', "block_size=256", "batch_size=4", "ngram_order=5", "dropout=0.1", "embedding_prior=30.0"]),
    (10**9, ['size="4x192"', "block_size=512", "batch_size=2", "ngram_order=3", "dropout=0.25",
             "embedding_prior=100.0", "decay_frac=0.5"]),
)
LOOKS = 5  # evaluations in the decay, when the loss falls
N_HELD_BACK, HELD_BACK = 8, 4096  # parts of the training text, and characters of each, that fit the gate
NANOGPT = ["config/train_shakespeare_char.py", "--device=cpu", "--compile=False", "--eval_iters=20", "--log_interval=1",
           "--block_size=64", "--batch_size=12", "--n_layer=4", "--n_head=4", "--n_embd=128", "--dropout=0.0"]


def peak_mb(who: int) -> int:
    return round(resource.getrusage(who).ru_maxrss / 1000)


# --- the text ------------------------------------------------------------------------------------


def write_characters(folder: Path, train_text: str, val_text: str) -> list[str]:
    """train.bin, val.bin and nanoGPT's meta.pkl in `folder`; returns the characters in the order of their ids."""
    folder.mkdir(parents=True)
    characters = sorted(set(train_text + val_text))
    ids = {character: i for i, character in enumerate(characters)}
    for name, text in (("train", train_text), ("val", val_text)):
        np.array([ids[character] for character in text], dtype="<u2").tofile(folder / f"{name}.bin")
    with open(folder / "meta.pkl", "wb") as stream:
        pickle.dump({"vocab_size": len(characters), "stoi": ids, "itos": dict(enumerate(characters))}, stream)
    return characters


# --- ours ----------------------------------------------------------------------------------------


def train_ours(root: Path, settings: list[str], seconds: float, target: float, counts: bool) -> dict[str, Any]:
    """Train on the bins of `root` for `seconds`, the rate falling in the last of them; then mix with the counts."""
    config = build_config(TrainConfig, "train", read_tables(root, overrides=[f"train.{one}" for one in settings]))
    trainer = Trainer(config, root, open_bins(root, config.vocab_size), time.monotonic())
    trainer.bar.disable = True
    if counts:
        trainer.held_back = parts_of(trainer.bins.train_tokens)
        position = position_for(None, trainer.bins.growth)
        trainer.batches = Batches(trainer.bins.train, position, trainer.config.block_size,
                                  config.replay_share, config.seed, trainer.held_back)
    val, n_val = trainer.bins.val, trainer.bins.val_tokens
    decay_sec, spent, seconds_to_target = config.decay_frac * seconds, 0.0, None
    looks = [seconds - decay_sec * i / LOOKS for i in range(LOOKS)]  # latest first

    def score() -> tuple[float, float | None]:
        """Nats per token and bits per byte on the whole validation text."""
        scores = evaluate(trainer.model, val, n_val, 0, trainer.token_bytes, 8)
        assert scores["val_loss"] is not None
        return scores["val_loss"], scores["val_bpb"]

    while spent < seconds:
        began = time.perf_counter()
        trainer.iterate(max(0.0, 1 - (seconds - spent) / decay_sec))
        spent += time.perf_counter() - began
        if looks and spent >= looks[-1]:
            looks.pop()
            loss = score()[0]
            print(f"{spent:.1f} s, iteration {trainer.iter_num}: train {trainer.train_loss:.4f}, validation {loss:.4f}",
                  file=sys.stderr)
            if loss <= target and seconds_to_target is None:
                seconds_to_target = round(spent, 2)
    loss, val_bpb = score()
    if loss <= target and seconds_to_target is None:
        seconds_to_target = round(spent, 2)
    return {"seconds_to_target": seconds_to_target, "seconds": round(spent, 2),
            "val_loss": round(loss, 4), "val_bpb": val_bpb,
            "tok_per_sec": round(trainer.budget.tok_per_sec), "peak_rss_mb": peak_mb(resource.RUSAGE_SELF),
            "iterations": trainer.iter_num, "size": trainer.config.size,
            "epochs": round(trainer.tokens_seen / trainer.bins.train_tokens, 2),
            "with_counts": mixed(trainer, seconds) if counts else None}


def parts_of(n_tokens: int) -> np.ndarray:
    """The text that fits the gate: int64 (N_HELD_BACK, 2)."""
    drawn = np.random.default_rng(0).choice(n_tokens // HELD_BACK, N_HELD_BACK, replace=False)
    return np.sort(drawn)[:, None] * HELD_BACK + [0, HELD_BACK]


def mixed(trainer: Trainer, seconds: float) -> dict[str, Any]:
    """Nats per token once the counts are mixed in, and the seconds that counting and fitting took. The last id of the
    vocabulary, which no character has, ends a document."""
    began, vocab_size = time.perf_counter(), trainer.bins.vocab_size
    update_suffixes(trainer.root, trainer.bins.train_tokens, vocab_size)
    suffixes = load_suffixes(trainer.root, vocab_size)
    assert suffixes
    mixture = fit(trainer.model, suffixes, trainer.held_back, vocab_size - 1, trainer.config.seed,
                  steps_for(seconds / 60), trainer.workers)
    fit_sec, n_val = time.perf_counter() - began, trainer.bins.val_tokens
    scores = evaluate_both(trainer.model, mixture, trainer.bins.val, n_val, 0, np.ones(vocab_size, np.int32), 8,
                           trainer.workers)
    return {"val_loss": round(scores["val_loss"] or 0, 4), "fit_sec": round(fit_sec, 1)}


def race(root: Path, settings: list[str], seconds: float, target: float, counts: bool = False) -> dict[str, Any]:
    """train_ours in a process of its own."""
    began = time.perf_counter()
    child = [sys.executable, "-m", "bench.race", "--child", str(root), json.dumps([settings, seconds, target, counts])]
    done = subprocess.run(child, check=True, stdout=subprocess.PIPE, text=True)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result | {"process_sec": round(time.perf_counter() - began, 1)}


# --- nanoGPT -------------------------------------------------------------------------------------


class Scored(torch.nn.Module):
    """nanoGPT's model with the interface that evaluate() needs."""

    def __init__(self, model: torch.nn.Module, block_size: int) -> None:
        super().__init__()
        self.model, self.config = model, SimpleNamespace(block_size=block_size)

    def forward(self, idx: torch.Tensor) -> torch.Tensor:
        idx = idx.contiguous()
        logits: torch.Tensor = self.model(idx, idx)[0]  # with targets it returns all positions
        return logits


def run_nanogpt(folder: Path, bins: Path, iters: int) -> dict[str, Any]:
    """nanoGPT's command for a CPU in a copy of its checkout, on our bins; its last checkpoint scored by evaluate()."""
    copy = bins.parent / "nanogpt"
    shutil.copytree(folder, copy, ignore=shutil.ignore_patterns(".git"))
    shutil.rmtree(copy / "data/shakespeare_char")
    shutil.copytree(bins, copy / "data/shakespeare_char")
    began = time.perf_counter()
    command = [sys.executable, "train.py", *NANOGPT, f"--max_iters={iters}", f"--lr_decay_iters={iters}",
               "--always_save_checkpoint=True"]
    done = subprocess.run(command, cwd=copy, check=True, capture_output=True, text=True)
    process_sec = time.perf_counter() - began
    times = [float(ms) / 1e3 for ms in re.findall(r"^iter \d+: .* time ([\d.]+)ms", done.stdout, re.MULTILINE)]
    usual = median(times)  # replaces an iteration that evaluates
    loop_sec = sum(usual if i % 250 == 0 else sec for i, sec in enumerate(times))
    spec = importlib.util.spec_from_file_location("nanogpt_model", copy / "model.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["nanogpt_model"] = module  # where its dataclass looks itself up
    spec.loader.exec_module(module)
    state = torch.load(copy / "out-shakespeare-char/ckpt.pt", weights_only=False)
    model = module.GPT(module.GPTConfig(**state["model_args"]))
    model.load_state_dict(state["model"])
    model.eval()
    n_val = (bins / "val.bin").stat().st_size // 2
    scores = evaluate(Scored(model, 64), bins / "val.bin", n_val, 0, None, 32)  # type: ignore[arg-type]
    return {"iterations": state["iter_num"], "seconds": round(loop_sec, 1), "process_sec": round(process_sec, 1),
            "val_loss": round(float(scores["val_loss"] or 0), 4), "peak_rss_mb": peak_mb(resource.RUSAGE_CHILDREN)}


def main() -> None:
    if sys.argv[1:2] == ["--child"]:
        print(json.dumps(train_ours(Path(sys.argv[2]), *json.loads(sys.argv[3]))))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--text", type=Path, required=True, metavar="FILE")
    parser.add_argument("--target", type=float, default=1.8857, metavar="LOSS", help="nats per character; with "
                        "--nanogpt, nanoGPT's own result")
    parser.add_argument("--seconds", type=float, default=9.0, help="of the training loop")
    parser.add_argument("--nanogpt", type=Path, metavar="DIR")
    parser.add_argument("--counts", action="store_true", help="mix counts into the network at the end")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="another setting of train")
    args = parser.parse_args()
    settings = CHARACTERS + next(more for limit, more in BY_SECONDS if args.seconds <= limit) + args.set
    text = args.text.read_text(encoding="utf-8")
    n = int(0.9 * len(text))
    with tempfile.TemporaryDirectory() as folder:
        n_characters = len(write_characters(Path(folder) / "data", text[:n], text[n:]))
        settings.append(f"vocab_size={n_characters + args.counts}")
        result: dict[str, Any] = {"bench": "race", "target": args.target, "settings": settings}
        if args.nanogpt:
            peer = run_nanogpt(args.nanogpt, Path(folder) / "data", 2000)
            print(f"nanoGPT: {peer}", file=sys.stderr)
            result |= {"nanogpt": peer, "target": peer["val_loss"]}
        ours = race(Path(folder), settings, args.seconds, result["target"], args.counts)
        print(json.dumps(result | ours))


if __name__ == "__main__":
    main()
