"""Topic pages: the clean documents that a topic is learned from, and how well each document fits it."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from miniature_memory.storage.catalog import Catalog

PAGES = "topic.pages"  # state: language -> [rank, id] of each page that the topic is learned from, the best first


def load(catalog: Catalog) -> dict[str, list[tuple[float, str]]]:
    return {language: [(rank, id) for rank, id in pages] for language, pages in catalog.state(PAGES, {}).items()}


def store(catalog: Catalog, pages: Mapping[str, Sequence[tuple[float, str]]]) -> None:
    """Within a record() block."""
    catalog.set_state(PAGES, pages)


def set_fit(catalog: Catalog, document_id: str, fit: float) -> None:
    """Keep how well a document fits the topic, within a record() block."""
    catalog.execute("UPDATE documents SET topic_fit = ? WHERE id = ?", [fit, document_id])


class FitSummary(NamedTuple):
    """How well the documents fit the topic."""

    least: float  # that is asked for
    judged: int
    fitting: int
    worst_kept: list[tuple[str, float]]  # URL and fit, the worst first
    best_rejected: list[tuple[str, float]]  # for their fit; the best first


def summary(catalog: Catalog, least: float, most: int) -> FitSummary:
    """least: clean.min_topic_fit. most: documents of each list."""
    judged, fitting = catalog.execute("SELECT count(*), coalesce(sum(topic_fit >= ?), 0) FROM documents "
                                      "WHERE topic_fit IS NOT NULL", [least]).fetchone()
    worst = catalog.execute("SELECT url, topic_fit FROM documents JOIN clean_documents USING (id) "
                            "WHERE topic_fit IS NOT NULL ORDER BY topic_fit, documents.seq LIMIT ?", [most])
    best = catalog.execute("SELECT url, topic_fit FROM documents WHERE topic_fit < ? AND id NOT IN "
                           "(SELECT id FROM clean_documents) ORDER BY topic_fit DESC, seq LIMIT ?", [least, most])
    return FitSummary(least, judged, fitting, [tuple(row) for row in worst], [tuple(row) for row in best])
