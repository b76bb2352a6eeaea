"""Blocks: a parsed page cut into its pieces of text, in the order of the page.

A block is a paragraph, a heading, a list item, a table cell or a piece of code. block_text.py sets its text,
features.py measures it, and classifier.py decides whether it belongs to the main text.
"""

from collections.abc import Hashable
from dataclasses import dataclass, field
from itertools import accumulate

from lxml import etree

from miniature_memory.extraction.block_text import LINE, Block, set_text
from miniature_memory.extraction.metadata import Hints, hints_of
from miniature_memory.extraction.tree_edits import attributes_of, is_hidden
from miniature_memory.extraction.vocabulary import ANCESTOR_BITS, BLOCK_TAGS, HEADINGS, HIDDEN_BIT, SKIPPED, cue_bits

MAX_ELEMENTS = 200_000  # guess: the largest page of WCXB has about 60,000
MAX_BLOCKS = 20_000
MAX_DEPTH = 400  # deeper elements are read as if they were at this depth
MAX_TEXT_CHARS = 5_000_000


@dataclass
class Page:
    """A segmented page: blocks, and the block-level elements as columns in document order."""

    blocks: list[Block] = field(default_factory=list)
    tag: list[str] = field(default_factory=list)
    parent: list[int] = field(default_factory=list)
    depth: list[int] = field(default_factory=list)
    bits: list[int] = field(default_factory=list)  # own cues and tag
    path_bits: list[int] = field(default_factory=list)  # and all ancestors'
    shape: list[int] = field(default_factory=list)  # number of the element's (tag, class)
    path_shape: list[int] = field(default_factory=list)  # number of the whole path of shapes
    first: list[int] = field(default_factory=list)  # its blocks are blocks[first:last]
    last: list[int] = field(default_factory=list)
    end: list[int] = field(default_factory=list)  # its elements are [index:end]
    hidden_fields: dict[int, str] = field(default_factory=dict)  # itemprop, in lower case, of hidden elements
    hints: Hints = field(default_factory=Hints)


def segment(root: etree._Element) -> Page:
    """Walk the tree once, with a stack of its own, and cut the text at block elements and double <br>."""
    cutter = _Cutter()
    # of each open element: its children, the element of Page around them, itself, is it a block, in a link, in <pre>
    stack = [(iter(root), cutter.open_element("body", root, -1), root, True, False, False)]
    while stack:
        children, around, node, is_block, in_link, in_pre = stack[-1]
        child = next(children, None)
        if child is None:
            stack.pop()
            if is_block:
                cutter.close_element(around, node.tag, in_pre)
            if stack and (text := node.tail):
                _, around, _, _, in_link, in_pre = stack[-1]
                cutter.take(text, around, in_link, in_pre)
            continue
        tag = child.tag
        if tag.__class__ is not str or (tag in SKIPPED and child.get("shadowrootmode") is None):
            if text := child.tail:
                cutter.take(text, around, False, False)
            continue
        if tag == "br":
            cutter.line_break(around, in_pre)
            if text := child.tail:
                cutter.take(text, around, in_link, False)
            continue
        is_block = tag in BLOCK_TAGS or "-" in tag
        if is_block:
            cutter.divide(around, in_pre)
            if len(cutter.page.tag) >= MAX_ELEMENTS:
                continue
            in_pre = in_pre or tag == "pre"
            if len(stack) < MAX_DEPTH:
                around = cutter.open_element(tag, child, around)
        else:
            in_link = in_link or tag == "a"
            cutter.note_inline(child)
        if text := child.text:
            cutter.take(text, around, in_link, in_pre)
        stack.append((iter(child), around, child, is_block, in_link, in_pre))
    page = cutter.page
    _drop_noscript(page)
    page.hints = hints_of(root)
    page.hints.schema |= cutter.microdata
    return page


class _Cutter:
    """The page so far and the block in progress, while the tree is walked."""

    def __init__(self) -> None:
        self.page = Page()
        self.microdata: set[str] = set()  # schema.org types
        self.rows: list[int] = []  # of each element: the table row, table cell and list item around it, or -1
        self.cells: list[int] = []
        self.items: list[int] = []
        self.shape_ids: dict[Hashable, int] = {}
        self.name_bits: dict[str, int] = {}
        self.total_chars = 0
        self.pieces: list[str] = []  # the text of the block in progress
        self._start_block()

    def _start_block(self) -> None:
        self.owner = -1  # the element that holds its first word
        self.link_chars = 0
        self.inline_bits = 0

    def take(self, text: str, around: int, in_link: bool, in_pre: bool) -> None:
        """Add text to the block in progress. Outside <pre>, whitespace does not decide which element owns the block."""
        if in_pre or not text.isspace():
            if self.owner < 0:
                self.owner = around
            if in_link:
                self.link_chars += len(text.strip())
        self.pieces.append(text)

    def line_break(self, around: int, in_pre: bool) -> None:
        pieces = self.pieces
        follows_break = pieces and (pieces[-1] == LINE
                                    or (len(pieces) > 1 and pieces[-2] == LINE and pieces[-1].isspace()))
        if follows_break and not in_pre:
            self.flush(around)  # old pages divide paragraphs by an empty line
        else:
            pieces.append(LINE)

    def divide(self, around: int, in_pre: bool) -> None:
        """A block element begins, and with it a block; in <pre>, elements wrap lines of code."""
        if in_pre:
            self.pieces.append("\n")
        else:
            self.flush(around)

    def note_inline(self, node: etree._Element) -> None:
        names = node.get("class")
        if names:
            self.inline_bits |= self._cues_of(names[:200].lower())

    def flush(self, around: int, in_pre: bool = False) -> None:
        """Complete the block in progress; it is dropped if it has no text or the page has reached its limits."""
        if self.pieces:
            page = self.page
            text = set_text("".join(self.pieces), in_pre)
            self.pieces.clear()
            if text and len(page.blocks) < MAX_BLOCKS and self.total_chars < MAX_TEXT_CHARS:
                element = self.owner if self.owner >= 0 else around
                row, cell, item = self.rows[element], self.cells[element], self.items[element]
                tag = page.tag[element]
                kind = _kind_of(tag, in_pre, row, item)
                link_chars = min(self.link_chars, len(text))
                page.blocks.append(Block(text, kind, tag, element, link_chars, self.inline_bits, row, cell, item))
                self.total_chars += len(text)
        self._start_block()

    def open_element(self, tag: str, node: etree._Element, parent: int) -> int:
        """Add the element to the columns of the page; returns its index."""
        page, shape_ids = self.page, self.shape_ids
        me, has_parent = len(page.tag), parent >= 0
        attributes = attributes_of(node)
        bits, names = ANCESTOR_BITS.get(tag, 0), None
        if attributes:
            names = attributes.get("class")
            if is_hidden(attributes):
                bits |= HIDDEN_BIT
                if "itemprop" in attributes:
                    page.hidden_fields[me] = attributes["itemprop"].lower()
            bits |= self._cues_of(_names(attributes))
            if itemtype := attributes.get("itemtype"):
                self.microdata.add(itemtype.rstrip("/").rpartition("/")[2][:40])
        shape = shape_ids.setdefault((tag, names), len(shape_ids))
        path = (shape, page.path_shape[parent] if has_parent else -1)
        page.tag.append(tag)
        page.parent.append(parent if has_parent else 0)
        page.depth.append(page.depth[parent] + 1 if has_parent else 0)
        page.bits.append(bits)
        page.path_bits.append(bits | page.path_bits[parent] if has_parent else bits)
        page.shape.append(shape)
        page.path_shape.append(shape_ids.setdefault(path, len(shape_ids)))
        page.first.append(len(page.blocks))
        page.last.append(len(page.blocks))
        page.end.append(me + 1)
        inherits = has_parent and tag != "table"
        self.rows.append(me if tag == "tr" else self.rows[parent] if inherits else -1)
        self.cells.append(me if tag in ("td", "th") else self.cells[parent] if inherits else -1)
        self.items.append(me if tag == "li" else self.items[parent] if inherits else -1)
        return me

    def close_element(self, element: int, tag: str, in_pre: bool) -> None:
        if not in_pre or tag == "pre":
            self.flush(element, in_pre)
        self.page.last[element] = len(self.page.blocks)
        self.page.end[element] = len(self.page.tag)

    def _cues_of(self, names: str) -> int:
        bits = self.name_bits.get(names)
        if bits is None:
            bits = 0
            for name in names.split():
                bits |= cue_bits(name.rstrip("0123456789-_"))
            self.name_bits[names] = bits
        return bits


def _names(attributes: dict[str, str]) -> str:
    names = attributes.get("class", "")
    for key in ("id", "role", "itemprop"):
        more = attributes.get(key)
        if more:
            names = f"{names} {more}"
    return names[:300].lower()


def _kind_of(tag: str, in_pre: bool, row: int, item: int) -> str:
    if in_pre:
        return "code"
    if tag in HEADINGS:
        return "heading"
    if row >= 0:
        return "cell"
    if item >= 0 or tag in ("dt", "dd"):
        return "item"
    return "paragraph"


def _drop_noscript(page: Page) -> None:
    """Drop <noscript> unless the rest of the page is nearly empty: elsewhere it repeats text or asks for scripts."""
    bit = ANCESTOR_BITS["noscript"]
    inside = [page.path_bits[block.element] & bit != 0 for block in page.blocks]
    if not any(inside):
        return
    chars = [0, 0]
    for block, is_inside in zip(page.blocks, inside, strict=True):
        chars[is_inside] += len(block.text)
    if chars[1] > 2 * chars[0]:
        return
    kept = [0, *accumulate(int(not is_inside) for is_inside in inside)]  # before each block
    page.blocks[:] = [block for block, is_inside in zip(page.blocks, inside, strict=True) if not is_inside]
    page.first[:] = [kept[i] for i in page.first]
    page.last[:] = [kept[i] for i in page.last]
