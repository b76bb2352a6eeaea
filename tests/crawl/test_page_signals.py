"""What pages say to robots."""

import time

import pytest

from miniature_memory.crawl.page_signals import links, needs_js, rejection, robots_forbid_training

US = "miniature-memory"


@pytest.mark.parametrize("headers, reason", [
    ([], ""), ([("X-Robots-Tag", "noindex")], "noindex"), ([("x-robots-tag", "NoArchive, NONE")], "noindex"),
    ([("X-Robots-Tag", "noarchive"), ("X-Robots-Tag", "noai, noimageai")], "noai"),
    ([("X-Robots-Tag", "otherbot: noindex, noai")], ""), ([("X-Robots-Tag", "miniature-memory: noindex")], "noindex"),
    ([("X-Robots-Tag", "otherbot: noai, miniature-memory: noarchive")], ""),
    ([("X-Robots-Tag", "unavailable_after: Wed, 25 Jun 2025 15:00:00 GMT, noindex")], "noindex"),
    ([("X-Robots-Tag", "unavailable_after: 25 Jun 2030 15:00:00 GMT, noindex")], "noindex"),
    ([("X-Robots-Tag", "noimageindex, nofollow, indexifembedded")], ""), ([("TDM-Reservation", "1")], "noai"),
    ([("TDM-Reservation", "0")], ""), ([("Content-Usage", "train-ai=n")], "noai"),
    ([("Content-Signal", "search=yes, ai-train=no")], "noai"), ([("Content-Signal", "ai-train=yes")], "")])
def test_what_headers_say(headers, reason):
    assert rejection(headers, b"<p>text", US) == reason


@pytest.mark.parametrize("html, reason", [
    (b"<meta name=robots content=noindex>", "noindex"), (b"<META CONTENT='follow,NOAI' NAME='Robots'>", "noai"),
    (b'<meta property="og:title" content="noindex">', ""), (b'<meta name="googlebot" content="noindex">', ""),
    (b'<meta name="miniature-memory" content="noindex"/>', "noindex"),
    (b"<meta name='tdm-reservation' content=1>", "noai"),
    (b'<meta name="robots"\ncontent="index, max-snippet:-1">', ""), (b"<p>noindex, noai", ""), (b"\xff\x00<meta", "")])
def test_what_pages_say(html, reason):
    assert rejection([], html, US) == reason


@pytest.mark.parametrize("text, forbidden", [
    ("User-agent: *\nContent-Signal: ai-train=no", True), ("User-agent: *\nContent-Signal: ai-train=yes", False),
    ("Content-signal: ai-train=no # all of it", True), ("User-agent: a\nContent-Signal: ai-train=no", False),
    ("User-agent: a\nUser-agent: Miniature-Memory\nContent-Usage: train-ai=n\n\nUser-agent: *\nAllow: /", True),
    ("User-agent: miniature-memory\nAllow: /\n\nUser-agent: *\nContent-Signal: ai-train=no", False), ("", False)])
def test_what_robots_txt_says_about_training(text, forbidden):
    assert robots_forbid_training(text, US) == forbidden


@pytest.mark.parametrize("html, shell", [
    ("<div id=app></div><script>run()</script>", True), ("<p>Short page without scripts.", False),
    ("<script>a</script><p>" + "A real sentence. " * 20, False), ("<script>" + "x = 1; " * 90 + "</script><p>Hi", True),
    ("<script type='application/ld+json'>" + "{} " * 300 + "</script><script>b</script>", False),
    ("<noscript>" + "Please turn on scripts in your browser. " * 20 + "</noscript><script>c</script>", True),
    ("<script>never closed" + " text" * 100, True)])
def test_what_needs_scripts(html, shell):
    assert needs_js(html.encode()) == shell


def test_links_are_those_that_robots_may_follow():
    html = b"""<base href="/dir/"><a href="a.html#top">a</a><a href="a.html">again</a>
        <a rel="ugc nofollow" href="b">b</a>
        <a href="javascript:alert(1)">c</a><a href="mailto:x@y.example">d</a>
        <a href="HTTP://B.Example/?utm_source=x">e</a>
        <a href="http://[::1">f</a><a>g</a><a href="">h</a>"""
    assert links([], html, "http://a.example/x", US) == ["http://a.example/dir/a.html", "http://b.example/?utm_source=x"]
    assert links([], b"<meta name=robots content='noai,nofollow'>" + html, "http://a.example/", US) == []
    assert links([("X-Robots-Tag", "nofollow")], html, "http://a.example/", US) == []
    assert links([], b"", "http://a.example/", US) == []


@pytest.mark.parametrize("evil", [b"<script ", b"<script>", b"<meta ", b"<", b"<meta name=\"", b"</script ",
                                  b"<a href=x"])
def test_no_page_takes_long_to_look_at(evil):
    page, started = evil * (250_000 // len(evil)), time.process_time()
    needs_js(page), rejection([], page, US)
    assert time.process_time() - started < 1
