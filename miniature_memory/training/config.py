"""Settings of prepare and train."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from miniature_memory.training import tokenizer as tokenizers


@dataclass(frozen=True)
class PrepareConfig:
    tokenizer: str = "bpe"            # bpe, gpt2, char or byte
    vocab_size: int = 2048            # most tokens of a bpe or char tokenizer, end of text included
    freeze_bytes: int = 1_000_000     # of clean text; below, the tokenizer is provisional
    tokenizer_bytes: int = 50_000_000  # of clean text that the tokenizer learns from, at most
    min_val_tokens: int = 512         # in the first bins: two contexts of the default model
    # Of the bytes a token that new text may fall short of the text the tokenizer learned from, before it is drift. Of
    # 2k and 8k tokens: web pages after 1 MB of web pages 0.03-0.13, the last plays after the first 0.09-0.11; web pages
    # after plays 0.24-0.28, plays after web pages 0.22-0.33, Python code 0.22-0.50, French 0.33-0.45.
    drift_frac: float = 0.15

    def __post_init__(self) -> None:
        if self.tokenizer not in tokenizers.KINDS:
            raise ValueError(f"tokenizer = {self.tokenizer!r}; expected one of {', '.join(tokenizers.KINDS)}")
        if not 257 <= self.vocab_size <= tokenizers.MAX_VOCAB_SIZE:
            raise ValueError(f"vocab_size = {self.vocab_size}; expected 257 (the bytes and the end-of-text token) to "
                             f"{tokenizers.MAX_VOCAB_SIZE} (the bins are uint16)")
HEAD_SIZE = 64  # channels of one attention head


DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True)
class TrainConfig:
    size: str = "auto"                      # this and the next five are fixed when the checkpoint is made
    block_size: int = 256
    ngram_order: int = 2
    ngram_rows: int = 65_536
    match_order: int = 4
    qk_norm: bool = True
    dropout: float = 0.1
    vocab_size: int = 0                     # 0: as data/bins.json says
    batch_size: int = 4
    gradient_accumulation_steps: int = 1
    learning_rate: float = 2e-3
    head_learning_rate: float = 1e-2
    embedding_learning_rate: float = 0.2
    embedding_prior: float = 100.0
    weight_decay: float = 0.1
    beta1: float = 0.9
    beta2: float = 0.99
    grad_clip: float = 1.0
    warmup_iters: int = 50
    decay_frac: float = 0.5                 # Haegele et al., arXiv 2405.18392, have 0.2; bench/growth.py
    max_minutes: float = 5.0
    max_iters: int = 0
    max_epochs: int = 16                    # Muennighoff et al., arXiv 2305.16264
    replay_share: float = 0.25              # bench/growth.py: as good as 1, one seed
    eval_minutes: float = 1.0
    eval_windows: int = 64
    save_minutes: float = 5.0
    keep_releases: int = 7
    device: str = "auto"
    dtype: str = "auto"
    memory_limit_mb: int = 2000
    seed: int = 1337

    def __post_init__(self) -> None:
        for name in ("block_size", "ngram_order", "ngram_rows", "batch_size", "gradient_accumulation_steps",
                     "eval_windows", "learning_rate", "head_learning_rate", "embedding_learning_rate", "eval_minutes",
                     "save_minutes"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} = {getattr(self, name)}; expected more than 0")
        for name in ("vocab_size", "match_order", "embedding_prior", "warmup_iters", "max_minutes", "max_iters",
                     "max_epochs", "replay_share", "keep_releases", "seed", "weight_decay", "grad_clip"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} = {getattr(self, name)}; expected 0 or more")
        for name in ("dropout", "beta1", "beta2", "decay_frac"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} = {getattr(self, name)}; expected 0 or more and less than 1")
        if self.size != "auto":
            shape_of(self.size)
        if not (self.max_minutes or self.max_iters or self.max_epochs):
            raise ValueError("max_minutes, max_iters and max_epochs are all 0; expected one of them to end the run")
        if self.dtype not in ("auto", *DTYPES):
            raise ValueError(f"dtype = {self.dtype!r}; expected auto, {', '.join(DTYPES)}")

    @property
    def tokens_per_iter(self) -> int:
        return self.batch_size * self.gradient_accumulation_steps * self.block_size

    @property
    def stable_iters(self) -> int:
        """The iteration at which decay begins when max_iters is given: the same, however often the run is resumed."""
        return self.max_iters - round(self.decay_frac * self.max_iters)


def shape_of(size: str) -> tuple[int, int, int]:
    """n_layer, n_head and n_embd of a size such as "4x256". Raises ValueError."""
    try:
        n_layer, n_embd = (int(part) for part in size.split("x"))
    except ValueError:
        raise ValueError(f'size = {size!r}; expected "auto" or layers x width, such as "4x256"') from None
    n_head = max(1, n_embd // HEAD_SIZE)
    if n_layer < 1 or n_embd < 2 or n_embd % (2 * n_head):
        raise ValueError(f"size = {size!r}; expected one layer or more, and an even width that is below {HEAD_SIZE} or "
                         "divides among its heads")
    return n_layer, n_head, n_embd
