"""Topic fit: how much of a text consists of a topic's words, from 0 to 1.

The words of a topic are those of its title and queries, and those that tell its best pages apart from any other text.
A text is a vector of its terms, each with TF-IDF as its weight; a topic is the mean of the vectors of its pages
(relevance feedback: Rocchio 1971, in The SMART Retrieval System, chapter 14). The fit is their cosine, divided by the
one that those pages themselves have on average.

A term is a word in lower case, or a pair of neighboring characters where a script puts no spaces between words, as in
Lucene's CJKAnalyzer. No form of a word is guessed but for the topic's own words; the pages bring the others.
"""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from itertools import pairwise, repeat
from statistics import median
from typing import NamedTuple

from miniature_memory.core.common_words import RAREST
from miniature_memory.core.languages import languages

MAX_CHARS = 6000  # of a text: its subject is known by then, and comments may follow. 4000 and 9000 judge worse
TITLE_TIMES = 4  # that each word of a text's title counts. Guess
MOST_WORDS = 100  # of a topic
OWN_SHARE = 0.6  # that its own words weigh on top; the mean vector of its pages is shorter than 1. Tuned, too
HALF_RATE = 0.01  # of a text's words: so many of the topic's own make half a mention. Guess
SAME_CHARS, MOST_ENDING = 4, 4  # letters that two forms of a word share at least, and that each may add. Guess

_NO_SPACES = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"  # and Hangul: particles
# A letter is what is no mark between words: Indian and Arabic letters carry signs that \w does not match.
_TERM = re.compile(r"[^\s\d_\x00-\x40\x5b-\x60\x7b-\xbf\u02b0-\u02ff\u060c-\u061f\u0640\u066a-\u066d\u06d4\u0964-\u0970"
                   r"\u2000-\u2bff\u3000-\u303f\u30fb\ufe10-\ufe6f\uff00-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65"
                   r"]{2,}|[\u3400-\u9fff]")  # no character beyond 16 bits: re would look for each by itself
_MARKS = "’‘“”–—…•·®™\u00a0\u200b"  # the commonest beyond ASCII
_LETTERS = bytes(byte if chr(byte).isalpha() else ord(" ") for byte in range(256))
_RUN = re.compile(f"[{_NO_SPACES}]+|[^{_NO_SPACES}]{{2,}}")
_HAS_RUN = re.compile(f"[{_NO_SPACES}]")

Terms = Counter[str]


class Profile(NamedTuple):
    """What is known of a topic in one language."""

    weights: Mapping[str, float]  # of its words; a vector of length 1
    typical: float  # cosine of its own pages


def terms_of(text: str, title: str = "") -> Terms:
    """The terms of the first MAX_CHARS characters and of the title, each as often as it counts."""
    terms = _terms(text[:MAX_CHARS])
    for term, n in _terms(title[:MAX_CHARS]).items():
        terms[term] += TITLE_TIMES * n
    return terms


def _words(text: str) -> list[str]:
    """The words of a text in lower case, as _TERM has them, in half the time where all letters are ASCII."""
    for mark in "" if text.isascii() else _MARKS:
        text = text.replace(mark, " ")
    if not text.isascii():
        return _TERM.findall(text)
    return [word for word in text.encode().translate(_LETTERS).decode().split(" ") if len(word) > 1]


def _terms(text: str) -> Terms:
    terms = Counter(_words(text.lower()))
    letters = "".join(terms)
    if not letters.isascii() and _HAS_RUN.search(letters):
        for word in [word for word in terms if _HAS_RUN.search(word)]:
            n = terms.pop(word)
            for run in _RUN.findall(word):
                pairs = map("".join, pairwise(run)) if _HAS_RUN.match(run) and run[1:] else [run]
                for pair in pairs:
                    terms[pair] += n
    return terms


def topic_words(title: str, queries: Iterable[str], rare: Mapping[str, float]) -> dict[str, float]:
    """The words of a title and of queries with their weights, which add up to 1; rare words weigh more.

    A query's word weighs as many lines as have it; those of the templates that a new topic's queries are made of, none.
    """
    lines = [set(_terms(query)) - _template_words() for query in queries]
    shares: dict[str, float] = dict.fromkeys(_terms(title), 1.0)
    for word, n in Counter(word for line in lines for word in line).items():
        shares[word] = shares.get(word, 0.0) + n / len(lines)
    weights = {word: share * rare.get(word, RAREST) for word, share in sorted(shares.items())}
    total = sum(weights.values())
    return {word: weight / total for word, weight in weights.items() if weight} if total else {}


@cache
def _template_words() -> frozenset[str]:
    return frozenset(word for language in languages().values() for query in language.queries for word in _terms(query))


def is_form(own: str, word: str) -> bool:
    """Whether a word is a form of a topic's own, or a compound with it: Brotteig and Weizenbrot of Brot.

    By letters alone, in any language; short words change by an s at most.
    """
    if own == word or (len(own) == 1 and own in word):
        return True
    if len(own) < SAME_CHARS:
        return word == own + "s"
    if word.startswith(own) or (word.endswith(own) and len(word) - len(own) >= 3):  # but trust is no form of rust
        return True
    same = next((i for i, (a, b) in enumerate(zip(own, word, strict=False)) if a != b), min(len(own), len(word)))
    rest = max(len(own), len(word)) - same
    return (rest <= MOST_ENDING and same >= max(SAME_CHARS, rest + 1)) or (same == 3 and rest == 3 and len(word) >= 5)


def mention(own: Mapping[str, float], terms: Terms, in_any_form: bool = True) -> float:
    """How much a text uses a topic's own words, 0 to 1: HALF_RATE of them is one half."""
    total = terms.total()
    counts = {word: sum(n for term, n in terms.items() if is_form(word, term)) if in_any_form else terms[word]
              for word in own}
    return sum(own[word] * n / (n + HALF_RATE * total) for word, n in counts.items() if n)


def query_words(title: str, queries: Iterable[str], rare: Mapping[str, float]) -> list[dict[str, float]]:
    """The words of the title and of each query that says something else, with weights as topic_words() gives."""
    lines = [title, *(" ".join(_terms(query).keys() - _template_words()) for query in queries)]
    found = {" ".join(sorted(words)): words for line in lines if (words := topic_words(line, (), rare))}
    return list(found.values())


def _length(terms: Terms, rare: Mapping[str, float]) -> float:
    weights = map(rare.get, terms, repeat(RAREST))
    return math.hypot(*[weight if n == 1 else weight * (1 + math.log(n))
                        for weight, n in zip(weights, terms.values(), strict=True)]) or 1.0


def shares(weights: Mapping[str, float], terms: Terms, rare: Mapping[str, float]) -> dict[str, float]:
    """What each word adds to the cosine of a topic and a text."""
    length = _length(terms, rare)
    return {word: weight * (1 + math.log(terms[word])) * rare.get(word, RAREST) / length
            for word, weight in weights.items() if word in terms}


def profile_of(own: Mapping[str, float], pages: Sequence[Terms], rare: Mapping[str, float]) -> Profile:
    """What pages, at least three, say about a topic: the words that two of them have, and the topic's own.

    A word that most of the pages have weighs more than the mean says, by the root of their share (tuned).
    """
    vectors = [shares(dict.fromkeys(terms, 1.0), terms, rare) for terms in pages]
    n_pages = Counter(word for vector in vectors for word in vector)
    mean: dict[str, float] = defaultdict(float)
    for vector in vectors:
        for word, share in vector.items():
            if n_pages[word] > 1:
                mean[word] += share / len(vectors) * math.sqrt(n_pages[word] / len(vectors))
    for word, weight in own.items():
        forms = {term: mean[term] for term in list(mean) if is_form(word, term)} or {word: 1.0}
        total = sum(forms.values())
        for term, share in forms.items():
            mean[term] += OWN_SHARE * weight * share / total
    top = dict(sorted(mean.items(), key=lambda pair: -pair[1])[:MOST_WORDS])
    length = math.sqrt(sum(weight * weight for weight in top.values()))
    weights = {word: weight / length for word, weight in top.items()}
    return Profile(weights, median(sum(shares(weights, terms, rare).values()) for terms in pages))


def fit(profile: Profile, terms: Terms, rare: Mapping[str, float]) -> float:
    """How well a text fits a topic: 0 if it shares no word, 1 if it is like the topic's own pages."""
    return min(1.0, sum(shares(profile.weights, terms, rare).values()) / profile.typical)
