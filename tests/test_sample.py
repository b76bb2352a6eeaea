"""python -m pytest tests/test_sample.py"""

from pathlib import Path

import pytest
import torch

import tokenizer as tokenizers
from catalog import write_aside
from checkpoint import save_state
from model import GPT, GPTConfig
from sample import SEPARATOR, SampleConfig, choose_next, generate, main

TINY = GPTConfig(block_size=8, vocab_size=257, n_layer=1, n_head=2, n_embd=16, ngram_order=1)
EOT = 256


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def model() -> GPT:
    torch.manual_seed(0)
    model = GPT(TINY)
    torch.nn.init.normal_(model.head.weight, std=0.1)  # it starts at zero
    return model


def write_model(root: Path, model: GPT, name: str = "release.pt") -> None:
    tokenizer = tokenizers.train("byte", [], 257)
    for file, content in tokenizer.files().items():
        write_aside(root / "data/tokenizer" / file, content)
    save_state(root / "checkpoints" / name, {"model": model.state_dict(), "model_args": vars(TINY),
                                             "tokenizer_hash": tokenizer.hash})


def test_samples_stop_at_the_end_of_text(model: GPT) -> None:
    config = SampleConfig(num_samples=4, max_new_tokens=60, temperature=1.0, top_k=0)
    samples = generate(model, [EOT], config, EOT)
    assert len(samples) == 4
    assert all(EOT not in ids and len(ids) <= 60 for ids in samples)


def test_sample_may_be_empty(model: GPT) -> None:
    with torch.no_grad():
        model.head.weight[EOT] = model.embedding.table[97]  # now "a" is followed by the end of text
    assert generate(model, [97], SampleConfig(temperature=0.0), EOT) == [[], [], []]


def test_same_seed_same_text(model: GPT) -> None:
    one, same, other = (generate(model, [EOT], SampleConfig(seed=seed), EOT) for seed in (1, 1, 2))
    assert one == same != other


def test_temperature_zero_takes_the_likeliest_and_top_k_shuts_out_the_rest() -> None:
    logits, generator = torch.tensor([[1.0, 5.0, 4.0, 0.0]]), torch.Generator().manual_seed(0)
    assert choose_next(logits, 0.0, 0, generator).tolist() == [[1]]
    assert {choose_next(logits, 9.0, 2, generator).item() for _ in range(50)} == {1, 2}
    assert {choose_next(logits, 9.0, 0, generator).item() for _ in range(200)} == {0, 1, 2, 3}


def test_prompt_begins_each_sample(tmp_path: Path, model: GPT, capsys: pytest.CaptureFixture[str]) -> None:
    write_model(tmp_path, model)
    assert main(["--root", str(tmp_path), "--prompt", "Once upon", "--set", "sample.max_new_tokens=5"]) == 0
    texts = capsys.readouterr().out.split(SEPARATOR + "\n")
    assert len(texts) == 4 and all(text.startswith("Once upon") for text in texts[:3])


def test_control_characters_are_not_printed(tmp_path: Path, model: GPT, capsys: pytest.CaptureFixture[str]) -> None:
    write_model(tmp_path, model)
    assert main(["--root", str(tmp_path), "--set", "sample.top_k=0", "--set", "sample.temperature=2"]) == 0
    assert not set(capsys.readouterr().out) & set(map(chr, [*range(9), *range(11, 32), 127]))


def test_checkpoint_stands_in_for_a_release(tmp_path: Path, model: GPT, capsys: pytest.CaptureFixture[str]) -> None:
    write_model(tmp_path, model, "ckpt.pt")
    assert main(["--root", str(tmp_path)]) == 0
    assert "there is no release.pt yet" in capsys.readouterr().err


def test_missing_model_names_the_command_that_makes_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--root", str(tmp_path)]) == 1
    assert "python3 run.py --only train" in capsys.readouterr().err


def test_model_of_another_tokenizer_is_refused(tmp_path: Path, model: GPT, capsys: pytest.CaptureFixture[str]) -> None:
    write_model(tmp_path, model)
    for file, content in tokenizers.train("char", ["ä"], 300).files().items():
        write_aside(tmp_path / "data/tokenizer" / file, content)
    assert main(["--root", str(tmp_path)]) == 1
    assert "another tokenizer" in capsys.readouterr().err


def test_impossible_setting_is_a_configuration_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--root", str(tmp_path), "--set", "sample.num_samples=0"]) == 2
    assert "num_samples = 0" in capsys.readouterr().err
