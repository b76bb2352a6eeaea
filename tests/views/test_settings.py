"""All settings are checked before the first stage.   .venv/bin/python -m pytest tests/views/test_settings.py"""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from helpers import run_py

from miniature_memory.core.config import read_tables
from miniature_memory.core.errors import ConfigError
from miniature_memory.core.paths import PROJECT
from miniature_memory.training import devices
from miniature_memory.training.sizing import device_fault
from miniature_memory.views import settings

HUGE = 1 << 62


def check(override: str, trains: bool = False) -> None:
    settings.check(read_tables(PROJECT, None, [override]), trains)


def test_the_defaults_pass() -> None:
    settings.check(read_tables(PROJECT), trains=True)


@pytest.mark.parametrize("name", [
    f"{table}.{field.name}" for table, config in settings.CONFIGS.items() for field in settings.settings_of(config)
    if type(settings.default_of(field)) in (int, float)])
def test_no_number_may_be_negative(name: str) -> None:
    with pytest.raises(ConfigError, match=name.partition(".")[2]):
        check(f"{name}=-1")


@pytest.mark.parametrize(("override", "message"), [
    ("scrape.max_pages=-5", r"\[scrape\] max_pages = -5: expected 0 or more"),
    (f"scrape.workers={HUGE}", "expected 0 to 1000"), ("web.fetch_deadline_sec=0.0", "expected 0.1 or more"),
    ("validate.min_letters_frac=1.5", "expected 0 to 1"), ('validate.languages=["english"]', "'english' is not a code"),
    ('search.language="en us"', "language = 'en us'"), ('train.device="gpu"', "device = 'gpu'"),
    (f"train.ngram_order={HUGE}", "expected 0 to 16")])
def test_a_value_out_of_range_is_named(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check(override)


@pytest.mark.parametrize("override", [
    "storage.max_gb=0", "search.queries_per_run=0", "scrape.delay_sec=0", 'train.device="cuda:1"',
    'search.language="pt-br"', 'validate.languages=["*"]', f"train.seed={HUGE}", "train.max_iters=1000000"])
def test_odd_values_that_make_sense_pass(override: str) -> None:
    check(override)


def test_a_device_that_is_not_there_is_named_before_the_first_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert [bool(device_fault(name)) for name in ("auto", "cpu", "cuda", "cuda:0", "cuda:1")] == [False] * 4 + [True]
    asked = []
    monkeypatch.setattr(devices.subprocess, "run", lambda command, **_: (
        asked.append(command), SimpleNamespace(stdout="[train] device: none here\n"))[1])
    check('train.device="cuda"', trains=False)
    check('train.device="cpu"', trains=True)
    assert not asked
    with pytest.raises(ConfigError, match="none here"):
        check('train.device="cuda"', trains=True)


def test_run_ends_at_once_and_leaves_nothing(tmp_path: Path) -> None:
    done = run_py("--root", tmp_path / "new", "--topic", "old ships", "--set", "train.batch_size=-1")
    assert done.returncode == 2 and not (tmp_path / "new").exists()
    assert done.stderr == "run.py: [train] batch_size = -1; expected more than 0\n"


def test_the_check_loads_neither_torch_nor_numpy() -> None:
    code = ("import sys, json; import miniature_memory.views.settings; "
            "print(json.dumps(sorted({'torch', 'numpy', 'requests'} & set(sys.modules))))")
    found = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, check=True, capture_output=True, text=True)
    assert json.loads(found.stdout) == []
