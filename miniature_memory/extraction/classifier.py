"""Classifier: which blocks of a page are its main text, and of what type the page is, by small models that can be read.

1. score      each block by itself, then again with the first answers about its neighbors and blocks of its structure
2. select     the blocks that promise the best word F1 for this page; whole_texts.py completes them
3. page type  from the features of the page as a whole (page_type.py)

The coefficients are in blocks.json, fitted by fit_blocks.py on the development part of WCXB.
"""

import json
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from lxml import etree

from miniature_memory.extraction.block_text import Block, text_of
from miniature_memory.extraction.blocks import segment
from miniature_memory.extraction.features import Table, features, second_features
from miniature_memory.extraction.page_type import TypeModel, page_type_of, type_model_from
from miniature_memory.extraction.script_data import script_blocks
from miniature_memory.extraction.trees import Trees, sigmoid
from miniature_memory.extraction.whole_texts import complete

MODEL_PATH = Path(__file__).with_name("blocks.json")
SMALL_PAGE_BLOCKS = 10  # guess
FEW_CHARS = 360  # guess: a page that shows less text than this keeps its text in its scripts, if anywhere


class Model(NamedTuple):
    first: Trees
    second: Trees
    first_columns: np.ndarray  # which columns of the matrix each pass reads
    second_columns: np.ndarray
    names: list[str]
    choice: dict[str, float]  # the lowest and the highest threshold of select()
    page_type: TypeModel


@lru_cache(maxsize=1)
def load_model() -> Model:
    """Read once per process."""
    spec = json.loads(MODEL_PATH.read_text(encoding="utf-8"))
    return Model(Trees(spec["first"]), Trees(spec["second"]), np.array(spec["first"]["columns"], np.int32),
                 np.array(spec["second"]["columns"], np.int32), spec["names"], spec["choice"],
                 type_model_from(spec["page_type"]))


class Classified(NamedTuple):
    text: str
    page_type: str  # "" for unknown


def classify(root: etree._Element, url: str = "") -> Classified:
    """The main text of a parsed page, and its type; never raises for bad HTML."""
    page = segment(root)
    in_scripts = script_blocks(root) if _n_chars(page.blocks) < FEW_CHARS else []
    script_text = text_of(in_scripts) if _n_chars(in_scripts) > FEW_CHARS else ""
    if not page.blocks:
        return Classified(script_text, "")
    model, table = load_model(), features(page)
    page_type, _ = page_type_of(page, table, url, model.page_type)
    if script_text:
        return Classified(script_text, page_type)
    p = probabilities(table, model)
    kept, _ = select(p, table.words, model.choice)
    kept = complete(page, kept, p)
    return Classified(text_of([block for block, keep in zip(page.blocks, kept, strict=True) if keep]), page_type)


def _n_chars(blocks: list[Block]) -> int:
    return sum(len(block.text) for block in blocks)


def probabilities(table: Table, model: Model) -> np.ndarray:
    """Of each block, that it belongs to the main text."""
    return sigmoid(model.second.log_odds(second_matrix(table, model)[0]))


def second_matrix(table: Table, model: Model) -> tuple[np.ndarray, list[str]]:
    """What the second pass reads of each block, and the names of its columns."""
    more, names = second_features(table, sigmoid(model.first.log_odds(table.x[:, model.first_columns])))
    names = table.names + names
    return np.hstack([table.x, more])[:, model.second_columns], [names[n] for n in model.second_columns]


def select(p: np.ndarray, words: np.ndarray, choice: dict[str, float]) -> tuple[np.ndarray, float]:
    """(kept, expected F1): the set of blocks with the best expected word F1, among those ordered by probability.

    With w words and probability p of each block, keeping S gives F1 = 2 sum_S(w p) / (sum_S(w) + sum_all(w p)).
    """
    if not len(p):
        return np.zeros(0, bool), 0.0
    order = np.argsort(-p, kind="stable")
    hits = np.cumsum((words * p)[order])
    f1 = 2 * hits / np.maximum(np.cumsum(words[order]) + hits[-1], 1e-9)
    k = int(np.argmax(f1))
    # Where no block is likely, the page is better left empty: it shows a menu or an error. Not so on pages of a few
    # blocks, which are unlike any that the model was fitted on.
    lowest = choice["lowest"] if len(p) >= SMALL_PAGE_BLOCKS else 0.0
    threshold = min(max(float(p[order[k]]), lowest), choice["highest"])
    return p >= threshold, float(f1[k])


def explain(root: etree._Element, url: str = "", most: int = 3) -> str:
    """The page type, then one line per block: kept or not, and the features that decided it.

    A feature's effect is how far the log-odds would move if it were as in the median block of the page: +1.2 speaks
    for the block.
    """
    page = segment(root)
    if not page.blocks:
        return "The page has no text."
    model, table = load_model(), features(page)
    x, names = second_matrix(table, model)
    odds = model.second.log_odds(x)
    kept, expected = select(sigmoid(odds), table.words, model.choice)
    kept = complete(page, kept, sigmoid(odds))
    effects = np.empty((len(odds), x.shape[1]))
    for n in range(x.shape[1]):
        usual = x.copy()
        usual[:, n] = np.median(x[:, n])
        effects[:, n] = odds - model.second.log_odds(usual)
    page_type, sure = page_type_of(page, table, url, model.page_type)
    lines = [f"{int(kept.sum())} of {len(kept)} blocks kept; expected word F1 {expected:.2f}; "
             f"page type {page_type} ({sure:.2f})"]
    for n, block in enumerate(page.blocks):
        top = np.argsort(-np.abs(effects[n]))[:most]
        why = ", ".join(f"{names[k]} {effects[n, k]:+.1f}" for k in top if abs(effects[n, k]) >= 0.05)
        text = " ".join(block.text.split())
        lines.append(f"{'keep' if kept[n] else 'drop'} {sigmoid(odds[n]):.2f}  {block.tag:<10} "
                     f"{text[:60] + '...' if len(text) > 60 else text:<63}  {why}")
    return "\n".join(lines)
