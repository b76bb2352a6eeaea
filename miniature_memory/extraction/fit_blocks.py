"""Fit: the coefficients in blocks.json, from the development part of WCXB alone.

Usage   OMP_NUM_THREADS=1 .venv/bin/python -m miniature_memory.extraction.fit_blocks --data wcxb-dev.jsonl.xz \\
            --out blocks.json
Prints  word F1 by page type, in 5-fold cross-validation by registered domain and of the model fitted on all pages; how
        often the page type is right, in the same cross-validation
Needs   scikit-learn, for fitting only (requirements-bench.txt)
"""

import argparse
import json
import lzma
import os
import re
from collections import Counter
from multiprocessing import Pool
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from miniature_memory.core.text import hostname
from miniature_memory.extraction.blocks import Page, segment
from miniature_memory.extraction.classifier import select
from miniature_memory.extraction.features import Table, features, second_features
from miniature_memory.extraction.fit_alignment import align
from miniature_memory.extraction.fit_trees import Options, binned, boost, edges_of
from miniature_memory.extraction.page_type import type_features, type_model_from
from miniature_memory.extraction.parsing import parse
from miniature_memory.extraction.trees import Trees, sigmoid

WORD = re.compile(r"\w+")
FOLDS = 5
FIRST = Options(trees=160, rate=0.08, leaves=24, depth=7, min_leaf=60, l2=5, column_share=0.3, row_share=0.5)
SECOND = Options(trees=70, rate=0.08, leaves=12, depth=5, min_leaf=200, l2=20, column_share=0.3, row_share=0.5)
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


def sample_of(row: dict[str, Any]) -> Sample:
    root = parse(row["html"])
    page = segment(root) if root is not None else Page()
    tokens = [WORD.findall(block.text.lower()) for block in page.blocks]
    reference = WORD.findall(row["main_content"].lower())
    table = features(page) if page.blocks else None
    return Sample(row["id"], row["page_type"], registered_domain(row["url"]), table, align(tokens, reference), tokens,
                  Counter(reference), type_features(page, table, row["url"] or "") if table is not None else {})


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
    drawn: np.ndarray  # at most 150 blocks of a page are fitted, so that long pages do not dominate
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
    """Fit on all pages but those of `fold` (-1: on all pages)."""
    rows, folds = _SHARED["rows"], _SHARED["folds"]
    use = np.flatnonzero(rows.drawn & (folds[rows.page] != fold))
    return boost(np.asfortranarray(_SHARED["codes"][use]), _SHARED["edges"], rows.y[use], rows.weight[use],
                 rows.page[use], _SHARED["options"])


def fit_pass(x: np.ndarray, rows: Rows, folds: np.ndarray,
             options: Options) -> tuple[dict[str, Any], np.ndarray, np.ndarray]:
    """(ensemble fitted on all, out-of-fold probabilities, plain probabilities)."""
    edges = edges_of(x)
    _SHARED.update(codes=binned(x, edges), edges=edges, rows=rows, folds=folds, options=options)
    with Pool(2) as pool:
        specs = pool.map(_fit_fold, [*range(FOLDS), -1], chunksize=1)
    held_out = np.zeros(len(x))
    for fold, spec in enumerate(specs[:-1]):
        mask = folds[rows.page] == fold
        held_out[mask] = sigmoid(Trees(spec).log_odds(x[mask]))
    return specs[-1], held_out, sigmoid(Trees(specs[-1]).log_odds(x))


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
        model = type_model_from(spec)
        mask = seen & (folds == fold)
        held_out[mask] = np.array(model.types)[np.argmax(model.bias + x[mask] @ model.weights, axis=1)]
    return logistic(x[seen], types[seen], names), held_out


def logistic(x: np.ndarray, types: np.ndarray, names: list[str]) -> dict[str, Any]:
    """Multinomial logistic regression; the weights are those of the features as they are, not standardized."""
    from sklearn.linear_model import LogisticRegression

    mean, scale = x.mean(axis=0), np.maximum(x.std(axis=0), 1e-3)
    found = LogisticRegression(C=TYPE_C, max_iter=2000, tol=1e-6).fit((x - mean) / scale, types)
    weights = found.coef_ / scale
    bias = found.intercept_ - weights @ mean
    return {"types": [str(name) for name in found.classes_], "bias": rounded(bias),
            "weights": {name: rounded(column) for name, column in zip(names, weights.T, strict=True)}}


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
            chosen, _ = select(p, sample.table.words, choice)
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
    more = [second_features(sample.table, own)[0] for sample, own in zip(samples, by_page(p, rows), strict=True)
            if sample.table is not None]
    return np.hstack([x, np.concatenate(more)]).astype(np.float32)


def by_page(p: np.ndarray, rows: Rows) -> list[np.ndarray]:
    return [p[start:stop] for start, stop in zip(rows.offsets, rows.offsets[1:], strict=False)]


def fit(samples: list[Sample], first: Options = FIRST,
        second: Options = SECOND) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """(the model, word F1 of each page by name of the estimate)."""
    rows, folds = rows_of(samples), folds_of(samples)
    x = np.concatenate([sample.table.x for sample in samples if sample.table is not None])
    choice = {"lowest": 0.2, "highest": 1.0}  # below 0.2 the page is better left empty; out-of-fold, 0.1 to 0.35 tried
    # The second pass learns from out-of-fold answers of the first: fitted answers would be too sure of themselves.
    spec1, held1, plain1 = fit_pass(x, rows, folds, first)
    x2 = second_matrix(samples, x, held1, rows)
    spec2, held2, _ = fit_pass(x2, rows, folds, second)
    plain2 = sigmoid(Trees(spec2).log_odds(second_matrix(samples, x, plain1, rows)))
    table = next(sample.table for sample in samples if sample.table is not None)
    names = table.names + second_features(table, held1[: len(table.words)])[1]
    for spec, matrix in ((spec1, x), (spec2, x2)):
        spec["columns"] = list(range(matrix.shape[1]))
    f1 = {name: measure(samples, by_page(p, rows), choice)
          for name, p in (("first pass, CV", held1), ("cross-validated", held2), ("plain", plain2))}
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
    print(json.dumps({"cv_f1": float(f1["cross-validated"].mean()), "plain_f1": float(f1["plain"].mean()),
                      "cv_page_type_accuracy": accuracy, "bytes": args.out.stat().st_size}))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
