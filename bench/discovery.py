"""Discovery: what does a topic's first search find where every search engine refuses?

    .venv/bin/python -m bench.discovery                    "bread baking", with the default pauses and time
    .venv/bin/python -m bench.discovery --wikis-refuse     as wikis may where web.contact is not set

An HTTPS server on loopback stands in for all hosts (web.connect_to). Engines refuse as they do: Google leads to
/sorry/, DuckDuckGo answers 202, Brave 429, Mojeek 403. Wikis and open sources answer in the shapes of their APIs, 0.3 s
late; Marginalia's shared key is exhausted after one answer. Articles have 20 to 120 links, a third of which are copies,
identifiers or data, to 300 sites, few of which are cited often: all guesses. The last line is JSON.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import ssl
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from unittest import mock
from urllib.parse import parse_qs, urlsplit

import search
from miniature_memory.core.config import build_config, read_tables
from miniature_memory.core.stage import StageStats
from miniature_memory.providers import new_topic
from miniature_memory.providers.config import SearchConfig
from miniature_memory.storage import urls
from miniature_memory.storage.catalog import Catalog

TOPIC = "bread baking"
LATENCY_SEC = 0.3
SITES = 300
ARTICLES = 40  # that the wiki has about any query
Answer = tuple[int, dict[str, str], object]  # status, headers, JSON


def google(fields: dict[str, str]) -> Answer:
    return 302, {"Location": "https://www.google.com/sorry/index?continue=x"}, {}


def refusing(status: int) -> Any:
    return lambda fields: (status, {}, {})


ENGINES = {"www.google.com": google, "html.duckduckgo.com": refusing(202), "search.brave.com": refusing(429),
           "www.mojeek.com": refusing(403)}


def site(rng: random.Random) -> str:
    """One of the sites; the tenth is cited ten times as rarely as the first."""
    return f"https://www.site{int(rng.paretovariate(0.6)) % SITES}.example"


def wiki(host: str, fields: dict[str, str]) -> Answer:
    """api.php with generator=search: articles, or 500 links of articles at a time."""
    first, n = int(fields["gsroffset"]), int(fields["gsrlimit"])
    pages: list[dict[str, object]] = []
    for at in range(first, min(first + n, ARTICLES if "wikipedia" in host else 4)):
        title = f"{fields['gsrsearch']} {at}".capitalize()
        page = {"pageid": at + 1, "ns": 0, "title": title, "index": at - first + 1}
        if fields["prop"] == "info":
            page["fullurl"] = f"https://{host}/wiki/{title.replace(' ', '_')}"
        else:
            rng = random.Random(f"{host}{title}")
            page["extlinks"] = [{"url": cited(rng)} for _ in range(rng.randint(20, 120))]
            page["iwlinks"] = [{"prefix": "de", "title": "Brot", "url": "https://de.wikipedia.org/wiki/Brot"}]
        pages.append(page)
    answer: dict[str, object] = {"query": {"pages": pages}} if pages else {"batchcomplete": True}
    if fields["prop"] != "info" and pages:
        answer = paged(answer, pages, int(fields.get("elcontinue", "0")))
    return 200, {}, answer


def paged(answer: dict[str, object], pages: list[dict[str, Any]], start: int) -> dict[str, object]:
    """The links from `start` on, as many as one answer has, and where the next ones are."""
    n = 0
    for page in pages:
        links = page["extlinks"]
        page["extlinks"] = [link for at, link in enumerate(links, n) if start <= at < start + 500]
        n += len(links)
    if n > start + 500:
        answer["continue"] = {"elcontinue": str(start + 500), "continue": "||iwlinks"}
    return answer


def cited(rng: random.Random) -> str:
    page = f"{site(rng)}/pages/{rng.randrange(40)}.html"
    return rng.choices([page, f"https://web.archive.org/web/2015/{page}", "https://doi.org/10.1/" + str(rng.random()),
                        "//www.wikidata.org/wiki/Q1"], [68, 15, 12, 5])[0]


def marginalia(fields: dict[str, str], asked: int) -> Answer:
    if asked > 1:
        return 503, {}, {}
    rng = random.Random(fields["query"])
    rows = [{"url": f"{site(rng)}/small/{n}.html", "title": "x"} for n in range(int(fields["count"]))]
    return 200, {}, {"license": "CC-BY-NC-SA 4.0", "query": fields["query"], "results": rows}


def hackernews(fields: dict[str, str]) -> Answer:
    rng = random.Random(fields["query"])
    return 200, {}, {"hits": [{"objectID": str(n), "url": f"{site(rng)}/news/{n}.html"} for n in range(10)]}


def internetarchive(fields: dict[str, str]) -> Answer:
    docs = [{"identifier": f"{TOPIC.replace(' ', '')}{fields['page']}{n}"} for n in range(int(fields["rows"]))]
    return 200, {}, {"response": {"numFound": 99, "docs": docs}}


def stackexchange(fields: dict[str, str]) -> Answer:
    n = 10 if fields["site"] == "cooking" else 1
    items = [{"link": f"https://{fields['site']}.stackexchange.com/questions/{fields['q']}{at}", "title": fields["q"]}
             for at in range(n)]
    return 200, {}, {"items": items, "has_more": True, "quota_remaining": 250}


class World:
    """The hosts of the simulated web, and who was asked how often."""

    def __init__(self, wikis_refuse: bool = False) -> None:
        self.requests = Counter[str]()
        self.now = self.most_at_once = 0
        self.answers: dict[str, Any] = {
            **ENGINES, "hn.algolia.com": hackernews, "archive.org": internetarchive,
            "api.stackexchange.com": stackexchange,
            **{host: refusing(403) if wikis_refuse else partial(wiki, host)
               for host in ("en.wikipedia.org", "en.wikisource.org")},
            "api2.marginalia-search.com":
                lambda fields: marginalia(fields, self.requests["api2.marginalia-search.com"])}

    def answer(self, host: str, fields: dict[str, str]) -> Answer:
        self.requests[host] += 1
        self.now += host not in ENGINES  # ddgs asks several at a time
        self.most_at_once = max(self.most_at_once, self.now)
        time.sleep(LATENCY_SEC)
        self.now -= host not in ENGINES
        answer: Answer = self.answers[host](fields)
        return answer


@contextlib.contextmanager
def serve(world: World, folder: Path) -> Iterator[int]:
    """The port at which all hosts of a world are."""
    class Host(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            fields = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
            status, headers, content = world.answer(self.headers["Host"], fields)
            body = json.dumps(content).encode()
            self.send_response(status)
            headers = {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.do_GET()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with serve_tls(world.answers, Host, folder) as port:
        yield port


@contextlib.contextmanager
def serve_tls(hosts: Iterable[str], handler: type[BaseHTTPRequestHandler], folder: Path) -> Iterator[int]:
    """The port on loopback at which a handler answers for these hosts, with a certificate that this process trusts
    meanwhile; `folder` gets its files."""
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    names = ",".join(f"DNS:{host}" for host in hosts)
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                    "-keyout", key, "-out", certificate, "-days", "2", "-subj", "/CN=bench", "-addext",
                    f"subjectAltName={names}"], check=True, capture_output=True, timeout=30)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        with mock.patch("requests.adapters.DEFAULT_CA_BUNDLE_PATH", str(certificate)):
            yield int(server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()


def first_search(world: World, root: Path, overrides: list[str]) -> tuple[StageStats, float]:
    """What `run.py --topic` does up to the end of search, and the seconds that search took."""
    with tempfile.TemporaryDirectory(prefix="discovery-") as folder, serve(world, Path(folder)) as port:
        hosts = json.dumps([f"{host}=127.0.0.1:{port}" for host in world.answers])
        overrides = [*overrides, f"web.connect_to={hosts}"]
        new_topic.begin(root, TOPIC, read_tables(root, None, overrides))
        config: SearchConfig = build_config(SearchConfig, "search", read_tables(root, None, overrides))
        started = time.monotonic()
        stats = search.run(config, root)
        return stats, time.monotonic() - started


def hosts_found(root: Path) -> Counter[str]:
    """How many addresses of each host search has found."""
    with Catalog(root, read_only=True) as catalog:
        return Counter({host: sum(n for _, n in urls.states(catalog, host)) for host in urls.hosts_by_size(catalog)})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wikis-refuse", action="store_true", help="as they may where web.contact is not set")
    args = parser.parse_args()
    world = World(args.wikis_refuse)
    with tempfile.TemporaryDirectory(prefix="discovery-") as temporary:
        root = Path(temporary) / "topics/bread"
        stats, seconds = first_search(world, root, [])
        hosts = hosts_found(root)
    print(json.dumps({
        "bench": "discovery", "topic": TOPIC, "wikis_refuse": args.wikis_refuse, "addresses": sum(hosts.values()),
        "hosts": len(hosts), "seconds": round(seconds, 1), "sources_at_once": world.most_at_once,
        "requests": dict(world.requests),
        "results": {name: outcome["results"] for name, outcome in stats.facts["providers"].items()},
        "met": sum(hosts.values()) >= 200 and len(hosts) >= 40 and seconds < 60}))


if __name__ == "__main__":
    main()
