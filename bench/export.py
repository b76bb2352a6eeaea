"""Export: how long does it take to take a large root along, and how much memory?

    .venv/bin/python -m bench.export              1 GB of generated text, a minute on one core
    .venv/bin/python -m bench.export --mb 100

dataset (Parquet, JSON lines), bundle and restore, each in a process of its own. Memory is to stay below 300 MB with
any amount of text. Ends in one JSON line: seconds and the peak in MB of each.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.prepare import add_clean, generated, of_size
from miniature_memory.core.paths import PROJECT
from miniature_memory.core.process import PeakMemory


def measure(*arguments: str | Path) -> dict[str, float]:
    started = time.monotonic()
    process = subprocess.Popen([sys.executable, PROJECT / "export.py", *arguments, "--quiet"])
    memory = PeakMemory(process.pid)
    memory.start()
    while process.poll() is None:
        time.sleep(0.05)
    assert process.returncode == 0, arguments
    return {"sec": round(time.monotonic() - started, 1), "peak_mb": round(memory.peak_mb)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mb", type=float, default=1000, help="of text (default: %(default)s)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder, root = Path(name), Path(name) / "root"
        add_clean(root, of_size(generated(1000), args.mb))
        result = {form: measure(*arguments) for form, arguments in {
            "parquet": ("dataset", folder / "parquet", "--root", root),
            "json_lines": ("dataset", folder / "lines", "--json-lines", "--root", root),
            "bundle": ("bundle", folder / "root.tar.zst", "--root", root),
            "restore": ("restore", folder / "root.tar.zst", "--root", folder / "restored")}.items()}
    print(json.dumps({"text_mb": args.mb, **result}))


if __name__ == "__main__":
    main()
