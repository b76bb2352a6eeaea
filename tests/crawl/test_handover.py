"""What one shard hands over to another.   .venv/bin/python -m pytest tests/crawl/test_handover.py"""

import json
import subprocess

import pytest
from helpers import run_py
from local_server import serve
from scraping import add, run, states

import search
from miniature_memory.core.errors import StageError
from miniature_memory.core.shards import Shard
from miniature_memory.crawl import handover
from miniature_memory.crawl.config import ScrapeConfig, WebConfig
from miniature_memory.providers import seed_search
from miniature_memory.providers.config import SearchConfig
from miniature_memory.storage import shards, urls
from miniature_memory.storage.catalog import Catalog
from miniature_memory.storage.urls import Foreign
from miniature_memory.views import outcome

GOOD = {"url": "https://example.org/a", "source": "ddgs", "query": "ships", "depth": 1, "is_list": False}


@pytest.fixture
def root(tmp_path):
    shards.claim(tmp_path, Shard(1, 2))
    return tmp_path


def test_what_is_written_is_read(root):
    found = [Foreign("https://example.org/a?b=%20c", "feeds", "https://example.net/\u00e9", 2, False),
             Foreign("http://example.org:81/", "seeds", "", 0, True)]
    with Catalog(root) as catalog:
        with catalog.record():
            for one in (*found, found[0]._replace(url="https://example.org/a?b=%20c#again", depth=0)):
                urls.add_foreign(catalog, *one)
        assert urls.count_foreign(catalog) == 2 and not urls.count_due(catalog)
        handover.write(catalog)
    assert list(handover.read([root / handover.FILE])) == found


def test_what_was_found_as_a_page_and_as_a_list_is_a_list(root):
    with Catalog(root) as catalog:
        with catalog.record():
            for is_list in (False, True, False):
                urls.add_foreign(catalog, "https://example.org/", "seeds", is_list=is_list)
        assert [one.is_list for one in urls.foreign(catalog)] == [True]


def test_a_root_without_a_shard_writes_no_file(tmp_path):
    with Catalog(tmp_path) as catalog:
        handover.write(catalog)
    assert not (tmp_path / handover.FILE).exists()


@pytest.mark.parametrize("bad", [
    b"https://example.org/\n", b"{}\n", b"[1]\n", b"null\n", b"[" * 5000, b"\xff\xfe", b"x" * 100_000,
    *(json.dumps(GOOD | change).encode() for change in (
        {"url": "ftp://example.org/"}, {"url": "https://" + "a" * 5000}, {"url": 7}, {"url": ""}, {"source": ""},
        {"source": "a b"}, {"source": "x" * 61}, {"source": None}, {"query": 7}, {"depth": -1}, {"depth": 1.5},
        {"depth": True}, {"depth": 10**30}, {"depth": "1"}, {"is_list": 1}, {"is_list": None}))])
def test_a_bad_line_is_ignored_and_named_and_bad_lines_alone_are_an_error(tmp_path, caplog, bad):
    file = tmp_path / "h.jsonl"
    file.write_bytes(json.dumps(GOOD).encode() + b"\n\n" + bad + b"\n" + json.dumps(GOOD).encode())
    assert list(handover.read([file])) == [Foreign(**GOOD)] * 2
    assert "without an address" in caplog.text
    file.write_bytes(bad)
    with pytest.raises(StageError, match="contains no address"):
        list(handover.read([file]))


def test_a_feed_that_several_shards_have_found_is_read_once(root, monkeypatch):
    monkeypatch.setattr(seed_search, "SEED_DELAY_SEC", 0.0)
    with serve() as server:  # at 127.0.0.1, which is in 1/2
        item = f"<item><link>{server.url}/x</link></item>"
        server.routes["/feed"] = (200, {"Content-Type": "text/xml"},
                                  f'<rss version="2.0"><channel>{item}</channel></rss>'.encode())
        files = [root / f"from-{k}.jsonl" for k in (2, 3)]
        for file in files:
            file.write_text((json.dumps(GOOD | {"url": f"{server.url}/feed", "is_list": True}) + "\n") * 2)
        web = WebConfig(allow_private=[f"127.0.0.1:{server.port}"])
        search.run(SearchConfig(providers=["feeds", "sitemaps", "seeds"], web=web), root, files)
        assert server.paths.count("/feed") == 1 and states(root) == {f"{server.url}/x": "new"}


def test_what_cannot_be_read_is_an_error_and_an_empty_file_is_not(tmp_path):
    (tmp_path / "empty").write_bytes(b"")
    assert not list(handover.read([tmp_path / "empty"]))
    for name in ("none", "."):
        with pytest.raises(StageError, match=r"cannot be read .* Fix: check its name"):
            list(handover.read([tmp_path / name]))


def test_text_from_another_machine_has_no_control_characters(tmp_path):
    (tmp_path / "h").write_text(json.dumps(GOOD | {"query": "\x1b[31mred" + "x" * 9000}))
    (found,) = handover.read([tmp_path / "h"])
    assert found.query.startswith("[31mred") and len(found.query) == 4096


# --- the shard of a root -------------------------------------------------------------------------


def test_a_root_keeps_its_shard(root):
    shards.claim(root, Shard(1, 2))
    shards.claim(root, None)
    with Catalog(root) as catalog:
        assert shards.of(catalog) == Shard(1, 2)


@pytest.mark.parametrize("other", [Shard(2, 2), Shard(1, 3)])
def test_a_root_that_was_begun_as_another_shard_is_refused(root, other):
    with pytest.raises(StageError, match=r"was begun as shard 1/2\. .* Fix: python3"):
        shards.claim(root, other)
    (root / "config").mkdir()
    (root / "config/queries.txt").write_text("ships\n")
    with pytest.raises(StageError) as refused:
        shards.claim(root, other)
    make = refused.value.fix.partition(" && python3")[0]
    subprocess.run(make, shell=True, check=True)
    new = root.with_name(f"{root.name}-{other.number}-of-{other.total}")
    assert (new / "config/queries.txt").read_text() == "ships\n" and f"--root {new}" in refused.value.fix
    shards.claim(new, other)


def test_a_root_that_was_begun_without_a_shard_is_refused_once_it_has_urls(tmp_path):
    with Catalog(tmp_path):
        pass
    shards.claim(tmp_path, Shard(1, 2))
    other = tmp_path / "other"
    add(other, "https://example.org/")
    done = run_py("--root", other, "--shard", "1/2", "--only", "scrape")
    assert done.returncode == 1 and "was begun without --shard" in done.stderr and "Traceback" not in done.stderr


def test_a_shard_without_a_page_says_so_and_runs_no_demonstration(root):
    with Catalog(root) as catalog, catalog.record():
        urls.add_foreign(catalog, "https://example.org/", "seeds")
    with pytest.raises(StageError, match=r"No page of shard 1/2 .* \(URLs found for other shards: 1\)"):
        outcome.check_shard(root)


def test_a_root_without_a_shard_has_nothing_to_say(tmp_path):
    with Catalog(tmp_path):
        pass
    outcome.check_shard(tmp_path)


def test_scrape_never_asks_another_shards_host(root):
    """Also if its URL is in the catalog by mistake."""
    add(root, "http://example.org/")  # is in 2/2
    assert run(ScrapeConfig(), root).dropped == {"other_shard": 1}
    assert states(root) == {"http://example.org/": "other_shard"}
