"""The files of a new topic.   .venv/bin/python -m pytest tests/crawl/test_new_topic.py"""

import json
import threading
from pathlib import Path

import pytest
from local_server import Answer, serve

from miniature_memory.core.config import read_tables
from miniature_memory.crawl import new_topic
from miniature_memory.crawl.seeds import read_lines, read_seeds

NO_WIKIS = ["search.wikis=[]"]


def test_a_new_topic_has_queries_without_a_network(tmp_path: Path) -> None:
    assert new_topic.begin(tmp_path, "bread baking", read_tables(tmp_path, None, NO_WIKIS))
    queries = read_lines(tmp_path / "config/queries.txt")
    assert queries[:2] == ["bread baking", "introduction to bread baking"] and len(queries) == len(new_topic.TEMPLATES)
    assert read_seeds(tmp_path / "config/seeds.txt") == []
    assert "commoncrawl" not in read_tables(tmp_path)["search"]["providers"]


def test_in_another_language_no_english_words_are_added(tmp_path: Path) -> None:
    new_topic.begin(tmp_path, "Brot", read_tables(tmp_path, None, [*NO_WIKIS, 'search.language="de"']))
    assert read_lines(tmp_path / "config/queries.txt") == ["Brot"]


def test_a_topic_that_begins_like_a_comment_is_searched_for(tmp_path: Path) -> None:
    new_topic.begin(tmp_path, "#fermentation", read_tables(tmp_path, None, [*NO_WIKIS, 'search.language="de"']))
    assert read_lines(tmp_path / "config/queries.txt") == ["fermentation"]


@pytest.mark.parametrize("left", [b"", b"\0" * 40, b"\n"])
def test_files_that_a_power_cut_emptied_are_written_again(tmp_path: Path, left: bytes) -> None:
    (tmp_path / "config").mkdir()
    for name in ("queries.txt", "seeds.txt", "default.toml"):
        (tmp_path / "config" / name).write_bytes(left)
    assert new_topic.begin(tmp_path, "bread", read_tables(tmp_path / "none", None, NO_WIKIS))
    assert read_lines(tmp_path / "config/queries.txt")[0] == "bread"
    assert "commoncrawl" not in read_tables(tmp_path)["search"]["providers"]


def test_an_existing_topic_is_never_overwritten(tmp_path: Path) -> None:
    for name in ("queries.txt", "seeds.txt", "default.toml"):
        (tmp_path / "config").mkdir(exist_ok=True)
        (tmp_path / "config" / name).write_text("# mine\n")
    assert not new_topic.begin(tmp_path, "bread", read_tables(tmp_path))
    (tmp_path / "config/queries.txt").unlink()
    assert new_topic.begin(tmp_path, "bread", read_tables(tmp_path, None, NO_WIKIS))
    assert (tmp_path / "config/seeds.txt").read_text() == (tmp_path / "config/default.toml").read_text() == "# mine\n"


def test_wikipedia_is_asked_again_until_it_answers_and_the_queries_are_kept(tmp_path: Path) -> None:
    new_topic.begin(tmp_path, "bread", read_tables(tmp_path, None, NO_WIKIS))
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
    assert suggest(tmp_path, lambda handler: threading.Event().wait(1)) == []
