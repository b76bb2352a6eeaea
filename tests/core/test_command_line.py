"""python3 -m pytest tests/core/test_command_line.py"""

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from miniature_memory.core.command_line import ArgumentParser, OldSpelling, common_arguments, guarded
from miniature_memory.core.errors import ConfigError, StageError, Stopped, cannot_write
from miniature_memory.core.log import start_logging
from miniature_memory.core.paths import PROJECT
from miniature_memory.core.text import strip_control
from miniature_memory.core.version import VERSION


def raising(error: BaseException) -> Callable[[], int]:
    def work() -> int:
        raise error
    return work


def test_an_unknown_flag_names_the_nearest() -> None:
    parser = ArgumentParser(prog="x.py")
    parser.add_argument("--skip-search")
    with pytest.raises(ConfigError, match="Did you mean --skip-search"):
        parser.parse_args(["--skip-serch"])
    with pytest.raises(ConfigError, match="Did you mean --skip-search"):
        parser.parse_args(["--skip-serch=a_value_that_is_much_longer_than_the_name_of_the_option"])


@pytest.mark.parametrize(("argv", "meant"), [
    (["--find", "a", "horse"], "--find 'a horse'"), (["--find", "b", "--topic", "bread", "baking"], "--topic 'bread b"),
    (["bread baking"], "--topic 'bread baking'"), (["--find", "a", "wild horse"], "--find 'a wild horse'")])
def test_words_without_quotation_marks_are_put_together(argv: list[str], meant: str) -> None:
    parser = ArgumentParser(prog="x.py", begins_topics=True)
    for option in ("--find", "--topic"):
        parser.add_argument(option)
    with pytest.raises(ConfigError, match=f"Did you mean {meant}"):
        parser.parse(argv)


def test_a_value_of_two_dashes_is_a_sentence() -> None:
    parser = ArgumentParser(prog="x.py")
    parser.add_argument("--topic")
    with pytest.raises(ConfigError, match="argument --topic: expected a value"):
        parser.parse(["--topic=--"])


@pytest.mark.parametrize("argv", [["--find", "-word"], ["--find=-word"], ["--find", "-word", "--json"],
                                  ["--json", "--find", "-word"]])
def test_a_value_may_begin_with_a_minus(argv: list[str]) -> None:
    parser = ArgumentParser(prog="x.py")
    parser.add_argument("--find")
    parser.add_argument("--json", "-j", action="store_true")
    common_arguments(parser)
    assert parser.parse(argv).find == "-word"
    assert not parser.parse(["--json", "-j"]).find


def test_a_value_that_begins_with_two_needs_an_equals_sign_and_the_error_says_so() -> None:
    parser = ArgumentParser(prog="x.py")
    parser.add_argument("--find")
    common_arguments(parser)
    for argv in (["--find", "--word"], ["--find"]):
        with pytest.raises(ConfigError, match=r"--find: expected a value \(--find=\.\.\. if it begins with --\)"):
            parser.parse(argv)
    assert parser.parse(["--find=--word"]).find == "--word"


@pytest.mark.parametrize("settings", [
    {"PYTHONIOENCODING": "latin-1"}, {"PYTHONIOENCODING": "ascii:strict"},
    {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}])
def test_what_the_output_cannot_encode_is_escaped(tmp_path: Path, settings: dict[str, str]) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "LC_", "LANG"))}
    (tmp_path / "topics/хлеб/config").mkdir(parents=True)
    (tmp_path / "topics/хлеб/config/queries.txt").write_text("хлеб\n", encoding="utf-8")
    done = subprocess.run([sys.executable, PROJECT / "run.py", "--root", tmp_path, "--topic", "хлеб", "--status"],
                          env=environment | settings, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0 and not done.stderr
    assert b"\\u0445\\u043b\\u0435\\u0431" in done.stdout


@pytest.mark.parametrize("option", ["--help", "--status"])
def test_a_reader_that_leaves_early_ends_a_script_quietly(tmp_path: Path, option: str) -> None:
    process = subprocess.Popen([sys.executable, PROJECT / "run.py", "--root", tmp_path, option],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout
    process.stdout.close()
    assert process.stderr and process.stderr.read() == b"" and process.wait(60) == 0


def test_an_old_spelling_works_with_a_hint(capsys: pytest.CaptureFixture[str]) -> None:
    parser = ArgumentParser(prog="x.py")
    parser.add_argument("--import", nargs="+", default=[], dest="files")
    parser.add_argument("--files", nargs="+", dest="files", action=OldSpelling, new="--import")
    assert parser.parse_args(["--files", "a", "b"]).files == ["a", "b"] and parser.parse_args([]).files == []
    assert capsys.readouterr().err == "x.py: --files is now --import\n" and "--files" not in parser.format_help()


def test_every_script_has_a_version(capsys: pytest.CaptureFixture[str]) -> None:
    parser = ArgumentParser(prog="x.py")
    common_arguments(parser)
    with pytest.raises(SystemExit) as done:
        parser.parse_args(["--version"])
    assert done.value.code == 0 and capsys.readouterr().out == f"miniature-memory {VERSION}\n"


@pytest.mark.parametrize(("error", "code", "message"), [
    (ConfigError("bad key"), 2, "x.py: bad key"),
    (StageError("It is gone.", "it.", "make it."), 1, "x.py: It is gone. Expected: it. Fix: make it."),
    (Stopped(signal.SIGTERM), 143, "x.py: stopped by SIGTERM; run the same command again to resume"),
    (KeyboardInterrupt(), 130, "stopped by SIGINT"),
    (OSError(errno.ENOSPC, "No space left on device"), 1, "no space left for the files of this run"),
    (PermissionError(errno.EACCES, "Permission denied", "/nowhere/x"), 1, "/nowhere/x cannot be opened")])
def test_what_a_person_can_fix_is_one_line(
        caplog: pytest.LogCaptureFixture, error: BaseException, code: int, message: str) -> None:
    assert guarded("x.py", raising(error)) == code
    assert message in caplog.text and "Traceback" not in caplog.text and len(caplog.messages[0].splitlines()) == 1


@pytest.mark.parametrize("error", [ValueError("a bug"), PermissionError(errno.EACCES, "of a socket")])
def test_a_bug_keeps_its_traceback_in_run_log(tmp_path: Path, error: Exception) -> None:
    (tmp_path / "data").mkdir()
    start_logging(tmp_path, quiet=False)
    assert guarded("x.py", raising(error)) == 1
    log = (tmp_path / "data/run.log").read_text()
    assert f"this is a bug: {type(error).__name__}" in log and "Traceback" in log and str(error) in log


def test_the_commands_of_a_fix_work(tmp_path: Path) -> None:
    fix = cannot_write(tmp_path / "it's not/there", OSError(errno.EROFS, "Read-only file system")).fix
    assert subprocess.run(fix.partition("(")[2].partition(")")[0], shell=True, capture_output=True).returncode == 0


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_during_the_imports_is_one_line(signum: signal.Signals) -> None:
    code = ("import time; from miniature_memory.core.interpreter import use_own_python; use_own_python(); "
            "print(flush=True); time.sleep(30)")
    process = subprocess.Popen([sys.executable, "-c", code], cwd=PROJECT, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
    assert process.stdout and process.stdout.readline()
    process.send_signal(signum)
    errors = process.communicate(timeout=20)[1]
    assert process.returncode == 128 + signum and errors.endswith(f": stopped by {signum.name}\n") and len(errors) < 99


def test_terminal_commands_are_stripped() -> None:
    assert strip_control("a\x1b[31mb\u202ec\r\n\td\x00") == "a[31mbc\n\td"


def test_a_root_that_links_to_itself_and_a_removed_folder_are_sentences(tmp_path: Path) -> None:
    (tmp_path / "round").symlink_to("round")
    (gone := tmp_path / "gone").mkdir()
    command = [sys.executable, f"{PROJECT}/run.py", "--status", "--root", str(tmp_path / "round")]
    found = subprocess.run(command, capture_output=True, text=True)
    assert found.returncode == 2 and "leads back to itself" in found.stderr
    script = f"cd {gone} && rmdir {gone} && exec {sys.executable} {PROJECT}/run.py --status"
    removed = subprocess.run(["sh", "-c", script], capture_output=True, text=True)
    assert removed.returncode == 1 and "the current folder was removed" in removed.stderr
