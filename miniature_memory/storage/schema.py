"""The catalog's tables, and how a catalog is opened."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from miniature_memory.core.errors import StageError

CACHE_KB = 32_000  # of the database; SQLite's own 2 MB make a million URLs slow
WAL_PAGES = 10_000  # of 4 KB, between two checkpoints; SQLite's own 1000 write what is written often more often

SCHEMA_VERSION = 3
SCHEMA = """
CREATE TABLE files (                         -- committed bytes of each append-only file
    path TEXT PRIMARY KEY, length INTEGER NOT NULL,
    dropped INTEGER NOT NULL DEFAULT 0);     -- 1: removed on purpose, its name is not used again
CREATE TABLE cursors (stage TEXT PRIMARY KEY, seq INTEGER NOT NULL);   -- the last row that each stage has handled
CREATE TABLE settings (key TEXT PRIMARY KEY, value TEXT NOT NULL);     -- JSON values

CREATE TABLE urls (
    id INTEGER PRIMARY KEY, url TEXT NOT NULL UNIQUE, host TEXT NOT NULL,
    source TEXT NOT NULL, query TEXT NOT NULL DEFAULT '', found_at REAL NOT NULL,
    state TEXT NOT NULL DEFAULT 'new',       -- new, or how the last visit ended: fetched, not_modified, http_404 ...
    due_at REAL,                             -- epoch seconds of the next visit; NULL: never again
    fetched_at REAL, etag TEXT NOT NULL DEFAULT '', last_modified TEXT NOT NULL DEFAULT '',
    payload_hash TEXT NOT NULL DEFAULT '',   -- sha256 of the body, unpacked; '' before the first page
    failures INTEGER NOT NULL DEFAULT 0,     -- in a row
    depth INTEGER NOT NULL DEFAULT 0,        -- links between it and what search found
    revisit_days REAL,                       -- from one visit to the next; NULL: not visited yet
    archive TEXT, archive_offset INTEGER, archive_length INTEGER);  -- where Common Crawl keeps it; NULL: at its origin
CREATE TABLE hosts (
    host TEXT PRIMARY KEY, robots TEXT, robots_at REAL, -- robots.txt as fetched, NULL: not asked yet
    failures INTEGER NOT NULL DEFAULT 0,     -- times in a row that the host was closed
    closed_until REAL NOT NULL DEFAULT 0, reason TEXT NOT NULL DEFAULT '',
    due_at REAL,                             -- the earliest of its URLs, kept by the triggers; NULL: none
    links INTEGER NOT NULL DEFAULT 0);       -- URLs of it that were found by following links
CREATE TABLE breakers (
    provider TEXT PRIMARY KEY, closed_until REAL NOT NULL, reason TEXT NOT NULL, repeats INTEGER NOT NULL DEFAULT 0);

CREATE TABLE pages (                         -- WARC response records, in the order they were fetched
    seq INTEGER PRIMARY KEY, url_id INTEGER NOT NULL, url TEXT NOT NULL, fetched_at TEXT NOT NULL,
    file TEXT NOT NULL, offset INTEGER NOT NULL, length INTEGER NOT NULL,
    payload_hash TEXT NOT NULL DEFAULT '');  -- WARC-Payload-Digest: sha1 of what came over the wire
CREATE TABLE documents (                     -- raw documents, in the order they were extracted
    seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, url TEXT NOT NULL,
    file TEXT NOT NULL, offset INTEGER NOT NULL, length INTEGER NOT NULL,
    verdict TEXT NOT NULL DEFAULT '',        -- of validate: '' not judged yet, 'valid', or the reason of refusal
    language TEXT NOT NULL DEFAULT '');
CREATE TABLE also_at (id TEXT NOT NULL, url TEXT NOT NULL, PRIMARY KEY (id, url));  -- further URLs of a document
CREATE TABLE clean_documents (               -- kept documents, in raw order
    seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE,
    file TEXT NOT NULL, offset INTEGER NOT NULL, length INTEGER NOT NULL,
    text_bytes INTEGER NOT NULL, split TEXT NOT NULL DEFAULT '');  -- train or val, once prepare has decided
CREATE TABLE growth (                        -- one row a growth step: how long the bins were after it
    step INTEGER PRIMARY KEY, at TEXT NOT NULL, documents INTEGER NOT NULL,
    train_tokens INTEGER NOT NULL, val_tokens INTEGER NOT NULL);
"""
# What the versions after the first added: run for a new catalog and for an older one.
ADDED_IN_2 = """
CREATE TABLE answers (                       -- what a provider was asked, so that it is not asked again too soon
    provider TEXT NOT NULL, query TEXT NOT NULL, page INTEGER NOT NULL,
    asked_at REAL NOT NULL, results INTEGER NOT NULL, new INTEGER NOT NULL, PRIMARY KEY (provider, query, page));
CREATE INDEX urls_of_host ON urls (host, due_at, id);
CREATE INDEX hosts_due ON hosts (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX pages_payload ON pages (payload_hash) WHERE payload_hash != '';
CREATE TRIGGER url_added AFTER INSERT ON urls BEGIN
    INSERT INTO hosts (host, due_at) VALUES (new.host, new.due_at) ON CONFLICT (host) DO UPDATE
    SET due_at = excluded.due_at WHERE due_at IS NULL OR due_at > excluded.due_at;
END;
CREATE TRIGGER url_rescheduled AFTER UPDATE OF due_at ON urls BEGIN
    UPDATE hosts SET due_at = (SELECT min(due_at) FROM urls WHERE host = new.host AND due_at IS NOT NULL)
    WHERE host = new.host;
END;
"""
ADDED_IN_3 = """
CREATE TABLE extents (                       -- what each commit appended to a file, to find damage by
    path TEXT NOT NULL, offset INTEGER NOT NULL, length INTEGER NOT NULL, crc32 INTEGER NOT NULL,
    PRIMARY KEY (path, offset)) WITHOUT ROWID;
ALTER TABLE clean_documents ADD COLUMN signature BLOB;  -- duplicates.py: int64 keys; NULL: not computed yet
CREATE INDEX unsigned ON clean_documents (seq) WHERE signature IS NULL;
CREATE TABLE duplicate_keys (                -- the keys of older clean documents; those of the newest lie in signature
    key INTEGER PRIMARY KEY, seq INTEGER NOT NULL);
CREATE TABLE site_lines (                    -- which lines recur on the pages of a host: boilerplate.py
    host TEXT PRIMARY KEY, documents INTEGER NOT NULL, lines BLOB NOT NULL);
"""
FROM_2_TO_3 = """
DROP TABLE text_hashes;
"""
FROM_1_TO_2 = """
ALTER TABLE files ADD COLUMN dropped INTEGER NOT NULL DEFAULT 0;
ALTER TABLE urls ADD COLUMN depth INTEGER NOT NULL DEFAULT 0;
ALTER TABLE urls ADD COLUMN revisit_days REAL;
ALTER TABLE urls ADD COLUMN archive TEXT;
ALTER TABLE urls ADD COLUMN archive_offset INTEGER;
ALTER TABLE urls ADD COLUMN archive_length INTEGER;
ALTER TABLE hosts ADD COLUMN due_at REAL;
ALTER TABLE hosts ADD COLUMN links INTEGER NOT NULL DEFAULT 0;
ALTER TABLE pages ADD COLUMN payload_hash TEXT NOT NULL DEFAULT '';
DROP INDEX urls_due;
INSERT INTO hosts (host, due_at) SELECT host, min(due_at) FROM urls WHERE true GROUP BY host
    ON CONFLICT (host) DO UPDATE SET due_at = excluded.due_at;
"""


def _open_database(path: Path, read_only: bool) -> sqlite3.Connection:
    try:
        mode = "ro" if read_only else "rwc"
        db = sqlite3.connect(f"{path.absolute().as_uri()}?mode={mode}", uri=True, isolation_level=None, timeout=30)
        db.row_factory = sqlite3.Row
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if read_only and not version:
            raise StageError(f"{path} is empty.", "the catalog of an earlier run.", "run python3 run.py first.")
        if version > SCHEMA_VERSION:
            raise StageError(f"{path} is of catalog version {version}.", f"at most version {SCHEMA_VERSION}.",
                             "use the newer release that made it, or another folder with --root.")
        if not read_only:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = FULL")  # a committed record survives a power cut
            db.execute(f"PRAGMA cache_size = -{CACHE_KB}")
            db.execute(f"PRAGMA wal_autocheckpoint = {WAL_PAGES}")
        if not read_only and version < SCHEMA_VERSION:
            steps = {0: [SCHEMA, ADDED_IN_2, ADDED_IN_3], 1: [FROM_1_TO_2, ADDED_IN_2, FROM_2_TO_3, ADDED_IN_3],
                     2: [FROM_2_TO_3, ADDED_IN_3]}[version]
            db.executescript(f"BEGIN; {' '.join(steps)} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")
        return db
    except sqlite3.OperationalError as error:
        raise StageError(f"{path} cannot be opened ({error}).", "a catalog that this user may write to.",
                         f"check its owner and free space (ls -l {path}; df -h {path.parent}).") from None
    except sqlite3.DatabaseError as error:
        raise StageError(f"{path} is damaged ({error}).", "an SQLite database.",
                         "put back a copy, or move data/ aside and start anew; the .jsonl and .warc.gz files stay "
                         "readable by themselves.") from None
