"""The lines of config/seeds.txt.   .venv/bin/python -m pytest tests/crawl/test_seeds.py"""

from pathlib import Path

import pytest

from miniature_memory.core.errors import StageError
from miniature_memory.crawl.seeds import UNKNOWN, read_seeds, seed_of


@pytest.mark.parametrize("line, kind, url", [
    ("https://a.example/blog", UNKNOWN, "https://a.example/blog"), ("a.example/b", UNKNOWN, "https://a.example/b"),
    ("//a.example", UNKNOWN, "https://a.example/"), ("a.example:8080?y=1", UNKNOWN, "https://a.example:8080/?y=1"),
    ("HTTP://A.example/B", UNKNOWN, "http://a.example/B"), ("<https://a.example/>", UNKNOWN, "https://a.example/"),
    ("page.example/x", UNKNOWN, "https://page.example/x"), ("page https://a.example/", "page", "https://a.example/"),
    ("FEED  http://a.example/f", "feed", "http://a.example/f"), ("feed a.example/f  # ours", "feed", "https://a.example/f"),
    ("feed:https://a.example/f", "feed", "https://a.example/f"), ("feed://a.example/f", "feed", "https://a.example/f"),
    ("Sitemap: http://a.example/map.xml", "sitemap", "http://a.example/map.xml"),
    ("'https://a.example/b'", UNKNOWN, "https://a.example/b"), ('page "a.example/b" # x', "page", "https://a.example/b"),
    ("\ufeffhttps://a.example/\u200b", UNKNOWN, "https://a.example/"),
    ("page http://127.0.0.1:8000/x", "page", "http://127.0.0.1:8000/x")])
def test_lines_that_are_seeds(line: str, kind: str, url: str) -> None:
    assert seed_of(line) == (kind, url)


@pytest.mark.parametrize("line", [
    "page", "feed:", "book https://a.example/", "how to bake bread", "bread", "page https://a.example/ and more", "/x",
    "ftp://a.example/x", "me@a.example", "mailto:me@a.example", "https://", "* a.example", "a..b"])
def test_lines_that_are_none(line: str) -> None:
    assert seed_of(line) is None


def test_bad_lines_are_named_and_the_others_count(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "seeds.txt"
    path.write_bytes("\ufeff# mine\r\n\r\nhttps://a.example/\r\nsee there\r\npage\thttps://b.example/\r\n".encode())
    assert [seed.url for seed in read_seeds(path)] == ["https://a.example/", "https://b.example/"]
    assert "line 4: 'see there' is not a seed" in caplog.text and "Fix:" in caplog.text


def test_a_list_without_a_single_seed_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "seeds.txt"
    path.write_text("# mine\n\none\ntwo\nthree\nfour\n")
    with pytest.raises(StageError, match=r"line 3: 'one'; .*and 1 more\)\. Expected: one web address.*Fix: "):
        read_seeds(path)
    path.write_text("# nothing yet\n")
    assert read_seeds(path) == read_seeds(tmp_path / "none.txt") == []
