"""Pages of the playground's server for the collection; sampling/server.py has the HTTP around them.

    GET /collection?q=QUERY                           a search box, and the best documents
    GET /collection/document?id=ID[&passage=TEXT]     a document, where it comes from, and what became of it; the text
                                                      of the passage is marked, and #passage jumps there

Plain HTML without scripts. Whatever comes from outside is escaped here.
"""

import itertools
import re
from html import escape
from pathlib import Path
from string import Template
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlencode, urlsplit

from miniature_memory.cleaning.config import CleanConfig
from miniature_memory.cleaning.explain import explain
from miniature_memory.collection.query import MOST_CHARS
from miniature_memory.collection.search import Answer, Result, search, title_of
from miniature_memory.core.config import build_config, read_tables
from miniature_memory.core.errors import ConfigError, StageError
from miniature_memory.core.paths import LOOK
from miniature_memory.core.text import counted, hostname, strip_control
from miniature_memory.storage import clean_documents
from miniature_memory.storage.catalog import Catalog
from miniature_memory.storage.full_text import BEGIN, END

PATHS = ("/collection", "/collection/document")
TEMPLATE = Path(__file__).with_name("collection.html")
MOST_FIELDS = 8  # of a query string
MOST_PASSAGE_CHARS = 5_000
MOST_TEXT_CHARS = 1_000_000  # of a document on its page; guess: what a phone still scrolls
HOW = ('<p class="soft">A document must have all words, in capital or small letters, with or without accents. '
       '<code>"wild yeast"</code> finds a phrase, <code>ferment*</code> every word that begins with this, and '
       '<code>title: bread</code> searches titles only. <code>OR</code> and <code>NOT</code> combine words.</p>')
FACTS = {"author": "Author", "published": "Published", "fetched_at": "Fetched", "license": "License",
         "source": "Source", "language": "Language"}


class Page(NamedTuple):
    """What one page says, as HTML except for the texts."""

    heading: str  # text
    content: str
    query: str = ""  # text in the search box
    status: int = 200


def answer(root: Path, target: str, nonce: str) -> tuple[int, bytes]:
    """Status and page for the path and query string of a request. nonce: of the styles, in the policy of the page."""
    path, _, fields = target.partition("?")
    try:
        asked = {name: values[0] for name, values in parse_qs(fields, max_num_fields=MOST_FIELDS).items()}
    except ValueError:
        asked = {}
    page = _result_page(root, asked.get("q", "")) if path == PATHS[0] else _document_page(
        root, asked.get("id", ""), asked.get("passage", ""))
    return page.status, _html(page, nonce, is_results=path == PATHS[0])


def instead_of_playground(sentence: str, nonce: str) -> bytes:
    """The page at / while there is no model: why, and the search box."""
    return _html(Page("Playground", _note(sentence)), nonce)


def _html(page: Page, nonce: str, is_results: bool = False) -> bytes:
    title = " · ".join(dict.fromkeys(filter(None, [page.query or page.heading, "Collection"])))
    return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        title=escape(title), heading=escape(page.heading), query=escape(page.query), content=page.content, nonce=nonce,
        look=LOOK.read_text(encoding="utf-8"), most=MOST_CHARS,
        current='aria-current="page"' if is_results else "").encode()


def _note(sentence: str) -> str:
    return f'<p class="note">{escape(strip_control(sentence))}</p>' if sentence else ""


# --- results -------------------------------------------------------------------------------------


def _result_page(root: Path, query: str) -> Page:
    heading = "Collection"
    try:
        if not query.strip():
            with Catalog(root, read_only=True) as catalog:
                n = clean_documents.count(catalog)
            return Page(heading, f"<p>{counted(n, 'document')} to search.</p>{HOW}")
        found = search(root, query)
    except ConfigError as error:
        return Page(heading, _note(str(error)), status=400)
    except StageError as error:
        return Page(heading, _note(str(error)), strip_control(query), 500)
    return Page(heading, _results(found), found.query)


def _results(found: Answer) -> str:
    said = f"<p>{found.headline()}</p>" if found.total else ""
    items = "".join(map(_item, found.results))
    return said + (f"<ol>{items}</ol>" if items else "") + _note(found.note) + (HOW if not found.total else "")


def _item(result: Result) -> str:
    address = f"/collection/document?{urlencode({'id': result.id, 'passage': result.passage.plain()})}"
    passage = escape(result.passage.shown(BEGIN, END)).replace(BEGIN, "<mark>").replace(END, "</mark>")
    where = " · ".join(filter(None, [hostname(result.url) or result.url, result.date]))
    return (f'<li><h2><a href="{escape(address)}#passage">{escape(result.title)}</a></h2>'
            f'<p class="soft">{escape(where)}</p>'
            f'<p class="passage">{passage}</p></li>')


# --- one document --------------------------------------------------------------------------------


def _document_page(root: Path, document_id: str, passage: str) -> Page:
    if not re.fullmatch("[0-9a-f]{64}", document_id):
        return Page("Document", _note("Expected: the id of a document, 64 hexadecimal digits."), status=400)
    try:
        became = explain(_clean_config(root), root, document_id)
    except (ConfigError, StageError) as error:
        became = str(error)
    try:
        with Catalog(root, read_only=True) as catalog:
            document = clean_documents.read(catalog, document_id)
    except StageError as error:
        return Page("Document", _note(str(error)), status=500)
    outcome = (f"<details{' open' * (document is None)}><summary>What became of it</summary>"
               f"<pre tabindex=\"0\">{escape(strip_control(became))}</pre></details>")
    if document is None:
        return Page("Document", _note("This document is not among those that were kept.") + outcome, status=404)
    text = _text(strip_control(document["text"]), strip_control(passage))
    return Page(title_of(document), _facts(document) + outcome + text)


def _clean_config(root: Path) -> CleanConfig:
    config: CleanConfig = build_config(CleanConfig, "clean", read_tables(root))
    return config


def _facts(document: dict[str, Any]) -> str:
    """Where a document comes from. Documents of earlier releases lack some of it."""
    metadata = document["metadata"]
    facts = {"Address": _address(strip_control(metadata["url"])),
             **{name: escape(strip_control(str(metadata.get(key) or ""))) for key, name in FACTS.items()},
             "Id": document["id"]}
    return "<dl>" + "".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in facts.items() if value) + "</dl>"


def _address(url: str) -> str:
    """A link for what is on the web, and nothing else: an address may be a script."""
    try:
        is_web = urlsplit(url).scheme in ("http", "https")
    except ValueError:
        is_web = False
    shown = escape(url)
    return f'<a href="{shown}" rel="noreferrer noopener">{shown}</a>' if is_web else shown


def _text(text: str, passage: str) -> str:
    """The text with the passage marked, wherever its white space is other."""
    note = ""
    if len(text) > MOST_TEXT_CHARS:
        note = f"The first {MOST_TEXT_CHARS:,} of {len(text):,} characters are shown."
        text = text[:MOST_TEXT_CHARS]
    place = _place(text, passage[:MOST_PASSAGE_CHARS])
    if place is None:
        note += " The passage is not in this text as it is now."
    begin, end = place or (0, 0)
    marked = f'<mark id="passage">{escape(text[begin:end])}</mark>' if end > begin else ""
    return _note(note.strip()) + f'<div class="text">{escape(text[:begin])}{marked}{escape(text[end:])}</div>'


def _place(text: str, passage: str) -> tuple[int, int] | None:
    """Where the passage begins and ends in the text, whatever the white space; None if nowhere. In linear time, which
    a regular expression for it does not keep to."""
    wanted, spaced = " ".join(passage.split()), " ".join(text.split())
    begin = spaced.find(wanted)
    if begin < 0:
        return None
    return _unspaced(text, spaced, begin), _unspaced(text, spaced, begin + len(wanted))


def _unspaced(text: str, spaced: str, place: int) -> int:
    """The place in `text` of one in `spaced`, the same text with single spaces between its words."""
    first = spaced.rfind(" ", 0, place) + 1  # of the word that the place is in or after
    n_before = spaced.count(" ", 0, first)
    word = next(itertools.islice(re.finditer(r"\S+", text), n_before, None), None)
    return word.start() + place - first if word else 0
