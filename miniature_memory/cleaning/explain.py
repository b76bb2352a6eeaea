"""clean.py --explain: what became of one document, and why."""

import shlex
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from miniature_memory.cleaning.boilerplate import Site, load_site
from miniature_memory.cleaning.cleaner import clean_text, config_checks, license_rejection
from miniature_memory.cleaning.config import CleanConfig
from miniature_memory.cleaning.filters import Check
from miniature_memory.cleaning.measures import measure
from miniature_memory.cleaning.privacy import mask
from miniature_memory.cleaning.topic import (
    ASKED_SHARE,
    FEWEST_PAGES,
    MIN_TERMS,
    Topic,
    document_terms,
    is_chosen,
    load_topic,
)
from miniature_memory.core.errors import StageError
from miniature_memory.core.paths import shown
from miniature_memory.core.text import hostname
from miniature_memory.storage import clean_documents, documents, forgotten
from miniature_memory.storage.catalog import Catalog
from miniature_memory.storage.files import QUERIES, read_lines, read_list
from miniature_memory.storage.rejections import REJECTED

SHOWN_WORDS = 12  # of a topic, that count most


def explain(config: CleanConfig, root: Path, wanted: str) -> str:
    """What became of the document with this id (or the beginning of one, or this URL), step by step."""
    with Catalog(root, read_only=True) as catalog:
        row = documents.find(catalog, wanted)
        entries = (forgotten.TEXT, wanted), *forgotten.entries_of(wanted)
        if not row and (since := forgotten.since(catalog, entries)):
            return f"forgotten  on {since[:10]}; nothing of it is used, and it is never fetched or imported again"
        if not row:
            raise StageError(f"No document has the id or URL {wanted[:200]!r}.",
                             "an id from data/raw/*.jsonl or data/rejected.jsonl, its first characters, or a URL.",
                             f"list the ids: cut -c 9-72 {shlex.quote(shown(root / 'data/raw'))}/*.jsonl")
        lines = [f"document   {row['id']}", f"url        {row['url']}",
                 f"raw        {row['file']}, byte {row['offset']}, {row['length']} bytes",
                 f"validate   {row['validation'] or 'not validated yet'}, language {row['language'] or 'unknown'}",
                 f"clean      {_outcome(catalog, row)}"]
        lines += [f"rejected   {line['stage']}: {line['reason']}, found {line['value']}, threshold {line['threshold']}"
                  for line in read_lines(root / REJECTED, 1 << 62) if line.get("id") == row["id"]]
        if row["validation"] == documents.VALID:
            site = load_site(catalog, hostname(row["url"]))
            document = documents.read(catalog, row)
            if rejection := license_rejection(document, config.require_license):
                lines.append(f"license    {rejection.value}, not one of {rejection.threshold}")
            lines += _steps(document["text"], row["language"], config_checks(config), site)
            if topic := load_topic(catalog, config, read_list(root / QUERIES)):
                text = clean_text(document["text"], row["language"], config_checks(config),
                                  load_site(catalog, hostname(row["url"]))).text
                lines += _topic_fit(topic, document, mask(text, row["language"])[0], row, config)
    return "\n".join(lines)


def _outcome(catalog: Catalog, row: sqlite3.Row) -> str:
    if kept := clean_documents.find(catalog, row["id"]):
        return f"kept in {kept['file']}, byte {kept['offset']}"
    return "waiting for its turn" if row["seq"] > catalog.cursor("clean") else "not kept"


def _steps(text: str, language: str, checks: Iterable[Check], site: Site) -> Iterator[str]:
    """Each line that is removed and each rule with its figure, with what is known of the site's lines by now."""
    text, _, removed = clean_text(text, language, checks, site)
    yield from (f"line       removed as {reason}: {line[:80]}" for line, reason in removed)
    yield from (f"masked     {n} x {kind}" for kind, n in mask(text, language)[1].items())
    yield ""
    for check in checks:
        value = float(check.rule.measure(measure(text, language)))
        applies = check.in_force and check.rule.applies(language)
        outcome = "-" if not applies else "BROKEN" if check.breaks(value) else "passed"
        yield f"{outcome:<8} {check.family:<18} {check.rule.reason:<26} {value:>10.4g}   {check.shown()}"


def _topic_fit(topic: Topic, document: dict[str, Any], text: str, row: sqlite3.Row, config: CleanConfig,
               ) -> Iterator[str]:
    """How well the document fits the topic, and the words that count, with what is known of the topic by now."""
    language, n_pages = row["language"], len(topic.pages.get(row["language"], []))
    terms = document_terms(document, text)
    fit = topic.fit(terms, language)
    yield ""
    if fit is None:
        yield (f"topic      not judged: {n_pages} pages tell of the topic in its language, {FEWEST_PAGES} are needed"
               if n_pages < FEWEST_PAGES else
               f"topic      not judged: it has {terms.total()} words, {MIN_TERMS} are needed")
        return
    outcome = "BROKEN" if fit < config.min_topic_fit else "passed"
    outcome += ", but you chose this document" * (is_chosen(document) and outcome == "BROKEN")
    then = "" if row["topic_fit"] is None else f"; it was {row['topic_fit']:g} when its turn came"
    yield f"topic      fit {fit:g} of 1, min_topic_fit = {config.min_topic_fit:g}: {outcome}{then}"
    counted, profile = topic.words(terms, language), topic.profile(language)
    shown = ", ".join(f"{word} {share:.3f}" for word, share in list(counted.items())[:SHOWN_WORDS])
    yield (f"           by {len(counted)} of {len(profile.weights) if profile else 0} words of the topic, as {n_pages} "
           f"pages tell: {shown or 'none'}")
    asked = ASKED_SHARE * topic.asked_for(terms, language)
    yield f"           by the words of the title or of one query alone: {asked:.3f}; the higher figure counts"
