"""Fixtures of the tests of training."""

from pathlib import Path

import pytest
from helpers import write_bins


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root with a thousand tokens to train on."""
    write_bins(tmp_path, [1000])
    return tmp_path
