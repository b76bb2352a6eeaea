"""Page type: what distinguishes a shop from a forum, and the small linear model that weighs it."""

import math
from typing import Any, NamedTuple

import numpy as np

from miniature_memory.extraction.blocks import Page
from miniature_memory.extraction.features import SHARED_CUES, Table
from miniature_memory.extraction.metadata import address_bits
from miniature_memory.extraction.vocabulary import SAYINGS

# The schema.org types that say something about the type of a page
_SCHEMA = ("Article NewsArticle BlogPosting Product ProductGroup Offer ItemList CollectionPage OfferCatalog "
           "DiscussionForumPosting QAPage Question FAQPage HowTo TechArticle Recipe LocalBusiness Service "
           "Organization WebPage WebSite BreadcrumbList Person ListItem")
SCHEMA_TYPES = _SCHEMA.split()
OG_TYPES = ("none", "article", "product")
BLOCK_WORDS = frozenset(["says_" + name for name in SAYINGS] + ["path_" + name for name in SHARED_CUES])


class TypeModel(NamedTuple):
    """Log-odds of each page type, up to a constant: bias + weights @ features."""

    types: list[str]
    names: list[str]
    bias: np.ndarray  # (types,)
    weights: np.ndarray  # (features, types)


def type_model_from(spec: dict[str, Any]) -> TypeModel:
    weights = spec["weights"]
    return TypeModel(spec["types"], list(weights), np.array(spec["bias"]), np.array(list(weights.values())))


def page_type_of(page: Page, table: Table, url: str, model: TypeModel) -> tuple[str, float]:
    """(the likeliest type, its probability)."""
    found = type_features(page, table, url)
    odds = model.bias + np.array([found[name] for name in model.names]) @ model.weights
    p = np.exp(odds - odds.max())
    best = int(np.argmax(p))
    return model.types[best], float(p[best] / p.sum())


def type_features(page: Page, table: Table, url: str) -> dict[str, float]:
    """The page's address, what it states for machines, and its blocks taken together.

    Sayings and cues count as the square root of the share of blocks that have them: the first price says more than the
    tenth.
    """
    found = {"schema_" + name: float(name in page.hints.schema) for name in SCHEMA_TYPES}
    found |= {"og_" + name: float(page.hints.bits["og"] == i) for i, name in enumerate(OG_TYPES)}
    found |= _address_features(url if url.startswith("http") else page.hints.address)  # a file's path says nothing
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
