"""Small files written as a whole, lines appended, checksums."""

import contextlib
import errno
import itertools
import json
import logging
import os
import shutil
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from miniature_memory.core.errors import naming
from miniature_memory.core.paths import fsync_folder, make_folder

logger = logging.getLogger(__name__)

QUERIES, SEEDS = "config/queries.txt", "config/seeds.txt"
CHUNK_BYTES = 1 << 20  # read at once of a file of any length


def crc32_of(path: Path, offset: int, length: int) -> int:
    """CRC-32 of a part of a file, or of as much of it as there is."""
    crc = 0
    with open(path, "rb") as stream:
        stream.seek(offset)
        while length and (chunk := stream.read(min(length, CHUNK_BYTES))):
            crc = zlib.crc32(chunk, crc)
            length -= len(chunk)
    return crc


def zip_fault(path: Path) -> str:
    """What the CRC-32 of its entries shows to be wrong with a ZIP file that is not compressed, such as a checkpoint of
    torch; "" if nothing is. torch itself does not look at them. Raises OSError for a file that cannot be read."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            if any(entry.compress_type for entry in entries) or sum(
                    entry.file_size for entry in entries) > path.stat().st_size:
                return "its entries are not stored as they are"  # and might be larger than the file
            return "its checksums are wrong" if archive.testzip() else ""
    except (zipfile.BadZipFile, ValueError, RuntimeError, EOFError, LookupError, ArithmeticError,
            struct.error) as error:
        cause = error.__context__  # zipfile takes an error of the disk for the file's; EINVAL: of a wrong offset in it
        if isinstance(cause, OSError) and cause.errno != errno.EINVAL:
            raise cause from None
        return "its table of contents cannot be read"


def remove(path: Path) -> None:
    """Remove a file, or a folder with all that is in it, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    elif os.path.lexists(path):
        path.unlink()
    else:
        return
    fsync_folder(path.parent)


def free_name(path: Path) -> Path:
    """`path`, or with the first number after it that is not taken."""
    names = (path if n == 0 else path.with_name(f"{path.name}.{n}") for n in itertools.count())
    return next(name for name in names if not name.exists())


def write_aside(path: Path, data: bytes | Iterable[bytes]) -> None:
    """Write a derived file as a whole, from its content or the pieces of it: aside, fsync, rename."""
    make_folder(path.parent)
    aside = path.with_name(path.name + ".tmp")
    try:
        with naming(path), open(aside, "wb") as stream:
            stream.writelines([data] if isinstance(data, bytes) else data)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(aside, path)
    except OSError:
        with contextlib.suppress(OSError):
            aside.unlink()
        raise
    fsync_folder(path.parent)


def is_blank(path: Path) -> bool:
    """Whether a file is missing or holds nothing, as a power cut may leave one that was just written."""
    return not path.exists() or not path.read_bytes().strip(b"\0 \r\n")


def append_line(path: Path, line: str) -> None:
    """Append one line to a file that no cursor follows (the run history), fixing a torn last line first."""
    with naming(path), open(path, "ab+") as stream:
        is_new = not stream.tell()
        if not is_new:
            stream.seek(-1, os.SEEK_END)
            if stream.read(1) != b"\n":
                stream.write(b"\n")
        stream.write(line.encode() + b"\n")
        stream.flush()
        os.fsync(stream.fileno())
    if is_new:
        fsync_folder(path.parent)


def read_list(path: Path) -> list[str]:
    """The lines of a list in config/, such as queries.txt, without comments; none if it cannot be read."""
    with contextlib.suppress(OSError, ValueError):
        lines = path.read_text(encoding="utf-8-sig").splitlines()
        return [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    return []


def read_lines(path: Path, last_bytes: int) -> Iterator[dict[str, Any]]:
    """The JSON objects in the last bytes of such a file, a line each; {} for a damaged one. No file is an empty one."""
    try:
        with open(path, "rb") as stream:
            first = stream.seek(0, os.SEEK_END) - last_bytes
            stream.seek(max(0, first))
            if first > 0:
                stream.readline()  # its beginning comes before
            for line in stream:
                try:
                    value = json.loads(line)
                except (ValueError, RecursionError):
                    value = None
                yield value if isinstance(value, dict) else {}
    except OSError as error:
        if not isinstance(error, FileNotFoundError):
            logger.warning("%s cannot be read (%s)", path, error.strerror)
