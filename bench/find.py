"""Finding: what the full-text index costs, how long a query takes, and how long it takes to trace a text?

    .venv/bin/python -m bench.find --root demo      some ten minutes; of any root with clean documents and bins

For each size of text in --mb: the text of the root's clean documents, again and again with new words in the places of
rare ones, so that the vocabulary grows with the text as it does in real ones (Heaps' law, exponent 0.55).

1. index: seconds, peak of memory, and size in relation to the text, of clean.py --index in a process of its own.
2. queries: 50 of all kinds with words of the text; each is a whole search, from opening the files to the ten passages.
3. run: the time that 1,000 further documents take.
4. trace: 300 texts of 200 tokens each, spliced from pieces of 5 to 40 tokens of the training text, to the documents of
   their stretches. That text is the root's, repeated to the same size, one token in ten replaced by a random one, so
   that runs of tokens are seldom the same. open_ms includes the checksums of the suffix array.

Queries and traces run in processes of their own, whose peak of memory (PSS) is measured, Python included. cpu_ms is CPU
time, which holds on a busy machine, too. `added`: the seconds of indexing all of the root's documents, by the clock and
of the processor, and their share of its first whole run, which did that. Ends with one JSON line.
"""

import argparse
import json
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from miniature_memory.collection.search import search
from miniature_memory.core.paths import PROJECT
from miniature_memory.core.process import PeakMemory
from miniature_memory.counting.suffixes import update_suffixes
from miniature_memory.sampling.trace import Tracer
from miniature_memory.storage import clean_documents, full_text
from miniature_memory.storage.catalog import Catalog
from miniature_memory.training import tokenizer as tokenizers
from miniature_memory.views.history import read_history

HEAPS = 0.55  # vocabulary grows with this power of the text; 0.4 to 0.6 for English
COMMON = 2_000  # words that every text has
NEW = 1_000  # documents of a run
TEXTS, TEXT_TOKENS = 300, 200  # that are traced
SEED = 1

Document = tuple[str, str]  # title, text


# --- text ----------------------------------------------------------------------------------------


def documents_of(root: Path) -> list[Document]:
    with Catalog(root, read_only=True) as catalog:
        documents = (clean_documents.read_row(catalog, row) for row in clean_documents.in_order(catalog))
        return [(document["metadata"]["title"], document["text"]) for document in documents if document]


def endless(documents: list[Document]) -> Iterator[Document]:
    """The documents, then copies of them; in the nth copy, some of the rare words are new ones."""
    counts = Counter(word for _, text in documents for word in re.findall(r"\w+", text))
    rare = [word for word, _ in counts.most_common()[COMMON:]]
    copy = 1
    while True:
        n_new = round(len(counts) * (copy ** HEAPS - (copy - 1) ** HEAPS)) if copy > 1 else 0
        new = {word: changed(word, copy) for word in random.Random(copy).sample(rare, min(n_new, len(rare)))}
        for title, text in documents:
            yield title, re.sub(r"\w+", lambda word: new.get(word[0], word[0]), text) if new else text  # noqa: B023
        copy += 1


def changed(word: str, copy: int) -> str:
    """A word of the same length that no other copy has, for some 25 copies."""
    return "".join(chr(97 + (ord(char) - 97 + copy) % 26) if "a" <= char <= "z" else char for char in word)


def add(root: Path, documents: Iterator[Document], mb: float = 0, n: int = 0) -> int:
    """Add clean documents, as many as make up `mb` of text, or `n`. Returns the bytes of their text."""
    n_bytes = n_added = 0
    with Catalog(root) as catalog:
        first = clean_documents.totals(catalog).last_seq
        while n_bytes < mb * 1e6 or n_added < n:
            title, text = next(documents)
            name = f"{(first + n_added) * 2654435761 % 2**32:08x}{first + n_added:056x}"
            line = json.dumps({"id": name, "text": text, "metadata": {"url": "http://example.org/", "title": title}},
                              ensure_ascii=False).encode() + b"\n"
            with catalog.record():
                clean_documents.add(catalog, name, catalog.append("data/clean", ".jsonl", line), len(text.encode()))
            n_bytes, n_added = n_bytes + len(text.encode()), n_added + 1
    return n_bytes


def copy_root(source: Path, folder: Path) -> Path:
    """`source` without its suffix array and its models."""
    shutil.copytree(source / "data", folder / "data", ignore=shutil.ignore_patterns("suffixes.*"))
    return folder


def write_bin(source: Path, root: Path, mb: float) -> dict[str, Any]:
    """`mb` of text as tokens in train.bin of `root`, and its suffix array."""
    tokenizer, rng, written = tokenizers.load(root / "data/tokenizer"), np.random.default_rng(0), 0
    text = np.fromfile(source / "data/train.bin", "<u2")
    n_tokens = round(mb * 1e6 * len(text) / int(tokenizer.token_bytes()[text].sum()))
    with open(root / "data/train.bin", "wb") as stream:
        while written < n_tokens:
            ids = text[:n_tokens - written].copy()
            if written:  # the first copy is that of the catalog's documents
                places = np.flatnonzero((rng.random(len(ids)) < 0.1) & (ids != tokenizer.eot_token))
                ids[places] = rng.integers(0, tokenizer.eot_token, len(places))
            ids.tofile(stream)
            written += len(ids)
    started = time.perf_counter()
    n_bytes = update_suffixes(root, n_tokens, tokenizer.vocab_size)
    return {"tokens": n_tokens, "array_mb": round(n_bytes / 1e6), "sort_sec": round(time.perf_counter() - started, 1)}


def splice(text: np.ndarray, eot_token: int, rng: np.random.Generator) -> list[int]:
    """TEXT_TOKENS tokens in pieces from anywhere."""
    ids: list[int] = []
    while len(ids) < TEXT_TOKENS:
        place = int(rng.integers(0, len(text) - 40))
        piece = text[place:place + int(rng.integers(5, 41))]
        ids += piece[piece != eot_token].tolist()
    return ids[:TEXT_TOKENS]


def some_queries(documents: list[Document]) -> list[str]:
    """Ten of each kind: a word, two words, a phrase, beginnings, questions and others."""
    rng, queries = random.Random(SEED), ["the", "the OR and OR to", "a*", '"of the"', "NEAR(the and, 5)",
                                         "what is the meaning of this?", "title: the", "C++", "and NOT the", "it's"]
    for _ in range(10):
        words = [word for word in re.findall(r"[^\W\d_]+", rng.choice(documents)[1]) if word.upper() != word]
        at = rng.randrange(len(words) - 2)
        queries += [words[at], f"{words[at]} AND {rng.choice(words)}", f'"{words[at]} {words[at + 1]}"',
                    f"{words[at][:3]}*"]
    return queries


# --- what is measured ----------------------------------------------------------------------------


def times(work: Callable[[Any], object], each: list[Any]) -> dict[str, Any]:
    """Milliseconds of `work` for each."""
    ms, cpu_ms = [], []
    for one in each:
        started, cpu_started = time.perf_counter(), time.thread_time()
        work(one)
        ms.append(1000 * (time.perf_counter() - started))
        cpu_ms.append(1000 * (time.thread_time() - cpu_started))
    worst = each[int(np.argmax(ms))]
    return {"n": len(each), **{f"{unit}_{name}": round(float(np.quantile(values, q)), 1)
                               for unit, values in (("ms", ms), ("cpu_ms", cpu_ms))
                               for name, q in (("median", 0.5), ("p95", 0.95), ("worst", 1))},
            **({"worst": worst} if isinstance(worst, str) else {})}


def ask(root: Path, source: Path) -> dict[str, Any]:
    return times(lambda query: search(root, query), some_queries(documents_of(source)))


def trace(root: Path, _source: Path) -> dict[str, Any]:
    started = time.perf_counter()
    tracer, rng = Tracer(root), np.random.default_rng(SEED)
    opened = time.perf_counter() - started
    texts = [splice(tracer.suffixes.text, tracer.tokenizer.eot_token, rng) for _ in range(TEXTS + 1)]
    tracer.trace(texts.pop())  # loads the compiled loops
    found: list[Any] = []
    measured = times(lambda ids: found.extend(tracer.trace(ids)), texts)
    return measured | {"open_ms": round(1000 * opened), "stretches_per_text": round(len(found) / TEXTS, 1),
                       "sources_per_text": round(sum(len(one.sources) for one in found) / TEXTS, 1)}


ALONE = {"ask": ask, "trace": trace}


def alone(what: str, root: Path, source: Path) -> dict[str, Any]:
    """One of ALONE in a process of its own."""
    done = subprocess.run([sys.executable, "-m", "bench.find", "--root", source, "--alone", what, root], check=True,
                          capture_output=True)
    return dict(json.loads(done.stdout))


def index(root: Path, text_bytes: int) -> dict[str, float]:
    done = subprocess.run([sys.executable, PROJECT / "clean.py", "--index", "--root", root, "--quiet", "--json"],
                          check=True, capture_output=True)
    stats = json.loads(done.stdout.splitlines()[-1])
    return {"sec": stats["elapsed_sec"], "peak_mb": stats["peak_mb"],
            "size_to_text": round((root / full_text.INDEX).stat().st_size / text_bytes, 3)}


def grow(root: Path, rebuild: bool = False) -> dict[str, float]:
    started, cpu_started = time.perf_counter(), time.process_time()
    with Catalog(root) as catalog:
        n = full_text.grow(catalog, rebuild)
    sec, cpu_sec = time.perf_counter() - started, time.process_time() - cpu_started
    return {"documents": n, "sec": round(sec, 3), "cpu_sec": round(cpu_sec, 3), "ms_each": round(1000 * sec / n, 2)}


def added_to_a_run(source: Path, folder: Path) -> dict[str, Any]:
    """What the index adds to the run that made `source`; without a share if no line tells of that run."""
    sums = [sum(stats.elapsed_sec for stats in run.stages.values()) for run in read_history(source).runs
            if {"clean", "train"} <= run.stages.keys()]
    grown = grow(copy_root(source, folder), rebuild=True)
    return grown | ({"run_sec": round(sums[0], 1), "share": round(grown["sec"] / sums[0], 4),
                     "cpu_share": round(grown["cpu_sec"] / sums[0], 4)} if sums else {})


def measure(folder: Path, source: Path, documents: list[Document], mb: float) -> dict[str, Any]:
    root, traced, more = folder / "found", copy_root(source, folder / "traced"), endless(documents)
    text_bytes = add(root, more, mb=mb)
    figures: dict[str, Any] = {"text_bytes": text_bytes, "index": index(root, text_bytes),
                               "queries": alone("ask", root, source)}
    add(root, more, n=NEW)
    return figures | {"run": grow(root), "trace": write_bin(source, traced, mb) | alone("trace", traced, source)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, required=True, metavar="DIR")
    parser.add_argument("--mb", type=float, nargs="+", default=[10, 100], help="of text")
    parser.add_argument("--alone", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.alone:
        memory, (what, root) = PeakMemory(interval_sec=0.02), args.alone
        memory.start()
        print(json.dumps(ALONE[what](Path(root), args.root) | {"peak_mb": round(memory.stop(), 1)}))
        return
    documents = documents_of(args.root)
    figures: dict[str, Any] = {"bench": "find", "source_documents": len(documents)}
    with tempfile.TemporaryDirectory() as folder:
        figures["added"] = added_to_a_run(args.root, Path(folder) / "copy")
        for mb in args.mb:
            figures[f"{mb:g} MB"] = measure(Path(folder) / f"{mb:g}", args.root, documents, mb)
            print(f"{mb:g} MB: {figures[f'{mb:g} MB']}", file=sys.stderr)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
