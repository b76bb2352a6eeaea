"""robots.py on loopback.   .venv/bin/python3 -m pytest tests/crawl/test_robots.py"""

import time

import pytest
from local_server import page, raw, serve

from miniature_memory.crawl.config import WebConfig
from miniature_memory.crawl.robots import Rules, fetch_rules, known_rules, remember_rules, robots_url
from miniature_memory.crawl.web import Web
from miniature_memory.storage import backoffs
from miniature_memory.storage.catalog import Catalog

ROBOTS = "User-agent: *\nDisallow: /private/\nAllow: /private/open\nCrawl-delay: 7"


def web_for(*servers, **settings) -> Web:
    return Web(WebConfig(allow_private=[f"127.0.0.1:{server.port}" for server in servers], **settings))


@pytest.mark.parametrize("answer, rules", [
    (page(ROBOTS), Rules(ROBOTS)), (page("\ufeff" + ROBOTS.replace("\n", "\r\n") + "\x1b"), Rules(ROBOTS)),
    (page(status=404), Rules()), (page(status=403), Rules()),
    (page(status=302, Location="/elsewhere"), "/elsewhere"),
    *((answer, Rules(rejection="robots_unavailable")) for answer in (page(status=429), page(status=500), raw(b"")))])
def test_robots_answers_mean_what_rfc_9309_says(answer, rules):
    with serve({"/robots.txt": answer}) as server:
        found = fetch_rules(web_for(server), robots_url(server.url + "/some/page"))
        assert (found.removeprefix(server.url) if isinstance(found, str) else found) == rules


def test_robots_txt_may_redirect_five_times():
    with serve({"/robots.txt": page(status=302, Location="/x")}) as server:
        assert isinstance(fetch_rules(web_for(server), server.url + "/robots.txt", 4), str)
        assert fetch_rules(web_for(server), server.url + "/robots.txt", 5) == Rules()
        assert fetch_rules(web_for(server), "http://10.0.0.1/robots.txt", 1) == Rules(rejection="robots_unavailable")


def test_robots_of_unreachable_and_forbidden_hosts():
    assert fetch_rules(Web(WebConfig()), "http://10.0.0.1/") == Rules(rejection="blocked_address")
    with serve() as server:
        pass
    assert fetch_rules(web_for(server), server.url).rejection == "unreachable"


def test_only_the_first_500_kib_of_robots_txt_count():
    text = ROBOTS + "\n# comment" * 60_000 + "\nDisallow: /late\n"
    with serve({"/robots.txt": page(text)}) as server:
        rules = fetch_rules(web_for(server), server.url + "/robots.txt")
        assert len(rules.text.encode()) == pytest.approx(500 * 1024, abs=10)
        assert [rules.rejection_of(server.url + path) for path in ("/private/x", "/late")] == ["robots", ""]


def test_a_rule_that_is_cut_off_is_none():
    start = "User-agent: *\nDisallow: /"
    text = "#" * (500 * 1024 - len(start) - 1) + "\n" + start + "private/\n"
    with serve({"/robots.txt": page(text)}) as server:
        rules = fetch_rules(web_for(server), server.url + "/robots.txt")
        assert rules.rejection_of(server.url + "/a") == ""


@pytest.mark.parametrize("answer, rejection", [
    (page("", status=204), ""), (page("", status=200), ""), (page(ROBOTS, status=203), "robots"),
    (page(ROBOTS, status=202), "robots"), ((200, {"Content-Encoding": "utf-8"}, ROBOTS.encode()), "robots"),
    (page("<!doctype html><title>404</title><p>Not found"), ""), (page(ROBOTS.replace("\n", "\r")), "robots"),
    ((200, {}, b"\xef\xbb" + ROBOTS.encode()), "robots"), ((200, {}, ROBOTS.encode("utf-16")), "robots"),
    ((200, {}, "User-agent: *\n# \xe9\nDisallow: /priv\xe9".encode("latin-1")), ""), (page(ROBOTS + "\x00"), "robots")])
def test_what_servers_send_as_robots_txt(answer, rejection):
    with serve({"/robots.txt": answer}) as server:
        rules = fetch_rules(web_for(server), server.url + "/robots.txt")
        assert rules.rejection_of(server.url + "/private/x") == rejection
        assert rules.rejection_of(server.url + "/priv%E9") == ("robots" if b"priv\xe9" in answer[2] else "")


def test_rules_are_read_as_written():
    rules = Rules(ROBOTS + "\nUser-agent: miniature-memory\nDisallow: /ours\n")
    assert [rules.rejection_of(f"http://a.example/{path}/x") for path in ("ours", "private")] == ["robots", ""]
    assert Rules(ROBOTS).rejection_of("http://a.example/private/open") == "" and Rules(ROBOTS).delay_sec == 7.0
    assert Rules().rejection_of("http://a.example/") == "" and Rules().delay_sec == 0.0


def test_rules_are_kept_for_a_day(tmp_path, monkeypatch):
    with Catalog(tmp_path) as catalog:
        assert known_rules(catalog, "a.example") is None
        with catalog.record():
            for host, rules in {"a.example": Rules(ROBOTS), "b.example": Rules(rejection="robots_unavailable"),
                                "c.example": Rules(rejection="unreachable")}.items():
                remember_rules(catalog, host, rules)
        assert known_rules(catalog, "a.example") == Rules(ROBOTS)
        assert known_rules(catalog, "b.example") == Rules(rejection="robots_unavailable")
        assert known_rules(catalog, "c.example") is None
        now = time.time()
        monkeypatch.setattr(time, "time", lambda: now + 90_000)
        assert known_rules(catalog, "a.example") is None and known_rules(catalog, "b.example") is None


def test_a_paused_host_keeps_its_rules(tmp_path):
    with Catalog(tmp_path) as catalog, catalog.record():
        remember_rules(catalog, "a.example", Rules(ROBOTS))
        backoffs.extend(catalog, "host", "a.example", 60, "http_429")
        assert known_rules(catalog, "a.example") == Rules(rejection="http_429")
        backoffs.extend(catalog, "host", "a.example", -1, "")
        assert known_rules(catalog, "a.example") == Rules(ROBOTS)
