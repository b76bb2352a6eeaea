"""Settings of run."""

from dataclasses import dataclass

from miniature_memory.core.config import setting


@dataclass(frozen=True)
class RunConfig:
    sample_fallback: bool = setting(True, "no provider yields a page and the dataset is empty: run the demonstration")
