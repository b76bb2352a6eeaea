"""Validate: is each new raw document whole, and in a language that is wanted?

Reads   data/raw/*.jsonl      id, text, metadata
Writes  verdicts in the catalog;  data/rejected.jsonl  the refused, each with its reason
Alone   .venv/bin/python validate.py --set 'validate.languages=["en", "de"]'

Validate owns integrity and language, clean owns quality. Raw itself is never changed.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from py3langid.langid import MODEL_FILE, LanguageIdentifier
from tqdm import tqdm

from catalog import Catalog, Refusal
from pipeline import Report, hide_bars, stage_main

LANGUAGE_PREFIX_CHARS = 4000  # enough to tell a language, and bounded for very long documents


@dataclass(frozen=True)
class ValidateConfig:
    languages: list[str] = field(default_factory=lambda: ["en"])  # ISO 639-1 codes; ["*"] allows all
    min_chars: int = 100          # of text; guess: less is a caption or an error message
    max_chars: int = 5_000_000    # of text; guess: ten times a long novel's chapter file
    min_letters_frac: float = 0.3  # of the characters that are no space; below it is no language. Guess

    def __post_init__(self) -> None:
        if not self.languages:
            raise ValueError('languages is empty; expected codes such as ["en"], or ["*"] for all')


# --- one document --------------------------------------------------------------------------------


def parse(line: bytes, expected_id: str) -> tuple[dict[str, Any], Refusal | None]:
    """The document in one JSON line, and why it is not whole, if it is not."""
    try:
        document = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        return {}, Refusal("bad_utf8", error.start, "UTF-8")
    except ValueError as error:
        return {}, Refusal("bad_json", str(error), "one JSON object a line")
    if not isinstance(document, dict) or not isinstance(document.get("metadata"), dict):
        return {}, Refusal("bad_schema", type(document).__name__, "id, text, metadata")
    for key in ("id", "text"):
        if not isinstance(document.get(key), str):
            return {}, Refusal("bad_schema", f"{key}: {type(document.get(key)).__name__}", f"{key}: str")
    try:
        found = hashlib.sha256(document["text"].encode()).hexdigest()
    except UnicodeEncodeError:
        return {}, Refusal("bad_utf8", "a lone surrogate", "Unicode text")
    if not found == document["id"] == expected_id:
        return document, Refusal("id_mismatch", found, document["id"])
    return document, None


def refusal_of(text: str, config: ValidateConfig) -> Refusal | None:
    """Why a whole document's text is refused, or None. Pure."""
    if len(text) < config.min_chars:
        return Refusal("too_short", len(text), config.min_chars)
    if len(text) > config.max_chars:
        return Refusal("too_long", len(text), config.max_chars)
    if found := re.search(r"[\x00-\x08\x0e-\x1f\x7f]", text):
        return Refusal("control_characters", repr(found[0]), "none")
    prefix = text[:LANGUAGE_PREFIX_CHARS]
    letters = sum(map(str.isalpha, prefix)) / max(1, len(prefix) - sum(map(str.isspace, prefix)))
    if letters < config.min_letters_frac:
        return Refusal("too_few_letters", round(letters, 3), config.min_letters_frac)
    return None


@cache
def _identifier() -> LanguageIdentifier:
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


def language_of(text: str) -> tuple[str, float]:
    """ISO 639-1 code of the text's most likely language and its probability (py3langid, langid.py's model)."""
    code, probability = _identifier().classify(text[:LANGUAGE_PREFIX_CHARS])
    return code, float(probability)


# --- the stage -----------------------------------------------------------------------------------


def run(config: ValidateConfig, root: Path) -> Report:
    report = Report("validate")
    with Catalog(root) as catalog:
        total = catalog.count_new("validate", "documents")
        rows = catalog.new_rows("validate", "documents")
        for row in tqdm(rows, "validate", total, unit=" documents", disable=hide_bars()):
            document, refusal = parse(catalog.read(row["file"], row["offset"], row["length"]), row["id"])
            refusal = refusal or refusal_of(document["text"], config)
            language = ""
            if not refusal:
                language, probability = language_of(document["text"])
                if config.languages != ["*"] and language not in config.languages:
                    refusal = Refusal("wrong_language", f"{language} {probability:.2f}", " ".join(config.languages))
            report.n_in += 1
            with catalog.record():
                if refusal:
                    report.dropped[refusal.reason] += 1
                    catalog.reject("validate", refusal, row["id"], row["url"], document.get("text", ""))
                else:
                    report.n_out += 1
                catalog.execute("UPDATE documents SET verdict = ?, language = ? WHERE seq = ?",
                                [refusal.reason if refusal else "valid", language, row["seq"]])
                catalog.advance("validate", row["seq"])
    return report


def main(argv: list[str] | None = None) -> int:
    return stage_main(run, ValidateConfig, "validate", argv)


if __name__ == "__main__":
    raise SystemExit(main())
