"""Status: what was collected, what was learned and what to do next, on one screen and in under a second.

    python3 run.py --status            of the project; also of a topic or of the demonstration, with --topic or --demo
    python3 run.py --status --json     the same as one JSON object

Reads the catalog, data/runs.jsonl and checkpoints/ckpt.json, writes nothing and imports nothing heavy. It works beside
a run; what is missing or damaged is told and passed over.
"""

from __future__ import annotations

import json
import signal
import sqlite3
import textwrap
import time
from collections import Counter
from pathlib import Path

from miniature_memory.core.config import Tables
from miniature_memory.core.errors import EXIT_DONE, StageError
from miniature_memory.core.findings import BAD, NOTE, Finding
from miniature_memory.core.paths import root_option, shown
from miniature_memory.core.process import lock_holder
from miniature_memory.core.text import strip_control
from miniature_memory.storage import backoffs
from miniature_memory.storage.catalog import Catalog
from miniature_memory.storage.schema import OlderCatalog
from miniature_memory.views.history import Facts, bits_history, last_report, number, read_runs, to_time

MAX_JSON_BYTES = 1 << 20  # of ckpt.json, which has 1.3 KB
WIDTH, LABEL = 80, 14  # columns of the screen, and of the names at its left
MAX_REASONS = 4  # of one stage
MAX_POINTS = 40  # of a sparkline
BARS = "▁▂▃▄▅▆▇█"


# --- the other files -----------------------------------------------------------------------------


def read_dataset(root: Path, problems: list[Finding]) -> Facts:
    """What the catalog counts; {} if there is none that can be read."""
    if not (root / "data/catalog.sqlite3").exists():
        if any((root / "data").glob("raw/*.jsonl")):
            problems.append(Finding("catalog", BAD, "data/catalog.sqlite3, which knows what the other files of data/ "
                                 "hold, is missing.", "put it back from a copy, or move data/ aside and start anew."))
        return {}
    try:
        with Catalog(root, read_only=True) as catalog:
            catalog.execute("BEGIN")  # one view of it all, whatever a run commits meanwhile
            return count_all(catalog)
    except OlderCatalog as error:
        problems.append(Finding("catalog", NOTE, error.found, error.fix))
    except StageError as error:
        problems.append(Finding("catalog", BAD, error.found, error.fix))
    except sqlite3.Error as error:
        problems.append(Finding("catalog", BAD, f"data/catalog.sqlite3 cannot be read ({error}).",
                             "if no run is at work, put it back from a copy."))
    return {}


def count_all(catalog: Catalog) -> Facts:
    def count(table: str) -> int:
        return int(catalog.value(f"SELECT count(*) FROM {table}"))

    growth = catalog.execute("SELECT * FROM growth ORDER BY step DESC LIMIT 2").fetchall()
    totals = [row["train_tokens"] + row["val_tokens"] for row in growth] + [0]
    waiting = {"extract": catalog.count_new("extract", "pages"), "validate": catalog.count_new("validate", "documents"),
               "clean": catalog.count_new("clean", "documents", catalog.cursor("validate")),
               "prepare": catalog.count_new("prepare", "clean_documents")}
    return {
        "urls": count("urls"), "urls_due": count(f"urls WHERE due_at <= {time.time()}"), "hosts": count("hosts"),
        "pages": count("pages"), "raw_documents": count("documents"), "documents": count("clean_documents"),
        "tokens": totals[0], "val_tokens": growth[0]["val_tokens"] if growth else 0,
        "last_growth": {"at": growth[0]["at"], "tokens": totals[0] - totals[1]} if growth else None,
        "waiting": {stage: n for stage, n in waiting.items() if n},
        "breakers": {name: {"reason": backoff.reason, "until": backoff.until} for name, backoff in
                     sorted(backoffs.active(catalog, backoffs.PROVIDER, time.time()).items())},
    }


def read_model(root: Path, runs: list[Facts], problems: list[Finding]) -> Facts | None:
    """The model's shape and how far it has come, from ckpt.json; None if there is no model."""
    path = root / "checkpoints/ckpt.json"
    try:
        with open(path, "rb") as stream:
            state = json.loads(stream.read(MAX_JSON_BYTES))
        model = {name: int(state["model_args"][name]) for name in ("n_layer", "n_embd", "block_size", "vocab_size")}
        model |= {name: int(state[name]) for name in ("iter_num", "tokens_seen")}
    except FileNotFoundError:
        return None
    except (OSError, ValueError, LookupError, TypeError, ArithmeticError, RecursionError):
        problems.append(Finding("model", NOTE, "checkpoints/ckpt.json, which describes the model, cannot be read.",
                             "the next training writes it anew."))
        return None
    train = last_report(runs, "train")
    return {**model, "parameters": number(train.facts.get("parameters")) if train else None,
            "has_release": (root / "checkpoints/release.pt").exists()}


# --- all of it -----------------------------------------------------------------------------------


def collect(root: Path, tables: Tables, flags: str = "") -> Facts:
    """Everything that is to be told, as plain values. flags: what a command line needs to mean this root."""
    problems: list[Finding] = []
    runs = read_runs(root, problems)
    facts: Facts = {"root": str(root), "at_work": lock_holder(root), "dataset": read_dataset(root, problems),
                    "model": read_model(root, runs, problems), "bits_per_byte": bits_history(runs), "last_run": None}
    if runs:
        last = runs[-1]
        facts["last_run"] = {**{key: last[key] for key in ("started", "finished", "exit_code")},
                             "stages": {report.stage: {"in": report.n_in, "out": report.n_out,
                                                       "dropped": dict(report.dropped)} for report in last["reports"]}}
    search, train = last_report(runs, "search"), last_report(runs, "train")
    outcomes = search.facts.get("providers") if search else None
    if not isinstance(outcomes, dict):
        outcomes = dict.fromkeys(tables["search"]["providers"], "")
    facts["providers"] = {name: {"outcome": str(outcome)[:100], **facts["dataset"].get("breakers", {}).get(name, {})}
                          for name, outcome in outcomes.items()}
    facts["problems"] = [finding._asdict() for finding in problems]
    facts["next"] = next_step(facts, root, str(train.facts.get("summary", "")) if train else "", flags)
    return facts


def next_step(facts: Facts, root: Path, train_summary: str, flags: str) -> str:
    """What a person may want to do now, in a sentence."""
    dataset, last, queries = facts["dataset"], facts["last_run"], shown(root / "config/queries.txt")
    command = f"python3 run.py{flags}"
    if facts["at_work"]:
        return f"A run is at work (process {facts['at_work']}): wait for it, or watch {shown(root / 'data/run.log')}."
    if facts["problems"]:
        return f"Fix the problems above; {command} --doctor explains them."
    if not dataset.get("raw_documents"):
        if last:
            return f"No page could be read yet: {command} --doctor tells what is in the way, and {command} tries again."
        if " --demo" in flags:
            return f"{command} runs the whole way on built-in pages."
        return f"Say in {queries} what interests you, then {command}."
    if last and last["exit_code"] != 0:
        return f"The last run ended early; {command} goes on where it stopped."
    if dataset["waiting"]:
        listed = ", ".join(f"{n:,} for {stage}" for stage, n in dataset["waiting"].items())
        return f"Some work waits ({listed}): {command} does it."
    if not dataset["documents"]:
        return "No document passed the rules: .venv/bin/python clean.py --report says why; other queries may help."
    if not facts["model"] or not facts["model"]["has_release"]:
        return f"There is no finished model yet: {command} --only train makes one."
    if train_summary.startswith("nothing to do"):
        return f"The model has learned what this text teaches: add lines to {queries}, then {command}."
    return f"{command} collects and learns more; .venv/bin/python sample.py{root_option(root)} lets the model write."


# --- for people ----------------------------------------------------------------------------------


def sparkline(values: list[float | None], low: float, high: float) -> str:
    """A character a value, from low to high; a gap where there is none."""
    scale = (len(BARS) - 1) / (high - low) if high > low else 0.0
    return "".join(" " if value is None else BARS[round((value - low) * scale)] for value in values)


def bits_rows(points: list[Facts]) -> dict[str, str]:
    points = points[-MAX_POINTS:]
    everything = [point[part] for point in points for part in ("all", "old", "new") if point[part] is not None]
    rows = {}
    parts = {"bits per byte": "all", "  old text": "old", "  new text": "new"}
    if not any(point["old"] for point in points):
        parts = {"bits per byte": "all"}  # all text is new still
    for name, part in parts.items():
        values = [point[part] for point in points]
        known = [value for value in values if value is not None]
        if known:
            way = f"{known[0]:.3f} to {known[-1]:.3f}" if len(known) > 1 else f"{known[0]:.3f}"
            note = f" in {len(known)} run{'s' * (len(known) != 1)}; less is better" if part == "all" else ""
            rows[name] = f"{sparkline(values, min(everything), max(everything))} {way}{note}"
    return rows


def last_run_rows(facts: Facts) -> dict[str, str]:
    """When the last run was, how it ended, what it gained, and what each stage dropped."""
    run, growth = facts["last_run"], facts["dataset"].get("last_growth")
    if not run:
        return {"last run": "none yet"}
    began, ended = to_time(run["started"]), to_time(run["finished"])
    rows = {"last run": f"{began:%d %b %H:%M} to {ended:%H:%M}, {how_it_ended(run['exit_code'])}"}
    names = {"search": "addresses", "scrape": "pages", "clean": "documents"}
    gains = [f"{run['stages'][stage]['out']:,} {name}" for stage, name in names.items() if stage in run["stages"]]
    if growth and to_time(growth["at"]) >= began:
        gains.append(f"{growth['tokens']:,} tokens")
    if gains:
        rows["  gained"] = ", ".join(gains)
    for stage, flow in run["stages"].items():
        reasons = Counter(flow["dropped"]).most_common()
        if reasons:
            listed = ", ".join(f"{reason} {n:,}" for reason, n in reasons[:MAX_REASONS])
            more = f", {len(reasons) - MAX_REASONS} more reasons" if len(reasons) > MAX_REASONS else ""
            rows[f"  {stage}"] = f"left out {sum(flow['dropped'].values()):,} of {flow['in']:,}: {listed}{more}"
    return rows


def how_it_ended(code: int | None) -> str:
    if code in (130, 143):
        return f"stopped by {signal.Signals(code - 128).name}"
    return {0: "done", None: "broken off by an error of the program"}.get(code, f"ended early (exit code {code})")


def provider_rows(facts: Facts) -> dict[str, str]:
    free = [f"{name}: {provider['outcome'] or 'not asked yet'}" for name, provider in facts["providers"].items()
            if "until" not in provider]
    if not any(provider["outcome"] for provider in facts["providers"].values()):
        free = [f"none was asked yet; in line are {', '.join(facts['providers'])}"]
    closed = [f"{name}: {provider['reason']}, left alone until {clock(provider['until'])}"
              for name, provider in facts["providers"].items() if "until" in provider]
    return {"providers": "; ".join(free + closed) or "none is configured"}


def clock(seconds: float) -> str:
    return time.strftime("%d %b %H:%M", time.localtime(seconds))


def screen(facts: Facts) -> str:
    """The facts in lines of a name and a text."""
    dataset, model = facts["dataset"], facts["model"]
    rows = {"folder": facts["root"]}
    if dataset:
        tokens = f"{dataset['tokens']:,} tokens, {dataset['val_tokens']:,} for validation"
        rows["documents"] = f"{dataset['documents']:,} kept of {dataset['raw_documents']:,} read; {tokens}"
        rows["web"] = (f"{dataset['pages']:,} pages; {dataset['urls']:,} addresses known, {dataset['urls_due']:,} of "
                       f"them due; {dataset['hosts']:,} host{'s' * (dataset['hosts'] != 1)}")
    else:
        rows["documents"] = "none that can be counted" if facts["problems"] else "none yet"
    rows |= last_run_rows(facts) | provider_rows(facts)
    if model:
        size = f"{model['parameters'] / 1e6:.1f} M parameters" if model["parameters"] else "of unknown size"
        rows["model"] = (f"{model['n_layer']} layers of {model['n_embd']}, {size}; {model['iter_num']:,} iterations, "
                         f"{model['tokens_seen'] / 1e6:.1f} M tokens read"
                         + ("" if model["has_release"] else "; not finished yet"))
    else:
        rows["model"] = "none yet"
    rows |= bits_rows(facts["bits_per_byte"])
    if facts["problems"]:
        rows["problems"] = " ".join(f"{finding['found']} Fix: {finding['fix']}" for finding in facts["problems"])
    rows["next"] = facts["next"]
    return "\n".join(line for name, text in rows.items() for line in wrapped(name, text))


def wrapped(name: str, text: str) -> list[str]:
    return textwrap.wrap(strip_control(text).replace("\n", " "), WIDTH, initial_indent=f"{name:<{LABEL}}",
                         subsequent_indent=" " * LABEL, break_long_words=False, break_on_hyphens=False)


def show(root: Path, tables: Tables, flags: str, as_json: bool) -> int:
    facts = collect(root, tables, flags)
    print(json.dumps(facts) if as_json else screen(facts))
    return EXIT_DONE
