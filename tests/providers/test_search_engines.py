"""Search engines: a stand-in server answers as the real ones do."""

import json

import ddgs.base as ddgs_base
import googlesearch
import pytest
from api_world import ODD_ROWS, ask, json_page, urls_of
from local_server import page, serve

from miniature_memory.crawl import web
from miniature_memory.crawl.guard import FetchError
from miniature_memory.crawl.web import Web
from miniature_memory.providers import commoncrawl as commoncrawl_module
from miniature_memory.providers.commoncrawl import commoncrawl
from miniature_memory.providers.config import SearchConfig
from miniature_memory.providers.feed_reader import Listing
from miniature_memory.providers.provider import BACKOFF_SEC, Ask, Found, ProviderError
from miniature_memory.providers.search_engines import ddgs, google, searxng
from miniature_memory.storage.urls import Archived


@pytest.fixture(autouse=True)
def no_pause(monkeypatch):
    monkeypatch.setattr(commoncrawl_module, "COMMONCRAWL_PAUSE_SEC", 0.0)


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
    assert reason in BACKOFF_SEC or reason == "http_500"


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


def test_ddgs_continues_with_the_backends_that_answer(world):
    world.routes |= {"/html.duckduckgo.com/html/": page(DDG_RESULT.format(1))}
    world.default = page(status=429)
    question = ask(world)
    for _ in range(2):
        assert urls_of(ddgs(question)) == ["http://d.example/1"]
    assert len(world.log) <= 4 and "html.duckduckgo.com" not in question.memory["refused"]


@pytest.mark.parametrize("changed", ["client gone", "client not called", "caller gone"])
@pytest.mark.parametrize("provider", [google, ddgs])
def test_a_library_that_may_use_its_own_client_sends_nothing(world, monkeypatch, provider, changed):
    def own_client(*args, **kwargs):
        raise AssertionError("sent by the library's own client")
    library, client, owner, caller = {google: (googlesearch, "get", googlesearch, "_req"),
                                      ddgs: (ddgs_base, "HttpClient", ddgs_base.BaseSearchEngine, "__init__")}[provider]
    monkeypatch.setattr(library, client, own_client)
    if changed == "client gone":
        monkeypatch.delattr(library, client)
    elif changed == "client not called":
        monkeypatch.setattr(owner, caller, own_client)
    elif provider is google:
        monkeypatch.delattr(owner, caller)
    else:
        monkeypatch.delattr(ddgs_base, "BaseSearchEngine")
    with pytest.raises(ProviderError, match="library_changed"):
        provider(ask(world))
    assert world.log == []


def test_a_library_that_sent_nothing_through_our_client_is_off(world, monkeypatch):
    monkeypatch.setattr(googlesearch, "search", lambda *args, **kwargs: [])
    monkeypatch.setattr("ddgs.DDGS.text", lambda *args, **kwargs: [])
    for provider in (google, ddgs):
        with pytest.raises(ProviderError, match="library_changed"):
            provider(ask(world))


@pytest.mark.parametrize("answer, reason", [
    (page(status=429, Retry_After="60"), "too_many_requests"), (page(status=403), "json_disabled"),
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
        found = searxng(Ask("a b", 5, 1, config, Web(config.web), Listing))
        assert len(found) == 9 and found[0] == Found("http://a.example/0", "Sea storms")
        assert server.paths == ["/search?q=a+b&format=json&language=en&pageno=2&safesearch=2"]


def test_a_bad_row_of_searxng_costs_itself_alone():
    good = {"url": "http://a.example/1", "title": None, "content": "storms"}
    with serve(default=json_page({"results": [*ODD_ROWS, good]})) as server:
        assert searxng(ask(server, searxng_url=server.url)) == [Found("http://a.example/1", "storms")]


def test_a_bad_row_of_an_engine_costs_itself_alone(world, monkeypatch):
    results = [None, {"body": "x"}, {"href": None}, {"href": "http://c.example/", "title": 7, "body": "y"}]
    world.default = page("<p>0")
    monkeypatch.setattr("ddgs.DDGS.text", lambda self, *args, **kwargs: [
        ddgs_base.HttpClient().request("GET", "http://www.mojeek.com/") and None, *results])
    assert ddgs(ask(world)) == [Found("http://c.example/", "y")]


def test_a_bad_line_of_the_index_costs_itself_alone(world):
    good = {"url": "https://a.example/", "filename": "crawl-data/x.warc.gz", "offset": "1", "length": "9"}
    odd = [{"url": None}, {"url": 7}, {"offset": float("inf")}, {"offset": -1}, {"length": []}, {"filename": "../x"}]
    lines = "\n".join(json.dumps(row) for row in [None, 7, [], {}, *(good | change for change in odd), good])
    world.routes |= {"/index.commoncrawl.org/collinfo.json": CRAWLS, INDEX: page(lines)}
    assert urls_of(commoncrawl(ask(world, "https://a.example/"))) == ["https://a.example/"]


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
