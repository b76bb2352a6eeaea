"""Preparing: how fast is it compared with tiktoken's own batch call, and what does a run cost?

    .venv/bin/python -m bench.prepare --data wcxb-dev.jsonl.xz     some minutes
    .venv/bin/python -m bench.prepare                              the same with generated words

1. Rate: prepare.py over --mb of new text, and tiktoken's encode_ordinary_batch on two threads over the same documents
   in memory; each in a process of its own, in turns. MB of text per second, without the start of the interpreter; the
   stage's time includes reading, checks, the bins and their commits. Median of the ratios.
2. A run: 1,000 new documents after 2,000 old ones and after 200,000, in turns, median of the ratios.
The texts are main_content of WCXB (see extraction.py), repeated as often as it takes; the tokenizer is of the default
size. Ends in one JSON line.
"""

import argparse
import json
import lzma
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from itertools import cycle
from pathlib import Path
from statistics import median
from subprocess import run

from miniature_memory.core.paths import PROJECT
from miniature_memory.storage.catalog import Catalog
from miniature_memory.training import tokenizer as tokenizers

OLD, NEW = (2_000, 200_000), 1_000
WORDS = 20_000


def generated(n: int) -> list[str]:
    """Texts of some 10 kB, of made-up words whose frequencies follow Zipf's law."""
    rng = random.Random(1)
    words = ["".join(rng.choices("etaoinshrdlucmfw", k=rng.randrange(2, 11))) for _ in range(WORDS)]
    weights = [1 / rank for rank in range(1, WORDS + 1)]
    return [" ".join(rng.choices(words, weights, k=1_500)) + "." for _ in range(n)]


def of_size(texts: list[str], mb: float) -> Iterator[str]:
    """Texts, again and again, until they make up `mb`."""
    n_bytes = 0
    for text in cycle(texts):
        if n_bytes >= mb * 1e6:
            return
        n_bytes += len(text.encode())
        yield text


def add_clean(root: Path, texts: Iterable[str], first: int = 0) -> None:
    """Clean documents as clean.py leaves them; their ids are spread over train and val as hashes are."""
    with Catalog(root) as catalog:
        for n, text in enumerate(texts, first):
            name = f"{n * 2654435761 % 2**32:08x}{n:056x}"
            line = json.dumps({"id": name, "text": text, "metadata": {"url": "", "title": ""}}, ensure_ascii=False)
            with catalog.record():
                place = catalog.append("data/clean", ".jsonl", line.encode() + b"\n")
                catalog.execute("INSERT INTO clean_documents (id, file, offset, length, text_bytes) "
                                "VALUES (?, ?, ?, ?, ?)", [name, *place, len(text.encode())])


def add_old(root: Path, n: int, signature: bytes = bytes(120)) -> None:
    """n further documents in the bins: their rows alone, which is all that a run might look at."""
    with Catalog(root) as catalog:
        seq = catalog.value("SELECT max(seq) FROM clean_documents")
        with catalog.record():
            catalog.db.executemany(
                "INSERT INTO clean_documents (seq, id, file, offset, length, text_bytes, split, signature) "
                "VALUES (?, ?, 'data/clean/000000.jsonl', 0, 5000, 4900, 'train', ?)",
                ((seq + i, f"{i * 2654435761 % 2**32:08x}old{i:053x}", signature) for i in range(1, n + 1)))
            catalog.advance("prepare", seq + n)


def prepare(root: Path) -> dict[str, float]:
    """The StageStats of prepare.py in a process of its own."""
    os.sync()  # or the stage's first fsync would wait for what was copied here
    done = run([sys.executable, PROJECT / "prepare.py", "--root", root, "--quiet", "--json"], check=True,
               capture_output=True)
    stats: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return stats


def trained(root: Path, texts: list[str]) -> Path:
    """A root with a frozen tokenizer and bins of 2 MB of text."""
    add_clean(root, of_size(texts, 2))
    prepare(root)
    return root


def runs_of(folder: Path, roots: dict[int, Path], runs: int) -> dict[int, list[dict[str, float]]]:
    """What prepare() returns on copies of the roots, in turns."""
    stats: dict[int, list[dict[str, float]]] = {n: [] for n in roots}
    for _ in range(runs):
        for n, root in roots.items():
            shutil.copytree(root, folder / "now")
            stats[n].append(prepare(folder / "now"))
            shutil.rmtree(folder / "now")
    return stats


# --- 1. rate -------------------------------------------------------------------------------------


def peer(root: Path) -> None:
    """Print the seconds of tiktoken's batch call over the new documents of a root."""
    encoding = tokenizers.load(root / "data/tokenizer").encoding
    with Catalog(root, read_only=True) as catalog:
        texts = [json.loads(catalog.read(row["file"], row["offset"], row["length"]))["text"]
                 for row in catalog.new_rows("prepare", "clean_documents")]
    started = time.perf_counter()
    encoding.encode_ordinary_batch(texts, num_threads=2)
    print(time.perf_counter() - started)


def rate(folder: Path, texts: list[str], mb: float, runs: int) -> dict[str, object]:
    root = trained(folder / "rate", texts)
    add_clean(root, of_size(texts, mb), first=1_000_000)
    ours, theirs = [], []
    for _ in range(runs):
        done = run([sys.executable, "-m", "bench.prepare", "--peer", root], check=True, capture_output=True)
        theirs.append(mb / float(done.stdout))
        ours.append(mb / runs_of(folder, {0: root}, 1)[0][0]["elapsed_sec"])
    return {"mb": mb, "mb_per_sec": round(median(ours), 2), "tiktoken_mb_per_sec": round(median(theirs), 2),
            "ratio": round(median(a / b for a, b in zip(ours, theirs, strict=True)), 3),
            "ratios": [round(a / b, 2) for a, b in zip(ours, theirs, strict=True)]}


# --- 2. a run ------------------------------------------------------------------------------------


def cost(folder: Path, texts: list[str], runs: int) -> dict[str, object]:
    roots = {}
    for n in OLD:
        roots[n] = trained(folder / f"old{n}", texts)
        add_old(roots[n], n)
        add_clean(roots[n], (texts[i % len(texts)] for i in range(NEW)), first=1_000_000)
    stats = runs_of(folder, roots, runs)
    sec = {n: [one["elapsed_sec"] for one in of] for n, of in stats.items()}
    return {"new_documents": NEW, "sec": {str(n): median(of) for n, of in sec.items()},
            "ratio": round(median(b / a for a, b in zip(sec[OLD[0]], sec[OLD[1]], strict=True)), 3)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, metavar="FILE", help="WCXB's .jsonl.xz; default: generated words")
    parser.add_argument("--mb", type=float, default=20, help="of new text, for the rate")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--peer", type=Path, metavar="DIR", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.peer:
        return peer(args.peer)
    if args.data:
        with lzma.open(args.data, "rt", encoding="utf-8") as lines:
            texts = [text for line in lines if (text := json.loads(line)["main_content"])]
    else:
        texts = generated(500)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        speed = rate(folder, texts, args.mb, args.runs)
        print(f"rate: {speed}", file=sys.stderr)
        cost_of_run = cost(folder, texts, args.runs)
        print(f"a run: {cost_of_run}", file=sys.stderr)
    mean_bytes = sum(len(text.encode()) for text in texts) // len(texts)
    print(json.dumps({"bench": "prepare", "documents": len(texts), "mean_bytes": mean_bytes, "rate": speed,
                      "run": cost_of_run}))


if __name__ == "__main__":
    main()
