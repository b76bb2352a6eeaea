"""python3 -m pytest tests/test_validate.py"""

import json
from pathlib import Path

import pytest
from helpers import PROSE, add_raw_documents, add_raw_line, document, lines

from catalog import Catalog
from validate import ValidateConfig, language_of, parse, refusal_of, run

GOOD = document(PROSE)
GERMAN = ("Das Schiff lag im Hafen, und der alte Kapitän ging an Deck, um nach dem Himmel zu sehen. Es war ein Morgen "
          "mit stiller Luft und langem Licht. ")


def verdict(line: bytes, expected_id: str = str(GOOD["id"])) -> str:
    found, refusal = parse(line, expected_id)
    refusal = refusal or refusal_of(str(found["text"]), ValidateConfig())
    return refusal.reason if refusal else "valid"


@pytest.mark.parametrize(("line", "reason"), [
    (json.dumps(GOOD).encode(), "valid"),
    (json.dumps(GOOD).encode()[:-20], "bad_json"),
    (b"\xff\xfe{}", "bad_utf8"),
    (b"[1, 2]", "bad_schema"),
    (json.dumps({**GOOD, "text": 7}).encode(), "bad_schema"),
    (json.dumps({**GOOD, "metadata": None}).encode(), "bad_schema"),
    (json.dumps({**GOOD, "text": PROSE + "!"}).encode(), "id_mismatch"),
    (json.dumps({**GOOD, "text": "\ud800"}).encode(), "bad_utf8"),
])
def test_a_document_that_is_not_whole_is_refused(line: bytes, reason: str) -> None:
    assert verdict(line) == reason


@pytest.mark.parametrize(("text", "reason"), [
    ("short", "too_short"), ("x" * 5_000_001, "too_long"), (PROSE + "\x07", "control_characters"),
    ("12 34 56 78 90 " * 20, "too_few_letters"),
])
def test_a_text_is_refused_for(text: str, reason: str) -> None:
    refusal = refusal_of(text, ValidateConfig())
    assert refusal and refusal.reason == reason


def test_languages_are_told_apart() -> None:
    assert [language_of(text)[0] for text in (PROSE, GERMAN)] == ["en", "de"]


def test_the_stage_adds_up_and_remembers(tmp_path: Path) -> None:
    add_raw_documents(tmp_path, [PROSE, GERMAN, "short"])
    report = run(ValidateConfig(), tmp_path)
    assert (report.n_in, report.n_out, dict(report.dropped)) == (3, 1, {"wrong_language": 1, "too_short": 1})
    assert [line["reason"] for line in lines(tmp_path / "data/rejected.jsonl")] == ["wrong_language", "too_short"]
    assert run(ValidateConfig(), tmp_path).n_in == 0
    with Catalog(tmp_path, read_only=True) as catalog:
        rows = catalog.execute("SELECT verdict, language FROM documents ORDER BY seq").fetchall()
    assert [tuple(row) for row in rows] == [("valid", "en"), ("wrong_language", "de"), ("too_short", "")]


def test_all_languages_may_be_allowed(tmp_path: Path) -> None:
    add_raw_documents(tmp_path, [PROSE, GERMAN])
    assert run(ValidateConfig(languages=["*"]), tmp_path).n_out == 2


def test_a_damaged_line_does_not_stop_the_stage(tmp_path: Path) -> None:
    with Catalog(tmp_path) as catalog:
        add_raw_line(catalog, document("x"), b'{"id": "x", "te\xff\n')
        add_raw_line(catalog, GOOD)
    assert run(ValidateConfig(), tmp_path).n_out == 1
