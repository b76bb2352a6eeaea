"""Fuzz the parsers of outside data: .venv/bin/python -m tests.fuzz [NAME...] --seconds 600

Each parser runs in a process of its own, guided by coverage (atheris: .venv/bin/pip install atheris) or, without it, by
chance. An input that raises what the parser does not promise, or takes more than ten seconds or two gigabytes, is kept
in tests/fuzz/found/NAME/, where the tests read it from then on. Exit code 1 if there is one.
"""

import argparse
import hashlib
import subprocess
import sys
import tempfile
import time
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fuzz.parsers import Parser

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))  # as pytest has it
SLOW_SEC, MEMORY_MB, MOST_BYTES = 10, 2000, 20_000


def keep(name: str, data: bytes) -> None:
    path = HERE / "found" / name / hashlib.sha256(data).hexdigest()[:12]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    print(f"{name}: {path}", file=sys.stderr)


def attempt(parser: "Parser", name: str, data: bytes) -> None:
    """Raises what the parser does not promise, once the input is kept."""
    try:
        parser.read(data)
    except parser.raises:
        pass
    except Exception:
        keep(name, data)
        raise


def fuzz_by_coverage(name: str, seconds: int) -> None:
    """Ends the process."""
    import atheris

    with atheris.instrument_imports(include=["miniature_memory"]):
        from fuzz.parsers import PARSERS
    parser = PARSERS[name]

    with tempfile.TemporaryDirectory() as corpus, tempfile.TemporaryDirectory() as crashes:
        for number, seed in enumerate(parser.seeds):
            (Path(corpus) / str(number)).write_bytes(seed)
        atheris.Setup([name, corpus, f"-max_total_time={seconds}", f"-timeout={SLOW_SEC}", f"-rss_limit_mb={MEMORY_MB}",
                       f"-max_len={MOST_BYTES}", f"-artifact_prefix={crashes}/", "-verbosity=0"],
                      partial(attempt, parser, name))
        atheris.Fuzz()


def fuzz_by_chance(name: str, seconds: int) -> None:
    from fuzz.mutation import damaged
    from fuzz.parsers import PARSERS

    parser, number, ends = PARSERS[name], 0, time.monotonic() + seconds
    while time.monotonic() < ends:
        data, began = damaged(parser.seeds, number), time.monotonic()
        number += 1
        attempt(parser, name, data)
        if time.monotonic() - began > SLOW_SEC:
            keep(name, data)
            sys.exit(f"{name}: {time.monotonic() - began:.0f} s")
    print(f"{name}: {number:,} inputs", file=sys.stderr)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--seconds", type=int, default=20, help="for each parser")
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.alone:
        (fuzz_by_coverage if find_spec("atheris") else fuzz_by_chance)(args.names[0], args.seconds)
        return
    from fuzz.parsers import PARSERS

    failed = [name for name in args.names or PARSERS if subprocess.run(
        [sys.executable, "-m", "tests.fuzz", name, "--seconds", str(args.seconds), "--alone"]).returncode]
    print(f"{len(args.names or PARSERS)} parsers, {args.seconds} s each; failed: {', '.join(failed) or 'none'}")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
