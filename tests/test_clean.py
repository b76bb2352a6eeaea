"""python3 -m pytest tests/test_clean.py"""

import unicodedata
from pathlib import Path

import pytest
from helpers import PROSE, add_raw_documents, lines
from hypothesis import given
from hypothesis import strategies as st

import clean
import validate
from catalog import Catalog
from clean import CleanConfig, clean_text, gopher_quality, normalised_hash
from validate import ValidateConfig

CONFIG = CleanConfig()
ALL_LANGUAGES = ValidateConfig(languages=["*"])


def validate_and_clean(root: Path) -> clean.Report:
    validate.run(ALL_LANGUAGES, root)
    return clean.run(CONFIG, root)


@pytest.mark.parametrize(("text", "cleaned"), [
    ("donâ€™t", "don’t"), ("a  \n\n\n\nb\t", "a\n\nb"), ("e\u0301", "é"), ("one\r\ntwo", "one\ntwo"),
    ("漢字 कखग عربي", "漢字 कखग عربي"), ("    indented code", "indented code"), ("ﬁne", "fine"),
])
def test_text_is_mended(text: str, cleaned: str) -> None:
    assert clean_text(text) == unicodedata.normalize("NFC", cleaned)


@given(st.text(max_size=200))
def test_cleaning_twice_is_cleaning_once(text: str) -> None:
    once = clean_text(text)
    assert clean_text(once) == once


def test_a_long_run_of_spaces_is_no_trap() -> None:
    assert len(clean_text("a" + "\u1680" * 1_100_000 + "b")) < 300
    assert clean_text("a" + " " * 300_000 + "b").endswith("b")  # quadratic time would be minutes


@pytest.mark.parametrize(("text", "reason"), [
    (PROSE, None), ("only five words of text", "too_few_words"), ("the of " * 60_000, "too_many_words"),
    ("a I of be " * 30, "words_too_short"), ("incomprehensibilities and to the " * 5 + "antidisestablishment " * 60,
                                             "words_too_long"),
    (PROSE + " #word" * 30, "too_many_hashes"), (PROSE + " indeed..." * 60, "too_many_ellipses"),
    ("\n".join(f"- the item that has the name of number {n} and is of use" for n in range(30)),
     "too_many_bullet_lines"),
    ("\n".join(f"the line of number {n} that goes on and on and on to an end..." for n in range(30)),
     "too_many_ellipsis_lines"),
    ("the and 1234 5678 9012 of 3456 " * 20, "too_few_letter_words"),
    ("ships harbour captain weather morning " * 20, "too_few_stop_words"),
])
def test_each_gopher_rule_has_its_reason(text: str, reason: str | None) -> None:
    refusal = gopher_quality(text, CONFIG)
    assert (refusal.reason if refusal else None) == reason


def test_a_language_without_spaces_is_not_judged_by_its_words() -> None:
    assert gopher_quality("船は港に泊まっていた。" * 20, CONFIG, "ja") is None
    assert gopher_quality("船は港に。", CONFIG, "ja") is not None


def test_duplicates_are_equal_up_to_case_and_punctuation() -> None:
    assert normalised_hash("The ship, the SHIP!") == normalised_hash("the ship  the ship")
    assert normalised_hash("the ship") != normalised_hash("the shop")


def test_the_stage_adds_up_and_keeps_raw_ids_and_order(tmp_path: Path) -> None:
    other = PROSE.replace("captain", "sailor")
    add_raw_documents(tmp_path, [PROSE, PROSE.upper(), "There is too little of the text that we have. " * 4, other])
    report = validate_and_clean(tmp_path)
    assert (report.n_in, report.n_out) == (4, 2)
    assert dict(report.dropped) == {"exact_duplicate": 1, "too_few_words": 1}
    raw, kept = lines(tmp_path / "data/raw/000000.jsonl"), lines(tmp_path / "data/clean/000000.jsonl")
    assert [d["id"] for d in kept] == [raw[0]["id"], raw[3]["id"]]
    assert kept[0]["metadata"]["language"] == "en"  # type: ignore[index]
    assert clean.run(CONFIG, tmp_path).n_in == 0


def test_clean_waits_for_validate(tmp_path: Path) -> None:
    add_raw_documents(tmp_path, [PROSE])
    assert clean.run(CONFIG, tmp_path).n_in == 0
    validate.run(ALL_LANGUAGES, tmp_path)
    assert clean.run(CONFIG, tmp_path).n_out == 1


def test_many_nights_give_what_one_night_gives(tmp_path: Path) -> None:
    texts = [PROSE.replace("captain", f"captain {i % 30}") for i in range(40)]
    texts = [*dict.fromkeys(texts), "too short to stay, as the rules have it. " * 3]
    for text in texts:
        add_raw_documents(tmp_path / "many", [text])
        validate_and_clean(tmp_path / "many")
    add_raw_documents(tmp_path / "one", texts)
    validate_and_clean(tmp_path / "one")
    for name in ("clean/000000.jsonl", "rejected.jsonl"):
        assert sorted(lines(tmp_path / "many/data" / name), key=str) == sorted(
            lines(tmp_path / "one/data" / name), key=str)


def test_a_refused_document_is_kept_for_reading(tmp_path: Path) -> None:
    add_raw_documents(tmp_path, ["There is too little of the text that we have. " * 4])
    validate_and_clean(tmp_path)
    line = lines(tmp_path / "data/rejected.jsonl")[0]
    assert (line["stage"], line["reason"], line["value"], line["threshold"]) == ("clean", "too_few_words", 40, 50)
    with Catalog(tmp_path, read_only=True) as catalog:
        assert catalog.cursor("clean") == 1
