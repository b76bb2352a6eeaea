"""Teaching: a model of a stock architecture learns from the text and from the release (distillation, arXiv 1503.02531).

The teacher is the release's network alone: its counts contain the training text itself, so on that text they would
only repeat it.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from miniature_memory.core.errors import StageError
from miniature_memory.training.bins import Bins
from miniature_memory.training.config import TrainConfig
from miniature_memory.training.trainer import Trainer
from model import GPT, LOSS_CHUNK

# Of each target; the rest is the text's own next token. The plays, 3 minutes of two cores: 1.889 bits per byte, and
# 1.914 without a teacher, which leaves time for a quarter more iterations
TEACHER_SHARE = 0.5


class Student(Trainer):
    """A stock model that learns for config.max_minutes, everything included. folder: an empty one."""

    def __init__(self, config: TrainConfig, folder: Path, bins: Bins, teacher: GPT, started: float) -> None:
        config = dataclasses.replace(config, block_size=teacher.config.block_size, ngram_order=1, match_order=0,
                                     qk_norm=False, max_iters=0, counts=False, init_from="")
        super().__init__(config, folder, bins, started)
        self.teacher = teacher.to(self.device)

    def learn(self) -> None:
        """Train at the stable rate, then lower it to zero until the time is over."""
        decay_sec = max(1e-9, self.config.decay_frac * self.budget.left_sec())
        with self.bar:
            while (left_sec := self.budget.left_sec()) > 0:
                self.iterate(max(0.0, 1 - left_sec / decay_sec))

    def loss(self, idx: Tensor, targets: Tensor, generator: torch.Generator) -> Tensor:
        with torch.no_grad():
            taught = self.teacher.stream(idx).flatten(0, 1)
        states = self.model.stream(idx, generator).flatten(0, 1)
        loss: Tensor = TaughtCrossEntropy.apply(  # type: ignore[no-untyped-call]
            states, self.model.head.weight, targets.flatten(), taught, self.teacher.head.weight.detach())
        return loss

    def roll_back(self, loss: float, norm: float) -> None:
        """There is no checkpoint to return to: a student is never saved."""
        raise StageError(f"The loss at iteration {self.iter_num:,} is {loss}, the norm of its gradient {norm}.",
                         "finite numbers without jumps.",
                         f"lower the learning rate: --set train.learning_rate={self.config.learning_rate / 2:g}")


class TaughtCrossEntropy(torch.autograd.Function):
    """model.py's CrossEntropy, with TEACHER_SHARE of each target as the teacher has it.

    x, taught_x: the states of both, (n, C) and (n, C of the teacher); targets: int64 (n,).
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, head: Tensor, targets: Tensor, taught_x: Tensor, taught_head: Tensor) -> Tensor:
        n, total = x.size(0), torch.zeros((), device=x.device)
        grad_x, grad_head = torch.empty_like(x), torch.zeros_like(head)
        for start in range(0, n, LOSS_CHUNK):
            part = slice(start, start + LOSS_CHUNK)
            wanted = F.linear(taught_x[part], taught_head).float().softmax(-1).mul_(TEACHER_SHARE)
            wanted.scatter_add_(1, targets[part, None], torch.full_like(wanted[:, :1], 1 - TEACHER_SHARE))
            log_p = F.linear(x[part], head).float().log_softmax(-1)
            total -= torch.vdot(wanted.flatten(), log_p.flatten())
            grad = log_p.exp_().sub_(wanted)  # of the logits
            grad_x[part] = grad @ head
            grad_head.addmm_(grad.T, x[part])
        ctx.save_for_backward(grad_x.div_(n), grad_head.div_(n))
        return total / n

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        grad_x, grad_head = ctx.saved_tensors
        return grad_x * grad, grad_head * grad, None, None, None
