"""Common words: how rare a word is in documents, whatever they are about.

The table is common_words.txt, of the fifteen languages that are known well. bench/common_words.py writes it.
"""

import math
from collections.abc import Mapping
from functools import cache
from pathlib import Path

DOCUMENT_WORDS = 600  # guess: of a usual page
SMOOTHING = 0.02  # so that no word is infinitely rare
RAREST = math.log(1 / SMOOTHING)  # of a word that is not in the table


@cache
def rarity(language: str) -> Mapping[str, float]:
    """The inverse document frequency of the common words of a language, in nats; {} of one that is not known well.

    The share of documents with a word is that of texts of DOCUMENT_WORDS words drawn at random.
    """
    found: dict[str, float] = {}
    for line in Path(__file__).with_suffix(".txt").read_text(encoding="utf-8").splitlines():
        code, _, rest = line.partition(" ")
        if code == language:
            power, *words = rest.split(" ")
            share = 1 - math.exp(-DOCUMENT_WORDS * 2.0 ** -int(power))
            found.update(dict.fromkeys(words, max(0.0, -math.log(share + SMOOTHING))))
    return found
