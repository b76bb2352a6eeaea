"""Duplicates: is a text the same as an earlier one, or nearly the same? Exact by a hash, near by MinHash, on disk.

The parameters are FineWeb's (Penedo et al. 2024, arXiv 2406.17557): 5-grams of words in lower case without punctuation,
14 bands of 8 minima. Two texts whose sets of 5-grams have the Jaccard similarity s share a band with the probability
1 - (1 - s^8)^14: 5 % at 0.5, 56 % at 0.7, 92 % at 0.8. A text is therefore 15 keys of 64 bits, one of them the hash of
all its words; it is a duplicate if an earlier kept text has one of them.

    index = Index(catalog)
    keys = keys_of(text)
    first = index.first(keys)      # (id of the earlier document, is it the same text), or None
    index.add(seq, keys)           # seq of clean_documents

The keys of a clean document are stored in its row; only when PENDING documents have accumulated
are they sorted into the table duplicate_keys. Inserting 15 random keys per document would write 15 random pages per
document; this way the cost of a run depends on its own documents alone, and memory is flat.
"""

import hashlib
import re
import unicodedata
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
import regex

from miniature_memory.storage import duplicates
from miniature_memory.storage.catalog import Catalog

NGRAM, BANDS, ROWS = 5, 14, 8
PENDING = 16_384  # documents whose keys are held in memory: 4 MB
RECENT = 512  # of them that are not sorted yet
BLOCK = 1024  # 5-grams at once: 0.5 MB, so that a long text takes no more and stays in the cache
KEYS_VERSION = 2  # of the words that keys are made of; keys of another version are computed again
# A word: letters and digits with their marks; of a script without spaces between words, one character with its marks;
# or a sign of mathematics.
_UNSPACED = r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff"
_WORD = regex.compile(rf"[{_UNSPACED}&&[\p{{L}}\p{{N}}]]\p{{M}}*"
                      rf"|[[\p{{L}}\p{{N}}]--[{_UNSPACED}]][[\p{{L}}\p{{N}}\p{{M}}]--[{_UNSPACED}]]*"
                      r"|[\p{Sm}--[|~<>+=]]", regex.VERSION1)
# Accents on letters of Europe, vowel signs of Arabic and Hebrew: the same word is written with and without them.
_FOLDED = re.compile("[\u0300-\u0337\u0339-\u036f"
                     "\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0670\u1ab0-\u1aff\u1dc0-\u1dff]")
_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u2060\ufeff]")
_ASCII_MARKS = {code: " " for code in range(128) if not chr(code).isalnum()}
# Within a number a point or comma is part of it, and between numbers or single letters these marks are operators: each
# becomes a word, so that 2 + 2 = 4 is another text than 2 - 2 = 0.
_POINT = re.compile(r"[.,](?<=\d.)(?=\d)")
_LETTER = "[a-zα-ω]"
_OPERATOR = re.compile(rf"[-+*/^%<>=](?:(?<=[\d)\]].)|(?<=[\d)\]] .)|(?<=\b{_LETTER}.)|(?<=\b{_LETTER} .))"
                       rf"(?= ?(?:[\d(\[.-]|{_LETTER}\b))|-(?<![\w.)\]].)(?=\d)")
_OPERATORS = {"+": " plus ", "-": " minus ", "*": " times ", "/": " over ", "^": " power ", "%": " modulo ",
              "<": " less ", ">": " more ", "=": " equals "}
_ASCII_OPERATORS = str.maketrans("×∙⋅·÷∕⁄", "****///")
_PUNCTUATION = re.compile("[\u00a0\u2010-\u2012\u2014-\u2027•′″®™©]+")


def _odd(shape: tuple[int, ...], bits: int) -> np.ndarray:
    dtype = np.dtype(f"u{bits // 8}")
    odd: np.ndarray = _random.integers(0, 1 << (bits - 1), shape, dtype=dtype) * dtype.type(2) + dtype.type(1)
    return odd


_random = np.random.default_rng(0x6D696E69)  # the keys on disk depend on these numbers: never change them
_MULTIPLY = _odd((BANDS * ROWS, 1), 32)
_ADD = _random.integers(0, 1 << 32, (BANDS * ROWS, 1), dtype=np.uint32)
_WEIGHTS = list(_odd((NGRAM,), 64))
_BAND_WEIGHTS = _odd((BANDS, ROWS), 64)


def normalized_words(text: str) -> list[str]:
    """Words of letters and digits in lower case, without accents; numbers and operators are words, too.

    FineWeb and datatrove fold numbers and leave marks out; then texts that differ in nothing else, such as tables and
    sums, are the same. A character of a script without spaces between words is a word.
    """
    if not text.isascii():
        text = _PUNCTUATION.sub(" ", _INVISIBLE.sub("", text).replace("–", "-").replace("−", "-"))
    if text.isascii():
        return _with_operators(text.lower()).translate(_ASCII_MARKS).split()  # the same, many times as fast
    text = _with_operators(unicodedata.normalize("NFKC", text).lower().translate(_ASCII_OPERATORS))
    words: list[str] = _WORD.findall(unicodedata.normalize("NFC", _FOLDED.sub("", unicodedata.normalize("NFD", text))))
    return words


def _with_operators(text: str) -> str:
    text = _POINT.sub(lambda mark: "p" if mark[0] == "." else "c", text)
    return _OPERATOR.sub(lambda mark: _OPERATORS[mark[0]], text)


def hash64(text: str) -> int:
    """64 bits of BLAKE2b: the same on every machine, unlike Python's own hash."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


class _WordHashes(dict[str, int]):
    """word -> its hash64. Bounded."""

    def __missing__(self, word: str) -> int:
        if len(self) > 100_000:
            self.clear()
        self[word] = value = hash64(word)
        return value


_hash_of = _WordHashes()


def keys_of(text: str) -> np.ndarray:
    """The keys of a text, int64 (1 + BANDS,): the whole of its words, then each band."""
    words = normalized_words(text)
    hashes = np.fromiter(map(_hash_of.__getitem__, words), dtype=np.uint64, count=len(words))
    whole = hashlib.blake2b(hashes.tobytes(), digest_size=8).digest()
    keys = np.empty(1 + BANDS, dtype=np.uint64)
    keys[0] = np.frombuffer(whole, dtype="<u8")[0]
    keys[1:] = (_minima(shingles(hashes)).reshape(BANDS, ROWS) * _BAND_WEIGHTS).sum(axis=1)
    return keys.view(np.int64)


def shingles(hashes: np.ndarray) -> np.ndarray:
    """A hash of each 5-gram of words, uint32 (n - 4,); of a shorter text, one of all its words."""
    n = max(1, len(hashes) - NGRAM + 1)
    mixed = np.zeros(n, dtype=np.uint64)
    for offset, weight in enumerate(_WEIGHTS):
        part = hashes[offset:offset + n]
        mixed[:len(part)] += part * weight
    mixed ^= mixed >> np.uint64(32)
    hashed: np.ndarray = (mixed * _WEIGHTS[0] >> np.uint64(32)).astype(np.uint32)
    return hashed


def _minima(values: np.ndarray) -> np.ndarray:
    """The least of `values` in each of BANDS * ROWS orders, uint32 (112,): multiply and add, modulo 2^32."""
    least = np.full(BANDS * ROWS, 0xFFFFFFFF, dtype=np.uint32)
    for start in range(0, len(values), BLOCK):
        np.minimum(least, (values[start:start + BLOCK] * _MULTIPLY + _ADD).min(axis=1), out=least)
    return least


class First(NamedTuple):
    """The earlier document, and whether its words are all the same."""

    id: str  # "" of a text that was forgotten
    exact: bool


def earliest(found: Mapping[int, int], whole: int) -> tuple[int, bool]:
    """Which of the documents in `found` (key -> sequence number) a text with the key `whole` of all its words is a
    duplicate of, and whether their words are all the same."""
    exact = whole in found
    return found[whole] if exact else min(found.values()), exact


class Index:
    """The keys of all clean documents of a catalog."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self.recent: dict[int, int] = {}  # key -> seq, of the newest documents
        # Of those before, since the last merge; in the order of their keys, each once. A dict of all takes ten times
        # the memory
        self.keys, self.seqs = np.empty(0, np.int64), np.empty(0, np.int64)
        duplicates.use_version(catalog, KEYS_VERSION)
        for seq, signature in duplicates.pending(catalog):
            self._hold(seq, np.frombuffer(signature, dtype="<i8"))

    def _hold(self, seq: int, keys: np.ndarray) -> None:
        for key in keys.tolist():
            self.recent.setdefault(key, seq)
        if len(self.recent) >= RECENT * len(keys):
            self._sort()

    def _sort(self) -> None:
        keys = np.concatenate((self.keys, np.fromiter(self.recent.keys(), np.int64, len(self.recent))))
        seqs = np.concatenate((self.seqs, np.fromiter(self.recent.values(), np.int64, len(self.recent))))
        self.keys, first = np.unique(keys, return_index=True)
        self.seqs = seqs[first]
        self.recent.clear()

    def first(self, keys: np.ndarray) -> First | None:
        """The earliest document that shares a key, or None."""
        wanted = keys.tolist()
        found = duplicates.look_up(self.catalog, wanted)
        for key, seq in self._held(keys):
            found.setdefault(key, seq)
        for key in wanted:
            if key not in found and key in self.recent:
                found[key] = self.recent[key]
        if not found:
            return None
        seq, exact = earliest(found, wanted[0])
        return First("" if seq == duplicates.FORGOTTEN else duplicates.id_of(self.catalog, seq), exact)

    def _held(self, keys: np.ndarray) -> Iterator[tuple[int, int]]:
        """Those of `keys` that are in the arrays, and their documents."""
        places = np.searchsorted(self.keys, keys)
        places[places == len(self.keys)] = 0
        there = self.keys[places] == keys if len(self.keys) else np.zeros(len(keys), bool)
        yield from zip(keys[there].tolist(), self.seqs[places[there]].tolist(), strict=True)

    def add(self, seq: int, keys: np.ndarray) -> None:
        """Remember the keys of a document that was kept, within a record() block."""
        duplicates.sign(self.catalog, seq, keys.astype("<i8").tobytes())
        self._hold(seq, keys)
        if len(self.keys) + len(self.recent) >= PENDING * len(keys):
            self._sort()
            duplicates.merge(self.catalog, self._sorted(), seq)  # in order, so that each page is written once
            self.keys, self.seqs = np.empty(0, np.int64), np.empty(0, np.int64)

    def _sorted(self) -> Iterator[tuple[int, int]]:
        for start in range(0, len(self.keys), BLOCK):
            part = slice(start, start + BLOCK)
            yield from zip(self.keys[part].tolist(), self.seqs[part].tolist(), strict=True)
