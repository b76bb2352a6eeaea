"""python3 -m pytest tests/storage/test_catalog.py"""

import contextlib
import errno
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from miniature_memory.core.errors import StageError
from miniature_memory.core.paths import PROJECT
from miniature_memory.crawl.frontier import due_urls
from miniature_memory.storage import append_log, backoffs, clock, pages, rejections, schema, shells, urls
from miniature_memory.storage.catalog import Catalog
from miniature_memory.storage.files import append_line, read_lines
from miniature_memory.storage.rejections import Rejection


def append_rows(catalog: Catalog, lines: list[bytes]) -> None:
    for line in lines:
        with catalog.record():
            place = catalog.append("data/raw", ".jsonl", line)
            seq = catalog.execute("INSERT INTO documents (id, url, file, offset, length) VALUES (?, '', ?, ?, ?)",
                                  [line.hex(), *place]).lastrowid
            catalog.advance("extract", seq or 0)


def raw_bytes(root: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted((root / "data/raw").glob("*.jsonl")))


def test_what_was_appended_is_read_back_in_order(tmp_path: Path) -> None:
    lines = [b"%d\n" % i for i in range(300)]
    with Catalog(tmp_path) as catalog:
        append_rows(catalog, lines)
    with Catalog(tmp_path) as catalog:
        rows = list(catalog.new_rows("validate", "documents"))
        assert [catalog.read(row["file"], row["offset"], row["length"]) for row in rows] == lines
        assert catalog.count_new("validate", "documents") == 300


def test_bytes_beyond_the_committed_length_are_cut_off(tmp_path: Path) -> None:
    with Catalog(tmp_path) as catalog:
        append_rows(catalog, [b"one\n"])
    with open(tmp_path / "data/raw/000000.jsonl", "ab") as stream:
        stream.write(b"in flight")
    with Catalog(tmp_path) as catalog:
        append_rows(catalog, [b"two\n"])
    assert raw_bytes(tmp_path) == b"one\ntwo\n"


def test_of_many_files_that_lost_bytes_the_first_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                                            caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setitem(append_log.SHARD_BYTES, "data/raw", 1)
    with Catalog(tmp_path) as catalog:
        append_rows(catalog, [b"%d\n" % i for i in range(5)])
    for path in (tmp_path / "data/raw").iterdir():
        path.unlink()
    Catalog(tmp_path).close()
    assert [message.partition(" Fix: ")[0] for message in caplog.messages] == [
        "data/raw/000000.jsonl holds 0 bytes; 2 were committed.",
        "data/raw/000001.jsonl holds 0 bytes; 2 were committed.",
        "data/raw/000002.jsonl holds 0 bytes; 2 were committed. 2 more files lost bytes, too."]


def test_a_file_whose_first_group_was_never_committed_starts_again(tmp_path: Path) -> None:
    (tmp_path / "data/raw").mkdir(parents=True)
    (tmp_path / "data/raw/000000.jsonl").write_bytes(b"in flight when the machine died")
    with Catalog(tmp_path) as catalog:
        append_rows(catalog, [b"one\n"])
    assert raw_bytes(tmp_path) == b"one\n"


def test_a_failed_record_leaves_nothing_and_keeps_the_earlier_ones_of_its_group(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), Catalog(tmp_path) as catalog:
        append_rows(catalog, [b"one\n"])
        with catalog.record():
            catalog.append("data/raw", ".jsonl", b"half")
            catalog.advance("extract", 99)
            raise ZeroDivisionError
    with Catalog(tmp_path) as catalog:
        assert catalog.cursor("extract") == 1
        append_rows(catalog, [b"two\n"])
    assert raw_bytes(tmp_path) == b"one\ntwo\n"


def test_a_lost_catalog_destroys_no_file(tmp_path: Path) -> None:
    with Catalog(tmp_path) as catalog:
        append_rows(catalog, [b"old\n"])
    for path in (tmp_path / "data").glob("catalog.sqlite3*"):
        path.unlink()
    with Catalog(tmp_path) as catalog:
        append_rows(catalog, [b"new\n"])
    assert (tmp_path / "data/raw/000000.jsonl.stray0").read_bytes() == b"old\n" and raw_bytes(tmp_path) == b"new\n"


def test_nothing_is_appended_to_a_file_that_lost_bytes(tmp_path: Path) -> None:
    with Catalog(tmp_path) as catalog:
        append_rows(catalog, [b"one\n"])
    os.truncate(tmp_path / "data/raw/000000.jsonl", 2)
    with Catalog(tmp_path) as catalog, pytest.raises(StageError, match=f"holds 2 bytes.*py --repair --root {tmp_path}"):
        append_rows(catalog, [b"two\n"])


def test_shards_rotate_when_they_are_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(append_log.SHARD_BYTES, "data/raw", 10)
    with Catalog(tmp_path) as catalog:
        append_rows(catalog, [b"12345\n", b"67890\n", b"a line longer than a shard\n"])
    assert [path.name for path in sorted((tmp_path / "data/raw").iterdir())] == [
        "000000.jsonl", "000001.jsonl", "000002.jsonl"]


def test_a_group_closes_after_64_records(tmp_path: Path) -> None:
    with Catalog(tmp_path) as catalog, Catalog(tmp_path, read_only=True) as reader:
        catalog._group_started = float("inf")
        lines = [b"%d\n" % i for i in range(64)]
        append_rows(catalog, lines[:63])
        seen = reader.cursor("extract")
        append_rows(catalog, lines[63:])
        assert (seen, reader.cursor("extract")) in ((0, 64), (1, 64))  # the first record's group may be a second old


def test_a_swap_replaces_all_files_or_none(tmp_path: Path) -> None:
    with Catalog(tmp_path) as catalog:
        with catalog.record():
            catalog.append_to("data/train.bin", b"old")
        for name in ("train", "val"):
            (tmp_path / f"data/{name}.bin.new").write_bytes(name.encode())
        with catalog.record():
            catalog.swap({f"data/{name}.bin": f"data/{name}.bin.new" for name in ("train", "val")})
        catalog.commit()  # and here the machine dies, before anything is renamed
    assert (tmp_path / "data/train.bin").read_bytes() == b"old"
    with Catalog(tmp_path):
        assert [(tmp_path / f"data/{name}.bin").read_bytes() for name in ("train", "val")] == [b"train", b"val"]


def test_new_files_have_safe_names_before_a_swap_is_committed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[Path] = []
    with Catalog(tmp_path) as catalog:
        (tmp_path / "data/train.bin.new").write_bytes(b"new")
        with monkeypatch.context() as disk, catalog.record():
            disk.setattr(append_log, "fsync_folder", synced.append)
            catalog.swap({"data/train.bin": "data/train.bin.new"})
            assert synced == [tmp_path / "data"] and catalog.db.in_transaction


def test_a_swap_makes_the_folder_of_a_new_file_and_the_rejected_get_no_checksum(tmp_path: Path) -> None:
    with Catalog(tmp_path) as catalog:
        for name in ("clean", "rejected"):
            (tmp_path / f"data/{name}.new").write_bytes(b"{}\n")
        with catalog.record():
            catalog.swap({"data/clean/000000.jsonl": "data/clean.new", rejections.REJECTED: "data/rejected.new"})
        catalog.finish_swap()
        assert catalog.read("data/clean/000000.jsonl", 0, 3) == b"{}\n"
    assert_proven(tmp_path)


def test_kill_9_loses_no_committed_record(tmp_path: Path) -> None:
    script = textwrap.dedent(f"""
        import sys; sys.path[:0] = [{str(PROJECT)!r}, {str(PROJECT / "tests/storage")!r}]
        from pathlib import Path
        from miniature_memory.storage.catalog import Catalog
        from test_catalog import append_rows
        with Catalog(Path({str(tmp_path)!r})) as catalog:
            for i in range(10**9):
                append_rows(catalog, [b"%09d\\n" % i])
                if i % 64 == 0: print(i, flush=True)
        """)
    child = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    assert child.stdout
    for _ in range(20):
        committed = int(child.stdout.readline()) - 64
    child.send_signal(signal.SIGKILL)
    child.wait()
    with Catalog(tmp_path) as catalog:
        n = catalog.cursor("extract")
    assert n >= committed and raw_bytes(tmp_path) == b"".join(b"%09d\n" % i for i in range(n))


def test_a_torn_history_line_does_not_swallow_the_next(tmp_path: Path) -> None:
    (tmp_path / "runs.jsonl").write_bytes(b'{"whole": 1}\n{"torn')
    append_line(tmp_path / "runs.jsonl", '{"next": 1}')
    assert (tmp_path / "runs.jsonl").read_text().splitlines() == ['{"whole": 1}', '{"torn', '{"next": 1}']


def test_the_last_lines_are_read_and_damaged_ones_counted(tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    assert list(read_lines(path, 100)) == []
    path.write_bytes(b'{"n": 1}\n{"n": 2}\n[3]\n\xff\n' + b"[" * 100_000 + b'\n{"n": 4}\n{"n"')
    assert list(read_lines(path, 1_000_000)) == [{"n": 1}, {"n": 2}, {}, {}, {}, {"n": 4}, {}]
    assert list(read_lines(path, 15)) == [{"n": 4}, {}]


def test_lines_that_cannot_be_read_are_none(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert list(read_lines(tmp_path, 100)) == [] and "cannot be read" in caplog.text


# --- checksums -----------------------------------------------------------------------------------


def extents(catalog: Catalog) -> dict[str, list[tuple[int, int, int]]]:
    """(offset, length, crc32) by path."""
    found: dict[str, list[tuple[int, int, int]]] = {}
    for path, *extent in catalog.execute("SELECT path, offset, length, crc32 FROM extents ORDER BY path, offset"):
        found.setdefault(path, []).append(tuple(extent))
    return found


def assert_proven(root: Path) -> None:
    """Every byte of every file but the rejected lies in one extent, whose checksum is right."""
    with Catalog(root, read_only=True) as catalog:
        for path, length in catalog.execute("SELECT path, length FROM files WHERE NOT dropped").fetchall():
            data, end = (root / path).read_bytes(), 0
            for offset, n, crc in extents(catalog).get(path, []):
                assert offset == end and zlib.crc32(data[offset:offset + n]) == crc
                end += n
            assert end == (0 if path == rejections.REJECTED else length) and length == len(data)


def test_each_commit_leaves_a_checksum(tmp_path: Path) -> None:
    for lines in ([b"one\n", b"two\n"], [b"three\n"]):
        with Catalog(tmp_path) as catalog:
            append_rows(catalog, lines)
    with Catalog(tmp_path) as catalog, catalog.record():
        catalog.reject("clean", Rejection("too_few_words", 3, 50), "id", "http://a/", "text")
        catalog.append_to("data/train.bin", b"1234")
        catalog.append_to("data/train.bin", b"5678")
    assert_proven(tmp_path)
    with Catalog(tmp_path, read_only=True) as catalog:
        assert extents(catalog)["data/train.bin"] == [(0, 8, zlib.crc32(b"12345678"))]
        assert sum(n for _, n, _ in extents(catalog)["data/raw/000000.jsonl"]) == 14


def test_a_failed_record_leaves_the_checksum_as_it_was(tmp_path: Path) -> None:
    with Catalog(tmp_path) as catalog:
        catalog._group_started = float("inf")
        for whole in (True, False, True):
            with contextlib.suppress(ZeroDivisionError), catalog.record():
                catalog.append_to("data/train.bin", b"12")
                catalog.append_to(f"data/{whole}.bin", b"34")
                1 / int(whole)
    assert (tmp_path / "data/train.bin").read_bytes() == b"1212"
    os.remove(tmp_path / "data/False.bin")
    assert_proven(tmp_path)


def test_a_full_disk_loses_the_open_group_and_its_checksum(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with Catalog(tmp_path) as catalog:
        append_rows(catalog, [b"one\n"])
        catalog.commit()
        with monkeypatch.context() as disk, pytest.raises(OSError, match="No space"):
            disk.setattr(os, "fsync", full)
            append_rows(catalog, [b"two\n"])
            catalog.commit()
        append_rows(catalog, [b"three\n"])
    assert raw_bytes(tmp_path) == b"one\nthree\n"
    assert_proven(tmp_path)


def test_a_swapped_file_has_checksums_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(append_log, "EXTENT_BYTES", 4)
    with Catalog(tmp_path) as catalog:
        with catalog.record():
            catalog.append_to("data/train.bin", b"old and long")
        (tmp_path / "data/new").write_bytes(b"123456")
        with catalog.record():
            catalog.swap({"data/train.bin": "data/new"})
        catalog.finish_swap()
        with catalog.record():
            catalog.append_to("data/train.bin", b"78")
        catalog.commit()
        assert [extent[:2] for extent in extents(catalog)["data/train.bin"]] == [(0, 4), (4, 2), (6, 2)]
    assert_proven(tmp_path)


def test_a_dropped_file_has_no_checksum(tmp_path: Path) -> None:
    with Catalog(tmp_path) as catalog:
        append_rows(catalog, [b"one\n"])
        catalog.drop("data/raw/000000.jsonl")
        assert extents(catalog) == {}


def test_a_file_that_lost_its_end_continues_from_there(tmp_path: Path) -> None:
    with Catalog(tmp_path) as catalog:
        append_rows(catalog, [b"one\n", b"two\n"])
        catalog.commit()
        append_rows(catalog, [b"three\n"])
    os.truncate(tmp_path / "data/raw/000000.jsonl", 6)
    with Catalog(tmp_path) as catalog:
        with catalog.record():
            catalog.log.shorten("data/raw/000000.jsonl", 4)
        append_rows(catalog, [b"four\n"])
    assert raw_bytes(tmp_path) == b"one\nfour\n"
    assert_proven(tmp_path)


# --- other versions ------------------------------------------------------------------------------


def make_version_3(root: Path) -> None:
    """A catalog as an earlier release wrote it, with a row in every table."""
    (root / "data").mkdir(parents=True)
    db = sqlite3.connect(root / "data/catalog.sqlite3")
    db.executescript((Path(__file__).parent / "version_3.sql").read_text() + """
        INSERT INTO cursors VALUES ('clean', 1);
        INSERT INTO settings VALUES ('search.next_query', '7');
        INSERT INTO urls (url, host, source, found_at, due_at, failures) VALUES ('http://a/', 'a', 't', 0, 7, 2);
        INSERT INTO urls (url, host, source, found_at, due_at) VALUES ('http://b/', 'b', 't', 0, 8);
        UPDATE hosts SET failures = 2, closed_until = 4e9, reason = 'http_429', robots = 'x' WHERE host = 'a';
        INSERT INTO breakers VALUES ('google', 3e9, 'captcha', 4);
        INSERT INTO answers VALUES ('google', 'ships', 0, 1.5, 10, 9);
        INSERT INTO pages (url_id, url, fetched_at, file, offset, length) VALUES (1, 'http://a/', 't', 'f', 0, 9);
        INSERT INTO documents VALUES (1, 'x', 'http://a/', 'f', 0, 9, 'too_short', 'en');
        INSERT INTO also_at VALUES ('x', 'http://c/');
        INSERT INTO clean_documents VALUES (1, 'x', 'f', 0, 9, 5, 'val', x'01');
        INSERT INTO growth VALUES (1, 't', 1, 2, 3);
        INSERT INTO duplicate_keys VALUES (5, 1);
        INSERT INTO site_lines VALUES ('a', 1, x'02');""")
    db.close()


def make_version_4(root: Path) -> None:
    """A catalog as the release before this one wrote it, with a row in every table."""
    (root / "data").mkdir(parents=True)
    db = sqlite3.connect(root / "data/catalog.sqlite3")
    db.executescript((Path(__file__).parent / "version_4.sql").read_text() + """
        INSERT INTO backoffs VALUES ('host', 'b', 4e9, 'http_429', 2);
        INSERT INTO files VALUES ('data/pages/0.warc.gz', 0, 1);
        INSERT INTO extents VALUES ('data/pages/0.warc.gz', 0, 9, 7);
        INSERT INTO cursors VALUES ('clean', 1);
        INSERT INTO state VALUES ('search.next_query', '7');
        INSERT INTO urls (url, host, source, query, found_at, state, due_at, fetched_at, etag, payload_hash, archive)
            VALUES ('http://a/?x=&y=1', 'a', 't', 'q', 1, 'fetched', 7, 5, 'e', 'p', 'crawl');
        INSERT INTO urls (url, host, source, found_at, state, due_at, failures)
            VALUES ('http://a/?topic%2F2=', 'a', 't', 0, 'http_404', NULL, 2);
        INSERT INTO urls (url, host, source, found_at, due_at) VALUES ('http://b/', 'b', 't', 0, 8);
        UPDATE hosts SET robots = 'x', robots_at = 3 WHERE host = 'a';
        INSERT INTO answers VALUES ('google', 'ships', 0, 1.5, 10, 9);
        INSERT INTO pages VALUES (1, 1, 'http://a/?x=&y=1', 't', 'f', 0, 9, 'sha1:x');
        INSERT INTO documents VALUES (1, 'x', 'http://a/?x=&y=1', 'f', 0, 9, 'too_short', 'en');
        INSERT INTO also_at VALUES ('x', 'http://c/');
        INSERT INTO clean_documents VALUES (1, 'x', 'f', 0, 9, 5, 'val', x'01');
        INSERT INTO growth VALUES (1, 't', 1, 2, 3);
        INSERT INTO duplicate_keys VALUES (5, 1);
        INSERT INTO site_lines VALUES ('a', 1, x'02');""")
    db.close()


def schema_of(catalog: Catalog) -> dict[str, list[tuple[object, ...]]]:
    """The columns of each table, index and trigger."""
    names = [row["name"] for row in catalog.execute("SELECT name FROM sqlite_master")]
    return {name: [tuple(row)[1:] for row in catalog.execute(f"PRAGMA table_info({name})")] for name in names}


def all_rows(catalog: Catalog) -> dict[str, list[tuple[object, ...]]]:
    """Of all tables, but for the time of the last commit."""
    tables = [row["name"] for row in catalog.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    catalog.execute("DELETE FROM state WHERE key = ?", [clock.KEY])
    return {table: [tuple(row) for row in catalog.execute(f"SELECT * FROM {table}")] for table in tables}


def test_a_catalog_of_version_3_is_migrated_and_loses_nothing(tmp_path: Path) -> None:
    make_version_3(tmp_path)
    with contextlib.closing(sqlite3.connect(tmp_path / "data/catalog.sqlite3")) as db:
        names = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        before = {name: db.execute(f"SELECT * FROM {name}").fetchall() for name in names}
    with Catalog(tmp_path) as catalog:
        after = all_rows(catalog)
        assert backoffs.get(catalog, "provider", "google") == (3e9, "captcha", 4)
        assert backoffs.get(catalog, "host", "a") == (4e9, "http_429", 2)
        assert catalog.state("search.next_query") == 7 and [row["url"] for row in due_urls(catalog, 9, 9)] == [
            "http://b/"]
        append_rows(catalog, [b"two\n"])
    assert after["hosts"] == [("a", "x", None, 7.0, 0, None), ("b", None, None, 8.0, 0, None)]
    assert [row[:-3] for row in after.pop("urls")] == before.pop("urls")
    moved = {"settings", "breakers", "hosts", "documents", "pages"}
    assert [row[:-3] for row in after["documents"]] == before["documents"]
    assert [row[:-1] for row in after["pages"]] == before["pages"]
    assert all(after[name] == before[name] for name in before.keys() - moved)
    with Catalog(tmp_path) as old, Catalog(tmp_path / "new") as new:
        assert schema_of(old) == schema_of(new)


def test_a_catalog_of_version_4_is_migrated_and_loses_nothing(tmp_path: Path) -> None:
    make_version_4(tmp_path)
    with contextlib.closing(sqlite3.connect(tmp_path / "data/catalog.sqlite3")) as db:
        names = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        before = {name: db.execute(f"SELECT * FROM {name}").fetchall() for name in names}
        assert all(before.values())
    with Catalog(tmp_path) as old, Catalog(tmp_path / "new") as new:
        after = all_rows(old)
        assert schema_of(old) == schema_of(new)
        assert [row["url"] for row in due_urls(old, 9, 9)] == ["http://a/?x=&y=1"]
        append_rows(old, [b"two\n"])
    assert [row[:-3] for row in after["urls"]] == before["urls"]
    assert [row[-3:] for row in after["urls"]] == [
        (None, row[1], -1 if row[6] != "new" else 0) for row in before["urls"]]
    assert after["documents"] == [(*row, None, None, 1) for row in before["documents"]]  # extracted from the first page
    assert after["pages"] == [(*row, 0) for row in before["pages"]]
    assert after.pop("state").pop(0)[0] in ("search.next_query", "urls.spelled_since") and before.pop("state")
    assert after.pop("yields") == []  # counted when clean runs next
    assert after["hosts"] == [(*row, None) for row in before["hosts"]]
    changed: dict[str, list[tuple[object, ...]]] = {"urls": [], "documents": [], "pages": [], "hosts": [],
                                                    "local_files": [], "shells": [], "forgotten": []}
    assert after | changed == before | changed


def test_a_file_in_which_a_page_waits_for_a_browser_is_kept(tmp_path: Path) -> None:
    with Catalog(tmp_path) as catalog:
        with catalog.record():
            urls.add(catalog, "http://a/", "t")
            place = catalog.append(pages.FOLDER, pages.SUFFIX, b"a response")
            shells.add(catalog, 1, "http://a/", place)
        catalog.commit()
        assert not pages.extracted_files(catalog)
        [row] = shells.waiting(catalog, 9)
        assert (row["url"], row["answered_url"], row["file"], row["length"]) == (*["http://a/"] * 2, place.file, 10)
        with catalog.record():
            shells.remove(catalog, 1)
        assert pages.extracted_files(catalog) == [place.file]


def test_a_catalog_of_version_6_is_migrated_and_loses_nothing(tmp_path: Path) -> None:
    with Catalog(tmp_path) as new, new.record():
        urls.add(new, "http://a/", "t")
        schema_now, rows_now = schema_of(new), all_rows(new)
    with contextlib.closing(sqlite3.connect(tmp_path / "data/catalog.sqlite3")) as db:
        db.executescript("""ALTER TABLE hosts DROP COLUMN feed; DROP TABLE local_files; DROP TABLE shells;
            DROP TABLE forgotten; DROP TABLE yields; DROP INDEX urls_of_host;
            CREATE INDEX urls_of_host ON urls (host, due_at, id);
            DROP INDEX documents_of_page; ALTER TABLE urls DROP COLUMN promise; ALTER TABLE pages DROP COLUMN promise;
            ALTER TABLE documents DROP COLUMN topic_fit;
            ALTER TABLE documents DROP COLUMN page; PRAGMA user_version = 6;""")
    with Catalog(tmp_path) as old:
        assert schema_of(old) == schema_now and all_rows(old) == rows_now


def test_a_migrated_url_that_never_gave_a_page_gets_the_spelling_in_which_it_is_found(tmp_path: Path) -> None:
    make_version_4(tmp_path)
    with Catalog(tmp_path) as catalog:
        with catalog.record():
            for url in ("http://a/?topic/2", "http://a/?y=1&x", "http://b/?utm_source=t", "http://a/?topic/2="):
                assert urls.add(catalog, url, "t") == "already_known"
        assert [(row["url"], row["key"]) for row in catalog.execute("SELECT * FROM urls ORDER BY id")] == [
            ("http://a/?x=&y=1", "http://a/?x=&y=1"), ("http://a/?topic/2", "http://a/?topic%2F2="),
            ("http://b/?utm_source=t", "http://b/")]  # not visited yet: its key may be no spelling of the site's
        assert {row["url"] for row in due_urls(catalog, 9, 9)} == {"http://a/?x=&y=1", "http://a/?topic/2"}


def test_of_two_spellings_the_first_is_kept(tmp_path: Path) -> None:
    make_version_4(tmp_path)
    with Catalog(tmp_path) as catalog, catalog.record():
        for first, second in [("http://c/?a=1&b=2", "http://c/?b=2&a=1"), ("http://d/?b=2&a=1", "http://d/?a=1&b=2")]:
            assert [urls.add(catalog, url, "t") for url in (first, second)] == ["", "already_known"]
            row = urls.get(catalog, second)
            assert row and row["url"] == first


@pytest.mark.parametrize(("make", "version"), [(make_version_3, 3), (make_version_4, 4)])
def test_an_older_catalog_is_not_read_before_it_is_migrated(tmp_path: Path, make: Callable[[Path], None],
                                                            version: int) -> None:
    make(tmp_path)
    with pytest.raises(schema.OlderCatalog, match=rf"version {version}.*which updates it"):
        Catalog(tmp_path, read_only=True)
    Catalog(tmp_path).close()
    Catalog(tmp_path, read_only=True).close()


@pytest.mark.parametrize("read_only", [True, False])
@pytest.mark.parametrize(("version", "fix"), [(1, "git checkout"), (2, "git checkout"), (99, "update this program")])
def test_a_catalog_of_a_version_that_cannot_be_migrated_stays_as_it_is(tmp_path: Path, version: int, fix: str,
                                                                       read_only: bool) -> None:
    Catalog(tmp_path).close()
    path = tmp_path / "data/catalog.sqlite3"
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA user_version = {version}")
    before = path.read_bytes()
    with pytest.raises(StageError, match=rf"catalog version {version}.*Fix: .*{fix}"):
        Catalog(tmp_path, read_only)
    assert path.read_bytes() == before


def test_a_dropped_file_stays_away_and_its_name_is_not_used_again(tmp_path):
    with Catalog(tmp_path) as catalog:
        with catalog.record():
            first = catalog.append("data/raw", ".jsonl", b"one\n")
        assert catalog.drop(first.file) == 4 and not (tmp_path / first.file).exists()
        with catalog.record():
            second = catalog.append("data/raw", ".jsonl", b"two\n")
        assert second.file > first.file
    (tmp_path / first.file).write_text("a crash came before it was removed")
    with Catalog(tmp_path):
        assert not (tmp_path / first.file).exists() and (tmp_path / second.file).read_text() == "two\n"


def test_records_do_not_nest(tmp_path):
    with Catalog(tmp_path) as catalog:
        with pytest.raises(AssertionError, match="do not nest"), catalog.record(), catalog.record():
            pass
        with catalog.record():
            catalog.set_state("key", 1)
        assert catalog.state("key") == 1


def test_the_list_of_the_rejected_may_be_removed(tmp_path):
    def reject():
        with Catalog(tmp_path) as catalog, catalog.record():
            catalog.reject("clean", Rejection("too_few_words", 3, 50), "id", "http://a/", "text")
    reject()
    (tmp_path / "data/rejected.jsonl").unlink()
    reject()
    assert len((tmp_path / "data/rejected.jsonl").read_text().splitlines()) == 1


def test_an_empty_catalog_cannot_be_read(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/catalog.sqlite3").touch()
    with pytest.raises(StageError, match="is empty"):
        Catalog(tmp_path, read_only=True)


@pytest.mark.parametrize("version", [0, 3, 7])
def test_a_catalog_that_calls_itself_another_version_is_damaged(tmp_path: Path, version: int) -> None:
    with Catalog(tmp_path) as catalog:
        catalog.execute(f"PRAGMA user_version = {version}")
    with pytest.raises(StageError, match="is damaged"):
        Catalog(tmp_path)
