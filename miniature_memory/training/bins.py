"""The token bins, without torch."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from miniature_memory.core.errors import StageError
from miniature_memory.training import tokenizer as tokenizers

MAKE_BINS = "run python3 run.py --only prepare."


# --- the bins ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Bins:
    """Training and validation tokens, and how long both were after each growth step."""

    train: Path
    val: Path
    growth: list[list[int]]  # [train tokens, val tokens] after each growth step, cumulative
    vocab_size: int
    tokenizer: tokenizers.Tokenizer | None = None  # None: bins of unknown origin, without bits per byte
    retokenized_from: tuple[str, ...] = ()  # hashes of the tokenizers before this one

    @property
    def tokenizer_hash(self) -> str:
        return self.tokenizer.hash if self.tokenizer else ""


def open_bins(root: Path, vocab_size: int) -> Bins:
    """The bins of `root`, checked. Raises StageError if they are missing, torn or of another tokenizer."""
    train, val = root / "data/train.bin", root / "data/val.bin"
    growth, tokenizer = [[count_tokens(train), count_tokens(val)]], None
    earlier: list[str] = []
    if (root / "data/bins.json").exists():
        tokenizer = tokenizers.load(root / "data/tokenizer")
        growth, earlier = read_bins_json(root / "data/bins.json", growth[0], tokenizer)
        vocab_size = tokenizer.vocab_size
    elif not vocab_size:
        raise StageError("There is no data/bins.json beside the bins.",
                         "this file, which tells the size of the vocabulary.",
                         "run python3 run.py --only prepare, or give --set train.vocab_size=N.")
    if growth[-1][1] < 2:
        raise StageError(f"{val} holds {growth[-1][1]} tokens.", "at least two.",
                         f"collect more text, then {MAKE_BINS}")
    for path, n_tokens in zip((train, val), growth[-1], strict=True):
        check_ids(path, n_tokens, vocab_size)
    return Bins(train, val, growth, vocab_size, tokenizer, tuple(earlier))


def read_bins_json(path: Path, lengths: list[int],
                   tokenizer: tokenizers.Tokenizer) -> tuple[list[list[int]], list[str]]:
    """The growth steps, and the hashes of earlier tokenizers. What the bins hold beyond the last step is not committed
    and not read."""
    try:
        info = json.loads(path.read_text(encoding="utf-8"))
        growth = [[int(step["train_tokens"]), int(step["val_tokens"])] for step in info["growth"]]
        if info["tokenizer_hash"] == tokenizer.hash and lengths[0] >= growth[-1][0] and lengths[1] >= growth[-1][1]:
            return growth, [str(earlier) for earlier in info.get("retokenized_from", [])]
    except (ValueError, KeyError, TypeError, IndexError):
        pass
    raise StageError(f"{path} does not fit the bins and the tokenizer beside it.", "files that were made together.",
                     MAKE_BINS)


def count_tokens(path: Path) -> int:
    try:
        n_bytes = path.stat().st_size
    except FileNotFoundError:
        raise StageError(f"There is no {path}.", "token bins.", MAKE_BINS) from None
    if n_bytes % 2:
        raise StageError(f"{path} has an odd number of bytes ({n_bytes}).", "two bytes a token.",
                         MAKE_BINS)
    return n_bytes // 2


def check_ids(path: Path, n_tokens: int, vocab_size: int) -> None:
    """Raises StageError for an id outside of the vocabulary."""
    if bad := tokenizers.first_bad_id(path, n_tokens, vocab_size):
        raise StageError(f"{path} holds the id {bad.id}.", f"ids below vocab_size = {vocab_size}.",
                         "run python3 run.py --only prepare, or correct train.vocab_size.")
