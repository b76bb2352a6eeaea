"""Web: every HTTP request of the project goes through here (a provider library's own requests excepted).

A request leaves only for a checked address (guard.py); it has a deadline in all, a cap on the bytes received and on
the bytes unpacked, and a gate on the content type before the body. robots.txt is read as RFC 9309 says. Nothing is
sent under any name but our own.
"""

from __future__ import annotations

import contextlib
import logging
import math
import re
import ssl
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
import urllib3
from protego import Protego

from catalog import Catalog
from guard import FetchError, Guard, GuardedAdapter, fetching
from pipeline import strip_control
from signals import robots_forbid_training
from urls import canonical_url

NAME = "miniature-memory"  # what robots.txt may call us
AGENT = f"{NAME}/0.1"
HTML_TYPES = ("text/html", "application/xhtml+xml")
HEAD_BYTES = 1 << 20  # received beyond the body: headers, sizes of chunks
MAX_MEMBERS = 200  # of a gzip stream; each costs a copy of what follows it
ROBOTS_BYTES = 500 * 1024  # RFC 9309, section 2.5: at least so much is parsed
ROBOTS_FRESH_SEC = 24 * 3600.0  # RFC 9309, section 2.4


@dataclass(frozen=True)
class WebConfig:
    """The table [web]; config/default.toml says what each key means, and its unit."""

    contact: str = ""  # mail or web address, sent with every request
    allow_private: list[str] = field(default_factory=list)  # "host:port" that may be at a private address
    proxy: str = ""  # the environment's proxies are never used
    connect_to: list[str] = field(default_factory=list)  # "host=address:port", after curl's --connect-to
    connect_timeout_sec: float = 5.0  # of each: resolving, connecting, the TLS handshake
    read_timeout_sec: float = 10.0  # between two bytes
    fetch_deadline_sec: float = 30.0  # trafilatura's, settings.cfg
    max_bytes: int = 5_000_000  # received, and unpacked
    max_redirects: int = 5  # RFC 9309 asks for five

    def __post_init__(self) -> None:
        if not (self.contact.isascii() and self.contact.isprintable()):
            raise ValueError(f"contact = {self.contact!r}: expected a mail or web address in ASCII")
        if self.proxy and not re.fullmatch(r"https?://[^\s/]+(:\d+)?/?", self.proxy):
            raise ValueError(f"proxy = {self.proxy!r}: expected such as http://proxy.lan:3128, or \"\"")
        for entry in self.allow_private:
            if not re.fullmatch(r"\S+:\d+", entry):
                raise ValueError(f"allow_private = {entry!r}: expected host:port, such as wiki.lan:80")
        for entry in self.connect_to:
            if not re.fullmatch(r"[^\s=]+=[^\s=:]+:\d+", entry):
                raise ValueError(f"connect_to = {entry!r}: expected host=address:port")

    def guard(self) -> Guard:
        stand_ins = {}
        for entry in self.connect_to:
            host, address, port = re.split("[=:]", entry)
            stand_ins[host.lower()] = (address, int(port))
        return Guard(stand_ins, frozenset(entry.lower() for entry in self.allow_private), self.connect_timeout_sec)


@dataclass(frozen=True)
class Fetched:
    """An answer. `location` is where a redirect points to, canonical; '' for any other answer."""

    url: str
    status: int
    phrase: str
    headers: list[tuple[str, str]]
    payload: bytes  # as it came over the wire, content-encoding kept, chunking undone
    body: bytes  # unpacked
    location: str = ""
    request: list[tuple[str, str]] = field(default_factory=list)  # the headers that were sent

    def header(self, name: str) -> str:
        return next((value for key, value in self.headers if key.lower() == name.lower()), "")


# --- fetching ------------------------------------------------------------------------------------


class Web:
    """The open connections of one run. Several threads may call fetch()."""

    def __init__(self, config: WebConfig) -> None:
        self.config = config
        self.guard = config.guard()
        self.agent = f"{AGENT} (+{config.contact})" if config.contact else AGENT
        self._adapter = GuardedAdapter(self.guard)
        logging.getLogger("urllib3").setLevel(logging.ERROR)  # it reports odd headers with a traceback

    def is_stand_in(self, url: str) -> bool:
        """Whether connect_to has an address for this URL's host: then delays and caps do not apply."""
        return urlsplit(url).hostname in self.guard.connect_to

    def fetch(self, url: str, *, accept: tuple[str, ...] = (), headers: dict[str, str] | None = None,
              follow: bool = True, allowed: Callable[[str], str] | None = None, max_bytes: int = 0,
              truncate: bool = False, seconds: float = math.inf, form: dict[str, str] | None = None) -> Fetched:
        """The answer to a GET: status 200, 304 or 206 if `headers` asked for that, a redirect if `follow` is false.

        accept: content types, () for any. allowed(url): why a hop must not be asked for, '' when it may.
        max_bytes: another cap than the config's; truncate: the beginning of a longer body is enough.
        seconds: a nearer deadline than the config's. form: fields of a POST, in place of a GET.
        Raises FetchError for any other outcome.
        """
        fetching.deadline = time.monotonic() + min(seconds, self.config.fetch_deadline_sec)
        fetching.read_timeout_sec = self.config.read_timeout_sec
        try:
            for _ in range(self.config.max_redirects + 1):
                url = canonical_url(url)
                refusal = "bad_url" if not url else allowed(url) if allowed else ""
                if refusal:
                    raise FetchError(refusal)
                answer = self._exchange(url, accept, headers or {}, max_bytes or self.config.max_bytes, truncate, form)
                if not (answer.location and follow):
                    return answer
                url, form = answer.location, None  # a redirect is followed by a GET, as browsers do it
            raise FetchError("too_many_redirects")
        finally:
            fetching.deadline = math.inf

    def _exchange(self, url: str, accept: tuple[str, ...], headers: dict[str, str], max_bytes: int,
                  truncate: bool, form: dict[str, str] | None) -> Fetched:
        payload = body = b""
        fetching.bytes_left = max_bytes + HEAD_BYTES
        try:
            with contextlib.closing(self._send(url, accept, headers, form)) as response:
                pairs = list(response.raw.headers.iteritems())
                sent = list(response.request.headers.items())
                wanted = {200} | {status for name, status in ASKED_FOR.items() if name in headers}
                if response.status_code not in (200, 206):
                    _drain(response)
                location = _location(url, response)
                if not location:
                    _check(response, accept, wanted)
                if response.status_code in (200, 206):
                    payload = _read_payload(response.raw, max_bytes, truncate)
                    body = unpack(payload, response.headers.get("Content-Encoding", ""), max_bytes, truncate)
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise FetchError(_reason(error)) from error
        return Fetched(url, response.status_code, response.reason or "", pairs, payload, body, location, sent)

    def _send(self, url: str, accept: tuple[str, ...], headers: dict[str, str],
              form: dict[str, str] | None) -> requests.Response:
        request = requests.PreparedRequest()  # by its parts: what prepare() does to a URL is done, and takes its time
        request.prepare_method("POST" if form else "GET")
        request.url = url
        request.prepare_headers({
            "User-Agent": self.agent, "Accept": ", ".join([*accept, "*/*;q=0.1"]), "Accept-Encoding": "gzip, deflate",
            **headers})
        request.prepare_body(form, None)
        proxies = {}
        if self.config.proxy and not self.is_stand_in(url):
            # The name is checked here, but the proxy resolves it again: what it finds then, we cannot know.
            parts = urlsplit(url)
            self.guard.addresses(parts.hostname or "", parts.port or {"http": 80, "https": 443}[parts.scheme])
            proxies = {"http": self.config.proxy, "https": self.config.proxy}
        timeout = (self.config.connect_timeout_sec, self.config.read_timeout_sec)
        return self._adapter.send(request, stream=True, timeout=timeout, proxies=proxies)


ASKED_FOR = {"If-None-Match": 304, "If-Modified-Since": 304, "Range": 206}  # header of a request -> status it may get


def _location(url: str, response: requests.Response) -> str:
    """Where a redirect points to; '' if this is none."""
    location = response.headers.get("Location")
    if not location or response.status_code not in (301, 302, 303, 307, 308):
        return ""
    with contextlib.suppress(ValueError):  # headers are read as Latin-1, browsers take them for UTF-8
        if target := canonical_url(urljoin(url, location.encode("latin-1").decode("utf-8", "replace"))):
            return target
    raise FetchError("bad_redirect")


def _check(response: requests.Response, accept: tuple[str, ...], wanted: set[int]) -> None:
    """Raise FetchError if this answer is not wanted, before its body is read."""
    status = response.status_code
    if status not in wanted:
        raise FetchError(f"http_{status}", retry_after_sec(response.headers.get("Retry-After", "")))
    kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    original = response.raw._original_response
    if status == 200 and not kind and original is not None and original.msg.defects:
        raise FetchError("bad_response")  # a line that is no header hides those after it
    if status == 200 and accept and kind not in accept:
        raise FetchError("not_html" if accept == HTML_TYPES else "wrong_type")


def _read_payload(raw: Any, max_bytes: int, truncate: bool) -> bytes:
    payload = bytearray()
    for piece in raw.stream(1 << 16, decode_content=False):
        payload += piece
        if len(payload) > max_bytes:
            if not truncate:
                raise FetchError("too_big")
            return bytes(payload[:max_bytes])
    return bytes(payload)


def unpack(payload: bytes, encoding: str, max_bytes: int, truncate: bool = False) -> bytes:
    """The body inside a payload whose content-encoding is gzip, deflate or none; never more than max_bytes are made."""
    encoding = encoding.strip().lower()
    if encoding in ("", "identity") or not payload:
        return payload
    if encoding not in ("gzip", "x-gzip", "deflate"):
        raise FetchError("bad_encoding")
    bare = encoding == "deflate" and payload[0] & 0x0F != 8  # some servers send the stream without zlib's header
    body, members = b"", 0
    while payload:  # a gzip stream may have several members
        stream = zlib.decompressobj(-zlib.MAX_WBITS if bare else zlib.MAX_WBITS | 32)  # 32: gzip or zlib, as found
        try:
            body += stream.decompress(payload, max_bytes + 1 - len(body))
        except zlib.error:
            if body:
                return body  # what follows a whole member and is none itself is ignored, as browsers do
            raise FetchError("bad_encoding") from None
        if len(body) > max_bytes:
            if not truncate:
                raise FetchError("too_big")
            return body[:max_bytes]
        if not stream.eof and not truncate:
            raise FetchError("bad_encoding")
        payload, members = stream.unused_data, members + 1
        if members == MAX_MEMBERS:
            raise FetchError("bad_encoding")
    return body


def _drain(response: requests.Response) -> None:
    """Read a short body that nobody wants, so that the connection can serve the next request."""
    length = response.headers.get("Content-Length", "")
    if response.status_code == 304 or (length.isdigit() and int(length) <= 1 << 16):
        response.raw.drain_conn()


def retry_after_sec(retry_after: str) -> float | None:
    """The header Retry-After, a number or a date, in seconds from now."""
    with contextlib.suppress(ValueError, OverflowError):
        if retry_after.strip().isdigit():
            return float(retry_after)
        return max(0.0, parsedate_to_datetime(retry_after).timestamp() - time.time())
    return None


def _reason(error: Exception) -> str:
    """The fact behind an exception of requests, urllib3 or the socket."""
    if isinstance(error, (requests.Timeout, urllib3.exceptions.TimeoutError, TimeoutError)):
        return "timeout"
    if isinstance(error, (requests.exceptions.SSLError, ssl.SSLError, urllib3.exceptions.SSLError)):
        return "tls_error"
    if isinstance(error, (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema)):
        return "bad_url"
    if isinstance(error, requests.exceptions.ProxyError):
        return "unreachable"
    return "timeout" if fetching.deadline <= time.monotonic() else "bad_response"


# --- robots.txt ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Rules:
    """What the robots.txt of a host says. A `refusal` holds for the whole host, today."""

    text: str = ""
    refusal: str = ""

    @cached_property
    def _parsed(self) -> Protego:
        return Protego.parse(_without_others(self.text))

    def refuse(self, url: str) -> str:
        """Why `url` must not be asked for; '' when it may."""
        return self.refusal or ("" if self._parsed.can_fetch(url, NAME) else "robots")

    @property
    def delay_sec(self) -> float:
        return self._parsed.crawl_delay(NAME) or 0.0

    def forget(self) -> None:
        """Free the parsed form, which may take megabytes, until it is needed again."""
        self.__dict__.pop("_parsed", None)

    @cached_property
    def forbids_training(self) -> bool:
        return robots_forbid_training(self.text, NAME)


def _without_others(text: str) -> str:
    """robots.txt with one name for all agents that are not us: the parser copies each rule for each name."""
    def renamed(line: re.Match[str]) -> str:
        name = line[2].partition("#")[0].strip().lower().replace("*", "")
        return line[0] if name in NAME else line[1] + " other"
    return re.sub(r"(?im)^([ \t]*user[ -]?agent[ \t]*[: \t])(.*)$", renamed, text)


def fetch_rules(web: Web, url: str, hops: int = 0, seconds: float = math.inf) -> Rules | str:
    """What the robots.txt at `url` says, or the URL that it redirects to: RFC 9309, section 2.3.1.

    4xx, and more redirects than five, allow everything; 5xx or no answer nothing. hops: redirects so far. Each is a
    request of its own, so that the caller can keep its distance from the host that it leads to.
    """
    try:
        answer = web.fetch(url, headers={"Accept-Encoding": "identity"}, follow=False, max_bytes=ROBOTS_BYTES,
                           truncate=True, seconds=seconds)
    except FetchError as error:
        if error.reason in ("unreachable", "blocked_address", "tls_error") and not hops:
            return Rules(refusal=error.reason)
        return Rules() if re.fullmatch("http_4(?!29)..", error.reason) else Rules(refusal="robots_unavailable")
    if answer.location:
        return answer.location if hops < web.config.max_redirects else Rules()
    lines = answer.body.decode("utf-8", "replace").removeprefix("\ufeff").splitlines()
    rules = Rules(strip_control("\n".join(lines)))
    rules.refuse(url)  # parses it, here rather than in the thread that has to decide
    return rules


def robots_url(url: str) -> str:
    return urljoin(url, "/robots.txt")


def known_rules(catalog: Catalog, host: str) -> Rules | None:
    """The rules that the catalog keeps, if they are of today."""
    row = catalog.execute("SELECT * FROM hosts WHERE host = ?", [host]).fetchone()
    if row and row["closed_until"] > time.time():
        return Rules(refusal=row["reason"])
    if row and row["robots"] is not None and row["robots_at"] > time.time() - ROBOTS_FRESH_SEC:
        return Rules(row["robots"])
    return None


def remember_rules(catalog: Catalog, host: str, rules: Rules) -> None:
    """Keep rules for a day, within a record() block. No network says nothing about a host: it is asked again."""
    if rules.refusal == "robots_unavailable":
        close_host(catalog, host, ROBOTS_FRESH_SEC, rules.refusal)
    elif not rules.refusal:
        catalog.execute("INSERT INTO hosts (host, robots, robots_at) VALUES (?, ?, ?) ON CONFLICT (host) DO UPDATE "
                        "SET robots = excluded.robots, robots_at = excluded.robots_at", [host, rules.text, time.time()])


def close_host(catalog: Catalog, host: str, seconds: float, reason: str) -> None:
    """Ask a host for nothing until `seconds` have passed, within a record() block."""
    catalog.execute("INSERT INTO hosts (host, closed_until, reason, failures) VALUES (?, ?, ?, 1) ON CONFLICT (host) "
                    "DO UPDATE SET closed_until = excluded.closed_until, reason = excluded.reason, "
                    "failures = failures + 1", [host, time.time() + seconds, reason])
