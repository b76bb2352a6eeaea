"""Filters: the quality rules of the literature on web text, all measured on one split into lines and words.

Four families, as published, each a function from a text to the first rule that it breaks:

    gopher_quality, gopher_repetition    Rae et al. 2021, arXiv 2112.11446, appendix A and table A1
    c4_quality                           Raffel et al. 2020, JMLR 21/20-074, section 2.2; without terminal punctuation
    fineweb_quality                      Penedo et al. 2024, arXiv 2406.17557, section 3.6

and a few of NeMo Curator's and our own. Their thresholds are in config.py. Where a paper is silent, the rules follow
datatrove, with which bench/clean_speed.py compares them: words are divided as spaCy's English tokenizer divides them.
"""

import math
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import NamedTuple

from miniature_memory.cleaning.config import thresholds_of
from miniature_memory.cleaning.measures import NO_FULL_STOPS, NO_SPACES, Measures, measure
from miniature_memory.core.languages import language_of
from miniature_memory.storage.rejections import Rejection


class Rule(NamedTuple):
    """A document is rejected for `reason` if `measure` passes the threshold named `threshold`."""

    reason: str
    measure: Callable[[Measures], float]
    threshold: str
    skips: Collection[str] = ()  # languages that it does not apply to
    english_only: bool = False
    needs_function_words: bool = False  # it applies to the languages of which they are known
    factor: float = 1.0  # of the threshold: longer n-grams have lower ones

    def applies(self, language: str) -> bool:
        if self.needs_function_words:
            return language_of(language).function_words is not None
        return language == "en" if self.english_only else language not in self.skips


FAMILIES: dict[str, tuple[Rule, ...]] = {
    "gopher_quality": (
        Rule("too_few_words", lambda m: m.n_words, "min_words"),
        Rule("too_many_words", lambda m: m.n_words, "max_words"),
        Rule("words_too_short", lambda m: m.mean_word_chars, "min_mean_word_chars", NO_SPACES),
        Rule("words_too_long", lambda m: m.mean_word_chars, "max_mean_word_chars", NO_SPACES),
        Rule("too_many_hashes", lambda m: m.hashes_per_word, "max_hashes_per_word"),
        Rule("too_many_ellipses", lambda m: m.ellipses / m.n_tokens, "max_ellipses_per_word"),
        Rule("too_many_bullet_lines", lambda m: m.bullet_lines_frac, "max_bullet_lines_frac"),
        Rule("too_many_ellipsis_lines", lambda m: m.ellipsis_lines_frac, "max_ellipsis_lines_frac"),
        Rule("too_few_letter_words", lambda m: m.letter_words_frac, "min_letter_words_frac", NO_SPACES),
        Rule("too_few_stop_words", lambda m: m.stop_words, "min_stop_words", needs_function_words=True)),
    "gopher_repetition": (
        Rule("duplicate_paragraphs", lambda m: m.duplicate_paragraphs[0], "max_duplicate_paragraphs_frac"),
        Rule("duplicate_paragraph_chars", lambda m: m.duplicate_paragraphs[1], "max_duplicate_paragraph_chars_frac"),
        Rule("duplicate_lines", lambda m: m.duplicate_lines[0], "max_duplicate_lines_frac"),
        Rule("duplicate_line_chars", lambda m: m.duplicate_lines[1], "max_duplicate_line_chars_frac"),
        Rule("top_2gram", lambda m: m.ngrams.top[2], "max_top_ngram_chars_frac", NO_SPACES),
        Rule("top_3gram", lambda m: m.ngrams.top[3], "max_top_ngram_chars_frac", NO_SPACES, factor=18 / 20),
        Rule("top_4gram", lambda m: m.ngrams.top[4], "max_top_ngram_chars_frac", NO_SPACES, factor=16 / 20),
        Rule("duplicate_5grams", lambda m: m.ngrams.duplicate[5], "max_duplicate_ngram_chars_frac"),
        Rule("duplicate_6grams", lambda m: m.ngrams.duplicate[6], "max_duplicate_ngram_chars_frac", factor=14 / 15),
        Rule("duplicate_7grams", lambda m: m.ngrams.duplicate[7], "max_duplicate_ngram_chars_frac", factor=13 / 15),
        Rule("duplicate_8grams", lambda m: m.ngrams.duplicate[8], "max_duplicate_ngram_chars_frac", factor=12 / 15),
        Rule("duplicate_9grams", lambda m: m.ngrams.duplicate[9], "max_duplicate_ngram_chars_frac", factor=11 / 15),
        Rule("duplicate_10grams", lambda m: m.ngrams.duplicate[10], "max_duplicate_ngram_chars_frac", factor=10 / 15)),
    "c4_quality": (
        Rule("lorem_ipsum", lambda m: m.has_lorem_ipsum, "reject_lorem_ipsum"),
        Rule("curly_bracket", lambda m: m.has_curly_bracket, "reject_curly_brackets"),
        Rule("too_few_sentences", lambda m: m.sentences, "min_sentences", NO_SPACES)),
    "fineweb_quality": (
        Rule("too_few_punctuated_lines", lambda m: m.punctuated_lines_frac, "min_punctuated_lines_frac",
             NO_FULL_STOPS),
        Rule("too_many_short_lines", lambda m: m.short_lines_frac, "max_short_lines_frac"),
        Rule("repeated_line_chars", lambda m: m.repeated_line_chars_frac, "max_repeated_line_chars_frac"),
        Rule("too_many_newlines", lambda m: m.newlines_per_word, "max_newlines_per_word")),
    "ratios": (
        Rule("too_many_digits", lambda m: m.digits_frac, "max_digits_frac"),
        Rule("too_many_url_chars", lambda m: m.url_chars_frac, "max_url_chars_frac"),
        Rule("too_much_white_space", lambda m: m.whitespace_frac, "max_whitespace_frac")),
    "lists": (
        Rule("too_few_function_words", lambda m: m.list_function_words_frac, "min_list_function_words_frac",
             needs_function_words=True),
        Rule("too_many_site_phrases", lambda m: m.site_phrases_frac, "max_site_phrases_frac", english_only=True)),
}


class Check(NamedTuple):
    """A rule with its threshold."""

    family: str
    rule: Rule
    threshold: float
    in_force: bool

    def shown(self) -> str:
        factor = "" if self.rule.factor == 1 else f"{self.rule.factor:.3g} x "
        value = "off" if not self.in_force else "true" if self.threshold is True else f"{self.threshold:g}"
        return f"{factor}{self.rule.threshold} = {value}"

    def breaks(self, value: float) -> bool:
        if not self.in_force:
            return False
        if self.rule.threshold.startswith("reject_"):
            return bool(value)
        return value < self.threshold if self.rule.threshold.startswith("min_") else value > self.threshold


def checks_of(thresholds: Mapping[str, float], families: Iterable[str] = FAMILIES) -> tuple[Check, ...]:
    return tuple(Check(family, rule, _scaled(thresholds[rule.threshold], rule.factor),
                       _in_force(rule.threshold, thresholds[rule.threshold]))
                 for family in families for rule in FAMILIES[family])


def _scaled(threshold: float, factor: float) -> float:
    return threshold if factor == 1 else round(threshold * factor, 4)


def _in_force(name: str, threshold: float) -> bool:
    """A share of 1.0, a minimum of 0 and `false` turn a rule off."""
    return threshold < (1 if name.endswith("_frac") else math.inf) if name.startswith("max_") else threshold > 0


def first_broken(checks: Iterable[Check], text: str, language: str) -> Rejection | None:
    """The first of `checks` that `text` fails, with the value found and the threshold. Pure."""
    measures = measure(text, language)
    for check in checks:
        if check.in_force and check.rule.applies(language) and check.breaks(value := check.rule.measure(measures)):
            return Rejection(check.rule.reason, round(value, 4), check.threshold)
    return None


PAPERS = {family: checks_of(thresholds_of("papers"), [family]) for family in FAMILIES}


def gopher_quality(text: str) -> str | None:
    """The first Gopher quality rule that an English `text` breaks, or None."""
    return _reason("gopher_quality", text)


def gopher_repetition(text: str) -> str | None:
    """The first Gopher repetition rule that `text` breaks, or None."""
    return _reason("gopher_repetition", text) if text else "empty"


def c4_quality(text: str) -> str | None:
    """The first C4 rule that `text` breaks, or None; lines need no terminal punctuation, as in FineWeb."""
    return _reason("c4_quality", text)


def fineweb_quality(text: str) -> str | None:
    """The first of FineWeb's own rules that `text` breaks, or None."""
    return _reason("fineweb_quality", text) if text.strip() else "empty"


def _reason(family: str, text: str) -> str | None:
    rejection = first_broken(PAPERS[family], text, "en")
    return rejection.reason if rejection else None
