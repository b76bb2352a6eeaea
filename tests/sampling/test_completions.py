"""python3 -m pytest tests/sampling/test_completions.py"""

import http.client
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from serving import CONFIG, EARLIER, error_of, send

from miniature_memory.core.errors import ConfigError
from miniature_memory.sampling import completions, generation
from miniature_memory.sampling.completions import Piece
from miniature_memory.sampling.config import SampleConfig
from miniature_memory.sampling.server import Server

COMPLETIONS = "/v1/completions"


def complete(server: Server, **parameters: object) -> dict[str, Any]:
    response = send(server, COMPLETIONS, parameters, Origin=None)
    assert response.status == 200
    answer: dict[str, Any] = json.loads(response.read())
    return answer


def events(response: http.client.HTTPResponse) -> list[Any]:
    """What stands in each event; the last one is [DONE]."""
    assert response.headers["Content-Type"] == "text/event-stream"
    *parts, last, nothing = response.read().decode().split("\n\n")
    assert last == "data: [DONE]" and nothing == ""
    return [json.loads(part.removeprefix("data: ")) for part in parts if not part.startswith(":")]


def written(root: Path, **settings: Any) -> list[str]:
    """The texts of the steps that sample.py writes."""
    config = SampleConfig(**{**vars(CONFIG), **settings})
    return [step.text for step in generation.write(generation.load_model(root), config)]


def test_the_text_is_what_sample_writes(server: Server, root: Path) -> None:
    answer = complete(server, prompt="ab", seed=5, temperature=2, max_tokens=20, model="release.pt", user="me")
    texts = written(root, prompt="ab", seed=5, temperature=2.0, max_new_tokens=20)
    assert answer["choices"] == [{"text": "".join(texts), "index": 0, "logprobs": None,
                                  "finish_reason": "length" if len(texts) == 20 else "stop"}]
    assert answer["usage"] == {"prompt_tokens": 2, "completion_tokens": len(texts), "total_tokens": 2 + len(texts)}
    assert (answer["object"], answer["model"]) == ("text_completion", "release.pt") and answer["id"][:5] == "cmpl-"


def test_what_is_left_out_or_null_is_as_in_the_settings(server: Server, root: Path) -> None:
    assert complete(server, stop=None)["choices"][0]["text"] == "".join(written(root))
    assert complete(server, prompt=["ab"])["choices"] == complete(server, prompt="ab")["choices"]


def test_each_of_n_samples_has_the_next_seed(server: Server) -> None:
    two = complete(server, n=2, seed=3)
    second = complete(server, seed=4)
    assert two["choices"][1]["text"] == second["choices"][0]["text"] != two["choices"][0]["text"]
    assert [choice["index"] for choice in two["choices"]] == [0, 1]


def test_an_earlier_release_is_chosen_by_its_name(server: Server) -> None:
    assert complete(server, model=EARLIER)["choices"] != complete(server)["choices"]


def test_the_reason_for_an_end(server: Server, root: Path) -> None:
    text = "".join(written(root, temperature=0.0))
    assert complete(server, temperature=0, max_tokens=3)["choices"][0]["finish_reason"] == "length"
    stopped = complete(server, temperature=0, stop=text[5])["choices"][0]
    assert stopped["finish_reason"] == "stop" and stopped["text"] == text[:text.index(text[5])]


def test_a_stream_holds_the_same_text(server: Server) -> None:
    parameters: dict[str, Any] = {"prompt": "ab", "n": 2}
    whole = complete(server, **parameters)
    *chunks, last = events(send(server, COMPLETIONS, {**parameters, "stream": True,
                                                      "stream_options": {"include_usage": True}}, Origin=None))
    texts, reasons = ["", ""], {}
    for chunk in chunks:
        (choice,) = chunk["choices"]
        texts[choice["index"]] += choice["text"]
        reasons[choice["index"]] = choice["finish_reason"]
    assert [(choice["text"], choice["finish_reason"]) for choice in whole["choices"]] == list(
        zip(texts, reasons.values(), strict=True))
    assert len(chunks) > 4 and len({chunk["id"] for chunk in chunks}) == 1
    assert (last["choices"], last["usage"]) == ([], whole["usage"])
    assert all("usage" not in chunk for chunk in events(send(server, COMPLETIONS, {"stream": True})))


@pytest.mark.parametrize(("parameters", "sentence"), [
    ({"prompt": ["a", "b"]}, "expected one text, or a list of one"), ({"prompt": [1, 2]}, "expected one text"),
    ({"prompt": 7}, "prompt = 7"), ({"prompt": "a" * 20_001}, "20,001 characters; expected at most 20,000"),
    ({"max_tokens": 0}, "max_tokens = 0; expected 1 or more"), ({"max_tokens": 10**9}, "max_tokens = 1000000000"),
    ({"max_tokens": True}, "max_tokens = True"), ({"temperature": "hot"}, "temperature = "),
    ({"temperature": 6}, "expected at most 5.0"), ({"top_p": 0}, "top_p = 0"), ({"seed": -1}, "seed = -1"),
    ({"n": 0}, "n = 0; expected 1 to 8"), ({"n": 9}, "n = 9"), ({"n": "9" * 10_000}, "expected 1 to 8"),
    ({"stop": ["a"] * 9}, "at most 8 texts"), ({"stop": [1]}, "stop = [1]"), ({"stream": 1}, "true or false"),
    ({"stream_options": []}, "an object"), ({"model": 1}, "model is a text"), ({"echo": True}, "echo is not supported"),
    ({"logprobs": 5}, "logprobs is not supported"), ({"messages": []}, "no parameter 'messages'"), ([], "JSON object")])
def test_a_wrong_parameter_is_rejected_with_a_reason(parameters: object, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        completions.read_request(parameters, CONFIG)
    assert sentence in str(caught.value) and "sample." not in str(caught.value) and len(str(caught.value)) < 300


def test_openai_s_defaults_are_accepted() -> None:
    request = {"best_of": 1, "echo": False, "frequency_penalty": 0.0, "presence_penalty": 0, "logit_bias": {},
               "logprobs": None, "suffix": None}
    assert completions.read_request(request, CONFIG).config == CONFIG.__class__(**{**vars(CONFIG), "num_samples": 1})


def test_errors_are_in_openai_s_form(server: Server) -> None:
    for path, body, status, sentence in ((COMPLETIONS, {"n": 0}, 400, "n = 0"), (COMPLETIONS, b"{", 400, "not JSON"),
                                         (COMPLETIONS, {"model": "gpt-4"}, 404, "Models: release.pt, history/"),
                                         ("/v1/chat/completions", {}, 404, "do not chat"),
                                         ("/v1/completions", None, 404, "POST /v1/completions")):
        response = send(server, path, body)
        answer = json.loads(response.read())
        assert (response.status, answer["error"]["type"]) == (status, "invalid_request_error")
        assert sentence in answer["error"]["message"] and answer.keys() == {"error"}


def test_models_are_listed(server: Server) -> None:
    answer = json.loads(send(server, "/v1/models", Origin=None).read())
    assert answer["object"] == "list" and [model["id"] for model in answer["data"]] == ["release.pt", EARLIER]
    assert all(model["object"] == "model" and type(model["created"]) is int for model in answer["data"])


def test_a_full_queue_is_a_503(server: Server) -> None:
    server.places = threading.BoundedSemaphore(1)
    with server.turn:
        waiting = send(server, COMPLETIONS, {"stream": True})
        assert waiting.readline() + waiting.readline() == b": waiting\n\n"
        for stream in (False, True):
            response = send(server, COMPLETIONS, {"stream": stream})
            assert response.status == 503 and "already waiting" in error_of(response)
    assert events(waiting)[-1]["choices"][0]["finish_reason"]


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_ends_when_its_client_disconnects(server: Server, stream: bool,
                                                    monkeypatch: pytest.MonkeyPatch) -> None:
    begun = threading.Event()

    def endless(*_: object) -> Iterator[Piece]:
        while True:
            begun.set()
            yield Piece(0, "a")

    monkeypatch.setattr(completions, "pieces", endless)
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=20)
    connection.request("POST", COMPLETIONS, json.dumps({"stream": stream}), {"Content-Type": "application/json"})
    assert begun.wait(20)
    connection.close()
    assert server.turn.acquire(timeout=10)
    server.turn.release()


def test_a_damaged_model_is_reported(server: Server, root: Path) -> None:
    (root / "checkpoints/release.pt").write_bytes(b"PK\x03\x04 damaged")
    response = send(server, COMPLETIONS, {})
    assert response.status == 500 and "is damaged" in error_of(response)
    (event,) = events(send(server, COMPLETIONS, {"stream": True}))
    assert event["error"]["type"] == "server_error" and "is damaged" in event["error"]["message"]
