"""Wikis: a stand-in server answers as they do.   .venv/bin/python -m pytest tests/providers/test_wikis.py"""

from urllib.parse import parse_qs, urlsplit

import pytest
from api_world import ask, json_page, urls_of
from local_server import page

from miniature_memory.crawl import web
from miniature_memory.crawl.config import WebConfig
from miniature_memory.crawl.web import Web
from miniature_memory.providers import wikis
from miniature_memory.providers.provider import ProviderError
from miniature_memory.providers.wikis import cited_page, mediawiki, wikilinks

WIKIPEDIA, WIKISOURCE = "/en.wikipedia.org/w/api.php", "/en.wikisource.org/w/api.php"
ARTICLES = json_page({"query": {"pages": [{"index": 2, "title": "B", "fullurl": "https://en.wikipedia.org/wiki/B"},
                                          {"index": 1, "title": "A", "fullurl": "https://en.wikipedia.org/wiki/A"}]}})
NOTHING = json_page({"batchcomplete": True})
SISTER = "https://en.wikibooks.org/wiki/X"


def fields(path: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(path).query).items()}


def test_the_agent_names_program_and_version_and_whom_to_reach(monkeypatch):
    assert Web(WebConfig()).agent == web.AGENT
    assert Web(WebConfig(contact="me@example.org")).agent == f"{web.AGENT} (+me@example.org)"
    monkeypatch.setattr(web, "PROJECT_URL", "https://example.org/project")
    assert Web(WebConfig()).agent == f"{web.AGENT} (+https://example.org/project)"
    assert Web(WebConfig(contact="me")).agent == f"{web.AGENT} (+https://example.org/project; me)"


@pytest.mark.parametrize("provider, n", [(mediawiki, 10), (wikilinks, wikis.CITING)])
def test_wikis_are_asked_one_after_the_other_by_our_own_name(world, provider, n):
    world.routes |= {"/de.wikipedia.org/w/api.php": NOTHING, "/de.wikisource.org/w/api.php": NOTHING}
    assert provider(ask(world, language="de", page=2)) == []
    assert len(world.log) == 2 and world.log[1].began >= world.log[0].ended
    for request in world.log:
        asked = fields(request.path)
        assert (asked["maxlag"], asked["gsrlimit"], asked["gsroffset"]) == ("5", str(n), str(2 * n))
        assert request.headers["User-Agent"] == web.AGENT


def test_articles_come_in_the_order_of_the_search(world):
    world.routes |= {WIKIPEDIA: ARTICLES, WIKISOURCE: NOTHING}
    assert urls_of(mediawiki(ask(world))) == ["https://en.wikipedia.org/wiki/A", "https://en.wikipedia.org/wiki/B"]


def test_a_bad_row_costs_itself_alone(world):
    rows = [{"index": 2, "fullurl": "http://b.example/2"}, None, {"fullurl": "http://b.example/3"}, {"index": 1}, 7,
            {"index": "x", "fullurl": 7}, {"index": 1, "fullurl": "http://b.example/1"}]
    world.default = json_page({"query": {"pages": rows}})
    assert urls_of(mediawiki(ask(world))) == [f"http://b.example/{n}" for n in (1, 2, 3)]
    rows = [None, 7, {}, {"extlinks": 7, "iwlinks": {}}, {"extlinks": [None, 7, {}, {"url": 7}, {"url": "mailto:x"},
            {"url": "http://[::1"}, {"url": "//b.example/x"}, {"url": "http://c.example/y"}], "iwlinks": [[]]}]
    world.default = json_page({"query": {"pages": rows}})
    assert urls_of(wikilinks(ask(world))) == ["https://b.example/x", "http://c.example/y"]


@pytest.mark.parametrize("provider", [mediawiki, wikilinks])
@pytest.mark.parametrize("answer, reason, wait", [
    (json_page({"error": {"code": "maxlag"}}), "too_many_requests", None),
    (json_page({"error": {"code": "ratelimited"}}, **{"Retry-After": "30"}), "too_many_requests", 30.0),
    (json_page({"error": {"code": "badvalue\x1b"}}), "api_badvalue", None), (page(status=403), "denied", None),
    (page("<p>no JSON"), "wrong_type", None), (json_page({"query": {"pages": 7}}), "bad_answer", None),
    (json_page({"query": []}), "bad_answer", None), (json_page([]), "bad_answer", None),
    (page(status=503, Retry_After="7"), "too_many_requests", 7.0)])
def test_how_wikis_refuse(world, provider, answer, reason, wait):
    world.default = answer
    with pytest.raises(ProviderError) as caught:
        provider(ask(world))
    assert (caught.value.reason, caught.value.retry_after_sec) == (reason, wait)


def test_rows_that_are_no_articles_are_no_answer(world):
    world.default = json_page({"query": {"pages": [{"index": "x"}]}})
    with pytest.raises(ProviderError, match="bad_answer"):
        mediawiki(ask(world))


def test_a_wiki_that_refuses_does_not_spoil_the_other_and_is_not_asked_again(world):
    world.routes |= {WIKIPEDIA: json_page({"error": {"code": "maxlag"}}), WIKISOURCE: ARTICLES}
    question = ask(world)
    assert len(mediawiki(question)) == 2
    world.routes[WIKISOURCE] = citing("https://a.example/")
    assert urls_of(wikilinks(question)) == ["https://a.example/"]  # they share their memory
    assert [path.partition("?")[0] for path in world.paths] == [WIKIPEDIA, WIKISOURCE, WIKISOURCE]


def citing(*links: str, of_sisters: tuple[str, ...] = (), **more: object):
    return json_page({"query": {"pages": [{"title": "A", "extlinks": [{"url": url} for url in links],
                                           "iwlinks": [{"prefix": "s", "url": url} for url in of_sisters]}]}} | more)


def test_the_links_of_articles_may_take_several_requests(world):
    def answer(handler):
        at = int(fields(handler.path).get("elcontinue", "0|0")[0])
        more = {"continue": {"elcontinue": f"{at + 1}|x", "continue": "||iwlinks"}} if at < 1 else {
            "continue": {"gsroffset": 3, "continue": "gsroffset||"}}  # other articles
        status, headers, body = citing(f"https://{at}.example/", of_sisters=(SISTER,), **more)
        handler.send_response(status)
        handler.send_header("Content-Type", headers["Content-Type"])
        handler.end_headers()
        handler.wfile.write(body)
    world.routes |= {WIKIPEDIA: answer, WIKISOURCE: NOTHING}
    assert urls_of(wikilinks(ask(world))) == ["https://0.example/", SISTER, "https://1.example/"]
    assert [fields(path).get("continue") for path in world.paths] == [None, "||iwlinks", None]


@pytest.mark.parametrize("more", [{"elcontinue": "1|x", "continue": "||"}, {"elcontinue": 7, "continue": {}}, 7,
                                  {"elcontinue": "x" * 9999, "continue": "||"}, {"eloffset": 10, "continue": "||"}])
def test_links_without_end_are_not_asked_for_without_end(world, more):
    world.routes |= {WIKIPEDIA: citing("https://a.example/", **{"continue": more}), WIKISOURCE: NOTHING}
    assert urls_of(wikilinks(ask(world))) == ["https://a.example/"]
    assert len(world.log) <= wikis.LINKS_REQUESTS + 1


def test_what_came_before_a_refusal_counts(world):
    world.routes |= {WIKIPEDIA: citing("https://a.example/", **{"continue": {"elcontinue": "1", "continue": "|"}}),
                     WIKISOURCE: page(status=429)}
    assert urls_of(wikilinks(ask(world))) == ["https://a.example/"]


@pytest.mark.parametrize("link, leads_to", [
    ("https://a.example/bread", "https://a.example/bread"), ("//a.example/bread", "https://a.example/bread"),
    ("https://web.archive.org/web/20100101000000/http://a.example/x?y=1", "http://a.example/x?y=1"),
    ("http://web.archive.org/web/2010/a.example/x", "http://a.example/x"),
    ("https://web.archive.org/web/20100101000000id_/https://a.example/", "https://a.example/"),
    ("https://web.archive.org/web/2010/https://web.archive.org/web/2010/http://a.example/", ""),
    ("https://archive.org/stream/x/x_djvu.txt", "https://archive.org/stream/x/x_djvu.txt"),
    ("https://doi.org/10.1000/182", ""), ("https://dx.doi.org/10.1000/182", ""), ("https://notdoi.org/", "https://notdoi.org/"),
    ("https://books.google.co.uk/books?id=x", ""), ("https://geohack.toolforge.org/geohack.php?x", ""),
    ("https://www.wikidata.org/wiki/Q7802", ""), ("https://commons.wikimedia.org/wiki/Bread", ""),
    ("https://en.wikisource.org/wiki/Bread", "https://en.wikisource.org/wiki/Bread"),
    ("https://de.wikipedia.org/wiki/Brot", ""), ("https://en.wikipedia.org/w/index.php?title=Bread&action=edit", ""),
    ("https://en.wikibooks.org/wiki/Cookbook:Bread", ""), ("https://www.gutenberg.org/ebooks/9935", ""),
    ("ftp://a.example/", ""), ("javascript:alert(1)", ""), (None, ""), (7, "")])
def test_which_cited_pages_are_worth_reading(link, leads_to):
    assert cited_page(link, "https://en.wikipedia.org/w/api.php", "en") == leads_to
