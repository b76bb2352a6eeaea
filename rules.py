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

import re
from array import array
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import numpy as np
import regex

from catalog import Refusal

# --- words ---------------------------------------------------------------------------------------

# Character classes of spaCy's tokenizer (spacy/lang/char_classes.py, MIT), in the words of the regex module.
_MARKS = r",:;!?¿؟¡()\[\]{}<>_#*&。？！，、；：～·।،۔؛٪"
_QUOTES = r"'\"”“`‘´’‚„»«「」『』（）〔〕【】《》〈〉⟦⟧"
_LOWER, _UPPER, _LETTER = r"\p{Ll}\p{Lo}", r"\p{Lu}\p{Lo}", r"\p{L}"
_UNITS = ("km|km²|km³|m|m²|m³|dm|dm²|dm³|cm|cm²|cm³|mm|mm²|mm³|ha|µm|nm|yd|in|ft|kg|g|mg|µg|t|lb|oz|m/s|km/h|kmh|mph|"
          "hPa|Pa|mbar|mb|MB|kb|KB|gb|GB|tb|TB|T|G|M|K|%")
_SUFFIX_MARKS = frozenset(",:;!?)]}>\"”’'»…")
_USUAL = re.compile(r"""([("“‘'\[«]*)([^\W\d_]+(?:-[^\W\d_]+)*|\d+(?:[.,:]\d+)*)(['’][sS]|(?<=[a-zà-ÿ0-9])\.)?"""
                    r"""([,:;!?)\]"”’'»]*)""")
_PREFIX = regex.compile(rf"\.\.+|…|\+(?!\d)|[§%=—–\p{{Sc}}\p{{So}}{_MARKS}{_QUOTES}]")
_SUFFIX = regex.compile(
    rf"(?:\.\.+|…|['’][sS]|[—–\p{{So}}{_MARKS}{_QUOTES}]|(?<=\d)\+|(?<=°[FfCcKk])\.|(?<=\d)(?:\p{{Sc}}|{_UNITS})"
    rf"|(?<=[\d{_LOWER}%²\-+{_MARKS}{_QUOTES}])\.|(?<=[{_UPPER}][{_UPPER}])\.)$")
_INFIX = regex.compile(
    rf"\.\.+|…|\p{{So}}|(?<=\d)[+\-*^](?=[\d-])|(?<=[{_LOWER}{_QUOTES}])\.(?=[{_UPPER}{_QUOTES}])"
    rf"|(?<={_LETTER}),(?={_LETTER})|(?<=[{_LETTER}\d])(?:--|---|——|[-–—~])(?={_LETTER})"
    rf"|(?<=[{_LETTER}\d])[:<>=/](?={_LETTER})")
_URL = regex.compile(r"(?:[a-z]+://)?[\w.\-@]+(?::\d+)?\.[a-z]{2,}(?:/\S*)?")
_CONTRACTION = regex.compile(
    r"(i|you|he|she|it|we|they|who|what|when|where|why|how|there|that|this|those|these)"
    r"(['’](?:ll|d|ve|re|m|s))|(can)(not)|(\p{L}+)(n['’]?t)|(let)(['’]s)", regex.IGNORECASE)
_CONTRACTED = ("nt", "NT", "not", "NOT")  # dont and cannot are two words
_NEGATED = {"ai", "are", "ca", "could", "did", "do", "does", "had", "have", "has", "is", "may", "might", "must", "need",
            "ought", "sha", "should", "was", "were", "wo", "would"}
_ABBREVIATIONS = frozenset((  # noqa: SIM905 (a list of them would be three times as long)
    "Bros. Co. Corp. Dr. Gen. Gov. Inc. Jr. Ltd. Messrs. Mr. Mrs. Ms. Mt. Ph.D. Prof. Rep. Rev. Sen. St. D.C. N.Y. vs. "
    "a.m. p.m. e.g. E.g. i.e. I.e. and/or Jan. Feb. Mar. Apr. Jun. Jul. Aug. Sep. Sept. Oct. Nov. Dec. "
    "a. b. c. d. e. f. g. h. i. j. k. l. m. n. o. p. q. r. s. t. u. v. w. x. y. z.").split())


def split_chunk(chunk: str) -> list[str]:
    """The words of `chunk`, which holds no white space: marks stand alone, don't is do and n't, well-known three."""
    if found := _USUAL.fullmatch(chunk):  # nine of ten chunks: a number, a word or some with hyphens, marks around it
        head, core, end, tail = found.groups("")
        if core + end not in _ABBREVIATIONS and not core.endswith(_CONTRACTED):
            words = core.replace("-", " - ").split() if "-" in core else [core]
            return [*head, *words, end, *tail] if end else [*head, *words, *tail]
    first: list[str] = []
    last: list[str] = []
    while chunk and not _is_plain(chunk):
        if words := _special(chunk):
            return first + words + last[::-1]
        before = len(chunk)
        if not chunk[0].isalnum() and (found := _PREFIX.match(chunk)):
            first.append(found[0])
            chunk = chunk[found.end():]
            if words := _special(chunk):
                return first + words + last[::-1]
        if chunk and (chunk[-1] in _SUFFIX_MARKS or (chunk[-1] == "." and chunk[-2:-1].islower())):
            # Most suffixes are one mark: spare them the search.
            last.append(chunk[-1])
            chunk = chunk[:-1]
        elif not chunk[-5:].isalpha() and (found := _SUFFIX.search(chunk, max(0, len(chunk) - 8))):  # units are short
            last.append(found[0])
            chunk = chunk[:found.start()]
        if len(chunk) == before:
            break
    if not chunk or chunk.isalnum() or ("." in chunk and _URL.fullmatch(chunk)):
        return first + [chunk] * bool(chunk) + last[::-1]
    return first + [word for word in _split_infixes(chunk) if word] + last[::-1]


def _is_plain(chunk: str) -> bool:
    return chunk.isalpha() and not chunk.endswith(_CONTRACTED)


def _special(chunk: str) -> list[str]:
    """The words of a contraction or an abbreviation, [] for everything else."""
    if chunk in _ABBREVIATIONS:
        return [chunk]
    if not chunk[-1:].isalpha() or ("'" not in chunk and "’" not in chunk and chunk[-1] not in "tT"):
        return []
    if (found := _CONTRACTION.fullmatch(chunk)) and (not found[5] or found[5].lower() in _NEGATED):
        return [part for part in found.groups() if part]
    return []


def _split_infixes(chunk: str) -> list[str]:
    words, end = [], 0
    for found in _INFIX.finditer(chunk):
        words += [chunk[end:found.start()], found[0]]
        end = found.end()
    return [*words, chunk[end:]]


class Vocabulary(dict[str, int]):
    """Words as numbers, so that counting them is arithmetic. A key is a chunk without white space, of one word or more.

    Text repeats its chunks, so each is divided once. Forgets all when it is full: numbers hold for one text only.
    """

    MOST_CHUNKS = 300_000  # about 60 MB

    def __init__(self) -> None:
        self.first, self.count = array("i"), array("i")  # of a chunk: where its words lie in `words`, and how many
        self.words = array("i")
        self.word_ids: dict[str, int] = {}
        self.chars, self.kind = array("i"), array("b")  # of a word

    def __missing__(self, chunk: str) -> int:
        words = [chunk] if _is_plain(chunk) else split_chunk(chunk)
        self[chunk] = number = len(self.first)
        self.first.append(len(self.words))
        self.count.append(len(words))
        self.words.extend(map(self._word_id, words))
        return number

    def _word_id(self, word: str) -> int:
        if word not in self.word_ids:
            self.word_ids[word] = len(self.chars)
            self.chars.append(len(word))
            self.kind.append(WORD | ALPHA | STOP * (word in STOP_WORDS) | FUNCTION * (word.lower() in FUNCTION_WORDS)
                             if word.isalpha() else
                             WORD * (not PUNCTUATION.issuperset(word)) | ALPHA * any(map(str.isalpha, word)))
        return self.word_ids[word]

    def split(self, text: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Number, characters and kind of each word of `text`, int32, int32, int8 (n_words,)."""
        if len(self) > self.MOST_CHUNKS:
            self.clear()
            self.__init__()  # type: ignore[misc]
        chunks = np.fromiter(map(self.__getitem__, text.split()), dtype=np.int32)
        if not len(chunks):
            return np.empty(0, np.int32), np.empty(0, np.int32), np.empty(0, np.int8)
        count = np.frombuffer(self.count, np.int32)[chunks]
        ends = np.cumsum(count)
        places = np.arange(ends[-1]) + np.repeat(np.frombuffer(self.first, np.int32)[chunks] - (ends - count), count)
        ids = np.frombuffer(self.words, np.int32)[places]
        return ids, np.frombuffer(self.chars, np.int32)[ids], np.frombuffer(self.kind, np.int8)[ids]


WORD, ALPHA, STOP, FUNCTION = 1, 2, 4, 8  # kinds of words: not of punctuation alone; with a letter; see below
PUNCTUATION = frozenset("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~—–‘’“”„…«»‹›《》〈〉「」【】、。！？，；：（）％～．´∶►")
STOP_WORDS = frozenset({"the", "be", "to", "of", "and", "that", "have", "with"})
# Words that English sentences are held together with: they are a third to half of running text, a tenth of a menu.
FUNCTION_WORDS = frozenset((  # noqa: SIM905 (a list of them would be three times as long)
    "the of and to a in is that for it as was with be by on not he i this are or his from at which but have an had "
    "they you were there one all we her she him their would what so if no when who more can my your our me them than "
    "then its into do how will has been about these some could other only").split())
SENTENCE_ENDS = frozenset("!.?։؟۔।॥၊။።፧៖៕‼‽⁇⁈⁉⸮﹒﹖﹗！．？｡。")
_vocabulary = Vocabulary()

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


def first_broken(rules: tuple[Rule, ...], text: str, language: str, thresholds: Thresholds) -> Refusal | None:
    """The first of `rules` that `text` breaks, with the value found and the threshold. Pure."""
    measures = measure(text, language)
    for rule in rules:
        threshold = getattr(thresholds, rule.threshold)
        if applies(rule, language) and breaks(rule, value := rule.measure(measures), threshold):
            return Refusal(rule.reason, round(value, 4), threshold)
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
