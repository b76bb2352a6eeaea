"""search.py before stand-ins for engines and sites.   .venv/bin/python -m pytest tests/providers/test_search.py"""

import gzip
import signal
import subprocess
import threading
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import brotli
import pytest
import zstandard
from local_server import page, raw, serve

import search
from miniature_memory.core.errors import StageError, Stopped
from miniature_memory.core.log import DETAIL
from miniature_memory.core.process import catch_signals
from miniature_memory.core.stage import StageStats
from miniature_memory.crawl import seeds
from miniature_memory.crawl.config import ScrapeLimits, WebConfig
from miniature_memory.crawl.outcomes import Outcome, in_words, unread_seeds
from miniature_memory.demo_site import site as site_module
from miniature_memory.providers import discovery, listings, query_search, seed_search
from miniature_memory.providers.config import SearchConfig
from miniature_memory.providers.provider import Ask, Found, ProviderError
from miniature_memory.providers.provider_registry import PROVIDERS
from miniature_memory.storage import backoffs, urls
from miniature_memory.storage.catalog import Catalog
from miniature_memory.storage.urls import Archived

SEED_LIST = ["feeds", "sitemaps", "seeds"]
TRENDING = [Found(f"http://n{n}.example/", "Celebrity wedding of the year") for n in range(8)]


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
    return SearchConfig(**{"providers": names, "queries_per_run": 3, "pause_sec": 0.0, "web": web} | settings)


def engines(monkeypatch, **functions) -> list[tuple[str, str]]:
    """Put functions (query) -> URLs in the engines' place; return the list of (engine, query) that were asked."""
    asked: list[tuple[str, str]] = []

    def recorded(name, function):
        def engine(ask):
            if ask.what != query_search.CANARY:
                asked.append((name, ask.what))
            return [Found(url) for url in function(ask.what)]
        return engine
    for name, provider in PROVIDERS.items():
        if provider.takes == "query":
            stand_in(monkeypatch, name, recorded(name, functions.get(name, lambda query: [])))
    return asked


def stand_in(monkeypatch, name: str, ask: Callable[[Ask], list[Found]], **changes: bool) -> None:
    monkeypatch.setitem(PROVIDERS, name, PROVIDERS[name]._replace(ask=ask, **changes))


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


def run(config: SearchConfig, root: Path) -> StageStats:
    stats = search.run(config, root)
    assert stats.n_in == stats.n_out + sum(stats.dropped.values())
    return stats


def outcomes(stats: StageStats) -> dict[str, str]:
    return {name: in_words(outcome) for name, outcome in stats.facts["providers"].items()}


def back_offs(root: Path) -> dict[str, float]:
    """Seconds until each provider may be asked again."""
    with Catalog(root) as catalog:
        active = backoffs.active(catalog, backoffs.PROVIDER, time.time())
        return {name: backoff.until - time.time() for name, backoff in active.items()}


class Clock:
    """Stands in for the module time: sleeping takes no time."""

    def __init__(self, monkeypatch) -> None:
        self.now, self.slept, self.time = 0.0, [], time.time
        for module in (discovery, query_search, seed_search):
            monkeypatch.setattr(module, "time", self)

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.slept.append(seconds)


# --- the order of the providers ------------------------------------------------------------------


@pytest.mark.parametrize("outcome, words", [
    (Outcome(status="ok", results=1234, reason="", until=None), "1,234 results"),
    (Outcome(status="ok", results=0, reason="", until=None), "0 results"),
    (Outcome(status="failed", results=1, reason="http_404", until=None), "1 result, then HTTP 404"),
    (Outcome(status="backed_off", results=0, reason="js_wall", until=0.0), "page requires JavaScript; paused until "),
    (Outcome(status="off", results=0, reason="library_changed", until=None), "off: its library no longer sends "),
    ("10 results, then captcha", "10 results, then captcha"), ({}, "0 results")])
def test_outcomes_in_words(outcome, words):
    assert in_words(outcome).startswith(words)


@pytest.mark.parametrize("name, why", [
    ("searxng", "search.searxng_url is not set"), *((name, "its pages are in English, search.language is another")
                                                    for name in ("marginalia", "hackernews", "stackexchange"))])
def test_a_provider_is_off_where_it_cannot_be_asked(root, name, why):
    stats = run(SearchConfig(providers=[name], language="de"), root)
    assert stats.facts["providers"][name]["status"] == "off"
    assert outcomes(stats) == {name: f"off: {why}"}


def test_common_crawl_is_asked_for_the_hosts_of_the_seeds_a_page_per_run(root, monkeypatch):
    asked = []

    def index(ask):
        asked.append((ask.what, ask.page))
        return [Found(f"{ask.what}{ask.page}", archived=Archived("crawl-data/x.warc.gz", 77, 901))]
    stand_in(monkeypatch, "commoncrawl", index)
    write(root, "seeds.txt", "feed https://a.example/1\nfeed https://a.example/2\npage https://b.example/\n")
    for _ in range(2):
        assert run(config_for(providers=["commoncrawl"]), root).n_out == 2
    assert sorted(asked) == [(url, page) for url in ("https://a.example/2", "https://b.example/") for page in (0, 1)]
    with Catalog(root) as catalog:
        row = urls.get(catalog, "https://b.example/1")
    assert (row["archive"], row["archive_offset"], row["archive_length"]) == ("crawl-data/x.warc.gz", 77, 901)


def test_a_signal_does_not_wait_for_the_end_of_a_long_sitemap(root, monkeypatch):
    def interrupted(ask):
        for n in range(1000):
            if n == 950:
                signal.raise_signal(signal.SIGTERM)
            yield Found(f"http://a.example/{n}?b&a")
    stand_in(monkeypatch, "sitemaps", interrupted)
    write(root, "seeds.txt", "sitemap http://a.example/sitemap.xml\n")
    before = signal.getsignal(signal.SIGTERM)
    catch_signals()
    try:
        with pytest.raises(Stopped):
            run(config_for(providers=["sitemaps"]), root)
    finally:
        signal.signal(signal.SIGTERM, before)
    with Catalog(root) as catalog:
        assert urls.count(catalog) == 900 and catalog.state("search.next_sitemaps", 0) == 0


def test_what_search_finds_is_kept_as_it_was_found(root, monkeypatch):
    engines(monkeypatch, google=lambda query: [
        "http://Straße.example/index.php?topic/3", "http://a.example/x?b=1&a=2#c", "http://a.example/x?a=2&b=1",
        "http://a..example/", "http://\u2028.example/", "http://a.example/" + "x" * 5000, "http://free-porn.example/"])
    stats = run(config_for(queries_per_run=1), root)
    assert stats.dropped == {"already_known": 1, "bad_url": 3, "blocked_word": 1}
    with Catalog(root) as catalog:
        assert [row["url"] for row in catalog.execute("SELECT url FROM urls ORDER BY id")] == [
            "http://xn--strae-oqa.example/index.php?topic/3", "http://a.example/x?b=1&a=2"]
    assert run(config_for(queries_per_run=1, block_adult=False), root).n_out == 1


def test_an_unknown_provider_is_an_error():
    with pytest.raises(ValueError, match="altavista"):
        SearchConfig(providers=["altavista"])


def test_each_query_goes_to_the_first_provider_that_answers(root, monkeypatch):
    asked = engines(monkeypatch, google=failing("unreachable"), ddgs=results)
    stats = run(config_for(queries_per_run=4), root)
    assert asked == [("google", "one"), ("ddgs", "one"), ("ddgs", "two"), ("ddgs", "three")]
    assert urls_in(root)["http://two.example/1"] == ("ddgs", "two")
    assert outcomes(stats) == {"google": "unreachable", "ddgs": "9 results",
                               "searxng": "off: search.searxng_url is not set", **dict.fromkeys(SEED_LIST, "not asked")}


def test_a_library_may_fail_in_any_way_and_its_traceback_is_kept(root, monkeypatch, caplog):
    caplog.set_level(DETAIL)
    engines(monkeypatch, google=lambda query: 1 // 0, ddgs=results)
    outcome = run(config_for(), root).facts["providers"]["google"]
    assert outcome == {"status": "failed", "results": 0, "reason": "library_error", "until": None}
    assert "ZeroDivisionError" in caplog.text and "Traceback" in caplog.text


def test_a_provider_that_finds_nothing_at_all_gets_a_back_off(root, monkeypatch):
    asked = engines(monkeypatch, ddgs=results)
    outcome = run(config_for(queries_per_run=4), root).facts["providers"]["google"]
    assert (outcome["status"], outcome["reason"]) == ("backed_off", "silent")
    assert [name for name, _ in asked].count("google") == 1
    assert back_offs(root) == {"google": pytest.approx(3600, abs=60)}


def test_a_provider_that_passes_the_canary_is_believed(root, monkeypatch):
    asked = engines(monkeypatch, ddgs=results,
                    google=lambda query: results(query) if query == query_search.CANARY else [])
    stats = run(config_for(queries_per_run=6), root)
    assert outcomes(stats)["google"] == "0 results" and outcomes(stats)["ddgs"] == "9 results"
    assert [name for name, _ in asked] == ["google", "ddgs"] * 3


def test_results_for_another_query_are_a_refusal_which_doubles_too(root, monkeypatch):
    engines(monkeypatch, ddgs=results)
    stand_in(monkeypatch, "google", lambda ask: TRENDING)
    for days in (1, 2):
        stats = run(config_for(queries_per_run=2), root)
        assert stats.facts["providers"]["google"]["reason"] == "unrelated" and stats.n_in == 3
        assert back_offs(root) == {"google": pytest.approx(days * 86400, abs=60)}
        end_back_offs(root)


def end_back_offs(root: Path) -> None:
    with Catalog(root) as catalog, catalog.record():
        catalog.execute("UPDATE backoffs SET until = 0")


def test_without_the_time_for_a_canary_nobody_gets_a_back_off(root, monkeypatch):
    engines(monkeypatch)
    run(config_for(providers=["google"], pause_sec=5.0, max_minutes=0.05), root)
    assert back_offs(root) == {}


def test_results_in_other_words_are_believed_of_an_engine_that_works(root, monkeypatch):
    def answer(ask):
        text = "Wikipedia" if ask.what == query_search.CANARY else "World War II"
        return [Found(f"http://{ask.what}.example/{n}", text) for n in range(4)]
    write(root, "queries.txt", "ww2\n")
    engines(monkeypatch)
    stand_in(monkeypatch, "google", answer)
    stats = run(config_for(queries_per_run=1), root)
    assert stats.n_out == 4 and outcomes(stats)["google"] == "4 results"


def test_a_query_that_all_have_refused_has_had_its_turn(root, monkeypatch):
    engines(monkeypatch, google=failing("denied"), ddgs=failing("captcha"))
    run(config_for(), root)
    with Catalog(root) as catalog:
        assert catalog.state("search.next_query") == 1


def test_apis_are_believed_without_a_canary(root, monkeypatch):
    asked = []
    stand_in(monkeypatch, "searxng", lambda ask: asked.append(ask.what) or [])
    stats = run(config_for(providers=["searxng"], searxng_url="http://a.example/"), root)
    assert asked == ["one", "two", "three"] and outcomes(stats)["searxng"] == "0 results"


def test_urls_of_paused_hosts_are_not_enough(root, monkeypatch):
    asked = engines(monkeypatch, google=results)
    with Catalog(root) as catalog, catalog.record():
        for n in range(9):
            urls.add(catalog, f"http://paused.example/{n}", "test")
        backoffs.extend(catalog, backoffs.HOST, "paused.example", 999, "http_429")
    run(config_for(scrape=ScrapeLimits(max_pages=4)), root)
    assert asked


def test_pages_of_the_seed_list_need_no_network(root):
    write(root, "seeds.txt", "".join(f"feed http://dead{n}.invalid/\n" for n in range(3)) + "page http://a.example/x\n")
    assert run(config_for(providers=SEED_LIST), root).n_out == 1


def test_robots_txt_known_from_an_earlier_run_is_no_sign_of_a_dead_network(root):
    with serve({f"/{n}": page("<rss/>") for n in range(3)}) as server:
        write(root, "seeds.txt", "".join(f"feed {server.url}/{n}\n" for n in range(3)))
        for _ in range(2):
            with Catalog(root) as catalog:
                config = config_for(server, providers=["feeds"])
                one = discovery.Discovery(config, catalog, StageStats("search", facts={"seeds_failed": {}}))
                search.ask_in_order(one, [], seeds.read_seeds(root / "config/seeds.txt"))
                assert one.time.answered


@pytest.mark.parametrize("query, text, is_related", [
    ("history of astronomy", "Historical notes", True), ("history of astronomy", "Celebrity news", False),
    ("天文学の歴史", "世界の天文学", True), ("天文学の歴史", "有名人", False), ("C", "anything", True)])
def test_what_is_related(query, text, is_related):
    assert query_search.related(query, [Found(f"http://a.example/{n}", text) for n in range(4)]) == is_related
    assert query_search.related(query, [Found(f"http://a.example/{n}") for n in range(4)])  # nothing to judge by


def test_later_pages_are_asked_for_before_a_query_is_exhausted(root, monkeypatch):
    write(root, "queries.txt", "one\n")
    asked = []

    def two_pages(ask):
        asked.append(ask.page)
        return [Found(f"http://one.example/{ask.page}")] if ask.page < 2 else []
    engines(monkeypatch)
    stand_in(monkeypatch, "google", two_pages, zero_may_lie=False)
    run(config_for(), root)
    assert asked == [0, 1, 2] and len(urls_in(root)) == 2
    assert run(config_for(providers=["google"]), root).n_in == 0 and asked == [0, 1, 2]  # the answers of today count
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 8 * 86400)
    run(config_for(queries_per_run=1), root)
    assert asked == [0, 1, 2, 0]


def test_each_provider_gives_so_many_pages_of_a_query(root, monkeypatch):
    asked = engines(monkeypatch, google=results, ddgs=results)
    run(config_for(queries_per_run=20, pages_per_query=2), root)
    assert [asked.count(("google", query)) for query in ("one", "two", "three")] == [2, 2, 2]
    assert [asked.count(("ddgs", query)) for query in ("one", "two", "three")] == [2, 2, 2]


def test_queries_to_one_provider_keep_their_distance(root, monkeypatch):
    clock = Clock(monkeypatch)
    engines(monkeypatch, google=results)
    run(config_for(pause_sec=2.0), root)
    assert len(clock.slept) == 2 and clock.slept[0] != clock.slept[1]
    assert all(1.5 <= seconds <= 3.0 for seconds in clock.slept)


def test_the_back_off_of_a_refusal_doubles(root, monkeypatch):
    asked = engines(monkeypatch, google=failing("too_many_requests"), ddgs=results)
    for seconds in (3600, 7200):
        run(config_for(), root)
        assert back_offs(root) == {"google": pytest.approx(seconds, abs=60)}
        end_back_offs(root)
    assert sum(name == "google" for name, _ in asked) == 2


def test_a_provider_with_a_back_off_is_not_asked_until_it_ends(root, monkeypatch, caplog):
    caplog.set_level("INFO")
    engines(monkeypatch, google=failing("captcha", 90_000.0), ddgs=results)
    run(config_for(), root)
    assert "google refused the query: captcha; paused until " in caplog.text
    asked = engines(monkeypatch, google=results, ddgs=results)
    stats = run(config_for(), root)
    assert stats.facts["providers"]["google"]["status"] == "backed_off"
    assert outcomes(stats)["google"].startswith("captcha; paused until")
    assert {name for name, _ in asked} == {"ddgs"}
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 90_100)
    assert outcomes(run(config_for(), root))["google"] == "9 results"
    with Catalog(root) as catalog:
        assert backoffs.get(catalog, backoffs.PROVIDER, "google") is None


def test_without_a_network_no_provider_gets_a_back_off_and_the_queries_wait(root, monkeypatch):
    asked = engines(monkeypatch, google=failing("unreachable"), ddgs=failing("unreachable"))
    run(config_for(), root)
    assert len(asked) == 2 and back_offs(root) == {}
    with Catalog(root) as catalog:
        assert catalog.state("search.next_query", 0) == 0


@pytest.mark.parametrize("hangs", ["names", "engines"])
def test_a_dead_network_is_given_up(root, monkeypatch, hangs):
    monkeypatch.setattr(discovery, "GIVE_UP_SEC", 0.9)
    never = threading.Event()
    engines(monkeypatch, google=lambda query: never.wait(60), ddgs=lambda query: never.wait(60))
    write(root, "seeds.txt", "".join(f"feed http://site{n}.example/\n" for n in range(20)))
    if hangs == "names":
        monkeypatch.setattr("socket.getaddrinfo", lambda *args, **kwargs: never.wait(60))
    started = time.monotonic()
    stats = run(config_for(), root)
    assert time.monotonic() - started < 30
    assert outcomes(stats) == {"google": "timeout", "ddgs": "timeout", "searxng": "off: search.searxng_url is not set",
                               "feeds": "unreachable", "sitemaps": "not asked", "seeds": "not asked"}


def test_queries_are_worked_on_in_turn(root, monkeypatch):
    asked = engines(monkeypatch, google=results)
    for _ in range(3):
        run(config_for(queries_per_run=2), root)
    assert [query for _, query in asked] == ["one", "two", "three", "one", "two", "three"]


def test_search_stops_when_enough_is_due(root, monkeypatch):
    asked = engines(monkeypatch, google=results)
    enough = config_for(scrape=ScrapeLimits(max_pages=4))
    run(enough, root)
    assert len(asked) == 2
    assert outcomes(run(enough, root))["google"] == "not asked: enough URLs are due"
    run(config_for(scrape=ScrapeLimits(4, max_pages_per_host=1)), root)  # two hosts with three URLs each do not suffice
    assert len(asked) == 5


def test_search_stops_when_the_time_is_up(root, monkeypatch):
    Clock(monkeypatch)
    monkeypatch.setattr("random.uniform", lambda least, most: 1.0)
    asked = engines(monkeypatch, google=results)
    run(config_for(max_minutes=15 / 60, pause_sec=6.0), root)  # of which the engines get nine seconds
    assert len(asked) == 2


def test_every_rejected_url_has_a_reason(root, monkeypatch):
    engines(monkeypatch, google=lambda query: [
        "http://a.example/", "HTTP://A.example:80#top", "mailto:me", "http://a.example/b.pdf", "http://xnxx.com/",
        "http://a.example/porn"])
    stats = run(config_for(queries_per_run=1), root)
    assert (stats.n_in, stats.n_out) == (6, 1)
    assert stats.dropped == {"already_known": 1, "bad_url": 1, "not_html_ending": 1, "blocked_host": 1,
                              "blocked_word": 1}


# --- seeds ---------------------------------------------------------------------------------------


def test_seeds_are_read_in_addition_to_the_engines(root, monkeypatch):
    engines(monkeypatch, google=results)
    feed = page("<rss><item><link>/1</link></item></rss>")
    with serve({"/feed": feed, "/map": page("<urlset><url><loc>http://a.example/1</loc></url></urlset>")}) as server:
        write(root, "seeds.txt", f"# ours\npage {server.url}/x\nfeed {server.url}/feed\nsitemap {server.url}/map\n"
                                 f"sitemap {server.url}/gone\nbook http://a.example/\n")
        stats = run(config_for(server), root)
    assert {url: source for url, (source, _) in urls_in(root).items() if source != "google"} == {
        f"{server.url}/x": "seeds", f"{server.url}/1": "feeds", "http://a.example/1": "sitemaps"}
    with Catalog(root, read_only=True) as catalog:
        assert urls.found_by(catalog, urls.get(catalog, f"{server.url}/1")["id"]) == f"feeds: {server.url}/feed"
    assert [outcomes(stats)[name] for name in SEED_LIST] == ["1 result"] * 3
    assert stats.facts["seeds_failed"] == {f"{server.url}/gone": "http_404"}
    assert server.paths.count("/robots.txt") == 1


def test_seeds_obey_robots(root):
    robots, moved = page("User-agent: *\nDisallow: /feed"), page(status=302, Location="/feed")
    with serve({"/robots.txt": robots, "/to": moved}) as server:
        write(root, "seeds.txt", f"feed {server.url}/feed\nfeed {server.url}/to\n")
        stats = run(config_for(server, providers=SEED_LIST), root)
    assert set(stats.facts["seeds_failed"].values()) == {"robots"} and server.paths == ["/robots.txt", "/to"]


def test_requests_to_one_host_keep_their_distance(root):
    with serve({"/robots.txt": page("User-agent: *\nCrawl-delay: 0.3")}, default=page("<rss/>")) as server:
        write(root, "seeds.txt", f"feed {server.url}/1\nfeed {server.url}/2\n")
        run(config_for(server, providers=SEED_LIST), root)
    assert server.paths == ["/robots.txt", "/1", "/2"]
    assert server.log[2].began - server.log[1].ended >= 0.29


def test_seeds_are_read_in_turn_until_enough_is_due(root):
    with serve({f"/{n}": page(f"<rss><item><link>/{n}.html</link></item></rss>") for n in range(3)}) as server:
        write(root, "seeds.txt", "".join(f"feed {server.url}/{n}\n" for n in range(3)))
        for enough in (1, 2, 3):
            run(config_for(server, providers=SEED_LIST, scrape=ScrapeLimits(enough)), root)
    assert [path for path in server.paths if path != "/robots.txt"] == ["/0", "/1", "/2"]


def test_long_seeds_are_cut(root, monkeypatch):
    monkeypatch.setattr(listings, "SITEMAPS_PER_SEED", 3)
    index = "<sitemapindex>" + "".join(f"<sitemap><loc>/{n}</loc></sitemap>" for n in range(9)) + "</sitemapindex>"
    part = "<urlset><url><loc>/{0}a.html</loc></url><url><loc>/{0}b.html</loc></url></urlset>"
    with serve({"/map": page(index)} | {f"/{n}": page(part.format(n)) for n in range(9)}) as server:
        write(root, "seeds.txt", f"sitemap {server.url}/map\n")
        config = config_for(server, providers=SEED_LIST, urls_per_seed=4)
        assert [(stats.n_in, stats.n_out) for stats in (run(config, root), run(config, root))] == [(4, 4), (6, 4)]
        assert server.paths[2:5] == ["/0", "/1", "/2"] and server.paths[6:] == ["/0", "/3", "/4"]  # the others in turn


ARTICLE = page("<!DOCTYPE html><html><body><p>An article")


def seeds_failed(root: Path, *lines: str, server, **settings) -> dict[str, str]:
    """Run with these seeds; return why some gave nothing, by path."""
    write(root, "seeds.txt", "".join(f"{line.replace('/', server.url + '/', 1)}\n" for line in lines))
    facts = run(config_for(server, providers=SEED_LIST, **settings), root).facts
    return {url.removeprefix(server.url): reason for url, reason in facts["seeds_failed"].items()}


def test_a_bare_address_is_asked_for_once_to_see_what_it_is(root):
    feed, sitemap = page("<rss><item><link>/f1</link></item></rss>"), page("<urlset><url><loc>/s1</loc></url></urlset>")
    moved = page(status=301, Location="/feed")
    with serve({"/article": ARTICLE, "/feed": feed, "/map": sitemap, "/moved": moved}) as server:
        for _ in range(2):
            assert seeds_failed(root, "/article", "/feed", "/map", "/moved", "/gone", server=server) == {
                "/gone": "http_404"}
        found = [url.removeprefix(server.url) for url in urls_in(root)]
    assert found == ["/article", "/f1", "/s1"] and {source for source, _ in urls_in(root).values()} == {"seeds"}
    counts = {path: server.paths.count(path) for path in ("/article", "/feed", "/moved", "/gone")}
    assert counts == {"/article": 1, "/feed": 4, "/moved": 2, "/gone": 2}  # what failed is asked for again


def test_a_seed_that_was_read_and_gave_nothing_says_why(root):
    with serve({"/html": ARTICLE, "/none": page("<rss/>"), "/pdf": page("<rss><item><link>/x.pdf</link></item></rss>"),
                "/text": page("An essay."), "/empty": page("")}) as server:
        lines = ["feed /html", "feed /none", "feed /pdf", "sitemap /text", "/empty"]
        assert seeds_failed(root, *lines, server=server) == {
            "/html": "html_page", "/none": "no_links", "/pdf": "not_html_ending", "/text": "no_listing",
            "/empty": "empty"}


def test_a_host_that_asks_for_a_pause_gets_one(root):
    with serve({"/feed": page(status=429, Retry_After="700")}) as server:
        assert seeds_failed(root, "/feed", server=server) == {"/feed": "http_429"}
        assert seeds_failed(root, "/feed", server=server) == {"/feed": "http_429"}
        assert server.paths.count("/feed") == 1
    with Catalog(root) as catalog:
        assert backoffs.get(catalog, backoffs.HOST, f"127.0.0.1:{server.port}").until == pytest.approx(
            time.time() + 700, abs=60)


def test_a_sitemap_may_be_longer_than_a_page_and_packed(root):
    data = "".join(f"<url><loc>/{n}</loc></url>" for n in range(9000)).encode()
    packed = {"Content-Type": "text/html", "Content-Encoding": "none"}  # what a server says of it does not matter
    with serve({"/map.gz": (200, packed, gzip.compress(b"<urlset>" + data))}) as server:
        assert seeds_failed(root, "sitemap /map.gz", server=server, urls_per_seed=10_000) == {}
        assert len(urls_in(root)) == 9000


@pytest.mark.parametrize("coding", ["br", "zstd", "deflate", "gzip, br", "none"])
def test_a_listing_may_be_packed_in_a_way_that_was_not_asked_for(root, coding):
    data = b"<urlset><url><loc>/1</loc></url><url><loc>/2</loc></url></urlset>"
    packed = {"br": brotli.compress(data), "zstd": zstandard.compress(data), "deflate": zlib.compress(data)[2:-4],
              "gzip, br": brotli.compress(gzip.compress(data)), "none": data}[coding]
    with serve({"/map": (200, {"Content-Encoding": coding}, packed), "/cut": (200, {"Content-Encoding": "br"}, b"\0\1"),
                "/not": (200, {"Content-Encoding": coding}, data)}) as server:
        assert seeds_failed(root, "/map", "sitemap /cut", "/not", server=server) == {"/cut": "empty"}
        assert [url.removeprefix(server.url) for url in urls_in(root)] == ["/1", "/2"]


def test_nothing_is_asked_of_a_host_on_a_block_list(root):
    with serve({"/map": page("<sitemapindex><sitemap><loc>http://LOCALHOST:1/part</loc></sitemap></sitemapindex>"),
                "/moved": page(status=302, Location="http://localhost:1/feed")}) as server:
        write(root, "block.txt", "localhost\n")
        assert seeds_failed(root, "/map", "feed /moved", server=server, blocklists=["config/block.txt"]) == {
            "/map": "blocked_host", "/moved": "blocked_host"}
        assert server.paths == ["/robots.txt", "/moved", "/map"]


def test_what_came_of_a_sitemap_before_the_connection_broke_counts(root):
    body = b"<urlset><url><loc>/1</loc></url><url><loc>/2"
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: 900\r\n\r\n"
    with serve({"/map": raw(head + body)}) as server:
        assert seeds_failed(root, "/map", server=server) == {}
        assert [url.removeprefix(server.url) for url in urls_in(root)] == ["/1"]


def test_an_index_may_name_anything(root):
    odd = ["http://[oops/", "HTTP://a..b/", "http:///x", "http://x@127.0.0.1:1/", f"http://{'a' * 300}.example/"]
    index = "".join(f"<sitemap><loc>{url}</loc></sitemap>" for url in [*odd, "/part"])
    with serve({"/map": page(f"<sitemapindex>{index}"), "/part": page("<urlset><url><loc>/1</loc></url>")}) as server:
        assert seeds_failed(root, "/map", server=server) == {}
        assert [url.removeprefix(server.url) for url in urls_in(root)] == ["/1"]


def test_relative_addresses_belong_to_where_a_redirect_leads(root):
    feed = page("<feed><entry><link href='1'/></entry></feed>")
    with serve({"/old": page(status=301, Location="/news/feed"), "/news/feed": feed}) as server:
        assert seeds_failed(root, "feed /old", server=server) == {}
        assert [url.removeprefix(server.url) for url in urls_in(root)] == ["/news/1"]


def test_pages_behind_a_bare_address_need_no_network(root):
    write(root, "seeds.txt", "".join(f"http://dead{n}.invalid/\n" for n in range(4)) + "page http://a.example/x\n")
    stats = run(config_for(providers=SEED_LIST), root)
    assert stats.n_out == 1 and len(stats.facts["seeds_failed"]) == seed_search.DEAD_SEEDS


@pytest.mark.parametrize("failed, pages, is_own, words", [
    ({"http://a.example/": "http_404"}, {}, False, "http://a.example/: HTTP 404"),
    ({f"http://{n}.example/": "html_page" for n in range(5)}, {}, True, "2 more"),
    ({}, {"robots": 2}, False, "2 robots"), ({}, {}, True, ""),
    ({"http://a.example/": "unreachable"}, {}, True, "unreachable"),
    ({"http://a.example/": "unreachable"}, {"timeout": 1}, False, "")])  # no network
def test_seeds_of_which_nothing_could_be_read(failed, pages, is_own, words):
    facts = {"seeds_failed": failed, "providers": {"seeds": {"results": len(pages)}}}
    said = unread_seeds(facts, pages, is_own)
    assert words in said and bool(words) == bool(said)


def test_the_sample_site_is_found_once(root, monkeypatch):
    monkeypatch.setattr(discovery, "GIVE_UP_SEC", 30.0)
    write(root, "seeds.txt", f"sitemap {site_module.SITE}sitemap.xml\nfeed {site_module.SITE}feed.xml\n")
    write(root, "queries.txt", "love\n")
    with site_module.serve() as site:
        web = WebConfig(connect_to=[f"sample-site.invalid=127.0.0.1:{site.port}"])
        config = SearchConfig(providers=["searxng", *SEED_LIST], queries_per_run=3,
                              searxng_url=site_module.SITE + "search", web=web)
        first, second = run(config, root), run(config, root)
    assert first.n_out >= 700 and outcomes(first)["searxng"] == "30 results"
    assert second.n_out == 0 and second.dropped == {"already_known": second.n_in}


# --- what the user wrote -------------------------------------------------------------------------


def test_nothing_to_search_for_is_an_error_whose_fix_works(root):
    write(root, "queries.txt", "\n# nothing\n")
    with pytest.raises(StageError, match=r"no queries in .*Expected.*Fix:") as caught:
        search.run(config_for(), root)
    fix, command = caught.value.fix.rsplit("; ", 1)
    assert command == f"python3 run.py --root {root}"
    subprocess.run(fix, shell=True, check=True)
    assert run(config_for(providers=["google"], max_minutes=0.0), root).n_in == 0


def test_without_queries_and_seeds_a_root_that_has_urls_goes_on(root):
    write(root, "queries.txt", "")
    with Catalog(root) as catalog, catalog.record():
        urls.add(catalog, "http://a.example/", "test")
    assert run(config_for(), root).n_in == 0


@pytest.mark.parametrize(("encoding", "byte"), [("latin-1", "1 is 0xfc"), ("utf-16", "0 is 0xff")])
def test_a_file_that_is_not_utf_8_is_an_error_whose_fix_works(root, encoding, byte):
    write(root, "queries.txt", "Bücher\n".encode(encoding))
    with pytest.raises(StageError, match=rf"queries\.txt is not UTF-8: byte {byte}.*iconv") as caught:
        search.run(config_for(), root)
    subprocess.run(caught.value.fix.partition("convert it: ")[2], shell=True, check=True)
    assert seeds.read_lines(root / "config/queries.txt") == ["Bücher"]


def test_queries_may_have_a_bom_comments_and_control_characters(root, monkeypatch):
    asked = engines(monkeypatch, google=results)
    write(root, "queries.txt", "\ufeffone\r\n\n  # comment\n two\x1b[31m \n")
    run(config_for(), root)
    assert [query for _, query in asked] == ["one", "two[31m", "one"]


def test_the_project_comes_with_queries_and_seeds():
    folder = Path(search.__file__).parent / "config"
    assert len(seeds.read_lines(folder / "queries.txt")) >= 10
    assert len({seed.url.split("/")[2] for seed in seeds.read_seeds(folder / "seeds.txt")}) >= 10
