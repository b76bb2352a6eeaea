"""A few faults of each part; python -m tests.faults has them all.   python3 -m pytest [-m slow] tests/faults"""

import queue
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults import __main__ as faults
from tests.faults.cases import Place, fixes
from tests.faults.machine import compiler

needs_compiler = pytest.mark.skipif(not compiler(), reason="calls.c needs a C compiler")
FEW = ("data/raw/000000.jsonl bit 3", "data/tokenizer/meta.json deleted", "checkpoints/ckpt.pt cut", "grown 40 machine",
       "EIO 20")


@pytest.fixture(scope="module")
def free(tmp_path_factory: pytest.TempPathFactory) -> Iterator["queue.Queue[Place]"]:
    with faults.prepared(tmp_path_factory.mktemp("roots"), 1) as places:
        yield places


@needs_compiler
@pytest.mark.parametrize("name", FEW)
def test_a_fault_is_survived(free: "queue.Queue[Place]", name: str) -> None:
    case = next(case for cases in faults.PARTS.values() for case in cases() if case.name == name)
    passed, words, _ = faults.attempt(case, free)
    assert passed, words


@needs_compiler
@pytest.mark.heavy
def test_a_sample_of_all_faults_is_survived(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    assert faults.main([]) == 0


@pytest.mark.parametrize(("message", "commands"), [
    ("x is a folder. Fix: mv '/a b/x' '/a b/x.aside'", ["mv '/a b/x' '/a b/x.aside'"]),
    ("Fix: put it back, or set it aside: python3 validate.py --repair --root /r",
     ["python3 validate.py --repair --root /r"]),
    ("Fix: run python3 validate.py --repair --root /r, which x, then python3 run.py --only prepare --root /r, which y.",
     ["python3 validate.py --repair --root /r", "python3 run.py --only prepare --root /r"]),
    ("Fix: python3 run.py --root /r, which runs all; or python3 run.py --texts FILE... --root /r",
     ["python3 run.py --root /r"])])
def test_the_commands_of_a_fix_are_found(message: str, commands: list[str]) -> None:
    assert fixes(message) == commands
