"""Storage: the append log, the catalog and its tables; the only package with SQL. Imports core.

Where is ...?
    catalog.py       rows, cursors, state, and the one commit rule
    append_log.py    files that only grow, and their checksums
    record_reader.py what was committed, read again and verified
    schema.py        the tables, and how an older catalog is migrated
    url_keys.py      which spellings of a URL mean one page
    errors.py        which errors of SQLite a person can fix
    yields.py        what the visits to each host have given
    clock.py         times from the future, after the system's clock was ahead
    backoffs.py      providers and hosts that are paused for a while
    forgotten.py     what was taken back, and must not come again; rewriting.py: files written again without it
    records.py       what audits and repairs need of all tables
    files.py         small files written as a whole, lines appended, checksums
    snapshot.py      the catalog at one moment, and whether one from elsewhere may be opened
    disk.py          what a root takes, and what is removed where that is too much; config.py: the limit
    rejections.py    what is kept about a rejected document
The other modules hold the SQL of the table that they are named after.
"""
