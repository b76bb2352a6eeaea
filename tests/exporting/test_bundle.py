"""A root in one file, and back.   .venv/bin/python -m pytest tests/exporting/test_bundle.py"""

import contextlib
import dataclasses
import fcntl
import hashlib
import io
import json
import shutil
import sqlite3
import tarfile
import time
from argparse import Namespace
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from helpers import PROSE, TINY, add_clean_documents, add_pages, follow

import export
import prepare
from miniature_memory.core.errors import ConfigError, StageError
from miniature_memory.core.paths import command
from miniature_memory.exporting import aside, bundle, contents, restore
from miniature_memory.exporting.bundle import gather, write_bundle
from miniature_memory.exporting.contents import FORMAT, Entry, from_manifest, to_manifest
from miniature_memory.exporting.restore import restore_bundle
from miniature_memory.storage import growth, rewriting
from miniature_memory.storage.catalog import Catalog
from miniature_memory.storage.documents import count
from miniature_memory.training.config import PrepareConfig
from train import train

ARGS = Namespace()
NOT_TAKEN = ("config/keys.toml", "data/meta.pkl", "data/report.html", "data/run.log", "data/stray.txt",
             "checkpoints/ckpt.pt.tmp")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root with pages, documents, bins, and a file of every other kind."""
    root = tmp_path / "root"
    add_pages(root, {"http://a.example/": b"<p>page</p>"})
    add_clean_documents(root, [f"{n} {PROSE}" for n in range(40)])
    prepare.run(PrepareConfig(tokenizer="byte"), root)
    for name in (*NOT_TAKEN, "config/queries.txt", "config/default.toml", "checkpoints/release.pt",
                 "checkpoints/history/2026-01-01-000000.pt", "data/runs.jsonl", "data/samples.jsonl",
                 "data/suffixes.bin", "data/suffixes.json"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"of {name}\n")
    return root


def files(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.mark.parametrize("ending", [".tar.zst", ".tar.gz"])
def test_a_restored_root_holds_the_same_bytes(root: Path, tmp_path: Path, ending: str) -> None:
    write_bundle(root, tmp_path / f"b{ending}", ARGS)
    said = restore_bundle(tmp_path / "new", tmp_path / f"b{ending}", ARGS)
    old, new = files(root), files(tmp_path / "new")
    own = {"data/catalog.sqlite3", "data/catalog.sqlite3-shm", "data/catalog.sqlite3-wal"}
    assert {name: new[name] for name in new.keys() - own} == {name: old[name] for name in
                                                               old.keys() - own - {*NOT_TAKEN}}
    dumps = []
    for folder in (root, tmp_path / "new"):
        with contextlib.closing(sqlite3.connect(folder / "data/catalog.sqlite3")) as db:
            dumps.append(list(db.iterdump()))
    assert dumps[0] == dumps[1]
    assert said.endswith(command("run.py", tmp_path / "new"))
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"b{ending}", "new", "root"]


@pytest.mark.usefixtures("one_thread")
def test_training_continues_elsewhere_with_the_same_losses(tmp_path: Path) -> None:
    root, moved = tmp_path / "root", tmp_path / "elsewhere" / "moved"
    add_clean_documents(root, [f"{n} {PROSE}" for n in range(40)])
    prepare.run(PrepareConfig(tokenizer="byte"), root)
    train(TINY, root, time.monotonic())
    write_bundle(root, tmp_path / "b.tar.zst", ARGS)
    restore_bundle(moved, tmp_path / "b.tar.zst", ARGS)
    shutil.move(root, tmp_path / "gone")
    losses: dict[str, list[float]] = {"gone": [], "elsewhere/moved": []}
    for name, found in losses.items():
        train(dataclasses.replace(TINY, max_iters=60), tmp_path / name, time.monotonic(),
              lambda _, loss, found=found: found.append(loss))  # type: ignore[misc]
    assert losses["gone"] == losses["elsewhere/moved"] and len(losses["gone"]) > 20


def test_what_a_run_at_work_has_not_committed_stays_behind(root: Path, tmp_path: Path) -> None:
    with open(root / "data/run.lock", "w") as lock, Catalog(root) as catalog, catalog.record():
        fcntl.flock(lock, fcntl.LOCK_EX)
        catalog.append("data/raw", ".jsonl", b"in flight\n")
        catalog.log._appending["data/raw/000000.jsonl"].flush()
        assert "without data/suffixes.bin" in write_bundle(root, tmp_path / "b.tar.gz", ARGS)
    restore_bundle(tmp_path / "new", tmp_path / "b.tar.gz", ARGS)
    assert b"in flight" not in (tmp_path / "new/data/raw/000000.jsonl").read_bytes()
    assert not (tmp_path / "new/data/suffixes.bin").exists()  # which train writes in place
    with Catalog(tmp_path / "new") as catalog:
        assert count(catalog) == 40 and catalog.length("data/raw/000000.jsonl") == (
            tmp_path / "new/data/raw/000000.jsonl").stat().st_size


def test_bins_that_are_replaced_meanwhile_are_gathered_again(root: Path, tmp_path: Path,
                                                             monkeypatch: pytest.MonkeyPatch) -> None:
    copy_catalog, n_copies = bundle.snapshot.copy_catalog, 0

    def rebuilding(source: Path, copy: Path) -> None:
        nonlocal n_copies
        n_copies += 1
        if n_copies == 1:  # after bins.json was opened
            with Catalog(root) as catalog, catalog.record():
                growth.clear(catalog)
                catalog.set_state("prepare.stale", True)
            prepare.run(PrepareConfig(tokenizer="byte"), root)
        copy_catalog(source, copy)

    monkeypatch.setattr(bundle.snapshot, "copy_catalog", rebuilding)
    with contextlib.ExitStack() as stack:
        sources = {one.path: one for one in gather(root, tmp_path / "copy", stack)}
        stream = sources["data/bins.json"].stream
        assert stream and stream.read() == (root / "data/bins.json").read_bytes() and n_copies == 2


def test_damage_is_not_bundled(root: Path, tmp_path: Path) -> None:
    path = root / "data/raw/000000.jsonl"
    path.write_bytes(path.read_bytes().replace(b"3 The ship", b"3 The shop", 1))
    with pytest.raises(StageError, match="changed since they were written") as caught:
        write_bundle(root, tmp_path / "b.tar.gz", ARGS)
    assert "validate.py" in caught.value.fix and not (tmp_path / "b.tar.gz").exists()
    path.unlink()
    with pytest.raises(StageError, match="cannot be read"):
        write_bundle(root, tmp_path / "b.tar.gz", ARGS)


def test_a_file_that_is_replaced_meanwhile_is_no_damage(root: Path, tmp_path: Path,
                                                        monkeypatch: pytest.MonkeyPatch) -> None:
    copy_catalog = bundle.snapshot.copy_catalog

    def then_replace(root: Path, copy: Path) -> None:
        copy_catalog(root, copy)
        with Catalog(root) as catalog:
            file = rewriting.without_rows(catalog, "data/raw/000000.jsonl", [2])
            with catalog.record():
                catalog.execute("DELETE FROM documents WHERE seq = 2")
                rewriting.take(catalog, [file])
            catalog.finish_swap()

    monkeypatch.setattr(bundle.snapshot, "copy_catalog", then_replace)
    with pytest.raises(StageError, match=r"raw/000000\.jsonl changed while it was bundled"):
        write_bundle(root, tmp_path / "b.tar.gz", ARGS)


def test_a_file_that_changes_between_its_checksum_and_its_turn_is_an_error(root: Path, tmp_path: Path,
                                                                           monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle, "_checksum", lambda root, source: "0" * 64)
    with pytest.raises(StageError, match="changed while it was bundled"):
        write_bundle(root, tmp_path / "b.tar.gz", ARGS)
    assert [path.name for path in tmp_path.iterdir()] == ["root"]


def test_a_swap_that_a_crash_left_is_refused_and_the_fix_finishes_it(root: Path, tmp_path: Path) -> None:
    with Catalog(root) as catalog, catalog.record():
        catalog.set_state("swap", {"data/val.bin": "data/val.bin.new"})
    shutil.rmtree(root / "config")  # whose files are none
    with pytest.raises(StageError, match="are being replaced") as caught:
        write_bundle(root, tmp_path / "b.tar.gz", ARGS)
    follow(caught.value.fix.partition("replacement: ")[2])
    write_bundle(root, tmp_path / "b.tar.gz", ARGS)


def test_the_room_on_the_disk_is_looked_at_first(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_bundle(root, tmp_path / "b.tar.gz", ARGS)
    monkeypatch.setattr(aside.shutil, "disk_usage", lambda path: namedtuple("usage", "free")(1000))
    for work in (lambda: write_bundle(root, tmp_path / "c.tar.gz", ARGS),
                 lambda: restore_bundle(tmp_path / "new", tmp_path / "b.tar.gz", ARGS)):
        with pytest.raises(StageError, match="its disk has 1 kB free"):
            work()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.tar.gz", "root"]


def test_names_and_places_that_are_refused(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("b.zip", ".tar.gz", "b"):
        with pytest.raises(ConfigError, match=r"the compression is chosen. Fix: name it \S*/(b|tar).tar.zst, "):
            write_bundle(root, tmp_path / name, ARGS)
    write_bundle(root, tmp_path / "b.tar.gz", ARGS)
    with pytest.raises(StageError, match="is already there"):
        write_bundle(root, tmp_path / "b.tar.gz", ARGS)
    assert export.main(["restore", str(tmp_path / "b.tar.gz")]) == 2  # the project's own folder
    assert export.main(["restore", str(tmp_path / "b.tar.gz"), "--root", str(root)]) == 1
    assert export.main(["restore", str(tmp_path / "none.tar.gz"), "--root", str(tmp_path / "new")]) == 1
    assert export.main(["bundle", str(tmp_path / "c.tar.gz"), "--root", str(tmp_path / "none")]) == 1
    errors = capsys.readouterr().err
    assert "add --root DIR, or --topic WORDS" in errors and "Traceback" not in errors
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.tar.gz", "root"]


# --- hostile archives ------------------------------------------------------------------------------

Change = Callable[[list[tuple[tarfile.TarInfo, bytes]]], None]


def members_of(path: Path) -> list[tuple[tarfile.TarInfo, bytes]]:
    with tarfile.open(path) as tar:
        return [(info, (tar.extractfile(info) or io.BytesIO()).read()) for info in tar]


def pack(path: Path, members: list[tuple[tarfile.TarInfo, bytes]]) -> None:
    with tarfile.open(path, "w:gz", compresslevel=1) as tar:
        for info, data in members:
            tar.addfile(info, io.BytesIO(data))


def rewritten(members: list[tuple[tarfile.TarInfo, bytes]]) -> None:
    """Let the manifest be that of the other members, whatever they are."""
    entries = [Entry(info.name, len(data), hashlib.sha256(data).hexdigest()) for info, data in members[1:]]
    members[0] = of("manifest.json", to_manifest(entries, "", ""))


def of(name: str, data: bytes = b"", **fields: object) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for field, value in fields.items():
        setattr(info, field, value)
    return info, data


def with_manifest(*edits: Callable[[dict], object]) -> Change:
    def change(members: list[tuple[tarfile.TarInfo, bytes]]) -> None:
        content = json.loads(members[0][1])
        for edit in edits:
            edit(content)
        members[0] = of("manifest.json", json.dumps(content).encode())
    return change


def named(name: str) -> Change:
    """A member of this name, which the manifest lists, too."""
    return lambda members: (members.insert(1, of(name, b"x")), rewritten(members))[1]


def with_sql(*statements: str) -> Change:
    """Another catalog, with its right checksum."""
    def change(members: list[tuple[tarfile.TarInfo, bytes]]) -> None:
        with contextlib.closing(sqlite3.connect(":memory:")) as db:
            db.deserialize(members[-1][1])
            for statement in statements:
                db.execute(statement)
            db.commit()
            members[-1] = of("data/catalog.sqlite3", db.serialize())
        rewritten(members)
    return change


HOSTILE: dict[str, Change] = {
    "a path outside": named("../victim"), "an absolute path": named("/tmp/victim"),
    "a path through dots": named("data/raw/../../victim"), "keys": named("config/keys.toml"),
    "a pickle": named("data/meta.pkl"), "a script": named("run.py"), "a line break": named("config/a.txt\n"),
    "a symbolic link": lambda members: members.__setitem__(1, of(members[1][0].name, type=tarfile.SYMTYPE,
                                                                  linkname="/etc/passwd")),
    "a hard link": lambda members: members.__setitem__(1, of(members[1][0].name, type=tarfile.LNKTYPE,
                                                              linkname="../victim")),
    "a device": lambda members: members.__setitem__(1, of(members[1][0].name, type=tarfile.CHRTYPE)),
    "a folder": lambda members: members.__setitem__(1, of(members[1][0].name, type=tarfile.DIRTYPE)),
    "a member twice": lambda members: members.insert(2, members[1]),
    "a file listed twice": lambda members: (members.insert(2, members[1]), rewritten(members))[1],
    "one more": lambda members: members.append(of("config/more.txt", b"x")),
    "one missing": lambda members: members.pop(2) and None,
    "another content": lambda members: members.__setitem__(1, (members[1][0], members[1][1].swapcase())),
    "no manifest": lambda members: members.pop(0) and None,
    "a link as manifest": lambda members: members.__setitem__(0, of("manifest.json", type=tarfile.SYMTYPE)),
    "an empty archive": lambda members: members.clear(),
    "a manifest in words": lambda members: members.__setitem__(0, of("manifest.json", b"words")),
    "a deep manifest": lambda members: members.__setitem__(0, of("manifest.json", b"[" * 100_000)),
    "a manifest of another kind": with_manifest(lambda content: content.update(format="other")),
    "a newer manifest": with_manifest(lambda content: content.update(version=2)),
    "a negative size": with_manifest(lambda content: content["files"][0].update(n_bytes=-1)),
    "a size that is no number": with_manifest(lambda content: content["files"][0].update(n_bytes=True)),
    "a huge size": with_manifest(lambda content: content["files"][0].update(n_bytes=1 << 50)),
    "a wrong checksum": with_manifest(lambda content: content["files"][0].update(sha256="0" * 64)),
    "no catalog": lambda members: (members.pop(), rewritten(members))[1],
    "a catalog that is none": lambda members: (members.pop(), members.append(of("data/catalog.sqlite3", b"no" * 999)),
                                               rewritten(members))[2],
    "a huge header": lambda members: members.__setitem__(1, (members[1][0].replace(
        name=members[1][0].name, deep=True), members[1][1])) or members[1][0].pax_headers.update(x="y" * 2_000_000),
    "a newer catalog": with_sql("PRAGMA user_version = 99"),
    "a catalog that cuts a file": with_sql("INSERT INTO files VALUES ('../victim', 0, 0)"),
    "a catalog that removes a file": with_sql("INSERT INTO files VALUES ('../victim', 0, 1)"),
    "a catalog that renames a file": with_sql("INSERT INTO state VALUES ('swap', '{\"../victim\": \"data/val.bin\"}')"),
    "a catalog that reads a file": with_sql("UPDATE documents SET file = '/etc/passwd' WHERE seq = 1"),
    "a catalog with a trigger": with_sql("CREATE TRIGGER evil AFTER INSERT ON urls BEGIN "
                                         "INSERT INTO files VALUES ('../victim', 0, 1); END"),
    "a catalog with a view": with_sql("ALTER TABLE answers RENAME TO other", "CREATE VIEW answers AS SELECT 1"),
    "a catalog with a state in words": with_sql("INSERT OR REPLACE INTO state VALUES ('prepare.held', '{{')"),
    "a catalog with a state of another kind": with_sql("INSERT OR REPLACE INTO state VALUES ('prepare.held', '\"x\"')"),
    "a catalog with a position in words": with_sql("INSERT INTO state VALUES ('extract.positions', '{\"x\": 5}')"),
    "a catalog that calls itself older": with_sql("PRAGMA user_version = 3"),
    "a catalog with words for a number": with_sql("UPDATE cursors SET seq = 'x'"),
    "a catalog with half a signature": with_sql("UPDATE clean_documents SET signature = x'00'"),
    "a catalog without a table": with_sql("DROP TABLE forgotten"),
    "a catalog with a row too long": with_sql("UPDATE clean_documents SET length = 1 << 40 WHERE seq = 1"),
    "a catalog with a row before the file": with_sql("UPDATE documents SET offset = -5 WHERE seq = 1"),
    "a catalog of longer files": with_sql("UPDATE files SET length = length + 1 WHERE path LIKE 'data/raw/%'"),
}


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of a few documents."""
    folder = tmp_path_factory.mktemp("packed")
    add_clean_documents(folder / "root", [PROSE, f"2 {PROSE}"])
    (folder / "root/config").mkdir()
    (folder / "root/config/queries.txt").write_text("ships\n")
    write_bundle(folder / "root", folder / "b.tar.gz", ARGS)
    return folder / "b.tar.gz"


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_archive_is_refused_with_a_sentence_and_leaves_nothing(
        packed: Path, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    members = members_of(packed)
    HOSTILE[name](members)
    (tmp_path / "victim").write_text("unharmed")
    pack(tmp_path / "b.tar.gz", members)
    assert export.main(["restore", str(tmp_path / "b.tar.gz"), "--root", str(tmp_path / "new")]) == 1
    error = capsys.readouterr().err
    assert "is not a whole bundle: " in error and "Traceback" not in error and len(error) < 700
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.tar.gz", "victim"]
    assert (tmp_path / "victim").read_text() == "unharmed"


def test_the_archive_that_the_hostile_ones_are_made_of_is_whole(packed: Path, tmp_path: Path) -> None:
    members = members_of(packed)
    rewritten(members)
    pack(tmp_path / "b.tar.gz", members)
    restore_bundle(tmp_path / "new", tmp_path / "b.tar.gz", ARGS)
    assert (tmp_path / "new/config/queries.txt").read_text() == "ships\n"


@pytest.mark.parametrize("ending", [".tar.gz", ".tar.zst"])
@pytest.mark.parametrize("data", [b"", b"no archive at all", bytes(10_000)])
def test_what_is_no_archive(tmp_path: Path, ending: str, data: bytes) -> None:
    (tmp_path / f"b{ending}").write_bytes(data)
    (tmp_path / f"folder{ending}").mkdir()
    with pytest.raises(StageError, match="is not a whole bundle"):
        restore_bundle(tmp_path / "new", tmp_path / f"b{ending}", ARGS)
    with pytest.raises(StageError, match="is not a file"):
        restore_bundle(tmp_path / "new", tmp_path / f"folder{ending}", ARGS)


@pytest.mark.parametrize("ending", [".tar.gz", ".tar.zst"])
def test_a_bundle_that_ends_early_or_has_a_wrong_bit_is_refused(root: Path, tmp_path: Path, ending: str) -> None:
    (root / "checkpoints/release.pt").write_bytes(np.random.default_rng(0).bytes(200_000))
    write_bundle(root, tmp_path / f"whole{ending}", ARGS)
    data, path = (tmp_path / f"whole{ending}").read_bytes(), tmp_path / f"b{ending}"
    for wrong in (data[:len(data) // 2], data[:100], data[:150_000] + bytes([data[150_000] ^ 1]) + data[150_001:]):
        path.write_bytes(wrong)
        with pytest.raises(StageError, match="is not a whole bundle"):
            restore_bundle(tmp_path / "new", path, ARGS)
    assert not (tmp_path / "new").exists()


def test_a_bomb_is_refused_before_it_fills_the_disk(packed: Path, tmp_path: Path,
                                                    monkeypatch: pytest.MonkeyPatch) -> None:
    members = members_of(packed)
    members.insert(1, of("data/samples.jsonl", bytes(6_000_000)))  # which gzip makes a hundredth and less
    monkeypatch.setattr(restore, "MOST_RATIO", 20)
    monkeypatch.setattr(restore, "FREE_BYTES", 0)
    rewritten(members)
    pack(tmp_path / "b.tar.gz", members)
    with pytest.raises(StageError, match="would become 6"):
        restore_bundle(tmp_path / "new", tmp_path / "b.tar.gz", ARGS)
    assert [path.name for path in tmp_path.iterdir()] == ["b.tar.gz"]


def test_a_manifest_tells_what_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="cannot be read"):
        from_manifest(b"{}")
    with pytest.raises(ValueError, match="'other'"):
        from_manifest(json.dumps({"format": "other", "version": 1, "files": []}).encode())
    with pytest.raises(ValueError, match="not in it"):
        from_manifest(json.dumps({"format": FORMAT, "version": 1, "files": []}).encode())
    monkeypatch.setattr(contents, "MOST_FILES", 1)
    with pytest.raises(ValueError, match="lists 2 files, more than 1"):
        from_manifest(to_manifest([Entry("data/train.bin", 0, "0" * 64)] * 2, "", ""))
