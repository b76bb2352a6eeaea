"""Student: a model that other programs run, taught by the release, in a folder for transformers, llama.cpp and Ollama.

The release has parts that no other program knows: n-grams, matches, QK-norm, counts. Without them model.py is the
architecture of Arcee's AFM, which transformers and llama.cpp both have.
"""

import argparse
import dataclasses
import math
import os
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from miniature_memory.core.config import build_config, read_tables
from miniature_memory.core.errors import ConfigError, StageError
from miniature_memory.core.interpreter import setup_command
from miniature_memory.core.paths import shown
from miniature_memory.exporting import card
from miniature_memory.exporting.aside import written_aside
from miniature_memory.storage.snapshot import CATALOG

DEFAULT_MINUTES = 5.0
MOST_COMPARED = 1 << 20  # tokens of the validation text, in which llama.cpp's words are compared with ours


def write_student(root: Path, target: Path, args: argparse.Namespace) -> str:
    """Teach a student, write it into the folder `target`; return in words how good it is."""
    started, minutes = time.monotonic(), DEFAULT_MINUTES if args.minutes is None else args.minutes
    if not 0 < minutes < math.inf:
        raise ConfigError(f"--minutes {minutes:g}: expected more than 0")
    if lacking := [name for name in ("safetensors", "gguf") if find_spec(name) is None]:
        raise StageError(f"A student needs the package {lacking[0]}, which is not installed.", "this package.",
                         f"{setup_command()} --with export")
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # as in train.py
    from miniature_memory.exporting.arcee import write_transformers
    from miniature_memory.exporting.llama_cpp import compare_words, write_gguf
    from miniature_memory.exporting.student_card import Facts, student_card
    from miniature_memory.exporting.teaching import Student
    from miniature_memory.sampling.generation import load_model
    from miniature_memory.training.bins import open_bins
    from miniature_memory.training.config import TrainConfig

    tables = read_tables(root, args.config, args.overrides)
    config: TrainConfig = dataclasses.replace(build_config(TrainConfig, "train", tables), max_minutes=minutes)
    loaded, bins = load_model(root), open_bins(root, 0)
    topic = card.topic_of(root, tables)
    with written_aside(target) as folder:
        student = Student(config, folder.parent / "student", bins, loaded.model, started)
        student.learn()
        if open_bins(root, 0).tokenizer_hash != bins.tokenizer_hash:
            raise StageError(f"The bins of {shown(root)} were rebuilt with a new tokenizer meanwhile.",
                             "the same tokenizer until the end.", "run the same command again.")
        bpb, model = student.evaluate()["val_bpb"], student.model.cpu()
        folder.mkdir()
        write_transformers(model, loaded.tokenizer, folder)
        words = ""
        if loaded.tokenizer.kind == "bpe":
            write_gguf(model, loaded.tokenizer, topic, folder)
            words = compare_words(loaded.tokenizer, np.fromfile(bins.val, "<u2", MOST_COMPARED))
        is_ours = (root / CATALOG).exists()  # the bins may be nanoGPT's
        texts = card.read_facts(root, topic) if is_ours else card.Facts(topic, is_masked=False)
        facts = Facts(texts, model.config, model.num_parameters(), minutes, bpb, loaded.val_bpb, words)
        (folder / "README.md").write_text(student_card(facts), encoding="utf-8")
    missing = "without model.gguf, since llama.cpp reads tokenizers of the kind bpe alone"
    return f"{facts.describe()}; {words or missing}; in {shown(target)}"
