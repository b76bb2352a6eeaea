"""White space: texts of which CSS keeps the line breaks (white-space: pre, pre-wrap, pre-line), with <br> for each."""

import re

from lxml import etree

from miniature_memory.extraction.vocabulary import BLOCK_TAGS, SKIPPED

KEPT_SPACE = "\ufdd0"  # stands for a space of indentation; Unicode promises that no text has this character
_KEEPS_LINES = {"pre": True, "pre-wrap": True, "break-spaces": True, "preserve": True,
                "pre-line": False, "preserve-breaks": False}  # value -> does it keep indentation, too?
_OTHER = ("normal", "nowrap", "initial", "collapse")
_PROPERTY = re.compile(r"white-space(?:-collapse)?\s*:\s*([a-z-]+)", re.IGNORECASE)
_UTILITY = re.compile(r"(?:^|\s)(?:whitespace|white-space|text|ws)-(pre(?:-wrap|-line)?|break-spaces)(?:\s|$)")
_SELECTOR = re.compile(r"(?:^|[\s>])[a-z]{0,20}([.#])([\w-]{1,60})\s*$", re.IGNORECASE)
_STYLED = etree.XPath("//*[contains(@style, 'white-space') or contains(@class, 'pre') or contains(@class, 'break-spaces')]")
_MOST_RULES = 100  # guess; of a page's own style sheets
_SKIPPED = SKIPPED | {"pre"}


def break_kept_lines(root: etree._Element) -> None:
    sheet = _rules_of_sheets(root)
    found = list(_STYLED(root))
    for kind, name in sheet:
        found += root.xpath("//*[@id = $name]" if kind == "#" else
                            "//*[contains(concat(' ', normalize-space(@class), ' '), concat(' ', $name, ' '))]", name=name)
    for element in found:
        value = _value_of(element, sheet)
        if value in _KEEPS_LINES:
            _break(element, sheet)


def _rules_of_sheets(root: etree._Element) -> dict[tuple[str, str], str]:
    """(. or #, name) -> the value of white-space that the page's own style sheets give to that class or id."""
    out: dict[tuple[str, str], str] = {}
    for style in root.iter("style"):
        for found in _PROPERTY.finditer(style.text or ""):
            value = found[1].lower()
            if value not in _KEEPS_LINES or len(out) >= _MOST_RULES:
                continue
            text = (style.text or "")[max(found.start() - 2000, 0) : found.start()]
            head, brace, _ = text.rpartition("{")
            for selector in re.split(r"[{};]", head)[-1].split(",") if brace else ():
                if named := _SELECTOR.search(selector):
                    out[named[1], named[2]] = value
    return out


def _value_of(element: etree._Element, sheet: dict[tuple[str, str], str]) -> str:
    """The white-space that an element is given itself; "" for what it inherits."""
    style, names = element.get("style"), element.get("class") or ""
    if style and (found := _PROPERTY.search(style)):
        return found[1].lower()
    if "pre" in names or "break" in names:
        if found := _UTILITY.search(names):
            return found[1]
    if sheet:
        for key in (("#", element.get("id") or ""), *((".", name) for name in names.split())):
            if key in sheet:
                return sheet[key]
    return ""


def _break(top: etree._Element, sheet: dict[tuple[str, str], str]) -> None:
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
