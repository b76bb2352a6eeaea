"""Where the project and a root keep their folders, how these are named, and how a path is shown."""

import hashlib
import os
import shlex
import sys
import unicodedata
from pathlib import Path

from miniature_memory.core.errors import StageError, cannot_write, naming

PROJECT = Path(__file__).resolve().parents[2]
LOOK = PROJECT / "miniature_memory/core/look.css"  # of every page
DEMO = PROJECT / "demo"  # the root of run.py --demo
TOPICS = "topics"  # the folder of the topics' folders
MAX_NAME_BYTES = 60  # of a topic's folder; file systems take 255


def shown(path: Path) -> str:
    """A path as a person would write it here."""
    if not Path(os.path.realpath(path)).is_relative_to(Path.cwd()):
        return str(path)
    short = os.path.relpath(path)
    return f"./{short}" if short.startswith("-") else short


def command(script: str, root: Path, *options: str) -> str:
    """The shell command that runs one of the project's scripts on `root` from the current folder.

    options: as they are typed, quoted where they need it. With --demo, run.py has a root of its own.
    """
    own, where = PROJECT, Path(os.path.realpath(root))  # resolve() fails where links go in circles
    if where == DEMO or (script == "run.py" and "--demo" in options):
        own, options = DEMO, tuple(dict.fromkeys(("--demo", *options)))
    elif _is_topic(where):
        own, options = where, (f"--topic {shlex.quote(where.name)}", *options)
    words = ["python3", shlex.quote(shown(PROJECT / script)), *options]
    return " ".join(words) + ("" if where == own else f" --root {shlex.quote(shown(root))}")


def _is_topic(root: Path) -> bool:
    """Whether --topic with the name of the folder `root` means it, in every script."""
    return root.parent == PROJECT / TOPICS and slug(root.name) == root.name and (root / "config/queries.txt").exists()


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


def own_program(name: str) -> str:
    """A program of this environment, as a shell takes it."""
    return shlex.quote(shown(Path(sys.executable).with_name(name)))


def unreadable(path: Path, error: OSError, expected: str) -> StageError:
    """Of a file that a person named, not one of the program's own."""
    return StageError(f"{shown(path)} cannot be read ({error.strerror or error}).", f"{expected}.",
                      f"check its name and who may read it: ls -l {shlex.quote(shown(path.parent))}")


def make_folder(path: Path) -> Path:
    """As new_folder(). Raises StageError when that cannot be done."""
    try:
        return new_folder(path)
    except OSError as error:
        raise cannot_write(path, error) from None


def new_folder(path: Path, mode: int = 0o777) -> Path:
    """Make `path` with its parents, so that a power cut takes none of them with all that is in it by then."""
    missing = [one for one in (path, *path.parents) if not one.exists()]
    path.mkdir(mode, parents=True, exist_ok=True)
    for folder in missing:
        fsync_folder(folder.parent)
    return path


def fsync_folder(path: Path) -> None:
    """Make new names in a folder survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        with naming(path):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
