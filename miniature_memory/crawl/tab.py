"""Tab: one page in a browser of its own: its requests are answered, its scripts run, its document is read.

Every request that the browser makes is intercepted (DevTools' Fetch domain). The page itself is the response that is
archived already; its parts come from page_parts.py; everything else fails. When text has come and nothing changes any
more, the document is taken as it is then, shadow roots included.
"""

import base64
import time
from collections.abc import Callable, Mapping
from http.client import responses as PHRASES
from typing import Any

from miniature_memory.crawl import page_signals
from miniature_memory.crawl.browser import Browser, BrowserError, Found
from miniature_memory.crawl.guard import FetchError
from miniature_memory.crawl.page_parts import Answer, PageParts
from miniature_memory.crawl.urls import browser_url
from miniature_memory.crawl.web import Fetched
from miniature_memory.storage.url_keys import url_key

GRACE_SEC = 3.0  # after the time of a page, to hand its document over. Guess, as are the next five
QUIET_SEC = 0.6  # without a request and with the same text: it is done
EMPTY_SEC = 3.0  # without a request and without text: it has none
LOOK_SEC = 0.2  # between two looks
MAX_SCROLLS = 5  # to its end, as long as that brings more text
MAX_RELOADS = 3

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
        try:
            with self.browser:
                self._open()
                self._settle()
                text = self._evaluate(f"documentText({self.parts.web.config.max_bytes})")
        except BrowserError as error:
            failed = error.reason == "browser_crashed" and not self.loads  # which is not the page's fault
            raise BrowserError("browser_failed") if failed else error from None
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
        self.browser.send("Fetch.fulfillRequest", {  # without a phrase, an unusual status would never be answered
            "requestId": number, "responseCode": answer.status, "responsePhrase": PHRASES.get(answer.status, "-"),
            "responseHeaders": headers, "body": base64.b64encode(answer.body).decode()})

    def _allow(self, number: str, headers: Mapping[str, str]) -> None:
        """Answer the question whether a page may ask another origin. That protects what a browser has of its user:
        cookies, passwords, a place in a network. This one has nothing, and may only GET."""
        asked = {name.lower(): value for name, value in headers.items()}
        answer = [("Access-Control-Allow-Origin", asked.get("origin", "*")), ("Access-Control-Allow-Methods", "GET"),
                  ("Access-Control-Allow-Headers", asked.get("access-control-request-headers", ""))]
        self._fulfill(number, Fetched("", 204, "", answer, b"", b""))

    def _fail(self, number: str, error: str = "BlockedByClient") -> None:
        self.browser.send("Fetch.failRequest", {"requestId": number, "errorReason": error})
