"""python3 -m pytest tests/sampling/test_counts.py: writing with counts."""

import dataclasses
import json
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import TINY, write_bins

from miniature_memory.counting import experts
from miniature_memory.counting.copies import longest_copy
from miniature_memory.counting.mixture import Stretch
from miniature_memory.counting.suffixes import paths_of
from miniature_memory.sampling import generation
from miniature_memory.sampling.config import LEAST_COPIED, SampleConfig
from miniature_memory.sampling.generation import Loaded, generate, load_model, write
from miniature_memory.sampling.kept_samples import keep
from miniature_memory.training import mixing
from miniature_memory.training.checkpoint import load_state, save_state
from train import train

pytestmark = pytest.mark.usefixtures("one_thread")
END = 256


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model of a loop of twenty letters, with its counts."""
    for name, value in {"LEAST_HELD_BACK": 40, "LEAST_TEXT": 100, "FEWEST_STEPS": 3, "MOST_STEPS": 30}.items():
        monkeypatch.setattr(mixing, name, value)
    write_bins(tmp_path, [2000])
    train(dataclasses.replace(TINY, max_iters=20), tmp_path, time.monotonic())
    return tmp_path


@pytest.fixture
def loaded(root: Path) -> Loaded:
    loaded = load_model(root)
    assert loaded.mixture
    return loaded


def test_each_token_is_chosen_from_the_mixture(loaded: Loaded) -> None:
    prompt, config = [END, *range(97, 102)], SampleConfig(max_new_tokens=30, top_k=0)
    steps = list(generate(loaded.model, prompt, config, -1, loaded.mixture))
    ids = np.array([*prompt, *(token for token, _ in steps)], np.int32)
    states = []  # as the decoder has them: its context slides, so each comes from its own reading
    decoder = generation.Decoder(loaded.model)
    logits = decoder.read(prompt)
    states += list(decoder.states)
    assert loaded.mixture
    for i, (token, log_p) in enumerate(steps, len(prompt)):
        expected = loaded.mixture.log_probs(Stretch(ids[:i + 1], i, np.array(states), logits[None], 0, len(prompt)))[0]
        assert log_p == pytest.approx(expected, abs=1e-4)
        assert np.exp(log_p).sum() == pytest.approx(1, abs=1e-5)
        logits = decoder.read([token])
        states.append(decoder.states[-1])


def test_a_text_longer_than_the_memory_goes_on(loaded: Loaded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generation, "MEMORY", 10)
    config = SampleConfig(max_new_tokens=60, temperature=0.0)
    assert sum(1 for _ in generate(loaded.model, [END, 97], config, -1, loaded.mixture)) == 60


def test_no_copy_is_longer_than_it_may_be(loaded: Loaded) -> None:
    assert loaded.mixture
    lengths = []
    for most in (0, 8, 12):
        config = SampleConfig(max_new_tokens=60, temperature=0.2, max_copied_tokens=most)
        written = [token for token, _ in generate(loaded.model, [END, 97], config, -1, loaded.mixture)]
        lengths.append(longest_copy(loaded.mixture.suffixes, written))
    assert lengths[0] > 12
    assert experts.LONGEST < lengths[1] <= 8 < lengths[2] <= 12


def test_a_copy_shorter_than_what_is_looked_up_cannot_be_ruled_out() -> None:
    assert LEAST_COPIED == experts.LONGEST
    with pytest.raises(ValueError, match="0, or 6 or more"):
        SampleConfig(max_copied_tokens=5)


def test_without_its_counts_the_network_writes_alone(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    paths_of(root)[0].unlink()
    loaded = load_model(root)
    assert loaded.mixture is None and "--only train" in caplog.text
    assert list(write(loaded, SampleConfig(max_new_tokens=5)))
    train(dataclasses.replace(TINY, max_iters=20), root, time.monotonic())  # which has nothing to learn any more
    assert load_model(root).mixture


@pytest.mark.parametrize("harm", ["shape", "names", "kind", "nan"])
def test_a_gate_of_another_release_is_left_out(root: Path, harm: str, caplog: pytest.LogCaptureFixture) -> None:
    path = root / "checkpoints/release.pt"
    state = load_state(path)
    assert state
    if harm == "shape":
        state["gate"]["up"] = torch.zeros(3, 3)
    elif harm == "kind":
        state["gate"]["up"] = "x"
    elif harm == "nan":
        state["gate"]["up"][0, 0] = torch.nan
    else:
        state["gate"]["more"] = torch.zeros(3)
    save_state(path, state)
    assert load_model(root).mixture is None and "another release" in caplog.text
    train(dataclasses.replace(TINY, max_iters=20), root, time.monotonic())  # which is what the message names
    assert load_model(root).mixture


def test_the_kept_samples_show_how_much_is_copied(root: Path, loaded: Loaded) -> None:
    keep(SampleConfig(kept_prompts=["abc"]), root, loaded)
    (line,) = map(json.loads, (root / "data/samples.jsonl").read_text().splitlines())
    assert line["copied"]["share"] > 0.5 and line["copied"]["longest"] >= 8  # a model of one loop
    assert line["copied"]["sources"] == []  # bins without a catalog
    for path in paths_of(root):
        path.unlink()
    keep(SampleConfig(kept_prompts=["ab"]), root, loaded)
    *_, line = map(json.loads, (root / "data/samples.jsonl").read_text().splitlines())
    assert "copied" not in line
