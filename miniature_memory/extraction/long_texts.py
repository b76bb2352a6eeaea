"""Long texts: a book becomes documents of a few thousand words, divided where its author divided it.

A heading is found by its form, not by a list of words: a short line of its own that begins like others in the text,
but for their numbers ("CHAPTER I", "CHAPTER II"; "Глава 1", "Глава 2"; "第一章", "第二章"), or a heading of Markdown.
Pure, and linear in the length of the text.
"""

import re
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

MAX_CHARS = 20_000  # of a document; some 3,500 English words, which is 20 windows of training
MIN_CHARS = 2_000  # of a section; a shorter one stays with the one after it. Guess
FRONT_CHARS = 300  # of a title page or a short introduction: the heading after it names the section. Guess
MAX_HEADING_CHARS = 90  # guess: a line of print
_NUMBER = r"(?:\d{1,4}|[ivxlcdm]{1,8}|[零〇一二三四五六七八九十百千两]{1,8})(?!\w)"
SPELLED = ("one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|first|second|third|fourth|fifth|sixth|"
           "seventh|eighth|ninth|tenth|eleventh|twelfth")
NUMBERED = re.compile(rf"(?:(?P<word>[^\W\d_]{{2,20}})[ .]{{1,2}})?(?:the )?(?:{_NUMBER}|(?:{SPELLED})\b)",
                      re.IGNORECASE)
CHINESE = re.compile(r"第 ?[\d零〇一二三四五六七八九十百千两]{1,8} ?(?P<word>[章回節节卷部話话篇幕])")
MARKDOWN = re.compile(r"(#{1,6}) +(?=\S)")
RULE = re.compile(r"(?:=+|-{3,}) *")  # under a heading


class Part(NamedTuple):
    """A part of a text: its heading within the whole, such as "BOOK ONE, CHAPTER II" ("" without one), and its text."""

    heading: str
    text: str


class _Block(NamedTuple):
    """Lines between blank lines. form: what its heading has in common with others; "" for running text."""

    text: str
    form: str


def divide(text: str) -> list[Part]:
    """The parts of a text, in order; the text as it is if it is not longer than MAX_CHARS.

    A part is a fifth of the text or less, so that one that is held out for validation takes little of it away. Nothing
    is lost: every character that is no white space at a cut is in one part, and in one alone.
    """
    if len(text) <= MAX_CHARS:
        return [Part("", text)]
    max_chars = min(MAX_CHARS, max(MIN_CHARS, len(text) // 5))
    parts: list[Part] = []
    for heading, section in _sections(_blocks(text)):
        pieces = list(_pieces(section, max_chars))
        for number, piece in enumerate(pieces, 1):
            place = f"part {number} of {len(pieces)}" if len(pieces) > 1 else ""
            parts.append(Part(", ".join(filter(None, (heading, place))), piece))
    return parts


def _blocks(text: str) -> list[_Block]:
    """The blocks of a text. No heading is what directly precedes another of its form, as in a table of contents."""
    found = [_Block(block, _form(block)) for block in re.split(r"\n[^\S\n]*(?:\n[^\S\n]*)+", text) if block.strip()]
    return [block._replace(form="") if block.form == after else block
            for block, after in zip(found, [*(block.form for block in found[1:]), ""], strict=False)]


def _form(block: str) -> str:
    """What makes a block a heading: its marks, or the word before its number; "" if it is none."""
    first, *more = block.strip().split("\n", 1)
    if mark := MARKDOWN.match(first):
        return mark[1]
    if more and RULE.fullmatch(more[0]):
        return "#" if more[0].startswith("=") else "##"
    found = CHINESE.match(first) or NUMBERED.match(first)
    if not found or len(block) > MAX_HEADING_CHARS or first.endswith((",", ";", ":")):
        return ""
    rest = first[found.end():].strip(" .:—–-")
    is_name = not rest[:1].islower()  # "CHAPTER I. Down the Rabbit-Hole", not "I am"
    return (found["word"] or "number").casefold() if is_name else ""


def _sections(blocks: list[_Block]) -> Iterator[tuple[str, str]]:
    """(heading, text) of sections that are long enough. Headings of outer levels stand before those of inner ones."""
    times = Counter(block.form for block in blocks)
    levels: dict[str, str] = {}  # form -> the heading in force; what stands less often is an outer level
    heading, section, length = "", list[str](), 0
    for block in blocks:
        if block.form.startswith("#") or (block.form and times[block.form] > 1):
            rank = _rank(block.form, times)
            levels = {form: title for form, title in levels.items() if _rank(form, times) < rank}
            levels[block.form] = " ".join(MARKDOWN.sub("", block.text.strip().split("\n", 1)[0]).split())
            if length >= MIN_CHARS:
                yield heading, "\n\n".join(section)
                section, length = [], 0
            heading = ", ".join(levels.values()) if length < FRONT_CHARS else heading
        section.append(block.text)
        length += len(block.text)
    if section:
        yield heading, "\n\n".join(section)


def _rank(form: str, times: Counter[str]) -> int:
    return len(form) if form.startswith("#") else times[form]


def _pieces(text: str, max_chars: int) -> Iterator[str]:
    """A section in pieces of about the same length, cut between paragraphs, else lines, sentences, words."""
    slack = max_chars // 10  # by which a piece may be longer than planned, to end with a paragraph
    start = 0
    while (rest := len(text) - start) > max_chars:
        planned = -(-rest // -(-rest // (max_chars - slack)))
        cut = _cut(text, start + planned // 2, start + planned + slack)
        if piece := text[start:cut].strip():
            yield piece
        start = cut
    if piece := text[start:].strip():
        yield piece


def _cut(text: str, low: int, high: int) -> int:
    """The best place to cut between low and high, the later the better."""
    for mark in ("\n\n", "\n", "。", ". ", " "):
        if (found := text.rfind(mark, low, high)) > 0:
            return found + len(mark)
    return high
