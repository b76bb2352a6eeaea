"""blocks.py: a page's text, block by block.   .venv/bin/python -m pytest tests/test_blocks.py"""

from __future__ import annotations

import re
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import blocks
from blocks import extract_tree, features, load_model, parse, probabilities, segment, text_of
from extract import ExtractConfig, extract_page


def whole_text(html: str) -> str:
    """The text of all blocks of a page, whether they would be kept or not."""
    root = parse(html)
    return "" if root is None else text_of(segment(root).blocks)


# --- the form of the text ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "html, text",
    [
        ("<p>One <b>bo</b>ld <i>word</i></p><p>Two", "One bold word\n\nTwo"),
        ("<h1>Head</h1>Text<div>More</div>", "Head\n\nText\n\nMore"),
        ("<ul><li>tea<li>milk</ul>", "tea\nmilk"),
        ("<p>line<br>break", "line\nbreak"),
        ("<table><tr><th>a<th>b<tr><td>1<td>2</table>", "a | b\n1 | 2"),
        ("<pre>def f():\n    return 1\n</pre>", "def f():\n    return 1"),
        ("<p>soft&shy;hyphen and zero&#8203;width", "softhyphen and zerowidth"),
        ("<p>no&nbsp;break", "no break"),
        ("<p>a<script>b</script><style>c</style>d", "ad"),
        ("<p>a<!-- b -->c", "ac"),
        ("<p>caf\u00e9 \u65e5\u672c\u8a9e", "caf\u00e9 \u65e5\u672c\u8a9e"),
    ],
)
def test_how_text_is_set(html, text):
    assert whole_text(f"<body>{html}</body>") == text


words = st.text("abcdefghij", min_size=1, max_size=6)
inline = st.sampled_from(["b", "i", "a", "span", "em", "code"])
block = st.sampled_from(["p", "div", "section", "li", "h2", "blockquote", "td"])


def element(children):
    return st.tuples(st.one_of(block, inline), st.lists(children, max_size=4))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.recursive(words, element, max_leaves=12), max_size=5))
def test_no_word_is_lost_or_said_twice(trees):
    said: list[str] = []

    def html_of(tree) -> str:
        if isinstance(tree, str):
            said.append(tree)
            return f" {tree} "
        tag, children = tree
        inner = "".join(map(html_of, children))
        return f"<table><tr><td>{inner}</td></tr></table>" if tag == "td" else f"<{tag}>{inner}</{tag}>"

    html = "<body><div>" + "".join(map(html_of, trees)) + "</div></body>"
    assert Counter(whole_text(html).replace("|", " ").split()) == Counter(said)


# --- the choice ----------------------------------------------------------------------------------

SENTENCES = (
    "The old mill stood by the river for two hundred years before anybody thought of mending its wheel. ",
    "When the flood came in spring, the miller carried his flour to the loft and waited there for three days. ",
    "His daughter wrote down what she saw from the window, and her notes are the only record that is left. ",
    "Nobody in the valley had seen the water stand so high, nor did they see it again in their lives. ",
)


@settings(max_examples=25, deadline=None)
@given(st.integers(3, 8), st.integers(3, 9), st.sampled_from(["article", "main", "div class=content", "div id=post"]))
def test_the_body_is_found_and_the_chrome_is_not(paragraphs, links, wrapper):
    body = [f"{SENTENCES[n % 4]}Chapter{n} goes on. {SENTENCES[(n + 1) % 4]}" for n in range(paragraphs)]
    menu = "".join(f"<li><a href=/{n}>Menu{n}</a></li>" for n in range(links))
    page = extract_page(
        f"<html><head><title>The mill</title></head><body><header><nav><ul>{menu}</ul></nav></header>"
        f"<{wrapper}><h1>The mill</h1>{''.join(f'<p>{text}</p>' for text in body)}</{wrapper.split()[0]}>"
        f"<footer class=footer><p>Copyright 2026 Somebody. All rights reserved.</p><ul>{menu}</ul></footer>"
    )
    found = Counter(re.findall(r"\w+", page.text))
    for n in range(paragraphs):
        assert found[f"Chapter{n}"] == 1
    assert not any(found[f"Menu{n}"] for n in range(links)) and not found["Copyright"]


def test_read_mode_alone_may_be_asked_for():
    html = f"<article><p>{'<p>'.join(SENTENCES * 3)}</article>"
    assert extract_page(html, config=ExtractConfig(mode="readability")).extractor == "readability"
    assert extract_page(html).extractor == "blocks"


def test_each_block_has_its_verdict_and_reason():
    root = parse(f"<nav><a href=/>Home</a></nav><article><p>{'<p>'.join(SENTENCES * 3)}</article>")
    lines = blocks.explain(root).splitlines()
    assert re.match(r"\d+ of 13 blocks kept", lines[0]) and len(lines) == 14
    assert all(re.match(r"(keep|drop) \d\.\d\d  ", line) for line in lines[1:])


def test_the_model_is_small_and_fits_the_features():
    assert blocks.MODEL_PATH.stat().st_size <= 1_000_000
    root = parse(f"<p>{SENTENCES[0]}")
    table = features(segment(root))
    assert probabilities(table, load_model()).shape == (1,)
    assert list(table.names) == load_model().names[: len(table.names)]


# --- whatever comes ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "html",
    [
        b"",
        b" ",
        b"\x00" * 1000,
        b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40,
        b"<" * 50_000,
        b"<div>" * 100_000,
        b"<!-- never closed " * 1000,
        b"<p>" + b"word " * 200_000,
        b"<table>" + b"<tr><td>1<td>2" * 60_000,
        b"<script>" + b"x" * 5_000_000,
        b"<!DOCTYPE r [<!ENTITY a 'x'><!ENTITY b '&a;&a;&a;&a;'>]><p>&b;&b;",
        "<p>no BOM".encode("utf-16-le"),
        b"<p>caf\xe9 \xe2\x82\xac mixed",
        b"<p " + b"a=1 " * 100_000 + b">x",
        b"<p>&#x110000;&#xD800;&#0;</p>",
        b"<svg><foreignObject><p>text</p></foreignObject></svg>",
        b"<html><body><frameset><frame src=x></frameset>",
        b"<td>" * 5000 + b"deep",
        b"<a>" * 5000 + b"deep",
        b"<ul>" + b"<li>x" * 30_000,
    ],
)
def test_no_page_raises(html):
    page = extract_page(html)
    assert page.text or page.reason


def test_extraction_of_nothing():
    root = parse("<script>only()</script>")
    assert root is None or extract_tree(root).text == ""
