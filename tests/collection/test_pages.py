"""python3 -m pytest tests/collection/test_pages.py"""

import re
import threading
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from urllib.parse import quote

import pytest
from browser import PHONE, Chromium
from helpers import PROSE, add_clean_documents, add_clean_line, add_raw_documents, document
from serving import address, error_of, send, serving, write_models

import clean
from miniature_memory.cleaning.config import CleanConfig
from miniature_memory.cleaning.explain import explain
from miniature_memory.collection import pages
from miniature_memory.sampling.server import Server
from miniature_memory.storage import full_text
from miniature_memory.storage.catalog import Catalog

HOSTILE = '<script>alert("1")</script> & <b>bread</b> \'"><img src=x onerror=alert(1)>'
EVIL_URL = "javascript:alert('bread')"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("served")
    write_models(root)
    add_clean_documents(root, [f"{PROSE}\n\nHere is bread with\nwild yeast, and {word}." for word in ("dough", "salt")])
    with Catalog(root) as catalog:
        hostile = document(HOSTILE, EVIL_URL)
        metadata = {**hostile["metadata"], "title": HOSTILE, "author": HOSTILE}  # type: ignore[dict-item]
        add_clean_line(catalog, hostile | {"metadata": metadata})
    add_raw_documents(root, ["Too short."])
    with Catalog(root) as catalog:
        with catalog.record():
            catalog.execute("UPDATE documents SET validation = 'valid', language = 'en' WHERE validation = ''")
            catalog.advance("validate", 3)
    clean.run(CleanConfig(), root)
    return root


@pytest.fixture(scope="module")
def server(root: Path) -> Iterator[Server]:
    with serving(root) as server:
        yield server


def get(server: Server, path: str, status: int = 200) -> str:
    response = send(server, path)
    assert response.status == status and response.headers.get_content_type() == "text/html"
    return response.read().decode()


def id_of(text: str) -> str:
    return str(document(text)["id"])


def document_path(text: str, passage: str = "") -> str:
    return f"/collection/document?id={id_of(text)}" + (f"&passage={quote(passage)}" if passage else "")


DOUGH = f"{PROSE}\n\nHere is bread with\nwild yeast, and dough."


def test_a_search_finds_marks_and_links(server: Server) -> None:
    page = get(server, "/collection?q=" + quote('"wild yeast" AND dough'))
    assert "1 document found" in page and 'value="&quot;wild yeast&quot; AND dough"' in page
    assert "<mark>wild yeast</mark>, and <mark>dough</mark>" in page
    link = re.search(r'<h2><a href="([^"]+)"', page)
    assert link and id_of(DOUGH) in link[1]
    path, _, fragment = unescape(link[1]).partition("#")
    assert f'<mark id="{fragment}">' in get(server, path)


def test_a_document_has_its_text_its_origin_and_what_became_of_it(server: Server, root: Path) -> None:
    page = unescape(get(server, document_path(DOUGH)))
    assert DOUGH in page and 'href="http://example.org/"' in page and "2026-01-01" in page and "<mark" not in page
    assert explain(CleanConfig(), root, id_of(DOUGH)) in page


@pytest.mark.parametrize("passage", ["bread with\nwild yeast", "bread with wild yeast", "  bread  with wild\r\nyeast "])
def test_a_passage_is_marked_whatever_its_white_space(server: Server, passage: str) -> None:
    assert '<mark id="passage">bread with\nwild yeast</mark>' in get(server, document_path(DOUGH, passage))


def test_a_passage_that_is_not_there_is_said_so(server: Server) -> None:
    page = get(server, document_path(DOUGH, "bread (with"))
    assert "The passage is not in this text" in page and "<mark" not in page


@pytest.mark.parametrize(("text", "passage"), [
    (" \n a  b ", "a b"), ("xa b\n\nc", "a b c"), ("a\u3000b", "a b"), ("ab", "b"), ("  ", ""), ("a b a c", "a c"),
    ("a b", "a  c"), ("", "a")])
def test_a_place_is_that_of_a_regular_expression(text: str, passage: str) -> None:
    found = re.search(r"\s+".join(map(re.escape, passage.split())), text)
    begin, end = pages._place(text, passage) or (0, 0)
    assert text[begin:end] == (found[0] if found else "")


def test_a_hostile_text_takes_no_longer_than_another() -> None:
    """A regular expression would compare each word of the passage with each of the text: 15 s."""
    for word, space in (("a", " "), ("a", " " * 100), ("ab", "\n")):
        text, passage = (word + space) * (pages.MOST_TEXT_CHARS // len(word + space)), (word + " ") * 1600 + "b"
        assert "not in this text" in pages._text(text, passage)


def test_a_document_that_was_not_kept_says_why(server: Server) -> None:
    page = get(server, document_path("Too short."), 404)
    assert "not among those that were kept" in page and "too_few_words" in page


@pytest.mark.parametrize(("path", "status", "sentence"), [
    (f"/collection/document?id={'0' * 64}", 404, "No document has the id"),
    ("/collection/document", 400, "64 hexadecimal digits"), ("/collection/document?id=../x", 400, "64 hexadecimal"),
    ("/collection/document?id=" + "a" * 9000, 400, "64 hexadecimal"),
    ("/collection?q=" + "a" * 501, 400, "501 characters; expected at most 32 and 500"),
    ("/collection?" + "a=1&" * 5000, 200, "3 documents to search"), ("/collection?q=%ff%00%02", 200, "Collection"),
    ("/collection?q=none", 200, "&quot;none&quot; is in none"), ("/collection", 200, "3 documents to search")])
def test_bad_requests_get_a_page_with_a_sentence(server: Server, path: str, status: int, sentence: str) -> None:
    assert sentence in get(server, path, status)


@pytest.mark.parametrize("path", ["/collection?q=" + quote(HOSTILE), "/collection?q=bread",
                                  document_path(HOSTILE, HOSTILE), document_path(HOSTILE, "<b>bread</b>")])
def test_what_comes_from_outside_is_text_and_nothing_else(server: Server, path: str) -> None:
    page = get(server, path)
    assert not re.search(r"<(script|img|b)\b|href=\"javascript", page) and "&lt;script&gt;alert" in page


def test_without_a_model_the_playground_says_so_and_the_collection_is_there(tmp_path: Path) -> None:
    add_clean_documents(tmp_path, ["Dough and wild yeast."])
    with Catalog(tmp_path) as catalog:
        full_text.grow(catalog)
    with serving(tmp_path) as server:
        page = get(server, "/")
        assert "There is no model" in page and "1 document to train on" in page and 'action="/collection"' in page
        assert "1 document found" in get(server, "/collection?q=yeast")
        assert "There is no model" in error_of(send(server, "/v1/completions", {}))
        write_models(tmp_path)
        assert "There is no model" not in get(server, "/")


def test_a_page_may_load_nothing_and_run_nothing(server: Server) -> None:
    response = send(server, "/collection?q=bread")
    page, policy = response.read().decode(), response.headers["Content-Security-Policy"]
    nonce = re.search(r"style-src 'nonce-([\w-]+)'", policy)
    assert nonce and f'<style nonce="{nonce[1]}">' in page and "$" not in page
    assert "default-src 'none'" in policy and "script-src" not in policy and "form-action 'self'" in policy
    assert send(server, "/collection").headers["Content-Security-Policy"] != policy


def test_other_names_and_other_paths_are_rejected(server: Server) -> None:
    assert send(server, "/collection?q=bread", Host="evil.example").status == 403
    assert send(server, "/collection/").status == send(server, "/collections").status == 404
    assert send(server, "/collection", {}).status == 404


def test_too_many_at_once_are_rejected_in_time(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    began, go_on = threading.Event(), threading.Event()

    def slow_answer(*_: object) -> tuple[int, bytes]:
        began.set()
        assert go_on.wait(20)
        return 200, b""

    monkeypatch.setattr(pages, "answer", slow_answer)
    with serving(root) as server:
        server.reading = threading.BoundedSemaphore(1)
        first = threading.Thread(target=send, args=(server, "/collection"))
        first.start()
        assert began.wait(20)
        second = send(server, "/collection")
        assert second.status == 503 and "are searching" in error_of(second)
        go_on.set()
        first.join()
        assert send(server, "/collection").status == 200


def test_without_a_collection_or_an_index_a_sentence_says_so(tmp_path: Path) -> None:
    assert b"There is no" in pages.answer(tmp_path, "/collection?q=a", "n")[1]
    assert b"There is no" in pages.answer(tmp_path, document_path("a"), "n")[1]
    add_clean_documents(tmp_path, ["bread"])
    status, page = pages.answer(tmp_path, "/collection?q=bread", "n")
    assert status == 500 and b"clean.py --index" in page


def test_of_a_long_text_the_beginning_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "MOST_TEXT_CHARS", 10)
    add_clean_documents(tmp_path, ["0123456789abc"])
    page = pages.answer(tmp_path, document_path("0123456789abc"), "n")[1]
    assert b"The first 10 of 13 characters are shown." in page and b">0123456789<" in page


@pytest.mark.browser
@pytest.mark.parametrize(("width", "dark"), [(PHONE, False), (PHONE, True), (1280, False), (1280, True)])
def test_a_person_searches_and_reads(server: Server, chromium: Chromium, width: int, dark: bool) -> None:
    with chromium.open(address(server), width, dark) as view:
        page = view.page

        def check() -> None:
            assert not view.errors and not view.accessibility_faults() and view.overflow_px() == 0

        page.wait_for_load_state("networkidle")  # leaving would break off what is still under way
        page.get_by_role("link", name="Collection").click()
        check()
        page.get_by_role("searchbox").fill("dough")
        page.keyboard.press("Enter")
        page.get_by_text("1 document found").wait_for()
        check()
        page.locator("li a").click()
        passage = page.locator("#passage")
        assert "dough" in passage.inner_text()
        page.get_by_text("What became of it").click()
        page.get_by_text("kept in data/clean/000000.jsonl").wait_for()
        check()
        page.get_by_role("link", name="Playground").click()
        page.get_by_label("Beginning").wait_for()


@pytest.mark.browser
def test_it_works_without_javascript(server: Server, chromium: Chromium) -> None:
    with chromium.open(address(server) + "collection", javascript=False) as view:
        view.page.get_by_role("searchbox").fill("dough")
        view.page.get_by_role("button", name="Search").click()
        view.page.locator("li a").click()
        assert view.page.locator("#passage").bounding_box()
