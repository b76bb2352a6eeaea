"""Rules: what the literature on web text asks of a document, all of it read from one split into lines and words.

Four families, as published, each a function from a text to the first rule that it breaks:

    gopher_quality, gopher_repetition    Rae et al. 2021, arXiv 2112.11446, appendix A and table A1
    c4_quality                           Raffel et al. 2020, JMLR 21/20-074, section 2.2; without terminal punctuation
    fineweb_quality                      Penedo et al. 2024, arXiv 2406.17557, section 3.6

and a few plain ratios of our own. Which of them drop a document by default, and at which threshold, is clean.py's
configuration, not decided here. Where a paper is silent, the rules follow datatrove, whose verdicts are held against
ours by bench/clean_speed.py: words are divided as spaCy's English tokenizer divides them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from miniature_memory.cleaning.config import Thresholds
from miniature_memory.cleaning.measures import NO_SPACES, NO_STOPS, Measures, measure
from miniature_memory.storage.rejections import Rejection


class Rule(NamedTuple):
    """A document is refused for `reason` if `measure` passes the threshold that is named `threshold`."""

    family: str
    reason: str
    measure: Callable[[Measures], float]
    threshold: str  # min_*: the least that is allowed, max_*: the most, refuse_*: none at all
    unless: frozenset[str] | str = frozenset()  # languages that it does not apply to; "not en": applies to English only


def _family(name: str, *rules: tuple[Any, ...]) -> tuple[Rule, ...]:
    return tuple(Rule(name, *rule) for rule in rules)


GOPHER_QUALITY = _family(
    "gopher_quality",
    ("too_few_words", lambda m: m.n_words, "min_words"),
    ("too_many_words", lambda m: m.n_words, "max_words"),
    ("words_too_short", lambda m: m.mean_word_chars, "min_mean_word_chars", NO_SPACES),
    ("words_too_long", lambda m: m.mean_word_chars, "max_mean_word_chars", NO_SPACES),
    ("too_many_hashes", lambda m: m.text.count("#") / m.n_tokens, "max_hashes_per_word"),
    ("too_many_ellipses", lambda m: m.ellipses / m.n_tokens, "max_ellipses_per_word"),
    ("too_many_bullet_lines", lambda m: m.bullet_lines_frac, "max_bullet_lines_frac"),
    ("too_many_ellipsis_lines", lambda m: m.ellipsis_lines_frac, "max_ellipsis_lines_frac"),
    ("too_few_letter_words", lambda m: m.letter_words_frac, "min_letter_words_frac", NO_SPACES),
    ("too_few_stop_words", lambda m: m.stop_words, "min_stop_words", "not en"))

GOPHER_REPETITION = _family(
    "gopher_repetition",
    ("duplicate_paragraphs", lambda m: m.duplicate_paragraphs[0], "max_duplicate_paragraphs_frac"),
    ("duplicate_paragraph_chars", lambda m: m.duplicate_paragraphs[1], "max_duplicate_paragraph_chars_frac"),
    ("duplicate_lines", lambda m: m.duplicate_lines[0], "max_duplicate_lines_frac"),
    ("duplicate_line_chars", lambda m: m.duplicate_lines[1], "max_duplicate_line_chars_frac"),
    ("top_2gram", lambda m: m.ngrams[0][2], "max_top_2gram_chars_frac", NO_SPACES),
    ("top_3gram", lambda m: m.ngrams[0][3], "max_top_3gram_chars_frac", NO_SPACES),
    ("top_4gram", lambda m: m.ngrams[0][4], "max_top_4gram_chars_frac", NO_SPACES),
    *((f"duplicate_{n}grams", lambda m, n=n: m.ngrams[1][n], f"max_duplicate_{n}gram_chars_frac")
      for n in range(5, 11)))

C4_QUALITY = _family(
    "c4_quality",
    ("lorem_ipsum", lambda m: "lorem_ipsum" in m.c4[0], "refuse_lorem_ipsum"),
    ("curly_bracket", lambda m: "curly_bracket" in m.c4[0], "refuse_curly_brackets"),
    ("too_few_sentences", lambda m: m.c4[1], "min_sentences", NO_SPACES))

FINEWEB_QUALITY = _family(
    "fineweb_quality",
    ("too_few_punctuated_lines", lambda m: m.punctuated_lines_frac, "min_punctuated_lines_frac", NO_STOPS),
    ("too_many_short_lines", lambda m: m.short_lines_frac, "max_short_lines_frac"),
    ("repeated_line_chars", lambda m: m.repeated_line_chars_frac, "max_repeated_line_chars_frac"),
    ("too_many_newlines", lambda m: m.newlines_per_word, "max_newlines_per_word"))

RATIOS = _family(
    "ratios",
    ("too_many_digits", lambda m: m.digits_frac, "max_digits_frac"),
    ("too_many_url_chars", lambda m: m.url_chars_frac, "max_url_chars_frac"),
    ("too_much_white_space", lambda m: m.whitespace_frac, "max_whitespace_frac"))

LISTS = _family(
    "lists",
    ("too_few_function_words", lambda m: m.list_function_words_frac, "min_list_function_words_frac", "not en"),
    ("too_many_site_phrases", lambda m: m.site_phrases_frac, "max_site_phrases_frac", "not en"))

ALL_RULES = GOPHER_QUALITY + GOPHER_REPETITION + C4_QUALITY + FINEWEB_QUALITY + RATIOS + LISTS


def applies(rule: Rule, language: str) -> bool:
    return language == "en" if rule.unless == "not en" else language not in rule.unless


def breaks(rule: Rule, value: float, threshold: float) -> bool:
    if rule.threshold.startswith("refuse_"):
        return bool(value and threshold)
    return value < threshold if rule.threshold.startswith("min_") else value > threshold


def first_broken(rules: tuple[Rule, ...], text: str, language: str, thresholds: Thresholds) -> Rejection | None:
    """The first of `rules` that `text` breaks, with the value found and the threshold. Pure."""
    measures = measure(text, language)
    for rule in rules:
        threshold = getattr(thresholds, rule.threshold)
        if applies(rule, language) and breaks(rule, value := rule.measure(measures), threshold):
            return Rejection(rule.reason, round(value, 4), threshold)
    return None


PAPERS = Thresholds()


def gopher_quality(text: str) -> str | None:
    """The first Gopher quality rule that an English `text` breaks, or None."""
    return _reason(GOPHER_QUALITY, text)


def gopher_repetition(text: str) -> str | None:
    """The first Gopher repetition rule that `text` breaks, or None."""
    return _reason(GOPHER_REPETITION, text) if text else "empty"


def c4_quality(text: str) -> str | None:
    """The first C4 rule that `text` breaks, or None; lines need no terminal punctuation, as in FineWeb."""
    return _reason(C4_QUALITY, text)


def fineweb_quality(text: str) -> str | None:
    """The first of FineWeb's own rules that `text` breaks, or None."""
    return _reason(FINEWEB_QUALITY, text) if text.strip() else "empty"


def _reason(rules: tuple[Rule, ...], text: str) -> str | None:
    refusal = first_broken(rules, text, "en", PAPERS)
    return refusal.reason if refusal else None
