"""urls.py and blocklists.py: spelling and rejection.   .venv/bin/python3 -m pytest tests/crawl/test_urls.py"""

import re
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miniature_memory.core.errors import StageError
from miniature_memory.core.text import host_of
from miniature_memory.crawl import urls as url_module
from miniature_memory.crawl.blocklists import Blocklist, url_rejection
from miniature_memory.crawl.urls import canonical_url


@pytest.mark.parametrize("url, expected", [
    ("HTTP://Example.ORG", "http://example.org/"), (" https://example.org:443/a#b ", "https://example.org/a"),
    ("http://user:secret@example.org:8080/", "http://example.org:8080/"),
    ("HTTP://U:P@Example.COM:80/a/../b;x?b=2&a=1&utm_source=q#f", "http://example.com/b;x?a=1&b=2"),
    ("http://example.org./a?utm_source=x&id=1&fbclid=2", "http://example.org/a?id=1"),
    ("http://example.org/a b/ü?q=%C3%BC", "http://example.org/a%20b/%C3%BC?q=%C3%BC"),
    ("http://a.example/%7eme/%zz?x=%2f", "http://a.example/~me/%zz?x=%2F"),
    ("http://a.example/p;jsessionid=1A2B?PHPSESSID=3&x=1", "http://a.example/p?x=1"),
    ("http://bücher.example./ü", "http://xn--bcher-kva.example/%C3%BC"), ("http://[::1]:80/", "http://[::1]/"),
    *((url, "") for url in (
        "ftp://example.org/", "javascript:alert(1)", "http://", "http:///path", "", "//a.example/", "http://[::1/",
        "http://example.org:99999/", "http://exa mple.org/", "http://" + "a." * 1000 + "org/",
        "http://" + "a" * 64 + ".org/", "http://example.org/" + "a" * 3000))])
def test_a_page_has_one_spelling(url, expected):
    assert canonical_url(url) == expected
    assert canonical_url(expected) == expected


@given(st.from_regex(r"https?://[a-zA-Z0-9.-]{1,20}(:\d{1,5})?/[ -~]{0,40}(\?[ -~]{0,40})?", fullmatch=True))
def test_a_canonical_url_is_its_own_canonical_form(url):
    plain = canonical_url(url)
    assert canonical_url(plain) == plain
    assert not plain or host_of(plain) in plain


@given(st.from_regex(r"https?://[a-z0-9.-]{1,20}(/[A-Za-z0-9._~(),:@!*'$&+=-]{0,5}){0,4}", fullmatch=True))
def test_plain_addresses_need_no_change(url):
    if url_module.PLAIN.fullmatch(url):
        with mock.patch.object(url_module, "PLAIN", re.compile("(?!)")):
            assert canonical_url(url) == url


@pytest.mark.parametrize("url, reason", [
    ("", "bad_url"), ("http://example.org/paper.PDF", "not_html_ending"), ("http://example.org/a.tar.gz?x=1",
     "not_html_ending"), ("http://www.xhamster.com/", "blocked_host"), ("http://books.xxx/", "blocked_host"),
    ("http://pornsite.example/", "blocked_word"), ("http://example.org/free_nsfw_pictures", "blocked_word"),
    ("http://example.org/paper.html", ""), ("http://example.org/a.php?file=b.pdf", ""),
    ("http://sussex.example/essex", ""), ("http://example.org/XXX_Olympiad", "")])
def test_some_urls_are_rejected(url, reason):
    assert url_rejection(url) == reason


@pytest.mark.parametrize("path, reason", [
    ("wiki/Calendar", ""), ("login", "service_page"), ("a/cart/", "service_page"), ("wp-login.php", "service_page"),
    ("search?q=x", "service_page"), ("?s=x", "service_page"), ("x?action=edit&title=A", "service_page"),
    ("research/searching", ""), ("calendar/2024-05", "service_page"), ("a.PDF", "not_html_ending"), ("x?page=2", "")])
def test_service_pages_are_rejected(path, reason):
    assert url_rejection(f"http://a.example/{path}") == reason


@pytest.mark.parametrize("text", ["bad.example\nWorse.Example # why\n",
                                  "127.0.0.1 bad.example\n0.0.0.0\tworse.example\n"])
def test_block_lists_come_in_two_forms(tmp_path, text):
    (tmp_path / "list").write_text("# a list\n\n" + text)
    blocked = Blocklist([tmp_path / "list"])
    assert len(blocked) == 2
    for host, reason in {"bad.example": "blocked_host", "www.worse.example": "blocked_host", "good.example": "",
                         "notbad.example": "", "example": ""}.items():
        assert url_rejection(f"http://{host}/", blocked) == reason


def test_a_missing_block_list_is_an_error(tmp_path):
    with pytest.raises(StageError, match=r"block list .*cannot be read.*search\.blocklists"):
        Blocklist.load(tmp_path, ["none"])
    (tmp_path / "hosts").write_text("bad.example\n")
    assert len(Blocklist.load(tmp_path, ["hosts"])) == 1
