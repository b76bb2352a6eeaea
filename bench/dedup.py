"""Duplicates: how many planted duplicates are found, how many others are merged, how fast, and in how much memory?

    .venv/bin/python -m bench.dedup                       200,000 documents, some minutes
    .venv/bin/python -m bench.dedup --documents 20000

Documents of 300 words; half of them in pairs whose sets of word 5-grams have a known Jaccard similarity: a run of the
second one's words, or single words here and there, are different. Each document goes through cleaning/minhash.py as
clean.py uses it, with its commits, in a fresh process; the time to make the documents is not counted. Recall is
compared with the curve 1 - (1 - s^8)^14 at the exact similarity of each pair. Ends with one JSON line.
"""

import argparse
import json
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from statistics import mean

import numpy as np

from miniature_memory.cleaning.minhash import BANDS, NGRAM, ROWS, Index, keys_of
from miniature_memory.core.process import PeakMemory
from miniature_memory.storage import clean_documents
from miniature_memory.storage.catalog import Catalog
from miniature_memory.storage.record_reader import Place

SIMILARITIES = (0.2, 0.3, 0.39, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1.0)
WORDS, PAIRED = 300, 0.6
VOCABULARY = np.array([f"{a}{b}{c}" for a in ("ba", "ke", "li", "mo", "nu", "ra", "se", "ti", "vo", "zu")
                       for b in ("lan", "mer", "nor", "pal", "rin", "sol", "tan", "ver", "win", "zed")
                       for c in ("", *(x + y for x in "aeiou" for y in "bcdfghklmnprstvwxyz"))])


def document(seed: int) -> np.ndarray:
    """Word numbers, int (WORDS,)."""
    return np.random.default_rng([1, seed]).integers(0, len(VOCABULARY), WORDS)


def near_duplicate(seed: int, similarity: float) -> np.ndarray:
    """The document of `seed` with so many words changed that about `similarity` is left; exact at 1."""
    rng = np.random.default_rng([2, seed])
    words = document(seed)
    grams = WORDS - NGRAM + 1
    changed = round(grams * (1 - similarity) / (1 + similarity))  # 5-grams to be others
    if not changed:
        return words
    if seed % 2 and changed >= NGRAM:  # a run of words
        n = changed - NGRAM + 1
        start = NGRAM + rng.integers(0, WORDS - n - 2 * NGRAM + 1) if WORDS - n > 2 * NGRAM else 0
        places = np.arange(start, start + n)
    else:  # single words, far enough from each other to change five 5-grams each
        n = max(1, round(changed / NGRAM))
        places = (np.arange(n) * (WORDS - 2 * NGRAM) // n) + NGRAM
    words[places] = (words[places] + 1 + rng.integers(0, len(VOCABULARY) - 1, len(places))) % len(VOCABULARY)
    return words


def jaccard(a: np.ndarray, b: np.ndarray) -> float:
    sets = [{tuple(words[i:i + NGRAM]) for i in range(WORDS - NGRAM + 1)} for words in (a.tolist(), b.tolist())]
    return len(sets[0] & sets[1]) / len(sets[0] | sets[1])


def curve(similarity: float) -> float:
    return float(1 - (1 - similarity**ROWS) ** BANDS)


def documents(n: int) -> Iterator[tuple[str, int, float, np.ndarray]]:
    """(id, seed, similarity to the earlier document of that seed or -1, words), a pair's halves far from each other."""
    n_pairs = int(n * PAIRED / 2)
    for seed in range(n - n_pairs):
        yield f"a{seed}", seed, -1.0, document(seed)
        if seed >= n - 2 * n_pairs:  # from here on a second half for each new document
            of = seed - (n - 2 * n_pairs)
            similarity = SIMILARITIES[of % len(SIMILARITIES)]
            yield f"b{of}", of, similarity, near_duplicate(of, similarity)


def measure(root: Path, n: int) -> dict[str, object]:
    memory = PeakMemory()
    memory.start()
    seconds, found, exact = 0.0, defaultdict(list), defaultdict(list)
    expected, wrong, peaks, rates = defaultdict(list), 0, {}, {}
    with Catalog(root) as catalog:
        index = Index(catalog)
        for i, (name, seed, similarity, words) in enumerate(documents(n), 1):
            text = " ".join(VOCABULARY[words])
            started = time.perf_counter()
            keys = keys_of(text)
            first = index.first(keys)
            with catalog.record():
                if first is None:
                    index.add(clean_documents.add(catalog, name, Place("", 0, 0), 0), keys)
                catalog.advance("clean", i)
            seconds += time.perf_counter() - started
            if similarity >= 0:
                found[similarity].append(first is not None and first.id == f"a{seed}")
                s = jaccard(document(seed), words)
                exact[similarity].append(s)
                expected[similarity].append(curve(s))
            wrong += first is not None and first.id != f"a{seed}"
            if i in (n // 10, n):
                peaks[i], rates[i] = round(memory.peak_mb, 1), round(i / seconds)
                print(f"{i} documents: {rates[i]}/s, {peaks[i]} MB", file=sys.stderr)
    memory.stop()
    rows = {str(s): {"pairs": len(found[s]), "jaccard": round(mean(exact[s]), 3), "found": round(mean(found[s]), 4),
                     "curve": round(mean(expected[s]), 4)} for s in SIMILARITIES}
    return {"documents": n, "docs_per_sec": rates[n], "docs_per_sec_first_tenth": rates[n // 10],
            "peak_mb": peaks[n], "peak_mb_first_tenth": peaks[n // 10], "merged_with_others": wrong,
            "worst_distance": round(max(abs(row["found"] - row["curve"]) for row in rows.values()), 4), "by": rows}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=200_000)
    parser.add_argument("--root", type=Path, metavar="DIR", help="keep the catalog here")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = measure(args.root or Path(folder), args.documents)
    print(json.dumps({"bench": "dedup", **result}))


if __name__ == "__main__":
    main()
