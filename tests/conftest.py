"""Fixtures of several test files."""

import logging
import tomllib
from collections.abc import Iterator

import pytest
from browser import Chromium, start_chromium

from miniature_memory.core.paths import PROJECT


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Bytes are named by their argument: gzip's contain the time, and each worker collects the tests by itself."""
    return argname if isinstance(val, bytes) else None


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """The level that a main() with --quiet sets would hide messages that a later test waits for; its handler would
    print those of a test that waits for none."""
    root = logging.getLogger()
    level = root.level
    yield
    root.setLevel(level)
    for handler in [one for one in root.handlers if type(one) is logging.StreamHandler]:
        root.removeHandler(handler)


@pytest.fixture(autouse=True)
def nothing_is_paid(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No test finds a key of whoever runs it, nor counts a query as hers."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.getbasetemp() / "state"))
    for name in tomllib.loads((PROJECT / "miniature_memory/providers/engines.toml").read_text()):
        for ending in ("_API_KEY", "_KEY"):
            monkeypatch.delenv(name.upper() + ending, raising=False)


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Small models gain nothing from a second one."""
    import torch  # takes a second, which most tests need not wait for

    n = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(n)


@pytest.fixture(scope="module")  # not the session's: while it runs, no other event loop may in this thread
def chromium() -> Iterator[Chromium]:
    """A real browser, or a skipped test."""
    with start_chromium() as started:
        yield started
