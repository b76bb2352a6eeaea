"""Licenses: the license that a page names for its text. Never guessed: a "©" proves nothing.

A page names it in one of several ways, the plainest first (WAYS). If one way gives several licenses, as in a gallery or
an article on licensing, the footer decides, else the page names none: which one is the text's would be a guess.
"""

import json
import mimetypes
import re
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from typing import Any, NamedTuple, TypeVar

from lxml import etree

from miniature_memory.extraction.license_names import MOST_CHARS, is_creative_commons, of_address, of_text
from miniature_memory.extraction.vocabulary import BLOCK_TAGS

T = TypeVar("T")

MOST_LOOKED_AT = 40  # elements of one way: the first and the last; guess
MOST_ANCESTORS = 200  # that an element is seen in; guess: real pages nest less than half as deep
MOST_JSON_CHARS = 200_000  # of one script; guess
MOST_NODES = 1000  # of JSON-LD; guess
LICENSE_METAS = {"license", "licence", "copyright-license", "dc.license", "dcterms.license", "dc.rights.license",
                 "cc:license", "dc:license", "dct:license", "dcterms:license"}
RIGHTS_METAS = {"dc.rights", "dcterms.rights", "dc.rights.uri"}
# A page without them names none
TELLING = (b"licen", b"creativecommons", b".rights")
LICENSE_NAMES = {"license", "cc:license", "dc:license", "dct:license", "dcterms:license", "xhv:license",
                 "schema:license"}  # in rel, property and itemprop
# Things that a page is not, though it shows them: their licenses are not its text's (schema.org, dcmitype)
OTHER_THINGS = ("image", "video", "audio", "music", "photo", "mediaobject", "mediagallery", "movie", "software",
                "dataset", "datadownload", "product", "3dmodel", "sound")
OTHERS_TAGS = {"figure", "figcaption", "picture", "blockquote", "template"}
# Words of class and id names, below the elements that hold a whole page, whose own names tell what it has
WHOLE_TAGS = {"html", "body", "main", "article", "section"}
OTHERS_WORDS = {"caption", "captions", "thumbcaption", "credit", "credits", "figure", "image", "images", "photo",
                "photos", "gallery", "comment", "comments", "disqus"}
FOOTER_WORDS, NOTICE_WORDS = {"foot", "footer", "colophon"}, {"license", "licence", "copyright"}
_WORD = re.compile(r"[a-z]+")


class Named(NamedTuple):
    license: str
    in_footer: bool = False


def may_name_one(html: str) -> bool:
    """Whether a page may name a license, going by its words: most are done with that. Bytes are searched faster."""
    data = html.encode("utf-8", "replace").lower()
    return any(word in data for word in TELLING)


def page_license(root: etree._Element, url: str = "") -> str:
    """SPDX's short name of the license that a page names, or its address; '' where the page names none."""
    base = next((href for element in root.iter("base") if (href := element.get("href"))), "")
    base = of_address(base, url) or url
    for way in WAYS:
        found = [named for named in way(root, base) if named.license]
        of_page = {named.license for named in found}
        if len(of_page) > 1:
            of_page = {named.license for named in found if named.in_footer}
        if found:
            return of_page.pop() if len(of_page) == 1 else ""
    return ""


# --- the ways, each from a page to the licenses that it names ------------------------------------


def _links_of_head(root: etree._Element, base: str) -> Iterator[Named]:
    for element in _some([link for link in root.iter("link") if "license" in (link.get("rel") or "").lower().split()]):
        yield Named(of_address(element.get("href") or "", base))


def _metas(root: etree._Element, base: str) -> Iterator[Named]:
    named = [((meta.get("name") or meta.get("property") or "").lower(), meta) for meta in root.iter("meta")]
    for name, meta in _some([pair for pair in named if pair[0] in LICENSE_METAS | RIGHTS_METAS]):
        yield Named(of_text(meta.get("content") or "", is_license=name in LICENSE_METAS))


def _in_json_ld(root: etree._Element, base: str) -> Iterator[Named]:
    for script in _some([each for each in root.iter("script") if "ld+json" in (each.get("type") or "").lower()]):
        text = script.text or ""
        if '"license"' in text and len(text) <= MOST_JSON_CHARS:
            try:
                yield from map(Named, _licenses_of(json.loads(text)))
            except (ValueError, RecursionError):
                continue


def _licenses_of(content: Any) -> Iterator[str]:
    """The licenses of the things that JSON-LD is about: not of those that they have or show."""
    nodes, n = [content], 0
    while nodes and n < MOST_NODES:
        node, n = nodes.pop(), n + 1
        if isinstance(node, list):
            nodes += reversed(node[:MOST_NODES])
        elif isinstance(node, dict):
            nodes += [node[key] for key in ("@graph", "mainEntity") if key in node]
            if "license" in node and not _is_other_thing(node.get("@type")):
                yield from map(_license_value, node["license"] if isinstance(node["license"], list)
                               else [node["license"]])


def _license_value(value: Any) -> str:
    if isinstance(value, dict):
        value = value.get("@id") or value.get("url") or value.get("name")
    return of_text(value) if isinstance(value, str) else ""


def _marked(root: etree._Element, base: str) -> Iterator[Named]:
    """Links and properties that say of themselves that they are the license: rel, RDFa's property, itemprop."""
    for element in _some([element for element in root.iter("*") if _is_marked(element)]):
        address = element.get("href") or element.get("resource") or ""
        if (place := _place(element)) is not None:
            text = element.get("content") or _text(element)
            yield Named(of_address(address, base) if address else of_text(text), place)


def _is_marked(element: etree._Element) -> bool:
    for name in ("itemprop",) if element.tag in ("meta", "link") else ("rel", "property", "itemprop"):
        value = (element.get(name) or "")[:MOST_CHARS].lower()
        if "license" in value and not LICENSE_NAMES.isdisjoint(re.split("[/#]", word)[-1] for word in value.split()):
            return True
    return False


def _linked(root: etree._Element, base: str) -> Iterator[Named]:
    """Links to Creative Commons: in the footer, or as a notice of their own, with a badge or by the license's name."""
    links = [link for link in root.iter("a") if "creativecommons.org/" in (link.get("href") or "").lower()]
    for element in _some(links):
        name = of_address(element.get("href") or "", base)
        if not is_creative_commons(name) or (in_footer := _place(element)) is None:
            continue
        if in_footer or _has_badge(element) or _is_notice(element):
            yield Named(name, in_footer)


WAYS: tuple[Callable[[etree._Element, str], Iterable[Named]], ...] = (
    _links_of_head, _metas, _in_json_ld, _marked, _linked)


# --- where an element stands ---------------------------------------------------------------------


def _some(elements: list[T]) -> list[T]:
    half = MOST_LOOKED_AT // 2
    return elements if len(elements) <= MOST_LOOKED_AT else elements[:half] + elements[-half:]


def _place(element: etree._Element) -> bool | None:
    """Whether an element stands in the footer or in what is named a notice; None if it stands with a picture, in a
    comment or in a quotation, or belongs to a thing that is not the page."""
    in_footer = is_notice = is_others = False
    for up in chain([element], islice(element.iterancestors(), MOST_ANCESTORS)):
        thing = up.get("itemtype") or up.get("typeof")
        if up.tag in OTHERS_TAGS or _is_other_thing(thing) or _is_file(up.get("about")):
            return None
        words = set[str]() if up.tag in WHOLE_TAGS else set(_WORD.findall(
            f"{up.get('class') or ''} {up.get('id') or ''}"[:MOST_CHARS].lower()))
        in_footer |= up.tag == "footer" or bool(words & FOOTER_WORDS)
        is_notice |= bool(words & NOTICE_WORDS and not words & OTHERS_WORDS)
        is_others |= bool(words & OTHERS_WORDS)
    return None if is_others and not in_footer else in_footer or is_notice


def _is_file(about: str | None) -> bool:
    """Whether RDFa's about names a picture or the like."""
    kind = mimetypes.guess_type(about[:MOST_CHARS])[0] if about else None
    return bool(kind) and not str(kind).startswith(("text/", "application/"))


def _is_other_thing(kinds: Any) -> bool:
    """Whether a type of schema.org or dcmitype is of something other than a text."""
    kinds = " ".join(map(str, kinds)) if isinstance(kinds, list) else str(kinds or "")
    return any(thing in kinds[:500].lower() for thing in OTHER_THINGS)


def _has_badge(link: etree._Element) -> bool:
    """Whether a link has one of Creative Commons' pictures in it."""
    return any("creativecommons.org/" in source or "licensebuttons.net/" in source or "Creative Commons" in name
               for image in _some(list(link.iter("img")))
               for source, name in [(image.get("src") or "", image.get("alt") or "")])


def _is_notice(link: etree._Element) -> bool:
    """Whether a link that names the license stands in a short block without a picture before or in it."""
    if not of_text(_text(link), is_license=False):
        return False
    block = next((up for up in link.iterancestors() if up.tag in BLOCK_TAGS), None)
    if block is None or len(_text(block)) > MOST_CHARS:
        return False
    near = [each for each in (block, block.getprevious()) if each is not None]
    return not any(next(each.iter("img", "figure"), None) is not None for each in near)


def _text(element: etree._Element) -> str:
    """The beginning of an element's text, long enough to see that it is too long."""
    words, n = list[str](), 0
    for text in element.itertext():
        words.append(str(text))
        n += len(text)
        if n > MOST_CHARS:
            break
    return " ".join(" ".join(words).split())
