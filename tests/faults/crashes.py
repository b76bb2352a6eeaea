"""Crashes and errors: a command whose calls are counted; then the same command that ends, or is told an error, at one
of them; then a plain run, or a command that rewrites once more and a plain run, after which everything is as if nothing
had happened."""

import errno
import os
from collections.abc import Iterator
from functools import partial

from tests.faults import roots
from tests.faults.cases import Broken, Case, Place, checked
from tests.faults.machine import (
    COUNT,
    CUT,
    FAIL_FROM,
    FAIL_ONCE,
    KILL_ALL,
    KILL_ONE,
    LINK,
    NAME,
    OPEN,
    READ,
    SYNC,
    WRITE,
)

CHANGING = WRITE | SYNC | NAME | CUT | LINK
POINTS = 200  # of a command that are tried
ERRORS = {"ENOSPC": (errno.ENOSPC, FAIL_FROM, WRITE | NAME), "EDQUOT": (errno.EDQUOT, FAIL_FROM, WRITE),
          "EIO": (errno.EIO, FAIL_ONCE, WRITE | SYNC | READ | CUT), "EIO stays": (errno.EIO, FAIL_FROM, WRITE | SYNC),
          "EMFILE": (errno.EMFILE, FAIL_FROM, OPEN), "EINTR": (errno.EINTR, FAIL_ONCE, WRITE | READ | SYNC)}
POINTS_OF_AN_ERROR = 60  # of the calls that it can happen at
COMMANDS = {  # by what they begin with: the first run of a root, and its third; and what rewrites all of a kind
    "empty": "run.py", "grown": "run.py", "rebuild": "clean.py --rebuild", "retokenize": "prepare.py --retokenize",
    "forget": "run.py --forget http://faults.invalid/2"}


def crash_cases() -> Iterator[Case]:
    for start in COMMANDS:
        for n in range(POINTS):
            name = f"{start} {n} {'stage' if n % 4 == 3 else 'machine'}"
            yield Case("crash", name, partial(crash, start, n, KILL_ONE if n % 4 == 3 else KILL_ALL))


def error_cases() -> Iterator[Case]:
    for name in ERRORS:
        for n in range(POINTS_OF_AN_ERROR):
            yield Case("error", f"{name} {n}", partial(fail, name, n))


def begin(start: str, place: Place) -> None:
    if start == "empty":
        roots.remove(place.root)
        roots.copied(place.roots.whole / "config", place.root / "config")
    else:
        roots.copied(place.roots.whole, place.root)


def n_calls(start: str, calls: int, place: Place) -> int:
    """How many calls of these kinds the run makes, counted once per machine."""
    known = place.folder / f"calls-{start}-{calls}"
    if not known.exists():
        begin(start, place)
        with place.machine.watching(place.root, COUNT, calls) as shared:
            place.command(COMMANDS[start])
            known.write_text(str(shared.counter))
        note(start, place)
    return int(known.read_text())


def note(start: str, place: Place) -> None:
    """What the root holds at the end, when nothing has gone wrong."""
    if rewrites(start):
        place.command("run.py")
    (place.folder / f"holds-{start}").write_text(repr(holds(start, place)))


def rewrites(start: str) -> bool:
    return COMMANDS[start] != "run.py"


def holds(start: str, place: Place) -> roots.Contents:
    """What must be the same. Bins that are rebuilt grow in one step or in two, which makes another model."""
    found = roots.contents(place.root)
    return found._replace(models=()) if rewrites(start) else found


def point(n: int, of: int, total: int) -> int:
    """The number of a call, from 1: the n-th of `of` that are spread over all."""
    return 1 + (n if total <= of else n * total // of)


def crash(start: str, n: int, action: int, place: Place) -> str:
    total = n_calls(start, CHANGING, place)
    if n >= total:
        return "there are no more calls"
    begin(start, place)
    with place.machine.watching(place.root, action, CHANGING, point(n, POINTS, total)) as shared:
        done = place.machine.run(f"python3 {COMMANDS[start]} --root {place.root}")
        what = shared.what.decode()
    if done.is_bug:
        raise Broken(f"{what}: {done.output[-3000:]}")
    before = roots.committed(place.root, place.folder / "scratch")
    compare(start, what, before, place)
    return what or "not reached"


def compare(start: str, what: str, before: dict[str, bytes], place: Place) -> None:
    """A plain run brings everything to where it would have been; of a command that rewrites, after the same command.

    before: what was committed, of which a plain run changes nothing.
    """
    for command in dict.fromkeys((COMMANDS[start], "run.py")):
        done = place.command(command)
        if done.code:
            raise Broken(f"{what}: {command} then ended with {done.code}: {done.output[-2000:]}")
    for path, data in () if rewrites(start) else before.items():
        now = (place.root / path).read_bytes()
        if not now.startswith(data) and not path.endswith(".bin"):  # the first bins are made again as they grow
            raise Broken(f"{what}: {path} does not begin with what was committed")
    found, expected = repr(holds(start, place)), (place.folder / f"holds-{start}").read_text()
    if found != expected:
        raise Broken(f"{what}: after the next run the root holds\n{found[-700:]}\ninstead of\n{expected[-700:]}")
    if left := [path.name for path in place.root.rglob("*") if path.name.endswith((".tmp", ".new"))]:
        raise Broken(f"{what}: left behind: {left}")


def fail(name: str, n: int, place: Place) -> str:
    """A run that an error happens to ends well, or with a sentence; the next one makes it good."""
    number, action, calls = ERRORS[name]
    total = n_calls("grown", calls, place)
    if n >= total:
        return "there are no more calls"
    begin("grown", place)
    with place.machine.watching(place.root, action, calls, point(n, POINTS_OF_AN_ERROR, total), number) as shared:
        done = place.machine.run(f"python3 run.py --root {place.root}")
        what = shared.what.decode()
    try:
        checked(done)
    except Broken as broken:
        raise Broken(f"{what}: {broken}") from None
    if name == "EINTR" and done.code:
        raise Broken(f"{what}: an interrupted call ended the run: {done.output[-1500:]}")
    named = (str(place.root), "data/", "no space left for /tmp")  # the last where the disk itself has room
    if done.code and not any(name in done.output for name in named):
        raise Broken(f"{what}: no path in {done.output[-1500:]}")
    compare("grown", what, roots.committed(place.root, place.folder / "scratch"), place)
    return f"{what or 'not reached'}: {os.strerror(number)}, exit code {done.code}"
