"""python3 -m pytest tests/collection/test_search.py"""

from pathlib import Path

import pytest
from helpers import PROSE, add_clean_documents, add_clean_line, document

from miniature_memory.collection.search import search
from miniature_memory.core.errors import ConfigError, StageError
from miniature_memory.storage import full_text
from miniature_memory.storage.catalog import Catalog

TEXTS = {"bread": "Bread is made of dough, which wild yeast makes rise. It isn't hard.",
         "wine": "Wine, too, needs yeast. Is C++ written over a glass of it?",
         "chinese": "我们用面粉和野生酵母做面包，第一次用iPhone手机拍照。",
         "japanese": "天然酵母のパンを焼きました。とてもおいしいです。",
         "thai": "ขนมปังทำจากแป้งและยีสต์ธรรมชาติ"}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("collection")
    add_clean_documents(root, list(TEXTS.values()))
    with Catalog(root) as catalog:
        full_text.grow(catalog)
    return root


def names(root: Path, query: str) -> set[str]:
    """Which of the texts are found."""
    ids = {document(text)["id"]: name for name, text in TEXTS.items()}
    return {ids[result.id] for result in search(root, query).results}


@pytest.mark.parametrize(("query", "expected"), [
    ("yeast", "bread wine"), ("yeast dough", "bread"), ("dough AND yeast", "bread"), ("yeast NOT dough", "wine"),
    ("glass OR dough", "bread wine"), ('"wild yeast"', "bread"), ('"yeast wild"', ""), ("yea*", "bread wine"),
    ("NEAR(wild rise, 3)", "bread"), ("(glass OR rise) AND wild", "bread"), ("text: yeast", "bread wine"),
    ("title: yeast", ""), ("^wine", "wine"), ("“wild yeast”", "bread"), ("wild-yeast", "bread"), ("isn't", "bread"),
    ("isn’t it hard?", "bread"), ("what is dough?", ""), ("is dough made?", "bread"), ("C++", "wine"),
    ("yeast,", "bread wine"), ("nothing: dough", ""), ("dough AND", "bread"), ('"wild yeast', "bread"),
    ("wild yeast)", "bread"), ("yea* !", "bread wine"), ("面包", "chinese"), ("酵母", "chinese japanese"),
    ("包面", ""), ("面包 酵母", "chinese"), ("面包　酵母", "chinese"), ("面包，酵母", "chinese"),
    ("面粉 OR パン", "chinese japanese"), ("酵母 NOT パン", "chinese"), ('"野生酵母"', "chinese"), ("手机", "chinese"),
    ("iphone", "chinese"), ("iPhone手机", "chinese"), ("焼きました", "japanese"), ("包", "chinese"), ("ขนมปัง", "thai"),
    ("ยีสต์", "thai"), ("text: 面包", "chinese"), ("面包？", "chinese")])
def test_queries_find(root: Path, query: str, expected: str) -> None:
    assert names(root, query) == set(expected.split())


@pytest.mark.parametrize("query", [
    "", " ", "???", "AND", '""', "***", "\x00\x02", "()", "' OR 1=1; DROP TABLE texts --", "\udcff", "a" * 500,
    "(" * 500, '"' * 499, "a " * 32, "NOT " * 32, "a* " * 32, "NEAR(" * 32, "text:" * 32, "-" * 500, "🍞",
    "e\u0301" * 200, "^" * 300, "a OR " * 16])
def test_no_query_is_an_error(root: Path, query: str) -> None:
    answer = search(root, query)
    assert bool(answer.note) == (not answer.total)


@pytest.mark.parametrize(("query", "found"), [("a" * 501, "1 words and 501 characters"),
                                              ("a* " * 33, "33 words and 98 characters")])
def test_a_query_that_is_too_long_is_rejected(root: Path, query: str, found: str) -> None:
    with pytest.raises(ConfigError, match=f"{found}; expected at most 32 and 500"):
        search(root, query)


def test_a_word_in_the_title_counts_more(tmp_path: Path) -> None:
    with Catalog(tmp_path) as catalog:
        for title, text in (("", "yeast yeast yeast"), ("Yeast", "what makes dough rise")):
            content = document(text)
            add_clean_line(catalog, content | {"metadata": content["metadata"] | {"title": title}})  # type: ignore[operator]
        full_text.grow(catalog)
    assert [result.title for result in search(tmp_path, "yeast").results] == ["Yeast", "yeast yeast yeast"]
    assert search(tmp_path, "title: yeast").total == 1


def test_the_results_are_bounded_and_all_are_counted(tmp_path: Path) -> None:
    add_clean_documents(tmp_path, [f"yeast {n}" for n in range(12)])
    with Catalog(tmp_path) as catalog:
        full_text.grow(catalog)
    answer = search(tmp_path, "yeast")
    assert (answer.total, len(answer.results)) == (12, 10)


def test_what_is_not_found_is_explained_by_its_words(root: Path) -> None:
    note = search(root, "yeast AND sourdough").note
    assert '"yeast" is in 2 documents, "sourdough" in none.' in note


def test_documents_that_are_not_indexed_yet_are_named(tmp_path: Path) -> None:
    add_clean_documents(tmp_path, ["bread"])
    with Catalog(tmp_path) as catalog:
        full_text.grow(catalog)
    add_clean_documents(tmp_path, [PROSE])
    note = search(tmp_path, "bread").note
    assert "1 document is not indexed yet. Fix: python3 clean.py --index" in note


def test_where_there_is_nothing_to_search_in_a_sentence_tells_so(tmp_path: Path) -> None:
    with pytest.raises(StageError, match=r"There is no .*catalog\.sqlite3.*Fix: run python3 run\.py"):
        search(tmp_path, "bread")
    with Catalog(tmp_path):
        pass
    assert "No document has been kept yet" in search(tmp_path, "bread").note
    add_clean_documents(tmp_path, ["bread"])
    with pytest.raises(StageError, match=r"There is no .*index\.sqlite3 yet.*clean\.py --index"):
        search(tmp_path, "bread")


def test_a_damaged_document_is_left_out(tmp_path: Path) -> None:
    add_clean_documents(tmp_path, ["bread one", "bread two"])
    with Catalog(tmp_path) as catalog:
        full_text.grow(catalog)
    path = tmp_path / "data/clean/000000.jsonl"
    path.write_bytes(path.read_bytes().replace(b'{"id"', b"[]]]]]", 1))
    answer = search(tmp_path, "bread")
    assert [result.title for result in answer.results] == ["bread two"]
