"""python3 -m pytest tests/core/test_pipeline.py"""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from miniature_memory.core.config import build_config, read_tables
from miniature_memory.core.errors import ConfigError, LockedError, Stopped
from miniature_memory.core.paths import PROJECT
from miniature_memory.core.process import PeakMemory, catch_signals, run_lock, uninterrupted
from miniature_memory.core.stage import ArgumentParser, StageStats
from miniature_memory.core.text import strip_control
from miniature_memory.views import settings
from miniature_memory.views.settings import CONFIGS


def test_default_toml_and_the_docs_are_generated() -> None:
    assert (PROJECT / "config/default.toml").read_text(encoding="utf-8") == settings.default_toml()
    assert (PROJECT / "docs/configuration.md").read_text(encoding="utf-8") == settings.configuration_md()


@pytest.mark.parametrize(("override", "message"), [
    ("train.max_minuts=1", "Did you mean max_minutes"),
    ("trian.max_minutes=1", "Did you mean train"),
    ("train.max_minutes=true", "of type bool, expected float"),
    ("train.max_minutes=soon", "needs its quotes"),
    ("max_minutes=1", "expected table.key=value"),
    ("train.max_minutes=nan", "no finite number"),
    ("train.max_minutes=1" + "0" * 400, "no finite number"),
    ("validate.languages=[1]", "expected"),
])
def test_a_wrong_setting_is_refused_with_a_sentence(tmp_path: Path, override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_config(CONFIGS.__getitem__("validate"), "validate", read_tables(tmp_path, None, [override]))


def test_layers_lie_over_each_other(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config/default.toml").write_text("[validate]\nmin_chars = 7\nmax_chars = 70\n")
    (tmp_path / "mine.toml").write_text("[validate]\nmax_chars = 80\n")
    tables = read_tables(tmp_path, tmp_path / "mine.toml", ["validate.min_letters_frac=1"])
    assert [tables["validate"][k] for k in ("min_chars", "max_chars", "min_letters_frac")] == [7, 80, 1]


def test_a_config_file_that_is_not_toml_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text("[clean\n")
    with pytest.raises(ConfigError, match=r"bad\.toml is not TOML"):
        read_tables(tmp_path, tmp_path / "bad.toml")


def test_an_integer_fits_a_float_key(tmp_path: Path) -> None:
    assert read_tables(tmp_path, None, ["scrape.max_minutes=2"])["scrape"]["max_minutes"] == 2.0


def test_an_unknown_flag_names_the_nearest() -> None:
    parser = ArgumentParser(prog="x.py")
    parser.add_argument("--skip-search")
    with pytest.raises(ConfigError, match="Did you mean --skip-search"):
        parser.parse_args(["--skip-serch"])


def test_a_second_run_is_locked_out_and_told_by_whom(tmp_path: Path) -> None:
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


def test_peak_memory_counts_children() -> None:
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


def test_a_report_survives_its_json_line() -> None:
    report = StageStats("clean", 3, 1, facts={"x": 1})
    report.dropped["too_few_words"] = 2
    assert StageStats.from_json(report.to_json()) == report


def test_terminal_commands_are_stripped() -> None:
    assert strip_control("a\x1b[31mb\u202ec\r\n\td\x00") == "a[31mbc\n\td"
