"""Whole texts: what the classifier's choice, block by block, leaves half.

A kept table gets its header, code and formulas that a kept paragraph announces are kept, and hidden fields of structured
data go.
"""

import numpy as np

from miniature_memory.extraction.blocks import Page
from miniature_memory.extraction.metadata import FIELDS
from miniature_memory.extraction.vocabulary import HIDDEN_BIT

MOST_HEADER_CHARS = 200  # guess: a longer cell is no name of a column
MOST_ANNOUNCED_CHARS = 400  # guess
COPY_CHARS = 40  # guess: a shorter line may well stand in another text
MOST_HIDDEN = 200  # guess; fields that are looked at


def complete(page: Page, kept: np.ndarray) -> np.ndarray:
    """The blocks to keep: with the headers of kept tables, without hidden copies of what is kept."""
    kept = kept.copy()
    rows: dict[int, dict[int, list[int]]] = {}  # table -> row -> its blocks
    for n, block in enumerate(page.blocks):
        if block.row >= 0:
            rows.setdefault(_table_of(page, block.row), {}).setdefault(block.row, []).append(n)
    captions = {page.parent[block.element]: n for n, block in enumerate(page.blocks) if block.tag == "caption"}
    for table, of_row in rows.items():
        _keep_header(page, kept, list(of_row.values()), captions.get(table))
    _keep_what_is_announced(page, kept)
    if page.hidden_fields:
        _drop_fields(page, kept)
    return kept


def _table_of(page: Page, element: int) -> int:
    while element and page.tag[element] != "table":
        element = page.parent[element]
    return element


def _keep_header(page: Page, kept: np.ndarray, rows: list[list[int]], caption: int | None) -> None:
    """Keep the header rows and the caption if most rows are kept, and the names of kept rows."""
    n_head = 0
    while n_head < len(rows) and all(_is_header(page, n) for n in rows[n_head]):
        n_head += 1
    body = rows[n_head:] if n_head else rows[1:]
    n_kept = sum(any(kept[n] for n in row) for row in body)
    if not n_kept:
        return
    for row in body:
        if any(kept[n] for n in row):
            for n in row:
                kept[n] |= page.tag[page.blocks[n].cell] == "th" and _is_name(page, n)
    if n_kept * 2 < len(body) or max(map(len, body)) < 2:
        return
    head = rows[:n_head]
    if not head and n_kept == len(body) > 1 and _is_alike(page, rows[0], body) and not kept[rows[0]].any():
        head = rows[:1]
    header = [n for row in head for n in row]
    if all(_is_name(page, n) for n in header):
        kept[header] = True
    if caption is not None:
        kept[caption] = True


def _is_alike(page: Page, row: list[int], body: list[list[int]]) -> bool:
    """Whether a row has a cell, of one block each, for each column."""
    return len({page.blocks[n].cell for n in row}) == len(row) == max(map(len, body))


def _is_header(page: Page, n: int) -> bool:
    cell, row = page.blocks[n].cell, page.blocks[n].row
    return (cell >= 0 and page.tag[cell] == "th") or page.tag[page.parent[row]] == "thead"


def _is_name(page: Page, n: int) -> bool:
    return len(page.blocks[n].text) <= MOST_HEADER_CHARS


def _keep_what_is_announced(page: Page, kept: np.ndarray) -> None:
    """Keep code, and what completes a sentence, between two kept paragraphs."""
    blocks = page.blocks
    for n in np.flatnonzero(kept[:-2] & ~kept[1:-1] & kept[2:]) + 1:
        before, block = blocks[n - 1], blocks[n]
        is_due = before.kind == "paragraph" and before.text[-1] in ":,=" or block.kind == "code"
        if is_due and not block.link_chars and len(block.text) <= MOST_ANNOUNCED_CHARS \
                and not page.path_bits[block.element] & HIDDEN_BIT:
            kept[n] = True


def _drop_fields(page: Page, kept: np.ndarray) -> None:
    """Drop hidden fields of structured data: those that are no text, and texts that are shown, too."""
    hidden = {n: name for n in np.flatnonzero(kept) if (name := _hidden_field(page, page.blocks[n].element))}
    shown = "\n".join(page.blocks[n].text for n in np.flatnonzero(kept) if n not in hidden)
    for n, name in list(hidden.items())[:MOST_HIDDEN]:
        text = page.blocks[n].text
        kept[n] = FIELDS.isdisjoint(name.split()) and text not in shown and not _is_put_together(text, shown)


def _hidden_field(page: Page, element: int) -> str:
    """The itemprop of the nearest hidden element around that has one; "" for none."""
    while page.path_bits[element] & HIDDEN_BIT and element:
        if element in page.hidden_fields:
            return page.hidden_fields[element]
        element = page.parent[element]
    return ""


def _is_put_together(text: str, shown: str) -> bool:
    """Whether most of a text stands in lines that are shown."""
    lines = [line for line in shown.split("\n") if len(line) >= COPY_CHARS]
    return 2 * sum(len(line) for line in lines if line in text) > len(text)
