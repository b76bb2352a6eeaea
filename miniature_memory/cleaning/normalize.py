"""Normalization: broken encodings, Unicode, white space."""

import re

import ftfy
import regex

from miniature_memory.core.mojibake import mend_encoding
from miniature_memory.core.text import strip_control

MAX_SPACES = 200  # in a row; a million of them overflow the tokenizer's stack
_LONG_SPACE = re.compile(r"(?<![^\S\n])[^\S\n]{201,}")
MAX_FIXES = 8  # rounds: of mojibake within mojibake
# Encodings are mended before, and entities were decoded by the parser: a page may be about them.
_FIXES = ftfy.TextFixerConfig(unescape_html=False, fix_encoding=False, uncurl_quotes=False, fix_character_width=False,
                              normalization="NFC", explain=False)
# Ordering the marks on one letter takes quadratic time; no script needs as many (UAX 15 allows streams 30).
_MANY_MARKS = regex.compile(r"(\p{M}{10})\p{M}+")


def normalize_text(text: str) -> str:
    """`text` without mojibake, in NFC, with plain line ends and no two blank lines in a row. All scripts survive.

    Idempotent. Adds no letter and keeps the order.
    """
    text = strip_control(mend_encoding(text))
    if text.isascii():
        return _plain_space(text)  # most English text: nothing to fix
    for _ in range(MAX_FIXES):
        fixed = strip_control(mend_encoding(ftfy.fix_text(_MANY_MARKS.sub(r"\1", text), _FIXES)))
        if fixed == text:
            break
        text = fixed
    return _plain_space(text)


def _plain_space(text: str) -> str:
    text = _LONG_SPACE.sub(lambda run: run[0][:MAX_SPACES], text)
    text = "\n".join(map(str.rstrip, text.split("\n")))  # a regular expression would take quadratic time
    return re.sub(r"\n{3,}", "\n\n", text).strip()
