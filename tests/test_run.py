"""python3 -m pytest tests/test_run.py; with -m slow the whole way too."""

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from helpers import PROSE, add_raw_documents, lines, run_py

import run
from miniature_memory.core.paths import PROJECT
from miniature_memory.core.process import run_lock
from miniature_memory.storage.catalog import Catalog


def last_run(root: Path) -> dict[str, Any]:
    return lines(root / "data/runs.jsonl")[-1]


# --- errors --------------------------------------------------------------------------------


@pytest.mark.parametrize(("arguments", "code", "message"), [
    (["--skip-clening"], 2, "Did you mean --skip-cleaning"), (["--sta"], 2, "Did you mean --status?"),
    (["--files", "x", "--only", "clean"], 2, "--files is now --import"),
    (["--only", "clean", "--set", "clean.min_words=1"], 2, "is now clean.thresholds.min_words"),
    (["--only", "cleen"], 2, "invalid choice"),
    (["--texts", "no-such-book.txt"], 2, "there is no such file"),
    (["--texts", "README.md", "--demo"], 2, "cannot be combined"),
    (["--topic", "Brot", "--language", "deutsch"], 2, "ISO 639-1 code"),
    (["--language", "de"], 2, "needs --topic or --texts"),
    (["--max-minutes", "0"], 2, "more than 0"), (["--max-minutes", "two"], 2, "two; expected a number of minutes"),
    (["bread baking", "--quiet"], 2, "Did you mean --topic 'bread baking'?"),
    (["README.md"], 2, "Did you mean --texts README.md?"), (["--texts", "."], 2, "this folder has no files"),
    (["--set", "train.max_minuts=1"], 2, "Did you mean max_minutes"),
    (["--set", "train.max_minutes=\"1\""], 2, "of type str, expected float"),
    (["--config", "no-such-file.toml"], 2, "expected a file of settings"),
    (["--set", "prepare.tokenizer=\"bbpe\"", "--only", "prepare"], 2, "expected one of bpe"),
    (["--only", "train"], 1, "which runs all stages"),
    (["--skip-validation", "--skip-cleaning", "--skip-preparation"], 1, "which runs all stages"),
])
def test_a_sentence_and_an_exit_code(tmp_path: Path, arguments: list[str], code: int, message: str) -> None:
    arguments = [str(tmp_path) if argument == "." else argument for argument in arguments]
    done = run_py("--root", tmp_path, *arguments)
    assert done.returncode == code and message in done.stderr and "Traceback" not in done.stderr


def test_queries_that_are_not_utf8(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config/queries.txt").write_bytes(b"caf\xe9\n")
    done = run_py("--root", tmp_path)
    assert done.returncode == 1 and "UTF-8" in done.stderr and "Traceback" not in done.stderr


def test_nothing_to_search_for(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    for name in ("queries.txt", "seeds.txt"):
        (tmp_path / "config" / name).write_text("# nothing\n")
    done = run_py("--root", tmp_path)
    assert done.returncode == 1 and "queries.txt" in done.stderr and "Traceback" not in done.stderr


def test_a_root_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = run_py("--root", tmp_path / "file")
    assert done.returncode == 1 and f"{tmp_path}/file is a file" in done.stderr and "Traceback" not in done.stderr


def test_no_network_and_no_fallback(tmp_path: Path) -> None:
    arguments = ["--root", tmp_path, "--set", 'search.providers=["seeds"]', "--set", 'web.proxy="http://127.0.0.1:9"']
    (tmp_path / "config").mkdir()
    (tmp_path / "config/queries.txt").write_text("ships\n")
    for quiet in ([], ["--quiet"]):
        done = run_py(*arguments, *quiet)
        assert done.returncode == 1 and "No page could be fetched" in done.stderr and "Traceback" not in done.stderr
        assert not (tmp_path / "demo").exists() and done.stdout == ""
    assert done.stderr.count("\n") == 1  # what cron sends


def test_seeds_of_which_nothing_could_be_read_are_no_reason_for_the_demonstration(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config/seeds.txt").write_text("http://127.0.0.1:9/blog\n")
    done = run_py("--root", tmp_path, "--set", 'search.providers=["seeds"]')
    assert done.returncode == 1 and "http://127.0.0.1:9/blog: blocked address" in done.stderr
    assert 'Fix: set allow_private = ["127.0.0.1:9"] under [web] in' in done.stderr
    assert not (tmp_path / "demo").exists()


@pytest.mark.parametrize(("name", "options", "why", "fix"), [
    ("picture.png", [], "1 unknown kind", "--texts FILE..."),
    ("letter.txt", ["--language", "de"], "1 wrong language", 'languages = ["*"] under [validate]')])
def test_own_texts_of_which_none_is_left_end_with_the_reason(
        tmp_path: Path, name: str, options: list[str], why: str, fix: str) -> None:
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / name).write_text(PROSE)
    for _ in range(2):
        done = run_py("--root", tmp_path / "root", "--texts", tmp_path / "texts", *options)
        assert done.returncode == 1 and "train.py" not in done.stderr
        last = done.stderr.splitlines()[-1]
        assert last.startswith(f"run.py: There is no text to train on ({why}).") and fix in last


def test_a_topic_whose_documents_were_all_rejected_ends_with_the_reason_each_time(tmp_path: Path) -> None:
    (tmp_path / "page.txt").write_text(PROSE)
    (tmp_path / "config").mkdir()
    (tmp_path / "config/queries.txt").write_text("old ships\n")
    settings = tmp_path / "config/default.toml"
    settings.write_text('[search]\nproviders = ["feeds"]\n[validate]\nlanguages = ["de"]\n')
    assert not run_py("--root", tmp_path, "--only", "extract", "--import", tmp_path / "page.txt").returncode
    for _ in range(2):
        done = run_py("--root", tmp_path)
        last = done.stderr.splitlines()[-1]
        assert done.returncode == 1 and last.startswith("run.py: There is no text to train on (1 wrong language).")
    assert "No document passed" in run_py("--root", tmp_path, "--status").stdout
    settings.write_text(settings.read_text().replace('["de"]', '["*"]') + '[clean]\npreset = "off"\n')
    run_py("--root", tmp_path, "--quiet")  # sees the new settings, and nothing to validate
    assert "1 kept" in run_py("--root", tmp_path, "--rebuild", script="clean.py").stderr


def test_a_second_run_does_nothing_and_names_the_first(tmp_path: Path) -> None:
    with run_lock(tmp_path):
        done = run_py("--root", tmp_path)
    assert done.returncode == 75 and str(os.getpid()) in done.stderr


def test_own_texts_have_the_name_of_their_file_as_their_title(tmp_path: Path) -> None:
    (tmp_path / "Der-Bäcker.txt").write_text(PROSE)
    args = run.parse_args(["--texts", str(tmp_path / "Der-Bäcker.txt")])
    assert (args.root.name, args.topic) == ("der-bäcker", "Der Bäcker")


# --- what is run -----------------------------------------------------------------------------


def test_all_stages_in_order() -> None:
    assert run.stages_to_run(None, []) == ["search", "scrape", "extract", "validate", "clean", "prepare", "train"]


def test_two_skipped_stages_leave_the_others() -> None:
    assert run.stages_to_run(None, ["validate", "clean"]) == ["search", "scrape", "extract", "prepare", "train"]


def test_three_skipped_stages_leave_training_alone() -> None:
    assert run.stages_to_run(None, ["validate", "clean", "prepare"]) == ["train"]


def test_a_skipped_stage_is_a_pause(tmp_path: Path) -> None:
    add_raw_documents(tmp_path, [PROSE])
    skip = ["--skip-search", "--skip-scraping", "--skip-extraction", "--skip-training"]
    done = run_py("--root", tmp_path, *skip, "--skip-cleaning")
    assert done.returncode == 0, done.stderr
    assert "clean is skipped: 1 document waiting for it" in done.stderr
    assert [stats["stage"] for stats in last_run(tmp_path)["stages"]] == ["validate", "prepare"]
    done = run_py("--root", tmp_path, *skip)
    assert [stats["n_out"] for stats in last_run(tmp_path)["stages"]] == [0, 1, 1]


def test_a_stage_alone_is_the_same_as_only(tmp_path: Path) -> None:
    outputs = []
    for arguments, script in (([], "validate.py"), (["--only", "validate"], "run.py")):
        root = tmp_path / script
        add_raw_documents(root, [PROSE, "short"])
        assert run_py("--root", root, *arguments, script=script).stdout == ""
        add_raw_documents(root, [f"{PROSE} again", "too"])
        done = run_py("--root", root, "--json", *arguments, script=script)
        stats = json.loads(done.stdout.splitlines()[-1])
        outputs.append([stats[key] for key in ("stage", "n_in", "n_out", "dropped")])
    assert outputs[0] == outputs[1] == ["validate", 2, 1, {"too_short": 1}]


def test_quiet_prints_nothing_on_success(tmp_path: Path) -> None:
    add_raw_documents(tmp_path, [PROSE])
    done = run_py("--root", tmp_path, "--quiet", "--skip-search", "--skip-scraping", "--skip-training")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_every_run_writes_a_report_and_a_single_stage_does_not(tmp_path: Path) -> None:
    page = tmp_path / "data/report.html"
    assert run_py("--root", tmp_path, "--only", "validate").returncode == 0 and not page.exists()
    failed = run_py("--root", tmp_path, "--skip-validation", "--skip-cleaning", "--skip-preparation")
    assert failed.returncode == 1 and "exit code 1" in page.read_text(encoding="utf-8")


def test_a_report_and_a_history_that_cannot_be_written_do_not_fail_the_run(tmp_path: Path) -> None:
    add_raw_documents(tmp_path, [PROSE])
    for name in ("report.html", "runs.jsonl"):
        (tmp_path / "data" / name).mkdir()
    done = run_py("--root", tmp_path, "--skip-search", "--skip-scraping", "--skip-training")
    assert done.returncode == 0 and all(f"{name} is a folder" in done.stderr for name in ("report.html", "runs.jsonl"))
    assert "Traceback" not in done.stderr


def test_the_minutes_of_a_run_are_divided(tmp_path: Path) -> None:
    tables = run.read_tables(tmp_path)
    whole = run.Run(run.parse_args(["--max-minutes", "60"]), tables, 0, time.monotonic())
    parts = {stage: run.time_limit(whole, stage) for stage in run.STAGES}
    assert parts["search"] == ["--set", "search.max_minutes=1.000"] and not parts["clean"]
    assert parts["train"][1].startswith(("train.max_minutes=60.0", "train.max_minutes=59.9"))


# --- the whole way ---------------------------------------------------------------------------


@pytest.mark.slow
def test_a_whole_run_and_another(tmp_path: Path) -> None:
    arguments = ["--demo", "--root", tmp_path, "--set", "train.max_minutes=0.4"]
    first = run_py(*arguments)
    assert first.returncode == 0, first.stderr
    assert "bits per byte" in first.stdout and "Traceback" not in first.stderr
    with Catalog(tmp_path, read_only=True) as catalog:
        assert catalog.value("SELECT count(*) FROM pages") >= 700
    documents = lines(tmp_path / "data/clean/000000.jsonl")
    second = run_py(*arguments)
    assert second.returncode == 0, second.stderr
    assert lines(tmp_path / "data/clean/000000.jsonl") == documents
    with Catalog(tmp_path, read_only=True) as catalog:
        urls = Counter(row["url"] for row in catalog.execute("SELECT url FROM pages"))
    assert max(urls.values()) == 1
    bits = [stats["facts"]["val_bpb"] for one in lines(tmp_path / "data/runs.jsonl")
            for stats in one["stages"] if stats["stage"] == "train"]  # type: ignore[attr-defined]
    assert bits[1] < bits[0] < 3.5
    assert len(lines(tmp_path / "data/samples.jsonl")) == 2
    assert "Run 2 · " in (tmp_path / "data/report.html").read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_run_that_is_stopped_has_saved(tmp_path: Path, signum: signal.Signals) -> None:
    command = [sys.executable, PROJECT / "run.py", "--demo", "--root", tmp_path]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    bins, deadline = tmp_path / "data/bins.json", time.monotonic() + 120
    while not bins.exists() and time.monotonic() < deadline:
        time.sleep(0.2)
    time.sleep(8)  # well into training
    process.send_signal(signum)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + signum and re.search("stopped by|saved", errors), errors
    assert (tmp_path / "checkpoints/ckpt.pt").exists() and "Traceback" not in errors
    assert last_run(tmp_path)["exit_code"] == 128 + signum


@pytest.mark.slow
def test_a_book_becomes_a_model(tmp_path: Path) -> None:
    book, root = tmp_path / "the ferry.txt", tmp_path / "root"
    words, draw = PROSE.split(), random.Random(1)
    book.write_text("\n\n".join(f"CHAPTER {n}\n\n" + "\n\n".join(" ".join(draw.choices(words, k=60)) for _ in range(20))
                                for n in range(1, 13)), encoding="utf-8")
    arguments = ["--texts", book, "--root", root, "--set", "train.max_minutes=0.1"]
    first = run_py(*arguments)
    assert first.returncode == 0 and "bits per byte" in first.stdout, first.stderr
    titles = [line["metadata"]["title"] for line in lines(root / "data/raw/000000.jsonl")]
    assert titles[0] == "the ferry, CHAPTER 1" and len(titles) == 12
    assert (root / "data/val.bin").stat().st_size > 0
    typed = ["--temperature", "0.5", "--top-k", "20", "--top-p", "0.9", "-n", "2", "--length", "30", "--seed", "3"]
    samples = run_py("--root", root, "The ship", *typed, "--stop", "zzz", script="sample.py")
    assert samples.returncode == 0 and samples.stdout.count("The ship") == 2, samples.stdout
    book.write_text(book.read_text(encoding="utf-8") + "\n\nCHAPTER 13\n\n" + "Nobody came back that winter. " * 80,
                    encoding="utf-8")
    assert run_py(*arguments).returncode == 0
    assert len(lines(root / "data/raw/000000.jsonl")) == 13
