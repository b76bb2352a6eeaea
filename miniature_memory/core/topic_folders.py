"""Topics: the folders of existing ones, and the folder that a new one gets."""

import difflib
import shlex
import unicodedata
from pathlib import Path

from miniature_memory.core.errors import ConfigError
from miniature_memory.core.paths import TOPICS, command, slug
from miniature_memory.core.text import strip_control

MAX_TOPIC_CHARS = 200


def folder(root: Path, topic: str) -> Path:
    """The folder of a topic, whether it is there or not. Raises ConfigError for what is no topic."""
    words = words_of(topic)
    if all(unicodedata.category(char)[0] in "PZC" for char in words):  # no letter, digit or symbol
        raise ConfigError(f'--topic {topic!r}: expected a few words, such as --topic "bread baking"')
    if len(words) > MAX_TOPIC_CHARS:
        raise ConfigError(f"--topic has {len(words):,} characters; expected a few words, {MAX_TOPIC_CHARS} at most")
    return root / TOPICS / slug(words)


def words_of(topic: str) -> str:
    return " ".join(strip_control(topic).split())


def known(root: Path) -> list[str]:
    """The names of the topics in `root`."""
    return sorted(path.parents[1].name for path in (root / TOPICS).glob("*/config/queries.txt"))


def similar(root: Path, name: str) -> str:
    """The known topic that was probably meant by `name`, ''  if there is none."""
    return next(iter(difflib.get_close_matches(name, known(root), n=1, cutoff=0.8)), "")


def must_be_known(root: Path, topic: str) -> None:
    """Raise ConfigError unless there is such a topic in `root`."""
    name = folder(root, topic).name
    if name not in (names := known(root)):
        close = similar(root, name)
        hint = f"Did you mean {close}?" if close else f"Expected one of: {', '.join(names)}." if names else ""
        fix = f"{f'--topic {close}; or ' * bool(close)}begin it with"
        raise ConfigError(" ".join(filter(None, (
            f"There is no topic {name}.", hint,
            f"Fix: {fix} {command('run.py', root, f'--topic {shlex.quote(topic)}')}"))))
