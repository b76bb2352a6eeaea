"""Where the project and a root keep their folders, and how a path is shown."""

import os
import shlex
from pathlib import Path

from miniature_memory.core.errors import cannot_write

PROJECT = Path(__file__).resolve().parents[2]


def shown(path: Path) -> str:
    """A path as a person would write it here."""
    return os.path.relpath(path) if path.resolve().is_relative_to(Path.cwd()) else str(path)


def root_option(root: Path) -> str:
    """What a command needs behind it to mean `root`; '' for the project's own."""
    return "" if root.resolve() == PROJECT else f" --root {shlex.quote(shown(root))}"


def make_folder(path: Path) -> Path:
    """Make `path` with its parents. Raises StageError when that cannot be done."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(path, error) from None
    return path
