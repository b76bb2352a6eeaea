"""cluster.py with datatrove's executors.   .venv/bin/python -m pytest -m slow tests/cluster/test_executors.py"""

import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from clustering import assert_same, new_job, small_pipeline, write_inputs
from helpers import run_py

from miniature_memory.cluster import executors
from miniature_memory.core.paths import PROJECT, make_folder

pytestmark = pytest.mark.slow
COMMAND = [sys.executable, str(PROJECT / "cluster.py")]


def cluster(*arguments: str | Path, **settings: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *map(str, arguments)], capture_output=True, text=True, timeout=280, check=False,
                          **settings)  # type: ignore[call-overload, no-any-return]


def test_the_local_executor_does_it_and_says_what_it_did(tmp_path):
    inputs = write_inputs(tmp_path / "inputs")
    small = small_pipeline(tmp_path, inputs)
    done = cluster("--workers", 2, "--out", tmp_path / "out", inputs)
    assert done.returncode == 0, done.stderr
    assert_same(tmp_path / "out", tmp_path)
    for stats in (small["validate"], small["clean"]):
        assert stats.summary().partition(" · ")[0] in done.stderr
    assert not list((tmp_path / "out/work").glob("*/data"))
    again = cluster("--out", tmp_path / "out", inputs)
    assert again.returncode == 0 and again.stderr.splitlines()[-3:] == done.stderr.splitlines()[-3:]
    back = run_py("--root", tmp_path / "back", "--import", tmp_path / "out/clean", script="extract.py")
    assert f"{small['clean'].n_out} new documents" in back.stderr


def test_a_killed_run_continues_from_the_tasks_that_are_done(tmp_path):
    inputs = write_inputs(tmp_path / "inputs")
    small_pipeline(tmp_path, inputs)
    command = [*COMMAND, "--workers", "1", "--out", str(tmp_path / "out"), str(inputs)]
    first = subprocess.Popen(command, stderr=subprocess.PIPE)
    done = tmp_path / "out/work/read/datatrove/completions"
    while not (done.exists() and any(done.iterdir())):
        assert first.poll() is None
        time.sleep(0.05)
    locked = cluster("--out", tmp_path / "out", inputs)
    assert locked.returncode == 75
    first.kill()
    first.communicate()
    n_done, since = len(list(done.iterdir())), time.time()
    assert cluster("--out", tmp_path / "out", inputs).returncode == 0
    assert sum(path.stat().st_mtime < since for path in done.iterdir()) == n_done
    assert_same(tmp_path / "out", tmp_path)
    other = cluster("--out", tmp_path / "out", "--set", "clean.preset=\"off\"", inputs)
    assert other.returncode == 1 and "other inputs or settings" in other.stderr


def test_a_stopped_run_stops_its_tasks_and_says_how_to_resume(tmp_path):
    inputs = write_inputs(tmp_path / "inputs")
    command = [*COMMAND, "--workers", "2", "--out", str(tmp_path / "out"), str(inputs)]
    running = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    logs = tmp_path / "out/work/read/logs"
    while not (logs.exists() and any(logs.iterdir())):
        time.sleep(0.05)
    running.send_signal(signal.SIGTERM)
    _, said = running.communicate(timeout=60)
    assert running.returncode == 143 and "run the same command again to resume" in said and "Traceback" not in said
    assert not list(Path(f"/proc/{running.pid}/task").glob("*/children"))


def test_a_full_disk_is_a_sentence_and_the_same_command_continues(tmp_path):
    inputs = write_inputs(tmp_path / "inputs")
    small_pipeline(tmp_path, inputs)
    full = cluster("--workers", 2, "--out", tmp_path / "out", inputs,
                   preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (12_000, 12_000)))
    assert full.returncode == 1 and "tasks of the stage read failed" in full.stderr
    assert "the largest size that this process may write" in full.stderr and "Traceback" not in full.stderr
    assert cluster("--out", tmp_path / "out", inputs).returncode == 0
    assert_same(tmp_path / "out", tmp_path)


def test_a_task_whose_process_is_killed_is_done_again(tmp_path, monkeypatch):
    job = new_job(tmp_path / "out", write_inputs(tmp_path / "inputs"))
    started = []

    def popen(*arguments, real=subprocess.Popen, **settings):
        started.append(real(*arguments, **settings))
        if len(started) == 1:
            started[0].send_signal(signal.SIGKILL)
        return started[-1]

    monkeypatch.setattr(executors.subprocess, "Popen", popen)
    executors.run_task(job.out, "read", 0)
    assert len(started) == 2 and job.data("read", 0, "jsonl").exists()


def test_a_task_that_is_killed_again_and_again_is_named(tmp_path, monkeypatch):
    job = new_job(tmp_path / "out", write_inputs(tmp_path / "inputs"))
    monkeypatch.setattr(executors.sys, "executable", shutil.which("false") and str(killed(tmp_path)))
    with pytest.raises(RuntimeError, match="killed 3 times"):
        executors.run_task(job.out, "read", 1)
    assert "killed 3 times" in (job.folder("read", "failed") / "000001").read_text()


def killed(folder: Path) -> Path:
    """A program that is killed."""
    path = folder / "python"
    path.write_text("#!/bin/sh\nkill -9 $$\n")
    path.chmod(0o755)
    return path


def test_a_page_that_kills_its_worker_is_rejected_and_the_run_goes_on(tmp_path):
    inputs = write_inputs(tmp_path / "inputs", 8)
    done = cluster("--workers", 2, "--out", tmp_path / "out", "--set", "extract.page_deadline_sec=0.0001", inputs)
    assert done.returncode == 0 and "extraction timeout" in done.stderr


@pytest.mark.parametrize("arguments, said", [
    (["--out", "OUT", "/nowhere/at/all"], "cannot be read"), (["--out", "OUT"], "the following arguments are required"),
    (["--out", "OUT", "--workers", "-1", "."], "expected 0 or more"),
    (["--out", "OUT", "--sbatch", "a\n=b", "."], "expected KEY=VALUE"),
    (["--out", "OUT", "--set", "clean.preset=\"x\"", "."], "preset"),
    (["--out", "OUT", "--executor", "slurm", "INPUTS"], "sbatch failed"),
])
def test_what_cannot_be_done_is_a_sentence(tmp_path, arguments, said):
    inputs = write_inputs(tmp_path / "inputs", 8)
    places = {"OUT": str(tmp_path / "out"), "INPUTS": str(inputs)}
    done = cluster(*(places.get(one, one) for one in arguments), env={**os.environ, "PATH": "/usr/bin:/bin"})
    assert done.returncode in (1, 2) and said in done.stderr and "Traceback" not in done.stderr, done.stderr


# --- Slurm: sbatch runs each task of the array at once, as slurmd does: in the job's environment --

SBATCH = """#!/bin/bash
script=${@: -1}
last=$(sed -n 's/^#SBATCH --array=0-\\([0-9]*\\).*/\\1/p' "$script")
cp "$script" "$0.$(date +%s%N)"
for i in $(seq 0 "$last"); do
    env -u PYTHONPATH SLURM_ARRAY_TASK_ID=$i SLURM_NODELIST=node1 bash "$script" >"$0.log" 2>&1
done
echo "Submitted batch job 7"
"""


@pytest.fixture
def slurm(tmp_path: Path) -> dict[str, str]:
    """An environment with stand-ins for Slurm's commands."""
    folder = make_folder(tmp_path / "bin")
    for name, text in {"sbatch": SBATCH, "squeue": "#!/bin/sh\n", "scancel": "#!/bin/sh\n",
                       "srun": "#!/bin/bash\nwhile [[ $1 == -* ]]; do [ $1 = -n ] && shift; shift; done\nexec \"$@\"\n",
                       }.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    return {**os.environ, "PATH": f"{folder}:/usr/bin:/bin"}


def test_slurm_gets_a_script_per_stage_that_does_the_same(tmp_path, slurm):
    inputs = write_inputs(tmp_path / "inputs", 40, 3)
    small_pipeline(tmp_path, inputs)
    options = ["--executor", "slurm", "--sbatch", "partition=cpu", "--sbatch", "account=a1", "--out", tmp_path / "out"]
    done = cluster(*options, inputs, env=slurm)
    assert done.returncode == 0, done.stderr
    assert_same(tmp_path / "out", tmp_path)
    script = next((tmp_path / "bin").glob("sbatch.1*")).read_text()
    assert "#SBATCH --partition=cpu" in script and "#SBATCH --account=a1" in script


def test_what_fails_in_a_slurm_job_is_named(tmp_path, slurm):
    inputs = write_inputs(tmp_path / "inputs", 12, 2)
    (tmp_path / "out/raw").mkdir(parents=True)
    (tmp_path / "out/raw/000000.jsonl").mkdir()
    new_job(tmp_path / "other", inputs)
    make_folder(tmp_path / "out/work")
    shutil.copy(tmp_path / "other/work/job.json", tmp_path / "out/work/job.json")
    done = cluster("--executor", "slurm", "--out", tmp_path / "out", inputs, env=slurm)
    assert done.returncode == 1 and "of the stage clean failed" in done.stderr, done.stderr
    assert "000000.jsonl is a folder" in done.stderr and "Fix: mv" in done.stderr
