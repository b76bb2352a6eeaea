"""Optimizer: AdamW in plain tensor operations.

torch.optim's own would do, but importing it brings in the compiler: 70 MB and a second more on a machine where the
whole model takes less than that.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn


class AdamW:
    """Adam with decoupled weight decay (arXiv 1711.05101), which falls on matrices alone: not on gains and biases."""

    def __init__(self, parameters: Iterable[nn.Parameter], beta1: float = 0.9, beta2: float = 0.95,
                 weight_decay: float = 0.1, eps: float = 1e-8) -> None:
        self.parameters = list(parameters)
        self.beta1, self.beta2, self.weight_decay, self.eps = beta1, beta2, weight_decay, eps
        self.n_steps = 0
        self.means = [torch.zeros_like(p) for p in self.parameters]  # of the gradient, running
        self.squares = [torch.zeros_like(p) for p in self.parameters]  # of its square, running

    @torch.no_grad()
    def step(self, learning_rate: float) -> None:
        """Move every parameter by its gradient, then forget the gradients."""
        self.n_steps += 1
        mean_scale = 1 - self.beta1**self.n_steps  # running means start at zero; this makes up for it
        square_scale = math.sqrt(1 - self.beta2**self.n_steps)
        for p, mean, square in zip(self.parameters, self.means, self.squares, strict=True):
            if p.grad is None:
                continue
            mean.lerp_(p.grad, 1 - self.beta1)
            square.mul_(self.beta2).addcmul_(p.grad, p.grad, value=1 - self.beta2)
            if p.dim() >= 2:
                p.mul_(1 - learning_rate * self.weight_decay)
            root = square.sqrt().div_(square_scale).add_(self.eps)
            p.addcdiv_(mean, root, value=-learning_rate / mean_scale)
            p.grad = None

    def state_dict(self) -> dict[str, Any]:
        return {"n_steps": self.n_steps, "means": self.means, "squares": self.squares}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.n_steps = state["n_steps"]
        with torch.no_grad():
            for own, loaded in ((self.means, state["means"]), (self.squares, state["squares"])):
                for target, source in zip(own, loaded, strict=True):
                    target.copy_(source)
