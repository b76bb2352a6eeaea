"""Settings of what a root may take."""

from dataclasses import dataclass

from miniature_memory.core.config import setting


@dataclass(frozen=True)
class StorageConfig:
    max_gb: float = setting(0.0,
        "of data/ and checkpoints/; beyond, a run ends by removing the oldest models of checkpoints/history, then WARC "
        "files that have been extracted, never a text or the last model; 0: no limit")
