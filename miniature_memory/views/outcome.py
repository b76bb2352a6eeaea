"""Outcome: what a run has made, and where it is, as its last lines show it."""

import os
import shlex
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from miniature_memory.core.errors import StageError
from miniature_memory.core.paths import command, shown
from miniature_memory.core.stage import StageStats
from miniature_memory.core.text import counted
from miniature_memory.crawl.outcomes import reason_in_words
from miniature_memory.storage import clean_documents, documents, pages, shards, urls
from miniature_memory.storage.catalog import Catalog


def rows(root: Path, facts: dict[str, Any], again: str, searches: bool) -> str:
    """facts: of train's StageStats; again: the command that continues; searches: not from one's own texts alone."""
    with Catalog(root, read_only=True) as catalog:
        n_documents = clean_documents.count(catalog)
    where, bits = shown(root), facts.get("val_bpb")
    data = os.path.join(where, "data")
    lines = {"validation": f"{bits:.3f} bits per byte after {counted(facts['iter_num'], 'iteration')}" if bits else "",
             "dataset": f"{data} ({n_documents:,} documents)",
             "model": os.path.join(where, "checkpoints", "release.pt"),
             "report": os.path.join(data, "report.html"),
             "history": f"{os.path.join(data, 'runs.jsonl')}; messages in {os.path.join(data, 'run.log')}",
             "more": f"{again} continues from here; with --status it shows the progress"
                     + "; with --texts FILE... it takes in new texts" * (not searches)}
    return "\n".join(f"{name:<12}{value}" for name, value in lines.items() if value)


def is_empty(root: Path) -> bool:
    """Whether nothing was ever collected."""
    with Catalog(root, read_only=True) as catalog:
        return not pages.count(catalog) and not documents.count(catalog)


def check_shard(root: Path) -> None:
    """Raise StageError if this root is a shard, of whose hosts no page could be fetched."""
    with Catalog(root, read_only=True) as catalog:
        shard, n = shards.of(catalog), urls.count_foreign(catalog)
    if shard:
        raise StageError(f"No page of shard {shard} could be fetched and the dataset is empty (URLs found for other "
                         f"shards: {n:,}).", "at least one page.",
                         f"take what the others found: {command('run.py', root, '--handover FILE...')}; "
                         f"{command('run.py', root, '--doctor')} finds other causes.")


def check_kept(root: Path, stats: Mapping[str, StageStats], texts: bool) -> None:
    """Raise StageError, which says why, if clean has run and no document of this root was ever kept.

    stats: of this run's stages. texts: it learns from one's own texts.
    """
    if "clean" not in stats:
        return
    with Catalog(root, read_only=True) as catalog:
        if clean_documents.count(catalog) or not (texts or documents.count(catalog)):
            return
        reasons = Counter(documents.validations(catalog))  # of earlier runs, too
    n_valid = reasons.pop(documents.VALID, 0)
    reasons.update(stats["clean"].dropped or {"rejected_by_the_quality_rules": n_valid})
    if texts:
        reasons.update(stats["extract"].dropped)
        del reasons["duplicate_text"]  # of what was rejected before
    why = ", ".join(f"{n:,} {reason_in_words(reason)}" for reason, n in reasons.most_common() if n)
    fix = (f"see how far each is from the threshold with {command('clean.py', root, '--histograms')}, or name other "
           f"pages in {shown(root / 'config/seeds.txt')}" if n_valid else
           f"name other pages in {shown(root / 'config/seeds.txt')}")
    if reasons["damaged"] == reasons.total() > 0:
        data = shlex.quote(shown(root / "data"))
        fix = f"put {data} back from a copy, or start again: mv {data} {data}.damaged"
    if texts:
        fix = f"name other files or folders: {command('run.py', root, '--texts FILE...')}"
    if reasons["wrong_language"]:
        fix = (f"set languages = [\"*\"] under [validate] in {shown(root / 'config/default.toml')}, then "
               f"{command('clean.py', root, '--rebuild')}; {command('run.py', root)}")
    raise StageError(f"There is no text to train on ({why or 'none was found'}).",
                     "texts of the kinds that docs/commands.md lists." if texts else "one document that is kept.", fix)
