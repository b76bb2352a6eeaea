"""url_keys.py: which spellings mean one page.   .venv/bin/python3 -m pytest tests/storage/test_url_keys.py"""

import re
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miniature_memory.storage import url_keys
from miniature_memory.storage.url_keys import url_key


@pytest.mark.parametrize("spellings", [
    ["http://a.example/x?b=2&a=1", "http://a.example/x?a=1&b=2", "http://a.example/x?a=1&b=2&utm_source=mail"],
    ["http://a.example/x?print", "http://a.example/x?print="],
    ["http://a.example/x", "http://a.example/x?", "http://a.example/x?fbclid=1", "http://a.example/x?utm_x&gclid=2"],
    ["http://a.example/x?q=a+b", "http://a.example/x?q=a%20b"], ["http://a.example/~me", "http://a.example/%7Eme"],
    ["http://a.example/%e3%81%82", "http://a.example/%E3%81%82"],
    ["http://a.example/p?x=1", "http://a.example/p;jsessionid=1A2B?PHPSESSID=3&x=1",
     "http://a.example/p?aspsessionidab=c&x=1"],
    ["http://a.example/t.php?t=1", f"http://a.example/t.php?s={'0a' * 16}&t=1",
     f"http://a.example/t.php?t=1&SID={'0b' * 16}"]])
def test_spellings_of_one_page_have_one_key(spellings):
    assert len(set(map(url_key, spellings))) == 1


@pytest.mark.parametrize("one, other", [
    ("http://a.example/x", "http://a.example/x/"), ("http://a.example/x?a=1", "http://a.example/x?a=2"),
    ("http://a.example/x", "https://a.example/x"), ("http://a.example/X", "http://a.example/x"),
    ("http://a.example/talk?sessionid=12", "http://a.example/talk?sessionid=13"),
    ("http://a.example/?sid=507f1f77bcf86cd799439011", "http://a.example/"),
    ("http://a.example/a%2Fb", "http://a.example/a/b"), ("http://a.example/x?autm_x=1", "http://a.example/x")])
def test_pages_that_may_differ_have_two_keys(one, other):
    assert url_key(one) != url_key(other)


@given(st.text("aB1.~%2;-/", max_size=12), st.text("ab%2&=+;-?/", max_size=20))
def test_a_key_is_its_own_key(path, query):
    url = f"http://a.example:8080/{path}?{query}"
    assert url_key(url_key(url)) == url_key(url)


@given(st.from_regex(r"https?://[a-z]{1,5}\.example/[a-z.;/-]{0,6}(\?[a-c]=[ab~.]{0,2}(&(a|b|ab|gclid)=[ab-]{0,2}){0,3})?",
                     fullmatch=True))
def test_plain_addresses_have_the_same_key_without_the_short_cut(url):
    if "//" not in url[8:]:
        with mock.patch.object(url_keys, "PLAIN", re.compile("(?!)")):
            expected = url_key(url)
        assert url_key(url) == expected


def test_what_is_no_address_is_its_own_key():
    assert [url_key(text) for text in ("http://[x/", "x")] == ["http://[x/", "x"]
