"""Mojibake: text that was encoded as UTF-8 and decoded as something else, "MarÃ­a" for "María", put right by ftfy.

It must happen before anything is stripped: some of the bytes that tell are soft hyphens, C1 controls and hard spaces.
"""

import re

import ftfy

MAX_ROUNDS = 8  # of mojibake within mojibake
# What the bytes of UTF-8 look like in Latin-1 and Windows-1250 to 1252: one that begins a character, one or two more
# of it; the second of à may be a hard space that has become a plain one.
_MORE = "\u0080-\u00bfĄ-ž\u0192\u02c6-\u02dd\u2013-\u203a\u20ac\u2122\u2116ЁЂ-Џё-џ"
_SIGN = re.compile(f"[Â-ßĂĹ][{_MORE}]|Ã |[à-ô][{_MORE} ][{_MORE}]|[В-Я][{_MORE}][В-п{_MORE}]|[а-п][{_MORE}][{_MORE}]")
_LEAD = re.compile(f"[Â-ôĂĹВ-п][{_MORE} ]")  # the same in short: one set of characters is found many times as fast
# What UTF-8 makes of them: searched for first, a third of the time on the many pages that have none
_LEAD_BYTES = re.compile(rb"\xc3[\x82-\xb4][\xc2\xc4-\xc6\xcb\xd0\xd1\xe2 ]")
_RARE_LEADS = (b"\xc4\x82", b"\xc4\xb9", b"\xd0")  # Ă, Ĺ, Cyrillic
_CONFIG = ftfy.TextFixerConfig(unescape_html=False, explain=False)


def mend_encoding(text: str) -> str:
    """`text` without mojibake, line by line; all else stays as it is. Linear in its length."""
    if text.isascii() or not _may_have_sign(text):
        return text
    return "\n".join(_mended(line) if _has_sign(line) else line for line in text.split("\n"))


def _may_have_sign(text: str) -> bool:
    data = text.encode("utf-8", "surrogatepass")
    return bool(_LEAD_BYTES.search(data)) or any(lead in data for lead in _RARE_LEADS)


def _has_sign(line: str) -> bool:
    return not line.isascii() and any(_SIGN.match(line, lead.start()) for lead in _LEAD.finditer(line))


def _mended(line: str) -> str:
    for _ in range(MAX_ROUNDS):
        fixed = ftfy.fix_encoding(line, _CONFIG)
        if fixed == line:
            break
        line = fixed
    return line
