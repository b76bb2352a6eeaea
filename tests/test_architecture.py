"""python3 -m pytest tests/test_architecture.py: who may import whom, and how long things may be."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from miniature_memory.core.paths import PROJECT

PACKAGE = "miniature_memory"
PACKAGES = {  # package -> the packages that it may import, or modules of them
    "core": [], "storage": ["core"], "responses": ["core"], "crawl": ["core", "storage", "responses"],
    "providers": ["core", "storage", "responses", "crawl"],
    "extraction": ["core", "responses"],
    "validation": ["core", "storage"],
    "cleaning": ["core", "storage", "validation.documents", "validation.config"],
    "collection": ["core", "storage", "cleaning.explain", "cleaning.config"],
    "counting": ["core", "storage"],
    "training": ["core", "storage", "counting", "model"],
    "exporting": ["core", "storage", "training", "sampling", "model"],
    "forgetting": ["core", "storage"],
    "sampling": ["core", "storage", "counting", "training", "collection", "model"],
    "cluster": ["core", "storage", "extraction", "validation", "cleaning", "training"],
    "demo_site": ["core"],
}
SCRIPTS = sorted(path.stem for path in PROJECT.glob("*.py"))
MODULES = sorted((PROJECT / PACKAGE).rglob("*.py"))
SOURCES = [PROJECT / f"{name}.py" for name in SCRIPTS] + MODULES + sorted((PROJECT / "bench").glob("*.py"))
SQL = re.compile(r"\s*(SELECT|INSERT (OR \w+ )?INTO|UPDATE \w+ SET|DELETE FROM|CREATE (\w+ )?TABLE|PRAGMA)\s")
LONGEST = {"function": 60, "class": 200, "script": 250, "model.py": 380}
MOST_SETTINGS = 100


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(PROJECT).with_suffix("").parts).removesuffix(".__init__")


def imports(path: Path) -> Iterator[str]:
    """The project's modules that a file imports, also within functions."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            inner = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name if is_module(name) else str(node.module) for name in inner]
        else:
            continue
        yield from (name for name in names if name.partition(".")[0] in (PACKAGE, "bench", "tests", *SCRIPTS))


def is_module(name: str) -> bool:
    return (PROJECT / (name.replace(".", "/") + ".py")).exists()


def exceptions(package: str) -> list[str]:
    """The modules of other packages that a package's docstring declares, as package.module."""
    docstring = ast.get_docstring(parsed(PROJECT / PACKAGE / package / "__init__.py")) or ""
    return re.findall(rf"\b(?:{'|'.join(PACKAGES)})\.\w+", docstring)


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_imports_only_what_it_may(package: str) -> None:
    allowed = [package, *PACKAGES[package], *exceptions(package)]
    wrong = [f"{module_name(path)} imports {name}" for path in MODULES if path.parts[-2] == package
             for name in imports(path)
             if not any(f"{name.removeprefix(PACKAGE + '.')}.".startswith(f"{one}.") for one in allowed)]
    assert not wrong


def test_every_package_is_in_the_table() -> None:
    folders = {path.parent.name for path in MODULES if path.name == "__init__.py"} - {PACKAGE}
    assert folders == {*PACKAGES, "views"}


def test_scripts_never_import_each_other_and_nothing_imports_them() -> None:
    wrong = [f"{module_name(path)} imports {name}" for path in SOURCES if path.parent.name != "bench"
             for name in imports(path) if name in SCRIPTS and name != "model"]
    assert not wrong


def test_only_run_and_bench_import_views() -> None:
    wrong = [f"{module_name(path)} imports {name}" for path in SOURCES for name in imports(path)
             if name.startswith(f"{PACKAGE}.views") and path.parent.name not in ("views", "bench")]
    assert all(line.startswith("run imports ") for line in wrong), wrong


def test_modules_import_each_other_in_no_circle() -> None:
    graph = {module_name(path): set(imports(path)) - {module_name(path)} for path in MODULES}
    while leaves := [name for name, needed in graph.items() if not needed & graph.keys()]:
        for name in leaves:
            del graph[name]
    assert not graph


def test_an_init_is_a_docstring_alone() -> None:
    wrong = [module_name(path) for path in MODULES if path.name == "__init__.py"
             and not (len(parsed(path).body) == 1 and ast.get_docstring(parsed(path)))]
    assert not wrong


def test_sql_stays_in_storage() -> None:
    wrong = [f"{path.relative_to(PROJECT)}:{node.lineno}" for path in SOURCES
             if path.parent.name not in ("storage", "bench") for node in ast.walk(parsed(path))
             if isinstance(node, ast.Constant) and isinstance(node.value, str) and SQL.match(node.value)]
    assert not wrong


def test_nothing_is_too_long() -> None:
    long = []
    for path in SOURCES:
        for node in ast.walk(parsed(path)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                length = (node.end_lineno or 0) - node.lineno + 1
                if length > LONGEST["class" if isinstance(node, ast.ClassDef) else "function"]:
                    long.append(f"{path.relative_to(PROJECT)}: {node.name} has {length} lines")
        length = path.read_text(encoding="utf-8").count("\n")
        if path.parent == PROJECT and length > LONGEST.get(path.name, LONGEST["script"]):
            long.append(f"{path.name} has {length} lines")
    assert not long


def test_there_are_not_too_many_settings() -> None:
    from miniature_memory.views.settings import CONFIGS, settings_of

    assert sum(len(list(settings_of(config))) for config in CONFIGS.values()) <= MOST_SETTINGS


@pytest.mark.parametrize("name", ["run.py", f"{PACKAGE}/core/interpreter.py"])
def test_an_old_python_can_read_the_file_that_tells_it_so(name: str) -> None:
    ast.parse((PROJECT / name).read_text(encoding="utf-8"), feature_version=(3, 8))
