"""Settings of extract."""

from dataclasses import dataclass, field

from miniature_memory.core.config import setting
from miniature_memory.crawl.config import WebConfig

MODES = ("blocks", "readability")


@dataclass(frozen=True)
class ExtractConfig:
    workers: int = setting(0, "processes; 0: one per core", most=1000)
    # Guess: 100 times the usual
    page_deadline_sec: float = setting(20.0, "seconds after which a page is given up", most=86_400)
    mode: str = setting("blocks",
        "\"blocks\": classify each block of text; \"readability\": only the read mode of readability-lxml")
    max_text_chars: int = setting(2_000_000, "maximum characters of one page; the rest is cut off", least=1)
    respect_noai: bool = setting(True, "as scrape.respect_noai, for pages of --warc, --import and --stdin")
    web: WebConfig = field(default_factory=WebConfig)

    def __post_init__(self) -> None:
        if self.workers < 0:
            raise ValueError(f"workers = {self.workers}: expected 0 (one per core) or more")
        if self.page_deadline_sec <= 0:
            raise ValueError(f"page_deadline_sec = {self.page_deadline_sec}: expected a number of seconds above 0")
        if self.mode not in MODES:
            raise ValueError(f'mode = "{self.mode}": expected {" or ".join(MODES)}')
