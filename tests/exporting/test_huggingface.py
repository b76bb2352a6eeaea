"""A model for transformers.   .venv/bin/python -m pytest tests/exporting/test_huggingface.py"""

import json
from argparse import Namespace
from pathlib import Path

import pytest
import torch
from helpers import PROSE, TINY, add_clean_documents

import prepare
import train
from miniature_memory.core.errors import StageError
from miniature_memory.exporting.huggingface import write_huggingface
from miniature_memory.training.checkpoint import load_state
from miniature_memory.training.config import PrepareConfig
from miniature_memory.training.tokenizer import load

ARGS = Namespace(config=None, overrides=[])
FILES = {"README.md", "config.json", "generation_config.json", "model.py", "model.safetensors",
         "modeling_miniature_memory.py", "tokenizer.json", "tokenizer_config.json"}
safetensors = pytest.importorskip("safetensors.torch", reason="no safetensors; install it: ./setup.sh --with export")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("roots") / "sea-ships"
    add_clean_documents(root, [f"{n} {PROSE}" for n in range(8)])
    prepare.run(PrepareConfig(vocab_size=300), root)
    train.run(TINY, root)
    return root


@pytest.fixture(scope="module")
def folder(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("out") / "model"
    said = write_huggingface(root, folder, ARGS)
    assert "parameters after 20 iterations" in said
    return folder


def test_the_folder_holds_the_weights_of_the_release(root: Path, folder: Path) -> None:
    state, found = load_state(root / "checkpoints/release.pt"), safetensors.load_file(folder / "model.safetensors")
    assert {path.name for path in folder.iterdir()} == FILES
    assert state and found.keys() == {f"gpt.{name}" for name in state["model"]}
    assert all(torch.equal(found[f"gpt.{name}"], value) for name, value in state["model"].items())
    config = json.loads((folder / "config.json").read_text())
    assert {name: config[name] for name in state["model_args"]} == state["model_args"]
    assert config["eos_token_id"] == load(root / "data/tokenizer").eot_token


def test_the_card_says_what_it_learned_from(folder: Path) -> None:
    _, head, text = (folder / "README.md").read_text().split("---\n", 2)
    values = {name: json.loads(value) for name, value in (line.split(": ", 1) for line in head.splitlines())}
    assert (values["library_name"], values["pipeline_tag"]) == ("transformers", "text-generation")
    assert "# sea-ships" in text or "# sea ships" in text
    assert "on 8 documents" in text and "| example.org | 8 |" in text and "bits per byte" in text


def test_the_card_names_the_figure_without_counts_beside_the_whole() -> None:
    from miniature_memory.exporting.model_card import _bits

    assert "1.756 bits per byte" in _bits({"val_bpb": 1.668, "val_bpb_network": 1.756})
    assert "reaches 1.668" in _bits({"val_bpb": 1.668, "val_bpb_network": 1.756})
    assert _bits({"val_bpb": 2.0}) == "It predicts validation text at 2.000 bits per byte."


def test_a_root_without_a_release_is_told_how_to_come_to_one(tmp_path: Path) -> None:
    with pytest.raises(StageError, match=r"no release .* Fix: train one with python3 run.py"):
        write_huggingface(tmp_path, tmp_path / "out", ARGS)
    assert not (tmp_path / "out").exists()
