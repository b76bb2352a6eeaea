"""inputs.py: pages and texts from elsewhere.   .venv/bin/python3 -m pytest tests/extraction/test_inputs.py"""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path

import pytest
from helpers import PROSE, lines, warc_member

import extract
import run
from miniature_memory.core.errors import ConfigError, StageError
from miniature_memory.extraction import inputs
from miniature_memory.extraction.config import ExtractConfig
from miniature_memory.extraction.inputs import read_files, read_stdin, read_warc

PAGE = f"<html><head><title>A page</title></head><body><article><p>{PROSE}</p><p>{PROSE}</p></article></body></html>"
ONE = ExtractConfig(workers=1)


def test_a_foreign_warc_file_is_read_as_a_stream(tmp_path):
    members = [warc_member(f"http://a.example/{n}", PAGE.replace("ship", f"ship {n}").encode()) for n in range(3)]
    members.insert(1, warc_member("http://a.example/pdf", b"%PDF", "application/pdf"))
    (tmp_path / "x.warc.gz").write_bytes(b"".join(members))
    report = extract.run(ONE, tmp_path, warc=[tmp_path / "x.warc.gz"])
    assert (report.n_in, report.n_out) == (3, 3)
    found = lines(tmp_path / "data/raw/000000.jsonl")
    assert [line["metadata"]["url"] for line in found] == [f"http://a.example/{n}" for n in range(3)]
    assert extract.run(ONE, tmp_path, warc=[tmp_path / "x.warc.gz"]).dropped == {"duplicate_text": 3}
    (tmp_path / "plain.warc").write_bytes(gzip.decompress(members[0]))
    assert [one.url for one in read_warc(tmp_path / "plain.warc")] == ["http://a.example/0"]


@pytest.mark.parametrize("data", [b"no WARC at all", b"", warc_member("http://a.example/", PAGE.encode())[:-20]])
def test_what_is_no_whole_warc_file_is_an_error_or_empty(tmp_path, data):
    (tmp_path / "x.warc.gz").write_bytes(data)
    try:
        list(read_warc(tmp_path / "x.warc.gz"))
    except StageError as error:
        assert "is no whole WARC file" in str(error)
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
    assert [one.reason for one in found if one.url.endswith("jsonl")] == ["bad_json", "no_text", "bad_json"]
    assert texts["1"].text == "one" and texts["1"].title == "One" and texts["2"].html
    report = extract.run(ONE, tmp_path, files=[folder])
    assert report.n_out == 4 and report.dropped == {"bad_json": 2, "no_text": 1, "duplicate_text": 1}


def test_files_that_are_too_big_or_missing(tmp_path, monkeypatch):
    monkeypatch.setattr(inputs, "MAX_BYTES", 100)
    (tmp_path / "big.html").write_text(PAGE)
    assert [one.reason for one in read_files([tmp_path / "big.html"])] == ["too_big"]
    with pytest.raises(StageError, match="cannot be read"):
        list(read_files([tmp_path / "none.html"]))


@pytest.mark.parametrize("data, is_page", [(PAGE.encode(), True), (b"\n<!DOCTYPE html><p>x", True),
                                           (b"plain text", False)])
def test_standard_input_is_a_page_or_a_text(monkeypatch, data, is_page):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))
    [one] = read_stdin()
    assert (one.html is not None) == is_page and (is_page or one.text == "plain text")


def test_the_text_of_one_page_is_printed(tmp_path, capsys):
    (tmp_path / "a.html").write_text(PAGE)
    assert extract.main(["--root", str(tmp_path), "--file", str(tmp_path / "a.html")]) == 0
    assert "The ship lay in the harbour" in capsys.readouterr().out


def test_run_takes_files_for_extract_alone():
    assert run.parse_args(["--only", "extract", "--warc", "a", "b"]).warc == [Path("a"), Path("b")]
    with pytest.raises(ConfigError, match="go with --only extract"):
        run.parse_args(["--files", "a"])
