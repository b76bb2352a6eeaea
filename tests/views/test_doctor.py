"""python3 -m pytest tests/views/test_doctor.py"""

import importlib.util
import json
import re
import shutil
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import pytest
from helpers import PROSE, add_clean_documents, add_raw_documents, add_run, copy_project, follow, run_py
from local_server import Answer, serve

import clean
import validate
from miniature_memory.core.config import Tables, read_tables
from miniature_memory.core.findings import BAD, NOTE, OK, Finding
from miniature_memory.core.paths import PROJECT
from miniature_memory.core.process import run_lock
from miniature_memory.crawl import browser
from miniature_memory.providers.provider import Ask, Found, ProviderError
from miniature_memory.providers.provider_registry import PROVIDERS
from miniature_memory.storage import backoffs
from miniature_memory.storage.catalog import Catalog
from miniature_memory.views import doctor, doctor_web

NOWHERE = 'web.proxy="http://127.0.0.1:9"'


def of(findings: list[Finding], name: str) -> list[tuple[str, str]]:
    return [(finding.level, finding.found) for finding in findings if finding.name == name]


def check_web(root: Path, *overrides: str) -> list[Finding]:
    return doctor.check_web(root, read_tables(root, None, list(overrides)))


def apply(finding: Finding) -> Tables:
    """Change the setting that a fix names, in the file that it names. Returns all settings of that root."""
    line, table, path = re.findall(r"set (\w+ = \S+) under \[(\w+)\] in (/\S+?)(?:,|$)", finding.fix)[0]
    Path(path).parent.mkdir(exist_ok=True)
    Path(path).write_text(f"[{table}]\n{line}\n")
    return read_tables(Path(path).parents[1])


def test_every_problem_has_a_fix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "available_mb", lambda: 100)
    monkeypatch.setattr(doctor, "check_in_child", lambda *_: [])
    findings = doctor.examine(tmp_path, read_tables(tmp_path, None, [NOWHERE]), None, [], demo=False)
    assert {finding.name for finding in findings if finding.level != OK} >= {"memory", "network", "contact"}
    assert all(finding.fix for finding in findings if finding.level != OK)
    assert doctor.show(findings, as_json=False) == 1


@pytest.mark.parametrize(("free_mb", "level"), [(100, BAD), (1000, NOTE), (5000, OK)])
def test_memory_against_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free_mb: int, level: str) -> None:
    monkeypatch.setattr(doctor, "available_mb", lambda: free_mb)
    finding = doctor.check_memory(tmp_path, 2000)
    assert finding.level == level
    if level == NOTE:
        assert doctor.check_memory(tmp_path, apply(finding)["train"]["memory_limit_mb"]).level == OK


def test_available_memory_is_a_sane_number() -> None:
    free_mb = doctor.available_mb()
    assert free_mb is None or 0 < free_mb < 10_000_000


@pytest.mark.parametrize(("free_mb", "level"), [(100, BAD), (1000, NOTE), (5000, OK)])
def test_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free_mb: int, level: str) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(0, 0, free_mb * 10**6))
    assert doctor.check_disk(tmp_path / "not/there/yet").level == level
    if level != OK:
        assert apply(doctor.check_disk(tmp_path))["scrape"]["keep_pages"] is False


def test_packages_older_than_the_floor_or_other_than_the_pin(monkeypatch: pytest.MonkeyPatch) -> None:
    versions = {"torch": "2.5.9+cpu", "numpy": "99.1"}
    real = importlib.metadata.version
    monkeypatch.setattr(doctor.importlib.metadata, "version", lambda name: versions.get(name) or real(name))
    levels = {level: found for level, found in of(doctor.check_packages(), "packages")}
    assert "torch 2.5.9+cpu is too old" in levels[BAD] and "numpy 99.1" in levels[NOTE]


def test_every_required_package_can_be_imported_by_its_name() -> None:
    names = re.findall(r"(?m)^([\w.-]+)>=", (PROJECT / "requirements.txt").read_text())
    assert [name for name in names
            if not importlib.util.find_spec(doctor.IMPORTED_AS.get(name, name.replace("-", "_")))] == []


@pytest.mark.parametrize("view", ["--doctor", "--status", "--topics"])
def test_the_views_run_where_nothing_is_installed(tmp_path: Path, view: str) -> None:
    script = copy_project(tmp_path)
    done = subprocess.run([sys.executable, "-S", script, view], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == (view == "--doctor") and "Traceback" not in done.stderr, done.stderr
    assert view != "--doctor" or "torch, numpy" in done.stdout
    done = subprocess.run([sys.executable, "-S", script], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1 and f"Fix: {tmp_path}/setup.sh" in done.stderr


def test_a_broken_package_is_a_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "torch.py").write_text("raise OSError('libgomp.so.1: cannot open')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(doctor, "PROJECT", tmp_path)  # where the child begins
    copy_project(tmp_path)
    (finding,) = doctor.check_in_child(tmp_path, None, [])
    assert finding.level == BAD and "torch cannot be imported (OSError: libgomp" in finding.found


def test_a_child_that_dies_is_a_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "miniature_memory").mkdir()
    (tmp_path / "miniature_memory/__init__.py").write_text("import os; os.abort()")
    monkeypatch.setattr(doctor, "PROJECT", tmp_path)
    (finding,) = doctor.check_in_child(tmp_path, None, [])
    assert finding.level == BAD and "-6" in finding.found


def test_settings_and_checkpoints_are_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints/release.pt").write_bytes(b"PK\3\4 not a checkpoint")
    findings = doctor.check_in_child(Path("."), None, ['search.providers=["gogle"]', 'train.device="cuda:99"'])
    assert of(findings, "settings")[0][0] == BAD and "gogle" in of(findings, "settings")[0][1]
    assert of(findings, "device")[0][0] == BAD and "release.pt is damaged" in of(findings, "model")[0][1]
    (device,) = (finding for finding in findings if finding.name == "device")
    assert apply(device)["train"]["device"] == "auto"


def test_a_checkpoint_with_a_flipped_bit_is_not_intact(tmp_path: Path) -> None:
    path = tmp_path / "checkpoints/release.pt"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data/0", b"weights")
    path.write_bytes(path.read_bytes().replace(b"weights", b"veights"))
    (finding,) = doctor.model_files(tmp_path)
    assert finding.level == BAD and "release.pt is damaged (its checksums are wrong)" in finding.found


def test_the_browser_is_checked_only_where_pages_are_rendered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not doctor.check_browser(read_tables(tmp_path))
    tables = read_tables(tmp_path, None, ['scrape.render="auto"'])
    [finding] = doctor.check_browser(tables)
    found = browser.find()
    assert (finding.level, finding.fix) == ((NOTE, found.fix) if found.trouble else (OK, ""))
    monkeypatch.setattr(browser, "PROGRAMS", ("no-such-browser",))
    [finding] = doctor.check_browser(tables)
    assert finding.level == NOTE and finding.fix.endswith("apt-get install no-such-browser")


def test_the_contact_that_the_fix_names_is_accepted(tmp_path: Path) -> None:
    finding = doctor.check_contact(tmp_path, read_tables(tmp_path))
    assert finding.level == NOTE and doctor.check_contact(tmp_path, apply(finding)).level == OK


def results(url: str) -> Answer:
    return 200, {"Content-Type": "application/json"}, json.dumps({"results": [{"url": url, "title": ""}]}).encode()


def test_each_provider_has_a_line_with_what_it_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(ask: Ask) -> list[Found]:
        raise ProviderError("captcha")

    def breaks(ask: Ask) -> list[Found]:
        raise ZeroDivisionError

    answers = {"google": refuses, "ddgs": lambda ask: [], "commoncrawl": breaks}
    for name, answer in answers.items():
        monkeypatch.setitem(PROVIDERS, name, PROVIDERS[name]._replace(ask=answer, takes="query"))
    with serve({"/search": results("http://a.example/"),
                "/robots.txt": (404, {}, b"")}) as site:
        findings = check_web(Path("/nowhere"), 'search.providers=["google", "ddgs", "commoncrawl", "searxng", '
                             '"mediawiki"]', 'web.contact="me@example.org"',
                             'search.searxng_url="http://searx.test"', 'search.wikis=["http://wiki.test/api.php"]',
                             f'web.connect_to=["searx.test=127.0.0.1:{site.port}", "wiki.test=127.0.0.1:1"]')
    assert {finding.name: (finding.level, finding.found) for finding in findings[1:]} == {
        "network": (OK, "4 of 5 providers answered"), "searxng": (OK, '1 result for "wikipedia"'),
        "google": (NOTE, "captcha"), "ddgs": (NOTE, "no results, even for a common query"),
        "commoncrawl": (NOTE, "unexpected error; a run keeps its traceback in data/run.log"),
        "mediawiki": (NOTE, "unreachable")}


def test_hosts_of_seeds_are_asked_for_robots_txt_alone(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config/seeds.txt").write_text("page http://a.test/x\npage http://b.test/\n")
    with serve({"/robots.txt": (404, {}, b"")}) as site:
        findings = check_web(tmp_path, 'search.providers=["seeds"]', f'web.connect_to=["a.test=127.0.0.1:{site.port}", '
                             '"b.test=127.0.0.1:1"]')
    assert site.paths == ["/robots.txt"] and of(findings, "seeds") == [(OK, "reachable, except b.test: unreachable")]


def test_each_open_source_is_looked_at_where_it_is_asked() -> None:
    names = ["mediawiki", "wikilinks", "marginalia", "hackernews", "internetarchive", "stackexchange"]
    hosts = ["wiki.test", "wiki.test", "api2.marginalia-search.com", "hn.algolia.com", "archive.org",
             "api.stackexchange.com"]
    with serve({"/robots.txt": (404, {}, b"")}) as site:
        findings = check_web(Path("/nowhere"), f"search.providers={json.dumps(['searxng', *names])}",
                             'search.searxng_url="http://searx.test/search"',
                             'search.wikis=["http://wiki.test/api.php"]',
                             f"web.connect_to={json.dumps([f'{host}=127.0.0.1:1' for host in set(hosts)])[:-1]}, "
                             f'"searx.test=127.0.0.1:{site.port}"]')
    assert [of(findings, name) for name in names] == [[(NOTE, "unreachable")]] * len(names)


def test_a_silent_host_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_web, "ANSWER_SEC", 0.3)
    checked = threading.Event()
    (tmp_path / "config").mkdir()
    with serve(default=lambda handler: checked.wait()) as site:
        (tmp_path / "config/seeds.txt").write_text("page http://a.test/\n")
        findings = check_web(tmp_path, 'search.providers=["searxng", "seeds"]', f'search.searxng_url="{site.url}"',
                             f'web.connect_to=["a.test=127.0.0.1:{site.port}"]')
        checked.set()
    (network,) = of(findings, "network")
    assert network == (BAD, "none of 2 providers answered (searxng: timeout; seeds: a.test: no valid answer).")


def test_a_private_address_is_asked_only_where_the_user_named_it(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    with serve(default=results("http://a.example/")) as site:
        (tmp_path / "config/seeds.txt").write_text(f"page http://localhost:{site.port + 1}/\n")
        findings = check_web(tmp_path, 'search.providers=["searxng", "seeds"]', f'search.searxng_url="{site.url}"')
    assert of(findings, "searxng")[0][0] == OK and "blocked address" in of(findings, "seeds")[0][1]


def test_an_engine_with_a_key_is_asked_only_if_told_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("BRAVE_API_KEY", "0123456789")
    monkeypatch.setattr("miniature_memory.providers.engine_keys.PROJECT", tmp_path)  # whose user may send keys anywhere
    answer = b'{"query": {}, "web": {"results": [{"url": "http://a.example/"}]}}'
    with serve({"/brave": (200, {}, answer)}) as site:
        overrides = ['search.providers=["keyed"]', f'search.engines.brave={{url="{site.url}/brave"}}',
                     f'web.allow_private=["127.0.0.1:{site.port}"]']

        def look(ask_paid: bool, *more: str) -> tuple[str, str]:
            tables = read_tables(tmp_path, None, [*overrides, *more])
            findings = {finding.name: finding for finding in doctor_web.check_web(tmp_path, tables, ask_paid)}
            assert findings["brave"].level == OK or findings["brave"].fix
            return findings["brave"].found + findings["brave"].fix, findings["paid queries"].found
        assert "BRAVE_API_KEY, not asked" in look(False)[0] and site.paths == []
        assert look(True)[0] == "key found in BRAVE_API_KEY; 1 result" and len(site.paths) == 1
        site.routes["/brave"] = (422, {}, b'{"error": {"code": "SUBSCRIPTION_TOKEN_INVALID"}}')
        assert "which comes from BRAVE_API_KEY. Expected: a valid one.get one at https" in look(True)[0]
        used_up, spent = look(True, "search.monthly_queries=2")
        assert used_up == "off: search.monthly_queries is used up for this month" and spent.startswith("2 of 2 used")
        with Catalog(tmp_path) as catalog, catalog.record():
            backoffs.extend(catalog, "provider", "brave", 3600, "too_many_requests")
        assert look(True)[0].startswith("paused until") and len(site.paths) == 2
    assert run_py("--ask-paid").returncode == 2


def test_keys_that_others_may_read_are_a_finding_whose_fix_works(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    path = tmp_path / "config/keys.toml"
    path.write_text('brave = "0123456789"\n')
    path.chmod(0o644)
    (finding,) = (one for one in check_web(tmp_path, 'search.providers=["keyed"]') if one.name == "keys")
    assert finding.level == BAD and "others may read it" in finding.found
    follow(finding.fix)
    assert of(check_web(tmp_path, 'search.providers=["keyed"]'), "brave")[0][0] == OK


def test_a_paused_provider_is_not_asked(tmp_path: Path) -> None:
    with Catalog(tmp_path) as catalog, catalog.record():
        backoffs.extend(catalog, "provider", "searxng", 3600, "captcha")
        backoffs.extend(catalog, "host", "wiki.test", 3600, "http_429")
    with serve() as site:
        findings = check_web(tmp_path, 'search.providers=["searxng", "mediawiki"]', f'search.searxng_url="{site.url}"',
                             'search.wikis=["http://wiki.test/api.php"]', 'web.contact="me@example.org"',
                             f'web.connect_to=["wiki.test=127.0.0.1:{site.port}"]')
    assert site.paths == [] and "captcha" in of(findings, "searxng")[0][1]
    assert "(HTTP 429)" in of(findings, "mediawiki")[0][1]


def test_without_a_network_one_finding_reports_it(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config/queries.txt").write_text("ships\n")
    findings = check_web(tmp_path, NOWHERE)
    assert [finding.name for finding in findings if finding.level == BAD] == ["network"]


@pytest.mark.parametrize(("content", "message"), [(b"caf\xe9\n", "not UTF-8"),
                                                  (b"# nothing\n", "no queries and no seeds")])
def test_queries_that_cannot_be_used(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config/queries.txt").write_bytes(content)
    (tmp_path / "config/seeds.txt").write_text("")
    (level, found), = of(check_web(tmp_path, NOWHERE), "queries")
    assert level == BAD and message in found
    (tmp_path / "config/queries.txt").write_text("ships\n")
    assert of(check_web(tmp_path, NOWHERE), "queries") == [(OK, "1; addresses in seeds.txt: 0")]


def test_a_whole_dataset(tmp_path: Path) -> None:
    add_clean_documents(tmp_path, [PROSE])
    (finding,) = doctor.check_dataset(tmp_path)
    assert finding.level == OK and "1 documents in 2 files" in finding.found


def test_the_index_is_checked_with_a_fix_that_works(tmp_path: Path) -> None:
    assert doctor.check_index(tmp_path) == []
    add_clean_documents(tmp_path, [PROSE])
    (finding,) = doctor.check_index(tmp_path)
    assert finding.level == NOTE and f"python3 clean.py --index --root {tmp_path}" in finding.fix
    assert clean.main(["--index", "--root", str(tmp_path)]) == 0
    assert [finding.level for finding in doctor.check_index(tmp_path)] == [OK]
    add_clean_documents(tmp_path, [PROSE + "More."])
    (finding,) = doctor.check_index(tmp_path)
    assert finding.level == NOTE and finding.found.startswith("1 document cannot be found")


def test_a_file_that_was_cut_off_or_is_gone(tmp_path: Path) -> None:
    add_clean_documents(tmp_path, [PROSE])
    with open(tmp_path / "data/raw/000000.jsonl", "ab") as stream:
        stream.truncate(5)
    (tmp_path / "data/clean/000000.jsonl").unlink()
    (finding,) = doctor.check_dataset(tmp_path)
    assert finding.level == BAD and "raw/000000.jsonl has 5 of" in finding.found and "0 of" in finding.found
    assert f"validate.py --repair --root {tmp_path}" in finding.fix
    assert validate.main(["--full", "--root", str(tmp_path), "--repair", "--quiet"]) == 0
    assert doctor.check_dataset(tmp_path)[0].level == OK


def test_a_folder_in_the_place_of_a_file_is_not_a_file_that_was_cut_off(tmp_path: Path) -> None:
    add_clean_documents(tmp_path, [PROSE])
    (tmp_path / "data/raw/000000.jsonl").rename(tmp_path / "elsewhere")
    (tmp_path / "data/raw/000000.jsonl").mkdir()
    (finding,) = doctor.check_dataset(tmp_path)
    assert finding.level == BAD and finding.found.endswith("raw/000000.jsonl is a folder.")


def test_a_damaged_history_is_a_note_and_a_foreign_catalog_is_bad(tmp_path: Path) -> None:
    add_run(tmp_path)
    with open(tmp_path / "data/runs.jsonl", "a") as stream:
        stream.write("{\n")
    assert [finding.level for finding in doctor.check_dataset(tmp_path)] == [NOTE]
    (tmp_path / "data/catalog.sqlite3").write_bytes(b"no database " * 99)
    assert [finding.level for finding in doctor.check_dataset(tmp_path)] == [NOTE, BAD]


def test_an_active_run_is_reported(tmp_path: Path) -> None:
    assert doctor.check_lock(tmp_path).level == OK
    with run_lock(tmp_path):
        assert doctor.check_lock(tmp_path).level == NOTE


def test_the_demonstration_needs_no_network(tmp_path: Path) -> None:
    add_raw_documents(tmp_path, [PROSE])
    done = run_py("--doctor", "--demo", "--root", tmp_path, "--json")
    answer = json.loads(done.stdout)
    assert done.returncode == (not answer["well"]) and done.stderr == ""
    levels = {finding["name"]: finding["level"] for finding in answer["findings"]}
    assert levels["network"] == levels["dataset"] == levels["device"] == OK


def test_a_bad_command_line_is_rejected_before_anything_is_checked() -> None:
    assert run_py("--doctor", "--only", "train").returncode == run_py("--doctor", "--set", "x").returncode == 2
