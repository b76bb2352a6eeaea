"""The stage contract: StageStats, and the command line that every stage shares."""

from __future__ import annotations

import argparse
import errno
import json
import logging
import os
import re
import sys
import time
import typing
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from miniature_memory.core.config import _nearest, build_config, read_tables
from miniature_memory.core.errors import (
    EXIT_CONFIG,
    EXIT_DONE,
    EXIT_LOCKED,
    EXIT_STAGE,
    ConfigError,
    LockedError,
    StageError,
    Stopped,
    cannot_write,
)
from miniature_memory.core.log import DETAIL, start_logging
from miniature_memory.core.paths import PROJECT
from miniature_memory.core.process import PeakMemory, _die_with_parent, catch_signals, run_lock
from miniature_memory.core.text import strip_control

logger = logging.getLogger(__name__)

# --- StageStats ----------------------------------------------------------------------------------


FLOWS = {"search": ("addresses found", "of them new"), "scrape": ("addresses visited", "new pages"),
         "extract": ("pages read", "new documents"), "validate": ("documents judged", "valid"),
         "clean": ("documents judged", "kept")}  # what goes into a stage, and what comes out


@dataclass
class StageStats:
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
    def from_json(cls, line: str) -> StageStats:
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
    """Run `work` and turn what a person can fix into one sentence and an exit code; bugs keep their traceback."""
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


def stage_main(run: Callable[..., StageStats], config_class: type, stage: str, argv: list[str] | None = None,
               views: dict[str, View] | None = None, options: dict[str, dict[str, Any]] | None = None) -> int:
    """The command line of one stage: read the configuration, take the lock, run, print the StageStats as one JSON line.

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
