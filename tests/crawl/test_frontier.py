"""frontier.py: which URLs are next.   .venv/bin/python3 -m pytest tests/crawl/test_frontier.py"""

from __future__ import annotations

import re
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miniature_memory.core.errors import StageError
from miniature_memory.core.text import host_of
from miniature_memory.crawl import urls
from miniature_memory.crawl.blocklists import Blocklist, url_refusal
from miniature_memory.crawl.frontier import add_url, count_due, due_urls
from miniature_memory.crawl.urls import canonical_url
from miniature_memory.storage import backoffs
from miniature_memory.storage.catalog import Catalog


@pytest.fixture
def catalog(tmp_path):
    with Catalog(tmp_path) as catalog:
        yield catalog


def fill(catalog: Catalog, **hosts: int) -> None:
    with catalog.record():
        for host, n in hosts.items():
            for k in range(n):
                assert add_url(catalog, f"http://{host}.example/{k}", "test") == ""


def test_hosts_take_turns(catalog):
    fill(catalog, a=9, b=2, c=5)
    turns = [row["host"][0] for row in due_urls(catalog, 12, 4)]
    assert turns[:6] == ["a", "b", "c", "a", "b", "c"] and sorted(turns[6:]) == ["a", "a", "c", "c"]
    assert len(due_urls(catalog, 5, 4)) == 5
    assert len(due_urls(catalog, 5, 4, ["a.example"])) == 9 + 5


def test_one_large_host_fills_what_the_small_ones_leave(catalog):
    fill(catalog, large=200, **{f"h{n}": 1 for n in range(30)})
    rows = due_urls(catalog, 100, 50)
    assert len(rows) == 80 and sum(row["host"] == "large.example" for row in rows) == 50


def test_hosts_know_when_their_first_url_is_due(catalog):
    fill(catalog, a=3)
    for due_at in (50.0, 70.0, None):
        with catalog.record():
            catalog.execute("UPDATE urls SET due_at = ? WHERE url LIKE '%/0'", [due_at])
            catalog.execute("UPDATE urls SET due_at = 90 WHERE url NOT LIKE '%/0'")
        assert catalog.value("SELECT due_at FROM hosts") == (due_at or 90)
    with catalog.record():
        catalog.execute("UPDATE urls SET due_at = NULL")
    assert catalog.value("SELECT due_at FROM hosts") is None and due_urls(catalog, 9, 9) == []


def test_closed_hosts_wait(catalog):
    fill(catalog, a=2, b=2)
    with catalog.record():
        backoffs.extend(catalog, "host", "a.example", 60, "http_429")
    assert {row["host"] for row in due_urls(catalog, 9, 9)} == {"b.example"}


def test_only_some_urls_of_a_host_count(catalog):
    fill(catalog, a=9, b=1)
    assert count_due(catalog, 100, 4) == 5 and count_due(catalog, 3, 4) == 4


# --- blocklists.py -------------------------------------------------------------------------------------


@pytest.mark.parametrize("url, canonical", [
    ("HTTP://U:P@Example.COM:80/a/../b;x?b=2&a=1&utm_source=q#f", "http://example.com/b;x?a=1&b=2"),
    ("https://example.com", "https://example.com/"), ("http://a.example/%7eme/%zz?x=%2f", "http://a.example/~me/%zz?x=%2F"),
    ("http://a.example/p;jsessionid=1A2B?PHPSESSID=3&x=1", "http://a.example/p?x=1"), ("http://[::1]:80/", "http://[::1]/"),
    ("http://müller.example./ü", "http://xn--mller-kva.example/%C3%BC"), ("http://a.example:99999/", ""),
    ("http://" + ".".join("a" * 1000) + "/", ""), ("http://" + "a" * 64 + ".example/", ""), ("ftp://a.example/", ""),
    ("http://a.example/" + "x" * 3000, ""), ("javascript:alert(1)", ""), ("http://a b.example/", ""),
    ("//a.example/", "")])
def test_one_spelling_for_each_page(url, canonical):
    assert canonical_url(url) == canonical


@given(st.from_regex(r"https?://[a-zA-Z0-9.-]{1,20}(:\d{1,5})?/[ -~]{0,40}(\?[ -~]{0,40})?", fullmatch=True))
def test_a_canonical_url_is_its_own_canonical_form(url):
    plain = canonical_url(url)
    assert canonical_url(plain) == plain
    assert not plain or host_of(plain) in plain


@given(st.from_regex(r"https?://[a-z0-9.-]{1,20}(/[A-Za-z0-9._~(),:@!*'$&+=-]{0,5}){0,4}", fullmatch=True))
def test_plain_addresses_need_no_change(url):
    if urls._PLAIN.fullmatch(url):
        with mock.patch.object(urls, "_PLAIN", re.compile("(?!)")):
            assert canonical_url(url) == url


@pytest.mark.parametrize("path, reason", [
    ("wiki/Calendar", ""), ("login", "service_page"), ("a/cart/", "service_page"), ("wp-login.php", "service_page"),
    ("search?q=x", "service_page"), ("?s=x", "service_page"), ("x?action=edit&title=A", "service_page"),
    ("research/searching", ""), ("calendar/2024-05", "service_page"), ("a.PDF", "not_html_ending"), ("x?page=2", "")])
def test_service_pages_are_refused(path, reason):
    assert url_refusal(f"http://a.example/{path}") == reason


@pytest.mark.parametrize("text", ["bad.example\nWorse.Example # why\n",
                                  "127.0.0.1 bad.example\n0.0.0.0\tworse.example\n"])
def test_block_lists_come_in_two_forms(tmp_path, text):
    (tmp_path / "list").write_text("# a list\n\n" + text)
    blocked = Blocklist([tmp_path / "list"])
    assert len(blocked) == 2
    for host, reason in {"bad.example": "blocked_host", "www.worse.example": "blocked_host", "good.example": "",
                         "notbad.example": "", "example": ""}.items():
        assert url_refusal(f"http://{host}/", blocked) == reason


def test_a_missing_block_list_is_an_error(tmp_path):
    with pytest.raises(StageError, match=r"block list .*cannot be read.*search\.blocklists"):
        Blocklist([tmp_path / "none"])
