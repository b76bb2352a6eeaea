"""python3 -m pytest tests/crawl/test_rendering.py: pages that need JavaScript, in a browser without a network."""

import contextlib
import itertools
import os
import queue
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from local_server import page, serve
from scraping import add, config_for, due_again, records, row_of, run, states
from warcio.archiveiterator import ArchiveIterator

import extract
import scrape
from bench.app_site import APPS, AppSite, install, sentence
from miniature_memory.core.paths import PROJECT
from miniature_memory.core.process import process_tree
from miniature_memory.core.stage import StageStats
from miniature_memory.crawl import browser, rendering
from miniature_memory.crawl.blocklists import Blocklist
from miniature_memory.crawl.config import ScrapeConfig, WebConfig
from miniature_memory.crawl.crawler import Crawler
from miniature_memory.crawl.page_parts import MAX_HOSTS, PageParts, headers_to_send, kind_rejection
from miniature_memory.crawl.web import AGENT, Fetched
from miniature_memory.extraction.config import ExtractConfig
from miniature_memory.storage import shells
from miniature_memory.storage.catalog import Catalog

TROUBLE = browser.find().trouble
needs_browser = pytest.mark.skipif(bool(TROUBLE), reason=TROUBLE)
TEXT = "The ship lay in the harbour with all her sails furled, and nobody on deck knew why. " * 5
SHELL = f"<html><body><script>document.body.innerHTML = '<p>{TEXT}</p>'</script></body></html>"


def rendering_config(*servers, **settings) -> ScrapeConfig:
    return config_for(*servers, render="auto", **settings)


@pytest.fixture
def site() -> Iterator[AppSite]:
    with AppSite() as started:
        yield started


def site_config(site: AppSite) -> ScrapeConfig:
    return ScrapeConfig(delay_sec=0.0, render="auto", web=WebConfig(allow_private=site.private))


def visit(site: AppSite, root: Path, *names: str) -> StageStats:
    add(root, *(f"{site.url}/{name}/" for name in names))
    return run(site_config(site), root)


def conversions(root: Path) -> dict[str, str]:
    return {url: body.decode() for kind, url, _, body in records(root) if kind == "conversion"}


# --- the twenty and more applications ------------------------------------------------------------


# Those with a framework are heavy: they need npm
@needs_browser
@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.heavy if app.needs_npm else pytest.mark.slow)
                                  for name, app in APPS.items()])
def test_an_application_gives_its_text_or_a_reason(site: AppSite, tmp_path: Path, name: str) -> None:
    app = APPS[name]
    if app.needs_npm and (trouble := install()):
        pytest.skip(f"its framework cannot be had: {trouble}")
    stats = visit(site, tmp_path, name)
    url = f"{site.url}/{name}/"
    assert states(tmp_path)[url] == app.outcome
    assert not site.refused  # nothing has connected to the other server
    assert {agent for _, _, agent in site.log} == {AGENT}
    assert {method for method, _, _ in site.log} == {"GET"}
    paths = [path for _, path, _ in site.log if path != "/robots.txt"]
    assert len(paths) == stats.facts["rendering"]["parts"] + 1  # and the page
    assert not [path for path in paths if path.startswith(("/private/", "/secret"))]
    if app.outcome == "fetched":
        assert sentence(name, 3) in conversions(tmp_path)[url]
        extracted = extract.run(ExtractConfig(workers=1), tmp_path)
        assert extracted.n_out == 1
        assert sentence(name, 3) in next((tmp_path / "data/raw").glob("*.jsonl")).read_text()


# --- what comes of a page ------------------------------------------------------------------------


@needs_browser
def test_a_rendered_page_is_archived_next_to_its_response_and_visited_again(tmp_path: Path) -> None:
    with serve({"/": page(SHELL, ETag='"a"')}) as server:
        add(tmp_path, server.url + "/")
        stats = run(rendering_config(server), tmp_path)
        assert (stats.n_in, stats.n_out, dict(stats.dropped)) == (1, 1, {}), stats.facts
        assert stats.facts["rendering"]["rendered"] == 1
        kinds = [kind for kind, *_ in records(tmp_path)]
        assert kinds == ["warcinfo", "response", "request", "conversion"]
        assert TEXT.strip() in conversions(tmp_path)[server.url + "/"]
        with open(tmp_path / "data/pages/000000.warc.gz", "rb") as stream:
            fields = {record.rec_type: record.rec_headers.get_header for record in ArchiveIterator(stream)}
        assert fields["conversion"]("WARC-Refers-To") == fields["response"]("WARC-Record-ID")
        row = row_of(tmp_path, server.url + "/")
        assert row["state"] == "fetched" and not row["etag"] and row["revisit_days"] == 7.0
        due_again(tmp_path)
        assert run(rendering_config(server), tmp_path).dropped == {"unchanged": 1}
        assert row_of(tmp_path, server.url + "/")["revisit_days"] == 14.0


@pytest.mark.slow
@needs_browser
def test_a_page_waits_while_there_is_no_time_and_is_not_fetched_again(tmp_path: Path,
                                                                      monkeypatch: pytest.MonkeyPatch) -> None:
    with serve({"/": page(SHELL)}) as server:
        add(tmp_path, server.url + "/")
        with monkeypatch.context() as patch:
            patch.setattr(Crawler, "render", lambda *_: None)
            assert run(rendering_config(server), tmp_path).dropped == {"needs_js": 1}
        with Catalog(tmp_path) as catalog:
            assert shells.count(catalog) == 1
        stats = run(rendering_config(server), tmp_path)
        assert stats.n_out == 1 and server.paths == ["/robots.txt", "/"]
        assert run(rendering_config(server), tmp_path).n_in == 0
        server.routes["/"] = page(SHELL.replace("harbour", "port"))
        due_again(tmp_path)
        assert run(rendering_config(server), tmp_path).n_out == 1
        assert [kind for kind, *_ in records(tmp_path)].count("conversion") == 2


@pytest.mark.slow
@needs_browser
@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_run_leaves_no_browser_loses_nothing_and_does_nothing_twice(site: AppSite, tmp_path: Path,
                                                                             signum: int,
                                                                             monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"{site.url}/never_ends/"
    add(tmp_path, url)
    process = subprocess.Popen([
        sys.executable, PROJECT / "scrape.py", "--root", tmp_path, "--quiet", "--set", 'scrape.render="auto"', "--set",
        "scrape.delay_sec=0.0", "--set", f"web.allow_private=['{site.url[7:]}']"], stderr=subprocess.DEVNULL)
    ends = time.monotonic() + 20
    while not any("/data/" in path for _, path, _ in site.log) and time.monotonic() < ends:
        time.sleep(0.05)
    tree = process_tree(process.pid)[1:]
    assert len(tree) > 3  # the browser is at work
    process.send_signal(signum)
    process.wait(10)
    while any(is_alive(pid) for pid in tree) and time.monotonic() < ends:
        time.sleep(0.05)
    assert not any(is_alive(pid) for pid in tree)
    monkeypatch.setattr(rendering, "PAGE_SEC", 2.0)
    stats = run(site_config(site), tmp_path)
    assert stats.n_out == 1 and list(conversions(tmp_path)) == [url]
    assert [path for _, path, _ in site.log].count("/never_ends/") == 1


def is_alive(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


@pytest.mark.slow
@needs_browser
def test_a_page_that_sends_its_readers_on_is_a_redirect(site: AppSite, tmp_path: Path) -> None:
    assert visit(site, tmp_path, "script_redirect").dropped == {"redirected": 1}
    assert states(tmp_path)[f"{site.url}/jquery/"] == "new"


@pytest.mark.slow
@needs_browser
def test_links_of_a_rendered_page_are_followed(tmp_path: Path) -> None:
    with serve({"/": page(SHELL.replace("</p>", "</p><a href=/next>Next</a>"))}) as server:
        add(tmp_path, server.url + "/")
        run(rendering_config(server, follow_links=True), tmp_path)
        assert states(tmp_path)[server.url + "/next"] == "new"


@pytest.mark.slow
@needs_browser
def test_pages_that_crash_the_browser_do_not_stop_the_others(tmp_path: Path) -> None:
    deep = SHELL.replace("<script>", """<script>let inner = document.documentElement;
for (let n = 0; n < 10000; n++) { const root = document.createElement("div"); inner.append(root); inner = root; }""")
    names = [f"/{n}" for n in range(rendering.MAX_FAILURES + 1)]
    with serve({name: page(deep) for name in names} | {"/last": page(SHELL)}) as server:
        add(tmp_path, *(server.url + name for name in [*names, "/last"]))
        stats = run(rendering_config(server), tmp_path)
    assert stats.dropped == {"browser_crashed": len(names)} and stats.n_out == 1


@needs_browser
def test_a_browser_that_shows_no_page_stops_the_round(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                                      caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(browser, "FLAGS", ("--version",))
    with serve(default=page(SHELL)) as server:
        add(tmp_path, *(f"{server.url}/{n}" for n in range(rendering.MAX_FAILURES + 1)))
        stats = run(rendering_config(server), tmp_path)
    assert stats.dropped == {"browser_failed": rendering.MAX_FAILURES, "needs_js": 1}
    assert "The browser has failed 3 times in a row" in caplog.text


@needs_browser
def test_parts_with_an_unusual_status_are_answered(tmp_path: Path) -> None:
    show = f"""Promise.all(["/520", "/999", "/299"].map(path => fetch(path))).then(all => {{
document.body.innerHTML = `<p>${{all.map(one => one.status)}} {TEXT}</p>`; }})"""
    with serve({"/": page(f"<body><script>{show}</script>"), "/520": (520, {}, b""),
                **{f"/{n}": (n, {"Content-Type": "text/plain"}, b"x") for n in (299, 999)}}) as server:
        add(tmp_path, server.url + "/")
        run(rendering_config(server), tmp_path)
        assert "<p>520,999,299 The ship" in conversions(tmp_path)[server.url + "/"]


@needs_browser
def test_the_first_round_leaves_time_for_the_second_once(tmp_path: Path) -> None:
    with Catalog(tmp_path) as catalog:
        crawler = Crawler(ScrapeConfig(render="auto", max_minutes=2.0), catalog, StageStats("scrape"))
        crawler.scheduler.deadline = 500.0
        for _ in range(2):
            crawler.leave_time()
        assert crawler.scheduler.deadline == 470.0


# --- the browser ---------------------------------------------------------------------------------


@needs_browser
def test_the_browser_has_no_network_and_nothing_of_it_is_left() -> None:
    own = os.readlink("/proc/self/ns/net")
    with browser.Browser(browser.find(), "agent", time.monotonic() + 20, lambda _: None) as started:
        started.call("Target.createTarget", {"url": "about:blank"})
        tree = process_tree(started.process.pid)
        folder = Path(started._folder.name)
        assert len(tree) > 4 and folder.exists()
        inner = tree[1:]  # the first one made the namespaces
        assert all(os.readlink(f"/proc/{pid}/ns/net") != own for pid in inner)
        for pid in inner:
            interfaces = Path(f"/proc/{pid}/net/dev").read_text().splitlines()[2:]
            assert [line.split(":")[0].strip() for line in interfaces] == ["lo"]
            assert len(Path(f"/proc/{pid}/net/route").read_text().splitlines()) <= 1  # only the heading
        if os.geteuid() == 0:
            assert {Path(f"/proc/{pid}").stat().st_uid for pid in inner} == {browser.NOBODY}
        assert started.reason == "" and 0 < started.peak_mb < browser.MEMORY_MB
    assert not any(is_alive(pid) for pid in tree) and not folder.exists()


@needs_browser
@pytest.mark.parametrize(("limit", "reason"), [("deadline", "render_timeout"), ("MEMORY_MB", "render_memory")])
def test_a_browser_over_its_limits_is_killed(monkeypatch: pytest.MonkeyPatch, limit: str, reason: str) -> None:
    if limit == "MEMORY_MB":
        monkeypatch.setattr(browser, "MEMORY_MB", 50)
    ends = time.monotonic() + (0.2 if limit == "deadline" else 20)
    with browser.Browser(browser.find(), "agent", ends, lambda _: None) as started, \
            pytest.raises(browser.BrowserError, match=reason):
        while True:
            started.pump(0.1)


@pytest.mark.slow
@needs_browser
def test_memory_that_a_new_process_takes_is_seen_between_two_looks(site: AppSite, tmp_path: Path,
                                                                   monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(browser, "LOOK_SEC", 60.0)
    assert visit(site, tmp_path, "memory").dropped == {"render_memory": 1}


@needs_browser
@pytest.mark.skipif(os.geteuid() != 0, reason="the browser has this user's own rights")
def test_roots_own_temporary_folder_may_be_closed_to_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tmp_path.chmod(0o700)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with browser.Browser(browser.find(), "agent", time.monotonic() + 20, lambda _: None) as started:
        assert started.call("Target.createTarget", {"url": "about:blank"})["targetId"]


def test_without_namespaces_there_is_no_browser(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "unshare").write_text("#!/bin/sh\necho not permitted >&2\nexit 1\n")
    (tmp_path / "unshare").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(browser, "PROGRAMS", ("sh",))
    found = browser.find()
    assert "does not permit the namespaces" in found.trouble and "not permitted" in found.trouble
    assert not found.program and 'render = "off"' in found.fix


def test_without_a_browser_the_run_goes_on_and_says_how_to_get_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                                                   caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(browser, "PROGRAMS", ("no-such-browser",))
    with serve({"/": page(SHELL), "/text": page(f"<p>{TEXT}")}) as server:
        add(tmp_path, server.url + "/", server.url + "/text")
        stats = run(rendering_config(server), tmp_path)
    assert stats.n_out == 1 and stats.dropped == {"needs_js": 1} and "rendering" not in stats.facts
    assert "no-such-browser is not installed. Fix: " in caplog.text
    assert "apt-get install no-such-browser" in caplog.text


def test_nothing_of_it_is_loaded_where_it_is_off(tmp_path: Path) -> None:
    with serve({"/": page(SHELL)}) as server:
        add(tmp_path, server.url + "/")
        code = ("import sys, scrape; scrape.main(sys.argv[1:]); print([name for name in sys.modules if "
                "name.rpartition('.')[2] in ('browser', 'rendering', 'page_parts', 'tab')])")
        done = subprocess.run([sys.executable, "-c", code, "--root", tmp_path, "--quiet", "--set",
                               "scrape.delay_sec=0.0", "--set", f"web.allow_private=['127.0.0.1:{server.port}']"],
                              cwd=PROJECT, capture_output=True, text=True, check=True)
        assert done.stdout.splitlines()[-1] == "[]" and "/" in server.paths
    assert not list((tmp_path / "data").glob("pages/*")) and states(tmp_path) == {server.url + "/": "needs_js"}


# --- parts of a page -----------------------------------------------------------------------------


def request(url: str, method: str = "GET", **headers: str) -> dict[str, object]:
    return {"url": url, "method": method, "headers": {name.replace("_", "-"): value for name, value in headers.items()}}


@pytest.mark.parametrize(("asked", "kind", "reason"), [
    (request("http://a.org/a.js"), "Script", ""), (request("http://a.org/a.css"), "Stylesheet", ""),
    (request("http://a.org/a.json"), "XHR", ""), (request("http://a.org/worker.js"), "Other", ""),
    (request("http://a.org/a.json", "POST"), "XHR", "not_get"), (request("http://a.org/b", "POST"), "Ping", "not_get"),
    (request("http://a.org/a.png"), "Image", "image"), (request("http://a.org/a.woff"), "Font", "font"),
    (request("http://a.org/a.mp4"), "Media", "media"), (request("http://a.org/a"), "EventSource", "eventsource"),
    (request("http://a.org/s.js", Service_Worker="script"), "Other", "service_worker"),
    (request("http://a.org/a.html", Sec_Purpose="prefetch"), "Other", "prefetch"),
    (request("file:///etc/passwd"), "XHR", "bad_url"), (request("ftp://a.org/a.js"), "Script", "bad_url"),
    (request("https://www.google-analytics.com/a.js"), "Script", "tracker"),
    (request("https://stats.g.doubleclick.net/a"), "XHR", "tracker"),
    (request("https://not-doubleclick.net/a"), "XHR", "")])
def test_what_a_page_may_ask_for(asked: dict[str, object], kind: str, reason: str) -> None:
    assert kind_rejection(asked, kind) == reason


def test_only_what_says_what_a_page_accepts_is_passed_on() -> None:
    sent = headers_to_send({"Accept": "text/json", "Origin": "http://a.org", "User-Agent": "Other/1", "Cookie": "a=b",
                            "Authorization": "Bearer x", "X-Requested-With": "XMLHttpRequest", "X-Long": "x" * 501,
                            "X-Split": "a\r\nHost: b", "X-HTTP-Method-Override": "DELETE", "X-Method-Override": "PUT",
                            "X-Original-URL": "/private/", "x-rewrite-url": "/private/", "X-Forwarded-For": "10.0.0.1",
                            "X-Real-IP": "127.0.0.1", "X-Host": "b.org"})
    assert sent == {"Accept": "text/json", "Origin": "http://a.org", "X-Requested-With": "XMLHttpRequest"}


@contextlib.contextmanager
def parts_of(root: Path, **settings) -> Iterator[PageParts]:
    with Catalog(root) as catalog:
        crawler = Crawler(ScrapeConfig(**settings), catalog, StageStats("scrape"))
        yield PageParts(crawler.config, crawler.web, crawler.scheduler, Blocklist())


def outcomes(parts: PageParts, *addresses: str, seconds: float = 20.0) -> list[str]:
    """What becomes of these parts of one page: a body, or a reason."""
    answers: queue.SimpleQueue = queue.SimpleQueue()
    parts.begin(time.monotonic() + seconds, answers)
    found: dict[str, str] = {}
    for url in addresses:
        if reason := parts.ask(request(url), "XHR", url):
            found[url] = reason
    while len(found) < len(set(addresses)):
        answer = answers.get(timeout=20)
        parts.keep(answer)
        found[answer.part.id] = (answer.outcome.body.decode() if isinstance(answer.outcome, Fetched)
                                 else answer.outcome.reason)
    parts.end()
    return [found[url] for url in addresses]


def test_parts_obey_robots_addresses_types_and_limits(tmp_path: Path) -> None:
    json_type = {"Content-Type": "application/json"}
    with serve({"/robots.txt": (200, {"Content-Type": "text/plain"}, b"User-agent: *\nDisallow: /private"),
                "/a.json": (200, json_type, b"[1]"), "/private/a.json": (200, json_type, b"[2]"),
                "/a.bin": (200, {"Content-Type": "application/octet-stream"}, b"x"),
                "/big": (200, json_type, b"x" * 5000)}) as server, serve() as closed, \
            parts_of(tmp_path, web=config_for(server, web={"max_bytes": 4000}).web, delay_sec=0.0) as parts:
        names = ["/a.json", "/private/a.json", "/a.bin", "/big", "/none"]
        assert outcomes(parts, *(server.url + name for name in names)) == [
            "[1]", "robots", "wrong_type", "too_big", "http_404"]
        assert "/private/a.json" not in server.paths and server.paths.count("/robots.txt") == 1
        assert outcomes(parts, closed.url + "/secret", "http://10.0.0.1/a") == ["blocked_address"] * 2
        assert not closed.log
        assert outcomes(parts, *(f"http://10.0.0.{n}/a" for n in range(1, MAX_HOSTS + 2)))[-1] == "too_many_parts"


def test_parts_of_one_host_follow_each_other_with_a_pause(tmp_path: Path) -> None:
    with serve({f"/{n}": (200, {"Content-Type": "application/json"}, b"1") for n in range(3)}) as server, \
            parts_of(tmp_path, web=config_for(server).web, delay_sec=0.2) as parts:
        assert outcomes(parts, *(f"{server.url}/{n}" for n in range(3))) == ["1"] * 3
        assert server.paths[0] == "/robots.txt"
        assert all(later.began - earlier.ended >= 0.19 for earlier, later in itertools.pairwise(server.log))
        assert outcomes(parts, server.url + "/0", seconds=0.05) == ["no_time_left"]


def test_a_host_that_wants_a_pause_gets_it(tmp_path: Path) -> None:
    with serve({"/robots.txt": (404, {}, b""), "/a": (429, {"Retry-After": "100"}, b"")}) as server:
        with parts_of(tmp_path, web=config_for(server).web, delay_sec=0.0) as parts:
            assert outcomes(parts, server.url + "/a", server.url + "/b") == ["http_429", "http_429"]
            assert "/b" not in server.paths
        assert scrape.run(config_for(server), tmp_path).n_in == 0
        with parts_of(tmp_path, web=config_for(server).web, delay_sec=0.0) as parts:
            assert outcomes(parts, server.url + "/b") == ["http_429"]  # the catalog has learned it


def test_a_script_is_fetched_once_for_all_pages_of_a_round(tmp_path: Path) -> None:
    with serve({"/a.js": (200, {"Content-Type": "text/javascript"}, b"1")}) as server, \
            parts_of(tmp_path, web=config_for(server).web, delay_sec=0.0) as parts:
        for _ in range(2):
            answers: queue.SimpleQueue = queue.SimpleQueue()
            parts.begin(time.monotonic() + 9, answers)
            assert parts.ask(request(server.url + "/a.js"), "Script", "1") == ""
            answer = answers.get(timeout=9)
            parts.keep(answer)
            assert answer.outcome.body == b"1"
        assert server.paths.count("/a.js") == 1 and parts.fetched == 1
