"""App site: single-page applications on loopback, each of which says nothing until its scripts have run.

The frameworks come from npm into a cache outside of the project, the first time that they are asked for; applications
that need none of them do without.
"""

import http.server
import json
import os
import shutil
import subprocess
import threading
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

NPM = ("react@18.3.1", "react-dom@18.3.1", "vue@3.5.13", "svelte@4.2.19", "htmx.org@2.0.4", "preact@10.25.4",
       "lit@3.2.1", "alpinejs@3.14.8", "angular@1.8.3", "jquery@3.7.1", "mithril@2.2.11")
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "miniature-memory-npm"
NPM_SEC = 240.0
SHELL = "<!doctype html><html lang=en><head><meta charset=utf-8><title>{name}</title></head><body>{body}</body></html>"
N_PARAGRAPHS = 6


class App(NamedTuple):
    body: str  # of its page
    outcome: str = "fetched"  # what the visit ends with
    needs_npm: bool = False


def sentence(name: str, n: int = 0) -> str:
    """What an application's text says in its paragraph number `n`."""
    return (f"Paragraph {n} of {name} was put here by a script: the river rose in the night, and by morning the lower "
            "fields lay under water as far as the old mill.")


def paragraphs(name: str) -> list[str]:
    return [sentence(name, n) for n in range(N_PARAGRAPHS)]


# Defines show(name), which most of the applications without a framework end with
SHOW = """<div id=app></div><script>
const put = data => { document.getElementById("app").innerHTML =
  "<article><h1>A flood</h1>" + data.map(text => `<p>${text}</p>`).join("") + "</article>"; };
const show = name => fetch(`/data/${name}.json`).then(answer => answer.json()).then(put);
</script>"""


def plain(script: str, before: str = "", outcome: str = "fetched") -> App:
    return App(f"{before}{SHOW}<script>{script}</script>", outcome)


def framework(body: str) -> App:
    return App(body, needs_npm=True)


# By name. In their scripts, CLOSED_PORT is of a server on loopback that no page may reach, SECRET an address of it.
APPS = {
    "react": framework("""<div id=root></div><script src=/npm/react/umd/react.production.min.js></script>
<script src=/npm/react-dom/umd/react-dom.production.min.js></script><script>
const {createElement: e, useState, useEffect} = React;
const App = () => { const [data, set] = useState([]);
  useEffect(() => { fetch("/data/react.json").then(a => a.json()).then(set); }, []);
  return e("article", null, data.map(text => e("p", {key: text}, text))); };
ReactDOM.createRoot(document.getElementById("root")).render(e(App));</script>"""),
    "vue": framework("""<div id=app><p v-for="text in data">{{ text }}</p></div>
<script src=/npm/vue/dist/vue.global.prod.js></script><script>
Vue.createApp({data: () => ({data: []}), async mounted() {
  this.data = await (await fetch("/data/vue.json")).json(); }}).mount("#app");</script>"""),
    "svelte": framework("""<div id=app></div><script type=module>
import App from "/npm/App.js"; new App({target: document.getElementById("app")});</script>"""),
    "htmx": framework("""<script src=/npm/htmx.org/dist/htmx.min.js></script>
<div hx-get="/data/htmx.html" hx-trigger=load></div>"""),
    "preact": framework("""<div id=app></div><script type=module>
import {h, render, Component} from "/npm/preact/dist/preact.module.js";
class App extends Component {
  componentDidMount() { fetch("/data/preact.json").then(a => a.json()).then(data => this.setState({data})); }
  render(_, {data}) { return h("article", null, (data || []).map(text => h("p", null, text))); } }
render(h(App), document.getElementById("app"));</script>"""),
    "lit": framework("""<script type=importmap>{"imports": {
"lit": "/npm/lit/index.js", "lit-html": "/npm/lit-html/lit-html.js", "lit-html/": "/npm/lit-html/",
"lit-element/lit-element.js": "/npm/lit-element/lit-element.js",
"@lit/reactive-element": "/npm/@lit/reactive-element/reactive-element.js"}}</script><flood-page></flood-page>
<script type=module>import {LitElement, html} from "lit";
customElements.define("flood-page", class extends LitElement {
  static properties = {data: {}};
  connectedCallback() { super.connectedCallback();
    fetch("/data/lit.json").then(a => a.json()).then(data => { this.data = data; }); }
  render() { return (this.data ?? []).map(text => html`<p>${text}</p>`); } });</script>"""),
    "alpine": framework("""<script defer src=/npm/alpinejs/dist/cdn.min.js></script>
<article x-data="{data: []}" x-init="data = await (await fetch('/data/alpine.json')).json()">
<template x-for="text in data"><p x-text=text></p></template></article>"""),
    "angularjs": framework("""<div ng-app=flood ng-controller=page><p ng-repeat="text in data" ng-bind=text></p>
</div><script src=/npm/angular/angular.min.js></script><script>
angular.module("flood", []).controller("page", ($scope, $http) =>
  $http.get("/data/angularjs.json").then(answer => { $scope.data = answer.data; }));</script>"""),
    "jquery": framework("""<div id=app></div><script src=/npm/jquery/dist/jquery.min.js></script><script>
$(() => $.getJSON("/data/jquery.json", data => data.forEach(text => $("<p>").text(text).appendTo("#app"))));
</script>"""),
    "mithril": framework("""<script src=/npm/mithril/mithril.min.js></script><script>
let data = []; m.mount(document.body, {
  oninit: () => m.request("/data/mithril.json").then(found => { data = found; }),
  view: () => m("article", data.map(text => m("p", text)))});</script>"""),
    "infinite_scroll": App("""<article id=app></article><div id=end style="height:1px"></div><script>
let n = 0; new IntersectionObserver(async seen => {
  if (!seen.some(one => one.isIntersecting) || n >= 6) return;
  const data = await (await fetch(`/data/infinite_scroll.json?page=${n}`)).json();
  document.getElementById("app").insertAdjacentHTML("beforeend",
    `<p style="margin-bottom:2000px">${data[n++]}</p><p>${"and so on and on. ".repeat(20)}</p>`);
}).observe(document.getElementById("end"));</script>"""),
    "hash_routes": plain("""addEventListener("hashchange", () => show(location.hash.slice(2)));
location.hash = "#/hash_routes";"""),
    "history_routes": plain("""history.pushState({}, "", "/history_routes/home"); show("history_routes");"""),
    "shadow_dom": App("""<flood-page><b>The slotted words come from the page itself.</b></flood-page><script>
customElements.define("flood-page", class extends HTMLElement { async connectedCallback() {
  const root = this.attachShadow({mode: "closed"});
  const data = await (await fetch("/data/shadow_dom.json")).json();
  root.innerHTML = data.map(text => `<p>${text}</p>`).join("") + "<p><slot></slot></p>"; } });</script>"""),
    "never_ends": plain("""show("never_ends").then(() => { document.body.append(document.createElement("i"));
setInterval(() => { document.querySelector("i").textContent = "x".repeat(1 + Math.random() * 99);
  fetch("/data/never_ends.json"); }, 50); });"""),
    "blocks": plain("for (;;);", outcome="render_timeout"),
    "moved_data": plain("""fetch("/moved/moved_data.json").then(a => a.json()).then(put);"""),
    "other_origin": plain("""const there = location.origin.replace("127.0.0.1", "localhost");
Promise.all([fetch(`${there}/data/a.json`), fetch(`${there}/data/b.json`, {headers: {"X-Api-Key": "1"}})])
.then(() => fetch(`${there}/data/other_origin.json`)).then(a => a.json()).then(put);"""),
    "windows": plain("""for (let n = 0; n < 20; n++) window.open("/react/?window=" + n);
const link = document.createElement("a"); link.href = "/vue/?window"; link.target = "_blank";
document.body.append(link); link.click(); link.remove(); show("windows");"""),
    "camera": plain("""(navigator.mediaDevices?.getUserMedia({video: true, audio: true}) ?? Promise.reject())
.then(() => put(["it got the camera"]), () => new Promise(done => navigator.geolocation.getCurrentPosition(done, done)))
.then(() => Notification.requestPermission()).then(answer => answer === "granted" || show("camera"));"""),
    "private_address": plain("""Promise.allSettled(["SECRET", "http://10.0.0.1/secret", "file:///etc/passwd",
"http://169.254.169.254/secret", "http://[::1]:CLOSED_PORT/secret", "http://2130706433:CLOSED_PORT/secret"]
.map(url => fetch(url, {mode: "no-cors"}))).then(all => all.some(one => one.status === "fulfilled")
? put(["it got the secret"]) : show("private_address"));"""),
    "script_redirect": plain("""location.replace("/jquery/");""", outcome="redirected"),
    "workers": plain("""const worker = new Worker("/data/worker.js");
worker.onmessage = event => put(event.data); worker.postMessage("/data/workers.json");"""),
    "service_worker": plain("""Promise.resolve(navigator.serviceWorker?.register("/data/service.js"))
.then(() => navigator.serviceWorker && put(["it got a service worker"]), () => show("service_worker"));"""),
    "sockets": plain("""const tries = [() => new WebSocket("ws://127.0.0.1:CLOSED_PORT/secret"),
() => new EventSource("SECRET"), () => new WebTransport("https://127.0.0.1:CLOSED_PORT/secret"),
() => { const peer = new RTCPeerConnection({iceServers: [{urls: "stun:127.0.0.1:CLOSED_PORT"}]});
  peer.createDataChannel("x"); peer.createOffer().then(offer => peer.setLocalDescription(offer)); },
() => { new Worker(URL.createObjectURL(new Blob([`new WebSocket("ws://127.0.0.1:CLOSED_PORT/secret")`]))); },
() => { new Image().src = "SECRET"; }, () => navigator.sendBeacon("SECRET", "x")];
for (const one of tries) try { one(); } catch {}
setTimeout(() => show("sockets"), 300);"""),
    "form_post": plain("""show("form_post").then(() => document.forms[0].submit());""",
                       before='<form action="/data/posted" method=post><input name=a value=b></form>'),
    "huge_dom": plain("""for (let n = 0; n < 3e5; n++)
document.getElementById("app").append(document.createElement("p"));""", outcome="render_memory"),
    "dialogs": plain("""addEventListener("beforeunload", event => event.preventDefault());
alert("Hello"); if (!confirm("Sure?") && prompt("Name?") === null) show("dialogs");"""),
    "download": plain("""const link = document.createElement("a"); link.download = "x.bin";
link.href = URL.createObjectURL(new Blob([new Uint8Array(1 << 20)])); document.body.append(link); link.click();
link.href = "/data/file.bin"; link.click(); link.remove(); show("download");"""),
    "memory": plain("""const kept = []; setInterval(() => {
for (let n = 0; n < 8; n++) kept.push(new Uint8Array(4 << 20).fill(1)); }, 5);""", outcome="render_memory"),
    "reloads": plain("location.reload();", outcome="still_empty"),
    "nothing": plain("document.title = 'Nothing';", outcome="still_empty"),
    "noindex": plain("""const meta = document.createElement("meta"); meta.name = "robots"; meta.content = "noindex";
document.head.append(meta); show("noindex");""", outcome="noindex"),
    "forbidden_data": plain("""fetch("/private/data.json").then(answer => answer.json()).then(put);""",
                            outcome="still_empty"),
    "pictures": plain("""document.body.insertAdjacentHTML("beforeend", `<img src=/data/a.png>
<video src=/data/a.mp4></video><iframe src=/data/frame.html></iframe><link rel=prefetch href=/data/next.html>
<link rel=icon href=/data/icon.png><style>@font-face {font-family: a; src: url(/data/a.woff2)}
body {font-family: a; background: url(/data/b.png)}</style>`);
const track = document.createElement("script"); track.src = "https://www.google-analytics.com/analytics.js";
document.head.append(track); track.onerror = () => show("pictures");"""),
}

WORKER = """onmessage = async event => { importScripts("/data/imported.js");
postMessage(await (await fetch(event.data)).json()); };"""
SVELTE = """<script>import {onMount} from "svelte"; let data = [];
onMount(async () => { data = await (await fetch("/data/svelte.json")).json(); });</script>
{#each data as text}<p>{text}</p>{/each}"""
COMPILE = """const {compile} = require("svelte/compiler"); process.stdout.write(
compile(require("fs").readFileSync(0, "utf8"), {sveltePath: "/npm/svelte/src/runtime"}).js.code
.replace(/(from|import) "([^"]+)"/g, '$1 "$2/index.js"'));"""


def install() -> str:
    """Bring the frameworks into the cache. Returns why they cannot be had, or ''."""
    if not shutil.which("npm"):
        return "no npm"
    done = CACHE / "installed.json"
    if done.exists() and json.loads(done.read_text()) == list(NPM):
        return ""
    CACHE.mkdir(parents=True, exist_ok=True)
    (CACHE / "package.json").write_text("{}")
    try:
        made = subprocess.run(["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--silent", *NPM],
                              cwd=CACHE, capture_output=True, text=True, timeout=NPM_SEC)
        if made.returncode:
            return f"npm: {made.stderr.strip()[-200:]}"
        app = subprocess.run(["node", "-e", COMPILE], cwd=CACHE, input=SVELTE, capture_output=True, text=True,
                             timeout=NPM_SEC)
    except (OSError, subprocess.SubprocessError) as error:
        return f"npm: {error}"
    if app.returncode:
        return f"svelte: {app.stderr.strip()[-200:]}"
    (CACHE / "App.js").write_text(app.stdout)
    done.write_text(json.dumps(NPM))
    return ""


class AppSite(http.server.ThreadingHTTPServer):
    """Serves the applications, and remembers who asked for what. A context manager."""

    daemon_threads = True

    def __init__(self) -> None:
        self.log: list[tuple[str, str, str]] = []  # method, path, User-Agent
        self.refused: list[str] = []  # what reached the port that nothing may reach
        super().__init__(("127.0.0.1", 0), _Handler)
        self.closed = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _closed(self.refused))
        self.closed.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.private = [f"127.0.0.1:{self.server_port}", f"localhost:{self.server_port}"]  # for web.allow_private

    def __enter__(self) -> "AppSite":
        for server in (self, self.closed):
            threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        for server in (self, self.closed):
            server.shutdown()
            server.server_close()

    def handle_error(self, request: object, client_address: object) -> None:
        pass  # clients hang up

    def page(self, name: str) -> str:
        port = str(self.closed.server_port)
        body = APPS[name].body.replace("SECRET", "http://127.0.0.1:CLOSED_PORT/secret").replace("CLOSED_PORT", port)
        return SHELL.format(name=name, body=body)

    def answer(self, path: str) -> tuple[int, str, bytes]:
        """(status, media type or where a redirect points to, body)."""
        path = path.partition("?")[0]
        folder, _, rest = path[1:].partition("/")
        name, _, ending = rest.rpartition(".")
        if path == "/robots.txt":
            return 200, "text/plain", b"User-agent: *\nDisallow: /private/\n"
        if folder in APPS:
            return 200, "text/html", self.page(folder).encode()
        if folder == "moved":
            return 302, f"/data/{rest}", b""
        if folder == "data" and ending == "json":
            return 200, "application/json", json.dumps(paragraphs(name)).encode()
        if folder == "data" and ending == "html":
            return 200, "text/html", "".join(f"<p>{text}</p>" for text in paragraphs(name)).encode()
        if path == "/npm/App.js":
            return 200, "text/javascript", (CACHE / "App.js").read_bytes()
        if folder == "npm":
            file = (CACHE / "node_modules" / rest).resolve()
            if file.is_relative_to(CACHE) and file.suffix == ".js" and file.is_file():
                return 200, "text/javascript", file.read_bytes()
        if ending == "js":
            return 200, "text/javascript", WORKER.encode() if name == "worker" else b""
        return 404, "text/html", b"<p>none"


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: AppSite

    def do_GET(self) -> None:
        self.server.log.append((self.command, self.path, self.headers.get("User-Agent", "")))
        status, kind, body = self.server.answer(self.path)
        self.send_response(status)
        self.send_header("Location" if status == 302 else "Content-Type", kind)
        if self.path.startswith("/data/"):
            self.send_header("Access-Control-Allow-Origin", "*")
            self.send_header("Access-Control-Allow-Headers", "X-Api-Key")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, format: str, *args: object) -> None:
        pass


def _closed(refused: list[str]) -> type[http.server.BaseHTTPRequestHandler]:
    class Closed(http.server.BaseHTTPRequestHandler):
        def setup(self) -> None:
            refused.append("connection")
            super().setup()

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Access-Control-Allow-Origin", "*")
            self.end_headers()
            self.wfile.write(b'["secret"]')

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Closed
