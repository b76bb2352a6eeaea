"""Settings of run."""

from dataclasses import dataclass

from miniature_memory.core.config import setting


@dataclass(frozen=True)
class RunConfig:
    topic: str = setting("", "the topic's title, in the words in which it was given; shown in the report and --status")
