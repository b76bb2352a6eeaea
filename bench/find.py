"""Finding: how large is the full-text index, how long does a query take, and what does the index cost a run?

    .venv/bin/python -m bench.find --root demo      some minutes; of any root with clean documents

For each size of text in --mb: the text of the root's clean documents, again and again with new words in the places of
rare ones, so that the vocabulary grows with the text as it does in real ones (Heaps' law, exponent 0.55).

1. Index: seconds, peak of memory, and size in relation to the text, of clean.py --index in a process of its own.
2. Queries: 50 of all kinds with words of the text; each is a whole search, from opening the files to the ten passages.
3. A run: the time that 1,000 further documents take.
Ends with one JSON line.
"""

import argparse
import json
import random
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

from miniature_memory.collection.search import search
from miniature_memory.core.paths import PROJECT
from miniature_memory.core.process import PeakMemory
from miniature_memory.storage import clean_documents, full_text
from miniature_memory.storage.catalog import Catalog

HEAPS = 0.55  # vocabulary grows with this power of the text; 0.4 to 0.6 for English
COMMON = 2_000  # words that every text has
NEW = 1_000  # documents of a run
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


# --- what is measured ----------------------------------------------------------------------------


def index(root: Path, text_bytes: int) -> dict[str, float]:
    done = subprocess.run([sys.executable, PROJECT / "clean.py", "--index", "--root", root, "--quiet", "--json"],
                          check=True, capture_output=True)
    stats = json.loads(done.stdout.splitlines()[-1])
    return {"sec": stats["elapsed_sec"], "peak_mb": stats["peak_mb"],
            "size_to_text": round((root / full_text.INDEX).stat().st_size / text_bytes, 3)}


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


def ask(root: Path, documents: list[Document]) -> None:
    """Print how long each query takes, by the clock and of the processor, and the peak of memory, as JSON."""
    memory, ms, cpu_ms = PeakMemory(), {}, []
    memory.start()
    for query in some_queries(documents):
        started, cpu_started = time.perf_counter(), time.thread_time()
        search(root, query)
        ms[query] = round(1000 * (time.perf_counter() - started), 1)
        cpu_ms.append(round(1000 * (time.thread_time() - cpu_started), 1))
    print(json.dumps({"ms": ms, "cpu_ms": cpu_ms, "peak_mb": round(memory.stop(), 1)}))


def queries(root: Path, source: Path) -> dict[str, Any]:
    done = subprocess.run([sys.executable, "-m", "bench.find", "--root", source, "--ask", root], check=True,
                          capture_output=True)
    answer = json.loads(done.stdout)
    slowest = max(answer["ms"], key=answer["ms"].__getitem__)
    return {"n": len(answer["ms"]), "median_ms": median(answer["ms"].values()), "worst_ms": answer["ms"][slowest],
            "worst": slowest, "median_cpu_ms": median(answer["cpu_ms"]), "worst_cpu_ms": max(answer["cpu_ms"]),
            "peak_mb": answer["peak_mb"]}


def run(root: Path, documents: Iterator[Document]) -> dict[str, float]:
    add(root, documents, n=NEW)
    started = time.perf_counter()
    with Catalog(root) as catalog:
        n = full_text.grow(catalog)
    sec = time.perf_counter() - started
    return {"new_documents": n, "sec": round(sec, 2), "ms_per_document": round(1000 * sec / n, 2)}


def measure(folder: Path, source: Path, documents: list[Document], mb: float) -> dict[str, Any]:
    root, more = folder / f"{mb:g}", endless(documents)
    text_bytes = add(root, more, mb=mb)
    with Catalog(root, read_only=True) as catalog:
        n = clean_documents.count(catalog)
    return {"documents": n, "text_bytes": text_bytes, "index": index(root, text_bytes),
            "queries": queries(root, source), "run": run(root, more)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, required=True, metavar="DIR")
    parser.add_argument("--mb", type=float, nargs="+", default=[10, 100], help="of text")
    parser.add_argument("--ask", type=Path, metavar="DIR", help=argparse.SUPPRESS)
    args = parser.parse_args()
    documents = documents_of(args.root)
    if args.ask:
        return ask(args.ask, documents)
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for mb in args.mb:
            figures[f"{mb:g} MB"] = measure(Path(folder), args.root, documents, mb)
            print(f"{mb:g} MB: {figures[f'{mb:g} MB']}", file=sys.stderr)
    print(json.dumps({"bench": "find", "source_documents": len(documents), **figures}))


if __name__ == "__main__":
    main()
