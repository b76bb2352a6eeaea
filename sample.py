"""Sample: text that the trained model makes up.

Reads   checkpoints/release.pt (or ckpt.pt, if there is no release yet), data/tokenizer/
Alone   .venv/bin/python sample.py --prompt "Once upon a time"
"""

from __future__ import annotations

import dataclasses
import logging
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

import tokenizer as tokenizers
from checkpoint import State, load_state
from model import GPT, GPTConfig
from pipeline import (
    ArgumentParser,
    StageError,
    build_config,
    catch_signals,
    common_arguments,
    guarded,
    read_tables,
    strip_control,
)

logger = logging.getLogger(__name__)

SEPARATOR = "-" * 40


@dataclass(frozen=True)
class SampleConfig:
    prompt: str = ""
    num_samples: int = 3
    max_new_tokens: int = 200
    temperature: float = 0.8
    top_k: int = 50
    seed: int = 1337

    def __post_init__(self) -> None:
        for name in ("num_samples", "max_new_tokens"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} = {getattr(self, name)}; expected 1 or more")
        for name in ("temperature", "top_k", "seed"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} = {getattr(self, name)}; expected 0 or more")


# --- sampling ------------------------------------------------------------------------------------


def choose_next(logits: Tensor, temperature: float, top_k: int, generator: torch.Generator) -> Tensor:
    """The next token of each row, int64 (B, 1), from logits (B, V).

    Temperature 0 takes the likeliest; top_k 0 lets every token take part.
    """
    if temperature == 0:
        return logits.argmax(-1, keepdim=True)
    if 0 < top_k < logits.size(-1):
        least = logits.topk(top_k).values[:, -1:]
        logits = logits.masked_fill(logits < least, -torch.inf)
    return torch.multinomial(torch.softmax(logits / temperature, dim=-1), 1, generator=generator)


@torch.no_grad()
def generate(model: GPT, prompt: list[int], config: SampleConfig, eot_token: int) -> list[list[int]]:
    """`num_samples` continuations of `prompt`, side by side, each up to its end-of-text token.

    The whole context is computed again for every token: at this size that takes a few seconds.
    """
    generator = torch.Generator().manual_seed(config.seed)
    idx = torch.tensor([prompt] * config.num_samples)  # (B, T)
    has_ended = torch.zeros(config.num_samples, 1, dtype=torch.bool)
    for _ in range(config.max_new_tokens):
        logits = model.head(model.stream(idx[:, -model.config.block_size:])[:, -1])  # (B, V)
        token = choose_next(logits, config.temperature, config.top_k, generator)
        token[has_ended] = eot_token
        has_ended |= token == eot_token
        if has_ended.all():
            break
        idx = torch.cat((idx, token), dim=1)
    continuations = idx[:, len(prompt):].tolist()
    return [ids[:ids.index(eot_token)] if eot_token in ids else ids for ids in continuations]


# --- files ---------------------------------------------------------------------------------------


def load_model(root: Path) -> tuple[GPT, tokenizers.Tokenizer]:
    """The released model and its tokenizer. Raises StageError if there is none, or they do not fit together."""
    folder = root / "checkpoints"
    state: State | None = load_state(folder / "release.pt")
    if state is None and (state := load_state(folder / "ckpt.pt")):
        logger.warning("there is no release.pt yet; this is ckpt.pt, in the midst of training")
    if state is None:
        raise StageError(f"There is no model in {folder}.", "release.pt.", "run python3 run.py --only train first.")
    tokenizer = tokenizers.load(root / "data/tokenizer")
    if state["tokenizer_hash"] != tokenizer.hash:
        raise StageError(f"The model in {folder} was trained with another tokenizer than that in data/tokenizer.",
                         "one of a kind.", "run python3 run.py --only train, then this again.")
    model = GPT(GPTConfig(**state["model_args"]))
    model.load_state_dict(state["model"])
    return model, tokenizer


def sample(config: SampleConfig, root: Path) -> list[str]:
    """Texts, each beginning with the prompt."""
    model, tokenizer = load_model(root)
    prompt = [tokenizer.eot_token, *tokenizer.encode(config.prompt)]  # a document begins after the end of another
    return [config.prompt + tokenizer.decode(ids) for ids in generate(model, prompt, config, tokenizer.eot_token)]


def main(argv: list[str] | None = None) -> int:
    parser = ArgumentParser(prog="sample.py", description=__doc__)
    common_arguments(parser)
    parser.add_argument("--prompt", metavar="TEXT", help="what the samples begin with")

    def work() -> int:
        args = parser.parse_args(argv)
        catch_signals()
        logging.basicConfig(level=logging.ERROR if args.quiet else logging.INFO, format="%(message)s", force=True)
        config = build_config(SampleConfig, "sample", read_tables(args.root, args.config, args.overrides))
        if args.prompt is not None:
            config = dataclasses.replace(config, prompt=args.prompt)
        torch.set_num_threads(1)  # more take longer: they wait for each other at every small step
        for text in sample(config, args.root):
            print(strip_control(text).strip(), SEPARATOR, sep="\n", flush=True)
        return 0

    return guarded("sample.py", work)


if __name__ == "__main__":
    raise SystemExit(main())
