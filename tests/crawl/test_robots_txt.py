"""robots.txt as RFC 9309 reads it.   .venv/bin/python -m pytest tests/crawl/test_robots_txt.py"""

import time

import pytest

from miniature_memory.crawl.robots_txt import RobotsTxt

SITE = "http://a.example"
US = "User-agent: miniature-memory\n"


def allowed(text: str, *paths: str) -> list[bool]:
    robots = RobotsTxt(text)
    return [robots.allows(SITE + path) for path in paths]


@pytest.mark.parametrize("name, ours", [
    ("miniature-memory", True), ("MINIATURE-MEMORY/0.1 (+me@a.example)", True), ("miniature-memory   # us", True),
    ("Miniature-Memory/*", True), ("\tminiature-memory\t", True), ("mini", False), ("miniature", False),
    ("miniature-memory-news", False), ("memory", False), ("anybot", False), ("", False)])
def test_a_group_is_ours_by_our_whole_name(name, ours):
    assert allowed(f"User-agent: {name}\nDisallow: /\n\nUser-agent: *\nAllow: /\n", "/a") == [not ours]


def test_groups_for_one_agent_are_one():
    text = f"{US}Disallow: /a\n\nUser-agent: *\nDisallow: /b\n\nuser-agent: other\n{US}Disallow: /c\n"
    assert allowed(text, "/a", "/b", "/c") == [False, True, False]
    text = "User-agent: *\nDisallow: /a\n\nUser-agent: x\nDisallow: /\n\nUser-agent: *\nDisallow: /b"
    assert allowed(text, "/a", "/b", "/c") == [False, False, True]


@pytest.mark.parametrize("line", ["Content-Signal: search=yes", "Sitemap: http://a.example/s.xml", "Crawl-delay: 1",
                                  "Host: a.example", "Clean-param: a /b", "", "# note", "Noindex: /x", "prose", ":"])
def test_lines_of_other_kinds_end_no_group(line):
    assert allowed(f"User-agent: *\n{line}\nUser-agent: other\n{line}\nDisallow: /a\n{line}\nDisallow: /b", "/a", "/b",
                   "/c") == [False, False, True]


def test_an_empty_rule_ends_the_names_of_a_group():
    assert allowed(f"{US}Disallow:\n\nUser-agent: other\nDisallow: /", "/a") == [True]


def test_rules_before_any_group_are_none():
    assert allowed("Disallow: /a\nUser-agent: *\nDisallow: /b", "/a", "/b") == [True, False]


@pytest.mark.parametrize("text", ["", "\n\n", "Disallow: /", "<html><body><h1>404 Not found</h1></body></html>",
                                  "User-agent: *", "User-agent: *\nallow us to explain\ndisallow nothing at all"])
def test_what_holds_no_rules_allows_all(text):
    assert allowed(text, "/a", "") == [True, True]


@pytest.mark.parametrize("line", ["Disallow: /a", "disallow:/a", "DISALLOW : /a  # b", "Disallow /a", "Dissallow: /a",
                                  "Disalow: /a", "Diasllow: /a", "Disallaw: /a", "  Disallow:\t/a", "Disallowed: /a"])
def test_rules_as_people_write_them(line):
    for agent in ("User-agent: *", "useragent:*", "User agent: *", "USER-AGENT *", "User-agents: *"):
        assert allowed(f"{agent}\n{line}", "/a/b", "/b") == [False, True]


def test_any_line_end_is_one():
    for end in ("\n", "\r\n", "\r"):
        assert allowed(end.join(["User-agent: *", "Disallow: /a", "Disallow: /b"]), "/a", "/b") == [False, False]
    assert allowed("User-agent: *\nDisallow: /a\u2028Disallow: /b", "/b") == [True]


@pytest.mark.parametrize("rule, path, matches", [
    ("/a", "/a", True), ("/a", "/abc/d?e", True), ("/a", "/A", False), ("/a", "/b/a", False), ("/a/", "/a", False),
    ("/a$", "/a", True), ("/a$", "/ab", False), ("/$", "/", True), ("/$", "/a", False), ("/*.pdf$", "/x/a.pdf", True),
    ("/*.pdf$", "/a.pdf?b", False), ("/a*b*c", "/a-bb-c-d", True), ("/a*b*c", "/ac-b", False), ("*/b", "/a/b", True),
    ("/a**b$", "/axb", True), ("/a*b$", "/ab-ab", True), ("/aba*aba$", "/aba", False), ("a", "/a", False),
    ("/*?", "/a?b", True), ("/*?", "/a", False), ("/?", "?b", True), ("/a$b", "/a$b", True), ("/a%24", "/a$", True),
    ("/a%2Ab", "/a*b", True), ("/a%2Ab", "/axb", False), ("/%7Ejoe", "/~joe", True), ("/~joe", "/%7ejoe", True),
    ("/caf\u00e9", "/caf%C3%A9", True), ("/caf%c3%a9", "/caf\u00e9", True), ("/a b", "/a%20b", True),
    ("/a%2Fb", "/a/b", False), ("/a|b", "/a%7Cb", True), ("/*%", "/a%20b", True), ("/list?b=2", "/list?b=2&a=1", True),
    ("/a", "/a#b", True), ("/b", "/a#/b", False)])
def test_a_rule_matches_from_the_beginning_of_a_path(rule, path, matches):
    assert allowed(f"User-agent: *\nDisallow: {rule}", path) == [not matches]


@pytest.mark.parametrize("rules, path, expected", [
    ("Disallow: /a\nAllow: /a/b", "/a/b", True), ("Allow: /a/b\nDisallow: /a", "/a/c", False),
    ("Disallow: /a\nAllow: /a", "/a", True), ("Disallow: /*.htm\nAllow: /page", "/page.htm", False),
    ("Allow: /*.htm\nDisallow: /page", "/page.htm", True), ("Allow: /a*b\nDisallow: /a/*", "/a/b", True),
    ("Disallow: /\nAllow: /$", "/", True), ("Disallow: /\nAllow: /$", "/a", False),
    ("Disallow: /", "/robots.txt", True)])
def test_the_longest_rule_counts_and_of_two_alike_allow(rules, path, expected):
    assert allowed(f"User-agent: *\n{rules}", path) == [expected]


@pytest.mark.parametrize("text, seconds", [
    ("User-agent: *\nCrawl-delay: 7", 7), ("User-agent: *\nCrawl-delay: .5 # half", 0.5), ("Crawl-delay: 3", 3),
    ("User-agent: *\nCrawl-delay: 7\n\nUser-agent: other\nDisallow: /a", 7),
    (f"User-agent: *\nCrawl-delay: 7\nDisallow:\n{US}Allow: /", 0),
    ("User-agent: other\nCrawl-delay: 7\nDisallow: /", 0), ("User-agent: *\ncrawl-delay: soon\ncrawl delay 10s", 10),
    (f"{US}Crawl-delay: inf\nCrawl-delay: nan\nCrawl-delay: -1", 0), ("", 0)])
def test_a_delay_is_that_of_our_group(text, seconds):
    assert RobotsTxt(text).delay_sec == seconds


@pytest.mark.parametrize("text, forbidden", [
    ("User-agent: *\nContent-Signal: ai-train=no", True), ("User-agent: *\nContent-Signal: ai-train=yes", False),
    ("Content-signal: ai-train=no # all of it", True), ("User-agent: a\nContent-Signal: ai-train=no", False),
    ("User-agent: a\nUser-agent: Miniature-Memory\nContent-Usage: train-ai=n\n\nUser-agent: *\nAllow: /", True),
    ("User-agent: miniature-memory\nAllow: /\n\nUser-agent: *\nContent-Signal: ai-train=no", False), ("", False),
    ("User-agent: *\nDisallow: /a\nContent-Signal: ai-train=no", True),
    ("User-agent: a\nContent-Signal: ai-train=no\nUser-agent: *\nDisallow: /b", False)])
def test_what_robots_txt_says_about_training(text, forbidden):
    assert RobotsTxt(text).forbids_training == forbidden


@pytest.mark.parametrize("line", [
    "Disallow: /*a*a*a*b", "Disallow: /" + "*a" * 5000 + "b", "Disallow: *x", "Disallow: /{}", "User-agent: x{}",
    "Disallow" + " " * 5000 + "x y", "Disallow: /a*$", "%41%zz%C3", ""])
def test_no_file_takes_long_to_read_or_to_match(line):
    n, started = 500 * 1024 // (len(line) + 1), time.process_time()
    robots = RobotsTxt("User-agent: *\n" + "\n".join(line.replace("{}", str(i)) for i in range(n)))
    for _ in range(5):
        robots.allows(SITE + "/" + "a" * 1900)
    assert time.process_time() - started < 1
