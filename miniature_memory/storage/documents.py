"""Raw documents, and the further URLs that each was found at."""

import hashlib
import json
import sqlite3
from collections.abc import Iterator
from typing import Any

from miniature_memory.core.text import hostname
from miniature_memory.storage.catalog import Catalog
from miniature_memory.storage.record_reader import Place
from miniature_memory.storage.url_keys import url_key

# Values of the column validation; any other is the reason for rejection
NOT_VALIDATED, VALID = "", "valid"
LICENSE = "CASE license WHEN '' THEN 'none named' ELSE coalesce(license, 'not recorded') END"  # in words
DAMAGED = "damaged"  # whole once, and set aside by a repair since


def add(catalog: Catalog, document_id: str, url: str, place: Place, license: str | None = None,
        page: int | None = None) -> int:
    """Add a raw document that is not known yet, within a record() block. Returns its sequence number."""
    return catalog.execute("INSERT INTO documents (id, url, file, offset, length, license, page) "
                           "VALUES (?, ?, ?, ?, ?, ?, ?)",
                           [document_id, url, *place, license, page]).lastrowid or 0


def has(catalog: Catalog, document_id: str) -> bool:
    return catalog.value("SELECT 1 FROM documents WHERE id = ?", [document_id]) is not None


def with_id(catalog: Catalog, document_id: str) -> sqlite3.Row | None:
    row: sqlite3.Row | None = catalog.execute("SELECT * FROM documents WHERE id = ?", [document_id]).fetchone()
    return row


def add_url(catalog: Catalog, document_id: str, url: str) -> None:
    """Remember a further URL of a known document, within a record() block."""
    catalog.execute("INSERT OR IGNORE INTO also_at VALUES (?, ?)", [document_id, url])


def read(catalog: Catalog, row: sqlite3.Row) -> dict[str, Any]:
    """A document that validate has passed. Raises StageError if its text has changed since."""
    try:
        document: dict[str, Any] = json.loads(catalog.read(row["file"], row["offset"], row["length"]))
        if hashlib.sha256(document["text"].encode()).hexdigest() == document["id"] == row["id"]:
            return document
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        pass
    raise catalog.log.reader.changed(f"{row['file']}, byte {row['offset']}: the document {row['id']} has changed "
                                     "since it was validated.")


def count(catalog: Catalog) -> int:
    return int(catalog.value("SELECT count(*) FROM documents"))


def count_valid(catalog: Catalog) -> int:
    return int(catalog.value("SELECT count(*) FROM documents WHERE validation = 'valid'"))


def validations(catalog: Catalog) -> dict[str, int]:
    """How many documents were validated with each outcome: 'valid', or the reason for rejection."""
    return dict(catalog.execute("SELECT validation, count(*) FROM documents WHERE validation != '' "
                                "GROUP BY 1").fetchall())


def valid(catalog: Catalog, step: int = 1) -> Iterator[sqlite3.Row]:
    """The rows of the valid documents, one in `step` of them."""
    yield from catalog.execute("SELECT * FROM documents WHERE validation = 'valid' AND seq % ? = 0", [step])


def set_validation(catalog: Catalog, seq: int, validation: str, language: str) -> None:
    """Store the outcome of validate: 'valid' or the reason for rejection. Within a record() block."""
    catalog.execute("UPDATE documents SET validation = ?, language = ? WHERE seq = ?", [validation, language, seq])


def is_any_kept_after(catalog: Catalog, seq: int) -> bool:
    """Whether clean has kept a document after `seq`."""
    return catalog.value("SELECT 1 FROM documents WHERE seq > ? AND id IN (SELECT id FROM clean_documents) LIMIT 1",
                         [seq]) is not None


def languages(catalog: Catalog, most: int) -> dict[str, int]:
    """How many valid documents are in each language, the commonest first."""
    return dict(catalog.execute("SELECT language, count(*) FROM documents WHERE validation = 'valid' "
                                "GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT ?", [most]).fetchall())


def licenses(catalog: Catalog, most: int) -> dict[str, int]:
    """How many valid documents are under each license, the commonest first."""
    return dict(catalog.execute(f"SELECT {LICENSE}, count(*) FROM documents WHERE validation = 'valid' "
                                "GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT ?", [most]).fetchall())


def hosts(catalog: Catalog, most: int) -> dict[str, int]:
    """How many valid documents are of each host, the commonest first."""
    catalog.db.create_function("hostname", 1, hostname, deterministic=True)
    return dict(catalog.execute("SELECT hostname(url), count(*) FROM documents WHERE validation = 'valid' "
                                "GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT ?", [most]).fetchall())


def all_hosts(catalog: Catalog) -> list[str]:
    """Of all documents."""
    catalog.db.create_function("hostname", 1, hostname, deterministic=True)
    return [host for (host,) in catalog.execute("SELECT DISTINCT hostname(url) FROM documents") if host]


def urls_with(catalog: Catalog, part: str, most: int = 2000) -> list[str]:
    """The addresses of documents that contain `part`."""
    return [url for (url,) in catalog.execute("SELECT url FROM documents WHERE instr(url, ?) LIMIT ?", [part, most])]


def ids_like(catalog: Catalog, beginning: str, most: int) -> list[str]:
    """The ids that begin with this."""
    return [id for (id,) in catalog.execute("SELECT id FROM documents WHERE id >= ? AND id < ? || 'g' LIMIT ?",
                                            [beginning, beginning, most])]


def find(catalog: Catalog, id_or_url: str) -> sqlite3.Row | None:
    """The newest document with this id, with an id that begins so, or with this URL in any spelling."""
    row: sqlite3.Row | None = catalog.execute(
        "SELECT * FROM documents WHERE id >= ? AND id < ? || 'g' OR url = ? ORDER BY seq DESC",
        [id_or_url] * 3).fetchone()
    if row or not hostname(id_or_url):
        return row
    catalog.db.create_function("url_key", 1, url_key, deterministic=True)
    row = catalog.execute("SELECT * FROM documents WHERE instr(url, ?) AND url_key(url) = ? ORDER BY seq DESC",
                          [hostname(id_or_url), url_key(id_or_url)]).fetchone()
    return row
