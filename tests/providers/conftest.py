"""A world on loopback for the tests of providers."""

import dataclasses
from collections.abc import Iterator

import pytest
from local_server import LocalServer, serve

from miniature_memory.crawl import web
from miniature_memory.providers import discovery, seed_search


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seed_search, "SEED_DELAY_SEC", 0.0)
    monkeypatch.setattr(discovery, "GIVE_UP_SEC", 2.0)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalServer]:
    """A server that stands in for every host: the host is the first part of the path."""
    with serve() as server:
        real = web.Web._exchange

        def exchange(self: web.Web, url: str, *rest: object) -> web.Fetched:
            here = f"{server.url}/{url.partition('://')[2]}"
            return dataclasses.replace(real(self, here, *rest), url=url)  # type: ignore[arg-type]
        monkeypatch.setattr(web.Web, "_exchange", exchange)
        yield server
