"""python3 -m pytest -m "slow or not slow" tests/training/test_distributed.py"""

import dataclasses
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import TINY, write_bins

from miniature_memory.core.errors import StageError
from miniature_memory.core.paths import PROJECT
from miniature_memory.training import releases
from miniature_memory.training.checkpoint import load_state
from miniature_memory.training.config import TrainConfig
from miniature_memory.training.distributed import joined_rows, rank_and_size, share_of
from miniature_memory.training.optim import RowAdagrad
from train import train

# Large enough that the order in which floats are added stays without consequences
SMALL = dataclasses.replace(TINY, size="2x32", block_size=64, ngram_rows=4096, dropout=0.0, warmup_iters=50)

# What each process runs: train() with the losses that rank 0 sees in a file, and something that happens at an iteration
PROGRAM = """
import json, os, signal, sys, time
from pathlib import Path
import torch
import train
from miniature_memory.core.process import catch_signals
from miniature_memory.training import releases
from miniature_memory.training.distributed import rank_and_size
from train import TrainConfig

root, config, happens = Path(sys.argv[1]), eval(sys.argv[2]), sys.argv[3]
rank, first_try = rank_and_size()[0], os.environ["TORCHELASTIC_RESTART_COUNT"] == "0"
releases.steps_for = lambda minutes: 60

def on_iteration(iter_num, loss):
    if rank == 0:
        with open(root / "losses.jsonl", "a") as stream:
            stream.write(json.dumps([iter_num, loss]) + "\\n")
    time.sleep(0.003 if happens else 0)
    if happens == "kill" and rank == 1 and first_try and iter_num == 25:
        os.kill(os.getpid(), signal.SIGKILL)
    if happens == "stop" and rank == 0 and iter_num == 7:
        os.kill(os.getppid(), signal.SIGTERM)  # torchrun's

catch_signals()
train.train(config, root, time.monotonic(), on_iteration)
"""


def torchrun(*arguments: str | Path, n: int = 2, timeout: float = 240) -> subprocess.CompletedProcess[str]:
    """`n` processes on loopback, one thread each."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--local-addr=127.0.0.1",
               f"--nproc_per_node={n}", *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=timeout, check=False)


def write_text(root: Path) -> None:
    """Tokens as frequent as words are, in phrases that occur again: enough for counts."""
    end, random = write_bins(root, [60_000], n_val=20).eot_token, np.random.default_rng(0)
    weights = 1 / np.arange(1, end + 1)
    phrases = random.choice(end, (300, 5), p=weights / weights.sum())
    for name in ("train", "val"):
        text = np.fromfile(root / f"data/{name}.bin", "<u2")
        words = phrases[random.integers(300, size=-(-len(text) // 5))].flatten()[:len(text)]
        np.where(text == end, end, words).astype("<u2").tofile(root / f"data/{name}.bin")


def train_together(root: Path, config: TrainConfig, happens: str = "", *options: str) -> dict[int, float]:
    """Train with two processes; the losses of the iterations, the later one where there are two."""
    (root / "program.py").write_text(PROGRAM)
    done = torchrun(*options, root / "program.py", root, repr(config), happens)
    assert (done.returncode == 0) == (happens != "stop"), done.stderr
    return dict(json.loads(line) for line in (root / "losses.jsonl").read_text().splitlines())


def train_alone(root: Path, config: TrainConfig) -> dict[int, float]:
    losses: dict[int, float] = {}
    train(config, root, time.monotonic(), losses.__setitem__)
    return losses


def loaded(root: Path, name: str) -> dict:
    state = load_state(root / "checkpoints" / name)
    assert state
    return state


# --- shares --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("batch_size", "steps", "size", "expected"), [
    (4, 1, 1, (4, 1)), (4, 3, 1, (4, 3)), (4, 1, 2, (2, 1)), (4, 2, 8, (1, 1)), (4, 8, 2, (4, 4)), (6, 2, 4, (3, 1)),
    (4, 3, 2, (3, 2))])
def test_each_process_has_the_same_share(batch_size: int, steps: int, size: int, expected: tuple[int, int]) -> None:
    config = TrainConfig(batch_size=batch_size, gradient_accumulation_steps=steps)
    assert share_of(config, size) == expected
    assert expected[0] * expected[1] * size == batch_size * steps


@pytest.mark.parametrize(("batch_size", "steps", "size"), [(4, 1, 3), (4, 1, 8), (5, 2, 4), (1, 3, 2)])
def test_a_batch_that_does_not_divide_is_refused_with_one_that_does(batch_size: int, steps: int, size: int) -> None:
    with pytest.raises(StageError, match=f"{batch_size * steps} windows .* {size} processes") as error:
        share_of(TrainConfig(batch_size=batch_size, gradient_accumulation_steps=steps), size)
    fix = re.search(r"--set train\.batch_size=(\d+)$", str(error.value))
    assert fix and share_of(TrainConfig(batch_size=int(fix[1]), gradient_accumulation_steps=steps), size)


def test_without_torchrun_a_process_is_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")  # of some other program
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert rank_and_size() == (0, 1)


def test_joined_rows_move_a_table_as_single_ones_do() -> None:
    rows, values, factor = torch.randint(10, (200,)), torch.randn(200, 4), 8.0
    tables = [torch.nn.Parameter(torch.zeros(12, 4)) for _ in range(2)]
    one, other = (RowAdagrad(table, 0.5, 1e-3) for table in tables)
    for _ in range(2):
        tables[0].grad = torch.sparse_coo_tensor(rows[None], values, (12, 4), check_invariants=False)
        own = joined_rows(torch.sparse_coo_tensor(rows[None], factor * values, (12, 4), check_invariants=False), factor)
        assert len(own) == len(rows.unique()) and own[:, -1].contiguous().view(torch.int32).equal(rows.unique().int())
        tables[1].grad = torch.sparse_coo_tensor(rows.unique()[None], own[:, :4] / factor, (12, 4),
                                                 check_invariants=False)
        other.grad_squares = own[:, 4]
        one.step(1.0)
        other.step(1.0)
    torch.testing.assert_close(one.squares, other.squares)
    torch.testing.assert_close(tables[0], tables[1])


# --- two processes -------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("steps", [1, 3])
def test_two_processes_have_the_losses_of_one(tmp_path: Path, steps: int, monkeypatch: pytest.MonkeyPatch,
                                              one_thread: None) -> None:
    monkeypatch.setattr(releases, "steps_for", lambda minutes: 60)
    config = dataclasses.replace(SMALL, gradient_accumulation_steps=steps)
    one, two = tmp_path / "one", tmp_path / "two"
    for root in (one, two):
        write_text(root)
    alone, together = train_alone(one, config), train_together(two, config)
    assert list(together) == list(alone) == list(range(1, 21))
    assert list(together.values()) == pytest.approx(list(alone.values()), abs=1e-5)
    expected, found = loaded(one, "ckpt.pt"), loaded(two, "ckpt.pt")
    assert found["position"] == expected["position"] and found["tokens_seen"] == expected["tokens_seen"]
    squares = [state["optimizer"]["RowAdagrad"]["squares"][0] for state in (found, expected)]
    torch.testing.assert_close(*squares, atol=1e-9, rtol=1e-3)
    torch.testing.assert_close(found["model"]["embedding.table"], expected["model"]["embedding.table"],
                               atol=1e-4, rtol=1e-3)
    expected, found = loaded(one, "release.pt"), loaded(two, "release.pt")
    assert expected["gate"] and found["gate"]  # fitted by rank 0
    for name in ("val_bpb", "val_bpb_network"):
        assert found["scores"][name] == pytest.approx(expected["scores"][name], abs=1e-4)


@pytest.mark.slow
def test_only_rank_0_writes(tmp_path: Path) -> None:
    """Each process has a root of its own, as on two machines."""
    roots = [tmp_path / name for name in ("first", "second")]
    for root in roots:
        write_bins(root, [1000])
    before = {path: path.stat().st_mtime_ns for path in roots[1].rglob("*")}
    program = tmp_path / "program.py"
    program.write_text("import os, sys, train\n"
                       "sys.exit(train.main(['--root', sys.argv[1 + int(os.environ['RANK'])], *sys.argv[3:]]))")
    settings = [f"--set=train.{name}={json.dumps(getattr(TINY, name))}" for name in vars(TINY)
                if getattr(TINY, name) != getattr(TrainConfig(), name)]
    done = torchrun(program, *roots, *settings, "--json")
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    assert json.loads(line)["facts"]["iter_num"] == 20
    assert done.stderr.count("the model has 1 layer") == 1
    assert {path.name for path in (roots[0] / "checkpoints").iterdir()} >= {"ckpt.pt", "ckpt.json", "release.pt"}
    assert {path: path.stat().st_mtime_ns for path in roots[1].rglob("*")} == before
    write_bins(roots[1], [1000], seed=1)
    done = torchrun(program, *roots, *settings)
    assert done.returncode == 1
    assert f"{roots[1]}/data on {os.uname().nodename} differs from that of rank 0 (tokenizer, train.bin)" in done.stderr


@pytest.mark.slow
def test_a_command_that_does_not_divide_is_refused_once(root: Path) -> None:
    done = torchrun(PROJECT / "train.py", "--root", root, "--set", "train.batch_size=3")
    assert done.returncode == 1
    assert done.stderr.count("there are 2 processes. Expected: a number that they can share equally. Fix: --set "
                             "train.batch_size=4") == 1


@pytest.mark.slow
def test_a_training_whose_second_process_is_killed_continues_from_its_checkpoint(tmp_path: Path,
                                                                                 one_thread: None) -> None:
    config = dataclasses.replace(SMALL, max_iters=40, eval_minutes=0.001, counts=False)
    for name in ("one", "two"):
        write_text(tmp_path / name)
    together = train_together(tmp_path / "two", config, "kill", "--max-restarts=1")
    lines = [json.loads(line)[0] for line in (tmp_path / "two/losses.jsonl").read_text().splitlines()]
    assert 40 <= len(lines) < 65  # not from the beginning again
    assert list(together.values()) == pytest.approx(list(train_alone(tmp_path / "one", config).values()), abs=1e-4)


@pytest.mark.slow
def test_a_training_that_is_stopped_saves_and_continues_alone(tmp_path: Path, one_thread: None) -> None:
    config = dataclasses.replace(SMALL, counts=False)
    for name in ("one", "two"):
        write_text(tmp_path / name)
    together = train_together(tmp_path / "two", config, "stop")
    stopped_at = loaded(tmp_path / "two", "ckpt.pt")["iter_num"]
    assert max(together) == stopped_at and 7 <= stopped_at < 20
    together |= train_alone(tmp_path / "two", config)
    assert list(together.values()) == pytest.approx(list(train_alone(tmp_path / "one", config).values()), abs=1e-5)
