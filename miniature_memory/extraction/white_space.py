"""White space: texts of which CSS keeps the line breaks (white-space: pre, pre-wrap, pre-line), with <br> for each."""

import re

from lxml import etree

from miniature_memory.extraction.survey import Survey
from miniature_memory.extraction.vocabulary import BLOCK_TAGS, SKIPPED

KEPT_SPACE = "\ufdd0"  # stands for a space of indentation; Unicode promises that no text has this character
_KEEPS_LINES = {"pre": True, "pre-wrap": True, "break-spaces": True, "preserve": True,
                "pre-line": False, "preserve-breaks": False}  # value -> does it keep indentation, too?
_OTHER = ("normal", "nowrap", "initial", "collapse")
_PROPERTY = re.compile(r"white-space(?:-collapse)?\s*:\s*([a-z-]+)", re.IGNORECASE)
_IN_SOURCE = re.compile(r"space(?:-collapse)?(?:-|\s{0,5}:\s{0,5})(?:pre|break)")
_UTILITY = re.compile(r"(?:^|\s)(?:\S{1,20}:)?white-?space-(pre(?:-wrap|-line)?|break-spaces)(?:\s|$)")
_SELECTOR = re.compile(r"(?:^|[\s>])[a-z]{0,20}([.#])([\w-]{1,60})\s*$", re.IGNORECASE)
_MOST_RULES = 100  # guess; of a page's own style sheets
_SKIPPED = SKIPPED | {"pre"}


def break_kept_lines(root: etree._Element, found: Survey, html: str) -> None:
    """Put <br> for every line break that is kept. html: the page's source, which tells soonest that there is none."""
    if not _IN_SOURCE.search(html):
        return
    sheet = _rules_of_sheets(found.all("style"))
    for element in [element for element in root.iter() if _value_of(element, sheet) in _KEEPS_LINES]:
        _break(element, sheet)


def _rules_of_sheets(styles: list[etree._Element]) -> dict[str, str]:
    """The value of white-space that the page's own style sheets give to a class, or to an #id."""
    out: dict[str, str] = {}
    for style in styles:
        text, at = style.text or "", -1
        while (at := text.find("white-space", at + 1)) >= 0 and len(out) < _MOST_RULES:
            found = _PROPERTY.match(text, at)
            value = found[1].lower() if found else ""
            if value not in _KEEPS_LINES:
                continue
            head, brace, _ = text[max(at - 2000, 0) : at].rpartition("{")
            for selector in re.split(r"[{};]", head)[-1].split(",") if brace else ():
                if named := _SELECTOR.search(selector):
                    out[("#" if named[1] == "#" else "") + named[2]] = value
    return out


def _value_of(element: etree._Element, sheet: dict[str, str]) -> str:
    """The white-space that an element is given itself; "" for what it inherits."""
    style = element.get("style")
    if style and "white-space" in style and (found := _PROPERTY.search(style)):
        return found[1].lower()
    names = element.get("class")
    if names:
        if ("-pre" in names or "-break" in names) and (found := _UTILITY.search(names)):
            return found[1]
        if sheet:
            for name in names.split():
                if name in sheet:
                    return sheet[name]
    return sheet.get("#" + (element.get("id") or ""), "") if sheet else ""


def _break(top: etree._Element, sheet: dict[str, str]) -> None:
    """Put <br> for the line breaks in all text of an element that keeps them, down to where that changes."""
    values = [_value_of(top, sheet)]
    walker = etree.iterwalk(top, events=("start", "end"))
    texts: list[tuple[etree._Element, bool, bool]] = []  # (element, its tail or its text, is indentation kept)
    for event, node in walker:
        if event == "start":
            if node is not top:
                values.append(_value_of(node, sheet) or values[-1])
            if node.tag in _SKIPPED or not isinstance(node.tag, str):
                walker.skip_subtree()
            elif values[-1] in _KEEPS_LINES and node.text and "\n" in node.text:
                texts.append((node, False, _KEEPS_LINES[values[-1]]))
        else:
            values.pop()
            if node is not top and values and values[-1] in _KEEPS_LINES and node.tail and "\n" in node.tail \
                    and not (node.tail.isspace() and _is_block(node)):
                texts.append((node, True, _KEEPS_LINES[values[-1]]))
    for node, is_tail, keep_space in texts:
        _put_breaks(node, is_tail, keep_space)


def _is_block(node: etree._Element) -> bool:
    return node.tag in BLOCK_TAGS


def _put_breaks(node: etree._Element, is_tail: bool, keep_space: bool) -> None:
    first, *lines = ((node.tail if is_tail else node.text) or "").split("\n")
    breaks = []
    for line in lines:
        bare = line.lstrip(" \t\xa0")
        indented = len(line[: len(line) - len(bare)].expandtabs(4)) if keep_space and bare else 0
        breaks.append(etree.Element("br"))
        breaks[-1].tail = KEPT_SPACE * indented + bare
    if is_tail:
        node.tail = None
        for one in reversed(breaks):
            node.addnext(one)
        node.tail = first
    else:
        node.text = first
        node[0:0] = breaks
