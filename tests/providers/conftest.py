"""A world on loopback for the tests of providers."""

import dataclasses
from collections.abc import Iterator

import pytest
from local_server import LocalServer, serve

from miniature_memory.crawl import web


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
