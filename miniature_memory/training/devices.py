"""Devices: whether the one that a setting names exists, checked without torch in this process."""

import subprocess
import sys

from miniature_memory.core.errors import ConfigError
from miniature_memory.core.paths import PROJECT

ASK = "import sys; from miniature_memory.training.sizing import device_fault; print(device_fault(sys.argv[1]))"
ASK_SEC = 120


def must_be_there(device: str) -> None:
    """Raise ConfigError if torch, in an interpreter of its own, does not find a device that was asked for by name."""
    if device in ("auto", "cpu"):
        return
    try:
        answer = subprocess.run([sys.executable, "-c", ASK, device], cwd=PROJECT, capture_output=True, text=True,
                                timeout=ASK_SEC, check=False)
    except subprocess.TimeoutExpired:
        return  # train finds out
    if fault := answer.stdout.strip():
        raise ConfigError(fault)
