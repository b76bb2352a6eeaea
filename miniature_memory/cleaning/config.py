"""Settings of clean."""

from __future__ import annotations

from dataclasses import dataclass, field

from miniature_memory.validation.config import ValidateConfig

# --- rules ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Thresholds:
    """The papers' numbers. A share of 1.0, or a least of 0, puts a rule out of force."""

    # Gopher quality
    min_words: int = 50
    max_words: int = 100_000
    min_mean_word_chars: float = 3.0
    max_mean_word_chars: float = 10.0
    max_hashes_per_word: float = 0.1
    max_ellipses_per_word: float = 0.1
    max_bullet_lines_frac: float = 0.9
    max_ellipsis_lines_frac: float = 0.3
    min_letter_words_frac: float = 0.8      # words with at least one letter
    min_stop_words: int = 2                 # distinct, of eight; English documents only
    # Gopher repetition
    max_duplicate_paragraphs_frac: float = 0.3
    max_duplicate_paragraph_chars_frac: float = 0.2
    max_duplicate_lines_frac: float = 0.3
    max_duplicate_line_chars_frac: float = 0.2
    max_top_2gram_chars_frac: float = 0.2
    max_top_3gram_chars_frac: float = 0.18
    max_top_4gram_chars_frac: float = 0.16
    max_duplicate_5gram_chars_frac: float = 0.15
    max_duplicate_6gram_chars_frac: float = 0.14
    max_duplicate_7gram_chars_frac: float = 0.13
    max_duplicate_8gram_chars_frac: float = 0.12
    max_duplicate_9gram_chars_frac: float = 0.11
    max_duplicate_10gram_chars_frac: float = 0.10
    # C4
    refuse_lorem_ipsum: bool = True
    refuse_curly_brackets: bool = True
    min_sentences: int = 5                  # in lines of at least three words
    # FineWeb
    min_punctuated_lines_frac: float = 0.12
    max_short_lines_frac: float = 0.67      # of at most 30 characters
    max_repeated_line_chars_frac: float = 0.1
    max_newlines_per_word: float = 0.3
    # NeMo Curator, heuristic filters
    max_digits_frac: float = 0.15
    max_url_chars_frac: float = 0.2
    max_whitespace_frac: float = 0.25
    # Our own, for menus, lists of links and consent texts, in English: bench/filters.py
    min_list_function_words_frac: float = 0.3   # words such as the, of, you, in one that looks like a list
    max_site_phrases_frac: float = 0.01         # phrases such as cookie, privacy, sign up, a word; of two kinds or more


@dataclass(frozen=True)
class CleanConfig(Thresholds):
    """The papers' thresholds (rules.py), save these: verse, drama, recipes, forums and code would fall to them.

    They were tuned by bench/filters.py: rules of our own on menus and notices stand in for those that are loosened.
    """

    min_letter_words_frac: float = 0.5              # code and tables, whose marks count as words
    max_duplicate_paragraphs_frac: float = 1.0      # speakers' names
    max_duplicate_lines_frac: float = 1.0
    max_duplicate_line_chars_frac: float = 0.4
    max_duplicate_5gram_chars_frac: float = 0.45    # thrice the paper's: signatures of functions, quoted posts
    max_duplicate_6gram_chars_frac: float = 0.42
    max_duplicate_7gram_chars_frac: float = 0.39
    max_duplicate_8gram_chars_frac: float = 0.36
    max_duplicate_9gram_chars_frac: float = 0.33
    max_duplicate_10gram_chars_frac: float = 0.30
    refuse_curly_brackets: bool = False             # code
    max_whitespace_frac: float = 0.4                # code, indented
    min_punctuated_lines_frac: float = 0.0          # verse, lists of steps
    max_short_lines_frac: float = 1.0               # verse, dialogue
    max_repeated_line_chars_frac: float = 1.0       # the same as duplicate_line_chars
    max_newlines_per_word: float = 1.0              # verse
    mask_personal_data: bool = True
    validate: ValidateConfig = field(default_factory=ValidateConfig)  # for --rebuild, which judges languages anew

    def __post_init__(self) -> None:
        if self.min_words < 1:
            raise ValueError(f"min_words = {self.min_words}; expected at least 1")
