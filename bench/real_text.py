"""Real text: bits per byte after the same time on the same bytes, compared with compressors and nanoGPT.

    .venv/bin/python -m bench.real_text --root demo --seconds 10 40 300 --seeds 3 --nanogpt DIR     the plays
    .venv/bin/python -m bench.real_text --root DIR --documents                                      bench.page_text's
    .venv/bin/python -m bench.real_text --nights 5 --parts 4 --no-compressors --seconds 300         the same text again

For each number of seconds and each seed, a new model is made by `train.py --set train.max_minutes=...` from the bins of
--root: `seconds` are those of the whole process. Its release is measured on the whole validation text: `windows` and
`network` as it says itself (val_bpb and val_bpb_network: the network reads windows of block_size tokens, the counts
each document from its beginning); `documents` and `documents_network` document by document, where the network, too, has
at least half a window before each token.

--nights N trains for the longest of --seconds N times, each from the checkpoint of the night before, on the same text,
and measures val_bpb. --parts N lets the last of these models learn while it is scored, as compressors do: the
validation text comes in N parts; for a tenth of the seconds, a release trains on those before it. --seeds 0 leaves the
table out.

A compressor's figure is what the validation text adds to the compressed training text, per byte; with --documents, what
each of --sample documents adds, nothing carried from one to the next. Compressors learn while they read. Seconds are
those of one core for training and validation text. PPMd is 7-Zip's (7zz); a compressor that is not installed is
skipped, and --paq FILE adds a binary of paq8px. nanoGPT trains by its README's command for a CPU, on the same text
as characters, for as long as the longest of ours. --svg FILE draws bits per byte over seconds. Ends in one JSON line.
"""

import argparse
import json
import math
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

from bench import race
from bench.vocabulary import documents_of
from miniature_memory.core.paths import PROJECT
from miniature_memory.counting.mixture import Stretch, log_softmax
from miniature_memory.sampling.generation import Loaded, load_model
from miniature_memory.training import tokenizer as tokenizers
from miniature_memory.views import plots

TRIAL_ITERS = 250  # of nanoGPT, to measure how many fit into the time; it saves a checkpoint after so many
COMPRESSORS = {  # name -> command, which compresses FILE into OUT
    "ppmd": ["7zz", "a", "-mmt=1", "-m0=PPMd:o=16:mem=256m", "OUT.7z", "FILE"],
    "zpaq": ["zpaq", "a", "OUT.zpaq", "FILE", "-method", "5", "-threads", "1"],
}


# --- ours ----------------------------------------------------------------------------------------


def copy_bins(source: Path, folder: str) -> Path:
    root = Path(folder) / "root"
    shutil.copytree(source / "data", root / "data", ignore=shutil.ignore_patterns("pages", "raw", "*.sqlite3*"))
    return root


def train(root: Path, seconds: float, settings: list[str]) -> dict[str, Any]:
    """What the release holds after so many seconds of train.py."""
    subprocess.run([sys.executable, str(PROJECT / "train.py"), "--root", str(root), "--quiet",
                    *(f"--set=train.{one}" for one in [f"max_minutes={seconds / 60}", *settings])],
                   check=True, stdout=subprocess.DEVNULL)
    release: dict[str, Any] = torch.load(root / "checkpoints/release.pt", weights_only=True)
    return release


def train_ours(source: Path, seconds: float, seed: int, settings: list[str]) -> dict[str, Any]:
    """The figures of a release that train.py makes in so many seconds."""
    with tempfile.TemporaryDirectory() as folder:
        root, began = copy_bins(source, folder), time.perf_counter()
        scores = train(root, seconds, [f"seed={seed}", *settings])["scores"]
        spent = time.perf_counter() - began
        documents = score_documents(root)
    found = {"windows": scores["val_bpb"], "network": scores.get("val_bpb_network"), **documents}
    return {name: round(value, 4) for name, value in found.items() if value} | {
        "seconds": round(spent, 1), "peak_rss_mb": round(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e3)}


def train_nights(source: Path, seconds: float, nights: int, parts: int, settings: list[str]) -> dict[str, Any]:
    """val_bpb of each night's training on the same text; then that of a model which learns the validation text, too."""
    with tempfile.TemporaryDirectory() as folder:
        root, found = copy_bins(source, folder), []
        for _ in range(nights):
            found.append(round(train(root, seconds, settings)["history"][-1]["val_bpb"], 4))
            print(f"night {len(found)}: {found[-1]}", file=sys.stderr, flush=True)
        return {"nights": found} | ({"dynamic": score_dynamic(root, seconds / 10, parts, settings)} if parts else {})


def score_dynamic(root: Path, seconds: float, parts: int, settings: list[str]) -> float:
    """Bits per byte of the validation text in `parts`, each scored by a release that has trained on those before it."""
    tokenizer, info = tokenizers.load(root / "data/tokenizer"), json.loads((root / "data/bins.json").read_text())
    sizes = tokenizer.token_bytes()
    train_ids, val_ids = (np.fromfile(root / f"data/{name}.bin", dtype="<u2") for name in ("train", "val"))
    ends = np.flatnonzero(val_ids == tokenizer.eot_token) + 1
    cuts = [ends[round(len(ends) * i / parts) - 1] for i in range(1, parts)]
    bits = 0.0
    for part in np.split(val_ids, cuts):
        part.tofile(root / "data/val.bin")
        train_ids.tofile(root / "data/train.bin")
        info["growth"].append({**info["growth"][-1], "train_tokens": len(train_ids), "val_tokens": len(part)})
        (root / "data/bins.json").write_text(json.dumps(info))
        scores = train(root, seconds, settings)["scores"]
        bits += scores["val_bpb"] * int(sizes[part].sum())
        train_ids = np.concatenate((train_ids, part))
    return round(bits / int(sizes[val_ids].sum()), 4)


@torch.no_grad()
def score_documents(root: Path) -> dict[str, float]:
    """Bits per byte of the validation text, each document from its beginning and with at least half a window of the
    network before each token."""
    loaded = load_model(root)
    end, sizes = loaded.tokenizer.eot_token, loaded.tokenizer.token_bytes()
    ids = np.fromfile(root / "data/val.bin", dtype="<u2").astype(np.int64)
    totals = np.zeros(3)  # nats of the mixture and of the network, bytes
    for document in np.split(ids, np.flatnonzero(ids == end) + 1):
        for stretch in overlapping(loaded, np.append(end, document)):
            targets, network = stretch.document[stretch.first:], log_softmax(stretch.logits)
            mixed = loaded.mixture.log_probs(stretch) if loaded.mixture else network
            has_bytes = np.flatnonzero(sizes[targets])
            nats = (-log_p[has_bytes, targets[has_bytes]].sum(dtype=np.float64) for log_p in (mixed, network))
            totals += (*nats, sizes[targets].sum())
    bits = (totals[:2] / totals[2] / math.log(2)).tolist()
    return dict(zip(("documents", "documents_network"), bits, strict=True))


def overlapping(loaded: Loaded, ids: np.ndarray) -> Iterator[Stretch]:
    """The stretches of a document, each half a window of the network; it begins with the end-of-text token."""
    model, document = loaded.model, ids.astype(np.int32)
    size, states = model.config.block_size, np.zeros((0, model.config.n_embd), np.float32)
    for first in range(0, len(ids) - 1, size // 2):
        last, begin = min(first + size // 2, len(ids) - 1), max(0, first - size // 2)
        new = model.stream(torch.from_numpy(ids[None, begin:last]))[0, first - begin:]
        states = np.concatenate((states, new.numpy()))
        yield Stretch(document[:last + 1], first + 1, states, model.head(new).numpy())


# --- the peers -----------------------------------------------------------------------------------


def compressed(command: list[str], text: bytes) -> tuple[int, float]:
    """The bytes of the compressed text, and the seconds that it takes."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "FILE").write_bytes(text)
        began = time.perf_counter()
        subprocess.run([part.replace("OUT", "out") for part in command], cwd=folder, check=True, capture_output=True)
        spent = time.perf_counter() - began
        return next(path.stat().st_size for path in Path(folder).iterdir() if path.name != "FILE"), spent


def comparable(text: bytes, added: int) -> bytes:
    """The text, after blanks where a power of two lies between its length and that with `added` bytes more. Compressors
    take more memory from there on, and predict the whole text better, so that what is added would seem to cost little.
    """
    most = len(text) + added + 4095  # zpaq's margin
    return text if most.bit_length() == (len(text) - 1).bit_length() else text.rjust((1 << most.bit_length() - 1) + 1)


def score_compressor(command: list[str], train: list[str], val: list[str], sample: int) -> dict[str, float]:
    """Bits per byte; sample: documents that are measured one by one, 0: all at once."""
    chosen = [val[i].encode() for i in np.linspace(0, len(val) - 1, min(sample, len(val))).astype(int)] if sample else [
        "".join(val).encode()]
    before = comparable("".join(train).encode(), max(map(len, chosen)))
    n_before, seconds = compressed(command, before)
    added = [compressed(command, before + text) for text in chosen]
    bits = 8 * sum(n - n_before for n, _ in added) / sum(map(len, chosen))
    return {"bpb": round(bits, 4), "seconds": round(median([seconds, *(sec for _, sec in added)]), 1)}


def run_nanogpt(folder: Path, texts: list[str], seconds: float) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as temporary:
        for name in ("trial", "whole"):
            race.write_characters(Path(temporary) / name / "data", *texts)
        trial = race.run_nanogpt(folder, Path(temporary) / "trial/data", TRIAL_ITERS)
        peer = race.run_nanogpt(folder, Path(temporary) / "whole/data",
                                round(TRIAL_ITERS * seconds / trial["seconds"]))
    n_bytes = len(texts[1].encode()) / len(texts[1])  # per character
    return {"bpb": round(peer["val_loss"] / math.log(2) / n_bytes, 4), "seconds": peer["seconds"]}


def draw(ours: dict[str, Any], peers: dict[str, Any], column: str) -> str:
    """Bits per byte over seconds."""
    def points(name: str) -> list[tuple[float, float]]:
        return [(run["seconds"], run[name]) for run in ours.values() if name in run]

    network = "network" if column == "windows" else "documents_network"
    series = {"network and counts": points(column), "network alone": points(network),
              **{name: [(peer["seconds"], peer["bpb"])] for name, peer in peers.items()}}
    return plots.standalone([("Bits per byte of held-out text", plots.lines(
        "Bits per byte", series, "seconds", "bits per byte", log_x=True))])


# --- the table -----------------------------------------------------------------------------------


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, default=PROJECT / "demo", metavar="DIR")
    parser.add_argument("--seconds", type=float, nargs="*", default=[10.0, 40.0, 300.0])
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--nights", type=int, default=0)
    parser.add_argument("--parts", type=int, default=0)
    parser.add_argument("--documents", action="store_true", help="compressors document by document")
    parser.add_argument("--sample", type=int, default=30, help="how many of them")
    parser.add_argument("--no-compressors", action="store_true")
    parser.add_argument("--nanogpt", type=Path, metavar="DIR")
    parser.add_argument("--paq", type=Path, metavar="FILE")
    parser.add_argument("--svg", type=Path, metavar="FILE")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="another setting of train")
    args = parser.parse_args()
    texts = {name: documents_of(args.root, name) for name in ("train", "val")}
    ours: dict[str, Any] = {}
    for seconds in args.seconds if args.seeds else []:
        runs = [train_ours(args.root, seconds, 1337 + i, args.set) for i in range(args.seeds)]
        for run in runs:
            print(f"{seconds:g} s: {run}", file=sys.stderr, flush=True)
        ours[f"{seconds:g}"] = {name: median(run[name] for run in runs) for name in runs[0]}
    repeated = train_nights(args.root, max(args.seconds), args.nights, args.parts, args.set) if args.nights else {}
    peers: dict[str, Any] = {}
    commands = {name: command for name, command in COMPRESSORS.items() if shutil.which(command[0])}
    if args.paq:
        commands["paq8px"] = [str(args.paq.resolve()), "-7", "FILE", "OUT.paq"]
    for name, command in {} if args.no_compressors else commands.items():
        peers[name] = score_compressor(command, texts["train"], texts["val"], args.sample if args.documents else 0)
        print(f"{name}: {peers[name]}", file=sys.stderr, flush=True)
    if args.nanogpt:
        peers["nanogpt"] = run_nanogpt(args.nanogpt, ["\n".join(part) + "\n" for part in texts.values()],
                                       max(args.seconds))
    if args.svg:
        args.svg.write_text(draw(ours, peers, "documents" if args.documents else "windows"), encoding="utf-8")
    print(json.dumps({"bench": "real_text", "ours": ours, **repeated, **peers}))


if __name__ == "__main__":
    main()
