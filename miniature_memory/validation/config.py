"""Settings of validate."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class ValidateConfig:
    languages: list[str] = field(default_factory=lambda: ["en"])  # ISO 639-1 codes; ["*"] allows all
    min_chars: int = 100          # of text; guess: less is a caption or an error message
    max_chars: int = 5_000_000    # of text; guess: ten times a long novel's chapter file
    min_letters_frac: float = 0.3  # of the characters that are no space; below it is no language. Guess

    def __post_init__(self) -> None:
        if not self.languages:
            raise ValueError('languages is empty; expected codes such as ["en"], or ["*"] for all')
