"""Sample: text that the trained model makes up.

Reads   checkpoints/release.pt (or ckpt.pt, if there is no release yet), data/tokenizer/
Writes  data/samples.jsonl, with --keep: what each run's model made of the same three prompts, for report.py
Alone   .venv/bin/python sample.py --prompt "Once upon a time"
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import logging
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

import tokenizer as tokenizers
from catalog import append_line, read_lines
from checkpoint import State, load_state
from model import GPT, GPTConfig
from pipeline import (
    ArgumentParser,
    StageError,
    build_config,
    catch_signals,
    common_arguments,
    guarded,
    read_tables,
    strip_control,
)

logger = logging.getLogger(__name__)

SEPARATOR = "-" * 40
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


# --- sampling ------------------------------------------------------------------------------------


def choose_next(logits: Tensor, temperature: float, top_k: int, generator: torch.Generator) -> Tensor:
    """The next token of each row, int64 (B, 1), from logits (B, V).

    Temperature 0 takes the likeliest; top_k 0 lets every token take part.
    """
    if temperature == 0:
        return logits.argmax(-1, keepdim=True)
    if 0 < top_k < logits.size(-1):
        least = logits.topk(top_k).values[:, -1:]
        logits = logits.masked_fill(logits < least, -torch.inf)
    return torch.multinomial(torch.softmax(logits / temperature, dim=-1), 1, generator=generator)


@torch.no_grad()
def generate(model: GPT, prompt: list[int], config: SampleConfig, eot_token: int) -> list[list[int]]:
    """`num_samples` continuations of `prompt`, side by side, each up to its end-of-text token.

    The whole context is computed again for every token: at this size that takes a few seconds.
    """
    model.eval()
    generator = torch.Generator().manual_seed(config.seed)
    idx = torch.tensor([prompt] * config.num_samples)  # (B, T)
    has_ended = torch.zeros(config.num_samples, 1, dtype=torch.bool)
    for _ in range(config.max_new_tokens):
        logits = model.head(model.stream(idx[:, -model.config.block_size:])[:, -1])  # (B, V)
        token = choose_next(logits, config.temperature, config.top_k, generator)
        token[has_ended] = eot_token
        has_ended |= token == eot_token
        if has_ended.all():
            break
        idx = torch.cat((idx, token), dim=1)
    continuations = idx[:, len(prompt):].tolist()
    return [ids[:ids.index(eot_token)] if eot_token in ids else ids for ids in continuations]


# --- files ---------------------------------------------------------------------------------------


class Loaded(NamedTuple):
    model: GPT
    tokenizer: tokenizers.Tokenizer
    iter_num: int
    val_bpb: float | None


def load_model(root: Path) -> Loaded:
    """The released model, its tokenizer and its figures. Raises StageError if there is none or they do not fit."""
    folder = root / "checkpoints"
    state: State | None = load_state(folder / "release.pt")
    if state is None and (state := load_state(folder / "ckpt.pt")):
        logger.warning("there is no release.pt yet; this is ckpt.pt, in the midst of training")
    if state is None:
        raise StageError(f"There is no model in {folder}.", "release.pt.", "run python3 run.py --only train first.")
    tokenizer = tokenizers.load(root / "data/tokenizer")
    if state["tokenizer_hash"] != tokenizer.hash:
        raise StageError(f"The model in {folder} was trained with another tokenizer than that in data/tokenizer.",
                         "one of a kind.", "run python3 run.py --only train, then this again.")
    model = GPT(GPTConfig(**state["model_args"]))
    model.load_state_dict(state["model"])
    return Loaded(model, tokenizer, state.get("iter_num", 0), state.get("scores", {}).get("val_bpb"))


def sample(config: SampleConfig, loaded: Loaded) -> list[str]:
    """Texts, each beginning with the prompt."""
    model, tokenizer = loaded.model, loaded.tokenizer
    prompt = [tokenizer.eot_token, *tokenizer.encode(config.prompt)]  # a document begins after the end of another
    return [config.prompt + tokenizer.decode(ids) for ids in generate(model, prompt, config, tokenizer.eot_token)]


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
        each = dataclasses.replace(config, prompt=prompt, num_samples=1, max_new_tokens=KEPT_TOKENS,
                                   seed=config.seed + i)
        texts.append(strip_control(sample(each, loaded)[0].removeprefix(prompt)))
    line |= {"time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), "texts": texts,
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
        texts = (tokenizer.decode(ids[starts[i]:ends[i]][:MOST_CHARS]) for i in part)  # a token is a character or more
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
    parser.add_argument("--prompt", metavar="TEXT", help="what the samples begin with")
    parser.add_argument("--keep", action="store_true", help="also go on from the report's prompts, and keep what comes "
                        "of it in data/samples.jsonl; with --quiet only that")

    def work() -> int:
        args = parser.parse_args(argv)
        catch_signals()
        logging.basicConfig(level=logging.ERROR if args.quiet else logging.INFO, format="%(message)s", force=True)
        config = build_config(SampleConfig, "sample", read_tables(args.root, args.config, args.overrides))
        if args.prompt is not None:
            config = dataclasses.replace(config, prompt=args.prompt)
        torch.set_num_threads(1)  # more take longer: they wait for each other at every small step
        loaded = load_model(args.root)
        for text in sample(config, loaded) if not (args.keep and args.quiet) else []:
            print(strip_control(text).strip(), SEPARATOR, sep="\n", flush=True)
        if args.keep:
            keep(config, args.root, loaded)
        return 0

    return guarded("sample.py", work)


if __name__ == "__main__":
    raise SystemExit(main())
