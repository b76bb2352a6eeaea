"""Outcome: what a run has made, and where it is, as its last lines show it."""

import os
from pathlib import Path
from typing import Any

from miniature_memory.core.paths import shown
from miniature_memory.storage import clean_documents
from miniature_memory.storage.catalog import Catalog


def rows(root: Path, facts: dict[str, Any], again: str) -> str:
    """facts: of train's StageStats; again: the command that continues."""
    with Catalog(root, read_only=True) as catalog:
        n_documents = clean_documents.count(catalog)
    where, bits = shown(root), facts.get("val_bpb")
    data = os.path.join(where, "data")
    lines = {"validation": f"{bits:.3f} bits per byte after {facts['iter_num']:,} iterations" if bits else "",
             "dataset": f"{data} ({n_documents:,} documents)",
             "model": os.path.join(where, "checkpoints", "release.pt"),
             "report": os.path.join(data, "report.html"),
             "history": f"{os.path.join(data, 'runs.jsonl')}; messages in {os.path.join(data, 'run.log')}",
             "more": f"{again} continues from here; with --status it shows the progress"}
    return "\n".join(f"{name:<12}{value}" for name, value in lines.items() if value)
