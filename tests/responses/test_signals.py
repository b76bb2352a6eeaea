"""What pages say to robots.   .venv/bin/python -m pytest tests/responses/test_signals.py"""

import time

import pytest

from miniature_memory.responses.signals import names_us, read_signals

NOINDEX = "<meta name=robots content=noindex>"


def rejection(body: str = "", *headers: tuple[str, str], encoding: str = "utf-8") -> str:
    return read_signals(headers, body.encode(encoding)).rejection


@pytest.mark.parametrize("headers, reason", [
    ([], ""), ([("X-Robots-Tag", "noindex")], "noindex"), ([("x-robots-tag", "NoArchive, NONE")], "noindex"),
    ([("X-Robots-Tag", "noarchive"), ("X-Robots-Tag", "noai, noimageai")], "noai"),
    ([("X-Robots-Tag", "otherbot: noindex, noai")], ""), ([("X-Robots-Tag", "miniature-memory: noindex")], "noindex"),
    ([("X-Robots-Tag", "otherbot: noai, miniature-memory: noarchive")], ""),
    ([("X-Robots-Tag", "Miniature-Memory/0.1 : noarchive; noindex")], "noindex"),
    ([("X-Robots-Tag", "miniature-memory-news: noindex")], ""), ([("X-Robots-Tag", "mini: noindex")], ""),
    ([("X-Robots-Tag", "otherbot: noindex"), ("X-Robots-Tag", "noindex")], "noindex"),
    ([("X-Robots-Tag", "unavailable_after: Wed, 25 Jun 2025 15:00:00 GMT, noindex")], "noindex"),
    ([("X-Robots-Tag", "unavailable_after: 25 Jun 2030 15:00:00 GMT, noindex")], "noindex"),
    ([("X-Robots-Tag", "noimageindex, nofollow, indexifembedded")], ""), ([("TDM-Reservation", "1")], "noai"),
    ([("TDM-Reservation", "0")], ""), ([("Content-Usage", "train-ai=n")], "noai"),
    ([("Content-Signal", "search=yes, ai-train=no")], "noai"), ([("Content-Signal", "ai-train=yes")], "")])
def test_what_headers_say(headers, reason):
    assert rejection("<p>text", *headers) == reason


@pytest.mark.parametrize("page, reason", [
    (NOINDEX, "noindex"), ("<META CONTENT='follow,NOAI' NAME='Robots'>", "noai"),
    ('<meta property="og:title" content="noindex">', ""), ('<meta name="googlebot" content="noindex">', ""),
    ('<meta name="miniature-memory" content="noindex"/>', "noindex"),
    ('<meta name="miniature" content="noindex"/>', ""), ("<meta name='tdm-reservation' content=1>", "noai"),
    ('<meta name="robots"\ncontent="index, max-snippet:-1">', ""), ("<p>noindex, noai", ""), ("<meta", ""),
    ("<meta name=robots content='no&#105;ndex'>", "noindex"),
    ("<meta name='&#x72;obots' content='noindex'>", "noindex"),
    ("<meta/name='robots'/content='noindex'>", "noindex"), ("<meta name = robots content = 'a>b, noindex'>", "noindex"),
    ("<meta data-x='\">' name=robots content=noindex>", "noindex"), ("<p title=it's>" + NOINDEX, "noindex"),
    ("<meta name=robots content=index><meta name=robots content=noindex>", "noindex"),
    ("<meta name=robots content=index content=noindex>", ""), ("<!-->" + NOINDEX, "noindex"),
    ("<!-- a --!>" + NOINDEX, "noindex"), ("</p><p></div/>" + NOINDEX, "noindex"),
    ("<svg><path/></svg>" + NOINDEX, "noindex"), ("<meta name=robots content=noindex/>", "noindex"),
    ("<svg><style/><title/></svg>" + NOINDEX, "noindex"), ("<svg/><style/>" + NOINDEX + "</style>", ""),
    ("<math></math><title/>" + NOINDEX + "</title>", ""),
    (f"<meta data-x='{'x' * 3000}' name=robots content=noindex>", "noindex"),
    ("<script><!-- </script>" + NOINDEX, "noindex"), ("<script><!--><script></script>" + NOINDEX, "noindex"),
    ("<script>'<!-- <script>'; --></script>" + NOINDEX, "noindex"),
    ("<script><!-- <script></script> </script>" + NOINDEX, "noindex"),
    ("<script>'<script>'</script>" + NOINDEX, "noindex"),
    ("<script>'</script'</script >" + NOINDEX, "noindex"), ("<title>a</title>" + NOINDEX, "noindex")])
def test_what_pages_say(page, reason):
    assert rejection(f"<html><head>{page}</head><body><p>Text.</body></html>") == reason
    assert rejection(f"<html><head>{'<style>p {}</style>' * 9000}{page}") == reason
    assert rejection(f"<body><p>Text.</p>{page}") == reason


@pytest.mark.parametrize("before, after", [
    ("<!-- ", " -->"), ("<script>let a = '", "';</script>"), ("<style>/*", "*/</style>"), ("<title>", "</title>"),
    ("<textarea>", "</textarea>"), ("<TEXTAREA rows=1>", "</textarea\n>"), ("<template><p>", "</template>"),
    ("<noscript>", "</noscript>"), ("<iframe>", "</iframe>"), ("<xmp>", "</xmp>"), ("<p title='", "'>"),
    ('<p title = "', '">'), ("<![CDATA[", "]]>"), ("<?php ", "?>"), ("<p &lt;", ""), ("<plaintext>", ""),
    ("<a href='", ""), ("<script><!-- <script> </script>", "--></script>"),
    ("<script><!-- <!-- <script></scripts></script >", "</script>")])
def test_a_browser_has_no_element_there(before, after):
    page = before + ("meta name=robots content=noindex>" if "&lt;" in before else NOINDEX) + after
    assert rejection(f"<html><head>{page}</head><body><p>Text.") == ""
    if after:
        assert rejection(f"<html><head>{page}</head><body>{NOINDEX}") == "noindex"


def test_in_xhtml_a_script_may_be_closed_at_once():
    page = '<html><head><script src="a.js"/><title/><meta name="robots" content="noindex"/></head><body/></html>'
    for kind, reason in (("application/xhtml+xml", "noindex"), ("text/xml", "noindex"), ("text/html", "")):
        assert rejection(page, ("Content-Type", kind)) == reason


def test_signals_are_read_in_the_encoding_of_the_page():
    page = f"<html><head>{NOINDEX}</head><body><p>Text."
    assert rejection("\ufeff" + page, encoding="utf-16-le") == "noindex"
    assert rejection(page, ("Content-Type", "text/html; charset=utf-16be"), encoding="utf-16-be") == "noindex"


@pytest.mark.parametrize("content, url", [
    ("0; url=/a", "/a"), ("0;URL='/a b'", "/a b"), ('5, "/a"tail', "/a"), ("0 /a", "/a"), (" 0.5 ; url = /a ", "/a"),
    (".5;a", "a"), ("30;url=a", "a"), ("31;url=a", ""), ("3600;url=a", ""), ("5", ""), ("0;", ""), ("0;url=", ""),
    ("url=/a", ""), ("soon; url=/a", ""), ("0; url", "url"), ("0;urlx", "urlx"), ("", "")])
def test_a_refresh_leads_elsewhere(content, url):
    assert read_signals([("Refresh", content)], b"").refresh == url
    quoted = content.replace('"', "&quot;")
    assert read_signals([], f'<META HTTP-EQUIV=Refresh CONTENT="{quoted}">'.encode()).refresh == url


def test_a_refresh_for_readers_without_scripts_is_none():
    assert read_signals([], b"<noscript><meta http-equiv=refresh content='0;url=/no-js'></noscript>").refresh == ""


@pytest.mark.parametrize("name, ours", [
    ("miniature-memory", True), ("Miniature-Memory/0.1 (+mail@a.example)", True), ("miniature-memory*", True),
    ('"miniature-memory/0.1"', True), ("*miniature-memory*", True), ("otherbot, miniature-memory", True),
    ("Mozilla/5.0 (compatible; miniature-memory/0.1)", True), ("miniature", False), ("mini", False), ("*", False),
    ("miniature-memory-news", False), ("my-miniature-memory", False), ("miniature-memory_2", False),
    ("otherbot (+https://a.example/miniature-memory)", False), ("miniature-memory.example", False), ("", False)])
def test_our_name_is_a_whole_word(name, ours):
    assert names_us(name) == ours


@pytest.mark.parametrize("evil", [
    "<meta ", "<meta &#1;", '<meta "', "<", "<!--", "<!-", "</", "<script>", "<title>", "<a href='", "<a b=c ", "<a =",
    "<script><!--", "<script><!--<script>", "<template>", "<meta/", "<![CDATA[", "<meta refresh>",
    "<meta http-equiv=refresh content='0 " + " " * 90 + "'>",
    "<meta name=robots content='" + "&" * 50 + "'>", "<meta http-equiv=refresh content='0;" + "url=" * 90 + "'>"])
def test_no_page_takes_long_to_look_at(evil):
    page, started = evil * (1_000_000 // len(evil)) + NOINDEX, time.process_time()
    read_signals([("X-Robots-Tag", "a:" * 30_000), ("Refresh", "0" * 60_000)], page.encode())
    assert time.process_time() - started < 1
