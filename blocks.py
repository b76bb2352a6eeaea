"""Blocks: a page's main text, chosen block by block with a small learned model that can be read.

One parse, one walk, one matrix, two ensembles of trees, one choice:

1. parse      HTML to an lxml tree, whatever it looks like
2. segment    the tree to text blocks (paragraph, heading, list item, cell, code) in the order of the page
3. features   what a reader sees of each block: length, links, punctuation, class words, place, neighbours,
              how often the same structure comes again, what read mode's score says of its surroundings
4. score      first the block by itself, then again with the first answers about its neighbours and its kin
5. choose     the blocks whose probability promises the best word F1 of this page (threshold = F1 / 2)
6. text_of    blocks to plain text

The coefficients are in blocks.json, fitted by fit_blocks.py on the development part of WCXB.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from lxml import etree

MODEL_PATH = Path(__file__).with_name("blocks.json")
MAX_ELEMENTS = 200_000  # guess: the largest page of WCXB has about 60,000
MAX_BLOCKS = 20_000
SMALL_PAGE_BLOCKS = 10  # guess
MAX_DEPTH = 400  # deeper elements are read, but as if they were at this depth
MAX_TEXT_CHARS = 5_000_000
MAX_COUNTED_CHARS = 50_000  # of one block: a page may be a single word of 5 MB

# --- vocabulary ----------------------------------------------------------------------------------


def _list(words: str) -> list[str]:
    return words.split()


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


SKIPPED = _set(
    "script style template svg math canvas iframe object embed head title link meta select datalist "
    "textarea input audio video map progress meter"
)
BLOCK_TAGS = _set(
    "address article aside blockquote body button caption center dd details dialog dir div dl dt fieldset figcaption "
    "figure footer form frameset h1 h2 h3 h4 h5 h6 header hgroup hr html legend li main menu nav noscript ol p pre "
    "section summary table tbody td tfoot th thead tr ul"
)
HEADINGS = {"h1": 1, "h2": 2, "h3": 3, "h4": 4, "h5": 5, "h6": 6}
TAG_ORDER = _list(
    "p h1 h2 h3 h4 h5 h6 pre blockquote li dd dt td th figcaption caption summary article main section div "
    "button label legend address header footer nav aside"
)
TAG_IDS = {tag: i + 1 for i, tag in enumerate(TAG_ORDER)}
ANCESTOR_TAGS = _list(
    "article main nav header footer aside form table ul ol section figure dl blockquote pre details "
    "button noscript dialog"
)
# Words in class, id, role and itemprop; each line is one bit. Substrings, since names are glued (navbar, postbody).
CUES = {
    "comment": "comment disqus respond",
    "nav": "nav menu",
    "foot": "foot colophon",
    "header": "header masthead topbar",
    "side": "sidebar aside rail secondary",
    "related": "related recommend similar more- also trending popular latest",
    "share": "share social follow",
    "cookie": "cookie consent gdpr onetrust",
    "modal": "modal popup overlay drawer dialog lightbox",
    "crumb": "breadcrumb crumb",
    "byline": "byline author meta date time publish",
    "product": "product pdp",
    "card": "card tile teaser item thumb",
    "buy": "price cart buy basket checkout shipping variant swatch",
    "review": "review rating star",
    "post": "post entry story",
    "article": "article blog",
    "content": "content main body",
    "prose": "prose markdown rich wysiwyg richtext rte text copy",
    "forum": "forum thread topic message reply answer question",
    "user": "user profile avatar member karma vote signature",
    "desc": "desc detail spec summary about overview",
    "hero": "hero banner intro lead jumbo",
    "tag": "tag categ label topic badge chip",
    "letter": "newsletter subscribe signup form login sign-in search",
    "list": "list grid result collection loop feed",
    "fold": "tab accordion faq collapse panel toggle",
    "promo": "widget promo cta ad- ads advert sponsor banner",
    "hidden": "hidden sr-only screen-reader visually offscreen",
    "title": "title heading headline name",
    "page": "pagination pager paginate page-num",
    "filter": "filter sort facet refine toolbar",
    "toc": "toc table-of anchor",
    "legal": "legal copyright disclaimer privacy",
    "slide": "slide carousel swiper slick",
    "button": "btn button link",
    "caption": "caption credit figure image gallery media",
    "code": "code highlight example snippet",
    "step": "step recipe ingredient instruct",
    "quote": "quote testimonial",
}
CUE_BITS = [(word, 1 << i) for i, words in enumerate(CUES.values()) for word in words.split()]
HIDDEN_BIT = 1 << len(CUES)
ANCESTOR_BITS = {tag: 1 << (len(CUES) + 1 + i) for i, tag in enumerate(ANCESTOR_TAGS)}  # 40 + 1 + 19 bits < 63
# read mode's own words for and against an element (readability-lxml, REGEXES positiveRe and negativeRe)
GOOD_BIT, BAD_BIT = 1 << 60, 1 << 61
GOOD = _list("article body content entry hentry main page pagination post text blog story")
BAD = _list(
    "combx comment com- contact foot masthead media meta outbrain promo related scroll shoutbox "
    "sidebar sponsor shopping "
    "tags tool widget"
)
CUE_BITS += [(word, GOOD_BIT) for word in GOOD] + [(word, BAD_BIT) for word in BAD]
# Words in the text of short blocks; each line is one bit.
SAYINGS = {
    "cookie": "cookie cookies consent gdpr",
    "legal": "privacy terms copyright © rights reserved disclaimer trademarks",
    "letter": "subscribe newsletter inbox signup unsubscribe email",
    "account": "login log sign account register password username",
    "share": "share tweet facebook twitter linkedin pinterest whatsapp instagram follow youtube reddit",
    "more": "more continue load view see show all expand",
    "related": "related recommended similar also trending popular latest recent",
    "cart": "cart basket checkout bag wishlist buy shop",
    "by": "by author posted published written editor updated",
    "reply": "reply quote report likes like joined posts replies views member permalink",
    "comment": "comment comments leave",
    "price": "$ € £ price usd shipping free delivery returns stock sale off save",
    "review": "review reviews rating ratings stars verified",
    "nav": "home menu skip search back next previous top toggle close open",
    "date": "january february march april may june july august "
    "september october november december jan feb mar apr jun jul aug sep oct nov dec ago minutes hours days",
    "help": "help support contact faq faqs careers press",
    "ad": "advertisement sponsored ad ads promoted",
    "table": "contents table",
    "spec": "specifications features details description overview ingredients materials dimensions weight includes "
    "about",
    "filter": "filter sort results items per page showing",
    "tagged": "tags tagged filed categories category topics",
}
SAYING_BITS = {word: 1 << i for i, words in enumerate(SAYINGS.values()) for word in words.split()}
PAGE_WORDS = {  # in JSON-LD types, og:type, generator, path of the address
    "ld_article": r'"@type":\s*\[?"(?:\w*Article|BlogPosting)"',
    "ld_product": r'"@type":\s*\[?"Product(?:Group)?"',
    "ld_list": r'"@type":\s*\[?"(?:ItemList|CollectionPage|OfferCatalog|SearchResultsPage)"',
    "ld_forum": r'"@type":\s*\[?"(?:DiscussionForumPosting|QAPage)"',
    "ld_faq": r'"@type":\s*\[?"FAQPage"',
    "ld_how": r'"@type":\s*\[?"(?:HowTo|Recipe)"',
    "ld_org": r'"@type":\s*\[?"(?:LocalBusiness|Service|ProfessionalService|SoftwareApplication)"',
}
PAGE_PATTERNS = {name: re.compile(pattern) for name, pattern in PAGE_WORDS.items()}
GENERATORS = {
    "forum": re.compile(r"discourse|phpbb|vbulletin|xenforo|nodebb|flarum|vanilla|smf|invision", re.I),
    "docs": re.compile(
        r"sphinx|docusaurus|mkdocs|gitbook|docutils|vitepress|starlight|mintlify|doxygen|mediawiki", re.I
    ),
    "shop": re.compile(r"shopify|woocommerce|magento|bigcommerce|prestashop", re.I),
    "blog": re.compile(r"wordpress|ghost|blogger|hugo|jekyll|wix|squarespace", re.I),
}
PATHS = {
    "product": re.compile(r"/(products?|dp|item|itm|p|pd|prod|ip)(/|$)", re.I),
    "collection": re.compile(r"/(collections?|category|categories|shop|c|cat|browse|store|b)(/|$)", re.I),
    "forum": re.compile(
        r"/(forums?|threads?|topics?|t|community|discussions?|questions?|showthread|viewtopic)(/|\.|$)|^forum|^community|^discuss",
        re.I,
    ),
    "docs": re.compile(
        r"/(docs?|documentation|guides?|api|reference|manual|wiki|learn|en|latest|stable|tutorials?)(/|$)|^docs?\.",
        re.I,
    ),
    "blog": re.compile(r"/(blogs?|news|articles?|posts?|story|stories|insights?|20\d\d|magazine)(/|$)", re.I),
    "service": re.compile(r"/(services?|solutions?|about|company|pricing|features?|platform|industries)(/|$)", re.I),
}
ZERO_WIDTH = re.compile(
    "[\u00ad\u200b\u2060\ufeff\u200e\u200f\u202a-\u202e\u2066-\u2069]|"
    "(?<![^\x00-\x7f])[\u200c\u200d]|[\u200c\u200d](?![^\x00-\x7f])"
)  # joiners stay within scripts that need them
LINE = "\x1e"  # stands for <br>; cannot occur in lxml's text
WORD = re.compile(r"\w+")


# --- 1. parse ------------------------------------------------------------------------------------


def parse(html: str) -> etree._Element | None:
    """The root element, or None where there is nothing to parse. Never raises for bad HTML."""
    data = html.replace("\x00", "").encode("utf-8", "replace")
    if not data.strip():
        return None
    parser = etree.HTMLParser(encoding="utf-8", remove_comments=True, remove_pis=True, huge_tree=True)
    try:
        return etree.fromstring(data, parser)
    except (etree.LxmlError, ValueError, AssertionError):
        return None


# --- 2. segment ----------------------------------------------------------------------------------


class Block(NamedTuple):
    """One piece of text that stands or falls as a whole."""

    text: str
    kind: str  # heading, item, cell, code, quote, paragraph
    tag: str
    element: int  # index into Page's element columns
    link_chars: int
    bits: int  # class words of inline elements inside
    row: int  # index of the table row around it, or -1
    cell: int  # index of the table cell around it, or -1
    item: int  # index of the list item around it, or -1


@dataclass
class Page:
    """A segmented page: blocks, and the block-level elements as columns in document order."""

    blocks: list[Block] = field(default_factory=list)
    tag: list[str] = field(default_factory=list)
    parent: list[int] = field(default_factory=list)
    depth: list[int] = field(default_factory=list)
    bits: list[int] = field(default_factory=list)  # own class words and tag
    path_bits: list[int] = field(default_factory=list)  # and all ancestors'
    shape: list[int] = field(default_factory=list)  # number of the element's (tag, class)
    path_shape: list[int] = field(default_factory=list)  # number of the whole path of shapes
    weight: list[int] = field(default_factory=list)  # read mode's class weight: +25 good, -25 bad
    first: list[int] = field(default_factory=list)  # its blocks are blocks[first:last]
    last: list[int] = field(default_factory=list)
    end: list[int] = field(default_factory=list)  # its elements are [index:end]
    page_bits: dict[str, float] = field(default_factory=dict)
    about: set[str] = field(default_factory=set)  # words of title and description
    title: set[str] = field(default_factory=set)


@lru_cache(maxsize=50_000)
def _cue_bits(name: str) -> int:
    """Bits of the class words in one lower-case class or id name.

    Names with a colon or bracket are utility classes (md:hidden) that say nothing of meaning.
    """
    bits = 0
    if ":" in name or "[" in name or len(name) > 60:
        return 0
    for word, bit in CUE_BITS:
        if word in name:
            bits |= bit
    return bits


def _names(node: etree._Element) -> str:
    get = node.get
    names = get("class") or ""
    for key in ("id", "role", "itemprop"):
        more = get(key)
        if more:
            names = f"{names} {more}"
    return names[:300].lower()


def segment(root: etree._Element) -> Page:
    """Walks the tree once, with a stack of its own, and cuts the text at block elements and double <br>."""
    page = Page()
    blocks = page.blocks
    tags, parents, depths, bits_of, path_bits = page.tag, page.parent, page.depth, page.bits, page.path_bits
    shapes, path_shapes, weights, firsts, lasts, ends = (
        page.shape,
        page.path_shape,
        page.weight,
        page.first,
        page.last,
        page.end,
    )
    rows: list[int] = []
    cells: list[int] = []
    items: list[int] = []
    shape_ids: dict[Any, int] = {}
    name_bits: dict[str, int] = {}
    pieces: list[str] = []
    state_owner = -1  # element that owns the block under way
    link_chars = 0
    inline_bits = 0
    total_chars = 0

    def flush(owner: int, pre: bool = False) -> None:
        nonlocal state_owner, link_chars, inline_bits, total_chars
        if pieces:
            raw = "".join(pieces)
            pieces.clear()
            if not raw.isascii():
                raw = ZERO_WIDTH.sub("", raw)
            if pre:
                text = "\n".join(
                    line.rstrip().replace("\xa0", " ") for line in raw.replace(LINE, "\n").expandtabs(4).split("\n")
                ).strip("\n")
            elif LINE in raw:
                text = "\n".join(filter(None, (" ".join(line.split()) for line in raw.split(LINE))))
            else:
                text = " ".join(raw.split())
            if text and len(blocks) < MAX_BLOCKS and total_chars < MAX_TEXT_CHARS:
                el = state_owner if state_owner >= 0 else owner
                tag = tags[el]
                if pre:
                    kind = "code"
                elif tag in HEADINGS:
                    kind = "heading"
                elif rows[el] >= 0:
                    kind = "cell"
                elif items[el] >= 0 or tag in ("dt", "dd"):
                    kind = "item"
                else:
                    kind = "paragraph"
                blocks.append(
                    Block(text, kind, tag, el, min(link_chars, len(text)), inline_bits, rows[el], cells[el], items[el])
                )
                total_chars += len(text)
        state_owner = -1
        link_chars = 0
        inline_bits = 0

    def cues_of(names: str) -> int:
        bits = name_bits.get(names)
        if bits is None:
            bits = 0
            for name in names.split():
                bits |= _cue_bits(name.rstrip("0123456789-_"))
            name_bits[names] = bits
        return bits

    def open_element(tag: str, node: etree._Element, parent: int) -> int:
        names = _names(node)
        bits = cues_of(names)
        get = node.get
        if get("hidden") is not None or get("aria-hidden") == "true":
            bits |= HIDDEN_BIT
        style = get("style")
        if style and "display" in style and "none" in style:
            bits |= HIDDEN_BIT
        bits |= ANCESTOR_BITS.get(tag, 0)
        me = len(tags)
        key = (tag, get("class"))
        shape = shape_ids.setdefault(key, len(shape_ids))
        tags.append(tag)
        parents.append(max(parent, 0))
        depths.append(depths[parent] + 1 if parent >= 0 else 0)
        bits_of.append(bits)
        path_bits.append(bits | (path_bits[parent] if parent >= 0 else 0))
        shapes.append(shape)
        path_shapes.append(shape_ids.setdefault((shape, path_shapes[parent] if parent >= 0 else -1), len(shape_ids)))
        weights.append(25 * (bits & GOOD_BIT != 0) - 25 * (bits & BAD_BIT != 0))
        firsts.append(len(blocks))
        lasts.append(len(blocks))
        ends.append(me + 1)
        rows.append(me if tag == "tr" else rows[parent] if parent >= 0 and tag not in ("table",) else -1)
        cells.append(me if tag in ("td", "th") else cells[parent] if parent >= 0 and tag != "table" else -1)
        items.append(me if tag == "li" else items[parent] if parent >= 0 and tag != "table" else -1)
        return me

    top = open_element("body", root, -1)
    # frame: children, element around, node, is it a block, inside a link, inside <pre>
    stack: list[tuple[Any, int, Any, bool, bool, bool]] = [(iter(root), top, root, True, False, False)]
    while stack:
        children, around, node, is_block, in_link, in_pre = stack[-1]
        child = next(children, None)
        if child is None:
            stack.pop()
            if is_block:
                if not in_pre or node.tag == "pre":
                    flush(around, in_pre)
                lasts[around] = len(blocks)
                ends[around] = len(tags)
            if stack and node.tail:
                _, around, _, _, in_link, in_pre = stack[-1]
                tail = node.tail
                if in_pre or not tail.isspace():
                    if state_owner < 0:
                        state_owner = around
                    if in_link:
                        link_chars += len(tail.strip())
                pieces.append(tail)
            continue
        tag = child.tag
        if tag.__class__ is not str or (tag in SKIPPED and child.get("shadowrootmode") is None):
            tail = child.tail
            if tail:
                if state_owner < 0 and not tail.isspace():
                    state_owner = around
                pieces.append(tail)
            continue
        if tag == "br":
            if (
                not in_pre
                and pieces
                and (pieces[-1] == LINE or (len(pieces) > 1 and pieces[-2] == LINE and pieces[-1].isspace()))
            ):
                flush(around)  # an empty line is how old pages divide paragraphs
            else:
                pieces.append(LINE)
            if child.tail:
                if state_owner < 0 and not child.tail.isspace():
                    state_owner = around
                if in_link:
                    link_chars += len(child.tail.strip())
                pieces.append(child.tail)
            continue
        block = tag in BLOCK_TAGS or "-" in tag
        if block:
            if in_pre:
                pieces.append("\n")  # lines of code that are wrapped in elements of their own
            else:
                flush(around)
            if len(tags) >= MAX_ELEMENTS:
                continue
            me = open_element(tag, child, around) if len(stack) < MAX_DEPTH else around
            pre = in_pre or tag == "pre"
            link = in_link
        else:
            me, pre, link = around, in_pre, in_link or tag == "a"
            names = child.get("class")
            if names:
                inline_bits |= cues_of(names[:200].lower())
        text = child.text
        if text:
            if pre or not text.isspace():
                if state_owner < 0:
                    state_owner = me
                if link:
                    link_chars += len(text.strip())
            pieces.append(text)
        stack.append((iter(child), me, child, block, link, pre))
    flush(top)
    lasts[0] = len(blocks)
    ends[0] = len(tags)
    _drop_noscript(page)
    _describe(page, root)
    return page


def _drop_noscript(page: Page) -> None:
    """<noscript> is read only where the rest of the page is nearly empty: elsewhere it repeats or begs for scripts."""
    bit = ANCESTOR_BITS["noscript"]
    inside = [page.path_bits[block.element] & bit != 0 for block in page.blocks]
    if not any(inside):
        return
    chars = [0, 0]
    for block, is_inside in zip(page.blocks, inside, strict=False):
        chars[is_inside] += len(block.text)
    if chars[1] > 2 * chars[0]:
        return
    kept = np.concatenate([[0], np.cumsum(~np.array(inside))])
    page.blocks[:] = [block for block, is_inside in zip(page.blocks, inside, strict=False) if not is_inside]
    page.first[:] = [int(kept[i]) for i in page.first]
    page.last[:] = [int(kept[i]) for i in page.last]


def _words(text: str | None) -> list[str]:
    return WORD.findall((text or "")[:1000].lower())


def _describe(page: Page, root: etree._Element) -> None:
    """What the page says of itself to machines: kind of page, title, description, address."""
    seen: dict[str, str] = {}
    for meta in root.iter("meta"):
        key = meta.get("property") or meta.get("name") or ""
        if key:
            seen.setdefault(key.lower(), meta.get("content") or "")
    title = root.find(".//title")
    title_text = title.text if title is not None and title.text else seen.get("og:title", "")
    page.title = set(_words(title_text) + _words(seen.get("og:title")))
    page.about = set(_words(seen.get("description")) + _words(seen.get("og:description")))
    out = page.page_bits
    ld = []
    for script in root.iter("script"):
        if script.text and "ld+json" in (script.get("type") or ""):
            ld.append(script.text[:100_000])
    joined = "\n".join(ld)
    for name, pattern in PAGE_PATTERNS.items():
        out[name] = float(pattern.search(joined) is not None) if joined else 0.0
    og = seen.get("og:type", "").lower()
    out["og"] = 1.0 if "article" in og else 2.0 if "product" in og else 3.0 if og else 0.0
    generator = seen.get("generator", "")[:200]
    for name, pattern in GENERATORS.items():
        out["made_" + name] = float(pattern.search(generator) is not None)
    address = seen.get("og:url", "")
    for link in root.iter("link"):
        if (link.get("rel") or "").lower() == "canonical" and link.get("href"):
            address = link.get("href") or ""
            break
    rest = address.split("://", 1)[-1].split("?", 1)[0].split("#", 1)[0][:300].removeprefix("www.")
    for name, pattern in PATHS.items():
        out["path_" + name] = float(pattern.search(rest) is not None)
    path = [part for part in rest.split("/")[1:] if part]
    out["path_depth"] = float(min(len(path), 5)) if address else -1.0
    out["slug_words"] = float(min(path[-1].count("-"), 8)) if path else 0.0


# --- 3. features ---------------------------------------------------------------------------------

_CATEGORY = np.zeros(
    65536, np.uint8
)  # 1 space, 2 digit, 3 capital, 4 small letter, 5 ends a sentence, 6 comma and the like
for _code in range(65536):
    _char = chr(_code)
    if _char.isspace():
        _CATEGORY[_code] = 1
    elif _char.isdigit():
        _CATEGORY[_code] = 2
    elif _char.isupper():
        _CATEGORY[_code] = 3
    elif _char.isalnum() or _char == "_":
        _CATEGORY[_code] = 4
for _char in ".!?…。！？":
    _CATEGORY[ord(_char)] = 5
for _char in ",;:、，；：":
    _CATEGORY[ord(_char)] = 6
LEVELS = 7
SHARED_CUES = list(CUES) + ["hidden_attr"] + ["in_" + tag for tag in ANCESTOR_TAGS]


class Table(NamedTuple):
    """Features of a page's blocks, and what the second pass needs to average over relatives."""

    x: np.ndarray  # float32 (blocks, features)
    names: list[str]
    words: np.ndarray  # float64 (blocks,)
    spans: list[tuple[np.ndarray, np.ndarray]]  # per ancestor level: first and last block
    groups: list[np.ndarray]  # per kind of kinship: group number of each block


def _bits_to_columns(bits: np.ndarray, n_bits: int) -> np.ndarray:
    return ((bits[:, None] >> np.arange(n_bits, dtype=np.int64)) & 1).astype(np.float32)


def _char_counts(texts: list[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(counts of 7 categories, words, lengths, category of the last character) of each text."""
    texts = [text[:MAX_COUNTED_CHARS] for text in texts]
    lengths = np.array([len(text) for text in texts])
    codes = np.frombuffer("\n".join(texts).encode("utf-32-le", "replace"), np.uint32)
    category = _CATEGORY[np.minimum(codes, 65535)]
    starts = np.concatenate([[0], np.cumsum(lengths + 1)[:-1]])
    stops = starts + lengths
    counts = np.zeros((len(texts), 7))
    running = np.zeros(len(codes) + 1, np.int32)  # one for all
    for kind in range(7):
        np.cumsum(category == kind, out=running[1:])
        counts[:, kind] = running[stops] - running[starts]
    is_word = (category >= 2) & (category <= 4)
    begins = is_word.copy()
    begins[1:] &= ~is_word[:-1]
    np.cumsum(begins, out=running[1:])
    return counts, (running[stops] - running[starts]).astype(float), lengths.astype(float), category[stops - 1]


def _shift(column: np.ndarray, by: int, fill: float = -1.0) -> np.ndarray:
    """column moved so that row i holds row i + by."""
    out = np.full_like(column, fill)
    if by > 0:
        out[: -by or None] = column[by:]
    else:
        out[-by:] = column[:by]
    return out


def _common_depth(
    page: Page, parent: np.ndarray, depth: np.ndarray, end: np.ndarray, target: int, elements: np.ndarray
) -> np.ndarray:
    """How far one must climb from `target` to find an element that holds each of `elements` too."""
    up = np.full(len(elements), float(depth[target]))
    node, climbed = target, 0
    while True:
        inside = (elements >= node) & (elements < end[node])
        up[inside] = np.minimum(up[inside], climbed)
        if node == 0:
            return up
        node = int(parent[node])
        climbed += 1


def features(page: Page) -> Table:
    """The matrix of a page with at least one block."""
    blocks = page.blocks
    n = len(blocks)
    texts = [block.text for block in blocks]
    counts, words, chars, last_category = _char_counts(texts)
    element = np.array([block.element for block in blocks])
    link = np.array([block.link_chars for block in blocks]) / chars
    heading = np.array([HEADINGS.get(block.tag, 0) for block in blocks])
    parent, depth, end = np.array(page.parent), np.array(page.depth), np.array(page.end)
    bits, path_bits = np.array(page.bits, np.int64), np.array(page.path_bits, np.int64)
    first, last = np.array(page.first), np.array(page.last)
    ends_sentence = (last_category == 5).astype(float)
    total = max(words.sum(), 1.0)
    names: list[str] = []
    columns: list[np.ndarray] = []

    def add(name: str, column: np.ndarray) -> None:
        names.append(name)
        columns.append(np.asarray(column, np.float32))

    # the block alone
    add("words", words)
    add("chars_per_word", chars / np.maximum(words, 1))
    add("link", link)
    add("commas", counts[:, 6] / np.maximum(words, 1))
    add("stops", counts[:, 5] / np.maximum(words, 1))
    add("ends_sentence", ends_sentence)
    add("digits", counts[:, 2] / chars)
    add("capitals", counts[:, 3] / chars)
    add("other_chars", counts[:, 0] / chars)
    add("lines", np.array([text.count("\n") for text in texts]))
    tag_ids = np.array([TAG_IDS.get(block.tag, 0) for block in blocks])
    add("tag", tag_ids)
    add("heading", heading)
    add("depth", np.minimum(depth[element], 30))
    # sayings and overlap with what the page says of itself
    sayings = np.zeros(n, np.int64)
    in_title, in_about = np.zeros(n), np.zeros(n)
    for i, text in enumerate(texts):
        said = text[:90].lower().split() if words[i] < 40 else text[:200].lower().split()
        if words[i] < 40:
            for word in said:
                bit = SAYING_BITS.get(word.strip(".,:;!?()\"'"))
                if bit:
                    sayings[i] |= bit
            if said and said[0][0] in "$€£©":
                sayings[i] |= SAYING_BITS["©" if said[0][0] == "©" else "$"]
        if said:
            own = set(said)
            in_title[i] = len(own & page.title) / len(own)
            in_about[i] = len(own & page.about) / len(own)
    add("in_title", in_title)
    add("in_about", in_about)
    sayings_columns = _bits_to_columns(sayings, len(SAYINGS))
    repeats: dict[str, int] = {}
    for text in texts:
        repeats[text] = repeats.get(text, 0) + 1
    add("repeats", np.minimum([repeats[text] for text in texts], 6))
    # place
    order = np.arange(n)
    before = np.cumsum(words) - words
    add("place", order / n)
    add("words_before", before / total)
    add("log_words_before", np.log2(before + 1))
    add("log_words_after", np.log2(total - before - words + 1))
    h1s = np.flatnonzero(heading == 1)
    titled = np.flatnonzero((heading > 0) & (in_title > 0.6) & (words > 2))
    main_heading = int(h1s[0]) if len(h1s) == 1 else int(titled[0]) if len(titled) else int(h1s[0]) if len(h1s) else -1
    add("after_h1", np.clip(order - main_heading, -30, 200) if main_heading >= 0 else np.full(n, -99.0))
    add(
        "words_after_h1",
        np.sign(order - main_heading) * np.log2(np.abs(before - before[main_heading]) + 1)
        if main_heading >= 0
        else np.full(n, -99.0),
    )
    add(
        "climb_from_h1",
        _common_depth(page, parent, depth, end, blocks[main_heading].element, element)
        if main_heading >= 0
        else np.full(n, -1.0),
    )
    # the section: nearest heading above
    above = np.maximum.accumulate(np.where(heading > 0, order, -1))
    add("since_heading", np.where(above >= 0, np.minimum(order - above, 60), -1))
    add("heading_above", np.where(above >= 0, heading[above], 0))
    said_above = np.where(above >= 0, sayings[above], 0)
    # sums over every element: by prefix sums, since an element's blocks are a range
    zero = np.zeros(1)

    def running(column: np.ndarray) -> np.ndarray:
        return np.concatenate([zero, np.cumsum(column)])

    run_words, run_link = running(words), running(words * link)
    run_stops, run_long = running(counts[:, 5] + counts[:, 6]), running(words * (words >= 15))
    sum_words = run_words[last] - run_words[first]
    sum_link = run_link[last] - run_link[first]
    sum_stops = run_stops[last] - run_stops[first]
    sum_long = run_long[last] - run_long[first]
    n_blocks = last - first
    # read mode's score (Arc90, as in readability-lxml): paragraphs give to their parent and half to its parent
    score = np.zeros(len(parent))
    counted = chars >= 25
    given = np.where(counted, 1 + counts[:, 6] + np.minimum(chars / 100, 3), 0.0)
    np.add.at(score, parent[element], given)
    np.add.at(score, parent[parent[element]], given / 2)
    has = score > 0
    score = np.where(has, score + np.array(page.weight), 0) * (1 - sum_link / np.maximum(sum_words, 1))
    best = int(np.argmax(score))
    best_score = max(float(score[best]), 1.0)
    add("climb_from_best", _common_depth(page, parent, depth, end, best, element))
    inside = (element >= best) & (element < end[best])
    add("below_best", np.where(inside, depth[element] - depth[best], -1))
    add("parent_score", score[parent[element]] / best_score)
    add("grand_score", score[parent[parent[element]]] / best_score)
    add("best_place", order - first[best])
    page_best_share = sum_words[best] / total
    # the largest <article> or <main>, and how many articles there are
    tag_array = np.array(page.tag)
    articles = np.flatnonzero(tag_array == "article")
    if len(articles):
        biggest = int(articles[np.argmax(sum_words[articles])])
        add("in_biggest_article", (element >= biggest) & (element < end[biggest]))
    else:
        add("in_biggest_article", np.full(n, -1))
    mains = np.flatnonzero((tag_array == "main") | (np.array(page.bits, np.int64) & ANCESTOR_BITS["main"] > 0))
    add("has_main", np.full(n, min(len(mains), 1)))
    # surroundings: the element and its ancestors
    sibling_key = parent.astype(np.int64) * (max(page.shape) + 1) + np.array(page.shape)
    _, kin, kin_counts = np.unique(sibling_key, return_inverse=True, return_counts=True)
    same = kin_counts[kin]
    spans = []
    level = element
    near_bits = np.array([block.bits for block in blocks], np.int64)
    repeating = np.zeros(n)
    for k in range(LEVELS):
        if k < 3:
            near_bits |= bits[level]
        if k < 5:
            add(f"same_{k}", np.minimum(same[level], 60))
            repeating = np.maximum(repeating, np.where(n_blocks[level] > 1, same[level], 0))
        around_words = sum_words[level]
        add(f"share_{k}", around_words / total)
        add(f"link_{k}", sum_link[level] / np.maximum(around_words, 1))
        add(f"blocks_{k}", np.minimum(n_blocks[level], 300))
        add(f"mean_words_{k}", around_words / np.maximum(n_blocks[level], 1))
        if k:
            add(f"stops_{k}", sum_stops[level] / np.maximum(around_words, 1))
            add(f"long_{k}", sum_long[level] / np.maximum(around_words, 1))
            add(f"place_{k}", order - first[level])
        spans.append((first[level], last[level]))
        level = parent[level]
    add("repeating", np.minimum(repeating, 60))
    # kin: blocks at the same path of (tag, class), wherever they stand
    groups = []
    for name, ids in (
        ("path", np.array(page.path_shape)[element]),
        ("pair", np.array(page.shape)[element] * 100_003 + np.array(page.shape)[parent[element]]),
    ):
        _, group = np.unique(ids, return_inverse=True)
        groups.append(group)
        size = np.bincount(group)
        group_words = np.bincount(group, words)
        add(f"{name}_size", np.minimum(size[group], 100))
        add(f"{name}_share", (group_words / total)[group])
        add(f"{name}_mean", (group_words / size)[group])
        add(f"{name}_link", (np.bincount(group, words * link) / np.maximum(group_words, 1))[group])
        add(f"{name}_stops", (np.bincount(group, counts[:, 5]) / np.maximum(group_words, 1))[group])
    groups.append(above + 1)
    # neighbours
    for by in (-3, -2, -1, 1, 2, 3):
        add(f"words_{by}", _shift(words, by))
        add(f"linked_{by}", _shift(link, by))
        if abs(by) < 3:
            add(f"tag_{by}", _shift(tag_ids.astype(float), by))
            add(f"ends_{by}", _shift(ends_sentence, by))
            add(f"stops_by_{by}", _shift(counts[:, 5] / np.maximum(words, 1), by))
    unlinked = running(words * (1 - link))
    run_sentences = running(words * (counts[:, 5] > 0))
    for radius in (4, 10, 25):
        low, high = np.maximum(order - radius, 0), np.minimum(order + radius + 1, n)
        add(f"unlinked_{radius}", (unlinked[high] - unlinked[low]) / (high - low))
        add(
            f"sentences_{radius}",
            (run_sentences[high] - run_sentences[low]) / np.maximum(run_words[high] - run_words[low], 1),
        )
    # the page, coarsely: exact sizes would let the trees learn single pages by heart
    constant = {
        "page_blocks": np.round(2 * np.log2(n + 1)) / 2,
        "page_words": np.round(2 * np.log2(total + 1)) / 2,
        "page_link": np.round(10 * (words * link).sum() / total) / 10,
        "page_long": np.round(10 * run_long[-1] / total) / 10,
        "page_best_share": np.round(10 * page_best_share) / 10,
        "page_articles": min(len(articles), 5),
        "page_h1": min(len(h1s), 3),
        "page_code": min(sum(block.kind == "code" for block in blocks), 3),
        "page_prices": min(int((sayings & SAYING_BITS["$"] > 0).sum()), 12),
        "page_replies": min(int((sayings & SAYING_BITS["reply"] > 0).sum()), 8),
        **page.page_bits,
    }
    for name, value in constant.items():
        add("p_" + name, np.full(n, value))
    matrix = np.column_stack(columns)
    shared = len(SHARED_CUES)
    parts = [
        matrix,
        sayings_columns,
        _bits_to_columns(said_above, len(SAYINGS)),
        _bits_to_columns(path_bits[element], shared),
        _bits_to_columns(near_bits, len(CUES)),
    ]
    names += ["says_" + name for name in SAYINGS] + ["above_says_" + name for name in SAYINGS]
    names += ["path_" + name for name in SHARED_CUES] + ["near_" + name for name in CUES]
    return Table(np.hstack(parts).astype(np.float32), names, words, spans, groups)


def second_features(table: Table, p: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """What the first pass said of the block, its neighbours, its surroundings and its kin."""
    n = len(p)
    words = table.words
    names: list[str] = []
    columns: list[np.ndarray] = []

    def add(name: str, column: np.ndarray) -> None:
        names.append("p1_" + name)
        columns.append(np.asarray(column, np.float32))

    add("own", p)
    for by in (-4, -3, -2, -1, 1, 2, 3, 4):
        add(f"at_{by}", _shift(p, by))
    weight = words + 1.0
    zero = np.zeros(1)
    run_weight, run_p = np.concatenate([zero, np.cumsum(weight)]), np.concatenate([zero, np.cumsum(weight * p)])
    order = np.arange(n)
    for radius in (3, 8, 20):
        low, high = np.maximum(order - radius, 0), np.minimum(order + radius + 1, n)
        add(f"window_{radius}", (run_p[high] - run_p[low]) / (run_weight[high] - run_weight[low]))
    for k, (first, last) in enumerate(table.spans):
        if k:
            add(f"around_{k}", (run_p[last] - run_p[first]) / np.maximum(run_weight[last] - run_weight[first], 1))
    for name, group in zip(("path", "pair", "section"), table.groups, strict=False):
        add(f"kin_{name}", (np.bincount(group, weight * p) / np.maximum(np.bincount(group, weight), 1))[group])
    mass = run_p[-1]
    add("mass", np.full(n, np.round(10 * mass / run_weight[-1]) / 10))
    add("mass_log", np.full(n, np.round(2 * np.log2(mass + 1)) / 2))
    add("mass_before", run_p[:-1] / max(mass, 1))
    strong = weight * (p > 0.5)
    run_strong = np.cumsum(strong)
    total_strong = max(float(run_strong[-1]), 1.0)
    add("strong_before", (run_strong - strong) / total_strong)
    add("strong_after", (total_strong - run_strong) / total_strong)
    add("max", np.full(n, np.round(10 * p.max()) / 10))
    return np.column_stack(columns), names


# --- 4. score ------------------------------------------------------------------------------------


class Trees:
    """An ensemble of binary trees in flat arrays, evaluated for all blocks and all trees at once."""

    def __init__(self, spec: dict[str, Any]) -> None:
        self.feature = np.array(spec["feature"], np.int32)  # -1 at leaves
        self.value = np.array(spec["value"], np.float32)  # threshold, or the leaf's log-odds
        self.left = np.array(spec["left"], np.int32)  # left child; the right one is next to it
        self.roots = np.array(spec["roots"], np.int32)
        self.base = float(spec["base"])
        leaf = self.feature < 0
        self.depth = int(spec["depth"])
        # a leaf leads to itself, so that all trees can be walked equally long
        self.walk_feature = np.where(leaf, 0, self.feature).astype(np.int32)
        self.walk_value = np.where(leaf, np.inf, self.value).astype(np.float32)
        self.walk_left = np.where(leaf, np.arange(len(leaf)), self.left).astype(np.int32)

    def log_odds(self, x: np.ndarray) -> np.ndarray:
        n, width = x.shape
        out = np.empty(n)
        flat_all = np.ascontiguousarray(x, np.float32)
        for start in range(0, n, 512):  # bounded memory for pages of many blocks
            part = flat_all[start : start + 512]
            flat = part.ravel()
            rows = (np.arange(len(part), dtype=np.int32) * width)[:, None]
            node = np.repeat(self.roots[None, :], len(part), axis=0)
            for _ in range(self.depth):
                value = flat.take(self.walk_feature.take(node) + rows)
                node = self.walk_left.take(node) + (value > self.walk_value.take(node))
            out[start : start + 512] = self.value.take(node).sum(axis=1, dtype=np.float64)
        return out + self.base


class Model(NamedTuple):
    first: Trees
    second: Trees
    first_columns: np.ndarray  # which columns of the matrix each pass reads
    second_columns: np.ndarray
    names: list[str]
    choice: dict[str, float]


def model_from(spec: dict[str, Any]) -> Model:
    return Model(
        Trees(spec["first"]),
        Trees(spec["second"]),
        np.array(spec["first"]["columns"], np.int32),
        np.array(spec["second"]["columns"], np.int32),
        spec["names"],
        spec["choice"],
    )


@lru_cache(maxsize=2)
def load_model(path: Path = MODEL_PATH) -> Model:
    """Read once a process."""
    return model_from(json.loads(path.read_text(encoding="utf-8")))


def sigmoid(z: np.ndarray) -> np.ndarray:
    return 1.0 / (1.0 + np.exp(-np.clip(z, -30, 30)))


def second_matrix(table: Table, model: Model) -> tuple[np.ndarray, list[str]]:
    """What the second pass reads of each block, and the names of its columns."""
    more, names = second_features(table, sigmoid(model.first.log_odds(table.x[:, model.first_columns])))
    names = table.names + names
    return np.hstack([table.x, more])[:, model.second_columns], [names[n] for n in model.second_columns]


def probabilities(table: Table, model: Model) -> np.ndarray:
    """Of each block, that it belongs to the main text."""
    return sigmoid(model.second.log_odds(second_matrix(table, model)[0]))


# --- 5. choose -----------------------------------------------------------------------------------


def choose(p: np.ndarray, words: np.ndarray, choice: dict[str, float]) -> tuple[np.ndarray, float]:
    """(kept, expected F1): the set of blocks with the best expected word F1, among those ordered by probability.

    With w words and probability p of each block, keeping S gives F1 = 2 sum_S(w p) / (sum_S(w) + sum_all(w p)).
    """
    if not len(p):
        return np.zeros(0, bool), 0.0
    order = np.argsort(-p, kind="stable")
    hits = np.cumsum((words * p)[order])
    f1 = 2 * hits / np.maximum(np.cumsum(words[order]) + hits[-1], 1e-9)
    k = int(np.argmax(f1))
    # Where nothing is likely the page is better left empty (it shows a menu or an error); not so on pages of a few
    # blocks, which are unlike any that the model was fitted on.
    lowest = choice["lowest"] if len(p) >= SMALL_PAGE_BLOCKS else 0.0
    threshold = min(max(float(p[order[k]]), lowest), choice["highest"])
    return p >= threshold, float(f1[k])


# --- 6. text -------------------------------------------------------------------------------------


def text_of(blocks: list[Block]) -> str:
    """Paragraphs divided by a blank line, list items and table rows a line each, code as it stands."""
    out: list[str] = []
    i = 0
    before = ""
    while i < len(blocks):
        block = blocks[i]
        kind, text = block.kind, block.text
        if block.kind == "cell":
            j = i
            while j < len(blocks) and blocks[j].row == block.row:
                j += 1
            row = blocks[i:j]
            if all(len(one.text) < 400 and one.kind == "cell" for one in row):
                cells: list[str] = []
                last_cell = -2
                for one in row:
                    line = one.text.replace("\n", " ")
                    if one.cell == last_cell:
                        cells[-1] += " " + line
                    else:
                        cells.append(line)
                    last_cell = one.cell
                text, kind = " | ".join(cells), "row"
                i = j - 1
            else:
                kind = "paragraph"  # a table used for layout
        if out:
            out.append("\n" if kind == before and kind in ("item", "row") else "\n\n")
        out.append(text)
        before = kind
        i += 1
    return "".join(out)


# --- content for machines ------------------------------------------------------------------------

FEW_WORDS = 60  # guess: a page that shows fewer words than this keeps its text in its scripts, if anywhere
_TEXT_KEYS = _set("articlebody text cooked content body description html markdown post_body")
_LAST_RESORT = frozenset(["description"])


def _strings_of(data: Any) -> list[tuple[str, str]]:
    """(key, string) of every string in parsed JSON, in order; bounded, without recursion."""
    out: list[tuple[str, str]] = []
    stack: list[tuple[str, Any]] = [("", data)]
    seen = 0
    while stack and seen < 200_000:
        key, value = stack.pop()
        seen += 1
        if isinstance(value, str):
            if value[:1] in "{[" and len(value) > 200:
                try:  # JSON within JSON, as Discourse preloads its topics
                    stack.append((key, json.loads(value)))
                except (ValueError, RecursionError):
                    pass
            else:
                out.append((key, value))
        elif isinstance(value, dict):
            stack.extend((str(name).lower(), item) for name, item in reversed(value.items()))
        elif isinstance(value, list):
            stack.extend((key, item) for item in reversed(value))
    return out


def machine_blocks(root: etree._Element) -> list[Block]:
    """Blocks from JSON-LD, hydration JSON and preloaded data, for pages that show next to nothing without scripts."""
    sources: list[str | None] = [
        script.text
        for script in root.iter("script")
        if script.text and ("json" in (script.get("type") or "") or script.get("id") == "__NEXT_DATA__")
    ]
    sources += [element.get("data-preloaded") for element in root.iter("div") if element.get("data-preloaded")]
    found: dict[str, str] = {}  # text to key; a dict drops repeats and keeps the order
    for source in sources:
        if source and len(source) < MAX_TEXT_CHARS:
            try:
                strings = _strings_of(json.loads(source))
            except (ValueError, RecursionError):
                continue
            for key, value in strings:
                if key in _TEXT_KEYS and value.count(" ") >= 7:
                    found.setdefault(value, key)
    better = [value for value, key in found.items() if key not in _LAST_RESORT]
    out: list[Block] = []
    for value in better or list(found)[:3]:
        inner = parse(value if "<" in value else "<p>" + value.replace("\n\n", "<p>"))
        if inner is not None:
            out += [block for block in segment(inner).blocks if len(out) < MAX_BLOCKS]
    return out


class Choice(NamedTuple):
    text: str
    verdicts: list[tuple[Block, float, bool]]  # probability, kept
    expected_f1: float  # that the model promises of this choice


def extract_tree(root: etree._Element, model: Model | None = None) -> Choice:
    """The main text of a parsed page; never raises for bad HTML."""
    page = segment(root)
    if sum(len(block.text) for block in page.blocks) < 6 * FEW_WORDS:
        hidden = machine_blocks(root)
        if sum(len(block.text) for block in hidden) > 6 * FEW_WORDS:
            return Choice(text_of(hidden), [(block, 1.0, True) for block in hidden], 1.0)
    if not page.blocks:
        return Choice("", [], 0.0)
    model = model or load_model()
    table = features(page)
    p = probabilities(table, model)
    kept, expected = choose(p, table.words, model.choice)
    return Choice(
        text_of([block for block, keep in zip(page.blocks, kept, strict=True) if keep]),
        [(block, float(q), bool(keep)) for block, q, keep in zip(page.blocks, p, kept, strict=True)],
        expected,
    )


def explain(root: etree._Element, most: int = 3) -> str:
    """Every block with its verdict and what decided it, a line each.

    What decided: the features which, had they been as in the middle block of the page, would have moved the log-odds
    most; +1.2 speaks for the block.
    """
    page = segment(root)
    if not page.blocks:
        return "no text"
    model, table = load_model(), features(page)
    x, names = second_matrix(table, model)
    odds = model.second.log_odds(x)
    kept, expected = choose(sigmoid(odds), table.words, model.choice)
    effects = np.empty((len(odds), x.shape[1]))
    for n in range(x.shape[1]):
        usual = x.copy()
        usual[:, n] = np.median(x[:, n])
        effects[:, n] = odds - model.second.log_odds(usual)
    lines = [f"{int(kept.sum())} of {len(kept)} blocks kept; expected word F1 {expected:.2f}"]
    for n, block in enumerate(page.blocks):
        top = np.argsort(-np.abs(effects[n]))[:most]
        why = ", ".join(f"{names[k]} {effects[n, k]:+.1f}" for k in top if abs(effects[n, k]) >= 0.05)
        text = " ".join(block.text.split())
        lines.append(
            f"{'keep' if kept[n] else 'drop'} {sigmoid(odds[n]):.2f}  {block.tag:<10} "
            f"{text[:60] + '...' if len(text) > 60 else text:<63}  {why}"
        )
    return "\n".join(lines)
