"""Init from: what a new model starts from, if train.init_from names a folder for Hugging Face's transformers.

    config.json          the architecture: model.py's own (export.py hf), or NanoChat's, which is model.py's without
                         n-grams and matches
    model.safetensors    the weights, which are numbers and shapes and no code
    tokenizer.json       byte-level BPE, with which prepare makes the bins

torch is imported in the functions that need it: prepare reads the tokenizer without it.
"""

import json
from dataclasses import fields
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from miniature_memory.core.errors import StageError, cannot_read
from miniature_memory.core.interpreter import setup_command
from miniature_memory.core.paths import command, shown
from miniature_memory.training.bins import Bins
from miniature_memory.training.config import TrainConfig, shape_of
from miniature_memory.training.tokenizer import Tokenizer
from miniature_memory.training.tokenizer_json import from_json

if TYPE_CHECKING:
    from torch import Tensor

CONFIG_FILE, WEIGHTS_FILE, TOKENIZER_FILE = "config.json", "model.safetensors", "tokenizer.json"
MODEL_TYPE, OUR_PREFIX = "miniature_memory", "gpt."  # of an exported model, and of its weights' names
MOST_JSON_BYTES = 32 << 20  # tokenizer.json with 65,536 tokens has 4 MB
LARGEST_EPS = 1e-5  # of NanoChat's norms; model.py's have 1e-6


def read_tokenizer(folder: Path) -> Tokenizer:
    """Raises StageError if it is none that can be used here."""
    try:
        return from_json(_read_json(folder / TOKENIZER_FILE))
    except ValueError as error:
        raise _unusable(folder, "The tokenizer", str(error)) from None


def load_start(config: TrainConfig, root: Path, bins: Bins) -> dict[str, Any]:
    """The weights and the shape of a new model: "model" and "model_args" as a checkpoint has them.

    Raises StageError if they cannot be used, or if the bins have another tokenizer.
    """
    folder = Path(config.init_from)
    if (tokenizer := read_tokenizer(folder)).hash != bins.tokenizer_hash:
        option = f"'train.init_from={json.dumps(config.init_from)}'"
        raise StageError(f"The bins have the tokenizer {bins.tokenizer_hash[:12] or 'of another project'}, and the "
                         f"model in {shown(folder)} has {tokenizer.hash[:12]}.", "the same one.",
                         command("prepare.py", root, "--retokenize", f"--set {option}"))
    if find_spec("safetensors") is None:
        raise StageError("train.init_from needs the package safetensors, which is not installed.", "this package.",
                         f"{setup_command()} --with export")
    path = folder / WEIGHTS_FILE
    try:
        args = _model_args(_read_json(folder / CONFIG_FILE), tokenizer)
        if not path.is_file():
            raise ValueError(f"has no {WEIGHTS_FILE}")
        if path.stat().st_size > 1_000_000 * config.memory_limit_mb:
            raise ValueError(f"has a {WEIGHTS_FILE} larger than train.memory_limit_mb = {config.memory_limit_mb}")
        return {"model_args": args, "model": _read_weights(path, args)}
    except ValueError as error:
        raise _unusable(folder, "The model", str(error)) from None


def _unusable(folder: Path, what: str, why: str) -> StageError:
    """what: of the folder; why: a sentence without its subject."""
    found = f"{shown(folder)} is {_kind_of(folder)}." if folder.is_file() else f"{what} in {shown(folder)} {why}."
    return StageError(found, f"{CONFIG_FILE}, {WEIGHTS_FILE} and {TOKENIZER_FILE} in a folder that export.py hf wrote, "
                      "or of a NanoChatForCausalLM without softcap.",
                      "--set 'train.init_from=\"\"', which starts from random weights")


def _kind_of(path: Path) -> str:
    import torch

    from miniature_memory.training.checkpoint import DAMAGED

    try:
        names = torch.load(path, map_location="cpu", weights_only=True, mmap=True)["model"].keys()
    except (*DAMAGED, OSError):
        return "a file"
    if any(str(name).endswith("transformer.wpe.weight") for name in names):
        return "a nanoGPT checkpoint, with learned positions, LayerNorm and GELU, which model.py does not have"
    return "a checkpoint; export.py hf makes such a folder of one" if "embedding.table" in names else "a file"


def _read_json(path: Path) -> Any:
    """Raises ValueError if there is no such file, or no JSON in it, as what its folder has."""
    try:
        with open(path, "rb") as stream:
            data = stream.read(MOST_JSON_BYTES + 1)
        if len(data) > MOST_JSON_BYTES:
            raise ValueError
        return json.loads(data)
    except (FileNotFoundError, NotADirectoryError):
        raise ValueError(f"has no {path.name}") from None
    except OSError as error:
        raise cannot_read(path, error) from None
    except (ValueError, RecursionError):
        raise ValueError(f"has a {path.name} that is no JSON, or too large") from None


# --- the architecture ----------------------------------------------------------------------------


def _model_args(config: Any, tokenizer: Tokenizer) -> dict[str, Any]:
    """GPTConfig's fields for what config.json describes. Raises ValueError, with what was found, if model.py has no
    such architecture."""
    from model import GPTConfig

    if not isinstance(config, dict) or config.get("model_type") not in (MODEL_TYPE, "nanochat"):
        kind = config.get("model_type") if isinstance(config, dict) else None
        raise ValueError(f"has the model_type {str(kind)[:40]!r}, not {MODEL_TYPE!r} or 'nanochat'")
    names = {field.name for field in fields(GPTConfig)}
    args = _nanochat_args(config) if config["model_type"] == "nanochat" else {
        name: value for name, value in config.items() if name in names}
    if missing := names - args.keys():
        raise ValueError(f"has a {CONFIG_FILE} without {', '.join(sorted(missing))}")
    if args["vocab_size"] != tokenizer.vocab_size:
        raise ValueError(f"has a vocabulary of {str(args['vocab_size'])[:20]}, and its tokenizer one of "
                         f"{tokenizer.vocab_size}")
    try:
        shape_of(f"{args['n_layer']}x{args['n_embd']}")
    except ValueError as error:
        raise ValueError(f"cannot be trained: {error}") from None
    return args


def _nanochat_args(config: dict[str, Any]) -> dict[str, Any]:
    """What is missing in `config` is as in transformers' NanoChatConfig."""
    from model import ROTARY_BASE

    try:
        width, n_head = config["hidden_size"], config["num_attention_heads"]
        rope, eps = config.get("rope_parameters") or {}, config.get("rms_norm_eps", 0)
        parts = {  # name -> what it is, what model.py has
            "hidden_act": (config.get("hidden_act", "relu2"), "relu2"),
            "intermediate_size": (config["intermediate_size"], 4 * width),
            "num_key_value_heads": (config.get("num_key_value_heads") or n_head, n_head),
            "head_dim": (config.get("head_dim", width // n_head), width // n_head),
            "rope_type": (rope.get("rope_type", "default"), "default"),
            "rope_theta": (rope.get("rope_theta", ROTARY_BASE), ROTARY_BASE),
            "rms_norm_eps": (eps, min(eps, LARGEST_EPS)),
            "attention_bias": (config.get("attention_bias", False), False),
            "final_logit_softcapping": (config.get("final_logit_softcapping", 15.0), None),
            "tie_word_embeddings": (config.get("tie_word_embeddings", False), False)}
        args = {"block_size": config["max_position_embeddings"], "vocab_size": config["vocab_size"],
                "n_layer": config["num_hidden_layers"], "n_head": n_head, "n_embd": width}
    except (LookupError, TypeError, ArithmeticError, AttributeError) as error:
        raise ValueError(f"has a {CONFIG_FILE} that cannot be read ({type(error).__name__}: {str(error)[:60]})"
                         ) from None
    if other := [f"{name} = {str(is_)[:20]}" for name, (is_, ours) in parts.items() if is_ != ours]:
        raise ValueError(f"has {', '.join(other)}, which model.py does not have")
    return args | {"dropout": 0.0, "ngram_order": 1, "ngram_rows": 1, "match_order": 0, "qk_norm": True}


# --- the weights ---------------------------------------------------------------------------------


def _read_weights(path: Path, args: dict[str, Any]) -> dict[str, "Tensor"]:
    """float32 weights under model.py's names. Raises ValueError if they are not of this shape."""
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from miniature_memory.training.checkpoint import model_fault
    from model import GPT, GPTConfig

    try:
        found: dict[str, Tensor] = {name: value.float() for name, value in load_file(path).items()}
        if is_ours := all(name.startswith(OUR_PREFIX) for name in found):
            found = {name.removeprefix(OUR_PREFIX): value for name, value in found.items()}
        weights = found if is_ours else _from_nanochat(found, args["n_layer"], args["n_head"])
    except (SafetensorError, LookupError, TypeError, RuntimeError, ValueError) as error:
        raise ValueError(f"has a {WEIGHTS_FILE} of another architecture ({type(error).__name__}: {str(error)[:80]})"
                         ) from None
    if fault := model_fault({"model": weights, "model_args": args}, 4 * sum(one.numel() for one in weights.values())):
        raise ValueError(f"cannot be used: {fault}")
    with torch.device("meta"):
        wanted = {name: value.shape for name, value in GPT(GPTConfig(**args)).state_dict().items()}
    if {name: value.shape for name, value in weights.items()} != wanted:
        raise ValueError(f"has weights of other names or shapes in {WEIGHTS_FILE}")
    if not all(value.isfinite().all() for value in weights.values()):
        raise ValueError(f"has weights that are no finite numbers in {WEIGHTS_FILE}")
    return weights


def _from_nanochat(found: dict[str, "Tensor"], n_layer: int, n_head: int) -> dict[str, "Tensor"]:
    """NanoChat's weights under model.py's names. Raises KeyError, ValueError or RuntimeError if they are not its."""
    import torch

    def interleaved(weight: "Tensor") -> "Tensor":
        """A query's or key's rows for model.py's rotation, which turns channels 2i and 2i + 1 of a head; NanoChat turns
        i and i + head size / 2, the other way round."""
        return weight.view(n_head, 2, -1, weight.size(1)).flip(1).transpose(1, 2).reshape(weight.shape)

    weights = {"embedding.table": found.pop("model.embed_tokens.weight"), "head.weight": found.pop("lm_head.weight")}
    for i in range(n_layer):
        q, k, v, o = (found.pop(f"model.layers.{i}.self_attn.{name}_proj.weight") for name in "qkvo")
        weights |= {f"blocks.{i}.attention.qkv.weight": torch.cat((interleaved(q), interleaved(k), v)),
                    f"blocks.{i}.attention.proj.weight": o,
                    f"blocks.{i}.mlp.up.weight": found.pop(f"model.layers.{i}.mlp.fc1.weight"),
                    f"blocks.{i}.mlp.proj.weight": found.pop(f"model.layers.{i}.mlp.fc2.weight")}
    if found:
        raise ValueError(f"{min(found)[:60]} is no part of it")
    return weights
