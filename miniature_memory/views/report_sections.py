"""The sections of the report: each takes what was read and returns HTML, '' where there is nothing to show."""

import json
import math
import re
import statistics
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from miniature_memory.core.config import Tables
from miniature_memory.core.text import counted, hostname, strip_control
from miniature_memory.crawl.outcomes import reason_in_words
from miniature_memory.storage.topic_pages import FitSummary
from miniature_memory.views import plots
from miniature_memory.views.history import Run
from miniature_memory.views.plots import Points, short, thin
from miniature_memory.views.report_data import Copied, Dataset, Reason, Sample
from miniature_memory.views.status import Facts

REJECTED_CHARS = 200  # that the catalog keeps of a rejected text
TOP = 10  # hosts, languages and reasons drawn
EXAMPLE_REASONS = 12  # with examples
SHOWN_SAMPLES = 3  # models side by side: the first, one between, the last
TABLE_ROWS = 60
LICENSES_NOTE = "As the pages name them; a page that names none may still be protected."
SCROLLS = "tabindex=0 role=group aria-label=Scrollable"  # so that a keyboard can scroll it, too
STAGES = ("search", "scrape", "extract", "validate", "clean", "prepare", "train")
COST_NOTHING = ("already_known", "not_modified")  # reasons of search and scrape by which nothing is lost
PRIVATE = ("contact", "proxy", "allow_private", "connect_to", "searxng_url")  # settings that a shared page must hide


# --- words and marks -----------------------------------------------------------------------------


def clean(value: object, most: int = 200) -> str:
    """Text from anywhere, for the page: no control characters, bounded, escaped."""
    words = strip_control(str(value)[:10 * most])
    return escape(words if len(words) <= most else cut(words[:most]))


def cut(words: str) -> str:
    """Text that continues: without its last word, which may be half of one."""
    return re.sub(r"(?<!\s)\s++\S*+\Z", "", words) + " …"


def without_gaps(words: str) -> str:
    return "\n".join(filter(None, map(str.strip, words.split("\n"))))


def two_digits(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def bytes_in_words(n: float) -> str:
    size, unit = next((pair for pair in ((1e6, "MB"), (1e3, "kB")) if n >= 0.9995 * pair[0]), (1, "B"))
    return f"{n / size:.3g} {unit}"


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table that opens on request."""
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


def curve(runs: Sequence[Run], stage: str, *keys: str) -> list[tuple[float, float]]:
    """(run, value), the value being the sum of the figures, for each run that has them all."""
    figures = [(run.number, [run.figure(stage, key) for key in keys]) for run in runs]
    return [(n, sum(value for value in values if value is not None)) for n, values in figures if None not in values]


def over_runs(caption: str, note: str, y_name: str, series: Mapping[str, Points], runs: Sequence[Run],
              from_zero: bool = False) -> str:
    """A plot over runs, and a table with their dates."""
    if max(map(len, series.values())) == 1:
        return figure(caption, first_values(series, y_name), note, "")
    plot = plots.lines(caption, series, "run", y_name, from_zero=from_zero)
    by_run = [dict(points) for points in series.values()]
    say = plots.formatter(value for each in by_run for value in each.values())
    rows = [(run.number, run.started[:10], *(say(each[run.number]) if run.number in each else "" for each in by_run))
            for run in runs if any(run.number in each for each in by_run)]
    return figure(caption, plot, note, table(["run", "date", *(name or y_name for name in series)], rows))


def first_values(series: Mapping[str, Points], y_name: str) -> str:
    """What there is after one run: numbers, since a line begins with the second."""
    say = plots.formatter(points[0][1] for points in series.values() if points)
    cells = "".join(f"<div><dt>{escape(name or y_name)}</dt><dd>{say(points[0][1])}</dd></div>"
                    for name, points in series.items() if points)
    return f"<dl class='numbers first'>{cells}</dl>"


# --- the head of the page ------------------------------------------------------------------------


def title(queries: list[str]) -> str:
    """The first queries, which say what the model is about."""
    words = ", ".join(queries[:3]) + (f" and {len(queries) - 3:,} more" if len(queries) > 3 else "")
    return clean(words[:1].upper() + words[1:] or "No topic yet", 120)


def header(title: str, runs: Sequence[Run], dataset: Dataset | None, start: str) -> str:
    """start: the command that collects."""
    bits, tokens = curve(runs, "train", "val_bpb"), curve(runs, "prepare", "train_tokens", "val_tokens")
    numbers: list[tuple[float, str]] = [(len(runs), "run")] if runs else []
    if dataset and dataset.counts.documents:
        numbers += [(dataset.counts.documents, "document"), (len(dataset.hosts), "site")]
    if tokens:
        numbers.append((tokens[-1][1], "token"))
    lede = f"Nothing has been collected here yet. Start with <code>{escape(start)}</code>."
    if bits:
        change = bits[-1][1] - bits[0][1]
        lede = (f"The model predicts unseen text at {bits[-1][1]:.3f} bits per byte"
                + (f", {abs(change):.3f} {'lower' if change < 0 else 'higher'} than after the first run."
                   if abs(change) >= 0.0005 else "."))
    elif dataset and dataset.counts.raw_documents:
        lede = "No model has been trained yet."
    elif runs:
        lede = "No page could be read yet."
    sampled = dataset is not None and dataset.counts.documents > len(dataset.lengths)
    cells = "".join(f"<div><dt>{noun}{'s' * (n != 1)}</dt><dd>{short(n)}{'+' * (sampled and noun == 'site')}</dd></div>"
                    for n, noun in numbers)
    return (f"<header><p class=eyebrow>miniature-memory</p><h1>{title}</h1>"
            f"<p class=lede>{lede}</p>" + (f"<dl class=numbers>{cells}</dl>" if cells else "") + "</header>")


def notices(runs: Sequence[Run], problems: list[str]) -> str:
    """What a reader should know before trusting the page."""
    found = list(problems)
    if runs and (code := runs[-1].exit_code) != 0:
        how = "an error in the program" if code is None else f"exit code {code}"
        found.append(f"The last run ended early ({how}). It finished {', '.join(runs[-1].stages) or 'no stage'}; "
                     "see data/run.log for the cause.")
    return "".join(f"<p class=notice>{clean(words, 400)}</p>" for words in found)


# --- what the model does -------------------------------------------------------------------------


def samples(found: list[Sample], runs: Sequence[Run]) -> str:
    """The same prompts, continued by the model of the first run, of one between and of the last."""
    def whose(sample: Sample) -> str:
        run = next((run.number for run in runs if run.started <= sample.time <= run.finished), None)
        return ((f"Run {run}" if run else sample.time[:10] or "A model")
                + (f" · {sample.val_bpb:.3f} bits per byte" if sample.val_bpb else ""))

    shown, parts = thin(found, SHOWN_SAMPLES), []
    for i, prompt in enumerate(shown[-1].prompts[:3] if shown else []):
        cards = [card(whose(sample), sample.texts[i]) for sample in shown if i < len(sample.texts)]
        if original := "".join(shown[-1].originals[i:i + 1]):
            cards.append(card("The original", cut(original), "original"))
        head = clean(" ".join(prompt.split()), 120)
        parts.append(f"<h3 dir=auto>{head} …</h3><div class=cards {SCROLLS}>{''.join(cards)}</div>")
    copies = copied(shown[-1].copied) if parts and shown[-1].copied else ""
    note = f"<p class=note>Each run's model continues the same words.{copies}</p>" if parts else ""
    return section("What it writes", note, *parts)


def copied(found: Copied) -> str:
    """How much of the newest samples occurs word for word in training documents, and in which."""
    names = "; ".join(clean(f"{title} ({host})" if title and host else title or host or "a local file", 120)
                      for title, host in ((title, hostname(url)) for title, url in found.sources))  # no local paths
    longest = f"; the longest has {found.longest:,.0f}. Sources: {names}" if names else ""
    return (f" Of the newest samples, {100 * found.share:.0f} % of the tokens are copied from the training text, in "
            f"stretches of eight tokens or more{longest}.")


def card(head: str, words: str, kind: str = "model") -> str:
    return (f"<article class={kind}><h4>{clean(head)}</h4>"
            f"<p dir=auto>… {clean(without_gaps(words), 600) or '(The model ended the text here.)'}</p></article>")


def bits_curves(runs: Sequence[Run]) -> dict[str, Points]:
    """Validation bits per byte; old and new text apart once there is old text."""
    grown = [run for run in runs if run.figure("train", "val_bpb_old") is not None]
    return {"all": curve(runs, "train", "val_bpb"), "old text": curve(grown, "train", "val_bpb_old"),
            "new text": curve(grown, "train", "val_bpb_new")} if grown else {"": curve(runs, "train", "val_bpb")}


def learning(runs: Sequence[Run]) -> str:
    bits = bits_curves(runs)
    return section(
        "How well it predicts",
        over_runs("Bits per byte of unseen text", "Lower is better; 8 means no knowledge at all."
                  + (" New text came with the last growth of the dataset; old text was there before."
                     if len(bits) > 1 else ""), "bits per byte", bits, runs),
        over_runs("Loss", "On the text it trains on, and on validation text, which it never trains on. Where training "
                  "falls below validation, the model is memorizing.", "nats per token",
                  {"validation": curve(runs, "train", "val_loss"), "training": curve(runs, "train", "train_loss")},
                  runs), grid=True)


# --- what it learned from ------------------------------------------------------------------------


def dataset(runs: Sequence[Run], found: Dataset | None) -> str:
    parts = [over_runs("Documents", "In the clean set, after each run.", "documents",
                       {"": curve(runs, "prepare", "documents")}, runs, from_zero=True),
             over_runs("Tokens", "Of training and validation text, after each run.", "tokens",
                       {"": curve(runs, "prepare", "train_tokens", "val_tokens")}, runs, from_zero=True)]
    if found and found.lengths:
        seen = len(found.lengths)
        note = "" if found.counts.documents <= seen else f"Based on {short(seen)} documents, evenly sampled."
        parts += [funnel(found), on_topic(found.topic) if found.topic else "", lengths(found.lengths, note),
                  shares("Sites", "site", found.hosts, seen, note),
                  shares("Languages", "language", found.languages, seen, note),
                  shares("Licenses", "license", found.licenses, seen, f"{note} {LICENSES_NOTE}".strip())]
    return section("What it has read", *parts, grid=True)


def funnel(found: Dataset) -> str:
    c = found.counts
    steps = [("URLs found", c.urls), ("pages fetched", c.pages), ("documents extracted", c.raw_documents),
             ("documents kept", c.documents)]
    steps = [(name, n) for name, n in steps if n]  # no pages where documents came from files
    return figure("From found to kept", plots.bars("From found to kept", steps, ""), "What is left after each stage.",
                  table(["stage", "count"], [(name, f"{n:,}") for name, n in steps]))


def on_topic(found: FitSummary) -> str:
    """How many documents fit the topic, and those nearest to the line on both sides."""
    share = f"{100 * found.fitting / found.judged:.0f} %"
    numbers = f"<dl class='numbers first'><div><dt>fit the topic</dt><dd>{share}</dd></div></dl>"
    both = (("Kept with the least fit", found.worst_kept), ("Rejected with the most", found.best_rejected))
    lists = "".join(f"<p class=note>{head}:</p><ul>{''.join(map(fit_line, documents))}</ul>"
                    for head, documents in both if documents)
    note = (f"Of {counted(found.judged, 'document')}, with a fit of {found.least:g} or more. 1 means as much in the "
            "words of the topic as its best pages.")
    return figure("On topic", numbers, note, lists)


def fit_line(document: tuple[str, float]) -> str:
    address = document[0].partition("://")[2] or "local file"
    return f"<li class=source>{document[1]:.2f} · {clean(address, 120)}</li>"


def shares(caption: str, noun: str, counts: list[tuple[str, int]], total: int, note: str) -> str:
    """The most common of something, by its share of the documents."""
    rows = [(strip_control(name), 100 * n / total) for name, n in counts[:TOP]]
    if others := sum(n for _, n in counts[TOP:]):
        more = len(counts) - TOP
        note += f" {more:,} other{'s' * (more != 1)}: {two_digits(100 * others / total)} % of the documents."
    plot = plots.bars(caption, rows, "% of the documents", say=lambda share: f"{two_digits(share)} %")
    listed = [(name, f"{n:,}") for name, n in counts[:TABLE_ROWS]]
    return figure(caption, plot, note, table([noun, "documents"], listed))


def lengths(found: list[int], note: str) -> str:
    """Three bins per power of ten, from the shortest document to the longest."""
    places = [math.floor(3 * math.log10(max(1, n)) + 1e-9) for n in found]
    share = 1 / len(found)
    counts = Counter(places)
    bins = [plots.Bin(10 ** (i / 3), 10 ** ((i + 1) / 3), counts[i] * share)
            for i in range(min(places), max(places) + 1)]
    middle = max(1, found[len(found) // 2])
    plot = plots.histogram("Document length", bins, "length of the text", "documents", middle, bytes_in_words)
    rows = [(f"{bytes_in_words(each.low)} to {bytes_in_words(each.high)}", f"{each.share:.1%}") for each in bins]
    return figure("Document length", plot, note, table(["length", "documents"], rows))


def rejected(dropped: Counter[Reason], examples: Mapping[Reason, deque[dict[str, Any]]]) -> str:
    parts = []
    for caption, stages in (("Documents rejected", ("validate", "clean")), ("Pages skipped", ("scrape", "extract"))):
        rows = [(stage, reason_in_words(reason), n) for (stage, reason), n in dropped.most_common()
                if stage in stages and reason not in COST_NOTHING]
        drawn: list[tuple[str, float]] = [(reason, n) for _, reason, n in rows[:TOP]]
        if more := len(rows[TOP:]):
            drawn.append((f"{more} other reason{'s' * (more != 1)}", sum(n for *_, n in rows[TOP:])))
        parts.append(figure(caption, plots.bars(caption, drawn, caption.split()[0].lower()), "In all runs, by reason.",
                            table(["stage", "reason", "count"], [(*row, f"{n:,}") for *row, n in rows])))
    shown = sorted((key for key in examples if key[0] in STAGES), key=lambda key: -dropped[key])[:EXAMPLE_REASONS]
    lists = "".join(example_list(key[1], dropped[key], examples[key], key == shown[0]) for key in shown)
    note = "<h3>Examples</h3><p class=note>The newest for each reason, from data/rejected.jsonl.</p>"
    return section("What was rejected", f"<div class=grid>{''.join(parts)}</div>" if any(parts) else "",
                   note + lists if lists else "")


def example_list(reason: str, n: int, found: Iterable[dict[str, Any]], is_open: bool) -> str:
    items, measured = [], (("found", "value"), ("limit", "threshold"))
    for line in reversed(list(found)):
        limits = ", ".join(f"{name} {clean(line[key], 40)}" for name, key in measured if key in line)
        words = str(line.get("text", ""))
        words = without_gaps(words if len(words) < REJECTED_CHARS else cut(words))
        items.append(f"<li><p class=source>{clean(line.get('url', ''), 120)}<span>{limits}</span></p>"
                     f"<blockquote dir=auto>{clean(words, 2 * REJECTED_CHARS)}</blockquote></li>")
    head = clean(reason_in_words(reason), 60) + (f" · {n:,}" if n else "")
    return f"<details{' open' * is_open}><summary>{head}</summary><ul>{''.join(items)}</ul></details>"


# --- what it cost, and how it was set ------------------------------------------------------------


def cost(runs: Sequence[Run]) -> str:
    speeds = [(n, speed) for n, speed in curve(runs, "train", "tok_per_sec") if speed]  # 0: training was skipped
    times = {stage: [run.stages[stage].elapsed_sec for run in runs if stage in run.stages] for stage in STAGES}
    peaks = {stage: [run.stages[stage].peak_mb for run in runs if stage in run.stages] for stage in STAGES}
    longest = max((value for values in times.values() for value in values), default=0.0)
    unit, size = ("minutes", 60.0) if longest >= 300 else ("seconds", 1.0)
    return section("What it cost", bars_of_stages("Time per stage", times, unit, size),
                   bars_of_stages("Peak memory per stage", peaks, "MB", 1.0),
                   over_runs("Training speed", "", "tokens per second", {"": speeds}, runs, from_zero=True), grid=True)


def bars_of_stages(caption: str, values: dict[str, list[float]], unit: str, size: float) -> str:
    """A bar for each stage's last run, a stroke for the median of all its runs."""
    rows = [(stage, found[-1] / size, statistics.median(found) / size) for stage, found in values.items() if found]
    several = any(len(found) > 1 for found in values.values())
    plot = plots.bars(caption, [(stage, last) for stage, last, _ in rows], unit,
                      [median for *_, median in rows] if several else (), two_digits)
    return figure(caption, plot, "The last run; the stroke marks the median of all runs." if several else "",
                  table(["stage", unit, "median"], [(stage, two_digits(last), two_digits(median))
                                                    for stage, last, median in rows]))


def settings(tables: Tables, defaults: Tables, model: Facts | None) -> str:
    rows, changed = [], []
    for name, keys in tables.items():
        for key, value in keys.items():
            shown = "set (not shown here)" if key in PRIVATE and value else json.dumps(value, ensure_ascii=False)
            row = f"<tr><td>{clean(name)}.{clean(key)}</td><td>{clean(shown)}</td></tr>"
            rows.append(row)
            if value != defaults[name][key]:
                changed.append(row)
    shape = ("The model: {n_layer} layers of {n_embd}, a context of {block_size} tokens, {vocab_size:,} tokens in its "
             "vocabulary".format(**model) if model else "")
    shape += f", {short(model['parameters'])} parameters" if model and model["parameters"] else ""
    return section("Configuration", f"<p class=note>{shape}.</p>" if shape else "",
                   f"<h3>Changed from the defaults</h3><table class=settings>{''.join(changed)}</table>"
                   if changed else "<p class=note>Every setting has its default value.</p>",
                   f"<details><summary>All settings</summary><table class=settings>{''.join(rows)}</table></details>")
