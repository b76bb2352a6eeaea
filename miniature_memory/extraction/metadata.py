"""Metadata: what a page states about itself for machines: title, author, address, kind of page, schema.org types."""

import re
from dataclasses import dataclass, field

from lxml import etree

from miniature_memory.core.text import strip_control

JSON_LD = {
    "ld_article": re.compile(r'"@type":\s*\[?"(?:\w*Article|BlogPosting)"'),
    "ld_product": re.compile(r'"@type":\s*\[?"Product(?:Group)?"'),
    "ld_list": re.compile(r'"@type":\s*\[?"(?:ItemList|CollectionPage|OfferCatalog|SearchResultsPage)"'),
    "ld_forum": re.compile(r'"@type":\s*\[?"(?:DiscussionForumPosting|QAPage)"'),
    "ld_faq": re.compile(r'"@type":\s*\[?"FAQPage"'),
    "ld_how": re.compile(r'"@type":\s*\[?"(?:HowTo|Recipe)"'),
    "ld_org": re.compile(r'"@type":\s*\[?"(?:LocalBusiness|Service|ProfessionalService|SoftwareApplication)"'),
}
# What schema.org says of a thing besides its text, in lower case: a page shows it, if at all, somewhere else
FIELDS = frozenset(
    "publisher author creator editor contributor provider sourceorganization copyrightholder sponsor funder organizer "
    "brand manufacturer seller address location geo contactpoint image logo thumbnail thumbnailurl primaryimageofpage "
    "offers price pricecurrency pricespecification pricevaliduntil sku mpn gtin gtin8 gtin12 gtin13 gtin14 productid "
    "identifier url sameas datepublished datemodified datecreated uploaddate width height size duration telephone email "
    "faxnumber streetaddress postalcode addresslocality addressregion addresscountry aggregaterating ratingvalue "
    "reviewrating ratingcount reviewcount interactionstatistic interactioncount commentcount wordcount keywords "
    "inlanguage breadcrumb potentialaction mainentityofpage ispartof shippingdetails hasmerchantreturnpolicy "
    "openinghours openinghoursspecification".split())
SCHEMA_TYPE = re.compile(r'"@type":\s*+(?:\[\s*+)?"(\w{1,40})"')
GENERATORS = {
    "forum": re.compile(r"discourse|phpbb|vbulletin|xenforo|nodebb|flarum|vanilla|smf|invision", re.I),
    "docs": re.compile(r"sphinx|docusaurus|mkdocs|gitbook|docutils|vitepress|starlight|mintlify|doxygen|mediawiki",
                       re.I),
    "shop": re.compile(r"shopify|woocommerce|magento|bigcommerce|prestashop", re.I),
    "blog": re.compile(r"wordpress|ghost|blogger|hugo|jekyll|wix|squarespace", re.I),
}
PATHS = {
    "product": re.compile(r"/(products?|dp|item|itm|p|pd|prod|ip)(/|$)", re.I),
    "collection": re.compile(r"/(collections?|category|categories|shop|c|cat|browse|store|b)(/|$)", re.I),
    "forum": re.compile(r"/(forums?|threads?|topics?|t|community|discussions?|questions?|showthread|viewtopic)(/|\.|$)"
                        r"|^forum|^community|^discuss", re.I),
    "docs": re.compile(r"/(docs?|documentation|guides?|api|reference|manual|wiki|learn|en|latest|stable|tutorials?)"
                       r"(/|$)|^docs?\.", re.I),
    "blog": re.compile(r"/(blogs?|news|articles?|posts?|story|stories|insights?|20\d\d|magazine)(/|$)", re.I),
    "service": re.compile(r"/(services?|solutions?|about|company|pricing|features?|platform|industries)(/|$)", re.I),
}
_WORD = re.compile(r"\w+")


def document_metadata(root: etree._Element) -> dict[str, str]:
    """Title, author, date and language as the head of the page states them; '' for what it does not state."""
    stated = _meta(root)
    return {"title": one_line(stated.get("og:title") or _title(root)),
            "author": one_line(stated.get("author") or stated.get("article:author") or ""),
            "published": one_line(stated.get("article:published_time") or stated.get("date") or ""),
            "language_hint": one_line(root.get("lang") or "")}


def _meta(root: etree._Element) -> dict[str, str]:
    """Content of the <meta> elements by name; the first of a name counts."""
    found: dict[str, str] = {}
    for element in root.iter("meta"):
        if key := element.get("property") or element.get("name"):
            found.setdefault(key.lower(), element.get("content") or "")
    return found


def one_line(text: str) -> str:
    return " ".join(strip_control(text).split())[:500]


def _title(root: etree._Element) -> str:
    title = root.find(".//title")
    return title.text or "" if title is not None else ""


@dataclass
class Hints:
    """What the page states about itself, as the features use it."""

    title: set[str] = field(default_factory=set)  # words of the title
    about: set[str] = field(default_factory=set)  # words of the description
    address: str = ""  # the page's own, as it states it
    schema: set[str] = field(default_factory=set)  # the schema.org types of its JSON-LD and microdata
    bits: dict[str, float] = field(default_factory=dict)  # kind of page by JSON-LD, og:type, generator, address


def hints_of(root: etree._Element) -> Hints:
    meta = _meta(root)
    json_ld = "\n".join(script.text[:100_000] for script in root.iter("script")
                        if script.text and "ld+json" in (script.get("type") or ""))
    address = _address(root, meta)
    return Hints(
        title=set(_words(_title(root) or meta.get("og:title", "")) + _words(meta.get("og:title", ""))),
        about=set(_words(meta.get("description", "")) + _words(meta.get("og:description", ""))),
        address=address,
        schema=set(SCHEMA_TYPE.findall(json_ld)),
        bits={**{name: float(pattern.search(json_ld) is not None) for name, pattern in JSON_LD.items()},
              **_meta_bits(meta), **address_bits(address)})


def _words(text: str) -> list[str]:
    return _WORD.findall(text[:1000].lower())


def _address(root: etree._Element, meta: dict[str, str]) -> str:
    for link in root.iter("link"):
        if (link.get("rel") or "").lower() == "canonical" and link.get("href"):
            return link.get("href") or ""
    return meta.get("og:url", "")


def _meta_bits(meta: dict[str, str]) -> dict[str, float]:
    kind = meta.get("og:type", "").lower()
    generator = meta.get("generator", "")[:200]
    return {"og": 1.0 if "article" in kind else 2.0 if "product" in kind else 3.0 if kind else 0.0,
            **{"made_" + name: float(pattern.search(generator) is not None) for name, pattern in GENERATORS.items()}}


def address_bits(address: str) -> dict[str, float]:
    rest = address.split("://", 1)[-1].split("?", 1)[0].split("#", 1)[0][:300].removeprefix("www.")
    path = [part for part in rest.split("/")[1:] if part]
    bits = {"path_" + name: float(pattern.search(rest) is not None) for name, pattern in PATHS.items()}
    bits["path_depth"] = float(min(len(path), 5)) if address else -1.0
    bits["slug_words"] = float(min(path[-1].count("-"), 8)) if path else 0.0
    return bits
