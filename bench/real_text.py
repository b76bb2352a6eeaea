"""Real text: bits per byte after the same time on the same bytes, compared with nanoGPT.

    .venv/bin/python -m bench.real_text --root demo --nanogpt DIR     some 11 minutes, after python3 run.py --demo

Trains a new model of the default configuration on the bins of --root for --seconds, and decodes them to characters for
nanoGPT, which trains on those by its README's command for a CPU, for as many iterations as fit into that time. The
validation text is the same to the byte. Seconds are those of the training loops. Both are scored by evaluation.evaluate
over the whole validation text. Ends in one JSON line.
"""

import argparse
import json
import math
import shutil
import sys
import tempfile
from pathlib import Path

from bench import race
from bench.vocabulary import documents_of
from miniature_memory.core.paths import PROJECT

TRIAL_ITERS = 250  # of nanoGPT, to measure how many fit into the time; it saves a checkpoint after so many


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, default=PROJECT / "demo", metavar="DIR")
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--nanogpt", type=Path, metavar="DIR")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="another setting of train")
    args = parser.parse_args()
    result: dict[str, object] = {"bench": "real_text"}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "root"
        shutil.copytree(args.root / "data", root / "data", ignore=shutil.ignore_patterns("pages", "raw", "*.sqlite3*"))
        ours = race.race(root, [f"max_minutes={args.seconds / 60}", *args.set], args.seconds, 0.0)
        result |= ours
        print(f"ours: {ours}", file=sys.stderr)
        if args.nanogpt:
            texts = ["\n".join(documents_of(root, name)) + "\n" for name in ("train", "val")]
            race.write_characters(Path(folder) / "trial/data", *texts)
            race.write_characters(Path(folder) / "whole/data", *texts)
            trial = race.run_nanogpt(args.nanogpt, Path(folder) / "trial/data", TRIAL_ITERS)
            iters = round(TRIAL_ITERS * args.seconds / trial["seconds"])
            peer = race.run_nanogpt(args.nanogpt, Path(folder) / "whole/data", iters)
            del peer["peak_rss_mb"]  # the largest of all processes so far, ours included
            n_bytes = len(texts[1].encode()) / len(texts[1])  # per character
            peer["val_bpb"] = peer["val_loss"] / math.log(2) / n_bytes
            result |= {"nanogpt": peer, "ratio": round(ours["val_bpb"] / peer["val_bpb"], 4)}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
