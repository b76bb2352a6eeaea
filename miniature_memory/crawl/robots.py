"""robots.txt: fetched and read as RFC 9309 says, and kept in the catalog for a day."""

import math
import re
import time
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import urljoin

from protego import Protego

from miniature_memory.core.text import strip_control
from miniature_memory.crawl.guard import FetchError
from miniature_memory.crawl.page_signals import robots_forbid_training
from miniature_memory.crawl.web import MAX_REDIRECTS, NAME, Web
from miniature_memory.storage import backoffs, urls
from miniature_memory.storage.catalog import Catalog

ROBOTS_BYTES = 500 * 1024  # RFC 9309, section 2.5: at least this much is parsed
ROBOTS_FRESH_SEC = 24 * 3600.0  # RFC 9309, section 2.4


@dataclass(frozen=True)
class Rules:
    """What the robots.txt of a host says. A `rejection` holds for the whole host, today."""

    text: str = ""
    rejection: str = ""

    @cached_property
    def _parsed(self) -> Protego:
        return Protego.parse(_without_others(self.text))

    def rejection_of(self, url: str) -> str:
        """Why `url` must not be fetched; '' when it may."""
        return self.rejection or ("" if self._parsed.can_fetch(url, NAME) else "robots")

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

    4xx and too many redirects allow everything; 5xx and no answer allow nothing. hops: redirects so far. Each redirect
    is a request of its own, so that the caller can keep the delay of the host that it leads to.
    """
    try:
        answer = web.fetch(url, headers={"Accept-Encoding": "identity"}, follow=False, max_bytes=ROBOTS_BYTES,
                           truncate=True, seconds=seconds)
    except FetchError as error:
        if error.reason in ("unreachable", "blocked_address", "tls_error") and not hops:
            return Rules(rejection=error.reason)
        return Rules() if re.fullmatch("http_4(?!29)..", error.reason) else Rules(rejection="robots_unavailable")
    if answer.location:
        return answer.location if hops < MAX_REDIRECTS else Rules()
    lines = answer.body.decode("utf-8", "replace").removeprefix("\ufeff").splitlines()
    rules = Rules(strip_control("\n".join(lines)))
    rules.rejection_of(url)  # parses it here rather than in the thread that schedules
    return rules


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
