"""Power cuts: what was not synced by then may be lost, as a whole or in part.

A run is recorded: each write, truncation, sync and change of a name by any of its processes, in their order. A part of
that record, from its beginning to some point, becomes a disk as POSIX lets a power cut leave it. What was synced is
there. Of each other write there is all, some sectors or nothing, with zeros in its place or without its length. Names
that were made, changed or removed are so only if their folder was synced since, or by chance. Then nothing that was
committed is lost, and a plain run brings everything to where it would have been.

What is written through a memory map is not recorded. Only SQLite does so, in its -shm, which it makes again: no such
disk has one.
"""

import copy
import functools
import itertools
import os
import random
import struct
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

from tests.faults import roots
from tests.faults.cases import Broken, Case, Place
from tests.faults.crashes import COMMANDS, POINTS, begin, compare, note, point
from tests.faults.machine import RECORD

WAYS = ("all lost", "lost 1", "lost 2")  # the first: whatever may be lost
TIMES = 30  # that the power is cut after a run has ended
SECTOR = 512  # bytes that are written as a whole
MAPPED = "-shm"  # ends the name of what is written through a memory map
UNSYNCED = ("data/run.log", "data/run.lock")  # for which nothing is promised
SYNCED = "data/catalog.sqlite3-wal"  # whenever something was committed
HEADER = struct.Struct("6q")
KINDS = {"w": "write", "t": "truncate", "s": "sync", "c": "create", "m": "mkdir", "l": "link", "r": "rename",
         "u": "unlink"}  # the last also of a folder


def cases() -> Iterator[Case]:
    for start in COMMANDS:
        for n, way in itertools.product(range(POINTS), range(len(WAYS))):
            yield Case("loss", f"{start} {n} {WAYS[way]}", partial(lose, start, n, way))
        yield Case("loss", f"{start} ended", partial(ended, start))


# --- the record -----------------------------------------------------------------------------------


class Change(NamedTuple):
    kind: str  # in KINDS
    inode: int
    at: int  # an offset, or the length that is left
    path: str  # relative to the root, which is ""
    to: str
    data: bytes


def read_record(record: bytes) -> list[Change]:
    found, first = list[Change](), 0
    while first < len(record):
        kind, inode, at, *sizes = HEADER.unpack_from(record, first)
        ends = list(itertools.accumulate(sizes, initial=first + HEADER.size))
        path, to, data = (record[begin:end] for begin, end in itertools.pairwise(ends))
        found.append(Change(chr(kind), inode, at, os.fsdecode(path), os.fsdecode(to), data))
        first = ends[-1]
    return found


class Record(NamedTuple):
    before: "Disk"
    changes: list[Change]

    def disk(self, until: int) -> "Disk":
        """After so many changes."""
        return copy.deepcopy(self.before).after(self.changes[:until])


@functools.cache
def recorded(start: str, place: Place) -> Record:
    """A whole run. Raises Broken if what it changes is not all that was recorded."""
    begin(start, place)
    before = Disk(place.root)
    with place.machine.watching(place.root, RECORD, 0):
        place.command(COMMANDS[start])
        changes = read_record(place.machine.record())
    record = Record(before, [change for change in changes if not change.path.endswith(MAPPED)])
    as_recorded = record.disk(len(record.changes)).files()
    as_it_is = Disk(place.root).files()
    if missed := [path for path in as_recorded.keys() | as_it_is if as_recorded.get(path) != as_it_is.get(path)]:
        raise Broken(f"the record lacks changes of {sorted(missed)}")
    note(start, place)
    return record


# --- the disk -------------------------------------------------------------------------------------


class File:
    def __init__(self, data: bytes = b"") -> None:
        self.synced = data
        self.since = list[tuple[int, bytes | None]]()  # offset and data; None: the file was cut there, or extended

    def whole(self) -> bytes:
        """What is read as long as nothing is lost."""
        data = bytearray(self.synced)
        for at, written in self.since:
            if written is None:
                cut(data, at)
            else:
                put(data, at, written)
        return bytes(data)

    def sync(self) -> None:
        self.synced, self.since = self.whole(), []


class Folder:
    def __init__(self) -> None:
        self.first = dict[str, Node]()  # what was there when the run began
        self.now = dict[str, Node]()


Node = File | Folder


class Naming(NamedTuple):
    """Names that change together, and the folders that were not synced since."""

    names: list[tuple[Folder, str, Node | None]]  # and what each of them is the name of; None: of nothing
    unsynced: set[Folder]


def put(data: bytearray, at: int, written: bytes) -> None:
    data.extend(bytes(max(0, at - len(data))))
    data[at:at + len(written)] = written


def cut(data: bytearray, length: int) -> None:
    del data[length:]
    data.extend(bytes(length - len(data)))


class Disk:
    """A folder, what happens to it, and what of that is sure to be there after a power cut."""

    def __init__(self, root: Path) -> None:
        self.nodes: dict[int, Node] = {}  # by their inodes
        self.namings: list[Naming] = []
        root_node = self._read(root)
        assert isinstance(root_node, Folder)
        self.root = root_node

    def _read(self, path: Path) -> Node:
        inode = path.stat().st_ino
        if inode in self.nodes:
            return self.nodes[inode]  # which has two names
        if not path.is_dir():
            self.nodes[inode] = File(path.read_bytes())
        else:
            self.nodes[inode] = folder = Folder()
            folder.first = {one.name: self._read(one) for one in sorted(path.iterdir())}
            folder.now = dict(folder.first)
        return self.nodes[inode]

    def after(self, changes: Iterable[Change]) -> "Disk":
        for change in changes:
            self._apply(change)
        return self

    def _apply(self, change: Change) -> None:
        node = self.nodes.get(change.inode)
        match change.kind:
            case "w" | "t":
                assert isinstance(node, File)
                node.since.append((change.at, change.data if change.kind == "w" else None))
            case "s" if isinstance(node, File):
                node.sync()
            case "s":
                for naming in self.namings:
                    naming.unsynced.discard(node)  # type: ignore[arg-type]
            case "c" | "m":
                self.nodes[change.inode] = node = File() if change.kind == "c" else Folder()
                self._name((*self._find(change.path), node))
            case "l":
                folder, name = self._find(change.path)
                self._name((*self._find(change.to), folder.now[name]))
            case "r":
                (folder, name), (to, new) = self._find(change.path), self._find(change.to)
                if to.now.get(new) is not folder.now[name]:  # else nothing happens, says POSIX
                    self._name((to, new, folder.now[name]), (folder, name, None))
            case "u":
                self._name((*self._find(change.path), None))

    def _find(self, path: str) -> tuple[Folder, str]:
        *folders, name = (part for part in path.split("/") if part not in ("", "."))
        folder = self.root
        for part in folders:
            inner = folder.now[part]
            assert isinstance(inner, Folder)
            folder = inner
        return folder, name

    def _name(self, *names: tuple[Folder, str, Node | None]) -> None:
        self.namings.append(Naming(list(names), {folder for folder, _, _ in names}))
        for folder, name, node in names:
            rename(folder.now, name, node)

    def files(self, folder: Folder | None = None, path: str = "") -> dict[str, bytes]:
        """What is read as long as nothing is lost, by path."""
        found: dict[str, bytes] = {}
        for name, node in (folder or self.root).now.items():
            if isinstance(node, Folder):
                found |= self.files(node, f"{path}{name}/")
            elif not name.endswith(MAPPED):
                found[path + name] = node.whole()
        return found

    def unsynced(self) -> list[Naming]:
        return [naming for naming in self.namings if naming.unsynced]

    def write(self, target: Path, content: Callable[[File], bytes], by_chance: Collection[int] = ()) -> None:
        """Make a folder of what is there after a power cut: synced names, and of unsynced() those of these numbers."""
        entries: dict[Folder, dict[str, Node]] = {}
        kept = [naming for n, naming in enumerate(self.unsynced()) if n in by_chance]
        for naming in self.namings:
            if not naming.unsynced or any(naming is one for one in kept):
                for folder, name, node in naming.names:
                    rename(entries.setdefault(folder, dict(folder.first)), name, node)
        written: dict[File, Path] = {}

        def write(folder: Folder, path: Path) -> None:
            path.mkdir()
            for name, node in entries.get(folder, folder.first).items():
                if isinstance(node, Folder):
                    write(node, path / name)
                elif node in written:
                    os.link(written[node], path / name)
                elif not name.endswith(MAPPED):
                    (path / name).write_bytes(content(node))
                    written[node] = path / name

        roots.remove(target)
        write(self.root, target)

    def write_whole(self, target: Path) -> None:
        """The same, had everything been synced."""
        self.write(target, File.whole, range(len(self.namings)))

    def write_lost(self, target: Path, way: int, seed: str) -> None:
        """way: 0: whatever may be lost is lost; else as chance has it."""
        if not way:
            self.write(target, lambda file: file.synced)
            return
        draw = random.Random(f"{seed} {way}")
        self.write(target, partial(arrived, draw), arrived_names(draw, self.unsynced()))


def rename(names: dict[str, Node], name: str, node: Node | None) -> None:
    if node is None:
        names.pop(name, None)
    else:
        names[name] = node


def arrived(draw: random.Random, file: File) -> bytes:
    """What was synced, and of what was written since all, nothing, or of each write another part."""
    data, of_all, grows = bytearray(file.synced), draw.choice(("all", "nothing", "")), draw.random() < 0.5
    for at, written in file.since:
        part = of_all or draw.choice(("all", "nothing", "sectors"))
        if written is None:
            if part == "all":
                cut(data, at)
            continue
        end = at + len(written)
        last = {"all": end, "nothing": at, "sectors": draw.randint(at, end) // SECTOR * SECTOR}[part]
        if last > at:
            put(data, at, written[:last - at])
        if grows:
            data.extend(bytes(max(0, end - len(data))))
    return bytes(data)


def arrived_names(draw: random.Random, unsynced: list[Naming]) -> set[int]:
    """The numbers of the changes that are there: the first ones, as of a journal; or the first ones of each name."""
    chains: list[tuple[set[tuple[Folder, str]], list[int]]] = []
    of_a_journal = draw.random() < 0.5
    for n, naming in enumerate(unsynced):
        names, numbers = {(folder, name) for folder, name, _ in naming.names}, [n]
        mine = [chain for chain in chains if of_a_journal or chain[0] & names]
        chains = [chain for chain in chains if not any(chain is one for one in mine)]
        chains.append((names.union(*(one for one, _ in mine)), sorted(itertools.chain(numbers, *(
            others for _, others in mine)))))
    return {n for _, numbers in chains for n in numbers[:draw.randint(0, len(numbers))]}


# --- the cases ------------------------------------------------------------------------------------


def lose(start: str, n: int, way: int, place: Place) -> str:
    record = recorded(start, place)
    if n >= len(record.changes):
        return "there are no more changes"
    until = point(n, POINTS, len(record.changes))
    last = record.changes[until - 1]
    what = f"{KINDS[last.kind]} {last.to or last.path or '.'}, change {until} of {len(record.changes)}"
    sure = committed_by(record, until, place)
    record.disk(until).write_lost(place.root, way, f"{start} {n}")
    found = roots.committed(place.root, place.folder / "scratch")
    for path, data in sure.items():
        if not found.get(path, b"").startswith(data):
            raise Broken(f"{what}: {path} has lost what was committed")
    for name in ("catalog", "index"):
        with roots.database(place.root, name, place.folder / "scratch") as db:
            if (answer := db.execute("PRAGMA integrity_check").fetchone()[0]) != "ok":
                raise Broken(f"{what}: {name}.sqlite3 is damaged: {answer}")
    compare(start, what, found, place)
    return what


def committed_by(record: Record, until: int, place: Place) -> dict[str, bytes]:
    """What had been committed, and can therefore not be lost, after so many changes."""
    commits = [n for n, change in enumerate(record.changes[:until], 1) if change.kind == "s" and change.path == SYNCED]
    if not commits:
        return {}
    record.disk(commits[-1]).write_whole(place.folder / "whole")
    return roots.committed(place.folder / "whole", place.folder / "scratch")


def ended(start: str, place: Place) -> str:
    """A run that has ended can lose nothing at all."""
    record = recorded(start, place)
    disk = record.disk(len(record.changes))
    expected = {path: data for path, data in disk.files().items() if path not in UNSYNCED}
    for n in range(TIMES):
        disk.write_lost(place.root, n, start)
        found = {path: (place.root / path).read_bytes() for path in expected if (place.root / path).is_file()}
        if lost := [path for path, data in expected.items() if found.get(path) != data]:
            raise Broken(f"a run that has ended can lose {lost}")
    compare(start, "ended", roots.committed(place.root, place.folder / "scratch"), place)
    return f"{len(expected)} files, {TIMES} power cuts"
