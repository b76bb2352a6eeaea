"""Fit: the coefficients of judge.py, from the development part of WCXB alone.

Usage   OMP_NUM_THREADS=1 .venv/bin/python fit_blocks.py --data wcxb-dev.jsonl.xz --out blocks.json
Prints  word F1 in 5-fold cross-validation by registered domain, and of the model fitted on all pages, by page type;
        how often the page type itself is told rightly, in the same cross-validation
Needs   scikit-learn, for fitting only
"""

from __future__ import annotations

import argparse
import json
import lzma
import os
import re
from collections import Counter, defaultdict
from multiprocessing import Pool
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from miniature_memory.core.text import hostname
from miniature_memory.extraction import classifier
from miniature_memory.extraction.blocks import Page, parse, segment
from miniature_memory.extraction.features import Table, features, second_features, type_features

WORD = re.compile(r"\w+")
FOLDS = 5
BINS = 64  # 24 bins: cross-validated F1 0.8715 instead of 0.8733, plain 0.903 instead of 0.908
SECOND_LEVEL = frozenset(["co", "com", "org", "net", "ac", "gov", "edu", "or", "ne"])  # as in example.co.uk


class Sample(NamedTuple):
    id: str
    page_type: str
    domain: str
    table: Table | None
    labels: np.ndarray
    tokens: list[list[str]]
    reference: Counter[str]
    type_features: dict[str, float]  # empty for a page without blocks


def read_rows(path: Path) -> list[dict[str, Any]]:
    with lzma.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def registered_domain(url: str | None) -> str:
    host = hostname(url or "")
    parts = host.split(".")
    keep = 3 if len(parts) > 2 and len(parts[-1]) == 2 and parts[-2] in SECOND_LEVEL else 2
    return ".".join(parts[-keep:])


# --- labels --------------------------------------------------------------------------------------


def align(tokens: list[list[str]], reference: list[str]) -> np.ndarray:
    """Share of each block's words that the reference takes from this very block.

    Long blocks are placed first, as anchors; short ones then have to be found in the reference between the
    anchors around them. Each word of the reference is given away once, so that a menu that repeats a headline
    gets nothing.
    """
    alignment = Alignment(tokens, reference)
    repeats = Counter(tuple(own) for own in tokens)
    for block, own in enumerate(tokens):
        if len(own) >= 8 and repeats[tuple(own)] == 1:  # first what cannot be meant elsewhere
            alignment.place(block, max(alignment.anchors(block)[0], 0), 0, len(reference))
    for least in (8, 5, 3, 1):
        for block, own in enumerate(tokens):
            if alignment.start[block] < 0 and len(own) >= least:
                alignment.place(block, *alignment.range_for(block, least))
    return alignment.shares


class Alignment:
    """Which words of the reference are given away, and to which block."""

    def __init__(self, tokens: list[list[str]], reference: list[str]) -> None:
        self.tokens, self.reference = tokens, reference
        self.shares = np.zeros(len(tokens))
        self.used = np.zeros(len(reference) + 1, bool)
        self.start, self.stop = np.full(len(tokens), -1), np.full(len(tokens), -1)  # of each block placed
        self.places: dict[tuple[str, ...], list[int]] = defaultdict(list)  # of each word and each three words
        for size in (1, 3):
            for i in range(len(reference) - size + 1):
                self.places[tuple(reference[i : i + size])].append(i)

    def anchors(self, block: int) -> tuple[int, int]:
        """Where the nearest placed block before ends and where the nearest one after begins; -1 for none."""
        before = next((int(self.stop[i]) for i in range(block - 1, -1, -1) if self.stop[i] >= 0), -1)
        after = next((int(self.start[i]) for i in range(block + 1, len(self.start)) if self.start[i] >= 0), -1)
        return before, after

    def range_for(self, block: int, least: int) -> tuple[int, int, int]:
        """(expected place, lowest, highest) of a block of at least `least` words."""
        before, after = self.anchors(block)
        n, whole = len(self.tokens[block]), len(self.reference)
        if least == 8:
            return max(before if before >= 0 else after, 0), 0, whole
        if before < 0 and after < 0:
            return whole, 0, whole
        slack = 10 if least == 1 else 40
        low = before - 2 if before >= 0 else after - slack - n
        high = after + 2 if after >= 0 else before + slack + n
        if high < low:
            low, high = before - 2, before + slack
        if before >= 0 and high - low > 3 * slack and least < 5:  # a wide gap proves nothing for two words
            high = before + slack + n
        return before if before >= 0 else high, max(low, 0), min(high, whole)

    def place(self, block: int, expected: int, low: int, high: int) -> None:
        """Gives the block the runs of its words in the unused reference [low, high), if they are half of it."""
        own = self.tokens[block]
        size = 3 if len(own) >= 3 else 1
        runs: list[tuple[int, int]] = []
        i = 0
        while i <= len(own) - size:
            found = self._free(tuple(own[i : i + size]), low, high)
            if not found:
                i += 1
                continue
            begin = min(found, key=lambda at: abs(at - expected))
            expected = self._run_end(own[i:], begin, size, high)
            self.used[begin:expected] = True
            runs.append((begin, expected))
            i += expected - begin
        share = sum(end - begin for begin, end in runs) / len(own)
        if share < 0.5 or (size == 1 and share < 1):
            for begin, end in runs:
                self.used[begin:end] = False
            return
        self.shares[block] = share
        self.start[block], self.stop[block] = runs[0][0], runs[-1][1]

    def _free(self, words: tuple[str, ...], low: int, high: int) -> list[int]:
        return [
            at for at in self.places.get(words, ()) if low <= at < high and not self.used[at : at + len(words)].any()
        ]

    def _run_end(self, own: list[str], begin: int, size: int, high: int) -> int:
        """How far the reference goes on as the block does, from `begin` on, where `size` words are known to match."""
        length = size
        while (
            length < len(own)
            and begin + length < high
            and own[length] == self.reference[begin + length]
            and not self.used[begin + length]
        ):
            length += 1
        return begin + length


def sample_of(row: dict[str, Any]) -> Sample:
    root = parse(row["html"])
    page = segment(root) if root is not None else Page()
    tokens = [WORD.findall(block.text.lower()) for block in page.blocks]
    reference = WORD.findall(row["main_content"].lower())
    table = features(page) if page.blocks else None
    return Sample(
        row["id"],
        row["page_type"],
        registered_domain(row["url"]),
        table,
        align(tokens, reference),
        tokens,
        Counter(reference),
        type_features(page, table, row["url"] or "") if table is not None else {},
    )


# --- trees ---------------------------------------------------------------------------------------


class Options(NamedTuple):
    """Settings of one boosted ensemble; found by cross-validation on the development part."""

    trees: int = 90
    rate: float = 0.12
    leaves: int = 24
    depth: int = 7
    min_leaf: int = 60  # sampled blocks
    l2: float = 3.0
    column_share: float = 0.35  # of the features, drawn for each tree
    row_share: float = 0.6  # of the pages, drawn for each tree


FIRST = Options(trees=160, rate=0.08, leaves=24, depth=7, min_leaf=60, l2=5, column_share=0.3, row_share=0.5)
SECOND = Options(trees=70, rate=0.08, leaves=12, depth=5, min_leaf=200, l2=20, column_share=0.3, row_share=0.5)


def edges_of(x: np.ndarray, bins: int = BINS) -> list[np.ndarray]:
    """Cut points of each feature, by quantiles; rounded as they are written to the model."""
    rows = np.random.default_rng(0).choice(len(x), min(len(x), 30_000), replace=False)
    out = []
    for column in x[rows].T:
        values = np.unique(column)
        cuts = (
            (values[:-1] + values[1:]) / 2
            if len(values) <= bins
            else np.quantile(column, np.linspace(0, 1, bins + 1)[1:-1])
        )
        out.append(np.unique(np.array([float(f"{cut:.5g}") for cut in cuts], np.float32)).astype(np.float64))
    return out


def binned(x: np.ndarray, edges: list[np.ndarray]) -> np.ndarray:
    out = np.empty(x.shape, np.uint8, order="F")
    for j, cuts in enumerate(edges):
        out[:, j] = np.searchsorted(cuts, x[:, j], side="left")
    return out


def tree_values(nodes: np.ndarray, columns: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """The value of one tree for every row of the binned matrix, by splitting the rows from the root down."""
    out = np.empty(len(codes))
    stack = [(0, np.arange(len(codes)))]
    while stack:
        at, rows = stack.pop()
        node = nodes[at]
        if node["is_leaf"]:
            out[rows] = node["value"]
            continue
        goes_left = codes[rows, columns[node["feature_idx"]]] <= node["bin_threshold"]
        stack.append((int(node["left"]), rows[goes_left]))
        stack.append((int(node["right"]), rows[~goes_left]))
    return out


def boost(
    codes: np.ndarray, edges: list[np.ndarray], y: np.ndarray, weight: np.ndarray, page: np.ndarray, options: Options
) -> dict[str, Any]:
    """Gradient boosting of the logistic loss with scikit-learn's histogram trees; the arrays that Trees reads.

    scikit-learn's own loop is not used since it draws no pages and bins the matrix anew, slowly, in each fit.
    """
    from sklearn.ensemble._hist_gradient_boosting.grower import TreeGrower

    rng = np.random.default_rng(0)
    n, width = codes.shape
    weight = weight * (n / weight.sum())
    base = float(np.log((weight * y).sum() / (weight * (1 - y)).sum()))
    raw = np.full(n, base)
    n_bins = np.array([len(cuts) + 1 for cuts in edges], np.uint32)
    pages = np.unique(page)
    out: dict[str, Any] = {"base": base, "depth": 0, "roots": [], "feature": [], "left": [], "value": []}
    for _ in range(options.trees):
        p = classifier.sigmoid(raw)
        rows = np.flatnonzero(np.isin(page, rng.choice(pages, int(len(pages) * options.row_share), replace=False)))
        columns = np.sort(rng.choice(width, int(width * options.column_share), replace=False))
        grower = TreeGrower(
            np.asfortranarray(codes[np.ix_(rows, columns)]),
            ((p - y) * weight)[rows].astype(np.float32),
            (p * (1 - p) * weight)[rows].astype(np.float32),
            max_leaf_nodes=options.leaves,
            max_depth=options.depth,
            min_samples_leaf=options.min_leaf,
            n_bins=256,
            n_bins_non_missing=n_bins[columns],
            has_missing_values=False,
            l2_regularization=options.l2,
            shrinkage=options.rate,
            n_threads=1,
        )
        grower.grow()
        nodes = grower.make_predictor(binning_thresholds=[edges[j] for j in columns]).nodes
        raw += tree_values(nodes, columns, codes)
        flatten(nodes, columns, out)
    return out


def flatten(nodes: np.ndarray, columns: np.ndarray, out: dict[str, Any]) -> None:
    """Appends one tree to the arrays, so that a right child stands next to its left one."""
    feature, left, value = out["feature"], out["left"], out["value"]
    out["roots"].append(len(feature))
    out["depth"] = max(out["depth"], int(nodes["depth"].max()))
    queue = [(0, len(feature))]
    feature.append(-1), left.append(0), value.append(0.0)
    while queue:
        old, at = queue.pop(0)
        node = nodes[old]
        if node["is_leaf"]:
            value[at] = float(f"{node['value']:.3g}")
            continue
        feature[at], left[at], value[at] = (
            int(columns[node["feature_idx"]]),
            len(feature),
            float(f"{node['num_threshold']:.5g}"),
        )
        for child in ("left", "right"):
            queue.append((int(node[child]), len(feature)))
            feature.append(-1), left.append(0), value.append(0.0)


# --- folds ---------------------------------------------------------------------------------------


def folds_of(samples: list[Sample]) -> np.ndarray:
    """A fold for each page; pages of one domain share it."""
    domains = sorted({sample.domain for sample in samples})
    np.random.default_rng(0).shuffle(domains)
    fold = {domain: i % FOLDS for i, domain in enumerate(domains)}
    return np.array([fold[sample.domain] for sample in samples])


class Rows(NamedTuple):
    """The blocks of all pages, one after another."""

    page: np.ndarray
    y: np.ndarray
    weight: np.ndarray
    drawn: np.ndarray  # at most 150 blocks of a page are fitted, so that long pages do not rule
    offsets: np.ndarray


def rows_of(samples: list[Sample]) -> Rows:
    rng = np.random.default_rng(1)
    sizes = np.array([len(sample.labels) for sample in samples])
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    page = np.repeat(np.arange(len(samples)), sizes)
    words = np.concatenate([sample.table.words + 1 for sample in samples if sample.table is not None])
    drawn = np.zeros(len(page), bool)
    for start, size in zip(offsets, sizes, strict=False):
        drawn[start + (np.arange(size) if size <= 150 else rng.choice(size, 150, replace=False))] = True
    of_page = np.bincount(page, words * drawn, minlength=len(samples))
    y = np.concatenate([sample.labels for sample in samples])
    return Rows(page, (y > 0.5).astype(float), words / of_page[page], drawn, offsets)


_SHARED: dict[str, Any] = {}  # read by the forked workers, so that the matrix is not copied


def _fit_fold(fold: int) -> dict[str, Any]:
    """Fits on all pages but those of `fold` (-1: on all pages)."""
    rows, folds = _SHARED["rows"], _SHARED["folds"]
    use = np.flatnonzero(rows.drawn & (folds[rows.page] != fold))
    return boost(
        np.asfortranarray(_SHARED["codes"][use]),
        _SHARED["edges"],
        rows.y[use],
        rows.weight[use],
        rows.page[use],
        _SHARED["options"],
    )


def fit_pass(
    x: np.ndarray, rows: Rows, folds: np.ndarray, options: Options
) -> tuple[dict[str, Any], np.ndarray, np.ndarray]:
    """(ensemble fitted on all, out-of-fold probabilities, plain probabilities)."""
    edges = edges_of(x)
    _SHARED.update(codes=binned(x, edges), edges=edges, rows=rows, folds=folds, options=options)
    with Pool(2) as pool:
        specs = pool.map(_fit_fold, [*range(FOLDS), -1], chunksize=1)
    held_out = np.zeros(len(x))
    for fold, spec in enumerate(specs[:-1]):
        mask = folds[rows.page] == fold
        held_out[mask] = classifier.sigmoid(classifier.Trees(spec).log_odds(x[mask]))
    return specs[-1], held_out, classifier.sigmoid(classifier.Trees(specs[-1]).log_odds(x))


# --- page types ----------------------------------------------------------------------------------

TYPE_C = 0.02  # inverse of the penalty; cross-validated accuracy 0.856, 0.861, 0.855 for 0.01, 0.02, 0.04


def fit_types(samples: list[Sample]) -> tuple[dict[str, Any], np.ndarray]:
    """(the model of page types fitted on all pages, the type of each page by the model of the other folds)."""
    names = list(next(sample.type_features for sample in samples if sample.type_features))
    seen = np.array([bool(sample.type_features) for sample in samples])
    x = np.array([[sample.type_features.get(name, 0.0) for name in names] for sample in samples])
    types, folds = np.array([sample.page_type for sample in samples]), folds_of(samples)
    held_out = np.full(len(samples), "", dtype=types.dtype)
    for fold in range(FOLDS):
        spec = logistic(x[seen & (folds != fold)], types[seen & (folds != fold)], names)
        model = classifier.type_model_from(spec)
        mask = seen & (folds == fold)
        held_out[mask] = np.array(model.types)[np.argmax(model.bias + x[mask] @ model.weights, axis=1)]
    return logistic(x[seen], types[seen], names), held_out


def logistic(x: np.ndarray, types: np.ndarray, names: list[str]) -> dict[str, Any]:
    """Multinomial logistic regression; the weights are those of the features as they come, not standardised."""
    from sklearn.linear_model import LogisticRegression

    mean, scale = x.mean(axis=0), np.maximum(x.std(axis=0), 1e-3)
    found = LogisticRegression(C=TYPE_C, max_iter=2000, tol=1e-6).fit((x - mean) / scale, types)
    weights = found.coef_ / scale
    bias = found.intercept_ - weights @ mean
    return {
        "types": [str(name) for name in found.classes_],
        "bias": rounded(bias),
        "weights": {name: rounded(column) for name, column in zip(names, weights.T, strict=True)},
    }


def rounded(values: np.ndarray) -> list[float]:
    return [round(float(value), 3) for value in values]


def print_types(samples: list[Sample], held_out: np.ndarray) -> float:
    """The cross-validated accuracy of the page types."""
    types = np.array([sample.page_type for sample in samples])
    right = types == held_out
    print(f"{'page type':16}{'pages':>6}{'recall, CV':>18}{'precision, CV':>18}{'most taken for':>22}")
    for kind in sorted(set(types)):
        taken_for = Counter(held_out[(types == kind) & ~right].tolist()).most_common(1)
        recall, precision = right[types == kind].mean(), right[held_out == kind].mean()
        mistake = "".join(f"{name:>18} {count:3}" for name, count in taken_for)
        print(f"{kind:16}{(types == kind).sum():6}{recall:18.3f}{precision:18.3f}{mistake}")
    print(f"{'all':16}{len(types):6}{right.mean():18.3f}", flush=True)
    return float(right.mean())


# --- measure -------------------------------------------------------------------------------------


def word_f1(kept: Counter[str], reference: Counter[str]) -> float:
    if not kept or not reference:
        return float(not kept and not reference)
    return 2 * (kept & reference).total() / (kept.total() + reference.total())


def measure(samples: list[Sample], ps: list[np.ndarray], choice: dict[str, float]) -> np.ndarray:
    out = np.zeros(len(samples))
    for i, (sample, p) in enumerate(zip(samples, ps, strict=False)):
        kept: Counter[str] = Counter()
        if sample.table is not None:
            chosen, _ = classifier.choose(p, sample.table.words, choice)
            for j in np.flatnonzero(chosen):
                kept.update(sample.tokens[j])
        out[i] = word_f1(kept, sample.reference)
    return out


def print_table(samples: list[Sample], columns: dict[str, np.ndarray]) -> None:
    types = np.array([sample.page_type for sample in samples])
    print(f"{'page type':16}{'pages':>6}" + "".join(f"{name:>18}" for name in columns))
    for kind in [*sorted(set(types)), "all"]:
        mask = (types == kind) | (kind == "all")
        print(f"{kind:16}{mask.sum():6}" + "".join(f"{f1[mask].mean():18.4f}" for f1 in columns.values()), flush=True)


def second_matrix(samples: list[Sample], x: np.ndarray, p: np.ndarray, rows: Rows) -> np.ndarray:
    more = [
        second_features(sample.table, p[start:stop])[0]
        for sample, start, stop in zip(samples, rows.offsets, rows.offsets[1:], strict=False)
        if sample.table is not None
    ]
    return np.hstack([x, np.concatenate(more)]).astype(np.float32)


def by_page(p: np.ndarray, rows: Rows) -> list[np.ndarray]:
    return [p[start:stop] for start, stop in zip(rows.offsets, rows.offsets[1:], strict=False)]


def fit(
    samples: list[Sample], first: Options = FIRST, second: Options = SECOND
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """(the model, word F1 of each page by name of the estimate)."""
    rows, folds = rows_of(samples), folds_of(samples)
    x = np.concatenate([sample.table.x for sample in samples if sample.table is not None])
    choice = {"lowest": 0.2, "highest": 1.0}  # below 0.2 the page is better left empty; out-of-fold, 0.1 to 0.35 tried
    # The second pass learns from out-of-fold answers of the first: fitted answers would be too sure of themselves.
    spec1, held1, plain1 = fit_pass(x, rows, folds, first)
    x2 = second_matrix(samples, x, held1, rows)
    spec2, held2, _ = fit_pass(x2, rows, folds, second)
    plain2 = classifier.sigmoid(classifier.Trees(spec2).log_odds(second_matrix(samples, x, plain1, rows)))
    table = next(sample.table for sample in samples if sample.table is not None)
    names = table.names + second_features(table, held1[: len(table.words)])[1]
    for spec, matrix in ((spec1, x), (spec2, x2)):
        spec["columns"] = list(range(matrix.shape[1]))
    f1 = {
        name: measure(samples, by_page(p, rows), choice)
        for name, p in (("first pass, CV", held1), ("cross-validated", held2), ("plain", plain2))
    }
    return {"names": names, "choice": choice, "first": spec1, "second": spec2}, f1


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("blocks.json"))
    args = parser.parse_args(argv)
    with Pool(2) as pool:
        samples = list(pool.imap(sample_of, read_rows(args.data), chunksize=16))
    model, f1 = fit(samples)
    print_table(samples, f1)
    model["page_type"], held_out = fit_types(samples)
    accuracy = print_types(samples, held_out)
    aside = args.out.with_suffix(".tmp")
    aside.write_text(json.dumps(model, separators=(",", ":")), encoding="utf-8")
    os.replace(aside, args.out)
    result = {
        "cv_f1": float(f1["cross-validated"].mean()),
        "plain_f1": float(f1["plain"].mean()),
        "cv_page_type_accuracy": accuracy,
        "bytes": args.out.stat().st_size,
    }
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
