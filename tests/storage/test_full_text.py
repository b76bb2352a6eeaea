"""python3 -m pytest tests/storage/test_full_text.py"""

import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from helpers import PROSE, add_clean_documents

import clean
import validate
from miniature_memory.cleaning.config import CleanConfig
from miniature_memory.core.errors import StageError
from miniature_memory.core.paths import PROJECT
from miniature_memory.storage import clean_documents, full_text, records
from miniature_memory.storage.catalog import Catalog
from miniature_memory.storage.full_text import INDEX, QueryError

KILLED_AT_THE_FIFTH = """
import os, sys
from pathlib import Path
from miniature_memory.storage import clean_documents, full_text
from miniature_memory.storage.catalog import Catalog
full_text.GROUP_BYTES, read, n = 25, clean_documents.read_row, iter(range(100))
clean_documents.read_row = lambda *row: os._exit(9) if next(n) == 4 else read(*row)
full_text.grow(Catalog(Path(sys.argv[1])))
"""


def grow(root: Path, rebuild: bool = False) -> int:
    with Catalog(root) as catalog:
        return full_text.grow(catalog, rebuild)


def found(root: Path, expression: str) -> list[str]:
    """The texts of the documents that are found, the best first."""
    with Catalog(root, read_only=True) as catalog, full_text.reading(catalog) as index:
        answer = full_text.search(index, expression, 10)
        rows = [clean_documents.at(catalog, seq) for seq in answer.seqs]
        assert answer.total == len(rows)
        return [clean_documents.read_text(catalog, row) for row in rows if row]


def test_each_run_adds_what_is_new(tmp_path: Path) -> None:
    add_clean_documents(tmp_path, ["bread and water", "wild yeast"])
    assert [grow(tmp_path), grow(tmp_path)] == [2, 0]
    add_clean_documents(tmp_path, ["bread with wild yeast"])
    assert found(tmp_path, "bread") == ["bread and water"]
    assert grow(tmp_path) == 1
    assert found(tmp_path, "bread") == ["bread and water", "bread with wild yeast"]
    assert found(tmp_path, '"wild yeast" NOT bread') == ["wild yeast"]


def test_a_document_with_more_of_a_word_comes_first(tmp_path: Path) -> None:
    add_clean_documents(tmp_path, ["bread and many other things", "bread bread bread", "nothing of it"])
    grow(tmp_path)
    assert found(tmp_path, "bread") == ["bread bread bread", "bread and many other things"]


@pytest.mark.parametrize("query", ["creme", "CRÈME", "Crème", "crème", "brulee"])
def test_case_and_diacritics_make_no_difference(tmp_path: Path, query: str) -> None:
    add_clean_documents(tmp_path, ["Crème BRÛLÉE"])
    grow(tmp_path)
    assert found(tmp_path, query) == ["Crème BRÛLÉE"]


def test_vowel_signs_belong_to_their_words(tmp_path: Path) -> None:
    add_clean_documents(tmp_path, ["हिन्दी भाषा", "ह न द"])
    grow(tmp_path)
    assert found(tmp_path, "हिन्दी") == ["हिन्दी भाषा"]


def test_a_kill_loses_no_document_and_indexes_none_twice(tmp_path: Path) -> None:
    add_clean_documents(tmp_path, [f"number {n} of ten" for n in range(10)])
    done = subprocess.run([sys.executable, "-c", KILLED_AT_THE_FIFTH, tmp_path], cwd=PROJECT, check=False)
    assert done.returncode == 9
    with Catalog(tmp_path, read_only=True) as catalog, full_text.reading(catalog) as index:
        assert 0 < full_text.n_waiting(index, catalog) < 10
    assert 0 < grow(tmp_path) < 10
    assert len(found(tmp_path, "number")) == 10
    assert not full_text.damage(tmp_path) and grow(tmp_path) == 0


def test_the_index_holds_no_text(tmp_path: Path) -> None:
    add_clean_documents(tmp_path, [PROSE])
    grow(tmp_path)
    index = (tmp_path / INDEX).read_bytes()
    assert b"captain" in index  # a word is an entry of it
    assert b"old captain" not in index and PROSE.encode() in (tmp_path / "data/clean/000000.jsonl").read_bytes()


def test_after_a_rebuild_of_the_clean_set_the_index_is_that_of_the_new_one(tmp_path: Path) -> None:
    add_clean_documents(tmp_path, [PROSE + "Bread.", "too short"])
    grow(tmp_path)
    clean.run(CleanConfig(), tmp_path, rebuild=True)
    assert found(tmp_path, "bread") == [PROSE + "Bread."] and found(tmp_path, "short") == []


def test_an_index_of_an_earlier_clean_set_is_not_searched(tmp_path: Path) -> None:
    add_clean_documents(tmp_path, ["bread", "water"])
    grow(tmp_path)
    with Catalog(tmp_path) as catalog:
        row = clean_documents.at(catalog, 2)
        assert row
        with catalog.record():
            records.pass_over(catalog, records.one("clean_documents", row))
    with pytest.raises(StageError, match=r"earlier clean set.*clean\.py --index"):
        found(tmp_path, "water")
    add_clean_documents(tmp_path, ["wine"])  # its row has the number of the one that went
    assert grow(tmp_path) == 2
    assert found(tmp_path, "water") == [] and found(tmp_path, "wine") == ["wine"]


def test_an_older_catalog_that_was_put_back_gets_an_index_of_its_own(tmp_path: Path) -> None:
    add_clean_documents(tmp_path, ["bread"])
    shutil.copytree(tmp_path / "data", tmp_path / "copy/data")
    add_clean_documents(tmp_path, ["water"])
    grow(tmp_path)
    shutil.copy(tmp_path / INDEX, tmp_path / "copy" / INDEX)
    add_clean_documents(tmp_path / "copy", ["wine"])
    grow(tmp_path / "copy")
    assert found(tmp_path / "copy", "water OR wine") == ["wine"]


@pytest.mark.parametrize("content", [b"", b"no database" * 1000, None])
def test_a_damaged_index_is_made_again(tmp_path: Path, content: bytes | None) -> None:
    add_clean_documents(tmp_path, ["bread"])
    grow(tmp_path)
    if content is None:
        with closing(sqlite3.connect(tmp_path / INDEX)) as db:
            db.execute("DROP TABLE progress")
    else:
        (tmp_path / INDEX).write_bytes(content)
    with pytest.raises(StageError, match=r"index\.sqlite3.*clean\.py --index"):
        found(tmp_path, "bread")
    assert grow(tmp_path) == 1 and found(tmp_path, "bread") == ["bread"]


def test_each_part_of_a_removed_index_is_gone_before_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data").mkdir()
    for name in full_text.FILES:
        (tmp_path / name).touch()
    left: list[int] = []
    monkeypatch.setattr(full_text, "fsync_folder", lambda folder: left.append(len(list(folder.iterdir()))))
    full_text.remove(tmp_path)
    assert left == [2, 1, 0]


def test_damage_within_is_named_with_a_fix_that_works(tmp_path: Path) -> None:
    add_clean_documents(tmp_path, [f"{PROSE} word{n}" for n in range(50)])
    grow(tmp_path)
    pages = bytearray((tmp_path / INDEX).read_bytes())
    at = pages.index(b"captain")
    pages[at - 2000:at + 2000] = b"\xee" * 4000
    (tmp_path / INDEX).write_bytes(pages)
    assert validate.main(["--full", "--root", str(tmp_path)]) == 1
    log = (tmp_path / "data/run.log").read_text()
    assert "data/index.sqlite3 is damaged" in log
    assert f"Fix: run python3 clean.py --index --root {tmp_path}, which rebuilds it" in log
    assert clean.main(["--index", "--root", str(tmp_path)]) == 0
    assert validate.main(["--full", "--root", str(tmp_path)]) == 0
    assert len(found(tmp_path, "word7 AND captain")) == 1


def test_without_fts5_everything_else_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_clean_documents(tmp_path, ["bread"])
    monkeypatch.setattr(full_text, "is_supported", lambda: False)
    assert clean.run(CleanConfig(), tmp_path).facts["indexed"] == 0
    assert not full_text.damage(tmp_path)
    with pytest.raises(StageError, match="has no FTS5"):
        found(tmp_path, "bread")


def test_a_query_that_takes_too_long_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_clean_documents(tmp_path, [f"bread {n}" for n in range(2000)])
    grow(tmp_path)
    monkeypatch.setattr(full_text, "QUERY_SEC", 0.0)
    with pytest.raises(StageError, match="takes more than 0 s"):
        found(tmp_path, "bread")


@pytest.mark.parametrize("expression", ["AND", '"open', "nothing: bread", "bread)", "NEAR(", "*", "a b c:", "*reads",
                                        "*id"])
def test_what_is_no_expression_is_rejected(tmp_path: Path, expression: str) -> None:
    add_clean_documents(tmp_path, ["bread"])
    grow(tmp_path)
    with Catalog(tmp_path, read_only=True) as catalog, full_text.reading(catalog) as index:
        with pytest.raises(QueryError):
            full_text.search(index, expression, 10)
        assert full_text.count(index, "bread") == 1


def test_without_a_catalog_nothing_is_made(tmp_path: Path) -> None:
    with pytest.raises(StageError, match=r"There is no .*catalog\.sqlite3"):
        clean.run(CleanConfig(), tmp_path, index=True)
    assert not list(tmp_path.iterdir())
