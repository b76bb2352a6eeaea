"""clean.py --rebuild: the clean set made again from raw, with the settings as they are now."""

import json
import os
import shutil
import sqlite3
from dataclasses import asdict
from pathlib import Path
from typing import Any

from miniature_memory.cleaning.cleaner import Cleaner
from miniature_memory.cleaning.config import CleanConfig
from miniature_memory.core.progress import Progress
from miniature_memory.core.stage import StageStats
from miniature_memory.storage import documents, duplicates, rebuilt
from miniature_memory.storage.catalog import Catalog
from miniature_memory.storage.documents import DAMAGED, VALID
from miniature_memory.storage.files import QUERIES, read_list
from miniature_memory.storage.rejections import REJECTED
from miniature_memory.validation import documents as validation
from miniature_memory.validation.config import ValidateConfig

FOLDER = "data/rebuild"  # a root of its own while the clean set is rebuilt


def rebuild_clean(catalog: Catalog, config: CleanConfig, stats: StageStats) -> None:
    """Rebuild the clean set next to the old one, then swap it in. An interrupted rebuild continues where it stopped.

    What validate has passed is validated again if its settings have changed since. The next prepare rebuilds the bins,
    with the same tokenizer and split.
    """
    queries = read_list(catalog.root / QUERIES)
    settings = json.loads(json.dumps({**asdict(config), "queries": queries}))
    until = catalog.cursor("validate")
    revalidate = catalog.state("validate.config") != settings["validate"]
    with _begin(catalog.root / FOLDER, settings) as new:
        cleaner = Cleaner(new, config, stats, queries)
        duplicates.copy_forgotten(catalog, new)
        done = new.cursor("clean")
        rows = catalog.rows_after(done, "documents", until)
        for row in Progress(rows, "clean", catalog.count_after(done, "documents", until), unit=" documents"):
            rebuild_document(catalog, row, cleaner, config.validate if revalidate else None)
        stats.facts = cleaner.facts()
        with new.record():
            new.set_state("settings", None)  # what is swapped in cannot be continued
    is_same = _swap_in(catalog, config, until, revalidate)
    stats.facts["summary"] = (f"{stats.n_in:,} documents judged, {stats.n_out:,} kept: " + (
        "the clean set is the same as before" if is_same
        else "the clean set is rebuilt, and the next prepare rebuilds the bins"))


def _begin(folder: Path, settings: dict[str, object]) -> Catalog:
    """The catalog of an interrupted rebuild with these settings, or else a new one."""
    if (folder / "data/catalog.sqlite3").exists():
        new = Catalog(folder)
        if new.state("settings") == settings:
            return new
        new.close()
    if folder.exists():
        shutil.rmtree(folder)
    new = Catalog(folder)
    with new.record():
        new.set_state("settings", settings)
    return new


def rebuild_document(catalog: Catalog, row: sqlite3.Row, cleaner: Cleaner, validate: ValidateConfig | None) -> None:
    """One raw document into the new set; validated again if `validate` is given and it was not found damaged."""
    outcome, language = row["validation"], row["language"]
    document: dict[str, Any] = {}
    rejection = None
    if validate and outcome != DAMAGED:
        line = catalog.read(row["file"], row["offset"], row["length"])
        document, rejection, language = validation.validate(line, row["id"], validate)
        outcome = rejection.reason if rejection else VALID
    elif outcome == VALID:
        document = documents.read(catalog, row)
    judged = cleaner.judge(document, row["url"], language) if outcome == VALID else None
    new = cleaner.catalog
    with new.record():
        if rejection:
            new.reject("validate", rejection, row["id"], row["url"], str(document.get("text", "")))
        rebuilt.add_validated(new, row, outcome, language)
        if judged:
            cleaner.add(judged)
        new.advance("clean", row["seq"])


def _swap_in(catalog: Catalog, config: CleanConfig, until: int, revalidated: bool) -> bool:
    """Put the new set in the old one's place: files, rows and cursors, all or nothing. Returns whether it is equal."""
    folder = catalog.root / FOLDER
    _keep_other_rejections(catalog.root / REJECTED, folder / REJECTED,
                           {"clean", "validate"} if revalidated else {"clean"})
    with rebuilt.attached(catalog, folder):
        old, new = rebuilt.shards(catalog, "main"), rebuilt.shards(catalog)
        is_same = rebuilt.is_same(catalog, folder)
        with catalog.record():
            if not is_same:
                rebuilt.take_documents(catalog)
            rebuilt.take_what_was_learned(catalog)
            if revalidated:
                rebuilt.take_validations(catalog)
                catalog.set_state("validate.config", asdict(config.validate))
            catalog.advance("clean", until)
            if not is_same and catalog.cursor("prepare"):
                catalog.set_state("prepare.stale", True)
                catalog.advance("prepare", 0)
            catalog.swap({path: f"{FOLDER}/{path}" for path in [REJECTED, *([] if is_same else new)]})
        catalog.finish_swap()
    for path in set(old).difference(new):
        (catalog.root / path).unlink(missing_ok=True)
    shutil.rmtree(folder)
    return is_same


def _keep_other_rejections(old: Path, new: Path, repeated: set[str]) -> None:
    """Put what stages other than the `repeated` ones wrote into the old list before the new list."""
    joined = new.with_suffix(".joined")
    with open(joined, "wb") as out:
        if old.exists():
            with open(old, "rb") as lines:
                out.writelines(line for line in lines if _stage_of(line) not in repeated)
        if new.exists():
            with open(new, "rb") as lines:
                shutil.copyfileobj(lines, out)
        out.flush()
        os.fsync(out.fileno())
    joined.replace(new)


def _stage_of(line: bytes) -> object:
    try:
        return json.loads(line)["stage"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None  # damaged or edited by hand
