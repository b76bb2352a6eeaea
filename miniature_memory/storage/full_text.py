"""The full-text index: which clean documents have which words. SQLite's FTS5, in a file of its own.

    data/index.sqlite3    texts      text and title of each document; its rowid is the seq of clean_documents
                          progress   one row: the last document that is indexed, and the generation of the clean set

The table is contentless (https://sqlite.org/fts5.html, 4.4.1): it holds no text. clean_documents says where a document
is, and its text is read from there. Rows are only ever added, together with the progress in one transaction, so a kill
at any moment leaves an index that the next call continues. If the clean set was rebuilt or repaired, or the index is
damaged, it is removed and rebuilt: everything in it is derived.

Words are compared without case and diacritics. Scripts without spaces (Chinese, Japanese, Thai) are indexed by their
characters, and a word in them is searched as a phrase: 0.69 of the size of Chinese text, where overlapping pairs take
1.34 and FTS5's trigrams 3.43, which cannot find a word of two characters either.
"""

import contextlib
import logging
import re
import shlex
import sqlite3
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from miniature_memory.core.errors import StageError
from miniature_memory.core.interpreter import setup_command
from miniature_memory.core.paths import PROJECT, command, fsync_folder, shown
from miniature_memory.core.text import strip_control
from miniature_memory.storage import clean_documents
from miniature_memory.storage.catalog import Catalog
from miniature_memory.storage.errors import explained

logger = logging.getLogger(__name__)

INDEX = "data/index.sqlite3"
FILES = tuple(INDEX + ending for ending in ("", "-wal", "-shm"))
VERSION = 1  # of what is in it; an index of another one is made again
GROUP_BYTES = 16 << 20  # of text per transaction: what a kill costs, about a second. The memory grows with it
MOST_FREE = 0.1  # of the pages of the file, which FTS5 leaves behind when it merges segments. Guess
QUERY_SEC = 5.0  # after which a query is given up
MOST_MARKED_CHARS = 500_000  # of each document in which hits are looked for; guess: a long book has as many
TITLE_WEIGHT = 5.0  # of a word in the title, as against one in the text. Guess
UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\U00020000-\U0003ffff"
BEGIN, END, BETWEEN = "\x02", "\x03", "\x1f"  # around a hit, and between characters: controls, which no document has

_UNSPACED = re.compile(f"[{UNSPACED}]+")
# Title after text: FTS5 spends two bytes more per word and document on every column but the first.
_TABLE = ("texts USING fts5(text, title, {content}tokenize = \"unicode61 remove_diacritics 2 categories 'L* N* Co "
          "M*'\")")  # M*: the vowel signs of Indian and Thai scripts belong to their words
_SCHEMA = f"""
CREATE VIRTUAL TABLE {_TABLE.format(content="content = '', ")};
CREATE TABLE progress (seq INTEGER NOT NULL, id TEXT NOT NULL, generation INTEGER NOT NULL);
INSERT INTO texts (texts, rank) VALUES ('hashsize', {2 * GROUP_BYTES});  -- one segment per transaction
PRAGMA user_version = {VERSION};
"""
_NO_FTS5 = ("The SQLite of this Python has no FTS5, so the collection cannot be searched; everything else works.",
            "SQLite with FTS5, as Debian, Ubuntu, Homebrew and python.org have it.")


class QueryError(ValueError):
    """What FTS5 cannot read as a query."""


class Found(NamedTuple):
    total: int  # documents that match
    seqs: list[int]  # of the best ones, the best first


def is_supported() -> bool:
    with contextlib.closing(sqlite3.connect(":memory:")) as db:
        return bool(db.execute("SELECT 1 FROM pragma_module_list WHERE name = 'fts5'").fetchone())


def index_command(root: Path) -> str:
    return command("clean.py", root, "--index")


def by_characters(text: str) -> str:
    """`text` as FTS5 sees it: scripts without spaces are divided into characters."""
    return _UNSPACED.sub(lambda run: f"{BETWEEN}{BETWEEN.join(run[0])}{BETWEEN}", text)


# --- growing -------------------------------------------------------------------------------------


def grow(catalog: Catalog, rebuild: bool = False) -> int:
    """Index what is new among the clean documents, all of them if that is necessary. Returns how many they were."""
    if not is_supported():
        return 0
    path = catalog.root / INDEX
    catalog.commit()  # no document is indexed before it is safe
    if rebuild:
        remove(catalog.root)
    with explained(path):
        try:
            return _grow(catalog, path)
        except sqlite3.DatabaseError as error:
            if not _is_damage(error):
                raise
            logger.warning("%s is damaged (%s), so it is rebuilt", INDEX, error)
            remove(catalog.root)
            return _grow(catalog, path)


def _grow(catalog: Catalog, path: Path) -> int:
    from miniature_memory.core.progress import Progress  # needs tqdm, which --doctor may have to do without

    db = _open(path)
    if not _continues(db, catalog):
        db.close()
        remove(catalog.root)
        db = _open(path)
    with contextlib.closing(db):
        if not _version(db):
            generation = clean_documents.generation(catalog)
            db.executescript(f"BEGIN; {_SCHEMA} INSERT INTO progress VALUES (0, '', {generation}); COMMIT;")
        seq, _, _ = _progress(db)
        n_new, n_bytes = catalog.count_after(seq, "clean_documents"), 0
        for row in Progress(catalog.rows_after(seq, "clean_documents"), "index", n_new, unit=" documents"):
            if not db.in_transaction:
                db.execute("BEGIN")
            if document := clean_documents.read_row(catalog, row):  # damaged ones are for an audit to report
                _add(db, row["seq"], document["text"], document["metadata"]["title"])
            n_bytes += row["text_bytes"]
            if n_bytes >= GROUP_BYTES:
                _commit(db, row)
                n_bytes = 0
        if db.in_transaction:
            _commit(db, row)
        n_free, n_pages = (db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("freelist_count", "page_count"))
        if n_free > MOST_FREE * n_pages:
            db.executescript("PRAGMA incremental_vacuum")  # execute() would give back one page alone
    return n_new


def _add(db: sqlite3.Connection, seq: int, text: str, title: str) -> None:
    db.execute("INSERT INTO texts (rowid, text, title) VALUES (?, ?, ?)",
               [seq, by_characters(text), by_characters(title)])


def _commit(db: sqlite3.Connection, last: sqlite3.Row) -> None:
    """Note the progress here alone: FTS5 writes what it has gathered before any other table changes, and many small
    segments take more room than a few large ones."""
    db.execute("UPDATE progress SET seq = ?, id = ?", [last["seq"], last["id"]])
    db.execute("COMMIT")


def _open(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, isolation_level=None, timeout=30)
    db.execute("PRAGMA auto_vacuum = INCREMENTAL")
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = NORMAL")  # a power cut may take the last rows, and their progress with them
    return db


def _version(db: sqlite3.Connection) -> int:
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def _progress(db: sqlite3.Connection) -> tuple[int, str, int]:
    seq, name, generation = db.execute("SELECT seq, id, generation FROM progress").fetchone() or (-1, "", -1)
    return seq, name, generation


def _continues(db: sqlite3.Connection, catalog: Catalog) -> bool:
    """Whether the index is empty, or one of this clean set as far as it goes."""
    if _version(db) != VERSION:
        return not _version(db)
    seq, name, generation = _progress(db)
    row = clean_documents.at(catalog, seq)
    return generation == clean_documents.generation(catalog) and (row["id"] if row else "") == name


def remove(root: Path) -> None:
    """Remove the index: a search that is under way still reads it to its end. Part by part, for good: a power cut must
    not leave the -wal of one beside another."""
    for name in FILES:
        (root / name).unlink(missing_ok=True)
        fsync_folder((root / name).parent)


def _is_damage(error: sqlite3.DatabaseError) -> bool:
    """Also a table that is missing: then another program has changed the file."""
    return _code(error) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)


def _code(error: sqlite3.Error) -> int:
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF  # the upper bits only tell details


# --- searching -----------------------------------------------------------------------------------


@contextlib.contextmanager
def reading(catalog: Catalog) -> Iterator[sqlite3.Connection]:
    """The index of a catalog, to search in. Raises StageError if there is none, or none of the catalog's clean set."""
    root, expected = catalog.root, "the full-text index of the clean documents."
    path, fix = root / INDEX, f"run {index_command(root)}, which rebuilds it from the clean documents."
    if not is_supported():
        old = shlex.quote(shown(PROJECT / ".venv"))
        raise StageError(*_NO_FTS5, f"put such a Python first on the PATH, then mv {old} {old}.old; {setup_command()}")
    if not path.exists():
        raise StageError(f"There is no {shown(path)} yet.", expected,
                         f"run {index_command(root)}, which builds it; from then on every run adds what is new.")
    with explained(path), _searching(path, fix):
        db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None, timeout=30)
        with contextlib.closing(db):
            if _version(db) != VERSION or not _continues(db, catalog):
                raise StageError(f"{shown(path)} is of another release or of an earlier clean set.", expected, fix)
            until = time.monotonic() + QUERY_SEC
            db.set_progress_handler(lambda: time.monotonic() > until, 10_000)
            yield db


@contextlib.contextmanager
def _searching(path: Path, fix: str) -> Iterator[None]:
    """Raise what goes wrong with the index while it is read as StageErrors."""
    try:
        yield
    except QueryError as error:  # of plain words, which are always a query
        raise _damaged(path, error, fix) from None
    except sqlite3.DatabaseError as error:
        if _code(error) == sqlite3.SQLITE_INTERRUPT:
            raise StageError(f"The query takes more than {QUERY_SEC:g} s.", "one that takes less.",
                             "search for rarer words, and for longer beginnings before a *.") from None
        if _is_damage(error):
            raise _damaged(path, error, fix) from None
        raise


def _damaged(path: Path, error: Exception, fix: str) -> StageError:
    return StageError(f"{shown(path)} is damaged ({error}).", "an SQLite database with the full-text index.", fix)


def search(db: sqlite3.Connection, expression: str, most: int) -> Found:
    """The documents that match an expression of FTS5, by BM25. Raises QueryError if that is none."""
    with _asking():
        rows = db.execute("SELECT rowid FROM texts WHERE texts MATCH ? AND rank MATCH ? ORDER BY rank",
                          [f" {expression}", f"bm25(1.0, {TITLE_WEIGHT})"])  # *reads and *id are commands to FTS5
        # No LIMIT: counting again would take as long
        best = [seq for (seq,) in rows.fetchmany(most)]
        return Found(len(best) + sum(1 for _ in rows), best)


def count(db: sqlite3.Connection, expression: str) -> int:
    with _asking():
        return int(db.execute("SELECT count(*) FROM texts WHERE texts MATCH ?", [expression]).fetchone()[0])


def n_waiting(db: sqlite3.Connection, catalog: Catalog) -> int:
    """How many clean documents are not indexed yet."""
    return catalog.count_after(_progress(db)[0], "clean_documents")


@contextlib.contextmanager
def _asking() -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        if _code(error) == sqlite3.SQLITE_ERROR:  # bad syntax, unknown column, too deep
            raise QueryError(str(error)) from None
        raise


def marked(expression: str, documents: Sequence[tuple[str, str]]) -> list[str]:
    """The text of each (text, title), without controls, with BEGIN and END around what an expression finds in it.

    FTS5 itself finds that, in a table in memory that holds these documents alone.
    """
    texts = [strip_control(text[:MOST_MARKED_CHARS]) for text, _ in documents]
    with contextlib.closing(sqlite3.connect(":memory:")) as db:
        db.execute(f"CREATE VIRTUAL TABLE {_TABLE.format(content='')}")
        for n, (text, (_, title)) in enumerate(zip(texts, documents, strict=True)):
            _add(db, n, text, strip_control(title))
        rows = db.execute("SELECT rowid, highlight(texts, 0, ?, ?) FROM texts WHERE texts MATCH ?",
                          [BEGIN, END, expression])
        found = {n: text.replace(BETWEEN, "") for n, text in rows}
    return [found.get(n, text) for n, text in enumerate(texts)]


# --- checking ------------------------------------------------------------------------------------


def damage(root: Path) -> str:
    """What is wrong with the index, by SQLite's and FTS5's own checks; "" if nothing is, or there is none."""
    path = root / INDEX
    if not path.exists() or not is_supported():
        return ""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None, timeout=30)) as db, explained(path):
        try:
            db.execute("INSERT INTO texts (texts) VALUES ('integrity-check')")
            found = db.execute("PRAGMA quick_check(1)").fetchone()[0]
            return "" if found == "ok" else str(found)
        except sqlite3.DatabaseError as error:
            if not _is_damage(error):
                raise
            return str(error)
