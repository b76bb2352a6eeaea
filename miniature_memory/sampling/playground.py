"""Playground: what the page in playground.html asks for. server.py has the HTTP around it.

    GET  /           the page
    GET  /models     the models there are, the initial settings, and beginnings to try
    POST /continue   the name of a model and the settings of [sample]; answers with a line of JSON for each token, and a
                     last one with the training documents that the answer repeats word for word
"""

import dataclasses
import logging
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from miniature_memory.core.config import build_config
from miniature_memory.core.errors import ConfigError, StageError
from miniature_memory.core.paths import LOOK
from miniature_memory.core.text import strip_control
from miniature_memory.sampling.config import SampleConfig
from miniature_memory.sampling.decoder import softmax
from miniature_memory.sampling.generation import Loaded, Step, write
from miniature_memory.sampling.kept_samples import choose_prompts, last_line
from miniature_memory.sampling.trace import open_tracer, share_of
from miniature_memory.training import tokenizer as tokenizers
from miniature_memory.training.checkpoint import State, load_state

logger = logging.getLogger(__name__)

PAGE = Path(__file__).with_name("playground.html")
WRITING = Path(__file__).with_name("writing.css")
MOST_PROMPT_CHARS = 20_000  # the model sees about the last two hundred words
MOST = {"max_new_tokens": 2000, "temperature": 5.0, "repetition_penalty": 5.0, "num_samples": 1}
MOST_STOPS, MOST_STOP_CHARS = 8, 100
OTHERS = 6  # most likely tokens, shown next to the chosen one
NOTHING = np.empty(0, np.float32)


def style() -> str:
    """What this page and that of export.py html share."""
    return "".join(path.read_text(encoding="utf-8") for path in (LOOK, WRITING))


def page(nonce: str) -> bytes:
    """nonce: of style and script, in the policy of the page."""
    return PAGE.read_text(encoding="utf-8").replace("LOOK", style()).replace("NONCE", nonce).encode()


def model_files(root: Path) -> dict[str, Path]:
    """By name: the release, earlier releases from the newest to the oldest, then the checkpoints of training."""
    folder = root / "checkpoints"
    earlier = sorted(folder.glob("history/*.pt"), reverse=True)
    paths = (folder / "release.pt", *earlier, folder / "ckpt.pt", folder / "ckpt.prev.pt")
    return {path.relative_to(folder).as_posix(): path for path in paths if path.exists()}


def list_models(root: Path) -> list[dict[str, Any]]:
    """The models to choose from: each file's name, iteration, bits per byte and time, without unreadable ones and
    without copies of those before."""
    entries: list[dict[str, Any]] = []
    seen = set()
    for name, path in model_files(root).items():
        try:
            state = load_state(path, mmap=True) or {}
        except StageError as error:
            logger.warning("%s", error)
            continue
        if state and (weights := fingerprint(state)) not in seen:
            seen.add(weights)
            entries.append({"name": name, "time": path.stat().st_mtime, "iteration": state.get("iter_num"),
                            "bits_per_byte": state.get("scores", {}).get("val_bpb")})
    return entries


def fingerprint(state: State) -> int:
    """The same for copies of one model, also for those in history/, which are in float16.

    One tensor tells: all of them change in every iteration.
    """
    weights = next(reversed(state["model"].values()))
    return zlib.crc32(weights.half().numpy().tobytes())


def examples(config: SampleConfig, root: Path) -> list[str]:
    """Beginnings to try: those that the report shows, which suit the dataset's topic and language."""
    try:
        tokenizer = tokenizers.load(root / "data/tokenizer")
    except StageError:
        return []
    return [prompt for prompt, _ in choose_prompts(config, root, tokenizer, last_line(root))]


def settings_of(request: object, config: SampleConfig) -> SampleConfig:
    """The settings of a request laid over `config`. Raises ConfigError for an invalid or too large value."""
    if not isinstance(request, dict):
        raise ConfigError("The request is not a JSON object.")
    names = {item.name for item in dataclasses.fields(SampleConfig)} - {"kept_prompts"}
    if unknown := sorted(set(request) - names - {"model"}):
        raise ConfigError(f"There is no setting {str(unknown[0])[:40]!r}. Settings: {', '.join(sorted(names))}.")
    table = {**vars(config), "num_samples": 1, **request}
    asked: SampleConfig = build_config(SampleConfig, "sample", {"sample": table})
    if len(asked.prompt) > MOST_PROMPT_CHARS:
        raise ConfigError(f"The prompt has {len(asked.prompt):,} characters; expected at most {MOST_PROMPT_CHARS:,}. "
                          "The model sees only its end, so remove the beginning.")
    for name, most in MOST.items():
        if getattr(asked, name) > most:
            raise ConfigError(f"{name} = {getattr(asked, name)}; expected at most {most}.")
    if len(asked.stop) > MOST_STOPS or any(len(text) > MOST_STOP_CHARS for text in asked.stop):
        raise ConfigError(f"stop: expected at most {MOST_STOPS} texts of at most {MOST_STOP_CHARS} characters.")
    return asked


def answer(loaded: Loaded, config: SampleConfig, root: Path) -> Iterator[dict[str, Any]]:
    """A line for each token: its text, its probability, and the most likely tokens, before any setting applies. Then
    one with figures and the trace of all of it."""
    def shown(token: int) -> str:
        return "" if token == loaded.tokenizer.eot_token else strip_control(loaded.tokenizer.decode([token]))

    began, steps = time.monotonic(), list[Step]()
    for step in write(loaded, config):
        steps.append(step._replace(logits=NOTHING))
        p = softmax(step.logits)
        likeliest = np.argpartition(p, -OTHERS)[-OTHERS:]
        likeliest = likeliest[np.argsort(-p[likeliest])]
        yield {"text": step.text, "token": shown(step.token), "p": round(float(p[step.token]), 5),
               "likeliest": [[shown(token), round(float(p[token]), 5)] for token in likeliest.tolist()]}
    yield {"done": len(steps), "seconds": round(time.monotonic() - began, 3), **trace(root, steps)}


def trace(root: Path, steps: list[Step]) -> dict[str, Any]:
    """A sentence on how much of an answer is copied; and its stretches, counted in lines that have text."""
    try:
        tracer = open_tracer(root)
        traced = tracer.trace([step.token for step in steps])
    except StageError as error:
        return {"trace": str(error), "stretches": []}
    lines = np.cumsum([0, *(step.text != "" for step in steps)]).tolist()
    stretches = [{"first": lines[one.first], "end": lines[one.end], "tokens": one.tokens, "text": one.text,
                  "sources": [source._asdict() for source in one.sources]} for one in traced]
    return {"trace": f"{share_of(traced, len(steps), 'them')}. {tracer.note()}".strip(), "stretches": stretches}
