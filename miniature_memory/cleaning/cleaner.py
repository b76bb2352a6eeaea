"""One document through all steps of clean."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any, NamedTuple

import numpy as np

from miniature_memory.cleaning.boilerplate import Site, drop_lines, load_site, store_site
from miniature_memory.cleaning.config import CleanConfig
from miniature_memory.cleaning.filters import ALL_RULES, first_broken
from miniature_memory.cleaning.minhash import BANDS, Index, keys_of
from miniature_memory.cleaning.privacy import mask
from miniature_memory.cleaning.text import clean_text
from miniature_memory.core.stage import StageStats
from miniature_memory.core.text import hostname
from miniature_memory.storage.catalog import Catalog
from miniature_memory.storage.rejections import Rejection


class Cleaned(NamedTuple):
    """What became of a text before it is held against earlier ones."""

    text: str
    refusal: Rejection | None
    lines: list[tuple[str, str]]  # dropped, each with its reason


def cleaned(text: str, language: str, config: CleanConfig, site: Site | None) -> Cleaned:
    """`text` fixed and without boilerplate, and why the rules refuse it, if they do. `site` learns it."""
    text, lines = drop_lines(clean_text(text), site)
    return Cleaned(text, first_broken(ALL_RULES, text, language, config), lines)


# --- the stage -----------------------------------------------------------------------------------


class Cleaner:
    """Cleans one document after the other into `catalog`, whose clean set, sites and duplicate keys it carries on."""

    def __init__(self, catalog: Catalog, config: CleanConfig, report: StageStats) -> None:
        self.catalog, self.config, self.report = catalog, config, report
        _sign_older(catalog)
        self.index = Index(catalog)
        self.lines: Counter[str] = Counter()
        self.masked: Counter[str] = Counter()

    def add(self, document: dict[str, Any], url: str, language: str) -> None:
        """Append the cleaned document or note why it is refused, within a record() block."""
        self.report.n_in += 1
        if refusal := self._refusal(document, url, language):
            self.report.dropped[refusal.reason] += 1
            self.catalog.reject("clean", refusal, document["id"], url, document["text"])
        else:
            self.report.n_out += 1

    def _refusal(self, document: dict[str, Any], url: str, language: str) -> Rejection | None:
        host = hostname(url)
        site = load_site(self.catalog, host) if host else None
        found = cleaned(document["text"], language, self.config, site)
        if site:
            store_site(self.catalog, host, site)
        if found.refusal:
            return found.refusal
        text, masked = mask(found.text) if self.config.mask_personal_data else (found.text, Counter[str]())
        keys = keys_of(text)
        if first := self.index.first(keys):
            return Rejection("exact_duplicate" if first.exact else "near_duplicate", first.id, _NO_EARLIER[first.exact])
        self._keep(document, text, language, keys)
        self.lines.update(reason for _, reason in found.lines)
        self.masked.update(masked)
        return None

    def _keep(self, document: dict[str, Any], text: str, language: str, keys: np.ndarray) -> None:
        document = {**document, "text": text, "metadata": {**document["metadata"], "language": language}}
        line = json.dumps(document, ensure_ascii=False).encode() + b"\n"
        place = self.catalog.append("data/clean", ".jsonl", line)
        added = self.catalog.execute(
            "INSERT INTO clean_documents (id, file, offset, length, text_bytes) VALUES (?, ?, ?, ?, ?)",
            [document["id"], *place, len(text.encode())])
        assert added.lastrowid
        self.index.add(added.lastrowid, keys)
        self.report.bytes_written += len(line)

    def facts(self) -> dict[str, Any]:
        return {"lines_dropped": dict(self.lines), "masked": dict(self.masked)}


_NO_EARLIER = {True: "no earlier document of the same words",
               False: f"no earlier document that shares one of the {BANDS} bands of MinHash"}


def _sign_older(catalog: Catalog) -> None:
    """Compute the duplicate keys of clean documents from before there were any."""
    index = None
    unsigned = "SELECT * FROM clean_documents WHERE signature IS NULL ORDER BY seq LIMIT 64"
    while rows := catalog.execute(unsigned).fetchall():
        index = index or Index(catalog)
        for row in rows:
            text = read_document(catalog, row)["text"]
            with catalog.record():
                index.add(row["seq"], keys_of(text))


def read_document(catalog: Catalog, row: Any) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(catalog.read(row["file"], row["offset"], row["length"]))
    return document
