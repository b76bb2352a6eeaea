"""Settings of extract."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ExtractConfig:
    workers: int = 0                  # processes; 0: as many as cores
    page_deadline_sec: float = 20.0   # a page that takes longer is given up; guess: 100 times the usual
    pages_per_worker: int = 1000      # then a fresh process: extractors leak (adbar/trafilatura#216)
    mode: str = "blocks"              # or "readability": read mode alone
    min_chars: int = 200              # less: the next way is tried; guess
    max_text_chars: int = 2_000_000   # more is cut off at a line's end

    def __post_init__(self) -> None:
        if self.workers < 0 or self.pages_per_worker < 1 or self.page_deadline_sec <= 0:
            raise ValueError("workers must be at least 0, pages_per_worker 1, page_deadline_sec above 0")
