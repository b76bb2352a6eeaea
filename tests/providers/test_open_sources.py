"""Open sources: a stand-in server answers as they do.  python3 -m pytest tests/providers/test_open_sources.py"""

import math
import time
from urllib.parse import parse_qs, urlsplit

import pytest
from api_world import ODD_ROWS, ask, json_page, urls_of
from local_server import page

from miniature_memory.crawl.frontier import DAY_SEC
from miniature_memory.providers.open_sources import (
    STACKEXCHANGE_SITES,
    hackernews,
    internetarchive,
    marginalia,
    stackexchange,
)
from miniature_memory.providers.provider import ProviderError

PATHS = {marginalia: "/api2.marginalia-search.com/search", hackernews: "/hn.algolia.com/api/v1/search",
         internetarchive: "/archive.org/advancedsearch.php",
         stackexchange: "/api.stackexchange.com/2.3/search/advanced"}


def rows_of(provider, rows):
    """An answer of the shape that a provider's API has."""
    shapes = {marginalia: {"license": "CC-BY-NC-SA 4.0", "page": 1, "pages": 9, "results": rows},
              hackernews: {"hits": rows, "nbHits": 99, "page": 0, "nbPages": 10},
              internetarchive: {"responseHeader": {"status": 0}, "response": {"numFound": 99, "docs": rows}},
              stackexchange: {"items": rows, "has_more": True, "quota_max": 300, "quota_remaining": 250}}
    return json_page(shapes[provider])


ROWS = {marginalia: {"url": "https://a.example/{n}", "title": "Storms", "description": "At sea", "quality": 5.0},
        hackernews: {"url": "https://a.example/{n}", "title": "Storms", "objectID": "{n}"},
        internetarchive: {"identifier": "seastorms0{n}"},
        stackexchange: {"link": "https://a.example/{n}", "title": "Do storms at sea end?", "question_id": 7}}
FOUND = {**dict.fromkeys(PATHS, "https://a.example/{n}"),
         internetarchive: "https://archive.org/stream/seastorms0{n}/seastorms0{n}_djvu.txt"}


def row(provider, n: int):
    return {key: value.format(n=n) if isinstance(value, str) else value for key, value in ROWS[provider].items()}


@pytest.mark.parametrize("provider", PATHS)
def test_results_and_the_next_page(world, provider):
    world.routes[PATHS[provider]] = rows_of(provider, [row(provider, n) for n in range(3)])
    found = urls_of(provider(ask(world, page=1)))
    assert found[:3] == [FOUND[provider].format(n=n) for n in range(3)]
    asked = {name: values[0] for name, values in parse_qs(urlsplit(world.paths[0]).query).items()}
    assert asked["page"] == ("1" if provider is hackernews else "2")
    assert {"sea", "storms"} <= set(asked["q" if "q" in asked else "query"].strip("(").replace(")", "").split())


@pytest.mark.parametrize("provider", PATHS)
def test_no_results(world, provider):
    world.routes[PATHS[provider]] = rows_of(provider, [])
    assert provider(ask(world)) == []


@pytest.mark.parametrize("provider", PATHS)
@pytest.mark.parametrize("answer, reason", [
    (page(status=429, Retry_After="90"), "too_many_requests"), (page(status=503), "too_many_requests"),
    (page(status=403), "denied"), (page(status=500), "http_500"), (page("<p>no JSON"), "wrong_type"),
    ((200, {"Content-Type": "application/json"}, b"{"), "bad_answer"), (json_page([]), "bad_answer"),
    ((200, {"Content-Type": "application/json"}, b"[" * 100_000), "bad_answer"), (json_page({}), "bad_answer")])
def test_how_they_refuse(world, provider, answer, reason):
    world.routes[PATHS[provider]] = answer
    with pytest.raises(ProviderError) as caught:
        provider(ask(world))
    assert caught.value.reason == reason and len(world.log) == 1
    assert caught.value.retry_after_sec == (90.0 if "Retry-After" in answer[1] else None)


@pytest.mark.parametrize("provider", PATHS)
def test_a_bad_row_costs_itself_alone(world, provider):
    odd = [*ODD_ROWS, {"identifier": "../x"}, {"identifier": "x" * 999}, {"identifier": 7}, {"link": []},
           {"objectID": "../x"}, {"objectID": None}]
    world.routes[PATHS[provider]] = rows_of(provider, [*odd, row(provider, 1)])
    assert set(urls_of(provider(ask(world)))) == {FOUND[provider].format(n=1)}
    world.routes[PATHS[provider]] = rows_of(provider, odd)
    with pytest.raises(ProviderError, match="bad_answer"):
        provider(ask(world))


def test_strangers_share_the_key_of_marginalia(world):
    world.routes[PATHS[marginalia]] = rows_of(marginalia, [])
    marginalia(ask(world))
    assert world.log[0].headers["API-Key"] == "public" and "nsfw=1" in world.paths[0]


def test_a_story_without_a_page_of_its_own_is_one(world):
    world.routes[PATHS[hackernews]] = rows_of(hackernews, [{"url": None, "objectID": "42", "title": "Ask HN: storms?"}])
    assert urls_of(hackernews(ask(world))) == ["https://news.ycombinator.com/item?id=42"]


def test_texts_are_in_the_language_of_the_search_and_none_that_is_only_lent(world):
    world.routes[PATHS[internetarchive]] = rows_of(internetarchive, [])
    internetarchive(ask(world, what='the "Brot" OR) backen:', language="de"))
    query = parse_qs(urlsplit(world.paths[0]).query)["q"][0]
    assert query.startswith("(the AND brot AND backen) AND ") and 'languageSorter:"German"' in query
    assert "NOT access-restricted-item:true" in query
    assert internetarchive(ask(world, what="?!")) == [] and len(world.log) == 1


def test_each_site_is_asked_for_questions_whose_title_is_about_the_query(world):
    world.routes[PATHS[stackexchange]] = rows_of(stackexchange, [
        row(stackexchange, 1), {"link": "https://a.example/2", "title": "What is a breadboard?"}])
    assert urls_of(stackexchange(ask(world))) == ["https://a.example/1"] * len(STACKEXCHANGE_SITES)
    assert [parse_qs(urlsplit(path).query)["site"][0] for path in world.paths] == list(STACKEXCHANGE_SITES)
    assert all(later.began >= sooner.ended for sooner, later in zip(world.log, world.log[1:], strict=False))


@pytest.mark.parametrize("asks, seconds", [
    ({"backoff": 20}, 20.0), ({"quota_remaining": 0}, DAY_SEC), ({"backoff": math.inf}, DAY_SEC)])
def test_a_backoff_is_respected(world, asks, seconds):
    world.routes[PATHS[stackexchange]] = json_page({"items": [row(stackexchange, 1)], "quota_remaining": 250} | asks)
    question = ask(world)
    assert len(stackexchange(question)) == 1 and len(world.log) == 1
    with pytest.raises(ProviderError) as caught:
        stackexchange(question)
    assert caught.value.reason == "too_many_requests" and len(world.log) == 1
    assert caught.value.retry_after_sec == pytest.approx(seconds, abs=5)


@pytest.mark.parametrize("message, seconds", [
    ("too many requests from this IP, more requests available in 82216 seconds", 82216.0), ("no", DAY_SEC),
    (7, DAY_SEC)])
def test_a_throttled_caller_is_told_so_with_status_400(world, message, seconds):
    world.routes[PATHS[stackexchange]] = json_page(
        {"error_id": 502, "error_name": "throttle_violation", "error_message": message}, status=400)
    with pytest.raises(ProviderError) as caught:
        stackexchange(ask(world))
    assert (caught.value.reason, caught.value.retry_after_sec) == ("too_many_requests", seconds)


def test_what_came_in_time_counts(world):
    question, n = ask(world), 0
    first = rows_of(stackexchange, [row(stackexchange, 1)])

    def answer(handler):
        nonlocal n
        n += 1
        time.sleep(5.0 if n > 1 else 0.0)
        handler.send_response(200)
        handler.send_header("Content-Type", "application/json")
        handler.end_headers()
        handler.wfile.write(first[2])
    world.routes[PATHS[stackexchange]] = answer
    question.deadline = time.monotonic() + 0.5
    assert len(stackexchange(question)) == 1 and n == 2
