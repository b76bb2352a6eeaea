"""Markup: the text of .rst, .tex, .srt and .vtt files without their marks. Linear in the length of the text.

Not by pandoc, which some machines have and others do not: the same file gives the same document everywhere.
"""

import html
import re
from collections.abc import Iterator

from miniature_memory.extraction.page import Extracted
from miniature_memory.extraction.reading import plain_text

# --- reStructuredText (docutils.sourceforge.io/docs/ref/rst/restructuredtext.html) ---------------

ADORNMENT = re.compile(r"([!-/:-@\[-`{-~])\1{2,}")
DIRECTIVE = re.compile(r"\.\. +([\w:-]{1,40})::")
UNWRAPPED = re.compile("note|warning|tip|hint|important|caution|attention|danger|error|admonition|seealso|version.*|"
                       "deprecated|epigraph|highlights|pull-quote|compound|container|rubric|topic|sidebar|code.*|"
                       "sourcecode|parsed-literal|math|centered")
RST_INLINE = [(re.compile(pattern), new) for pattern, new in (
    (r"(?::[\w:+.-]{1,40}:)?`([^`<\n]{1,500}?)\s*<[^`<>\n]{1,1000}>`_{0,2}", r"\1"),  # a link or role with its target
    (r":[\w:+.-]{1,40}:`~?([^`\n]{1,1000})`", r"\1"),
    (r"``([^`\n]{1,1000})``", r"\1"), (r"`([^`\n]{1,1000})`_{0,2}", r"\1"),
    (r"\*\*([^*\n]{1,1000})\*\*", r"\1"), (r"(?<![\w*\\])\*([^\s*][^*\n]{0,1000})\*", r"\1"),
    (r" ?\[[\w#*-]{1,40}\]_(?!\w)", ""), (r"\|([^|\s][^|\n]{0,80})\|_{0,2}", r"\1"),
    (r"(?<=\w)__?(?=[\s.,;:!?)]|$)", ""),
    (r"\\([^\w\s])", r"\1"), (r"\\ ", ""))]


def read_rst(data: bytes) -> Extracted:
    text = plain_text(data).expandtabs(8)
    lines = [line.rstrip() for line in text.split("\n")]
    out = list(_rst_lines(lines))
    joined = re.sub(r"\n{3,}", "\n\n", "\n".join(out)).strip("\n")
    title = next((line.lstrip("# ") for line in out if line.startswith("# ")), "")
    return Extracted(joined, title, extractor="rst")


def _rst_lines(lines: list[str]) -> Iterator[str]:
    levels: dict[str, int] = {}  # adornment -> level of heading, in the order of their first use
    skipped = -1  # what is indented deeper than this belongs to something that is left out
    directive = -1  # indent of the directive whose options may follow
    i = 0
    while i < len(lines):
        line, after = lines[i], lines[i + 1] if i + 1 < len(lines) else ""
        body = line.lstrip()
        indent = len(line) - len(body)
        i += 1
        if skipped >= 0 and (not body or indent > skipped):
            yield ""
            continue
        skipped = -1
        if directive >= 0 and indent > directive and re.match(r":[\w -]{1,40}:", body):
            continue
        directive = -1
        if body.startswith(".. ") or body == "..":
            found = DIRECTIVE.match(body)
            if found and UNWRAPPED.fullmatch(found[1]):
                directive = indent
                if not found[1].startswith(("code", "source", "version", "deprecated")):
                    yield from filter(None, [_rst_inline(body[found.end():].strip())])
            else:
                skipped = indent
        elif body and not indent and len(after) >= 3 and ADORNMENT.fullmatch(after) and not ADORNMENT.fullmatch(body):
            levels.setdefault(after[0], min(len(levels) + 1, 6))
            yield from ("", "#" * levels[after[0]] + " " + _rst_inline(body), "")
            i += 1
        elif not ADORNMENT.fullmatch(body):
            body = body.removesuffix("::") + ":" * (body.endswith("::") and body != "::")
            yield line[:indent] + _rst_inline(body)


def _rst_inline(text: str) -> str:
    for pattern, new in RST_INLINE:
        text = pattern.sub(new, text)
    return text


# --- subtitles (SubRip; WebVTT, w3.org/TR/webvtt1) -----------------------------------------------

CUE_TIME = re.compile(r"(?:\d{1,4}:)?\d{1,2}:\d{2}[.,]\d{1,3}\s*-->")
CUE_MARKS = re.compile(r"<[^<>\n]{0,200}>|\{\\[^{}\n]{0,100}\}")
ENDS_SENTENCE = re.compile(r"[.!?…。！？♪][\"'”’»)\]]{0,2}$")


def read_subtitles(data: bytes) -> Extracted:
    """What is said: a line per sentence that ends where a caption ends. Rolling captions repeat lines, which go."""
    text = html.unescape(plain_text(data))
    said: list[str] = [""]
    before: list[str] = []  # the lines of the caption before
    for block in re.split(r"\n[ \t]*\n", text):
        lines = block.split("\n")
        start = next((i for i, line in enumerate(lines[:3]) if CUE_TIME.match(line)), None)
        if start is None:
            continue  # a heading, note or style
        shown = [" ".join(CUE_MARKS.sub("", line).split()) for line in lines[start + 1:]]
        for line in shown:
            if line and line not in before:
                said[-1] = f"{said[-1]} {line}".strip()
                if ENDS_SENTENCE.search(line):
                    said.append("")
        before = shown or before
    return Extracted("\n".join(filter(None, said)), extractor="subtitles")
