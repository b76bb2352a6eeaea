"""Consistency: do tokenizer, bins and cursors agree with the catalog? And are index and checkpoints whole?"""

import errno
import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from miniature_memory.core.errors import StageError
from miniature_memory.core.paths import command
from miniature_memory.storage import documents, full_text, growth, records
from miniature_memory.storage.catalog import Catalog
from miniature_memory.storage.files import zip_fault
from miniature_memory.training import tokenizer as tokenizers
from miniature_memory.training.config import MAX_VOCAB_SIZE
from miniature_memory.validation import repairs
from miniature_memory.validation.checksums import Checksums
from miniature_memory.validation.repairs import BINS, Problem, prepare_command, rebuild_command, repair_command

BINS_JSON = "data/bins.json"


def tokenizer_and_bins(catalog: Catalog, checksums: Checksums) -> Iterator[Problem]:
    vocab_size = MAX_VOCAB_SIZE
    if growth.last_tokens(catalog) or any(map(catalog.length, BINS)):
        try:
            tokenizer = tokenizers.load(catalog.root / "data/tokenizer")
        except StageError as error:
            yield Problem(error.found, error.fix, None)
        else:
            vocab_size = tokenizer.vocab_size
            yield from _tokenizer_changes(catalog, checksums, tokenizer.hash)
    faults = [fault for path in BINS if (fault := _bin_fault(catalog, checksums, path, vocab_size))]
    for fault in faults:
        yield Problem(fault, bins_fix(catalog), partial(repairs.set_bins_aside, catalog))
    if not faults:
        yield from _growth(catalog)


def bins_fix(catalog: Catalog) -> str:
    return (f"run {repair_command(catalog.root)}, which sets both bins aside, then {prepare_command(catalog.root)}, "
            "which rebuilds them from the clean documents.")


def _tokenizer_changes(catalog: Catalog, checksums: Checksums, tokenizer_hash: str) -> Iterator[Problem]:
    repair = repair_command(catalog.root)
    changed = list(checksums.suspects("data/tokenizer/"))
    for path, span in changed:
        yield Problem(f"{path}, bytes {span.offset} to {span.end}: changed since they were written.",
                      f"put the file back from a copy, or run {repair}, which accepts it as it is, since it can be "
                      "loaded.", partial(repairs.set_aside, catalog, path, span.offset, span.end))
    try:
        found = json.loads((catalog.root / BINS_JSON).read_text(encoding="utf-8"))["tokenizer_hash"]
    except FileNotFoundError:
        return  # it is derived: prepare writes it
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        found = ""
    if found == tokenizer_hash:
        return
    message = f"{BINS_JSON} does not name the tokenizer in data/tokenizer/."
    if changed:
        yield Problem(message, "put back the tokenizer that the bins were made with.", None)
    else:
        yield Problem(message, f"run {repair}, which sets it aside, then {prepare_command(catalog.root)}, which writes "
                      "it again.", partial(repairs.rename_aside, catalog.root, BINS_JSON))


def _bin_fault(catalog: Catalog, checksums: Checksums, path: str, vocab_size: int) -> str:
    """What is wrong with a bin, in a sentence; or ""."""
    length = catalog.length(path)
    if checksums.there.get(path, 0) < length:
        return f"{path} holds {checksums.there[path]} bytes; {length} were committed."
    if length % 2:
        return f"{path} has an odd number of bytes ({length}); a token takes two."
    if span := next((span for span in checksums.spans.get(path, []) if span.suspect), None):
        return f"{path}, bytes {span.offset} to {span.end}: changed since they were written."
    bad = tokenizers.first_bad_id(catalog.root / path, length // 2, vocab_size) if length else None
    return f"{path}, byte {2 * bad.place}: a token id that is not below {vocab_size}." if bad else ""


def _growth(catalog: Catalog) -> Iterator[Problem]:
    noted = growth.last_tokens(catalog) or (0, 0)
    train, val = (catalog.length(path) // 2 for path in BINS)
    is_stale = catalog.state("prepare.stale", False) and not (train or val)
    if noted == (train, val) or is_stale:
        return
    found = f"The bins hold {train} and {val} tokens; after the last growth step they held {noted[0]} and {noted[1]}."
    if train < noted[0] or val < noted[1]:
        yield Problem(found, bins_fix(catalog), partial(repairs.set_bins_aside, catalog))
    elif not catalog.count_new("prepare", "clean_documents"):  # else a run was stopped, and continues by itself
        yield Problem(found, f"run {repair_command(catalog.root)}, which adds the growth step.",
                      partial(repairs.add_growth_step, catalog, train, val))


def checkpoints(root: Path) -> Iterator[Problem]:
    """Files of models whose own checksums are wrong. One that is set aside is as good as missing: training continues
    from the other checkpoint, or writes a new one."""
    for path in sorted((root / "checkpoints").glob("**/*.pt")):
        name = path.relative_to(root).as_posix()
        try:
            fault = zip_fault(path)
        except OSError as error:
            if error.errno != errno.EIO:
                raise  # it is closed, and not damaged
            fault = str(error.strerror)
        if fault:
            train = "" if path.parent.name == "history" else command("run.py", root, "--only train")
            yield Problem(f"{name} is damaged ({fault}).", f"run {repair_command(root)}, which sets it aside"
                          f"{f'; {train} then replaces it' if train else ''}.",
                          partial(repairs.rename_aside, root, name))


def index(catalog: Catalog) -> Iterator[Problem]:
    """The full-text index, which is derived: what is wrong with it is fixed by rebuilding it."""
    if fault := full_text.damage(catalog.root):
        yield Problem(f"{full_text.INDEX} is damaged ({fault}).",
                      f"run {full_text.index_command(catalog.root)}, which rebuilds it; so does "
                      f"{repair_command(catalog.root)}.", partial(full_text.grow, catalog, True))


def cursors(catalog: Catalog) -> Iterator[Problem]:
    repair = repair_command(catalog.root)
    for stage, table in records.READS.items():
        at, last = catalog.cursor(stage), records.last(catalog, table)
        if at > last:
            yield Problem(f"The cursor of {stage} is at {at}, but the last row of {table} is {last}: what is added "
                          "next would be skipped.", f"run {repair}, which sets the cursor back to {last}.",
                          partial(repairs.set_cursor, catalog, stage, last))
    clean, validate = catalog.cursor("clean"), catalog.cursor("validate")
    if clean > validate:
        found = f"The cursor of clean is at {clean}, beyond that of validate at {validate}."
        if documents.is_any_kept_after(catalog, validate):
            yield Problem(found, f"run {rebuild_command(catalog.root)}: clean has kept documents that were not "
                          "validated.", None)
        else:
            yield Problem(found, f"run {repair}, which sets it back to {validate}.",
                          partial(repairs.set_cursor, catalog, "clean", validate))
