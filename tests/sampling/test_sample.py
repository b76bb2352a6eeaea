"""python3 -m pytest tests/sampling/test_sample.py"""

import argparse
import io
import json
import os
import pty
import random
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from helpers import add_clean_documents, add_raw_documents, lines

import model as model_module
import sample
from miniature_memory.core.errors import Stopped
from miniature_memory.core.paths import PROJECT
from miniature_memory.sampling import generation, kept_samples
from miniature_memory.sampling.config import SampleConfig
from miniature_memory.sampling.decoder import Decoder
from miniature_memory.sampling.generation import Loaded, Step, choose_next, generate, until_stop, write
from miniature_memory.storage.catalog import Catalog
from miniature_memory.storage.files import write_aside
from miniature_memory.training import tokenizer as tokenizers
from miniature_memory.training.checkpoint import save_state
from model import GPT, GPTConfig
from sample import main

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


def tokens_of(model: GPT, prompt: list[int], config: SampleConfig) -> list[int]:
    return [token for token, _ in generate(model, prompt, config, EOT)]


def logits_one_by_one(model: GPT, ids: list[int], n_prompt: int) -> np.ndarray:
    """Those after each of the tokens from the prompt's last on."""
    decoder = Decoder(model)
    return np.stack([decoder.read(ids[:n_prompt]), *(decoder.read([token]) for token in ids[n_prompt:])])


def lively(config: GPTConfig) -> GPT:
    """A model whose blocks do something: projections start at zero."""
    torch.manual_seed(0)
    model = GPT(config).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return model


@pytest.mark.parametrize("settings", [{}, {"ngram_order": 1}, {"ngram_order": 4, "n_layer": 1}, {"qk_norm": False},
                                      {"match_order": 0}, {"match_order": 9, "vocab_size": 3}])
@pytest.mark.parametrize("n_prompt", [1, 2, 20, 32])
def test_logits_equal_the_uncached_ones(settings: dict[str, object], n_prompt: int) -> None:
    shape = {"block_size": 32, "vocab_size": 50, "n_layer": 3, "n_head": 2, "n_embd": 32, "ngram_rows": 300}
    model = lively(GPTConfig(**{**shape, **settings}))
    idx = torch.randint(model.config.vocab_size, (32,))
    with torch.no_grad():
        expected = model(idx[None])[0, n_prompt - 1:].numpy()
    assert np.abs(expected).max() > 1
    assert np.abs(logits_one_by_one(model, idx.tolist(), n_prompt) - expected).max() < 1e-4


def test_a_context_of_one_token_is_the_model_on_each_token_alone() -> None:
    model = lively(GPTConfig(block_size=1, vocab_size=50, n_layer=2, n_head=2, n_embd=32, ngram_rows=300))
    idx = torch.randint(50, (9,))
    with torch.no_grad():
        expected = model(idx[:, None])[:, 0].numpy()
    assert np.abs(logits_one_by_one(model, idx.tolist(), 1) - expected).max() < 1e-4


def test_far_beyond_the_context_each_layer_sees_as_many_tokens_as_the_context_has(
        monkeypatch: pytest.MonkeyPatch) -> None:
    shape = {"vocab_size": 50, "n_layer": 3, "n_head": 2, "n_embd": 32, "ngram_rows": 300, "match_order": 0}
    short, long = GPT(GPTConfig(block_size=16, **shape)).eval(), lively(GPTConfig(block_size=400, **shape))
    short.load_state_dict(long.state_dict())
    distance = torch.arange(400)[:, None] - torch.arange(400)
    attend = F.scaled_dot_product_attention
    monkeypatch.setattr(model_module.F, "scaled_dot_product_attention", lambda q, k, v, is_causal: attend(
        q, k, v, attn_mask=(distance >= 0) & (distance < 16)))
    idx = torch.randint(50, (400,))
    with torch.no_grad():
        expected = long(idx[None])[0, 9:].numpy()
    assert np.abs(logits_one_by_one(short, idx.tolist(), 10) - expected).max() < 1e-4


def test_matches_beyond_the_context_are_those_of_its_last_tokens() -> None:
    model = GPT(GPTConfig(block_size=16, vocab_size=3, n_layer=1, n_head=1, n_embd=8, ngram_rows=1 << 20))
    idx, decoder = torch.randint(3, (200,)), Decoder(model)
    for t, token in enumerate(idx.tolist()):
        expected = model.embedding.rows(idx[None, max(0, t - 15):t + 1])[0, -1].tolist()
        assert decoder._rows(token) == expected


LOGITS = np.array([1.0, 5.0, 4.0, 0.0], np.float32)


def chosen(seen: set[int] = frozenset(), logits: np.ndarray = LOGITS, **settings: float) -> set[int]:
    """All that comes up in 300 draws."""
    config, rng = SampleConfig(**{"temperature": 5.0, "top_k": 0} | settings), random.Random(0)
    return {choose_next(logits, config, seen, rng) for _ in range(300)}


def test_temperature_zero_takes_the_most_likely() -> None:
    assert chosen(temperature=0.0) == chosen(temperature=1e-30) == {1}
    assert chosen(temperature=5.0) == {0, 1, 2, 3}


def test_top_k_excludes_the_rest() -> None:
    assert chosen(top_k=2) == {1, 2}
    assert chosen(top_k=9) == {0, 1, 2, 3}


def test_top_p_keeps_the_fewest_that_reach_it() -> None:
    logits = np.log(np.array([0.1, 0.5, 0.3, 0.1], np.float32))
    assert chosen(logits=logits, temperature=1.0, top_p=0.4) == {1}
    assert chosen(logits=logits, temperature=1.0, top_p=0.6) == {1, 2}


def test_min_p_keeps_what_is_likely_enough_compared_with_the_most_likely() -> None:
    logits = np.log(np.array([0.1, 0.5, 0.3, 0.1], np.float32))
    assert chosen(logits=logits, temperature=1.0, min_p=0.5) == {1, 2}
    assert chosen(logits=logits, temperature=1.0, min_p=0.1) == {0, 1, 2, 3}


def test_repetition_penalty_makes_earlier_tokens_less_likely() -> None:
    logits = np.array([-1.0, 3.0, 2.0, -1.5], np.float32)
    assert chosen({1}, logits, temperature=0.0, repetition_penalty=2.0) == {2}
    assert chosen({0}, logits[[0, 3]], temperature=0.0, repetition_penalty=2.0) == {1}  # a negative logit, too
    assert logits.tolist() == [-1.0, 3.0, 2.0, -1.5]


def test_samples_stop_at_the_end_of_text(model: GPT) -> None:
    lengths = []
    for seed in range(20):
        ids = tokens_of(model, [EOT], SampleConfig(max_new_tokens=400, temperature=1.0, top_k=0, seed=seed))
        assert EOT not in ids
        lengths.append(len(ids))
    assert min(lengths) < 400 and max(lengths) <= 400


def test_sample_may_be_empty(model: GPT) -> None:
    with torch.no_grad():
        model.head.weight[EOT] = model.embedding.table[97]  # now "a" is followed by the end of text
    assert tokens_of(model, [97], SampleConfig(temperature=0.0)) == []


def test_same_seed_same_text(model: GPT) -> None:
    one, same, other = (tokens_of(model, [EOT], SampleConfig(seed=seed)) for seed in (1, 1, 2))
    assert one == same != other


def test_only_the_end_of_a_prompt_longer_than_the_context_is_read(model: GPT) -> None:
    prompt = list(range(30))
    assert tokens_of(model, prompt, SampleConfig()) == tokens_of(model, prompt[-TINY.block_size:], SampleConfig())


def written(model: GPT, content: bytes, monkeypatch: pytest.MonkeyPatch, **settings: object) -> list[Step]:
    """The steps of a model that says `content`."""
    monkeypatch.setattr(generation, "generate", lambda *_: ((token, LOGITS) for token in content))
    return list(write(Loaded(model, tokenizers.train("byte", [], 257), 0, None), SampleConfig(**settings)))


def test_characters_of_several_tokens_come_whole(model: GPT, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = written(model, "aé€\N{GRINNING FACE}".encode() + b"\xff!\xe2\x82", monkeypatch)
    assert [step.text for step in steps if step.text] == ["a", "é", "€", "\N{GRINNING FACE}", "\ufffd", "!"]
    assert [step.token for step in steps][:3] == [97, 0xC3, 0xA9]


def test_control_characters_are_removed(model: GPT, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = written(model, "a\x1b[31mb\x00\tc\n\u202ed".encode(), monkeypatch)
    assert "".join(step.text for step in steps) == "a[31mb\tc\nd"


@pytest.mark.parametrize(("stop", "text"), [(["lo wo"], "hel"), (["d"], "hello worl"), (["xyz"], "hello world"),
                                            (["wx", "o"], "hell"), (["lol", "lo"], "hel"), (["h"], ""),
                                            ([""], "hello world"), (["ld!"], "hello world")])
def test_text_ends_before_a_stop_string(model: GPT, monkeypatch: pytest.MonkeyPatch, stop: list[str],
                                        text: str) -> None:
    assert "".join(step.text for step in written(model, b"hello world", monkeypatch, stop=stop)) == text


def test_only_what_may_begin_a_stop_string_is_held_back() -> None:
    asked = []

    def steps() -> Iterator[Step]:
        for text in ("a", "b", "c", "d"):
            asked.append(text)
            yield Step(0, text, LOGITS)

    stream = until_stop(steps(), ["bcx"])
    assert next(stream).text == "a" and asked == ["a"]
    assert next(stream).text == "b" and asked == ["a", "b", "c", "d"]


def output(root: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    assert main(["--root", str(root), "--set", "sample.max_new_tokens=5", *arguments]) == 0
    return re.split(r"\n*--- sample \d of \d\n", capsys.readouterr().out.removesuffix("\n"))[1:]


def test_prompt_begins_each_sample(tmp_path: Path, model: GPT, capsys: pytest.CaptureFixture[str]) -> None:
    write_model(tmp_path, model)
    texts = output(tmp_path, capsys, "--prompt", "Once upon")
    assert len(texts) == len(set(texts)) == 3 and all(text.startswith("Once upon") for text in texts)


def test_second_sample_is_the_first_of_the_next_seed(tmp_path: Path, model: GPT,
                                                     capsys: pytest.CaptureFixture[str]) -> None:
    write_model(tmp_path, model)
    first = output(tmp_path, capsys, "--set", "sample.seed=1")
    second = output(tmp_path, capsys, "--set", "sample.seed=2")
    assert first[1] == second[0] != first[0]


def test_prompt_comes_from_a_file_or_standard_input(tmp_path: Path, model: GPT, capsys: pytest.CaptureFixture[str],
                                                    monkeypatch: pytest.MonkeyPatch) -> None:
    write_model(tmp_path, model)
    file = tmp_path / "prompt.txt"
    file.write_bytes("\ufeffzwölf\r\nBoxkämpfer\n".encode())
    texts = output(tmp_path, capsys, "--prompt-file", str(file))
    assert texts[0].startswith("zwölf\nBoxkämpfer") and not texts[0].startswith("zwölf\nBoxkämpfer\n\n")
    with open(file, "rb") as stream:
        monkeypatch.setattr(sys, "stdin", stream)
        assert output(tmp_path, capsys, "--prompt-file", "-") == texts


@pytest.mark.parametrize(("content", "found"), [(b"\xff\xfe", "is not UTF-8"), (b"a" * 1_000_001, "1,000,000 bytes"),
                                                (None, "cannot be read")])
def test_an_unusable_prompt_file_is_rejected(tmp_path: Path, model: GPT, capsys: pytest.CaptureFixture[str],
                                                  content: bytes | None, found: str) -> None:
    write_model(tmp_path, model)
    if content is not None:
        (tmp_path / "prompt.txt").write_bytes(content)
    assert main(["--root", str(tmp_path), "--prompt-file", str(tmp_path / "prompt.txt")]) == 1
    message = capsys.readouterr().err
    assert found in message
    if content is not None:
        fix = message.partition("iconv")[1] + message.partition("iconv")[2] or "tail" + message.partition("tail")[2]
        assert subprocess.run(fix, shell=True, cwd=PROJECT, capture_output=True, check=False).returncode == 0


def test_control_characters_are_not_printed(tmp_path: Path, model: GPT, capsys: pytest.CaptureFixture[str]) -> None:
    write_model(tmp_path, model)
    assert main(["--root", str(tmp_path), "--prompt", "\x1b[2J", "--set", "sample.top_k=0", "--set",
                 "sample.temperature=2"]) == 0
    assert not set(capsys.readouterr().out) & set(map(chr, [*range(9), *range(11, 32), 127]))


def test_a_checkpoint_serves_without_a_release(tmp_path: Path, model: GPT, capsys: pytest.CaptureFixture[str]) -> None:
    write_model(tmp_path, model, "ckpt.pt")
    assert main(["--root", str(tmp_path)]) == 0
    assert "no release.pt yet" in capsys.readouterr().err


def test_missing_model_names_the_command_that_makes_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--root", str(tmp_path)]) == 1
    assert f"train one with python3 run.py --root {tmp_path}" in capsys.readouterr().err


def test_a_model_of_another_tokenizer_is_rejected(tmp_path: Path, model: GPT,
                                                  capsys: pytest.CaptureFixture[str]) -> None:
    write_model(tmp_path, model)
    for file, content in tokenizers.train("char", ["ä"], 300).files().items():
        write_aside(tmp_path / "data/tokenizer" / file, content)
    assert main(["--root", str(tmp_path)]) == 1
    assert "an earlier tokenizer" in capsys.readouterr().err


@pytest.mark.parametrize("setting", ["num_samples = 0", "top_p = 0.0", "top_p = 1.5", "min_p = -0.1", "top_k = -1",
                                     "repetition_penalty = 0.0"])
def test_impossible_setting_is_a_configuration_error(tmp_path: Path, capsys: pytest.CaptureFixture[str],
                                                     setting: str) -> None:
    assert main(["--root", str(tmp_path), "--set", f"sample.{setting}"]) == 2
    assert setting in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["a b"], ["a", "b"], ["--prompt", "a b"], ["--start", "a b"], ["--start=a b"]])
def test_a_prompt_may_be_given_in_several_ways(tmp_path: Path, model: GPT, capsys: pytest.CaptureFixture[str],
                                               arguments: list[str]) -> None:
    write_model(tmp_path, model)
    assert all(text.startswith("a b") for text in output(tmp_path, capsys, *arguments))


def test_nanogpt_s_way_to_name_a_prompt_file(tmp_path: Path, model: GPT, capsys: pytest.CaptureFixture[str]) -> None:
    write_model(tmp_path, model)
    (tmp_path / "prompt.txt").write_text("from a file")
    texts = output(tmp_path, capsys, f"--start=FILE:{tmp_path}/prompt.txt")
    assert all(text.startswith("from a file") for text in texts)


def options_of(*arguments: str) -> dict[str, object]:
    """The settings that a command line leads to."""
    seen: list[SampleConfig] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sample, "load_model", lambda _root: None)
        patch.setattr(sample, "print_samples", lambda config, *_: seen.append(config))
        assert main(list(arguments)) == 0
    return vars(seen[0])


@pytest.mark.parametrize(("arguments", "expected"), [
    (["-n", "2"], {"num_samples": 2}), (["--num_samples=2"], {"num_samples": 2}),
    (["--max-new-tokens", "9"], {"max_new_tokens": 9}), (["--max_new_tokens=9"], {"max_new_tokens": 9}),
    (["--length", "9"], {"max_new_tokens": 9}), (["--temperature", "1"], {"temperature": 1.0}),
    (["--top-k", "5"], {"top_k": 5}), (["--top_k=5"], {"top_k": 5}), (["--top-p", "0.5"], {"top_p": 0.5}),
    (["--seed=7", "--set", "sample.seed=8"], {"seed": 7}),
    (["--stop", "\\n\\n", "--stop", "END"], {"stop": ["\n\n", "END"]})])
def test_an_option_takes_the_place_of_its_setting(arguments: list[str], expected: dict[str, object]) -> None:
    assert options_of(*arguments) == options_of() | expected


@pytest.mark.parametrize(("arguments", "sentence"), [
    (["--temperature", "-1"], "temperature = -1.0; expected 0 or more"),
    (["--temperature", "nan"], "temperature = nan; expected 0 or more"),
    (["--temperature", "hot"], "argument --temperature: 'hot'; expected a number"),
    (["--repetition-penalty", "inf"], "repetition_penalty = inf"),
    (["--repetition-penalty", "1e-300"], "repetition_penalty = 1e-300; expected 0.01 to 100"),
    (["-n", "0"], "num_samples = 0; expected 1 or more"),
    (["-n", "1.5"], "'1.5'; expected a whole number"), (["--top_p=2"], "top_p = 2.0; expected more than 0"),
    (["--temprature=1"], "Did you mean --temperature?"), (["a", "--prompt", "b"], "not allowed with argument"),
    (["--interactive", "--prompt", "b"], "not allowed with argument"),
    (["--interactive", "--serve"], "not allowed with argument --serve"), (["-i", "-n", "0"], "num_samples = 0")])
def test_a_wrong_option_is_reported_in_a_sentence(caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str],
                                                  arguments: list[str], sentence: str) -> None:
    assert main(arguments) == 2
    assert sentence in caplog.text + capsys.readouterr().err  # before and after logging is set up


def test_one_sample_alone_has_no_heading(tmp_path: Path, model: GPT, capsys: pytest.CaptureFixture[str]) -> None:
    write_model(tmp_path, model)
    assert main(["--root", str(tmp_path), "-n", "1", "--length", "5", "Once"]) == 0
    assert capsys.readouterr().out.startswith("Once")


def test_a_person_at_a_terminal_types_and_reads_in_turns(tmp_path: Path, model: GPT) -> None:
    write_model(tmp_path, model)
    ours, theirs = pty.openpty()

    def read_until(end: str) -> str:
        text = ""
        while not text.endswith(end):
            text += os.read(ours, 1).decode(errors="replace")
        return text

    command = [sys.executable, PROJECT / "sample.py", "--root", tmp_path, "-i", "--top-k", "0", "--length", "40"]
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True)
    try:
        assert "An empty line ends." in read_until("> ")
        texts = []
        for _ in range(2):
            os.write(ours, b"Once\n")
            texts.append(read_until("\n> ").partition("\n")[2])
        assert all("Once" in text for text in texts) and texts[0] != texts[1]
        os.write(ours, b"\x04")
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()
        os.close(ours)
        os.close(theirs)


def test_beginnings_may_come_through_a_pipe(tmp_path: Path, model: GPT, capsys: pytest.CaptureFixture[str],
                                            monkeypatch: pytest.MonkeyPatch) -> None:
    write_model(tmp_path, model)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"Once\nTw\xffice\n\nno more")))
    assert main(["--root", str(tmp_path), "--interactive", "--length", "5"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("Once") and "\nTw\ufffdice" in text and "no more" not in text


def test_ctrl_c_stops_the_continuation_and_then_the_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                                           capsys: pytest.CaptureFixture[str]) -> None:
    typed = iter(["Once", "Twice"])

    def stop(*_: object) -> str:
        raise Stopped(signal.SIGINT)

    monkeypatch.setattr(sys, "stdin", argparse.Namespace(isatty=lambda: True))
    monkeypatch.setattr("builtins.input", lambda _: next(typed, None) or stop())
    monkeypatch.setattr(sample, "load_model", lambda _root: None)
    written: list[tuple[str, int]] = []

    def write_in_vain(config: SampleConfig, *_: object) -> None:
        written.append((config.prompt, config.seed - 1337))
        stop()

    monkeypatch.setattr(sample, "print_samples", write_in_vain)
    assert main(["--root", str(tmp_path), "-i"]) == 0
    assert written == [("Once", 0), ("Twice", 1)]


WORDS = [f"word{i}" for i in range(40)]


def write_val(root: Path, texts: list[str]) -> None:
    tokenizer = tokenizers.load(root / "data/tokenizer")
    np.concatenate([tokenizer.encode_document(text) for text in texts]).tofile(root / "data/val.bin")


def keep(root: Path, *arguments: str) -> list[dict[str, object]]:
    assert main(["--root", str(root), "--keep", "--quiet", *arguments]) == 0
    return lines(root / "data/samples.jsonl")


def test_each_model_continues_the_same_validation_documents(tmp_path: Path, model: GPT,
                                                               capsys: pytest.CaptureFixture[str]) -> None:
    write_model(tmp_path, model)
    write_val(tmp_path, [" ".join([letter, *WORDS]) for letter in "abcdef"] + ["short"])
    (kept,) = keep(tmp_path)
    assert kept["prompts"] == [" ".join([letter, *WORDS[:9]]) for letter in "adf"]
    assert [str(text)[:13] for text in kept["originals"]] == [" word9 word10"] * 3  # type: ignore[attr-defined]
    assert len(set(kept["texts"])) == 3 and capsys.readouterr().out == ""  # type: ignore[call-overload]
    assert keep(tmp_path) == [kept]  # the same model once more: nothing new
    write_val(tmp_path, ["other " * 60])
    torch.nn.init.normal_(model.head.weight, std=0.1)
    save_state(tmp_path / "checkpoints/release.pt", {
        "model": model.state_dict(), "model_args": vars(TINY), "iter_num": 7, "scores": {"val_bpb": 1.5},
        "tokenizer_hash": tokenizers.load(tmp_path / "data/tokenizer").hash})
    kept, later = keep(tmp_path)
    assert later["prompts"] == kept["prompts"] and later["originals"] == kept["originals"]
    assert later["texts"] != kept["texts"] and (later["iter_num"], later["val_bpb"]) == (7, 1.5)


def test_prompts_from_the_settings_take_their_place(tmp_path: Path, model: GPT) -> None:
    write_model(tmp_path, model)
    (kept,) = keep(tmp_path, "--set", 'sample.kept_prompts=["To be", "Bread"]')
    assert kept["prompts"] == ["To be", "Bread"] and kept["originals"] == ["", ""]
    assert main(["--root", str(tmp_path), "--set", f'sample.kept_prompts=["{"x" * 400}"]']) == 2


def test_without_validation_text_nothing_is_kept(tmp_path: Path, model: GPT) -> None:
    write_model(tmp_path, model)
    assert keep(tmp_path) == []


@pytest.mark.parametrize("damage", ["[", '{"prompts": 7, "originals": []}', '{"prompts": [1], "originals": [2]}',
                                    json.dumps({"prompts": ["x" * 999], "originals": ["y"]})])
def test_a_damaged_line_of_samples_is_ignored(tmp_path: Path, model: GPT, damage: str) -> None:
    write_model(tmp_path, model)
    write_val(tmp_path, [" ".join([letter, *WORDS]) for letter in "abc"])
    (tmp_path / "data/samples.jsonl").write_text(damage)
    assert main(["--root", str(tmp_path), "--keep", "--quiet"]) == 0
    last = json.loads((tmp_path / "data/samples.jsonl").read_text().splitlines()[-1])
    assert [prompt[0] for prompt in last["prompts"]] == ["a", "b", "c"]


def test_text_without_spaces_is_divided_by_characters(tmp_path: Path, model: GPT) -> None:
    write_model(tmp_path, model)
    write_val(tmp_path, ["字" * 400])
    assert keep(tmp_path)[0]["prompts"] == ["字" * 60]
    assert kept_samples.divide("字" * 200) == ("字" * 60, "字" * 140)
    assert kept_samples.divide("too short for that") is None


def test_without_a_model_it_tells_what_there_is_instead(tmp_path: Path) -> None:
    assert "nothing was collected yet" in str(generation.no_model(tmp_path))
    Catalog(tmp_path).close()
    assert re.search(r"no page could be read yet\. .*--doctor .*; or learn from your own texts: .*--texts",
                     str(generation.no_model(tmp_path)))
    add_raw_documents(tmp_path, ["one"])
    assert re.search("1 document, of which none passed the rules.*--histograms", str(generation.no_model(tmp_path)))
    add_clean_documents(tmp_path, ["two"])
    assert re.search(r"checkpoints: 1 document to train on\. .*Fix: train one with [^;]*$",
                     str(generation.no_model(tmp_path)))
