"""Paid queries: the limit holds.   .venv/bin/python -m pytest tests/storage/test_paid_queries.py"""

import contextlib
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from local_server import page, serve

from miniature_memory.core.errors import StageError
from miniature_memory.core.paths import PROJECT
from miniature_memory.storage import paid_queries

# Counts a query, then sends it, as long as it may
CUSTOMER = """
import sys, urllib.request
from miniature_memory.storage import paid_queries
while paid_queries.take(sys.argv[1], int(sys.argv[2])):
    urllib.request.urlopen(sys.argv[3], timeout=5).read()
"""


@pytest.fixture(autouse=True)
def own_count(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def customer(engine: str, limit: int, url: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", CUSTOMER, engine, str(limit), url], cwd=PROJECT)


def test_queries_are_counted_by_engine_and_month(monkeypatch: pytest.MonkeyPatch) -> None:
    assert paid_queries.used() == {}
    assert not paid_queries.path().exists()  # looking writes nothing
    assert [paid_queries.take(name, 3) for name in ("serper", "brave", "serper", "serper")] == [True, True, True, False]
    assert paid_queries.used() == {"brave": 1, "serper": 2}
    assert not paid_queries.take("kagi", 3) and paid_queries.take("kagi", 4)
    monkeypatch.setattr(paid_queries, "this_month", lambda: "2099-01")
    assert paid_queries.used() == {} and paid_queries.take("kagi", 1) and not paid_queries.take("kagi", 1)


def test_a_clock_that_goes_back_begins_no_month_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paid_queries, "this_month", lambda: "2026-11")
    assert paid_queries.take("serper", 2)
    monkeypatch.setattr(paid_queries, "this_month", lambda: "1970-01")  # no battery, no time server yet
    assert paid_queries.take("serper", 2) and not paid_queries.take("brave", 2)
    for month in ("1970-01", "2026-11"):
        monkeypatch.setattr(paid_queries, "this_month", lambda month=month: month)
        assert paid_queries.month_used() == ("2026-11", {"serper": 2}) and not paid_queries.take("serper", 2)


def test_a_month_is_one_in_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Pacific/Kiritimati")  # 14 hours ahead
    time.tzset()
    monkeypatch.setattr("time.gmtime", lambda real=time.gmtime: real(1_796_083_199))  # 30 Nov 2026 23:59:59
    assert paid_queries.this_month() == "2026-11"
    monkeypatch.undo()
    time.tzset()


def test_the_limit_holds_for_runs_at_once_that_are_killed_again_and_again() -> None:
    limit, generator = 60, random.Random(7)
    with serve(default=page("ok")) as server:
        running = [customer(f"engine{n}", limit, server.url) for n in range(4)]
        for n in range(16):
            time.sleep(generator.uniform(0.05, 0.25))
            victim = running.pop(0)
            victim.send_signal(signal.SIGKILL)
            victim.wait()
            running.append(customer(f"engine{n % 4}", limit, server.url))
        for process in running:
            assert process.wait(timeout=30) == 0
        sent, counted = len(server.log), sum(paid_queries.used().values())
    assert counted == limit and limit - 16 <= sent <= limit  # at most one each was counted and not sent


def test_a_run_that_was_killed_while_it_counted_has_counted_or_not(tmp_path: Path) -> None:
    paid_queries.path().parent.mkdir(parents=True)
    paid_queries.path().touch()  # killed before it had made the table
    assert paid_queries.used() == {} and paid_queries.take("serper", 1) and paid_queries.used() == {"serper": 1}


def test_a_damaged_count_is_an_error_whose_fix_works() -> None:
    paid_queries.path().parent.mkdir(parents=True)
    paid_queries.path().write_bytes(b"no database " * 99)
    for look in (paid_queries.used, lambda: paid_queries.take("serper", 9)):
        with pytest.raises(StageError, match=r"cannot be used .*Fix: see whose") as caught:
            look()
    command = re.findall(r"(mv .*) begins to count", caught.value.fix)[0]
    subprocess.run(command, shell=True, check=True)
    assert paid_queries.take("serper", 9)


def test_without_a_home_the_fix_works(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def no_home() -> Path:
        raise RuntimeError
    monkeypatch.setattr(Path, "home", no_home)
    monkeypatch.setenv("XDG_STATE_HOME", "relative/does-not-count")
    with pytest.raises(StageError, match=r"no home folder.*export XDG_STATE_HOME=DIR"):
        paid_queries.take("serper", 9)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert paid_queries.take("serper", 9)


def test_nobody_else_can_look(tmp_path: Path) -> None:
    with contextlib.suppress(OSError):
        os.umask(0o022)
    paid_queries.take("serper", 9)
    assert paid_queries.path().parent.stat().st_mode & 0o077 == 0
