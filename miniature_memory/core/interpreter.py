"""The hop into .venv. Runs on any Python 3, so that an old one gets a sentence rather than a SyntaxError."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]


def use_own_python() -> None:
    """Go on in .venv, if setup.sh made one and no other virtual environment is active."""
    if sys.version_info >= (3, 11) and {"--status", "--topics"}.intersection(sys.argv):
        return  # any Python will do
    own = PROJECT / ".venv" / "bin" / "python"
    in_environment = sys.prefix != sys.base_prefix
    ready = sys.version_info >= (3, 11) and all(map(importlib.util.find_spec, ("torch", "requests", "rustbpe")))
    if Path(sys.prefix) != own.parent.parent and own.exists() and not (in_environment and ready):
        try:
            os.execv(own, [str(own), *sys.argv])
        except OSError as error:
            sys.exit(f"run.py: {own} cannot be started ({error.strerror}). Run ./setup.sh, which makes it anew.")
    if sys.version_info < (3, 11) or (not ready and "--doctor" not in sys.argv):
        sys.exit(f"run.py: this is Python {sys.version.split()[0]} of {sys.prefix}. Needed is Python 3.11 or newer, "
                 "with the packages of this project. Run ./setup.sh, which sees to both, then the same command again.")
