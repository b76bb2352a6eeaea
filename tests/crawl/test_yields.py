"""yields.py: which URLs are likely to give something.   .venv/bin/python -m pytest tests/crawl/test_yields.py"""

from collections import Counter

import pytest
from local_server import page, serve
from scraping import add, config_for, row_of, run

from miniature_memory.crawl.frontier import due_urls
from miniature_memory.crawl.yields import Estimate, Topic
from miniature_memory.storage import urls
from miniature_memory.storage.catalog import Catalog
from miniature_memory.storage.yields import VISITED


@pytest.fixture
def catalog(tmp_path):
    with Catalog(tmp_path) as catalog:
        yield catalog


def fill(catalog: Catalog, promise: int = 1, **hosts: int) -> None:
    with catalog.record():
        for host, n in hosts.items():
            for k in range(n):
                assert urls.add(catalog, f"http://{host}.example/{promise}/{k}", "test", promise=promise) == ""


def note(catalog: Catalog, host: str, visits: int, kept: int, promise: int = 1, source: str = "test") -> None:
    with catalog.record():
        catalog.execute("INSERT OR REPLACE INTO yields VALUES (?, ?, ?, ?, ?, ?)",
                        [f"{host}.example", source, promise, visits, kept, 5000 * kept])


def chosen(catalog: Catalog, limit: int, per_host: int = 50) -> Counter[str]:
    return Counter(row["host"].partition(".")[0] for row in due_urls(catalog, limit, per_host))


# --- what a URL promises -------------------------------------------------------------------------


def test_more_words_of_the_topic_promise_more_than_few_or_none():
    topic = Topic(["to bake bread at home", "history of bread", "sourdough starters"], "en")
    none, one, two, more = (topic.promise("http://a.example/7", text) for text in (
        "Read all the news of today", "Feeding a sourdough", "Sourdough bread in an hour", "Sourdough bread: bake it"))
    assert none < one < two == more
    assert topic.promise("http://a.example/sourdough/bread-in-an-hour") == two
    assert topic.promise("http://a.example/7", "Read more") == 0  # says nothing, neither for nor against
    assert topic.promise("http://bread.example/sourdough/7") == one  # a host is judged by what it gives
    assert topic.stems == {"bake", "bakes", "bread", "home", "homes", "sourd", "start"}


def test_a_page_about_the_topic_promises_something_for_its_links():
    topic = Topic(["bread"], "en")
    texts = ("words of all kinds " * 300, "words of all kinds " * 300 + "bread " * 6, "bread and salt")
    abouts = [topic.about(text) for text in texts]
    assert abouts == [1, 2, 3] and topic.about("") == 1
    assert len({topic.promise("http://a.example/7", "More", about) for about in (0, *abouts)}) == 4


def test_words_count_in_any_ending_and_in_scripts_without_spaces():
    topic = Topic(["photographers", "パン作り"], "ja")
    assert topic.promise("http://a.example/", "A photographic history in pictures") == 2
    assert topic.promise("http://a.example/", "家庭のパン作り入門") == 3


# --- what visits give ----------------------------------------------------------------------------


def test_one_visit_in_vain_condemns_no_host_but_many_do(catalog):
    for n in range(20):
        note(catalog, f"h{n}", 10, 5)
    note(catalog, "unlucky", 1, 0)
    note(catalog, "barren", 40, 0)
    usual, unlucky, barren, unknown = (Estimate(catalog).factor(f"{name}.example")
                                       for name in ("h0", "unlucky", "barren", "unknown"))
    assert usual > unlucky > 0.7 > 0.2 > barren and barren < unknown < usual


def test_what_a_promise_is_worth_is_counted_and_a_host_is_judged_by_its_promises(catalog):
    note(catalog, "a", 50, 5, promise=1)
    note(catalog, "b", 50, 40, promise=3)
    estimate = Estimate(catalog)
    assert estimate.rate("test", 3) > 4 * estimate.rate("test", 1) and estimate.rate("x", 3) > estimate.rate("x", 1)
    assert estimate.rate("test", 2) == estimate.mean  # nothing is known of it
    assert abs(estimate.factor("a.example") - estimate.factor("b.example")) < 0.3  # both gave what their URLs promised


def test_a_source_that_gives_more_is_worth_more_for_the_same_promise(catalog):
    note(catalog, "a", 50, 40, source="feeds")
    note(catalog, "b", 50, 4, source="links")
    estimate = Estimate(catalog)
    assert estimate.rate("feeds", 1) > estimate.rate("unheard of", 1) > estimate.rate("links", 1)


def test_a_long_document_does_not_make_a_host(catalog):
    for n in range(20):
        note(catalog, f"h{n}", 10, 5)
    note(catalog, "steady", 10, 8)
    note(catalog, "long", 10, 1)
    with catalog.record():
        catalog.execute("UPDATE yields SET kept_bytes = 50000 WHERE host = 'long.example'")
    estimate = Estimate(catalog)
    assert estimate.factor("steady.example") > estimate.factor("long.example")


def test_scrape_keeps_what_links_promise_and_counts_visits_without_a_page(tmp_path):
    (tmp_path / "config").mkdir()
    (tmp_path / "config/queries.txt").write_text("sourdough bread\n")
    links = "<p>News of the town.</p><a href=/1>Sourdough bread</a><a href=/2>The council has met again today</a>"
    with serve({"/": page(links)}) as server:
        add(tmp_path, server.url + "/", server.url + "/gone")
        run(config_for(server, follow_links=True, max_pages=2), tmp_path)
        bread, council = (row_of(tmp_path, f"{server.url}/{n}")["promise"] for n in (1, 2))
        assert bread > council > 0 and row_of(tmp_path, server.url + "/")["promise"] == VISITED
        run(config_for(server), tmp_path)  # neither is there
    with Catalog(tmp_path) as catalog:
        assert sorted(tuple(row) for row in catalog.execute("SELECT source, promise, visits, kept FROM yields")) == [
            ("links", council, 1, 0), ("links", bread, 1, 0), ("test", 0, 1, 0)]
        assert catalog.value("SELECT promise FROM pages") == 0


def test_without_a_network_no_host_is_to_blame(tmp_path):
    add(tmp_path, "http://nowhere.invalid/")
    run(config_for(), tmp_path)
    with Catalog(tmp_path) as catalog:
        assert catalog.value("SELECT count(*) FROM yields") == 0


# --- what is chosen ------------------------------------------------------------------------------


def test_hosts_that_gave_something_come_first(catalog):
    fill(catalog, good=30, bad=30)
    note(catalog, "good", 10, 9)
    note(catalog, "bad", 10, 0)
    assert chosen(catalog, 20) == {"good": 20}
    assert chosen(catalog, 20, per_host=15) == {"good": 15, "bad": 5}
    assert chosen(catalog, 99) == {"good": 30, "bad": 30}


def test_as_long_as_nothing_was_kept_hosts_take_turns(catalog):
    fill(catalog, a=9, b=9)
    before = [row["id"] for row in due_urls(catalog, 10, 9)]
    note(catalog, "a", 8, 0)
    assert [row["id"] for row in due_urls(catalog, 10, 9)] == before


def test_within_a_host_what_promises_more_comes_first_and_revisits_by_what_they_give(catalog):
    fill(catalog, 1, a=9)
    fill(catalog, 3, a=9)
    fill(catalog, VISITED, a=9)
    for promise, kept in ((1, 5), (3, 20), (VISITED, 0)):
        note(catalog, "a", 40, kept, promise)
    assert [row["promise"] for row in due_urls(catalog, 27, 27)] == [3] * 9 + [1] * 9 + [VISITED] * 9


def test_a_tenth_of_the_visits_explore_hosts_that_nobody_knows_each_as_often(catalog):
    unknown = {f"h{n}": 2 for n in range(20)}
    fill(catalog, known=300, **unknown)
    explored = Counter[str]()
    for visits in range(200, 600):  # another night, another draw
        note(catalog, "known", visits, visits)
        tonight = chosen(catalog, 20, per_host=99)
        assert tonight["known"] == 18 and tonight == chosen(catalog, 20, per_host=99)  # the same night, the same draw
        explored += tonight
    explored.pop("known")
    assert explored.keys() == unknown.keys() and all(20 <= n <= 64 for n in explored.values())  # 40, and 4 deviations


def test_an_unknown_host_gets_few_visits_until_it_is_known(catalog):
    fill(catalog, known=4, new=40, other=40)
    note(catalog, "known", 9, 9)
    assert chosen(catalog, 8) == {"known": 4, "new": 2, "other": 2}
    note(catalog, "new", 2, 2)
    assert chosen(catalog, 12) == {"known": 4, "new": 6, "other": 2}
