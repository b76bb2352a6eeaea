"""Run: the whole night in one command: search, scrape, extract, validate, clean, prepare, train, sample.

    python3 run.py                          everything, for the topic in config/queries.txt
    python3 run.py --demo                   everything, with the built-in sample site as the web
    python3 run.py --skip-validation --skip-cleaning
    python3 run.py --only train --set train.max_minutes=30
    python3 run.py --topic "bread baking"   everything, for a topic in a folder of its own; --topics lists them
    python3 run.py --status                 what was collected and learned so far
    python3 run.py --doctor                 whether everything is there that a run needs

Imports no stage: each runs in a fresh interpreter, so that memory goes back to the system between them and a crash
stays where it is. Exit codes: 0 done, 1 a stage could not go on, 2 bad command line or configuration, 75 another run
holds the lock, 130 and 143 stopped by SIGINT or SIGTERM after saving.
"""

from __future__ import annotations

from miniature_memory.core.interpreter import use_own_python

if __name__ == "__main__":
    use_own_python()

import argparse
import contextlib
import dataclasses
import json
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from miniature_memory.core import topic_folders
from miniature_memory.core.config import Tables, read_tables
from miniature_memory.core.errors import EXIT_DONE, EXIT_STAGE, StageError, Stopped
from miniature_memory.core.log import start_logging
from miniature_memory.core.paths import PROJECT, root_option, shown
from miniature_memory.core.process import LOCK_FD_VARIABLE, PARENT_VARIABLE, catch_signals, run_lock
from miniature_memory.core.stage import ArgumentParser, StageStats, common_arguments, guarded
from miniature_memory.core.text import timestamp
from miniature_memory.crawl import new_topic
from miniature_memory.crawl.outcomes import in_words
from miniature_memory.demo_site.demo import demo_web
from miniature_memory.storage.catalog import Catalog
from miniature_memory.storage.files import append_line
from miniature_memory.views import status, topics

logger = logging.getLogger(__name__)

# stage -> its skip flag, in the order of the data
STAGES = {"search": "--skip-search", "scrape": "--skip-scraping", "extract": "--skip-extraction",
          "validate": "--skip-validation", "clean": "--skip-cleaning", "prepare": "--skip-preparation",
          "train": "--skip-training"}
COLLECTING = ("search", "scrape", "extract")
PROCESSING = ("validate", "clean", "prepare")
COLLECTING_SHARE = {"search": 0.1, "scrape": 0.3}  # of --max-minutes; training gets what is left. Guess
REPORT_SEC = 120  # after which a report is given up; a second is usual


# --- command line --------------------------------------------------------------------------------


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = ArgumentParser(prog="run.py", description=__doc__)
    common_arguments(parser)
    parser.add_argument("--demo", action="store_true",
                        help="use the built-in sample site as the web, in the folder demo/ (or that of --root)")
    parser.add_argument("--topic", metavar="WORDS", help="a topic of its own, in the folder topics/")
    parser.add_argument("--topics", action="store_true", help="list the topics, and run nothing")
    parser.add_argument("--status", action="store_true", help="what was collected and learned so far; runs nothing")
    parser.add_argument("--doctor", action="store_true", help="is everything there that a run needs? Runs nothing")
    parser.add_argument("--report", action="store_true", help="write data/report.html; runs nothing")
    parser.add_argument("--json", action="store_true", help="with --topics, --status or --doctor: one JSON object")
    parser.add_argument("--only", choices=STAGES, metavar="STAGE", help=f"run one stage: {', '.join(STAGES)}")
    parser.add_argument("--warc", nargs="+", type=Path, default=[], metavar="FILE",
                        help="with --only extract: read these WARC files rather than the crawl's")
    parser.add_argument("--files", nargs="+", type=Path, default=[], metavar="PATH",
                        help="with --only extract: read local files and folders: .html .txt .md .jsonl")
    parser.add_argument("--max-minutes", type=_minutes, metavar="N",
                        help="the whole run's time, divided between collecting and training")
    for stage, flag in STAGES.items():
        parser.add_argument(flag, action="append_const", const=stage, dest="skip", default=[],
                            help=f"pause {stage}: its place is kept")
    args = parser.parse_args(argv)
    if (args.warc or args.files) and args.only != "extract":
        parser.error("--warc and --files go with --only extract")
    views = args.topics + args.status + args.doctor + args.report
    if views > 1 or (views and (args.only or args.skip or args.max_minutes)):
        parser.error("--topics, --status, --doctor and --report run nothing, and are asked one at a time")
    if args.json and not views:
        parser.error("--json goes with --topics, --status or --doctor")
    if args.topic is not None and (args.demo or args.topics):
        parser.error("--topic does not go with --demo or --topics")
    if args.topic is not None:
        args.root = topic_folders.folder(args.root, args.topic)
    if args.demo and args.root == PROJECT:
        args.root = PROJECT / "demo"
    return args


def flags_of(args: argparse.Namespace) -> str:
    """What a command line needs to mean the root of this one."""
    own = args.demo and args.root == PROJECT / "demo"
    return (" --demo" if args.demo else "") + ("" if own else root_option(args.root))


def _minutes(text: str) -> float:
    value = float(text)
    if not 0 < value < 1e6:
        raise argparse.ArgumentTypeError(f"{text} minutes; expected more than 0")
    return value


def stages_to_run(only: str | None, skip: list[str]) -> list[str]:
    """The stages of this run, in order."""
    if only:
        return [only]
    stages = [stage for stage in STAGES if stage not in skip]
    if all(stage in skip for stage in PROCESSING) and "train" in stages:
        logger.info("search, scrape and extract are skipped too: no new page could pass on to the trainer")
        stages = ["train"]
    return stages


# --- one stage -----------------------------------------------------------------------------------


@dataclasses.dataclass
class Night:
    """One run: what it was asked to do, and what came of it so far."""

    args: argparse.Namespace
    tables: Tables
    lock: int
    started: float
    overrides: list[str]  # laid under the user's own: the demonstration's
    reports: list[StageStats] = dataclasses.field(default_factory=list)

    def report(self, stage: str) -> StageStats | None:
        return next((report for report in self.reports if report.stage == stage), None)


def command_of(night: Night, script: str) -> list[str]:
    args = night.args
    command = [sys.executable, str(PROJECT / script), "--root", str(args.root)]
    command += ["--config", str(args.config)] if args.config else []
    for override in [*night.overrides, *args.overrides]:
        command += ["--set", override]
    return command + (["--quiet"] if args.quiet else [])


def time_limits(night: Night, stage: str) -> list[str]:
    """The stage's part of --max-minutes, as a setting; never more than its own max_minutes."""
    if not night.args.max_minutes or "max_minutes" not in night.tables[stage]:
        return []
    left = night.args.max_minutes - (time.monotonic() - night.started) / 60
    part = night.args.max_minutes * COLLECTING_SHARE[stage] if stage in COLLECTING_SHARE else left
    if stage in COLLECTING_SHARE:
        part = min(part, night.tables[stage]["max_minutes"])
    return ["--set", f"{stage}.max_minutes={max(part, 0.05):.3f}"]


def run_stage(night: Night, stage: str) -> int:
    """Run one stage in a fresh interpreter and keep its StageStats. Returns its exit code."""
    logger.info("--- %s", stage)
    environment = {**os.environ, LOCK_FD_VARIABLE: str(night.lock), PARENT_VARIABLE: str(os.getpid())}
    command = command_of(night, f"{stage}.py") + time_limits(night, stage)
    for flag, paths in (("--warc", night.args.warc), ("--files", night.args.files)):
        command += [flag, *map(str, paths)] if paths else []  # only ever given for extract
    process = subprocess.Popen(command, stdout=subprocess.PIPE,
                               env=environment, pass_fds=[night.lock], start_new_session=True)
    try:
        output = process.communicate()[0]
    except Stopped as stop:  # the stage has a session of its own, so that it hears of the signal once, from here
        process.send_signal(stop.exit_code - 128)
        process.communicate()
        raise
    if process.returncode == EXIT_DONE:
        night.reports.append(StageStats.from_json(output.decode().strip().split("\n")[-1]))
    elif process.returncode < 0:
        name = signal.Signals(-process.returncode).name
        logger.error("%s was ended by %s. What it had committed is kept; the same command goes on. If it was the "
                     "system that ran out of memory (python3 run.py --doctor tells how much there is), choose a "
                     "smaller train.batch_size.", stage, name)
        return EXIT_STAGE
    return process.returncode


# --- the whole run -------------------------------------------------------------------------------


def run_all(night: Night, stages: list[str]) -> int:
    """Run `stages` in order until one fails; fall back to the demonstration if there is nothing to learn from."""
    for stage in STAGES:
        if stage not in stages:
            tell_waiting(night, stage)
            continue
        if stage == "validate" and night.report("search") and night.report("scrape") and is_empty(night.args.root):
            return fall_back(night)
        code = run_stage(night, stage)
        if code != EXIT_DONE:
            return code
    if night.report("train") and not night.args.only:
        return show_result(night)
    if night.args.only:
        print(night.reports[-1].to_json())
    return EXIT_DONE


def tell_waiting(night: Night, stage: str) -> None:
    """Say how much waits before a skipped stage."""
    if night.args.only or stage not in night.args.skip or not (night.args.root / "data/catalog.sqlite3").exists():
        return
    with Catalog(night.args.root) as catalog:  # may be the first to open it, and then migrates it
        table, until = {"extract": ("pages", None), "validate": ("documents", None),
                        "clean": ("documents", catalog.cursor("validate")),
                        "prepare": ("clean_documents", None)}.get(stage, ("", None))
        if table and (waiting := catalog.count_new(stage, table, until)):
            logger.info("--- %s is skipped: %d %s wait there", stage, waiting, table.replace("_", " "))


def is_empty(root: Path) -> bool:
    with Catalog(root, read_only=True) as catalog:
        return not catalog.value("SELECT 1 FROM pages LIMIT 1") and not catalog.value("SELECT 1 FROM documents LIMIT 1")


def fall_back(night: Night) -> int:
    """No page from anywhere and no documents: run the demonstration instead, in a root of its own."""
    search, scrape = night.report("search"), night.report("scrape")
    outcomes = search.facts.get("providers", {}) if search else {}
    tried = "; ".join(f"{name}: {in_words(outcome)}" for name, outcome in outcomes.items()) or "no providers"
    pages = ", ".join(f"{reason} {n}" for reason, n in scrape.dropped.items()) if scrape else ""
    tried += f". Pages: {pages}" if pages else ""
    if night.args.demo or not night.tables["run"]["sample_fallback"]:
        raise StageError(f"No page could be fetched and the dataset is empty ({tried}).", "at least one page.",
                         f"look with python3 run.py{flags_of(night.args)} --doctor what is in the way, or see a whole "
                         "run on built-in pages with python3 run.py --demo.")
    logger.info("\nNo page could be fetched and the dataset is empty. Tried: %s.\n"
                "Running the demonstration on the built-in sample site instead; data/ stays as it is for your own "
                "topic.\n", tried)
    demo = argparse.Namespace(**vars(night.args))
    demo.root, demo.demo = night.args.root / "demo", True
    return run_locked(demo, night.tables, night.started)


def show_result(night: Night) -> int:
    """Keep samples for the report; print a few, the validation bits per byte, and where things lie."""
    root, train = night.args.root, night.report("train")
    if not (root / "checkpoints" / "release.pt").exists():
        return EXIT_DONE
    if not night.args.quiet:
        print(flush=True)
    code = subprocess.run([*command_of(night, "sample.py"), "--keep"], check=False).returncode
    if night.args.quiet:
        return code
    facts = train.facts if train else {}
    with Catalog(root, read_only=True) as catalog:
        documents = catalog.value("SELECT count(*) FROM clean_documents")
    where = shown(root)
    bits = facts.get("val_bpb")
    rows = {"validation": f"{bits:.3f} bits per byte after {facts['iter_num']:,} iterations" if bits else "",
            "dataset": f"{os.path.join(where, 'data')} ({documents:,} documents)",
            "model": os.path.join(where, "checkpoints", "release.pt"),
            "report": os.path.join(where, "data", "report.html"),
            "history": f"{os.path.join(where, 'data', 'runs.jsonl')}; run.log beside it",
            "more": f"python3 run.py{flags_of(night.args)} goes on from here; --status tells how it grows"}
    print("\n" + "\n".join(f"{name:<12}{value}" for name, value in rows.items() if value), flush=True)
    return code


def run_locked(args: argparse.Namespace, tables: Tables, started: float) -> int:
    """One run under the root's lock, with a line in data/runs.jsonl whatever came of it."""
    with run_lock(args.root) as lock, contextlib.ExitStack() as stack:
        start_logging(args.root, args.quiet)
        began = timestamp()
        night = Night(args, tables, lock, started, [])
        code: int | None = None
        try:
            if args.demo:
                night.overrides = stack.enter_context(demo_web(args.root))
            code = run_all(night, stages_to_run(args.only, args.skip))
        except Stopped as stop:
            code = stop.exit_code
            raise
        except StageError:
            code = EXIT_STAGE
            raise
        finally:
            line: dict[str, Any] = {"started": began, "finished": timestamp(), "exit_code": code,
                                    "reports": [report.to_dict() for report in night.reports]}
            append_line(args.root / "data" / "runs.jsonl", json.dumps(line, ensure_ascii=False))
            if not args.only:
                write_report(night)
    return code


def write_report(night: Night) -> None:
    """data/report.html, in an interpreter of its own; whatever happens to it is no fault of the run."""
    try:
        subprocess.run([*command_of(night, "run.py"), "--report"], stdout=subprocess.DEVNULL, start_new_session=True,
                       check=False, timeout=REPORT_SEC)
    except (OSError, subprocess.TimeoutExpired) as error:
        logger.warning("the report was not written (%s); python3 run.py --report does it", type(error).__name__)


def main(argv: list[str] | None = None) -> int:
    def work() -> int:
        args = parse_args(argv)
        if args.topics:
            return topics.show(args.root, args.json)
        tables = read_tables(args.root, args.config, args.overrides)
        catch_signals()
        if args.status:
            return status.show(args.root, tables, flags_of(args), args.json, args.demo)
        if args.report:
            from miniature_memory.views import report  # a tenth of a second that the others need not wait for

            return report.write(args.root, tables, args.quiet)
        if args.doctor:
            from miniature_memory.views import doctor  # a tenth of a second that the others need not wait for

            return doctor.show(doctor.examine(args.root, tables, args.config, args.overrides, args.demo), args.json)
        if args.topic is not None:
            start_logging(args.root, args.quiet)
            if new_topic.begin(args.root, args.topic, tables):
                tables = read_tables(args.root, args.config, args.overrides)  # the topic's own settings are new
        return run_locked(args, tables, time.monotonic())

    return guarded("run.py", work)


if __name__ == "__main__":
    raise SystemExit(main())
