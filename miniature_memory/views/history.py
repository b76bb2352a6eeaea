"""The history of runs, data/runs.jsonl."""

from __future__ import annotations

import json
import math
from datetime import datetime
from pathlib import Path
from typing import Any

from miniature_memory.core.findings import BAD, NOTE, Finding
from miniature_memory.core.stage import StageStats

Facts = dict[str, Any]  # what --json prints

HISTORY_BYTES = 1 << 20  # of the run history, from its end: some 300 runs


# --- the run history -----------------------------------------------------------------------------


def read_runs(root: Path, problems: list[Finding]) -> list[Facts]:
    """The last runs, oldest first, as run.py wrote them; damaged lines are counted into `problems`."""
    try:
        with open(root / "data/runs.jsonl", "rb") as stream:
            size = stream.seek(0, 2)
            stream.seek(max(0, size - HISTORY_BYTES))
            lines = stream.read(HISTORY_BYTES).splitlines()[1 if size > HISTORY_BYTES else 0:]
    except FileNotFoundError:
        return []
    except OSError as error:
        problems.append(Finding("history", BAD, f"data/runs.jsonl cannot be read ({error.strerror}).",
                             f"check its owner: ls -l {root}/data/runs.jsonl"))
        return []
    runs = [run for line in lines if (run := parse_run(line))]
    if damaged := len(lines) - len(runs):
        problems.append(Finding("history", NOTE, f"{damaged} of {len(lines)} lines of data/runs.jsonl, the history of "
                             "the runs, cannot be read and are passed over.",
                             "no stage needs these lines: leave them, or remove them."))
    return runs


def parse_run(line: bytes) -> Facts | None:
    """One run, its reports as Reports; None if the line is damaged."""
    try:
        run = json.loads(line)
        reports = [StageStats.from_json(json.dumps(report)) for report in run["reports"]]
        sound = (all(isinstance(report.stage, str) and isinstance(report.facts, dict)
                     and isinstance(report.n_in + report.n_out + sum(report.dropped.values()), int)
                     for report in reports)
                 and isinstance(run["exit_code"], int | None) and to_time(run["started"]) and to_time(run["finished"]))
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError):
        return None
    return {**run, "reports": reports} if sound else None


def to_time(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone()


def last_report(runs: list[Facts], stage: str) -> StageStats | None:
    reports = (report for run in reversed(runs) for report in run["reports"] if report.stage == stage)
    return next(reports, None)


def bits_history(runs: list[Facts]) -> list[Facts]:
    """Validation bits per byte after each run that trained: of all text, of what was old then, of what was new."""
    points = [{"at": run["finished"], **{part: number(report.facts.get(f"val_bpb{suffix}"))
                                         for part, suffix in (("all", ""), ("old", "_old"), ("new", "_new"))}}
              for run in runs for report in run["reports"] if report.stage == "train"]
    return [point for point in points if point["all"] is not None]


def number(value: Any) -> float | None:
    """`value` if it is a number that can be shown."""
    return value if isinstance(value, int | float) and math.isfinite(value) else None
