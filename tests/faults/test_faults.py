"""A few faults of each part; python -m tests.faults has them all.   python3 -m pytest [-m slow] tests/faults"""

import queue
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults import __main__ as faults
from tests.faults.cases import Place, fixes
from tests.faults.losses import Change, Disk
from tests.faults.machine import compiler

needs_compiler = pytest.mark.skipif(not compiler(), reason="calls.c needs a C compiler")
FEW = ("data/raw/000000.jsonl bit 3", "data/tokenizer/meta.json deleted", "checkpoints/ckpt.pt cut", "grown 40 machine",
       "EIO 20", "grown 150 lost 1", "grown ended")


@pytest.fixture(scope="module")
def free(tmp_path_factory: pytest.TempPathFactory) -> Iterator["queue.Queue[Place]"]:
    with faults.prepared(tmp_path_factory.mktemp("roots"), 1) as places:
        yield places


@needs_compiler
@pytest.mark.parametrize("name", FEW)
def test_a_fault_is_survived(free: "queue.Queue[Place]", name: str) -> None:
    case = next(case for cases in faults.PARTS.values() for case in cases() if case.name == name)
    outcome, words, _ = faults.attempt(case, free)
    assert outcome == "passed", words


@needs_compiler
@pytest.mark.heavy
def test_a_sample_of_all_faults_is_survived(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    assert faults.main([]) == 0


@pytest.mark.parametrize(("message", "commands"), [
    ("x is a folder. Fix: mv '/a b/x' '/a b/x.aside'", ["mv '/a b/x' '/a b/x.aside'"]),
    ("Fix: put it back, or set it aside: python3 validate.py --repair --root /r",
     ["python3 validate.py --repair --root /r"]),
    ("Fix: run python3 validate.py --repair --root /r, which x, then python3 run.py --only prepare --root /r, which y.",
     ["python3 validate.py --repair --root /r", "python3 run.py --only prepare --root /r"]),
    ("Fix: python3 run.py --root /r, which runs all; or python3 run.py --texts FILE... --root /r",
     ["python3 run.py --root /r"])])
def test_the_commands_of_a_fix_are_found(message: str, commands: list[str]) -> None:
    assert fixes(message) == commands


# --- what a power cut may take ----------------------------------------------------------------------

CREATED, FOLDER = 1_000_000_007, 1_000_000_008  # inodes of no file of the tests


def change(kind: str, inode: int = 0, path: str = "", to: str = "", data: bytes = b"", at: int = 0) -> Change:
    return Change(kind, inode, at, path, to, data)


def after_a_power_cut(disk: Disk, folder: Path) -> list[dict[str, bytes]]:
    """What is there when all is lost that may be lost, and then by chance."""
    found = []
    for way in range(100):
        disk.write_lost(folder, way, "test")
        found.append({path.relative_to(folder).as_posix(): path.read_bytes()
                      for path in folder.rglob("*") if path.is_file()})
    return found


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    """One that has a file "old"."""
    (tmp_path / "root").mkdir()
    (tmp_path / "root/old").write_bytes(b"old")
    return Disk(tmp_path / "root")


def inode_of(path: Path) -> int:
    return path.stat().st_ino


def test_a_synced_file_in_a_synced_folder_stays(disk: Disk, tmp_path: Path) -> None:
    disk.after([change("c", CREATED, "new"), change("w", CREATED, data=b"1234"), change("s", CREATED),
                change("s", inode_of(tmp_path / "root")), change("w", CREATED, data=b"56", at=4)])
    found = after_a_power_cut(disk, tmp_path / "image")
    assert found[0] == {"old": b"old", "new": b"1234"}
    assert {one["new"] for one in found} == {b"1234", b"1234\0\0", b"123456"}


def test_a_synced_file_may_be_without_a_name(disk: Disk, tmp_path: Path) -> None:
    disk.after([change("m", FOLDER, "a"), change("c", CREATED, "a/new"), change("s", CREATED), change("s", FOLDER)])
    assert {*map(len, after_a_power_cut(disk, tmp_path / "image"))} == {1, 2}  # a folder takes along what is in it
    disk.after([change("s", inode_of(tmp_path / "root"))])
    assert {*map(len, after_a_power_cut(disk, tmp_path / "image"))} == {2}


def test_a_file_that_is_renamed_before_its_sync_may_be_empty(disk: Disk, tmp_path: Path) -> None:
    disk.after([change("c", CREATED, "old.tmp"), change("w", CREATED, data=b"new"), change("r", 0, "old.tmp", "old")])
    assert {one["old"] for one in after_a_power_cut(disk, tmp_path / "image")} == {b"old", b"new", b"", b"\0\0\0"}


def test_a_long_write_is_torn_between_sectors(disk: Disk, tmp_path: Path) -> None:
    disk.after([change("w", inode_of(tmp_path / "root/old"), data=b"x" * 3000, at=3)])
    kept = {one["old"].count(b"x") for one in after_a_power_cut(disk, tmp_path / "image")}
    assert {0, 3000} < kept and {(n + 3) % 512 for n in kept} <= {0, 3, 3003 % 512}


def test_a_removed_name_may_come_back_and_names_of_one_file_stay_one_file(disk: Disk, tmp_path: Path) -> None:
    disk.after([change("l", 0, "old", "second"), change("r", 0, "old", "second"),  # which POSIX lets do nothing
                change("s", inode_of(tmp_path / "root")), change("u", 0, "old")])
    assert {*map(len, after_a_power_cut(disk, tmp_path / "image"))} == {1, 2}
    disk.write_lost(tmp_path / "image", 0, "")
    assert (tmp_path / "image/old").samefile(tmp_path / "image/second")


def test_changes_of_names_are_lost_from_the_last_on_or_name_by_name(disk: Disk, tmp_path: Path) -> None:
    names = ("a", "b", "c")
    disk.after([change("c", CREATED + n, name) for n, name in enumerate(names)])
    found = {tuple(name in one for name in names) for one in after_a_power_cut(disk, tmp_path / "image")}
    assert len(found) == 8
