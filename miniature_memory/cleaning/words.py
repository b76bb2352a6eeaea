"""Words as spaCy divides them, counted once for all rules."""

import re
from array import array
from typing import NamedTuple

import numpy as np
import regex

from miniature_memory.core.languages import language_of, lower

WORD, ALPHA, STOP, FUNCTION = 1, 2, 4, 8  # kinds of words: not only punctuation; with a letter; of a set below
PUNCTUATION = frozenset("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~—–‘’“”„…«»‹›《》〈〉「」【】、。！？，；：（）％～．´∶►")
STOP_WORDS = frozenset({"the", "be", "to", "of", "and", "that", "have", "with"})
# Words that hold English sentences together: a third to half of running text, a tenth of a menu.
_FUNCTION_WORDS = (
    "the of and to a in is that for it as was with be by on not he i this are or his from at which but have an had "
    "they you were there one all we her she him their would what so if no when who more can my your our me them than "
    "then its into do how will has been about these some could other only")
FUNCTION_WORDS = frozenset(_FUNCTION_WORDS.split())
SENTENCE_ENDS = frozenset("!.?։؟۔।॥၊။።፧៖៕‼‽⁇⁈⁉⸮﹒﹖﹗！．？｡。")

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
    rf"|(?<=[\d{_LOWER}\p{{M}}%²\-+{_MARKS}{_QUOTES}])\.|(?<=[{_UPPER}][{_UPPER}])\.)$")
_INFIX = regex.compile(
    rf"\.\.+|…|\p{{So}}|(?<=\d)[+\-*^](?=[\d-])|(?<=[{_LOWER}{_QUOTES}])\.(?=[{_UPPER}{_QUOTES}])"
    rf"|(?<={_LETTER}),(?={_LETTER})|(?<=[{_LETTER}\d])(?:--|---|——|[-–—~])(?={_LETTER})"
    rf"|(?<=[{_LETTER}\d])[:<>=/](?={_LETTER})")
_URL = regex.compile(r"(?:[a-z]+://)?[\w.\-@]+(?::\d+)?\.[a-z]{2,}(?:/\S*)?")
_CONTRACTION = regex.compile(
    r"(i|you|he|she|it|we|they|who|what|when|where|why|how|there|that|this|those|these)"
    r"(['’](?:ll|d|ve|re|m|s))|(can)(not)|(\p{L}+)(n['’]?t)|(let)(['’]s)", regex.IGNORECASE)
_RUNS = re.compile(r"\w+|\W")
MAX_CHUNK_CHARS = 1000  # no word of a language is longer; taking a mark off copies the rest, quadratic if unbounded
_CONTRACTED = ("nt", "NT", "not", "NOT")  # dont and cannot are two words
_NEGATED = {"ai", "are", "ca", "could", "did", "do", "does", "had", "have", "has", "is", "may", "might", "must", "need",
            "ought", "sha", "should", "was", "were", "wo", "would"}
_ABBREVIATIONS = (
    "Bros. Co. Corp. Dr. Gen. Gov. Inc. Jr. Ltd. Messrs. Mr. Mrs. Ms. Mt. Ph.D. Prof. Rep. Rev. Sen. St. D.C. N.Y. vs. "
    "a.m. p.m. e.g. E.g. i.e. I.e. and/or Jan. Feb. Mar. Apr. Jun. Jul. Aug. Sep. Sept. Oct. Nov. Dec. "
    "a. b. c. d. e. f. g. h. i. j. k. l. m. n. o. p. q. r. s. t. u. v. w. x. y. z.")
ABBREVIATIONS = frozenset(_ABBREVIATIONS.split())


def split_chunk(chunk: str) -> list[str]:
    """The words of `chunk`, which has no white space: marks stand alone, "don't" is two words, "well-known" three."""
    if len(chunk) > MAX_CHUNK_CHARS:
        return _RUNS.findall(chunk)
    if found := _USUAL.fullmatch(chunk):  # nine of ten chunks: a number, a word or some with hyphens, marks around it
        head, core, end, tail = found.groups("")
        if core + end not in ABBREVIATIONS and not core.endswith(_CONTRACTED):
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
    if chunk in ABBREVIATIONS:
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


class Words(NamedTuple):
    """The words of a text in order, each by its number, its length and its kind: int32, int32, int8 (n_words,)."""

    ids: np.ndarray
    chars: np.ndarray
    kinds: np.ndarray


class Vocabulary(dict[str, int]):
    """Words as numbers, so that counting them is arithmetic. A key is a chunk without white space, of one word or more.

    Text repeats its chunks, so each is divided once. A full vocabulary starts over: numbers hold for one text only.
    """

    MAX_CHUNKS = 100_000  # about 20 MB

    def __init__(self) -> None:
        self.start_over()

    def start_over(self) -> None:
        self.clear()
        self.first, self.count = array("i"), array("i")  # of a chunk: where its words are in `words`, and how many
        self.words = array("i")
        self.word_ids: dict[str, int] = {}
        self.names: list[str] = []  # of a word
        self.chars, self.kind = array("i"), array("b")

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
            self.names.append(word)
            self.chars.append(len(word))
            self.kind.append(WORD | ALPHA | STOP * (word in STOP_WORDS) | FUNCTION * (word.lower() in FUNCTION_WORDS)
                             if word.isalpha() else
                             WORD * (not PUNCTUATION.issuperset(word)) | ALPHA * any(map(str.isalpha, word)))
        return self.word_ids[word]

    def split(self, text: str, language: str = "en") -> Words:
        """The words of a text; its language tells which of them are stop words and function words."""
        if len(self) > self.MAX_CHUNKS:
            self.start_over()
        try:
            chunks = np.fromiter(map(self.__getitem__, text.split()), dtype=np.int32)
        except BaseException:  # a signal or a deadline, perhaps between the number of a word and its length
            self.start_over()
            raise
        if not len(chunks):
            return Words(np.empty(0, np.int32), np.empty(0, np.int32), np.empty(0, np.int8))
        count = np.frombuffer(self.count, np.int32)[chunks]
        ends = np.cumsum(count)
        places = np.arange(ends[-1]) + np.repeat(np.frombuffer(self.first, np.int32)[chunks] - (ends - count), count)
        ids = np.frombuffer(self.words, np.int32)[places]
        kinds = np.frombuffer(self.kind, np.int8)[ids]
        if language != "en" and language_of(language).function_words:
            unique, places = np.unique(ids, return_inverse=True)
            own = np.fromiter((_kind_in(self.names[number], language) for number in unique), np.int8)
            kinds = kinds & (WORD | ALPHA) | own[places]
        return Words(ids, np.frombuffer(self.chars, np.int32)[ids], kinds)


def _kind_in(word: str, language: str) -> int:
    """Whether a word is a stop word and a function word of a language that is not English."""
    own, word = language_of(language), lower(word)
    if not own.function_words or not own.stop_words or not own.function_words.has(word):
        return 0
    return FUNCTION | STOP * own.stop_words.has(word)


split_words = Vocabulary().split  # shared: a growing dataset keeps repeating its chunks
