"""python3 -m pytest tests/validation/test_validate.py"""

import json
from dataclasses import asdict
from pathlib import Path

import pytest
from helpers import PROSE, add_raw_documents, add_raw_line, document, lines

from miniature_memory.storage.catalog import Catalog
from miniature_memory.validation import documents
from miniature_memory.validation.config import ValidateConfig
from miniature_memory.validation.documents import MAX_METADATA_CHARS, language_of, rejection_of, validate
from validate import run

GOOD = document(PROSE)
GERMAN = ("Das Schiff lag im Hafen, und der alte Kapitän ging an Deck, um nach dem Himmel zu sehen. Es war ein Morgen "
          "mit stiller Luft und langem Licht. ")


def with_metadata(**values: object) -> bytes:
    return json.dumps({**GOOD, "metadata": {**GOOD["metadata"], **values}}).encode()  # type: ignore[dict-item]


def outcome(line: bytes, expected_id: str = str(GOOD["id"])) -> str:
    rejection = validate(line, expected_id, ValidateConfig())[1]
    return rejection.reason if rejection else "valid"


@pytest.mark.parametrize(("line", "reason"), [
    (json.dumps(GOOD).encode(), "valid"),
    (json.dumps(GOOD).encode()[:-20], "bad_json"),
    (b"\xff\xfe{}", "bad_utf8"),
    (b"[1, 2]", "bad_schema"),
    (json.dumps({**GOOD, "text": 7}).encode(), "bad_schema"),
    (json.dumps({**GOOD, "metadata": None}).encode(), "bad_schema"),
    (json.dumps({**GOOD, "text": PROSE + "!"}).encode(), "id_mismatch"),
    (json.dumps({**GOOD, "text": "\ud800"}).encode(), "bad_utf8"),
    (json.dumps({**GOOD, "more": 1}).encode(), "bad_schema"),
    (with_metadata(title=None), "bad_schema"),
    (with_metadata(title=7), "bad_schema"),
    (with_metadata(title=["a"]), "bad_schema"),
    (with_metadata(more={}), "bad_schema"),
    (with_metadata(more="\ud800"), "bad_utf8"),
    (with_metadata(more="x" * MAX_METADATA_CHARS), "bad_schema"),
    (with_metadata(more="a string"), "valid"),
    (json.dumps({**GOOD, "metadata": {"url": ""}}).encode(), "bad_schema"),
    (b'{"id": ' + b"[" * 100_000, "bad_json"),
    (b'{"id": ' + b"9" * 10_000 + b"}", "bad_json"),
])
def test_a_document_that_is_not_whole_is_rejected(line: bytes, reason: str) -> None:
    assert outcome(line) == reason


@pytest.mark.parametrize(("text", "reason"), [
    ("short", "too_short"), ("x" * 5_000_001, "too_long"), (PROSE + "\x07", "control_characters"),
    ("12 34 56 78 90 " * 20, "too_few_letters"),
])
def test_a_text_is_rejected_for(text: str, reason: str) -> None:
    rejection = rejection_of(text, ValidateConfig())
    assert rejection and rejection.reason == reason


def test_languages_are_told_apart() -> None:
    assert [language_of(text)[0] for text in (PROSE, GERMAN)] == ["en", "de"]


def test_the_stage_adds_up_and_remembers(tmp_path: Path) -> None:
    add_raw_documents(tmp_path, [PROSE, GERMAN, "short"])
    stats = run(ValidateConfig(), tmp_path)
    assert (stats.n_in, stats.n_out, dict(stats.dropped)) == (3, 1, {"wrong_language": 1, "too_short": 1})
    assert [line["reason"] for line in lines(tmp_path / "data/rejected.jsonl")] == ["wrong_language", "too_short"]
    assert run(ValidateConfig(), tmp_path).n_in == 0
    with Catalog(tmp_path, read_only=True) as catalog:
        rows = catalog.execute("SELECT validation, language FROM documents ORDER BY seq").fetchall()
    assert [tuple(row) for row in rows] == [("valid", "en"), ("wrong_language", "de"), ("too_short", "")]


def test_all_languages_may_be_allowed(tmp_path: Path) -> None:
    add_raw_documents(tmp_path, [PROSE, GERMAN])
    assert run(ValidateConfig(languages=["*"]), tmp_path).n_out == 2


def test_a_document_that_takes_too_long_is_rejected_and_passed(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(_text: str) -> None:
        while True:
            pass

    add_raw_documents(tmp_path, [PROSE])
    monkeypatch.setattr(documents, "language_of", hang)
    stats = run(ValidateConfig(document_deadline_sec=0.05), tmp_path)
    assert dict(stats.dropped) == {"validation_timeout": 1}
    assert run(ValidateConfig(document_deadline_sec=0.05), tmp_path).n_in == 0


def test_the_language_of_double_encoded_text_is_that_of_the_text() -> None:
    assert language_of(GERMAN.replace("ä", "Ã¤"))[0] == "de"
    russian = "Старый корабль стоял в гавани, и капитан смотрел на небо. Утро было тихим и светлым."
    assert language_of(russian.encode().decode("latin-1"))[0] == "ru"


def test_a_damaged_line_does_not_stop_the_stage(tmp_path: Path) -> None:
    with Catalog(tmp_path) as catalog:
        add_raw_line(catalog, document("x"), b'{"id": "x", "te\xff\n')
        add_raw_line(catalog, GOOD)
    assert run(ValidateConfig(), tmp_path).n_out == 1


def test_what_is_reported_of_a_hostile_line_is_bounded() -> None:
    for line in ({**GOOD, "id": "x" * 10**6}, {**GOOD, "metadata": {**GOOD["metadata"], "k" * 10**6: 1}}):  # type: ignore
        _, rejection, language = validate(json.dumps(line).encode(), str(GOOD["id"]), ValidateConfig())
        assert rejection and len(str(rejection)) < 400 and language == ""


def test_the_settings_that_judged_all_documents_are_remembered(tmp_path: Path) -> None:
    strict, loose, none = {"min_chars": 9}, {"min_chars": 7}, None
    for text, config, of_all in ((PROSE, strict, strict), ("", loose, strict), (GERMAN, loose, none)):
        if text:
            add_raw_documents(tmp_path, [text])
        run(ValidateConfig(**config), tmp_path)  # type: ignore[arg-type]
        with Catalog(tmp_path, read_only=True) as catalog:
            kept = catalog.state("validate.config")
        assert kept == (of_all and asdict(ValidateConfig(**of_all)))  # type: ignore[arg-type]
