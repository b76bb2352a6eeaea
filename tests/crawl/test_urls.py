"""urls.py: how a browser spells a URL.   .venv/bin/python3 -m pytest tests/crawl/test_urls.py"""

import re
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miniature_memory.core.text import host_of
from miniature_memory.crawl import urls as url_module
from miniature_memory.crawl.urls import MAX_URL_CHARS, ascii_host, browser_url, joined, target_of


@pytest.mark.parametrize("url", [
    "http://a.example/", "http://a.example/index.php?/forum/3-tea/", "http://a.example/index.php?threads/tea.7/",
    "http://a.example/show?p=tea.git;a=log;h=1", "http://a.example/page.php?12,7", "http://a.example/x?print",
    "http://a.example/x?print=", "http://a.example/x?", "http://a.example/x?b=2&a=1&&c", "http://a.example/x?q=a+b",
    "http://a.example/x?q=a%20b", "http://a.example/%7eme/%e3%81%82%2f", "http://a.example/%zz", "http://a.example//a//",
    "http://a.example/x?utm_source=mail&PHPSESSID=3", "http://a.example/x;jsessionid=1A?b", "http://a.example/a|b[1]",
    "http://a.example:8080/x?u=http://b.example/?c", "http://a.example/(x)!*'$@~,_", "http://[2001:db8::1]:81/x"])
def test_an_address_keeps_its_own_spelling(url):
    assert browser_url(url) == url


@pytest.mark.parametrize("url, expected", [
    ("HTTP://Example.ORG", "http://example.org/"), (" https://example.org:443/a#b ", "https://example.org/a"),
    ("http://user:secret@example.org:8080/", "http://example.org:8080/"), ("http://a.example:/", "http://a.example/"),
    ("HTTP://U:P@Example.COM:80/a/../b;x?b=2&a=1&utm_source=q#f", "http://example.com/b;x?b=2&a=1&utm_source=q"),
    ("http://a.example/a b/ü?q= ü'\"", "http://a.example/a%20b/%C3%BC?q=%20%C3%BC%27%22"),
    ("http://a.example/a\\b\\..\\c", "http://a.example/a/c"), ("http:\\\\a.example\\b?\\c", "http://a.example/b?\\c"),
    ("\x00http://a.exa\tmple/a\r\nb\n", "http://a.example/ab"), ("http:a.example/b", "http://a.example/b"),
    ("http://a.example/./b/%2E%2e/c/.", "http://a.example/c/"), ("http://a.example/../..", "http://a.example/"),
    ("http://a.example?x", "http://a.example/?x"), ("http://a.example/{x}<y>`^", "http://a.example/%7Bx%7D%3Cy%3E%60%5E"),
    ("http://a.example./x", "http://a.example/x"), ("http://[::1]:80/", "http://[::1]/"),
    ("http://[2001:DB8:0::1]/", "http://[2001:db8::1]/"), ("http://0x7f.1/", "http://127.0.0.1/"),
    ("http://2130706433/", "http://127.0.0.1/"), ("http://a.example/\ud800", "http://a.example/%EF%BF%BD"),
    *((url, "") for url in (
        "ftp://example.org/", "javascript:alert(1)", "http://", "http://?x", "", "//a.example/", "a.example/b",
        "http://[::1/", "http://[::1]x/", "http://[fe80::1%25eth0]/", "http://example.org:99999/", "http://a.example:x/",
        "http://exa mple.org/", "http://a..example/", "http://a%00.example/", "http://" + "a." * 1000 + "org/",
        "http://" + "a" * 64 + ".org/", "http://1.2.3.4.5/", "http://300.1.1.1/", "http://a.example/" + "a" * 5000))])
def test_other_addresses_are_spelled_as_browsers_do(url, expected):
    assert browser_url(url) == expected
    assert browser_url(expected) == expected


@pytest.mark.parametrize("href, expected", [
    ("", ""), ("?page=2", "http://a.example/b/c?page=2"), ("?", "http://a.example/b/c?"), ("d", "http://a.example/b/d"),
    ("#top", "http://a.example/b/c?x;y"), ("../../d/", "http://a.example/d/"), ("/d//e", "http://a.example/d//e"),
    ("//c.example", "http://c.example/"), ("\\\\c.example\\d", "http://c.example/d"), ("http:d", "http://a.example/b/d"),
    ("https:d", "https://d/"), ("mailto:me@a.example", ""), (" \n d", "http://a.example/b/d"), ("//", ""),
    ("d?u=../e", "http://a.example/b/d?u=../e"), ("c:d", "")])
def test_a_link_is_resolved_as_browsers_do(href, expected):
    assert joined("http://a.example/b/c?x;y", href) == expected


def test_a_link_that_is_relative_to_nothing_leads_nowhere():
    assert [joined("no address", href) for href in ("/x", "?x", "//b.example/", "http://b.example/")] == [
        "", "", "", "http://b.example/"]


def test_a_query_is_sent_in_the_charset_of_its_page():
    assert joined("http://a.example/", "/ä?q=ä", "windows-1252") == "http://a.example/%C3%A4?q=%E4"
    assert joined("http://a.example/", "?q=☃", "iso-8859-1") == "http://a.example/?q=%26%239731%3B"
    assert joined("http://a.example/", "?q=ä", "no-such-charset") == "http://a.example/?q=%C3%A4"


@pytest.mark.parametrize("host, expected", [
    ("Straße.example", "xn--strae-oqa.example"), ("strasse.example", "strasse.example"),
    ("BÜCHER.example.", "xn--bcher-kva.example"), ("ὀδυσσεύς.example", "xn--pxac3bcak3d8526a.example"),
    ("例え。テスト", "xn--r8jz45g.xn--zckzah"), ("ＦＵＬＬ．example", "full.example"),
    ("مثال.example", "xn--mgbh0fb.example"), ("XN--BCHER-KVA.example", "xn--bcher-kva.example"),
    ("☕.example", "xn--53h.example"), ("i❤️.example", "xn--i-7iq.example"),
    ("b%C3%BCcher.example", "xn--bcher-kva.example"), ("a_b.example", "a_b.example"),
    ("a\u00adb.example", "ab.example"),
    *((host, "") for host in (
        "", ".", "a..b", "a b", "a\u2028b", "a\u0301\u200d.example", "\u0301a.example", "ü" * 70, "א1a.example",
        "a%ff.example", "ⅷ。.example", "\ue000.example", "👩\u200d🍳.example", "a/b", "ü" * 100_000))])
def test_a_host_is_named_as_dns_knows_it(host, expected):
    assert ascii_host(host) == expected


@given(st.from_regex(r"(https?:)?[/\\]{0,3}[a-zA-Z0-9.üß-]{1,20}(:\d{1,5})?/[ -ÿ]{0,40}(\?[ -ÿ]{0,40})?",
                     fullmatch=True))
def test_a_browsers_spelling_is_final(url):
    for spelled in (browser_url(url), joined("https://a.example/b?c", url)):
        assert browser_url(spelled) == spelled and spelled.isascii()
        assert not spelled or spelled == f"{spelled.partition(':')[0]}://{host_of(spelled)}{target_of(spelled)}"


@given(st.from_regex(r"https?://[a-z0-9.-]{1,20}(/[A-Za-z0-9._~(),:@!*'$&+=-]{0,5}){0,4}(\?[a-c=&]{0,9})?",
                     fullmatch=True))
def test_plain_addresses_need_no_change(url):
    if url_module.PLAIN.fullmatch(url):
        with mock.patch.object(url_module, "PLAIN", re.compile("(?!)")):
            assert browser_url(url) in (url, "")  # no host has so long a label, or begins with a dot


@pytest.mark.parametrize("piece", [
    "a", "utm_", "a=&", "/", "/..", "%2e/", "@", ":", "ü", "[", "\\", "?", "#", "\t", " "])
def test_the_length_of_an_address_is_checked_first(piece):
    long = piece * (1_000_000 // len(piece))
    for url in (long, f"http://a.example/{long}", f"http://{long}", f"http://a.example/?{long}",
                f"{long}http://a.example/"):
        for spelled in (browser_url(url), joined("http://a.example/b", url)):
            assert len(spelled) <= MAX_URL_CHARS
