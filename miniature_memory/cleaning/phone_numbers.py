"""Telephone numbers in running text, as people write them in any country.

A row of digits is one only if something says so: a country code, a cue such as "Tel." before it, or the shape of its
groups; rows of numbers, dates, prices and versions are text. Lengths and areas are checked by phonenumbers (Google's
libphonenumber), whose data (5 MB) is loaded with the first text that has a candidate. How well that works is measured
by bench/privacy.py.
"""

import re
from collections.abc import Iterator
from itertools import pairwise

_SPACE = " \u00a0\u2007\u2009\u202f"
_DASH = r"\-‐‑‒–—―−－"
# Digits and what stands between them; each run is matched once, so a long one costs linear time.
_UNSPACED = r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff"  # there letters touch a number
_RUN = re.compile(rf"(?<![^\W{_UNSPACED}])(?<![.+＋/=#^])(?<![\w.][{_DASH}])[+＋]?[(（]?\d[\d()（）./{_DASH}{_SPACE}]*")
_GOES_ON = re.compile(rf"(?!x\d|ext)[^\W{_UNSPACED}]")  # "10000km" is none; "555-0147x12" has an extension
_PARTS = re.compile(rf"\s[/–—|-]\s|[{_SPACE}]{{2,}}")  # between two numbers of one run
_GROUPS = re.compile(r"\d+")
_HARD = re.compile(rf"\d[)）]?[{_SPACE}]?[./({_DASH}（）)]")  # something other than spaces between two groups
_DATE = re.compile(r"(?:\d{1,2}([./-])\d{1,2}\1(?:\d{4}|\d{2})(?!\1?\d)|\d{4}([./-])\d{1,2}\2\d{1,2}(?!\d))")
_HOURS = re.compile(rf"(?:[01]\d|2[0-4])[0-5]\d ?[{_DASH}] ?(?:[01]\d|2[0-4])[0-5]\d(?!\d)")
_ENDS = f" ./{_SPACE}‐‑‒–—―−－-"
MIN_DIGITS, MAX_DIGITS = 7, 15  # E.164: at most 15; fewer than 7 are an extension or a service
LISTED_CHARS = 6
BEFORE_CHARS = 40  # in which a cue is looked for

# Words that announce a number. A cue that stands right before it needs no valid area; one further away does.
_CUES = (
    r"tel(?:e(?:ph?one?|fono?n?|foon|foni|fonu|fón)?|\.)?|t[ée]l(?:[ée]phone|\.)?|phone(?: (?:no\.?|number))?"
    r"|(?:tele)?fax(?: no\.?)?|mobile?|cell(?:ulare|ular)?|call(?: us| me)?(?: on| at)?|dial|ring|text|sms|whatsapp"
    r"|hotline|toll[ -]free|helpline|reach|desk|fono|handy|mobil(?:e|funk|telefon)?|rufen|anruf(?:en)?"
    r"|nummer|rufnummer|appele[zr]|portable"
    r"|joindre|m[óo]vil|celular|llam(?:e|ar|a)|ligue|ligar|telem[óo]vel|chiam(?:a(?:te|re)?|i)|cell|bel(?:len)?|gsm"
    r"|zadzwoń|zadzwonić|telefone?|телефон|тел|звоните|моб|факс|дзвоніть|τηλ(?:έφωνο)?|κιν(?:ητό)?|φαξ|טלפון|טל|נייד|هاتف|تلفون|جوال"
    r"|फ़ोन|फोन|मोबाइल|電話(?:番号)?|携帯|お問い合わせ|电话|電話|手机|联系|致电|请拨打|전화|휴대폰|팩스|puh(?:elin)?|telefono?n?")
_CUE = re.compile(rf"(?<![^\W_])(?:{_CUES})(?P<gap>[^\d\n]*)$")
_LINKS = r"(?:us|me|him|her|number|no|nr|is|was|at|on|under|unter|au|al|le|il|het|the)"
_NEAR = re.compile(rf"[\W_]{{0,4}}(?:{_LINKS}[\W_]{{1,3}}){{0,2}}$")
_LINKED = re.compile(rf"(?:[:：]|\b{_LINKS})[\W_]{{0,3}}$")
_AFTER = re.compile(r"[\s(\[]{0,3}(?:tel|phone|fax|mobile|cell|office|home|toll[ -]free)\b")
# Right before a number, these mean that it is something else.
_NO_PHONE = re.compile(r"(?:isbn|issn|doi|ean|upc|rfc|iban|part|item|lot|order|invoice|model|sku|serial|art|box|zip"
                       r"|id|#|[=^€$£¥])(?:[ .:-]{0,2}(?:no|nr|number)\b)?[\W_]{0,3}$")

REGIONS = {  # of a language, the larger ones first
    "en": "US GB AU IE NZ IN ZA SG", "de": "DE AT CH", "fr": "FR BE CH CA", "es": "ES MX AR CO CL PE", "it": "IT CH",
    "pt": "BR PT", "nl": "NL BE", "pl": "PL", "sv": "SE", "da": "DK", "nb": "NO", "no": "NO", "nn": "NO", "fi": "FI",
    "cs": "CZ", "sk": "SK", "hu": "HU", "ro": "RO", "bg": "BG", "hr": "HR", "sr": "RS", "sl": "SI", "el": "GR",
    "ru": "RU KZ", "uk": "UA", "be": "BY", "tr": "TR", "ar": "EG SA AE MA", "fa": "IR", "he": "IL", "hi": "IN",
    "bn": "BD IN", "ur": "PK", "ta": "IN", "th": "TH", "vi": "VN", "id": "ID", "ms": "MY", "ja": "JP", "ko": "KR",
    "zh": "CN TW HK", "yue": "HK CN", "wuu": "CN", "lt": "LT", "lv": "LV", "et": "EE", "is": "IS", "ca": "ES",
    "eu": "ES", "gl": "ES"}


def phone_numbers(text: str, language: str) -> Iterator[tuple[int, int]]:
    """Where the telephone numbers of `text` begin and end. Pure."""
    last = -LISTED_CHARS  # where the last number ended: what follows "Tel. ... / " is another
    for run in _RUN.finditer(text):
        if sum(map(str.isdigit, run[0])) < MIN_DIGITS:
            continue
        if run[0][-1].isdigit() and _GOES_ON.match(text, run.end()):
            continue
        start = run.start()
        for end, following in _parts(run[0]):
            number = run[0][start - run.start():end].rstrip(_ENDS + "(（")
            number = number.lstrip(_ENDS)
            if number[:1] == "(" and (number.endswith(")") or number.count("(") > number.count(")")):
                number = number[1:].removesuffix(")")  # the number is in brackets, not its area
            place = text.find(number, start)
            if number and _is_phone(text, place, number, language, place - last < LISTED_CHARS):
                last = place + len(number)
                yield place, last
            start = run.start() + following


def _parts(run: str) -> Iterator[tuple[int, int]]:
    """Where each number of a run ends, and the next one begins; a run that may be one number is not divided."""
    if sum(map(str.isdigit, run)) > MAX_DIGITS or len(list(_PARTS.finditer(run))) > 1:
        for found in _PARTS.finditer(run):
            yield found.start(), found.end()
    yield len(run), len(run)


def _is_phone(text: str, start: int, number: str, language: str, listed: bool) -> bool:
    groups = _GROUPS.findall(number)
    n_digits = sum(map(len, groups))
    if not MIN_DIGITS <= n_digits <= MAX_DIGITS or len(groups) > 8 or _DATE.match(number) or _HOURS.match(number):
        return False
    before = text[max(0, start - BEFORE_CHARS):start].rpartition("\n")[2].lower()
    before = before.rpartition(" number]")[2]  # a mask is no cue
    if _NO_PHONE.search(before) or _is_row(groups):
        return False
    if number[0] in "+＋":
        return _is_international(number, groups)
    if groups[0].startswith("00") and len(groups) > 1 and _is_international(number, [groups[0][2:], *groups[1:]]):
        return True
    hard = _HARD.search(number) is not None
    if hard and _is_north_american(groups):
        return True
    cue = _CUE.search(before)
    after = _AFTER.match(text[start + len(number):start + len(number) + 12].lower())
    if not (cue or after or hard or listed):
        return False
    best = max(_status(number, region) for region in REGIONS.get(language, "US").split())
    if listed or (cue and _NEAR.fullmatch(cue["gap"])):
        return best >= POSSIBLE
    trunk = (groups[0][0] == "0" and len(groups[0]) > 1) or re.match(r"8 ?\(", number) is not None
    said = after or (cue and (trunk or hard or _LINKED.search(cue["gap"])))
    return best == VALID and (bool(said) or (hard and trunk))


def _is_row(groups: list[str]) -> bool:
    """Whether the groups are numbers that grow by the same step, such as 10 20 30 40."""
    numbers = [int(group) for group in groups]
    return len(groups) > 3 and len({b - a for a, b in pairwise(numbers)}) == 1


def _is_north_american(groups: list[str]) -> bool:
    """Three groups of 3, 3 and 4 digits, of an area that exists, or of 555, which stands for one in fiction."""
    groups = groups[1:] if groups[0] == "1" else groups
    return list(map(len, groups)) == [3, 3, 4] and (
        _status(" ".join(groups), "US") == VALID or (groups[0] == "555" and groups[1][0] not in "01"))


def _is_international(number: str, groups: list[str]) -> bool:
    """A country code and a number of that country. After 00 the code is a group of its own; after + it may not be."""
    import phonenumbers

    if not groups[0] or groups[0][0] == "0":
        return False
    if "(0)" in number:  # the national prefix, which is not dialled from abroad
        groups = [groups[0], *groups[2:]]
    digits = "+" + " ".join(groups)
    try:
        code = str(phonenumbers.parse(digits).country_code)
    except phonenumbers.NumberParseException:
        return False
    if len(groups[0]) < len(code) or (number[0] not in "+＋" and groups[0] != code):
        return False  # a row of numbers, the first of which looks like a code together with the next
    status = _status(digits, "")
    return status == VALID or (status == POSSIBLE and len(groups) < 5)


IMPOSSIBLE, POSSIBLE, VALID = range(3)  # of a wrong length; of a right one; also of a range that is given out


def _status(number: str, region: str) -> int:
    import phonenumbers  # here, because few texts have a candidate, and its data takes memory and time

    try:
        parsed = phonenumbers.parse(number, region or None)
    except phonenumbers.NumberParseException:
        return IMPOSSIBLE
    if phonenumbers.is_valid_number(parsed):
        return VALID
    return POSSIBLE if phonenumbers.is_possible_number(parsed) else IMPOSSIBLE
