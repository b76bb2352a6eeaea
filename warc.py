"""WARC: pages as the field archives them: WARC 1.1, one gzip member a record (iso.org/standard/68004, by warcio)."""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable, Iterable
from typing import NamedTuple
from urllib.parse import urlsplit

from warcio.archiveiterator import ArchiveIterator
from warcio.exceptions import ArchiveLoadFailed
from warcio.recordloader import ArcWarcRecord
from warcio.statusandheaders import StatusAndHeaders
from warcio.utils import Digester
from warcio.warcwriter import WARCWriter

from guard import FetchError
from pipeline import strip_control
from urls import canonical_url
from web import AGENT, HTML_TYPES, Fetched, unpack

LEVEL = 6  # of gzip; warcio's own 9 takes twice the time for one percent. Measured on pages of 10 KB


def _member(make: Callable[[WARCWriter], ArcWarcRecord]) -> bytes:
    """One record as a gzip member of its own."""
    buffer = io.BytesIO()
    writer = WARCWriter(buffer, gzip=False, warc_version="1.1")
    writer.write_record(make(writer))
    return gzip.compress(buffer.getvalue(), LEVEL, mtime=0)


def info_record(filename: str, agent: str) -> bytes:
    """The record that every WARC file begins with."""
    return _member(lambda writer: writer.create_warcinfo_record(filename, {
        "software": AGENT, "http-header-user-agent": agent, "robots": "obey", "format": "WARC File Format 1.1"}))


class Exchange(NamedTuple):
    """An answer and the request for it, as two records of one moment."""

    response: bytes
    request: bytes
    payload_digest: str  # as WARC writes it: sha1, base 32


def exchange_records(page: Fetched, at: str, source: dict[str, str] | None = None) -> Exchange:
    """The records of a fetch. A redirect is one, too: together they are the chain that led to a page.

    at: WARC-Date. source: WARC-Source-URI and WARC-Source-Range of a page that was taken from another archive, which
    has no request of ours.
    """
    made: list[ArcWarcRecord] = []

    def response(writer: WARCWriter) -> ArcWarcRecord:
        made.append(writer.create_warc_record(
            page.url, "response", payload=io.BytesIO(page.payload), length=len(page.payload),
            http_headers=_answer_headers(page), warc_headers_dict={"WARC-Date": at, **(source or {})}))
        return made[0]

    member = _member(response)
    record_id = made[0].rec_headers.get_header("WARC-Record-ID")
    digest = made[0].rec_headers.get_header("WARC-Payload-Digest") or ""
    if source:
        return Exchange(member, b"", digest)
    parts = urlsplit(page.url)
    line = f"GET {parts.path or '/'}{'?' + parts.query if parts.query else ''} HTTP/1.1"
    headers = StatusAndHeaders(line, [("Host", parts.netloc), *page.request], is_http_request=True)
    return Exchange(member, _member(lambda writer: writer.create_warc_record(
        page.url, "request", http_headers=headers,
        warc_headers_dict={"WARC-Date": at, "WARC-Concurrent-To": record_id})), digest)


def revisit_record(page: Fetched, at: str, same_as_url: str, same_as_date: str) -> bytes:
    """A record that says: the same payload as that one."""
    return _member(lambda writer: writer.create_revisit_record(
        page.url, payload_digest(page.payload), same_as_url, same_as_date, http_headers=_answer_headers(page),
        warc_headers_dict={"WARC-Date": at}))


def payload_digest(payload: bytes) -> str:
    digester = Digester("sha1")
    digester.update(payload)
    return str(digester)


def _answer_headers(page: Fetched) -> StatusAndHeaders:
    """What undoing the chunking, or not reading a body, made untrue is renamed, as Common Crawl does it."""
    untrue = {"transfer-encoding"} if page.payload else {"transfer-encoding", "content-length", "content-encoding"}
    headers = [("X-Crawl-" + name if name.lower() in untrue else name, _one_line(value))
               for name, value in page.headers if name.isascii()]
    return StatusAndHeaders(f"{page.status} {_one_line(page.phrase)}".strip(), headers, protocol="HTTP/1.1")


def _one_line(text: str) -> str:
    """`text` of a header as it may stand in a file: headers are Latin-1 to HTTP, and ASCII to warcio."""
    if text.isascii() and text.isprintable():
        return text
    return " ".join(strip_control(text).encode("ascii", "replace").decode().split("\n"))


# --- pages from another archive ------------------------------------------------------------------


def archived_page(member: bytes, url: str, max_bytes: int) -> tuple[Fetched, str]:
    """(page, WARC-Date) of a record that was cut out of another archive. Raises FetchError if it is not that page."""
    try:
        record = next(iter(ArchiveIterator(io.BytesIO(unpack(member, "gzip", max_bytes, truncate=True)))))
        found = canonical_url(record.rec_headers.get_header("WARC-Target-URI") or "")
        headers: Iterable[tuple[str, str]] = record.http_headers.headers if record.http_headers else []
        payload = record.raw_stream.read()
    except (ArchiveLoadFailed, StopIteration, ValueError, OSError, EOFError):
        raise FetchError("bad_archive_record") from None
    if record.rec_type != "response" or found != url or record.http_headers.get_statuscode() != "200":
        raise FetchError("bad_archive_record")
    page = Fetched(url, 200, "OK", list(headers), payload, b"")
    if page.header("Content-Type").partition(";")[0].strip().lower() not in HTML_TYPES:
        raise FetchError("not_html")
    body = unpack(payload, page.header("Content-Encoding"), max_bytes)
    page = Fetched(url, 200, "OK", page.headers, payload, body)
    return page, record.rec_headers.get_header("WARC-Date") or ""
