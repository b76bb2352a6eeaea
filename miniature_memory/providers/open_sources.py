"""Open sources: APIs that serve programs without a key, by design. The terms of each are in docs/manners.md."""

import re
import time
from typing import Any

from miniature_memory.core.languages import language_of
from miniature_memory.crawl.frontier import DAY_SEC
from miniature_memory.providers.json_api import fetch_json, inner, results, with_fields
from miniature_memory.providers.provider import Ask, Found, ProviderError, words_in

MARGINALIA = "https://api2.marginalia-search.com/search"
HACKERNEWS = "https://hn.algolia.com/api/v1/search"
INTERNETARCHIVE = "https://archive.org/advancedsearch.php"
STACKEXCHANGE = "https://api.stackexchange.com/2.3/search/advanced"
# Its search is per site. A few of wide interest: all of them would use up the 300 requests that a day has.
STACKEXCHANGE_SITES = ("cooking", "diy", "gardening", "history", "literature", "music", "biology", "stackoverflow")
TITLE_FRAC = 0.5  # of the query's words are in a question's title: a site searches all its texts. Guess


def marginalia(ask: Ask) -> list[Found]:
    """An index of small, text-heavy sites (about.marginalia-search.com/article/api). All strangers share one key."""
    url = with_fields(MARGINALIA, query=ask.what, count=ask.n, page=ask.page + 1, nsfw=int(ask.config.safe_search))
    return results(inner(fetch_json(ask, url, headers={"API-Key": "public"}), "results"), "url")


def hackernews(ask: Ask) -> list[Found]:
    """Pages that stories about the query link to, or the stories themselves (hn.algolia.com/api)."""
    url = with_fields(HACKERNEWS, query=ask.what, tags="story", restrictSearchableAttributes="title",
                      typoTolerance="false", hitsPerPage=ask.n, page=ask.page)
    hits = inner(fetch_json(ask, url), "hits")
    for hit in hits if isinstance(hits, list) else ():
        if isinstance(hit, dict) and not hit.get("url") and re.fullmatch("[0-9]{1,12}", str(hit.get("objectID"))):
            hit["url"] = f"https://news.ycombinator.com/item?id={hit['objectID']}"
    return results(hits, "url")


def internetarchive(ask: Ask) -> list[Found]:
    """Books and journals, by their full text: the page that shows it is HTML, the file itself is not
    (archive.org/advancedsearch.php). Texts that are only lent have none."""
    words = " AND ".join(re.findall(r"\w{3,}|[^\W\x00-\u02ff]+", ask.what.lower()))
    if not words:
        return []
    language = language_of(ask.config.language).name
    query = (f'({words}) AND mediatype:texts AND format:DjVuTXT AND languageSorter:"{language}" '
             "AND NOT access-restricted-item:true")
    url = with_fields(INTERNETARCHIVE, q=query, rows=ask.n, page=ask.page + 1, output="json", **{"fl[]": "identifier"})
    rows = inner(fetch_json(ask, url), "response", "docs")
    for row in rows if isinstance(rows, list) else ():
        name = inner(row, "identifier")
        if isinstance(name, str) and re.fullmatch(r"[A-Za-z0-9][\w.-]{0,100}", name, re.ASCII):
            row["url"] = f"https://archive.org/stream/{name}/{name}_djvu.txt"
    return results(rows, "url")


def stackexchange(ask: Ask) -> list[Found]:
    """Questions and their answers, of one site after the other (api.stackexchange.com/docs/advanced-search)."""
    found: list[Found] = []
    if time.monotonic() < ask.memory.get("wait_until", 0.0):
        raise ProviderError("too_many_requests", ask.memory["wait_until"] - time.monotonic())
    for site in STACKEXCHANGE_SITES:
        try:
            answer = fetch_json(ask, with_fields(STACKEXCHANGE, q=ask.what, site=site, sort="relevance", order="desc",
                                                 pagesize=ask.n, page=ask.page + 1), statuses=(200, 400))
            if wait := _seconds_to_wait(answer):
                ask.memory["wait_until"] = time.monotonic() + wait
            if inner(answer, "error_id"):
                raise ProviderError("too_many_requests" if wait else "bad_answer", wait or None)
            questions = results(inner(answer, "items"), "link", "title")
            found += [Found(one.url) for one in questions if words_in(ask.what, one.text) >= TITLE_FRAC]
        except ProviderError:
            if not found:
                raise
            break
        if wait:
            break
    return found


def _seconds_to_wait(answer: Any) -> float:
    """How long the API asks for a pause (api.stackexchange.com/docs/throttle); 0.0 if it does not."""
    backoff, left = inner(answer, "backoff"), inner(answer, "quota_remaining")
    if inner(answer, "error_name") == "throttle_violation":
        seconds = re.search(r"available in ([0-9]{1,6}) seconds", str(inner(answer, "error_message"))[:1000])
        return float(seconds[1]) if seconds else DAY_SEC
    if isinstance(left, int) and left < len(STACKEXCHANGE_SITES):
        return DAY_SEC
    return float(min(backoff, DAY_SEC)) if isinstance(backoff, (int, float)) and backoff > 0 else 0.0
