"""Clean: valid raw documents in, kept documents out.

Reads   data/raw/*.jsonl      id, text, metadata; append-only, never rewritten; up to where validate has come
Writes  data/clean/*.jsonl    the kept ones, in raw order, each with its raw id;  data/rejected.jsonl  the rest
Alone   .venv/bin/python clean.py --set clean.min_words=30
        .venv/bin/python clean.py --explain ID    why a document was dropped, or what became of it
        .venv/bin/python clean.py --report        how the documents lie about each threshold
        .venv/bin/python clean.py --rebuild       the clean set anew from raw, with the settings as they are now

Four steps: the text is mended and loses its boilerplate (boilerplate.py), the rules judge it (rules.py), what leads to
a person is masked (privacy.py), and what an earlier document has said already is dropped (duplicates.py). Every
decision depends on the document and on earlier ones in raw order alone, never on where a night ended.
"""

from __future__ import annotations

import filecmp
import json
import logging
import re
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import ftfy
import numpy as np

from boilerplate import Site, drop_lines, load_site, store_site
from catalog import REJECTED, Catalog, Refusal
from documents import DAMAGED, ValidateConfig, judge
from duplicates import BANDS, MERGED, Index, keys_of
from pipeline import Report, StageError, View, stage_main, strip_control
from privacy import mask
from progress import Progress
from rules import ALL_RULES, Rule, Thresholds, applies, breaks, first_broken, measure
from urls import hostname

logger = logging.getLogger(__name__)

REBUILD = "data/rebuild"  # a root of its own while the clean set is made anew


@dataclass(frozen=True)
class CleanConfig(Thresholds):
    """The papers' thresholds (rules.py), save these: verse, drama, recipes, forums and code would fall to them.

    They were tuned by bench/filters.py: rules of our own on menus and notices stand in for those that are loosened.
    """

    min_letter_words_frac: float = 0.5              # code and tables, whose marks count as words
    max_duplicate_paragraphs_frac: float = 1.0      # speakers' names
    max_duplicate_lines_frac: float = 1.0
    max_duplicate_line_chars_frac: float = 0.4
    max_duplicate_5gram_chars_frac: float = 0.45    # thrice the paper's: signatures of functions, quoted posts
    max_duplicate_6gram_chars_frac: float = 0.42
    max_duplicate_7gram_chars_frac: float = 0.39
    max_duplicate_8gram_chars_frac: float = 0.36
    max_duplicate_9gram_chars_frac: float = 0.33
    max_duplicate_10gram_chars_frac: float = 0.30
    refuse_curly_brackets: bool = False             # code
    max_whitespace_frac: float = 0.4                # code, indented
    min_punctuated_lines_frac: float = 0.0          # verse, lists of steps
    max_short_lines_frac: float = 1.0               # verse, dialogue
    max_repeated_line_chars_frac: float = 1.0       # the same as duplicate_line_chars
    max_newlines_per_word: float = 1.0              # verse
    mask_personal_data: bool = True
    validate: ValidateConfig = field(default_factory=ValidateConfig)  # for --rebuild, which judges languages anew

    def __post_init__(self) -> None:
        if self.min_words < 1:
            raise ValueError(f"min_words = {self.min_words}; expected at least 1")


# --- text ----------------------------------------------------------------------------------------

MAX_SPACES = 200  # in a row; a million of them overflow the tokenizer's stack
_LONG_SPACE = re.compile(r"[^\S\n]{201,}")
MAX_FIXES = 8  # rounds: mojibake of mojibake, which one round uncovers for the next
_FIXES = ftfy.TextFixerConfig(uncurl_quotes=False, fix_character_width=False, normalization="NFC", explain=False)


def clean_text(text: str) -> str:
    """`text` without mojibake, in NFC, with plain line ends and at most one blank line. All scripts survive.

    Idempotent; invents no letter and keeps the order.
    """
    text = strip_control(text)
    if text.isascii() and "&" not in text:
        return _plain_space(text)  # most of English: nothing to mend
    for _ in range(MAX_FIXES):
        fixed = strip_control(ftfy.fix_text(text, _FIXES))
        if fixed == text:
            break
        text = fixed
    return _plain_space(text)


def _plain_space(text: str) -> str:
    text = _LONG_SPACE.sub(lambda run: run[0][:MAX_SPACES], text)
    text = "\n".join(map(str.rstrip, text.split("\n")))  # no regular expression: a run of spaces would take for ever
    return re.sub(r"\n{3,}", "\n\n", text).strip()


class Cleaned(NamedTuple):
    """What became of a text before it is held against earlier ones."""

    text: str
    refusal: Refusal | None
    lines: list[tuple[str, str]]  # dropped, each with its reason


def cleaned(text: str, language: str, config: CleanConfig, site: Site | None) -> Cleaned:
    """`text` mended and without boilerplate, and why the rules refuse it, if they do. `site` learns it."""
    text, lines = drop_lines(clean_text(text), site)
    return Cleaned(text, first_broken(ALL_RULES, text, language, config), lines)


# --- the stage -----------------------------------------------------------------------------------


class Cleaner:
    """Cleans one document after the other into `catalog`, whose clean set, sites and duplicate keys it carries on."""

    def __init__(self, catalog: Catalog, config: CleanConfig, report: Report) -> None:
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

    def _refusal(self, document: dict[str, Any], url: str, language: str) -> Refusal | None:
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
            return Refusal("exact_duplicate" if first.exact else "near_duplicate", first.id, _NO_EARLIER[first.exact])
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


def run(config: CleanConfig, root: Path, rebuild: bool = False) -> Report:
    report = Report("clean")
    with Catalog(root) as catalog:
        if rebuild:
            rebuild_clean(catalog, config, report)
            return report
        cleaner = Cleaner(catalog, config, report)
        until = catalog.cursor("validate")
        rows = catalog.new_rows("clean", "documents", until)
        for row in _bar(rows, catalog.count_new("clean", "documents", until)):
            with catalog.record():
                if row["verdict"] == "valid":
                    cleaner.add(read_document(catalog, row), row["url"], row["language"])
                catalog.advance("clean", row["seq"])
        report.facts = cleaner.facts()
    return report


def _bar(rows: Iterable[Any], total: int) -> Iterable[Any]:
    return Progress(rows, "clean", total, unit=" documents")


# --- the clean set made anew ---------------------------------------------------------------------


def rebuild_clean(catalog: Catalog, config: CleanConfig, report: Report) -> None:
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
                anew.remember("settings", settings)
        rejudge = catalog.setting("validate.config") != settings["validate"]
        cleaner = Cleaner(anew, config, report)
        done = anew.cursor("clean")
        total = catalog.value("SELECT count(*) FROM documents WHERE seq > ? AND seq <= ?", [done, until])
        for row in _bar(catalog.rows_after(done, "documents", until), total):
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
        return anew.setting("settings")


def _clean_anew(catalog: Catalog, row: Any, cleaner: Cleaner, validate: ValidateConfig | None) -> None:
    """One raw document into the new set; judged anew if `validate` is given and it was not found damaged."""
    anew, verdict, language = cleaner.catalog, row["verdict"], row["language"]
    rejudged = validate is not None and verdict != DAMAGED
    line = catalog.read(row["file"], row["offset"], row["length"]) if rejudged or verdict == "valid" else b""
    if validate and rejudged:
        document, refusal, language = judge(line, row["id"], validate)
        verdict = refusal.reason if refusal else "valid"
        if refusal:
            anew.reject("validate", refusal, row["id"], row["url"], str(document.get("text", "")))
    anew.execute("INSERT INTO documents (seq, id, url, file, offset, length, verdict, language) "
                 "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                 [*(row[key] for key in ("seq", "id", "url", "file", "offset", "length")), verdict, language])
    if verdict == "valid":
        cleaner.add(json.loads(line), row["url"], language)


def _finish_rebuild(catalog: Catalog, config: CleanConfig, until: int, rejudged: bool, report: Report) -> None:
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
        catalog.execute("INSERT OR REPLACE INTO settings SELECT key, value FROM anew.settings "
                        "WHERE key = ?", [MERGED])
        if rejudged:
            catalog.execute("UPDATE documents SET verdict = new.verdict, language = new.language "
                            "FROM anew.documents AS new WHERE new.seq = documents.seq")
            catalog.remember("validate.config", asdict(config.validate))
        catalog.advance("clean", until)
        if not same and catalog.cursor("prepare"):
            catalog.remember("prepare.stale", True)
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
                f"validate   {row['verdict'] or 'not judged yet'}, language {row['language'] or 'unknown'}"]
        kept = catalog.execute("SELECT * FROM clean_documents WHERE id = ?", [row["id"]]).fetchone()
        waits = row["seq"] > catalog.cursor("clean")
        refusals = [f"{line['stage']}: {line['reason']}, found {line['value']}, threshold {line['threshold']}"
                    for line in _refusals_of(root, row["id"])]
        told.append(f"clean      {'kept in ' + kept['file'] + ', byte ' + str(kept['offset']) if kept else ''}"
                    f"{'waits for its turn' if waits else ''}{'' if kept or waits else 'not kept'}")
        told += [f"refused    {refusal}" for refusal in refusals]
        if row["verdict"] == "valid":
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
        total = catalog.value("SELECT count(*) FROM documents WHERE verdict = 'valid'")
        step = max(1, total // SAMPLE_DOCUMENTS)
        rows = catalog.execute("SELECT * FROM documents WHERE verdict = 'valid' AND seq % ? = 0", [step])
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


def main(argv: list[str] | None = None) -> int:
    views = {"--explain": View(explain, "tell what became of a document and why", "ID"),
             "--report": View(show_report, "draw a histogram for each rule")}
    options = {"--rebuild": {"action": "store_true", "help": "make the clean set anew from raw and swap it in"}}
    return stage_main(run, CleanConfig, "clean", argv, views, options)


if __name__ == "__main__":
    raise SystemExit(main())
