"""Content types as browsers read them.   .venv/bin/python -m pytest tests/responses/test_media_type.py"""

import time

import pytest

from miniature_memory.responses.media_type import may_be_page, media_type, page_rejection

PNG = b"\x89PNG\r\n\x1a\n\0\0"


@pytest.mark.parametrize("values, found", [
    (["text/html"], ("text/html", "")), (["TEXT/HTML; Charset=ISO-8859-2"], ("text/html", "iso-8859-2")),
    (["text/html;"], ("text/html", "")), ([], ("", "")), ([""], ("", "")), (["html"], ("", "")), (["*/*"], ("", "")),
    (["text/html, text/html; charset=koi8-r"], ("text/html", "koi8-r")),
    (["text/html;charset=a", "*/*"], ("text/html", "a")),
    (["text/html; charset=koi8-r", "text/html"], ("text/html", "koi8-r")),
    (["text/html; charset=koi8-r", "text/plain"], ("text/plain", "")),
    (["text/html, nonsense"], ("text/html", "")),
    (['text/html; a="x,y;charset=z"; charset="utf-8"'], ("text/html", "utf-8")),
    (["text/html; charset='big5'"], ("text/html", "big5")), (['text/html; charset="utf-8'], ("text/html", "utf-8")),
    (["text/html charset=utf-8"], ("", "")), (["text/html; charset=one; charset=two"], ("text/html", "one")),
    (["text/html;charset = utf-8"], ("text/html", "")), (["text/html; charset= ; charset=gbk"], ("text/html", "gbk"))])
def test_what_content_type_says(values, found):
    assert media_type(values) == found


@pytest.mark.parametrize("essence, beginning, reason", [
    ("text/html", PNG, ""), ("application/xhtml+xml", b"", ""), ("", b"<!DOCTYPE html><p>", ""), ("", b"\n <HTML>", ""),
    ("", b"\xef\xbb\xbf<!-- a --><html>", ""), ("", b"<p>Text", ""), ("", "\ufeff<html>".encode("utf-16-le"), ""),
    ("", b"<?xml version='1.0'?>\n<!DOCTYPE html PUBLIC 'a' 'b'><html xmlns='c'>", ""), ("", b"", ""),
    ("", b"Text", "unknown_type"), ("", b"<?xml version='1.0'?><rss>", "unknown_type"),
    ("", b"<pre-x>", "unknown_type"), ("", PNG, "not_html"), ("", b"%PDF-1.4\n\0", "not_html"),
    ("application/octet-stream", b"<!doctype html>", ""), ("application/octet-stream", b"PK\3\4", "not_html"),
    ("application/xml", b"<?xml version='1.0'?><html xmlns='a'>", ""), ("text/xml", b"<feed>", "not_html"),
    ("text/plain", b"Text", "not_html"), ("text/plain", b"<!doctype html>", "unknown_type"),
    ("text/htm", b"<html>", "unknown_type"), ("application/json", b"{}", "not_html"), ("image/png", PNG, "not_html")])
def test_what_is_a_page(essence, beginning, reason):
    assert page_rejection(essence, beginning) == reason


def test_pictures_and_sound_are_not_even_looked_at():
    assert [may_be_page(kind) for kind in ("", "text/plain", "application/x", "image/svg+xml", "audio/mpeg")] == [
        True, True, True, False, False]


@pytest.mark.parametrize("evil", ['"', "a/b;", ";a=\"", ",", "a", "a/a", "a/b;x=\\", 'a/b;charset="\\"'])
def test_no_header_takes_long(evil):
    started = time.process_time()
    media_type([evil * 60_000])
    page_rejection("", evil.encode() * 60_000)
    assert time.process_time() - started < 1
