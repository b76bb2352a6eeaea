"""Purge: what was forgotten leaves the disk. Each file of raw and pages that holds some of it is written again next to
the old one and swapped in, so that a kill leaves the one or the other.

Raw files become shorter. WARC files keep their length, since documents name places in them: where a record was is a
gzip member as long, with an empty record and a comment of spaces.
"""

import logging
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from miniature_memory.core.paths import shown
from miniature_memory.core.text import timestamp
from miniature_memory.storage import forgotten, records, rewriting
from miniature_memory.storage.catalog import Catalog
from miniature_memory.storage.files import CHUNK_BYTES
from miniature_memory.storage.forgotten import PAYLOAD, Forgotten

logger = logging.getLogger(__name__)

HEAD_BYTES = 16_384  # of a record: more than its own header fields
EMPTY = ("WARC/1.1\r\nWARC-Type: metadata\r\nWARC-Record-ID: <urn:uuid:00000000-0000-0000-0000-000000000000>\r\n"
         "WARC-Date: {}\r\nContent-Length: 0\r\n\r\n\r\n\r\n")


class Purged(NamedTuple):
    files: int
    n_bytes: int  # that were forgotten in them


class Member(NamedTuple):
    """A record in a WARC file."""

    offset: int
    end: int
    fields: dict[str, str]


def purge(catalog: Catalog) -> Purged:
    """Remove what was forgotten from raw, pages and the catalog's free space. Reads every WARC file once."""
    gaps = [path for table in ("documents", "clean_documents") for path in rewriting.files_with_gaps(catalog, table)]
    n_files = n_bytes = 0
    for path in gaps:
        before, file = catalog.length(path), rewriting.without_rows(catalog, path)
        with catalog.record():
            rewriting.take(catalog, [file])
        catalog.finish_swap()
        n_files, n_bytes = n_files + 1, n_bytes + before - catalog.length(path)
    gone, now = forgotten.load(catalog), timestamp()
    archives = [path for path, _ in records.files(catalog) if records.table_of(path) == "pages"]
    for path in archives if gone.entries else ():
        if found := [member for member in members(catalog.root / path) if is_forgotten(member, gone)]:
            empty_members(catalog, path, found, now)
            n_files, n_bytes = n_files + 1, n_bytes + sum(member.end - member.offset for member in found)
    forgotten.clear_free_space(catalog)
    return Purged(n_files, n_bytes)


def empty_members(catalog: Catalog, path: str, found: list[Member], now: str) -> None:
    """Write empty records in the place of some. Rows that name one go: a known payload has come from elsewhere."""
    file = rewriting.with_parts(catalog, path, {member.offset: empty_member(member.end - member.offset, now)
                                                for member in found})
    with catalog.record():
        for member in found:
            rows = records.touching(path, member.offset, member.end)
            for table in ("pages", "shells"):
                records.delete(catalog, rows._replace(table=table))
        rewriting.take(catalog, [file])
    catalog.finish_swap()


def members(path: Path) -> Iterator[Member]:
    """The records of a WARC file with one gzip member each, up to one that is damaged, of which a warning tells."""
    with open(path, "rb") as stream:
        chunk, end = stream.read(CHUNK_BYTES), 0
        while chunk:
            begin, head, unpacker = end, b"", zlib.decompressobj(wbits=31)
            while chunk and not unpacker.eof:
                try:
                    unpacked = unpacker.decompress(chunk)
                except zlib.error as error:
                    logger.warning("%s, byte %d: no record can be read from there on (%s), so what was forgotten may "
                                   "still be there. Fix: put the file back from a copy, then purge again.", shown(path),
                                   begin, error)
                    return
                head += unpacked[:max(0, HEAD_BYTES - len(head))]
                end += len(chunk) - len(unpacker.unused_data)
                chunk = unpacker.unused_data or stream.read(CHUNK_BYTES)
            lines = head.partition(b"\r\n\r\n")[0].decode(errors="replace").split("\r\n")[1:]
            yield Member(begin, end, {name.lower(): value.strip() for name, _, value in
                                      (line.partition(":") for line in lines)})


def is_forgotten(member: Member, gone: Forgotten) -> bool:
    """Whether a record is of a forgotten address, refers to one, or has a forgotten payload."""
    urls = (member.fields.get(name, "").strip("<>") for name in ("warc-target-uri", "warc-refers-to-target-uri"))
    payload = PAYLOAD, forgotten.hash_of(member.fields.get("warc-payload-digest", ""))
    return payload in gone.entries or any(url and url in gone for url in urls)


def empty_member(n_bytes: int, at: str) -> bytes:
    """A gzip member of exactly `n_bytes`, with a WARC record that holds nothing. RFC 1952; flag 16: there is a comment,
    which fills it up."""
    record = EMPTY.format(at).encode()
    packer = zlib.compressobj(9, wbits=-15)
    packed = packer.compress(record) + packer.flush()
    head, tail = b"\x1f\x8b\x08\x10" + bytes(5) + b"\xff", struct.pack("<II", zlib.crc32(record), len(record))
    n_spaces = n_bytes - len(head) - 1 - len(packed) - len(tail)
    assert n_spaces >= 0, "no record of ours is so short"
    return head + b" " * n_spaces + b"\0" + packed + tail
