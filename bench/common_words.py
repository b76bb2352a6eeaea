"""Common words: writes miniature_memory/core/common_words.txt, the words that any text may have, by language.

    python3 -m venv FOLDER && FOLDER/bin/pip install wordfreq==3.1.1 langcodes
    FOLDER/bin/python -m bench.common_words     some seconds

The frequencies are wordfreq's (R. Speer, 2022; data under CC-BY-SA 4.0, which the table inherits). A word counts as
core/topic_fit.py counts it: its terms are pairs of characters in Chinese, Japanese and Korean. Ends with one JSON line.
"""

import json
import math
from collections import Counter, defaultdict

from miniature_memory.core.languages import languages
from miniature_memory.core.paths import PROJECT
from miniature_memory.core.topic_fit import terms_of

WORDS = 1500  # of a language; three times as many judge topics no better
HEAD = """\
# The commonest words of the languages that are known well, behind a code and a number N: one of 2^N words is this.
# From wordfreq 3.1.1 (Robyn Speer, github.com/rspeer/wordfreq): Wikipedia, subtitles, news, books and
# web pages. This file alone is under CC-BY-SA 4.0, as those data are. Written by bench/common_words.py.
"""


def common_words(language: str) -> dict[int, list[str]]:
    """Words by the power of two that is nearest to their rarity."""
    from wordfreq import get_frequency_dict

    frequencies: Counter[str] = Counter()
    for word, frequency in get_frequency_dict(language).items():
        for term, n in terms_of(word).items():
            frequencies[term] += n * frequency
    found = defaultdict(list)
    for term, frequency in frequencies.most_common(WORDS):
        found[round(-math.log2(frequency))].append(term)
    return found


def main() -> None:
    lines, known = [], [code for code, language in languages().items() if language.function_words]
    for language in known:
        lines += [f"{language} {power} {' '.join(words)}\n" for power, words in sorted(common_words(language).items())]
    path = PROJECT / "miniature_memory/core/common_words.txt"
    path.write_text(HEAD + "".join(lines), encoding="utf-8")
    print(json.dumps({"bench": "common_words", "languages": len(known), "bytes": path.stat().st_size}))


if __name__ == "__main__":
    main()
