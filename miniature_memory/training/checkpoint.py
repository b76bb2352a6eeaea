"""Checkpoint: files of tensors and plain values, written so that nobody sees half of one, and checked when read: by the
checksums of their entries, by what a state must hold, and by the shapes of its model before memory is taken for it."""

import logging
import os
import pickle
import shlex
import shutil
import struct
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch

from miniature_memory.core.errors import StageError, cannot_read, cannot_write
from miniature_memory.core.paths import command, fsync_folder, make_folder, shown
from miniature_memory.storage.files import free_name, zip_fault
from miniature_memory.training.bins import Bins
from model import GPT, GPTConfig

logger = logging.getLogger(__name__)

State = dict[str, Any]

PREVIOUS = "ckpt.prev.pt"  # next to ckpt.pt: the checkpoint before
CONTINUED = ("optimizer", "iter_num", "tokens_seen", "position", "rng", "tokenizer_provisional")  # by training

# What every state holds, and what a checkpoint or a release holds besides
KINDS = {"model": dict, "model_args": dict, "tokenizer_hash": str, "optimizer": dict, "iter_num": int,
         "tokens_seen": int, "position": dict, "rng": dict, "tokenizer_provisional": bool, "scores": dict,
         "entry": dict, "history": list, "gate": dict, "init_from": str}
# Of a model's sizes, as the settings have it; the file is larger than the others
MOST = {"block_size": 1 << 20, "ngram_order": 16, "match_order": 64, "ngram_rows": 1 << 62}
MOST_ROTARY = 1 << 28  # numbers of all positions' rotations, which no file holds
# What torch.load raises for a file whose entries are whole and yet hold no checkpoint
DAMAGED = (RuntimeError, EOFError, LookupError, ValueError, TypeError, AttributeError, ArithmeticError, AssertionError,
           MemoryError, struct.error, pickle.UnpicklingError)


class DamagedCheckpoint(StageError):
    """Its content is lost; a file that cannot be opened, or that another release made, is not damaged."""


# --- writing -------------------------------------------------------------------------------------


def save_state(path: Path, state: State, keep_as: Path | None = None) -> int:
    """Write `state` aside, fsync, rename; the file that was there stays as `keep_as`. Returns the bytes written."""
    check_finite(path, state)
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
        return path.stat().st_size
    except (OSError, RuntimeError) as error:  # torch turns an error of the disk into a RuntimeError
        aside.unlink(missing_ok=True)
        cause = error if isinstance(error, OSError) else error.__context__
        if not isinstance(cause, OSError):
            raise
        raise cannot_write(path, cause) from None


def check_finite(path: Path, state: State) -> None:
    """Raise StageError, before what is at `path` is replaced, if the weights have overflowed."""
    if not is_finite(state):
        lower = f"--set train.learning_rate={state['config']['learning_rate'] / 2:g}" if "config" in state else ""
        raise StageError(f"The weights overflowed by iteration {state['iter_num']:,}; {shown(path)} stays as it was.",
                         "finite numbers.", "lower the learning rate: " + command(
                             "run.py", root_of(path), "--only train", lower))


def _link(path: Path, name: Path) -> None:
    """Let `name` be a second name of the file, so that there is no moment without the file at `path`."""
    aside = name.with_name(name.name + ".tmp")
    aside.unlink(missing_ok=True)
    try:
        os.link(path, aside)
    except OSError:  # a file system without links, such as a mounted drive
        shutil.copyfile(path, aside)
        with open(aside, "rb") as stream:
            os.fsync(stream.fileno())
    os.replace(aside, name)
    aside.unlink(missing_ok=True)  # renaming does nothing where both are names of one file, as a killed run leaves them


# --- reading -------------------------------------------------------------------------------------


def load_state(path: Path, *names: str, mmap: bool = False) -> State | None:
    """The state in `path`, None if there is no such file. Raises StageError if it cannot be read, is damaged or lacks a
    name, or was made by another release.

    mmap: leave the tensors on the disk until they are looked at, without a look at their checksums.
    """
    try:
        if not path.exists():
            return None
        if not mmap and (fault := zip_fault(path)):
            raise damaged(path, fault)
        state: State = torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)
    except DAMAGED as error:
        raise damaged(path, type(error).__name__) from None
    except OSError as error:
        raise cannot_read(path, error) from None
    wanted = {"model", "model_args", "tokenizer_hash", *names}
    if not isinstance(state, dict) or not wanted <= state.keys():
        raise damaged(path, "entries are missing")
    if wrong := [name for name, kind in KINDS.items() if not isinstance(state.get(name, kind()), kind)]:
        raise damaged(path, f"{', '.join(wrong)} cannot be of that kind")
    state["model_args"].setdefault("match_order", 0)  # models made before there were matches
    known, found = {field.name for field in fields(GPTConfig)}, state["model_args"].keys()
    if found != known:
        age = "a newer" if found - known else "an older"
        raise StageError(f"{path} holds a model of {age} release ({', '.join(sorted(found ^ known))}).",
                         "a model of this release.",
                         f"use the release that made it, or start a new model: {move_aside(path)}")
    if fault := model_fault(state, path.stat().st_size):
        raise damaged(path, fault)
    if not mmap and not is_finite(state):
        raise damaged(path, "its weights are not finite numbers")
    return state


def damaged(path: Path, why: str) -> DamagedCheckpoint:
    return DamagedCheckpoint(f"{path} is damaged ({why}).", "a whole checkpoint.", recover(path))


def load_weights(model: GPT, state: State, path: Path) -> None:
    """Raises StageError for weights of other names or shapes than the model's."""
    try:
        model.load_state_dict(state["model"])
    except (RuntimeError, TypeError) as error:
        raise damaged(path, _in_short(error)) from None


def _in_short(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


def model_fault(state: State, file_bytes: int) -> str:
    """Why no model can have this shape and these weights; "" if one can. Nothing is allocated for it."""
    args, weights = state["model_args"], state["model"].values()
    kinds = {field.name: type(field.default) for field in fields(GPTConfig)}
    if wrong := [name for name, kind in kinds.items() if not isinstance(args[name], kind)]:
        return f"{', '.join(wrong)} cannot be of that kind"
    sizes = {name: args[name] for name, kind in kinds.items() if kind is int}
    if (any(not (name != "match_order") <= value <= MOST.get(name, file_bytes) for name, value in sizes.items())
            or args["n_embd"] % (2 * args["n_head"]) or not 0 <= args["dropout"] < 1
            or args["n_layer"] * args["block_size"] * args["n_embd"] // args["n_head"] > MOST_ROTARY):
        return "no model has this shape"
    if not all(isinstance(one, torch.Tensor) and one.is_floating_point() and one.layout is torch.strided
               for one in weights):
        return "its weights are not numbers"
    shape = GPTConfig(**args)
    expected = shape.matrix_parameters + shape.table_rows * shape.n_embd
    if sum(one.numel() for one in weights) != expected or sum(one.nbytes for one in weights) > file_bytes:
        return "its weights do not have the shape of its model"
    return ""


def is_finite(state: State) -> bool:
    return all(bool(one.isfinite().all()) for one in state["model"].values())


def root_of(path: Path) -> Path:
    """The root of a file in checkpoints/ or checkpoints/history/."""
    return path.parents[2 if path.parent.name == "history" else 1]


def previous_of(path: Path) -> Path:
    return path.with_name(PREVIOUS)


def quoted(path: Path) -> str:
    return shlex.quote(shown(path))


def move_aside(path: Path) -> str:
    """The command that moves the folder checkpoints/ of a file aside, so that training starts a new model."""
    folder = root_of(path) / "checkpoints"
    return f"mv {quoted(folder)} {quoted(folder)}.old"


def recover(path: Path) -> str:
    """The commands that put a damaged file aside, if training does not do that itself, and train on."""
    train = command("run.py", root_of(path), "--only train")
    if path.name == "ckpt.pt" and previous_of(path).exists():
        return f"{train}, which continues from {PREVIOUS}"
    return put_aside(path) if path.parent.name == "history" else f"{put_aside(path)} && {train}"


def put_aside(path: Path) -> str:
    return f"mv {quoted(path)} {quoted(free_name(path.with_name(f'{path.name}.damaged')))}"


# --- the checkpoint of a root --------------------------------------------------------------------


def load_latest(root: Path) -> tuple[Path, State | None]:
    """ckpt.pt and what it holds; ckpt.prev.pt if that is missing, or damaged and therefore moved aside. None: there is
    neither. Raises StageError if what there is cannot be used."""
    path, damage = root / "checkpoints/ckpt.pt", ""
    try:
        state = load_state(path, *CONTINUED)
    except DamagedCheckpoint as error:
        if not previous_of(path).exists():
            raise
        state, damage = None, error.found
    if state or not previous_of(path).exists():
        return path, state
    previous = previous_of(path)
    state = load_state(previous, *CONTINUED)
    if state and damage:
        aside = free_name(path.with_name(f"{path.name}.damaged"))
        os.replace(path, aside)
        damage += f" It is now {aside.name}."
    if state:
        logger.warning("%s Training continues from %s, at iteration %s.", damage or f"{shown(path)} is missing.",
                       PREVIOUS, f"{state['iter_num']:,}")
    return previous, state


def load_checkpoint(root: Path, bins: Bins) -> State | None:
    """The checkpoint that training continues from, None for a fresh start. If an earlier tokenizer of these bins made
    it, only its layers are of use. Raises StageError if it belongs to other bins."""
    path, state = load_latest(root)
    if state is None:
        return None
    if state["tokenizer_hash"] == bins.tokenizer_hash:
        if (size := state["model_args"]["vocab_size"]) != bins.vocab_size:
            raise StageError(f"{path} has a vocabulary of {size}.", f"{bins.vocab_size}, as the bins have.",
                             f"--set train.vocab_size={size}, or start a new model: {move_aside(path)}")
        return state
    if state["tokenizer_hash"] in bins.retokenized_from:
        logger.info("the text has a new tokenizer: the model keeps its layers, and learns its embeddings and logits "
                    "again; the old one stays as ckpt.prev.pt")
        return state
    if state["tokenizer_provisional"]:
        logger.info("the provisional tokenizer was rebuilt, and so is the model; the old one stays as ckpt.prev.pt")
        return None
    raise StageError(f"{path} was trained with the tokenizer {state['tokenizer_hash'][:12] or 'of other bins'}.",
                     f"{bins.tokenizer_hash[:12] or 'none'}, as the bins have.",
                     f"restore the old data/ from a copy, or start a new model: {move_aside(path)}")


def does_not_fit(root: Path, error: Exception) -> StageError:
    """What to do about a checkpoint that load_checkpoint() accepted and whose values fit no optimizer or no bins."""
    path = root / "checkpoints/ckpt.pt"
    path = path if path.exists() else previous_of(path)
    return DamagedCheckpoint(f"{path} is damaged ({_in_short(error)}).", "a whole checkpoint.",
                             f"{put_aside(path)} && {command('run.py', root, '--only train')}")


def rename_history(root: Path) -> None:
    """Copies of the last releases were kept in checkpoints/nights before that was checkpoints/history."""
    old, new = root / "checkpoints/nights", root / "checkpoints/history"
    if old.is_dir() and not new.exists():
        os.rename(old, new)
