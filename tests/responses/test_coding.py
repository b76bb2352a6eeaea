"""Content codings on the wire.   .venv/bin/python -m pytest tests/responses/test_coding.py"""

import gzip
import zlib

import brotli
import pytest
import zstandard

from miniature_memory.responses.coding import UnpackError, unpack

TEXT = b"<!DOCTYPE html><p>" + b"A line of text. " * 500
BARE = zlib.compress(TEXT)[2:-4]
GZIP, BROTLI, ZSTD = gzip.compress(TEXT), brotli.compress(TEXT), zstandard.compress(TEXT)


@pytest.mark.parametrize("payload, encoding", [
    (TEXT, ""), (TEXT, "identity"), (GZIP, "gzip"), (GZIP, " X-GZIP"), (zlib.compress(TEXT), "deflate"),
    (BARE, "deflate"), (BROTLI, "br"), (ZSTD, "zstd"), (gzip.compress(GZIP), "gzip, gzip"),
    (brotli.compress(GZIP), "gzip, br"), (ZSTD + zstandard.compress(b""), "zstd"),
    (zstandard.compress(TEXT[:99]) + zstandard.compress(TEXT[99:]), "zstd"),
    (b"\x50\x2a\x4d\x18\2\0\0\0hi" + ZSTD, "zstd"), (GZIP, "gzip;q=1"), (BROTLI, "Br; x"),
    (GZIP + b"\0\0rest", "gzip")])
def test_what_is_packed_as_it_says(payload, encoding):
    assert unpack(payload, encoding, 10**6) == TEXT


@pytest.mark.parametrize("payload, encoding", [
    *((TEXT, name) for name in ("none", "utf-8", "UTF-8", "gzip", "deflate", "br", "zstd", "gzip, gzip", ",")),
    (GZIP, ""), (GZIP, "none"), (GZIP, "br"), (GZIP, "gzip, gzip"), (gzip.compress(GZIP), "gzip"), (ZSTD, ""),
    (zlib.compress(TEXT), "gzip"), (BARE, "gzip"), (GZIP, '"gzip"'), (GZIP, "identity, gzip")])
def test_what_is_packed_otherwise_than_it_says(payload, encoding):
    assert unpack(payload, encoding, 10**6) == TEXT


def test_several_members_are_one_body():
    assert unpack(gzip.compress(b"one ") + gzip.compress(b"two"), "gzip", 10**6) == b"one two"


@pytest.mark.parametrize("payload, encoding", [
    (GZIP[:-9], "gzip"), (BROTLI[:-9], "br"), (zlib.compress(TEXT)[:-9], "deflate"), (b"\0\1\2\3" * 99, "br"),
    (ZSTD[:-1], "zstd"),
    (ZSTD + ZSTD[:-9], ""), (ZSTD[:9], "zstd"), (b"\0\1\2\3" * 99, "zstd"), (b"\xff\0\1\2" * 99, "gzip")])
def test_what_is_damaged_is_a_reason(payload, encoding):
    with pytest.raises(UnpackError) as caught:
        unpack(payload, encoding, 10**6)
    assert caught.value.reason == "bad_encoding"


@pytest.mark.parametrize("payload, encoding", [(GZIP, "gzip"), (BROTLI, "br"), (ZSTD, "zstd"), (BARE, "deflate")])
def test_no_more_is_unpacked_than_the_limit(payload, encoding):
    with pytest.raises(UnpackError) as caught:
        unpack(payload, encoding, 100)
    assert caught.value.reason == "too_big"
    assert unpack(payload, encoding, 100, truncate=True) == TEXT[:100]
    assert unpack(payload, encoding, len(TEXT)) == TEXT
    assert TEXT.startswith(unpack(payload[:len(payload) // 2], encoding, 10**6, truncate=True))


def test_a_limit_on_what_is_unpacked_is_none_on_what_is_not_packed():
    assert unpack(TEXT, "", 10) == TEXT and unpack(b"", "gzip", 10) == b""


def test_a_window_that_would_fill_the_memory_is_refused():
    parameters = zstandard.ZstdCompressionParameters(window_log=27, enable_ldm=True)
    payload = zstandard.ZstdCompressor(compression_params=parameters).compressobj().compress(bytes(1 << 25))
    with pytest.raises(UnpackError):
        unpack(payload, "zstd", 10**6)
