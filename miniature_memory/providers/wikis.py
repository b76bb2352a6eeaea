"""Wikis: what their search finds, and the pages that the articles found cite.

Both ask the Action API, one request at a time and with maxlag, as mediawiki.org/wiki/API:Etiquette asks.
"""

import math
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from miniature_memory.crawl.urls import browser_url, joined
from miniature_memory.crawl.web import Web
from miniature_memory.providers.json_api import MOST_ROWS, fetch_json, inner, own_web, result, with_fields
from miniature_memory.providers.provider import BACKOFF_SEC, Ask, Found, ProviderError

CITING = 3  # articles whose links are asked for at a time: they have about a hundred each
LINKS_REQUESTS = 3  # for these links; each brings up to 500 of a kind
# Cited often, but nothing to read: identifiers and catalogs; tools, data and media of the wikis; copies whose address
# does not name the page; previews, videos and what asks for a login. Project Gutenberg wants people alone.
_NO_READING = re.compile(r"""(^|\.)(
    doi\.org|handle\.net|worldcat\.org|viaf\.org|isni\.org|orcid\.org|id\.loc\.gov|lccn\.loc\.gov|d-nb\.info
    |wikidata\.org|wikimedia\.org|mediawiki\.org|wikimediafoundation\.org|toolforge\.org|wmflabs\.org|wmcloud\.org
    |web\.archive\.org|archive\.(today|is|ph|li|md|vn|fo)|webcitation\.org|ghostarchive\.org
    |(books|scholar)\.google\.[a-z]+(\.[a-z]+)?|youtube\.com|youtu\.be|twitter\.com|x\.com|facebook\.com|instagram\.com
    |openstreetmap\.org|gutenberg\.org)$""", re.VERBOSE)
_WIKI = re.compile(r"(?P<language>[a-z-]+)\.(m\.)?"
                   r"(wikipedia|wiktionary|wikibooks|wikiquote|wikisource|wikinews|wikiversity|wikivoyage)\.org")
_ARCHIVED = re.compile(r"https?://(?:web\.|www\.)?archive\.org/web/[0-9*]+(?:[a-z]{2}_)?/(https?:/+)?(.+)")


def mediawiki(ask: Ask) -> list[Found]:
    """The articles that the search of each wiki finds."""
    return _of_each_wiki(ask, _articles)


def wikilinks(ask: Ask) -> list[Found]:
    """The pages that those articles cite, and their sister projects in the language of the search."""
    return _of_each_wiki(ask, _cited)


def _of_each_wiki(ask: Ask, add: Callable[[Ask, Web, str, dict[str, Found]], None]) -> list[Found]:
    """What `add` finds on each wiki in turn. A wiki that refused is not asked again in this run."""
    refused: dict[str, ProviderError] = ask.memory.setdefault("refused", {})
    found: dict[str, Found] = {}
    problems: list[ProviderError] = []
    for api in ask.config.wikis:
        api = api.replace("{language}", ask.config.language)
        try:
            if api in refused:
                raise refused[api]
            add(ask, own_web(ask, api), api, found)
        except ProviderError as problem:
            problems.append(problem)
            if problem.reason in BACKOFF_SEC:
                refused[api] = problem
    if problems and not found:
        raise problems[0]
    return list(found.values())


def _search_fields(ask: Ask, n: int) -> dict[str, object]:
    return {"action": "query", "format": "json", "formatversion": 2, "maxlag": 5, "generator": "search",
            "gsrsearch": ask.what, "gsrlimit": n, "gsroffset": ask.page * n, "gsrnamespace": 0}


def _rows(answer: Any) -> list[Any]:
    """The articles of an answer, which has no query if there are none."""
    query = answer.get("query", {}) if isinstance(answer, dict) else None
    rows = query.get("pages", []) if isinstance(query, dict) else None
    if not isinstance(rows, list):
        raise ProviderError("bad_answer")
    return rows[:MOST_ROWS]


def _articles(ask: Ask, web: Web, api: str, found: dict[str, Found]) -> None:
    """In the order of the search; those without an index last."""
    rows = _rows(fetch_json(ask, with_fields(api, **_search_fields(ask, ask.n), prop="info", inprop="url"), web))

    def place(row: Any) -> float:
        index = inner(row, "index")
        return index if isinstance(index, int) else math.inf
    articles = {one.url: one for row in sorted(rows, key=place) for one in result(row, "fullurl")}
    if rows and not articles:
        raise ProviderError("bad_answer")
    found |= articles


def _cited(ask: Ask, web: Web, api: str, found: dict[str, Found]) -> None:
    """The links of one page of articles, which may take several requests (mediawiki.org/wiki/API:Continue)."""
    more: dict[str, str] = {}
    for _ in range(LINKS_REQUESTS):
        url = with_fields(api, **_search_fields(ask, CITING), prop="extlinks|iwlinks", ellimit="max", iwlimit="max",
                          iwprop="url", **more)
        answer = fetch_json(ask, url, web)
        for article in _rows(answer):
            for links in (inner(article, "extlinks"), inner(article, "iwlinks")):
                for link in links[:MOST_ROWS] if isinstance(links, list) else ():
                    if page := cited_page(inner(link, "url"), api, ask.config.language):
                        found[page] = Found(page)
        more = {key: str(value)[:1000] for key in ("continue", "elcontinue", "eloffset", "iwcontinue")
                if isinstance(value := inner(answer, "continue", key), str | int)}
        if len(more) < 2:  # what is left is of other articles
            return


def cited_page(link: Any, base: str, language: str) -> str:
    """The address of a page that an article cites, instead of a copy in the Wayback Machine; '' if it is nothing to
    read, or a wiki in another language."""
    url = joined(base, link) if isinstance(link, str) else ""
    if copy := _ARCHIVED.fullmatch(url):
        url = browser_url(f"{(copy[1] or 'http:').partition(':')[0]}://{copy[2]}")
    parts = urlsplit(url)
    host = parts.hostname or ""
    if wiki := _WIKI.fullmatch(host):
        is_article = parts.path.startswith("/wiki/") and ":" not in parts.path
        return url if is_article and wiki["language"] == language else ""
    return "" if _NO_READING.search(host) else url
