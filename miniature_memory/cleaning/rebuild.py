"""The clean set rebuilt from raw."""

from __future__ import annotations

import filecmp
import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

from miniature_memory.cleaning.cleaner import Cleaner
from miniature_memory.cleaning.config import CleanConfig
from miniature_memory.core.progress import Progress
from miniature_memory.core.stage import StageStats
from miniature_memory.storage.catalog import Catalog
from miniature_memory.storage.documents import DAMAGED
from miniature_memory.storage.duplicates import MERGED
from miniature_memory.storage.rejections import REJECTED
from miniature_memory.validation import documents as validation
from miniature_memory.validation.config import ValidateConfig

REBUILD = "data/rebuild"  # a root of its own while the clean set is made anew


# --- the clean set made anew ---------------------------------------------------------------------


def rebuild_clean(catalog: Catalog, config: CleanConfig, report: StageStats) -> None:
    """Make the clean set anew from raw beside the old one, then swap it in. It goes on where it was interrupted.

    What validate has passed is judged anew if its settings have changed since. The next prepare makes the bins anew
    with the same tokenizer and split.
    """
    settings = json.loads(json.dumps(asdict(config)))
    until = catalog.cursor("validate")
    if _begun_with(catalog.root) not in (None, settings):
        shutil.rmtree(catalog.root / REBUILD)
    with Catalog(catalog.root / REBUILD) as anew:
        if not anew.cursor("clean"):
            with anew.record():
                anew.set_state("settings", settings)
        rejudge = catalog.state("validate.config") != settings["validate"]
        cleaner = Cleaner(anew, config, report)
        done = anew.cursor("clean")
        total = catalog.value("SELECT count(*) FROM documents WHERE seq > ? AND seq <= ?", [done, until])
        for row in Progress(catalog.rows_after(done, "documents", until), "clean", total, unit=" documents"):
            with anew.record():
                _clean_anew(catalog, row, cleaner, config.validate if rejudge else None)
                anew.advance("clean", row["seq"])
        report.facts = cleaner.facts()
    _finish_rebuild(catalog, config, until, rejudge, report)


def _begun_with(root: Path) -> Any:
    """The settings of a rebuild that was interrupted, None if there is none."""
    if not (root / REBUILD / "data/catalog.sqlite3").exists():
        return None
    with Catalog(root / REBUILD) as anew:
        return anew.state("settings")


def _clean_anew(catalog: Catalog, row: Any, cleaner: Cleaner, validate: ValidateConfig | None) -> None:
    """One raw document into the new set; judged anew if `validate` is given and it was not found damaged."""
    anew, verdict, language = cleaner.catalog, row["validation"], row["language"]
    rejudged = validate is not None and verdict != DAMAGED
    line = catalog.read(row["file"], row["offset"], row["length"]) if rejudged or verdict == "valid" else b""
    if validate and rejudged:
        document, refusal, language = validation.validate(line, row["id"], validate)
        verdict = refusal.reason if refusal else "valid"
        if refusal:
            anew.reject("validate", refusal, row["id"], row["url"], str(document.get("text", "")))
    anew.execute("INSERT INTO documents (seq, id, url, file, offset, length, validation, language) "
                 "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                 [*(row[key] for key in ("seq", "id", "url", "file", "offset", "length")), verdict, language])
    if verdict == "valid":
        cleaner.add(json.loads(line), row["url"], language)


def _finish_rebuild(catalog: Catalog, config: CleanConfig, until: int, rejudged: bool, report: StageStats) -> None:
    """Put the new set in the old one's place: files, rows and cursors, all of it or nothing."""
    folder = catalog.root / REBUILD
    _keep_other_refusals(catalog, folder, {"clean", "validate"} if rejudged else {"clean"})
    catalog.execute("ATTACH ? AS anew", [str(folder / "data/catalog.sqlite3")])
    new = [row["path"] for row in catalog.execute("SELECT path FROM anew.files WHERE path LIKE 'data/clean/%'")]
    old = [row["path"] for row in catalog.execute("SELECT path FROM files WHERE path LIKE 'data/clean/%' "
                                                  "AND NOT dropped")]
    count = "SELECT count(*) FROM {}clean_documents"  # a row may have been set aside whose bytes still lie there
    same = (old == new and catalog.value(count.format("")) == catalog.value(count.format("anew."))
            and all(filecmp.cmp(catalog.root / path, folder / path, shallow=False) for path in new))
    with catalog.record():
        if not same:
            catalog.execute("CREATE TEMP TABLE split_of_id AS SELECT id, split FROM clean_documents")
            catalog.execute("CREATE UNIQUE INDEX temp.split_of_id_id ON split_of_id (id)")
            catalog.execute("DELETE FROM clean_documents")
            catalog.execute(
                "INSERT INTO clean_documents (seq, id, file, offset, length, text_bytes, signature, split) "
                "SELECT seq, id, file, offset, length, text_bytes, signature, "
                "coalesce((SELECT split FROM split_of_id WHERE split_of_id.id = new.id), '') "
                "FROM anew.clean_documents AS new")
            catalog.execute("UPDATE files SET dropped = 1, length = 0 WHERE path LIKE 'data/clean/%'")
            catalog.execute("DELETE FROM extents WHERE path LIKE 'data/clean/%'")
        for table in ("duplicate_keys", "site_lines"):
            catalog.execute(f"DELETE FROM {table}")
            catalog.execute(f"INSERT INTO {table} SELECT * FROM anew.{table}")
        catalog.execute("INSERT OR REPLACE INTO state SELECT key, value FROM anew.state "
                        "WHERE key = ?", [MERGED])
        if rejudged:
            catalog.execute("UPDATE documents SET validation = new.validation, language = new.language "
                            "FROM anew.documents AS new WHERE new.seq = documents.seq")
            catalog.set_state("validate.config", asdict(config.validate))
        catalog.advance("clean", until)
        if not same and catalog.cursor("prepare"):
            catalog.set_state("prepare.stale", True)
            catalog.advance("prepare", 0)
        catalog.swap({path: f"{REBUILD}/{path}" for path in [REJECTED, *([] if same else new)]})
    catalog.finish_swap()
    catalog.execute("DETACH anew")
    for path in set(old).difference(new):
        (catalog.root / path).unlink(missing_ok=True)
    shutil.rmtree(folder)
    report.facts["summary"] = (f"{report.n_in:,} documents judged, {report.n_out:,} kept: the clean set "
                               + ("is what it was" if same else "was made anew; the next prepare makes the bins anew"))


def _keep_other_refusals(catalog: Catalog, folder: Path, redone: set[str]) -> None:
    """Add to the new list of the refused what other stages wrote into the old one."""
    old = catalog.root / REJECTED
    with open(folder / "data/rejected.all", "wb") as out:
        for path, keep_all in ((old, False), (folder / REJECTED, True)):
            for line in open(path, "rb") if path.exists() else ():  # noqa: SIM115
                if keep_all or not any(f'"stage": "{stage}"'.encode() in line[:4000] for stage in redone):
                    out.write(line)
    (folder / "data/rejected.all").replace(folder / REJECTED)
