"""python3 -m pytest tests/counting/test_suffixes.py"""

import errno
import json
from pathlib import Path

import numpy as np
import pytest

from miniature_memory.counting import suffixes as module
from miniature_memory.counting.suffixes import (
    DEPTH,
    load_suffixes,
    paths_of,
    plan_segments,
    sort_suffixes,
    update_suffixes,
)


@pytest.mark.parametrize("vocab_size", [9, 2048, 65_536])
def test_the_order_is_that_of_the_tokens_that_follow(vocab_size: int) -> None:
    text = np.random.default_rng(0).integers(0, 4, 3000).astype(np.uint16)
    text[::7] = vocab_size - 1
    order = sort_suffixes(text, vocab_size)
    assert sorted(order) == list(range(len(text)))
    stand = [tuple(text[p:p + DEPTH]) for p in order]
    assert stand == sorted(stand)


def test_an_empty_text_has_an_empty_order() -> None:
    assert len(sort_suffixes(np.empty(0, np.uint16), 9)) == 0


# --- its files -----------------------------------------------------------------------------------


def write_text(root: Path, n: int) -> None:
    (root / "data").mkdir(exist_ok=True)
    np.random.default_rng(1).integers(0, 300, 4000).astype("<u2")[:n].tofile(root / "data/train.bin")


def ends_of(root: Path) -> list[int]:
    return [end for end, *_ in json.loads(paths_of(root)[1].read_bytes())["segments"]]


def assert_sound(root: Path, n: int) -> None:
    suffixes = load_suffixes(root, 300)
    assert suffixes is not None and suffixes.bounds[-1] == len(suffixes.order) == n
    for first, last in zip(suffixes.bounds[:-1], suffixes.bounds[1:], strict=True):
        expected = sort_suffixes(np.asarray(suffixes.text[first:last]), 300) + first
        assert np.array_equal(suffixes.order[first:last], expected)


def test_new_text_is_sorted_without_the_old(tmp_path: Path) -> None:
    write_text(tmp_path, 3000)
    assert update_suffixes(tmp_path, 3000, 300) == 4 * 3000
    assert update_suffixes(tmp_path, 3000, 300) == 0
    write_text(tmp_path, 3500)
    assert update_suffixes(tmp_path, 3500, 300) == 4 * 500
    assert ends_of(tmp_path) == [3000, 3500]
    assert_sound(tmp_path, 3500)


def test_who_has_mapped_an_array_reads_on_while_another_takes_its_place(tmp_path: Path) -> None:
    write_text(tmp_path, 3000)
    update_suffixes(tmp_path, 2000, 300)
    update_suffixes(tmp_path, 3000, 300)
    suffixes = load_suffixes(tmp_path, 300)
    assert suffixes
    before = suffixes.order.copy()
    np.random.default_rng(2).integers(0, 300, 100).astype("<u2").tofile(tmp_path / "data/rebuilt.bin")
    (tmp_path / "data/rebuilt.bin").replace(tmp_path / "data/train.bin")
    update_suffixes(tmp_path, 100, 300)
    assert np.array_equal(suffixes.order, before) and len(suffixes.order) == 3000
    assert {path.name for path in (tmp_path / "data").iterdir()} == {"train.bin", "suffixes.bin", "suffixes.json"}
    assert_sound(tmp_path, 100)


def test_segments_stay_few_and_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SEGMENT_TOKENS", 1000)
    ends: list[int] = []
    sorted_tokens = 0
    for n in range(10, 10_000, 10):
        before, ends = ends, plan_segments(ends, n)
        kept = [a for a, b in zip(before, ends, strict=False) if a == b]
        sorted_tokens += n - (kept[-1] if kept else 0)
        sizes = np.diff([0, *ends])
        assert sizes.min() > 0 and sizes.max() <= 1000 and ends[-1] == n
        assert len(ends) <= 2 * n / 1000 + 9
    assert sorted_tokens < 10 * 10_000


@pytest.mark.parametrize("harm", ["array", "text", "contents", "short", "gone"])
def test_what_is_damaged_is_sorted_again(tmp_path: Path, harm: str) -> None:
    write_text(tmp_path, 3500)
    update_suffixes(tmp_path, 3000, 300)
    update_suffixes(tmp_path, 3500, 300)
    array, contents = paths_of(tmp_path)
    if harm == "array":
        content = bytearray(array.read_bytes())
        content[4 * 3200] ^= 1
        array.write_bytes(content)
    elif harm == "text":  # bins that were rebuilt
        np.random.default_rng(2).integers(0, 300, 3500).astype("<u2").tofile(tmp_path / "data/train.bin")
    elif harm == "contents":
        contents.write_text('{"segments": [[3000, "x", null], 7]}')
    elif harm == "short":
        array.write_bytes(array.read_bytes()[:5000])
    else:
        array.unlink()
    n_bytes = update_suffixes(tmp_path, 3500, 300)
    assert n_bytes == (4 * 500 if harm == "array" else 4 * 3500)
    assert_sound(tmp_path, 3500)


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"segments": 3}', b'{"segments": [[-5, 1, 1]]}',
                                     b'{"segments": [[99999999999999, 1, 1]]}'])
def test_contents_that_cannot_be_used_are_no_array(tmp_path: Path, content: bytes) -> None:
    write_text(tmp_path, 100)
    update_suffixes(tmp_path, 100, 300)
    paths_of(tmp_path)[1].write_bytes(content)
    assert load_suffixes(tmp_path, 300) is None


def test_places_and_tokens_out_of_range_are_no_array(tmp_path: Path) -> None:
    write_text(tmp_path, 100)
    update_suffixes(tmp_path, 100, 300)
    assert load_suffixes(tmp_path, 200) is None
    order = np.fromfile(paths_of(tmp_path)[0], "<u4")
    order[7] = 100
    order.tofile(paths_of(tmp_path)[0])
    assert load_suffixes(tmp_path, 300) is None


@pytest.mark.parametrize("n", [0, 3000])  # sorted before
def test_a_full_disk_is_told_as_one(tmp_path: Path, n: int) -> None:
    if n:
        write_text(tmp_path, n)
        update_suffixes(tmp_path, n, 300)
    write_text(tmp_path, n + 500)
    aside = tmp_path / "data/suffixes.bin.tmp"
    aside.symlink_to("/dev/full")
    with pytest.raises(OSError) as error:
        update_suffixes(tmp_path, n + 500, 300)
    assert (error.value.errno, error.value.filename) == (errno.ENOSPC, str(aside))
