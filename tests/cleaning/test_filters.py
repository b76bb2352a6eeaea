"""python3 -m pytest tests/cleaning/test_filters.py"""

from pathlib import Path

import pytest
from helpers import PROSE
from hypothesis import given
from hypothesis import strategies as st

from clean import c4_quality, fineweb_quality, gopher_quality, gopher_repetition
from miniature_memory.cleaning.config import PRESETS, THRESHOLDS, CleanConfig, thresholds_of
from miniature_memory.cleaning.filters import FAMILIES, PAPERS, Check, checks_of, first_broken
from miniature_memory.cleaning.measures import Measures
from miniature_memory.cleaning.sentences import count_sentences
from miniature_memory.cleaning.words import Vocabulary, split_chunk
from miniature_memory.core.config import build_config, read_tables
from miniature_memory.core.errors import ConfigError
from miniature_memory.core.renamed_settings import RENAMED_SETTINGS

LONG = PROSE.strip()


@pytest.mark.parametrize(("chunk", "words"), [
    ("don't", ["do", "n't"]), ("ship,", ["ship", ","]), ("(well-known)", ["(", "well", "-", "known", ")"]),
    ("captain’s", ["captain", "’s"]), ("Mr.", ["Mr."]), ("end.", ["end", "."]), ("U.S.", ["U.S."]),
    ("$5.20", ["$", "5.20"]), ("5km", ["5", "km"]), ("2020-21", ["2020", "-", "21"]), ("cannot", ["can", "not"]),
    ("www.example.org/a-b", ["www.example.org/a-b"]), ("and/or", ["and/or"]), ("he/she", ["he", "/", "she"]),
    ("wait...", ["wait", "..."]), ("“quoted”", ["“", "quoted", "”"]), ("end.Next", ["end", ".", "Next"]), (")", [")"]),
])
def test_words_are_divided_as_spacy_divides_them(chunk: str, words: list[str]) -> None:
    assert split_chunk(chunk) == words


@given(st.text(max_size=60))
def test_no_character_is_lost_or_made_up(text: str) -> None:
    assert "".join(word for chunk in text.split() for word in split_chunk(chunk)) == "".join(text.split())


def test_a_full_vocabulary_starts_over() -> None:
    vocabulary = Vocabulary()
    vocabulary.MAX_CHUNKS = 3
    for text in ("one two three four", "five six", "one two"):
        ids, chars, _ = vocabulary.split(text)
        assert len(set(ids.tolist())) == len(text.split()) and chars.tolist() == [len(word) for word in text.split()]


@pytest.mark.parametrize(("text", "reason"), [
    (PROSE, None), ("only five words of text", "too_few_words"), ("the of " * 60_000, "too_many_words"),
    ("a I of be " * 30, "words_too_short"), ("incomprehensibilities and to the " * 5 + "antidisestablishment " * 60,
                                             "words_too_long"),
    (PROSE + " #word" * 30, "too_many_hashes"), (PROSE + " indeed..." * 60, "too_many_ellipses"),
    ("\n".join(f"- the item that has the name of number {n} and is of use" for n in range(30)),
     "too_many_bullet_lines"),
    ("\n".join(f"the line of number {n} that wanders and wanders onward to the ending..." for n in range(30)),
     "too_many_ellipsis_lines"),
    ("the and 1234 5678 9012 of 3456 " * 20, "too_few_letter_words"),
    ("ships harbour captain weather morning " * 20, "too_few_stop_words"),
])
def test_each_gopher_quality_rule_has_its_reason(text: str, reason: str | None) -> None:
    assert gopher_quality(text) == reason


@pytest.mark.parametrize(("text", "reason"), [
    (PROSE, None), ("", "empty"),
    ("HAMLET\n\n" + "\n\nHAMLET\n\n".join(PROSE.split(". ")), "duplicate_paragraphs"),
    (PROSE + "\n\n" + PROSE + "\n\nmore\n\nand more", "duplicate_paragraph_chars"),
    ("\n".join(["yes"] * 5 + PROSE.split(". ")), "duplicate_lines"),
    ("of ships and " * 30, "top_2gram"),
    (" ".join(f"{n} {PROSE[:120]}" for n in range(9)), "duplicate_5grams"),
])
def test_each_gopher_repetition_rule_has_its_reason(text: str, reason: str | None) -> None:
    assert gopher_repetition(text) == reason


@pytest.mark.parametrize(("text", "reason"), [
    (LONG, None), (LONG + "\nThen comes Lorem ipsum dolor sit amet.", "lorem_ipsum"),
    (LONG + "\nfunction main() { return }", "curly_bracket"),
    ("One sentence is here. Two are here.", "too_few_sentences"),
    (LONG + "\nThis site uses { cookies and javascript.", None),  # the line is skipped before the bracket is seen
])
def test_each_c4_rule_has_its_reason(text: str, reason: str | None) -> None:
    assert c4_quality(text) == reason


def test_a_text_that_mentions_lorem_ipsum_is_rejected_by_the_papers_alone() -> None:
    text = LONG + "\nPrinters know the words lorem ipsum by heart."
    prose, papers = (first_broken(checks_of(thresholds_of(name), ["c4_quality"]), text, "en")
                     for name in ("prose", "papers"))
    assert prose is None
    assert papers and papers.reason == "lorem_ipsum"


def test_sentences_end_after_combining_marks_too() -> None:
    assert count_sentences("நதி ஓடுகிறது. படகு வருகிறது. மழை பெய்தது.") == 3
    assert count_sentences("ذَهَبَ الوَلَدُ. جَاءَتِ البِنْتُ. نَامَا.") == 3


@pytest.mark.parametrize(("text", "reason"), [
    (LONG, None), (" \n ", "empty"),
    ("\n".join(f"a menu with item {n} of that many more items" for n in range(20)), "too_few_punctuated_lines"),
    ("\n".join(f"item {n}." for n in range(20)), "too_many_short_lines"),
    ("\n".join([LONG, LONG]), "repeated_line_chars"),
    ("\n".join("x" * 30 + f"{n}." for n in range(20)), "too_many_newlines"),
])
def test_each_fineweb_rule_has_its_reason(text: str, reason: str | None) -> None:
    assert fineweb_quality(text) == reason


def _duplicate_share(words: list[str], n: int, n_chars: int) -> float:
    """The paper's measure, word by word, as datatrove computes it."""
    seen, chars, i = set(), 0, 0
    while i + n <= len(words):
        ngram = tuple(words[i:i + n])
        chars, i = (chars + len("".join(ngram)), i + n) if ngram in seen else (chars, i + 1)
        seen.add(ngram)
    return chars / max(1, n_chars)


@given(st.lists(st.sampled_from(["a", "be", "sea", "ship", "tides"]), max_size=120))
def test_ngrams_are_counted_as_one_by_one(words: list[str]) -> None:
    text = " ".join(words)
    top, duplicate = Measures(text).ngrams
    for n, share in duplicate.items():
        assert share == pytest.approx(_duplicate_share(words, n, len(text)))
    for n, share in top.items():
        ngrams = [" ".join(words[i:i + n]) for i in range(len(words) - n + 1)]
        first = max(ngrams, key=ngrams.count, default="")
        assert share == pytest.approx(len(first) * ngrams.count(first) / max(1, len(text)))


@pytest.mark.parametrize(("line", "n"), [
    ("One. Two! Three?", 3), ("No end", 1), ("It is 3.14 in all.", 1), ("He said “yes.” Then he went.", 2), ("...", 1),
])
def test_sentences_are_counted(line: str, n: int) -> None:
    assert count_sentences(line) == n


def test_rules_that_do_not_apply_to_a_language_are_skipped() -> None:
    japanese = "船は港に泊まっていた。" * 3 + "年老いた船長は甲板を歩き、空を眺めて静かな朝を過ごした。"
    assert first_broken(PAPERS["gopher_quality"], japanese * 2, "ja") is None
    assert first_broken(PAPERS["gopher_quality"], "船は港に。", "ja") is not None


def test_every_rule_has_a_threshold_and_every_threshold_a_rule() -> None:
    rules = [rule for family in FAMILIES.values() for rule in family]
    assert {rule.threshold for rule in rules} == {row.name for row in THRESHOLDS}
    assert len({rule.reason for rule in rules}) == len(rules)
    assert all(row.name.startswith(("min_", "max_", "reject_")) for row in THRESHOLDS)


@pytest.mark.parametrize(("preset", "top", "duplicate"), [
    ("papers", [0.2, 0.18, 0.16], [0.15, 0.14, 0.13, 0.12, 0.11, 0.1]),
    ("prose", [0.3, 0.27, 0.24], [0.6, 0.56, 0.52, 0.48, 0.44, 0.4]),
])
def test_longer_ngrams_have_lower_thresholds(preset: str, top: list[float], duplicate: list[float]) -> None:
    ladder = [check.threshold for check in checks_of(thresholds_of(preset), ["gopher_repetition"])[4:]]
    assert ladder == top + duplicate


def in_force(checks: tuple[Check, ...]) -> set[str]:
    return {check.rule.reason for check in checks if check.in_force}


def test_a_rule_that_is_off_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Measures, "ngrams", property(lambda self: pytest.fail("measured")))
    off = checks_of(thresholds_of("off"))
    assert in_force(off) == {"too_few_words"}
    assert first_broken(off, "word word " * 1000, "en") is None and first_broken(off, "!", "en") is not None
    shares = {name: 1.0 for name in PRESETS["prose"] if name.startswith("max_") and name.endswith("_frac")}
    assert not {"top_3gram", "duplicate_9grams"} & in_force(checks_of(thresholds_of("papers", shares)))


def test_overrides_change_a_preset_and_keep_its_types() -> None:
    changed = thresholds_of("prose", {"min_words": 30.0, "max_short_lines_frac": 0.5, "reject_curly_brackets": True})
    differing = {name: value for name, value in changed.items() if value != PRESETS["prose"][name]}
    assert repr(differing) == "{'min_words': 30, 'reject_curly_brackets': True, 'max_short_lines_frac': 0.5}"


@pytest.mark.parametrize(("text", "message"), [
    ('preset = "prsoe"', "preset = 'prsoe': expected prose, papers, off. Did you mean prose"),
    ("thresholds.min_wrods = 3", "thresholds.min_wrods is unknown.* Did you mean min_words"),
    ("thresholds.min_words = true", "thresholds.min_words = true: expected a number, such as 50"),
    ("thresholds.reject_curly_brackets = 1", "thresholds.reject_curly_brackets = 1: expected true or false"),
    ("thresholds.min_words = 0", "thresholds.min_words = 0: expected 1 or more"),
])
def test_a_wrong_threshold_is_a_configuration_error(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "mine.toml").write_text(f"[clean]\n{text}\n")
    with pytest.raises(ConfigError, match=message):
        build_config(CleanConfig, "clean", read_tables(tmp_path, tmp_path / "mine.toml"))


def test_thresholds_are_set_one_by_one_over_each_other(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text("[clean.thresholds]\nmin_words = 30\nreject_curly_brackets = true\n")
    tables = read_tables(tmp_path, tmp_path / "mine.toml", ["clean.thresholds.min_words=40"])
    assert build_config(CleanConfig, "clean", tables).thresholds == {"min_words": 40, "reject_curly_brackets": True}


def test_every_old_setting_is_named_with_its_new_one() -> None:
    named = {new.removeprefix("clean.thresholds.").split(" ")[0] for old, new in RENAMED_SETTINGS.items()
             if old.startswith("clean.")}
    assert named == {row.name for row in THRESHOLDS}
