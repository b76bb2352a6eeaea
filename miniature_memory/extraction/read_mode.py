"""Read mode: the ways that are tried when the blocks give next to nothing: readability-lxml, then the whole page."""

import logging
import re
from typing import NamedTuple

from bs4 import BeautifulSoup
from bs4.element import NavigableString, PageElement, PreformattedString, Tag
from readability import Document

from miniature_memory.core.text import strip_control
from miniature_memory.extraction.white_space import KEPT_SPACE

logger = logging.getLogger(__name__)

NAVIGATION = ["nav", "header", "footer", "aside", "form", "button", "select", "dialog", "iframe"]
PARAGRAPHS = {"p", "div", "h1", "h2", "h3", "h4", "h5", "h6", "blockquote", "pre", "ul", "ol", "dl", "table", "section",
              "article", "main", "header", "footer", "figure", "figcaption", "address", "hr"}
LINES = {"li", "tr", "dt", "dd", "caption", "option"}
HIDDEN = {"script", "style", "noscript", "template", "head", "title", "svg", "math", "textarea", "object"}
_SPACE = re.compile(r"\s+")  # the no-break space too
_INVISIBLE = re.compile(r"[\u00ad\u200b\u2060\ufeff]")  # soft hyphen, zero-width characters


def read_mode(source: str, url: str = "") -> str:
    """What a browser's read mode shows: the element that readability-lxml scores best."""
    try:
        return element_text(BeautifulSoup(Document(source, url=url or None).summary(html_partial=True), "lxml"))
    except Exception as error:  # readability raises its own, lxml's and plain ValueErrors on bad HTML
        logger.debug("%s: read mode failed: %s", url, error)
        return ""


def whole_page(source: str, url: str = "") -> str:
    """The text of <main>, <article> or <body> without its navigation."""
    soup = BeautifulSoup(source, "lxml")
    root = soup.find("main") or soup.find("article") or soup.body or soup
    assert isinstance(root, Tag)
    for tag in root.find_all(NAVIGATION):
        tag.decompose()
    return element_text(root)


def element_text(element: Tag) -> str:
    """The element's text: paragraphs divided by a blank line; one line per <br>, item and table row; code as it is.

    Inline elements neither join nor split words.
    """
    pieces: list[str] = []
    _collect(element, pieces)
    text = _INVISIBLE.sub("", strip_control("".join(pieces))).replace(KEPT_SPACE, " ")
    lines = [line.rstrip() for line in text.split("\n")]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip("\n")


def _collect(root: Tag, pieces: list[str]) -> None:
    """Append the pieces of `root`'s text. Walks with a stack of its own: nesting may be deeper than Python's."""
    stack: list[PageElement | _End] = [root]
    in_pre = False
    while stack:
        node = stack.pop()
        if isinstance(node, _End):
            in_pre = in_pre and not node.of_pre
            _break(pieces, node.newlines)
            if node.cell:
                pieces.append(" | ")
        elif isinstance(node, Tag) and node.name == "br":
            pieces.append("\n")
        elif isinstance(node, Tag) and node.name not in HIDDEN:
            newlines = 2 if node.name in PARAGRAPHS else 1 if node.name in LINES else 0
            in_pre = in_pre or node.name == "pre"
            _break(pieces, newlines)
            in_row = node.name in ("td", "th") and node.find_next_sibling(["td", "th"]) is not None
            stack.append(_End(newlines, in_row, node.name == "pre"))
            stack.extend(reversed(node.contents))
        elif isinstance(node, NavigableString) and not isinstance(node, PreformattedString):  # no comment, no doctype
            _add(pieces, str(node), in_pre)


class _End(NamedTuple):
    """On the stack below an element's children: what the end of the element adds."""

    newlines: int
    cell: bool  # another cell of the row follows
    of_pre: bool


def _break(pieces: list[str], newlines: int) -> None:
    """Let the text so far end in at least `newlines` line breaks."""
    found = 0
    for piece in reversed(pieces[-3:]):
        found += len(piece) - len(piece.rstrip("\n"))
        if piece.strip("\n"):
            break
    if newlines > found:
        pieces.append("\n" * (newlines - found))


def _add(pieces: list[str], text: str, keep_space: bool) -> None:
    if not keep_space:
        text = _SPACE.sub(" ", text)
        if not pieces or pieces[-1][-1] in " \n":
            text = text.lstrip(" ")
    if text:
        pieces.append(text)
