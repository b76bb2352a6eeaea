"""Cleaning as a whole: documents per second by step, the cost of a run, and whether it matters how many runs there are.

    .venv/bin/python -m bench.clean_stage --data wcxb-dev.jsonl.xz     some minutes

1. Steps: each step of validate and clean, that of topics included, on its own over the main_content texts of WCXB (see
   extraction.py), in CPU seconds on one core.
2. A run: clean.py over 1,000 new documents after 2,000 old ones and after 200,000, in turns, median of the ratios.
3. Ten runs of 1,000 documents, of 40 hosts with lines of their own and with near duplicates, and one run of 10,000: the
   clean sets are compared byte by byte.
Ends with one JSON line.
"""

import argparse
import hashlib
import json
import lzma
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path
from statistics import median

import numpy as np

from miniature_memory.cleaning.boilerplate import Site, remove_boilerplate
from miniature_memory.cleaning.cleaner import config_checks
from miniature_memory.cleaning.config import CleanConfig
from miniature_memory.cleaning.filters import first_broken
from miniature_memory.cleaning.minhash import BANDS, Index, keys_of
from miniature_memory.cleaning.normalize import normalize_text
from miniature_memory.cleaning.privacy import mask
from miniature_memory.cleaning.topic import MOST_PAGES, Page, Topic
from miniature_memory.core.paths import PROJECT
from miniature_memory.core.topic_fit import terms_of
from miniature_memory.storage import clean_documents, documents
from miniature_memory.storage.catalog import Catalog
from miniature_memory.storage.record_reader import Place
from miniature_memory.validation.config import ValidateConfig
from miniature_memory.validation.documents import validate as validate_line

OLD = (2_000, 200_000)
NOWHERE = Place("", 0, 0)
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
    """Milliseconds per document by step."""
    checks, validate = config_checks(CleanConfig()), ValidateConfig()
    spent: dict[str, float] = {}

    def timed(step: str, work: Callable[[], object]) -> object:
        started = time.process_time()
        result = work()
        spent[step] = spent.get(step, 0.0) + time.process_time() - started
        return result

    validate_line(line_of(texts[0], "")[1], "", validate)  # the language model is loaded by its first text
    site = Site()
    topic = Topic("history", (), {"en": [Page(1.0, "", terms_of(text)) for text in texts[:MOST_PAGES]]})
    with Catalog(root) as catalog:
        index = Index(catalog)
        for n, text in enumerate(texts):
            name, line = line_of(text, "http://example.org/")
            timed("validate", lambda: validate_line(line, name, validate))  # noqa: B023 (called at once)
            text = str(timed("normalize", lambda: normalize_text(text)))  # noqa: B023
            text = timed("boilerplate", lambda: remove_boilerplate(text, site))[0]  # type: ignore[index] # noqa: B023
            timed("rules", lambda: first_broken(checks, text, "en"))  # noqa: B023
            text = timed("privacy", lambda: mask(text))[0]  # type: ignore[index] # noqa: B023
            timed("topic_fit", lambda: topic.fit(terms_of(text), "en"))  # noqa: B023
            keys = timed("minhash", lambda: keys_of(text))  # noqa: B023
            timed("index", lambda: _add(catalog, index, n, keys))  # type: ignore[arg-type] # noqa: B023
    return {step: round(1e3 * sec / len(texts), 3) for step, sec in spent.items()}


def _add(catalog: Catalog, index: Index, n: int, keys: np.ndarray) -> None:
    if index.first(keys) is None:
        with catalog.record():
            index.add(clean_documents.add(catalog, str(n), NOWHERE, 0), keys)


# --- 2. a run ------------------------------------------------------------------------------------


def prose(seed: int) -> str:
    rng = random.Random(seed)
    sentences = [" ".join(rng.choices(WORDS, k=rng.randrange(6, 16))).capitalize() + "." for _ in range(30)]
    return "\n\n".join(" ".join(sentences[i:i + 5]) for i in range(0, 30, 5))


def add_valid(root: Path, texts: Iterable[tuple[str, str]]) -> None:
    """Raw documents (text, URL) that validate has passed."""
    with Catalog(root) as catalog:
        for text, url in texts:
            name, line = line_of(text, url)
            with catalog.record():
                seq = documents.add(catalog, name, url, catalog.append("data/raw", ".jsonl", line))
                documents.set_validation(catalog, seq, "valid", "en")
                catalog.advance("validate", seq)


def make_old(root: Path, n: int) -> None:
    """A catalog with n clean documents behind it: their keys, which are all that cleaning needs of them."""
    rng = np.random.default_rng(n)
    with Catalog(root) as catalog:
        index = Index(catalog)
        for i in range(n):
            with catalog.record():
                seq = documents.add(catalog, f"old{i}", "", NOWHERE)
                documents.set_validation(catalog, seq, "valid", "en")
                index.add(clean_documents.add(catalog, f"old{i}", NOWHERE, 0),
                          rng.integers(-(1 << 63), (1 << 63) - 1, 1 + BANDS))
                catalog.advance("validate", seq)
                catalog.advance("clean", seq)


def clean_once(root: Path) -> dict[str, float]:
    """The StageStats of clean.py in a process of its own."""
    done = subprocess.run([sys.executable, PROJECT / "clean.py", "--root", root, "--quiet", "--json"], check=True,
                          capture_output=True)
    stats: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return stats


def cost_of_run(folder: Path, repeats: int) -> dict[str, object]:
    roots = {n: folder / f"old{n}" for n in OLD}
    for n, root in roots.items():
        make_old(root, n)
        add_valid(root, ((prose(10_000_000 + i), f"http://host{i % 50}.example/{i}") for i in range(1_000)))
    stats: dict[int, list[dict[str, float]]] = {n: [] for n in OLD}
    for _ in range(repeats):
        for n, root in roots.items():
            shutil.copytree(root, folder / "now")
            os.sync()  # or the stage's first fsync would wait for the copy
            stats[n].append(clean_once(folder / "now"))
            shutil.rmtree(folder / "now")
    sec = {n: [one["elapsed_sec"] for one in of] for n, of in stats.items()}
    return {"new_documents": 1000, "sec": {str(n): median(of) for n, of in sec.items()},
            "kept": stats[OLD[1]][0]["n_out"], "peak_mb": {str(n): of[0]["peak_mb"] for n, of in stats.items()},
            "ratio": round(median(b / a for a, b in zip(sec[OLD[0]], sec[OLD[1]], strict=True)), 3)}


# --- 3. ten runs ---------------------------------------------------------------------------------


def varied(i: int) -> tuple[str, str]:
    """A document of one of 40 hosts, each with lines of its own; every fifth is nearly an earlier one."""
    host, seed = i % 40, i - 37 if i % 5 == 4 else i
    text = f"Pages of host number {host}\n\n{prose(seed)}\n\nAll rights belong to the people of host {host}"
    return text + (f"\n\nAdded on day {i}." if seed != i else ""), f"http://host{host}.example/{i}"


def clean_set(root: Path) -> str:
    files = sorted((root / "data/clean").glob("*.jsonl"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()


def ten_runs(folder: Path, per_run: int) -> dict[str, object]:
    results, kept = {}, {}
    for name, n_runs in (("one", 1), ("ten", 10)):
        root, size = folder / name, 10 * per_run // n_runs
        kept[name] = 0
        for start in range(0, 10 * per_run, size):
            add_valid(root, map(varied, range(start, start + size)))
            kept[name] += int(clean_once(root)["n_out"])
        results[name] = clean_set(root)
    return {"documents": 10 * per_run, "kept": kept["one"], "same": results["one"] == results["ten"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, metavar="FILE")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="take every Nth text for the steps")
    parser.add_argument("--runs", type=int, default=5, help="repetitions of part 2")
    parser.add_argument("--per-run", type=int, default=1000, help="documents")
    args = parser.parse_args()
    with lzma.open(args.data, "rt", encoding="utf-8") as lines:
        texts = [text for line in islice(lines, 0, None, args.every) if (text := json.loads(line)["main_content"])]
    with tempfile.TemporaryDirectory() as folder:
        ms = steps(texts, Path(folder) / "steps")
        print(f"milliseconds per document by step: {ms}", file=sys.stderr)
        cost = cost_of_run(Path(folder), args.runs)
        print(f"a run: {cost}", file=sys.stderr)
        ten = ten_runs(Path(folder), args.per_run)
    topic_share = ms["topic_fit"] / (sum(ms.values()) - ms["topic_fit"] - ms["validate"])
    mean_chars = round(sum(map(len, texts)) / len(texts))
    print(json.dumps({"bench": "clean_stage", "documents": len(texts), "mean_chars": mean_chars,
                      "docs_per_sec": round(1e3 / sum(ms.values())), "ms": ms, "slowest": max(ms, key=ms.__getitem__),
                      "topic_fit_to_the_rest_of_clean": round(topic_share, 3),
                      "run": cost, "ten_runs": ten}))


if __name__ == "__main__":
    main()
