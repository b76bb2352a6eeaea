"""Distributed: one training in several processes, on one machine or several, as torchrun starts them.

Rank 0 leads: it alone has the lock, the clock, the checkpoints, the evaluation and the release. The others follow: they
get its state, wait for its orders, and iterate when it does. All draw the same windows; each takes its share. Then the
gradients are added: those of the matrices in one all_reduce, those of the table as the rows that were looked up, in one
all_gather. Every process takes the same step with them: the contract of DistributedDataParallel (arXiv 2006.15704).
"""

import contextlib
import io
import logging
import math
import os
import signal
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from miniature_memory.core.errors import StageError
from miniature_memory.core.interpreter import ENDING
from miniature_memory.core.log import DETAIL
from miniature_memory.core.paths import own_program
from miniature_memory.core.process import TORCHRUN_VARIABLE, uninterrupted
from miniature_memory.storage.files import crc32_of
from miniature_memory.training.bins import Bins
from miniature_memory.training.checkpoint import State
from miniature_memory.training.config import TrainConfig
from miniature_memory.training.optim import RowAdagrad
from model import GPT

JOINING = timedelta(minutes=5)  # until all processes have met, and for each addition of gradients
WAITING = timedelta(days=365)  # for an order, while rank 0 evaluates, fits the counts or writes
END, STATE, ITERATE = range(3)  # orders

logger = logging.getLogger(__name__)


class Dismissed(Exception):
    """Rank 0 has ended, and so should its followers."""


def rank_and_size() -> tuple[int, int]:
    """Which of how many processes this is; (0, 1) without torchrun. Rank 0 leads."""
    if TORCHRUN_VARIABLE not in os.environ:
        return 0, 1
    return int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])


def share_of(config: TrainConfig, size: int) -> tuple[int, int]:
    """How many windows at once, and how many times, are one process's share of an iteration. Raises StageError."""
    windows = config.batch_size * config.gradient_accumulation_steps
    if windows % size:
        step = size // math.gcd(size, config.gradient_accumulation_steps)
        raise StageError(f"An iteration has {windows} windows (train.batch_size x train.gradient_accumulation_steps), "
                         f"and there are {size} processes.", "a number that they can share equally.",
                         f"--set train.batch_size={-(-config.batch_size // step) * step}")
    own = windows // size
    times = next(n for n in range(-(-own // config.batch_size), own + 1) if own % n == 0)
    return own // times, times


@contextlib.contextmanager
def joined(config: TrainConfig, bins: Bins) -> "Iterator[Alone]":
    """The processes of this training. At the end of the block, rank 0's end is everyone's."""
    rank, size = rank_and_size()
    if size == 1:
        yield Alone()
        return
    if rank == 0:
        share_of(config, size)  # an error once, not from each
    team = Team(rank, size, config.device, bins)
    try:
        yield team
    except Dismissed:
        pass
    finally:
        with uninterrupted():
            team.end()


class Alone:
    """One process: it leads, and nobody follows."""

    rank, size = 0, 1

    def order_iteration(self, decayed: float) -> None:
        """By rank 0: all others take part in its next iteration."""

    def iterations(self) -> Iterator[float]:
        """By those who follow: `decayed` of each iteration that is ordered. Raises Dismissed in the end."""
        yield from ()

    def send(self, state: State) -> None:
        """By rank 0, and of no effect by others: a state, which all others receive()."""

    def receive(self) -> State:
        raise NotImplementedError

    def add_up(self, model: GPT, rows: RowAdagrad, loss: float, factor: float) -> float:
        """The sum of all processes' losses; and let the model's gradients be the sums of theirs, which are `factor`
        times too large."""
        return loss


class Team(Alone):
    """Several processes, of which this is one."""

    def __init__(self, rank: int, size: int, device: str, bins: Bins) -> None:
        self.rank, self.size = rank, size
        cards = own_card(device)
        # Until the others are there, a signal ends the process; Python would not get to its handler
        handlers = {signum: signal.signal(signum, signal.SIG_DFL) for signum in ENDING}
        store = _with_all(meet, rank, size)
        _with_all(dist.init_process_group, "nccl" if cards else "gloo", None, JOINING, size, rank, store)
        self.orders = dist.new_group(backend="gloo", timeout=WAITING)
        for signum, handler in handlers.items():  # rank 0 saves, and then dismisses the others
            signal.signal(signum, signal.SIG_IGN if rank else handler)
        self._must_have_the_same(bins)

    def _must_have_the_same(self, bins: Bins) -> None:
        text = {"tokenizer": bins.tokenizer_hash, "growth": bins.growth, "vocab_size": bins.vocab_size,
                "train.bin": crc32_of(bins.train, 0, 2 * bins.train_tokens)}
        self.send(text)
        if self.rank and (others := self.receive()) != text:
            wrong = ", ".join(name for name in text if text[name] != others.get(name))
            raise StageError(f"{bins.train.parent} on {os.uname().nodename} differs from that of rank 0 ({wrong}).",
                             "the same text and tokenizer for each process.",
                             "copy data/ from the machine of rank 0, or use a folder that all machines share.")

    # --- orders of rank 0 ----------------------------------------------------

    def order_iteration(self, decayed: float) -> None:
        if self.rank == 0:
            self._order(ITERATE, decayed)

    def iterations(self) -> Iterator[float]:
        while self.rank:
            yield self._obey(ITERATE)

    def send(self, state: State) -> None:
        if self.rank == 0:
            buffer = io.BytesIO()
            torch.save(state, buffer)
            content = torch.frombuffer(buffer.getbuffer(), dtype=torch.uint8)
            self._order(STATE, len(content))
            _with_all(dist.broadcast, content, 0, self.orders)

    def receive(self) -> State:
        content = torch.empty(int(self._obey(STATE)), dtype=torch.uint8)
        _with_all(dist.broadcast, content, 0, self.orders)
        state: State = torch.load(io.BytesIO(content.numpy().tobytes()), map_location="cpu", weights_only=True)
        return state

    def end(self) -> None:
        """Dismiss the others, as far as they can still be reached."""
        with contextlib.suppress(RuntimeError):
            if self.rank == 0:
                dist.broadcast(torch.tensor([END, 0.0], dtype=torch.float64), 0, self.orders)
            dist.destroy_process_group()

    def _order(self, order: int, value: float) -> None:
        _with_all(dist.broadcast, torch.tensor([order, value], dtype=torch.float64), 0, self.orders)

    def _obey(self, expected: int) -> float:
        message = torch.empty(2, dtype=torch.float64)
        _with_all(dist.broadcast, message, 0, self.orders)
        order, value = map(float, message.tolist())
        if order == END:
            raise Dismissed
        assert order == expected, (order, expected)
        return value

    # --- gradients -----------------------------------------------------------

    def add_up(self, model: GPT, rows: RowAdagrad, loss: float, factor: float) -> float:
        table = model.embedding.table
        assert table.grad is not None
        own, matrices = joined_rows(table.grad, factor), [p for p in model.parameters() if p is not table]
        figures = torch.zeros(1 + self.size, device=own.device)  # the loss, and how many rows each process has
        figures[0], figures[1 + self.rank] = loss, len(own)
        flat = torch.cat([*(p.grad.flatten() for p in matrices if p.grad is not None), figures])
        _with_all(dist.all_reduce, flat)
        *sums, figures = flat.split([*(p.numel() for p in matrices), len(figures)])
        for p, gradient in zip(matrices, sums, strict=True):
            p.grad = gradient.view_as(p)
        loss, *counts = figures.tolist()
        longest = own.new_zeros(int(max(counts)), own.size(1))  # all that are sent are of one length
        longest[:len(own)] = own
        parts = [torch.empty_like(longest) for _ in range(self.size)]
        _with_all(dist.all_gather, parts, longest)
        whole = torch.cat([part[:int(n)] for part, n in zip(parts, counts, strict=True)])
        values, rows.grad_squares = whole[:, :-2].contiguous(), whole[:, -2]
        indices = whole[:, -1].contiguous().view(torch.int32).long().view(1, -1)
        table.grad = torch.sparse_coo_tensor(indices, values, table.shape, check_invariants=False)
        return loss


def joined_rows(grad: Tensor, factor: float) -> Tensor:
    """A table's gradient with each row once: float32 (rows, C + 2), the sum of the row's gradients, the sum of their
    mean squares without `factor`, and its number (the bits of an int32)."""
    values, width = grad._values(), grad.size(1)
    numbers, places = grad._indices()[0].unique(return_inverse=True)
    found = values.new_zeros(len(numbers), width + 2)
    squares = torch.linalg.vecdot(values, values).div_(width * factor**2)
    found.index_add_(0, places, torch.cat((values, squares.unsqueeze(1), squares.new_zeros(len(squares), 1)), 1))
    found[:, -1] = numbers.int().view(torch.float32)
    return found


# --- meeting -------------------------------------------------------------------------------------


def meet(rank: int, size: int) -> Any:
    """The store in which the processes find each other's addresses.

    torchrun's own still has those of the processes before a restart (pytorch issue 135712), so rank 0 names a new part
    of it. Each other process calls with a name that it made up, and gets that of the part in answer; a call that was
    left over is answered in vain.
    """
    from torch.distributed.distributed_c10d import PrefixStore
    from torch.distributed.rendezvous import rendezvous

    store, own, missing = next(rendezvous("env://", rank, size, timeout=JOINING))[0], uuid.uuid4().hex, set(range(size))
    if rank:
        store.set(f"called/{rank}", own)
        name = store.get(f"part of/{own}").decode()
        store.set(f"{name}/{rank} is here", "")
        return PrefixStore(name, store)
    missing.remove(rank)
    until = time.monotonic() + JOINING.total_seconds()
    while missing:
        if time.monotonic() > until:
            raise RuntimeError(f"{sorted(missing)} of {size} did not come")
        for other in sorted(missing):
            if store.check([f"called/{other}"]):
                store.set(f"part of/{store.get(f'called/{other}').decode()}", own)
            if store.check([f"{own}/{other} is here"]):
                missing.remove(other)
        time.sleep(0.02)
    return PrefixStore(own, store)


# --- devices and errors --------------------------------------------------------------------------


def own_card(device: str) -> bool:
    """Whether to compute on a graphics card; then the one with this process's number on its machine becomes torch's
    "cuda". Raises StageError if there are fewer cards than processes."""
    number, n_cards = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device == "cpu" or (device == "auto" and not n_cards and not torch.backends.mps.is_available()):
        return False
    if device not in ("auto", "cuda") or number >= n_cards:
        raise StageError(f"train.device = {device}, with {os.environ['LOCAL_WORLD_SIZE']} processes and {n_cards} CUDA "
                         f"cards on {os.uname().nodename}.", "a card for each process.",
                         f"{own_program('torchrun')} --nproc_per_node={n_cards} ... --set 'train.device=\"cuda\"'"
                         if n_cards else "--set 'train.device=\"cpu\"'")
    torch.cuda.set_device(number)
    return True


def _with_all(call: Callable[..., Any], *args: Any) -> Any:
    try:
        return call(*args)
    except RuntimeError as error:  # torch.distributed has it for each end of a connection
        logger.log(DETAIL, "%s: %s", call.__name__, error)
        raise StageError("Another process of this training has ended, or its machine cannot be reached.",
                         "all processes until the end.", "run the same command again, which continues from the last "
                         "checkpoint; torchrun does that itself with --max-restarts=3.") from None
