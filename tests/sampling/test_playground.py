"""python3 -m pytest tests/sampling/test_playground.py"""

import contextlib
import http.client
import json
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from browser import PHONE, Chromium

import sample
from miniature_memory.sampling import generation, playground
from miniature_memory.sampling.config import SampleConfig
from miniature_memory.sampling.playground import MOST_PROMPT_CHARS, Server
from miniature_memory.storage.files import write_aside
from miniature_memory.training import tokenizer as tokenizers
from miniature_memory.training.checkpoint import save_state
from model import GPT, GPTConfig

TINY = GPTConfig(block_size=8, vocab_size=257, n_layer=1, n_head=2, n_embd=16, ngram_order=1)
CONFIG = SampleConfig(max_new_tokens=30, top_k=0)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The models of two runs, the second one released."""
    tokenizer = tokenizers.train("byte", [], 257)
    for file, content in tokenizer.files().items():
        write_aside(tmp_path / "data/tokenizer" / file, content)
    for n, names in ((1, ["history/2026-01-01-020000.pt"]), (2, ["history/2026-01-02-020000.pt", "release.pt"])):
        torch.manual_seed(n)
        model = GPT(TINY)
        torch.nn.init.normal_(model.head.weight[97:122], std=0.1)  # letters, above all
        torch.nn.init.constant_(model.head.weight[122:], 0.0)
        for name in names:
            save_state(tmp_path / "checkpoints" / name, {
                "model": model.state_dict(), "model_args": vars(TINY), "tokenizer_hash": tokenizer.hash,
                "iter_num": 100 * n, "scores": {"val_bpb": 3.0 - n}})
    return tmp_path


@contextlib.contextmanager
def serving(root: Path) -> Iterator[Server]:
    with Server(CONFIG, root, 0) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def server(root: Path) -> Iterator[Server]:
    with serving(root) as server:
        yield server


def send(server: Server, path: str, body: Any = None, **headers: str | None) -> http.client.HTTPResponse:
    """The response to a request as the page sends it; headers of None are not sent."""
    own = f"127.0.0.1:{server.server_port}"
    values: dict[str, str | None] = {"Host": own, "Origin": f"http://{own}", "Content-Type": "application/json"}
    values |= {name.replace("_", "-"): value for name, value in headers.items()}
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=20)
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    connection.putrequest("GET" if body is None else "POST", path, skip_host=True)
    for name, value in ({"Content-Length": str(len(content))} | values if body is not None else values).items():
        if value is not None:
            connection.putheader(name, value)
    connection.endheaders(content if body is not None else None)
    return connection.getresponse()


def lines_of(response: http.client.HTTPResponse) -> list[dict[str, Any]]:
    return [json.loads(line) for line in response.read().splitlines()]


def request(**settings: object) -> dict[str, object]:
    return {"model": "release.pt", "prompt": "ab", **settings}


def test_it_listens_on_this_machine_only(server: Server) -> None:
    assert server.socket.getsockname()[0] == "127.0.0.1"


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
    (root / "checkpoints/ckpt.pt").write_bytes(b"PK\x03\x04 damaged")
    models = json.loads(send(server, "/models").read())["models"]
    assert [(model["name"], model["iteration"], model["bits_per_byte"]) for model in models] == [
        ("release.pt", 200, 1.0), ("history/2026-01-01-020000.pt", 100, 2.0)]


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
                 for name in ("release.pt", "history/2026-01-01-020000.pt"))
    assert [line["text"] for line in now] != [line["text"] for line in then]


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "evil.example:80", "", None])
def test_a_request_to_another_name_is_rejected(server: Server, host: str | None) -> None:
    for path, body in (("/", None), ("/models", None), ("/continue", request())):
        response = send(server, path, body, Host=host)
        assert response.status == 403 and b"answers only to" in response.read()


@pytest.mark.parametrize("origin", ["http://evil.example", "null", None, "https://127.0.0.1", "http://localhost:1"])
def test_only_its_own_page_may_request_text(server: Server, origin: str | None) -> None:
    assert send(server, "/continue", request(), Origin=origin).status == 403
    assert send(server, "/continue", request(), Origin=f"http://localhost:{server.server_port}").status == 200


@pytest.mark.parametrize(("body", "status", "sentence"), [
    (request(prompt="a" * (MOST_PROMPT_CHARS + 1)), 400, "20,001 characters; expected at most 20,000"),
    (request(temperature="hot"), 400, "sample.temperature = 'hot'"),
    (request(temperature=-1), 400, "temperature = -1"),
    (b'{"model": "release.pt", "temperature": NaN}', 400, "sample.temperature = None"),
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
    assert (response.status, sentence in json.loads(response.read())["error"]) == (status, True)


@pytest.mark.parametrize(("headers", "status"), [
    ({"Content_Type": "text/plain"}, 415), ({"Content_Length": "1000001"}, 413), ({"Content_Length": "-1"}, 413),
    ({"Content_Length": None}, 413), ({"Content_Length": "9" * 5000}, 413), ({"Content_Length": "²"}, 413)])
def test_a_bad_header_is_rejected(server: Server, headers: dict[str, str | None], status: int) -> None:
    if headers.get("Content_Length") == "²":
        headers = {"Content_Length": "\xb2"}  # a digit of Latin-1, as which headers are read
    assert send(server, "/continue", request(), **headers).status == status


def test_other_paths_are_not_there(server: Server) -> None:
    assert send(server, "/playground.py").status == send(server, "/models", request()).status == 404


def test_answers_are_written_in_turn_and_the_queue_is_bounded(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    go_on = threading.Event()

    def slow_answer(*_: object) -> Iterator[dict[str, Any]]:
        yield {"text": "a"}
        assert go_on.wait(20)
        yield {"done": 1}

    monkeypatch.setattr(playground, "answer", slow_answer)
    server.places = threading.BoundedSemaphore(2)
    first = send(server, "/continue", request())
    assert json.loads(first.readline()) == {"text": "a"}
    second = send(server, "/continue", request())
    assert json.loads(second.readline()) == {"waiting": True}
    third = send(server, "/continue", request())
    assert third.status == 503 and "already waiting" in lines_of(third)[0]["error"]
    go_on.set()
    assert lines_of(first) == [{"done": 1}]
    assert [line for line in lines_of(second) if "waiting" not in line] == [{"text": "a"}, {"done": 1}]


def test_an_answer_ends_when_its_reader_disconnects(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    def endless_answer(*_: object) -> Iterator[dict[str, Any]]:
        while True:
            time.sleep(0.01)
            yield {"text": "a"}

    monkeypatch.setattr(playground, "answer", endless_answer)
    response = send(server, "/continue", request())
    response.readline()
    assert server.turn.locked()
    response.close()
    assert server.turn.acquire(timeout=10)
    server.turn.release()


def test_a_waiting_reader_that_disconnects_leaves_the_queue(server: Server) -> None:
    server.places = threading.BoundedSemaphore(1)
    with server.turn:
        response = send(server, "/continue", request())
        response.readline()
        response.close()
        assert server.places.acquire(timeout=10)
    server.places.release()


def test_the_command_prints_its_address_and_ends_with_ctrl_c(root: Path) -> None:
    command = [sys.executable, str(Path(sample.__file__)), "--serve", "0", "--root", str(root)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout
    address = re.match(r"http://127\.0\.0\.1:(\d+)/", process.stdout.readline())
    try:
        assert address
        connection = http.client.HTTPConnection("127.0.0.1", int(address[1]), timeout=20)
        connection.request("GET", "/")
        assert connection.getresponse().status == 200
        connection.close()
    finally:
        process.send_signal(signal.SIGINT)
        error = process.communicate(timeout=20)[1]
    assert process.returncode == 0 and "Traceback" not in error


def test_a_port_in_use_is_reported(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert sample.main(["--serve", str(taken.getsockname()[1]), "--root", str(root)]) == 1
    assert "cannot be used" in capsys.readouterr().err
    assert sample.main(["--serve", "70000", "--root", str(root)]) == 1


def test_without_a_model_it_does_not_start(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert sample.main(["--serve", "0", "--root", str(tmp_path)]) == 1
    assert f"train one with python3 run.py --root {tmp_path}" in capsys.readouterr().err


def address(server: Server) -> str:
    return f"http://127.0.0.1:{server.server_port}/"


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
        assert box and card and (box["y"] + box["height"] <= card["y"] or card["y"] + card["height"] <= box["y"])
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
        page.get_by_label("Compare with").select_option("history/2026-01-01-020000.pt")
        page.get_by_label("Samples").fill("2")
        page.get_by_label("Seed").fill("7")
        page.get_by_role("button", name="Continue").click()
        page.locator("article").nth(3).get_by_text(re.compile("per second|immediately")).wait_for()
        heads, boxes = page.locator("h2").all_text_contents(), [one.bounding_box() for one in
                                                               page.locator("article").all()]
        assert ["2.000 bits per byte, 100 iterations, seed 7" in head for head in heads] == [False, True, False, False]
        assert boxes[0] and boxes[1] and boxes[0]["y"] == boxes[1]["y"] and boxes[0]["x"] < boxes[1]["x"]
        assert len(set(page.locator(".text").all_text_contents())) > 2
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
