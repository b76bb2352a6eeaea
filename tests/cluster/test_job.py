"""What cluster.py is asked to do, and the plan of it.   .venv/bin/python -m pytest tests/cluster/test_job.py"""

import subprocess
from pathlib import Path

import pytest
from clustering import new_job, write_inputs

import cluster
from miniature_memory.cluster import job as jobs
from miniature_memory.core.errors import ConfigError, StageError


@pytest.mark.parametrize("out", ["in/put", "in/put/out", "in/put/../put/out", "link/out"])
def test_a_result_within_an_input_is_refused(tmp_path: Path, out: str) -> None:
    (tmp_path / "in/put").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "in/put")
    with pytest.raises(ConfigError, match=r"is in .*in/put, of which all is read; expected a folder elsewhere"):
        cluster.parse_args(["--out", str(tmp_path / out), "s3://bucket", str(tmp_path / "in/put")])
    assert cluster.parse_args(["--out", str(tmp_path / "in/put out"), str(tmp_path / "in/put")]).executor == "local"


@pytest.mark.parametrize("executor", ["local", "ray"])
def test_options_of_sbatch_are_for_slurm(executor: str) -> None:
    with pytest.raises(ConfigError, match="--sbatch needs --executor slurm"):
        cluster.parse_args(["--executor", executor, "--sbatch", "partition=cpu", "--out", "out", "in"])


@pytest.mark.parametrize("plan", [b"", b"[]", b"{}", b"\xff", b'{"sources": 1}'])
def test_a_damaged_plan_is_a_sentence_and_its_fix_works(tmp_path: Path, plan: bytes) -> None:
    inputs, out = write_inputs(tmp_path / "inputs", 8), tmp_path / "out"
    new_job(out, inputs)
    (out / jobs.PLAN).write_bytes(plan)
    (out / "raw").mkdir()
    with pytest.raises(StageError, match="cannot be read") as refused:
        new_job(out, inputs)
    subprocess.run(refused.value.fix.partition("move it: ")[2], shell=True, check=True)
    assert new_job(out, inputs).sources


def test_a_plan_of_another_release_is_refused(tmp_path: Path) -> None:
    inputs, out = write_inputs(tmp_path / "inputs", 8), tmp_path / "out"
    new_job(out, inputs)
    (out / jobs.PLAN).write_text((out / jobs.PLAN).read_text().replace('"version"', '"release"'))
    with pytest.raises(StageError, match="by another release"):
        new_job(out, inputs)
