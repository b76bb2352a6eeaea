"""python3 -m pytest tests/storage/test_errors.py"""

import contextlib
import re
import shlex
import sqlite3
import subprocess
from pathlib import Path

import pytest

from miniature_memory.core.errors import StageError
from miniature_memory.storage.catalog import Catalog
from miniature_memory.storage.errors import stage_error


def test_a_misspelt_column_is_our_mistake_and_loses_the_open_group_alone(tmp_path: Path) -> None:
    with Catalog(tmp_path) as catalog:
        with catalog.record():
            catalog.append("data/raw", ".jsonl", b"one\n")
        catalog.commit()
        with pytest.raises(sqlite3.OperationalError, match="no such column: sequence"), catalog.record():
            catalog.append("data/raw", ".jsonl", b"two\n")
            catalog.execute("UPDATE cursors SET seq = sequence")
        with catalog.record():
            catalog.append("data/raw", ".jsonl", b"three\n")
    assert (tmp_path / "data/raw/000000.jsonl").read_bytes() == b"one\nthree\n"


def test_a_full_disk_is_reported_as_one_and_the_same_command_succeeds_afterwards(tmp_path: Path) -> None:
    with Catalog(tmp_path) as catalog:
        catalog.execute("PRAGMA max_page_count = 50")
        with pytest.raises(StageError, match=r"no space left.*Fix: make room, then run the same command"), \
                catalog.record():
            catalog.set_state("large", "x" * 500_000)
        catalog.execute("PRAGMA max_page_count = 50000")
        with catalog.record():
            catalog.set_state("large", "x" * 500_000)
    with Catalog(tmp_path, read_only=True) as catalog:
        assert len(catalog.state("large")) == 500_000


def test_a_catalog_in_use_by_another_program_is_free_once_that_is_closed(tmp_path: Path) -> None:
    with Catalog(tmp_path) as catalog:
        catalog.execute("PRAGMA busy_timeout = 0")
        with contextlib.closing(sqlite3.connect(catalog.path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StageError, match=r"in use by another program.*Fix: close the program"), \
                    catalog.record():
                pass
        with catalog.record():
            catalog.set_state("key", 1)
        assert catalog.state("key") == 1


def test_a_read_only_catalog_is_for_a_person_to_open(tmp_path: Path) -> None:
    with Catalog(tmp_path) as catalog:
        catalog.execute("PRAGMA query_only = 1")
        with pytest.raises(StageError, match=r"catalog.sqlite3 cannot be opened \(attempt to write a readonly"), \
                catalog.record():
            catalog.set_state("key", 1)


def test_a_folder_in_the_place_of_the_catalog_is_moved_aside(tmp_path: Path) -> None:
    root = tmp_path / "it's mine"
    (root / "data/catalog.sqlite3").mkdir(parents=True)
    with pytest.raises(StageError, match="is a folder") as caught:
        Catalog(root)
    subprocess.run(caught.value.fix, shell=True, check=True)
    Catalog(root).close()


def test_damage_that_reading_meets_is_reported(tmp_path: Path) -> None:
    with Catalog(tmp_path) as catalog, catalog.record():
        for n in range(2000):
            catalog.set_state(f"key {n}", "x" * 100)
    with sqlite3.connect(tmp_path / "data/catalog.sqlite3") as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    data = bytearray((tmp_path / "data/catalog.sqlite3").read_bytes())
    data[-100_000:-50_000] = b"\xff" * 50_000
    (tmp_path / "data/catalog.sqlite3").write_bytes(data)
    with pytest.raises(StageError, match="is damaged"), Catalog(tmp_path, read_only=True) as catalog:
        catalog.execute("SELECT * FROM state").fetchall()


def test_a_damaged_catalog_is_reported_and_a_new_one_made_where_it_was_moved_away(tmp_path: Path) -> None:
    root = tmp_path / "a folder"
    (root / "data").mkdir(parents=True)
    (root / "data/catalog.sqlite3").write_bytes(b"no database " * 100)
    with pytest.raises(StageError, match="is damaged") as caught:
        Catalog(root)
    command = re.search(r"mv .*damaged", caught.value.fix)
    assert command
    subprocess.run(shlex.split(command[0]), check=True)
    Catalog(root).close()
    assert [path.name for path in sorted(root.iterdir())] == ["data", "data.damaged"]


@pytest.mark.parametrize(("code", "sentence"), [
    (sqlite3.SQLITE_IOERR_READ, "cannot be read or written"), (sqlite3.SQLITE_READONLY_DBMOVED, "cannot be opened"),
    (sqlite3.SQLITE_CORRUPT_INDEX, "is damaged"), (sqlite3.SQLITE_LOCKED, "in use"), (sqlite3.SQLITE_ERROR, ""),
    (sqlite3.SQLITE_CONSTRAINT_UNIQUE, ""), (None, "")])
def test_what_an_error_code_of_sqlite_means(code: int | None, sentence: str) -> None:
    error = sqlite3.DatabaseError("some reason")
    if code is not None:
        error.sqlite_errorcode = code
    found = stage_error(error, Path("data/catalog.sqlite3"))
    assert (sentence in str(found) and "(some reason)" in str(found)) if sentence else found is None
