"""python3 -m pytest tests/core/test_process.py"""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from miniature_memory.core.errors import LockedError, Stopped
from miniature_memory.core.process import PeakMemory, catch_signals, run_lock, uninterrupted


def test_a_second_run_is_locked_out_and_names_the_first(tmp_path: Path) -> None:
    with run_lock(tmp_path), pytest.raises(LockedError, match=str(os.getpid())), run_lock(tmp_path):
        pass


def test_the_lock_is_free_again_after_the_run(tmp_path: Path) -> None:
    for _ in range(2):
        with run_lock(tmp_path) as descriptor:
            assert descriptor > 0


def test_a_signal_waits_for_the_end_of_the_block() -> None:
    before = {s: signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)}
    catch_signals()
    done = []
    try:
        with pytest.raises(Stopped) as stop, uninterrupted():
            os.kill(os.getpid(), signal.SIGTERM)
            done.append("whole")
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
    assert done == ["whole"] and stop.value.exit_code == 143


def test_peak_memory_includes_children() -> None:
    held = "x = bytearray(60_000_000); import time; time.sleep(20)"
    child = subprocess.Popen([sys.executable, "-c", held])
    memory = PeakMemory(interval_sec=0.05)
    memory.start()
    try:
        alone = PeakMemory(child.pid, interval_sec=0.05)
        alone.start()
        while alone.peak_mb < 60:
            alone.join(0.05)
        alone.stop()
        assert memory.stop() > 60
    finally:
        child.kill()
        child.wait()
