"""Code lines: code in whatever elements a page puts its lines into, as <pre> of plain lines without their numbers.

<br>, an element per line, a row or list item per line, a column of line numbers: the forms that highlighters give code.
"""

import re
from collections.abc import Iterable
from itertools import islice, pairwise
from textwrap import dedent

from lxml import etree

from miniature_memory.extraction.survey import Survey
from miniature_memory.extraction.tree_edits import attributes_of, drop, finder, replace, text_in, texts_in
from miniature_memory.extraction.vocabulary import BLOCK_TAGS, SKIPPED

_CODE = ("code", "samp", "kbd", "tt")
_LINE_TAGS = BLOCK_TAGS - {"td", "th", "button"}
_NO_CODE = SKIPPED | {"button"}
_DISPLAY = re.compile(r"display\s*:\s*(?:block|flex|grid|table-row|list-item)", re.IGNORECASE)
_LINE_CLASS = re.compile(r"(?:^|[\s_-])line(?:\s|$)")
_HIGHLIGHTER = re.compile(r"highlight|(?:^|[\s_-])(?:code|hljs|blob|diff|syntax|dp)(?:[\s_-]|$)", re.IGNORECASE)
_GUTTERS = finder("//*[self::td or self::div or self::pre or self::ol or self::ul]"
                       "[contains(@class, 'gutter') or contains(@class, 'line') or contains(@class, 'ln')]")
_CODE_CLASS = re.compile(r"(?:^|[\s_-])(?:source-?)?code(?:-?(?:block|box|content|listing|body))?(?:\s|$)",
                         re.IGNORECASE)
_ROWS = finder("./tr | ./*/tr")
_SPACE = re.compile(r"[ \t\r\n\f]+")


def keep_code_lines(found: Survey) -> None:
    """Make all code that has lines a <pre>."""
    for old in found.all("listing", "xmp", "plaintext"):
        old.tag = "pre"
    pres, codes = found.all("pre"), found.all(*_CODE)
    if pres or codes:
        for gutter in _GUTTERS(found.root):
            if _are_numbers(gutter) and _consecutive(lines_of(gutter, True)):
                drop(gutter)
    for table in found.all("table"):
        _join_rows(table)
    for pre in pres:
        if len(pre) and _is_left(pre, found.root) and _has_lines_of_elements(pre):
            become_pre(pre, lines_of(pre, True))
    boxes = _boxes(codes, found.all("br"))
    for code in codes:
        if len(code) and _is_left(code, found.root) and not _is_in_pre(code) \
                and (_first(code, "br") is not None or _has_lines_of_elements(code)):
            become_pre(code, lines_of(code, False))
    for box in boxes:
        become_pre(box, lines_of(box, False))
    if pres or codes:
        for items in found.all("ol", "ul"):
            _join_items(items)


def become_pre(element: etree._Element, lines: list[str]) -> None:
    attributes = attributes_of(element)
    replace(element, "\n".join(lines))
    element.tag = "pre"
    for name, value in attributes.items():
        element.set(name, value)


def _first(element: etree._Element, *tags: str) -> etree._Element | None:
    return next(element.iterdescendants(*tags), None)


def _is_in_pre(element: etree._Element) -> bool:
    return next(element.iterancestors("pre"), None) is not None


def _is_left(element: etree._Element, root: etree._Element) -> bool:
    """Whether an element was not removed with another around it: else many nested ones take quadratic time."""
    return element is root or any(ancestor is root for ancestor in element.iterancestors())


# --- lines ---------------------------------------------------------------------------------------


class _Lines:
    """Lines in the making."""

    def __init__(self, keep_space: bool) -> None:
        self.keep_space = keep_space
        self.done: list[tuple[str, str]] = []  # (its number if it begins with one, the rest)
        self.number, self.pieces = "", [""]

    def add(self, text: str) -> None:
        if not self.keep_space:
            text = _SPACE.sub(" ", text)
            if not any(self.pieces):
                text = text.lstrip(" ")
        first, *more = text.replace("\r\n", "\n").split("\n")
        self.pieces.append(first)
        for line in more:
            self.end_line()
            self.pieces.append(line)

    def end_line(self) -> None:
        self.done.append((self.number, "".join(self.pieces).rstrip()))
        self.number, self.pieces = "", []

    def is_empty(self) -> bool:
        return not self.number and not any(self.pieces)

    def without_numbers(self) -> list[str]:
        if not self.is_empty():
            self.end_line()
        numbers = [number for number, _ in self.done if number]
        texts = [text for _, text in self.done]
        if len(numbers) > 1 and len(numbers) * 5 >= len(self.done) * 4 and _consecutive(numbers) and any(texts):
            return dedent("\n".join(texts)).split("\n")
        return [number + text for number, text in self.done]


def lines_of(element: etree._Element, keep_space: bool) -> list[str]:
    """The lines of code in an element. keep_space: white space is text, as in <pre>."""
    out, by_class = _Lines(keep_space), _first(element, "br") is None and "\n" not in (element.text or "")
    walker = etree.iterwalk(element, events=("start", "end"))
    begun: list[int] = []  # of each open element that is a line: number of lines before it
    for event, node in walker:
        is_line = node is not element and _is_line(node, by_class)
        if event == "start":
            if is_line:
                if any(out.pieces):  # a number alone belongs to the line that begins
                    out.end_line()
                begun.append(len(out.done))
            if node is not element and (number := _number_at_start(node, out)):
                out.number = number
                walker.skip_subtree()
            elif node.tag in _NO_CODE or not isinstance(node.tag, str):
                walker.skip_subtree()
            elif node.tag == "br":
                out.end_line()
            elif node.text and not (node.text.isspace() and len(node) and _is_line(node[0], by_class)):
                out.add(node.text)
        elif node is not element:
            if is_line and (not out.is_empty() or (begun.pop() == len(out.done) and (node.text or len(node)))):
                out.end_line()
            if node.tail and not (is_line and node.tail.isspace()):
                out.add(node.tail)
    return out.without_numbers()


def _is_line(node: etree._Element, by_class: bool) -> bool:
    if node.tag in _LINE_TAGS:
        return True
    style = node.get("style")
    if style and _DISPLAY.search(style):
        return True
    return by_class and node.tag == "span" and _LINE_CLASS.search(node.get("class") or "") is not None


def _number_at_start(node: etree._Element, out: _Lines) -> str:
    """The number that an element is, at the beginning of a line; "" if it is something else."""
    if out.number or "".join(out.pieces).strip():
        return ""
    pieces = [piece for piece in islice(texts_in(node), 4) if not piece.isspace()] if len(node) < 3 else []
    text = pieces[0].strip() if len(pieces) == 1 else ""
    return text if len(text) <= 6 and text.isdecimal() and text.isascii() else ""


def _are_numbers(element: etree._Element) -> bool:
    found = False
    for piece in texts_in(element):
        if not piece.isspace():
            if not all(part.isdecimal() for part in piece.split()):
                return False
            found = True
    return found


def _consecutive(lines: Iterable[str]) -> bool:
    """Whether the lines are numbers, at least two, of which each is one more than the one before."""
    parts = [part for line in lines for part in line.split()]
    if len(parts) < 2 or not all(part.isdecimal() and len(part) < 7 for part in parts):
        return False
    return all(int(one) + 1 == int(following) for one, following in pairwise(parts))


# --- where code has lines ------------------------------------------------------------------------


def _has_lines_of_elements(code: etree._Element) -> bool:
    """Whether elements divide the lines, or number them."""
    named = 0
    for n, node in enumerate(code.iterdescendants()):
        if not isinstance(node.tag, str):
            continue
        if _is_line(node, False) or (n < 6 and (node.text or "").strip().isdecimal()):
            return True
        named += _LINE_CLASS.search(node.get("class") or "") is not None
    return named > 1 and not any("\n" in piece for piece in texts_in(code)) and _first(code, "br") is None


def _join_rows(table: etree._Element) -> None:
    """A table with a row per line of code becomes a <pre>; a column of the numbers of lines goes."""
    rows = [[cell for cell in row if cell.tag in ("td", "th")] for row in _ROWS(table)]
    for cells in rows:
        if len(cells) > 1 and _are_numbers(cells[0]) and (
                _first(cells[-1], "pre", "code") is not None or _is_called_code(cells[-1])) \
                and _consecutive(lines_of(cells[0], True)):
            drop(cells[0])
            cells[0].tag = "td"
    if len(rows) == 1 and rows[0] and _is_called_code(rows[0][-1]) and _has_lines_of_elements(rows[0][-1]) \
            and _first(rows[0][-1], "pre") is None and not any(text_in(cell).strip() for cell in rows[0][:-1]):
        become_pre(table, _lines_of_cell(rows[0][-1]))
    if len(rows) < 2 or not all(cells and len(cells) <= 3 for cells in rows):
        return
    numbers = [text_in(cells[-2]).strip() for cells in rows if len(cells) > 1]
    if not all(_are_numbers(cell) or not (cell.text or "").strip() for cells in rows for cell in cells[:-1]):
        return
    if any(numbers) and not _consecutive(number for number in numbers if number):
        return
    around = [table, *islice(table.iterancestors("div", "figure"), 2)]
    of_code = any(map(_is_called_code, around)) and bool(numbers)
    if of_code or all(_is_code_alone(cells[-1]) for cells in rows):
        become_pre(table, [line for cells in rows for line in _lines_of_cell(cells[-1])])


def _is_called_code(element: etree._Element) -> bool:
    return _HIGHLIGHTER.search(element.get("class") or "") is not None


def _lines_of_cell(cell: etree._Element) -> list[str]:
    lines = lines_of(cell, True)
    if len(lines) > 1 and _first(cell, "pre") is None:  # the source's own indentation of its elements
        lines = [line for line in lines_of(cell, False) if line]
    return lines or [""]


def _is_code_alone(element: etree._Element) -> bool:
    """Whether an element contains code and nothing else."""
    if len(element) != 1 or element[0].tag not in ("pre", *_CODE):
        return False
    return not (element.text or "").strip() and not (element[0].tail or "").strip()


def _boxes(codes: list[etree._Element], breaks: list[etree._Element]) -> list[etree._Element]:
    """The elements of which all text is in <code>, with <br> between, and those that are called code and have <br>."""
    out: dict[etree._Element, None] = {}
    for code in codes:
        box = code.getparent()
        if box is not None and box not in out and box.tag in ("p", "div", "td", "li", "dd", "blockquote") \
                and any(child.tag == "br" for child in box) and _is_all_code(box):
            out[box] = None
    for line_break in breaks:
        for box in islice(line_break.iterancestors("div", "td", "p", "blockquote", "span"), 2):
            names = box.get("class")
            if names and "code" in names.lower() and box not in out and _CODE_CLASS.search(names) \
                    and not _is_in_pre(box) and _first(box, "pre", "p", "table", "h1", "h2", "h3", "ul", "ol") is None:
                out[box] = None
    return list(out)


def _is_all_code(box: etree._Element) -> bool:
    texts = [box.text, *(child.tail for child in box)]
    return not any(text and text.strip() for text in texts) and all(child.tag in ("br", *_CODE) for child in box)


def _join_items(items: etree._Element) -> None:
    """A list of a line of code per item becomes a <pre>, if its lines are indented or it is called code."""
    lines = [item for item in items if item.tag == "li"]
    if len(lines) < 2 or len(lines) < len(items):
        return
    named = any(map(_is_called_code, (items, *islice(items.iterancestors("div"), 1))))
    alone = all(map(_is_code_alone, lines))
    texts = [line for item in lines for line in _lines_of_cell(item)] if alone or named else []
    if alone and any(text[:1].isspace() for text in texts) and any(text.strip() for text in texts):
        become_pre(items, texts)
