"""Statistics: what the whole dataset consists of."""

from typing import Any

import numpy as np

from miniature_memory.core.text import counted
from miniature_memory.storage import clean_documents, counts, documents, forgotten, pages
from miniature_memory.storage.catalog import Catalog
from miniature_memory.validation.audit import Tally

TOP = 8  # hosts, languages and days
SHARES = (0.0, 0.1, 0.5, 0.9, 0.99, 1.0)  # of the documents have at most so many words


def statistics(catalog: Catalog, tally: Tally) -> dict[str, Any]:
    """What the dataset consists of, as plain values."""
    words = np.frombuffer(tally.clean_words, dtype=np.uint32)
    days = sorted(tally.days.items())
    return {
        "documents": {"raw": documents.count(catalog), "valid": documents.count_valid(catalog),
                      "clean": clean_documents.count(catalog)},
        "words": {"raw": tally.raw_words, "clean": int(words.sum())},
        "languages": documents.languages(catalog, TOP), "hosts": documents.hosts(catalog, TOP),
        "licenses": documents.licenses(catalog, TOP),
        "words_per_document": {f"{share:.0%}": int(np.quantile(words, share, method="nearest"))
                               for share in SHARES} if len(words) else {},
        "days": len(days), "documents_per_day": dict(days[-TOP:]),
        "bytes": counts.bytes_by_folder(catalog), "removed_warc_files": pages.count_removed(catalog),
        "forgotten": forgotten.counts(catalog)}


def screen(facts: dict[str, Any]) -> str:
    """The statistics for people, one line each."""
    def listed(values: dict[str, int]) -> str:
        return " · ".join(f"{name or 'none'} {n:,}" for name, n in values.items()) or "none"

    sizes = " · ".join(f"{name} {n / 1e6:,.1f} MB" for name, n in facts["bytes"].items())
    rows = {"documents": listed(facts["documents"]), "words": listed(facts["words"]),
            "languages": listed(facts["languages"]), "hosts": listed(facts["hosts"]),
            "licenses": listed(facts["licenses"]),
            "words each": listed(facts["words_per_document"]),
            "growth": f"{counted(facts['days'], 'day')}; documents per day: {listed(facts['documents_per_day'])}",
            "files": (sizes or "none") + (f"; WARC files removed: {n:,}" if (n := facts["removed_warc_files"]) else ""),
            "forgotten": listed(facts["forgotten"]),
            "problems": f"{facts['problems']:,}, {facts['fixed']:,} of them fixed"}
    return "\n".join(f"{name:<14}{value}" for name, value in rows.items())
