"""Blocks and their classifier: a page's text, block by block.   .venv/bin/python -m pytest tests/extraction"""

import re
from collections import Counter

import pytest
from bs4 import BeautifulSoup
from hypothesis import given, settings
from hypothesis import strategies as st

from miniature_memory.extraction import classifier
from miniature_memory.extraction.block_text import text_of
from miniature_memory.extraction.blocks import segment
from miniature_memory.extraction.classifier import load_model, probabilities
from miniature_memory.extraction.config import ExtractConfig
from miniature_memory.extraction.features import features
from miniature_memory.extraction.page import extract_page
from miniature_memory.extraction.parsing import flatten, parse
from miniature_memory.extraction.read_mode import element_text


def whole_text(html: str) -> str:
    """The text of all blocks of a page, whether they would be kept or not."""
    root = parse(html)
    return "" if root is None else text_of(segment(root).blocks)


# --- the form of the text ------------------------------------------------------------------------


@pytest.mark.parametrize(("html", "text"), [
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
    ("<p>one<br>two<br>\n three</p>", "one\ntwo\nthree"),
    ("<div>a<div>b</div>c</div>", "a\n\nb\n\nc"),
])
def test_blocks_and_read_mode_set_text_alike(html, text):
    assert whole_text(f"<body>{html}</body>") == element_text(BeautifulSoup(html, "lxml")) == text


def test_read_mode_divides_nested_lists_and_strips_control_characters():
    assert element_text(BeautifulSoup("<ul><li>a<li>\x1b[31mb<ul><li>c</ul></ul>", "lxml")) == "a\n[31mb\n\nc"


words = st.text("abcdefghij", min_size=1, max_size=6)
inline = st.sampled_from(["b", "i", "a", "span", "em", "code"])
block = st.sampled_from(["p", "div", "section", "li", "h2", "blockquote", "td"])


def element(children):
    return st.tuples(st.one_of(block, inline), st.lists(children, max_size=4))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.recursive(words, element, max_leaves=12), max_size=5))
def test_no_word_is_lost_or_repeated(trees):
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
    "The old mill stood by the river for two hundred years before anybody thought of fixing its wheel. ",
    "When the flood came in spring, the miller carried his flour to the loft and waited there for three days. ",
    "His daughter wrote down what she saw from the window, and her notes are the only record that is left. ",
    "Nobody in the valley had seen the water stand so high, nor did they see it again in their lives. ",
)


@settings(max_examples=25, deadline=None)
@given(st.integers(3, 8), st.integers(3, 9), st.sampled_from(["article", "main", "div class=content", "div id=post"]))
def test_the_main_text_is_kept_and_the_navigation_is_not(paragraphs, links, wrapper):
    body = [f"{SENTENCES[n % 4]}Chapter{n} goes on. {SENTENCES[(n + 1) % 4]}" for n in range(paragraphs)]
    menu = "".join(f"<li><a href=/{n}>Menu{n}</a></li>" for n in range(links))
    page = extract_page(
        f"<html><head><title>The mill</title></head><body><header><nav><ul>{menu}</ul></nav></header>"
        f"<{wrapper}><h1>The mill</h1>{''.join(f'<p>{text}</p>' for text in body)}</{wrapper.split()[0]}>"
        f"<footer class=footer><p>Copyright 2026 Somebody. All rights reserved.</p><ul>{menu}</ul></footer>")
    found = Counter(re.findall(r"\w+", page.text))
    for n in range(paragraphs):
        assert found[f"Chapter{n}"] == 1
    assert not any(found[f"Menu{n}"] for n in range(links)) and not found["Copyright"]


def test_the_mode_readability_skips_the_blocks():
    html = f"<article><p>{'<p>'.join(SENTENCES * 3)}</article>"
    assert extract_page(html, config=ExtractConfig(mode="readability")).extractor == "readability"
    assert extract_page(html).extractor == "blocks"


def test_explain_has_one_line_per_block_with_its_reasons():
    root = parse(f"<nav><a href=/>Home</a></nav><article><p>{'<p>'.join(SENTENCES * 3)}</article>")
    lines = classifier.explain(root).splitlines()
    assert re.fullmatch(r"\d+ of 13 blocks kept; expected word F1 \d\.\d\d; page type article \(\d\.\d\d\)", lines[0])
    assert len(lines) == 14
    assert all(re.match(r"(keep|drop) \d\.\d\d  ", line) for line in lines[1:])


PAGES = {
    "article": ("/blog/the-old-mill", f"<article><h1>The old mill</h1><p>{'<p>'.join(SENTENCES * 3)}</article>"),
    "forum": ("/threads/old-mills.12/", "<h1>Old mills</h1>" + "".join(
        f"<div class='post message'><a class=author>Ann</a><p>{one}<a>Reply</a></div>" for one in SENTENCES)),
    "product": ("/products/mill",
        '<script type="application/ld+json">{"@type": "Product", "offers": {"@type": "Offer"}}</script>'
        f"<div class=product><h1>Mill</h1><span class=price>$12</span><button>Add to cart</button><p>{SENTENCES[0]}"),
    "documentation": ("/docs/latest/api/mill.html",
        "<meta name=generator content=Sphinx><div class=document><h1>mill</h1>" + "".join(
            f"<p>{SENTENCES[n]}<div class=highlight><pre>mill.turn({n})</pre></div>" for n in range(4))),
}


@pytest.mark.parametrize("page_type", PAGES)
def test_the_type_of_a_page_is_found(page_type):
    path, body = PAGES[page_type]
    assert extract_page(f"<body>{body}", f"https://example.org{path}").page_type == page_type


def test_a_page_without_text_has_no_type():
    assert extract_page("<body><script>1</script></body>", "https://example.org/products/1").page_type == ""


def test_types_of_schema_org_are_read_from_json_ld_and_microdata():
    page = segment(parse(
        '<script type="application/ld+json">{"@graph": [{"@type": ["QAPage"]}, {"@type":"Person"}]}</script>'
        "<div itemscope itemtype=https://schema.org/Offer/>x"))
    assert page.hints.schema == {"QAPage", "Person", "Offer"}


def test_the_model_is_small_and_matches_the_features():
    assert classifier.MODEL_PATH.stat().st_size <= 1_000_000
    root = parse(f"<p>{SENTENCES[0]}")
    table = features(segment(root))
    assert probabilities(table, load_model()).shape == (1,)
    assert list(table.names) == load_model().names[: len(table.names)]


# --- nested too deep -----------------------------------------------------------------------------


@pytest.mark.parametrize("tag", ["div", "ul", "font", "x-a", "blockquote"])
def test_a_page_nested_too_deep_for_the_parser_is_flattened(tag):
    head = "<title>Mill</title><script>a('<div>')</script>"
    page = extract_page(f"{head}{f'<{tag}>' * 10_000}<p>{'<p>'.join(SENTENCES)}")
    assert (page.title, page.extractor, page.reason) == ("Mill", "flat_blocks", "")
    assert all(sentence.strip() in page.text for sentence in SENTENCES) and "a(" not in page.text


def test_a_flattened_page_keeps_links_headings_and_hidden_elements():
    html = "<nav><a href=/>x</a></nav>\n<div><h2>H</h2><b>b</b>c</div></div><style>p{}</style> 1 < 2 <my-tag>e"
    assert flatten(html) == "<p><a href=/>x</a><p><h2>H</h2>bc<p><style>p{}</style> 1 < 2 <p>e"


# --- whatever comes ------------------------------------------------------------------------------


@pytest.mark.parametrize("html", [
    b"", b" ", b"\x00" * 1000, b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40, b"<" * 50_000, b"<div>" * 100_000,
    b"<!-- never closed " * 1000, b"<p>" + b"word " * 200_000, b"<table>" + b"<tr><td>1<td>2" * 60_000,
    b"<script>" + b"x" * 5_000_000, b"<!DOCTYPE r [<!ENTITY a 'x'><!ENTITY b '&a;&a;&a;&a;'>]><p>&b;&b;",
    "<p>no BOM".encode("utf-16-le"), b"<p>caf\xe9 \xe2\x82\xac mixed", b"<p " + b"a=1 " * 100_000 + b">x",
    b"<p>&#x110000;&#xD800;&#0;</p>", b"<svg><foreignObject><p>text</p></foreignObject></svg>",
    b"<html><body><frameset><frame src=x></frameset>", b"<td>" * 5000 + b"deep", b"<a>" * 5000 + b"deep",
    b"<ul>" + b"<li>x" * 30_000,
])
def test_no_page_raises(html):
    page = extract_page(html)
    assert page.text or page.reason


def test_extraction_of_nothing():
    root = parse("<script>only()</script>")
    assert root is None or classifier.classify(root) == ("", "")
