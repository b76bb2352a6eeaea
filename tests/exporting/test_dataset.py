"""A root's documents as a dataset.   .venv/bin/python -m pytest tests/exporting/test_dataset.py"""

import json
import shlex
import shutil
import subprocess
from argparse import Namespace
from pathlib import Path

import pytest
from helpers import PROSE, add_clean_documents, document, lines

import export
import extract
from miniature_memory.cleaning.config import CleanConfig
from miniature_memory.core.errors import StageError
from miniature_memory.core.paths import PROJECT, make_folder
from miniature_memory.exporting import aside, dataset, rows
from miniature_memory.exporting.aside import written_aside
from miniature_memory.exporting.card import topic_of
from miniature_memory.exporting.dataset import write_dataset
from miniature_memory.extraction.page import Extracted
from miniature_memory.storage import clean_documents
from miniature_memory.storage.catalog import Catalog
from miniature_memory.storage.rejections import REJECTED, Rejection

LINES = Namespace(json_lines=True, rejected=False, config=None, overrides=[])
NO_PYARROW = "no pyarrow; install it: ./setup.sh --with export"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Five documents, the second of them for validation."""
    root = tmp_path / "sea-ships"
    add_clean_documents(root, [f"{n} {PROSE}" for n in range(5)])
    with Catalog(root) as catalog, catalog.record():
        clean_documents.set_splits(catalog, [(seq, "val" if seq == 2 else "train") for seq in range(1, 6)])
    return root


def front_matter(folder: Path) -> dict:
    """Of the card: YAML whose values are JSON."""
    head = (folder / "README.md").read_text().split("---\n")[1]
    return {name: json.loads(value) for name, value in (line.split(": ", 1) for line in head.splitlines())}


def test_each_split_has_its_documents_with_all_that_is_known_of_them(root: Path, tmp_path: Path) -> None:
    said = write_dataset(root, tmp_path / "out", LINES)
    train, validation = (lines(tmp_path / f"out/data/{split}.jsonl") for split in ("train", "validation"))
    assert [row["text"][0] for row in train] == ["0", "2", "3", "4"]  # type: ignore[index]
    assert [row["text"] for row in validation] == [f"1 {PROSE}"]
    one = document(f"1 {PROSE}")
    known = {"id": one["id"], "text": one["text"], **one["metadata"], "split": "validation"}  # type: ignore[dict-item]
    assert validation == [{name: known.get(name, "") for name in rows.COLUMNS}]
    assert said.startswith("5 documents (4 train, 1 validation)")


def test_every_key_that_extract_and_clean_write_is_a_column() -> None:
    _, line = extract.to_document(Extracted("text"), extract.Origin("", "", "", "", ""))
    assert json.loads(line)["metadata"].keys() | {"topic_fit"} == {*rows.METADATA, "split"}


def test_the_card_names_the_files_and_counts_the_documents(root: Path, tmp_path: Path) -> None:
    write_dataset(root, tmp_path / "out", LINES)
    head, text = front_matter(tmp_path / "out"), (tmp_path / "out/README.md").read_text()
    files = {one["split"]: one["path"] for one in head["configs"][0]["data_files"]}
    assert files == {"train": "data/train.jsonl", "validation": "data/validation.jsonl"}
    assert all((tmp_path / "out" / path).exists() for path in files.values())
    assert (head["pretty_name"], head["size_categories"]) == ("sea ships", ["n<1K"])
    assert "| example.org | 5 |" in text and "| none named | 5 |" in text and "belong to their authors" in text
    assert "were replaced by words" in text


def test_a_strangers_host_is_no_markup_in_the_card(root: Path, tmp_path: Path) -> None:
    page = document("text")
    page["metadata"] |= {"host": "a|b<script>\n---\n[x](y)" + "z" * 500, "language": "en\nx: y"}  # type: ignore[operator]
    facts = dataset.Facts("a {topic}: \"it\"", True)
    facts.add("train", {"text": "", "license": "", **page["metadata"]})  # type: ignore[dict-item]
    text = dataset.card(facts, ".jsonl")
    assert "<" not in text.split("## Contents")[1] and "a b script --- x (y)" in text and text.count("\n---\n") == 1
    assert max(map(len, text.split("## Contents")[1].splitlines())) <= 120


def test_parquet_holds_the_same_rows_in_groups_of_bounded_size(root: Path, tmp_path: Path,
                                                               monkeypatch: pytest.MonkeyPatch) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason=NO_PYARROW)
    monkeypatch.setattr(rows, "GROUP_BYTES", 2 * len(PROSE))
    write_dataset(root, tmp_path / "lines", LINES)
    write_dataset(root, tmp_path / "parquet", Namespace(**vars(LINES) | {"json_lines": False}))
    for split, n_groups in (("train", 2), ("validation", 1)):
        with parquet.ParquetFile(tmp_path / f"parquet/data/{split}.parquet") as file:
            assert file.read().to_pylist() == lines(tmp_path / f"lines/data/{split}.jsonl")
            assert file.metadata.num_row_groups == n_groups
            assert file.metadata.row_group(0).column(1).compression == "ZSTD"


def test_without_pyarrow_the_fix_writes_json_lines(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dataset, "find_spec", lambda name: None)
    with pytest.raises(StageError, match="which is not installed") as caught:
        write_dataset(root, tmp_path / "out", Namespace(**vars(LINES) | {"json_lines": False}))
    setup, option = caught.value.fix.split(", or add ")
    assert subprocess.run([*shlex.split(setup), "-h"], cwd=PROJECT, capture_output=True).returncode == 0
    assert export.main(["dataset", str(tmp_path / "out"), "--root", str(root), option]) == 0


def test_rejected_documents_come_whole_and_masked_with_their_reason(root: Path, tmp_path: Path) -> None:
    mail = "Write to old.captain@example.com. " * 20
    with Catalog(root) as catalog:
        extracted, origin = Extracted(mail), extract.Origin("http://a.example/", "", "", "", "")
        extract._store(catalog, extracted, origin, extract.StageStats("extract"))
        for text in (mail, f"1 {PROSE}", "never stored"):  # the second was kept since
            with catalog.record():
                catalog.reject("clean", Rejection("too_few_words", 3, 50), str(document(text)["id"]), "", text)
    (root / REJECTED).write_text((root / REJECTED).read_text() + "edited by hand\n")
    write_dataset(root, tmp_path / "out", Namespace(**vars(LINES) | {"rejected": True}))
    [found] = lines(tmp_path / "out/data/rejected.jsonl")
    assert found["text"] == mail.replace("old.captain@example.com", "[email address]")
    assert [found[name] for name in rows.REJECTION] == ["clean", "too_few_words", "3", "50"]
    assert front_matter(tmp_path / "out")["configs"][1]["config_name"] == "rejected"
    with Catalog(root, read_only=True) as catalog:
        [open_] = rows.rejected_rows(catalog, CleanConfig(mask_personal_data=False))
    assert open_["text"] == mail


def test_an_error_in_the_midst_leaves_nothing(root: Path, tmp_path: Path) -> None:
    path = root / "data/clean/000000.jsonl"
    path.write_bytes(path.read_bytes().replace(b"4 The ship", b"4 The shop"))
    with pytest.raises(StageError, match="changed since they were written"):
        write_dataset(root, tmp_path / "out", LINES)
    assert [one.name for one in tmp_path.iterdir()] == ["sea-ships"]


def test_a_folder_with_files_is_refused_and_the_fix_moves_it(root: Path, tmp_path: Path,
                                                             monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my data").mkdir()
    monkeypatch.chdir(tmp_path)
    write_dataset(root, tmp_path / "my data", LINES)  # an empty one is not
    with pytest.raises(StageError, match="is already there") as caught:
        write_dataset(root, Path("my data"), LINES)
    subprocess.run(caught.value.fix.partition("move it: ")[2], shell=True, check=True)
    write_dataset(root, Path("my data"), LINES)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["my data", "my data.old", "sea-ships"]


def test_what_a_killed_export_left_is_removed_and_one_at_work_is_not_disturbed(root: Path, tmp_path: Path) -> None:
    left = tmp_path / ".out.unfinished/out/data"
    left.mkdir(parents=True)
    (left / "stray").write_text("")
    with written_aside(tmp_path / "other") as aside:
        aside.write_text("whole")
        with pytest.raises(StageError, match="is being written by another export"):
            write_dataset(root, tmp_path / "other", LINES)
    write_dataset(root, tmp_path / "out", LINES)
    assert not list(tmp_path.rglob("stray")) and (tmp_path / "other").read_text() == "whole"


def test_an_export_that_meets_the_end_of_another_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aside.fcntl, "flock", lambda *_: shutil.rmtree(tmp_path / ".x.unfinished"))
    with pytest.raises(StageError, match="is being written by another export"), written_aside(tmp_path / "x"):
        pass


def test_what_a_card_calls_the_topic(root: Path) -> None:
    tables = {"run": {"topic": ""}}
    assert topic_of(root, tables) == "sea ships"
    make_folder(root / "config")
    (root / "config/queries.txt").write_text("love\nrevenge\n# the land\nthe sea\nkings\n")
    assert topic_of(root, tables) == "love, revenge, the sea"
    assert topic_of(root, {"run": {"topic": "Ships & sails"}}) == "Ships & sails"


def test_a_root_without_documents_is_refused(tmp_path: Path) -> None:
    Catalog(tmp_path / "new").close()
    with pytest.raises(StageError, match="no clean document yet"):
        write_dataset(tmp_path / "new", tmp_path / "out", LINES)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("arguments", [
    ["bundle", "x.tar.gz", "--rejected"], ["restore", "x.tar.gz", "--json-lines"], ["book", "x"], ["dataset"],
    ["bundle", "x.tar.gz", "--set", "train.max_minutes=1"], ["restore", "x.tar.gz", "--config", "x.toml"],
    ["dataset", "x", "--topic", "never begun"]])
def test_a_wrong_command_line(arguments: list[str]) -> None:
    assert export.main(arguments) == 2
