"""A clean set that was rebuilt in a catalog of its own, and takes the place of the old one."""

import contextlib
import filecmp
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from miniature_memory.storage import clean_documents, yields
from miniature_memory.storage.catalog import Catalog
from miniature_memory.storage.duplicates import MERGED, VERSION
from miniature_memory.storage.topic_pages import PAGES


def add_validated(catalog: Catalog, row: sqlite3.Row, validation: str, language: str) -> None:
    """Copy a row of the old catalog's documents, with its validation of today, within a record() block."""
    catalog.execute("INSERT INTO documents (seq, id, url, file, offset, length, license, page, validation, language) "
                    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    [*(row[key] for key in ("seq", "id", "url", "file", "offset", "length", "license", "page")),
                     validation, language])


@contextlib.contextmanager
def attached(catalog: Catalog, folder: Path) -> Iterator[None]:
    """While this is open, the other functions here find the rebuilt catalog, whose root is `folder`."""
    catalog.execute("ATTACH ? AS rebuilt", [str(folder / "data/catalog.sqlite3")])
    yield
    catalog.execute("DETACH rebuilt")


def shards(catalog: Catalog, schema: str = "rebuilt") -> list[str]:
    """The files of the rebuilt clean set, or of the old one ("main")."""
    return [row["path"] for row in catalog.execute(
        f"SELECT path FROM {schema}.files WHERE path LIKE 'data/clean/%' AND NOT dropped ORDER BY path")]


def is_same(catalog: Catalog, folder: Path) -> bool:
    """Does the rebuilt clean set equal the old one, to the byte?"""
    # A row may have been set aside whose bytes are still there, so rows are counted, too.
    old, new = (catalog.value(f"SELECT count(*) FROM {schema}.clean_documents") for schema in ("main", "rebuilt"))
    return (old == new and shards(catalog) == shards(catalog, "main")
            and all(filecmp.cmp(catalog.root / path, folder / path, shallow=False) for path in shards(catalog)))


def take_documents(catalog: Catalog) -> None:
    """Replace the old clean documents by the rebuilt ones, which keep their splits, within a record() block."""
    catalog.execute("CREATE TEMP TABLE split_of_id AS SELECT id, split FROM clean_documents")
    catalog.execute("CREATE UNIQUE INDEX temp.split_of_id_id ON split_of_id (id)")
    catalog.execute("DELETE FROM clean_documents")
    catalog.execute("INSERT INTO clean_documents (seq, id, file, offset, length, text_bytes, signature, split) "
                    "SELECT seq, id, file, offset, length, text_bytes, signature, "
                    "coalesce(nullif((SELECT split FROM split_of_id WHERE split_of_id.id = new.id), ''), split) "
                    "FROM rebuilt.clean_documents AS new")
    for path in shards(catalog, "main"):
        catalog.log.drop(path)
    clean_documents.begin_generation(catalog)
    yields.count_kept_again(catalog)


def take_what_was_learned(catalog: Catalog) -> None:
    """Replace the old duplicate keys, site lines and topic by the rebuilt ones, within a record() block."""
    for table in ("duplicate_keys", "site_lines"):
        catalog.execute(f"DELETE FROM {table}")
        catalog.execute(f"INSERT INTO {table} SELECT * FROM rebuilt.{table}")
    for key in (MERGED, VERSION, PAGES):
        catalog.execute("DELETE FROM state WHERE key = ?", [key])
        catalog.execute("INSERT INTO state SELECT key, value FROM rebuilt.state WHERE key = ?", [key])
    catalog.execute("UPDATE documents SET topic_fit = new.topic_fit FROM rebuilt.documents AS new "
                    "WHERE new.seq = documents.seq AND new.topic_fit IS NOT documents.topic_fit")


def take_validations(catalog: Catalog) -> None:
    """Replace the old validations and languages by the new ones, within a record() block."""
    catalog.execute("UPDATE documents SET validation = new.validation, language = new.language "
                    "FROM rebuilt.documents AS new WHERE new.seq = documents.seq")
