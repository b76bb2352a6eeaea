"""Cleaning as a whole: documents a second by step, the cost of a night, and whether nights make a difference.

    .venv/bin/python bench/clean_stage.py --data wcxb-dev.jsonl.xz     some minutes

1. Steps: each step of validate and clean on its own over the main_content texts of WCXB (see extraction.py), seconds of
   the processor on one core.
2. A night: clean.py over 1,000 new documents after 2,000 old ones and after 200,000, in turns, median of the ratios.
3. Ten nights of 1,000 documents, of 40 hosts with lines of their own and with near duplicates, and one night of 10,000:
   the clean sets are compared byte by byte.
Ends in one JSON line.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import lzma
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path
from statistics import median
from subprocess import run

import numpy as np

from miniature_memory.cleaning.boilerplate import Site, drop_lines
from miniature_memory.cleaning.config import CleanConfig
from miniature_memory.cleaning.filters import ALL_RULES, first_broken
from miniature_memory.cleaning.minhash import BANDS, Index, keys_of
from miniature_memory.cleaning.privacy import mask
from miniature_memory.cleaning.text import clean_text
from miniature_memory.core.paths import PROJECT
from miniature_memory.storage.catalog import Catalog
from miniature_memory.validation.config import ValidateConfig
from miniature_memory.validation.documents import validate as validate_line

OLD = (2_000, 200_000)
METADATA = {"title": "", "author": "", "published": "", "language": "", "host": "", "fetched_at": "", "extractor": "",
            "page_type": ""}
WORDS = """the of and to a in that was his with had her for on at by which not from they were but all one said when out
ship harbour captain morning weather sail water light garden bread kitchen window letter table evening street river
mountain teacher school winter summer family village market doctor music painting history""".split()  # noqa: SIM905


def line_of(text: str, url: str) -> tuple[str, bytes]:
    document = {"id": hashlib.sha256(text.encode()).hexdigest(), "text": text, "metadata": {"url": url, **METADATA}}
    return str(document["id"]), json.dumps(document, ensure_ascii=False).encode() + b"\n"


# --- 1. steps ------------------------------------------------------------------------------------


def steps(texts: list[str], root: Path) -> dict[str, float]:
    """Milliseconds a document by step."""
    config, validate = CleanConfig(), ValidateConfig()
    spent: dict[str, float] = {}

    def timed(step: str, work: Callable[[], object]) -> object:
        started = time.process_time()
        result = work()
        spent[step] = spent.get(step, 0.0) + time.process_time() - started
        return result

    validate_line(line_of(texts[0], "")[1], "", validate)  # the language model is loaded by its first text
    site = Site()
    with Catalog(root) as catalog:
        index = Index(catalog)
        for n, text in enumerate(texts):
            name, line = line_of(text, "http://example.org/")
            timed("validate: whole, language", lambda: validate_line(line, name, validate))  # noqa: B023 (called at once)
            text = str(timed("fix", lambda: clean_text(text)))  # noqa: B023
            text = timed("boilerplate", lambda: drop_lines(text, site))[0]  # type: ignore[index] # noqa: B023
            timed("rules", lambda: first_broken(ALL_RULES, text, "en", config))  # noqa: B023
            text = timed("privacy", lambda: mask(text))[0]  # type: ignore[index] # noqa: B023
            keys = timed("minhash", lambda: keys_of(text))  # noqa: B023
            timed("index", lambda: _add(catalog, index, n, keys))  # type: ignore[arg-type] # noqa: B023
    return {step: round(1e3 * sec / len(texts), 3) for step, sec in spent.items()}


def _add(catalog: Catalog, index: Index, n: int, keys: np.ndarray) -> None:
    if index.first(keys) is None:
        with catalog.record():
            seq = catalog.execute("INSERT INTO clean_documents (id, file, offset, length, text_bytes) "
                                  "VALUES (?, '', 0, 0, 0)", [str(n)]).lastrowid
            index.add(seq or 0, keys)


# --- 2. a night ----------------------------------------------------------------------------------


def prose(seed: int) -> str:
    rng = random.Random(seed)
    sentences = [" ".join(rng.choices(WORDS, k=rng.randrange(6, 16))).capitalize() + "." for _ in range(30)]
    return "\n\n".join(" ".join(sentences[i:i + 5]) for i in range(0, 30, 5))


def add_valid(root: Path, documents: Iterable[tuple[str, str]]) -> None:
    """Raw documents (text, URL) that validate has passed."""
    with Catalog(root) as catalog:
        seq = 0
        for text, url in documents:
            name, line = line_of(text, url)
            with catalog.record():
                place = catalog.append("data/raw", ".jsonl", line)
                seq = catalog.execute("INSERT INTO documents (id, url, file, offset, length, validation, language) "
                                      "VALUES (?, ?, ?, ?, ?, 'valid', 'en')", [name, url, *place]).lastrowid or 0
                catalog.advance("validate", seq)


def make_old(root: Path, n: int) -> None:
    """A catalog with n clean documents behind it: their keys, which are all that cleaning asks of them."""
    rng = np.random.default_rng(n)
    with Catalog(root) as catalog:
        index = Index(catalog)
        for i in range(n):
            with catalog.record():
                catalog.execute("INSERT INTO documents (seq, id, url, file, offset, length, validation, language) "
                                "VALUES (?, ?, '', '', 0, 0, 'valid', 'en')", [i + 1, f"old{i}"])
                seq = catalog.execute("INSERT INTO clean_documents (id, file, offset, length, text_bytes) "
                                      "VALUES (?, '', 0, 0, 0)", [f"old{i}"]).lastrowid
                index.add(seq or 0, rng.integers(-(1 << 63), (1 << 63) - 1, 1 + BANDS))
                catalog.advance("validate", i + 1)
                catalog.advance("clean", i + 1)


def clean_night(root: Path) -> dict[str, float]:
    """The Report of clean.py in a process of its own."""
    done = run([sys.executable, PROJECT / "clean.py", "--root", root, "--quiet"], check=True, capture_output=True)
    report: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return report


def night(folder: Path, runs: int) -> dict[str, object]:
    roots = {n: folder / f"old{n}" for n in OLD}
    for n, root in roots.items():
        make_old(root, n)
        add_valid(root, ((prose(10_000_000 + i), f"http://host{i % 50}.example/{i}") for i in range(1_000)))
    reports: dict[int, list[dict[str, float]]] = {n: [] for n in OLD}
    for _ in range(runs):
        for n, root in roots.items():
            shutil.copytree(root, folder / "now")
            os.sync()  # or the stage's first fsync would wait for the copy
            reports[n].append(clean_night(folder / "now"))
            shutil.rmtree(folder / "now")
    sec = {n: [report["elapsed_sec"] for report in of] for n, of in reports.items()}
    return {"new_documents": 1000, "sec": {str(n): median(of) for n, of in sec.items()},
            "kept": reports[OLD[1]][0]["n_out"], "peak_mb": {str(n): of[0]["peak_mb"] for n, of in reports.items()},
            "ratio": round(median(b / a for a, b in zip(sec[OLD[0]], sec[OLD[1]], strict=True)), 3)}


# --- 3. nights -----------------------------------------------------------------------------------


def varied(i: int) -> tuple[str, str]:
    """A document of one of 40 hosts, each with lines of its own; every fifth is nearly an earlier one."""
    host, seed = i % 40, i - 37 if i % 5 == 4 else i
    text = f"Pages of host number {host}\n\n{prose(seed)}\n\nAll rights belong to the people of host {host}"
    return text + (f"\n\nAdded on day {i}." if seed != i else ""), f"http://host{host}.example/{i}"


def clean_set(root: Path) -> str:
    files = sorted((root / "data/clean").glob("*.jsonl"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()


def ten_nights(folder: Path, a_night: int) -> dict[str, object]:
    results, kept = {}, {}
    for name, nights in (("one", 1), ("ten", 10)):
        root, size = folder / name, 10 * a_night // nights
        kept[name] = 0
        for start in range(0, 10 * a_night, size):
            add_valid(root, map(varied, range(start, start + size)))
            kept[name] += int(clean_night(root)["n_out"])
        results[name] = clean_set(root)
    return {"documents": 10 * a_night, "kept": kept["one"], "same": results["one"] == results["ten"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, metavar="FILE")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="take every Nth text for the steps")
    parser.add_argument("--runs", type=int, default=5, help="of a night")
    parser.add_argument("--a-night", type=int, default=1000, help="documents")
    args = parser.parse_args()
    with lzma.open(args.data, "rt", encoding="utf-8") as lines:
        texts = [text for line in islice(lines, 0, None, args.every) if (text := json.loads(line)["main_content"])]
    with tempfile.TemporaryDirectory() as folder:
        ms = steps(texts, Path(folder) / "steps")
        print(f"milliseconds a document by step: {ms}", file=sys.stderr)
        cost = night(Path(folder), args.runs)
        print(f"a night: {cost}", file=sys.stderr)
        nights = ten_nights(Path(folder), args.a_night)
    mean_chars = round(sum(map(len, texts)) / len(texts))
    print(json.dumps({"bench": "clean_stage", "documents": len(texts), "mean_chars": mean_chars,
                      "docs_per_sec": round(1e3 / sum(ms.values())), "ms": ms, "slowest": max(ms, key=ms.__getitem__),
                      "night": cost, "nights": nights}))


if __name__ == "__main__":
    main()
