"""python3 -m pytest tests/views/test_report.py"""

import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from browser import DESKTOP, PHONE, Chromium
from helpers import PROSE, add_clean_documents, add_run

import run
from miniature_memory.core.paths import PROJECT
from miniature_memory.core.stage import StageStats
from miniature_memory.storage.catalog import Catalog
from miniature_memory.storage.rejections import Rejection
from miniature_memory.views import report_data

WHEN = b'{"started": "2026-03-01T01:00:00Z", "finished": "2026-03-01T02:00:00Z", "exit_code": 0, '
HOSTILE = "</script></title></details><img src=x onerror=alert(1)><script>document.title = 'taken'</script>&lt;\x1b[31m"


def a_stage(stage: str, n_in: int, n_out: int, dropped: dict[str, int],
            facts: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"stage": stage, "n_in": n_in, "n_out": n_out, "dropped": dropped, "bytes_written": 0, "elapsed_sec": 12.0,
            "peak_mb": 300.0, "facts": facts or {}}


def a_run(n: int, **train: float | None) -> dict[str, Any]:
    """The n-th line of a history; more of train's facts by their names."""
    bits = 2.0 - n / 100
    facts: dict[str, Any] = {"iter_num": 100 * n, "train_loss": 5.0 - n / 10, "val_loss": 5.1 - n / 10, "val_bpb": bits,
             "val_bpb_old": bits - 0.1 if n > 1 else None, "val_bpb_new": bits + 0.1, "tok_per_sec": 10_000 + n,
             "parameters": 9_000_000, **train}
    grown = {"documents": 8 * n, "train_tokens": 9000 * n, "val_tokens": 1000 * n}
    stages = [a_stage("scrape", 111, 10, {"http_404": 2, "not_modified": 99}),
               a_stage("clean", 10, 8, {"too_few_words": 2}), a_stage("prepare", 8, 8, {}, grown),
               a_stage("train", 0, 0, {}, facts)]
    day = f"2026-{1 + n // 28:02d}-{1 + n % 28:02d}"
    return {"started": f"{day}T01:00:00Z", "finished": f"{day}T02:00:00Z", "exit_code": 0, "stages": stages}


def a_sample(n: int, words: str = "The captain spoke") -> dict[str, Any]:
    return {"time": a_run(n)["started"].replace("01:00", "01:30"), "iter_num": n, "val_bpb": 2.0 - n / 100,
            "prompts": [words, f"{words} again", f"{words} once more"], "texts": [f" text {n}", "", f"\n\n{PROSE}"],
            "originals": [f" as {words} did", " more", " most"]}


def write_lines(path: Path, content: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(line) + "\n" for line in content))


def fill(root: Path, n_runs: int = 12, words: str = "The captain spoke") -> None:
    """A root as some runs leave it; `words` stand wherever text from outside does."""
    add_clean_documents(root, [f"{i} {PROSE * (1 + i % 9)}" for i in range(40)])
    with Catalog(root) as catalog, catalog.record():
        catalog.execute("UPDATE documents SET url = 'http://' || (seq % 15) || ? || '.org/page', language = ? "
                        "WHERE seq > 5", [words, words])
        for n in range(9):
            rejection = Rejection("too_few_words", f"{n} {words}", 50)
            catalog.reject("clean", rejection, "0" * 64, f"http://{words}/{n}", words)
        catalog.reject("validate", Rejection(words, 1, 2), "0" * 64, "", words)
    write_lines(root / "data/runs.jsonl", [a_run(n) for n in range(1, n_runs + 1)])
    write_lines(root / "data/samples.jsonl", [a_sample(n, words) for n in range(1, n_runs + 1)])
    (root / "config").mkdir(exist_ok=True)
    (root / "config/queries.txt").write_text(f"# a comment\nwooden ships\n{words}\nthe sea\ntides\n")
    (root / "config/default.toml").write_text(f"[web]\ncontact = {json.dumps('me@example.org ' + words)}\n"
                                              f"[search]\nregion = {json.dumps(words)}\n")


def page_of(root: Path) -> str:
    assert run.main(["--report", "--root", str(root)]) == 0
    return (root / "data/report.html").read_text(encoding="utf-8")


def test_the_share_on_topic_and_the_documents_next_to_the_line(tmp_path: Path) -> None:
    fill(tmp_path)
    assert "On topic" not in plain(page_of(tmp_path))
    with Catalog(tmp_path) as catalog, catalog.record():
        catalog.execute("UPDATE documents SET topic_fit = seq / 40.0, url = 'http://site.example/' || seq")
        catalog.execute("DELETE FROM clean_documents WHERE id IN (SELECT id FROM documents WHERE topic_fit < 0.21)")
    with open(tmp_path / "config/default.toml", "a") as stream:
        stream.write("[clean]\nmin_topic_fit = 0.21\n")
    found = plain(page_of(tmp_path))
    assert "Of 40 documents, with a fit of 0.21 or more." in found and "fit the topic 80 %" in found
    assert "Kept with the least fit: 0.23 · site.example/9 0.25 · site.example/10 0.28 · site.example/11" in found
    assert "Rejected with the most: 0.20 · site.example/8 0.17 · site.example/7 0.15 · site.example/6" in found


def plain(page: str) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", page.partition("<body>")[2]).split())


def test_what_was_learned_stands_at_the_top(tmp_path: Path) -> None:
    fill(tmp_path)
    text = plain(page_of(tmp_path))
    assert text.startswith("miniature-memory Wooden ships, The captain spoke, the sea and 1 more The model predicts "
                           "unseen text at 1.880 bits per byte, 0.110 lower than after the first run.")
    assert "runs 12 documents 40 sites 16 tokens 120 k" in text


def test_old_and_new_text_are_drawn_apart(tmp_path: Path) -> None:
    fill(tmp_path)
    page = page_of(tmp_path)
    assert all(f">{name}</text>" in page for name in ("all 1.880", "old text 1.780", "new text 1.980"))
    write_lines(tmp_path / "data/runs.jsonl", [a_run(n, val_bpb_old=None) for n in (1, 2)])
    assert "new text" not in page_of(tmp_path)  # all of it is new


def test_reasons_are_counted_over_all_runs_and_have_examples(tmp_path: Path) -> None:
    fill(tmp_path)
    page = page_of(tmp_path)
    assert ">too few words</text>" in page and "<summary>too few words · 24</summary>" in page
    assert "not modified" not in page and ">HTTP 404</text>" in page
    assert [f"found {n} The captain spoke, limit 50" in page for n in range(9)] == [False] * 6 + [True] * 3


def test_first_middle_and_last_model_side_by_side(tmp_path: Path) -> None:
    fill(tmp_path)
    page = page_of(tmp_path)
    shown = re.findall(r"<h4>(Run \d+) · ([\d.]+) bits per byte</h4><p dir=auto>… text (\d+)", page)
    assert shown == [("Run 1", "1.990", "1"), ("Run 7", "1.930", "7"), ("Run 12", "1.880", "12")]
    assert page.count("(The model ended the text here.)") == 3 and page.count(">The original<") == 3


def test_the_share_that_is_copied_stands_with_its_sources(tmp_path: Path) -> None:
    fill(tmp_path, 2)
    assert "Each run's model continues the same words." in plain(page_of(tmp_path)).replace("&#x27;", "'")
    assert "Of the newest samples" not in page_of(tmp_path)
    copied = {"share": 0.214, "longest": 34, "sources": [
        ["To <b>rise</b>", "https://bread.example/x"], ["", "http://sea.example/"], ["", "file:///home/someone/a.txt"]]}
    write_lines(tmp_path / "data/samples.jsonl", [a_sample(1), a_sample(2) | {"copied": copied}])
    assert ("Of the newest samples, 21 % of the tokens are copied from the training text, in stretches of eight "
            "tokens or more; the longest has 34. Sources: To &lt;b&gt;rise&lt;/b&gt; (bread.example); sea.example; a "
            "local file.") in page_of(tmp_path)
    none = {"share": 0.0, "longest": 0, "sources": []}
    write_lines(tmp_path / "data/samples.jsonl", [a_sample(1) | {"copied": none}])
    assert "0 % of the tokens are copied from the training text, in stretches of eight tokens or" in page_of(tmp_path)


@pytest.mark.parametrize("copied", [
    7, [51, None], {}, {"share": "x", "longest": 1, "sources": []}, {"share": 1e999, "longest": 1, "sources": []},
    {"share": 1, "longest": 2, "sources": {}}])
def test_a_share_that_is_none_is_left_out(tmp_path: Path, copied: object) -> None:
    fill(tmp_path, 2)
    write_lines(tmp_path / "data/samples.jsonl", [a_sample(1) | {"copied": copied}])
    assert "Of the newest samples" not in page_of(tmp_path) and "continues the same words" in page_of(tmp_path)


def test_only_the_same_prompts_are_compared(tmp_path: Path) -> None:
    write_lines(tmp_path / "data/samples.jsonl", [a_sample(1, "Old words"), a_sample(2), a_sample(3)])
    page = page_of(tmp_path)
    assert "Old words" not in page and "… text 2" in page and "… text 3" in page


def test_settings_that_differ_are_shown_and_private_ones_are_not(tmp_path: Path) -> None:
    fill(tmp_path)
    page = page_of(tmp_path)
    assert "me@example.org" not in page and "set (not shown here)" in page
    changed = page.partition("Changed from the defaults")[2].partition("</table>")[0]
    assert "search.region" in changed and "web.contact" in changed and "train" not in changed


def test_a_failed_run_is_reported(tmp_path: Path) -> None:
    stopped = {**a_run(2), "exit_code": 1, "stages": a_run(2)["stages"][:2]}
    write_lines(tmp_path / "data/runs.jsonl", [a_run(1), stopped])
    assert "The last run ended early (exit code 1). It finished scrape, clean;" in plain(page_of(tmp_path))


def test_the_page_needs_no_catalog(tmp_path: Path) -> None:
    write_lines(tmp_path / "data/runs.jsonl", [a_run(1)])
    text = plain(page_of(tmp_path))
    assert "How well it predicts" in text and "What it cost" in text and "could not be read" not in text


def test_an_empty_root(tmp_path: Path) -> None:
    text = plain(page_of(tmp_path))
    assert "Nothing has been collected here yet" in text and "Configuration" in text


@pytest.mark.parametrize("line", [
    b"\xff\xfe", b"[", b"[]", b"7", b"{}", b"[" * 100_000, WHEN + b'"stages": 7}',
    WHEN + b'"stages": [7, {"stage": []}]}',
    WHEN + b'"stages": [{"stage": "train", "facts": {"val_bpb": 1e999, "val_loss": NaN, "train_loss": "x"}}]}',
    WHEN + b'"stages": [{"stage": "train", "facts": {"val_bpb": 1e300}, "elapsed_sec": ' + b"9" * 4000 + b"}]}",
    WHEN + b'"stages": [{"stage": "clean", "facts": [], "dropped": {"<b>": 3, "x": "y", "z": Infinity}}]}',
    b'{"started": {}, "finished": 3, "exit_code": "<b>", "stages": null}',
    WHEN + b'"stages": [{"stage": "clean", "elapsed_sec": -5, "dropped": {"x": -5, "y": true}}]}',
    b'{"model_args": {"n_layer": 1e999, "n_embd": "x", "block_size": 7, "vocab_size": []}}',
    b'{"prompts": ["a"], "texts": ["' + b" " * 900 + b'"], "originals": [" "], "text": "' + b" " * 900 + b'"}',
    b'{"prompts": [1], "texts": [], "originals": []}', b'{"prompts": ["a"], "texts": [], "originals": []}',
    b'{"stage": "clean", "reason": ["x"], "url": {}, "text": 7, "value": null}',
])
def test_damaged_lines_are_ignored(tmp_path: Path, line: bytes) -> None:
    fill(tmp_path, 3)
    for name in ("runs", "samples", "rejected"):
        with open(tmp_path / f"data/{name}.jsonl", "ab") as file:
            file.write(line + b"\n" + line[:5])
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints/ckpt.json").write_bytes(line)
    text = plain(page_of(tmp_path))
    assert "1.970" in text and "cannot be read" in text and "<b>" not in text


def test_an_empty_report_shows_why_and_what_to_do(tmp_path: Path) -> None:
    text = plain(page_of(tmp_path))
    assert "Nothing has been collected here yet." in text and "Why nothing" not in text
    assert "config/queries.txt , one query per line, then python3 run.py --root" in text
    providers = {"google": {"status": "failed", "results": 0, "reason": "unreachable", "until": None},
                 "mediawiki": {"status": "off", "results": 0, "reason": "no_contact", "until": None},
                 "feeds": {"status": "not_asked", "results": 0, "reason": "", "until": None}}
    facts = {"providers": providers, "seeds_failed": {f"http://{HOSTILE}/": "http_404"}}
    stages = [a_stage("search", 0, 0, {}, facts), a_stage("scrape", 3, 0, {"http_403": 3})]
    write_lines(tmp_path / "data/runs.jsonl", [{**a_run(1), "exit_code": 1, "stages": stages}])
    Catalog(tmp_path).close()
    page = page_of(tmp_path)
    text = plain(page)
    assert "No page could be read yet." in text and "Why nothing is here yet" in text and "<script" not in page
    assert "google unreachable mediawiki off: web.contact is not set" in text and "pages 3 HTTP 403" in text
    assert "feeds not asked: no address is in config/seeds.txt" in text and "What it cost" not in text
    assert all(words in text for words in ("--doctor --root", "Set contact under [web]", "--texts FILE...", "--demo"))


def test_a_run_that_trained_nothing_has_no_speed(tmp_path: Path) -> None:
    write_lines(tmp_path / "data/runs.jsonl", [a_run(1), a_run(2), a_run(3, tok_per_sec=0)])
    speed = page_of(tmp_path).partition("Training speed")[2].partition("</figure>")[0]
    assert "10 k at 1, 10 k at 2." in plain("<body>" + speed) and "2026-01-04" not in speed


def test_one_run_makes_numbers_and_two_make_lines(tmp_path: Path) -> None:
    fill(tmp_path, 1)
    page = page_of(tmp_path)
    assert "<dt>bits per byte</dt><dd>1.990</dd>" in page and "<dt>training</dt><dd>4.900</dd>" in page
    write_lines(tmp_path / "data/runs.jsonl", [a_run(1), a_run(2)])
    assert "numbers first" not in page_of(tmp_path)


def test_licenses_are_counted_and_those_of_older_documents_are_not_recorded(tmp_path: Path) -> None:
    fill(tmp_path)
    with Catalog(tmp_path) as catalog, catalog.record():
        catalog.execute("UPDATE documents SET license = CASE WHEN seq > 30 THEN 'CC0-1.0' ELSE '' END WHERE seq > 10")
    text = plain(page_of(tmp_path))
    assert "license documents none named 20 not recorded 10 CC0-1.0 10" in text
    assert "a page that names none may still be protected" in text


def test_a_damaged_catalog_is_reported(tmp_path: Path) -> None:
    write_lines(tmp_path / "data/runs.jsonl", [a_run(1)])
    (tmp_path / "data/catalog.sqlite3").write_bytes(b"no database " * 500)
    text = plain(page_of(tmp_path))
    assert "data/catalog.sqlite3 is damaged" in text and "How well it predicts" in text


def test_a_report_that_cannot_be_written_ends_with_a_message(tmp_path: Path,
                                                             capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "data/report.html").mkdir(parents=True)
    assert run.main(["--report", "--root", str(tmp_path)]) == 1
    assert "report.html is a folder" in capsys.readouterr().err


def test_a_long_history_makes_no_long_page(tmp_path: Path) -> None:
    fill(tmp_path, 1000, words="word " * 1000)
    assert len(page_of(tmp_path)) < 300_000


def test_many_documents_are_sampled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path)
    monkeypatch.setattr(report_data, "MOST_DOCUMENTS", 10)
    dataset = report_data.read_dataset(tmp_path, [])
    assert dataset and dataset.counts.documents == 40 and len(dataset.lengths) == 10
    assert "Based on 10 documents, evenly sampled." in page_of(tmp_path)


def test_neither_torch_nor_numpy_is_loaded() -> None:
    code = ("import sys; import miniature_memory.views.report; "
            "assert not {'torch', 'numpy'} & set(sys.modules)")
    subprocess.run([sys.executable, "-c", code], cwd=PROJECT, check=True)


@pytest.mark.browser
@pytest.mark.parametrize(("width", "dark", "words"), [
    (PHONE, False, "The captain spoke"), (PHONE, True, HOSTILE), (DESKTOP, False, HOSTILE),
    (DESKTOP, True, "The captain spoke")])
def test_in_a_browser(tmp_path: Path, chromium: Chromium, width: int, dark: bool, words: str) -> None:
    fill(tmp_path, words=words)
    page_of(tmp_path)
    with chromium.open(tmp_path / "data/report.html", width, dark) as view:
        view.page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
        assert not view.errors and view.overflow_px() == 0
        view.page.evaluate("document.querySelectorAll('tr:nth-child(n+3)').forEach(row => row.remove())")  # axe is slow
        assert not view.accessibility_faults()
        assert view.page.title().startswith("Wooden ships, ")
        assert view.page.locator("script, img, iframe, object, a").count() == 0
        assert view.page.locator("svg").count() == 14


@pytest.mark.browser
@pytest.mark.parametrize("width", [PHONE, DESKTOP])
def test_without_javascript(tmp_path: Path, chromium: Chromium, width: int) -> None:
    fill(tmp_path)
    page_of(tmp_path)
    with chromium.open(tmp_path / "data/report.html", width, javascript=False) as view:
        view.page.get_by_text("All settings").click()
        assert view.page.get_by_text("train.learning_rate").is_visible()
        assert not view.errors and view.overflow_px() == 0
        boxes = [each.bounding_box() for each in view.page.locator("svg").all()]
        assert all(box and box["width"] > 300 and box["x"] >= 0 for box in boxes)


@pytest.mark.browser
def test_an_empty_root_in_a_browser(tmp_path: Path, chromium: Chromium) -> None:
    page_of(tmp_path)
    with chromium.open(tmp_path / "data/report.html", PHONE) as view:
        assert not view.errors and not view.accessibility_faults() and view.overflow_px() == 0


def test_half_a_pair_of_surrogates_in_the_history_is_no_traceback(tmp_path: Path) -> None:
    add_run(tmp_path, StageStats("clean", n_in=1, dropped=Counter({"\ud800": 1})))
    assert run.main(["--report", "--quiet", "--root", str(tmp_path)]) == 0
