"""Settings of extract."""

from __future__ import annotations

from dataclasses import dataclass

from miniature_memory.core.config import setting


@dataclass(frozen=True)
class ExtractConfig:
    workers: int = setting(0, "processes; 0: as many as cores")
    page_deadline_sec: float = setting(20.0,
        "a page that takes longer is given up")  # a page that takes longer is given up; guess: 100 times the usual
    # Then a fresh process: extractors leak (adbar/trafilatura#216)
    pages_per_worker: int = setting(1000,
        "then a fresh process takes over: extractors leak memory")
    mode: str = setting("blocks", "block by block (blocks.py), or \"readability\": read mode alone")
    # Less: the next way is tried; guess
    min_chars: int = setting(200,
        "of text; with less, read mode is tried, then the whole page without its navigation")
    max_text_chars: int = setting(2_000_000, "of one page; the rest is cut off")

    def __post_init__(self) -> None:
        if self.workers < 0 or self.pages_per_worker < 1 or self.page_deadline_sec <= 0:
            raise ValueError("workers must be at least 0, pages_per_worker 1, page_deadline_sec above 0")
