"""Files that are read by range requests.   .venv/bin/python -m pytest tests/crawl/test_ranges.py"""

import io
import os
import random
import tracemalloc

import pytest
from local_server import HTML, page, raw, serve
from ranged import RangedFile

from miniature_memory.core.errors import StageError
from miniature_memory.crawl import ranges
from miniature_memory.crawl.config import WebConfig
from miniature_memory.crawl.ranges import RangeFile, public_url
from miniature_memory.crawl.web import Web

DATA = random.Random(1).randbytes(1_000_000)


@pytest.fixture(autouse=True)
def no_pause(monkeypatch):
    monkeypatch.setattr(ranges, "DELAY_SEC", 0.0)
    monkeypatch.setattr(ranges, "PAUSE_SEC", 0.01)


@pytest.fixture
def server():
    with serve() as started:
        yield started


def opened(server, path="/file", **web) -> RangeFile:
    return RangeFile(Web(WebConfig(allow_private=[f"127.0.0.1:{server.port}"], **web)), server.url + path)


def test_a_file_is_read_in_parts_and_from_anywhere(server):
    server.routes["/file"] = file = RangedFile(DATA)
    stream = io.BufferedReader(opened(server, "/file?signature=secret"))
    assert stream.read() == DATA and stream.read(1) == b"" and len(file.asked) > 3
    assert stream.seek(-10, io.SEEK_END) == len(DATA) - 10 and stream.read(99) == DATA[-10:]
    assert stream.seek(5) == 5 and stream.read(3) == DATA[5:8] and stream.tell() == 8
    assert stream.raw.name == server.url + "/file" and stream.raw.mark == '1000000 "1"'
    assert server.paths[0] == "/robots.txt" and server.paths.count("/robots.txt") == 1


@pytest.mark.parametrize("cut", [0, 1, 50_000])
def test_a_connection_that_breaks_off_is_continued_from_there(server, cut):
    server.routes["/file"] = file = RangedFile(DATA, cut=cut, cuts=0)
    stream = opened(server)
    beginning = stream.read(200_000)
    file.cuts = ranges.MAX_FAILURES - 1
    assert beginning + stream.read() == DATA
    assert file.asked[0] == 0 and all(at > 0 for at in file.asked[1:])


def test_a_connection_that_the_server_closes_between_two_parts_is_no_failure(server):
    """As it looks when it is closed just while the next request is on its way."""
    file = RangedFile(DATA, cut=1)

    def answer(handler):
        if not hasattr(handler, "has_answered"):
            handler.has_answered, handler.close_connection = True, file.cuts > 0
            file(handler)
    server.routes["/file"] = answer
    stream = opened(server)
    beginning = stream.read(200_000)
    file.cuts = ranges.MAX_FAILURES - 1
    assert beginning + stream.read() == DATA


def test_one_that_always_breaks_off_is_given_up(server):
    server.routes["/file"] = file = RangedFile(DATA, cut=100, cuts=0)
    stream = opened(server)
    file.cuts = 1 << 30
    with pytest.raises(StageError, match=r"cannot be read beyond byte 65,536 \(bad response\)"):
        stream.read()
    assert len(file.asked) == 1 + ranges.MAX_FAILURES


def test_a_server_that_wants_a_pause_gets_it_unless_it_is_too_long(server, monkeypatch):
    waits = []
    monkeypatch.setattr(ranges.time, "sleep", waits.append)
    answers = [page("wait", 503, Retry_After="7"), RangedFile(DATA[:100])]
    server.routes["/file"] = lambda handler: (
        raw(b"HTTP/1.1 503 No\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n")(handler) if len(answers) == 2
        and answers.pop(0) else answers[0](handler))
    assert opened(server).read() == DATA[:100] and 7.0 in waits
    server.routes["/file"] = page("wait", 429, Retry_After="3600")
    with pytest.raises(StageError, match="HTTP 429"):
        opened(server)


@pytest.mark.parametrize(("answer", "message"), [
    (page("whole", 200), "a server that answers range requests"), (page("no", 404), "HTTP 404"),
    (page("no", 403), "aws s3 presign"), (page("no", 401), "aws s3 presign"),
    (raw(b"HTTP/1.1 206 OK\r\nContent-Length: 4\r\n\r\nabcd"), "range requests"),
    (raw(b"HTTP/1.1 206 OK\r\nContent-Range: bytes 5-8/9\r\nContent-Length: 4\r\n\r\nabcd"), "range requests"),
    (raw(b"HTTP/1.1 206 OK\r\nContent-Range: bytes 0-3/*\r\nContent-Length: 4\r\n\r\nabcd"), "range requests"),
    (raw(b"HTTP/1.1 206 OK\r\nContent-Range: bytes 0-99999999/100000000\r\n\r\nabcd"), "range requests"),
    (raw(b"HTTP/1.1 206 OK\r\nContent-Range: bytes 0-3/9\r\nContent-Length: 4\r\n\r\nabcd"), "range requests"),
    (raw(b"HTTP/1.1 206 OK\r\nContent-Range: bytes 9-8/9\r\nContent-Length: 0\r\n\r\n"), "range requests"),
    (raw(b"HTTP/1.1 206 OK\r\nContent-Range: bytes 0-8/9\r\nContent-Length: 4\r\n\r\nabcd"), "bad response"),
    (raw(b"HTTP/1.1 206 OK\r\nContent-Range: bytes 0-3/4\r\nContent-Length: 9\r\n\r\nabcdefghi"), "bad response"),
    (raw(b"nonsense"), "bad response")])
def test_other_answers_are_errors(server, answer, message):
    server.routes["/file"] = answer
    with pytest.raises(StageError, match=message):
        opened(server)


def test_an_empty_file_is_empty(server):
    server.routes["/file"] = RangedFile(b"")
    assert opened(server).read() == b""


def test_a_file_that_changes_meanwhile_is_an_error(server):
    server.routes["/file"] = file = RangedFile(DATA)
    stream = opened(server)
    file.etag = '"2"'
    with pytest.raises(StageError, match="has changed while it was read"):
        stream.read()


def test_a_file_that_is_gone_at_its_beginning_is_an_error(server):
    server.routes["/file"] = file = RangedFile(DATA)
    stream = opened(server)
    assert stream.read() == DATA
    file.data, file.last = b"", 0
    stream.seek(0)
    with pytest.raises(StageError, match="HTTP 416"):
        stream.read(1)


def test_without_a_name_for_its_content_a_file_has_no_mark(server):
    server.routes["/file"] = RangedFile(DATA, etag="")
    assert opened(server).mark == ""


def test_redirects_are_followed_and_only_to_where_a_file_may_be(server):
    server.routes["/real"] = RangedFile(DATA[:9])
    server.routes["/file"] = (302, HTML | {"Location": "/real"}, b"")
    assert opened(server).read() == DATA[:9]
    server.routes["/file"] = (302, HTML | {"Location": "http://example.org/real"}, b"")
    with pytest.raises(StageError, match="not https"):
        opened(server)
    server.routes["/file"] = (302, HTML | {"Location": "/file"}, b"")
    with pytest.raises(StageError, match="too many redirects"):
        opened(server)


def test_robots_txt_and_the_address_guard_hold(server):
    server.routes["/robots.txt"] = (200, {"Content-Type": "text/plain"}, b"User-agent: *\nDisallow: /file\n")
    with pytest.raises(StageError, match=r"a file that its robots\.txt allows"):
        opened(server)
    assert server.paths == ["/robots.txt"]
    with pytest.raises(StageError, match=r"not https.*--set 'web.allow_private=\[\"127.0.0.1:9\"\]'"):
        RangeFile(Web(WebConfig()), "http://127.0.0.1:9/x")
    with pytest.raises(StageError, match=r"blocked address.*--set 'web.allow_private=\[\"127.0.0.1:443\"\]'"):
        RangeFile(Web(WebConfig()), "https://127.0.0.1/x")
    for address in ("https://", "s3://a/b", "s3://bucket", "https:///x", "https://a b/c"):
        with pytest.raises(StageError, match=r"is not the address of a file|blocked|unreachable"):
            RangeFile(Web(WebConfig()), address)


def test_a_robots_txt_that_cannot_be_had_is_asked_for_again(server):
    busy = [raw(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"), raw(b"")]
    server.routes["/robots.txt"] = lambda handler: busy.pop()(handler) if busy else raw(b"HTTP/1.1 404 No\r\n\r\n")(
        handler)
    server.routes["/file"] = RangedFile(DATA[:9])
    assert opened(server).read() == DATA[:9] and server.paths == ["/robots.txt"] * 3 + ["/file"]


def test_a_host_that_wants_a_day_between_requests_is_left_alone(server):
    server.routes["/robots.txt"] = (200, {"Content-Type": "text/plain"}, b"User-agent: *\nCrawl-delay: 86400\n")
    with pytest.raises(StageError, match=r"\(crawl delay\)\. Expected: a robots\.txt that asks for 60 s"):
        opened(server)
    assert server.paths == ["/robots.txt"]


def test_the_fix_names_the_host_that_was_refused(server):
    server.routes["/file"] = (302, HTML | {"Location": "https://10.0.0.1/real"}, b"")
    with pytest.raises(StageError, match="blocked address") as refused:
        opened(server)
    assert refused.value.fix.endswith(f"""--set 'web.allow_private=["127.0.0.1:{server.port}", "10.0.0.1:443"]'""")


def test_a_crawl_delay_is_kept(server, monkeypatch):
    server.routes["/robots.txt"] = (200, {"Content-Type": "text/plain"}, b"User-agent: *\nCrawl-delay: 0.2\n")
    server.routes["/file"] = RangedFile(DATA[:150_000])
    assert opened(server).read() == DATA[:150_000]
    asked = [request for request in server.log if request.path == "/file"]
    assert len(asked) == 2 and asked[1].began - asked[0].ended >= 0.19


@pytest.mark.parametrize(("address", "url"), [
    ("s3://bucket/a/b c.warc.gz", "https://bucket.s3.amazonaws.com/a/b%20c.warc.gz"),
    ("s3://bucket/a?b#c%d+e", "https://bucket.s3.amazonaws.com/a%3Fb%23c%25d%2Be"),
    ("s3://my.bucket/a", "https://s3.amazonaws.com/my.bucket/a"),
    ("s3://commoncrawl/crawl-data/CC-MAIN-2026-01/x.warc.gz",
     "https://data.commoncrawl.org/crawl-data/CC-MAIN-2026-01/x.warc.gz"),
    ("https://Example.org/a?b", "https://example.org/a?b"), ("s3://x@evil.example/a", ""), ("s3://Bucket/a", ""),
    ("s3://evil.example:80/a", ""), ("s3://bucket/", "")])
def test_where_an_object_of_s3_is_on_the_web(address, url):
    assert public_url(address) == url


def test_memory_stays_flat(server):
    server.routes["/file"] = RangedFile(os.urandom(60_000_000))
    stream = opened(server)
    tracemalloc.start()
    try:
        while stream.read(100_000):
            pass
        assert tracemalloc.get_traced_memory()[1] < 5 * ranges.MOST_BYTES  # the server's part included
    finally:
        tracemalloc.stop()
