"""Coding: unpacks what came over the wire, whatever its Content-Encoding header says. Pure.

Nothing is unpacked beyond a limit, so that a bomb of a few kilobytes takes no more memory than an honest page.
"""

import zlib
from collections.abc import Callable

import brotli
import zstandard

from miniature_memory.responses.media_type import BINARY

MAX_MEMBERS = 200  # of a gzip stream; each costs a copy of what follows it
MAX_CODINGS = 3  # one within the other
ZSTD_WINDOW_BYTES = 1 << 23  # RFC 9659: more than that must not be sent
ZSTD_STEP_BYTES = 256  # unpacked at once: to 8 MB at most, since four bytes can stand for 128 KB (RFC 8878, 3.1.1.2)
_GZIP, _ZSTD = b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd"


class UnpackError(Exception):
    """`reason`: bad_encoding, or too_big for more than the limit."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def unpack(payload: bytes, encoding: str, max_bytes: int, truncate: bool = False) -> bytes:
    """The body of a payload with this Content-Encoding; at most max_bytes are unpacked.

    The payload itself has the last word: a coding that does not exist (none, utf-8) is none, text that is said to be
    packed is text, and gzip or Zstandard that nobody has announced, or within another gzip, is unpacked all the same.
    truncate: the beginning is enough, of what is too long as of what is cut short. Raises UnpackError.
    """
    codings = [CODINGS[name] for name in names_in(encoding)][-MAX_CODINGS:]
    for _ in range(MAX_CODINGS):
        coding = codings.pop() if codings else None
        if payload.startswith(_GZIP):
            coding = _inflate
        elif payload.startswith(_ZSTD):
            coding = _zstd
        if not coding or not payload:
            break
        try:
            payload = coding(payload, max_bytes, truncate)
        except UnpackError as error:
            if error.reason == "bad_encoding" and not BINARY.search(payload[:512]):
                break  # it was not packed at all
            raise
    return payload


def names_in(encoding: str) -> list[str]:
    """The codings that a Content-Encoding names, in the order in which they were applied; only those that exist."""
    names = (name.partition(";")[0].strip(" \t\"'").lower() for name in encoding.split(","))
    return [name for name in names if name in CODINGS]


def _inflate(payload: bytes, max_bytes: int, truncate: bool) -> bytes:
    """gzip, perhaps of several members, or deflate: with the header of zlib or, as some servers send it, without."""
    bare = not payload.startswith(_GZIP) and (payload[0] & 0x0F != 8 or int.from_bytes(payload[:2], "big") % 31 != 0)
    body, members = b"", 0
    while payload:
        stream = zlib.decompressobj(-zlib.MAX_WBITS if bare else zlib.MAX_WBITS | 32)  # 32: gzip or zlib, as found
        try:
            body += stream.decompress(payload, max_bytes + 1 - len(body))
        except zlib.error:
            if body:
                return body  # garbage after a whole member is ignored, as in browsers
            raise UnpackError("bad_encoding") from None
        if len(body) > max_bytes:
            return _cut(body, max_bytes, truncate)
        members += 1
        if members == MAX_MEMBERS or not (stream.eof or truncate):
            raise UnpackError("bad_encoding")
        payload = stream.unused_data
    return body


def _brotli(payload: bytes, max_bytes: int, truncate: bool) -> bytes:
    stream = brotli.Decompressor()
    body = bytearray()
    try:
        while len(body) <= max_bytes and not stream.is_finished():
            piece = stream.process(payload, output_buffer_limit=max_bytes + 1 - len(body))
            payload = b""
            body += piece
            if not piece and stream.can_accept_more_data():
                break
    except brotli.error:
        raise UnpackError("bad_encoding") from None
    if not (stream.is_finished() or truncate or len(body) > max_bytes):
        raise UnpackError("bad_encoding")
    return _cut(bytes(body), max_bytes, truncate)


def _zstd(payload: bytes, max_bytes: int, truncate: bool) -> bytes:
    unpacker = zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW_BYTES)
    frame, body, at = unpacker.decompressobj(), bytearray(), 0
    try:
        while at < len(payload) and len(body) <= max_bytes:
            if frame.eof:
                frame = unpacker.decompressobj()
            step = payload[at:at + ZSTD_STEP_BYTES]
            body += frame.decompress(step)
            at += len(step) - len(frame.unused_data)
    except zstandard.ZstdError:
        if not (body and truncate):
            raise UnpackError("bad_encoding") from None
    if not (frame.eof or truncate or len(body) > max_bytes):
        raise UnpackError("bad_encoding")
    return _cut(bytes(body), max_bytes, truncate)


def _cut(body: bytes, max_bytes: int, truncate: bool) -> bytes:
    if len(body) > max_bytes and not truncate:
        raise UnpackError("too_big")
    return body[:max_bytes]


Coding = Callable[[bytes, int, bool], bytes]
CODINGS: dict[str, Coding] = {"gzip": _inflate, "x-gzip": _inflate, "deflate": _inflate, "br": _brotli, "zstd": _zstd}
