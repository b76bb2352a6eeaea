"""Optimizer: AdamW for the matrices, Adagrad by rows for the embedding table.

torch.optim's AdamW would do, but importing it imports the compiler: 70 MB and a second more on a machine where the
whole model takes less than that. torch._fused_adamw_ is its kernel, one pass over memory.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from miniature_memory.training.config import TrainConfig
from model import GPT

CHUNK = 8192  # rows of a table that are moved at once
TOKEN_SQUARE = 1.5e-4  # mean square of the gradient that one token's loss gives to its rows; our measurement


@dataclass
class Group:
    """Parameters that share a rate."""

    parameters: list[Tensor]
    learning_rate: float
    weight_decay: float = 0.0


class AdamW:
    """Adam with decoupled weight decay (arXiv 1711.05101)."""

    def __init__(self, groups: Iterable[Group], beta1: float = 0.9, beta2: float = 0.99, eps: float = 1e-8) -> None:
        self.groups, self.betas, self.eps = list(groups), (beta1, beta2), eps
        parameters = [p for group in self.groups for p in group.parameters]
        self.means = [torch.zeros_like(p) for p in parameters]  # of the gradient, running
        self.squares = [torch.zeros_like(p) for p in parameters]  # of its square, running
        self.steps = [torch.zeros((), device=p.device) for p in parameters]

    @torch.no_grad()
    def step(self, scale: float) -> None:
        """Move every parameter by its gradient at `scale` times its group's rate, then forget the gradients."""
        first = 0
        for group in self.groups:
            last = first + len(group.parameters)
            state = [own[first:last] for own in (self.means, self.squares, self.steps)]
            for n_steps in state[2]:
                n_steps += 1
            grads = [p.grad for p in group.parameters if p.grad is not None]
            torch._fused_adamw_(group.parameters, grads, state[0], state[1], [], state[2],
                                lr=scale * group.learning_rate, beta1=self.betas[0], beta2=self.betas[1],
                                weight_decay=group.weight_decay, eps=self.eps, amsgrad=False, maximize=False)
            for p in group.parameters:
                p.grad = None
            first = last

    def state_dict(self) -> dict[str, list[Tensor]]:
        return {"means": self.means, "squares": self.squares, "steps": self.steps}

    def load_state_dict(self, state: dict[str, list[Tensor]]) -> None:
        _copy(self.state_dict(), state)


class RowAdagrad:
    """Adagrad with one running sum per row (as in DLRM and FBGEMM), for a table with sparse gradients.

    A row moves only when it was looked up, and less the more often it was: what was learned often stays when other text
    comes. prior: the sum that each row starts with; the larger it is, the less is learned from a rare row.
    """

    def __init__(self, table: nn.Parameter, learning_rate: float, prior: float = 0.0) -> None:
        self.table, self.learning_rate = table, learning_rate
        self.squares = torch.full((table.size(0),), prior, device=table.device)  # sums of mean squared gradients
        self.grad_squares: Tensor | None = None  # of the table's gradient, where each of its rows is a sum of several

    @torch.no_grad()
    def step(self, scale: float) -> None:
        if self.table.grad is None:
            return
        rows, grads = self.table.grad._indices()[0], self.table.grad._values()  # a row may occur more than once
        self.table.grad = None
        squares = self.grad_squares
        if squares is None:
            squares = torch.linalg.vecdot(grads, grads).div_(grads.size(1))
        self.squares.index_add_(0, rows, squares)
        for some_rows, some_grads in zip(torch.split(rows, CHUNK), torch.split(grads, CHUNK), strict=True):
            steps = some_grads * self.squares.index_select(0, some_rows).add_(1e-20).rsqrt_().unsqueeze(1)
            self.table.index_add_(0, some_rows, steps, alpha=-scale * self.learning_rate)

    def state_dict(self) -> dict[str, list[Tensor]]:
        return {"squares": [self.squares]}

    def load_state_dict(self, state: dict[str, list[Tensor]]) -> None:
        _copy(self.state_dict(), state)


class Optimizer:
    """Both, as one."""

    def __init__(self, matrices: AdamW, rows: RowAdagrad) -> None:
        self.parts, self.rows = (matrices, rows), rows

    def step(self, scale: float) -> None:
        for part in self.parts:
            part.step(scale)

    def state_dict(self) -> dict[str, Any]:
        return {type(part).__name__: part.state_dict() for part in self.parts}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for part in self.parts:
            part.load_state_dict(state[type(part).__name__])


def _copy(own: dict[str, list[Tensor]], loaded: dict[str, list[Tensor]]) -> None:
    with torch.no_grad():
        for name, targets in own.items():
            for target, source in zip(targets, loaded[name], strict=True):
                target.copy_(source)


def rate_at(iter_num: int, decayed: float, config: TrainConfig) -> float:
    """The learning rates' common factor: linear warm-up, then 1, then down to 0 as `decayed`, the share of the decay
    that is over, reaches 1.

    1 - sqrt: better than linear in Haegele et al., arXiv 2405.18392.
    """
    warmup = min(1.0, (iter_num + 1) / (config.warmup_iters + 1))
    return warmup * (1 - math.sqrt(decayed))


def make_optimizer(model: GPT, config: TrainConfig) -> Optimizer:
    matrices = Group(list(model.blocks.parameters()), config.learning_rate, config.weight_decay)
    head = Group([model.head.weight], config.head_learning_rate)
    return Optimizer(AdamW([matrices, head]), RowAdagrad(model.embedding.table, config.embedding_learning_rate,
                                config.embedding_prior * TOKEN_SQUARE / config.tokens_per_iter**2))


def clip_gradients(model: GPT, longest: float, factor: float) -> float:
    """The norm of the matrices' gradients, which are divided by `factor` and scaled down where they are longer than
    `longest` (0: no limit). The table's are only divided: its rows move by the direction of their gradient, whatever
    its length."""
    grads = [p.grad for p in model.parameters() if p.grad is not None and not p.grad.is_sparse]
    table = model.embedding.table.grad
    norm = float(torch.linalg.vector_norm(torch.stack(torch._foreach_norm(grads)))) / factor
    shrink = min(1.0, (longest or math.inf) / (norm + 1e-6)) / factor
    if shrink < 1.0:
        torch._foreach_mul_(grads, shrink)
    if factor > 1.0 and table is not None:
        table._values().div_(factor)
    return norm


class LossScale:
    """Lifts float16's gradients above its smallest number: the loss is multiplied, the gradients divided. Too large a
    factor shows as a gradient that is not finite; that step is skipped and the factor halved (arXiv 1710.03740)."""

    def __init__(self) -> None:
        self.factor, self.good_steps = 65_536.0, 0

    def update(self, finite: bool) -> None:
        self.good_steps = self.good_steps + 1 if finite else 0
        if not finite:
            self.factor = max(1.0, self.factor / 2)
        elif self.good_steps % 2000 == 0:
            self.factor *= 2
