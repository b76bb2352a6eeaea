"""search.py and providers.py on loopback.   .venv/bin/python3 -m pytest tests/crawl/test_search.py"""

from __future__ import annotations

import dataclasses
import gzip
import json
import time
from itertools import pairwise
from pathlib import Path

import pytest
from local_server import page, serve

import search
from miniature_memory.core.errors import StageError
from miniature_memory.core.stage import StageStats
from miniature_memory.crawl import discovery, providers, seeds, web
from miniature_memory.crawl import engines as engines_module
from miniature_memory.crawl.config import SearchConfig, WebConfig
from miniature_memory.crawl.discovery import related
from miniature_memory.crawl.engines import commoncrawl, ddgs, google, mediawiki, searxng
from miniature_memory.crawl.guard import FetchError
from miniature_memory.crawl.listings import Sitemap, feed_links, read_sitemap
from miniature_memory.crawl.provider import BLOCK_SEC, Ask, Found, ProviderError
from miniature_memory.crawl.web import Web
from miniature_memory.demo_site import site as site_module
from miniature_memory.storage import backoffs, urls
from miniature_memory.storage.catalog import Catalog
from miniature_memory.storage.urls import Archived

BASE = "http://a.example/feed"
SEED_LIST = ["feeds", "sitemaps", "seeds"]


@pytest.fixture(autouse=True)
def no_pause(monkeypatch):
    monkeypatch.setattr(engines_module, "COMMONCRAWL_PAUSE_SEC", 0.0)


@pytest.fixture
def root(tmp_path) -> Path:
    """A root with three queries and no seeds."""
    (tmp_path / "config").mkdir()
    return write(write(tmp_path, "queries.txt", "one\ntwo\nthree\n"), "seeds.txt", "")


def write(root: Path, name: str, text: str | bytes) -> Path:
    (root / "config" / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return root


def config_for(*servers, **settings) -> SearchConfig:
    web = WebConfig(allow_private=[f"127.0.0.1:{server.port}" for server in servers])
    names = ["google", "ddgs", "searxng", *SEED_LIST]
    return SearchConfig(**{"providers": names, "queries_per_run": 3, "pause_sec": 0.0, "seed_delay_sec": 0.0,
                           "give_up_sec": 2.0, "web": web} | settings)


def engines(monkeypatch, **functions) -> list[tuple[str, str]]:
    """Put functions (query) -> URLs in the engines' place; return the list of (engine, query) that were asked."""
    asked: list[tuple[str, str]] = []

    def recorded(name, function):
        def engine(ask):
            if ask.what != discovery.CANARY:
                asked.append((name, ask.what))
            return [Found(url) for url in function(ask.what)]
        return engine
    for name, provider in list(providers.PROVIDERS.items()):
        if provider.takes == "query":
            engine = recorded(name, functions.get(name, lambda query: []))
            monkeypatch.setitem(providers.PROVIDERS, name, provider._replace(ask=engine))
    return asked


def failing(reason: str, retry_after_sec: float | None = None):
    def fail(query):
        raise ProviderError(reason, retry_after_sec)
    return fail


def results(query: str) -> list[str]:
    return [f"http://{query}.example/{n}" for n in range(3)]


def urls_in(root: Path) -> dict[str, tuple[str, str]]:
    with Catalog(root) as catalog:
        rows = catalog.execute("SELECT * FROM urls ORDER BY id").fetchall()
        assert all(row["due_at"] <= time.time() and row["state"] == "new" for row in rows)
        return {row["url"]: (row["source"], row["query"]) for row in rows}


def run(config: SearchConfig, root: Path):
    report = search.run(config, root)
    assert report.n_in == report.n_out + sum(report.dropped.values())
    return report


# --- feeds and sitemaps --------------------------------------------------------------------------


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
    started = time.monotonic()
    assert feed_links(bomb + b"<rss><item><link>http://a.example/&j;</link></item></rss>", BASE) in (
        ["http://a.example/"], [])
    assert time.monotonic() - started < 1


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


# --- providers, before a server that answers as the real ones do -----------------------------------


@pytest.fixture
def world(monkeypatch):
    """A server that stands in for every host: the host is the first part of the path."""
    with serve() as server:
        real = web.Web._exchange

        def exchange(self, url, *rest):
            here = f"{server.url}/{url.partition('://')[2]}"
            return dataclasses.replace(real(self, here, *rest), url=url)
        monkeypatch.setattr(web.Web, "_exchange", exchange)
        yield server


def ask(server, what="sea storms", page=0, n=10, **settings) -> Ask:
    web = WebConfig(allow_private=[f"127.0.0.1:{server.port}"], contact=settings.pop("contact", ""))
    return Ask(what, n, page, SearchConfig(web=web, **settings), Web(web), lambda url: Web(web).fetch(url).body)


def urls_of(found: list[Found]) -> list[str]:
    return [result.url for result in found]


GOOGLE_RESULT = ('<div class="ezO2md"><a href="/url?q=http://a.example/{0}&amp;sa=U"><span class="CVA68e">Storms {0}'
                 '</span></a><span class="FrIlee">at sea</span></div>')
DDG_RESULT = ("<div class='links_main body'><h2 class='result__title'><a>Storms</a></h2>"
              "<a href='http://d.example/{0}'>of the sea</a></div>")


def test_google_is_asked_for_one_page_of_results(world):
    world.routes["/www.google.com/search"] = page("".join(GOOGLE_RESULT.format(n) for n in range(3)))
    found = google(ask(world, page=2))
    assert urls_of(found) == [f"http://a.example/{n}" for n in range(3)] and found[0].text == "Storms 0 at sea"
    assert len(world.log) == 1 and "num=12" in world.paths[0] and "start=20" in world.paths[0]
    assert "safe=active" in world.paths[0] and world.log[0].headers["User-Agent"].startswith("Lynx/")


@pytest.mark.parametrize("answer, reason", [
    (page(status=429, Retry_After="90"), "too_many_requests"), (page(status=503), "too_many_requests"),
    (page(status=403), "denied"), (page(status=500), "http_500"),
    (page(status=302, Location="https://www.google.com/sorry/index?continue=x"), "captcha"),
    (page(status=302, Location="https://consent.google.com/ml?continue=x"), "consent_page"),
    (page("<p>Our systems have detected unusual traffic from your computer network"), "captcha"),
    (page("<title>Before you continue to Google Search</title>"), "consent_page"),
    (page("<noscript><meta content='0;url=/httpservice/retry/enablejs?sei=x'>"), "js_wall")])
def test_how_google_refuses(world, answer, reason):
    world.routes["/www.google.com/search"] = answer
    with pytest.raises((ProviderError, FetchError)) as caught:
        google(ask(world))
    error = caught.value if isinstance(caught.value, ProviderError) else ProviderError.of(caught.value)
    assert error.reason == reason and len(world.log) == 1
    assert error.retry_after_sec == (90.0 if "Retry-After" in answer[1] else None)
    assert reason in BLOCK_SEC or reason == "http_500"


def test_a_page_without_results_may_be_true(world):
    world.routes["/www.google.com/search"] = page("<p>Your search did not match any documents")
    assert google(ask(world)) == []


def test_ddgs_asks_under_our_own_name(world):
    world.routes |= {"/html.duckduckgo.com/html/": page(DDG_RESULT.format(1)), "/search.brave.com/search": page("<p>0"),
                     "/www.mojeek.com/search": page("<p>0")}
    assert urls_of(ddgs(ask(world))) == ["http://d.example/1"]
    assert {request.headers["User-Agent"] for request in world.log} == {web.AGENT}


@pytest.mark.parametrize("answer, reason", [
    (page(status=202), "too_many_requests"), (page(status=429), "too_many_requests"), (page(status=403), "denied"),
    (page("<form id='captcha-form'>"), "captcha")])
def test_how_ddgs_refuses(world, answer, reason):
    world.default = answer
    question = ask(world)
    for _ in range(4):
        with pytest.raises(ProviderError) as caught:
            ddgs(question)
        assert caught.value.reason in (reason, "too_many_requests")  # the latter when all have refused
    if answer[0] != 200:
        assert len(world.log) == 3  # a backend that refused is not asked again in this run


def test_ddgs_goes_on_with_the_backends_that_answer(world):
    world.routes |= {"/html.duckduckgo.com/html/": page(DDG_RESULT.format(1))}
    world.default = page(status=429)
    question = ask(world)
    for _ in range(2):
        assert urls_of(ddgs(question)) == ["http://d.example/1"]
    assert len(world.log) <= 4 and "html.duckduckgo.com" not in question.memory["refused"]


def json_page(content: object, status: int = 200, **headers):
    return status, {"Content-Type": "application/json", **headers}, json.dumps(content).encode()


@pytest.mark.parametrize("answer, reason", [
    (page(status=429, Retry_After="60"), "too_many_requests"), (page(status=403), "is json among"),
    (page("<p>no JSON"), "wrong_type"), (json_page([]), "bad_answer"), (json_page({"results": [{}]}), "bad_answer"),
    ((200, {"Content-Type": "application/json"}, b"{"), "bad_answer"), (json_page({"results": 7}), "bad_answer"),
    ((200, {"Content-Type": "application/json"}, b"[" * 100_000), "bad_answer"),
    (json_page({"results": [], "unresponsive_engines": [["google", "captcha"]]}), "engines_unresponsive")])
def test_what_searxng_refuses_with(answer, reason):
    with serve(default=answer) as server, pytest.raises(ProviderError, match=reason):
        searxng(ask(server, searxng_url=server.url))


@pytest.mark.parametrize("path", ["", "/", "/search"])
def test_searxng_is_asked_for_json_at_its_own_address(path):
    rows = [{"url": f"http://a.example/{n}", "title": "Sea", "content": "storms"} for n in range(9)]
    with serve(default=json_page({"results": rows})) as server:
        config = SearchConfig(searxng_url=server.url + path)  # its private address need not be allowed
        found = searxng(Ask("a b", 5, 1, config, Web(config.web), lambda url: b""))
        assert len(found) == 9 and found[0] == Found("http://a.example/0", "Sea storms")
        assert server.paths == ["/search?format=json&language=en&pageno=2&q=a+b&safesearch=2"]


WIKI = json_page({"query": {"pages": [{"index": 2, "title": "B", "fullurl": "https://en.wikipedia.org/wiki/B"},
                                      {"index": 1, "title": "A", "fullurl": "https://en.wikipedia.org/wiki/A"}]}})


def test_wikis_are_asked_one_after_the_other(world):
    world.routes |= {"/de.wikipedia.org/w/api.php": WIKI,
                     "/de.wikisource.org/w/api.php": json_page({"batchcomplete": True})}
    found = mediawiki(ask(world, language="de", contact="me@example.org", page=1))
    assert urls_of(found) == ["https://en.wikipedia.org/wiki/A", "https://en.wikipedia.org/wiki/B"]
    assert len(world.log) == 2 and world.log[1].began >= world.log[0].ended
    assert all("maxlag=5" in request.path and "gsroffset=10" in request.path for request in world.log)
    assert world.log[0].headers["User-Agent"].endswith("(+me@example.org)")


@pytest.mark.parametrize("answer, reason, wait", [
    (json_page({"error": {"code": "maxlag"}}), "too_many_requests", None),
    (json_page({"error": {"code": "ratelimited"}}, **{"Retry-After": "30"}), "too_many_requests", 30.0),
    (json_page({"error": {"code": "badvalue\x1b"}}), "api_badvalue", None), (page(status=403), "denied", None),
    (json_page({"query": {"pages": [{"index": "x"}]}}), "bad_answer", None),
    (json_page({"query": []}), "bad_answer", None), (json_page([]), "bad_answer", None),
    (page(status=503, Retry_After="7"), "too_many_requests", 7.0)])
def test_how_wikis_refuse(world, answer, reason, wait):
    world.default = answer
    with pytest.raises(ProviderError) as caught:
        mediawiki(ask(world))
    assert (caught.value.reason, caught.value.retry_after_sec) == (reason, wait)


def test_one_wiki_that_is_busy_does_not_spoil_the_other(world):
    world.routes |= {"/en.wikipedia.org/w/api.php": json_page({"error": {"code": "maxlag"}}),
                     "/en.wikisource.org/w/api.php": WIKI}
    assert len(mediawiki(ask(world))) == 2


def test_wikis_want_a_contact(root):
    report = run(SearchConfig(providers=["mediawiki"]), root)
    assert "web.contact" in report.facts["providers"]["mediawiki"]


INDEX = "/index.commoncrawl.org/CC-MAIN-2026-43-index"
CRAWLS = json_page([{"id": "CC-MAIN-2026-43", "cdx-api": "https://index.commoncrawl.org/CC-MAIN-2026-43-index"}])
CDX = "\n".join([json.dumps({"url": f"https://a.example/{n}", "filename": f"crawl-data/x{n}.warc.gz", "offset": "77",
                             "length": length}) for n, length in enumerate(["900", "99999999", "-1", "901"])])


def test_common_crawl_gives_places_in_its_files(world):
    world.routes |= {"/index.commoncrawl.org/collinfo.json": CRAWLS, INDEX: page(CDX + '\n{"url": "https://a.exa')}
    found = commoncrawl(ask(world, "https://a.example/feed", page=3))
    assert found == [Found(f"https://a.example/{n}", "", Archived(f"crawl-data/x{n}.warc.gz", 77, length))
                     for n, length in ((0, 900), (3, 901))]
    assert "url=a.example%2F%2A" in world.paths[1] and "page=3" in world.paths[1]


@pytest.mark.parametrize("crawls, index, reason", [
    (page(status=503), page(), "too_many_requests"), (CRAWLS, page(status=503), "too_many_requests"),
    (CRAWLS, page(status=403), "denied"), (json_page({}), page(), "bad_answer"), (CRAWLS, page("<p>"), "bad_answer")])
def test_how_common_crawl_refuses(world, crawls, index, reason):
    world.routes |= {"/index.commoncrawl.org/collinfo.json": crawls, INDEX: index}
    with pytest.raises(ProviderError, match=reason):
        commoncrawl(ask(world, "https://a.example/"))


@pytest.mark.parametrize("answer", [page(status=404), page(status=400), page("")])
def test_common_crawl_may_have_nothing(world, answer):
    world.routes |= {"/index.commoncrawl.org/collinfo.json": CRAWLS, INDEX: answer}
    assert commoncrawl(ask(world, "https://a.example/")) == []


def test_common_crawl_is_asked_for_the_hosts_of_the_seeds(root, world):
    write(root, "seeds.txt", "feed https://a.example/1\nfeed https://a.example/2\npage https://b.example/\n")
    world.routes |= {"/index.commoncrawl.org/collinfo.json": CRAWLS, INDEX: page(CDX)}
    config = config_for(world, providers=["commoncrawl"])
    assert run(config, root).n_out == 2
    asked = [path for path in world.paths if "/CC-MAIN" in path]
    assert len(asked) == 2 and "a.example" in asked[0] and "b.example" in asked[1]
    with Catalog(root) as catalog:
        row = catalog.execute("SELECT * FROM urls WHERE url = 'https://a.example/3'").fetchone()
        assert (row["archive"], row["archive_offset"], row["archive_length"]) == ("crawl-data/x3.warc.gz", 77, 901)
    run(config, root)
    assert sum("page=1" in path for path in world.paths) == 2


def test_unknown_providers_are_refused():
    with pytest.raises(ValueError, match="altavista"):
        SearchConfig(providers=["altavista"])


# --- the order of the providers ------------------------------------------------------------------


def test_each_query_goes_to_the_first_provider_that_answers(root, monkeypatch):
    asked = engines(monkeypatch, google=failing("unreachable"), ddgs=results)
    report = run(config_for(queries_per_run=4), root)
    assert asked == [("google", "one"), ("ddgs", "one"), ("ddgs", "two"), ("ddgs", "three")]
    assert urls_in(root)["http://two.example/1"] == ("ddgs", "two")
    assert report.facts["providers"] == {"google": "unreachable", "ddgs": "9 results",
                                         "searxng": "off until search.searxng_url names one",
                                         **dict.fromkeys(SEED_LIST, "not asked")}


def test_a_library_may_fail_in_any_way(root, monkeypatch):
    engines(monkeypatch, google=lambda query: 1 // 0, ddgs=results)
    assert run(config_for(), root).facts["providers"]["google"] == "ZeroDivisionError"


def test_a_provider_that_finds_nothing_at_all_is_left_alone(root, monkeypatch):
    asked = engines(monkeypatch, ddgs=results)
    report = run(config_for(queries_per_run=4), root)
    assert report.facts["providers"]["google"] == "silent" and [name for name, _ in asked].count("google") == 1
    with Catalog(root) as catalog:
        assert catalog.value("SELECT until FROM backoffs") == pytest.approx(time.time() + 3600, abs=60)


def test_a_provider_with_results_for_the_canary_is_believed(root, monkeypatch):
    sings = lambda query: results(query) if query == discovery.CANARY else []  # noqa: E731
    asked = engines(monkeypatch, google=sings, ddgs=results)
    report = run(config_for(queries_per_run=6), root)
    assert report.facts["providers"]["google"] == "not asked" and report.facts["providers"]["ddgs"] == "9 results"
    assert [name for name, _ in asked] == ["google", "ddgs"] * 3


def test_results_of_another_query_are_a_refusal(root, monkeypatch):
    trending = [Found(f"http://n{n}.example/", "Celebrity wedding of the year") for n in range(8)]
    engines(monkeypatch, ddgs=results)
    monkeypatch.setitem(providers.PROVIDERS, "google", providers.Provider(lambda ask: trending, "query"))
    report = run(config_for(queries_per_run=2), root)
    assert report.facts["providers"]["google"] == "unrelated" and report.n_in == 3


def test_a_refusal_that_looks_like_results_doubles_too(root, monkeypatch):
    trending = [Found(f"http://n{n}.example/", "Celebrity wedding of the year") for n in range(8)]
    engines(monkeypatch, ddgs=results)
    monkeypatch.setitem(providers.PROVIDERS, "google", providers.Provider(lambda ask: trending, "query"))
    for days in (1, 2):
        run(config_for(), root)
        with Catalog(root) as catalog, catalog.record():
            closed = catalog.value("SELECT until FROM backoffs") - time.time()
            catalog.execute("UPDATE backoffs SET until = 0")
        assert closed == pytest.approx(days * 86400, abs=60)


def test_a_canary_without_the_time_to_sing_condemns_nobody(root, monkeypatch):
    engines(monkeypatch)
    run(config_for(providers=["google"], pause_sec=5.0, max_minutes=0.05), root)
    with Catalog(root) as catalog:
        assert catalog.value("SELECT count(*) FROM backoffs") == 0


def test_results_in_other_words_are_believed_of_an_engine_that_works(root, monkeypatch):
    def answer(ask):
        text = "Wikipedia" if ask.what == discovery.CANARY else "World War II"
        return [Found(f"http://{ask.what}.example/{n}", text) for n in range(4)]
    write(root, "queries.txt", "ww2\n")
    engines(monkeypatch)
    monkeypatch.setitem(providers.PROVIDERS, "google", providers.Provider(answer, "query", zero_may_lie=True))
    report = run(config_for(queries_per_run=1), root)
    assert report.n_out == 4 and report.facts["providers"]["google"] == "4 results"


def test_a_query_that_all_have_refused_has_had_its_turn(root, monkeypatch):
    engines(monkeypatch, google=failing("denied"), ddgs=failing("captcha"))
    run(config_for(), root)
    with Catalog(root) as catalog:
        assert catalog.state("search.next_query") == 1


def test_programs_interfaces_are_believed_without_a_canary(root, monkeypatch):
    asked = []
    engines(monkeypatch)
    monkeypatch.setitem(providers.PROVIDERS, "searxng", providers.Provider(
        lambda ask: asked.append(ask.what) or [], "query"))
    report = run(config_for(providers=["searxng"], searxng_url="http://a.example/"), root)
    assert asked == ["one", "two", "three"] and report.facts["providers"]["searxng"] == "not asked"


def test_urls_of_closed_hosts_are_not_enough(root, monkeypatch):
    asked = engines(monkeypatch, google=results)
    with Catalog(root) as catalog, catalog.record():
        for n in range(9):
            urls.add(catalog, f"http://closed.example/{n}", "test")
        backoffs.extend(catalog, "host", "closed.example", 999, "http_429")
    run(config_for(enough_urls=4), root)
    assert asked


def test_pages_of_the_seed_list_need_no_network(root):
    write(root, "seeds.txt", "".join(f"feed http://dead{n}.invalid/\n" for n in range(3)) + "page http://a.example/x\n")
    assert run(config_for(providers=SEED_LIST), root).n_out == 1


def test_a_second_run_of_the_day_is_not_taken_for_one_without_a_network(root):
    with serve({f"/{n}": page("<rss/>") for n in range(3)}) as server:
        write(root, "seeds.txt", "".join(f"feed {server.url}/{n}\n" for n in range(3)))
        for _ in range(2):
            with Catalog(root) as catalog:
                one = discovery.Search(config_for(server, providers=["feeds"]), catalog, StageStats("search"))
                one.report.facts["seeds_failed"] = {}
                one.run([], seeds.read_seeds(root / "config/seeds.txt"))
                assert one.answered


@pytest.mark.parametrize("query, text, is_related", [
    ("history of astronomy", "Historical notes", True), ("history of astronomy", "Celebrity news", False),
    ("天文学の歴史", "世界の天文学", True), ("天文学の歴史", "有名人", False), ("C", "anything", True)])
def test_what_is_related(query, text, is_related):
    assert related(query, [Found(f"http://a.example/{n}", text) for n in range(4)]) == is_related
    assert related(query, [Found(f"http://a.example/{n}") for n in range(4)])  # nothing to judge by


def test_later_pages_are_asked_for_before_a_query_is_exhausted(root, monkeypatch):
    write(root, "queries.txt", "one\n")
    asked = []

    def two_pages(ask):
        asked.append(ask.page)
        return [Found(f"http://one.example/{ask.page}")] if ask.page < 2 else []
    engines(monkeypatch)
    monkeypatch.setitem(providers.PROVIDERS, "google", providers.Provider(two_pages, "query"))
    run(config_for(), root)
    assert asked == [0, 1, 2] and len(urls_in(root)) == 2
    assert run(config_for(providers=["google"]), root).n_in == 0 and asked == [0, 1, 2]  # the answers of the day count
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 8 * 86400)
    run(config_for(queries_per_run=1), root)
    assert asked == [0, 1, 2, 0]


def test_a_query_has_so_many_pages(root, monkeypatch):
    asked = engines(monkeypatch, google=results, ddgs=results)
    run(config_for(queries_per_run=20, pages_per_query=2), root)
    assert [asked.count(("google", query)) for query in ("one", "two", "three")] == [2, 2, 2]
    assert [asked.count(("ddgs", query)) for query in ("one", "two", "three")] == [2, 2, 2]  # then it is the next one's


def test_queries_to_one_provider_keep_their_distance(root, monkeypatch):
    times = []
    engines(monkeypatch, google=lambda query: times.append(time.monotonic()) or results(query))
    run(config_for(pause_sec=0.2), root)
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert len(gaps) == 2 and min(gaps) >= 0.15 and gaps[0] != gaps[1]


def test_a_refusal_closes_the_provider_for_hours_and_doubles(root, monkeypatch):
    asked = engines(monkeypatch, google=failing("too_many_requests"), ddgs=results)
    now = time.time()
    closed = []
    for _ in range(2):
        run(config_for(), root)
        with Catalog(root) as catalog, catalog.record():
            closed.append(catalog.value("SELECT until FROM backoffs") - now)
            catalog.execute("UPDATE backoffs SET until = 0")
    assert closed == [pytest.approx(3600, abs=60), pytest.approx(7200, abs=60)]
    assert sum(name == "google" for name, _ in asked) == 2


def test_a_closed_provider_is_not_asked_until_its_time_has_come(root, monkeypatch):
    engines(monkeypatch, google=failing("captcha", 90_000.0), ddgs=results)
    run(config_for(), root)
    asked = engines(monkeypatch, google=results, ddgs=results)
    assert run(config_for(), root).facts["providers"]["google"].startswith("captcha, left alone until")
    assert {name for name, _ in asked} == {"ddgs"}
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 90_100)
    assert run(config_for(), root).facts["providers"]["google"] == "9 results"
    with Catalog(root) as catalog:
        assert catalog.value("SELECT count(*) FROM backoffs") == 0


def test_no_network_closes_no_provider(root, monkeypatch):
    asked = engines(monkeypatch, google=failing("unreachable"), ddgs=failing("unreachable"))
    run(config_for(), root)
    assert len(asked) == 2
    with Catalog(root) as catalog:
        assert catalog.value("SELECT count(*) FROM backoffs") == 0
        assert catalog.state("search.next_query", 0) == 0  # the queries wait for a better night


@pytest.mark.parametrize("hangs", ["names", "engines"])
def test_a_dead_network_is_given_up(root, monkeypatch, hangs):
    engines(monkeypatch, google=lambda query: time.sleep(4), ddgs=lambda query: time.sleep(4))
    write(root, "seeds.txt", "".join(f"feed http://site{n}.example/\n" for n in range(20)))
    if hangs == "names":
        monkeypatch.setattr("socket.getaddrinfo", lambda *args, **kwargs: time.sleep(4))
    started = time.monotonic()
    report = run(config_for(give_up_sec=0.9), root)
    assert time.monotonic() - started < 1.5
    assert report.facts["providers"] == {"google": "timeout", "ddgs": "timeout",
                                         "searxng": "off until search.searxng_url names one",
                                         "feeds": "unreachable", "sitemaps": "not asked", "seeds": "not asked"}


def test_queries_are_worked_on_in_turn(root, monkeypatch):
    asked = engines(monkeypatch, google=results)
    for _ in range(3):
        run(config_for(queries_per_run=2), root)
    assert [query for _, query in asked] == ["one", "two", "three", "one", "two", "three"]


def test_search_stops_when_enough_is_due(root, monkeypatch):
    asked = engines(monkeypatch, google=results)
    run(config_for(enough_urls=4), root)
    assert len(asked) == 2
    assert run(config_for(enough_urls=4), root).facts["providers"]["google"] == "not asked, enough URLs are due"
    run(config_for(enough_urls=4, enough_per_host=1), root)  # two hosts with three URLs each are not enough then
    assert len(asked) == 5


def test_time_is_up(root, monkeypatch):
    asked = engines(monkeypatch, google=results)
    started = time.monotonic()
    run(config_for(max_minutes=0.5 / 60, pause_sec=0.2), root)
    assert len(asked) == 2 and time.monotonic() - started < 0.5


def test_every_refused_url_has_a_reason(root, monkeypatch):
    engines(monkeypatch, google=lambda query: [
        "http://a.example/", "HTTP://A.example:80#top", "mailto:me", "http://a.example/b.pdf", "http://xnxx.com/",
        "http://a.example/porn"])
    report = run(config_for(queries_per_run=1), root)
    assert (report.n_in, report.n_out) == (6, 1)
    assert report.dropped == {"already_known": 1, "bad_url": 1, "not_html_ending": 1, "blocked_host": 1,
                              "blocked_word": 1}


# --- seeds ---------------------------------------------------------------------------------------


def test_seeds_are_read_besides_the_engines(root, monkeypatch):
    engines(monkeypatch, google=results)
    feed = page("<rss><item><link>/1</link></item></rss>")
    with serve({"/feed": feed, "/map": (200, {}, URLSET)}) as server:
        write(root, "seeds.txt", f"# ours\npage {server.url}/x\nfeed {server.url}/feed\nsitemap {server.url}/map\n"
                                 f"sitemap {server.url}/gone\nbook http://a.example/\n")
        report = run(config_for(server), root)
    assert {url: source for url, (source, _) in urls_in(root).items() if source != "google"} == {
        f"{server.url}/x": "seeds", f"{server.url}/1": "feeds", "http://a.example/1": "sitemaps"}
    assert [report.facts["providers"][name] for name in SEED_LIST] == ["1 results"] * 3
    assert report.facts["seeds_failed"] == {f"{server.url}/gone": "http_404"}
    assert server.paths.count("/robots.txt") == 1


def test_seeds_obey_robots(root):
    robots, moved = page("User-agent: *\nDisallow: /feed"), page(status=302, Location="/feed")
    with serve({"/robots.txt": robots, "/to": moved}) as server:
        write(root, "seeds.txt", f"feed {server.url}/feed\nfeed {server.url}/to\n")
        report = run(config_for(server, providers=SEED_LIST), root)
    assert set(report.facts["seeds_failed"].values()) == {"robots"} and server.paths == ["/robots.txt", "/to"]


def test_requests_to_one_host_keep_their_distance(root):
    with serve({"/robots.txt": page("User-agent: *\nCrawl-delay: 0.3")}, default=page("<rss/>")) as server:
        write(root, "seeds.txt", f"feed {server.url}/1\nfeed {server.url}/2\n")
        run(config_for(server, providers=SEED_LIST, seed_delay_sec=0.1), root)
    assert server.paths == ["/robots.txt", "/1", "/2"]
    assert server.log[2].began - server.log[1].ended >= 0.29


def test_seeds_are_read_in_turn_until_enough_is_due(root):
    with serve({f"/{n}": page(f"<rss><item><link>/{n}.html</link></item></rss>") for n in range(3)}) as server:
        write(root, "seeds.txt", "".join(f"feed {server.url}/{n}\n" for n in range(3)))
        for enough in (1, 2, 3):
            run(config_for(server, providers=SEED_LIST, enough_urls=enough), root)
    assert [path for path in server.paths if path != "/robots.txt"] == ["/0", "/1", "/2"]


def test_long_seeds_are_cut(root):
    index = "<sitemapindex>" + "".join(f"<sitemap><loc>/{n}</loc></sitemap>" for n in range(9)) + "</sitemapindex>"
    part = "<urlset><url><loc>/{0}a.html</loc></url><url><loc>/{0}b.html</loc></url></urlset>"
    with serve({"/map": page(index)} | {f"/{n}": page(part.format(n)) for n in range(9)}) as server:
        write(root, "seeds.txt", f"sitemap {server.url}/map\n")
        config = config_for(server, providers=SEED_LIST, sitemaps_per_seed=3, urls_per_seed=4)
        assert [(report.n_in, report.n_out) for report in (run(config, root), run(config, root))] == [(4, 4), (6, 4)]
        assert server.paths[2:5] == ["/0", "/1", "/2"] and server.paths[6:] == ["/0", "/3", "/4"]  # the others in turn


def test_the_sample_site_is_found_once(root):
    write(root, "seeds.txt", f"sitemap {site_module.SITE}sitemap.xml\nfeed {site_module.SITE}feed.xml\n")
    write(root, "queries.txt", "love\n")
    with site_module.serve() as site:
        web = WebConfig(connect_to=[f"sample-site.invalid=127.0.0.1:{site.port}"])
        config = SearchConfig(providers=["searxng", *SEED_LIST], queries_per_run=3,
                              searxng_url=site_module.SITE + "search", web=web)
        first, second = run(config, root), run(config, root)
    assert first.n_out >= 700 and first.facts["providers"]["searxng"] == "30 results"
    assert second.n_out == 0 and second.dropped == {"already_known": second.n_in}


# --- what the user wrote -------------------------------------------------------------------------


def test_nothing_to_search_for_is_an_error(root):
    write(root, "queries.txt", "\n# nothing\n")
    with pytest.raises(StageError, match=r"holds no query.*Expected.*Fix:"):
        search.run(config_for(), root)
    with Catalog(root) as catalog, catalog.record():
        catalog.execute("INSERT INTO urls (url, host, source, found_at) VALUES ('http://a.example/', '', '', 0)")
    assert search.run(config_for(), root).n_in == 0


def test_a_file_that_is_not_utf_8_is_an_error(root):
    write(root, "queries.txt", "Bücher\n".encode("latin-1"))
    with pytest.raises(StageError, match=r"queries\.txt is not UTF-8: byte 1 is 0xfc.*iconv"):
        search.run(config_for(), root)


def test_queries_may_have_a_bom_comments_and_control_characters(root, monkeypatch):
    asked = engines(monkeypatch, google=results)
    write(root, "queries.txt", "\ufeffone\r\n\n  # comment\n two\x1b[31m \n")
    run(config_for(), root)
    assert [query for _, query in asked] == ["one", "two[31m", "one"]


def test_the_project_comes_with_queries_and_seeds():
    folder = Path(search.__file__).parent / "config"
    assert len(seeds.read_lines(folder / "queries.txt")) >= 10
    assert len({seed.url.split("/")[2] for seed in seeds.read_seeds(folder / "seeds.txt")}) >= 10
