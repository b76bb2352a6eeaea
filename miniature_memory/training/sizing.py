"""Sizing: which device, dtype and size of model."""

import dataclasses
import logging
import math
import time
from pathlib import Path

import torch

from miniature_memory.core.errors import ConfigError, StageError
from miniature_memory.core.paths import shown
from miniature_memory.counting.suffixes import MOST_TOKENS, SEGMENT_TOKENS
from miniature_memory.training.bins import Bins
from miniature_memory.training.checkpoint import State, move_aside
from miniature_memory.training.config import TrainConfig, shape_of
from model import GPTConfig, estimate_memory_mb, flops_per_token

logger = logging.getLogger(__name__)

# With the size, fixed when the checkpoint is made
MODEL_SHAPE = ("block_size", "ngram_order", "ngram_rows", "match_order", "qk_norm")
# Layers x width that "auto" chooses among: the largest that can train on TOKENS_PER_PARAMETER tokens for each parameter
# of its matrices in the time there is (nanochat's ratio; Hoffmann et al., arXiv 2203.15556, have 20).
SIZES = ("2x128", "3x192", "4x256", "6x320", "8x384", "12x512")
TOKENS_PER_PARAMETER = 10.5
# That counts take: Numba with its loops; per token of a segment while it is sorted; per token. Our measurement
COUNTS_MB, SORTED_BYTES, COUNTED_BYTES = 110, 45, 8
CPU_EFFICIENCY, OTHER_EFFICIENCY = 0.5, 0.15  # of the matrix-product rate (bench/efficiency.py); the other is a guess


def device_fault(device: str) -> str:
    """Why torch cannot compute on a device that was asked for, with what to do; '' if it can."""
    kind, _, number = device.partition(":")
    n_cards = torch.cuda.device_count() if kind == "cuda" and torch.cuda.is_available() else 0
    is_there = {"cuda": int(number or 0) < n_cards, "mps": torch.backends.mps.is_available()}.get(kind, True)
    if is_there:
        return ""
    return (f'[train] device = "{device}": torch {torch.__version__} finds no such device here. Expected: "auto" or '
            f'"cpu", or a driver and a torch that fit the card. Fix: --set \'train.device="auto"\'')


def choose_device(device: str, dtype: str) -> tuple[str, torch.dtype]:
    """The device and the type that matrix products are computed in, as asked for or the best there is.

    Raises ConfigError if the one that was asked for is not there.
    """
    if fault := device_fault(device):
        raise ConfigError(fault)
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    if dtype == "auto":
        dtype = "float32"
        if device.startswith("cuda"):  # older cards claim bfloat16, too, and emulate it: a T4 at a tenth of its speed
            dtype = "bfloat16" if torch.cuda.get_device_capability(device) >= (8, 0) else "float16"
    found: torch.dtype = getattr(torch, dtype)
    return device, found


def matmul_rate(device: str, dtype: torch.dtype) -> float:
    """Floating-point operations per second of a matrix product of this project's sizes: the best of several."""
    a, b = torch.ones(1024, 256, device=device, dtype=dtype), torch.ones(256, 1024, device=device, dtype=dtype)
    best = math.inf
    for _ in range(10):
        began = time.perf_counter()
        for _ in range(8):
            product = a @ b
        product[0, 0].item()  # waits for the device
        best = min(best, time.perf_counter() - began)
    return 8 * 2 * 1024 * 256 * 1024 / best


def choose_size(config: TrainConfig, bins: Bins, device: str, dtype: torch.dtype) -> str:
    """The largest of SIZES that gets enough tokens in this run's time and from its text, and that fits the memory."""
    rate = matmul_rate(device, dtype) * (CPU_EFFICIENCY if device == "cpu" else OTHER_EFFICIENCY)
    chosen = SIZES[0]
    for size in SIZES:
        model = model_config(config, size, bins.vocab_size)
        tokens = min(config.max_iters * config.tokens_per_iter or math.inf,
                     60 * config.max_minutes * rate / flops_per_token(model) or math.inf,
                     config.max_epochs * bins.growth[-1][0] or math.inf)
        if (tokens >= TOKENS_PER_PARAMETER * model.matrix_parameters
                and memory_mb(config, model, bins) <= config.memory_limit_mb):
            chosen = size
    return chosen


def model_config(config: TrainConfig, size: str, vocab_size: int) -> GPTConfig:
    return GPTConfig(config.block_size, vocab_size, *shape_of(size), config.dropout, config.ngram_order,
                     config.ngram_rows, config.match_order, config.qk_norm)


def model_args(config: TrainConfig, checkpoint: State | None, bins: Bins, device: str,
               dtype: torch.dtype) -> GPTConfig:
    """The model's shape: that of the checkpoint or of what it starts from, or of the configuration if there is none."""
    if checkpoint is None:
        size = choose_size(config, bins, device, dtype) if config.size == "auto" else config.size
        return model_config(config, size, bins.vocab_size)
    return GPTConfig(**{**checkpoint["model_args"], "dropout": config.dropout, "vocab_size": bins.vocab_size})


def with_model_args(config: TrainConfig, model: GPTConfig, root: Path, is_continued: bool,
                    is_started: bool) -> TrainConfig:
    """`config` with the shape that the model has; logs what has no effect, since a checkpoint or the model in
    train.init_from has another shape."""
    has = {"size": f"{model.n_layer}x{model.n_embd}"} | {name: getattr(model, name) for name in MODEL_SHAPE}
    whose, fix = "the checkpoint's model", f"To start a new model: {move_aside(root / 'checkpoints/ckpt.pt')}"
    if is_started:
        whose = f"the model in {shown(Path(config.init_from))}"
        fix = "For a model of another shape: --set 'train.init_from=\"\"'"
    for name, value in has.items():
        if (is_continued or is_started) and getattr(config, name) not in (value, getattr(TrainConfig, name)):
            logger.info("train.%s = %s has no effect: %s has %s. %s", name, getattr(config, name), whose, value, fix)
    return dataclasses.replace(config, **has)


def memory_mb(config: TrainConfig, model: GPTConfig, bins: Bins) -> int:
    """The estimated need. The suffix array is sorted before it is counted in, so the larger of both counts."""
    need_mb = estimate_memory_mb(model, config.batch_size, config.tokens_per_iter)
    if config.counts and bins.tokenizer:
        n = min(bins.train_tokens, MOST_TOKENS)
        need_mb += COUNTS_MB + round(max(SORTED_BYTES * min(n, SEGMENT_TOKENS), COUNTED_BYTES * n) / 1e6)
    return need_mb


def check_memory(config: TrainConfig, model: GPTConfig, bins: Bins) -> int:
    """The estimated need in MB. Raises StageError if that is more than allowed."""
    need_mb = memory_mb(config, model, bins)
    if need_mb > config.memory_limit_mb:
        raise StageError(f"Training would need about {need_mb:,} MB of memory.",
                         f"at most train.memory_limit_mb = {config.memory_limit_mb}.",
                         f"--set train.memory_limit_mb={need_mb}, or a smaller train.batch_size (and more "
                         "train.gradient_accumulation_steps), train.block_size, train.ngram_rows or train.size")
    return need_mb
