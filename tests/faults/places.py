"""Places and company: small and read-only disks, a path of 200 characters, no hard links, two runs at once, a lock that
nobody holds, first as root and then as a user."""

import errno
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from tests.faults import roots
from tests.faults.cases import Broken, Case, Place, checked
from tests.faults.damage import fix
from tests.faults.machine import FAIL_FROM, LINK, NOBODY

MOST_RUNS = 6  # until all pages of the site are there
DISKS_KB = (200, 400, 600, 700, 800, 900, 1000, 1200, 1600)  # a grown root takes 900


def cases() -> Iterator[Case]:
    for kb in DISKS_KB:
        yield Case("place", f"disk of {kb} kB", partial(small_disk, kb))
    yield Case("place", "read-only disk", read_only)
    yield Case("place", "read-only folder of a user", partial(as_user, 0o555))
    yield Case("place", "path of 200 characters", long_path)
    yield Case("place", "no hard links", no_links)
    yield Case("place", "two at once", two_at_once)
    yield Case("place", "two topics at once", two_topics)
    yield Case("place", "a lock that nobody holds", stale_lock)
    yield Case("place", "as root, then as a user", as_root_then_user)


@contextmanager
def mounted(folder: Path, *options: str) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(["mount", *options, folder], capture_output=True, text=True, check=False)
    if done.returncode:
        raise LookupError(f"nothing can be mounted here: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def small_disk(kb: int, place: Place) -> str:
    """The first run fills the disk; the same on a larger one goes on."""
    roots.remove(place.root)
    with mounted(place.root, "-t", "tmpfs", "-o", f"size={kb}k", "tmpfs"):
        shutil.copytree(place.roots.whole / "config", place.root / "config")
        codes = [(done := place.command("run.py")).code for _ in range(2)]
        if done.code and "no space" not in done.output and "full" not in done.output:
            raise Broken(f"it does not say that the disk is full: {done.output[-1500:]}")
        subprocess.run(["mount", "-o", "remount,size=64m", place.root], check=True)
        finish(place)
    return f"exit codes {codes}, then all is well"


def finish(place: Place, uid: int = 0) -> None:
    """Runs end well, until all pages are there; then everything is whole."""
    for _ in range(MOST_RUNS):
        done = place.command("run.py", uid)
        if done.code:
            raise Broken(done.output[-2000:])
        if roots.contents(place.root).clean == place.roots.holds.clean:
            break
    else:
        raise Broken("other documents than elsewhere")
    done = place.command("validate.py --full", uid)
    if done.code:
        raise Broken(done.output[-2000:])


def read_only(place: Place) -> str:
    roots.copied(place.roots.whole, place.root)
    with mounted(place.root, "--bind", str(place.root)):
        subprocess.run(["mount", "-o", "remount,ro,bind", place.root], check=True)
        said = [place.command(command) for command in ("run.py", "run.py --status", "run.py --doctor", "sample.py",
                                                       "run.py --find ship", "validate.py --full")]
        if said[0].code != 1 or str(place.root) not in said[0].output:
            raise Broken(said[0].output)
    finish(place)
    return f"exit codes {[done.code for done in said]}"


def as_user(mode: int, place: Place) -> str:
    roots.copied(place.roots.whole, place.root)
    for folder in ("data", "checkpoints", "config", ""):
        (place.root / folder).chmod(mode)
    said = [place.command(command, NOBODY) for command in ("run.py", "run.py --status", "run.py --doctor", "sample.py",
                                                           "run.py --find ship", "validate.py --full")]
    if said[0].code != 1 or str(place.root) not in said[0].output:
        raise Broken(said[0].output)
    return f"exit codes {[done.code for done in said]}"


def long_path(place: Place) -> str:
    name = place.folder / ("p" * max(1, 200 - len(str(place.folder)) - 6))
    place = place._replace(folder=name)
    roots.copied(place.roots.whole, place.root)
    finish(place)
    roots.remove(name)
    return f"{len(str(place.root))} characters"


def no_links(place: Place) -> str:
    """As on a file system that knows none: os.link fails."""
    roots.copied(place.roots.whole, place.root)
    with place.machine.watching(place.root, FAIL_FROM, LINK, 1, errno.EPERM):
        finish(place)
    return "all is well"


def two_at_once(place: Place) -> str:
    roots.copied(place.roots.whole, place.root)
    with ThreadPoolExecutor(6) as pool:
        done = list(pool.map(place.command, ["run.py"] * 3 + ["run.py --status", "sample.py", "run.py --find ship"]))
    codes = [one.code for one in done]
    if sorted(codes[:3]) != [0, 75, 75] or any(codes[3:]):
        raise Broken(f"exit codes {codes}: {[one.output[-300:] for one in done]}")
    if roots.contents(place.root) != place.roots.holds:
        raise Broken("not what one run alone makes")
    return f"exit codes {codes}"


def two_topics(place: Place) -> str:
    places = [place._replace(folder=place.folder / name) for name in ("one", "two")]
    for one in places:
        roots.copied(place.roots.whole, one.root)
    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(lambda one: one.command("run.py"), places))
    if any(one.code for one in done) or any(roots.contents(one.root) != place.roots.holds for one in places):
        raise Broken(f"{[one.output[-500:] for one in done]}")
    return "both as alone"


def stale_lock(place: Place) -> str:
    roots.copied(place.roots.whole, place.root)
    (place.root / "data/run.lock").write_text("1\n")
    os.utime(place.root / "data/run.lock", (0, time.time() + 1e6))
    done = place.command("run.py")
    if done.code or roots.contents(place.root) != place.roots.holds:
        raise Broken(done.output)
    return "ignored"


def as_root_then_user(place: Place) -> str:
    """What root's run leaves cannot be written by the user whose folder it is; the fix that is named lets them."""
    roots.copied(place.roots.whole, place.root)
    for one in (place.root, *place.root.rglob("*")):
        os.chown(one, NOBODY, NOBODY)
    checked(place.machine.run(f"python3 run.py --root {place.root}"))
    os.chown(place.root / "data/catalog.sqlite3", 0, 0)
    fixed: list[str] = []
    while (done := place.command("run.py", NOBODY)).code:
        if len(fixed) > 8:
            raise Broken(f"{fixed}: {done.output}")
        fixed.append(fix(done, fixed, "", place, NOBODY))
    return f"fixed by: {'; '.join(fixed) or 'itself'}"
