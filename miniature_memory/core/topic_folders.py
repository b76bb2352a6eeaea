"""Topics' folders: a name that is safe on any file system for the words of a topic."""

import difflib
import hashlib
import shlex
import unicodedata
from pathlib import Path

from miniature_memory.core.errors import ConfigError
from miniature_memory.core.paths import command
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


def known(root: Path) -> list[str]:
    """The names of the topics in `root`."""
    return sorted(path.parents[1].name for path in (root / "topics").glob("*/config/queries.txt"))


def similar(root: Path, name: str) -> str:
    """The known topic that was probably meant by `name`, ''  if there is none."""
    return next(iter(difflib.get_close_matches(name, known(root), n=1, cutoff=0.8)), "")


def must_be_known(root: Path, topic: str) -> None:
    """Raise ConfigError unless there is such a topic in `root`."""
    name = folder(root, topic).name
    if name not in (names := known(root)):
        close = similar(root, name)
        hint = f"Did you mean {close}?" if close else f"Expected one of: {', '.join(names)}." if names else ""
        raise ConfigError(" ".join(filter(None, (
            f"There is no topic {name}.", hint,
            f"Fix: {command('run.py', root, f'--topic {shlex.quote(topic)}')} begins it."))))


def _is_punctuation(char: str) -> bool:
    return unicodedata.category(char)[0] == "P" and char not in "#%&*@"


def slug(topic: str) -> str:
    """A folder's name that is safe on any file system, and the same for the same words in any case.

    Letters, digits and the marks upon them stay, in any script; punctuation makes no difference. What else is lost is
    told apart by a hash: C, C++, C#.
    """
    text = unicodedata.normalize("NFKC", topic).casefold()
    words = "".join(" " if _is_punctuation(char) else char for char in text).split()
    text = " ".join(words or text.split())
    kept = "".join(char if char.isalnum() or unicodedata.category(char)[0] == "M" else " " for char in text)
    name = "-".join(kept.split()).encode()[:MAX_NAME_BYTES].decode(errors="ignore").strip("-")
    if name.replace("-", " ") == text:
        return name
    return "-".join(part for part in (name, hashlib.sha256(text.encode()).hexdigest()[:6]) if part)
