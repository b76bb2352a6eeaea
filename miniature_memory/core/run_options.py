"""The command line of run.py."""

import argparse
import os.path
from pathlib import Path

from miniature_memory.core import languages, topic_folders
from miniature_memory.core.command_line import ArgumentParser, OldSpelling, common_arguments, path_or_address
from miniature_memory.core.paths import PROJECT
from miniature_memory.core.shards import Shard

# stage -> its skip flag, in the order of the data
STAGES = {"search": "--skip-search", "scrape": "--skip-scraping", "extract": "--skip-extraction",
          "validate": "--skip-validation", "clean": "--skip-cleaning", "prepare": "--skip-preparation",
          "train": "--skip-training"}
VIEWS = {"status": "what was collected and learned so far", "topics": "the topics, and how much each holds",
         "doctor": "whether everything a run needs is there", "report": "write data/report.html"}


def parse_args(argv: list[str] | None, description: str | None = None) -> argparse.Namespace:
    parser = ArgumentParser("run.py", description, begins_topics=True)
    add_arguments(parser)
    args = parser.parse(argv)
    if (args.warc or args.files) and args.only != "extract":
        parser.error("--warc and --import need --only extract")
    n_views = sum(getattr(args, view) for view in VIEWS) + (args.find is not None)
    if n_views > 1 or (n_views and (args.only or args.skip or args.max_minutes)):
        parser.error("--topics, --status, --doctor, --report and --find run no stage, and only one can be given")
    if args.json and not (args.topics or args.status or args.doctor or args.find is not None or args.only
                          or args.forget or args.purge):
        parser.error("--json needs --topics, --status, --doctor, --find, --only, --forget or --purge")
    if args.ask_paid and not args.doctor:
        parser.error("--ask-paid needs --doctor")
    if (args.shard or args.handover) and (n_views or args.forget or args.purge or args.texts or args.demo):
        parser.error("--shard and --handover are for a run that searches the web")
    if args.shard and args.only not in (None, "search", "scrape"):
        parser.error("--shard is for search and scrape")
    if args.handover and (args.only not in (None, "search") or "search" in args.skip):
        parser.error("--handover is for search")
    check_forget(parser, args, n_views)
    if args.topic is not None and args.topics:
        parser.error("--topic cannot be combined with --topics")
    if args.topic is not None and (n_views or args.forget or args.purge):
        topic_folders.must_be_known(args.root.parents[1], args.topic)
    if args.language and n_views:
        parser.error("--language is for a run that begins a topic")
    if args.language and args.topic is None and not args.texts:
        parser.error("--language needs --topic or --texts; elsewhere set search.language and validate.languages")
    if args.texts:
        check_texts(parser, args)
        if args.topic is None and args.root == PROJECT:
            name = args.texts[0].resolve().stem
            args.root, args.topic = topic_folders.folder(PROJECT, name), name.replace("-", " ")
    return args


def stage_options(args: argparse.Namespace, stage: str) -> list[str]:
    """What run.py passes on to one stage alone."""
    named = {"search": {"--handover": args.handover},
             "extract": {"--warc": args.warc, "--import": args.files or args.texts}}.get(stage, {})
    options = [word for flag, paths in named.items() if paths for word in (flag, *map(str, paths))]
    return options + ["--retokenize"] * (args.retrain and stage == "prepare")


def check_forget(parser: ArgumentParser, args: argparse.Namespace, n_views: int) -> None:
    if (args.forget or args.purge) and (n_views or args.only or args.skip or args.texts):
        parser.error("--forget and --purge cannot be combined with views, --only, --texts or --skip options")
    for flag in ("retrain", "dry_run"):
        if getattr(args, flag) and not args.forget:
            parser.error(f"--{flag.replace('_', '-')} needs --forget")


def check_texts(parser: ArgumentParser, args: argparse.Namespace) -> None:
    if args.only or args.demo:
        parser.error("--texts runs every stage from extract on and cannot be combined with --only or --demo")
    if missing := next((path for path in args.texts if not path.exists()), None):
        parser.error(f"--texts {missing}: there is no such file or folder")
    if empty := next((path for path in args.texts if path.is_dir() and not any(map(os.path.isfile, path.rglob("*")))),
                     None):
        parser.error(f"--texts {empty}: this folder has no files")


def add_arguments(parser: ArgumentParser) -> None:
    what = parser.add_argument_group("what to run", "example: python3 run.py --skip-validation --skip-cleaning")
    what.add_argument("--only", choices=STAGES, metavar="STAGE", help=f"one stage: {', '.join(STAGES)}")
    for stage, flag in STAGES.items():
        what.add_argument(flag, action="append_const", const=stage, dest="skip", default=[],
                          help=f"pause {stage}; a later run continues where it stopped")
    what.add_argument("--warc", nargs="+", type=path_or_address, default=[], metavar="FILE|URL",
                      help="with --only extract: read these WARC files instead of the crawl's; also at https:// and "
                      "s3://")
    what.add_argument("--import", nargs="+", type=Path, default=[], metavar="PATH", dest="files",
                      help="with --only extract: read local files and folders")
    what.add_argument("--files", nargs="+", type=Path, dest="files", action=OldSpelling, new="--import")
    what.add_argument("--texts", nargs="+", type=Path, default=[], metavar="PATH",
                      help="learn from your own files and folders and search nothing; without --topic or --root, in a "
                           "topic named after the first")
    what.add_argument("--max-minutes", type=_minutes, metavar="N",
                      help="time for the whole run, divided between collecting and training")
    what.add_argument("--language", type=_language, metavar="CODE",
                      help="language of a new topic, such as de; by default guessed from the topic's words")
    what.add_argument("--shard", type=_shard, metavar="K/N",
                      help="crawl only the hosts of part K of N, and remember this in the folder; other machines crawl "
                           "the other parts")
    what.add_argument("--handover", nargs="+", type=Path, default=[], metavar="FILE",
                      help="also take the addresses that other shards wrote to data/handover.jsonl")
    back = parser.add_argument_group("take back", "example: python3 run.py --forget https://example.org/page --purge")
    back.add_argument("--forget", nargs="+", default=[], metavar="URL|HOST|ID|@FILE",
                      help="take documents out of everything, and never fetch or import them again")
    back.add_argument("--retrain", action="store_true", help="with --forget: begin a new model on what is left")
    back.add_argument("--dry-run", action="store_true", help="with --forget: only show what would go")
    back.add_argument("--purge", action="store_true", help="remove from the disk what was forgotten")
    where = parser.add_argument_group("where", 'example: python3 run.py --topic "bread baking"')
    look = parser.add_argument_group("look; runs no stage", "example: python3 run.py --status --demo")
    for view, text in VIEWS.items():
        look.add_argument(f"--{view}", action="store_true", help=text)
    look.add_argument("--find", metavar="QUERY", help="the documents with these words, the best first; also "
                      "\"phrases\", AND, OR, NOT and begin*, as SQLite's FTS5 reads them")
    look.add_argument("--ask-paid", action="store_true",
                      help="with --doctor: also ask each engine with a key once, which costs a query")
    look.add_argument("--json", action="store_true", help="with one of these, --only or --forget: one JSON object")
    common_arguments(parser, where)


def _language(text: str) -> str:
    if code := languages.code_of(text):
        return code
    raise argparse.ArgumentTypeError(f"{text} is not a known language; expected an ISO 639-1 code such as de")


def _shard(text: str) -> Shard:
    try:
        return Shard.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _minutes(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0
    if not 0 < value < 1e6:
        raise argparse.ArgumentTypeError(f"{text}; expected a number of minutes, more than 0")
    return value
