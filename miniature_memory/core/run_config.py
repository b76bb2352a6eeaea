"""Settings of run."""

from dataclasses import dataclass

from miniature_memory.core.config import setting


@dataclass(frozen=True)
class RunConfig:
    topic: str = setting("", "the topic's title, as you typed it; shown in the report and --status")
