"""Outcomes: how each provider answered, as fields in search's StageStats, and the same in words."""

import time
from typing import TypedDict

OK, OFF, BACKED_OFF, NOT_ASKED, FAILED = "ok", "off", "backed_off", "not_asked", "failed"  # status
REASONS = {
    "no_searxng_url": "search.searxng_url is not set",
    "no_contact": "web.contact is not set",
    "enough_due": "enough URLs are due",
    "library_changed": "its library no longer sends requests through this program",
    "library_error": "unexpected error, see the traceback in data/run.log",
    "json_disabled": "HTTP 403; search.formats in its settings.yml must include json",
    "silent": "no results, even for a common query",
    "unrelated": "results for another query",
    "js_wall": "page requires JavaScript",
}


class Outcome(TypedDict):
    status: str
    results: int
    reason: str  # why it gave no more, or nothing; a code
    until: float | None  # epoch seconds: the end of its back-off


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
