"""Prepare: clean documents in, token bins out.

Reads   data/clean/*.jsonl    id, text, metadata
Writes  data/tokenizer/       ranks.tiktoken, meta.json
        data/train.bin, val.bin   headerless little-endian uint16 ids, the end-of-text token after each document
        data/bins.json        what is in them; derived, for readers
Alone   .venv/bin/python prepare.py --set prepare.vocab_size=1024
Anew    .venv/bin/python prepare.py --retokenize

While there is less than `freeze_bytes` of text, tokenizer and bins are made anew each time; from then on the tokenizer
is frozen and the bins only grow. When the clean documents were made anew (clean.py --rebuild) or the bins were damaged
(validate.py --repair), the setting prepare.stale says so, and the bins are made anew with the same frozen tokenizer.

Text of another kind than that the tokenizer learned from takes more tokens; when that drift is large, the stage says
so. --retokenize then trains another tokenizer on the text of today and makes the bins anew beside the old; both are
swapped in together, each document stays in its split, and bins.json names the tokenizers before in retokenized_from.
"""

from __future__ import annotations

import logging
from pathlib import Path

from miniature_memory.core.errors import StageError
from miniature_memory.core.stage import StageStats, stage_main
from miniature_memory.storage.catalog import Catalog
from miniature_memory.training import tokenizer as tokenizers
from miniature_memory.training.config import PrepareConfig
from miniature_memory.training.growth import (
    extend,
    held,
    measure_drift,
    rebuild,
    record_growth,
    remember_frozen,
    write_bins_json,
)
from miniature_memory.training.tokenizer import RETOKENIZE, Tokenizer

logger = logging.getLogger(__name__)

def load_tokenizer(catalog: Catalog, retokenize: bool) -> Tokenizer | None:
    """The tokenizer of the bins; None before the first, or when it is lost and another one will take its place."""
    folder = catalog.root / "data/tokenizer"
    made_before = catalog.cursor("prepare") or catalog.value("SELECT 1 FROM growth")
    if not made_before and not (folder / tokenizers.META_FILE).exists():
        return None
    try:
        tokenizer = tokenizers.load(folder)
    except StageError as error:
        if not retokenize:
            raise
        logger.info("%s A new one is made now.", error)
        return None
    with catalog.record():
        remember_frozen(catalog, tokenizer)  # of a dataset of an earlier release
    return tokenizer


def can_retokenize(tokenizer: Tokenizer, config: PrepareConfig) -> bool:
    """Whether another tokenizer may come of it; says what else there is to know."""
    if tokenizer.kind == config.tokenizer not in tokenizers.TRAINED_KINDS:
        logger.info("the tokenizer stays: %s is the same whatever the text; another kind can be had with "
                    "prepare.tokenizer", tokenizer.kind)
        return False
    if tokenizer.provisional:
        logger.info("the tokenizer is provisional: up to %d bytes of text (prepare.freeze_bytes) it is made anew with "
                    "every new document, also without --retokenize", config.freeze_bytes)
    return True


def update(catalog: Catalog, config: PrepareConfig, report: StageStats, tokenizer: Tokenizer | None) -> Tokenizer:
    """Bring the bins up to date, anew or by appending; return their tokenizer. Without one, it is made anew too."""
    stale = catalog.state("prepare.stale", False)
    if tokenizer is None or (tokenizer.provisional and (report.n_in or stale)):
        return rebuild(catalog, config, report)
    if stale:
        logger.info("the bins are made anew, with the tokenizer that they had")
        return rebuild(catalog, config, report, tokenizer)
    if report.n_in:
        if tokenizer.kind != config.tokenizer:
            logger.info("the tokenizer stays %s: it is frozen since the bins were made with it; to change it: %s",
                        tokenizer.kind, RETOKENIZE)
        extend(catalog, tokenizer, report.n_in, report)
    return tokenizer


def warn_of_drift(drift: float, config: PrepareConfig) -> None:
    if drift > config.drift_frac:
        logger.warning("the newest text gives %.0f %% fewer bytes a token than the text the tokenizer was made for; "
                       "expected: at most %.0f %% fewer (prepare.drift_frac), else the model sees less of it at a time "
                       "and learns it more slowly; to fix it: %s, after which the model keeps its layers and learns "
                       "its embeddings and logits afresh", 100 * drift, 100 * config.drift_frac, RETOKENIZE)


def run(config: PrepareConfig, root: Path, retokenize: bool = False) -> StageStats:
    report = StageStats("prepare")
    with Catalog(root) as catalog:
        report.n_in = report.n_out = catalog.count_new("prepare", "clean_documents")
        if not catalog.value("SELECT 1 FROM clean_documents LIMIT 1"):
            return report
        old, tokenizer = held(catalog), load_tokenizer(catalog, retokenize)
        retokenize = retokenize and (tokenizer is None or can_retokenize(tokenizer, config))
        tokenizer = update(catalog, config, report, None if retokenize else tokenizer)
        record_growth(catalog)
        drift = measure_drift(catalog, tokenizer)
        catalog.commit()
        growth = write_bins_json(catalog, tokenizer)
        train_tokens, val_tokens = growth[-1]["train_tokens"], growth[-1]["val_tokens"]
        now = held(catalog)
        report.facts = {"documents": now.documents, "train_tokens": train_tokens, "val_tokens": val_tokens,
                        "vocab_size": tokenizer.vocab_size, "provisional": tokenizer.provisional,
                        "bytes_per_token": round(now.text_bytes / now.tokens, 3)}
        if drift is not None:
            report.facts["drift_frac"] = round(drift, 3)
            warn_of_drift(drift, config)
        report.facts["summary"] = (f"{report.n_out:,} new documents; {now.tokens:,} tokens in all ({val_tokens:,} for "
                                   f"validation), vocabulary {tokenizer.vocab_size:,}"
                                   f"{', provisional' if tokenizer.provisional else ''}")
        if retokenize and old.tokens:
            report.facts["summary"] += (f"; retokenized: {old.text_bytes / old.tokens:.2f} bytes a token before, "
                                        f"{now.text_bytes / now.tokens:.2f} now")
    return report


def main(argv: list[str] | None = None) -> int:
    return stage_main(run, PrepareConfig, "prepare", argv, options={
        "--retokenize": {"action": "store_true", "help": "train a new tokenizer and make the bins anew with it"}})


if __name__ == "__main__":
    raise SystemExit(main())
