"""Every setting: config/default.toml and docs/configuration.md, written from the dataclasses that hold the defaults.

    .venv/bin/python -m miniature_memory.views.settings    writes both; a test fails while they differ
"""

import dataclasses
import json
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from miniature_memory.cleaning.config import THRESHOLDS, CleanConfig
from miniature_memory.core.config import Tables, build_config
from miniature_memory.core.paths import PROJECT
from miniature_memory.core.run_config import RunConfig
from miniature_memory.crawl.config import ScrapeConfig, WebConfig
from miniature_memory.extraction.config import ExtractConfig
from miniature_memory.providers.config import SearchConfig
from miniature_memory.providers.engine_keys import with_keys
from miniature_memory.providers.engines import Engine
from miniature_memory.sampling.config import SampleConfig
from miniature_memory.storage.config import StorageConfig
from miniature_memory.training.config import PrepareConfig, TrainConfig
from miniature_memory.training.devices import must_be_there
from miniature_memory.validation.config import ValidateConfig

CONFIGS: dict[str, type] = {"run": RunConfig, "web": WebConfig, "search": SearchConfig, "scrape": ScrapeConfig,
                            "extract": ExtractConfig, "validate": ValidateConfig, "clean": CleanConfig,
                            "prepare": PrepareConfig, "train": TrainConfig, "sample": SampleConfig,
                            "storage": StorageConfig}
COLUMN, WIDTH = 40, 120  # of default.toml: where its comments start, and end at the latest

TOML_HEAD = """\
# Every setting with its default and its meaning. Edit the values here as you like. Each of these overrides the one
# before, and may hold only some settings: this file; config/default.toml in the folder that --root or --topic names;
# --config FILE; --set table.key=value.
"""
DOCS_HEAD = """\
# Configuration

Change a setting in `config/default.toml`, in the `config/default.toml` of a topic or root, in a file of your own
(`--config FILE`), or for one run (`--set table.key=value`). The value is TOML, so text needs quotes: `--set
'train.size="4x256"'`. A wrong key or type ends the run with exit code 2, and the message suggests the right one.

`.venv/bin/python -m miniature_memory.views.settings` generates this page.
"""
ENGINES_HEAD = """\
### Fields of an engine with a key

These go into a table `[search.engines.NAME]`: see [engines.md](engines.md). For a known engine, it changes only the
fields that it names.

| field | default | meaning |
|---|---|---|"""
THRESHOLDS_HEAD = """\
### Thresholds of the quality rules

A document is rejected if it has less than a `min_`, or more than a `max_`, of what is measured; `_frac` means a share.
A share of 1.0, a minimum of 0 and `false` turn a rule off; the preset `off` turns all of them off, but a document
without a single word is still rejected. Override single thresholds in a configuration file or with
`--set clean.thresholds.min_words=30`:

```toml
[clean.thresholds]
min_words = 30
reject_curly_brackets = true
```

| threshold | prose | papers | what is measured | source |
|---|---|---|---|---|"""


def settings_of(config: type) -> Iterator[dataclasses.Field[Any]]:
    """The fields that are settings of this table; those of other tables are dataclasses themselves."""
    for field in dataclasses.fields(config):
        described = [found for base in config.__mro__ if (found := getattr(base, "__dataclass_fields__", {})
                     .get(field.name)) and found.metadata]
        if described:
            field.metadata = described[0].metadata  # a class that only changes a default inherits its description
            yield field


def check(tables: Tables, trains: bool, root: Path = PROJECT) -> None:
    """Raise ConfigError for the first value that a stage would reject, whichever stage that is, or a key of `root`.

    trains: whether a model is to be trained, on a device that must be there.
    """
    for table, config in CONFIGS.items():
        build_config(config, table, tables)
    with_keys(build_config(SearchConfig, "search", tables), root)
    if trains:
        must_be_there(tables["train"]["device"])


def default_of(field: dataclasses.Field[Any]) -> Any:
    return field.default_factory() if callable(field.default_factory) else field.default


def is_table(field: dataclasses.Field[Any]) -> bool:
    """Whether a setting is a table of its own, which TOML puts below the other keys."""
    return isinstance(default_of(field), dict)


def toml(value: Any) -> str:
    """A default as TOML. JSON's form of texts, lists and truth values is TOML's, too."""
    if isinstance(value, dict):
        return "{}"
    if isinstance(value, int) and not isinstance(value, bool) and value >= 10_000:
        return f"{value:_}"
    return json.dumps(value)


def default_toml() -> str:
    lines = [TOML_HEAD]
    for table, config in CONFIGS.items():
        lines.append(f"[{table}]")
        for field in sorted(settings_of(config), key=is_table):
            if heading := field.metadata["heading"]:
                lines += textwrap.wrap(heading, WIDTH, initial_indent="# ", subsequent_indent="# ")
            start = f"[{table}.{field.name}]" if is_table(field) else f"{field.name} = {toml(default_of(field))}"
            doc = textwrap.wrap(field.metadata["doc"], WIDTH - COLUMN - 2, break_on_hyphens=False)
            if len(start) + 2 > COLUMN:
                lines += [f"# {line}" for line in textwrap.wrap(field.metadata["doc"], WIDTH - 2)] + [start]
            else:
                lines.append(f"{start:<{COLUMN}}# {doc[0]}")
                lines += [" " * COLUMN + f"# {line}" for line in doc[1:]]
        lines.append("")
    return "\n".join(lines)


def configuration_md() -> str:
    lines = [DOCS_HEAD]
    for table, config in CONFIGS.items():
        lines += [f"## [{table}]", "", "| key | default | meaning |", "|---|---|---|"]
        for field in settings_of(config):
            if heading := field.metadata["heading"]:
                lines.append(f"| | | *{heading}* |")
            doc = field.metadata["doc"].replace("|", "\\|")
            lines.append(f"| `{field.name}` | `{toml(default_of(field))}` | {doc} |")
        lines += ["", *(thresholds() if config is CleanConfig else engine_fields() if config is SearchConfig else ())]
    return "\n".join(lines)


def engine_fields() -> Iterator[str]:
    yield ENGINES_HEAD
    for field in settings_of(Engine):
        yield f"| `{field.name}` | `{toml(default_of(field))}` | {field.metadata['doc']} |"
    yield ""


def thresholds() -> Iterator[str]:
    yield THRESHOLDS_HEAD
    for row in THRESHOLDS:
        yield f"| `{row.name}` | `{toml(row.prose)}` | `{toml(row.papers)}` | {row.doc} | {row.source} |"
    yield ""


def main() -> None:
    (PROJECT / "config/default.toml").write_text(default_toml(), encoding="utf-8")
    (PROJECT / "docs/configuration.md").write_text(configuration_md(), encoding="utf-8")


if __name__ == "__main__":
    main()
