"""White space: lines that only CSS or a class keeps apart, with <br> for each.

Texts with white-space: pre, pre-wrap or pre-line, and verse of which each line is an element.
"""

import re
from functools import lru_cache
from itertools import takewhile

from cssselect import HTMLTranslator
from lxml import etree

from miniature_memory.extraction.survey import VERSE_TAGS, Survey
from miniature_memory.extraction.tree_edits import finder, text_in
from miniature_memory.extraction.vocabulary import BLOCK_TAGS, SKIPPED

KEPT_SPACE = "\ufdd0"  # stands for a space of indentation; Unicode promises that no text has this character
_KEEPS_LINES = {"pre": True, "pre-wrap": True, "break-spaces": True, "preserve": True,
                "pre-line": False, "preserve-breaks": False}  # value -> does it keep indentation, too?
_OTHER = ("normal", "nowrap", "initial", "collapse")
_PROPERTY = re.compile(r"white-space(?:-collapse)?\s*:\s*([a-z-]+)", re.IGNORECASE)
_IN_SOURCE = re.compile(rb"space(?:-collapse)?(?:-|\s{0,5}:\s{0,5})(?:pre|break)")
_UTILITY = re.compile(r"(?:^|\s)(?:\S{1,20}:)?white-?space-(pre(?:-wrap|-line)?|break-spaces)(?:\s|$)")
_SELECTOR = re.compile(r"(?:^|[\s>])[a-z]{0,20}([.#])([\w-]{1,60})\s*$", re.IGNORECASE)
_OF_TAG = re.compile(r"(?:[\w.#-]{1,60}[\s>]{1,3}){0,2}[a-z]+", re.IGNORECASE)
_CODE_TAGS = ("pre", "code", "kbd", "samp", "tt", "textarea", "xmp")
_MOST_RULES, _MOST_OF_TAGS = 100, 10  # guess; of a page's own style sheets
_VERSE = re.compile(r"poem|poetry|(?<![a-z])verse|stanza|strophe|lyric|(?<![a-z])line-block")
_is_verse = lru_cache(1000)(_VERSE.search)  # most elements share their classes
_MOST_OF_LINE = 120  # guess: characters
_SKIPPED = SKIPPED | {"pre"}


def break_kept_lines(root: etree._Element, found: Survey, html: bytes) -> None:
    """Put <br> for every line break that is kept. html: the page's source, which tells soonest that there is none."""
    classed = ((each, names) for each in found.all(*VERSE_TAGS) if (names := each.get("class")))
    for element in [each for each, names in classed if _is_verse(names[:200])]:
        if _is_of_lines(element):
            _join_lines(element)
    if _keeps_lines(html) and (sheet := _rules(root, found, html)) is not None:
        keeping = {element: None for element in root.iter() if _value_of(element, sheet) in _KEEPS_LINES}
        for element in keeping:
            around = takewhile(lambda one: one.tag not in _SKIPPED, element.iterancestors())
            if not any(one in keeping for one in around):  # else its lines were broken with those of that one
                _break(element, sheet)


def _keeps_lines(html: bytes) -> int:
    """How often a source says white-space: pre or the like."""
    return len(_IN_SOURCE.findall(html.lower()))


def _rules(root: etree._Element, found: Survey, html: bytes) -> dict[str, str] | None:
    """The rules of the page's own style sheets for what it has; None if nothing on the page keeps its line breaks.

    That is so on most pages that have such a rule, and seen sooner in the source than element by element.
    """
    rules, of_tags = _rules_of_sheets(found.all("style"))
    unseen = b"\0".join((element.text or "").encode("utf-8", "replace") for element in found.all("style", "script"))
    rules = {name: value for name, value in rules.items()
             if html.count(bare := name.lstrip("#").encode()) > unseen.count(bare)}
    n_styled = 0
    for selector, value in of_tags:
        for element in finder(HTMLTranslator().css_to_xpath(selector))(root):
            style_of = element.get("style") or ""
            if not _PROPERTY.search(style_of):
                element.set("style", f"{style_of};white-space:{value}")
                n_styled += 1
    return rules if rules or n_styled or _keeps_lines(html) > _keeps_lines(unseen) else None


def _rules_of_sheets(styles: list[etree._Element]) -> tuple[dict[str, str], list[tuple[str, str]]]:
    """The values of white-space that the page's own style sheets give: to a class or an #id; to a tag, as #verse p."""
    out: dict[str, str] = {}
    of_tags: dict[str, str] = {}
    for style in styles:
        text, at = style.text or "", -1
        lower = text.lower() if len(text.lower()) == len(text) else text
        while (at := lower.find("white-space", at + 1)) >= 0 and len(out) < _MOST_RULES:
            found = _PROPERTY.match(text, at)
            value = found[1].lower() if found else ""
            if value not in _KEEPS_LINES:
                continue
            head, brace, _ = text[max(at - 2000, 0) : at].rpartition("{")
            for selector in re.split(r"[{};]", head)[-1].split(",") if brace else ():
                if named := _SELECTOR.search(selector):
                    out[("#" if named[1] == "#" else "") + named[2]] = value
                elif _OF_TAG.fullmatch(selector.strip()) and not selector.strip().lower().endswith(_CODE_TAGS):
                    of_tags[selector.strip()] = value
    return out, list(of_tags.items())[:_MOST_OF_TAGS]


def _value_of(element: etree._Element, sheet: dict[str, str]) -> str:
    """The white-space that an element is given itself; "" for what it inherits."""
    style = element.get("style")
    if style and "-space" in style.lower() and (found := _PROPERTY.search(style)):
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


# --- verse ---------------------------------------------------------------------------------------


def _is_of_lines(element: etree._Element) -> bool:
    """Whether an element is called verse, and each element in it is a line."""
    if len(element) < 2 or (element.text or "").strip():
        return False
    return all(child.tag in ("div", "span") and not (child.tail or "").strip() and _is_one_line(child)
               for child in element if child.tag != "br")


def _is_one_line(element: etree._Element) -> bool:
    breaks = sum(1 for _ in element.iterdescendants("br"))
    return breaks <= (len(element) > 0 and element[-1].tag == "br" and not (element[-1].tail or "").strip()) \
        and next(element.iterdescendants(*BLOCK_TAGS), None) is None and len(text_in(element)) <= _MOST_OF_LINE


def _join_lines(verse: etree._Element) -> None:
    """Make the lines inline, with <br> between, and the verse a paragraph."""
    verse.tag = "p"
    for line in [child for child in verse if child.tag != "br"]:
        follows = line.getnext()
        if line.tag == "div" or (line.get("style") or "").replace(" ", "").find("display:block") >= 0:
            line.tag = "span"
            if follows is not None and follows.tag != "br" and not (len(line) and line[-1].tag == "br"):
                line.addnext(etree.Element("br"))
