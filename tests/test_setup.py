"""setup.sh.   .venv/bin/python -m pytest tests/test_setup.py"""

import re
import shlex
import subprocess

import pytest

from miniature_memory.core import run_options
from miniature_memory.core.paths import PROJECT


@pytest.mark.parametrize("options, code", [
    (["--with", "texts", "--with", "export", "--with", "cluster", "--dev", "-h"], 0), (["--with"], 2),
    (["--with", "x"], 2), (["--develop"], 2)])
def test_unknown_options_are_refused_before_anything_is_done(options, code):
    done = subprocess.run(["bash", PROJECT / "setup.sh", *options], capture_output=True, text=True, timeout=30)
    assert done.returncode == code
    assert done.stdout.startswith("Usage: ./setup.sh [--with texts]") if code == 0 else "--with texts" in done.stderr


def test_the_three_ways_to_begin_are_commands_that_run_takes():
    said = re.findall(r"^  python3 run.py (--\S+(?: \S+)*)  ", (PROJECT / "setup.sh").read_text(), re.MULTILINE)
    ways = [run_options.parse_args(shlex.split(way.replace("FILE...", __file__))) for way in said]
    assert ways[0].topic and ways[1].texts and ways[2].demo


def test_every_requirement_is_pinned():
    def names(file: str) -> set[str]:
        lines = (PROJECT / file).read_text().lower().splitlines()
        return {re.sub("[._-]+", "-", re.split("[=>]=", line)[0]) for line in lines if re.match("[a-z]", line)}

    wanted = set().union(*(names(f"requirements{kind}.txt") for kind in ("", "-dev", "-texts", "-export", "-cluster")))
    assert not wanted - names("constraints.txt")
