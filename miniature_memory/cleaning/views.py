"""clean.py --explain and --report."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from miniature_memory.cleaning.boilerplate import Site, drop_lines, load_site
from miniature_memory.cleaning.cleaner import cleaned, read_document
from miniature_memory.cleaning.config import CleanConfig
from miniature_memory.cleaning.filters import ALL_RULES, Rule, applies, breaks
from miniature_memory.cleaning.measures import measure
from miniature_memory.cleaning.privacy import mask
from miniature_memory.cleaning.text import clean_text
from miniature_memory.core.errors import StageError
from miniature_memory.core.text import hostname
from miniature_memory.storage.catalog import Catalog
from miniature_memory.storage.rejections import REJECTED

# --- views ---------------------------------------------------------------------------------------


def explain(config: CleanConfig, root: Path, wanted: str) -> str:
    """What became of the document with this id (or the beginning of one, or this URL), step by step."""
    with Catalog(root, read_only=True) as catalog:
        row = catalog.execute("SELECT * FROM documents WHERE id >= ? AND id < ? || 'g' OR url = ? ORDER BY seq DESC",
                              [wanted, wanted, wanted]).fetchone()
        if not row:
            raise StageError(f"No document has the id or the URL {wanted[:200]!r}.", "an id as data/raw/*.jsonl and "
                             "data/rejected.jsonl list them, or its first characters.", "look there.")
        told = [f"document   {row['id']}", f"url        {row['url']}",
                f"raw        {row['file']}, byte {row['offset']}, {row['length']} bytes",
                f"validate   {row['validation'] or 'not judged yet'}, language {row['language'] or 'unknown'}"]
        kept = catalog.execute("SELECT * FROM clean_documents WHERE id = ?", [row["id"]]).fetchone()
        waits = row["seq"] > catalog.cursor("clean")
        refusals = [f"{line['stage']}: {line['reason']}, found {line['value']}, threshold {line['threshold']}"
                    for line in _refusals_of(root, row["id"])]
        told.append(f"clean      {'kept in ' + kept['file'] + ', byte ' + str(kept['offset']) if kept else ''}"
                    f"{'waits for its turn' if waits else ''}{'' if kept or waits else 'not kept'}")
        told += [f"refused    {refusal}" for refusal in refusals]
        if row["validation"] == "valid":
            site = load_site(catalog, hostname(row["url"]))
            told += _explain_text(read_document(catalog, row)["text"], row["language"], config, site)
    return "\n".join(told)


def _refusals_of(root: Path, document_id: str) -> Iterator[dict[str, Any]]:
    path, mark = root / REJECTED, f'"id": "{document_id}"'.encode()
    if path.exists():
        with open(path, "rb") as lines:
            yield from (json.loads(line) for line in lines if mark in line[:200])


def _explain_text(text: str, language: str, config: CleanConfig, site: Site) -> list[str]:
    """Each line that is dropped and each rule with its figure, as they are with the site's lines known by now."""
    found = cleaned(text, language, config, site)
    told = [f"line       dropped as {reason}: {line[:80]}" for line, reason in found.lines]
    told += [f"masked     {n} x {kind}" for kind, n in mask(found.text)[1].items()]
    told.append("")
    for rule in ALL_RULES:
        value, threshold = float(rule.measure(measure(found.text, language))), getattr(config, rule.threshold)
        verdict = "-" if not applies(rule, language) else "BROKEN" if breaks(rule, value, threshold) else "kept"
        told.append(f"{rule.family:<18} {rule.reason:<28} {value:>10.4g}   {rule.threshold} = {threshold:<8} {verdict}")
    return told


SAMPLE_DOCUMENTS = 2000
BINS = 32
_BARS = " ▁▂▃▄▅▆▇█"


def show_report(config: CleanConfig, root: Path, _: str) -> str:
    """A histogram a rule: how about SAMPLE_DOCUMENTS of the valid documents lie about its threshold."""
    values: dict[Rule, list[float]] = {rule: [] for rule in ALL_RULES}
    with Catalog(root, read_only=True) as catalog:
        total = catalog.value("SELECT count(*) FROM documents WHERE validation = 'valid'")
        step = max(1, total // SAMPLE_DOCUMENTS)
        rows = catalog.execute("SELECT * FROM documents WHERE validation = 'valid' AND seq % ? = 0", [step])
        n = 0
        for row in rows:
            n += 1
            measures = measure(drop_lines(clean_text(read_document(catalog, row)["text"]))[0], row["language"])
            for rule, of_rule in values.items():
                if applies(rule, row["language"]):
                    of_rule.append(float(rule.measure(measures)))
    if not n:
        return "There is no valid document yet: run python3 run.py first."
    told = [f"{n} of {total} valid documents; a histogram from 0 to its right end, the threshold marked by |", ""]
    for rule, of_rule in values.items():
        if of_rule:
            told.append(_histogram(rule, np.array(of_rule), float(getattr(config, rule.threshold))))
    return "\n".join(told)


def _histogram(rule: Rule, values: np.ndarray, threshold: float) -> str:
    end = max(float(np.quantile(values, 0.99)), min(threshold, float(values.max())) * 1.25) or 1.0
    counts = np.bincount(np.minimum(values / end * BINS, BINS - 1).astype(int), minlength=BINS)
    heights = np.ceil(np.sqrt(counts / counts.max()) * (len(_BARS) - 1)).astype(int)  # roots: the rare stay visible
    bars = [_BARS[height] for height in heights]
    place = min(BINS, int(threshold / end * BINS))
    broken = sum(breaks(rule, value, threshold) for value in values.tolist())
    return (f"{rule.reason:<28} {broken:>5} broken  {''.join(bars[:place])}|{''.join(bars[place:])} {end:.3g}"
            f"   {rule.threshold} = {threshold:g}")
