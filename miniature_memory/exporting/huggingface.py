"""Hugging Face: the released model in a folder that transformers loads, with its tokenizer and a card.

The weights, the tokenizer and model.py itself, so that there is one architecture. What stays behind are the counts that
the release is mixed with: they need the training text next to them.
"""

import argparse
import json
import shutil
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path

from miniature_memory.core.config import read_tables
from miniature_memory.core.errors import StageError
from miniature_memory.core.interpreter import setup_command
from miniature_memory.core.paths import PROJECT, command, shown
from miniature_memory.core.text import counted, rounded
from miniature_memory.exporting.aside import check_room, written_aside
from miniature_memory.exporting.card import read_facts, topic_of
from miniature_memory.exporting.model_card import model_card
from miniature_memory.exporting.tokenizer_json import write_tokenizer
from miniature_memory.storage.disk import in_words
from miniature_memory.training import tokenizer as tokenizers
from miniature_memory.training.init_from import CONFIG_FILE, MODEL_TYPE, OUR_PREFIX, WEIGHTS_FILE
from miniature_memory.training.tokenizer import Tokenizer

MODELING = "modeling_miniature_memory"
NAME = "MiniatureMemory"


def write_huggingface(root: Path, target: Path, args: argparse.Namespace) -> str:
    """Write the folder `target`; return in words what was written."""
    if find_spec("safetensors") is None:
        raise StageError("A Hugging Face folder needs the package safetensors, which is not installed.",
                         "this package.", f"{setup_command()} --with export")
    from safetensors.torch import save

    from miniature_memory.training.checkpoint import State, load_state

    state: State | None = load_state(root / "checkpoints/release.pt", "scores", "iter_num", "tokens_seen")
    if state is None:
        raise StageError(f"There is no release in {shown(root / 'checkpoints')}.", "release.pt.",
                         f"train one with {command('run.py', root)}")
    tokenizer = tokenizers.load(root / "data/tokenizer")
    if state["tokenizer_hash"] != tokenizer.hash:
        raise StageError("The release was trained with an earlier tokenizer.",
                         f"the one in {shown(root / 'data/tokenizer')}.",
                         f"train one for it with {command('run.py', root, '--only train')}")
    topic = topic_of(root, read_tables(root, args.config, args.overrides))
    weights = {OUR_PREFIX + name: value.float().contiguous() for name, value in state["model"].items()}
    with written_aside(target) as folder:
        check_room(folder, sum(one.nbytes for one in weights.values()))
        folder.mkdir()
        (folder / WEIGHTS_FILE).write_bytes(save(weights, {"format": "pt"}))  # save_file() ignores the umask
        for name, content in ((CONFIG_FILE, config_json(state["model_args"], tokenizer)),
                              ("generation_config.json", generation_json(tokenizer))):
            (folder / name).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        write_tokenizer(tokenizer, folder)
        shutil.copyfile(PROJECT / "model.py", folder / "model.py")
        shutil.copyfile(Path(__file__).with_name(f"{MODELING}.py"), folder / f"{MODELING}.py")
        n_parameters = sum(value.numel() for value in weights.values())
        card = model_card(state, tokenizer, read_facts(root, topic), n_parameters)
        (folder / "README.md").write_text(card, encoding="utf-8")
        n_bytes = sum(path.stat().st_size for path in folder.iterdir())
    return (f"{rounded(n_parameters)} parameters after {counted(state['iter_num'], 'iteration')}, in {shown(target)} "
            f"({in_words(n_bytes)})")


def config_json(model_args: dict[str, object], tokenizer: Tokenizer) -> dict[str, object]:
    """GPTConfig's fields, and what transformers wants to know besides."""
    return {"architectures": [f"{NAME}ForCausalLM"], "model_type": MODEL_TYPE,
            "auto_map": {"AutoConfig": f"{MODELING}.{NAME}Config",
                         "AutoModelForCausalLM": f"{MODELING}.{NAME}ForCausalLM"},
            **model_args, "bos_token_id": tokenizer.eot_token, "eos_token_id": tokenizer.eot_token,
            "dtype": "float32"}


def generation_json(tokenizer: Tokenizer) -> dict[str, object]:
    """How sample.py samples by default."""
    from miniature_memory.sampling.config import SampleConfig

    names = ("max_new_tokens", "temperature", "top_k", "top_p")
    defaults = asdict(SampleConfig())
    return {"do_sample": True, **{name: defaults[name] for name in names}, "bos_token_id": tokenizer.eot_token,
            "eos_token_id": tokenizer.eot_token, "pad_token_id": tokenizer.eot_token, "use_cache": False}

