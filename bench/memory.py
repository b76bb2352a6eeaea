"""Two gigabytes: does a night on 200,000 documents, 1 GB of text, fit, and need no more than a tenth of them does?

    .venv/bin/python -m bench.memory                      half an hour
    .venv/bin/python -m bench.memory --documents 5000     two minutes
    .venv/bin/python -m bench.memory --cluster            then the same through cluster.py, compared: another half

One root gets two nights, by run.py --texts: a tenth of the documents, then the rest; training takes a minute of each.
After each, what a night builds step by step is built at once: the full-text index, and the suffix array that is
counted in. Everything runs in a memory control group of --limit-mb, if this process may make one (as root it may).

The documents are made of sentences of the plays and of words of theirs with new ones among them, 5 KB each. One in ten
is nearly an earlier one, one in twenty a page in a WARC file. Few hosts have many of them and thousands have few; each
has two lines of its own. The memory of all processes is sampled five times a second: the proportional set size, and
the part of it that no file backs. Prints a row per stage; ends in one JSON line.
"""

import argparse
import contextlib
import hashlib
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import NamedTuple

from bench.scale import kept
from miniature_memory.core.paths import PROJECT
from miniature_memory.core.process import process_tree
from miniature_memory.crawl.warc import exchange_records
from miniature_memory.crawl.web import Fetched
from miniature_memory.demo_site.pages import load_scenes, scene_text
from miniature_memory.storage.catalog import Catalog

TENTH, REST = "in/a", "in/b"  # folders of documents
FILE_DOCUMENTS = 10_000
PARAGRAPHS = 2, 20  # of a document; of one in LONG twenty times as many
LONG = 500
NEW_WORDS = 0.5  # of a paragraph, that hardly any other has: real text keeps bringing some
COPY_EVERY, PAGE_EVERY = 10, 20
HOSTS = 5000
AT = "2026-01-01T00:00:00Z"
SETTINGS = '[train]\nmax_minutes = 1.0\n[search]\nproviders = []\n'
GROUPS = Path("/sys/fs/cgroup")
SAMPLE_SEC = 0.2
ROWS = ("extract", "validate", "clean", "prepare", "train", "sample", "report", "index", "find", "counts")
COUNTS = """import sys
from pathlib import Path
from miniature_memory.counting.suffixes import MOST_TOKENS, update_suffixes
update_suffixes(Path(sys.argv[1]), min(int(sys.argv[2]), MOST_TOKENS), int(sys.argv[3]))
"""
IMPORTS = {"python": "", "numpy": "import numpy", "torch": "import torch", "torch_and_numba": "import torch, numba"}


# --- the documents -------------------------------------------------------------------------------


class Document(NamedTuple):
    url: str
    title: str
    text: str


class Writer:
    """Makes document after document, the same ones each time."""

    def __init__(self) -> None:
        text = "\n".join(map(scene_text, load_scenes()))
        self.sentences = [" ".join(found.split()) for found in re.findall(r"[A-Z][^.!?\[\]]{40,300}[.!?]", text)]
        self.words = re.findall(r"[a-z]+", text)

    def body(self, number: int) -> str:
        dice = random.Random(number)
        n = dice.randrange(*PARAGRAPHS) * (20 if dice.randrange(LONG) == 0 else 1)
        return "\n\n".join(self.paragraph(dice) for _ in range(n))

    def paragraph(self, dice: random.Random) -> str:
        made = dice.choices(self.words, k=16)
        if dice.random() < NEW_WORDS:
            made.append("".join(dice.choices(self.words, k=2)))
        return " ".join([*dice.choices(self.sentences, k=3), " ".join(made).capitalize() + "."])

    def document(self, number: int) -> Document:
        dice = random.Random(number + (1 << 32))
        host = int(dice.paretovariate(1)) % HOSTS
        is_copy = number % COPY_EVERY == COPY_EVERY - 1
        text = self.body(dice.randrange(number)) + f"\n\nAdded on day {number}." if is_copy else self.body(number)
        text = f"Pages of the site with the number {host}\n\n{text}\n\nAll rights belong to the people of site {host}"
        return Document(f"http://host{host}.example/{number}.html", f"Document {number}", text)


def write_documents(folder: Path, numbers: range) -> int:
    """Files of JSON lines, and a WARC file of the pages; returns the bytes of their text."""
    folder.mkdir(parents=True)
    writer, n_bytes = Writer(), 0
    with contextlib.ExitStack() as stack:
        pages = stack.enter_context(open(folder / "pages.warc.gz", "wb"))
        for number in numbers:
            if not (number - numbers[0]) % FILE_DOCUMENTS:
                lines = stack.enter_context(open(folder / f"documents-{number:07}.jsonl", "wb"))
            document = writer.document(number)
            n_bytes += len(document.text.encode())
            if number % PAGE_EVERY:
                lines.write(json.dumps(document._asdict()).encode() + b"\n")
            else:
                pages.write(as_record(document, number))
    for path in folder.iterdir():
        os.utime(path, (1e9, 1e9))  # a file that was just written may still change
    return n_bytes


def as_record(document: Document, number: int) -> bytes:
    body = "".join(f"<p>{escape(paragraph)}</p>\n" for paragraph in document.text.split("\n\n"))
    page = (f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{document.title}</title></head><body>'
            f"<nav><a href='/'>Home</a></nav><article><h1>{document.title}</h1>{body}</article></body></html>").encode()
    answer = Fetched(document.url, 200, "OK", [("Content-Type", "text/html; charset=utf-8")], page, page)
    return exchange_records(answer, AT, {"WARC-Record-ID": f"<urn:uuid:00000000-0000-4000-8000-{number:012}>"}).response


# --- the control group ---------------------------------------------------------------------------


class Group:
    """A memory control group, of either version; without the right to make one, none."""

    def __init__(self, limit_mb: int) -> None:
        self.limit_mb, is_old = limit_mb, (GROUPS / "memory").is_dir()
        self.folder: Path | None = (GROUPS / "memory" if is_old else GROUPS) / f"miniature-memory-{os.getpid()}"
        limit, self.events = (("memory.limit_in_bytes", "memory.oom_control") if is_old else
                              ("memory.max", "memory.events"))
        try:
            self.folder.mkdir()
            (self.folder / limit).write_text(str(limit_mb * 1_000_000))
        except OSError as error:
            print(f"no control group ({error}): memory is measured, and not limited", file=sys.stderr)
            with contextlib.suppress(OSError):
                self.folder.rmdir()
            self.folder = None

    def command(self, command: list[str]) -> list[str]:
        """`command`, within the group."""
        if not self.folder:
            return command
        return ["sh", "-c", 'echo $$ >"$0" && exec "$@"', str(self.folder / "cgroup.procs"), *command]

    def facts(self) -> dict[str, int | None]:
        """The limit, and how many processes it has ended."""
        if not self.folder:
            return {"limit_mb": None}
        found = re.search(r"^oom_kill (\d+)", (self.folder / self.events).read_text(), re.MULTILINE)
        return {"limit_mb": self.limit_mb, "oom_kills": int(found[1]) if found else 0}

    def remove(self) -> None:
        for _ in range(50):  # until its last process is gone
            with contextlib.suppress(OSError):
                return self.folder.rmdir() if self.folder else None
            time.sleep(0.1)


# --- measuring -----------------------------------------------------------------------------------


class Memory(NamedTuple):
    """MB: proportional set size, and the part of it that no file backs."""

    all: float = 0.0
    anonymous: float = 0.0


class Watch(threading.Thread):
    """The peaks of memory of each script that a process runs, or of the process itself under the name that it has."""

    def __init__(self, pid: int, name: str) -> None:
        super().__init__(daemon=True)
        self.pid, self.script = pid, name
        self.peaks: dict[str, Memory] = {}
        self.ended = threading.Event()

    def run(self) -> None:
        while not self.ended.wait(SAMPLE_SEC):
            own, *others = process_tree(self.pid)
            script = self.script or (script_of(others[0]) if others else "")
            if script:
                found = [memory_of(pid) for pid in ([own] if self.script else []) + others]
                now, peak = Memory(*map(sum, zip(*found, strict=True))), self.peaks.get(script, Memory())
                self.peaks[script] = Memory(max(now.all, peak.all), max(now.anonymous, peak.anonymous))


def script_of(pid: int) -> str:
    """Of one that run.py runs: the stage, sample or report."""
    with contextlib.suppress(OSError):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        name = next((Path(os.fsdecode(word)).stem for word in words if word.endswith(b".py")), "")
        return "report" if name == "run" else name
    return ""


def memory_of(pid: int) -> Memory:
    with contextlib.suppress(OSError):  # it has ended
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
        found = dict(re.findall(r"^(Pss|Pss_Anon):\s+(\d+)", rollup, re.MULTILINE))
        return Memory(int(found.get("Pss", 0)) * 1024 / 1e6, int(found.get("Pss_Anon", 0)) * 1024 / 1e6)
    return Memory()


def watched(command: list[str], group: Group, name: str = "") -> tuple[dict[str, Memory], float]:
    """Run a Python command: the peaks of memory of each script that it runs, or its own if it has a name; seconds."""
    began = time.monotonic()
    process = subprocess.Popen(group.command([sys.executable, *command]), cwd=PROJECT, stdout=subprocess.DEVNULL)
    watch = Watch(process.pid, name)
    watch.start()
    code = process.wait()
    watch.ended.set()
    watch.join()
    if code:
        raise SystemExit(f"{' '.join(command)[:200]}: exit code {code}")
    return watch.peaks, time.monotonic() - began


class Row(NamedTuple):
    memory: Memory
    sec: float
    documents: int


def night(root: Path, inputs: Path, group: Group) -> dict[str, Row]:
    """One run over new documents, and then what it has built step by step, at once."""
    peaks, _ = watched(["run.py", "--root", str(root), "--texts", str(inputs)], group)
    last_run = json.loads((root / "data/runs.jsonl").read_bytes().splitlines()[-1])
    stats = {one["stage"]: one for one in last_run["stages"]}
    rows = {name: Row(peak, 0.0, 0) for name, peak in peaks.items()}
    for name, of in stats.items():  # its own peak, too: one of a moment is seen by the one or the other
        peak = peaks.get(name, Memory())
        rows[name] = Row(peak._replace(all=max(peak.all, of["peak_mb"])), of["elapsed_sec"], of["n_in"])
    with Catalog(root, read_only=True) as catalog:
        n_clean = catalog.value("SELECT count(*) FROM clean_documents")
    bins = json.loads((root / "data/bins.json").read_bytes())
    for path in root.glob("data/suffixes.*"):
        path.unlink()
    counts = ["-c", COUNTS, str(root), str(bins["growth"][-1]["train_tokens"]), str(bins["vocab_size"])]
    for name, command in {"index": ["clean.py", "--root", str(root), "--index", "--quiet"], "counts": counts,
                          "find": ["run.py", "--root", str(root), "--find", "harbour light"]}.items():
        peaks, sec = watched(command, group, name)
        rows[name] = Row(peaks.get(name, Memory()), sec, n_clean)
    for name, row in rows.items():
        print(f"{name:9} {row.documents:8,} documents {row.sec:7.1f} s {row.memory.all:6.0f} MB, of them anonymous "
              f"{row.memory.anonymous:.0f}", file=sys.stderr)
    return rows


def least() -> dict[str, float]:
    """MB of an interpreter that has done nothing but import something."""
    found = {}
    for name, program in IMPORTS.items():
        program += "\nprint(open('/proc/self/smaps_rollup').read())"
        done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
        found[name] = round(int(re.findall(r"^Pss:\s+(\d+)", done.stdout, re.MULTILINE)[0]) * 1024 / 1e6, 1)
    return found


def figures(tenth: dict[str, Row], whole: dict[str, Row]) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    for name in ROWS:
        if name in whole and name in tenth and tenth[name].memory.all:  # not so short that it was never seen
            a, b = tenth[name], whole[name]
            found[name] = {"tenth_mb": round(a.memory.all, 1), "whole_mb": round(b.memory.all, 1),
                           "ratio": round(b.memory.all / a.memory.all, 3),
                           "tenth_anonymous_mb": round(a.memory.anonymous, 1),
                           "whole_anonymous_mb": round(b.memory.anonymous, 1), "tenth_sec": round(a.sec, 1),
                           "whole_sec": round(b.sec, 1),
                           "whole_per_sec": round(b.documents / b.sec) if b.sec else 0}
    return found


# --- cluster.py ----------------------------------------------------------------------------------


def compare(folder: Path, root: Path, group: Group) -> dict[str, object]:
    """The same documents through cluster.py: what it keeps, rejects and writes, compared with the small pipeline, whose
    bins are made again so that their tokenizer, too, has seen all documents."""
    peaks, sec = watched(["prepare.py", "--root", str(root), "--retokenize", "--quiet"], group, "rebuild")
    found: dict[str, object] = {"rebuild_mb": round(peaks["rebuild"].all, 1), "rebuild_sec": round(sec, 1)}
    out = folder / "cluster"
    peaks, sec = watched(["cluster.py", "--root", str(root), "--executor", "local", "--workers", "2", "--out", str(out),
                          str(folder / "in"), "--quiet"], group, "cluster")
    small, large = kept(root / "data/clean"), kept(out / "clean")
    return found | {"mb": round(peaks["cluster"].all, 1), "sec": round(sec, 1), "kept": large.documents,
                    "same_documents": small == large,
                    "same_rejections": reasons(root / "data/rejected.jsonl") == reasons(*(out / "rejected").iterdir()),
                    "same_bins": all(digest(root / "data" / name) == digest(out / name)
                                     for name in ("train.bin", "val.bin", "tokenizer/ranks.tiktoken"))}


def reasons(*paths: Path) -> Counter[tuple[str, str, str]]:
    """Which stage has rejected which document, and why."""
    def rejections() -> Iterator[tuple[str, str, str]]:
        for path in paths:
            with open(path, "rb") as stream:
                for line in stream:
                    rejected = json.loads(line)
                    yield rejected["stage"], rejected["reason"], rejected["id"]

    return Counter(rejections())


def digest(path: Path) -> str:
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def measure(folder: Path, args: argparse.Namespace, group: Group) -> dict[str, object]:
    root, tenth, began = folder / "root", args.documents // 10, time.monotonic()
    (root / "config").mkdir(parents=True)
    (root / "config/default.toml").write_text(SETTINGS)
    n_bytes = sum(write_documents(folder / name, numbers) for name, numbers in (
        (TENTH, range(tenth)), (REST, range(tenth, args.documents))))
    print(f"{n_bytes / 1e6:.0f} MB of text made in {time.monotonic() - began:.0f} s", file=sys.stderr)
    began = time.monotonic()
    rows = [night(root, folder / name, group) for name in (TENTH, REST)]
    found: dict[str, object] = {"documents": args.documents, "text_mb": round(n_bytes / 1e6), "least_mb": least(),
                                "nights_sec": round(time.monotonic() - began), "stages": figures(*rows)}
    if args.cluster:
        found["cluster"] = compare(folder, root, group)
    return found | group.facts()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=200_000)
    parser.add_argument("--limit-mb", type=int, default=2000)
    parser.add_argument("--root", type=Path, metavar="DIR", help="an empty folder, which keeps everything")
    parser.add_argument("--cluster", action="store_true", help="also the same through cluster.py")
    args = parser.parse_args()
    folder = args.root.absolute() if args.root else Path(tempfile.mkdtemp(prefix="memory-"))
    group = Group(args.limit_mb)
    try:
        print(json.dumps({"bench": "memory", **measure(folder, args, group)}))
    finally:
        group.remove()
        if not args.root:
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()
