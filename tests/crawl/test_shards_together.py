"""Five shards fetch what one machine fetches.   .venv/bin/python -m pytest tests/crawl/test_shards_together.py

The slow test crawls with five processes at the same time, one of which is killed.
"""

import contextlib
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest
from api_world import json_page
from helpers import PROSE, lines, run_py
from local_server import HTML, LocalServer, page, serve

import scrape
import search
from miniature_memory.core.paths import PROJECT
from miniature_memory.core.process import lock_holder
from miniature_memory.core.shards import Shard
from miniature_memory.crawl import handover
from miniature_memory.crawl.config import ScrapeConfig, WebConfig
from miniature_memory.providers import seed_search
from miniature_memory.providers.config import SearchConfig
from miniature_memory.storage import shards
from miniature_memory.storage.catalog import Catalog

N_HOSTS, N_SHARDS = 12, 5
PROVIDERS = ["searxng", "feeds", "sitemaps", "seeds"]


class World:
    """Twelve hosts, each at an address of its own, and a search engine that knows some of their pages."""

    def __init__(self, hosts: dict[int, LocalServer], engine: LocalServer) -> None:
        self.hosts, self.engine = hosts, engine
        for n, host in hosts.items():
            host.routes |= {"/1": self.article(n, "/1", "/2"), "/2": self.article(n, "/2", "/3"),
                            "/3": self.article(n, "/3", "/4"), "/4": self.article(n, "/4"),
                            **{path: self.article(n, path) for path in ("/found", "/fed", "/mapped", "/blogged")}}
        # Only a redirect leads to host 2, and another one from there to host 12
        hosts[1].routes |= {"/1": self.article(1, "/1", "/go"), "/go": self.to(2, "/moved"),
                            "/feed": self.feed((n, "/fed") for n in (1, 9, 10, 11, 12))}
        hosts[2].routes |= {"/moved": self.to(12, "/end"), "/blog": self.to(3, "/atom")}
        hosts[12].routes |= {"/end": self.article(12, "/end", "/deep"), "/deep": self.article(12, "/deep", "/deeper"),
                             "/deeper": self.article(12, "/deeper")}
        hosts[3].routes |= {"/atom": self.feed((n, "/blogged") for n in (2, 3, 4))}
        hosts[5].routes |= {"/sitemap.xml": self.xml("sitemapindex", "sitemap", [(6, "/a.xml"), (7, "/b.xml")])}
        hosts[6].routes |= {"/a.xml": self.xml("urlset", "url", [(6, "/mapped"), (8, "/mapped")])}
        hosts[7].routes |= {"/b.xml": self.xml("urlset", "url", [(7, "/mapped")])}
        engine.routes |= {"/search": json_page({"results": [
            {"url": self.url(n, "/found"), "title": "ships", "content": "ships"} for n in range(3, 9)]})}
        self.seeds = "\n".join([*(f"page {self.url(n, '/1')}" for n in (1, 4, 7, 11)), f"feed {self.url(1, '/feed')}",
                                self.url(2, "/blog"), f"sitemap {self.url(5, '/sitemap.xml')}"])

    def url(self, n: int, path: str) -> str:
        return self.hosts[n].url + path

    def article(self, n: int, path: str, link: str = "") -> tuple[int, dict[str, str], bytes]:
        return page(f"<title>{n}</title><article><p>Host {n}, {path}. {PROSE}</p><p><a href='{link}'>on</a></article>")

    def to(self, n: int, path: str) -> tuple[int, dict[str, str], bytes]:
        return 302, HTML | {"Location": self.url(n, path)}, b""

    def xml(self, outer: str, inner: str, places) -> tuple[int, dict[str, str], bytes]:
        rows = "".join(f"<{inner}><loc>{self.url(*place)}</loc></{inner}>" for place in places)
        return 200, {"Content-Type": "application/xml"}, f"<{outer}>{rows}</{outer}>".encode()

    def feed(self, places) -> tuple[int, dict[str, str], bytes]:
        rows = "".join(f"<item><link>{self.url(*place)}</link></item>" for place in places)
        return 200, {"Content-Type": "text/xml"}, f'<rss version="2.0"><channel>{rows}</channel></rss>'.encode()

    def begin(self, root: Path) -> Path:
        (root / "config").mkdir(parents=True)
        (root / "config/queries.txt").write_text("ships\n")
        (root / "config/seeds.txt").write_text(self.seeds)
        return root

    def allowed(self) -> list[str]:
        return [server.url.partition("//")[2] for server in (*self.hosts.values(), self.engine)]

    def check_askers(self) -> None:
        """Each host was asked by its own shard, or by the single machine, and no page twice by the same one."""
        for host in self.hosts.values():
            askers, paths = set(), defaultdict(list)
            for request in host.log:
                if asker := re.search(r"shard-(\d)", request.headers["User-Agent"]):
                    askers.add(int(asker[1]))
                    paths[request.path].append(request)
            assert len(askers) <= 1
            assert all(Shard(shard, N_SHARDS).has(str(host.server_address[0])) for shard in askers)
            assert all(len(asked) == 1 for path, asked in paths.items() if path not in REREAD), paths


REREAD = ("/robots.txt", "/feed", "/blog", "/atom", "/sitemap.xml", "/a.xml", "/b.xml")  # by each search


@pytest.fixture
def world() -> Iterator[World]:
    with contextlib.ExitStack() as stack:
        hosts = {n: stack.enter_context(serve(address=f"127.0.3.{n}")) for n in range(1, N_HOSTS + 1)}
        yield World(hosts, stack.enter_context(serve()))


def fetched(root: Path) -> list[str]:
    with Catalog(root) as catalog:
        return [url for (url,) in catalog.execute("SELECT url FROM pages ORDER BY url")]


def crawl(world: World, root: Path, name: str, others: list[Path]) -> None:
    web = WebConfig(allow_private=world.allowed(), contact=name)
    search.run(SearchConfig(providers=PROVIDERS, searxng_url=world.engine.url, pause_sec=0.0, web=web), root,
               [path for other in others if (path := other / handover.FILE).exists()])
    scrape.run(ScrapeConfig(delay_sec=0.0, follow_links=True, web=web), root)


def test_five_shards_fetch_what_one_machine_fetches_and_no_host_is_asked_by_two(world, tmp_path, monkeypatch):
    monkeypatch.setattr(seed_search, "SEED_DELAY_SEC", 0.0)
    crawl(world, world.begin(tmp_path / "one"), "one", [])
    expected = fetched(tmp_path / "one")
    assert {world.url(12, "/deep"), world.url(4, "/blogged"), world.url(7, "/mapped")} <= set(expected)
    assert world.url(12, "/deeper") not in expected
    roots = [world.begin(tmp_path / f"shard-{k}") for k in range(1, N_SHARDS + 1)]
    n_pages = [-1]
    while n_pages[-1] not in n_pages[:-1]:
        for k, root in enumerate(roots, 1):
            shards.claim(root, Shard(k, N_SHARDS))
            crawl(world, root, root.name, [other for other in roots if other != root])
        n_pages.append(sum(len(fetched(root)) for root in roots))
    of_each = list(map(fetched, roots))
    assert sorted(itertools.chain(*of_each)) == expected and all(of_each)
    world.check_askers()


@pytest.mark.slow
def test_five_processes_are_polite_and_one_that_dies_is_replaced_elsewhere(world, tmp_path):
    delay_sec = 0.3
    for host in world.hosts.values():
        host.routes["/robots.txt"] = (404, HTML, b"")

    def start(root: Path, name: str, *options: str) -> subprocess.Popen[bytes]:
        settings = {"web.allow_private": json.dumps(world.allowed()), "web.contact": f'"{name}"',
                    "search.providers": json.dumps(PROVIDERS), "search.searxng_url": f'"{world.engine.url}"',
                    "search.pause_sec": 0.0, "scrape.delay_sec": delay_sec, "scrape.follow_links": "true"}
        given = [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
        others = [str(path) for path in tmp_path.glob(f"*/{handover.FILE}") if not path.is_relative_to(root)]
        return subprocess.Popen(
            [sys.executable, PROJECT / "run.py", "--root", root, "--skip-validation", "--skip-cleaning", "--quiet",
             "--skip-preparation", "--skip-training", *given, *options, *(["--handover", *others] if others else [])],
            stderr=subprocess.DEVNULL)

    start(world.begin(tmp_path / "one"), "one").wait(timeout=100)
    expected = fetched(tmp_path / "one")
    shutil.move(tmp_path / "one", tmp_path / "one machine")
    roots = {k: world.begin(tmp_path / f"shard-{k}") for k in range(1, N_SHARDS + 1)}
    runs = {k: start(root, f"shard-{k}", "--shard", f"{k}/{N_SHARDS}") for k, root in roots.items()}
    victim = 1  # which has most hosts
    while not any("shard-1" in request.headers["User-Agent"] for request in world.hosts[4].log):
        time.sleep(0.05)
    time.sleep(0.5)
    os.kill(runs[victim].pid, signal.SIGKILL)
    while lock_holder(roots[victim]):
        time.sleep(0.05)
    for running in runs.values():
        running.wait(timeout=100)
    dead = shutil.move(roots[victim], tmp_path / "dead" / "data")
    roots[victim] = world.begin(tmp_path / "elsewhere")
    n_pages = [-1]
    while n_pages[-1] not in n_pages[:-1]:
        for running in [start(root, f"shard-{k}", "--shard", f"{k}/{N_SHARDS}") for k, root in roots.items()]:
            running.wait(timeout=100)
        n_pages.append(sum(len(fetched(root)) for root in roots.values()))
    assert sorted(itertools.chain(*map(fetched, roots.values()))) == expected
    for host in world.hosts.values():
        asked = [request for request in host.log if "shard-" in request.headers["User-Agent"]]
        gaps = [later.began - earlier.ended for earlier, later in itertools.pairwise(asked)]
        assert all(gap >= 0.9 * delay_sec for gap in gaps), (host.url, gaps)
        assert {Shard(int(request.headers["User-Agent"].partition("shard-")[2][0]), N_SHARDS) for request in asked} <= {
            shard for shard in (Shard(k, N_SHARDS) for k in roots) if shard.has(str(host.server_address[0]))}
    archives = sorted(path for root in (*roots.values(), Path(dead)) for path in root.glob("data/pages/*.warc.gz"))
    done = run_py("--root", tmp_path / "merged", "--only", "extract", "--warc", *archives)
    assert done.returncode == 0, done.stderr
    ids = [{line["id"] for line in lines(root / "data/raw/000000.jsonl")} for root in (tmp_path / "merged",
                                                                                       tmp_path / "one machine")]
    assert ids[0] == ids[1]
