"""Discovery without engines: open sources in their turn, and what hosts of kept pages announce.

.venv/bin/python -m pytest tests/providers/test_discovery.py
"""

import shutil
import threading
import time
from pathlib import Path

import helpers
import pytest
from local_server import OK_HEAD, page, raw, serve
from scraping import add as add_urls
from scraping import config_for as scrape_config
from scraping import run as scrape

import search
from bench import discovery as simulated
from miniature_memory.core.stage import StageStats
from miniature_memory.crawl.config import ScrapeLimits, WebConfig
from miniature_memory.crawl.page_signals import feed_of
from miniature_memory.crawl.robots_txt import sitemaps_of
from miniature_memory.providers import query_search
from miniature_memory.providers.config import SearchConfig
from miniature_memory.providers.provider import Found, ProviderError
from miniature_memory.providers.provider_registry import PROVIDERS
from miniature_memory.responses.signals import read_signals
from miniature_memory.storage import backoffs, urls
from miniature_memory.storage.catalog import Catalog

SOURCES = [name for name, provider in PROVIDERS.items() if provider.is_open]
ENGINES = ["google", "ddgs"]


@pytest.fixture
def root(tmp_path) -> Path:
    (tmp_path / "config").mkdir()
    (tmp_path / "config/queries.txt").write_text("one\ntwo\n")
    return tmp_path


def config_for(*servers, **settings) -> SearchConfig:
    web = WebConfig(allow_private=[f"127.0.0.1:{server.port}" for server in servers])
    return SearchConfig(**{"providers": [*ENGINES, *SOURCES], "queries_per_run": 3, "pause_sec": 0.0, "web": web}
                        | settings)


def providers(monkeypatch, **functions) -> list[tuple[str, str, int]]:
    """Put functions (query) -> URLs in the providers' place; return the list of (provider, query, page) asked for."""
    asked = []

    def recorded(name):
        def provider(ask):
            if ask.what != query_search.CANARY:
                asked.append((name, ask.what, ask.page))
            return [Found(url) for url in functions.get(name, lambda query: [])(ask.what)]
        return provider
    for name in [*ENGINES, *SOURCES]:
        monkeypatch.setitem(PROVIDERS, name, PROVIDERS[name]._replace(ask=recorded(name)))
    return asked


def refusing(query):
    raise ProviderError("captcha")


def run(config: SearchConfig, root: Path) -> StageStats:
    stats = search.run(config, root)
    assert stats.n_in == stats.n_out + sum(stats.dropped.values())
    return stats


# --- open sources --------------------------------------------------------------------------------


@pytest.mark.skipif(not shutil.which("openssl"), reason="the simulated web needs a certificate from openssl")
@pytest.mark.parametrize("wikis_refuse", [False, True])
def test_a_first_search_where_every_engine_refuses(tmp_path, monkeypatch, wikis_refuse):
    monkeypatch.setattr(simulated, "LATENCY_SEC", 0.0)
    world, root = simulated.World(wikis_refuse), tmp_path / "topics/bread"
    stats, _ = simulated.first_search(world, root, ["search.pause_sec=0"])
    hosts, outcomes = simulated.hosts_found(root), stats.facts["providers"]
    assert {outcomes[name]["status"] for name in ENGINES} == {"backed_off"}
    assert world.most_at_once == 1 and world.requests["www.google.com"] == 1
    if wikis_refuse:
        assert {outcomes[name]["reason"] for name in ("mediawiki", "wikilinks")} == {"denied"}
        assert world.requests["en.wikipedia.org"] == 2 and sum(hosts.values()) >= 100  # once by --topic
    else:
        assert sum(hosts.values()) >= 200 and len(hosts) >= 40
        assert all(outcomes[name]["results"] for name in SOURCES)


@pytest.mark.parametrize("google, n", [(refusing, 3), (lambda query: [f"http://{query}.example/"], 2)])
def test_every_open_source_is_asked_whether_an_engine_answers_or_not(root, monkeypatch, google, n):
    asked = providers(monkeypatch, google=google, ddgs=refusing,
                      wikilinks=lambda query: [f"http://{query}.example/cited"])
    run(config_for(queries_per_run=n), root)
    assert [name for name, query, _ in asked if query == "one" and name in SOURCES] == SOURCES
    assert [name for name, query, _ in asked if query == "two" and name in SOURCES] == SOURCES


def test_no_open_source_is_asked_once_an_engine_has_found_enough(root, monkeypatch):
    asked = providers(monkeypatch, google=lambda query: [f"http://{query}.example/{n}" for n in range(9)])
    stats = run(config_for(scrape=ScrapeLimits(max_pages=9)), root)
    assert asked == [("google", "one", 0)]
    assert {stats.facts["providers"][name]["status"] for name in SOURCES} == {"not_asked"}


def test_an_open_source_that_refuses_rests_alone(root, monkeypatch):
    asked = providers(monkeypatch, google=refusing, ddgs=refusing, marginalia=refusing,
                      wikilinks=lambda query: [f"http://{query}.example/"])
    stats = run(config_for(), root)
    assert [name for name, _, _ in asked].count("marginalia") == 1
    assert [name for name, _, _ in asked].count("wikilinks") == [name for name, _, _ in asked].count("mediawiki") == 2
    assert stats.facts["providers"]["wikilinks"] == {"status": "ok", "results": 2, "reason": "", "until": None}
    with Catalog(root) as catalog:
        assert set(backoffs.active(catalog, backoffs.PROVIDER, time.time())) == {"google", "ddgs", "marginalia"}


def test_answers_of_open_sources_are_remembered(root, monkeypatch):
    asked = providers(monkeypatch, google=refusing, ddgs=refusing, wikilinks=lambda query: [f"http://{query}.example/"])
    for n in (3, 2):  # in the second run, no engine is asked
        run(config_for(queries_per_run=n), root)
    pages = [(query, page) for name, query, page in asked if name == "wikilinks"]
    assert pages == [("one", 0), ("two", 0), ("one", 1), ("two", 1)]
    assert [query for name, query, _ in asked if name == "mediawiki"] == ["one", "two"]  # it had no results


def test_sources_that_hang_do_not_prolong_the_search(root, monkeypatch):
    never = threading.Event()
    asked = providers(monkeypatch, google=refusing, ddgs=refusing,
                      **dict.fromkeys(SOURCES, lambda query: never.wait(60)))
    started = time.monotonic()
    run(config_for(max_minutes=0.01), root)
    assert time.monotonic() - started < 30 and len(asked) <= len(ENGINES) + len(SOURCES)
    never.set()


def test_seeds_are_read_though_queries_find_enough_every_night(root, monkeypatch):
    providers(monkeypatch, google=refusing, ddgs=refusing,
              wikilinks=lambda query: [f"http://{query}.example/{n}" for n in range(9)])
    names = [*ENGINES, *SOURCES, "feeds"]
    with serve() as server:
        server.routes |= {f"/{n}": feed_with(f"/of/{n}") for n in range(2)}
        (root / "config/seeds.txt").write_text("".join(f"feed {server.url}/{n}\n" for n in range(2)))
        run(config_for(server, providers=names, scrape=ScrapeLimits(max_pages=9)), root)
        assert sorted(server.paths) == ["/0", "/1", "/robots.txt"]
        run(config_for(server, providers=names, scrape=ScrapeLimits(max_pages=9)), root)
        assert len(server.paths) == 3  # enough was due before


# --- feeds and sitemaps that hosts announce ------------------------------------------------------


@pytest.mark.parametrize("head, found", [
    ('<link rel="alternate" type="application/rss+xml" title=x href="/feed">', "http://a.example/feed"),
    ("<LINK href='/atom?a=1&amp;b=2' TYPE=application/atom+xml rel='x Alternate'/>", "http://a.example/atom?a=1&b=2"),
    ('<link rel=stylesheet type="application/rss+xml" href=/feed>', ""),
    ('<link rel=alternate type="text/html" href=/de><!-- application/rss+xml -->', ""),
    ('<link rel=alternate type="application/rss+xml" href=/comments/feed/>'
     '<link rel=alternate type="application/rss+xml" href=/feed>', "http://a.example/feed"),
    ('<link rel=alternate type="application/atom+xml" href="/w/index.php?title=Special:RecentChanges&feed=atom">', ""),
    ('<link rel=alternate type="application/rss+xml" href="http://feeds.example/a">', ""),
    ('<link rel=alternate type="application/rss+xml" href="javascript:x">', ""),
    ('<link rel=alternate type="application/rss+xml">', ""),
    ('<meta name=robots content=nofollow><link rel=alternate type="application/rss+xml" href=/feed>', ""),
    (" " * (1 << 16) + '<link rel=alternate type="application/rss+xml" href=/feed>', ""),
    ('<link rel=alternate type="application/rss+xml" ' * 5000, "")])
def test_the_feed_that_a_page_announces(head, found):
    body = f"<html><head>{head}</head><body>x".encode()
    assert feed_of(read_signals([], body), body, "http://a.example/x") == found


def test_the_sitemaps_that_robots_txt_names():
    text = ("User-agent: other\nDisallow: /\nSITEMAP : http://a.example/1.xml # the first\rSitemap:http://b.example/2\n"
            "sitemap: /relative.xml\nSitemap: http://a.example/1.xml\nNo sitemap: http://a.example/3\nSitemap: ftp://x/")
    assert sitemaps_of(text) == ["http://a.example/1.xml", "http://b.example/2"]


def test_scrape_remembers_the_feed_of_a_host(tmp_path):
    announces = page('<link rel=alternate type="application/rss+xml" href=/feed><p>' + "A page with text. " * 30)
    with serve({"/robots.txt": page(status=404), "/a": announces}) as server:
        add_urls(tmp_path, f"{server.url}/a")
        assert scrape(scrape_config(server), tmp_path).n_out == 1
        with Catalog(tmp_path) as catalog:
            assert urls.feed(catalog, f"127.0.0.1:{server.port}") == f"{server.url}/feed"
            assert urls.feed(catalog, "b.example") == ""


def keep_documents(root: Path, *addresses: str) -> None:
    """Documents that clean has kept, from these addresses."""
    with Catalog(root) as catalog:
        for n, url in enumerate(addresses):
            kept = helpers.document(f"Text {n} of {url}", url)
            helpers.add_raw_line(catalog, kept)
            helpers.add_clean_line(catalog, kept)


def announce(root: Path, url: str, feed: str = "", robots: str = "") -> None:
    add_urls(root, url)
    with Catalog(root) as catalog, catalog.record():
        host = url.split("/")[2]
        urls.keep_robots(catalog, host, robots)
        if feed:
            urls.keep_feed(catalog, host, feed)


def feed_with(*links: str):
    return page("<rss>" + "".join(f"<item><link>{link}</link></item>" for link in links) + "</rss>")


LISTINGS = ["feeds", "sitemaps"]


def test_listings_of_hosts_whose_pages_were_kept_are_followed_one_a_night(root):
    with serve() as server:
        server.routes |= {
            "/feed": feed_with("/news/1", "/news/2", "http://elsewhere.example/"),
            "/map.xml": page(f"<urlset><url><loc>{server.url}/old/1</loc></url></urlset>")}
        keep_documents(root, f"{server.url}/a", f"{server.url}/b")
        announce(root, f"{server.url}/a", f"{server.url}/feed", f"Sitemap: {server.url}/map.xml")
        stats = run(config_for(server, providers=LISTINGS), root)
        assert server.paths == ["/feed"] and stats.n_out == 2 and stats.facts["seeds_failed"] == {}
        run(config_for(server, providers=LISTINGS), root)
        run(config_for(server, providers=LISTINGS), root)
        assert server.paths == ["/feed", "/map.xml"]  # both rest for requery_days
        run(config_for(server, providers=LISTINGS, requery_days=0.0), root)
        assert server.paths == ["/feed", "/map.xml", "/feed"]
        with Catalog(root) as catalog:
            rows = [(row["url"], row["source"], row["query"]) for row in catalog.execute("SELECT * FROM urls")][1:]
    assert rows == [(f"{server.url}/news/1", "feeds", f"{server.url}/feed"),
                    (f"{server.url}/news/2", "feeds", f"{server.url}/feed"),
                    (f"{server.url}/old/1", "sitemaps", f"{server.url}/map.xml")]


def test_a_single_kept_page_and_a_provider_that_is_not_listed_are_no_reason_to_follow(root):
    with serve() as server:
        announce(root, f"{server.url}/a", f"{server.url}/feed", f"Sitemap: {server.url}/map.xml")
        keep_documents(root, f"{server.url}/a", "notes.txt", "")
        run(config_for(server, providers=LISTINGS), root)
        keep_documents(root, f"{server.url}/b")
        run(config_for(server, providers=["seeds"]), root)
        assert server.paths == []
        run(config_for(server, providers=["sitemaps"]), root)
        assert server.paths == ["/map.xml"]


def test_robots_txt_and_the_limit_of_a_feed_hold_for_what_is_announced(root):
    with serve() as server, serve() as other:
        other.routes["/feed"] = feed_with(*(f"/{n}" for n in range(9)))
        keep_documents(root, *(f"{server.url}/{n}" for n in range(3)), f"{other.url}/a", f"{other.url}/b")
        announce(root, f"{server.url}/a", f"{server.url}/feed", "User-agent: *\nDisallow: /feed")
        announce(root, f"{other.url}/a", f"{other.url}/feed")
        stats = run(config_for(server, other, providers=LISTINGS, urls_per_seed=4), root)
        assert server.paths == [] and other.paths == ["/feed"] and stats.n_out == 4
        few = config_for(server, other, providers=LISTINGS, requery_days=0.0, scrape=ScrapeLimits(300, 2))
        assert run(few, root).n_out == 2  # what one run visits of a host


def test_what_is_announced_and_a_seed_is_read_once(root):
    with serve() as server:
        server.routes["/feed"] = feed_with("/1")
        keep_documents(root, f"{server.url}/a", f"{server.url}/b")
        announce(root, f"{server.url}/a", f"{server.url}/feed")
        (root / "config/seeds.txt").write_text(f"feed {server.url}/feed\n")
        run(config_for(server, providers=LISTINGS), root)
        assert server.paths.count("/feed") == 1


def test_nothing_announced_is_followed_if_enough_was_due(root):
    with serve() as server:
        keep_documents(root, f"{server.url}/a", f"{server.url}/b")
        announce(root, f"{server.url}/a", f"{server.url}/feed")
        run(config_for(server, providers=LISTINGS, scrape=ScrapeLimits(max_pages=1)), root)
        assert server.paths == []


def test_a_robots_txt_that_our_own_time_cuts_short_closes_no_host(root):
    with serve({"/robots.txt": raw(OK_HEAD + b"Content-Length: 99\r\n\r\n", b"#" * 99)}) as server:
        (root / "config/seeds.txt").write_text(f"feed {server.url}/feed\n")
        stats = run(config_for(server, providers=LISTINGS, max_minutes=0.02), root)
        assert stats.facts["seeds_failed"] == {f"{server.url}/feed": "no_time_left"}
        with Catalog(root) as catalog:
            assert not backoffs.active(catalog, backoffs.HOST, 0.0)
