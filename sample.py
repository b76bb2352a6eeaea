"""Sample: print text that the trained model writes, token by token.

Reads   checkpoints/release.pt (ckpt.pt while there is no release yet), data/tokenizer/
Writes  data/samples.jsonl, with --keep: how this run's model continues the report's prompts
Alone   python3 sample.py "Once upon a time" -n 1 --temperature 0.6
        python3 sample.py --prompt-file FILE       FILE is - for standard input
        python3 sample.py --interactive            type a beginning, read the continuation, and repeat
        python3 sample.py --serve                  a playground in the browser, and an HTTP API, on this machine only
        python3 sample.py --trace "A text"         print which training documents a text repeats word for word
"""

from __future__ import annotations

from miniature_memory.core.interpreter import use_own_python

if __name__ == "__main__":
    use_own_python()

import argparse
import contextlib
import dataclasses
import importlib
import io
import itertools
import logging
import os
import signal
import sys
import typing
from collections.abc import Iterable, Iterator

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before numpy: a second thread waits at every small step

from miniature_memory.core.command_line import ArgumentParser, common_arguments, guarded
from miniature_memory.core.config import build_config, read_tables
from miniature_memory.core.errors import Stopped
from miniature_memory.core.process import catch_signals
from miniature_memory.core.text import strip_control
from miniature_memory.sampling.config import SampleConfig
from miniature_memory.sampling.generation import Loaded, Step, load_model, read_prompt, without_edges, write
from miniature_memory.sampling.kept_samples import keep
from miniature_memory.sampling.trace import Tracer, describe, open_tracer

SHORT = {"num_samples": ["-n"]}
ALSO = {"max_new_tokens": ["--length"]}  # besides nanoGPT's spellings, understood but not listed
BY_OTHER_MEANS = ("prompt", "kept_prompts")  # settings without an option of their name


def run(args: argparse.Namespace) -> int:
    config = read_config(args)
    if args.serve is not None:
        from miniature_memory.sampling import server  # imports slowly, and only this needs it

        return server.serve(config, args.root, args.serve)
    tracer = open_tracer(args.root) if args.trace is not None else None
    if tracer and args.trace is not True:
        print(*describe(tracer, tracer.tokenizer.encode(args.trace)), sep="\n")
        return 0
    loaded = load_model(args.root)
    if args.interactive:
        interact(config, loaded, tracer)
    elif not (args.keep and args.quiet):
        print_samples(config, loaded, tracer)
    if args.keep:
        keep(config, args.root, loaded)
    return 0


# --- the command line ----------------------------------------------------------------------------


def read_config(args: argparse.Namespace) -> SampleConfig:
    """The settings of [sample] with those of the command line laid over them."""
    tables = read_tables(args.root, args.config, args.overrides)
    given = {field.name: getattr(args, field.name, None) for field in dataclasses.fields(SampleConfig)}
    if args.interactive and args.num_samples is None:
        given["num_samples"] = 1
    if args.stop:
        given["stop"] = [text.replace("\\n", "\n") for text in args.stop]
    given["prompt"] = read_prompt_of(args)
    tables["sample"] |= {name: value for name, value in given.items() if value is not None}
    config: SampleConfig = build_config(SampleConfig, "sample", tables)
    return config


def read_prompt_of(args: argparse.Namespace) -> str | None:
    """The prompt, however it was given; None if it was not."""
    file = args.prompt_file
    if args.start and args.start.startswith("FILE:"):  # as nanoGPT has it
        file = args.start.removeprefix("FILE:")
    if file:
        return read_prompt(file, args.root)
    return next((text for text in (" ".join(args.text) or None, args.prompt, args.start) if text is not None), None)


def add_setting_options(parser: ArgumentParser) -> None:
    """An option per setting, named like it; nanoGPT's users may type --top_k=5 for --top-k 5."""
    group = parser.add_argument_group("settings", "each overrides the one in config/default.toml")
    for field in dataclasses.fields(SampleConfig):
        if field.name in BY_OTHER_MEANS:
            continue
        doc, kind_of = field.metadata["doc"], type(field.default)
        kind: dict[str, typing.Any] = {"type": kind_of, "metavar": "N" if kind_of is int else "X"}
        if field.name == "stop":
            kind = {"action": "append", "metavar": "TEXT"}
            doc = "a sample ends before this text, in which \\n is a line break; may be repeated"
        flag = "--" + field.name.replace("_", "-")
        group.add_argument(*SHORT.get(field.name, []), flag, dest=field.name, help=doc, **kind)
        if also := [name for name in ("--" + field.name, *ALSO.get(field.name, [])) if name != flag]:
            group.add_argument(*also, dest=field.name, help=argparse.SUPPRESS, **kind)


# --- printing ------------------------------------------------------------------------------------


def print_samples(config: SampleConfig, loaded: Loaded, tracer: Tracer | None = None) -> None:
    """Print config.num_samples samples, with a heading each if there are several: one alone can be piped on. After each
    follows, with a tracer, where it comes from."""
    for i in range(config.num_samples):
        if i:
            print()
        if config.num_samples > 1:
            print(f"--- sample {i + 1} of {config.num_samples}", flush=True)
        steps, tokens = write(loaded, dataclasses.replace(config, seed=config.seed + i)), list[int]()
        for piece in without_edges(itertools.chain([strip_control(config.prompt)], texts_of(steps, tokens))):
            print(piece, end="", flush=True)
        print(flush=True)
        if tracer:
            print("", *describe(tracer, tokens), sep="\n", flush=True)


def texts_of(steps: Iterable[Step], tokens: list[int]) -> Iterator[str]:
    """The texts of `steps`, whose tokens are appended to `tokens`."""
    for step in steps:
        tokens.append(step.token)
        yield step.text


def interact(config: SampleConfig, loaded: Loaded, tracer: Tracer | None) -> None:
    """Continue one line after the other, until an empty one or the end of input, each with the next seed.

    Ctrl-C stops a continuation, and ends the program while it waits for a line.
    """
    is_terminal = sys.stdin.isatty()
    if is_terminal:
        with contextlib.suppress(ImportError):
            importlib.import_module("readline")  # arrow keys and history in input()
        print("Type a beginning and the model continues it. An empty line ends.", flush=True)
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="replace")
    while True:
        prompt = ""
        try:
            prompt = input("\n> " if is_terminal else "")
            if not prompt.strip():
                return
            print_samples(dataclasses.replace(config, prompt=prompt), loaded, tracer)
        except EOFError:
            return
        except Stopped as stop:
            if not (is_terminal and stop.exit_code == 128 + signal.SIGINT):
                raise
            print(flush=True)
            if not prompt:
                return
        config = dataclasses.replace(config, seed=config.seed + config.num_samples)


def main(argv: list[str] | None = None) -> int:
    parser = ArgumentParser(prog="sample.py", description=__doc__, positional="[TEXT]")
    prompt = parser.add_mutually_exclusive_group()
    prompt.add_argument("text", nargs="*", default=[], metavar="TEXT", help="the beginning of each sample")
    prompt.add_argument("--prompt", metavar="TEXT", help="the same")
    prompt.add_argument("--start", help=argparse.SUPPRESS)  # nanoGPT's
    prompt.add_argument("--prompt-file", metavar="FILE", help="the file with that beginning; -: standard input")
    prompt.add_argument("-i", "--interactive", action="store_true",
                        help="ask for a beginning, continue it, and ask again; an empty line or Ctrl-D ends")
    parser.add_argument("--serve", nargs="?", type=int, const=8000, metavar="PORT",
                        help="serve the playground and OpenAI's completions API on this machine (default port: 8000)")
    parser.add_argument("--trace", nargs="?", const=True, metavar="TEXT", help="after each sample, print which "
                        "training documents it repeats word for word; with a TEXT, write nothing and trace that")
    parser.add_argument("--keep", action="store_true", help="also continue the report's prompts and append the result "
                        "to data/samples.jsonl; with --quiet, only that")
    add_setting_options(parser)
    common_arguments(parser)

    def work() -> int:
        args = parser.parse(argv)
        if args.interactive and args.serve is not None:
            parser.error("argument --interactive: not allowed with argument --serve")
        if args.trace is not None and args.serve is not None:
            parser.error("argument --trace: not needed with argument --serve: the playground always traces")
        if isinstance(args.trace, str) and (args.text or args.prompt or args.start or args.prompt_file):
            parser.error("argument --trace: its TEXT is not continued; expected no beginning besides it")
        catch_signals()
        logging.basicConfig(level=logging.ERROR if args.quiet else logging.INFO, format="%(message)s", force=True)
        return run(args)

    return guarded("sample.py", work)


if __name__ == "__main__":
    raise SystemExit(main())
