"""One page: from bytes to text, by a cascade of ways. A new way goes into WAYS."""

from dataclasses import dataclass

from lxml import etree

from miniature_memory.core.mojibake import mend_encoding
from miniature_memory.core.text import strip_control
from miniature_memory.extraction import classifier
from miniature_memory.extraction.config import ExtractConfig
from miniature_memory.extraction.licenses import may_name_one, page_license
from miniature_memory.extraction.metadata import document_metadata
from miniature_memory.extraction.parsing import flatten, is_cut_short, parse
from miniature_memory.extraction.read_mode import read_mode, whole_page
from miniature_memory.responses.charset import decode_html

MAX_TAGS = 300_000  # guess; a tree of more takes hundreds of megabytes (adbar/trafilatura#704)
MIN_CHARS = 200  # guess; of text: with less, the next way is tried
WAYS = {"readability": read_mode, "whole_page": whole_page}  # after the blocks, in this order: (HTML, URL) -> text


@dataclass(frozen=True)
class Extracted:
    """The text and metadata of a page. `text` is empty when `reason` names why there is none."""

    text: str = ""
    title: str = ""
    author: str = ""
    published: str = ""
    language_hint: str = ""  # as the page declares it; not checked
    license: str = ""  # as the page names it, see licenses.py
    page_type: str = ""  # article, collection, documentation, forum, listing, product, service; "" for unknown
    extractor: str = ""  # which way found the text; with the prefix flat_ if the page was nested too deep
    reason: str = ""


def extract_page(html: bytes | str, url: str | None = None, charset: str = "",
                 config: ExtractConfig | None = None) -> Extracted:
    """The main text of one page. Pure; bad HTML raises nothing but gives an empty text with a reason.

    1. Decode: BOM, the charset of the HTTP header, <meta>, UTF-8, Windows-1252 (charset.py). Mend double encoding.
    2. Reject what is not HTML or has too many tags for our memory.
    3. Parse, and flatten what is nested too deep (parsing.py).
    4. Blocks: each is classified by itself and its surroundings, and so is the page's type (classifier.py).
    5. If that finds next to nothing, or extract.mode says so: read mode, readability-lxml (read_mode.py).
    6. If that finds next to nothing too: all of <main>, <article> or <body> without its navigation (read_mode.py).
    """
    config, url = config or ExtractConfig(), url or ""
    source = decode_html(html, charset) if isinstance(html, bytes) else html  # 1
    source = mend_encoding(source.replace("\x00", "").removeprefix("\ufeff"))
    if "<" not in source:  # 2
        return Extracted(reason="not_html")
    if source.count("<") > MAX_TAGS:
        return Extracted(reason="too_many_tags")
    root, source, form = _parsed(source)  # 3
    if root is None:
        return Extracted(reason="no_text")
    metadata = document_metadata(root) | {"license": page_license(root, url) if may_name_one(source) else ""}
    text, extractor, page_type = "", "blocks", ""
    if config.mode == "blocks":  # 4
        text, page_type = classifier.classify(root, url)
    source = "" if len(text) >= MIN_CHARS else etree.tostring(root, encoding="unicode", method="html")
    del root  # the other ways make trees of their own
    for name, way in WAYS.items():  # 5, 6
        if len(text) < MIN_CHARS:
            text, extractor = way(source, url), name
    text = _cut(strip_control(text), config.max_text_chars)
    if not text:
        return Extracted(title=metadata["title"], reason="no_text")
    return Extracted(text, **metadata, page_type=page_type, extractor=form + extractor)


def _parsed(source: str) -> tuple[etree._Element | None, str, str]:
    """(the tree, the HTML it was made of, a prefix for the extractor's name)."""
    root = parse(source)
    if root is None or not is_cut_short(root):
        return root, source, ""
    del root
    source = flatten(source)
    return parse(source), source, "flat_"


def _cut(text: str, max_chars: int) -> str:
    """`text` up to the last line break within `max_chars`."""
    if len(text) <= max_chars:
        return text
    cut = text[:max_chars]
    return cut.rpartition("\n")[0] or cut
