"""Web: every HTTP request of the project goes through here, those of provider libraries included.

A request is sent only to a checked address (guard.py). It has a deadline, a limit on the bytes received and on the
bytes unpacked, and its content type is checked before the body is read. The user agent is our own, but for the one that
googlesearch-python sets.
"""

import contextlib
import logging
import math
import ssl
import time
from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from urllib.parse import quote, urlsplit

import requests
import urllib3

from miniature_memory.core.version import VERSION
from miniature_memory.crawl import guard
from miniature_memory.crawl.config import WebConfig
from miniature_memory.crawl.guard import FetchError, Guard, GuardedAdapter, fetching
from miniature_memory.crawl.urls import browser_url, joined, target_of
from miniature_memory.responses import coding
from miniature_memory.responses.media_type import (
    HTML_TYPES,
    PAGE_STATUSES,
    SNIFFED_BYTES,
    may_be_page,
    media_type,
    page_rejection,
)
from miniature_memory.responses.signals import NAME

AGENT = f"{NAME}/{VERSION}"
PROJECT_URL = ""  # the project's own page, once it is published: it goes into the user agent
HEAD_BYTES = 1 << 20  # received beyond the body: headers, sizes of chunks
MAX_REDIRECTS = 5  # RFC 9309, section 2.3.1.2
CONDITIONS = {"If-None-Match": 304, "If-Modified-Since": 304, "Range": 206}  # request header -> status it may get


@dataclass(frozen=True)
class Fetched:
    """An answer. `location` is where a redirect points to; '' for any other answer."""

    url: str
    status: int
    phrase: str
    headers: list[tuple[str, str]]
    payload: bytes  # as it came over the wire, content-encoding kept, chunking undone
    body: bytes  # unpacked
    location: str = ""
    request: list[tuple[str, str]] = field(default_factory=list)  # the headers that were sent

    def header(self, name: str) -> str:
        return next(iter(self.all(name)), "")

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name.lower()]


class Web:
    """The open connections of one run. Several threads may call fetch()."""

    def __init__(self, config: WebConfig) -> None:
        self.config = config
        self.guard = Guard.of(config)
        about = "; ".join(filter(None, [PROJECT_URL, config.contact]))
        self.agent = f"{AGENT} (+{about})" if about else AGENT
        self._adapter = GuardedAdapter(self.guard)
        logging.getLogger("urllib3").setLevel(logging.ERROR)  # it logs a traceback for odd headers

    def is_stand_in(self, url: str) -> bool:
        """Whether web.connect_to replaces this URL's host: then no delay and no limit on pages applies."""
        return urlsplit(url).hostname in self.guard.connect_to

    def close(self) -> None:
        """Close what connections are kept open for the next request."""
        self._adapter.close()

    def fetch(self, url: str, *, accept: tuple[str, ...] = (), headers: dict[str, str] | None = None,
              follow: bool = True, rejection_of: Callable[[str], str] | None = None, max_bytes: int = 0,
              truncate: bool = False, seconds: float = math.inf,
              form: dict[str, str] | bytes | None = None,
              successes: Container[int] = PAGE_STATUSES,
              read: Callable[[Iterator[bytes], str], None] | None = None) -> Fetched:
        """The answer to a GET: one of `successes`, 304 or 206 if `headers` asked for that, a redirect if `follow` is
        false.

        accept: content types, () for any; for HTML_TYPES, the body's beginning counts where its type is unclear.
        rejection_of(url): why a redirect must not be followed to there, or ''.
        max_bytes: instead of web.max_bytes; truncate: the beginning of a longer body is enough.
        seconds: a shorter deadline than web.fetch_deadline_sec. form: the fields of a POST, which replaces the GET, or
        its body.
        read: takes the pieces of the body as they arrive, still packed, and its Content-Encoding; payload and body
        stay empty then.
        Raises FetchError for any other outcome.
        """
        fetching.deadline = time.monotonic() + min(seconds, self.config.fetch_deadline_sec)
        try:
            for _ in range(MAX_REDIRECTS + 1):
                url = browser_url(url)
                reason = "bad_url" if not url else rejection_of(url) if rejection_of else ""
                if reason:
                    raise FetchError(reason)
                answer = self._exchange(url, accept, headers or {}, max_bytes or self.config.max_bytes, truncate, form,
                                        successes, read)
                if not (answer.location and follow):
                    return answer
                url, form = answer.location, None  # a redirect is followed by a GET, as browsers do it
            raise FetchError("too_many_redirects")
        finally:
            fetching.deadline = math.inf

    def _exchange(self, url: str, accept: tuple[str, ...], headers: dict[str, str], max_bytes: int,
                  truncate: bool, form: dict[str, str] | bytes | None, successes: Container[int],
                  read: Callable[[Iterator[bytes], str], None] | None) -> Fetched:
        payload = body = b""
        fetching.bytes_left = max_bytes + HEAD_BYTES
        try:
            with contextlib.closing(self._send(url, accept, headers, form)) as response:
                pairs = list(response.raw.headers.iteritems())
                sent = list(response.request.headers.items())
                status = response.status_code
                allowed = {status for name, status in CONDITIONS.items() if name in headers}
                has_body = status in successes or status == 206
                if not has_body:
                    _drain(response)
                location = _location(url, response)
                if not (location or status in allowed or status in successes):
                    raise FetchError(f"http_{status}", retry_after_sec(response.headers.get("Retry-After", "")))
                encoding = response.headers.get("Content-Encoding", "")
                if has_body and read:
                    read(_pieces(response.raw, max_bytes), encoding)
                elif has_body:
                    check = _type_check(response, pairs, accept, encoding) if status in successes else None
                    payload = _read_payload(response.raw, max_bytes, truncate, check)
                    body = unpack(payload, encoding, max_bytes, truncate)
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise FetchError(_reason(error)) from error
        return Fetched(url, status, response.reason or "", pairs, payload, body, location, sent)

    def _send(self, url: str, accept: tuple[str, ...], headers: dict[str, str],
              form: dict[str, str] | bytes | None) -> requests.Response:
        request = requests.PreparedRequest()  # in parts: prepare() would change the URL, and is slow
        request.prepare_method("POST" if form else "GET")
        request.url = url
        request.prepare_headers({
            "User-Agent": self.agent, "Accept": ", ".join([*accept, "*/*;q=0.1"]), "Accept-Encoding": "gzip, deflate",
            **headers})
        request.prepare_body(form, None)
        proxies = {}
        if self.config.proxy and not self.is_stand_in(url):
            # The name is checked here, but the proxy resolves it again, and we cannot know what it finds.
            parts = urlsplit(url)
            self.guard.addresses(parts.hostname or "", parts.port or {"http": 80, "https": 443}[parts.scheme])
            proxies = {"http": self.config.proxy, "https": self.config.proxy}
        fetching.target = url if proxies and url.startswith("http:") else target_of(url)  # RFC 9112, section 3.2
        timeout = (guard.CONNECT_TIMEOUT_SEC, guard.READ_TIMEOUT_SEC)
        return self._adapter.send(request, stream=True, timeout=timeout, proxies=proxies)


def _location(url: str, response: requests.Response) -> str:
    """Where a redirect points to; '' for any other answer."""
    locations = set(response.raw.headers.getlist("Location"))
    if not any(locations) or response.status_code not in (301, 302, 303, 307, 308):
        return ""
    if len(locations) > 1:
        raise FetchError("bad_redirect")  # to which, only the site knows
    sent = (location := locations.pop()).encode("latin-1")  # as the library decodes headers; browsers expect UTF-8
    try:
        location = sent.decode()
    except UnicodeDecodeError:
        location = quote(sent, safe=bytes(range(128)))
    if target := joined(url, location):
        return target
    raise FetchError("bad_redirect")


def _type_check(response: requests.Response, headers: list[tuple[str, str]], accept: tuple[str, ...],
                encoding: str) -> Callable[[bytes], None] | None:
    """Raise FetchError for an unwanted content type; where the type leaves it open, return a check of the beginning of
    the payload."""
    values = [value for name, value in headers if name.lower() == "content-type"]
    essence = media_type(values)[0]
    original = response.raw._original_response
    if not values and original is not None and original.msg.defects:
        raise FetchError("bad_response")  # a malformed line hides the headers after it
    if not accept or essence in accept:
        return None
    if accept != HTML_TYPES:
        raise FetchError("wrong_type")
    if not may_be_page(essence):
        raise FetchError("not_html")

    def check(beginning: bytes) -> None:
        if reason := page_rejection(essence, unpack(beginning, encoding, SNIFFED_BYTES, truncate=True)):
            raise FetchError(reason)
    return check


def _pieces(raw: urllib3.BaseHTTPResponse, max_bytes: int) -> Iterator[bytes]:
    """A body as it arrives, up to max_bytes."""
    for piece in raw.stream(1 << 16, decode_content=False):
        yield piece[:max_bytes]
        max_bytes -= len(piece)
        if max_bytes <= 0:
            return


def _read_payload(raw: urllib3.BaseHTTPResponse, max_bytes: int, truncate: bool,
                  check: Callable[[bytes], None] | None) -> bytes:
    """check: of the beginning, before the rest is read."""
    payload = bytearray()
    for piece in raw.stream(1 << 16, decode_content=False):
        payload += piece
        if check and len(payload) >= SNIFFED_BYTES:
            check(bytes(payload))
            check = None
        if len(payload) > max_bytes:
            if not truncate:
                raise FetchError("too_big")
            return bytes(payload[:max_bytes])
    if check:
        check(bytes(payload))
    return bytes(payload)


def unpack(payload: bytes, encoding: str, max_bytes: int, truncate: bool = False) -> bytes:
    """As responses.coding.unpack(), but raises FetchError."""
    try:
        return coding.unpack(payload, encoding, max_bytes, truncate)
    except coding.UnpackError as error:
        raise FetchError(error.reason) from None


def _drain(response: requests.Response) -> None:
    """Read a short body that nobody needs, so that the connection can serve the next request."""
    length = response.headers.get("Content-Length", "")
    if response.status_code == 304 or (length.isdigit() and int(length) <= 1 << 16):
        response.raw.drain_conn()


def retry_after_sec(retry_after: str) -> float | None:
    """Seconds from now that a Retry-After header asks for, as a number or a date; None if it is neither."""
    with contextlib.suppress(ValueError, OverflowError):
        if retry_after.strip().isdigit():
            return float(retry_after)
        return max(0.0, parsedate_to_datetime(retry_after).timestamp() - time.time())
    return None


def _reason(error: Exception) -> str:
    """The reason behind an exception of requests, urllib3 or the socket."""
    if isinstance(error, (requests.Timeout, urllib3.exceptions.TimeoutError, TimeoutError)):
        return "timeout"
    if isinstance(error, (requests.exceptions.SSLError, ssl.SSLError, urllib3.exceptions.SSLError)):
        return "tls_error"
    if isinstance(error, (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema)):
        return "bad_url"
    if isinstance(error, requests.exceptions.ProxyError):
        return "unreachable"
    return "timeout" if fetching.deadline <= time.monotonic() else "bad_response"
