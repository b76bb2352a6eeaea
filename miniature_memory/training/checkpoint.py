"""Checkpoint: files of tensors and plain values, written so that nobody ever sees half of one."""

from __future__ import annotations

import logging
import os
import pickle
import shutil
from pathlib import Path
from typing import Any

import torch

from miniature_memory.core.errors import StageError, cannot_write
from miniature_memory.core.paths import make_folder
from miniature_memory.storage.files import fsync_folder
from miniature_memory.training.bins import Bins
from model import GPTConfig

logger = logging.getLogger(__name__)

State = dict[str, Any]

UNREADABLE = (OSError, RuntimeError, EOFError, KeyError, ValueError, TypeError, AttributeError, pickle.UnpicklingError)


def save_state(path: Path, state: State, keep_as: Path | None = None) -> None:
    """Write `state` aside, fsync, rename; the file that was there stays as `keep_as`. Nobody ever sees half a file."""
    make_folder(path.parent)
    aside = path.with_name(path.name + ".tmp")
    try:
        with open(aside, "wb") as stream:
            torch.save(state, stream)
            stream.flush()
            os.fsync(stream.fileno())
        if keep_as and path.exists():
            _link(path, keep_as)
        os.replace(aside, path)
        fsync_folder(path.parent)
    except (OSError, RuntimeError) as error:  # torch turns an error of the disk into a RuntimeError
        aside.unlink(missing_ok=True)
        cause = error if isinstance(error, OSError) else error.__context__
        raise cannot_write(path, cause if isinstance(cause, OSError) else OSError(0, str(error))) from None


def _link(path: Path, name: Path) -> None:
    """Let `name` be a second name of the file, so that there is no moment without the file at `path`."""
    aside = name.with_name(name.name + ".tmp")
    aside.unlink(missing_ok=True)
    try:
        os.link(path, aside)
    except OSError:  # a file system without links, such as a mounted drive
        shutil.copyfile(path, aside)
    os.replace(aside, name)


def load_state(path: Path, *names: str, mmap: bool = False) -> State | None:
    """The state in `path`, None if there is no such file. Raises StageError if it is damaged or lacks a name.

    mmap: leave the tensors on the disk until they are looked at.
    """
    if not path.exists():
        return None
    try:
        state: State = torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)
        state["model_args"].setdefault("match_order", 0)  # the first release with n-grams had no matches
        GPTConfig(**state["model_args"])
        for name in ("model", "tokenizer_hash", *names):
            state[name]
    except UNREADABLE as error:
        previous = path.with_name("ckpt.prev.pt")
        fix = f"mv {previous} {path}" if path.name == "ckpt.pt" and previous.exists() else f"rm {path}"
        raise StageError(f"{path} is damaged or cannot be read ({type(error).__name__}).", "a whole checkpoint.",
                         f"{fix}, then run again.") from None
    if "ngram_order" not in state["model_args"]:
        raise StageError(f"{path} holds a model of an earlier release, which had no n-grams.", "one of this release.",
                         f"start anew: mv {path.parent} {path.parent}.old")
    return state


# --- checkpoints ---------------------------------------------------------------------------------


def load_checkpoint(root: Path, bins: Bins) -> State | None:
    """The checkpoint that training goes on from, None for a fresh start. One of an earlier tokenizer of these bins is
    good for its layers alone. Raises StageError if it fits other bins."""
    path = root / "checkpoints/ckpt.pt"
    state = load_state(path, "optimizer", "iter_num", "tokens_seen", "position", "rng", "tokenizer_provisional")
    if state is None:
        return None
    if state["tokenizer_hash"] == bins.tokenizer_hash:
        if state["model_args"]["vocab_size"] != bins.vocab_size:
            raise StageError(f"{path} has a vocabulary of {state['model_args']['vocab_size']}.",
                             f"{bins.vocab_size}, as the bins.", "correct train.vocab_size, or start anew: "
                             f"mv {path.parent} {path.parent}.old")
        return state
    if state["tokenizer_hash"] in bins.retokenized_from:
        logger.info("the text was tokenized anew: the model keeps its layers, and learns its embeddings and logits "
                    "afresh; the old one stays as ckpt.prev.pt")
        return state
    if state["tokenizer_provisional"]:
        logger.info("the provisional tokenizer was made anew, and so is the model; the old one stays as ckpt.prev.pt")
        return None
    raise StageError(f"{path} was trained with the tokenizer {state['tokenizer_hash'][:12] or 'of other bins'}.",
                     f"{bins.tokenizer_hash[:12] or 'none'}, as the bins.",
                     f"put the old data/ back, or start anew: mv {path.parent} {path.parent}.old")


def load_release(root: Path, bins: Bins) -> State | None:
    """The release, None if there is none that can be read and belongs to these bins."""
    try:
        state = load_state(root / "checkpoints/release.pt", "iter_num", "tokens_seen", "scores", "entry", "history")
    except StageError as error:
        logger.warning("%s A new one will be written.", error)
        return None
    return state if state and state["tokenizer_hash"] == bins.tokenizer_hash else None
