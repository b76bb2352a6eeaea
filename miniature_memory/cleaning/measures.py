"""What the quality rules measure in a text."""

import re
from functools import cached_property, lru_cache

import numpy as np

from miniature_memory.cleaning.ngrams import NgramShares, ngram_shares
from miniature_memory.cleaning.notices import SAYS, sentences
from miniature_memory.cleaning.sentences import ENOUGH_SENTENCES, c4_sentences, ended_sentences, lines_with_words
from miniature_memory.cleaning.words import ALPHA, FUNCTION, SENTENCE_ENDS, STOP, WORD, Words, split_words
from miniature_memory.core.languages import language_of

# Languages written without spaces between words; yue and wuu are Chinese, dz is written as Tibetan is
NO_SPACES = frozenset({"zh", "yue", "wuu", "ja", "th", "lo", "km", "my", "bo", "dz"})
NO_FULL_STOPS = frozenset({"th", "lo"})  # languages whose sentences end without a mark
BULLETS = frozenset("•‣▶◀◦■□▪▫–-*")
SHORT_LINE_CHARS = 30
LIST_SHORT_LINES_FRAC = 0.67  # FineWeb's share: a text with more short lines is a list
SITE_PHRASES = re.compile(
    r"\b(?:cookies?|privacy|consent|terms of (?:use|service)|terms (?:and|&) conditions|copyright|all rights reserved"
    r"|(?:un)?subscribe|newsletters?|log ?in|sign ?in|sign ?up|contact us|about us|faqs?|careers|site ?map)\b|©")
CODE = frozenset("=(){}[];<>`")
SENTENCE_WORDS = 8  # guess
CHARS_PER_WORD = 2  # of Chinese and Japanese. Guess
CLOSING = "」』）》"  # what may stand behind the end of a sentence there
LIST_SHARE = 0.3  # of function words: in English, less is a list
ENOUGH_PROSE = 145  # tuned by bench/filters.py: the most in a menu, a footer or a list of links there is 141
OWN_FRAC = 0.45  # tuned by bench/filters.py
WE, YOU = re.compile(r"\b(?:we|us|our)\b"), re.compile(r"\b(?:you|your)\b")
ITSELF = re.compile(r"\b(?:this|our|the) web ?sites?\b|\b(?:this|our) site\b")
NOT_ASCII = re.compile(r"[^\x00-\x7f]")
_URL_IN_TEXT = re.compile(r"https?://\S+|www\.\S+")


class Measures:
    """What the rules measure in one text, each figure computed when it is first used."""

    def __init__(self, text: str, language: str = "en") -> None:
        self.text, self.language = text, language
        self.n_chars = max(1, len(text))

    # words

    @cached_property
    def words(self) -> Words:
        return split_words(self._spaced(self.text), self.language)

    def _spaced(self, text: str) -> str:
        """In a language without spaces, each character is a word, except in words and numbers from elsewhere."""
        return NOT_ASCII.sub(r" \g<0> ", text) if self.language in NO_SPACES else text

    @cached_property
    def n_words(self) -> int:
        """Words, not counting punctuation."""
        return int(np.count_nonzero(self.words.kinds & WORD))

    @property
    def n_tokens(self) -> int:
        """Words and punctuation."""
        return max(1, len(self.words.ids))

    @property
    def mean_word_chars(self) -> float:
        return float(self.words.chars[(self.words.kinds & WORD) > 0].sum()) / max(1, self.n_words)

    @property
    def letter_words_frac(self) -> float:
        return int(np.count_nonzero(self.words.kinds & ALPHA)) / self.n_tokens

    @property
    def stop_words(self) -> int:
        return len(np.unique(self.words.ids[(self.words.kinds & STOP) > 0]))

    @property
    def hashes_per_word(self) -> float:
        return self.text.count("#") / self.n_tokens

    # lines

    @cached_property
    def lines(self) -> list[str]:
        return self.text.splitlines()

    @cached_property
    def full_lines(self) -> list[str]:
        return [line for line in self.text.split("\n") if line and not line.isspace()]

    @cached_property
    def stripped_lines(self) -> list[str]:
        return list(map(str.strip, self.lines))

    @cached_property
    def spaced_lines(self) -> list[str]:
        """The stripped lines, with spaces between what counts as words."""
        if self.language not in NO_SPACES:
            return self.stripped_lines
        return [self._spaced(line.rstrip(CLOSING)).strip() for line in self.stripped_lines]

    @property
    def bullet_lines_frac(self) -> float:
        return sum(line[:1] in BULLETS for line in self.stripped_lines if line) / max(1, len(self.lines))

    @property
    def ellipsis_lines_frac(self) -> float:
        if not self.ellipses:
            return 0.0
        return sum(line.endswith(("...", "…")) for line in self.stripped_lines) / max(1, len(self.lines))

    @cached_property
    def ellipses(self) -> int:
        return self.text.count("...") + self.text.count("…")

    @property
    def punctuated_lines_frac(self) -> float:
        return sum(line[-1] in SENTENCE_ENDS for line in self.full_lines) / max(1, len(self.full_lines))

    @property
    def short_lines_frac(self) -> float:
        return sum(len(line) <= SHORT_LINE_CHARS for line in self.full_lines) / max(1, len(self.full_lines))

    @property
    def newlines_per_word(self) -> float:
        return self.text.count("\n") / self.n_tokens

    # repetition

    @cached_property
    def duplicate_lines(self) -> tuple[float, float]:
        """Shares of the lines, and of the characters, that are in repeated lines."""
        lines = list(filter(None, self.text.split("\n")))
        n, chars = _repeated(lines)
        return n / max(1, len(lines)), chars / self.n_chars

    @cached_property
    def duplicate_paragraphs(self) -> tuple[float, float]:
        paragraphs = [part.strip("\n") for part in self.text.strip().split("\n\n") if part]
        n, chars = _repeated(paragraphs)
        return n / max(1, len(paragraphs)), chars / self.n_chars

    @property
    def repeated_line_chars_frac(self) -> float:
        return _repeated(self.full_lines)[1] / max(1, len(self.text) - self.text.count("\n"))

    @cached_property
    def ngrams(self) -> NgramShares:
        return ngram_shares(self.words.ids, self.words.chars, self.n_chars)

    # sentences and what C4 rejects at once

    @property
    def sentences(self) -> int:
        return c4_sentences(self.lines)

    @property
    def has_lorem_ipsum(self) -> bool:
        return any(ipsum in self.text for ipsum in ("ipsum", "Ipsum", "IPSUM")) and any(
            "lorem ipsum" in line.lower() for line in lines_with_words(self.lines))

    @property
    def has_curly_bracket(self) -> bool:
        return "{" in self.text and any(
            "{" in line and "javascript" not in line.lower() for line in lines_with_words(self.lines))

    # lists and notices

    @property
    def prose_words(self) -> int:
        """Words in lines that are long enough for a sentence and end as one."""
        per_word = CHARS_PER_WORD if self.language in NO_SPACES else 1
        lengths = (len(line.split()) // per_word for line in self.spaced_lines
                   if line.rstrip("\"'”’)")[-1:] in SENTENCE_ENDS)
        return sum(n for n in lengths if n >= SENTENCE_WORDS)

    @property
    def list_function_words_frac(self) -> float:
        """Share of function words in a text of short lines, or of few lines that end as sentences do; else 1.

        In another language as it would be in English, whose threshold then holds for all.

        A text with ENOUGH_PROSE is no list, whatever else stands on its page: names, prices, addresses.
        """
        if self.short_lines_frac <= LIST_SHORT_LINES_FRAC and (
                ended_sentences(self.spaced_lines) >= ENOUGH_SENTENCES):
            return 1.0
        return self.function_words_frac if self.prose_words < ENOUGH_PROSE else 1.0

    @property
    def function_words_frac(self) -> float:
        n_function = int(np.count_nonzero(self.words.kinds & FUNCTION))
        share = n_function / max(1, int(np.count_nonzero(self.words.kinds & ALPHA)))
        return share if self.language == "en" else share * LIST_SHARE / (language_of(self.language).list_share or 1)

    @property
    def site_phrases_frac(self) -> float:
        """Phrases that sites use about themselves, per word; 0 if all are the same phrase.

        In lists, and in sentences in which a site speaks to its reader, it speaks about itself. Where that is rare
        among the phrases of a text, the others are its subject: privacy, newsletters, copyright.
        """
        found = SITE_PHRASES.findall(self.text.lower())
        if len({phrase.rstrip("s").replace(" ", "") for phrase in found}) <= 1:
            return 0.0
        own = _own_phrases(self.full_lines)
        return (len(found) if own >= OWN_FRAC * len(found) else own) / max(1, self.n_words)

    # shares of the characters

    @property
    def digits_frac(self) -> float:
        return sum(map(self.text.count, "0123456789")) / self.n_chars

    @property
    def url_chars_frac(self) -> float:
        if "http" not in self.text and "www." not in self.text:
            return 0.0
        return sum(map(len, _URL_IN_TEXT.findall(self.text))) / self.n_chars

    @property
    def whitespace_frac(self) -> float:
        return sum(map(self.text.count, " \n\t")) / self.n_chars


def _own_phrases(lines: list[str]) -> int:
    """How many phrases of the lines are about the site itself: in a list, or in a sentence to the reader.

    One line alone that ends no sentence is a heading, or a word that is explained below it.
    """
    is_entry = [line.rstrip()[-1] not in SENTENCE_ENDS for line in lines]
    n = 0
    for i, line in enumerate(lines):
        lower = line.lower()
        if not SITE_PHRASES.search(lower):
            continue
        if not is_entry[i]:
            n += sum(len(SITE_PHRASES.findall(sentence)) for sentence in sentences(lower)
                     if SAYS.match(sentence) or ITSELF.search(sentence) or (
                         WE.search(sentence) and YOU.search(sentence)))
        elif (any(is_entry[max(0, i - 1):i]) or any(is_entry[i + 1:i + 2])) and (
                not line[0].isspace() and CODE.isdisjoint(line)):
            n += len(SITE_PHRASES.findall(lower))
    return n


def _repeated(items: list[str]) -> tuple[int, int]:
    """How many items occurred before, and their characters."""
    unique = set(items)
    return len(items) - len(unique), sum(map(len, items)) - sum(map(len, unique))


@lru_cache(1)  # the four families are applied to the same text, one after the other
def measure(text: str, language: str = "en") -> Measures:
    return Measures(text, language)
