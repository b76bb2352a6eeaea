"""Sentences, and which lines count as running text, as C4 sees it (Raffel et al. 2020, section 2.2)."""

import re
from collections.abc import Iterable, Iterator

from miniature_memory.cleaning.words import PUNCTUATION, SENTENCE_ENDS, split_chunk

ENOUGH_SENTENCES = 5  # C4 asks for no more, so counting stops there
SENTENCE_MARKS = SENTENCE_ENDS | frozenset("\"'”’")  # a line of running text ends in one of these
CITATION = re.compile(r"\[\d*\]|\[edit\]|\[citation needed\]")


def lines_with_words(lines: Iterable[str]) -> Iterator[str]:
    """The lines that C4 looks at: of three words or more, none of them huge."""
    for line in lines:
        words = line.split()
        if len(words) >= 3 and (len(line) <= 1000 or max(map(len, words)) <= 1000):
            yield line


def c4_sentences(lines: Iterable[str]) -> int:
    """The sentences in the lines that C4 looks at, counted up to the five that it asks for.

    C4 leaves out lines that mention JavaScript or a policy; here notices are gone by now, and an article about such
    things has sentences.
    """
    n = 0
    for line in lines_with_words(lines):
        n += count_sentences(CITATION.sub("", line))
        if n >= ENOUGH_SENTENCES:
            break
    return n


def ended_sentences(lines: Iterable[str]) -> int:
    """The same for stripped lines that end as sentences do: C4 with its rule on terminal punctuation."""
    n = 0
    for line in lines:
        if line[-1:] in SENTENCE_MARKS and not line.endswith("...") and len(line.split()) >= 3:
            n += count_sentences(line)
            if n >= ENOUGH_SENTENCES:
                break
    return n


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
