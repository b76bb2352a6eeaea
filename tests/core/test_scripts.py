"""python3 -m pytest tests/core/test_scripts.py: signals, however many, end a script with one line."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from miniature_memory.core.interpreter import PARENT_VARIABLE
from miniature_memory.core.paths import PROJECT

START = """
import os, signal, sys, time
from miniature_memory.core import scripts
from miniature_memory.core.command_line import guarded
from miniature_memory.core.process import catch_signals

STAGE = '''
import os, signal, time
from miniature_memory.core.interpreter import ENDING
def save(*_):
    time.sleep(1)
    print("saved", flush=True)
    os._exit(130)
for signum in ENDING:
    signal.signal(signum, save)
signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
print("up", flush=True)
time.sleep(30)
'''

class Swallows:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(1000):
            pass

def waits():
    scripts.run_script([sys.executable, "-c", STAGE])

def swallows():
    Swallows()
    time.sleep(30)

def work():
    catch_signals()
    WORK()

raise SystemExit(guarded("start.py", work))
"""


def start(folder: Path, work: str, **environment: str) -> subprocess.Popen[str]:
    script = folder / "start.py"
    script.write_text(START.replace("WORK", work))
    return subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                            env={**os.environ, "PYTHONPATH": str(PROJECT), **environment})


@pytest.mark.parametrize("n_signals", [1, 3])
def test_signals_wait_until_what_was_started_has_saved(tmp_path: Path, n_signals: int) -> None:
    process = start(tmp_path, "waits")
    assert process.stdout and process.stdout.readline() == "up\n"
    for _ in range(n_signals):
        process.send_signal(signal.SIGINT)
        time.sleep(0.2)
    output, errors = process.communicate(timeout=20)
    assert (process.returncode, output) == (130, "saved\n")
    assert errors == "start.py: stopped by SIGINT; run the same command again to resume\n"


def test_a_signal_that_a_destructor_swallows_comes_again(tmp_path: Path) -> None:
    process = start(tmp_path, "swallows")
    errors = process.communicate(timeout=20)[1]
    assert process.returncode == 130
    assert errors == "start.py: stopped by SIGINT; run the same command again to resume\n"


def test_what_run_py_has_started_leaves_the_line_to_it(tmp_path: Path) -> None:
    process = start(tmp_path, "swallows", **{PARENT_VARIABLE: str(os.getpid())})
    assert process.communicate(timeout=20) == ("", "") and process.returncode == 130
