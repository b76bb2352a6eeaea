"""search.py and providers.py on loopback.   .venv/bin/python3 -m pytest tests/crawl/test_search.py"""

from __future__ import annotations

import time
from itertools import pairwise
from pathlib import Path

import pytest
from local_server import page, serve

import search
from miniature_memory.core.errors import StageError
from miniature_memory.core.stage import StageStats
from miniature_memory.crawl import discovery, providers, seeds
from miniature_memory.crawl import engines as engines_module
from miniature_memory.crawl.config import SearchConfig, WebConfig
from miniature_memory.crawl.discovery import related
from miniature_memory.crawl.provider import Found, ProviderError
from miniature_memory.demo_site import site as site_module
from miniature_memory.storage import backoffs, urls
from miniature_memory.storage.catalog import Catalog

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


# --- providers, before a server that answers as the real ones do -----------------------------------


def test_wikis_want_a_contact(root):
    report = run(SearchConfig(providers=["mediawiki"]), root)
    assert "web.contact" in report.facts["providers"]["mediawiki"]


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
