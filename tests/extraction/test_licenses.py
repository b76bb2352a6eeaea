"""The license that a page names.   .venv/bin/python -m pytest tests/extraction/test_licenses.py"""

import pytest

from miniature_memory.extraction.license_names import of_address, of_text
from miniature_memory.extraction.licenses import page_license
from miniature_memory.extraction.parsing import parse

CC = "https://creativecommons.org/licenses"
URL = "https://boats.example/rigging/knots"


def license_of(html: str) -> str:
    root = parse(f"<html><body><p>How to tie a bowline.</p>{html}</body></html>")
    assert root is not None
    return page_license(root, URL)


@pytest.mark.parametrize(("html", "name"), [
    (f'<link rel="license" href="{CC}/by/4.0/">', "CC-BY-4.0"),
    ('<LINK REL="alternate License" HREF="//www.creativecommons.org/licenses/by-nd-nc/1.0">', "CC-BY-NC-ND-1.0"),
    (f'<p>Use it <a rel="license noopener" href="{CC}/by/3.0/de/">as you like</a>.', "CC-BY-3.0-DE"),
    (f'<p><a rel=license href="{CC}/by-sa/4.0/deed.de">So</a>', "CC-BY-SA-4.0"),
    ('<a rel=license href="https://creativecommons.org/publicdomain/zero/1.0/?ref=chooser">0</a>', "CC0-1.0"),
    ('<a rel=license href="https://www.gnu.org/licenses/fdl-1.3.html">GFDL</a>', "GFDL-1.3"),
    ('<a rel=license href="../legal#text">Terms</a>', "https://boats.example/legal#text"),
    (f'<footer>Alles <a href="{CC}/by-nc/4.0/">hier</a></footer>', "CC-BY-NC-4.0"),
    (f'<footer><p class="credits">Site by Ann, <a href="{CC}/by/4.0/">x</a></footer>', "CC-BY-4.0"),
    (f'<div id="site-footer"><ul><li class="menu-item"><a href="{CC}/by/4.0/">x</a></ul></div>', "CC-BY-4.0"),
    (f'<a href="{CC}/by/4.0/"><img src="https://licensebuttons.net/l/by/4.0/88x31.png"></a>', "CC-BY-4.0"),
    (f'<p>Dieser Text steht unter <a href="{CC}/by-sa/4.0/">CC BY-SA 4.0</a>.</p>', "CC-BY-SA-4.0"),
    ('<meta name="DC.rights" content="Creative Commons Attribution-NonCommercial 4.0">', "CC-BY-NC-4.0"),
    ('<meta name="copyright-license" content="MIT">', "MIT"),
    ('<meta property="dcterms.license" content="https://boats.example/terms">', "https://boats.example/terms"),
    (f'<span property="dct:license" resource="{CC}/by/4.0/">free</span>', "CC-BY-4.0"),
    (f'<div itemscope itemtype="https://schema.org/BlogPosting"><link itemprop=license href="{CC}/by/4.0/"></div>',
     "CC-BY-4.0"),
    (f'<script type="application/ld+json">{{"@type": "Article", "license": "{CC}/by/4.0/", "image": '
     f'{{"@type": "ImageObject", "license": "{CC}/by-nc/4.0/"}}}}</script>', "CC-BY-4.0"),
    (f'{"<script>1</script>" * 50}<script type="application/ld+json">{{"@graph": [{{"@type": "SocialMediaPosting", '
     f'"license": "{CC}/by/4.0/"}}, {{"@type": "Person"}}]}}</script>{"<script>1</script>" * 50}', "CC-BY-4.0"),
    ('<script type="application/ld+json">[{"@type": ["WebPage"], "license": {"@id": "https://spdx.org/licenses/MIT"}}]'
     '</script>', "MIT"),
])
def test_a_license_is_read_where_the_page_names_it(html: str, name: str) -> None:
    assert license_of(html) == name


@pytest.mark.parametrize("html", [
    "<footer>© 2026 Boats Ltd. All rights reserved.</footer>", '<meta name="dc.rights" content="Copyright 2026 Boats">',
    '<meta name="license" content="see below">', '<a rel=license href="javascript:alert(1)">Terms</a>',
    '<a rel=license href="http://[">Terms</a>', f'<a rel=license href="https://boats.example/{"x" * 5000}">Terms</a>',
    f'<figure><img src=a.jpg><figcaption><a rel=license href="{CC}/by/2.0/">CC BY 2.0</a></figcaption></figure>',
    f'<div class="wp-caption"><a href="{CC}/by/2.0/">CC BY 2.0</a></div>',
    f'<div class="image-license"><a href="{CC}/by/2.0/">CC BY 2.0</a></div>',
    f'<p class="photo-credit">Ann, <a href="{CC}/by/2.0/">CC BY 2.0</a></p>',
    f'<p><img src=a.jpg></p><p>Ann, <a href="{CC}/by/2.0/">CC BY 2.0</a></p>',
    f'<div itemscope itemtype="https://schema.org/ImageObject"><a itemprop=license href="{CC}/by/4.0/">x</a></div>',
    f'<span about="/media/knot.jpg"><a rel=license href="{CC}/by/4.0/">x</a></span>',
    f'<script type="application/ld+json">{{"@graph": [{{"@type": "Dataset", "license": "{CC}/by/4.0/"}}]}}</script>',
    f'<p>Compare <a href="{CC}/by/4.0/">CC BY 4.0</a> with <a href="{CC}/by-sa/4.0/">CC BY-SA 4.0</a>.</p>',
    f'<p>{"Of licenses there are many. " * 30}One is <a href="{CC}/by/4.0/">CC BY 4.0</a>.</p>',
    f'<script type="application/ld+json">{"[" * 50_000}"license"</script>',
])
def test_what_names_no_license_of_the_text_gives_none(html: str) -> None:
    assert license_of(html) == ""


def test_where_a_page_names_several_its_footer_decides() -> None:
    both = f'<p>See <a rel=license href="{CC}/by/4.0/">one</a>, <a rel=license href="{CC}/by-nc/4.0/">another</a>.</p>'
    assert license_of(both) == ""
    assert license_of(f'{both}<footer><a rel=license href="{CC}/by/4.0/legalcode">terms</a></footer>') == "CC-BY-4.0"


@pytest.mark.parametrize(("text", "name"), [
    ("CC BY-SA 4.0", "CC-BY-SA-4.0"), ("cc-by", "CC-BY"), ("CC0", "CC0-1.0"), ("Apache-2.0", "Apache-2.0"),
    ("Creative Commons, written by Ann", ""), ("proprietary", ""), ("none", ""), ("© Boats", ""), ("", ""),
    (f"Licensed under {CC}/by/3.0/igo/", "CC-BY-3.0-IGO"), ("CC BY-NC-ND\u202e 4.0", "CC-BY-NC-ND-4.0")])
def test_a_license_in_words(text: str, name: str) -> None:
    assert of_text(text) == name


@pytest.mark.parametrize(("address", "name"), [
    (f"{CC}/", f"{CC}/"), (f"{CC}/publicdomain/", "CC-PDDC"), ("https://opensource.org/licenses/MIT", "MIT"),
    ("https://www.apache.org/licenses/LICENSE-2.0.html", "Apache-2.0"), ("mailto:ann@boats.example", ""),
    ("https://opendatacommons.org/licenses/odbl/1-0/", "ODbL-1.0"),
    ("https://www.nationalarchives.gov.uk/doc/open-government-licence/version/3/", "OGL-UK-3.0")])
def test_a_license_by_its_address(address: str, name: str) -> None:
    assert of_address(address) == name
