"""Office: the files that are a ZIP archive of XML: .docx (ECMA-376), .odt (OpenDocument 1.2), .epub (EPUB 3.3).

Their elements are renamed to HTML's and set as a page's blocks are, headings in Markdown's form. Nothing is written to
disk, no entity or DTD is read, and no picture is opened.
"""

import io
import posixpath
import re
import zipfile
from collections.abc import Iterator
from typing import BinaryIO
from urllib.parse import unquote

from lxml import etree

from miniature_memory.extraction.block_text import text_of
from miniature_memory.extraction.blocks import segment
from miniature_memory.extraction.page import Extracted
from miniature_memory.extraction.parsing import parse
from miniature_memory.extraction.reading import MAX_BYTES, Allowance, Input, Unreadable, read_whole, seekable
from miniature_memory.responses.charset import decode_html

MAX_XML_BYTES = 20_000_000  # guess: a novel of 1,000 pages has 5 MB; the tree takes ten times as much
MAX_TAIL_BYTES = 65_600  # of a ZIP archive's end: its last record and comment (APPNOTE.TXT 4.3.16)
W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
DOCX = {W + "p": "p", W + "tbl": "table", W + "tr": "tr", W + "tc": "td", W + "br": "br", W + "cr": "br"}
DOCX_LEFT_OUT = {W + "pPr", W + "rPr", W + "instrText", W + "delText", W + "del", W + "moveFrom",
                 "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"}
TEXT, TABLE, OFFICE = (f"{{urn:oasis:names:tc:opendocument:xmlns:{name}:1.0}}" for name in ("text", "table", "office"))
ODT = {TEXT + "p": "p", TEXT + "h": "h1", TEXT + "list-item": "li", TABLE + "table": "table",
       TABLE + "table-row": "tr", TABLE + "table-cell": "td", TEXT + "line-break": "br"}
ODT_LEFT_OUT = {TEXT + "tracked-changes", TEXT + "note", TEXT + "table-of-content", TEXT + "alphabetical-index",
                OFFICE + "annotation", TEXT + "sequence-decls"}


def open_zip(stream: BinaryIO) -> zipfile.ZipFile:
    """The archive in a seekable stream. Raises Unreadable for ZIP64, whose list of members may be of any length."""
    size = stream.seek(0, io.SEEK_END)
    stream.seek(max(0, size - MAX_TAIL_BYTES))
    if b"PK\x06\x07" in stream.read():
        raise Unreadable("too_many_files")
    return zipfile.ZipFile(stream)


def member(archive: zipfile.ZipFile, name: str, max_bytes: int = MAX_XML_BYTES) -> bytes:
    """The content of a member; b"" if there is none of that name."""
    try:
        info = archive.getinfo(name)
    except KeyError:
        return b""
    check_member(info)
    with archive.open(info) as stream:
        return read_whole(stream, max_bytes)


def check_member(info: zipfile.ZipInfo) -> None:
    """Raises Unreadable for what is encrypted, or compressed in a way whose memory is not bounded."""
    if info.flag_bits & 1:
        raise Unreadable("encrypted")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise Unreadable("unknown_compression")


def xml(data: bytes) -> etree._Element:
    """The root of XML. Entities stay unexpanded, and libxml2's limits on depth and size hold."""
    return etree.fromstring(data, etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False,
                                                  remove_comments=True, remove_pis=True))


def _open(data: bytes) -> zipfile.ZipFile:
    if data.startswith(b"\xd0\xcf\x11\xe0"):  # [MS-CFB]: how Office writes a file with a password, and .doc
        raise Unreadable("encrypted")
    return open_zip(io.BytesIO(data))


def _set(root: etree._Element) -> str:
    """The text of a tree with HTML's names."""
    level = {f"h{n}": "#" * n + " " for n in range(1, 7)}
    return text_of([block._replace(text=level.get(block.tag, "") + block.text.replace("\n", " "))
                    if block.kind == "heading" else block for block in segment(root).blocks])


def _rename(root: etree._Element, names: dict[str, str], left_out: set[str]) -> None:
    for element in list(root.iter(etree.Element)):
        element.tag = "script" if element.tag in left_out else names.get(element.tag, "span")  # a script is no text


def _first(root: etree._Element | None, name: str) -> str:
    """The text of the first element of Dublin Core's `name`."""
    found = root.find(f".//{{http://purl.org/dc/elements/1.1/}}{name}") if root is not None else None
    return found.text or "" if found is not None else ""


# --- .docx ---------------------------------------------------------------------------------------


def read_docx(data: bytes) -> Extracted:
    with _open(data) as archive:
        body = member(archive, "word/document.xml")
        styles = member(archive, "word/styles.xml")
        core = member(archive, "docProps/core.xml")
    if not body:
        raise Unreadable("damaged")
    root = xml(body)
    levels = _heading_styles(xml(styles)) if styles else {}
    headings = [(p, level) for p in root.iter(W + "p") if (level := _docx_level(p, levels))]
    items = [p for p in root.iter(W + "p") if p.find(f"{W}pPr/{W}numPr") is not None]
    for tab in root.iter(W + "tab"):
        tab.text = "\t"
    _rename(root, DOCX, DOCX_LEFT_OUT)
    for p in items:
        p.tag = "li"
    for p, level in headings:
        p.tag = f"h{level}"
    about = xml(core) if core else None
    return Extracted(_set(root), _first(about, "title"), _first(about, "creator"), extractor="docx")


def _heading_styles(styles: etree._Element) -> dict[str, int]:
    """Style id -> level of heading. Ids are in the author's language; the names of built-in styles are not."""
    levels = {}
    for style in styles.iter(W + "style"):
        name = style.find(W + "name")
        shown = (name.get(W + "val") or "").lower() if name is not None else ""
        if found := re.fullmatch(r"heading ([1-6])|title", shown):
            levels[style.get(W + "styleId") or ""] = int(found[1] or 1)
    return levels


def _docx_level(paragraph: etree._Element, levels: dict[str, int]) -> int:
    style = paragraph.find(f"{W}pPr/{W}pStyle")
    return levels.get(style.get(W + "val") or "", 0) if style is not None else 0


# --- .odt ----------------------------------------------------------------------------------------


def read_odt(data: bytes) -> Extracted:
    with _open(data) as archive:
        body, meta = member(archive, "content.xml"), member(archive, "meta.xml")
        manifest = member(archive, "META-INF/manifest.xml")
    if b"encryption-data" in manifest:
        raise Unreadable("encrypted")
    if not body:
        raise Unreadable("damaged")
    root = xml(body)
    headings = [(h, h.get(TEXT + "outline-level") or "1") for h in root.iter(TEXT + "h")]
    headings += [(p, "1") for p in root.iter(TEXT + "p") if p.get(TEXT + "style-name") == "Title"]
    for name in ("tab", "s"):
        for space in root.iter(TEXT + name):
            space.text = " "
    _rename(root, ODT, ODT_LEFT_OUT)
    for h, level in headings:
        h.tag = f"h{level}" if level in "123456" else "h6"
    about = xml(meta) if meta else None
    return Extracted(_set(root), _first(about, "title"), _first(about, "creator"), extractor="odt")


# --- .epub ---------------------------------------------------------------------------------------


def split_epub(stream: BinaryIO, origin: Input) -> Iterator[Input]:
    """The chapters of a book, in the order of its spine (EPUB 3.3, 5.7), each with the book's title and author."""
    file = seekable(stream)
    allowance = Allowance(file)
    with open_zip(file) as archive:
        container = xml(member(archive, "META-INF/container.xml") or b"<none/>")
        rootfile = container.find(".//{*}rootfile")
        path = rootfile.get("full-path") or "" if rootfile is not None else ""
        package = xml(member(archive, path) or b"<none/>")
        items = {item.get("id"): item for item in package.iter("{*}item")}
        encryption = xml(member(archive, "META-INF/encryption.xml") or b"<none/>")
        locked = {unquote(one.get("URI") or "") for one in encryption.iter("{*}CipherReference")}
        book = origin._replace(title=_first(package, "title") or origin.title, author=_first(package, "creator"))
        for idref in dict.fromkeys(one.get("idref") for one in package.iter("{*}itemref")):
            item = items.pop(idref, None)
            if item is None or "nav" in (item.get("properties") or "").split():
                continue
            name = posixpath.normpath(posixpath.join(posixpath.dirname(path), unquote(item.get("href") or "")))
            if name in locked:
                raise Unreadable("encrypted")
            chapter = member(archive, name, MAX_BYTES)
            allowance.take(len(chapter))
            if chapter:
                yield book._replace(url=origin.at(name), kind="chapter", data=chapter)


def read_chapter(data: bytes) -> Extracted:
    """All of a chapter; unlike a page of the web, a book has nothing around its text."""
    root = parse(decode_html(data))
    if root is None:
        return Extracted(reason="no_text")
    for link in root.iter("a"):
        if "noteref" in (link.get("epub:type") or ""):
            link.tag = "script"  # which is no text
    return Extracted(_set(root), extractor="epub")
