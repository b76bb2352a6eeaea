"""Task: one task of a stage, in a process of its own: what kills it kills neither its engine nor another task.

Alone   python -m miniature_memory.cluster.task DIR STAGE RANK
"""

import json
import logging
import os
import resource
import sys
import time
from pathlib import Path

from miniature_memory.cluster.job import load
from miniature_memory.cluster.records import written
from miniature_memory.cluster.stages import run_stage
from miniature_memory.core.command_line import guarded
from miniature_memory.core.errors import EXIT_DONE
from miniature_memory.core.process import catch_signals, end_with


def main(argv: list[str]) -> int:
    out, stage, rank = Path(argv[0]), argv[1], int(argv[2])

    def work() -> int:
        catch_signals()
        end_with(os.getppid())
        logging.basicConfig(level=logging.INFO, format="%(message)s", force=True)
        began = time.monotonic()
        job = load(out)
        counts = run_stage(job, stage, rank)
        peak_mb = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        done = {"counts": [one.to_dict() for one in counts], "sec": round(time.monotonic() - began, 3),
                "peak_mb": round(peak_mb * (1 if sys.platform == "darwin" else 1024) / 1e6, 1)}
        with written(job.folder(stage, "done") / f"{rank:06d}.json") as stream:
            stream.write(json.dumps(done).encode())
        return EXIT_DONE

    return guarded(f"{stage} {rank}", work)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
