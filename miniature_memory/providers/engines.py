"""Engines: search engines that are asked with a key, as tables of their fields: engines.toml, and the user's own."""

import re
import tomllib
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import Any

from miniature_memory.core.config import build_config, nearest, setting

PRESETS = Path(__file__).with_name("engines.toml")
PLACEHOLDERS = ("query", "number", "page", "language", "LANGUAGE", "region", "REGION", "key", "id")
WORDS = {str: "a text", int: "a whole number", float: "a number", dict: "a table"}
REFUSALS = ("bad_key", "no_credit", "too_many_requests")


@dataclass(frozen=True)
class Key:
    """A key, which no log, report or error ever shows."""

    value: str = field(repr=False)
    origin: str  # where it was found, in words
    id: str = field(default="", repr=False)  # a second value that goes with it


@dataclass(frozen=True)
class Engine:
    """One table of engines.toml or [search.engines.NAME]."""

    url: str = setting("", "address of its API: https, or http at a host that [web] names")
    method: str = setting("GET", "`GET`, or `POST` with the parameters as JSON")
    headers: dict[str, str] = setting({}, "sent with each request; values may hold `{key}`")
    params: dict[str, Any] = setting({}, "parameters; values may hold `{query}`, `{number}`, `{page}`, `{language}`, "
        "`{region}`, both also in capitals, `{key}`, and `{id}` for a second value, NAME_ID")
    safe: dict[str, Any] = setting({}, "further parameters while search.safe_search is true")
    unsafe: dict[str, Any] = setting({}, "further parameters while it is false")
    results: str = setting("results", "where the answer has the list of results, such as `web.results`")
    address: str = setting("url", "field of a result with its address")
    title: str = setting("title", "field of a result with its title")
    snippet: str = setting("snippet", "field of a result with its summary")
    empty_if: str = setting("", "a field that every answer has: if it is there but the list is not, nothing was found")
    number: int = setting(10, "results per page", least=1, most=100)
    first_page: int = setting(1, "`{page}` of the first page")
    page_step: int = setting(1, "what is added to `{page}` for the next one; `number` if it counts results",
                             least=1)
    max_pages: int = setting(10, "maximum pages per query", least=1)
    languages: dict[str, str] = setting({}, "language codes that it spells differently, such as `{ja = \"jp\"}`")
    refusals: dict[str, str] = setting({}, "words of an error, or its status, that mean `bad_key`, `no_credit` or "
        "`too_many_requests`")
    usd_per_query: float = setting(0.0, "price in US dollars, for the estimate in --status")
    signup: str = setting("", "where to get a key")

    def __post_init__(self) -> None:
        if not re.fullmatch(r"https?://[^\s/?#@]+(/\S*)?", self.url):
            raise ValueError("url: expected a web address such as https://api.example.org/search")
        if self.method not in ("GET", "POST"):
            raise ValueError('method: expected "GET" or "POST"')
        for table in (self.headers, self.languages, self.refusals):
            if not all(isinstance(text, str) and re.fullmatch("[ -~]+", text) for text in table.values()):
                raise ValueError("headers, languages, refusals: expected texts of printable ASCII")
        named = [name for text in texts(self.sent()) for name in re.findall(r"\{(\w+)\}", text)]
        if unknown := [name for name in named if name not in PLACEHOLDERS]:
            raise ValueError(f"{{{unknown[0]}}} is unknown.{nearest(unknown[0], PLACEHOLDERS)}")
        if missing := [name for name in ("key", "query") if name not in named]:
            raise ValueError(f"{{{missing[0]}}} is missing; expected it in a value of params"
                             + (" or headers" if missing[0] == "key" else ""))
        if not set(self.refusals.values()) <= set(REFUSALS):
            raise ValueError(f"refusals: expected their values to be {', '.join(REFUSALS[:-1])} or {REFUSALS[-1]}")

    def sent(self) -> list[Any]:
        """All that may hold placeholders."""
        return [self.headers, self.params, self.safe, self.unsafe]

    @property
    def needs_id(self) -> bool:
        return any("{id}" in text for text in texts(self.sent()))


def texts(value: Any) -> Iterator[str]:
    """The texts in nested lists and tables."""
    if isinstance(value, str):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from texts(inner)


@cache
def presets() -> dict[str, dict[str, Any]]:
    return tomllib.loads(PRESETS.read_text(encoding="utf-8"))


def engines_of(own: Mapping[str, Any]) -> dict[str, Engine]:
    """The presets in their order, with the user's changes, then the user's own engines.

    own: the tables of search.engines. Raises ValueError or ConfigError, which show none of their values: one of them
    may be a key in a wrong place.
    """
    return {name: _engine(f"search.engines.{name}", name, own.get(name, {})) for name in presets() | dict(own)}


def _engine(where: str, name: str, changes: Any) -> Engine:
    if not re.fullmatch("[a-z][a-z0-9_]{0,39}", name):
        raise ValueError(f"{where}: expected a name of lower-case letters, digits and _")
    if not isinstance(changes, dict):
        raise ValueError(f"{where}: expected a table, [{where}], with url, params and results")
    types: dict[str, Any] = {one.name: typing.get_origin(one.type) or one.type for one in fields(Engine)}
    for key, value in changes.items():
        if key not in types:
            raise ValueError(f"{where}: there is no key {key}.{nearest(key, types)}")
        if type(value) is not types[key] and (types[key], type(value)) != (float, int):
            raise ValueError(f"{where}.{key}: expected {WORDS[types[key]]}")
    engine: Engine = build_config(Engine, where, {where: presets().get(name, {}) | changes})
    return engine
