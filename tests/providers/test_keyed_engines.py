"""Engines with a key, before a server that answers as each of them does.

    .venv/bin/python -m pytest tests/providers/test_keyed_engines.py
"""

import json
import re
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from local_server import LocalServer, page, serve

import search
from miniature_memory.core.errors import ConfigError
from miniature_memory.core.paths import PROJECT
from miniature_memory.crawl.config import WebConfig
from miniature_memory.crawl.guard import FetchError
from miniature_memory.crawl.outcomes import REASONS, in_words
from miniature_memory.crawl.web import Web
from miniature_memory.providers import engine_keys, query_search
from miniature_memory.providers.config import SearchConfig
from miniature_memory.providers.engines import Key, engines_of, presets
from miniature_memory.providers.feed_reader import Listing
from miniature_memory.providers.keyed_engines import ask_engine
from miniature_memory.providers.provider import BACKOFF_SEC, Ask, Found, ProviderError
from miniature_memory.providers.provider_registry import PROVIDERS
from miniature_memory.storage import paid_queries

KEY, ID = "k3y-of-this.test_01", "cx:0123456789"
URL = "http://a.example/storms"

# What each service documents: an answer with a result, one without, and how it refuses: status, body, reason.
DOCUMENTED = {
    "serper": (
        {"searchParameters": {"q": "x", "type": "search", "page": 1}, "organic": [
            {"title": "Storms", "link": URL, "snippet": "at sea", "position": 1}], "credits": 1},
        {"searchParameters": {"q": "x"}, "organic": [], "credits": 1},
        [(403, {"message": "Unauthorized.", "statusCode": 403}, "bad_key"),
         (400, {"message": "Not enough credits", "statusCode": 400}, "no_credit")]),
    "serpapi": (
        {"search_metadata": {"status": "Success"}, "organic_results": [
            {"position": 1, "title": "Storms", "link": URL, "snippet": "at sea"}]},
        {"search_metadata": {"status": "Success"}, "search_information": {"organic_results_state": "Fully empty"},
         "error": "Google hasn't returned any results for this query."},
        [(401, {"error": "Invalid API key. Your API key should be here: ..."}, "bad_key"),
         (429, {"error": "Your account has run out of searches."}, "no_credit"),
         (429, {"error": "You are exceeding the hourly throughput limit."}, "too_many_requests")]),
    "google_cse": (
        {"kind": "customsearch#search", "searchInformation": {"totalResults": "1"}, "items": [
            {"title": "Storms", "link": URL, "snippet": "at sea"}]},
        {"kind": "customsearch#search", "searchInformation": {"totalResults": "0"}},
        [(400, {"error": {"code": 400, "message": "API key not valid. Please pass a valid API key."}}, "bad_key"),
         (403, {"error": {"errors": [{"reason": "dailyLimitExceeded"}]}}, "too_many_requests"),
         (429, {"error": {"errors": [{"reason": "rateLimitExceeded"}]}}, "too_many_requests")]),
    "brave": (
        {"type": "search", "query": {"original": "x"}, "web": {"results": [
            {"title": "Storms", "url": URL, "description": "at sea"}]}},
        {"type": "search", "query": {"original": "x"}},
        [(422, {"error": {"code": "SUBSCRIPTION_TOKEN_INVALID", "status": 422}}, "bad_key"),
         (429, {"error": {"code": "RATE_LIMITED", "status": 429}}, "too_many_requests")]),
    "kagi": (
        {"meta": {"trace": "t"}, "data": {"search": [{"url": URL, "title": "Storms", "snippet": "at sea"}]}},
        {"meta": {"trace": "t"}, "data": {}},
        [(400, {"meta": {}, "data": None, "errors": [{"code": "general.invalid_token"}]}, "bad_key"),
         (400, {"meta": {}, "data": None, "error": [{"code": 101, "msg": "Insufficient credit"}]}, "no_credit")]),
    "mojeek": (
        {"response": {"status": "OK", "head": {"return": 1}, "results": [
            {"url": URL, "title": "Storms", "desc": "at sea"}]}},
        {"response": {"status": "OK", "head": {"return": 0}, "results": []}},
        [(200, {"response": {"status": "ERROR: Daily Limit Reached"}}, "too_many_requests")]),
    "tavily": (
        {"query": "x", "results": [{"title": "Storms", "url": URL, "content": "at sea", "score": 0.9}]},
        {"query": "x", "results": []},
        [(401, {"detail": {"error": "Unauthorized: missing or invalid API key."}}, "bad_key"),
         (432, {"detail": {"error": "This request exceeds your plan's set usage limit."}}, "no_credit")]),
    "exa": (
        {"requestId": "r", "results": [{"title": "Storms at sea", "url": URL, "id": URL}]},
        {"requestId": "r", "results": []},
        [(401, {"requestId": "r", "error": "Invalid API key", "tag": "INVALID_API_KEY"}, "bad_key"),
         (402, {"requestId": "r", "error": "Top up", "tag": "NO_MORE_CREDITS"}, "no_credit")]),
}
# Where the key is, and the parameters of the third page in German
REQUESTS = {
    "serper": ("X-API-KEY", {"q": "sea storms", "num": 10, "page": 3, "hl": "de", "gl": "at"}),
    "serpapi": ("api_key", {"q": "sea storms", "engine": "google", "start": "20", "hl": "de", "gl": "at",
                            "safe": "active"}),
    "google_cse": ("key", {"cx": ID, "q": "sea storms", "num": "10", "start": "21", "lr": "lang_de", "gl": "at",
                           "safe": "active"}),
    "brave": ("X-Subscription-Token", {"q": "sea storms", "count": "20", "offset": "2", "search_lang": "de",
                                       "country": "AT", "safesearch": "strict", "text_decorations": "false"}),
    "kagi": ("Authorization", {"query": "sea storms", "workflow": "search", "limit": 20, "page": 3,
                               "filters": {"region": "AT"}, "safe_search": True}),
    "mojeek": ("api_key", {"q": "sea storms", "fmt": "json", "s": "21", "t": "10", "lb": "DE", "rb": "AT",
                           "safe": "1"}),
    "tavily": ("Authorization", {"query": "sea storms", "max_results": 20, "search_depth": "basic"}),
    "exa": ("x-api-key", {"query": "sea storms", "type": "auto", "numResults": 10, "userLocation": "AT",
                          "moderation": True}),
}


@pytest.fixture(autouse=True)
def own_count(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(engine_keys, "PROJECT", tmp_path)  # whose configuration may send keys anywhere


@pytest.fixture
def not_counted(monkeypatch):
    """For many requests that are about their answers: committing each takes longer than all else."""
    monkeypatch.setattr(paid_queries, "take", lambda engine, limit: True)


@pytest.fixture
def server() -> Iterator[LocalServer]:
    with serve() as server:
        yield server


def json_page(content: object, status: int = 200, **headers: str):
    return status, {"Content-Type": "application/json"} | headers, json.dumps(content).encode()


def config_for(server: LocalServer, *names: str, **settings) -> SearchConfig:
    """With the addresses of these engines on the server, and a key for each."""
    settings = {"engines": {name: {"url": f"{server.url}/{name}"} for name in names}, "pause_sec": 0.0,
                "web": WebConfig(allow_private=[f"127.0.0.1:{server.port}"])} | settings
    config = SearchConfig(**settings)
    config.keys.update({name: Key(KEY, f"{name.upper()}_API_KEY", ID) for name in names})
    return config


def asked(server: LocalServer, name: str, what: str = "sea storms", page: int = 0, **settings) -> list[Found]:
    config = config_for(server, name, **settings)
    return ask_engine(name, Ask(what, 10, page, config, Web(config.web), Listing))


def refused(server: LocalServer, name: str, page: int = 0) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        asked(server, name, page=page)
    assert KEY not in f"{caught.value.reason} {caught.value.advice}"
    return caught.value


def counted() -> int:
    return sum(paid_queries.used().values())


# --- what each service documents -------------------------------------------------------------------


def test_every_preset_is_tested():
    assert list(presets()) == list(DOCUMENTED) == list(REQUESTS)


@pytest.mark.parametrize("name", DOCUMENTED)
def test_results_and_none(server, name):
    answer, empty, _ = DOCUMENTED[name]
    server.default = json_page(answer)
    assert asked(server, name) == [Found(URL, "Storms at sea")]
    server.default = json_page(empty)
    assert asked(server, name) == [] and counted() == 2


@pytest.mark.parametrize("name", DOCUMENTED)
def test_the_request_is_as_documented(server, name):
    place, params = REQUESTS[name]
    seen = {}

    def answer(handler):
        seen.update(method=handler.command, headers=handler.headers, url=urlsplit(handler.path), count=counted(),
                    body=json.loads(handler.body) if handler.command == "POST" else {})
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n"
                            + json.dumps(DOCUMENTED[name][0]).encode())
    server.default = answer
    page = min(2, engines_of({})[name].max_pages - 1)
    assert asked(server, name, page=page, language="de", region="at")
    sent = seen["body"] or {key: values[0] for key, values in parse_qs(seen["url"].query).items()}
    assert (seen["headers"].get(place) or sent.pop(place)) in (KEY, f"Bearer {KEY}")
    assert sent == params and seen["count"] == 1  # counted before it arrived
    assert seen["headers"]["User-Agent"].startswith("miniature-memory/")


@pytest.mark.parametrize(("name", "status", "body", "reason"), [
    (name, *refusal) for name, (_, _, refusals) in DOCUMENTED.items() for refusal in refusals])
def test_how_each_refuses(server, name, status, body, reason):
    server.default = json_page(body, status)
    assert refused(server, name).reason == reason


@pytest.mark.parametrize("name", DOCUMENTED)
def test_refusals_that_all_have_in_common(server, name, not_counted):
    for status, reason in ((401, "bad_key"), (402, "no_credit"), (403, "bad_key"), (429, "too_many_requests"),
                           (503, "too_many_requests"), (500, "http_500"), (418, "http_418")):
        for server.default in (json_page({}, status, **{"Retry-After": "77"}), page("<p>No", status)):
            error = refused(server, name)
            assert error.reason == reason
            if reason in ("bad_key", "no_credit"):
                assert f"{name.upper()}_API_KEY" in error.advice and presets()[name]["signup"] in error.advice
    server.default = json_page({}, 429, **{"Retry-After": "77"})
    assert refused(server, name).retry_after_sec == 77.0
    assert "too_many_requests" in BACKOFF_SEC and {"bad_key", "no_credit"} <= REASONS.keys()


@pytest.mark.parametrize("name", DOCUMENTED)
def test_answers_of_another_shape(server, name, not_counted):
    for server.default in (page("<html>Welcome"), page(""), (200, {}, b"{"), (200, {}, b"[" * 100_000)):
        assert refused(server, name).reason == "not_json"
    field, _, inner = engines_of({})[name].results.partition(".")
    wrong = [{inner: 7} if inner else 7, [None, 7, {}, {"url": 7, "link": ""}], {inner: "x"}]
    for content in ([], 7, None, {}, {"message": "hello"}, *({field: one} for one in wrong)):
        server.default = json_page(content)
        assert refused(server, name).reason == "bad_answer"


@pytest.mark.parametrize("name", DOCUMENTED)
def test_a_bad_row_costs_itself_alone(server, name):
    text = json.dumps(DOCUMENTED[name][0]).replace('[{"', '[null, 7, [], {"url": {}, "link": 7}, {"', 1)
    server.default = (200, {}, text.encode())
    assert asked(server, name) == [Found(URL, "Storms at sea")]


@pytest.mark.parametrize("name", DOCUMENTED)
def test_a_page_beyond_the_last(server, name):
    assert asked(server, name, page=engines_of({})[name].max_pages) == []
    assert server.paths == [] and counted() == 0
    if engines_of({})[name].max_pages > 1:
        for server.default in (page("<p>No", 400), page("<p>No", 422)):
            assert asked(server, name, page=1) == []
        for status, body, reason in [(403, {}, "bad_key"), *DOCUMENTED[name][2]]:
            server.default = json_page(body, status)
            assert refused(server, name, page=1).reason == reason


def test_google_by_its_own_api_has_a_hundred_results(server):
    server.default = json_page(DOCUMENTED["google_cse"][0])
    assert asked(server, "google_cse", page=9) and "start=91" in server.paths[0]
    assert asked(server, "google_cse", page=10) == [] and len(server.paths) == 1


def test_safe_search_can_be_turned_off(server):
    server.default = json_page(DOCUMENTED["brave"][0])
    asked(server, "brave", safe_search=False, language="ja")
    assert "safesearch=off" in server.paths[0] and "search_lang=jp" in server.paths[0]


# --- the key goes nowhere else ---------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("name", ["serper", "serpapi"])
def test_a_redirect_is_not_followed(server, name, status):
    with serve(default=json_page(DOCUMENTED[name][0])) as other:
        server.default = page(status=status, Location=f"{other.url}/")
        assert refused(server, name).reason == "redirected" and other.log == []


def test_a_result_that_repeats_the_key_is_left_out(server):
    rows = [{"link": f"http://a.example/?key={KEY}"}, {"link": "http://b.example/", "title": f"Your key: {KEY}"}]
    server.default = json_page({"organic": [*rows, {"link": URL}]})
    assert asked(server, "serper") == [Found(URL)]


def test_no_key_is_sent_in_the_clear_or_shown():
    with pytest.raises(ValueError, match=r"send its key to google\.serper\.dev in the clear; expected https") as caught:
        SearchConfig(engines={"serper": {"url": f"http://google.serper.dev/search?{KEY}"}})
    assert KEY not in str(caught.value)
    assert KEY not in repr(Key(KEY, "X", KEY))


def test_an_error_of_the_network_does_not_name_the_address(server):
    config = config_for(server, "serpapi", web=WebConfig(allow_private=["127.0.0.1:9"]),
                        engines={"serpapi": {"url": "http://127.0.0.1:9/"}})
    with pytest.raises(ProviderError) as caught:
        ask_engine("serpapi", Ask("x", 10, 0, config, Web(config.web), Listing))
    assert caught.value.reason == "unreachable" and caught.value.__suppress_context__
    assert isinstance(caught.value.__context__, FetchError)


# --- among the providers -----------------------------------------------------------------------------


@pytest.fixture
def root(tmp_path, monkeypatch) -> Path:
    """A root with two queries, and with a key for serper."""
    (tmp_path / "config").mkdir()
    (tmp_path / "config/queries.txt").write_text("sea storms\nwhales\n")
    (tmp_path / "config/seeds.txt").write_text("")
    monkeypatch.setenv("SERPER_API_KEY", KEY)
    return tmp_path


def run(config: SearchConfig, root: Path) -> dict[str, str]:
    stats = search.run(config, root)
    return {name: in_words(outcome) for name, outcome in stats.facts["providers"].items()}


def test_google_by_key_comes_first_and_one_without_a_key_is_not_shown(root, server, monkeypatch):
    monkeypatch.setenv("BRAVE_API_KEY", KEY)
    monkeypatch.setitem(PROVIDERS, "google", PROVIDERS["google"]._replace(ask=lambda ask: pytest.fail("asked")))
    server.routes |= {"/serper": json_page({"organic": [{"link": f"http://{n}.example/"} for n in range(5)]})}
    outcomes = run(config_for(server, "serper", "brave", providers=["keyed", "google"], queries_per_run=2), root)
    assert outcomes == {"serper": "10 results", "brave": "not asked", "google": "not asked"}
    assert server.paths == ["/serper", "/serper"] and counted() == 2  # no canary, however odd the results


def test_an_engine_with_one_page_is_asked_for_no_second(root, server, monkeypatch):
    monkeypatch.delenv("SERPER_API_KEY")
    monkeypatch.setenv("TAVILY_API_KEY", KEY)
    server.default = json_page(DOCUMENTED["tavily"][0])
    for _ in range(3):
        run(config_for(server, "tavily", providers=["keyed"], queries_per_run=2), root)
    assert len(server.paths) == counted() == 2  # once for each query


def test_an_engine_that_is_named_without_a_key_is_off(root):
    assert run(SearchConfig(providers=["kagi"]), root) == {"kagi": "off: no key"}


def test_the_next_engine_takes_over_and_a_refusal_is_remembered(root, server, monkeypatch):
    monkeypatch.setenv("BRAVE_API_KEY", KEY)
    server.routes |= {"/serper": json_page({}, 429), "/brave": json_page(DOCUMENTED["brave"][0])}
    outcomes = run(config_for(server, "serper", "brave", providers=["keyed"], queries_per_run=3), root)
    assert outcomes["serper"].startswith("too many requests; paused until") and outcomes["brave"] == "2 results"
    run(config_for(server, "serper", "brave", providers=["keyed"], queries_per_run=1), root)
    assert [path.partition("?")[0] for path in server.paths] == ["/serper", "/brave", "/brave", "/brave"]


def test_a_refused_key_is_said_with_its_place_and_fix_and_asked_again_next_time(root, server, caplog):
    server.default = json_page({}, 401)
    for _ in range(2):
        assert run(config_for(server, "serper", providers=["serper"]), root) == {"serper": "its key was refused"}
    assert len(server.paths) == 2
    assert "serper refused its key, which comes from SERPER_API_KEY. Expected: a valid one. Fix: get one at https" \
        in caplog.text


@pytest.mark.parametrize(("limit", "n_asked"), [(0, 0), (1, 1), (2, 2)])
def test_the_limit_is_kept_and_said(root, server, limit, n_asked):
    server.default = json_page({"organic": [{"link": URL}]})
    settings = {"providers": ["keyed"], "queries_per_run": 5, "monthly_queries": limit, "requery_days": 0.0}
    for _ in range(2):
        outcomes = run(config_for(server, "serper", **settings), root)
    assert counted() == len(server.paths) == n_asked
    assert outcomes["serper"] == "off: " + REASONS["month_used_up" if limit else "never_asked"]


def test_where_nothing_can_be_counted_nothing_is_sent(root, server, caplog):
    paid_queries.path().parent.mkdir(parents=True)
    paid_queries.path().write_bytes(b"no database " * 99)
    off = {"serper": f"off: {REASONS['not_counted']}"}
    assert run(config_for(server, "serper", providers=["keyed"]), root) == off
    assert server.paths == [] and caplog.text.count("Fix: see whose it is") == 1
    paid_queries.path().unlink()
    server.default = json_page({"organic": [{"link": URL}]})
    assert run(config_for(server, "serper", providers=["keyed"]), root)["serper"] == "5 results"


def test_a_page_that_takes_too_long_stays_counted(root, server, monkeypatch):
    monkeypatch.setattr(query_search, "PROVIDER_SEC", 0.2)
    server.default = lambda handler: time.sleep(0.5)
    assert run(config_for(server, "serper", providers=["keyed"]), root) == {"serper": "timeout"} and counted() == 1


# --- settings --------------------------------------------------------------------------------------


OWN = {"url": "https://search.example/api", "params": {"q": "{query}"}, "headers": {"X-Key": "{key}"}}


@pytest.mark.parametrize(("engines", "message"), [
    ({"mine": OWN | {"adress": "x"}}, r"engines.mine: there is no key adress. Did you mean address"),
    ({"mine": OWN | {"url": "ftp://x"}}, r"\[search.engines.mine\] url: expected a web address"),
    ({"mine": OWN | {"url": "https://me:pw@x/"}}, "expected a web address"),
    ({"mine": OWN | {"url": f"htps://x?{KEY}"}}, "expected a web address"),
    ({"mine": {"results": "x"}}, "expected a web address"),
    ({"mine": OWN | {"method": "PUT"}}, 'expected "GET" or "POST"'),
    ({"mine": OWN | {"headers": {}}}, "{key} is missing; expected it in a value of params or headers"),
    ({"mine": OWN | {"params": {"q": "{qery}"}}}, "{qery} is unknown. Did you mean query"),
    ({"mine": OWN | {"params": {}}}, "{query} is missing"),
    ({"mine": OWN | {"refusals": {"x": "bad"}}}, "expected their values to be bad_key, no_credit or"),
    ({"mine": OWN | {"headers": {"X": "{key}\n"}}}, "expected texts of printable ASCII"),
    ({"mine": OWN | {"headers": f"X-Key: {KEY}"}}, "engines.mine.headers: expected a table"),
    ({"mine": OWN | {"number": 0}}, "1 to 100"), ({"mine": OWN | {"results": 7}}, "expected a text"),
    ({"mine": OWN | {"number": "9"}}, "engines.mine.number: expected a whole number"),
    ({"mine": KEY}, "engines.mine: expected a table"), ({"My-Engine": OWN}, "lower-case letters"),
    ({"google": OWN}, "that name is taken"), ({"brave": {"max_pages": 0}}, "max_pages = 0: expected 1 or more")])
def test_a_wrong_field_is_an_error(engines, message):
    with pytest.raises((ValueError, ConfigError), match=message) as caught:
        SearchConfig(engines=engines)
    assert KEY not in str(caught.value)


def test_an_engine_of_ones_own(server):
    own = {"mine": {"url": f"{server.url}/find?v=2", "params": {"q": "{query}", "tag": ["{language}-{REGION}"]},
                    "headers": {"Authorization": "Token {key}"}, "results": "hits.list", "address": "href",
                    "title": "name"}}
    server.default = json_page({"hits": {"list": [{"href": URL, "name": "Storms"}]}})
    assert asked(server, "mine", engines=own) == [Found(URL, "Storms")]
    assert server.paths == ["/find?v=2&q=sea+storms&tag=%5B%27en-US%27%5D"]
    assert server.log[0].headers["Authorization"] == f"Token {KEY}"
    with pytest.raises(ValueError, match="providers: 'mine' is unknown"):
        SearchConfig(providers=["mine"])
    assert SearchConfig(providers=["mine"], engines={"mine": OWN}).providers == ["mine"]


def test_the_page_about_engines_is_true():
    text = (PROJECT / "docs/engines.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    assert SearchConfig(engines=tomllib.loads(example)["search"]["engines"], providers=["mine"])
    rows = re.findall(r"(?m)^\| `(\w+)` \|.*\| ([\d.]+)\b[^|]*\| (\d+)", text)
    assert rows == [(name, f"{engine.usd_per_query}", f"{engine.number}") for name, engine in engines_of({}).items()]
    assert all(engine.signup in text for engine in engines_of({}).values())


def test_an_answer_with_more_rows_than_any_engine_gives_is_cut_short(server, not_counted):
    server.routes["/brave"] = json_page({"web": {"results": [{"url": f"{URL}/{n}"} for n in range(5000)]}})
    assert len(asked(server, "brave")) == 1000
