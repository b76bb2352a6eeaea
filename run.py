"""Run: everything in one command: search, scrape, extract, validate, clean, prepare, train, sample.

    python3 run.py           everything, for the topic in config/queries.txt
    python3 run.py --demo    everything, with the built-in sample site as the web
    python3 run.py --texts book.txt    everything but the web: learn from your own texts

Each stage runs in its own interpreter, so that memory returns to the system between them and a crash stays in its
stage. Exit codes: 0 done, 1 a stage cannot continue, 2 bad command line or configuration, 75 another run holds the
lock, 130 and 143 stopped by SIGINT or SIGTERM after saving.
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
import subprocess
import time

from miniature_memory.core import scripts
from miniature_memory.core.command_line import guarded
from miniature_memory.core.config import Tables, read_tables
from miniature_memory.core.errors import EXIT_DONE, StageError, Stopped
from miniature_memory.core.log import start_logging
from miniature_memory.core.paths import DEMO, PROJECT, command, shown
from miniature_memory.core.process import catch_signals, run_lock
from miniature_memory.core.run_options import STAGES, parse_args, stage_options
from miniature_memory.core.stage import StageStats
from miniature_memory.core.text import counted, timestamp
from miniature_memory.crawl.outcomes import attempts, private_seeds, unread_seeds
from miniature_memory.demo_site.demo import demo_web
from miniature_memory.providers import new_topic
from miniature_memory.storage import counts, disk, forgotten, shards
from miniature_memory.storage.catalog import Catalog
from miniature_memory.views import history, outcome, status, topics

logger = logging.getLogger(__name__)

PROCESSING = ("validate", "clean", "prepare")
COLLECTING_SHARE = {"search": 0.1, "scrape": 0.3}  # of --max-minutes; training gets the rest. Guess
REPORT_SEC = 120  # after which the report is given up; a second is usual


@dataclasses.dataclass
class Run:
    """What the command line asks for, and what came of it so far."""

    args: argparse.Namespace
    tables: Tables
    lock: int
    started: float
    overrides: list[str] = dataclasses.field(default_factory=list)  # the demonstration's; the user's own win
    stats: dict[str, StageStats] = dataclasses.field(default_factory=dict)  # stage -> its counters

    def command_line(self, script: str) -> list[str]:
        args = self.args
        overrides = [*self.overrides, *args.overrides]
        return scripts.command_line(script, scripts.Options(args.root, args.config, overrides, args.quiet))

    def again(self, *options: str) -> str:
        """The shell command that means this root."""
        return command("run.py", self.args.root, *["--demo"] * self.args.demo, *options)


# --- the run -------------------------------------------------------------------------------------


def run_locked(args: argparse.Namespace, tables: Tables, started: float) -> int:
    """One run under the root's lock, with one line in data/runs.jsonl, whatever comes of it."""
    with run_lock(args.root) as lock, contextlib.ExitStack() as stack:
        start_logging(args.root, args.quiet)
        run, began = Run(args, tables, lock, started), timestamp()
        code: int | None = None
        try:
            shards.claim(args.root, args.shard)
            if args.demo:
                run.overrides = stack.enter_context(demo_web(args.root))
            if args.forget or args.purge:
                from miniature_memory.forgetting import command as forgetting  # takes 0.2 s, as numpy does
                code = forgetting.run(args, lambda stages: run_all(run, stages))
            else:
                code = run_all(run, stages_to_run(args.only, args.skip + ["search", "scrape"] * bool(args.texts)))
            disk.keep_within(args.root, tables["storage"]["max_gb"])
        except (Stopped, StageError, BrokenPipeError) as error:  # the last: the reader of our lines has seen enough
            code = getattr(error, "exit_code", EXIT_DONE)
            raise
        finally:
            history.write(args.root, began, code, run.stats.values())
            if not args.only:
                write_report(run, code)
    return code


def stages_to_run(only: str | None, skip: list[str]) -> list[str]:
    """The stages of this run, in order."""
    if only:
        return [only]
    stages = [stage for stage in STAGES if stage not in skip]
    if all(stage in skip for stage in PROCESSING) and "train" in stages:
        logger.info("search, scrape and extract are skipped too: no new page could reach the trainer")
        stages = ["train"]
    return stages


def run_all(run: Run, stages: list[str]) -> int:
    """Run `stages` in order until one fails; fall back to the demonstration if there is nothing to learn from."""
    for stage in STAGES:
        if stage not in stages:
            log_waiting(run, stage)
            continue
        if stage == "validate" and {"search", "scrape"} <= run.stats.keys() and outcome.is_empty(run.args.root):
            return fall_back(run)
        if stage == "train":
            outcome.check_kept(run.args.root, run.stats, bool(run.args.texts))
        logger.info("--- %s", stage)
        command = [*run.command_line(f"{stage}.py"), "--json", *time_limit(run, stage), *stage_options(run.args, stage)]
        code, stats = scripts.run_stage(stage, command, run.lock, run.args.root)
        if stats is None:
            return code
        run.stats[stage] = stats
    if run.args.only and run.args.json:
        print(run.stats[run.args.only].to_json())
    elif "train" in run.stats and not (run.args.only or run.args.json):
        return show_result(run)
    return EXIT_DONE


def time_limit(run: Run, stage: str) -> list[str]:
    """The stage's part of --max-minutes, as a setting; never more than its own max_minutes."""
    minutes = run.args.max_minutes
    if not minutes or "max_minutes" not in run.tables[stage]:
        return []
    part = minutes - (time.monotonic() - run.started) / 60
    if stage in COLLECTING_SHARE:
        part = min(minutes * COLLECTING_SHARE[stage], run.tables[stage]["max_minutes"])
    return ["--set", f"{stage}.max_minutes={max(part, 0.05):.3f}"]


def log_waiting(run: Run, stage: str) -> None:
    """Log how much waits for a skipped stage."""
    if run.args.only or stage not in run.args.skip or not (run.args.root / "data/catalog.sqlite3").exists():
        return
    with Catalog(run.args.root) as catalog:  # may be the first to open it, and then migrates it
        waiting = counts.read(catalog).waiting.get(stage, 0)
    if waiting:
        what = {"extract": "page", "prepare": "clean document"}.get(stage, "document")
        logger.info("--- %s is skipped: %s waiting for it", stage, counted(waiting, what))


def fall_back(run: Run) -> int:
    """No page from anywhere and no documents: a plain python3 run.py runs the demonstration instead, others fail.

    So does one whose seeds could all not be read: whoever listed them has something to correct.
    """
    facts, root, rejected = run.stats["search"].facts, run.args.root, run.stats["scrape"].dropped
    tried, seeds = attempts(facts, rejected), shown(root / "config/seeds.txt")
    unread = unread_seeds(facts, rejected, is_own_list=root != PROJECT)
    if not unread:
        outcome.check_shard(root)
    if unread or root != PROJECT or run.args.quiet:
        allow = (f"set allow_private = {json.dumps(private)} under [web] in {shown(root / 'config/default.toml')}, if "
                 "these addresses are yours; or " if (private := private_seeds(facts)) else "")
        raise StageError(f"None of the seeds in {seeds} could be read ({unread})." if unread else
                         f"No page could be fetched and the dataset is empty ({tried}).", "at least one page.",
                         forgotten.first_run(root) if "forgotten" in f"{unread} {tried}" else f"{allow}find the cause "
                         f"with {run.again('--doctor')}, or see a whole run without the web: {command('run.py', DEMO)}")
    logger.info("\nNo page could be fetched, for the reasons above, and the dataset is empty.\n"
                "Running the demonstration on built-in pages instead. This is Shakespeare, not your topic: it is in "
                "demo/, and data/ stays empty.\n")
    overrides = [one for one in run.args.overrides if not one.strip().startswith(("search.", "web."))]  # of the web
    others = {"root": run.args.root / "demo", "demo": True, "overrides": overrides, "handover": []}
    return run_locked(argparse.Namespace(**vars(run.args) | others), run.tables, run.started)


# --- the result ----------------------------------------------------------------------------------


def show_result(run: Run) -> int:
    """Keep samples for the report; print a few, the validation bits per byte, and where everything is."""
    root, facts = run.args.root, run.stats["train"].facts
    if not (root / "checkpoints" / "release.pt").exists():
        return EXIT_DONE
    if not run.args.quiet:
        print(flush=True)
    code, _ = scripts.run_script([*run.command_line("sample.py"), "--keep"])
    if run.args.quiet:
        return code
    print("\n" + outcome.rows(root, facts, run.again(), bool(run.tables["search"]["providers"])), flush=True)
    return code


def write_report(run: Run, code: int | None) -> None:
    """Write data/report.html in an interpreter of its own; its failure does not fail the run."""
    try:
        subprocess.run([*run.command_line("run.py"), "--report"], stdout=subprocess.DEVNULL, start_new_session=True,
                       stderr=subprocess.DEVNULL if code else None, check=False, timeout=REPORT_SEC)
    except (OSError, subprocess.TimeoutExpired) as error:
        logger.warning("the report was not written (%s). Fix: %s", type(error).__name__, run.again("--report"))


# --- the command -----------------------------------------------------------------------------------


def main(argv: list[str] | None = None) -> int:
    def work() -> int:
        args = parse_args(argv, __doc__)
        catch_signals()
        if args.topics:
            return topics.show(args.root, args.json)
        if args.find is not None:
            from miniature_memory.views import find  # only this needs it
            return find.show(args.root, args.find, args.json)
        tables = read_tables(args.root, args.config, args.overrides)
        if args.status:
            return status.show(args.root, tables, args.json, args.demo)
        if args.dry_run:
            from miniature_memory.forgetting import command as forgetting
            return forgetting.preview(args)
        if args.forget:
            from miniature_memory.forgetting import targets
            targets.read_targets(args.forget)  # a bad one ends here, where it is no failed run
        if args.report:
            from miniature_memory.views import report  # takes 0.1 s, as the doctor does
            return report.write(args.root, tables, args.quiet)
        if args.doctor:
            from miniature_memory.views import doctor
            return doctor.show(doctor.examine(args.root, tables, args.config, args.overrides, args.demo, args.ask_paid),
                               args.json)
        from miniature_memory.views import settings  # takes 0.04 s, which --status has not

        settings.check(tables, "train" not in args.skip and args.only in (None, "train"), args.root)
        if args.topic is not None or args.texts:
            start_logging(args.root, args.quiet)
            words = args.topic or args.root.name.replace("-", " ")
            if new_topic.begin(args.root, words, tables, args.overrides, bool(args.texts), args.language):
                tables = read_tables(args.root, args.config, args.overrides)  # the topic's own settings are new
        return run_locked(args, tables, time.monotonic())

    return guarded("run.py", work)


if __name__ == "__main__":
    raise SystemExit(main())
