"""Tables and copies: what the classifier's choice, block by block, leaves half: a kept table gets its header."""

import numpy as np

from miniature_memory.extraction.blocks import Page
from miniature_memory.extraction.vocabulary import HIDDEN_BIT

MOST_HEADER_CHARS = 200  # guess: a longer cell is no name of a column
COPY_CHARS = 40  # guess: a shorter text may well stand twice
MOST_COPIES = 200  # guess; of hidden blocks that are looked at


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
    _drop_copies(page, kept)
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
    header = [n for row in rows[: n_head or int(n_kept == len(body) > 1)] for n in row]
    if all(_is_name(page, n) for n in header):
        kept[header] = True
    if caption is not None:
        kept[caption] = True


def _is_header(page: Page, n: int) -> bool:
    cell, row = page.blocks[n].cell, page.blocks[n].row
    return (cell >= 0 and page.tag[cell] == "th") or page.tag[page.parent[row]] == "thead"


def _is_name(page: Page, n: int) -> bool:
    return len(page.blocks[n].text) <= MOST_HEADER_CHARS


def _drop_copies(page: Page, kept: np.ndarray) -> None:
    """Hidden text that stands elsewhere, too, is there for machines."""
    hidden, shown = [], []
    for n in np.flatnonzero(kept):
        block = page.blocks[n]
        if len(block.text) >= COPY_CHARS:
            is_hidden = page.path_bits[block.element] & HIDDEN_BIT
            (hidden if is_hidden else shown).append((n, " ".join(block.text.split())))
    if not hidden or not shown:
        return
    all_shown = "\n".join(text for _, text in shown)
    for n, text in hidden[:MOST_COPIES]:
        if text in all_shown or 2 * sum(len(one) for _, one in shown if one in text) > len(text):
            kept[n] = False
