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

import plots
from catalog import Catalog, read_lines, write_aside
from pipeline import (
    PROJECT,
    ArgumentParser,
    StageError,
    Tables,
    common_arguments,
    config_path,
    guarded,
    read_tables,
    strip_control,
)
from plots import short, thin

SAMPLE = 20_000  # documents looked at for hosts, languages and lengths
HISTORY_BYTES = 32_000_000  # of runs.jsonl and samples.jsonl, each, from their ends: more than ten thousand runs
REJECTED_BYTES = 4_000_000  # of rejected.jsonl, from its end
TOP = 10  # hosts, languages and reasons drawn
EXAMPLES, EXAMPLE_REASONS = 3, 12  # of a reason, the newest; reasons with examples
SHOWN_SAMPLES = 4  # models side by side
TABLE_ROWS = 60
MOST = 1e15  # numbers beyond are damage

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
    steps: list[tuple[str, float]]  # what is left of it after each stage
    hosts: list[tuple[str, int]]  # of the documents looked at, most first
    languages: list[tuple[str, int]]
    lengths: list[int]  # bytes of text of the documents looked at, in order
    documents: int  # in the clean set


def number(value: object) -> float | None:
    """A finite number of a sane size; None for anything else that a damaged line may hold."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not -MOST < value < MOST:
        return None
    return float(value)


def read_history(root: Path) -> History:
    runs, dropped, n_damaged = [], Counter[tuple[str, str]](), 0
    for n, line in enumerate(read_lines(root / "data/runs.jsonl", HISTORY_BYTES), 1):
        n_damaged += not line
        figures: dict[str, float] = {}
        reports = line.get("reports")
        for report in reports if isinstance(reports, list) else []:
            if not isinstance(report, dict) or report.get("stage") not in STAGES:
                continue
            facts = report["facts"] if isinstance(report.get("facts"), dict) else {}
            for source, keys in ((report, COUNTERS), (facts, FACTS)):
                found = {f"{report['stage']}.{key}": number(source.get(key)) for key in keys}
                figures |= {key: value for key, value in found.items() if value is not None}
            reasons = report["dropped"] if isinstance(report.get("dropped"), dict) else {}
            for reason, count in reasons.items():
                if (count := number(count)) and re.fullmatch(r"\w{1,60}", reason):
                    dropped[report["stage"], reason] += int(count)
        if line:
            runs.append(Run(n, str(line.get("started", ""))[:20], str(line.get("finished", ""))[:20],
                            number(line.get("exit_code")), figures))
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


def read_shape(root: Path) -> dict[str, Any]:
    with contextlib.suppress(OSError, ValueError, RecursionError):
        shape = json.loads((root / "checkpoints/ckpt.json").read_bytes())["model_args"]
        return {key: int(shape[key]) for key in ("n_layer", "n_embd", "block_size", "vocab_size")}
    return {}


# --- words and marks -----------------------------------------------------------------------------


def clean(value: object, most: int = 200) -> str:
    """Text from anywhere, for the page: no control characters, bounded, escaped."""
    words = strip_control(str(value)[:10 * most])
    return escape(words if len(words) <= most else words[:most].rsplit(None, 1)[0] + " …")


def count(n: float, noun: str) -> str:
    return f"{'one' if n == 1 else short(n)} {noun}{'' if n == 1 else 's'}"


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table that is shown when asked for."""
    def row(cells: Iterable[object], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{'' if cell is None else clean(cell)}</{tag}>" for cell in cells) + "</tr>"

    return ("<details><summary>Table</summary><div class=wide tabindex=0><table><thead>" + row(heads, "th")
            + "</thead><tbody>" + "".join(row(cells, "td") for cells in thin(list(rows), TABLE_ROWS))
            + "</tbody></table></div></details>")


def figure(caption: str, plot: str, note: str, data: str) -> str:
    """A plot with its caption, a sentence on how to read it, and its table. `note` is ours or escaped already."""
    note = f"<p>{note}</p>" if note else ""
    return f"<figure><figcaption><b>{escape(caption)}</b>{note}</figcaption>{plot}{data}</figure>" if plot else ""


def section(title: str, *parts: str, grid: bool = False) -> str:
    body = "".join(parts)
    body = f"<div class=grid>{body}</div>" if grid else body
    return f"<section><h2>{escape(title)}</h2>{body}</section>" if "".join(parts) else ""


# --- sections ------------------------------------------------------------------------------------


def curve(runs: Sequence[Run], *keys: str) -> list[tuple[float, float]]:
    """(run, value), the value being the sum of the figures, for each run that has them all."""
    return [(run.number, sum(run.figures[key] for key in keys)) for run in runs
            if all(key in run.figures for key in keys)]


def over_runs(caption: str, note: str, runs: Sequence[Run], y_name: str, from_zero: bool = False,
              **series: tuple[str, ...]) -> str:
    """A plot over runs: of each series the name and the figures that make it up."""
    points = {name.replace("_", " "): curve(runs, *keys) for name, keys in series.items()}
    points = {name: values for name, values in points.items() if values}
    plot = plots.lines(caption, points if len(points) > 1 else {"": values for values in points.values()}, "run",
                       y_name, from_zero=from_zero)
    by_run: list[dict[float, float]] = [dict(values) for values in points.values()]
    rows = [(run.number, run.started[:10], *(short(each[run.number]) if run.number in each else "" for each in by_run))
            for run in runs if any(run.number in each for each in by_run)]
    return figure(caption, plot, note, table(["run", "date", *points], rows))


def header(history: History, dataset: Dataset | None, queries: list[str]) -> str:
    runs = history.runs
    bits, tokens = curve(runs, "train.val_bpb"), curve(runs, "prepare.train_tokens", "prepare.val_tokens")
    numbers = [(short(len(runs)), "run" if len(runs) == 1 else "runs")] if runs else []
    told = []
    if dataset and dataset.documents:
        exact = "" if dataset.documents <= SAMPLE else "more than "
        collected = f"{count(dataset.documents, 'document')} from {exact}{count(len(dataset.hosts), 'site')}"
        told.append(f"In {count(len(runs), 'run')} {collected} came together." if runs else f"There are {collected}.")
        numbers.append((short(dataset.documents), "documents"))
    if tokens:
        numbers.append((short(tokens[-1][1]), "tokens"))
    if bits:
        change = bits[-1][1] - bits[0][1]
        than = (f", {abs(change):.3f} {'fewer' if change < 0 else 'more'} than after the first run"
                if abs(change) >= 0.0005 else "")
        told.append(f"The model needs {bits[-1][1]:.3f} bits to foresee a byte of text that it has never seen{than}.")
        numbers.append((f"{bits[-1][1]:.3f}", "bits a byte"))
    if not told:
        told.append("Nothing has been collected here yet. <code>python3 run.py</code> begins.")
    topic = ", ".join(queries[:3]) + (f" and {len(queries) - 3} more" if len(queries) > 3 else "")
    cells = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for value, name in numbers)
    return (f"<header><p class=eyebrow>miniature-memory</p><h1>{clean(topic, 120) or 'No topic yet'}</h1>"
            f"<p class=lede>{' '.join(told)}</p>" + (f"<dl class=numbers>{cells}</dl>" if cells else "") + "</header>")


def notices(history: History, faults: list[str]) -> str:
    """What a person should know before she believes the page."""
    said = list(faults)
    if history.runs and (code := history.runs[-1].exit_code) != 0:
        done = [stage for stage in STAGES if f"{stage}.elapsed_sec" in history.runs[-1].figures]
        said.append(f"The last run did not come to its end ({'killed' if code is None else f'exit code {code:.0f}'}); "
                    f"{'finished were: ' + ', '.join(done) if done else 'it finished no stage'}. data/run.log tells why.")
    if history.n_damaged:
        said.append(f"Of data/runs.jsonl {count(history.n_damaged, 'line')} could not be read and "
                    f"{'is' if history.n_damaged == 1 else 'are'} left out.")
    return "".join(f"<p class=notice>{clean(words, 400)}</p>" for words in said)


def samples_section(lines: list[dict[str, Any]], runs: Sequence[Run]) -> str:
    """The same prompts, continued by the model of the first run, of some between and of the last."""
    def whose(line: dict[str, Any]) -> str:
        at = str(line.get("time", ""))
        run = next((run.number for run in runs if run.started <= at <= run.finished), None)
        bits = number(line.get("val_bpb"))
        parts = [f"Run {run}" if run else "", at[:10], f"{bits:.3f} bits a byte" if bits else ""]
        return clean(" · ".join(filter(None, parts)) or "A model")

    def card(head: str, prompt: str, words: str, kind: str = "") -> str:
        return (f'<article class="{kind}"><h4>{head}</h4><p dir=auto><span class=prompt>{clean(prompt, 400).strip()}</span> '
                f"{clean(words, 600).strip() or '(It ended here.)'}</p></article>")

    shown = thin(lines, SHOWN_SAMPLES)
    parts = []
    for i, prompt in enumerate(shown[-1]["prompts"][:3] if shown else []):
        cards = [card(whose(line), prompt, line["texts"][i]) for line in shown if i < len(line["texts"])]
        original = shown[-1]["originals"][i] if i < len(shown[-1]["originals"]) else ""
        if original:
            cards.append(card("As it was written", prompt, original.rsplit(None, 1)[0] + " …", "original"))
        parts.append(f"<h3 dir=auto>{clean(' '.join(prompt.split()), 90)}</h3><div class=cards>{''.join(cards)}</div>")
    note = ("<p class=note>Each run's model continues the same words, with the same seed.</p>" if parts else "")
    return section("What it writes", note, *parts)


def learning_section(runs: Sequence[Run]) -> str:
    return section(
        "How well it foresees", over_runs(
            "Bits for a byte of unseen text", "Fewer are better; 8 would be knowing nothing. Old text was there before "
            "the last growth of the dataset, new text came with it.", runs, "bits a byte",
            all=("train.val_bpb",), old_text=("train.val_bpb_old",), new_text=("train.val_bpb_new",)),
        over_runs("Loss", "On the text it is trained on, and on text it never sees in training. Where they part, it "
                  "learns by heart.", runs, "nats a token", validation=("train.val_loss",),
                  training=("train.train_loss",)), grid=True)


def dataset_section(runs: Sequence[Run], dataset: Dataset | None) -> str:
    parts = [over_runs("Documents", "In the clean set, after each run.", runs, "documents", True,
                       documents=("prepare.documents",)),
             over_runs("Tokens", "What the model can read: training and validation text.", runs, "tokens", True,
                       tokens=("prepare.train_tokens", "prepare.val_tokens"))]
    if dataset and dataset.lengths:
        seen = len(dataset.lengths)
        note = "" if dataset.documents <= seen else f"Of {short(seen)} documents, evenly chosen."
        parts.append(way_of_the_data(dataset))
        parts.append(lengths_figure(dataset.lengths, note))
        parts.append(shares("Sites", "site", dataset.hosts, seen, note))
        parts.append(shares("Languages", "language", dataset.languages, seen, note))
    return section("What it has read", *parts, grid=True)


def way_of_the_data(dataset: Dataset) -> str:
    return figure("From found to kept", plots.bars("From found to kept", dataset.steps, "count"),
                  "What is left after each stage.", table(["stage", "count"], dataset.steps))


def shares(caption: str, noun: str, counts: list[tuple[str, int]], total: int, note: str) -> str:
    """The commonest of something, by the share of the documents."""
    rows: list[tuple[str, float]] = [(strip_control(name), 100 * n / total) for name, n in counts[:TOP]]
    if others := sum(n for _, n in counts[TOP:]):
        rows.append((f"{len(counts) - TOP:,} others", 100 * others / total))
    plot = plots.bars(caption, rows, "% of the documents", say=lambda share: f"{share:.3g} %")
    return figure(caption, plot, note, table([noun, "documents"], [(name, f"{n:,}") for name, n in counts[:TABLE_ROWS]]))


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
    shown = [key for key, _ in dropped.most_common() if key in examples] or list(examples)
    told = "".join(example_list(key, examples[key]) for key in shown[:EXAMPLE_REASONS] if key[0] in STAGES)
    told = f"<h3>Examples</h3><p class=note>The newest of each reason, from data/rejected.jsonl.</p>{told}" if told else ""
    return section("What was refused", f"<div class=grid>{''.join(parts)}</div>" if any(parts) else "", told)


def example_list(key: tuple[str, str], found: Iterable[dict[str, Any]]) -> str:
    items = []
    for line in reversed(list(found)):
        limits = [f"{name} {clean(line[part], 40)}" for name, part in (("found", "value"), ("limit", "threshold"))
                  if line.get(part) not in (None, "")]
        items.append(f"<li><p class=source>{clean(line.get('url', ''), 120)}"
                     f"<span>{', '.join(limits)}</span></p><blockquote dir=auto>{clean(line.get('text', ''))}"
                     "</blockquote></li>")
    return f"<details><summary>{clean(key[1].replace('_', ' '), 60)}</summary><ul>{''.join(items)}</ul></details>"


def cost_section(runs: Sequence[Run]) -> str:
    """Time and memory of each stage: the last run that had it as a bar, the median of all as a stroke."""
    parts = []
    for caption, key, note in (("Time", "elapsed_sec", "seconds"), ("Peak memory", "peak_mb", "MB")):
        values = {stage: [value for _, value in curve(runs, f"{stage}.{key}")] for stage in STAGES}
        values = {stage: found for stage, found in values.items() if found}
        usual = {stage: statistics.median(found) for stage, found in values.items()}
        rows = [(stage, found[-1]) for stage, found in values.items()]
        plot = plots.bars(f"{caption} of each stage", rows, note, [*usual.values()] if len(runs) > 1 else [])
        parts.append(figure(f"{caption} of each stage", plot, "The last run"
                            + ("; the stroke is the median of all." if len(runs) > 1 else "."),
                            table(["stage", f"last, {note}", "median"],
                                  [(stage, short(last), short(usual[stage])) for stage, last in rows])))
    return section("What it took", *parts, over_runs(
        "Speed of training", "", runs, "tokens a second", True, speed=("train.tok_per_sec",)), grid=True)


def settings_section(tables: Tables, shape: dict[str, Any], runs: Sequence[Run]) -> str:
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
    told = ("{n_layer} layers of {n_embd}, a context of {block_size} tokens, a vocabulary of {vocab_size:,}".format(**shape)
            if shape else "")
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
h1,h2,h3,.lede,.numbers dd,article p,blockquote{font-family:"Iowan Old Style",Palatino,"Palatino Linotype",Georgia,serif}
h1{font-size:clamp(1.9rem,6vw,3.2rem);line-height:1.12;font-weight:600;letter-spacing:-.015em;margin:.2rem 0 1rem;
text-wrap:balance}
h2{font-size:1.6rem;line-height:1.25;font-weight:600;margin:4.5rem 0 1.25rem;padding-top:1.25rem;
border-top:1px solid var(--rule)}
h3{font-size:1.1rem;line-height:1.35;font-weight:600;margin:2.25rem 0 .75rem}
h4{font-size:.8rem;font-weight:600;color:var(--soft);margin:0 0 .5rem}
.eyebrow{font-size:.8rem;letter-spacing:.08em;color:var(--soft);margin:0}
.lede{font-size:clamp(1.1rem,2.6vw,1.35rem);line-height:1.5;max-width:42rem;margin:0 0 2rem}
.numbers{display:flex;flex-wrap:wrap;gap:1.25rem 3rem;margin:0}
.numbers div{display:flex;flex-direction:column-reverse}
.numbers dt{font-size:.85rem;color:var(--soft)}
.numbers dd{margin:0;font-size:2rem;line-height:1.2;font-variant-numeric:lining-nums}
.notice{background:var(--warm);border-left:3px solid var(--c2);padding:.75rem 1rem;margin:2rem 0 0;max-width:42rem}
.note,figcaption p{color:var(--soft);font-size:.9rem;line-height:1.5;margin:.15rem 0 0;max-width:38rem}
.grid{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,24rem),1fr));gap:3rem 4rem}
figure{margin:0;min-width:0}
figcaption{margin-bottom:.9rem}
.plot{display:block;width:100%;max-width:32rem;height:auto}
@media(min-width:60rem){.plot{font-size:11px}}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,14rem),1fr));gap:1rem}
article{background:var(--card);border:1px solid var(--rule);border-radius:6px;padding:1rem 1.1rem;min-width:0}
article p{margin:0;white-space:pre-line;font-size:1rem;line-height:1.5}
article.original{background:var(--warm);border-color:var(--warm)}
.prompt{color:var(--c1)}
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
footer{margin-top:5rem;padding-bottom:3rem;color:var(--soft);font-size:.85rem}
code{font-family:ui-monospace,monospace;font-size:.9em}
"""

HEAD = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,">
<title>miniature-memory: report</title>
<style>{STYLE}</style>
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
    return (HEAD + header(history, dataset, read_queries(root)) + f"<main>{''.join(body)}</main>"
            f"<footer><p>Written {now} by report.py. This page loads nothing and sends nothing.</p></footer>"
            "\n</body>\n</html>\n")


def main(argv: list[str] | None = None) -> int:
    parser = ArgumentParser(prog="report.py", description=__doc__)
    common_arguments(parser)

    def work() -> int:
        args = parser.parse_args(argv)
        path = args.root / "data/report.html"
        write_aside(path, page(args.root, read_tables(args.root, args.config, args.overrides)).encode())
        print(path)
        return 0

    return guarded("report.py", work)


if __name__ == "__main__":
    raise SystemExit(main())
