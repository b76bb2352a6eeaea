"""Status: what was collected, what was learned and what to do next, on one screen and in under a second.

    python3 run.py --status            of the project; with --topic or --demo, of a topic or the demonstration
    python3 run.py --status --json     the same as one JSON object

Reads the catalog, data/runs.jsonl and checkpoints/ckpt.json, writes nothing and imports nothing heavy. It works during
a run. Whatever is missing or damaged is reported and ignored.
"""

import json
import shlex
import signal
import sqlite3
import textwrap
import time
from collections import Counter
from pathlib import Path
from typing import Any

from miniature_memory.core.config import Tables, build_config
from miniature_memory.core.errors import EXIT_DONE, ConfigError, StageError, cannot_read
from miniature_memory.core.findings import BAD, NOTE, Finding
from miniature_memory.core.paths import command, shown
from miniature_memory.core.process import lock_holder
from miniature_memory.core.text import counted, rounded, strip_control
from miniature_memory.crawl.outcomes import grouped, in_words, reason_in_words
from miniature_memory.providers.config import SearchConfig
from miniature_memory.providers.engine_keys import Spending, spending, with_keys
from miniature_memory.storage import counts, yields
from miniature_memory.storage.catalog import Catalog
from miniature_memory.storage.counts import Counts
from miniature_memory.storage.disk import Usage, committed, usage
from miniature_memory.storage.disk import in_words as in_words_of_bytes
from miniature_memory.storage.schema import OlderCatalog
from miniature_memory.views import history
from miniature_memory.views.history import Run, to_time

Facts = dict[str, Any]  # what --json prints

MAX_JSON_BYTES = 1 << 20  # of ckpt.json, which has 1.3 KB
WIDTH, LABEL = 80, 14  # columns of the screen, and of the names at its left
MAX_REASONS = 4  # of one stage
MAX_HOSTS = 5  # that give, and that only cost
MAX_POINTS = 40  # of a sparkline
BARS = "▁▂▃▄▅▆▇█"
REJECTING = ("validate", "clean")  # what the other stages do not pass on, they skipped


# --- reading -------------------------------------------------------------------------------------


def read_counts(root: Path, problems: list[Finding]) -> Counts | None:
    """What the catalog counts; None if there is none that can be read."""
    path = root / "data/catalog.sqlite3"
    if not path.exists():
        if any((root / "data").glob("raw/*.jsonl")):
            folder = shlex.quote(shown(root / "data"))
            problems.append(Finding(
                "catalog", BAD, f"{shown(path)}, the index of the other files in that folder, is missing.",
                f"restore it from a backup, or start again without deleting anything: mv {folder} {folder}.old"))
        return None
    try:
        with Catalog(root, read_only=True) as catalog:
            return counts.read(catalog)
    except OlderCatalog as error:
        problems.append(Finding("catalog", NOTE, error.found, error.fix))
    except StageError as error:
        problems.append(Finding("catalog", BAD, error.found, error.fix))
    except sqlite3.Error as error:
        problems.append(Finding("catalog", BAD, f"{shown(path)} cannot be read ({error}).",
                                "if no run is active, restore it from a backup."))
    return None


def read_model(root: Path, runs: list[Run], problems: list[Finding]) -> Facts | None:
    """The model's shape and how far it has come, from ckpt.json; None if there is no model."""
    path = root / "checkpoints/ckpt.json"
    try:
        with open(path, "rb") as stream:
            state = json.loads(stream.read(MAX_JSON_BYTES))
        model = {name: int(state["model_args"][name]) for name in ("n_layer", "n_embd", "block_size", "vocab_size")}
        model |= {name: int(state[name]) for name in ("iter_num", "tokens_seen")}
    except FileNotFoundError:
        return None
    except OSError as error:
        known = cannot_read(path, error)
        problems.append(Finding("model", NOTE, known.found, known.fix))
        return None
    except (ValueError, LookupError, TypeError, ArithmeticError, RecursionError):
        problems.append(Finding("model", NOTE, f"{shown(path)}, a description of the model, cannot be read.",
                                "rewrite it with " + command("run.py", root, "--only train")))
        return None
    if not (root / "checkpoints/ckpt.pt").exists():
        problems.append(missing_checkpoint(root))
    trained = [run for run in runs if "train" in run.stages]
    for name in ("iter_num", "tokens_seen"):  # train counts those of the release, whose decay ckpt.pt does not have
        model[name] = max(model[name], int(trained[-1].figure("train", name) or 0) if trained else 0)
    return {**model, "parameters": trained[-1].figure("train", "parameters") if trained else None,
            "has_release": (root / "checkpoints/release.pt").exists()}


def read_disk(root: Path, dataset: Counts | None) -> Usage:
    if dataset is None:
        return usage(root)
    with Catalog(root, read_only=True) as catalog:
        return usage(root, known=committed(catalog))


def read_yields(root: Path, dataset: Counts | None) -> Facts:
    """The hosts that gave most, and those that only cost visits."""
    if dataset is None:
        return {"give": [], "cost": []}
    with Catalog(root, read_only=True) as catalog:
        return {"give": [one._asdict() for one in yields.give_most(catalog, MAX_HOSTS)],
                "cost": [one._asdict() for one in yields.only_cost(catalog, MAX_HOSTS)]}


def read_search(root: Path, tables: Tables, problems: list[Finding]) -> tuple[list[str], Facts]:
    """The providers with the engines that there is a key for, and what was spent by keys; {} where there is none."""
    where = shown(root / "config/default.toml")
    try:
        config = with_keys(build_config(SearchConfig, "search", tables), root)
    except ConfigError as error:
        found, _, fix = str(error).partition(" Fix: ")
        problems.append(Finding("search", BAD, found, fix or f"correct it in {where}, or in --set"))
        return tables["search"]["providers"], {}
    try:
        spent = spending(config)
        return config.providers, spent._asdict() if config.keys or spent.used else {}
    except StageError as error:
        problems += [Finding("paid queries", NOTE, error.found, error.fix)] if config.keys else []
        return config.providers, {}


def missing_checkpoint(root: Path) -> Finding:
    """ckpt.json describes a ckpt.pt that is gone."""
    folder, train = root / "checkpoints", command("run.py", root, "--only train")
    has_previous = (folder / "ckpt.prev.pt").exists()
    return Finding("model", NOTE, f"{shown(folder / 'ckpt.pt')}, which training continues from, is missing"
                   f"{'' if has_previous else ', and so is ckpt.prev.pt'}.",
                   "restore it from a backup, or " + (f"continue from ckpt.prev.pt with {train}" if has_previous else
                                                      f"start a new model with {train}"))


# --- everything ----------------------------------------------------------------------------------


def collect(root: Path, tables: Tables, demo: bool = False) -> Facts:
    """Everything that is shown, as plain values."""
    runs, problems = history.read_history(root)
    dataset = read_counts(root, problems)
    backoffs = {name: {"reason": backoff.reason, "until": backoff.until}
                for name, backoff in (dataset.backoffs if dataset else {}).items()}
    facts: Facts = {
        "root": str(root), "at_work": lock_holder(root),
        "dataset": {**dataset._asdict(), "backoffs": backoffs,
                    "last_growth": dataset.last_growth and dataset.last_growth._asdict()} if dataset else {},
        "model": read_model(root, runs, problems), "bits_per_byte": history.bits_history(runs), "last_run": None}
    if runs:
        last = runs[-1]
        facts["last_run"] = {"started": last.started, "finished": last.finished, "exit_code": last.exit_code,
                             "stages": {stage: {"in": stats.n_in, "out": stats.n_out, "dropped": dict(stats.dropped)}
                                        for stage, stats in last.stages.items()}}
        if "scrape" in last.stages and "rendering" in last.stages["scrape"].facts:
            facts["last_run"]["rendering"] = last.stages["scrape"].facts["rendering"]
    providers, facts["paid_queries"] = read_search(root, tables, problems)
    search, train = history.last_stats(runs, "search"), history.last_stats(runs, "train")
    outcomes = search.facts.get("providers") if search else None
    if not isinstance(outcomes, dict):
        outcomes = dict.fromkeys(providers, "")
    facts["providers"] = {name: {"outcome": in_words(outcome), **backoffs.get(name, {})}
                          for name, outcome in outcomes.items()}
    disk = read_disk(root, dataset)
    facts["disk"] = {**disk.parts, "total": disk.total, "is_whole": disk.is_whole}
    facts["hosts"] = read_yields(root, dataset)
    facts["problems"] = [finding._asdict() for finding in problems]
    facts["next"] = next_step(facts, root, str(train.facts.get("stop_reason", "")) if train else "", demo)
    return facts


def next_step(facts: Facts, root: Path, stop_reason: str, demo: bool) -> str:
    """What to do now, in a sentence. stop_reason: why the last training was skipped, if it was."""
    dataset, last, queries = facts["dataset"], facts["last_run"], shown(root / "config/queries.txt")
    searches = bool(facts["providers"])  # else it learns from its owner's texts alone
    run, doctor, train, texts = (command("run.py", root, *["--demo"] * demo, *options)
                                 for options in ((), ("--doctor",), ("--only train",), ("--texts FILE...",)))
    if facts["at_work"]:
        return (f"A run is active (process {facts['at_work']}): wait for it, or follow it with "
                f"tail -f {shlex.quote(shown(root / 'data/run.log'))}")
    if facts["problems"]:
        return f"Fix the problems above; {doctor} checks everything else."
    if not dataset.get("raw_documents"):
        if not searches:
            return f"Nothing could be read yet: name other texts, {texts}"
        if last:
            return (f"No page could be read yet: find out why with {doctor}, or add addresses of pages or feeds to "
                    f"{shown(root / 'config/seeds.txt')}, then run {run} again; or learn from your own texts: {texts}")
        if demo:
            return f"{run} runs all stages on built-in pages."
        return f"Write your topic into {queries}, one query per line, then run {run}"
    if last and last["exit_code"] != 0 and (dataset["documents"] or dataset["waiting"]):
        return f"The last run ended early; {run} continues from there."
    if dataset["waiting"]:
        listed = ", ".join(f"{n:,} for {stage}" for stage, n in dataset["waiting"].items())
        return f"Work is waiting ({listed}); {run} continues with it."
    if not dataset["documents"]:
        why = command("clean.py", root, "--histograms")
        other = f"try other queries in {queries}" if searches else f"name other texts: {texts}"
        return f"No document passed the quality rules: see why with {why}, or {other}"
    if not facts["model"] or not facts["model"]["has_release"]:
        return f"There is no finished model yet; {train} makes one."
    if stop_reason:
        more = f"add queries to {queries}, then run {run}" if searches else texts
        return f"The last training was skipped: {stop_reason}. For more text, {more}"
    more = "collects and learns more" if searches else f"learns more from the same texts; {texts} adds others"
    return f"{run} {more}; {command('sample.py', root)} writes text."


# --- for people ----------------------------------------------------------------------------------


def sparkline(values: list[float | None], low: float, high: float) -> str:
    """One character per value, from low to high; a gap where there is none."""
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
            change = f"{known[0]:.3f} to {known[-1]:.3f}" if len(known) > 1 else f"{known[0]:.3f}"
            note = f" in {len(known)} run{'s' * (len(known) != 1)} (lower is better)" if part == "all" else ""
            rows[name] = f"{sparkline(values, min(everything), max(everything))} {change}{note}"
    return rows


def last_run_rows(facts: Facts) -> dict[str, str]:
    """When the last run was, how it ended, what it added, and what each stage rejected or skipped."""
    run, growth = facts["last_run"], facts["dataset"].get("last_growth")
    if not run:
        return {"last run": "none yet"}
    began, ended = to_time(run["started"]), to_time(run["finished"])
    rows = {"last run": f"{began:%d %b %H:%M} to {ended:%H:%M}, {how_it_ended(run['exit_code'])}"}
    names = {"search": "URL", "scrape": "page", "clean": "document"}
    gains = [counted(run["stages"][stage]["out"], name) for stage, name in names.items() if stage in run["stages"]]
    if growth and to_time(growth["at"]) >= began:
        gains.append(f"{growth['tokens']:,} tokens")
    if gains:
        rows["  added"] = ", ".join(gains)
    for stage, flow in run["stages"].items():
        reasons = Counter(flow["dropped"]).most_common()
        if reasons:
            listed = (reason_in_words(reasons[0][0]) if len(reasons) == 1 else
                      ", ".join(f"{n:,} {reason_in_words(reason)}" for reason, n in reasons[:MAX_REASONS]))
            more = len(reasons) - MAX_REASONS
            listed += f"; {more} more reason{'s' * (more != 1)}" if more > 0 else ""
            rows[f"  {stage}"] = (f"{sum(flow['dropped'].values()):,} of {flow['in']:,} "
                                  f"{'rejected' if stage in REJECTING else 'skipped'} ({listed})")
        if stage == "scrape" and (listed := rendering_in_words(run.get("rendering"))):
            rows["  rendered"] = listed
    return rows


def rendering_in_words(facts: object) -> str:
    """What became of the pages that need JavaScript; '' if there were none."""
    counts = history.numbers(facts)
    if not isinstance(facts, dict) or not counts:
        return ""
    rendered, still_empty, waiting = (int(counts.get(name, 0)) for name in ("rendered", "still_empty", "waiting"))
    reasons = history.numbers(facts.get("given_up"))
    given_up = ", ".join(f"{int(n):,} {reason_in_words(reason)}" for reason, n in reasons.items())
    return (f"{counted(rendered, 'page')} in a browser; {still_empty:,} still empty; given up: {given_up or 'none'}; "
            f"{waiting:,} waiting")


def how_it_ended(code: int | None) -> str:
    if code in (130, 143):
        return f"stopped by {signal.Signals(code - 128).name}"
    return {0: "done", None: "ended by an error in the program"}.get(code, f"ended early (exit code {code})")


def provider_rows(facts: Facts) -> dict[str, str]:
    providers = facts["providers"]
    said = [(name, provider["outcome"] or "not asked yet") for name, provider in providers.items()
            if "until" not in provider]
    said += [(name, f"{reason_in_words(provider['reason'])}, paused until {clock(provider['until'])}")
             for name, provider in providers.items() if "until" in provider]
    return {"providers": grouped(said) or "none configured (search.providers)"}


def host_rows(hosts: Facts) -> dict[str, str]:
    """Which hosts give, and which only cost."""
    give = [f"{one['host']}: {one['kept_bytes'] / one['visits'] / 1000:.1f} kB of text per visit "
            f"({counted(one['visits'], 'visit')}, {counted(one['kept'], 'document')} kept)" for one in hosts["give"]]
    cost = [f"{one['host']}: {counted(one['visits'], 'visit')}, nothing kept" for one in hosts["cost"]]
    return {name: "; ".join(lines) for name, lines in (("best hosts", give), ("  in vain", cost)) if lines}


def disk_row(disk: dict[str, int]) -> dict[str, str]:
    parts = [f"{name} {in_words_of_bytes(n)}" for name, n in disk.items() if name not in ("total", "is_whole") and n]
    more = "" if disk["is_whole"] else "more than "
    return {"disk": f"{more}{in_words_of_bytes(disk['total'])}: {', '.join(parts)}"} if parts else {}


def set_in(root: Path, table: str, line: str) -> str:
    """The fix that is a setting of `root`."""
    return f"set {line} under [{table}] in {shown(root / 'config/default.toml')}"


def clock(seconds: float) -> str:
    return time.strftime("%d %b %H:%M", time.localtime(seconds))


def screen(facts: Facts) -> str:
    """The facts in lines of a name and a text."""
    dataset, model = facts["dataset"], facts["model"]
    rows = {"folder": facts["root"], "documents": "unknown" if facts["problems"] else "none yet"}
    if dataset:
        tokens = f"{dataset['tokens']:,} tokens ({dataset['val_tokens']:,} for validation)"
        rows["documents"] = f"{dataset['documents']:,} kept of {dataset['raw_documents']:,} extracted; {tokens}"
    if dataset and (dataset["urls"] or facts["providers"]):  # not for own texts, which come from no web
        rows["web"] = (f"{counted(dataset['pages'], 'page')} from {counted(dataset['hosts'], 'host')}; "
                       f"{counted(dataset['urls'], 'URL')} known, {dataset['urls_due']:,} due now")
    rows |= last_run_rows(facts) | provider_rows(facts) | host_rows(facts["hosts"])
    if facts["paid_queries"]:
        rows["paid queries"] = Spending(**facts["paid_queries"]).in_words()
    if model:
        size = f"{model['parameters'] / 1e6:.1f} M parameters" if model["parameters"] else "of unknown size"
        rows["model"] = (f"{model['n_layer']} layers of {model['n_embd']}, {size}; "
                         f"{counted(model['iter_num'], 'iteration')}, "
                         f"{rounded(model['tokens_seen'])} tokens read"
                         + ("" if model["has_release"] else "; not finished yet"))
    else:
        rows["model"] = "none yet"
    rows |= bits_rows(facts["bits_per_byte"])
    rows |= disk_row(facts["disk"])
    if facts["problems"]:
        rows["problems"] = " ".join(f"{finding['found']} Fix: {finding['fix']}" for finding in facts["problems"])
    rows["next"] = facts["next"]
    return "\n".join(line for name, text in rows.items() for line in wrapped(f"{name:<{LABEL}}", text))


def wrapped(label: str, text: str) -> list[str]:
    """`text` in lines, indented by the label that stands before the first."""
    return textwrap.wrap(strip_control(text).replace("\n", " "), WIDTH, initial_indent=label,
                         subsequent_indent=" " * len(label), break_long_words=False, break_on_hyphens=False)


def show(root: Path, tables: Tables, as_json: bool, demo: bool = False) -> int:
    facts = collect(root, tables, demo)
    print(json.dumps(facts) if as_json else screen(facts))
    return EXIT_DONE
