"""Outcomes: how each provider answered, as fields in search's StageStats, and the same in words."""

import time
from collections.abc import Iterable, Mapping
from typing import Any, TypedDict
from urllib.parse import urlsplit

OK, OFF, BACKED_OFF, NOT_ASKED, FAILED = "ok", "off", "backed_off", "not_asked", "failed"  # status
REASONS = {
    "no_searxng_url": "search.searxng_url is not set",
    "no_contact": "web.contact is not set",  # in runs.jsonl of earlier releases
    "english_only": "its pages are in English, search.language is another",
    "no_key": "no key",
    "never_asked": "search.monthly_queries is 0",
    "month_used_up": "search.monthly_queries is used up for this month",
    "not_counted": "paid queries cannot be counted here",
    "bad_key": "its key was refused",
    "no_credit": "no credit left",
    "not_json": "an answer that is not JSON",
    "redirected": "redirected, and a key is never carried elsewhere",
    "enough_due": "enough URLs are due",
    "library_changed": "its library no longer sends requests through this program",
    "library_error": "unexpected error; a run keeps its traceback in data/run.log",
    "json_disabled": "HTTP 403; search.formats in its settings.yml must include json",
    "silent": "no results, even for a common query",
    "unrelated": "results for another query",
    "js_wall": "page requires JavaScript",
    "html_page": "an HTML page instead of a feed or sitemap",
    "no_listing": "neither a feed nor a sitemap",
    "no_links": "no links in it",
    "render_timeout": "timed out in the browser",
    "render_memory": "too large for the browser",
}


class Outcome(TypedDict):
    status: str
    results: int
    reason: str  # why it gave no more, or nothing; a code
    until: float | None  # epoch seconds: the end of its back-off


NO_ANSWER = {"unreachable", "timeout", "no_time_left", "blocked_address"}  # from any server
MOST_SHOWN = 3  # seeds


def unread_seeds(facts: dict[str, Any], pages: Mapping[str, int], is_own_list: bool) -> str:
    """What became of the seeds if none could be read; '' without seeds.

    Also '' if nobody answered: then there is no network, but for a list that somebody wrote for this root alone.
    facts: of search; pages: why scrape rejected pages, and how many.
    """
    failed = facts.get("seeds_failed", {})
    of_pages = pages if facts.get("providers", {}).get("seeds", {}).get("results") else {}
    reasons = {*failed.values(), *of_pages}
    if not reasons or (reasons <= NO_ANSWER and not is_own_list):
        return ""
    shown = [f"{url}: {reason_in_words(reason)}" for url, reason in list(failed.items())[:MOST_SHOWN]]
    shown += [f"{len(failed) - MOST_SHOWN:,} more"] if len(failed) > MOST_SHOWN else []
    shown += [f"pages: {n:,} {reason_in_words(reason)}" for reason, n in of_pages.items()]
    return "; ".join(shown)


def private_seeds(facts: Mapping[str, Any]) -> list[str]:
    """The seeds at a private address, as web.allow_private names them. facts: of search."""
    blocked = (urlsplit(url) for url, reason in facts.get("seeds_failed", {}).items() if reason == "blocked_address")
    return sorted({f"{url.hostname}:{url.port or (443 if url.scheme == 'https' else 80)}" for url in blocked})


def attempts(facts: Mapping[str, Any], rejected: Mapping[str, int]) -> str:
    """What was tried, and what became of it, if no page came. facts: of search; rejected: scrape's reasons."""
    pages = ", ".join(f"{n:,} {reason_in_words(reason)}" for reason, n in rejected.items())
    return (all_in_words(facts.get("providers", {})) or "no providers") + (f". Pages: {pages}" if pages else "")


def all_in_words(outcomes: Mapping[str, object]) -> str:
    """How each provider answered."""
    return grouped((name, in_words(outcome)) for name, outcome in outcomes.items())


def grouped(said: Iterable[tuple[str, str]]) -> str:
    """What is said of each name; names with the same words are grouped."""
    names: dict[str, list[str]] = {}
    for name, words in said:
        names.setdefault(words, []).append(name)
    return "; ".join(f"{', '.join(alike)}: {words}" for words, alike in names.items())


def in_words(outcome: object) -> str:
    """An Outcome as people read it. It may come from runs.jsonl, where runs of earlier releases kept a text."""
    if not isinstance(outcome, dict):
        return str(outcome)[:100]
    results, reason, until = (outcome.get(key) for key in ("results", "reason", "until"))
    why = reason_in_words(str(reason or ""))[:100]
    if outcome.get("status") in (OFF, NOT_ASKED):
        return str(outcome["status"]).replace("_", " ") + (f": {why}" if why else "")
    if isinstance(until, (int, float)):
        why += f"; paused until {time.strftime('%d %b %H:%M', time.localtime(until)).lstrip('0')}"
    if not isinstance(results, int) or not results:
        return why or "0 results"
    return f"{results:,} result{'s' * (results != 1)}" + (f", then {why}" if why else "")


def reason_in_words(reason: str) -> str:
    """A code such as too_many_requests or http_404 as people read it."""
    return REASONS.get(reason) or reason.replace("http_", "HTTP ").replace("html", "HTML").replace("_", " ")
