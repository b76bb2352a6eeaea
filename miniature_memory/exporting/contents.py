"""What is in a bundle: its files by name, the manifest that comes first, and the stream that all of it is in.

A bundle is a tar archive, compressed as the name of its file says. Its first member is manifest.json; the files of the
root follow in the order of the manifest, and nothing else. What can be rebuilt is not among them: data/report.html,
data/meta.pkl, logs; nor are keys of search engines, which stay on their machine.
"""

import gzip
import json
import re
import shlex
import tarfile
from pathlib import Path
from typing import BinaryIO, NamedTuple

import zstandard

from miniature_memory.core.errors import ConfigError
from miniature_memory.core.paths import shown
from miniature_memory.storage.snapshot import CATALOG

MANIFEST = "manifest.json"
FORMAT, VERSION = "miniature-memory bundle", 1
ENDINGS = (".tar.zst", ".tar.gz")
ZSTD_LEVEL = 3  # zstd's own default
MOST_WINDOW = 8 << 20  # bytes of memory that a .zst file may ask for, as RFC 8878 recommends
MOST_FILES = 100_000  # guess: 6 TB of shards
MOST_MANIFEST_BYTES = 200 * MOST_FILES
FILES = re.compile(r"config/(?!keys\.toml$)[\w-]{1,60}\.(toml|txt)"
                   rf"|{re.escape(CATALOG)}"
                   r"|data/pages/\d{6}\.warc\.gz|data/(raw|clean)/\d{6}\.jsonl|data/(rejected|runs|samples)\.jsonl"
                   r"|data/(train|val|suffixes)\.bin|data/(bins|suffixes)\.json|data/tokenizer/(ranks\.tiktoken|meta\.json)"
                   r"|checkpoints/(ckpt|ckpt\.prev|release)\.pt|checkpoints/ckpt\.json|checkpoints/history/[\w-]{1,60}\.pt",
                   re.ASCII)


class Entry(NamedTuple):
    """A file of a bundle, as the manifest has it."""

    path: str  # relative to the root, with slashes
    n_bytes: int
    sha256: str


def is_ours(path: str) -> bool:
    """Whether this program keeps a file of this name in a root, and a bundle takes it along."""
    return FILES.fullmatch(path) is not None


def to_manifest(entries: list[Entry], release: str, made: str) -> bytes:
    content = {"format": FORMAT, "version": VERSION, "release": release, "made": made,
               "files": [entry._asdict() for entry in entries]}
    return json.dumps(content, indent=1).encode() + b"\n"


def from_manifest(data: bytes) -> list[Entry]:
    """Raises ValueError, with what is wrong, for a manifest of another form or with files that no bundle has."""
    try:
        content = json.loads(data)
        if content["format"] != FORMAT or content["version"] != VERSION:
            raise ValueError(f"its format is {str(content['format'])[:40]!r}, version {str(content['version'])[:9]}")
        entries = [Entry(**file) for file in content["files"]]
    except (KeyError, TypeError, RecursionError, UnicodeDecodeError, json.JSONDecodeError):
        raise ValueError("its manifest cannot be read") from None
    if len(entries) > MOST_FILES:
        raise ValueError(f"it lists {len(entries):,} files, more than {MOST_FILES:,}")
    for entry in entries:
        if not (isinstance(entry.path, str) and is_ours(entry.path)):
            raise ValueError(f"no bundle has a file {str(entry.path)[:80]!r}")
        if type(entry.n_bytes) is not int or entry.n_bytes < 0 or not re.fullmatch("[0-9a-f]{64}", str(entry.sha256)):
            raise ValueError(f"its manifest has no size or checksum of {entry.path}")
    if len({entry.path for entry in entries}) < len(entries):
        raise ValueError("its manifest lists a file twice")
    if CATALOG not in {entry.path for entry in entries}:
        raise ValueError(f"{CATALOG} is not in it")
    return entries


def ending_of(path: Path) -> str:
    """The one of ENDINGS that a bundle's name has. Raises ConfigError if it has none."""
    for ending in ENDINGS:
        if path.name.lower().endswith(ending) and len(path.name) > len(ending):
            return ending
    better = path.with_name(path.stem.lstrip(".") + ENDINGS[0])
    raise ConfigError(f"{shown(path)} does not end in {' or '.join(ENDINGS)}, by which the compression is chosen. "
                      f"Fix: name it {shlex.quote(shown(better))}, for example")


def compressed(stream: BinaryIO, ending: str) -> BinaryIO:
    """What is written to this comes compressed into `stream`, which stays open."""
    if ending == ".tar.gz":
        return gzip.GzipFile(fileobj=stream, mode="wb", compresslevel=6, mtime=0)  # type: ignore[return-value]
    writer: BinaryIO = zstandard.ZstdCompressor(ZSTD_LEVEL, write_checksum=True).stream_writer(stream, closefd=False)
    return writer


def expanded(stream: BinaryIO, ending: str) -> BinaryIO:
    if ending == ".tar.gz":
        return gzip.GzipFile(fileobj=stream)  # type: ignore[return-value]
    reader: BinaryIO = zstandard.ZstdDecompressor(max_window_size=MOST_WINDOW).stream_reader(stream)
    return reader


def member(path: str, n_bytes: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo(path)
    info.size, info.mode = n_bytes, 0o644
    return info
