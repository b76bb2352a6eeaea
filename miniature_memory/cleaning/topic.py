"""The topic of a root: what its pages say about it so far, and how well a document fits.

What is known grows from document to document: a kept one that has many of the topic's own words becomes one of its
pages, separately for each language, and the best MOST_PAGES stay. So it depends only on the documents' order, never on
where a run ended. Only their ids are stored: their words are read from the clean set.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from miniature_memory.cleaning.config import CleanConfig
from miniature_memory.core.common_words import rarity
from miniature_memory.core.text import hostname
from miniature_memory.core.topic_fit import (
    Profile,
    Terms,
    fit,
    mention,
    profile_of,
    query_words,
    shares,
    terms_of,
    topic_words,
)
from miniature_memory.storage import clean_documents, topic_pages
from miniature_memory.storage.catalog import Catalog
from miniature_memory.storage.rejections import Rejection

FEWEST_PAGES = 3  # of a language, before a document is judged. Guess
MOST_PAGES = 10  # guess: 20 judge no better
MIN_TERMS = 50  # of a document that is judged: less is no evidence. As many as min_words
MIN_MENTION = 0.2  # of the topic's own words in a page of the topic. Guess
MIN_ARTICLE_MENTION = 0.05  # in an article that a wiki found for the topic, or that its seeds name. Guess
ASKED_SHARE = 0.5  # of a document's fit, that it gets for speaking of nothing but the words of one query. Guess
LEARN_FIT = 0.5  # of a document that may become a page of the topic. Guess
ARTICLES = ("mediawiki: ", "seeds: ")  # sources
SEEDS = "seeds: "


class Page(NamedTuple):
    """A page that the topic is learned from."""

    rank: float  # how much it speaks of the topic's own words; of an article 1 more
    id: str
    terms: Terms


class Topic:
    """What is known of a topic. `pages`: of each language those that it is learned from, the best first."""

    def __init__(self, title: str, queries: Iterable[str], pages: Mapping[str, list[Page]] | None = None) -> None:
        self.title, self.queries = title, list(queries)
        self.pages = {language: list(of_language) for language, of_language in (pages or {}).items()}
        self._own: dict[str, dict[str, float]] = {}
        self._lines: dict[str, list[dict[str, float]]] = {}
        self._profiles: dict[str, Profile] = {}

    def own(self, language: str) -> dict[str, float]:
        """Its own words, weighted by how rare they are in a language."""
        if language not in self._own:
            self._own[language] = topic_words(self.title, self.queries, rarity(language))
        return self._own[language]

    def asked_for(self, terms: Terms, language: str) -> float:
        """How much a document is about what one of the queries, or the title, asks for."""
        if language not in self._lines:
            self._lines[language] = query_words(self.title, self.queries, rarity(language))
        return max((mention(line, terms, in_any_form=False) for line in self._lines[language]), default=0.0)

    def profile(self, language: str) -> Profile | None:
        """None as long as too few pages are known in this language."""
        pages = self.pages.get(language, [])
        if language not in self._profiles and len(pages) >= FEWEST_PAGES:
            self._profiles[language] = profile_of(self.own(language), [page.terms for page in pages], rarity(language))
        return self._profiles.get(language)

    def fit(self, terms: Terms, language: str) -> float | None:
        """How well a document fits; None if that is unknown."""
        profile = self.profile(language)
        if profile is None or terms.total() < MIN_TERMS:
            return None
        return round(max(fit(profile, terms, rarity(language)), ASKED_SHARE * self.asked_for(terms, language)), 3)

    def words(self, terms: Terms, language: str) -> dict[str, float]:
        """What each word adds to the fit of a document, the most first."""
        profile = self.profile(language)
        if profile is None:
            return {}
        found = {word: share / profile.typical for word, share in
                 shares(profile.weights, terms, rarity(language)).items()}
        return dict(sorted(found.items(), key=lambda pair: -pair[1]))

    def learn(self, document_id: str, terms: Terms, language: str, source: str, found_fit: float | None) -> bool:
        """Make a kept document one of the pages if it is among the best. Returns whether it is."""
        pages, is_article = self.pages.setdefault(language, []), source.startswith(ARTICLES)
        is_full = len(pages) == MOST_PAGES
        if terms.total() < MIN_TERMS or (found_fit is not None and found_fit < LEARN_FIT) or (
                is_full and pages[-1].rank >= 1 + is_article):
            return False
        mentioned = mention(self.own(language), terms)
        rank = round(mentioned, 6) + is_article
        if mentioned < (MIN_ARTICLE_MENTION if is_article else MIN_MENTION) or (is_full and rank <= pages[-1].rank):
            return False
        pages.append(Page(rank, document_id, terms))
        pages.sort(key=lambda page: -page.rank)  # of equal ones, the earlier first
        del pages[MOST_PAGES:]
        self._profiles.pop(language, None)
        return True


def is_chosen(document: Mapping[str, Any]) -> bool:
    """Whether a person chose a document: a local file, or a page in seeds.txt. It is never off topic."""
    metadata = document["metadata"]
    return not hostname(metadata["url"]) or metadata.get("source", "").startswith(SEEDS)


def rejection_of(found_fit: float | None, document: Mapping[str, Any], config: CleanConfig) -> Rejection | None:
    if found_fit is None or found_fit >= config.min_topic_fit or is_chosen(document):
        return None
    return Rejection("off_topic", found_fit, config.min_topic_fit)


def document_terms(document: Mapping[str, Any], text: str) -> Terms:
    return terms_of(text, document["metadata"]["title"])


def load_topic(catalog: Catalog, config: CleanConfig, queries: Iterable[str]) -> Topic | None:
    """The topic of a root as far as its clean documents tell; None where clean.min_topic_fit is off."""
    if not config.min_topic_fit:
        return None
    pages: dict[str, list[Page]] = {}
    for language, of_language in topic_pages.load(catalog).items():
        documents = ((rank, clean_documents.read(catalog, id)) for rank, id in of_language)
        pages[language] = [Page(rank, document["id"], document_terms(document, document["text"]))
                           for rank, document in documents if document]
    return Topic(config.run.topic, queries, pages)


def store_topic(catalog: Catalog, topic: Topic) -> None:
    """Within a record() block."""
    topic_pages.store(catalog, {language: [(page.rank, page.id) for page in pages]
                                for language, pages in topic.pages.items()})
