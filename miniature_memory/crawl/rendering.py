"""Rendering: the second round of scrape, in which a browser runs the scripts of pages that say nothing without them.

One page at a time, each in a browser of its own (browser.py), which has no network: every request that it makes is
intercepted and answered from here. The page itself is the response that is archived already; its parts are fetched by
page_parts.py; everything else fails. When text has come and nothing changes any more, the document is taken as it is
then, shadow roots included, and archived as a conversion record next to the response.
"""

import base64
import hashlib
import logging
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from miniature_memory.core.errors import StageError
from miniature_memory.core.text import counted, host_of, timestamp
from miniature_memory.crawl import page_signals
from miniature_memory.crawl.blocklists import Blocklist, url_rejection
from miniature_memory.crawl.browser import Browser, BrowserError, Found
from miniature_memory.crawl.config import ScrapeConfig
from miniature_memory.crawl.guard import FetchError
from miniature_memory.crawl.outcomes import reason_in_words
from miniature_memory.crawl.page_parts import Answer, PageParts
from miniature_memory.crawl.recorder import Recorder
from miniature_memory.crawl.scheduler import Scheduler
from miniature_memory.crawl.urls import browser_url
from miniature_memory.crawl.visits import Page, Visit
from miniature_memory.crawl.warc import RENDERED_TYPE, Exchange, archived_page, conversion_record, digest
from miniature_memory.crawl.web import Fetched, Web
from miniature_memory.responses.signals import read_signals
from miniature_memory.storage import shells, urls
from miniature_memory.storage.catalog import Catalog
from miniature_memory.storage.url_keys import url_key

logger = logging.getLogger(__name__)

PAGE_SEC = 20.0  # for one page. Guess, as are the next five
GRACE_SEC = 3.0  # after that, to hand its document over
QUIET_SEC = 0.6  # without a request and with the same text: it is done
EMPTY_SEC = 3.0  # without a request and without text: it has none
LOOK_SEC = 0.2  # between two looks
MAX_SCROLLS = 5  # to its end, as long as that brings more text
MAX_RELOADS = 3
MAX_CRASHES = 3  # in a row: it is not the pages' fault
MAX_WAITING = 1000  # pages looked at in one round

# Run in the page before its own scripts. Without the first, documents would be incomplete; without the others, pages
# would wait for what cannot come.
PREPARE = """(() => {
  const attach = Element.prototype.attachShadow;
  Element.prototype.attachShadow = function (options) { return attach.call(this, {...options, mode: "open"}); };
  for (const name of ["WebSocket", "WebSocketStream", "WebTransport", "RTCPeerConnection", "EventSource"])
    delete globalThis[name];
  window.open = () => null;
  window.print = () => {};
})()"""

# Defines what LENGTH and DOCUMENT call, in a world of its own, where the page's scripts cannot change it. The tree is
# the one that is seen: shadow roots in the place of their hosts' children, slots filled. Without scripts and styles,
# but with data for machines.
WALK = """(() => {
  const MOST_NODES = 100000;
  const children = node => {
    if (node.shadowRoot) return node.shadowRoot.childNodes;
    const given = node.localName === "slot" ? node.assignedNodes({flatten: true}) : [];
    return given.length ? given : node.childNodes;
  };
  const isText = node => node.nodeType === Node.TEXT_NODE;
  const isKept = node => isText(node) || (node.nodeType === Node.ELEMENT_NODE
    && !["style", "noscript", "template"].includes(node.localName)
    && (node.localName !== "script" || node.getAttribute("type")?.includes("json")));
  const walk = (root, visit) => {
    const stack = [[root, visit(root, null)]];
    for (let n = 0; stack.length;) {
      const [node, made] = stack.pop();
      for (const child of children(node)) {
        if (++n > MOST_NODES) return false;
        if (!isKept(child)) continue;
        const one = visit(child, made);
        if (!isText(child)) stack.push([child, one]);
      }
    }
    return true;
  };
  globalThis.textLength = () => {
    let n = 0;
    walk(document.documentElement, node => {
      if (isText(node) && node.parentNode?.localName !== "script") n += node.data.replace(/\\s+/g, "").length;
    });
    return n;
  };
  globalThis.documentText = mostChars => {
    const inert = document.implementation.createHTMLDocument("");
    let top = null;
    const whole = walk(document.documentElement, (node, parent) => {
      const twin = inert.importNode(node, false);
      if (parent) parent.append(twin); else top = twin;
      return twin;
    });
    const html = whole ? "<!DOCTYPE html>" + top.outerHTML : "";
    return html.length <= mostChars ? html : "";
  };
})()"""
LENGTH = "textLength()"
SCROLL = "(before => { scrollTo(0, document.documentElement.scrollHeight); return scrollY > before; })(scrollY)"


class Tab:
    """One page in a browser of its own."""

    def __init__(self, browser_found: Found, parts: PageParts, page: Fetched, until: float,
                 meanwhile: Callable[[], None]) -> None:
        """until: time.monotonic(). meanwhile(): called a few times a second."""
        self.parts, self.page, self.until, self.meanwhile = parts, page, until, meanwhile
        self.browser = Browser(browser_found, parts.web.agent, until + GRACE_SEC, self.handle)
        parts.begin(until, self.browser.messages)
        self.target = self.session = ""
        self.world = 0  # the execution context in which the document is read; 0: none yet
        self.in_flight = self.loads = 0
        self.moved_to = ""  # where a script sends its readers

    def document(self) -> bytes:
        """The document once its scripts are done. Raises BrowserError with the reason if there is none."""
        with self.browser:
            self._open()
            self._settle()
            text = self._evaluate(f"documentText({self.parts.web.config.max_bytes})")
        if not text:
            raise BrowserError("too_big" if text == "" else "render_timeout")
        html: bytes = text.encode("utf-8", "replace")
        if len(html) > self.parts.web.config.max_bytes:
            raise BrowserError("too_big")
        return html

    def _open(self) -> None:
        call, until = self.browser.call, self.until
        context = call("Target.createBrowserContext", {"disposeOnDetach": True}, until=until)["browserContextId"]
        call("Fetch.enable", {"patterns": [{"urlPattern": "*"}]}, until=until)  # of the browser: of workers, too
        call("Browser.setDownloadBehavior", {"behavior": "deny", "browserContextId": context}, until=until)
        call("Browser.grantPermissions", {"permissions": [], "browserContextId": context}, until=until)  # refuses all
        self.target = call("Target.createTarget", {"url": "about:blank", "browserContextId": context}, until=until)[
            "targetId"]
        self.session = call("Target.attachToTarget", {"targetId": self.target, "flatten": True}, until=until)[
            "sessionId"]
        call("Target.setDiscoverTargets", {"discover": True}, until=until)
        call("Page.enable", session=self.session, until=until)
        call("Page.addScriptToEvaluateOnNewDocument", {"source": PREPARE}, self.session, until)
        self.browser.send("Page.navigate", {"url": self.page.url}, self.session)

    def _settle(self) -> None:
        """Wait until the document has text and does not change any more, or until there is no more time.

        Raises BrowserError if it has no text by then, and may still get some.
        """
        n_chars, scrolled_at, scrolls, since, looked = -1, -1, 0, time.monotonic(), 0.0
        while (now := time.monotonic()) < self.until:
            self.browser.pump(LOOK_SEC / 4)
            self.meanwhile()
            if self.in_flight or not self.loads:
                since = now
            if now - looked < LOOK_SEC or not self.loads:
                continue
            found, looked = self._evaluate(LENGTH), now
            if found is None or found != n_chars:
                n_chars, since = -1 if found is None else int(found), now
            elif n_chars < page_signals.SHELL_CHARS:
                if now - since >= (QUIET_SEC if self.moved_to else EMPTY_SEC):
                    return
            elif now - since >= QUIET_SEC:
                if n_chars == scrolled_at or scrolls == MAX_SCROLLS or not self._evaluate(SCROLL):
                    return
                scrolled_at, scrolls, since = n_chars, scrolls + 1, now
        if n_chars < page_signals.SHELL_CHARS:
            raise BrowserError("render_timeout")

    def _evaluate(self, expression: str) -> Any:
        """The value of an expression about the document; None if the page changes under it."""
        until = self.until + GRACE_SEC
        try:
            if not self.world:
                self.world = self.browser.call("Page.createIsolatedWorld", {"frameId": self.target}, self.session,
                                               until)["executionContextId"]
                self._evaluate(WALK)
            result = self.browser.call("Runtime.evaluate", {
                "expression": expression, "contextId": self.world, "returnByValue": True}, self.session, until)
        except BrowserError as error:
            if error.reason != "browser_failed":
                raise
            self.world = 0
            return None
        return result["result"].get("value")

    # --- what the browser says -----------------------------------------------

    def handle(self, message: Any) -> None:
        if isinstance(message, Answer):
            return self._answer(message)
        method, params = message.get("method"), message.get("params", {})
        if method == "Fetch.requestPaused":
            self._request(params)
        elif method == "Target.targetCreated":
            info = params["targetInfo"]
            if info["type"] == "page" and info["targetId"] != self.target:  # a window that a page has opened
                self.browser.send("Target.closeTarget", {"targetId": info["targetId"]})
        elif method == "Page.javascriptDialogOpening":
            self.browser.send("Page.handleJavaScriptDialog", {"accept": False}, self.session)
        elif method == "Page.frameNavigated" and params["frame"]["id"] == self.target:
            self.world = 0
            self.loads += 1
        elif method == "Inspector.targetCrashed":
            raise BrowserError("browser_crashed")

    def _request(self, params: Mapping[str, Any]) -> None:
        request, number, kind = params["request"], params["requestId"], params["resourceType"]
        if kind == "Document":
            reason = self._navigation(params.get("frameId", ""), request)
            if not reason:
                return self._fulfill(number, self.page)
            self.parts.refused[reason] += 1
            return self._fail(number, "Aborted")  # the browser stays where it is
        elif request["method"] == "OPTIONS":
            return self._allow(number, request["headers"])
        else:
            reason = self.parts.ask(request, kind, number)
            if not reason:
                self.in_flight += 1
                return
        self._fail(number)

    def _navigation(self, frame: str, request: Mapping[str, Any]) -> str:
        """Why a document is not loaded; '' for the page itself. Another one is a page of its own, for another visit."""
        if frame != self.target:
            return "frame"
        if request["method"] != "GET":
            return "not_get"
        if not (url := browser_url(request["url"])):
            return "bad_url"
        if url_key(url) == url_key(self.page.url):
            return "" if self.loads <= MAX_RELOADS else "reload"
        self.moved_to = url
        return "navigation"

    def _answer(self, answer: Answer) -> None:
        self.in_flight -= 1
        self.parts.keep(answer)
        if isinstance(answer.outcome, Fetched):
            self._fulfill(answer.part.id, answer.outcome)
        elif not isinstance(answer.outcome, FetchError):
            raise answer.outcome  # a bug
        elif (status := answer.outcome.reason.removeprefix("http_")) != answer.outcome.reason:
            self._fulfill(answer.part.id, Fetched(answer.part.url, int(status), "", [], b"", b""))
        else:
            self._fail(answer.part.id)

    def _fulfill(self, number: str, answer: Fetched) -> None:
        """Answer a request, without the headers that would set or store anything."""
        headers = [{"name": name, "value": value} for name, value in answer.headers if name.isascii()
                   and name.lower().startswith(("content-type", "access-control-", "x-", "link"))]
        headers += [{"name": "Location", "value": answer.location}] if answer.location else []
        self.browser.send("Fetch.fulfillRequest", {
            "requestId": number, "responseCode": answer.status, "responseHeaders": headers,
            "body": base64.b64encode(answer.body).decode()})

    def _allow(self, number: str, headers: Mapping[str, str]) -> None:
        """Answer the question whether a page may ask another origin. That protects what a browser has of its user:
        cookies, passwords, a place in a network. This one has nothing, and may only GET."""
        asked = {name.lower(): value for name, value in headers.items()}
        answer = [("Access-Control-Allow-Origin", asked.get("origin", "*")), ("Access-Control-Allow-Methods", "GET"),
                  ("Access-Control-Allow-Headers", asked.get("access-control-request-headers", ""))]
        self._fulfill(number, Fetched("", 204, "", answer, b"", b""))

    def _fail(self, number: str, error: str = "BlockedByClient") -> None:
        self.browser.send("Fetch.failRequest", {"requestId": number, "errorReason": error})


class Rendering:
    """The second round: which page is next, and what becomes of it."""

    def __init__(self, config: ScrapeConfig, catalog: Catalog, web: Web, scheduler: Scheduler, recorder: Recorder,
                 blocklist: Blocklist, browser_found: Found) -> None:
        self.config, self.catalog, self.web = config, catalog, web
        self.scheduler, self.recorder, self.blocklist, self.found = scheduler, recorder, blocklist, browser_found
        self.parts = PageParts(config, web, scheduler, blocklist)
        self.outcomes: Counter[str] = Counter()
        self.peak_mb = 0.0
        self.crashes = 0  # of the browser, in a row

    def run(self, deadline: float) -> None:
        """Render what waits, until time.monotonic() is `deadline`; the rest waits on."""
        self.catalog.commit()  # only what is committed can be read
        waiting = shells.waiting(self.catalog, MAX_WAITING)
        while waiting:
            row = min(waiting, key=lambda row: self.scheduler.host_for(row["answered_url"]).ready_at)
            waiting.remove(row)
            host = self.scheduler.host_for(row["answered_url"])
            if host.rules and host.rules.rejection:
                continue  # it wants a pause, and gets it
            if max(host.ready_at, time.monotonic()) + min(PAGE_SEC, 60 * self.config.max_minutes / 4) > deadline:
                break
            if self.crashes == MAX_CRASHES:
                logger.warning("The browser has crashed %d times in a row; the other pages wait. Fix: see what it "
                               "says: %s --dump-dom about:blank", MAX_CRASHES, self.found.program)
                break
            while (wait := host.ready_at - time.monotonic()) > 0:
                time.sleep(min(wait, LOOK_SEC))
                self.catalog.commit_if_due()
            self.render(row, min(deadline, time.monotonic() + PAGE_SEC))
        self.report()

    def render(self, row: sqlite3.Row, until: float) -> None:
        """Render one page and record what became of it."""
        visit = Visit.of(row)
        visit.refreshed = True  # of the next visit, too, the document counts, not the response
        try:
            response = self.catalog.read(row["file"], row["offset"], row["length"])
        except StageError:  # the file is gone or damaged; validate.py reports that
            return self._finish(visit, "record_lost")
        try:
            page = archived_page(response, row["answered_url"], self.web.config.max_bytes)[0]
            tab = Tab(self.found, self.parts, page, until, self.catalog.commit_if_due)
            try:
                html = tab.document()
            finally:
                self.peak_mb = max(self.peak_mb, tab.browser.peak_mb)
                self.parts.end()
        except (FetchError, BrowserError) as error:
            self.crashes = self.crashes + 1 if error.reason in ("browser_crashed", "browser_failed") else 0
            return self._finish(visit, error.reason)
        self.crashes = 0
        self._record(visit, tab, page, response, html)

    def _record(self, visit: Visit, tab: Tab, page: Fetched, response: bytes, html: bytes) -> None:
        """Record a document that came of a page. response: the page's WARC record."""
        at, row = timestamp(), visit.row
        headers = [pair for pair in page.headers if pair[0].lower() != "content-type"]
        headers.append(("Content-Type", RENDERED_TYPE))
        signals, links = read_signals(headers, html), list[str]()
        if self.config.follow_links and row["depth"] < self.config.max_link_depth:
            links = [url for url in page_signals.links(signals, headers, html, page.url)
                     if host_of(url) == host_of(page.url)]
        rendered = Page(page, at, hashlib.sha256(html).hexdigest(),
                        Exchange(conversion_record(response, page.url, at, html), b"", digest(html)), tuple(links),
                        is_shell=True, feed=page_signals.feed_of(signals, html, page.url))
        if self.config.respect_noai and signals.rejection:
            self._finish(visit, signals.rejection)
        elif not page_signals.has_text(html):
            return self._finish(visit, "redirected" if self._add_moved(visit, tab.moved_to) else "still_empty")
        else:
            self.outcomes["rendered"] += 1
            self.recorder.page(visit, rendered)
        self.recorder.add_links(visit, rendered)

    def _finish(self, visit: Visit, reason: str) -> None:
        self.outcomes[reason] += 1
        self.recorder.finish_visit(visit, reason)

    def _add_moved(self, visit: Visit, url: str) -> bool:
        """Let the page have a visit of its own to which a script sends its readers, if it does."""
        row = visit.row
        if not url or url_rejection(url, self.blocklist):
            return False
        with self.catalog.record():
            urls.add(self.catalog, url, row["source"], row["query"], row["depth"])
        return True

    def facts(self) -> dict[str, Any]:
        given_up = {reason: n for reason, n in self.outcomes.items() if reason not in ("rendered", "still_empty")}
        return {"rendered": self.outcomes["rendered"], "still_empty": self.outcomes["still_empty"],
                "given_up": given_up, "waiting": shells.count(self.catalog), "parts": self.parts.fetched,
                "refused": dict(self.parts.refused), "peak_mb": round(self.peak_mb)}

    def report(self) -> None:
        facts = self.facts()
        reasons = ", ".join(f"{n:,} {reason_in_words(reason)}" for reason, n in facts["given_up"].items())
        if n := self.outcomes.total():
            logger.info("%s rendered in a browser: %d with text, %d still empty%s; %d wait for the next run.",
                        counted(n, "page"), facts["rendered"], facts["still_empty"],
                        f", given up: {reasons}" if reasons else "", facts["waiting"])
