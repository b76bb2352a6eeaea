"""Thirty nights: does a root that cron visits for a month grow the right way, whatever happens to it?

    .venv/bin/python -m bench.thirty_nights                  a quarter of an hour; needs a C compiler (apt install gcc)
    .venv/bin/python -m bench.thirty_nights --nights 6       a short trial, without most of the misfortunes

A small web on loopback, of ten hosts with the plays' scenes: each night about 25 pages appear, a few change or vanish.
A preloaded library lets the clock be a day later each night. The search engine fails in another way each night. Every
third night the run is killed (SIGKILL) at a chance moment and started again; one night no name is resolved, and the run
is repeated an hour later; one night a captive portal answers everything; one night the machine is suspended in the
middle; in one the clock is a year ahead, and right again in the next.

Each night: the run ends with exit code 0, no document is lost or comes twice, what was in the bins stays, no page is
requested twice, no page of the portal is kept, validate.py --full finds nothing. At the end: the bits per byte
are lower than after the first nights, and disk and seconds grow with the new text. One line a night; ends in one JSON
line, and with exit code 1 if something went the wrong way.
"""

import argparse
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from miniature_memory.core.errors import EXIT_LOCKED
from miniature_memory.core.paths import PROJECT
from miniature_memory.demo_site.pages import load_scenes, scene_text
from miniature_memory.storage.catalog import Catalog

HOSTS = 10
CHANGING, VANISHING = 0.1, 0.05  # shares of the pages
NO_NAMES, PORTAL, SUSPENDED, YEAR_AHEAD = 9, 13, 17, 21  # nights
PORTAL_PAGE = ("<html><body><h1>Welcome to the guest network</h1>" + "<p>Please accept the terms of use to go on, "
               "and enter the number of your room and your name as the hotel knows it.</p>" * 5)
SETTINGS = ["train.max_minutes=0.12", 'train.size="1x64"', 'search.providers=["searxng","sitemaps"]',
            "scrape.delay_sec=0", 'search.searxng_url="http://engine.example/"', "search.pause_sec=0",
            "scrape.revisit_days=3", "search.urls_per_seed=40"]

# libfaketime 0.9.10 breaks time.sleep(), whose clock must stay as it is
CLOCK = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>
int clock_gettime(clockid_t id, struct timespec *at) {
    int code = ((int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime"))(id, at);
    if (id == CLOCK_REALTIME) at->tv_sec += atol(getenv("SECONDS_LATER"));
    return code;
}
"""


class Scene(NamedTuple):
    host: str
    path: str
    text: str
    appears: int  # in this night
    changes: int  # 0: never
    vanishes: int


class World:
    """What the web has in a night, and who asked for what."""

    def __init__(self, nights: int) -> None:
        chance = random.Random(1337)
        scenes = load_scenes()
        chance.shuffle(scenes)
        self.night, self.asked = 0, Counter[str]()
        self.pages: dict[str, Scene] = {}
        for i, scene in enumerate(scenes):
            appears = i * nights // len(scenes)
            later = [chance.randint(appears + 1, nights) if chance.random() < share else 0
                     for share in (CHANGING, VANISHING)]
            page = Scene(f"host{i % HOSTS}.example", f"/{i}.html", scene_text(scene), appears, *later)
            self.pages[f"http://{page.host}{page.path}"] = page

    def is_there(self, page: Scene) -> bool:
        return page.appears <= self.night and not 0 < page.vanishes <= self.night

    def answer(self, host: str, path: str) -> tuple[int, str, str]:
        """Status, content type and body."""
        self.asked[f"http://{host}{path}"] += 1
        if self.night == PORTAL:
            return 200, "text/html", PORTAL_PAGE
        if host == "engine.example":
            return self.search()
        if path == "/sitemap.xml":
            rows = "".join(f"<url><loc>{url}</loc></url>" for url, page in self.pages.items()
                           if page.host == host and self.is_there(page))
            return 200, "application/xml", f"<urlset>{rows}</urlset>"
        page = self.pages.get(f"http://{host}{path}")
        if page is None or not self.is_there(page):
            return (410 if page else 404), "text/html", "<p>gone"
        paragraphs = page.text.split("\n\n")
        if 0 < page.changes <= self.night:
            paragraphs += [f"A note that was added in the night {page.changes}: {paragraphs[0][::-1]}"] * 2
        body = "".join(f"<p>{escape(paragraph)}</p>" for paragraph in paragraphs)
        return 200, "text/html", f"<html lang=en><title>Scene {path}</title><body><article>{body}</article>"

    def search(self) -> tuple[int, str, str]:
        """The engine's answers fail in turn."""
        found = [{"url": url, "title": "a scene of love", "content": page.text[:100]}
                 for url, page in self.pages.items() if self.is_there(page)][-20:]
        return [(200, "application/json", json.dumps({"results": found})), (500, "text/html", "<p>error"),
                (429, "text/html", "<p>too many"), (200, "text/html", "<p>Are you a robot?"),
                (200, "application/json", '{"results": []}'), (200, "application/json", '{"resul')][self.night % 6]


def serve(world: World) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            host = self.headers["Host"].partition(":")[0]
            status, content_type, body = world.answer(host, urlsplit(self.path).path)
            self.send_response(status)
            self.send_header("Content-Type", f"{content_type}; charset=utf-8")
            self.send_header("Content-Length", str(len(body.encode())))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    return server


class Month:
    """The root, and what went the wrong way."""

    def __init__(self, root: Path, world: World, port: int) -> None:
        self.root, self.world, self.faults, self.clock = root, world, list[str](), ""
        names = [f"host{i}.example" for i in range(HOSTS)] + ["engine.example"]
        self.connect_to = "web.connect_to=" + json.dumps([f"{name}=127.0.0.1:{port}" for name in names])
        (root / "config").mkdir(parents=True)
        (root / "config/seeds.txt").write_text("".join(f"sitemap http://{n}/sitemap.xml\n" for n in names[:HOSTS]))
        (root / "config/queries.txt").write_text("love\n")
        self.before: dict[str, Any] = {"ids": set(), "train": b"", "disk": 0, "seconds": 0.0}

    def start(self, script: str, *options: str, hours: float = 0.0) -> "subprocess.Popen[bytes]":
        days = self.world.night + (365 if self.world.night == YEAR_AHEAD else 0)
        later = {"LD_PRELOAD": self.clock, "SECONDS_LATER": str(round(days * 86400 + hours * 3600))}
        with open(self.root / "output", "w") as output:
            return subprocess.Popen([sys.executable, str(PROJECT / script), "--root", str(self.root), *options],
                                    stdout=output, stderr=output, start_new_session=True, env=os.environ | later)

    def run(self, kill_after: float = 0.0, suspend_after: float = 0.0, hours: float = 0.0, names: bool = True) -> int:
        settings = [f"--set={one}" for one in SETTINGS + [self.connect_to] * names]
        with self.start("run.py", "--quiet", *settings, hours=hours) as process:
            if kill_after or suspend_after:
                time.sleep(kill_after or suspend_after)
            if kill_after:
                os.killpg(process.pid, signal.SIGKILL)
            elif suspend_after:
                os.killpg(process.pid, signal.SIGSTOP)
                time.sleep(10)
                os.killpg(process.pid, signal.SIGCONT)
            code = process.wait(600)
        if "Traceback" in self.said():
            self.fault("a traceback: " + self.said())
        return code

    def said(self) -> str:
        return (self.root / "output").read_text()[-500:]

    def fault(self, what: str) -> None:
        self.faults.append(f"night {self.world.night}: {what}")
        print(self.faults[-1], file=sys.stderr, flush=True)

    def night(self, chance: random.Random) -> dict[str, Any]:
        night, began = self.world.night, time.monotonic()
        self.world.asked.clear()
        if night == NO_NAMES:
            self.run(names=False)
        if night % 3 == 2:
            self.run(kill_after=chance.uniform(0.5, 14))
        while (code := self.run(hours=night == NO_NAMES, suspend_after=6.0 * (night == SUSPENDED))) == EXIT_LOCKED:
            time.sleep(0.5)  # a stage of the run that was killed still saves
        if code:
            self.fault(f"exit code {code}: {self.said()}")
        return self.check() | {"seconds": round(time.monotonic() - began, 1)}

    def check(self) -> dict[str, Any]:
        with Catalog(self.root, read_only=True) as catalog:
            ids = [row[0] for row in catalog.execute("SELECT id FROM clean_documents").fetchall()]
        train = (self.root / "data/train.bin").read_bytes()
        if len(ids) != len(set(ids)) or not self.before["ids"] <= set(ids):
            self.fault("a document is lost, or there twice")
        if not train.startswith(self.before["train"]) and len(self.before["train"]) > 800_000:
            self.fault("what was in train.bin is another text")  # the first are made again: prepare.freeze_bytes
        if any("guest network" in file.read_text() for file in (self.root / "data/clean").glob("*.jsonl")):
            self.fault("the portal's page is kept")
        most = 2 if self.world.night % 3 == 2 else 1  # a killed run may ask once more for what it had not committed
        pages = {url: n for url, n in self.world.asked.items() if url in self.world.pages and n > most}
        if pages and self.world.night != PORTAL:
            self.fault(f"asked for more than {most} times: {dict(list(pages.items())[:3])}")
        with self.start("validate.py", "--full") as process:
            if process.wait(600):
                self.fault(f"validate.py --full: {self.said()}")
        disk = sum(path.stat().st_size for path in self.root.rglob("*") if path.is_file())
        runs = [json.loads(line) for line in (self.root / "data/runs.jsonl").read_text().splitlines()]
        bpb = re.findall(r'"val_bpb": ([\d.]+)', json.dumps(runs[-1]))
        facts = {"night": self.world.night, "documents": len(ids), "tokens": len(train) // 2,
                 "disk_mb": round(disk / 1e6, 1),
                 "asked": sum(n for url, n in self.world.asked.items() if url in self.world.pages),
                 "val_bpb": float(bpb[-1]) if bpb else None}
        self.before = {"ids": set(ids), "train": train}
        return facts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nights", type=int, default=30)
    args = parser.parse_args()
    if not shutil.which("cc"):
        sys.exit("There is no C compiler. Fix: sudo apt install gcc libc6-dev")
    chance, world = random.Random(7), World(args.nights)
    server = serve(world)
    with tempfile.TemporaryDirectory() as folder:
        month, nights = Month(Path(folder) / "root", world, server.server_address[1]), []
        month.clock = f"{folder}/clock.so"
        subprocess.run(["cc", "-shared", "-fPIC", "-x", "c", "-", "-o", month.clock], input=CLOCK.encode(), check=True)
        for world.night in range(args.nights):
            nights.append(month.night(chance))
            print(nights[-1], file=sys.stderr, flush=True)
    server.shutdown()
    figures = [one["val_bpb"] for one in nights if one["val_bpb"]]
    if figures[-1] >= min(figures[:3]):
        month.fault(f"no better than at the beginning: {figures}")
    third = len(nights) // 3
    grown = [[nights[b][name] - nights[a][name] for a, b in ((third, 2 * third), (2 * third, -1))]
             for name in ("disk_mb", "tokens")]
    print(json.dumps({"bench": "thirty_nights", "nights": len(nights), "faults": month.faults, **nights[-1],
                      "first_bpb": figures[0], "disk_mb_per_million_tokens": [
                          round(disk / max(1, tokens) * 1e6, 1) for disk, tokens in zip(*grown, strict=True)],
                      "median_seconds": sorted(one["seconds"] for one in nights)[len(nights) // 2]}))
    sys.exit(bool(month.faults))


if __name__ == "__main__":
    main()
