"""python3 -m pytest tests/test_regex_linear.py: no regular expression takes more than linear time, whatever it is fed.

Every pattern of the package is used as the code uses it, on the texts that are worst for it: what its own parts match,
many times over, with an end that does not fit, and characters that often stand in long rows. They run in a process of
their own, which says what it is about to try: a pattern that never ends is named, too.
"""

import ast
import importlib
import itertools
import math
import re
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, NamedTuple

import pytest
import regex

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import sre_constants as codes
    import sre_parse

from miniature_memory.core.paths import PROJECT
from miniature_memory.exporting.huggingface import MODELING

CHARS = 6_000  # of each text; a quadratic pattern takes seconds for three times as many
CPU_SEC, HANG_SEC = 0.03, 1.0  # for one text: some fifty times what a linear pattern takes; given up after
TOO_MUCH = 10.0  # times as long for four times the text: linear is 4, quadratic 16
DEADLINE_SEC = 400  # for all of them, which take some ten
METHODS = {"search", "match", "fullmatch", "findall", "finditer", "sub", "subn", "split"}
GENERAL = (" ", "\n", "\t", "0", "a", "A", "é", "中", "\u0301", "😀", "…", "“", "(", "[", "<", "<a ", "a@", "a.", "a-",
           "-", ".", ",", "/", ":", ";", "=", "&", "#", "%", "'", '"', "\\", "_", "*", "0.", "0,", "0 ", "a ", " \n",
           "a\n", "::", "<p>", "x=", "]", "}", "\u00a0", "\u200b")
TAILS = ("", "\x01", "!a a")
CLASSES = {codes.CATEGORY_DIGIT: "07", codes.CATEGORY_SPACE: " \n", codes.CATEGORY_WORD: "a0_é",
           codes.CATEGORY_NOT_DIGIT: "a ", codes.CATEGORY_NOT_SPACE: "a0-", codes.CATEGORY_NOT_WORD: " -.“"}
# Of the module regex: an example of each
PROPERTIES = {"Sc": "€", "So": "😀", "Lu": "A", "Lo": "中", "P": "-", "M": "\u0301"}
# Characters that these modules' or patterns' texts have at most, because the code looks at their length first
LONGEST = {"cleaning.notices.COUNTER": 60, "cleaning.words._SUFFIX": 8,
           "extraction.inputs.LOOKS_LIKE_HTML": 1000}
OWN_TEXT = ("demo_site.pages", "crawl.config")  # they see the plays of the package and the settings alone


class Use(NamedTuple):
    name: str  # package.module.NAME, or package.module:line
    pattern: Any  # of re or regex
    method: str


# --- the patterns --------------------------------------------------------------------------------


def uses() -> Iterator[Use]:
    """Every pattern of the package with each method that it is used with."""
    paths = [*sorted((PROJECT / "miniature_memory").rglob("*.py")), *sorted(PROJECT.glob("*.py"))]
    paths = [path for path in paths if path.stem != MODELING]  # it runs in transformers
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in paths}
    here = {path: methods_by_name([tree]) for path, tree in trees.items()}
    everywhere = methods_by_name(trees.values())
    seen: set[tuple[str, str]] = set()
    for path, tree in trees.items():
        module = importlib.import_module(".".join(path.relative_to(PROJECT).with_suffix("").parts))
        short = module.__name__.removeprefix("miniature_memory.")
        for name, pattern in compiled(vars(module), path.stem):
            last = name.rpartition(".")[2]
            for method in sorted((here[path] if last.startswith("_") else everywhere).get(last, {"search"})):
                if (pattern.pattern, method) not in seen:
                    seen.add((pattern.pattern, method))
                    yield Use(f"{short}.{name}", pattern, method)
        for line, pattern, method in inline(tree, vars(module)):
            yield Use(f"{short}:{line}", pattern, method)


def compiled(values: dict[str, Any], module: str) -> Iterator[tuple[str, Any]]:
    """The patterns among a module's globals: alone, in tables and lists, as attributes of classes."""
    for name, value in values.items():
        if name.startswith("__"):
            continue
        if isinstance(value, type) and value.__module__.rpartition(".")[2] == module:
            yield from ((f"{name}.{inner}", pattern) for inner, pattern in compiled(dict(vars(value)), module))
        else:
            yield from ((name, pattern) for pattern in within(value))


def within(value: Any, depth: int = 3) -> Iterator[Any]:
    if isinstance(value, re.Pattern | regex.Pattern):
        yield value
    elif depth and isinstance(value, dict):
        yield from itertools.chain.from_iterable(within(one, depth - 1) for one in [*value, *value.values()])
    elif depth and isinstance(value, (list, tuple, set, frozenset)):
        yield from itertools.chain.from_iterable(within(one, depth - 1) for one in value)


def methods_by_name(trees: Iterable[ast.Module]) -> dict[str, set[str]]:
    """Which methods are called on a global of each name, also through the variable of a loop over it."""
    found: dict[str, set[str]] = {}
    for tree in trees:
        here: dict[str, set[str]] = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and node.attr in METHODS:
                here.setdefault(getattr(node.value, "id", getattr(node.value, "attr", "")), set()).add(node.attr)
        for node in ast.walk(tree):
            if isinstance(node, ast.For | ast.comprehension):
                called = set().union(*(here.get(name, ()) for name in names_in(node.target)))
                for name in names_in(node.iter):
                    here.setdefault(name, set()).update(called)
        for name, methods in here.items():
            found.setdefault(name, set()).update(methods)
    return found


def names_in(node: ast.AST) -> list[str]:
    return [one.id for one in ast.walk(node) if isinstance(one, ast.Name)]


def inline(tree: ast.Module, values: dict[str, Any]) -> Iterator[tuple[int, Any, str]]:
    """The patterns that are written where they are used: re.search("...", text)."""
    for node in ast.walk(tree):
        if (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in METHODS
                and isinstance(node.func.value, ast.Name) and node.func.value.id in ("re", "regex")):
            engine = getattr(sys.modules[__name__], node.func.value.id)
            named = [keyword.value for keyword in node.keywords if keyword.arg == "flags"]
            given = named or node.args[4 if node.func.attr in ("sub", "subn") else 2:]
            try:
                pattern, *flags = (eval(compile(ast.Expression(one), "", "eval"), dict(values))
                                   for one in [node.args[0], *given[:1]])
            except NameError:  # made of what only that function knows
                continue
            yield node.lineno, engine.compile(pattern, *flags), node.func.attr


# --- the texts that are worst for a pattern -------------------------------------------------------


def texts(use: Use) -> Iterator[tuple[str, Callable[[int], str | bytes]]]:
    """(what it is, how to make it as long as wanted)."""
    source = use.pattern.pattern
    is_bytes = isinstance(source, bytes)
    tree = tree_of(source.decode("latin-1") if is_bytes else source, use.pattern)
    for before, unit in dict.fromkeys(itertools.chain((("", unit) for unit in GENERAL), repeats(tree))):
        if not unit or (is_bytes and max(before + unit) > "\xff"):
            continue
        some = unit * max(1, 140 // len(unit))
        # One long row, the beginning again and again, middling rows
        shapes = [(before, unit), ("", before + unit), ("", before + some)] if before else [("", unit)]
        for (start, row), tail in itertools.product(shapes, TAILS):
            yield f"{start!r} + {row!r} many times + {tail!r}", partial(text_of, start, row, tail, is_bytes)


def text_of(start: str, row: str, tail: str, is_bytes: bool, n: int) -> str | bytes:
    text = start + row * max(1, n // len(row)) + tail
    return text.encode("latin-1") if is_bytes else text


def tree_of(source: str, pattern: Any) -> Any:
    """The parsed pattern. What only the module regex knows becomes an example of it; sets within sets are ignored."""
    source = re.sub(r"(?:&&|--)\[[^\]]*\]", "", source)
    source = re.sub(r"\\p\{(\w+)\}", lambda found: PROPERTIES.get(found[1], "a"), source)
    flags = pattern.flags & (re.IGNORECASE | re.VERBOSE | re.DOTALL | re.MULTILINE)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return sre_parse.parse(source, flags)


def repeats(tree: Any, before: str = "") -> Iterator[tuple[str, str]]:
    """(what may stand before, what is repeated) for each part of a pattern that may match long rows; and each part's
    own characters."""
    for i, (op, value) in enumerate(tree):
        ahead = before + "".join(one[0] for one in map(examples, ([part] for part in tree[:i])) if one)
        if op in (codes.MAX_REPEAT, codes.MIN_REPEAT) or str(op) == "POSSESSIVE_REPEAT":
            if value[1] > 3:
                yield from (((ahead if with_it else ""), unit) for unit in examples(value[2]) for with_it in (0, 1))
                yield from ((ahead, a + b) for a, b in itertools.permutations(examples(value[2])[:3], 2))
            yield from repeats(value[2], ahead)
        elif op is codes.SUBPATTERN:
            yield from repeats(value[3], ahead)
        elif op is codes.BRANCH:
            for branch in value[1]:
                yield from repeats(branch, ahead)
        elif str(op) == "ATOMIC_GROUP":
            yield from repeats(value, ahead)
    if whole := examples(tree):
        yield from ((before, unit) for unit in whole)
        yield from ((before, unit[:-1]) for unit in whole)


def examples(tree: Any) -> list[str]:
    """Some short texts that match, nearly always; [] for what has no width."""
    found = [""]
    for op, value in tree:
        found = [a + b for a, b in itertools.islice(itertools.product(found, part(op, value) or [""]), 12)]
    return list(dict.fromkeys(filter(None, found)))[:8]


def part(op: Any, value: Any) -> list[str]:
    if op is codes.LITERAL:
        return [chr(value)]
    if op in (codes.ANY, codes.NOT_LITERAL):
        return [char for char in "a (" if op is codes.ANY or ord(char) != value]
    if op is codes.IN:
        return members(value)
    if op is codes.SUBPATTERN:
        return examples(value[3])
    if op is codes.BRANCH:
        return list(itertools.chain.from_iterable(map(examples, value[1])))[:8]
    if op in (codes.MAX_REPEAT, codes.MIN_REPEAT) or str(op) == "POSSESSIVE_REPEAT":
        return [one * max(1, value[0]) for one in examples(value[2])] if value[1] else []
    return examples(value) if str(op) == "ATOMIC_GROUP" else []


def members(items: Any) -> list[str]:
    """Some characters of a class."""
    negated, listed = items[0][0] is codes.NEGATE, []
    for op, value in items:
        if op is codes.LITERAL:
            listed.append(chr(value))
        elif op is codes.RANGE:
            listed += [chr(value[0]), chr((value[0] + value[1]) // 2)]
        elif op is codes.CATEGORY:
            listed += CLASSES[value]
    if not negated:
        return list(dict.fromkeys(listed))[:8]
    pattern = sre_parse.parse("x")
    pattern.data[0] = (codes.IN, items)
    fits = re.compile("[^" + "".join(map(re.escape, listed)) + "]") if listed else re.compile(".")
    return [char for char in "a 0-<\"(.“" if fits.fullmatch(char)][:5]


# --- the measurement, in a process of its own ------------------------------------------------------


def seconds(use: Use, text: str | bytes) -> float:
    """CPU time of one use, which a timer ends."""
    began, call = time.process_time(), getattr(use.pattern, use.method)
    signal.setitimer(signal.ITIMER_VIRTUAL, HANG_SEC)
    try:
        found = call(text[:0], text) if use.method in ("sub", "subn") else call(text)
        if use.method == "finditer":
            for _ in found:
                pass
    except Hang:
        return math.inf
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    return time.process_time() - began


class Hang(Exception):
    """The timer ran out."""


def _hang(signum: int, frame: object) -> None:
    raise Hang


def measure() -> None:
    """Print a line for each pattern before it is tried, and one for the first text that takes it too long."""
    signal.signal(signal.SIGVTALRM, _hang)
    for use in uses():
        if use.name.startswith(OWN_TEXT):
            continue
        print(f"{use.name} {use.method}", flush=True)
        longest = next((n for name, n in LONGEST.items() if use.name.startswith(name)), 0)
        n = longest or CHARS
        for label, make in texts(use):
            text = make(n)[:longest or None]
            if (spent := seconds(use, text)) > CPU_SEC and (
                    longest or spent > HANG_SEC or seconds(use, make(4 * n)) > TOO_MUCH * spent):
                print(f"SLOW {use.name}.{use.method}: {n} characters of {label} take {spent:.2f} s", flush=True)
                break


@pytest.fixture(scope="module")
def output() -> list[str]:
    command = [sys.executable, "-c", "import test_regex_linear as test; test.measure()"]
    child = subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                             env={"PYTHONPATH": f"{PROJECT}:{PROJECT / 'tests'}", "PATH": ""})
    try:
        out, errors = child.communicate(timeout=DEADLINE_SEC)
        assert child.returncode == 0, errors
    except subprocess.TimeoutExpired:
        child.kill()
        out = child.communicate()[0]
        last = out.splitlines()[-1] if out else "nothing"
        pytest.fail(f"still busy after {DEADLINE_SEC} seconds, with {last}")
    return out.splitlines()


def test_no_pattern_takes_more_than_linear_time(output: list[str]) -> None:
    assert not [line for line in output if line.startswith("SLOW")]


def test_the_patterns_are_found(output: list[str]) -> None:
    assert len(output) > 80
