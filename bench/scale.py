"""Scale: how many pages a second does cluster.py process with one and two workers, and the small pipeline beside it?

    .venv/bin/python -m bench.scale processing --pages 3000                 pages of the sample site, with changes
    .venv/bin/python -m bench.scale processing --pages 10000 --tiny         pages of one sentence: what the engine costs
    .venv/bin/python -m bench.scale decide --documents 200000               what no number of machines speeds up

The pages lie in WARC files. Each way reads the same ones and begins from nothing; the kept documents are compared. Ends
in one JSON line.
"""

import argparse
import hashlib
import json
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from miniature_memory.cluster import order
from miniature_memory.cluster.job import Job, Source
from miniature_memory.cluster.records import save
from miniature_memory.core.config import read_tables
from miniature_memory.core.paths import PROJECT
from miniature_memory.demo_site.pages import load_scenes

FILES = 8
WORD = re.compile(r"[a-z]{4,}")


def pages(n: int, tiny: bool) -> Iterator[tuple[str, bytes]]:
    """Scenes, each time with some of their words exchanged, of a hundred hosts; one in ten is nearly a copy."""
    scenes, rng = [scene.markdown.replace("*", "").replace("\\", "") for scene in load_scenes()], random.Random(0)
    words = sorted({word for text in scenes[:40] for word in WORD.findall(text)})
    for number in range(n):
        text = scenes[number % len(scenes)]
        share = 0.002 if rng.random() < 0.1 else 0.3
        text = text[:300] if tiny else text[:8000]
        text = WORD.sub(lambda found: rng.choice(words) if rng.random() < share else found[0], text)  # noqa: B023
        body = "".join(f"<p>{part}</p>" for part in text.split("\n\n"))
        html = f"<html lang=en><head><title>Scene {number}</title></head><body><article>{body}</article></body></html>"
        yield f"http://host{number % 100}.example/{number}", html.encode()


def write_warcs(folder: Path, n: int, tiny: bool) -> None:
    folder.mkdir()
    streams = [open(folder / f"{number}.warc.gz", "wb") for number in range(FILES)]  # noqa: SIM115
    writers = [WARCWriter(stream, gzip=True) for stream in streams]
    headers = StatusAndHeaders("200 OK", [("Content-Type", "text/html")], protocol="HTTP/1.1")
    for number, (url, html) in enumerate(pages(n, tiny)):
        writer = writers[number * FILES // n]
        writer.write_record(writer.create_warc_record(url, "response", payload=_stream(html), http_headers=headers))
    for stream in streams:
        stream.close()


def _stream(data: bytes) -> tempfile.SpooledTemporaryFile[bytes]:
    stream = tempfile.SpooledTemporaryFile[bytes](max_size=1 << 30)
    stream.write(data)
    stream.seek(0)
    return stream


def timed(*commands: list[str]) -> float:
    began = time.perf_counter()
    for command in commands:
        subprocess.run([sys.executable, *command], cwd=PROJECT, check=True, stderr=subprocess.DEVNULL)
    return time.perf_counter() - began


class Kept(NamedTuple):
    documents: int
    digest: str  # of their ids and texts, in order


def kept(folder: Path) -> Kept:
    """The clean documents of a folder of shards."""
    n, digest = 0, hashlib.sha256()
    for path in sorted(folder.glob("*.jsonl")):
        with open(path, "rb") as lines:
            for document in map(json.loads, lines):
                digest.update(json.dumps([document["id"], document["text"]]).encode())
                n += 1
    return Kept(n, digest.hexdigest())


def processing(args: argparse.Namespace) -> dict[str, object]:
    """Seconds of each way, and whether all of them keep the same documents."""
    found: dict[str, object] = {"pages": args.pages, "tiny": args.tiny}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_warcs(folder / "in", args.pages, args.tiny)
        results = []
        for workers in args.workers:
            small, out = str(folder / f"small{workers}"), folder / f"out{workers}"
            files = sorted(map(str, (folder / "in").iterdir()))
            sec = timed(["extract.py", "--root", small, "--set", f"extract.workers={workers}", "--warc", *files],
                        *([script, "--root", small] for script in ("validate.py", "clean.py", "prepare.py")))
            found[f"small_{workers}_sec"] = round(sec, 1)
            sec = timed(["cluster.py", "--workers", str(workers), "--out", str(out), str(folder / "in")])
            found[f"cluster_{workers}_sec"] = round(sec, 1)
            found[f"cluster_{workers}_pages_per_sec"] = round(args.pages / sec, 1)
            results += [kept(Path(small) / "data/clean"), kept(out / "clean")]
        found["kept"], found["same"] = results[0].documents, all(result == results[0] for result in results)
    return found


def decide(args: argparse.Namespace) -> dict[str, object]:
    """Documents a second of the one stage that is one process; three in ten share keys with earlier ones."""
    rng = np.random.default_rng(0)
    keys = rng.integers(0, 1 << 63, (args.documents, 15), dtype=np.uint64)
    copies = rng.random(args.documents) < 0.3
    for i in np.flatnonzero(copies)[1:].tolist():
        keys[i, 3:9] = keys[rng.integers(0, i), 3:9]
    records = np.empty(keys.size, order.KEY)
    records["key"], records["index"] = keys.ravel(), np.repeat(np.arange(args.documents), 15)
    records["whole"] = np.tile(np.arange(15) == 0, args.documents)
    with tempfile.TemporaryDirectory() as name:
        job = Job(Path(name), [Source("a", 1, True)], [(0, 1)], 1, read_tables(Path(name)), [])
        save(job.data("clean", 0, "keys.npy"), records, "key")
        began = time.perf_counter()
        order.keys(job, 0)
        between = time.perf_counter()
        order.decide(job, 0)
        ended = time.perf_counter()
    return {"documents": args.documents, "one_host_per_sec": round(one_host(20_000)),
            "keys_per_sec": round(args.documents / (between - began)),
            "decide_per_sec": round(args.documents / (ended - between))}


def one_host(documents: int, lines: int = 60) -> float:
    """Documents a second of stage sites, all of one host, eight of whose lines recur."""
    rng = np.random.default_rng(0)
    hashes = rng.integers(0, 1 << 63, (documents, lines), dtype=np.uint64)
    hashes[:, :8] = hashes[0, :8]
    hosts = np.zeros(documents, order.HOST)
    hosts["index"], hosts["first"] = np.arange(documents), np.arange(documents) * lines
    hosts["end"] = hosts["first"] + lines
    with tempfile.TemporaryDirectory() as name:
        job = Job(Path(name), [Source("a", 1, True)], [(0, 1)], 1, {}, [])
        save(job.data("read", 0, "hosts.npy"), hosts, "host")
        save(job.data("read", 0, "lines.npy"), hashes.ravel())
        save(job.data("same", 0, "npy"), np.empty(0, order.SAME))
        began = time.perf_counter()
        order.sites(job, 0)
        return documents / (time.perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ways = parser.add_subparsers(required=True)
    way = ways.add_parser("processing")
    way.add_argument("--pages", type=int, default=3000)
    way.add_argument("--tiny", action="store_true", help="pages of one sentence")
    way.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    way.set_defaults(run=processing)
    way = ways.add_parser("decide")
    way.add_argument("--documents", type=int, default=200_000)
    way.set_defaults(run=decide)
    args = parser.parse_args()
    print(json.dumps(args.run(args)))


if __name__ == "__main__":
    main()
