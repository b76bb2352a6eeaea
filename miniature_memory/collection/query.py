"""Query: what people type, as FTS5 reads it.

FTS5's own language (https://sqlite.org/fts5.html, 3) passes unchanged: AND, OR, NOT, "phrases", begin*, NEAR(a b),
title: word. What is not valid in it, an apostrophe, C++ or a question, is searched as plain words, all of which a
document must have.
"""

import regex

from miniature_memory.core.errors import ConfigError
from miniature_memory.core.text import strip_control
from miniature_memory.storage.full_text import UNSPACED, by_characters

MOST_CHARS = 500
MOST_WORDS = 32  # one with a * takes a quarter of a second for 100 MB of text, if it is short
_TYPED = str.maketrans({"“": '"', "”": '"', "„": '"', "\u3000": " ", "\n": " ", "\t": " "})  # of phones, and Japanese
_TOKENS = regex.compile(r'"(?:[^"]|"")*"|[\w\x80-\U0010ffff]+|.')  # strings and words of FTS5, and what is between
_UNSPACED = regex.compile(f"[{UNSPACED}]")
_WORDS = regex.compile(r"[\p{L}\p{N}\p{M}]+")  # what the index takes for words
_OPERATORS = regex.compile(r'\b(?:AND|OR|NOT|NEAR)\b|[()"]')


def typed(text: str) -> str:
    """A query without control characters and curly quotation marks. Raises ConfigError if it is too long."""
    query = strip_control(text).translate(_TYPED).strip()
    n_words = len(_WORDS.findall(query))
    if len(query) > MOST_CHARS or n_words > MOST_WORDS:
        raise ConfigError(f"The query has {n_words:,} words and {len(query):,} characters; expected at most "
                          f"{MOST_WORDS} and {MOST_CHARS}. Fix: search for fewer words.")
    return query


def expression(query: str) -> str:
    """The query in FTS5's language, where it may be valid. Words in scripts without spaces become phrases."""
    return "".join(_by_characters(token) if _UNSPACED.search(token) else token for token in _TOKENS.findall(query))


def _by_characters(token: str) -> str:
    if token.startswith('"'):
        return by_characters(token)
    return " ".join(map(_quoted, _WORDS.findall(token)))


def plain_words(query: str) -> list[str]:
    """The words of a query, each as a phrase of FTS5: don't is one that is indexed as two, don and t."""
    words = []
    for chunk in _OPERATORS.sub(" ", query).split():
        if tokens := _WORDS.findall(chunk):
            words.append(_quoted(" ".join(tokens)) + "*" * chunk.endswith("*"))
    return list(dict.fromkeys(words))


def _quoted(word: str) -> str:
    return f'"{by_characters(word)}"'
