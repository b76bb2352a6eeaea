"""Feeds and sitemaps as bytes: unpacked, in UTF-8, cut into tags and text. Pure, linear, and flat in memory.

Nothing here has to be well-formed. Comments, processing instructions and document types are skipped: no entity that a
document declares is expanded, and nothing is loaded.
"""

import codecs
import html
import itertools
import re
import time
import zlib
from collections.abc import Iterator
from html.entities import html5
from typing import NamedTuple

from miniature_memory.responses.coding import UnpackError, names_in, unpack

MAX_BYTES = 52_428_800  # of one file, packed and unpacked (sitemaps.org/protocol.html)
BLOCK_BYTES = 1 << 16
MAX_PACKED_BYTES = 5_000_000  # of one file, packed otherwise than with gzip
MAX_MEMBERS = 200  # of a gzip stream; each costs a copy of what follows it
MAX_TAG_BYTES = 1 << 14  # what is longer is text
BYTE_ORDER_MARKS = {codecs.BOM_UTF32_LE: "utf-32-le", codecs.BOM_UTF32_BE: "utf-32-be",
                    codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}  # the longer ones first


class CutOff(Exception):
    """The bytes end before the file does."""


# --- bytes ---------------------------------------------------------------------------------------


def utf8_blocks(pieces: Iterator[bytes], seconds: float, encoding: str = "") -> Iterator[bytes]:
    """A file in UTF-8, or in any encoding whose markup is ASCII, unpacked. Raises CutOff where it is cut off.

    seconds: after which nothing more is read: a small file may unpack to MAX_BYTES of tags. encoding: the
    Content-Encoding; for gzip, the bytes say it.
    """
    if set(names_in(encoding)) - {"gzip", "x-gzip"}:
        pieces = _unpacked_whole(pieces, encoding)
    packed_twice = _unpacked(_unpacked(pieces))  # a .gz file may be packed once more on its way
    blocks = _joined(_limited(packed_twice, seconds))
    first = next(blocks, b"")
    codec = _wide_codec(first)
    if not codec:
        yield first.removeprefix(codecs.BOM_UTF8)
        yield from blocks
        return
    decoder = codecs.getincrementaldecoder(codec)("replace")
    for block in itertools.chain([first], blocks):
        yield decoder.decode(block).removeprefix("\ufeff").encode("utf-8", "replace")


def _joined(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Pieces of any size as blocks of at least BLOCK_BYTES: what one byte at a time would make slow."""
    held: list[bytes] = []
    n, failure = 0, None
    try:
        for piece in pieces:
            held.append(piece)
            n += len(piece)
            if n >= BLOCK_BYTES:
                yield b"".join(held)
                held, n = [], 0
    except Exception as error:  # CutOff, or one of the network: what came before it counts
        failure = error
    yield b"".join(held)
    if failure:
        raise failure


def _limited(pieces: Iterator[bytes], seconds: float) -> Iterator[bytes]:
    left, deadline = MAX_BYTES, time.monotonic() + seconds
    for piece in pieces:
        yield piece[:left]
        left -= len(piece)
        if left <= 0 or time.monotonic() > deadline:
            raise CutOff


def _unpacked_whole(pieces: Iterator[bytes], encoding: str) -> Iterator[bytes]:
    """What br, zstd or deflate hold, which nobody has asked for: rare, so that it need not be flat in memory."""
    packed = bytearray()
    for piece in pieces:
        packed += piece[:MAX_PACKED_BYTES - len(packed)]
    try:
        yield unpack(bytes(packed), encoding, MAX_BYTES, truncate=True)
    except UnpackError:
        raise CutOff from None


def _unpacked(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """What gzip holds, as its first bytes say, not its name or the headers; anything else as it is."""
    blocks = _joined(pieces)
    first = next(blocks, b"")
    if not first.startswith(b"\x1f\x8b"):
        yield first
        yield from blocks
        return
    stream, members = zlib.decompressobj(zlib.MAX_WBITS | 16), 1
    for block in itertools.chain([first], blocks):
        while block:
            try:
                yield stream.decompress(block, BLOCK_BYTES)
            except zlib.error:
                if members > 1:
                    return  # garbage after a whole member is ignored, as in browsers
                raise CutOff from None
            block = stream.unused_data if stream.eof else stream.unconsumed_tail
            if stream.eof and block:
                stream, members = zlib.decompressobj(zlib.MAX_WBITS | 16), members + 1
            if members > MAX_MEMBERS:
                raise CutOff
    if not stream.eof:
        yield stream.flush()
        raise CutOff


def _wide_codec(first: bytes) -> str:
    """The codec of a file in UTF-16 or UTF-32 as its bytes show it, whatever it says of itself; '' for others."""
    for mark, codec in BYTE_ORDER_MARKS.items():
        if first.startswith(mark):
            return codec
    even, odd = first[0:64:2], first[1:64:2]
    if len(odd) < 2 or any(even) == any(odd):
        return ""
    return "utf-16-be" if any(odd) else "utf-16-le"


# --- tags and text -------------------------------------------------------------------------------

TEXT, START, END, DOCTYPE = range(4)


class Token(NamedTuple):
    kind: int
    value: bytes  # a text, or the name of a tag with its prefix
    attributes: bytes = b""  # of a start tag


_TAG = re.compile(rb"""<(/?)([A-Za-z_][\w.:-]{0,99}+)(?=[\s/>])((?:[^<>"']++|"[^"<]*+"|'[^'<]*+')*+|[^<>]*+)>""")
_DOCTYPE = re.compile(rb"<!doctype\s[^\[>]{0,999}+([\[>])", re.IGNORECASE)
_COMMENT_END, _CDATA_END, _SUBSET_END, _DECLARATION_END = (
    re.compile(end) for end in (rb"-->", rb"\]\]>", rb"\]\s{0,9}>", rb">"))
_LONGEST_END = 12
_LESS_THANS = re.compile(rb"<+(?=<)")  # but the last, which may begin a tag
_ATTRIBUTE = re.compile(
    rb"""(?<![^\s"'])([\w.:-]{1,60}+)\s{0,99}+=\s{0,99}+("[^"]*+"|'[^']*+'|[^\s"'>]++)""")


def tokens(blocks: Iterator[bytes]) -> Iterator[Token]:
    """The tags and the text of markup. A tag that is not closed is no tag; neither is a < in a text.

    Entities are left as they are; in a CDATA section, where & means itself, it is returned as &amp;.
    """
    data, at, until = b"", 0, None
    for block in itertools.chain(blocks, [b""]):
        data, at, is_last = data[at:] + block, 0, not block
        while at < len(data):
            if until:
                end = until.search(data, at)
                stop = end.start() if end else max(at, len(data) - _LONGEST_END)
                if until is _CDATA_END:
                    yield Token(TEXT, data[at:stop].replace(b"&", b"&amp;"))
                at = end.end() if end else stop
                if not end:
                    break
                until = None
            here = data.find(b"<", at)
            here = len(data) if here < 0 else here
            if here > at:
                yield Token(TEXT, data[at:here])
            at = here
            tag = _TAG.match(data, at)
            if tag:
                at = tag.end()
                yield Token(END, tag[2]) if tag[1] else Token(START, tag[2], tag[3])
            elif not is_last and len(data) - at < MAX_TAG_BYTES and data.find(b"<", at + 1) < 0:
                break  # the rest may come
            elif at < len(data):
                until, length = _skipped(data, at)
                if until is _SUBSET_END or until is _DECLARATION_END:
                    yield Token(DOCTYPE, data[at:at + length])
                elif not until:
                    yield Token(TEXT, data[at:at + length])
                at += length


def _skipped(data: bytes, at: int) -> tuple[re.Pattern[bytes] | None, int]:
    """What ends the piece of markup at `at` that is no tag, and how long its beginning is; None if it is a text."""
    if data[at + 1:at + 2] not in (b"!", b"?"):
        run = _LESS_THANS.match(data, at)
        return None, len(run[0]) if run else 1
    if data.startswith(b"<!--", at):
        return _COMMENT_END, 4
    if data.startswith(b"<![CDATA[", at):
        return _CDATA_END, 9
    if doctype := _DOCTYPE.match(data, at):
        return (_SUBSET_END, len(doctype[0])) if doctype[1] == b"[" else (_DECLARATION_END, len(doctype[0]) - 1)
    return _DECLARATION_END, 2


def attributes_of(tag: bytes) -> dict[str, bytes]:
    """The attributes of a start tag, by their names in lower case; of two with one name the first."""
    found: dict[str, bytes] = {}
    for name, value in _ATTRIBUTE.findall(tag):
        found.setdefault(name.decode("ascii").lower(), value[1:-1] if value[:1] in (b'"', b"'") else value)
    return found


_REFERENCE = re.compile(r"&(#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")


def unescaped(text: str) -> str:
    """`text` with its references decoded once, as HTML defines them. Without a semicolon, & is an ampersand."""
    def decoded(reference: re.Match[str]) -> str:
        known = reference[1].startswith("#") or f"{reference[1]};" in html5
        return html.unescape(reference[0]) if known else reference[0]
    return _REFERENCE.sub(decoded, text) if "&" in text else text
