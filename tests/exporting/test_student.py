"""A student for other programs.   .venv/bin/python -m pytest tests/exporting/test_student.py

What transformers and llama.cpp make of it: test_libraries.py.
"""

import dataclasses
import json
import time
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import TINY, write_bins
from torch import nn

import export
from miniature_memory.core.errors import ConfigError, StageError
from miniature_memory.exporting import card, teaching
from miniature_memory.exporting.arcee import weights_of
from miniature_memory.exporting.llama_cpp import FILE, compare_words, write_gguf
from miniature_memory.exporting.student import write_student
from miniature_memory.exporting.student_card import Facts, student_card
from miniature_memory.exporting.teaching import Student, TaughtCrossEntropy
from miniature_memory.training import tokenizer as tokenizers
from miniature_memory.training.bins import open_bins
from miniature_memory.training.tokenizer import Tokenizer
from model import GPT, GPTConfig, norm
from train import train

pytestmark = pytest.mark.usefixtures("one_thread")
SHORT = dataclasses.replace(TINY, max_minutes=1.0)
MINUTE = Namespace(minutes=0.02, config=None, overrides=['train.size="1x16"', "train.batch_size=4"])
STOCK = GPTConfig(16, 300, 2, 2, 16, ngram_order=1, match_order=0, qk_norm=False)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root with a release."""
    root = tmp_path / "letters"
    write_bins(root, [2000])
    train(dataclasses.replace(TINY, counts=False), root, time.monotonic())
    return root


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return tokenizers.train("bpe", [20 * "In 1984 the captain, in 84, did not.\n"], 300)


def random_model(vocab_size: int) -> GPT:
    torch.manual_seed(0)
    model = GPT(dataclasses.replace(STOCK, vocab_size=vocab_size))
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.2)
    return model


# --- teaching --------------------------------------------------------------------------------------


def test_the_loss_and_its_gradients_are_those_of_mixed_targets() -> None:
    x, head = torch.randn(600, 16, requires_grad=True), torch.randn(50, 16, requires_grad=True)
    targets, taught_x, taught_head = torch.randint(50, (600,)), torch.randn(600, 8), torch.randn(50, 8)
    wanted = teaching.TEACHER_SHARE * (taught_x @ taught_head.T).softmax(-1)
    wanted += (1 - teaching.TEACHER_SHARE) * nn.functional.one_hot(targets, 50)
    expected = nn.functional.cross_entropy(x @ head.T, wanted)
    found = TaughtCrossEntropy.apply(x, head, targets, taught_x, taught_head)
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)
    for ours, theirs in zip(torch.autograd.grad(found, [x, head]), torch.autograd.grad(expected, [x, head]),
                            strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


def test_a_student_is_a_stock_model_and_comes_near_its_teacher(root: Path, tmp_path: Path,
                                                              monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(teaching, "TEACHER_SHARE", 1.0)
    bins = open_bins(root, 0)
    torch.manual_seed(0)
    teacher = GPT(dataclasses.replace(STOCK, block_size=8, vocab_size=bins.vocab_size))
    nn.init.normal_(teacher.head.weight, std=0.2)  # it expects what is not in the text
    student = Student(SHORT, tmp_path / "student", bins, teacher, time.monotonic())
    for _ in range(150):
        student.iterate()
    shape = student.model.config
    assert (shape.ngram_order, shape.match_order, shape.qk_norm, shape.block_size) == (1, 0, False, 8)
    idx = torch.arange(97, 105)[None]
    with torch.no_grad():
        log_p, wanted = (model(idx).log_softmax(-1) for model in (student.model, teacher))
        uniform = torch.full_like(wanted, -np.log(bins.vocab_size))
    distance = nn.functional.kl_div(log_p, wanted, log_target=True, reduction="sum")
    assert distance < 0.5 * nn.functional.kl_div(uniform, wanted, log_target=True, reduction="sum")


def test_a_loss_that_is_no_number_ends_with_a_fix(root: Path, tmp_path: Path) -> None:
    teacher = random_model(257)
    nn.init.constant_(teacher.head.weight, torch.nan)
    student = Student(SHORT, tmp_path / "student", open_bins(root, 0), teacher, time.monotonic())
    with pytest.raises(StageError, match=r"--set train\.learning_rate=0\.001$"):
        student.iterate()


@pytest.mark.parametrize(("form", "sentence"), [
    ("gguf", "expected student, which writes model.gguf. "), ("GGUF", "expected student"),
    ("parquet", "expected dataset. "), ("nothing", "expected dataset, html, hf, student, bundle, restore. ")])
def test_a_form_under_another_name_is_found(form: str, sentence: str, caplog: pytest.LogCaptureFixture) -> None:
    assert export.main([form, "model.gguf"]) == 2
    assert f"argument FORM: {form}; {sentence}" in caplog.text


# --- files -----------------------------------------------------------------------------------------


def test_the_folder_has_weights_configuration_tokenizer_and_a_card(root: Path, tmp_path: Path) -> None:
    safetensors = pytest.importorskip("safetensors.torch", reason="no safetensors; ./setup.sh --with export")
    said = write_student(root, tmp_path / "out", MINUTE)
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"README.md", "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}
    config = json.loads((tmp_path / "out/config.json").read_text())
    assert (config["architectures"], config["hidden_size"], config["vocab_size"]) == (["ArceeForCausalLM"], 16, 257)
    weights = safetensors.load_file(tmp_path / "out/model.safetensors")
    assert weights["lm_head.weight"].shape == (257, 16) and len(weights) == 3 + 8 * 1
    assert "## What it learned from" not in (tmp_path / "out/README.md").read_text()  # a root of bins alone
    assert "bits per byte" in said and "without model.gguf" in said
    assert said.split(" bits per byte")[0].rpartition(" ")[2] in (tmp_path / "out/README.md").read_text()
    assert not (root / "student").exists() and {path.name for path in tmp_path.iterdir()} == {"letters", "out"}


def test_the_card_counts_hosts_and_licenses() -> None:
    texts = card.Facts("bread | baking", is_masked=True)
    texts.add("train", {"text": "Dough.", "host": "example.org", "language": "en", "license": "CC BY 4.0"})
    said = student_card(Facts(texts, STOCK, 1000, 5.0, 2.0, 1.5, "it tokenizes all texts alike"))
    assert "| example.org | 1 |" in said and "| CC BY 4.0 | 1 |" in said and 'language: ["en"]' in said
    assert "# bread baking: a student" in said and "ollama create" in said


def test_gguf_holds_the_weights_and_the_tokenizer(tokenizer: Tokenizer, tmp_path: Path) -> None:
    gguf = pytest.importorskip("gguf", reason="no gguf; install it: ./setup.sh --with export")
    model = random_model(tokenizer.vocab_size)
    write_gguf(model, tokenizer, "ships", tmp_path)
    reader = gguf.GGUFReader(tmp_path / FILE)
    fields = {name: field.contents() for name, field in reader.fields.items()}
    assert fields["general.architecture"] == "arcee" and fields["arcee.block_count"] == 2
    assert fields["tokenizer.ggml.bos_token_id"] == fields["tokenizer.ggml.eos_token_id"] == tokenizer.eot_token
    assert len(fields["tokenizer.ggml.tokens"]) == len(fields["tokenizer.ggml.token_type"]) == tokenizer.vocab_size
    assert len(fields["tokenizer.ggml.merges"]) == len(tokenizer.ranks) - 256
    tensors = {tensor.name: torch.from_numpy(np.array(tensor.data)) for tensor in reader.tensors}
    assert torch.equal(tensors["token_embd.weight"], norm(model.embedding.table))
    ours = sum(value.numel() for value in weights_of(model).values())
    assert sum(tensor.numel() for tensor in tensors.values()) == ours
    assert "num_ctx 16\n" in (tmp_path / "Modelfile").read_text()


def test_where_llama_cpp_ends_words_elsewhere_is_counted(tokenizer: Tokenizer) -> None:
    texts = ["The captain did not.", "In 84.\n\n", "In 1984."]
    ids = np.concatenate([tokenizer.encode_document(text) for text in texts])
    assert compare_words(tokenizer, ids).startswith("llama.cpp tokenizes 1 of 3 validation texts differently")
    ids = tokenizer.encode_document(texts[0])
    assert compare_words(tokenizer, ids) == "llama.cpp tokenizes 1 validation text as miniature-memory does"


# --- what a person gets wrong ----------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [["student", "--minutes", "0"], ["student", "--minutes", "nan"],
                                       ["student", "--minutes=-1"], ["bundle", "--minutes", "1"]])
def test_minutes_are_a_number_for_a_student(tmp_path: Path, arguments: list[str],
                                            capsys: pytest.CaptureFixture[str],
                                            caplog: pytest.LogCaptureFixture) -> None:
    assert export.main([arguments[0], str(tmp_path / "out.tar.gz"), *arguments[1:]]) == ConfigError.exit_code
    assert "--minutes" in capsys.readouterr().err + caplog.text and not list(tmp_path.iterdir())


def test_without_a_model_nothing_is_left(tmp_path: Path) -> None:
    pytest.importorskip("gguf", reason="no gguf; install it: ./setup.sh --with export")
    with pytest.raises(StageError, match="There is no model"):
        write_student(tmp_path, tmp_path / "out", MINUTE)
    assert not (tmp_path / "out").exists()
