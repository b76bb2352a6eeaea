"""Dataset: the documents of a root in a folder that `datasets.load_dataset` reads, with a card that describes them."""

import argparse
import contextlib
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

from miniature_memory.cleaning.config import CleanConfig
from miniature_memory.core.config import build_config, read_tables
from miniature_memory.core.errors import StageError
from miniature_memory.core.interpreter import setup_command
from miniature_memory.core.paths import shown
from miniature_memory.core.progress import Progress
from miniature_memory.core.text import counted
from miniature_memory.exporting.aside import written_aside
from miniature_memory.exporting.card import Facts, card, topic_of
from miniature_memory.exporting.rows import (
    COLUMNS,
    REJECTED,
    REJECTED_COLUMNS,
    JsonLines,
    Parquet,
    Row,
    Table,
    kept_rows,
    rejected_rows,
)
from miniature_memory.storage import clean_documents, forgotten
from miniature_memory.storage.catalog import Catalog
from miniature_memory.storage.disk import in_words


def write_dataset(root: Path, target: Path, args: argparse.Namespace) -> str:
    """Write the folder `target`, a file per split in data/ and README.md; return in words what was written."""
    kind = JsonLines if args.json_lines else Parquet
    if kind is Parquet and find_spec("pyarrow") is None:
        raise StageError("Parquet files need the package pyarrow, which is not installed.",
                         "this package, or JSON lines.", f"{setup_command()} --with export, or add --json-lines")
    tables = read_tables(root, args.config, args.overrides)
    config: CleanConfig = build_config(CleanConfig, "clean", tables)
    topic = topic_of(root, tables)
    facts = Facts(topic, config.mask_personal_data)
    with Catalog(root, read_only=True) as catalog:
        n_documents = clean_documents.count(catalog)
        if not n_documents:
            raise StageError(f"{shown(root)} has no clean document yet.", "at least one.",
                             forgotten.first_run(root))
        with written_aside(target) as folder:
            (folder / "data").mkdir(parents=True)
            rows = Progress(kept_rows(catalog), "dataset", n_documents, unit=" documents")
            _write_files(folder / "data", kind, COLUMNS, ((row["split"], row) for row in rows), facts)
            if args.rejected:
                _write_files(folder / "data", kind, REJECTED_COLUMNS,
                             ((REJECTED, row) for row in rejected_rows(catalog, config)), facts)
            (folder / "README.md").write_text(card(facts, kind.suffix), encoding="utf-8")
    return (f"{counted(facts.documents.total(), 'document')} ({facts.describe_splits()}), "
            f"{in_words(facts.text_bytes.total())} of text, in {shown(target)}")


def _write_files(folder: Path, kind: type[Table], columns: tuple[str, ...], rows: Iterable[tuple[str, Row]],
                 facts: Facts) -> None:
    """Write each row into the file of its split, which is made with its first row."""
    with contextlib.ExitStack() as stack:
        files: dict[str, Table] = {}
        for split, row in rows:
            if split not in files:
                files[split] = stack.enter_context(contextlib.closing(
                    kind(folder / f"{split}{kind.suffix}", columns)))
            files[split].add(row)
            facts.add(split, row)
