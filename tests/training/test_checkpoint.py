"""python3 -m pytest tests/training/test_checkpoint.py

Bins and checkpoints that do not fit: each message names a fix, and after it training runs.
"""

import dataclasses
import errno
import json
import math
import os
import re
import shlex
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import TINY, add_clean_documents, follow, synced_names, write_bins

import prepare
from miniature_memory.core.errors import StageError
from miniature_memory.training import checkpoint
from miniature_memory.training.bins import open_bins
from miniature_memory.training.checkpoint import DamagedCheckpoint, load_state
from miniature_memory.training.config import PrepareConfig, TrainConfig
from miniature_memory.training.trainer import Trainer
from train import run, train

MORE = dataclasses.replace(TINY, max_iters=40)

pytestmark = pytest.mark.usefixtures("one_thread")


def error_of(config: TrainConfig, root: Path) -> StageError:
    with pytest.raises(StageError) as error:
        run(config, root)
    return error.value


def change(path: Path, **changes: Any) -> None:
    state = torch.load(path, weights_only=True)
    torch.save(state | changes, path)


def trained(root: Path, config: TrainConfig = TINY) -> Path:
    """The checkpoint of a first run; a root whose name needs quotes in a shell."""
    run(config, root)
    return root / "checkpoints/ckpt.pt"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "it's mine"
    write_bins(root, [1000])
    return root


# --- bins ----------------------------------------------------------------------------------------


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    """A root whose bins prepare has made."""
    add_clean_documents(tmp_path, [f"The ship number {n} lay in the harbor. " * 20 for n in range(40)])
    prepare.run(PrepareConfig(tokenizer="byte", freeze_bytes=1000), tmp_path)
    return tmp_path


@pytest.mark.parametrize("damage", ["none made", "lost", "cut", "odd", "no bins.json", "bins.json of others"])
def test_missing_or_torn_bins_are_rebuilt_by_prepare(prepared: Path, damage: str) -> None:
    whole = {path.name: path.read_bytes() for path in (prepared / "data").glob("*.bin")}
    train_bin, bins_json = prepared / "data/train.bin", prepared / "data/bins.json"
    if damage in ("none made", "lost"):
        train_bin.unlink()
    if damage == "none made":
        prepared = prepared / "new"
        add_clean_documents(prepared, ["The ship lay in the harbor. " * 20, "The captain slept. " * 40])
    if damage in ("cut", "odd"):
        os.truncate(train_bin, 100 + (damage == "odd"))
    if damage == "no bins.json":
        bins_json.unlink()
    if damage == "bins.json of others":
        bins_json.write_text(json.dumps(json.loads(bins_json.read_text()) | {"tokenizer_hash": "another"}))
    with pytest.raises(StageError) as error:
        open_bins(prepared, 0)
    command = error.value.fix.partition(",")[0]
    only = "" if damage in ("none made", "lost") else "--only prepare "  # without bins there may be nothing to prepare
    assert command == f"python3 run.py {only}--root {prepared}"
    prepare.run(PrepareConfig(tokenizer="byte", freeze_bytes=1000), prepared)
    open_bins(prepared, 0)
    if damage != "none made":
        assert {path.name: path.read_bytes() for path in (prepared / "data").glob("*.bin")} == whole


def test_ids_outside_of_the_vocabulary_are_repaired_by_validate(prepared: Path) -> None:
    with open(prepared / "data/train.bin", "r+b") as stream:
        stream.write(b"\xff\xff")
    with pytest.raises(StageError, match="holds the id 65535") as error:
        open_bins(prepared, 0)
    for command in error.value.fix.split(", then "):
        follow(command)
    open_bins(prepared, 0)


def test_nanogpts_bins_train_when_the_vocabulary_size_is_given(root: Path) -> None:
    (root / "data/bins.json").unlink()
    assert "--set train.vocab_size=N" in error_of(TINY, root).fix
    assert error_of(dataclasses.replace(TINY, vocab_size=100), root).fix.endswith("where N is 257 or more")
    facts = run(dataclasses.replace(TINY, vocab_size=257), root).facts
    assert facts["val_loss"] < math.log(257) and facts["val_bpb"] is None
    other = error_of(dataclasses.replace(TINY, vocab_size=300), root)
    assert other.fix.startswith("--set train.vocab_size=257, ")


def test_too_little_text_trains_with_a_shorter_context(tmp_path: Path) -> None:
    write_bins(tmp_path, [8], n_val=1000)
    error = error_of(TINY, tmp_path)
    assert "holds 8 tokens" in error.found and "train.block_size=4 " in error.fix
    assert run(dataclasses.replace(TINY, block_size=4), tmp_path).facts["iter_num"] == 20


def test_training_that_needs_more_memory_than_allowed_starts_when_the_limit_rises(root: Path) -> None:
    fix = error_of(dataclasses.replace(TINY, memory_limit_mb=100), root).fix
    limit = int(fix.partition(",")[0].removeprefix("--set train.memory_limit_mb="))
    assert run(dataclasses.replace(TINY, memory_limit_mb=limit), root).facts["memory_estimate_mb"] == limit


# --- files of checkpoints ------------------------------------------------------------------------


def test_a_damaged_checkpoint_is_kept_aside_and_the_one_before_continues(
        root: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = trained(root)
    run(MORE, root)
    os.truncate(path, path.stat().st_size // 2)
    torn = path.read_bytes()
    assert run(MORE, root).facts["iter_num"] == 40
    assert path.with_name("ckpt.pt.damaged").read_bytes() == torn
    assert "It is now ckpt.pt.damaged. Training continues from ckpt.prev.pt, at iteration 16." in caplog.text


def test_a_missing_checkpoint_is_replaced_by_the_one_before(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = trained(root)
    run(MORE, root)
    path.unlink()
    assert run(MORE, root).facts["iter_num"] == 40
    assert "ckpt.pt is missing. Training continues from ckpt.prev.pt, at iteration 16." in caplog.text
    before = load_state(path.with_name("ckpt.prev.pt"))
    assert before and before["iter_num"] == 16


@pytest.mark.parametrize("content", [b"", b"torn\n", b"(.", b"\x80\x02", b"I\n", b"PK\x03\x04", b"0",
                                     b"\x80\x05\x95" + b"\xff" * 8])
def test_whatever_is_no_checkpoint_is_damaged(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "checkpoints/ckpt.pt"
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(DamagedCheckpoint):
        load_state(path)


def test_a_flipped_bit_of_any_weight_is_found(root: Path) -> None:
    path = trained(root)
    whole = path.read_bytes()
    for n, weights in enumerate(torch.load(path, weights_only=True)["model"].values()):
        changed = bytearray(whole)
        changed[whole.index(weights.numpy().tobytes()) + 7 * n] ^= 1 << n % 8
        path.write_bytes(changed)
        assert torch.load(path, weights_only=True)["iter_num"] == 16  # torch does not look
        with pytest.raises(DamagedCheckpoint, match="its checksums are wrong"):
            load_state(path)


@pytest.mark.parametrize("args", [{"n_head": 0}, {"n_head": 3}, {"n_layer": 10**9}, {"n_layer": "1"}, {"n_embd": 10**9},
                                  {"block_size": 10**9}, {"vocab_size": 258}, {"match_order": 10**9},
                                  {"dropout": math.nan}])
def test_a_shape_that_no_model_has_takes_no_memory(root: Path, args: dict[str, Any]) -> None:
    path = trained(root)
    change(path, model_args=torch.load(path, weights_only=True)["model_args"] | args)
    with pytest.raises(DamagedCheckpoint):
        load_state(path)


@pytest.mark.parametrize("entries", [{"model": {"head.weight": torch.zeros(1).expand(10**12)}}, {"model": {"a": "b"}},
                                     {"scores": 1}, {"iter_num": "1"}])
def test_entries_that_no_state_has_are_rejected(root: Path, entries: dict[str, Any]) -> None:
    path = trained(root)
    change(path, **entries)
    with pytest.raises(DamagedCheckpoint):
        load_state(path)


@pytest.mark.parametrize("entries", [{"optimizer": {}}, {"position": {"plan": 1}}, {"rng": {"cpu": torch.zeros(3)}}])
def test_values_that_fit_no_training_are_put_aside(root: Path, entries: dict[str, Any]) -> None:
    path = trained(root)
    change(path, **entries)
    error = error_of(MORE, root)
    assert "ckpt.pt is damaged" in error.found
    follow(error.fix.rsplit(" && ", 1)[0])
    assert run(MORE, root).facts["iter_num"] == 40 and path.with_name("ckpt.pt.damaged").exists()


def test_two_damaged_checkpoints_are_put_aside_one_by_one(root: Path) -> None:
    path = trained(root)
    run(MORE, root)
    for name in ("ckpt.pt", "ckpt.prev.pt"):
        os.truncate(path.with_name(name), 100)
    for name in ("ckpt.prev.pt", "ckpt.pt"):
        error = error_of(MORE, root)
        assert f"{name} is damaged" in error.found
        commands, train_again = error.fix.rsplit(" && ", 1)
        follow(commands)
        assert train_again == f"python3 run.py --only train --root {shlex.quote(str(root))}"
    assert run(MORE, root).facts["iter_num"] == 40 and len(list(path.parent.glob("*.damaged"))) == 2


@pytest.mark.parametrize("content", [b"", b"nonsense", None])
def test_first_checkpoint_that_is_damaged_is_moved_aside(root: Path, content: bytes | None) -> None:
    path = root / "checkpoints/ckpt.pt"
    path.parent.mkdir()
    torch.save({"model": 1}, path) if content is None else path.write_bytes(content)
    error = error_of(TINY, root)
    assert "is damaged" in error.found
    follow(error.fix.rsplit(" && ", 1)[0])
    assert run(TINY, root).facts["iter_num"] == 20 and path.with_name("ckpt.pt.damaged").exists()


def test_damaged_release_is_moved_aside_and_written_again(root: Path) -> None:
    trained(root)
    path = root / "checkpoints/release.pt"
    path.write_bytes(b"nonsense")
    with pytest.raises(StageError, match="is damaged"):
        load_state(path)
    assert run(TINY, root).facts["iter_num"] == 20
    assert load_state(path) and path.with_name("release.pt.damaged").read_bytes() == b"nonsense"


def test_checkpoint_that_may_not_be_read_is_not_called_damaged(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained(root)

    def refuse(path: Path) -> str:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(checkpoint, "zip_fault", refuse)
    error = error_of(MORE, root)
    assert "ckpt.pt cannot be read (Permission denied)" in error.found and not list(root.glob("**/*.damaged"))


@pytest.mark.parametrize(("age", "args"), [("a newer", {"experts": 8}), ("an older", {"ngram_order": None})])
def test_checkpoint_of_another_release_is_not_called_damaged(root: Path, age: str, args: dict) -> None:
    path = trained(root)
    changed = torch.load(path, weights_only=True)["model_args"] | args
    change(path, model_args={name: value for name, value in changed.items() if value is not None})
    error = error_of(MORE, root)
    assert f"a model of {age} release" in error.found
    follow(error.fix.partition("start a new model: ")[2])
    assert run(MORE, root).facts["iter_num"] == 40 and (root / "checkpoints.old/ckpt.pt").exists()


def test_no_fix_removes_a_file() -> None:
    for path in Path(prepare.__file__).parent.glob("miniature_memory/training/*.py"):
        assert not re.search(r"\brm\b", path.read_text()), path


def test_checkpoint_of_another_tokenizer_makes_room_for_a_new_model(root: Path) -> None:
    trained(root)
    write_bins(root, [1000], seed=1)
    error = error_of(TINY, root)
    assert "was trained with the tokenizer" in error.found
    follow(error.fix.partition("start a new model: ")[2])
    assert run(TINY, root).facts["iter_num"] == 20


def test_model_of_a_provisional_tokenizer_is_rebuilt(tmp_path: Path) -> None:
    write_bins(tmp_path, [1000], provisional=True)
    path = trained(tmp_path)
    write_bins(tmp_path, [1000], seed=1)
    assert run(TINY, tmp_path).facts["iter_num"] == 20
    kept, new = load_state(path.with_name("ckpt.prev.pt")), load_state(path)
    assert kept and kept["tokenizer_provisional"] and new and not new["tokenizer_provisional"]


# --- roots made before ---------------------------------------------------------------------------


def test_checkpoint_of_before_continues_to_the_last_bit(tmp_path: Path) -> None:
    losses: dict[str, dict[int, float]] = {"now": {}, "before": {}}
    for name, found in losses.items():
        write_bins(tmp_path / name, [1000])
        path = trained(tmp_path / name)
        if name == "before":
            config = torch.load(path, weights_only=True)["config"]
            old = {"beta1": 0.9, "beta2": 0.99, "save_minutes": 5.0, "eval_windows": 64, "keep_nights": 7}
            change(path, compiled=False, config=config | old)
        train(MORE, tmp_path / name, time.monotonic(), found.__setitem__)
    assert losses["now"] == losses["before"] and min(losses["now"]) == 17


def test_model_from_before_there_were_matches_continues_without_them(root: Path) -> None:
    path = trained(root, dataclasses.replace(TINY, match_order=0))
    args = torch.load(path, weights_only=True)["model_args"]
    del args["match_order"]
    change(path, model_args=args)
    assert run(MORE, root).facts["iter_num"] == 40
    state = load_state(path)
    assert state and state["model_args"]["match_order"] == 0


def test_a_kill_between_two_renamings_leaves_no_third_name(root: Path) -> None:
    path = trained(root)
    previous = path.with_name("ckpt.prev.pt")
    previous.unlink(missing_ok=True)
    os.link(path, previous)
    run(MORE, root)
    kept, new = load_state(previous), load_state(path)
    assert kept and new and (kept["iter_num"], new["iter_num"]) == (16, 32)
    assert not list(path.parent.rglob("*.tmp"))


def test_the_copy_of_a_release_that_a_kill_prevented_is_made_by_the_next_run(root: Path) -> None:
    path = trained(root)
    (copy,) = path.parent.glob("history/*.pt")
    run(TINY, root)
    assert [*path.parent.glob("history/*")] == [copy]
    kept = load_state(copy)
    copy.rename(copy.with_name(f"{copy.name}.tmp"))
    run(TINY, root)
    (again,) = path.parent.glob("history/*")
    state = load_state(again)
    assert again.suffix == ".pt" and kept and state and state["scores"] == kept["scores"]


def test_without_links_the_previous_checkpoint_is_a_synced_copy(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Path) -> None:
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    path, synced = trained(root), synced_names(monkeypatch)
    monkeypatch.setattr(os, "link", refuse)
    run(MORE, root)
    kept = load_state(path.with_name("ckpt.prev.pt"))
    assert kept and kept["iter_num"] == 16 and "ckpt.prev.pt.tmp" in synced


def test_nights_become_the_history(root: Path) -> None:
    trained(root)
    history, nights = root / "checkpoints/history", root / "checkpoints/nights"
    history.rename(nights)
    (nights / "2020-01-01-000000.pt").touch()
    run(MORE, root)
    assert not nights.exists() and (history / "2020-01-01-000000.pt").exists()
    assert len(list(history.glob("*.pt"))) >= 2


# --- failures of a run ---------------------------------------------------------------------------


def test_loss_that_is_not_finite_leaves_the_good_checkpoint(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = trained(root)
    good, honest = path.read_bytes(), Trainer._accumulate_gradients
    with monkeypatch.context() as broken:
        broken.setattr(Trainer, "_accumulate_gradients", lambda self: honest(self) * math.nan)
        error = error_of(MORE, root)
    assert "is nan" in error.found and "--set train.learning_rate=0.001 --root" in error.fix
    assert path.read_bytes() == good
    assert run(dataclasses.replace(MORE, learning_rate=0.001), root).facts["iter_num"] == 40


def test_full_disk_leaves_the_good_checkpoint(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = trained(root)

    def fail(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    assert "no space left" in error_of(MORE, root).found
    state = load_state(path)
    assert state and state["iter_num"] == 16 and not path.with_name("ckpt.pt.tmp").exists()


def test_weights_that_overflowed_replace_nothing(tmp_path: Path) -> None:
    write_bins(tmp_path, [1000])
    run(TINY, tmp_path)
    files = {path: path.read_bytes() for path in (tmp_path / "checkpoints").glob("*.pt")}
    state = load_state(tmp_path / "checkpoints/ckpt.pt")
    assert state
    next(iter(state["model"].values())).fill_(math.inf)
    with pytest.raises(StageError, match=r"overflowed by iteration .*stays as it was") as error:
        checkpoint.save_state(tmp_path / "checkpoints/ckpt.pt", state)
    assert "--set train.learning_rate=" in error.value.fix
    assert {path: path.read_bytes() for path in files} == files
