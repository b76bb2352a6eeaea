"""Languages: where each is searched, with which queries, and which words hold its sentences together.

The table is languages.toml.
"""

import tomllib
from functools import cache
from pathlib import Path
from typing import NamedTuple

N_STOP_WORDS = 15  # FineWeb-2 (arXiv 2506.20920) has 8 to 22 of a language


class Words(NamedTuple):
    """Words, and endings: these do in Korean what words do elsewhere."""

    whole: frozenset[str]
    endings: tuple[str, ...]

    def has(self, word: str) -> bool:
        return word in self.whole or word.endswith(self.endings)


class Language(NamedTuple):
    """queries: templates with the topic as {}. list_share: a text with a smaller share of function words is a list.

    Only the fifteen that are known well have words.
    """

    name: str
    region: str
    queries: tuple[str, ...] = ("{}",)
    function_words: Words | None = None
    stop_words: Words | None = None
    list_share: float = 0.0


@cache
def languages() -> dict[str, Language]:
    """Every language that validate tells apart, by its ISO 639-1 code."""
    tables = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
    others = (one.split(":") for one in tables.pop("others")["regions"].split())
    return {code: _language(table) for code, table in tables.items()} | {
        code: Language(code, region) for code, region in others}


def _language(table: dict[str, str]) -> Language:
    words = table["function_words"].split()
    return Language(table["name"], table["region"], tuple(table["queries"].splitlines()), _words(words),
                    _words(words[:N_STOP_WORDS]), float(table["list_share"]))


def _words(words: list[str]) -> Words:
    return Words(frozenset(word for word in words if word[0] != "-"),
                 tuple(word[1:] for word in words if word[0] == "-"))


def language_of(code: str) -> Language:
    """One that is not known has its code for a name, and no region."""
    return languages().get(code) or Language(code, "")


def code_of(name: str) -> str:
    """The code of a language that is given by its code or its English name; "" if it is not known."""
    name = name.strip().lower()
    return next((code for code, language in languages().items() if name in (code, language.name.lower())), "")


def lower(word: str) -> str:
    """In lower case; a Turkish İ is an i, without the dot that Unicode leaves above it."""
    return word.lower().replace("i\u0307", "i")
