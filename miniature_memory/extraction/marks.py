"""Marks: what is inside a text but not part of it: glosses, note marks, edit links, permalinks, hidden fields.

A mark is known by what it is: a short sign that links to a place on the same page, or that stands in brackets above the
line or next to a heading. [1] in a sentence or in code is text.
"""

import re

from lxml import etree

from miniature_memory.extraction.metadata import FIELDS
from miniature_memory.extraction.survey import Survey
from miniature_memory.extraction.tree_edits import (
    attributes_of,
    drop,
    is_hidden,
    replace,
    set_text_before,
    text_before,
    text_in,
    texts_in,
)

MOST_CHARS = 80  # guess: what is longer is no mark
HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")
_CODE = frozenset(("pre", "code", "samp", "kbd", "tt"))
_BRACKETED = re.compile(r"(?:[\[［][^\[\]［］]{1,60}[\]］][\s,;]*)+")
_SIGN = re.compile(r"[\[(［]?\s*(?:(?:note|nb|fn|n)\.?\s*)?(?:[0-9]{1,4}[a-z]?|[a-z]|[ivxlc]{1,6}|[^\w\s]{1,4})\s*"
                   r"[\])］.:]?", re.IGNORECASE)
_IN_BRACKETS = re.compile(r"\s*[\[［].*[\]］]\s*", re.DOTALL)
_NOTE = re.compile(r"#.{0,20}(?:cite|fn|foot|note|ftn|edn|ref|bib)", re.IGNORECASE)
_NOTE_CLASS = re.compile(r"footnote|noteref|reference|sidenote-number", re.IGNORECASE)
_BACK = re.compile(r"#(?:cite_?ref|_?fnref|_?ftnref|_?ednref|footnote-?ref|back)", re.IGNORECASE)
_BACK_CLASS = re.compile(r"back-?(?:link|ref)|reversefootnote", re.IGNORECASE)
_PERMALINK_CLASS = re.compile(r"anchor|perma-?link|header-?link|hash-?link|heading-?link", re.IGNORECASE)
_EDIT_ADDRESS = re.compile(r"[?&](?:ve)?(?:action|do)=edit")
_MAY_BE_MARK = re.compile(r"[Rr]ef|[Nn]ote|[Cc]it|[Ee]dit|noprint|[Tt]emplate|needed|fn|backlink")
_SURELY_NO_TEXT = re.compile(r"(?:^|[\s_-])(?:noprint|[\w-]{0,30}template|needed|edit|edit-?link)(?:[\s_-]|$)",
                             re.IGNORECASE)
_OF_NOTES = re.compile(r"(?:^|[\s_-])(?:refs?|references?|footnotes?|noteref|fn|cite|citation)(?:[\s_-]|$)",
                       re.IGNORECASE)


def drop_marks(found: Survey) -> None:
    for gloss in found.all("rt", "rp", "rtc"):
        replace(gloss, "".join(base.text or "" for base in gloss.iter("rb")))  # whose end tags are optional
    for link in found.all("a"):
        address = link.get("href") or ""
        is_within = "#" in address or address.startswith("javascript:")
        if is_within and _is_mark_link(link, address) and not _in_code(link):
            _drop_with_brackets(link)
        elif "=edit" in address and _EDIT_ADDRESS.search(address):
            _drop_edit_link(link)
    for raised in found.all("sup"):
        if _is_mark_above(raised) and not _in_code(raised):
            drop(raised)
    for element in found.all("span", "small", "cite", "sup"):
        names = element.get("class")
        is_mark = names and _MAY_BE_MARK.search(names) and _is_named_mark(element, names)
        may_be_hidden = element.get("style") or element.get("hidden") is not None or element.get("itemprop")
        if is_mark or (may_be_hidden and _is_hidden_mark(element)):
            drop(element)


def _is_hidden_mark(element: etree._Element) -> bool:
    """Whether an inline element is not shown: a key to sort by, a field of structured data; not the rest of a text."""
    attributes = attributes_of(element)
    if not is_hidden(attributes):
        return False
    if not FIELDS.isdisjoint(attributes.get("itemprop", "").lower().split()):
        return True
    return attributes.get("aria-hidden") != "true" and _short_text(element) != "" and len(element) == 0


def _is_named_mark(element: etree._Element, names: str) -> bool:
    text = _short_text(element)
    if not text or "editsection" in names or "backlink" in names:
        return bool(text)
    if not _BRACKETED.fullmatch(text):
        return False
    is_linked = next(element.iter("a"), None) is not None
    return _SURELY_NO_TEXT.search(names) is not None \
        or (_OF_NOTES.search(names) is not None and (is_linked or _SIGN.fullmatch(text) is not None))


def _short_text(element: etree._Element) -> str:
    """The element's text, or "" if it is longer than a mark."""
    out: list[str] = []
    length = 0
    for piece in texts_in(element):
        out.append(piece)
        length += len(piece)
        if length > 2 * MOST_CHARS:
            return ""
    text = "".join(out).strip(" \t\r\n\u200b\xa0\ufeff")
    return text if len(text) <= MOST_CHARS else ""


def _in_code(element: etree._Element) -> bool:
    return any(above.tag in _CODE for above in element.iterancestors())


# --- links ---------------------------------------------------------------------------------------


def _is_mark_link(link: etree._Element, address: str) -> bool:
    """Whether a link within a page is the mark of a note, a way back from one, or the permalink of a heading."""
    text = _short_text(link)
    if not text:
        return False
    role, names = link.get("role") or "", link.get("class") or ""
    if "doc-backlink" in role or _BACK.search(address) or _BACK_CLASS.search(names):
        return len(text) <= 30
    if names and _PERMALINK_CLASS.search(names) and _is_beside_a_heading(link, text):
        return True
    is_named = "noteref" in role or _NOTE_CLASS.search(names) is not None
    if not (is_named or address.startswith("#") or _NOTE.search(address)) or not _SIGN.fullmatch(text):
        return False
    if not any(char.isalnum() for char in text) or _BRACKETED.fullmatch(text):
        return True
    return is_named or next(link.iter("sup"), None) is not None or _is_between_brackets(link)


def _is_beside_a_heading(link: etree._Element, text: str) -> bool:
    parent = link.getparent()
    return parent is not None and parent.tag in HEADINGS and text_in(parent).strip() != text


def _is_between_brackets(link: etree._Element) -> bool:
    return text_before(link).rstrip().endswith("[") and (link.tail or "").lstrip().startswith("]")


def _drop_with_brackets(element: etree._Element) -> None:
    if _is_between_brackets(element):
        set_text_before(element, text_before(element).rstrip()[:-1].rstrip())
        element.tail = (element.tail or "").lstrip()[1:]
    drop(element)


def _drop_edit_link(link: etree._Element) -> None:
    """Drop a link that opens an editor, with the brackets around it, or all of the element within brackets."""
    around: etree._Element | None = link
    while around is not None and around.tag in ("a", "span", "small", "sup", "div", "font", "i", "b"):
        text = _short_text(around)
        if not text:
            break
        if _IN_BRACKETS.fullmatch(text):
            return drop(around)
        around = around.getparent()
    if _is_between_brackets(link) or any(above.tag in HEADINGS for above in link.iterancestors()):
        _drop_with_brackets(link)


# --- above the line ------------------------------------------------------------------------------


def _is_mark_above(raised: etree._Element) -> bool:
    """Whether a <sup> is the mark of a note or of something that an editor asks for."""
    text = _short_text(raised)
    if not text:
        return False
    links = list(raised.iter("a"))
    if _BRACKETED.fullmatch(text):
        # a bare [2] above a variable is an index
        return bool(links or raised.get("class")) or re.search(r"(?:^|\W)\w$", text_before(raised)[-3:]) is None
    linked = [_short_text(link) for link in links]
    if not links or not all(map(_leads_to_a_note, links)) or not all(map(_SIGN.fullmatch, linked)):
        return False
    return sum(map(str.isalnum, text)) == sum(sum(map(str.isalnum, one)) for one in linked)


def _leads_to_a_note(link: etree._Element) -> bool:
    address = link.get("href") or ""
    return address.startswith(("#", "javascript:")) or _NOTE.search(address) is not None \
        or _NOTE_CLASS.search(link.get("class") or "") is not None or "noteref" in (link.get("role") or "")
