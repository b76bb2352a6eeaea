"""Search: the best documents for a query, each with its best passage."""

import contextlib
import sqlite3
from pathlib import Path
from typing import Any, NamedTuple

from miniature_memory.collection import query as queries
from miniature_memory.collection.passages import Passage, best_passage
from miniature_memory.core.text import counted, strip_control
from miniature_memory.storage import clean_documents, full_text
from miniature_memory.storage.catalog import Catalog
from miniature_memory.storage.full_text import QueryError, index_command

MOST_RESULTS = 10
MOST_EXPLAINED = 8  # words of a query that found nothing, with how many documents have each


class Result(NamedTuple):
    """A document that was found."""

    id: str
    title: str
    url: str
    date: str  # on which it was published, else fetched: YYYY-MM-DD
    passage: Passage


class Answer(NamedTuple):
    query: str
    total: int  # documents that match
    results: list[Result]  # the best of them
    note: str  # a sentence about what was not found, or not searched; ""

    def headline(self) -> str:
        best = f"; the best {len(self.results)}" if self.total > len(self.results) else ""
        return f"{counted(self.total, 'document')} found{best}:" if self.total else ""


def search(root: Path, text: str) -> Answer:
    """The documents of a root that a query finds, the best first. Raises ConfigError for a query that is too long, and
    StageError if there is nothing that can be searched."""
    query = queries.typed(text)
    words = queries.plain_words(query)
    with Catalog(root, read_only=True) as catalog:
        if not clean_documents.are_there_any(catalog):
            return Answer(query, 0, [], "No document has been kept yet, so there is nothing to search in.")
        with full_text.reading(catalog) as index:
            if not words:
                return Answer(query, 0, [], "There is nothing to search for. Expected: a word, or several.")
            expression, found = _first_valid(index, query, words)
            note = _note(index, catalog, found.total, words)
        return Answer(query, found.total, _results(catalog, expression, found.seqs), note)


def _first_valid(index: sqlite3.Connection, query: str, words: list[str]) -> tuple[str, full_text.Found]:
    with contextlib.suppress(QueryError):
        expression = queries.expression(query)
        return expression, full_text.search(index, expression, MOST_RESULTS)
    expression = " ".join(words)
    return expression, full_text.search(index, expression, MOST_RESULTS)


def _results(catalog: Catalog, expression: str, seqs: list[int]) -> list[Result]:
    rows = [row for seq in seqs if (row := clean_documents.at(catalog, seq))]
    documents = [document for row in rows if (document := clean_documents.read_row(catalog, row))]
    marked = full_text.marked(expression, [(document["text"], document["metadata"]["title"])
                                           for document in documents])
    return [_result(document, best_passage(text)) for document, text in zip(documents, marked, strict=True)]


def _result(document: dict[str, Any], passage: Passage) -> Result:
    metadata = document["metadata"]
    date = metadata.get("published") or metadata.get("fetched_at") or ""
    return Result(document["id"], title_of(document), strip_control(metadata["url"]), strip_control(date[:10]), passage)


def title_of(document: dict[str, Any]) -> str:
    """Its title, or else how its text begins, or else where it is."""
    metadata = document["metadata"]
    title = strip_control(metadata["title"] or document["text"].partition("\n")[0][:80] or metadata["url"])
    return " ".join(title.split())


def _note(index: sqlite3.Connection, catalog: Catalog, total: int, words: list[str]) -> str:
    notes = []
    if not total:
        counts = [(_shown(word), full_text.count(index, word)) for word in words[:MOST_EXPLAINED]]
        having = [f'"{word}" {"in" if i else "is in"} {counted(n, "document") if n else "none"}'
                  for i, (word, n) in enumerate(counts)]
        notes.append(f"No document matches. {', '.join(having)}. Try fewer words, OR between them, or the beginning of "
                     "a word followed by *: doug*")
    if waiting := full_text.n_waiting(index, catalog):
        notes.append(f"{counted(waiting, 'document')} {'is' if waiting == 1 else 'are'} not indexed yet. Fix: "
                     f"{index_command(catalog.root)}")
    return " ".join(notes)


def _shown(word: str) -> str:
    return word.replace('"', "").replace(full_text.BETWEEN, "")
