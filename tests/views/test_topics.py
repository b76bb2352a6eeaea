"""python3 -m pytest tests/views/test_topics.py"""

import json
import time
import unicodedata
from pathlib import Path

import pytest
from helpers import PROSE, add_clean_documents, add_run, run_py, trained
from local_server import Answer, serve

from miniature_memory.core import topic_folders
from miniature_memory.core.config import read_tables
from miniature_memory.core.errors import ConfigError
from miniature_memory.crawl import new_topic
from miniature_memory.crawl.seeds import read_lines, read_seeds
from miniature_memory.views import topics

NO_WIKIPEDIA = ["search.wikis=[]"]


# --- the folder ------------------------------------------------------------------------------


@pytest.mark.parametrize(("topic", "name"), [
    ("bread baking", "bread-baking"), ("  Bread\tBaking\n", "bread-baking"), ("bread-baking", "bread-baking"),
    ("Brot & Käse", "brot-käse-"), ("C++", "c-"), ("хлеб", "хлеб"), ("हिन्दी", "हिन्दी"), ("面包 烘焙", "面包-烘焙"),
    ("🍞", ""), ("../../etc/passwd", "etc-passwd-"), (".", ""), ("con", "con")])
def test_the_name_of_a_folder(topic: str, name: str) -> None:
    found = topic_folders.slug(topic_folders.words_of(topic))
    assert found == name if not name.endswith("-") and name else found.startswith(name) and len(found) == len(name) + 6


@pytest.mark.parametrize("topic", ["a" * 200, "面" * 200, "é " * 100, "./" * 100, "🍞" * 200, "\u0301" * 200,
                                   "x" * 59 + "é"])
def test_no_topic_makes_a_name_that_a_file_system_refuses(tmp_path: Path, topic: str) -> None:
    name = topic_folders.slug(topic_folders.words_of(topic))
    assert 0 < len(name.encode()) <= 70 and "/" not in name and not name.startswith((".", "-"))
    (tmp_path / name).mkdir()


def test_the_same_words_are_the_same_topic_and_others_are_not() -> None:
    assert topic_folders.slug("Crème") == topic_folders.slug(unicodedata.normalize("NFD", "crème"))
    names = {topic_folders.slug(topic) for topic in ("C", "C++", "C#", "c!", "a" * 70, "a" * 71)}
    assert len(names) == 6


@pytest.mark.parametrize("topic", ["", " \n", "\x00\x1b", "\udcff", "x" * 201])
def test_what_is_no_topic_is_refused(tmp_path: Path, topic: str) -> None:
    with pytest.raises(ConfigError, match="expected a few words"):
        topic_folders.folder(tmp_path, topic)


# --- a new topic -----------------------------------------------------------------------------


def test_a_new_topic_has_queries_without_a_network(tmp_path: Path) -> None:
    assert new_topic.begin(tmp_path, "bread baking", read_tables(tmp_path, None, NO_WIKIPEDIA))
    queries = read_lines(tmp_path / "config/queries.txt")
    assert queries[:2] == ["bread baking", "introduction to bread baking"] and len(queries) == len(new_topic.TEMPLATES)
    assert read_seeds(tmp_path / "config/seeds.txt") == []
    assert "commoncrawl" not in read_tables(tmp_path)["search"]["providers"]


def test_in_another_language_no_english_words_are_added(tmp_path: Path) -> None:
    new_topic.begin(tmp_path, "Brot", read_tables(tmp_path, None, [*NO_WIKIPEDIA, 'search.language="de"']))
    assert read_lines(tmp_path / "config/queries.txt") == ["Brot"]


def test_an_existing_topic_is_never_overwritten(tmp_path: Path) -> None:
    for name in ("queries.txt", "seeds.txt", "default.toml"):
        (tmp_path / "config").mkdir(exist_ok=True)
        (tmp_path / "config" / name).write_text("# mine\n")
    assert not new_topic.begin(tmp_path, "bread", read_tables(tmp_path))
    (tmp_path / "config/queries.txt").unlink()
    assert new_topic.begin(tmp_path, "bread", read_tables(tmp_path, None, NO_WIKIPEDIA))
    assert (tmp_path / "config/seeds.txt").read_text() == (tmp_path / "config/default.toml").read_text() == "# mine\n"


def test_wikipedia_is_asked_again_until_it_answers_and_the_queries_are_kept(tmp_path: Path) -> None:
    new_topic.begin(tmp_path, "bread", read_tables(tmp_path, None, NO_WIKIPEDIA))
    (tmp_path / "config/queries.txt").write_text("mine\n")
    answer = json.dumps({"query": {"pages": [article("Bread", 1)]}}).encode()
    for _ in range(2):
        suggest(tmp_path, (200, {"Content-Type": "application/json"}, answer))
    assert read_lines(tmp_path / "config/queries.txt") == ["mine"]
    assert read_seeds(tmp_path / "config/seeds.txt") == [("page", "https://en.wikipedia.org/wiki/Bread")]


def suggest(tmp_path: Path, answer: Answer) -> list[str]:
    """The settings with which a stand-in for Wikipedia answers so."""
    with serve({"/w/api.php": answer}) as site:
        settings = ['search.wikis=["http://en.wikipedia.org/w/api.php"]',
                    f'web.connect_to=["en.wikipedia.org=127.0.0.1:{site.port}"]']
        new_topic.begin(tmp_path, "bread", read_tables(tmp_path, None, settings))
    return read_lines(tmp_path / "config/queries.txt")[len(new_topic.TEMPLATES):]


def article(title: str, n: int) -> dict[str, object]:
    return {"index": n, "fullurl": f"https://en.wikipedia.org/wiki/{title}"}


def test_what_wikipedia_suggests_becomes_queries_and_seeds(tmp_path: Path) -> None:
    pages = [article("Baker%27s_yeast", 2), article("Bread", 1), article("Caf%C3%A9%0a%1b[2J", 3), article("%23", 4)]
    answer = json.dumps({"query": {"pages": pages}}).encode()
    queries = suggest(tmp_path, (200, {"Content-Type": "application/json"}, answer))
    assert queries == ["Bread", "Baker's yeast", "Café [2J"]
    seeds = read_seeds(tmp_path / "config/seeds.txt")
    assert len(seeds) == 3 and seeds[0] == ("page", "https://en.wikipedia.org/wiki/Bread")


@pytest.mark.parametrize("answer", [
    (500, {}, b""), (200, {"Content-Type": "application/json"}, b"{"), (200, {"Content-Type": "text/html"}, b"<p>"),
    (200, {"Content-Type": "application/json"}, b'{"query": {"pages": [{"fullurl": "javascript:x", "index": 1}]}}'),
    (200, {"Content-Type": "application/json"}, b'{"error": {"code": "maxlag"}}')])
def test_an_answer_of_no_use_leaves_the_templates(tmp_path: Path, answer: Answer) -> None:
    assert suggest(tmp_path, answer) == []


def test_a_silent_wikipedia_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(new_topic, "SUGGEST_SEC", 0.2)
    assert suggest(tmp_path, lambda handler: time.sleep(1)) == []


# --- the list, and the command ---------------------------------------------------------------


def test_the_list(tmp_path: Path) -> None:
    assert topics.table(tmp_path) == []
    for name in ("ships", "bread"):
        new_topic.begin(tmp_path / "topics" / name, name, read_tables(tmp_path, None, NO_WIKIPEDIA))
    add_clean_documents(tmp_path / "topics/bread", [PROSE])
    add_run(tmp_path / "topics/bread", trained(2.0))
    (tmp_path / "topics/ships/data").mkdir()
    (tmp_path / "topics/ships/data/catalog.sqlite3").write_bytes(b"no database " * 99)
    rows = topics.table(tmp_path)
    assert [(row.topic, row.documents, row.bits_per_byte) for row in rows] == [("bread", 1, 2.0),
                                                                                     ("ships", None, None)]
    assert "has problems" in topics.screen(rows, tmp_path).splitlines()[2]


def test_a_topic_runs_in_its_folder_and_is_listed(tmp_path: Path) -> None:
    arguments = ["--root", tmp_path, "--topic", "Old Ships", "--set", "search.wikis=[]"]
    done = run_py(*arguments, "--status")
    assert done.returncode == 0 and not (tmp_path / "topics").exists()  # looking makes nothing
    for text in ("for you to edit", "goes on in"):
        done = run_py(*arguments, "--only", "validate")
        assert done.returncode == 0 and text in done.stderr, done.stderr
    assert (tmp_path / "topics/old-ships/data/runs.jsonl").exists()
    done = run_py("--topics", "--json", "--root", tmp_path)
    assert [row["topic"] for row in json.loads(done.stdout)["topics"]] == ["old-ships"]


def test_no_topic_yet(tmp_path: Path) -> None:
    done = run_py("--topics", "--root", tmp_path)
    assert done.returncode == 0 and "--topic" in done.stdout
