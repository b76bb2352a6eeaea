"""Feeds and sitemaps as people publish them.   .venv/bin/python -m pytest tests/providers/test_feed_reader.py"""

import gzip
import io
import json
import random
from collections.abc import Callable, Iterator
from html import escape

import feedparser
import pytest

from miniature_memory.providers import feed_markup
from miniature_memory.providers.feed_markup import CutOff, attributes_of, unescaped, utf8_blocks
from miniature_memory.providers.feed_reader import MAX_ADDRESSES, Listing

URL = "http://a.example/news/feed"


def read(data: str | bytes) -> Listing:
    """A file read whole, and byte by byte, which must make no difference."""
    raw = data.encode() if isinstance(data, str) else data
    listing, slowly = Listing(URL), Listing(URL)
    listing.read(iter([raw]))
    slowly.read(raw[n:n + 1] for n in range(len(raw)))
    assert listing == slowly
    return listing


def urlset(*addresses: str) -> str:
    return "<urlset>" + "".join(f"<url><loc>{address}</loc></url>" for address in addresses) + "</urlset>"


def rss(*items: str) -> str:
    return "<rss version='2.0'><channel>" + "".join(f"<item>{item}</item>" for item in items) + "</channel></rss>"


def atom(*entries: str, root: str = "") -> str:
    inner = "".join(f"<entry>{entry}</entry>" for entry in entries)
    return f"<feed xmlns='http://www.w3.org/2005/Atom'{root}>{inner}</feed>"


# --- addresses -----------------------------------------------------------------------------------


@pytest.mark.parametrize("written, meant", [
    ("http://b.example/q?part=3&region=eu", "http://b.example/q?part=3&region=eu"),
    ("http://b.example/q?a=1&sect=2&amp;deg=4&para", "http://b.example/q?a=1&sect=2&deg=4&para"),
    ("http://b.example/bread&butter", "http://b.example/bread&butter"),
    ("http://b.example/na&iuml;ve&#x2F;&#50;", "http://b.example/naïve/2"),
    ("\n    http://b.example/1\n  &nbsp;", "http://b.example/1"),
    ("<![CDATA[ http://b.example/1?a=1&b=2 ]]>", "http://b.example/1?a=1&b=2"),
    ("http://b.example/<!-- the second one -->2", "http://b.example/2"),
    ("HTTPS://B.example/1", "HTTPS://B.example/1"), ("http://b.example/a b", "http://b.example/a b"),
    ("/1", "http://a.example/1"), ("//c.example/1", "http://c.example/1"),
    ("a.example/1", "http://a.example/1"), ("www.c.example/1", "http://www.c.example/1")])
@pytest.mark.parametrize("form", [urlset, lambda address: rss(f"<link>{address}</link>")])
def test_an_address_is_taken_as_it_is_meant(written: str, meant: str, form: Callable[[str], str]) -> None:
    assert read(form(written)).pages == [meant]


@pytest.mark.parametrize("written", [
    "", "None", "undefined", "#top", "mailto:me@b.example", "http:/1", "https//b.example/1", "http://",
    "${host}/1", "http://b.example/1 http://b.example/2", "http://b.example/1\nhttp://b.example/2",
    "http://b.example/1<br>2", "http://b.example/1<i>2</i>", "&lt;a href='http://b.example/'&gt;", "one page",
    "http://b.example/" + "1" * 9000])
@pytest.mark.parametrize("form", [urlset, lambda address: rss(f"<link>{address}</link>")])
def test_no_address_is_invented(written: str, form: Callable[[str], str]) -> None:
    assert read(form(written)).pages == []


def test_a_sitemap_has_no_relative_addresses_and_a_feed_may() -> None:
    assert read(urlset("posts/1.html", "undefined/about")).pages == []
    assert read(rss("<link>posts/1.html</link>")).pages == ["http://a.example/news/posts/1.html"]


@pytest.mark.parametrize("text, meant", [
    ("&amp;&eacute;&#233;&#xe9;&#150;", "&ééé–"), ("&copy=1&lang;&nosuch;&;&#;&#x;", "&copy=1⟨&nosuch;&;&#;&#x;"),
    ("&amp;amp;", "&amp;"), ("&" * 9, "&" * 9)])
def test_references_are_decoded_once_and_only_with_their_semicolon(text: str, meant: str) -> None:
    assert unescaped(text) == meant


def test_attributes_in_their_odd_forms() -> None:
    assert attributes_of(b" HREF = 'a' rel=alternate title=\"b='c' href='no'\" href=\"d\" checked") == {
        "href": b"a", "rel": b"alternate", "title": b"b='c' href='no'"}


# --- cut off, garbled, packed --------------------------------------------------------------------

TWO = urlset("http://b.example/first", "http://b.example/second")
PACKED = gzip.compress(TWO.encode(), mtime=0)  # a name of a test must not tell the time


@pytest.mark.parametrize("missing", range(1, len("</loc></url></urlset>") + 12))
def test_what_is_cut_off_is_not_taken(missing: int) -> None:
    is_whole = missing <= len("</url></urlset>")
    assert read(TWO[:-missing]).pages == ["http://b.example/first", "http://b.example/second"][:1 + is_whole]


@pytest.mark.parametrize("feed", [
    rss("<link>http://b.example/1</link>", "<guid>http://b.example/?p=2</guid><title>")[:-24],
    rss("<link>http://b.example/1</link>", "<link>http://b.example/2<pubDate>now</pubDate></link>"),
    rss("<link>http://b.example/1</link>", "<link>http://b.example/2"),
    rss("<link>http://b.example/1</link>", "<link/>http://b.example/2</link>")])
def test_a_feed_that_is_cut_off_or_garbled(feed: str) -> None:
    assert read(feed).pages == ["http://b.example/1"]


def test_a_field_within_another_one_shows_that_this_is_not_closed() -> None:
    assert read(rss("<title>One<link>http://b.example/1</link>", "<title>Two<br>lines<guid>http://b.example/2</guid>",
                    "<source><title>no<link>http://b.example/3</link></source>")).pages == [
        "http://b.example/1", "http://b.example/2"]
    assert read("<urlset><url><priority>1.0<loc>http://b.example/1</loc>").pages == ["http://b.example/1"]


@pytest.mark.parametrize("data, pages", [
    (PACKED, 2), (gzip.compress(PACKED, mtime=0), 2), (PACKED + PACKED, 4), (PACKED + b"\0" * 9, 2),
    (gzip.compress(TWO[:60].encode(), mtime=0) + gzip.compress(TWO[60:].encode(), mtime=0), 2),
     (PACKED[:-8], 2), (PACKED[:12], 0), (b"\x1f\x8bno", 0)])
def test_packed_sitemaps(data: bytes, pages: int) -> None:
    assert len(read(data).pages) == pages


def test_the_last_line_of_a_packed_list_that_is_cut_off_is_not_taken() -> None:
    lines = [f"http://b.example/{n * 7919 % 10007}" for n in range(99)]
    pages = read(gzip.compress("\n".join(lines).encode())[:-50]).pages
    assert 9 < len(pages) < 99 and pages == lines[:len(pages)]


def test_what_came_before_the_connection_broke_is_kept() -> None:
    def pieces() -> Iterator[bytes]:
        yield TWO[:-30].encode()
        raise ConnectionResetError
    listing = Listing(URL)
    with pytest.raises(ConnectionResetError):
        listing.read(pieces())
    assert listing.pages == ["http://b.example/first"]


@pytest.mark.parametrize("data", [
    "\ufeff" + TWO, "\n\n \ufeff" + TWO, "<?xml version='1.0' encoding='UTF-16'?>" + TWO,
    ("<?xml version='1.0' encoding='utf-8'?>" + TWO).encode("utf-16"), TWO.encode("utf-16-le"), TWO.encode("utf-16-be"),
    TWO.encode("utf-32"), "<?xml version='1.0'>" + TWO, "<?xml-stylesheet href='a>b'?>" + TWO,
    "Deprecated: old call in /srv/map.php on line 3\n" + TWO, "<br />\n<b>Notice</b>: a < b <br />\n" + TWO,
    "<!DOCTYPE html>\n" + TWO, TWO.upper().replace("HTTP://B.EXAMPLE/FIRST", "http://b.example/first").replace(
        "HTTP://B.EXAMPLE/SECOND", "http://b.example/second"), TWO.replace("</url>", ""),
    TWO.replace("<urlset>", "<urlset xmlns='http://www.google.com/schemas/sitemap/0.84'>"),
    TWO.replace("<", "<m:").replace("<m:/", "</m:"), TWO.replace("<url>", "").replace("</url>", ""),
    TWO.replace("</loc></url><url><loc>", "</loc><loc>")])
def test_what_is_odd_around_the_addresses_costs_none(data: str | bytes) -> None:
    assert read(data).pages == ["http://b.example/first", "http://b.example/second"]


@pytest.mark.parametrize("label, codec", [("iso-8859-1", "latin-1"), ("iso-8859-1", "utf-8"), ("utf-8", "cp1252"),
                                          ("utf-16", "utf-8"), ("windows-1252", "cp1252"), ("no-such", "utf-8")])
def test_encodings_and_wrong_labels(label: str, codec: str) -> None:
    data = f"<?xml version='1.0' encoding='{label}'?>" + urlset("http://b.example/grün")
    assert read(data.encode(codec)).pages == ["http://b.example/grün"]


def test_the_label_counts_for_what_is_not_utf_8() -> None:
    data = "<?xml version='1.0' encoding='koi8-r'?>" + urlset("http://b.example/хлеб")
    assert read(data.encode("koi8-r")).pages == ["http://b.example/хлеб"]
    assert read(urlset("http://b.example/").encode("ascii").replace(b"e/", b"e/\x81\x9d")).pages == []


# --- sitemaps ------------------------------------------------------------------------------------


def test_only_the_address_of_the_page_itself_counts() -> None:
    extras = ("<image:image><image:loc>http://no.example/1</image:loc><loc>http://no.example/2</loc></image:image>"
              "<video:video><video:player_loc>http://no.example/3</video:player_loc></video:video>"
              "<xhtml:link rel='alternate' hreflang='de' href='http://no.example/4'/>")
    data = f"<urlset><!-- <url><loc>http://no.example/0</loc></url> --><url>{extras}<loc>http://b.example/</loc></url>"
    assert read(data).pages == ["http://b.example/"]


def test_an_index_may_name_pages_and_a_sitemap_other_sitemaps() -> None:
    index = read("<sitemapindex><sitemap><loc>/old.xml</loc><lastmod>2020-01-01</lastmod></sitemap>"
                 "<url><loc>/page</loc></url></sitemapindex>")
    assert (index.pages, index.sitemaps) == (["http://a.example/page"], [("2020-01-01", "http://a.example/old.xml")])
    mixed = read("<urlset><sitemap><loc>/1</loc></sitemap><url><loc>/2.xml.gz</loc></url><url><loc>/3</loc></url>")
    assert (mixed.pages, [url for _, url in mixed.sitemaps]) == (
        ["http://a.example/3"], ["http://a.example/1", "http://a.example/2.xml.gz"])


@pytest.mark.parametrize("data", [
    "http://b.example/1\nhttp://b.example/2",
    "\ufeffhttp://b.example/1\r\n\r\nno address\r\nhttp://b.example/2 0.8\r\n",
    "http://b.example/1\rhttp://b.example/2\r", "http://b.example/1\r\nhttp://b.example/2".encode("utf-16")])
def test_sitemaps_as_text(data: str | bytes) -> None:
    listing = read(data)
    assert listing.pages == ["http://b.example/1", "http://b.example/2"] and listing.kind == "sitemap"


def test_a_text_that_mentions_addresses_is_no_sitemap() -> None:
    listing = read("An essay.\nIt has lines.\nhttp://b.example/1\n")
    assert listing.kind == "" and listing.pages == ["http://b.example/1"]


# --- feeds ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("feed", [
    rss("<guid isPermaLink='true'>http://b.example/?p=7</guid><title>a<br>b</title><link>http://b.example/1</link>"),
    rss("<guid isPermaLink='False'>http://b.example/x</guid><enclosure url='http://b.example/x'/>",
        "<guid>http://b.example/1</guid>", "<guid>77</guid>"),
    rss("<description><p>a <link>http://no.example/</link><b></description><link>http://b.example/1</link>"),
    rss("<atom:link rel='self' href='http://no.example/'/><link>http://b.example/1</link>"),
    rss("<a10:link rel='alternate' href='http://b.example/1'/>"),
    rss("<image><url>http://no.example/</url></image><link><![CDATA[http://b.example/1]]></link>"),
    "<rdf:RDF xmlns='http://purl.org/rss/1.0/'><channel><link>http://no.example/</link></channel><image><url>http://no"
    ".example/</url></image><item rdf:about='http://no.example/'><link>http://b.example/1</link></item></rdf:RDF>",
    "<!DOCTYPE rss PUBLIC '-//Netscape//DTD RSS 0.91//EN' 'http://no.example/rss.dtd'>" + rss(
        "<title>caf&eacute; & <3</title><link>http://b.example/1</link>"),
    atom("<link rel='edit' href='http://no.example/'/><link REL=' Alternate ' HREF='http://b.example/1'/>"),
    atom("<link rel='alternate' type='application/json' href='/no'/><link type='text/html' href='http://b.example/1'/>"),
    atom("<source><link href='http://no.example/'/></source><id>http://no.example/</id><link rel='http://www.iana.org/"
         "assignments/relation/alternate' href='http://b.example/1'/>"),
    json.dumps({"version": "https://jsonfeed.org/version/1.1", "items": [
        {"id": "1", "url": "http://b.example/1", "content_html": "<p>text"}, {"id": "2"}, {"url": 7}, None]})])
def test_feeds_in_their_odd_forms(feed: str) -> None:
    listing = read(feed)
    assert listing.pages == ["http://b.example/1"] and listing.kind == "feed"


def test_where_rss_sets_a_base_its_addresses_are_relative() -> None:
    feed = rss("<link>one</link>").replace("<channel>", "<channel xml:base='http://b.example/blog/'>")
    assert read(feed).pages == ["http://b.example/blog/one"]


def test_addresses_in_atom_are_relative_to_their_base() -> None:
    feed = atom("<link href='one'/>", "<link xml:base='x/' href='two'/>", root=" xml:base='/blog/'")
    assert read(feed).pages == ["http://a.example/blog/one", "http://a.example/blog/x/two"]
    inner = atom("<link href='one'/>").replace("<entry>", "<entry xml:base='http://b.example/y/'>")
    assert read(inner).pages == ["http://b.example/y/one"]


def random_feed(pick: random.Random) -> str:
    """A well-formed feed with a few entries whose parts are in any order."""
    is_atom = pick.random() < 0.5
    shared = ["<title>a &amp; b</title>", "<dc:creator>me</dc:creator>", "<description>&lt;p&gt;</description>"]
    others = ["<link rel='self' href='http://no/'/>", "<source><link href='http://no/'/></source>",
              "<content type='xhtml'><div><p>x</p></div></content>"] if is_atom else [
              "<guid isPermaLink='false'>http://no/</guid>", "<source url='http://no/'>x</source>",
              "<enclosure url='http://no/' type='audio/mpeg'/>", "<media:group><media:content url='http://no/'/></media:group>"]
    entries = []
    for n in range(pick.randrange(1, 4)):
        address = pick.choice(["http://b.example/{}?a=1&b=2", "/{}", "{}.html", "//c.example/{}", "http://b.example/é{}"])
        address = escape(address.format(n))
        link = f"<link rel='{pick.choice(['alternate', 'Alternate'])}' href='{address}'/>" if is_atom else (
            f"<link>\n {address}</link>")
        parts = [*pick.sample(shared + others, 3), link]
        pick.shuffle(parts)
        entries.append("".join(parts))
    feed = atom(*entries) if is_atom else rss(*entries)
    names = " xmlns:dc='http://purl.org/dc/elements/1.1/' xmlns:media='http://search.yahoo.com/mrss/'>"
    return feed.replace(">", pick.choice(["", " xml:base='http://d.example/e/'"]) + names, 1)


def test_well_formed_feeds_are_read_as_a_feed_reader_reads_them() -> None:
    pick = random.Random(3)
    for _ in range(100):
        feed = random_feed(pick)
        parsed = feedparser.parse(io.BytesIO(feed.encode()), response_headers={
            "content-location": URL, "content-type": "application/xml"})
        assert read(feed).pages == [entry.link for entry in parsed.entries], feed


# --- what is neither -----------------------------------------------------------------------------


@pytest.mark.parametrize("data, reason", [
    ("", "empty"), (" \n\ufeff ", "empty"), (b"\0\1\2", "no_listing"), ("{}", "no_listing"), ("[" * 9999, "no_listing"),
    ("{" * 9999, "no_listing"), ("<h1>Not found</h1>", "no_listing"), (rss(), "no_links"), ("<urlset/>", "no_links"),
    ("<!DOCTYPE html><title>404</title><a href='/x'>no", "html_page"),
    ("<html><body><link href='/x'><url><loc>http://b.example/</loc></url>", "html_page")])
def test_what_is_no_listing_has_a_reason(data: str | bytes, reason: str) -> None:
    listing = read(data)
    assert (listing.pages, listing.why_nothing()) == ([], reason)


def test_no_entity_is_expanded() -> None:
    names = "abcdefghij"
    bomb = "<!DOCTYPE urlset [<!ENTITY a 'x'>" + "".join(
        f"<!ENTITY {names[n]} '{f'&{names[n - 1]};' * 10}'>" for n in range(1, 10))
    outside = "<!ENTITY s SYSTEM 'file:///etc/passwd'><!ENTITY u '<url><loc>http://no.example/</loc></url>'>]>"
    data = bomb + outside + "&u;" + urlset("http://b.example/&j;", "&s;", "http://b.example/1")
    assert read(data).pages == ["http://b.example/1"]


# --- limits --------------------------------------------------------------------------------------


@pytest.mark.parametrize("unit", [
    "<", "<a ", '<a "', "<a='", "</b>", "<b>", "<!--", "<![CDATA[", "<?xml ", "&", "&amp", "&#1", "<link a=\"b='", "] ",
    "<link href=", "<item><link>", "<item xml:base='a/'>", "<i a='b' c=\"d\">", "\n", "http://", "<!doctype x [ ] "])
def test_the_worst_takes_linear_time(unit: str) -> None:
    data = ("<rss><item><link>" + unit * (1_000_000 // len(unit))).encode()
    listing = Listing(URL)
    listing.read(data[n:n + 65536] for n in range(0, len(data), 65536))
    assert listing.pages == []


def test_reading_ends_when_the_time_is_up_or_nothing_can_follow() -> None:
    def endless(block: bytes) -> Iterator[bytes]:
        while True:
            yield block
    for data in (b"<html>" + b" " * (1 << 16), urlset("http://b.example/1").encode() * 999):
        listing = Listing(URL)
        listing.read(endless(data))
        assert len(listing.pages) in (0, MAX_ADDRESSES)
    listing.read(endless(b"<i>" * 999), seconds=0.01)


def test_no_more_is_unpacked_than_the_protocol_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_markup, "MAX_BYTES", 200_000)
    n_bytes = 0
    with pytest.raises(CutOff):
        for block in utf8_blocks(iter([gzip.compress(b"x" * 10**7)]), 60):
            n_bytes += len(block)
    assert n_bytes == 200_000
