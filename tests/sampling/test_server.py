"""python3 -m pytest tests/sampling/test_server.py"""

import http.client
import json
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from helpers import add_clean_documents
from serving import error_of, lines_of, request, send, write_models

import sample
from miniature_memory.sampling import playground
from miniature_memory.sampling.server import Server


def test_it_listens_on_this_machine_only(server: Server) -> None:
    assert server.socket.getsockname()[0] == "127.0.0.1"


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "evil.example:80", "", None])
def test_a_request_to_another_name_is_rejected(server: Server, host: str | None) -> None:
    for path, body in (("/", None), ("/models", None), ("/continue", request()), ("/v1/models", None),
                       ("/v1/completions", {})):
        response = send(server, path, body, Host=host)
        assert response.status == 403 and "answers only to" in error_of(response)


@pytest.mark.parametrize("origin", ["http://evil.example", "null", None, "https://127.0.0.1", "http://localhost:1"])
def test_only_its_own_page_may_request_text(server: Server, origin: str | None) -> None:
    assert send(server, "/continue", request(), Origin=origin).status == 403
    if origin is not None:
        assert send(server, "/v1/completions", {}, Origin=origin).status == 403
    assert send(server, "/continue", request(), Origin=f"http://localhost:{server.server_port}").status == 200


@pytest.mark.parametrize(("headers", "status"), [
    ({"Content_Type": "text/plain"}, 415), ({"Content_Length": "1000001"}, 413), ({"Content_Length": "-1"}, 413),
    ({"Content_Length": None}, 413), ({"Content_Length": "9" * 5000}, 413),
    ({"Content_Length": "0" * 12 + "9" * 20}, 413), ({"Content_Length": "²"}, 413)])
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
    assert third.status == 503 and "already waiting" in error_of(third)
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


def test_a_client_that_leaves_within_its_request_is_no_traceback(
        server: Server, capfd: pytest.CaptureFixture[str]) -> None:
    for begun in (b"", b"POST /contin", b"POST /continue HTTP/1.1\r\nHost: "):
        with socket.create_connection(("127.0.0.1", server.server_port)) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # closing resets
            client.sendall(begun)
            time.sleep(0.05)
    assert send(server, "/models").status == 200
    assert capfd.readouterr().err == ""


def test_a_hundred_at_once_are_all_answered(server: Server) -> None:
    with ThreadPoolExecutor(100) as clients, server.turn:
        answers = [clients.submit(send, server, "/v1/completions", {"max_tokens": 1}) for _ in range(100)]
        while sum(answer.done() for answer in answers) < 100 - 9:  # one is written and eight wait
            time.sleep(0.01)
    assert sorted(answer.result().status for answer in answers) == [200] * 9 + [503] * 91


def test_a_waiting_reader_that_disconnects_leaves_the_queue(server: Server) -> None:
    server.places = threading.BoundedSemaphore(1)
    with server.turn:
        response = send(server, "/continue", request())
        response.readline()
        response.close()
        assert server.places.acquire(timeout=10)
    server.places.release()


@pytest.mark.parametrize("has_model", [True, False])
def test_the_command_prints_its_address_and_ends_with_ctrl_c(tmp_path: Path, has_model: bool) -> None:
    """Without a model, the collection alone is served."""
    root, page = tmp_path, "" if has_model else "collection"
    write_models(root) if has_model else add_clean_documents(root, ["Dough and wild yeast."])
    command = [sys.executable, str(Path(sample.__file__)), "--serve", "0", "--root", str(root)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout
    address = re.match(rf"http://127\.0\.0\.1:(\d+)/{page} ", process.stdout.readline())
    try:
        assert address
        connection = http.client.HTTPConnection("127.0.0.1", int(address[1]), timeout=20)
        connection.request("GET", f"/{page}")
        assert connection.getresponse().status == 200
        connection.close()
    finally:
        process.send_signal(signal.SIGINT)
        error = process.communicate(timeout=20)[1]
    assert process.returncode == 0 and "Traceback" not in error
    assert has_model == ("There is no model" not in error)


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


def test_the_reason_for_rejecting_a_large_body_arrives(server: Server) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=20)
    connection.request("POST", "/v1/completions", b"a" * 5_000_000, {"Content-Type": "application/json"})
    response = connection.getresponse()
    assert response.status == 413 and "1,000,000 bytes at most" in error_of(response)
    connection.close()
