"""The command line that all scripts share, and what becomes of their errors."""

import argparse
import errno
import io
import logging
import os
import re
import shlex
import signal
import sys
import traceback
import typing
from collections.abc import Callable, Sequence
from pathlib import Path

from miniature_memory.core import topic_folders
from miniature_memory.core.config import meant
from miniature_memory.core.errors import (
    EXIT_DONE,
    EXIT_STAGE,
    ConfigError,
    LockedError,
    StageError,
    disk_error,
)
from miniature_memory.core.interpreter import ENDING, PARENT_VARIABLE
from miniature_memory.core.log import DETAIL
from miniature_memory.core.paths import DEMO, PROJECT
from miniature_memory.core.process import LOCK_FD_VARIABLE
from miniature_memory.core.text import strip_control
from miniature_memory.core.version import VERSION

logger = logging.getLogger(__name__)


class ArgumentParser(argparse.ArgumentParser):
    """argparse without abbreviations; a bad command line is a ConfigError that names the nearest flag.

    begins_topics: whether --topic may name a topic that is not there yet. positional: what --help shows of it.
    """

    def __init__(self, prog: str, description: str | None = None, epilog: str | None = None,
                 begins_topics: bool = False, positional: str = "") -> None:
        self.begins_topics, self.argv = begins_topics, list[str]()
        super().__init__(prog=prog, usage=f"python3 {prog} [options] {positional}".rstrip(), allow_abbrev=False,
                         description=description, epilog=epilog, formatter_class=argparse.RawDescriptionHelpFormatter)

    def parse(self, argv: list[str] | None) -> argparse.Namespace:
        """The options of `argv`, or of the command line, with --topic and --demo as the root that they mean."""
        argv = sys.argv[1:] if argv is None else argv
        for argument in argv:
            if argument.startswith("--") and argument.endswith("=--"):  # of whose value argparse makes a list
                self.error(f"argument {argument[:-3]}: expected a value after the =")
        self.argv = self._with_values(argv)
        args = self.parse_args(self.argv)
        if args.topic is not None:
            if args.demo:
                self.error("--topic cannot be combined with --demo")
            if not self.begins_topics:
                topic_folders.must_be_known(args.root, args.topic)
            args.root = topic_folders.folder(args.root, args.topic)
        elif args.demo and args.root == PROJECT:
            args.root = DEMO
        try:
            os.stat(args.root)
        except OSError as error:
            if error.errno == errno.ELOOP:
                self.error(f"--root {args.root}: this link leads back to itself; expected a folder")
        return args

    def _with_values(self, argv: list[str]) -> list[str]:
        """`argv` with --find -word as --find=-word: argparse takes a word after a minus for an option."""
        flags = self._option_string_actions
        needs_value = [flag for flag, action in flags.items() if flag.startswith("--") and action.nargs is None]
        joined: list[str] = []
        for argument in argv:
            if joined and joined[-1] in needs_value and re.match("-[^-]", argument) and argument not in flags:
                joined[-1] += f"={argument}"
            else:
                joined.append(argument)
        return joined

    def error(self, message: str) -> typing.NoReturn:
        if lacking := re.match(r"argument (\S+): expected one argument", message):
            flag = lacking[1].rpartition("/")[2]
            message = f"argument {flag}: expected a value ({flag}=... if it begins with --)"
        message = re.sub(r"invalid (int|float) value: (.*)", lambda found: (
            f"{found[2]}; expected a {'whole ' * (found[1] == 'int')}number"), message)
        unknown = re.match(r"unrecognized arguments: ([^\s=]+)", message)
        flags = [flag for action in self._actions if action.help != argparse.SUPPRESS for flag in action.option_strings]
        hint = meant(unknown[1], flags) if unknown else ""
        if self.begins_topics and unknown and not unknown[1].startswith("-"):
            words = message.partition(": ")[2].partition(" -")[0]  # without the options that follow
            option = "--texts" if "--texts" in flags and Path(words).exists() else "--topic"
            at = next((at for at, word in enumerate(self.argv) if word.startswith(unknown[1])), 0)
            if at > 1 and self.argv[at - 2] in ("--find", "--topic"):  # whose words need quotation marks
                option, words = self.argv[at - 2], f"{self.argv[at - 1]} {words}"
            hint = f" Did you mean {option} {shlex.quote(words)}?"
        raise ConfigError(f"{message}.{hint} python3 {self.prog} --help lists all options.")


class OldSpelling(argparse.Action):
    """An option that was renamed: it still works, and a hint names the new spelling. Pass new="--the-new-one"."""

    def __init__(self, option_strings: Sequence[str], dest: str, new: str, **settings: typing.Any) -> None:
        super().__init__(option_strings, dest, **settings | {"help": argparse.SUPPRESS})
        self.new = new

    def __call__(self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: object,
                 option_string: str | None = None) -> None:
        print(f"{parser.prog}: {option_string} is now {self.new}", file=sys.stderr)
        setattr(namespace, self.dest, values)


def path_or_address(text: str) -> Path | str:
    """What a file is named by: a path, or the text of an address."""
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]*)://", text)
    if scheme and scheme[1].lower() not in ("http", "https", "s3"):
        raise argparse.ArgumentTypeError(f"{text} is not the address of a readable file; expected a path, or an "
                                         "address that begins with https:// or s3://")
    return text if scheme else Path(text)


def common_arguments(parser: argparse.ArgumentParser, where: argparse._ArgumentGroup | None = None) -> None:
    """The options of every script. where: the group that --root joins; one of its own by default."""
    where = where or parser.add_argument_group("where")
    where.add_argument("--root", type=Path, default=PROJECT, metavar="DIR",
                       help="the folder with config/, data/ and checkpoints/ (default: the project's)")
    where.add_argument("--topic", metavar="WORDS", help="a topic with a folder of its own in topics/")
    where.add_argument("--demo", action="store_true", help="the demonstration's folder, demo/")
    advanced = parser.add_argument_group("advanced", "example: --set train.max_minutes=30 --set 'train.size=\"4x256\"'")
    advanced.add_argument("--config", type=Path, metavar="FILE", help="a TOML file laid over config/default.toml")
    advanced.add_argument("--set", action="append", default=[], metavar="TABLE.KEY=VALUE", dest="overrides",
                          help="one setting, as a TOML value; may be repeated")
    advanced.add_argument("--quiet", action="store_true", help="print nothing but errors")
    advanced.add_argument("--version", action="version", version=f"miniature-memory {VERSION}",
                          help="print the version")


def prepare_output() -> None:
    """Let print() never fail for a character that the output's encoding lacks: it becomes an escape, as on stderr. What
    run.py reads from a stage is UTF-8."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8" if LOCK_FD_VARIABLE in os.environ else None, errors="backslashreplace")


def drop_output() -> None:
    """Let nothing that is left in the buffer of a closed pipe or a full disk fail when the interpreter ends."""
    try:
        if sys.stdout:
            sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def guarded(prog: str, work: Callable[[], int]) -> int:
    """Run `work`; turn what a person can fix into a message and an exit code. Bugs keep their traceback."""
    try:
        prepare_output()
        code = work()
        _let_nothing_stop_the_end(prog)
        if sys.stdout:
            sys.stdout.flush()  # here, where a closed pipe is no error
        return code
    except (Exception, KeyboardInterrupt) as error:
        _let_nothing_stop_the_end(prog)
        if isinstance(error, BrokenPipeError):  # the reader of our output has seen enough
            drop_output()
            return EXIT_DONE
        return _explain(prog, error)


def _explain(prog: str, error: BaseException) -> int:
    """Log what ended the program; return its exit code."""
    level, code = logging.ERROR, getattr(error, "exit_code", EXIT_STAGE)
    if isinstance(error, KeyboardInterrupt):  # Stopped, and Ctrl-C before signals are caught
        code = getattr(error, "exit_code", 130)
        message = f"stopped by {str(error) or 'SIGINT'}; run the same command again to resume"
        level = DETAIL if PARENT_VARIABLE in os.environ else level  # run.py prints the line
    elif known := disk_error(error) if isinstance(error, OSError) else None:
        message = str(known)
    elif isinstance(error, ConfigError | StageError | LockedError):
        message = str(error)
    else:
        lines = "".join(traceback.format_exception(error)).rstrip()
        message = f"this is a bug: {type(error).__name__}\n{lines}"
    logger.log(level, "%s", strip_control(f"{prog}: {message}"))
    drop_output()
    if getattr(error, "leaves_thread", False):
        os._exit(code)
    return code


def _let_nothing_stop_the_end(prog: str) -> None:
    """A second signal, while a script says why it ends, would end it with a traceback."""
    if Path(sys.argv[0]).name == prog:  # this process is that script
        for signum in ENDING:
            signal.signal(signum, signal.SIG_IGN)
