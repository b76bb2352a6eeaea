CREATE TABLE backoffs ( kind TEXT NOT NULL, name TEXT NOT NULL, until REAL NOT NULL, reason TEXT NOT NULL, repeats
  INTEGER NOT NULL, PRIMARY KEY (kind, name)) WITHOUT ROWID;
CREATE TABLE files ( path TEXT PRIMARY KEY, length INTEGER NOT NULL, dropped INTEGER NOT NULL DEFAULT 0);
CREATE TABLE extents ( path TEXT NOT NULL, offset INTEGER NOT NULL, length INTEGER NOT NULL, crc32 INTEGER NOT NULL,
  PRIMARY KEY (path, offset)) WITHOUT ROWID;
CREATE TABLE cursors (stage TEXT PRIMARY KEY, seq INTEGER NOT NULL);
CREATE TABLE state (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE urls ( id INTEGER PRIMARY KEY, url TEXT
  NOT NULL UNIQUE, host TEXT NOT NULL, source TEXT NOT NULL, query TEXT NOT NULL DEFAULT '', found_at REAL NOT NULL,
  state TEXT NOT NULL DEFAULT 'new', due_at REAL, fetched_at REAL, etag TEXT NOT NULL DEFAULT '', last_modified TEXT
  NOT NULL DEFAULT '', payload_hash TEXT NOT NULL DEFAULT '', failures INTEGER NOT NULL DEFAULT 0, depth INTEGER NOT
  NULL DEFAULT 0, revisit_days REAL, archive TEXT, archive_offset INTEGER, archive_length INTEGER);
CREATE TABLE hosts ( host TEXT PRIMARY KEY, robots TEXT, robots_at REAL, due_at REAL, links INTEGER NOT NULL DEFAULT
  0);
CREATE TABLE answers ( provider TEXT NOT NULL, query TEXT NOT NULL, page INTEGER NOT NULL, asked_at REAL NOT NULL,
  results INTEGER NOT NULL, new INTEGER NOT NULL, PRIMARY KEY (provider, query, page));
CREATE TABLE pages ( seq INTEGER PRIMARY KEY, url_id INTEGER NOT NULL, url TEXT NOT NULL, fetched_at TEXT NOT NULL,
  file TEXT NOT NULL, offset INTEGER NOT NULL, length INTEGER NOT NULL, payload_hash TEXT NOT NULL DEFAULT '');
CREATE TABLE documents ( seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, url TEXT NOT NULL, file TEXT NOT NULL,
  offset INTEGER NOT NULL, length INTEGER NOT NULL, validation TEXT NOT NULL DEFAULT '', language TEXT NOT NULL
  DEFAULT '');
CREATE TABLE also_at (id TEXT NOT NULL, url TEXT NOT NULL, PRIMARY KEY (id, url));
CREATE TABLE clean_documents ( seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, file TEXT NOT NULL, offset INTEGER
  NOT NULL, length INTEGER NOT NULL, text_bytes INTEGER NOT NULL, split TEXT NOT NULL DEFAULT '', signature BLOB);
CREATE TABLE growth ( step INTEGER PRIMARY KEY, at TEXT NOT NULL, documents INTEGER NOT NULL, train_tokens INTEGER NOT
  NULL, val_tokens INTEGER NOT NULL);
CREATE TABLE duplicate_keys ( key INTEGER PRIMARY KEY, seq INTEGER NOT NULL);
CREATE TABLE site_lines ( host TEXT PRIMARY KEY, documents INTEGER NOT NULL, lines BLOB NOT NULL);
CREATE INDEX urls_of_host ON urls (host, due_at, id);
CREATE INDEX hosts_due ON hosts (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX unsigned ON clean_documents (seq) WHERE signature IS NULL;
CREATE INDEX pages_payload ON pages (payload_hash) WHERE payload_hash != '';
CREATE TRIGGER url_added AFTER INSERT ON urls BEGIN INSERT INTO hosts (host, due_at) VALUES (new.host, new.due_at) ON
  CONFLICT (host) DO UPDATE SET due_at = excluded.due_at WHERE due_at IS NULL OR due_at > excluded.due_at; END;
CREATE TRIGGER url_rescheduled AFTER UPDATE OF due_at ON urls BEGIN UPDATE hosts SET due_at = (SELECT min(due_at) FROM
  urls WHERE host = new.host AND due_at IS NOT NULL) WHERE host = new.host; END;
PRAGMA user_version = 4;
