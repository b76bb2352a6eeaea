"""Configuration: TOML tables laid over each other, checked key by key, and turned into dataclasses."""

from __future__ import annotations

import copy
import dataclasses
import difflib
import json
import math
import tomllib
import typing
from pathlib import Path
from typing import Any

from miniature_memory.core.errors import ConfigError
from miniature_memory.core.paths import PROJECT

# --- configuration -------------------------------------------------------------------------------

Tables = dict[str, dict[str, Any]]
RENAMED_SETTINGS: dict[str, str] = {
    "extract.pages_per_worker": "nothing: extract starts a fresh worker process after 1,000 pages",
    "extract.min_chars": "nothing: extract tries read mode when a page gives less than 200 characters",
    "search.enough_urls": "scrape.max_pages",
    "search.enough_per_host": "scrape.max_pages_per_host",
    "search.results_per_query": "nothing: it is always 10",
    "search.give_up_sec": "nothing: it is always 15 seconds",
    "search.provider_sec": "nothing: it is always 10 seconds",
    "search.sitemaps_per_seed": "nothing: it is always 10",
    "search.seed_delay_sec": "nothing: it is always 1 second, or the host's Crawl-delay",
    "web.connect_timeout_sec": "nothing: it is always 5 seconds",
    "web.read_timeout_sec": "nothing: it is always 10 seconds, within web.fetch_deadline_sec",
    "web.max_redirects": "nothing: it is always 5, as RFC 9309 says",
    "scrape.retry_days": "nothing: it is always 1 day, doubled with each further failure",
    "scrape.host_pause_sec": "nothing: it is always 3,600 seconds, doubled each time in a row",
    "prepare.min_val_tokens": "nothing: it is always 512",
    "prepare.tokenizer_bytes": "nothing: it is always 50,000,000",
    "prepare.drift_frac": "nothing: it is always 0.15",
    "train.beta1": "nothing: it is always 0.9",
    "train.beta2": "nothing: it is always 0.99",
    "train.eval_windows": "nothing: it is always 64",
    "train.save_minutes": "train.eval_minutes, since each look at the validation loss saves ckpt.pt",
}
T = typing.TypeVar("T")
RENAMED_SETTINGS |= {f"clean.{name}": f"clean.thresholds.{name}" for name in (
    "min_words", "max_words", "min_mean_word_chars", "max_mean_word_chars", "max_hashes_per_word",
    "max_ellipses_per_word", "max_bullet_lines_frac", "max_ellipsis_lines_frac", "min_letter_words_frac",
    "min_stop_words", "max_duplicate_paragraphs_frac", "max_duplicate_paragraph_chars_frac", "max_duplicate_lines_frac",
    "max_duplicate_line_chars_frac", "min_sentences", "min_punctuated_lines_frac", "max_short_lines_frac",
    "max_repeated_line_chars_frac", "max_newlines_per_word", "max_digits_frac", "max_url_chars_frac",
    "max_whitespace_frac", "min_list_function_words_frac", "max_site_phrases_frac")}
RENAMED_SETTINGS |= {f"clean.refuse_{name}": f"clean.thresholds.reject_{name}"
                     for name in ("lorem_ipsum", "curly_brackets")}
RENAMED_SETTINGS |= {f"clean.max_top_{n}gram_chars_frac": "clean.thresholds.max_top_ngram_chars_frac (that of pairs)"
                     for n in (2, 3, 4)}
RENAMED_SETTINGS |= {f"clean.max_duplicate_{n}gram_chars_frac":
                     "clean.thresholds.max_duplicate_ngram_chars_frac (that of 5-grams)" for n in range(5, 11)}


def setting(default: T, doc: str, heading: str = "") -> T:
    """A field of a configuration's dataclass: its default, and what default.toml and docs/configuration.md say of it.

    heading: of the group of settings that begins with this one.
    """
    metadata = {"doc": doc, "heading": heading}
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
        layers.append(config_file)
    for layer in layers:
        for table, keys in _read_toml(layer).items():
            if not isinstance(keys, dict):
                raise ConfigError(f"{layer}: {table} stands outside a table. Expected: a [table] above it.")
            for key, value in keys.items():
                _set(tables, table, key, value, str(layer))
    for override in overrides or []:
        name, sep, text = override.partition("=")
        table, dot, key = name.strip().partition(".")
        if not sep or not dot:
            raise ConfigError(f"--set {override}: expected table.key=value, for example --set train.max_minutes=2")
        try:
            value = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            hint = f"Text needs its quotes: --set '{name}=\"{text}\"'"
            raise ConfigError(f"--set {override}: {text!r} is no TOML value. {hint}") from None
        key, dot, inner = key.partition(".")  # clean.thresholds.min_words: a key of an inner table
        _set(tables, table, key, {inner: value} if dot else value, "--set")
    return tables


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read ({error.strerror}). Expected: a TOML file.") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not UTF-8. Save it as UTF-8 in your editor.") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not TOML: {error}. Mend that line; text needs quotes, for example.") from None


def _set(tables: Tables, table: str, key: str, value: Any, where: str) -> None:
    if table not in tables:
        raise ConfigError(f"{where}: there is no table [{table}].{_nearest(table, tables)}")
    if key not in tables[table]:
        raise ConfigError(f"{where}: there is no key {table}.{key}.{_nearest(key, tables[table])}")
    old = tables[table][key]
    if isinstance(old, dict) and isinstance(value, dict):
        value = {**old, **value}  # a table of its own, such as [clean.thresholds]: the dataclass checks what is in it
    if isinstance(old, float) and isinstance(value, int) and not isinstance(value, bool):
        value = float(value) if abs(value) < 1 << 53 else math.inf
    if isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"{where}: {table}.{key} is no finite number; expected one such as {json.dumps(old)}")
    if type(value) is not type(old):
        raise ConfigError(f"{where}: {table}.{key} = {value!r} is of type {type(value).__name__}, "
                          f"expected {type(old).__name__}, such as {json.dumps(old)}")
    tables[table][key] = value


def _nearest(name: str, names: typing.Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(names), n=1)
    return f" Did you mean {close[0]}?" if close else f" There are: {', '.join(sorted(names))}."


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
            values[item.name] = float(value) if hint is float else value
    try:
        return config_class(**values)
    except ValueError as error:  # a dataclass may refuse a value that has the right type
        raise ConfigError(f"[{table}] {error}") from None


def _has_type(value: Any, hint: Any) -> bool:
    if hint is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if typing.get_origin(hint) is list:
        return isinstance(value, list) and all(_has_type(v, typing.get_args(hint)[0]) for v in value)
    if typing.get_origin(hint) is dict:
        return isinstance(value, dict)  # its values are checked by the dataclass, which knows their names
    return type(value) is hint
