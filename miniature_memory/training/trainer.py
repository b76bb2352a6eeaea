"""The trainer: model, optimizer and place in the data, moved on one iteration at a time."""

import json
import logging
import math
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor

from miniature_memory.core.errors import StageError
from miniature_memory.core.paths import command
from miniature_memory.core.process import uninterrupted
from miniature_memory.core.progress import Progress
from miniature_memory.storage.files import write_aside
from miniature_memory.training.batches import NOTHING, Batches, Position, position_for
from miniature_memory.training.bins import Bins
from miniature_memory.training.checkpoint import State, does_not_fit, load_checkpoint, save_state
from miniature_memory.training.config import TrainConfig
from miniature_memory.training.distributed import Alone, share_of
from miniature_memory.training.evaluation import Scores, evaluate
from miniature_memory.training.init_from import load_start
from miniature_memory.training.mixing import held_back
from miniature_memory.training.optim import LossScale, clip_gradients, make_optimizer, rate_at
from miniature_memory.training.sizing import check_memory, choose_device, model_args, with_model_args
from miniature_memory.training.time_budget import TimeBudget, release_tokens
from model import GPT

logger = logging.getLogger(__name__)

SPLIT_BELOW = 512  # n_embd; from there on an operation is large enough to keep all cores busy (bench/efficiency.py)
LEAP_AFTER = 100  # iterations whose mean loss shows a leap: twice as much and a nat more
MAX_ROLLBACKS = 3  # in one run; a model that fails more often needs another learning rate
MOST_DROPOUT = 0.7  # of n-grams and matches


def ngram_dropout(config: TrainConfig, epoch: int) -> float:
    """The share of n-grams and matches, which learn by heart what they see again, that is dropped in an epoch, counted
    from 0. A quarter of the plays, 7 epochs: 1.882 bits per byte with the growth of 1.5, 1.902 without; characters,
    with fewer of both, lose by it."""
    return min(config.dropout * (1 + config.dropout_growth * epoch), max(config.dropout, MOST_DROPOUT))


def make_deterministic(device: str, seed: int) -> None:
    """Same seed, same losses. Not torch.use_deterministic_algorithms, which imports the compiler: 70 MB."""
    torch.manual_seed(seed)
    torch.set_deterministic_debug_mode("error" if device == "cpu" else "warn")
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # takes time


class Trainer:
    """All that changes while training. Continues from the root's checkpoint, if there is one.

    team: the processes of this training; those that follow continue from what rank 0 continues from.
    """

    def __init__(self, config: TrainConfig, root: Path, bins: Bins, started: float,
                 on_iteration: Callable[[int, float], None] | None = None,
                 clock: Callable[[], float] = time.monotonic, team: Alone | None = None) -> None:
        self.team = team or Alone()
        self.batch_size, n_batches = share_of(config, self.team.size)
        checkpoint = self.team.receive() if self.team.rank else load_checkpoint(root, bins)
        start = load_start(config, root, bins) if config.init_from and checkpoint is None else None
        self.root, self.bins, self.on_iteration = root, bins, on_iteration or (lambda iter_num, loss: None)
        self.is_fresh = checkpoint is None or checkpoint["tokenizer_hash"] != bins.tokenizer_hash
        self.is_sized = config.size == "auto" and not (checkpoint or start)  # to the time budget
        self.init_from = config.init_from if start else str((checkpoint or {}).get("init_from", ""))  # "": from nothing
        self.device, self.dtype = choose_device(config.device, config.dtype)
        make_deterministic(self.device, config.seed)
        shape = model_args(config, checkpoint or start, bins, self.device, self.dtype)
        self.config = with_model_args(config, shape, root, bool(checkpoint), bool(start))
        self.held_back = (held_back(bins.train, bins.growth, bins.tokenizer.eot_token)
                          if config.counts and bins.tokenizer else NOTHING)
        self.memory_mb = check_memory(self.config, shape, bins)
        self.model = GPT(shape).to(self.device)
        self.optimizer = make_optimizer(self.model, config)
        self.loss_scale = LossScale() if self.dtype == torch.float16 else None
        # Workers with windows of their own wait for each other once per step, not at each of its hundreds of operations
        threads, is_split = torch.get_num_threads(), self.device == "cpu" and shape.n_embd < SPLIT_BELOW
        self.n_workers = math.gcd(threads, self.batch_size) if is_split else 1
        self.workers = ThreadPoolExecutor(self.n_workers, "gradients", torch.set_num_threads,
                                          (threads // self.n_workers,))
        self.n_parts = self.team.size * n_batches * self.n_workers  # of an iteration
        self.iter_num = self.saved_iter = self.tokens_seen = self.rollbacks = self.bytes_written = 0
        position = self._restore(checkpoint) if checkpoint else None
        if start:
            self.model.load_state_dict(start["model"])
        self.batches = Batches(bins.train, position_for(position, bins.growth), self.config.block_size,
                               config.replay_share, config.seed, self.held_back)
        self.token_bytes = bins.tokenizer.token_bytes() if bins.tokenizer else None
        self.losses: deque[float] = deque(maxlen=100)
        end_tokens = release_tokens(bins.val_tokens, bins.train_tokens * bool(len(self.held_back)), config.max_minutes)
        self.budget = TimeBudget(config.max_minutes, started, end_tokens, clock)
        self.bar = Progress(total=1.0, desc="train", bar_format="{desc} {percentage:3.0f}%|{bar}|", delay=0.1)
        self.team.send(self.state())

    @property
    def train_loss(self) -> float | None:
        """The mean of this run's last hundred iterations."""
        return sum(self.losses) / len(self.losses) if self.losses else None

    @property
    def scale_factor(self) -> float:
        """How many times too large the gradients are computed."""
        return self.loss_scale.factor if self.loss_scale else 1.0

    # --- its state -----------------------------------------------------------

    def state(self) -> State:
        """All that a resumed run needs to continue as if it had never stopped."""
        cuda_rng = torch.cuda.get_rng_state() if self.device.startswith("cuda") else None
        return {
            "model": self.model.state_dict(), "optimizer": self.optimizer.state_dict(),
            "model_args": asdict(self.model.config), "config": asdict(self.config),
            "iter_num": self.iter_num, "tokens_seen": self.tokens_seen, "position": asdict(self.batches.position),
            "rng": {"cpu": torch.get_rng_state(), "cuda": cuda_rng}, "tokenizer_hash": self.bins.tokenizer_hash,
            "tokenizer_provisional": bool(self.bins.tokenizer and self.bins.tokenizer.provisional),
            "threads": torch.get_num_threads(), "torch": str(torch.__version__), "init_from": self.init_from,
        }

    def _restore(self, state: State) -> Position | None:
        """Continue from `state`, or with its layers alone if the tokenizer is another one."""
        if self.is_fresh:
            layers = {name: value for name, value in state["model"].items() if name.startswith("blocks.")}
            self.model.load_state_dict(layers, strict=False)
            return None
        try:
            self._restore_weights(state)
            self.tokens_seen = state["tokens_seen"]
            torch.set_rng_state(state["rng"]["cpu"])
            if self.device.startswith("cuda") and state["rng"]["cuda"] is not None:
                torch.cuda.set_rng_state(state["rng"]["cuda"])
            position = Position(**state["position"])
        except torch.OutOfMemoryError:
            raise
        except (LookupError, TypeError, ValueError, RuntimeError) as error:  # whole, and yet of no training of ours
            raise does_not_fit(self.root, error) from None
        for name, now in (("threads", torch.get_num_threads()), ("torch", str(torch.__version__))):
            if state.get(name) != now:
                logger.info("%s: %s now, %s in the run before; the losses may differ in their last digits from those "
                            "of an uninterrupted run", name, now, state.get(name))
        return position

    def _restore_weights(self, state: State) -> None:
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.iter_num = state["iter_num"]

    def save(self) -> None:
        """Write ckpt.pt, and ckpt.json, which people can read."""
        began, folder = self.budget.clock(), self.root / "checkpoints"
        with uninterrupted():
            state = self.state()
            self.bytes_written += save_state(folder / "ckpt.pt", state, keep_as=folder / "ckpt.prev.pt")
            facts = {key: value for key, value in state.items() if key not in ("model", "optimizer", "rng")}
            write_aside(folder / "ckpt.json", json.dumps(facts, indent=1).encode() + b"\n")
        self.budget.save_sec, self.saved_iter = self.budget.clock() - began, self.iter_num

    # --- one iteration -------------------------------------------------------

    def iterate(self, decayed: float = 0.0) -> None:
        """One optimizer step, which a signal does not cut short. `decayed` is the share of the decay that is over.

        When the loss is not a number, or leaps, the last checkpoint comes back instead.
        """
        began = self.budget.clock()
        with uninterrupted():
            self.team.order_iteration(decayed)
            loss = self._accumulate_gradients()
            norm = clip_gradients(self.model, self.config.grad_clip, self.scale_factor)
            finite = math.isfinite(loss + norm)  # checked before the step, so that no weight is ever spoiled
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
        self.budget.train_sec += self.budget.clock() - began
        self._show_progress()

    def _accumulate_gradients(self) -> float:
        """The mean loss of the windows of one step, which are divided among the processes; each divides its batches
        among its workers."""
        total, each = 0.0, self.workers.map if self.n_workers > 1 else map
        self.model.embedding.dropout = ngram_dropout(self.config, self.batches.position.epoch)
        windows = self.batches.next(self.config.batch_size * self.config.gradient_accumulation_steps)
        own = [x.chunk(self.team.size)[self.team.rank].split(self.batch_size) for x in windows]
        for batch in zip(*own, strict=True):
            idx, targets = (x.to(self.device) for x in batch)
            seeds = torch.randint(2**62, (self.team.size, self.n_workers))[self.team.rank].tolist()  # of dropout
            parts = each(self._gradients, idx.chunk(self.n_workers), targets.chunk(self.n_workers), seeds)
            for loss, gradients in parts:  # always added in the same order
                total += loss / self.n_parts
                for p, gradient in zip(self.model.parameters(), gradients, strict=True):
                    p.grad = gradient if p.grad is None else p.grad.add_(gradient)
        self.tokens_seen += windows[0].numel()
        self.budget.train_tokens += windows[0].numel()
        return self.team.add_up(self.model, self.optimizer.rows, total, self.scale_factor)

    def _gradients(self, idx: Tensor, targets: Tensor, seed: int) -> tuple[float, tuple[Tensor, ...]]:
        """The mean loss of some windows, and its gradients divided by the number of such calls in a step."""
        generator = torch.Generator(self.device).manual_seed(seed)
        with torch.autocast(self.device.partition(":")[0], self.dtype, self.dtype != torch.float32):
            loss = self.loss(idx, targets, generator)
        parameters = list(self.model.parameters())
        return loss.item(), torch.autograd.grad(loss * (self.scale_factor / self.n_parts), parameters)

    def loss(self, idx: Tensor, targets: Tensor, generator: torch.Generator) -> Tensor:
        """What is made smaller; exporting/student.py has another one."""
        return self.model.loss(idx, targets, generator)

    def roll_back(self, loss: float, norm: float) -> None:
        """Restore model and optimizer from the last checkpoint and continue after the batch that broke them."""
        state = self.team.receive() if self.team.rank else load_checkpoint(self.root, self.bins)
        self.rollbacks += 1
        if state is None or state["tokenizer_hash"] != self.bins.tokenizer_hash or self.rollbacks > MAX_ROLLBACKS:
            raise StageError(f"The loss at iteration {self.iter_num:,} is {loss}, the norm of its gradient {norm}.",
                             "finite numbers without jumps.", "lower the learning rate: " + command(
                                 "run.py", self.root, "--only train",
                                 f"--set train.learning_rate={self.config.learning_rate / 2:g}"))
        logger.warning("the loss at iteration %s was %.3g after a mean of %.3g: going back to iteration %s, without "
                       "this batch", f"{self.iter_num:,}", loss, self.train_loss or math.nan, f"{state['iter_num']:,}")
        self.team.send(state)
        self.model.zero_grad()
        self._restore_weights(state)
        self.losses.clear()

    # --- figures -------------------------------------------------------------

    def evaluate(self, max_windows: int = 0) -> Scores:
        """The network's figures alone."""
        return evaluate(self.model, self.bins.val, self.bins.val_tokens, self.batches.position.old_val_tokens,
                        self.token_bytes, self.config.batch_size, max_windows)

    def _show_progress(self) -> None:
        config, rate = self.config, self.budget.tok_per_sec
        done, left_sec = self.budget.progress()
        if config.max_iters:
            left_iters = config.max_iters - self.iter_num
            done = max(done, 1 - left_iters / config.max_iters)
            left_sec = min(left_sec, left_iters * config.tokens_per_iter / rate if rate else math.inf)
        left = f", {max(0, left_sec) / 60:.1f} min left" if left_sec < math.inf else ""
        self.bar.set_description_str(f"train: iter {self.iter_num:,}, loss {self.train_loss or math.nan:.3f}, "
                                     f"{rate / 1000:.1f} k tokens/s{left}", refresh=False)
        self.bar.update(min(1.0, done) - self.bar.n)
