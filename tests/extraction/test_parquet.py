"""Datasets come in as documents.   .venv/bin/python -m pytest tests/extraction/test_parquet.py"""

import datetime
import json
import random
import subprocess
from argparse import Namespace
from pathlib import Path

import pytest
from helpers import PROSE, lines

import clean
import extract
import prepare
import validate
from miniature_memory.cleaning.config import CleanConfig
from miniature_memory.core.paths import PROJECT
from miniature_memory.exporting.dataset import write_dataset
from miniature_memory.extraction import parquet
from miniature_memory.extraction.config import ExtractConfig
from miniature_memory.extraction.inputs import read_files
from miniature_memory.extraction.reading import Input
from miniature_memory.storage import clean_documents
from miniature_memory.storage.catalog import Catalog
from miniature_memory.training.config import PrepareConfig
from miniature_memory.validation.config import ValidateConfig

NO_PYARROW = "no pyarrow; install it: ./setup.sh --with export"


def collect(root: Path, *files: Path) -> None:
    extract.run(ExtractConfig(workers=1), root, files=files)
    validate.run(ValidateConfig(), root)
    clean.run(CleanConfig(), root)
    prepare.run(PrepareConfig(tokenizer="byte"), root)


def documents(root: Path) -> dict[str, tuple[str, dict[str, str]]]:
    """Text -> (split, metadata) of the clean documents."""
    with Catalog(root, read_only=True) as catalog:
        found = [(row["split"], clean_documents.read_whole(catalog, row)) for row in clean_documents.in_order(catalog)]
    return {one["text"]: (split, one["metadata"]) for split, one in found}


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_a_dataset_that_was_exported_comes_in_with_its_texts_and_its_split(tmp_path: Path, suffix: str) -> None:
    if suffix == ".parquet":
        pytest.importorskip("pyarrow", reason=NO_PYARROW)
    words = PROSE.split()
    texts = [" ".join(random.Random(n).sample(words, len(words))) + f" Mail captain{n}@example.com." for n in range(9)]
    rows = [{"text": text, "url": f"http://a.example/{n}", "title": f"Voyage {n}", "author": "The mate",
             "date": "2025-01-02", "license": "CC-BY-4.0", "fetched_at": "2026-01-02T03:04:05Z"}
            for n, text in enumerate([*texts, " ".join(f"word{n}" for n in range(9))])]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    collect(tmp_path / "old", tmp_path / "in.jsonl")
    args = Namespace(json_lines=suffix == ".jsonl", rejected=False, config=None, overrides=[])
    write_dataset(tmp_path / "old", tmp_path / "dataset", args)
    collect(tmp_path / "new", tmp_path / "dataset/data")
    old, new = documents(tmp_path / "old"), documents(tmp_path / "new")
    assert {text: split for text, (split, _) in new.items()} == {text: split for text, (split, _) in old.items()}
    assert {split for split, _ in new.values()} == {"train", "val"}
    for text, (_, metadata) in new.items():
        same = ("url", "title", "author", "published", "language", "license", "fetched_at", "host")
        assert {name: metadata[name] for name in same} == {name: old[text][1][name] for name in same}
        assert metadata["published"] == "2025-01-02" and metadata["license"] == "CC-BY-4.0"


def inputs(tmp_path: Path, table: object, **options: object) -> list[Input]:
    from pyarrow.parquet import write_table

    write_table(table, tmp_path / "a.parquet", **options)
    return list(read_files([tmp_path / "a.parquet"]))


def test_other_makers_of_parquet_files(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow", reason=NO_PYARROW)
    day = datetime.datetime(2026, 1, 2, 3, 4, 5)
    [one] = inputs(tmp_path, pyarrow.table({"text": ["datatrove's"], "id": ["x"], "metadata": [
        {"url": "http://a.example/1", "date": day, "score": 0.5}]}))
    assert (one.text, one.url) == ("datatrove's", "http://a.example/1") and one.published.startswith("2026-01-02T03")
    rows = inputs(tmp_path, pyarrow.table({"Text": ["a", None, ""], "split": ["validation", "test", "train"],
                                           "embedding": [[0.5] * 9] * 3}), row_group_size=1)
    assert [(row.text, row.reason, row.split) for row in rows] == [
        ("a", "", "val"), ("", "no_text", ""), ("", "no_text", "train")]
    assert rows[0].url.endswith("a.parquet#line=1")
    assert [one.reason for one in inputs(tmp_path, pyarrow.table({"n": [1]}))] == ["no_text_column"]


def test_hostile_parquet_files_are_refused(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow", reason=NO_PYARROW)
    column = pyarrow.DictionaryArray.from_arrays([0] * 64, ["x" * 20_000_000])
    bomb = inputs(tmp_path, pyarrow.table({"text": column}), compression="zstd", store_schema=False)
    assert (tmp_path / "a.parquet").stat().st_size < 1_000_000
    assert [one.reason for one in bomb] == ["expands_too_much"]
    whole = inputs(tmp_path, pyarrow.table({"text": ["one", "two"]}))
    assert [one.text for one in whole] == ["one", "two"]
    data = (tmp_path / "a.parquet").read_bytes()
    for wrong in (b"", b"PAR1", data[:-20], data[:40] + bytes(40) + data[80:], b"PAR1" + bytes(500) + b"PAR1"):
        (tmp_path / "a.parquet").write_bytes(wrong)
        assert [one.reason for one in read_files([tmp_path / "a.parquet"])][-1] == "damaged"


def test_who_has_seen_enough_of_a_file_does_not_wait_for_its_end(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow", reason=NO_PYARROW)
    from pyarrow.parquet import write_table

    write_table(pyarrow.table({"text": [str(n) * 100 for n in range(100_000)]}), tmp_path / "a.parquet")
    assert next(iter(read_files([tmp_path / "a.parquet"]))).text == "0" * 100


def test_without_pyarrow_the_message_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                                          caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(parquet, "HAS_PYARROW", False)
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    assert [one.reason for one in read_files([tmp_path])] == ["needs_pyarrow"]
    assert "skipped: 1 .parquet" in caplog.text
    fix = caplog.text.partition("Fix: ")[2].split()
    assert subprocess.run([*fix, "-h"], cwd=PROJECT, capture_output=True).returncode == 0


def test_a_document_with_a_split_is_not_divided(tmp_path: Path) -> None:
    text = f"{PROSE}\n\n" * 60
    rows = [{"text": f"1 {text}", "split": "train"}, {"text": f"2 {text}"}]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    extract.run(ExtractConfig(workers=1), tmp_path, files=[tmp_path / "a.jsonl"])
    first, *others = lines(tmp_path / "data/raw/000000.jsonl")
    assert first["text"] == f"1 {text}" and first["metadata"]["split"] == "train"  # type: ignore[index]
    assert len(others) > 1 and {one["metadata"]["split"] for one in others} == {""}  # type: ignore[index]


def test_a_split_that_came_with_a_document_outlives_a_rebuild(tmp_path: Path) -> None:
    words = PROSE.split()
    rows = [{"text": " ".join(random.Random(n).sample(words, len(words))), "split": "validation" if n % 2 else "train"}
            for n in range(6)]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    extract.run(ExtractConfig(workers=1), tmp_path, files=[tmp_path / "a.jsonl"])
    validate.run(ValidateConfig(), tmp_path)
    wanted = {row["text"]: "val" if row["split"] == "validation" else "train" for row in rows}
    for config, rebuild in ((CleanConfig(thresholds={"min_words": 10_000}), False), (CleanConfig(), True)):
        clean.run(config, tmp_path, rebuild)
    assert {text: split for text, (split, _) in documents(tmp_path).items()} == wanted
    prepare.run(PrepareConfig(tokenizer="byte"), tmp_path)
    assert {text: split for text, (split, _) in documents(tmp_path).items()} == wanted
