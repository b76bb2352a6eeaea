"""Sample: print text that the trained model writes, token by token.

Reads   checkpoints/release.pt (ckpt.pt while there is no release yet), data/tokenizer/
Writes  data/samples.jsonl, with --keep: how this run's model continues the report's prompts
Alone   python3 sample.py --prompt "Once upon a time" --set sample.temperature=0.6
        python3 sample.py --prompt-file FILE       FILE is - for standard input
        python3 sample.py --serve                  a playground in the browser, on this machine only
"""

from __future__ import annotations

from miniature_memory.core.interpreter import use_own_python

if __name__ == "__main__":
    use_own_python()

import argparse
import dataclasses
import itertools
import logging
import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before numpy: a second thread waits at every small step

from miniature_memory.core.command_line import ArgumentParser, common_arguments, guarded
from miniature_memory.core.config import build_config, read_tables
from miniature_memory.core.process import catch_signals
from miniature_memory.core.text import strip_control
from miniature_memory.sampling.config import SampleConfig
from miniature_memory.sampling.generation import SEPARATOR, Loaded, load_model, read_prompt, without_edges, write
from miniature_memory.sampling.kept_samples import keep


def run(args: argparse.Namespace) -> int:
    config: SampleConfig = build_config(SampleConfig, "sample", read_tables(args.root, args.config, args.overrides))
    if args.prompt_file:
        config = dataclasses.replace(config, prompt=read_prompt(args.prompt_file, args.root))
    elif args.prompt is not None:
        config = dataclasses.replace(config, prompt=args.prompt)
    if args.serve is not None:
        from miniature_memory.sampling import playground  # imports slowly, and only this needs it

        return playground.serve(config, args.root, args.serve)
    loaded = load_model(args.root)
    if not (args.keep and args.quiet):
        print_samples(config, loaded)
    if args.keep:
        keep(config, args.root, loaded)
    return 0


def print_samples(config: SampleConfig, loaded: Loaded) -> None:
    for i in range(config.num_samples):
        steps = write(loaded, dataclasses.replace(config, seed=config.seed + i))
        for piece in without_edges(itertools.chain([strip_control(config.prompt)], (step.text for step in steps))):
            print(piece, end="", flush=True)
        print(f"\n{SEPARATOR}", flush=True)


def main(argv: list[str] | None = None) -> int:
    parser = ArgumentParser(prog="sample.py", description=__doc__)
    common_arguments(parser)
    prompt = parser.add_mutually_exclusive_group()
    prompt.add_argument("--prompt", metavar="TEXT", help="the beginning of each sample")
    prompt.add_argument("--prompt-file", metavar="FILE", help="the file with that beginning; -: standard input")
    parser.add_argument("--serve", nargs="?", type=int, const=8000, metavar="PORT",
                        help="serve the playground to browsers on this machine (default port: 8000)")
    parser.add_argument("--keep", action="store_true", help="also continue the report's prompts and append the result "
                        "to data/samples.jsonl; with --quiet, only that")

    def work() -> int:
        args = parser.parse(argv)
        catch_signals()
        logging.basicConfig(level=logging.ERROR if args.quiet else logging.INFO, format="%(message)s", force=True)
        return run(args)

    return guarded("sample.py", work)


if __name__ == "__main__":
    raise SystemExit(main())
