"""blocklists.py: which URLs are not fetched.   .venv/bin/python3 -m pytest tests/crawl/test_blocklists.py"""

import pytest

from miniature_memory.core.errors import StageError
from miniature_memory.crawl.blocklists import Blocklist, url_rejection

NO_LIST = Blocklist()


@pytest.mark.parametrize("url, reason", [
    ("", "bad_url"), ("http://example.org/paper.html", ""), ("http://example.org/a.php?file=b.pdf", ""),
    ("http://www.xhamster.com/", "blocked_host"), ("http://books.xxx/", "blocked_host")])
def test_some_urls_are_rejected(url, reason):
    assert url_rejection(url, NO_LIST) == reason


@pytest.mark.parametrize("path", [
    "wiki/Vue.js", "wiki/Winamp.exe", "wiki/Robots.txt", "wiki/List_of_.zip_tools.zip", "de/wiki/Datei:Br%C3%BCcke.JPG",
    "index.php/File:Bridge.jpg", "blog/why-we-left-d3.js", "blog/2021/03/what-is-favicon.ico", "news/the-end-of.pdf",
    "questions/1/how-to-read-package.json", "docs/asp.net", "Main.java", "guide/express.js", "intro-to-node.js",
    "tutorial/understanding-web.xml", "what-is-robots.txt", "wiki/.zip", "a.html", "v1.2", "research.mp3/", "xml",
    ".js", "threads/my-first-game.exe.77/", "blog/archive.tar.gz", "w/index.php/Notepad.exe",
    "cgi-bin/wiki.pl/Backup.tar", "blog/linux/how-to-unpack-a.zip", "news/world/the-paper.pdf"])
def test_what_may_be_a_page_is_asked_for(path):
    assert url_rejection(f"http://a.example/{path}", NO_LIST) == ""


@pytest.mark.parametrize("path", [
    "static/app.js", "news/world/photo.png", "blog/linux/files/a.zip", "assets/site.css", "js/menu.js",
    "blog/assets/2020/photo.jpg", "wiki/images/a/ab/Bridge.jpg",
    "wp-content/uploads/2020/01/plan.pdf", "paper.PDF", "a.tar.gz?x=1", "photos/1.jpeg", "main.3f2a91bc.js",
    "lib.min.css", "files/notes.txt", "blog/my-post/photo.webp", "download/setup.exe", "podcast/1.mp3",
    "calendar.ics", "feed.rss"])
def test_files_are_not(path):
    assert url_rejection(f"http://a.example/{path}", NO_LIST) == "not_html_ending"


@pytest.mark.parametrize("url", [
    "http://pornsite.example/", "http://free-porn.example/", "http://freeporn.example/x",
    "http://a.example/porn/", "http://a.example/free_nsfw_pictures", "http://xxx-movies.example/",
    "http://a.example/xxx_videos", "http://a.example/a%20porn%20film", "http://a.example/%70orn",
    "http://a.example/list?tag=porn&page=2", "http://a.example/list?title=hot+xxx+clips", "http://xxxtube.example/", "http://a.example/Best-XXX-Clips/1",
    "http://a.example/watch/live-xxx", "http://hentai.example/"])
def test_an_adult_word_is_rejected(url):
    assert url_rejection(url, NO_LIST) == "blocked_word"
    assert url_rejection(url, Blocklist(adult=False)) == ""


@pytest.mark.parametrize("url", [
    "http://a.example/wiki/Pornic", "http://pornichet.example/", "http://siriporn.example/",
    "http://a.example/Pornthip-1", "http://sussex.example/essex", "http://scunthorpe.example/analysis",
    "http://cocktail.example/", "http://xxx.lanl.example/", "http://a.example/XXX_Olympiad",
    "http://a.example/xxx-return-of-a-spy", "http://a.example/movies/xxx-2002",
    "http://a.example/wiki/Milford", "http://a.example/titles/xxxvi", "http://middlesex.example/sextant",
    "http://a.example/wiki/Pornography_law"])
def test_a_word_that_contains_one_is_not(url):
    assert url_rejection(url, NO_LIST) == ""


def test_a_setting_turns_off_all_that_concerns_adults():
    for url in ("http://books.xxx/", "http://www.xhamster.com/"):
        assert (url_rejection(url, NO_LIST), url_rejection(url, Blocklist(adult=False))) == ("blocked_host", "")


@pytest.mark.parametrize("path, reason", [
    ("wiki/Calendar", ""), ("login", "service_page"), ("a/cart/", "service_page"), ("wp-login.php", "service_page"),
    (f"showthread.php?s={'0a' * 16}&t=4", ""), (f"?s={'0a' * 16}x", "service_page"),
    ("search?q=x", "service_page"), ("?s=x", "service_page"), ("x?action=edit&title=A", "service_page"),
    ("research/searching", ""), ("calendar/2024-05", "service_page"), ("x?page=2", "")])
def test_service_pages_are_rejected(path, reason):
    assert url_rejection(f"http://a.example/{path}", NO_LIST) == reason


HOSTS = ["bad.example", "worse.example", "xn--bse-sna.example"]


@pytest.mark.parametrize("data", [
    "bad.example\nWorse.Example. # why\nböse.example\n".encode(),
    "# hosts\n127.0.0.1 bad.example worse.example\n::1 BÖSE.example # and not good.example\n".encode(),
    "\ufeffbad.example\r\n0.0.0.0\tworse.example   xn--bse-sna.example.\r\n".encode(),
    "0.0.0.0 bad.example\n*.worse.example\n.böse.example".encode("utf-16"),
    "fe80::1%lo0 bad.example\nworse.example b\u00f6se.example not/a/host http://good.example/\n".encode()])
def test_block_lists_come_in_several_forms(tmp_path, data):
    (tmp_path / "list").write_bytes(data)
    blocked = Blocklist([tmp_path / "list"])
    assert len(blocked) == 3 and all(host in blocked for host in HOSTS)
    for host, reason in {"bad.example": "blocked_host", "www.worse.example": "blocked_host", "good.example": "",
                         "notbad.example": "", "example": ""}.items():
        assert url_rejection(f"http://{host}/", blocked) == reason


def test_a_list_of_no_text_blocks_nothing(tmp_path):
    (tmp_path / "list").write_bytes(bytes(range(256)) * 100 + b"x" * 1_000_000)
    assert url_rejection("http://a.example/", Blocklist([tmp_path / "list"])) == ""


def test_a_missing_block_list_is_an_error(tmp_path):
    with pytest.raises(StageError, match=r"block list .*cannot be read.*search\.blocklists"):
        Blocklist.load(tmp_path, ["none"])
    (tmp_path / "hosts").write_text("bad.example\n")
    assert len(Blocklist.load(tmp_path, ["hosts"])) == 1 and len(Blocklist.load(tmp_path, [])) == 0
