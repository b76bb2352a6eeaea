"""Documents: what a raw document must be to be kept: intact, of a sane length, in a wanted language. Pure.

One JSON line: {"id": SHA-256 of the text, "text": ..., "metadata": {...}}. A line may come from anywhere, so nothing in
it is trusted, and what is reported of it is bounded.
"""

import hashlib
import json
import re
from functools import cache
from typing import Any

from py3langid.langid import MODEL_FILE, LanguageIdentifier

from miniature_memory.core.errors import DeadlineError
from miniature_memory.core.mojibake import mend_encoding
from miniature_memory.core.process import deadline
from miniature_memory.storage.documents import DAMAGED
from miniature_memory.storage.rejections import Rejection
from miniature_memory.validation.config import ValidateConfig

LANGUAGE_PREFIX_CHARS = 4000  # enough to tell a language, and bounded for very long documents
KEYS = {"id": str, "text": str, "metadata": dict}
# As extract has always written it: every key there, each a string. Keys that came later may be missing in older lines.
METADATA = ("url", "title", "author", "published", "language", "host", "fetched_at", "extractor")
MAX_METADATA_CHARS = 100_000  # of names and values together; guess: the longest address of a file takes a third
NOT_WHOLE = ("bad_utf8", "bad_json", "bad_schema", "id_mismatch", DAMAGED)


def validate(line: bytes, expected_id: str, config: ValidateConfig) -> tuple[dict[str, Any], Rejection | None, str]:
    """(document, why it is rejected or None, its language or ""). A line that is not whole may give {}."""
    try:
        with deadline(config.document_deadline_sec):
            return _validate(line, expected_id, config)
    except DeadlineError:
        return {}, Rejection("validation_timeout", f"more than {config.document_deadline_sec:g} s",
                             config.document_deadline_sec), ""


def _validate(line: bytes, expected_id: str, config: ValidateConfig) -> tuple[dict[str, Any], Rejection | None, str]:
    document, rejection = parse(line, expected_id)
    rejection = rejection or rejection_of(document["text"], config)
    if rejection:
        return document, rejection, ""
    language, probability = language_of(document["text"])
    if config.languages != ["*"] and language not in config.languages:
        rejection = Rejection("wrong_language", f"{language} {probability:.2f}", " ".join(config.languages))
    return document, rejection, language


def parse(line: bytes, expected_id: str) -> tuple[dict[str, Any], Rejection | None]:
    """The document in one JSON line, and why it is not whole, if it is not."""
    try:
        document = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        return {}, Rejection("bad_utf8", error.start, "UTF-8")
    except (ValueError, RecursionError) as error:  # the latter: brackets in brackets in brackets
        return {}, Rejection("bad_json", str(error)[:200], "one JSON object per line")
    if fault := schema_fault(document):
        return {}, Rejection("bad_schema", *fault)
    try:
        found = hashlib.sha256(document["text"].encode()).hexdigest()
        "".join([*document["metadata"], *document["metadata"].values()]).encode()
    except UnicodeEncodeError:
        return {}, Rejection("bad_utf8", "a lone surrogate", "Unicode text")
    if not found == document["id"] == expected_id:
        return document, Rejection("id_mismatch", found, document["id"][:64])
    return document, None


def schema_fault(document: Any) -> tuple[str, str] | None:
    """What of a parsed line is of another type than extract writes, and what was expected; or None."""
    if not isinstance(document, dict) or document.keys() != KEYS.keys():
        return type(document).__name__, "id, text, metadata"
    for key, kind in KEYS.items():
        if not isinstance(document[key], kind):
            return f"{key}: {type(document[key]).__name__}", f"{key}: {kind.__name__}"
    metadata = document["metadata"]
    if missing := next((key for key in METADATA if key not in metadata), ""):
        return f"no metadata.{missing}", 'every key, "" for what is unknown'
    for key, value in metadata.items():
        if not isinstance(value, str):
            return f"metadata.{key[:40]}: {type(value).__name__}", "str"
    n_chars = sum(len(key) + len(value) for key, value in metadata.items())
    if n_chars > MAX_METADATA_CHARS:
        return f"metadata of {n_chars} characters", f"at most {MAX_METADATA_CHARS}"
    return None


def rejection_of(text: str, config: ValidateConfig) -> Rejection | None:
    """Why a whole document's text is rejected, or None."""
    if len(text) < config.min_chars:
        return Rejection("too_short", len(text), config.min_chars)
    if len(text) > config.max_chars:
        return Rejection("too_long", len(text), config.max_chars)
    if found := re.search(r"[\x00-\x08\x0e-\x1f\x7f]", text):
        return Rejection("control_characters", repr(found[0]), "none")
    prefix = text[:LANGUAGE_PREFIX_CHARS]
    letters = sum(map(str.isalpha, prefix)) / max(1, len(prefix) - sum(map(str.isspace, prefix)))
    if letters < config.min_letters_frac:
        return Rejection("too_few_letters", round(letters, 3), config.min_letters_frac)
    return None


@cache
def _identifier() -> LanguageIdentifier:
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


def language_of(text: str) -> tuple[str, float]:
    """ISO 639-1 code of the text's most likely language and its probability (py3langid, langid.py's model)."""
    code, probability = _identifier().classify(mend_encoding(text[:LANGUAGE_PREFIX_CHARS]))
    return code, float(probability)
