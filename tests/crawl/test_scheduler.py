"""scheduler.py: links, redirects, delays and pauses.   .venv/bin/python3 -m pytest tests/crawl/test_scheduler.py"""

import threading
import time
from contextlib import ExitStack
from itertools import pairwise

import pytest
from local_server import OK_HEAD, page, raw, serve
from scraping import add, config_for, due_again, records, row_of, run, states

from miniature_memory.crawl import guard, scheduler, visits
from miniature_memory.crawl.blocklists import Blocklist
from miniature_memory.crawl.config import BlocklistConfig, ScrapeConfig
from miniature_memory.crawl.frontier import DAY_SEC, due_urls
from miniature_memory.crawl.robots import Rules, remember_rules
from miniature_memory.crawl.web import Web
from miniature_memory.storage import urls
from miniature_memory.storage.catalog import Catalog


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch):
    monkeypatch.setattr(scheduler, "BACKOFF_SEC", 0.01)


def test_links_are_followed_on_the_same_host_to_a_depth(tmp_path):
    with serve({"/": page("<a href=/1>1</a><a href=http://other.example/>o</a><a href=/x.pdf>p</a><a href=/no>n</a>"),
                "/1": page("<a href='2#part'>2</a><a href=/1>1</a>"), "/2": page("<a href=/3>3</a>"),
                "/robots.txt": page("User-agent: *\nDisallow: /no")}) as server:
        add(tmp_path, server.url + "/")
        stats = run(config_for(server, follow_links=True), tmp_path)
        assert server.paths == ["/robots.txt", "/", "/1", "/2"] and stats.dropped == {"robots": 1}
    assert stats.facts["links"] == {"added": 3, "not_html_ending": 1, "already_known": 1}
    row = row_of(tmp_path, server.url + "/2")
    with Catalog(tmp_path, read_only=True) as catalog:
        assert (row["depth"], urls.found_by(catalog, row["id"])) == (2, f"links: {server.url}/1")


OWN_SPELLINGS = ["/index.php?/forum/3-tea/", "/index.php?threads/tea.7/", "/show?p=tea.git;a=log", "/page.php?12,7",
                 "/x?print", "/y?", "/list?b=2&a=1", "/z?q=a%20b&r=c+d", "/%e3%81%82|[1]", "/m?utm_source=mail&id=4"]


def test_a_page_that_must_not_be_kept_leads_on_unless_it_says_no(tmp_path):
    with serve({"/": page("<meta name=robots content='noindex'><a href=/a>a</a>"), "/a": page(),
                "/x": page("<meta name=robots content='none'><a href=/b>b</a>"), "/b": page()}) as server:
        add(tmp_path, server.url + "/", server.url + "/x")
        stats = run(config_for(server, follow_links=True), tmp_path)
        assert (stats.n_in, stats.n_out, stats.dropped) == (3, 1, {"noindex": 2})
        assert "/a" in server.paths and "/b" not in server.paths


def test_a_page_is_requested_and_archived_in_the_spelling_of_its_link(tmp_path):
    links = "".join(f"<a href='{path.replace('&', '&amp;')}'>p</a>" for path in OWN_SPELLINGS)
    with serve({"/": page(links)} | {path: page() for path in OWN_SPELLINGS}) as server:
        add(tmp_path, server.url + "/")
        assert run(config_for(server, follow_links=True), tmp_path).n_out == 1 + len(OWN_SPELLINGS)
        assert sorted(server.paths) == sorted(["/robots.txt", "/", *OWN_SPELLINGS])
    found = records(tmp_path)
    assert {url for kind, url, *_ in found if kind == "response"} == {
        server.url + path for path in ["/", *OWN_SPELLINGS]}
    assert {head.split()[1] for kind, _, head, _ in found if kind == "request"} == {"/", *OWN_SPELLINGS}
    add(tmp_path, *[server.url + path for path in ("/list?a=1&b=2", "/x?print=", "/y", "/m?id=4", "/z?q=a+b&r=c%20d")])
    assert len(states(tmp_path)) == 1 + len(OWN_SPELLINGS)
    assert row_of(tmp_path, server.url + "/list?a=1&b=2")["url"] == server.url + "/list?b=2&a=1"


def test_robots_txt_is_matched_against_the_address_that_is_requested(tmp_path):
    rules = "User-agent: *\nDisallow: /show?sort=\nDisallow: /*?print$\nDisallow: /*utm_source"
    with serve({"/robots.txt": page(rules)}, default=page()) as server:
        found = ("/show?sort=up&id=1", "/a?print", "/b?utm_source=x", "/c?print=")
        add(tmp_path, *[server.url + path for path in found])
        stats = run(config_for(server), tmp_path)
        assert stats.dropped == {"robots": 3} and server.paths == ["/robots.txt", "/c?print="]


@pytest.mark.parametrize("old, new", [
    ("/a?b=2&c=1", "/a?c=1&b=2"), ("/a?utm_source=x", "/a"), ("/a?b", "/a?b="), ("/a?q=b%20c", "/a?q=b+c"),
    ("/a", "/a/"), ("/%7Eme", "/~me"), ("/a;jsessionid=1", "/a"), ("/caf%c3%a9", "/caf%C3%A9")])
def test_a_redirect_to_the_sites_own_spelling_is_followed(tmp_path, old, new):
    with serve({old: page(status=301, Location=new), new: page()}) as server:
        add(tmp_path, server.url + old)
        assert run(config_for(server), tmp_path).n_out == 1 and server.paths == ["/robots.txt", old, new]
        due_again(tmp_path)
        assert run(config_for(server), tmp_path).dropped == {"unchanged": 1}


def test_a_redirect_in_a_circle_ends(tmp_path):
    with serve({"/a?b=2&c=1": page(status=301, Location="/a?c=1&b=2"),
                "/a?c=1&b=2": page(status=301, Location="/a?b=2&c=1")}) as server:
        add(tmp_path, server.url + "/a?b=2&c=1")
        assert run(config_for(server), tmp_path).dropped == {"too_many_redirects": 1} and len(server.paths) == 7


def test_links_that_robots_forbid_are_rejected_at_once(tmp_path):
    with serve({"/": page("<a href=/no>n</a>"), "/robots.txt": page("User-agent: *\nDisallow: /no")}) as server:
        add(tmp_path, server.url + "/")
        stats = run(config_for(server, follow_links=True), tmp_path)
    assert stats.n_out == 1 and stats.dropped == {"robots": 1}


def test_links_are_followed_from_where_a_redirect_led(tmp_path):
    with serve({"/": page("<a href=/1>1</a>"), "/1": page()}) as there, serve() as here:
        here.routes["/"] = page(status=301, Location=there.url + "/")
        add(tmp_path, here.url + "/")
        assert run(config_for(here, there, follow_links=True), tmp_path).n_out == 2


def test_links_have_limits(tmp_path):
    many = "".join(f"<a href=/{n}>{n}</a>" for n in range(50))
    with serve({"/": page(many)}, default=page()) as server:
        add(tmp_path, server.url + "/")
        stats = run(config_for(server, follow_links=True, max_links_per_host=9, max_pages_per_host=4), tmp_path)
    assert stats.facts["links"] == {"added": 9, "too_many_links": 41}
    assert (stats.n_out, stats.facts["still_due"]) == (4, 6)


def test_links_are_not_followed_by_default(tmp_path):
    with serve({"/": page("<a href=/1>1</a>")}) as server:
        add(tmp_path, server.url + "/")
        assert "links" not in run(config_for(server), tmp_path).facts and "/1" not in server.paths


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
        stats = run(config_for(server), tmp_path)
        assert (stats.n_out, stats.dropped) == (1, {"redirected": 1}) and server.paths.count("/b") == 1


def test_many_redirects_to_one_place_fetch_it_once(tmp_path):
    with serve({f"/{n}": page(status=301, Location="/home") for n in range(6)} | {"/home": page()}) as server:
        add(tmp_path, *[f"{server.url}/{n}" for n in range(6)])
        stats = run(config_for(server), tmp_path)
        assert (stats.n_out, stats.dropped) == (1, {"redirected": 5}) and server.paths.count("/home") == 1


def test_redirects_to_two_spellings_of_one_page_fetch_it_once(tmp_path):
    with serve({"/1": page(status=301, Location="/home?b=1&a=2"), "/2": page(status=301, Location="/home?a=2&b=1")},
               default=page()) as server:
        add(tmp_path, server.url + "/1", server.url + "/2")
        stats = run(config_for(server), tmp_path)
        assert (stats.n_out, stats.dropped) == (1, {"redirected": 1})


def test_redirects_count_for_the_host_they_lead_to(tmp_path):
    with serve(default=page()) as there, serve() as here:
        here.routes |= {f"/{n}": page(status=301, Location=f"{there.url}/{n}") for n in range(6)}
        add(tmp_path, *[f"{here.url}/{n}" for n in range(6)])
        stats = run(config_for(here, there, max_pages_per_host=4), tmp_path)
        assert stats.n_out == 4 and len(there.log) == 5


def test_a_robots_txt_elsewhere_waits_for_its_turn(tmp_path):
    with ExitStack() as stack:
        common = stack.enter_context(serve({"/robots.txt": page("User-agent: *\nDisallow: /no")}, default=page()))
        hosts = [stack.enter_context(serve(default=page())) for _ in range(4)]
        for host in hosts:
            host.routes["/robots.txt"] = page(status=301, Location=common.url + "/robots.txt")
        add(tmp_path, common.url + "/a", *[f"{host.url}/{name}" for host in hosts for name in ("no", "yes")])
        stats = run(config_for(common, *hosts, delay_sec=0.1), tmp_path)
        assert stats.dropped == {"robots": 4, "duplicate_payload": 3} and len(common.log) == 6
        gaps = [later.began - earlier.ended for earlier, later in pairwise(common.log)]
        assert min(gaps) > 0.09


def test_redirects_to_blocked_hosts_are_not_followed(tmp_path):
    (tmp_path / "hosts.txt").write_text("# a list\n0.0.0.0 bad.example\n")
    with serve({"/": page(status=302, Location="http://www.bad.example/")}) as server:
        add(tmp_path, server.url + "/")
        config = config_for(server, search=BlocklistConfig(["hosts.txt"]))
        assert run(config, tmp_path).dropped == {"blocked_host": 1}


@pytest.mark.parametrize("delay_sec, crawl_delay", [(0.15, 0), (0.05, 0.15)])
def test_one_request_at_a_time_and_a_delay_between_two(tmp_path, delay_sec, crawl_delay):
    with serve({"/robots.txt": page(f"User-agent: *\nCrawl-delay: {crawl_delay}")}, default=page()) as server:
        add(tmp_path, *[f"{server.url}/{n}" for n in range(5)])
        assert run(config_for(server, delay_sec=delay_sec), tmp_path).n_out == 5
    gaps = [later.began - earlier.ended for earlier, later in pairwise(server.log)]
    assert len(gaps) == 5 and min(gaps) > 0.145


@pytest.mark.parametrize("crawl_delay, waits_sec", [(0, 5.0), (7, 7.0)])
def test_no_host_waits_longer_than_its_delay(tmp_path, crawl_delay, waits_sec):
    with Catalog(tmp_path) as catalog:
        with catalog.record():
            remember_rules(catalog, "a.example", Rules(f"User-agent: *\nCrawl-delay: {crawl_delay}"))
            for n in range(2):
                urls.add(catalog, f"http://a.example/{n}", "test")
        config = ScrapeConfig(delay_sec=5.0)
        line = scheduler.Scheduler(config, catalog, Web(config.web), Blocklist(), visits.Network(), pytest.fail)
        for row in due_urls(catalog, 9, 9):
            line.plan(row)
        host = line.next_job().host
        line.rest(host, ended=1000.0)
        line.enqueue(host)
        assert line.next_turn() == 1000.0 + waits_sec


def test_hosts_are_visited_at_the_same_time(tmp_path):
    everybody = threading.Barrier(8)

    def waits_for_the_others(handler):
        everybody.wait(timeout=20)
        raw(OK_HEAD + b"\r\n<p>" + handler.path.encode() + str(handler.server.port).encode())(handler)
    with ExitStack() as stack:
        servers = [stack.enter_context(serve({"/robots.txt": page("")}, waits_for_the_others)) for _ in range(8)]
        add(tmp_path, *[f"{server.url}/{n}" for server in servers for n in range(3)])
        assert run(config_for(*servers), tmp_path).n_out == 24


def test_the_limits_are_shared_fairly_among_hosts(tmp_path):
    with serve(default=page()) as one, serve(default=page()) as other:
        add(tmp_path, *[f"{one.url}/{n}" for n in range(30)], *[f"{other.url}/{n}" for n in range(3)])
        assert run(config_for(one, other, max_pages=8), tmp_path).n_in == 8
        assert [sum(path != "/robots.txt" for path in server.paths) for server in (one, other)] == [5, 3]
        assert run(config_for(one, other, max_pages_per_host=7), tmp_path).n_in == 7


@pytest.mark.parametrize("headers, seconds", [({}, 3600), ({"Retry-After": "120"}, 120)])
def test_a_host_that_asks_for_a_pause_gets_it(tmp_path, headers, seconds):
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
        stats = run(config_for(server), tmp_path)
    assert stats.dropped == {"http_500": 1} and stats.facts["still_due"] == 8
    with Catalog(tmp_path) as catalog:
        assert catalog.value("SELECT until FROM backoffs") == pytest.approx(time.time() + 3600, abs=10)


def test_a_page_that_fails_for_a_moment_is_tried_again(tmp_path):
    answers = iter([page(status=500), page(status=503, Retry_After="0")])
    with serve() as server:
        def flaky(handler):
            status, headers, body = next(answers, page(f"<p>well now, {handler.path}"))
            handler.send_response(status)
            for name, value in headers.items():
                handler.send_header(name, value)
            handler.end_headers()
            handler.wfile.write(body)
        server.routes |= {"/a": flaky, "/b": flaky}
        add(tmp_path, server.url + "/a", server.url + "/b")
        assert run(config_for(server, web={"fetch_deadline_sec": 5.0}), tmp_path).n_out == 2
        assert server.paths == ["/robots.txt", "/a", "/b", "/a", "/b"]


def test_a_host_is_paused_twice_as_long_each_time_until_it_answers(tmp_path):
    def paused_sec():
        with Catalog(tmp_path) as catalog, catalog.record():
            seconds = catalog.value("SELECT until FROM backoffs") - time.time()
            catalog.execute("UPDATE backoffs SET until = 0")
            return seconds
    with serve(default=page(status=503)) as server:
        server.routes["/robots.txt"] = page("")
        add(tmp_path, server.url + "/")
        for hours in (1, 2, 4):
            run(config_for(server), tmp_path)
            assert paused_sec() == pytest.approx(hours * 3600, abs=20)
            due_again(tmp_path)
        server.default = page()
        run(config_for(server), tmp_path)
        server.default = page(status=503)
        due_again(tmp_path)
        run(config_for(server), tmp_path)
        assert paused_sec() == pytest.approx(3600, abs=20)


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
    assert (row["state"], row["failures"]) == ("fetched", 0) and row["due_at"] > time.time() + 6 * DAY_SEC


def test_without_a_network_everything_stays_due(tmp_path, caplog):
    addresses = [f"http://site{n % 9}.invalid/{n}" for n in range(18)]
    add(tmp_path, *addresses)
    stats = run(config_for(workers=1), tmp_path)
    assert stats.dropped == {"unreachable": 10} and stats.facts["still_due"] == 18  # five hosts were enough
    assert not any(row_of(tmp_path, url)["failures"] for url in addresses)
    assert f"Fix: connect this machine to one; python3 run.py --doctor --root {tmp_path} shows" in caplog.text


def test_dead_hosts_do_not_hide_the_living(tmp_path, monkeypatch):
    resolve = guard.resolve
    monkeypatch.setattr(guard, "resolve", lambda host, port, sec: resolve(host, port, sec if host[0] == "1" else 0))
    def slow(handler):
        time.sleep(0.2)
        raw(OK_HEAD + b"\r\n<p>" + handler.path.encode())(handler)
    with serve({"/robots.txt": page("")}, default=slow) as server:
        add(tmp_path, *[f"http://dead{n}.invalid/" for n in range(20)], server.url + "/a")
        assert any(run(config_for(server), tmp_path).n_out for _ in range(6))


def test_a_host_that_denies_everything_is_paused(tmp_path):
    with serve(default=page(status=403)) as server:
        add(tmp_path, *[f"{server.url}/{n}" for n in range(9)])
        assert run(config_for(server), tmp_path).dropped == {"http_403": 3} and len(server.log) == 4


def test_a_paused_host_gets_no_request_through_a_redirect(tmp_path):
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
        config = config_for(server, search=BlocklistConfig(["hosts.txt"]))
        assert run(config, tmp_path).dropped == {"blocked_host": 1} and server.log == []


def test_a_host_that_is_gone_while_others_answer_is_a_failure(tmp_path):
    with serve(default=page()) as server, serve() as gone:
        gone.shutdown()
        gone.server_close()
        add(tmp_path, server.url + "/", gone.url + "/a", gone.url + "/b")
        assert run(config_for(server, gone, workers=1), tmp_path).dropped == {"unreachable": 2}
    assert row_of(tmp_path, gone.url + "/b")["failures"] == 1
