"""Generation: from a prompt to a text."""

from __future__ import annotations

import codecs
import logging
import random
import shlex
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from miniature_memory.core.errors import StageError
from miniature_memory.core.paths import DEMO, PROJECT, command, shown
from miniature_memory.core.text import counted, strip_control
from miniature_memory.counting.copies import copied
from miniature_memory.counting.experts import MEMORY
from miniature_memory.counting.mixture import Mixture, Stretch
from miniature_memory.counting.suffixes import load_suffixes
from miniature_memory.sampling.config import SampleConfig
from miniature_memory.sampling.decoder import Decoder, softmax
from miniature_memory.storage import clean_documents, documents
from miniature_memory.storage.catalog import Catalog
from miniature_memory.training import tokenizer as tokenizers
from miniature_memory.training.checkpoint import PREVIOUS, State, load_state, load_weights
from miniature_memory.training.mixing import gate_of
from model import GPT, GPTConfig

logger = logging.getLogger(__name__)

MAX_PROMPT_BYTES = 1_000_000  # of a file; far more than fits any context here


class Step(NamedTuple):
    """One token of the continuation."""

    token: int
    text: str  # that this token completes: nothing, if it ends within a character
    logits: np.ndarray  # float32 (V,), that the token was chosen from, before any setting changed them


def choose_next(logits: np.ndarray, config: SampleConfig, seen: set[int], rng: random.Random) -> int:
    """The next token. In this order: repetition penalty, temperature, top_k, top_p, min_p.

    seen: the tokens that the repetition penalty applies to.
    """
    if config.repetition_penalty != 1:
        before = np.fromiter(seen, int)
        factor = np.where(logits[before] > 0, 1 / config.repetition_penalty, config.repetition_penalty)
        logits = logits.copy()
        logits[before] *= factor
    if config.temperature == 0:
        return int(logits.argmax())
    k = min(config.top_k or len(logits), len(logits))
    ids = np.argpartition(logits, -k)[-k:]
    ids = ids[np.argsort(-logits[ids], kind="stable")]  # the most likely first
    with np.errstate(over="ignore"):  # a temperature next to zero
        p = softmax((logits[ids] - logits[ids[0]]).astype(np.float64) / config.temperature)
    p = p[(np.cumsum(p) - p < config.top_p) & (p >= config.min_p * p[0])]
    return int(rng.choices(ids[:len(p)], p.tolist())[0])


def generate(model: GPT, prompt: list[int], config: SampleConfig, eot_token: int,
             mixture: Mixture | None = None) -> Iterator[tuple[int, np.ndarray]]:
    """The tokens that continue `prompt` up to the end of text, each with the logits that it was chosen from: the
    network's, or the mixture's.

    Of a prompt longer than the context, only the end is read.
    """
    decoder, rng = Decoder(model), random.Random(config.seed)
    document = Document(mixture, model.config.n_embd) if mixture else None
    new = prompt[-model.config.block_size:]
    for _ in range(config.max_new_tokens):
        logits = decoder.read(new)
        if document:
            logits = document.mix(new, decoder.states, logits)
            if config.max_copied_tokens:
                document.avoid_copy(logits, config.max_copied_tokens)
        seen = set(decoder.recent.tolist()) - {eot_token} if config.repetition_penalty != 1 else set()
        token = choose_next(logits, config, seen, rng)
        if token == eot_token:
            return
        yield token, logits
        new = [token]


class Document:
    """Prompt and continuation as the counts see them."""

    def __init__(self, mixture: Mixture, n_embd: int) -> None:
        self.mixture, self.n_prompt, self.n, self.position = mixture, 0, 0, 0
        self.tokens, self.states = np.empty(2 * MEMORY + 1, np.int32), np.empty((2 * MEMORY, n_embd), np.float32)

    def mix(self, new: list[int], states: np.ndarray, logits: np.ndarray) -> np.ndarray:
        """The logits of what follows `new` too, float32 (V,). states: the network's, (len(new), C); logits: (V,)."""
        self.n_prompt = self.n_prompt or len(new)
        if self.n + len(new) > len(self.states):
            self.tokens[:MEMORY], self.states[:MEMORY] = self.tokens[self.n - MEMORY:self.n], self.states[
                self.n - MEMORY:self.n]
            self.position, self.n = self.position + self.n - MEMORY, MEMORY
        last = self.n + len(new)
        self.tokens[self.n:last], self.states[self.n:last], self.n = new, states, last
        self.tokens[last] = 0  # whatever comes next
        stretch = Stretch(self.tokens[:last + 1], last, self.states[:last], logits[None], self.position,
                          max(0, self.n_prompt - self.position))
        log_p: np.ndarray = self.mixture.log_probs(stretch)[0]
        return log_p

    def avoid_copy(self, logits: np.ndarray, most: int) -> None:
        """Rule out, in place, the tokens that would make a copy of more than `most` tokens of the training text."""
        written = self.tokens[max(0, self.n_prompt - self.position):self.n]
        logits[copied(self.mixture.suffixes, written, most)[1]] = -np.inf


def write(loaded: Loaded, config: SampleConfig) -> Iterator[Step]:
    """One continuation of `config.prompt`, step by step, in whole characters and without control characters."""
    tokenizer = loaded.tokenizer
    prompt = [tokenizer.eot_token, *tokenizer.encode(config.prompt)]  # a document begins after the end of another
    decode = codecs.getincrementaldecoder("utf-8")("replace").decode
    steps = (Step(token, strip_control(decode(tokenizer.decode_bytes([token]))), logits)
             for token, logits in generate(loaded.model, prompt, config, tokenizer.eot_token, loaded.mixture))
    return until_stop(steps, [text for text in config.stop if text])


def until_stop(steps: Iterable[Step], stop: list[str]) -> Iterator[Step]:
    """`steps` up to the first of the texts in `stop`. What may begin one of them is held back until that is clear."""
    held: list[Step] = []
    for step in steps:
        held.append(step)
        text = "".join(step.text for step in held)
        ends = [end for one in stop if (end := text.find(one)) >= 0]
        if ends:
            left = min(ends)
            for step in held:
                if left > 0:
                    yield step._replace(text=step.text[:left])
                left -= len(step.text)
            return
        waiting = max((n for one in stop for n in range(1, len(one)) if text.endswith(one[:n])), default=0)
        while held and len(text) - len(held[0].text) >= waiting:
            text = text[len(held[0].text):]
            yield held.pop(0)
    yield from held


# --- files ---------------------------------------------------------------------------------------


class Loaded(NamedTuple):
    model: GPT
    tokenizer: tokenizers.Tokenizer
    iter_num: int
    val_bpb: float | None
    mixture: Mixture | None = None  # None: the network alone


class Network(NamedTuple):
    """A model without its counts, and what else its file holds."""

    model: GPT
    tokenizer: tokenizers.Tokenizer
    state: State
    path: Path


def load_model(root: Path, path: Path | None = None) -> Loaded:
    """The released model, or the one in `path`, with its tokenizer and figures. Raises StageError if there is none or
    the two do not match."""
    model, tokenizer, state, _ = load_network(root, path)
    mixture = load_mixture(root, state, tokenizer)
    return Loaded(model, tokenizer, state.get("iter_num", 0), state.get("scores", {}).get("val_bpb"), mixture)


def load_network(root: Path, path: Path | None = None) -> Network:
    """The same without the counts."""
    folder = root / "checkpoints"
    source = path or folder / "release.pt"
    state: State | None = load_state(source)
    for name in ("ckpt.pt", PREVIOUS):
        if state is None and path is None and (state := load_state(source := folder / name)):
            logger.warning("no release.pt yet: using %s, which is still in training", name)
    if state is None:
        raise no_model(root)
    tokenizer = tokenizers.load(root / "data/tokenizer")
    if state["tokenizer_hash"] != tokenizer.hash:
        fix = ("choose a newer model." if path and path.parent.name == "history" else
               f"train one for it with {command('run.py', root, '--only train')}")
        raise StageError(f"The model in {shown(path or folder)} was trained with an earlier tokenizer.",
                         f"the one in {shown(root / 'data/tokenizer')}.", fix)
    model = GPT(GPTConfig(**state["model_args"]))
    load_weights(model, state, source)
    return Network(model, tokenizer, state, source)


def load_mixture(root: Path, state: State, tokenizer: tokenizers.Tokenizer) -> Mixture | None:
    """The counts that belong to a model; None where it has none, or their files are not there."""
    if not state.get("gate"):
        return None
    suffixes = load_suffixes(root, tokenizer.vocab_size)
    if suffixes is None:
        logger.warning("the counts of the training text are missing, so the network writes alone. Expected: "
                       "data/suffixes.bin. Fix: %s", command("run.py", root, "--only train"))
        return None
    gate = gate_of(state)
    if gate is None:
        logger.warning("this model's mixture with counts was made by another release, so the network writes alone. "
                       "Expected: one of this release. Fix: %s, which writes a new one",
                       command("run.py", root, "--only train"))
        return None
    return Mixture(suffixes, tokenizer.vocab_size, gate, tokenizer.eot_token)


def no_model(root: Path) -> StageError:
    """What there is instead of a model, and how to get one."""
    folder, found, why, n_documents = shown(root / "checkpoints"), "nothing was collected yet", "", 0
    if (root / "data/catalog.sqlite3").exists():
        with Catalog(root, read_only=True) as catalog:
            n_raw, n_documents = documents.count(catalog), clean_documents.count(catalog)
        found = (f"{counted(n_documents, 'document')} to train on" if n_documents else
                 f"{counted(n_raw, 'document')}, of which none passed the rules" if n_raw else
                 "no page could be read yet")
        why = command("clean.py", root, "--histograms") if n_raw else command("run.py", root, "--doctor")
    run, fixes = command("run.py", root), list[str]()
    if n_documents:
        fixes.append(f"train one with {run}")
    else:
        fixes.append(f"find out why with {why}, then run {run}" if why else f"train one with {run}")
        fixes.append(f"or learn from your own texts: {command('run.py', root, '--texts FILE...')}")
    if root == PROJECT and (DEMO / "checkpoints/release.pt").exists():
        fixes.append(f"the demonstration's model writes with {command('sample.py', root, '--demo')}")
    return StageError(f"There is no model in {folder}: {found}.", f"release.pt, ckpt.pt or {PREVIOUS}.",
                      "; ".join(fixes))


def read_prompt(name: str, root: Path) -> str:
    """The text of a file, or of standard input if `name` is "-". Raises StageError."""
    again = command("sample.py", root, "--prompt-file -")
    source = "standard input" if name == "-" else name
    try:
        with open(sys.stdin.fileno() if name == "-" else name, "rb", closefd=name != "-") as stream:
            content = stream.read(MAX_PROMPT_BYTES + 1)
        if len(content) > MAX_PROMPT_BYTES:
            raise StageError(f"The prompt in {source} is longer than {MAX_PROMPT_BYTES:,} bytes.", "a shorter prompt.",
                             f"use its end: tail -c 2000 {shlex.quote(name)} | {again}")
        return content.decode("utf-8-sig").replace("\r\n", "\n").removesuffix("\n")
    except OSError as error:
        raise StageError(f"{source} cannot be read ({error.strerror}).", "a text file.",
                         f"check its name and owner with ls -l {shlex.quote(name)}") from None
    except UnicodeDecodeError:
        raise StageError(f"{source} is not UTF-8.", "text in UTF-8.", "convert it, from Windows-1252 for example: "
                         f"iconv -f WINDOWS-1252 -t UTF-8 {shlex.quote(name)} | {again}") from None


def without_edges(pieces: Iterable[str]) -> Iterator[str]:
    """`pieces` without white space at the very beginning and the very end."""
    space, begun = "", False
    for piece in pieces:
        piece = space + piece
        text = piece.rstrip()
        space = piece[len(text):] if text or begun else ""
        if text:
            yield text if begun else text.lstrip()
            begun = True
