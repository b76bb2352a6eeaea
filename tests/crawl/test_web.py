"""web.py and guard.py on loopback.   .venv/bin/python3 -m pytest tests/crawl/test_web.py"""

import gzip
import socket
import ssl
import threading
import time
from email.utils import formatdate

import pytest
from local_server import HTML, OK_HEAD, page, raw, serve

from miniature_memory.crawl import guard
from miniature_memory.crawl.config import WebConfig
from miniature_memory.crawl.guard import Address, FetchError, forbidden_address
from miniature_memory.crawl.urls import browser_url
from miniature_memory.crawl.web import AGENT, Web
from miniature_memory.responses.media_type import HTML_TYPES

PUBLIC = "93.184.216.34"  # stands for any public address; nothing is ever sent there


def web_for(*servers, **settings) -> Web:
    return Web(WebConfig(allow_private=[f"127.0.0.1:{server.port}" for server in servers], **settings))


def still_answers(server) -> bool:
    """Whether the server's last answer has not ended yet."""
    return server.log[-1].ended == 0


def reason_of(web: Web, url: str, **arguments) -> str:
    with pytest.raises(FetchError) as caught:
        web.fetch(url, **arguments)
    return caught.value.reason


@pytest.fixture
def connections(monkeypatch) -> list[Address]:
    """Notes where connections would go, and makes none."""
    made: list[Address] = []

    def record(address, seconds):
        made.append(address)
        raise ConnectionRefusedError
    monkeypatch.setattr(guard, "connect_socket", record)
    return made


def names(monkeypatch, table: dict[str, list[str]]) -> list[str]:
    """Resolve the names of `table` to its addresses, and no others; return the list of names asked for."""
    asked: list[str] = []

    def getaddrinfo(host, port, *args, **kwargs):
        asked.append(host)
        if host not in table:
            raise socket.gaierror(socket.EAI_NONAME, "unknown")
        return [(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))
                for address in table[host]]
    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return asked


@pytest.mark.parametrize("address", [
    "127.0.0.1", "127.9.9.9", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",
    "100.100.100.200", "168.63.129.16", "192.0.0.8", "198.18.0.1", "203.0.113.1", "224.0.0.1", "240.0.0.1",
    "255.255.255.255", "::", "::1", "fe80::1", "fe80::1%lo", "fc00::1", "fd00:ec2::254", "fec0::1", "ff02::1",
    "::ffff:127.0.0.1", "::127.0.0.1", "64:ff9b::10.0.0.1", "64:ff9b:1::808:808", "2002:7f00:1::", "2001:db8::1",
    "192.88.99.1", "2002:c058:6301::", "3fff::1", "3fff:fff::1"])
def test_forbidden_addresses(address):
    assert forbidden_address(address)


@pytest.mark.parametrize("address", ["8.8.8.8", PUBLIC, "2606:4700::1111", "64:ff9b::8.8.8.8", "2002:808:808::1"])
def test_public_addresses(address):
    assert not forbidden_address(address)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1", "0x7f.1", "0x7f000001", "2130706433", "017700000001", "0",
                                  "localhost", "[::1]", "[::ffff:7f00:1]", "[::]", "10.1", "169.254.169.254"])
def test_no_spelling_reaches_a_forbidden_address(host, connections):
    assert reason_of(Web(WebConfig()), f"http://{host}/") == "blocked_address"
    assert reason_of(Web(WebConfig()), f"https://{host}:8443/") == "blocked_address"
    assert connections == []


def test_one_forbidden_address_blocks_the_name(monkeypatch, connections):
    names(monkeypatch, {"mixed.example": [PUBLIC, "10.0.0.1"]})
    assert reason_of(Web(WebConfig()), "http://mixed.example/") == "blocked_address"
    assert connections == []


def test_the_address_that_was_checked_is_the_one_connected_to(monkeypatch, connections):
    asked = names(monkeypatch, {"fine.example": [PUBLIC]})
    assert reason_of(Web(WebConfig()), "http://fine.example:81/") == "unreachable"
    assert [address.sockaddr for address in connections] == [(PUBLIC, 81)]
    assert asked == ["fine.example"]


def test_a_redirect_to_a_private_address_is_not_followed():
    with serve({"/": page()}) as inner, serve({"/": page(status=302, Location=inner.url + "/")}) as outer:
        assert reason_of(web_for(outer), outer.url + "/") == "blocked_address"
        assert outer.paths == ["/"] and inner.paths == []


def test_connect_to_stands_in_for_a_host(connections):
    web = Web(WebConfig(connect_to=["site.invalid=127.0.0.1:8001"]))
    assert reason_of(web, "http://site.invalid/") == "unreachable"
    assert [address.sockaddr for address in connections] == [("127.0.0.1", 8001)]
    assert web.is_stand_in("http://site.invalid/x") and not web.is_stand_in("http://other.invalid/")
    for name in ("straße.invalid", "STRASSE.invalid", "xn--strae-oqa.invalid"):
        web = Web(WebConfig(connect_to=[f"{name}=127.0.0.1:8001"]))
        assert web.is_stand_in(browser_url("http://Straße.invalid/")) == (name != "STRASSE.invalid")


@pytest.mark.parametrize("settings", [{"allow_private": ["wiki.lan"]}, {"connect_to": ["site:80"]},
                                      {"connect_to": ["site=1.2.3.4"]}, {"contact": "a\nb"}])
def test_wrong_settings_are_rejected(settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        WebConfig(**settings)


def test_the_proxies_of_the_environment_are_not_used(monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    with serve({"/": page()}) as server:
        assert web_for(server).fetch(server.url + "/").status == 200


def test_a_proxy_gets_only_names_that_were_checked(monkeypatch):
    with serve(default=page("<p>by proxy")) as proxy:
        names(monkeypatch, {"public.example": [PUBLIC], "inner.example": ["10.0.0.1"], "127.0.0.1": ["127.0.0.1"]})
        web = Web(WebConfig(proxy=proxy.url))
        assert web.fetch("http://public.example/a%2f|?b").body == b"<p>by proxy"
        assert reason_of(web, "http://inner.example/") == "blocked_address"
        assert proxy.paths == ["http://public.example/a%2f|?b"]


@pytest.mark.parametrize("proxy", ["socks5://a:1", "http://", "nonsense", "http://a b:1"])
def test_an_impossible_proxy_is_rejected(proxy):
    with pytest.raises(ValueError, match="proxy"):
        WebConfig(proxy=proxy)


def test_a_page_comes_whole_with_its_headers():
    packed = gzip.compress(b"<p>" + b"text " * 100)
    with serve({"/": (200, HTML | {"Content-Encoding": "gzip", "X-Two": "2"}, packed)}) as server:
        answer = web_for(server, contact="me@example.org").fetch(server.url + "/", accept=HTML_TYPES)
        assert (answer.payload, answer.body) == (packed, b"<p>" + b"text " * 100)
        assert answer.header("x-two") == "2" and answer.header("none") == ""
        assert server.log[0].headers["User-Agent"] == f"{AGENT} (+me@example.org)"


def test_neither_cookies_nor_credentials_are_sent():
    with serve({"/": page(Set_Cookie="id=1")}) as server:
        web = web_for(server)
        for _ in range(2):
            web.fetch(server.url.replace("//", "//user:secret@") + "/")
        assert not any({"Cookie", "Authorization"} & set(request.headers) for request in server.log)


def test_not_modified_needs_a_condition():
    with serve({"/": page(status=304)}) as server:
        assert web_for(server).fetch(server.url + "/", headers={"If-None-Match": '"a"'}).status == 304
        assert reason_of(web_for(server), server.url + "/") == "http_304"


@pytest.mark.parametrize("status", [201, 204, 302, 400, 403, 404, 410, 429, 500, 503])
def test_other_statuses_are_reasons(status):
    with serve({"/": page(status=status)}) as server:
        assert reason_of(web_for(server), server.url + "/") == f"http_{status}"


@pytest.mark.parametrize("value, seconds", [
    ("120", 120), (formatdate(time.time() + 3600, usegmt=True), pytest.approx(3600, abs=300)), ("soon", None)],
    ids=["seconds", "date", "neither"])
def test_retry_after_is_passed_on(value, seconds):
    with serve({"/": page(status=503, Retry_After=value)}) as server, pytest.raises(FetchError) as caught:
        web_for(server).fetch(server.url + "/")
    assert caught.value.retry_after_sec == seconds


def test_redirects_are_followed_and_each_hop_is_checked():
    with serve({"/": page(status=301, Location="/b"), "/b": page(status=302, Location="/c#x"), "/c": page()}) as server:
        web, url, hops = web_for(server), server.url, []
        assert web.fetch(url + "/", rejection_of=lambda hop: hops.append(hop) or "").url == url + "/c"
        assert hops == [url + path for path in ("/", "/b", "/c")]
        assert reason_of(web, url + "/", rejection_of=lambda hop: "robots" * hop.endswith("/b")) == "robots"
        assert server.paths == ["/", "/b", "/c", "/"]
        assert web.fetch(url + "/", follow=False).location == url + "/b"


@pytest.mark.parametrize("path", ["/%7e%2f%e9?b&a=%zz", "/a|b[c]'?q=^|", "/x?", "/a;b//c?d//e", "/*!$(),~@:"])
def test_an_address_is_sent_as_it_is_spelled(path):
    with serve(default=page()) as server:
        assert web_for(server).fetch(server.url + path).url == server.url + path
        assert server.paths == [path]


@pytest.mark.parametrize("location, path", [
    ("/b?y=1&x", "/b?y=1&x"), ("b/../c d", "/c%20d"), ("/\u00c3\u00a9", "/%C3%A9"), ("/\u00e9?\u00fc", "/%E9?%FC"),
    ("b?x#y", "/b?x"), ("//{host}/b", "/b"), (" /b\t ", "/b")])
def test_a_redirect_is_followed_in_its_own_spelling(location, path):
    with serve(default=page()) as server:
        host = server.url.removeprefix("http://")
        server.routes["/"] = page(status=302, Location=location.replace("{host}", host))
        assert web_for(server).fetch(server.url + "/").url == server.url + path
        assert server.paths == ["/", path]


def test_redirect_loops_end():
    with serve({"/": page(status=302, Location="/")}) as server:
        assert reason_of(web_for(server), server.url + "/") == "too_many_redirects"
        assert len(server.log) == 6


@pytest.mark.parametrize("location", ["ftp://example.org/", "http://[", "javascript:alert(1)", "/?" + "utm_" * 15_000,
                                      "http://\u00e9/"])
def test_redirects_to_nowhere_are_a_reason(location):
    with serve({"/": page(status=302, Location=location)}) as server:
        assert reason_of(web_for(server), server.url + "/") == "bad_redirect"


@pytest.mark.parametrize("locations, outcome", [(["/b", "/b"], "/b"), (["/b", "/c"], "bad_redirect")])
def test_a_redirect_to_two_places_leads_nowhere(locations, outcome):
    head = "HTTP/1.1 302 Found\r\nConnection: close\r\nContent-Length: 0\r\n"
    answer = raw((head + "".join(f"Location: {location}\r\n" for location in locations) + "\r\n").encode())
    with serve({"/": answer, "/b": page()}) as server:
        if outcome == "/b":
            assert web_for(server).fetch(server.url + "/").url == server.url + "/b"
        else:
            assert reason_of(web_for(server), server.url + "/") == outcome


def test_the_content_type_or_the_beginning_is_checked_before_the_body_is_read():
    with serve({"/": raw(b"HTTP/1.1 200 OK\r\nContent-Type: audio/mpeg\r\n\r\n", drops=b"x" * 99),
                "/none": (200, {}, b"<p>"), "/other": (200, {}, b"text"), "/zip": (200, {}, gzip.compress(b"\0")),
                "/packed": (200, {"Content-Encoding": "gzip"}, gzip.compress(b"<html>" + bytes(9)))}) as server:
        web = web_for(server)
        assert web.fetch(server.url + "/none", accept=HTML_TYPES).body == b"<p>"
        assert web.fetch(server.url + "/packed", accept=HTML_TYPES).body == b"<html>" + bytes(9)
        assert reason_of(web, server.url + "/other", accept=HTML_TYPES) == "unknown_type"
        assert reason_of(web, server.url + "/zip", accept=HTML_TYPES) == "not_html"
        assert reason_of(web_for(server), server.url + "/", accept=HTML_TYPES) == "not_html"
        assert still_answers(server)


def test_several_threads_may_fetch_at_once():
    with serve({"/": page("<p>shared")}) as server:
        web, bodies = web_for(server), []
        threads = [threading.Thread(target=lambda: bodies.append(web.fetch(server.url + "/").body)) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert bodies == [b"<p>shared"] * 20


def test_a_body_that_never_ends_is_too_big():
    def endless(handler):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n")
        while True:
            handler.wfile.write(b"x" * 10_000)
    with serve({"/": endless}) as server:
        assert reason_of(web_for(server, max_bytes=100_000), server.url + "/") == "too_big"
        assert len(web_for(server).fetch(server.url + "/", max_bytes=5_000, truncate=True).body) == 5_000


def test_a_gzip_bomb_is_too_big():
    with serve({"/": (200, HTML | {"Content-Encoding": "gzip"}, gzip.compress(bytes(20_000_000)))}) as server:
        assert reason_of(web_for(server), server.url + "/") == "too_big"


def test_a_page_that_cannot_be_unpacked_is_a_reason():
    with serve({"/": (200, HTML | {"Content-Encoding": "gzip"}, gzip.compress(b"<p>" * 99)[:-9])}) as server:
        assert reason_of(web_for(server), server.url + "/") == "bad_encoding"


@pytest.mark.parametrize("status, reason", [
    (200, ""), (203, ""), (204, "http_204"), (206, "http_206"), (300, "http_300")])
def test_which_statuses_are_a_success(status, reason):
    with serve({"/": page("<p>text" * (status != 204), status=status)}) as server:
        web = web_for(server)
        assert reason_of(web, server.url + "/") == reason if reason else web.fetch(server.url + "/").body == b"<p>text"
        assert status >= 300 or web.fetch(server.url + "/", successes=range(200, 300)).status == status


@pytest.mark.parametrize("answer", [
    raw(b"HTTP/1.1 200", drops=b" OK and so on and so on"), raw(b"HTTP/1.1 200 OK\r\n", drops=b"X: slow\r\n" * 9),
    raw(OK_HEAD + b"\r\n", drops=b"x" * 99), raw(OK_HEAD + b"Content-Length: 99\r\n\r\n", drops=b"x" * 99),
    raw(OK_HEAD + b"Transfer-Encoding: chunked\r\n\r\n", drops=b"1\r\nx\r\n" * 99)])
def test_a_server_that_trickles_is_cut_off(answer):
    with serve({"/": answer}) as server:
        assert reason_of(web_for(server, fetch_deadline_sec=0.3), server.url + "/") == "timeout"
        assert still_answers(server)


def test_silence_is_a_timeout(monkeypatch):
    monkeypatch.setattr(guard, "READ_TIMEOUT_SEC", 0.2)
    with serve({"/": lambda handler: time.sleep(1)}) as server:
        assert reason_of(web_for(server), server.url + "/") == "timeout" and still_answers(server)


def test_a_name_server_that_hangs_makes_a_host_unreachable(monkeypatch):
    answer = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: [] if answer.wait(20) else pytest.fail("waited"))
    monkeypatch.setattr(guard, "CONNECT_TIMEOUT_SEC", 0.2)
    assert reason_of(Web(WebConfig()), "http://site.example/") == "unreachable"
    answer.set()


def test_unknown_names_and_closed_ports_are_out_of_reach(monkeypatch):
    with serve() as server:
        pass
    assert reason_of(web_for(server), server.url + "/") == "unreachable"
    names(monkeypatch, {})
    assert reason_of(Web(WebConfig()), "http://site.example/") == "unreachable"


@pytest.mark.parametrize("data", [
    b"", b"\0\1\2\3\r\n\r\n", b"HTTP/1.1 200 OK\r\n" + b"X-Flood: 1\r\n" * 500 + b"\r\n",
    b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 100\r\n\r\nshort",
    b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\nbad\r\n"])
def test_a_broken_answer_is_a_reason(data):
    with serve({"/": raw(data)}) as server:
        assert reason_of(web_for(server), server.url + "/", accept=()) == "bad_response"


def test_a_connection_that_the_server_closed_is_opened_again():
    """The server closes each connection after an answer, without announcing it."""
    with serve({"/": page()}) as server:
        handler, seen = server.RequestHandlerClass, set()

        class Brief(handler):
            def do_GET(self):
                seen.add(self.client_address)
                super().do_GET()
                self.close_connection = True
        server.RequestHandlerClass = Brief
        web = web_for(server)
        for _ in range(3):
            assert web.fetch(server.url + "/").status == 200
            time.sleep(0.1)
        assert len(seen) == 3


def test_a_request_that_gets_no_answer_is_not_sent_again():
    with serve({"/": page(), "/b": raw(b"")}) as server:
        web = web_for(server)
        web.fetch(server.url + "/")
        assert reason_of(web, server.url + "/b") == "bad_response" and server.paths == ["/", "/b"]


# made with: openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 36500
#            -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1
CERTIFICATE = """\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgDD/HBeeDxC0E+qxg
1Dj/yIPuYvtDxMGQUGgHMveRM5KhRANCAAQHq+AfHW0Z7E+8XOtmIPuZCLrei9Ic
JbYzkUI26Kc4gCD2VTI3aCSsgMmnloaXeZxsh1jz1YfpfnYRn7iFaMeV
-----END PRIVATE KEY-----
-----BEGIN CERTIFICATE-----
MIIBkTCCATagAwIBAgIUSYc5gBa6/SuchGObjTj60h+VLSAwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyMjIxMjUxNVoYDzIxMjYxMDI5
MjEyNTE1WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAAQHq+AfHW0Z7E+8XOtmIPuZCLrei9IcJbYzkUI26Kc4gCD2VTI3aCSs
gMmnloaXeZxsh1jz1YfpfnYRn7iFaMeVo2QwYjAdBgNVHQ4EFgQU8L8sa8SJBQmb
otRBSe0dKByGQQcwHwYDVR0jBBgwFoAU8L8sa8SJBQmbotRBSe0dKByGQQcwDwYD
VR0TAQH/BAUwAwEB/zAPBgNVHREECDAGhwR/AAABMAoGCCqGSM49BAMCA0kAMEYC
IQCRSaA1LGo/RWa1mE/l/MroSmtIWcjbwD2OcbyzBefU/AIhAKUA5Klw7jRKt3hW
GK0gwV9EyLwn/mdOH3iKIKRT50oO
-----END CERTIFICATE-----
"""


@pytest.fixture
def tls_server(tmp_path):
    """An HTTPS server with an unknown certificate; yields it and the path of the certificate."""
    path = tmp_path / "certificate.pem"
    path.write_text(CERTIFICATE)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    with serve({"/": page("<p>secret"), "/slow": raw(OK_HEAD + b"\r\n", drops=b"x" * 99)}) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        yield server, path


def test_an_unknown_certificate_is_an_error(tls_server):
    server, _ = tls_server
    assert reason_of(web_for(server), server.url.replace("http", "https") + "/") == "tls_error"


def test_with_a_known_certificate_the_deadline_holds(tls_server, monkeypatch):
    server, path = tls_server
    monkeypatch.setattr("requests.adapters.DEFAULT_CA_BUNDLE_PATH", str(path))
    web, url = web_for(server, fetch_deadline_sec=0.6), server.url.replace("http", "https")
    assert [web.fetch(url + "/").body for _ in range(2)] == [b"<p>secret"] * 2
    assert reason_of(web, url + "/slow") == "timeout" and still_answers(server)


def test_plain_http_where_tls_is_expected_is_a_tls_error():
    with serve({"/": page()}) as server:
        assert reason_of(web_for(server), server.url.replace("http", "https") + "/") == "tls_error"
