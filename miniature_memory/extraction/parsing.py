"""Parsing: HTML to an lxml tree, whatever it looks like."""

import re

from lxml import etree

from miniature_memory.extraction.code_lines import keep_code_lines
from miniature_memory.extraction.marks import drop_marks
from miniature_memory.extraction.mathematics import write_out_mathematics
from miniature_memory.extraction.survey import Survey
from miniature_memory.extraction.vocabulary import BLOCK_TAGS, HEADINGS, SKIPPED
from miniature_memory.extraction.white_space import break_kept_lines

_TAG = re.compile(r"</?([a-zA-Z][^\s<>/]*+)[^<>]*+>")
_MARKUP = re.compile(r"\s*+<[a-zA-Z!/]")
_NOT_XML = re.compile(r"[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_REFERENCE = re.compile(r"&#(?:[xX]0*([0-9a-fA-F]{1,6})(?![0-9a-fA-F])|0*([0-9]{1,7})(?![0-9]));?")
_SAME_WHEN_FLAT = SKIPPED | {"html", "body", "a", "br", *HEADINGS}


def parse(html: str) -> etree._Element | None:
    """The root element, or None if there is nothing to parse. Never raises for bad HTML.

    What the tree says in forms that only a browser turns into text is turned into text: formulas, code with an element
    per line, line breaks that CSS keeps; marks of notes, glosses and links to edit are dropped.
    """
    root = _tree(html)
    if root is not None:
        found = Survey(root)
        for noscript in found.all("noscript"):
            _read_noscript(noscript)
        write_out_mathematics(found)
        drop_marks(found)
        keep_code_lines(found)
        break_kept_lines(root, found, html.encode("utf-8", "replace"))
    return root


def _tree(html: str) -> etree._Element | None:
    """Without the characters that XML does not allow: the parser lets them pass, and then takes them from nobody."""
    html = _REFERENCE.sub(_allowed, _NOT_XML.sub("", html.replace("\f", " ")))
    if not html.strip():
        return None
    parser = etree.HTMLParser(encoding="utf-8", remove_comments=True, remove_pis=True, huge_tree=True)
    try:
        return etree.fromstring(html.encode(), parser)
    except (etree.LxmlError, ValueError, AssertionError):
        return None


def _allowed(reference: re.Match[str]) -> str:
    code = int(reference[1], 16) if reference[1] else int(reference[2])
    return "" if code > 0x10ffff or _NOT_XML.match(chr(code)) else reference[0]


def _read_noscript(noscript: etree._Element) -> None:
    """A page saved by a browser has the content of its <noscript> as text; it is markup."""
    text = noscript.text or ""
    if _MARKUP.match(text) and not len(noscript):
        inner = _tree(f"<div>{text}</div>")
        noscript.text = ""
        if inner is not None:
            noscript.append(next(inner.iter("div")))


def is_cut_short(root: etree._Element) -> bool:
    """Whether the parser stopped before the end, at elements nested 2,048 deep."""
    error = root.getroottree().parser.error_log.last_error
    return error is not None and error.type == etree.ErrorTypes.ERR_RESOURCE_LIMIT


def flatten(html: str) -> str:
    """The page without nesting: block elements become <p>, which needs no end tag; most other tags are removed."""

    def flat(tag: re.Match[str]) -> str:
        name = tag[1].lower()
        return tag[0] if name in _SAME_WHEN_FLAT else "<p>" if name in BLOCK_TAGS or "-" in name else ""

    return re.sub(r"<p>(?:\s*<p>)+", "<p>", _TAG.sub(flat, html))
