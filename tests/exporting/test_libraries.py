"""What libraries make of an export.   .venv/bin/python -m pytest -m heavy tests/exporting/test_libraries.py

They are installed into an environment of their own; torch and what it needs comes from this one.
"""

import json
import os
import re
import subprocess
import sys
import sysconfig
from argparse import Namespace
from pathlib import Path

import pytest
from helpers import PROSE, add_clean_documents

from miniature_memory.core.paths import PROJECT
from miniature_memory.exporting.dataset import write_dataset
from miniature_memory.storage import clean_documents
from miniature_memory.storage.catalog import Catalog

pytestmark = pytest.mark.heavy
PACKAGES = ("datasets==5.2.0", "transformers==5.24.0", "peft==0.21.2", "accelerate==1.15.0")

LOAD = """
import json, sys
from datasets import load_dataset
found = load_dataset(sys.argv[1])
print(json.dumps({split: rows["text"][:] for split, rows in found.items()}))
"""
TINY = """
import sys
from tokenizers import Tokenizer, models, pre_tokenizers
from tokenizers.trainers import BpeTrainer
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
tokenizer = Tokenizer(models.BPE())
tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel()
tokenizer.train_from_iterator([sys.argv[2]], BpeTrainer(vocab_size=400, special_tokens=["<end>"],
                              initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>").save_pretrained(sys.argv[1])
LlamaForCausalLM(LlamaConfig(vocab_size=400, hidden_size=32, intermediate_size=64, num_hidden_layers=2,
                             num_attention_heads=2)).save_pretrained(sys.argv[1])
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment with PACKAGES."""
    folder = tmp_path_factory.mktemp("libraries")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    packages = next(folder.glob("lib/python*/site-packages"))
    (packages / "ours.pth").write_text(sysconfig.get_path("purelib") + "\n")
    done = subprocess.run([folder / "bin/python", "-m", "pip", "install", "-q", *PACKAGES], capture_output=True,
                          text=True)
    if done.returncode:
        pytest.skip(f"the libraries cannot be installed: {done.stderr[-300:]}")
    return folder / "bin/python"


def run(python: Path, home: Path, *arguments: str | Path) -> str:
    environment = os.environ | {"HF_HOME": str(home), "HF_HUB_OFFLINE": "1", "PYTHONPATH": ""}
    done = subprocess.run([python, *arguments], capture_output=True, text=True, env=environment, cwd=home, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("root")
    add_clean_documents(root, [f"{n} {PROSE}" for n in range(20)])
    with Catalog(root) as catalog, catalog.record():
        clean_documents.set_splits(catalog, [(seq, "val" if seq > 15 else "train") for seq in range(1, 21)])
    return root


@pytest.mark.parametrize("kind", ["parquet", "json_lines"])
def test_datasets_loads_what_was_exported(python: Path, root: Path, tmp_path: Path, kind: str) -> None:
    if kind == "parquet":
        pytest.importorskip("pyarrow", reason="no pyarrow; install it: ./setup.sh --with export")
    args = Namespace(json_lines=kind == "json_lines", rejected=False, config=None, overrides=[])
    write_dataset(root, tmp_path / "out", args)
    found = json.loads(run(python, tmp_path, "-c", LOAD, tmp_path / "out").splitlines()[-1])
    assert {split: len(texts) for split, texts in found.items()} == {"train": 15, "validation": 5}
    assert found["train"][0] == f"0 {PROSE}"


def test_the_recipe_for_a_larger_model_runs(python: Path, root: Path, tmp_path: Path) -> None:
    write_dataset(root, tmp_path / "bread", Namespace(json_lines=True, rejected=False, config=None, overrides=[]))
    run(python, tmp_path, "-c", TINY, tmp_path / "tiny", PROSE)
    code = re.search(r"```python\n(.*?)```", (PROJECT / "docs/export.md").read_text(), re.DOTALL)
    assert code
    small = code[1].replace('"HuggingFaceTB/SmolLM2-135M", 1024', f'"{tmp_path / "tiny"}", 64')
    assert small != code[1]
    losses = re.findall(r"(?:before|after): ([\d.]+)", run(python, tmp_path, "-c", small))
    assert len(losses) == 2 and float(losses[1]) <= float(losses[0])
    assert (tmp_path / "adapter/adapter_model.safetensors").exists()
