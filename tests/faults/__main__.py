"""Faults: what happens to a dataset when a disk, a machine or a person does something bad to it.

    python -m tests.faults                      a sample of each part, in some minutes
    python -m tests.faults --all                everything, in some hours
    python -m tests.faults --only damage --file ckpt.pt --all
"""

import argparse
import os
import queue
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.faults import crashes, damage, losses, places, roots
from tests.faults.cases import Broken, Case, Place, Skipped
from tests.faults.machine import Machine, compiler

PARTS = {"damage": damage.cases, "crash": crashes.crash_cases, "error": crashes.error_cases, "loss": losses.cases,
         "place": places.cases}


@contextmanager
def prepared(folder: Path, jobs: int) -> Iterator["queue.Queue[Place]"]:
    """As many places to run cases at as there are jobs. Roots that are in `folder` are used again."""
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="faults-")))
        scratch.chmod(0o755)
        free: queue.Queue[Place] = queue.Queue()
        machines = []
        for n in range(jobs):
            (scratch / str(n)).mkdir()
            machines.append(Machine(scratch / str(n)))
            stack.callback(machines[-1].close)
        folder.mkdir(parents=True, exist_ok=True)
        made = stack.enter_context(roots.made(folder, machines[0]))
        for machine in machines:
            free.put(Place(machine, made, machine.folder))
        yield free


def attempt(case: Case, free: "queue.Queue[Place]") -> tuple[str, str, float]:
    """What became of a case, "passed", "FAILED" or "skipped"; how or why; after how many seconds."""
    place, began = free.get(), time.monotonic()
    try:
        return "passed", case.run(place), time.monotonic() - began
    except Skipped as error:
        return "skipped", str(error), time.monotonic() - began
    except (Broken, AssertionError, OSError, ValueError, LookupError, sqlite3.Error) as error:
        return "FAILED", f"{type(error).__name__}: {error}", time.monotonic() - began
    finally:
        free.put(place)


def selected(args: argparse.Namespace) -> list[Case]:
    found = [case for part, cases in PARTS.items() if args.only in (None, part) for case in cases()]
    found = [case for case in found if args.file in case.name and (not args.way or case.name.endswith(args.way))]
    return found[args.skip::1 if args.all else args.every]


def main(argv: list[str] | None = None) -> int:
    args = parse(argv)
    if not compiler():
        sys.exit("faults: no C compiler. Expected: cc or gcc. Fix: sudo apt-get install gcc")
    with tempfile.TemporaryDirectory(prefix="faults-roots-") as own:
        Path(own).chmod(0o755)
        with prepared(args.folder or Path(own), args.jobs) as free:
            return 1 if run_all(selected(args), free, args)["FAILED"] else 0


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--all", action="store_true", help="every case")
    parser.add_argument("--every", type=int, default=31, metavar="N", help="each Nth (default: 31)")
    parser.add_argument("--only", choices=PARTS, help="one part")
    parser.add_argument("--file", default="", metavar="TEXT", help="cases whose names have this text")
    parser.add_argument("--way", default="", metavar="TEXT", help="cases whose names end with it")
    parser.add_argument("--skip", type=int, default=0, metavar="N", help="without the first N of these")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, metavar="N", help="cases at once")
    parser.add_argument("--minutes", type=float, default=0, metavar="X", help="begin no case later; 0: no limit")
    parser.add_argument("--folder", type=Path, metavar="DIR", help="where the roots are kept, to be used again")
    return parser.parse_args(argv)


def run_all(chosen: list[Case], free: "queue.Queue[Place]", args: argparse.Namespace) -> Counter[str]:
    """Run cases, with one line each. Returns how many passed, FAILED, were skipped, or came too late."""
    began, counts = time.monotonic(), Counter[str]()

    def work(case: Case) -> tuple[str, str, float] | None:
        late = args.minutes and time.monotonic() - began > 60 * args.minutes
        return None if late else attempt(case, free)

    with ThreadPoolExecutor(args.jobs) as pool:
        for n, (case, result) in enumerate(zip(chosen, pool.map(work, chosen), strict=True), args.skip):
            if result is None:
                counts["not run"] += 1
                continue
            outcome, words, seconds = result
            counts[outcome] += 1
            print(f"{outcome:7} {n} {case.part} {case.name}: {words} ({seconds:.1f} s)", flush=True)
    print(", ".join(f"{n} {what}" for what, n in counts.items()))
    return counts


if __name__ == "__main__":
    raise SystemExit(main())
