"""States: of which kind each value is that the catalog keeps by its key. A catalog from elsewhere may hold anything."""

import json
import sqlite3
from collections.abc import Callable, Mapping
from typing import Any

Check = Callable[[Any], bool]


def is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 1 << 63


def is_number(value: Any) -> bool:
    return type(value) in (int, float) and -1e15 < value < 1e15  # neither NaN nor infinite


def _is_judged(value: Any) -> bool:
    return isinstance(value, dict) and is_count(value.get("text_bytes")) and is_count(value.get("tokens")) and (
        value.get("learned") is None or is_number(value["learned"]))


def _are_topic_pages(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(pages, list) and all(
        isinstance(page, list) and len(page) == 2 and is_number(page[0]) and isinstance(page[1], str)
        for page in pages) for pages in value.values())


def _are_times(value: Any) -> bool:
    return isinstance(value, dict) and all(map(is_number, value.values()))


def _are_positions(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(one, list) and len(one) == 2 and isinstance(one[0], str)
                                           and is_count(one[1]) for one in value.values())


# The beginning of a key -> what its values are like
KINDS: Mapping[str, Check] = {
    "clock": is_number, "urls.spelled_since": is_number, "search.next_": is_count, "search.asked": _are_times,
    "clean.generation": is_count, "extract.positions": _are_positions, "shard": lambda value: isinstance(value, str),
    "duplicate_keys.": is_count, "topic.pages": _are_topic_pages, "prepare.stale": lambda value: type(value) is bool,
    "prepare.held": lambda value: isinstance(value, list) and len(value) == 2 and all(map(is_count, value)),
    "prepare.judged": _is_judged,
    "prepare.tokenizers": lambda value: isinstance(value, list) and all(isinstance(one, str) for one in value),
}


def wrong_state(db: sqlite3.Connection) -> str:
    """The key of a state that is not of its kind; "" if each is."""
    for key, text in db.execute("SELECT key, value FROM state"):
        check = next((check for beginning, check in KINDS.items() if str(key).startswith(beginning)), None)
        try:
            value = json.loads(text)
        except (ValueError, TypeError, RecursionError):
            return str(key)
        if check and not check(value):
            return str(key)
    return ""
