"""The language of a topic's few words: by their script, else by function words and letters."""

import math
import unicodedata
from collections import Counter
from collections.abc import Sequence
from functools import cache
from typing import Any

from miniature_memory.core.languages import language_of, lower

# The first word of a letter's Unicode name -> language. Letters of Latin tell less; CJK without kana is Chinese.
SCRIPTS = {"HIRAGANA": "ja", "KATAKANA": "ja", "HANGUL": "ko", "CJK": "zh", "CYRILLIC": "ru", "ARABIC": "ar",
           "DEVANAGARI": "hi", "GREEK": "el", "HEBREW": "he", "THAI": "th", "ARMENIAN": "hy", "GEORGIAN": "ka",
           "BENGALI": "bn", "TAMIL": "ta", "TELUGU": "te", "KANNADA": "kn", "MALAYALAM": "ml", "GUJARATI": "gu",
           "GURMUKHI": "pa", "SINHALA": "si", "KHMER": "km", "LAO": "lo", "MYANMAR": "my", "ETHIOPIC": "am"}
# Letters that a language has and the first one of its script lacks
LETTERS = {"uk": "іїєґ", "be": "ў", "sr": "ђћ", "mk": "ѓќ", "ur": "ٹڈڑںےہھ", "fa": "پچژگکی"}
LATIN = ("en", "de", "es", "fr", "it", "pt", "nl", "pl", "tr")
PER_FUNCTION_WORD = 2.0  # in nats. This and the next two were chosen on 112 topics of the nine languages
SURE = 0.7  # probability among LATIN; on the same topics no language was then taken for another
LEAST_LATIN = 0.05  # probability of all LATIN together: less is another language


def language_of_topic(topic: str) -> str:
    """ISO 639-1 code of a topic's language; "" if its words do not tell."""
    words = [word for word in lower(topic).split() if any(map(str.isalpha, word))]
    scripts = Counter(script for word in words if (script := _script(word)))
    if not scripts:
        return ""
    if scripts["ja"]:
        return "ja"
    language = max(scripts, key=lambda code: (scripts[code], code != "latin"))
    if language == "latin":
        return _by_words(topic, words)
    return next((code for code, letters in LETTERS.items() if not set(letters).isdisjoint("".join(words))), language)


def _script(word: str) -> str:
    """The language that a word's script belongs to, or "latin". One letter alone, such as λ, is a symbol."""
    names = [unicodedata.name(char, "").partition(" ")[0] for char in word if char.isalpha()]
    languages = [SCRIPTS.get(name, "latin" if name == "LATIN" else "") for name in names]
    if "ja" in languages:
        return "ja"
    code = Counter(languages).most_common(1)[0][0]
    return code if code in ("latin", "zh") or len(names) > 1 else ""


@cache
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier  # takes half a second to load

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


def _by_words(topic: str, words: Sequence[str]) -> str:
    probabilities = {code: float(p) for code, p in _identifier().rank(topic) if code in LATIN}
    if sum(probabilities.values()) < LEAST_LATIN:
        return ""
    known = {code: language_of(code).function_words for code in LATIN}
    weights = {code: p * math.exp(PER_FUNCTION_WORD * sum(own.has(word) for word in words))
               for code, p in probabilities.items() if (own := known[code])}
    best = max(weights, key=lambda code: weights[code])
    return best if weights[best] >= SURE * sum(weights.values()) else ""
