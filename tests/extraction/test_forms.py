"""What only a browser turns into text.   .venv/bin/python -m pytest tests/extraction/test_forms.py"""

import json

import pytest

from miniature_memory.core.process import deadline
from miniature_memory.extraction.block_text import text_of
from miniature_memory.extraction.blocks import segment
from miniature_memory.extraction.page import extract_page
from miniature_memory.extraction.parsing import parse
from miniature_memory.extraction.script_data import script_blocks

TEX = '<annotation encoding="application/x-tex">v = {s}/{t}</annotation>'
MATH = f"<math><semantics><mrow><mi>v</mi><mo>=</mo><mfrac><mi>s</mi><mi>t</mi></mfrac></mrow>{TEX}</semantics></math>"
LONG = ("The harbour was full of ships that waited for the wind, and the sailors sang in the inns until the morning "
        "came. ")


def text(html: str) -> str:
    root = parse(f"<body>{html}</body>")
    return "" if root is None else text_of(segment(root).blocks)


@pytest.mark.parametrize(("formula", "expected"), [
    (MATH, "v = {s}/{t}"), (MATH.replace(TEX, ""), "v = s/t"), ("<math alttext='x_1'><mi>y</mi></math>", "x_1"),
    (f"<span class=katex><span class=katex-mathml>{MATH}</span><span class=katex-html aria-hidden=true>v=st</span>"
     "</span>",
     "v = {s}/{t}"),
    ("<span class=MathJax_Preview>b</span><span class=MathJax><nobr>b</nobr></span>"
     "<script type='math/tex'>\\beta</script>",
     "\\beta"),
    ("<mjx-container class=MathJax><mjx-math><mjx-c>x</mjx-c></mjx-math><mjx-assistive-mml><math><mi>x</mi></math>"
     "</mjx-assistive-mml></mjx-container>", "x"),
    ("<span class=mwe-math-element><span style='display:none'><math alttext='{\\displaystyle n!}'><mi>n</mi></math>"
     "</span>"
     "<img class=mwe-math-fallback-image-inline alt='{\\displaystyle n!}'></span>", "n!"),
    ("<img class=tex alt='$p > q$'>", "p > q"), ("<img src=dog.jpg alt='a dog'>", ""),
    ("<math><msup><mi>x</mi><mrow><mi>n</mi><mo>-</mo><mn>1</mn></mrow></msup></math>", "x^(n - 1)"),
    ("<math><msqrt><mi>a</mi><mo>+</mo><mi>b</mi></msqrt></math>", "√(a + b)"),
])
def test_a_formula_stands_in_its_sentence_once(formula, expected):
    assert text(f"<p>Here {formula} holds.") == " ".join(f"Here {expected} holds.".split())


@pytest.mark.parametrize(("html", "expected"), [
    ("<ruby>東<rp>(</rp><rt>とう</rt><rp>)</rp></ruby>の<ruby><rb>空<rt>そら<rb>色<rt>いろ</ruby>", "東の空色"),
    ("Built here.<sup class=reference><a href='#cite_note-4'>[4]</a></sup> Then burnt.", "Built here. Then burnt."),
    ("a<a href='#_ftn3'>[3]</a> b[<a href='#n1'>1</a>] c<sup><a href='#fn2'>2</a></sup>", "a b c"),
    ("d<a href='#fn1' role=doc-noteref>1</a>. <a href='#fnref1'>back</a>", "d."),
    ("so<sup class=noprint>[<i><a href='/wiki/Who'>who?</a></i>]</sup> they say", "so they say"),
    ("<h2>Life<span class=mw-editsection>[<a href='?action=edit'>edit</a>]</span><a href='#life'>¶</a></h2>", "Life"),
    ("Smith [1], [sic], x[2], <a href='#eq1'>(1)</a>, m<sup>2</sup>", "Smith [1], [sic], x[2], (1), m2"),
    ("a<sup>[2]</sup> and town<sup>[2]</sup> and <a href=/about>[about]</a>", "a[2] and town and [about]"),
    ("<h2><a class=anchor href='#x'>Title</a></h2>", "Title"), ("<code><a href='#plus'>+</a></code>", "+"),
])
def test_marks_go_and_text_in_brackets_stays(html, expected):
    assert text(f"<div>{html}</div>") == expected


@pytest.mark.parametrize("code", [
    "<code>if a:<br>&nbsp;&nbsp;b()</code>", "<p><code>if a:</code><br><code>&nbsp;&nbsp;b()</code></p>",
    "<code><div>if a:</div><div>&nbsp; b()</div></code>", "<pre><div>if a:</div>\n<div>  b()</div></pre>",
    "<pre><span style='display:block'>if a:</span><span style='display:block'>  b()</span></pre>",
    "<pre><span class=line>if a:</span><span class=line>  b()</span></pre>",
    "<pre><i class=n>1</i>if a:\n<i class=n>2</i>  b()</pre>", "<div class=code>if a:<br>&nbsp;&nbsp;b()</div>",
    "<table><tr><td><pre>1\n2</pre><td><pre>if a:\n  b()</pre></table>",
    "<table><tr><td>7<td><code>if a:</code><tr><td>8<td><code>&nbsp;&nbsp;b()</code></table>",
    "<table class=highlight><tr><td data-n=1><td class=c>if a:<tr><td data-n=2><td class=c>  b()</table>",
    "<div class=syntaxhighlighter><table><tr><td class=gutter><div>1</div><div>2</div><td class=code><div><div>"
    "<code>if</code> a:</div><div><code>&nbsp;&nbsp;b()</code></div></div></table></div>",
    "<table><tr><td><div><div>8</div><div>9</div></div><td class=x-code><div><div>if a:</div>"
    "<div>&nbsp; b()</div></div></table>",
    "<ol><li><code>if a:</code><li><code>&nbsp;&nbsp;b()</code></ol>", "<listing>if a:\n  b()</listing>",
])
def test_code_has_its_lines_and_indentation_and_no_numbers(code):
    assert text(f"<p>So:</p>{code}<p>Done") == "So:\n\nif a:\n  b()\n\nDone"


def test_numbers_that_are_code_or_a_table_stay():
    assert text("<pre><b>1</b>\n<b>2</b></pre>") == "1\n2"
    assert text("<table><tr><td>1<td>one<tr><td>2<td>two</table>") == "1 | one\n2 | two"
    assert text("<p>Run <code>ls</code> now") == "Run ls now"


@pytest.mark.parametrize(("attributes", "lines"), [
    ("style='white-space: pre-wrap'", True), ("style='WHITE-SPACE:normal; white-space:pre-line'", False),
    ("style='white-space:pre-line'", True), ("class='x md:whitespace-pre-line'", True), ("class=verse", True),
    ("style='WHITE-SPACE: Break-Spaces'", True), ("id=song", True), ("", False)])
def test_line_breaks_that_css_keeps_are_line_breaks(attributes, lines):
    sheet = "<style>p, .verse, #song div { color: red; White-Space: pre-line }"
    sheet += "td code, textarea { white-space: pre }</style>"
    got = text(f"{sheet}<div {attributes}><div>over the sea\nunder the sky\n\nhome again</div></div>")
    assert got == ("over the sea\nunder the sky\n\nhome again" if lines else "over the sea under the sky home again")


@pytest.mark.parametrize(("html", "expected"), [
    ("<div class=stanza><div class=line>over the sea</div>\n<div class='line in'>under <i>the</i> sky</div></div>",
     "over the sea\nunder the sky"),
    ("<div class=o-poem><div style='x'>over the sea<br></div><div>under the sky<br></div></div>",
     "over the sea\nunder the sky"),
    ("<div class=poem><span style='display: block'>over</span><span style='display:block'>under</span></div>",
     "over\nunder"),
    ("<div class=poem><div><div>over</div></div><p>under</p></div>", "over\n\nunder"),
    ("<div class=universe-list><div>" + LONG * 2 + "</div><div>short</div></div>", LONG * 2 + "\n\nshort"),
])
def test_verse_of_an_element_per_line_has_lines(html, expected):
    assert text(html) == "\n".join(map(str.strip, expected.split("\n")))


def test_a_table_that_centres_a_formula_is_a_paragraph():
    table = f"<table class=eq><tr><td><td>{MATH}<td>(4.2a)</table>"
    assert text(f"<p>So</p>{table}<p>holds.") == "So\n\nv = {s}/{t}\n\nholds."
    assert "speed | " in text(f"<table><tr><td>speed<td>{MATH}</table>")


def test_inline_text_that_is_not_shown_goes():
    assert text("<p>Paris<span style='display: none'>0048</span>, <span hidden>key</span>a town") == "Paris, a town"
    assert text("<p>Kept<span style='display:none'> " + LONG + "</span>").startswith("Kept The harbour")


def test_what_stands_between_kept_blocks_is_kept_if_it_is_likely():
    items = "<p>You need three things:</p><ol><li>Rope.</li><li>A <b>light</b>.</li><li>Two hours.</li></ol>"
    page = f"<main><article><p>{LONG * 3}</p>{items}<p>{LONG * 4}</p></article></main>"
    assert "things:\n\nRope.\nA light.\nTwo hours.\n\nThe" in extract_page(page).text
    linked = items.replace("Rope", "<a href=/rope>Rope</a>").replace("Two", "<a href=/two>Two</a>")
    assert "Share" not in extract_page(page.replace(items, items + "<div class=share>Share</div>")).text
    assert "Rope" not in extract_page(page.replace(items, "<nav>" + linked + "</nav>")).text


def test_paragraphs_in_a_cell_are_paragraphs_and_rows_of_data_are_rows():
    assert text("<table><tr><td><p>It rained.</p><ul><li>a<li>b</ul></table>") == "It rained.\n\na\nb"
    assert text("<table><tr><td><p>Ann<td><p>sings<tr><td><p>Bob<td><p>rows</table>") == "Ann | sings\nBob | rows"


@pytest.mark.parametrize("head", ["<tr><th>Ship<th>Cargo", "<thead><tr><td>Ship<td>Cargo</thead>",
                                  "<tr><td><b>Ship</b><td><b>Cargo</b>"])
def test_a_kept_table_has_its_header(head):
    rows = "".join(f"<tr><td>{name}<td>{LONG[:60]}{name}" for name in ("Swan", "Gull", "Tern"))
    page = extract_page(f"<main><article><h1>Ships</h1><p>{LONG * 3}<p>{LONG * 2}<table>{head}{rows}</table>"
                        f"<p>{LONG * 3}")
    assert "Ship | Cargo\nSwan | The harbour" in page.text


def test_entities_are_decoded_once():
    assert text("<p>&amp;lt; and &amp;amp; and &copy;&hellip; AT&amp;T") == "&lt; and &amp; and ©… AT&T"


def test_markup_as_the_text_of_noscript_is_markup():
    noscript = "<noscript>&lt;img src=//t.example/?e=View&gt;&lt;p&gt;Ships&lt;/p&gt;</noscript>"
    assert text(noscript) == "Ships"


def test_hidden_fields_of_structured_data_are_no_text_and_no_text_comes_twice():
    fields = ("<div itemprop=publisher itemscope style='display: none'><span itemprop=name>Harbour House</span></div>"
              f"<div itemprop=articleBody>{LONG * 3}</div><div itemprop=articleBody hidden>{LONG * 3}</div>"
              "<p>Sold<span itemprop=sku hidden> A-17</span> out.</p>")
    page = extract_page(f"<main><article><h1>Ships</h1><p>{LONG * 2}</p>{fields}</article></main>")
    assert page.text.count("full of ships") == 5 and "Harbour House" not in page.text and "A-17" not in page.text


def test_data_of_scripts_give_each_text_once_and_no_fields():
    body = "The first of the ships came in at noon. " * 4
    article = {"@type": "Article", "articleBody": body, "publisher": {"@type": "Organization", "description": LONG}}
    sizes = {"content": "width=device-width, initial-scale=1.0, a=1, b=2, c=3, d=4, e=5, f=6", "html": f"<p>{body}</p>"}
    root = parse(f"<script type=application/ld+json>{json.dumps(article)}</script>"
                 f"<script type=application/json>{json.dumps(sizes)}</script><p>x")
    assert root is not None
    assert text_of(script_blocks(root)).count("first of the ships") == 4
    assert "sailors" not in text_of(script_blocks(root)) and "device" not in text_of(script_blocks(root))


@pytest.mark.parametrize("unit", ["<math><mi>a</mi></math>", "a<sup>[1]</sup>", "[<a href=#fn1>1</a>]", "a<rt>b</rt>",
                                  "<code>a<br>", "<code>a</code><br>", "<pre><div>1</div>",
                                  "<table class=code><tr><td>1<td>x", "<span class=katex>",
                                  "<div style=white-space:pre>a\n", "<noscript>&lt;p>a</noscript>",
                                  "<b style=white-space:pre>\n</b>", "<style>.a{white-space:pre}</style>", "<math>"])
def test_no_form_takes_quadratic_time(unit):
    with deadline(60):  # quadratic time would be minutes
        assert parse(unit * (100_000 // len(unit))) is not None
