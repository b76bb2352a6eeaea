"""python3 -m pytest tests/exporting/test_page.py"""

import base64
import dataclasses
import hashlib
import json
import re
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import regex
import torch
from browser import PHONE, Chromium, View
from helpers import PROSE, TINY, add_clean_documents, follow

import export
import prepare
from miniature_memory.core.errors import StageError
from miniature_memory.exporting import page
from miniature_memory.exporting.page import write_page
from miniature_memory.exporting.patterns import in_javascript
from miniature_memory.sampling.config import SampleConfig
from miniature_memory.sampling.decoder import Decoder, softmax
from miniature_memory.sampling.generation import (
    Loaded,
    Network,
    choose_next,
    generate,
    load_model,
    load_network,
    write,
)
from miniature_memory.storage.files import write_aside
from miniature_memory.training.checkpoint import load_state, save_state
from miniature_memory.training.config import PrepareConfig
from miniature_memory.training.tokenizer import BPE_PATTERN, ONE_CHARACTER, Tokenizer
from model import GPT, GPTConfig
from train import train

GPT2 = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s"
GPT4 = (r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]"
        r"|\s+(?!\S)|\s")
TEXTS = ["", "The ship lay", "it'S ſ'ſ I'LL we'Ve 'k", "  \n\n \t x \u0085\u00a0\u2028\ufeff y  ",
         "a\u0301 \u0301! x\u0308\u0308", "٣٤٥ 12345 ½Ⅷ", "هذا نصّ عربي، وهو قصير", "你好，世界。今天天气很好",
         "हिन्दी में", "\U0001f469\u200d\U0001f467\U0001f3f3\ufe0f\u200d\U0001f308!?", "<|endoftext|></script>&amp;",
         "\0\x01\x7f\u202e", "\ud800 a \udc00", "aaab" * 900, PROSE * 12]
HOSTILE = '<script>alert(1)</script> $$policy "&\u202e'


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root with a small model of PROSE, which is never written to."""
    root = tmp_path_factory.mktemp("trained")
    add_clean_documents(root, [PROSE.replace("captain", f"captain {n}") for n in range(60)])
    prepare.run(PrepareConfig(vocab_size=400), root)
    train(dataclasses.replace(TINY, size="2x16", block_size=32, max_iters=60), root, time.monotonic())
    return root


def set_topic(root: Path, topic: str) -> None:
    write_aside(root / "config/default.toml", f"[run]\ntopic = {json.dumps(topic)}\n".encode())


def write_model(root: Path, pattern: str = BPE_PATTERN, pairs: bool = False, state: dict[str, Any] | None = None,
                **shape: Any) -> Network:
    """A root with a model of random weights. pairs: its vocabulary also has pairs and triples of letters."""
    letters = [bytes([i]) for i in range(97, 97 + 13)]
    longer = [a + b for a in letters for b in letters] + [a + b + c for a in letters for b in letters for c in letters]
    words = [bytes([i]) for i in range(256)] + longer * pairs
    tokenizer = Tokenizer("bpe", pattern, {word: rank for rank, word in enumerate(words)})
    for file, content in tokenizer.files().items():
        write_aside(root / "data/tokenizer" / file, content)
    torch.manual_seed(0)
    config = GPTConfig(**{"block_size": 8, "vocab_size": tokenizer.vocab_size, "n_layer": 1, "n_head": 2, "n_embd": 20,
                          "ngram_rows": tokenizer.vocab_size + 999} | shape)
    model = GPT(config)
    for weights in model.parameters():
        torch.nn.init.normal_(weights, std=0.5)
    save_state(root / "checkpoints/release.pt", {"model": model.state_dict(), "model_args": vars(config),
                                                 "tokenizer_hash": tokenizer.hash} | (state or {}))
    return load_network(root)


def written(root: Path) -> str:
    path = root / "page.html"
    path.unlink(missing_ok=True)
    assert write_page(root, path) == path.stat().st_size
    return path.read_text(encoding="utf-8")


def part(html: str, name: str) -> str:
    found = re.search(rf'<script type="[a-z/]+" id="{name}">(.*?)</script>', html, re.DOTALL)
    assert found
    return found[1]


def plain(html: str) -> str:
    """What the page says."""
    return " ".join(re.sub(r"<[^>]+>", " ", html[html.index("<body>"):html.index('<script type=')]).split())


# --- the file ------------------------------------------------------------------------------------


def test_the_page_holds_weights_and_tokens(trained: Path, tmp_path: Path) -> None:
    write_page(trained, tmp_path / "page.html")
    html, network = (tmp_path / "page.html").read_text(encoding="utf-8"), load_network(trained)
    halves = np.frombuffer(base64.b64decode(part(html, "weights")), "<f2")
    expected = np.concatenate([tensor.numpy().ravel() for tensor in network.model.state_dict().values()])
    assert np.array_equal(halves, expected.astype(np.float16))
    tokens = [base64.b64decode(token) for token in json.loads(part(html, "facts"))["tokens"]]
    assert {token: i for i, token in enumerate(tokens)} == network.tokenizer.ranks


def test_what_came_from_outside_is_escaped_and_only_the_pages_own_script_may_run(tmp_path: Path) -> None:
    write_model(tmp_path)
    set_topic(tmp_path, HOSTILE)
    write_aside(tmp_path / "data/samples.jsonl", json.dumps(
        {"prompts": ["</script><b>"], "originals": ["so it goes"]}).encode() + b"\n")
    html = written(tmp_path)
    assert "<h1 dir=\"auto\">&lt;script&gt;alert(1)&lt;/script&gt; $$policy &quot;&amp;</h1>" in html
    assert html.count("<script") == html.count("</script") == 3 and "</script><b>" not in html
    assert json.loads(part(html, "facts"))["prompt"] == "</script><b>"
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]+)"', html)
    for tag in ("style", "script"):
        (content,) = re.findall(rf"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy and "unsafe" not in policy
    assert not re.search(r"https?://|\beval\b|import\(|fetch|src=", html.replace(part(html, "weights"), ""))


@pytest.mark.parametrize(("state", "sentence"), [
    ({"scores": {"val_loss": 3.5, "val_bpb": 1.668, "val_bpb_network": 1.756}, "entry": {"tokens": [1_000_000, 9]}},
     "trained on 1,000,000 tokens of text (about 3.0 MB). On text that it has never seen, it reaches 1.756 bits per "
     "byte; lower is better. With its index of the training text, which is too large for this page, it reaches 1.668."),
    ({"scores": {"val_bpb": 2.0}, "entry": {"tokens": [1000, 9]}},
     "trained on 1,000 tokens of text. On text that it has never seen, it reaches 2.000 bits per byte; lower is "
     "better. It continues"),
    ({"scores": {"val_bpb": "good"}, "entry": {"tokens": "many"}}, "still in training. How well it predicts text"),
    ({}, "parameters, still in training. How well it predicts text was not measured."),
])
def test_the_page_says_how_good_the_network_is_without_its_counts(tmp_path: Path, state: dict[str, Any],
                                                                   sentence: str) -> None:
    write_model(tmp_path, state=state)
    assert sentence in plain(written(tmp_path))


def test_the_page_says_under_which_licenses_its_texts_are(trained: Path, tmp_path: Path) -> None:
    write_page(trained, tmp_path / "page.html")
    said = plain((tmp_path / "page.html").read_text(encoding="utf-8"))
    assert "Licenses of its texts: not recorded (60 documents)." in said
    write_model(tmp_path)
    write_aside(tmp_path / "data/catalog.sqlite3", b"no catalog")
    assert "are not known here." in plain(written(tmp_path))


def test_a_checkpoint_is_written_while_there_is_no_release(trained: Path, tmp_path: Path) -> None:
    write_model(tmp_path)
    (tmp_path / "checkpoints/release.pt").rename(tmp_path / "checkpoints/ckpt.pt")
    assert "parameters, still in training." in plain(written(tmp_path))


def test_without_a_model_the_sentence_is_that_of_sample_and_no_file_appears(tmp_path: Path) -> None:
    with pytest.raises(StageError) as expected:
        load_model(tmp_path)
    with pytest.raises(StageError) as found:
        write_page(tmp_path, tmp_path / "page.html")
    assert str(found.value) == str(expected.value) and not list(tmp_path.glob("page*"))


def test_a_page_that_cannot_be_written_leaves_what_was_there(tmp_path: Path) -> None:
    write_model(tmp_path)
    (tmp_path / "page.html").write_text("mine")
    with pytest.raises(StageError, match="is already there") as error:
        write_page(tmp_path, tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text() == "mine"
    follow(error.value.fix.partition("move it: ")[2])
    write_page(tmp_path, tmp_path / "page.html")
    before = (tmp_path / "checkpoints/release.pt").read_bytes()
    with pytest.raises(StageError, match=r"release\.pt\.html"):
        write_page(tmp_path, tmp_path / "checkpoints/release.pt")
    assert (tmp_path / "checkpoints/release.pt").read_bytes() == before and not list(tmp_path.rglob("*.tmp"))


def test_weights_that_no_page_can_hold_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_model(tmp_path)
    monkeypatch.setattr(page, "MOST_MB", 0.01)
    with pytest.raises(StageError, match=r"would be 0 MB large.*smaller train\.ngram_rows"):
        write_page(tmp_path, tmp_path / "page.html")
    monkeypatch.undo()
    state = load_state(tmp_path / "checkpoints/release.pt")
    assert state
    state["model"]["head.weight"][0, 0] = 70_000.0
    save_state(tmp_path / "checkpoints/release.pt", state)
    with pytest.raises(StageError, match="too large for float16"):
        write_page(tmp_path, tmp_path / "page.html")


def test_settings_that_a_page_does_not_know_are_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_model(tmp_path)
    written(tmp_path)
    assert not caplog.messages
    write_aside(tmp_path / "config/default.toml", b"[sample]\nmax_copied_tokens = 50\ntop_k = 7\n")
    assert json.loads(part(written(tmp_path), "facts"))["settings"]["top_k"] == 7
    assert caplog.messages == ["sample.stop and sample.max_copied_tokens have no effect in a page."]


def test_settings_of_the_command_line_reach_the_page(tmp_path: Path) -> None:
    write_model(tmp_path)
    assert export.main(["html", str(tmp_path / "page.html"), "--root", str(tmp_path), "--quiet", "--set",
                        "sample.top_k=3"]) == 0
    assert json.loads(part((tmp_path / "page.html").read_text(encoding="utf-8"), "facts"))["settings"]["top_k"] == 3


# --- the tokenizer's pattern ---------------------------------------------------------------------


@pytest.mark.parametrize("pattern", [BPE_PATTERN, ONE_CHARACTER, GPT2, GPT4])
def test_the_pattern_in_javascripts_form_finds_the_same(pattern: str) -> None:
    def pieces(pattern: str, text: str) -> list[str]:
        return [found[0] for found in regex.finditer(pattern, text, regex.VERSION0)]

    theirs = in_javascript(pattern).replace("[^]", "(?s:.)")
    assert not re.search(r"[?*+]\+|\d\}\+|\(\?i|\\s", theirs)
    for text in TEXTS:
        if not re.search("[\ud800-\udfff\u0085ſ]", text):  # of which Python's regex has its own idea
            assert pieces(theirs, text) == pieces(pattern, text)


@pytest.mark.parametrize("pattern", [r"(?<=a)b", r"\d+", r"a+?", r"[a-z]", r"(a)\1", r"(?i:a", r"\p{Greek}", r"a)",
                                     r"[a&&b]", r"^a", r"(a)", r"(?:a|b)++"])
def test_a_pattern_that_javascript_may_read_in_another_way_is_refused(tmp_path: Path, pattern: str) -> None:
    with pytest.raises(ValueError):
        in_javascript(pattern)


def test_a_model_with_such_a_pattern_is_refused_with_what_to_do(tmp_path: Path) -> None:
    write_model(tmp_path, r"\w+|\W+")
    with pytest.raises(StageError, match=r"browsers do not know: \\w\+\|\\W\+\. .* prepare\.py --retokenize"):
        write_page(tmp_path, tmp_path / "page.html")


# --- in the browser ------------------------------------------------------------------------------

GREEDY = {"temperature": 0, "max_new_tokens": 50, "top_k": 50, "top_p": 1, "min_p": 0, "repetition_penalty": 1}


def open_model(view: View) -> Any:
    view.page.get_by_role("button", name="Continue").and_(view.page.locator(":enabled")).wait_for()
    return view.page


def rounded(network: Network) -> Network:
    """With the weights that the page has."""
    for weights in network.model.parameters():
        weights.data = weights.data.half().float()
    return network


def check_writing(view: View, network: Network) -> None:
    """Same ids, same most likely text, nearly the same probabilities as in Python."""
    tab, (model, tokenizer, *_) = open_model(view), rounded(network)
    for text in TEXTS:
        wire = json.dumps(text)  # lone surrogates, too
        ids = tokenizer.encode(text)
        assert tab.evaluate("text => encode(JSON.parse(text))", wire) == ids
        config = SampleConfig(text, temperature=0.0, max_new_tokens=50)
        prompt = [tokenizer.eot_token, *ids]
        expected = [token for token, _ in generate(model, prompt, config, tokenizer.eot_token)]
        assert tab.evaluate("([ids, settings]) => [...generate(ids, settings)].filter(id => id !== null)",
                            [prompt, GREEDY]) == expected
        steps = write(Loaded(model, tokenizer, 0, None), config)
        assert tab.evaluate("""([text, settings]) =>
            [...write(JSON.parse(text), settings)].map(step => step.text).join("")
        """, [wire, GREEDY]) == "".join(step.text for step in steps)
    decoder, ids = Decoder(model), tokenizer.encode(PROSE)[:3 * model.config.block_size]
    theirs = tab.evaluate("""ids => {
        const decoder = new Decoder()
        return JSON.stringify(ids.map(id => { decoder.read(id); return [...decoder.next()] }))
    }""", ids)
    for token, logits in zip(ids, json.loads(theirs), strict=True):
        assert softmax(np.array(logits)) == pytest.approx(softmax(decoder.read([token]).astype(np.float64)), abs=2e-5)


@pytest.mark.browser
def test_a_trained_model_writes_as_in_python(trained: Path, tmp_path: Path, chromium: Chromium) -> None:
    write_page(trained, tmp_path / "page.html")
    with chromium.open(tmp_path / "page.html") as view:
        check_writing(view, load_network(trained))
        assert not view.errors


@pytest.mark.browser
@pytest.mark.parametrize("options", [
    {"match_order": 0, "ngram_order": 2},  # made before there were matches
    {"match_order": 0, "ngram_order": 1, "qk_norm": False, "n_embd": 24, "n_head": 4, "n_layer": 3},
    {"match_order": 6, "ngram_order": 4, "n_head": 1, "n_embd": 18, "block_size": 5},
    {"pattern": GPT2, "pairs": True},
    {"pattern": ONE_CHARACTER, "block_size": 2}, {"block_size": 1},
], ids=lambda options: "-".join(map(str, options.values())).replace(GPT2, "GPT-2").replace(ONE_CHARACTER, "char"))
def test_models_of_other_kinds_write_as_in_python(tmp_path: Path, chromium: Chromium, options: dict[str, Any]) -> None:
    network = write_model(tmp_path, **options)
    write_page(tmp_path, tmp_path / "page.html")
    with chromium.open(tmp_path / "page.html") as view:
        check_writing(view, network)


@pytest.mark.browser
@pytest.mark.parametrize("settings", [
    {"temperature": 1.3, "top_k": 0}, {"temperature": 0.7, "top_k": 20, "top_p": 0.6},
    {"min_p": 0.2, "top_k": 0, "repetition_penalty": 1.8}, {"temperature": 0.0, "repetition_penalty": 3.0},
])
def test_tokens_are_chosen_among_the_same_with_the_same_chances(tmp_path: Path, chromium: Chromium,
                                                               settings: dict[str, float]) -> None:
    network = write_model(tmp_path)
    write_page(tmp_path, tmp_path / "page.html")
    ids, config = network.tokenizer.encode("a sail, a sail"), SampleConfig(**settings)
    decoder = Decoder(rounded(network).model)
    for token in ids:
        logits = decoder.read([token])

    class Chances:
        def choices(self, ids: np.ndarray, weights: list[float]) -> list[int]:
            self.found = [ids.tolist(), weights]
            return [int(ids[0])]

    chances, seen = Chances(), set(decoder.recent.tolist())
    first = choose_next(logits, config, seen, chances)  # type: ignore[arg-type]
    expected = [[first], [1.0]] if config.temperature == 0 else chances.found
    with chromium.open(tmp_path / "page.html") as view:
        found = open_model(view).evaluate("""([ids, settings]) => {
            const decoder = new Decoder()
            for (const id of ids) decoder.read(id)
            const {ids: chosen, p} = candidates(decoder.next(), settings, new Set(decoder.recent))
            return [chosen, [...p]]
        }""", [ids, {name: getattr(config, name) for name in page.SETTINGS}])
        drawn = view.page.evaluate("() => Array.from({length: 4000}, () => choose({ids: [5, 6, 7], p: [.5, .3, .1]}))")
    assert found[0] == expected[0] and found[1] == pytest.approx(expected[1], abs=1e-5)
    assert [drawn.count(id) / 4000 for id in (5, 6, 7)] == pytest.approx([5 / 9, 3 / 9, 1 / 9], abs=0.05)


@pytest.mark.browser
@pytest.mark.parametrize(("width", "dark"), [(PHONE, False), (PHONE, True), (1280, False), (1280, True)])
def test_a_person_opens_the_file_and_writes(trained: Path, tmp_path: Path, chromium: Chromium, width: int,
                                           dark: bool) -> None:
    write_page(trained, tmp_path / "page.html")
    with chromium.open(tmp_path / "page.html", width, dark) as view:
        requests: list[str] = []
        view.page.on("request", lambda request: requests.append(request.url))
        tab = open_model(view)
        tab.get_by_label("Beginning").fill("The old <b>")
        if not tab.get_by_label("Temperature").is_visible():
            tab.get_by_text("Settings").click()
        tab.get_by_label("Temperature").fill("0")
        tab.get_by_label("Length").fill("30")
        tab.get_by_label("Beginning").focus()
        tab.keyboard.press("Control+Enter")
        tab.get_by_role("status").get_by_text("per second").wait_for()
        config = SampleConfig("The old <b>", temperature=0.0, max_new_tokens=30)
        model, tokenizer, *_ = rounded(load_network(trained))
        steps = write(Loaded(model, tokenizer, 0, None), config)
        assert tab.locator(".text").text_content() == "The old <b>" + "".join(step.text for step in steps)
        assert not view.errors and not view.accessibility_faults() and view.overflow_px() == 0 and not requests


@pytest.mark.browser
def test_stop_ends_a_text_and_a_new_one_replaces_the_one_before(trained: Path, tmp_path: Path,
                                                               chromium: Chromium) -> None:
    write_page(trained, tmp_path / "page.html")
    with chromium.open(tmp_path / "page.html") as view:
        tab = open_model(view)
        tab.evaluate("candidates = () => ({ids: [97], p: [1]})")  # which never ends
        tab.get_by_label("Length").fill("1000")
        tab.evaluate("SLIDERS.max_new_tokens[1] = $('max_new_tokens').max = 1e9; $('max_new_tokens').value = 1e9")
        for n in range(2):
            tab.get_by_role("button", name="Continue").click()
            tab.get_by_text("Writing…").wait_for()
            tab.locator(".text").nth(n).wait_for()
        tab.get_by_role("button", name="Stop").click()
        tab.get_by_text("Stopped.").wait_for()
        texts = tab.locator(".text").all_text_contents()
        tab.evaluate("() => new Promise(resolve => setTimeout(resolve, 100))")
        assert tab.locator(".text").all_text_contents() == texts
        assert tab.get_by_role("button", name="Stop").is_disabled() and not view.errors


@pytest.mark.browser
def test_what_the_page_cannot_do_is_said(trained: Path, tmp_path: Path, chromium: Chromium) -> None:
    write_page(trained, tmp_path / "page.html")
    with chromium.open(tmp_path / "page.html") as view:
        tab = open_model(view)
        tab.get_by_label("Beginning").fill("a" * 20_001)
        tab.get_by_role("button", name="Continue").click()
        tab.get_by_text("has 20,001 characters; expected at most 20,000").wait_for()
    whole = (tmp_path / "page.html").read_bytes()
    (tmp_path / "half.html").write_bytes(whole[:len(whole) - 5000])
    with chromium.open(tmp_path / "half.html") as view:
        view.page.get_by_text("This file is incomplete.").wait_for()
        assert view.page.get_by_role("button", name="Continue").is_disabled() and not view.accessibility_faults()
    with chromium.open(tmp_path / "page.html", javascript=False) as view:
        assert view.page.locator("noscript").inner_text() == "This page needs JavaScript."
        assert view.page.get_by_role("status").inner_text() == ""


@pytest.mark.browser
def test_a_copy_that_the_browser_saves_writes_too(trained: Path, tmp_path: Path, chromium: Chromium) -> None:
    write_page(trained, tmp_path / "page.html")
    with chromium.open(tmp_path / "page.html") as view:
        open_model(view).get_by_role("button", name="Continue").click()
        view.page.get_by_role("status").get_by_text("per second").wait_for()
        (tmp_path / "copy.html").write_text(view.page.content(), encoding="utf-8")
    with chromium.open(tmp_path / "copy.html") as view:
        open_model(view).get_by_role("button", name="Continue").click()
        view.page.get_by_role("status").get_by_text("per second").wait_for()
        assert view.page.locator(".text").count() == 2 and view.page.locator(".slider").count() == len(page.SETTINGS)
        assert not view.errors


@pytest.mark.browser
def test_a_hostile_topic_is_only_text(tmp_path: Path, chromium: Chromium) -> None:
    write_model(tmp_path)
    set_topic(tmp_path, HOSTILE)
    write_page(tmp_path, tmp_path / "page.html")
    with chromium.open(tmp_path / "page.html") as view:
        view.page.on("dialog", lambda dialog: view.errors.append(dialog.message))
        assert open_model(view).locator("h1").text_content() == HOSTILE.replace("\u202e", "")
        view.page.evaluate("document.body.append(Object.assign(document.createElement('script'), {text: 'alert(2)'}))")
        assert len(view.errors) == 1 and "Content Security Policy" in view.errors[0]
