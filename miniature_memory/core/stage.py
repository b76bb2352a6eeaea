"""The stage contract: StageStats, and the main() of every stage."""

from __future__ import annotations

import contextlib
import json
import logging
import sys
import time
import typing
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from miniature_memory.core.command_line import ArgumentParser, common_arguments, guarded
from miniature_memory.core.config import build_config, read_tables
from miniature_memory.core.errors import EXIT_DONE
from miniature_memory.core.log import DETAIL, start_logging
from miniature_memory.core.process import PeakMemory, catch_signals, die_with_parent, run_lock
from miniature_memory.core.text import counted, strip_control

logger = logging.getLogger(__name__)

# What goes into a stage and what it does with it; what comes out
FLOWS = {"search": ("URL", "found", "new"), "scrape": ("URL", "visited", "new page"),
         "extract": ("page", "read", "new document"), "validate": ("document", "checked", "valid"),
         "clean": ("document", "checked", "kept")}


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
        came, done, became = FLOWS.get(self.stage, ("document", "read", "written"))
        came = str(self.facts.get("came", came))
        out = counted(self.n_out, became) if " " in became else f"{self.n_out:,} {became}"
        flow = f"{counted(self.n_in, came)} {done}, {out}" if self.n_in else "nothing new"
        if self.dropped:
            reasons = (f"{n:,} {reason.replace('_', ' ')}" for reason, n in self.dropped.most_common())
            flow += f"; {'rejected' if self.stage in ('validate', 'clean') else 'skipped'}: {', '.join(reasons)}"
        flow = str(self.facts.get("summary", flow))
        return f"{self.stage:<9} {flow} · {self.elapsed_sec:.1f} s · {self.peak_mb:.0f} MB"


class View(typing.NamedTuple):
    """A flag of a stage that prints a text and runs nothing."""

    show: Callable[[Any, Path, str], str]  # (config, root, the flag's value) -> text
    help: str
    metavar: str = ""  # "": the flag takes no value


def stage_main(run: Callable[..., StageStats], config_class: type, stage: str, argv: list[str] | None = None,
               views: Mapping[str, View] | None = None, options: Mapping[str, Mapping[str, Any]] | None = None,
               follows: bool = False) -> int:
    """The command line of one stage: read the configuration, take the lock, run; with --json print the StageStats.

    follows: another process does the same in this root, has its lock and writes its log; this one prints errors alone.
    options: further flags, as add_argument() takes them, whose values `run` gets by their names.
    """
    parser = ArgumentParser(f"{stage}.py", sys.modules[run.__module__].__doc__)
    common_arguments(parser)
    parser.add_argument("--json", action="store_true", help="print what was done as one JSON object, for programs")
    for flag, view in (views or {}).items():
        takes: dict[str, Any] = {"metavar": view.metavar} if view.metavar else {"action": "store_const", "const": ""}
        parser.add_argument(flag, help=view.help, **takes)
    names = {parser.add_argument(flag, **settings).dest for flag, settings in (options or {}).items()}
    names -= {flag.strip("-") for flag in views or {}}  # of a view that was renamed

    def work() -> int:
        args = parser.parse(argv)
        config = build_config(config_class, stage, read_tables(args.root, args.config, args.overrides))
        for flag, view in (views or {}).items():
            if (value := getattr(args, flag.strip("-"))) is not None:
                print(strip_control(view.show(config, args.root, value)))
                return EXIT_DONE
        catch_signals()
        with contextlib.nullcontext() if follows else run_lock(args.root):
            start_logging(None if follows else args.root, args.quiet or follows)
            logger.log(DETAIL, "%s: %s", stage, config)
            die_with_parent()
            stats = measured(lambda: run(config, args.root, **{name: getattr(args, name) for name in names}))
            logger.info("%s", strip_control(stats.summary()))
            if args.json and not follows:
                print(stats.to_json(), flush=True)
        return EXIT_DONE

    return guarded(f"{stage}.py", work)


def measured(work: Callable[[], StageStats]) -> StageStats:
    """What `work` returns, with its time and its peak of memory."""
    memory, started = PeakMemory(), time.monotonic()
    memory.start()
    try:
        stats = work()
    finally:
        peak_mb = memory.stop()
    stats.elapsed_sec, stats.peak_mb = round(time.monotonic() - started, 2), round(peak_mb, 1)
    return stats
