"""search.py and providers.py on loopback.   .venv/bin/python -m pytest tests/test_search.py"""

from __future__ import annotations

import gzip
import json
import time
from pathlib import Path

import pytest
import requests
from ddgs.exceptions import DDGSException
from local_server import page, serve

import providers
import sample_site
import search
from catalog import Catalog
from pipeline import StageError
from providers import ProviderError, Sitemap, ddgs, feed_links, google, read_sitemap, searxng
from search import SearchConfig
from web import WebConfig

BASE = "http://a.example/feed"


@pytest.fixture
def root(tmp_path) -> Path:
    """A root with three queries and no seeds."""
    (tmp_path / "config").mkdir()
    return write(write(tmp_path, "queries.txt", "one\ntwo\nthree\n"), "seeds.txt", "")


def write(root: Path, name: str, text: str | bytes) -> Path:
    (root / "config" / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return root


def config_for(*servers, **settings) -> SearchConfig:
    web = WebConfig(allow_private=[f"127.0.0.1:{server.port}" for server in servers], connect_timeout_sec=0.3)
    return SearchConfig(**{"pause_sec": 0.0, "seed_delay_sec": 0.0, "give_up_sec": 2.0, "web": web} | settings)


def engines(monkeypatch, **functions) -> list[tuple[str, str]]:
    """Put functions (query) -> URLs in the engines' place; return the list of (engine, query) that were asked."""
    asked: list[tuple[str, str]] = []

    def recorded(name, function):
        def engine(query, n, config):
            asked.append((name, query))
            return function(query)
        return engine
    for name in providers.ENGINES:
        monkeypatch.setitem(providers.ENGINES, name, recorded(name, functions.get(name, lambda query: [])))
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
    "<feed xmlns='http://www.w3.org/2005/Atom'><link href='/self'/><entry><link rel='edit' href='/edit'/>"
    "<link rel='alternate' href='/1'/></entry><entry><link href='http://a.example/2'/></entry></feed>",
    "\ufeff\n  <?xml version='1.0'?><!DOCTYPE rss [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><rss><item>&x;"
    "<link>http://a.example/1</link></item><item>&nbsp;<link>http://a.example/2</link></item><item><li"])
def test_feeds_in_their_odd_forms(feed):
    assert feed_links(feed.encode(), BASE) == ["http://a.example/1", "http://a.example/2"]


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


# --- engines -------------------------------------------------------------------------------------


def http_error(status: int, url: str = "https://www.google.com/search") -> requests.HTTPError:
    response = requests.Response()
    response.status_code, response.url = status, url
    return requests.HTTPError(response=response)


@pytest.mark.parametrize("error, reason", [
    (http_error(429), "too_many_requests"), (http_error(429, "https://www.google.com/sorry/index"), "captcha"),
    (http_error(403), "denied"), (http_error(500), "http_500"), (requests.ConnectionError(), "unreachable")])
def test_what_google_refuses_with(monkeypatch, error, reason):
    def refuse(*args, **kwargs):
        raise error
        yield
    monkeypatch.setattr("googlesearch.search", refuse)
    with pytest.raises(ProviderError, match=reason):
        google("query", 10, SearchConfig())


def test_google_keeps_what_came_before_a_refusal(monkeypatch):
    def halfway(query, **settings):
        assert settings["safe"] == "active" and settings["num_results"] == 10
        yield from ["http://a.example/", ""]
        raise http_error(429)
    monkeypatch.setattr("googlesearch.search", halfway)
    assert google("query", 10, SearchConfig()) == ["http://a.example/"]


@pytest.mark.parametrize("message, reason", [
    ("https://x 202 Ratelimit", "too_many_requests"), ("status: 403", "denied"), ("dns error", "unreachable")])
def test_what_ddgs_refuses_with(monkeypatch, message, reason):
    def refuse(*args, **kwargs):
        raise DDGSException(message)
    monkeypatch.setattr("ddgs.ddgs.DDGS.text", refuse)
    with pytest.raises(ProviderError, match=reason):
        ddgs("query", 10, SearchConfig())


def test_ddgs_has_results_or_none(monkeypatch):
    monkeypatch.setattr("ddgs.ddgs.DDGS.text", lambda self, query, **settings: [{"href": f"http://{query}.example/"}])
    assert ddgs("query", 10, SearchConfig()) == ["http://query.example/"]

    def nothing(*args, **kwargs):
        raise DDGSException("No results found.")
    monkeypatch.setattr("ddgs.ddgs.DDGS.text", nothing)
    assert ddgs("query", 10, SearchConfig()) == []


def json_page(content: object, status: int = 200):
    return status, {"Content-Type": "application/json"}, json.dumps(content).encode()


@pytest.mark.parametrize("answer, reason", [
    (page(status=429, Retry_After="60"), "too_many_requests"), (page(status=403), "denied"),
    (page("<p>no JSON"), "wrong_type"), (json_page([]), "bad_answer"), (json_page({"results": [{}]}), "bad_answer"),
    ((200, {"Content-Type": "application/json"}, b"{"), "bad_answer"),
    (json_page({"results": [], "unresponsive_engines": [["google", "captcha"]]}), "engines_unresponsive")])
def test_what_searxng_refuses_with(answer, reason):
    with serve(default=answer) as server, pytest.raises(ProviderError, match=reason):
        searxng("query", 10, SearchConfig(searxng_url=server.url))


@pytest.mark.parametrize("path", ["", "/", "/search"])
def test_searxng_is_asked_for_json_at_its_own_address(path):
    with serve(default=json_page({"results": [{"url": f"http://a.example/{n}"} for n in range(9)]})) as server:
        assert len(searxng("a b", 5, SearchConfig(searxng_url=server.url + path))) == 5
        assert server.paths == ["/search?q=a+b&format=json&language=en&safesearch=2"]


def test_unknown_providers_are_refused():
    with pytest.raises(ValueError, match="altavista"):
        SearchConfig(providers=["altavista"])


# --- the order of the providers ------------------------------------------------------------------


def test_each_query_goes_to_the_first_provider_that_answers(root, monkeypatch):
    asked = engines(monkeypatch, google=failing("unreachable"), ddgs=results)
    report = run(config_for(), root)
    assert asked == [("google", "one"), ("ddgs", "one"), ("ddgs", "two"), ("ddgs", "three")]
    assert urls_in(root)["http://two.example/1"] == ("ddgs", "two")
    assert report.facts["providers"] == {"google": "unreachable", "ddgs": "9 results", "searxng": "off",
                                         "seeds": "not asked"}


def test_a_library_may_fail_in_any_way(root, monkeypatch):
    engines(monkeypatch, google=lambda query: 1 // 0, ddgs=results)
    assert run(config_for(), root).facts["providers"]["google"] == "ZeroDivisionError"


def test_a_provider_without_results_twice_is_left(root, monkeypatch):
    asked = engines(monkeypatch, ddgs=results)
    assert run(config_for(), root).facts["providers"]["google"] == "no_results"
    assert [query for name, query in asked if name == "google"] == ["one", "two"]


def test_a_refusal_closes_the_provider_for_hours_and_doubles(root, monkeypatch):
    asked = engines(monkeypatch, google=failing("too_many_requests"), ddgs=results)
    now = time.time()
    closed = []
    for _ in range(2):
        run(config_for(), root)
        with Catalog(root) as catalog, catalog.record():
            closed.append(catalog.value("SELECT closed_until FROM breakers") - now)
            catalog.execute("UPDATE breakers SET closed_until = 0")
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
        assert catalog.value("SELECT count(*) FROM breakers") == 0


def test_no_network_closes_no_provider(root, monkeypatch):
    asked = engines(monkeypatch, google=failing("unreachable"), ddgs=failing("unreachable"))
    run(config_for(), root)
    assert len(asked) == 2
    with Catalog(root) as catalog:
        assert catalog.value("SELECT count(*) FROM breakers") == 0
        assert catalog.setting("search.next_query", 0) == 0  # the queries wait for a better night


@pytest.mark.parametrize("hangs", ["names", "engines"])
def test_a_dead_network_is_given_up(root, monkeypatch, hangs):
    engines(monkeypatch, google=lambda query: time.sleep(4), ddgs=lambda query: time.sleep(4))
    write(root, "seeds.txt", "".join(f"feed http://site{n}.example/\n" for n in range(20)))
    if hangs == "names":
        monkeypatch.setattr("socket.getaddrinfo", lambda *args, **kwargs: time.sleep(4))
    started = time.monotonic()
    report = run(config_for(give_up_sec=0.9), root)
    assert time.monotonic() - started < 1.5
    assert report.facts["providers"] == {"google": "timeout", "ddgs": "timeout", "searxng": "off",
                                         "seeds": "unreachable"}


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
    assert {url for url, (source, _) in urls_in(root).items() if source == "seeds"} == {
        f"{server.url}/x", f"{server.url}/1", "http://a.example/1"}
    assert report.facts["providers"]["seeds"] == "3 results"
    assert report.facts["seeds_failed"] == {f"{server.url}/gone": "http_404"}
    assert server.paths.count("/robots.txt") == 1


def test_seeds_obey_robots(root):
    robots, moved = page("User-agent: *\nDisallow: /feed"), page(status=302, Location="/feed")
    with serve({"/robots.txt": robots, "/to": moved}) as server:
        write(root, "seeds.txt", f"feed {server.url}/feed\nfeed {server.url}/to\n")
        report = run(config_for(server, providers=["seeds"]), root)
    assert set(report.facts["seeds_failed"].values()) == {"robots"} and server.paths == ["/robots.txt", "/to"]


def test_requests_to_one_host_keep_their_distance(root):
    with serve({"/robots.txt": page("User-agent: *\nCrawl-delay: 0.3")}, default=page("<rss/>")) as server:
        write(root, "seeds.txt", f"feed {server.url}/1\nfeed {server.url}/2\n")
        run(config_for(server, providers=["seeds"], seed_delay_sec=0.1), root)
    assert server.paths == ["/robots.txt", "/1", "/2"]
    assert server.log[2].began - server.log[1].ended >= 0.29


def test_seeds_are_read_in_turn_until_enough_is_due(root):
    with serve({f"/{n}": page(f"<rss><item><link>/{n}.html</link></item></rss>") for n in range(3)}) as server:
        write(root, "seeds.txt", "".join(f"feed {server.url}/{n}\n" for n in range(3)))
        for enough in (1, 2, 3):
            run(config_for(server, providers=["seeds"], enough_urls=enough), root)
    assert [path for path in server.paths if path != "/robots.txt"] == ["/0", "/1", "/2"]


def test_long_seeds_are_cut(root):
    index = "<sitemapindex>" + "".join(f"<sitemap><loc>/{n}</loc></sitemap>" for n in range(9)) + "</sitemapindex>"
    part = "<urlset><url><loc>/{0}a.html</loc></url><url><loc>/{0}b.html</loc></url></urlset>"
    with serve({"/map": page(index)} | {f"/{n}": page(part.format(n)) for n in range(9)}) as server:
        write(root, "seeds.txt", f"sitemap {server.url}/map\n")
        config = config_for(server, providers=["seeds"], sitemaps_per_seed=3, urls_per_seed=4)
        assert [(report.n_in, report.n_out) for report in (run(config, root), run(config, root))] == [(4, 4), (6, 2)]


def test_the_sample_site_is_found_once(root):
    write(root, "seeds.txt", f"sitemap {sample_site.SITE}sitemap.xml\nfeed {sample_site.SITE}feed.xml\n")
    write(root, "queries.txt", "love\n")
    with sample_site.serve() as site:
        web = WebConfig(connect_to=[f"sample-site.invalid=127.0.0.1:{site.port}"])
        config = SearchConfig(providers=["searxng", "seeds"], searxng_url=sample_site.SITE + "search", web=web)
        first, second = run(config, root), run(config, root)
    assert first.n_out >= 700 and first.facts["providers"]["searxng"] == "10 results"
    assert second.n_out == 0 and second.dropped == {"already_known": second.n_in}


# --- what the user wrote -------------------------------------------------------------------------


def test_nothing_to_search_for_is_an_error(root):
    write(root, "queries.txt", "\n# nothing\n")
    with pytest.raises(StageError, match=r"holds no query.*Expected.*To mend it"):
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
    assert [query for _, query in asked] == ["one", "two[31m"]


def test_the_project_comes_with_queries_and_seeds():
    folder = Path(search.__file__).parent / "config"
    assert len(search.read_lines(folder / "queries.txt")) >= 10
    assert len({seed.url.split("/")[2] for seed in search.read_seeds(folder / "seeds.txt")}) >= 10
