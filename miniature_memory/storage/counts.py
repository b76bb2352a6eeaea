"""Counts: what status, topics and report print of the whole dataset."""

import json
import time
from collections.abc import Iterator
from typing import NamedTuple

from miniature_memory.storage import backoffs
from miniature_memory.storage.backoffs import Backoff
from miniature_memory.storage.catalog import Catalog
from miniature_memory.storage.documents import LICENSE


class Growth(NamedTuple):
    at: str
    tokens: int  # that this growth step added


class Counts(NamedTuple):
    urls: int
    urls_due: int
    hosts: int
    pages: int
    raw_documents: int
    documents: int  # in the clean set
    tokens: int
    val_tokens: int
    last_growth: Growth | None
    waiting: dict[str, int]  # stage -> what it has yet to handle, where that is not 0
    backoffs: dict[str, Backoff]  # of providers, those in force


class DocumentFacts(NamedTuple):
    text_bytes: int
    language: str
    host: str  # with its port; "" for a local file
    license: str  # in words where there is none


def read(catalog: Catalog) -> Counts:
    """All counts at one moment, whatever a run commits meanwhile."""
    catalog.execute("BEGIN")
    growth = catalog.execute("SELECT at, train_tokens + val_tokens AS tokens, val_tokens FROM growth "
                             "ORDER BY step DESC LIMIT 2").fetchall()
    totals = [row["tokens"] for row in growth] + [0]
    waiting = {"extract": catalog.count_new("extract", "pages"), "validate": catalog.count_new("validate", "documents"),
               "clean": catalog.count_new("clean", "documents", catalog.cursor("validate")),
               "prepare": catalog.count_new("prepare", "clean_documents")}
    rows = catalog.execute("""SELECT
        (SELECT count(*) FROM urls) AS urls, (SELECT count(*) FROM urls WHERE due_at <= ?) AS urls_due,
        (SELECT count(*) FROM hosts) AS hosts, (SELECT count(*) FROM pages) AS pages,
        (SELECT count(*) FROM documents) AS raw_documents, (SELECT count(*) FROM clean_documents) AS documents
        """, [time.time()])
    urls, urls_due, hosts, pages, raw_documents, documents = rows.fetchone()
    return Counts(urls, urls_due, hosts, pages, raw_documents, documents,
                  totals[0], growth[0]["val_tokens"] if growth else 0,
                  Growth(growth[0]["at"], totals[0] - totals[1]) if growth else None,
                  {stage: n for stage, n in waiting.items() if n},
                  dict(sorted(backoffs.active(catalog, backoffs.PROVIDER, time.time()).items())))


def sample_documents(catalog: Catalog, most: int) -> Iterator[DocumentFacts]:
    """At most so many clean documents, evenly spread."""
    last = catalog.value("SELECT max(seq) FROM clean_documents") or 0
    chosen = sorted({1 + round(i * (last - 1) / (most - 1)) for i in range(most)} if last > most
                    else range(1, last + 1))
    rows = catalog.execute(
        "SELECT text_bytes, language, substr(rest, 1, instr(rest || '/', '/') - 1), license FROM (SELECT text_bytes, "
        f"language, {LICENSE} AS license, substr(url, instr(url, '://') + 3) AS rest "
        "FROM clean_documents JOIN documents USING (id) "
        "WHERE clean_documents.seq IN (SELECT value FROM json_each(?)))", [json.dumps(chosen)])
    return (DocumentFacts(*row) for row in rows)


def bytes_by_folder(catalog: Catalog) -> dict[str, int]:
    """Committed bytes of each folder or file of data/."""
    return dict(catalog.execute("SELECT substr(path, 6, instr(substr(path, 6) || '/', '/') - 1), sum(length) "
                                "FROM files WHERE NOT dropped GROUP BY 1").fetchall())


def has_collected(catalog: Catalog) -> bool:
    """Whether any URL or document is known."""
    return bool(catalog.value("SELECT EXISTS (SELECT 1 FROM urls) OR EXISTS (SELECT 1 FROM documents)"))
