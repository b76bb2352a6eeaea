"""cluster.py on a Ray cluster on loopback.   .venv/bin/python -m pytest -m heavy tests/cluster/test_ray.py

Needs ./setup.sh --with cluster.
"""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from clustering import assert_same, new_job, small_pipeline, write_inputs

from miniature_memory.core.paths import PROJECT

pytestmark = pytest.mark.heavy
GB = 1 << 30
Nodes = tuple[dict[str, str], list[subprocess.Popen[bytes]]]
START = "import sys; from ray.scripts.scripts import main; sys.argv[0] = 'ray'; main()"


def nodes(port: int) -> list[list[str]]:
    """The options of a head without cores of its own, and of two workers."""
    small = ["--memory", str(2 * GB), "--object-store-memory", str(GB // 10), "--node-ip-address=127.0.0.1", "--block"]
    head = ["--head", f"--port={port}", "--num-cpus=0", "--include-dashboard=false", *small]
    return [head, *([f"--address=127.0.0.1:{port}", "--num-cpus=1", *small] for _ in range(2))]


@pytest.fixture
def ray_nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    """(environment, processes): a head and two workers."""
    pytest.importorskip("ray")
    port = 20_000 + os.getpid() % 10_000
    environment = {**os.environ, "RAY_ADDRESS": f"127.0.0.1:{port}", "RAY_USAGE_STATS_ENABLED": "0"}
    log = open(tmp_path_factory.mktemp("ray") / "log", "wb")  # noqa: SIM115
    starting = {key: value for key, value in environment.items() if key != "RAY_ADDRESS"}
    processes = []
    for options in nodes(port):
        processes.append(subprocess.Popen([sys.executable, "-c", START, "start", *options], stdout=log, stderr=log,
                                          env=starting, start_new_session=True))
        time.sleep(8)
    yield environment, processes
    for process in reversed(processes):
        process.terminate()
    for process in processes:
        process.wait(timeout=60)
    log.close()


def cluster(environment: dict[str, str], out: Path, inputs: Path) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, str(PROJECT / "cluster.py"), "--executor", "ray", "--out", str(out),
                             str(inputs)], env=environment, stderr=subprocess.PIPE, text=True)


def test_a_head_and_two_workers_do_the_same_and_one_may_die(tmp_path, ray_nodes):
    environment, processes = ray_nodes
    inputs = write_inputs(tmp_path / "inputs", 40, 4)
    small_pipeline(tmp_path, inputs)
    running = cluster(environment, tmp_path / "out", inputs)
    started = tmp_path / "out/work/read/logs"
    while not (started.exists() and any(started.iterdir())):
        assert running.poll() is None, running.communicate()
        time.sleep(0.1)
    processes[2].terminate()  # a machine goes
    _, said = running.communicate(timeout=500)
    assert running.returncode == 0, said
    assert_same(tmp_path / "out", tmp_path)


def test_what_ray_would_hide_is_said(tmp_path, ray_nodes):
    environment, _ = ray_nodes
    inputs = write_inputs(tmp_path / "inputs", 12, 2)
    new_job(tmp_path / "out", inputs, workers=1000)
    (tmp_path / "out/work/read/data/000000.jsonl").mkdir(parents=True)
    _, said = cluster(environment, tmp_path / "out", inputs).communicate(timeout=300)
    assert "of the stage read failed" in said and "000000.jsonl is a folder" in said, said


def test_no_cluster_is_a_sentence(tmp_path):
    pytest.importorskip("ray")
    inputs = write_inputs(tmp_path / "inputs", 8)
    environment = {**os.environ, "RAY_ADDRESS": "127.0.0.1:1"}
    _, said = cluster(environment, tmp_path / "out", inputs).communicate(timeout=300)
    assert "No Ray cluster answers" in said and re.search(r"Fix: \S*ray start --head", said), said
