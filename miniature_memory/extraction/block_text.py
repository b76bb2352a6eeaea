"""Block text: what a block is, how its text is set, and how blocks are joined to plain text."""

import re
from typing import NamedTuple

LINE = "\x1e"  # represents <br>; cannot occur in lxml's text
LONG_CELL_CHARS = 400  # guess: a table with longer cells is used for layout
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
        return "\n".join(filter(None, (" ".join(line.split()) for line in raw.split(LINE))))
    return " ".join(raw.split())


def text_of(blocks: list[Block]) -> str:
    """Paragraphs divided by a blank line, list items and table rows one per line, code as it is."""
    out: list[str] = []
    before = ""
    i = 0
    while i < len(blocks):
        text, kind, taken = blocks[i].text, blocks[i].kind, 1
        if kind == "cell":
            row = _row_at(blocks, i)
            if all(len(one.text) < LONG_CELL_CHARS and one.kind == "cell" for one in row):
                text, kind, taken = _row_text(row), "row", len(row)
            else:
                kind = "paragraph"
        if out:
            out.append("\n" if kind == before and kind in ("item", "row") else "\n\n")
        out.append(text)
        before = kind
        i += taken
    return "".join(out)


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
