"""Features: what a reader sees of each block of a page, as numbers.

Length, links, punctuation, class words, place, neighbours, how often the same structure comes again, what read mode's
score says of its surroundings; then, of a first judgement, what it says of the neighbours and of blocks of the same
structure. And of the page as a whole, what tells a shop from a forum.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import NamedTuple

import numpy as np

from miniature_memory.extraction.blocks import (
    ANCESTOR_BITS,
    ANCESTOR_TAGS,
    BAD_BIT,
    CUES,
    GOOD_BIT,
    HEADINGS,
    Page,
    address_bits,
)

MAX_COUNTED_CHARS = 50_000  # of one block: a page may be a single word of 5 MB

# --- vocabulary ----------------------------------------------------------------------------------

_TAGS = (
    "p h1 h2 h3 h4 h5 h6 pre blockquote li dd dt td th figcaption caption summary article main section div "
    "button label legend address header footer nav aside"
)
TAG_IDS = {tag: i + 1 for i, tag in enumerate(_TAGS.split())}
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


# --- of each block ---------------------------------------------------------------------------------

SPACE, DIGIT, CAPITAL, LETTER, STOP, COMMA = range(1, 7)  # categories of characters; 0 is any other


def _categories() -> np.ndarray:
    """The category of each character of the basic plane."""
    out = np.zeros(65536, np.uint8)
    for code in range(65536):
        char = chr(code)
        if char.isspace():
            out[code] = SPACE
        elif char.isdigit():
            out[code] = DIGIT
        elif char.isupper():
            out[code] = CAPITAL
        elif char.isalnum() or char == "_":
            out[code] = LETTER
    for char in ".!?…。！？":
        out[ord(char)] = STOP
    for char in ",;:、，；：":
        out[ord(char)] = COMMA
    return out


_CATEGORY = _categories()
LEVELS = 7  # a block's element and six ancestors
SHARED_CUES = list(CUES) + ["hidden_attr"] + ["in_" + tag for tag in ANCESTOR_TAGS]
Columns = dict[str, np.ndarray | float]  # features by name; a number is that of all blocks


class Table(NamedTuple):
    """Features of a page's blocks, and what the second pass needs to average over relatives."""

    x: np.ndarray  # float32 (blocks, features)
    names: list[str]
    words: np.ndarray  # float64 (blocks,)
    spans: list[tuple[np.ndarray, np.ndarray]]  # per ancestor level: first and last block
    groups: list[np.ndarray]  # per kind of kinship: group number of each block


class Facts(NamedTuple):
    """What the features are made of: arrays over the blocks, and over the elements of the page."""

    order: np.ndarray  # of blocks: 0, 1, 2...
    words: np.ndarray
    chars: np.ndarray
    counts: np.ndarray  # characters of each category
    ends_sentence: np.ndarray
    link: np.ndarray  # share of the characters that are inside links
    heading: np.ndarray  # 1 to 6, 0 for none
    tag_id: np.ndarray
    before: np.ndarray  # words of the blocks before
    total: float  # words of the page, at least 1
    said: np.ndarray  # bits of SAYINGS
    in_title: np.ndarray  # share of its words that are in the page's title
    in_about: np.ndarray  # in its title or description
    section: np.ndarray  # nearest heading at or above, -1 for none
    element: np.ndarray

    parent: np.ndarray  # of elements, from here on
    depth: np.ndarray
    end: np.ndarray
    first: np.ndarray
    last: np.ndarray
    bits: np.ndarray
    sum_words: np.ndarray  # over the blocks inside
    sum_link: np.ndarray
    sum_stops: np.ndarray
    sum_long: np.ndarray  # words of the blocks of 15 words or more


def features(page: Page) -> Table:
    """The matrix of a page with at least one block."""
    facts = _facts(page)
    share, best = _read_mode(page, facts)
    around, near_bits, spans = _surroundings(page, facts)
    kin, groups = _kin(page, facts)
    columns: Columns = {
        **_alone(page, facts),
        **_place(facts),
        **best,
        **_landmarks(page, facts),
        **around,
        **kin,
        **_neighbours(facts),
        **_page(page, facts, share),
    }
    above = np.where(facts.section >= 0, facts.said[facts.section], 0)
    path_bits = np.array(page.path_bits, np.int64)[facts.element]
    parts = [
        _matrix(columns, len(page.blocks)),
        _bits_to_columns(facts.said, len(SAYINGS)),
        _bits_to_columns(above, len(SAYINGS)),
        _bits_to_columns(path_bits, len(SHARED_CUES)),
        _bits_to_columns(near_bits, len(CUES)),
    ]
    names = list(columns)
    names += ["says_" + name for name in SAYINGS] + ["above_says_" + name for name in SAYINGS]
    names += ["path_" + name for name in SHARED_CUES] + ["near_" + name for name in CUES]
    return Table(np.hstack(parts), names, facts.words, spans, [*groups, facts.section + 1])


def _facts(page: Page) -> Facts:
    blocks = page.blocks
    texts = [block.text for block in blocks]
    counts, words, chars, last_category = _char_counts(texts)
    order = np.arange(len(blocks))
    link = np.array([block.link_chars for block in blocks]) / chars
    heading = np.array([HEADINGS.get(block.tag, 0) for block in blocks])
    said, in_title, in_about = _said(page, texts, words)
    first, last = np.array(page.first), np.array(page.last)

    def sum_inside(column: np.ndarray) -> np.ndarray:
        running = _running(column)  # an element's blocks are a range
        return running[last] - running[first]

    return Facts(
        order=order,
        words=words,
        chars=chars,
        counts=counts,
        ends_sentence=(last_category == STOP).astype(float),
        link=link,
        heading=heading,
        tag_id=np.array([TAG_IDS.get(block.tag, 0) for block in blocks]),
        before=np.cumsum(words) - words,
        total=max(words.sum(), 1.0),
        said=said,
        in_title=in_title,
        in_about=in_about,
        section=np.maximum.accumulate(np.where(heading > 0, order, -1)),
        element=np.array([block.element for block in blocks]),
        parent=np.array(page.parent),
        depth=np.array(page.depth),
        end=np.array(page.end),
        first=first,
        last=last,
        bits=np.array(page.bits, np.int64),
        sum_words=sum_inside(words),
        sum_link=sum_inside(words * link),
        sum_stops=sum_inside(counts[:, STOP] + counts[:, COMMA]),
        sum_long=sum_inside(words * (words >= 15)),
    )


def _char_counts(texts: list[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(counts of the categories, words, lengths, category of the last character) of each text."""
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
    is_word = (category >= DIGIT) & (category <= LETTER)
    begins = is_word.copy()
    begins[1:] &= ~is_word[:-1]
    np.cumsum(begins, out=running[1:])
    return counts, (running[stops] - running[starts]).astype(float), lengths.astype(float), category[stops - 1]


def _said(page: Page, texts: list[str], words: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(bits of what short blocks say, share of the words that are in the title, in the description) of each text."""
    said = np.zeros(len(texts), np.int64)
    in_title, in_about = np.zeros(len(texts)), np.zeros(len(texts))
    for i, text in enumerate(texts):
        is_short = words[i] < 40
        own = text[: 90 if is_short else 200].lower().split()
        if not own:
            continue
        if is_short:
            said[i] = _saying_bits(own)
        own_set = set(own)
        in_title[i] = len(own_set & page.title) / len(own_set)
        in_about[i] = len(own_set & page.about) / len(own_set)
    return said, in_title, in_about


def _saying_bits(words: list[str]) -> int:
    bits = 0
    for word in words:
        bits |= SAYING_BITS.get(word.strip(".,:;!?()\"'"), 0)
    sign = words[0][0]
    if sign in "$€£©":
        bits |= SAYING_BITS["©" if sign == "©" else "$"]
    return bits


def _alone(page: Page, facts: Facts) -> Columns:
    """The block by itself."""
    words, chars, counts = facts.words, facts.chars, facts.counts
    repeats = Counter(block.text for block in page.blocks)
    return {
        "words": words,
        "chars_per_word": chars / np.maximum(words, 1),
        "link": facts.link,
        "commas": counts[:, COMMA] / np.maximum(words, 1),
        "stops": counts[:, STOP] / np.maximum(words, 1),
        "ends_sentence": facts.ends_sentence,
        "digits": counts[:, DIGIT] / chars,
        "capitals": counts[:, CAPITAL] / chars,
        "other_chars": counts[:, 0] / chars,
        "lines": np.array([block.text.count("\n") for block in page.blocks]),
        "tag": facts.tag_id,
        "heading": facts.heading,
        "depth": np.minimum(facts.depth[facts.element], 30),
        "in_title": facts.in_title,
        "in_about": facts.in_about,
        "repeats": np.minimum([repeats[block.text] for block in page.blocks], 6),
    }


def _place(facts: Facts) -> Columns:
    """Where the block stands: in the page, after the main heading, below the nearest heading."""
    order, before, heading, section = facts.order, facts.before, facts.heading, facts.section
    main = _main_heading(facts)
    has_main = main >= 0
    return {
        "place": order / len(order),
        "words_before": before / facts.total,
        "log_words_before": np.log2(before + 1),
        "log_words_after": np.log2(facts.total - before - facts.words + 1),
        "after_h1": np.clip(order - main, -30, 200) if has_main else -99.0,
        "words_after_h1": np.sign(order - main) * np.log2(np.abs(before - before[main]) + 1) if has_main else -99.0,
        "climb_from_h1": _climb(facts, int(facts.element[main])) if has_main else -1.0,
        "since_heading": np.where(section >= 0, np.minimum(order - section, 60), -1),
        "heading_above": np.where(section >= 0, heading[section], 0),
    }


def _main_heading(facts: Facts) -> int:
    """The only <h1>, else a heading that says the title, else the first <h1>; -1 for none."""
    h1s = np.flatnonzero(facts.heading == 1)
    titled = np.flatnonzero((facts.heading > 0) & (facts.in_title > 0.6) & (facts.words > 2))
    found = [*h1s[: len(h1s) == 1], *titled, *h1s]
    return int(found[0]) if found else -1


def _climb(facts: Facts, target: int) -> np.ndarray:
    """How far one must climb from the element `target` to find one that holds each block too."""
    up = np.full(len(facts.element), float(facts.depth[target]))
    node, climbed = target, 0
    while True:
        inside = _is_inside(facts, node)
        up[inside] = np.minimum(up[inside], climbed)
        if node == 0:
            return up
        node = int(facts.parent[node])
        climbed += 1


def _is_inside(facts: Facts, element: int) -> np.ndarray:
    return (facts.element >= element) & (facts.element < facts.end[element])


def _read_mode(page: Page, facts: Facts) -> tuple[float, Columns]:
    """(share of the page's words in the element that read mode would take, where each block stands to it).

    Read mode's score (Arc90, as in readability-lxml): paragraphs give to their parent and half to its parent.
    """
    element, parent, bits = facts.element, facts.parent, facts.bits
    score = np.zeros(len(parent))
    given = np.where(facts.chars >= 25, 1 + facts.counts[:, COMMA] + np.minimum(facts.chars / 100, 3), 0.0)
    np.add.at(score, parent[element], given)
    np.add.at(score, parent[parent[element]], given / 2)
    class_weight = 25 * (bits & GOOD_BIT != 0) - 25 * (bits & BAD_BIT != 0)
    score = np.where(score > 0, score + class_weight, 0) * (1 - facts.sum_link / np.maximum(facts.sum_words, 1))
    best = int(np.argmax(score))
    best_score = max(float(score[best]), 1.0)
    return facts.sum_words[best] / facts.total, {
        "climb_from_best": _climb(facts, best),
        "below_best": np.where(_is_inside(facts, best), facts.depth[element] - facts.depth[best], -1),
        "parent_score": score[parent[element]] / best_score,
        "grand_score": score[parent[parent[element]]] / best_score,
        "best_place": facts.order - facts.first[best],
    }


def _landmarks(page: Page, facts: Facts) -> Columns:
    """<article> and <main>."""
    articles = _articles(page)
    biggest = max(articles, key=lambda element: float(facts.sum_words[element]), default=-1)
    has_main = "main" in page.tag or bool((facts.bits & ANCESTOR_BITS["main"]).any())
    return {
        "in_biggest_article": _is_inside(facts, biggest) if articles else -1.0,
        "has_main": float(has_main),
    }


def _articles(page: Page) -> list[int]:
    return [element for element, tag in enumerate(page.tag) if tag == "article"]


def _surroundings(page: Page, facts: Facts) -> tuple[Columns, np.ndarray, list[tuple[np.ndarray, np.ndarray]]]:
    """(the block's element and its ancestors, class words near it, range of blocks of each level)."""
    columns: Columns = {}
    spans = []
    n_blocks, same = facts.last - facts.first, _siblings_alike(page, facts)
    near_bits = np.array([block.bits for block in page.blocks], np.int64)
    repeating = np.zeros(len(page.blocks))
    level = facts.element
    for k in range(LEVELS):
        if k < 3:
            near_bits |= facts.bits[level]
        if k < 5:
            columns[f"same_{k}"] = np.minimum(same[level], 60)
            repeating = np.maximum(repeating, np.where(n_blocks[level] > 1, same[level], 0))
        words = facts.sum_words[level]
        columns[f"share_{k}"] = words / facts.total
        columns[f"link_{k}"] = facts.sum_link[level] / np.maximum(words, 1)
        columns[f"blocks_{k}"] = np.minimum(n_blocks[level], 300)
        columns[f"mean_words_{k}"] = words / np.maximum(n_blocks[level], 1)
        if k:
            columns[f"stops_{k}"] = facts.sum_stops[level] / np.maximum(words, 1)
            columns[f"long_{k}"] = facts.sum_long[level] / np.maximum(words, 1)
            columns[f"place_{k}"] = facts.order - facts.first[level]
        spans.append((facts.first[level], facts.last[level]))
        level = facts.parent[level]
    columns["repeating"] = np.minimum(repeating, 60)
    return columns, near_bits, spans


def _siblings_alike(page: Page, facts: Facts) -> np.ndarray:
    """How many children of an element's parent are of its tag and class."""
    key = facts.parent.astype(np.int64) * (max(page.shape) + 1) + np.array(page.shape)
    _, group, sizes = np.unique(key, return_inverse=True, return_counts=True)
    return np.asarray(sizes[group])


def _kin(page: Page, facts: Facts) -> tuple[Columns, list[np.ndarray]]:
    """(what blocks at the same path of (tag, class) are like, wherever they stand; the groups)."""
    element, shape = facts.element, np.array(page.shape)
    path, pair = np.array(page.path_shape)[element], shape[element] * 100_003 + shape[facts.parent[element]]
    columns: Columns = {}
    groups = []
    for name, ids in (("path", path), ("pair", pair)):
        _, group = np.unique(ids, return_inverse=True)
        groups.append(group)
        size, words = np.bincount(group), np.bincount(group, facts.words)
        link, stops = np.bincount(group, facts.words * facts.link), np.bincount(group, facts.counts[:, STOP])
        columns[f"{name}_size"] = np.minimum(size[group], 100)
        columns[f"{name}_share"] = (words / facts.total)[group]
        columns[f"{name}_mean"] = (words / size)[group]
        columns[f"{name}_link"] = (link / np.maximum(words, 1))[group]
        columns[f"{name}_stops"] = (stops / np.maximum(words, 1))[group]
    return columns, groups


def _neighbours(facts: Facts) -> Columns:
    columns: Columns = {}
    stops = facts.counts[:, STOP]
    for by in (-3, -2, -1, 1, 2, 3):
        columns[f"words_{by}"] = _shift(facts.words, by)
        columns[f"linked_{by}"] = _shift(facts.link, by)
        if abs(by) < 3:
            columns[f"tag_{by}"] = _shift(facts.tag_id.astype(float), by)
            columns[f"ends_{by}"] = _shift(facts.ends_sentence, by)
            columns[f"stops_by_{by}"] = _shift(stops / np.maximum(facts.words, 1), by)
    words, unlinked = _running(facts.words), _running(facts.words * (1 - facts.link))
    sentences = _running(facts.words * (stops > 0))
    for radius in (4, 10, 25):
        low, high = _window(len(facts.order), radius)
        columns[f"unlinked_{radius}"] = (unlinked[high] - unlinked[low]) / (high - low)
        columns[f"sentences_{radius}"] = (sentences[high] - sentences[low]) / np.maximum(words[high] - words[low], 1)
    return columns


def _page(page: Page, facts: Facts, best_share: float) -> Columns:
    """The page, coarsely: exact sizes would let the trees learn single pages by heart."""
    total = facts.total
    columns = {
        "page_blocks": np.round(2 * np.log2(len(page.blocks) + 1)) / 2,
        "page_words": np.round(2 * np.log2(total + 1)) / 2,
        "page_link": np.round(10 * (facts.words * facts.link).sum() / total) / 10,
        "page_long": np.round(10 * facts.words[facts.words >= 15].sum() / total) / 10,
        "page_best_share": np.round(10 * best_share) / 10,
        "page_articles": min(len(_articles(page)), 5),
        "page_h1": min(int((facts.heading == 1).sum()), 3),
        "page_code": min(sum(block.kind == "code" for block in page.blocks), 3),
        "page_prices": min(int((facts.said & SAYING_BITS["$"] > 0).sum()), 12),
        "page_replies": min(int((facts.said & SAYING_BITS["reply"] > 0).sum()), 8),
        **page.page_bits,
    }
    return {"p_" + name: value for name, value in columns.items()}


def _matrix(columns: Columns, n: int) -> np.ndarray:
    x = np.empty((n, len(columns)), np.float32)
    for i, column in enumerate(columns.values()):
        x[:, i] = column
    return x


def _bits_to_columns(bits: np.ndarray, n_bits: int) -> np.ndarray:
    return ((bits[:, None] >> np.arange(n_bits, dtype=np.int64)) & 1).astype(np.float32)


def _running(column: np.ndarray) -> np.ndarray:
    """Sums of the first 0, 1, 2... values."""
    return np.concatenate([np.zeros(1), np.cumsum(column)])


def _window(n: int, radius: int) -> tuple[np.ndarray, np.ndarray]:
    """The range of blocks within `radius` of each."""
    order = np.arange(n)
    return np.maximum(order - radius, 0), np.minimum(order + radius + 1, n)


def _shift(column: np.ndarray, by: int, fill: float = -1.0) -> np.ndarray:
    """column moved so that row i holds row i + by."""
    out = np.full_like(column, fill)
    if by > 0:
        out[: -by or None] = column[by:]
    else:
        out[-by:] = column[:by]
    return out


# --- after a first judgement ---------------------------------------------------------------------


def second_features(table: Table, p: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """What the first pass said of the block, its neighbours, its surroundings and its kin."""
    n = len(p)
    weight = table.words + 1.0
    run_weight, run_p = _running(weight), _running(weight * p)
    columns: Columns = {"own": p}
    for by in (-4, -3, -2, -1, 1, 2, 3, 4):
        columns[f"at_{by}"] = _shift(p, by)
    for radius in (3, 8, 20):
        low, high = _window(n, radius)
        columns[f"window_{radius}"] = (run_p[high] - run_p[low]) / (run_weight[high] - run_weight[low])
    for k, (first, last) in enumerate(table.spans):
        if k:
            columns[f"around_{k}"] = (run_p[last] - run_p[first]) / np.maximum(run_weight[last] - run_weight[first], 1)
    for name, group in zip(("path", "pair", "section"), table.groups, strict=True):
        mean = np.bincount(group, weight * p) / np.maximum(np.bincount(group, weight), 1)
        columns[f"kin_{name}"] = mean[group]
    mass = run_p[-1]
    columns["mass"] = np.round(10 * mass / run_weight[-1]) / 10
    columns["mass_log"] = np.round(2 * np.log2(mass + 1)) / 2
    columns["mass_before"] = run_p[:-1] / max(mass, 1)
    strong = weight * (p > 0.5)
    run_strong = np.cumsum(strong)
    total_strong = max(float(run_strong[-1]), 1.0)
    columns["strong_before"] = (run_strong - strong) / total_strong
    columns["strong_after"] = (total_strong - run_strong) / total_strong
    columns["max"] = np.round(10 * p.max()) / 10
    return _matrix(columns, n), ["p1_" + name for name in columns]


# --- of the page as a whole ----------------------------------------------------------------------

# The schema.org types that tell something of the type of a page.
_SCHEMA = (
    "Article NewsArticle BlogPosting Product ProductGroup Offer ItemList CollectionPage OfferCatalog "
    "DiscussionForumPosting QAPage Question FAQPage HowTo TechArticle Recipe LocalBusiness Service Organization "
    "WebPage WebSite BreadcrumbList Person ListItem"
)
SCHEMA_TYPES = _SCHEMA.split()
OG_TYPES = ("none", "article", "product")
BLOCK_WORDS = frozenset(["says_" + name for name in SAYINGS] + ["path_" + name for name in SHARED_CUES])


def type_features(page: Page, table: Table, url: str) -> dict[str, float]:
    """What tells the type of a page: its address, what it says to machines, its blocks taken together.

    Of words that blocks say and of class words around blocks, the square root of the share of blocks counts: one
    price says more than the tenth.
    """
    found = {"schema_" + name: float(name in page.schema) for name in SCHEMA_TYPES}
    found |= {"og_" + name: float(page.page_bits["og"] == i) for i, name in enumerate(OG_TYPES)}
    found |= _address_features(url if url.startswith("http") else page.address)  # a file's path tells nothing
    means = table.x.mean(axis=0)
    for i, name in enumerate(table.names):
        if name in BLOCK_WORDS:
            found[name] = math.sqrt(means[i])
        elif name.startswith(("p_page_", "p_made_")):
            found[name.removeprefix("p_")] = float(table.x[0, i])
    return found


def _address_features(address: str) -> dict[str, float]:
    bits = address_bits(address)
    depth = max(bits.pop("path_depth"), 0.0)
    named = {"address_" + name.removeprefix("path_"): value for name, value in bits.items()}
    return {**named, "address_depth": depth, "address_root": float(depth == 0)}
