"""What cleaning remembers of the documents it kept: keys that near duplicates share, and the lines of each site.

The keys of a document are 64-bit integers: those of the newest documents in the column signature of clean_documents,
one after the other; those of older ones in the table duplicate_keys.
"""

import sqlite3
import struct
from collections.abc import Iterable, Iterator, Sequence

from miniature_memory.storage.catalog import Catalog

MERGED = "duplicate_keys.merged"  # state: seq of the last clean document whose keys are in the table
VERSION = "duplicate_keys.version"  # state: of the way in which keys are made
FORGOTTEN = 0  # the seq of texts that were forgotten: what shares a key with one is rejected for good


def sign(catalog: Catalog, seq: int, signature: bytes) -> None:
    """Keep the keys of a clean document, within a record() block."""
    catalog.execute("UPDATE clean_documents SET signature = ? WHERE seq = ?", [signature, seq])


def unsigned(catalog: Catalog, most: int) -> list[sqlite3.Row]:
    """The first clean documents whose keys were never computed, in order."""
    return catalog.execute("SELECT * FROM clean_documents WHERE signature IS NULL ORDER BY seq LIMIT ?",
                           [most]).fetchall()


def pending(catalog: Catalog) -> Iterator[tuple[int, bytes]]:
    """Sequence number and signature of the documents whose keys are not in the table yet."""
    yield from catalog.execute("SELECT seq, signature FROM clean_documents WHERE seq > ? AND signature IS NOT NULL",
                               [catalog.state(MERGED, 0)])


def merge(catalog: Catalog, seq_of_key: Iterable[tuple[int, int]], seq: int) -> None:
    """Put the keys of all documents up to `seq` into the table, within a record() block; an earlier document stays."""
    catalog.db.executemany("INSERT OR IGNORE INTO duplicate_keys VALUES (?, ?)", seq_of_key)
    catalog.set_state(MERGED, seq)


def look_up(catalog: Catalog, keys: Sequence[int]) -> dict[int, int]:
    """The sequence number of the earliest document with each of `keys` that is in the table."""
    marks = ", ".join("?" * len(keys))
    return dict(catalog.execute(f"SELECT key, seq FROM duplicate_keys WHERE key IN ({marks})", keys).fetchall())


def id_of(catalog: Catalog, seq: int) -> str:
    return str(catalog.value("SELECT id FROM clean_documents WHERE seq = ?", [seq]))


def forget(catalog: Catalog, where: str, parameters: Sequence[object]) -> None:
    """Delete the keys of some clean documents, within a record() block that then deletes their rows.

    The numbers of the last rows are used again, so what stood for them must be gone.
    """
    rows = catalog.execute(f"SELECT seq, signature FROM clean_documents WHERE {where}", parameters).fetchall()
    for row in rows:
        catalog.db.executemany("DELETE FROM duplicate_keys WHERE key = ? AND seq = ?",
                               [(key, row["seq"]) for (key,) in struct.iter_unpack("<q", row["signature"] or b"")])
    last = catalog.value(f"SELECT max(seq) FROM clean_documents WHERE NOT ({where})", parameters) or 0
    catalog.set_state(MERGED, min(last, catalog.state(MERGED, 0)))


def reject_for_good(catalog: Catalog, signatures: Iterable[bytes]) -> None:
    """Keep the keys of texts that are forgotten, within a record() block."""
    for signature in signatures:
        catalog.db.executemany(f"INSERT OR REPLACE INTO duplicate_keys VALUES (?, {FORGOTTEN})",
                               struct.iter_unpack("<q", signature))


def copy_forgotten(catalog: Catalog, new: Catalog) -> None:
    """Let the catalog of a rebuild know the forgotten texts, too."""
    keys = catalog.execute(f"SELECT key FROM duplicate_keys WHERE seq = {FORGOTTEN}").fetchall()
    if keys:
        with new.record():
            new.db.executemany(f"INSERT OR REPLACE INTO duplicate_keys VALUES (?, {FORGOTTEN})", map(tuple, keys))


def use_version(catalog: Catalog, version: int) -> None:
    """Forget all keys if they are of another version: they are computed again, as those of unsigned() documents."""
    if catalog.state(VERSION, 1) == version:
        return
    with catalog.record():
        catalog.execute("UPDATE clean_documents SET signature = NULL")
        catalog.execute("DELETE FROM duplicate_keys")
        catalog.set_state(MERGED, 0)
        catalog.set_state(VERSION, version)


def site_lines(catalog: Catalog, host: str) -> tuple[int, bytes]:
    """How many documents of a host were seen, and what is known of their lines."""
    row = catalog.execute("SELECT documents, lines FROM site_lines WHERE host = ?", [host]).fetchone()
    return (row["documents"], row["lines"]) if row else (0, b"")


def set_site_lines(catalog: Catalog, host: str, documents: int, lines: bytes) -> None:
    """Within a record() block."""
    catalog.execute("INSERT OR REPLACE INTO site_lines VALUES (?, ?, ?)", [host, documents, lines])
