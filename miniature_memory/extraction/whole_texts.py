"""Whole texts: completes the classifier's choice, which is made block by block.

A kept table gets its header, what stands between two kept blocks is kept, hidden fields of structured data go.
"""

from itertools import pairwise

import numpy as np

from miniature_memory.extraction.block_text import Block
from miniature_memory.extraction.blocks import Page
from miniature_memory.extraction.metadata import FIELDS
from miniature_memory.extraction.vocabulary import HIDDEN_BIT

MOST_HEADER_CHARS = 200  # guess: a longer cell is no name of a column
MOST_ANNOUNCED_CHARS = 400  # guess
MOST_BETWEEN = 8  # blocks between two kept ones; 4 and 20 tried
# The least probability of a heading, and of others, between two kept blocks. Out-of-fold these gain 0.0002 in word F1;
# lower ones keep more and gain nothing, and a <div> as likely as this is rather something else.
LEAST_OF_HEADING, LEAST_LIKELY = 0.2, 0.3
BESIDE_TEXT = ("div", "span", "figcaption", "button", "label", "legend", "summary")
COPY_CHARS = 40  # guess: a shorter line may well stand in another text
MOST_HIDDEN = 200  # guess; fields that are looked at


def complete(page: Page, kept: np.ndarray, p: np.ndarray) -> np.ndarray:
    """The blocks to keep: with the headers of kept tables, without hidden copies of what is kept.

    p: of each block, the probability that it belongs to the main text.
    """
    kept = kept.copy()
    rows: dict[int, dict[int, list[int]]] = {}  # table -> row -> its blocks
    for n, block in enumerate(page.blocks):
        if block.row >= 0:
            rows.setdefault(_table_of(page, block.row), {}).setdefault(block.row, []).append(n)
    captions = {page.parent[block.element]: n for n, block in enumerate(page.blocks) if block.tag == "caption"}
    for table, of_row in rows.items():
        _keep_header(page, kept, list(of_row.values()), captions.get(table))
    _keep_between(page, kept, p)
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


def _keep_between(page: Page, kept: np.ndarray, p: np.ndarray) -> None:
    """Keep short runs between two kept blocks: a text does not lose its middle."""
    found = np.flatnonzero(kept)
    for before, after in pairwise(found.tolist()):
        run = range(before + 1, after)
        if 0 < len(run) <= MOST_BETWEEN and all(_may_be_between(page, n) for n in run) \
                and (all(_is_likely(page.blocks[n], p[n]) for n in run)
                     or (len(run) == 1 and _is_due(page.blocks[before], page.blocks[before + 1]))):
            kept[before + 1 : after] = True


def _may_be_between(page: Page, n: int) -> bool:
    block = page.blocks[n]
    return not block.link_chars and not page.path_bits[block.element] & HIDDEN_BIT


def _is_likely(block: Block, p: float) -> bool:
    return block.tag not in BESIDE_TEXT and p >= (LEAST_OF_HEADING if block.kind == "heading" else LEAST_LIKELY)


def _is_due(before: Block, block: Block) -> bool:
    """Whether a block is code, or completes what the paragraph before it says."""
    is_announced = before.kind == "paragraph" and before.text[-1] in ":,="
    return len(block.text) <= MOST_ANNOUNCED_CHARS and (is_announced or block.kind == "code")


def _drop_fields(page: Page, kept: np.ndarray) -> None:
    """Drop hidden fields of structured data: those that are not text, and texts that are also shown."""
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
