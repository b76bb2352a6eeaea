"""yields.py: visits, and what came of them.   .venv/bin/python -m pytest tests/storage/test_yield_counts.py"""

import pytest

from miniature_memory.storage import clean_documents, documents, pages, records, urls, yields
from miniature_memory.storage.catalog import Catalog
from miniature_memory.storage.record_reader import Place

PLACE = Place("f", 0, 9)


@pytest.fixture
def catalog(tmp_path):
    with Catalog(tmp_path) as catalog:
        yield catalog


def visit(catalog: Catalog, url: str, fetched: bool = True, promise: int = 3) -> int:
    """A visit as the recorder notes it; the number of its page."""
    with catalog.record():
        urls.add(catalog, url, "ddgs", promise=promise)
        row = urls.get(catalog, url)
        if fetched:
            pages.add(catalog, row["id"], url, "t", PLACE, url)
        yields.end_visit(catalog, row["id"], counts=not fetched)
    return catalog.value("SELECT max(seq) FROM pages")


def extract(catalog: Catalog, page: int, document: bool) -> int:
    with catalog.record():
        seq = documents.add(catalog, f"document {page}", "", PLACE, page=page) if document else 0
        catalog.advance("extract", page)
    return seq


def counted(catalog: Catalog) -> list[tuple[object, ...]]:
    return [tuple(row) for row in catalog.execute("SELECT * FROM yields")]


def clean(catalog: Catalog, seq: int, page: int, kept: bool) -> None:
    with catalog.record():
        if kept:
            clean_documents.add(catalog, f"document {page}", PLACE, 700)
        catalog.advance("clean", seq)


def test_a_page_counts_once_clean_has_judged_it(catalog):
    one, two, none = (visit(catalog, f"http://a.example/{n}") for n in range(3))
    yields.settle(catalog)
    assert counted(catalog) == []
    first, second = extract(catalog, one, True), extract(catalog, two, True)
    extract(catalog, none, False)
    yields.settle(catalog)
    assert counted(catalog) == []
    clean(catalog, first, one, True)
    yields.settle(catalog)
    assert counted(catalog) == [("a.example", "ddgs", 3, 1, 1, 700)]
    clean(catalog, second, two, False)
    for _ in range(2):
        yields.settle(catalog)
        assert counted(catalog) == [("a.example", "ddgs", 3, 3, 1, 700)]


def test_a_visit_without_a_page_counts_at_once_and_the_next_one_apart(catalog):
    for _ in range(2):
        visit(catalog, "http://a.example/", fetched=False)
    assert sorted(counted(catalog)) == [("a.example", "ddgs", -1, 1, 0, 0), ("a.example", "ddgs", 3, 1, 0, 0)]


def test_texts_from_elsewhere_count_nowhere_and_hold_nothing_up(catalog):
    with catalog.record():
        documents.add(catalog, "own text", "file:///book.txt", PLACE)
    page = visit(catalog, "http://a.example/")
    clean(catalog, extract(catalog, page, True), page, True)
    yields.settle(catalog)
    assert counted(catalog) == [("a.example", "ddgs", 3, 1, 1, 700)]


def test_a_rebuilt_clean_set_changes_what_was_kept_of_the_same_visits(catalog):
    for n in range(2):
        page = visit(catalog, f"http://a.example/{n}")
        clean(catalog, extract(catalog, page, True), page, True)
    visit(catalog, "http://a.example/fails", fetched=False)
    yields.settle(catalog)
    with catalog.record():
        catalog.execute("DELETE FROM clean_documents WHERE seq = 1")
        yields.count_kept_again(catalog)
    assert counted(catalog) == [("a.example", "ddgs", 3, 3, 1, 700)]


def test_a_page_that_a_repair_passes_over_is_no_other_pages_document(catalog):
    page = visit(catalog, "http://a.example/")
    clean(catalog, extract(catalog, page, True), page, True)
    yields.settle(catalog)
    with catalog.record():
        records.pass_over(catalog, records.one("pages", {"seq": page}))
    assert visit(catalog, "http://b.example/") == page  # its number is free again
    extract(catalog, page, False)
    yields.settle(catalog)
    assert [row for row in counted(catalog) if row[0] == "b.example"] == [("b.example", "ddgs", 3, 1, 0, 0)]


def test_hosts_that_give_and_hosts_that_only_cost(catalog):
    with catalog.record():
        for host, visits, kept in (("a", 9, 2), ("b", 9, 0), ("c", 30, 0), ("d", 4, 0), ("e", 1, 1)):
            catalog.execute("INSERT INTO yields VALUES (?, 't', 1, ?, ?, ?)", [host, visits, kept, kept * 10])
    assert [one.host for one in yields.give_most(catalog, 9)] == ["a", "e"]
    assert [one.host for one in yields.only_cost(catalog, 9)] == ["c", "b"]
    with catalog.record():
        for host in "abc":
            urls.add(catalog, f"http://{host}/", "t")
    assert urls.enough_due(catalog, 1, 9) and not urls.enough_due(catalog, 2, 9)  # b and c only cost


def test_text_counts_by_its_topic_fit_where_that_is_known(catalog):
    for n, fit in enumerate((None, 0.5, 1.4)):
        page = visit(catalog, f"http://{n}.example/")
        clean(catalog, seq := extract(catalog, page, True), page, True)
        with catalog.record():
            catalog.execute("UPDATE documents SET topic_fit = ? WHERE seq = ?", [fit, seq])
    yields.settle(catalog)
    assert [row[-1] for row in counted(catalog)] == [700, 350, 700]
