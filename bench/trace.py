"""Trace: how long does it take to find which training documents a text repeats, and in how much memory?

    .venv/bin/python -m bench.trace --root DIR     about 4 minutes; DIR is a root with bins

The text of a root is repeated until it has --tokens tokens, one token in ten replaced by a random one, so that runs of
tokens are seldom the same; its array of suffixes is sorted as train.py does it. Then a process of its own traces
--texts texts of 200 tokens each, spliced from pieces of 5 to 40 tokens of it, and looks for the documents of each
stretch in the catalog of DIR. Milliseconds are those of one text once the array is open; open_ms includes its
checksums. cpu_ms is CPU time, which holds on a busy machine too. Memory is the peak of that process (PSS), Python and
Numba included. Ends in one JSON line.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from miniature_memory.core.process import PeakMemory
from miniature_memory.counting.suffixes import SEGMENT_TOKENS, update_suffixes
from miniature_memory.sampling.trace import Tracer
from miniature_memory.training import tokenizer as tokenizers

TEXT_TOKENS = 200


def write_root(source: Path, folder: Path, n_tokens: int) -> dict[str, Any]:
    """A root whose train.bin has n_tokens tokens, with the tokenizer, catalog and clean documents of `source`."""
    tokenizer = tokenizers.load(source / "data/tokenizer")
    (folder / "data").mkdir(parents=True)
    for name in ("tokenizer", "clean"):
        shutil.copytree(source / "data" / name, folder / "data" / name)
    shutil.copyfile(source / "data/catalog.sqlite3", folder / "data/catalog.sqlite3")
    text, random, written = np.fromfile(source / "data/train.bin", "<u2"), np.random.default_rng(0), 0
    with open(folder / "data/train.bin", "wb") as stream:
        while written < n_tokens:
            ids = text[:n_tokens - written].copy()
            if written:  # the first copy is that of the catalog's documents
                places = np.flatnonzero((random.random(len(ids)) < 0.1) & (ids != tokenizer.eot_token))
                ids[places] = random.integers(0, tokenizer.eot_token, len(places))
            ids.tofile(stream)
            written += len(ids)
    began = time.perf_counter()
    n_bytes = update_suffixes(folder, n_tokens, tokenizer.vocab_size)
    text_bytes = int(tokenizer.token_bytes()[text].sum() * n_tokens / len(text))
    return {"tokens": n_tokens, "text_mb": round(text_bytes / 1e6), "segments": -(-n_tokens // SEGMENT_TOKENS),
            "array_mb": round(n_bytes / 1e6), "sort_sec": round(time.perf_counter() - began, 1)}


def splice(text: np.ndarray, eot_token: int, random: np.random.Generator) -> list[int]:
    """TEXT_TOKENS tokens in pieces from anywhere."""
    ids: list[int] = []
    while len(ids) < TEXT_TOKENS:
        place = int(random.integers(0, len(text) - 40))
        piece = text[place:place + int(random.integers(5, 41))]
        ids += piece[piece != eot_token].tolist()
    return ids[:TEXT_TOKENS]


def trace_texts(root: Path, n_texts: int) -> dict[str, Any]:
    began = time.perf_counter()
    memory = PeakMemory(interval_sec=0.02)
    memory.start()
    tracer, random = Tracer(root), np.random.default_rng(1)
    opened = time.perf_counter() - began
    tracer.trace(splice(tracer.suffixes.text, tracer.tokenizer.eot_token, random))  # loads the compiled loops
    seconds, cpu_seconds, n_stretches, n_sources = [], [], 0, 0
    for _ in range(n_texts):
        ids = splice(tracer.suffixes.text, tracer.tokenizer.eot_token, random)
        began, cpu_began = time.perf_counter(), time.thread_time()
        traced = tracer.trace(ids)
        seconds.append(time.perf_counter() - began)
        cpu_seconds.append(time.thread_time() - cpu_began)
        n_stretches += len(traced)
        n_sources += sum(len(stretch.sources) for stretch in traced)
    p50, p95, most = np.quantile(seconds, [0.5, 0.95, 1]) * 1000
    return {"open_ms": round(1000 * opened), "trace_ms": round(p50, 1), "trace_ms_p95": round(p95, 1),
            "trace_ms_max": round(most, 1), "cpu_ms": round(1000 * float(np.median(cpu_seconds)), 1),
            "stretches_per_text": round(n_stretches / n_texts, 1),
            "sources_per_text": round(n_sources / n_texts, 1), "peak_mb": round(memory.stop())}


def trace_figures(source: Path, folder: Path, n_tokens: int, n_texts: int) -> dict[str, Any]:
    """What main() prints. folder: one that does not exist yet."""
    made = write_root(source, folder, n_tokens)
    done = subprocess.run([sys.executable, "-m", "bench.trace", "--root", str(folder), "--texts", str(n_texts),
                           "--tokens", "0"], stdout=subprocess.PIPE, check=True)
    return {**made, **json.loads(done.stdout)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, required=True, metavar="DIR")
    parser.add_argument("--tokens", type=int, default=33_500_000, help="0: those of DIR, whose array is there")
    parser.add_argument("--texts", type=int, default=300)
    args = parser.parse_args()
    if args.tokens:
        with tempfile.TemporaryDirectory() as folder:
            result = {"bench": "trace", **trace_figures(args.root, Path(folder) / "root", args.tokens, args.texts)}
    else:
        result = trace_texts(args.root, args.texts)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
