"""Sample: text that the trained model makes up, as it makes it up.

Reads   checkpoints/release.pt (or ckpt.pt, if there is no release yet), data/tokenizer/
Writes  data/samples.jsonl, with --keep: what each run's model made of the same three prompts, for report.py
Alone   .venv/bin/python sample.py --prompt "Once upon a time" --set sample.temperature=0.6
        .venv/bin/python sample.py --prompt-file FILE       FILE is - for what comes through a pipe
        .venv/bin/python sample.py --serve                  a page to play with, in a browser on this machine
"""

from __future__ import annotations

import codecs
import dataclasses
import itertools
import json
import logging
import math
import os
import random
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # a second thread takes longer: it waits at every small step

import numpy as np

import tokenizer as tokenizers
from catalog import append_line, read_lines
from checkpoint import State, load_state
from model import GPT, MATCHES, Block, GPTConfig, longer, match_code, row_of
from pipeline import (
    ArgumentParser,
    StageError,
    build_config,
    catch_signals,
    common_arguments,
    guarded,
    read_tables,
    root_option,
    strip_control,
    timestamp,
)

logger = logging.getLogger(__name__)

SEPARATOR = "-" * 40
MAX_PROMPT_BYTES = 1_000_000  # of a file; far more than any model here can look back on
EPSILON = 1e-6  # model.py's, in its norm
KEPT_PROMPTS, KEPT_TOKENS = 3, 80  # for the report: prompts, and tokens that follow each: a paragraph
PROMPT_WORDS = 10  # of a validation document, which the model is to continue
MOST_CHARS = 360  # of a validation document, with the words that are the prompt
VAL_TOKENS = 1_000_000  # of val.bin, in which such documents are looked for
LAST_BYTES = 100_000  # of samples.jsonl, in which its last line lies


@dataclass(frozen=True)
class SampleConfig:
    prompt: str = ""
    num_samples: int = 3
    max_new_tokens: int = 200
    temperature: float = 0.8
    top_k: int = 50
    top_p: float = 1.0                      # Holtzman et al., arXiv 1904.09751
    min_p: float = 0.0                      # Nguyen et al., arXiv 2407.01082
    repetition_penalty: float = 1.0         # CTRL, arXiv 1909.05858
    stop: list[str] = field(default_factory=list)
    seed: int = 1337
    kept_prompts: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        if len(self.kept_prompts) > KEPT_PROMPTS or any(not 0 < len(text) <= MOST_CHARS for text in self.kept_prompts):
            raise ValueError(f"kept_prompts = {self.kept_prompts}; expected at most {KEPT_PROMPTS} texts of at most "
                             f"{MOST_CHARS} characters")
        for name in ("num_samples", "max_new_tokens"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} = {getattr(self, name)}; expected 1 or more")
        for name in ("temperature", "top_k", "seed"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} = {getattr(self, name)}; expected 0 or more")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p = {self.top_p}; expected more than 0 and at most 1")
        if not 0 <= self.min_p <= 1:
            raise ValueError(f"min_p = {self.min_p}; expected 0 to 1")
        if self.repetition_penalty <= 0:
            raise ValueError(f"repetition_penalty = {self.repetition_penalty}; expected more than 0, 1 for none")


# --- the model, a token at a time ----------------------------------------------------------------


class Decoder:
    """The model reading a text that grows: each layer keeps the keys and values of the last block_size tokens.

    They lie in a ring, in which a new token takes the place of the oldest. Positions count by their distance alone, so
    nothing is computed again when the text has outgrown the context: it slides. The arithmetic is that of model.py's
    modules, in numpy: the sums of one token are small, and torch would take several times as long to begin each.
    """

    def __init__(self, model: GPT) -> None:
        c = self.config = model.config
        blocks = [block for block in model.blocks if isinstance(block, Block)]
        self.table = model.embedding.table.detach().numpy()
        self.layers = [[np.ascontiguousarray(linear.weight.detach().numpy().T) for linear in
                        (block.attention.qkv, block.attention.proj, block.mlp.up, block.mlp.proj)] for block in blocks]
        self.head = np.ascontiguousarray(model.head.weight.detach().numpy().T)  # (C, V)
        self.frequency = np.angle(blocks[0].attention.rotary.get_buffer("turn")[1].numpy()).astype(np.float64)
        self.ring = np.zeros((c.n_layer, 2, c.n_head, c.block_size, c.n_embd // c.n_head), np.float32)
        self.recent = self.runs = np.empty(0, np.int64)  # the last block_size tokens; their matches with the last
        self.length = 0  # tokens read so far

    def read(self, ids: list[int]) -> np.ndarray:
        """The logits of what follows `ids`, float32 (V,). Only the first call may give several, up to block_size."""
        c, T = self.config, len(ids)
        assert T == 1 or (self.length == 0 and c.block_size >= T)
        place, n = self.length % c.block_size, min(self.length + T, c.block_size)
        angle = np.arange(self.length, self.length + T)[:, None] * self.frequency
        turn = np.exp(1j * angle).astype(np.complex64)[:, None, None]  # (T, 1, 1, hs/2)
        x = normalised(self.table[[self._rows(token) for token in ids]].sum(1))  # (T, C)
        self.length += T
        for (to_qkv, to_stream, up, down), ring in zip(self.layers, self.ring, strict=True):
            qkv = (normalised(x) @ to_qkv).reshape(T, 3, c.n_head, -1)
            qk = normalised(qkv[:, :2]) if c.qk_norm else qkv[:, :2].copy()
            qk = (qk.view(np.complex64) * turn).view(np.float32)
            ring[0, :, place:place + T], ring[1, :, place:place + T] = qk[:, 1].swapaxes(0, 1), qkv[:, 2].swapaxes(0, 1)
            scores = qk[:, 0].swapaxes(0, 1) @ ring[0, :, :n].swapaxes(1, 2)  # (nh, T, n)
            if T > 1:
                scores[:, np.triu(np.ones((T, T), bool), 1)] = -np.inf
            y = softmax(scores * qk.shape[-1] ** -0.5) @ ring[1, :, :n]  # (nh, T, hs)
            x = x + y.swapaxes(0, 1).reshape(T, -1) @ to_stream
            x = x + np.square(np.maximum(normalised(x) @ up, 0)) @ down
        logits: np.ndarray = (normalised(x[-1:]) @ self.head)[0]
        return logits

    def _rows(self, token: int) -> list[int]:
        """Which rows of the table stand for `token` after what was read, as NgramEmbedding finds them."""
        c = self.config
        earlier = [*self.recent[:-c.ngram_order:-1].tolist(), *[-1] * c.ngram_order][:c.ngram_order - 1]
        codes = [token + 1]
        for before in earlier:
            codes.append(longer(codes[-1], before))
        self.recent = np.append(self.recent, token)[-c.block_size:]
        if c.match_order:
            codes += self._match()
        return [token, *(row_of(code, c) for code in codes[1:])]

    def _match(self) -> list[int]:
        """The codes of the tokens that followed at the best matches of what ends at the last token."""
        n, ids = self.config.match_order, self.recent
        self.runs = np.where(ids == ids[-1], np.minimum(np.insert(self.runs, 0, 0)[-len(ids):], n - 1) + 1, 0)
        places = np.arange(len(ids))
        lengths = np.minimum(self.runs, places + 1)  # a match ends where the context does
        keys = lengths * len(ids) + places * (lengths > 0)
        keys[-1] = 0  # the last token itself
        codes = []
        for i in range(MATCHES):
            place = int(keys.argmax())
            followed = int(ids[place + 1]) if keys[place] else -1
            codes.append(match_code(i, int(keys[place]) // len(ids), followed))
            keys[place] = 0
        return codes


def normalised(x: np.ndarray) -> np.ndarray:
    """The last dimension scaled to a root mean square of one."""
    return x * (math.sqrt(x.shape[-1]) / (np.sqrt(np.vecdot(x, x)) + EPSILON))[..., None]


def softmax(x: np.ndarray) -> np.ndarray:
    p = np.exp(x - x.max(-1, keepdims=True))
    p /= p.sum(-1, keepdims=True)
    return p


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


# --- kept for the report -------------------------------------------------------------------------


def keep(config: SampleConfig, root: Path, loaded: Loaded) -> None:
    """Append to data/samples.jsonl what this model makes of the prompts that every run's model gets."""
    path = root / "data" / "samples.jsonl"
    last: dict[str, Any] = {}
    for entry in read_lines(path, LAST_BYTES):
        last = entry or last
    pairs = [(prompt, "") for prompt in config.kept_prompts] or kept_pairs(last) or beginnings(root, loaded.tokenizer)
    line: dict[str, Any] = {"iter_num": loaded.iter_num, "val_bpb": loaded.val_bpb,
                            "prompts": [prompt for prompt, _ in pairs]}
    if not pairs or all(last.get(key) == value for key, value in line.items()):
        return  # no validation text yet, or the same model as the last time
    texts = []
    for i, (prompt, _) in enumerate(pairs):
        each = dataclasses.replace(config, prompt=prompt, max_new_tokens=KEPT_TOKENS, seed=config.seed + i)
        texts.append("".join(step.text for step in write(loaded, each)))
    line |= {"time": timestamp(), "texts": texts,
             "originals": [original for _, original in pairs]}
    append_line(path, json.dumps(line, ensure_ascii=False))


def kept_pairs(line: dict[str, Any]) -> list[tuple[str, str]]:
    """The prompts of an earlier run that came from documents, with what their authors made of them."""
    prompts, originals = line.get("prompts"), line.get("originals")
    if not isinstance(prompts, list) or not isinstance(originals, list):
        return []
    pairs = list(zip(prompts, originals, strict=False))[:KEPT_PROMPTS]
    sound = all(isinstance(text, str) and 0 < len(text) <= MOST_CHARS for pair in pairs for text in pair)
    return pairs if sound else []


def beginnings(root: Path, tokenizer: tokenizers.Tokenizer) -> list[tuple[str, str]]:
    """How validation documents begin and go on, (prompt, original) each: three, spread over val.bin.

    They suit any topic and language, the model is never trained on them, and beside what it makes of them one can read
    what their authors did.
    """
    path = root / "data" / "val.bin"
    ids = np.fromfile(path, dtype="<u2", count=VAL_TOKENS) if path.exists() else np.zeros(0, dtype="<u2")
    ends = np.flatnonzero(ids == tokenizer.eot_token)
    starts = np.append(0, ends + 1)
    found: list[tuple[str, str]] = []
    for part in np.array_split(np.arange(len(ends)), KEPT_PROMPTS):
        texts = (tokenizer.decode(ids[starts[i]:ends[i]][:4 * MOST_CHARS]) for i in part)  # at most 4 bytes a character
        pairs = (pair for text in texts if (pair := divide(strip_control(text).strip())))
        found += itertools.islice(pairs, 1)
    return found


def divide(text: str) -> tuple[str, str] | None:
    """The first words of a text and what follows them; None if it is too short for both."""
    words = re.match(rf"(\S+\s+){{{PROMPT_WORDS - 1}}}\S+", text)
    n = len(words[0]) if words and len(words[0]) <= MOST_CHARS // 3 else MOST_CHARS // 6  # written without spaces
    return (text[:n], text[n:MOST_CHARS]) if len(text) >= 3 * n else None


def main(argv: list[str] | None = None) -> int:
    parser = ArgumentParser(prog="sample.py", description=__doc__)
    common_arguments(parser)
    prompt = parser.add_mutually_exclusive_group()
    prompt.add_argument("--prompt", metavar="TEXT", help="what the samples begin with")
    prompt.add_argument("--prompt-file", metavar="FILE", help="the file in which that stands; -: standard input")
    parser.add_argument("--serve", nargs="?", type=int, const=8000, metavar="PORT",
                        help="serve a page to play with, to browsers on this machine alone (default: 8000)")
    parser.add_argument("--keep", action="store_true", help="also go on from the report's prompts, and keep what comes "
                        "of it in data/samples.jsonl; with --quiet only that")

    def work() -> int:
        args = parser.parse_args(argv)
        catch_signals()
        logging.basicConfig(level=logging.ERROR if args.quiet else logging.INFO, format="%(message)s", force=True)
        config = build_config(SampleConfig, "sample", read_tables(args.root, args.config, args.overrides))
        if args.prompt is not None or args.prompt_file:
            text = args.prompt if args.prompt is not None else read_prompt(args.prompt_file)
            config = dataclasses.replace(config, prompt=text)
        if args.serve is not None:
            import playground  # which imports this file

            return playground.serve(config, args.root, args.serve)
        loaded = load_model(args.root)
        for i in range(config.num_samples if not (args.keep and args.quiet) else 0):
            steps = write(loaded, dataclasses.replace(config, seed=config.seed + i))
            for piece in without_edges(itertools.chain([strip_control(config.prompt)], (step.text for step in steps))):
                print(piece, end="", flush=True)
            print(f"\n{SEPARATOR}", flush=True)
        if args.keep:
            keep(config, args.root, loaded)
        return 0

    return guarded("sample.py", work)


if __name__ == "__main__":
    raise SystemExit(main())
