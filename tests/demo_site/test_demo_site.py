"""The demo site.   .venv/bin/python -m pytest tests/demo_site"""

import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest
import requests

from miniature_memory.crawl.robots_txt import RobotsTxt
from miniature_memory.demo_site import pages as pages_module
from miniature_memory.demo_site import site as site_module
from miniature_memory.demo_site.demo import DEMO_FILES, demo_web
from miniature_memory.demo_site.pages import SITE, PlaysMissingError, load_scenes, scene_text
from miniature_memory.demo_site.site import DemoSite
from miniature_memory.extraction.read_mode import read_mode


@pytest.fixture(scope="module")
def site() -> Iterator[DemoSite]:
    with site_module.serve() as running:
        yield running


def get(site: DemoSite, path: str, **options: object) -> requests.Response:
    """The answer for a path, or for one of the site's own URLs."""
    address = f"http://127.0.0.1:{site.port}/" + path.removeprefix(SITE).removeprefix("/")
    return requests.get(address, timeout=60, allow_redirects=False, **options)  # type: ignore[arg-type]


def locations(response: requests.Response) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(response.content).iterfind(".//{*}loc")]


def words(text: str) -> Counter[str]:
    return Counter(re.findall(r"\w+", text.lower()))


def f1(found: Counter[str], expected: Counter[str]) -> float:
    return 2 * (found & expected).total() / (found.total() + expected.total())


def test_there_are_781_scenes_with_paths_of_their_own(site: DemoSite) -> None:
    assert len({scene.path for scene in site.site.scenes}) == len(site.site.scenes) == 781
    assert len(site.site.plays) == 38


def test_no_word_of_the_sources_is_lost(site: DemoSite) -> None:
    kept, sources = Counter[str](), Counter[str]()
    for scene in site.site.scenes:
        kept += words(scene_text(scene))
    for file in pages_module.plays_folder().glob("*/*.md"):
        text = re.sub(r"^#+ +(ACT [IVX]+|INTERMISSION) *$|^# (?!EPI).*$|^## PROLOGUE$(?=\s*#)", "",
                      file.read_text(encoding="utf-8"), flags=re.MULTILINE)
        sources += words(re.sub(r"[_*]", " ", text))
    assert kept == sources


def test_scene_text_has_no_markup_left(site: DemoSite) -> None:
    assert not [scene.path for scene in site.site.scenes if re.search(r"[_*\\#]", scene_text(scene))]


def test_read_mode_finds_the_scene_and_not_the_page_around_it(site: DemoSite) -> None:
    chosen = sorted(site.site.scenes, key=lambda scene: len(scene.markdown))[:40] + site.site.scenes[::40]
    scores = [f1(words(read_mode(get(site, scene.path).text)), words(scene_text(scene))) for scene in chosen]
    assert sum(scores) / len(scores) >= 0.985
    assert min(scores) >= 0.95


def test_sitemaps_list_every_scene_and_each_is_served(site: DemoSite) -> None:
    listed = [url for sitemap in locations(get(site, "/sitemap.xml")) for url in locations(get(site, sitemap))]
    assert sorted(listed) == sorted(scene.url for scene in site.site.scenes)
    assert {get(site, url).status_code for url in listed[::50]} == {200}


def test_the_feed_has_the_latest_scenes(site: DemoSite) -> None:
    tree = ElementTree.fromstring(get(site, "/feed.xml").content)
    ids = [entry.findtext("{*}id") for entry in tree.iter("{http://www.w3.org/2005/Atom}entry")]
    assert ids == [scene.url for scene in reversed(site.site.scenes[-30:])]


def test_robots_txt_forbids_a_folder_that_pages_link_to(site: DemoSite) -> None:
    text = get(site, "/robots.txt").text
    robots = RobotsTxt(text)
    links = re.findall(r'href="(/[^"]*)"', get(site, site.site.scenes[0].path).text)
    assert {robots.allows(SITE.rstrip("/") + link) for link in links} == {True, False}
    assert f"Sitemap: {SITE}sitemap.xml" in text.splitlines()


def test_no_link_of_a_page_is_broken(site: DemoSite) -> None:
    pages = ["/", "/tragedies/hamlet/", site.site.scenes[300].path]
    links = {link.split("#")[0] for page in pages for link in re.findall(r'href="([^"]+)"', get(site, page).text)}
    assert {get(site, link).status_code for link in links} == {200}


@pytest.mark.parametrize("header, kept", [("If-None-Match", "ETag"), ("If-Modified-Since", "Last-Modified")])
def test_a_current_copy_gets_304_without_body(site: DemoSite, header: str, kept: str) -> None:
    first = get(site, site.site.scenes[5].path)
    second = get(site, site.site.scenes[5].path, headers={header: first.headers[kept]})
    assert (second.status_code, second.content) == (304, b"")
    assert second.headers["ETag"] == first.headers["ETag"]


def test_a_stale_copy_gets_the_full_page(site: DemoSite) -> None:
    path = site.site.scenes[5].path
    date = get(site, path).headers["Last-Modified"]
    assert get(site, path, headers={"If-None-Match": '"other"', "If-Modified-Since": date}).status_code == 200
    assert get(site, path, headers={"If-Modified-Since": "Mon, 01 Jan 2001 00:00:00 GMT"}).status_code == 200
    assert get(site, path, headers={"If-Modified-Since": "yesterday"}).status_code == 200


def test_two_runs_send_the_same_bytes() -> None:
    for path in ("/", "/feed.xml", "/tragedies/hamlet/", "/tragedies/hamlet/act-1-scene-1.html"):
        assert site_module.Site().answer(path) == site_module.Site().answer(path)


def test_head_sends_the_headers_alone(site: DemoSite) -> None:
    address = f"http://127.0.0.1:{site.port}/tragedies/hamlet/"
    head, full = requests.head(address, timeout=60), requests.get(address, timeout=5)
    assert head.content == b"" and head.headers["Content-Length"] == str(len(full.content))


def test_unknown_pages_are_404_and_a_missing_slash_redirects(site: DemoSite) -> None:
    assert get(site, "/tragedies/hamlet/act-9.html").status_code == 404
    moved = get(site, "/tragedies/hamlet")
    assert (moved.status_code, moved.headers["Location"]) == (301, SITE + "tragedies/hamlet/")


@pytest.mark.parametrize("query", ["hamlet", "Yorick", "the comedy of errors", "william shakespeare"])
def test_search_answers_as_searxng_does(site: DemoSite, query: str) -> None:
    answer = get(site, "/search", params={"q": query, "format": "json"}).json()
    assert answer["query"] == query and answer["number_of_results"] > 0
    assert {"answers", "corrections", "infoboxes", "suggestions", "unresponsive_engines"} <= answer.keys()
    assert all(row["url"].startswith(SITE) and row["title"] and row["content"] for row in answer["results"])


def test_search_pages_do_not_overlap_and_end(site: DemoSite) -> None:
    def urls(number: int) -> set[str]:
        answer = get(site, "/search", params={"q": "hamlet", "format": "json", "pageno": number}).json()
        return {row["url"] for row in answer["results"]}
    assert len(urls(1)) == len(urls(2)) == 10
    assert not urls(1) & urls(2) and not urls(999)


def test_search_rejects_what_searxng_rejects(site: DemoSite) -> None:
    assert get(site, "/search?q=lear&format=csv").status_code == 403
    assert get(site, "/search?format=json").status_code == 400
    assert get(site, "/search?q=lear").headers["Content-Type"].startswith("text/html")


def test_the_log_names_method_path_and_status() -> None:
    with site_module.serve() as site:
        get(site, "/private/account.html")
        get(site, "/nothing?a=1")
        assert site.log == [("GET", "/private/account.html", 200), ("GET", "/nothing?a=1", 404)]


def test_a_closed_site_answers_on_no_open_connection() -> None:
    with site_module.serve() as site, requests.Session() as session:
        address = f"http://127.0.0.1:{site.port}/"
        assert session.get(address, timeout=60).ok
        site.close()
        with pytest.raises(requests.ConnectionError):
            session.get(address, timeout=60)


@pytest.mark.parametrize("left", [None, b"", b"\0\0", b"# mine\n"])
def test_only_what_a_person_wrote_is_left_as_it_is(tmp_path: Path, left: bytes | None) -> None:
    path = tmp_path / "config/queries.txt"
    if left is not None:
        path.parent.mkdir()
        path.write_bytes(left)
    with demo_web(tmp_path):
        assert path.read_bytes() == (left if left == b"# mine\n" else DEMO_FILES["queries.txt"].encode())


def test_missing_plays_are_an_error_that_names_the_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages_module.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(PlaysMissingError, match=r"\./setup\.sh"):
        load_scenes()


def test_the_child_prints_its_port_and_ends_with_its_input() -> None:
    command = [sys.executable, "-m", "miniature_memory.demo_site.site", "--until-stdin-closes"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout and child.stdin
        port = json.loads(child.stdout.readline())["port"]
        assert requests.get(f"http://127.0.0.1:{port}/robots.txt", timeout=60).ok
        child.stdin.close()
        assert child.wait(5) == 0 and child.stdout.read() == b""
