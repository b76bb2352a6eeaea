"""Mojibake: text that was encoded as UTF-8 and decoded as something else, "MarÃ­a" for "María", put right by ftfy.

It must happen before anything is stripped: some of the bytes that tell are soft hyphens, C1 controls and hard spaces.
"""

import re

import ftfy

MAX_ROUNDS = 8  # of mojibake within mojibake
# What the bytes of UTF-8 look like in Latin-1 and Windows-1250 to 1252: one that begins a character, one or two more
# of it.
_MORE = "\u0080-\u00bfĄ-ž\u0192\u02c6-\u02dd\u2013-\u203a\u20ac\u2122\u2116ЁЂ-Џё-џ"
_SIGN = re.compile(f"[Â-ßĂĹ][{_MORE}]|[à-ô][{_MORE} ][{_MORE}]|[В-Я][{_MORE}][В-п{_MORE}]|[а-п][{_MORE}][{_MORE}]")
# And in Mac Roman, code page 437 (where boxes of lines are text), and Cyrillic in Windows-1250.
_OTHER_SIGN = re.compile("(?<=[a-z])√[^\x00-\x7f]|‚Ä[^\x00-\x7f]|ΓÇ[^\x00-\x7f]|[├┬][^\x00-\x7f\u2500-\u257f]"
                         f"|[╨╤][^\x00-\x7f\u2550-\u256c]|(?:[ĐŃ][{_MORE}]){{2}}")
_OTHER_LEAD = re.compile("[√‚Γ├┬╨╤ĐŃ]")
# The same signs may be innocent: MAÇÃ DO AMOR, “AMANHÃ”, 3 Å². They count where the text has others: in voilÃ  tout the
# hard space of à has become a plain one.
_DOUBTFUL = re.compile("Ã |(?<=[A-ZÀÁÄ-Þ])[ÃÂ][”’»](?!\\w)|(?<![^\\W\\d_])Å[²³·°±]")
_LEAD = re.compile(f"[Â-ôĂĹВ-п][{_MORE} ]")  # the same in short: one set of characters is found many times as fast
# What UTF-8 makes of them, once ASCII is taken out: most pages have little else, and none of these
_MORE_BYTES = rb"[\xc2\xc4-\xc6\xcb\xd0\xd1\xe2]"  # that begin one of _MORE
_OTHER_BYTES = (rb"(?:\xc4[\x82\x90\xb9]|\xc5\x83|\xce\x93|\xd0[\x80-\xbf]"
                rb"|\xe2(?:\x80\x9a|\x88\x9a|\x94[\x9c\xac]|\x95[\xa4\xa8]))")
_LEAD_BYTES = re.compile(rb"\xc3(?:[\x83\xa0]|[\x82-\xb4]" + _MORE_BYTES + rb")|" + _OTHER_BYTES)
# And with a space in the place of ASCII, so that what was apart is not side by side
_APART = bytes(byte if byte >= 128 else 32 for byte in range(256))
_LEAD_AND_MORE = re.compile(rb"\xc3(?:[\x82-\x9f]|[\xa0-\xb4]" + _MORE_BYTES + rb"[\x80-\xbf]+)" + _MORE_BYTES
                            + rb"|" + _OTHER_BYTES + rb"[\x80-\xff]")
_LEAD_AND_SPACE = re.compile(rb"\xc3[\xa0-\xb4] " + _MORE_BYTES)
_ASCII = bytes(range(128))
_CONFIG = ftfy.TextFixerConfig(unescape_html=False, explain=False)


def mend_encoding(text: str) -> str:
    """`text` without mojibake, line by line; all else stays as it is. Linear in its length."""
    if text.isascii() or not _may_have_sign(text):
        return text
    lines = text.split("\n")
    has_sign = list(map(_has_sign, lines))
    if not any(has_sign):
        return text
    return "\n".join(_mended(line) if sign or _DOUBTFUL.search(line) else line
                     for line, sign in zip(lines, has_sign, strict=True))


def _may_have_sign(text: str) -> bool:
    data = text.encode("utf-8", "surrogatepass")
    if not _LEAD_BYTES.search(data.translate(None, _ASCII)):
        return False
    return bool(_LEAD_AND_SPACE.search(data) or _LEAD_AND_MORE.search(b" ".join(data.translate(_APART).split())))


def _has_sign(line: str) -> bool:
    if line.isascii():
        return False
    if _OTHER_LEAD.search(line) and _OTHER_SIGN.search(line):
        return True
    return any(_SIGN.match(line, lead.start()) and not _DOUBTFUL.match(line, lead.start())
               for lead in _LEAD.finditer(line))


def _mended(line: str) -> str:
    for _ in range(MAX_ROUNDS):
        fixed = ftfy.fix_encoding(line, _CONFIG)
        if fixed == line:
            break
        line = fixed
    return line
