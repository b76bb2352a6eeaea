"""The notebook; .ci/run executes it.   python3 -m pytest [-m slow] tests/test_notebook.py"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from miniature_memory.core.paths import PROJECT

CELLS = json.loads((PROJECT / "NanoGPT_Adult_Training.ipynb").read_text(encoding="utf-8"))["cells"]
CODE = ["".join(cell["source"]) for cell in CELLS if cell["cell_type"] == "code"]


def test_it_is_kept_without_output() -> None:
    assert all(not cell.get("outputs") and not cell.get("execution_count") for cell in CELLS)
    assert len({cell["id"] for cell in CELLS}) == len(CELLS)


@pytest.mark.slow
def test_without_a_network_it_shows_the_demonstration_and_why(tmp_path: Path) -> None:
    setup, choose, grow, look, *_ = CODE
    assert "MINUTES = 5" in choose and 'run("./setup.sh")' in setup and grow == "grow()" and look.endswith("\nplot()")
    cells = [setup.replace('run("./setup.sh")', ""), choose.replace("MINUTES = 5", "MINUTES = 0.05"), grow, look]
    settings = {"MINIATURE_MEMORY_NOTEBOOK_ROOT": str(tmp_path), "MINIATURE_MEMORY_NOTEBOOK_ARGS":
                "--set web.proxy=\"'http://127.0.0.1:9'\" --set search.wikis=[]"}
    done = subprocess.run([sys.executable, "-c", "\n".join(cells)], cwd=PROJECT, env={**os.environ, **settings},
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=240, check=False)
    said = done.stdout.rpartition("\nNothing could be collected on 'history of astronomy'. ")[2]
    assert done.returncode == 0 and said.startswith("No page could be fetched and the dataset is empty ("), done.stdout
    assert "What follows shows the demonstration, not 'history of astronomy'" in said
    assert "bits per byte\n" in said and not (PROJECT / "topics/history-of-astronomy").exists()
