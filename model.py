"""Model: a small GPT from scratch, written to be read from top to bottom as the architecture.

    token ids -> n-gram embedding -> norm -> n_layer x (attention, MLP), each added to the stream -> norm -> logits

A small model trained for a short time learns most from the tokens right before a position, and from what followed when
the same tokens occurred earlier. So the embedding is a sum: a row for the token, one for the pair that it ends, and so
on, and two for tokens that followed earlier in the context. That costs no matrix product and leaves the less obvious
patterns to the layers. The blocks are of today's parts: pre-norm, rotary positions (RoFormer, arXiv
2104.09864), RMSNorm without parameters, normalized queries and keys (QK-norm, arXiv 2010.04245), squared ReLU (Primer,
arXiv 2109.08668), no biases, and projections that start at zero.

With ngram_order = 1, match_order = 0 and qk_norm = False this is the architecture of Arcee's AFM (transformers'
ArceeForCausalLM with the norms' gains at one and the embedding's rows normalized), so that a model can be exported.
This file never touches the disk: train.py feeds and saves the model, sample.py loads it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

ROTARY_BASE = 10_000.0  # longest wavelength of the rotary positions, in tokens (RoFormer)
HASH_STEP, HASH_MIX = 0x1F123BB5159A55E5, 0x2545F4914F6CDD1D  # of n-grams to rows
MATCHES = 2  # earlier places whose next token is looked up: a second one shows how certain the first is
LOSS_CHUNK = 256  # positions whose logits are in memory at once
BASE_MB = 290  # Python, torch and its memory pools; this and the next are our measurement, torch 2.13 on CPU
LAYER_FLOATS = 32  # per layer, token and unit of n_embd: kept for the backward pass, and made in it

Code = TypeVar("Code", int, Tensor)  # of an n-gram, hashed


@dataclass(frozen=True)
class GPTConfig:
    block_size: int = 256  # tokens the model can look back on
    vocab_size: int = 2048
    n_layer: int = 2
    n_head: int = 2
    n_embd: int = 128
    dropout: float = 0.0
    ngram_order: int = 2  # tokens of the longest n-gram that has an embedding; 1: tokens alone
    ngram_rows: int = 65_536  # of the embedding table, the vocabulary's own included
    match_order: int = 4  # tokens of the longest n-gram that is looked for earlier in the context; 0: none
    qk_norm: bool = True

    @property
    def table_rows(self) -> int:
        return max(self.ngram_rows, self.vocab_size + 1) if self.rows_per_token > 1 else self.vocab_size

    @property
    def rows_per_token(self) -> int:
        return self.ngram_order + (MATCHES if self.match_order else 0)

    @property
    def matrix_parameters(self) -> int:
        """All but the embedding table, which is looked up and never multiplied."""
        return self.n_layer * 12 * self.n_embd**2 + self.vocab_size * self.n_embd


# --- the embedding -------------------------------------------------------------------------------
# The first three take tensors here and single tokens in sampling/decoder.py; no bit above the 63rd has an effect.


def extend_ngram(code: Code, before: Code) -> Code:
    """The code of an n-gram and the token before it."""
    return code * HASH_STEP + before + 2


def match_code(rank: int, length: Code, followed: Code) -> Code:
    """The code of a token that followed a match of `length` tokens; rank 0 is the best match, 1 the second."""
    return ((rank - MATCHES) * HASH_STEP + length) * HASH_STEP + followed


def hash_to_row(code: Code, config: GPTConfig) -> Code:
    """The table row of a code, after the rows of the vocabulary."""
    return config.vocab_size + (code * HASH_MIX >> 33 & 0x7FFFFFFF) % (config.table_rows - config.vocab_size)


def matched_next_tokens(idx: Tensor, codes: Tensor) -> list[Tensor]:
    """Codes of what followed the MATCHES best earlier matches of the text up to each token: int64 (B, T) each.

    codes: int64 (B, n, T), of the 1- to n-grams that end at each token. The longer match is the better one, then the
    later. The best and the second are each the last place, or the one before it, of some n-gram.
    """
    (n, T), device = codes.shape[1:], idx.device
    order = codes.argsort(dim=-1, stable=True)
    ordered = codes.gather(2, order)
    earlier = torch.where(ordered[..., 1:] == ordered[..., :-1], order[..., :-1], -1)
    last = torch.full_like(codes, -1).scatter_(2, order[..., 1:], earlier)  # where the same code stood; -1: nowhere
    before = torch.where(last < 0, -1, last.gather(2, last.clamp_min(0)))
    places, lengths = torch.cat((last, before), 1), torch.arange(1, n + 1, device=device).repeat(2)[:, None]
    keys = torch.where(places < 0, 0, lengths * T + places)  # (B, 2n, T)
    found, following = [], idx.roll(-1, 1)
    for i in range(MATCHES):
        best = keys.amax(1)
        followed = torch.where(best == 0, -1, following.gather(1, best % T))
        found.append(match_code(i, best // T, followed))
        keys = keys.masked_fill(keys % T == (best % T)[:, None], 0)
    return found


class NgramEmbedding(nn.Module):
    """The sum of one row for each n-gram that ends at a token, n from 1 to ngram_order, and of one row for each of
    MATCHES tokens that followed when the same tokens stood earlier in the context.

    Earlier places count by how many tokens match, up to match_order, and then by how late they are: what transformers
    learn late as induction heads, given from the start (n-gram heads, arXiv 2401.12973). A token has a row of its own.
    The rest share what remains by a hash, as in fastText (arXiv 1607.04606): two that share a row disturb each other
    little, since most are rare. All of these rows start at zero.
    """

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.config, self.dropout = config, config.dropout
        self.table = nn.Parameter(torch.zeros(config.table_rows, config.n_embd))

    def rows(self, idx: Tensor) -> Tensor:
        """Which rows: int64 (B, T, rows_per_token). Before the first token stands an id of -1."""
        codes, earlier = [idx + 1], idx  # of n-grams
        for _ in range(1, max(self.config.ngram_order, self.config.match_order)):
            earlier = F.pad(earlier[:, :-1], (1, 0), value=-1)
            codes.append(extend_ngram(codes[-1], earlier))
        hashed = codes[1:self.config.ngram_order]
        if self.config.match_order:
            hashed += matched_next_tokens(idx, torch.stack(codes[:self.config.match_order], 1))
        return torch.stack([idx, *(hash_to_row(code, self.config) for code in hashed)], dim=-1)

    def forward(self, idx: Tensor, generator: torch.Generator | None) -> Tensor:
        rows = self.rows(idx)
        if generator and self.dropout:  # the model must not learn only what it remembers word for word
            is_dropped = torch.rand(rows.shape, device=rows.device, generator=generator) < self.dropout
            is_dropped[..., 0] = False
            rows = rows.masked_fill(is_dropped, self.table.size(0) - 1)  # the last row stands for what is dropped
        x: Tensor = RowSum.apply(self.table, rows)
        return x


# --- a block -------------------------------------------------------------------------------------


class Rotary(nn.Module):
    """Position as rotation: each pair of neighboring channels is a complex number that turns with the position."""

    def __init__(self, head_size: int, block_size: int) -> None:
        super().__init__()
        angle = torch.outer(torch.arange(block_size).float(), self.frequency(head_size))  # (block_size, hs/2)
        self.register_buffer("turn", torch.polar(torch.ones_like(angle), angle), persistent=False)

    @staticmethod
    def frequency(head_size: int) -> Tensor:
        """Radians per position, float32 (hs/2,)."""
        return ROTARY_BASE ** (-torch.arange(0, head_size, 2).float() / head_size)

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, T, ..., hs)."""
        pairs = torch.view_as_complex(x.float().unflatten(-1, (-1, 2)))  # (B, T, ..., hs/2)
        turn = self.get_buffer("turn")[:x.size(1)]
        turn = turn.view(x.size(1), *[1] * (x.dim() - 3), -1)
        return torch.view_as_real(pairs * turn).flatten(-2).type_as(x)


class CausalSelfAttention(nn.Module):
    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.n_head, self.qk_norm = config.n_head, config.qk_norm
        self.qkv = nn.Linear(config.n_embd, 3 * config.n_embd, bias=False)
        self.proj = nn.Linear(config.n_embd, config.n_embd, bias=False)
        self.rotary = Rotary(config.n_embd // config.n_head, config.block_size)

    def forward(self, x: Tensor) -> Tensor:
        B, T, C = x.size()
        qk, v = self.qkv(x).view(B, T, 3, self.n_head, C // self.n_head).split([2, 1], dim=2)
        qk = self.rotary(norm(qk) if self.qk_norm else qk)
        q, k, v = (y.transpose(1, 2) for y in (*qk.unbind(2), v.squeeze(2)))  # (B, nh, T, hs) each
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)  # (B, nh, T, hs); dropout would make it slow
        return self.proj(y.transpose(1, 2).reshape(B, T, C))


class MLP(nn.Module):
    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.up = nn.Linear(config.n_embd, 4 * config.n_embd, bias=False)
        self.proj = nn.Linear(4 * config.n_embd, config.n_embd, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.proj(SquaredReLU.apply(self.up(x)))


class Block(nn.Module):
    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.attention, self.mlp, self.dropout = CausalSelfAttention(config), MLP(config), config.dropout

    def forward(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        x = x + drop(self.attention(norm(x)), self.dropout, generator)
        return x + drop(self.mlp(norm(x)), self.dropout, generator)


# --- the whole model -----------------------------------------------------------------------------


class GPT(nn.Module):
    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = NgramEmbedding(config)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.n_layer))
        self.head = nn.Linear(config.n_embd, config.vocab_size, bias=False)
        self.apply(self._initialize)

    def _initialize(self, module: nn.Module) -> None:
        if isinstance(module, NgramEmbedding):
            nn.init.normal_(module.table[:module.config.vocab_size])
        if isinstance(module, (CausalSelfAttention, MLP)):
            into = module.qkv if isinstance(module, CausalSelfAttention) else module.up
            nn.init.uniform_(into.weight, -math.sqrt(3 / into.in_features), math.sqrt(3 / into.in_features))
            nn.init.zeros_(module.proj.weight)  # each block starts as the identity
        if isinstance(module, GPT):
            nn.init.zeros_(module.head.weight)  # and every token as likely as any other

    def forward(self, idx: Tensor) -> Tensor:
        """The logits of the next token at each position, (B, T, V). idx: int64 (B, T)."""
        return self.head(self.stream(idx))

    def loss(self, idx: Tensor, targets: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """The mean cross entropy in nats per token. idx, targets: int64 (B, T).

        generator: draws what dropout drops; without one, nothing is dropped.
        """
        x = self.stream(idx, generator).flatten(0, 1)
        loss: Tensor = CrossEntropy.apply(x, self.head.weight, targets.flatten())
        return loss

    def stream(self, idx: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """The output of the last block, normalized: (B, T, C)."""
        if self.config.block_size < idx.size(1):
            raise ValueError(f"{idx.size(1)} tokens are more than the block_size of {self.config.block_size}")
        x = drop(norm(self.embedding(idx, generator)), self.config.dropout, generator)
        for block in self.blocks:
            x = block(x, generator)
        return norm(x)

    def num_parameters(self) -> int:
        return sum(p.numel() for p in self.parameters())


# --- kernels: steps with a backward pass of their own, which reads memory less often than autograd's --


class RMSNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        scale = math.sqrt(x.size(-1)) / torch.linalg.vector_norm(x, dim=-1, keepdim=True).add_(1e-6)
        y = x * scale
        ctx.save_for_backward(y, scale)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        y, scale = ctx.saved_tensors
        along = torch.linalg.vecdot(grad, y).div_(y.size(-1)).unsqueeze(-1)  # the part that scaling removes
        return torch.addcmul(grad, y, along, value=-1).mul_(scale)


def norm(x: Tensor) -> Tensor:
    """Scale the last dimension to a root mean square of one."""
    y: Tensor = RMSNorm.apply(x)
    return y


class SquaredReLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        positive = x.clamp_min(0)
        ctx.save_for_backward(positive)
        return positive * positive

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (positive,) = ctx.saved_tensors
        return (grad * positive).mul_(2)


class RowSum(torch.autograd.Function):
    """Sums of table rows. The gradient is sparse: only the rows that were looked up have one."""

    @staticmethod
    def forward(ctx: Any, table: Tensor, rows: Tensor) -> Tensor:
        ctx.rows, ctx.shape = rows, table.shape
        return table.index_select(0, rows.flatten()).view(*rows.shape, -1).sum(-2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        values = grad.unsqueeze(-2).expand(*ctx.rows.shape, -1).reshape(-1, grad.size(-1))
        return torch.sparse_coo_tensor(ctx.rows.view(1, -1), values, ctx.shape, check_invariants=False), None


class CrossEntropy(torch.autograd.Function):
    """Mean cross entropy of head and targets, LOSS_CHUNK positions at a time: the logits are never all in memory, and
    become their own gradient in place (as in Liger Kernel, arXiv 2410.10989)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, head: Tensor, targets: Tensor) -> Tensor:
        n, total = x.size(0), torch.zeros((), device=x.device)
        grad_x, grad_head = torch.empty_like(x), torch.zeros_like(head)
        for start in range(0, n, LOSS_CHUNK):
            part = slice(start, start + LOSS_CHUNK)
            wanted = targets[part, None]
            p = F.linear(x[part], head).float().softmax(-1)
            total -= p.gather(1, wanted).clamp_min(1e-38).log().sum()
            p.scatter_add_(1, wanted, torch.full_like(p[:, :1], -1))  # the gradient of the logits
            grad_x[part] = p @ head
            grad_head.addmm_(p.T, x[part])
        ctx.save_for_backward(grad_x.div_(n), grad_head.div_(n))
        return total / n

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        grad_x, grad_head = ctx.saved_tensors
        return grad_x * grad, grad_head * grad, None


def drop(x: Tensor, p: float, generator: torch.Generator | None) -> Tensor:
    """Dropout with one random byte per number, which makes p a multiple of 1/256: on a CPU a sixth of the time that
    torch's own takes. Without a generator, x stays as it is."""
    cut = min(round(256 * p), 255)
    if generator is None or not cut:
        return x
    words = torch.empty(-(-x.numel() // 8), dtype=torch.int64, device=x.device)
    each = words.random_(-2**63, None, generator=generator).view(torch.uint8)[:x.numel()].view(x.shape)
    return x * each.type_as(x).ge_(cut).mul_(256 / (256 - cut))


# --- what it costs -------------------------------------------------------------------------------


def flops_per_token(config: GPTConfig) -> int:
    """Floating-point operations of one token's forward and backward pass (PaLM, arXiv 2204.02311, appendix B)."""
    return 6 * config.matrix_parameters + 12 * config.n_layer * config.n_embd * config.block_size


def estimate_memory_mb(config: GPTConfig, batch_size: int, tokens_per_iter: int) -> int:
    """Peak memory of training, in MB: Python and torch; weights with gradients and Adam's state; the table with the
    gradients of one iteration's rows; and what a batch of `batch_size` windows keeps for its backward pass."""
    weights = 4 * config.matrix_parameters + config.table_rows * config.n_embd
    weights += 2 * tokens_per_iter * config.rows_per_token * config.n_embd  # gradients of rows, and their joining
    per_token = (config.n_layer * LAYER_FLOATS + 2 * config.rows_per_token + 4) * config.n_embd
    floats = weights + batch_size * config.block_size * per_token + 3 * LOSS_CHUNK * config.vocab_size
    return round(BASE_MB + 4 * floats / 1e6)
