"""Configuration: TOML tables laid over each other, checked key by key, and turned into dataclasses."""

import copy
import dataclasses
import difflib
import json
import math
import re
import shlex
import tomllib
import typing
from pathlib import Path
from typing import Any

from miniature_memory.core.errors import ConfigError, cannot_read
from miniature_memory.core.paths import PROJECT
from miniature_memory.core.renamed_settings import RENAMED_SETTINGS

Tables = dict[str, dict[str, Any]]
T = typing.TypeVar("T")
MAX_BYTES = 1 << 20  # of a file of settings; default.toml has 20,000
# Twenty names with dots between, for which tomllib takes quadratic time and memory
_DEEP_KEY = re.compile(r"""(?<![\w-])(?:(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')[ \t]*+\.[ \t]*+){20}""")


def setting(default: T, doc: str, heading: str = "", least: float = 0, most: float = math.inf) -> T:
    """A field of a configuration's dataclass: its default, and its description in default.toml and the docs.

    heading: of the group of settings that begins with this one. least, most: of a number, inclusive.
    """
    metadata = {"doc": doc, "heading": heading, "least": least, "most": most}
    if isinstance(default, (list, dict)):
        return typing.cast(T, dataclasses.field(default_factory=lambda: copy.copy(default), metadata=metadata))
    field: T = dataclasses.field(default=default, metadata=metadata)
    return field


def read_tables(root: Path, config_file: Path | None = None, overrides: list[str] | None = None) -> Tables:
    """Every setting: the project's default.toml, the root's, `config_file`, then `overrides` ("table.key=value").

    default.toml lists every key, so it is also the schema.
    Raises ConfigError naming the key, the file and the nearest right key.
    """
    tables = _read_toml(PROJECT / "config" / "default.toml")
    layers = [own] if (own := root / "config" / "default.toml").exists() and root.resolve() != PROJECT else []
    if config_file:
        if not config_file.exists() or config_file.is_dir():
            raise ConfigError(f"--config {config_file}: expected a file of settings, as config/default.toml is")
        layers.append(config_file)
    for layer in layers:
        for table, keys in _read_toml(layer).items():
            if not isinstance(keys, dict):
                raise ConfigError(f"{layer}: {table} is outside a table. Expected: a [table] above it.")
            for key, value in keys.items():
                _set(tables, table, key, value, str(layer))
    for override in overrides or []:
        _set(tables, *_parse_override(override), "--set")
    return tables


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        with open(path, "rb") as stream:
            data = stream.read(MAX_BYTES + 1)
        text = data.decode("utf-8-sig").replace("\r\n", "\n")
        if "\0" in text:
            raise ConfigError(f"{path} is not UTF-8, or damaged. Fix: save it as UTF-8 in your editor.")
        if len(data) > MAX_BYTES or _DEEP_KEY.search(text):
            raise ConfigError(f"{path} is larger than {MAX_BYTES:,} bytes, or nests tables very deep. Expected: "
                              "settings, as in config/default.toml.")
        return tomllib.loads(text)
    except OSError as error:
        raise ConfigError(str(cannot_read(path, error))) from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not UTF-8. Fix: save it as UTF-8 in your editor.") from None
    except (ValueError, RecursionError) as error:  # of tomllib: also for numbers and lists without end
        raise ConfigError(f"{path} is not TOML: {error}. Fix: correct that line; text needs quotes, for example."
                          ) from None


def _parse_override(override: str) -> tuple[str, str, Any]:
    """table, key and value of "table.key=value"; a key of a table within the table is "key.inner"."""
    name, equals, text = override.partition("=")
    table, dot, key = name.strip().partition(".")
    if not equals or not dot:
        raise ConfigError(f"--set {override}: expected table.key=value, for example --set train.max_minutes=2")
    try:
        return table, key, tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):
        hint = f"Text needs quotes: --set {shlex.quote(f'{name}={json.dumps(text)}')}"
        raise ConfigError(f"--set {override}: {text!r} is not a TOML value. {hint}") from None


def _set(tables: Tables, table: str, key: str, value: Any, where: str) -> None:
    name = f"{table}.{key}"
    if new := RENAMED_SETTINGS.get(name):
        gone = new.startswith("nothing: ")
        raise ConfigError(f"{where}: {name} is {f'gone{new[7:]}' if gone else f'now {new}'}")
    if table not in tables:
        raise ConfigError(f"{where}: there is no table [{table}].{nearest(table, tables)}")
    key, dot, inner = key.partition(".")
    if key not in tables[table] or (dot and not isinstance(tables[table][key], dict)):
        raise ConfigError(f"{where}: there is no key {name}.{nearest(key, tables[table])}")
    value = _checked({inner: value} if dot else value, tables[table][key], name, where)
    tables[table][key] = tables[table][key] | value if isinstance(value, dict) else value


def _checked(value: Any, old: Any, name: str, where: str) -> Any:
    """`value` with the type of `old`, the value that it replaces."""
    if isinstance(old, float) and isinstance(value, int) and not isinstance(value, bool):
        value = _as_float(value)
    if isinstance(value, int) and not -(1 << 63) <= value < 1 << 63:
        raise ConfigError(f"{where}: {name} is a number of more than 64 bits; expected {(1 << 63) - 1} at "
                          "most")
    if isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"{where}: {name} is not a finite number; expected one such as {json.dumps(old)}")
    if any("\0" in one for one in (value if isinstance(value, list) else [value]) if isinstance(one, str)):
        raise ConfigError(f"{where}: {name} has a NUL character; expected text")
    if type(value) is not type(old):
        raise ConfigError(f"{where}: {name} = {value!r} is of type {type(value).__name__}, "
                          f"expected {type(old).__name__}, such as {json.dumps(old)}")
    return value


def nearest(name: str, names: typing.Iterable[str]) -> str:
    """A hint at what was meant, or at all that there is; it starts with a space."""
    names = sorted(names)
    return meant(name, names) or f" Expected one of: {', '.join(names)}."


def meant(name: str, names: typing.Iterable[str]) -> str:
    """A hint at those of `names` that were probably meant; it starts with a space. "" if there is none like it."""
    spelled = {_letters(one): one for one in names}  # without dashes, which all options have in common
    typed = _letters(name)
    close = [one for one in spelled if typed and one.startswith(typed)]
    close = close or difflib.get_close_matches(typed, spelled, n=1)
    return f" Did you mean {' or '.join(spelled[one] for one in close)}?" if close else ""


def _letters(name: str) -> str:
    return name.lstrip("-").replace("-", "_").lower()


def build_config(config_class: type, table: str, tables: Tables) -> Any:
    """`config_class` filled from [table]; a field that is itself a dataclass is filled from the table of its name."""
    hints = typing.get_type_hints(config_class)
    values: dict[str, Any] = {}
    for item in dataclasses.fields(config_class):
        hint = hints[item.name]
        if dataclasses.is_dataclass(hint):
            values[item.name] = build_config(typing.cast(type, hint), item.name, tables)
        elif item.name in tables[table]:
            value = tables[table][item.name]
            if not _has_type(value, hint):
                raise ConfigError(f"{table}.{item.name} = {value!r}: expected {getattr(hint, '__name__', hint)}")
            values[item.name] = _as_float(value) if hint is float else value
    try:
        config = config_class(**values)
    except ValueError as error:  # the type is right, and the dataclass still rejects the value
        raise ConfigError(f"[{table}] {error}") from None
    for item in dataclasses.fields(config_class):
        if isinstance(value := values.get(item.name), float) and not math.isfinite(value):
            raise ConfigError(f"[{table}] {item.name} = {value}: expected a finite number")
        least, most = (item.metadata.get(name) for name in ("least", "most"))
        if isinstance(value, int | float) and least is not None and most is not None and not least <= value <= most:
            limit = f"{least} or more" if most == math.inf else f"{least} to {most}"
            raise ConfigError(f"[{table}] {item.name} = {value}: expected {limit}")
    return config


def _as_float(value: float) -> float:
    """Infinity for a whole number that is too large, which the limits then refuse."""
    return float(value) if isinstance(value, float) or abs(value) < 1 << 53 else math.inf if value > 0 else -math.inf


def _has_type(value: Any, hint: Any) -> bool:
    if hint is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if typing.get_origin(hint) is list:
        return isinstance(value, list) and all(_has_type(v, typing.get_args(hint)[0]) for v in value)
    if typing.get_origin(hint) is dict:
        return isinstance(value, dict)  # its values are checked by the dataclass, which knows their names
    return type(value) is hint
