"""Whose a host is.   .venv/bin/python -m pytest tests/core/test_shards.py"""

import pytest

import run
from miniature_memory.core.errors import ConfigError
from miniature_memory.core.shards import Shard, domain_of


@pytest.mark.parametrize(("host", "domain"), [
    ("example.org", "example.org"), ("www.example.org", "example.org"), ("a.b.c.example.org", "example.org"),
    ("news.bbc.co.uk", "bbc.co.uk"), ("bbc.co.uk", "bbc.co.uk"), ("co.uk", "co.uk"),
    ("en.wikipedia.org", "wikipedia.org"),
    ("t.co", "t.co"), ("www.gov.br", "www.gov.br"), ("localhost", "localhost"), ("127.0.0.1", "127.0.0.1"),
    ("2001:db8::1", "2001:db8::1"), ("", "")])
def test_the_domain_of_a_host(host, domain):
    assert domain_of(host) == domain


def test_a_host_has_the_same_shard_in_every_release():
    hosts = ["www.example.org", "example.org", "bbc.co.uk", "de.wikipedia.org", "127.0.0.1", "xn--bcher-kva.example"]
    found = {host: [next(k for k in range(1, n + 1) if Shard(k, n).has(host)) for n in (2, 5, 1000)] for host in hosts}
    assert found == {"www.example.org": [2, 2, 462], "example.org": [2, 2, 462], "bbc.co.uk": [1, 4, 429],
                     "de.wikipedia.org": [2, 4, 4], "127.0.0.1": [1, 2, 197], "xn--bcher-kva.example": [2, 2, 122]}


def test_each_host_is_in_one_shard_and_none_is_much_larger():
    counts = [sum(Shard(k, 5).has(f"host-{n}.example") for n in range(2000)) for k in range(1, 6)]
    assert sum(counts) == 2000 and min(counts) > 340
    assert Shard(1, 1).has("example.org")


@pytest.mark.parametrize("text", ["0/5", "6/5", "a/b", "1/0", "2/5/7", "", "/", "2", "2/", "/5", "-1/5", "+1/5", " 1/5",
                                  "1/5\n", "01/5", "1/10000", "1.0/5", "²/5", "1/5 6", "٢/٥"])
def test_what_is_no_shard_is_refused_with_a_sentence(text):
    with pytest.raises(ConfigError, match="is no shard; expected NUMBER/TOTAL such as 2/5"):
        run.parse_args([f"--shard={text}"] if text else ["--shard", ""])


@pytest.mark.parametrize(("arguments", "message"), [
    *((["--shard", "1/2", *others], "searches the web") for others in (
        ["--demo"], ["--status"], ["--texts", "README.md"], ["--purge"])),
    (["--handover", "a", "--forget", "b"], "searches the web"),
    (["--shard", "1/2", "--only", "clean"], "is for search and scrape"),
    *((["--handover", "a", *others], "is for search") for others in (["--only", "scrape"], ["--skip-search"]))])
def test_shards_are_for_runs_that_search(arguments, message):
    with pytest.raises(ConfigError, match=message):
        run.parse_args(arguments)
