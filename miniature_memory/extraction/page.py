"""One page: the cascade from bytes to text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from miniature_memory.core.text import strip_control
from miniature_memory.extraction import blocks, classifier
from miniature_memory.extraction.charset import decode_html
from miniature_memory.extraction.config import ExtractConfig
from miniature_memory.extraction.read_mode import read_mode, whole_page


@dataclass(frozen=True)
class Extracted:
    """What a page says. `text` is empty when `reason` tells why there is none."""

    text: str = ""
    title: str = ""
    author: str = ""
    published: str = ""
    language_hint: str = ""  # as the page declares it; not checked
    page_type: str = ""  # article, collection, documentation, forum, listing, product, service; "" for unknown
    extractor: str = ""  # which way found the text; flat_ before it: of a page that was nested too deep
    reason: str = ""


# --- one page ------------------------------------------------------------------------------------

MAX_TAGS = 300_000  # a tree of more takes hundreds of megabytes (adbar/trafilatura#704). Guess


def extract_page(html: bytes | str, url: str | None = None, charset: str = "",
                 config: ExtractConfig | None = None) -> Extracted:
    """The main text of one page. Pure; bad HTML raises nothing but gives an empty text with a reason.

    1. Decode: BOM, the charset of the HTTP header, <meta>, UTF-8, Windows-1252.
    2. Guard: what is no HTML, or more tags than memory is for, is refused; what is nested too deep is flattened.
    3. Blocks: each piece of text is judged by itself and its surroundings (classifier.py), and the page's type.
    4. If that is next to nothing, or extract.mode says so: read mode, readability-lxml.
    5. If that is next to nothing, too, the whole of <main>, <article> or <body> without its navigation.
    """
    config = config or ExtractConfig()
    source = decode_html(html, charset) if isinstance(html, bytes) else html
    source = source.replace("\x00", "").removeprefix("\ufeff")
    if "<" not in source:
        return Extracted(reason="not_html")
    if source.count("<") > MAX_TAGS:
        return Extracted(reason="too_many_tags")
    root, form = blocks.parse(source), ""
    if root is not None and blocks.is_cut_short(root):
        source, form = blocks.flatten(source), "flat_"
        root = blocks.parse(source)
    if root is None:
        return Extracted(reason="no_text")
    about = _metadata(root)
    text, extractor, page_type = "", "blocks", ""
    if config.mode == "blocks":
        text, page_type = classifier.judge(root, url or "")
    del root  # the other ways make trees of their own
    for name, way in (("readability", read_mode), ("whole_page", whole_page)):
        if len(text) < config.min_chars:
            text, extractor = way(source, url or ""), name
    text = strip_control(text)
    if len(text) > config.max_text_chars:
        cut = text[:config.max_text_chars]
        text = cut.rpartition("\n")[0] or cut
    if not text:
        return Extracted(title=about["title"], reason="no_text")
    return Extracted(text, **about, page_type=page_type, extractor=form + extractor)


def _metadata(root: Any) -> dict[str, str]:
    """What a page says of itself in its head; '' for what it does not say."""
    said: dict[str, str] = {}
    for meta in root.iter("meta"):
        name = (meta.get("property") or meta.get("name") or "").lower()
        said.setdefault(name, meta.get("content") or "")
    title = root.find(".//title")
    return {"title": _one_line(said.get("og:title") or (title.text or "" if title is not None else "")),
            "author": _one_line(said.get("author") or said.get("article:author") or ""),
            "published": _one_line(said.get("article:published_time") or said.get("date") or ""),
            "language_hint": _one_line(root.get("lang") or "")}


def _one_line(text: str) -> str:
    return " ".join(strip_control(text).split())[:500]
