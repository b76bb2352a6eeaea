"""clean.py --histograms: how the documents are spread around each rule's threshold."""

from pathlib import Path

import numpy as np

from miniature_memory.cleaning.boilerplate import remove_boilerplate
from miniature_memory.cleaning.cleaner import config_checks
from miniature_memory.cleaning.config import CleanConfig
from miniature_memory.cleaning.filters import Check
from miniature_memory.cleaning.measures import measure
from miniature_memory.cleaning.normalize import normalize_text
from miniature_memory.core.paths import shown
from miniature_memory.storage import documents, forgotten
from miniature_memory.storage.catalog import Catalog
from miniature_memory.storage.rejections import REJECTED

SAMPLE_DOCUMENTS = 2000
BINS = 32
BARS = " ▁▂▃▄▅▆▇█"


def histograms(config: CleanConfig, root: Path, value: str = "") -> str:
    """One histogram per rule, drawn from about SAMPLE_DOCUMENTS of the valid documents."""
    checks = config_checks(config)
    values: list[list[float]] = [[] for _ in checks]
    n = 0
    with Catalog(root, read_only=True) as catalog:
        total, is_judged = documents.count_valid(catalog), bool(documents.validations(catalog))
        for row in documents.valid(catalog, max(1, total // SAMPLE_DOCUMENTS)):
            n += 1
            text, _ = remove_boilerplate(normalize_text(documents.read(catalog, row)["text"]))
            for check, of_check in zip(checks, values, strict=True):
                if check.rule.applies(row["language"]):
                    of_check.append(float(check.rule.measure(measure(text, row["language"]))))
    if not n:
        return (f"None of the documents is valid: {shown(root / REJECTED)} has each with its reason." if is_judged else
                f"There is no valid document yet. Fix: {forgotten.first_run(root)}")
    lines = [f"{n} of {total} valid documents. Each histogram begins at 0 and ends at the number on its right; "
             "| marks the threshold.", ""]
    lines += [_histogram(check, np.array(of_check)) for check, of_check in zip(checks, values, strict=True) if of_check]
    return "\n".join(lines)


def _histogram(check: Check, values: np.ndarray) -> str:
    most, threshold = float(values.max()), min(float(check.threshold), 1e9)
    end = max(float(np.quantile(values, 0.99)), min(threshold, most) * 1.25) or 1.0
    counts = np.bincount(np.minimum(values / end * BINS, BINS - 1).astype(int), minlength=BINS)
    heights = np.ceil(np.sqrt(counts / counts.max()) * (len(BARS) - 1)).astype(int)  # roots: the rare stay visible
    bars = "".join(BARS[height] for height in heights)
    place = min(BINS, int(threshold / end * BINS))
    n_broken = sum(map(check.breaks, values.tolist()))
    drawn = f"{bars[:place]}|{bars[place:]}" if check.in_force else f"{bars} "
    return f"{check.rule.reason:<28} {n_broken:>5} broken  {drawn} {end:.3g}   {check.shown()}"
