"""python3 -m pytest tests/storage/test_clock.py: the clock was a year ahead, and is set back."""

import logging
import time
from pathlib import Path

import pytest

from miniature_memory.storage import backoffs, clock, provider_answers, urls
from miniature_memory.storage.catalog import Catalog

DAY_SEC = 86400.0


def visit(catalog: Catalog, url: str, wait_days: float, reason: str = "fetched") -> None:
    urls.add(catalog, url, "links")
    seen = urls.Seen("", "", "") if reason == "fetched" else None
    urls.finish_visit(catalog, urls.get(catalog, url)["id"], reason,  # type: ignore[index]
                      urls.NextVisit(time.time() + wait_days * DAY_SEC, wait_days, 0), seen)


def fill(root: Path, name: str) -> None:
    with Catalog(root) as catalog, catalog.record():
        visit(catalog, f"http://{name}.example/seen", 7)
        visit(catalog, f"http://{name}.example/failed", 7, "http_500")
        urls.add(catalog, f"http://{name}.example/new", "links")
        urls.keep_robots(catalog, f"{name}.example", "User-agent: *")
        backoffs.extend(catalog, backoffs.HOST, f"{name}.example", 600.0, "http_429")
        provider_answers.keep(catalog, "ddgs", name, 0, 10, 10)


def test_what_was_noted_in_the_future_is_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                                 caplog: pytest.LogCaptureFixture) -> None:
    fill(tmp_path, "now")
    now = time.time()
    with monkeypatch.context() as other:
        other.setattr(time, "time", lambda: now + 365 * DAY_SEC)
        fill(tmp_path, "then")
    with caplog.at_level(logging.WARNING), Catalog(tmp_path) as catalog:
        due = {row["url"] for host in ("now.example", "then.example") for row in urls.due(catalog, host, time.time())}
        assert due == {"http://now.example/new", *(f"http://then.example/{n}" for n in ("seen", "failed", "new"))}
        assert urls.robots(catalog, "now.example", now - DAY_SEC) and not urls.robots(catalog, "then.example",
                                                                                      now - DAY_SEC)
        answer = provider_answers.last(catalog, "ddgs", "then")
        assert answer and answer.asked_at < now
        assert not backoffs.active(catalog, backoffs.HOST, time.time())
    assert "365 days ahead" in caplog.text
    caplog.clear()
    Catalog(tmp_path).close()
    assert not caplog.text  # once


def test_a_clock_that_is_right_changes_nothing(tmp_path: Path) -> None:
    fill(tmp_path, "now")
    with Catalog(tmp_path) as catalog:
        assert [row["url"] for row in urls.due(catalog, "now.example", time.time())] == ["http://now.example/new"]
        assert catalog.state(clock.KEY) == pytest.approx(time.time(), abs=60)
