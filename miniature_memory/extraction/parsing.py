"""Parsing: HTML to an lxml tree, whatever it looks like."""

import re

from lxml import etree

from miniature_memory.extraction.vocabulary import BLOCK_TAGS, HEADINGS, SKIPPED

_TAG = re.compile(r"</?([a-zA-Z][^\s<>/]*)[^<>]*>")  # up to the next bracket: never backtracks
_SAME_WHEN_FLAT = SKIPPED | {"html", "body", "a", "br", *HEADINGS}


def parse(html: str) -> etree._Element | None:
    """The root element, or None if there is nothing to parse. Never raises for bad HTML."""
    data = html.replace("\x00", "").encode("utf-8", "replace")
    if not data.strip():
        return None
    parser = etree.HTMLParser(encoding="utf-8", remove_comments=True, remove_pis=True, huge_tree=True)
    try:
        return etree.fromstring(data, parser)
    except (etree.LxmlError, ValueError, AssertionError):
        return None


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
