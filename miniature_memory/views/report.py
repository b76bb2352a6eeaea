"""Report: what was collected, what was refused and what the model learned, as one page that needs nothing else.

Reads   data/runs.jsonl, data/samples.jsonl, data/rejected.jsonl, data/catalog.sqlite3, checkpoints/ckpt.json, config/
Writes  data/report.html    light and dark, for phone and desktop, without JavaScript
Alone   python3 report.py --root DIR

run.py writes it after every run. Whatever is missing or damaged is left out; the page says so. Large datasets are
looked at through SAMPLE documents, spread over all of them, and of each file only the last bytes are read, so that time
and memory stay small. Everything that came from outside is escaped, and the page forbids itself scripts and requests.
"""

from __future__ import annotations

import contextlib
import json
import logging
import math
import re
import sqlite3
import statistics
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

from miniature_memory.core.config import Tables, read_tables
from miniature_memory.core.errors import EXIT_DONE, StageError, cannot_write
from miniature_memory.core.paths import PROJECT, config_path
from miniature_memory.core.text import strip_control
from miniature_memory.storage.catalog import Catalog
from miniature_memory.storage.files import read_lines, write_aside
from miniature_memory.views import plots
from miniature_memory.views.plots import short, thin

SAMPLE = 20_000  # documents looked at for hosts, languages and lengths
HISTORY_BYTES = 32_000_000  # of runs.jsonl and samples.jsonl, each, from their ends: more than ten thousand runs
REJECTED_BYTES = 4_000_000  # of rejected.jsonl, from its end
REJECTED_CHARS = 200  # that catalog.py keeps of a refused text
TOP = 10  # hosts, languages and reasons drawn
EXAMPLES, EXAMPLE_REASONS = 3, 12  # of a reason, the newest; reasons with examples
SHOWN_SAMPLES = 3  # models side by side: the first, one between, the last
TABLE_ROWS = 60
MOST = 1e15  # larger numbers are damage
SCROLLS = "tabindex=0 role=group aria-label=Scrollable"  # so that a keyboard can scroll it, too

STAGES = ("search", "scrape", "extract", "validate", "clean", "prepare", "train")
COUNTERS = ("n_in", "n_out", "elapsed_sec", "peak_mb")
FACTS = ("documents", "train_tokens", "val_tokens", "train_loss", "val_loss", "val_bpb", "val_bpb_old", "val_bpb_new",
         "tok_per_sec", "iter_num", "parameters")
NOT_LOST = ("already_known", "not_modified")  # reasons of search and scrape that cost nothing
PRIVATE = ("contact", "proxy", "allow_private", "connect_to", "searxng_url")  # settings that a shared page keeps quiet


# --- reading -------------------------------------------------------------------------------------


class Run(NamedTuple):
    number: int  # of the line in runs.jsonl, from 1
    started: str
    finished: str
    exit_code: float | None
    figures: dict[str, float]  # such as "train.val_bpb"


class History(NamedTuple):
    runs: list[Run]
    dropped: Counter[tuple[str, str]]  # (stage, reason) -> count, over all runs
    n_damaged: int  # lines


class Dataset(NamedTuple):
    steps: list[tuple[str, int]]  # what is left of it after each stage
    hosts: list[tuple[str, int]]  # of the documents looked at, most first
    languages: list[tuple[str, int]]
    lengths: list[int]  # bytes of text of the documents looked at, in order
    documents: int  # in the clean set


def number(value: object) -> float | None:
    """A finite number of a sane size; None for anything else that a damaged line may hold."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not -MOST < value < MOST:
        return None
    return float(value)


def numbers(values: object) -> dict[str, float]:
    """The entries that are numbers."""
    found = {key: number(value) for key, value in values.items()} if isinstance(values, dict) else {}
    return {key: value for key, value in found.items() if value is not None}


def read_history(root: Path) -> History:
    runs, dropped, n_damaged = [], Counter[tuple[str, str]](), 0
    for n, line in enumerate(read_lines(root / "data/runs.jsonl", HISTORY_BYTES), 1):
        reports = line.get("reports")
        reports = [each for each in reports if isinstance(each, dict)] if isinstance(reports, list) else []
        figures: dict[str, float] = {}
        for report in reports:
            if (stage := report.get("stage")) in STAGES:
                for values, keys in ((report, COUNTERS), (report.get("facts"), FACTS)):
                    figures |= {f"{stage}.{key}": value for key, value in numbers(values).items() if key in keys}
                for reason, count in numbers(report.get("dropped")).items():
                    dropped[stage, reason[:60]] += int(count)
        if line:
            runs.append(Run(n, str(line.get("started", ""))[:20], str(line.get("finished", ""))[:20],
                            number(line.get("exit_code")), figures))
        else:
            n_damaged += 1
    return History(runs, dropped, n_damaged)


def read_dataset(root: Path) -> Dataset:
    """Counts of everything; hosts, languages and lengths of SAMPLE documents. Raises StageError or sqlite3.Error."""
    with Catalog(root, read_only=True) as catalog:
        tables = (("pages found", "urls"), ("pages fetched", "pages"), ("documents", "documents"),
                  ("documents kept", "clean_documents"))
        steps = [(name, catalog.value(f"SELECT count(*) FROM {table}")) for name, table in tables]
        last = catalog.value("SELECT max(seq) FROM clean_documents") or 0
        chosen = sorted({1 + round(i * (last - 1) / (SAMPLE - 1)) for i in range(SAMPLE)} if last > SAMPLE
                        else range(1, last + 1))
        rows = catalog.execute(
            "SELECT text_bytes, language, substr(rest, 1, instr(rest || '/', '/') - 1) FROM (SELECT text_bytes, "
            "language, substr(url, instr(url, '://') + 3) AS rest FROM clean_documents JOIN documents USING (id) "
            "WHERE clean_documents.seq IN (SELECT value FROM json_each(?)))", [json.dumps(chosen)])
        hosts, languages, lengths = Counter[str](), Counter[str](), []
        for text_bytes, language, host in rows:
            lengths.append(text_bytes)
            languages[language or "unknown"] += 1
            hosts[host[:100] or "local files"] += 1
    return Dataset(steps, hosts.most_common(), languages.most_common(), sorted(lengths), steps[-1][1])


def read_examples(root: Path) -> dict[tuple[str, str], deque[dict[str, Any]]]:
    """(stage, reason) -> the newest refused documents."""
    examples: dict[tuple[str, str], deque[dict[str, Any]]] = defaultdict(lambda: deque(maxlen=EXAMPLES))
    for line in read_lines(root / "data/rejected.jsonl", REJECTED_BYTES):
        examples[str(line.get("stage")), str(line.get("reason"))].append(line)
    return examples


def read_samples(root: Path) -> list[dict[str, Any]]:
    """What the models made of the prompts that the last one got: a line a model."""
    found: list[dict[str, Any]] = []
    for line in read_lines(root / "data/samples.jsonl", HISTORY_BYTES):
        if all(isinstance(line.get(key), list) and all(isinstance(text, str) for text in line[key])
               for key in ("prompts", "texts", "originals")):
            if found and found[-1]["prompts"] != line["prompts"]:
                found.clear()
            found.append(line)
    return found


def read_queries(root: Path) -> list[str]:
    with contextlib.suppress(OSError, ValueError):
        lines = config_path(root, "queries.txt").read_text(encoding="utf-8").splitlines()
        return [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    return []


def read_shape(root: Path) -> dict[str, int]:
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError, RecursionError):
        shape = json.loads((root / "checkpoints/ckpt.json").read_bytes())["model_args"]
        return {key: int(numbers(shape)[key]) for key in ("n_layer", "n_embd", "block_size", "vocab_size")}
    return {}


# --- words and marks -----------------------------------------------------------------------------


def clean(value: object, most: int = 200) -> str:
    """Text from anywhere, for the page: no control characters, bounded, escaped."""
    words = strip_control(str(value)[:10 * most])
    return escape(words if len(words) <= most else cut(words[:most]))


def cut(words: str) -> str:
    """Text that goes on: without its last word, which may be half a one."""
    return re.sub(r"\s+\S*\Z", "", words) + " …"


def counted(n: float, noun: str, more: str = "") -> tuple[str, str]:
    return short(n) + more, noun if n == 1 else f"{noun}s"


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table that is shown when asked for."""
    def row(cells: Iterable[object], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{clean(cell)}</{tag}>" for cell in cells) + "</tr>"

    body = "".join(row(cells, "td") for cells in thin(list(rows), TABLE_ROWS))
    return (f"<details><summary>Table</summary><div class=wide {SCROLLS}><table><thead>{row(heads, 'th')}</thead>"
            f"<tbody>{body}</tbody></table></div></details>")


def figure(caption: str, plot: str, note: str, data: str) -> str:
    """A plot with its caption, a sentence on how to read it, and its table. `note` is ours or escaped already."""
    caption = f"<b>{escape(caption)}</b>" + (f"<p>{note}</p>" if note else "")
    return f"<figure><figcaption>{caption}</figcaption><div>{plot}{data}</div></figure>" if plot else ""


def section(title: str, *parts: str, grid: bool = False) -> str:
    body = "".join(parts)
    body = f"<div class=grid>{body}</div>" if grid else body
    return f"<section><h2>{escape(title)}</h2>{body}</section>" if "".join(parts) else ""


# --- sections ------------------------------------------------------------------------------------


def curve(runs: Sequence[Run], *keys: str) -> list[tuple[float, float]]:
    """(run, value), the value being the sum of the figures, for each run that has them all."""
    return [(run.number, sum(run.figures[key] for key in keys)) for run in runs
            if all(key in run.figures for key in keys)]


def over_runs(caption: str, note: str, y_name: str, series: dict[str, list[tuple[float, float]]], runs: Sequence[Run],
              from_zero: bool = False) -> str:
    """A plot over runs, and a table with their dates."""
    plot = plots.lines(caption, series, "run", y_name, from_zero=from_zero)
    by_run = [dict(points) for points in series.values()]
    say = plots.teller(value for each in by_run for value in each.values())
    rows = [(run.number, run.started[:10], *(say(each[run.number]) if run.number in each else "" for each in by_run))
            for run in runs if any(run.number in each for each in by_run)]
    return figure(caption, plot, note, table(["run", "date", *(name or y_name for name in series)], rows))


def title_of(root: Path) -> str:
    """The first queries, which say what it is about."""
    queries = read_queries(root)
    title = ", ".join(queries[:3]) + (f" and {len(queries) - 3:,} more" if len(queries) > 3 else "")
    return clean(title[:1].upper() + title[1:] or "No topic yet", 120)


def header(title: str, history: History, dataset: Dataset | None) -> str:
    runs = history.runs
    bits, tokens = curve(runs, "train.val_bpb"), curve(runs, "prepare.train_tokens", "prepare.val_tokens")
    numbers: list[tuple[str, str]] = []
    if runs:
        numbers.append(counted(len(runs), "run"))
    if dataset and dataset.documents:
        more = "+" if dataset.documents > SAMPLE else ""
        numbers += [counted(dataset.documents, "document"), counted(len(dataset.hosts), "site", more)]
    if tokens:
        numbers.append(counted(tokens[-1][1], "token"))
    told = "Nothing has been collected here yet. <code>python3 run.py</code> begins."
    if bits:
        change = bits[-1][1] - bits[0][1]
        told = (f"The model needs {bits[-1][1]:.3f} bits to foresee a byte of text that it has never seen"
                + (f", {abs(change):.3f} {'fewer' if change < 0 else 'more'} than after the first."
                   if abs(change) >= 0.0005 else "."))
    elif numbers:
        told = "No model has been trained yet."
    cells = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for value, name in numbers)
    return (f"<header><p class=eyebrow>miniature-memory</p><h1>{title}</h1>"
            f"<p class=lede>{told}</p>" + (f"<dl class=numbers>{cells}</dl>" if cells else "") + "</header>")


def notices(history: History, faults: list[str]) -> str:
    """What a person should know before she believes the page."""
    said = list(faults)
    if history.runs and (code := history.runs[-1].exit_code) != 0:
        done = [stage for stage in STAGES if f"{stage}.elapsed_sec" in history.runs[-1].figures]
        said.append(f"The last run did not come to its end (exit code {'unknown' if code is None else int(code)}). It "
                    f"finished {', '.join(done) or 'no stage'}; data/run.log tells why.")
    if history.n_damaged:
        said.append(f"{' '.join(counted(history.n_damaged, 'line'))} of data/runs.jsonl cannot be read.")
    return "".join(f"<p class=notice>{clean(words, 400)}</p>" for words in said)


def samples_section(lines: list[dict[str, Any]], runs: Sequence[Run]) -> str:
    """The same prompts, continued by the model of the first run, of one between and of the last."""
    def whose(line: dict[str, Any]) -> str:
        at = str(line.get("time", ""))
        run = next((run.number for run in runs if run.started <= at <= run.finished), None)
        bits = number(line.get("val_bpb"))
        return (f"Run {run}" if run else at[:10] or "A model") + (f" · {bits:.3f} bits per byte" if bits else "")

    shown, parts = thin(lines, SHOWN_SAMPLES), []
    for i, prompt in enumerate(shown[-1]["prompts"][:3] if shown else []):
        cards = [card(whose(line), line["texts"][i]) for line in shown if i < len(line["texts"])]
        if original := "".join(shown[-1]["originals"][i:i + 1]):
            cards.append(card("As it was written", cut(original), "original"))
        head = clean(" ".join(prompt.split()), 120)
        parts.append(f"<h3 dir=auto>{head} …</h3><div class=cards {SCROLLS}>{''.join(cards)}</div>")
    note = "<p class=note>Each run's model goes on from the same words.</p>" if parts else ""
    return section("What it writes", note, *parts)


def card(head: str, words: str, kind: str = "model") -> str:
    return (f"<article class={kind}><h4>{clean(head)}</h4>"
            f"<p dir=auto>… {clean(without_gaps(words), 600) or '(It ended here.)'}</p></article>")


def without_gaps(words: str) -> str:
    return re.sub(r"\s*\n\s*", "\n", words.strip())


def learning_section(runs: Sequence[Run]) -> str:
    grown = [run for run in runs if "train.val_bpb_old" in run.figures]  # else all text counts as new
    bits = {"all": curve(runs, "train.val_bpb"), "old text": curve(grown, "train.val_bpb_old"),
            "new text": curve(grown, "train.val_bpb_new")}
    return section(
        "How well it foresees",
        over_runs("Bits for a byte of unseen text", "Fewer are better; 8 would be knowing nothing."
                  + (" New text came with the last growth of the dataset, old text was there before." if grown else ""),
                  "bits per byte", bits if grown else {"": bits["all"]}, runs),
        over_runs("Loss", "On the text that it is trained on, and on text that it never sees in training. Where "
                  "training falls below, it learns by heart.", "nats a token",
                  {"validation": curve(runs, "train.val_loss"), "training": curve(runs, "train.train_loss")}, runs),
        grid=True)


def dataset_section(runs: Sequence[Run], dataset: Dataset | None) -> str:
    parts = [over_runs("Documents", "In the clean set, after each run.", "documents",
                       {"": curve(runs, "prepare.documents")}, runs, from_zero=True),
             over_runs("Tokens", "What the model can read: training and validation text.", "tokens",
                       {"": curve(runs, "prepare.train_tokens", "prepare.val_tokens")}, runs, from_zero=True)]
    if dataset and dataset.lengths:
        seen = len(dataset.lengths)
        note = "" if dataset.documents <= seen else f"Of {short(seen)} documents, evenly chosen."
        parts.append(way_of_the_data(dataset))
        parts.append(lengths_figure(dataset.lengths, note))
        parts.append(shares("Sites", "site", dataset.hosts, seen, note))
        parts.append(shares("Languages", "language", dataset.languages, seen, note))
    return section("What it has read", *parts, grid=True)


def way_of_the_data(dataset: Dataset) -> str:
    steps = [(name, n) for name, n in dataset.steps if n]  # no pages, where documents came from files
    return figure("From found to kept", plots.bars("From found to kept", steps, ""), "What is left after each stage.",
                  table(["stage", "left"], [(name, f"{n:,}") for name, n in steps]))


def shares(caption: str, noun: str, counts: list[tuple[str, int]], total: int, note: str) -> str:
    """The commonest of something, by the share of the documents."""
    rows = [(strip_control(name), 100 * n / total) for name, n in counts[:TOP]]
    if others := sum(n for _, n in counts[TOP:]):
        note += f" {len(counts) - TOP:,} others have {two_digits(100 * others / total)} % of them."
    plot = plots.bars(caption, rows, "% of the documents", say=lambda share: f"{two_digits(share)} %")
    listed = [(name, f"{n:,}") for name, n in counts[:TABLE_ROWS]]
    return figure(caption, plot, note, table([noun, "documents"], listed))


def lengths_figure(lengths: list[int], note: str) -> str:
    """Bins of three to a power of ten, from where the shortest document lies to the longest."""
    places = [math.floor(3 * math.log10(max(1, n)) + 1e-9) for n in lengths]
    share = 1 / len(lengths)
    counts = Counter(places)
    bins = [plots.Bin(10 ** (i / 3), 10 ** ((i + 1) / 3), counts[i] * share)
            for i in range(min(places), max(places) + 1)]
    middle = max(1, lengths[len(lengths) // 2])
    plot = plots.histogram("Length of a document", bins, "length of the text", "documents", middle, say_bytes)
    rows = [(f"{say_bytes(each.low)} to {say_bytes(each.high)}", f"{each.share:.1%}") for each in bins]
    return figure("Length of a document", plot, note, table(["length", "documents"], rows))


def say_bytes(n: float) -> str:
    size, unit = next((pair for pair in ((1e6, "MB"), (1e3, "kB")) if n >= 0.9995 * pair[0]), (1, "B"))
    return f"{n / size:.3g} {unit}"


def refused_section(dropped: Counter[tuple[str, str]], examples: dict[tuple[str, str], deque[dict[str, Any]]]) -> str:
    parts = []
    for caption, stages in (("Documents refused", ("validate", "clean")),
                            ("Pages not read", ("scrape", "extract"))):
        rows = [(key, n) for key, n in dropped.most_common() if key[0] in stages and key[1] not in NOT_LOST]
        drawn: list[tuple[str, float]] = [(reason.replace("_", " "), n) for (_, reason), n in rows[:TOP]]
        if rows[TOP:]:
            drawn.append((f"{len(rows) - TOP} other reasons", sum(n for _, n in rows[TOP:])))
        parts.append(figure(caption, plots.bars(caption, drawn, caption.split()[0].lower()), "In all runs, by reason.",
                            table(["stage", "reason", "count"], [(*key, f"{n:,}") for key, n in rows])))
    shown = sorted((key for key in examples if key[0] in STAGES), key=lambda key: -dropped[key])[:EXAMPLE_REASONS]
    told = "".join(example_list(key[1], dropped[key], examples[key], key == shown[0]) for key in shown)
    note = "<h3>Examples</h3><p class=note>The newest of each reason, from data/rejected.jsonl.</p>"
    told = note + told if told else ""
    return section("What was refused", f"<div class=grid>{''.join(parts)}</div>" if any(parts) else "", told)


def example_list(reason: str, n: int, found: Iterable[dict[str, Any]], is_open: bool) -> str:
    items, measured = [], (("found", "value"), ("limit", "threshold"))
    for line in reversed(list(found)):
        limits = ", ".join(f"{name} {clean(line[key], 40)}" for name, key in measured if key in line)
        words = str(line.get("text", ""))
        words = without_gaps(words if len(words) < REJECTED_CHARS else cut(words))
        items.append(f"<li><p class=source>{clean(line.get('url', ''), 120)}<span>{limits}</span></p>"
                     f"<blockquote dir=auto>{clean(words, 2 * REJECTED_CHARS)}</blockquote></li>")
    head = clean(reason.replace("_", " "), 60) + (f" · {n:,}" if n else "")
    return f"<details{' open' * is_open}><summary>{head}</summary><ul>{''.join(items)}</ul></details>"


def cost_section(runs: Sequence[Run]) -> str:
    longest = max((run.figures.get(f"{stage}.elapsed_sec", 0.0) for run in runs for stage in STAGES), default=0.0)
    time = ("minutes", 60.0) if longest >= 300 else ("seconds", 1.0)
    return section("What it took", cost("Time of each stage", runs, "elapsed_sec", *time),
                   cost("Peak memory of each stage", runs, "peak_mb", "MB", 1.0),
                   over_runs("Speed of training", "", "tokens a second", {"": curve(runs, "train.tok_per_sec")}, runs,
                             from_zero=True), grid=True)


def cost(caption: str, runs: Sequence[Run], key: str, unit: str, size: float) -> str:
    """A bar for what each stage took when it last ran, a stroke for the median of all its runs."""
    values = {stage: [value / size for _, value in curve(runs, f"{stage}.{key}")] for stage in STAGES}
    rows = [(stage, found[-1], statistics.median(found)) for stage, found in values.items() if found]
    several = any(len(found) > 1 for found in values.values())
    plot = plots.bars(caption, [(stage, last) for stage, last, _ in rows], unit,
                      [usual for *_, usual in rows] if several else (), two_digits)
    return figure(caption, plot, "The last run; the stroke is the median of all." if several else "",
                  table(["stage", unit, "median"], [(stage, two_digits(last), two_digits(usual))
                                                    for stage, last, usual in rows]))


def two_digits(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def settings_section(tables: Tables, shape: dict[str, int], runs: Sequence[Run]) -> str:
    usual = read_tables(PROJECT)
    rows, changed = [], []
    for name, settings in tables.items():
        for key, value in settings.items():
            hidden = key in PRIVATE and value
            shown = "set, and not shown here" if hidden else json.dumps(value, ensure_ascii=False)
            rows.append(f"<tr><td>{clean(name)}.{clean(key)}</td><td>{clean(shown)}</td></tr>")
            if value != usual[name][key]:
                changed.append(f"<tr><td>{clean(name)}.{clean(key)}</td><td>{clean(shown)}</td></tr>")
    parameters = curve(runs, "train.parameters")
    told = ("{n_layer} layers of {n_embd}, a context of {block_size} tokens, a vocabulary of {vocab_size:,}"
            .format(**shape) if shape else "")
    told += f", {short(parameters[-1][1])} parameters" if told and parameters else ""
    return section("Configuration", f"<p class=note>The model: {told}.</p>" if told else "",
                   f"<h3>Other than config/default.toml</h3><table class=settings>{''.join(changed)}</table>"
                   if changed else "<p class=note>Every setting is as in config/default.toml.</p>",
                   f"<details><summary>All settings</summary><table class=settings>{''.join(rows)}</table></details>")


# --- the page ------------------------------------------------------------------------------------

STYLE = f"""
:root{{color-scheme:light dark;{plots.LIGHT};--page:#fbfaf7;--card:#fff;--warm:#f3efe6}}
@media(prefers-color-scheme:dark){{:root{{{plots.DARK};--page:#161614;--card:#1e1e1b;--warm:#24231f}}}}
{plots.STYLE}""" + """
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);font:1rem/1.6 system-ui,sans-serif;overflow-wrap:anywhere}
header,main,footer{max-width:68rem;margin:0 auto;padding:0 1.25rem}
header{padding-top:clamp(2rem,7vw,5rem)}
h1,h2,h3,.lede,.numbers dd,article p,blockquote{font-family:"Iowan Old Style",Palatino,Georgia,serif}
h1{font-size:clamp(1.9rem,6vw,3.2rem);line-height:1.12;font-weight:600;letter-spacing:-.015em;margin:.2rem 0 1rem;
text-wrap:balance}
section{padding-bottom:3.5rem}
header+main{margin-top:3.5rem}
h2{font-size:1.6rem;line-height:1.25;font-weight:600;margin:0 0 1.25rem;padding-top:1.25rem;
border-top:1px solid var(--rule)}
h3{font-size:1.1rem;line-height:1.35;font-weight:600;margin:2.25rem 0 .75rem}
h4{font-size:.8rem;font-weight:600;color:var(--soft);margin:0 0 .5rem}
.eyebrow{font-size:.8rem;letter-spacing:.08em;color:var(--soft);margin:0}
.lede{font-size:clamp(1.1rem,2.6vw,1.35rem);line-height:1.5;max-width:42rem;margin:0 0 2rem}
.numbers{display:flex;flex-wrap:wrap;gap:1.25rem clamp(1.75rem,5vw,3rem);margin:0}
.numbers div{display:flex;flex-direction:column-reverse}
.numbers dt{font-size:.85rem;color:var(--soft)}
.numbers dd{margin:0;font-size:2rem;line-height:1.2;font-variant-numeric:lining-nums}
.notice{background:var(--warm);border-left:3px solid var(--c2);padding:.75rem 1rem;margin:0 0 2rem;max-width:42rem}
.note,figcaption p{color:var(--soft);font-size:.9rem;line-height:1.5;margin:.15rem 0 0;max-width:38rem}
.grid{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,24rem),1fr));gap:0 4rem;
margin-bottom:-2.5rem}
figure{margin:0 0 2.5rem;min-width:0;display:grid;grid-template-rows:subgrid;grid-row:span 2;align-items:start}
figcaption{margin-bottom:.9rem}
.plot{display:block;width:100%;max-width:32rem;height:auto}
@media(min-width:60rem){.plot{font-size:11px}}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(14rem,1fr));gap:1rem}
@media(max-width:40rem){.cards{grid-template-columns:none;grid-auto-flow:column;grid-auto-columns:86%;overflow-x:auto;
scroll-snap-type:x mandatory;margin:0 -1.25rem;padding:0 1.25rem;scroll-padding:1.25rem}
.cards>*{scroll-snap-align:start}}
article{background:var(--card);border:1px solid var(--rule);border-radius:6px;padding:1rem 1.1rem;min-width:0}
article p{margin:0;white-space:pre-line;font-size:1rem;line-height:1.5}
h3:has(+.cards){font-style:italic}
article.original{background:var(--warm);border-color:var(--warm)}
details{margin-top:.75rem;font-size:.9rem}
summary{cursor:pointer;color:var(--soft);width:fit-content;padding:.15rem 0}
summary:hover{color:var(--ink)}
.wide{overflow-x:auto;max-height:22rem;margin-top:.5rem}
table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:.85rem}
th,td{text-align:left;padding:.3rem 1.25rem .3rem 0;border-bottom:1px solid var(--rule);vertical-align:top}
th{font-weight:600;color:var(--soft);overflow-wrap:normal}
.settings{width:100%;max-width:46rem;margin-top:.75rem}
.settings td:first-child{width:50%}
ul{list-style:none;margin:.5rem 0 0;padding:0}
li{margin:0 0 1rem}
.source{font-size:.8rem;color:var(--soft);margin:0}
.source span{display:block}
blockquote{margin:.25rem 0 0;padding-left:.9rem;border-left:2px solid var(--rule);white-space:pre-line;max-width:42rem}
footer{padding-bottom:3rem;color:var(--soft);font-size:.85rem}
code{font-family:ui-monospace,monospace;font-size:.9em}
"""

HEAD = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,">
<title>TITLE · miniature-memory</title>
<style>STYLE</style>
</head>
<body>
"""


def page(root: Path, tables: Tables) -> str:
    """The whole report. Damage is told on it and raises nothing."""
    faults, dataset = [], None
    try:
        dataset = read_dataset(root)
    except (StageError, sqlite3.Error) as error:
        if (root / "data/catalog.sqlite3").exists():
            faults.append(f"The catalog could not be read: {error}")
    history, samples = read_history(root), read_samples(root)
    runs = history.runs
    body = [notices(history, faults), samples_section(samples, runs), learning_section(runs),
            dataset_section(runs, dataset), refused_section(history.dropped, read_examples(root)), cost_section(runs),
            settings_section(tables, read_shape(root), runs)]
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    title = title_of(root)
    return (HEAD.replace("STYLE", STYLE).replace("TITLE", title) + header(title, history, dataset)
            + f"<main>{''.join(body)}</main><footer><p>Written {now} by report.py. This page loads nothing and sends "
            "nothing.</p></footer>\n</body>\n</html>\n")


def write(root: Path, tables: Tables, quiet: bool) -> int:
    """Write data/report.html and print its path."""
    logging.basicConfig(level=logging.ERROR if quiet else logging.INFO, format="%(message)s", force=True)
    path = root / "data/report.html"
    content = page(root, tables)
    try:
        write_aside(path, content.encode())
    except OSError as error:
        raise cannot_write(path, error) from None
    print(path)
    return EXIT_DONE
