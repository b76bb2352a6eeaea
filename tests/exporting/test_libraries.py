"""What libraries make of an export.   .venv/bin/python -m pytest -m heavy tests/exporting/test_libraries.py

They are installed into an environment of their own; torch and what it needs comes from this one.
"""

import dataclasses
import json
import os
import re
import subprocess
import sys
import sysconfig
import tempfile
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path

import helpers
import pytest
import torch
from helpers import PROSE, add_clean_documents

import prepare
import train
from miniature_memory.core.paths import PROJECT
from miniature_memory.exporting.arcee import write_transformers
from miniature_memory.exporting.dataset import write_dataset
from miniature_memory.exporting.huggingface import write_huggingface
from miniature_memory.exporting.llama_cpp import FILE, encoding, write_gguf
from miniature_memory.exporting.tokenizer_json import write_tokenizer
from miniature_memory.sampling.generation import load_model
from miniature_memory.storage import clean_documents
from miniature_memory.storage.catalog import Catalog
from miniature_memory.training import tokenizer as tokenizers
from miniature_memory.training.bins import open_bins
from miniature_memory.training.config import PrepareConfig, TrainConfig
from miniature_memory.training.init_from import load_start
from miniature_memory.training.tokenizer import Tokenizer
from model import GPT, GPTConfig

pytestmark = pytest.mark.heavy
PACKAGES = ("datasets==5.2.0", "transformers==5.24.0", "peft==0.21.2", "accelerate==1.15.0",
            "xllamacpp==2026.10.11549")  # llama.cpp as a wheel; llama-cpp-python has to be compiled for half an hour

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

MODEL = """
import json, sys, torch
from transformers import AutoModelForCausalLM, AutoTokenizer
model, tokenizer = (kind.from_pretrained(sys.argv[1], trust_remote_code=True)
                    for kind in (AutoModelForCausalLM, AutoTokenizer))
asked = json.load(open(sys.argv[2]))
with torch.no_grad():
    logits = model(torch.tensor([asked["ids"]])).logits[0].tolist()
prompts = tokenizer(["<|endoftext|>The old captain", "<|endoftext|>He"], return_tensors="pt", padding=True)
long = 3 * model.config.max_position_embeddings
print(json.dumps({"logits": logits, "ids": [tokenizer(text).input_ids for text in asked["texts"]],
                  "texts": [tokenizer.decode(tokenizer(text).input_ids) for text in asked["texts"]],
                  "generated": model.generate(**prompts, do_sample=False, max_new_tokens=long).tolist()}))
"""
NANOCHAT = """
import json, sys, torch
from transformers import NanoChatConfig, NanoChatForCausalLM
asked = json.load(open(sys.argv[2]))
torch.manual_seed(1)
model = NanoChatForCausalLM(NanoChatConfig(vocab_size=asked["vocab_size"], hidden_size=64, intermediate_size=256,
    num_hidden_layers=2, num_attention_heads=2, max_position_embeddings=32, final_logit_softcapping=None,
    bos_token_id=0, eos_token_id=0, pad_token_id=None)).eval()
with torch.no_grad():
    for name, parameter in model.named_parameters():
        parameter.copy_(torch.randn_like(parameter) * (1 if "embed" in name else 0.15))
    print(json.dumps(model(torch.tensor([asked["ids"]])).logits[0].tolist()))
model.save_pretrained(sys.argv[1])
"""
TEXTS = ["", "The old captain\n\n  walked.\t\r\n", "Žluťoučký kůň, 漢字かな、नमस्ते दुनिया, مرحبا",
         "👩‍👩‍👧‍👦🏽 é e\u0301 \x00\x85\u2028\u3000",
         "I'll, I'LL, I'ſ 12345 ४५६", " " * 50 + "a" * 50, "one<|endoftext|>two"]
LOGITS = """
import json, sys
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
tokenizer, model = AutoTokenizer.from_pretrained(sys.argv[1]), AutoModelForCausalLM.from_pretrained(sys.argv[1])
ids = tokenizer(sys.argv[2], return_tensors="pt").input_ids
greedy = model.generate(ids[:, :10], max_new_tokens=50, min_new_tokens=50, do_sample=False)[0].tolist()
print(json.dumps({"ids": ids[0].tolist(), "logits": model(ids).logits[0].tolist(), "greedy": greedy}))
"""
LLAMA_CPP = """
import json, sys, urllib.request
from xllamacpp import CommonParams, Server, ggml_type, llama_flash_attn_type
params = CommonParams()
params.model.path, params.n_ctx, params.n_parallel, params.port, params.warmup = sys.argv[1], 256, 1, 0, False
params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1  # more would wait for each other in busy loops
params.cache_type_k = params.cache_type_v = ggml_type.GGML_TYPE_F32  # by default float16: then a tie may be broken
params.flash_attn_type = llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED  # the other way round
server = Server(params)
def ask(path, **body):
    request = urllib.request.Request(server.listening_address + path, json.dumps(body).encode())
    return json.load(urllib.request.urlopen(request, timeout=300))
ids = ask("/tokenize", content=sys.argv[2], add_special=True)["tokens"]
greedy = ask("/completion", prompt=ids[:10], n_predict=50, temperature=0, return_tokens=True, ignore_eos=True)["tokens"]
print(json.dumps({"ids": ids, "greedy": ids[:10] + greedy}), flush=True)
"""


@pytest.fixture(scope="module")
def python() -> Iterator[Path]:
    """The interpreter of an environment with PACKAGES, whose thousands of files are removed at once."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        packages = next(folder.glob("lib/python*/site-packages"))
        (packages / "ours.pth").write_text(sysconfig.get_path("purelib") + "\n")
        done = subprocess.run([folder / "bin/python", "-m", "pip", "install", "-q", *PACKAGES], capture_output=True,
                              text=True, env=os.environ | {"PYTHONPATH": ""})
        if done.returncode:
            pytest.skip(f"the libraries cannot be installed: {done.stderr[-300:]}")
        yield folder / "bin/python"


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


@pytest.fixture(scope="module")
def trained(root: Path) -> Path:
    prepare.run(PrepareConfig(vocab_size=320), root)
    train.run(dataclasses.replace(helpers.TINY, block_size=32), root)
    return root


def test_transformers_computes_what_model_py_computes(python: Path, trained: Path, tmp_path: Path) -> None:
    pytest.importorskip("safetensors", reason="no safetensors; install it: ./setup.sh --with export")
    write_huggingface(trained, tmp_path / "out", Namespace(config=None, overrides=[]))
    ours, ids = load_model(trained), torch.randint(0, 300, (32,)).tolist()
    (tmp_path / "asked.json").write_text(json.dumps({"ids": ids, "texts": TEXTS}))
    found = json.loads(run(python, tmp_path, "-c", MODEL, tmp_path / "out", tmp_path / "asked.json").splitlines()[-1])
    with torch.no_grad():
        torch.testing.assert_close(torch.tensor(found["logits"]), ours.model(torch.tensor([ids]))[0], atol=1e-4, rtol=0)
    assert found["ids"] == [ours.tokenizer.encoding.encode(text, allowed_special="all") for text in TEXTS]
    assert found["texts"] == TEXTS
    for generated in found["generated"]:  # longer than the context, and next to a prompt of another length
        text = generated[next(i for i, token in enumerate(generated) if token != ours.tokenizer.eot_token) - 1:]
        for n in range(16, min(100, len(text))):
            with torch.no_grad():
                logits = ours.model(torch.tensor([text[:n][-32:]]))[0, -1]
            assert logits[text[n]] > logits.max() - 1e-3
            if text[n] == ours.tokenizer.eot_token:
                break


def test_a_model_of_nanochat_comes_in_with_its_logits(python: Path, trained: Path, tmp_path: Path) -> None:
    pytest.importorskip("safetensors", reason="no safetensors; install it: ./setup.sh --with export")
    bins, ids = open_bins(trained, 0), torch.randint(0, 300, (32,)).tolist()
    (tmp_path / "asked.json").write_text(json.dumps({"ids": ids, "vocab_size": bins.vocab_size}))
    said = run(python, tmp_path, "-c", NANOCHAT, tmp_path / "in", tmp_path / "asked.json")
    wanted = json.loads(said.splitlines()[-1])
    assert bins.tokenizer
    write_tokenizer(bins.tokenizer, tmp_path / "in")
    start = load_start(TrainConfig(init_from=str(tmp_path / "in")), trained, bins)
    model = GPT(GPTConfig(**start["model_args"]))
    model.load_state_dict(start["model"])
    with torch.no_grad():
        torch.testing.assert_close(model(torch.tensor([ids]))[0], torch.tensor(wanted), atol=1e-4, rtol=0)


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


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, GPT, Tokenizer]:
    """The folder of a student with random weights, and the student."""
    pytest.importorskip("gguf", reason="no gguf; install it: ./setup.sh --with export")
    folder, tokenizer = tmp_path_factory.mktemp("student"), tokenizers.train("bpe", [PROSE, 20 * " 1984 19 84"], 300)
    torch.manual_seed(0)
    model = GPT(GPTConfig(256, tokenizer.vocab_size, 3, 2, 64, ngram_order=1, match_order=0, qk_norm=False))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    write_transformers(model, tokenizer, folder)
    write_gguf(model, tokenizer, "ships", folder)
    return folder, model, tokenizer


def continued(model: GPT, ids: list[int], n: int) -> list[int]:
    """`ids` and the n most likely tokens, without the end of text."""
    for _ in range(n):
        ids = [*ids, int(model(torch.tensor([ids]))[0, -1, :-1].argmax())]
    return ids


@torch.no_grad()
def test_transformers_has_the_logits_of_a_student(python: Path, student: tuple[Path, GPT, Tokenizer],
                                                  tmp_path: Path) -> None:
    folder, model, tokenizer = student
    found = json.loads(run(python, tmp_path, "-c", LOGITS, folder, PROSE).splitlines()[-1])
    assert found["ids"] == tokenizer.encode(PROSE)
    ours = model(torch.tensor([found["ids"]]))[0]
    assert (ours - torch.tensor(found["logits"])).abs().max() < 1e-4 < ours.abs().max()
    assert found["greedy"][:60] == continued(model, found["ids"][:10], 50)


@torch.no_grad()
def test_llama_cpp_writes_what_a_student_writes(python: Path, student: tuple[Path, GPT, Tokenizer],
                                                tmp_path: Path) -> None:
    folder, model, tokenizer = student
    text = f"'Tis 12 o'clock.\n\n {PROSE}"
    found = json.loads(run(python, tmp_path, "-c", LLAMA_CPP, folder / FILE, text).splitlines()[-1])
    assert found["ids"] == [tokenizer.eot_token, *tokenizer.encode(text)]
    assert found["greedy"] == continued(model, found["ids"][:10], 50)


def test_llama_cpp_cuts_numbers_as_the_student_s_card_says(python: Path, student: tuple[Path, GPT, Tokenizer],
                                                           tmp_path: Path) -> None:
    folder, _, tokenizer = student
    text = f"{PROSE}In 1984, ÀÉ, हिन्दी and don't: 3.14159, 漢字.\r\n\tEnd"
    found = json.loads(run(python, tmp_path, "-c", LLAMA_CPP, folder / FILE, text).splitlines()[-1])
    assert found["ids"][1:] == encoding(tokenizer).encode_ordinary(text) != tokenizer.encode(text)
