"""Fixtures of the tests of counting."""

import itertools

import numpy as np
import pytest

from miniature_memory.counting.suffixes import Suffixes, sort_suffixes

VOCAB = 9  # of which the last is the end of text


def make_suffixes(text: np.ndarray, *ends: int) -> Suffixes:
    bounds = np.array([0, *ends, len(text)])
    parts = [sort_suffixes(text[a:b], VOCAB) + np.uint32(a) for a, b in itertools.pairwise(bounds)]
    return Suffixes(text, np.concatenate(parts), bounds, bounds[1:])


@pytest.fixture
def text() -> np.ndarray:
    """Random tokens that repeat themselves, in documents."""
    random = np.random.default_rng(5)
    words = [random.integers(0, VOCAB - 1, random.integers(1, 7)) for _ in range(12)]
    words.append(np.array([VOCAB - 1]))
    return np.concatenate([words[i] for i in random.integers(0, len(words), 400)]).astype(np.uint16)
