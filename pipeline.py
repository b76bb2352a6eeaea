"""Pipeline: what every stage shares: configuration, the Report, errors, the lock, signals.

Standard library only. A stage module ends with

    def run(config: CleanConfig, root: Path) -> Report: ...
    def main(argv=None) -> int: return stage_main(run, CleanConfig, "clean", argv)

and that is all `run.py` or a person ever calls.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import difflib
import errno
import fcntl
import json
import logging
import math
import os
import re
import resource
import shlex
import signal
import sys
import threading
import time
import tomllib
import typing
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parent

EXIT_DONE, EXIT_STAGE, EXIT_CONFIG, EXIT_LOCKED = 0, 1, 2, 75  # 75: EX_TEMPFAIL of sysexits.h
LOCK_FD_VARIABLE = "MINIATURE_MEMORY_LOCK_FD"  # the descriptor on which run.py holds the lock for its stages
PARENT_VARIABLE = "MINIATURE_MEMORY_PARENT"  # the process id of that run.py
HIDE_BARS_VARIABLE = "MINIATURE_MEMORY_HIDE_BARS"  # set by --quiet
LOG_BYTES, LOG_FILES = 5_000_000, 3
DETAIL = 15  # a level between DEBUG and INFO: for the log file alone

logger = logging.getLogger(__name__)


# --- errors --------------------------------------------------------------------------------------


class ConfigError(Exception):
    """A bad configuration or command line: exit code 2."""


class StageError(Exception):
    """A stage cannot go on: exit code 1. Says what was found, what was expected, and what mends it."""

    def __init__(self, found: str, expected: str, mend: str) -> None:
        super().__init__(f"{found} Expected: {expected} To mend it: {mend}")
        self.found, self.mend = found, mend


class LockedError(Exception):
    """Another run works on this root: exit code 75."""


class Stopped(KeyboardInterrupt):
    """SIGINT or SIGTERM arrived. Whatever holds unsaved work saves it and lets this pass on."""

    def __init__(self, signum: int) -> None:
        super().__init__(signal.Signals(signum).name)
        self.exit_code = 128 + signum


# --- signals -------------------------------------------------------------------------------------


class _Interruption:
    depth = 0  # how many uninterrupted() blocks are open
    pending: int | None = None  # the signal that came meanwhile


def _on_signal(signum: int, _frame: object) -> None:
    if _Interruption.depth:
        _Interruption.pending = signum
    else:
        raise Stopped(signum)


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Hold SIGINT and SIGTERM back until the block has ended, so that no step is left half done."""
    _Interruption.depth += 1
    try:
        yield
    finally:
        _Interruption.depth -= 1
    if not _Interruption.depth and _Interruption.pending is not None:
        signum, _Interruption.pending = _Interruption.pending, None
        raise Stopped(signum)


def catch_signals() -> None:
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, _on_signal)


# --- findings ------------------------------------------------------------------------------------

OK, NOTE, BAD = "ok", "note", "BAD"  # a note is worth knowing; what is bad stops a run


class Finding(typing.NamedTuple):
    """Something that --status or --doctor tells, and what a person can do about it."""

    name: str
    level: str
    found: str
    mend: str = ""


# --- configuration -------------------------------------------------------------------------------

Tables = dict[str, dict[str, Any]]


def config_path(root: Path, name: str) -> Path:
    """`name` in the root's own config folder when it is there, else in the project's."""
    own = root / "config" / name
    return own if own.exists() else PROJECT / "config" / name


def shown(path: Path) -> str:
    """A path as a person would write it here."""
    return os.path.relpath(path) if path.resolve().is_relative_to(Path.cwd()) else str(path)


def root_option(root: Path) -> str:
    """What a command needs behind it to mean `root`; '' for the project's own."""
    return "" if root.resolve() == PROJECT else f" --root {shlex.quote(shown(root))}"


def read_tables(root: Path, config_file: Path | None = None, overrides: list[str] | None = None) -> Tables:
    """Every setting: the project's default.toml, the root's, `config_file`, then `overrides` ("table.key=value").

    default.toml lists every key, so it is also the schema.
    Raises ConfigError naming the key, the file and the nearest right key.
    """
    tables = _read_toml(PROJECT / "config" / "default.toml")
    layers = [own] if (own := root / "config" / "default.toml").exists() and root.resolve() != PROJECT else []
    if config_file:
        layers.append(config_file)
    for layer in layers:
        for table, keys in _read_toml(layer).items():
            if not isinstance(keys, dict):
                raise ConfigError(f"{layer}: {table} stands outside a table. Expected: a [table] above it.")
            for key, value in keys.items():
                _set(tables, table, key, value, str(layer))
    for override in overrides or []:
        name, sep, text = override.partition("=")
        table, dot, key = name.strip().partition(".")
        if not sep or not dot:
            raise ConfigError(f"--set {override}: expected table.key=value, for example --set train.max_minutes=2")
        try:
            value = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            hint = f"Text needs its quotes: --set '{name}=\"{text}\"'"
            raise ConfigError(f"--set {override}: {text!r} is no TOML value. {hint}") from None
        _set(tables, table, key, value, "--set")
    return tables


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read ({error.strerror}). Expected: a TOML file.") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not UTF-8. Save it as UTF-8 in your editor.") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not TOML: {error}. Mend that line; text needs quotes, for example.") from None


def _set(tables: Tables, table: str, key: str, value: Any, where: str) -> None:
    if table not in tables:
        raise ConfigError(f"{where}: there is no table [{table}].{_nearest(table, tables)}")
    if key not in tables[table]:
        raise ConfigError(f"{where}: there is no key {table}.{key}.{_nearest(key, tables[table])}")
    old = tables[table][key]
    if isinstance(old, float) and isinstance(value, int) and not isinstance(value, bool):
        value = float(value) if abs(value) < 1 << 53 else math.inf
    if isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"{where}: {table}.{key} is no finite number; expected one such as {json.dumps(old)}")
    if type(value) is not type(old):
        raise ConfigError(f"{where}: {table}.{key} = {value!r} is of type {type(value).__name__}, "
                          f"expected {type(old).__name__}, such as {json.dumps(old)}")
    tables[table][key] = value


def _nearest(name: str, names: typing.Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(names), n=1)
    return f" Did you mean {close[0]}?" if close else f" There are: {', '.join(sorted(names))}."


def build_config(config_class: type, table: str, tables: Tables) -> Any:
    """`config_class` filled from [table]; a field that is itself a dataclass is filled from the table of its name."""
    hints = typing.get_type_hints(config_class)
    values: dict[str, Any] = {}
    for item in dataclasses.fields(config_class):
        hint = hints[item.name]
        if dataclasses.is_dataclass(hint):
            values[item.name] = build_config(typing.cast(type, hint), item.name, tables)
        elif item.name in tables[table]:
            value = tables[table][item.name]
            if not _has_type(value, hint):
                raise ConfigError(f"{table}.{item.name} = {value!r}: expected {getattr(hint, '__name__', hint)}")
            values[item.name] = float(value) if hint is float else value
    try:
        return config_class(**values)
    except ValueError as error:  # a dataclass may refuse a value that has the right type
        raise ConfigError(f"[{table}] {error}") from None


def _has_type(value: Any, hint: Any) -> bool:
    if hint is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if typing.get_origin(hint) is list:
        return isinstance(value, list) and all(_has_type(v, typing.get_args(hint)[0]) for v in value)
    return type(value) is hint


# --- the Report ----------------------------------------------------------------------------------


FLOWS = {"search": ("addresses found", "of them new"), "scrape": ("addresses visited", "new pages"),
         "extract": ("pages read", "new documents"), "validate": ("documents judged", "valid"),
         "clean": ("documents judged", "kept")}  # what goes into a stage, and what comes out


@dataclass
class Report:
    """What one stage did. Where documents flow, n_in == n_out + sum(dropped.values())."""

    stage: str
    n_in: int = 0
    n_out: int = 0
    dropped: Counter[str] = field(default_factory=Counter)  # reason -> count
    bytes_written: int = 0
    elapsed_sec: float = 0.0
    peak_mb: float = 0.0  # PSS summed over the process tree, sampled five times a second
    facts: dict[str, Any] = field(default_factory=dict)  # the stage's own numbers, such as val_bpb

    def to_dict(self) -> dict[str, Any]:
        return {**vars(self), "dropped": dict(self.dropped)}

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), ensure_ascii=False)

    @classmethod
    def from_json(cls, line: str) -> Report:
        values = json.loads(line)
        values["dropped"] = Counter(values["dropped"])
        return cls(**values)

    def summary(self) -> str:
        """One line for people."""
        came, became = FLOWS.get(self.stage, ("in", "out"))
        flow = f"{self.n_in:,} {came}, {self.n_out:,} {became}" if self.n_in else "nothing new to do"
        if self.dropped:
            flow += "; left out: " + ", ".join(f"{reason} {n:,}" for reason, n in self.dropped.most_common())
        flow = str(self.facts.get("summary", flow))
        return f"{self.stage:<9} {flow} · {self.elapsed_sec:.1f} s · {self.peak_mb:.0f} MB"


class PeakMemory(threading.Thread):
    """Peak of the proportional set size (PSS) of process `pid` and all that it started, in MB.

    PSS counts a page shared by n processes as 1/n to each, so that the sum over a tree is what the tree really
    holds. Where the system has no /proc/PID/smaps_rollup (macOS) the largest resident set size stands in.
    """

    def __init__(self, pid: int | None = None, interval_sec: float = 0.2) -> None:
        super().__init__(daemon=True)
        self.pid = pid or os.getpid()
        self.interval_sec = interval_sec
        self.peak_mb = 0.0
        self._ended = threading.Event()

    def run(self) -> None:
        while not self._ended.wait(self.interval_sec):
            self._sample()

    def stop(self) -> float:
        self._ended.set()
        self._sample()
        return self.peak_mb

    def _sample(self) -> None:
        total_kb = sum(_pss_kb(pid) for pid in process_tree(self.pid))
        if not total_kb:
            scale = 1024 if sys.platform == "darwin" else 1  # bytes there, KB elsewhere
            total_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // scale
        self.peak_mb = max(self.peak_mb, total_kb * 1024 / 1e6)


def process_tree(pid: int) -> list[int]:
    """`pid` and its descendants, from /proc."""
    tree = [pid]
    for parent in tree:  # grows while it is walked
        with contextlib.suppress(OSError):  # it ended meanwhile, or there is no /proc
            for task in os.listdir(f"/proc/{parent}/task"):
                with open(f"/proc/{parent}/task/{task}/children", "rb") as children:
                    tree += map(int, children.read().split())
    return tree


def _pss_kb(pid: int) -> int:
    with contextlib.suppress(OSError):  # the process ended meanwhile
        with open(f"/proc/{pid}/smaps_rollup", "rb") as rollup:
            match = re.search(rb"^Pss:\s+(\d+)", rollup.read(), re.MULTILINE)
        return int(match[1]) if match else 0
    return 0


# --- lock and log --------------------------------------------------------------------------------


@contextlib.contextmanager
def run_lock(root: Path) -> Iterator[int]:
    """Hold the root's lock; yield its file descriptor. Raises LockedError naming the holder's process id.

    A stage started by run.py inherits the descriptor, so that the lock outlives a run.py that was killed while its
    stage still writes.
    """
    if LOCK_FD_VARIABLE in os.environ:
        yield int(os.environ[LOCK_FD_VARIABLE])
        return
    path = make_folder(root / "data") / "run.lock"
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise cannot_write(path, error) from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(descriptor, 32).decode("ascii", "replace").strip()
        os.close(descriptor)
        raise LockedError(f"Another run (process {holder}) is at work in {root}; this one did nothing. "
                          f"Wait for it, or stop it with: kill {holder}") from None
    try:
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        yield descriptor
    finally:
        os.close(descriptor)


def lock_holder(root: Path) -> str:
    """The process id of the run that is at work in `root`; '' if there is none. Makes nothing and waits for nothing."""
    try:
        with open(root / "data" / "run.lock", "rb") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)  # given back at once
            except BlockingIOError:
                return stream.read(32).decode("ascii", "replace").strip() or "unknown"
    except OSError:
        return ""
    return ""


def make_folder(path: Path) -> Path:
    """Make `path` with its parents. Raises StageError when that cannot be done."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(path, error) from None
    return path


def cannot_write(path: Path | str, error: OSError) -> StageError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT) or "full" in (error.strerror or ""):
        return StageError(f"There is no space left for {path}.", "free space on its disk.",
                          "make room, then run the same command again; all that was committed is kept.")
    return StageError(f"{path} cannot be written ({error.strerror}).", "a folder that this user may write to.",
                      f"check its owner and free space (ls -ld {path}; df -h {path}), or choose another with --root.")


def start_logging(root: Path, quiet: bool) -> None:
    """Messages to stderr, and with their times to data/run.log, which is rotated here, at the start, only."""
    if quiet:
        os.environ[HIDE_BARS_VARIABLE] = "1"
    path = root / "data" / "run.log"
    with contextlib.suppress(OSError):
        if LOCK_FD_VARIABLE not in os.environ and path.stat().st_size > LOG_BYTES:
            for n in range(LOG_FILES - 1, 0, -1):
                older = path.with_name(f"run.log.{n}")
                (path.with_name(f"run.log.{n - 1}") if n > 1 else path).replace(older)
    screen = logging.StreamHandler()
    screen.setLevel(logging.ERROR if quiet else logging.INFO)
    handlers: list[logging.Handler] = [screen]
    with contextlib.suppress(OSError):
        file = logging.FileHandler(path, encoding="utf-8")
        file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        handlers.append(file)
    logging.raiseExceptions = False  # a log that cannot be written, on a full disk, is no reason for tracebacks
    for handler in handlers:
        handler.addFilter(_is_ours_or_a_warning)
    logging.addLevelName(DETAIL, "DETAIL")
    logging.basicConfig(level=DETAIL, format="%(message)s", handlers=handlers, force=True)


def _is_ours_or_a_warning(record: logging.LogRecord) -> bool:
    """Libraries may warn, but what they tell of their progress is noise."""
    return record.levelno >= logging.WARNING or Path(record.pathname).resolve().parent == PROJECT


def timestamp(seconds: float | None = None) -> str:
    """A time as every file here has it, in UTC; now, if none is given."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def strip_control(text: str) -> str:
    """`text` without control characters, save tab and newline: what came from outside may hold terminal commands."""
    return _CONTROL.sub("", text)


_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


# --- command lines -------------------------------------------------------------------------------


class ArgumentParser(argparse.ArgumentParser):
    """argparse, without abbreviations, and with a bad command line as a ConfigError that names the nearest flag."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter, **kwargs)

    def error(self, message: str) -> typing.NoReturn:
        unknown = re.match(r"unrecognized arguments: (\S+)", message)
        nearest = _nearest(unknown[1], [flag for a in self._actions for flag in a.option_strings]) if unknown else ""
        raise ConfigError(f"{self.prog}: {message}.{nearest} {self.prog} --help lists all.")


def common_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--root", type=Path, default=PROJECT, metavar="DIR",
                        help="where config/, data/ and checkpoints/ lie (default: beside the scripts)")
    parser.add_argument("--config", type=Path, metavar="FILE", help="a TOML file laid over config/default.toml")
    parser.add_argument("--set", action="append", default=[], metavar="TABLE.KEY=VALUE", dest="overrides",
                        help="one setting, a TOML value; may be repeated")
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors")


def guarded(prog: str, work: Callable[[], int]) -> int:
    """Run `work` and turn what a person can mend into one sentence and an exit code; bugs keep their traceback."""
    try:
        return work()
    except ConfigError as error:
        code, message = EXIT_CONFIG, str(error)
    except StageError as error:
        code, message = EXIT_STAGE, str(error)
    except LockedError as error:
        code, message = EXIT_LOCKED, str(error)
    except Stopped as stop:
        code, message = stop.exit_code, f"stopped by {stop}; what was done is saved, and the same command goes on"
    except BrokenPipeError:  # somebody read the first lines and has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_DONE
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EPERM, errno.EDQUOT):
            raise
        code, message = EXIT_STAGE, str(cannot_write(error.filename or "the files of this run", error))
    logger.error("%s", strip_control(f"{prog}: {message}"))
    return code


class View(typing.NamedTuple):
    """A flag of a stage that prints a text and runs nothing."""

    show: Callable[[Any, Path, str], str]  # (config, root, the flag's value) -> text
    help: str
    metavar: str = ""  # "": the flag takes no value


def stage_main(run: Callable[..., Report], config_class: type, stage: str, argv: list[str] | None = None,
               views: dict[str, View] | None = None, options: dict[str, dict[str, Any]] | None = None) -> int:
    """The command line of one stage: read the configuration, take the lock, run, print the Report as one JSON line.

    options: further flags, as add_argument() takes them, whose values `run` gets by their names.
    """
    doc = sys.modules[run.__module__].__doc__
    parser = ArgumentParser(prog=f"{stage}.py", description=doc)
    common_arguments(parser)
    for flag, view in (views or {}).items():
        takes: dict[str, Any] = {"metavar": view.metavar} if view.metavar else {"action": "store_const", "const": ""}
        parser.add_argument(flag, help=view.help, **takes)
    names = [parser.add_argument(flag, **settings).dest for flag, settings in (options or {}).items()]

    def work() -> int:
        args = parser.parse_args(argv)
        config = build_config(config_class, stage, read_tables(args.root, args.config, args.overrides))
        for flag, view in (views or {}).items():
            if (value := getattr(args, flag.strip("-"))) is not None:
                print(strip_control(view.show(config, args.root, value)))
                return EXIT_DONE
        catch_signals()
        with run_lock(args.root):
            start_logging(args.root, args.quiet)
            logger.log(DETAIL, "%s: %s", stage, config)
            memory, started = PeakMemory(), time.monotonic()
            memory.start()
            _die_with_parent()
            report = run(config, args.root, **{name: getattr(args, name) for name in names})
            report.elapsed_sec = round(time.monotonic() - started, 2)
            report.peak_mb = round(memory.stop(), 1)
            logger.info("%s", strip_control(report.summary()))
            print(report.to_json(), flush=True)
        return EXIT_DONE

    return guarded(f"{stage}.py", work)


def _die_with_parent() -> None:
    """Under run.py: stop as if by SIGTERM when run.py is gone, so that no stage is left behind by kill -9."""
    if LOCK_FD_VARIABLE not in os.environ:
        return
    parent = int(os.environ.get(PARENT_VARIABLE, os.getppid()))  # run.py may be gone before we ask

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()
