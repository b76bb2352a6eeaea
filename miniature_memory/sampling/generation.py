"""Generation: from a prompt to a text."""

from __future__ import annotations

import codecs
import logging
import random
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from miniature_memory.core.errors import StageError
from miniature_memory.core.paths import root_option
from miniature_memory.core.text import strip_control
from miniature_memory.sampling.config import SampleConfig
from miniature_memory.sampling.decoder import Decoder, softmax
from miniature_memory.training import tokenizer as tokenizers
from miniature_memory.training.checkpoint import State, load_state
from model import GPT, GPTConfig

logger = logging.getLogger(__name__)

SEPARATOR = "-" * 40
MAX_PROMPT_BYTES = 1_000_000  # of a file; far more than any model here can look back on


# --- sampling ------------------------------------------------------------------------------------


class Step(NamedTuple):
    """One token of the answer."""

    token: int
    text: str  # what there is to show since the step before: nothing, if the token ends within a character
    logits: np.ndarray  # float32 (V,), from which the token was chosen, before any setting changed them


def choose_next(logits: np.ndarray, config: SampleConfig, seen: set[int], rng: random.Random) -> int:
    """The next token. In this order: repetition penalty, temperature, top_k, top_p, min_p.

    seen: the tokens that the repetition penalty makes less likely.
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
    ids = ids[np.argsort(-logits[ids], kind="stable")]  # the likeliest first
    p = softmax((logits[ids] - logits[ids[0]]).astype(np.float64) / config.temperature)
    p = p[(np.cumsum(p) - p < config.top_p) & (p >= config.min_p * p[0])]
    return int(rng.choices(ids[:len(p)], p.tolist())[0])


def generate(model: GPT, prompt: list[int], config: SampleConfig, eot_token: int) -> Iterator[tuple[int, np.ndarray]]:
    """Token after token that continues `prompt`, each with the logits that it was chosen from, up to the end of text.

    A prompt longer than the context is read from where it fits.
    """
    decoder, rng = Decoder(model), random.Random(config.seed)
    new = prompt[-model.config.block_size:]
    for _ in range(config.max_new_tokens):
        logits = decoder.read(new)
        token = choose_next(logits, config, set(decoder.recent.tolist()) - {eot_token}, rng)
        if token == eot_token:
            return
        yield token, logits
        new = [token]


def write(loaded: Loaded, config: SampleConfig) -> Iterator[Step]:
    """One continuation of `config.prompt`, step by step, in whole characters and without control characters."""
    model, tokenizer = loaded.model, loaded.tokenizer
    prompt = [tokenizer.eot_token, *tokenizer.encode(config.prompt)]  # a document begins after the end of another
    decode = codecs.getincrementaldecoder("utf-8")("replace").decode
    steps = (Step(token, strip_control(decode(tokenizer.decode_bytes([token]))), logits)
             for token, logits in generate(model, prompt, config, tokenizer.eot_token))
    return until_stop(steps, [text for text in config.stop if text])


def until_stop(steps: Iterable[Step], stop: list[str]) -> Iterator[Step]:
    """`steps` up to the first of the texts in `stop`. What may be the beginning of one waits until that is clear."""
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


def load_model(root: Path, path: Path | None = None) -> Loaded:
    """The released model, or that in `path`, its tokenizer and its figures. Raises StageError if there is none, or they
    do not fit together."""
    folder = root / "checkpoints"
    state: State | None = load_state(path or folder / "release.pt")
    if state is None and path is None and (state := load_state(folder / "ckpt.pt")):
        logger.warning("there is no release.pt yet; this is ckpt.pt, in the midst of training")
    if state is None:
        raise StageError(f"There is no model in {folder}.", "release.pt.",
                         f"run python3 run.py{root_option(root)} first.")
    tokenizer = tokenizers.load(root / "data/tokenizer")
    if state["tokenizer_hash"] != tokenizer.hash:
        raise StageError(f"The model in {path or folder} was trained with another tokenizer than data/tokenizer.",
                         "one of a kind.",
                         f"run python3 run.py{root_option(root)} --only train, then this again.")
    model = GPT(GPTConfig(**state["model_args"]))
    model.load_state_dict(state["model"])
    return Loaded(model, tokenizer, state.get("iter_num", 0), state.get("scores", {}).get("val_bpb"))


def read_prompt(name: str) -> str:
    """The text in the file of that name, or of standard input, if it is "-". Raises StageError."""
    try:
        with open(sys.stdin.fileno() if name == "-" else name, "rb", closefd=name != "-") as stream:
            content = stream.read(MAX_PROMPT_BYTES + 1)
        if len(content) > MAX_PROMPT_BYTES:
            raise StageError(f"The prompt in {name} is longer than {MAX_PROMPT_BYTES:,} bytes.", "a shorter one.",
                             f"give its end alone: tail -c 2000 {name}.")
        return content.decode("utf-8-sig").replace("\r\n", "\n").removesuffix("\n")
    except OSError as error:
        raise StageError(f"{name} cannot be read ({error.strerror}).", "a text file.", "check its name.") from None
    except UnicodeDecodeError:
        raise StageError(f"{name} is not UTF-8.", "text in UTF-8.", f"convert it: iconv -t utf-8 {name}.") from None


def without_edges(pieces: Iterable[str]) -> Iterator[str]:
    """`pieces` without white space before and after all of them."""
    space, begun = "", False
    for piece in pieces:
        piece = space + piece
        text = piece.rstrip()
        space = piece[len(text):] if text or begun else ""
        if text:
            yield text if begun else text.lstrip()
            begun = True
