"""Page parts: what a rendered page may ask for, and how it is fetched.

Scripts, styles and data, by GET, through web.py: addresses checked, robots.txt obeyed, one request at a time to each
host with a pause after it, a limit on everything, and our own agent. Nothing that paints, plays, tracks or sends. What
is refused is counted by its reason.
"""

import queue
import re
import threading
import time
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from miniature_memory.core.text import host_of
from miniature_memory.crawl.blocklists import Blocklist, host_rejection
from miniature_memory.crawl.config import ScrapeConfig
from miniature_memory.crawl.guard import FetchError
from miniature_memory.crawl.robots import Rules, fetch_rules, robots_url
from miniature_memory.crawl.scheduler import PAUSE_REASONS, Scheduler
from miniature_memory.crawl.urls import browser_url
from miniature_memory.crawl.visits import Host
from miniature_memory.crawl.web import MAX_REDIRECTS, Fetched, Web
from miniature_memory.responses.media_type import media_type

KINDS = {"Script", "Stylesheet", "XHR", "Fetch", "Other"}  # DevTools' resource types; Other: of a worker, for example
TEXT_TYPES = ("json", "javascript", "ecmascript", "xml", "html")  # within a media type, besides text/*
SENT_HEADERS = ("accept", "origin")  # of the page's own, and x-... and hx-..., by which sites know requests of scripts
# Of those, what would stand for another method, address or sender: some servers obey it, and robots.txt would not count
NOT_SENT = re.compile(r"x-(http-)?method|x-(original|rewrite|forwarded)|x-host$|x-(.*-)?(ip|addr)$")
HEADER_CHARS = 500
MAX_PARTS = 100  # requested for one page. Guess, as are the next four
MAX_HOSTS = 12  # asked for one page
MAX_PAGE_BYTES = 20_000_000  # of all parts of one page
MAX_KEPT_BYTES = 4_000_000  # of scripts and styles, for the next page of the same site
PART_DELAY_SEC = 0.5  # from an answer to the next request to that host for the same page; its Crawl-delay if longer
TRACKERS = frozenset(re.findall(r"\S+", """
    google-analytics.com googletagmanager.com googlesyndication.com googleadservices.com doubleclick.net
    adservice.google.com facebook.net hotjar.com segment.com segment.io mixpanel.com amplitude.com nr-data.net
    newrelic.com sentry.io sentry-cdn.com bugsnag.com datadoghq-browser-agent.com clarity.ms bat.bing.com criteo.com
    criteo.net taboola.com outbrain.com quantserve.com scorecardresearch.com chartbeat.com parsely.com matomo.cloud
    plausible.io fullstory.com optimizely.com onetrust.com cookielaw.org cookiebot.com intercom.io hs-scripts.com
    hs-analytics.net adnxs.com rubiconproject.com pubmatic.com amazon-adsystem.com mc.yandex.ru snap.licdn.com
    ads-twitter.com analytics.tiktok.com cloudflareinsights.com js-agent.newrelic.com"""))


class Part(NamedTuple):
    """A request of the browser that waits for its answer."""

    id: str  # DevTools'
    url: str
    headers: dict[str, str]
    is_kept: bool  # a script or style, which the next page may need as well


class Answer(NamedTuple):
    part: Part
    outcome: Fetched | Exception  # a FetchError, or a bug


class News(NamedTuple):
    """What the catalog is to learn of a host."""

    host: Host
    found: Rules | FetchError  # its robots.txt, or that it wants a pause


@dataclass
class OnePage:
    """What is fetched for one page."""

    until: float  # time.monotonic(); no request is sent after it
    answers: "queue.SimpleQueue[Any]"
    n_parts: int = 0
    n_bytes: int = 0


def kind_rejection(request: Mapping[str, Any], kind: str) -> str:
    """Why a request of the browser is never sent; ''. request: DevTools' Network.Request."""
    headers = {name.lower() for name in request["headers"]}
    if request["method"] != "GET":
        return "not_get"
    if kind not in KINDS or "sec-purpose" in headers or "purpose" in headers:
        return kind.lower() if kind not in KINDS else "prefetch"
    if "service-worker" in headers:
        return "service_worker"
    url = browser_url(request["url"])
    return "bad_url" if not url else "tracker" if _is_tracker(urlsplit(url).hostname or "") else ""


def _is_tracker(host: str) -> bool:
    labels = host.split(".")
    return any(".".join(labels[n:]) in TRACKERS for n in range(len(labels)))


def headers_to_send(headers: Mapping[str, str]) -> dict[str, str]:
    """Those of a page's own headers that are sent: what it accepts, where it is, and what its scripts add."""
    return {name: value for name, value in headers.items()
            if (name.lower() in SENT_HEADERS or name.lower().startswith(("x-", "hx-")))
            and not NOT_SENT.match(name.lower())
            and len(value) <= HEADER_CHARS and value.isascii() and value.isprintable()}


class PageParts:
    """The hosts that are asked, each by a thread of its own, and what is known of them."""

    def __init__(self, config: ScrapeConfig, web: Web, scheduler: Scheduler, blocklist: Blocklist) -> None:
        self.config, self.web, self.scheduler, self.blocklist = config, web, scheduler, blocklist
        self.page = OnePage(0.0, queue.SimpleQueue())  # the current one
        self.lines: dict[str, queue.SimpleQueue[Part | None]] = {}  # by host, of the current page; None ends one
        self.locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)  # by host: one request at a time
        self.kept: OrderedDict[str, Fetched] = OrderedDict()
        self.news: queue.SimpleQueue[News] = queue.SimpleQueue()
        self.fetched = 0
        self.refused: Counter[str] = Counter()

    def begin(self, until: float, answers: "queue.SimpleQueue[Any]") -> None:
        """A new page, whose parts are answered in that queue until then."""
        self.page = OnePage(until, answers)

    def ask(self, request: Mapping[str, Any], kind: str, request_id: str) -> str:
        """Let a part of the page be fetched; its Answer comes in the queue. Returns '', or why it is refused."""
        reason = kind_rejection(request, kind) or self._limit(browser_url(request["url"]))
        if reason:
            self.refused[reason] += 1
            return reason
        url = browser_url(request["url"])
        part = Part(request_id, url, headers_to_send(request["headers"]), kind in ("Script", "Stylesheet"))
        if url in self.kept:
            self.kept.move_to_end(url)
            self.page.answers.put(Answer(part, self.kept[url]))
            return ""
        self.page.n_parts += 1
        self._line(url).put(part)
        return ""

    def keep(self, answer: Answer) -> None:
        """Count what has come, and keep a script for the next page."""
        if not isinstance(answer.outcome, Fetched):
            self.refused[getattr(answer.outcome, "reason", "")] += 1
            return
        if answer.part.url in self.kept:
            return
        self.fetched += 1
        if answer.part.is_kept and not answer.outcome.location:
            self.kept[answer.part.url] = answer.outcome
            while sum(len(one.body) for one in self.kept.values()) > MAX_KEPT_BYTES:
                self.kept.popitem(last=False)

    def end(self) -> None:
        """The page is done: its hosts rest as after a page, and the catalog learns what was learned of them."""
        now = time.monotonic()
        self.page.until = now  # what was not asked for yet is not needed any more
        for name, line in self.lines.items():
            line.put(None)
            host = self.scheduler.hosts[name]
            host.ready_at = max(host.ready_at, now + host.delay_sec)
        self.lines = {}
        while not self.news.empty():
            host, found = self.news.get()
            if isinstance(found, Rules):
                self.scheduler.learn(host, found)
            else:
                self.scheduler.pause(host, found.retry_after_sec, found.reason)

    def _limit(self, url: str) -> str:
        if self.page.n_parts >= MAX_PARTS or len(self.lines.keys() | {host_of(url)}) > MAX_HOSTS:
            return "too_many_parts"
        return host_rejection(url, self.blocklist)

    def _line(self, url: str) -> "queue.SimpleQueue[Part | None]":
        name = host_of(url)
        if name not in self.lines:
            self.lines[name] = queue.SimpleQueue()
            threading.Thread(target=self._serve, daemon=True, args=(
                self.scheduler.host_for(url), self.locks[name], self.page, self.lines[name])).start()
        return self.lines[name]

    # --- in the thread of a host ---------------------------------------------

    def _serve(self, host: Host, lock: threading.Lock, page: OnePage, line: "queue.SimpleQueue[Part | None]") -> None:
        while part := line.get():
            outcome: Fetched | Exception
            try:
                with lock:
                    outcome = self._fetch(host, page, part)
            except Exception as error:  # a FetchError, or a bug, which the main thread raises again
                outcome = error
            page.answers.put(Answer(part, outcome))

    def _fetch(self, host: Host, page: OnePage, part: Part) -> Fetched:
        if not host.rules:
            host.rules = self._rules(host, page, robots_url(part.url))
        forbidden = host.rules.rejection_of(part.url)
        forbidden = forbidden or ("noai" if self.config.respect_noai and host.rules.forbids_training else "")
        if forbidden:
            raise FetchError(forbidden)
        seconds, left = self._turn(host, page), min(self.web.config.max_bytes, MAX_PAGE_BYTES - page.n_bytes)
        if left <= 0:
            raise FetchError("too_big")
        try:
            answer = self.web.fetch(part.url, headers=part.headers, follow=False, seconds=seconds, max_bytes=left,
                                    successes=range(200, 300))
        except FetchError as error:
            if error.reason in PAUSE_REASONS:
                host.rules = Rules(rejection=error.reason)
                self.news.put(News(host, error))
            raise
        finally:
            self._rest(host)
        page.n_bytes += len(answer.body)
        essence = media_type(answer.all("Content-Type"))[0]
        if essence and not essence.startswith("text/") and not any(one in essence for one in TEXT_TYPES):
            raise FetchError("wrong_type")
        return answer

    def _rules(self, host: Host, page: OnePage, url: str) -> Rules:
        """What the host's robots.txt says. One that leads to another host, whose turn it is not, is not followed: this
        round asks for nothing there then, and the catalog learns nothing."""
        for hops in range(MAX_REDIRECTS + 1):
            self._turn(host, page)
            found = fetch_rules(self.web, url, hops)  # not cut short with the page: the answer holds for a day
            self._rest(host)
            if isinstance(found, Rules):
                self.news.put(News(host, found))
                return found
            if urlsplit(found).hostname != urlsplit(url).hostname:
                break
            url = found
        return Rules(rejection="robots_unavailable")

    def _turn(self, host: Host, page: OnePage) -> float:
        """Wait for the host's turn. Returns the seconds that are left then."""
        wait = host.ready_at - time.monotonic()
        if time.monotonic() + max(wait, 0.0) >= page.until:
            raise FetchError("no_time_left")
        if wait > 0:
            time.sleep(wait)
        return page.until - time.monotonic()

    def _rest(self, host: Host) -> None:
        own = min(host.delay_sec, PART_DELAY_SEC)  # none for a stand-in
        asked = host.rules.delay_sec if host.rules and host.delay_sec else 0.0
        host.ready_at = time.monotonic() + max(own, asked)
