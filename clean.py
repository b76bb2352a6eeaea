"""Clean: valid raw documents in, kept documents out.

Reads   data/raw/*.jsonl      id, text, metadata; append-only, never rewritten; up to where validate has come
Writes  data/clean/*.jsonl    the kept ones, in raw order, each with its raw id;  data/rejected.jsonl  the rest
Alone   .venv/bin/python clean.py --set clean.min_words=30

Every decision depends on the document and on earlier ones in raw order alone, never on where a night ended.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ftfy
from tqdm import tqdm

from catalog import Catalog, Refusal
from pipeline import Report, hide_bars, stage_main, strip_control


@dataclass(frozen=True)
class CleanConfig:
    # Gopher quality rules: Rae et al. 2021, arXiv 2112.11446, appendix A
    min_words: int = 50
    max_words: int = 100_000
    min_mean_word_chars: float = 3.0
    max_mean_word_chars: float = 10.0
    max_symbols_per_word: float = 0.1     # of "#", and of the ellipsis, each
    max_bullet_lines_frac: float = 0.9
    max_ellipsis_lines_frac: float = 0.3
    min_letter_words_frac: float = 0.8    # words with at least one letter
    min_stop_words: int = 2               # distinct, of eight; English documents only

    def __post_init__(self) -> None:
        if self.min_words < 1:
            raise ValueError(f"min_words = {self.min_words}; expected at least 1")


# --- text ----------------------------------------------------------------------------------------

MAX_SPACES = 200  # in a row; a million of them overflow the tokenizer's stack
_LONG_SPACE = re.compile(r"[^\S\n]{201,}")
MAX_FIXES = 8  # rounds: mojibake of mojibake, which one round uncovers for the next
_FIXES = ftfy.TextFixerConfig(uncurl_quotes=False, fix_character_width=False, normalization="NFC", explain=False)


def clean_text(text: str) -> str:
    """`text` without mojibake, in NFC, with plain line ends and at most one blank line. All scripts survive.

    Idempotent; invents no letter and keeps the order.
    """
    text = strip_control(text)
    for _ in range(MAX_FIXES):
        fixed = strip_control(ftfy.fix_text(text, _FIXES))
        if fixed == text:
            break
        text = fixed
    text = _LONG_SPACE.sub(lambda run: run[0][:MAX_SPACES], text)
    text = "\n".join(map(str.rstrip, text.split("\n")))  # no regular expression: a run of spaces would take for ever
    return re.sub(r"\n{3,}", "\n\n", text).strip()


def normalised_hash(text: str) -> bytes:
    """SHA-256 of the text's letters and digits alone, case folded: equal for exact duplicates."""
    letters = re.sub(r"[\W_]+", " ", unicodedata.normalize("NFKC", text).casefold()).strip()
    return hashlib.sha256(letters.encode()).digest()


# --- quality -------------------------------------------------------------------------------------

STOP_WORDS = {"the", "be", "to", "of", "and", "that", "have", "with"}
BULLETS = ("•", "‣", "▶", "◀", "◦", "■", "□", "▪", "▫", "–", "-", "*")
NO_SPACES = {"zh", "ja", "th", "lo", "km", "my", "bo"}  # languages whose words stand without spaces between them


def gopher_quality(text: str, config: CleanConfig, language: str = "en") -> Refusal | None:
    """The first Gopher quality rule that `text` breaks, or None. Pure.

    Words are divided by white space; those of punctuation alone do not count. For languages that write without spaces
    a character is a word and the rules on word length do not apply; the stop words are asked of English only.
    """
    spaced = language not in NO_SPACES
    words = text.split() if spaced else [c for c in text if c.isalnum()]
    n = sum(any(map(str.isalnum, word)) for word in words)
    if not config.min_words <= n <= config.max_words:
        few = n < config.min_words
        return Refusal("too_few_words", n, config.min_words) if few else Refusal("too_many_words", n, config.max_words)
    if spaced and (refusal := _word_shape(words, n, config)):
        return refusal
    for reason, symbols in (("too_many_hashes", text.count("#")),
                            ("too_many_ellipses", text.count("...") + text.count("…"))):
        if symbols / n > config.max_symbols_per_word:
            return Refusal(reason, round(symbols / n, 3), config.max_symbols_per_word)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    for reason, count, most in (
            ("too_many_bullet_lines", sum(line.startswith(BULLETS) for line in lines), config.max_bullet_lines_frac),
            ("too_many_ellipsis_lines", sum(line.endswith(("...", "…")) for line in lines),
             config.max_ellipsis_lines_frac)):
        if count / len(lines) > most:
            return Refusal(reason, round(count / len(lines), 3), most)
    found = len(STOP_WORDS.intersection(map(str.casefold, words)))
    if language == "en" and found < config.min_stop_words:
        return Refusal("too_few_stop_words", found, config.min_stop_words)
    return None


def _word_shape(words: list[str], n: int, config: CleanConfig) -> Refusal | None:
    mean = sum(len(word) for word in words if any(map(str.isalnum, word))) / n
    if mean < config.min_mean_word_chars:
        return Refusal("words_too_short", round(mean, 2), config.min_mean_word_chars)
    if mean > config.max_mean_word_chars:
        return Refusal("words_too_long", round(mean, 2), config.max_mean_word_chars)
    with_letter = sum(any(map(str.isalpha, word)) for word in words) / len(words)
    if with_letter < config.min_letter_words_frac:
        return Refusal("too_few_letter_words", round(with_letter, 3), config.min_letter_words_frac)
    return None


# --- the stage -----------------------------------------------------------------------------------


def read_valid(catalog: Catalog) -> Iterator[tuple[Any, dict[str, Any] | None]]:
    """(row, document) for each new raw document up to validate's cursor; None for one that validate refused."""
    for row in catalog.new_rows("clean", "documents", until=catalog.cursor("validate")):
        valid = row["verdict"] == "valid"
        yield row, json.loads(catalog.read(row["file"], row["offset"], row["length"])) if valid else None


def run(config: CleanConfig, root: Path) -> Report:
    report = Report("clean")
    with Catalog(root) as catalog:
        total = catalog.count_new("clean", "documents", until=catalog.cursor("validate"))
        for row, document in tqdm(read_valid(catalog), "clean", total, unit=" documents", disable=hide_bars()):
            with catalog.record():
                if document:
                    report.n_in += 1
                    refusal = _clean_one(catalog, row, document, config, report)
                    if refusal:
                        report.dropped[refusal.reason] += 1
                        catalog.reject("clean", refusal, row["id"], row["url"], document["text"])
                    else:
                        report.n_out += 1
                catalog.advance("clean", row["seq"])
    return report


def _clean_one(catalog: Catalog, row: Any, document: dict[str, Any], config: CleanConfig,
               report: Report) -> Refusal | None:
    """Append the cleaned document, within a record() block; or why it is refused."""
    text = clean_text(document["text"])
    if refusal := gopher_quality(text, config, row["language"]):
        return refusal
    text_hash = normalised_hash(text)
    first = catalog.value("SELECT id FROM text_hashes WHERE hash = ?", [text_hash])
    if first:
        return Refusal("exact_duplicate", first, "no earlier document of the same words")
    document["text"] = text
    document["metadata"]["language"] = row["language"]
    line = json.dumps(document, ensure_ascii=False).encode() + b"\n"
    place = catalog.append("data/clean", ".jsonl", line)
    catalog.execute("INSERT INTO clean_documents (id, file, offset, length, text_bytes) VALUES (?, ?, ?, ?, ?)",
                    [row["id"], *place, len(text.encode())])
    catalog.execute("INSERT INTO text_hashes VALUES (?, ?)", [text_hash, row["id"]])
    report.bytes_written += len(line)
    return None


def main(argv: list[str] | None = None) -> int:
    return stage_main(run, CleanConfig, "clean", argv)


if __name__ == "__main__":
    raise SystemExit(main())
