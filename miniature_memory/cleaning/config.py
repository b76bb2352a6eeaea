"""Settings of clean."""

from __future__ import annotations

from dataclasses import dataclass, field

from miniature_memory.core.config import setting
from miniature_memory.validation.config import ValidateConfig

# --- rules ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Thresholds:
    """The papers' numbers. A share of 1.0, or a least of 0, puts a rule out of force."""

    # Gopher quality
    min_words: int = setting(50,
        "without those of punctuation alone",
        heading="A document that passes one of these is dropped; a share of 1.0, or a least of 0, puts a rule out of "
                "force. Gopher quality (arXiv 2112.11446, appendix A). Words are divided as spaCy does: punctuation "
                "marks stand alone.")
    max_words: int = setting(100_000, "more is a list or a whole library")
    min_mean_word_chars: float = setting(3.0, "mean length of a word")
    max_mean_word_chars: float = setting(10.0, "mean length of a word")
    max_hashes_per_word: float = setting(0.1, "of \"#\"")
    max_ellipses_per_word: float = setting(0.1, "of \"...\" and \"…\"")
    max_bullet_lines_frac: float = setting(0.9, "lines that begin with a bullet")
    max_ellipsis_lines_frac: float = setting(0.3, "lines that end in an ellipsis")
    min_letter_words_frac: float = setting(0.8,
        "words with at least one letter; the paper's 0.8 drops a fifth of good pages")
    min_stop_words: int = setting(2, "different ones of the, be, to, of, and, that, have, with; English documents only")
    # Gopher repetition
    max_duplicate_paragraphs_frac: float = setting(0.3,
        "paragraphs that stood before; the paper's 0.3 drops drama",
        heading="Gopher repetition (table A1): shares of the lines, the paragraphs and the characters")
    max_duplicate_paragraph_chars_frac: float = setting(0.2, "characters in them")
    max_duplicate_lines_frac: float = setting(0.3, "lines that stood before; the paper's 0.3 drops drama")
    max_duplicate_line_chars_frac: float = setting(0.2, "characters in them; the paper has 0.2")
    max_top_2gram_chars_frac: float = setting(0.2, "characters in the commonest pair of words")
    max_top_3gram_chars_frac: float = setting(0.18, "in the commonest three")
    max_top_4gram_chars_frac: float = setting(0.16, "in the commonest four")
    max_duplicate_5gram_chars_frac: float = setting(0.15,
        "characters in runs of five words that stood before; the paper has a third of it")
    max_duplicate_6gram_chars_frac: float = setting(0.14, "of six")
    max_duplicate_7gram_chars_frac: float = setting(0.13, "of seven")
    max_duplicate_8gram_chars_frac: float = setting(0.12, "of eight")
    max_duplicate_9gram_chars_frac: float = setting(0.11, "of nine")
    max_duplicate_10gram_chars_frac: float = setting(0.10, "of ten")
    # C4
    refuse_lorem_ipsum: bool = setting(True,
        "filler text",
        heading="C4 (JMLR 21/20-074)")
    refuse_curly_brackets: bool = setting(True, "the paper's true drops every page with code")
    min_sentences: int = setting(5, "in lines of at least three words")
    # FineWeb
    min_punctuated_lines_frac: float = setting(0.12,
        "lines that end a sentence; the paper's 0.12 drops verse and code",
        heading="FineWeb (arXiv 2406.17557)")
    max_short_lines_frac: float = setting(0.67, "lines of at most 30 characters; the paper's 0.67 drops verse and code")
    max_repeated_line_chars_frac: float = setting(0.1,
        "characters in lines that stood before, as max_duplicate_line_chars_frac; the paper has 0.1")
    max_newlines_per_word: float = setting(0.3, "of a list; datatrove has 0.3")
    # NeMo Curator, heuristic filters
    max_digits_frac: float = setting(0.15,
        "tables and numbers",
        heading="Shares of the characters (NeMo Curator)")
    max_url_chars_frac: float = setting(0.2, "addresses")
    max_whitespace_frac: float = setting(0.25, "spaces and new lines; NeMo Curator's 0.25 drops indented code")
    # Our own, for menus, lists of links and consent texts, in English: bench/filters.py
    min_list_function_words_frac: float = setting(0.3,
        "words such as the, of, you, in a text of short lines or under five sentences",
        heading="Menus, lists of links, consent texts, in English: tuned by bench/filters.py")
    max_site_phrases_frac: float = setting(0.01,
        "phrases such as cookie, privacy, sign up, a word; of two kinds or more")


@dataclass(frozen=True)
class CleanConfig(Thresholds):
    """The papers' thresholds (rules.py), save these: verse, drama, recipes, forums and code would fall to them.

    They were tuned by bench/filters.py: rules of our own on menus and notices stand in for those that are loosened.
    """

    min_letter_words_frac: float = setting(0.5,
        "words with at least one letter; the paper's 0.8 drops a fifth of good pages")
    max_duplicate_paragraphs_frac: float = setting(1.0,
        "paragraphs that stood before; the paper's 0.3 drops drama",
        heading="Gopher repetition (table A1): shares of the lines, the paragraphs and the characters")
    max_duplicate_lines_frac: float = setting(1.0, "lines that stood before; the paper's 0.3 drops drama")
    max_duplicate_line_chars_frac: float = setting(0.4, "characters in them; the paper has 0.2")
    max_duplicate_5gram_chars_frac: float = setting(0.45,
        "characters in runs of five words that stood before; the paper has a third of it")
    max_duplicate_6gram_chars_frac: float = setting(0.42, "of six")
    max_duplicate_7gram_chars_frac: float = setting(0.39, "of seven")
    max_duplicate_8gram_chars_frac: float = setting(0.36, "of eight")
    max_duplicate_9gram_chars_frac: float = setting(0.33, "of nine")
    max_duplicate_10gram_chars_frac: float = setting(0.30, "of ten")
    refuse_curly_brackets: bool = setting(False, "the paper's true drops every page with code")
    max_whitespace_frac: float = setting(0.4, "spaces and new lines; NeMo Curator's 0.25 drops indented code")
    min_punctuated_lines_frac: float = setting(0.0,
        "lines that end a sentence; the paper's 0.12 drops verse and code",
        heading="FineWeb (arXiv 2406.17557)")
    max_short_lines_frac: float = setting(1.0, "lines of at most 30 characters; the paper's 0.67 drops verse and code")
    max_repeated_line_chars_frac: float = setting(1.0,
        "characters in lines that stood before, as max_duplicate_line_chars_frac; the paper has 0.1")
    max_newlines_per_word: float = setting(1.0, "of a list; datatrove has 0.3")
    mask_personal_data: bool = setting(True,
        "e-mail addresses, phone, card and account numbers, public IP addresses: by words",
        heading="Privacy")
    validate: ValidateConfig = field(default_factory=ValidateConfig)  # for --rebuild, which judges languages anew

    def __post_init__(self) -> None:
        if self.min_words < 1:
            raise ValueError(f"min_words = {self.min_words}; expected at least 1")
