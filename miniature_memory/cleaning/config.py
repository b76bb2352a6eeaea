"""Settings of clean: every threshold of the quality rules, its value in each preset, and where it comes from."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from miniature_memory.core.config import meant, setting
from miniature_memory.core.run_config import RunConfig
from miniature_memory.validation.config import ValidateConfig

GOPHER = "Gopher (arXiv 2112.11446), appendix A"
REPETITION = "Gopher, table A1"
C4 = "C4 (JMLR 21/20-074), section 2.2"
FINEWEB = "FineWeb (arXiv 2406.17557), section 3.6"
DATATROVE = "datatrove"
NEMO = "NeMo Curator, heuristic filters"
OURS = "tuned by bench/filters.py"


class Threshold(NamedTuple):
    """What a rule allows: min_* the least, max_* the most; reject_* whether one occurrence is enough to reject."""

    name: str
    doc: str
    source: str
    papers: float
    prose: float


# Prose keeps verse, drama, recipes, forums and code, which the papers' numbers reject. Our own rules on menus and
# notices make up for the loosened ones. A share of 1.0, a minimum of 0 or `false` turns a rule off.
THRESHOLDS = (
    Threshold("min_words", "words, not counting punctuation", GOPHER, 50, 50),
    Threshold("max_words", "words; more is a list or a whole library", GOPHER, 100_000, 100_000),
    Threshold("min_mean_word_chars", "mean length of a word; 3 rejects chess games and sums", GOPHER, 3.0, 2.0),
    Threshold("max_mean_word_chars", "mean length of a word", GOPHER, 10.0, 10.0),
    Threshold("max_hashes_per_word", "`#` per word", GOPHER, 0.1, 0.1),
    Threshold("max_ellipses_per_word", "`...` and `…` per word", GOPHER, 0.1, 0.1),
    Threshold("max_bullet_lines_frac", "lines that begin with a bullet", GOPHER, 0.9, 0.9),
    Threshold("max_ellipsis_lines_frac", "lines that end in an ellipsis", GOPHER, 0.3, 0.4),
    Threshold("min_letter_words_frac", "words with a letter; 0.8 rejects a fifth of good pages", GOPHER, 0.8, 0.3),
    Threshold("min_stop_words", "how many of the, be, to, of, and, that, have, with occur; in 14 other languages, of "
              "the 15 commonest words", GOPHER, 2, 2),
    Threshold("max_duplicate_paragraphs_frac", "repeated paragraphs; 0.3 rejects drama", REPETITION, 0.3, 1.0),
    Threshold("max_duplicate_paragraph_chars_frac", "characters in repeated paragraphs", REPETITION, 0.2, 0.4),
    Threshold("max_duplicate_lines_frac", "repeated lines; 0.3 rejects drama", REPETITION, 0.3, 1.0),
    Threshold("max_duplicate_line_chars_frac", "characters in repeated lines", REPETITION, 0.2, 0.5),
    Threshold("max_top_ngram_chars_frac", "characters in the commonest pair of words; of 3 or 4 words, 0.9 or 0.8 of "
              "it", REPETITION, 0.2, 0.3),
    Threshold("max_duplicate_ngram_chars_frac", "characters in repeated runs of 5 words; of 6 to 10 words, 14/15 to "
              "10/15 of it", REPETITION, 0.15, 0.6),
    Threshold("reject_lorem_ipsum", "a mention of lorem ipsum; if false, only its lines go", C4, True, False),
    Threshold("reject_curly_brackets", "`{`; rejects every page with code", C4, True, False),
    Threshold("min_sentences", "sentences in lines of at least three words", C4, 5, 5),
    Threshold("min_punctuated_lines_frac", "lines that end a sentence; 0.12 rejects verse, code", FINEWEB, 0.12, 0.0),
    Threshold("max_short_lines_frac", "lines of at most 30 characters; 0.67 rejects verse, code", FINEWEB, 0.67, 1.0),
    Threshold("max_repeated_line_chars_frac", "characters in repeated lines, as max_duplicate_line_chars_frac", FINEWEB,
              0.1, 1.0),
    Threshold("max_newlines_per_word", "newlines per word; many in lists", DATATROVE, 0.3, 1.0),
    Threshold("max_digits_frac", "digits; 0.15 rejects pages with tables", NEMO, 0.15, 0.3),
    Threshold("max_url_chars_frac", "characters in URLs", NEMO, 0.2, 0.2),
    Threshold("max_whitespace_frac", "spaces and newlines; 0.25 rejects indented code", NEMO, 0.25, 0.4),
    Threshold("min_list_function_words_frac", "words such as the, of, you in a text of short lines or fewer than five "
              "sentences; in 14 other languages an equivalent share", OURS, 0.3, 0.3),
    Threshold("max_site_phrases_frac", "phrases such as cookie, privacy, sign up per word, if there are two kinds or "
              "more; English only", OURS, 0.01, 0.01),
)


def _off(name: str) -> float:
    """The value that turns a rule off; a document without any word is rejected all the same."""
    return {"min": int(name == "min_words"), "max": math.inf}.get(name[:3], False)


PRESETS: dict[str, dict[str, float]] = {
    "prose": {row.name: row.prose for row in THRESHOLDS},
    "papers": {row.name: row.papers for row in THRESHOLDS},
    "off": {row.name: _off(row.name) for row in THRESHOLDS}}


def thresholds_of(preset: str, overrides: Mapping[str, float] | None = None) -> dict[str, float]:
    """Every threshold by name: the preset's, changed by `overrides`. Raises ValueError for a bad name or value."""
    if preset not in PRESETS:
        raise ValueError(f"preset = {preset!r}: expected {', '.join(PRESETS)}.{meant(preset, PRESETS)}")
    values = dict(PRESETS[preset])
    for name, value in (overrides or {}).items():
        if name not in values:
            raise ValueError(f"thresholds.{name} is unknown; docs/configuration.md lists all.{meant(name, values)}")
        usual = PRESETS["papers"][name]
        if isinstance(usual, bool) != isinstance(value, bool):
            expected = "true or false" if isinstance(usual, bool) else f"a number, such as {usual}"
            raise ValueError(f"thresholds.{name} = {str(value).lower()}: expected {expected}")
        least = int(name == "min_words")
        if not least <= value < math.inf:
            raise ValueError(f"thresholds.{name} = {value}: expected {least} or more")
        kind = type(usual)  # so that 30.0 words are shown and stored as 30
        values[name] = kind(value) if kind(value) == value else value
    return values


@dataclass(frozen=True)
class CleanConfig:
    """Which documents are kept, and what is masked in them."""

    preset: str = setting("prose",
        "quality rules: prose (keeps verse, drama, recipes and code), papers (the papers' numbers) or off")
    thresholds: dict[str, float] = setting({},
        "changes to the preset, such as min_words = 30; docs/configuration.md lists all thresholds")
    mask_personal_data: bool = setting(True,
        "replace e-mail addresses, phone, card and account numbers and public IP addresses by words such as "
        "[phone number]")
    require_license: list[str] = setting([],
        "keep only documents whose pages name one of these licenses, such as [\"CC0-*\", \"CC-BY-[0-9]*\"]; CC-BY-* "
        "includes -SA, -NC and -ND; []: keep all")
    min_topic_fit: float = setting(0.0,
        "keep only documents that fit run.topic this well, from 0 to 1; a new --topic has 0.21; 0: keep all",
        most=1)
    document_deadline_sec: float = setting(20.0,
        "seconds of computing after which a document is rejected", most=86_400)  # as extract's
    run: RunConfig = field(default_factory=RunConfig)  # for the topic
    validate: ValidateConfig = field(default_factory=ValidateConfig)  # for --rebuild, which detects languages again

    def __post_init__(self) -> None:
        if self.document_deadline_sec <= 0:
            raise ValueError(f"document_deadline_sec = {self.document_deadline_sec}: expected a number of seconds "
                             "above 0")
        thresholds_of(self.preset, self.thresholds)
