"""What cleaning remembers of the documents it kept: keys that near-duplicates share, and the lines of each site."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from miniature_memory.storage.catalog import Catalog

MERGED = "duplicate_keys.merged"  # state: seq of the last clean document whose keys are in the table


def forget(catalog: Catalog, where: str, parameters: Sequence[object]) -> None:
    """Take back the keys of some clean documents, within a record() block that then deletes their rows.

    The numbers of the last rows are used again, so what stood for them must be gone.
    """
    rows = catalog.execute(f"SELECT seq, signature FROM clean_documents WHERE {where}", parameters).fetchall()
    for row in rows:
        catalog.db.executemany("DELETE FROM duplicate_keys WHERE key = ? AND seq = ?",
                               [(key, row["seq"]) for (key,) in struct.iter_unpack("<q", row["signature"] or b"")])
    last = catalog.value(f"SELECT max(seq) FROM clean_documents WHERE NOT ({where})", parameters) or 0
    catalog.set_state(MERGED, min(last, catalog.state(MERGED, 0)))
