"""Rows: documents as rows of text columns, and the files that they are written to, in flat memory."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from miniature_memory.cleaning.config import CleanConfig
from miniature_memory.cleaning.privacy import mask
from miniature_memory.core.errors import DeadlineError, StageError
from miniature_memory.core.process import deadline
from miniature_memory.storage import clean_documents, documents
from miniature_memory.storage.catalog import Catalog
from miniature_memory.storage.files import read_lines
from miniature_memory.storage.rejections import REJECTED as REJECTED_FILE

Row = dict[str, str]  # column -> value; "" for unknown

METADATA = ("url", "title", "author", "published", "language", "host", "fetched_at", "extractor", "page_type",
            "license", "source", "warc_file", "warc_offset", "topic_fit")
COLUMNS = ("id", "text", *METADATA, "split")
REJECTION = ("stage", "reason", "value", "threshold")
REJECTED_COLUMNS = ("id", "text", *METADATA, *REJECTION)
REJECTED = "rejected"  # the configuration of rejected documents, and its one split
SPLITS = {"train": "train", "val": "validation"}  # ours -> as datasets has them
GROUP_ROWS, GROUP_BYTES = 1000, 8 << 20  # of a row group: full at the one or the other, which bounds memory


def kept_rows(catalog: Catalog) -> Iterator[Row]:
    """The clean documents in their order, each with its split."""
    for row in clean_documents.in_order(catalog):
        document = clean_documents.read_whole(catalog, row)
        yield _row(document) | {"split": SPLITS[clean_documents.drawn_split(row)]}


def rejected_rows(catalog: Catalog, config: CleanConfig) -> Iterator[Row]:
    """The rejected documents with the reason, masked as clean masks what it keeps. It leaves out those that are
    not whole and those that have been kept since."""
    for line in read_lines(catalog.root / REJECTED_FILE, last_bytes=1 << 62):
        row = documents.with_id(catalog, str(line.get("id", "")))
        if row is None or clean_documents.find(catalog, row["id"]):
            continue
        try:
            document = documents.read(catalog, row)
            if config.mask_personal_data:
                with deadline(config.document_deadline_sec):
                    document["text"] = mask(document["text"], row["language"])[0]
        except (StageError, DeadlineError):
            continue
        yield _row(document) | {name: str(line.get(name, "")) for name in REJECTION}


def _row(document: dict[str, Any]) -> Row:
    metadata = document["metadata"]
    return {"id": document["id"], "text": document["text"], **{name: metadata.get(name, "") for name in METADATA}}


# --- files -----------------------------------------------------------------------------------------


class JsonLines:
    suffix = ".jsonl"

    def __init__(self, path: Path, columns: tuple[str, ...]) -> None:
        self.stream = open(path, "w", encoding="utf-8")  # noqa: SIM115 (for the next row)

    def add(self, row: Row) -> None:
        self.stream.write(json.dumps(row, ensure_ascii=False) + "\n")

    def close(self) -> None:
        self.stream.close()


class Parquet:
    suffix = ".parquet"

    def __init__(self, path: Path, columns: tuple[str, ...]) -> None:
        import pyarrow
        from pyarrow.parquet import ParquetWriter

        self.schema = pyarrow.schema([(name, pyarrow.string()) for name in columns])
        self.writer = ParquetWriter(path, self.schema, compression="zstd")
        self.rows: list[Row] = []
        self.n_bytes = 0

    def add(self, row: Row) -> None:
        self.rows.append(row)
        self.n_bytes += len(row["text"].encode())
        if len(self.rows) == GROUP_ROWS or self.n_bytes >= GROUP_BYTES:
            self._write_group()

    def _write_group(self) -> None:
        import pyarrow

        self.writer.write_table(pyarrow.Table.from_pylist(self.rows, self.schema))
        self.rows, self.n_bytes = [], 0

    def close(self) -> None:
        if self.rows:
            self._write_group()
        self.writer.close()


Table = JsonLines | Parquet
