"""Fixtures of the server's tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from serving import serving, write_models

from miniature_memory.sampling.server import Server


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_models(tmp_path)
    return tmp_path


@pytest.fixture
def server(root: Path) -> Iterator[Server]:
    with serving(root) as server:
        yield server
