"""Search engines, most of which refuse programs: Google, those that ddgs asks, and your own SearXNG."""

import dis
import logging
import re
from types import ModuleType
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit

from miniature_memory.core.log import DETAIL
from miniature_memory.core.text import host_of
from miniature_memory.crawl.guard import FetchError
from miniature_memory.crawl.urls import browser_url
from miniature_memory.providers.json_api import fetch_json, inner, own_web, result, results
from miniature_memory.providers.provider import BACKOFF_SEC, Ask, Found, ProviderError

DDGS_BACKENDS = {"duckduckgo": "html.duckduckgo.com", "brave": "search.brave.com", "mojeek": "www.mojeek.com"}
DDGS_TIMEOUT_SEC = 5.0  # of each backend

# The libraries are imported where they are used: together they cost 40 MB and a second.

logger = logging.getLogger(__name__)


class _Answer(NamedTuple):
    """What googlesearch and ddgs accept as an answer of their own HTTP client."""

    text: str = ""
    content: bytes = b""
    status_code: int = 200

    def raise_for_status(self) -> None:
        pass  # fetch() has raised already


def replace_client(library: ModuleType, name: str, user: object, ours: object) -> None:
    """Let `ours` send a library's requests. user: the function of the library that calls its HTTP client `name`.

    Raises ProviderError unless the library still has both and one calls the other: its own client must send nothing.
    """
    reads = dis.get_instructions(user) if callable(user) and hasattr(user, "__code__") else ()
    if not hasattr(library, name) or not any((step.opname, step.argval) == ("LOAD_GLOBAL", name) for step in reads):
        raise ProviderError("library_changed")
    setattr(library, name, ours)


def google(ask: Ask) -> list[Found]:
    import googlesearch

    texts: list[str] = []

    def get(url: str, params: dict[str, Any], headers: dict[str, str], cookies: dict[str, str], **_: Any) -> _Answer:
        if texts:
            return _Answer()  # one page of results is enough; the library would ask for more
        params |= {"num": ask.n + 2, "start": ask.page * ask.n}  # it counts wrongly from the second page on
        cookie = {"Cookie": "; ".join(f"{name}={value}" for name, value in cookies.items())}
        answer = ask.web.fetch(f"{url}?{urlencode(params)}", headers=headers | cookie, rejection_of=_google_wall)
        texts.append(answer.body.decode("utf-8", "replace"))
        return _Answer(texts[0])

    replace_client(googlesearch, "get", getattr(googlesearch, "_req", None), get)
    results = googlesearch.search(ask.what, num_results=ask.n, lang=ask.config.language, region=ask.config.region,
                                  safe="active" if ask.config.safe_search else "off", advanced=True)
    rows = [getattr(result, "__dict__", None) for result in results]
    found = [one for row in rows for one in result(row, "url", "title", "description")]
    if not texts:
        raise ProviderError("library_changed")
    if not found and (wall := page_wall(texts[0])):
        raise ProviderError(wall)
    return found


def _google_wall(url: str) -> str:
    """Why a page that Google redirects to is not asked for."""
    if "/sorry/" in url:
        return "captcha"
    return "consent_page" if urlsplit(url).netloc.startswith("consent.") else ""


def page_wall(html: str) -> str:
    """What a page without results is, if it is a wall: captcha, consent_page or js_wall; else ''."""
    text = html[:1 << 18].lower()
    if re.search(r"unusual traffic|/sorry/index|g-recaptcha|h-captcha|captcha-form|are you a robot", text):
        return "captcha"
    if re.search(r"consent\.google|before you continue|cookie-?consent-?wall", text):
        return "consent_page"
    return "js_wall" if re.search(r"enablejs|enable javascript|javascript is (disabled|required)", text) else ""


def ddgs(ask: Ask) -> list[Found]:
    import ddgs.base
    from ddgs import DDGS
    from ddgs.exceptions import DDGSException

    logging.getLogger("ddgs").setLevel(logging.ERROR)  # it reports each engine's failure
    refused = ask.memory.setdefault("refused", set())
    backends = [name for name, host in DDGS_BACKENDS.items() if host not in refused]
    if not backends:
        raise ProviderError("too_many_requests")
    sent: list[str] = []
    errors: list[ProviderError] = []
    user = getattr(getattr(ddgs.base, "BaseSearchEngine", None), "__init__", None)
    replace_client(ddgs.base, "HttpClient", user, lambda **_: _DdgsClient(ask, sent, errors))
    rows = []
    try:
        rows = DDGS().text(ask.what, region=f"{ask.config.region}-{ask.config.language}", max_results=ask.n,
                           page=ask.page + 1, safesearch="on" if ask.config.safe_search else "off",
                           backend=", ".join(backends))
    except DDGSException:  # the one type it raises, whatever happened; so we look at the answers ourselves
        if errors:
            raise max(errors, key=lambda error: BACKOFF_SEC.get(error.reason, 0)) from None
        logger.log(DETAIL, "ddgs found nothing", exc_info=True)
    if not sent:
        raise ProviderError("library_changed")
    return [one for row in rows or [] for one in result(row, "href", "title", "body")]


class _DdgsClient:
    """Replaces ddgs' HTTP client, which imitates a browser. It lists what was sent, and what went wrong."""

    def __init__(self, ask: Ask, sent: list[str], errors: list[ProviderError]) -> None:
        self.ask, self.sent, self.errors = ask, sent, errors
        self.client = self  # ddgs sets headers and cookies on an inner client
        self.cookies: dict[str, str] = {}

    def headers_update(self, headers: dict[str, str]) -> None:
        pass  # they would make us look like a browser

    def set_cookies(self, url: str, cookies: dict[str, str]) -> None:
        self.cookies |= cookies

    def request(self, method: str, url: str, params: dict[str, str] | None = None,
                data: dict[str, str] | None = None, **_: Any) -> _Answer:
        url += "?" + urlencode(params) if params else ""
        self.sent.append(url)
        if data and self.ask.config.safe_search:
            data = data | {"kp": "1"}  # DuckDuckGo's strict safe search, which ddgs leaves out
        cookie = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        try:
            answer = self.ask.web.fetch(url, form=data, headers={"Cookie": cookie} if cookie else {},
                                        seconds=DDGS_TIMEOUT_SEC)
        except FetchError as error:
            self.errors.append(ProviderError.of(error))
            self.ask.memory["refused"].add(host_of(browser_url(url)))
            return _Answer(status_code=503)
        text = answer.body.decode("utf-8", "replace")
        if wall := page_wall(text):
            self.errors.append(ProviderError(wall))  # only counts if no backend has a result
        return _Answer(text, answer.body)


def searxng(ask: Ask) -> list[Found]:
    """SearXNG's JSON API (docs.searxng.org/dev/search_api.html)."""
    base = ask.config.searxng_url.partition("?")[0].rstrip("/").removesuffix("/search")
    url = base + "/search?" + urlencode({
        "q": ask.what, "format": "json", "language": ask.config.language, "pageno": ask.page + 1,
        "safesearch": 2 if ask.config.safe_search else 0})
    try:
        answer = fetch_json(ask, url, own_web(ask, base))
    except ProviderError as error:
        if error.reason == "denied":  # no back-off: its owner can fix it
            raise ProviderError("json_disabled") from None
        raise
    found = results(inner(answer, "results"), "url", "title", "content")
    if not found and answer.get("unresponsive_engines"):
        raise ProviderError("engines_unresponsive")
    return found
