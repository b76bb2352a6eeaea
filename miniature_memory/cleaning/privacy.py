"""Privacy: e-mail addresses, telephone numbers, public IP addresses, card numbers and IBANs, masked by plain words.

Card numbers and IBANs count only if their check digits are right. What is masked follows FineWeb and Dolma; the masks
are words because special tokens would take room in a small vocabulary. Masking is idempotent.
"""

import ipaddress
import re
from collections import Counter
from collections.abc import Callable

_EMAIL = re.compile(r"(?<![\w.%+-])[\w.%+-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}(?![\w@])")
_IBAN = re.compile(r"(?<!\w)[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?(?!\w)")
_CARD = re.compile(r"(?<![\w.-])(?:[3-6]\d{14,15}|[3-6]\d{3}([ -])\d{4}\1\d{4}\1\d{4}|3\d{3}([ -])\d{6}\2\d{5})"
                   r"(?![\w-])")
_PHONE = re.compile(r"(?<![\w.+/=-])(?:\+\d{1,3}(?:[ .-]?\(?\d{1,4}\)?){2,6}"
                    r"|(?:1[ .-])?(?:\([2-9]\d\d\) ?|[2-9]\d\d[ .-])\d{3}[ .-]\d{4})(?![\w-]|\.\d)")
_IPV4 = re.compile(r"(?<![\w.-])(?:\d{1,3}\.){3}\d{1,3}(?![\w-]|\.\d)")
_IPV6 = re.compile(r"(?<![\w:.])[23][0-9A-Fa-f]{3}:(?:[0-9A-Fa-f]{0,4}:){1,6}[0-9A-Fa-f]{0,4}(?![\w:])")
# Right before a number, these mean that it is something else.
_NO_PHONE = re.compile(r"(?:isbn|issn|doi|ean|rfc|#|no\.?)\W{0,3}$", re.IGNORECASE)
_NO_ADDRESS = re.compile(r"(?:\bv|version|release|section|§)\W{0,2}$", re.IGNORECASE)


def mask(text: str, language: str = "en") -> tuple[str, Counter[str]]:
    """`text` with personal data masked, and how often each kind was found. Pure."""
    counts: Counter[str] = Counter()
    for kind, needs, pattern, is_one in _KINDS:
        if needs in text if needs else any(map(text.__contains__, "0123456789")):
            text = pattern.sub(lambda found: _masked(found, kind, is_one, counts), text)  # noqa: B023 (called at once)
    return text, counts


def _masked(found: re.Match[str], kind: str, is_one: Callable[[re.Match[str]], bool], counts: Counter[str]) -> str:
    if not is_one(found):
        return found[0]
    counts[kind] += 1
    return f"[{kind}]"


def _before(found: re.Match[str]) -> str:
    return found.string[max(0, found.start() - 12):found.start()]


def _is_card(found: re.Match[str]) -> bool:
    """The Luhn check (ISO/IEC 7812-1)."""
    digits = [int(digit) for digit in found[0] if digit.isdigit()][::-1]
    return len(set(digits)) > 1 and sum(digits[::2] + [sum(divmod(2 * digit, 10)) for digit in digits[1::2]]) % 10 == 0


def _is_iban(found: re.Match[str]) -> bool:
    """The check digits (ISO 13616): the number, its head moved to the end, is 1 modulo 97."""
    compact = found[0].replace(" ", "")
    return 15 <= len(compact) <= 34 and int("".join(str(int(c, 36)) for c in compact[4:] + compact[:4])) % 97 == 1


def _is_phone(found: re.Match[str]) -> bool:
    return 8 <= sum(map(str.isdigit, found[0])) <= 15 and not _NO_PHONE.search(_before(found))


def _is_public_address(found: re.Match[str]) -> bool:
    try:
        return ipaddress.ip_address(found[0]).is_global and not _NO_ADDRESS.search(_before(found))
    except ValueError:
        return False


_KINDS: list[tuple[str, str, re.Pattern[str], Callable[[re.Match[str]], bool]]] = [
    # kind, what a text must hold for the search to be worth it ("": a digit), pattern, check
    ("email address", "@", _EMAIL, lambda found: True),
    ("bank account", "", _IBAN, _is_iban),
    ("card number", "", _CARD, _is_card),
    ("IP address", ".", _IPV4, _is_public_address),
    ("IP address", ":", _IPV6, _is_public_address),
    ("phone number", "", _PHONE, _is_phone),
]
