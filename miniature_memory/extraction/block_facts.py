"""Facts: what the features are made of, counted once: arrays over the blocks and over the elements of a page."""

from typing import NamedTuple

import numpy as np

from miniature_memory.extraction.blocks import Page
from miniature_memory.extraction.vocabulary import HEADINGS, TAG_IDS, saying_bits

MAX_COUNTED_CHARS = 50_000  # of one block: a page may be a single word of 5 MB
SPACE, DIGIT, CAPITAL, LETTER, STOP, COMMA = range(1, 7)  # categories of characters; 0 is any other


def _categories() -> np.ndarray:
    """The category of each character of the basic plane."""
    out = np.zeros(65536, np.uint8)
    for code in range(65536):
        char = chr(code)
        if char.isspace():
            out[code] = SPACE
        elif char.isdigit():
            out[code] = DIGIT
        elif char.isupper():
            out[code] = CAPITAL
        elif char.isalnum() or char == "_":
            out[code] = LETTER
    for char in ".!?…。！？":
        out[ord(char)] = STOP
    for char in ",;:、，；：":
        out[ord(char)] = COMMA
    return out


_CATEGORY = _categories()


class Facts(NamedTuple):
    """What the features are made of: arrays over the blocks, and over the elements of the page."""

    order: np.ndarray  # of blocks: 0, 1, 2...
    words: np.ndarray
    chars: np.ndarray
    counts: np.ndarray  # of characters, by category
    ends_sentence: np.ndarray
    link: np.ndarray  # share of the characters that are inside links
    heading: np.ndarray  # 1 to 6, 0 for none
    tag_id: np.ndarray
    before: np.ndarray  # words of the blocks before
    total: float  # words of the page, at least 1
    said: np.ndarray  # bits of its SAYINGS
    in_title: np.ndarray  # share of its words that are in the page's title
    in_about: np.ndarray  # in its title or description
    section: np.ndarray  # nearest heading at or above, -1 for none
    element: np.ndarray

    parent: np.ndarray  # of elements, from here on
    depth: np.ndarray
    end: np.ndarray
    first: np.ndarray
    last: np.ndarray
    bits: np.ndarray
    sum_words: np.ndarray  # over the blocks inside
    sum_link: np.ndarray
    sum_stops: np.ndarray
    sum_long: np.ndarray  # words of the blocks of 15 words or more


def facts_of(page: Page) -> Facts:
    blocks = page.blocks
    texts = [block.text for block in blocks]
    counts, words, chars, last_category = _char_counts(texts)
    order = np.arange(len(blocks))
    link = np.array([block.link_chars for block in blocks]) / chars
    heading = np.array([HEADINGS.get(block.tag, 0) for block in blocks])
    said, in_title, in_about = _said(page, texts, words)
    first, last = np.array(page.first), np.array(page.last)

    def sum_inside(column: np.ndarray) -> np.ndarray:
        running = running_sums(column)  # an element's blocks are a range
        inside: np.ndarray = running[last] - running[first]
        return inside

    return Facts(
        order=order, words=words, chars=chars, counts=counts, ends_sentence=(last_category == STOP).astype(float),
        link=link, heading=heading, tag_id=np.array([TAG_IDS.get(block.tag, 0) for block in blocks]),
        before=np.cumsum(words) - words, total=max(words.sum(), 1.0), said=said, in_title=in_title, in_about=in_about,
        section=np.maximum.accumulate(np.where(heading > 0, order, -1)),
        element=np.array([block.element for block in blocks]), parent=np.array(page.parent),
        depth=np.array(page.depth), end=np.array(page.end), first=first, last=last,
        bits=np.array(page.bits, np.int64), sum_words=sum_inside(words), sum_link=sum_inside(words * link),
        sum_stops=sum_inside(counts[:, STOP] + counts[:, COMMA]), sum_long=sum_inside(words * (words >= 15)))


def _char_counts(texts: list[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(counts of the categories, words, lengths, category of the last character) of each text."""
    texts = [text[:MAX_COUNTED_CHARS] for text in texts]
    lengths = np.array([len(text) for text in texts])
    codes = np.frombuffer("\n".join(texts).encode("utf-32-le", "replace"), np.uint32)
    category = _CATEGORY[np.minimum(codes, 65535)]
    starts = np.concatenate([[0], np.cumsum(lengths + 1)[:-1]])
    stops = starts + lengths
    counts = np.zeros((len(texts), 7))
    running = np.zeros(len(codes) + 1, np.int32)  # one array for all counts
    for kind in range(7):
        np.cumsum(category == kind, out=running[1:])
        counts[:, kind] = running[stops] - running[starts]
    is_word = (category >= DIGIT) & (category <= LETTER)
    begins = is_word.copy()
    begins[1:] &= ~is_word[:-1]
    np.cumsum(begins, out=running[1:])
    return counts, (running[stops] - running[starts]).astype(float), lengths.astype(float), category[stops - 1]


def _said(page: Page, texts: list[str], words: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(bits of the sayings in short texts, share of the words in the title, in the description) of each text."""
    said = np.zeros(len(texts), np.int64)
    in_title, in_about = np.zeros(len(texts)), np.zeros(len(texts))
    for i, text in enumerate(texts):
        is_short = words[i] < 40
        own = text[: 90 if is_short else 200].lower().split()
        if not own:
            continue
        if is_short:
            said[i] = saying_bits(own)
        own_set = set(own)
        in_title[i] = len(own_set & page.hints.title) / len(own_set)
        in_about[i] = len(own_set & page.hints.about) / len(own_set)
    return said, in_title, in_about


def running_sums(column: np.ndarray) -> np.ndarray:
    """Sums of the first 0, 1, 2... values."""
    return np.concatenate([np.zeros(1), np.cumsum(column)])
