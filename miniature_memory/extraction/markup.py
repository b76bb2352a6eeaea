"""Markup: the text of .rst, .tex, .srt and .vtt files without their marks. Linear in the length of the text.

Not by pandoc, which some machines have and others do not: the same file gives the same document everywhere.
"""

import html
import re
from collections.abc import Iterator

from miniature_memory.extraction.page import Extracted
from miniature_memory.extraction.reading import text_of_file

# --- reStructuredText (docutils.sourceforge.io/docs/ref/rst/restructuredtext.html) ---------------

ADORNMENT = re.compile(r"([!-/:-@\[-`{-~])\1{2,}")
TABLE_RULE = re.compile(r"=+(?: +=+)+|\+[-=+]+")
AUTHOR = re.compile(r"^:Author: +(\S.{0,200})$", re.MULTILINE | re.IGNORECASE)
FIELD = re.compile(r":[\w -]{1,40}:(?: |$)")
LIST_ITEM = re.compile(r" *(?:[-*+•|]|\(?(?:\d{1,3}|[a-zA-Z#])[.)]) ")
CODE = ("code", "sourcecode", "parsed-literal", "math")
DIRECTIVE = re.compile(r"\.\. +([\w:-]{1,40})::")
UNWRAPPED = re.compile("note|warning|tip|hint|important|caution|attention|danger|error|admonition|seealso|version.*|"
                       "deprecated|epigraph|highlights|pull-quote|compound|container|rubric|topic|sidebar|code.*|"
                       "sourcecode|parsed-literal|math|centered")
INLINE = re.compile(
    r"(?::[\w:+.-]{1,40}:)?`{1,2}([^`\n]{1,1000})`{1,2}_{0,2}"  # code, a role, a link
    r"|(?<![\w*\\])\*{1,2}(?=\S)([^*\n]{1,1000})\*{1,2}"
    r"|\|(?=\S)([^|\n]{1,80})\|_{0,2}"
    r"| ?\[[\w#*-]{1,40}\]_(?!\w)"  # a reference to a footnote
    r"|(?<=\w)__?(?=[\s.,;:!?)]|$)"
    r"|\\(?:([^\w\s])|\s)")


def read_rst(data: bytes) -> Extracted:
    text = text_of_file(data).expandtabs(8)
    author = AUTHOR.search(text[:10_000])
    out: list[str] = []
    title, is_open = "", False  # whether the next line may belong to the same paragraph
    for kind, line in _rst_lines([line.rstrip() for line in text.split("\n")]):
        joins = is_open and kind == "text" and line and not LIST_ITEM.match(line)
        title = title or (line.lstrip("# ") if kind == "heading" else "")
        out.append(" " + line.lstrip() if joins else f"\n\n{line}\n" if kind == "heading" else "\n" + line)
        is_open = kind == "text" and bool(line)
    return Extracted(re.sub(r"\n{3,}", "\n\n", "".join(out)), title, author[1] if author else "", extractor="rst")


def _rst_lines(lines: list[str]) -> Iterator[tuple[str, str]]:
    """(text, heading or code; a line without its marks)."""
    levels: dict[str, int] = {}  # adornments -> level of heading, in the order of their first use
    skipped = literal = options = -1  # what is indented deeper is skipped; code; options of a directive, which go
    before = block = ""
    for i, line in enumerate(lines):
        body = line.lstrip()
        indent = len(line) - len(body)
        before, previous = body, before
        if not body or not block:
            block = "table" if TABLE_RULE.fullmatch(body) else "code" if body.startswith(">>> ") else ""
        if not body:
            yield "text", ""
        elif 0 <= skipped < indent or (0 <= options < indent and FIELD.match(body)) or TABLE_RULE.fullmatch(body):
            continue
        elif block:
            yield "code", line if block == "code" else re.sub(" {2,}", " | ", body.strip("|").strip())
        elif 0 <= literal < indent:
            options = -1
            yield "code", line
        else:
            skipped = literal = options = -1
            found = DIRECTIVE.match(body)
            if found and UNWRAPPED.fullmatch(found[1]):
                options = indent
                is_code = found[1].startswith(CODE)
                literal = indent if is_code else -1
                if not is_code and not found[1].startswith(("version", "deprecated")):
                    yield "text", _rst_inline(body[found.end():].strip())
            elif body == ".." or body.startswith(".. "):
                skipped = indent
            elif ADORNMENT.fullmatch(body):
                continue
            elif not indent and i + 1 < len(lines) and ADORNMENT.fullmatch(lines[i + 1]):
                marks = lines[i + 1][0] + previous[:1] * bool(ADORNMENT.fullmatch(previous))
                yield "heading", "#" * levels.setdefault(marks, min(len(levels) + 1, 6)) + " " + _rst_inline(body)
            elif not FIELD.match(body):
                literal = indent if body.endswith("::") else -1
                body = body.removesuffix("::") + ":" * (body.endswith("::") and body != "::")
                yield "text", line[:indent] + _rst_inline(body)


def _rst_inline(text: str) -> str:
    return INLINE.sub(lambda mark: _shown(mark[mark.lastindex]) if mark.lastindex else "", text)


def _shown(marked: str) -> str:
    """What is seen of a role or link such as `the harbour <https://example.org/>`."""
    return marked.partition(" <")[0] if marked.endswith(">") else marked.removeprefix("~")


# --- subtitles (SubRip; WebVTT, w3.org/TR/webvtt1) -----------------------------------------------

CUE_TIME = re.compile(r"(?:\d{1,4}:)?\d{1,2}:\d{2}[.,]\d{1,3}\s*-->")
CUE_MARKS = re.compile(r"<[^<>\n]{0,200}>|\{\\[^{}\n]{0,100}\}")
ENDS_SENTENCE = re.compile(r"[.!?…。！？♪][\"'”’»)\]]{0,2}$")


def read_subtitles(data: bytes) -> Extracted:
    """What is said: a line per sentence that ends where a caption ends. Rolling captions repeat lines, which go."""
    text = html.unescape(text_of_file(data))
    said: list[str] = []
    before: set[str] = set()  # the lines of the caption before
    for block in re.split(r"\n[ \t]*\n", text):
        lines = block.split("\n")
        start = next((i for i, line in enumerate(lines[:3]) if CUE_TIME.match(line)), None)
        if start is None:
            continue  # a heading, note or style
        shown = [" ".join(CUE_MARKS.sub("", line).split()) for line in lines[start + 1:]]
        for line in shown:
            if line and line not in before:
                said += [line, "\n" if ENDS_SENTENCE.search(line) else " "]
        before = set(shown) or before
    return Extracted("".join(said).strip(), extractor="subtitles")
