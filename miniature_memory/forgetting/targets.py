"""Targets: what a person asks to be forgotten, and what they may have meant where there is nothing of it."""

import difflib
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from miniature_memory.core.errors import ConfigError
from miniature_memory.core.text import hostname, strip_control
from miniature_memory.crawl.seeds import read_lines
from miniature_memory.crawl.urls import ascii_host, browser_url
from miniature_memory.storage import documents, forgotten
from miniature_memory.storage.catalog import Catalog
from miniature_memory.storage.forgotten import ADDRESS, HOST, TEXT, Entry

MOST_NEAR = 3  # suggestions
ID = re.compile("[0-9a-f]{64}")


class Target(NamedTuple):
    name: str  # as it is shown: an address, a host or an id
    entry: Entry

    def covering(self) -> list[Entry]:
        """By which entries it may be forgotten already: its own, or those of a host that it belongs to."""
        kind, name = self.entry[0], self.name
        return [self.entry, *(entry for entry in forgotten.entries_of(f"http://{name}" if kind == HOST else name)
                              if entry[0] == HOST or kind == ADDRESS)]


def read_targets(words: Iterable[str]) -> list[Target]:
    """The targets that the words name; @FILE stands for the lines of a file. Raises ConfigError for what is none."""
    targets: list[Target] = []
    for word in words:
        if word.startswith("@"):
            path = Path(word[1:])
            if not path.is_file():
                raise ConfigError(f"--forget {word}: there is no such file.")
            if not (lines := read_lines(path)):
                raise ConfigError(f"--forget {word}: it names nothing; expected one address, host or id per line.")
            targets += map(target_of, lines)
        else:
            targets.append(target_of(word))
    return list(dict.fromkeys(targets))


def target_of(word: str) -> Target:
    """An id; an address, which has :// or a /; a local file's path from /; or a host, with a dot and neither."""
    word = strip_control(word).strip()
    if ID.fullmatch(word.lower()):
        return Target(word.lower(), (TEXT, word.lower()))
    if word.startswith("/") and not word.startswith("//"):
        word = Path(os.path.abspath(word)).as_uri()  # as extraction names it
    if word.startswith("file:///"):
        return Target(word, forgotten.address(word))
    host, slash, _ = word.partition("/")
    if "://" in word or slash:
        if url := browser_url(word if "://" in word else f"https://{word}"):
            return Target(url, forgotten.address(url))
    elif "." in host and (name := ascii_host(host)):
        return Target(name, forgotten.host(name))
    raise ConfigError(f"--forget {word[:200]!r}: expected a web address, a host such as example.org, the id of a "
                      "document (all of its 64 digits), or @FILE with one of these per line.")


def near(catalog: Catalog, target: Target) -> list[str]:
    """What a target that gives no document may have meant."""
    kind, name = target.entry[0], target.name
    if kind == TEXT:
        return documents.ids_like(catalog, name[:8], MOST_NEAR)
    if kind == HOST:
        return difflib.get_close_matches(name, documents.all_hosts(catalog), MOST_NEAR) or (
            documents.urls_with(catalog, name, MOST_NEAR))
    urls = documents.urls_with(catalog, hostname(name) or name.rpartition("/")[2].partition("#")[0])
    return difflib.get_close_matches(name, urls, MOST_NEAR) if urls else difflib.get_close_matches(
        hostname(name), documents.all_hosts(catalog), MOST_NEAR)


def is_start_page(target: Target) -> bool:
    """Whether an address is that of a whole site's first page, by which the site may be meant."""
    return target.entry[0] == ADDRESS and forgotten.is_of_web(target.name) and target.name.count("/") == 3 and (
        target.name.endswith("/"))
