"""frontier.py: which URLs are next, and when again.   .venv/bin/python3 -m pytest tests/crawl/test_frontier.py"""

import time

import pytest

from miniature_memory.crawl.frontier import DAY_SEC, due_urls, next_visit, status_table
from miniature_memory.storage import backoffs, urls
from miniature_memory.storage.catalog import Catalog


@pytest.fixture
def catalog(tmp_path):
    with Catalog(tmp_path) as catalog:
        yield catalog


def fill(catalog: Catalog, **hosts: int) -> None:
    with catalog.record():
        for host, n in hosts.items():
            for k in range(n):
                assert urls.add(catalog, f"http://{host}.example/{k}", "test") == ""


def test_hosts_take_turns(catalog):
    fill(catalog, a=9, b=2, c=5)
    turns = [row["host"][0] for row in due_urls(catalog, 12, 4)]
    assert turns[:6] == ["a", "b", "c", "a", "b", "c"] and sorted(turns[6:]) == ["a", "a", "c", "c"]
    assert len(due_urls(catalog, 5, 4)) == 5
    assert len(due_urls(catalog, 5, 4, ["a.example"])) == 9 + 5


def test_one_large_host_fills_what_the_small_ones_leave(catalog):
    fill(catalog, large=200, **{f"h{n}": 1 for n in range(30)})
    rows = due_urls(catalog, 100, 50)
    assert len(rows) == 80 and sum(row["host"] == "large.example" for row in rows) == 50


def test_hosts_know_when_their_first_url_is_due(catalog):
    fill(catalog, a=3)
    for due_at in (50.0, 70.0, None):
        with catalog.record():
            catalog.execute("UPDATE urls SET due_at = ? WHERE url LIKE '%/0'", [due_at])
            catalog.execute("UPDATE urls SET due_at = 90 WHERE url NOT LIKE '%/0'")
        assert catalog.value("SELECT due_at FROM hosts") == (due_at or 90)
    with catalog.record():
        catalog.execute("UPDATE urls SET due_at = NULL")
    assert catalog.value("SELECT due_at FROM hosts") is None and due_urls(catalog, 9, 9) == []


def test_paused_hosts_wait(catalog):
    fill(catalog, a=2, b=2)
    with catalog.record():
        backoffs.extend(catalog, "host", "a.example", 60, "http_429")
    assert {row["host"] for row in due_urls(catalog, 9, 9)} == {"b.example"}


def test_only_some_urls_of_a_host_count(catalog):
    fill(catalog, a=9, b=1)
    assert urls.enough_due(catalog, 5, 4) and not urls.enough_due(catalog, 6, 4) and urls.count_due(catalog) == 10


@pytest.mark.parametrize("reason, failures, before, days", [
    ("fetched", 0, None, 7), ("fetched", 0, 8, 4), ("fetched", 0, 1, 1), ("not_modified", 0, 8, 16),
    ("unchanged", 0, 80, 90), ("robots", 3, 8, 16), ("http_500", 0, 8, 1), ("timeout", 2, 8, 4), ("timeout", 99, 8, 30),
    ("http_404", 0, 8, 1), ("http_404", "again", 8, None), ("http_410", 0, 8, None), ("not_html", 0, 8, None)])
def test_when_a_page_is_visited_again(reason, failures, before, days):
    state, failures = ("http_404", 1) if failures == "again" else ("new", failures)
    row = {"failures": failures, "revisit_days": before, "archive": None, "state": state}
    due = next_visit(row, reason, 7.0).due_at
    assert due == (None if days is None else pytest.approx(time.time() + days * DAY_SEC, abs=10))


def test_the_status_is_short_and_shows_paused_hosts(tmp_path):
    with Catalog(tmp_path) as catalog:
        with catalog.record():
            for n in range(50):
                urls.add(catalog, f"http://host{n}.example/", "test")
            backoffs.extend(catalog, backoffs.HOST, "host1.example", 3600, "http_429")
        lines = status_table(catalog).splitlines()
    assert len(lines) == 43 and lines[41] == "... and 10 more hosts" and lines[0].split()[2] == "50"
    assert lines[42].split()[:3] == ["host1.example", "paused", "until"] and lines[42].endswith(": HTTP 429")
