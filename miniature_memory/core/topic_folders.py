"""Topics' folders: a name that is safe on any file system for the words of a topic."""

import hashlib
import re
import unicodedata
from pathlib import Path

from miniature_memory.core.errors import ConfigError
from miniature_memory.core.text import strip_control

MAX_TOPIC_CHARS = 200
MAX_NAME_BYTES = 60  # of a folder's name; file systems take 255


def folder(root: Path, topic: str) -> Path:
    """The folder of a topic, whether it is there or not. Raises ConfigError for what is no topic."""
    words = words_of(topic)
    if all(unicodedata.category(char)[0] in "PZC" for char in words):  # no letter, digit or symbol
        raise ConfigError(f'--topic {topic!r}: expected a few words, such as --topic "bread baking"')
    if len(words) > MAX_TOPIC_CHARS:
        raise ConfigError(f"--topic has {len(words):,} characters; expected a few words, {MAX_TOPIC_CHARS} at most")
    return root / "topics" / slug(words)


def words_of(topic: str) -> str:
    return " ".join(strip_control(topic).split())


def slug(topic: str) -> str:
    """A folder's name that is safe on any file system, and the same for the same words in any case.

    Letters, digits and the marks upon them stay, in any script. What else is lost is told apart by a hash: C, C++, C#.
    """
    text = " ".join(re.sub(r"[-_]", " ", unicodedata.normalize("NFKC", topic).casefold()).split())
    kept = "".join(char if char.isalnum() or unicodedata.category(char)[0] == "M" else " " for char in text)
    name = "-".join(kept.split()).encode()[:MAX_NAME_BYTES].decode(errors="ignore").strip("-")
    if name.replace("-", " ") == text:
        return name
    return "-".join(part for part in (name, hashlib.sha256(text.encode()).hexdigest()[:6]) if part)
