"""Suffix array: the positions of the training text in the order of the tokens that follow, so that all places
where an n-gram stands are one range (Manber and Myers 1993; infini-gram, arXiv 2401.17377).

The text is cut into segments, each sorted on its own: new text is sorted without the old, in bounded memory, and a
count is the sum over the segments. Small ones are merged as the text grows. All of it derives from data/train.bin.
"""

import json
import mmap
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from miniature_memory.core.errors import naming
from miniature_memory.core.paths import fsync_folder
from miniature_memory.storage.files import crc32_of, write_aside

DEPTH = 8  # tokens, at least, that the order respects
SEGMENT_TOKENS = 1 << 22  # of a segment at most: some 40 bytes each while it is sorted
MERGE_RATIO = 2  # a segment is merged with the next one if it is not more than so many times as long
MOST_TOKENS = 1 << 26  # of the text that are counted, its first: 268 MB
CHUNK = 1 << 20  # numbers read at once


class Suffixes(NamedTuple):
    """The positions of segment s are order[bounds[s]:bounds[s + 1]]; its text ends at ends[s], and so does each suffix
    that begins in it."""

    text: np.ndarray  # uint16 (tokens,)
    order: np.ndarray  # uint32 (tokens,)
    bounds: np.ndarray  # int64 (segments + 1,)
    ends: np.ndarray  # int64 (segments,)

    def without(self, ranges: np.ndarray) -> "Suffixes":
        """The same but for the positions in `ranges`, int64 (n, 2)."""
        stays = np.ones(len(self.text), bool)
        for first, last in ranges:
            stays[first:last] = False
        order, bounds = np.empty(len(self.order), np.uint32), [0]
        for part, *_ in self.segments():
            kept = part[stays[part]]
            bounds.append(bounds[-1] + len(kept))
            order[bounds[-2]:bounds[-1]] = kept
        return Suffixes(self.text, order[:bounds[-1]], np.array(bounds), self.ends)

    def segments(self) -> Iterator[tuple[np.ndarray, int, int]]:
        """Of each segment its part of the array, and where its text begins and ends. Pages of maps that were read for
        one are given back before the next: they would count as our memory, and soon be all of both files."""
        begin = 0
        for s, end in enumerate(self.ends.tolist()):
            yield self.order[self.bounds[s]:self.bounds[s + 1]], begin, end
            begin = end
            for array in (self.text, self.order):
                base: object = array
                while isinstance(base, np.ndarray):
                    base = base.base
                if isinstance(base, mmap.mmap):
                    base.madvise(mmap.MADV_DONTNEED)


def sort_suffixes(text: np.ndarray, vocab_size: int) -> np.ndarray:
    """The positions of `text` in the order of the DEPTH or more tokens that stand there; a shorter one is lower."""
    n, bits = len(text), int(vocab_size).bit_length()
    depth = 64 // bits
    padded = np.zeros(n + depth, np.uint32)
    padded[:n] = text + np.uint32(1)  # 0: behind the end
    keys = np.zeros(n, np.uint64)
    for i in range(depth):
        keys <<= np.uint64(bits)
        keys |= padded[i:i + n]
    order = np.argsort(keys, kind="stable").astype(np.uint32)
    while depth < DEPTH:  # prefix doubling
        keys = keys[order]
        rank = np.zeros(n + depth, np.uint32)
        rank[order] = np.cumsum(np.concatenate(([True], keys[1:] != keys[:-1])), dtype=np.uint32)
        keys = rank[:n].astype(np.uint64) << np.uint64(32) | rank[depth:]
        order = np.argsort(keys, kind="stable").astype(np.uint32)
        depth *= 2
    return order


# --- its files -----------------------------------------------------------------------------------


def paths_of(root: Path) -> tuple[Path, Path]:
    """The array, little-endian uint32, and what is in it."""
    return root / "data/suffixes.bin", root / "data/suffixes.json"


def update_suffixes(root: Path, n_tokens: int, vocab_size: int) -> int:
    """Let the files cover the first n_tokens of train.bin. Segments that are missing, damaged or of another text
    are sorted again. Returns the bytes written."""
    array, contents = paths_of(root)
    segments = whole_segments(root, n_tokens)
    ends = [end for end, *_ in segments]
    wanted = plan_segments(ends, n_tokens)
    keep = sum(own == other for own, other in zip(ends, wanted, strict=False))
    if keep == len(wanted) and keep == len(ends):
        return 0
    segments = segments[:keep]
    write_contents(contents, segments)
    n_bytes, first, aside = 0, segments[-1][0] if segments else 0, array.with_name(array.name + ".tmp")
    with naming(aside), open(aside, "wb") as stream:  # whoever has mapped the old one may go on reading it
        for begin in range(0, first, CHUNK):
            stream.write(np.fromfile(array, "<u4", min(CHUNK, first - begin), offset=4 * begin).data)
        for end in wanted[keep:]:
            text = np.fromfile(root / "data/train.bin", "<u2", end - first, offset=2 * first)
            order = (sort_suffixes(text, vocab_size) + np.uint32(first)).astype("<u4", copy=False)
            stream.write(order.data)  # tofile() would not say why the disk took no more
            segments.append([end, zlib.crc32(text.data), zlib.crc32(order.data)])
            first, n_bytes = end, n_bytes + order.nbytes
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(aside, array)
    fsync_folder(array.parent)
    write_contents(contents, segments)
    return n_bytes


def plan_segments(ends: list[int], n_tokens: int) -> list[int]:
    """Where the segments end that cover n_tokens, when those that end at `ends` are there."""
    ends = [end for end in ends if end <= n_tokens]
    while (ends[-1] if ends else 0) < n_tokens:
        ends.append(min(n_tokens, (ends[-1] if ends else 0) + SEGMENT_TOKENS))
    while len(ends) > 1:
        first, middle, last = ends[-3] if len(ends) > 2 else 0, ends[-2], ends[-1]
        if middle - first > MERGE_RATIO * (last - middle) or last - first > SEGMENT_TOKENS:
            break
        del ends[-2]
    return ends


def whole_segments(root: Path, n_tokens: int) -> list[list[int]]:
    """[end, checksum of its text, checksum of its part of the array] of the first segments that are whole. Read, not
    mapped: pages of a map count as our memory."""
    array, contents = paths_of(root)
    whole: list[list[int]] = []
    first = 0
    try:
        found = json.loads(contents.read_bytes())["segments"]
        last = min(n_tokens, array.stat().st_size // 4)
        for segment in found if isinstance(found, list) else []:
            match segment:
                case [int(end), int(text_crc), int(order_crc)] if first < end <= last:
                    if (crc32_of(root / "data/train.bin", 2 * first, 2 * (end - first)) != text_crc
                            or crc32_of(array, 4 * first, 4 * (end - first)) != order_crc):
                        break
                    whole.append([end, text_crc, order_crc])
                    first = end
                case _:
                    break
    except (OSError, ValueError, LookupError, TypeError):
        pass
    return whole


def write_contents(path: Path, segments: list[list[int]]) -> None:
    write_aside(path, json.dumps({"segments": segments}).encode() + b"\n")


def load_suffixes(root: Path, vocab_size: int) -> Suffixes | None:
    """The array and its part of train.bin, memory-mapped; None if there is none, or none that can be used."""
    array, contents = paths_of(root)
    try:
        bounds = np.array([0, *(end for end, *_ in json.loads(contents.read_bytes())["segments"])], np.int64)
        # Mode "c": never written, and to the compiled loops of the same type as an array in memory
        text = np.memmap(root / "data/train.bin", dtype="<u2", mode="c", shape=(int(bounds[-1]),))
        order = np.memmap(array, dtype="<u4", mode="c", shape=(int(bounds[-1]),))
    except (OSError, ValueError, LookupError, TypeError, OverflowError):
        return None
    # The compiled loops do not check what they look up
    if ((np.diff(bounds) <= 0).any() or highest(root / "data/train.bin", "<u2", len(text)) >= vocab_size
            or highest(array, "<u4", len(text)) >= len(text)):
        return None
    return Suffixes(text.view(np.ndarray), order.view(np.ndarray), bounds, bounds[1:])


def highest(path: Path, dtype: str, n: int) -> int:
    """The highest of the first n numbers of a file. Read, not mapped, as whole_segments() does."""
    with open(path, "rb") as stream:
        return max(int(np.fromfile(stream, dtype, min(CHUNK, n - first)).max()) for first in range(0, n, CHUNK))


def is_whole(root: Path, suffixes: Suffixes) -> bool:
    """Whether the array is that of train.bin as it is now; after a rebuild it is not, until train has sorted again."""
    return len(whole_segments(root, len(suffixes.text))) == len(suffixes.ends)
