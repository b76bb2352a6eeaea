"""Engine keys: from the environment, or from a file that nobody else can read; and what was spent with them."""

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
from urllib.parse import urlsplit

from miniature_memory.core.config import nearest, read_tables
from miniature_memory.core.errors import ConfigError, StageError
from miniature_memory.core.log import hide
from miniature_memory.core.paths import PROJECT, shown
from miniature_memory.providers.config import KEYED, PROVIDER_NAMES, SearchConfig
from miniature_memory.providers.engines import Engine, Key, engines_of, presets
from miniature_memory.storage import paid_queries

logger = logging.getLogger(__name__)

FILE = "config/keys.toml"
MOST_BYTES = 1 << 16  # of a file of keys
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

    The environment comes first, then the root's file, then the project's. But the configuration of a root may be a
    stranger's: to an address that only it names, no key goes but one of that root's own file.
    """
    of_root, of_project = (_read_file(path, engines) for path in (root.absolute() / FILE, PROJECT / FILE))
    files, own = of_project | of_root, {} if _is_linked(root) else of_root
    found = {}
    for name, engine in engines.items():
        parts = [_look_up(files, name, f"{name}_api_key", f"{name}_key")]
        parts += [_look_up(files, f"{name}_id", f"{name}_id")] * engine.needs_id
        if not all(value for value, _ in parts):
            if name in files:  # the environment may mean another program
                raise ConfigError(f"{files[name][1]} has a key for {name}, but no {name}_id. Expected: both. "
                                  f'Fix: add a line such as {name}_id = "ID"')
            continue
        if not _is_named_by_project(name, engine, root):
            parts = [own.get(one, ("", where)) for one, (_, where) in zip((name, f"{name}_id"), parts, strict=False)]
            if elsewhere := [where for value, where in parts if not value]:
                raise _goes_elsewhere(name, engine, root, elsewhere[0])
        if wrong := [where for value, where in parts if not re.fullmatch(SHAPE, value, re.ASCII)]:
            raise ConfigError(f"{wrong[0]}: its value for {name} cannot be a key. Expected: 8 to 500 letters, "
                              "digits or signs such as - and _. Fix: copy it again from "
                              + (engine.signup or "where you got it"))
        found[name] = Key(*parts[0], *(value for value, _ in parts[1:]))
        hide(found[name].value)
    return found


def _is_linked(root: Path) -> bool:
    """Whether what the root has as its file of keys is a link, perhaps to those of somebody else."""
    return os.path.realpath(root / FILE) != os.path.join(os.path.realpath(root), FILE)


def _is_named_by_project(name: str, engine: Engine, root: Path) -> bool:
    """Whether the address of an engine is of a server that it has among the presets or in the project's own
    configuration, which no root can change."""
    if root.resolve() == PROJECT.resolve():
        return True
    tables = presets().get(name), read_tables(PROJECT)["search"]["engines"].get(name)
    named = [str(one.get("url")) for one in tables if isinstance(one, dict)]
    return urlsplit(engine.url)[:2] in [urlsplit(url)[:2] for url in named]  # scheme, host and port


def _goes_elsewhere(name: str, engine: Engine, root: Path, where: str) -> ConfigError:
    scheme, host = urlsplit(engine.url)[:2]
    return ConfigError(
        f"[search.engines.{name}] would send the key from {where} to {scheme}://{host}. Expected: an address of the "
        f"service that gave the key, since the configuration of {shown(root)} may not be yours. Fix: if you trust that "
        f"address, write the key into {shown(root / FILE)} (not a link): {name} = \"KEY\"; if not, remove "
        f"[search.engines.{name}] from {shown(root / 'config/default.toml')}")


def _look_up(files: Mapping[str, tuple[str, str]], name: str, *variables: str) -> tuple[str, str]:
    """A value and where it is, by its variables in the environment or its name in the files; ("", "") if nowhere."""
    for variable in variables:
        if value := os.environ.get(variable.upper(), "").strip():
            return value, variable.upper()
    return files.get(name, ("", ""))


def _read_file(path: Path, engines: Mapping[str, Engine]) -> dict[str, tuple[str, str]]:
    """The keys in a file by their names, each with the file's. No file is an empty one."""
    name = shown(path)
    try:
        status = path.stat()
        mode, size = status.st_mode, status.st_size
        if stat.S_ISREG(mode) and mode & 0o077:
            raise ConfigError(f"{name} holds keys, and others may read it. Expected: a file for you alone. "
                              f"Fix: chmod 600 {shlex.quote(name)}")
        if not stat.S_ISREG(mode):
            raise ConfigError(f"{name} is not a file. Expected: one with your keys, or none. "
                              f"Fix: mv {shlex.quote(name)} {shlex.quote(name)}.old")
        if size > MOST_BYTES:
            raise ConfigError(f"{name} has {size:,} bytes. Expected: at most {MOST_BYTES:,}, one line per key. "
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
        raise ConfigError(f"{name} names an engine that is unknown.{nearest(unknown[0], expected)}")
    if any(not isinstance(value, str) for value in content.values()):
        raise ConfigError(f'{name} holds a value that is not text. Expected: lines such as brave = "KEY"')
    return {one: (value.strip(), name) for one, value in content.items() if value.strip()}


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
    engines, (month, used) = engines_of(config.engines), paid_queries.month_used()
    usd = sum(n * engines[name].usd_per_query for name, n in used.items() if name in engines)
    limit = config.monthly_queries
    return Spending(month, used, limit, max(limit - sum(used.values()), 0), round(usd, 4))


def announce(config: SearchConfig) -> None:
    """Log what was spent so far, where there is a key."""
    if config.keys:
        try:
            logger.info("queries with a key: %s", spending(config).in_words())
        except StageError as error:
            logger.warning("%s", error)
