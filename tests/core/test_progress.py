"""python3 -m pytest tests/core/test_progress.py"""

import io
import logging
import os
import pty
import subprocess
import sys
import termios

import pytest

from miniature_memory.core import progress
from miniature_memory.core.log import HIDE_BARS_VARIABLE
from miniature_memory.core.paths import PROJECT
from miniature_memory.core.progress import Progress


@pytest.fixture(autouse=True)
def not_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever other tests have left in the environment."""
    monkeypatch.delenv(HIDE_BARS_VARIABLE, raising=False)


def test_without_a_terminal_a_line_now_and_then_tells_rate_and_time_left(
        caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "LINE_SEC", 0.0)
    caplog.set_level(logging.INFO)
    with Progress(desc="clean", total=4, unit=" documents") as bar:
        bar.update(1)
    assert caplog.messages[-1].startswith("clean: 25 % of 4 documents, ") and "documents/s" in caplog.messages[-1]
    assert caplog.messages[-1].endswith(" left") and capsys.readouterr() == ("", "")


def test_a_line_about_work_of_unknown_length_promises_no_end(caplog: pytest.LogCaptureFixture,
                                                             monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "LINE_SEC", 0.0)
    caplog.set_level(logging.INFO)
    list(Progress(iter(range(3)), "extract", unit=" pages"))
    assert caplog.messages[-1].startswith("extract: 3 pages, ") and caplog.messages[-1].endswith(" pages/s")


def test_less_than_a_minute_of_work_prints_nothing(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    assert list(Progress(range(1000), "clean", 1000)) == list(range(1000)) and caplog.messages == []


def test_the_trainers_line_is_its_own(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "LINE_SEC", 0.0)
    caplog.set_level(logging.INFO)
    with Progress(desc="train", total=1.0, bar_format="{desc} {percentage:3.0f}%|{bar}|") as bar:
        bar.set_description_str("train: iter 7, 2.0 min left", refresh=False)
        bar.update(0.25)
    assert caplog.messages[-1] == "train: iter 7, 2.0 min left  25%"


def test_quiet_hides_it(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "LINE_SEC", 0.0)
    monkeypatch.setenv(HIDE_BARS_VARIABLE, "1")
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    caplog.set_level(logging.INFO)
    assert list(Progress(range(3))) == [0, 1, 2] and not caplog.messages and not sys.stderr.getvalue()  # type: ignore


def test_on_a_terminal_it_is_a_bar_without_colour() -> None:
    code = ("import time\nfrom miniature_memory.core.progress import Progress\n"
            "for _ in Progress(range(5), 'clean', 5, unit=' documents'):"
            " time.sleep(0.1)")
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    process = subprocess.Popen([sys.executable, "-c", code], cwd=PROJECT, stderr=theirs)
    process.wait(timeout=30)
    os.close(theirs)
    shown = os.read(ours, 1 << 16).decode()
    os.close(ours)
    assert "clean:  " in shown and "documents/s" in shown and "<00:0" in shown and "\x1b[3" not in shown
