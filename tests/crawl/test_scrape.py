"""scrape.py on loopback.   .venv/bin/python3 -m pytest tests/crawl/test_scrape.py"""

import gzip
import os
import signal
import threading
from pathlib import Path

import pytest
from helpers import run_py, warc_member
from local_server import HTML, OK_HEAD, page, raw, serve
from scraping import add, config_for, due_again, records, row_of, run, states

import scrape
from miniature_memory.core import process
from miniature_memory.core.errors import Stopped
from miniature_memory.crawl import scheduler, visits
from miniature_memory.crawl.config import ScrapeConfig, WebConfig
from miniature_memory.crawl.web import Web
from miniature_memory.demo_site import site as site_module
from miniature_memory.storage import append_log, urls
from miniature_memory.storage import catalog as catalog_module
from miniature_memory.storage.catalog import Catalog
from miniature_memory.storage.urls import Archived


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch):
    monkeypatch.setattr(scheduler, "BACKOFF_SEC", 0.01)


@pytest.fixture(scope="module")
def site():
    with site_module.serve() as server:
        yield server


def test_pages_of_the_sample_site_come_once(site, tmp_path):
    scenes = [scene.url for scene in site.site.scenes[:40]]
    add(tmp_path, *scenes, site_module.SITE + "private/subscribers.html")
    config = ScrapeConfig(max_pages=5, max_pages_per_host=5, web=WebConfig(  # these limits do not apply to a stand-in
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
    assert kinds == [("warcinfo", ""), *[(kind, url) for url in scenes for kind in ("response", "request")]]
    assert first.bytes_written == (tmp_path / "data/pages/000000.warc.gz").stat().st_size


@pytest.mark.parametrize("answer, reason", [
    (page(status=404), "http_404"), (page(status=410), "http_410"), (page(status=500), "http_500"),
    (page(Content_Type="audio/mpeg"), "not_html"), (page("x" * 2000), "too_big"), (page(" \n"), "empty"),
    ((200, HTML | {"Content-Encoding": "gzip"}, gzip.compress(bytes(100_000))), "too_big"),
    ((200, HTML | {"Content-Encoding": "br"}, bytes(9)), "bad_encoding"), (raw(b"nonsense\r\n\r\n"), "bad_response"),
    (raw(OK_HEAD + b"\r\n", drops=b"x" * 60), "timeout"), (page(status=302, Location="/"), "too_many_redirects"),
    (page(status=302, Location="http://10.0.0.1/"), "blocked_address"), (page(status=302, Location="/b.pdf"),
     "not_html_ending"), (page(status=302, Location="http://xnxx.com/"), "blocked_host"),
    (page(status=302, Location="ftp://a.example/"), "bad_redirect")])
def test_a_visit_without_a_page_has_a_reason(tmp_path, answer, reason):
    with serve({"/": answer}) as server:
        add(tmp_path, server.url + "/")
        stats = run(config_for(server, web={"max_bytes": 1000, "fetch_deadline_sec": 0.3}), tmp_path)
    assert (stats.n_in, stats.n_out, stats.dropped) == (1, 0, {reason: 1})
    assert states(tmp_path) == {server.url + "/": reason}


@pytest.mark.parametrize("robots, reason", [
    (page("User-agent: *\nDisallow: /"), "robots"), (page(status=503), "robots_unavailable"),
    (page("User-agent: *\nContent-Signal: search=yes, ai-train=no\n"), "noai")])
def test_robots_txt_is_obeyed(tmp_path, robots, reason):
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


def test_known_pages_get_conditional_requests(tmp_path):
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
        stats = run(config_for(server), tmp_path)
    assert (stats.n_out, stats.dropped) == (1, {"duplicate_payload": 1})
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
def test_pages_that_forbid_their_use_are_rejected(tmp_path, answer, reason):
    with serve({"/": answer}) as server:
        add(tmp_path, server.url + "/")
        assert run(config_for(server), tmp_path).dropped == {reason: 1}
        due_again(tmp_path)
        stats = run(config_for(server, respect_noai=False), tmp_path)
        assert stats.dropped == ({"needs_js": 1} if reason == "needs_js" else {})
    assert row_of(tmp_path, server.url + "/")["failures"] == 0


def refresh(content: str, *more: str) -> tuple[int, dict[str, str], bytes]:
    return page("".join([f"<meta http-equiv=refresh content='{content}'>", *more, "<p>One moment, please."]))


def test_a_page_that_sends_its_readers_on_is_a_redirect(tmp_path):
    with serve({"/": refresh("0; url=/a", "<meta name=robots content=noindex>"), "/a": page(Refresh="3; url=b#c"),
                "/b": page("<p>Arrived.", ETag='"1"')}) as server:
        add(tmp_path, server.url + "/")
        assert run(config_for(server), tmp_path).n_out == 1
        assert server.paths == ["/robots.txt", "/", "/a", "/b"]
        due_again(tmp_path)
        assert run(config_for(server), tmp_path).dropped == {"unchanged": 1}
        assert "If-None-Match" not in server.log[-3].headers  # "/" has another ETag, if it has one
    assert [body for kind, url, _, body in records(tmp_path) if kind == "response" and url.endswith("/b")] == [
        b"<p>Arrived."]


@pytest.mark.parametrize("answers, reason", [
    ({"/": refresh("0; url=/x")}, "robots"), ({"/": page(status=301, Location="/x")}, "robots"),
    ({"/": refresh("0; url=http://10.0.0.1/")}, "blocked_address"),
    ({"/": refresh("0; url=/a"), "/a": refresh("0; url=/")}, "too_many_redirects"),
    ({"/": refresh("0; url=/0")} | {f"/{n}": refresh(f"0; url=/{n + 1}") for n in range(9)}, "too_many_redirects")])
def test_a_refresh_has_the_limits_of_a_redirect(tmp_path, answers, reason):
    with serve({"/robots.txt": page("User-agent: *\nDisallow: /x"), **answers}) as server:
        add(tmp_path, server.url + "/")
        assert run(config_for(server), tmp_path).dropped == {reason: 1}


@pytest.mark.parametrize("content", ["5", "0; url=/", "0; url=#top", "300; url=/a", "0; url=javascript:go()"])
def test_a_page_that_only_renews_itself_is_kept(tmp_path, content):
    with serve({"/": refresh(content)}) as server:
        add(tmp_path, server.url + "/")
        assert run(config_for(server), tmp_path).n_out == 1
        assert server.paths == ["/robots.txt", "/"]


def test_what_may_be_a_mistake_of_the_server_is_asked_for_again(tmp_path):
    with serve({"/text": (200, {}, b"plain text"), "/wrong": (200, {"Content-Type": "text/plain"}, b"<!doctype html>"),
                "/png": (200, {"Content-Type": "image/png"}, b"\x89PNG")}) as server:
        add(tmp_path, *[server.url + path for path in ("/text", "/wrong", "/png")])
        assert run(config_for(server), tmp_path).dropped == {"unknown_type": 2, "not_html": 1}
        due = [row_of(tmp_path, server.url + path)["due_at"] is not None for path in ("/text", "/wrong", "/png")]
    assert due == [True, True, False]


def archive_of(member: bytes):
    """Answers with a range of a file that holds `member` from byte 100 on."""
    def answer(handler):
        start, end = map(int, handler.headers["Range"].removeprefix("bytes=").split("-"))
        part = (bytes(100) + member + bytes(100))[start:end + 1]
        raw(b"HTTP/1.1 206 Partial Content\r\nContent-Length: %d\r\n\r\n%s" % (len(part), part))(handler)
    return answer


def add_archived(root: Path, url: str, member: bytes, file: str = "crawl/x.warc.gz") -> None:
    with Catalog(root) as catalog, catalog.record():
        urls.add(catalog, url, "commoncrawl", archived=Archived(file, 100, len(member)))


def test_an_archived_page_is_fetched_from_the_archive(tmp_path, monkeypatch):
    url, member = "http://a.example/page", warc_member("http://a.example/page", b"<p>from the archive")
    with serve({"/crawl/x.warc.gz": archive_of(member)}) as server:
        monkeypatch.setattr(visits, "ARCHIVE", server.url + "/")
        add_archived(tmp_path, url, member)
        assert run(config_for(server), tmp_path).n_out == 1
        assert server.paths == ["/robots.txt", "/crawl/x.warc.gz"]  # the origin gets no request
        add_archived(tmp_path, url, member)
        assert run(config_for(server), tmp_path).n_in == 0
        server.routes["/crawl/y.warc.gz"] = server.routes["/crawl/x.warc.gz"]
        add_archived(tmp_path, url, member, "crawl/y.warc.gz")  # a newer crawl has it, too
        assert run(config_for(server), tmp_path).dropped == {"unchanged": 1}
    assert [(kind, found, body) for kind, found, _, body in records(tmp_path)][1] == (
        "response", url, b"<p>from the archive")
    data = gzip.decompress((tmp_path / "data/pages/000000.warc.gz").read_bytes()).decode()
    assert f"WARC-Source-Range: bytes=100-{99 + len(member)}" in data and "/crawl/x.warc.gz" in data


def test_an_archived_page_is_known_in_any_spelling(tmp_path, monkeypatch):
    member = warc_member("http://A.example:80/page?b=1&a=2", b"<p>from the archive")
    with serve({"/crawl/x.warc.gz": archive_of(member)}) as server:
        monkeypatch.setattr(visits, "ARCHIVE", server.url + "/")
        add_archived(tmp_path, "http://a.example/page?a=2&b=1", member)
        assert run(config_for(server), tmp_path).n_out == 1


def test_a_closed_archive_is_not_the_fault_of_its_pages(tmp_path, monkeypatch):
    url = "http://a.example/page"
    with serve(default=page(status=503)) as server:
        server.routes["/robots.txt"] = page("")
        monkeypatch.setattr(visits, "ARCHIVE", server.url + "/")
        add_archived(tmp_path, url, warc_member(url, b"<p>x"))
        run(config_for(server), tmp_path)
        due_again(tmp_path)
        assert run(config_for(server), tmp_path).n_in == 0 and row_of(tmp_path, url)["failures"] == 1


@pytest.mark.parametrize("member, reason", [
    (gzip.compress(b"WARC/1.1\r\nWARC-Type: response\r\nWARC-Target-URI: http://a.example/page\r\n"
                   b"WARC-Date: 2026-01-01T00:00:00Z\r\nContent-Type: application/http\r\nContent-Length: 0\r\n\r\n"
                   b"\r\n\r\n"), "bad_archive_record"),
    (warc_member("http://other.example/", b"<p>another"), "bad_archive_record"),
    (b"no gzip at all", "bad_archive_record"),
    (gzip.compress(b"no record at all", mtime=0), "bad_archive_record"),
    (gzip.compress(bytes(10**8)), "bad_archive_record"),
    (warc_member("http://a.example/page", b"%PDF", "application/pdf"), "not_html")])
def test_anything_but_the_archived_page_is_rejected(tmp_path, monkeypatch, member, reason):
    with serve({"/crawl/x.warc.gz": archive_of(member)}) as server:
        monkeypatch.setattr(visits, "ARCHIVE", server.url + "/")
        add_archived(tmp_path, "http://a.example/page", member)
        assert run(config_for(server), tmp_path).dropped == {reason: 1}


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


def test_the_time_limit_holds_with_fetches_in_flight(tmp_path):
    ended = threading.Event()
    with serve(default=lambda handler: ended.wait(20)) as server:
        server.routes |= {"/robots.txt": page(""), "/a": page()}
        add(tmp_path, server.url + "/a", server.url + "/slow")
        stats = run(config_for(server, max_minutes=0.4 / 60), tmp_path)
        assert (stats.n_out, stats.facts["still_due"]) == (1, 1)
        assert server.paths[-1] == "/slow" and server.log[-1].ended == 0
        ended.set()


def test_a_signal_ends_the_run_with_whole_records(tmp_path):
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        process.catch_signals()
        with serve(default=page()) as server:
            server.routes["/9"] = lambda handler: os.kill(os.getpid(), signal.SIGTERM)
            add(tmp_path, *[f"{server.url}/{n}" for n in range(50)])
            with pytest.raises(Stopped):
                run(config_for(server, delay_sec=0.05), tmp_path)
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    fetched = [url for url, state in states(tmp_path).items() if state == "fetched"]
    assert 1 <= len(fetched) < 50 and len(records(tmp_path)) == 2 * len(fetched) + 1


def test_a_bug_in_a_worker_is_not_swallowed(tmp_path, monkeypatch):
    monkeypatch.setattr(Web, "fetch", lambda *args, **kwargs: 1 // 0)
    add(tmp_path, "http://127.0.0.1:9/")
    with pytest.raises(ZeroDivisionError):
        run(config_for(), tmp_path)


def test_extracted_pages_may_be_removed(tmp_path, monkeypatch):
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


def test_the_status_shows_what_became_of_every_url(tmp_path, capsys):
    with serve({"/a": page(), "/b": page(status=404)}) as server:
        add(tmp_path, server.url + "/a", server.url + "/b", "http://10.0.0.1/")
        run(config_for(server), tmp_path)
    assert scrape.main(["--root", str(tmp_path), "--status"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split(maxsplit=3) == ["all", "hosts", "3", "1 HTTP 404, 1 fetched, 1 blocked address"]
    assert any(line.split() == ["10.0.0.1", "1", "1", "blocked", "address"] for line in lines)


def test_the_status_of_nothing_names_the_command_that_helps(tmp_path, capsys):
    assert scrape.main(["--root", str(tmp_path), "--status"]) == 1
    with Catalog(tmp_path):
        pass
    assert scrape.main(["--root", str(tmp_path), "--status"]) == 0
    assert f"Fix: python3 run.py --only search --root {tmp_path}" in capsys.readouterr().out
    (tmp_path / "config").mkdir()
    (tmp_path / "config/seeds.txt").write_text("page http://a.example/\n")
    assert run_py("--only", "search", "--root", tmp_path, "--set", 'search.providers=["seeds"]').returncode == 0
    assert scrape.main(["--root", str(tmp_path), "--status"]) == 0
    assert "1 new" in capsys.readouterr().out


def test_nothing_due_is_no_failure(tmp_path):
    assert run(ScrapeConfig(), tmp_path).n_in == 0


def test_no_more_urls_of_a_host_are_planned_than_its_delay_leaves_time_for():
    assert scrape.most_per_host(ScrapeConfig(max_minutes=3, delay_sec=5, max_pages_per_host=50)) == 37
    assert scrape.most_per_host(ScrapeConfig(max_minutes=60, delay_sec=5, max_pages_per_host=50)) == 50
    assert scrape.most_per_host(ScrapeConfig(delay_sec=0, max_pages_per_host=50)) == 50
