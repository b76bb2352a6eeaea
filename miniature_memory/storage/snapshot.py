"""Snapshot: the catalog as it is at one moment, whatever a run commits meanwhile; and whether one from elsewhere may be
opened. A catalog names files that are cut, renamed and removed when it is opened, so a stranger's is checked first."""

import contextlib
import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path

from miniature_memory.core.errors import StageError
from miniature_memory.core.paths import command, make_folder, shown
from miniature_memory.storage import records
from miniature_memory.storage.catalog import Catalog
from miniature_memory.storage.rejections import REJECTED
from miniature_memory.storage.schema import SCHEMA, SCHEMA_VERSION, STEPS, migrate
from miniature_memory.storage.states import wrong_state

CATALOG = "data/catalog.sqlite3"
BLOBS = {("clean_documents", "signature"): 8, ("site_lines", "lines"): 16}  # bytes of one of their numbers
# Declared type -> what its values are stored as
KINDS = {"INTEGER": {"integer"}, "REAL": {"real", "integer"}, "TEXT": {"text"}, "BLOB": {"blob"}}


def copy_catalog(root: Path, copy: Path) -> None:
    """Copy the catalog of `root` as it is now into the folder `copy`, as that of a root, in one file (SQLite's backup
    API). Raises StageError while files are being replaced."""
    make_folder((copy / CATALOG).parent)
    with Catalog(root, read_only=True) as catalog, contextlib.closing(sqlite3.connect(copy / CATALOG)) as target:
        catalog.db.backup(target)
        target.execute("PRAGMA journal_mode = DELETE")
    with Catalog(copy, read_only=True) as catalog:
        if catalog.state("swap"):
            raise StageError(f"Files of {shown(root)} are being replaced by rebuilt ones.", "no rebuild at work.",
                             "wait until that run ends; if none is at work, finish the replacement: "
                             + command("run.py", root, "--only validate"))


def files(catalog: Catalog) -> list[tuple[str, int]]:
    """(path, committed length) of every append-only file that is there, and of those that are replaced with it."""
    return [*records.files(catalog), (REJECTED, catalog.length(REJECTED))]


def fault(path: Path, sizes: Mapping[str, int], is_ours: Callable[[str], bool]) -> str:
    """Why the catalog at `path`, which came from elsewhere, cannot be used; "" if it can. One of an earlier release is
    brought up to this one first: whether its tables are what it says is known then.

    sizes: of the files that came with it, by their paths in its root. is_ours: whether a path may be that of a file.
    """
    uri = f"{path.absolute().as_uri()}?mode=rw"
    try:
        with contextlib.closing(sqlite3.connect(uri, uri=True, isolation_level=None)) as db:
            db.execute("PRAGMA trusted_schema = OFF")
            return _fault_of_schema(db) or _fault_of_rows(db, sizes, is_ours)
    except sqlite3.Error as error:
        return f"its catalog is damaged ({error})"


def _fault_of_schema(db: sqlite3.Connection) -> str:
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version != SCHEMA_VERSION and (version not in STEPS or not version):
        return f"its catalog has version {version}, and this release knows versions up to {SCHEMA_VERSION}"
    with contextlib.closing(sqlite3.connect(":memory:")) as known:
        known.executescript(SCHEMA)
        if _active(db) - _active(known):
            return "its catalog has a trigger, view or virtual table of its own"
        (answer,) = db.execute("PRAGMA integrity_check(1)").fetchone()
        if answer != "ok":
            return f"its catalog is damaged ({answer})"
        if version < SCHEMA_VERSION:
            migrate(db, version)
        columns, there = _columns(known), {(table, name) for table, name, *_ in _columns(db)}
    for table, name, kind, may_be_null in sorted(columns):
        if (table, name) not in there:
            return f"its catalog has no {table}.{name}"
        allowed = KINDS[kind] | ({"null"} if may_be_null else set())
        if db.execute(f"SELECT 1 FROM {table} WHERE typeof({name}) NOT IN ({', '.join('?' * len(allowed))}) LIMIT 1",
                      [*allowed]).fetchone():
            return f"its catalog has a {table}.{name} that is of another type"
    return ""


def _active(db: sqlite3.Connection) -> set[tuple[str, str]]:
    """What a database does by itself: (type, SQL without its line breaks)."""
    return {(kind, " ".join(str(sql).split())) for kind, sql in db.execute("SELECT type, sql FROM sqlite_master")
            if kind not in ("table", "index") or "virtual" in str(sql).lower().split()[:2]}


def _columns(db: sqlite3.Connection) -> set[tuple[str, str, str, bool]]:
    """(table, column, declared type, whether it may be NULL) of a database."""
    return {(table, name, kind, not (is_key or not_null)) for table, name, kind, is_key, not_null in db.execute(
        'SELECT tables.name, columns.name, columns.type, pk, "notnull" FROM sqlite_master AS tables, '
        "pragma_table_info(tables.name) AS columns WHERE tables.type = 'table'")}


def replaced(root: Path, copy: Catalog) -> str:
    """The path of an append-only file of `root` that was replaced since its catalog was copied; "" if none was."""
    with Catalog(root, read_only=True) as catalog:
        now, then = ({tuple(row) for row in one.execute("SELECT path, offset, length, crc32 FROM extents")}
                     for one in (catalog, copy))
    return min((path for path, *_ in then - now), default="")


def _fault_of_rows(db: sqlite3.Connection, sizes: Mapping[str, int], is_ours: Callable[[str], bool]) -> str:
    known = set()
    for path, length, dropped in db.execute("SELECT path, length, dropped FROM files"):
        if not isinstance(path, str) or not is_ours(path):
            return f"its catalog names a file {str(path)[:80]!r}"
        if not dropped and path != REJECTED and sizes.get(path, 0) != length:
            return f"its catalog has {length} bytes of {path}, which holds {sizes.get(path, 0)}"
        known.add(path)
    if db.execute("SELECT 1 FROM state WHERE key = 'swap' AND value != '{}'").fetchone():
        return "its files were being replaced"
    if key := wrong_state(db):
        return f"its catalog has a state {key[:80]!r} of another kind"
    for table in {*records.TABLES.values(), "shells"}:
        for (path,) in db.execute(f"SELECT DISTINCT file FROM {table}"):
            if path not in known:
                return f"its catalog reads a file {str(path)[:80]!r}"
        if wrong := db.execute(f"SELECT path FROM {table} AS rows JOIN files ON path = file WHERE offset < 0 OR "
                               "rows.length NOT BETWEEN 0 AND files.length - offset LIMIT 1").fetchone():
            return f"its catalog reads beyond {wrong[0]}"
    for (table, name), n_bytes in BLOBS.items():
        if db.execute(f"SELECT 1 FROM {table} WHERE length({name}) % {n_bytes} LIMIT 1").fetchone():
            return f"its catalog has a {table}.{name} of another length"
    return ""
