"""python3 -m pytest tests/storage/test_backoffs.py"""

import time
from pathlib import Path

import pytest

from miniature_memory.storage import backoffs
from miniature_memory.storage.catalog import Catalog


def test_each_backoff_is_twice_the_last_within_its_bounds_until_it_is_cleared(tmp_path: Path) -> None:
    with Catalog(tmp_path) as catalog, catalog.record():
        def extend(at_least: float = 0.0) -> float:
            return backoffs.extend(catalog, "host", "a.example", 60.0, "http_429", at_least, 300.0)

        assert [extend(), extend(), extend(200.0)] == [60.0, 120.0, 240.0]
        assert backoffs.get(catalog, "host", "a.example") == (pytest.approx(time.time() + 240, abs=5), "http_429", 3)
        assert [extend(), extend(500.0)] == [300.0, 300.0]
        backoffs.clear(catalog, "host", "a.example")
        assert backoffs.get(catalog, "host", "a.example") is None and extend(100.0) == 100.0


def test_who_has_been_left_alone_for_years_overflows_nothing(tmp_path: Path) -> None:
    with Catalog(tmp_path) as catalog, catalog.record():
        catalog.execute("INSERT INTO backoffs VALUES ('host', 'a', 0, 'http_429', 5000)")
        assert backoffs.extend(catalog, "host", "a", 60.0, "http_429", at_most_sec=3600.0) == 3600.0


def test_providers_and_hosts_of_one_name_are_apart_and_those_that_are_over_inactive(tmp_path: Path) -> None:
    with Catalog(tmp_path) as catalog, catalog.record():
        backoffs.extend(catalog, "host", "a", 60.0, "http_429")
        backoffs.extend(catalog, "host", "b", 30.0, "http_503")
        backoffs.extend(catalog, "host", "c", -1.0, "http_503")
        assert list(backoffs.active(catalog, "host", time.time())) == ["b", "a"]
        assert backoffs.active(catalog, "provider", time.time()) == {}
