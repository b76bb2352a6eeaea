"""Vocabulary: which size of vocabulary gives the fewest bits per byte in a given time?

    .venv/bin/python -m bench.vocabulary --root demo     some 6 minutes, after python3 run.py --demo

Makes a tokenizer of each size from the training text of --root, tokenizes the same training and validation documents
with it, and trains a new model of the default configuration for --seconds. Ends in one JSON line.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

import numpy as np

from bench import race
from miniature_memory.core.paths import PROJECT
from miniature_memory.training import tokenizer as tokenizers


def documents_of(root: Path, name: str) -> list[str]:
    tokenizer = tokenizers.load(root / "data/tokenizer")
    ids = np.fromfile(root / f"data/{name}.bin", dtype="<u2")
    parts = np.split(ids, np.flatnonzero(ids == tokenizer.eot_token) + 1)
    return [tokenizer.decode(part) for part in parts if len(part)]


def tokenize(root: Path, texts: dict[str, list[str]], vocab_size: int) -> float:
    """Tokenizer, bins and bins.json in `root`; returns the bytes per token of the validation text."""
    tokenizer = tokenizers.train("bpe", texts["train"], vocab_size)
    (root / "data/tokenizer").mkdir(parents=True)
    for name, content in tokenizer.files().items():
        (root / "data/tokenizer" / name).write_bytes(content)
    lengths = {}
    for name, documents in texts.items():
        ids = np.concatenate([tokenizer.encode_document(text) for text in documents])
        ids.astype("<u2").tofile(root / f"data/{name}.bin")
        lengths[f"{name}_tokens"] = len(ids)
    (root / "data/bins.json").write_text(json.dumps({"tokenizer_hash": tokenizer.hash, "growth": [lengths]}))
    return sum(len(text.encode()) for text in texts["val"]) / lengths["val_tokens"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, default=PROJECT / "demo", metavar="DIR")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--sizes", type=int, nargs="+", default=[512, 1024, 2048, 4096, 8192])
    args = parser.parse_args()
    texts = {name: documents_of(args.root, name) for name in ("train", "val")}
    figures = {}
    for size in args.sizes:
        with tempfile.TemporaryDirectory() as folder:
            bytes_per_token = tokenize(Path(folder), texts, size)
            settings = [f"max_minutes={args.seconds / 60}"]
            ours = race.race(Path(folder), settings, args.seconds, 0.0)
        figures[size] = {"val_bpb": round(ours["val_bpb"], 4), "bytes_per_token": round(bytes_per_token, 2),
                         "tok_per_sec": ours["tok_per_sec"], "epochs": ours["epochs"], "size": ours["size"]}
        print(f"{size}: {figures[size]}", file=sys.stderr)
    best = min(figures, key=lambda size: figures[size]["val_bpb"])
    print(json.dumps({"bench": "vocabulary", "seconds": args.seconds, "best": best, "by": figures}))


if __name__ == "__main__":
    main()
