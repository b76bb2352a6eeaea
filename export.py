"""Export: a topic's texts as a dataset, its model, or all of it for another machine.

Reads   data/, checkpoints/, config/, also during a run
Writes  the folder or file that is named, whole or not at all
Alone   python3 export.py dataset DIR      train and validation as Parquet, with a card, for datasets.load_dataset
        python3 export.py html FILE.html   the model in one page, which generates text in any browser
        python3 export.py hf DIR           the released model for Hugging Face's transformers
        python3 export.py student DIR      a model for transformers, llama.cpp (GGUF) and Ollama, taught by the release
        python3 export.py bundle FILE      everything, in FILE.tar.zst or FILE.tar.gz
        python3 export.py restore FILE --root DIR    what a bundle holds, in a new root
"""

from __future__ import annotations

from miniature_memory.core.interpreter import use_own_python

if __name__ == "__main__":
    use_own_python()

import argparse
from pathlib import Path

from miniature_memory.core import topic_folders
from miniature_memory.core.command_line import ArgumentParser, common_arguments, guarded
from miniature_memory.core.errors import EXIT_DONE
from miniature_memory.core.log import print_messages
from miniature_memory.core.process import catch_signals
from miniature_memory.core.stage import StageStats, measured
from miniature_memory.core.text import strip_control
from miniature_memory.exporting.forms import FORMS, INSTEAD, NUMBERS, OPTIONS


def run(args: argparse.Namespace) -> StageStats:
    return StageStats(args.form, facts={"summary": FORMS[args.form].run(args.root, args.target, args)})


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = ArgumentParser("export.py", __doc__, positional="FORM TARGET", begins_topics=True)
    parser.add_argument("form", type=_form, metavar="FORM",
                        help="; ".join(f"{name} {form.target}: {form.help}" for name, form in FORMS.items()))
    parser.add_argument("target", type=Path, metavar="TARGET", help="the folder or file, as FORM needs it")
    for option, text in OPTIONS.items():
        takers = " and ".join(name for name, form in FORMS.items() if option in form.options)
        kind = {"type": float, "metavar": "N"} if option in NUMBERS else {"action": "store_true"}
        parser.add_argument(option, help=f"with {takers}: {text}", **kind)
    common_arguments(parser)
    args = parser.parse(argv)
    form = FORMS[args.form]
    for option in OPTIONS:
        value = getattr(args, option.strip("-").replace("-", "_"))
        if value not in (None, False) and option not in form.options:
            parser.error(f"argument {option}: not allowed with {args.form}")
    if (args.config or args.overrides) and not form.reads_settings:
        parser.error(f"--config and --set: not allowed with {args.form}, which reads no settings")
    if args.topic is not None and not form.begins_topic:
        topic_folders.must_be_known(args.root.parents[1], args.topic)
    return args


def _form(name: str) -> str:
    if name in FORMS:
        return name
    raise argparse.ArgumentTypeError(f"{name}; expected {INSTEAD.get(name.lower()) or ', '.join(FORMS)}")


def main(argv: list[str] | None = None) -> int:
    def work() -> int:
        args = parse_args(argv)
        catch_signals()
        print_messages(args.quiet)
        stats = measured(lambda: run(args))
        if not args.quiet:
            print(strip_control(stats.summary()))
        return EXIT_DONE

    return guarded("export.py", work)


if __name__ == "__main__":
    raise SystemExit(main())
