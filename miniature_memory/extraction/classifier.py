"""Judge: which blocks of a page are its main text, and of what type the page is, by small models that can be read.

1. score      each block by itself, then again with the first answers about its neighbours and its kin
2. choose     the blocks whose probability promises the best word F1 of this page (threshold = F1 / 2)
3. page type  from the features of the page as a whole

The blocks come from blocks.py, their features from features.py; the coefficients are in blocks.json, fitted by
fit_blocks.py on the development part of WCXB.
"""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from lxml import etree

from miniature_memory.extraction.blocks import Block, Page, machine_blocks, segment, text_of
from miniature_memory.extraction.features import Table, features, second_features, type_features

MODEL_PATH = Path(__file__).with_name("blocks.json")
SMALL_PAGE_BLOCKS = 10  # guess
FEW_WORDS = 60  # guess: a page that shows fewer words than this keeps its text in its scripts, if anywhere


# --- 1. score ------------------------------------------------------------------------------------


class Trees:
    """An ensemble of binary trees in flat arrays, evaluated for all blocks and all trees at once."""

    def __init__(self, spec: dict[str, Any]) -> None:
        self.feature = np.array(spec["feature"], np.int32)  # -1 at leaves
        self.value = np.array(spec["value"], np.float32)  # threshold, or the leaf's log-odds
        self.left = np.array(spec["left"], np.int32)  # left child; the right one is next to it
        self.roots = np.array(spec["roots"], np.int32)
        self.base = float(spec["base"])
        leaf = self.feature < 0
        self.depth = int(spec["depth"])
        # a leaf leads to itself, so that all trees can be walked equally long
        self.walk_feature = np.where(leaf, 0, self.feature).astype(np.int32)
        self.walk_value = np.where(leaf, np.inf, self.value).astype(np.float32)
        self.walk_left = np.where(leaf, np.arange(len(leaf)), self.left).astype(np.int32)

    def log_odds(self, x: np.ndarray) -> np.ndarray:
        n, width = x.shape
        out = np.empty(n)
        flat_all = np.ascontiguousarray(x, np.float32)
        for start in range(0, n, 512):  # bounded memory for pages of many blocks
            part = flat_all[start : start + 512]
            flat = part.ravel()
            rows = (np.arange(len(part), dtype=np.int32) * width)[:, None]
            node = np.repeat(self.roots[None, :], len(part), axis=0)
            for _ in range(self.depth):
                value = flat.take(self.walk_feature.take(node) + rows)
                node = self.walk_left.take(node) + (value > self.walk_value.take(node))
            out[start : start + 512] = self.value.take(node).sum(axis=1, dtype=np.float64)
        return out + self.base


class TypeModel(NamedTuple):
    """Log-odds of each page type, up to a constant: bias + weights @ features."""

    types: list[str]
    names: list[str]
    bias: np.ndarray  # (types,)
    weights: np.ndarray  # (features, types)


class Model(NamedTuple):
    first: Trees
    second: Trees
    first_columns: np.ndarray  # which columns of the matrix each pass reads
    second_columns: np.ndarray
    names: list[str]
    choice: dict[str, float]
    page_type: TypeModel


def model_from(spec: dict[str, Any]) -> Model:
    return Model(
        Trees(spec["first"]),
        Trees(spec["second"]),
        np.array(spec["first"]["columns"], np.int32),
        np.array(spec["second"]["columns"], np.int32),
        spec["names"],
        spec["choice"],
        type_model_from(spec["page_type"]),
    )


def type_model_from(spec: dict[str, Any]) -> TypeModel:
    weights = spec["weights"]
    return TypeModel(spec["types"], list(weights), np.array(spec["bias"]), np.array(list(weights.values())))


@lru_cache(maxsize=2)
def load_model(path: Path = MODEL_PATH) -> Model:
    """Read once a process."""
    return model_from(json.loads(path.read_text(encoding="utf-8")))


def sigmoid(z: np.ndarray) -> np.ndarray:
    return 1.0 / (1.0 + np.exp(-np.clip(z, -30, 30)))


def second_matrix(table: Table, model: Model) -> tuple[np.ndarray, list[str]]:
    """What the second pass reads of each block, and the names of its columns."""
    more, names = second_features(table, sigmoid(model.first.log_odds(table.x[:, model.first_columns])))
    names = table.names + names
    return np.hstack([table.x, more])[:, model.second_columns], [names[n] for n in model.second_columns]


def probabilities(table: Table, model: Model) -> np.ndarray:
    """Of each block, that it belongs to the main text."""
    return sigmoid(model.second.log_odds(second_matrix(table, model)[0]))


# --- 2. choose -----------------------------------------------------------------------------------


def choose(p: np.ndarray, words: np.ndarray, choice: dict[str, float]) -> tuple[np.ndarray, float]:
    """(kept, expected F1): the set of blocks with the best expected word F1, among those ordered by probability.

    With w words and probability p of each block, keeping S gives F1 = 2 sum_S(w p) / (sum_S(w) + sum_all(w p)).
    """
    if not len(p):
        return np.zeros(0, bool), 0.0
    order = np.argsort(-p, kind="stable")
    hits = np.cumsum((words * p)[order])
    f1 = 2 * hits / np.maximum(np.cumsum(words[order]) + hits[-1], 1e-9)
    k = int(np.argmax(f1))
    # Where nothing is likely the page is better left empty (it shows a menu or an error); not so on pages of a few
    # blocks, which are unlike any that the model was fitted on.
    lowest = choice["lowest"] if len(p) >= SMALL_PAGE_BLOCKS else 0.0
    threshold = min(max(float(p[order[k]]), lowest), choice["highest"])
    return p >= threshold, float(f1[k])


# --- 3. page type --------------------------------------------------------------------------------


def page_type_of(page: Page, table: Table, url: str, model: TypeModel) -> tuple[str, float]:
    """(the likeliest type, its probability)."""
    found = type_features(page, table, url)
    odds = model.bias + np.array([found[name] for name in model.names]) @ model.weights
    p = np.exp(odds - odds.max())
    best = int(np.argmax(p))
    return model.types[best], float(p[best] / p.sum())


# --- a page --------------------------------------------------------------------------------------


class Judged(NamedTuple):
    text: str
    page_type: str  # "" where nothing can be told


def judge(root: etree._Element, url: str = "") -> Judged:
    """The main text of a parsed page, and its type; never raises for bad HTML."""
    page = segment(root)
    hidden = machine_blocks(root) if _n_chars(page.blocks) < 6 * FEW_WORDS else []
    hidden_text = text_of(hidden) if _n_chars(hidden) > 6 * FEW_WORDS else ""
    if not page.blocks:
        return Judged(hidden_text, "")
    model, table = load_model(), features(page)
    page_type, _ = page_type_of(page, table, url, model.page_type)
    if hidden_text:
        return Judged(hidden_text, page_type)
    kept, _ = choose(probabilities(table, model), table.words, model.choice)
    return Judged(text_of([block for block, keep in zip(page.blocks, kept, strict=True) if keep]), page_type)


def _n_chars(blocks: list[Block]) -> int:
    return sum(len(block.text) for block in blocks)


def explain(root: etree._Element, url: str = "", most: int = 3) -> str:
    """The page type; then every block with its verdict and what decided it, a line each.

    What decided: the features which, had they been as in the middle block of the page, would have moved the log-odds
    most; +1.2 speaks for the block.
    """
    page = segment(root)
    if not page.blocks:
        return "no text"
    model, table = load_model(), features(page)
    x, names = second_matrix(table, model)
    odds = model.second.log_odds(x)
    kept, expected = choose(sigmoid(odds), table.words, model.choice)
    effects = np.empty((len(odds), x.shape[1]))
    for n in range(x.shape[1]):
        usual = x.copy()
        usual[:, n] = np.median(x[:, n])
        effects[:, n] = odds - model.second.log_odds(usual)
    page_type, sure = page_type_of(page, table, url, model.page_type)
    lines = [
        f"{int(kept.sum())} of {len(kept)} blocks kept; expected word F1 {expected:.2f}; "
        f"page type {page_type} ({sure:.2f})"
    ]
    for n, block in enumerate(page.blocks):
        top = np.argsort(-np.abs(effects[n]))[:most]
        why = ", ".join(f"{names[k]} {effects[n, k]:+.1f}" for k in top if abs(effects[n, k]) >= 0.05)
        text = " ".join(block.text.split())
        lines.append(
            f"{'keep' if kept[n] else 'drop'} {sigmoid(odds[n]):.2f}  {block.tag:<10} "
            f"{text[:60] + '...' if len(text) > 60 else text:<63}  {why}"
        )
    return "\n".join(lines)
