"""python3 -m pytest tests/sampling/test_playground.py"""

import dataclasses
import json
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from browser import PHONE, Chromium
from serving import EARLIER, address, error_of, lines_of, request, send, serving
from tracing import add_stories, in_training, learn, middle

from miniature_memory.sampling import generation, playground
from miniature_memory.sampling.config import SampleConfig
from miniature_memory.sampling.generation import Step
from miniature_memory.sampling.playground import MOST_PROMPT_CHARS
from miniature_memory.sampling.server import Server


def test_page_may_load_nothing_from_elsewhere(server: Server) -> None:
    response = send(server, "/")
    page, policy = response.read().decode(), response.headers["Content-Security-Policy"]
    nonce = re.search(r"script-src 'nonce-([\w-]+)'", policy)
    assert nonce and f'<script nonce="{nonce[1]}">' in page and "NONCE" not in page
    assert "default-src 'none'" in policy and "unsafe" not in policy
    assert not re.search(r"https?://|src=", page)
    again = send(server, "/").headers["Content-Security-Policy"]
    assert again != policy


def test_models_are_listed_with_their_figures_once_each(server: Server, root: Path) -> None:
    (root / "checkpoints/ckpt.prev.pt").write_bytes(b"PK\x03\x04 damaged")
    shutil.copy(root / "checkpoints" / EARLIER, root / "checkpoints/ckpt.pt")
    models = json.loads(send(server, "/models").read())["models"]
    assert [(model["name"], model["iteration"], model["bits_per_byte"]) for model in models] == [
        ("release.pt", 200, 1.0), (EARLIER, 100, 2.0)]


def test_answer_is_what_sample_writes_with_the_models_own_probabilities(server: Server, root: Path) -> None:
    *tokens, last = lines_of(send(server, "/continue", request(seed=5, temperature=2.0)))
    config = SampleConfig("ab", seed=5, temperature=2.0, max_new_tokens=30, top_k=0)
    steps = list(generation.write(generation.load_model(root), config))
    assert [line["text"] for line in tokens] == [step.text for step in steps] and len(steps) > 3
    assert last["done"] == len(steps)
    for line, step in zip(tokens, steps, strict=True):
        p = torch.softmax(torch.from_numpy(step.logits), 0)
        assert line["p"] == pytest.approx(p[step.token].item(), abs=1e-5)
        shares = [share for _, share in line["likeliest"]]
        assert shares == sorted(shares, reverse=True) and shares[0] == pytest.approx(p.max().item(), abs=1e-5)


def test_an_earlier_release_writes_other_text(server: Server) -> None:
    now, then = (lines_of(send(server, "/continue", request(model=name)))[:-1]
                 for name in ("release.pt", EARLIER))
    assert [line["text"] for line in now] != [line["text"] for line in then]


@pytest.mark.parametrize(("body", "status", "sentence"), [
    (request(prompt="a" * (MOST_PROMPT_CHARS + 1)), 400, "20,001 characters; expected at most 20,000"),
    (request(temperature="hot"), 400, "sample.temperature = 'hot'"),
    (request(temperature=-1), 400, "temperature = -1"),
    (b'{"model": "release.pt", "temperature": NaN}', 400, "sample.temperature = 'not a number'"),
    (request(temperature=1e300), 400, "expected at most 5.0"),
    (request(max_new_tokens=10**9), 400, "expected at most 2000"),
    (request(num_samples=2), 400, "expected at most 1"),
    (request(stop=["a"] * 9), 400, "at most 8 texts"),
    (request(stop=["a" * 101]), 400, "at most 8 texts"),
    (request(stop="a"), 400, "sample.stop"),
    (request(kept_prompts=["a"]), 400, "There is no setting 'kept_prompts'"),
    (request(model="../release.pt"), 404, "no longer exists"),
    (request(model=None), 404, "no longer exists"),
    ([1], 400, "not a JSON object"),
    (b"[" * 100_000, 400, "not JSON"),
    (b"\xff", 400, "not JSON"),
])
def test_a_bad_request_is_rejected_with_a_reason(server: Server, body: Any, status: int, sentence: str) -> None:
    response = send(server, "/continue", body)
    assert (response.status, sentence in error_of(response)) == (status, True)


@pytest.mark.browser
@pytest.mark.parametrize(("width", "dark"), [(PHONE, False), (PHONE, True), (1280, False), (1280, True)])
def test_a_person_writes_and_inspects_a_token(server: Server, root: Path, chromium: Chromium, width: int,
                                              dark: bool) -> None:
    with chromium.open(address(server), width, dark) as view:
        page = view.page
        page.get_by_label("Beginning").fill("ab <b>")
        page.get_by_role("button", name="Continue").click()
        page.get_by_text("per second").wait_for()
        steps = generation.write(generation.load_model(root), SampleConfig("ab <b>", max_new_tokens=30, top_k=0))
        written = "ab <b>" + "".join(step.text for step in steps)
        assert page.locator(".text").text_content() == written
        page.locator(".t").nth(2).click()
        assert page.get_by_role("status").locator(".chosen").inner_text().endswith("%")
        box, card = page.locator(".t.on").bounding_box(), page.get_by_role("status").bounding_box()
        assert box and card and (box["y"] + box["height"] <= card["y"] or card["y"] + card["height"] <= box["y"]
                                 or box["x"] + box["width"] <= card["x"])
        assert not view.errors and not view.accessibility_faults() and view.overflow_px() == 0


@pytest.mark.browser
def test_keyboard_alone_is_enough(server: Server, chromium: Chromium) -> None:
    with chromium.open(address(server)) as view:
        page = view.page
        page.get_by_label("Beginning").focus()
        page.keyboard.type("abc")
        page.keyboard.press("Control+Enter")
        page.get_by_text("per second").wait_for()
        page.get_by_role("group", name="Answer").focus()
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowRight")
        assert page.locator(".t.on").text_content() == page.locator(".t").nth(1).text_content()
        assert page.get_by_role("status").is_visible()
        page.keyboard.press("Escape")
        assert not page.get_by_role("status").is_visible()


@pytest.mark.browser
def test_two_models_side_by_side(server: Server, chromium: Chromium) -> None:
    with chromium.open(address(server)) as view:
        page = view.page
        page.get_by_label("Compare with").select_option(EARLIER)
        page.get_by_label("Samples").fill("2")
        page.get_by_label("Seed").fill("7")
        page.get_by_role("button", name="Continue").click()
        page.locator("article").nth(3).get_by_text(re.compile("per second|immediately")).wait_for()
        heads, boxes = page.locator("h2").all_text_contents(), [one.bounding_box() for one in
                                                               page.locator("article").all()]
        assert ["2.000 bits per byte, 100 iterations, seed 7" in head for head in heads] == [False, True, False, False]
        assert boxes[0] and boxes[1] and boxes[0]["y"] == boxes[1]["y"] and boxes[0]["x"] < boxes[1]["x"]
        assert len(set(page.locator(".text").all_text_contents())) > 2
        page.get_by_label("Model", exact=True).select_option(EARLIER)
        assert page.get_by_label("Compare with").input_value() == ""  # no model is compared with itself
        assert page.locator(f"#other option[value='{EARLIER}']").is_disabled()
        assert not view.errors


@pytest.mark.browser
def test_rejections_and_a_lost_server_are_reported(root: Path, chromium: Chromium) -> None:
    with serving(root) as server, chromium.open(address(server)) as view:
        page = view.page
        page.get_by_label("Beginning").fill("a" * (MOST_PROMPT_CHARS + 1))
        page.get_by_role("button", name="Continue").click()
        page.get_by_text("expected at most 20,000").wait_for()
        server.shutdown()
        server.server_close()
        page.get_by_role("button", name="Continue").click()
        page.get_by_text("The server does not answer").wait_for()


@pytest.mark.browser
def test_stop_ends_an_answer(server: Server, chromium: Chromium, monkeypatch: pytest.MonkeyPatch) -> None:
    def endless_answer(*_: object) -> Iterator[dict[str, Any]]:
        while True:
            time.sleep(0.01)
            yield {"text": "a", "token": "a", "p": 0.5, "likeliest": [["a", 0.5]]}

    monkeypatch.setattr(playground, "answer", endless_answer)
    with chromium.open(address(server)) as view:
        page = view.page
        page.get_by_role("button", name="Continue").click()
        page.locator(".t").nth(5).wait_for()
        page.get_by_role("button", name="Stop").click()
        page.get_by_text("Stopped.").wait_for()
        assert server.turn.acquire(timeout=10)
        server.turn.release()


@pytest.mark.browser
def test_examples_are_those_of_the_report_and_come_in_turn(server: Server, chromium: Chromium) -> None:
    server.config = dataclasses.replace(server.config, kept_prompts=["To be", "Bread"])
    with chromium.open(address(server)) as view:
        prompt, example = view.page.get_by_label("Beginning"), view.page.get_by_role("button", name="Example")
        example.wait_for()
        texts = [prompt.input_value()]
        for _ in range(2):
            example.click()
            texts.append(prompt.input_value())
        assert texts == ["To be", "Bread", "To be"]


@pytest.mark.browser
def test_a_reload_keeps_the_form_and_the_answers(server: Server, chromium: Chromium) -> None:
    with chromium.open(address(server), PHONE) as view:
        page = view.page
        page.get_by_label("Beginning").fill("first")
        for n, text in enumerate(("first", "second")):
            page.get_by_label("Beginning").fill(text)
            page.get_by_role("button", name="Continue").click()
            page.locator("article").nth(n).wait_for()  # the new answer comes first, the older ones move down
            page.locator(".end").first.get_by_text(re.compile("per second|immediately")).wait_for()
        page.get_by_label("Compare with").select_option(EARLIER)
        page.get_by_text("Settings").click()
        page.get_by_label("Seed").fill("42")
        before = page.locator(".text").all_text_contents()
        assert [text[:5] for text in before] == ["secon", "first"]  # the newest first
        page.wait_for_load_state("networkidle")  # a reload would break off what is still under way
        page.reload()
        page.locator("article").nth(1).wait_for()
        assert page.locator(".text").all_text_contents() == before
        assert [page.locator(f"#{name}").input_value() for name in ("prompt", "other", "seed")] == [
            "second", EARLIER, "42"]
        page.locator(".t").first.click()
        assert page.get_by_role("status").is_visible() and not view.errors


@pytest.mark.browser
def test_without_storage_the_page_works(server: Server, chromium: Chromium) -> None:
    with chromium.open(address(server)) as view:
        page = view.page
        page.wait_for_load_state("networkidle")  # a reload would break off what is still under way
        page.add_init_script("Object.defineProperty(window, 'sessionStorage', {get() { throw new Error('no') }})")
        page.reload()
        page.get_by_label("Beginning").fill("abc")
        page.get_by_role("button", name="Continue").click()
        page.get_by_text("per second").wait_for()
        assert not view.errors


@pytest.mark.browser
@pytest.mark.parametrize("allowed", [True, False])
def test_an_answer_is_copied_or_at_least_selected(server: Server, chromium: Chromium, allowed: bool) -> None:
    with chromium.open(address(server)) as view:
        page = view.page
        if allowed:
            page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        else:
            page.add_init_script("delete Navigator.prototype.clipboard")
            page.reload()
        page.get_by_label("Beginning").fill("abc")
        page.get_by_role("button", name="Continue").click()
        page.get_by_text("per second").wait_for()
        page.get_by_role("button", name="Copy").click()
        page.get_by_role("button", name="Copied" if allowed else "Selected").wait_for()
        copied = page.evaluate("allowed => allowed ? navigator.clipboard.readText() : String(getSelection())", allowed)
        assert copied.strip() == str(page.locator(".text").text_content()).strip()


@pytest.mark.browser
@pytest.mark.parametrize("height", [660, 700, 844])
def test_the_card_is_never_over_the_buttons(server: Server, chromium: Chromium, height: int,
                                            monkeypatch: pytest.MonkeyPatch) -> None:
    line = {"text": "word ", "token": "word ", "p": 0.5, "likeliest": [["word ", 0.5]] * 6}
    monkeypatch.setattr(playground, "answer", lambda *_: iter([line] * 60 + [{"done": 60, "seconds": 1}]))
    with chromium.open(address(server)) as view:
        page = view.page
        page.set_viewport_size({"width": 1280, "height": height})
        page.get_by_role("button", name="Continue").click()
        page.get_by_text("per second").wait_for()
        page.mouse.wheel(0, -2000)
        for token in (page.locator(".t").first, page.locator(".t").nth(15), page.locator(".t").nth(40)):
            token.hover()
            card = page.get_by_role("status").bounding_box()
            assert card and card["y"] >= 0 and card["y"] + card["height"] <= height
            for button in page.locator("#buttons button:visible").all():
                box = button.bounding_box()
                assert box and (card["x"] >= box["x"] + box["width"] or card["y"] >= box["y"] + box["height"])


# --- where it comes from -------------------------------------------------------------------------


@pytest.fixture
def story_number(root: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """A training document that the model repeats, after an é in two tokens."""
    add_stories(root, range(100, 120))
    learn(root)
    n = in_training(root)[3]
    tokens = f"Well, é: {middle(n)}!".encode()
    steps = [Step(token, chr(token) if token < 128 else "é" * (token == "é".encode()[1]), np.zeros(257, np.float32))
             for token in tokens]
    monkeypatch.setattr(playground, "write", lambda *_: iter(steps))
    return n


def test_the_last_line_names_the_documents(server: Server, story_number: int) -> None:
    *tokens, last = lines_of(send(server, "/continue", request()))
    shown = [line["text"] for line in tokens if line["text"]]
    (stretch,) = last["stretches"]
    assert "".join(shown[stretch["first"]:stretch["end"]]) == stretch["text"] == middle(story_number)
    assert last["trace"] == "79 % of them occur in training documents, 8 or more in a row."
    assert [(source["title"], source["url"]) for source in stretch["sources"]] == [
        (f"Story {story_number}", f"http://example.org/{story_number}")]


def test_without_an_array_the_answer_says_why_nothing_is_traced(server: Server) -> None:
    *_, last = lines_of(send(server, "/continue", request()))
    assert "Nothing can be traced" in last["trace"] and "Fix: " in last["trace"] and last["stretches"] == []


@pytest.mark.browser
@pytest.mark.parametrize(("width", "dark"), [(PHONE, False), (PHONE, True), (1280, False), (1280, True)])
def test_a_copied_stretch_is_underlined_and_leads_to_its_document(server: Server, story_number: int, chromium: Chromium,
                                                                  width: int, dark: bool) -> None:
    with chromium.open(address(server), width, dark) as view:
        page = view.page
        page.get_by_role("button", name="Continue").click()
        page.get_by_text("79 % of them occur in training documents").wait_for()
        assert "".join(page.locator(".t.from").all_text_contents()) == middle(story_number)
        page.locator(".t.from").nth(5).click()
        card = page.get_by_role("status")
        title, url = card.get_by_role("link").all()
        assert title.inner_text() == f"Story {story_number}"
        assert re.fullmatch(r"/collection/document\?id=[0-9a-f]{64}&passage=[\d+]+#passage",
                            str(title.get_attribute("href")))
        assert url.get_attribute("href") == url.inner_text() == f"http://example.org/{story_number}"
        assert f"brûlée «{middle(story_number)}» — so they waited" in str(card.text_content())
        page.mouse.move(5, 5)
        assert card.is_visible()  # until something else is clicked
        assert not view.errors and not view.accessibility_faults() and view.overflow_px() == 0
        box = title.bounding_box()
        assert box and box["y"] >= 0 and box["y"] + box["height"] <= 844
        page.locator(".t").first.click()
        assert not card.get_by_role("link").count() and card.is_visible()


@pytest.mark.browser
def test_a_link_of_the_card_opens_and_the_card_stays(server: Server, story_number: int, chromium: Chromium) -> None:
    with chromium.open(address(server), PHONE) as view:
        page = view.page
        page.get_by_role("button", name="Continue").click()
        page.locator(".t.from").first.click()
        with page.expect_popup() as opened:
            page.get_by_role("status").get_by_role("link").first.click()
        assert "/collection/document?id=" in opened.value.url
        assert page.get_by_role("status").is_visible()
        page.get_by_role("button", name="Continue").click()  # the answer may go, and the card stays
        page.locator("article").nth(1).wait_for()
        assert page.locator("#card").count() == 1 and not page.get_by_role("status").is_visible()


@pytest.mark.browser
def test_a_document_is_reached_by_keyboard(server: Server, story_number: int, chromium: Chromium) -> None:
    with chromium.open(address(server)) as view:
        page = view.page
        page.get_by_role("button", name="Continue").click()
        page.locator(".t.from").first.wait_for()
        page.get_by_role("group", name="Answer").focus()
        page.keyboard.press("End")
        page.keyboard.press("ArrowLeft")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == f"Story {story_number}"
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.href") == f"http://example.org/{story_number}"
        page.keyboard.press("Escape")
        assert not page.get_by_role("status").is_visible()
        assert page.evaluate("document.activeElement.className") == "text"


@pytest.mark.browser
def test_hostile_names_are_text_and_no_links(server: Server, chromium: Chromium,
                                             monkeypatch: pytest.MonkeyPatch) -> None:
    line = {"text": "word ", "token": "word ", "p": 0.5, "likeliest": [["word ", 0.5]] * 6}
    hostile = "<img src=x onerror=alert(1)>" + "x" * 500
    source = {"id": hostile, "title": hostile, "url": "javascript:alert(1)", "before": hostile, "after": hostile}
    stretches = [{"first": 0, "end": 9, "tokens": 9, "text": hostile, "sources": [source] * 3}]
    last = {"done": 9, "seconds": 1, "trace": hostile, "stretches": stretches}
    monkeypatch.setattr(playground, "answer", lambda *_: iter([line] * 9 + [last]))
    with chromium.open(address(server), PHONE) as view:
        page = view.page
        page.get_by_role("button", name="Continue").click()
        page.locator(".t.from").first.click()
        links = page.get_by_role("status").get_by_role("link").all()
        assert [str(link.get_attribute("href"))[:25] for link in links] == ["/collection/document?id=%"] * 3
        assert not page.locator("img").count() and not view.errors and view.overflow_px() == 0
        page.wait_for_load_state("networkidle")
        page.reload()
        page.locator(".t.from").nth(8).wait_for()  # what was traced stays
