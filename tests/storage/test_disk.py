"""What a root takes, and what is removed beyond its limit.   .venv/bin/python -m pytest tests/storage/test_disk.py"""

import logging
import os
import zipfile
from pathlib import Path

import pytest
from helpers import add_pages

import clean
import extract
import validate
from miniature_memory.cleaning.config import CleanConfig
from miniature_memory.extraction.config import ExtractConfig
from miniature_memory.storage import append_log, disk, pages
from miniature_memory.storage.catalog import Catalog
from miniature_memory.validation.config import ValidateConfig


def fill(root: Path, n_pages: int) -> None:
    add_pages(root, {f"http://a/{n}": f"<article><h1>{n}</h1><p>{f'Ship {n}. ' * 30}</p></article>".encode()
                     for n in range(n_pages)})


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Five WARC files of one page each, of which four have been extracted; three models of 1 MB, a checkpoint."""
    monkeypatch.setitem(append_log.SHARD_BYTES, "data/pages", 100)
    fill(tmp_path, 4)
    extract.run(ExtractConfig(workers=1), tmp_path)
    add_pages(tmp_path, {"http://a/new": b"<p>not extracted yet</p>"})
    (tmp_path / "checkpoints/history").mkdir(parents=True)
    for name in ("1.pt", "2.pt", "3.pt"):
        write_zip(tmp_path / "checkpoints/history" / name, 1_000_000)
    write_zip(tmp_path / "checkpoints/ckpt.pt", 2_000_000)
    return tmp_path


def write_zip(path: Path, n_bytes: int) -> None:
    """A file of this length, in the container that checkpoints have."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x", bytes(n_bytes - 100))  # its headers take 100 bytes


def test_each_byte_belongs_to_a_part(root: Path) -> None:
    os.link(root / "checkpoints/ckpt.pt", root / "checkpoints/ckpt.prev.pt")  # the same bytes
    (root / "data/odd").write_bytes(bytes(7))
    found = disk.usage(root)
    assert found.is_whole and found.parts["checkpoints"] == 2_000_000 and found.parts["earlier models"] == 3_000_000
    assert found.parts["other"] == 7 and list(found.parts) == sorted(found.parts, key=lambda part: -found.parts[part])
    assert found.parts["pages"] == sum(path.stat().st_size for path in (root / "data/pages").iterdir())
    with Catalog(root, read_only=True) as catalog:
        known = disk.usage(root, known=disk.committed(catalog)).parts
    assert {**known, "catalog": 0} == {**found.parts, "catalog": 0}  # which has another file while it is open
    assert not disk.usage(root, 3).is_whole and not disk.usage(root / "none").parts


def test_where_there_are_too_many_files_the_large_ones_are_seen(tmp_path: Path) -> None:
    for name in ("data/catalog.sqlite3", "checkpoints/ckpt.pt", *(f"checkpoints/history/{n}.pt" for n in range(20))):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(bytes(1000))
    found = disk.usage(tmp_path, 10)
    assert found.parts["catalog"] == found.parts["checkpoints"] == 1000 and not found.is_whole


def test_earlier_models_go_first_and_only_as_many_as_must(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    total = disk.usage(root).total
    disk.keep_within(root, 0.0)
    disk.keep_within(root, total / 1e9)
    assert not caplog.text and disk.usage(root).total == total
    disk.keep_within(root, (total - 500_000) / 1e9)
    assert sorted(path.name for path in (root / "checkpoints/history").iterdir()) == ["2.pt", "3.pt"]
    assert f"removed 1 earlier model; {disk.in_words(disk.usage(root).total)} are left\n" in caplog.text


def test_then_extracted_pages_go_and_nothing_else_and_the_audit_misses_none(root: Path,
                                                                            caplog: pytest.LogCaptureFixture) -> None:
    raw = (root / "data/raw/000000.jsonl").read_bytes()
    disk.keep_within(root, 1e-6)
    assert "removed 2 earlier models and 4 WARC files that had been extracted" in caplog.text
    assert "none of that may go. Fix: raise storage.max_gb" in caplog.text
    assert [path.name for path in (root / "data/pages").iterdir()] == ["000004.warc.gz"]
    assert (root / "data/raw/000000.jsonl").read_bytes() == raw and (root / "checkpoints/history/3.pt").exists()
    assert extract.run(ExtractConfig(workers=1), root).n_in == 1
    disk.keep_within(root, 1e-6)
    assert (root / "data/pages/000004.warc.gz").exists()  # scrape appends to it
    validate.run(ValidateConfig(languages=["*"]), root)
    facts = validate.run(ValidateConfig(), root, full=True).facts
    assert facts["problems"] == 0 and facts["removed_warc_files"] == 4
    config = CleanConfig(preset="off", validate=ValidateConfig(languages=["*"]))
    kept = clean.run(config, root).n_out
    assert clean.run(config, root, rebuild=True).n_out == kept
    fill(root, 1)  # with what is known by its payload, too
    with Catalog(root, read_only=True) as catalog:
        assert pages.count(catalog) == 6
    assert (root / "data/pages/000005.warc.gz").exists()
