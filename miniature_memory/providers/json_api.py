"""APIs that answer with JSON: how they are asked, and how the rows of an answer become results."""

import dataclasses
import json
import re
import time
from collections.abc import Container
from typing import Any
from urllib.parse import urlencode, urlsplit

from miniature_memory.crawl.guard import FetchError
from miniature_memory.crawl.urls import browser_url
from miniature_memory.crawl.web import Web, retry_after_sec
from miniature_memory.providers.provider import Ask, Found, ProviderError
from miniature_memory.responses.media_type import PAGE_STATUSES

MOST_ROWS = 1000  # of one answer: more than any API here gives


def with_fields(url: str, **fields: object) -> str:
    return f"{url}?{urlencode(fields)}"


def fetch_json(ask: Ask, url: str, web: Web | None = None, headers: dict[str, str] | None = None,
               statuses: Container[int] = PAGE_STATUSES) -> Any:
    """The JSON that an API answers with. Raises ProviderError, also for an error inside the JSON, as MediaWiki's."""
    try:
        answer = (web or ask.web).fetch(url, accept=("application/json",), headers=headers, successes=statuses,
                                        seconds=max(ask.deadline - time.monotonic(), 0.1))
        content = json.loads(answer.body)
    except FetchError as error:
        raise ProviderError.of(error) from None
    except (ValueError, RecursionError):
        raise ProviderError("bad_answer") from None
    problem = content.get("error") if isinstance(content, dict) else None
    if isinstance(problem, dict):  # MediaWiki sends errors with status 200
        code = re.sub(r"[^a-z_]", "", str(problem.get("code", "")).lower())[:40] or "unknown"
        busy = code in ("maxlag", "ratelimited", "readonly")
        wait = retry_after_sec(answer.header("Retry-After"))
        raise ProviderError("too_many_requests" if busy else f"api_{code}", wait if busy else None)
    return content


def inner(answer: Any, *keys: str) -> Any:
    """What an answer has behind a path of keys; None if it has nothing there."""
    for key in keys:
        answer = answer.get(key) if isinstance(answer, dict) else None
    return answer


def results(rows: Any, url_key: str, *text_keys: str) -> list[Found]:
    """The results among the rows of an answer. Raises ProviderError if these are no rows, or not one is a result."""
    if not isinstance(rows, list):
        raise ProviderError("bad_answer")
    found = [one for row in rows[:MOST_ROWS] for one in result(row, url_key, *text_keys)]
    if rows and not found:
        raise ProviderError("bad_answer")
    return found


def result(row: Any, url_key: str, *text_keys: str) -> list[Found]:
    """A row of an answer as a result; none if it is no object or has no URL: a bad row costs itself alone."""
    url = row.get(url_key) if isinstance(row, dict) else None
    if not isinstance(url, str) or not url.strip():
        return []
    texts = (row.get(key) for key in text_keys)
    return [Found(url, " ".join(text for text in texts if isinstance(text, str)).strip())]


def own_web(ask: Ask, url: str) -> Web:
    """For an API that the user has named: it may be at a private address."""
    parts = urlsplit(browser_url(url))
    if not parts.hostname:
        raise ProviderError("bad_url")
    own = f"{parts.hostname}:{parts.port or {'http': 80, 'https': 443}[parts.scheme]}"
    return Web(dataclasses.replace(ask.config.web, allow_private=[*ask.config.web.allow_private, own]))
