"""Contents: what is wrong with one clean document or one page. Pure, but for reading a file."""

import contextlib
import io
import json
import sqlite3
import zlib
from pathlib import Path

from warcio.archiveiterator import ArchiveIterator
from warcio.exceptions import ArchiveLoadFailed
from warcio.statusandheaders import StatusAndHeadersParserException

from miniature_memory.storage.files import CHUNK_BYTES
from miniature_memory.validation.checksums import Span

MAX_RECORD_BYTES = 1 << 28  # of a page, unpacked: damage may look like a bomb. Guess: fifty times web.max_bytes


def clean_fault(line: bytes, row: sqlite3.Row) -> tuple[str, str]:
    """(text, what is wrong with the line of a clean document)."""
    try:
        document = json.loads(line.decode("utf-8"))
        found, text = document["id"], document["text"]
        n_bytes = len(text.encode())
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        return "", f"{type(error).__name__}: no document in JSON"
    if found != row["id"]:
        return text, "another id"
    return text, "" if n_bytes == row["text_bytes"] else f"a text of {n_bytes} bytes, not {row['text_bytes']}"


def page_fault(member: bytes, url: str) -> str:
    """What is wrong with the gzip member of a page's WARC record; or ""."""
    try:
        unpacker = zlib.decompressobj(wbits=31)
        record_bytes = unpacker.decompress(member, MAX_RECORD_BYTES)  # zlib checks the CRC-32 at its end
        if not unpacker.eof or unpacker.unused_data:
            return "not just one gzip member"
        for record in ArchiveIterator(io.BytesIO(record_bytes), check_digests=True):
            record.raw_stream.read()
            if record.digest_checker.passed is False:
                return str(record.digest_checker.problems[0])[:100]
            found = record.rec_headers.get_header("WARC-Target-URI")
            return "" if found == url else "another URL"
    except (zlib.error, ArchiveLoadFailed, StatusAndHeadersParserException, ValueError, EOFError) as error:
        return str(error)[:100]
    return "no WARC record"


def first_bad_member(path: Path, span: Span) -> int:
    """Where the first gzip member of a span begins that is not whole; the span's beginning if all are."""
    begin = at = span.offset
    unpacker = zlib.decompressobj(wbits=31)
    with open(path, "rb") as stream, contextlib.suppress(zlib.error, OSError):
        stream.seek(at)
        while chunk := stream.read(min(CHUNK_BYTES, span.end - at)):
            at += len(chunk)
            while chunk:
                unpacker.decompress(chunk, CHUNK_BYTES)
                ended, chunk = unpacker.eof, unpacker.unused_data or unpacker.unconsumed_tail
                if ended:
                    begin, unpacker = at - len(chunk), zlib.decompressobj(wbits=31)
        return begin if begin < span.end else span.offset
    return begin
