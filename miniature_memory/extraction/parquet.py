"""Parquet: the documents in .parquet files, as datatrove, Hugging Face's datasets and export.py write them.

Arrow is C++ that reads what a stranger wrote, and a page of a column expands to what its writer says. So a process of
its own, whose memory is limited, makes JSON lines of the rows; what they hold is read as any JSON lines are.

Alone   python -m miniature_memory.extraction.parquet < FILE.parquet
"""

import json
import resource
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from itertools import chain
from typing import Any, BinaryIO

from miniature_memory.core.paths import PROJECT
from miniature_memory.extraction.reading import Input, Unreadable
from miniature_memory.extraction.tables import ABOUT, TEXT_NAMES, split_json_lines

HAS_PYARROW = find_spec("pyarrow") is not None
MOST_MEMORY = 1 << 30  # bytes that the process may take. Guess: a row group of usual size takes a tenth
BATCH_ROWS = 64
COLUMNS = {*TEXT_NAMES, *chain(*ABOUT.values()), "license", "split", "metadata"}  # that are read at all
REASONS = {3: "no_text_column", 4: "expands_too_much"}  # by the exit code


def split_parquet(stream: BinaryIO, origin: Input) -> Iterator[Input]:
    if not HAS_PYARROW:
        raise Unreadable("needs_pyarrow")
    command = [sys.executable, "-m", "miniature_memory.extraction.parquet"]
    with subprocess.Popen(command, stdin=stream, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=PROJECT,
                          start_new_session=True) as process:
        assert process.stdout
        try:
            yield from split_json_lines(process.stdout, origin)  # type: ignore[arg-type]  # a BufferedReader
        except GeneratorExit:  # who reads has seen enough
            process.kill()
            raise
    if process.returncode:
        raise Unreadable(REASONS.get(process.returncode, "damaged"))


def main() -> int:
    """Print the rows of the file on standard input. Exit codes: 3 and 4 as in REASONS, others: it is damaged."""
    resource.setrlimit(resource.RLIMIT_DATA, (MOST_MEMORY, MOST_MEMORY))
    import pyarrow
    from pyarrow.parquet import ParquetFile

    pyarrow.set_memory_pool(pyarrow.system_memory_pool())  # the others reserve a gigabyte at once
    pyarrow.set_cpu_count(1)
    try:
        file = ParquetFile(sys.stdin.buffer)
        columns = [name for name in file.schema_arrow.names if name.lower() in COLUMNS]
        if not {name.lower() for name in columns} & {*TEXT_NAMES}:
            return 3
        for batch in file.iter_batches(BATCH_ROWS, columns=columns, use_threads=False):
            for row in batch.to_pylist():
                print(json.dumps({name.lower(): value for name, value in row.items()}, default=_as_text))
    except MemoryError:  # Arrow's is one, too
        return 4
    return 0


def _as_text(value: Any) -> str:
    """What JSON has no type for: times as ISO has them."""
    return str(value.isoformat() if hasattr(value, "isoformat") else value)


if __name__ == "__main__":
    raise SystemExit(main())
