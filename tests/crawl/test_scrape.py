"""scrape.py on loopback.   .venv/bin/python3 -m pytest tests/crawl/test_scrape.py"""

from __future__ import annotations

import gzip
import os
import signal
import threading
import time
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path

import pytest
from helpers import warc_member
from local_server import HTML, OK_HEAD, page, raw, serve
from warcio.archiveiterator import ArchiveIterator
from warcio.cli import main as warcio

import scrape
from miniature_memory.core import process
from miniature_memory.core.errors import Stopped
from miniature_memory.core.text import host_of
from miniature_memory.crawl import config as config_module
from miniature_memory.crawl import scheduler, visits
from miniature_memory.crawl.config import ScrapeConfig, WebConfig
from miniature_memory.crawl.frontier import Archived, add_url, next_visit
from miniature_memory.demo_site import site as site_module
from miniature_memory.storage import append_log
from miniature_memory.storage import catalog as catalog_module
from miniature_memory.storage.catalog import Catalog

DAY = 86400


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch):
    monkeypatch.setattr(scheduler, "BACKOFF_SEC", 0.01)


def config_for(*servers, **settings) -> ScrapeConfig:
    web = WebConfig(allow_private=[f"127.0.0.1:{server.port}" for server in servers], **settings.pop("web", {}))
    return ScrapeConfig(**{"delay_sec": 0.0, "web": web} | settings)


def add(root: Path, *urls: str) -> None:
    with Catalog(root) as catalog, catalog.record():
        for url in urls:
            catalog.execute("INSERT INTO urls (url, host, source, found_at, due_at) VALUES (?, ?, 'test', 0, 1)",
                            [url, host_of(url)])


def run(config: ScrapeConfig, root: Path):
    report = scrape.run(config, root)
    assert report.n_in == report.n_out + sum(report.dropped.values())
    return report


def states(root: Path) -> dict[str, str]:
    with Catalog(root) as catalog:
        return {row["url"]: row["state"] for row in catalog.execute("SELECT * FROM urls")}


def row_of(root: Path, url: str):
    with Catalog(root) as catalog:
        return catalog.execute("SELECT * FROM urls WHERE url = ?", [url]).fetchone()


def due_again(root: Path) -> None:
    with Catalog(root) as catalog, catalog.record():
        catalog.execute("UPDATE urls SET due_at = 1")


def records(root: Path) -> list[tuple[str, str, str, bytes]]:
    """(type, URL, its HTTP headers, unpacked payload) of every WARC record, in order; checks the files, too."""
    files = sorted((root / "data/pages").glob("*.warc.gz"))
    with pytest.raises(SystemExit) as ended:
        raise SystemExit(warcio(["check", *map(str, files)]))
    assert not ended.value.code
    found = []
    for file in files:
        with open(file, "rb") as stream:
            found += [(record.rec_type, record.rec_headers.get_header("WARC-Target-URI") or "",
                       record.http_headers.to_str() if record.http_headers else "", record.content_stream().read())
                      for record in ArchiveIterator(stream, check_digests=True)]
    return found


# --- the sample site -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def site():
    with site_module.serve() as server:
        yield server


def test_pages_of_the_sample_site_come_once(site, tmp_path):
    urls = [scene.url for scene in site.site.scenes[:40]]
    add(tmp_path, *urls, site_module.SITE + "private/subscribers.html")
    config = ScrapeConfig(max_pages=5, max_pages_per_host=5, web=WebConfig(  # the caps do not hold for a stand-in
        connect_to=[f"sample-site.invalid=127.0.0.1:{site.port}"]))
    before = len(site.log)
    first, second = run(config, tmp_path), run(config, tmp_path)
    assert (first.n_in, first.n_out, first.dropped) == (41, 40, {"robots": 1})
    assert second.n_in == 0
    due_again(tmp_path)
    assert run(config, tmp_path).dropped == {"robots": 1, "not_modified": 40}
    paths = [path for _, path, _ in site.log[before:]]
    assert not any(path.startswith("/private") for path in paths) and paths.count("/robots.txt") == 1
    kinds = [(kind, url) for kind, url, _, _ in records(tmp_path)]
    assert kinds == [("warcinfo", ""), *[(kind, url) for url in urls for kind in ("response", "request")]]
    assert first.bytes_written == (tmp_path / "data/pages/000000.warc.gz").stat().st_size


# --- every visit ends with a reason --------------------------------------------------------------


@pytest.mark.parametrize("answer, reason", [
    (page(status=404), "http_404"), (page(status=410), "http_410"), (page(status=500), "http_500"),
    (page(Content_Type="audio/mpeg"), "not_html"), (page("x" * 2000), "too_big"), (page(" \n"), "empty"),
    ((200, HTML | {"Content-Encoding": "gzip"}, gzip.compress(bytes(100_000))), "too_big"),
    ((200, HTML | {"Content-Encoding": "br"}, b"x"), "bad_encoding"), (raw(b"nonsense\r\n\r\n"), "bad_response"),
    (raw(OK_HEAD + b"\r\n", drops=b"x" * 60), "timeout"), (page(status=302, Location="/"), "too_many_redirects"),
    (page(status=302, Location="http://10.0.0.1/"), "blocked_address"), (page(status=302, Location="/b.pdf"),
     "not_html_ending"), (page(status=302, Location="http://xnxx.com/"), "blocked_host"),
    (page(status=302, Location="ftp://a.example/"), "bad_redirect")])
def test_a_visit_without_a_page_has_a_reason(tmp_path, answer, reason):
    with serve({"/": answer}) as server:
        add(tmp_path, server.url + "/")
        report = run(config_for(server, web={"max_bytes": 1000, "fetch_deadline_sec": 0.3}), tmp_path)
    assert (report.n_in, report.n_out, report.dropped) == (1, 0, {reason: 1})
    assert states(tmp_path) == {server.url + "/": reason}


@pytest.mark.parametrize("robots, reason", [
    (page("User-agent: *\nDisallow: /"), "robots"), (page(status=503), "robots_unavailable")])
def test_robots_are_obeyed(tmp_path, robots, reason):
    with serve({"/robots.txt": robots}, default=page()) as server:
        add(tmp_path, server.url + "/a", server.url + "/b")
        assert run(config_for(server), tmp_path).dropped == {reason: 2}
        assert server.paths == ["/robots.txt"]


def test_private_hosts_are_not_visited(tmp_path, monkeypatch):
    monkeypatch.setattr("miniature_memory.crawl.guard.connect_socket",
                        lambda address, seconds: pytest.fail(f"connected to {address}"))
    add(tmp_path, "http://127.0.0.1:9/", "http://0x7f.1/", "http://[::1]/", "http://169.254.169.254/latest")
    assert run(ScrapeConfig(), tmp_path).dropped == {"blocked_address": 4}


def test_a_page_that_did_not_change_is_not_stored_again(tmp_path):
    with serve({"/": page("<p>one")}) as server:
        add(tmp_path, server.url + "/")
        assert run(config_for(server), tmp_path).n_out == 1
        due_again(tmp_path)
        assert run(config_for(server), tmp_path).dropped == {"unchanged": 1}
        server.routes["/"] = page("<p>two")
        due_again(tmp_path)
        assert run(config_for(server), tmp_path).n_out == 1
    assert [(kind, body) for kind, _, _, body in records(tmp_path) if kind != "request"][1:] == [
        ("response", b"<p>one"), ("revisit", b""), ("response", b"<p>two")]


def test_pages_are_asked_for_conditionally(tmp_path):
    validators = {"ETag": '"v1"', "Last-Modified": "Mon, 01 Jan 2024 00:00:00 GMT"}
    with serve({"/": page(**validators)}) as server:
        add(tmp_path, server.url + "/")
        run(config_for(server), tmp_path)
        server.routes["/"] = page(status=304)
        due_again(tmp_path)
        assert run(config_for(server), tmp_path).dropped == {"not_modified": 1}
        assert server.log[-1].headers["If-None-Match"] == '"v1"'
        assert server.log[-1].headers["If-Modified-Since"] == validators["Last-Modified"]


def test_the_payload_of_another_page_becomes_a_revisit_record(tmp_path):
    with serve({"/a": page("<p>same"), "/b": page("<p>same")}) as server:
        add(tmp_path, server.url + "/a", server.url + "/b")
        report = run(config_for(server), tmp_path)
    assert (report.n_out, report.dropped) == (1, {"duplicate_payload": 1})
    assert [kind for kind, *_ in records(tmp_path)] == ["warcinfo", "response", "request", "request", "revisit"]
    with Catalog(tmp_path) as catalog:
        assert catalog.value("SELECT count(*) FROM pages") == 1


def test_identical_pages_may_fill_several_groups(tmp_path, monkeypatch):
    monkeypatch.setattr(catalog_module, "GROUP_RECORDS", 3)
    with serve(default=page("<p>always the same")) as server:
        add(tmp_path, *[f"{server.url}/{n}" for n in range(8)])
        assert run(config_for(server), tmp_path).dropped == {"duplicate_payload": 7}


SHELL = "<div id=root></div><noscript>You need to enable JavaScript</noscript><script src=/app.js></script>"


@pytest.mark.parametrize("answer, reason", [
    (page(X_Robots_Tag="noai"), "noai"), (page(X_Robots_Tag="noindex"), "noindex"),
    (page("<meta name=robots content='noindex, follow'><p>x"), "noindex"), (page(SHELL), "needs_js")])
def test_pages_that_keep_out_are_left_out(tmp_path, answer, reason):
    with serve({"/": answer}) as server:
        add(tmp_path, server.url + "/")
        assert run(config_for(server), tmp_path).dropped == {reason: 1}
        due_again(tmp_path)
        report = run(config_for(server, respect_noai=False), tmp_path)
        assert report.dropped == ({"needs_js": 1} if reason == "needs_js" else {})
    assert row_of(tmp_path, server.url + "/")["failures"] == 0


def test_a_robots_txt_against_training_keeps_us_out(tmp_path):
    with serve({"/robots.txt": page("User-agent: *\nContent-Signal: search=yes, ai-train=no\n")}) as server:
        add(tmp_path, server.url + "/")
        assert run(config_for(server), tmp_path).dropped == {"noai": 1} and server.paths == ["/robots.txt"]


# --- pages that Common Crawl has -----------------------------------------------------------------


def archive_of(member: bytes):
    """Answers with a range of a file that holds `member` from byte 100 on."""
    def answer(handler):
        start, end = map(int, handler.headers["Range"].removeprefix("bytes=").split("-"))
        part = (bytes(100) + member + bytes(100))[start:end + 1]
        raw(b"HTTP/1.1 206 Partial Content\r\nContent-Length: %d\r\n\r\n%s" % (len(part), part))(handler)
    return answer


def add_archived(root: Path, url: str, member: bytes, file: str = "crawl/x.warc.gz") -> None:
    with Catalog(root) as catalog, catalog.record():
        add_url(catalog, url, "commoncrawl", archived=Archived(file, 100, len(member)))


def test_an_archived_page_is_fetched_from_the_archive(tmp_path, monkeypatch):
    url, member = "http://a.example/page", warc_member("http://a.example/page", b"<p>from the archive")
    with serve({"/crawl/x.warc.gz": archive_of(member)}) as server:
        monkeypatch.setattr(visits, "ARCHIVE", server.url + "/")
        add_archived(tmp_path, url, member)
        assert run(config_for(server), tmp_path).n_out == 1
        assert server.paths == ["/robots.txt", "/crawl/x.warc.gz"]  # the origin is asked for nothing
        add_archived(tmp_path, url, member)
        assert run(config_for(server), tmp_path).n_in == 0
        server.routes["/crawl/y.warc.gz"] = server.routes["/crawl/x.warc.gz"]
        add_archived(tmp_path, url, member, "crawl/y.warc.gz")  # a newer crawl has it, too
        assert run(config_for(server), tmp_path).dropped == {"unchanged": 1}
    assert [(kind, found, body) for kind, found, _, body in records(tmp_path)][1] == (
        "response", url, b"<p>from the archive")
    data = gzip.decompress((tmp_path / "data/pages/000000.warc.gz").read_bytes()).decode()
    assert f"WARC-Source-Range: bytes=100-{99 + len(member)}" in data and "/crawl/x.warc.gz" in data


def test_a_closed_archive_is_not_the_fault_of_its_pages(tmp_path, monkeypatch):
    url, member = "http://a.example/page", warc_member("http://a.example/page", b"<p>x")
    with serve(default=page(status=503)) as server:
        server.routes["/robots.txt"] = page("")
        monkeypatch.setattr(visits, "ARCHIVE", server.url + "/")
        add_archived(tmp_path, url, member)
        run(config_for(server), tmp_path)
        due_again(tmp_path)
        assert run(config_for(server), tmp_path).n_in == 0 and row_of(tmp_path, url)["failures"] == 1


@pytest.mark.parametrize("member, reason", [
    (gzip.compress(b"WARC/1.1\r\nWARC-Type: response\r\nWARC-Target-URI: http://a.example/page\r\n"
                   b"WARC-Date: 2026-01-01T00:00:00Z\r\nContent-Type: application/http\r\nContent-Length: 0\r\n\r\n"
                   b"\r\n\r\n"), "bad_archive_record"),
    (warc_member("http://other.example/", b"<p>another"), "bad_archive_record"), (b"no gzip at all", "bad_encoding"),
    (gzip.compress(b"no record at all"), "bad_archive_record"), (gzip.compress(bytes(10**8)), "bad_archive_record"),
    (warc_member("http://a.example/page", b"%PDF", "application/pdf"), "not_html")])
def test_what_is_not_the_archived_page_is_refused(tmp_path, monkeypatch, member, reason):
    with serve({"/crawl/x.warc.gz": archive_of(member)}) as server:
        monkeypatch.setattr(visits, "ARCHIVE", server.url + "/")
        add_archived(tmp_path, "http://a.example/page", member)
        assert run(config_for(server), tmp_path).dropped == {reason: 1}


# --- links ---------------------------------------------------------------------------------------


def test_links_are_followed_on_the_same_host_to_a_depth(tmp_path):
    with serve({"/": page("<a href=/1>1</a><a href=http://other.example/>o</a><a href=/x.pdf>p</a><a href=/no>n</a>"),
                "/1": page("<a href='2#part'>2</a><a href=/1>1</a>"), "/2": page("<a href=/3>3</a>"),
                "/robots.txt": page("User-agent: *\nDisallow: /no")}) as server:
        add(tmp_path, server.url + "/")
        report = run(config_for(server, follow_links=True), tmp_path)
        assert server.paths == ["/robots.txt", "/", "/1", "/2"] and report.dropped == {"robots": 1}
    assert report.facts["links"] == {"added": 3, "not_html_ending": 1, "already_known": 1}
    assert row_of(tmp_path, server.url + "/2")["depth"] == 2


def test_links_that_robots_forbid_are_settled_at_once(tmp_path):
    with serve({"/": page("<a href=/no>n</a>"), "/robots.txt": page("User-agent: *\nDisallow: /no")}) as server:
        add(tmp_path, server.url + "/")
        report = run(config_for(server, follow_links=True), tmp_path)
    assert report.n_out == 1 and report.dropped == {"robots": 1}


def test_links_are_followed_from_where_a_redirect_led(tmp_path):
    with serve({"/": page("<a href=/1>1</a>"), "/1": page()}) as there, serve() as here:
        here.routes["/"] = page(status=301, Location=there.url + "/")
        add(tmp_path, here.url + "/")
        assert run(config_for(here, there, follow_links=True), tmp_path).n_out == 2


def test_links_have_limits(tmp_path):
    many = "".join(f"<a href=/{n}>{n}</a>" for n in range(50))
    with serve({"/": page(many)}, default=page()) as server:
        add(tmp_path, server.url + "/")
        report = run(config_for(server, follow_links=True, max_links_per_host=9, max_pages_per_host=4), tmp_path)
    assert report.facts["links"] == {"added": 9, "too_many_links": 41}
    assert (report.n_out, report.facts["still_due"]) == (4, 6)


def test_links_are_not_followed_by_default(tmp_path):
    with serve({"/": page("<a href=/1>1</a>")}) as server:
        add(tmp_path, server.url + "/")
        assert "links" not in run(config_for(server), tmp_path).facts and "/1" not in server.paths


# --- redirects -----------------------------------------------------------------------------------


def test_a_redirect_is_followed_in_the_line_of_its_host(tmp_path):
    with serve({"/new": page("<p>here")}) as there, serve() as here:
        here.routes |= {"/": page(status=301, Location=there.url + "/new"),
                        "/closed": page(status=301, Location=there.url + "/private")}
        there.routes["/robots.txt"] = page("User-agent: *\nDisallow: /private")
        add(tmp_path, here.url + "/", here.url + "/closed")
        assert run(config_for(here, there), tmp_path).dropped == {"robots": 1}
        assert there.paths == ["/robots.txt", "/new"]
    assert [url for kind, url, _, _ in records(tmp_path) if kind == "response"] == [
        here.url + "/", here.url + "/closed", there.url + "/new"]
    assert states(tmp_path) == {here.url + "/": "fetched", here.url + "/closed": "robots"}


def test_a_redirect_to_a_known_url_is_left_to_that_one(tmp_path):
    with serve({"/a": page(status=301, Location="/b"), "/b": page()}) as server:
        add(tmp_path, server.url + "/a", server.url + "/b")
        report = run(config_for(server), tmp_path)
        assert (report.n_out, report.dropped) == (1, {"redirected": 1}) and server.paths.count("/b") == 1


def test_many_redirects_to_one_place_fetch_it_once(tmp_path):
    with serve({f"/{n}": page(status=301, Location="/home") for n in range(6)} | {"/home": page()}) as server:
        add(tmp_path, *[f"{server.url}/{n}" for n in range(6)])
        report = run(config_for(server), tmp_path)
        assert (report.n_out, report.dropped) == (1, {"redirected": 5}) and server.paths.count("/home") == 1


def test_redirects_count_for_the_host_they_lead_to(tmp_path):
    with serve(default=page()) as there, serve() as here:
        here.routes |= {f"/{n}": page(status=301, Location=f"{there.url}/{n}") for n in range(6)}
        add(tmp_path, *[f"{here.url}/{n}" for n in range(6)])
        report = run(config_for(here, there, max_pages_per_host=4), tmp_path)
        assert report.n_out == 4 and len(there.log) == 5


def test_a_robots_txt_elsewhere_waits_for_its_turn(tmp_path):
    with ExitStack() as stack:
        common = stack.enter_context(serve({"/robots.txt": page("User-agent: *\nDisallow: /no")}, default=page()))
        hosts = [stack.enter_context(serve(default=page())) for _ in range(4)]
        for host in hosts:
            host.routes["/robots.txt"] = page(status=301, Location=common.url + "/robots.txt")
        add(tmp_path, common.url + "/a", *[f"{host.url}/{name}" for host in hosts for name in ("no", "yes")])
        report = run(config_for(common, *hosts, delay_sec=0.1), tmp_path)
        assert report.dropped == {"robots": 4, "duplicate_payload": 3} and len(common.log) == 6
        gaps = [later.began - earlier.ended for earlier, later in pairwise(common.log)]
        assert min(gaps) > 0.09


# --- WARC ----------------------------------------------------------------------------------------


def test_the_payload_is_kept_as_it_came_over_the_wire(tmp_path):
    packed = gzip.compress(b"<p>packed")
    chunks = OK_HEAD + b"X-Ume: \xc3\xa5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n<p>in\r\n0\r\n\r\n"
    with serve({"/gzip": (200, HTML | {"Content-Encoding": "gzip"}, packed), "/chunks": raw(chunks)}) as server:
        add(tmp_path, server.url + "/gzip", server.url + "/chunks")
        assert run(config_for(server), tmp_path).n_out == 2
    _, (_, _, headers, body), _, (_, _, chunked, pieces), _ = records(tmp_path)
    assert body == b"<p>packed" and "Content-Encoding: gzip" in headers and f"Content-Length: {len(packed)}" in headers
    assert pieces == b"<p>in" and "X-Crawl-Transfer-Encoding: chunked" in chunked
    data = (tmp_path / "data/pages/000000.warc.gz").read_bytes()
    assert gzip.decompress(data).count(packed) == 1 and data.count(b"\x1f\x8b\x08") >= 3


def test_odd_headers_do_not_break_the_archive(tmp_path):
    with serve({"/": raw(b"HTTP/1.1 200 Tr\xe8s bien\r\nContent-Type: text/html\r\nX-One: \xfc\x1b[31m\r\n"
                         b"X-Two: a\r\n  b\r\nETag: \x07\r\nX-\xdc: 1\r\n\r\n<p>odd")}) as server:
        add(tmp_path, server.url + "/")
        assert run(config_for(server), tmp_path).n_out == 1
    _, (_, _, headers, body), _ = records(tmp_path)
    assert body == b"<p>odd" and "X-One: ?[31m" in headers and "\x1b" not in headers


def test_every_file_begins_with_a_warcinfo_record(tmp_path, monkeypatch):
    monkeypatch.setitem(append_log.SHARD_BYTES, "data/pages", 1500)
    with serve(default=page()) as server:
        add(tmp_path, *[f"{server.url}/{n}" for n in range(6)])
        assert run(config_for(server), tmp_path).n_out == 6
    files = len(list((tmp_path / "data/pages").glob("*.warc.gz")))
    kinds = [kind for kind, _, _, _ in records(tmp_path)]
    assert files > 1 and kinds[0] == "warcinfo" and kinds.count("warcinfo") == files


# --- politeness ----------------------------------------------------------------------------------


@pytest.mark.parametrize("delay_sec, crawl_delay", [(0.15, 0), (0.05, 0.15)])
def test_one_request_at_a_time_and_a_delay_between_two(tmp_path, delay_sec, crawl_delay):
    with serve({"/robots.txt": page(f"User-agent: *\nCrawl-delay: {crawl_delay}")}, default=page()) as server:
        add(tmp_path, *[f"{server.url}/{n}" for n in range(5)])
        assert run(config_for(server, delay_sec=delay_sec), tmp_path).n_out == 5
    gaps = [later.began - earlier.ended for earlier, later in pairwise(server.log)]
    assert len(gaps) == 5 and min(gaps) > 0.145 and max(gaps) < 0.3


def test_hosts_are_visited_at_the_same_time(tmp_path):
    def slow(handler):
        time.sleep(0.1)
        raw(OK_HEAD + b"\r\n<p>slow")(handler)
    with ExitStack() as stack:
        servers = [stack.enter_context(serve({f"/{n}": slow for n in range(3)})) for _ in range(8)]
        add(tmp_path, *[f"{server.url}/{n}" for server in servers for n in range(3)])
        started = time.monotonic()
        assert run(config_for(*servers, delay_sec=0.05), tmp_path).n_in == 24
        assert time.monotonic() - started < 1.2  # one after the other would take 3.6 s


def test_the_caps_are_shared_fairly_among_hosts(tmp_path):
    with serve(default=page()) as one, serve(default=page()) as other:
        add(tmp_path, *[f"{one.url}/{n}" for n in range(30)], *[f"{other.url}/{n}" for n in range(3)])
        assert run(config_for(one, other, max_pages=8), tmp_path).n_in == 8
        assert [sum(path != "/robots.txt" for path in server.paths) for server in (one, other)] == [5, 3]
        assert run(config_for(one, other, max_pages_per_host=7), tmp_path).n_in == 7


@pytest.mark.parametrize("headers, seconds", [({}, 3600), ({"Retry-After": "120"}, 120)])
def test_a_host_that_has_enough_is_left_alone(tmp_path, headers, seconds):
    with serve(default=page(status=429, **headers)) as server:
        server.routes["/robots.txt"] = page("")
        add(tmp_path, server.url + "/a", server.url + "/b")
        assert run(config_for(server), tmp_path).dropped == {"http_429": 1}
        assert run(config_for(server), tmp_path).n_in == 0
        assert server.paths == ["/robots.txt", "/a"]
    with Catalog(tmp_path) as catalog:
        assert catalog.value("SELECT until FROM backoffs") == pytest.approx(time.time() + seconds, abs=10)


def test_a_host_that_keeps_failing_waits_for_the_next_run(tmp_path):
    with serve(default=page(status=500)) as server:
        server.routes["/robots.txt"] = page("")
        add(tmp_path, *[f"{server.url}/{n}" for n in range(9)])
        report = run(config_for(server), tmp_path)
    assert report.dropped == {"http_500": 1} and report.facts["still_due"] == 8
    with Catalog(tmp_path) as catalog:
        assert catalog.value("SELECT until FROM backoffs") == pytest.approx(time.time() + 3600, abs=10)


def test_a_page_that_fails_for_a_moment_is_tried_again(tmp_path):
    answers = iter([page(status=500), page(status=503, Retry_After="0")])
    with serve() as server:
        def flaky(handler):
            status, headers, body = next(answers, page(f"<p>well again, {handler.path}"))
            handler.send_response(status)
            for name, value in headers.items():
                handler.send_header(name, value)
            handler.end_headers()
            handler.wfile.write(body)
        server.routes |= {"/a": flaky, "/b": flaky}
        add(tmp_path, server.url + "/a", server.url + "/b")
        assert run(config_for(server, web={"fetch_deadline_sec": 5.0}), tmp_path).n_out == 2
        assert server.paths == ["/robots.txt", "/a", "/b", "/a", "/b"]


def test_a_host_is_closed_twice_as_long_each_time_until_it_answers(tmp_path):
    def closed_sec():
        with Catalog(tmp_path) as catalog, catalog.record():
            seconds = catalog.value("SELECT until FROM backoffs") - time.time()
            catalog.execute("UPDATE backoffs SET until = 0")
            return seconds
    with serve(default=page(status=503)) as server:
        server.routes["/robots.txt"] = page("")
        add(tmp_path, server.url + "/")
        for hours in (1, 2, 4):
            run(config_for(server), tmp_path)
            assert closed_sec() == pytest.approx(hours * 3600, abs=20)
            due_again(tmp_path)
        server.default = page()
        run(config_for(server), tmp_path)
        server.default = page(status=503)
        due_again(tmp_path)
        run(config_for(server), tmp_path)
        assert closed_sec() == pytest.approx(3600, abs=20)


# --- the next visit ------------------------------------------------------------------------------


@pytest.mark.parametrize("reason, failures, before, days", [
    ("fetched", 0, None, 7), ("fetched", 0, 8, 4), ("fetched", 0, 1, 1), ("not_modified", 0, 8, 16),
    ("unchanged", 0, 80, 90), ("robots", 3, 8, 16), ("http_500", 0, 8, 1), ("timeout", 2, 8, 4), ("timeout", 99, 8, 30),
    ("http_404", 0, 8, 1), ("http_404", "again", 8, None), ("http_410", 0, 8, None), ("not_html", 0, 8, None)])
def test_when_a_page_is_visited_again(reason, failures, before, days):
    state, failures = ("http_404", 1) if failures == "again" else ("new", failures)
    row = {"failures": failures, "revisit_days": before, "archive": None, "state": state}
    due = next_visit(row, reason, 7.0, 1.0).due_at
    assert due == (None if days is None else pytest.approx(time.time() + days * DAY, abs=10))


def test_failures_are_counted_until_a_success(tmp_path):
    with serve({"/": page(status=500)}) as server:
        add(tmp_path, server.url + "/")
        for failures in (1, 2):
            run(config_for(server), tmp_path)
            assert row_of(tmp_path, server.url + "/")["failures"] == failures
            due_again(tmp_path)
        server.routes["/"] = page()
        run(config_for(server), tmp_path)
    row = row_of(tmp_path, server.url + "/")
    assert (row["state"], row["failures"]) == ("fetched", 0) and row["due_at"] > time.time() + 6 * DAY


def test_without_a_network_everything_stays_due(tmp_path):
    urls = [f"http://site{n % 9}.invalid/{n}" for n in range(18)]
    add(tmp_path, *urls)
    report = run(config_for(workers=1), tmp_path)
    assert report.dropped == {"unreachable": 10} and report.facts["still_due"] == 18  # five hosts were enough
    assert not any(row_of(tmp_path, url)["failures"] for url in urls)


def test_dead_hosts_do_not_hide_the_living(tmp_path):
    def slow(handler):
        time.sleep(0.2)
        raw(OK_HEAD + b"\r\n<p>" + handler.path.encode())(handler)
    with serve({"/robots.txt": page("")}, default=slow) as server:
        add(tmp_path, *[f"http://dead{n}.invalid/" for n in range(20)], server.url + "/a")
        reports = [run(config_for(server), tmp_path) for _ in range(6)]
    assert sum(report.n_out for report in reports) == 1


def test_a_host_that_denies_everything_is_left_alone(tmp_path):
    with serve(default=page(status=403)) as server:
        add(tmp_path, *[f"{server.url}/{n}" for n in range(9)])
        assert run(config_for(server), tmp_path).dropped == {"http_403": 3} and len(server.log) == 4


def test_a_host_that_was_closed_is_not_asked_through_a_redirect(tmp_path):
    with serve(default=page(status=503)) as closed, serve() as other:
        closed.routes["/robots.txt"] = page("")
        add(tmp_path, closed.url + "/a", other.url + "/b")
        other.routes |= {"/robots.txt": lambda handler: (time.sleep(0.3), raw(b"HTTP/1.1 404 No\r\n\r\n")(handler)),
                         "/b": page(status=302, Location=closed.url + "/c")}
        assert run(config_for(closed, other), tmp_path).dropped == {"http_503": 2}
        assert closed.paths == ["/robots.txt", "/a"]


def test_a_block_list_holds_for_known_urls(tmp_path):
    (tmp_path / "hosts.txt").write_text("127.0.0.1\n")
    with serve(default=page()) as server:
        add(tmp_path, server.url + "/")
        config = config_for(server, search=config_module.BlocklistConfig(["hosts.txt"]))
        assert run(config, tmp_path).dropped == {"blocked_host": 1} and server.log == []


def test_a_host_that_is_gone_while_others_answer_is_a_failure(tmp_path):
    with serve(default=page()) as server, serve() as gone:
        gone.shutdown()
        gone.server_close()
        add(tmp_path, server.url + "/", gone.url + "/a", gone.url + "/b")
        assert run(config_for(server, gone, workers=1), tmp_path).dropped == {"unreachable": 2}
    assert row_of(tmp_path, gone.url + "/b")["failures"] == 1


# --- the end of a run ----------------------------------------------------------------------------


def test_the_time_limit_holds_with_fetches_in_flight(tmp_path):
    with serve(default=lambda handler: time.sleep(2)) as server:
        server.routes |= {"/robots.txt": page(""), "/a": page()}
        add(tmp_path, server.url + "/a", server.url + "/slow")
        started = time.monotonic()
        report = run(config_for(server, max_minutes=0.4 / 60), tmp_path)
        assert time.monotonic() - started < 0.8 and (report.n_out, report.facts["still_due"]) == (1, 1)


def test_a_signal_ends_the_run_with_whole_records(tmp_path):
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        process.catch_signals()
        with serve(default=page()) as server:
            add(tmp_path, *[f"{server.url}/{n}" for n in range(50)])
            threading.Timer(0.4, os.kill, [os.getpid(), signal.SIGTERM]).start()
            with pytest.raises(Stopped):
                run(config_for(server, delay_sec=0.05), tmp_path)
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    fetched = [url for url, state in states(tmp_path).items() if state == "fetched"]
    assert 1 <= len(fetched) < 50 and len(records(tmp_path)) == 2 * len(fetched) + 1


def test_a_bug_in_a_worker_is_not_swallowed(tmp_path, monkeypatch):
    monkeypatch.setattr("miniature_memory.crawl.web.Web.fetch", lambda *args, **kwargs: 1 // 0)
    add(tmp_path, "http://127.0.0.1:9/")
    with pytest.raises(ZeroDivisionError):
        run(config_for(), tmp_path)


def test_extracted_pages_may_be_dropped(tmp_path, monkeypatch):
    monkeypatch.setitem(append_log.SHARD_BYTES, "data/pages", 1500)
    with serve(default=page()) as server:
        add(tmp_path, *[f"{server.url}/{n}" for n in range(6)])
        run(config_for(server), tmp_path)
        before = sorted((tmp_path / "data/pages").iterdir())
        assert len(before) > 2
        with Catalog(tmp_path) as catalog, catalog.record():
            catalog.advance("extract", catalog.value("SELECT max(seq) FROM pages") - 1)
        run(config_for(server, keep_pages=False), tmp_path)
        assert sorted((tmp_path / "data/pages").iterdir()) == before[-1:]  # its last page still waits
        with Catalog(tmp_path) as catalog, catalog.record():
            catalog.advance("extract", catalog.value("SELECT max(seq) FROM pages"))
        add(tmp_path, server.url + "/new")
        assert run(config_for(server, keep_pages=False), tmp_path).n_out == 1
    after = sorted((tmp_path / "data/pages").iterdir())
    assert len(after) == 1 and after[0].name > before[-1].name and len(records(tmp_path)) == 3


def test_the_status_says_what_became_of_every_url(tmp_path, capsys):
    with serve({"/a": page(), "/b": page(status=404)}) as server:
        add(tmp_path, server.url + "/a", server.url + "/b", "http://10.0.0.1/")
        run(config_for(server), tmp_path)
    assert scrape.main(["--root", str(tmp_path), "--status"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["all", "hosts", "3", "http_404", "1,", "fetched", "1,", "blocked_address", "1"]
    assert any(line.split() == ["10.0.0.1", "1", "blocked_address", "1"] for line in lines)


def test_the_status_of_nothing_says_what_to_do(tmp_path, capsys):
    assert scrape.main(["--root", str(tmp_path), "--status"]) == 1
    with Catalog(tmp_path):
        pass
    assert scrape.main(["--root", str(tmp_path), "--status"]) == 0
    assert "no URL is known yet" in capsys.readouterr().out


def test_redirects_to_blocked_hosts_are_not_followed(tmp_path):
    (tmp_path / "hosts.txt").write_text("# a list\n0.0.0.0 bad.example\n")
    with serve({"/": page(status=302, Location="http://www.bad.example/")}) as server:
        add(tmp_path, server.url + "/")
        config = config_for(server, search=config_module.BlocklistConfig(["hosts.txt"]))
        assert run(config, tmp_path).dropped == {"blocked_host": 1}


def test_nothing_due_is_no_failure(tmp_path):
    assert run(ScrapeConfig(), tmp_path).n_in == 0
