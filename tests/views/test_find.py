"""python3 -m pytest tests/views/test_find.py"""

import json
from pathlib import Path

import pytest
from helpers import add_clean_documents

import run
from miniature_memory.collection.search import search
from miniature_memory.storage import full_text
from miniature_memory.storage.catalog import Catalog
from miniature_memory.views import find


@pytest.fixture
def root(tmp_path: Path) -> Path:
    add_clean_documents(tmp_path, ["Dough and wild yeast.", "Bread.\x1b[2J"])
    with Catalog(tmp_path) as catalog:
        full_text.grow(catalog)
    return tmp_path


def test_documents_are_shown_with_address_date_and_passage(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main(["--find", "wild yeast", "--root", str(root)]) == 0
    assert capsys.readouterr().out == ("1 document found:\n\n 1  Dough and wild yeast. · 2026-01-01\n"
                                       "    http://example.org/\n    Dough and wild yeast.\n")


def test_hits_are_bold_on_a_terminal_alone(root: Path) -> None:
    answer = search(root, '"wild yeast"')
    assert "Dough and \x1b[1mwild yeast\x1b[0m." in find.screen(answer, is_terminal=True)
    assert "\x1b" not in find.screen(answer, is_terminal=False)


def test_no_text_commands_the_terminal(root: Path) -> None:
    screen = find.screen(search(root, "bread"), is_terminal=True)
    assert "\x1b[2J" not in screen and "\x1b[1mBread\x1b[0m" in screen


def test_programs_get_one_json_object(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main(["--find", "yeast", "--json", "--root", str(root)]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["query"], facts["total"], facts["note"]) == ("yeast", 1, "")
    assert facts["results"][0]["url"] == "http://example.org/" and facts["results"][0]["hits"] == ["yeast"]
    assert facts["results"][0]["passage"] == "Dough and wild yeast." and len(facts["results"][0]["id"]) == 64


def test_nothing_found_is_a_sentence_and_no_failure(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main(["--find", "levain", "--root", str(root)]) == 0
    assert 'No document matches. "levain" is in none.' in capsys.readouterr().out


def test_without_a_collection_the_command_that_starts_one_is_named(
        tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert run.main(["--find", "bread", "--root", str(tmp_path)]) == 1
    assert f"Fix: run python3 run.py --root {tmp_path} first" in caplog.text
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("others", [["--status"], ["--only", "clean"], ["--max-minutes", "3"]])
def test_it_runs_no_stage(tmp_path: Path, others: list[str], caplog: pytest.LogCaptureFixture) -> None:
    assert run.main(["--find", "bread", "--root", str(tmp_path), *others]) == 2
    assert "run no stage" in caplog.text
