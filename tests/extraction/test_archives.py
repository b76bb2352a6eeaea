"""WARC and ARC files of other people.   .venv/bin/python -m pytest tests/extraction/test_archives.py"""

import gzip
import io

import brotli
import pytest
import zstandard
from helpers import PROSE, warc_member
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from miniature_memory.core.errors import StageError
from miniature_memory.extraction import archives
from miniature_memory.extraction.archives import read_warc
from miniature_memory.extraction.inputs import read_files

PAGE = f"<html><body><p>{PROSE}</p></body></html>".encode()
URL = "http://a.example/"


def record(kind: str, payload: bytes, http: list[tuple[str, str]] | None = None, status: str = "200 OK",
           **named: str) -> bytes:
    out = io.BytesIO()
    writer = WARCWriter(out, gzip=False)
    headers = StatusAndHeaders(status, http, protocol="HTTP/1.1") if http is not None else None
    writer.write_record(writer.create_warc_record(URL, kind, payload=io.BytesIO(payload), http_headers=headers,
                                                  warc_headers_dict=named))
    return out.getvalue()


def read(tmp_path, data: bytes):
    (tmp_path / "x.warc").write_bytes(data)
    return [(one.reason, one.html or one.text) for one in read_warc(tmp_path / "x.warc")]


@pytest.mark.parametrize(("coding", "pack"), [
    ("br", brotli.compress), ("zstd", zstandard.compress), ("gzip", gzip.compress), ("br", bytes), ("identity", bytes)])
def test_content_codings_are_unpacked(tmp_path, coding, pack):
    http = [("Content-Type", "text/html"), ("Content-Encoding", coding)]
    assert read(tmp_path, record("response", pack(PAGE), http)) == [("", PAGE)]


def test_a_bomb_is_too_big(tmp_path):
    http = [("Content-Type", "text/html"), ("Content-Encoding", "br")]
    assert read(tmp_path, record("response", brotli.compress(bytes(50_000_000)), http)) == [("too_big", "")]


@pytest.mark.parametrize("many", [[("X-A", "b")] * 20_000, [("X-A", "b" * 2_000_000)]], ids=["many", "long"])
def test_headers_beyond_measure_are_not_kept_in_memory(tmp_path, many):
    lines = "".join(f"{name}: {value}\r\n" for name, value in many).encode()
    page = record("response", PAGE, [("Content-Type", "text/html")])
    for data in (record("response", PAGE, many), page.replace(b"WARC-Date: ", lines + b"WARC-Date: ", 1)):
        with pytest.raises(StageError, match="too many headers"):
            read(tmp_path, page + data)


def test_chunks_are_joined(tmp_path):
    http = [("Content-Type", "text/html"), ("Transfer-Encoding", "chunked")]
    assert read(tmp_path, record("response", b"%x\r\n%b\r\n0\r\n\r\n" % (len(PAGE), PAGE), http)) == [("", PAGE)]


def test_every_record_is_a_page_or_a_text_or_has_a_reason(tmp_path):
    html = [("Content-Type", "text/html")]
    data = b"".join([
        record("warcinfo", b"software: x\r\n"), record("request", b"GET / HTTP/1.1\r\n\r\n"),
        record("metadata", b"a: b"), record("revisit", b"", html), record("response", PAGE, html, "404 Not Found"),
        record("response", PAGE, html, "203 Fine"),
        record("response", b"%PDF-1.7", [("Content-Type", "application/pdf")]),
        record("response", PAGE, []), record("resource", PAGE, **{"Content-Type": "text/html"}),
        record("conversion", "plain täxt".encode(), **{"Content-Type": "text/plain"})])
    assert read(tmp_path, data) == [
        ("record_without_page", ""), ("record_without_page", ""), ("record_without_page", ""), ("revisit_record", ""),
        ("http_404", ""), ("", PAGE), ("not_html", ""), ("", PAGE), ("", PAGE), ("", "plain täxt")]


def test_a_status_without_end_is_a_bad_response_of_one_record(tmp_path):
    http = [("Content-Type", "text/html")]
    data = record("response", PAGE, http, "2" * 5000) + record("response", PAGE, http)
    assert read(tmp_path, data) == [("bad_response", ""), ("", PAGE)]


def test_a_record_that_is_cut_short_is_counted(tmp_path):
    whole = record("response", PAGE, [("Content-Type", "text/html")])
    assert read(tmp_path, whole + whole[:-100]) == [("", PAGE), ("record_cut_short", "")]
    member = warc_member(URL, PAGE)
    (tmp_path / "y.warc.gz").write_bytes(member + member[:10])
    assert [one.reason for one in read_warc(tmp_path / "y.warc.gz")] == ["", "record_cut_short"]
    (tmp_path / "z.warc").write_bytes(whole + b"WARC/1.0\r\nWARC-Type: response\r\n")
    with pytest.raises(StageError, match="not a whole WARC file"):
        list(read_warc(tmp_path / "z.warc"))


def test_arc_and_zst_files_are_read(tmp_path):
    http = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n" + PAGE
    about = b"1 0 x\nURL IP-address Archive-date Content-type Archive-length\n"
    arc = b"filedesc://x.arc 0.0.0.0 20260102030405 text/plain %d\n%b\n" % (len(about), about)
    arc += b"http://a.example/ 1.2.3.4 20260102030405 text/html %d\n%b\n" % (len(http), http)
    (tmp_path / "x.arc").write_bytes(arc)
    assert [(one.reason, one.fetched_at, one.url) for one in read_warc(tmp_path / "x.arc")][1:] == [
        ("", "2026-01-02T03:04:05Z", URL)]
    whole = record("response", PAGE, [("Content-Type", "text/html")])
    packed = b"".join(zstandard.compress(one) for one in (whole, whole))
    assert read(tmp_path, packed) == [("", PAGE)] * 2
    dictionary = zstandard.ZstdCompressionDict(PAGE, dict_type=zstandard.DICT_TYPE_RAWCONTENT)
    frame = zstandard.ZstdCompressor(dict_data=dictionary).compress(whole)
    assert read(tmp_path, b"\x5d\x2a\x4d\x18" + len(PAGE).to_bytes(4, "little") + PAGE + frame) == [("", PAGE)]


def test_a_zst_file_without_end_is_not_read_to_its_end(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "FREE_BYTES", 1 << 20)
    page = record("response", b" " * 40_000_000, [("Content-Type", "text/html")])
    (tmp_path / "x.warc.zst").write_bytes(zstandard.compress(page))
    with pytest.raises(StageError, match=r"it unpacks to more than 1,000 times its size") as error:
        list(read_warc(tmp_path / "x.warc.zst"))
    assert error.value.fix == "download it again"  # warcio's recompress reads no .zst
    assert [one.reason for one in read_files([tmp_path / "x.warc.zst"])] == ["damaged"]


def test_json_lines_without_a_text_have_a_reason(tmp_path):
    (tmp_path / "x.jsonl").write_bytes(b'{"text": null}\n{"text": 7}\n{"text": ["a"]}\n{"url": null}\n'
                                       b'{"text": null, "html": "<p>a"}\n'
                                       b'{"text": "caf\xe9 \xe2\x82\xac \xe2\x82\xac"}\n')
    found = [(one.reason, one.html or one.text) for one in read_files([tmp_path / "x.jsonl"])]
    assert found == [("no_text", ""), ("text_is_no_string", ""), ("text_is_no_string", ""), ("no_text", ""),
                     ("", b"<p>a"), ("", "caf\ufffd € €")]


@pytest.mark.parametrize("codec", ["utf-16", "utf-8"])
def test_json_lines_in_utf_16_are_all_read(tmp_path, codec):
    (tmp_path / "x.jsonl").write_bytes('{"text": "Häuser"}\n{"text": "Ċ"}\n'.encode(codec))
    assert [(one.reason, one.text) for one in read_files([tmp_path / "x.jsonl"])] == [("", "Häuser"), ("", "Ċ")]


def test_a_text_is_read_by_its_bom_or_its_letters(tmp_path):
    for name, codec in (("a", "utf-16"), ("b", "koi8-r"), ("c", "utf-8-sig")):
        (tmp_path / f"{name}.txt").write_bytes("Старый дом стоял на холме.\r\nНикто в нём не жил.".encode(codec))
    assert {one.text for one in read_files([tmp_path])} == {"Старый дом стоял на холме.\nНикто в нём не жил."}
