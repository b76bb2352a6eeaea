"""Demo site: Shakespeare's plays on loopback, one page per scene, as a small newspaper would publish them.

`run.py --demo` and the tests use it, so that they exercise real HTTP. Every byte is the same on every run: a second
visit gets "304 Not Modified".

Alone   .venv/bin/python -m miniature_memory.demo_site.site --port 8000      first prints {"port": 8000}
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import logging
import math
import re
import signal
import socket
import socketserver
import sys
import threading
from array import array
from collections import defaultdict
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from functools import cached_property
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urljoin, urlsplit

from miniature_memory.demo_site.pages import (
    AUTHOR,
    FIRST_DAY,
    SECTIONS,
    SITE,
    SITE_NAME,
    PlaysMissingError,
    Scene,
    layout,
    link,
    link_items,
    load_scenes,
    page_html,
    scene_text,
)

logger = logging.getLogger(__name__)

FEED_ENTRIES = 30
RESULTS_PER_PAGE = 10  # as most engines behind SearXNG

# --- the site: from a path to an answer, without sockets -----------------------------------------


class Page(NamedTuple):
    status: int
    content_type: str
    body: bytes
    modified: datetime | None = None  # None: made for this one request, so it has no ETag either
    location: str = ""

    @property
    def etag(self) -> str:
        return f'"{hashlib.sha256(self.body).hexdigest()[:32]}"'


HTML, XML, JSON = "text/html; charset=utf-8", "application/xml; charset=utf-8", "application/json"
_ROBOTS = f"User-agent: *\nDisallow: /private/\n\nSitemap: {urljoin(SITE, '/sitemap.xml')}\n"
_PRIVATE = "<main><h1>Subscribers only</h1><p>Forbidden by robots.txt: no crawler has a reason to see this.</p></main>"
_ABOUT = f"<main><h1>About us</h1><p>An invented newspaper that prints {AUTHOR}'s plays, a scene a page.</p></main>"
_NOT_FOUND = "<main><h1>404</h1><p>No such page.</p></main>"


class Site:
    """Answers for paths. A page is made on its first request and kept: about 10 MB once all have been read."""

    def __init__(self) -> None:
        self.scenes = load_scenes()
        self.plays: dict[str, list[Scene]] = defaultdict(list)  # "/tragedies/hamlet/" -> its scenes
        for scene in self.scenes:
            self.plays[scene.path.rpartition("/")[0] + "/"].append(scene)
        self._scene_at = {scene.path: scene for scene in self.scenes}
        self._kept: dict[str, tuple[Page, str]] = {}

    def answer(self, target: str) -> tuple[Page, str]:
        """The page for a request target ("/path?query") and its ETag, "" where it has none."""
        path, query = urlsplit(target).path, urlsplit(target).query
        if path == "/search":
            return self._search_page({key: values[0] for key, values in parse_qs(query).items()}), ""
        if path not in self._kept:
            page = self._make(path)
            if page.status != 200:
                return page, ""
            self._kept[path] = page, page.etag
        return self._kept[path]

    def _make(self, path: str) -> Page:
        if path + "/" in self.plays:
            return Page(301, HTML, b"", location=urljoin(SITE, path + "/"))
        if (made := self._content(path)) is None:
            return Page(404, HTML, layout("Not found", "", _NOT_FOUND).encode())
        kind, text, modified = made
        return Page(200, kind, text.encode(), modified)

    def _content(self, path: str) -> tuple[str, str, datetime] | None:
        """(content type, text, time of the last change); None if the site has no such page."""
        newest = self.scenes[-1].published
        if scene := self._scene_at.get(path):
            return HTML, self._scene_page(scene), scene.published
        if path in self.plays:
            return HTML, self._play_page(path), self.plays[path][-1].published
        if path.startswith("/private/"):
            return HTML, layout("Subscribers only", "", _PRIVATE), FIRST_DAY
        if match := re.fullmatch(r"/sitemap-([a-z]+)\.xml", path):
            dates = [(scene.path, scene.published) for scene in self.scenes if scene.category == match[1]]
            return (XML, _sitemap("urlset", "url", dates), newest) if dates else None
        match path:
            case "/":
                return HTML, self._index_page(), newest
            case "/about.html":
                return HTML, layout("About us", "", _ABOUT), newest
            case "/robots.txt":
                return "text/plain; charset=utf-8", _ROBOTS, newest
            case "/feed.xml":
                return "application/atom+xml; charset=utf-8", _feed(self.scenes[:-FEED_ENTRIES - 1:-1]), newest
            case "/sitemap.xml":
                dates = [(f"/sitemap-{category}.xml", newest) for category in SECTIONS]
                return XML, _sitemap("sitemapindex", "sitemap", dates), newest
        return None

    def _scene_page(self, scene: Scene) -> str:
        near = self.scenes[max(0, scene.number - 1):scene.number + 2]
        neighbors = [other for other in near if other.play == scene.play and other != scene]
        related = [self.scenes[(scene.number + step) % len(self.scenes)] for step in (97, 194, 291, 388)]
        return page_html(scene, neighbors, related)

    def _play_page(self, path: str) -> str:
        scenes = self.plays[path]
        links = link_items([link(scene.path, f"{scene.act} {scene.title}".strip()) for scene in scenes])
        play = escape(scenes[0].play)
        return layout(scenes[0].play, "", f"<main><h1>{play}</h1>\n<ul class=\"menu\">\n{links}</ul></main>")

    def _index_page(self) -> str:
        parts = []
        for category, section in SECTIONS.items():
            plays = [(path, scenes[0].play) for path, scenes in self.plays.items() if path.startswith(f"/{category}/")]
            links = [link(path, play) for path, play in plays]
            parts.append(f'<section id="{category}"><h2>{section.name}</h2>\n<ul>\n{link_items(links)}</ul></section>')
        return layout("All the plays", "", "<main>\n" + "\n".join(parts) + "\n</main>")

    # Search, in the form of SearXNG's JSON API

    @cached_property
    def _numbers_of(self) -> dict[str, array[int]]:
        """word -> numbers of the scenes that have it, in themselves or in their labels."""
        numbers: dict[str, array[int]] = defaultdict(lambda: array("H"))
        for scene in self.scenes:
            for word in set(_words(f"{_labels(scene)} {scene_text(scene)}")):
                numbers[word].append(scene.number)
        return dict(numbers)

    def search(self, query: str) -> list[Scene]:
        """Scenes with any word of the query, rare words and words of the title first."""
        scores: dict[int, float] = defaultdict(float)
        for word in sorted(set(_words(query))):
            numbers = self._numbers_of.get(word, array("H"))
            for number in numbers:
                in_title = word in _words(_labels(self.scenes[number]))
                scores[number] += math.log(1 + len(self.scenes) / len(numbers)) * (3 if in_title else 1)
        return [self.scenes[number] for number in sorted(scores, key=lambda number: (-scores[number], number))]

    def _search_page(self, arguments: dict[str, str]) -> Page:
        """Status codes and keys are SearXNG's: 403 for a format that is off, 400 without a query."""
        kind, query, number = arguments.get("format", "html"), arguments.get("q", ""), arguments.get("pageno", "1")
        if kind not in ("html", "json"):
            return Page(403, HTML, b"<h1>Forbidden</h1>")
        if kind == "json" and not query:
            return Page(400, JSON, b'{"error": "No query"}')
        if not re.fullmatch(r"[1-9]\d{0,5}", number):
            return Page(400, JSON, b'{"error": "Invalid value for parameter pageno"}')
        found = self.search(query)
        first = (int(number) - 1) * RESULTS_PER_PAGE
        shown = found[first:first + RESULTS_PER_PAGE]
        if kind == "html":
            links = link_items([link(scene.path, f"{scene.play}: {scene.title}") for scene in shown])
            main = f'<main><form><input name="q"></form><h1>{len(found)} results</h1><ul>{links}</ul></main>'
            return Page(200, HTML, layout(query or "Search", "", main).encode())
        results = [_result(scene, query, place) for place, scene in enumerate(shown, first + 1)]
        answer = {"query": query, "number_of_results": len(found), "results": results, "answers": [],
                  "corrections": [], "infoboxes": [], "suggestions": [], "unresponsive_engines": []}
        return Page(200, JSON, json.dumps(answer).encode())


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def _labels(scene: Scene) -> str:
    return f"{AUTHOR} {scene.category} {scene.play} {scene.act} {scene.title}"


def _result(scene: Scene, query: str, place: int) -> dict[str, object]:
    """One search result with SearXNG's keys; its content is the text around the first word found."""
    text = " ".join(scene_text(scene).split())
    wanted = "|".join(map(re.escape, _words(query)))
    found = re.search(rf"\b(?:{wanted})\b", text, re.IGNORECASE)
    start = max(0, found.start() - 60) if found else 0
    return {"url": scene.url, "title": f"{scene.play}: {scene.title}", "content": text[start:start + 200],
            "publishedDate": scene.published.isoformat(), "engine": "folio", "engines": ["folio"], "positions": [place],
            "score": 1 / place, "category": "general", "template": "default.html", "thumbnail": "", "img_src": "",
            "parsed_url": [*urlsplit(scene.url)[:3], "", "", ""]}


def _sitemap(outer: str, inner: str, entries: list[tuple[str, datetime]]) -> str:
    rows = "".join(f"<{inner}><loc>{urljoin(SITE, path)}</loc><lastmod>{date.isoformat()}</lastmod></{inner}>\n"
                   for path, date in entries)
    return (f'<?xml version="1.0" encoding="UTF-8"?>\n<{outer} xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">\n'
            f"{rows}</{outer}>\n")


def _feed(scenes: list[Scene]) -> str:
    entries = "".join(f"""<entry><id>{scene.url}</id><title>{escape(f'{scene.play}: {scene.title}')}</title>
<link rel="alternate" type="text/html" href="{scene.url}"/><updated>{scene.published.isoformat()}</updated>
<summary>{escape(' '.join(scene_text(scene).split())[:200])}</summary></entry>
""" for scene in scenes)
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<feed xmlns="http://www.w3.org/2005/Atom"><id>{SITE}</id><title>{SITE_NAME}</title>
<link rel="self" href="{urljoin(SITE, '/feed.xml')}"/><updated>{scenes[0].published.isoformat()}</updated>
<author><name>{AUTHOR}</name></author>
{entries}</feed>
"""


# --- the server ----------------------------------------------------------------------------------


class _Handler(BaseHTTPRequestHandler):
    server: DemoSite
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "Folio/1.0", ""
    disable_nagle_algorithm = True  # headers and body are sent apart: Nagle would cost 40 ms per page
    wbufsize = 1 << 16
    timeout = 60

    def do_GET(self) -> None:
        page, etag = self.server.site.answer(self.path)
        unchanged = bool(etag) and self._has_current(page, etag)
        self.send_response(304 if unchanged else page.status)
        if etag and page.modified:
            self.send_header("ETag", etag)
            self.send_header("Last-Modified", format_datetime(page.modified, usegmt=True))
        if page.location:
            self.send_header("Location", page.location)
        if not unchanged:
            self.send_header("Content-Type", page.content_type)
            self.send_header("Content-Length", str(len(page.body)))
        self.end_headers()
        if self.command == "GET" and not unchanged:
            self.wfile.write(page.body)

    do_HEAD = do_GET

    def _has_current(self, page: Page, etag: str) -> bool:
        """Whether the client's copy is the current one; If-None-Match outranks the date (RFC 9110, 13.2.2)."""
        if known := self.headers.get("If-None-Match"):
            return known.strip() == "*" or etag in [tag.strip().removeprefix("W/") for tag in known.split(",")]
        try:
            since = parsedate_to_datetime(self.headers.get("If-Modified-Since", ""))
            return page.modified is not None and page.modified <= since.replace(tzinfo=UTC)
        except ValueError:
            return False  # no date, or not a valid one: send the full page

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        self.server.record(self.command or "", getattr(self, "path", ""), int(code))

    def log_message(self, format: str, *args: object) -> None:
        logger.debug(format, *args)


class DemoSite(ThreadingHTTPServer):
    """The running site: `.port`, `.log`, and `.close()`, which leaving a `with` block calls too."""

    request_queue_size = 128

    def __init__(self, port: int = 0) -> None:
        self.site = Site()
        self._log: list[tuple[str, str, int]] = []
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        super().__init__(("127.0.0.1", port), _Handler)
        self._thread = threading.Thread(target=self.serve_forever, args=(0.05,), name="demo-site", daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    @property
    def log(self) -> list[tuple[str, str, int]]:
        """(method, path with query, status) of every request answered so far."""
        with self._lock:
            return list(self._log)

    def record(self, method: str, path: str, status: int) -> None:
        with self._lock:
            self._log.append((method, path, status))

    def close(self) -> None:
        """Stop, and end connections that clients keep open: afterwards nobody is answered."""
        self.shutdown()
        self._thread.join()
        self.server_close()
        with self._lock:
            for connection in self._open:
                with contextlib.suppress(OSError):  # the client closed it first
                    connection.shutdown(socket.SHUT_RDWR)

    def __exit__(self, *_: object) -> None:
        self.close()

    def server_bind(self) -> None:
        """As HTTPServer's, but without looking up our own name, which can hang without a network."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "127.0.0.1", self.port

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore clients that hang up; anything else is a bug and keeps its traceback."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


def serve(port: int = 0) -> DemoSite:
    """Start the site on loopback; 0: a free port. Raises PlaysMissingError, and OSError for a port in use."""
    return DemoSite(port)


def _set_at_end_of_stdin(stop: threading.Event) -> None:
    sys.stdin.buffer.read()  # ends when the parent closes the pipe, or dies
    stop.set()


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Serve Shakespeare's plays on loopback until Ctrl-C or SIGTERM.")
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1 (default: a free one)")
    parser.add_argument("--until-stdin-closes", action="store_true", help="also stop when standard input ends")
    arguments = parser.parse_args(argv)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    signal.signal(signal.SIGINT, lambda *_: stop.set())
    try:
        site = serve(arguments.port)
    except (PlaysMissingError, OSError, OverflowError) as error:
        print(f"The demo site cannot start: {error}", file=sys.stderr)
        return 1
    with site:
        print(json.dumps({"port": site.port}), flush=True)
        if sys.stdout.isatty():
            print(f"Open http://127.0.0.1:{site.port}/ in a browser; Ctrl-C stops the site.")
        if arguments.until_stdin_closes:
            threading.Thread(target=_set_at_end_of_stdin, args=(stop,), daemon=True).start()
        stop.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
