"""Forms in which a root is exported or restored. A new one is a line in FORMS."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from miniature_memory.core.paths import shown
from miniature_memory.exporting.bundle import write_bundle
from miniature_memory.exporting.dataset import write_dataset
from miniature_memory.exporting.huggingface import write_huggingface
from miniature_memory.exporting.restore import restore_bundle
from miniature_memory.exporting.student import DEFAULT_MINUTES, write_student
from miniature_memory.storage.disk import in_words


class Form(NamedTuple):
    """What `python3 export.py NAME TARGET` does.

    run: (root, target, args) -> one line that says what was done. It imports in its body what not every root needs.
    """

    run: Callable[[Path, Path, argparse.Namespace], str]
    target: str  # what TARGET is
    help: str
    options: tuple[str, ...] = ()  # those of OPTIONS that it takes
    begins_topic: bool = False  # --topic may name one that is not there yet
    reads_settings: bool = True  # which --config and --set may change


def write_html(root: Path, target: Path, args: argparse.Namespace) -> str:
    from miniature_memory.exporting.page import write_page  # takes torch along

    n_bytes = write_page(root, target, args.config, args.overrides)
    return f"the model in {shown(target)}, {in_words(n_bytes)}; opens in any browser, also offline"


OPTIONS = {"--rejected": "also the rejected documents, each with its reason",
           "--json-lines": "JSON lines instead of Parquet, without a further package",
           "--minutes": f"how long the student learns (default: {DEFAULT_MINUTES:g})"}
NUMBERS = ("--minutes",)  # the options that take one
FORMS = {
    "dataset": Form(write_dataset, "DIR", "the clean documents as a dataset", ("--rejected", "--json-lines")),
    "html": Form(write_html, "FILE", "the model in one page, which generates text in any browser (.html)"),
    "hf": Form(write_huggingface, "DIR", "the released model for Hugging Face's transformers"),
    "student": Form(write_student, "DIR", "a model for transformers, llama.cpp (GGUF) and Ollama, taught by the "
                    "release", ("--minutes",)),
    "bundle": Form(write_bundle, "FILE", "everything in one file, to move or keep (.tar.zst or .tar.gz)",
                   reads_settings=False),
    "restore": Form(restore_bundle, "FILE", "what a bundle holds, in a new root", begins_topic=True,
                    reads_settings=False),
}
INSTEAD = {"gguf": "student, which writes model.gguf", "ollama": "student", "llama.cpp": "student",
           "huggingface": "hf", "transformers": "hf", "safetensors": "hf", "parquet": "dataset",
           "jsonl": "dataset and --json-lines", "backup": "bundle"}  # what people look for -> where it is
