"""Forgotten: what was taken back, known by its hash alone, so that it is never fetched, imported or kept again.

kind      hash: SHA-256 in hex of
address   the key of a URL, without http:// or https://; the address of a local file, or of a place in one
host      a host's name; its subdomains are forgotten with it
text      the text of a raw document: its id
payload   the digest of a page as it came over the wire

The hashes of addresses and hosts have no salt, which would lie next to them: who guesses an address can see whether it
is among them, and nobody can read it there. The words of a forgotten text live on as keys of MinHash (duplicates.py).
"""

import contextlib
import hashlib
import json
import sqlite3
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from miniature_memory.core.errors import StageError
from miniature_memory.core.paths import command, shown
from miniature_memory.core.text import hostname, timestamp
from miniature_memory.storage import duplicates, records
from miniature_memory.storage.catalog import Catalog
from miniature_memory.storage.files import QUERIES, SEEDS
from miniature_memory.storage.records import Rows
from miniature_memory.storage.url_keys import url_key

ADDRESS, HOST, TEXT, PAYLOAD = "address", "host", "text", "payload"  # kinds

Entry = tuple[str, str]  # kind, hash


def hash_of(text: str) -> str:
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()


def address(url: str) -> Entry:
    """A web page is the same over http and https."""
    return ADDRESS, hash_of(url_key(url).partition("://")[2] if is_of_web(url) else url)


def host(name: str) -> Entry:
    return HOST, hash_of(name)


def is_of_web(url: str) -> bool:
    return url.startswith(("http://", "https://"))


def entries_of(url: str) -> Iterator[Entry]:
    """By which entries a URL is forgotten: its own, that of the file that it is a place in, those of its host."""
    yield address(url)
    if not is_of_web(url) and "#" in url:
        yield address(url.partition("#")[0])
    labels = hostname(url).split(".")
    yield from (host(".".join(labels[n:])) for n in range(len(labels)))


class Forgotten:
    """Contains every URL that is forgotten by one of its entries."""

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self.entries = frozenset(entries)

    def __contains__(self, url: object) -> bool:
        return bool(self.entries) and not self.entries.isdisjoint(entries_of(str(url)))


def load(catalog: Catalog) -> Forgotten:
    return Forgotten((kind, value) for kind, value in catalog.execute("SELECT kind, hash FROM forgotten"))


def refuses(catalog: Catalog, url: str, document_id: str) -> bool:
    """Whether a text that was found at `url` must not be stored."""
    return any(catalog.value("SELECT 1 FROM forgotten WHERE kind = ? AND hash = ?", entry)
               for entry in ((TEXT, document_id), *entries_of(url)))


def since(catalog: Catalog, entries: Iterable[Entry]) -> str:
    """When the first of these was forgotten; '' if none was."""
    found = (catalog.value("SELECT at FROM forgotten WHERE kind = ? AND hash = ?", entry) for entry in entries)
    return min(filter(None, found), default="")


def first_run(root: Path) -> str:
    """The fix for a root without documents. Where what it had was forgotten, no run helps that finds the same again."""
    run, texts = command("run.py", root), command("run.py", root, "--texts FILE...")
    with contextlib.suppress(StageError), Catalog(root, read_only=True) as catalog:
        if catalog.value("SELECT 1 FROM forgotten") and not catalog.value("SELECT 1 FROM documents"):
            return (f"all its documents were forgotten: add other queries to {shown(root / QUERIES)} or other "
                    f"addresses to {shown(root / SEEDS)}, then {run}; or learn from your own texts: {texts}")
    return f"{run}, which runs all stages; or learn from your own texts: {texts}"


def counts(catalog: Catalog) -> dict[str, int]:
    """How many hashes of each kind."""
    return dict(catalog.execute("SELECT kind, count(*) FROM forgotten GROUP BY kind").fetchall())


# --- what there is of it -------------------------------------------------------------------------


class Found(NamedTuple):
    """What is to be forgotten: its entries, and the rows that hold something of it."""

    entries: frozenset[Entry]
    documents: list[sqlite3.Row]  # raw
    clean: list[sqlite3.Row]
    pages: list[int]  # sequence numbers
    also_at: list[tuple[str, str]]  # (id, further address) of the documents


def find(catalog: Catalog, entries: Collection[Entry]) -> Found:
    """All that the entries mean; changes nothing.

    An id means its document's address, too; an address means that to which it was redirected. The same text at another
    address is forgotten with its records there, but not that address. Reads all rows that have addresses once.
    """
    wanted = set(entries)
    ids = _json(value for kind, value in entries if kind == TEXT)
    wanted |= {address(url) for (url,) in catalog.execute(
        "SELECT url FROM documents WHERE id IN (SELECT value FROM json_each(?)) AND instr(url, '://')", [ids])}
    _define(catalog, (entry for entry in wanted if entry[0] == ADDRESS))
    wanted |= {address(url) for (url,) in catalog.execute(
        "SELECT DISTINCT pages.url FROM pages JOIN urls ON urls.id = url_id WHERE pages.url != urls.url "
        "AND is_forgotten(urls.key)")}
    _define(catalog, wanted)
    documents = catalog.execute(
        "SELECT * FROM documents WHERE id IN (SELECT value FROM json_each(?)) OR is_forgotten(url) "
        "OR id IN (SELECT id FROM also_at WHERE is_forgotten(url)) ORDER BY seq", [ids]).fetchall()
    ids = _json(row["id"] for row in documents)
    clean = catalog.execute("SELECT * FROM clean_documents WHERE id IN (SELECT value FROM json_each(?)) ORDER BY seq",
                            [ids]).fetchall()
    also_at = [tuple(row) for row in catalog.execute(
        "SELECT id, url FROM also_at WHERE id IN (SELECT value FROM json_each(?))", [ids])]
    pages = catalog.execute(
        "SELECT seq, payload_hash FROM pages WHERE is_forgotten(url) OR seq IN (SELECT value FROM json_each(?)) "
        "OR url IN (SELECT value FROM json_each(?))",
        [_json(row["page"] for row in documents), _json(url for _, url in also_at)]).fetchall()
    wanted |= {(TEXT, row["id"]) for row in documents}
    wanted |= {(PAYLOAD, hash_of(row["payload_hash"])) for row in pages if row["payload_hash"]}
    return Found(frozenset(wanted), documents, clean, [row["seq"] for row in pages], also_at)


def remove(catalog: Catalog, found: Found, signatures: Iterable[bytes]) -> None:
    """Keep the entries, and delete every row of what was found, within a record() block.

    signatures: of the clean documents, as duplicates.py has them.
    """
    now = timestamp()
    catalog.execute("PRAGMA secure_delete = ON")  # what is deleted is overwritten
    catalog.db.executemany("INSERT OR IGNORE INTO forgotten VALUES (?, ?, ?)",
                           [(*entry, now) for entry in sorted(found.entries)])
    ids = _json(row["id"] for row in found.documents)
    for table, column, values in (("clean_documents", "id", ids), ("documents", "id", ids), ("also_at", "id", ids),
                                  ("pages", "seq", _json(found.pages))):
        records.delete(catalog, Rows(table, f"{column} IN (SELECT value FROM json_each(?))", [values]))
    duplicates.reject_for_good(catalog, signatures)
    _define(catalog, found.entries)
    for table, column in (("shells", "url"), ("also_at", "url"), ("local_files", "address")):
        records.delete(catalog, Rows(table, f"is_forgotten({column})", []))
    ids = _json(id for (id,) in catalog.execute("SELECT id FROM urls WHERE is_forgotten(key)"))
    catalog.execute("UPDATE urls SET due_at = NULL WHERE id IN (SELECT value FROM json_each(?))", [ids])  # for hosts
    for table, column in (("shells", "url_id"), ("urls", "id")):
        records.delete(catalog, Rows(table, f"{column} IN (SELECT value FROM json_each(?))", [ids]))
    _define(catalog, (entry for entry in found.entries if entry[0] == HOST))
    for table, column in (("hosts", "host"), ("yields", "host"), ("site_lines", "host"), ("backoffs", "name")):
        records.delete(catalog, Rows(table, f"is_forgotten('http://' || {column})", []))


def clear_free_space(catalog: Catalog) -> None:
    """Leave nothing of what was deleted in the catalog's files."""
    catalog.execute("VACUUM")
    catalog.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _define(catalog: Catalog, entries: Iterable[Entry]) -> None:
    """Let is_forgotten(url) say in SQL whether a URL is forgotten by one of the entries."""
    catalog.db.create_function("is_forgotten", 1, Forgotten(entries).__contains__, deterministic=True)


def _json(values: Iterable[object]) -> str:
    return json.dumps(list(values))
