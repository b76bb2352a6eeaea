"""Feeds and sitemaps.   .venv/bin/python -m pytest tests/crawl/test_listings.py"""

import gzip

import pytest

from miniature_memory.crawl.listings import Sitemap, feed_links, read_sitemap

BASE = "http://a.example/feed"


@pytest.mark.parametrize("feed", [
    "<rss><channel><link>http://a.example/</link><item><link> http://a.example/1 </link></item>"
    "<item><guid>http://a.example/2</guid></item></channel></rss>",
    "<rss><channel><item><guid isPermaLink='false'>77</guid><link>/1</link></item><item><title>none</title></item>"
    "<item><guid isPermaLink='true'>http://a.example/2</guid></item></channel></rss>",
    "<rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#' xmlns='http://purl.org/rss/1.0/'>"
    "<item><link>http://a.example/1</link></item><item><link>http://a.example/2</link></item></rdf:RDF>",
    "<rss><item><link>http://[oops/</link></item><item><link>/1</link></item><item><link>/2</link></item></rss>",
    "<feed xmlns='http://www.w3.org/2005/Atom'><link href='/self'/><entry><link rel='edit' href='/edit'/>"
    "<link rel='alternate' href='/1'/></entry><entry><link href='http://a.example/2'/></entry></feed>",
    "\ufeff\n  <?xml version='1.0'?><!DOCTYPE rss [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><rss><item>&x;"
    "<link>http://a.example/1</link></item><item>&nbsp;<link>http://a.example/2</link></item><item><li"])
def test_feeds_in_their_odd_forms(feed):
    assert [link for link in feed_links(feed.encode(), BASE) if link] == ["http://a.example/1", "http://a.example/2"]


@pytest.mark.parametrize("data", [b"", b"\0\1\2", b"<html><body><a href='/x'>no feed</a></body></html>", b"{}"])
def test_what_is_no_feed_has_no_links(data):
    assert feed_links(data, BASE) == []


def test_entities_are_not_expanded():
    bomb = b"<!DOCTYPE r [<!ENTITY a 'x'>" + b"".join(
        b"<!ENTITY %c '%s'>" % (98 + n, b"&%c;" % (97 + n) * 10) for n in range(9)) + b"]>"
    assert feed_links(bomb + b"<rss><item><link>http://a.example/&j;</link></item></rss>", BASE) in (
        ["http://a.example/"], [])


URLSET = b"<urlset xmlns='http://www.sitemaps.org/schemas/sitemap/0.9'><url><loc>http://a.example/1</loc></url></urlset>"
PLAIN = b"http://a.example/1\r\nno address\r\n"


@pytest.mark.parametrize("data", [URLSET, gzip.compress(URLSET), gzip.compress(URLSET)[:-4], URLSET[:-12], PLAIN,
                                  b"<urlset><url><loc>/1</loc></url></urlset>"])
def test_sitemaps_in_their_odd_forms(data):
    assert read_sitemap(data, BASE, 10**6) == Sitemap(["http://a.example/1"], [])


def test_an_index_names_the_sitemaps_that_changed_last_first():
    index = (b"<sitemapindex><sitemap><loc>/old.xml</loc><lastmod>2020-01-01</lastmod></sitemap>"
             b"<sitemap><loc>/new.xml</loc><lastmod>2024-01-01T00:00:00Z</lastmod></sitemap></sitemapindex>")
    assert read_sitemap(index, BASE, 10**6) == Sitemap([], ["http://a.example/new.xml", "http://a.example/old.xml"])
