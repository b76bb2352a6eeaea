"""Media type: what kind of document a response is, as browsers read its Content-Type. Pure."""

import re
from collections.abc import Iterable

HTML_TYPES = ("text/html", "application/xhtml+xml")
PAGE_STATUSES = (200, 203)  # 203: changed by a proxy on the way, a success like 200 (RFC 9110, section 15.3.4)
SNIFFED_BYTES = 1445  # MIME Sniffing standard, section 5
MAX_HEADER_CHARS = 1000

_XML_TYPES = ("application/xml", "text/xml")
_UNKNOWN_TYPES = ("", "application/octet-stream", "binary/octet-stream", "application/unknown", "unknown/unknown")
_NEVER_PAGES = ("image", "audio", "video", "font")
_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_ESSENCE = re.compile(rf"{_TOKEN}/{_TOKEN}")
_PARAMETER = re.compile(rf""";[ \t]*+({_TOKEN}+)=(?:"((?:[^"\\]|\\.)*+)"?[^;]*|([^;]*))""", re.DOTALL)
_PART = re.compile(r'(?:[^",]|"(?:[^"\\]|\\.)*+"?)++', re.DOTALL)  # between two commas
# MIME Sniffing standard, section 7.1: these, with a space or ">" behind, make a page of what has no type
_PAGE_BEGINS = re.compile(
    rb"[\t\n\f\r ]*<(?:!--|(?:!doctype html|html|head|script|iframe|h1|div|font|table|a|style|title|b|body|br|p"
    rb"|meta|link|main|article|section|header|nav|h[2-6]|ul|ol|span)[\s/>])", re.IGNORECASE)
_XML_PROLOG = re.compile(rb"\s*+(?:(?:<\?[^>]*+>|<!--(?:(?!-->).)*+-->|<!doctype[^>\[]*+(?:\[[^\]]*+\])?+\s*+>)\s*+)*+",
                         re.IGNORECASE | re.DOTALL)
BINARY = re.compile(rb"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f]")  # section 3: bytes that no text has
_BOMS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")


def media_type(values: Iterable[str]) -> tuple[str, str]:
    """(type, charset) of a response's Content-Type headers, both in lower case, '' for unknown.

    Of several types the last valid one counts, and a charset holds as long as the type stays the same: Fetch
    standard, "extract a MIME type".
    """
    essence = charset = ""
    for part in _PART.findall(",".join(values)[:MAX_HEADER_CHARS]):
        kind = part.partition(";")[0].strip().lower()
        if kind == "*/*" or not _ESSENCE.fullmatch(kind):
            continue
        found = next((quoted or plain for name, quoted, plain in _PARAMETER.findall(part)
                      if name.lower() == "charset" and (quoted or plain).strip()), "").strip(" \t'\"").lower()
        charset = found or (charset if kind == essence else "")
        essence = kind
    return essence, charset


def may_be_page(essence: str) -> bool:
    """Whether a response of this type is worth a look at its beginning."""
    return essence.partition("/")[0] not in _NEVER_PAGES


def page_rejection(essence: str, beginning: bytes) -> str:
    """Why a response of this type that begins so is no HTML page; '' if it is one.

    The type decides where it is a known one; XML is a page if its root is <html>; what has no type, or one that says
    nothing, is what it begins like. unknown_type: it cannot be told, or the server seems to be mistaken; not_html: it
    certainly is something else.
    """
    if essence in HTML_TYPES:
        return ""
    if beginning.startswith(_BOMS[1:]):
        beginning = beginning.replace(b"\0", b"")
    for bom in _BOMS:
        beginning = beginning.removeprefix(bom)
    beginning = beginning[:SNIFFED_BYTES]
    prolog = _XML_PROLOG.match(beginning)
    is_html = bool(prolog and beginning[prolog.end():][:5].lower() == b"<html")
    begins_like_page = is_html or bool(_PAGE_BEGINS.match(beginning))
    if (is_html and essence in _XML_TYPES) or (essence in _UNKNOWN_TYPES and (begins_like_page or not beginning)):
        return ""
    unclear = essence in _UNKNOWN_TYPES and not BINARY.search(beginning)
    return "unknown_type" if unclear or (begins_like_page and essence not in _XML_TYPES) else "not_html"
