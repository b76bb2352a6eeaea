"""Keys of engines: where they are found, and that nobody else ever sees one.

    .venv/bin/python -m pytest tests/providers/test_engine_keys.py
"""

import gzip
import json
import logging
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import quote

import pytest
from helpers import PROSE, run_py
from local_server import OK_HEAD, page, raw, serve

from miniature_memory.core import log
from miniature_memory.core.errors import ConfigError
from miniature_memory.core.paths import PROJECT
from miniature_memory.providers import engine_keys
from miniature_memory.providers.config import SearchConfig
from miniature_memory.providers.engine_keys import read_keys, with_keys
from miniature_memory.providers.engines import engines_of
from miniature_memory.storage import paid_queries

KEY = "s3cret+/Key-0123456789abcdef="


@pytest.fixture(autouse=True)
def own_project(monkeypatch, tmp_path):
    """Neither the count nor the project is that of whoever runs the tests."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(engine_keys, "PROJECT", tmp_path / "project")
    monkeypatch.setattr(log, "_secrets", set())
    monkeypatch.chdir(tmp_path)
    for folder in ("project/config", "root/config"):
        (tmp_path / folder).mkdir(parents=True)


def keep(folder: str, text: str | bytes, mode: int = 0o600) -> Path:
    path = Path(folder) / "config/keys.toml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    path.chmod(mode)
    return path


def keys(own: dict[str, object] | None = None) -> dict[str, tuple[str, str, str]]:
    found = read_keys(engines_of(own or {}), Path("root"))
    return {name: (key.value, key.id, key.origin) for name, key in found.items()}


def test_the_environment_comes_first_then_the_root_then_the_project(monkeypatch):
    keep("project", 'serper = "of-project"\nbrave = "of-project"\nkagi = "of-project"\n')
    keep("root", '\ufeffserper = " of-the-root "\nbrave = "of-the-root"\nmojeek = ""\n')
    monkeypatch.setenv("SERPER_API_KEY", " of-environment\n")
    monkeypatch.setenv("BRAVE_API_KEY", "")
    assert keys() == {"serper": ("of-environment", "", "SERPER_API_KEY"),
                      "brave": ("of-the-root", "", "root/config/keys.toml"),
                      "kagi": ("of-project", "", "project/config/keys.toml")}


def test_googles_own_api_needs_two_values(monkeypatch):
    monkeypatch.setenv("GOOGLE_CSE_KEY", "of-environment")
    assert keys() == {}
    monkeypatch.setenv("GOOGLE_CSE_ID", "0123:abc")
    assert keys() == {"google_cse": ("of-environment", "0123:abc", "GOOGLE_CSE_KEY")}
    monkeypatch.delenv("GOOGLE_CSE_ID")
    keep("root", 'google_cse_id = "in-the-file"')
    assert keys()["google_cse"][1] == "in-the-file"


def test_an_engine_of_ones_own_has_a_variable_too(monkeypatch):
    own = {"mine": {"url": "https://a.example/", "params": {"q": "{query}", "key": "{key}"}}}
    Path("project/config/default.toml").write_text('[search.engines.mine]\nurl = "https://a.example/old"\n')
    monkeypatch.setenv("MINE_API_KEY", "of-environment")
    assert keys(own) == {"mine": ("of-environment", "", "MINE_API_KEY")} and keys() == {}
    config = with_keys(SearchConfig(engines=own, providers=["seeds", "keyed", "google"]), Path("root"))
    assert config.providers == ["seeds", "mine", "google"] and "of-environment" not in repr(config)


def test_the_order_is_that_of_the_table_or_the_users(monkeypatch):
    for name in ("EXA", "BRAVE", "SERPAPI"):
        monkeypatch.setenv(f"{name}_API_KEY", "of-environment")
    for names, order in ([["keyed", "ddgs"], ["serpapi", "brave", "exa", "ddgs"]],
                         [["exa", "kagi", "keyed"], ["exa", "kagi", "serpapi", "brave"]], [["brave"], ["brave"]]):
        assert with_keys(SearchConfig(providers=names), Path("root")).providers == order


def test_without_an_engine_in_the_list_no_key_is_looked_for():
    keep("project", "no TOML", mode=0o644)
    assert with_keys(SearchConfig(providers=["google", "seeds"]), Path("root")).keys == {}


STRANGERS = [{"serper": {"url": "https://evil.example/search"}},  # a preset that leads elsewhere
             {"serper": {"url": "https://google.serper.dev.evil.example/"}},
             {"serper": {"url": "http://google.serper.dev/search"}}, {"serper": {"url": "https://google.serper.dev:444/"}},
             {"openai": {"url": "https://evil.example/", "params": {"q": "{query}", "key": "{key}"}}},
             {"google_cse": {"url": "https://evil.example/"}}]


@pytest.mark.parametrize("engines", STRANGERS)
@pytest.mark.parametrize("place", ["environment", "project", "link"])
def test_a_root_of_a_stranger_gets_no_key_for_an_address_of_its_own(monkeypatch, engines, place):
    """A folder with a configuration that somebody has shared must not lead a key to an address of his."""
    (name, engine), = engines.items()
    if place == "environment":
        monkeypatch.setenv(f"{name.upper()}_KEY", KEY)
        monkeypatch.setenv(f"{name.upper()}_ID", "0123456789")
    else:
        second = 'google_cse_id = "0123456789"' if name == "google_cse" else ""
        keep("project", f'{name} = "{KEY}"\n{second}')
    if place == "link":
        Path("root/config/keys.toml").symlink_to(Path("project/config/keys.toml").absolute())
    with pytest.raises(ConfigError, match=f"search.engines.{name}. would send the key from") as caught:
        keys(engines)
    assert KEY not in str(caught.value) and engine["url"].partition("://")[2].partition("/")[0] in str(caught.value)


def test_whoever_trusts_the_address_writes_the_key_into_that_root(monkeypatch):
    monkeypatch.setenv("SERPER_API_KEY", "of-environment")
    keep("root", 'serper = "of-the-root"')
    assert keys(STRANGERS[0])["serper"] == ("of-the-root", "", "root/config/keys.toml")
    assert keys()["serper"][0] == "of-environment"  # at its own address
    Path("root/config/keys.toml").unlink()
    Path("project/config/default.toml").write_text('[search.engines.serper]\nurl = "https://evil.example/new"\n')
    assert keys(STRANGERS[0])["serper"][0] == "of-environment"  # the user's own configuration says so
    assert read_keys(engines_of(STRANGERS[1]), Path("project"))["serper"].value == "of-environment"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o622, 0o666, 0o777])
def test_a_file_that_others_may_read_is_refused_with_a_fix_that_works(mode):
    keep("root", f'serper = "{KEY}"', mode)
    with pytest.raises(ConfigError, match="others may read it") as caught:
        keys()
    assert KEY not in str(caught.value)
    subprocess.run(str(caught.value).partition("Fix: ")[2], shell=True, check=True)
    assert keys()["serper"][0] == KEY


def test_a_folder_in_its_place_is_an_error_whose_fix_works(tmp_path):
    (tmp_path / "root/config/keys.toml").mkdir()
    with pytest.raises(ConfigError, match="is not a file") as caught:
        keys()
    subprocess.run(str(caught.value).partition("Fix: ")[2], shell=True, check=True)
    assert keys() == {}


def test_links_that_go_in_circles_and_files_without_end_are_errors():
    path = Path("root/config/keys.toml")
    path.symlink_to("keys.toml")
    with pytest.raises(ConfigError, match="cannot be read"):
        keys()
    path.unlink()
    with open(keep("root", ""), "wb") as stream:
        stream.truncate(20 << 30)  # of which the disk holds nothing
    with pytest.raises(ConfigError, match="21,474,836,480 bytes") as caught:
        keys()
    subprocess.run(str(caught.value).partition("Fix: ")[2], shell=True, check=True)
    assert keys() == {}


@pytest.mark.parametrize(("text", "message"), [
    (f"serper = {KEY}", r"is not TOML \(at line 1\)"), (f"{KEY}", "is not TOML"),
    (f'serper = "{KEY}é"', "cannot be a key"), (f'[serper]\nkey = "{KEY}"', "not text"),
    (f'serpr = "{KEY}"', "an engine that is unknown. Did you mean serper?"), (f'"{KEY}" = "serper"', "is unknown"),
    (f'serper = "{KEY} x"', "cannot be a key"), (f'serper = "{KEY}\\r\\nX: y"', "cannot be a key"),
    (f'serper = "{KEY}"\nserper = "{KEY}"', r"not TOML \(at end of document\)"),
    ("x = " + "[" * 5000, "is not TOML"), (f'google_cse = "{KEY}"', "but no google_cse_id"),
    (b'serper = "\xff"', "is not TOML"), ('serper = "x"', "cannot be a key")])
def test_a_file_that_cannot_be_used_is_an_error_without_the_key(text, message):
    keep("root", text)
    with pytest.raises(ConfigError, match=message) as caught:
        keys()
    assert KEY not in str(caught.value) and "root/config/keys.toml" in str(caught.value)


def test_git_and_docker_leave_the_file_alone():
    for name in (".gitignore", ".dockerignore"):
        assert "config/keys.toml" in (PROJECT / name).read_text()


def test_the_log_hides_a_key_wherever_it_stands(tmp_path, capsys):
    (tmp_path / "root/data").mkdir()
    handlers, level = logging.root.handlers, logging.root.level
    try:
        log.start_logging(tmp_path / "root", quiet=False)
        log.hide(KEY)
        try:
            raise ValueError(f"https://a.example/?key={quote(KEY, safe='')}")
        except ValueError:
            logging.getLogger("run").exception("failed with %s", KEY)
    finally:
        logging.root.handlers, logging.root.level = handlers, level
    written = (tmp_path / "root/data/run.log").read_text() + capsys.readouterr().err
    assert written.count("failed with [key]") == 2 and written.count("?key=[key]") == 2


# --- everything that a run leaves --------------------------------------------------------------------


# Engines of one's own, and what becomes of each
OUTCOMES = {"hangs": "timeout", "cuts": "bad_response", "refuses": "bad_key", "busy": "too_many_requests",
            "html": "not_json", "moves": "redirected", "rows": "bad_answer", "broken": "library_error",
            "nowhere": "unreachable", "answers": ""}
BROKEN = """
import sys
import search
from miniature_memory.crawl.web import Web
real = Web._send
def send(self, url, *rest):
    if "/broken" in url:
        raise RuntimeError(f"a bug at {url}")
    return real(self, url, *rest)
Web._send = send
sys.exit(search.main())
"""


@pytest.mark.parametrize("views", [[["--status"]], pytest.param(
    [["--status", "--json"], ["--doctor", "--ask-paid", "--json"], ["--doctor", "--ask-paid"],
     ["--only", "search", "--json"], ["--skip-training"], ["--report"]], marks=pytest.mark.slow)])
def test_no_key_is_left_anywhere(tmp_path, views):
    """Engines that answer, refuse, hang, break, answer with HTML or redirect, and repeat the key where they can."""
    root, query = tmp_path / "root", f"?key={quote(KEY, safe='')}"
    (root / "config/queries.txt").write_text("sea storms\n")
    (root / "config/seeds.txt").write_text("")
    echo = f"The key {KEY} at {query}".encode()
    with serve(default=page("<p>elsewhere")) as other, serve() as server:
        rows = [{"url": f"http://a.example/{query}"}, {"url": f"{server.url}/page", "title": "whales"}]
        server.routes |= {
            "/hangs": lambda handler: time.sleep(3), "/cuts": raw(OK_HEAD + b"Content-Length: 99\r\n\r\n" + echo),
            "/refuses": (401, {"X-Key": KEY}, echo), "/busy": (429, {"Retry-After": "9"}, echo), "/html": page(KEY),
            "/moves": page(status=302, Location=f"{other.url}/{query}"),
            "/rows": (200, {}, b'{"results": "%s"}' % echo),
            "/page": page(f"<html lang='en'><h1>Whales</h1><p>{PROSE}"),
            "/answers": (200, {}, json.dumps({"error": KEY, "results": rows}).encode())}
        (root / "config/default.toml").write_text(
            '[search]\nproviders = ["keyed"]\npause_sec = 0.0\n[web]\nallow_private = '
            f'["127.0.0.1:{server.port}", "127.0.0.1:9"]\n' + "".join(
                f'[search.engines.{name}]\nurl = "http://127.0.0.1:{9 if name == "nowhere" else server.port}/{name}"\n'
                f'headers = {{Authorization = "Bearer {{key}}"}}\nparams = {{q = "{{query}}", key = "{{key}}"}}\n'
                for name in OUTCOMES))
        own_keys = keep("root", "".join(f'{name} = "{KEY}"\n' for name in OUTCOMES))
        done = [subprocess.run([sys.executable, "-c", BROKEN, "--root", str(root), "--json"], cwd=PROJECT,
                               capture_output=True, text=True, timeout=60, check=False)]
        outcomes = json.loads(done[0].stdout)["facts"]["providers"]
        done += [run_py(*words, "--root", root) for words in views]
        assert other.log == [] and len(server.log) >= len(OUTCOMES) - 2
    assert {name: outcome["reason"] for name, outcome in outcomes.items()} == OUTCOMES
    assert "a bug at" in (root / "data/run.log").read_text()
    assert outcomes["answers"]["results"] == 1  # not the one with the key
    files = [path for path in tmp_path.rglob("*") if path.is_file() and path != tmp_path / own_keys]
    left = [(gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()).decode("latin-1")
            for path in files] + [one.stdout + one.stderr for one in done]
    assert len(files) > 5 and not [text for text in left for form in (KEY, quote(KEY, safe="")) if form in text]
    assert len(views) == 1 or list(root.glob("data/pages/*.warc.gz"))
    assert sum(paid_queries.used().values()) >= len(OUTCOMES)


def test_the_views_show_what_was_spent(tmp_path, monkeypatch):
    root = tmp_path / "root"
    assert "paid" not in run_py("--status", "--root", root).stdout
    monkeypatch.setenv("SERPER_API_KEY", KEY)
    for _ in range(12):
        paid_queries.take("serper", 100)
    text = run_py("--status", "--root", root).stdout
    assert re.search(r"paid queries +12 of 100 used in \d{4}-\d\d \(serper 12\), about\s+\$0.01; 88 left", text), text
    assert "serper, google" in text
    facts = json.loads(run_py("--status", "--root", root, "--json").stdout)["paid_queries"]
    assert facts | {"month": ""} == {"month": "", "used": {"serper": 12}, "limit": 100, "left": 88, "usd": 0.012}
    (root / "config/default.toml").write_text("[search]\nmonthly_queries = 5\n")
    assert json.loads(run_py("--status", "--root", root, "--json").stdout)["paid_queries"]["left"] == 0


def test_a_count_that_cannot_be_read_is_said_only_to_those_with_a_key(tmp_path, monkeypatch):
    paid_queries.path().parent.mkdir(parents=True)
    paid_queries.path().write_bytes(b"no database " * 99)
    for n_problems in (0, 1):
        facts = json.loads(run_py("--status", "--root", tmp_path / "root", "--json").stdout)
        assert len(facts["problems"]) == n_problems and facts["paid_queries"] == {}
        monkeypatch.setenv("SERPER_API_KEY", KEY)


def test_a_bad_file_of_keys_stops_a_run_before_its_first_stage(tmp_path):
    root = tmp_path / "root"
    (root / "config/queries.txt").write_text("ships\n")
    path = keep("root", f'serper = "{KEY}"', 0o644)
    done = run_py("--root", root, "--only", "search")
    assert done.returncode == 2 and f"Fix: chmod 600 {path}" in done.stderr.replace(str(tmp_path) + "/", "")
    assert not (root / "data/catalog.sqlite3").exists() and KEY not in done.stdout + done.stderr
    status = json.loads(run_py("--status", "--root", root, "--json").stdout)
    assert status["problems"][0]["fix"].startswith("chmod 600") and os.path.exists(path)
