"""The training loop."""

from __future__ import annotations

import json
import logging
import math
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import torch
from torch import Tensor

from miniature_memory.core.errors import StageError, Stopped
from miniature_memory.core.process import uninterrupted
from miniature_memory.core.progress import Progress
from miniature_memory.core.stage import StageStats
from miniature_memory.storage.files import write_aside
from miniature_memory.training.batches import Batches, Position, position_for
from miniature_memory.training.bins import Bins
from miniature_memory.training.checkpoint import State, load_checkpoint, load_release, save_state
from miniature_memory.training.config import TrainConfig
from miniature_memory.training.evaluation import Scores, evaluate, figure, format_scores
from miniature_memory.training.optim import LossScale, make_optimizer, rate_at
from miniature_memory.training.sizing import check_memory, choose_device, model_args, with_model_args
from model import GPT

logger = logging.getLogger(__name__)

SPLIT_BELOW = 512  # n_embd; from there on an operation is large enough to keep all cores busy (bench/efficiency.py)
EVALUATION_SPEED_UP = 2.5  # tokens a second against those of training; our measurement, two cores
MAX_EVALUATION_SHARE = 0.2  # of max_minutes may be foreseen for the evaluation: the first iterations mislead
EXIT_SEC = 0.5  # kept back for the end of the process
LEAP_AFTER = 100  # iterations whose mean loss tells a leap: twice as much and a nat more
MAX_ROLLBACKS = 3  # in one run; a model that fails more often needs another learning rate


def _cuda_rng_state(device: str) -> Tensor | None:
    return torch.cuda.get_rng_state() if device.startswith("cuda") else None


def make_deterministic(device: str, seed: int) -> None:
    """Same seed, same losses. Not torch.use_deterministic_algorithms, which imports the compiler: 70 MB."""
    torch.manual_seed(seed)
    torch.set_deterministic_debug_mode("error" if device == "cpu" else "warn")
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # takes time


class Trainer:
    """All that changes while training: model, optimizer, place in the data, clock."""

    def __init__(self, config: TrainConfig, root: Path, bins: Bins, started: float,
                 on_iteration: Callable[[int, float], None] | None = None) -> None:
        checkpoint = load_checkpoint(root, bins)
        self.root, self.bins, self.started = root, bins, started
        self.on_iteration = on_iteration or (lambda iter_num, loss: None)
        self.is_fresh = checkpoint is None or checkpoint["tokenizer_hash"] != bins.tokenizer_hash
        self.device, self.dtype = choose_device(config.device, config.dtype)
        make_deterministic(self.device, config.seed)
        shape = model_args(config, checkpoint, bins, self.device, self.dtype)
        self.config = with_model_args(config, shape)
        self.memory_mb = check_memory(self.config, shape)
        self.model = GPT(shape).to(self.device)
        self.optimizer = make_optimizer(self.model, config)
        self.loss_scale = LossScale() if self.dtype == torch.float16 else None
        # Workers with windows of their own wait for each other once a step, not at each of its hundreds of operations.
        threads, is_split = torch.get_num_threads(), self.device == "cpu" and shape.n_embd < SPLIT_BELOW
        self.n_workers = math.gcd(threads, config.batch_size) if is_split else 1
        self.workers = ThreadPoolExecutor(self.n_workers, "gradients", torch.set_num_threads,
                                          (threads // self.n_workers,))
        self.iter_num = self.tokens_seen = 0
        position = None
        if checkpoint and self.is_fresh:
            layers = {name: value for name, value in checkpoint["model"].items() if name.startswith("blocks.")}
            self.model.load_state_dict(layers, strict=False)
        elif checkpoint:
            position = self._restore(checkpoint)
        self.batches = Batches(bins.train, position_for(position, bins.growth), self.config.block_size,
                               config.replay_share, config.seed)
        self.token_bytes = bins.tokenizer.token_bytes() if bins.tokenizer else None
        self.losses: deque[float] = deque(maxlen=100)
        self.bytes_written, self.save_sec, self.train_sec, self.train_tokens = 0, 0.0, 0.0, 0
        self.rollbacks = 0
        self.loop_started = self.saved_at = self.evaluated_at = time.monotonic()
        self.bar = Progress(total=1.0, desc="train", bar_format="{desc} {percentage:3.0f}%|{bar}|", delay=0.1)

    # --- keeping -------------------------------------------------------------

    def state(self) -> State:
        """All that a resumed run needs to go on as if it had never stopped."""
        return {
            "model": self.model.state_dict(), "optimizer": self.optimizer.state_dict(),
            "model_args": asdict(self.model.config), "config": asdict(self.config),
            "iter_num": self.iter_num, "tokens_seen": self.tokens_seen, "position": asdict(self.batches.position),
            "rng": {"cpu": torch.get_rng_state(), "cuda": _cuda_rng_state(self.device)},
            "tokenizer_hash": self.bins.tokenizer_hash,
            "tokenizer_provisional": bool(self.bins.tokenizer and self.bins.tokenizer.provisional),
            "threads": torch.get_num_threads(), "torch": str(torch.__version__), "compiled": False,
        }

    def _restore(self, state: State) -> Position:
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.iter_num, self.tokens_seen = state["iter_num"], state["tokens_seen"]
        torch.set_rng_state(state["rng"]["cpu"])
        if self.device.startswith("cuda") and state["rng"]["cuda"] is not None:
            torch.cuda.set_rng_state(state["rng"]["cuda"])
        for name, now in (("threads", torch.get_num_threads()), ("torch", str(torch.__version__))):
            if state[name] != now:
                logger.info("%s: %s now, %s in the run before; it goes on, and the losses may differ in their last "
                            "digits from those of a run without a break", name, now, state[name])
        return Position(**state["position"])

    def save(self) -> None:
        began = time.monotonic()
        with uninterrupted():
            state = self.state()
            self._write("ckpt.pt", state, keep_as="ckpt.prev.pt")
            facts = {key: value for key, value in state.items() if key not in ("model", "optimizer", "rng")}
            write_aside(self.root / "checkpoints/ckpt.json", json.dumps(facts, indent=1).encode() + b"\n")
        self.saved_at = time.monotonic()
        self.save_sec = self.saved_at - began

    def _write(self, name: str, state: State, keep_as: str = "") -> None:
        folder = self.root / "checkpoints"
        save_state(folder / name, state, folder / keep_as if keep_as else None)
        self.bytes_written += (folder / name).stat().st_size

    # --- one iteration -------------------------------------------------------

    def iterate(self, decayed: float = 0.0) -> None:
        """One optimizer step; a signal waits until it is whole. After a loss that is no number or leaps, the last good
        checkpoint instead."""
        began = time.monotonic()
        with uninterrupted():
            loss = self._accumulate_gradients()
            norm = self._clip_gradients()
            finite = math.isfinite(loss + norm)  # checked before the step, so that no weight is ever spoilt
            if self.loss_scale:
                self.loss_scale.update(finite)
            if self.loss_scale and not finite and math.isfinite(loss) and self.loss_scale.factor > 1:
                self.model.zero_grad()
            elif not finite or (len(self.losses) >= LEAP_AFTER and loss > 2 * (self.train_loss or math.inf) + 1):
                self.roll_back(loss, norm)
            else:
                self.optimizer.step(rate_at(self.iter_num, decayed, self.config))
                self.iter_num += 1
                self.losses.append(loss)
                self.on_iteration(self.iter_num, loss)
        self.train_sec += time.monotonic() - began
        self._show_progress()

    def _accumulate_gradients(self) -> float:
        """The mean loss of the batches of one step; each is divided among the workers."""
        total, n = 0.0, self.config.gradient_accumulation_steps * self.n_workers
        each = self.workers.map if self.n_workers > 1 else map
        for _ in range(self.config.gradient_accumulation_steps):
            idx, targets = (x.to(self.device) for x in self.batches.next(self.config.batch_size))
            seeds = torch.randint(2**62, (self.n_workers,)).tolist()  # of dropout
            parts = each(self._gradients, idx.chunk(self.n_workers), targets.chunk(self.n_workers), seeds)
            for loss, gradients in parts:  # always added in the same order
                total += loss / n
                for p, gradient in zip(self.model.parameters(), gradients, strict=True):
                    p.grad = gradient if p.grad is None else p.grad.add_(gradient)
            self.tokens_seen += idx.numel()
            self.train_tokens += idx.numel()
        return total

    def _gradients(self, idx: Tensor, targets: Tensor, seed: int) -> tuple[float, tuple[Tensor, ...]]:
        """The mean loss of some windows, and its gradients divided by the number of such calls in a step."""
        n = self.config.gradient_accumulation_steps * self.n_workers
        factor = self.loss_scale.factor if self.loss_scale else 1.0
        generator = torch.Generator(self.device).manual_seed(seed)
        with torch.autocast(self.device.partition(":")[0], self.dtype, self.dtype != torch.float32):
            loss = self.model.loss(idx, targets, generator)
        return loss.item(), torch.autograd.grad(loss * (factor / n), list(self.model.parameters()))

    def _clip_gradients(self) -> float:
        """The norm of the matrices' gradients, which are scaled down where it is too long. The table's are left alone:
        its rows move by the direction of their gradient, whatever its length."""
        grads = [p.grad for p in self.model.parameters() if p.grad is not None and not p.grad.is_sparse]
        table = self.model.embedding.table.grad
        factor = self.loss_scale.factor if self.loss_scale else 1.0
        norm = float(torch.linalg.vector_norm(torch.stack(torch._foreach_norm(grads)))) / factor
        shrink = min(1.0, (self.config.grad_clip or math.inf) / (norm + 1e-6)) / factor
        if shrink < 1.0:
            torch._foreach_mul_(grads, shrink)
        if factor > 1.0 and table is not None:
            table._values().div_(factor)
        return norm

    def roll_back(self, loss: float, norm: float) -> None:
        """Take model and optimizer from the last checkpoint and go on behind the batch that spoilt them."""
        state = load_checkpoint(self.root, self.bins)
        self.rollbacks += 1
        if state is None or state["tokenizer_hash"] != self.bins.tokenizer_hash or self.rollbacks > MAX_ROLLBACKS:
            raise StageError(f"The loss at iteration {self.iter_num} is {loss}, its gradient's norm {norm}.",
                             "finite numbers, and none that leap.", "make train.learning_rate smaller "
                             f"(it is {self.config.learning_rate:g}) and run again; it goes on from the last "
                             "checkpoint, which is good, or begins anew if there is none yet.")
        logger.warning("the loss at iteration %s was %.3g after a mean of %.3g: going back to iteration %s, without "
                       "this batch", f"{self.iter_num:,}", loss, self.train_loss or math.nan, f"{state['iter_num']:,}")
        self.model.zero_grad()
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.iter_num = state["iter_num"]
        self.losses.clear()

    @property
    def train_loss(self) -> float | None:
        """The mean of this run's last hundred iterations."""
        return sum(self.losses) / len(self.losses) if self.losses else None

    @property
    def tok_per_sec(self) -> float:
        return self.train_tokens / self.train_sec if self.train_sec else 0.0

    def _show_progress(self) -> None:
        config, elapsed = self.config, time.monotonic() - self.started
        done, left_sec = 0.0, math.inf
        if config.max_minutes:
            done, left_sec = elapsed / (60 * config.max_minutes), 60 * config.max_minutes - elapsed
        if config.max_iters:
            left_iters = config.max_iters - self.iter_num
            done = max(done, 1 - left_iters / config.max_iters)
            left_sec = min(left_sec, left_iters * config.tokens_per_iter / self.tok_per_sec)
        left = f", {max(0, left_sec) / 60:.1f} min left" if left_sec < math.inf else ""
        self.bar.set_description_str(f"train: iter {self.iter_num:,}, loss {self.train_loss or math.nan:.3f}, "
                                     f"{self.tok_per_sec / 1000:.1f} k tokens/s{left}", refresh=False)
        self.bar.update(min(1.0, done) - self.bar.n)

    # --- the phases of a run -------------------------------------------------

    def train_stable(self) -> None:
        """Train at the stable rate until it is time for the decay; then, or when stopped, save ckpt.pt."""
        try:
            while not self.stable_is_over():
                self.iterate()
                now = time.monotonic()
                if now - self.evaluated_at >= 60 * self.config.eval_minutes:
                    self.save()
                    self.log_evaluation()
                elif now - self.saved_at >= 60 * self.config.save_minutes:
                    self.save()
        except Stopped:
            self.save()
            raise
        self.save()

    def stable_is_over(self) -> bool:
        config = self.config
        if config.max_iters and self.iter_num >= config.stable_iters:
            return True
        if config.max_epochs and self.batches.position.epoch >= config.max_epochs:
            return True
        decay_sec = config.decay_frac * (self.deadline() - self.loop_started)
        return self.train_tokens > 0 and time.monotonic() >= self.deadline() - decay_sec

    def deadline(self) -> float:
        """When the last iteration must be over, so that evaluation and release end within max_minutes."""
        if not self.config.max_minutes:
            return math.inf
        budget_sec, val_tokens = 60 * self.config.max_minutes, self.bins.growth[-1][1]
        evaluation_sec = val_tokens / (EVALUATION_SPEED_UP * self.tok_per_sec) if self.train_tokens else 0.0
        kept_back_sec = min(evaluation_sec, MAX_EVALUATION_SHARE * budget_sec) + self.save_sec + EXIT_SEC
        return self.started + budget_sec - kept_back_sec

    def train_decay(self) -> None:
        """Bring the learning rate down to zero. ckpt.pt is saved already: a stop loses this branch and nothing else."""
        first_iter, last_iter = self.iter_num, self.last_iter()
        whole_sec = max(1e-9, self.deadline() - time.monotonic())
        while self.iter_num < last_iter and (left_sec := self.deadline() - time.monotonic()) > 0:
            decayed = (self.iter_num - first_iter) / (last_iter - first_iter)
            if whole_sec < math.inf:
                decayed = max(decayed, 1 - left_sec / whole_sec)
            self.iterate(min(max(decayed, 0.0), 1.0))

    def last_iter(self) -> float:
        """Where the decay ends by count; it may end earlier by time."""
        config = self.config
        last = config.max_iters or math.inf
        if config.max_epochs and self.batches.position.epoch >= config.max_epochs:
            last = min(last, self.iter_num + round(config.decay_frac / (1 - config.decay_frac) * self.iter_num))
        return last

    def log_evaluation(self) -> None:
        """Validation loss on a few windows, for people."""
        scores = self.evaluate(self.config.eval_windows)
        self.bar.clear()
        logger.info("iter %s: train loss %.3f, validation %s", f"{self.iter_num:,}", self.train_loss,
                    format_scores(scores))
        self.evaluated_at = time.monotonic()

    def evaluate(self, max_windows: int = 0) -> Scores:
        position = self.batches.position
        return evaluate(self.model, self.bins.val, self.bins.growth[-1][1], position.old_val_tokens, self.token_bytes,
                        self.config.batch_size, max_windows)

    def release(self) -> State:
        """Evaluate and write release.pt, unless the one there did better on the same text. Returns what it holds."""
        scores, old = self.evaluate(), load_release(self.root, self.bins)
        entry = {"growth_step": len(self.bins.growth), "tokens": self.bins.growth[-1], "iter_num": self.iter_num,
                 "val_loss": scores["val_loss"], "val_bpb": scores["val_bpb"]}
        history = ([] if self.is_fresh or old is None else old["history"]) + [entry]
        new = {key: value for key, value in self.state().items() if key not in ("optimizer", "rng")}
        new |= {"scores": scores, "entry": entry}
        if old and old["entry"]["tokens"] == entry["tokens"] and figure(old["entry"]) < figure(entry):
            logger.info("this run ended at %s; the earlier release did better, with %s, and stays",
                        format_scores(scores), format_scores(old["scores"]))
            new = old
        self._write("release.pt", new | {"history": history})
        if new is not old:
            self._keep_release(new)
        return new

    def _keep_release(self, release: State) -> None:
        """A copy of the release without what only training needs, in float16; the oldest make room."""
        folder, keep = self.root / "checkpoints/history", self.config.keep_releases
        small = {key: release[key] for key in ("model_args", "iter_num", "tokenizer_hash", "scores")}
        small["model"] = {name: value.half() for name, value in release["model"].items()}
        if keep:
            self._write(f"history/{datetime.now(UTC):%Y-%m-%d-%H%M%S}.pt", small)
        for path in sorted(folder.glob("*.pt"))[:-keep or None]:
            path.unlink()


# --- the stage -----------------------------------------------------------------------------------


def stop_reason(trainer: Trainer, release: State | None) -> str:
    """Why more training would be of no use; empty if there is no such reason."""
    config, position = trainer.config, trainer.batches.position
    history = release["history"] if release else []
    if not history or trainer.is_fresh or history[-1]["iter_num"] < trainer.iter_num:
        return ""  # no release was made from this checkpoint yet
    figures = [figure(entry) for entry in history if entry["tokens"] == trainer.bins.growth[-1]][-3:]
    if len(figures) == 3 and figures[0] < figures[1] < figures[2]:
        return (f"the last releases became worse twice ({', '.join(f'{x:.3f}' for x in figures)}): this text has no "
                "more to teach to this model; add text")
    if config.max_epochs and position.epoch >= config.max_epochs:
        return f"the text was read {position.epoch} times (train.max_epochs = {config.max_epochs}); add text"
    if config.max_iters and trainer.iter_num >= config.stable_iters:
        return f"train.max_iters = {config.max_iters} is reached"
    return ""


def make_report(trainer: Trainer, released: State, rest: str) -> StageStats:
    """The figures of the model in release.pt and of this run's work."""
    position = trainer.batches.position
    facts = {
        "iter_num": released["iter_num"], "train_loss": trainer.train_loss, **released["scores"],
        "tok_per_sec": round(trainer.tok_per_sec), "tokens_seen": released["tokens_seen"],
        "epoch": round(position.epoch + position.index / max(1, len(trainer.batches.starts)), 2),
        "growth_step": len(trainer.bins.growth), "parameters": trainer.model.num_parameters(),
        "device": trainer.device, "dtype": str(trainer.dtype).removeprefix("torch."),
        "threads": torch.get_num_threads(), "memory_estimate_mb": trainer.memory_mb,
    }
    facts["summary"] = f"nothing to do: {rest}" if rest else (
        f"{trainer.iter_num:,} iterations, {trainer.tokens_seen / 1e6:.1f} M tokens, "
        f"{trainer.tok_per_sec / 1000:.1f} k tokens/s, validation {format_scores(released['scores'])}")
    return StageStats("train", bytes_written=trainer.bytes_written, facts=facts)
