"""The run history, data/runs.jsonl, for status, topics, report and the notebook. Forgives whatever a line holds."""

import json
import logging
import math
from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from miniature_memory.core.errors import cannot_read, disk_error
from miniature_memory.core.findings import BAD, NOTE, Finding
from miniature_memory.core.log import DETAIL
from miniature_memory.core.paths import shown
from miniature_memory.core.process import uninterrupted
from miniature_memory.core.stage import StageStats
from miniature_memory.core.text import timestamp
from miniature_memory.storage.files import append_line, read_lines

logger = logging.getLogger(__name__)

LAST_RUNS_BYTES = 1 << 20  # from the file's end: some 300 runs, read in a few milliseconds
MOST = 1e15  # larger numbers are damage


class Run(NamedTuple):
    number: int  # of the line, from 1
    started: str
    finished: str
    exit_code: int | None  # None: the program itself failed
    stages: dict[str, StageStats]  # those that finished, in order

    def figure(self, stage: str, key: str) -> float | None:
        """One of a stage's own numbers, such as train's val_bpb."""
        return number(self.stages[stage].facts.get(key)) if stage in self.stages else None


class History(NamedTuple):
    runs: list[Run]  # oldest first
    problems: list[Finding]


def write(root: Path, began: str, exit_code: int | None, stages: Iterable[StageStats]) -> None:
    """Add the line of a run that ends now. That it cannot be written fails no run, and after a failure is no news."""
    line = {"started": began, "finished": timestamp(), "exit_code": exit_code,
            "stages": [stats.to_dict() for stats in stages]}
    try:
        with uninterrupted():
            append_line(root / "data/runs.jsonl", json.dumps(line, ensure_ascii=False))
    except OSError as error:
        logger.log(DETAIL if exit_code else logging.WARNING, "%s", disk_error(error) or error)


def read_history(root: Path, last_bytes: int = LAST_RUNS_BYTES) -> History:
    path = root / "data/runs.jsonl"
    try:
        open(path, "rb").close()
    except FileNotFoundError:
        return History([], [])
    except OSError as error:
        known = cannot_read(path, error)
        return History([], [Finding("history", BAD, known.found, known.fix)])
    parsed = [parse_run(n, line) for n, line in enumerate(read_lines(path, last_bytes), 1)]
    runs = [run for run in parsed if run]
    if len(runs) == len(parsed):
        return History(runs, [])
    return History(runs, [Finding(
        "history", NOTE, f"{len(parsed) - len(runs)} of {len(parsed)} lines of {shown(path)}, the run history, cannot "
        "be read and are ignored.", "delete these lines, or leave them: no stage needs them.")])


def parse_run(n: int, line: dict[str, Any]) -> Run | None:
    """One line; None if it is damaged. A stage or a number that makes no sense is ignored."""
    started, finished, code = line.get("started"), line.get("finished"), line.get("exit_code")
    stages = line.get("stages", line.get("reports"))  # "reports" in lines of earlier releases
    if not (isinstance(stages, list) and is_time(started) and is_time(finished) and isinstance(code, int | None)):
        return None
    found = filter(None, map(parse_stage, stages))
    return Run(n, str(started), str(finished), code, {stats.stage: stats for stats in found})


def parse_stage(values: object) -> StageStats | None:
    if not isinstance(values, dict) or not isinstance(values.get("stage"), str):
        return None
    counters, facts = numbers(values), values.get("facts")
    return StageStats(
        values["stage"], int(counters.get("n_in", 0)), int(counters.get("n_out", 0)),
        Counter({reason[:60]: int(n) for reason, n in numbers(values.get("dropped")).items()}),
        int(counters.get("bytes_written", 0)), counters.get("elapsed_sec", 0.0), counters.get("peak_mb", 0.0),
        facts if isinstance(facts, dict) else {})


def number(value: object) -> float | None:
    """A finite number of a plausible size, else None."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not -MOST < value < MOST:
        return None
    return value if math.isfinite(value) else None


def numbers(values: object) -> dict[str, float]:
    """The entries of a table that are numbers."""
    found = {key: number(value) for key, value in values.items()} if isinstance(values, dict) else {}
    return {key: value for key, value in found.items() if value is not None}


def is_time(text: object) -> bool:
    try:
        return isinstance(text, str) and bool(to_time(text))
    except (ValueError, ArithmeticError):
        return False


def to_time(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone()


def last_stats(runs: list[Run], stage: str) -> StageStats | None:
    return next((run.stages[stage] for run in reversed(runs) if stage in run.stages), None)


def bits_history(runs: Iterable[Run]) -> list[dict[str, Any]]:
    """Validation bits per byte after each run that trained: of all text, of the old text then, of the new."""
    points = [{"at": run.finished, **{part: run.figure("train", f"val_bpb{suffix}")
                                      for part, suffix in (("all", ""), ("old", "_old"), ("new", "_new"))}}
              for run in runs]
    return [point for point in points if point["all"] is not None]
