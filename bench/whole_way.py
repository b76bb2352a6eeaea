"""Whole way: how long, in how much memory, and with what result does a newcomer's first run go?

    .venv/bin/python -m bench.whole_way                         clone, ./setup.sh, python3 run.py, and run.py again
    .venv/bin/python -m bench.whole_way --memory-limit-mb 2048  the same in a memory control group (needs root)
    .venv/bin/python -m bench.whole_way --network vanishing     the same where every packet to the world is lost (root)
    .venv/bin/python -m bench.whole_way --no-clone --set train.max_minutes=0.5    this checkout, shorter

Memory is the proportional set size summed over run.py and all it starts, sampled five times a second. The result is
compared with the plays' Markdown: word F1 of each raw document, the share that cleaning kept, and the decoded bins.
Prints one JSON line at the end.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from bench.extraction import word_f1
from miniature_memory.core.paths import PROJECT
from miniature_memory.core.process import PeakMemory
from miniature_memory.demo_site.pages import load_scenes, scene_text
from miniature_memory.storage import pages
from miniature_memory.storage.catalog import Catalog
from miniature_memory.training.tokenizer import load

# A network of its own whose only way out leads nowhere: names are looked up, and no answer ever arrives
VANISHING = ["unshare", "--net", "--mount", "sh", "-c", """
    ip link set lo up && ip link add nowhere type veth peer name nobody && ip addr add 10.99.0.2/24 dev nowhere &&
    ip link set nowhere up && ip link set nobody up && ip route add default via 10.99.0.1 &&
    ip neigh add 10.99.0.1 lladdr 02:00:00:00:00:01 dev nowhere &&
    echo nameserver 10.99.0.1 > /tmp/resolv.$$ && mount --bind /tmp/resolv.$$ /etc/resolv.conf && exec "$0" "$@"
    """]


def timed(command: list[str], folder: Path, group: Path | None = None, vanishing: bool = False) -> tuple[float, float]:
    """(seconds, peak MB) of a command and all it starts. Raises CalledProcessError when it fails."""
    def join_group() -> None:
        if group:
            (group / "cgroup.procs").write_text(str(os.getpid()))

    started = time.monotonic()
    process = subprocess.Popen((VANISHING if vanishing else []) + command, cwd=folder, stdout=sys.stderr,
                               stdin=subprocess.DEVNULL, env=clean_environment(), preexec_fn=join_group)
    memory = PeakMemory(process.pid)
    memory.start()
    code = process.wait()
    seconds, peak = time.monotonic() - started, memory.stop()
    if code:
        raise subprocess.CalledProcessError(code, command)
    return seconds, peak


def clean_environment() -> dict[str, str]:
    """This environment without the active virtual environment, which a newcomer does not have."""
    own = os.environ.get("VIRTUAL_ENV", str(PROJECT / ".venv"))
    path = [p for p in os.environ["PATH"].split(":") if not p.startswith(own)]
    return {k: v for k, v in os.environ.items() if k != "VIRTUAL_ENV"} | {"PATH": ":".join(path)}


def memory_group(limit_mb: int) -> Path:
    """A new memory control group, version 2 or 1."""
    base = Path("/sys/fs/cgroup")
    two = (base / "cgroup.controllers").exists()
    group = (base if two else base / "memory") / f"miniature-memory-{os.getpid()}"
    group.mkdir()
    (group / ("memory.max" if two else "memory.limit_in_bytes")).write_text(str(limit_mb << 20))
    return group


# --- what arrived --------------------------------------------------------------------------------


def read_lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for path in sorted(folder.glob("*.jsonl")) for line in path.open(encoding="utf-8")]


def decoded(root: Path) -> Counter[str]:
    """The documents in the bins, read as nanoGPT does."""
    tokenizer = load(root / "data/tokenizer")
    texts: Counter[str] = Counter()
    for split in ("train", "val"):
        ids = np.memmap(root / f"data/{split}.bin", dtype=np.uint16, mode="r")
        ends = np.flatnonzero(ids == tokenizer.eot_token)
        texts.update(tokenizer.decode(part) for part in np.split(ids, ends + 1)[:-1])
    return texts


def arrived(root: Path) -> dict[str, Any]:
    scenes = {scene.url: scene for scene in load_scenes()}
    raw = {d["metadata"]["url"]: d for d in read_lines(root / "data/raw") if d["metadata"]["url"] in scenes}
    clean = read_lines(root / "data/clean")
    kept = {d["id"] for d in clean}
    long = [d["id"] for url, d in raw.items() if len(scene_text(scenes[url]).split()) >= 50]
    with Catalog(root, read_only=True) as catalog:
        n_pages = pages.count(catalog)
        refetched = n_pages - pages.count_urls(catalog)
    return {"pages": n_pages, "scene_pages": len(raw), "refetched": refetched, "documents": len(clean),
            "word_f1": round(sum(word_f1(d["text"], scene_text(scenes[url])) for url, d in raw.items())
                             / max(1, len(raw)), 4),
            "kept_frac": round(sum(i in kept for i in long) / max(1, len(long)), 4),
            "bins_decode": decoded(root) == Counter(d["text"] for d in clean),
            "tokens": sum((root / f"data/{split}.bin").stat().st_size // 2 for split in ("train", "val"))}


def last_run(root: Path) -> dict[str, Any]:
    """stage -> StageStats of the last line of the run history."""
    line = (root / "data/runs.jsonl").read_text(encoding="utf-8").splitlines()[-1]
    return {report["stage"]: report for report in json.loads(line)["reports"]}


# --- the question --------------------------------------------------------------------------------


def measure(folder: Path, args: argparse.Namespace, settings: list[str]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    group = memory_group(args.memory_limit_mb) if args.memory_limit_mb else None
    lost = args.network == "vanishing"
    try:
        if not args.no_clone:
            result["setup_seconds"] = round(timed(["./setup.sh"], folder, group)[0], 1)
            result["setup_again_seconds"] = round(timed(["./setup.sh"], folder, group)[0], 1)
        command = ["python3", "run.py", *(["--demo"] if args.no_clone else []), *settings]
        seconds, peak = timed(command, folder, group, lost)
        demo = folder / "demo"
        if not args.no_clone:
            result["search_seconds"] = last_run(folder)["search"]["elapsed_sec"]
        train = last_run(demo)["train"]
        result |= {"seconds": round(seconds, 1), "peak_mb": round(peak, 1), "train_peak_mb": train["peak_mb"],
                   **arrived(demo), "val_bpb": train["facts"]["val_bpb"]}
        before = result["documents"]
        result["second_seconds"] = round(timed(["python3", "run.py", "--demo", *settings], folder, group, lost)[0], 1)
        again = arrived(demo)
        result |= {"second_refetched": again["refetched"], "second_new_documents": again["documents"] - before,
                   "second_val_bpb": last_run(demo)["train"]["facts"]["val_bpb"]}
    finally:
        if group:
            group.rmdir()
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--no-clone", action="store_true", help="measure run.py --demo in this checkout")
    parser.add_argument("--memory-limit-mb", type=int, default=0)
    parser.add_argument("--network", choices=["as it is", "vanishing"], default="as it is")
    parser.add_argument("--set", action="append", default=[], dest="overrides", metavar="TABLE.KEY=VALUE")
    args = parser.parse_args()
    settings = [part for override in args.overrides for part in ("--set", override)]
    if args.no_clone:
        result = measure(PROJECT, args, settings)
    else:
        with tempfile.TemporaryDirectory(prefix="whole-way-") as temporary:
            folder = Path(temporary) / "miniature-memory"
            subprocess.run(["git", "clone", "--quiet", str(PROJECT), str(folder)], check=True)
            result = measure(folder, args, settings)
    print(json.dumps({"bench": "whole_way", "network": args.network, "memory_limit_mb": args.memory_limit_mb,
                      "settings": args.overrides, "cores": os.cpu_count(), **result}))


if __name__ == "__main__":
    main()
