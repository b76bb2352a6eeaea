"""robots.txt: fetched and read as RFC 9309 says, and kept in the catalog for a day."""

import codecs
import math
import re
import time
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import urljoin

from miniature_memory.core.text import strip_control
from miniature_memory.crawl.guard import FetchError
from miniature_memory.crawl.robots_txt import RobotsTxt
from miniature_memory.crawl.web import MAX_REDIRECTS, Web
from miniature_memory.storage import backoffs, urls
from miniature_memory.storage.catalog import Catalog

ROBOTS_BYTES = 500 * 1024  # RFC 9309, section 2.5: at least this much is parsed
_LINE_END = re.compile(r"\r\n?|\n")
ROBOTS_FRESH_SEC = 24 * 3600.0  # RFC 9309, section 2.4


@dataclass(frozen=True)
class Rules:
    """What the robots.txt of a host says. A `rejection` holds for the whole host, today."""

    text: str = ""
    rejection: str = ""

    @cached_property
    def _parsed(self) -> RobotsTxt:
        return RobotsTxt(self.text)

    def rejection_of(self, url: str) -> str:
        """Why `url` must not be fetched; '' when it may."""
        return self.rejection or ("" if self._parsed.allows(url) else "robots")

    @property
    def delay_sec(self) -> float:
        return self._parsed.delay_sec

    def forget(self) -> None:
        """Free the parsed form, which may take megabytes, until it is needed again."""
        self.__dict__.pop("_parsed", None)

    @cached_property
    def forbids_training(self) -> bool:
        return self._parsed.forbids_training


def fetch_rules(web: Web, url: str, hops: int = 0, seconds: float = math.inf) -> Rules | str:
    """What the robots.txt at `url` says, or the URL that it redirects to: RFC 9309, section 2.3.1.

    4xx and too many redirects allow everything; 5xx and no answer allow nothing. hops: redirects so far. Each redirect
    is a request of its own, so that the caller can keep the delay of the host that it leads to.
    """
    try:
        answer = web.fetch(url, headers={"Accept-Encoding": "identity"}, follow=False, max_bytes=ROBOTS_BYTES,
                           truncate=True, seconds=seconds, successes=range(200, 300))
    except FetchError as error:
        if error.reason in ("unreachable", "blocked_address", "tls_error") and not hops:
            return Rules(rejection=error.reason)
        return Rules() if re.fullmatch("http_4(?!29)..", error.reason) else Rules(rejection="robots_unavailable")
    if answer.location:
        return answer.location if hops < MAX_REDIRECTS else Rules()
    rules = Rules(strip_control(_LINE_END.sub("\n", _decode(answer.body))))
    rules.rejection_of(url)  # parses it here rather than in the thread that schedules
    return rules


def _decode(data: bytes) -> str:
    """UTF-8 with or without a BOM, even half of one (RFC 9309, section 2.3; google/robotstxt). Other octets keep their
    value as %XX, as URLs have them."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", "replace")
    data = re.sub(rb"\A\xef(?:\xbb\xbf?)?", b"", data)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return re.sub(rb"[\x80-\xff]", lambda octet: b"%%%02X" % ord(octet[0]), data).decode("ascii")


def robots_url(url: str) -> str:
    return urljoin(url, "/robots.txt")


def known_rules(catalog: Catalog, host: str) -> Rules | None:
    """The rules that the catalog keeps, if they are of today."""
    backoff = backoffs.get(catalog, backoffs.HOST, host)
    if backoff and backoff.until > time.time():
        return Rules(rejection=backoff.reason)
    text = urls.robots(catalog, host, time.time() - ROBOTS_FRESH_SEC)
    return None if text is None else Rules(text)


def remember_rules(catalog: Catalog, host: str, rules: Rules) -> None:
    """Keep rules for a day, within a record() block. An unreachable host is not remembered: it is tried again."""
    if rules.rejection == "robots_unavailable":
        backoffs.extend(catalog, backoffs.HOST, host, ROBOTS_FRESH_SEC, rules.rejection, at_most_sec=ROBOTS_FRESH_SEC)
    elif not rules.rejection:
        urls.keep_robots(catalog, host, rules.text)
