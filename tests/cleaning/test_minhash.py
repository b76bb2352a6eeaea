"""python3 -m pytest tests/cleaning/test_minhash.py"""

import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from miniature_memory.cleaning import minhash
from miniature_memory.cleaning.minhash import BANDS, Index, keys_of, normalized_words, shingles
from miniature_memory.storage import clean_documents, duplicates
from miniature_memory.storage.catalog import Catalog
from miniature_memory.storage.record_reader import Place


def prose(seed: int, n_words: int = 300) -> list[str]:
    rng = random.Random(seed)
    return ["".join(rng.choices("abcdefgh", k=5)) for _ in range(n_words)]


def shared(a: str, b: str) -> int:
    return int(np.count_nonzero(keys_of(a) == keys_of(b)))


def test_case_punctuation_and_accents_do_not_matter_and_numbers_do() -> None:
    assert normalized_words("Café, No. 1,234: THE end—or 7.5?") == ["cafe", "no", "1c234", "the", "end", "or", "7p5"]
    assert shared("The ship, the SHIP! It sails at 9.", "the ship  the ship it sails at 9") == 1 + BANDS
    assert shared("the ship lies in the harbour", "the shop lies in the harbour") == 0


@pytest.mark.parametrize(("a", "b"), [
    ("2 + 2 = 4", "2 - 2 = 0"), ("7*6", "7/6"), ("x ≠ y", "x = y"), ("3 × 4", "3 ÷ 4"), ("3.5", "35"),
    ("a < b", "a > b"), ("It was −5 there", "It was 5 there"), ("1910 | 430", "1910 | 431")])
def test_texts_that_differ_in_numbers_or_operators_differ(a: str, b: str) -> None:
    assert normalized_words(a) != normalized_words(b)


def test_pages_of_sums_and_tables_are_no_near_duplicates() -> None:
    def page(of: int, sign: str) -> str:
        return "\n".join(f"The sum of the day, number {n}: {n * of} {sign} {n + of} is there." for n in range(20))

    assert shared(page(3, "+"), page(5, "+")) == 0 and shared(page(3, "+"), page(3, "-")) == 0


@pytest.mark.parametrize(("text", "words"), [
    ("नदी के किनारे", ["नदी", "के", "किनारे"]), ("ஆற்றின் கரை", ["ஆற்றின்", "கரை"]), ("น้ำใส", ["น้ํ", "า", "ใ", "ส"]),
    ("كِتَابٌ جَدِيدٌ", ["كتاب", "جديد"]), ("a\u0300 la carte\u0301", ["a", "la", "carte"]), ("がぎ", ["が", "ぎ"]),
    ("co\u00adoper\u200bate", ["cooperate"]), ("나무 아래", ["나무", "아래"])])
def test_words_keep_the_marks_of_their_script(text: str, words: list[str]) -> None:
    assert normalized_words(text) == words


def test_keys_of_another_version_are_computed_again(tmp_path: Path) -> None:
    with Catalog(tmp_path) as catalog:
        index, keys = Index(catalog), keys_of("a ship")
        with catalog.record():
            index.add(clean_documents.add(catalog, "x", Place("f", 0, 0), 0), keys)
    with Catalog(tmp_path) as catalog:
        assert Index(catalog).first(keys)
        with catalog.record():
            catalog.set_state(duplicates.VERSION, minhash.KEYS_VERSION - 1)
        assert not Index(catalog).first(keys) and duplicates.unsigned(catalog, 9)


@given(st.text(st.characters(max_codepoint=127), max_size=80))
def test_the_fast_path_for_ascii_gives_the_same_words(text: str) -> None:
    assert [*normalized_words(text), "e"] == normalized_words(text + " é")


def test_in_a_script_without_spaces_each_character_is_a_word() -> None:
    assert normalized_words("船は港 ship") == ["船", "は", "港", "ship"]


def test_keys_never_change() -> None:
    """They are on disk: another machine, Python or numpy must find the same."""
    assert keys_of("The ship lay in the harbour with all her sails furled.")[:3].tolist() == EXPECTED


EXPECTED = [226383153825313492, -6655125689601147732, 5000590926642380078]


@given(st.text(max_size=100))
def test_any_text_has_keys(text: str) -> None:
    assert keys_of(text).shape == (1 + BANDS,)


def test_shingles_are_five_words_in_order() -> None:
    words = np.arange(1, 9, dtype=np.uint64)
    assert len(shingles(words)) == 4 and len(shingles(words[:3])) == 1 and len(shingles(words[:0])) == 1
    assert shingles(words)[0] == shingles(words[:5])[0] != shingles(words[4::-1])[0]


def test_a_long_text_has_the_same_keys_when_it_is_hashed_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    text = " ".join(prose(1, 700))
    whole = keys_of(text)
    monkeypatch.setattr(minhash, "BLOCK", 64)
    assert (keys_of(text) == whole).all()


@pytest.mark.parametrize(("changed", "found"), [(1, True), (4, True), (120, False)])
def test_near_duplicates_share_a_band_and_others_do_not(changed: int, found: bool) -> None:
    n_found = 0
    for seed in range(20):
        words = prose(seed)
        other = ["x" * (i + 1) if i * changed // 300 != (i + 1) * changed // 300 else word
                 for i, word in enumerate(words)]
        n_found += shared(" ".join(words), " ".join(other)) > 0
    assert (n_found >= 19) if found else (n_found <= 1)


@pytest.mark.parametrize("pending", [3, 1000])
def test_the_first_document_is_found_across_merges_and_openings(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pending: int) -> None:
    monkeypatch.setattr(minhash, "PENDING", pending)
    monkeypatch.setattr(minhash, "RECENT", 2)
    texts = [" ".join(prose(seed)) for seed in range(10)]
    for run in (texts[:4], texts[4:]):
        with Catalog(tmp_path) as catalog:
            index = Index(catalog)
            for text in run:
                keys = keys_of(text)
                assert index.first(keys) is None
                with catalog.record():
                    index.add(clean_documents.add(catalog, text[:9], Place("f", 0, 0), 0), keys)
    with Catalog(tmp_path) as catalog:
        index = Index(catalog)
        for text in texts:
            assert index.first(keys_of(text)) == (text[:9], True)
            assert index.first(keys_of(text + " and more")) == (text[:9], False)
        assert len(index.keys) + len(index.recent) < 15 * pending


def test_a_forgotten_document_leaves_no_key_and_its_number_can_be_reused(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(minhash, "PENDING", 2)
    texts = [" ".join(prose(seed)) for seed in range(5)]

    def add(text: str) -> int:
        with Catalog(tmp_path) as catalog:
            index, keys = Index(catalog), keys_of(text)
            assert index.first(keys) is None
            with catalog.record():
                seq = clean_documents.add(catalog, text[:9], Place("f", 0, 0), 0)
                index.add(seq, keys)
        return seq

    numbers = [add(text) for text in texts[:4]]
    with Catalog(tmp_path) as catalog, catalog.record():
        duplicates.forget(catalog, "seq = ?", [numbers[-1]])
        catalog.execute("DELETE FROM clean_documents WHERE seq = ?", [numbers[-1]])
    assert add(texts[4]) == numbers[-1]
    add(texts[3])
    with Catalog(tmp_path) as catalog:
        index = Index(catalog)
        assert [index.first(keys_of(text)) for text in texts] == [(text[:9], True) for text in texts]
