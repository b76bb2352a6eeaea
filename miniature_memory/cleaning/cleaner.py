"""One document through all steps of clean."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

import numpy as np

from miniature_memory.cleaning.boilerplate import Lines, Site, load_site, remove_boilerplate, store_site
from miniature_memory.cleaning.config import CleanConfig, thresholds_of
from miniature_memory.cleaning.filters import Check, checks_of, first_broken
from miniature_memory.cleaning.minhash import BANDS, Index, keys_of
from miniature_memory.cleaning.normalize import normalize_text
from miniature_memory.cleaning.privacy import mask
from miniature_memory.cleaning.topic import Topic, document_terms, load_topic, rejection_of, store_topic
from miniature_memory.core.errors import DeadlineError
from miniature_memory.core.process import deadline
from miniature_memory.core.stage import StageStats
from miniature_memory.core.text import hostname
from miniature_memory.core.topic_fit import Terms
from miniature_memory.storage import clean_documents, duplicates, topic_pages
from miniature_memory.storage.catalog import Catalog
from miniature_memory.storage.rejections import Rejection

GROUP = 64  # documents whose missing keys are computed at once
FORGOTTEN = "forgotten"  # the reason of what is the same as a forgotten text, or nearly
NO_DUPLICATE = {True: "no earlier document of the same words",
                False: f"no earlier document that shares one of the {BANDS} bands of MinHash"}


class CleanedText(NamedTuple):
    """What became of a text before it is compared with earlier ones."""

    text: str
    rejection: Rejection | None
    removed: list[tuple[str, str]]  # lines, each with its reason


@dataclass
class Judged:
    """A document on its way through a Cleaner."""

    document: dict[str, Any]
    url: str
    language: str
    host: str
    site: Lines | None = None  # with what it has learned; None: nothing to store
    text: str = ""
    rejection: Rejection | None = None
    removed: list[tuple[str, str]] = field(default_factory=list)
    masked: Counter[str] = field(default_factory=Counter)
    keys: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    terms: Terms = field(default_factory=Terms)  # none where no topic is asked for
    topic_fit: float | None = None


def clean_text(text: str, language: str, checks: Iterable[Check], site: Lines | None) -> CleanedText:
    """`text` normalized and without boilerplate, and why the quality rules reject it, if they do. `site` learns it."""
    checks = tuple(checks)
    filler = not any(check.in_force and check.rule.reason == "lorem_ipsum" for check in checks)
    text, removed = remove_boilerplate(normalize_text(text), site, filler)
    return CleanedText(text, first_broken(checks, text, language), removed)


def config_checks(config: CleanConfig) -> tuple[Check, ...]:
    return checks_of(thresholds_of(config.preset, config.thresholds))


def license_rejection(document: dict[str, Any], required: Sequence[str]) -> Rejection | None:
    """Why the license of a document is none of those `required`, which are patterns as the shell's; or None."""
    license = document["metadata"].get("license", "")  # documents of earlier releases have no such key
    if not required or (license and any(fnmatchcase(license.upper(), pattern.upper()) for pattern in required)):
        return None
    return Rejection("no_license", license or "none named", " ".join(required))


def judge(judged: Judged, config: CleanConfig, checks: Iterable[Check], topic: Topic | None = None) -> Judged:
    """Clean one document as far as that needs no earlier one but those of its site, which learns its lines. Pure."""
    document, site, judged.site = judged.document, judged.site, None
    if rejection := license_rejection(document, config.require_license):
        judged.rejection = rejection
        return judged
    try:
        with deadline(config.document_deadline_sec):
            text, judged.rejection, judged.removed = clean_text(document["text"], judged.language, checks, site)
            judged.site = site
            if not judged.rejection:
                if config.mask_personal_data:
                    text, judged.masked = mask(text, judged.language)
                judged.text, judged.keys = text, keys_of(text)
                if topic:
                    judge_topic(judged, topic, config)
    except DeadlineError:
        judged.site, judged.topic_fit = None, None  # half learned, perhaps
        judged.rejection = Rejection("cleaning_timeout", f"more than {config.document_deadline_sec:g} s",
                                     config.document_deadline_sec)
    return judged


def judge_topic(judged: Judged, topic: Topic, config: CleanConfig) -> None:
    judged.terms = document_terms(judged.document, judged.text)
    judged.topic_fit = topic.fit(judged.terms, judged.language)
    judged.rejection = rejection_of(judged.topic_fit, judged.document, config)


def duplicate_rejection(first: str, exact: bool) -> Rejection:
    """Of a document that is the same as the earlier one with the id `first`, or nearly."""
    return Rejection("exact_duplicate" if exact else "near_duplicate", first, NO_DUPLICATE[exact])


def cleaned_document(judged: Judged) -> dict[str, Any]:
    """The clean document that is kept."""
    fit = "" if judged.topic_fit is None else str(judged.topic_fit)
    metadata = {**judged.document["metadata"], "language": judged.language, "topic_fit": fit}
    return {**judged.document, "text": judged.text, "metadata": metadata}


class Cleaner:
    """Cleans one document after the other into `catalog`: its clean set, duplicate keys and site lines grow."""

    def __init__(self, catalog: Catalog, config: CleanConfig, stats: StageStats, queries: Iterable[str] = ()) -> None:
        self.catalog, self.config, self.stats = catalog, config, stats
        self.topic = load_topic(catalog, config, queries)
        self.checks = config_checks(config)
        self.index = Index(catalog)
        self.lines: Counter[str] = Counter()
        self.masked: Counter[str] = Counter()
        self._add_missing_keys()

    def judge(self, document: dict[str, Any], url: str, language: str) -> Judged:
        """Clean one document as far as that needs no earlier one but those of its site.

        Reads the catalog and changes nothing, so it belongs before the record() block, where a signal can stop it.
        """
        host = hostname(url)
        site = load_site(self.catalog, host) if host else None
        return judge(Judged(document, url, language, host, site), self.config, self.checks, self.topic)

    def add(self, judged: Judged) -> None:
        """Append the cleaned document or note why it is rejected, within a record() block."""
        self.stats.n_in += 1
        if isinstance(judged.site, Site):
            store_site(self.catalog, judged.host, judged.site)
        if judged.topic_fit is not None:
            topic_pages.set_fit(self.catalog, judged.document["id"], judged.topic_fit)
        if rejection := judged.rejection or self._duplicate(judged.keys):
            self.stats.dropped[rejection.reason] += 1
            text = "" if rejection.reason == FORGOTTEN else judged.document["text"]
            self.catalog.reject("clean", rejection, judged.document["id"], judged.url, text)
        else:
            self.stats.n_out += 1
            self._append(judged)
            self.lines.update(reason for _, reason in judged.removed)
            self.masked.update(judged.masked)
            self._learn_topic(judged)

    def facts(self) -> dict[str, Any]:
        return {"lines_dropped": dict(self.lines), "masked": dict(self.masked)}

    def _duplicate(self, keys: np.ndarray) -> Rejection | None:
        first = self.index.first(keys)
        if not first:
            return None
        if not first.id:
            return Rejection(FORGOTTEN, "exact_duplicate" if first.exact else "near_duplicate", "no forgotten text")
        return duplicate_rejection(first.id, first.exact)

    def _learn_topic(self, judged: Judged) -> None:
        source = judged.document["metadata"].get("source", "")
        if self.topic and self.topic.learn(judged.document["id"], judged.terms, judged.language, source,
                                           judged.topic_fit):
            store_topic(self.catalog, self.topic)

    def _append(self, judged: Judged) -> None:
        document = cleaned_document(judged)
        line = json.dumps(document, ensure_ascii=False).encode() + b"\n"
        place = self.catalog.append("data/clean", ".jsonl", line)
        split = document["metadata"].get("split", "")  # documents of earlier releases have no such key
        seq = clean_documents.add(self.catalog, document["id"], place, len(judged.text.encode()), split)
        self.index.add(seq, judged.keys)
        self.stats.bytes_written += len(line)

    def _add_missing_keys(self) -> None:
        """Of clean documents that came into the catalog by another way than this."""
        while rows := duplicates.unsigned(self.catalog, GROUP):
            for row in rows:
                text = clean_documents.read_text(self.catalog, row)
                with self.catalog.record():
                    self.index.add(row["seq"], keys_of(text))
