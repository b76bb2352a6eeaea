"""python3 -m pytest tests/validation/test_audit.py"""

import errno
import importlib
import json
import logging
import os
import re
import shlex
import shutil
import sqlite3
import zipfile
from pathlib import Path
from typing import Any

import pytest
from helpers import PROSE, add_clean_documents, add_raw_documents, decoded, run_py

import clean
import prepare
from miniature_memory.cleaning.config import CleanConfig
from miniature_memory.core.errors import StageError
from miniature_memory.crawl.warc import exchange_records, info_record
from miniature_memory.crawl.web import Fetched
from miniature_memory.storage import append_log
from miniature_memory.storage import catalog as catalog_module
from miniature_memory.storage.catalog import Catalog
from miniature_memory.training import bins_writer
from miniature_memory.training.config import PrepareConfig
from miniature_memory.validation.config import ValidateConfig
from validate import main, run

TEXTS = [PROSE.replace("captain", f"captain number {n}") for n in range(80)]
BYTES = PrepareConfig(tokenizer="byte", freeze_bytes=1000)
RAW, CLEAN, PAGES = "data/raw/000000.jsonl", "data/clean/000000.jsonl", "data/pages/000000.warc.gz"


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset whose extents hold a few records each."""
    root = tmp_path_factory.mktemp("dataset")
    with pytest.MonkeyPatch.context() as small:
        small.setattr(catalog_module, "GROUP_RECORDS", 4)
        small.setattr(append_log, "EXTENT_BYTES", 1000)
        small.setattr(bins_writer, "MIN_VAL_TOKENS", 20)
        run(ValidateConfig(), root)
        add_pages(root, 10)
        for texts in (TEXTS[:60], TEXTS[60:]):
            add_clean_documents(root, texts)
            prepare.run(BYTES, root)
    return root


@pytest.fixture
def root(dataset: Path, tmp_path: Path) -> Path:
    return shutil.copytree(dataset, tmp_path / "root")


def add_pages(root: Path, n_pages: int) -> None:
    """Pages as scrape writes them, with their requests; the first four are extracted already."""
    with Catalog(root) as catalog:
        with catalog.record():
            catalog.append_to(PAGES, info_record("000000.warc.gz", "agent", "2026-01-01T00:00:00Z"))
        for n in range(n_pages):
            add_page(catalog, n)
        with catalog.record():
            catalog.advance("extract", 4)


def add_page(catalog: Catalog, n: int) -> None:
    url = f"http://example.org/{n}"
    page = Fetched(url, 200, "OK", [("Content-Type", "text/html")], b"<p>A page. " * 50, b"")
    found = exchange_records(page, "2026-01-01T00:00:00Z")
    with catalog.record():
        file, offset, _ = catalog.append_to(PAGES, found.response + found.request)
        catalog.execute("INSERT INTO urls (id, key, host, source, found_at) VALUES (?, ?, 'example.org', '', 0)",
                        [n, url])
        catalog.execute("INSERT INTO pages (url_id, url, fetched_at, file, offset, length) "
                        "VALUES (?, ?, '2026-01-01T00:00:00Z', ?, ?, ?)", [n, url, file, offset, len(found.response)])


def row_of(root: Path, table: str, seq: int) -> dict[str, Any]:
    with Catalog(root, read_only=True) as catalog:
        return dict(catalog.execute(f"SELECT * FROM {table} WHERE seq = ?", [seq]).fetchone())


def change(root: Path, path: str, offset: int) -> None:
    """Flip a bit."""
    data = bytearray((root / path).read_bytes())
    data[offset] ^= 1
    (root / path).write_bytes(data)


def write_checkpoints(root: Path) -> None:
    """As torch writes them: ZIP files whose entries are not compressed."""
    for name in ("ckpt.pt", "release.pt", "history/2026-01-01-020000.pt"):
        path = root / "checkpoints" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("archive/data/0", bytes(1000))


def contents(root: Path) -> dict[str, bytes]:
    """Every file below data/, and the rows of the catalog."""
    found = {str(path.relative_to(root)): path.read_bytes() for path in sorted((root / "data").rglob("*"))
             if path.is_file() and "sqlite3" not in path.name}
    db = sqlite3.connect(root / "data/catalog.sqlite3")
    found["rows"] = "\n".join(db.iterdump()).encode()
    db.close()
    return found


def follow(message: str, root: Path, script: str = "") -> None:
    """Run the first command that a message names, or the first of one script."""
    command = re.findall(rf"python3 {script}[a-z.]* --[^,:;]* --root {root}", message)[0]
    name, *flags = shlex.split(command)[1:]
    assert importlib.import_module(name.removesuffix(".py")).main(flags) == 0, command


def audit(root: Path, caplog: pytest.LogCaptureFixture, repair: bool = False) -> tuple[list[str], str]:
    """(problems, the message of the StageError or "")."""
    caplog.clear()
    message = ""
    with caplog.at_level(logging.WARNING):
        try:
            run(ValidateConfig(), root, full=True, repair=repair)
        except StageError as error:
            message = str(error)
    return [record.getMessage() for record in caplog.records if record.name == "validate"], message


def check_and_repair(root: Path, caplog: pytest.LogCaptureFixture) -> list[str]:
    """The problems. Looking changes nothing; repairing removes no byte; and then nothing is found any more."""
    before = contents(root)
    found, message = audit(root, caplog)
    assert found and f"has {len(found)} problem" in message and f"validate.py --repair --root {root}" in message
    assert contents(root) == before
    repaired, message = audit(root, caplog, repair=True)
    assert repaired and not message and set(repaired) <= set(found)
    after = contents(root)
    for name, data in before.items():
        kept = [after.get(name, b""), *(after[aside] for aside in after if aside.startswith("data/damaged/"))]
        assert name == "rows" or data in kept or (data.startswith(kept[0]) and any(
            copy and data.endswith(copy) for copy in kept[1:])), name
    assert audit(root, caplog) == ([], "")
    return found


def test_a_sound_dataset_has_no_problems_and_is_described(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    before = contents(root)
    with caplog.at_level(logging.INFO):
        stats = run(ValidateConfig(), root, full=True)
    assert (stats.n_in, stats.n_out, stats.facts["problems"]) == (80, 80, 0) and contents(root) == before
    assert stats.facts["documents"] == {"raw": 80, "valid": 80, "clean": 80}
    assert stats.facts["words"]["clean"] == sum(len(text.split()) for text in TEXTS)
    assert stats.facts["hosts"] == {"example.org": 80} and stats.facts["languages"] == {"en": 80}
    assert stats.facts["documents_per_day"] == {"2026-01-01": 80}
    assert stats.facts["words_per_document"]["50%"] == len(TEXTS[0].split())
    assert json.loads(stats.to_json())["facts"] == stats.facts
    assert "documents     raw 80 · valid 80 · clean 80" in caplog.text


@pytest.mark.parametrize("how", ["full", "repair"])
def test_an_empty_root_is_named_and_stays_empty(tmp_path: Path, how: str) -> None:
    with pytest.raises(StageError, match=r"There is no .*catalog"):
        run(ValidateConfig(), tmp_path, **{how: True})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("inside", [b'"text"', b"harbour", b"http://example.org", b"}\n"])
def test_a_changed_raw_document_is_named_and_set_aside(root: Path, caplog: pytest.LogCaptureFixture,
                                                       inside: bytes) -> None:
    row = row_of(root, "documents", 7)
    at = (root / RAW).read_bytes().index(inside, row["offset"])
    change(root, RAW, at)
    damaged = (root / RAW).read_bytes()[row["offset"]:row["offset"] + row["length"]]
    found = check_and_repair(root, caplog)
    assert len(found) == 1 and found[0].startswith(f"{RAW}, byte {row['offset']}: document {row['id']} of {row['url']}")
    assert (root / f"data/damaged/raw-000000.jsonl.{row['offset']}").read_bytes() == damaged
    with Catalog(root, read_only=True) as catalog:
        outcomes = [row["validation"] for row in catalog.execute("SELECT validation FROM documents ORDER BY seq")]
    assert outcomes[6] == "damaged" and set(outcomes[:6] + outcomes[7:]) == {"valid"}


def test_changed_metadata_are_named_and_the_text_stays(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    change(root, RAW, (root / RAW).read_bytes().index(b"2026-01-01", 5000))
    found = check_and_repair(root, caplog)
    assert len(found) == 1 and found[0].startswith(f"{RAW}, bytes ") and "metadata" in found[0]


def test_a_document_damaged_before_it_was_validated_is_skipped(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    add_raw_documents(root, ["one more. " + PROSE, "and another. " + PROSE])
    os.truncate(root / RAW, row_of(root, "documents", 82)["offset"] + 9)
    check_and_repair(root, caplog)
    add_raw_documents(root, ["the last. " + PROSE])
    stats = run(ValidateConfig(), root)
    assert (stats.n_in, stats.n_out, stats.dropped["damaged"]) == (3, 2, 1)
    assert audit(root, caplog) == ([], "")


def test_a_changed_clean_document_is_named_and_set_aside(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    row = row_of(root, "clean_documents", 80)
    change(root, CLEAN, row["offset"])
    found = check_and_repair(root, caplog)
    assert len(found) == 1 and found[0].startswith(f"{CLEAN}, byte {row['offset']}: document {row['id']}")
    with Catalog(root, read_only=True) as catalog:  # the next row will be 80 again, and prepare must not skip it
        assert catalog.value("SELECT count(*) FROM clean_documents") == catalog.cursor("prepare") == 79
    follow(found[0], root, "clean.py")
    assert audit(root, caplog) == ([], "")


def test_a_silent_change_of_clean_text_sets_its_extent_aside(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    row = row_of(root, "clean_documents", 30)
    change(root, CLEAN, (root / CLEAN).read_bytes().index(b"harbour", row["offset"]))
    found = check_and_repair(root, caplog)
    assert len(found) == 1 and "nothing shows which one" in found[0]
    begin, end = map(int, re.findall(r"bytes (\d+) to (\d+)", found[0])[0])
    assert begin <= row["offset"] < end < begin + 5 * row["length"]
    with Catalog(root, read_only=True) as catalog:
        kept = [tuple(row) for row in catalog.execute("SELECT offset FROM clean_documents")]
    assert 76 <= len(kept) < 80 and not any(begin <= offset < end for offset, in kept)


def test_prepare_names_clean_text_that_has_changed_and_its_fix_mends_it(root: Path) -> None:
    change(root, CLEAN, (root / CLEAN).read_bytes().index(b"number 70"))  # still JSON, and as long
    with Catalog(root) as catalog, catalog.record():
        catalog.set_state("prepare.stale", True)
    with pytest.raises(StageError, match=rf"{CLEAN}, bytes \d+ to \d+: changed") as error:
        prepare.run(BYTES, root)
    follow(error.value.fix, root)
    assert prepare.run(BYTES, root).n_out < 80


@pytest.mark.parametrize("bad", [b"\xff", b"}"])
def test_without_checksums_prepare_names_the_document(root: Path, bad: bytes) -> None:
    row = row_of(root, "clean_documents", 70)
    with open(root / CLEAN, "r+b") as stream:
        stream.seek(row["offset"])
        stream.write(bad)
    with Catalog(root) as catalog, catalog.record():
        catalog.set_state("prepare.stale", True)
        catalog.execute("DELETE FROM extents")
    with pytest.raises(StageError, match=f"{CLEAN}, byte {row['offset']}: the document {row['id']} has changed"):
        prepare.run(BYTES, root)


def test_a_raw_document_that_changed_after_it_was_validated_is_named_by_clean(tmp_path: Path) -> None:
    add_raw_documents(tmp_path, [PROSE])
    run(ValidateConfig(), tmp_path)
    change(tmp_path, RAW, 100)
    with pytest.raises(StageError, match=f"{RAW}, byte 0: the document .* has changed") as error:
        clean.run(CleanConfig(), tmp_path)
    follow(error.value.fix, tmp_path)
    assert clean.run(CleanConfig(), tmp_path).n_out == 0


@pytest.mark.parametrize(("seq", "is_fetched_again"), [(2, False), (8, True)])
def test_a_changed_page_is_named_and_its_row_removed(root: Path, caplog: pytest.LogCaptureFixture, seq: int,
                                                     is_fetched_again: bool) -> None:
    row = row_of(root, "pages", seq)
    change(root, PAGES, row["offset"] + 60)
    found = check_and_repair(root, caplog)
    assert len(found) == 1 and found[0].startswith(f"{PAGES}, byte {row['offset']}: the page {row['url']} is damaged")
    with Catalog(root, read_only=True) as catalog:
        assert catalog.value("SELECT count(*) FROM pages") == 9
        due = catalog.value("SELECT due_at FROM urls WHERE id = ?", [row["url_id"]])
    assert (due is not None) == is_fetched_again


def test_a_changed_record_that_is_not_a_page_is_named(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    row = row_of(root, "pages", 2)
    change(root, PAGES, row["offset"] + row["length"] + 40)
    found = check_and_repair(root, caplog)
    assert len(found) == 1 and f"{PAGES}, byte {row['offset'] + row['length']}: a record that is not a page" in found[0]


@pytest.mark.parametrize("offset", [10, 5001])  # in the first documents; the upper byte of an id
def test_changed_bins_are_set_aside_and_rebuilt(root: Path, caplog: pytest.LogCaptureFixture, offset: int) -> None:
    before = [(root / f"data/{split}.bin").read_bytes() for split in ("train", "val")]
    change(root, "data/train.bin", offset)
    found = check_and_repair(root, caplog)
    assert len(found) == 1 and found[0].startswith("data/train.bin, byte")
    assert not (root / "data/train.bin").exists() and (root / "data/damaged/val.bin").read_bytes() == before[1]
    assert f"python3 run.py --only prepare --root {root}," in found[0]
    assert offset != 10 or run_py("--only", "prepare", "--root", root).returncode == 0
    prepare.run(BYTES, root)
    assert [(root / f"data/{split}.bin").read_bytes() for split in ("train", "val")] == before
    assert audit(root, caplog) == ([], "")


@pytest.mark.parametrize("left", [0, 1001, None])  # bytes; None: no file
@pytest.mark.parametrize("path", [RAW, CLEAN, PAGES, "data/train.bin", "data/val.bin"])
def test_a_file_that_lost_its_end_is_continued(root: Path, caplog: pytest.LogCaptureFixture, path: str,
                                                  left: int | None) -> None:
    os.remove(root / path) if left is None else os.truncate(root / path, left)
    found = check_and_repair(root, caplog)
    assert len(found) == 1 and found[0].startswith(path)
    add_clean_documents(root, ["a new document. " + PROSE])
    with Catalog(root) as catalog:
        add_page(catalog, 99)
    prepare.run(BYTES, root)
    assert audit(root, caplog) == ([], "") and any("a new document" in text for text in decoded(root))


def test_what_a_stage_prints_of_a_file_that_lost_its_end_fixes_it(root: Path) -> None:
    os.truncate(root / RAW, 1001)
    with pytest.raises(StageError, match="holds 1001 bytes") as caught:
        add_raw_documents(root, ["one more. " + PROSE])
    follow(str(caught.value), root)
    add_raw_documents(root, ["one more. " + PROSE])


def test_damage_of_many_kinds_at_once(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    for table, path in (("documents", RAW), ("clean_documents", CLEAN), ("pages", PAGES)):
        for seq in (3, 5, 9):
            change(root, path, row_of(root, table, seq)["offset"] + 1)
    os.truncate(root / "data/val.bin", 3)
    found = check_and_repair(root, caplog)
    assert len(found) == 10


def test_without_checksums_the_records_themselves_are_checked(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    with Catalog(root) as catalog, catalog.record():
        catalog.execute("DELETE FROM extents")
    assert audit(root, caplog) == ([], "")
    for table, path in (("documents", RAW), ("clean_documents", CLEAN), ("pages", PAGES)):
        change(root, path, row_of(root, table, 4)["offset"] + 1)
    change(root, "data/train.bin", 5001)
    found = check_and_repair(root, caplog)
    assert [line.split(",")[0] for line in found] == [RAW, CLEAN, PAGES, "data/train.bin"]
    assert "data/train.bin, byte 5000: a token id that is not below 257" in found[3]


@pytest.mark.parametrize(("change_rows", "sentence"), [
    ("UPDATE cursors SET seq = 99 WHERE stage = 'validate'", "The cursor of validate is at 99, but the last row"),
    ("UPDATE cursors SET seq = 99 WHERE stage = 'extract'", "The cursor of extract is at 99, but the last row"),
    ("UPDATE cursors SET seq = 99 WHERE stage = 'prepare'", "The cursor of prepare is at 99, but the last row"),
    ("UPDATE growth SET val_tokens = val_tokens + 1", "The bins hold "),
    ("UPDATE growth SET val_tokens = val_tokens - 1", "The bins hold "),
    ("UPDATE clean_documents SET id = 'another' WHERE seq = 4", "document another is damaged (another id)"),
    ("UPDATE documents SET offset = offset + 1 WHERE seq = 80", "the catalog names bytes that its file does not have"),
    ("UPDATE documents SET id = 'another' WHERE seq = 4", "is damaged (id_mismatch"),
])
def test_a_catalog_that_contradicts_itself(root: Path, caplog: pytest.LogCaptureFixture, change_rows: str,
                                           sentence: str) -> None:
    with Catalog(root) as catalog, catalog.record():
        catalog.execute(change_rows)
    assert any(sentence in line for line in check_and_repair(root, caplog))


def test_clean_beyond_validate_is_set_back_or_left_to_a_rebuild(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    add_raw_documents(root, ["one more. " + PROSE])
    with Catalog(root) as catalog, catalog.record():
        catalog.advance("clean", 81)
    assert "The cursor of clean is at 81, beyond that of validate at 80" in check_and_repair(root, caplog)[0]
    with Catalog(root) as catalog, catalog.record():
        catalog.advance("validate", 79)
    found, message = audit(root, caplog, repair=True)
    assert "--repair cannot" in message
    follow(found[0], root)
    assert audit(root, caplog) == ([], "")


def test_a_run_that_was_stopped_in_prepare_is_no_problem(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    add_clean_documents(root, ["one. " + PROSE, "two. " + PROSE])
    with Catalog(root) as catalog, catalog.record():
        catalog.append_to("data/train.bin", b"a\0")
        catalog.advance("prepare", 81)
    assert audit(root, caplog) == ([], "")


def test_a_bins_json_that_does_not_fit_is_set_aside(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = root / "data/bins.json"
    path.write_text(path.read_text().replace('"tokenizer_hash": "', '"tokenizer_hash": "0'))
    assert "data/bins.json does not name" in check_and_repair(root, caplog)[0]
    prepare.run(BYTES, root)
    assert path.exists() and audit(root, caplog) == ([], "")


def test_a_damaged_tokenizer_is_put_back_by_a_person_or_made_anew(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    change(root, "data/tokenizer/ranks.tiktoken", 1)
    before = contents(root)
    found, message = audit(root, caplog, repair=True)
    assert "data/tokenizer holds no readable" in found[0] and "from a copy" in found[0] and "--repair cannot" in message
    assert contents(root) == before
    assert "--repair cannot" in audit(root, caplog)[1]  # nor does it name --repair as a fix
    follow(found[0], root, "prepare")
    assert audit(root, caplog) == ([], "")


@pytest.mark.parametrize("path", [RAW, CLEAN, PAGES, "data/train.bin", "checkpoints/ckpt.pt"])
def test_a_file_that_is_closed_is_not_called_damaged(root: Path, capsys: pytest.CaptureFixture[str], path: str) -> None:
    write_checkpoints(root)
    whole = (root / path).rename(root / "elsewhere")
    (root / path).mkdir()
    for option in ("--full", "--repair"):
        assert main([option, "--root", str(root)]) == 1
        assert f"{root / path} is a folder. Expected: a file. Fix: mv " in capsys.readouterr().err
    (root / path).rmdir()
    whole.rename(root / path)
    assert main(["--full", "--root", str(root)]) == 0


def test_damaged_checkpoints_are_set_aside(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_checkpoints(root)
    assert audit(root, caplog) == ([], "")
    change(root, "checkpoints/ckpt.pt", 500)
    change(root, "checkpoints/history/2026-01-01-020000.pt", 500)
    (root / "checkpoints/release.pt").write_bytes(b"")
    found = check_and_repair(root, caplog)
    assert [message.partition(" is")[0] for message in found] == [
        "checkpoints/ckpt.pt", "checkpoints/history/2026-01-01-020000.pt", "checkpoints/release.pt"]
    assert len(list((root / "data/damaged").glob("*.pt"))) == 3 and not list(root.glob("checkpoints/**/*.pt"))


def test_a_damaged_catalog_is_named(root: Path) -> None:
    with Catalog(root) as catalog:
        catalog.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        page = catalog.value("SELECT rootpage FROM sqlite_master WHERE name = 'documents'")
        size = catalog.value("PRAGMA page_size")
    data = bytearray((root / "data/catalog.sqlite3").read_bytes())
    data[(page - 1) * size:page * size] = bytes(range(256)) * (size // 256)
    (root / "data/catalog.sqlite3").write_bytes(data)
    with pytest.raises(StageError, match="is damaged"):
        run(ValidateConfig(), root, full=True)


def test_many_problems_fill_no_screen(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    (root / RAW).write_bytes(b"x" * (root / RAW).stat().st_size)
    with caplog.at_level(logging.INFO), pytest.raises(StageError, match="has 80 problems"):
        run(ValidateConfig(), root, full=True)
    assert sum("Fix:" in line for line in caplog.messages) == 50 and "30 more problems" in caplog.text


def test_a_place_on_the_disk_that_cannot_be_read_is_a_problem(root: Path, caplog: pytest.LogCaptureFixture,
                                                             monkeypatch: pytest.MonkeyPatch) -> None:
    row, read = row_of(root, "documents", 7), Catalog.read

    def broken(self: Catalog, file: str, offset: int, length: int) -> bytes:
        if (file, offset) == (RAW, row["offset"]):
            raise OSError(errno.EIO, "Input/output error")
        return read(self, file, offset, length)

    monkeypatch.setattr(Catalog, "read", broken)
    found, _ = audit(root, caplog)
    assert len(found) == 1 and f"byte {row['offset']}" in found[0] and "Input/output error" in found[0]


def test_the_command_line_ends_with_1_until_its_fix_is_run(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change(root, RAW, 40)
    assert main(["--root", str(root), "--full"]) == 1
    follow(capsys.readouterr().err.splitlines()[-1], root)
    assert main(["--root", str(root), "--full"]) == 0 and main(["--root", str(root)]) == 0
