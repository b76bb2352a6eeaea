"""Vocabulary: the tags and the words that extraction knows, as data. A new cue or saying goes here.

Each set of words is one bit, and each bit a feature of the fitted model: after a change, run fit_blocks.py.
"""

from functools import lru_cache


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


SKIPPED = _set("script style template svg math canvas iframe object embed head title link meta select datalist "
               "textarea input audio video map progress meter")
BLOCK_TAGS = _set(
    "address article aside blockquote body button caption center dd details dialog dir div dl dt fieldset figcaption "
    "figure footer form frameset h1 h2 h3 h4 h5 h6 header hgroup hr html legend li main menu nav noscript ol p pre "
    "section summary table tbody td tfoot th thead tr ul")
HEADINGS = {"h1": 1, "h2": 2, "h3": 3, "h4": 4, "h5": 5, "h6": 6}
_BLOCK_OWNERS = ("p h1 h2 h3 h4 h5 h6 pre blockquote li dd dt td th figcaption caption summary article main section "
                 "div button label legend address header footer nav aside")
TAG_IDS = {tag: i + 1 for i, tag in enumerate(_BLOCK_OWNERS.split())}  # of the elements that own blocks
_ANCESTORS = ("article main nav header footer aside form table ul ol section figure dl blockquote pre details button "
              "noscript dialog")
ANCESTOR_TAGS = _ANCESTORS.split()

# Each line is one bit. Words match as substrings, since names are glued together (navbar, postbody).
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
HIDDEN_BIT = 1 << len(CUES)
ANCESTOR_BITS = {tag: 1 << (len(CUES) + 1 + i) for i, tag in enumerate(ANCESTOR_TAGS)}  # 40 + 1 + 19 bits < 63
# Read mode's own words for and against an element (readability-lxml, REGEXES positiveRe and negativeRe)
GOOD_BIT, BAD_BIT = 1 << 60, 1 << 61
_GOOD = "article body content entry hentry main page pagination post text blog story"
_BAD = ("combx comment com- contact foot masthead media meta outbrain promo related scroll shoutbox sidebar sponsor "
        "shopping tags tool widget")
_CUE_BITS = [(word, bit) for words, bit in [*((words, 1 << i) for i, words in enumerate(CUES.values())),
                                            (_GOOD, GOOD_BIT), (_BAD, BAD_BIT)] for word in words.split()]
_CUES_BY_BEGINNING: dict[str, list[tuple[str, int]]] = {}  # by the first three letters: all have three
for _word, _bit in _CUE_BITS:
    _CUES_BY_BEGINNING.setdefault(_word[:3], []).append((_word, _bit))


@lru_cache(maxsize=50_000)
def cue_bits(name: str) -> int:
    """The bits of the cues in one lower-case class or id name.

    Names with a colon or bracket are utility classes (md:hidden), which carry no meaning.
    """
    bits = 0
    if ":" in name or "[" in name or len(name) > 60:
        return 0
    for i in range(len(name) - 2):
        for word, bit in _CUES_BY_BEGINNING.get(name[i : i + 3], ()):
            if name.startswith(word, i):
                bits |= bit
    return bits


# Each line is one bit.
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
    "date": "january february march april may june july august september october november december "
            "jan feb mar apr jun jul aug sep oct nov dec ago minutes hours days",
    "help": "help support contact faq faqs careers press",
    "ad": "advertisement sponsored ad ads promoted",
    "table": "contents table",
    "spec": "specifications features details description overview ingredients materials dimensions weight includes "
            "about",
    "filter": "filter sort results items per page showing",
    "tagged": "tags tagged filed categories category topics",
}
SAYING_BITS = {word: 1 << i for i, words in enumerate(SAYINGS.values()) for word in words.split()}


def saying_bits(words: list[str]) -> int:
    """The bits of the sayings among the lower-case words of one block; there is at least one word."""
    bits = 0
    for word in words:
        bits |= SAYING_BITS.get(word.strip(".,:;!?()\"'"), 0)
    sign = words[0][0]
    if sign in "$€£©":
        bits |= SAYING_BITS["©" if sign == "©" else "$"]
    return bits
