"""What a person types on the first day, from start to end.   python3 -m pytest [-m slow] tests/test_first_day.py"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import PROSE, add_pages, copy_project, lines, run_py

from miniature_memory.core.paths import PROJECT

FILES = PROJECT / "tests/extraction/files"
SCRIPTS = sorted(path.name for path in PROJECT.glob("*.py") if path.name != "model.py")
ARTICLE = "<html lang=en><body><article>{}</article>{}</body></html>"
BY = '<footer>Text: <a rel="license" href="https://creativecommons.org/licenses/by/4.0/">CC BY 4.0</a></footer>'


def test_a_new_folder_asks_what_to_learn_and_inherits_no_queries(tmp_path: Path) -> None:
    done = run_py("--root", tmp_path / "new")
    assert done.returncode == 1 and done.stdout == ""
    for way in ("queries.txt", "--topic", "--texts"):
        assert way in done.stderr
    assert not (tmp_path / "new/config/queries.txt").exists()


@pytest.mark.slow
def test_a_folder_of_mixed_files_is_read_and_the_rest_is_named(tmp_path: Path) -> None:
    mixed = tmp_path / "mixed"
    mixed.mkdir()
    (mixed / ".hidden.txt").write_text(PROSE)
    (mixed / "numbers.xyz").write_text("1 2 3")
    (mixed / "picture.txt").write_bytes(bytes(range(256)) * 40)
    (mixed / "note.md").write_text(f"# A note\n\n{PROSE}")
    (mixed / "page.html").write_text(ARTICLE.format(f"<p>{PROSE}</p>", ""))
    (mixed / "rows.jsonl").write_text("".join(json.dumps({"text": f"Row {n}. {PROSE}"}) + "\n" for n in range(2)))
    for file in FILES.iterdir():
        if file.suffix in (".docx", ".odt", ".epub"):
            (mixed / file.name).write_bytes(file.read_bytes())
    done = run_py("--texts", mixed, "--root", tmp_path / "root", "--skip-training")
    assert done.returncode == 0 and "skipped: 1 .xyz" in done.stderr and "1 binary" in done.stderr, done.stderr
    read = {line["metadata"]["source"].rpartition("/")[2]  # type: ignore[index]
            for line in lines(tmp_path / "root/data/raw/000000.jsonl")}
    assert {"note.md", "page.html", "rows.jsonl"} < read and not read & {".hidden.txt", "numbers.xyz", "picture.txt"}
    assert {Path(name).suffix for name in read} >= {".docx", ".odt", ".epub"}


@pytest.mark.slow
def test_a_plain_run_without_a_network_shows_shakespeare_and_says_so(tmp_path: Path) -> None:
    project = copy_project(tmp_path)
    (tmp_path / ".venv").symlink_to(PROJECT / ".venv")
    offline = [word for setting in ('web.proxy="http://127.0.0.1:9"', 'search.providers=["seeds"]',
                                    "train.max_minutes=0.1") for word in ("--set", setting)]

    def script(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, project.parent / name, *arguments], cwd=tmp_path, capture_output=True,
                              text=True, timeout=240, check=False)

    quiet = script("run.py", *offline, "--quiet")
    assert quiet.returncode == 1 and quiet.stderr.count("\n") == 1 and not (tmp_path / "demo").exists()
    plain = script("run.py", *offline)
    assert plain.returncode == 0 and "This is Shakespeare, not your topic" in plain.stderr, plain.stderr
    assert (tmp_path / "demo/checkpoints/release.pt").exists()
    own = script("sample.py")
    assert own.returncode == 1 and "--demo" in own.stderr  # what there is instead
    assert script("sample.py", "--demo", "-n", "1").returncode == 0
    status = script("run.py", "--status")
    assert status.returncode == 0 and "none yet" in status.stdout


@pytest.mark.slow
@pytest.mark.parametrize("name", SCRIPTS)
def test_every_script_finds_its_packages_and_takes_a_topic(tmp_path: Path, name: str) -> None:
    if not (PROJECT / ".venv/bin/python").exists():
        pytest.skip("these packages are not in .venv")
    system = [os.path.realpath(sys.executable), PROJECT / name]  # the Python outside of the environment
    version = subprocess.run([*system, "--version"], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert version.returncode == 0 and version.stdout.startswith("miniature-memory "), version.stderr
    unknown = ["--root", str(tmp_path), "--topic", "bread baking", *["--status"] * (name == "run.py"),
               *["html", "page.html"] * (name == "export.py"), *["--out", "out", "in"] * (name == "cluster.py")]
    done = subprocess.run([*system, *unknown], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and "There is no topic bread-baking" in done.stderr, done.stderr
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["train.py", "sample.py"])
def test_without_packages_a_script_says_how_to_get_them(tmp_path: Path, name: str) -> None:
    copy_project(tmp_path)
    done = subprocess.run([sys.executable, "-S", tmp_path / name], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and f"Fix: {tmp_path}/setup.sh" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.slow
def test_a_device_that_is_not_there_ends_a_run_before_its_first_stage(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, PROJECT / "run.py", "--root", tmp_path, "--set", 'train.device="cuda"'],
                          env={**os.environ, "CUDA_VISIBLE_DEVICES": ""}, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and "Fix: " in done.stderr and "Traceback" not in done.stderr, done.stderr
    assert not (tmp_path / "data").exists()


@pytest.mark.slow
def test_only_pages_of_a_listed_license_are_learned_and_the_report_counts_them(tmp_path: Path) -> None:
    add_pages(tmp_path, {"http://a.example/": ARTICLE.format(f"<p>{PROSE}</p>", BY).encode(),
                         "http://b.example/": ARTICLE.format(f"<p>{PROSE} And yet.</p>", "").encode()})
    skip = ["--skip-search", "--skip-scraping", "--skip-preparation", "--skip-training"]
    done = run_py("--root", tmp_path, *skip, "--set", 'clean.require_license=["CC-BY-4.0"]')
    assert done.returncode == 0, done.stderr
    kept = [line["metadata"] for line in lines(tmp_path / "data/clean/000000.jsonl")]
    assert [one["url"] for one in kept] == ["http://a.example/"]  # type: ignore[index]
    assert kept[0]["warc_file"] == "data/pages/000000.warc.gz"  # type: ignore[index]
    report = (tmp_path / "data/report.html").read_text(encoding="utf-8")
    assert "CC-BY-4.0" in report and "none named" in report


def test_what_is_removed_to_stay_within_the_limit_is_said(tmp_path: Path) -> None:
    history = tmp_path / "checkpoints/history"
    history.mkdir(parents=True)
    for name in ("000100.pt", "000200.pt"):
        (history / name).write_bytes(bytes(1_000_000))
    done = run_py("--root", tmp_path, "--only", "validate", "--set", "storage.max_gb=0.0015")
    assert done.returncode == 0 and "removed 1 earlier model" in done.stderr, done.stderr
    assert [path.name for path in history.iterdir()] == ["000200.pt"]
    assert "earlier models 1.0 MB" in run_py("--root", tmp_path, "--status").stdout


@pytest.mark.slow
def test_pip_install_says_what_to_do_instead(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-m", "pip", "install", "--no-index", "--target", tmp_path, PROJECT],
                          capture_output=True, text=True, timeout=120)
    assert done.returncode and "Fix: ./setup.sh, then python3 run.py" in done.stdout + done.stderr
    assert not any(tmp_path.iterdir())
