"""Model: a small GPT from scratch, to be read from top to bottom as the architecture.

    token ids -> embedding -> RMSNorm -> n_layer x (attention, MLP), each added to the stream -> RMSNorm -> logits

The stream runs through pre-norm blocks as in GPT-2, with today's parts: rotary positions (RoFormer, arXiv 2104.09864),
RMSNorm without parameters, normalised queries and keys (QK-norm, arXiv 2010.04245), squared ReLU (Primer, arXiv
2109.08668), no biases, projections that start at zero, and one matrix for the embedding and the logits.
This file never touches the disk: train.py feeds it and keeps it, sample.py asks it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

ROTARY_BASE = 10_000.0  # longest wavelength of the rotary positions, in tokens (RoFormer)
BASE_MB = 250  # Python, torch and its memory pools; this and the next two are our measurement, torch 2.13 on CPU
LAYER_FLOATS, LOGIT_FLOATS = 29, 3.3  # kept for the backward pass: of each layer, times n_embd; times vocab_size
INIT_STD = 0.02  # GPT-2's, for the embedding, which is also the head


@dataclass(frozen=True)
class GPTConfig:
    block_size: int = 128  # tokens the model can look back on
    vocab_size: int = 2048
    n_layer: int = 4
    n_head: int = 2
    n_embd: int = 128
    dropout: float = 0.0


def norm(x: Tensor) -> Tensor:
    """Scale the last dimension to a root mean square of one."""
    return F.rms_norm(x, (x.size(-1),))


# --- the parts of a block ------------------------------------------------------------------------


class Rotary(nn.Module):
    """Position as rotation: each pair of channels turns by an angle that grows with the position."""

    def __init__(self, head_size: int, block_size: int) -> None:
        super().__init__()
        frequency = ROTARY_BASE ** (-torch.arange(0, head_size, 2).float() / head_size)  # (hs/2,)
        angle = torch.outer(torch.arange(block_size).float(), frequency)  # (block_size, hs/2)
        self.register_buffer("cos", angle.cos(), persistent=False)
        self.register_buffer("sin", angle.sin(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        T = x.size(-2)
        cos, sin = self.get_buffer("cos")[:T], self.get_buffer("sin")[:T]  # (T, hs/2)
        left, right = x.chunk(2, dim=-1)  # (B, nh, T, hs/2) each
        return torch.cat((left * cos - right * sin, left * sin + right * cos), dim=-1).type_as(x)


class CausalSelfAttention(nn.Module):
    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.n_head, self.dropout = config.n_head, config.dropout
        self.qkv = nn.Linear(config.n_embd, 3 * config.n_embd, bias=False)
        self.proj = nn.Linear(config.n_embd, config.n_embd, bias=False)
        self.rotary = Rotary(config.n_embd // config.n_head, config.block_size)

    def forward(self, x: Tensor) -> Tensor:
        B, T, C = x.size()
        qkv = self.qkv(x).view(B, T, 3, self.n_head, C // self.n_head)  # (B, T, 3, nh, hs)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # (B, nh, T, hs) each
        q, k = self.rotary(norm(q)), self.rotary(norm(k))
        dropout = self.dropout if self.training else 0.0
        y = F.scaled_dot_product_attention(q, k, v, dropout_p=dropout, is_causal=True)  # (B, nh, T, hs)
        return self.proj(y.transpose(1, 2).reshape(B, T, C))


class MLP(nn.Module):
    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.up = nn.Linear(config.n_embd, 4 * config.n_embd, bias=False)
        self.proj = nn.Linear(4 * config.n_embd, config.n_embd, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.proj(F.relu(self.up(x)).square())


class Block(nn.Module):
    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.attention, self.mlp = CausalSelfAttention(config), MLP(config)
        self.drop = nn.Dropout(config.dropout)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.drop(self.attention(norm(x)))
        return x + self.drop(self.mlp(norm(x)))


# --- the model -----------------------------------------------------------------------------------


class GPT(nn.Module):
    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocab_size, config.n_embd)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.n_layer))
        self.apply(self._initialise)

    def _initialise(self, module: nn.Module) -> None:
        if isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=INIT_STD)
        if isinstance(module, (CausalSelfAttention, MLP)):
            into = module.qkv if isinstance(module, CausalSelfAttention) else module.up
            nn.init.uniform_(into.weight, -math.sqrt(3 / into.in_features), math.sqrt(3 / into.in_features))
            nn.init.zeros_(module.proj.weight)  # each block starts as the identity

    def forward(self, idx: Tensor, targets: Tensor | None = None,
                reduction: str = "mean") -> tuple[Tensor, Tensor | None]:
        """Logits, and the cross entropy in nats a token if there are targets.

        idx, targets: int64 (B, T); targets of -1 are ignored.
        With targets: logits (B, T, V) and the mean loss, or with reduction="none" the loss of each target (B, T).
        Without: the logits of the last position alone (B, 1, V), and None.
        """
        B, T = idx.size()
        if self.config.block_size < T:
            raise ValueError(f"{T} tokens are more than the block_size of {self.config.block_size}")
        x = norm(self.embedding(idx))  # (B, T, C)
        for block in self.blocks:
            x = block(x)
        x = norm(x)
        if targets is None:
            return F.linear(x[:, -1:], self.embedding.weight), None
        logits = F.linear(x, self.embedding.weight)  # (B, T, V)
        loss = F.cross_entropy(logits.float().flatten(0, 1), targets.flatten(), ignore_index=-1, reduction=reduction)
        return logits, loss.view(B, T) if reduction == "none" else loss

    def num_parameters(self) -> int:
        return sum(p.numel() for p in self.parameters())


# --- what it costs -------------------------------------------------------------------------------


def flops_per_token(config: GPTConfig, n_parameters: int) -> int:
    """Floating-point operations of one token's forward and backward pass (PaLM, arXiv 2204.02311, appendix B).

    The embedding counts once, as the head; its look-up is free.
    """
    return 6 * n_parameters + 12 * config.n_layer * config.n_embd * config.block_size


def estimate_memory_mb(config: GPTConfig, n_parameters: int, batch_size: int) -> int:
    """What training takes in all, in MB: Python and torch, weights with gradients and Adam's state, activations."""
    activations = config.n_layer * LAYER_FLOATS * config.n_embd + LOGIT_FLOATS * config.vocab_size  # of one token
    floats = 4 * n_parameters + batch_size * config.block_size * activations
    return round(BASE_MB + 4 * floats / 1e6)
