"""The token bins as training reads them: checked, and without torch."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from miniature_memory.core.errors import StageError
from miniature_memory.core.paths import command, shown
from miniature_memory.storage import forgotten
from miniature_memory.training import tokenizer as tokenizers

CHUNK = 1 << 20  # tokens read at once


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

    @property
    def train_tokens(self) -> int:
        return self.growth[-1][0]

    @property
    def val_tokens(self) -> int:
        return self.growth[-1][1]


def open_bins(root: Path, vocab_size: int) -> Bins:
    """The bins of `root`, checked. Raises StageError if they are missing, damaged or made with another tokenizer."""
    train, val = root / "data/train.bin", root / "data/val.bin"
    lengths, prepare = [count_tokens(train), count_tokens(val)], prepare_command(root)
    tokenizer, growth = None, [lengths]
    earlier: list[str] = []
    if (root / "data/bins.json").exists():
        tokenizer = tokenizers.load(root / "data/tokenizer")
        growth, earlier = read_bins_json(root / "data/bins.json", lengths, tokenizer)
        vocab_size = tokenizer.vocab_size
    elif not vocab_size:
        raise StageError("There is no data/bins.json next to the bins.", "this file, which holds the vocabulary size.",
                         f"{prepare}, or for bins of another project: --set train.vocab_size=N")
    if growth[-1][1] < 2:
        raise StageError(f"{val} holds {growth[-1][1]} tokens: no document could be held out.", "two "
                         "documents or more.", f"add more text: {command('run.py', root, '--texts FILE...')}")
    for path, n_tokens in zip((train, val), growth[-1], strict=True):
        if bad := tokenizers.first_bad_id(path, n_tokens, vocab_size):
            raise StageError(f"{path} holds the id {bad.id}.", f"ids below the vocabulary size, {vocab_size}.",
                             f"{command('validate.py', root, '--repair')}, then {prepare}"
                             if tokenizer else f"--set train.vocab_size=N, where N is {bad.id + 1} or more")
    return Bins(train, val, growth, vocab_size, tokenizer, tuple(earlier))


def prepare_command(root: Path) -> str:
    return command("run.py", root, "--only prepare")


def count_tokens(path: Path) -> int:
    root = path.parents[1]
    prepare = prepare_command(root)
    try:
        n_bytes = path.stat().st_size
    except FileNotFoundError:
        raise StageError(f"There is no {shown(path)}: no text was prepared for training yet.", "token bins.",
                         forgotten.first_run(root)) from None
    if n_bytes % 2:
        raise StageError(f"{path} has {n_bytes} bytes.", "an even number, two per token.", prepare)
    return n_bytes // 2


def read_bins_json(path: Path, lengths: list[int],
                   tokenizer: tokenizers.Tokenizer) -> tuple[list[list[int]], list[str]]:
    """The growth steps, and the hashes of earlier tokenizers. Tokens beyond the last step are not committed."""
    try:
        info = json.loads(path.read_text(encoding="utf-8"))
        growth = [[int(step["train_tokens"]), int(step["val_tokens"])] for step in info["growth"]]
        if info["tokenizer_hash"] == tokenizer.hash and lengths[0] >= growth[-1][0] and lengths[1] >= growth[-1][1]:
            return growth, [str(earlier) for earlier in info.get("retokenized_from", [])]
    except (ValueError, KeyError, TypeError, IndexError):
        pass
    raise StageError(f"{path} does not match the bins and the tokenizer next to it.", "files that were made together.",
                     prepare_command(path.parents[1]))


def find_ends(path: Path, end_of_text: int, first: int, last: int) -> np.ndarray:
    """Where the documents in the tokens `first` to `last` of a bin end: int64, the places of their end-of-text tokens.
    Read, not mapped: pages of a map count as our memory."""
    found = [np.empty(0, np.int64)]
    with open(path, "rb") as stream:
        stream.seek(2 * first)
        while first < last and len(ids := np.fromfile(stream, "<u2", min(CHUNK, last - first))):
            found.append(first + np.flatnonzero(ids == end_of_text))
            first += len(ids)
    return np.concatenate(found)
