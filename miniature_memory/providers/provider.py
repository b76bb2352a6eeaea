"""What providers are asked, and what they answer."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from miniature_memory.crawl.guard import FetchError
from miniature_memory.crawl.web import Web
from miniature_memory.providers.config import ProviderConfig
from miniature_memory.providers.feed_reader import Listing
from miniature_memory.storage.urls import Archived

# Seconds of the first back-off after a refusal, doubled on repeats: SearXNG's suspended_times (settings.yml)
BACKOFF_SEC = {"too_many_requests": 3600.0, "silent": 3600.0, "denied": 86400.0, "captcha": 86400.0,
               "js_wall": 86400.0, "consent_page": 86400.0, "unrelated": 86400.0}


class Found(NamedTuple):
    url: str
    text: str = ""  # title and snippet, if the provider has them
    archived: Archived | None = None


def words_in(query: str, text: str) -> float:
    """The share of a query's words that a text contains, by their beginnings: "history" is in "historical"; 1.0 for a
    query without words. Of scripts that put no spaces between words, pairs of letters count."""
    words = re.findall(r"[\u0e00-\u0eff\u3040-\u9fff\uac00-\ud7af]{2}|\w{3,}", query.casefold())
    text = text.casefold()
    return sum(word[:5] in text for word in words) / len(words) if words else 1.0


@dataclass
class Ask:
    """A question to a provider, and what it needs to find the answer."""

    what: str  # a query, or the URL of a seed
    n: int  # results that are wanted
    page: int  # of results, from 0
    config: ProviderConfig
    web: Web  # for APIs, which robots.txt is not about
    fetch: Callable[[str], Listing]  # for feeds and sitemaps: obeys robots.txt and keeps the delay of each host
    memory: dict[str, Any] = field(default_factory=dict)  # of this provider, for the rest of the run
    kind: str = ""  # of the seed
    deadline: float = math.inf  # time.monotonic() by which the answer must be there


class ProviderError(Exception):
    """A provider gave no results; `reason` is a code, and one of BACKOFF_SEC if it refused to.

    advice: what its user can do about that, as a message with its "Fix:".
    """

    def __init__(self, reason: str, retry_after_sec: float | None = None, advice: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_after_sec = retry_after_sec
        self.advice = advice

    @classmethod
    def of(cls, error: FetchError) -> ProviderError:
        codes = {"http_429": "too_many_requests", "http_503": "too_many_requests", "http_202": "too_many_requests",
                 "http_403": "denied", "http_401": "denied"}
        return cls(codes.get(error.reason, error.reason), error.retry_after_sec)
