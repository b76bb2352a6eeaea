"""Where the project and a root keep their folders, and how a path is shown."""

import os
import shlex
from pathlib import Path

from miniature_memory.core.errors import cannot_write

PROJECT = Path(__file__).resolve().parents[2]
DEMO = PROJECT / "demo"  # the root of run.py --demo


def shown(path: Path) -> str:
    """A path as a person would write it here."""
    if not path.resolve().is_relative_to(Path.cwd()):
        return str(path)
    short = os.path.relpath(path)
    return f"./{short}" if short.startswith("-") else short


def command(script: str, root: Path, *options: str) -> str:
    """The shell command that runs one of the project's scripts on `root` from the current folder.

    options: as they are typed, quoted where they need it. With --demo, run.py has a root of its own.
    """
    words, own = ["python3", shlex.quote(shown(PROJECT / script)), *options], PROJECT
    if script == "run.py" and (root.resolve() == DEMO or "--demo" in options):
        words, own = [*words[:2], *dict.fromkeys(("--demo", *options))], DEMO
    return " ".join(words) + ("" if root.resolve() == own else f" --root {shlex.quote(shown(root))}")


def make_folder(path: Path) -> Path:
    """Make `path` with its parents. Raises StageError when that cannot be done."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(path, error) from None
    return path
