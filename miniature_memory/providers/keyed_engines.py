"""Keyed engines: one function for every search engine that is asked with a key, by the fields in engines.py.

A key goes to the address of its engine alone: redirects are not followed, and no error or result may hold it.
"""

import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote, urlencode, urlsplit

from miniature_memory.core.errors import StageError
from miniature_memory.crawl.guard import FetchError
from miniature_memory.crawl.web import Fetched, retry_after_sec
from miniature_memory.providers.config import ProviderConfig
from miniature_memory.providers.engines import Engine, Key, engines_of
from miniature_memory.providers.json_api import MOST_ROWS
from miniature_memory.providers.provider import Ask, Found, ProviderError
from miniature_memory.storage import paid_queries

ANSWER_SEC = 10.0
STATUSES = {401: "bad_key", 402: "no_credit", 403: "bad_key", 429: "too_many_requests", 503: "too_many_requests"}
ADVICE = {"bad_key": "{} refused its key, which comes from {}. Expected: a valid one. Fix: get one at {}",
          "no_credit": "{} has no credit left for its key, which comes from {}. Expected: some. Fix: add it at {}"}
BEYOND_THE_LAST = ("http_400", "http_404", "http_416", "http_422")  # what a page after the last one may get


def why_off(name: str, config: ProviderConfig) -> str:
    """Why the engine `name` cannot be asked; '' if it can."""
    if name not in config.keys:
        return "no_key"
    if not config.monthly_queries:
        return "never_asked"
    try:
        return "month_used_up" if sum(paid_queries.used().values()) >= config.monthly_queries else ""
    except StageError:
        return "not_counted"  # why, announce() reports


def max_pages(name: str, config: ProviderConfig) -> int:
    return engines_of(config.engines)[name].max_pages


def ask_engine(name: str, ask: Ask) -> list[Found]:
    """One page of results of the engine `name`, counted before it is asked for."""
    engine, key = engines_of(ask.config.engines)[name], ask.config.keys[name]
    if ask.page >= engine.max_pages:  # which was more when this query began
        return []
    try:
        if not paid_queries.take(name, ask.config.monthly_queries):
            raise ProviderError("month_used_up")
    except StageError as error:
        raise ProviderError("not_counted", advice=str(error)) from None
    try:
        answer = send(engine, key, ask)
    except FetchError as error:
        raise ProviderError.of(error) from None  # its cause names the address, which may hold the key
    if not 200 <= answer.status < 300:
        problem = refusal(name, engine, key, answer)
        if ask.page and problem.reason in BEYOND_THE_LAST:
            return []
        raise problem
    return results(name, engine, key, answer)


def send(engine: Engine, key: Key, ask: Ask) -> Fetched:
    values = {"query": ask.what, "number": engine.number, "page": engine.first_page + ask.page * engine.page_step,
              "language": engine.languages.get(ask.config.language, ask.config.language), "region": ask.config.region,
              "key": key.value, "id": key.id}
    values |= {name.upper(): str(values[name]).upper() for name in ("language", "region")}
    params = filled(engine.params | (engine.safe if ask.config.safe_search else engine.unsafe), values)
    headers, url, body = {"Accept": "application/json", **filled(engine.headers, values)}, engine.url, None
    if engine.method == "POST":
        headers["Content-Type"], body = "application/json", json.dumps(params).encode()
    else:
        url += ("&" if "?" in url else "?") + urlencode(
            {name: json.dumps(value) if isinstance(value, bool) else value for name, value in params.items()})
    return ask.web.fetch(url, headers=headers, form=body, follow=False, seconds=ANSWER_SEC, successes=range(200, 600))


def filled(template: Any, values: Mapping[str, Any]) -> Any:
    """A template with its placeholders replaced; one that is nothing else keeps the type of its value."""
    if isinstance(template, dict):
        return {name: filled(inner, values) for name, inner in template.items()}
    if isinstance(template, list):
        return [filled(inner, values) for inner in template]
    if not isinstance(template, str):
        return template
    if whole := re.fullmatch(r"\{(\w+)\}", template):
        return values[whole[1]]
    return re.sub(r"\{(\w+)\}", lambda found: str(values[found[1]]), template)


def refusal(name: str, engine: Engine, key: Key, answer: Fetched) -> ProviderError:
    """What an answer without results means."""
    text = answer.body.decode("utf-8", "replace").casefold()
    reason = "redirected" if 300 <= answer.status < 400 else STATUSES.get(answer.status, f"http_{answer.status}")
    for words, meaning in engine.refusals.items():
        if words.casefold() in text if not words.isdigit() else words == str(answer.status):
            reason = meaning
    wait = retry_after_sec(answer.header("Retry-After")) if reason == "too_many_requests" else None
    site = engine.signup or urlsplit(engine.url).netloc
    return ProviderError(reason, wait, ADVICE.get(reason, "").format(name, key.origin, site))


def results(name: str, engine: Engine, key: Key, answer: Fetched) -> list[Found]:
    """The results in an answer. Raises ProviderError for one of another shape."""
    try:
        content = json.loads(answer.body)
    except (ValueError, RecursionError):
        raise ProviderError("not_json") from None
    rows = content
    for part in engine.results.split("."):
        rows = rows.get(part) if isinstance(rows, dict) else None
    if rows is None and isinstance(content, dict) and engine.empty_if in content:
        rows = []
    if not isinstance(rows, list):
        problem = refusal(name, engine, key, answer)
        raise problem if problem.reason in engine.refusals.values() else ProviderError("bad_answer")
    found = [one for row in rows[:MOST_ROWS] for one in result(row, engine, key)]
    if rows and not found:
        raise ProviderError("bad_answer")
    return found


def result(row: Any, engine: Engine, key: Key) -> list[Found]:
    """A row of the list of results; none if it has no address, or repeats the key."""
    url, *texts = (row.get(name) if isinstance(row, dict) else None
                   for name in (engine.address, engine.title, engine.snippet))
    if not isinstance(url, str) or not url.strip():
        return []
    text = " ".join(one for one in texts if isinstance(one, str)).strip()
    return [] if key.value in f"{url} {unquote(url)} {text}" else [Found(url, text)]
