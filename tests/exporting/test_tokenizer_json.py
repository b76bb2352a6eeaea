"""python3 -m pytest tests/exporting/test_tokenizer_json.py"""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from miniature_memory.exporting.tokenizer_json import write_tokenizer
from miniature_memory.training.tokenizer import Tokenizer, train
from miniature_memory.training.tokenizer_json import spelled, to_json

TEXTS = ["the cat sat on the mat and the dog sat on the log, 1984 times\n" * 20, "žluťoučký kůň 漢字 漢字 漢字"]
TOKENIZERS = [train(kind, TEXTS, 300) for kind in ("bpe", "char", "byte")]


def encode(content: dict[str, Any], text: str) -> list[int]:
    """What Hugging Face's tokenizers does: split, then merge by the list of pairs."""
    vocabulary = content["model"]["vocab"]
    ranks = {tuple(pair.split(" ")): i for i, pair in enumerate(content["model"]["merges"])}
    split = regex.compile(content["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"])
    ids = []
    for word in map(spelled, (match.group().encode() for match in split.finditer(text))):
        parts = [word] if word in vocabulary else list(word)
        while pairs := [pair for pair in pairwise(parts) if pair in ranks]:
            i = list(pairwise(parts)).index(min(pairs, key=ranks.__getitem__))
            parts[i:i + 2] = [parts[i] + parts[i + 1]]
        ids += [vocabulary[part] for part in parts]
    return ids


@pytest.mark.parametrize("tokenizer", TOKENIZERS, ids=lambda t: t.kind)
@given(text=st.text() | st.text(" \n\tthecasondg'S1漢ů"))
def test_the_pairs_give_the_same_ids_as_the_ranks(tokenizer: Tokenizer, text: str) -> None:
    assert encode(to_json(tokenizer), text) == tokenizer.encode(text)


@pytest.mark.parametrize("tokenizer", TOKENIZERS, ids=lambda t: t.kind)
def test_each_id_has_a_spelling_of_its_own(tokenizer: Tokenizer) -> None:
    vocabulary = to_json(tokenizer)["model"]["vocab"]
    assert sorted(vocabulary.values()) == list(range(tokenizer.vocab_size))
    assert not any(character.isspace() for token in vocabulary for character in token)


def test_the_end_of_text_is_a_special_token(tmp_path: Path) -> None:
    write_tokenizer(TOKENIZERS[0], tmp_path)
    (end,) = json.loads((tmp_path / "tokenizer.json").read_text(encoding="utf-8"))["added_tokens"]
    assert (end["content"], end["id"], end["special"]) == ("<|endoftext|>", TOKENIZERS[0].eot_token, True)
    assert json.loads((tmp_path / "tokenizer_config.json").read_text())["eos_token"] == "<|endoftext|>"
