"""python3 -m pytest tests/cleaning/test_rules.py"""

import re

import pytest
from helpers import PROSE
from hypothesis import given
from hypothesis import strategies as st

from miniature_memory.cleaning.filters import (
    ALL_RULES,
    PAPERS,
    c4_quality,
    fineweb_quality,
    first_broken,
    gopher_quality,
    gopher_repetition,
)
from miniature_memory.cleaning.measures import Measures, count_sentences
from miniature_memory.cleaning.words import Vocabulary, split_chunk

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


def test_a_full_vocabulary_begins_anew() -> None:
    vocabulary = Vocabulary()
    vocabulary.MOST_CHUNKS = 3
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
    (LONG + "\nThis site uses { cookies and javascript.", None),  # the line goes before the bracket is seen
])
def test_each_c4_rule_has_its_reason(text: str, reason: str | None) -> None:
    assert c4_quality(text) == reason


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


def test_other_languages_skip_what_does_not_apply() -> None:
    japanese = "船は港に泊まっていた。" * 3 + "年老いた船長は甲板を歩き、空を眺めて静かな朝を過ごした。"
    quality = [rule for rule in ALL_RULES if rule.family == "gopher_quality"]
    assert first_broken(tuple(quality), japanese * 2, "ja", PAPERS) is None
    assert first_broken(tuple(quality), "船は港に。", "ja", PAPERS) is not None


def test_every_rule_names_a_threshold_and_every_threshold_a_rule() -> None:
    assert {rule.threshold for rule in ALL_RULES} == set(vars(PAPERS))
    assert len({rule.reason for rule in ALL_RULES}) == len(ALL_RULES)
    assert all(re.match("min_|max_|refuse_", rule.threshold) for rule in ALL_RULES)
