"""The delay of a host is kept from search to scrape, which are two processes."""

import time
from pathlib import Path

from helpers import PROSE
from local_server import HTML, serve
from scraping import add, config_for, run

from miniature_memory.storage import last_asked
from miniature_memory.storage.catalog import Catalog


def test_the_first_request_waits_for_what_search_has_asked(tmp_path: Path) -> None:
    with serve({"/a": (200, HTML, f"<p>{PROSE}".encode()), "/robots.txt": (404, HTML, b"")}) as server:
        with Catalog(tmp_path) as catalog, catalog.record():
            last_asked.note(catalog, f"127.0.0.1:{server.port}")
        noted = time.monotonic()
        add(tmp_path, f"{server.url}/a")
        run(config_for(server, delay_sec=0.8), tmp_path)
        assert server.log[0].began - noted > 0.7


def test_only_the_last_minutes_are_kept_and_no_time_of_a_wrong_clock(tmp_path: Path, monkeypatch) -> None:
    now = time.time()
    with Catalog(tmp_path) as catalog, catalog.record():
        for name, at in (("old", now - 700), ("ahead", now + 1000), ("new", now)):
            monkeypatch.setattr(time, "time", lambda at=at: at)
            last_asked.note(catalog, name)
        assert catalog.state(last_asked.ASKED).keys() == {"new"}
        monkeypatch.setattr(time, "time", lambda: now - 5)
        assert last_asked.seconds_since(catalog) == {}
