"""A model that starts from a folder for transformers.   .venv/bin/python -m pytest tests/training/test_init_from.py"""

import dataclasses
import json
import shutil
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from helpers import PROSE, TINY, add_clean_documents, follow

import prepare
import train
from miniature_memory.core.errors import StageError
from miniature_memory.exporting.huggingface import write_huggingface
from miniature_memory.exporting.tokenizer_json import write_tokenizer
from miniature_memory.training import tokenizer as tokenizers
from miniature_memory.training.bins import open_bins
from miniature_memory.training.checkpoint import load_state
from miniature_memory.training.config import PrepareConfig, StartConfig, TrainConfig
from miniature_memory.training.init_from import load_start, read_tokenizer
from miniature_memory.training.trainer import Trainer

safetensors = pytest.importorskip("safetensors.torch", reason="no safetensors; install it: ./setup.sh --with export")
WIDTH, HEADS, CONTEXT = 32, 2, 16
NANOCHAT = {"model_type": "nanochat", "hidden_size": WIDTH, "intermediate_size": 4 * WIDTH, "num_hidden_layers": 1,
            "num_attention_heads": HEADS, "num_key_value_heads": HEADS, "max_position_embeddings": CONTEXT,
            "final_logit_softcapping": None, "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0}}


def start_from(folder: Path, config: TrainConfig = TINY) -> TrainConfig:
    return dataclasses.replace(config, init_from=str(folder))


def new_root(root: Path, folder: Path | None) -> Path:
    """Other documents, prepared with the tokenizer in `folder`."""
    add_clean_documents(root, [f"Another {n}. {PROSE}" for n in range(6)])
    prepare.run(PrepareConfig(vocab_size=290, train=StartConfig(str(folder or ""))), root)
    return root


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What export.py hf makes of a small root, which is next to it."""
    folder = tmp_path_factory.mktemp("exported")
    add_clean_documents(folder / "root", [f"{n} {PROSE}" for n in range(8)])
    prepare.run(PrepareConfig(vocab_size=300), folder / "root")
    train.run(TINY, folder / "root")
    write_huggingface(folder / "root", folder / "model", Namespace(config=None, overrides=[]))
    return folder / "model"


@pytest.fixture(scope="module")
def root(exported: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root with bins for `exported`, and no model yet. No test may write into it."""
    return new_root(tmp_path_factory.mktemp("roots") / "new", exported)


def copied(folder: Path, to: Path) -> Path:
    return Path(shutil.copytree(folder, to))


def test_a_new_root_takes_tokenizer_shape_and_weights(exported: Path, root: Path) -> None:
    old = load_state(exported.parent / "root/checkpoints/release.pt")
    tokenizer = tokenizers.load(root / "data/tokenizer")
    trainer = Trainer(start_from(exported, TrainConfig(max_iters=1)), root, open_bins(root, 0), 0.0)
    assert old and tokenizer.hash == old["tokenizer_hash"] and not tokenizer.provisional
    assert dataclasses.asdict(trainer.model.config) == old["model_args"] | {"dropout": 0.1}
    found = trainer.model.state_dict()
    assert all(torch.equal(found[name], value) for name, value in old["model"].items())
    assert trainer.is_fresh and trainer.iter_num == 0


def test_the_log_says_from_which_model_it_starts(exported: Path, root: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    train.log_model(Trainer(start_from(exported, TrainConfig(max_iters=1)), root, open_bins(root, 0), 0.0))
    assert f"and starts from the model in {exported}" in caplog.text and "time budget" not in caplog.text


def test_a_size_that_the_model_does_not_have_is_named(exported: Path, root: Path,
                                                      caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    Trainer(start_from(exported, dataclasses.replace(TINY, size="3x64")), root, open_bins(root, 0), 0.0)
    assert f"train.size = 3x64 has no effect: the model in {exported} has 1x" in caplog.text
    assert "For a model of another shape: --set 'train.init_from=\"\"'" in caplog.text


def test_training_continues_from_its_own_checkpoint_when_the_folder_is_gone(exported: Path, root: Path,
                                                                            tmp_path: Path) -> None:
    root, folder = copied(root, tmp_path / "root"), copied(exported, tmp_path / "model")
    first = train.run(start_from(folder), root)
    shutil.rmtree(folder)
    second = train.run(start_from(folder, dataclasses.replace(TINY, max_iters=40)), root)
    assert (first.facts["iter_num"], second.facts["iter_num"]) == (20, 40)
    write_huggingface(root, tmp_path / "again", Namespace(config=None, overrides=[]))
    assert "It began as the model model, whose own" in (tmp_path / "again/README.md").read_text()
    assert "trained from random weights" in (exported / "README.md").read_text()


def test_bins_with_another_tokenizer_are_named_with_the_fix(exported: Path, tmp_path: Path) -> None:
    root = new_root(tmp_path / "root", None)
    with pytest.raises(StageError, match="The bins have the tokenizer") as error:
        Trainer(start_from(exported), root, open_bins(root, 0), 0.0)
    follow(error.value.fix)
    Trainer(start_from(exported), root, open_bins(root, 0), 0.0)


# --- NanoChat ------------------------------------------------------------------------------------


def nanochat(folder: Path, root: Path) -> Path:
    """A folder as save_pretrained() writes it. Its logits are compared in tests/exporting/test_libraries.py."""
    folder.mkdir()
    tokenizer = tokenizers.load(root / "data/tokenizer")
    write_tokenizer(tokenizer, folder)
    (folder / "config.json").write_text(json.dumps(NANOCHAT | {"vocab_size": tokenizer.vocab_size}))
    shapes = {"model.embed_tokens": (tokenizer.vocab_size, WIDTH), "lm_head": (tokenizer.vocab_size, WIDTH),
              "model.layers.0.mlp.fc1": (4 * WIDTH, WIDTH), "model.layers.0.mlp.fc2": (WIDTH, 4 * WIDTH),
              **{f"model.layers.0.self_attn.{name}_proj": (WIDTH, WIDTH) for name in "qkvo"}}
    safetensors.save_file({f"{name}.weight": torch.randn(shape) for name, shape in shapes.items()},
                          folder / "model.safetensors")
    return folder


def test_nanochat_is_model_py_without_n_grams_and_matches(root: Path, tmp_path: Path) -> None:
    folder = nanochat(tmp_path / "nanochat", root)
    trainer = Trainer(start_from(folder), root, open_bins(root, 0), 0.0)
    shape, found = trainer.model.config, safetensors.load_file(folder / "model.safetensors")
    assert (shape.n_layer, shape.n_head, shape.n_embd, shape.block_size) == (1, HEADS, WIDTH, CONTEXT)
    assert (shape.ngram_order, shape.match_order, shape.qk_norm) == (1, 0, True)
    assert torch.equal(trainer.model.head.weight, found["lm_head.weight"])
    q = found["model.layers.0.self_attn.q_proj.weight"]  # channels i + 8 and i of a head of 16 become 2i and 2i + 1
    assert torch.equal(trainer.model.state_dict()["blocks.0.attention.qkv.weight"][:4], q[[8, 0, 9, 1]])


@pytest.mark.parametrize("change, said", [
    ({"final_logit_softcapping": 15.0}, "final_logit_softcapping = 15.0"), ({"hidden_act": "gelu"}, "hidden_act ="),
    ({"num_key_value_heads": 1}, "num_key_value_heads = 1"), ({"intermediate_size": 96}, "intermediate_size = 96"),
    ({"rope_parameters": {"rope_theta": 5e5}}, "rope_theta = 500000"), ({"tie_word_embeddings": True}, "tie_word"),
    ({"rms_norm_eps": 0.1}, "rms_norm_eps = 0.1"), ({"hidden_size": "wide"}, "cannot be read"),
    ({"num_attention_heads": 0}, "cannot be read"), ({"num_hidden_layers": 2}, "another architecture"),
    ({"num_hidden_layers": 10**9}, "another architecture"), ({"vocab_size": 9}, "a vocabulary of 9"),
    ({"max_position_embeddings": 1 << 40}, "no model has this shape"), ({"model_type": "gpt2"}, "model_type 'gpt2'")])
def test_an_architecture_that_model_py_has_not_is_refused(root: Path, tmp_path: Path, change: dict[str, object],
                                                          said: str) -> None:
    folder = nanochat(tmp_path / "nanochat", root)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | change))
    with pytest.raises(StageError) as error:
        load_start(start_from(folder), root, open_bins(root, 0))
    assert said in str(error.value)


# --- what is no such folder ----------------------------------------------------------------------


def changed(name: str, value: object) -> Callable[[Path], None]:
    """Change one tensor of the weights, or leave it out (None)."""
    def change(folder: Path) -> None:
        weights = safetensors.load_file(folder / "model.safetensors")
        weights |= {} if value is None else {name: value}
        safetensors.save_file({key: one for key, one in weights.items() if value is not None or key != name},
                              folder / "model.safetensors")
    return change


def written(name: str, data: bytes) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes(data) and None  # type: ignore[func-returns-value]


@pytest.mark.parametrize("damage, said", [
    (changed("gpt.head.weight", None), "its weights do not have the shape"),
    (changed("gpt.head.weight", torch.full((300, 16), torch.nan)), "no finite numbers"),
    (changed("gpt.blocks.0.mlp.up.weight", torch.zeros(16, 64)), "other names or shapes"),
    (written("model.safetensors", b"\x80\x04K\x01."), "another architecture (SafetensorError"),
    (written("model.safetensors", b""), "another architecture (SafetensorError"),
    (lambda folder: (folder / "model.safetensors").unlink(), "has no model.safetensors"),
    (lambda folder: (folder / "config.json").unlink(), "has no config.json"),
    (written("config.json", b"[" * 100_000), "config.json that is no JSON"),
    (written("config.json", b"[]"), "model_type 'None'"),
    (written("config.json", b'{"model_type": "miniature_memory"}'), "config.json without block_size"),
    (written("tokenizer.json", b"{}"), "is not byte-level BPE"),
    (lambda folder: shutil.rmtree(folder), "has no tokenizer.json")])
def test_a_damaged_folder_is_refused_in_a_sentence(exported: Path, root: Path, tmp_path: Path,
                                                   damage: Callable[[Path], object], said: str) -> None:
    folder = copied(exported, tmp_path / "model")
    damage(folder)
    with pytest.raises(StageError) as error:
        load_start(start_from(folder), root, open_bins(root, 0))
    assert said in str(error.value) and error.value.fix.startswith("--set 'train.init_from=\"\"'")


def test_weights_beyond_the_memory_limit_are_not_read(exported: Path, root: Path) -> None:
    config = dataclasses.replace(start_from(exported), memory_limit_mb=0)
    with pytest.raises(StageError, match=r"larger than train.memory_limit_mb"):
        load_start(config, root, open_bins(root, 0))


@pytest.mark.parametrize("name, said", [("transformer.wpe.weight", "a nanoGPT checkpoint, with learned positions"),
                                        ("embedding.table", "a checkpoint; export.py hf"), ("other", "is a file.")])
def test_a_checkpoint_is_refused_by_name(tmp_path: Path, name: str, said: str) -> None:
    torch.save({"model": {name: torch.zeros(2)}}, tmp_path / "ckpt.pt")
    with pytest.raises(StageError) as error:
        read_tokenizer(tmp_path / "ckpt.pt")
    assert said in str(error.value)
