"""Seeds as providers read them.   .venv/bin/python -m pytest tests/providers/test_listings.py"""

import pytest

from miniature_memory.crawl.config import WebConfig
from miniature_memory.crawl.guard import FetchError
from miniature_memory.crawl.web import Web
from miniature_memory.providers.config import SearchConfig
from miniature_memory.providers.feed_reader import Listing
from miniature_memory.providers.listings import listings, seeds
from miniature_memory.providers.provider import Ask

HOST = "http://a.example"
HTML = "<!DOCTYPE html><html><body><p>A page"


def urlset(*paths: str) -> str:
    return "<urlset>" + "".join(f"<url><loc>{path}</loc></url>" for path in paths) + "</urlset>"


def index(*paths: str) -> str:
    return "<sitemapindex>" + "".join(f"<sitemap><loc>{path}</loc></sitemap>" for path in paths) + "</sitemapindex>"


def ask(site: dict[str, str], kind: str = "sitemap", turn: int = 0) -> tuple[Ask, list[str]]:
    """A question for the seed /map of a site, and the list of paths that will have been asked for."""
    asked: list[str] = []

    def fetch(url: str) -> Listing:
        path = url.removeprefix(HOST)
        asked.append(path)
        if path not in site:
            raise FetchError("http_404")
        listing = Listing(url)
        listing.read(iter([site[path].encode()]))
        return listing
    return Ask(f"{HOST}/map", 0, turn, SearchConfig(), Web(WebConfig()), fetch, kind=kind), asked


def paths(question: Ask, provider=listings) -> list[str]:
    return [result.url.removeprefix(HOST) for result in provider(question)]


@pytest.mark.parametrize("site, pages", [
    ({"/map": index("/a.xml", "/b.xml"), "/a.xml": urlset("/1"), "/b.xml": urlset("/2")}, ["/1", "/2"]),
    ({"/map": index("/gone.xml", "/a.xml"), "/a.xml": urlset("/1")}, ["/1"]),
    ({"/map": index("/map", "/a.xml", "/a.xml"), "/a.xml": index("/map", "/b.xml"), "/b.xml": urlset("/1")}, ["/1"]),
    ({"/map": index("/page", "/404.xml"), "/page": HTML, "/404.xml": HTML}, ["/page"]),
    ({"/map": urlset("/1", "/more.xml"), "/more.xml": urlset("/2")}, ["/1", "/2"]),
    ({"/map": index("/feed"), "/feed": "<rss><item><link>/1</link></item></rss>"}, ["/1"])])
def test_indexes_are_followed(site: dict[str, str], pages: list[str]) -> None:
    question, asked = ask(site)
    assert paths(question) == pages and len(asked) == len(set(asked))


@pytest.mark.parametrize("site, reason", [
    ({"/map": HTML}, "html_page"), ({"/map": urlset()}, "no_links"), ({"/map": " "}, "empty"), ({}, "http_404"),
    ({"/map": "A text."}, "no_listing"), ({"/map": index("/gone.xml")}, "http_404"), ({"/map": index()}, "no_links"),
    ({"/map": index("/a.xml"), "/a.xml": HTML}, "html_page"), ({"/map": index("/a"), "/a": ""}, "empty")])
def test_a_source_that_gives_nothing_has_a_reason(site: dict[str, str], reason: str) -> None:
    with pytest.raises(FetchError, match=f"^{reason}$"):
        listings(ask(site)[0])


def test_a_long_index_is_read_in_turn() -> None:
    site = {"/map": index(*(f"/{n}.xml" for n in range(30)))} | {f"/{n}.xml": urlset(f"/{n}") for n in range(30)}
    (first, _), (second, _) = ask(site), ask(site, turn=1)
    assert paths(first) == [f"/{n}" for n in range(10)] and paths(second) == ["/0", *(f"/{n}" for n in range(10, 19))]


@pytest.mark.parametrize("kind, content, pages, n_asked", [
    ("page", HTML, ["/map"], 0), ("unknown", HTML, ["/map"], 1), ("unknown", "A text.", ["/map"], 1),
    ("unknown", "<svg/>", ["/map"], 1), ("unknown", urlset("/1"), ["/1"], 1),
    ("unknown", "<feed><entry><link href='/1'/></entry></feed>", ["/1"], 1), ("unknown", f"{HOST}/1\n", ["/1"], 1)])
def test_a_seed_is_what_it_proves_to_be(kind: str, content: str, pages: list[str], n_asked: int) -> None:
    question, asked = ask({"/map": content}, kind)
    assert paths(question, seeds) == pages and len(asked) == n_asked
