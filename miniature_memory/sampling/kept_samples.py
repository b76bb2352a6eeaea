"""The samples that every run keeps for the report."""

import contextlib
import dataclasses
import itertools
import json
import re
from pathlib import Path
from typing import Any

import numpy as np

from miniature_memory.core.errors import StageError
from miniature_memory.core.text import strip_control, timestamp
from miniature_memory.sampling.config import KEPT_PROMPTS, MOST_CHARS, SampleConfig
from miniature_memory.sampling.generation import Loaded, write
from miniature_memory.sampling.trace import covered, open_tracer
from miniature_memory.storage.files import append_line, read_lines
from miniature_memory.training import tokenizer as tokenizers

KEPT_FILE = "data/samples.jsonl"
KEPT_TOKENS = 80  # that follow each kept prompt: a paragraph
PROMPT_WORDS = 10  # of a validation document, which the model is to continue
KEPT_SOURCES = 3  # of what is copied, that are named
VAL_TOKENS = 1_000_000  # of val.bin, searched for such documents
LAST_BYTES = 100_000  # of samples.jsonl, which hold its last line


def keep(config: SampleConfig, root: Path, loaded: Loaded) -> None:
    """Append to data/samples.jsonl how this model continues the prompts that each run's model gets."""
    last = last_line(root)
    pairs = choose_prompts(config, root, loaded.tokenizer, last)
    line: dict[str, Any] = {"iter_num": loaded.iter_num, "val_bpb": loaded.val_bpb,
                            "prompts": [prompt for prompt, _ in pairs]}
    if not pairs or all(last.get(key) == value for key, value in line.items()):
        return  # no validation text yet, or the same model as last time
    texts, tokens = [], list[list[int]]()
    for i, (prompt, _) in enumerate(pairs):
        each = dataclasses.replace(config, prompt=prompt, max_new_tokens=KEPT_TOKENS, seed=config.seed + i)
        steps = list(write(loaded, each))
        texts.append("".join(step.text for step in steps))
        tokens.append([step.token for step in steps])
    line |= {"time": timestamp(), "texts": texts, "originals": [original for _, original in pairs]}
    with contextlib.suppress(StageError):  # without counts
        line["copied"] = trace_all(root, tokens)
    append_line(root / KEPT_FILE, json.dumps(line, ensure_ascii=False))


def trace_all(root: Path, texts: list[list[int]]) -> dict[str, Any]:
    """How much of these tokens occurs in training documents: the share, the longest stretch, and whose words they
    are, the longest first."""
    tracer = open_tracer(root)
    traced = [tracer.trace(tokens) for tokens in texts]
    found = sorted(itertools.chain.from_iterable(traced), key=lambda stretch: -stretch.tokens)
    sources = {(source.title, source.url): None for stretch in found for source in stretch.sources[:1]}
    return {"share": sum(map(covered, traced)) / max(1, sum(map(len, texts))),
            "longest": found[0].tokens if found else 0, "sources": list(sources)[:KEPT_SOURCES]}


def last_line(root: Path) -> dict[str, Any]:
    """Of data/samples.jsonl; {} if there is none."""
    last: dict[str, Any] = {}
    for entry in read_lines(root / KEPT_FILE, LAST_BYTES):
        last = entry or last
    return last


def choose_prompts(config: SampleConfig, root: Path, tokenizer: tokenizers.Tokenizer,
                   last: dict[str, Any]) -> list[tuple[str, str]]:
    """The settings' prompts, or else the last run's, or else new ones, each with its original or ""."""
    return [(prompt, "") for prompt in config.kept_prompts] or kept_pairs(last) or beginnings(root, tokenizer)


def kept_pairs(line: dict[str, Any]) -> list[tuple[str, str]]:
    """The prompts of an earlier run, with the documents' own continuations."""
    prompts, originals = line.get("prompts"), line.get("originals")
    if not isinstance(prompts, list) or not isinstance(originals, list):
        return []
    pairs = list(zip(prompts, originals, strict=False))[:KEPT_PROMPTS]
    sound = all(isinstance(text, str) and 0 < len(text) <= MOST_CHARS for pair in pairs for text in pair)
    return pairs if sound else []


def beginnings(root: Path, tokenizer: tokenizers.Tokenizer) -> list[tuple[str, str]]:
    """How three validation documents, spread over val.bin, begin and continue: (prompt, original).

    They suit any topic and language, the model never trains on them, and a reader can compare its continuation with the
    author's.
    """
    path = root / "data" / "val.bin"
    ids = np.fromfile(path, dtype="<u2", count=VAL_TOKENS) if path.exists() else np.zeros(0, dtype="<u2")
    ends = np.flatnonzero(ids == tokenizer.eot_token)
    starts = np.append(0, ends + 1)
    found: list[tuple[str, str]] = []
    for part in np.array_split(np.arange(len(ends)), KEPT_PROMPTS):
        texts = (tokenizer.decode(ids[starts[i]:ends[i]][:4 * MOST_CHARS]) for i in part)  # bytes per character: 4
        pairs = (pair for text in texts if (pair := divide(strip_control(text).strip())))
        found += itertools.islice(pairs, 1)
    return found


def divide(text: str) -> tuple[str, str] | None:
    """The first words of a text and what follows them; None if it is too short."""
    words = re.match(rf"(\S+\s+){{{PROMPT_WORDS - 1}}}\S+", text)
    n = len(words[0]) if words and len(words[0]) <= MOST_CHARS // 3 else MOST_CHARS // 6  # written without spaces
    return (text[:n], text[n:MOST_CHARS]) if len(text) >= 3 * n else None
