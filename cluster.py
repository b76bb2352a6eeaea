"""Cluster: extract, validate, clean and tokenize more pages than one machine can hold, on many cores or machines.

Reads   INPUT...      files and folders as extract.py --import takes them: WARC, JSON lines, Parquet, ...; s3://, hf://
Writes  DIR/raw, DIR/clean, DIR/rejected   JSON lines;  DIR/train.bin, val.bin and what belongs to them
Alone   python3 cluster.py --executor local --workers 8 --out DIR INPUT...
        python3 cluster.py --executor slurm --sbatch partition=cpu --out DIR INPUT...
        python3 cluster.py --executor ray --out DIR INPUT...

The kept documents, their texts and the reasons for rejecting the others are those of run.py on the same inputs. All
machines must see DIR. The same command continues a job that was stopped or failed.
"""

from __future__ import annotations

from miniature_memory.core.interpreter import setup_command, use_own_python

if __name__ == "__main__":
    use_own_python()

import argparse
import importlib.util
import logging
import os
from pathlib import Path

from miniature_memory.cluster import job as jobs
from miniature_memory.cluster.sources import list_sources
from miniature_memory.core.command_line import ArgumentParser, common_arguments, guarded
from miniature_memory.core.config import read_tables
from miniature_memory.core.errors import EXIT_DONE, StageError
from miniature_memory.core.log import print_messages
from miniature_memory.core.paths import make_folder
from miniature_memory.core.process import catch_signals, file_lock
from miniature_memory.core.stage import StageStats
from miniature_memory.core.text import strip_control
from miniature_memory.storage.files import QUERIES, read_list

EXECUTORS = ("local", "slurm", "ray")


def run(args: argparse.Namespace) -> list[StageStats]:
    """What each stage did."""
    if not importlib.util.find_spec("datatrove"):
        raise StageError("datatrove is not installed.", "the packages of requirements-cluster.txt.",
                         f"{setup_command()} --with cluster")
    from miniature_memory.cluster import driver

    settings = read_tables(args.root, args.config, args.overrides)
    jobs.check(settings)
    sources = list(list_sources(args.inputs))
    if not sources:
        raise StageError(f"{' '.join(args.inputs)} holds no file.", "at least one file.", "name other inputs.")
    work = make_folder(args.out / "work")
    workers = args.workers or (os.cpu_count() or 1 if args.executor == "local" else jobs.MOST_TASKS)
    queries = read_list(args.root / QUERIES) if settings["clean"]["min_topic_fit"] else []
    with file_lock(work / "lock", args.out):
        job = jobs.begin(jobs.plan(args.out, sources, workers, settings, queries))
        return driver.run(job, args.executor, args.workers, dict(args.sbatch))


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = ArgumentParser("cluster.py", __doc__, positional="--out DIR INPUT...")
    parser.add_argument("inputs", nargs="+", metavar="INPUT", help="files and folders, here or at s3:// or hf://")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="the folder of the result")
    parser.add_argument("--executor", choices=EXECUTORS, default="local", help="where it runs (default: local)")
    parser.add_argument("--workers", type=int, default=0, metavar="N",
                        help="tasks at once (default: one per core; on a cluster, as many as fit)")
    parser.add_argument("--sbatch", type=_key_and_value, action="append", default=[], metavar="KEY=VALUE",
                        help="with slurm: an option of sbatch, such as partition=cpu; may be repeated")
    common_arguments(parser)
    args = parser.parse(argv)
    if args.workers < 0:
        parser.error(f"argument --workers: {args.workers}; expected 0 or more")
    if args.sbatch and args.executor != "slurm":
        parser.error("--sbatch needs --executor slurm")
    out = Path(os.path.realpath(args.out))
    if above := [folder for folder in args.inputs if out.is_relative_to(os.path.realpath(folder))]:
        parser.error(f"argument --out: {args.out} is in {above[0]}, of which all is read; expected a folder elsewhere")
    return args


def _key_and_value(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key.replace("-", "").isalnum() or not value.isprintable():
        raise argparse.ArgumentTypeError(f"{text!r}; expected KEY=VALUE, such as partition=cpu")
    return key, value


def main(argv: list[str] | None = None) -> int:
    def work() -> int:
        args = parse_args(argv)
        catch_signals()
        print_messages(args.quiet)
        for stats in run(args):
            logging.getLogger(__name__).info("%s", strip_control(stats.summary()))
        return EXIT_DONE

    return guarded("cluster.py", work)


if __name__ == "__main__":
    raise SystemExit(main())
