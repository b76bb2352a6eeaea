"""The catalog's tables, and how a catalog is opened."""

import sqlite3
from pathlib import Path

from miniature_memory.core.errors import StageError
from miniature_memory.core.paths import command, shown
from miniature_memory.storage.errors import damaged, explained

CACHE_KB = 8_000  # of the database: it fills with some thousand documents, so that memory stays flat from there on
URLS_CACHE_KB = 32_000  # for the stages that look for URLs, whose keys lie all over their table
WAL_PAGES = 10_000  # of 4 KB, between two checkpoints; SQLite's own 1000 write what is written often more often

SCHEMA_VERSION = 8
BACKOFFS = """
CREATE TABLE backoffs (                      -- who refused or failed, and is left alone for a while
    kind TEXT NOT NULL, name TEXT NOT NULL,  -- kind: provider or host
    until REAL NOT NULL, reason TEXT NOT NULL,
    repeats INTEGER NOT NULL,                -- in a row; each doubles the next pause
    PRIMARY KEY (kind, name)) WITHOUT ROWID;
"""
YIELDS = """
CREATE TABLE yields (                        -- what visits have given, see yields.py
    host TEXT NOT NULL, source TEXT NOT NULL, promise INTEGER NOT NULL,
    visits INTEGER NOT NULL, kept INTEGER NOT NULL, kept_bytes INTEGER NOT NULL,  -- documents, and bytes of their text
    PRIMARY KEY (host, source, promise)) WITHOUT ROWID;
CREATE INDEX documents_of_page ON documents (page) WHERE page IS NOT NULL;
CREATE INDEX urls_of_host ON urls (host, due_at, id, source, promise);  -- all that the choice of a URL asks
"""
SHELLS = """
CREATE TABLE shells (                        -- WARC response records that say nothing without scripts, see shells.py
    seq INTEGER PRIMARY KEY, url_id INTEGER NOT NULL UNIQUE, url TEXT NOT NULL,
    file TEXT NOT NULL, offset INTEGER NOT NULL, length INTEGER NOT NULL);
"""
LOCAL_FILES = """
CREATE TABLE local_files (                   -- files of --texts, --import and --warc of which all documents are stored
    address TEXT PRIMARY KEY,                -- file:///..., or where on the web a WARC file is
    mark TEXT NOT NULL) WITHOUT ROWID;       -- size and time or ETag of the file, and what it was read with
"""
FORGOTTEN = """
CREATE TABLE forgotten (                     -- what was taken back, by its hash, see forgotten.py
    kind TEXT NOT NULL,                      -- address, host, text or payload
    hash TEXT NOT NULL, at TEXT NOT NULL,
    PRIMARY KEY (kind, hash)) WITHOUT ROWID;
"""
SCHEMA = BACKOFFS + SHELLS + LOCAL_FILES + FORGOTTEN + """
CREATE TABLE files (                         -- committed bytes of each append-only file
    path TEXT PRIMARY KEY, length INTEGER NOT NULL,
    dropped INTEGER NOT NULL DEFAULT 0);     -- 1: removed on purpose, its name is not used again
CREATE TABLE extents (                       -- what each commit appended to a file, to find damage by
    path TEXT NOT NULL, offset INTEGER NOT NULL, length INTEGER NOT NULL, crc32 INTEGER NOT NULL,
    PRIMARY KEY (path, offset)) WITHOUT ROWID;
CREATE TABLE cursors (stage TEXT PRIMARY KEY, seq INTEGER NOT NULL);   -- the last row that each stage has handled
CREATE TABLE state (key TEXT PRIMARY KEY, value TEXT NOT NULL);        -- JSON values

CREATE TABLE urls (
    id INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,                -- one for all spellings of a URL, see url_keys.py
    host TEXT NOT NULL,
    source TEXT NOT NULL,                    -- a provider, or links
    query TEXT NOT NULL DEFAULT '',          -- what it was asked for, or the URL of the seed or page in which it stood
    found_at REAL NOT NULL,
    state TEXT NOT NULL DEFAULT 'new',       -- new, or how the last visit ended: fetched, not_modified, http_404 ...
    due_at REAL,                             -- epoch seconds of the next visit; NULL: never again
    fetched_at REAL, etag TEXT NOT NULL DEFAULT '', last_modified TEXT NOT NULL DEFAULT '',
    payload_hash TEXT NOT NULL DEFAULT '',   -- sha256 of the body, unpacked; '' before the first page
    failures INTEGER NOT NULL DEFAULT 0,     -- in a row
    depth INTEGER NOT NULL DEFAULT 0,        -- links between it and what search found
    revisit_days REAL,                       -- from one visit to the next; NULL: not visited yet
    archive TEXT, archive_offset INTEGER, archive_length INTEGER,  -- where Common Crawl keeps it; NULL: at its origin
    spelling TEXT,                           -- in which the URL was found and is requested; NULL: that of its key
    url TEXT AS (coalesce(spelling, key)),
    promise INTEGER NOT NULL DEFAULT 0);     -- see crawl/yields.py; -1: it was visited
CREATE TABLE hosts (
    host TEXT PRIMARY KEY, robots TEXT, robots_at REAL, -- robots.txt as fetched, NULL: not asked yet
    due_at REAL,                             -- the earliest of its URLs, kept by the triggers; NULL: none
    links INTEGER NOT NULL DEFAULT 0,        -- URLs of it that were found by following links
    feed TEXT);                              -- that its pages announce; NULL: none
CREATE TABLE answers (                       -- what a provider was asked, so that it is not asked again too soon
    provider TEXT NOT NULL, query TEXT NOT NULL, page INTEGER NOT NULL,
    asked_at REAL NOT NULL, results INTEGER NOT NULL, new INTEGER NOT NULL, PRIMARY KEY (provider, query, page));

CREATE TABLE pages (                         -- WARC response records, in the order they were fetched
    seq INTEGER PRIMARY KEY, url_id INTEGER NOT NULL, url TEXT NOT NULL, fetched_at TEXT NOT NULL,
    file TEXT NOT NULL, offset INTEGER NOT NULL, length INTEGER NOT NULL,
    payload_hash TEXT NOT NULL DEFAULT '',   -- WARC-Payload-Digest: sha1 of what came over the wire
    promise INTEGER NOT NULL DEFAULT 0);     -- that of its URL before this visit
CREATE TABLE documents (                     -- raw documents, in the order they were extracted
    seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, url TEXT NOT NULL,
    file TEXT NOT NULL, offset INTEGER NOT NULL, length INTEGER NOT NULL,
    validation TEXT NOT NULL DEFAULT '',     -- '' not validated yet, 'valid', or the reason for rejection
    language TEXT NOT NULL DEFAULT '',
    license TEXT,                            -- '' if the page names none; NULL: from before licenses were read
    topic_fit REAL,                          -- how well it fits the topic, 0 to 1; NULL: not judged
    page INTEGER);                           -- the row of pages that it was extracted from; NULL: none
CREATE TABLE also_at (id TEXT NOT NULL, url TEXT NOT NULL, PRIMARY KEY (id, url));  -- further URLs of a document
CREATE TABLE clean_documents (               -- kept documents, in raw order
    seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE,
    file TEXT NOT NULL, offset INTEGER NOT NULL, length INTEGER NOT NULL,
    text_bytes INTEGER NOT NULL,
    split TEXT NOT NULL DEFAULT '',          -- train or val, once prepare has decided
    signature BLOB);                         -- int64 keys of cleaning/minhash.py; NULL: not computed yet
CREATE TABLE growth (                        -- one row a growth step: how long the bins were after it
    step INTEGER PRIMARY KEY, at TEXT NOT NULL, documents INTEGER NOT NULL,
    train_tokens INTEGER NOT NULL, val_tokens INTEGER NOT NULL);
CREATE TABLE duplicate_keys (                -- the keys of older clean documents; the newest have theirs in signature
    key INTEGER PRIMARY KEY, seq INTEGER NOT NULL);  -- seq 0: of a text that was forgotten
CREATE TABLE site_lines (                    -- which lines recur on the pages of a host: boilerplate.py
    host TEXT PRIMARY KEY, documents INTEGER NOT NULL, lines BLOB NOT NULL);

CREATE INDEX hosts_due ON hosts (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX unsigned ON clean_documents (seq) WHERE signature IS NULL;
CREATE INDEX pages_payload ON pages (payload_hash) WHERE payload_hash != '';
CREATE TRIGGER url_added AFTER INSERT ON urls BEGIN
    INSERT INTO hosts (host, due_at) VALUES (new.host, new.due_at) ON CONFLICT (host) DO UPDATE
    SET due_at = excluded.due_at WHERE due_at IS NULL OR due_at > excluded.due_at;
END;
CREATE TRIGGER url_rescheduled AFTER UPDATE OF due_at ON urls BEGIN
    UPDATE hosts SET due_at = (SELECT min(due_at) FROM urls WHERE host = new.host AND due_at IS NOT NULL)
    WHERE host = new.host;
END;
""" + YIELDS
FROM_3_TO_4 = BACKOFFS + """
ALTER TABLE settings RENAME TO state;
ALTER TABLE documents RENAME COLUMN verdict TO validation;
INSERT INTO backoffs SELECT 'provider', provider, closed_until, reason, repeats FROM breakers;
INSERT INTO backoffs SELECT 'host', host, closed_until, reason, failures FROM hosts WHERE failures > 0 OR reason != '';
DROP TABLE breakers;
ALTER TABLE hosts DROP COLUMN failures;
ALTER TABLE hosts DROP COLUMN closed_until;
ALTER TABLE hosts DROP COLUMN reason;
"""
FROM_4_TO_5 = """
ALTER TABLE urls RENAME COLUMN url TO key;
ALTER TABLE urls ADD COLUMN spelling TEXT;
ALTER TABLE urls ADD COLUMN url TEXT AS (coalesce(spelling, key));
INSERT INTO state VALUES ('urls.spelled_since', strftime('%s', 'now'));
"""
FROM_5_TO_6 = """
ALTER TABLE documents ADD COLUMN license TEXT;
"""
FROM_6_TO_7 = SHELLS + LOCAL_FILES + """
ALTER TABLE hosts ADD COLUMN feed TEXT;
ALTER TABLE documents ADD COLUMN topic_fit REAL;
ALTER TABLE urls ADD COLUMN promise INTEGER NOT NULL DEFAULT 0;
ALTER TABLE pages ADD COLUMN promise INTEGER NOT NULL DEFAULT 0;
ALTER TABLE documents ADD COLUMN page INTEGER;
UPDATE urls SET promise = -1 WHERE state != 'new';
CREATE INDEX pages_url ON pages (url);
UPDATE documents SET page = (SELECT min(seq) FROM pages WHERE pages.url = documents.url);
DROP INDEX pages_url;
DROP INDEX urls_of_host;
""" + YIELDS
FROM_6 = FROM_6_TO_7 + FORGOTTEN
FROM_5 = FROM_5_TO_6 + FROM_6
# Version found -> what makes it the newest
STEPS = {0: SCHEMA, 3: FROM_3_TO_4 + FROM_4_TO_5 + FROM_5, 4: FROM_4_TO_5 + FROM_5, 5: FROM_5, 6: FROM_6,
         7: FORGOTTEN}
MIGRATES_1_AND_2 = "ed6c2ba"  # the last commit that brought catalogs of version 1 and 2 to version 3


class OlderCatalog(StageError):
    """A catalog that the next run migrates: until then its tables cannot be read."""


def open_database(path: Path, read_only: bool, cache_kb: int) -> sqlite3.Connection:
    with explained(path):
        mode = "ro" if read_only else "rwc"
        db = sqlite3.connect(f"{path.absolute().as_uri()}?mode={mode}", uri=True, isolation_level=None, timeout=30)
        db.row_factory = sqlite3.Row
        version = db.execute("PRAGMA user_version").fetchone()[0]
        _check_version(path, version, read_only)
        if not read_only:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = FULL")  # a committed record survives a power cut
            db.execute(f"PRAGMA cache_size = -{cache_kb}")
            db.execute(f"PRAGMA wal_autocheckpoint = {WAL_PAGES}")
            if version < SCHEMA_VERSION:
                try:
                    migrate(db, version)
                except sqlite3.OperationalError as error:
                    if error.sqlite_errorcode != sqlite3.SQLITE_ERROR:
                        raise
                    raise damaged(path, f"it calls itself version {version}, and {error}") from None
        return db


def migrate(db: sqlite3.Connection, version: int) -> None:
    """Migrate a catalog of `version` to the newest, or change nothing if its tables are not those of that version."""
    try:
        db.executescript(f"BEGIN; {STEPS[version]} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")
    except sqlite3.Error:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def _check_version(path: Path, version: int, read_only: bool) -> None:
    root = path.parents[1]
    found, run = f"{shown(path)} has catalog version {version}.", command("run.py", root)
    if version > SCHEMA_VERSION:
        raise StageError(found, f"at most version {SCHEMA_VERSION}.",
                         "update this program to the release that wrote it, or choose another folder with --root.")
    if version in (1, 2):
        raise StageError(found, f"version 3 to {SCHEMA_VERSION}.",
                         f"open it once with the last release that migrates it: git checkout {MIGRATES_1_AND_2}; "
                         f"{command('run.py', root, '--only validate')}; git checkout -")
    if read_only and not version:
        raise StageError(f"{shown(path)} is empty.", "the catalog of an earlier run.", f"run {run} first.")
    if read_only and version < SCHEMA_VERSION:
        raise OlderCatalog(found, f"version {SCHEMA_VERSION}.", f"run {run}, which updates it and keeps everything.")
