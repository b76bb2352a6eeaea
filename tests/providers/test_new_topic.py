"""The files of a new topic.   .venv/bin/python -m pytest tests/providers/test_new_topic.py"""

import json
import threading
from pathlib import Path

import pytest
from local_server import Answer, serve

from miniature_memory.core.config import read_tables
from miniature_memory.core.languages import language_of
from miniature_memory.crawl.seeds import read_lines, read_seeds
from miniature_memory.providers import new_topic

NO_WIKIS = ["search.wikis=[]"]
ENGLISH = language_of("en").queries


def test_a_new_topic_has_queries_without_a_network(tmp_path: Path) -> None:
    assert new_topic.begin(tmp_path, "bread baking", read_tables(tmp_path, None, NO_WIKIS))
    queries = read_lines(tmp_path / "config/queries.txt")
    assert queries[:2] == ["bread baking", "introduction to bread baking"] and len(queries) == len(ENGLISH)
    assert read_seeds(tmp_path / "config/seeds.txt") == []
    assert "commoncrawl" not in read_tables(tmp_path)["search"]["providers"]
    assert read_tables(tmp_path)["clean"]["min_topic_fit"] == new_topic.MIN_TOPIC_FIT > 0


def test_the_topic_fit_is_off_for_ones_own_texts_and_as_set_says(tmp_path: Path) -> None:
    new_topic.begin(tmp_path / "texts", "book", read_tables(tmp_path), texts=True)
    off = [read_tables(root)["clean"]["min_topic_fit"] for root in (tmp_path, tmp_path / "texts")]
    assert off == [0, 0]
    begin(tmp_path / "set", "bread baking", "clean.min_topic_fit=0.4")
    assert read_tables(tmp_path / "set")["clean"]["min_topic_fit"] == 0.4


def begin(root: Path, topic: str, *overrides: str, language: str | None = None) -> None:
    """Begin a topic as run.py does."""
    new_topic.begin(root, topic, read_tables(root, None, [*NO_WIKIS, *overrides]), overrides, language=language)


@pytest.mark.parametrize(("topic", "named", "code", "region", "query"), [
    ("Schach spielen lernen", None, "de", "de", "Schach spielen lernen für Anfänger"),
    ("Brot", "fr", "fr", "fr", "Brot pour débutants"),
    ("sklepy cynamonowe", "pl", "pl", "pl", "sklepy cynamonowe dla początkujących"),
    ("茶道のはじめ方", None, "ja", "jp", "茶道のはじめ方 入門"),
    ("history of tea", None, "en", "us", "history of tea for beginners"),
    ("xyzzy", None, "en", "us", "xyzzy for beginners"),  # nothing tells
])
def test_a_topics_language_is_in_its_settings_and_queries(
        tmp_path: Path, topic: str, named: str | None, code: str, region: str, query: str) -> None:
    begin(tmp_path, topic, language=named)
    tables = read_tables(tmp_path)  # as the next night reads them
    assert (tables["search"]["language"], tables["search"]["region"]) == (code, region)
    assert tables["validate"]["languages"] == [code]
    assert query in read_lines(tmp_path / "config/queries.txt")


def test_in_a_language_without_templates_the_topic_is_the_only_query(tmp_path: Path) -> None:
    begin(tmp_path, "baka bröd", language="sv")
    assert read_lines(tmp_path / "config/queries.txt") == ["baka bröd"]
    assert read_tables(tmp_path)["search"]["region"] == "se"


def test_what_set_says_of_the_language_is_kept(tmp_path: Path) -> None:
    begin(tmp_path, "茶道", 'search.language="ja"', 'search.region="us"', 'validate.languages=["ja", "en"]')
    tables = read_tables(tmp_path)
    assert tables["search"]["language"] == "ja" and tables["search"]["region"] == "us"
    assert tables["validate"]["languages"] == ["ja", "en"]


def test_the_language_of_an_existing_topic_stays(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    begin(tmp_path, "tea", language="nl")
    begin(tmp_path, "tea", language="de")
    assert read_tables(tmp_path)["search"]["language"] == "nl"
    begin(tmp_path, "TEA!")
    assert "continuing the topic tea in" in caplog.text
    assert "stays nl" in caplog.text and "languages in [validate]" in caplog.text


def test_a_guess_is_said_and_how_to_overrule_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    begin(tmp_path, "poezja romantyczna")
    assert "Polish (pl), guessed" in caplog.text and "--language" in caplog.text


def test_wikipedia_is_asked_in_the_topics_language(tmp_path: Path) -> None:
    answer = json.dumps({"query": {"pages": [article("Brot", 1)]}}).encode()
    with serve({"/w/api.php": (200, {"Content-Type": "application/json"}, answer)}) as site:
        settings = ['search.wikis=["http://{language}.wikipedia.org/w/api.php"]',
                    f'web.connect_to=["de.wikipedia.org=127.0.0.1:{site.port}"]']
        new_topic.begin(tmp_path, "Brot", read_tables(tmp_path, None, settings), language="de")
    assert len(site.log) == 1 and len(read_seeds(tmp_path / "config/seeds.txt")) == 1


def test_the_name_of_own_texts_is_not_sent_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(new_topic, "suggestions", lambda *_: pytest.fail("Wikipedia was asked"))
    new_topic.begin(tmp_path, "my diary", read_tables(tmp_path), texts=True)
    assert not new_topic.begin(tmp_path, "my diary", read_tables(tmp_path))  # python3 run.py --topic "my diary"


def test_own_texts_may_have_a_language(tmp_path: Path) -> None:
    new_topic.begin(tmp_path / "any", "book", read_tables(tmp_path), texts=True)
    new_topic.begin(tmp_path / "tr", "kitap", read_tables(tmp_path), texts=True, language="tr")
    languages = [read_tables(tmp_path / name)["validate"]["languages"] for name in ("any", "tr")]
    assert languages == [["*"], ["tr"]]


def test_a_topic_that_begins_like_a_comment_is_searched_for(tmp_path: Path) -> None:
    begin(tmp_path, "#fermentation", language="sv")
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
    return read_lines(tmp_path / "config/queries.txt")[len(ENGLISH):]


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
