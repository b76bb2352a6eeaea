"""Completions: OpenAI's API of that name, which continues a text. server.py has the HTTP around it.

    GET  /v1/models        the models there are
    POST /v1/completions   prompt, and optionally model, max_tokens, temperature, top_p, n, stop, seed, stream and
                           stream_options; also top_k, min_p and repetition_penalty, as other local servers have them

Form: https://platform.openai.com/docs/api-reference/completions. What a request leaves out is as in [sample], the seed
included: the same request gets the same answer.
"""

import secrets
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from miniature_memory.core.errors import ConfigError
from miniature_memory.sampling.config import SampleConfig
from miniature_memory.sampling.generation import Loaded, write
from miniature_memory.sampling.playground import list_models, settings_of

MOST_CHOICES = 8  # samples that one request may ask for
SETTINGS = {"prompt": "prompt", "max_tokens": "max_new_tokens", "stop": "stop", "seed": "seed",
            **{name: name for name in ("temperature", "top_p", "top_k", "min_p", "repetition_penalty")}}
HOW = ("model", "n", "stream", "stream_options", "user")  # what else a request may hold
NEUTRAL = {"best_of": 1, "echo": False, "frequency_penalty": 0, "logit_bias": {}, "logprobs": 0, "presence_penalty": 0,
           "suffix": ""}  # OpenAI's, that the model knows nothing of: accepted with the value that changes nothing


@dataclass(frozen=True)
class Asked:
    """A request that was checked."""

    config: SampleConfig
    model: str = ""  # none named: the newest
    n: int = 1
    stream: bool = False
    include_usage: bool = False  # at the end of a stream
    id: str = field(default_factory=lambda: f"cmpl-{secrets.token_hex(12)}")
    created: int = field(default_factory=lambda: int(time.time()))


class Piece(NamedTuple):
    """The text of one token, or the end of a sample: without text, and with its reason."""

    sample: int  # counted from 0
    text: str
    finish_reason: str | None = None


def read_request(request: object, config: SampleConfig) -> Asked:
    """The request laid over `config`. Raises ConfigError for what is unknown, wrong or too large."""
    if not isinstance(request, dict):
        raise ConfigError("The request is not a JSON object.")
    given = {name: value for name, value in request.items() if value is not None}
    if unknown := sorted(given.keys() - SETTINGS.keys() - NEUTRAL.keys() - set(HOW)):
        raise ConfigError(f"There is no parameter {unknown[0][:40]!r}. Parameters: "
                          f"{', '.join(sorted([*SETTINGS, *HOW]))}.")
    for name, neutral in NEUTRAL.items():
        if given.get(name, neutral) != neutral:
            raise ConfigError(f"{name} is not supported; leave it out.")
    settings = {own: given[name] for name, own in SETTINGS.items() if name in given}
    match settings.get("prompt"):
        case [str(text)]:
            settings["prompt"] = text
        case list():
            raise ConfigError("prompt: expected one text, or a list of one.")
    if isinstance(settings.get("stop"), str):
        settings["stop"] = [settings["stop"]]
    model, n = given.get("model", ""), given.get("n", 1)
    stream, options = given.get("stream", False), given.get("stream_options", {})
    if not isinstance(model, str) or not isinstance(stream, bool) or not isinstance(options, dict):
        raise ConfigError("model is a text, stream is true or false, and stream_options is an object.")
    if type(n) is not int or not 1 <= n <= MOST_CHOICES:
        raise ConfigError(f"n = {n!r:.20}; expected 1 to {MOST_CHOICES}.")
    try:
        checked = settings_of(settings, config)
    except ConfigError as error:
        raise ConfigError(str(error).replace("max_new_tokens", "max_tokens").removeprefix("sample.")) from None
    return Asked(checked, model, n, stream, options.get("include_usage") is True)


def pieces(loaded: Loaded, asked: Asked) -> Iterator[Piece]:
    """The samples, one after the other, each with the next seed."""
    for i in range(asked.n):
        n_tokens = 0
        for step in write(loaded, replace(asked.config, seed=asked.config.seed + i)):
            n_tokens += 1
            yield Piece(i, step.text)
        yield Piece(i, "", "length" if n_tokens == asked.config.max_new_tokens else "stop")


def whole(loaded: Loaded, asked: Asked, written: list[Piece]) -> dict[str, Any]:
    """The answer to a request without `stream`."""
    texts = [""] * asked.n
    for piece in written:
        texts[piece.sample] += piece.text
    ends = [piece._replace(text=texts[piece.sample]) for piece in written if piece.finish_reason]
    return {**head(asked), "choices": [choice(piece) for piece in ends], "usage": usage(loaded, asked, len(written))}


def chunks(loaded: Loaded, asked: Asked, written: Iterable[Piece]) -> Iterator[dict[str, Any]]:
    """The answer to a request with `stream`."""
    n_pieces = 0
    for piece in written:
        n_pieces += 1
        if piece.text or piece.finish_reason:  # not the first half of a character
            yield {**head(asked), "choices": [choice(piece)]}
    if asked.include_usage:
        yield {**head(asked), "choices": [], "usage": usage(loaded, asked, n_pieces)}


def head(asked: Asked) -> dict[str, Any]:
    return {"id": asked.id, "object": "text_completion", "created": asked.created, "model": asked.model}


def choice(piece: Piece) -> dict[str, Any]:
    return {"text": piece.text, "index": piece.sample, "logprobs": None, "finish_reason": piece.finish_reason}


def usage(loaded: Loaded, asked: Asked, n_pieces: int) -> dict[str, int]:
    """Tokens read and written. n_pieces: of all samples, with an end each, which is no token."""
    n_prompt, n_written = len(loaded.tokenizer.encode(asked.config.prompt)), n_pieces - asked.n
    return {"prompt_tokens": n_prompt, "completion_tokens": n_written, "total_tokens": n_prompt + n_written}


def models(root: Path) -> dict[str, Any]:
    return {"object": "list", "data": [{"id": model["name"], "object": "model", "created": int(model["time"]),
                                        "owned_by": "miniature-memory"} for model in list_models(root)]}


def error(status: int, sentence: str) -> dict[str, Any]:
    kind = "invalid_request_error" if status < 500 else "server_error"
    return {"error": {"message": sentence, "type": kind, "param": None, "code": None}}
