"""Sample: text that the trained model makes up, as it makes it up.

Reads   checkpoints/release.pt (or ckpt.pt, if there is no release yet), data/tokenizer/
Writes  data/samples.jsonl, with --keep: what each run's model made of the same three prompts, for report.py
Alone   .venv/bin/python sample.py --prompt "Once upon a time" --set sample.temperature=0.6
        .venv/bin/python sample.py --prompt-file FILE       FILE is - for what comes through a pipe
        .venv/bin/python sample.py --serve                  a page to play with, in a browser on this machine
"""

from __future__ import annotations

import dataclasses
import itertools
import logging
import os

from miniature_memory.core.config import build_config, read_tables
from miniature_memory.core.process import catch_signals
from miniature_memory.core.stage import ArgumentParser, common_arguments, guarded
from miniature_memory.core.text import strip_control
from miniature_memory.sampling.config import SampleConfig
from miniature_memory.sampling.generation import SEPARATOR, load_model, read_prompt, without_edges, write
from miniature_memory.sampling.kept_samples import keep

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # a second thread takes longer: it waits at every small step


def main(argv: list[str] | None = None) -> int:
    parser = ArgumentParser(prog="sample.py", description=__doc__)
    common_arguments(parser)
    prompt = parser.add_mutually_exclusive_group()
    prompt.add_argument("--prompt", metavar="TEXT", help="what the samples begin with")
    prompt.add_argument("--prompt-file", metavar="FILE", help="the file in which that stands; -: standard input")
    parser.add_argument("--serve", nargs="?", type=int, const=8000, metavar="PORT",
                        help="serve a page to play with, to browsers on this machine alone (default: 8000)")
    parser.add_argument("--keep", action="store_true", help="also go on from the report's prompts, and keep what comes "
                        "of it in data/samples.jsonl; with --quiet only that")

    def work() -> int:
        args = parser.parse_args(argv)
        catch_signals()
        logging.basicConfig(level=logging.ERROR if args.quiet else logging.INFO, format="%(message)s", force=True)
        config = build_config(SampleConfig, "sample", read_tables(args.root, args.config, args.overrides))
        if args.prompt is not None or args.prompt_file:
            text = args.prompt if args.prompt is not None else read_prompt(args.prompt_file)
            config = dataclasses.replace(config, prompt=text)
        if args.serve is not None:
            from miniature_memory.sampling import playground  # takes a while that others need not wait for

            return playground.serve(config, args.root, args.serve)
        loaded = load_model(args.root)
        for i in range(config.num_samples if not (args.keep and args.quiet) else 0):
            steps = write(loaded, dataclasses.replace(config, seed=config.seed + i))
            for piece in without_edges(itertools.chain([strip_control(config.prompt)], (step.text for step in steps))):
                print(piece, end="", flush=True)
            print(f"\n{SEPARATOR}", flush=True)
        if args.keep:
            keep(config, args.root, loaded)
        return 0

    return guarded("sample.py", work)


if __name__ == "__main__":
    raise SystemExit(main())
