"""Ranges: a long file on the web, such as a WARC file of Common Crawl, read as a stream.

It is requested in parts, one after the other (RFC 9110, section 14): a reader that is slower than the network holds no
connection open, memory stays flat, and an interrupted part is requested again. Each request goes through web.py,
obeys robots.txt, and waits for its host's turn.
"""

import io
import json
import math
import re
import shlex
import time
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote, urlsplit

from miniature_memory.core.errors import StageError
from miniature_memory.core.text import host_of
from miniature_memory.crawl.guard import FetchError
from miniature_memory.crawl.outcomes import reason_in_words
from miniature_memory.crawl.robots import Rules, fetch_rules, robots_url
from miniature_memory.crawl.urls import browser_url
from miniature_memory.crawl.web import MAX_REDIRECTS, Fetched, Web

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

LEAST_BYTES, MOST_BYTES = 1 << 16, 4 << 20  # of one part: doubled after each, halved after a failure. Guess
DELAY_SEC = 1.0  # "no faster than once a second" (commoncrawl.org, status page); the host's Crawl-delay if longer
PAUSE_SEC = 2.0  # after the first failure, doubled with each further one
MAX_FAILURES = 5  # in a row
MAX_WAIT_SEC = 60.0  # that a host may ask for, also in its robots.txt
PASSING = re.compile(r"timeout|bad_response|tls_error|unreachable|robots_unavailable|http_5..|http_429")  # try again
_S3 = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])/(.+)", re.DOTALL)
_COMMON_CRAWL = ("commoncrawl", "https://data.commoncrawl.org/")  # its bucket refuses requests without credentials
_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})")


class Version(NamedTuple):
    """What tells one content of an address from another."""

    n_bytes: int
    etag: str
    last_modified: str


class RangeFile(io.RawIOBase):
    """The file at an address. Raises StageError if it cannot be read, also in the midst of it."""

    def __init__(self, web: Web, address: str) -> None:
        self.web, self.url = web, public_url(address)
        self.name = without_query(self.url)  # as it may be stored and shown: a query may hold a signature
        if not self.url:
            raise StageError(f"{address} is not the address of a file.", "https://HOST/PATH or s3://BUCKET/KEY.",
                             "correct it, or download the file and name its path.")
        self.asked = self.url  # where redirects led last
        self.rules: dict[str, Rules] = {}
        self.ready_at: dict[str, float] = {}  # host -> time.monotonic() of the next request
        self.part, self.part_at = b"", 0  # what was read last, and where it begins
        self.at, self.part_bytes = 0, LEAST_BYTES
        self.version: Version | None = None
        self._fetch()

    @property
    def n_bytes(self) -> int:
        return self.version.n_bytes if self.version else 0

    @property
    def mark(self) -> str:
        """Of this content, another one once it has changed; "" if that is not sure."""
        known = self.version and (self.version.etag or self.version.last_modified)
        return f"{self.n_bytes} {known}" if known else ""

    # --- as a stream ---------------------------------------------------------

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self.at = max(0, offset + {io.SEEK_SET: 0, io.SEEK_CUR: self.at, io.SEEK_END: self.n_bytes}[whence])
        return self.at

    def readinto(self, buffer: "WriteableBuffer") -> int:
        """Fills the buffer, unless the file ends."""
        view, done = memoryview(buffer).cast("B"), 0
        while done < len(view) and self.at < self.n_bytes:
            if not self.part_at <= self.at < self.part_at + len(self.part):
                self._fetch()
            begin = self.at - self.part_at
            piece = self.part[begin:begin + len(view) - done]
            view[done:done + len(piece)] = piece
            done, self.at = done + len(piece), self.at + len(piece)
        return done

    # --- one part ------------------------------------------------------------

    def _fetch(self) -> None:
        """Read the part that begins here, however often that takes."""
        failures, self.part = 0, b""
        while True:
            try:
                self.part, self.part_at = self._ask(self.at, self.part_bytes), self.at
                self.part_bytes = min(2 * self.part_bytes, MOST_BYTES)
                return
            except FetchError as error:
                if error.reason == "http_416" and not self.version:  # an empty file has no part
                    return
                failures += 1
                wait = error.retry_after_sec or PAUSE_SEC * 2 ** (failures - 1)
                if not PASSING.fullmatch(error.reason) or failures == MAX_FAILURES or wait > MAX_WAIT_SEC:
                    raise self._cannot_read(error.reason) from None
                self.part_bytes = max(self.part_bytes // 2, LEAST_BYTES)
                time.sleep(0.0 if self.web.is_stand_in(self.url) else wait)

    def _ask(self, first: int, n_bytes: int) -> bytes:
        """The bytes from `first`: n_bytes, or as many as there are. Follows redirects, each in its host's turn."""
        self.asked = self.url
        for _ in range(MAX_REDIRECTS + 1):
            if reason := self._rejection(self.asked):
                raise FetchError(reason)
            pieces: list[bytes] = []
            answer = self._request(self.asked, f"bytes={first}-{first + n_bytes - 1}", n_bytes, pieces)
            if not answer.location:
                return self._checked(answer, b"".join(pieces), first, n_bytes)
            self.asked = answer.location
        raise FetchError("too_many_redirects")

    def _request(self, url: str, part: str, n_bytes: int, pieces: list[bytes]) -> Fetched:
        """One request, of whose answer the body comes in `pieces`."""
        self._wait(url)
        try:
            return self.web.fetch(url, headers={"Range": part, "Accept-Encoding": "identity"}, follow=False,
                                  max_bytes=n_bytes, successes=(), read=lambda found, _: pieces.extend(found))
        finally:
            self._rest(url)

    def _checked(self, answer: Fetched, data: bytes, first: int, most: int) -> bytes:
        """The data of an answer. Raises FetchError if that is not the part that was asked for, and StageError if it is
        a part of another content than before."""
        found = _RANGE.fullmatch(answer.header("Content-Range"))
        if not found or int(found[1]) != first or int(found[2]) != min(first + most, int(found[3])) - 1:
            raise FetchError("no_ranges")
        version = Version(int(found[3]), answer.header("ETag"), answer.header("Last-Modified"))
        if len(data) != int(found[2]) + 1 - first:
            raise FetchError("bad_response")  # it broke off
        if version != (self.version or version):
            raise StageError(f"{self.name} has changed while it was read.", "a file that stays as it is.",
                             "run the same command again: it reads the new file from its beginning.")
        self.version = version
        return data

    # --- politeness ----------------------------------------------------------

    def _rejection(self, url: str) -> str:
        """Why a URL must not be asked for; '' if it may."""
        parts = urlsplit(url)
        if parts.scheme != "https" and not self.web.config.is_named(parts.hostname or "", parts.port or 80):
            return "not_https"
        if (host := host_of(url)) not in self.rules:
            found: Rules | str = robots_url(url)
            for hops in range(MAX_REDIRECTS + 1):
                if isinstance(found, str):
                    at = found
                    self._wait(at)
                    found = fetch_rules(self.web, at, hops)
                    self._rest(at)
            assert isinstance(found, Rules)  # the last redirect allows everything
            if PASSING.fullmatch(found.rejection):
                return found.rejection
            self.rules[host] = found
        rules = self.rules[host]
        return rules.rejection_of(url) or ("crawl_delay" if rules.delay_sec > MAX_WAIT_SEC else "")

    def _wait(self, url: str) -> None:
        time.sleep(max(0.0, self.ready_at.get(host_of(url), -math.inf) - time.monotonic()))

    def _rest(self, url: str) -> None:
        """After a request. The next one begins when the reader wants it; by then the server may have closed a
        connection that was kept open, which would look like an answer that broke off."""
        self.web.close()
        rules = self.rules.get(host_of(url))
        delay = max(DELAY_SEC, rules.delay_sec if rules else 0.0)
        self.ready_at[host_of(url)] = time.monotonic() + (0.0 if self.web.is_stand_in(url) else delay)

    def _cannot_read(self, reason: str) -> StageError:
        where = f" beyond byte {self.at:,}" if self.at else ""
        parts = urlsplit(self.asked)
        host = f"{parts.hostname}:{parts.port or (443 if parts.scheme == 'https' else 80)}"
        own = json.dumps([*self.web.config.allow_private, host])
        allow = f"if this host is yours, --set {shlex.quote(f'web.allow_private={own}')}"
        own_way = "download it as its owner wishes, and name its path."
        expected, fix = {
            "not_https": ("an address with https://.", f"name it so; or, {allow}"),
            "blocked_address": ("a host at a public address.", allow),
            "no_ranges": ("a server that answers range requests.", "download the file and name its path."),
            "http_403": ("a file that anyone may read, or an address that is signed.",
                         "of a private object in S3, name the address that aws s3 presign prints."),
            "robots": ("a file that its robots.txt allows.", own_way),
            "crawl_delay": (f"a robots.txt that asks for {MAX_WAIT_SEC:g} s between two requests at most.", own_way),
        }.get({"http_200": "no_ranges", "http_401": "http_403"}.get(reason, reason), (
            "the file.", "check the address; if it is right, run the same command again later."))
        return StageError(f"{self.name} cannot be read{where} ({reason_in_words(reason)}).", expected, fix)


def public_url(address: str) -> str:
    """The web address of s3://BUCKET/KEY, of which objects that are public need no credentials; any other address as
    web.py requests it; '' for what is none."""
    if not (found := _S3.fullmatch(address)):
        return browser_url(address)
    bucket, key = found[1], quote(found[2], safe="/~")
    if bucket == _COMMON_CRAWL[0]:
        return browser_url(_COMMON_CRAWL[1] + key)
    if "." in bucket:  # the certificate is for one label
        return browser_url(f"https://s3.amazonaws.com/{bucket}/{key}")
    return browser_url(f"https://{bucket}.s3.amazonaws.com/{key}")


def without_query(url: str) -> str:
    return url.partition("?")[0]
