"""Pages and texts from elsewhere.   .venv/bin/python -m pytest tests/extraction/test_inputs.py"""

import gzip
import io
import json
import os
import shlex
import subprocess
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from helpers import PROSE, lines, warc_member

import extract
import run
from miniature_memory.core.errors import ConfigError, StageError
from miniature_memory.core.paths import PROJECT
from miniature_memory.extraction import reading
from miniature_memory.extraction.archives import read_warc
from miniature_memory.extraction.config import ExtractConfig
from miniature_memory.extraction.inputs import read_files, read_stdin
from miniature_memory.extraction.page import Extracted
from miniature_memory.extraction.workers import extract_job

PAGE = f"<html><head><title>A page</title></head><body><article><p>{PROSE}</p><p>{PROSE}</p></article></body></html>"
ONE = ExtractConfig(workers=1)


def test_the_html_pages_of_a_warc_file_are_read_in_order(tmp_path):
    members = [warc_member(f"http://a.example/{n}", PAGE.replace("ship", f"ship {n}").encode()) for n in range(3)]
    members.insert(1, warc_member("http://a.example/pdf", b"%PDF", "application/pdf"))
    (tmp_path / "x.warc.gz").write_bytes(b"".join(members))
    stats = extract.run(ONE, tmp_path, warc=[tmp_path / "x.warc.gz"])
    assert (stats.n_in, stats.n_out, stats.dropped) == (4, 3, {"not_html": 1})
    found = lines(tmp_path / "data/raw/000000.jsonl")
    assert [line["metadata"]["url"] for line in found] == [f"http://a.example/{n}" for n in range(3)]
    assert extract.run(ONE, tmp_path, warc=[tmp_path / "x.warc.gz"]).dropped == {"duplicate_text": 3, "not_html": 1}
    (tmp_path / "plain.warc").write_bytes(gzip.decompress(members[0]))
    assert [one.url for one in read_warc(tmp_path / "plain.warc")] == ["http://a.example/0"]


def test_what_pages_from_elsewhere_ask_is_respected_unless_a_setting_says_otherwise(tmp_path):
    marked = PAGE.replace("<head>", "<head><meta name=robots content=noindex>").replace("ship", "boat")
    (tmp_path / "a.html").write_text(marked)
    (tmp_path / "b.jsonl").write_text(json.dumps({"html": marked.replace("boat", "ark").replace("noindex", "noai")}))
    (tmp_path / "c.warc.gz").write_bytes(
        warc_member("http://a.example/", PAGE.encode(), "text/html\r\nX-Robots-Tag: none"))
    paths = {"files": [tmp_path / "a.html", tmp_path / "b.jsonl"], "warc": [tmp_path / "c.warc.gz"]}
    stats = extract.run(ONE, tmp_path, **paths)
    assert (stats.n_out, stats.dropped) == (0, {"noindex": 2, "noai": 1})
    assert extract.run(ExtractConfig(workers=1, respect_noai=False), tmp_path, **paths).n_out == 3
    assert "The boat lay" in extract.print_page(ONE, tmp_path, str(tmp_path / "a.html"))


def test_a_damaged_warc_file_gives_the_pages_before_the_damage_and_once_whole_the_rest(tmp_path):
    members = [warc_member(f"http://a.example/{n}", PAGE.replace("ship", f"ship {n}").encode()) for n in range(3)]
    (tmp_path / "x.warc.gz").write_bytes(members[0] + b"damage" + members[2])
    with pytest.raises(StageError, match="is not a whole WARC file"):
        extract.run(ONE, tmp_path, warc=[tmp_path / "x.warc.gz"])
    assert len(lines(tmp_path / "data/raw/000000.jsonl")) == 1
    (tmp_path / "x.warc.gz").write_bytes(b"".join(members))
    assert extract.run(ONE, tmp_path, warc=[tmp_path / "x.warc.gz"]).n_out == 2


def test_a_warc_file_in_one_gzip_stream_is_read_after_the_fix(tmp_path):
    members = [warc_member(f"http://a.example/{n}", PAGE.encode()) for n in range(3)]
    (tmp_path / "x y.warc.gz").write_bytes(gzip.compress(b"".join(map(gzip.decompress, members))))
    with pytest.raises(StageError, match="is not a whole WARC file") as caught:
        list(read_warc(tmp_path / "x y.warc.gz"))
    command = shlex.split(caught.value.fix.partition("the new file: ")[2])
    subprocess.run(command, cwd=PROJECT, check=True, capture_output=True)
    assert [one.url for one in read_warc(Path(command[-1]))] == [f"http://a.example/{n}" for n in range(3)]


def test_what_is_no_warc_file_is_an_error_and_an_empty_one_is_not(tmp_path):
    (tmp_path / "x.warc").write_bytes(b"no WARC at all")
    with pytest.raises(StageError, match="is not a whole WARC file"):
        list(read_warc(tmp_path / "x.warc"))
    (tmp_path / "x.warc").write_bytes(b"")
    assert not list(read_warc(tmp_path / "x.warc"))
    with pytest.raises(StageError, match="cannot be read"):
        list(read_warc(tmp_path / "none"))


def test_files_and_folders_are_read(tmp_path):
    folder = tmp_path / "texts"
    (folder / "deep").mkdir(parents=True)
    (folder / "a.html").write_text(PAGE)
    (folder / "deep/b.TXT").write_bytes("caf\xe9 \x1b[31mred\r\nline".encode("latin-1"))
    (folder / "c.md").write_text("# Title\n\nText")
    (folder / "d.jsonl").write_text("\n".join([
        json.dumps({"text": "one", "metadata": {"url": "http://a.example/1", "title": "One"}}), "{broken", "",
        json.dumps({"html": PAGE, "url": "http://a.example/2"}), json.dumps({"text": " "}), "7"]))
    (folder / "e.png").write_bytes(b"PNG")
    found = list(read_files([folder]))
    texts = {Path(one.url).name: one for one in found}
    assert texts["a.html"].html == PAGE.encode() and texts["c.md"].text == "# Title\n\nText"
    assert texts["b.TXT"].text == "café [31mred\nline" and texts["b.TXT"].title == "b"
    assert [one.reason for one in found if "jsonl" in one.url] == ["bad_json", "no_text", "bad_json"]
    assert texts["1"].text == "one" and texts["1"].title == "One" and texts["2"].html
    stats = extract.run(ONE, tmp_path, files=[folder])
    assert stats.n_out == 4 and stats.dropped == {"bad_json": 2, "no_text": 1, "duplicate_text": 1, "unknown_kind": 1}


@pytest.fixture
def in_process(monkeypatch):
    """Without the start of a worker, which takes half a second."""
    monkeypatch.setattr(extract, "extract_all", lambda jobs, config: (
        (key, extract_job(job, config)) for key, job in jobs))


@pytest.mark.usefixtures("in_process")
def test_an_unchanged_file_is_read_once(tmp_path, caplog):
    caplog.set_level("INFO")
    folder = tmp_path / "texts"
    folder.mkdir()
    for name, text in (("a.txt", PROSE), ("b.html", PAGE), ("c.xyz", "")):
        (folder / name).write_text(text)

    def n_read(config=ONE, *settled):
        for name in settled:
            os.utime(folder / name, (1e9, 1e9))
        return extract.run(config, tmp_path, files=[folder]).n_in - 1  # c.xyz is counted each time

    assert n_read() == n_read() == 2  # so new that they may change within one tick of the file system's clock
    assert n_read(ONE, "a.txt", "b.html") == 2 and n_read() == 0
    assert "skipped: 2 unchanged files" in caplog.text
    assert n_read(replace(ONE, mode="readability")) == 2
    (folder / "a.txt").write_text(PROSE.swapcase())  # of the same size
    assert n_read() == 2 and n_read(ONE, "a.txt") == 1 and n_read() == 0  # b.html: the mode is another one again
    assert len(lines(tmp_path / "data/raw/000000.jsonl")) == 3


@pytest.mark.usefixtures("in_process")
def test_a_file_is_remembered_once_all_its_documents_are_stored(tmp_path, monkeypatch):
    for name in ("a.jsonl", "b.jsonl"):
        (tmp_path / name).write_text("".join(json.dumps({"text": f"{name} {n}"}) + "\n" for n in range(5)))
        os.utime(tmp_path / name, (1e9, 1e9))
    files, store = [tmp_path / "a.jsonl", tmp_path / "b.jsonl"], extract._store

    def stopped(catalog, extracted, origin, stats):
        if extracted.text == "b.jsonl 3":
            raise KeyboardInterrupt
        store(catalog, extracted, origin, stats)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(extract, "_store", stopped)
        extract.run(ONE, tmp_path, files=files)
    stats = extract.run(ONE, tmp_path, files=files)
    assert (stats.n_in, stats.n_out, stats.dropped) == (5, 2, {"duplicate_text": 3})  # a.jsonl is skipped


@pytest.mark.usefixtures("in_process")
def test_what_could_not_be_read_is_read_again(tmp_path, monkeypatch):
    (tmp_path / "a.html").write_text(PAGE)
    os.utime(tmp_path / "a.html", (1e9, 1e9))
    with monkeypatch.context() as patch:
        patch.setattr(extract, "extract_all", lambda jobs, config: (
            (key, Extracted(reason="extraction_timeout")) for key, _ in jobs))
        assert extract.run(ONE, tmp_path, files=[tmp_path / "a.html"]).dropped == {"extraction_timeout": 1}
    assert extract.run(ONE, tmp_path, files=[tmp_path / "a.html"]).n_out == 1


@pytest.mark.parametrize(("year", "is_known"), [(1901, True), (2026, False), (2040, True)])
def test_a_file_of_a_time_far_from_now_is_one_that_does_not_change(tmp_path, year, is_known, monkeypatch):
    (tmp_path / "a.txt").write_text(PROSE)
    at = datetime(year, 1, 1, tzinfo=UTC).timestamp()
    os.utime(tmp_path / "a.txt", (at, at))
    monkeypatch.setattr("time.time", lambda: datetime(2026, 1, 1, tzinfo=UTC).timestamp())
    assert bool(reading.mark_of(tmp_path / "a.txt")) == is_known


def test_a_book_becomes_documents_that_know_their_place(tmp_path):
    days = (f"# Day {n}\n\n" + f"The ferry {n} crossed twice.\n\n" * 90 for n in range(10))
    (tmp_path / "ferry.md").write_text("".join(days))
    extract.run(ONE, tmp_path, files=[tmp_path / "ferry.md"])
    found = [line["metadata"] for line in lines(tmp_path / "data/raw/000000.jsonl")]
    assert [(one["title"], one["url"].partition("#")[2]) for one in found] == [
        (f"ferry, Day {n}", f"part={n + 1}") for n in range(10)]


def test_files_that_are_too_big_or_missing(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "MAX_BYTES", 100)
    (tmp_path / "big.html").write_text(PAGE)
    assert [one.reason for one in read_files([tmp_path / "big.html"])] == ["too_big"]
    with pytest.raises(StageError, match="cannot be read") as caught:
        list(read_files([tmp_path / "none.html"]))
    listed = subprocess.run(shlex.split(caught.value.fix.partition("read it: ")[2]), cwd=PROJECT, capture_output=True)
    assert b"big.html" in listed.stdout


@pytest.mark.parametrize("data, is_page", [(PAGE.encode(), True), (b"\n<!DOCTYPE html><p>x", True),
                                           (b"plain text", False)])
def test_standard_input_is_a_page_or_a_text(monkeypatch, data, is_page):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))
    [one] = read_stdin()
    assert (one.html is not None) == is_page and (is_page or one.text == "plain text")


def test_the_text_of_one_page_is_printed(tmp_path, capsys, monkeypatch):
    (tmp_path / "a.html").write_text(PAGE)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(PAGE.encode())))
    for page in (str(tmp_path / "a.html"), "-"):
        assert extract.main(["--root", str(tmp_path), "--print", page]) == 0
        assert "The ship lay in the harbour" in capsys.readouterr().out


def test_a_page_without_text_is_an_error_whose_fix_shows_its_blocks(tmp_path, caplog, capsys):
    (tmp_path / "a page.html").write_text("<html><body></body></html>")
    with pytest.raises(StageError, match="has no text \\(no text\\)") as caught:
        extract.print_page(ONE, tmp_path, str(tmp_path / "a page.html"))
    assert extract.main(shlex.split(caught.value.fix.partition("extract.py ")[2])) == 0
    assert "The page has no text" in capsys.readouterr().out


def test_old_spellings_work_and_print_a_hint(tmp_path, capsys):
    (tmp_path / "a.html").write_text(PAGE)
    assert extract.main(["--root", str(tmp_path), f"--file={tmp_path / 'a.html'}"]) == 0
    assert capsys.readouterr().err == "extract.py: --file is now --print\n"
    assert extract.main(["--root", str(tmp_path), "--files", str(tmp_path / "a.html")]) == 0
    assert "--files is now --import" in capsys.readouterr().err


def test_run_takes_files_only_with_only_extract():
    assert run.parse_args(["--only", "extract", "--warc", "a", "b"]).warc == [Path("a"), Path("b")]
    with pytest.raises(ConfigError, match="need --only extract"):
        run.parse_args(["--import", "a"])
