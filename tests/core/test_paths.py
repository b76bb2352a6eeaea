"""python3 -m pytest tests/core/test_paths.py"""

import ast
import re
import shlex
from pathlib import Path

import pytest

from miniature_memory.core import paths
from miniature_memory.core.paths import DEMO, PROJECT, command, shown

MENTION = re.compile(r"\b(run|search|scrape|extract|validate|clean|prepare|train|sample)\.py -|python3 |--root \{")
# What argparse and pip print, and the one place that makes commands
ALLOWED = {"core/paths.py", "core/command_line.py", "core/run_options.py", "core/no_wheel.py"}


@pytest.fixture(autouse=True)
def in_the_project(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(PROJECT)


def test_nothing_is_added_for_the_projects_own_folder() -> None:
    assert command("validate.py", PROJECT, "--full", "--repair") == "python3 validate.py --full --repair"


@pytest.mark.parametrize("name", ["my dir", "it's", "$(date)", 'a"b', "a;b", "ü", "-x"])
def test_another_root_is_named_for_a_shell(tmp_path: Path, name: str) -> None:
    root = tmp_path / name
    assert shlex.split(command("clean.py", root)) == ["python3", "clean.py", "--root", str(root)]


def test_a_root_below_the_current_folder_is_named_from_there() -> None:
    assert command("run.py", PROJECT / "own/bread", "--only train") == "python3 run.py --only train --root own/bread"
    assert shown(PROJECT / "-x") == "./-x"


def test_the_demonstration_stays_the_demonstration(tmp_path: Path) -> None:
    assert command("run.py", DEMO, "--status") == "python3 run.py --demo --status"
    assert command("run.py", DEMO, "--demo") == "python3 run.py --demo"
    assert command("run.py", tmp_path, "--demo") == f"python3 run.py --demo --root {tmp_path}"
    assert command("sample.py", DEMO) == "python3 sample.py --demo"


@pytest.mark.parametrize(("folder", "option"), [("bread-baking", "--topic bread-baking"), ("北-京", "--topic '北-京'"),
                                                ("Bread", "--root topics/Bread"), ("none", "--root topics/none")])
def test_a_topic_is_named_where_its_name_leads_to_its_folder(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str, option: str) -> None:
    monkeypatch.setattr(paths, "PROJECT", tmp_path)
    monkeypatch.chdir(tmp_path)
    root = tmp_path / "topics" / folder
    if folder != "none":  # which is no topic yet
        (root / "config").mkdir(parents=True)
        (root / "config/queries.txt").touch()
    line = command("sample.py", root, "--serve")
    assert line in (f"python3 sample.py {option} --serve", f"python3 sample.py --serve {option}")


def test_from_another_folder_the_script_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert command("run.py", PROJECT) == f"python3 {PROJECT}/run.py"


def test_every_command_in_a_message_is_made_by_command() -> None:
    wrong = []
    for path in [*sorted((PROJECT / "miniature_memory").rglob("*.py")), *sorted(PROJECT.glob("*.py"))]:
        if any(str(path).endswith(name) for name in ALLOWED):
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        wrong += [f"{path.relative_to(PROJECT)}:{node.lineno}: {node.value}" for node in ast.walk(tree)
                  if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings
                  and MENTION.search(node.value)]
    assert not wrong


def test_each_new_folder_is_synced_in_the_one_above(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[Path] = []
    monkeypatch.setattr(paths, "fsync_folder", synced.append)
    for _ in range(2):
        assert paths.make_folder(tmp_path / "a/b") == tmp_path / "a/b"
    assert sorted(synced) == [tmp_path, tmp_path / "a"]
