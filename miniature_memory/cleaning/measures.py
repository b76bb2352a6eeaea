"""What the rules measure of a text."""

from __future__ import annotations

import re
from functools import cached_property, lru_cache

import numpy as np

from miniature_memory.cleaning.words import (
    ALPHA,
    FUNCTION,
    PUNCTUATION,
    SENTENCE_ENDS,
    STOP,
    WORD,
    _vocabulary,
    split_chunk,
)

# --- measures ------------------------------------------------------------------------------------

NO_SPACES = frozenset({"zh", "ja", "th", "lo", "km", "my", "bo"})  # languages written without spaces between words
NO_STOPS = frozenset({"th", "lo"})  # and those whose sentences end without a mark
BULLETS = frozenset("•‣▶◀◦■□▪▫–-*")
SHORT_LINE_CHARS = 30
LIST_SHORT_LINES_FRAC, LIST_SENTENCES = 0.67, 5  # what makes a text a list: FineWeb's share, C4's number
SENTENCE_MARKS = SENTENCE_ENDS | frozenset("\"'”’")  # C4: a line of running text ends in one of these
SITE_PHRASES = re.compile(
    r"\b(?:cookies?|privacy|consent|terms of (?:use|service)|terms (?:and|&) conditions|copyright|all rights reserved"
    r"|(?:un)?subscribe|newsletters?|log ?in|sign ?in|sign ?up|contact us|about us|faqs?|careers|site ?map)\b|©")
CITATION = re.compile(r"\[\d*\]|\[edit\]|\[citation needed\]")
POLICY = re.compile(r"terms of use|privacy policy|cookie policy|uses cookies|use of cookies|use cookies")
_URL_IN_TEXT = re.compile(r"https?://\S+|www\.\S+")
_ZERO = np.zeros(1, dtype=np.int64)
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # of the hash of n-grams: 2^64 / golden ratio, odd


class Measures:
    """What the rules ask of one text, each figure computed when it is first asked for."""

    def __init__(self, text: str, language: str = "en") -> None:
        self.text, self.language = text, language
        self.n_chars = max(1, len(text))

    # words

    @cached_property
    def _words(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        # In a language without spaces a character is a word.
        return _vocabulary.split(" ".join(self.text) if self.language in NO_SPACES else self.text)

    @property
    def ids(self) -> np.ndarray:
        return self._words[0]

    @property
    def chars(self) -> np.ndarray:
        return self._words[1]

    @property
    def kinds(self) -> np.ndarray:
        return self._words[2]

    @cached_property
    def n_words(self) -> int:
        """Words, those of punctuation alone not counted."""
        return int(np.count_nonzero(self.kinds & WORD))

    @property
    def n_tokens(self) -> int:
        """Words and punctuation."""
        return max(1, len(self.ids))

    @property
    def mean_word_chars(self) -> float:
        return float(self.chars[(self.kinds & WORD) > 0].sum()) / max(1, self.n_words)

    @property
    def letter_words_frac(self) -> float:
        return int(np.count_nonzero(self.kinds & ALPHA)) / self.n_tokens

    @property
    def stop_words(self) -> int:
        return len(np.unique(self.ids[(self.kinds & STOP) > 0]))

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
    def repeated_line_chars_frac(self) -> float:
        return _repeated(self.full_lines)[1] / max(1, len(self.text) - self.text.count("\n"))

    @property
    def newlines_per_word(self) -> float:
        return self.text.count("\n") / self.n_tokens

    # repetition

    @cached_property
    def duplicate_lines(self) -> tuple[float, float]:
        """Shares of the lines, and of the characters, that are in lines which stood before."""
        lines = list(filter(None, self.text.split("\n")))
        n, chars = _repeated(lines)
        return n / max(1, len(lines)), chars / self.n_chars

    @cached_property
    def duplicate_paragraphs(self) -> tuple[float, float]:
        paragraphs = [part.strip("\n") for part in self.text.strip().split("\n\n") if part]
        n, chars = _repeated(paragraphs)
        return n / max(1, len(paragraphs)), chars / self.n_chars

    @cached_property
    def ngrams(self) -> tuple[dict[int, float], dict[int, float]]:
        """Two shares of the characters by n: in the commonest n-gram of 2 to 4 words, spaces between them included; and
        in n-grams of 5 to 10 words that stood before, none counted twice.

        An n-gram that stands twice is two of n - 1 words that do, one after the other: each n looks only where the n
        before it found something.
        """
        top, duplicate = dict.fromkeys(range(2, 5), 0.0), dict.fromkeys(range(5, 11), 0.0)
        ids = self.ids.astype(np.uint64)
        places, keys = np.arange(len(ids)), ids  # where an n-gram that may stand twice begins, and its hash
        starts_at = np.concatenate(([0], np.cumsum(self.chars)))  # characters before each word, spaces left out
        bits = np.uint64(len(ids).bit_length())
        low = (np.uint64(1) << bits) - np.uint64(1)
        for n in range(2, 11):
            if not len(places) and n > 4:
                break
            if len(places) and places[-1] + n > len(ids):
                places, keys = places[:-1], keys[:-1]
            keys = keys * _MULTIPLIER + ids[places + n - 1]
            in_order = np.sort(keys << bits | np.arange(len(keys), dtype=np.uint64))  # many times as fast as argsort
            order, same = (in_order & low).astype(np.int64), in_order[1:] >> bits == in_order[:-1] >> bits
            if n in top and len(ids) >= n:
                starts = np.concatenate((_ZERO, np.flatnonzero(~same) + 1, [len(order)]))
                counts = starts[1:] - starts[:-1]
                most = max(1, int(counts.max()))
                # Of several, the first.
                first = int(places[order[starts[:-1][counts == most]]].min()) if most > 1 else 0
                top[n] = most * (int(self.chars[first:first + n].sum()) + n - 1) / self.n_chars
            if not same.any():
                places, keys = places[:0], keys[:0]
                continue
            repeated = np.zeros(len(keys), dtype=bool)
            repeated[order[1:][same]] = repeated[order[:-1][same]] = True
            if n in duplicate:
                found = places[repeated]
                chars = starts_at[found + n] - starts_at[found]
                n_chars = _duplicate_chars(found.tolist(), keys[repeated].tolist(), chars.tolist(), n)
                duplicate[n] = n_chars / self.n_chars
            repeated[:-1] &= repeated[1:] & (places[1:] - places[:-1] == 1)
            repeated[-1:] = False
            places, keys = places[repeated], keys[repeated]
        return top, duplicate

    # C4

    @cached_property
    def c4(self) -> tuple[set[str], int]:
        """What makes C4 drop a page at once, and the sentences in the lines that it keeps, counted up to five."""
        sentences, found = 0, set[str]()
        odd = "{" in self.text or "ipsum" in self.text or "IPSUM" in self.text or "Ipsum" in self.text
        for line in self.lines:
            if sentences >= 5 and not odd:
                break
            words = line.split()
            if len(words) < 3 or (len(line) > 1000 and max(map(len, words)) > 1000):
                continue
            lower = line.lower()
            if "lorem ipsum" in lower:
                found.add("lorem_ipsum")
            if "javascript" in lower:
                continue
            if "{" in line:
                found.add("curly_bracket")
            if sentences < 5 and not POLICY.search(lower):
                sentences += count_sentences(CITATION.sub("", line))
        return found, sentences

    # our own

    @property
    def function_words_frac(self) -> float:
        return int(np.count_nonzero(self.kinds & FUNCTION)) / max(1, int(np.count_nonzero(self.kinds & ALPHA)))

    @property
    def is_list(self) -> bool:
        """Are most lines short, or fewer than five sentences in lines that end as sentences do?"""
        return self.short_lines_frac > LIST_SHORT_LINES_FRAC or self.ended_sentences < LIST_SENTENCES

    @property
    def ended_sentences(self) -> int:
        """C4's sentences with its rule on terminal punctuation; counted up to the five that it asks for."""
        n = 0
        for line in self.stripped_lines:
            if n >= LIST_SENTENCES:
                break
            if line[-1:] in SENTENCE_MARKS and not line.endswith("...") and len(line.split()) >= 3 and (
                    not POLICY.search(line.lower())):
                n += count_sentences(line)
        return n

    @property
    def list_function_words_frac(self) -> float:
        """Share of function words of a text that looks like a list, 1 for any other."""
        return self.function_words_frac if self.is_list else 1.0

    @property
    def site_phrases_frac(self) -> float:
        """Phrases that sites say of themselves, a word; 0 if it is one and the same phrase."""
        found = SITE_PHRASES.findall(self.text.lower())
        several = len({phrase.rstrip("s").replace(" ", "") for phrase in found}) > 1
        return len(found) / max(1, self.n_words) if several else 0.0

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


def _repeated(items: list[str]) -> tuple[int, int]:
    """How many items stood before, and their characters."""
    unique = set(items)
    return len(items) - len(unique), sum(map(len, items)) - sum(map(len, unique))


def _duplicate_chars(places: list[int], keys: list[int], chars: list[int], n: int) -> int:
    """The characters of those repeated n-grams that stood before, none reaching into the one that was counted last."""
    seen, end, total = set(), 0, 0
    for place, key, n_chars in zip(places, keys, chars, strict=True):
        if place >= end:
            if key in seen:
                total, end = total + n_chars, place + n
            else:
                seen.add(key)
    return total


def count_sentences(line: str) -> int:
    """Sentences of a line: a new one begins with the word after a mark that ends one."""
    n, ended = 1, False
    for chunk in line.split():
        for word in split_chunk(chunk) if not SENTENCE_ENDS.isdisjoint(chunk) else (chunk,):
            if word in SENTENCE_ENDS:
                ended = True
            elif ended and not PUNCTUATION.issuperset(word):
                n, ended = n + 1, False
    return n


@lru_cache(1)  # the four families are asked one after the other of the same text
def measure(text: str, language: str = "en") -> Measures:
    return Measures(text, language)
