"""Damage: each kind of file of a root is changed in each way; what every command says of it; then the very fix that is
named, and a run. The file is named, or made again: never a traceback, never silently wrong."""

import json
import os
import random
import re
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from miniature_memory.core.findings import BAD
from tests.faults import roots
from tests.faults.cases import BY_HAND, Broken, Case, Place, checked, fixes
from tests.faults.machine import NOBODY, Done

FILES = ("config/default.toml", "config/queries.txt", "config/seeds.txt", "data/catalog.sqlite3", "data/index.sqlite3",
         "data/pages/000000.warc.gz", "data/raw/000000.jsonl", "data/clean/000000.jsonl", "data/rejected.jsonl",
         "data/train.bin", "data/val.bin", "data/bins.json", "data/meta.pkl", "data/suffixes.bin",
         "data/suffixes.json", "data/tokenizer/ranks.tiktoken", "data/tokenizer/meta.json", "data/runs.jsonl",
         "data/run.log", "data/run.lock", "data/samples.jsonl", "data/report.html", "checkpoints/ckpt.pt",
         "checkpoints/ckpt.prev.pt", "checkpoints/release.pt", "checkpoints/ckpt.json", "checkpoints/history/*.pt")
VIEWS = ("run.py --status", "run.py --doctor", "run.py --find ship", "sample.py", "validate.py --full", "run.py")
AT_LAST = ("run.py", "validate.py --full", "sample.py", "run.py --find ship", "run.py --doctor --json")
NAMING = re.compile(r"damaged|changed|cannot|missing|holds|is a folder|Fix:|match|shorter|again|ignored|There is")
MOST_ROUNDS = 6  # of a fix and a run


def flip(n: int, path: Path, place: Place) -> None:
    """One bit of five places; of what people write the upper one, so that no other setting comes of it."""
    data = bytearray(path.read_bytes())
    at = (2 * n + 1) * len(data) // 10
    data[at] ^= 128 if "config" in path.parts else 1 << random.Random(f"{path.name}{n}").randrange(8)
    path.write_bytes(data)


def cut(path: Path, place: Place) -> None:
    os.truncate(path, path.stat().st_size // 2)


def empty(path: Path, place: Place) -> None:
    os.truncate(path, 0)


def delete(path: Path, place: Place) -> None:
    path.unlink()


def folder(path: Path, place: Place) -> None:
    path.unlink()
    path.mkdir()


def closed(path: Path, place: Place) -> None:
    for one in (place.root, *place.root.rglob("*")):
        os.chown(one, NOBODY, NOBODY)
    path.chmod(0)


def foreign(path: Path, place: Place) -> None:
    """Closed, and of yet another user."""
    closed(path, place)
    os.chown(path, 0, 0)


def others(path: Path, place: Place) -> None:
    theirs = place.roots.other / path.relative_to(place.root)
    shutil.copyfile(theirs if theirs.exists() else next(theirs.parent.glob("*.pt")), path)


WAYS: dict[str, Callable[[Path, Place], None]] = {
    **{f"bit {n + 1}": partial(flip, n) for n in range(5)}, "cut": cut, "emptied": empty, "deleted": delete,
    "folder": folder, "closed": closed, "foreign": foreign, "other": others}


def cases() -> Iterator[Case]:
    for file in FILES:
        for way in WAYS:
            if file == "config/default.toml" and way in ("cut", "emptied", "deleted", "other"):
                continue  # these are settings, too: of a night of five minutes
            if file == "config/seeds.txt" and way.startswith("bit"):
                continue  # it may become another address
            if way in ("closed", "foreign") and os.getuid():
                continue  # only root can be another user
            yield Case("damage", f"{file} {way}", partial(damaged, file, way))


def damaged(file: str, way: str, place: Place) -> str:
    root = roots.copied(place.roots.whole, place.root)
    path = next(root.glob(file))
    name = path.relative_to(root).as_posix()
    WAYS[way](path, place)
    uid = NOBODY if way in ("closed", "foreign") else 0
    said = [place.command(view, uid) for view in VIEWS]
    fixed: list[str] = []
    while trouble := first_trouble(place, uid, said):
        if len(fixed) >= MOST_ROUNDS:
            raise Broken(f"no end of fixes: {fixed}\n{trouble.output[-1500:]}")
        fixed.append(fix(trouble, fixed, name, place, uid))
    is_named = any(Path(name).name in line and NAMING.search(line) for done in said for line in done.output.split("\n"))
    compare(name, way, place, is_named, said)
    return f"{'named' if is_named else 'not named'}; fixed by: {'; '.join(fixed) or 'itself'}"


def first_trouble(place: Place, uid: int, said: list[Done]) -> Done | None:
    for command in AT_LAST:
        said.append(place.command(command, uid))
        if said[-1].code:
            return said[-1]
    return None


def fix(trouble: Done, before: list[str], name: str, place: Place, uid: int) -> str:
    """Do what a message asks for, and return it."""
    message = trouble.output
    if "--json" in trouble.command:
        found = next(line for line in message.split("\n") if line.startswith("{"))
        message = "\n".join(f"{one['found']} Fix: {one['fix']}" for one in json.loads(found)["findings"]
                            if one["level"] == BAD)
    else:
        lines = [line for line in message.split("\n") if "Fix:" in line]
        message = "\n".join(lines if "follow the fix of each" in lines[-1] else lines[-1:])
    commands = fixes(message)
    if not commands or " && ".join(commands) in before:
        if "by hand" in before or not BY_HAND.search(message):
            raise Broken(f"{'its fix did not help' if commands else 'no fix to run'} after {before}: {message}")
        shutil.rmtree(place.root / name, ignore_errors=True)
        shutil.copyfile(place.roots.whole / name, place.root / name)
        os.chown(place.root / name, uid, uid)
        return "by hand"
    for command in commands:
        as_root = "sudo" in command
        typed = command.replace("sudo ", "").replace("$(id -u)", str(uid)) if as_root else command
        checked(done := place.machine.run(typed, 0 if as_root else uid))
        if done.code and not command.startswith("python3"):
            raise Broken(f"the fix {command} ends with {done.code}: {done.output} of {message}")
    if name.startswith("config/") and not (place.root / name).exists():  # which only a person can write again
        shutil.copyfile(place.roots.whole / name, place.root / name)
    return " && ".join(commands)


def compare(name: str, way: str, place: Place, is_named: bool, said: list[Done]) -> None:
    """Nothing is silently wrong."""
    if name.startswith("config/"):
        return  # whoever changes these wants other things
    if not is_named:
        for done in said:
            if "sample.py" in done.command and done.code == 0 and done.output not in (place.roots.writes, last(said)):
                raise Broken(f"sample.py wrote something else without a word: {done.output}")
    holds, expected = roots.contents(place.root), place.roots.holds
    if holds == expected or (name == "data/catalog.sqlite3" and is_named):
        return
    differs = [field for field in expected._fields if getattr(holds, field) != getattr(expected, field)]
    if not is_named:
        raise Broken(f"{', '.join(differs)} differ, and nothing was said of {name}")
    if strange := set(holds.clean) - set(expected.clean):
        raise Broken(f"a text that nobody wrote: {next(iter(strange))[:300]}")


def last(said: list[Done]) -> str:
    return next((done.output for done in reversed(said) if "sample.py" in done.command), "")
