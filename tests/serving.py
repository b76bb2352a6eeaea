"""What the tests of the server need: a root with two models, the server, and requests to it."""

import contextlib
import http.client
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from miniature_memory.sampling.config import SampleConfig
from miniature_memory.sampling.server import Server
from miniature_memory.storage.files import write_aside
from miniature_memory.training import tokenizer as tokenizers
from miniature_memory.training.checkpoint import save_state
from model import GPT, GPTConfig

TINY = GPTConfig(block_size=8, vocab_size=257, n_layer=1, n_head=2, n_embd=16, ngram_order=1)
CONFIG = SampleConfig(max_new_tokens=30, top_k=0)
EARLIER = "history/2026-01-01-020000.pt"


def write_models(root: Path) -> None:
    """The models of two runs, the second one released."""
    tokenizer = tokenizers.train("byte", [], 257)
    for file, content in tokenizer.files().items():
        write_aside(root / "data/tokenizer" / file, content)
    for n, names in ((1, [EARLIER]), (2, ["history/2026-01-02-020000.pt", "release.pt"])):
        torch.manual_seed(n)
        model = GPT(TINY)
        torch.nn.init.normal_(model.head.weight[97:122], std=0.1)  # letters, above all
        torch.nn.init.constant_(model.head.weight[122:], 0.0)
        for name in names:
            save_state(root / "checkpoints" / name, {
                "model": model.state_dict(), "model_args": vars(TINY), "tokenizer_hash": tokenizer.hash,
                "iter_num": 100 * n, "scores": {"val_bpb": 3.0 - n}})


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


def address(server: Server) -> str:
    return f"http://127.0.0.1:{server.server_port}/"


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


def error_of(response: http.client.HTTPResponse) -> str:
    message: str = json.loads(response.read())["error"]["message"]
    return message


def lines_of(response: http.client.HTTPResponse) -> list[dict[str, Any]]:
    return [json.loads(line) for line in response.read().splitlines()]


def request(**settings: object) -> dict[str, object]:
    return {"model": "release.pt", "prompt": "ab", **settings}
