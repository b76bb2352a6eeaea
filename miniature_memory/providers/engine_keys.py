"""Engine keys: from the environment, or from a file that nobody else can read; and what was spent by them."""

import logging
import os
import re
import shlex
import stat
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from miniature_memory.core.config import nearest
from miniature_memory.core.errors import ConfigError, StageError
from miniature_memory.core.log import hide
from miniature_memory.core.paths import PROJECT, shown
from miniature_memory.providers.config import KEYED, PROVIDER_NAMES, SearchConfig
from miniature_memory.providers.engines import Engine, Key, engines_of
from miniature_memory.storage import paid_queries

logger = logging.getLogger(__name__)

FILE = "config/keys.toml"
SHAPE = r"[\w.~+/=:-]{8,500}"  # of every key that these services give out; it is safe in headers, URLs and JSON


def with_keys(config: SearchConfig, root: Path) -> SearchConfig:
    """`config` with the keys that were found, and with the engines that they belong to in the place of "keyed"."""
    if all(name in PROVIDER_NAMES and name != KEYED for name in config.providers):
        return config
    keys = read_keys(engines_of(config.engines), root)
    found = [name for name in keys if name not in config.providers]
    names = [one for name in config.providers for one in (found if name == KEYED else [name])]
    return replace(config, providers=names, keys=keys)


def read_keys(engines: Mapping[str, Engine], root: Path) -> dict[str, Key]:
    """The keys of those engines that have one, in their order. Raises ConfigError, which never shows a key.

    The environment comes first, then the root's file, then the project's.
    """
    files: dict[str, tuple[str, str]] = {}
    for path in dict.fromkeys([PROJECT / FILE, root.absolute() / FILE]):
        files |= {name: (value, shown(path)) for name, value in _read_file(path, engines).items()}
    found = {}
    for name, engine in engines.items():
        value, origin = _look_up(files, name, f"{name}_api_key", f"{name}_key")
        second, place = _look_up(files, f"{name}_id", f"{name}_id")
        parts = [(origin, value), (place, second)] if engine.needs_id else [(origin, value)]
        if not all(part for _, part in parts):
            if name in files:  # the environment may mean another program
                raise ConfigError(f"{files[name][1]} has a key for {name}, but no {name}_id. Expected: both. "
                                  f'Fix: add a line such as {name}_id = "ID"')
            continue
        if wrong := [where for where, part in parts if not re.fullmatch(SHAPE, part, re.ASCII)]:
            raise ConfigError(f"{wrong[0]}: what it holds for {name} cannot be a key. Expected: 8 to 500 letters, "
                              "digits or signs such as - and _. Fix: copy it again from "
                              + (engine.signup or "where you got it"))
        found[name] = Key(value, origin, second)
        hide(value)
    return found


def _look_up(files: Mapping[str, tuple[str, str]], name: str, *variables: str) -> tuple[str, str]:
    """A value and where it is, by its variables in the environment or its name in the files; ("", "") if nowhere."""
    for variable in variables:
        if value := os.environ.get(variable.upper(), "").strip():
            return value, variable.upper()
    return files.get(name, ("", ""))


def _read_file(path: Path, engines: Mapping[str, Engine]) -> dict[str, str]:
    """The keys in a file by their names. No file is an empty one."""
    name = shown(path)
    try:
        mode = path.stat().st_mode
        if stat.S_ISREG(mode) and mode & 0o077:
            raise ConfigError(f"{name} holds keys, and others may read it. Expected: a file for you alone. "
                              f"Fix: chmod 600 {shlex.quote(name)}")
        if not stat.S_ISREG(mode):
            raise ConfigError(f"{name} is no file. Expected: one with your keys, or none. "
                              f"Fix: mv {shlex.quote(name)} {shlex.quote(name)}.old")
        content = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise ConfigError(f"{name} cannot be read ({error.strerror}). Expected: a file that you may read. "
                          f"Fix: ls -l {shlex.quote(name)} shows whose it is") from None
    except (ValueError, RecursionError) as error:  # whose text may hold a key
        where = re.search(r"at (line \d+|end of document)", str(error))
        raise ConfigError(f"{name} is not TOML ({where[0] if where else 'unreadable'}). Expected: lines such as "
                          'brave = "KEY". Fix: correct that line') from None
    expected = [*engines, *(f"{engine}_id" for engine in engines if engines[engine].needs_id)]
    if unknown := [one for one in content if one not in expected]:
        raise ConfigError(f"{name} holds a name that is no engine.{nearest(unknown[0], expected)}")
    if any(not isinstance(value, str) for value in content.values()):
        raise ConfigError(f'{name} holds something else than texts. Expected: lines such as brave = "KEY"')
    return {one: value.strip() for one, value in content.items() if value.strip()}


class Spending(NamedTuple):
    """The queries to engines with a key in this month, over all roots."""

    month: str
    used: dict[str, int]  # by engine
    limit: int
    left: int
    usd: float  # estimated

    def in_words(self) -> str:
        listed = f" ({', '.join(f'{name} {n:,}' for name, n in self.used.items())})" if self.used else ""
        return (f"{sum(self.used.values()):,} of {self.limit:,} used in {self.month}{listed}, about ${self.usd:.2f}; "
                f"{self.left:,} left")


def spending(config: SearchConfig) -> Spending:
    """Raises StageError if it is not known."""
    engines, used = engines_of(config.engines), paid_queries.used()
    usd = sum(n * engines[name].usd_per_query for name, n in used.items() if name in engines)
    limit = config.monthly_queries
    return Spending(paid_queries.this_month(), used, limit, max(limit - sum(used.values()), 0), round(usd, 4))


def announce(config: SearchConfig) -> None:
    """Log what was spent so far, where there is a key."""
    if config.keys:
        try:
            logger.info("queries with a key: %s", spending(config).in_words())
        except StageError as error:
            logger.warning("%s", error)
