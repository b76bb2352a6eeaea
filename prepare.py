"""Prepare: clean documents in, token bins out.

Reads   data/clean/*.jsonl        id, text, metadata
Writes  data/tokenizer/           ranks.tiktoken, meta.json
        data/train.bin, val.bin   headerless little-endian uint16 ids, the end-of-text token after each document
        data/bins.json            what is in them; derived, for readers
        data/meta.pkl             the vocabulary for nanoGPT's own train.py and sample.py; derived, never read here
Alone   python3 prepare.py --set prepare.vocab_size=1024
        python3 prepare.py --retokenize

While there is less than `freeze_bytes` of text, tokenizer and bins are rebuilt whenever text is added; from then on
the tokenizer is frozen and the bins only grow. They are rebuilt with the same tokenizer after clean.py --rebuild, or
when the bins are damaged (validate.py --repair) or lost.

Text of another kind than the tokenizer learned from takes more tokens; when that drift is large, the stage warns.
--retokenize then trains another tokenizer on today's text and builds new bins next to the old. Both are swapped in
together, each document stays in its split, and bins.json names the earlier tokenizers in retokenized_from.
"""

from __future__ import annotations

from miniature_memory.core.interpreter import use_own_python

if __name__ == "__main__":
    use_own_python()

import logging
from pathlib import Path

from miniature_memory.core.errors import StageError
from miniature_memory.core.stage import StageStats, stage_main
from miniature_memory.core.text import counted
from miniature_memory.storage import clean_documents, growth
from miniature_memory.storage.catalog import Catalog
from miniature_memory.training import bins_writer as bins
from miniature_memory.training import tokenizer as tokenizers
from miniature_memory.training.bins_writer import Held
from miniature_memory.training.config import PrepareConfig
from miniature_memory.training.tokenizer import Tokenizer

DRIFT_BYTES = 1_000_000  # of new text, from as many runs as it takes, before drift is measured
# Of its bytes per token that the tokenizer may lose on new text before that counts as drift. With 2k and 8k tokens: web
# pages after 1 MB of web pages lose 0.03-0.13, the last plays after the first 0.09-0.11; web pages after plays
# 0.24-0.28, plays after web pages 0.22-0.33, Python code 0.22-0.50, French 0.33-0.45.
DRIFT_FRAC = 0.15

logger = logging.getLogger(__name__)


def run(config: PrepareConfig, root: Path, retokenize: bool = False) -> StageStats:
    stats = StageStats("prepare")
    with Catalog(root) as catalog:
        stats.n_in = stats.n_out = catalog.count_new("prepare", "clean_documents")
        if not clean_documents.are_there_any(catalog):
            return stats
        before, tokenizer = bins.held(catalog), load_tokenizer(catalog, retokenize)
        retokenize = retokenize and (tokenizer is None or can_retokenize(tokenizer, config))
        tokenizer = update_bins(catalog, config, stats, None if retokenize else tokenizer)
        bins.record_growth(catalog)
        drift = measure_drift(catalog, tokenizer)
        catalog.commit()
        bins.write_bins_json(root / "data", tokenizer, (step._asdict() for step in growth.steps(catalog)),
                             catalog.state("prepare.tokenizers", []))
        bins.write_meta_pkl(root / "data", tokenizer)
        describe(stats, catalog, tokenizer, drift, before if retokenize else None)
    if drift is not None and drift > DRIFT_FRAC:
        warn_of_drift(drift, root)
    return stats


def load_tokenizer(catalog: Catalog, retokenize: bool) -> Tokenizer | None:
    """The tokenizer of the bins; None before the first, or when it is lost and a new one will replace it."""
    folder = catalog.root / "data/tokenizer"
    made_before = catalog.cursor("prepare") or growth.last_tokens(catalog)
    if not made_before and not (folder / tokenizers.META_FILE).exists():
        return None
    try:
        return tokenizers.load(folder)
    except StageError as error:
        if not retokenize:
            raise
        logger.info("%s --retokenize makes a new one now.", error.found)
        return None


def can_retokenize(tokenizer: Tokenizer, config: PrepareConfig) -> bool:
    """Whether --retokenize would change the tokenizer."""
    if tokenizer.kind == config.tokenizer not in tokenizers.TRAINED_KINDS:
        logger.info("the tokenizer stays: %s is the same for every text; prepare.tokenizer sets another kind",
                    tokenizer.kind)
        return False
    if tokenizer.provisional:
        logger.info("the tokenizer is provisional: below %s bytes of text (prepare.freeze_bytes) it is rebuilt with "
                    "every new document, even without --retokenize", f"{config.freeze_bytes:,}")
    return True


def update_bins(catalog: Catalog, config: PrepareConfig, stats: StageStats, tokenizer: Tokenizer | None) -> Tokenizer:
    """Rebuild the bins or extend them, as needed, and return their tokenizer. None: make a new tokenizer, too."""
    is_stale = catalog.state("prepare.stale", False) or not bins.are_whole(catalog)
    if tokenizer is None or (tokenizer.provisional and (stats.n_in or is_stale)):
        return bins.rebuild(catalog, config, stats)
    if is_stale:
        logger.info("the bins are rebuilt, with their own tokenizer")
        return bins.rebuild(catalog, config, stats, tokenizer)
    if stats.n_in:
        if tokenizer.kind != config.tokenizer:
            logger.info("the tokenizer stays %s: it is frozen since the bins were made with it. To change it: %s",
                        tokenizer.kind, tokenizers.retokenize(catalog.root))
        bins.extend(catalog, tokenizer, stats)
    return tokenizer


def measure_drift(catalog: Catalog, tokenizer: Tokenizer) -> float | None:
    """Which share of its bytes per token the tokenizer has lost on the text since the last measurement; negative: it
    gained.

    None while that text is less than DRIFT_BYTES: short runs add up. None also for other kinds than bpe, whose bytes
    per token depend on the script alone.
    """
    judged, now = catalog.state("prepare.judged", {}), bins.held(catalog)
    if tokenizer.kind != "bpe" or not judged.get("learned") or now.text_bytes < judged["text_bytes"] + DRIFT_BYTES:
        return None
    with catalog.record():
        catalog.set_state("prepare.judged", judged | {"text_bytes": now.text_bytes, "tokens": now.tokens})
    new_bytes_per_token = (now.text_bytes - judged["text_bytes"]) / (now.tokens - judged["tokens"])
    return float(1 - new_bytes_per_token / judged["learned"])


def warn_of_drift(drift: float, root: Path) -> None:
    logger.warning("the newest text has %.0f %% fewer bytes per token than the text that the tokenizer learned from, "
                   "so the model sees less of it at a time and learns it more slowly. Expected: at most %.0f %% fewer. "
                   "Fix: %s, after which the model keeps its layers and learns its embeddings and logits again",
                   100 * drift, 100 * DRIFT_FRAC, tokenizers.retokenize(root))


def describe(stats: StageStats, catalog: Catalog, tokenizer: Tokenizer, drift: float | None,
             retokenized: Held | None) -> None:
    """Fill in facts and summary. retokenized: what the bins held before --retokenize."""
    now, (train_tokens, val_tokens) = bins.held(catalog), bins.token_counts(catalog)
    stats.facts = {"documents": now.documents, "train_tokens": train_tokens, "val_tokens": val_tokens,
                   "vocab_size": tokenizer.vocab_size, "provisional": tokenizer.provisional,
                   "bytes_per_token": round(now.bytes_per_token, 3)}
    if drift is not None:
        stats.facts["drift_frac"] = round(drift, 3)
    stats.facts["summary"] = (f"{counted(stats.n_out, 'new document')}; {now.tokens:,} tokens in all "
                              f"({val_tokens:,} for validation), vocabulary {tokenizer.vocab_size:,}"
                              f"{', provisional until there is more text' if tokenizer.provisional else ''}")
    if retokenized and retokenized.tokens:
        stats.facts["summary"] += (f"; retokenized: {retokenized.bytes_per_token:.2f} bytes per token before, "
                                   f"{now.bytes_per_token:.2f} now")


def main(argv: list[str] | None = None) -> int:
    return stage_main(run, PrepareConfig, "prepare", argv, options={
        "--retokenize": {"action": "store_true", "help": "train a new tokenizer and rebuild the bins with it"}})


if __name__ == "__main__":
    raise SystemExit(main())
