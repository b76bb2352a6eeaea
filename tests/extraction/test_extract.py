"""Extract, from page to raw document.   .venv/bin/python -m pytest tests/extraction/test_extract.py"""

import json
import os
import time
from multiprocessing.connection import Connection
from pathlib import Path
from unittest.mock import Mock

import pytest
from helpers import PROSE, add_pages, lines, warc_member

from extract import run
from miniature_memory.extraction import workers
from miniature_memory.extraction.config import ExtractConfig
from miniature_memory.extraction.page import Extracted, extract_page
from miniature_memory.extraction.reading import Input
from miniature_memory.extraction.workers import extract_all
from miniature_memory.responses.charset import decode_html
from miniature_memory.storage import documents, urls
from miniature_memory.storage.catalog import Catalog

ONE_WORKER = ExtractConfig(workers=1)
ARTICLE = "<html lang=en><head><title>Ships - A Site</title></head><body><nav><a href=/>Home</a> <a href=/x>About us" \
          f"</a></nav><article><h1>Ships</h1><p>{PROSE}</p><p>{PROSE}</p></article><footer>Copyright</footer></body></html>"


def test_an_article_is_extracted_without_its_navigation() -> None:
    page = extract_page(ARTICLE.encode(), "http://example.org/")
    assert page.text.count("old captain") == 2 and "About us" not in page.text and "Copyright" not in page.text
    assert (page.title, page.language_hint, page.extractor) == ("Ships - A Site", "en", "blocks")


@pytest.mark.parametrize("url", [None, "", "http://[", "no address", "file:///a/b.html", "http://\ud800/"])
def test_an_odd_address_or_none_does_no_harm(url: str | None) -> None:
    page = "<article><h1>The harbour</h1>" + f"<p>{PROSE}</p>" * 3 + "</article>"
    assert PROSE.strip() in extract_page(page, url).text


def test_no_control_character_comes_through() -> None:
    page = extract_page(ARTICLE.replace("old captain", "old \x1b[31mcap\x07tain\u202e").encode(), "http://example.org/")
    assert page.text.count("old [31mcaptain") == 2 and not set(page.text) & set("\x1b\x07\u202e")


def test_a_page_that_read_mode_finds_empty_is_taken_whole() -> None:
    page = extract_page("<body><nav>menu</nav><main><ul><li>tea<li>milk</ul></main></body>")
    assert (page.text, page.extractor) == ("tea\nmilk", "whole_page")


@pytest.mark.parametrize(("html", "reason"), [
    (b"", "not_html"), (b"\x89PNG\r\n\x1a\n\x00\x00", "not_html"), (b"<html><body></body></html>", "no_text"),
    (b"<b>" * 300_001, "too_many_tags"), (b"<" * 1000 + b"!--", ""), (b"\x00<p>nul\x00</p>", ""),
])
def test_bad_html_gives_text_or_a_reason(html: bytes, reason: str) -> None:
    page = extract_page(html)
    assert page.reason == reason and bool(page.text) == (not reason)


@pytest.mark.parametrize(("data", "charset"), [
    ("<p>naïve café</p>".encode(), ""), ("<p>naïve café</p>".encode("latin-1"), "iso-8859-1"),
    ("<p>naïve café</p>".encode("utf-16"), ""), (b"\xef\xbb\xbf" + "<p>naïve café</p>".encode(), "latin-1"),
    ('<meta charset="latin-1"><p>naïve café</p>'.encode("latin-1"), ""),
    ("<p>naïve café</p>".encode("cp1252"), "no-such-charset"), ("<p>naïve café</p>".encode(), "ascii"),
])
def test_charsets(data: bytes, charset: str) -> None:
    assert "naïve café" in decode_html(data, charset)


def test_a_changed_text_is_a_new_document_and_the_same_text_is_not(tmp_path: Path) -> None:
    add_pages(tmp_path, {"http://a/1": ARTICLE.encode(), "http://a/2": ARTICLE.encode(), "http://a/3": b"<html></html>",
                         "http://a/4": ARTICLE.replace("captain", "sailor").encode()})
    stats = run(ONE_WORKER, tmp_path)
    assert (stats.n_in, stats.n_out, dict(stats.dropped)) == (4, 2, {"duplicate_text": 1, "no_text": 1})
    found = lines(tmp_path / "data/raw/000000.jsonl")
    assert [d["metadata"]["url"] for d in found] == ["http://a/1", "http://a/4"]  # type: ignore[index]
    assert [d["metadata"]["page_type"] for d in found] == ["article"] * 2  # type: ignore[index]


def test_a_document_knows_how_its_url_was_found_where_it_is_archived_and_its_license(tmp_path: Path) -> None:
    licensed = ARTICLE.replace("Copyright", "<a rel=license href=https://creativecommons.org/licenses/by/4.0/>CC</a>")
    with Catalog(tmp_path) as catalog, catalog.record():
        urls.add(catalog, "http://a/1", "ddgs", "old ships")
    add_pages(tmp_path, {"http://a/0": b"<html></html>", "http://a/1": licensed.encode()})
    run(ONE_WORKER, tmp_path)
    with Catalog(tmp_path, read_only=True) as catalog:
        assert documents.licenses(catalog, 9) == {}  # of valid ones
        page = list(catalog.rows_after(0, "pages"))[1]
    metadata = lines(tmp_path / "data/raw/000000.jsonl")[0]["metadata"]
    assert {key: metadata[key] for key in ("source", "license", "warc_file", "warc_offset")} == {  # type: ignore[index]
        "source": "ddgs: old ships", "license": "CC-BY-4.0", "warc_file": page["file"],
        "warc_offset": str(page["offset"])}


def test_a_document_from_elsewhere_knows_its_file(tmp_path: Path) -> None:
    (tmp_path / "one.txt").write_text(PROSE)
    (tmp_path / "two.jsonl").write_text(json.dumps({"text": f"Two. {PROSE}", "metadata": {
        "url": "http://a/2", "license": "https://creativecommons.org/licenses/by-sa/4.0"}}))
    members = [warc_member(f"http://a/{name}", ARTICLE.replace("captain", name).encode()) for name in ("Three", "Four")]
    (tmp_path / "three.warc.gz").write_bytes(b"".join(members))
    run(ONE_WORKER, tmp_path, [tmp_path / "three.warc.gz"], [tmp_path / "one.txt", tmp_path / "two.jsonl"])
    found = [line["metadata"] for line in lines(tmp_path / "data/raw/000000.jsonl")]
    archive = (tmp_path / "three.warc.gz").as_uri()
    keys = ("url", "source", "license", "warc_file", "warc_offset")
    assert [[each[key] for key in keys] for each in found] == [  # type: ignore[index]
        ["http://a/Three", archive, "", archive, "0"], ["http://a/Four", archive, "", archive, str(len(members[0]))],
        [(tmp_path / "one.txt").as_uri(), (tmp_path / "one.txt").as_uri(), "", "", ""],
        ["http://a/2", (tmp_path / "two.jsonl").as_uri(), "CC-BY-SA-4.0", "", ""]]


def test_a_file_has_one_address_from_wherever_it_is_named(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "one.txt").write_text(PROSE)
    stats = run(ONE_WORKER, tmp_path, files=[tmp_path / "here/../one.txt"])
    assert lines(tmp_path / "data/raw/000000.jsonl")[0]["metadata"]["url"] == (  # type: ignore[index]
        tmp_path / "one.txt").as_uri()
    assert "1 text read, 1 new document" in stats.summary()


def test_a_second_run_adds_nothing(tmp_path: Path) -> None:
    add_pages(tmp_path, {"http://a/1": ARTICLE.encode()})
    run(ONE_WORKER, tmp_path)
    before = (tmp_path / "data/raw/000000.jsonl").read_bytes()
    stats = run(ONE_WORKER, tmp_path)
    assert stats.n_in == 0 and (tmp_path / "data/raw/000000.jsonl").read_bytes() == before


def hostile(member: bytes, config: ExtractConfig) -> Extracted:
    """Stands in for extract_job in a worker: what a page may do to its process."""
    if member == b"crash":
        os.abort()
    if member == b"hang":
        time.sleep(60)
    return Extracted(text=member.decode())


def hostile_worker(connection: Connection, config: ExtractConfig) -> None:
    workers.serve(connection, config, hostile)  # type: ignore[arg-type]


def test_a_page_that_kills_its_worker_is_counted_and_the_rest_continues(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "PAGES_PER_WORKER", 2)
    pages = [b"a", b"crash", b"b", b"hang", b"c", b"d"]
    results = list(extract_all(enumerate(pages), ExtractConfig(workers=2, page_deadline_sec=3.0), hostile_worker))
    assert [key for key, _ in results] == list(range(6))
    assert [page.text or page.reason for _, page in results] == [
        "a", "extraction_crashed", "b", "extraction_timeout", "c", "d"]


def test_a_worker_is_replaced_after_so_many_pages_and_by_no_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "PAGES_PER_WORKER", 1)
    monkeypatch.setattr(workers.Worker, "_start", lambda self: vars(self).update(
        started=getattr(self, "started", 0) + 1, pages=0, connection=Mock()))
    monkeypatch.setattr(workers.Worker, "stop", lambda self: None)
    text = Input("http://a/", "", None, text=PROSE)
    worker = workers.Worker(ONE_WORKER, hostile_worker)
    for job, started in ((text, 1), (text, 1), (b"page", 1), (b"page", 2), (text, 3), (text, 3)):
        worker.submit(job)
        assert worker.started == started  # type: ignore[attr-defined]


def test_an_unknown_mode_is_an_error_that_names_the_modes() -> None:
    with pytest.raises(ValueError, match="expected blocks or readability"):
        ExtractConfig(mode="blocs")
