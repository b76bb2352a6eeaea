"""Blocks: a page cut into its pieces of text, and pieces of text set as plain text.

1. parse      HTML to an lxml tree, whatever it looks like
2. segment    the tree to text blocks (paragraph, heading, list item, cell, code) in the order of the page
3. text_of    blocks to plain text

What is to be known of the blocks is measured in features.py; which of them are the main text is judged in judge.py.
machine_blocks reads what a page keeps for its scripts.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import accumulate
from typing import Any, NamedTuple

from lxml import etree

MAX_ELEMENTS = 200_000  # guess: the largest page of WCXB has about 60,000
MAX_BLOCKS = 20_000
MAX_DEPTH = 400  # deeper elements are read, but as if they were at this depth
MAX_TEXT_CHARS = 5_000_000

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
# What a page says of itself to machines: the types in its JSON-LD, its generator, the path of its address.
JSON_LD = {
    "ld_article": re.compile(r'"@type":\s*\[?"(?:\w*Article|BlogPosting)"'),
    "ld_product": re.compile(r'"@type":\s*\[?"Product(?:Group)?"'),
    "ld_list": re.compile(r'"@type":\s*\[?"(?:ItemList|CollectionPage|OfferCatalog|SearchResultsPage)"'),
    "ld_forum": re.compile(r'"@type":\s*\[?"(?:DiscussionForumPosting|QAPage)"'),
    "ld_faq": re.compile(r'"@type":\s*\[?"FAQPage"'),
    "ld_how": re.compile(r'"@type":\s*\[?"(?:HowTo|Recipe)"'),
    "ld_org": re.compile(r'"@type":\s*\[?"(?:LocalBusiness|Service|ProfessionalService|SoftwareApplication)"'),
}
SCHEMA_TYPE = re.compile(r'"@type":\s*\[?\s*"(\w{1,40})"')
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


def is_cut_short(root: etree._Element) -> bool:
    """Did the parser stop before the end, at elements nested 2,048 deep?"""
    error = root.getroottree().parser.error_log.last_error
    return error is not None and error.type == etree.ErrorTypes.ERR_RESOURCE_LIMIT


TAG = re.compile(r"</?([a-zA-Z][^\s<>/]*)[^<>]*>")  # to the next bracket: a search that never turns back
SAME_WHEN_FLAT = SKIPPED | _set("html body a br h1 h2 h3 h4 h5 h6")


def flatten(html: str) -> str:
    """The page without depth: block elements become paragraphs, whose tags need no end, and other tags go."""

    def flat(tag: re.Match[str]) -> str:
        name = tag[1].lower()
        return tag[0] if name in SAME_WHEN_FLAT else "<p>" if name in BLOCK_TAGS or "-" in name else ""

    return re.sub(r"<p>(?:\s*<p>)+", "<p>", TAG.sub(flat, html))


# --- 2. segment ----------------------------------------------------------------------------------


class Block(NamedTuple):
    """One piece of text that stands or falls as a whole."""

    text: str
    kind: str  # heading, item, cell, code, paragraph
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
    first: list[int] = field(default_factory=list)  # its blocks are blocks[first:last]
    last: list[int] = field(default_factory=list)
    end: list[int] = field(default_factory=list)  # its elements are [index:end]
    page_bits: dict[str, float] = field(default_factory=dict)  # what it says of itself to machines
    about: set[str] = field(default_factory=set)  # words of title and description
    title: set[str] = field(default_factory=set)
    address: str = ""  # its own, as it says
    schema: set[str] = field(default_factory=set)  # the schema.org types of its JSON-LD and microdata


def segment(root: etree._Element) -> Page:
    """Walks the tree once, with a stack of its own, and cuts the text at block elements and double <br>."""
    cutter = _Cutter()
    top = cutter.open_element("body", root, -1)
    # frame: children, element around, node, is it a block, inside a link, inside <pre>
    stack: list[tuple[Any, int, Any, bool, bool, bool]] = [(iter(root), top, root, True, False, False)]
    while stack:
        children, around, node, is_block, in_link, in_pre = stack[-1]
        child = next(children, None)
        if child is None:
            stack.pop()
            if is_block:
                cutter.close_element(around, node.tag, in_pre)
            if stack and (text := node.tail):
                _, around, _, _, in_link, in_pre = stack[-1]
                cutter.take(text, around, in_link, in_pre)
            continue
        tag = child.tag
        if tag.__class__ is not str or (tag in SKIPPED and child.get("shadowrootmode") is None):
            if text := child.tail:
                cutter.take(text, around, False, False)
            continue
        if tag == "br":
            cutter.line_break(around, in_pre)
            if text := child.tail:
                cutter.take(text, around, in_link, False)
            continue
        is_block = tag in BLOCK_TAGS or "-" in tag
        if is_block:
            cutter.divide(around, in_pre)
            if len(cutter.page.tag) >= MAX_ELEMENTS:
                continue
            in_pre = in_pre or tag == "pre"
            if len(stack) < MAX_DEPTH:
                around = cutter.open_element(tag, child, around)
        else:
            in_link = in_link or tag == "a"
            cutter.note_inline(child)
        if text := child.text:
            cutter.take(text, around, in_link, in_pre)
        stack.append((iter(child), around, child, is_block, in_link, in_pre))
    _drop_noscript(cutter.page)
    _describe(cutter.page, root)
    return cutter.page


class _Cutter:
    """The page so far and the block under way, while the tree is walked."""

    def __init__(self) -> None:
        self.page = Page()
        self.rows: list[int] = []  # of each element: the table row, table cell and list item around it, or -1
        self.cells: list[int] = []
        self.items: list[int] = []
        self.shape_ids: dict[Any, int] = {}
        self.name_bits: dict[str, int] = {}
        self.total_chars = 0
        self.pieces: list[str] = []  # the text of the block under way
        self._start_block()

    def _start_block(self) -> None:
        self.owner = -1  # the element in which its first word stands
        self.link_chars = 0
        self.inline_bits = 0

    def take(self, text: str, around: int, in_link: bool, in_pre: bool) -> None:
        """A piece of text for the block under way; space alone does not decide whose block it is, but in <pre>."""
        if in_pre or not text.isspace():
            if self.owner < 0:
                self.owner = around
            if in_link:
                self.link_chars += len(text.strip())
        self.pieces.append(text)

    def line_break(self, around: int, in_pre: bool) -> None:
        pieces = self.pieces
        follows_break = pieces and (
            pieces[-1] == LINE or (len(pieces) > 1 and pieces[-2] == LINE and pieces[-1].isspace())
        )
        if follows_break and not in_pre:
            self.flush(around)  # an empty line is how old pages divide paragraphs
        else:
            pieces.append(LINE)

    def divide(self, around: int, in_pre: bool) -> None:
        """A block element begins: so does a block; in <pre>, elements wrap lines of code."""
        if in_pre:
            self.pieces.append("\n")
        else:
            self.flush(around)

    def note_inline(self, node: etree._Element) -> None:
        names = node.get("class")
        if names:
            self.inline_bits |= self._cues_of(names[:200].lower())

    def flush(self, around: int, in_pre: bool = False) -> None:
        """The block under way is complete; it is dropped if it holds no text or the page has had its share."""
        page = self.page
        if self.pieces:
            text = _set_text("".join(self.pieces), in_pre)
            self.pieces.clear()
            if text and len(page.blocks) < MAX_BLOCKS and self.total_chars < MAX_TEXT_CHARS:
                element = self.owner if self.owner >= 0 else around
                row, cell, item = self.rows[element], self.cells[element], self.items[element]
                tag = page.tag[element]
                kind = _kind_of(tag, in_pre, row, item)
                link_chars = min(self.link_chars, len(text))
                page.blocks.append(Block(text, kind, tag, element, link_chars, self.inline_bits, row, cell, item))
                self.total_chars += len(text)
        self._start_block()

    def open_element(self, tag: str, node: Any, parent: int) -> int:
        """A new line in the columns of the page; its index."""
        page, shape_ids = self.page, self.shape_ids
        me, has_parent = len(page.tag), parent >= 0
        attributes: dict[str, str] = dict(node.items())  # all at once: lxml takes longer to look up each
        hidden_bit = HIDDEN_BIT if _is_hidden(attributes) else 0
        bits = self._cues_of(_names(attributes)) | ANCESTOR_BITS.get(tag, 0) | hidden_bit
        shape = shape_ids.setdefault((tag, attributes.get("class")), len(shape_ids))
        path = (shape, page.path_shape[parent] if has_parent else -1)
        itemtype = attributes.get("itemtype")
        if itemtype:
            page.schema.add(itemtype.rstrip("/").rpartition("/")[2][:40])
        page.tag.append(tag)
        page.parent.append(parent if has_parent else 0)
        page.depth.append(page.depth[parent] + 1 if has_parent else 0)
        page.bits.append(bits)
        page.path_bits.append(bits | page.path_bits[parent] if has_parent else bits)
        page.shape.append(shape)
        page.path_shape.append(shape_ids.setdefault(path, len(shape_ids)))
        page.first.append(len(page.blocks))
        page.last.append(len(page.blocks))
        page.end.append(me + 1)
        inherits = has_parent and tag != "table"
        self.rows.append(me if tag == "tr" else self.rows[parent] if inherits else -1)
        self.cells.append(me if tag in ("td", "th") else self.cells[parent] if inherits else -1)
        self.items.append(me if tag == "li" else self.items[parent] if inherits else -1)
        return me

    def close_element(self, element: int, tag: str, in_pre: bool) -> None:
        if not in_pre or tag == "pre":
            self.flush(element, in_pre)
        self.page.last[element] = len(self.page.blocks)
        self.page.end[element] = len(self.page.tag)

    def _cues_of(self, names: str) -> int:
        bits = self.name_bits.get(names)
        if bits is None:
            bits = 0
            for name in names.split():
                bits |= _cue_bits(name.rstrip("0123456789-_"))
            self.name_bits[names] = bits
        return bits


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


def _names(attributes: dict[str, str]) -> str:
    names = attributes.get("class", "")
    for key in ("id", "role", "itemprop"):
        more = attributes.get(key)
        if more:
            names = f"{names} {more}"
    return names[:300].lower()


def _is_hidden(attributes: dict[str, str]) -> bool:
    if "hidden" in attributes or attributes.get("aria-hidden") == "true":
        return True
    style = attributes.get("style", "")
    return "display" in style and "none" in style


def _set_text(raw: str, in_pre: bool) -> str:
    """The text of a block as it is printed: one line, or the lines that <br> made, or those of <pre>."""
    if not raw.isascii():
        raw = ZERO_WIDTH.sub("", raw)
    if in_pre:
        lines = raw.replace(LINE, "\n").expandtabs(4).split("\n")
        return "\n".join(line.rstrip().replace("\xa0", " ") for line in lines).strip("\n")
    if LINE in raw:
        return "\n".join(filter(None, (" ".join(line.split()) for line in raw.split(LINE))))
    return " ".join(raw.split())


def _kind_of(tag: str, in_pre: bool, row: int, item: int) -> str:
    if in_pre:
        return "code"
    if tag in HEADINGS:
        return "heading"
    if row >= 0:
        return "cell"
    if item >= 0 or tag in ("dt", "dd"):
        return "item"
    return "paragraph"


def _drop_noscript(page: Page) -> None:
    """<noscript> is read only where the rest of the page is nearly empty: elsewhere it repeats or begs for scripts."""
    bit = ANCESTOR_BITS["noscript"]
    inside = [page.path_bits[block.element] & bit != 0 for block in page.blocks]
    if not any(inside):
        return
    chars = [0, 0]
    for block, is_inside in zip(page.blocks, inside, strict=True):
        chars[is_inside] += len(block.text)
    if chars[1] > 2 * chars[0]:
        return
    kept = [0, *accumulate(int(not is_inside) for is_inside in inside)]  # before each block
    page.blocks[:] = [block for block, is_inside in zip(page.blocks, inside, strict=True) if not is_inside]
    page.first[:] = [kept[i] for i in page.first]
    page.last[:] = [kept[i] for i in page.last]


# --- what a page says of itself ------------------------------------------------------------------


def _describe(page: Page, root: etree._Element) -> None:
    """What the page says of itself to machines: kind of page, title, description, address."""
    meta = _meta(root)
    title = root.find(".//title")
    title_text = title.text if title is not None and title.text else meta.get("og:title", "")
    page.title = set(_words(title_text) + _words(meta.get("og:title")))
    page.about = set(_words(meta.get("description")) + _words(meta.get("og:description")))
    page.address = _address(root, meta)
    json_ld = _json_ld(root)
    page.schema.update(SCHEMA_TYPE.findall(json_ld))
    ld_bits = {name: float(pattern.search(json_ld) is not None) for name, pattern in JSON_LD.items()}
    page.page_bits = {**ld_bits, **_meta_bits(meta), **address_bits(page.address)}


def _words(text: str | None) -> list[str]:
    return WORD.findall((text or "")[:1000].lower())


def _meta(root: etree._Element) -> dict[str, str]:
    """Content of the <meta> elements by name; the first of a name counts."""
    found: dict[str, str] = {}
    for meta in root.iter("meta"):
        key = meta.get("property") or meta.get("name") or ""
        if key:
            found.setdefault(key.lower(), meta.get("content") or "")
    return found


def _json_ld(root: etree._Element) -> str:
    return "\n".join(
        script.text[:100_000]
        for script in root.iter("script")
        if script.text and "ld+json" in (script.get("type") or "")
    )


def _meta_bits(meta: dict[str, str]) -> dict[str, float]:
    og = meta.get("og:type", "").lower()
    bits = {"og": 1.0 if "article" in og else 2.0 if "product" in og else 3.0 if og else 0.0}
    generator = meta.get("generator", "")[:200]
    for name, pattern in GENERATORS.items():
        bits["made_" + name] = float(pattern.search(generator) is not None)
    return bits


def _address(root: etree._Element, meta: dict[str, str]) -> str:
    """The page's own address, as it says; '' if it does not."""
    for link in root.iter("link"):
        if (link.get("rel") or "").lower() == "canonical" and link.get("href"):
            return link.get("href") or ""
    return meta.get("og:url", "")


def address_bits(address: str) -> dict[str, float]:
    rest = address.split("://", 1)[-1].split("?", 1)[0].split("#", 1)[0][:300].removeprefix("www.")
    path = [part for part in rest.split("/")[1:] if part]
    bits = {"path_" + name: float(pattern.search(rest) is not None) for name, pattern in PATHS.items()}
    bits["path_depth"] = float(min(len(path), 5)) if address else -1.0
    bits["slug_words"] = float(min(path[-1].count("-"), 8)) if path else 0.0
    return bits


# --- 3. text -------------------------------------------------------------------------------------


def text_of(blocks: list[Block]) -> str:
    """Paragraphs divided by a blank line, list items and table rows a line each, code as it stands."""
    out: list[str] = []
    before = ""
    i = 0
    while i < len(blocks):
        text, kind, taken = blocks[i].text, blocks[i].kind, 1
        if kind == "cell":
            row = _row_at(blocks, i)
            if all(len(one.text) < 400 and one.kind == "cell" for one in row):
                text, kind, taken = _row_text(row), "row", len(row)
            else:
                kind = "paragraph"  # a table used for layout
        if out:
            out.append("\n" if kind == before and kind in ("item", "row") else "\n\n")
        out.append(text)
        before = kind
        i += taken
    return "".join(out)


def _row_at(blocks: list[Block], start: int) -> list[Block]:
    """The blocks from `start` on that share its table row."""
    stop = start
    while stop < len(blocks) and blocks[stop].row == blocks[start].row:
        stop += 1
    return blocks[start:stop]


def _row_text(row: list[Block]) -> str:
    cells: list[str] = []
    last_cell = -2
    for block in row:
        line = block.text.replace("\n", " ")
        if block.cell == last_cell:
            cells[-1] += " " + line
        else:
            cells.append(line)
        last_cell = block.cell
    return " | ".join(cells)


# --- content for machines ------------------------------------------------------------------------

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


def _machine_sources(root: etree._Element) -> list[str]:
    """JSON-LD, hydration JSON and preloaded data."""
    sources = [
        script.text
        for script in root.iter("script")
        if "json" in (script.get("type") or "") or script.get("id") == "__NEXT_DATA__"
    ]
    sources += [element.get("data-preloaded") for element in root.iter("div")]
    return [source for source in sources if source and len(source) < MAX_TEXT_CHARS]


def machine_blocks(root: etree._Element) -> list[Block]:
    """Blocks from data for scripts, for pages that show next to nothing without them."""
    found: dict[str, str] = {}  # text to key; a dict drops repeats and keeps the order
    for source in _machine_sources(root):
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
