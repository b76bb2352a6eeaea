"""What the tests of providers share: a question to one, and answers as JSON."""

import json
from typing import Any

from local_server import LocalServer

from miniature_memory.crawl.config import WebConfig
from miniature_memory.crawl.web import Web
from miniature_memory.providers.config import SearchConfig
from miniature_memory.providers.feed_reader import Listing
from miniature_memory.providers.provider import Ask, Found


def ask(server: LocalServer, what: str = "sea storms", page: int = 0, n: int = 10, contact: str = "",
        **settings: Any) -> Ask:
    web = WebConfig(allow_private=[f"127.0.0.1:{server.port}"], contact=contact)
    return Ask(what, n, page, SearchConfig(web=web, **settings), Web(web), Listing)


def urls_of(found: list[Found]) -> list[str]:
    return [result.url for result in found]


def json_page(content: object, status: int = 200, **headers: str) -> tuple[int, dict[str, str], bytes]:
    return status, {"Content-Type": "application/json", **headers}, json.dumps(content).encode()


ODD_ROWS: list[object] = [None, 7, "x", [], {}, {"url": None}, {"url": 7}, {"url": ""}, {"url": {}}]
