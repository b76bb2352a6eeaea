"""Releases: which one is kept, and when more training is useless."""

import logging
import os
from datetime import UTC, datetime
from pathlib import Path

import torch

from miniature_memory.core.errors import StageError
from miniature_memory.counting.mixture import Gate, Mixture
from miniature_memory.counting.suffixes import MOST_TOKENS, Suffixes, load_suffixes, update_suffixes
from miniature_memory.training.bins import Bins
from miniature_memory.training.checkpoint import DamagedCheckpoint, State, check_finite, load_state, save_state
from miniature_memory.training.evaluation import Scores, evaluate_both, figure, format_scores
from miniature_memory.training.mixing import fit, gate_of, steps_for
from miniature_memory.training.trainer import Trainer

COPIED = ("iter_num", "tokenizer_hash", "scores")  # of a release, into its copy: together they tell which one it is

logger = logging.getLogger(__name__)


def load_release(root: Path, bins: Bins) -> State | None:
    """The release, None if there is none that belongs to these bins, or none with a gate that this program can use. A
    damaged one is moved aside."""
    path = root / "checkpoints/release.pt"
    try:
        state = load_state(path, "iter_num", "tokens_seen", "scores", "entry", "history")
    except DamagedCheckpoint as error:
        os.replace(path, f"{path}.damaged")
        logger.warning("%s It is now release.pt.damaged; training writes a new release.", error.found)
        return None
    if state is None or state["tokenizer_hash"] != bins.tokenizer_hash:
        return None
    return None if state.get("gate") and gate_of(state) is None else state


def stop_reason(trainer: Trainer, release: State) -> str:
    """Why more training would be useless; empty if it would not be."""
    config, position, history = trainer.config, trainer.batches.position, release["history"]
    if trainer.is_fresh or history[-1].get("from_iter", history[-1]["iter_num"]) < trainer.iter_num:
        return ""  # no release was made from this checkpoint yet
    figures = [figure(entry) for entry in history if entry["tokens"] == trainer.bins.growth[-1]][-3:]
    if len(figures) == 3 and figures[0] < figures[1] < figures[2]:
        return (f"the last releases became worse twice ({', '.join(f'{x:.3f}' for x in figures)}), so this text has no "
                "more to teach to this model; add text")
    if config.max_epochs and position.epoch >= config.max_epochs:
        return f"the text was read {position.epoch} times (train.max_epochs = {config.max_epochs}); add text"
    if config.max_iters and trainer.iter_num >= config.stable_iters:
        return f"train.max_iters = {config.max_iters} is reached"
    return ""


def make_release(trainer: Trainer) -> State:
    """Evaluate and write release.pt, unless the one there did better on the same text. Returns what it holds."""
    check_finite(trainer.root / "checkpoints/release.pt", trainer.state())
    (mixture, scores), old = mix_and_evaluate(trainer), load_release(trainer.root, trainer.bins)
    entry = {"growth_step": len(trainer.bins.growth), "tokens": trainer.bins.growth[-1], "iter_num": trainer.iter_num,
             "from_iter": trainer.saved_iter,  # of the checkpoint that it was made from, before the decay
             "val_loss": scores["val_loss"], "val_bpb": scores["val_bpb"]}
    history = ([] if trainer.is_fresh or old is None else old["history"]) + [entry]
    new = {key: value for key, value in trainer.state().items() if key not in ("optimizer", "rng")}
    new |= {"scores": scores, "entry": entry, "gate": tensors_of(mixture.gate) if mixture else {}}
    if old and old["entry"]["tokens"] == entry["tokens"] and figure(old["entry"]) < figure(entry):
        logger.info("this run reached %s; the earlier release was better, at %s, and stays", format_scores(scores),
                    format_scores(old["scores"]))
        new = old
    trainer.bytes_written += save_state(trainer.root / "checkpoints/release.pt", new | {"history": history})
    trainer.bytes_written += keep_copy(trainer.root, new, trainer.config.keep_releases)
    return new


def update_counts(trainer: Trainer) -> Suffixes:
    """Bring the suffix array up to the bins, and open it."""
    n_tokens, vocab_size = min(trainer.bins.train_tokens, MOST_TOKENS), trainer.bins.vocab_size
    trainer.bytes_written += update_suffixes(trainer.root, n_tokens, vocab_size)
    suffixes = load_suffixes(trainer.root, vocab_size)
    if suffixes is None:
        raise StageError("data/suffixes.bin, which was just written, cannot be read.",
                         "a disk without errors, and fewer open files.", "run the same command again.")
    return suffixes


def mix_and_evaluate(trainer: Trainer) -> tuple[Mixture | None, Scores]:
    """The mixture that the release will be, and its figures; None where there is too little text for its gate, or where
    it does not help."""
    bins, config, tokenizer = trainer.bins, trainer.config, trainer.bins.tokenizer
    if not config.counts or tokenizer is None or trainer.token_bytes is None:
        return None, trainer.evaluate()
    suffixes = update_counts(trainer)
    if not len(trainer.held_back):
        return None, trainer.evaluate()
    ranges = trainer.held_back[trainer.held_back[:, 1] <= len(suffixes.text)]
    mixture = fit(trainer.model, suffixes, ranges, tokenizer.eot_token, config.seed,
                  steps_for(config.max_minutes), trainer.workers)
    scores = evaluate_both(trainer.model, mixture, bins.val, bins.val_tokens, trainer.batches.position.old_val_tokens,
                           trainer.token_bytes, config.batch_size, trainer.workers)
    if (scores["val_loss"] or 0) > (scores["val_loss_network"] or 0):  # a network that has read what is held back
        logger.info("the counts do not help this network (%s): the release does without them", format_scores(scores))
        return None, trainer.evaluate()
    return mixture, scores


def tensors_of(gate: Gate) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(array) for name, array in vars(gate).items()}


def keep_copy(root: Path, release: State, keep: int) -> int:
    """Keep a copy of the release without what only training needs, in float16, unless the last one is that; the oldest
    go. Returns its bytes."""
    folder, n_bytes = root / "checkpoints/history", 0
    copies = sorted(folder.glob("*.pt"))
    if keep and not (copies and is_copy(copies[-1], release)):
        small = {key: release[key] for key in (*COPIED, "model_args", "gate") if key in release}
        small["model"] = {name: value.half() for name, value in release["model"].items()}
        n_bytes = save_state(folder / f"{datetime.now(UTC):%Y-%m-%d-%H%M%S}.pt", small)
    for path in [*sorted(folder.glob("*.pt"))[:-keep or None], *folder.glob("*.tmp")]:  # the last: of a killed run
        path.unlink()
    return n_bytes


def is_copy(path: Path, release: State) -> bool:
    try:
        state = load_state(path, *COPIED, mmap=True)
    except StageError:
        return False
    return state is not None and all(state[key] == release[key] for key in COPIED)
