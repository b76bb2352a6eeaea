"""Places and company: small and read-only disks, names that differ in case alone and are one, times of 1901 and 2040,
no hard links, a path of 200 characters, umasks, two runs at once, a lock that nobody holds, first as root and then as a
user."""

import errno
import itertools
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from tests.faults import crashes, roots
from tests.faults.cases import Broken, Case, Place, Skipped, checked
from tests.faults.damage import fix
from tests.faults.machine import FAIL_FROM, LINK, NOBODY

MOST_RUNS = 6  # until all pages of the site are there
DISKS_KB = (200, 400, 600, 700, 800, 900, 1000, 1200, 1600)  # a grown root takes 900
FOLDING = {"ext4": ("-q", "-O", "casefold"), "exfat": (), "exfat-fuse": (), "vfat": ()}  # options of its mkfs
FOLDING_BYTES = 64 << 20  # of such a disk
OWN_TEXTS = 3


def cases() -> Iterator[Case]:
    for kb in DISKS_KB:
        yield Case("place", f"disk of {kb} kB", partial(small_disk, kb))
    yield Case("place", "read-only disk", read_only)
    yield Case("place", "read-only folder of a user", partial(as_user, 0o555))
    yield Case("place", "names in lower case", lower_case)
    for kind in FOLDING:
        yield Case("place", f"names of any case, {kind}", partial(folding_disk, kind))
    for year in (1901, 2040):
        yield Case("place", f"times of {year}", partial(times_of, year))
    yield Case("place", "path of 200 characters", long_path)
    for number in (errno.EPERM, errno.EOPNOTSUPP):
        yield Case("place", f"no hard links, {errno.errorcode[number]}", partial(no_links, number))
    for umask in (0o077, 0o000):
        yield Case("place", f"umask {umask:03o}", partial(masked, umask))
    yield Case("place", "two at once", two_at_once)
    yield Case("place", "two topics at once", two_topics)
    yield Case("place", "a lock that nobody holds", stale_lock)
    yield Case("place", "as root, then as a user", as_root_then_user)


@contextmanager
def mounted(folder: Path, *options: str) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(["mount", *options, folder], capture_output=True, text=True, check=False)
    if done.returncode:
        raise Skipped(f"nothing can be mounted here: {' '.join(done.stderr.split())}")
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


def lower_case(place: Place) -> str:
    """Nothing that a run makes could be one with another name where case makes no difference."""
    names = [path.name for path in place.roots.whole.rglob("*")]
    if strange := [name for name in names if name != name.casefold()]:
        raise Broken(f"names with capital letters: {strange}")
    return f"{len(names)} names"


def folding_disk(kind: str, place: Place) -> str:
    """A disk on which names that differ in case alone are one, as on Windows and macOS. Only ext4 has links."""
    image, mount = place.folder / "disk", place.folder / "mounted"
    name = f"mkfs.{kind.removesuffix('-fuse')}"
    make = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    if not make:
        raise Skipped(f"there is no {name}")
    with open(image, "wb") as stream:
        stream.truncate(FOLDING_BYTES)
    done = subprocess.run([make, *FOLDING[kind], image], capture_output=True, text=True, check=False)
    if done.returncode:
        raise Skipped(f"{name} cannot make one: {' '.join(done.stderr.split())}")
    try:
        with mounted(mount, "-t", kind, "-o", "loop,quiet" if kind == "vfat" else "loop", str(image)):
            place = place._replace(folder=mount / "names")
            place.folder.mkdir()
            if kind == "ext4":
                subprocess.run(["chattr", "+F", place.folder], check=True)
            (place.folder / "a").touch()
            if not (place.folder / "A").exists():
                raise Skipped(f"{kind} keeps A and a apart here")
            roots.copied(place.roots.whole, place.root)
            finish(place)
    finally:
        image.unlink()
    return "all is well"


def times_of(year: int, place: Place) -> str:
    """Every file has a time far from now, of whole seconds; nothing is read or stored again for it."""
    root, texts = roots.copied(place.roots.whole, place.root), place.folder / "texts"
    roots.remove(texts)
    texts.mkdir()
    for n in range(OWN_TEXTS):
        (texts / f"{n}.txt").write_text(roots.text(n, " of one's own"))
    said, at = [], datetime(year, 12, 31, tzinfo=UTC).timestamp()
    for _ in range(2):
        for path in (*root.rglob("*"), *texts.iterdir()):
            os.utime(path, (at, at))
        said.append(place.command(f"run.py --texts {texts}"))
        if said[-1].code:
            raise Broken(said[-1].output[-2000:])
    if f"skipped: {OWN_TEXTS} unchanged files" not in said[-1].output:
        raise Broken(f"what is known was read again: {said[-1].output[-2000:]}")
    for command in ("run.py", "validate.py --full", "sample.py", "run.py --doctor"):
        if (done := place.command(command)).code:
            raise Broken(done.output[-2000:])
    ids, others = roots.contents(root).raw, place.roots.holds.raw
    if len(set(ids)) != len(ids) or len(ids) != len(others) + OWN_TEXTS or not set(others) < set(ids):
        raise Broken(f"{len(ids)} documents, {len(set(ids))} of them different, instead of {len(others) + OWN_TEXTS}")
    return f"{len(ids)} documents, each once"


def long_path(place: Place) -> str:
    name = place.folder / ("p" * max(1, 200 - len(str(place.folder)) - 6))
    place = place._replace(folder=name)
    roots.copied(place.roots.whole, place.root)
    finish(place)
    roots.remove(name)
    return f"{len(str(place.root))} characters"


def no_links(number: int, place: Place) -> str:
    """As on a file system that knows none: os.link fails."""
    roots.copied(place.roots.whole, place.root)
    with place.machine.watching(place.root, FAIL_FROM, LINK, 1, number):
        finish(place)
    return "all is well"


def masked(umask: int, place: Place) -> str:
    """What a run makes is open to no one to whom the umask closes it, and to its owner at least."""
    crashes.begin("empty", place)
    uid = 0 if os.getuid() else NOBODY  # root may read everything
    for path in (place.root, *place.root.rglob("*")):
        os.chown(path, uid or -1, -1)
    made, wide = 0, list[str]()
    for script in ("run.py", "run.py", "validate.py --full", "sample.py"):
        done = checked(place.machine.run(f"umask {umask:03o}; python3 {script} --root {place.root}", uid))
        if done.code:
            raise Broken(done.output[-2000:])
        folders = [place.root / name for name in ("data", "checkpoints")]
        found = [*folders, *itertools.chain.from_iterable(folder.rglob("*") for folder in folders)]
        modes = {path: path.stat().st_mode & 0o777 for path in found}
        made, wide = len(found), wide + [f"{path} {mode:03o}" for path, mode in modes.items()
                                         if mode & ~((0o777 if path.is_dir() else 0o666) & ~umask)]
    if wide:
        raise Broken(f"wider than umask {umask:03o}: {wide}")
    return f"{made} files and folders"


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
    """Of a process that is gone, or that is another one by now; and of the future."""
    (gone := subprocess.Popen(["true"])).wait()
    for holder in (gone.pid, 1):
        roots.copied(place.roots.whole, place.root)
        lock = place.root / "data/run.lock"
        lock.write_text(f"{holder}\n")
        os.utime(lock, (0, time.time() + 1e6))
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
