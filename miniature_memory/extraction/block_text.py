"""Block text: what a block is, how its text is set, and how blocks are joined to plain text."""

import re
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from miniature_memory.extraction.white_space import KEPT_SPACE

LINE = "\x1e"  # represents <br>; cannot occur in lxml's text
LONG_CELL_CHARS = 400  # guess: a table with longer cells is used for layout
ONE_CELL_CHARS = 80  # guess: a sentence that is longer and alone in its row is a paragraph
_SENTENCE = re.compile(r"[.!?…。！？]\W{0,3}$")
# Invisible characters; the joiners stay in scripts that need them
ZERO_WIDTH = re.compile("[\u00ad\u200b\u2060\ufeff\u200e\u200f\u202a-\u202e\u2066-\u2069]|"
                        "(?<![^\x00-\x7f])[\u200c\u200d]|[\u200c\u200d](?![^\x00-\x7f])")


class Block(NamedTuple):
    """One piece of text that is kept or dropped as a whole."""

    text: str
    kind: str  # heading, item, cell, code, paragraph
    tag: str
    element: int  # index into Page's element columns
    link_chars: int
    bits: int  # cues of inline elements inside
    row: int  # index of the table row around it, or -1
    cell: int  # index of the table cell around it, or -1
    item: int  # index of the list item around it, or -1


def set_text(raw: str, in_pre: bool) -> str:
    """The text of a block as it is printed: one line, or the lines that <br> made, or those of <pre>."""
    if not raw.isascii():
        raw = ZERO_WIDTH.sub("", raw)
    if in_pre:
        lines = raw.replace(LINE, "\n").expandtabs(4).split("\n")
        return "\n".join(line.rstrip().replace("\xa0", " ") for line in lines).strip("\n")
    if LINE in raw:
        lines = filter(None, (" ".join(line.split()) for line in raw.split(LINE)))
        return "\n".join(lines).replace(KEPT_SPACE, " ")
    return " ".join(raw.split())


def text_of(blocks: list[Block]) -> str:
    """Paragraphs divided by a blank line, list items and table rows one per line, code as it is."""
    out: list[str] = []
    before = ""
    for text, kind in _set(blocks):
        if out:
            out.append("\n" if kind == before and kind in ("item", "row") else "\n\n")
        out.append(text)
        before = kind
    return "".join(out)


def _set(blocks: list[Block]) -> Iterator[tuple[str, str]]:
    """(text, kind) of the blocks, and of the rows of tables, which may have several."""
    i = 0
    while i < len(blocks):
        row = _row_at(blocks, i) if blocks[i].kind == "cell" else blocks[i : i + 1]
        if blocks[i].kind != "cell":
            yield blocks[i].text, blocks[i].kind
        elif _is_layout(row):
            for block in row:
                kind = "item" if block.item > block.cell else "paragraph"
                yield block.text, kind if block.kind == "cell" else block.kind
        else:
            yield _row_text(row), "row"
        i += len(row)


def _is_layout(row: list[Block]) -> bool:
    """Whether a row of a table holds paragraphs: it has other things than cells of a line, or sentences."""
    if any(block.kind != "cell" or len(block.text) >= LONG_CELL_CHARS for block in row):
        return True
    sentences = Counter(block.cell for block in row if _SENTENCE.search(block.text))
    if row[0].cell == row[-1].cell:
        return len(row) > 1 or (len(row[0].text) > ONE_CELL_CHARS and bool(sentences))
    return any(n > 1 for n in sentences.values())


def _row_at(blocks: list[Block], start: int) -> list[Block]:
    """The blocks from `start` on that share its table row."""
    stop = start
    while stop < len(blocks) and blocks[stop].row == blocks[start].row:
        stop += 1
    return blocks[start:stop]


def _row_text(row: list[Block]) -> str:
    cells: list[str] = []
    last_cell = -2
    for block in row:
        line = block.text.replace("\n", " ")
        if block.cell == last_cell:
            cells[-1] += " " + line
        else:
            cells.append(line)
        last_cell = block.cell
    return " | ".join(cells)
