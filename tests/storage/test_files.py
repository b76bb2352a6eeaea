"""python3 -m pytest tests/storage/test_files.py: what a full disk leaves, and a power cut."""

import errno
import os
import zipfile
from pathlib import Path

import pytest

from miniature_memory.core.errors import disk_error
from miniature_memory.core.paths import fsync_folder
from miniature_memory.storage import files
from miniature_memory.storage.catalog import Catalog
from miniature_memory.storage.files import append_line, write_aside, zip_fault


def fail(_descriptor: int) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_file_that_could_not_be_written_is_named_and_leaves_nothing(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    write_aside(path, b"old")
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError) as error:
        write_aside(path, b"new")
    assert f"no space left for {path}." in str(disk_error(error.value))
    assert [one.name for one in tmp_path.iterdir()] == ["file"] and path.read_bytes() == b"old"


def test_the_file_of_the_append_log_that_could_not_be_written_is_named(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Catalog(tmp_path) as catalog, monkeypatch.context() as full:
        with catalog.record():
            catalog.append("data/raw", ".jsonl", b"{}\n")
        full.setattr(os, "fsync", fail)
        with pytest.raises(OSError) as error:
            catalog.commit()
    assert f"no space left for {tmp_path}/data/raw/000000.jsonl." in str(disk_error(error.value))


def test_the_first_line_of_a_file_makes_its_name_survive_a_power_cut(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[Path] = []
    monkeypatch.setattr(files, "fsync_folder", synced.append)
    for _ in range(2):
        append_line(tmp_path / "runs.jsonl", "{}")
    assert synced == [tmp_path] and (tmp_path / "runs.jsonl").read_bytes() == b"{}\n{}\n"


def test_a_folder_that_cannot_be_synced_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError) as error:
        fsync_folder(tmp_path)
    assert error.value.filename == str(tmp_path)


def test_an_error_of_the_disk_is_not_taken_for_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else training would continue from the checkpoint before, after one read that failed."""
    with zipfile.ZipFile(tmp_path / "file", "w") as archive:
        archive.writestr("entry", "text")
    assert not zip_fault(tmp_path / "file")
    monkeypatch.setattr(zipfile, "_EndRecData", fail)
    with pytest.raises(OSError) as error:
        zip_fault(tmp_path / "file")
    assert error.value.errno == errno.ENOSPC
