"""python3 -m pytest tests/views/test_status.py"""

import json
import os
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from helpers import PROSE, add_clean_documents, add_raw_documents, add_run, run_py, trained

from miniature_memory.core.config import read_tables
from miniature_memory.core.paths import PROJECT
from miniature_memory.core.process import run_lock
from miniature_memory.core.stage import StageStats
from miniature_memory.providers.new_topic import begin_texts
from miniature_memory.storage import backoffs
from miniature_memory.storage.catalog import Catalog
from miniature_memory.views import history, status


def facts_of(root: Path) -> dict[str, Any]:
    return status.collect(root, read_tables(root))


def problems(facts: dict[str, Any]) -> str:
    return " ".join(f"{finding['found']} {finding['fix']}" for finding in facts["problems"])


def test_an_empty_root_says_what_to_do_and_makes_nothing(tmp_path: Path) -> None:
    facts = facts_of(tmp_path / "new")
    assert not facts["problems"] and not facts["dataset"] and "config/queries.txt, one query per line" in facts["next"]
    assert "none yet" in status.screen(facts) and not (tmp_path / "new").exists()


def test_documents_tokens_and_last_growth(tmp_path: Path) -> None:
    add_clean_documents(tmp_path, [PROSE, PROSE + "Two."])
    with Catalog(tmp_path) as catalog, catalog.record():
        catalog.execute("INSERT INTO growth VALUES (1, '2025-12-01T02:30:00Z', 1, 800, 200)")
        catalog.execute("INSERT INTO growth VALUES (2, '2026-01-01T02:30:00Z', 2, 2000, 500)")
        catalog.advance("prepare", 2)
    add_run(tmp_path, StageStats("search", 9, 7), StageStats("clean", 5, 2))
    facts = facts_of(tmp_path)
    assert (facts["dataset"]["documents"], facts["dataset"]["tokens"]) == (2, 2500)
    assert "7 URLs, 2 documents, 1,500 tokens" in status.screen(facts)


def test_growth_of_an_earlier_run_is_not_the_last_runs_gain(tmp_path: Path) -> None:
    add_clean_documents(tmp_path, [PROSE])
    with Catalog(tmp_path) as catalog, catalog.record():
        catalog.execute("INSERT INTO growth VALUES (1, '2025-12-01T02:30:00Z', 1, 800, 200)")
    add_run(tmp_path, StageStats("clean", 5, 2))
    assert "added       2 documents\n" in status.screen(facts_of(tmp_path))


def test_reasons_are_words_the_most_common_first(tmp_path: Path) -> None:
    search, stats = StageStats("search", 9, 0), StageStats("clean", 30, 9)
    search.dropped.update({"already_known": 9})
    stats.dropped.update({"a": 1, "too_few_words": 7, "c": 6, "d": 4, "e": 3})
    add_run(tmp_path, search, stats)
    text = " ".join(status.screen(facts_of(tmp_path)).split())
    assert "search 9 of 9 skipped (already known)" in text
    assert "clean 21 of 30 rejected (7 too few words, 6 c, 4 d, 3 e; 1 more reason)" in text


def test_what_a_browser_made_of_pages_is_shown(tmp_path: Path) -> None:
    scrape = StageStats("scrape", 9, 7, facts={"rendering": {
        "rendered": 7, "still_empty": 1, "given_up": {"render_timeout": 1, "x": "damage"}, "waiting": 2}})
    add_run(tmp_path, scrape)
    text = " ".join(status.screen(facts_of(tmp_path)).split())
    assert "rendered 7 pages in a browser; 1 still empty; given up: 1 timed out in the browser; 2 waiting" in text
    for damage in ("x", {}, {"rendered": "x"}, {"rendered": 1, "given_up": 3}):
        scrape.facts["rendering"] = damage
        add_run(tmp_path, scrape)
        text = " ".join(status.screen(facts_of(tmp_path)).split())
        assert "in a browser" not in text or "1 page in a browser; 0 still empty; given up: none" in text


def test_a_back_off_is_shown_until_it_ends(tmp_path: Path) -> None:
    search = StageStats("search", facts={"providers": {"google": "captcha", "ddgs": "10 results", "searxng": "off"}})
    add_run(tmp_path, search)
    with Catalog(tmp_path) as catalog, catalog.record():
        backoffs.extend(catalog, "provider", "google", 3600, "captcha")
        backoffs.extend(catalog, "provider", "ddgs", -1, "denied")
    text = " ".join(status.screen(facts_of(tmp_path)).split())
    assert f"google: captcha, paused until {time.strftime('%d %b', time.localtime(time.time() + 3600))}" in text
    assert "ddgs: 10 results" in text and "denied" not in text


def test_how_providers_answered_is_read_from_fields_and_from_the_text_of_earlier_releases(tmp_path: Path) -> None:
    outcomes = {"google": {"results": 0, "status": "failed", "reason": "captcha"}, "ddgs": "10 results",
                "feeds": {"results": 1234, "status": "ok", "reason": ""}, "seeds": {"results": 0, "status": ""}}
    add_run(tmp_path, StageStats("search", facts={"providers": outcomes}))
    assert status.provider_rows(facts_of(tmp_path)) == {
        "providers": "google: captcha; ddgs: 10 results; feeds: 1,234 results; seeds: 0 results"}


def test_lines_of_earlier_releases_are_read(tmp_path: Path) -> None:
    add_run(tmp_path, trained(2.0))
    path = tmp_path / "data/runs.jsonl"
    path.write_text(path.read_text().replace('"stages"', '"reports"'))
    assert [run.figure("train", "val_bpb") for run in history.read_history(tmp_path).runs] == [2.0]


def test_bits_per_byte_over_the_runs_with_old_and_new_text_apart(tmp_path: Path) -> None:
    add_run(tmp_path, trained(3.0, None, 3.0), day=1)
    add_run(tmp_path, StageStats("search"), day=2)
    add_run(tmp_path, trained(2.0, 2.5, 1.0), day=3)
    rows = status.bits_rows(facts_of(tmp_path)["bits_per_byte"])
    assert rows["bits per byte"].startswith("█▅ 3.000 to 2.000 in 2 runs")
    assert rows["  old text"] == " ▆ 2.500" and rows["  new text"] == "█▁ 3.000 to 1.000"


def test_a_figure_that_is_no_number_is_ignored(tmp_path: Path) -> None:
    for bits in (2.0, float("nan"), float("inf"), "2", None):
        add_run(tmp_path, trained(bits))  # type: ignore[arg-type]
    assert [point["all"] for point in facts_of(tmp_path)["bits_per_byte"]] == [2.0]


def test_many_runs_and_reasons_fit_on_one_screen(tmp_path: Path) -> None:
    add_clean_documents(tmp_path, [PROSE])
    stages = [StageStats(stage, 99) for stage in ("search", "scrape", "extract", "validate", "clean", "prepare")]
    for stats in stages:
        stats.dropped.update({f"a_long_reason_of_{stats.stage}_{n}": n for n in range(1, 30)})
    stages[0].facts["providers"] = dict.fromkeys(
        ("google", "ddgs", "searxng", "mediawiki", "commoncrawl", "feeds", "sitemaps", "seeds"), "10 results")
    for n in range(90):
        add_run(tmp_path, *stages, trained(3 - n / 50, 2.0, 2.5))
    lines = status.screen(facts_of(tmp_path)).splitlines()
    assert len(lines) <= 36 and max(len(line) for line in lines if str(tmp_path) not in line) <= 80  # of no path


def test_control_characters_do_not_reach_the_terminal(tmp_path: Path) -> None:
    add_run(tmp_path, StageStats("search", facts={"providers": {"goo\x1b[2Jgle": "10\x07 results"}}))
    assert "\x1b" not in (text := status.screen(facts_of(tmp_path))) and "\x07" not in text


def test_the_next_step_follows_the_state(tmp_path: Path) -> None:
    add_raw_documents(tmp_path, [PROSE])
    add_run(tmp_path, exit_code=143)
    assert "ended early" in facts_of(tmp_path)["next"]
    add_run(tmp_path)
    assert "1 for validate" in facts_of(tmp_path)["next"]
    with Catalog(tmp_path) as catalog, catalog.record():
        for stage in ("validate", "clean"):
            catalog.advance(stage, 1)
    assert "No document passed the quality rules" in facts_of(tmp_path)["next"]


def test_training_that_was_skipped_gives_its_reason(tmp_path: Path) -> None:
    add_clean_documents(tmp_path, [PROSE])
    with Catalog(tmp_path) as catalog, catalog.record():
        catalog.advance("prepare", 1)
    assert "--only train" in facts_of(tmp_path)["next"]
    write_model(tmp_path)
    add_run(tmp_path, StageStats("train", facts={"stop_reason": "the text was read 16 times"}))
    assert "skipped: the text was read 16 times. For more text, add queries" in facts_of(tmp_path)["next"]
    add_run(tmp_path, StageStats("train", facts={"stop_reason": ""}))
    assert "collects and learns more" in facts_of(tmp_path)["next"]


def test_own_texts_are_followed_by_more_texts_and_not_by_queries(tmp_path: Path) -> None:
    begin_texts(tmp_path, "letters")
    assert "name other texts" in facts_of(tmp_path)["next"]
    add_clean_documents(tmp_path, [PROSE])
    with Catalog(tmp_path) as catalog, catalog.record():
        catalog.advance("prepare", 1)
    write_model(tmp_path)
    for reason in ("the text was read 16 times", ""):
        add_run(tmp_path, StageStats("train", facts={"stop_reason": reason}))
        facts = facts_of(tmp_path)
        assert "--texts FILE..." in facts["next"] and "queries" not in facts["next"]
        assert "hosts" not in status.screen(facts)


def write_model(root: Path) -> None:
    (root / "checkpoints").mkdir()
    shape = {"n_layer": 2, "n_embd": 128, "block_size": 64, "vocab_size": 512}
    (root / "checkpoints/ckpt.json").write_text(json.dumps({"model_args": shape, "iter_num": 7, "tokens_seen": 9000}))
    for name in ("ckpt.pt", "release.pt"):
        (root / "checkpoints" / name).write_bytes(b"x")


def test_a_missing_checkpoint_is_a_problem_with_its_fix(tmp_path: Path) -> None:
    write_model(tmp_path)
    (tmp_path / "checkpoints/ckpt.pt").unlink()
    train = f"python3 run.py --only train --root {tmp_path}"
    assert f"start a new model with {train}" in status.collect(tmp_path, read_tables(tmp_path))["problems"][0]["fix"]
    (tmp_path / "checkpoints/ckpt.prev.pt").write_bytes(b"x")
    assert f"continue from ckpt.prev.pt with {train}" in facts_of(tmp_path)["problems"][0]["fix"]


def test_the_model_is_described(tmp_path: Path) -> None:
    write_model(tmp_path)
    add_run(tmp_path, trained(2.0))
    assert "2 layers of 128, 1.5 M parameters; 7 iterations" in status.screen(facts_of(tmp_path))
    released = trained(2.0)
    released.facts |= {"iter_num": 12, "tokens_seen": 2_000_000}
    add_run(tmp_path, released)
    assert "12 iterations, 2.0 M tokens" in " ".join(status.screen(facts_of(tmp_path)).split())


@pytest.mark.parametrize("line", [b"{", b"[]", b"null", b"\xff\xfe", b'{"stages": [{"stage": 1}]}', b"[" * 9000,
                                  b'{"stages": [], "exit_code": "0", "started": "x", "finished": "y"}',
                                  b'{"stages": [], "exit_code": 0, "started": 5, "finished": "2026-01-01T00:00:00Z"}',
                                  b'{"stages": [], "exit_code": 0, "started": "0001-01-01T00:00:00+23:59", '
                                  b'"finished": "2026-01-01T00:00:00Z"}'])
def test_a_damaged_line_of_the_history_is_ignored(tmp_path: Path, line: bytes) -> None:
    add_run(tmp_path, trained(2.0))
    with open(tmp_path / "data/runs.jsonl", "ab") as stream:
        stream.write(line + b"\n")
    add_run(tmp_path, trained(1.5))
    facts = facts_of(tmp_path)
    assert [point["all"] for point in facts["bits_per_byte"]] == [2.0, 1.5]
    assert "1 of 3 lines" in problems(facts) and "Fix:" in status.screen(facts)


def test_only_the_end_of_a_long_history_is_read(tmp_path: Path) -> None:
    for _ in range(9):
        add_run(tmp_path, trained(2.0))
    runs, problems = history.read_history(tmp_path, (tmp_path / "data/runs.jsonl").stat().st_size // 3)
    assert len(runs) == 2 and not problems


def test_a_missing_catalog_is_reported(tmp_path: Path) -> None:
    add_raw_documents(tmp_path, [PROSE])
    (tmp_path / "data/catalog.sqlite3").unlink()
    (finding,) = facts_of(tmp_path)["problems"]
    assert "is missing" in finding["found"]
    subprocess.run(finding["fix"].partition("anything: ")[2], shell=True, check=True)
    assert not facts_of(tmp_path)["problems"] and (tmp_path / "data.old/raw").exists()


@pytest.mark.parametrize(("version", "message"), [
    (99, "catalog version 99"), (3, "run python3 run.py --root"), (1, "git checkout")])
def test_a_catalog_of_another_release(tmp_path: Path, version: int, message: str) -> None:
    Catalog(tmp_path).close()
    db = sqlite3.connect(tmp_path / "data/catalog.sqlite3")
    db.execute(f"PRAGMA user_version = {version}")
    db.close()
    assert message in problems(facts_of(tmp_path))


def test_a_catalog_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/catalog.sqlite3").write_bytes(b"not a database, but long enough to be asked " * 99)
    assert "is damaged" in problems(facts_of(tmp_path))


def test_a_catalog_without_its_tables(tmp_path: Path) -> None:
    Catalog(tmp_path).close()
    db = sqlite3.connect(tmp_path / "data/catalog.sqlite3")
    db.execute("DROP TABLE growth")
    db.close()
    assert "no such table: growth" in problems(facts_of(tmp_path))


@pytest.mark.parametrize("text", ["{", "[]", '{"model_args": {}}',
                                  '{"model_args": 1}', '{"model_args": {"n_layer": Infinity}}'])
def test_a_damaged_description_of_the_model(tmp_path: Path, text: str) -> None:
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints/ckpt.json").write_text(text)
    assert "ckpt.json, a description of the model, cannot be read" in problems(facts_of(tmp_path))


def test_it_works_during_a_run_and_as_json(tmp_path: Path) -> None:
    add_raw_documents(tmp_path, [PROSE])
    with run_lock(tmp_path), Catalog(tmp_path) as catalog, catalog.record():
        catalog.set_state("x", 1)
        done = run_py("--status", "--json", "--root", tmp_path)
    facts = json.loads(done.stdout)
    assert (done.returncode, done.stderr, facts["at_work"]) == (0, "", str(os.getpid()))
    assert facts["dataset"]["raw_documents"] == 1


def test_the_demonstration_is_named_in_the_commands(tmp_path: Path) -> None:
    done = run_py("--status", "--demo", "--root", tmp_path)
    assert done.returncode == 0 and f"run.py --demo --root {tmp_path}" in " ".join(done.stdout.split())


def test_it_imports_nothing_heavy() -> None:
    code = "import run, sys; print([name for name in ('torch', 'numpy', 'requests', 'lxml') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("arguments", [["--status", "--doctor"], ["--json"], ["--status", "--only", "train"],
                                       ["--topic", "x", "--demo"], ["--topic", "x", "--topics"], ["--topic", " "],
                                       ["--topic", "x" * 300]])
def test_flags_that_exclude_each_other_are_rejected(arguments: list[str]) -> None:
    done = run_py(*arguments)
    assert done.returncode == 2 and "Traceback" not in done.stderr


def test_hosts_that_give_and_hosts_that_only_cost_are_shown(tmp_path: Path) -> None:
    Catalog(tmp_path).close()
    assert not status.host_rows(facts_of(tmp_path)["hosts"])
    with Catalog(tmp_path) as catalog, catalog.record():
        for host, visits, kept in (("good.example", 40, 30), ("bad.example", 12, 0), ("new.example", 1, 0)):
            catalog.execute("INSERT INTO yields VALUES (?, 'ddgs', 1, ?, ?, ?)", [host, visits, kept, kept * 4000])
    text = " ".join(status.screen(facts_of(tmp_path)).split())
    assert "best hosts good.example: 3.0 kB of text per visit (40 visits, 30 documents kept)" in text
    assert "in vain bad.example: 12 visits, nothing kept" in text and "new.example" not in text
