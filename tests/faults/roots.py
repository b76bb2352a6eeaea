"""Small roots: made once by real runs over a small site, then copied for each case; and what a root holds."""

import contextlib
import hashlib
import json
import random
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from miniature_memory.views.history import read_history
from tests.faults.machine import Machine
from tests.helpers import PROSE
from tests.local_server import HTML, Answer, LocalServer, serve

N_PAGES = 20
FRENCH = ("Le navire restait dans le port et le vieux capitaine marchait sur le pont pour regarder le ciel. Les hommes "
          "attendaient la marée du soir avec beaucoup de patience, car le vent ne soufflait pas encore. ")
WORDS = [word.strip(".").lower() for word in PROSE.split()]
SETTINGS = """
[web]
connect_to = ["faults.invalid=127.0.0.1:{port}"]
[search]
providers = ["sitemaps"]
pause_sec = 0.0
[scrape]
delay_sec = 0.0
workers = 1
[extract]
workers = 1
[clean]
preset = "off"
[prepare]
vocab_size = 300
freeze_bytes = 1000
[train]
size = "1x16"
block_size = 16
ngram_rows = 512
batch_size = 4
warmup_iters = 2
max_iters = {iters}
max_minutes = 0.0
max_epochs = 0
eval_minutes = 60.0
keep_releases = 2
[sample]
max_new_tokens = 12
num_samples = 1
"""


def text(n: int, seed: str = "") -> str:
    draw = random.Random(f"{n}{seed}")
    sentences = (" ".join(draw.choices(WORDS, k=draw.randint(8, 16))).capitalize() + ". " for _ in range(9))
    return f"Ship {n}{seed} sails. " + "".join(sentences)


def routes(seed: str = "") -> dict[str, Answer]:
    texts = [text(n, seed) for n in range(N_PAGES - 1)]
    texts.insert(3, FRENCH * 3)
    pages: dict[str, Answer] = {
        f"/{n}": (200, HTML, (f"<html><head><title>Page {n}</title></head><body><article><p>"
                              + one.replace(". ", ".<p>") + "</article></body></html>").encode())
        for n, one in enumerate(texts)}
    return pages | {"/sitemap.xml": sitemap(N_PAGES)}


def sitemap(n_pages: int) -> Answer:
    places = "".join(f"<url><loc>http://faults.invalid/{n}</loc></url>" for n in range(n_pages))
    return 200, {"Content-Type": "application/xml"}, (
        f'<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">{places}</urlset>').encode()


def configure(root: Path, server: LocalServer, pages: int, iters: int) -> None:
    """Let the site have so many pages, and the model so many iterations to live."""
    server.routes["/sitemap.xml"] = sitemap(pages)
    (root / "config").mkdir(parents=True, exist_ok=True)
    (root / "config/default.toml").write_text(SETTINGS.format(port=server.port, iters=iters))
    (root / "config/queries.txt").write_text("old ships\n")
    (root / "config/seeds.txt").write_text("sitemap http://faults.invalid/sitemap.xml\n")


def make(root: Path, machine: Machine, server: LocalServer, runs: int = 2) -> None:
    """A root after two runs, which finds six new pages, and something to learn, in the third."""
    for pages, iters in ((8, 8), (14, 16))[:runs]:
        configure(root, server, pages, iters)
        run(root, machine)
    configure(root, server, N_PAGES, 24)


class Roots(NamedTuple):
    whole: Path  # after two runs
    other: Path  # of another site, after one
    holds: "Contents"  # what `whole` holds after a third run
    writes: str  # what sample.py prints for `whole`


@contextlib.contextmanager
def made(folder: Path, machine: Machine) -> Iterator[Roots]:
    """Roots in `folder`, which may hold them already. While this block runs, their sites answer."""
    whole, other, after = folder / "whole", folder / "other", folder / "after"
    with serve(routes()) as server, serve(routes(" of others")) as others:
        if not after.exists():
            make(whole, machine, server)
            make(other, machine, others, 1)
            run(copied(whole, after), machine)
        configure(whole, server, N_PAGES, 24)
        configure(other, others, N_PAGES, 24)
        yield Roots(whole, other, contents(after), machine.run(f"python3 sample.py --root {whole}").output)


def run(root: Path, machine: Machine) -> None:
    done = machine.run(f"python3 run.py --root {root}")
    assert done.code == 0, done.output


def copied(root: Path, target: Path) -> Path:
    """A copy with its links: checkpoints/ckpt.prev.pt may be a second name."""
    if target.exists():
        remove(target)
    shutil.copytree(root, target, symlinks=True)
    return target


def remove(root: Path) -> None:
    shutil.rmtree(root, ignore_errors=True)


# --- what a root holds ---------------------------------------------------------------------------


class Contents(NamedTuple):
    raw: tuple[str, ...]  # ids, in their order
    clean: tuple[str, ...]  # texts, in their order
    bins: tuple[str, str]  # SHA-256
    models: tuple[str, ...]  # SHA-256 of ckpt.pt, and what was measured of its release


def contents(root: Path) -> Contents:
    """What would be wrong if it were different. Raises OSError or ValueError if it cannot be read."""
    raw = [line["id"] for line in rows_of(root, "documents")]
    clean = [line["text"] for line in rows_of(root, "clean_documents")]
    bins = tuple(hashlib.sha256((root / f"data/{split}.bin").read_bytes()).hexdigest() for split in ("train", "val"))
    facts = [run.stages["train"].facts for run in read_history(root).runs if "train" in run.stages]
    model = hashlib.sha256((root / "checkpoints/ckpt.pt").read_bytes()).hexdigest()
    return Contents(tuple(raw), tuple(clean), (bins[0], bins[1]), (model, str(facts[-1:] and facts[-1].get("val_bpb"))))


WHOLE = {"documents": " WHERE validation != 'damaged'"}


def rows_of(root: Path, table: str) -> list[dict[str, Any]]:
    """The lines of a table that the catalog names, in its order, without those that a repair has set aside."""
    found = []
    with contextlib.closing(sqlite3.connect(root / "data/catalog.sqlite3")) as db:
        for file, offset, length in db.execute(
                f"SELECT file, offset, length FROM {table}{WHOLE.get(table, '')} ORDER BY seq"):
            with open(root / file, "rb") as stream:
                stream.seek(offset)
                found.append(json.loads(stream.read(length)))
    return found


def committed(root: Path, scratch: Path) -> dict[str, bytes]:
    """The committed bytes of each append-only file, by its path; looked up in a copy of the catalog. Raises ValueError
    if a file is shorter than its catalog says."""
    found: dict[str, bytes] = {}
    with database(root, "catalog", scratch) as db:
        if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'files'").fetchone():
            return {}
        swap = db.execute("SELECT value FROM state WHERE key = 'swap'").fetchone()
        waiting = json.loads(swap[0]) if swap else {}  # the new files that take the places of old ones
        for path, length in db.execute("SELECT path, length FROM files WHERE NOT dropped AND length").fetchall():
            new = root / (waiting.get(path) or path)
            file = new if new.exists() else root / path
            found[path] = file.read_bytes()[:length] if file.exists() else b""
            if len(found[path]) < length:
                raise ValueError(f"{length} bytes of {path} are committed, and {len(found[path])} are there")
    return found


@contextlib.contextmanager
def database(root: Path, name: str, scratch: Path) -> Iterator[sqlite3.Connection]:
    """A copy of a database, as SQLite finds it; an empty one if there is none."""
    remove(scratch)
    scratch.mkdir()
    for path in (root / "data").glob(f"{name}.sqlite3*"):
        shutil.copy(path, scratch)
    with contextlib.closing(sqlite3.connect(scratch / f"{name}.sqlite3")) as db:
        yield db
