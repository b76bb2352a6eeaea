"""Features: what the classifier sees of each block of a page, as numbers.

Length, links, punctuation, class words, place, neighbors, how often the same structure recurs, and what read mode's
score says of the surroundings. For the second pass: what the first pass answered about the block, its neighbors and
blocks of the same structure. What they are made of is counted in block_facts.py; the features of a whole page are in
page_type.py. After a change here, fit the model again (fit_blocks.py).
"""

from collections import Counter
from typing import NamedTuple

import numpy as np

from miniature_memory.extraction.block_facts import CAPITAL, COMMA, DIGIT, STOP, Facts, facts_of, running_sums
from miniature_memory.extraction.blocks import Page
from miniature_memory.extraction.vocabulary import (
    ANCESTOR_BITS,
    ANCESTOR_TAGS,
    BAD_BIT,
    CUES,
    GOOD_BIT,
    SAYING_BITS,
    SAYINGS,
)

LEVELS = 7  # a block's element and six ancestors
SHARED_CUES = list(CUES) + ["hidden_attr"] + ["in_" + tag for tag in ANCESTOR_TAGS]
Columns = dict[str, np.ndarray | float]  # features by name; a number is that of all blocks


class Table(NamedTuple):
    """Features of a page's blocks, and what the second pass needs to average over relatives."""

    x: np.ndarray  # float32 (blocks, features)
    names: list[str]
    words: np.ndarray  # float64 (blocks,)
    spans: list[tuple[np.ndarray, np.ndarray]]  # per ancestor level: first and last block
    groups: list[np.ndarray]  # per kind of kinship: group number of each block


def features(page: Page) -> Table:
    """The matrix of a page with at least one block."""
    facts = facts_of(page)
    share, best = _read_mode(page, facts)
    around, near_bits, spans = _surroundings(page, facts)
    kin, groups = _kin(page, facts)
    columns: Columns = {**_alone(page, facts), **_place(facts), **best, **_landmarks(page, facts), **around, **kin,
                        **_neighbors(facts), **_page(page, facts, share)}
    above = np.where(facts.section >= 0, facts.said[facts.section], 0)
    path_bits = np.array(page.path_bits, np.int64)[facts.element]
    parts = [_matrix(columns, len(page.blocks)), _bits_to_columns(facts.said, len(SAYINGS)),
             _bits_to_columns(above, len(SAYINGS)), _bits_to_columns(path_bits, len(SHARED_CUES)),
             _bits_to_columns(near_bits, len(CUES))]
    names = list(columns)
    names += ["says_" + name for name in SAYINGS] + ["above_says_" + name for name in SAYINGS]
    names += ["path_" + name for name in SHARED_CUES] + ["near_" + name for name in CUES]
    return Table(np.hstack(parts), names, facts.words, spans, [*groups, facts.section + 1])


def _alone(page: Page, facts: Facts) -> Columns:
    """The block by itself."""
    words, chars, counts = facts.words, facts.chars, facts.counts
    repeats = Counter(block.text for block in page.blocks)
    return {
        "words": words,
        "chars_per_word": chars / np.maximum(words, 1),
        "link": facts.link,
        "commas": counts[:, COMMA] / np.maximum(words, 1),
        "stops": counts[:, STOP] / np.maximum(words, 1),
        "ends_sentence": facts.ends_sentence,
        "digits": counts[:, DIGIT] / chars,
        "capitals": counts[:, CAPITAL] / chars,
        "other_chars": counts[:, 0] / chars,
        "lines": np.array([block.text.count("\n") for block in page.blocks]),
        "tag": facts.tag_id,
        "heading": facts.heading,
        "depth": np.minimum(facts.depth[facts.element], 30),
        "in_title": facts.in_title,
        "in_about": facts.in_about,
        "repeats": np.minimum([repeats[block.text] for block in page.blocks], 6),
    }


def _place(facts: Facts) -> Columns:
    """Where the block is: in the page, after the main heading, below the nearest heading."""
    order, before, heading, section = facts.order, facts.before, facts.heading, facts.section
    main = _main_heading(facts)
    has_main = main >= 0
    return {
        "place": order / len(order),
        "words_before": before / facts.total,
        "log_words_before": np.log2(before + 1),
        "log_words_after": np.log2(facts.total - before - facts.words + 1),
        "after_h1": np.clip(order - main, -30, 200) if has_main else -99.0,
        "words_after_h1": np.sign(order - main) * np.log2(np.abs(before - before[main]) + 1) if has_main else -99.0,
        "climb_from_h1": _climb(facts, int(facts.element[main])) if has_main else -1.0,
        "since_heading": np.where(section >= 0, np.minimum(order - section, 60), -1),
        "heading_above": np.where(section >= 0, heading[section], 0),
    }


def _main_heading(facts: Facts) -> int:
    """The only <h1>, else a heading that repeats the title, else the first <h1>; -1 for none."""
    h1s = np.flatnonzero(facts.heading == 1)
    titled = np.flatnonzero((facts.heading > 0) & (facts.in_title > 0.6) & (facts.words > 2))
    found = [*h1s[: len(h1s) == 1], *titled, *h1s]
    return int(found[0]) if found else -1


def _climb(facts: Facts, target: int) -> np.ndarray:
    """How far one must climb from the element `target` to find one that holds each block too."""
    up = np.full(len(facts.element), float(facts.depth[target]))
    node, climbed = target, 0
    while True:
        inside = _is_inside(facts, node)
        up[inside] = np.minimum(up[inside], climbed)
        if node == 0:
            return up
        node = int(facts.parent[node])
        climbed += 1


def _is_inside(facts: Facts, element: int) -> np.ndarray:
    inside: np.ndarray = (facts.element >= element) & (facts.element < facts.end[element])
    return inside


def _read_mode(page: Page, facts: Facts) -> tuple[float, Columns]:
    """(share of the page's words in the element that read mode would take, where each block is relative to it).

    Read mode's score (Arc90, as in readability-lxml): paragraphs give to their parent and half to its parent.
    """
    element, parent, bits = facts.element, facts.parent, facts.bits
    score = np.zeros(len(parent))
    given = np.where(facts.chars >= 25, 1 + facts.counts[:, COMMA] + np.minimum(facts.chars / 100, 3), 0.0)
    np.add.at(score, parent[element], given)
    np.add.at(score, parent[parent[element]], given / 2)
    class_weight = 25 * (bits & GOOD_BIT != 0) - 25 * (bits & BAD_BIT != 0)
    score = np.where(score > 0, score + class_weight, 0) * (1 - facts.sum_link / np.maximum(facts.sum_words, 1))
    best = int(np.argmax(score))
    best_score = max(float(score[best]), 1.0)
    return facts.sum_words[best] / facts.total, {
        "climb_from_best": _climb(facts, best),
        "below_best": np.where(_is_inside(facts, best), facts.depth[element] - facts.depth[best], -1),
        "parent_score": score[parent[element]] / best_score,
        "grand_score": score[parent[parent[element]]] / best_score,
        "best_place": facts.order - facts.first[best],
    }


def _landmarks(page: Page, facts: Facts) -> Columns:
    """<article> and <main>."""
    articles = _articles(page)
    biggest = max(articles, key=lambda element: float(facts.sum_words[element]), default=-1)
    has_main = "main" in page.tag or bool((facts.bits & ANCESTOR_BITS["main"]).any())
    return {"in_biggest_article": _is_inside(facts, biggest) if articles else -1.0, "has_main": float(has_main)}


def _articles(page: Page) -> list[int]:
    return [element for element, tag in enumerate(page.tag) if tag == "article"]


def _surroundings(page: Page, facts: Facts) -> tuple[Columns, np.ndarray, list[tuple[np.ndarray, np.ndarray]]]:
    """(the block's element and its ancestors, class words near it, range of blocks of each level)."""
    columns: Columns = {}
    spans = []
    n_blocks, same = facts.last - facts.first, _siblings_alike(page, facts)
    near_bits = np.array([block.bits for block in page.blocks], np.int64)
    repeating = np.zeros(len(page.blocks))
    level = facts.element
    for k in range(LEVELS):
        if k < 3:
            near_bits |= facts.bits[level]
        if k < 5:
            columns[f"same_{k}"] = np.minimum(same[level], 60)
            repeating = np.maximum(repeating, np.where(n_blocks[level] > 1, same[level], 0))
        words = facts.sum_words[level]
        columns[f"share_{k}"] = words / facts.total
        columns[f"link_{k}"] = facts.sum_link[level] / np.maximum(words, 1)
        columns[f"blocks_{k}"] = np.minimum(n_blocks[level], 300)
        columns[f"mean_words_{k}"] = words / np.maximum(n_blocks[level], 1)
        if k:
            columns[f"stops_{k}"] = facts.sum_stops[level] / np.maximum(words, 1)
            columns[f"long_{k}"] = facts.sum_long[level] / np.maximum(words, 1)
            columns[f"place_{k}"] = facts.order - facts.first[level]
        spans.append((facts.first[level], facts.last[level]))
        level = facts.parent[level]
    columns["repeating"] = np.minimum(repeating, 60)
    return columns, near_bits, spans


def _siblings_alike(page: Page, facts: Facts) -> np.ndarray:
    """How many children of an element's parent have its tag and class."""
    key = facts.parent.astype(np.int64) * (max(page.shape) + 1) + np.array(page.shape)
    _, group, sizes = np.unique(key, return_inverse=True, return_counts=True)
    return np.asarray(sizes[group])


def _kin(page: Page, facts: Facts) -> tuple[Columns, list[np.ndarray]]:
    """(what blocks at the same path of (tag, class) are like, wherever they are; the groups)."""
    element, shape = facts.element, np.array(page.shape)
    path, pair = np.array(page.path_shape)[element], shape[element] * 100_003 + shape[facts.parent[element]]
    columns: Columns = {}
    groups = []
    for name, ids in (("path", path), ("pair", pair)):
        _, group = np.unique(ids, return_inverse=True)
        groups.append(group)
        size, words = np.bincount(group), np.bincount(group, facts.words)
        link, stops = np.bincount(group, facts.words * facts.link), np.bincount(group, facts.counts[:, STOP])
        columns[f"{name}_size"] = np.minimum(size[group], 100)
        columns[f"{name}_share"] = (words / facts.total)[group]
        columns[f"{name}_mean"] = (words / size)[group]
        columns[f"{name}_link"] = (link / np.maximum(words, 1))[group]
        columns[f"{name}_stops"] = (stops / np.maximum(words, 1))[group]
    return columns, groups


def _neighbors(facts: Facts) -> Columns:
    columns: Columns = {}
    stops = facts.counts[:, STOP]
    for by in (-3, -2, -1, 1, 2, 3):
        columns[f"words_{by}"] = _shift(facts.words, by)
        columns[f"linked_{by}"] = _shift(facts.link, by)
        if abs(by) < 3:
            columns[f"tag_{by}"] = _shift(facts.tag_id.astype(float), by)
            columns[f"ends_{by}"] = _shift(facts.ends_sentence, by)
            columns[f"stops_by_{by}"] = _shift(stops / np.maximum(facts.words, 1), by)
    words, unlinked = running_sums(facts.words), running_sums(facts.words * (1 - facts.link))
    sentences = running_sums(facts.words * (stops > 0))
    for radius in (4, 10, 25):
        low, high = _window(len(facts.order), radius)
        columns[f"unlinked_{radius}"] = (unlinked[high] - unlinked[low]) / (high - low)
        columns[f"sentences_{radius}"] = (sentences[high] - sentences[low]) / np.maximum(words[high] - words[low], 1)
    return columns


def _page(page: Page, facts: Facts, best_share: float) -> Columns:
    """The page, coarsely: exact sizes would let the trees memorize single pages."""
    total = facts.total
    columns = {
        "page_blocks": np.round(2 * np.log2(len(page.blocks) + 1)) / 2,
        "page_words": np.round(2 * np.log2(total + 1)) / 2,
        "page_link": np.round(10 * (facts.words * facts.link).sum() / total) / 10,
        "page_long": np.round(10 * facts.words[facts.words >= 15].sum() / total) / 10,
        "page_best_share": np.round(10 * best_share) / 10,
        "page_articles": min(len(_articles(page)), 5),
        "page_h1": min(int((facts.heading == 1).sum()), 3),
        "page_code": min(sum(block.kind == "code" for block in page.blocks), 3),
        "page_prices": min(int((facts.said & SAYING_BITS["$"] > 0).sum()), 12),
        "page_replies": min(int((facts.said & SAYING_BITS["reply"] > 0).sum()), 8),
        **page.hints.bits,
    }
    return {"p_" + name: value for name, value in columns.items()}


def _matrix(columns: Columns, n: int) -> np.ndarray:
    x = np.empty((n, len(columns)), np.float32)
    for i, column in enumerate(columns.values()):
        x[:, i] = column
    return x


def _bits_to_columns(bits: np.ndarray, n_bits: int) -> np.ndarray:
    return ((bits[:, None] >> np.arange(n_bits, dtype=np.int64)) & 1).astype(np.float32)


def _window(n: int, radius: int) -> tuple[np.ndarray, np.ndarray]:
    """The range of blocks within `radius` of each."""
    order = np.arange(n)
    return np.maximum(order - radius, 0), np.minimum(order + radius + 1, n)


def _shift(column: np.ndarray, by: int, fill: float = -1.0) -> np.ndarray:
    """column moved so that row i holds row i + by."""
    out = np.full_like(column, fill)
    if by > 0:
        out[: -by or None] = column[by:]
    else:
        out[-by:] = column[:by]
    return out


# --- for the second pass -------------------------------------------------------------------------


def second_features(table: Table, p: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """What the first pass answered about the block, its neighbors, its surroundings and its kin."""
    n = len(p)
    weight = table.words + 1.0
    run_weight, run_p = running_sums(weight), running_sums(weight * p)
    columns: Columns = {"own": p}
    for by in (-4, -3, -2, -1, 1, 2, 3, 4):
        columns[f"at_{by}"] = _shift(p, by)
    for radius in (3, 8, 20):
        low, high = _window(n, radius)
        columns[f"window_{radius}"] = (run_p[high] - run_p[low]) / (run_weight[high] - run_weight[low])
    for k, (first, last) in enumerate(table.spans):
        if k:
            columns[f"around_{k}"] = (run_p[last] - run_p[first]) / np.maximum(run_weight[last] - run_weight[first], 1)
    for name, group in zip(("path", "pair", "section"), table.groups, strict=True):
        mean = np.bincount(group, weight * p) / np.maximum(np.bincount(group, weight), 1)
        columns[f"kin_{name}"] = mean[group]
    mass = run_p[-1]
    columns["mass"] = np.round(10 * mass / run_weight[-1]) / 10
    columns["mass_log"] = np.round(2 * np.log2(mass + 1)) / 2
    columns["mass_before"] = run_p[:-1] / max(mass, 1)
    strong = weight * (p > 0.5)
    run_strong = np.cumsum(strong)
    total_strong = max(float(run_strong[-1]), 1.0)
    columns["strong_before"] = (run_strong - strong) / total_strong
    columns["strong_after"] = (total_strong - run_strong) / total_strong
    columns["max"] = np.round(10 * p.max()) / 10
    return _matrix(columns, n), ["p1_" + name for name in columns]


