"""Settings of validate."""

import re
from dataclasses import dataclass

from miniature_memory.core.config import setting


@dataclass(frozen=True)
class ValidateConfig:
    languages: list[str] = setting(["en"], "ISO 639-1 codes of the languages to keep; [\"*\"]: all")
    min_chars: int = setting(100, "minimum characters of a document")  # guess: less is a caption or an error message
    # Guess: ten times a long novel's chapter file
    max_chars: int = setting(5_000_000, "maximum characters of a document", least=1)
    # Guess: below it is no language
    min_letters_frac: float = setting(0.3, "minimum share of letters among the characters other than spaces", most=1)
    document_deadline_sec: float = setting(20.0,
        "seconds of computing after which a document is rejected", most=86_400)  # as extract's

    def __post_init__(self) -> None:
        if self.document_deadline_sec <= 0:
            raise ValueError(f"document_deadline_sec = {self.document_deadline_sec}: expected a number of seconds "
                             "above 0")
        if bad := [code for code in self.languages if code != "*" and not re.fullmatch("[a-z]{2,3}", code)]:
            raise ValueError(f'languages: {bad[0]!r} is not a code; expected codes such as ["en"], or ["*"] for all')
        if not self.languages:
            raise ValueError('languages is empty; expected codes such as ["en"], or ["*"] for all')
