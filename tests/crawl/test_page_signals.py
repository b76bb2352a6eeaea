"""Where pages lead to.   .venv/bin/python -m pytest tests/crawl/test_page_signals.py"""

import time

import pytest

from miniature_memory.crawl.page_signals import links, needs_js, refresh_target
from miniature_memory.crawl.yields import Topic
from miniature_memory.responses.signals import read_signals


@pytest.mark.parametrize("html, shell", [
    ("<div id=app></div><script>run()</script>", True), ("<p>Short page without scripts.", False),
    ("<script>a</script><p>" + "A real sentence. " * 20, False), ("<script>" + "x = 1; " * 90 + "</script><p>Hi", True),
    ("<script type='application/ld+json'>" + "{} " * 300 + "</script><script>b</script>", False),
    ("<noscript>" + "Please turn on scripts in your browser. " * 20 + "</noscript><script>c</script>", True),
    ("<script>never closed" + " text" * 100, True), ("<script src='a'/><p>" + "A real sentence. " * 20, False),
    ("<svg/><script>d</script><p>" + "A real sentence. " * 20, False)])
def test_what_needs_scripts(html, shell):
    assert needs_js(html.encode()) == shell


def links_of(html: bytes, *headers: tuple[str, str], url: str = "http://a.example/x") -> list[str]:
    return list(links(read_signals(headers, html), headers, html, url, Topic([], "en")))


def test_links_are_those_that_robots_may_follow():
    html = b"""<base href="/dir/"><a href="a.html#top">a</a><a href="a.html">again</a>
        <a rel="ugc nofollow" href="b">b</a>
        <a href="javascript:alert(1)">c</a><a href="mailto:x@y.example">d</a>
        <a href="HTTP://B.Example/?utm_source=x">e</a>
        <a href="http://[::1">f</a><a>g</a><a href="">h</a>"""
    assert links_of(html) == ["http://a.example/dir/a.html", "http://b.example/?utm_source=x"]
    assert links_of(b"<meta name=robots content='noai,nofollow'>" + html) == []
    assert links_of(b"<!--<meta name=robots content='noai,nofollow'>-->" + html) != []
    assert links_of(html, ("X-Robots-Tag", "nofollow")) == []
    assert links_of(b"") == []


def test_a_link_promises_what_its_text_its_address_and_its_page_say():
    topic, about = Topic(["bread baking"], "en"), ("All that is new in town tonight", "How to bake a good bread")
    html = b"""<a href="/1">Baking bread at home</a><a href="/2">The news of today</a><a href="/3">More</a>
        <a href="/bread/baking-in-a-pot">More</a><a href="/2">Bread baking today</a>"""
    pages = [f"<html><body><p>{99 * text}</p>".encode() + html for text in about]
    promised = [links(read_signals((), page), (), page, "http://a.example/", topic) for page in pages]
    plain, baking = ({url.rpartition("/")[2]: promise for url, promise in one.items()} for one in promised)
    assert plain["1"] == plain["2"] == plain["baking-in-a-pot"] and len({*plain.values()}) == 2
    assert all(baking[name] > plain[name] for name in plain)


def test_areas_and_frames_lead_on_but_templates_are_no_part_of_a_page():
    html = b"""<map><area href=/town alt=Town><area href=/sea rel=nofollow></map>
        <template><base href=/none/><a href=never>a</a></template><a href=now>b</a>"""
    assert links_of(html) == ["http://a.example/town", "http://a.example/now"]
    frames = b"<html><frameset cols='1,2'><frame src=list.htm><frame name=x><frame src='text.htm#top'></frameset>"
    assert links_of(frames) == ["http://a.example/list.htm", "http://a.example/text.htm"]


@pytest.mark.parametrize("charset, path, query", [
    ("utf-8", "%D1%8F", "%D1%8F"), ("windows-1251", "%D1%8F", "%FF"), ("koi8-r", "%D1%8F", "%D1"),
    ("utf-16le", "%D1%8F", "%D1%8F")])
def test_links_are_read_in_the_encoding_that_the_header_names(charset, path, query):
    words = "Страница о том, как пекут хлеб, и о муке, воде и соли. " * 5
    html = f"<html><p>{words}<a href='/я'>a</a> <a href='/?q=я#я'>b</a>".encode(charset)
    assert links_of(html, ("Content-Type", f"text/html; charset={charset}")) == [
        f"http://a.example/{path}", f"http://a.example/?q={query}"]


@pytest.mark.parametrize("content, target", [
    ("0; url=/en/", "http://a.example/en/"), ("3;en", "http://a.example/x/en"), ("0; url=//b.example", "http://b.example/"),
    ("0; url=/x/page", ""), ("0; url=#top", ""), ("0; url=?", "http://a.example/x/page?"),
    ("0; url=javascript:go()", ""), ("600", ""),
    ("0; url=http://[", ""), ("0; url=data:text/html,x", "")])
def test_where_a_page_sends_its_readers(content, target):
    url = "http://a.example/x/page"
    assert refresh_target(read_signals([("Refresh", content)], b""), url) == target
    html = f'<meta http-equiv="refresh" content="{content}">'.encode()
    assert refresh_target(read_signals([], html), url) == target
    if content == "3;en":
        assert refresh_target(read_signals([], b"<base href='/y/'>" + html), url) == "http://a.example/y/en"


@pytest.mark.parametrize("evil", [b"<script ", b"<script>", b"<meta ", b"<", b"<meta name=\"", b"</script ",
                                  b"<a href=x"])
def test_no_page_takes_long_to_look_at(evil):
    page, started = evil * (250_000 // len(evil)), time.process_time()
    needs_js(page)
    assert time.process_time() - started < 1
