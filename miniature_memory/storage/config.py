"""Settings of storage."""

from dataclasses import dataclass

from miniature_memory.core.config import setting


@dataclass(frozen=True)
class StorageConfig:
    max_gb: float = setting(0.0,
        "maximum GB of data/ and checkpoints/; above it, a run ends by deleting the oldest models of "
        "checkpoints/history, then extracted WARC files, but never a text or the last model; 0: no limit")
